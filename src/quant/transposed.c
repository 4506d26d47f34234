/* Transposed convolutions in a form that integers compute everywhere: a convolution with the channels of all phases,
 * and DepthToSpace, which moves them between the positions. With stride s and p zeros cut off at the low side
 *
 *     y[i * s + a - p] = sum over j of x[i - j] * w[a + j * s]
 *
 * so that phase a is a convolution with every s-th weight, and phase and channel together are its output channels
 * (Shi et al. 2016, "Is the deconvolution layer the same as a convolutional layer?"). */
#include <string.h>

#include "ops/common_shape.h"
#include "ops/conv/common_conv_transpose.h"
#include "passes/fuse.h"
#include "quant/quant.h"

enum { AXES = 2, FIRST = SKV_SPATIAL - AXES };

typedef struct turning {
    skive_node *node;
    const skive_tensor *w;
    const skive_value *bias;
    int64_t in, out;        /* channels */
    int64_t stride;         /* of both axes */
    int64_t kernel[AXES];   /* of the transposed convolution */
    int64_t taps[AXES];     /* of the convolution: every stride-th weight, zeros where there are fewer */
    int64_t pads[2 * AXES]; /* zeros of the convolution in front of x, and behind it */
    int64_t cut_lo[AXES];   /* rows before the result, and behind it */
    int64_t cut_hi[AXES];
} turning;

static int64_t parts_of(int64_t n, int64_t part) { return (n + part - 1) / part; }

/* Zeros around x that are still wanted: positions of which all rows would be cut off are not computed. */
static int64_t spare(int64_t zeros, int64_t stride, int64_t *cut) {
    const int64_t n = *cut / stride < zeros ? *cut / stride : zeros;
    *cut -= n * stride;
    return zeros - n;
}

/* NULL: it can be turned. */
static const char *why_not(skive_context *ctx, skive_node *n, turning *t) {
    const skive_value *x = skv_node_in(n, 0), *w = skv_quant_parameter(n, 1), *bias = skv_quant_parameter(n, 2);
    int64_t xd[SKIVE_MAX_RANK], wd[SKIVE_MAX_RANK];
    skv_conv_shape s;
    if (!x || x->type.rank != 2 + AXES || x->type.dtype != SKIVE_F32) return "it does not have two axes of float32";
    if (!skv_value_is_param(w) || w->type.dtype != SKIVE_F32) return "its weights are not a float parameter";
    if (bias && (!skv_value_is_param(bias) || bias->type.dtype != SKIVE_F32))
        return "its bias is not a float parameter";
    skv_type_sizes(&x->type, xd);
    skv_type_sizes(&w->type, wd);
    if (xd[2] < 1 || xd[3] < 1) return "the sizes of its input are not known";
    if (skv_conv_transpose_make(ctx, n, x->type.rank, xd, w->type.rank, wd, &s) != SKIVE_OK) {
        skive_context_clear(ctx); /* inference says it where it matters */
        return "its sizes do not fit";
    }
    if (s.groups != 1) return "it has groups";
    *t = (turning){.node = n, .w = skv_value_tensor(w), .bias = bias, .in = wd[0], .out = wd[1]};
    t->stride = s.g.stride[FIRST];
    int64_t weights = 1, products = 1;
    for (int i = 0; i < AXES; i++) {
        const int a = FIRST + i;
        if (s.g.dilation[a] != 1) return "it is dilated";
        if (s.g.stride[a] != t->stride) return "its strides differ";
        t->kernel[i] = s.g.kernel[a];
        t->taps[i] = parts_of(s.g.kernel[a], t->stride);
        const int64_t around = t->taps[i] - 1;
        const int64_t need = s.g.pad_lo[a] + s.g.in[a]; /* rows up to the last of the result */
        const int64_t positions = xd[2 + i] + around, wanted = parts_of(need, t->stride);
        const int64_t more = wanted > positions ? wanted - positions : 0;
        t->cut_lo[i] = s.g.pad_lo[a];
        t->cut_hi[i] = (positions + more) * t->stride - need;
        t->pads[i] = spare(around, t->stride, &t->cut_lo[i]);
        t->pads[AXES + i] = spare(around + more, t->stride, &t->cut_hi[i]);
        weights *= t->kernel[i];
        products *= t->taps[i] * t->stride;
    }
    return products > 2 * weights ? "more than half of its phases' weights would be zeros" : NULL;
}

