/* Writing the quantized graph: Q/DQ pairs at the points, integer weights and biases behind DequantizeLinear. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/weights.h"
#include "quant/gridded.h"
#include "quant/powers.h"
#include "quant/quant.h"
#include "quant/loops.h"
#include "quant/target.h"
#include "tensor/grid_whole.h"

/* All readers of a point's value read what it is on the grid. */
static skive_status insert_pair(skv_builder *b, const skv_point *p) {
    const uint32_t before = p->value->n_uses;
    skive_value *rounded = skv_emit_rounded(b, &p->q, &p->grid, p->value);
    SKV_TRY(b->status);
    return skv_value_replace_first_uses(p->value, before, rounded);
}

/* Output channels of a weight, seen as [outer][n][inner]. */
typedef struct channels {
    int axis;
    int64_t outer, n, inner;
} channels;

static channels channels_of(const skive_node *n, const skive_tensor *w) {
    channels c = {.axis = 0, .outer = 1, .inner = 1};
    skv_weight_view view;
    if (skv_weight_view_of(n, 1, &view) && view.out_axis >= 0) c.axis = view.out_axis;
    c.n = w->dims[c.axis];
    for (int d = 0; d < c.axis; d++) c.outer *= w->dims[d];
    for (int d = c.axis + 1; d < w->rank; d++) c.inner *= w->dims[d];
    return c;
}

static void scales_of(const skive_tensor *w, const channels *c, const skv_quantizer *grid, float *scale) {
    const skv_quant_loops *loops = skv_quant_loops_of(skv_cpu_isa());
    const float *x = w->data;
    for (int64_t k = 0; k < c->n; k++) scale[k] = 0;
    for (int64_t o = 0; o < c->outer; o++) {
        for (int64_t k = 0; k < c->n; k++, x += c->inner) scale[k] = loops->magnitude(x, (size_t)c->inner, scale[k]);
    }
    float top = 0;
    for (int64_t k = 0; k < c->n; k++) top = scale[k] > top ? scale[k] : top;
    for (int64_t k = 0; k < c->n; k++) {
        const double most = (double)(grid->per == SKV_PER_CHANNEL ? scale[k] : top);
        skv_grid_params p;
        grid->grid->solve_range(grid, -most, most, &p);
        scale[k] = p.scale;
    }
}

/* A larger scale if the bias, in steps of input scale times weight scale, would exceed int32: channels with almost no
 * weight, which trained depthwise networks have. A quarter of the range is reserved for the products. */
static void widen_for_bias(const skive_tensor *bias, float input_scale, int64_t n, bool per_channel, float *scale) {
    const double most = 1 << 29;
    double least = 0;
    for (int64_t k = 0; k < n; k++) {
        const double need = fabs((double)((const float *)bias->data)[k]) / ((double)input_scale * most);
        least = need > least ? need : least;
        if (per_channel && need > (double)scale[k]) scale[k] = (float)need;
    }
    for (int64_t k = 0; !per_channel && k < n; k++) scale[k] = least > (double)scale[k] ? (float)least : scale[k];
}

static double quantize_weights(const skive_tensor *w, const channels *c, const skv_quantizer *grid, const float *scale,
                               int8_t *q) {
    const skv_quant_loops *loops = skv_quant_loops_of(skv_cpu_isa());
    const float *x = w->data, low = (float)grid->low, high = (float)grid->high;
    double power = 0, error = 0;
    for (int64_t o = 0; o < c->outer; o++) {
        if (c->inner == 1) { /* the channels are interleaved */
            loops->quantize(x, (size_t)c->n, scale, 1, low, high, q, &power, &error);
            x += c->n;
            q += c->n;
            continue;
        }
        for (int64_t k = 0; k < c->n; k++, x += c->inner, q += c->inner) {
            loops->quantize(x, (size_t)c->inner, &scale[k], 0, low, high, q, &power, &error);
        }
    }
    return error > 0 ? 10 * log10(power / error) : INFINITY;
}

