"""What this machine's GPU makes of training: one command of six minutes at most, without network, run from the tree.

    python scripts/gpu_check.py [minutes=6] [device=cuda] [small=false] [out=gpu_check.json] [only=losses,share]

Its data are made from a seed and thrown away. Measured, the most important first: what the machine's matrix products reach;
300 steps of model=fase4 in fp32, fp16 and bf16 from one start; T3 4_2 at full size with random weights, its memory beside the
plan; the share of the matrix products that training reaches at batches of 256, 64 and 8; a run killed and gone on with; T3 4_3;
synthesis; 300 steps of a small T3. minutes=3 ends after the first half of that. A part that fails is told as its error, and the
rest goes on. Prints a JSON object and a row of a table (Markdown) under its head; exit code 1 where a bar does not hold or a
part failed. small=true is for the tests: its metrics mean nothing.
"""

import configparser
import contextlib
import datetime
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]  # from the tree, installed or not

from chatterbox_es.command_line import parse, run  # noqa: E402
from chatterbox_es.errors import UserError  # noqa: E402

ROOM = 1.5  # times what a part takes on a T4 it may take at least, before it is ended
STARTED = time.monotonic()
LEAST = 5  # seconds without which a part is not begun
LOSS_BAR, SHARE_BAR, MEMORY_BAR = 0.02, 0.35, 15.0


@dataclass
class Options:
    minutes: float = field(default=6, metadata={"help": "in all; with 3 the first half of what is measured"})
    device: str = field(default="cuda", metadata={"help": "cuda or cpu"})
    small: bool = field(default=False, metadata={"help": "tiny models, to try the script itself"})
    out: str = field(default="", metadata={"help": "a file for the JSON, written after each part"})
    only: str = field(default="", metadata={"help": "names of parts, with commas between"})


def packages() -> dict[str, list[str]]:
    """The distributions of setup.cfg that are missing here, and those of another version than it asks for."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options"]["install_requires"] + setup["options.extras_require"]["chatterbox"]
    wanted = [line.strip() for line in lines.splitlines() if line.strip() and not line.startswith("#")]
    found: dict[str, list[str]] = {"missing": [], "other_versions": []}
    for line in wanted:
        name = next(line[:place] for place in range(1, len(line) + 1) if place == len(line) or line[place] in "[<>=!~ ")
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if not importlib.util.find_spec(name.replace("-", "_")):  # it may have come inside another one
                found["missing"].append(name)
            continue
        if not fits(version, line[len(name):]):
            found["other_versions"].append(f"{name} {version} ({line})")
    return found


def fits(version: str, bounds: str) -> bool:
    """Whether a version is within a requirement's bounds; yes where nothing is there to tell."""
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        return True
    return SpecifierSet(bounds[bounds.find("]") + 1:]).contains(version, prereleases=True)


def in_its_process(method: str, work: Callable, check: object, seconds: float, keep: Callable[[str, Any], None]) -> str | None:
    """Run a part apart, so that neither a crash nor a hang of it ends the others; what went wrong, or nothing."""
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=guarded, args=(work, check, theirs))
    process.start()
    theirs.close()
    end, error = time.monotonic() + seconds, None
    while True:
        if not ours.poll(max(0.0, end - time.monotonic())):
            error = f"not done in {seconds:.0f} s"
            break
        try:
            key, value = ours.recv()
        except EOFError:
            process.join(10)
            error = error or (f"its process ended with exit code {process.exitcode}" if process.exitcode else None)
            break
        if key == "error":
            error = value
        else:
            keep(key, value)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # with all that it has started
    process.join()
    return error


def guarded(work: Callable, check: object, pipe: Any) -> None:
    os.setsid()
    try:
        work(check, lambda key, value: pipe.send((key, value)))
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        pipe.send(("error", f"{type(error).__name__}: {str(error)[:500]} ({Path(last.filename).name}:{last.lineno})"))


def run_parts(options: Options, check: Any, parts: tuple, result: dict) -> None:
    """All parts that the minutes have room for, into the result."""
    end = time.monotonic() + 60 * options.minutes - (time.monotonic() - STARTED)
    method = "fork" if sys.platform == "linux" else "spawn"  # a fork has imported everything already
    for place, (name, work, usual) in enumerate(parts):
        left = end - time.monotonic()
        if left < LEAST:
            result["left_out"].append(name)
            continue
        began, metrics = time.monotonic(), result["parts"].setdefault(name, {})
        share = usual / sum(seconds for *_, seconds in parts[place:])  # of what the parts before have left
        limit = min(left, max(usual * ROOM, left * share))
        error = in_its_process(method, work, check, limit, metrics.__setitem__)
        if error and "forked subprocess" in error:  # some package has begun with CUDA when it was imported
            method = "spawn"
            error = in_its_process(method, work, check, min(limit, end - time.monotonic()), metrics.__setitem__)
        if error:
            result["errors"][name] = error
        result["seconds"][name] = round(time.monotonic() - began, 1)
        print(f"{name}: {result['seconds'][name]} s{': ' + error if error else ''}", file=sys.stderr, flush=True)
        if options.out:
            Path(options.out).write_text(json.dumps(result, indent=1))


