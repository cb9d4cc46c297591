"""Dialect contrasts: known truths of espeak-ng, and when nothing may be said."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import binom

from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.contrasts import CONTRASTS, FEWEST_PLACES, Contrasts, Finding, expected, verdict
from chatterbox_es.evaluation.intervals import Proportion
from chatterbox_es.evaluation.minimal_pairs import CARRIER, minimal_pairs, pair_sentences
from chatterbox_es.evaluation.places import kind_of
from chatterbox_es.evaluation.recognisers import load_recogniser
from chatterbox_es.evaluation.sounds import RECORDINGS, Failure, Sound
from chatterbox_es.text import DIALECTS, FrontEnd

JUDGE = Path(__file__).parents[3] / "shared" / "judge"
CASTILIAN = FrontEnd("castilian")
RATE = 16_000
PHONE = 0.1  # s


class Said(NamedTuple):
    samples: np.ndarray
    rate: int


class Evenly:
    """An aligner for speakers who give each phoneme the same time."""

    name = "evenly"

    def align(self, samples: np.ndarray, rate: int, phonemes: list[str]) -> np.ndarray:
        places = np.arange(len(phonemes)) * PHONE
        if round(len(phonemes) * PHONE * rate) != len(samples):
            raise ValueError("the sound does not fit the phonemes")
        return np.stack([places, places + PHONE], axis=1)


class Speaker:
    """Says s as high noise, θ as low noise, all else as a tone; in a dialect, evenly."""

    def __init__(self, dialect: str, seed: int, blur: float = 0.0):
        self.front_end, self.random, self.blur = FrontEnd(dialect), np.random.default_rng(seed), blur

    def speak(self, text: str) -> Said:
        phonemes = self.front_end.read(text).phonemes
        return Said(np.concatenate([self.phone(phone) for phone in phonemes]).astype(np.float32), RATE)

    def phone(self, phone: str) -> np.ndarray:
        time = np.arange(round(PHONE * RATE)) / RATE
        noise = self.random.normal(0, 0.1, len(time))
        high, low = np.diff(noise, prepend=0), np.convolve(noise, np.ones(8) / 8, "same") * 2
        if phone == "s":
            return high
        if phone == "θ":
            return low + self.blur * (high - low)
        return 0.2 * np.sin(2 * np.pi * (150 + ord(phone[-1]) % 40) * time) + 0.01 * noise


TEXTS = [f"{first} {second} la {third}" for first, second, third in zip(
    ["cinco casas", "la taza suya", "ese cazo", "un pozo seco", "una cena sosa", "su voz suave", "diez sopas"] * 2,
    ["cenan", "se cosen", "hacen eso", "razonan así", "sacian", "zurcen una seda", "cecea Susana"] * 2,
    ["mesa", "zona", "casita", "cereza", "pasada", "cosa", "plaza", "rosa", "moza", "masa", "cera", "sala", "caza", "taza"],
    strict=True)]  # fmt: skip


def say(system: str, speaker: Speaker, texts: list[str] = TEXTS) -> list[Sound]:
    return [Sound(system, str(number), text, (), speaker.speak(text).samples, RATE) for number, text in enumerate(texts)]


def findings(measure: Contrasts, contrast: str = "c z / s") -> dict[str, Finding]:
    return {finding.system: finding for finding in measure.findings if finding.contrast.name == contrast}


def test_distincion_and_seseo_are_told_apart_and_counted() -> None:
    speakers = {"castilian": Speaker("castilian", 1), "mexican": Speaker("mexican", 2)}
    measure = Contrasts(Evenly(), "castilian", speakers)
    sounds = say(RECORDINGS, Speaker("castilian", 0)) + [
        sound for name, speaker in speakers.items() for sound in say(name, speaker)]
    rows = measure(sounds)
    found = findings(measure)
    assert [found[name].verdict for name in (RECORDINGS, "castilian", "mexican")] == ["distinción", "distinción", "seseo"]
    readings = [CASTILIAN.read(text).phonemes for text in TEXTS]
    z_places = sum(reading.count("θ") for reading in readings)
    assert found["mexican"].heard_first["θ"] == Proportion(0, z_places)
    assert found["castilian"].heard_first["θ"] == Proportion(z_places, z_places)
    assert str(found["castilian"].pairs) == str(Proportion(20, 20)) and found["mexican"].pairs == Proportion(0, 20)
    assert len(rows) == len(sounds)  # the minimal pairs are the measure's own, and get no row
    by_system = {system: [row for sound, row in zip(sounds, rows, strict=True) if sound.system == system] for system in found}
    kept = {system: sum(row["contrasts_kept"] for row in of) / sum(row["contrasts_places"] for row in of)
            for system, of in by_system.items()}
    assert kept["castilian"] == 1 and kept["mexican"] < 0.7


def test_what_a_dialect_expects_decides_what_counts_as_kept() -> None:
    sounds = say(RECORDINGS, Speaker("castilian", 0)) + say("voice", Speaker("mexican", 2))
    kept = {dialect: sum(row["contrasts_kept"] for row in Contrasts(Evenly(), dialect)(sounds)[len(TEXTS):])
            for dialect in ("castilian", "mexican")}
    places = sum(row["contrasts_places"] for row in Contrasts(Evenly(), "mexican")(sounds)[len(TEXTS):])
    assert kept["mexican"] == places > kept["castilian"]


def test_nothing_is_said_where_the_recordings_make_no_contrast() -> None:
    measure = Contrasts(Evenly())
    measure(say(RECORDINGS, Speaker("mexican", 0)) + say("voice", Speaker("castilian", 1)))
    found = findings(measure)["voice"]
    assert not found.is_usable and "not measurable: in the recordings" in found.verdict and found.pairs is None
    final_s = findings(measure, "final s")["voice"]
    assert not final_s.is_usable and "fewer than 10 places" in final_s.verdict


def test_nothing_is_said_of_few_recordings_or_none() -> None:
    for texts in (TEXTS[:2], []):
        measure = Contrasts(Evenly())
        measure(say(RECORDINGS, Speaker("castilian", 0), texts) + say("voice", Speaker("castilian", 1)))
        assert "not measurable: fewer than" in findings(measure)["voice"].verdict


def test_a_sound_that_cannot_be_aligned_is_a_failure() -> None:
    sounds = say(RECORDINGS, Speaker("castilian", 0))
    sounds[3] = dataclasses.replace(sounds[3], samples=sounds[3].samples[:-500])
    rows = Contrasts(Evenly())(sounds)
    assert [place for place, row in enumerate(rows) if isinstance(row, Failure)] == [3]


def test_no_recording_is_judged_by_a_classifier_that_has_heard_it() -> None:
    """Labels of chance: whoever has heard a place knows it, and whoever has not is right half the time."""
    random, speaker = np.random.default_rng(0), Speaker("mexican", 0)
    texts = [" ".join(random.choice(["casa", "caza", "poso", "pozo", "masa", "maza"], 6)) for _ in range(40)]
    measure = Contrasts(Evenly())
    measure(say(RECORDINGS, speaker, texts))
    assert 0.35 < findings(measure)[RECORDINGS].ceiling < 0.65


def test_every_minimal_pair_differs_in_one_place_of_its_contrast() -> None:
    kinds = {contrast.name: (contrast.first, contrast.second) for contrast in CONTRASTS}
    assert len(minimal_pairs()) == len(set(minimal_pairs())) == 30
    for name, *words in minimal_pairs():
        readings = [CASTILIAN.read(CARRIER.format(word)).phonemes for word in words]
        differing = [pair for pair in zip(*readings, strict=True) if pair[0] != pair[1]]
        assert differing == [kinds[name]], words
        for reading in readings:
            assert sum(kind_of(reading, place) in kinds[name] for place in range(len(reading))) == 1, words
    assert len(dict(pair_sentences())) == 60


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_a_dialect_expects_is_what_its_front_end_says(dialect: str) -> None:
    said = {word: FrontEnd(dialect).read(word).phonemes for word in ("caza", "pollo", "más")}
    by_name = {contrast.name: contrast for contrast in CONTRASTS}
    assert expected(by_name["c z / s"], "θ", dialect) == ("θ" if "θ" in said["caza"] else "s")
    assert expected(by_name["ll / y"], "ʎ", dialect) == ("ʎ" if "ʎ" in said["pollo"] else None)
    assert expected(by_name["ll y as ʃ"], "ʝ", dialect) == ("s" if "ʃ" in said["pollo"] else "sonorants")
    assert expected(by_name["final s"], "final s", dialect) == ("s" if "s" in said["más"] else "f x")


@pytest.mark.parametrize(("z", "s", "said"), [
    (0.95, 0.02, "distinción"), (0.1, 0.1, "seseo"), (0.9, 0.9, "ceceo"), (0.5, 0.1, "between"), (0.1, 0.9, "neither")])
def test_verdicts_need_clear_shares(z: float, s: float, said: str) -> None:
    shares = {"θ": Proportion(round(100 * z), 100), "s": Proportion(round(100 * s), 100)}
    assert verdict(Finding("voice", CONTRASTS[0], shares, 0.95, "")).startswith(said)


def test_wilson_intervals_hold_the_truth_as_often_as_they_say() -> None:
    assert Proportion(9, 10).interval == pytest.approx((0.5958, 0.9821), abs=1e-4)  # statsmodels' proportion_confint, wilson
    truth, n = 0.9, 40
    covered = sum(binom.pmf(count, n, truth) for count in range(n + 1)
                  if Proportion(count, n).interval[0] <= truth <= Proportion(count, n).interval[1])
    assert covered == pytest.approx(0.95, abs=0.03)
    assert Proportion(0, 0).interval == (0, 1) and str(Proportion(0, 0)) == "none" and FEWEST_PLACES == 10


def test_a_recogniser_that_cannot_align_is_refused() -> None:
    class Whisper:
        name = "whisper:small"

    with pytest.raises(UserError, match="whisper:small cannot align.*pocketsphinx"):
        Contrasts(Whisper())
    with pytest.raises(UserError, match="dialect=martian"):
        Contrasts(Evenly(), "martian")


@pytest.mark.slow
@pytest.mark.skipif(not JUDGE.is_dir(), reason="no acoustic model: ../shared/judge is absent")
def test_espeaks_castilian_and_latin_american_voices_are_what_they_are() -> None:
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed")
    import soxr

    from chatterbox_es.corpus.espeak_demo import Espeak, read_sentences

    class Voice:
        def __init__(self, name: str):
            self.name = name

        def speak(self, text: str) -> Said:
            with Espeak(self.name) as voice:
                return Said(soxr.resample(voice.speak(text), voice.rate, RATE), RATE)

    texts = [sentence.spoken for sentence in read_sentences()[:60]]
    voices = {"es": Voice("es"), "es-419": Voice("es-419")}
    measure = Contrasts(load_recogniser(f"pocketsphinx:{JUDGE}"), "castilian", voices)
    measure(say(RECORDINGS, voices["es"], texts) + say("es-419", voices["es-419"], texts))
    found = findings(measure)
    assert (found[RECORDINGS].verdict, found["es-419"].verdict) == ("distinción", "seseo")
    assert found["es"].pairs.value > 0.9 and found["es-419"].pairs.value < 0.1
