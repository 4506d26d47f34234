/* The loops over weights for any CPU, and the choice among them. */
#define TABLE skv_quant_loops_scalar
#include "quant/loops_body.h"

const skv_quant_loops *skv_quant_loops_of(skv_isa isa) {
    return SKV_AT(isa, AVX512, &skv_quant_loops_avx512) SKV_AT(isa, AVX2, &skv_quant_loops_avx2)
        SKV_ELSE(isa, &skv_quant_loops_scalar);
}
