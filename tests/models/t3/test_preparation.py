"""Speech tokens of a prepared corpus: the same bytes whoever is killed on the way, nothing lost uncounted, nothing slow at
482,000 utterances. The codec is a stand-in."""

import io
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from chatterbox_es.config import compose
from chatterbox_es.errors import UserError
from chatterbox_es.models.families import recipe_of
from chatterbox_es.models.t3 import preparation
from chatterbox_es.models.t3.prompts import Prompts
from chatterbox_es.models.t3.token_set import TokenSet

HERE, STANDIN = Path(__file__).resolve().parent, "model.codec=standin_codec:load"


@pytest.fixture(autouse=True)
def standin(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture(scope="module")
def weights(tmp_path_factory, make_weights) -> Path:
    return make_weights(tmp_path_factory.mktemp("weights") / "folder")


def config_of(corpus: Path, folder: Path, weights: Path, *more: str):
    return compose(["model=chatterbox", f"model.weights={weights}", STANDIN, "data=folder", f"data.path={corpus}",
                    f"data.prepared={folder}", "data.workers=1", *more])


def prepared(*arguments) -> TokenSet:
    config = config_of(*arguments)
    return recipe_of(config).prepare(config)


def test_what_was_ended_goes_on_and_the_same_comes_out(make_corpus, weights, tmp_path, monkeypatch):
    corpus = make_corpus(tmp_path / "corpus")
    whole = prepared(corpus, tmp_path / "one", weights)
    monkeypatch.setattr(preparation, "STRETCH", 3)
    encode, calls = preparation.Encoding._encode, []

    def failing(self, stretch, codec):
        calls.append(len(stretch))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(self, stretch, codec)

    monkeypatch.setattr(preparation.Encoding, "_encode", failing)
    with pytest.raises(KeyboardInterrupt):
        prepared(corpus, tmp_path / "two", weights)
    again = prepared(corpus, tmp_path / "two", weights)
    assert calls == [3, 3, 3, 3, 1]  # ten utterances: what was done was not done again
    assert again.card["content"] == whole.card["content"]
    for name in ("codes.npy", "text.npy", "index.npy", "speakers.npy", "vocabulary.json", "lint.jsonl"):
        assert (again.token_folder / name).read_bytes() == (whole.token_folder / name).read_bytes()
    assert not (again.token_folder / "work").exists()


def test_a_stretch_is_kept_as_it_was_and_a_damaged_one_is_made_again(make_corpus, weights, tmp_path, monkeypatch):
    """Faults and unknown characters come back as they went; a pickle in its place is not run."""
    made = {"codes": [np.array([1, 6560], np.int16), np.zeros(0, np.int16), np.array([7], np.int16)],
            "ids": [np.array([255, 0], np.int16)] * 3, "speakers": np.ones((3, 256), np.float32),
            "faults": {4: ("no-tokens", "¿ñ?")}, "unknown": {3: ("z", "ß")}}
    file = io.BytesIO()
    preparation.write_stretch(file, made)
    again = preparation.read_stretch(file.getvalue())
    assert again["faults"] == made["faults"] and again["unknown"] == made["unknown"]
    for name in ("codes", "ids"):
        assert len(again[name]) == 3 and all(one.dtype == np.int16 and np.array_equal(one, other)
                                             for one, other in zip(again[name], made[name], strict=True))
    assert np.array_equal(again["speakers"], made["speakers"])

    corpus, mark = make_corpus(tmp_path / "corpus"), tmp_path / "mark"
    whole = prepared(corpus, tmp_path / "one", weights)

    class Hostile:
        def __reduce__(self):
            return Path.touch, (mark,)

    assemble = preparation.Encoding._assemble

    def damaging(self, stretches):
        self.target.write(self._name(0), pickle.dumps(Hostile()))
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation.Encoding, "_assemble", damaging)
    with pytest.raises(KeyboardInterrupt):
        prepared(corpus, tmp_path / "two", weights)
    monkeypatch.setattr(preparation.Encoding, "_assemble", assemble)
    assert prepared(corpus, tmp_path / "two", weights).card["content"] == whole.card["content"] and not mark.exists()


def test_utterances_without_tokens_are_listed_counted_and_left_out(make_corpus, weights, tmp_path):
    corpus = make_corpus(tmp_path / "corpus")
    whole = prepared(corpus, tmp_path / "prepared", weights)
    shutil.rmtree(whole.token_folder)
    gone = whole.utterance(int(whole.train[0]))
    kept = Path(gone["audio"]).read_bytes()
    Path(gone["audio"]).unlink()
    features = recipe_of(config_of(corpus, tmp_path / "prepared", weights))
    with pytest.raises(UserError, match="1 of 10 utterances have no speech tokens"):
        preparation.prepare_tokens(whole, config_of(corpus, tmp_path / "prepared", weights))
    config = config_of(corpus, tmp_path / "prepared", weights, "data.max_fault_share=0.2")
    found = preparation.prepare_tokens(whole, config)
    assert len(found.train) == len(whole.train) - 1 and found.token_card["left_out"] == {"missing-audio": 1}
    line, = (json.loads(line) for line in (found.token_folder / "lint.jsonl").read_text(encoding="utf-8").splitlines())
    assert line["id"] == gone["id"] and line["reason"] == "missing-audio"
    assert features.name == "chatterbox"
    Path(gone["audio"]).write_bytes(kept)


