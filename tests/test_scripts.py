"""The shell scripts: which commands they give, in which order, with what; a Python that only notes them stands in."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
NOTING = """#!/bin/bash
case "$1" in
    -c) echo "$PACKAGE" ;;
    -) cat >/dev/null ;;
    *) printf '%s\\n' "${*:2}" >>"$NOTED" ;;
esac
"""


@pytest.fixture
def give(tmp_path):
    """A script with arguments and variables: its exit code, what it said, and the commands that it gave."""
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    python, package, noted = tmp_path / "python", tmp_path / "package", tmp_path / "noted"
    python.write_text(NOTING)
    python.chmod(0o755)
    (package / "weights").mkdir(parents=True)
    (tmp_path / "mine").mkdir()

    def run(script: str, *arguments: str, weights: tuple[str, ...] = (), **variables: str) -> tuple[int, str, list[str]]:
        noted.write_text("")
        for name in weights:
            (package / "weights" / f"{name}_base.safetensors").touch()
        told = {"PYTHON": str(python), "PACKAGE": str(package), "NOTED": str(noted), "FROM": ""}
        done = subprocess.run(["bash", SCRIPTS / script, *arguments], cwd=tmp_path, capture_output=True, text=True,
                              env=os.environ | told | variables)
        return done.returncode, done.stdout + done.stderr, noted.read_text().splitlines()

    return run


def steps(commands: list[str]) -> list[tuple[str, ...]]:
    """Module and phase of each command."""
    return [tuple(word.removeprefix("chatterbox_es.") for word in command.split()[:2 if ".train" in command else 1])
            for command in commands]


def test_a_voice_is_fine_tuned_from_the_base_where_one_comes_along(give):
    code, said, commands = give("train_voice.sh", "mine", weights=("voice", "vocoder"))
    assert code == 0 and "fine-tuned from base for 10 minutes" in said
    assert steps(commands) == [("prepare",), ("train", "phase=4_3"), ("synthesize",)]
    assert {"train.max_minutes=10", "model.adversarial_from=0"} <= set(commands[1].split())
    _, _, commands = give("train_voice.sh", "mine", "7", "3")
    assert steps(commands) == [("prepare",), ("train", "phase=4_3"), ("train", "phase=vocoder"), ("synthesize",)]
    prepare, voice, vocoder, _ = (command.split() for command in commands)
    assert "model=flow" in prepare and {"model=flow", "train.finetune=base", "train.max_minutes=7"} <= set(voice)
    assert not any(word.startswith("train.encoder") for word in voice)
    run = next(word.partition("=")[2] for word in voice if word.startswith("hydra.run.dir="))
    assert {f"model.voice={run}", "train.finetune=base", "train.max_minutes=3"} <= set(vocoder) and "model=flow" not in vocoder
    _, _, commands = give("train_voice.sh", "mine", "0.5", "0", "data.dialect=mexican")
    assert steps(commands) == [("prepare",), ("train", "phase=4_3"), ("synthesize",)]
    assert {"train.max_minutes=0.5", "data.dialect=mexican"} <= set(commands[1].split())


@pytest.mark.parametrize(("weights", "variables", "arguments", "model"), [
    ((), {}, (), "flow"), (("voice", "vocoder"), {"FROM": "nothing"}, (), "flow"), (("voice",), {}, ("model=fase4",), "fase4"),
])
def test_without_one_or_where_that_is_asked_it_begins_with_nothing(give, weights, variables, arguments, model):
    code, said, commands = give("train_voice.sh", "mine", "1", "2", "0", *arguments, weights=weights, **variables)
    assert code == 0, said
    assert steps(commands) == [("prepare",), ("train", "phase=4_2"), ("train", "phase=4_3"), ("synthesize",)]
    first, second = (set(command.split()) for command in commands[1:3])
    assert f"model={model}" in first & second and "train.max_minutes=1" in first and "train.max_minutes=2" in second
    run = next(word.partition("=")[2] for word in first if word.startswith("hydra.run.dir="))
    assert f"train.encoder={run}" in second and not any(word.startswith("train.finetune") for word in first | second)


def test_it_may_begin_as_a_run_and_chatterbox_has_a_vocoder(give):
    assert "train.finetune=outputs/4_3/x" in give("train_voice.sh", "mine", FROM="outputs/4_3/x")[2][1].split()
    _, _, commands = give("train_voice.sh", "mine", "model=chatterbox", weights=("voice", "vocoder"))
    assert steps(commands) == [("prepare",), ("train", "phase=4_2"), ("train", "phase=4_3"), ("synthesize",)]
    assert all("model.lora_dropout=0" in command and "model=flow" not in command for command in commands[1:3])


@pytest.mark.parametrize(("arguments", "variables", "said"), [
    ((), {}, "usage:"), (("mine", "fast"), {}, "'fast' is neither minutes nor KEY=VALUE"),
    (("mine", "1", "2", "3"), {}, "from base, two minutes are given"),
    (("mine", "1", "2", "3", "4"), {"FROM": "nothing"}, "from nothing, three minutes are given"),
])
def test_what_cannot_be_is_said_before_anything_begins(give, arguments, variables, said):
    code, printed, commands = give("train_voice.sh", *arguments, weights=("voice",), **variables)
    assert code == 2 and said in printed and not commands


def test_the_base_is_made_of_a_table_of_speakers_by_two_trainings(give, tmp_path):
    for name, row in (("dora", "a|Uno."), ("dora_prose", "b|Son 2.|Son dos."), ("alex_prose", "c|Tres.")):
        (tmp_path / f"shared/corpora/kokoro_es/{name}/audio").mkdir(parents=True)
        (tmp_path / f"shared/corpora/kokoro_es/{name}/audio/{row[0]}.flac").touch()
        (tmp_path / f"shared/corpora/kokoro_es/{name}/metadata.csv").write_text(f"{row}\n")
    (tmp_path / "voices/af_sky/audio").mkdir(parents=True)
    (tmp_path / "voices/af_sky/audio/d.flac").touch()
    (tmp_path / "voices/af_sky/metadata.csv").write_text("d|Cuatro.\n")
    code, said, commands = give("make_base_voice.sh", "shared", "made", "hw=t4", MINUTES="3,4",
                                VOICES="voices")
    assert code == 0, said
    assert (tmp_path / "made/speech/metadata.csv").read_text().splitlines() == [
        "audio_file|text|speaker|dialect", "alex_prose_c|Tres.|alex|castilian", "dora_a|Uno.|dora|castilian",
        "dora_prose_b|Son dos.|dora|castilian", "af_sky_d|Cuatro.|af_sky|castilian"]
    assert (tmp_path / "made/speech/wavs/dora_prose_b.flac").is_file()
    first, second = (set(command.split()) for command in commands)
    assert {"phase=4_2", "train.max_minutes=3", "hw=t4", "model.use_speaker=true", "model=flow"} <= first
    assert {"phase=4_3", "train.max_minutes=4", "hw=t4", f"train.encoder={tmp_path}/made/4_2"} <= second
    for file in ("4_2/checkpoints/final_text_encoder.pt", "4_3/run.json"):  # stopped
        (tmp_path / "made" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / file).touch()
    _, _, (again,) = give("make_base_voice.sh", "shared", "made")
    assert {"phase=4_3", f"resume={tmp_path}/made/4_3"} <= set(again.split())
    assert give("make_base_voice.sh", "nowhere")[:2] == (2, f"error: there is no {tmp_path}/nowhere/corpora/kokoro_es\n")
    code, said, _ = give("make_base_voice.sh", "shared", "other", MORE="eva:ef_dora:fr:x")
    assert code == 2 and "MORE=eva:ef_dora:fr:x: must be" in said
