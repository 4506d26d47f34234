/* Tiles of 6 positions by 16 channels on 256-bit registers: 16-bit numbers and vpmaddwd, which is exact. */
#if defined(__AVX2__)
#include <immintrin.h>
#include <string.h>

#include "kernels/int8/int8.h"

enum { MR = 6, NR = 16 };
#define ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)

#include "kernels/int8/gemm_vector256.h"

static inline vector multiply_add(vector acc, vector x, vector w) {
    return _mm256_add_epi32(acc, _mm256_madd_epi16(x, w));
}

#include "kernels/int8/gemm_store256.h"
#include "kernels/int8/gemm_tile.h"

#define HALF_OF(n) \
    static __attribute__((noinline)) void half_##n(const skv_q8_tile *t) { body_of(t, n, 1); }
#define HALF_ENTRY(n) half_##n,
ROWS(HALF_OF)

/* Few channels, or the last ones, often fill half a panel only. */
static void either_tile(const skv_q8_tile *t) {
    static void (*const by_rows[])(const skv_q8_tile *) = {ROWS(HALF_ENTRY)};
    if (t->columns > NR / 2)
        tile(t);
    else
        by_rows[t->rows - 1](t);
}

static const skv_q8_gemm gemm = {.mr = MR, .nr = NR, .k_group = 2, .wide = true, .tile = either_tile, .copy = copy};
const skv_q8_gemm *skv_q8_gemm_avx2(void) { return &gemm; }

/* For one or two rows: large weights come from memory, and as bytes there are half as many. */
enum { FEW = 2 };

static inline __attribute__((always_inline)) void narrow_body(const skv_q8_tile *t, const int rows) {
    vector acc[FEW][2];
    for (int r = 0; r < rows; r++) {
        acc[r][0] = load_vector(t->init);
        acc[r][1] = load_vector(t->init + NR / 2);
    }
    const char *b = t->b, *x[FEW] = {t->a[0], t->a[rows - 1]};
    for (size_t k = 0; k < t->groups; k++, b += 2 * NR) {
        const vector b0 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)b));
        const vector b1 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)(b + NR)));
        for (int r = 0; r < rows; r++) {
            const vector v = broadcast4(x[r] + k * STEP_BYTES);
            acc[r][0] = multiply_add(acc[r][0], v, b0);
            acc[r][1] = multiply_add(acc[r][1], v, b1);
        }
    }
    store(t, rows, acc);
}

static void narrow_tile(const skv_q8_tile *t) {
    if (t->rows == 1)
        narrow_body(t, 1);
    else
        narrow_body(t, FEW);
}

static const skv_q8_gemm narrow = {
    .mr = FEW, .nr = NR, .k_group = 2, .wide = true, .narrow = true, .tile = narrow_tile, .copy = copy};
const skv_q8_gemm *skv_q8_gemm_avx2_narrow(void) { return &narrow; }
#endif
