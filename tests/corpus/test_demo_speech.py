"""The speech of data=demo: what comes along, what it says of itself, and how its copies are made."""

import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from chatterbox_es.config import compose
from chatterbox_es.corpus import Utterance, corpus_roots, read_corpus
from chatterbox_es.corpus.espeak_demo import read_sentences
from chatterbox_es.corpus.sources import DEMO
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError
from chatterbox_es.text import FrontEnd

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from make_demo_speech import LENGTH_CLASSES, Recording, choose, encode  # noqa: E402


@pytest.fixture(scope="module")
def utterances() -> list[Utterance]:
    found = list(read_corpus(compose(["data=demo"]).data))
    assert [one for one in found if not isinstance(one, Utterance)] == []
    return found


def test_every_recording_is_of_one_of_the_projects_sentences_and_nothing_lies_beside_them(utterances):
    sentences = {f"demo_{number:04d}": sentence for number, sentence in enumerate(read_sentences(), start=1)}
    assert [(one.text, one.spoken) for one in utterances] == [sentences[one.id] for one in utterances]
    assert sorted(DEMO.rglob("*.*")) == sorted([DEMO / "README.md", DEMO / "metadata.csv", *(one.audio for one in utterances)])


def test_it_is_twelve_minutes_of_24_khz_in_at_most_six_megabytes(utterances):
    infos = [soundfile.info(one.audio) for one in utterances]
    assert {(info.samplerate, info.channels, info.format, info.subtype) for info in infos} == {(24_000, 1, "OGG", "OPUS")}
    assert 11.5 < sum(info.duration for info in infos) / 60 <= 12
    assert sum(file.stat().st_size for file in DEMO.rglob("*") if file.is_file()) <= 6_000_000


def test_it_has_every_phone_and_sentences_of_all_kinds(utterances):
    front_end = FrontEnd(dialect="castilian")
    counts = Counter(phone for one in utterances for phone in front_end.read(one.spoken).phonemes)
    spoken = Counter(phone for one in read_sentences() for phone in front_end.read(one.spoken).phonemes)
    assert {phone for phone in spoken if counts[phone] < min(8, spoken[phone])} == set()
    words = [len(one.spoken.split()) for one in utterances]
    assert sum(count <= 3 for count in words) >= 15
    assert sum(count >= 20 for count in words) >= 8
    for kind in (r"\?", "!", r"\d"):
        assert sum(bool(re.search(kind, one.text)) for one in utterances) >= 5, kind


def test_its_card_says_what_it_is():
    card = (DEMO / "README.md").read_text(encoding="utf-8")
    for said in ("SYNTHETIC", "Kokoro-82M", "ef_dora", "Apache-2.0", "Castilian", "scripts/make_demo_speech.py"):
        assert said in card


def test_it_is_prepared_whole_and_as_synthetic(tmp_path, utterances):
    features = prepare(compose(["data=demo", f"data.prepared={tmp_path}", "data.workers=1"]))
    assert len(features) == len(utterances)
    assert (features.card["left_out"], features.card["synthetic"], features.card["dialect"]) == ({}, True, "castilian")


@pytest.mark.parametrize(("arguments", "said"), [
    (["data=demo", "data.dialect=mexican"], "data.dialect=mexican.*castilian and no other; data=espeak data.dialect=mexican"),
    (["data=demo", "data.dialect=martian"], "data.dialect=martian is not known"),
    (["data=demo", "data.path=elsewhere"], "data.path=elsewhere.*leave the path out.*data=espeak"),
    (["data=mix", "data.dialect=mexican", "+data.sources={a:{kind:kokoro}}"], "data.sources.a.dialect=mexican.*data=espeak"),
])
def test_what_it_has_not_is_refused_with_the_way_to_it(arguments, said):
    with pytest.raises(UserError, match=said):
        prepare(compose(arguments))


def test_it_may_be_one_corpus_of_a_mix(utterances):
    data = compose(["data=mix", "data.dialect=mexican", "+data.sources={a:{kind:kokoro,dialect:castilian}}"]).data
    assert corpus_roots(data) == {"a": DEMO}
    assert [(one.id, one.dialect) for one in read_corpus(data)] == [(f"a/{one.id}", "castilian") for one in utterances]


def test_a_copy_is_the_same_bytes_each_time_and_the_same_sound(tmp_path):
    """libsndfile draws the serial number of a stream by chance; with another one every page needs another sum."""
    tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(36_000) / 24_000)
    soundfile.write(tmp_path / "tone.flac", tone, 24_000)
    for name in ("one", "two"):
        encode(tmp_path / "tone.flac", tmp_path / f"{name}.opus", serial=7)
    encode(tmp_path / "tone.flac", tmp_path / "other.opus", serial=8)
    one, two, other = ((tmp_path / f"{name}.opus").read_bytes() for name in ("one", "two", "other"))
    assert one == two != other
    samples, rate = soundfile.read(tmp_path / "one.opus")
    assert (rate, samples.shape) == (24_000, tone.shape)
    assert np.corrcoef(samples, tone)[0, 1] > 0.99


def test_the_choice_keeps_the_lengths_and_prefers_what_is_rare():
    def recording(number: int, seconds: float, *pairs: str) -> Recording:
        return Recording(f"demo_{number:04d}", read_sentences()[0], Path(), seconds, [tuple(pair) for pair in pairs])

    rare = {5, 12, 44}
    given = [recording(number, 1 + number // LENGTH_CLASSES, "ab", f"x{number}" if number in rare else "cd")
             for number in range(LENGTH_CLASSES ** 2)]
    chosen = choose(given, sum(one.seconds for one in given) / 4)
    assert chosen == choose(given[::-1], sum(one.seconds for one in given) / 4)
    numbers = {int(one.id[5:]) for one in chosen}
    assert rare <= numbers
    assert {number // LENGTH_CLASSES for number in numbers} == set(range(LENGTH_CLASSES))
    assert sum(one.seconds for one in chosen) <= sum(one.seconds for one in given) / 4
