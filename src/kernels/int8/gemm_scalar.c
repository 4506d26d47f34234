/* Tiles of 4 positions by 4 channels in plain C. */
#include "kernels/int8/int8.h"

enum { MR = 4, NR = 4 };

static void store(const skv_q8_tile *t, size_t row, const int32_t *acc) {
    char *y = (char *)t->y + t->y_at[row];
    for (size_t c = 0; c < t->columns; c++) {
        if (t->out->sums) {
            ((int32_t *)(void *)y)[c] = acc[c];
            continue;
        }
        float v = (float)acc[c] * t->multiplier[c];
        if (t->out->real) {
            ((float *)(void *)y)[c] = v;
            continue;
        }
        if (t->out->adds) {
            const skv_q8_sum *sum = &t->out->sum;
            const uint8_t other = t->other[t->y_at[row] + c];
            const int32_t r = (int32_t)rintf(v), own = r < sum->least ? sum->least : r > sum->most ? sum->most : r;
            const float mine = (float)own * sum->mine, theirs = (float)(other - sum->zero) * sum->theirs;
            v = mine + theirs;
        }
        const float lo = (float)((int32_t)t->out->lo - t->out->zero);
        v = v > lo ? v : lo;
        v = v < t->out->limit ? v : t->out->limit;
        ((uint8_t *)y)[c] = (uint8_t)((uint8_t)((int32_t)rintf(v) + t->out->zero) ^ t->out->flip);
    }
}

static void tile(const skv_q8_tile *t) {
    int32_t acc[MR][NR];
    for (size_t r = 0; r < t->rows; r++)
        for (int c = 0; c < NR; c++) acc[r][c] = t->init[c];
    for (size_t tap = 0; tap < t->taps; tap++) {
        const int16_t *b = (const int16_t *)(const void *)((const char *)t->b + t->tap_at[tap]);
        for (size_t r = 0; r < t->rows; r++) {
            const int16_t *a = t->a[tap * t->rows + r];
            int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
            for (size_t g = 0; g < t->groups; g++) {
                const int16_t *w = b + g * 2 * NR;
                const int32_t a0 = a[2 * g], a1 = a[2 * g + 1];
                s0 += a0 * w[0] + a1 * w[1];
                s1 += a0 * w[2] + a1 * w[3];
                s2 += a0 * w[4] + a1 * w[5];
                s3 += a0 * w[6] + a1 * w[7];
            }
            acc[r][0] += s0;
            acc[r][1] += s1;
            acc[r][2] += s2;
            acc[r][3] += s3;
        }
    }
    for (size_t r = 0; r < t->rows; r++) store(t, r, acc[r]);
}

static void copy(void *row, size_t at, const uint8_t *x, size_t n, int32_t zero) {
    int16_t *to = (int16_t *)row + at;
    for (size_t i = 0; i < n; i++) to[i] = (int16_t)(x[i] - zero);
}

static const skv_q8_gemm gemm = {.mr = MR, .nr = NR, .k_group = 2, .wide = true, .tile = tile, .copy = copy};
const skv_q8_gemm *skv_q8_gemm_scalar(void) { return &gemm; }
