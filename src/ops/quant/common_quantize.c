/* Shared by QuantizeLinear and DequantizeLinear; see common_quantize.h. */
#include "ops/quant/common_quantize.h"

#include "ops/common_shape.h"

#include <math.h>
#include <string.h>

static skive_status fail_axis(skv_infer *c, int64_t axis, int rank) {
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: axis %lld does not exist in %d dimensions", c->node->op_type,
                          (long long)axis, rank);
}

static bool may_be_single(const skive_type *t) {
    return t->rank == 0 || (t->rank == 1 && (t->dims[0].size == 1 || t->dims[0].size < 0));
}

static skive_status infer_blocks(skv_infer *c, int64_t block) {
    const skive_type *x = c->in[0], *s = c->in[1];
    int64_t axis = skv_attr_int(c->node, "axis", 1), at = skv_axis(axis, x->rank);
    if (at < 0) return fail_axis(c, axis, x->rank);
    bool fits = s->rank == x->rank;
    for (int a = 0; fits && a < x->rank; a++) {
        int64_t have = skv_in_dim(c, 1, a), want = skv_in_dim(c, 0, a);
        if (a == at && want >= 0) want = want / block + (want % block != 0);
        fits = have < 0 || want < 0 || have == want;
    }
    if (fits) return SKIVE_OK;
    char left[256], right[256];
    skv_type_text(s, left, sizeof left);
    skv_type_text(x, right, sizeof right);
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: scales %s do not match blocks of %lld along axis %lld of %s",
                          c->node->op_type, left, (long long)block, (long long)axis, right);
}

skive_status skv_infer_scales(skv_infer *c) {
    if (c->n_in < 2 || !c->in[1]) return SKIVE_OK; /* FakeQuantize finds its own */
    if (c->in[1]->dtype != SKIVE_F8E8M0) SKV_TRY(skv_want_float(c, 1));
    int64_t block = skv_attr_int(c->node, "block_size", 0);
    if (block < 0) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: block_size is negative", c->node->op_type);
    if (skv_in_ranked(c, 2) && skv_in_ranked(c, 1) && !(may_be_single(c->in[1]) && may_be_single(c->in[2])))
        SKV_TRY(skv_want_same_shape(c, 1, 2));
    if (!skv_in_ranked(c, 0) || !skv_in_ranked(c, 1)) return SKIVE_OK;
    const skive_type *x = c->in[0], *s = c->in[1];
    if (block) return infer_blocks(c, block);
    if (s->rank == 0 || (s->rank == 1 && s->dims[0].size == 1)) return SKIVE_OK;
    if (s->rank != 1)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: the scale has %d dimensions, expected 0 or 1 without block_size",
                              c->node->op_type, s->rank);
    int64_t axis = skv_attr_int(c->node, "axis", 1), at = skv_axis(axis, x->rank);
    if (at < 0) return s->dims[0].size < 0 ? SKIVE_OK : fail_axis(c, axis, x->rank); /* may turn out to be one scale */
    int64_t have = s->dims[0].size, want = x->dims[at].size;
    if (have >= 0 && want >= 0 && have != want)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: %lld scales do not match %lld channels along axis %lld",
                              c->node->op_type, (long long)have, (long long)want, (long long)axis);
    return SKIVE_OK;
}

skive_status skv_scale_map_of(const skv_eval *c, const skive_tensor *x, const skive_tensor *scale, skv_scale_map *out) {
    int64_t block = skv_attr_int(c->node, "block_size", 0), count = skive_tensor_count(x);
    *out = (skv_scale_map){1, 1, count, 0, 1};
    if (!block && (scale->rank == 0 || (scale->rank == 1 && scale->dims[0] == 1))) return SKIVE_OK;
    int64_t axis = skv_axis(skv_attr_int(c->node, "axis", 1), x->rank);
    if (axis < 0 || block < 0)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "%s: axis or block_size is out of range",
                           c->node->op_type);
    *out = (skv_scale_map){1, x->dims[axis], 1, block, 1};
    for (int a = 0; a < x->rank; a++) {
        if (a < axis) out->outer *= x->dims[a];
        if (a > axis) out->inner *= x->dims[a];
    }
    if (block) out->blocks = out->length / block + (out->length % block != 0);
    return SKIVE_OK;
}

