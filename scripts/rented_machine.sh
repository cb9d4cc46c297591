#!/usr/bin/env bash
# Trains on a machine that may be taken away at any moment, and keeps what the runs leave somewhere else.
set -euo pipefail

{ # bash reads to the closing brace before it starts, so that an update of this file does not disturb a long run

usage() {
    cat <<'END'
usage: scripts/rented_machine.sh install
       scripts/rented_machine.sh train RECORDINGS [STORE] [KEY=VALUE …]

  install     make .venv with the project in it, and look whether torch sees the GPU
  RECORDINGS  a folder with metadata.csv and wavs/ (docs/training.md)
  STORE       a folder that outlives this machine: a mounted bucket, a network disk. STORE/outputs comes here before the
              training; what changes in outputs/ goes there every SYNC_SECONDS and at the end. For one machine at a time.
              With a STORE, the times of the recordings' files are set to a sum of their content: see `stamp`.
  KEY=VALUE   any key of the configuration, for all phases: data.dialect=mexican train.epochs=20 …

In the environment: PHASES="4_2 4_3", HW=t4, SYNC_SECONDS=300, PYTHON (by default the repository's .venv).

The same command again goes on where the last one stopped, on this machine or on another with the same STORE. Stopped
by SIGTERM or SIGINT, training writes its state first; exit codes are those of the training, 143 after SIGTERM.
END
}

fail() {  # MESSAGE: what the user has to change; 2 tells a scheduler not to try again
    echo "error: $1" >&2
    exit 2
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
hw=${HW:-t4}

# ---------------------------------------------------------------------------------------------------------- install

install() {
    cd "$root"
    local python=${PYTHON:-} candidate uv=(uv)
    for candidate in python3 python3.13 python3.12 python3.11; do
        [[ -z "$python" ]] && "$candidate" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
            python=$candidate
    done
    if [[ -z "$python" ]]; then
        echo "no Python of 3.11 or newer with venv here: one is fetched"
        if ! command -v uv >/dev/null; then
            python3 -m pip install --quiet --user uv ||
                fail "neither venv, uv nor pip is here; on Debian and Ubuntu: apt-get install python3-venv"
            uv=(python3 -m uv)
        fi
        "${uv[@]}" python install --quiet 3.12
        python=$("${uv[@]}" python find 3.12)
    fi
    [[ -x .venv/bin/python ]] || "$python" -m venv .venv
    .venv/bin/python -m pip install --disable-pip-version-check --quiet -e .
    [[ "$hw" == cpu ]] || .venv/bin/python - <<'END' || exit 2
import sys
import torch

if not torch.cuda.is_available():
    sys.exit(f"error: torch {torch.__version__} sees no GPU (built for CUDA {torch.version.cuda}); nvidia-smi says more")
print(f"torch {torch.__version__}, CUDA {torch.version.cuda}, {torch.cuda.get_device_name()}")
END
}

# ------------------------------------------------------------------------------------------------------------ store

# What is in outputs/: time, size and path of each file that is whole. Files being written have "partial" in their
# names, or lie in a folder that has; locks mean nothing elsewhere.
listing() {  # FOLDER
    (cd "$1" && find . -ignore_readdir_race \( -name '*.partial*' -o -name '*.lock' -o -path ./.published \) -prune -o \
        -type f -printf '%T@ %s %P\n') | LC_ALL=C sort
}

paths() { cut -d' ' -f3-; }

# Cards say what a folder holds (run.json) or that it is whole (card.json). A reader who finds a card or a state must
# find all that it speaks of; so what is read first is written last.
of_kind() {  # KIND LIST
    local cards='(^|/)(run|card)\.json$' checkpoints='/checkpoints/[^/]*$'
    case $1 in
        cards) grep -E "$cards" "$2" ;;
        checkpoints) grep -E "$checkpoints" "$2" ;;
        rest) grep -vE "$cards|$checkpoints" "$2" ;;
    esac || true
}