/* A weight quantized once, for all nodes that share it along the same axis. */
static skive_status weight_pair(skv_builder *b, skive_node *n, const skv_point *input, bool per_channel,
                                skive_quantize_report *report, const float **scales, int64_t *n_scales) {
    skive_context *ctx = b->graph->ctx;
    skive_value *w = skv_quant_parameter(n, 1);
    const skive_tensor *t = skv_value_tensor(w);
    skv_storage *q = NULL, *s = NULL;
    char name[256];
    const channels of = channels_of(n, t), *c = &of;
    const int64_t count = per_channel ? c->n : 1;
    const skive_tensor *bias = skv_value_tensor(skv_quant_parameter(n, 2));
    const skv_quantizer grid = skv_quant_weights(per_channel);
    SKV_TRY(skv_storage_create(ctx, grid.grid->dtype, t->rank, t->dims, &q));
    skive_status status = skv_storage_create(ctx, SKIVE_F32, per_channel ? 1 : 0, &c->n, &s);
    if (status != SKIVE_OK) {
        skv_storage_release(q);
        return status;
    }
    float *all = NULL;
    status = skv_arena_array(b->graph->arena, (size_t)c->n + 1, sizeof *all, &all);
    if (status != SKIVE_OK) {
        skv_storage_release(q);
        skv_storage_release(s);
        return status;
    }
    scales_of(t, c, &grid, all);
    if (bias && input && input->q.grid->uniform && skive_tensor_count(bias) == c->n)
        widen_for_bias(bias, input->grid.scale, c->n, per_channel, all);
    memcpy(s->tensor.data, all, (size_t)count * sizeof *all);
    float top = 0;
    for (int64_t k = 0; k < c->n; k++) top = all[k] > top ? all[k] : top;
    const skive_quantize_row row = {.is_parameter = true,
                                    .grid = grid.grid->name,
                                    .scale = (double)top,
                                    .lo = (double)grid.low * (double)top,
                                    .hi = (double)grid.high * (double)top,
                                    .sqnr = quantize_weights(t, c, &grid, all, q->tensor.data)};
    status = skv_quant_add_row(ctx, report, &row, w->name);
    if (status != SKIVE_OK) {
        skv_storage_release(q);
        skv_storage_release(s);
        return status;
    }
    snprintf(name, sizeof name, "%.*s_quantized", skv_utf8_prefix(w->name, 230), w->name);
    skive_value *integer = skv_emit_param(b, skive_graph_find_value(b->graph, name) ? NULL : name, q);
    skive_value *scale = skv_emit_param(b, NULL, s);
    skive_value *dq = per_channel
                          ? skv_emit(b, "DequantizeLinear", SKV_IN(integer, scale), SKV_ATTRS(SKV_INT("axis", c->axis)))
                          : skv_emit(b, "DequantizeLinear", SKV_IN(integer, scale), SKV_NONE);
    SKV_TRY(b->status);
    *scales = all;
    *n_scales = count;
    return skv_node_set_input(n, 1, dq);
}

/* Bias in steps of input scale times weight scale, the unit of the accumulator. */
static skive_status bias_pair(skv_builder *b, skive_node *n, float input_scale, const float *scales, int64_t n_scales) {
    skive_context *ctx = b->graph->ctx;
    const skive_value *bias = skv_quant_parameter(n, 2);
    const skive_tensor *t = skv_value_tensor(bias);
    const int64_t count = skive_tensor_count(t);
    skv_storage *q = NULL, *s = NULL;
    char name[256];
    int64_t clipped = 0;
    SKV_TRY(skv_storage_create(ctx, SKIVE_I32, 1, &count, &q));
    const skive_status status = skv_storage_create(ctx, SKIVE_F32, n_scales > 1 ? 1 : 0, &n_scales, &s);
    if (status != SKIVE_OK) {
        skv_storage_release(q);
        return status;
    }
    for (int64_t i = 0; i < count; i++) {
        const float step = input_scale * scales[n_scales > 1 ? i : 0];
        const double r = rint((double)((const float *)t->data)[i] / (double)step), limit = 2147483647.0;
        clipped += r > limit || r < -limit;
        ((int32_t *)q->tensor.data)[i] = (int32_t)(r < -limit ? -limit : r > limit ? limit : r);
    }
    for (int64_t i = 0; i < n_scales; i++) ((float *)s->tensor.data)[i] = input_scale * scales[i];
    if (clipped) {
        skv_note(ctx, "node '%s': %lld biases exceed the range of their scale and were clipped", n->name,
                 (long long)clipped);
    }
    snprintf(name, sizeof name, "%.*s_quantized", skv_utf8_prefix(bias->name, 230), bias->name);
    skive_value *integer = skv_emit_param(b, skive_graph_find_value(b->graph, name) ? NULL : name, q);
    skive_value *scale = skv_emit_param(b, NULL, s);
    skive_value *dq = n_scales > 1
                          ? skv_emit(b, "DequantizeLinear", SKV_IN(integer, scale), SKV_ATTRS(SKV_INT("axis", 0)))
                          : skv_emit(b, "DequantizeLinear", SKV_IN(integer, scale), SKV_NONE);
    SKV_TRY(b->status);
    return skv_node_set_input(n, 2, dq);
}

/* ---- weights on other grids ---- */