void skv_scale_runs(const skv_scale_map *m, void (*run)(void *user, int64_t first, int64_t n, int64_t s), void *user) {
    const int64_t rows = m->outer * m->length;
    if (m->block && m->inner > 1) { /* neighbours have different scales */
        for (int64_t e = 0; e < rows * m->inner; e++)
            run(user, e, 1, skv_scale_index(m, e / m->inner / m->length, e / m->inner % m->length, e % m->inner));
        return;
    }
    for (int64_t o = 0; o < m->outer; o++) {
        /* along the axis: a block at a time if elements of one are neighbours, else an index at a time */
        for (int64_t i = 0; i < m->length; i += m->block ? m->block : 1) {
            const int64_t left = m->length - i, n = !m->block ? m->inner : left < m->block ? left : m->block;
            const int64_t first = (o * m->length + i) * m->inner, s = skv_scale_index(m, o, i, 0);
            for (int64_t k = 0; k < n; k += SKV_SCALE_RUN)
                run(user, first + k, n - k < SKV_SCALE_RUN ? n - k : SKV_SCALE_RUN, s);
        }
    }
}

skv_grid_params skv_scale_params(const skive_tensor *scale, const skive_tensor *zero_point, int64_t s) {
    const bool integer = zero_point && !skv_dtype_is_small_float(zero_point->dtype);
    return (skv_grid_params){.scale = (float)skv_load_f64(scale->dtype, scale->data, (size_t)s),
                             .zero_point =
                                 integer ? (int32_t)skv_load_i64(zero_point->dtype, zero_point->data, (size_t)s) : 0};
}

bool skv_is_quantized_dtype(skive_dtype dtype) { return skv_grid_of_dtype(dtype) != NULL; }

void skv_couple_scales(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0)), *s = skv_couple_type(c, SKV_CIN(1, 0));
    if (!x || !s || x->rank < 0) return;
    const skive_node *n = skv_couple_node(c);
    int64_t block = skv_attr_int(n, "block_size", 0), at = skv_axis(skv_attr_int(n, "axis", 1), x->rank);
    bool zero_points = skv_node_in(n, 2) != NULL;
    for (int a = 0; a < x->rank; a++) {
        skv_couple_same(c, SKV_CIN(0, a), SKV_COUT(0, a));
        if (block && a == at) {
            skv_couple_fix(c, SKV_CIN(0, a), "this axis is quantized in blocks");
            skv_couple_fix(c, SKV_CIN(1, a), "this axis is quantized in blocks");
            if (zero_points) skv_couple_fix(c, SKV_CIN(2, a), "this axis is quantized in blocks");
        } else if (block && s->rank == x->rank) {
            skv_couple_same(c, SKV_CIN(0, a), SKV_CIN(1, a));
            if (zero_points) skv_couple_same(c, SKV_CIN(0, a), SKV_CIN(2, a));
        } else if (!block && a == at && s->rank == 1 && s->dims[0].size == x->dims[a].size && s->dims[0].size != 1) {
            skv_couple_same(c, SKV_CIN(0, a), SKV_CIN(1, 0));
            if (zero_points) skv_couple_same(c, SKV_CIN(0, a), SKV_CIN(2, 0));
        }
    }
}

