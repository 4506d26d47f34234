/* The loops of calibration for any CPU, and the choice among them. */
#define SCAN skv_scan_scalar
#include "quant/scan_body.h"

const skv_scan *skv_scan_of(skv_isa isa) {
#if defined(__x86_64__)
    if (isa >= SKV_ISA_AVX512) return &skv_scan_avx512;
    if (isa >= SKV_ISA_AVX2) return &skv_scan_avx2;
#endif
    (void)isa;
    return &skv_scan_scalar;
}
