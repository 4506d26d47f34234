/* com.microsoft's DynamicQuantizeLSTM: an LSTM with 8-bit weights [d][i][4 h] and [d][h][4 h], with one scale per
 * direction or one per unit of a gate. X is quantized to uint8 by its range, and so is the state before every step
 * (each sample by its own range; onnxruntime uses that of the samples it processes together). Products are exact; the
 * rest is as in LSTM. */
#include <string.h>

#include "ops/recurrent/common_recurrent.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {SKV_RECURRENT_ATTRS, {"input_forget", SKV_ATTR_INT, SKV_OPTIONAL}};
enum { X, W, R, FLOATS = 8, W_SCALE = 8, W_ZERO, R_SCALE, R_ZERO, INPUTS };

static skive_status want_bytes(skv_infer *c, size_t i) {
    const skive_dtype t = c->in[i]->dtype;
    if (t == SKIVE_I8 || t == SKIVE_U8 || t == SKIVE_DTYPE_NONE) return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': input %zu is %s, not int8 or uint8", c->node->name, i,
                          skive_dtype_name(t));
}

/* The types of LSTM: the last two axes of the weights swapped, real numbers. */
static skive_status infer(skv_infer *c) {
    skive_type turned[2];
    const skive_type *in[FLOATS];
    skv_infer view = *c;
    for (size_t i = W_SCALE; i < INPUTS; i++)
        if (i >= c->n_in || !c->in[i])
            return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': input %zu, a scale or zero point, is missing",
                                  c->node->name, i);
    for (size_t i = W; i <= R; i++) {
        SKV_TRY(want_bytes(c, i));
        SKV_TRY(skv_want_rank(c, i, 3, 3));
        turned[i - W] = *c->in[i];
        turned[i - W].dtype = c->in[X]->dtype;
        if (c->in[i]->rank != 3) continue;
        turned[i - W].dims[1] = c->in[i]->dims[2];
        turned[i - W].dims[2] = c->in[i]->dims[1];
    }
    for (size_t i = 0; i < FLOATS; i++) in[i] = i == W || i == R ? &turned[i - W] : i < c->n_in ? c->in[i] : NULL;
    for (size_t i = W_SCALE; i < INPUTS; i++) SKV_TRY(skv_want_rank(c, i, 1, 2));
    SKV_TRY(skv_want_float(c, W_SCALE));
    SKV_TRY(skv_want_float(c, R_SCALE));
    SKV_TRY(skv_want_same_dtype(c, W, W_ZERO));
    SKV_TRY(skv_want_same_dtype(c, R, R_ZERO));
    view.in = in;
    view.n_in = c->n_in < FLOATS ? c->n_in : FLOATS;
    return skv_recurrent_infer(&view, &skv_cell_lstm);
}

/* q [d][k][n] as real numbers [d][n][k]. */
static skive_status read_weights(const skv_eval *c, size_t i, size_t s, double **out) {
    const skive_tensor *q = c->in[i], *scale = c->in[s], *zero = c->in[s + 1];
    const int64_t d = q->dims[0], k = q->dims[1], n = q->dims[2], scales = skive_tensor_count(scale),
                  zeros = skive_tensor_count(zero);
    if ((scales != d && scales != d * n) || (zeros != d && zeros != d * n))
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                           "node '%s': %lld scales and %lld zero points do not match input %zu", c->node->name,
                           (long long)scales, (long long)zeros, i);
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)skive_tensor_count(q) + 1, sizeof **out, out));
    for (int64_t a = 0; a < d; a++) {
        for (int64_t b = 0; b < k; b++) {
            for (int64_t j = 0; j < n; j++) {
                const double z = skive_tensor_get(zero, zeros == d ? a : a * n + j),
                             by = skive_tensor_get(scale, scales == d ? a : a * n + j);
                (*out)[(a * n + j) * k + b] = (skive_tensor_get(q, (a * k + b) * n + j) - z) * by;
            }
        }
    }
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    skv_recurrent r;
    skv_doubles in[FLOATS] = {{0}};
    double *w = NULL, *recurrent = NULL, *x = NULL;
    const double *operands[FLOATS] = {NULL};
    skive_status status;
    SKV_TRY(skv_recurrent_read(c, &skv_cell_lstm, &r));
    r.hidden = c->in[R]->dims[1];
    r.quantized = true;
    for (size_t i = 0; i < FLOATS; i++) {
        if (i == W || i == R || i == 4) continue;
        SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[i], &in[i]));
        operands[i] = in[i].p;
    }
    SKV_GO(status, done, read_weights(c, W, W_SCALE, &w));
    SKV_GO(status, done, read_weights(c, R, R_SCALE, &recurrent));
    SKV_GO(status, done, skv_alloc_array(c->ctx, in[X].n + 1, sizeof *x, &x));
    if (in[X].n) memcpy(x, in[X].p, in[X].n * sizeof *x);
    skv_recurrent_through_u8(x, (int64_t)in[X].n);
    operands[X] = x;
    operands[W] = w;
    operands[R] = recurrent;
    status = skv_recurrent_run_on(c, &skv_cell_lstm, &r, operands);
