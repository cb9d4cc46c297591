"""A rented machine: what is handed to SkyPilot, and that a machine may vanish at any instant without loss.

The machine is a folder, the bucket another one, and its end is SIGKILL to everything that ran on it.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
SCRIPT = REPOSITORY / "scripts" / "rented_machine.sh"
TASK = REPOSITORY / "scripts" / "t4.sky.yaml"
GUIDE = REPOSITORY / "docs" / "rented_t4.md"
PATIENCE = 500  # seconds that anything may take, on a machine that is busy with something else

# In place of the trainer: it leaves what a run leaves, in the same order, but a step is 20 ms of sleep. What it finds
# when it goes on it writes to the file $SEEN, which no end of a machine takes away.
TRAINER = """
import hashlib, json, os, shutil, signal, sys, time
from pathlib import Path

arguments = dict(argument.split("=", 1) for argument in sys.argv[1:])
assert arguments["resume"] == "auto", arguments
run = Path("outputs", arguments["phase"], "2026-01-01_00-00-00")
checkpoints = run / "checkpoints"
signals = []


def note(number, frame):
    signals.append(number)
    signal.signal(number, signal.SIG_DFL)  # the second of a kind ends it at once


signal.signal(signal.SIGTERM, note)
signal.signal(signal.SIGINT, note)


def seen(**values):
    with open(os.environ["SEEN"], "a") as file:
        file.write(json.dumps({"phase": arguments["phase"], **values}) + "\\n")


def write(path, content):
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        for start in range(0, len(content), 100_000):
            file.write(content[start:start + 100_000])
            time.sleep(0.005)
    os.replace(partial, path)


def card(**values):
    write(run / "run.json", json.dumps(values).encode())


def save_state(step):
    text = json.dumps({"step": step, "metrics_bytes": metrics.stat().st_size})
    content = text.ljust(600_000).encode()
    write(checkpoints / f"state_{step:08d}-{hashlib.sha256(content).hexdigest()[:16]}.pt", content)
    for old in sorted(checkpoints.glob("state_*"))[:-2]:
        old.unlink()


if "fail" in arguments:
    seen(event="failed")
    sys.exit(int(arguments["fail"]))
if (run / "run.json").exists() and json.loads((run / "run.json").read_text())["state"] == "finished":
    seen(event="already finished", final=(checkpoints / "final.pt").stat().st_size)
    sys.exit(0)
if not (run / "run.json").exists():
    shutil.rmtree(run, ignore_errors=True)  # a run without a card is none; the trainer would take another name
checkpoints.mkdir(parents=True, exist_ok=True)
metrics, step = run / "metrics.jsonl", 0
for path in sorted(checkpoints.glob("state_*"))[-1:]:
    content = path.read_bytes()
    assert path.name.endswith(hashlib.sha256(content).hexdigest()[:16] + ".pt"), "a damaged state"
    step, size = (json.loads(content)[key] for key in ("step", "metrics_bytes"))
    assert metrics.stat().st_size >= size, "metrics.jsonl lacks what the state speaks of"
    os.truncate(metrics, size)
seen(event="started", step=step)
card(state="running")
while step < int(arguments.get("steps", 60)):
    step += 1
    with metrics.open("a") as file:
        file.write(json.dumps({"step": step}) + "\\n")
    if step % 20 == 0 or signals:
        save_state(step)
    if signals:
        time.sleep(0.2)
        seen(event="stopped", step=step, signals=signals)
        card(state="stopped")
        sys.exit(128 + signals[0])
    time.sleep(0.02)
write(checkpoints / "final.pt", b"x" * 300_000)
card(state="finished")
for old in checkpoints.glob("state_*"):
    old.unlink()
seen(event="finished", step=step)
"""

# In place of cp: a slow network, and one that can be made to fail.
SLOW_CP = f"""#!{sys.executable} -SE
import os, sys, time
*_, source, target = sys.argv
if "/bucket/" in target:
    if os.path.exists(os.environ["UNREACHABLE"]):
        sys.exit("cp: input/output error")
    with open(source, "rb") as read, open(target, "wb") as written:
        while block := read.read(100_000):
            written.write(block)
            written.flush()
            time.sleep(0.01)
else:
    time.sleep(0.03)
    os.execv("/bin/cp", sys.argv)
