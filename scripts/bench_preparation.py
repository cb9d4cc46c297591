"""Where the figures of preparing and loading come from.

    python scripts/bench_preparation.py figure=speed [utterances=21120]      hours of speech an hour, CPU seconds, size, memory
    python scripts/bench_preparation.py figure=memory [utterances=482000]    likewise, with recordings of 0.8 s
    python scripts/bench_preparation.py figure=stages                        CPU seconds of the stages alone, in one process
    python scripts/bench_preparation.py figure=unchanged [utterances=482000] seconds to see that nothing has changed
    python scripts/bench_preparation.py figure=start [utterances=482000]     from `prepare` to the first batch, and the loader
    python scripts/bench_preparation.py figure=kills [kills=20 seed=0]       killed at random, finished, compared
    python scripts/bench_preparation.py figure=ray                           Ray on two nodes, a worker killed, compared

The corpus is links to the recordings of ``corpus`` (a folder in LJSpeech's layout), repeated under names of their own;
everything is made below ``folder``, which `figure=speed` with many utterances fills with 55 kB each. For `start` one shard
is prepared and stands for all of them.
"""

import dataclasses
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import soundfile

from chatterbox_es import command_line
from chatterbox_es.config import Config, compose
from chatterbox_es.errors import UserError
from chatterbox_es.hardware import peak_resident

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class BenchOptions:
    """The arguments of the command."""

    figure: str = field(metadata={"help": "speed, memory, stages, unchanged, start, kills or ray"})
    utterances: int = field(default=21_120, metadata={"help": "in the corpus"})
    kills: int = field(default=20, metadata={"help": "figure=kills: how often a run is killed"})
    seed: int = field(default=0, metadata={"help": "figure=kills: of the instants"})
    corpus: str = field(default=str(ROOT.parent / "shared/corpora/dona"), metadata={"help": "recordings to repeat"})
    folder: str = field(default="outputs/bench_preparation", metadata={"help": "where everything is made"})
    workers: int = field(default=2, metadata={"help": "processes"})


def linked_corpus(options: BenchOptions) -> tuple[Path, int]:
    """A corpus of links, and how many recordings repeat in it."""
    source = Path(options.corpus)
    rows = [line.partition("|") for line in (source / "metadata.csv").read_text(encoding="utf-8").splitlines() if line]
    sounds = {path.stem: path.resolve() for path in sorted((source / "wavs").iterdir())}
    folder = Path(options.folder, f"corpus_{options.utterances}")
    if not (folder / "metadata.csv").is_file():
        (folder / "wavs").mkdir(parents=True, exist_ok=True)
        lines = []
        for number in range(options.utterances):
            name, _, text = rows[number % len(rows)]
            copy = folder / f"wavs/{number:07d}{sounds[name].suffix}"
            if not copy.is_symlink():
                copy.symlink_to(sounds[name])
            lines.append(f"{number:07d}|{text}\n")
        (folder / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    return folder, len(rows)


def arguments(options: BenchOptions, corpus: Path, prepared: str, *more: str) -> list[str]:
    return ["data=folder", f"data.path={corpus}", f"data.prepared={options.folder}/{prepared}",
            f"prepare.workers={options.workers}", *more]


def start_prepare(written: list[str], output=None) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "chatterbox_es.prepare", *written], cwd=ROOT, stdout=output, stderr=output,
                            start_new_session=True)


def peak_memory(process: subprocess.Popen) -> float:
    """GB of 1e9 bytes, the most that a process and its children held together while it ran; pages they share count once."""
    peak = 0
    while process.poll() is None:
        total = 0
        try:
            root = psutil.Process(process.pid)
            for one in (root, *root.children(recursive=True)):
                total += one.memory_full_info().pss
        except psutil.Error:
            continue
        peak = max(peak, total)
        time.sleep(0.5)
    return peak / 1e9


def prepared_card(options: BenchOptions, prepared: str) -> tuple[Path, dict]:
    (path,) = Path(options.folder, prepared).glob("*/card.json")
    return path.parent, json.loads(path.read_text())


def speed(options: BenchOptions) -> None:
    corpus, _ = linked_corpus(options)
    shutil.rmtree(Path(options.folder, "speed"), ignore_errors=True)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = start_prepare(arguments(options, corpus, "speed"))
    memory = peak_memory(process)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.wait():
        raise UserError("preparation failed")
    folder, card = prepared_card(options, "speed")
    read = float(np.load(folder / "quality.npy")["seconds"].sum()) / 3600
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    raw = sum(shard["frames"] for shard in card["shards"]) * 160
    print(f"{options.utterances} utterances, {read:.1f} h of recordings, {card['seconds'] / 3600:.1f} h kept: {seconds:.0f} s, "
          f"{read * 3600 / seconds:,.0f} h an hour")
    system = (after.ru_stime - before.ru_stime) / read
    print(f"{spent / read:.2f} CPU seconds an hour of speech, {system:.2f} of them the system's: "
          f"two cores do {7200 * read / spent:,.0f} h an hour")
    print(f"most memory {memory:.2f} GB; on disk {size / raw:.4f} of the raw mels")


