/* Reducers with one number a slot: sums and extremes. */
#include "probe/slots.h"

#include <math.h>

#include "probe/loops.h"

enum { CHUNK = 1 << 12 };

size_t skv_slots_bytes(const skv_reduction *r) { return (size_t)r->slots * sizeof(double); }

void skv_slots_clear(const skv_reduction *r, double *slot) {
    for (int64_t i = 0; i < r->slots; i++) slot[i] = r->item->reducer->start;
}

skive_status skv_slots_open(skive_context *ctx, const skv_reduction *r, void **state) {
    double *slot = NULL;
    SKV_TRY(skv_alloc_array(ctx, (size_t)r->slots + 1, sizeof *slot, &slot));
    skv_slots_clear(r, slot);
    *state = slot;
    return SKIVE_OK;
}

/* One slot takes its numbers in chunks of a fixed length, so that the sum does not depend on anything else. */
static void add_to_one(const skv_reducer *reducer, double *slot, const float *x, size_t n) {
    for (size_t first = 0; first < n; first += CHUNK)
        reducer->add_slots(slot, 0, x + first, n - first < CHUNK ? n - first : CHUNK);
}

void skv_slots_add(const skv_reduction *r, double *slot, const float *x) {
    const skv_reducer *reducer = r->item->reducer;
    const size_t slots = (size_t)r->slots, inner = (size_t)r->inner;
    const size_t outer = (size_t)r->n / (slots * inner);
    for (size_t o = 0; o < outer; o++) {
        const float *row = x + o * slots * inner;
        if (inner == 1 && slots > 1) {
            reducer->add_slots(slot, 1, row, slots);
            continue;
        }
        for (size_t s = 0; s < slots; s++) add_to_one(reducer, slot + s, row + s * inner, inner);
    }
}

void skv_slots_add_range(const skv_reduction *r, double *slot, const float *x, const float *times, int64_t first,
                         int64_t last) {
    enum { PIECE = 1024 };
    float room[PIECE];
    for (int64_t at = first; at < last; at += PIECE) {
        const int64_t n = last - at < PIECE ? last - at : PIECE;
        for (int64_t i = 0; times && i < n; i++) room[i] = x[at + i] * times[at + i];
        r->item->reducer->add_slots(slot + at, 1, times ? room : x + at, (size_t)n);
    }
}

void skv_slots_join(const skv_reduction *r, double *into, double *part) {
    const skv_reducer *reducer = r->item->reducer;
    if (reducer->join_slots)
        reducer->join_slots(into, part, (size_t)r->slots);
    else
        for (int64_t i = 0; i < r->slots; i++) into[i] += part[i];
    skv_slots_clear(r, part);
}

/* ---- the records ---- */

static void sum(double *slot, size_t step, const float *x, size_t n) {
    skv_probe_loops_of(skv_cpu_isa())->sum(slot, step, x, n);
}

static void magnitudes(double *slot, size_t step, const float *x, size_t n) {
    skv_probe_loops_of(skv_cpu_isa())->magnitudes(slot, step, x, n);
}

static void squares(double *slot, size_t step, const float *x, size_t n) {
    skv_probe_loops_of(skv_cpu_isa())->squares(slot, step, x, n);
}

static void zeros(double *slot, size_t step, const float *x, size_t n) {
    skv_probe_loops_of(skv_cpu_isa())->zeros(slot, step, x, n);
}

static void least(double *slot, size_t step, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) slot[step * i] = (double)x[i] < slot[step * i] ? (double)x[i] : slot[step * i];
}

static void most(double *slot, size_t step, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) slot[step * i] = (double)x[i] > slot[step * i] ? (double)x[i] : slot[step * i];
}

static void join_least(double *into, const double *part, size_t n) {
    for (size_t i = 0; i < n; i++) into[i] = part[i] < into[i] ? part[i] : into[i];
}

static void join_most(double *into, const double *part, size_t n) {
    for (size_t i = 0; i < n; i++) into[i] = part[i] > into[i] ? part[i] : into[i];
}

const skv_reducer skv_reducer_sum = {.name = "sum", .brief = "sum", .add_slots = sum};
const skv_reducer skv_reducer_magnitudes = {
    .name = "magnitudes", .brief = "sum of magnitudes", .add_slots = magnitudes};
const skv_reducer skv_reducer_squares = {.name = "squares", .brief = "sum of squares", .add_slots = squares};
const skv_reducer skv_reducer_zeros = {
    .name = "zeros", .brief = "how many are zero", .exact = true, .add_slots = zeros};
const skv_reducer skv_reducer_least = {.name = "least",
                                       .brief = "smallest",
                                       .exact = true,
                                       .add_slots = least,
                                       .join_slots = join_least,
                                       .start = INFINITY};
const skv_reducer skv_reducer_most = {
    .name = "most", .brief = "largest", .exact = true, .add_slots = most, .join_slots = join_most, .start = -INFINITY};
