"""The configuration: what is written is what is composed, and a slip is named."""

import pytest

from chatterbox_es.config import compose, quote_phase_names
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


@pytest.mark.parametrize("folder", ["/tmp/a=b", "mis grabaciones", "grabaciones (2)", "año,2024"])
def test_a_folders_name_is_taken_when_it_is_quoted(folder):
    assert compose(["data=folder", f"data.path='{folder}'"]).data.path == folder
