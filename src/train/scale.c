/* The scale of float targets, and the last layer that takes it in. */
#include "train/scale.h"

#include <math.h>
#include <string.h>

#include "graph/linear.h"
#include "graph/op.h"
#include "graph/shared.h"

enum { MOST_SAMPLES = 20000 };

/* ---- mean and deviation ---- */

void skv_target_scale_free(skive_context *ctx, skv_target_scale *s) {
    skv_free(ctx, s->mean);
    skv_free(ctx, s->std);
    *s = (skv_target_scale){0};
}

/* Sums are counted from the first target, so that targets far from zero keep their variance. */
static skive_status sum_up(skive_context *ctx, const skive_dataset *set, const skv_targets *t, skv_target_scale *s,
                           float *y, double *first) {
    const size_t count = t->info.count, size = t->info.target_size;
    const size_t step = count > MOST_SAMPLES ? count / MOST_SAMPLES : 1;
    double seen = 0;
    for (size_t i = 0; i < count; i += step) {
        SKV_TRY(skive_dataset_read_target(ctx, set, i, y));
        for (size_t k = 0; k < size; k++) {
            const size_t at = s->n > 1 ? k : 0;
            if (i == 0 && (s->n > 1 || k == 0)) first[at] = (double)y[k];
            const double d = (double)y[k] - first[at];
            s->mean[at] += d;
            s->std[at] += d * d;
        }
        seen += s->n > 1 ? 1 : (double)size;
    }
    for (int64_t k = 0; k < s->n; k++) {
        const double mean = s->mean[k] / seen, variance = s->std[k] / seen - mean * mean;
        s->mean[k] = first[k] + mean;
        s->std[k] = variance > 1e-12 * s->mean[k] * s->mean[k] && variance > 0 ? sqrt(variance) : 1;
    }
    return SKIVE_OK;
}

skive_status skv_target_scale_of(skive_context *ctx, const skive_dataset *set, const skv_targets *t,
                                 skv_target_scale *out) {
    float *y = NULL;
    double *first = NULL;
    skive_status status;
    *out = (skv_target_scale){.n = t->info.target_rank <= 1 ? (int64_t)t->info.target_size : 1};
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)out->n + 1, sizeof *out->mean, &out->mean));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)out->n + 1, sizeof *out->std, &out->std));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)out->n + 1, sizeof *first, &first));
    SKV_GO(status, done, skv_alloc_array(ctx, t->info.target_size + 1, sizeof *y, &y));
    status = sum_up(ctx, set, t, out, y, first);
done:
    skv_free(ctx, first);
    skv_free(ctx, y);
    if (status != SKIVE_OK) skv_target_scale_free(ctx, out);
    return status;
}

/* ---- the last layer ---- */

static skive_value *moved_from(const skive_value *v) {
    return skv_node_reshapes(v->producer) ? skv_node_in(v->producer, 0) : NULL;
}

/* A float32 parameter that nothing else reads: changing it changes this layer alone. */
static bool is_own(const skive_value *v) {
    const skive_tensor *t = skv_value_tensor(v);
    return t && t->dtype == SKIVE_F32 && v->n_uses == 1 && v->output_uses == 0 && !skv_value_is_captured(v);
}

static int64_t count_of(const skive_value *v) { return skive_tensor_count(skv_value_tensor(v)); }

/* Weights that share values have their scale in the codebook, where one for all outputs is enough. */
static skive_value *own_weight(skive_value *v, const skv_target_scale *scale) {
    skv_shared s;
    if (!v) return NULL;
    if (is_own(v)) return v;
    return scale->n == 1 && v->n_uses == 1 && skv_shared_find(v, &s) && is_own(s.codebook) ? s.codebook : NULL;
}

/* A node that multiplies data and one weight. Buckets of a hashed weight have no axes, which one scale for all outputs
 * does not need. */
static bool multiplies(const skive_node *n, skv_linear *l) {
    if (skv_linear_of(n, l)) return true;
    l->weight = 1;
    l->bias = 2;
    return skv_node_is(n, SKV_OP_HASHED_GEMM);
}