snapshot() {  # FILE: a copy of it that does not change any more
    local copy=$state/copy/$1 as=(--preserve=timestamps)
    # These are replaced as a whole and never written to, so that another name is as good as a copy.
    [[ "$1" == */checkpoints/* || "$1" == prepared/* ]] && as=(--link)
    mkdir -p "$(dirname "$copy")"
    cp "${as[@]}" "outputs/$1" "$copy" 2>/dev/null || [[ ! -e "outputs/$1" ]]  # deleted since it was listed
}

put() {  # FILE: from the snapshot into the store, where its name appears once its content is whole
    [[ -e "$state/copy/$1" ]] || return 0
    mkdir -p "$(dirname "$store/outputs/$1")"
    cp "$state/copy/$1" "$store/.incoming" && mv -f "$store/.incoming" "$store/outputs/$1"
}

publish() {  # what has changed below outputs/ since the last time goes to the store
    local now=$state/now known=$state/known changed=$state/changed gone=$state/gone file kind
    [[ -d outputs ]] || return 0
    mkdir -p "$state" && rm -rf "$state/copy" && touch "$known" || return
    listing outputs > "$now" || return
    LC_ALL=C comm -13 "$known" "$now" | paths > "$changed" || return
    for kind in cards checkpoints rest; do
        while read -r file; do snapshot "$file" || return; done < <(of_kind "$kind" "$changed")
    done
    for kind in rest checkpoints cards; do
        while read -r file; do put "$file" || return; done < <(of_kind "$kind" "$changed")
    done
    # Older checkpoints and states that a run has deleted; nothing else is ever deleted in the store.
    LC_ALL=C comm -23 <(paths < "$known" | LC_ALL=C sort) <(paths < "$now" | LC_ALL=C sort) > "$gone" || return
    while read -r file; do
        if is_needed "$file"; then  # looked at again the next time
            grep -F " $file" "$known" >> "$now"
        elif [[ -e "outputs/${file%/checkpoints/*}/run.json" ]]; then
            rm -f "$store/outputs/$file" || return
        fi
    done < <(of_kind checkpoints "$gone")
    LC_ALL=C sort -o "$known" "$now" && rm -rf "$state/copy"
}

# Whether a state is the store's newest and its run has not ended: the one after it may have been replaced, too, before
# it could be copied.
is_needed() {  # FILE
    local folder=$store/outputs/${1%/*} name=${1##*/} other
    [[ "$name" == state_* ]] || return 1
    for other in "$folder"/state_* "$folder"/final*; do
        [[ ! -e "$other" || ! "${other##*/}" > "$name" && "${other##*/}" != final* ]] || return 1
    done
}

restore() {  # the store's outputs/ come here, whole or not at all
    [[ ! -e "$state/known" ]] || return 0  # they came from there, or went there, and are newer
    [[ -d "$store/outputs" ]] || return 0
    [[ ! -e outputs ]] || rmdir outputs 2>/dev/null ||
        fail "$PWD/outputs holds other runs than $store; move it away, or start in another folder"
    echo "== runs from $store"
    rm -rf outputs.restoring
    cp -r "$store/outputs" outputs.restoring
    mkdir outputs.restoring/.published
    listing outputs.restoring > outputs.restoring/.published/known
    mv outputs.restoring outputs
}

# A prepared set belongs to recordings of certain names, sizes and times, and a run belongs to the content of its
# prepared set. A copy on another machine has other times, and mels computed on another processor may differ in the last
# bit: the run would not be found again. So the time of a recording is made a sum of its content, and the set is kept.
stamp() {
    "$python" - "$1" <<'END'
import os
import sys
import zlib
from pathlib import Path

def stamp(path: Path) -> None:
    total = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            total = zlib.crc32(block, total)
    seconds = total & 0x7FFFFFFF
    if path.stat().st_mtime_ns != seconds * 10**9:
        os.utime(path, (seconds, seconds))


try:
    for folder, _, files in os.walk(sys.argv[1], followlinks=True):
        for path in (Path(folder, name) for name in files):
            if path.suffix not in (".csv", ".tsv", ".txt") and path.exists():
                stamp(path)
except OSError as error:
    sys.exit(f"error: the times of the recordings could not be set: {error}")
END
}

# --------------------------------------------------------------------------------------------------------- training

publish_now_and_then() {
    while sleep "$sync_seconds" && kill -0 $$; do
        publish || echo "warning: $store could not be written; again in $sync_seconds s" >&2
        if command -v nvidia-smi >/dev/null; then
            nvidia-smi --query-gpu=name,utilization.gpu,memory.used,temperature.gpu --format=csv,noheader || true
        fi
    done
}

# Who stops a machine signals every process on it. Two of the same kind make the training leave without its state: so it
# is told with the other kind.
# shellcheck disable=SC2329  # the traps call it
stop() {  # SIGNAL ITS_EXIT_CODE THE_OTHER_KIND
    signals=$(( signals + 1 )) stopped=$2 passed_on=$3
    echo "== SIG$1: stopping" >&2
    if [[ -n "$training" ]]; then
        kill -s "$passed_on" "$training" 2>/dev/null || true
    elif [[ -z "$launching" ]]; then
        publish_at_last || true
        exit "$stopped"
    fi
}

end_publisher() {
    [[ -n "$publisher" ]] || return 0
    kill -- "-$publisher" 2>/dev/null || true  # with the cp it may be waiting for
    wait "$publisher" 2>/dev/null || true
    publisher=''
}

train_phase() {  # PHASE: the training's exit code
    local code seen
    launching=yes
    # A process group of its own: Ctrl-C then reaches the training once, through `stop`.
    set -m
    "$python" -m chatterbox_es.train phase="$1" hw="$hw" "${data[@]}" resume=auto "${keys[@]}" 9<&- &
    training=$!
    set +m
    [[ -z "$stopped" ]] || kill -s "$passed_on" "$training"
    launching=''
    while
        seen=$signals
        code=0
        wait "$training" || code=$?
        (( signals > seen ))  # a signal has ended the wait: that was not the training's exit code
    do :; done
    training=''
    case $code in 0 | 130 | 143) code=${stopped:-$code} ;; esac
    return "$code"
}

