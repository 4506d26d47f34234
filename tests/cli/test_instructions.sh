#!/usr/bin/env bash
# Nothing but the files of an instruction-set level holds instructions that not every x86-64 has: the objects of the
# library and the command are read, so that it does not matter who put them there. Usage: test_instructions.sh SKIVE
set -euo pipefail

skip() {
    echo "skipped: $*"
    exit 77
}

build=$(cd "$(dirname "$1")" && pwd)
[ -d "$build/CMakeFiles/skive_objects.dir" ] || skip "no objects of the library beside the command"
command -v objdump >/dev/null || skip "no objdump"
grep -qE '^CMAKE_C_FLAGS:[A-Z]*=.*-m' "$build/CMakeCache.txt" && skip "compiled for some processors only"
objdump -f "$build/CMakeFiles/skive_objects.dir/src/base/cpu.c.o" | grep -q 'elf64-x86-64' || skip "not for x86-64"

# VEX and EVEX (v...), masks, AMX; SSE3 to SSE4.2; bits.
beyond='v[a-z]+[0-9a-z]*|k(mov|and|or|xor|add|shift|test|ortest|unpck|not)[a-z]*|tile[a-z]*|tdp[a-z0-9]+|'
beyond+='h(add|sub)p[sd]|phadd[a-z]+|addsubp[sd]|lddqu|mov(s[hl]|d)dup|pabs[bwd]|palignr|pmaddubsw|pmulhrsw|'
beyond+='psign[bwd]|pshufb|p?blend[a-z]+|dpp[sd]|extractps|insertps|movntdqa|mpsadbw|packusdw|pcmp(eq|gt)q|'
beyond+='pcmp[ei]str[im]|p(extr|insr)[bdq]|phminposuw|p(max|min)(sb|sd|uw|ud)|pmov[sz]x[a-z]+|pmul(dq|ld)|ptest|'
beyond+='round[ps][sd]|crc32[a-z]*|popcnt|lzcnt|andn|bextr|bls[a-z]+|bzhi|mulx|p(dep|ext)|rorx|s[ah][lr]x|movbe'

found=$(find "$build/CMakeFiles/skive_objects.dir" "$build/CMakeFiles/skive.dir" -name '*.c.o' |
    grep -vE '_(avx2|avx512|vnni|bf16|amx)\.c\.o$' | tr '\n' '\0' |
    xargs -0 -n 40 objdump -d --no-show-raw-insn |
    awk -F'\t' -v beyond="^($beyond)\$" '
        /file format/ { file = $0; sub(/: .*/, "", file); sub(/.*\.dir\//, "", file) }
        NF >= 2 { split($2, word, " "); if (word[1] ~ beyond && !(file in seen)) { seen[file]; print file ": " word[1] } }')
if [ -n "$found" ]; then
    echo "instructions that not every x86-64 has, outside the files of a level:" >&2
    echo "$found" >&2
    exit 1
fi
echo "every object but those of a level is plain x86-64"