skive_status skv_quant_weights_make(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o,
                                    const bool *chosen, const skv_quantizer *all, skv_points *points) {
    SKV_TRY(skv_alloc_array(ctx, (size_t)g->n_nodes + 1, sizeof *points->weights, &points->weights));
    points->n_weights = g->n_nodes;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        skv_weight_view view;
        skv_gridded *c = &points->weights[i];
        if (!chosen[i] || !skv_quant_is_product(n) || !skv_weight_view_of(n, 1, &view)) continue;
        skv_quantizer own = *all, *q = &own;
        const char *choice = skv_quant_choice(o, n->inputs[1]->name);
        if (choice) SKV_TRY(skv_quantizer_parse(ctx, choice, q));
        SKV_TRY(skv_quant_power(ctx, o, choice ? choice : "weights", q));
        if (skv_quant_target_per_tensor(o, n)) q->per = SKV_PER_TENSOR;
        SKV_TRY(skv_gridded_check_zeros(skv_quant_parameter(n, 1), q));
        skv_gridded_lay_out(c, q, &view, skv_value_tensor(skv_quant_parameter(n, 1)));
        SKV_TRY(skv_gridded_make(ctx, c));
        if (q->per == SKV_PER_GROUP && c->q.per != SKV_PER_GROUP)
            skv_note(ctx, "weight '%s' is no matrix: it has one scale for each output channel, not one for each group",
                     n->inputs[1]->name);
    }
    return SKIVE_OK;
}

void skv_quant_weights_free(skive_context *ctx, skv_points *points) {
    for (uint32_t i = 0; points->weights && i < points->n_weights; i++) skv_gridded_free(ctx, &points->weights[i]);
    skv_free(ctx, points->weights);
    points->weights = NULL;
}

/* Are the levels whole numbers times a step, so that there is a step of the sums that the bias can be rounded to? */
static bool are_multiples(const skv_gridded *c, const skv_quantizer *x) {
    const bool multiples = c->q.grid->uniform || skv_grid_whole(c->q.grid) || c->q.grid == &skv_grid_ternary;
    return c->q.per != SKV_PER_GROUP && multiples && c->q.grid->bits <= 8 && x->grid->uniform && x->grid->bits <= 8;
}

/* Whether sums of products on these grids are kept in 32 bits, to which the bias belongs. */
static bool sums_are_integers(const skv_gridded *c, const skv_quantizer *x) {
    return are_multiples(c, x) && !skv_gridded_has_zeros(c);
}

/* A bias of more steps than a quarter of 32 bits stays float. */
static bool bias_fits(const skive_tensor *bias, float input_scale, const skv_gridded *c) {
    for (int64_t i = 0; i < skive_tensor_count(bias); i++) {
        const float step = input_scale * skv_gridded_step(c, c->groups > 1 ? i : 0);
        if (!(fabs((double)((const float *)bias->data)[i]) <= (double)step * (1 << 29))) return false;
    }
    return true;
}

static skive_status bias_pair(skv_builder *b, skive_node *n, float input_scale, const float *scales, int64_t n_scales);

/* The bias with what is added to it, or a bias where there was none. */
static skive_status shift_bias(skv_builder *b, skive_node *n, const float *shift, int64_t count) {
    const skive_tensor *old = skv_value_tensor(skv_quant_parameter(n, 2));
    skv_storage *s = NULL;
    char name[256];
    SKV_TRY(skv_storage_create(b->graph->ctx, SKIVE_F32, 1, &count, &s));
    for (int64_t c = 0; c < count; c++)
        ((float *)s->tensor.data)[c] = shift[c] + (old ? ((const float *)old->data)[c] : 0);
    (void)snprintf(name, sizeof name, "%.230s_corrected", old ? n->inputs[2]->name : n->inputs[1]->name);
    skive_value *bias = skv_emit_param(b, skive_graph_find_value(b->graph, name) ? NULL : name, s);
    SKV_TRY(b->status);
    return skv_node_set_input(n, 2, bias);
}

/* As widen_for_bias: runtimes round a float bias to 32 bits by themselves, and it would not fit. */
static void widen_codes(skv_gridded *c, const skive_tensor *bias, float input_scale) {
    const double most = 1 << 29;
    const int64_t count = skive_tensor_count(bias), each = c->groups == count ? 1 : count;
    if (c->groups != 1 && c->groups != count) return;
    for (int64_t k = 0; k < c->groups; k++) {
        double largest = 0;
        for (int64_t i = k * each; i < (k + 1) * each; i++) {
            const double size = fabs((double)((const float *)bias->data)[i]);
            largest = size > largest ? size : largest;
        }
        const double need = largest / ((double)input_scale * most), step = (double)skv_gridded_step(c, k);
        if (isfinite(need) && need > step) skv_gridded_widen(c, k, need / step * (1 + 1e-6));
    }
    skv_gridded_measure(c);
}

