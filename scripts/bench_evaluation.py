"""How long an evaluation takes, and whether its figures are those of independent implementations.

    python scripts/bench_evaluation.py what=time run=outputs/4_3/TIME sentences=100
    python scripts/bench_evaluation.py what=agreement corpus=../shared/corpora/dona pairs=20

time: the whole command with all measures (the recogniser's where one is named or installed), its process from start to end.

agreement: pairs of a recording and its mel round trip. Mel-cepstral distortion, F0 figures and error rates of words, characters
and phones beside the same definitions written out in loops; mel-cepstra also beside SPTK's (pysptk), where that can be
imported.
"""

import dataclasses
import math
import os
import re
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from chatterbox_es import command_line
from chatterbox_es.audio.f0 import world
from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.audio.mel import MelContract
from chatterbox_es.audio.vocoder import GriffinLim
from chatterbox_es.audio.waveform import read_audio
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.intelligibility import Intelligibility, corpus_rates
from chatterbox_es.evaluation.mcd import F0_CEILING, F0_FLOOR, QUIETEST, RATE, align, all_pass_constant, analyse, distortion
from chatterbox_es.evaluation.prosody import melody
from chatterbox_es.evaluation.recognisers import load_recogniser
from chatterbox_es.evaluation.sounds import Sound
from chatterbox_es.evaluation.systems import treat
from chatterbox_es.pkg_resources_shim import import_old
from chatterbox_es.text import FrontEnd


@dataclasses.dataclass
class Options:
    what: str = dataclasses.field(metadata={"help": "time or agreement"})
    run: str = dataclasses.field(default="", metadata={"help": "time: the run; none: the newest"})
    sentences: int = dataclasses.field(default=100, metadata={"help": "time: how many"})
    corpus: str = dataclasses.field(default="../shared/corpora/dona", metadata={"help": "agreement: folder with wavs/"})
    pairs: int = dataclasses.field(default=20, metadata={"help": "agreement: how many"})
    recogniser: str = dataclasses.field(default="pocketsphinx:../shared/judge", metadata={"help": "who listens"})


def main() -> None:
    options = command_line.parse(Options, sys.argv[1:], __doc__)
    if options.what not in ("time", "agreement"):
        raise UserError(f"what={options.what}: must be time or agreement")
    (measure_time if options.what == "time" else measure_agreement)(options)


# ---- time


def measure_time(options: Options) -> None:
    from chatterbox_es.speech.voices import newest_voice

    run = Path(options.run) if options.run else newest_voice(Path("outputs"))
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "chatterbox_es.evaluate", f"run={run}", f"out={scratch}",
                               f"sentences={options.sentences}", f"recogniser={options.recogniser}"],
                              capture_output=True, text=True, check=False)
        wall = time.perf_counter() - began
        if done.returncode:
            raise UserError(f"the evaluation failed: {done.stderr}")
        rows = (Path(scratch) / "rows.jsonl").read_text(encoding="utf-8").count("\n")
    print(f"{rows} rows of {options.sentences} sentences, {options.recogniser}: {wall:.1f} s on {os.cpu_count()} cores")


# ---- agreement


