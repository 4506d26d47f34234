/* FakeQuantize as what a file and the integer kernels have: QuantizeLinear and DequantizeLinear, and for parameters
 * their integers with DequantizeLinear behind them. */
#include <stdio.h>
#include <string.h>

#include "ops/quant/common_quantize.h"
#include "passes/pass.h"
#include "passes/quantized.h"

#define SUFFIX "_quantized"

/* A zero point of zeros, as many as there are scales. */
static skive_value *zeros_like(skv_builder *b, const skive_value *scale, skive_dtype dtype) {
    const skive_tensor *t = skv_value_tensor(scale);
    skv_storage *zeros = NULL;
    if (b->status == SKIVE_OK) b->status = skv_storage_create(b->graph->ctx, dtype, t->rank, t->dims, &zeros);
    return b->status == SKIVE_OK ? skv_emit_param(b, NULL, zeros) : NULL;
}

/* Does a pair of QuantizeLinear and DequantizeLinear do what the node does? */
static bool has_integer_form(const skive_node *n, skv_quantizer *q) {
    skive_context *ctx = n->graph->ctx;
    if (skv_quantizer_parse(ctx, skv_attr_string(n, "grid", ""), q) != SKIVE_OK) return false;
    return skv_value_tensor(skv_node_in(n, 1)) && (!skv_node_in(n, 2) || skv_value_tensor(n->inputs[2])) &&
           (q->grid->uniform || skv_dtype_is_float8(q->grid->dtype)) && skv_grid_fills_dtype(q);
}

/* QuantizeLinear of a parameter is replaced by its result. */
static skive_status fold(skive_graph *g, skive_node *quantize, const skive_value *x) {
    skv_builder b = skv_build(g);
    skv_storage *codes = NULL;
    char room[256];
    SKV_TRY(skv_quantize_evaluate(g, quantize, &codes));
    (void)snprintf(room, sizeof room, "%.*s" SUFFIX, skv_utf8_prefix(x->name, 230), x->name);
    skive_value *p = skv_emit_param(&b, skive_graph_find_value(g, room) ? NULL : room, codes);
    SKV_TRY(b.status);
    p->keeps_zeros = x->keeps_zeros;
    SKV_TRY(skv_value_replace_uses(quantize->outputs[0], p, true));
    return skv_graph_remove_node(quantize);
}

static skive_status to_integer(skive_graph *g, skive_node *n, const skv_quantizer *q) {
    skv_builder b = skv_build(g);
    skv_attr_init attrs[2];
    const skv_attr_list list = {attrs, skv_quantize_attrs(n, attrs)};
    skive_value *x = n->inputs[0], *scale = n->inputs[1], *zero = skv_node_in(n, 2);
    if (!zero) zero = zeros_like(&b, scale, q->grid->dtype);
    skive_value *codes = skv_emit(&b, "QuantizeLinear", SKV_IN(x, scale, zero), list);
    skive_value *real = skv_emit(&b, "DequantizeLinear", SKV_IN(codes, scale, zero), list);
    SKV_TRY(b.status);
    SKV_TRY(skv_value_replace_uses(n->outputs[0], real, true));
    SKV_TRY(skv_graph_remove_node(n));
    return skv_value_tensor(x) ? fold(g, codes->producer, x) : SKIVE_OK;
}

/* ---- parameters by their levels ---- */

/* Are the levels of the grid, at scale 1, integers of 8 bits? */
static bool has_integer_levels(const skv_quantizer *q) {
    const skv_grid_params one = {.scale = 1};
    if (!q->grid->scaled || q->high - q->low > 255) return false;
    for (int32_t code = q->low; code <= q->high; code++) {
        const float level = skv_grid_level(q, &one, code);
        if (!(level >= -128 && level <= 127) || level != rintf(level)) return false;
    }
    return true;
}

typedef struct coding {
    const float *x;
    int8_t *level; /* of each element */
    float *scale;  /* of each channel, or NULL */
} coding;

static void code_run(void *user, const skv_fake *f, const skv_grid_params *p, int64_t first, int64_t n, int64_t s) {
    const coding *t = user;
    if (t->scale) t->scale[s] = p->scale;
    for (int64_t i = first; i < first + n; i++) {
        float x = t->x[i];
        skv_fake_transform(f, p, &x, 1, NULL);
        t->level[i] = (int8_t)skv_grid_level(&f->q, p, skv_grid_encode(&f->q, p, x));
    }
}

