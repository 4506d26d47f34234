/* DynamicQuantizeCell(x, h, R, R_scale, N, N_scale, bias) -> h after the last step, h after each step: the steps of a
 * GRU or RNN, see common_dynamic_cell.h. x [t][b][gates h] are the sums of the input with all biases but `bias`. */
#include <math.h>
#include <string.h>

#include "ops/quant/common_dynamic_cell.h"
#include "ops/recurrent/common_recurrent.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"cell", SKV_ATTR_STRING, SKV_REQUIRED}, {"reverse", SKV_ATTR_INT, SKV_OPTIONAL}};
enum { X, H, R, R_SCALE, N, N_SCALE, BIAS };

/* Input i has `rank` axes, of these sizes as far as they are known (-1: not). */
static skive_status want_sizes(skv_infer *c, size_t i, int rank, int64_t first, int64_t second) {
    const int64_t want[2] = {first, second};
    SKV_TRY(skv_want_rank(c, i, rank, rank));
    for (int a = 0; a < rank; a++) {
        const int64_t have = skv_in_dim(c, i, a);
        if (have >= 0 && want[a] >= 0 && have != want[a])
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': input %zu has %lld elements along axis %d, not %lld",
                                  c->node->name, i, (long long)have, a, (long long)want[a]);
    }
    return SKIVE_OK;
}

/* Codes [h][columns] and their scales. */
static skive_status want_codes(skv_infer *c, size_t i, int64_t hidden, int64_t columns) {
    const skive_type *t = skv_in_type(c, i);
    if (t && t->dtype != SKIVE_DTYPE_NONE && t->dtype != SKIVE_I8)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': weights of type %s", c->node->name,
                              skive_dtype_name(t->dtype));
    SKV_TRY(want_sizes(c, i, 2, hidden, columns));
    SKV_TRY(skv_want_float(c, i + 1));
    return want_sizes(c, i + 1, 1, columns, -1);
}

static bool has(const skv_infer *c, size_t i) { return i < c->n_in && c->in[i]; }

static skive_status infer(skv_infer *c) {
    const skv_cell_kind kind = skv_cell_find(skv_attr_string(c->node, "cell", ""));
    if (kind == SKV_CELL_KINDS) return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': an unknown cell", c->node->name);
    if (!has(c, X) || !has(c, H) || !has(c, R) || !has(c, R_SCALE) ||
        (kind == SKV_CELL_GRU && !(has(c, N) && has(c, N_SCALE))) || (kind != SKV_CELL_GRU && has(c, N)))
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': inputs that do not belong to its cell", c->node->name);
    const int64_t gates = skv_cell_gates(kind), inside = kind == SKV_CELL_GRU ? 2 : gates;
    SKV_TRY(skv_want_float(c, X));
    SKV_TRY(skv_want_rank(c, X, 3, 3));
    SKV_TRY(skv_want_rank(c, R, 2, 2));
    const int64_t hidden = skv_in_dim(c, R, 0), batch = skv_in_dim(c, X, 1), sums = skv_in_dim(c, X, 2);
    if (hidden >= 0 && sums >= 0 && sums != skv_mul_sat(gates, hidden))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the sums and the weights do not match", c->node->name);
    SKV_TRY(skv_want_same_dtype(c, X, H));
    SKV_TRY(want_sizes(c, H, 2, batch, hidden));
    SKV_TRY(want_codes(c, R, hidden, hidden < 0 ? -1 : skv_mul_sat(inside, hidden)));
    if (kind == SKV_CELL_GRU) SKV_TRY(want_codes(c, N, hidden, hidden));
    if (has(c, BIAS)) {
        SKV_TRY(skv_want_float(c, BIAS));
        SKV_TRY(want_sizes(c, BIAS, 1, hidden, -1));
    }
    const skive_type *x = c->in[X], *r = c->in[R];
    for (size_t o = 0; o < c->n_out && o < 2; o++) {
        const int rank = 2 + (int)o;
        c->out[o] = (skive_type){.dtype = x->dtype, .rank = rank};
        for (int d = 0; d < rank - 1; d++)
            c->out[o].dims[d] = x->rank == 3 ? x->dims[d + 1 - (int)o] : skv_dim_unknown();
        c->out[o].dims[rank - 1] = r->rank == 2 ? r->dims[0] : skv_dim_unknown();
    }
    return SKIVE_OK;
}