def measure_agreement(options: Options) -> None:
    files = sorted(path for path in (Path(options.corpus) / "wavs").iterdir() if path.suffix in (".wav", ".flac", ".ogg"))
    contract, sptk = MelContract(), load_sptk()
    vocoder, rate = GriffinLim(contract), contract.sample_rate
    chosen = [files[round(place)] for place in np.linspace(0, len(files) - 1, options.pairs)]
    table = (Path(options.corpus) / "metadata.csv").read_text(encoding="utf-8")
    texts = dict(line.split("|")[:2] for line in table.splitlines())
    front_end, sounds, worst = FrontEnd("castilian"), [], {}
    for path in chosen:
        recording = treat(read_audio(path, rate), rate)
        sound = treat(vocoder(log_mel(recording, contract).numpy()), rate)
        pair = align(analyse(sound, rate), analyse(recording, rate))
        mine = {"mcd": distortion(pair), **melody(pair)}
        envelopes = [envelope(samples, rate) for samples in (sound, recording)]
        cepstra = [looped_cepstra(spectra, all_pass_constant(RATE)) for _, spectra in envelopes]
        value, path_taken = looped_distortion(*cepstra)
        witness = {"mcd": value, **looped_melody([f0 for f0, _ in envelopes], path_taken)}
        if sptk is not None:
            theirs = [sptk.sp2mc(spectra, 24, all_pass_constant(RATE)) for _, spectra in envelopes]
            witness["mcd by pysptk"], mine["mcd by pysptk"] = looped_distortion(*theirs)[0], mine["mcd"]
        note(path.stem, mine, witness, worst)
        reading = front_end.read(texts[path.stem])
        sounds += [Sound(system, path.stem, reading.words, reading.phonemes, samples, rate)
                   for system, samples in (("recordings", recording), ("round trip", sound))]
    score_words(sounds, options.recogniser, worst)
    print("greatest relative difference: " + ", ".join(f"{name} {gap:.1e}" for name, gap in worst.items()))


def note(name: str, mine: dict[str, float], witness: dict[str, float], worst: dict[str, float]) -> None:
    """Print two sides' figures, and keep the greatest differences."""
    for figure, value in witness.items():
        worst[figure] = max(worst.get(figure, 0.0), abs(mine[figure] - value) / max(abs(value), 1e-9))
    shown = ", ".join(f"{figure} {mine[figure]:.4f} / {value:.4f}" for figure, value in witness.items())
    print(f"{name}: {shown}", flush=True)


def score_words(sounds: list[Sound], recogniser: str, worst: dict[str, float]) -> None:
    """Error rates of what a recogniser hears, sound by sound, and of all of a system's together."""
    measure = Intelligibility(load_recogniser(recogniser))
    rows = list(zip(sounds, measure(sounds), strict=True))
    for system in dict.fromkeys(sound.system for sound in sounds):
        sums: dict[str, list[int]] = {}
        for sound, row in rows:
            if sound.system != system:
                continue
            heard, said = measure.heard[system, sound.utterance], " ".join(re.findall(r"[^\W\d_]+", sound.words.lower()))
            sides = {"wer": (said.split(), heard.words.split()), "cer": (said, heard.words)}
            sides |= {"per": (heard.said, heard.phones)} if "per" in row else {}
            edits = {name: (looped_edits(*both), len(both[0])) for name, both in sides.items()}
            for name, (count, length) in edits.items():
                sums[name] = [sum(pair) for pair in zip(sums.get(name, (0, 0)), (count, length), strict=True)]
            note(f"{system}, {sound.utterance}", row, {name: count / length for name, (count, length) in edits.items()}, worst)
        together = corpus_rates([row for sound, row in rows if sound.system == system])
        note(f"{system}, all", {name: float(together[name][0]) for name in sums},
             {name: count / length for name, (count, length) in sums.items()}, worst)


