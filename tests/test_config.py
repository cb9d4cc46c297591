"""The configuration: what is written is what is composed, and a slip is named."""

import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from chatterbox_es.config import compose, hydra_arguments, read_config
from chatterbox_es.config.schema import RENAMED, declared
from chatterbox_es.errors import UserError


@pytest.mark.parametrize(("written", "quoted"), [
    ("phase=4_3", "phase='4_3'"),
    ("phase=4_2,4_3", "phase='4_2','4_3'"),
    ("phase=choice(4_2,4_3)", "phase=choice('4_2','4_3')"),
    ("phase=choice(4_2, 4_3)", "phase=choice('4_2', '4_3')"),
    ("+sweep=4_2", "+sweep='4_2'"),
    ("sweep=4_2", "sweep='4_2'"),
    ("phase='4_3'", "phase='4_3'"),
    ('phase="4_3"', 'phase="4_3"'),
    ("phase=other", "phase=other"),
    ("data.path=phase=4_2", "data.path='phase=4_2'"),
    ("data.path=runs/4_2", "data.path='runs/4_2'"),
    ("data.path=2024_05", "data.path='2024_05'"),
    ("data.path='año'", "data.path='año'"),
    ("data.path=it's", r"data.path='it\'s'"),
    ("data.sources.eva.path=año", "data.sources.eva.path='año'"),
    ("data.lexicon=null", "data.lexicon=null"),
    ("hydra.run.dir=año", "hydra.run.dir='año'"),
    ("data.speakers=[001,José,'4_2']", "data.speakers=['001','José','4_2']"),
    ("data.drop=snr<15, duplicate_audio", "data.drop='snr<15, duplicate_audio'"),
    ("train.max_steps=1_000", "train.max_steps=1_000"),
    ("phase.betas=[0.9,0.98]", "phase.betas=[0.9,0.98]"),
    ("--train.seed=3", "train.seed=3"),
    ("--config-dir=año", "--config-dir=año"),
    ("--cfg=job", "--cfg=job"),
    ("-m", "-m"),
    ("--cfg", "--cfg"),
])
def test_what_is_typed_is_put_into_hydras_grammar(written, quoted):
    assert hydra_arguments([written]) == [quoted]


def test_a_sweep_over_paths_stays_one():
    assert hydra_arguments(["-m", "data.path=a,b", "data.path=año"]) == ["-m", "data.path=a,b", "data.path='año'"]


def test_the_home_folder_is_found(monkeypatch):
    monkeypatch.setenv("HOME", "/home/eva")
    assert compose(["data=folder", "data.path=~/voz (2)"]).data.path == "/home/eva/voz (2)"


def test_the_command_of_the_readme_composes():
    config = compose(["phase=4_3", "hw=t4"])
    assert (config.phase.name, config.phase.trains, config.phase.encoder_from) == ("4_3", "full_model", "4_2")
    assert (config.hw.name, config.hw.accelerator, config.hw.precision) == ("t4", "cuda", "16-mixed")


@pytest.mark.parametrize(("phase", "batch_size", "lr", "epochs"), [("4_2", 8, 1e-4, 50), ("4_3", 4, 5e-5, 30)])
def test_defaults_are_the_write_ups(phase, batch_size, lr, epochs):
    config = compose([f"phase={phase}"])
    assert (config.phase.batch_size, config.phase.lr, config.phase.epochs) == (batch_size, lr, epochs)
    assert (config.phase.validate_every, config.phase.clip) == (5, 1.0)
    assert (config.data.name, config.data.kind, config.data.dialect) == ("demo", "kokoro", "castilian")
    assert (config.mel.sample_rate, config.mel.hop, config.mel.n_fft, config.mel.bins) == (24_000, 480, 1920, 80)