"""


class Rental:
    """A store that stays, and machines that come and go."""

    def __init__(self, folder: Path):
        self.folder, self.store, self.seen_file = folder, folder / "bucket" / "voz", folder / "seen.jsonl"
        self.unreachable = folder / "unreachable"
        self.recordings = folder / "grabaciones, 1"
        self.recordings.mkdir()
        (self.recordings / "metadata.csv").write_text("a|Hola.\n")
        package = folder / "packages" / "chatterbox_es"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "train.py").write_text(TRAINER)
        (folder / "bin").mkdir()
        (folder / "bin" / "cp").write_text(SLOW_CP)
        (folder / "bin" / "cp").chmod(0o755)
        self.machines = 0

    def machine(self) -> Path:
        self.machines += 1
        machine = self.folder / f"machine {self.machines}"
        machine.mkdir()
        return machine

    def start(self, machine: Path, *keys: str, store: Path | None = None, **environment: str) -> subprocess.Popen:
        """``rented_machine.sh train`` in a session of its own, so that all it starts can be found."""
        variables = {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "PYTHON": sys.executable, "SYNC_SECONDS": "1",
                     "PYTHONPATH": str(self.folder / "packages"), "SEEN": str(self.seen_file), "HW": "cpu",
                     "UNREACHABLE": str(self.unreachable)}
        return subprocess.Popen([SCRIPT, "train", self.recordings, store or self.store, *keys], cwd=machine, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                                env=os.environ | variables | environment)

    def run(self, machine: Path, *keys: str, **options) -> tuple[int, str]:
        process = self.start(machine, *keys, **options)
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output

    def seen(self, event: str) -> list[dict]:
        rows = map(json.loads, self.seen_file.read_text().splitlines()) if self.seen_file.exists() else ()
        return [row for row in rows if row["event"] == event]

    def stored(self, pattern: str) -> list[str]:
        return sorted(str(file.relative_to(self.store)) for file in self.store.glob(pattern) if file.is_file())


@pytest.fixture
def rental(tmp_path: Path) -> Rental:
    return Rental(tmp_path)


def wait_until(condition: Callable[[], object], process: subprocess.Popen) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if condition():
            return
        if process.poll() is not None:
            raise AssertionError(f"it ended with {process.returncode}: {process.stdout.read()}")
        time.sleep(0.01)
    raise AssertionError("it never happened")


def members(session: int) -> list[int]:
    """The processes of a session, those included whose parent is gone."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of_session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # it ended meanwhile
            continue
        if int(of_session) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found


def take_away(process: subprocess.Popen) -> None:
    """The machine is gone: nothing on it gets another instruction."""
    while alive := members(process.pid):
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)
    process.communicate()


def assert_readable(store: Path) -> None:
    """Whoever comes now finds whole files, and all that a state or a card speaks of."""
    for run in (card.parent for card in store.glob("outputs/*/*/run.json")):
        state = json.loads((run / "run.json").read_text())["state"]
        assert state != "finished" or (run / "checkpoints" / "final.pt").stat().st_size == 300_000
    for file in store.glob("outputs/*/*/checkpoints/state_*"):
        content = file.read_bytes()
        assert file.name.endswith(hashlib.sha256(content).hexdigest()[:16] + ".pt")
        assert (file.parent.parent / "metrics.jsonl").stat().st_size >= json.loads(content)["metrics_bytes"]
    names = [str(file.relative_to(store)) for file in store.rglob("*")]
    assert not [name for name in names if "partial" in name or ".lock" in name or ".published" in name]


# --- the store --------------------------------------------------------------------------------------------------------


def test_both_phases_and_all_they_leave_are_in_the_store(rental: Rental) -> None:
    code, output = rental.run(rental.machine(), "steps=12")
    assert code == 0, output
    assert [row["phase"] for row in rental.seen("finished")] == ["4_2", "4_3"]
    assert rental.stored("outputs/**/*") == [
        f"outputs/{phase}/2026-01-01_00-00-00/{name}" for phase in ("4_2", "4_3")
        for name in ("checkpoints/final.pt", "metrics.jsonl", "run.json")]
    assert_readable(rental.store)


@pytest.mark.parametrize("delays", [(0.0, 0.1), pytest.param([n / 25 for n in range(16)], marks=pytest.mark.slow)],
                         ids=["twice", "often"])