def bars(parts: dict[str, dict]) -> dict[str, dict]:
    """What was promised, what was measured, and whether it holds; null where it was not measured."""
    found = {}
    for name in ("losses", "t3_losses"):
        of = {precision: row["train_loss"] for precision, row in parts.get(name, {}).items()}
        gaps = [abs(of[p] / of["fp32"] - 1) for p in of if p != "fp32"] if "fp32" in of else []
        found[name] = (max(gaps, default=None), f"fp16 and bf16 within {LOSS_BAR:.0%} of fp32", lambda gap: gap <= LOSS_BAR)
    shares = [row["share_of_peak"] for key, row in parts.get("share", {}).items()
              if key.startswith("4_3_256") and "share_of_peak" in row]
    found["share_4_3_256"] = (min(shares, default=None), f"{SHARE_BAR:.0%} of the matrix products or more",
                              lambda share: share >= SHARE_BAR)
    t3 = parts.get("t3_4_2", {})
    found["memory_t3_4_2"] = (t3.get("memory_gb") if t3.get("precision") == "16-mixed" else None,
                              f"under {MEMORY_BAR:g} GB in 16-mixed", lambda size: size < MEMORY_BAR)
    return {name: {"value": value if value is None else round(value, 5), "bar": bar,
                   "holds": None if value is None else holds(value)} for name, (value, bar, holds) in found.items()}


def table(result: dict) -> list[str]:
    """Head and row for docs/benchmarks.md."""
    parts = result["parts"]
    machine, share = parts.get("machine", {}), parts.get("share", {})

    def several(part: str, key: str) -> str:
        return " / ".join(f"{row[key]:.3f} {name}" for name, row in parts.get(part, {}).items()) or "-"

    def shares(phase: str) -> str:
        return ", ".join(f"{key.removeprefix(phase + '_').replace('_', ' ')} {row['share_of_peak']:.0%}"
                         for key, row in share.items() if key.startswith(phase) and "share_of_peak" in row) or "-"

    def t3(part: str) -> str:
        row = parts.get(part, {})
        return (f"{row['steps_per_second']:.2f} steps/s, {row['memory_gb']:.1f} GB ({row['planned_gb']:.1f} planned), "
                f"{row['precision']}" if "planned_gb" in row else "-")

    tokens = parts.get("t3_4_2", {}).get("speech_tokens", {}).get("seconds_per_second", "-")
    cells = {
        "machine": f"{machine.get('gpu', result['device'])}{', small: of no use' if result['small'] else ''}",
        "memory": f"{machine.get('memory_gb', '-')} GB", "torch": machine.get("torch", "-"),
        "TFLOP/s of products": " / ".join(f"{value:g} {key.rpartition('_')[2]}" for key, value in machine.items()
                                          if key.startswith("products")) or "-",
        "losses": several("losses", "train_loss"), "4_3 of peak": shares("4_3"), "4_2 of peak": shares("4_2"),
        "T3 4_2": t3("t3_4_2"), "T3 4_3": t3("t3_4_3"), "T3 losses": several("t3_losses", "train_loss"),
        "resumed": parts.get("resume", {}).get("verdict", "-"),
        "sound a second": f"fase4 {parts.get('synthesis', {}).get('seconds_per_second', '-')} s, T3 {tokens} s",
        "commit, date": f"{result['commit'][:7]}, {result['date']}"}  # fmt: skip
    return [f"| {' | '.join(map(str, row))} |" for row in (cells, ["---"] * len(cells), cells.values())]


def main() -> int:
    options = parse(Options, sys.argv[1:], __doc__)
    if options.device not in ("cuda", "cpu"):
        raise UserError(f"device={options.device} is not known; use cuda or cpu")
    result: dict[str, Any] = {"date": f"{datetime.date.today()}", "commit": "unknown", "device": options.device,
                              "small": options.small, "minutes": options.minutes, **packages(), "parts": {}, "errors": {},
                              "left_out": [], "seconds": {}}
    for what, text in (("missing", "not installed"), ("other_versions", "of another version than setup.cfg asks for")):
        if result[what]:
            print(f"{text}: {', '.join(result[what])}", file=sys.stderr, flush=True)
    try:  # only now, when what is missing has been said
        import gpu_check_parts as measured

        from chatterbox_es.runs.run_directory import commit
    except ImportError as error:
        raise UserError(f"the package cannot be imported here: {error}") from error
    result["commit"] = commit()
    names = [name for name, *_ in measured.PARTS]
    chosen = options.only.split(",") if options.only else names
    if unknown := set(chosen) - set(names):
        raise UserError(f"only={','.join(sorted(unknown))} is not known; use some of {', '.join(names)}")
    with tempfile.TemporaryDirectory(prefix="gpu_check_") as folder:
        check = measured.Check(Path(folder), options.device, options.small)
        check.write()
        run_parts(options, check, tuple(part for part in measured.PARTS if part[0] in chosen), result)
    result["bars"] = bars(result["parts"])
    if options.out:
        Path(options.out).write_text(json.dumps(result, indent=1))
    for name, bar in result["bars"].items():
        if bar["holds"] is not None:
            print(f"{name}: {bar['value']:g}; {bar['bar']}: {'yes' if bar['holds'] else 'NO'}", file=sys.stderr, flush=True)
    print("\n".join([json.dumps(result), *table(result)]))
    return int(bool(result["errors"]) or any(bar["holds"] is False for bar in result["bars"].values()))


if __name__ == "__main__":
    run(main)
