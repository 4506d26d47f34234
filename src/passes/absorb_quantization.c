/* A node between DequantizeLinear and QuantizeLinear becomes its integer form: Conv, Gemm and MatMul with int8 weights
 * (a MatMul with the sum of its bias), Add, AveragePool and GlobalAveragePool, with a following Relu or Clip as limits
 * of the output; without a following QuantizeLinear, products and means give float32. MaxPool and nodes that only move
 * elements run on the integers directly, a Concat on bytes of one grid; a function of one element, and the step to
 * another grid, are tables of 256 bytes. The arithmetic of the integer nodes is in src/ops/quant/q_conv.c. */
#include <math.h>

#include "ops/common_activation.h"
#include "passes/fuse.h"
#include "passes/quantized.h"

/* The nodes from a node up to its QuantizeLinear. */
typedef struct tail {
    skive_node *chain[5]; /* the node itself, the sum with its bias, up to two activations, QuantizeLinear */
    size_t heads, n;      /* of the first two; all, or as many: the result is float */
    skv_q_grid y;
    int64_t lo, hi; /* limits set by the activation */
} tail;

/* The integer for the real number x. */
static int64_t on_grid(const skv_q_grid *g, double x) {
    if (x == -INFINITY) return 0;
    if (x == INFINITY) return 255;
    const double q = rint((double)((float)x / g->scale)) + g->zero_point;
    return q < 0 ? 0 : q > 255 ? 255 : (int64_t)q;
}

static bool is_real(const tail *t) { return t->n == t->heads; }

/* sum: adds the bias to what `head` gives; NULL: `head` does it, or there is none */
static tail tail_of(const skv_pass_env *env, skive_node *head, skive_node *sum) {
    tail t = {.chain = {head, sum}, .heads = sum ? 2 : 1, .lo = 0, .hi = 255};
    double lo = -INFINITY, hi = INFINITY;
    size_t n = t.n = t.heads;
    skive_node *next = skv_only_reader(env, t.chain[n - 1]->outputs[0]);
    while (n < t.heads + 2 && next && next->domain[0] == '\0' &&
           (skv_node_is(next, SKV_OP_RELU) || skv_node_is(next, SKV_OP_CLIP))) {
        double low = 0, high = INFINITY;
        if (skv_node_is(next, SKV_OP_CLIP) &&
            (!skv_clip_bound(next, 1, -INFINITY, &low) || !skv_clip_bound(next, 2, INFINITY, &high) || !(low <= high)))
            return t;
        lo = lo < low ? low : lo > high ? high : lo; /* the limits so far, as this one limits them */
        hi = hi < low ? low : hi > high ? high : hi;
        t.chain[n++] = next;
        next = skv_only_reader(env, next->outputs[0]);
    }
    if (!next || !skv_quantizes(next, &t.y)) return t;
    t.chain[n++] = next;
    t.n = n;
    t.lo = on_grid(&t.y, lo);
    t.hi = on_grid(&t.y, hi);
    return t;
}

enum { OUTPUT_ATTRS = 4 };

/* y_dtype, y_zero_point and the limits. */
static size_t output_attrs(const tail *t, const char *zero_point, skv_attr_init *to) {
    if (is_real(t)) {
        to[0] = SKV_STR("y_dtype", "float");
        return 1;
    }
    to[0] = SKV_STR("y_dtype", "u8");
    to[1] = SKV_INT(zero_point, t->y.zero_point);
    to[2] = SKV_INT("clamp_lo", t->lo);
    to[3] = SKV_INT("clamp_hi", t->hi);
    return OUTPUT_ATTRS;
}

/* ---- products ---- */

typedef struct product {
    skive_value *x;
    skv_q_grid x_grid;
    skv_q_weights w;
    skv_storage *rows, *bias;
    double *multiplier; /* [m] */
} product;

static bool is_product(const skive_node *n) {
    if (skv_node_is(n, SKV_OP_CONV)) return true;
    if (!skv_node_is(n, SKV_OP_GEMM) && !skv_node_is(n, SKV_OP_MAT_MUL)) return false;
    if (n->inputs[0]->type.rank != 2) return false;
    return skv_attr_int(n, "transA", 0) == 0 && skv_attr_float(n, "alpha", 1) == 1 && skv_attr_float(n, "beta", 1) == 1;
}

