# shellcheck shell=bash
# Sourced by run_script.sh and run_tests.sh. The folder of this checkout must be the current one.

# make_venv FILE...: a virtual environment in .venv with what the requirement files list; sets VENV_PYTHON.
# Installs again only when a file, the Python or INSTALL_EXTRA (one more requirement) has changed.
make_venv() {
    local python="${PYTHON:-python3}" wanted stamp=.venv/installed
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "srez: needs Python 3.11 or newer; set PYTHON=/path/to/python3.12" >&2
        return 2
    fi
    wanted="$(cat "$@"; "$python" -VV; echo "${INSTALL_EXTRA:-}")"
    VENV_PYTHON="$PWD/.venv/bin/python"
    if [ -f "$stamp" ] && [ "$wanted" = "$(cat "$stamp")" ]; then
        return 0
    fi
    echo "installing into .venv (about 2 GB, once)"
    if ! "$python" -m venv --clear .venv; then
        echo "srez: no virtual environment could be made; on Debian or Ubuntu: apt install python3-venv" >&2
        return 2
    fi
    local options=()
    local file
    for file in "$@"; do
        options+=(-r "$file")
    done
    if [ -n "${INSTALL_EXTRA:-}" ]; then
        options+=("$INSTALL_EXTRA")
    fi
    if ! "$VENV_PYTHON" -m pip install --quiet --disable-pip-version-check "${options[@]}"; then
        echo "srez: installation failed; see the lines above (network? disk?), then run this again" >&2
        return 2
    fi
    printf '%s\n' "$wanted" >"$stamp"
}