static skv_last_layer with_bias(skive_node *product, const skv_linear *l, skive_value *bias, double beta,
                                skive_value *output, const skv_target_scale *scale) {
    skv_last_layer last = {.node = product,
                           .output = output,
                           .weight = own_weight(skv_node_in(product, (size_t)l->weight), scale),
                           .bias = bias,
                           .inner = 1,
                           .beta = beta};
    const bool each = scale->n > 1; /* a pair for each target: outputs are columns, one a channel */
    if (!last.weight || !bias || !is_own(bias) || beta == 0) return (skv_last_layer){0};
    if (each && (l->view.out != scale->n || count_of(bias) != scale->n || count_of(last.weight) % scale->n != 0))
        return (skv_last_layer){0};
    const skive_type *t = &last.weight->type;
    for (int a = l->view.out_axis + 1; each && a < t->rank; a++) last.inner *= t->dims[a].size;
    return last;
}

skv_last_layer skv_last_layer_of(const skv_head *head, const skv_target_scale *scale) {
    skive_value *v = head->value;
    for (skive_value *before = v; before; before = moved_from(v)) v = before;
    skive_node *n = v->producer;
    skv_linear l;
    if (!n) return (skv_last_layer){0};
    if (multiplies(n, &l))
        return with_bias(n, &l, l.bias < 0 ? NULL : skv_node_in(n, (size_t)l.bias), l.bias_factor, v, scale);
    for (int k = 0; skv_node_is(n, SKV_OP_ADD) && k < 2; k++) {
        const skive_value *product = n->inputs[k];
        if (!product || !product->producer || product->n_uses != 1 || product->output_uses > 0) continue;
        if (!multiplies(product->producer, &l) || (l.bias >= 0 && skv_node_in(product->producer, (size_t)l.bias)))
            continue;
        return with_bias(product->producer, &l, n->inputs[1 - k], 1, v, scale);
    }
    return (skv_last_layer){0};
}

void skv_last_layer_adjust(const skv_last_layer *l, const double *factor, const double *shift, int64_t n) {
    float *w = skv_value_tensor(l->weight)->data, *b = skv_value_tensor(l->bias)->data;
    for (int64_t i = 0; i < count_of(l->weight); i++) w[i] = (float)((double)w[i] * factor[i / l->inner % n]);
    for (int64_t i = 0; i < count_of(l->bias); i++)
        b[i] = (float)((double)b[i] * factor[i % n] + shift[i % n] / l->beta);
}

void skv_last_layer_restore(const skv_last_layer *l, const skv_target_scale *s) {
    skv_last_layer_adjust(l, s->std, s->mean, s->n);
}

/* One number a target, along the last axis of the layer's output. `name` may be NULL. */
static skive_value *constant(skv_builder *b, const char *name, const double *x, int64_t n) {
    skv_storage *s = NULL;
    if (n == 1) return skv_emit_scalar(b, SKIVE_F32, x[0]);
    if (b->status != SKIVE_OK) return NULL;
    b->status = skv_storage_create(b->graph->ctx, SKIVE_F32, 1, &n, &s);
    for (int64_t i = 0; b->status == SKIVE_OK && i < n; i++) skive_tensor_set(&s->tensor, i, x[i]);
    if (b->status == SKIVE_OK && name) b->status = skv_graph_unique_name(b->graph, name, &name);
    return b->status == SKIVE_OK ? skv_emit_param(b, name, s) : NULL;
}

/* Behind `from`, whose name the result takes: from * factor + shift, as constants; `passing`: as long as a training lasts.
 */
static skive_status put_behind(skive_graph *g, skive_value *from, const double *factor, const double *shift, int64_t n,
                               bool passing) {
    const char *name = passing ? SKV_OWN_VALUES "targets" : NULL;
    skv_builder b = skv_build(g);
    skive_value *scaled = skv_emit(&b, "Mul", SKV_IN(from, constant(&b, name, factor, n)), SKV_NONE);
    skive_value *whole = skv_emit(&b, "Add", SKV_IN(scaled, constant(&b, name, shift, n)), SKV_NONE);
    SKV_TRY(b.status);
    skive_node *mul = scaled->producer;
    SKV_TRY(skv_value_replace_uses(from, whole, true));
    SKV_TRY(skv_node_set_input(mul, 0, from));
    return skv_value_take_name(whole, from);
}

