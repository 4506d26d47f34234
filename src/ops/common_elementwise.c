/* Reference runs of element-wise ops, with NumPy broadcasting. See common_elementwise.h. */
#include "ops/common_elementwise.h"
#include "tensor/strings.h"

skive_status skv_walk_start(skv_walk *w, const skv_eval *c, int rank, const int64_t *dims,
                            const skive_tensor *const *in, size_t n_in) {
    *w = (skv_walk){.rank = rank, .n_in = n_in};
    if (n_in > SKV_WALK_MAX || !skv_dims_count(rank, dims, &w->count))
        return skv_fail_at(c->ctx, SKIVE_ERR_INTERNAL, c->node->name, "a walk over %zu inputs", n_in);
    for (int d = 0; d < rank; d++) w->dims[d] = dims[d];
    for (size_t k = 0; k < n_in; k++) {
        int64_t stride = 1;
        bool fits = in[k]->rank <= rank;
        for (int d = in[k]->rank - 1; fits && d >= 0; d--) {
            int o = d + rank - in[k]->rank;
            fits = in[k]->dims[d] == dims[o] || in[k]->dims[d] == 1;
            w->strides[k][o] = in[k]->dims[d] == 1 ? 0 : stride;
            stride *= in[k]->dims[d];
        }
        if (!fits) {
            char a[SKV_DIMS_TEXT], b[SKV_DIMS_TEXT];
            return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "%s does not broadcast to %s",
                               skv_dims_text(in[k]->rank, in[k]->dims, a, sizeof a),
                               skv_dims_text(rank, dims, b, sizeof b));
        }
    }
    return SKIVE_OK;
}

void skv_walk_next(skv_walk *w) {
    for (int d = w->rank - 1; d >= 0; d--) {
        for (size_t k = 0; k < w->n_in; k++) w->at[k] = (size_t)((int64_t)w->at[k] + w->strides[k][d]);
        if (++w->index[d] < w->dims[d]) return;
        for (size_t k = 0; k < w->n_in; k++) w->at[k] = (size_t)((int64_t)w->at[k] - w->strides[k][d] * w->dims[d]);
        w->index[d] = 0;
    }
}

/* ---- integers ---- */

int64_t skv_load_bits(skive_dtype dtype, const void *data, size_t i) {
    if (dtype == SKIVE_U64) return (int64_t)((const uint64_t *)data)[i];
    return skv_load_i64(dtype, data, i);
}

void skv_store_wrap(skive_dtype dtype, void *data, size_t i, int64_t value) {
    uint64_t bits = (uint64_t)value;
    switch (skive_dtype_bits(dtype)) {
    case 2: skv_store_narrow(2, data, i, (unsigned)(bits & 3u)); return;
    case 4: skv_store_narrow(4, data, i, (unsigned)(bits & 15u)); return;
    case 8: ((uint8_t *)data)[i] = dtype == SKIVE_BOOL ? value != 0 : (uint8_t)(bits & 0xffu); return;
    case 16: ((uint16_t *)data)[i] = (uint16_t)(bits & 0xffffu); return;
    case 32: ((uint32_t *)data)[i] = (uint32_t)(bits & 0xffffffffu); return;
    case 64: ((uint64_t *)data)[i] = bits; return;
    default: return;
    }
}

/* ---- runs ---- */

static skive_status same_count(const skv_eval *c, size_t input) {
    const skive_tensor *x = c->in[input], *y = c->out[0];
    if (skv_tensor_same_shape(x, y)) return SKIVE_OK;
    char a[SKV_DIMS_TEXT + 32], b[SKV_DIMS_TEXT + 32];
    return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "input %zu is %s, but the output is %s", input,
                       skv_tensor_text(x, a, sizeof a), skv_tensor_text(y, b, sizeof b));
}

skive_status skv_unary_run(const skv_eval *c, double (*f)(double)) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    SKV_TRY(same_count(c, 0));
    size_t n = (size_t)skive_tensor_count(x);
    for (size_t i = 0; i < n; i++) skv_store_f64(y->dtype, y->data, i, f(skv_load_f64(x->dtype, x->data, i)));
    return SKIVE_OK;
}

skive_status skv_unary_run_with(const skv_eval *c, double (*f)(double, const double *), const double *params) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    SKV_TRY(same_count(c, 0));
    size_t n = (size_t)skive_tensor_count(x);
    for (size_t i = 0; i < n; i++) skv_store_f64(y->dtype, y->data, i, f(skv_load_f64(x->dtype, x->data, i), params));
    return SKIVE_OK;
}

