"""The configuration: what is written is what is composed, and a slip is named."""

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from chatterbox_es.config import RENAMED, compose, quote_phase_names, read_config
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
    ("data.path=phase=4_2", "data.path=phase=4_2"),
    ("data.path=runs/4_2", "data.path=runs/4_2"),
    ("train.max_steps=1_000", "train.max_steps=1_000"),
    ("train.encoder=outputs/4_2/2026-11-23_00-25-55", "train.encoder=outputs/4_2/2026-11-23_00-25-55"),
    ("-m", "-m"),
    ("data.path=2024_05", "data.path='2024_05'"),
        ("--cfg", "--cfg"),
])
def test_names_of_phases_are_quoted_and_nothing_else(written, quoted):
    assert quote_phase_names([written]) == [quoted]


def test_the_command_of_the_readme_composes():
    config = compose(["phase=4_3", "hw=t4"])
    assert (config.phase.name, config.phase.trains, config.phase.encoder_from) == ("4_3", "full_model", "4_2")
    assert (config.hw.name, config.hw.accelerator, config.hw.precision) == ("t4", "cuda", "16-mixed")


@pytest.mark.parametrize(("phase", "batch_size", "lr", "epochs"), [("4_2", 8, 1e-4, 50), ("4_3", 4, 5e-5, 30)])
def test_defaults_are_the_write_ups(phase, batch_size, lr, epochs):
    config = compose([f"phase={phase}"])
    assert (config.phase.batch_size, config.phase.lr, config.phase.epochs) == (batch_size, lr, epochs)
    assert (config.phase.validate_every, config.phase.clip) == (5, 1.0)
    assert (config.data.name, config.data.kind, config.data.dialect) == ("demo", "demo", "castilian")
    assert (config.mel.sample_rate, config.mel.hop, config.mel.n_fft, config.mel.bins) == (24_000, 480, 1920, 80)


@pytest.mark.parametrize(("slip", "named"), [
    ("train.max_minuts=3", "max_minuts"),
    ("data.dialekt=castilian", "dialekt"),
    ("modle.width=3", "modle"),
    ("phase=4_4", "4_4"),
    ("hw=t5", "t5"),
    ("train.seed=one", "one"),
    ("phase.epochs=many", "many"),
])
def test_a_slip_is_an_error_that_names_it(slip, named):
    with pytest.raises(UserError, match=named):
        compose([slip])


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_key_of_0_1_is_an_error_that_says_its_name_of_today(old, new):
    for written in (f"{old}=1", f"++{old}=choice(1,2)"):
        with pytest.raises(UserError, match=f"{re.escape(old)} is called {re.escape(new)} now"):
            compose([written])
    OmegaConf.select(compose(["model=chatterbox" if "text" in new or "tokens" in new else "model=fase4"]), new,
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


def test_the_decoder_is_the_models_and_differs_by_phase():
    for phase, hidden, start in (("4_2", [1024], "mels"), ("4_3", [1024, 2048, 1024], "random")):
        model = compose([f"phase={phase}"]).model
        assert (list(model.decoder_hidden), model.decoder_start) == (hidden, start)


@pytest.mark.parametrize("folder", ["/tmp/a=b", "mis grabaciones", "grabaciones (2)", "año,2024"])
def test_a_folders_name_is_taken_when_it_is_quoted(folder):
    assert compose(["data=folder", f"data.path='{folder}'"]).data.path == folder
