#!/usr/bin/env bash
# The loops in plain C are loops of vectors in the objects that gcc made for x86-64: each function named here holds at
# least so many of the instructions named, and every file of the scalar level is named. Usage: test_vectors.sh SKIVE
set -euo pipefail

skip() {
    echo "skipped: $*"
    exit 77
}

build=$(cd "$(dirname "$1")" && pwd)
objects=$build/CMakeFiles/skive_objects.dir/src
[ -d "$objects" ] || skip "no objects of the library beside the command"
command -v objdump >/dev/null || skip "no objdump"
object=$objects/kernels/int8/gemm_scalar.c.o
objdump -f "$object" | grep -q 'elf64-x86-64' || skip "objects are not for x86-64"
objdump -s -j .comment "$object" | grep -q 'GCC' || skip "the compiler is not gcc"
grep -q '^CMAKE_BUILD_TYPE:[A-Z]*=Release$' "$build/CMakeCache.txt" || skip "not a release build"
grep -q '^SKIVE_SANITIZE:[A-Z]*=.' "$build/CMakeCache.txt" && skip "a sanitizer's build"
grep -q '^SKIVE_OPTIMIZE:[A-Z]*=-O3' "$build/CMakeCache.txt" || skip "not built with -O3"

failed=0 seen=' '
# file, function, regular expression of instructions, least count
while read -r file function wanted least; do
    [ -n "$file" ] || continue
    seen+="$file "
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
kernels/int8/gemm_scalar         tile_3                     pmaddwd 12
kernels/int8/gemm_scalar         tile_3                     cvtdq2ps 3
kernels/int8/gemm_scalar         copy                       psubw 2
kernels/int8/shift_scalar        copy                       psubw 2
kernels/int8/loops_scalar        depthwise                  pmullw 9
kernels/int8/loops_scalar        requant                    mulps 4
kernels/int8/loops_scalar        add                        mulps 4
kernels/int8/loops_scalar        sum                        paddd 4
kernels/int8/loops_scalar        quantize                   divps 4
kernels/int8/loops_scalar        dequantize_u8              mulps 4
kernels/int8/loops_scalar        dequantize_s8              mulps 4
kernels/sgemm_scalar             run_tile                   mulps 16
kernels/sgemm_scalar             run_wide                   mulps 16
kernels/sgemm_scalar             dot                        mulps 4
kernels/conv_planes_scalar       run_tile                   mulps 12
kernels/depthwise_scalar         run                        mulps 10
kernels/depthwise_scalar         sums                       mulps 5
kernels/unary_scalar             skv_unary_scalar           mulps 30
kernels/rows_scalar              softmax                    mulps 8
kernels/rows_scalar              layer                      mulps 3
kernels/attention_scalar         product                    mulps 4
kernels/attention_scalar         add_product                mulps 4
kernels/recurrent_scalar         lstm                       mulps 30
kernels/recurrent_scalar         gru_gates                  mulps 8
kernels/recurrent_scalar         gru_state                  mulps 8
kernels/recurrent_scalar         gru_keep                   mulps 8
kernels/recurrent_scalar         lstm_back                  mulps 12
kernels/norm_batch_scalar        apply                      mulps 4
kernels/norm_batch_scalar        moments                    mulps 4
kernels/norm_batch_scalar        gradient                   mulps 4
kernels/norm_batch_scalar        gradient_sums              addps|mulps 4
kernels/sparse/loops_scalar      csr_tile                   mulps 8
kernels/sparse/loops_scalar      block4_tile                mulps 8
kernels/sparse/loops_scalar      coded_tile                 mulps 8
kernels/convert_scalar           f16_to_f32                 pand|por|pslld 4
kernels/convert_scalar           i32_to_f32                 cvtdq2ps 1
kernels/convert_scalar           u8_to_f32                  cvtdq2ps 4
kernels/convert_scalar           f32_to_i8                  cvttps2dq 2
kernels/convert_scalar           i64_to_i8                  packus[a-z]+|punpck[a-z]+|pshuf[a-z]+|shufps 4
kernels/elements_scalar          add_f32                    addps 1
kernels/elements_scalar          mul_f32                    mulps 1
kernels/elements_scalar          div_f32                    divps 1
kernels/elements_scalar          max_f32                    cmp[a-z]+ps 1
kernels/elements_scalar          less_f32                   cmp[a-z]+ps 4
kernels/elements_scalar          equal_i32                  pcmpeqd 4
kernels/elements_scalar          prelu_f32                  mulps 1
kernels/elements_scalar          where_uint32_t             pand|pandn|por|andps|andnps|orps 4
kernels/fake_quantize_scalar     fake_round                 divps 1
kernels/fake_quantize_scalar     fake_pass                  divps 1
kernels/fake_quantize_scalar     fake_learn                 divps 1
share/hashed/indices_scalar     skv_hashed_indices_scalar  pmuludq 4
kernels/pool_conv_weight_scalar  gather_rows                addps|mulps|movups|movaps 4
kernels/pool_conv_weight_scalar  pool                       cmp[a-z]+ps 2
kernels/pool_window_scalar       line_max                   maxps|cmp[a-z]+ps 8
kernels/pool_window_scalar       line_sum                   addps 8
kernels/pool_window_scalar       rows_max                   maxps|cmp[a-z]+ps 2
kernels/pool_window_scalar       rows_sum                   addps 2
kernels/reduce_scalar            row_sum                    addp[sd] 4
kernels/reduce_scalar            row_max                    maxps|cmp[a-z]+ps 4
kernels/reduce_scalar            row_exp                    mulps 8
kernels/reduce_scalar            columns_sum                addps 4
kernels/reduce_scalar            columns_max                maxps|cmp[a-z]+ps 4
kernels/reduce_scalar            arg_row                    cmp[a-z]+ps 2
kernels/resample_scalar          along                      mulps 2
kernels/resample_scalar          rows                       mulps 2
kernels/int8/few_scalar          tile4                      padd[bwd] 8
kernels/int8/sparse_scalar       block                      paddd 4
kernels/int8/xnor_scalar         tile                       pxor 4
kernels/int8/xnor_scalar         tile                       padd[bwdq] 4
kernels/packed_scalar            rows_4                     mulps 8
kernels/packed_scalar            rows_8                     mulps 8
kernels/packed_scalar            decode                     mulps 4
quant/loops_scalar               magnitude                  maxps 2
probe/loops_scalar               range                      minps|maxps|cmp[a-z]+ps 2
probe/loops_scalar               sum                        addp[sd] 2
probe/loops_scalar               squares                    mulp[sd] 2
END
while read -r object; do
    file=${object#"$objects"/} file=${file%.c.o}
    [[ $seen == *" $file "* ]] && continue
    echo "$file.c: a file of the scalar level of which no loop is named here" >&2
    failed=1
done < <(find "$objects" -name '*_scalar.c.o')
[ $failed = 0 ] && echo "the plain C loops are vectorised"
exit $failed