/* A MatMul has no bias: what is added to its only result, one number a column, is one. NULL: nothing is. */
static skive_node *sum_with_bias(const skv_pass_env *env, const skive_node *n, int64_t columns, skive_value **bias) {
    const skive_value *y = n->outputs[0];
    if (!skv_node_is(n, SKV_OP_MAT_MUL) || !skv_pass_hidden(env, y)) return NULL;
    skive_node *sum = y->uses[0].node;
    if (!skv_node_is(sum, SKV_OP_ADD) || sum->domain[0]) return NULL;
    skive_value *other = sum->inputs[sum->inputs[0] == y ? 1 : 0];
    if (other->type.rank != 1 || other->type.dims[0].size != columns) return NULL;
    *bias = other;
    return sum;
}

/* Weights, bias and multipliers; *fits is false if the node has to stay in float. */
static skive_status prepare_product(skive_context *ctx, const skive_node *n, const skive_value *bias, const tail *t,
                                    product *p, bool *fits) {
    const int64_t dims[2] = {p->w.m, p->w.k};
    const int8_t *rows = p->w.q->data;
    SKV_TRY(skv_storage_create(ctx, SKIVE_I32, 1, &p->w.m, &p->bias));
    SKV_TRY(skv_alloc_array(ctx, (size_t)p->w.m, sizeof *p->multiplier, &p->multiplier));
    *fits = skv_quantized_bias(bias, p->x_grid.scale, &p->w, p->bias->tensor.data);
    if (!*fits) return SKIVE_OK;
    if (!skv_q_weights_ready(&p->w)) {
        const bool conv = skv_node_is(n, SKV_OP_CONV);
        SKV_TRY(skv_storage_create(ctx, SKIVE_I8, conv ? p->w.q->rank : 2, conv ? p->w.q->dims : dims, &p->rows));
        skv_q_weight_rows(&p->w, p->rows->tensor.data);
        rows = p->rows->tensor.data;
    }
    for (int64_t m = 0; m < p->w.m; m++) {
        const double step = (double)p->x_grid.scale * skv_q_weight_scale(&p->w, m);
        p->multiplier[m] = (double)(float)(is_real(t) ? step : step / (double)t->y.scale);
        *fits = *fits && isfinite(p->multiplier[m]);
    }
    *fits = *fits && skv_q_sums_fit(p->x_grid.zero_point, rows, p->w.m, p->w.k, p->bias->tensor.data, NULL);
    return SKIVE_OK;
}

static skive_status put_product(skive_graph *g, const skive_node *n, const tail *t, product *p) {
    const bool conv = skv_node_is(n, SKV_OP_CONV);
    skv_builder b = skv_build(g);
    skv_attr_init attrs[2 + OUTPUT_ATTRS] = {SKV_INT("x_zero_point", p->x_grid.zero_point),
                                             SKV_FLTS("multiplier", p->multiplier, (size_t)p->w.m)};
    skive_value *w = p->w.value;
    if (p->rows) {
        w = skv_emit_param(&b, NULL, p->rows);
        p->rows = NULL;
    }
    skive_value *bias = skv_emit_param(&b, NULL, p->bias);
    p->bias = NULL;
    SKV_TRY(b.status);
    const skv_fusion f = {.chain = t->chain,
                          .n_chain = t->n,
                          .op = conv ? "QConv" : "QGemm",
                          .domain = SKV_DOMAIN,
                          .inputs = (skive_value *const[]){p->x, w, bias},
                          .n_inputs = 3,
                          .attrs = attrs,
                          .n_attrs = 2 + output_attrs(t, "y_zero_point", attrs + 2),
                          .keep_attrs = conv};
    return skv_fuse(g, &f);
}

