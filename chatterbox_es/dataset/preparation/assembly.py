"""One prepared set of its shards: index, tokens, texts, split, statistics, list of what was left out, and last the card.

Shards are read one after the other, in their order, and twice, since the split and the names are known only when all have
been seen; what is kept of an utterance meanwhile is its index record.
"""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from chatterbox_es.audio.quality import QUALITY
from chatterbox_es.config import DataConfig
from chatterbox_es.corpus import Fault, LintReport
from chatterbox_es.corpus.splits import held_out, held_out_speakers
from chatterbox_es.dataset.feature_set import CARD, INDEX, ContentHash, Statistics
from chatterbox_es.dataset.preparation.manifest import kept_name, manifest_places, read_manifest
from chatterbox_es.dataset.preparation.shards import FIXED_POINT, Shard, mels_name, read_shard, sums_of
from chatterbox_es.dataset.preparation.stages import Treatment, front_end
from chatterbox_es.dataset.storage import Storage
from chatterbox_es.errors import UserError
from chatterbox_es.mel_contract import MelContract


@dataclasses.dataclass
class Survey:
    """What the first reading of the shards gives."""

    index: np.ndarray  # `INDEX`, sides not yet decided
    ranks: np.ndarray  # (utterances,) uint64 of the texts
    rows: np.ndarray  # (utterances,) places in the manifest
    names: dict[str, list[str]]  # "speaker", "dialect", "corpus", sorted
    shards: list[dict]  # of the card
    sums: np.ndarray  # (2, bins) int64 of all frames


def assemble(storage: Storage, treatment: Treatment, data: DataConfig, shards: int, lint: LintReport,
             corpus: dict[str, str]) -> None:
    """Write what is beside the mels of a set whose shards are all done. ``lint`` gets their faults.

    Raises:
        UserError: too many rows are faulty, or what is left cannot be split.
    """
    rows = 0
    for shard in _shards(storage, shards):
        lint.extend(shard.faults)
        rows += shard.rows
    lint.check_share(rows, data.max_fault_share)
    survey = _survey(storage, shards)
    index = survey.index
    index["validation"] = _sides(survey, data)
    statistics = _statistics(storage, survey, treatment.contract)
    storage.write("statistics.json", json.dumps(statistics.to_dict()).encode())
    storage.write("index.npy", lambda file: np.save(file, index))
    symbols = _write_packed(storage, shards, int(index["tokens"].sum()), len(index))
    _write_embedded(storage, survey)
    content = ContentHash()
    for shard in _shards(storage, shards):
        content.add(shard.entries["digest"].tobytes())
    content.finish(index, survey.names, statistics)
    contract = treatment.contract
    sources = list(corpus.values())
    card = {
        "corpus": sources[0] if len(sources) == 1 else ", ".join(f"{name}: {source}" for name, source in corpus.items()),
        "synthetic": data.kind in ("kokoro", "espeak"), "dialect": data.dialect, "mel": dataclasses.asdict(contract),
        "symbols": front_end(data.dialect, data.lexicon).table.to_dict(), "utterances": len(index), "left_out": lint.counts(),
        "seconds": float(index["frames"].sum() / contract.frames_per_second), "symbols_seen": symbols, "split": data.split,
        "content": content.hexdigest(), "speakers": survey.names["speaker"], "dialects": survey.names["dialect"],
        "corpora": survey.names["corpus"], "shards": survey.shards}  # fmt: skip
    storage.write(CARD, json.dumps(card, ensure_ascii=False, indent=1).encode())


def _shards(storage: Storage, shards: int) -> Iterator[Shard]:
    for number in range(shards):
        shard = read_shard(storage, number)
        if shard is None:
            raise UserError(f"shard {number} of {storage.url} is gone or damaged; the same command makes it again")
        yield shard


def _survey(storage: Storage, shards: int) -> Survey:
    """Read all shards for their index records, in which names are numbered anew, in alphabetical order."""
    names: dict[str, set[str]] = {"speaker": set(), "dialect": set(), "corpus": set()}
    for shard in _shards(storage, shards):
        for what, known in shard.names.items():
            names[what].update(known)
    listed = {what: sorted(known) for what, known in names.items()}
    numbers = {what: {name: number for number, name in enumerate(known)} for what, known in listed.items()}
    parts, ranks, rows, described = [], [], [], []
    sums = np.zeros((), np.int64)
    for number, shard in enumerate(_shards(storage, shards)):
        part = np.zeros(len(shard.entries), INDEX)
        for what in ("frames", "tokens", "line"):
            part[what] = shard.entries[what]
        for what, known in shard.names.items():
            renumbered = np.array([numbers[what][name] for name in known], np.int64)
            part[what] = renumbered[shard.entries[what]] if len(part) else 0
        parts.append(part)
        ranks.append(shard.entries["rank"])
        rows.append(shard.entries["row"])
        sums = sums + shard.sums
        described.append({"file": mels_name(number), "utterances": len(part), "frames": shard.frames, "sha256": shard.sha256})
    index = np.concatenate(parts)
    for start, length in (("frame", "frames"), ("token", "tokens"), ("line", "line")):
        index[start] = np.cumsum(index[length], dtype=np.int64) - index[length]
    return Survey(index, np.concatenate(ranks), np.concatenate(rows), listed, described, sums)


