#!/usr/bin/env bash
# Installs the Debian packages that are missing, saying which; quick and silent when all are there.
set -euo pipefail

packages=(build-essential cmake ninja-build pkg-config ccache
    libdnnl-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libonnx-dev
    libjansson-dev libpng-dev libjpeg62-turbo-dev zlib1g-dev
    libcmocka-dev libonnx-testdata dataset-fashion-mnist
    clang clang-format clang-tidy libclang-rt-14-dev libomp-14-dev python3-venv)

missing=()
for package in "${packages[@]}"; do
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