/* With the sum (NULL: without), as far as the numbers fit. */
static skive_status absorb_with(const skv_pass_env *env, skive_graph *g, skive_node *n, skive_node *sum,
                                const skive_value *bias, product p, bool *done) {
    const tail t = tail_of(env, n, sum);
    bool fits = false;
    skive_status status = prepare_product(env->ctx, n, bias, &t, &p, &fits);
    if (status == SKIVE_OK && fits) {
        status = put_product(g, n, &t, &p);
        *done = true;
    }
    skv_storage_release(p.rows);
    skv_storage_release(p.bias);
    skv_free(env->ctx, p.multiplier);
    return status;
}

static skive_status absorb_product(const skv_pass_env *env, skive_graph *g, skive_node *n, bool *done) {
    product p = {0};
    p.x = skv_dequantized(n->inputs[0], &p.x_grid);
    if (!p.x || !is_product(n) || !skv_quantized_weights(n, &p.w)) return SKIVE_OK;
    skive_value *bias = NULL;
    skive_node *sum = sum_with_bias(env, n, p.w.m, &bias);
    if (sum) SKV_TRY(absorb_with(env, g, n, sum, bias, p, done));
    return *done ? SKIVE_OK : absorb_with(env, g, n, NULL, skv_node_in(n, 2), p, done);
}

/* ---- sums and means ---- */

static skive_status absorb_add(const skv_pass_env *env, skive_graph *g, skive_node *n, bool *done) {
    skv_q_grid a, b;
    skive_value *x = skv_dequantized(n->inputs[0], &a), *y = skv_dequantized(n->inputs[1], &b);
    if (!x || !y || !skv_type_same_static(&x->type, &y->type)) return SKIVE_OK;
    const tail t = tail_of(env, n, NULL);
    if (is_real(&t) || !isfinite((float)((double)a.scale / (double)t.y.scale)) ||
        !isfinite((float)((double)b.scale / (double)t.y.scale)))
        return SKIVE_OK;
    skv_attr_init attrs[5 + OUTPUT_ATTRS] = {
        SKV_FLT("a_scale", (double)a.scale), SKV_INT("a_zp", a.zero_point),         SKV_FLT("b_scale", (double)b.scale),
        SKV_INT("b_zp", b.zero_point),       SKV_FLT("y_scale", (double)t.y.scale),
    };
    const skv_fusion f = {.chain = t.chain,
                          .n_chain = t.n,
                          .op = "QAdd",
                          .domain = SKV_DOMAIN,
                          .inputs = (skive_value *const[]){x, y},
                          .n_inputs = 2,
                          .attrs = attrs,
                          .n_attrs = 5 + output_attrs(&t, "y_zp", attrs + 5)};
    *done = true;
    return skv_fuse(g, &f);
}

/* The number of elements in every window of AveragePool; 0 if it differs or is too large. */
static int64_t window_count(const skive_node *n) {
    size_t count = 0, n_pads = 0;
    const int64_t *kernel = skv_attr_ints(n, "kernel_shape", &count), *pads = skv_attr_ints(n, "pads", &n_pads);
    bool padded = strcmp(skv_attr_string(n, "auto_pad", "NOTSET"), "NOTSET") != 0;
    int64_t total = 1;
    for (size_t i = 0; i < n_pads; i++) padded = padded || pads[i] != 0;
    if (skv_attr_int(n, "ceil_mode", 0) != 0 || (padded && skv_attr_int(n, "count_include_pad", 0) == 0)) return 0;
    for (size_t i = 0; i < count; i++) total = skv_mul_sat(total, kernel[i]);
    return total > INT32_MAX / 255 ? 0 : total;
}

static int64_t plane_count(const skive_type *t) {
    int64_t total = 1;
    if (!skv_type_is_static(t) || t->rank < 3) return 0;
    for (int d = 2; d < t->rank; d++) total = skv_mul_sat(total, t->dims[d].size);
    return total > INT32_MAX / 255 ? 0 : total;
}