def test_taken_away_at_any_instant_the_next_machine_goes_on(rental: Rental, delays: list[float]) -> None:
    """Machine after machine, each taken away a little later; what is in the store can be gone on from every time."""
    reached = 0
    for delay in delays:
        before = set(rental.stored("outputs/**/state_*"))
        process = rental.start(rental.machine(), "steps=100000")
        wait_until(lambda before=before: set(rental.stored("outputs/**/state_*")) - before, process)
        time.sleep(delay)
        take_away(process)
        assert_readable(rental.store)
        assert rental.seen("started")[-1]["step"] == reached
        if rental.stored("outputs/**/run.json"):  # it comes last; before that there is no run to go on with
            reached = max(int(Path(name).name[6:14]) for name in rental.stored("outputs/**/state_*"))
    code, output = rental.run(rental.machine(), f"steps={reached + 60}")
    assert code == 0, output
    assert rental.seen("started")[-2] == {"phase": "4_2", "event": "started", "step": reached}
    assert_readable(rental.store)


def test_all_the_time_the_store_is_readable(rental: Rental) -> None:
    """A reader of the store that comes at no matter which moment, while a run lives."""
    process = rental.start(rental.machine(), "steps=150")
    looks = 0
    while process.poll() is None:
        copy = rental.folder / "look"
        try:
            shutil.copytree(rental.store, copy)
        except (shutil.Error, FileNotFoundError):  # something older was deleted under our hands
            copy = None
        if copy:
            looks += 1
            for file in copy.glob("outputs/*/*/checkpoints/state_*"):
                assert file.name.endswith(hashlib.sha256(file.read_bytes()).hexdigest()[:16] + ".pt")
            for card in copy.glob("outputs/*/*/run.json"):
                json.loads(card.read_text())
        shutil.rmtree(rental.folder / "look", ignore_errors=True)
    assert process.returncode == 0, process.communicate()[0]
    assert looks > 2


def test_the_same_machine_again_keeps_what_is_newer_than_the_store(rental: Rental) -> None:
    machine = rental.machine()
    process = rental.start(machine, "steps=100000", SYNC_SECONDS="1000")
    local = machine / "outputs" / "4_2" / "2026-01-01_00-00-00" / "checkpoints"
    wait_until(lambda: len(list(local.glob("state_0*"))) == 2, process)
    take_away(process)
    assert not rental.stored("outputs/**/*"), "nothing had been copied yet"
    newest = max(local.glob("state_0*")).name
    code, output = rental.run(machine, "steps=30")
    assert code == 0, output
    assert rental.seen("started")[1]["step"] == int(newest[6:14])


def test_a_restore_that_was_cut_off_leaves_nothing_half(rental: Rental) -> None:
    assert rental.run(rental.machine(), "steps=10")[0] == 0
    machine = rental.machine()
    cut_off = machine / "outputs.restoring" / "4_2" / "2026-01-01_00-00-00"
    cut_off.mkdir(parents=True)
    (cut_off / "run.json").write_text('{"sta')
    code, output = rental.run(machine, "steps=10")
    assert code == 0, output
    assert [row["final"] for row in rental.seen("already finished")] == [300_000, 300_000]
    assert_readable(rental.store)


def test_old_states_leave_the_store_and_nothing_else_does(rental: Rental) -> None:
    kept = rental.store / "outputs" / "mine.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("not of this machine")
    machine = rental.machine()
    process = rental.start(machine, "steps=100000")
    first = None

    def gone() -> bool:
        nonlocal first
        states = rental.stored("outputs/**/state_*")
        first = first or (states[0] if states else None)
        return first is not None and first not in states

    wait_until(gone, process)
    (machine / "outputs" / "mine.txt").unlink()
    time.sleep(2)
    take_away(process)
    assert kept.read_text() == "not of this machine"
    assert 1 <= len(rental.stored("outputs/**/state_*")) <= 4


def test_runs_from_elsewhere_are_not_mixed_with_the_stores(rental: Rental) -> None:
    assert rental.run(rental.machine(), "steps=5")[0] == 0
    machine = rental.machine()
    (machine / "outputs" / "4_2" / "mine").mkdir(parents=True)
    code, output = rental.run(machine)
    assert code == 2
    assert "holds other runs" in output and "Traceback" not in output
    assert not rental.stored("outputs/4_2/mine/*")