typedef struct cell_run {
    skv_cell_kind kind;
    int64_t steps, batch, hidden, gates;
    double *x, *h, *state, *r, *n, *bias, *product, *gated, *all; /* all: [t][b][h] */
} cell_run;

/* Codes [k][n] as real numbers [n][k]. */
static skive_status real_codes(const skv_eval *c, size_t i, double **out) {
    const skive_tensor *q = i < c->n_in ? c->in[i] : NULL, *scale = q ? c->in[i + 1] : NULL;
    if (!q) return SKIVE_OK;
    const int64_t k = q->dims[0], n = q->dims[1];
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)(k * n) + 1, sizeof **out, out));
    for (int64_t a = 0; a < k; a++)
        for (int64_t b = 0; b < n; b++) (*out)[b * k + a] = skive_tensor_get(q, a * n + b) * skive_tensor_get(scale, b);
    return SKIVE_OK;
}

/* product[b][n] = the states, or what stands for them, through uint8, times weights [n][h] */
static void multiply(const cell_run *u, const double *weight, int64_t n, const double *h) {
    memcpy(u->state, h, (size_t)(u->batch * u->hidden) * sizeof *h);
    skv_recurrent_through_u8(u->state, u->batch * u->hidden);
    for (int64_t b = 0; b < u->batch; b++)
        skv_recurrent_product(weight, n, u->hidden, u->state + b * u->hidden, u->product + b * n);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static void step(const cell_run *u, const double *x) {
    const int64_t n = u->hidden, all = u->batch * n;
    const bool apart = u->kind == SKV_CELL_GRU;
    const int64_t columns = apart ? 2 * n : u->gates * n;
    multiply(u, u->r, columns, u->h);
    if (u->kind == SKV_CELL_RNN) {
        for (int64_t i = 0; i < all; i++) u->h[i] = tanh(x[i] + u->product[i]);
        return;
    }
    double *z = u->gated, *r = u->gated + all, *hidden = u->gated + 2 * all, *reset = u->gated + 3 * all;
    for (int64_t i = 0; i < all; i++) {
        const int64_t b = i / n, k = i % n;
        const double *sums = x + b * 3 * n, *p = u->product + b * columns;
        z[i] = sigmoid(sums[k] + p[k]);
        r[i] = sigmoid(sums[n + k] + p[n + k]);
        hidden[i] = sums[2 * n + k] + (apart ? 0 : r[i] * (p[2 * n + k] + (u->bias ? u->bias[k] : 0)));
        reset[i] = r[i] * u->h[i];
    }
    if (apart) multiply(u, u->n, n, reset);
    for (int64_t i = 0; i < all; i++) {
        const double fresh = tanh(hidden[i] + (apart ? u->product[i] : 0));
        u->h[i] = fresh + z[i] * (u->h[i] - fresh);
    }
}

static skive_status run_steps(const skv_eval *c, cell_run *u) {
    const int64_t states = u->batch * u->hidden;
    const bool reverse = skv_attr_int(c->node, "reverse", 0) != 0;
    skv_doubles x = {0}, h = {0}, bias = {0};
    skive_status status;
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[X], &x));
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[H], &h));
    if (c->n_in > BIAS && c->in[BIAS]) SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[BIAS], &bias));
    u->bias = (double *)bias.p;
    memcpy(u->h, h.p, (size_t)states * sizeof *u->h);
    for (int64_t i = 0; i < u->steps; i++) {
        const int64_t t = reverse ? u->steps - 1 - i : i;
        step(u, x.p + t * u->batch * u->gates * u->hidden);
        const skive_tensor *y = c->n_out > 1 ? c->out[1] : NULL;
        for (int64_t k = 0; y && k < states; k++) skv_store_f64(y->dtype, y->data, (size_t)(t * states + k), u->h[k]);
    }
    for (int64_t k = 0; c->out[0] && k < states; k++)
        skv_store_f64(c->out[0]->dtype, c->out[0]->data, (size_t)k, u->h[k]);
