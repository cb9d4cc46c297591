"""What marks in a text do to its speech: pace and melody by token beforehand, pauses and loudness of the sound afterwards."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from chatterbox_es.audio.vocoder import within_full_scale
from chatterbox_es.errors import UserError
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.speech.manner import Manner
from chatterbox_es.text.marks import Way
from chatterbox_es.text.script import Passage
from chatterbox_es.text.ssml_values import SILENT

# Of each level of emphasis: factor on the speed, semitones higher, dB of effort, and dB of mere loudness where a voice knows
# nothing of effort. Choices, not measured.
EMPHASES = {"": (1.0, 0.0, 0.0, 0.0), "reduced": (1.1, -1.0, -3.0, -3.0), "moderate": (0.9, 1.0, 2.0, 2.0),
            "strong": (0.8, 2.0, 4.0, 4.0)}
FADE = 0.005  # s, on both sides of a pause and of a change of loudness, against clicks


def manner_of(passage: Passage, manner: Manner, has_prosody: bool) -> Manner:
    """The manner with what the marks say of each token.

    Raises:
        UserError: a value is out of its range, or the voice has no part for it.
    """
    ways = passage.ways
    if any(way.pitch for way in ways) and not has_prosody:
        raise UserError("<prosody pitch=…>: this voice knows nothing of pitch, and says a text always alike; leave pitch out. "
                        "A voice that does is trained with model.prosody=true")
    speed = _one_if_alike(manner.speed * _values(ways, lambda way: way.rate * EMPHASES[way.emphasis][0]))
    chosen = dataclasses.replace(manner, speed=speed)
    if has_prosody:
        pitch = _one_if_alike(manner.pitch + _values(ways, lambda way: way.pitch + EMPHASES[way.emphasis][1]))
        energy = _one_if_alike(manner.energy + _values(ways, lambda way: EMPHASES[way.emphasis][2]))
        chosen = dataclasses.replace(chosen, pitch=pitch, energy=energy)
    chosen.check()
    return chosen


def loudness(passage: Passage, has_prosody: bool) -> np.ndarray:
    """How many dB louder each token is made, (tokens,)."""
    return _values(passage.ways, lambda way: way.volume + (0.0 if has_prosody else EMPHASES[way.emphasis][3]))


def _values(ways: Sequence[Way], value: Callable[[Way], float]) -> np.ndarray:
    return np.array([value(way) for way in ways])


def _one_if_alike(values: np.ndarray) -> float | np.ndarray:
    return float(values[0]) if np.ptp(values) == 0 else values


Sound = tuple[np.ndarray, np.ndarray, np.ndarray]  # mels (frames, bins), durations (tokens,), samples (frames * hop,)


def louder(sound: Sound, gains: np.ndarray, contract: MelContract) -> Sound:
    """The sound with each token so many dB louder, the whole in full scale."""
    mel, durations, samples = sound
    if not gains.any():
        return sound
    factors = np.repeat(np.where(gains <= SILENT, 0.0, 10 ** (gains / 20)), durations)
    hop = len(samples) // len(mel)
    width = 2 * int(FADE * contract.sample_rate) + 1
    ramp = np.convolve(np.pad(np.repeat(factors, hop), width // 2, mode="edge"), np.full(width, 1 / width), mode="valid")
    floor = math.log(contract.floor)
    with np.errstate(divide="ignore"):
        mel = np.maximum(mel + np.log(factors)[:, None], floor).astype(np.float32)
    return mel, durations, within_full_scale(samples * ramp)


def paused(sound: Sound, pauses: Sequence[tuple[int, int, float]], contract: MelContract) -> Sound:
    """The sound with its pauses, (first token, last token not included, seconds), as long as they should be at least.

    To a frame. Silence is put into the middle of a pause that the voice makes itself, and counted as a part of its token.
    """
    mel, durations, samples = sound
    hop, durations = len(samples) // len(mel), durations.copy()
    edges = np.concatenate([[0], np.cumsum(durations)])
    mels, sounds, done = [], [], 0
    for first, last, seconds in sorted(pauses):
        own = int(edges[last] - edges[first])
        missing = round(seconds * contract.sample_rate / hop) - own
        if missing <= 0:
            continue
        place = int(edges[first]) + own // 2
        token = min(max(int(np.searchsorted(edges, place, side="right")) - 1, first), last - 1) if last > first else first - 1
        durations[token] += missing
        mels += [mel[done:place], np.full((missing, mel.shape[1]), math.log(contract.floor), mel.dtype)]
        sounds += [_faded(samples[done * hop:place * hop], done > 0, True, contract), np.zeros(missing * hop, samples.dtype)]
        done = place
    if not sounds:
        return sound
    rest = _faded(samples[done * hop:], True, False, contract)
    return np.concatenate([*mels, mel[done:]]), durations, np.concatenate([*sounds, rest])


def _faded(samples: np.ndarray, at_start: bool, at_end: bool, contract: MelContract) -> np.ndarray:
    """Samples that begin or end in silence."""
    faded, ramp = samples.copy(), np.linspace(0, 1, int(FADE * contract.sample_rate), endpoint=False, dtype=samples.dtype)
    ramp = ramp[:len(samples)]
    if at_start:
        faded[:len(ramp)] *= ramp
    if at_end:
        faded[len(faded) - len(ramp):] *= ramp[::-1]
    return faded
