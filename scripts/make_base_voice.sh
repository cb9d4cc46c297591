#!/usr/bin/env bash
# The voice that comes along, from speech to its file: a table of speakers, two trainings, 8-bit weights.
set -euo pipefail

{ # bash reads to the closing brace before it starts

usage() {
    cat <<'END_OF_USAGE'
usage: scripts/make_base_voice.sh [SHARED] [FOLDER] [KEY=VALUE …]

  SHARED     the folder with corpora/kokoro_es and teacher/kokoro_es.py   [default: ../shared beside the project]
  FOLDER     where speech and runs are written                            [default: outputs/base_voice]
  KEY=VALUE  for both phases: hw=t4 phase.batch_size=32 …

  MINUTES=35,70 in the environment: of phase 4_2, and of phase 4_3, in whose second half the discriminator takes part.
  VOICES=DIR in the environment: folders of speech, each a speaker: those that scripts/make_base_vocoder.sh leaves in spoken/,
  whose accents are others', but whose voices are what a new one may be near.
  MORE="NAME:VOICE:DIALECT:LIST …" in the environment: more speech, read by Kokoro. NAME is the speaker that the base will have,
  VOICE one of Kokoro's (ef_dora, em_alex …), DIALECT es (castilian) or es-419 (latin_american), LIST a file of id<TAB>text.

The speakers are dora and alex of corpora/kokoro_es, in Castilian, and those of VOICES and MORE. What is there already is not made again, and
a training that was ended goes on. Writes chatterbox_es/weights/voice_base.safetensors.
END_OF_USAGE
}

case "${1:-}" in -h | --help) usage; exit 0 ;; esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
shared=$root/../shared folder=outputs/base_voice
if [[ $# -gt 0 && "$1" != *=* ]]; then shared=$1; shift; fi
if [[ $# -gt 0 && "$1" != *=* ]]; then folder=$1; shift; fi
for argument in "$@"; do
    [[ "$argument" == *=* ]] || { echo "error: '$argument' is not KEY=VALUE" >&2; usage >&2; exit 2; }
done
shared=$(realpath -m "$shared") folder=$(realpath -m "$folder")
python=${PYTHON:-$root/.venv/bin/python}
IFS=, read -r minutes_4_2 minutes_4_3 <<<"${MINUTES:-35,70}"
corpora=$shared/corpora/kokoro_es teacher=$shared/teacher/kokoro_es.py
[[ -d "$corpora" ]] || { echo "error: there is no $corpora" >&2; exit 2; }

# How the base is trained; the phases' other values are in conf/.
trained=(model=flow model.use_speaker=true model.speaker_minimum=5 model.dropout=0.05 phase.batch_size=8 phase.validate_every=4)
phase_4_2=("${trained[@]}" phase.lr=1e-3 train.ema=0.999)
phase_4_3=("${trained[@]}" phase.lr=6e-4 train.ema=0.995)

declare -A dialects=([es]=castilian [es-419]=latin_american)
add() { # NAME SPEAKER DIALECT FOLDER: its rows to the table, under ids that begin with NAME, and its sounds beside that
    local sound
    for sound in "$4"/audio/*.flac; do ln -sf "$sound" "$folder/speech/wavs/$1_$(basename "$sound")"; done
    awk -F'|' -v OFS='|' -v name="$1" -v speaker="$2" -v dialect="$3" \
        '{ print name "_" $1, (NF > 2 && $3 != "" ? $3 : $2), speaker, dialect }' "$4/metadata.csv"
}

if [[ ! -f "$folder/speech/metadata.csv" ]]; then
    mkdir -p "$folder/speech/wavs"
    for entry in ${MORE:-}; do
        IFS=: read -r name voice dialect list <<<"$entry"
        [[ -n "${dialects[${dialect:-none}]:-}" && -f "${list:-}" ]] || {
            echo "error: MORE=$entry: must be NAME:VOICE:es:LIST or NAME:VOICE:es-419:LIST, with a LIST that is there" >&2
            exit 2; }
        [[ -f "$folder/kokoro/model.onnx" ]] || "$python" "$teacher" assemble "$folder/kokoro"
        "$python" "$teacher" speak "$folder/kokoro" "$voice" "$list" "$folder/spoken/${name}_$dialect" "$dialect"
    done
    {
        echo 'audio_file|text|speaker|dialect'
        for spoken in "$corpora"/*/; do
            name=$(basename "$spoken")
            add "$name" "${name%%_*}" castilian "${spoken%/}"  # dora, dora_prose, alex_prose
        done
        for spoken in ${VOICES:+"$VOICES"/*/}; do
            name=$(basename "$spoken")
            add "$name" "$name" castilian "${spoken%/}"
        done
        for entry in ${MORE:-}; do
            IFS=: read -r name voice dialect list <<<"$entry"
            add "more_${name}_$dialect" "$name" "${dialects[$dialect]}" "$folder/spoken/${name}_$dialect"
        done
    } >"$folder/metadata.csv"
    mv "$folder/metadata.csv" "$folder/speech/metadata.csv"
fi

train() { # PHASE MINUTES KEY=VALUE …: a run in FOLDER/PHASE, gone on with where it was ended
    local phase=$1 run=$folder/$1 minutes=$2 begun=(); shift 2
    ! compgen -G "$run/checkpoints/final_*.pt" >/dev/null || return 0
    if [[ -f "$run/run.json" ]]; then begun=("resume=$run"); fi
    "$python" -m chatterbox_es.train phase="$phase" data=folder "data.path=$folder/speech" "data.prepared=$folder/prepared" \
        "outputs=$folder/outputs" hydra.run.dir="$run" train.epochs=1000000 train.max_minutes="$minutes" \
        "${begun[@]}" "$@"
}
train 4_2 "$minutes_4_2" "${phase_4_2[@]}" "$@"
train 4_3 "$minutes_4_3" "${phase_4_3[@]}" train.encoder="$folder/4_2" "$@"
"$python" - "$folder/4_3" <<'END'
import sys
from pathlib import Path

from chatterbox_es.models.families import release
from chatterbox_es.runs.checkpoint_files import BASE_VOICE

release(Path(sys.argv[1]), BASE_VOICE, small=True)
print(f"{BASE_VOICE}: {BASE_VOICE.stat().st_size / 1e6:.1f} MB")
END
exit
}