skive_status skv_storage_of_integers(skive_context *ctx, const int8_t *x, int rank, const int64_t *dims,
                                     skv_storage **out) {
    bool narrow = true;
    int64_t count = 1;
    for (int d = 0; d < rank; d++) count *= dims[d];
    for (int64_t i = 0; i < count && narrow; i++) narrow = x[i] >= -8 && x[i] <= 7;
    SKV_TRY(skv_storage_create(ctx, narrow ? SKIVE_I4 : SKIVE_I8, rank, dims, out));
    skive_tensor *t = &(*out)->tensor;
    for (int64_t i = 0; i < count; i++) skv_store_i64(t->dtype, t->data, (size_t)i, x[i]);
    return SKIVE_OK;
}

/* The levels as integers, int4 where they fit, with DequantizeLinear behind them. */
static skive_status to_levels(skive_graph *g, skive_node *n, const skv_fake *f) {
    skive_context *ctx = g->ctx;
    skv_builder b = skv_build(g);
    skive_value *x = n->inputs[0], *scale = skv_node_in(n, SKV_FAKE_SCALE);
    const skive_tensor *t = skv_value_tensor(x), *s = scale ? skv_value_tensor(scale) : NULL;
    const int axis = (int)skv_axis(skv_attr_int(n, "axis", f->fits ? 0 : 1), t->rank);
    const bool channels =
        f->fits ? f->q.per != SKV_PER_TENSOR && axis >= 0 && t->rank > 1 : skive_tensor_count(s) > 1 && axis >= 0;
    const int64_t n_scales = channels ? t->dims[axis] : 1, count = skive_tensor_count(t);
    skv_storage *codes = NULL, *scales = NULL;
    coding c = {.x = t->data};
    char room[256];
    skive_status status;
    SKV_GO(status, failed, skv_alloc_array(ctx, (size_t)count + 1, 1, &c.level));
    if (f->fits) {
        SKV_GO(status, failed, skv_storage_create(ctx, SKIVE_F32, channels ? 1 : 0, &n_scales, &scales));
        c.scale = scales->tensor.data;
    }
    const skv_eval at = {.ctx = ctx, .node = n};
    SKV_GO(status, failed, skv_fake_runs(&at, f, t, s, NULL, code_run, &c));
    SKV_GO(status, failed, skv_storage_of_integers(ctx, c.level, t->rank, t->dims, &codes));
    (void)snprintf(room, sizeof room, "%.230s" SUFFIX, x->name);
    skive_value *integer = skv_emit_param(&b, skive_graph_find_value(g, room) ? NULL : room, codes);
    if (f->fits) scale = skv_emit_param(&b, NULL, scales);
    const skv_attr_init attr = SKV_INT("axis", axis);
    skive_value *real =
        skv_emit(&b, "DequantizeLinear", SKV_IN(integer, scale), (skv_attr_list){&attr, channels ? 1 : 0});
    skv_free(ctx, c.level);
    SKV_TRY(b.status);
    SKV_TRY(skv_value_replace_uses(n->outputs[0], real, true));
    return skv_graph_remove_node(n);
failed:
    skv_free(ctx, c.level);
    skv_storage_release(scales);
    return status;
}

/* ---- values ---- */

static uint8_t zero_of(const skive_node *n) {
    const skive_tensor *zero = skv_value_tensor(skv_node_in(n, SKV_FAKE_ZERO));
    return zero ? (uint8_t)skive_tensor_get(zero, 0) : 0;
}

static bool one_scale(const skive_node *n) {
    const skive_tensor *scale = skv_value_tensor(skv_node_in(n, SKV_FAKE_SCALE));
    return scale && scale->dtype == SKIVE_F32 && skive_tensor_count(scale) == 1;
}

/* Unsigned integers of fewer than 8 bits, in uint8: a Clip in front ends the codes where the grid does. */
static bool is_part_of_bytes(const skive_node *n, const skv_quantizer *q) {
    const skive_tensor *zero = skv_value_tensor(skv_node_in(n, SKV_FAKE_ZERO));
    return q->grid->uniform && q->low >= 0 && q->high < 255 && one_scale(n) &&
           (!skv_node_in(n, SKV_FAKE_ZERO) || (zero && zero->dtype == SKIVE_U8 && skive_tensor_count(zero) == 1));
}

