/* MatMul: matrix product over the last two axes, the axes before them broadcast (NumPy's matmul). A vector on the left
 * is a row, one on the right a column; the added axis is not in the result. */
#include "ops/matrix/common_mat_mul.h"

static skive_status infer(skv_infer *c) {
    for (size_t i = 0; i < 2; i++) {
        const skive_type *t = skv_in_type(c, i);
        bool whole =
            t && (t->dtype == SKIVE_I32 || t->dtype == SKIVE_I64 || t->dtype == SKIVE_U32 || t->dtype == SKIVE_U64);
        if (!whole) SKV_TRY(skv_want_float(c, i));
    }
    SKV_TRY(skv_want_same_dtype(c, 0, 1));
    if (c->in[0]) c->out[0].dtype = c->in[0]->dtype;
    return skv_infer_mat_mul(c, 0, 1);
}

static skive_status run(const skv_eval *c) {
    skv_doubles a = {0}, b = {0};
    skv_result y = {0};
    skive_status status;
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &a));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[1], &b));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    SKV_GO(status, out, skv_mat_mul_f64(c, c->in[0], a.p, c->in[1], b.p, y.p));
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &a);
    skv_doubles_free(c->ctx, &b);
    skv_result_free(c->ctx, &y);
    return status;
}

static skive_value *add_axis(skv_builder *b, skive_value *v, int64_t axis) {
    return skv_emit(b, "Unsqueeze", SKV_IN(v, skv_emit_ints(b, &axis, 1)), SKV_NONE);
}

static skive_value *turn(skv_builder *b, skive_value *v, int rank) {
    int64_t perm[SKIVE_MAX_RANK];
    for (int i = 0; i < rank; i++) perm[i] = i;
    perm[rank - 1] = rank - 2;
    perm[rank - 2] = rank - 1;
    return skv_emit(b, "Transpose", SKV_IN(v), SKV_ATTRS(SKV_INTS("perm", perm, (size_t)rank)));
}

/* A matrix that is the factor of all batches: the rows of all of them make one product, instead of one each and their
 * sum. NULL where the columns are not known. */
static skive_value *of_shared_matrix(skv_builder *b, skive_value *x, skive_value *dy) {
    if (x->type.rank < 1 || dy->type.rank < 1) return NULL;
    const int64_t rows_x[] = {-1, x->type.dims[x->type.rank - 1].size},
                  rows_dy[] = {-1, dy->type.dims[dy->type.rank - 1].size};
    if (rows_x[1] < 1 || rows_dy[1] < 1) return NULL;
    skive_value *flat_x = skv_emit(b, "Reshape", SKV_IN(x, skv_emit_ints(b, rows_x, 2)), SKV_NONE);
    skive_value *flat_dy = skv_emit(b, "Reshape", SKV_IN(dy, skv_emit_ints(b, rows_dy, 2)), SKV_NONE);
    return skv_emit(b, "Gemm", SKV_IN(flat_x, flat_dy), SKV_ATTRS(SKV_INT("transA", 1)));
}

/* dA = dY B^T and dB = A^T dY, with vectors converted to matrices first and back at the end. */
static skive_status grad(skv_grad *c) {
    skv_builder *b = c->b;
    skive_value *x = c->node->inputs[0], *w = c->node->inputs[1], *dy = c->dout[0];
    int x_rank = x->type.rank, w_rank = w->type.rank;
    if (x_rank < 1 || w_rank < 1)
        return skv_fail_at(b->graph->ctx, SKIVE_ERR_UNSUPPORTED, c->node->name,
                           "MatMul: the gradient needs inputs of known rank");
    bool row = x_rank == 1, column = w_rank == 1;
    skive_value *x2 = row ? add_axis(b, x, 0) : x, *w2 = column ? add_axis(b, w, 1) : w;
    if (column) dy = add_axis(b, dy, -1);
    if (row) dy = add_axis(b, dy, -2);
    if (c->need[0]) {
        skive_value *d = skv_emit(b, "MatMul", SKV_IN(dy, turn(b, w2, column ? 2 : w_rank)), SKV_NONE);
        d = skv_grad_unbroadcast(b, d, x2);
        if (row) d = skv_emit(b, "Squeeze", SKV_IN(d, skv_emit_ints(b, (const int64_t[]){0}, 1)), SKV_NONE);
        c->din[0] = d;
    }
    if (c->need[1]) {
        skive_value *d = w_rank == 2 && x_rank > 2 ? of_shared_matrix(b, x, dy) : NULL;
        if (!d)
            d = skv_grad_unbroadcast(b, skv_emit(b, "MatMul", SKV_IN(turn(b, x2, row ? 2 : x_rank), dy), SKV_NONE), w2);
        if (column) d = skv_emit(b, "Squeeze", SKV_IN(d, skv_emit_ints(b, (const int64_t[]){1}, 1)), SKV_NONE);
        c->din[1] = d;
    }
    return b->status;
}

static void couple(skv_couple *c) { skv_couple_mat_mul(c, 0, 1); }

static void cost(const skive_node *n, skive_cost *out) {
    const skive_value *a = skv_node_in(n, 0);
    if (!a || n->n_outputs < 1 || !n->outputs[0]) return;
    out->macs =
        skv_add_sat(out->macs, skv_mul_sat(skv_dim_or_1(a, a->type.rank - 1), skv_type_count(&n->outputs[0]->type)));
}

