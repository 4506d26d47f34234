#!/bin/bash
# Instruction-set flags come from the lists of cmake/levels.cmake: files of a level must be in its list, and only they are compiled with its flags.
build=$(cd "$(dirname "$1")" && pwd)
top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "test_levels: $*" >&2; failed=1; }
check() { cmake -DROOT="$1" -P "$top/cmake/levels.cmake" 2>&1; }

check "$top" >/dev/null || fail "the lists do not fit the sources: $(check "$top")"

# Files that are in no list: by what they include, directly or through a header, and by their names.
refused() { # file, its text
    cp -r "$top/src" "$work/src"
    printf '%s\n' "$2" >"$work/src/$1"
    check "$work" | tr '\n' ' ' | tr -s ' ' | grep -q "src/$1 uses instructions" || fail "accepted: $1 with '$2'"
    rm -rf "$work/src"
}
refused kernels/unlisted.c '#include <immintrin.h>'
refused kernels/unlisted.c '# include <arm_neon.h>'
refused kernels/unlisted.c '#include "kernels/winograd_avx512.h"'
refused kernels/unlisted_avx2.c '#include "kernels/rows_loops.h"'
refused base/unlisted_dotprod.c ''

# What the compiler was told: no flags of a level outside of the lists.
python3 - "$build/compile_commands.json" "$top" <<'PYTHON' || failed=1
import json, re, sys
listed = set(re.findall(r"(?:^|\s)(\w[\w/]*\.c)\b", open(sys.argv[2] + "/cmake/levels.cmake").read()))
bad = 0
for c in json.load(open(sys.argv[1])):
    path = c["file"].split("/src/")[-1]
    flags = re.findall(r"-m(?:avx|fma|f16c|amx|sse|arch)[\w.=+-]*", c["command"])
    if flags and path not in listed:
        print("test_levels:", path, "is compiled with", *flags)
        bad = 1
sys.exit(bad)
PYTHON
exit $failed