static skive_status phase_weights(skive_context *ctx, const turning *t, skv_storage **out) {
    const int64_t s = t->stride, dims[] = {t->out * s * s, t->in, t->taps[0], t->taps[1]};
    SKV_TRY(skv_storage_create(ctx, SKIVE_F32, 4, dims, out));
    float *to = (*out)->tensor.data;
    const float *w = t->w->data;
    for (int64_t phase = 0; phase < s * s; phase++) {
        for (int64_t o = 0; o < t->out; o++) {
            for (int64_t i = 0; i < t->in; i++) {
                for (int64_t h = 0; h < t->taps[0]; h++) {
                    for (int64_t v = 0; v < t->taps[1]; v++, to++) {
                        const int64_t kh = phase / s + (t->taps[0] - 1 - h) * s;
                        const int64_t kw = phase % s + (t->taps[1] - 1 - v) * s;
                        const bool is = kh < t->kernel[0] && kw < t->kernel[1];
                        *to = is ? w[((i * t->out + o) * t->kernel[0] + kh) * t->kernel[1] + kw] : 0;
                    }
                }
            }
        }
    }
    return SKIVE_OK;
}

static skive_status phase_bias(skive_context *ctx, const turning *t, skv_storage **out) {
    const int64_t phases = t->stride * t->stride, count = t->out * phases;
    SKV_TRY(skv_storage_create(ctx, SKIVE_F32, 1, &count, out));
    for (int64_t p = 0; p < phases; p++)
        memcpy((float *)(*out)->tensor.data + p * t->out, skv_value_tensor(t->bias)->data,
               (size_t)t->out * sizeof(float));
    return SKIVE_OK;
}

/* A Relu or Clip with constant limits, the only reader of v: it commutes with the moves. */
static skive_node *limit_behind(const skive_value *v) {
    skive_node *n = v->n_uses == 1 && !v->output_uses && !skv_value_is_captured(v) ? v->uses[0].node : NULL;
    double low;
    if (!n || n->domain[0] || n->inputs[0] != v) return NULL;
    if (skv_node_is(n, SKV_OP_RELU)) return n;
    return skv_node_is(n, SKV_OP_CLIP) && skv_clip_bound(n, 1, 0, &low) && skv_clip_bound(n, 2, 0, &low) ? n : NULL;
}

static skive_value *moved(skv_builder *b, const turning *t, skive_value *y) {
    const int64_t axes[] = {2, 3};
    int64_t ends[AXES];
    bool cut = false;
    if (t->stride > 1) y = skv_emit(b, "DepthToSpace", SKV_IN(y), SKV_ATTRS(SKV_INT("blocksize", t->stride)));
    for (int i = 0; i < AXES; i++) {
        ends[i] = t->cut_hi[i] ? -t->cut_hi[i] : INT64_MAX;
        cut = cut || t->cut_lo[i] || t->cut_hi[i];
    }
    if (!cut) return y;
    return skv_emit(
        b, "Slice",
        SKV_IN(y, skv_emit_ints(b, t->cut_lo, AXES), skv_emit_ints(b, ends, AXES), skv_emit_ints(b, axes, AXES)),
        SKV_NONE);
}

