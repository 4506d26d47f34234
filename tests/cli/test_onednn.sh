#!/usr/bin/env bash
# Configuring says in one line which oneDNN was found, or why the one found will not do; the command says whether it is used.
# Usage: test_onednn.sh SKIVE
. "$(dirname "$0")/common.sh"

expect 0 '^(oneDNN [0-9]+\.[0-9]+\.[0-9]+|without oneDNN: .*)$' "$skive" --version
root=$here/../..
model=$root/tests/golden/forms.onnx
expect 0 ', (oneDNN [0-9.]+|without oneDNN); activations' "$skive" explain "$model"
expect 0 '"onednn": ("[0-9.]+"|null)' "$skive" explain "$model" --json

command -v cmake >/dev/null || finish
# Only the part that looks for oneDNN, against headers that name the version asked.
mkdir -p include/oneapi/dnnl project
cat >project/CMakeLists.txt <<END
cmake_minimum_required(VERSION 3.25)
project(look LANGUAGES C)
include($root/cmake/onednn.cmake)
END
touch include/oneapi/dnnl/dnnl.h libdnnl.so
headers() { # MAJOR MINOR PATCH RUNTIME
    printf '#define DNNL_VERSION_MAJOR %s\n#define DNNL_VERSION_MINOR %s\n#define DNNL_VERSION_PATCH %s\n' "$1" "$2" "$3" \
        >include/oneapi/dnnl/dnnl_version.h
    printf '#define DNNL_CPU_THREADING_RUNTIME DNNL_RUNTIME_%s\n' "$4" >include/oneapi/dnnl/dnnl_config.h
}
look() { rm -rf look; cmake -S project -B look -DDNNL_INCLUDE_DIR="$PWD/include" -DDNNL_LIBRARY="$PWD/libdnnl.so" "$@"; }
headers 2 5 4 OMP
expect 0 'oneDNN: 2\.5\.4 \(.*\) is too old: .*; convolutions run on skive' look
expect 1 'oneDNN 2\.5\.4 \(.*\) is too old' look -DSKIVE_ONEDNN=ON
expect 0 'oneDNN: left out' look -DSKIVE_ONEDNN=OFF
headers 4 0 0 OMP
expect 0 'oneDNN: 4\.0\.0 \(.*\) is too new' look
headers 3 7 2 TBB
expect 0 'oneDNN: 3\.7\.2 \(.*\) was built for another threading library' look
headers 3 7 2 OMP
expect 0 'oneDNN: 3\.7\.2: .* cannot be linked' look
rm include/oneapi/dnnl/dnnl_version.h
expect 0 'oneDNN: of unknown version' look
expect 0 'oneDNN: not found: ' cmake -S project -B none -DCMAKE_FIND_ROOT_PATH="$PWD/project" \
    -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY
finish
