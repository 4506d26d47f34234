/* Gemm, FusedGemm and MatMul in f32 where one operand is a constant that is mostly zeros, or coded. Of a constant
 * right operand the rows of W are its columns and a position is a sample; of a constant left one the rows are its own.
 * */
#include "kernels/sparse/layer.h"

static int64_t size(const skv_kernel_node *n, size_t i, int axis) { return n->in[i].type.dims[axis].size; }

/* All axes but the last `inner`, taken together. */
static int64_t outer(const skv_kernel_node *n, size_t i, int inner) {
    int64_t count = 1;
    for (int a = 0; a < n->in[i].type.rank - inner; a++) count *= size(n, i, a);
    return count;
}

static skv_sparse_shape product_shape(void) {
    return (skv_sparse_shape){
        .images = 1, .groups = 1, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}, .x_block = 1, .y_block = 1};
}

static void lay_weight(skv_sparse_layer *l, int64_t rows, int64_t columns, bool by_rows) {
    l->w.rows = rows;
    l->w.columns = columns;
    l->w.row_step = by_rows ? columns : 1;
    l->w.column_step = by_rows ? 1 : rows;
}

/* X W: lines are samples of one column each, or one line of samples where X is stored transposed. */
static void read_right(const skv_kernel_node *n, bool trans_x, bool trans_w, skv_sparse_layer *l) {
    const int64_t k = size(n, 1, trans_w ? 1 : 0), rows = size(n, 1, trans_w ? 0 : 1),
                  samples = trans_x ? size(n, 0, 1) : outer(n, 0, 1);
    skv_sparse_shape *s = &l->s;
    lay_weight(l, rows, k, trans_w);
    s->channels = k;
    s->rows = rows;
    s->lines = s->in_lines = trans_x ? 1 : samples;
    s->width = s->in_width = trans_x ? samples : 1;
    s->x_channel = trans_x ? samples : 1;
    s->x_line = trans_x ? 0 : k;
    s->y_row = 1;
    s->y_line = trans_x ? 0 : rows;
    s->y_column = trans_x ? rows : 1;
}

/* W X, X being one matrix or many. */
static void read_left(const skv_kernel_node *n, bool trans_w, bool trans_x, skv_sparse_layer *l) {
    const int x_rank = n->in[1].type.rank;
    const int64_t k = size(n, 0, trans_w ? 0 : 1), rows = size(n, 0, trans_w ? 1 : 0),
                  width = size(n, 1, trans_x ? x_rank - 2 : x_rank - 1), many = outer(n, 1, 2);
    skv_sparse_shape *s = &l->s;
    lay_weight(l, rows, k, !trans_w);
    s->channels = k;
    s->rows = rows;
    s->lines = s->in_lines = trans_x ? width : many;
    s->width = s->in_width = trans_x ? 1 : width;
    s->x_channel = trans_x ? 1 : width;
    s->x_line = trans_x ? k : k * width;
    s->y_row = width;
    s->y_line = trans_x ? 1 : rows * width;
    s->y_column = 1;
}

/* C must be one number a row of W, so that it is a bias. */
static bool read_tail(const skv_kernel_node *n, bool right, skv_sparse_layer *l, skv_why *why) {
    const bool plain_product = skv_node_is(n->node, SKV_OP_MAT_MUL);
    const double beta = plain_product ? 0 : skv_attr_float(n->node, "beta", 1);
    l->factor = plain_product ? 1.0f : (float)skv_attr_float(n->node, "alpha", 1);
    if (n->node->domain[0] && skv_activation_read(n->ctx, n->node, &l->tail.act) != SKIVE_OK)
        return skv_decline(why, "its activation");
    l->tail.residual = skv_kernel_has_input(n, 3) ? 3 : 0;
    if (!skv_kernel_has_input(n, 2) || beta == 0) return true;
    const skive_type *c = &n->in[2].type;
    const int64_t columns = c->rank > 0 ? c->dims[c->rank - 1].size : 1,
                  lines = c->rank > 1 ? c->dims[c->rank - 2].size : 1;
    if (beta != 1 || (right ? lines != 1 || columns != l->s.rows : columns != 1 || lines != l->s.rows))
        return skv_decline(why, "its C is not one number per output");
    l->tail.bias = 2;
    return true;
}

