/* Products of signs with vpopcntq. All processors with it have VNNI, but not the reverse: skv_xnor_loops_of asks. */
#if defined(__AVX512VNNI__)
#include <immintrin.h>

#include "kernels/int8/xnor.h"

enum { LANES = 8, BLOCK = 32 };
#define SKV_XNOR_TARGET __attribute__((target("avx512vpopcntdq")))
#include "kernels/int8/xnor_vector512.h"

static inline SKV_XNOR_TARGET vector add_bits(vector acc, vector a, vector b) {
    return _mm512_add_epi64(acc, _mm512_popcnt_epi64(_mm512_xor_si512(a, b)));
}

#include "kernels/int8/xnor_tile.h"

const skv_xnor_loops skv_xnor_loops_vnni = {tile, pack};
#endif
