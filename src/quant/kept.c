/* The runs whose inputs are kept to be run again: some that are held out of the calibration, to check its result, and
 * some that take part, to choose ranges. The latter include those with the largest inputs: clipping does its harm
 * there, and a few random samples lack them. */
#include <math.h>

#include "quant/quant.h"
#include "tensor/tensor.h"

enum { HOLD_ONE_IN = 8, HOLD_FIRST = 3, MOST_HELD = 64, MOST_REGULAR = 6, MOST_LOUD = 4 };

static void forget_run(skive_context *ctx, const skive_graph *g, skv_kept_run *r) {
    for (uint32_t i = 0; r->inputs && i < g->n_inputs; i++) skive_tensor_free(ctx, &r->inputs[i]);
    for (uint32_t i = 0; r->outputs && i < g->n_outputs; i++) skive_tensor_free(ctx, &r->outputs[i]);
    skv_free(ctx, r->inputs);
    skv_free(ctx, r->outputs);
}

static void forget(skive_context *ctx, const skive_graph *g, skv_kept *k) {
    for (size_t i = 0; i < k->n; i++) forget_run(ctx, g, &k->runs[i]);
    skv_free(ctx, k->runs);
    *k = (skv_kept){0};
}

void skv_calibration_data_free(skive_context *ctx, const skive_graph *g, skv_calibration_data *d) {
    if (!g) return;
    forget(ctx, g, &d->check);
    forget(ctx, g, &d->probe);
}

static skive_status fill(skive_context *ctx, const skive_graph *g, const skive_tensor *inputs, skv_kept_run *r) {
    SKV_TRY(skv_alloc_array(ctx, (size_t)g->n_inputs + 1, sizeof *r->inputs, &r->inputs));
    for (uint32_t i = 0; i < g->n_inputs; i++) SKV_TRY(skive_tensor_copy(ctx, &inputs[i], &r->inputs[i]));
    return SKIVE_OK;
}

static skive_status keep(skive_context *ctx, const skive_graph *g, const skv_kept_run *like, const skive_tensor *inputs,
                         skv_kept *k) {
    SKV_TRY(skv_grow(ctx, &k->runs, k->n, k->n + 1, sizeof *k->runs));
    k->runs[k->n] = *like;
    k->n++;
    for (uint32_t i = 0; i < g->n_inputs; i++) k->bytes += skive_tensor_bytes(&inputs[i]);
    return fill(ctx, g, inputs, &k->runs[k->n - 1]);
}

static bool has_room(const skv_kept *k, size_t most) {
    return k->n == 0 || (k->n < most && k->bytes + k->bytes / k->n <= SKV_MOST_KEPT);
}

/* The largest magnitudes of the float inputs, as the sum of their logarithms. */
static double loudness(const skive_graph *g, const skive_tensor *inputs) {
    double sum = 0;
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        float top = 1e-30f;
        if (inputs[i].dtype != SKIVE_F32) continue;
        const float *x = inputs[i].data;
        const int64_t n = skive_tensor_count(&inputs[i]);
#pragma omp simd reduction(max : top)
        for (int64_t k = 0; k < n; k++) {
            const float m = fabsf(x[k]);
            top = m > top ? m : top;
        }
        sum += log((double)top);
    }
    return sum;
}

/* Replaces the one with the smallest inputs among those kept for their large inputs. */
static skive_status keep_loud(skive_context *ctx, const skive_graph *g, const skv_kept_run *run,
                              const skive_tensor *inputs, skv_kept *k) {
    skv_kept_run *least = NULL;
    size_t loud = 0;
    for (size_t i = 0; i < k->n; i++) {
        skv_kept_run *r = &k->runs[i];
        if (!r->loud) continue;
        loud++;
        if (!least || r->loudness < least->loudness) least = r;
    }
    if (loud < MOST_LOUD && has_room(k, MOST_REGULAR + MOST_LOUD)) return keep(ctx, g, run, inputs, k);
    if (!least || run->loudness <= least->loudness) return SKIVE_OK;
    forget_run(ctx, g, least);
    *least = *run;
    return fill(ctx, g, inputs, least);
}

void skv_quant_start_sorting(skv_calibration_data *d, int64_t runs) {
    d->hold_one_in = runs / MOST_HELD > HOLD_ONE_IN ? runs / MOST_HELD : HOLD_ONE_IN;
}

bool skv_quant_holds_out(const skv_calibration_data *d, int64_t run) { return run % d->hold_one_in == HOLD_FIRST; }

/* Until a run can be held out, the first ones are used instead. */
skive_status skv_quant_sort_run(skive_context *ctx, const skive_graph *g, int64_t index, const skive_tensor *inputs,
                                skv_calibration_data *d, bool *calibrates) {
    skv_kept_run run = {.index = index};
    *calibrates = true;
    if (skv_quant_holds_out(d, index) && (!d->held_out || has_room(&d->check, MOST_HELD))) {
        if (!d->held_out) forget(ctx, g, &d->check);
        d->held_out = true;
        *calibrates = false;
        return keep(ctx, g, &run, inputs, &d->check);
    }
    if (!d->held_out && has_room(&d->check, HOLD_FIRST)) SKV_TRY(keep(ctx, g, &run, inputs, &d->check));
    if ((index < 2 || index % d->hold_one_in == 0) && d->regular < MOST_REGULAR &&
        has_room(&d->probe, MOST_REGULAR + MOST_LOUD)) {
        d->regular++;
        return keep(ctx, g, &run, inputs, &d->probe);
    }
    run.loud = true;
    run.loudness = loudness(g, inputs);
    return keep_loud(ctx, g, &run, inputs, &d->probe);
}