done:
    for (size_t i = 0; i < FLOATS; i++) skv_doubles_free(c->ctx, &in[i]);
    skv_free(c->ctx, x);
    skv_free(c->ctx, w);
    skv_free(c->ctx, recurrent);
    return status;
}

static const skv_op_case cases[] = {
    /* x = 1 is 255 steps of 1/255; all gates 50 * 0.02 = 1, as in LSTM's case by hand */
    {.name = "first step by hand",
     CASE_IN({CASE_F32(1, 1, 1), CASE_VALUES(1)}, {CASE_TYPED(SKIVE_I8, 1, 1, 4), CASE_VALUES(50, 50, 50, 50)},
             {CASE_TYPED(SKIVE_I8, 1, 1, 4), CASE_VALUES(3, 4, 5, 6)}, CASE_ABSENT, CASE_ABSENT, CASE_ABSENT,
             CASE_ABSENT, CASE_ABSENT, {CASE_F32(1), CASE_VALUES(0.02), .constant = true},
             {CASE_TYPED(SKIVE_I8, 1), CASE_VALUES(0)}, {CASE_F32(1), CASE_VALUES(0.02), .constant = true},
             {CASE_TYPED(SKIVE_I8, 1), CASE_VALUES(0)}),
     .n_out = 3,
     CASE_EXPECT(0.36960635293570576),
     CASE_OUT(1, 1, 1, 1),
     .no_grad = true},
    {.name = "both directions, a scale a unit, states",
     CASE_IN({CASE_F32(3, 2, 4)}, {CASE_TYPED(SKIVE_U8, 2, 4, 8), .lo = 0, .hi = 255},
             {CASE_TYPED(SKIVE_U8, 2, 2, 8), .lo = 0, .hi = 255}, {CASE_F32(2, 16)}, CASE_ABSENT, {CASE_F32(2, 2, 2)},
             {CASE_F32(2, 2, 2)}, {CASE_F32(2, 6)}, {CASE_F32(2, 8), .lo = 0.01, .hi = 0.02, .constant = true},
             {CASE_TYPED(SKIVE_U8, 2, 8), .lo = 100, .hi = 150},
             {CASE_F32(2, 8), .lo = 0.01, .hi = 0.02, .constant = true},
             {CASE_TYPED(SKIVE_U8, 2, 8), .lo = 100, .hi = 150}),
     CASE_ATTRS(CASE_STR("direction", "bidirectional")),
     .n_out = 3,
     CASE_OUT(3, 2, 2, 2),
     .no_grad = true},
};

const skv_op skv_op_dynamic_quantize_lstm = {
    .name = "DynamicQuantizeLSTM",
    .domain = "com.microsoft",
    .brief = "LSTM with 8-bit weights and states",
    .since = 1,
    .min_in = 3,
    .max_in = INPUTS,
    .min_out = 0,
    .max_out = 3,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_recurrent_cost,
    SKV_LIST(cases),
};
