#!/usr/bin/env bash
# Installs the Debian packages that a target needs and that are missing, saying which; quick and silent when all are there.
# Usage: deps.sh [--list] TARGET ...
#   runtime   what a built skive needs to run
#   build     what building the command and the library needs
#   demo      the data set of `make demo`
#   test      what `make test` needs besides, including the ONNX backend suite and a Python for the comparisons with onnxruntime
#   lint      clang, sanitizers and fuzzing (`make test-all`), clang-format and clang-tidy (`make lint`)
# With --list the packages are printed and nothing is installed.
set -euo pipefail

packages_of() {
    case $1 in
        runtime) echo libdnnl2 libprotobuf-c1 libjansson4 libpng16-16 libjpeg62-turbo zlib1g libgomp1 ;;
        build) echo gcc libc6-dev make cmake ninja-build pkg-config libdnnl-dev libprotobuf-c-dev protobuf-c-compiler libonnx-dev \
            libjansson-dev libpng-dev libjpeg62-turbo-dev zlib1g-dev ;;
        demo) echo dataset-fashion-mnist ;;
        test) echo g++ libcmocka-dev libonnx-testdata dataset-fashion-mnist python3 python3-venv ;;
        lint) echo ccache clang clang-format clang-tidy libclang-rt-14-dev libomp-14-dev shellcheck ;;
        *) return 1 ;;
    esac
}

list=0
[ "${1:-}" = --list ] && { list=1; shift; }
[ $# -gt 0 ] || set -- build
wanted=()
for target in "$@"; do
    names=$(packages_of "$target") || { echo "deps: no target '$target'; there are runtime, build, demo, test and lint" >&2; exit 2; }
    read -ra some <<<"$names"
    wanted+=("${some[@]}")
done
[ $list = 1 ] && { printf '%s\n' "${wanted[@]}"; exit 0; }

missing=()
for package in "${wanted[@]}"; do
    status=$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    [[ $status == ii* ]] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "deps: these Debian packages are missing and there is no apt-get: ${missing[*]}" >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "deps: not root and no sudo; install by hand: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
