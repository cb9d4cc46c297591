"""The lint as it is used: damage that is put in is found, listed, played, and dropped by rule or list."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from chatterbox_es.audio.quality import QUALITY
from chatterbox_es.dataset import lint_page
from chatterbox_es.dataset.drop_rules import Exclusions
from chatterbox_es.dataset.duplicates import first_of_same_audio, groups
from chatterbox_es.dataset.feature_set import FeatureSet, content_hash
from chatterbox_es.dataset.inspection import Inspection
from chatterbox_es.dataset.lint_page import render
from chatterbox_es.dataset.outliers import METRICS, find_outliers
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError
from tests.audio.test_quality import syllables

RATE = 24_000
WORDS = ("casa", "mesa", "calle", "rosa", "luna", "silla", "puerta", "fuente")
TEXTS = [f"La {one} y la {other} de Ana." for one in WORDS for other in WORDS[:4] if one != other]


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> Path:
    """Twenty-eight recordings, of which one has noise, one an offset, one is another's copy, and one is missing."""
    folder = tmp_path_factory.mktemp("lint") / "corpus"
    (folder / "wavs").mkdir(parents=True)
    random, rows = np.random.default_rng(0), []
    for number, text in enumerate(TEXTS):
        name, samples = f"r{number:02d}", syllables(1.5 + 0.03 * (number % 9), seed=number)
        samples = samples + random.normal(0, 1e-3, len(samples))  # a room
        if number == 3:
            name, samples = "noisy", samples + random.normal(0, 0.15, len(samples))
        elif number == 7:
            name, samples = "offset", samples + 0.2
        soundfile.write(folder / f"wavs/{name}.wav", samples, RATE)
        rows.append(f"{name}|{text}\n")
        if number == 11:
            soundfile.write(folder / "wavs/copy.mp3", 0.4 * samples, RATE)
            rows.append(f"copy|{text}\n")
    rows.insert(5, "gone|Nadie habla.\n")
    (folder / "metadata.csv").write_text("".join(rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def linted(damaged, command):
    """The command in the folder beside the corpus."""
    def run(*more: str):
        return command("lint", "data=folder", "data.path=corpus", "data.workers=1", *more, cwd=damaged.parent)

    return run


def test_the_page_shows_what_stands_out_with_a_player_the_worst_first(linted, damaged):
    result = linted("out=page.html")
    assert result.returncode == 0, result.stderr
    assert "1 row cannot be used" in result.stdout and "1 missing-audio" in result.stdout
    assert "1 utterance repeats the recording of another one" in result.stdout
    page = (damaged.parent / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and not re.search(r'(?:src|href)="(?!data:|#)', page)
    clips = dict(re.findall(r'<div class="clip" data-id="(\w+)">(.*?)</div>', page, re.DOTALL))
    assert set(list(clips)[:2]) == {"noisy", "offset"}
    assert "<b>noisy</b>: signal to noise" in clips["noisy"] and "<b>off centre</b>: constant offset 0.2" in clips["offset"]
    for clip in clips.values():
        assert 'src="data:audio/mpeg' in clip and 'src="data:image/webp' in clip
    assert re.search(r"<td>gone</td><td>missing-audio</td>", page)
    for measure in METRICS:
        assert (f"<figcaption>{measure.title}" in page) == (measure.name != "alignment")


def test_a_page_without_players_and_of_one_measure(linted, damaged):
    assert linted("out=small.html", "worst=0", "only=dc").returncode == 0
    page = (damaged.parent / "small.html").read_text(encoding="utf-8")
    assert "None was asked for" in page and "data:audio" not in page and "Duplicates by" not in page


def test_what_the_list_names_can_be_dropped(linted, damaged, command):
    result = linted("format=json", "out=worst.jsonl", "only=snr,dc")
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in (damaged.parent / "worst.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["id"] for row in rows} == {"noisy", "offset"}
    assert all(row["reason"] and row["findings"][0]["deviations"] for row in rows)
    listed = damaged.parent / "worst.jsonl"
    listed.write_text(listed.read_text(encoding="utf-8") + "# by ear\nr20|a cough\nnobody\n", encoding="utf-8")
    dropped = command("prepare", "data=folder", "data.path=corpus", "data.workers=1", "data.drop_list=worst.jsonl",
                      cwd=damaged.parent)
    assert dropped.returncode == 0, dropped.stderr
    assert "1 ids of worst.jsonl are none of" in dropped.stdout and "'nobody'" in dropped.stdout
    assert f"3 of {len(TEXTS) + 1} utterances dropped" in dropped.stdout


def test_programs_read_the_list_from_the_screen(linted):
    result = linted("format=json", "only=duplicate_audio")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["id"], row["of"]) for row in rows] == [("copy", "r11")]


@pytest.mark.parametrize(("options", "said"), [
    (("format=pdf",), "format=pdf: must be html | text | json"), (("only=beauty",), "only=beauty: is not measured"),
    (("only=alignment",), "needs a voice: run=RUN"), (("run=nowhere",), "run=nowhere does not exist"),
    (("worst=-1",), "worst=-1"), (("form=html",), "form"), (("out=corpus", "worst=0"), "is a folder"),
])  # fmt: skip
def test_what_is_asked_wrongly_is_an_error_that_says_so(linted, options, said):
    result = linted(*options)
    assert result.returncode == 2 and said in result.stderr and "Traceback" not in result.stderr


# ---- rules


@pytest.fixture
def config(damaged, config_of, tmp_path):
    return lambda *more: config_of(f"data.prepared={tmp_path}", *more, corpus=damaged)


def test_rules_leave_out_and_list_what_they_name(config):
    whole = prepare(config())
    kept = prepare(config("data.drop='dc>0.1,snr<12,duplicate_audio'"))
    ids = [kept.utterance(number)["id"] for number in range(len(kept))]
    assert set(whole.utterance(n)["id"] for n in range(len(whole))) - set(ids) == {"noisy", "offset", "copy"}
    assert kept.card["dropped"] == {"drop:dc>0.1": 1, "drop:duplicate_audio": 1, "drop:snr<12": 1}
    assert kept.card["content"] == content_hash(kept.folder) != whole.card["content"]
    assert kept.card["symbols_seen"] == len(set().union(*(kept.token_ids(number).tolist() for number in range(len(kept)))))
    rows = [json.loads(line) for line in (kept.folder / "lint.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["reason"] for row in rows if row.get("excluded")} == set(kept.card["dropped"])
    assert [row["id"] for row in rows if not row.get("excluded")] == ["gone"]
    # The same sentences are held out, and each utterance is what it was.
    sides = [{features.utterance(n)["id"] for n in features.validation.tolist()} for features in (whole, kept)]
    assert sides[1] == sides[0] & set(ids)
    numbers = {whole.utterance(n)["id"]: n for n in range(len(whole))}
    for number, id in enumerate(ids):
        assert np.array_equal(kept.stored_mel(number), whole.stored_mel(numbers[id]))
        assert kept.token_ids(number).equal(whole.token_ids(numbers[id]))
    mels = np.concatenate([kept.stored_mel(number) for number in kept.train.tolist()]).astype(np.float64)
    np.testing.assert_allclose(kept.statistics.mean, mels.mean(0), atol=1e-5)
    assert prepare(config("data.drop='duplicate_audio,snr<12,dc>0.1'")).folder == kept.folder  # in any order, made once
    shutil.rmtree(kept.folder)
    assert FeatureSet(whole.folder).card == whole.card


def test_a_page_stays_small_whatever_is_shown(config, monkeypatch):
    lint = Inspection.of(prepare(config()))
    whole, bare = render(lint, 100), render(lint, 0)
    monkeypatch.setattr(lint_page, "MEDIA_BYTES", 40_000)
    small = render(lint, 100)
    assert 0 < small.count("<audio") < whole.count("<audio") and "there is no room for its sound here" in small
    assert len(small) < len(bare) + 40_000 + 1000 * len(lint.outliers.order) < len(whole)


@pytest.mark.parametrize(("rule", "said"), [
    ("beauty<3", "beauty' is not measured|beauty is not measured"), ("snr", "write snr<NUMBER"), ("snr=15", "write snr<NUMBER"),
    ("snr<1.2.3", "write snr<NUMBER"), ("alignment>1", "a voice finds it"), ("seconds>0", "leaves nothing to train on"),
])  # fmt: skip
def test_a_rule_that_is_none_is_named(rule, said, config):
    with pytest.raises(UserError, match=said):
        prepare(config(f"data.drop='{rule}'"))


@pytest.mark.parametrize("content", ["{not json}\n", '{"row": 3}\n', "[1]\n{}\n"])
def test_a_damaged_list_names_its_line(content, config, tmp_path):
    (tmp_path / "list").write_text(content)
    with pytest.raises(UserError, match=r"line \d: is no JSON object with an id"):
        prepare(config(f"data.drop_list={tmp_path}/list"))
    with pytest.raises(UserError, match="cannot be read"):
        prepare(config(f"data.drop_list={tmp_path}/none"))


def test_the_first_rule_that_holds_gives_the_reason():
    quality = np.zeros(3, QUALITY)
    quality["snr"], quality["audio"], quality["text"] = [30, 5, 5], [1, 2, 3], [1, 2, 3]
    found = Exclusions.of("snr<10, seconds<1").find(quality, ["a", "b", "c"])
    assert [found[number][0] for number in range(3)] == ["drop:seconds<1", "drop:snr<10", "drop:snr<10"]


# ---- outliers and duplicates


def test_a_speaker_is_compared_with_himself():
    random = np.random.default_rng(0)
    speakers = np.repeat([0, 1], 100)
    snr = np.where(speakers == 0, 40.0, 20.0) + random.normal(0, 1, 200)  # one in a studio, one with a telephone
    snr[7] = 20.0
    found = find_outliers({"snr": snr}, speakers, np.zeros(200, int))
    assert found.order == [7] and found.counts == {"snr": 1}
    assert found.findings[7][0].deviations < -5 and found.findings[7][0].words == "noisy: signal to noise 20 dB"


def test_a_figure_is_bad_in_one_direction_and_beyond_its_limit_in_any_company():
    one = np.zeros(50, int)
    found = find_outliers({"snr": np.full(50, 5.0), "silence": np.r_[np.zeros(49), np.nan]}, one, one)
    assert found.counts == {"snr": 50}
    assert not find_outliers({"snr": np.r_[np.full(49, 20.0), 90.0]}, one, one).order


@pytest.mark.parametrize(("name", "value", "written"), [
    ("dc", -3e-5, "0"), ("dc", -0.0151, "-0.0151"), ("bandwidth", 10781.25, "10781"), ("level", -20.04, "-20"),
    ("speaking_rate", 16.173, "16.17"), ("clipping", np.float32(0.0871), "0.0871"),
])  # fmt: skip
def test_a_figure_has_the_decimals_that_tell_something(name, value, written):
    (measure,) = (measure for measure in METRICS if measure.name == name)
    assert measure.figure(value) == written


def test_copies_of_copies_are_one_group():
    random = np.random.default_rng(0)
    quality = np.zeros(400, QUALITY)
    quality["fingerprint"] = random.integers(0, 2**63, (400, 2), dtype=np.uint64)
    quality["audio"] = np.arange(400)
    quality["seconds"] = random.uniform(1, 5, 400)
    for first, copy, bits in ((3, 200, 6), (200, 350, 6), (10, 11, 0)):
        quality["fingerprint"][copy] = quality["fingerprint"][first]
        quality["fingerprint"][copy, 0] ^= np.uint64(2**bits - 1)
        quality["seconds"][copy] = quality["seconds"][first]
    quality["seconds"][11] += 2  # the same bits by chance: another length is another recording
    quality["audio"][399] = quality["audio"][50]
    assert groups(first_of_same_audio(quality)) == [[3, 200, 350], [50, 399]]


# ---- with a voice


def test_a_voice_says_how_well_texts_fit(road, corpus, command, tmp_path):
    options = ("data=folder", f"data.path={corpus}", "data.workers=1", f"run={road.whole_run}")
    first = command("lint", *options, "out=page.html", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "<figcaption>Alignment error" in (tmp_path / "page.html").read_text(encoding="utf-8")
    (kept,) = tmp_path.glob("outputs/prepared/*/alignment-*.npy")
    scores = np.load(kept)
    assert len(scores) == 10 and (scores["alignment"] > 0).all() and (scores["longest_phone"] >= 0.02).all()
    changed = kept.stat().st_mtime_ns
    again = command("lint", *options, "format=text", "only=alignment", cwd=tmp_path)
    assert again.returncode == 0 and "utterances" in again.stdout
    assert kept.stat().st_mtime_ns == changed  # computed once
