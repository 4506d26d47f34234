/* AWQ (Lin, Tang, Tang, Yang, Dang & Han 2023): channels of a layer's inputs with large activations get finer steps.
 * They are divided by s = mean|x|^alpha, and their weights multiplied by it, where what lies before the layer passes
 * such factors through; alpha is searched for each layer by the error of its outputs (migrate.c). Then each scale is
 * made smaller, by the factor from 1 to 0.5 with which the outputs come nearest to those of the float weights: a few
 * large weights are clipped, and all others get finer steps. Weights are rounded to the nearest. */
#include <string.h>

#include "quant/rounding.h"

enum { RATIOS = 11, CLIP_ROWS = 256 };

static const skv_option options[] = {
    {.name = "clip",
     .type = SKV_OPTION_SWITCH,
     .fallback = 1,
     .brief = "scales are made smaller where the outputs gain by it"},
};

static float ratio_of(int i) { return 1.0f - 0.05f * (float)i; }

static int32_t code_at(const skv_rounding_task *t, const skv_grid_params *p, int64_t at) {
    return skv_grid_encode(&t->grid->q, p, t->w[at]);
}

/* The squared error, over some rows of inputs, of numbers from..to of the weights of one output with these
 * parameters. */
static double error_of(const skv_rounding_task *t, const skv_grid_params *p, int64_t o, int64_t from, int64_t to) {
    const int64_t rows = t->n < CLIP_ROWS ? t->n : CLIP_ROWS;
    double sum[CLIP_ROWS] = {0}, all = 0;
    for (int64_t i = from; i < to; i++) {
        const int64_t at = o * t->k + i;
        const double e = (double)skv_grid_decode(&t->grid->q, p, code_at(t, p, at)) - (double)t->w[at];
        for (int64_t r = 0; e != 0 && r < rows; r++) sum[r] += e * (double)t->x[r * t->n / rows * t->k + i];
    }
    for (int64_t r = 0; r < rows; r++) all += sum[r] * sum[r];
    return all;
}

static skv_grid_params with_ratio(const skv_grid_params *p, int i) {
    skv_grid_params q = *p;
    q.scale *= ratio_of(i);
    return q;
}

/* The scale of numbers from..to of outputs first..last. */
static void clip(const skv_rounding_task *t, int64_t first, int64_t last, int64_t from, int64_t to) {
    skv_grid_params *p = &t->params[t->group[first * t->k + from]];
    double least = 0;
    int best = 0;
    for (int i = 0; i < RATIOS; i++) {
        const skv_grid_params q = with_ratio(p, i);
        double error = 0;
        for (int64_t o = first; o < last; o++) error += error_of(t, &q, o, from, to);
        if (i > 0 && !(error < least)) continue;
        least = error;
        best = i;
    }
    if (best == 0 || !(p->scale * ratio_of(best) > 0)) return;
    *p = with_ratio(p, best);
    for (int64_t o = first; o < last; o++)
        for (int64_t i = from; i < to; i++) t->code[o * t->k + i] = code_at(t, p, o * t->k + i);
}

static skive_status round_clipped(const skv_rounding_task *t) {
    if (!skv_option_on(t->values, "clip") || !t->grid->q.grid->scaled || t->n == 0) return SKIVE_OK;
    if (t->grid->q.per == SKV_PER_TENSOR) {
        if (t->out * t->k == skive_tensor_count(t->grid->t)) clip(t, 0, t->out, 0, t->k); /* the layer has one group */
        return SKIVE_OK;
    }
#pragma omp parallel for num_threads(skv_threads(t->ctx)) schedule(dynamic)
    for (int64_t o = 0; o < t->out; o++) {
        const int64_t *group = t->group + o * t->k;
        for (int64_t from = 0, to = 0; from < t->k; from = to) {
            while (to < t->k && group[to] == group[from]) to++;
            clip(t, o, o + 1, from, to);
        }
    }
    return SKIVE_OK;
}

const skv_rounding skv_rounding_awq = {
    .name = "awq",
    .brief = "factors that make steps finer where activations are large, and clipped scales; then the nearest",
    SKV_OPTIONS(options),
    .migrates = true,
    .step = "awq-clip",
    .round = round_clipped,
};
