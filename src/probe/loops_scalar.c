/* The loops of the probe for any CPU, and the choice among them. */
#define LOOPS skv_probe_loops_scalar
#include "probe/loops_body.h"

const skv_probe_loops *skv_probe_loops_of(skv_isa isa) {
    return SKV_AT(isa, AVX512, &skv_probe_loops_avx512) SKV_AT(isa, AVX2, &skv_probe_loops_avx2)
        SKV_ELSE(isa, &skv_probe_loops_scalar);
}