skive_status skv_unary_run_numeric(const skv_eval *c, double (*f)(double), int64_t (*g)(int64_t)) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    if (skv_dtype_is_float(x->dtype)) return skv_unary_run(c, f);
    SKV_TRY(same_count(c, 0));
    size_t n = (size_t)skive_tensor_count(x);
    for (size_t i = 0; i < n; i++) skv_store_wrap(y->dtype, y->data, i, g(skv_load_i64(x->dtype, x->data, i)));
    return SKIVE_OK;
}

skive_status skv_pair_run(const skv_eval *c, double (*f)(double, double, const double *), const double *params) {
    const skive_tensor *g = c->in[0], *x = c->in[1], *y = c->out[0];
    SKV_TRY(same_count(c, 0));
    SKV_TRY(same_count(c, 1));
    size_t n = (size_t)skive_tensor_count(x);
    for (size_t i = 0; i < n; i++) {
        double v = f(skv_load_f64(g->dtype, g->data, i), skv_load_f64(x->dtype, x->data, i), params);
        skv_store_f64(y->dtype, y->data, i, v);
    }
    return SKIVE_OK;
}

/* y = op(a, b) broadcast to y; y may be a when the shapes agree. */
static skive_status binary_into(const skv_eval *c, const skv_binary *op, const skive_tensor *a, const skive_tensor *b,
                                const skive_tensor *y) {
    skv_walk w;
    if (a->dtype != b->dtype || a->dtype != y->dtype)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "the operands have different types, %s and %s",
                           skive_dtype_name(a->dtype), skive_dtype_name(b->dtype));
    skive_dtype t = a->dtype;
    SKV_TRY(skv_walk_start(&w, c, y->rank, y->dims, (const skive_tensor *const[]){a, b}, 2));
    for (size_t i = 0; i < (size_t)w.count; i++, skv_walk_next(&w)) {
        if (skv_dtype_is_float(t)) {
            double v = op->f(skv_load_f64(t, a->data, w.at[0]), skv_load_f64(t, b->data, w.at[1]));
            skv_store_f64(t, y->data, i, v);
            continue;
        }
        int64_t p = skv_load_bits(t, a->data, w.at[0]), q = skv_load_bits(t, b->data, w.at[1]);
        int64_t v = t == SKIVE_U64 && op->u ? (int64_t)op->u((uint64_t)p, (uint64_t)q) : op->i(p, q);
        skv_store_wrap(t, y->data, i, v);
    }
    return SKIVE_OK;
}

skive_status skv_binary_run(const skv_eval *c, const skv_binary *op) {
    return binary_into(c, op, c->in[0], c->in[1], c->out[0]);
}

static double first_f(double a, double b) {
    (void)b;
    return a;
}
static int64_t first_i(int64_t a, int64_t b) {
    (void)b;
    return a;
}

skive_status skv_variadic_run(const skv_eval *c, const skv_binary *op) {
    static const skv_binary first = {.f = first_f, .i = first_i, .u = NULL};
    if (c->n_in == 1) return binary_into(c, &first, c->in[0], c->in[0], c->out[0]);
    SKV_TRY(skv_binary_run(c, op));
    for (size_t k = 2; k < c->n_in; k++) SKV_TRY(binary_into(c, op, c->out[0], c->in[k], c->out[0]));
    return SKIVE_OK;
}

skive_status skv_compare_run(const skv_eval *c, bool (*holds)(int order)) {
    const skive_tensor *a = c->in[0], *b = c->in[1], *y = c->out[0];
    skv_walk w;
    if (a->dtype != b->dtype)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "the operands have different types, %s and %s",
                           skive_dtype_name(a->dtype), skive_dtype_name(b->dtype));
    skive_dtype t = a->dtype;
    SKV_TRY(skv_walk_start(&w, c, y->rank, y->dims, c->in, 2));
    for (size_t i = 0; i < (size_t)w.count; i++, skv_walk_next(&w)) {
        int order;
        if (t == SKIVE_STRING) {
            const int sign = strcmp(skv_string_at(a, w.at[0]), skv_string_at(b, w.at[1]));
            order = sign < 0 ? -1 : sign > 0;
        } else if (skv_dtype_is_float(t)) {
            double p = skv_load_f64(t, a->data, w.at[0]), q = skv_load_f64(t, b->data, w.at[1]);
            order = p < q ? -1 : p > q ? 1 : p == q ? 0 : 2;
        } else {
            int64_t p = skv_load_bits(t, a->data, w.at[0]), q = skv_load_bits(t, b->data, w.at[1]);
            order = p == q ? 0 : (t == SKIVE_U64 ? (uint64_t)p < (uint64_t)q : p < q) ? -1 : 1;
        }
        ((uint8_t *)y->data)[i] = holds(order);
    }
    return SKIVE_OK;
}
