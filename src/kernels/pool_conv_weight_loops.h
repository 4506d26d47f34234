/* The loops, compiled once for each instruction set; PCW_LOOPS names the table, PCW_VECTOR the type of eight numbers
 * with PCW_LOAD, PCW_STORE, PCW_SPREAD, PCW_ADD and PCW_MULTIPLY_ADD; with PCW_UNROLLED there is a form for each
 * number of rows, whose sums stay in registers. */
#include <math.h>

#include "kernels/pool_conv_weight.h"

enum {
    AHEAD = 24 * 16
}; /* the convolution's result comes from far away, two lines at a time, which the processor does not see coming */

static inline __attribute__((always_inline)) void pool_lanes(const skv_pcw_pool *s, const float *x, float *y,
                                                             uint8_t *place, const int64_t lanes) {
    for (int64_t oh = 0; oh < s->out[0]; oh++) {
        for (int64_t ow = 0; ow < s->out[1]; ow++, y += lanes, place += lanes) {
            const float *first = x + (oh * s->pool[0] * s->width + ow * s->pool[1]) * lanes;
            float top[16];
            int32_t where[16];
            for (int64_t c = 0; c < lanes; c++) {
                top[c] = -INFINITY;
                where[c] = 255;
            }
            int32_t here = 0;
            for (int64_t kh = 0; kh < s->pool[0]; kh++) {
                for (int64_t kw = 0; kw < s->pool[1]; kw++, here++) {
                    const float *v = first + (kh * s->width + kw) * lanes;
                    __builtin_prefetch(v + AHEAD);
#pragma omp simd
                    for (int64_t c = 0; c < lanes; c++) { /* masks: a choice would become a branch */
                        const int32_t more = !(v[c] <= top[c]) & (top[c] == top[c]); /* larger, or the first NaN */
                        const int32_t hit = -(more | ((where[c] == 255) & (v[c] == top[c])));
                        top[c] = hit ? v[c] : top[c];
                        where[c] = (here & hit) | (where[c] & ~hit);
                    }
                }
            }
            for (int64_t c = 0; c < lanes; c++) y[c] = top[c];
            for (int64_t c = 0; c < lanes; c++) place[c] = (uint8_t)(top[c] == top[c] ? where[c] : 255);
        }
    }
}

static void pool(const skv_pcw_pool *s, const float *x, float *y, uint8_t *place) {
    if (s->lanes == 16)
        pool_lanes(s, x, y, place, 16);
    else if (s->lanes == 8)
        pool_lanes(s, x, y, place, 8);
    else
        pool_lanes(s, x, y, place, 1);
}

#ifdef PCW_UNROLLED
#define GATHER_INLINE static inline __attribute__((always_inline))
#else
#define GATHER_INLINE static
#endif

/* Neighbours go to two sums in turns: one alone would wait for itself. */
GATHER_INLINE void gather_rows(const skv_pcw_window *s, const float *x, const float *d, const uint8_t *place,
                               float *sum, const int rows) {
    const int64_t lanes = s->lanes, width = s->width;
    PCW_VECTOR even[SKV_PCW_ROWS], odd[SKV_PCW_ROWS];
    for (int r = 0; r < rows; r++) {
        even[r] = PCW_LOAD(sum + r * SKV_PCW_LANES);
        odd[r] = PCW_SPREAD(0.0f);
    }
    for (int64_t oh = 0; oh < s->out[0]; oh++) {
        const float *line = x + oh * s->step[0];
        int64_t ow = 0;
        for (; ow + 2 <= s->out[1]; ow += 2, d += 2 * lanes, place += 2 * lanes, line += 2 * s->step[1]) {
            const float *a = line + s->offset[place[0]], *b = line + s->step[1] + s->offset[place[lanes]];
            const PCW_VECTOR da = PCW_SPREAD(d[0] * s->share[place[0]]),
                             db = PCW_SPREAD(d[lanes] * s->share[place[lanes]]);
            for (int r = 0; r < rows; r++) {
                even[r] = PCW_MULTIPLY_ADD(da, PCW_LOAD(a + r * width), even[r]);
                odd[r] = PCW_MULTIPLY_ADD(db, PCW_LOAD(b + r * width), odd[r]);
            }
        }
        for (; ow < s->out[1]; ow++, d += lanes, place += lanes, line += s->step[1]) {
            const float *a = line + s->offset[place[0]];
            const PCW_VECTOR da = PCW_SPREAD(d[0] * s->share[place[0]]);
            for (int r = 0; r < rows; r++) even[r] = PCW_MULTIPLY_ADD(da, PCW_LOAD(a + r * width), even[r]);
        }
    }
    for (int r = 0; r < rows; r++) PCW_STORE(sum + r * SKV_PCW_LANES, PCW_ADD(even[r], odd[r]));
}

#ifdef PCW_UNROLLED
#define ROWS(n)                              \
    case n:                                  \
        gather_rows(s, x, d, place, sum, n); \
        break;
#else
#define ROWS(n) case n:
#endif

static void gather(const skv_pcw_window *s, const float *x, const float *d, const uint8_t *place, float *sum) {
    switch (s->rows) {
        ROWS(1)
        ROWS(2)
        ROWS(3)
        ROWS(4)
        ROWS(5)
        ROWS(6)
        ROWS(7)
    default: gather_rows(s, x, d, place, sum, (int)s->rows); break;
    }
}

const skv_pcw_loops PCW_LOOPS = {pool, gather};