def _sides(survey: Survey, data: DataConfig) -> np.ndarray:
    """(utterances,) bool, true for those held out."""
    sizes = (data.validation_share, data.validation_minimum, data.validation_maximum)
    if data.split == "text":
        return held_out(survey.ranks, *sizes)
    sides = held_out_speakers(survey.index["speaker"], survey.names["speaker"], *sizes, data.split_seed)
    shared = len(np.intersect1d(survey.ranks[sides], survey.ranks[~sides]))
    unnamed = int((survey.index["speaker"] == 0).sum()) if survey.names["speaker"][0] == "" else 0
    speakers = len(np.unique(survey.index["speaker"][sides]))
    print(f"split by speaker: {int(sides.sum())} utterances of {speakers} speakers are held out; {shared} of their texts are "
          f"also read by others, in training; {unnamed} utterances name no speaker and are trained on", flush=True)
    return sides


def _statistics(storage: Storage, survey: Survey, contract: MelContract) -> Statistics:
    """Mean and deviation of each bin over the training frames: those of all frames without those held out, exactly."""
    index, sums = survey.index, survey.sums.copy()
    first = np.cumsum([0, *(shard["utterances"] for shard in survey.shards)])
    width = 2 * contract.bins
    for number in np.flatnonzero(index["validation"]).tolist():
        shard = int(np.searchsorted(first, number, "right")) - 1
        start = int(index["frame"][number] - index["frame"][first[shard]]) * width
        content = storage.read_part(mels_name(shard), start, start + int(index["frames"][number]) * width)
        sums -= sums_of(np.frombuffer(content, np.float16).reshape(-1, contract.bins))
    frames = int(index["frames"][~index["validation"]].sum())
    mean, square = sums / FIXED_POINT / frames
    return Statistics.of_moments(mean, square)


def _write_packed(storage: Storage, shards: int, tokens: int, utterances: int) -> int:
    """The files in which all shards follow one another: tokens, texts, figures; how many symbols the tokens hold."""
    seen: set[int] = set()

    def write_tokens(file: BinaryIO) -> None:
        np.lib.format.write_array_header_1_0(file, {"descr": "<i2", "fortran_order": False, "shape": (tokens,)})
        for shard in _shards(storage, shards):
            file.write(shard.tokens.tobytes())
            seen.update(np.unique(shard.tokens).tolist())

    def write_quality(file: BinaryIO) -> None:
        descr = np.lib.format.dtype_to_descr(QUALITY)
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": (utterances,)})
        for shard in _shards(storage, shards):
            file.write(shard.quality.tobytes())

    storage.write("tokens.npy", write_tokens)
    storage.write("quality.npy", write_quality)
    storage.write("utterances.jsonl", lambda file: [file.write(shard.lines) for shard in _shards(storage, shards)])
    return len(seen)


def _write_embedded(storage: Storage, survey: Survey) -> None:
    """Keep the held-out recordings that are no files of their own: reports and evaluations listen to them."""
    places, lost = manifest_places(storage), 0
    held_out = np.flatnonzero(survey.index["validation"]).tolist()
    for number in held_out:
        sound = _sound(storage, places, int(survey.rows[number]))
        lost += sound is None
        if sound:
            storage.make_folder("recordings")
            storage.write(f"recordings/{number}", sound)
    if lost:
        print(f"{lost} of {len(held_out)} held-out recordings were not kept while the corpus was streamed, since its texts are "
              "repeated often: reports and evaluations do without them", flush=True)


def _sound(storage: Storage, places: np.ndarray | None, row: int) -> bytes | None:
    """The bytes of a recording that is no file of its own (of one that is: none); nothing where they were not kept."""
    if places is None:  # streamed
        try:
            return storage.read(kept_name(row))
        except FileNotFoundError:
            return None
    (utterance,) = read_manifest(storage, places, row, row + 1)
    if isinstance(utterance, Fault) or isinstance(utterance.audio, Path):
        return b""
    return utterance.audio.read_bytes()