done:
    skv_doubles_free(c->ctx, &x);
    skv_doubles_free(c->ctx, &h);
    skv_doubles_free(c->ctx, &bias);
    return status;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[X];
    cell_run u = {.kind = skv_cell_find(skv_attr_string(c->node, "cell", "")),
                  .steps = x->dims[0],
                  .batch = x->dims[1],
                  .hidden = c->in[R]->dims[0]};
    u.gates = skv_cell_gates(u.kind);
    const size_t states = (size_t)(u.batch * u.hidden) + 1;
    skive_status status;
    SKV_GO(status, done, real_codes(c, R, &u.r));
    SKV_GO(status, done, real_codes(c, N, &u.n));
    SKV_GO(status, done, skv_alloc_array(c->ctx, states, sizeof(double), &u.h));
    SKV_GO(status, done, skv_alloc_array(c->ctx, states, sizeof(double), &u.state));
    SKV_GO(status, done, skv_alloc_array(c->ctx, states, 3 * sizeof(double), &u.product));
    SKV_GO(status, done, skv_alloc_array(c->ctx, states, 4 * sizeof(double), &u.gated));
    status = run_steps(c, &u);
done:
    skv_free(c->ctx, u.r);
    skv_free(c->ctx, u.n);
    skv_free(c->ctx, u.h);
    skv_free(c->ctx, u.state);
    skv_free(c->ctx, u.product);
    skv_free(c->ctx, u.gated);
    return status;
}

static void cost(const skive_node *n, skive_cost *cost) {
    const skive_value *x = n->inputs[X];
    const int64_t rows = skv_mul_sat(skv_dim_or_1(x, 0), skv_dim_or_1(x, 1));
    cost->macs =
        skv_add_sat(cost->macs, skv_mul_sat(rows, skv_mul_sat(skv_dim_or_1(x, 2), skv_dim_or_1(n->inputs[R], 0))));
    skv_cost_per_element(n, cost);
}

/* One step: x = 1 for all gates and h = 1, which is 255 steps of 1/255; codes 50 with scale 0.02 add 1. RNN: tanh 2.
 * GRU: z = r = 1 / (1 + exp -2) = 0.8807970779778823; n = tanh(1 + r), h = n + z (1 - n); the reset state r has one
 * element, which its own range holds exactly. */
static const skv_op_case cases[] = {
    {.name = "rnn by hand",
     CASE_IN({CASE_F32(1, 1, 1), CASE_VALUES(1)}, {CASE_F32(1, 1), CASE_VALUES(1)},
             {CASE_TYPED(SKIVE_I8, 1, 1), CASE_VALUES(50), .constant = true},
             {CASE_F32(1), CASE_VALUES(0.02), .constant = true}),
     CASE_ATTRS(CASE_STR("cell", "rnn")),
     .n_out = 2,
     CASE_EXPECT(0.9640275800758169),
     CASE_OUT(1, 1),
     .no_grad = true},
    {.name = "gru by hand",
     CASE_IN({CASE_F32(1, 1, 3), CASE_VALUES(1, 1, 1)}, {CASE_F32(1, 1), CASE_VALUES(1)},
             {CASE_TYPED(SKIVE_I8, 1, 2), CASE_VALUES(50, 50), .constant = true},
             {CASE_F32(2), CASE_VALUES(0.02, 0.02), .constant = true},
             {CASE_TYPED(SKIVE_I8, 1, 1), CASE_VALUES(50), .constant = true},
             {CASE_F32(1), CASE_VALUES(0.02), .constant = true}),
     CASE_ATTRS(CASE_STR("cell", "gru")),
     .n_out = 2,
     CASE_EXPECT(0.9945837714808965),
     CASE_OUT(1, 1),
     .no_grad = true},
    {.name = "gru whose reset is behind the product, backward",
     CASE_IN({CASE_F32(3, 2, 12)}, {CASE_F32(2, 4)},
             {CASE_TYPED(SKIVE_I8, 4, 12), .lo = -127, .hi = 127, .constant = true},
             {CASE_F32(12), .lo = 0.005, .hi = 0.01, .constant = true}, CASE_ABSENT, CASE_ABSENT,
             {CASE_F32(4), .constant = true}),
     CASE_ATTRS(CASE_STR("cell", "gru-linear"), CASE_INT("reverse", 1)),
     .n_out = 2,
     CASE_OUT(2, 4),
     .no_grad = true},
};

const skv_op skv_op_dynamic_quantize_cell = {
    .name = "DynamicQuantizeCell",
    .domain = SKV_DOMAIN,
    .brief = "the steps of a GRU or RNN with 8-bit weights and states",
    .since = 1,
    .min_in = 4,
    .max_in = 7,
    .min_out = 1,
    .max_out = 2,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