def test_characters_that_the_vocabulary_lacks_are_said(make_corpus, weights, tmp_path):
    poor = shutil.copytree(weights, tmp_path / "weights")
    file = poor / "grapheme_mtl_merged_expanded_v1.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    del content["model"]["vocab"]["z"]
    file.write_text(json.dumps(content), encoding="utf-8")
    corpus = make_corpus(tmp_path / "corpus", ("Un zorro azul.", "La casa.", "El mar.", "Una mesa."))
    found = prepared(corpus, tmp_path / "prepared", poor)
    assert found.token_card["unknown"] == 2 and found.token_card["left_out"] == {}  # two z in one sentence, which is used
    line, = (json.loads(line) for line in (found.token_folder / "lint.jsonl").read_text(encoding="utf-8").splitlines())
    assert line["reason"] == "unknown-characters" and "'z'" in line["detail"]


def test_recordings_that_came_inside_a_data_set_are_read_again(make_corpus, weights, tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs the extra hf")
    corpus = make_corpus(tmp_path / "corpus")
    lines = [line.split("|") for line in (corpus / "metadata.csv").read_text(encoding="utf-8").splitlines()]
    rows = {"audio": [{"bytes": (corpus / f"wavs/{name}.wav").read_bytes(), "path": f"{name}.wav"} for name, _ in lines],
            "sentence": [text for _, text in lines]}
    made = datasets.Dataset.from_dict(rows).cast_column("audio", datasets.Audio(sampling_rate=24_000))
    (tmp_path / "set/data").mkdir(parents=True)
    made.to_parquet(tmp_path / "set/data/train-00000-of-00001.parquet")
    config = compose(["model=chatterbox", f"model.weights={weights}", STANDIN, "data=hf", f"data.path={tmp_path / 'set'}",
                      f"data.prepared={tmp_path / 'embedded'}", "data.workers=1"])
    inside = recipe_of(config).prepare(config)
    beside = prepared(corpus, tmp_path / "files", weights)
    assert len(inside) == len(beside) == 10
    for number in range(10):
        assert np.array_equal(inside.codes(number), beside.codes(number))
        assert np.array_equal(inside.text_ids(number), beside.text_ids(number))


def test_another_codec_or_treatment_makes_other_tokens(make_corpus, weights, tmp_path):
    corpus = make_corpus(tmp_path / "corpus")
    one = prepared(corpus, tmp_path / "prepared", weights)
    assert prepared(corpus, tmp_path / "prepared", weights).token_folder == one.token_folder
    untrimmed = prepared(corpus, tmp_path / "prepared", weights, "data.trim_silence=false")
    assert untrimmed.token_folder.name != one.token_folder.name
    tagged = prepared(corpus, tmp_path / "prepared", weights, "model.dialect_tags=true")
    assert tagged.card["content"] != one.card["content"] and tagged.token_card["tags"] == {"castilian": "es-es"}
    with pytest.raises(UserError, match="model.codec=nothing:here"):
        prepared(corpus, tmp_path / "prepared", weights, "model.codec=nothing:here")


def test_the_baseline_is_what_frequencies_score(make_corpus, weights, tmp_path):
    found = prepared(make_corpus(tmp_path / "corpus"), tmp_path / "prepared", weights)
    counts = dict.fromkeys([*range(6561), 6562], 1)
    for number in found.train.tolist():
        for code in [*found.codes(number).tolist(), 6562]:
            counts[code] += 1
    total = sum(counts.values())
    held_out = [code for number in found.validation.tolist() for code in [*found.codes(number).tolist(), 6562]]
    expected = np.mean([-np.log(counts[code] / total) for code in held_out])
    assert found.baseline() == pytest.approx(expected, rel=1e-12)


def test_nobody_is_prompted_with_whom_nobody_names(make_corpus, weights, tmp_path):
    corpus = make_corpus(tmp_path / "corpus")
    lines = (corpus / "metadata.csv").read_text(encoding="utf-8").splitlines()
    named = [f"{line.split('|')[0]}|{'eva' if number % 2 else ''}|{line.split('|')[1]}" for number, line in enumerate(lines)]
    (corpus / "metadata.csv").write_text("\n".join(named) + "\n", encoding="utf-8")
    found = prepared(corpus, tmp_path / "prepared", weights, "data.layout=piper")
    assert sorted(found.names("speaker")) == ["", "eva"]
    prompts = found.prompts(0)
    for number in range(len(found)):
        clip = prompts.choose(number, 1)
        assert (clip is None) == (found.utterance(number)["speaker"] == "")


def test_prompts_of_half_a_million_utterances_are_drawn_one_by_one():
    """Nothing is listed for each speaker or utterance beforehand: a draw looks at its own speaker's clips alone."""
    random = np.random.default_rng(0)
    speakers, lengths = random.integers(0, 5000, 482_000), random.integers(1, 400, 482_000)
    training = np.flatnonzero(random.random(482_000) < 0.99)
    prompts = Prompts(speakers, lengths, training, seed=1)
    for number in random.integers(0, 482_000, 300).tolist():
        clip = prompts.choose(number, 3)
        assert clip != number and speakers[clip] == speakers[number] and lengths[clip] >= 25
    assert len(prompts.without(training)) == 0
