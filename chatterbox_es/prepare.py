"""Recordings and their texts to a prepared set: tokens, mels, statistics, a split, and a list of what was left out.

    python -m chatterbox_es.prepare data=folder data.path=DIR [data.dialect=latin_american] [data.KEY=VALUE …]

`chatterbox_es.train` does this by itself when it has not been done; a second run reuses it. The set is kept in
outputs/prepared/ under a key of all it depends on: recordings, text, dialect, mel contract, and the code that reads
them.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf
from tqdm import tqdm

from chatterbox_es import command_line
from chatterbox_es.acoustics.audio import AudioError, normalise_loudness, read_audio, trim_silence
from chatterbox_es.acoustics.mel import MelContract, log_mel
from chatterbox_es.config import Config, DataConfig, compose
from chatterbox_es.corpus import LintReport, Utterance, read_folder, split_by_text
from chatterbox_es.corpus.demo import make_demo
from chatterbox_es.errors import UserError
from chatterbox_es.feature_set import CARD, INDEX, FeatureSet, content_hash, training_statistics
from chatterbox_es.text import FrontEnd, Reading


def prepare(config: Config) -> FeatureSet:
    """The prepared set of a run's corpus: opened when it is there, made when it is not.

    Raises:
        UserError: no corpus, or more faults in it than ``data.max_fault_share`` allows.
    """
    corpus = corpus_folder(config)
    contract = MelContract(**OmegaConf.to_container(config.mel))
    target = Path(config.data.prepared) / f"{config.data.name}-{_key(corpus, contract, config.data)[:12]}"
    if (target / CARD).is_file():
        print(f"prepared set {target}: reused")
        return FeatureSet(target)
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write(partial, corpus, contract, config.data, lint_path=target.with_name(f"{target.name}.lint.jsonl"))
        shutil.rmtree(target, ignore_errors=True)  # without a card it was never whole
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    features = FeatureSet(target)
    left_out = features.card["left_out"]
    if left_out:
        print(f"{sum(left_out.values())} rows left out, listed in {target}/lint.jsonl: "
              + ", ".join(f"{count} {reason}" for reason, count in left_out.items()))
    hours = features.card["seconds"] / 3600
    print(f"prepared set {target}: {len(features.train)} utterances to train on, {len(features.validation)} held out, "
          f"{hours:.2f} h, {features.card['symbols_seen']} of {len(features.symbols.in_use)} symbols seen "
          f"({len(features.symbols)} rows in the table)")
    return features


def corpus_folder(config: Config) -> Path:
    """The folder with the recordings; the demo's is made here at first use."""
    data = config.data
    if data.kind == "folder":
        if not data.path:
            raise UserError("data=folder needs the folder of the recordings: data.path=DIR")
        return Path(data.path).expanduser()
    if data.kind == "demo":
        folder = Path(data.path or f"{config.outputs}/demo_corpus/{data.dialect}")
        make_demo(folder, data.dialect)
        return folder
    raise UserError(f"data.kind={data.kind} is not known; use demo or folder")


def _key(corpus: Path, contract: MelContract, data: DataConfig) -> str:
    """SHA-256 of all that the content depends on; of recordings the name, size and time stand for the content."""
    digest = hashlib.sha256()
    kept = {key: value for key, value in OmegaConf.to_container(data).items()
            if key not in ("path", "prepared", "workers", "max_fault_share", "name")}
    digest.update(json.dumps([dataclasses.asdict(contract), kept], sort_keys=True).encode())
    if data.lexicon and Path(data.lexicon).is_file():
        digest.update(Path(data.lexicon).read_bytes())
    for file in _code():
        digest.update(file.read_bytes())
    for folder, files in _listings(corpus):
        for name in sorted(files):
            path = Path(folder, name)
            if path.suffix in (".csv", ".tsv", ".txt"):
                digest.update(path.read_bytes())
            elif path.exists():
                stat = path.stat()
                digest.update(f"{path.relative_to(corpus)}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _code() -> list[Path]:
    """The files whose change may change what is prepared."""
    package = Path(__file__).parent
    return [Path(__file__), package / "acoustics" / "audio.py", package / "acoustics" / "mel.py",
            *sorted((package / "text").glob("*.*")), *sorted((package / "corpus").glob("*.*"))]


def _listings(corpus: Path) -> list[tuple[str, list[str]]]:
    """Every folder of a corpus with its files; links to folders are followed (wavs/ often is one), but not in circles."""
    listings, seen = [], set()
    for folder, folders, files in os.walk(corpus, followlinks=True):
        if os.path.realpath(folder) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(folder))
        listings.append((folder, files))
    return sorted(listings)