static skive_status codes_pair(skv_builder *b, skive_node *n, skv_gridded *c, const skv_quantizer *activations,
                               const skv_point *input, bool int_bias, skive_quantize_report *report) {
    skive_context *ctx = b->graph->ctx;
    skive_value *w = skv_quant_parameter(n, 1), *real = NULL;
    if (c->shift) SKV_TRY(shift_bias(b, n, c->shift, c->t->dims[c->out_axis]));
    const skive_tensor *bias = skv_value_tensor(skv_quant_parameter(n, 2));
    float *scales = NULL;
    if (bias && input && are_multiples(c, activations)) widen_codes(c, bias, input->grid.scale);
    skive_quantize_row row = {.is_parameter = true, .grid = c->q.grid->name, .sqnr = skv_gridded_sqnr(c)};
    for (int64_t k = 0; k < c->groups; k++) {
        double low, high;
        skv_grid_ends(&c->q, &c->params[k], &low, &high);
        row.lo = low < row.lo ? low : row.lo;
        row.hi = high > row.hi ? high : row.hi;
        row.scale = (double)c->params[k].scale > row.scale ? (double)c->params[k].scale : row.scale;
    }
    SKV_TRY(skv_quant_add_row(ctx, report, &row, w->name));
    SKV_TRY(skv_gridded_emit(b, c, w, &real));
    SKV_TRY(skv_node_set_input(n, 1, real));
    if (!bias || !input || !int_bias || !sums_are_integers(c, activations) || skive_tensor_count(bias) < c->groups ||
        !bias_fits(bias, input->grid.scale, c))
        return SKIVE_OK;
    SKV_TRY(skv_arena_array(b->graph->arena, (size_t)c->groups + 1, sizeof *scales, &scales));
    for (int64_t k = 0; k < c->groups; k++) scales[k] = skv_gridded_step(c, k);
    return bias_pair(b, n, input->grid.scale, scales, c->groups);
}

static const skv_point *point_of(const skv_points *p, const skive_value *v) {
    for (size_t i = 0; i < p->n; i++) {
        if (p->items[i].value == v) return &p->items[i];
    }
    return NULL;
}

/* onnxruntime 1.32 computes a codebook's weights once and then rounds them to int8 by itself, which no one asked for. */
static skive_status tell_codebook(skive_context *ctx, const skv_quantizer *q, const skv_points *points) {
    skv_text t;
    const skive_dtype holder = skv_quant_holder(&points->q);
    if (!skv_gridded_has_codebook(q->grid) || (holder != SKIVE_U8 && holder != SKIVE_I8)) return SKIVE_OK;
    skv_text_init(&t, ctx);
    skv_text_add(
        &t,
        "weights on the grid %s are read from a codebook and multiplied in float32; with its usual optimizations "
        "onnxruntime rounds them once more, to int8, where inputs are quantized: for it take --to %s, which "
        "leaves activations float",
        q->grid->name, q->grid->name);
    return skv_text_note_once(&t);
}

skive_status skv_quant_insert(skive_context *ctx, skive_graph *g, const skive_quantize_options *o, const bool *chosen,
                              const skv_points *points, skive_quantize_report *report) {
    skv_builder b = skv_build(g);
    const uint32_t n_nodes = g->n_nodes;
    const skv_quant_target *target = skv_quant_target_of(o);
    const bool int_bias = (!target || !target->float_bias) && points->q.grid->uniform;
    for (uint32_t i = 0; i < n_nodes; i++) {
        skive_node *n = g->nodes[i];
        const float *scales = NULL;
        int64_t n_scales = 0;
        if (!chosen[i] || !skv_quant_is_product(n)) continue;
        const skv_point *input = point_of(points, n->inputs[0]);
        if (points->weights && points->weights[i].code) {
            SKV_TRY(tell_codebook(ctx, &points->weights[i].q, points));
            SKV_TRY(codes_pair(&b, n, &points->weights[i], &points->q, input, int_bias, report));
            continue;
        }
        SKV_TRY(weight_pair(&b, n, input, o->per_channel && !skv_quant_target_per_tensor(o, n), report, &scales,
                            &n_scales));
        if (skv_node_in(n, 2) && input && int_bias) SKV_TRY(bias_pair(&b, n, input->grid.scale, scales, n_scales));
    }
    for (size_t i = 0; i < points->n; i++) SKV_TRY(insert_pair(&b, &points->items[i]));
    skv_graph_sweep(g);
    SKV_TRY(skv_quant_merge_equal(g));
    return skive_graph_infer(g);
}
