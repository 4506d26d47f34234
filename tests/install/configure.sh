#!/usr/bin/env bash
# What configuring says: one line for each optional library that is left out, and one that names what is needed and missing.
# Usage: configure.sh
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
failures=0
n=0

# configure ARGUMENT...: a fresh configuration; what it prints is in told
configure() {
    n=$((n + 1))
    cmake -S "$top" -B "$root/$n" -G Ninja -DSKIVE_TESTS=OFF -DSKIVE_BENCH=OFF "$@" >"$root/told" 2>&1
}
# says TEXT: once, on one line
says() {
    if [ "$(grep -cF -- "$1" "$root/told")" -ne 1 ]; then
        echo "FAIL: not said once: $1" >&2
        cat "$root/told" >&2
        failures=$((failures + 1))
    fi
}
fails() {
    if configure "$@"; then
        echo "FAIL: configured in spite of: $*" >&2
        failures=$((failures + 1))
    fi
}

configure -DSKIVE_PNG=OFF -DCMAKE_DISABLE_FIND_PACKAGE_JPEG=ON -DSKIVE_OPENMP=OFF -DSKIVE_ONEDNN=OFF -DSKIVE_SNDFILE=OFF -DSKIVE_LAPACKE=OFF
says "libpng: left out; PNG images are not read"
says "libjpeg-turbo: left out; JPEG images are not read"
says "libsndfile: left out; sounds (WAV, FLAC, Ogg) are not read"
says "LAPACKE: left out; matrices are factorized by skive's own code, slower"
says "OpenMP: left out; everything runs on one thread"
says "oneDNN: left out"

fails -DSKIVE_PNG=ON -DCMAKE_DISABLE_FIND_PACKAGE_PNG=ON
says "libpng is missing"
fails -DSKIVE_JPEG=maybe
says "SKIVE_JPEG is 'maybe': it must be AUTO, ON or OFF"
fails -DSKIVE_ONEDNN=2.6
says "SKIVE_ONEDNN is '2.6': it must be AUTO, ON or OFF"
PKG_CONFIG_LIBDIR=$root fails
says "skive needs protobuf-c, which is missing (Debian and Ubuntu: apt-get install libprotobuf-c-dev)"

# Compilers that are too old or not known, as CMake would find them.
printf 'set(CMAKE_C_COMPILER cc)\nset(CMAKE_C_COMPILER_FORCED TRUE)\nset(CMAKE_C_COMPILER_ID_RUN TRUE)\nset(CMAKE_SIZEOF_VOID_P 8)\nset(CMAKE_C_COMPILER_ID GNU)\nset(CMAKE_C_COMPILER_VERSION 8.3.0)\n' >"$root/old.cmake"
fails -DCMAKE_TOOLCHAIN_FILE="$root/old.cmake"
says "GNU 8.3.0 is too old: skive needs gcc 11 or clang 13"
# Floats that are computed as something wider, which give other results.
if [ "$(uname -m)" = x86_64 ]; then
    fails -DCMAKE_C_FLAGS=-mfpmath=387
    says "computes with floats in a wider type (FLT_EVAL_METHOD is not 0)"
fi

[ $failures -eq 0 ]
echo "configure: $n configurations"
