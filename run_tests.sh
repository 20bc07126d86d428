#!/usr/bin/env bash
# A fresh machine to a finished test run: ./run_tests.sh [--slow] [pytest's own options]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=scripts/venv.sh
source scripts/venv.sh

options=(-n 2 --dist worksteal)
if [[ " $* " == *" --slow "* ]]; then
    options+=(-m "not extra")
else
    options+=(-m "not slow and not extra")
fi
for word in "$@"; do
    if [ "$word" != --slow ]; then
        options+=("$word")
    fi
done
make_venv dev || exit $?

"$VENV_PYTHON" -m ruff check .
"$VENV_PYTHON" -m ruff format --check --quiet .
.venv/bin/shellcheck -x ./*.sh scripts/*.sh .ci/run
exec "$VENV_PYTHON" -m pytest "${options[@]}"
