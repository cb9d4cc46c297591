"""Studies: every slot is filled once, whatever is killed or fails, and whoever takes part; the end says what came out."""

import dataclasses
import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import optuna
import pytest
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from chatterbox_es.config import compose
from chatterbox_es.errors import UserError
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.models.weights import weights_digest
from chatterbox_es.runs.run_directory import read_card
from chatterbox_es.selection.reporter import Reporter
from chatterbox_es.selection.study import MOST_KILLS, Study, seconds_of, spent, was_killed
from chatterbox_es.selection.sweeper import StudySweeper, search_space

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")  # the version is pinned
REPOSITORY = Path(__file__).resolve().parents[2]
POSTGRES = next(Path("/usr/lib/postgresql").glob("*/bin"), None)
SPACE = {"phase.lr": FloatDistribution(1e-5, 1e-2, log=True)}


def settings(folder: Path, **changed) -> dict:
    """The `sweep` section of a configuration."""
    sweep = compose(["sweep=4_2", f"outputs='{folder}'", "data=folder", "data.path=/none"]).sweep
    return {**{key: sweep[key] for key in sweep}, "heartbeat": 1, "n_trials": 4, **changed}


def join(sweep: dict, configuration: dict | None = None, space: dict = SPACE) -> Study:
    return Study.join(sweep, space, configuration or {"phase.name": "4_2", "phase.lr": 1e-4}, {"phase.lr": 1e-4},
                      lambda slot: optuna.samplers.RandomSampler(seed=slot))


def ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Those that fill their slots."""
    return [trial for trial in study.trials if trial.state.is_finished() and not was_killed(trial)]


def is_filled_once(study: optuna.Study, n_trials: int) -> bool:
    """Every slot has one trial that ended, and no settings were tried twice."""
    trials = ended(study)
    return (sorted(trial.user_attrs["slot"] for trial in trials) == list(range(n_trials))
            and len({tuple(trial.params.items()) for trial in trials}) == n_trials)


@pytest.fixture
def postgres():
    """The address of a database on a real server."""
    if POSTGRES is None:
        pytest.skip("no PostgreSQL server is installed (/usr/lib/postgresql/*/bin)")
    pytest.importorskip("psycopg", reason="psycopg, the PostgreSQL driver, is not installed")
    root = os.geteuid() == 0  # the server refuses to run as root
    if root and subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode:
        pytest.skip("a PostgreSQL server does not run as root, and there is no user postgres")
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if root else []
    port = str(20_000 + os.getpid() % 20_000)
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others, by whatever other pytest begins
        if root:
            subprocess.run(["chown", "postgres", folder], check=True)

        def server(program: str, *arguments: str) -> None:
            subprocess.run([*as_user, str(POSTGRES / program), *arguments], check=True, cwd=folder, stdout=subprocess.DEVNULL)

        server("initdb", "-D", "db", "-U", "tester", "-A", "trust")
        server("pg_ctl", "-D", "db", "-w", "-l", "server.log", "-o", f"-p {port} -k {folder} -h 127.0.0.1 -F", "start")
        yield f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
        server("pg_ctl", "-D", "db", "-m", "immediate", "stop")


# ---- who takes part, and what is killed

WORKER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_sweep
study = test_sweep.join(test_sweep.settings(Path({folder!r}), n_trials=30, heartbeat=20, **{storage!r}))
study.refill()
while trial := study.claim():
    value = trial._suggest("phase.lr", test_sweep.SPACE["phase.lr"])
    study.tell(trial, value)
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_processes_that_begin_a_study_together_share_its_trials(kind, tmp_path, request):
    storage = {"storage": request.getfixturevalue("postgres")} if kind == "postgresql" else {}
    code = WORKER.format(tests=str(Path(__file__).parent), folder=str(tmp_path), storage=storage)
    workers = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for worker in workers:
        said = worker.communicate(timeout=240)[1]
        assert worker.returncode == 0, said
    study = join(settings(tmp_path, n_trials=30, **storage)).study
    assert len(study.trials) == 30
    assert is_filled_once(study, 30)
    assert len({trial.user_attrs["pid"] for trial in study.trials}) > 1
    assert study.trials[0].params == {"phase.lr": 1e-4}  # the first one has the defaults


def test_a_study_in_postgresql_by_the_command(postgres, command, arguments, tmp_path):
    result = command("train", "-m", "sweep=4_2", *arguments("phase.lr=interval(1e-4,1e-2)"), f"sweep.storage={postgres}",
                     "sweep.n_trials=3", "sweep.select=false", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    study = optuna.load_study(study_name="4_2_folder", storage=postgres)
    assert is_filled_once(study, 3)
    assert all(trial.intermediate_values for trial in study.trials)
    assert not list(tmp_path.glob("**/*.db"))


def test_a_killed_trial_is_run_again_with_its_settings_and_in_its_folder(tmp_path):
    study = join(settings(tmp_path, n_trials=1))
    study.refill()
    trial = study.claim()
    assert not any(argument.startswith("resume=") for argument in study.arguments(trial))
    value = trial._suggest("phase.lr", SPACE["phase.lr"])
    trial.report(0.5, 1)
    folder = study.folder(trial)
    folder.mkdir(parents=True)
    for name in ("run.json", "config.yaml"):
        (folder / name).write_text("{}")
    assert study.claim() is None
    assert study.others_end()  # no heartbeat came: its slot is open again
    again = study.claim()
    assert again.number != trial.number
    assert again._suggest("phase.lr", SPACE["phase.lr"]) == value
    assert study.study.trials[again.number].intermediate_values == {1: 0.5}
    assert any(argument.startswith("resume=") for argument in study.arguments(again))


def test_settings_that_kill_every_time_are_given_up(tmp_path):
    study = join(settings(tmp_path, n_trials=1))
    for _ in range(MOST_KILLS + 1):
        study.refill()
        study.give_back(study.claim())
    study.refill()
    assert study.claim() is None


def test_more_trials_extend_a_study(tmp_path):
    for n_trials in (2, 5, 5):
        study = join(settings(tmp_path, n_trials=n_trials))
        study.refill()
        while trial := study.claim():
            trial._suggest("phase.lr", SPACE["phase.lr"])
            study.tell(trial, 1.0)
        assert len(study.study.trials) == n_trials
    assert is_filled_once(study.study, 5)


def test_trials_whose_database_is_gone_are_not_taken_for_ones_own(tmp_path):
    folder = Path(settings(tmp_path)["folder"], "trials/0")
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    for _ in range(2):
        with pytest.raises(UserError, match="move them away"):
            join(settings(tmp_path))
    assert (folder / "run.json").exists()
    folder.rename(tmp_path / "away")
    join(settings(tmp_path))


def kill_and_count(folder: Path, trials: int, kills: int, spread: float) -> None:
    script = [sys.executable, str(REPOSITORY / "scripts/bench_sweep.py"), "kill", f"trials={trials}", f"kills={kills}",
              f"spread={spread}", f"folder={folder}"]
    said = subprocess.run(script, capture_output=True, text=True, timeout=1500, check=True).stdout
    study = optuna.load_study(study_name="killed", storage=f"sqlite:///{folder}/outputs/studies/killed/study.db")
    assert is_filled_once(study, trials), said
    assert all(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in ended(study)), said
    assert f"after {kills} kills" in said
    assert any(was_killed(trial) for trial in study.trials), said
    assert (folder / "outputs/studies/killed/study.html").is_file()


def test_a_study_that_is_killed_does_what_is_missing(tmp_path):
    kill_and_count(tmp_path, trials=5, kills=3, spread=0.5)


@pytest.mark.slow
def test_thirty_trials_and_five_kills(tmp_path):
    kill_and_count(tmp_path, trials=30, kills=5, spread=4.0)


# ---- how trials and studies end


def test_a_study_ends_with_its_results_whatever_failed(command, arguments, features, tmp_path):
    """Trials of which some diverge, some cannot be, some are pruned: the rest is compared, and the best one kept."""
    written = arguments("phase.lr=choice(1e-3,3e-3,1e-2,1e30)", "model.dropout=interval(0.0,0.3)", "train.epochs=4",
                        "train.max_skipped=1", "sweep.n_trials=10", "hydra.sweeper.sampler.seed=1",
                        "hydra/sweeper/sampler=random", "model.heads=choice(2,3)")
    result = command("train", "-m", "sweep=4_2", *written, cwd=tmp_path)
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    folder = tmp_path / "outputs/studies/4_2_folder"
    study = optuna.load_study(study_name="4_2_folder", storage=f"sqlite:///{folder}/study.db")
    assert is_filled_once(study, 10)
    states = Counter(trial.state.name for trial in study.trials)
    assert states["COMPLETE"] and states["PRUNED"] and states["FAIL"], states
    page = (folder / "study.html").read_text(encoding="utf-8")
    for trial in study.trials:
        if trial.state == TrialState.FAIL:
            assert re.search("diverge|must divide|finite", trial.user_attrs["reason"]), trial.user_attrs
            assert trial.user_attrs["reason"] in html.unescape(page)
        if trial.state != TrialState.COMPLETE:
            assert not list((folder / f"trials/{trial.user_attrs['slot']}").glob("checkpoints/state_*"))
    best = study.best_trial
    assert f"phase.lr={best.params['phase.lr']}" in page
    baseline = next(trial.user_attrs["baseline"] for trial in study.trials if trial.state == TrialState.COMPLETE)
    assert baseline == pytest.approx(features.baseline())
    assert f"predicting the mean scores <b>{baseline:.4f}</b>" in page
    figures = re.findall(r"<figure>(.*?)</figure>", page, re.DOTALL)
    losses = [figure for figure in figures if "val_loss" in figure and "<svg" in figure]
    assert len(losses) == 2
    assert all(f"predicting the mean scores {baseline:.4g}" in figure and ">predicting the mean</text>" in figure
               for figure in losses)
    assert '<img alt="Parallel coordinates' in page and "model.dropout</th>" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)  # self-contained
    chosen = (tmp_path / "outputs/best/selection.json").read_text(encoding="utf-8")
    assert f"trials/{best.user_attrs['slot']}/" in chosen
    assert "outputs/best" in said
    assert f"trial {best.user_attrs['slot']}, val_loss {best.value:.4f}" in said

    # the same command again has nothing to do; another one may not join
    trials = len(study.trials)
    again = command("train", "-m", "sweep=4_2", *written, cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(study.get_trials()) == trials
    other = command("train", "-m", "sweep=4_2", *written, "phase.clip=2.0", cwd=tmp_path)
    assert other.returncode == 2
    assert "phase.clip: 1.0 there, 2.0 here" in other.stdout + other.stderr
    assert "Traceback" not in other.stdout + other.stderr


def test_all_trials_of_4_3_start_from_one_text_encoder(road, command, arguments, tmp_path):
    shutil.copytree(road.encoder_run, tmp_path / "outputs/4_2/earlier")
    written = arguments("phase.lr=interval(1e-4,1e-2)", "sweep.n_trials=1", "sweep.select=false", "train.epochs=1")
    first = command("train", "-m", "sweep=4_3", *written, cwd=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    later = tmp_path / "outputs/4_2/later"  # a newer run of 4_2, with other weights
    shutil.copytree(road.encoder_run, later)
    final = next(later.glob("checkpoints/final_*.pt"))
    checkpoint = load_checkpoint(final)
    dataclasses.replace(checkpoint, weights={k: w + 1 for k, w in checkpoint.weights.items()}).save(final)
    (later / "run.json").write_text((later / "run.json").read_text().replace('"ended": "20', '"ended": "30'))
    second = command("train", "-m", "sweep=4_3", *written, "sweep.n_trials=2", cwd=tmp_path)
    assert second.returncode == 0, second.stdout + second.stderr
    folder = tmp_path / "outputs/studies/4_3_folder"
    kept = weights_digest(load_checkpoint(folder / "encoder.pt").weights)
    assert kept == weights_digest(load_checkpoint(next(road.encoder_run.glob("checkpoints/final_*.pt"))).weights)
    lineages = [read_card(folder / f"trials/{slot}")["lineage"] for slot in (0, 1)]
    assert [lineage["encoder_from"] for lineage in lineages] == ["outputs/studies/4_3_folder/encoder.pt"] * 2

    (folder / "encoder.pt").unlink()
    other = command("train", "-m", "sweep=4_3", *written, "sweep.n_trials=3", cwd=tmp_path)
    assert other.returncode == 2
    assert "another text encoder" in other.stdout + other.stderr


def test_a_budget_ends_a_study(command, arguments, tmp_path):
    written = arguments("phase.lr=interval(1e-4,1e-2)", "train.samples=0", "train.epochs=1")
    result = command("train", "-m", "sweep=4_2", *written, "sweep.n_trials=500", "sweep.budget=8s", "sweep.select=false",
                     cwd=tmp_path)
    said = result.stdout + result.stderr
    assert result.returncode == 0, said  # a trial's only validation is its last, so that none is pruned on a busy machine
    study = optuna.load_study(study_name="4_2_folder", storage=f"sqlite:///{tmp_path}/outputs/studies/4_2_folder/study.db")
    assert 0 < len(ended(study)) < 500
    assert spent(study) >= 8
    assert "not begun" in said


def test_a_report_prunes_what_is_behind_spent_or_no_number(config_of, tmp_path):
    def report(losses: list[float], is_last: bool = False, **changed) -> optuna.trial.FrozenTrial:
        sweep = settings(tmp_path, n_trials=50, pruner="median", **changed)
        study = join(sweep)
        study.refill()
        trial = study.claim()
        trial._suggest("phase.lr", SPACE["phase.lr"])
        config = config_of(f"outputs='{tmp_path}'", f"sweep.trial={trial._trial_id}", "sweep.pruner=median",
                           f"sweep.storage='{sweep['storage']}'", f"sweep.study={sweep['study']}", "phase.validate_every=5",
                           "train.epochs=50", *(f"sweep.{key}={value}" for key, value in changed.items()))
        reporter = Reporter.of(config)
        for number, loss in enumerate(losses, 1):
            reporter(5 * number, number, {"val_loss": loss}, is_last)
        return trial

    for loss in (0.5, 0.6, 0.55, 0.52):
        trial = report([loss, loss - 0.1])
        join(settings(tmp_path, n_trials=50)).tell(trial, loss - 0.1)
    assert trial.study.trials[trial.number].intermediate_values == {1: 0.52, 2: 0.52 - 0.1}
    with pytest.raises(optuna.TrialPruned, match="behind"):
        report([0.9])
    with pytest.raises(UserError, match="val_loss is nan"):
        report([float("nan")])
    assert report([0.4])
    assert report([0.9], is_last=True)  # a run at its end is not ended
    waiting = join(settings(tmp_path, n_trials=50)).claim()
    waiting.set_user_attr("seconds", 100.0)
    with pytest.raises(optuna.TrialPruned, match="budget"):
        report([0.4], budget="90s")


def test_a_run_outside_a_study_reports_to_none(config_of):
    Reporter.of(config_of())(1, 1, {"val_loss": float("nan")}, is_last=False)


# ---- what is written


@pytest.mark.parametrize(("written", "seconds"), [("8h", 28800), ("90m", 5400), ("1h30m", 5400), ("45s", 45), ("1.5h", 5400)])
def test_budgets(written, seconds):
    assert seconds_of(written) == seconds


@pytest.mark.parametrize("written", ["", "8", "h", "0h", "8 hours", "-1h", "1.2.3h"])
def test_what_is_no_budget_is_said(written):
    with pytest.raises(UserError, match="8h, 90m"):
        seconds_of(written)


def test_a_space_is_ranges_less_what_is_fixed():
    space, fixed = search_space(["phase.lr=tag(log,interval(1e-5,1e-3))", "phase.batch_size=choice(4,8)", "model.width=32",
                                 "phase.batch_size=4", "phase.warmup_steps=range(0,601,100)"])
    assert sorted(space) == ["phase.lr", "phase.warmup_steps"]
    assert space["phase.lr"] == FloatDistribution(1e-5, 1e-3, log=True)
    assert fixed == ["model.width=32", "phase.batch_size=4"]
    with pytest.raises(UserError, match="searches nothing"):
        search_space(["phase.lr=1e-4"])


@pytest.mark.parametrize("ranged", ["phase.lr=interval(1e-3,1e-4)", "phase.lr=interval(-1,1e-4)",
                                    "phase.batch_size=choice(0,4)", "model.dropout=interval(0,2)",
                                    "phase.schedule=choice(cosine,stepwise)"])  # fmt: skip
def test_a_range_that_leaves_its_keys_is_refused_by_name(ranged):
    with pytest.raises(UserError, match=ranged.partition("=")[0]):
        search_space([ranged])


@pytest.mark.parametrize(("changed", "said"), [
    ({"budget": "soon"}, "8h"),
    ({"storage": "mysql://host/db"}, "postgresql"),
    ({"storage": "study.db"}, "sqlite:///FILE"),
    ({"storage": "postgresql+psycopg://me:secret@host/db"}, "PGPASSWORD"),
    ({"storage": "postgresql+psycopg://me@127.0.0.1:1/db"}, "cannot be reached"),
])
def test_settings_that_make_no_sense_are_said(changed, said, tmp_path):
    if "127.0.0.1" in changed.get("storage", ""):
        pytest.importorskip("psycopg")
    with pytest.raises(UserError, match=re.escape(said)) as error:
        join(settings(tmp_path, **changed))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(("configuration", "space", "said"), [
    ({"phase.name": "4_2", "phase.lr": 1e-4, "phase.clip": 2.0}, SPACE, "phase.clip: 1.0 there, 2.0 here"),
    ({"phase.name": "4_2", "phase.lr": 1e-4, "phase.clip": 1.0}, {"phase.lr": FloatDistribution(1e-5, 1.0)}, "other ranges"),
    ({"phase.name": "4_2", "phase.lr": 3e-4, "phase.clip": 1.0, "hw.threads": 7, "data.path": "/elsewhere"}, SPACE, None),
])
def test_only_the_same_study_is_joined(configuration, space, said, tmp_path):
    join(settings(tmp_path), {"phase.name": "4_2", "phase.lr": 1e-4, "phase.clip": 1.0, "hw.threads": 1})
    if said is None:
        join(settings(tmp_path), configuration, space)
        return
    with pytest.raises(UserError, match=re.escape(said)):
        join(settings(tmp_path), configuration, space)


def test_a_study_of_0_1_goes_on_under_the_names_of_today(tmp_path):
    shared = {"model.name": "fase4", "phase.lr": 1e-4, "data.kind": "folder"}
    join(settings(tmp_path), shared | {"phase.decoder_start": "mels", "phase.decoder_hidden": [64], "data.min_likeness": 0.5,
                                       "hw.batch_size": None})
    now = shared | {"model.decoder_start": "mels", "model.decoder_hidden": [64], "data.min_similarity": 0.5}
    join(settings(tmp_path), now)
    with pytest.raises(UserError, match=r"other settings \(model.decoder_start: mels there, random here\)"):
        join(settings(tmp_path), now | {"model.decoder_start": "random"})


def test_a_study_of_the_demo_of_0_1_goes_on_with_espeak_alone(tmp_path):
    shared = {"model.name": "fase4", "phase.lr": 1e-4}
    join(settings(tmp_path), shared | {"data.kind": "demo", "data.name": "demo"})
    join(settings(tmp_path), shared | {"data.kind": "espeak", "data.name": "espeak"})
    with pytest.raises(UserError, match="data.kind: espeak there, kokoro here"):
        join(settings(tmp_path), shared | {"data.kind": "kokoro", "data.name": "demo"})


def test_a_study_of_0_1_that_searched_a_renamed_key_says_what_to_do(tmp_path):
    ranged = CategoricalDistribution(["random", "mels"])
    join(settings(tmp_path), {"phase.lr": 1e-4}, {"phase.decoder_start": ranged})
    with pytest.raises(UserError, match=r"phase.decoder_start, which is now model.decoder_start.*sweep.study=NAME"):
        join(settings(tmp_path), {"phase.lr": 1e-4}, {"model.decoder_start": ranged})


@pytest.mark.parametrize("phase", ["4_2", "4_3"])
def test_the_phases_defaults_lie_in_their_ranges(phase):
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    from chatterbox_es.config import CONF, register_schema
    from chatterbox_es.selection.sweeper import default_values

    register_schema()
    with initialize_config_dir(str(CONF)):
        config = hydra_compose("config", overrides=[f"sweep='{phase}'"], return_hydra_config=True)
    space, _ = search_space([f"{key}={value}" for key, value in config.hydra.sweeper.params.items()])
    assert config.phase.name == phase
    assert default_values(space, config).keys() == space.keys()


def test_a_sampler_that_reads_pickles_from_the_database_is_refused():
    sweeper = StudySweeper(OmegaConf.create({"_target_": "optuna.samplers.CmaEsSampler", "seed": 1}), OmegaConf.create({}))
    with pytest.raises(UserError, match="CmaEsSampler keeps its state as a pickle"):
        sweeper.sampler_of(0)


# ---- what is searched for


def heard_by(count: int, **more) -> dict:
    return {"phase.name": "4_2", "phase.lr": 1e-4, "train.listen": count, "train.recogniser": None, **more}


@pytest.mark.parametrize(("first", "second", "said"), [
    (("val_loss", heard_by(0)), ("distillmos", heard_by(4)), "sweep.objective: val_loss there, distillmos here"),
    (("distillmos", heard_by(4)), ("similarity", heard_by(4)), "sweep.objective: distillmos there, similarity here"),
    (("distillmos", heard_by(4)), ("distillmos", heard_by(5)), "train.listen: 4 there, 5 here"),
    (("wer", heard_by(4, **{"train.recogniser": "whisper:base"})), ("wer", heard_by(4, **{"train.recogniser": "vosk:DIR"})),
     "train.recogniser: whisper:base there, vosk:DIR here"),
    (("val_loss", heard_by(0)), ("val_loss", heard_by(3)), None),  # which does not hear it
    (("wer", heard_by(4)), ("wer", heard_by(4)), None),
])
def test_only_studies_of_the_same_objective_are_joined(first, second, said, tmp_path):
    for (objective, configuration), refused in ((first, None), (second, said)):
        if refused is None:
            study = join(settings(tmp_path, objective=objective), configuration)
            higher = objective in ("distillmos", "similarity")
            assert (study.study.direction == optuna.study.StudyDirection.MAXIMIZE) == higher
        else:
            with pytest.raises(UserError, match=re.escape(refused)):
                join(settings(tmp_path, objective=objective), configuration)


def test_a_study_from_before_there_were_objectives_goes_on(tmp_path):
    study = join(settings(tmp_path)).study
    before = {key: value for key, value in study.user_attrs.items() if key != "objective"}
    optuna.delete_study(study_name=study.study_name, storage=study._storage)
    old = optuna.create_study(study_name=study.study_name, storage=study._storage, direction="minimize")
    for key, value in before.items():
        old.set_user_attr(key, value)
    again = join(settings(tmp_path))
    assert again.objective == "val_loss" and "objective" not in again.study.user_attrs
    with pytest.raises(UserError, match="sweep.objective: val_loss there, wer here"):
        join(settings(tmp_path, objective="wer"), heard_by(4))


def test_a_pruner_goes_by_the_objective_and_waits_where_nothing_was_heard(config_of, tmp_path):
    def report(rows: list[dict]) -> optuna.trial.FrozenTrial:
        sweep = settings(tmp_path, n_trials=50, pruner="median", objective="distillmos")
        study = join(sweep, heard_by(4))
        study.refill()
        trial = study.claim()
        config = config_of(f"outputs='{tmp_path}'", f"sweep.trial={trial._trial_id}", "sweep.pruner=median", "train.listen=4",
                           "sweep.objective=distillmos", f"sweep.storage='{sweep['storage']}'",
                           f"sweep.study={sweep['study']}", "train.epochs=50")
        for number, row in enumerate(rows, 1):
            Reporter.of(config)(number, number, {"val_loss": 0.5, "baseline": 1.0} | row, is_last=False)
        return study, trial

    for quality in (3.0, 3.1, 3.2, 3.3):
        study, trial = report([{"listen_distillmos": quality, "recordings_distillmos": 4.1}, {}])
        study.tell(trial, quality)
    told = study.study.trials[trial.number]
    assert told.intermediate_values == {1: 3.3} and told.user_attrs["baseline"] == 4.1
    assert report([{"listen_distillmos": 3.9}])  # above the others: the higher the better
    with pytest.raises(optuna.TrialPruned, match="distillmos 1.5000 at validation 1"):
        report([{"listen_distillmos": 1.5}])
