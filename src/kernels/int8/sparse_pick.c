/* Weights of sparse integer layers for loops in which each output channel picks its own inputs (sparse.h): how many
 * steps a pattern takes, and how they stand in memory. */
#include "kernels/int8/sparse.h"

#include <string.h>

/* Numbers of a chunk of 16 bytes, and how many of them a lane takes in a step. */
static int64_t chunk_of(const skv_q8_sparse_loops *l) { return l->wide ? SKV_Q8_TURNED / 2 : SKV_Q8_TURNED; }
static int64_t taken_of(const skv_q8_sparse_loops *l) { return l->wide ? 2 : 4; }

/* Where weight number i of a row, counted with the channels inside, stands in it. */
static int64_t place(const skv_q8_pattern *p, int64_t i) {
    const int64_t window = p->k / p->c;
    return i % p->c * window + i / p->c;
}

static int64_t steps_of_chunk(const skv_q8_sparse_loops *l, const skv_q8_pattern *p, int64_t block, int64_t from) {
    const int64_t to = from + chunk_of(l) < p->k ? from + chunk_of(l) : p->k;
    int64_t most = 0;
    for (int64_t row = block * l->lanes; row < (block + 1) * l->lanes && row < p->m; row++) {
        int64_t used = 0;
        for (int64_t i = from; i < to; i++) used += p->w[row * p->k + place(p, i)] != 0;
        const int64_t steps = (used + taken_of(l) - 1) / taken_of(l);
        most = steps > most ? steps : most;
    }
    return most;
}

size_t skv_q8_pick_steps(const skv_q8_sparse_loops *l, const skv_q8_pattern *p, int64_t block) {
    int64_t steps = 0;
    for (int64_t from = 0; from < p->k; from += chunk_of(l)) steps += steps_of_chunk(l, p, block, from);
    return (size_t)steps;
}

/* The weights of one lane in the steps of one chunk, four bytes of each step. */
static void pack_lane(const skv_q8_sparse_loops *l, const skv_q8_pattern *p, int64_t row, int64_t from, uint8_t *pick,
                      char *w) {
    const int64_t to = from + chunk_of(l) < p->k ? from + chunk_of(l) : p->k, taken = taken_of(l);
    const size_t apart = 4 * (size_t)l->lanes;
    int64_t n = 0;
    for (int64_t i = from; i < to; i++) {
        const int8_t v = p->w[row * p->k + place(p, i)];
        const size_t step = (size_t)(n / taken) * apart, slot = (size_t)(n % taken);
        if (v == 0) continue;
        if (l->wide) {
            const int16_t wide = v;
            memcpy(w + step + 2 * slot, &wide, sizeof wide);
            pick[step + 2 * slot] = (uint8_t)(2 * (i - from));
            pick[step + 2 * slot + 1] = (uint8_t)(2 * (i - from) + 1);
        } else {
            memcpy(w + step + slot, &v, 1);
            pick[step + slot] = (uint8_t)(i - from);
        }
        n++;
    }
}

void skv_q8_pick_pack(const skv_q8_sparse_loops *l, const skv_q8_pattern *p, int64_t block, uint32_t *at, uint8_t *pick,
                      char *w) {
    const size_t apart = 4 * (size_t)l->lanes;
    for (int64_t from = 0; from < p->k; from += chunk_of(l)) {
        const int64_t steps = steps_of_chunk(l, p, block, from);
        for (int64_t s = 0; s < steps; s++) *at++ = (uint32_t)(from / chunk_of(l) * SKV_Q8_TURNED);
        for (int64_t lane = 0; lane < l->lanes && block * l->lanes + lane < p->m; lane++)
            pack_lane(l, p, block * l->lanes + lane, from, pick + 4 * lane, w + 4 * lane);
        pick += (size_t)steps * apart;
        w += (size_t)steps * apart;
    }
}