/* Node, weight and bias keep their names: options and reports say them. */
static skive_status turn(skive_graph *g, const turning *t) {
    enum { LIMITS = 2 };
    skive_context *ctx = g->ctx;
    skv_builder b = skv_build(g);
    skv_storage *w = NULL, *bias = NULL;
    skive_node *limits[LIMITS], *n = t->node;
    skive_value *last = n->outputs[0];
    size_t n_limits = 0;
    for (skive_node *next; n_limits < LIMITS && (next = limit_behind(last));) {
        limits[n_limits++] = next;
        last = next->outputs[0];
    }
    SKV_TRY(phase_weights(ctx, t, &w));
    skive_value *weight = skv_emit_param(&b, NULL, w), *x = n->inputs[0], *shift = NULL;
    if (t->bias) {
        SKV_TRY(phase_bias(ctx, t, &bias));
        shift = skv_emit_param(&b, NULL, bias);
    }
    const skv_attr_list attrs = SKV_ATTRS(SKV_INTS("kernel_shape", t->taps, AXES), SKV_INTS("pads", t->pads, 2 * AXES));
    skive_value *y =
        skv_emit(&b, "Conv", (skv_in_list){(skive_value *const[]){x, weight, shift}, shift ? 3 : 2}, attrs);
    skive_node *conv = y ? y->producer : NULL;
    for (size_t i = 0; i < n_limits; i++) {
        const skive_node *l = limits[i];
        y = skv_node_is(l, SKV_OP_RELU)
                ? skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE)
                : skv_emit(&b, "Clip", SKV_IN(y, skv_node_in(l, 1), skv_node_in(l, 2)), SKV_NONE);
    }
    y = moved(&b, t, y);
    SKV_TRY(b.status);
    const char *name = n->name, *weight_name = n->inputs[1]->name, *bias_name = t->bias ? n->inputs[2]->name : NULL;
    skive_value *old_weight = n->inputs[1], *old_bias = t->bias ? n->inputs[2] : NULL;
    const bool trains = old_weight->trainable, keeps = old_weight->keeps_zeros,
               shifts = old_bias && old_bias->trainable;
    if (n_limits) {
        SKV_TRY(skv_import_replace(limits[n_limits - 1], y));
        for (size_t i = n_limits - 1; i-- > 0;) SKV_TRY(skv_graph_remove_node(limits[i]));
        SKV_TRY(skv_graph_remove_node(n));
    } else {
        SKV_TRY(skv_import_replace(n, y));
    }
    skv_node_take_name(conv, name);
    weight->trainable = trains;
    weight->keeps_zeros = keeps;
    if (shift) shift->trainable = shifts;
    if (old_weight->n_uses == 0 && !old_weight->output_uses) {
        SKV_TRY(skv_graph_remove_value(old_weight));
        SKV_TRY(skv_value_rename(weight, weight_name));
    }
    if (old_bias && old_bias->n_uses == 0 && !old_bias->output_uses) {
        SKV_TRY(skv_graph_remove_value(old_bias));
        SKV_TRY(skv_value_rename(shift, bias_name));
    }
    return SKIVE_OK;
}

const char *skv_quant_why_transposed(skive_context *ctx, skive_node *n) {
    turning t;
    return skv_node_is(n, SKV_OP_CONV_TRANSPOSE) ? why_not(ctx, n, &t) : NULL;
}

skive_status skv_quant_turn_transposed(skive_graph *g, const skive_quantize_options *o) {
    size_t done = 0;
    for (uint32_t i = 0; i < g->n_nodes;) {
        skive_node *n = g->nodes[i];
        turning t;
        if (!skv_node_is(n, SKV_OP_CONV_TRANSPOSE) || skv_quant_skipped(o, n) || why_not(g->ctx, n, &t)) {
            i++;
            continue;
        }
        SKV_TRY(turn(g, &t));
        done++;
    }
    if (!done) return SKIVE_OK;
    skv_note(g->ctx, "%zu ConvTranspose %s as a Conv and DepthToSpace, the same sums, which integers compute", done,
             done == 1 ? "is written" : "are written");
    (void)skv_graph_sweep(g);
    return skive_graph_infer(g);
}
