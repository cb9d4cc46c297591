"""Recordings as other rooms, microphones and throats would have made them: variety for a model that has heard few.

    python scripts/vary_speech.py FOLDER OUT [seed=0]

FOLDER is a corpus in LJSpeech form (metadata.csv, wavs/). OUT becomes another that holds each of its recordings as it is (a
link) and, as ID_varied, once more: resampled (up to four semitones up or down, so higher or lower, with another throat, and
faster or slower), through a room (an exponential tail of noise, Lehmann & Johansson 2008), filtered by a smooth curve of up to
6 dB, with coloured noise 20 to 55 dB below the speech, at another level. Each recording's changes follow from the seed and its
name. It is meant for models of sound alone, such as the vocoder: a varied recording's words are the same, its dialect's sounds
may not be.
"""

import sys
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from zlib import crc32

import numpy as np
import soxr
from scipy.signal import fftconvolve, firwin2

from chatterbox_es import command_line
from chatterbox_es.audio.waveform import read_audio, write_audio
from chatterbox_es.errors import UserError

RATE = 24_000  # Hz
SEMITONES = 4.0
EQUALISER_DB, EQUALISER_TAPS = 6.0, 511
NOISE_DB = (-55.0, -20.0)
ROOM_SHARE, ROOM_SECONDS, ROOM_DB = 0.5, (0.1, 0.5), (-20.0, -6.0)  # of recordings; to -60 dB; tail against direct sound
PEAK_DB = (-12.0, -1.0)


def varied(samples: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    """(samples,) float32 → (samples',) float32, within ±1."""
    factor = 2 ** (random.uniform(-SEMITONES, SEMITONES) / 12)
    samples = soxr.resample(samples, rate, rate / factor, quality="HQ").astype(np.float64)
    if random.random() < ROOM_SHARE:
        samples = fftconvolve(samples, room(rate, random))[:len(samples)]
    samples = fftconvolve(samples, equaliser(rate, random), mode="same")
    loudness = np.sqrt(np.mean(samples ** 2))
    samples = samples + loudness * 10 ** (random.uniform(*NOISE_DB) / 20) * coloured_noise(len(samples), random)
    return (samples * 10 ** (random.uniform(*PEAK_DB) / 20) / max(1e-9, np.abs(samples).max())).astype(np.float32)


def room(rate: int, random: np.random.Generator) -> np.ndarray:
    """An impulse response: the direct sound, and a tail of noise that decays."""
    seconds, level = random.uniform(*ROOM_SECONDS), 10 ** (random.uniform(*ROOM_DB) / 20)
    times = np.arange(int(seconds * rate)) / rate
    tail = random.standard_normal(len(times)) * 10 ** (-3 * times / seconds)
    tail[:int(0.002 * rate)] = 0
    tail *= level / np.linalg.norm(tail)
    tail[0] = 1
    return tail


def equaliser(rate: int, random: np.random.Generator) -> np.ndarray:
    """A filter whose gain moves smoothly along the octaves from 80 Hz."""
    corners = np.geomspace(80, rate / 2, 7)
    decibels = random.uniform(-EQUALISER_DB, EQUALISER_DB, len(corners))
    lines = np.linspace(0, rate / 2, 257)
    gains = 10 ** (np.interp(np.log(np.maximum(lines, 80)), np.log(corners), decibels) / 20)
    return firwin2(EQUALISER_TAPS, lines, gains, fs=rate)


def coloured_noise(length: int, random: np.random.Generator) -> np.ndarray:
    """Noise of unit power between white and brown."""
    spectrum = np.fft.rfft(random.standard_normal(length))
    spectrum *= np.maximum(np.arange(len(spectrum)), len(spectrum) / 400) ** -random.uniform(0, 1)
    noise = np.fft.irfft(spectrum, length)
    return noise / np.sqrt(np.mean(noise ** 2))


def vary(path: Path, out: Path, seed: int) -> None:
    random = np.random.default_rng((seed, crc32(path.stem.encode())))
    write_audio(out / f"{path.stem}_varied.wav", varied(read_audio(path, RATE), RATE, random), RATE)


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
    folders = [Path(argument) for argument in sys.argv[1:] if "=" not in argument]
    if len(folders) != 2:
        raise UserError(f"needs two folders\n{__doc__}")
    source, out = folders
    lines = (source / "metadata.csv").read_text(encoding="utf-8").splitlines()
    sounds = sorted((source / "wavs").iterdir())
    (out / "wavs").mkdir(parents=True, exist_ok=True)
    for sound in sounds:
        link = out / "wavs" / sound.name
        link.unlink(missing_ok=True)
        link.symlink_to(sound.resolve())
    with Pool() as pool:
        pool.map(partial(vary, out=out / "wavs", seed=int(options.get("seed", "0"))), sounds, chunksize=8)
    again = ["|".join((f"{name}_varied", rest)) for name, _, rest in (line.partition("|") for line in lines)]
    (out / "metadata.csv").write_text("\n".join([*lines, *again]) + "\n", encoding="utf-8")
    print(f"{out}: {len(sounds)} recordings, each twice")


if __name__ == "__main__":
    command_line.run(main)