def looped_edits(said: Sequence[str], heard: Sequence[str]) -> int:
    """The fewest substitutions, deletions and insertions that make ``heard`` of ``said`` (Wagner & Fischer 1974)."""
    row = list(range(len(heard) + 1))
    for i, one in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(before + (one != other), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def load_sptk() -> types.ModuleType | None:
    """pysptk, which asks for a module of setuptools that is gone, to find its example sounds; none are wanted here."""
    try:
        return import_old("pysptk")
    except ImportError:
        print("pysptk is not installed: no comparison with SPTK")
        return None


def envelope(samples: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """F0 (frames,) and power spectra (frames, bins) of WORLD, which both sides start from."""
    import soxr

    signal = soxr.resample(samples.astype(np.float64), rate, RATE)
    coarse, times = world().dio(signal, RATE, f0_floor=F0_FLOOR, f0_ceil=F0_CEILING, speed=4)
    f0 = world().stonemask(signal, coarse, times, RATE)
    return f0, np.maximum(world().cheaptrick(signal, f0, times, RATE), QUIETEST)


def looped_cepstra(spectra: np.ndarray, alpha: float, order: int = 24) -> np.ndarray:
    """Power spectra (frames, bins) to mel-cepstra (frames, order + 1): a cosine transform, then the all-pass recursion."""
    bins = spectra.shape[1]
    log_magnitude = np.log(spectra) / 2
    places = np.arange(bins)
    weights = np.where((places == 0) | (places == bins - 1), 1.0, 2.0)
    cosine = np.cos(np.pi * np.outer(places, places) / (bins - 1)) * weights[:, None] / (2 * (bins - 1))
    cepstra = log_magnitude @ cosine * weights
    warped = np.zeros((len(spectra), order + 1))
    for quefrency in range(bins - 1, -1, -1):
        before = warped.copy()
        warped[:, 0] = cepstra[:, quefrency] + alpha * before[:, 0]
        warped[:, 1] = (1 - alpha**2) * before[:, 0] + alpha * before[:, 1]
        for m in range(2, order + 1):
            warped[:, m] = before[:, m - 1] + alpha * (before[:, m] - warped[:, m - 1])
    return warped


def looped_distortion(one: np.ndarray, other: np.ndarray) -> tuple[float, list[tuple[int, int]]]:
    """The mean of 10 / ln 10 · √(2 Σ Δc²) along the cheapest path, and the path."""
    distances = [(10 / math.log(10) * np.sqrt(2 * ((other[:, 1:] - frame[1:]) ** 2).sum(1))).tolist() for frame in one]
    height, width = len(one), len(other)
    total = [[math.inf] * width for _ in range(height)]
    came = [[(0, 0)] * width for _ in range(height)]
    for i in range(height):
        for j in range(width):
            best, where = (0.0, (-1, -1)) if i == j == 0 else (math.inf, (0, 0))
            for step in ((i - 1, j - 1), (i - 1, j), (i, j - 1)):
                if min(step) >= 0 and total[step[0]][step[1]] < best:
                    best, where = total[step[0]][step[1]], step
            total[i][j], came[i][j] = best + distances[i][j], where
    path, cell = [], (height - 1, width - 1)
    while cell != (-1, -1):
        path.append(cell)
        cell = came[cell[0]][cell[1]]
    return total[-1][-1] / len(path), path


def looped_melody(tracks: list[np.ndarray], path: list[tuple[int, int]]) -> dict[str, float]:
    """The figures of F0 over the cells of a path, cell by cell."""
    cents, hertz, gross, mixed, pairs = [], [], 0, 0, []
    for i, j in path:
        mine, theirs = float(tracks[0][i]), float(tracks[1][j])
        if (mine > 0) != (theirs > 0):
            mixed += 1
        elif mine > 0:
            cents.append((1200 * math.log(mine / theirs, 2)) ** 2)
            hertz.append((mine - theirs) ** 2)
            gross += abs(mine - theirs) > 0.2 * theirs
            pairs.append((math.log(mine), math.log(theirs)))
    means = [sum(pair[side] for pair in pairs) / len(pairs) for side in (0, 1)]
    products = [sum((pair[a] - means[a]) * (pair[b] - means[b]) for pair in pairs) for a, b in ((0, 1), (0, 0), (1, 1))]
    return {"f0_rmse": math.sqrt(sum(cents) / len(cents)), "f0_rmse_hz": math.sqrt(sum(hertz) / len(hertz)),
            "f0_correlation": products[0] / math.sqrt(products[1] * products[2]),
            "gross_pitch_error": gross / len(pairs), "voicing_error": mixed / len(path)}


if __name__ == "__main__":
    command_line.run(main)