def test_without_a_store_it_only_trains(rental: Rental) -> None:
    machine = rental.machine()
    command = [SCRIPT, "train", rental.recordings, "steps=3"]
    environment = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(rental.folder / "packages"), "HW": "cpu",
                                "SEEN": str(rental.seen_file), "PHASES": "4_2"}
    done = subprocess.run(command, cwd=machine, text=True, capture_output=True, env=environment, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert [row["phase"] for row in rental.seen("finished")] == ["4_2"]
    assert not rental.store.exists()


# --- how it ends ------------------------------------------------------------------------------------------------------


def to_the_script(process: subprocess.Popen, number: int) -> None:
    os.kill(process.pid, number)


def to_its_group(process: subprocess.Popen, number: int) -> None:
    """As Ctrl-C does."""
    os.killpg(process.pid, number)


def to_every_process(process: subprocess.Popen, number: int) -> None:
    """As a machine does that shuts down; the script hears of it last, when the training is at it already."""
    for pid in members(process.pid):
        if pid != process.pid:
            os.kill(pid, number)
    time.sleep(0.1)
    os.kill(process.pid, number)


@pytest.mark.parametrize(("send", "name", "code"), [
    (to_the_script, "SIGTERM", 143), (to_its_group, "SIGTERM", 143), (to_every_process, "SIGTERM", 143),
    (to_its_group, "SIGINT", 130), (to_the_script, "SIGHUP", 143)])  # fmt: skip
def test_a_signal_stops_the_training_and_its_last_state_is_in_the_store(rental: Rental, send: Callable, name: str,
                                                                        code: int) -> None:
    process = rental.start(rental.machine(), "steps=100000", SYNC_SECONDS="1000")
    wait_until(lambda: rental.seen("started"), process)
    send(process, signal.Signals[name])
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, output
    [stopped] = rental.seen("stopped")
    assert rental.stored(f"outputs/**/state_{stopped['step']:08d}-*")
    assert not members(process.pid), "nothing is left running"
    assert_readable(rental.store)


@pytest.mark.parametrize("code", [1, 2, 137])
def test_the_trainings_exit_code_is_the_scripts_and_the_next_phase_does_not_start(rental: Rental, code: int) -> None:
    assert rental.run(rental.machine(), f"fail={code}")[0] == code
    assert [row["phase"] for row in rental.seen("failed")] == ["4_2"]


def test_a_store_that_is_away_for_a_while_loses_nothing(rental: Rental) -> None:
    rental.unreachable.touch()
    process = rental.start(rental.machine(), "steps=150", PHASES="4_2")
    said = iter(process.stdout.readline, "")
    assert any("could not be written" in line for line in said), "it ended and never said so"
    rental.unreachable.unlink()
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert rental.stored("outputs/**/final.pt")


@pytest.mark.slow
def test_a_store_that_stays_away_is_a_failure_and_says_where_the_runs_are(rental: Rental) -> None:
    rental.unreachable.touch()
    machine = rental.machine()
    code, output = rental.run(machine, "steps=3", PHASES="4_2")
    assert code == 1
    assert f"{machine}/outputs on this machine only" in output


@pytest.mark.parametrize(("arguments", "environment", "said"), [
    (["train"], {}, "usage:"),
    (["train", "{folder}/none"], {}, "there is no folder"),
    (["train", "{folder}/bin"], {}, "has no metadata.csv"),
    (["train", "{recordings}", "{store}", "steps"], {}, "'steps' is no KEY=VALUE"),
    (["train", "{recordings}", "{store}", "outputs=x"], {}, "outputs=x cannot be given here"),
    (["train", "{recordings}", "{store}"], {"SYNC_SECONDS": "0"}, "SYNC_SECONDS=0"),
    (["rent"], {}, "usage:"),
])  # fmt: skip
def test_a_users_mistake_is_said_and_nothing_starts(rental: Rental, arguments: list[str], environment: dict[str, str],
                                                    said: str) -> None:
    names = {"folder": rental.folder, "recordings": rental.recordings, "store": rental.store}
    done = subprocess.run([SCRIPT, *(argument.format(**names) for argument in arguments)], cwd=rental.machine(), text=True,
                          capture_output=True, timeout=PATIENCE, env=os.environ | {"PYTHON": sys.executable} | environment)
    assert done.returncode == 2
    assert said in done.stderr
    assert not rental.store.exists()


def test_two_at_once_in_one_folder_are_refused(rental: Rental) -> None:
    machine = rental.machine()
    process = rental.start(machine, "steps=100000")
    wait_until(lambda: rental.seen("started"), process)
    code, output = rental.run(machine)
    take_away(process)
    assert code == 2 and "another rented_machine.sh" in output


@pytest.mark.slow
def test_real_training_goes_on_on_another_machine(tmp_path: Path, make_corpus: Callable[..., Path],
                                                  arguments: Callable[..., list[str]]) -> None:
    """The real trainer. The second machine's copy of the recordings has other times, as downloads have."""
    keys = [key for key in arguments("train.epochs=40", "train.state_minutes=0.01")
            if not key.startswith(("data=", "data.path=", "data.prepared="))]
    environment = os.environ | {"PYTHON": sys.executable, "SYNC_SECONDS": "1", "HW": "cpu", "PYTHONPATH": str(REPOSITORY)}
    corpus = make_corpus(tmp_path / "recordings")
    store = tmp_path / "bucket"

    def start(name: str) -> subprocess.Popen:
        machine = tmp_path / name
        machine.mkdir()
        return subprocess.Popen([SCRIPT, "train", corpus, store, *keys], cwd=machine, stdout=subprocess.PIPE, text=True,
                                stderr=subprocess.STDOUT, start_new_session=True, env=environment)

    first = start("first")
    for arrived in ("run.json", "checkpoints/state_*"):
        wait_until(lambda arrived=arrived: any(store.glob(f"outputs/4_2/*/{arrived}")), first)
    take_away(first)
    for recording in (corpus / "wavs").iterdir():
        os.utime(recording)
    second = start("second")
    output, _ = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0, output
    assert "reused" in output, "the prepared set is the first machine's"
    cards = {phase: [json.loads(card.read_text()) for card in store.glob(f"outputs/{phase}/*/run.json")]
             for phase in ("4_2", "4_3")}
    assert [card["state"] for card in cards["4_2"]] == ["finished"], "one run, gone on with"
    assert cards["4_2"][0]["resumed"]
    assert [card["state"] for card in cards["4_3"]] == ["finished"]
    steps = [json.loads(row).get("step") for row in next(store.glob("outputs/4_2/*/metrics.jsonl")).read_text().splitlines()]
    assert steps == sorted(steps)


# --- what SkyPilot is given -------------------------------------------------------------------------------------------

# Rows of the form of SkyPilot's catalogue, which it would fetch; the prices stand for nothing.
CATALOGUE = """\
InstanceType,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount,GpuInfo,Price,SpotPrice,Region,AvailabilityZone
n1-standard-8,8.0,30.0,,,,1.0,0.5,us-central1,us-central1-a
,,,T4,1.0,"{'Gpus': [{'Name': 'T4', 'MemoryInfo': {'SizeInMiB': 16384}, 'TotalGpuMemoryInMiB': 16384}]}",1.0,0.5,\
us-central1,us-central1-a
"""
PARSE = """
import json, sys
import sky
from sky.utils import dag_utils

overrides = [tuple(argument.split("=", 1)) for argument in sys.argv[2:]]
[task] = dag_utils.load_chain_dag_from_yaml(sys.argv[1], env_overrides=overrides).tasks
machines = [{"feasible": len(sky.clouds.GCP().get_feasible_launchable_resources(machine, 1).resources_list),
             "type": machine.instance_type, "accelerators": machine.accelerators, "spot": machine.use_spot,
             "cloud": str(machine.cloud), "recovery": machine.job_recovery} for machine in task.resources]
print("PARSED" + json.dumps({"machines": machines, "files": task.file_mounts, "envs": task.envs,
      "mounts": {path: [storage.source, storage.mode.value] for path, storage in task.storage_mounts.items()}}))
"""


@pytest.fixture(scope="session")
def skypilot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with SkyPilot, made as the guide says: it cannot be installed beside wandb, which needs a newer click."""
    [wanted] = re.findall(r"pip install \"(skypilot\S+)\"", GUIDE.read_text(encoding="utf-8"))
    folder = tmp_path_factory.mktemp("skypilot")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    parser_alone = wanted.replace("[gcp]", "")
    installed = subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                                parser_alone], text=True, capture_output=True)
    if installed.returncode:
        pytest.skip(f"{parser_alone} cannot be installed here: {installed.stderr.strip().splitlines()[-1]}")
    return folder / "bin" / "python"


@pytest.fixture
def parse(skypilot: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    catalogue = tmp_path / "home" / ".sky" / "catalogs" / "v8" / "gcp" / "vms.csv"
    catalogue.parent.mkdir(parents=True)
    catalogue.write_text(CATALOGUE)

    def run(*overrides: str, task: Path = TASK) -> subprocess.CompletedProcess:
        home = {"HOME": str(tmp_path / "home"), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}
        return subprocess.run([skypilot, "-c", PARSE, task, *overrides], cwd=REPOSITORY, text=True, capture_output=True,
                              env=os.environ | home, timeout=PATIENCE)

    return run


@pytest.mark.slow
def test_skypilot_reads_the_task_as_it_is_meant(parse: Callable[..., subprocess.CompletedProcess]) -> None:
    done = parse("DATA=gs://recordings/voz", "BUCKET=voices")
    assert "PARSED" in done.stdout, done.stdout + done.stderr
    task = json.loads(done.stdout.partition("PARSED")[2])
    assert [machine["spot"] for machine in task["machines"]] == [True, False]
    for machine in task["machines"]:
        assert (machine["cloud"], machine["type"], machine["accelerators"]) == ("GCP", "n1-standard-8", {"T4": 1})
        assert machine["feasible"] == 1
        assert machine["recovery"] == {"strategy": "EAGER_NEXT_REGION", "max_restarts_on_errors": 0,
                                       "recover_on_exit_codes": [143]}
    assert task["files"] == {"~/recordings": "gs://recordings/voz"}
    assert task["mounts"] == {"~/bucket": ["gs://voices", "MOUNT"]}


@pytest.mark.slow
@pytest.mark.parametrize(("given", "missing"), [("DATA=rec", "BUCKET"), ("BUCKET=voices", "DATA")])
def test_skypilot_names_the_variable_that_is_missing(parse: Callable[..., subprocess.CompletedProcess], given: str,
                                                     missing: str) -> None:
    done = parse(given)
    assert done.returncode and f"Environment variable '{missing}' is None" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new"), [("n1-standard-8", "n1-standard-7"), ("use_spot", "spot"),
                                          ("recover_on_exit_codes: [143]", "recover_on_exit_codes: [x]")])
def test_skypilot_refuses_a_task_that_is_wrong(parse: Callable[..., subprocess.CompletedProcess], tmp_path: Path, old: str,
                                               new: str) -> None:
    """Or else the tests above would show nothing."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(TASK.read_text().replace(old, new))
    done = parse("DATA=gs://recordings/voz", "BUCKET=voices", task=wrong)
    assert done.returncode and "PARSED" not in done.stdout


def test_the_task_runs_the_script_with_what_it_declares(rental: Rental) -> None:
    """Its run: section for real, in a home whose recordings and bucket are folders."""
    task = yaml.safe_load(TASK.read_text())
    assert task["envs"]["DATA"] is None and task["envs"]["BUCKET"] is None, "to be named by the user"
    home = rental.machine()
    shutil.copytree(rental.recordings, home / "recordings")
    (home / "bucket").mkdir()
    work = home / "sky_workdir"
    shutil.copytree(REPOSITORY / "scripts", work / "scripts")
    declared = {name: str(value) for name, value in task["envs"].items() if value is not None}
    environment = declared | task["secrets"] | {"KEYS": "steps=4 data.dialect=mexican", "HOME": str(home), "HW": "cpu",
                                                "PYTHON": sys.executable, "SEEN": str(rental.seen_file),
                                                "PYTHONPATH": str(rental.folder / "packages")}
    done = subprocess.run(["bash", "-c", task["run"] + "\necho never"], cwd=work, text=True, capture_output=True,
                          timeout=PATIENCE, env=os.environ | environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "never" not in done.stdout
    assert sorted(path.name for path in (home / "bucket" / "voice" / "outputs").iterdir()) == ["4_2", "4_3"]


def test_the_scripts_are_clean() -> None:
    tool = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if tool is None:
        pytest.skip("shellcheck is not installed; the extra `test` has it")
    done = subprocess.run([tool, *(REPOSITORY / "scripts").glob("*.sh")], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout


def test_the_guides_have_the_same_commands() -> None:
    guides = [path.read_text(encoding="utf-8") for path in (GUIDE, GUIDE.with_name("rented_t4.es.md"))]
    blocks = [[re.sub(r"\s*# .*", "", block) for block in re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)]
              for guide in guides]
    assert blocks[0] == blocks[1]
    assert all(str(path) in guides[0] for path in ("scripts/t4.sky.yaml", "scripts/rented_machine.sh"))
