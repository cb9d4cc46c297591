#!/usr/bin/env bash
# The whole road from recordings to a voice: prepare, train, its own vocoder, speak.
set -euo pipefail

{ # bash reads to the closing brace before it starts, so that an update of this file does not disturb a long run

usage() {
    cat <<'END'
usage: scripts/train_voice.sh DIR [MINUTES …] [KEY=VALUE …]

  DIR        a folder with metadata.csv and wavs/ (docs/training.md), or "demo": Kokoro's speech, which comes along (or "espeak")
  MINUTES    from the base voice, two numbers: how long phase 4_3 fine-tunes it, and how long the base vocoder is fine-tuned to
             the voice, 0: not at all, since minutes of that win nothing    [default: 10 0]
             from nothing, three: how long the text encoder trains alone (4_2), the whole model (4_3), and the base vocoder
                                                            [default: 3 12 5]
  KEY=VALUE  any key of the configuration, for all steps: data.dialect=mexican hw=t4 …; model=flow where no model= is given

  FROM=…     in the environment, what the voice begins as: base, the voice that comes along (the default of model=flow where there
             is one); a run or checkpoint; or nothing
  SENTENCE="…"  likewise, is what the voice says at the end.
  PYTHON=…   names the Python to use; by default the repository's .venv, or else python3.

Runs are written to outputs/ below the current folder.
END
}

# How a voice goes on from the base, and how one is trained from nothing: 4_2, then 4_3. Runs of minutes want a higher learning
# rate than the phases' defaults and a running mean of the weights; the text encoder alone no dropout (docs/training.md).
from_base=(phase.lr=5e-4 phase.batch_size=8 train.ema=0.99)
from_nothing=(phase.lr=1e-3 phase.batch_size=4 train.ema=0.99)
encoder_alone=(model.dropout=0)
tuned_vocoder=(model.adversarial_from=0 phase.lr=3e-4 phase.validate_every=1000)

case "${1:-}" in
    -h | --help) usage; exit 0 ;;
    "") usage >&2; exit 2 ;;
    *=*) [[ -d "$1" ]] || { echo "error: there is no folder $1" >&2; usage >&2; exit 2; } ;;
esac
folder=$1; shift
minutes=()
while [[ "${1:-}" =~ ^[0-9.]+$ ]]; do minutes+=("$1"); shift; done
model=
for argument in "$@"; do
    [[ "$argument" == *=* ]] || { echo "error: '$argument' is neither minutes nor KEY=VALUE" >&2; usage >&2; exit 2; }
    if [[ "$argument" =~ ^(--)?model=(.*) ]]; then model=${BASH_REMATCH[2]}; fi
done
[[ -n "$model" ]] || { model=flow; set -- model=flow "$@"; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[[ -n "${PYTHON:-}" || -x "$python" ]] || python=python3
package=$("$python" -c "import os, chatterbox_es; print(os.path.dirname(chatterbox_es.__file__))" 2>/dev/null) || {
    echo "error: $python has no chatterbox_es: run 'make install' in $root" >&2; exit 1; }
came_along() { [[ -f "$package/weights/$1" ]]; }  # whether weights are there

# The same data for every step.
if [[ "$folder" == demo || "$folder" == espeak ]]; then
    data=("data=$folder")
else
    data=(data=folder "data.path=$folder")
fi
from=${FROM:-nothing}
if [[ -z "${FROM:-}" && "$model" == flow ]] && came_along voice_base.safetensors; then from=base; fi
if [[ "$from" == nothing ]]; then
    [[ ${#minutes[@]} -le 3 ]] || { echo "error: from nothing, three minutes are given: of 4_2, 4_3, vocoder" >&2; exit 2; }
    minutes_4_2=${minutes[0]:-3} minutes_4_3=${minutes[1]:-12} minutes_vocoder=${minutes[2]:-5}
    trained=("${from_nothing[@]}")
else
    [[ ${#minutes[@]} -le 2 ]] || {
        echo "error: from $from, two minutes are given: of 4_3, vocoder. For three, 4_2, 4_3, vocoder: FROM=nothing" >&2; exit 2; }
    minutes_4_3=${minutes[0]:-10} minutes_vocoder=${minutes[1]:-0}
    trained=("${from_base[@]}")
    if [[ "$model" == flow ]]; then trained+=(model.adversarial_from=0); fi
fi
if [[ "$model" == chatterbox ]]; then
    trained+=(model.lora_dropout=0 model.perceiver_dropout=0)
    encoder_alone=()
    minutes_vocoder=0  # it has Resemble's
fi
trained+=(train.epochs=1000000)  # the minutes end a run
now=$(date +%Y-%m-%d_%H-%M-%S)
number=1
name=$now
while [[ -e outputs/4_2/$name || -e outputs/4_3/$name ]]; do number=$((number + 1)); name=${now}_$number; done
encoder_run=outputs/4_2/$name
voice_run=outputs/4_3/$name
runs=("$voice_run")
if [[ "$from" == nothing ]]; then runs=("$encoder_run" "$voice_run"); fi
mkdir -p "${runs[0]}"  # taken: another one that is started in this second gets the next name

echo "== prepare: text to tokens, recordings to mels, a split"
"$python" -m chatterbox_es.prepare "${data[@]}" "$@"

if [[ "$from" == nothing ]]; then
    echo "== phase 4_2: the text encoder, $minutes_4_2 minutes"
    "$python" -m chatterbox_es.train phase=4_2 "${data[@]}" "${trained[@]}" "${encoder_alone[@]}" \
        train.max_minutes="$minutes_4_2" hydra.run.dir="$encoder_run" "$@"
    echo "== phase 4_3: the whole model from that encoder, $minutes_4_3 minutes"
    start=train.encoder=$encoder_run
else
    echo "== phase 4_3: the whole model, fine-tuned from $from for $minutes_4_3 minutes"
    start=train.finetune=$from
fi
"$python" -m chatterbox_es.train phase=4_3 "${data[@]}" "${trained[@]}" "$start" train.max_minutes="$minutes_4_3" \
    hydra.run.dir="$voice_run" "$@"

if [[ "$minutes_vocoder" =~ [1-9] ]] && came_along vocoder_base.safetensors; then
    echo "== its own vocoder: the base, fine-tuned for $minutes_vocoder minutes"
    shared=()  # what is said of data and machine; the models and phases above are others
    for argument in "$@"; do
        [[ "$argument" =~ ^(--)?(model|phase|train)[.=] ]] || shared+=("$argument")
    done
    "$python" -m chatterbox_es.train phase=vocoder "${data[@]}" train.finetune=base model.voice="$voice_run" \
        "${tuned_vocoder[@]}" train.epochs=1000000 train.max_minutes="$minutes_vocoder" hydra.run.dir="outputs/vocoder/$name" \
        "${shared[@]}"
fi

echo "== speak a sentence"
"$python" -m chatterbox_es.synthesize run="$voice_run" out="$voice_run/spoken.wav" \
    text="${SENTENCE:-Buenos días. Esta voz ha aprendido a hablar hace un momento. ¿Se entiende lo que dice?}"

echo
"$python" - "${runs[@]}" <<'END'
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
