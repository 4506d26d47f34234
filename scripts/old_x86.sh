#!/usr/bin/env bash
# The command and a set of tests on an emulated processor of 2008, which has SSE4.2 and no AVX: an instruction that it
# lacks ends them with SIGILL. Usage: old_x86.sh [BUILD ...] (default: build-ci). Exit status 77 without qemu-user.
# CPU=core2duo, for instance, asks for another processor (qemu-x86_64 -cpu help lists them).
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
cpu=${CPU:-Nehalem}
[ $# -gt 0 ] || set -- build-ci
[ "$(uname -m)" = x86_64 ] || { echo "old_x86: skipped, this is no x86-64"; exit 77; }
command -v qemu-x86_64 >/dev/null || { echo "old_x86: skipped, no qemu-x86_64 (Debian: qemu-user)"; exit 77; }

# The longest first. test_base starts processes of its own, which would not be emulated.
tests=(test_int8 test_sgemm test_quant test_share_hash test_ops test_gradient test_kernels test_suite test_conv_plain
    test_session test_share test_attention test_passes test_data test_image test_onnx test_tensor test_graph)
commands=(test_commands test_quantize)
work=$(mktemp -d) jobs=$(nproc) # nproc heeds OMP_NUM_THREADS, which is set below
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1 GOMP_SPINCOUNT=1000 work

# shellcheck disable=SC2317
one() { # SCRIPT ITS-ARGUMENT
    local log status
    log=$work/$(basename "$1").$(basename "$2").log
    bash "$1" "$2" >"$log" 2>&1
    status=$?
    case $status in 0 | 77) return 0 ;; esac
    echo "old_x86: status $status from: $1 $2"
    grep -E 'FAIL|ERROR|Illegal' "$log" || tail -n 5 "$log"
    return 1
}
export -f one

failed=0
printf 'exec qemu-x86_64 -cpu %s "$@"\n' "$cpu" >"$work/emulated"
for build in "$@"; do
    build=$(realpath "$build")
    [ -x "$build/skive" ] || { echo "old_x86: $build/skive is not built"; exit 1; }
    mkdir -p "$work$build"
    printf '#!/bin/sh\nexec qemu-x86_64 -cpu %s "%s" "$@"\n' "$cpu" "$build/skive" >"$work$build/skive"
    chmod +x "$work$build/skive"
    {
        for name in "${commands[@]}"; do printf '%s\0%s\0' "tests/cli/$name.sh" "$work$build/skive"; done
        for name in "${tests[@]}"; do printf '%s\0%s\0' "$work/emulated" "$build/$name"; done
    } | xargs -0 -n 2 -P "$jobs" bash -c 'one "$@"' one || failed=1
done
[ $failed = 0 ] && echo "old_x86: the command and the tests run on $cpu, in $*"
exit $failed
