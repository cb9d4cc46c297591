"""The samples of checkpoints and the recordings in a report.

There is room for only so many: of each sentence the last
checkpoint comes first, then the first one, then those between; what is left out is counted, with the place where it lies.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from chatterbox_es.runs.media import MEDIA_BYTES, UNREADABLE, picture_uri, sound_uri
from chatterbox_es.runs.run_directory import SAMPLES

CLIPS = 48  # a sound and its picture; each takes some 80 ms
CHECKPOINTS = 8  # of a sentence, of one run
COMPARED = 3  # … of each of several
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")


@dataclass
class Clip:
    """What one checkpoint of one run says, or a recording (epoch None)."""

    run: int  # position among the report's runs
    name: str
    epoch: int | None
    sound: Path | None = None
    picture: Path | None = None
    sound_uri: str = ""
    picture_uri: str = ""

    def size(self) -> int:
        return len(self.sound_uri) + len(self.picture_uri)


@dataclass
class Sentence:
    """A held-out sentence: its recording, and what was made of it."""

    name: str
    text: str
    recording: Clip | None = None
    clips: list[Clip] = field(default_factory=list)


@dataclass
class Samples:
    """All sentences of a report, what is not in it, and what could not be read."""

    sentences: list[Sentence] = field(default_factory=list)
    left_out: dict[int, int] = field(default_factory=dict)  # run: checkpoints' samples (a sound and its picture each)
    unreadable: list[str] = field(default_factory=list)


def embed_samples(runs: Sequence[Path], room: int = MEDIA_BYTES, clips: int = CLIPS) -> Samples:
    """The samples of some runs, the same sentence of several runs together, in ``room`` characters of the page."""
    samples = Samples()
    sentences: dict[tuple[str, str], Sentence] = {}
    for run, folder in enumerate(runs):
        for name, text, recording, spoken in _samples_of(run, folder, samples.unreadable):
            sentence = sentences.setdefault((name, text), Sentence(name, text))
            sentence.recording = sentence.recording or recording
            sentence.clips += spoken
    samples.sentences = list(sentences.values())
    with ThreadPoolExecutor() as workers:
        recordings = [sentence.recording for sentence in samples.sentences if sentence.recording]
        taken = _embed(recordings, room, workers, samples.unreadable)
        wanted = _ranked(samples.sentences, CHECKPOINTS if len(runs) == 1 else COMPARED)
        kept = taken + _embed(wanted[:clips], room - sum(clip.size() for clip in taken), workers, samples.unreadable)
    embedded = {id(clip) for clip in kept}
    for sentence in samples.sentences:
        for clip in sentence.clips:
            if id(clip) not in embedded:
                samples.left_out[clip.run] = samples.left_out.get(clip.run, 0) + 1
        sentence.clips = [clip for clip in sentence.clips if id(clip) in embedded]
        sentence.recording = sentence.recording if id(sentence.recording) in embedded else None
    samples.sentences = [sentence for sentence in samples.sentences if sentence.clips or sentence.recording]
    return samples


def _samples_of(run: int, folder: Path, unreadable: list[str]) -> Iterable[tuple[str, str, Clip | None, list[Clip]]]:
    """Each sentence of a run: name, text, recording, and the clips in the order of the epochs."""
    clips: dict[str, dict[int, Clip]] = defaultdict(dict)
    recordings: dict[str, Clip] = {}
    texts: dict[str, str] = {}
    try:
        folders = sorted(path for path in (folder / SAMPLES).iterdir() if path.is_dir())
        files = [path for one in folders for path in sorted(one.iterdir())]
    except FileNotFoundError:
        return
    except OSError as error:
        unreadable.append(f"{folder / SAMPLES}: {error.strerror}")
        return
    for path in files:
        epoch = re.fullmatch(r"epoch_(\d+)", path.parent.name)
        if epoch and path.suffix in (*SOUNDS, ".png"):
            number = int(epoch[1])
            clip = clips[path.stem].setdefault(number, Clip(run, path.stem, number))
            setattr(clip, "picture" if path.suffix == ".png" else "sound", path)
        elif path.parent.name == "recordings" and path.suffix in SOUNDS:
            recordings[path.stem] = Clip(run, path.stem, None, path)
        elif path.parent.name == "recordings" and path.suffix == ".txt":
            try:
                texts[path.stem] = path.read_text(encoding="utf-8", errors="replace").strip()
            except OSError as error:
                unreadable.append(f"{path}: {error.strerror}")
    for name in sorted(clips.keys() | recordings.keys()):
        yield name, texts.get(name, ""), recordings.get(name), [clip for _, clip in sorted(clips[name].items())]


def _ranked(sentences: list[Sentence], most: int) -> list[Clip]:
    """The clips in the order in which they are worth their room: the last of each run and sentence, the first, then
    those that halve the gaps between; ``most`` of each."""
    ranked: list[tuple[int, int, int, Clip]] = []
    for place, sentence in enumerate(sentences):
        by_run: dict[int, list[Clip]] = defaultdict(list)
        for clip in sentence.clips:
            by_run[clip.run].append(clip)
        for run, clips in by_run.items():
            ranked += [(rank, place, run, clips[position]) for rank, position in enumerate(halving(len(clips))[:most])]
    return [clip for *_, clip in sorted(ranked, key=lambda item: item[:3])]


def halving(count: int) -> list[int]:
    """The positions 0 … count - 1, so ordered that the first few always spread over all of them: last, first, middle …"""
    order = [position for position in (count - 1, 0) if 0 <= position < count]
    gaps = [(0, count - 1)]
    while gaps:
        low, high = gaps.pop(0)
        middle = (low + high) // 2
        if low < middle < high:
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return list(dict.fromkeys(order))


def _embed(clips: list[Clip], room: int, workers: ThreadPoolExecutor, unreadable: list[str]) -> list[Clip]:
    """Encode clips until the room is used up; those that are in the page now."""
    def encode(clip: Clip) -> list[str]:
        faults: list[str] = []
        clip.sound_uri = _attempt(sound_uri, clip.sound, faults)
        clip.picture_uri = _attempt(picture_uri, clip.picture, faults)
        return faults

    kept: list[Clip] = []
    for start in range(0, len(clips), 8):  # so that little is encoded in vain
        batch = clips[start:start + 8]
        for clip, faults in zip(batch, workers.map(encode, batch), strict=True):
            unreadable += faults
            if clip.size() > room:
                return kept
            room -= clip.size()
            kept.append(clip)
    return kept


def _attempt(encode: Callable[[Path], str], path: Path | None, faults: list[str]) -> str:
    if path is None:
        return ""
    try:
        return encode(path)
    except UNREADABLE as error:
        faults.append(f"{path}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
        return ""
