# shellcheck shell=bash
# Sourced by run_script.sh and run_tests.sh. The folder of this checkout must be the current one.

VENV_PYTHON="$PWD/.venv/bin/python"

# make_venv [EXTRA...]: a virtual environment in .venv with this checkout installed in it, editable, and what the
# extras of pyproject.toml list. Only what has changed since the last call is installed, and .venv is made anew
# only for another Python: a training may be running from it.
make_venv() {
    local python="${PYTHON:-python3}" version made_by extra
    if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
        echo "srez: needs Python 3.11 to 3.13 (TensorFlow has no wheel for 3.14); set PYTHON=/path/to/python3.12" >&2
        return 2
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "srez: this Python cannot make virtual environments; on Debian or Ubuntu: apt install python3-venv" >&2
        return 2
    fi
    version="$("$python" -VV)"
    # one that was made by hand is taken over
    made_by="$(cat .venv/made_by 2>/dev/null || "$VENV_PYTHON" -VV 2>/dev/null || true)"
    if ! [ -x "$VENV_PYTHON" ] || [ "$version" != "$made_by" ]; then
        if ! "$python" -m venv --clear .venv; then
            echo "srez: no virtual environment could be made in $PWD/.venv; see the lines above" >&2
            return 2
        fi
        printf '%s\n' "$version" >.venv/made_by
    fi
    install_once srez . || return
    for extra in "$@"; do
        install_once "$extra" ".[$extra]" || return
    done
}

# install_once NAME WHAT: pip install WHAT, unless that was done already with the same requirements
install_once() {
    local stamp=".venv/installed_$1" wanted
    wanted="$(cat requirements.txt pyproject.toml)"
    if [ -f "$stamp" ] && [ "$wanted" = "$(cat "$stamp")" ]; then
        return 0
    fi
    echo "installing into .venv (about 2 GB in all, once)"
    if ! "$VENV_PYTHON" -m pip install --quiet --disable-pip-version-check --editable "$2"; then
        echo "srez: installation failed; see the lines above (network? disk?), then run this again" >&2
        return 2
    fi
    printf '%s\n' "$wanted" >"$stamp"
}