@pytest.mark.parametrize(("slip", "named"), [
    ("train.max_minuts=3", "max_minuts"),
    ("data.dialekt=castilian", "dialekt"),
    ("modle.width=3", "modle"),
    ("phase=4_4", "4_4"),
    ("hw=t5", "t5"),
    ("train.seed=one", "one"),
    ("phase.epochs=many", "many"),
    ("--train.max_minuts=3", "max_minuts"),
    ("train.max_minutes=0,5", r"train.max_minutes=0,5: .* decimal has a point"),
    ("train.wandb=false", r"train.wandb=False: must be offline \| online \| disabled"),
    ("data.check_files=???", r"data.check_files=\?\?\?: .* is none"),
    ("phase.betas=[0.9,???]", r"phase.betas=\[0.9,\?\?\?\]: "),
    ("hw.precision=16", r"hw.precision=16: must be auto \| 32-true \| 16-mixed \| bf16-mixed"),
    ("hw.precision=16-mixed", "hw.precision=16-mixed: a CPU"),
    ("hw.pin_memory=true", "hw.pin_memory=true: there is no GPU"),
    ("sweep.pruner=guess", r"sweep.pruner=guess: must be asha \| hyperband"),
    ("data.kind=foldr", r"data.kind=foldr: must be kokoro \| espeak \| folder"),
    ("+data.sources={a:{kind:foldr,path:x}}", r"kind=foldr: must be kokoro \| espeak \| folder"),
    ("phase.epochs=${nothing}", "nothing.*phase.epochs"),
    *((written, re.escape(written.partition("=")[0])) for written in (
        "phase.validate_every=0", "train.log_every=0", "phase.batch_size=0", "phase.batch_size=-3", "phase.lr=-1",
        "phase.lr=nan", "model.dropout=2", "train.seed=-1", "train.seed=99999999999", "model.heads=3", "model.width=0",
        "mel.hop=0", "phase.betas=[2,2]", "phase.betas=[0.9]", "phase.clip=-1", "phase.weight_decay=-1", "mel.f_max=90000",
        "mel.f_max=1.0",
        "sweep.n_trials=0", "data.temperature=0", "hw.memory_gb=inf")),
    *((f"{old}=1", f"{re.escape(old)} is now {re.escape(new)}") for old, new in RENAMED.items()),
    ("+data.sources.eva.min_likeness=1", r"min_likeness is now data\.min_similarity"),
])
def test_a_slip_is_an_error_that_names_it(slip, named):
    with pytest.raises(UserError, match=named):
        compose([slip])


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_key_of_0_1_is_an_error_that_says_its_name_of_today(old, new):
    for written in (f"{old}=1", f"++{old}=choice(1,2)"):
        with pytest.raises(UserError, match=f"{re.escape(old)} is now {re.escape(new)}"):
            compose([written])
    OmegaConf.select(compose(["model=chatterbox" if "text" in new or "tokens" in new else "model=fase4"]), new.split(" ")[0],
                     throw_on_missing=True)


def test_the_configuration_of_a_run_of_0_1_is_read_by_the_names_of_today(tmp_path):
    def left(name: str, model: str, phase: dict, **keys) -> Path:
        stored = OmegaConf.to_container(compose([f"model={model}", "phase=4_3"]), resolve=False)
        for key in ("decoder_hidden", "decoder_start", "text_drop_prob", "start_tokens"):
            stored["model"].pop(key, None)
        stored["phase"] |= phase
        stored["model"] |= keys
        OmegaConf.save(OmegaConf.create(stored), tmp_path / name)
        return tmp_path / name

    fase4 = read_config(left("fase4.yaml", "fase4", {"decoder_hidden": [96], "decoder_start": "mels"})).model
    assert (list(fase4.decoder_hidden), fase4.decoder_start) == ([96], "mels")
    gone = {"decoder_hidden": [], "decoder_start": "none"}  # every model had them
    t3 = read_config(left("t3.yaml", "chatterbox", gone, unheard=0.2, starts=1)).model
    assert (t3.text_drop_prob, t3.start_tokens) == (0.2, 1)


def test_the_demo_of_a_run_of_0_1_is_espeak_ngs_speech_today(tmp_path):
    stored = OmegaConf.to_container(compose(["data=espeak", "outputs=o", "data.dialect=mexican",
                                             "+data.sources={a:{kind:espeak,path:p},b:{kind:folder,path:q}}"]), resolve=False)
    stored["data"] |= {"name": "demo", "kind": "demo"}
    stored["data"]["sources"]["a"]["kind"] = "demo"
    OmegaConf.save(OmegaConf.create(stored), tmp_path / "config.yaml")
    data = read_config(tmp_path / "config.yaml").data
    assert (data.name, data.kind, data.path) == ("espeak", "espeak", "o/demo_corpus/mexican")
    assert {name: source.kind for name, source in data.sources.items()} == {"a": "espeak", "b": "folder"}


