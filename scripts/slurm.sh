#!/usr/bin/env bash
# One worker of several under Slurm, one on each node; after it the command, with --strategy multiworker:
#   srun --ntasks-per-node=1 scripts/slurm.sh python3 srez_main.py --run train --strategy multiworker ...
# PORT: where the workers listen (2222).
set -euo pipefail

nodes=${SLURM_STEP_NUM_NODES:-${SLURM_NNODES:-}} tasks=${SLURM_STEP_NUM_TASKS:-${SLURM_NTASKS:-}}
if [ -z "$nodes" ] || [ "$tasks" != "$nodes" ] || [ -z "${SLURM_NODEID:-}" ]; then
    echo "srez: this is for srun with one task on each node (--ntasks-per-node=1)" >&2
    exit 2
fi
workers=$(scontrol show hostnames "${SLURM_STEP_NODELIST:-$SLURM_JOB_NODELIST}" |
    sed "s/.*/\"&:${PORT:-2222}\"/" | paste -sd, -)
export TF_CONFIG="{\"cluster\": {\"worker\": [$workers]}, \"task\": {\"type\": \"worker\", \"index\": $SLURM_NODEID}}"
exec "$@"