static skive_status to_part_of_bytes(skive_graph *g, skive_node *n, const skv_quantizer *q) {
    skv_builder b = skv_build(g);
    skive_value *scale = n->inputs[SKV_FAKE_SCALE];
    const float step = *(const float *)skv_value_tensor(scale)->data;
    const int zero = zero_of(n);
    skive_value *z = skv_emit_scalar(&b, SKIVE_U8, zero);
    skive_value *clipped =
        skv_emit(&b, "Clip",
                 SKV_IN(n->inputs[0], skv_emit_scalar(&b, SKIVE_F32, (double)((float)(q->low - zero) * step)),
                        skv_emit_scalar(&b, SKIVE_F32, (double)((float)(q->high - zero) * step))),
                 SKV_NONE);
    skive_value *codes = skv_emit(&b, "QuantizeLinear", SKV_IN(clipped, scale, z), SKV_NONE);
    skive_value *real = skv_emit(&b, "DequantizeLinear", SKV_IN(codes, scale, z), SKV_NONE);
    SKV_TRY(b.status);
    SKV_TRY(skv_value_replace_uses(n->outputs[0], real, true));
    return skv_graph_remove_node(n);
}

/* Signs: the codes 0 and 2 around the zero point 1. */
static skive_status to_signs(skive_graph *g, skive_node *n) {
    skv_builder b = skv_build(g);
    skive_value *positive =
        skv_emit(&b, "GreaterOrEqual", SKV_IN(n->inputs[0], skv_emit_scalar(&b, SKIVE_F32, 0)), SKV_NONE);
    skive_value *codes = skv_emit(
        &b, "Where", SKV_IN(positive, skv_emit_scalar(&b, SKIVE_U8, 2), skv_emit_scalar(&b, SKIVE_U8, 0)), SKV_NONE);
    skive_value *real = skv_emit(&b, "DequantizeLinear",
                                 SKV_IN(codes, n->inputs[SKV_FAKE_SCALE], skv_emit_scalar(&b, SKIVE_U8, 1)), SKV_NONE);
    SKV_TRY(b.status);
    SKV_TRY(skv_value_replace_uses(n->outputs[0], real, true));
    return skv_graph_remove_node(n);
}

static skive_status spread(skive_graph *g, skive_node *n, bool *done) {
    skv_fake f;
    skv_quantizer q;
    const bool has_scale = skv_node_in(n, SKV_FAKE_SCALE) != NULL;
    SKV_TRY(skv_fake_of(g->ctx, n, has_scale, &f));
    const bool constant = skv_value_tensor(n->inputs[0]) && n->inputs[0]->type.dtype == SKIVE_F32;
    const bool fills = has_scale && has_integer_form(n, &q);
    const bool plain = !skv_node_in(n, SKV_FAKE_ZERO) && !skv_attr_int(n, "block_size", 0);
    const bool known = !has_scale || skv_value_tensor(n->inputs[SKV_FAKE_SCALE]);
    *done = true;
    if (constant && plain && known && has_integer_levels(&f.q) &&
        (!fills || f.q.narrow || f.tanh || f.step != SKV_STEP_FIXED))
        return to_levels(g, n, &f);
    if (!constant && has_scale && is_part_of_bytes(n, &f.q)) return to_part_of_bytes(g, n, &f.q);
    if (!constant && one_scale(n) && strcmp(f.q.grid->name, "binary") == 0) return to_signs(g, n);
    if (fills) return to_integer(g, n, &q);
    *done = false;
    return SKIVE_OK;
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    (void)env;
    for (uint32_t i = 0; i < g->n_nodes;) {
        bool done = false;
        if (skv_node_is(g->nodes[i], SKV_OP_FAKE_QUANTIZE)) SKV_TRY(spread(g, g->nodes[i], &done));
        *changes += done;
        if (!done) i++;
    }
    return SKIVE_OK;
}

const skv_pass skv_pass_spread_fake_quantize = {
    .name = "spread-fake-quantize",
    .brief = "replaces FakeQuantize by QuantizeLinear and DequantizeLinear, of parameters by their integers",
    .when = SKV_PASS_INTEGER,
    .run = run,
};
