/* The depthwise convolution, for one instruction set. The including file defines
 *   DEPTHWISE_LOOPS      the table's name
 *   VECTOR, LANES        a vector of floats
 *   LOAD(p) STORE(p, v)  unaligned
 *   MULTIPLY_ADD(a, b, c)
 * Blocks of four positions by two vectors of channels keep eight sums in registers. Channels that fill no whole vector
 * are computed with the last whole one, of which a part is then computed twice. */
#include "kernels/depthwise.h"
#include "kernels/unroll.h"

enum { BLOCK_POSITIONS = 4 };

SKV_INLINE void block(const skv_depthwise_run *r, const int positions, const int vectors, int64_t at, int64_t c) {
    VECTOR sum[BLOCK_POSITIONS][2];
    SKV_UNROLL
    for (int p = 0; p < positions; p++) {
        SKV_UNROLL
        for (int v = 0; v < vectors; v++) sum[p][v] = LOAD(r->bias + c + v * LANES);
    }
    for (size_t t = 0; t < r->taps; t++) {
        const float *x = r->x[t] + at * r->x_step + c, *w = r->w[t] + c;
        SKV_UNROLL
        for (int v = 0; v < vectors; v++) {
            const VECTOR by = LOAD(w + v * LANES);
            SKV_UNROLL
            for (int p = 0; p < positions; p++)
                sum[p][v] = MULTIPLY_ADD(LOAD(x + p * r->x_step + v * LANES), by, sum[p][v]);
        }
    }
    SKV_UNROLL
    for (int p = 0; p < positions; p++) {
        SKV_UNROLL
        for (int v = 0; v < vectors; v++) STORE(r->y + (at + p) * r->channels + c + v * LANES, sum[p][v]);
    }
}

SKV_INLINE void blocks(const skv_depthwise_run *r, const int vectors, int64_t c) {
    int64_t at = 0;
    for (; at + BLOCK_POSITIONS <= r->positions; at += BLOCK_POSITIONS) block(r, BLOCK_POSITIONS, vectors, at, c);
    for (; at < r->positions; at++) block(r, 1, vectors, at, c);
}

static void few_channels(const skv_depthwise_run *r) {
    for (int64_t at = 0; at < r->positions; at++) {
        for (int64_t c = 0; c < r->channels; c++) {
            float sum = r->bias[c];
            for (size_t t = 0; t < r->taps; t++) sum += r->x[t][at * r->x_step + c] * r->w[t][c];
            r->y[at * r->channels + c] = sum;
        }
    }
}

static void run(const skv_depthwise_run *r) {
    int64_t c = 0;
    if (r->channels < LANES) {
        few_channels(r);
        return;
    }
    for (; c + 2 * LANES <= r->channels; c += 2 * LANES) blocks(r, 2, c);
    for (; c + LANES <= r->channels; c += LANES) blocks(r, 1, c);
    if (c < r->channels) blocks(r, 1, r->channels - LANES);
}

SKV_INLINE void sum_block(const skv_depthwise_sums *s, const int vectors, int64_t c) {
    VECTOR sum[4];
    SKV_UNROLL
    for (int v = 0; v < vectors; v++) sum[v] = LOAD(s->dw + c + v * LANES);
    const float *x = s->x + c, *dy = s->dy + c;
    for (int64_t p = 0; p < s->positions; p++, x += s->x_step, dy += s->channels) {
        SKV_UNROLL
        for (int v = 0; v < vectors; v++) sum[v] = MULTIPLY_ADD(LOAD(x + v * LANES), LOAD(dy + v * LANES), sum[v]);
    }
    SKV_UNROLL
    for (int v = 0; v < vectors; v++) STORE(s->dw + c + v * LANES, sum[v]);
}

static void sums(const skv_depthwise_sums *s) {
    int64_t c = 0;
    for (; c + 4 * LANES <= s->channels; c += 4 * LANES) sum_block(s, 4, c);
    for (; c + LANES <= s->channels; c += LANES) sum_block(s, 1, c);
    for (int64_t p = 0; p < s->positions && c < s->channels; p++)
        for (int64_t i = c; i < s->channels; i++) s->dw[i] += s->x[p * s->x_step + i] * s->dy[p * s->channels + i];
}

const skv_depthwise_loops DEPTHWISE_LOOPS = {run, sums};