int skv_quantize_needs_opset(const skive_node *n, skive_dtype integer, skive_dtype scale) {
    const int newest =
        skv_dtype_opset(integer) > skv_dtype_opset(scale) ? skv_dtype_opset(integer) : skv_dtype_opset(scale);
    if (newest > 21) return newest;
    const bool wide = integer == SKIVE_U16 || integer == SKIVE_I16 || integer == SKIVE_U4 || integer == SKIVE_I4;
    if (wide || skv_attr_int(n, "block_size", 0) || skv_attr_int(n, "output_dtype", 0)) return 21;
    if (skv_dtype_is_float8(integer)) return 19;
    return scale == SKIVE_F16 || scale == SKIVE_BF16 ? 19 : 13;
}

const skv_input_spec skv_quantize_inputs[SKV_QUANTIZE_INPUTS] = {
    {.role = SKV_ROLE_DATA}, {.role = SKV_ROLE_CONSTANT}, {.role = SKV_ROLE_CONSTANT}};

skive_status skv_fake_quantizer_of(skive_context *ctx, const skive_node *node, skv_quantizer *out) {
    const char *text = skv_attr_string(node, "grid", "");
    const skive_status status = skv_quantizer_parse(ctx, text, out);
    if (status == SKIVE_ERR_ARGUMENT || (status == SKIVE_OK && out->grid->own_levels))
        return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name, "%s: \"%.*s\" is not a number grid with fixed levels",
                           node->op_type, skv_utf8_prefix(text, 40), text);
    return status;
}

skive_value *skv_fake_quantize_gradient(skv_grad *c, const char *grid) {
    const skive_node *n = c->node;
    skv_attr_init attrs[7] = {SKV_STR("grid", grid)};
    size_t count = 1;
    if (skv_node_attr(n, "axis")) attrs[count++] = SKV_INT("axis", skv_attr_int(n, "axis", 1));
    if (skv_node_attr(n, "block_size")) attrs[count++] = SKV_INT("block_size", skv_attr_int(n, "block_size", 0));
    if (skv_node_attr(n, "step")) attrs[count++] = SKV_STR("step", skv_attr_string(n, "step", ""));
    if (skv_node_attr(n, "factor")) attrs[count++] = SKV_FLT("factor", skv_attr_float(n, "factor", 1));
    if (skv_node_attr(n, "transform")) attrs[count++] = SKV_STR("transform", skv_attr_string(n, "transform", ""));
    if (skv_node_attr(n, "delay")) attrs[count++] = SKV_FLT("delay", skv_attr_float(n, "delay", 0));
    const bool learned = c->need[SKV_FAKE_SCALE] && strcmp(skv_attr_string(n, "step", "fixed"), "fixed") != 0;
    skive_value *const in[] = {n->inputs[0], c->dout[0], skv_node_in(n, SKV_FAKE_SCALE), skv_node_in(n, SKV_FAKE_ZERO),
                               skv_node_in(n, SKV_FAKE_COUNT)};
    skive_value *out[2] = {NULL};
    skv_emit_n(c->b, "FakeQuantizeGrad",
               (skv_in_list){in, in[4]   ? 5
                                 : in[3] ? 4
                                 : in[2] ? 3
                                         : 2},
               (skv_attr_list){attrs, count}, out, learned ? 2 : 1);
    if (learned) c->din[SKV_FAKE_SCALE] = out[1];
    return out[0];
}

/* ---- FakeQuantize and its gradient ---- */

skive_status skv_fake_of(skive_context *ctx, const skive_node *node, bool has_scale, skv_fake *out) {
    static const char *const names[] = {"fixed", "lsq", "pact"};
    const char *step = skv_attr_string(node, "step", names[0]);
    *out = (skv_fake){.factor = skv_attr_float(node, "factor", 1),
                      .momentum = skv_attr_float(node, "momentum", 0),
                      .delay = skv_attr_float(node, "delay", 0),
                      .fits = !has_scale,
                      .tanh = strcmp(skv_attr_string(node, "transform", ""), "tanh") == 0};
    SKV_TRY(skv_fake_quantizer_of(ctx, node, &out->q));
    int k = (int)SKV_COUNT(names);
    while (k-- > 0 && strcmp(step, names[k]) != 0)
        ;
    if (k < 0)
        return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name, "%s: step \"%.40s\" is none of fixed, lsq and pact",
                           node->op_type, step);
    out->step = (skv_step_rule)k;
    if (has_scale || (out->q.per != SKV_PER_GROUP && !skv_attr_int(node, "block_size", 0))) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name, "%s: blocks need scales of their own", node->op_type);
}