@pytest.mark.parametrize(("model", "names"), [("fase4", ["dropout"]), ("chatterbox", ["lora_dropout", "perceiver_dropout"])])
def test_what_hw_overruled_in_0_1_is_the_models_and_the_phases_today(tmp_path, model, names):
    """A run of 0.1 that was told hw.dropout goes on with it, whichever keys its model has for that."""
    stored = OmegaConf.to_container(compose([f"model={model}", "phase=4_3"]), resolve=False)
    stored["hw"] |= {"dropout": 0.0, "lr": 2e-4, "batch_size": None}
    OmegaConf.save(OmegaConf.create(stored), tmp_path / "config.yaml")
    config = read_config(tmp_path / "config.yaml")
    assert [config.model[name] for name in names] == [0.0] * len(names)
    assert config.phase.lr == 2e-4 and config.phase.batch_size == stored["phase"]["batch_size"]


def test_the_decoder_is_the_models_and_differs_by_phase():
    for phase, hidden, start in (("4_2", [1024], "mels"), ("4_3", [1024, 2048, 1024], "grown")):
        model = compose([f"phase={phase}"]).model
        assert (list(model.decoder_hidden), model.decoder_start) == (hidden, start)


# What a folder's name may hold; "${" is an interpolation here, "~" the home folder, and quotes around all of it are Hydra's.
PATHS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(
    lambda path: "${" not in path and path[0] not in "~'\"" and path not in ("null", "???"))


@given(PATHS)
@example("/tmp/a=b")
@example("mis grabaciones (2)")
@example("año,2024#1")
@example("a'b\\")
@example("a\\'b")
@example("[x]{y:z}")
@settings(max_examples=30)
def test_a_path_is_taken_as_it_is_typed(path):
    assert compose(["data=folder", f"data.path={path}"]).data.path == path


def keys_with_values() -> st.SearchStrategy[str]:
    """Keys of the schema with values of all kinds, few of which they can have."""
    keys = [line.split("=")[0].strip() for line in help_of_prepare().splitlines() if re.match(r"  \w+(\.\w+)*=", line)]
    assert len(keys) > 100
    numbers = functools.partial(st.floats, 0, allow_subnormal=False)  # a library may have switched these off
    values = st.one_of(
        st.integers(-3, 3), st.integers(), st.floats(allow_subnormal=False), numbers(1), st.booleans(),
        st.sampled_from(["null", "", "???", "[1]"]),
        st.lists(numbers(1.1), max_size=3), st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8))
    chosen = [value for key in keys if declared(key) for value in declared(key).choices]
    return st.lists(st.builds(lambda key, value: f"{key}={value}", st.sampled_from(keys), values | st.sampled_from(chosen)),
                    min_size=1, max_size=3)


def help_of_prepare() -> str:
    return subprocess.run([sys.executable, "-m", "chatterbox_es.prepare", "--help"], text=True, capture_output=True,
                          check=True, encoding="utf-8").stdout


def is_said_or_composed(arguments: list[str]) -> None:
    """A wrong setting is a sentence that names its key; nothing else is raised."""
    try:
        compose(arguments)
    except UserError as error:
        names = {argument.partition("=")[0] for argument in arguments}
        words = {word for name in names for word in (name, name.rpartition(".")[2])}
        assert any(word in str(error) for word in words), f"{arguments}: {error}"
        assert "\n" not in str(error), str(error)


@given(st.data())
@settings(max_examples=25)
def test_a_random_setting_is_composed_or_refused_by_a_sentence(data):
    is_said_or_composed(data.draw(SETTINGS()))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(st.data())
@settings(max_examples=2000, derandomize=False)
def test_random_settings_are_composed_or_refused_by_a_sentence(data):
    is_said_or_composed(data.draw(SETTINGS()))


SETTINGS = functools.cache(keys_with_values)


def test_help_lists_choices_and_ranges():
    shown = help_of_prepare()
    assert re.search(r"hw.precision=auto +auto \| 32-true \| 16-mixed \| bf16-mixed\n", shown)
    assert re.search(r"phase.batch_size=8 +at least 1\n", shown)


def test_a_study_makes_no_folder_of_a_multirun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert compose(["sweep=4_2", "data=demo"]).sweep.study == "4_2_demo"
    assert not list(tmp_path.iterdir())