static skive_status absorb_mean(const skv_pass_env *env, skive_graph *g, skive_node *n, bool *done) {
    const bool global = skv_node_is(n, SKV_OP_GLOBAL_AVERAGE_POOL);
    skv_q_grid grid;
    skive_value *x = skv_dequantized(n->inputs[0], &grid);
    if (!x) return SKIVE_OK;
    const int64_t count = global ? plane_count(&x->type) : window_count(n);
    const tail t = tail_of(env, n, NULL);
    const double step = count ? (double)grid.scale / (double)count : 0;
    const float multiplier = (float)(is_real(&t) ? step : step / (double)t.y.scale);
    if (!(multiplier > 0) || !isfinite(multiplier)) return SKIVE_OK;
    skv_attr_init attrs[2 + OUTPUT_ATTRS] = {SKV_INT("x_zero_point", grid.zero_point),
                                             SKV_FLT("multiplier", (double)multiplier)};
    const skv_fusion f = {.chain = t.chain,
                          .n_chain = t.n,
                          .op = global ? "QGlobalAveragePool" : "QAveragePool",
                          .domain = SKV_DOMAIN,
                          .inputs = &x,
                          .n_inputs = 1,
                          .attrs = attrs,
                          .n_attrs = 2 + output_attrs(&t, "y_zero_point", attrs + 2),
                          .keep_attrs = !global};
    *done = true;
    return skv_fuse(g, &f);
}

/* ---- nodes that pass integers through ---- */

static bool same_grid(const skv_q_grid *a, const skv_q_grid *b) {
    return a->scale == b->scale && a->zero_point == b->zero_point;
}

enum { ENTRIES = 256 };

/* Of each byte on grid `from` the byte on grid `to`, through the function (NULL: none). False: it is not known, or gives
 * NaN. */
static bool fill_table(const skv_q_grid *from, const skive_node *function, const skv_q_grid *to, uint8_t *table) {
    const skv_pointwise kind = function ? skv_pointwise_of(function) : SKV_PW_NONE;
    const skv_pointwise_fn *f = skv_pointwise_at(kind);
    double p[2] = {0};
    if (function && !f) return false;
    if (f) skv_pointwise_params(function, f, p);
    if (kind == SKV_PW_CLIP &&
        (!skv_clip_bound(function, 1, -INFINITY, &p[0]) || !skv_clip_bound(function, 2, INFINITY, &p[1])))
        return false;
    for (int i = 0; i < ENTRIES; i++) {
        const double real = (double)((float)(i - from->zero_point) * from->scale);
        const double y = f ? (double)(float)f->value(real, p) : real;
        if (isnan(y)) return false;
        table[i] = (uint8_t)on_grid(to, y);
    }
    return true;
}

static skive_value *look_up(skv_builder *b, skive_value *x, const uint8_t *table) {
    const int64_t entries = ENTRIES;
    skv_storage *s = NULL;
    if (b->status == SKIVE_OK) b->status = skv_storage_create(b->graph->ctx, SKIVE_U8, 1, &entries, &s);
    if (b->status != SKIVE_OK) return NULL;
    memcpy(s->tensor.data, table, ENTRIES);
    return skv_emit(b, "QLookup", SKV_IN(x, skv_emit_param(b, NULL, s)), SKV_NONE);
}

static bool moves_elements(const skive_node *n) {
    const bool moves = skv_node_moves(n) || SKV_NODE_IS_ANY(n, SKV_OP_MAX_POOL, SKV_OP_SLICE);
    return moves && n->n_outputs == 1;
}

static skive_status absorb_move(const skv_pass_env *env, skive_graph *g, skive_node *n, bool *done) {
    enum { MOST = 5 };
    skv_q_grid before, after;
    skive_value *x = skv_dequantized(n->inputs[0], &before), *inputs[MOST] = {x};
    skive_node *q = x ? skv_only_reader(env, n->outputs[0]) : NULL;
    if (!q || n->n_inputs > MOST || !skv_quantizes(q, &after) || !same_grid(&before, &after)) return SKIVE_OK;
    for (uint32_t i = 1; i < n->n_inputs; i++) inputs[i] = n->inputs[i];
    const skv_fusion f = {.chain = (skive_node *const[]){n, q},
                          .n_chain = 2,
                          .op = n->op_type,
                          .domain = "",
                          .inputs = inputs,
                          .n_inputs = n->n_inputs,
                          .keep_attrs = true};
    *done = true;
    return skv_fuse(g, &f);
}