/* What the last node can give: numbers of 0 and more, or within bounds; otherwise any. */
static void range_of(const skive_value *v, double *center, double *reach, bool *positive) {
    static const skv_op_kind positives[] = {SKV_OP_RELU, SKV_OP_SOFTPLUS, SKV_OP_EXP,
                                            SKV_OP_ABS,  SKV_OP_SQRT,     SKV_OP_CLIP};
    for (const skive_value *before = v; before; before = moved_from(v)) v = before;
    *center = *reach = 0;
    *positive = skv_node_is_any(v->producer, positives, SKV_COUNT(positives));
    if (skv_node_is(v->producer, SKV_OP_SIGMOID) || skv_node_is(v->producer, SKV_OP_HARD_SIGMOID))
        *center = *reach = 0.5;
    if (skv_node_is(v->producer, SKV_OP_TANH) || skv_node_is(v->producer, SKV_OP_SOFTSIGN)) *reach = 1;
}

bool skv_output_reaches(const skv_head *head, const skv_targets *targets, const skv_target_scale *s) {
    double center, reach;
    bool positive, within = true;
    range_of(head->value, &center, &reach, &positive);
    if (center > 0) return targets->shares; /* 0 to 1 */
    for (int64_t k = 0; k < s->n; k++) within = within && fabs(s->mean[k]) + s->std[k] <= reach;
    return within && reach > 0;
}

enum { DEVIATIONS = 4 }; /* that outputs within bounds shall reach */

skive_status skv_output_stretch(skive_graph *g, const skv_head *head, const skv_target_scale *s, const double *mean,
                                const double *std) {
    double *factor = NULL, *shift = NULL, center, reach;
    bool positive;
    skive_status status;
    range_of(head->value, &center, &reach, &positive);
    SKV_GO(status, done, skv_alloc_array(g->ctx, (size_t)s->n, sizeof *factor, &factor));
    SKV_GO(status, done, skv_alloc_array(g->ctx, (size_t)s->n, sizeof *shift, &shift));
    for (int64_t k = 0; k < s->n; k++) {
        const double size = sqrt(s->mean[k] * s->mean[k] + s->std[k] * s->std[k]);
        const double given = sqrt(mean[k] * mean[k] + std[k] * std[k]);
        if (positive && s->mean[k] > 0) {
            factor[k] = size / (given > 0 ? given : 1);
        } else if (reach > 0) {
            factor[k] = DEVIATIONS * s->std[k] / reach;
            shift[k] = s->mean[k] - center * factor[k];
        } else {
            factor[k] = s->std[k] / (std[k] > 0 ? std[k] : 1);
            shift[k] = s->mean[k] - mean[k] * factor[k];
        }
    }
    status = put_behind(g, head->value, factor, shift, s->n, false);
done:
    skv_free(g->ctx, factor);
    skv_free(g->ctx, shift);
    return status;
}

skive_status skv_last_layer_stretch(skive_graph *g, skv_last_layer *l, const skv_target_scale *s) {
    double *factor = NULL, *shift = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(g->ctx, (size_t)s->n, sizeof *factor, &factor));
    SKV_GO(status, done, skv_alloc_array(g->ctx, (size_t)s->n, sizeof *shift, &shift));
    SKV_GO(status, done, put_behind(g, l->output, s->std, s->mean, s->n, true));
    for (int64_t k = 0; k < s->n; k++) {
        factor[k] = 1 / s->std[k];
        shift[k] = -s->mean[k] / s->std[k];
    }
    skv_last_layer_adjust(l, factor, shift, s->n);
done:
    skv_free(g->ctx, factor);
    skv_free(g->ctx, shift);
    return status;
}
