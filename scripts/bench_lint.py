"""What the lint finds of damage that was put in, and what it says of recordings that nobody touched.

    python scripts/bench_lint.py                          recordings damaged in eight ways, ten of each, and ten copies
    python scripts/bench_lint.py run=RUN corpus=DIR       texts that are another recording's, cut or changed, by a voice

Both damage a corpus in LJSpeech's layout (by default the real voice beside the project) in a folder of their own.
"""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import soxr

from chatterbox_es import command_line
from chatterbox_es.config import compose
from chatterbox_es.dataset.inspection import Inspection
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError
from chatterbox_es.models.acoustic.alignment_scores import alignment_scores
from chatterbox_es.models.families import checkpoint_of_mels

ROOT = Path(__file__).resolve().parents[1]
EACH = 10  # utterances of each kind of damage


@dataclass
class LintBenchOptions:
    """The arguments of the command."""

    corpus: str = field(default=str(ROOT.parent / "shared/corpora/dona"), metadata={"help": "recordings to damage"})
    run: str = field(default="", metadata={"help": "a voice trained on the corpus: damages texts in place of recordings"})
    folder: str = field(default="outputs/bench_lint", metadata={"help": "where the damaged corpus is made"})


Damage = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def noisy(samples: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    """White noise 10 dB below the mean power."""
    return samples + random.normal(0, np.sqrt(np.mean(samples**2) / 10), len(samples))


def paused(samples: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    """Four seconds of room inside."""
    half = len(samples) // 2
    return np.concatenate([samples[:half], random.normal(0, 1e-4, 4 * rate), samples[half:]])


RECORDINGS: dict[str, tuple[str, Damage]] = {  # how: (the measure that should find it, what is done)
    "noise at 10 dB": ("snr", noisy),
    "clipped at a third of the peak, then made softer": (
        "clipping", lambda samples, rate, _: 0.5 * np.clip(samples, -np.abs(samples).max() / 3, np.abs(samples).max() / 3)),
    "brought to 8 kHz and back": (
        "bandwidth", lambda samples, rate, _: soxr.resample(soxr.resample(samples, rate, 8000), 8000, rate)),
    "a pause of 4 s": ("longest_pause", paused),
    "40 dB softer": ("level", lambda samples, rate, _: samples / 100),
    "an offset of 0.1": ("dc", lambda samples, rate, _: samples / 2 + 0.1),
}  # fmt: skip
TEXTS: dict[str, tuple[str, Callable[[str], str]]] = {
    "a third of the text": ("speaking_rate", lambda text: " ".join(text.split()[: max(len(text.split()) // 3, 1)])),
    "the text three times": ("speaking_rate", lambda text: " ".join([text] * 3)),
}


def read(corpus: Path) -> list[tuple[str, str, Path]]:
    """Id, text and recording of each row."""
    if not (corpus / "metadata.csv").is_file():
        raise UserError(f"corpus={corpus} holds no metadata.csv: name a folder in LJSpeech's layout")
    rows = [line.split("|") for line in (corpus / "metadata.csv").read_text(encoding="utf-8").splitlines() if line]
    sounds = {path.stem: path.resolve() for place in ("wavs", "audio") for path in (corpus / place).glob("*")}
    return [(row[0], row[1], sounds[row[0]]) for row in rows]


def write(folder: Path, rows: list[tuple[str, str, Path | np.ndarray, int]]) -> None:
    """A corpus of recordings that are linked, or written from their samples."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "wavs").mkdir(parents=True)
    for id, _, sound, rate in rows:
        if isinstance(sound, Path):
            os.symlink(sound, folder / f"wavs/{id}{sound.suffix}")
        else:
            soundfile.write(folder / f"wavs/{id}.{'mp3' if id.startswith('copy') else 'wav'}", sound, rate)
    (folder / "metadata.csv").write_text("".join(f"{id}|{text}\n" for id, text, *_ in rows), encoding="utf-8")


def found_of(folder: Path, run: str = "") -> tuple[dict[str, set[str]], list[set[str]]]:
    """The measures by which each utterance stands out ("refused" where it cannot be used), and groups of the same recording."""
    config = compose(["data=folder", f"data.path={folder}", f"data.prepared={folder.parent}/prepared"])
    features = prepare(config)
    scores = alignment_scores(*checkpoint_of_mels(Path(run)), features, config.data)["alignment"] if run else None
    lint = Inspection.of(features, scores)
    found = {features.utterance(number)["id"]: {finding.measure for finding in findings}
             for number, findings in lint.outliers.findings.items()}
    found |= {fault["id"]: {"refused"} for fault in lint.faults}
    return found, [{features.utterance(number)["id"] for number in group} for group in lint.duplicates["duplicate_audio"]]


def recordings(options: LintBenchOptions) -> None:
    rows = read(Path(options.corpus))
    kinds = [*RECORDINGS, *TEXTS, "copied"]
    if len(rows) < 2 * EACH * len(kinds) * 3 // 4:
        raise UserError(f"corpus={options.corpus} has {len(rows)} recordings; too few of them would stay undamaged")
    random = np.random.default_rng(0)
    chosen = random.permutation(len(rows))[: EACH * len(kinds)].reshape(len(kinds), EACH)
    damaged = {int(number): kind for kind, numbers in zip(kinds, chosen, strict=True) for number in numbers}
    written = []
    for number, (_, text, path) in enumerate(rows):
        kind, name = damaged.get(number, ""), f"{number:05d}"
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        if kind in RECORDINGS:
            written.append((name, text, RECORDINGS[kind][1](samples[:, 0], rate, random), rate))
        else:
            written.append((name, TEXTS[kind][1](text) if kind in TEXTS else text, path, rate))
        if kind == "copied":
            written.append((f"copy{name}", text, 0.5 * samples[:, 0], rate))
    write(Path(options.folder, "recordings"), written)
    found, same = found_of(Path(options.folder, "recordings"))
    for kind in kinds[:-1]:
        measure = (RECORDINGS | TEXTS)[kind][0]
        told = [found.get(f"{number:05d}", set()) for number, how in damaged.items() if how == kind]
        hit, refused = sum(measure in each for each in told), sum("refused" in each for each in told)
        print(f"{kind}: {hit} of {EACH} found by {measure}" + f", {refused} refused" * bool(refused))
    copies = [{f"{number:05d}", f"copy{number:05d}"} for number, how in damaged.items() if how == "copied"]
    print(f"copied as MP3 at half the level: {sum(copy in same for copy in copies)} of {EACH} found as duplicates, "
          f"{len([group for group in same if group not in copies])} groups beside them")
    others = [number for number in range(len(rows)) if number not in damaged]
    told = Counter(measure for number in others for measure in found.get(f"{number:05d}", ()))
    print(f"of {len(others)} that nobody touched {sum(f'{number:05d}' in found for number in others)} stand out: {dict(told)}")


def texts(options: LintBenchOptions) -> None:
    """Exchanged texts are of like length, so that only what is said tells them."""
    rows = read(Path(options.corpus))[:400]
    said = [text for _, text, _ in rows]
    order = np.argsort([len(text) for text in said], kind="stable").tolist()
    places = np.linspace(4, len(rows) - 6, 4 * EACH).astype(int)
    damaged: dict[int, str] = {}
    for place, kind in zip(places.tolist(), ["exchanged", "its last third missing", "exchanged", "one word another"] * EACH,
                           strict=True):
        one, other = order[place], order[place + 1]
        if kind == "exchanged":
            said[one], said[other] = said[other], said[one]
            damaged[other] = kind
        else:
            words = said[one].split()
            said[one] = " ".join(words[: 2 * len(words) // 3] if "third" in kind
                                 else [*words[: len(words) // 2], "ferrocarril", *words[len(words) // 2 + 1:]])
        damaged[one] = kind
    write(Path(options.folder, "texts"), [(f"{n:05d}", said[n], path, 0) for n, (_, _, path) in enumerate(rows)])
    found, _ = found_of(Path(options.folder, "texts"), options.run)
    count = Counter(kind for number, kind in damaged.items() if "alignment" in found.get(f"{number:05d}", ()))
    for kind, many in Counter(damaged.values()).items():
        print(f"{kind}: {count[kind]} of {many} found by alignment")
    others = [number for number in range(len(rows)) if number not in damaged]
    print(f"of {len(others)} others {sum('alignment' in found.get(f'{n:05d}', ()) for n in others)} stand out by alignment")


def main() -> None:
    options = command_line.parse(LintBenchOptions, sys.argv[1:], __doc__)
    options.folder = os.path.abspath(options.folder)
    texts(options) if options.run else recordings(options)


if __name__ == "__main__":
    command_line.run(main)
