"""What is a voice and what is not: a vocoder's run is passed by wherever a voice is looked for."""

import shutil

import pytest

from chatterbox_es.errors import UserError
from chatterbox_es.models.starting_point import encoder_checkpoint
from chatterbox_es.runs.run_directory import RunDirectory
from chatterbox_es.runs.summary import find_runs
from chatterbox_es.selection.choosing import find
from chatterbox_es.speech.demo_voices import Shelf
from chatterbox_es.speech.voices import newest_voice


@pytest.fixture
def outputs(tmp_path):
    """A run of each voice phase and then, newest of all, one of a vocoder on the same data."""
    folder = tmp_path / "outputs"
    for phase, output, trained in (("4_2", "mels", "text_encoder"), ("4_3", "mels", "full_model"),
                                   ("vocoder", "samples", "full_model")):
        run = RunDirectory.create(folder / phase / "1", phase=phase, output=output, content="c", data="folder")
        run.checkpoints.mkdir()
        (run.checkpoints / f"final_{trained}.pt").touch()
        (run.checkpoints / f"best_{trained}_epoch_1.pt").touch()
        run.end("finished")
    return folder


def test_a_vocoders_run_is_no_voice(outputs):
    assert newest_voice(outputs) == outputs / "4_3/1"
    assert list(Shelf(outputs).runs()) == ["4_3/1", "4_2/1"]
    assert all("vocoder" not in offer.name for offer in Shelf(outputs).offers())
    shutil.rmtree(outputs / "4_3")
    assert newest_voice(outputs) == outputs / "4_2/1"  # though it has trained no full model, and the vocoder has


def test_it_is_not_ranked_among_voices(outputs, capsys):
    voices = {outputs / "4_2/1", outputs / "4_3/1"}
    assert find([], outputs).keys() == voices
    assert find([str(outputs)], outputs).keys() == voices
    assert "1 of 3 runs" in capsys.readouterr().out
    assert find([str(outputs / "vocoder")], outputs).keys() == {outputs / "vocoder/1"}  # alone, it is what was asked for


def test_it_is_a_run_all_the_same(outputs):
    assert [summary.phase for summary in find_runs(outputs)] == ["4_2", "4_3", "vocoder"]


def test_phase_4_3_does_not_start_from_it(outputs, config_of, features):
    config = config_of("phase=4_3", f"outputs={outputs}")
    for run in outputs.glob("*/1"):
        card = run / "run.json"
        card.write_text(card.read_text().replace('"content": "c"', f'"content": "{features.card["content"]}"'))
    assert encoder_checkpoint(config, features) == outputs / "4_2/1/checkpoints/final_text_encoder.pt"


def test_without_a_voice_there_is_none(tmp_path):
    run = RunDirectory.create(tmp_path / "vocoder/1", phase="vocoder", output="samples", content="c")
    run.end("finished")
    with pytest.raises(UserError, match="no finished run"):
        newest_voice(tmp_path)
    with pytest.raises(UserError, match="no finished run"):
        find([], tmp_path)
    assert not Shelf(tmp_path).runs()
