/* Gemm, FusedGemm and MatMul in f32 where one operand is a constant that is mostly zeros. Of a constant right operand the
 * rows of W are its columns and a position is a sample; of a constant left one the rows are its own. */
#include "kernels/sparse/sparse.h"

typedef struct gemm {
    skv_sparse_shape s;
    skv_sparse_matrix w;
    skv_sparse_tail tail;
    size_t w_input;
    float alpha;
} gemm;

static bool has_input(const skv_kernel_node *n, size_t i) { return i < n->n_in && !n->in[i].absent; }
static int64_t size(const skv_kernel_node *n, size_t i, int axis) { return n->in[i].type.dims[axis].size; }

/* All axes but the last `inner`, taken together. */
static int64_t outer(const skv_kernel_node *n, size_t i, int inner) {
    int64_t count = 1;
    for (int a = 0; a < n->in[i].type.rank - inner; a++) count *= size(n, i, a);
    return count;
}

static bool is_constant(const skv_kernel_node *n, size_t i) {
    return n->in[i].constant && n->in[i].constant->data && n->in[i].type.rank == 2 && !n->training;
}

static skv_sparse_shape product_shape(void) {
    return (skv_sparse_shape){
        .images = 1, .groups = 1, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}, .x_block = 1, .y_block = 1};
}

/* X W: lines are samples of one column each, or one line of samples where X is stored transposed. */
static void read_right(const skv_kernel_node *n, bool trans_x, bool trans_w, gemm *g) {
    const int64_t k = size(n, 1, trans_w ? 1 : 0), rows = size(n, 1, trans_w ? 0 : 1),
                  samples = trans_x ? size(n, 0, 1) : outer(n, 0, 1);
    skv_sparse_shape *s = &g->s;
    g->w = (skv_sparse_matrix){n->in[1].constant->data, rows, k, trans_w ? k : 1, trans_w ? 1 : rows};
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
static void read_left(const skv_kernel_node *n, bool trans_w, bool trans_x, gemm *g) {
    const int x_rank = n->in[1].type.rank;
    const int64_t k = size(n, 0, trans_w ? 0 : 1), rows = size(n, 0, trans_w ? 1 : 0),
                  width = size(n, 1, trans_x ? x_rank - 2 : x_rank - 1), many = outer(n, 1, 2);
    skv_sparse_shape *s = &g->s;
    g->w = (skv_sparse_matrix){n->in[0].constant->data, rows, k, trans_w ? 1 : k, trans_w ? rows : 1};
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
static bool read_tail(const skv_kernel_node *n, bool right, gemm *g, skv_why *why) {
    const bool plain_product = skv_node_is(n->node, "MatMul");
    const double beta = plain_product ? 0 : skv_attr_float(n->node, "beta", 1);
    g->alpha = plain_product ? 1.0f : (float)skv_attr_float(n->node, "alpha", 1);
    if (n->node->domain[0] && skv_activation_read(n->ctx, n->node, &g->tail.act) != SKIVE_OK)
        return skv_decline(why, "its activation");
    g->tail.residual = has_input(n, 3) ? 3 : 0;
    if (!has_input(n, 2) || beta == 0) return true;
    const skive_type *c = &n->in[2].type;
    const int64_t columns = c->rank > 0 ? c->dims[c->rank - 1].size : 1,
                  lines = c->rank > 1 ? c->dims[c->rank - 2].size : 1;
    if (beta != 1 || (right ? lines != 1 || columns != g->s.rows : columns != 1 || lines != g->s.rows))
        return skv_decline(why, "its C is not one number an output");
    g->tail.bias = 2;
    return true;
}

static bool read(const skv_kernel_node *n, gemm *g, skv_why *why) {
    const bool plain_product = skv_node_is(n->node, "MatMul");
    const bool trans_a = !plain_product && skv_attr_int(n->node, "transA", 0),
               trans_b = !plain_product && skv_attr_int(n->node, "transB", 0);
    *g = (gemm){.s = product_shape()};
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->in[i].absent) continue;
        if (n->in[i].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
        if (skv_type_count(&n->in[i].type) < 1) return skv_decline(why, "empty");
    }
    const bool right = is_constant(n, 1);
    if (!right && !is_constant(n, 0)) return skv_decline(why, "no operand is a constant matrix");
    if (n->in[right ? 0 : 1].type.rank < 2) return skv_decline(why, "not a product of two matrices");
    g->w_input = right ? 1 : 0;
    if (right)
        read_right(n, trans_a, trans_b, g);
    else
        read_left(n, trans_a, trans_b, g);
    return read_tail(n, right, g, why);
}

/* Multiply-adds a cycle of oneDNN's product, measured on Zen 4. One sample waits for the weight, from wherever it comes. */
static double dense_rate(const gemm *g, skv_isa isa) {
    static const double reference = 0.2, many_avx512 = 13, many_avx2 = 14, half_at_avx2 = 5;
    static const double second_level = 6.7, third_level = 5.2, memory = 1.9, second_floats = 3e5, third_floats = 6e6;
    const double positions = (double)(g->s.lines * g->s.width), weights = (double)(g->w.rows * g->w.columns);
    if (isa < SKV_ISA_AVX2) return reference;
    if (positions == 1) return weights < second_floats ? second_level : weights < third_floats ? third_level : memory;
    return isa >= SKV_ISA_AVX512 ? many_avx512 : many_avx2 * positions / (positions + half_at_avx2);
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    gemm g;
    if (!read(n, &g, why)) return false;
    const skv_isa isa = skv_cpu_isa();
    const skv_sparse_dense dense = {.macs_per_cycle = dense_rate(&g, isa)};
    return skv_sparse_wins(&g.s, &g.w, &dense, isa, why);
}

static skive_status prepare(skv_kernel_node *n) {
    gemm g;
    skv_why why = {{0}};
    skv_nonzeros nz;
    if (!read(n, &g, &why)) return SKV_FAIL(n->ctx, SKIVE_ERR_UNSUPPORTED, "%s", why.text);
    const skv_sparse_count count = skv_sparse_counted(&g.w, 1);
    SKV_TRY(skv_nonzeros_read(n->ctx, &g.w, &nz));
    for (int64_t i = 0; g.alpha != 1 && i < nz.row_start[nz.rows]; i++) nz.value[i] *= g.alpha;
    const skive_status status =
        skv_sparse_prepare(n, &g.s, &nz, skv_sparse_faster(&g.s, &count, skv_cpu_isa()), 1 - g.w_input, &g.tail);
    skv_nonzeros_free(n->ctx, &nz);
    SKV_TRY(status);
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    n->out[0].layout = SKV_PLAIN;
    n->packs_input[g.w_input] = true;
    if (g.tail.residual) n->in_place = 1u << 3;
    return SKIVE_OK;
}

static const char *const ops[] = {"Gemm", "FusedGemm", "MatMul", NULL};

const skv_kernel skv_kernel_gemm_f32_sparse = {
    .name = "gemm_f32_sparse",
    .brief = "matrix product with a constant that is mostly zeros, with bias, residual and activation",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = skv_sparse_run,
    .destroy = skv_sparse_destroy,
};
