/* Max pooling of blocks of 16 channels in AVX-512. */
#include "kernels/pool_max.h"

#include <immintrin.h>
#include <math.h>

enum { LANES = 16 };

static void apart(const skv_pool_apart *p, const float *x, float *y) {
    for (int64_t oh = 0; oh < p->out[0]; oh++) {
        for (int64_t ow = 0; ow < p->out[1]; ow++) {
            const float *from = x + (oh * p->kernel[0] * p->width + ow * p->kernel[1]) * LANES;
            __m512 top = _mm512_set1_ps(-INFINITY);
            for (int64_t kh = 0; kh < p->kernel[0]; kh++) {
                for (int64_t kw = 0; kw < p->kernel[1]; kw++) {
                    const __m512 v = _mm512_loadu_ps(from + (kh * p->width + kw) * LANES);
                    /* of NaN and a number the second is taken: a NaN in v is put in behind it */
                    top = _mm512_mask_mov_ps(_mm512_max_ps(v, top), _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), v);
                }
            }
            _mm512_storeu_ps(y + (oh * p->out[1] + ow) * LANES, top);
        }
    }
}

static void spread(const skv_pool_apart *p, const float *dy, const float *x, const float *y, float *dx) {
    for (int64_t oh = 0; oh < p->out[0]; oh++) {
        for (int64_t ow = 0; ow < p->out[1]; ow++) {
            const int64_t from = (oh * p->kernel[0] * p->width + ow * p->kernel[1]) * LANES;
            const __m512 top = _mm512_loadu_ps(y + (oh * p->out[1] + ow) * LANES);
            const __m512 gradient = _mm512_loadu_ps(dy + (oh * p->out[1] + ow) * LANES);
            __mmask16 open = 0xffff;
            for (int64_t kh = 0; kh < p->kernel[0]; kh++) {
                for (int64_t kw = 0; kw < p->kernel[1]; kw++) {
                    const int64_t at = from + (kh * p->width + kw) * LANES;
                    const __mmask16 hit = _mm512_mask_cmp_ps_mask(open, _mm512_loadu_ps(x + at), top, _CMP_EQ_OQ);
                    _mm512_storeu_ps(dx + at, _mm512_maskz_mov_ps(hit, gradient));
                    open = (__mmask16)(open & ~hit);
                }
            }
        }
    }
}

const skv_pool_max_loops skv_pool_max_loops_avx512 = {apart, spread};
