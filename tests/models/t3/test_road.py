"""model=chatterbox through the real command line: prepare, both phases, resuming, selecting, speaking, exporting.

The T3 is tiny and random, the codec a stand-in (`standin_codec`): they show that the road works, and nothing about speech.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from chatterbox_es.config import read_config
from chatterbox_es.hardware import set_up
from chatterbox_es.models.families import load_checkpoint, recipe_of
from chatterbox_es.models.t3.validation import utterance_values
from chatterbox_es.models.t3.weights import load_t3
from chatterbox_es.runs.run_directory import RunDirectory, read_card
from tests.fork_server import ForkServer

HERE = Path(__file__).resolve().parent
CODEC = "codec=standin_codec:load"
STANDIN = f"model.{CODEC}"
FAST = ("hw.threads=1", "hw.precision=32-true", "model.lora_dropout=0", "model.perceiver_dropout=0", "train.wandb=disabled",
        "train.samples=1", "train.log_every=1", "train.trial_steps=0", "phase.batch_size=3", "phase.warmup_steps=1",
        "phase.lr=3e-3", "train.epochs=2", "model.rank=4")  # fmt: skip


@pytest.fixture(scope="module")
def run_command(tmp_path_factory) -> Iterator[Callable[..., subprocess.CompletedProcess]]:
    """A command that finds the stand-in, forked: Hugging Face's packages alone take seconds to import."""
    with ForkServer(tmp_path_factory.mktemp("home"), "models.t3.recipe", "speech.t3_voice") as server:
        def run(module: str, *arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess:
            return server.completed(module, *arguments, cwd=cwd, environment={"PYTHONPATH": environment()["PYTHONPATH"]} | more)

        yield run


def command_of(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"chatterbox_es.{module}", *arguments]


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(HERE.parent.parent), str(HERE), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONIOENCODING": "utf-8"}


def well(output: subprocess.CompletedProcess) -> subprocess.CompletedProcess:
    assert output.returncode == 0, output.stdout + output.stderr
    return output


class Road(NamedTuple):
    folder: Path
    weights: Path
    arguments: list[str]
    adapters: Path  # the run of 4_2
    whole: Path  # of 4_3


@pytest.fixture(scope="module")
def road(tmp_path_factory, make_corpus, make_weights, run_command) -> Road:
    folder = tmp_path_factory.mktemp("chatterbox")
    weights = make_weights(folder / "weights")
    corpus = make_corpus(folder / "corpus")
    arguments = ["model=chatterbox", f"model.weights={weights}", STANDIN, "data=folder", f"data.path={corpus}",
                 "data.dialect=mexican", "model.dialect_tags=true", *FAST]
    well(run_command("prepare", *arguments, cwd=folder))
    for phase in ("4_2", "4_3"):
        well(run_command("train", f"phase={phase}", *arguments, cwd=folder))
    runs = [next(folder.glob(f"outputs/{phase}/*/run.json")).parent for phase in ("4_2", "4_3")]
    return Road(folder, weights, arguments, *runs)


def test_tokens_are_prepared_once_and_kept_small(road, run_command):
    card, = road.folder.glob("outputs/prepared/*/tokens-*/card.json")
    told = json.loads(card.read_text(encoding="utf-8"))
    assert told["tags"] == {"mexican": "es-mx"} and told["left_out"] == {}
    codes, index = np.load(card.with_name("codes.npy")), np.load(card.with_name("index.npy"))
    assert codes.dtype == np.int16 and len(codes) == told["codes"] == index["codes"].sum()
    assert len(index) == 10 and (index["codes"] >= 20).all()  # a second or more, 25 a second
    text, vocabulary = np.load(card.with_name("text.npy")), json.loads(card.with_name("vocabulary.json").read_text())
    tag = vocabulary["model"]["vocab"]["[es-mx]"]
    assert [text[row["id"] + 1] for row in index] == [tag] * 10 and tag < 2454
    before = {path: path.stat().st_mtime_ns for path in card.parent.iterdir()}
    assert "reused" in well(run_command("prepare", *road.arguments, cwd=road.folder)).stdout
    assert before == {path: path.stat().st_mtime_ns for path in card.parent.iterdir()}


def test_both_phases_leave_what_a_run_leaves(road):
    for run, stem in ((road.adapters, "text_and_lora"), (road.whole, "full_model")):
        card, rows = read_card(run), RunDirectory(run).metrics()
        assert card["state"] == "finished" and card["frozen"]["sha256_before"] == card["frozen"]["sha256_after"]
        assert (run / "checkpoints" / f"final_{stem}.pt").is_file() and (run / "losses.png").is_file()
        steps, epochs = [r for r in rows if "train_loss" in r], [r for r in rows if "val_loss" in r]
        assert {"train_token_accuracy", "train_end_accuracy", "train_text_loss", "grad_norm_text", "grad_norm_speech",
                "learning_rate", "gpu_memory_gb"} <= steps[0].keys()
        assert {"val_loss_other_text", "val_token_error", "val_end_error", "val_text_loss", "baseline"} <= epochs[-1].keys()
        assert all(np.isfinite(value) for row in rows for value in row.values())
        plan = json.loads((run / "plan.json").read_text())
        assert plan["memory_needed_gb"] > 0 and plan["trained"] > 0
    assert read_card(road.whole)["lineage"]["encoder_from"].endswith("final_text_and_lora.pt")
    assert read_card(road.adapters)["frozen"]["parts"] == ["all of T3 but the text embedding and the adapters"]
    assert read_card(road.whole)["frozen"]["parts"] == ["tfmr.embed_tokens.weight"]


def test_phase_4_2_keeps_what_it_trains_and_the_rest_stays_as_published(road):
    adapters = load_checkpoint(road.adapters / "checkpoints/final_text_and_lora.pt")
    assert all(name == "text_emb.weight" or ".lora_" in name for name in adapters.weights)
    published, merged = load_file(road.weights / "t3_mtl23ls_v2.safetensors"), adapters.build().state_dict()
    changed = {name for name, weight in merged.items() if not torch.equal(weight, published[name])}
    tag = adapters.vocabulary["model"]["vocab"]["[es-mx]"]
    assert changed - {"text_head.weight"} == {"text_emb.weight", *(name for name in published if "_proj.weight" in name)}
    rows = (merged["text_head.weight"] != published["text_head.weight"]).any(1).nonzero().flatten().tolist()
    assert rows == [tag]  # the tag's row began as that of [es]
    assert torch.equal(merged["text_head.weight"][tag], published["text_head.weight"][10])


def test_a_run_ended_half_way_goes_on_to_the_same_weights(road, tmp_path, run_command):
    """Two of four epochs, ended; gone on with: bit for bit the run that was not ended."""
    longer = [*road.arguments, "train.epochs=4", "train.samples=0", f"outputs={tmp_path}", "data.prepared=outputs/prepared"]
    well(run_command("train", "phase=4_2", *longer, cwd=road.folder))
    first, = (tmp_path / "4_2").iterdir()
    script = tmp_path / "end.py"
    script.write_text("import os, signal, sys\nfrom chatterbox_es.training import session as training\n"
                      "save = training.Training.save\n"
                      "def ending(self, extra):\n    save(self, extra)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
                      "training.Training.save = ending\nfrom chatterbox_es import train\n"
                      "train.main()\n")
    other = [argument if not argument.startswith("outputs=") else f"outputs={tmp_path / 'killed'}" for argument in longer]
    killed = subprocess.run([sys.executable, str(script), "phase=4_2", *other], cwd=road.folder, env=environment(),
                            capture_output=True, text=True, timeout=600)
    assert killed.returncode == -9, killed.stderr
    again = well(run_command("train", "phase=4_2", *other, "resume=auto", cwd=road.folder))
    assert "goes on at step" in again.stdout
    second, = (tmp_path / "killed/4_2").iterdir()
    whole, resumed = (load_checkpoint(run / "checkpoints/final_text_and_lora.pt").weights for run in (first, second))
    assert whole.keys() == resumed.keys() and all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_run_goes_on_in_its_own_precision_alone(road, tmp_path, run_command):
    """Its frozen weights are kept in the type that is computed in: in another they would be others."""
    arguments = [*road.arguments, f"outputs={tmp_path}", "data.prepared=outputs/prepared", "train.samples=0", "train.epochs=30",
                 "phase.validate_every=1"]
    begun = subprocess.Popen(command_of("train", "phase=4_2", *arguments), cwd=road.folder, env=environment(),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in begun.stdout:
        if "epoch 2," in line:
            begun.send_signal(signal.SIGTERM)
    assert begun.wait() == 143
    run, = (tmp_path / "4_2").iterdir()
    other = run_command("train", "phase=4_2", *arguments, f"resume={run}", "hw.precision=bf16-mixed", cwd=road.folder)
    assert other.returncode == 2 and "hw.precision=32-true" in other.stdout + other.stderr


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["4_2", "4_3"])
def test_two_processes_have_the_losses_of_one(road, tmp_path, phase):
    """Three utterances a batch among two: unequal shares."""
    common = [f"phase={phase}", *road.arguments, "data.prepared=outputs/prepared", "train.samples=0"]
    runs = []
    for name, start in (("one", ["-m"]), ("two", ["-m", "torch.distributed.run", "--nproc_per_node=2", "-m"])):
        well(subprocess.run([sys.executable, *start, "chatterbox_es.train", *common, f"hydra.run.dir={tmp_path / name}"],
                            cwd=road.folder, env=environment(), capture_output=True, text=True, timeout=600))
        runs.append(RunDirectory(tmp_path / name).metrics())
    assert read_card(tmp_path / "two")["processes"] == 2
    assert [row["step"] for row in runs[0]] == [row["step"] for row in runs[1]]
    for one, two in zip(*runs, strict=True):
        for key in ("train_loss", "val_loss", "val_token_error", "grad_norm_text", "grad_norm_speech", "train_loss_epoch"):
            assert (key in two) == (key in one)
            assert two.get(key, 0) == pytest.approx(one.get(key, 0), rel=1e-4)


def test_weights_that_moved_are_found_and_others_are_refused(road, tmp_path, make_weights, run_command):
    moved = shutil.copytree(road.weights, tmp_path / "moved")
    arguments = [argument for argument in road.arguments if not argument.startswith("model.weights=")]
    arguments += [f"outputs={tmp_path / 'outputs'}", "data.prepared=outputs/prepared", "train.samples=0", "train.epochs=1",
                  f"train.encoder={road.adapters}"]
    well(run_command("train", "phase=4_3", *arguments, f"model.weights={moved}", cwd=road.folder))
    other = make_weights(tmp_path / "other", width=128, heads=2)
    refused = run_command("train", "phase=4_3", *arguments, f"model.weights={other}", cwd=road.folder)
    assert refused.returncode == 2 and "holds another T3" in refused.stdout + refused.stderr


def test_checkpoints_are_chosen_and_speak(road, run_command):
    chosen = well(run_command("select", "outputs/4_2", "outputs/4_3", "by=val_loss", "average=0", "threads=1", cwd=road.folder))
    assert "best by val_loss" in chosen.stdout
    best = road.folder / "outputs/best"
    assert (best / "vocabulary.json").is_file() and "Resemble" in (best / "MODEL_CARD.md").read_text(encoding="utf-8")
    for run in ("outputs/best", str(road.adapters), str(road.whole)):
        said = run_command("synthesize", "text=Hola, ¿qué tal?", "out=hola.wav", f"run={run}", "temperature=1", CODEC,
                           cwd=road.folder)
        well(said)
        samples, rate = soundfile.read(road.folder / "hola.wav")
        assert rate == 24_000 and len(samples) % 960 == 0 and "words: hola, ¿qué tal?" in said.stdout


@pytest.mark.parametrize(("arguments", "said"), [
    (["speed=2"], "chooses its own pace"), (["guidance=99"], "guidance=99: must be 0 … 10"),
    (["reference=nowhere.wav"], "reference=nowhere.wav cannot be used"), (["speaker=Eva"], "speaker=Eva is not known"),
    (["weights=nowhere"], "weights=DIR"),
])  # fmt: skip
def test_what_a_voice_cannot_do_is_said(road, arguments, said, run_command):
    run = road.adapters if "weights" in said else road.whole
    output = run_command("synthesize", "text=Hola.", "out=x.wav", f"run={run}", CODEC, *arguments, cwd=road.folder)
    assert output.returncode == 2 and said in output.stderr and "Traceback" not in output.stderr


def test_code_that_a_file_names_is_not_run(road, tmp_path, run_command):
    """A checkpoint, and the configuration of a run whose tokens are gone, name a module: whoever reads them decides."""
    (tmp_path / "hostile.py").write_text("from pathlib import Path\nPath('mark').touch()\nfrom standin_codec import load\n")
    run = shutil.copytree(road.whole, tmp_path / "outputs/4_3/run")
    voice = load_checkpoint(run / "checkpoints/final_full_model.pt")
    voice.base.codec = "hostile:load"
    voice.save(run / "checkpoints/final_full_model.pt")
    config = (run / "config.yaml").read_text(encoding="utf-8").replace("standin_codec:load", "hostile:load")
    config = config.replace("data.prepared: outputs", f"prepared: {tmp_path}/none").replace("path: corpus", "path: nothing")
    (run / "config.yaml").write_text(config, encoding="utf-8")
    assert "hostile:load" in config

    def command(module, *arguments, **more):
        return run_command(module, f"run={run}" if module != "select" else str(run), *arguments, cwd=tmp_path,
                           PYTHONPATH=f"{tmp_path}{os.pathsep}{environment()['PYTHONPATH']}", **more)

    for refused in (command("synthesize", "text=Hola.", "out=x.wav"), command("evaluate", "measures=prosody"),
                    command("select", "average=0", "threads=1")):
        said = refused.stdout + refused.stderr
        assert refused.returncode == 2 and "the codec hostile:load, which is code" in said and "Traceback" not in said, said
    assert not (tmp_path / "mark").exists()
    well(command("export", f"out={tmp_path / 'exported'}"))  # the codec's weights are copied, not run
    assert not (tmp_path / "mark").exists()
    well(command("synthesize", "text=Hola.", "out=x.wav", "temperature=1", "codec=hostile:load"))
    assert (tmp_path / "mark").exists()
    well(command("synthesize", "text=Hola.", "out=x.wav", "temperature=1", CHATTERBOX_CODEC="hostile:load"))


def test_a_run_is_exported_for_resembles_loader_and_for_peft(road, tmp_path, run_command):
    out = tmp_path / "spanish"
    well(run_command("export", f"run={road.adapters}", f"out={out}", cwd=road.folder))
    state = load_file(out / "t3_mtl23ls_v2.safetensors")
    assert {name: weight.shape for name, weight in state.items()} == {
        name: weight.shape for name, weight in load_file(road.weights / "t3_mtl23ls_v2.safetensors").items()}
    assert all(torch.equal(weight, state[name]) for name, weight in
               load_checkpoint(road.adapters / "checkpoints/final_text_and_lora.pt").build().state_dict().items())
    assert load_t3(out / "t3_mtl23ls_v2.safetensors").size.layers == 2
    well(run_command("export", f"run={road.adapters}", f"out={tmp_path / 'lora'}", "adapters=true", cwd=road.folder))
    assert {"adapter_model.safetensors", "adapter_config.json", "text_emb.safetensors"} <= {
        path.name for path in (tmp_path / "lora").iterdir()}
    refused = run_command("export", f"run={road.whole}", f"out={tmp_path / 'none'}", "adapters=true", cwd=road.folder)
    assert refused.returncode == 2 and "all of T3" in refused.stderr


def test_a_voice_is_evaluated_beside_its_recordings(road, run_command):
    output = well(run_command("evaluate", f"run={road.whole}", "measures=prosody", "out=judged", CODEC, cwd=road.folder))
    rows = [json.loads(line) for line in (road.folder / "judged/rows.jsonl").read_text(encoding="utf-8").splitlines()]
    systems = {row["system"] for row in rows}
    assert len(systems) == 3 and {"recordings"} <= systems, output.stdout  # beside the round trip and the voice
    assert all(row["metrics"] for row in rows), [row["failures"] for row in rows]


def test_runs_of_both_kinds_are_reviewed_together(road, run_command):
    listed = well(run_command("review", cwd=road.folder)).stdout
    assert "4_2" in listed and "4_3" in listed
    well(run_command("review", "format=html", f"out={road.folder / 'report.html'}", str(road.whole), cwd=road.folder))


def test_other_vocabularies_and_phases_are_refused_by_name(road, tmp_path, run_command):
    plain = [argument for argument in road.arguments if "dialect_tags" not in argument]
    other = run_command("train", "phase=4_3", *plain, f"train.encoder={road.adapters}", cwd=road.folder)
    assert other.returncode == 2 and "vocabulary" in other.stdout + other.stderr
    wrong = run_command("train", "phase=4_2", *road.arguments, "phase.trains=text_encoder", cwd=road.folder)
    assert wrong.returncode == 2 and "text_and_lora" in wrong.stdout + wrong.stderr
    none = run_command("prepare", "model=chatterbox", "data=folder", "data.path=corpus", cwd=road.folder)
    assert none.returncode == 2 and "model.weights=DIR" in none.stdout + none.stderr and "Traceback" not in none.stderr
    small = run_command("train", "phase=4_2", *road.arguments, "hw.memory_gb=0.05", cwd=road.folder)
    assert small.returncode == 2 and "GB of memory" in small.stdout + small.stderr
    nowhere = run_command("train", "phase=4_2", "model=chatterbox", "model.weights=nowhere", "data=folder", "data.path=corpus",
                          cwd=road.folder)
    assert nowhere.returncode == 2 and "hf download" in nowhere.stdout + nowhere.stderr
    mine = shutil.copy(road.adapters / "checkpoints/final_text_and_lora.pt", tmp_path / "voice.pt")
    onnx = run_command("synthesize", "text=Hola.", "out=x.wav", f"run={mine}", "engine=onnx", cwd=road.folder)
    assert onnx.returncode == 2 and "voices that predict mels alone" in onnx.stderr


SHARED = HERE.parent.parent.parent / "shared/corpora/dona"


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the recordings of ../shared/corpora/dona")
def test_twenty_real_utterances_are_learnt_by_heart(tmp_path, monkeypatch, make_weights, run_command):
    """4_2, then 4_3 ended by a limit of steps and gone on with: 99 % of the speech tokens of 20 recordings."""
    rows = [line.split("|")[0] for line in (SHARED / "metadata.csv").read_text(encoding="utf-8").splitlines()]
    files = {row: next(SHARED.glob(f"wavs/{row}.*")) for row in rows}
    shortest = sorted(rows, key=lambda row: soundfile.info(files[row]).duration)[:25]  # five are held out
    corpus = tmp_path / "dona"
    (corpus / "wavs").mkdir(parents=True)
    for row in shortest:
        (corpus / "wavs" / files[row].name).symlink_to(files[row])
    lines = (SHARED / "metadata.csv").read_text(encoding="utf-8").splitlines()
    kept = [f"{line}\n" for line in lines if line.split("|")[0] in shortest]
    (corpus / "metadata.csv").write_text("".join(kept), encoding="utf-8")
    weights = make_weights(tmp_path / "weights", width=128, heads=2, feedforward=256)
    arguments = ["model=chatterbox", f"model.weights={weights}", STANDIN, "data=folder", f"data.path={corpus}", *FAST,
                 "train.samples=0", "model.text_drop_prob=0", "model.checkpointing=false", "model.text_weight=0",
                 "phase.batch_size=20", "train.log_every=100", "phase.validate_every=20", "phase.warmup_steps=20"]
    well(run_command("train", "phase=4_2", *arguments, "phase.lr=2e-3", "train.epochs=20", cwd=tmp_path))
    last = ["phase=4_3", *arguments, "phase.lr=3e-3", "train.epochs=700"]
    begun = subprocess.Popen(command_of("train", *last), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
    for line in begun.stdout:
        if "epoch 100," in line:
            begun.send_signal(signal.SIGTERM)
    assert begun.wait() == 143
    assert "goes on at step" in well(run_command("train", *last, "resume=auto", cwd=tmp_path)).stdout
    run, = (tmp_path / "outputs/4_3").iterdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(HERE))
    config = read_config(run / "config.yaml")
    features = recipe_of(config).prepare(config)
    assert len(features.train) == 20
    model = load_checkpoint(run / "checkpoints/final_full_model.pt").build()
    values = utterance_values(set_up(config.hw), model, features, features.train)
    print({name: round(value, 4) for name, value in values.means().items()})
    assert 1 - values.mean("val_token_error") >= 0.99 and values.mean("val_end_error") == 0
    assert values.mean("val_loss_other_text") > 2 * values.mean("val_loss") + 1  # it is the text that decides
