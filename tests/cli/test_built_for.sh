#!/bin/bash
# A skive that was compiled for processors with more than this one has says so in one line: the check (src/base/cpu_built.c),
# compiled for several, on an emulated processor of 2008.
top=$(cd "$(dirname "$0")/../.." && pwd)
[ "$(uname -m)" = x86_64 ] || { echo "test_built_for: skipped, this is no x86-64"; exit 77; }
command -v qemu-x86_64 >/dev/null || { echo "test_built_for: skipped, no qemu-x86_64 (Debian: qemu-user)"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/main.c" <<'END'
#include <stdio.h>
#include <skive/skive.h>
int main(void) {
    printf("%s\n", skive_cpu_problem() ? skive_cpu_problem() : "nothing");
    return 0;
}
END
failed=0
check() { # ARCHITECTURE PROCESSOR EXPECTED
    local told
    gcc -O1 "-march=$1" -D_GNU_SOURCE -I"$top/include" -I"$top/src" "$work/main.c" "$top/src/base/cpu_built.c" -o "$work/program" || exit 1
    told=$(qemu-x86_64 -cpu "$2" "$work/program") || failed=1
    [ "$told" = "$3" ] && return
    echo "test_built_for: for $1, on $2: $told" >&2
    failed=1
}
check x86-64 Nehalem nothing
check x86-64-v2 Nehalem nothing
check x86-64-v2 core2duo "this skive was built for processors with sse4.1, which this one lacks"
check x86-64-v3 Nehalem "this skive was built for processors with avx, which this one lacks"
check x86-64-v4 Nehalem "this skive was built for processors with avx, which this one lacks"
exit $failed