def memory(options: BenchOptions) -> None:
    """`speed` with 0.8 s from the middle of each recording, so that as many utterances take minutes."""
    source, cut = Path(options.corpus), Path(options.folder, "cut")
    (cut / "wavs").mkdir(parents=True, exist_ok=True)
    lines = [line.split("|") for line in (source / "metadata.csv").read_text(encoding="utf-8").splitlines() if line]
    for path in (source / "wavs").iterdir():
        samples, rate = soundfile.read(path, dtype="float32")
        half, middle = round(0.4 * rate), len(samples) // 2
        soundfile.write(cut / f"wavs/{path.stem}.flac", samples[middle - half:middle + half], rate)
    (cut / "metadata.csv").write_text("".join(f"{row[0]}|{row[1].split()[0]}\n" for row in lines), encoding="utf-8")
    options.corpus = str(cut)
    speed(options)


def stages(options: BenchOptions) -> None:
    """`treat` of 60 recordings, one thread, the least of seven rounds: what the machine's other work takes is hardly in it."""
    import torch

    from chatterbox_es.audio.mel import MelContract
    from chatterbox_es.corpus import read_folder
    from chatterbox_es.dataset.preparation.stages import Treatment, treat

    torch.set_num_threads(1)
    treatment = Treatment(MelContract(), "castilian", None, 30.0, True, -23.0, 0)
    utterances, spent = read_folder(options.corpus)[0][:60], []
    for _ in range(7):
        began = time.process_time()
        treated = [treat(utterance, treatment) for utterance in utterances]
        spent.append(time.process_time() - began)
    hours = sum(float(each.quality["seconds"]) for each in treated) / 3600
    print(f"{min(spent) / hours:.2f} CPU seconds an hour of speech (median {sorted(spent)[3] / hours:.2f})")


def unchanged(options: BenchOptions) -> None:
    from chatterbox_es.dataset.preparation.listing import listing_digest

    corpus, _ = linked_corpus(options)
    kept = Path(options.folder, "listings")
    time.sleep(3)  # a folder that has just changed is not relied on
    for what, full in (("listed in full", True), ("as the start of a run does", False), ("the same again", False)):
        began, cpu = time.perf_counter(), time.process_time()
        listing_digest({"": corpus}, kept, full)
        print(f"{options.utterances} files, {what}: {time.perf_counter() - began:.2f} s "
              f"({time.process_time() - cpu:.2f} s of CPU)")


def clone_shards(options: BenchOptions, config: Config, size: int) -> None:
    """Prepare the first shard of a set and let it stand for the others, as if all had been prepared."""
    from chatterbox_es.dataset.preparation import prepare as preparing
    from chatterbox_es.dataset.preparation import shards as made

    def clone(storage, treatment, waiting, size, workers=None):
        first = made.make_shard(storage, treatment, 0, size)
        record, mels = storage.path(made.record_name(0)), storage.path(made.mels_name(0))
        for number in waiting[1:]:
            entries = first.entries.copy()
            entries["row"] += number * size
            # Texts are made different ones, so that the split has as many as a real corpus.
            entries["rank"] ^= random.Random(number).getrandbits(64)
            shard = dataclasses.replace(first, entries=entries)
            storage.write(made.record_name(number), shard.write)
            if not storage.path(made.mels_name(number)).exists():
                os.link(mels, storage.path(made.mels_name(number)))
        assert record.is_file()
        yield len(first.entries), first.frames

    preparing.local_engine.make_shards = clone
    preparing.prepare(config)


def start(options: BenchOptions) -> None:
    corpus, recordings = linked_corpus(options)
    size = 3 * recordings
    if options.utterances % size:
        raise UserError(f"utterances={options.utterances}: must be a multiple of {size} here, such as "
                        f"{options.utterances // size * size}")
    written = arguments(options, corpus, f"start_{options.utterances}", f"prepare.shard={size}", "phase='4_3'")
    if not list(Path(options.folder, f"start_{options.utterances}").glob("*/card.json")):
        process = os.fork()
        if not process:
            clone_shards(options, compose(written), size)
            print(f"assembling: peak {peak_resident() / 1e9:.2f} GB", flush=True)
            os._exit(0)
        os.waitpid(process, 0)
    made = time.time()
    config = compose(written)
    from chatterbox_es.dataset.batches import Batches
    from chatterbox_es.dataset.preparation.prepare import prepare
    from chatterbox_es.models.acoustic.batches import collate

    before = psutil.Process().memory_full_info().uss
    began, cpu = time.perf_counter(), time.process_time()
    features = prepare(config)
    opened = time.perf_counter() - began
    batches = Batches(features, features.train, config.phase.batch_size, 0, collate)
    count = len(batches.first_epoch)
    next(batches.steps(1))
    seconds, spent = time.perf_counter() - began, time.process_time() - cpu
    print(f"from the reading of the configuration on, imports of prepare and batches counted: {time.time() - made:.2f} s")
    print(f"{len(features)} utterances, {count} batches of {config.phase.batch_size}: first batch after {seconds:.2f} s "
          f"({spent:.2f} s of CPU), opening the set {opened:.2f} s of it; imports not counted")
    began = time.perf_counter()
    batches.padding(), batches.order(2)
    print(f"padding of an epoch and the order of the next: {time.perf_counter() - began:.2f} s")
    for skip in (0, count - 10):
        began = time.perf_counter()
        next(batches.steps(1, skip))
        print(f"gone on at batch {skip}: {time.perf_counter() - began:.2f} s")
    for workers in (0, 2):
        began, cpu, steps = time.perf_counter(), time.process_time(), 0
        for _ in batches.steps(3, workers=workers):
            steps += 1
            if steps == 3000:
                break
        seconds = time.perf_counter() - began
        print(f"loader with {workers} threads: {steps / seconds:,.0f} batches a second "
              f"({steps / (time.process_time() - cpu):,.0f} a second of CPU), the order of the epoch included")
    held = psutil.Process().memory_full_info()
    print(f"memory of the process: {held.rss / 1e9:.2f} GB, {(held.uss - before) / 1e9:.2f} GB of its own more than before")