def _write(folder: Path, corpus: Path, contract: MelContract, data: DataConfig, lint_path: Path) -> None:
    utterances, faults = read_folder(corpus, data.layout)
    rows = len(utterances) + len(faults)
    lint = LintReport(lint_path, faults)
    front_end = FrontEnd(data.dialect, lexicon=data.lexicon)
    spoken = [(utterance, reading) for utterance, reading
              in zip(utterances, front_end.read_many(u.spoken or u.text for u in utterances), strict=True)
              if _speakable(utterance, reading, lint)]
    kept = _write_mels(folder, spoken, contract, data, lint)
    lint.write()
    lint.check_share(rows, data.max_fault_share)

    index, tokens = _index(kept, data)
    np.save(folder / "index.npy", index)
    np.save(folder / "tokens.npy", tokens)
    mels = np.load(folder / "mels.npy", mmap_mode="r")
    (folder / "statistics.json").write_text(json.dumps(training_statistics(mels, index).to_dict()))
    with (folder / "utterances.jsonl").open("w", encoding="utf-8") as file:
        for utterance, reading, _ in kept:
            file.write(json.dumps({"id": utterance.id, "text": utterance.text, "words": reading.words,
                                   "audio": str(utterance.audio.resolve()), "row": utterance.row,
                                   "speaker": utterance.speaker}, ensure_ascii=False) + "\n")
    os.replace(lint_path, folder / "lint.jsonl")
    card = {"corpus": str(corpus.resolve()), "synthetic": data.kind == "demo", "dialect": data.dialect,
            "mel": dataclasses.asdict(contract), "symbols": front_end.table.to_dict(), "utterances": len(kept),
            "left_out": lint.counts(), "seconds": float(index["frames"].sum() / contract.frames_per_second),
            "symbols_seen": len(np.unique(tokens)), "content": content_hash(folder)}
    (folder / CARD).write_text(json.dumps(card, ensure_ascii=False, indent=1), encoding="utf-8")


def _speakable(utterance: Utterance, reading: Reading, lint: LintReport) -> bool:
    if not reading.is_speakable:
        lint.add(utterance.row, utterance.id, "no-speakable-symbol", f"nothing in {utterance.text!r} can be spoken")
    return reading.is_speakable


def _write_mels(folder: Path, spoken: list[tuple[Utterance, Reading]], contract: MelContract, data: DataConfig,
                lint: LintReport) -> list[tuple[Utterance, Reading, int]]:
    """Write mels.npy; the utterances that made it, with their frames, in the order of the metadata."""
    kept, raw = [], folder / "mels.raw"
    with raw.open("wb") as file:
        for (utterance, reading), mel in zip(spoken, _mels([u for u, _ in spoken], contract, data), strict=True):
            if isinstance(mel, AudioError):
                lint.add(utterance.row, utterance.id, mel.reason, mel.detail)
            elif len(mel) < len(reading.ids):
                lint.add(utterance.row, utterance.id, "too-short-for-phones",
                         f"{len(mel) / contract.frames_per_second:.2f} s of sound for {len(reading.ids)} tokens; "
                         f"each needs {1000 / contract.frames_per_second:.0f} ms at least: is the text another one's?")
            else:
                file.write(mel.tobytes())
                kept.append((utterance, reading, len(mel)))
    frames = sum(count for _, _, count in kept)
    with (folder / "mels.npy").open("wb") as file, raw.open("rb") as source:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f2", "fortran_order": False, "shape": (frames, contract.bins)})
        shutil.copyfileobj(source, file, 1 << 24)
    raw.unlink()
    return kept


def _mels(utterances: list[Utterance], contract: MelContract, data: DataConfig) -> Iterator[np.ndarray | AudioError]:
    """float16 log-mels (frames, bins) of each recording, or why there are none, in order."""
    def one(utterance: Utterance) -> np.ndarray | AudioError:
        try:
            samples = read_audio(utterance.audio, contract.sample_rate, data.max_seconds)
        except AudioError as error:
            return error
        if data.trim_silence:
            samples = trim_silence(samples, contract.sample_rate).samples
        if data.loudness is not None:
            samples = normalise_loudness(samples, contract.sample_rate, data.loudness)
        if len(samples) <= contract.margin:
            return AudioError("zero-length", f"{utterance.audio} holds {len(samples)} samples, less than a frame needs")
        return log_mel(samples, contract).numpy().astype(np.float16)

    threads = torch.get_num_threads()
    # Reading, resampling and the Fourier transform leave the interpreter's lock, so threads are enough.
    with ThreadPoolExecutor(data.workers or os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        ahead = 4096  # recordings in flight: memory stays flat however long the corpus is
        with tqdm(total=len(utterances), desc="mels", unit="utt", disable=not sys.stderr.isatty()) as progress:
            for start in range(0, len(utterances), ahead):
                for mel in pool.map(one, utterances[start:start + ahead]):
                    progress.update()
                    yield mel
    torch.set_num_threads(threads)  # what a worker sets is also what the products of training would use


def _index(kept: list[tuple[Utterance, Reading, int]], data: DataConfig) -> tuple[np.ndarray, np.ndarray]:
    """The `INDEX` records and the packed tokens."""
    sides = split_by_text([reading.words for _, reading, _ in kept], data.validation_share, data.validation_minimum,
                          data.validation_maximum, data.split_seed)
    index = np.zeros(len(kept), INDEX)
    index["frames"] = [frames for _, _, frames in kept]
    index["tokens"] = [len(reading.ids) for _, reading, _ in kept]
    for start, length in (("frame", "frames"), ("token", "tokens")):
        index[start] = np.cumsum(index[length]) - index[length]
    index["validation"] = [side == "validation" for side in sides]
    return index, np.concatenate([np.asarray(reading.ids, np.int16) for _, reading, _ in kept])


def main() -> None:
    prepare(compose(sys.argv[1:], __doc__))


if __name__ == "__main__":
    command_line.run(main)