/* Multiply-adds a cycle of the dense product, measured on Zen 4. One sample waits for the weight, from wherever it
 * comes. */
static double dense_rate(const skv_sparse_layer *l, skv_isa isa) {
    static const double plain_one = 3.2, plain_many = 3.8, many_avx512 = 13, many_avx2 = 14, many_neon = 7,
                        half_at_avx2 = 5;
    static const double second_level = 6.7, third_level = 5.2, memory = 1.9, second_floats = 3e5, third_floats = 6e6;
    const double positions = (double)(l->s.lines * l->s.width), weights = (double)(l->w.rows * l->w.columns);
    if (isa == SKV_ISA_SCALAR) return positions > 1 ? plain_many : weights < third_floats ? plain_one : memory;
    if (positions == 1) return weights < second_floats ? second_level : weights < third_floats ? third_level : memory;
    if (skv_isa_has(isa, SKV_ISA_NEON)) return many_neon;
    return skv_isa_has(isa, SKV_ISA_AVX512) ? many_avx512 : many_avx2 * positions / (positions + half_at_avx2);
}

static bool read(const skv_kernel_node *n, skv_sparse_layer *l, skv_why *why) {
    const bool plain_product = skv_node_is(n->node, SKV_OP_MAT_MUL);
    const bool trans_a = !plain_product && skv_attr_int(n->node, "transA", 0),
               trans_b = !plain_product && skv_attr_int(n->node, "transB", 0);
    *l = (skv_sparse_layer){.s = product_shape(), .layout = SKV_PLAIN};
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->in[i].absent) continue;
        if (n->in[i].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
        if (skv_type_count(&n->in[i].type) < 1) return skv_decline(why, "empty");
    }
    const bool right = n->in[1].type.rank == 2 && skv_sparse_weight_of(n, 1, &l->w);
    if (!right && (n->in[0].type.rank != 2 || !skv_sparse_weight_of(n, 0, &l->w)))
        return skv_decline(why, "no operand is a constant matrix");
    if (n->in[right ? 0 : 1].type.rank < 2) return skv_decline(why, "not a product of two matrices");
    l->w_input = right ? 1 : 0;
    l->x_input = 1 - l->w_input;
    if (right)
        read_right(n, trans_a, trans_b, l);
    else
        read_left(n, trans_a, trans_b, l);
    l->dense = (skv_sparse_dense){.macs_per_cycle = dense_rate(l, skv_cpu_isa())};
    return read_tail(n, right, l, why);
}

static bool is_sparse(const skv_kernel_node *n, skv_why *why) { return skv_sparse_layer_wins(n, read, why); }
static bool is_coded(const skv_kernel_node *n, skv_why *why) { return skv_sparse_layer_serves_coded(n, read, why); }
static skive_status prepare_sparse(skv_kernel_node *n) { return skv_sparse_layer_prepare(n, read); }
static skive_status prepare_coded(skv_kernel_node *n) { return skv_sparse_layer_prepare_coded(n, read); }

static const skv_op_kind ops[] = {SKV_OP_GEMM, SKV_OP_FUSED_GEMM, SKV_OP_MAT_MUL, SKV_OP_NONE};

const skv_kernel skv_kernel_gemm_f32_sparse = {
    .name = "gemm_f32_sparse",
    .brief = "matrix product with a constant that is mostly zeros, with bias, residual and activation",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .takes_coded = true,
    .applicable = is_sparse,
    .prepare = prepare_sparse,
    .run = skv_sparse_run,
    .destroy = skv_sparse_destroy,
};

const skv_kernel skv_kernel_gemm_f32_codebook = {
    .name = "gemm_f32_codebook",
    .brief = "matrix product with a constant of symbols and their table, with bias, residual and activation",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .takes_coded = true,
    .applicable = is_coded,
    .prepare = prepare_coded,
    .run = skv_sparse_run,
    .destroy = skv_sparse_destroy,
};