publish_at_last() {
    end_publisher
    [[ -n "$restored" ]] || return 0
    local attempt
    for attempt in 1 2 3 4 5; do
        publish && return 0
        echo "warning: $store could not be written (attempt $attempt of 5)" >&2
        sleep 2
    done
    echo "error: the newest runs are in $PWD/outputs on this machine only" >&2
    return 1
}

train() {
    [[ $# -gt 0 && "$1" != *=* ]] || { usage >&2; exit 2; }
    local recordings=$1 phase code=0 quote="'"
    shift
    store=''
    if [[ $# -gt 0 && "$1" != *=* ]]; then store=$1; shift; fi
    keys=("$@")
    state=outputs/.published
    sync_seconds=${SYNC_SECONDS:-300}
    python=${PYTHON:-$root/.venv/bin/python}
    training='' publisher='' launching='' restored='' signals=0 stopped='' passed_on=''
    [[ -d "$recordings" ]] || fail "there is no folder $recordings"
    recordings=$(realpath "$recordings")
    compgen -G "$recordings/metadata.*" >/dev/null || fail "$recordings has no metadata.csv (docs/training.md)"
    [[ "$sync_seconds" =~ ^[1-9][0-9]*$ ]] || fail "SYNC_SECONDS=$sync_seconds is no number of seconds"
    local argument
    for argument in "${keys[@]}"; do
        case $argument in
            phase=* | hw=* | resume=* | data.path=* | data.prepared=* | outputs=* | hydra.*) fail "$argument cannot be given here" ;;
            *=*) ;;
            *) fail "'$argument' is no KEY=VALUE" ;;
        esac
    done
    "$python" -c "import chatterbox_es" 2>/dev/null || fail "$python has no chatterbox_es: scripts/rented_machine.sh install"
    # The quotes are for Hydra, so that a folder's name may hold spaces and commas.
    data=(data=folder "data.path='${recordings//$quote/\\$quote}'")

    exec 9<.
    flock -n 9 || fail "another rented_machine.sh trains in $PWD"
    trap end_publisher EXIT
    trap 'stop TERM 143 INT' TERM HUP
    trap 'stop INT 130 TERM' INT
    if [[ -n "$store" ]]; then
        mkdir -p "$store" || fail "$store cannot be written"
        store=$(realpath "$store")
        [[ "$(stat -c %d "$store")" != "$(stat -c %d .)" ]] ||
            echo "warning: $store lies on this machine's own disk and goes with it" >&2
        restore
        restored=yes
        stamp "$recordings" || exit 2
        set -m
        publish_now_and_then 9<&- &
        publisher=$!
        set +m
    fi
    for phase in ${PHASES:-4_2 4_3}; do
        echo "== phase $phase"
        train_phase "$phase" || { code=$?; break; }
    done
    publish_at_last || code=$(( code > 0 ? code : 1 ))
    (( code > 0 )) || echo "== finished: outputs/ holds the runs${store:+, and so does $store/outputs}"
    return "$code"
}

case "${1:-}" in
    -h | --help) usage; exit 0 ;;
    install) install; exit ;;
    train) shift; train "$@"; exit ;;
    *) usage >&2; exit 2 ;;
esac
}
