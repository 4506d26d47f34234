#!/usr/bin/env bash
# Builds for another processor, runs a set of tests under qemu's user mode, and compares what the command writes and
# computes there with what it does here, byte by byte.
# Usage: cross_test.sh [--files] aarch64|riscv64|s390x [SKIVE]
#   --files  only readers, writers, coders and the files they write, not the kernels
#   SKIVE_FEW_CASES=1 in the environment: a fifth of the random cases, and fewer combinations; on AArch64 without the coders,
#   which have no code of their own there
#   SKIVE  this machine's command (default: build-ci/skive)
# Exit status 77: the compiler, qemu or the libraries cannot be had.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
usage="usage: cross_test.sh [--files] aarch64|riscv64|s390x [SKIVE]"
files_only=0
[ "${1:-}" = --files ] && { files_only=1; shift; }
top=$PWD processor=${1:-} jobs=$(nproc) # nproc heeds OMP_NUM_THREADS, which is set below
native=$(realpath "${2:-build-ci/skive}")
case $processor in
    aarch64) debian=arm64 triple=aarch64-linux-gnu levels=(i8mm dotprod neon) cpu=max ;;
    riscv64) debian=riscv64 triple=riscv64-linux-gnu levels=(scalar) cpu=rv64 ;;
    s390x) debian=s390x triple=s390x-linux-gnu levels=(scalar) cpu=max ;;
    *) echo "$usage" >&2; exit 2 ;;
esac
[ -x "$native" ] || { echo "cross_test: $native is not built"; exit 1; }
scripts/deps.sh cross || { echo "cross_test: skipped, packages cannot be installed"; exit 77; }
for program in "$triple-gcc" "qemu-$processor"; do
    command -v "$program" >/dev/null || { echo "cross_test: $processor is skipped, there is no $program"; exit 77; }
done
root=$(scripts/cross_root.sh "$debian") || { echo "cross_test: $processor is skipped, there are no libraries"; exit 77; }

# Integer kernels have code of their own at each level, float kernels at the least; readers, writers and coders once.
# The longest come first.
files=(test_pack test_endian test_tensor test_onnx test_onnx_fields test_data)
floats=(test_sparse test_sgemm test_kernels test_conv_plain test_pool_window test_attention test_packed_weights test_pool_forms)
integers=(test_int8 test_fixed)
[ -n "${SKIVE_FEW_CASES:-}" ] && [ "$processor" = aarch64 ] && files=("${files[@]:1}")
optimize=-O3
[ $files_only = 1 ] && integers=() floats=() optimize=-O1 # the kernels are compiled in half the time and hardly run
build=build-$processor
SKIVE_ROOT=$root cmake --preset "$processor" -DSKIVE_OPTIMIZE="$optimize" >/dev/null || exit 1
cmake --build "$build" -j "$jobs" --target skive "${integers[@]}" "${floats[@]}" "${files[@]}" || exit 1

export OMP_NUM_THREADS=1 GOMP_SPINCOUNT=1000
emulator=("qemu-$processor" -L "$root" -cpu "$cpu")
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
one() { # NAME LEVEL
    local status
    SKIVE_ISA=$2 timeout 1800 "${emulator[@]}" "$build/$1" >"$run/$1.$2" 2>&1 && return 0
    status=$?
    [ $status = 77 ] && return 0
    [ $status = 124 ] && { echo "cross_test: $processor, $2: $1 is not done after 30 minutes"; return 1; }
    echo "cross_test: $processor, $2: $1 fails"
    grep -E 'FAILED|ERROR|\[ +ERROR' "$run/$1.$2" || tail -n 5 "$run/$1.$2"
    return 1
}
failed=0 running=0
start() { # NAME LEVEL: as many at once as there are processors
    one "$1" "$2" &
    [ $((++running)) -lt "$jobs" ] || { wait -n || failed=1; running=$((running - 1)); }
}
start "${files[0]}" "${levels[0]}"
for name in "${floats[@]}"; do start "$name" "${levels[-1]}"; done
for name in "${integers[@]}"; do
    for level in "${levels[@]}"; do start "$name" "$level"; done
done
for name in "${files[@]:1}"; do start "$name" "${levels[0]}"; done
while [ $running -gt 0 ]; do wait -n || failed=1; running=$((running - 1)); done

# The same files, and the same integer results, at every level.
printf '#!/bin/sh\nexec %s "%s" "$@"\n' "${emulator[*]}" "$top/$build/skive" >"$run/skive"
chmod +x "$run/skive"
bash scripts/same_files.sh "$native" "$run/skive" "${levels[@]}" || failed=1
[ $failed = 0 ] && echo "cross_test: $processor holds at ${levels[*]}"
exit $failed
