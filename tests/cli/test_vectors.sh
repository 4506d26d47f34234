#!/usr/bin/env bash
# The loops in plain C are loops of vectors in the objects that gcc made for x86-64: each function named here holds at
# least so many of the instructions named. Usage: test_vectors.sh SKIVE
set -euo pipefail

skip() {
    echo "skipped: $*"
    exit 77
}

build=$(cd "$(dirname "$1")" && pwd)
objects=$build/CMakeFiles/skive_objects.dir/src/kernels
[ -d "$objects" ] || skip "no objects of the library beside the command"
command -v objdump >/dev/null || skip "no objdump"
object=$objects/int8/gemm_scalar.c.o
objdump -f "$object" | grep -q 'elf64-x86-64' || skip "objects are not for x86-64"
objdump -s -j .comment "$object" | grep -q 'GCC' || skip "the compiler is not gcc"
grep -q '^CMAKE_BUILD_TYPE:[A-Z]*=Release$' "$build/CMakeCache.txt" || skip "not a release build"
grep -q '^SKIVE_SANITIZE:[A-Z]*=.' "$build/CMakeCache.txt" && skip "a sanitizer's build"
grep -q '^SKIVE_OPTIMIZE:[A-Z]*=-O3' "$build/CMakeCache.txt" || skip "not built with -O3"

failed=0
# file, function, regular expression of instructions, least count
while read -r file function wanted least; do
    [ -n "$file" ] || continue
    found=$(objdump -d --no-show-raw-insn "$objects/$file.c.o" |
        awk -v name="<$function>:" -v wanted="^v?($wanted)$" '
            /^[0-9a-f]+ </ { inside = $2 == name }
            inside { split($0, part, "\t"); split(part[2], word, " "); if (word[1] ~ wanted) n++ }
            END { print n + 0 }')
    if [ "$found" -lt "$least" ]; then
        echo "$file.c: $function has $found of $wanted, not $least: its loops are no longer vectorised" >&2
        failed=1
    fi
done <<'END'
int8/gemm_scalar        tile_3        pmaddwd      12
int8/gemm_scalar        tile_3        cvtdq2ps     3
int8/gemm_scalar        copy          psubw        2
int8/loops_scalar       depthwise     pmullw       9
int8/loops_scalar       requant       mulps        4
int8/loops_scalar       add           mulps        4
int8/loops_scalar       sum           paddd        4
int8/loops_scalar       quantize      divps        4
int8/loops_scalar       dequantize_u8 mulps        4
int8/loops_scalar       dequantize_s8 mulps        4
sgemm_scalar            run_tile      mulps        16
sgemm_scalar            run_wide      mulps        16
sgemm_scalar            dot           mulps        4
depthwise_scalar        run           mulps        10
depthwise_scalar        sums          mulps        5
unary_scalar            skv_unary_scalar mulps     30
rows_scalar             softmax       mulps        8
rows_scalar             gelu          mulps        8
rows_scalar             layer         mulps        3
attention_scalar        product       mulps        4
recurrent_scalar        lstm          mulps        30
recurrent_scalar        gru_gates     mulps        8
recurrent_scalar        gru_state     mulps        8
attention_scalar        add_product   mulps        4
norm_batch_scalar       apply         mulps        4
norm_batch_scalar       moments       mulps        4
sparse/loops_scalar     csr_tile      mulps        8
sparse/loops_scalar     block4_tile   mulps        8
sparse/loops_scalar     coded_tile    mulps        8
END
[ $failed = 0 ] && echo "the plain C loops are vectorised"
exit $failed
