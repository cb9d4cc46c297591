#!/usr/bin/env bash
# The vocoder that comes along, from nothing to its file: speech that may be given away, two trainings, 8-bit weights.
set -euo pipefail

{ # bash reads to the closing brace before it starts

usage() {
    cat <<'END_OF_USAGE'
usage: scripts/make_base_vocoder.sh [SHARED] [FOLDER] [KEY=VALUE …]

  SHARED     the folder with teacher/kokoro_es.py and corpora/kokoro_es   [default: ../shared beside the project]
  FOLDER     where speech and runs are written                            [default: outputs/base_vocoder]
  KEY=VALUE  for both trainings: hw=t4 …

  MINUTES=25,45,80 in the environment: minutes of spectral losses alone; then with discriminators; then with new
  discriminators, on each recording and a varied copy of it. MINUTES=,,80: only these, from the vocoder that comes along.

Kokoro-82M (Apache-2.0) reads twelve sentences in each of the voices below; with corpora/kokoro_es, three voices that learnt
Spanish, they are what the vocoder hears. What is there already is not made again, and a training that was ended goes on. Writes
chatterbox_es/weights/vocoder_base.safetensors. On two cores about three hours.
END_OF_USAGE
}

case "${1:-}" in -h | --help) usage; exit 0 ;; esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
shared=$root/../shared folder=outputs/base_vocoder
if [[ $# -gt 0 && "$1" != *=* ]]; then shared=$1; shift; fi
if [[ $# -gt 0 && "$1" != *=* ]]; then folder=$1; shift; fi
shared=$(realpath "$shared") folder=$(realpath -m "$folder")
python=${PYTHON:-$root/.venv/bin/python}
IFS=, read -r spectral adversarial varied <<<"${MINUTES:-25,45,80}"
teacher=$shared/teacher/kokoro_es.py
[[ -f "$teacher" ]] || { echo "error: there is no $teacher" >&2; exit 2; }

# The voices that are held out to judge by are not among them: docs/vocoder.md
voices=(em_santa jf_tebukuro af_kore af_jessica zm_yunxi am_adam af_nova hm_psi bm_daniel af_heart bf_alice hf_alpha am_onyx
        zf_xiaoxiao am_echo af_sky am_puck bf_isabella jm_kumo am_fenrir bm_fable af_nicole pm_santa zm_yunyang)
sentences=12

if [[ ! -f "$folder/speech/metadata.csv" ]]; then
    mkdir -p "$folder/spoken"
    [[ -f "$folder/kokoro/model.onnx" ]] || "$python" "$teacher" assemble "$folder/kokoro"
    mapfile -t texts < <(cat "$shared"/corpora/kokoro_es/*_prose/metadata.csv | awk -F'|' 'length($2) > 60 && length($2) < 130')
    number=0
    for voice in "${voices[@]}"; do
        for ((place = 0; place < sentences; place++)); do
            line=${texts[((number * sentences + place) % ${#texts[@]})]}
            printf '%s\t%s\n' "${line%%|*}" "$(cut -d'|' -f2 <<<"$line")"
        done >"$folder/spoken/$voice.tsv"
        number=$((number + 1))
        dialect=es; ((number % 3)) || dialect=es-419
        "$python" "$teacher" speak "$folder/kokoro" "$voice" "$folder/spoken/$voice.tsv" "$folder/spoken/$voice" "$dialect"
    done
    mkdir -p "$folder/speech/wavs"
    for spoken in "$shared"/corpora/kokoro_es/* "$folder"/spoken/*/; do
        name=$(basename "$spoken")
        for sound in "$spoken"/audio/*.flac; do ln -sf "$sound" "$folder/speech/wavs/${name}_$(basename "$sound")"; done
        awk -F'|' -v OFS='|' -v name="$name" '{ $1 = name "_" $1; print }' "$spoken/metadata.csv"
    done >"$folder/metadata.csv"
    mv "$folder/metadata.csv" "$folder/speech/metadata.csv"
fi

[[ -f "$folder/varied/metadata.csv" ]] || "$python" "$root/scripts/vary_speech.py" "$folder/speech" "$folder/varied"

train() { # NAME SPEECH MINUTES KEY=VALUE …: a run in FOLDER/NAME, gone on with where it was ended
    local run=$folder/$1 speech=$folder/$2 minutes=$3 begun=(); shift 3
    [[ ! -e "$run/checkpoints/final_vocoder.pt" ]] || return 0
    if [[ -f "$run/run.json" ]]; then begun=("resume=$run"); fi
    "$python" -m chatterbox_es.train phase=vocoder data=folder "data.path=$speech" data.validation_minimum=40 \
        "outputs=$folder/outputs" hydra.run.dir="$run" phase.validate_every=10 train.epochs=1000000 \
        train.max_minutes="$minutes" "${begun[@]}" "$@"
}
from=base
if [[ -n "$spectral" ]]; then
    train spectral speech "$spectral" model.adversarial_from=1 "$@"
    train adversarial speech "$adversarial" train.finetune="$folder/spectral" model.adversarial_from=0 phase.lr=5e-4 "$@"
    from=$folder/adversarial
fi
train varied_voices varied "$varied" train.finetune="$from" model.adversarial_from=0 phase.lr=5e-4 train.ema=0.999 "$@"

"$python" - "$folder/varied_voices" <<'END'
import sys
from pathlib import Path

from chatterbox_es.models.families import release
from chatterbox_es.models.vocoder.checkpoint import BASE

release(Path(sys.argv[1]), BASE, half=True)
print(f"{BASE}: {BASE.stat().st_size / 1e6:.1f} MB")
END
exit
}
