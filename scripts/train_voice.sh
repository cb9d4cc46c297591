#!/usr/bin/env bash
# The whole road from recordings to a voice: prepare, phase 4_2, phase 4_3, its own vocoder, speak.
set -euo pipefail

{ # bash reads to the closing brace before it starts, so that an update of this file does not disturb a long run

usage() {
    cat <<'END'
usage: scripts/train_voice.sh DIR [MINUTES_4_2] [MINUTES_4_3] [MINUTES_VOCODER] [KEY=VALUE …]

  DIR          a folder with metadata.csv and wavs/ (docs/training.md), or "demo": Kokoro's speech, which comes along (or "espeak")
  MINUTES_4_2  how long the text encoder trains alone   [default: 3]
  MINUTES_4_3  how long the whole model trains          [default: 12]
  MINUTES_VOCODER  how long the base vocoder is fine-tuned to the voice; 0: not at all  [default: 5]
  KEY=VALUE    any key of the configuration, for all steps: data.dialect=mexican hw=t4 …

  SENTENCE="…" in the environment is what the voice says at the end.
  PYTHON=…     names the Python to use; by default the repository's .venv, or else python3.

Runs are written to outputs/ below the current folder.
END
}

case "${1:-}" in
    -h | --help) usage; exit 0 ;;
    "") usage >&2; exit 2 ;;
    *=*) [[ -d "$1" ]] || { echo "error: there is no folder $1" >&2; usage >&2; exit 2; } ;;
esac
folder=$1; shift
minutes_4_2=3
minutes_4_3=12
minutes_vocoder=5
if [[ "${1:-}" =~ ^[0-9.]+$ ]]; then minutes_4_2=$1; shift; fi
if [[ "${1:-}" =~ ^[0-9.]+$ ]]; then minutes_4_3=$1; shift; fi
if [[ "${1:-}" =~ ^[0-9.]+$ ]]; then minutes_vocoder=$1; shift; fi
for argument in "$@"; do
    [[ "$argument" == *=* ]] || { echo "error: '$argument' is neither minutes nor KEY=VALUE" >&2; usage >&2; exit 2; }
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[[ -n "${PYTHON:-}" || -x "$python" ]] || python=python3
"$python" -c "import chatterbox_es" 2>/dev/null || {
    echo "error: $python has no chatterbox_es: run 'make install' in $root" >&2; exit 1; }

# The same data for every step.
if [[ "$folder" == demo || "$folder" == espeak ]]; then
    data=("data=$folder")
else
    data=(data=folder "data.path=$folder")
fi
# Runs of minutes want a higher learning rate than the phases' defaults and a running mean of the weights; the text encoder
# alone no dropout (docs/training.md). The minutes end a run, not the epochs.
short=(phase.lr=1e-3 phase.batch_size=4 train.epochs=1000000 train.ema=0.99)
case " $* " in
    *" model=chatterbox "* | *" --model=chatterbox "*)
        short+=(model.lora_dropout=0 model.perceiver_dropout=0)
        encoder_alone=()
        minutes_vocoder=0 ;;  # it has Resemble's
    *) encoder_alone=(model.dropout=0) ;;
esac
now=$(date +%Y-%m-%d_%H-%M-%S)
number=1
name=$now
while [[ -e outputs/4_2/$name || -e outputs/4_3/$name ]]; do number=$((number + 1)); name=${now}_$number; done
encoder_run=outputs/4_2/$name
voice_run=outputs/4_3/$name
mkdir -p "$encoder_run"  # taken: another one that is started in this second gets the next name

echo "== 1. prepare: text to tokens, recordings to mels, a split"
"$python" -m chatterbox_es.prepare "${data[@]}" "$@"

echo "== 2. phase 4_2: the text encoder, $minutes_4_2 minutes"
"$python" -m chatterbox_es.train phase=4_2 "${data[@]}" "${short[@]}" "${encoder_alone[@]}" \
    train.max_minutes="$minutes_4_2" hydra.run.dir="$encoder_run" "$@"

echo "== 3. phase 4_3: the whole model from that encoder, $minutes_4_3 minutes"
"$python" -m chatterbox_es.train phase=4_3 "${data[@]}" "${short[@]}" \
    train.encoder="$encoder_run" train.max_minutes="$minutes_4_3" hydra.run.dir="$voice_run" "$@"

base=$("$python" -c "from chatterbox_es.models.vocoder.checkpoint import BASE; print(BASE if BASE.is_file() else '')")
if [[ -n "$base" && "$minutes_vocoder" =~ [1-9] ]]; then
    echo "== 4. its own vocoder: the base, fine-tuned for $minutes_vocoder minutes"
    shared=()  # what is said of data and machine; the models and phases above are others
    for argument in "$@"; do
        [[ "$argument" =~ ^(model|phase|train)[.=] ]] || shared+=("$argument")
    done
    "$python" -m chatterbox_es.train phase=vocoder "${data[@]}" train.finetune=base model.voice="$voice_run" \
        model.adversarial_from=0 phase.lr=3e-4 phase.validate_every=1000 train.epochs=1000000 train.max_minutes="$minutes_vocoder" hydra.run.dir="outputs/vocoder/$name" "${shared[@]}"
fi

echo "== 5. speak a sentence"
"$python" -m chatterbox_es.synthesize run="$voice_run" out="$voice_run/spoken.wav" \
    text="${SENTENCE:-Buenos días. Esta voz ha aprendido a hablar hace un momento. ¿Se entiende lo que dice?}"

echo
"$python" - "$encoder_run" "$voice_run" <<'END'
import json
import sys
from pathlib import Path

for run in map(Path, sys.argv[1:]):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    last = [row for row in rows if "val_loss" in row][-1]
    print(f"{run.parent.name}: val_loss {last['val_loss']:.3f}, with its own durations {last['val_own_durations']:.3f}; "
          f"predicting the mean scores {last['baseline']:.3f} ({last['minutes']:.1f} min, {last['step']} steps)")
card = json.loads((run / "run.json").read_text(encoding="utf-8"))
if card["synthetic"]:
    print("The recordings are SYNTHETIC (docs/corpora.md): this shows that the road works, not what a voice can be.")
END
echo "Listen to:          $voice_run/spoken.wav"
echo "Held-out sentences: $voice_run/samples/, beside their recordings"
echo "Say something else: $python -m chatterbox_es.synthesize run=$voice_run text=\"¿Qué tal estás?\" out=hola.wav"
exit
}
