/* Tiles of 14 positions by 32 channels with vpdpbusd: four u8 * s8 products added to int32 at once, without
 * saturation. */
#if defined(__AVX512VNNI__)
#include <immintrin.h>
#include <string.h>

#include "kernels/int8/int8.h"

enum { MR = 14, NR = 32 };
#define ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)

#include "kernels/int8/gemm_vector512.h"

static inline vector multiply_add(vector acc, vector x, vector w) { return _mm512_dpbusd_epi32(acc, x, w); }

#include "kernels/int8/gemm_store512.h"
#include "kernels/int8/gemm_tile.h"
#include "kernels/int8/gemm_copy512.h"

static const skv_q8_gemm gemm = {
    .mr = MR, .nr = NR, .k_group = 4, .wide = false, .tile = tile, .constants = fill_constants, .copy = copy};
const skv_q8_gemm *skv_q8_gemm_vnni(void) { return &gemm; }
#endif