static const double a23[] = {1, 2, 3, 4, 5, 6}, b32[] = {7, 8, 9, 10, 11, 12}, y22[] = {58, 64, 139, 154};
static const int64_t out22[] = {2, 2}, out2[] = {2}, out_batch[] = {2, 3, 2, 2};
static const skv_case_in in_2d[] = {{.dtype = SKIVE_F32, .rank = 2, .dims = {2, 3}, .values = a23},
                                    {.dtype = SKIVE_F32, .rank = 2, .dims = {3, 2}, .values = b32}};
static const double v3[] = {1, 0, -1}, v_left[] = {-4, -4}, v_right[] = {-2, -2}, dot[] = {2};
static const skv_case_in in_left[] = {{.dtype = SKIVE_F32, .rank = 1, .dims = {3}, .values = v3},
                                      {.dtype = SKIVE_F32, .rank = 2, .dims = {3, 2}, .values = b32}};
static const skv_case_in in_right[] = {{.dtype = SKIVE_F32, .rank = 2, .dims = {2, 3}, .values = a23},
                                       {.dtype = SKIVE_F32, .rank = 1, .dims = {3}, .values = v3}};
static const skv_case_in in_dot[] = {{.dtype = SKIVE_F32, .rank = 1, .dims = {3}, .values = v3},
                                     {.dtype = SKIVE_F32, .rank = 1, .dims = {3}, .values = v3}};
static const skv_case_in in_batch[] = {{.dtype = SKIVE_F32, .rank = 4, .dims = {2, 1, 2, 4}},
                                       {.dtype = SKIVE_F32, .rank = 3, .dims = {3, 4, 2}}};
static const skv_case_in in_weight[] = {{.dtype = SKIVE_F32, .rank = 3, .dims = {2, 3, 4}},
                                        {.dtype = SKIVE_F32, .rank = 2, .dims = {4, 5}}};
static const skv_case_in in_vector[] = {{.dtype = SKIVE_F32, .rank = 1, .dims = {4}},
                                        {.dtype = SKIVE_F32, .rank = 3, .dims = {3, 4, 2}}};
/* Each batch of two takes the one matrix on the right. */
static const double a221[] = {1, 2, 3, 4}, b112[] = {5, 6}, y222[] = {5, 6, 10, 12, 15, 18, 20, 24};
static const skv_case_in in_share[] = {{.dtype = SKIVE_F32, .rank = 3, .dims = {2, 2, 1}, .values = a221},
                                       {.dtype = SKIVE_F32, .rank = 3, .dims = {1, 1, 2}, .values = b112}};
static const skv_op_case cases[] = {
    {.name = "one matrix for all batches",
     CASE_IN({CASE_F32(2, 3, 2, 4)}, {CASE_F32(4, 5)}),
     .n_out = 1,
     CASE_OUT(2, 3, 2, 5)},
    {.name = "batches of either side",
     CASE_IN({CASE_F32(3, 1, 2, 4)}, {CASE_F32(2, 4, 5)}),
     .n_out = 1,
     CASE_OUT(3, 2, 2, 5)},
    {.name = "as many matrices as in attention",
     CASE_IN({CASE_F32(2, 3, 5, 7)}, {CASE_F32(2, 3, 7, 9)}),
     .n_out = 1,
     CASE_OUT(2, 3, 5, 9)},
    {.name = "2-d", CASE_IN_OF(in_2d), .n_out = 1, CASE_EXPECT_OF(y22), CASE_DIMS_OF(out22)},
    {.name = "vector on the left", CASE_IN_OF(in_left), .n_out = 1, CASE_EXPECT_OF(v_left), CASE_DIMS_OF(out2)},
    {.name = "vector on the right", CASE_IN_OF(in_right), .n_out = 1, CASE_EXPECT_OF(v_right), CASE_DIMS_OF(out2)},
    {.name = "two vectors", CASE_IN_OF(in_dot), .n_out = 1, CASE_EXPECT_OF(dot)},
    {.name = "a batch with one matrix", CASE_IN_OF(in_share), .n_out = 1, CASE_EXPECT_OF(y222)},
    {.name = "batches broadcast", CASE_IN_OF(in_batch), .n_out = 1, CASE_DIMS_OF(out_batch)},
    {.name = "a batch with a weight", CASE_IN_OF(in_weight), .n_out = 1},
    {.name = "a vector with a batch", CASE_IN_OF(in_vector), .n_out = 1},
};

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_WEIGHT,
     .axes = true,
     .out_axis = -2,
     .in_axis = -1,
     .either = true,
     .data = 1,
     .data_axis = -2,
     .result_axis = -2,
     .channels = "rows"},
    {.role = SKV_ROLE_WEIGHT,
     .axes = true,
     .out_axis = -1,
     .in_axis = -2,
     .either = true,
     .data_axis = -1,
     .result_axis = -1,
     .channels = "neurons"},
};

const skv_op skv_op_mat_mul = {
    .name = "MatMul",
    .domain = "",
    .brief = "matrix product with batch axes",
    .since = 9,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(inputs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .bounds = skv_bound_product,
    .cost = cost,
    SKV_LIST(cases),
    .integer_form = "QGemm",
};
