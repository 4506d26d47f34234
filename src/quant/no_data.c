/* Ranges of activations without samples: what the statistics of BatchNormalization and the activation functions tell
 * (data-free quantization, Nagel et al. 2019). */
#include <math.h>

#include "data/feed.h"
#include "graph/meta_keys.h"
#include "quant/equalize.h"

/* ---- the model's inputs ---- */

/* Of bytes that are scaled and normalised as the model's metadata say. */
static skive_status range_of_metadata(const skive_graph *g, double *low, double *high, bool *known) {
    const char *mean = skv_input_meta(g, 0, SKV_META_INPUT_MEAN), *scale = skv_input_meta(g, 0, SKV_META_INPUT_SCALE);
    skive_normalization n;
    double factor = 1.0 / 255;
    *known = mean || scale;
    if (!*known) return SKIVE_OK;
    SKV_TRY(skv_input_normalization(g, 0, &n));
    if (scale && !skv_parse_scale(scale, &factor)) factor = 1.0 / 255;
    *low = n.channels ? INFINITY : 0;
    *high = n.channels ? -INFINITY : 255 * factor;
    for (int64_t c = 0; c < n.channels; c++) {
        const double from = -(double)n.mean[c] / (double)n.std[c];
        const double to = (255 * factor - (double)n.mean[c]) / (double)n.std[c];
        if (from < *low) *low = from;
        if (to > *high) *high = to;
    }
    skive_normalization_free(g->ctx, &n);
    return SKIVE_OK;
}

skive_status skv_quant_input_range(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o,
                                   double *low, double *high) {
    bool known = false;
    *low = o->input_low;
    *high = o->input_high;
    if (o->input_low != 0 || o->input_high != 0) {
        if (isfinite(*low) && isfinite(*high) && *low < *high) return SKIVE_OK;
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "input-low",
                           "the range of the inputs is %g to %g; its low end must be below its high end", *low, *high);
    }
    SKV_TRY(range_of_metadata(g, low, high, &known));
    if (known) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, "input-low",
                       "without samples the range of the model's inputs must be known: its metadata say no "
                       "normalisation; give the least and the largest number (--input-low, --input-high)");
}

/* ---- the points ---- */

static skive_status unknown(skive_context *ctx, const skive_value *v, const skv_normals *normals) {
    if (normals->n == 0)
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, v->name,
                           "ranges without samples come from the statistics of BatchNormalization, and the model has "
                           "none (they may have been folded into the weights already): give samples (--data)");
    return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, v->name,
                       "the range of value '%s' (of %s) cannot be known without samples: no statistics of a "
                       "BatchNormalization reach it; give samples (--data), or leave the nodes that read it in float "
                       "(--skip)",
                       v->name, v->producer ? v->producer->op_type : "the inputs");
}

skive_status skv_quant_ranges_without_data(skive_context *ctx, const skive_graph *g, const skv_moments *m,
                                           const skv_normals *normals, skv_points *points, double (*range)[2]) {
    (void)g;
    if (normals->n == 0 && points->n > 0) return unknown(ctx, points->items[0].value, normals);
    for (size_t k = 0; k < points->n; k++) {
        skv_point *p = &points->items[k];
        const skv_moments *of = &m[p->value->id];
        if (p->source != k) continue;
        if (of->n == 0 || !isfinite(of->from) || !isfinite(of->to)) return unknown(ctx, p->value, normals);
        range[k][0] = p->seen.low = of->from;
        range[k][1] = p->seen.high = of->to;
    }
    return SKIVE_OK;
}
