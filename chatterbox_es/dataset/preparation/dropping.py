"""A prepared set without the utterances that are dropped on purpose: an index of its own over the same mels.

Nothing is decoded again. The set lies beside the whole one, which it needs; links lead from it to the files that both have
in common. What is held out stays what was held out in the whole set, so that runs with and without a rule are measured on
the same sentences, but for those that are dropped.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from chatterbox_es.audio.quality import QUALITY
from chatterbox_es.corpus import Fault
from chatterbox_es.dataset.drop_rules import Exclusions
from chatterbox_es.dataset.feature_set import CARD, ContentHash, Copies, FeatureSet, Statistics
from chatterbox_es.dataset.preparation.shards import FIXED_POINT, sums_of
from chatterbox_es.errors import UserError
from chatterbox_es.files import errors_are_said, write_whole

SHARED = ("tokens.npy", "utterances.jsonl", "mels")


class SharedCopies(Copies):
    """Fetches the mels of a remote set for a set that was made of it; all else was there when that one was made."""

    def __init__(self, copies: Copies):
        self.copies, self.storage, self.folder = copies, copies.storage, copies.folder

    def fetch(self, name: str, sha256: str | None = None) -> None:
        if name.startswith("mels/"):
            self.copies.fetch(name, sha256)


def whole_of(features: FeatureSet) -> FeatureSet:
    """The set whose mels a set is made of: the one that nothing was dropped from, which may be itself."""
    if "of" not in features.card:
        return features
    source = features.source.copies if isinstance(features.source, SharedCopies) else None
    return FeatureSet(features.folder.with_name(features.card["of"]), source)


def without_dropped(whole: FeatureSet, drop: str | None, drop_list: str | None) -> FeatureSet:
    """The set that is left when rules and a list (see `dataset.drop_rules`) have left out utterances of a whole one.

    It is made at first use and then opened. Without rules and list it is the whole set.

    Raises:
        UserError: a rule that is none, a list that cannot be read; or nothing is left to train on or to validate with.
    """
    exclusions = Exclusions.of(drop, drop_list)
    if not exclusions:
        return whole
    key = json.dumps([whole.folder.name, sorted(rule.reason for rule in exclusions.rules), exclusions.listed, QUALITY.descr])
    folder = whole.folder.with_name(f"{whole.folder.name}-drop-{hashlib.sha256(key.encode()).hexdigest()[:8]}")
    source = whole.source and SharedCopies(whole.source)
    if (folder / CARD).is_file():
        print(f"prepared set {folder}: reused")
        return FeatureSet(folder, source)
    ids = (whole.utterance(number)["id"] for number in range(len(whole)))
    dropped = exclusions.find(whole.quality, ids)
    if exclusions.unknown:
        print(f"{len(exclusions.unknown)} ids of {drop_list} are none of {whole.folder}'s, such as {exclusions.unknown[0]!r}")
    kept = np.setdiff1d(np.arange(len(whole)), np.fromiter(dropped, np.int64, len(dropped)))
    for what, side in (("train on", ~whole.index["validation"][kept]), ("validate with", whole.index["validation"][kept])):
        if not side.any():
            raise UserError(f"data.drop leaves nothing to {what}: {len(dropped)} of {len(whole)} utterances are dropped")
    _write(folder, whole, kept, dropped)
    counts = json.loads((folder / CARD).read_text())["dropped"]
    print(f"prepared set {folder}: {len(dropped)} of {len(whole)} utterances dropped: "
          + ", ".join(f"{count} {reason.removeprefix('drop:')}" for reason, count in counts.items()))
    return FeatureSet(folder, source)


def _write(folder: Path, whole: FeatureSet, kept: np.ndarray, dropped: dict[int, tuple[str, str]]) -> None:
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    with errors_are_said(folder), removed_at_the_end(partial):
        partial.mkdir()
        for name in SHARED:
            os.symlink(Path("..", whole.folder.name, name), partial / name)
        index = whole.index[kept]
        for name, array in (("index", index), ("quality", whole.quality[kept])):
            write_whole(partial / f"{name}.npy", functools.partial(np.save, arr=array), durable=False)
        _link_recordings(partial, whole, kept)
        content, statistics = _content(whole, index, kept)
        (partial / "statistics.json").write_text(json.dumps(statistics.to_dict()))
        _write_lint(partial, whole, dropped)
        (partial / CARD).write_text(json.dumps(_card(whole, index, kept, dropped, content), ensure_ascii=False, indent=1),
                                    encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)  # without a card it was never whole
        os.replace(partial, folder)


@contextlib.contextmanager
def removed_at_the_end(folder: Path) -> Iterator[None]:
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _card(whole: FeatureSet, index: np.ndarray, kept: np.ndarray, dropped: dict[int, tuple[str, str]], content: str) -> dict:
    counts: dict[str, int] = {}
    for reason, _ in dropped.values():
        counts[reason] = counts.get(reason, 0) + 1
    counts = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    first = np.cumsum([0, *(shard["utterances"] for shard in whole.card["shards"])])
    shards = [shard | {"utterances": int(count)} for shard, count in
              zip(whole.card["shards"], np.diff(np.searchsorted(kept, first)), strict=True)]
    left = np.zeros(len(whole), bool)
    left[kept] = True
    symbols = np.flatnonzero(np.bincount(whole.tokens[np.repeat(left, whole.index["tokens"])]))
    return whole.card | {"utterances": len(kept), "shards": shards, "content": content, "dropped": counts,
                         "of": whole.folder.name, "symbols_seen": len(symbols), "left_out": whole.card["left_out"] | counts,
                         "seconds": float(index["frames"].sum() / whole.contract.frames_per_second)}


def _content(whole: FeatureSet, index: np.ndarray, kept: np.ndarray) -> tuple[str, Statistics]:
    """The hash of what is left, and the statistics of what is left to train on, in one pass over the mels."""
    print(f"reading the mels of the {len(kept)} utterances that are left, for their statistics", flush=True)
    content, sums = ContentHash(), np.zeros((2, whole.contract.bins), np.int64)
    for number, row in zip(kept.tolist(), index, strict=True):
        mel = whole.stored_mel(number)
        digest = hashlib.sha256(np.ascontiguousarray(mel).data)
        digest.update(whole.tokens[row["token"]:row["token"] + row["tokens"]].tobytes())
        content.add(digest.digest())
        if not row["validation"]:
            sums += sums_of(mel)
    mean, square = sums / FIXED_POINT / int(index["frames"][~index["validation"]].sum())
    statistics = Statistics.of_moments(mean, square)
    content.finish(index, {what: whole.names(what) for what in ("speaker", "dialect")}, statistics)
    return content.hexdigest(), statistics


def _link_recordings(folder: Path, whole: FeatureSet, kept: np.ndarray) -> None:
    """Held-out recordings that the whole set keeps, under the numbers that they have here."""
    if not any(whole.utterance(number).get("embedded") for number in whole.validation.tolist()):
        return
    (folder / "recordings").mkdir()
    for number, old in enumerate(kept.tolist()):
        if whole.index["validation"][old]:
            audio = Path(whole.utterance(old)["audio"])  # which fetches it, where the set is remote
            if audio.is_file() and audio.parent == whole.folder / "recordings":
                os.symlink(Path("..", "..", whole.folder.name, "recordings", audio.name), folder / "recordings" / str(number))


def _write_lint(folder: Path, whole: FeatureSet, dropped: dict[int, tuple[str, str]]) -> None:
    """The whole set's list, and after it what is dropped."""
    with (folder / "lint.jsonl").open("wb") as file:
        file.write((whole.folder / "lint.jsonl").read_bytes())
        for number, (reason, detail) in sorted(dropped.items()):
            said = whole.utterance(number)
            fault = Fault(said["row"], said["id"], reason, detail, said.get("corpus", ""), excluded=True)
            line = {key: value for key, value in dataclasses.asdict(fault).items() if value or key != "corpus"}
            file.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