def kills(options: BenchOptions) -> None:
    options.utterances = 2112 if options.utterances == 21_120 else options.utterances
    corpus, _ = linked_corpus(options)
    more = ("prepare.shard=64",)
    shutil.rmtree(Path(options.folder, "whole"), ignore_errors=True)
    began = time.perf_counter()
    if start_prepare(arguments(options, corpus, "whole", *more), subprocess.DEVNULL).wait():
        raise UserError("preparation failed")
    whole, (folder, card) = time.perf_counter() - began, prepared_card(options, "whole")
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    same, done = 0, 0
    chance = random.Random(options.seed)
    while done < options.kills:
        shutil.rmtree(Path(options.folder, "killed"), ignore_errors=True)
        killed = 0
        for _ in range(1 + done % 3):
            process = start_prepare(arguments(options, corpus, "killed", *more), subprocess.DEVNULL)
            time.sleep(chance.uniform(0.1, 1.0) * whole)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                killed += 1
            process.wait()
        if not killed:  # every instant fell after the end: this was no kill
            continue
        kept = len(list(Path(options.folder, "killed").glob("*/work/*.shard")))
        if start_prepare(arguments(options, corpus, "killed", *more), subprocess.DEVNULL).wait():
            raise UserError("preparation failed after a kill")
        again, other = prepared_card(options, "killed")
        found = {str(path.relative_to(again)): path.read_bytes() for path in again.rglob("*") if path.is_file()}
        equal = other["content"] == card["content"] and found == files
        same, done = same + equal, done + 1
        print(f"{done}: killed {killed} times, {kept} shards kept, {'identical' if equal else 'DIFFERENT'} "
              f"({same} of {done})", flush=True)
    if same < done:
        sys.exit(1)


def on_ray(options: BenchOptions) -> None:
    import ray
    from ray.cluster_utils import Cluster

    options.utterances = 2112 if options.utterances == 21_120 else options.utterances
    corpus, _ = linked_corpus(options)
    for prepared in ("local", "on_ray"):
        shutil.rmtree(Path(options.folder, prepared), ignore_errors=True)
    if start_prepare(arguments(options, corpus, "local", "prepare.shard=64"), subprocess.DEVNULL).wait():
        raise UserError("preparation failed")
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 — Ray's name; it is 15, which waits long on a busy machine
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    try:
        written = arguments(options, corpus, "on_ray", "prepare.shard=64", "prepare.engine=ray",
                            f"prepare.address={cluster.address}")
        process, killed = start_prepare(written), 0
        while process.poll() is None:
            time.sleep(0.2)
            busy = [one for one in psutil.process_iter(["cmdline"]) if "ray::" in " ".join(one.info["cmdline"] or ())
                    and "_make" in " ".join(one.info["cmdline"])]
            if killed < 2 and busy and list(Path(options.folder, "on_ray").glob("*/work/*.shard")):
                busy[0].kill()
                killed += 1
                time.sleep(3)
        if process.wait():
            raise UserError("preparation on Ray failed")
    finally:
        ray.shutdown()
        cluster.shutdown()
    (_, local), (_, other) = prepared_card(options, "local"), prepared_card(options, "on_ray")
    print(f"{killed} workers killed; local {local['content'][:16]}, Ray {other['content'][:16]}: "
          f"{'identical' if local == other else 'DIFFERENT'}")
    if local != other:
        sys.exit(1)


FIGURES = {"speed": speed, "memory": memory, "stages": stages, "unchanged": unchanged, "start": start, "kills": kills,
           "ray": on_ray}


def main() -> None:
    options = command_line.parse(BenchOptions, sys.argv[1:], __doc__)
    if options.figure not in FIGURES:
        raise UserError(f"figure={options.figure} is not known; use one of {', '.join(FIGURES)}")
    options.folder = os.path.abspath(options.folder)
    FIGURES[options.figure](options)


if __name__ == "__main__":
    command_line.run(main)
