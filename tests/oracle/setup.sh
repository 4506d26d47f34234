#!/bin/sh
# Installs onnx, onnxruntime, numpy and Pillow from PyPI into a venv that only the oracle checks use. Quick when already there.
#   SKIVE_ORACLE_VENV   where (default: ${XDG_CACHE_HOME:-$HOME/.cache}/skive/oracle)
# Prints the path of the venv's python as its last line. Exit 77 (CTest: skipped) when it cannot be installed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
venv=${SKIVE_ORACLE_VENV:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/skive/oracle}
stamp=$venv/skive-oracle.stamp
want=$(cksum <"$here/requirements.txt")

skip() {
    echo "tests/oracle/setup.sh: skipped: $1" >&2
    exit 77
}

ready() {
    [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]
}

if ! ready; then
    command -v python3 >/dev/null 2>&1 || skip "python3 is missing (Debian: apt install python3 python3-venv)"
    mkdir -p "$(dirname "$venv")" || skip "cannot create $(dirname "$venv")"
    # two checks may start at once: the second waits for the first one's installation
    exec 9>"$venv.lock" || skip "cannot write $venv.lock"
    command -v flock >/dev/null 2>&1 && flock 9
    if ! ready; then
        [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 ||
            python3 -m venv --clear "$venv" >&2 || skip "cannot create a venv in $venv (Debian: apt install python3-venv)"
        "$venv/bin/python" -m pip install -q --disable-pip-version-check --retries 1 --timeout 20 \
            -r "$here/requirements.txt" >&2 || skip "onnx and onnxruntime could not be installed from PyPI"
        "$venv/bin/python" -c 'import numpy, onnx, onnxruntime, PIL' >&2 || skip "onnxruntime is installed but does not load"
        printf '%s\n' "$want" >"$stamp" || skip "cannot write $stamp"
    fi
fi
echo "$venv/bin/python"