skive_status skv_fake_want_count(skv_infer *c, size_t i) {
    SKV_TRY(skv_want_float(c, i));
    SKV_TRY(skv_want_rank(c, i, 0, 1));
    if (!skv_in_ranked(c, i) || c->in[i]->rank == 0 || skv_in_dim(c, i, 0) < 0 || skv_in_dim(c, i, 0) == 1)
        return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: input %zu, the steps so far, is not one number", c->node->op_type,
                          i);
}

void skv_fake_transform(const skv_fake *f, const skv_grid_params *p, float *x, int64_t n, float *slope) {
    if (!f->tanh) return;
    const double factor = f->most > 0 ? (double)p->scale * f->q.high / f->most : 0;
    for (int64_t i = 0; i < n; i++) {
        const double t = tanh((double)x[i]);
        if (slope) slope[i] = (float)(factor * (1 - t * t));
        x[i] = (float)(factor * t);
    }
}

void skv_fake_ends(const skv_quantizer *q, const skv_grid_params *p, float *low, float *high) {
    if (q->grid->uniform) {
        *low = (float)(q->low - p->zero_point);
        *high = (float)(q->high - p->zero_point);
        return;
    }
    *low = skv_grid_level(q, p, q->low);
    *high = skv_grid_level(q, p, q->high);
}

skive_status skv_fake_fit(skive_context *ctx, const skv_quantizer *q, const skive_tensor *x, int axis,
                          skv_grid_params **params, int64_t *n) {
    const int64_t count = skive_tensor_count(x);
    const bool one = q->per == SKV_PER_TENSOR || axis < 0 || x->rank < 2;
    const int64_t length = one ? 1 : x->dims[axis];
    int64_t inner = 1;
    float *part = NULL, *all = NULL;
    skive_status status;
    *n = length;
    *params = NULL;
    for (int a = axis + 1; !one && a < x->rank; a++) inner *= x->dims[a];
    if (one) inner = count;
    const int64_t outer = length && inner ? count / length / inner : 0, share = outer * inner;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)length + 1, sizeof **params, params));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)count + 1, sizeof *all, &all));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)share + 1, sizeof *part, &part));
    skv_to_f32(x->dtype, x->data, 0, (size_t)count, all);
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(all[i])) {
            status = SKV_FAIL(ctx, SKIVE_ERR_NUMERIC, "element %lld is NaN or infinite", (long long)i);
            goto done;
        }
    }
    for (int64_t k = 0; k < length && share > 0; k++) {
        for (int64_t o = 0; o < outer; o++)
            memcpy(part + o * inner, all + (o * length + k) * inner, (size_t)inner * sizeof *part);
        SKV_GO(status, done, q->grid->solve(ctx, q, part, share, NULL, &(*params)[k]));
        if (!((*params)[k].scale > 0)) (*params)[k].scale = 1; /* only zeros */
    }
done:
    skv_free(ctx, part);
    skv_free(ctx, all);
    if (status != SKIVE_OK) {
        skv_free(ctx, *params);
        *params = NULL;
    }
    return status;
}

typedef struct faking {
    const skv_fake *f;
    const skive_tensor *scale, *zero;
    const skv_grid_params *fitted;
    skv_fake_run run;
    void *user;
} faking;

static void one_run(void *user, int64_t first, int64_t n, int64_t s) {
    const faking *t = user;
    const skv_grid_params p = t->fitted ? t->fitted[s] : skv_scale_params(t->scale, t->zero, s);
    t->run(t->user, t->f, &p, first, n, s);
}

