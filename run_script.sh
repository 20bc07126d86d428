#!/usr/bin/env bash
# A fresh machine to a finished training: ./run_script.sh [further options of srez_main.py]
# Settings are taken from the environment, for example RUNNUM=2 TIME=60 ./run_script.sh --loss_func=wgan-gp
#
RUNNUM="${RUNNUM:-1}"                   # number of the run: its folders are train_1, checkpoint_1, summary_1
DATASET="${DATASET:-}"                  # what to train on; if not set: dataset/, drawn faces where that is not there
PRESET="${PRESET-auto}"                 # recipe (auto: sharp, quick for drawn faces; empty: 2017's, as 2017-gan)
TIME="${TIME:-}"                        # minutes of training (empty: the recipe's)
SPERIOD="${SPERIOD:-}"                  # batches between sample grids (empty: the recipe's)
L1FAC="${L1FAC:-}"                      # gene_l1_factor (empty: the recipe's)
NOISE="${NOISE:-}"                      # train_noise (empty: the recipe's)
# On a rented machine:
LOG="${LOG:-run_$RUNNUM.log}"           # file that all output is added to
RETRIES="${RETRIES:-5}"                 # tries more after a crash; a new checkpoint sets the count back
RETRY_WAIT="${RETRY_WAIT:-10}"          # seconds before the first of them; each next wait is twice as long
SYNC="${SYNC:-}"                        # command that copies $RUN_DIRS away: after each checkpoint, at the end
FETCH="${FETCH:-}"                      # command that copies them back: before the training, if none are here
SYNC_LIMIT="${SYNC_LIMIT:-1800}"        # seconds after which SYNC or FETCH is ended and has failed
PREEMPTION="${PREEMPTION:-}"            # gcp, aws or azure: save when the cloud is about to take the machine
METADATA_URL="${METADATA_URL:-}"        # the server that tells (empty: the cloud's usual one)
METADATA_PERIOD="${METADATA_PERIOD:-5}" # seconds between questions to it
SHUTDOWN="${SHUTDOWN:-0}"               # 1: power off at the end, if SYNC succeeded and nobody pressed Ctrl-C
SHUTDOWN_WAIT="${SHUTDOWN_WAIT:-60}"    # seconds before that, for a second thought
POWER_OFF="${POWER_OFF:-}"              # command for that (empty: shutdown -h now)

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=scripts/venv.sh
source scripts/venv.sh

help() {
    sed -nE '2,/^$/{s/^# ?//; s/^([A-Z0-9_]+)="\$\{[A-Z0-9_]+:?-(.*)\}" *# (.*)/  \1=\2\t\3/; p}' run_script.sh |
        expand -t 26
}

refuse() {
    echo "srez: $1" >&2
    exit 2
}

# must NAME PATTERN MEANING: refuse a setting that is something else
must() {
    [[ "${!1}" =~ ^($2)$ ]] || refuse "$1='${!1}': must be $3"
}

check_settings() {
    local number='[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?' word
    must RUNNUM '[0-9]+' 'a whole number'
    must TIME "|$number" 'a number of minutes'
    must SPERIOD '|[1-9][0-9]*' 'a whole number of batches'
    must L1FAC "|$number" 'a number'
    must NOISE "|$number" 'a number'
    must RETRIES '[0-9]{1,4}' 'a whole number'
    must RETRY_WAIT "$number" 'a number of seconds'
    must SYNC_LIMIT "$number" 'a number of seconds'
    must PREEMPTION '|gcp|aws|azure' 'gcp, aws or azure, or left out'
    must METADATA_URL '|https?://.+' 'an address, http://...'
    must METADATA_PERIOD "$number" 'a number of seconds'
    must SHUTDOWN '0|1' '0 or 1'
    must SHUTDOWN_WAIT "$number" 'a number of seconds'
    for word in "$@"; do
        [[ ! "$word" =~ ^--?(run|name|(train|checkpoint|summary)_dir)(=|$) ]] || refuse "$word: set RUNNUM instead"
    done
    { : >>"$LOG"; } 2>/dev/null || refuse "LOG='$LOG': cannot be written, choose another file"
}

say() {
    echo "$*" | tee -a "$LOG" || true # the terminal may be gone
}

if [ "${1:-}" = --help ]; then
    help
    exit
fi
check_settings "$@"

# whether any run of this checkout goes on
runs_go_on() {
    local lock
    for lock in .run_*.lock; do
        if [ -e "$lock" ] && ! flock -n "$lock" true; then return 0; fi
    done
    return 1
}

# until the training is there, an end of this script is an end of all
give_up() {
    local code=$?
    if [ "$SHUTDOWN" != 1 ]; then return; fi
    if runs_go_on; then
        say "a run goes on here: the machine stays on"
    else
        exec bash scripts/power_off.sh "$code"
    fi
}
trap give_up EXIT
trap 'exit 75' TERM HUP USR1 USR2
trap 'SHUTDOWN=0; exit 75' INT
export RUNNUM LOG RETRIES RETRY_WAIT SYNC FETCH SYNC_LIMIT PREEMPTION METADATA_URL METADATA_PERIOD
export SHUTDOWN SHUTDOWN_WAIT POWER_OFF PRECISION=""
extra=""

if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
    extra=gpu # of pyproject.toml
elif grep -qwE 'avx512_bf16|amx_bf16' "${CPUINFO:-/proc/cpuinfo}" 2>/dev/null; then
    PRECISION=bfloat16
fi
make_venv ${extra:+"$extra"} 2>&1 | { tee -ai "$LOG" || true; }

if [ -n "$DATASET" ] || [ -d dataset ]; then
    options=("--dataset=${DATASET:-dataset}")
    recipe=sharp
else
    say "no folder 'dataset': training on drawn faces (not photographs)"
    options=(--dataset=synthetic)
    recipe=quick
fi
if [ "$PRESET" != auto ]; then recipe=$PRESET; fi
if [ -n "$recipe" ]; then options+=("--preset=$recipe"); fi
if [ -n "$L1FAC" ]; then options+=("--gene_l1_factor=$L1FAC"); fi
if [ -n "$NOISE" ]; then options+=("--train_noise=$NOISE"); fi
if [ -n "$SPERIOD" ]; then options+=("--summary_period=$SPERIOD"); fi
if [ -n "$TIME" ]; then options+=("--train_time=$TIME"); fi

exec "$VENV_PYTHON" -m srez.cloud.supervise "$VENV_PYTHON" "${options[@]}" "$@"