/* QuantizeLinear of a value dequantized from the same grid restores the integers; from another grid, and through a
 * function of one element, each of the 256 has its result. */
static skive_status absorb_bytes(const skv_pass_env *env, skive_graph *g, skive_node *n, bool *done) {
    const skive_value *real = n->inputs[0];
    const skive_node *function = real->producer;
    skv_q_grid before, after;
    skive_value *x = skv_dequantized(real, &before);
    if (skv_pass_keeps(env, n->outputs[0]) || !skv_quantizes(n, &after)) return SKIVE_OK;
    uint8_t table[ENTRIES];
    if (x) {
        function = NULL;
    } else if (function && function->n_inputs > 0 && skv_pass_hidden(env, real)) {
        x = skv_dequantized(function->inputs[0], &before);
    }
    if (!x || !fill_table(&before, function, &after, table)) return SKIVE_OK;
    *done = true;
    if (function || !same_grid(&before, &after)) {
        skv_builder b = skv_build(g);
        x = look_up(&b, x, table);
        SKV_TRY(b.status);
    }
    SKV_TRY(skv_value_replace_uses(n->outputs[0], x, false));
    return skv_graph_remove_node(n);
}

/* A Concat of dequantized values, only read by a QuantizeLinear, joins bytes on the grid of the result. */
static skive_status absorb_join(const skv_pass_env *env, skive_graph *g, skive_node *n, bool *done) {
    skive_node *q = skv_only_reader(env, n->outputs[0]);
    skv_q_grid before, after;
    if (!q || !skv_quantizes(q, &after) || n->n_inputs == 0) return SKIVE_OK;
    for (uint32_t i = 0; i < n->n_inputs; i++)
        if (!skv_dequantized(n->inputs[i], &before)) return SKIVE_OK;
    skive_value **inputs = NULL;
    uint8_t table[ENTRIES];
    skv_builder b = skv_build(g);
    SKV_TRY(skv_alloc_array(env->ctx, n->n_inputs, sizeof *inputs, &inputs));
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        inputs[i] = skv_dequantized(n->inputs[i], &before);
        if (same_grid(&before, &after)) continue;
        (void)fill_table(&before, NULL, &after, table);
        inputs[i] = look_up(&b, inputs[i], table);
    }
    const skv_fusion f = {.chain = (skive_node *const[]){n, q},
                          .n_chain = 2,
                          .op = "Concat",
                          .domain = "",
                          .inputs = inputs,
                          .n_inputs = n->n_inputs,
                          .keep_attrs = true};
    skive_status status = b.status;
    if (status == SKIVE_OK) status = skv_fuse(g, &f);
    skv_free(env->ctx, inputs);
    *done = true;
    return status;
}

static skive_status absorb(const skv_pass_env *env, skive_graph *g, skive_node *n, bool *done) {
    if (n->domain[0] || !n->op || n->n_inputs == 0 || !n->inputs[0]) return SKIVE_OK;
    if (skv_node_is(n, SKV_OP_QUANTIZE_LINEAR)) return absorb_bytes(env, g, n, done);
    if (skv_node_is(n, SKV_OP_ADD)) return absorb_add(env, g, n, done);
    if (skv_node_is(n, SKV_OP_AVERAGE_POOL) || skv_node_is(n, SKV_OP_GLOBAL_AVERAGE_POOL))
        return absorb_mean(env, g, n, done);
    if (skv_node_is(n, SKV_OP_CONCAT)) return absorb_join(env, g, n, done);
    if (moves_elements(n)) return absorb_move(env, g, n, done);
    return absorb_product(env, g, n, done);
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    /* A replacement node is appended to the list; the nodes before it are unchanged. */
    for (uint32_t i = 0; i < g->n_nodes;) {
        bool done = false;
        SKV_TRY(absorb(env, g, g->nodes[i], &done));
        *changes += done;
        if (!done) i++;
    }
    return SKIVE_OK;
}

const skv_pass skv_pass_absorb_quantization = {
    .name = "absorb-quantization",
    .brief = "replaces nodes between DequantizeLinear and QuantizeLinear by integer nodes",
    .when = SKV_PASS_INTEGER,
    .run = run,
};
