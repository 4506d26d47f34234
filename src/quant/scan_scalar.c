/* The loops over weights for any CPU, and the choice among them. */
#define SCAN skv_scan_scalar
#include "quant/scan_body.h"

const skv_scan *skv_scan_of(skv_isa isa) {
    return SKV_AT(isa, AVX512, &skv_scan_avx512) SKV_AT(isa, AVX2, &skv_scan_avx2) SKV_ELSE(isa, &skv_scan_scalar);
}
