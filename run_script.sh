#!/usr/bin/env bash
# A fresh machine to a finished training: ./run_script.sh [further options of srez_main.py]
#
# Set by environment, for example RUNNUM=2 TIME=60 ./run_script.sh --loss_func=wgangp
RUNNUM="${RUNNUM:-1}"         # number of the run: its folders are train_1, checkpoint_1, summary_1
SPERIOD="${SPERIOD:-}"        # batches between sample grids     (empty: the recipe's)
L1FAC="${L1FAC:-0.9}"         # gene_l1_factor
NOISE="${NOISE:-0.03}"        # train_noise
TIME="${TIME:-}"              # minutes of training              (empty: the recipe's)
DATASET="${DATASET:-dataset}" # folder of pictures; drawn faces where it is not there
SHUTDOWN="${SHUTDOWN:-0}"     # 1: power the machine off at the end, whatever the end was
CPUINFO="${CPUINFO:-/proc/cpuinfo}"

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=scripts/venv.sh
source scripts/venv.sh

child=""
signalled=0

# shellcheck disable=SC2329  # the trap calls it
finish() {
    local code=$?
    if [ "$SHUTDOWN" = 1 ]; then
        echo "SHUTDOWN=1: powering off"
        local -a power_off=(shutdown -h now)
        if [ "$(id -u)" != 0 ]; then power_off=(sudo -n "${power_off[@]}"); fi # -n: nobody is there to be asked
        "${power_off[@]}" || echo "the machine could not be powered off"
    fi
    exit "$code"
}
trap finish EXIT

# shellcheck disable=SC2329  # the traps call it
forward() {
    if [ -z "$child" ]; then exit 75; fi
    signalled=1
    kill -s TERM "$child" 2>/dev/null || true # TERM also for INT, which a background command ignores
}
trap forward TERM INT

# a command in the background, so that signals reach the traps at once; returns its exit code
run() {
    local code
    "$@" &
    child=$!
    signalled=1
    while [ "$signalled" = 1 ]; do # a signal ends the wait while the command still finishes its batch
        signalled=0
        code=0
        wait "$child" || code=$?
    done
    child=""
    return "$code"
}

options=("--gene_l1_factor=$L1FAC" "--train_noise=$NOISE")
if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
    export INSTALL_EXTRA='tensorflow[and-cuda]~=2.21.0'
elif grep -qwE 'avx512_bf16|amx_bf16' "$CPUINFO" 2>/dev/null; then
    options+=(--precision=bfloat16)
fi
make_venv requirements.txt || exit $?

folders=("--train_dir=train_$RUNNUM" "--checkpoint_dir=checkpoint_$RUNNUM" "--summary_dir=summary_$RUNNUM")
if [ -d "$DATASET" ]; then
    options=("--dataset=$DATASET" "${options[@]}")
else
    echo "no folder '$DATASET': training on drawn faces (not photographs) with presets/quick.flags"
    options=(--dataset=synthetic --flagfile=presets/quick.flags "${options[@]}")
fi
if [ -n "$SPERIOD" ]; then options+=("--summary_period=$SPERIOD"); fi
if [ -n "$TIME" ]; then options+=("--train_time=$TIME"); fi

code=0
run "$VENV_PYTHON" srez_main.py --run=train "${folders[@]}" "${options[@]}" "$@" || code=$?
if [ "$code" -ne 0 ]; then
    echo "training ended with code $code (2: see the line above, 3: diverged, 75: interrupted and saved)"
    exit "$code"
fi
run "$VENV_PYTHON" srez_main.py --run=demo "${folders[@]}" || code=$?
echo "film and grids: train_$RUNNUM   checkpoints and figures: checkpoint_$RUNNUM   TensorBoard: summary_$RUNNUM"
exit "$code"
