#!/usr/bin/env bash
# The table of docs/benchmarks.md: what recordings, their mel round trip and voices of minutes sound like to predictors and recognisers.
set -euo pipefail

{ # bash reads to the closing brace before it starts

usage() {
    cat <<'END_OF_USAGE'
usage: scripts/table_of_voices.sh [SHARED] [FOLDER]

  SHARED   the folder with corpora/ and judge/      [default: ../shared beside the project]
  FOLDER   where voices and sounds are written      [default: outputs/table]

Trains voices of DONA (2 + 6 minutes, seeds 0 to 2) and AHOTTS (1 + 2 minutes) from nothing, unless they are in FOLDER, and lets
predictors and two recognisers hear them beside the recordings, their mel round trips by Griffin-Lim and by the base vocoder, and
KOKORO's recordings; 35 held-out sentences of each (60 of AHOTTS). The voices speak through the base vocoder, or VOCODER=. Prints scripts/judge_voice.py's tables. About an hour; nothing else should run meanwhile.
WHISPER= in the environment leaves the second recogniser out (it needs faster-whisper and the weights of whisper:base).
END_OF_USAGE
}

case "${1:-}" in -h | --help) usage; exit 0 ;; esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
shared=$(realpath "${1:-$root/../shared}")
folder=$(realpath -m "${2:-outputs/table}")
python=${PYTHON:-$root/.venv/bin/python}
[[ -d "$shared/corpora" && -f "$shared/judge/judge.py" ]] || { echo "error: $shared has no corpora/ and judge/judge.py" >&2; exit 2; }
also=(); [[ "${WHISPER-whisper:base}" == "" ]] || also=(also="${WHISPER-whisper:base}")
mkdir -p "$folder"

voice() { # NAME CORPUS MINUTES_4_2 MINUTES_4_3 KEY=VALUE …: trains it unless it is there; its runs' folders into $runs
    local name=$1 corpus=$2 first=$3 second=$4; shift 4
    mkdir -p "$folder/$name"
    if ! compgen -G "$folder/$name/outputs/4_3/*/checkpoints/final_*.pt" >/dev/null; then
        (cd "$folder/$name" && PYTHON=$python "$root/scripts/train_voice.sh" "$corpus" "$first" "$second" 0 model=fase4 "$@") >"$folder/$name.log" 2>&1 ||
            { tail -n 20 "$folder/$name.log" >&2; echo "error: $name failed; its log is $folder/$name.log" >&2; exit 1; }
    fi
    local found=("$folder/$name"/outputs/4_2/*)
    runs+=("${found[-1]}")
    found=("$folder/$name"/outputs/4_3/*)
    runs+=("${found[-1]}")
}

judged() { # NAME ARGUMENT …
    local name=$1; shift
    echo; echo "## $name"; echo
    "$python" "$root/scripts/judge_voice.py" "$@" judge="$shared/judge/judge.py" sentences=all "${also[@]}" \
        vocoders=base vocoder="${VOCODER:-auto}" out="$folder/heard/$name" 2>"$folder/$name.heard.log" || { tail -n 5 "$folder/$name.heard.log" >&2; exit 1; }
}

runs=()
for seed in 0 1 2; do
    voice "dona_$seed" "$shared/corpora/dona" 2 6 data.validation_minimum=35 train.seed=$seed
done
dona=("${runs[@]}"); runs=()
voice ahotts "$shared/corpora/ahotts_es" 1 2
judged dona "${dona[@]}"
judged ahotts "${runs[@]}"
for speaker in dora_prose alex_prose; do
    "$python" -m chatterbox_es.prepare data=folder data.path="$shared/corpora/kokoro_es/$speaker" data.validation_minimum=35 \
        data.prepared="$folder/$speaker" >"$folder/$speaker.log" 2>&1
    cards=("$folder/$speaker"/*/card.json)
    judged "kokoro, $speaker" prepared="${cards[0]%/card.json}"
done
exit
}