skive_status skv_fake_runs(const skv_eval *c, const skv_fake *f, const skive_tensor *x, const skive_tensor *scale,
                           const skive_tensor *zero, skv_fake_run run, void *user) {
    skv_fake own = *f;
    faking t = {&own, scale, zero, NULL, run, user};
    for (size_t i = 0; own.tanh && i < (size_t)skive_tensor_count(x); i++) {
        const double magnitude = fabs(tanh(skv_load_f64(x->dtype, x->data, i)));
        if (magnitude > own.most) own.most = magnitude;
    }
    skv_scale_map m = {1, 1, skive_tensor_count(x), 0, 1};
    skv_grid_params *fitted = NULL;
    if (!f->fits) {
        SKV_TRY(skv_scale_map_of(c, x, scale, &m));
        skv_scale_runs(&m, one_run, &t);
        return SKIVE_OK;
    }
    const int axis = (int)skv_axis(skv_attr_int(c->node, "axis", 0), x->rank);
    int64_t n = 0;
    SKV_TRY(skv_fake_fit(c->ctx, &f->q, x, axis, &fitted, &n));
    t.fitted = fitted;
    if (n != 1) {
        m = (skv_scale_map){1, n, 1, 0, 1};
        for (int a = 0; a < x->rank; a++) {
            if (a < axis) m.outer *= x->dims[a];
            if (a > axis) m.inner *= x->dims[a];
        }
    }
    skv_scale_runs(&m, one_run, &t);
    skv_free(c->ctx, fitted);
    return SKIVE_OK;
}

float skv_fake_cover(const skv_fake *f, const skv_grid_params *p, const float *x, int64_t n, float most) {
    float low, high;
    skv_fake_ends(&f->q, p, &low, &high);
    for (int64_t i = 0; i < n; i++) {
        const float need = x[i] > 0 && high > 0 ? x[i] / high : x[i] < 0 && low < 0 ? x[i] / low : 0;
        if (need > most) most = need;
    }
    return most;
}

double skv_ternary_limit(const skive_node *n, const skive_tensor *x) {
    double most = 0;
    for (size_t i = 0; i < (size_t)skive_tensor_count(x); i++) {
        const double magnitude = fabs(skv_load_f64(x->dtype, x->data, i));
        if (magnitude > most) most = magnitude;
    }
    return skv_attr_float(n, "threshold", 0.05) * most;
}

bool skv_same_scales(const skive_node *q, const skive_node *d) {
    if (q->inputs[1] == d->inputs[1]) return true;
    const skive_tensor *a = skv_value_tensor(q->inputs[1]), *b = skv_value_tensor(d->inputs[1]);
    return a && b && skv_tensor_same(a, b);
}

bool skv_bound_steps_of(const skv_bounding *b, skv_bound_steps *out) {
    const skive_node *n = skv_bounding_node(b);
    const skive_type *y = &n->outputs[0]->type;
    *out = (skv_bound_steps){.scale = skv_bound_constant(b, 1), .zero = skv_bound_constant(b, 2)};
    if (!out->scale || (skv_node_in(n, 2) && !out->zero)) return false;
    if (y->rank < 1 || skv_attr_int(n, "block_size", 0) != 0) return false;
    out->scales = skive_tensor_count(out->scale);
    out->axis = out->scales > 1 ? (int)skv_axis(skv_attr_int(n, "axis", 1), y->rank) : skv_bound_axis(b, 0);
    out->length = out->axis < 0 ? 1 : y->dims[out->axis].size;
    return out->length >= 1 && (out->scales <= 1 || out->scales == out->length);
}

float skv_bound_step(const skv_bound_steps *s, int64_t index) {
    return (float)skv_load_f64(s->scale->dtype, s->scale->data, s->scales > 1 ? (size_t)index : 0);
}

double skv_bound_zero(const skv_bound_steps *s, int64_t index) {
    return s->zero ? skv_load_f64(s->zero->dtype, s->zero->data, s->scales > 1 ? (size_t)index : 0) : 0;
}
