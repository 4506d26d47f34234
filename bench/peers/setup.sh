#!/bin/sh
# Installs the peers (torch, onnxruntime, onnx, NNCF) into a venv of their own. Quick when they are already there.
#   SKIVE_PEERS_VENV   where (default: ${XDG_CACHE_HOME:-$HOME/.cache}/skive/peers; needs about 6 GB)
# Prints the path of the venv's python as its last line. Exit 77: could not be installed (no network, no venv module).
set -u
here=$(cd "$(dirname "$0")" && pwd)
venv=${SKIVE_PEERS_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/skive/peers}
stamp=$venv/skive-peers.stamp
want=$(cat "$here/requirements.txt" "$here/requirements-nncf.txt" | cksum)

skip() {
    echo "bench/peers/setup.sh: $1" >&2
    exit 77
}

if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then
    echo "$venv/bin/python"
    exit 0
fi
command -v python3 >/dev/null 2>&1 || skip "python3 is missing (Debian: apt install python3 python3-venv)"
mkdir -p "$(dirname "$venv")" || skip "cannot create $(dirname "$venv")"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv" >&2 || skip "cannot create a venv in $venv (Debian: apt install python3-venv)"
echo "installing the peers into $venv (torch with its parts is several GB; this takes minutes)" >&2
"$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$here/requirements.txt" >&2 ||
    skip "the peers could not be installed from PyPI"
"$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$here/requirements-nncf.txt" >&2 ||
    echo "bench/peers/setup.sh: NNCF could not be installed; its rows will be left out" >&2
"$venv/bin/python" -c 'import torch, onnxruntime, onnx' >&2 || skip "the peers are installed but cannot be imported"
printf '%s\n' "$want" >"$stamp"
echo "$venv/bin/python"
