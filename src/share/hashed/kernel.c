/* HashedGemm and its gradients in f32. The virtual matrix comes into being a block at a time, in scratch that stays in
 * the cache, and each block goes through a product of matrices on the thread that made it: blocks of rows, or for the
 * gradient of the input, to which all rows add, of columns. */
#include <string.h>

#include "base/parallel.h"
#include "share/hashed/indices.h"
#include "kernels/kernel.h"
#include "kernels/sgemm.h"

enum { BLOCK_BYTES = 1 << 17, MAX_THREADS = 64, TASKS_A_THREAD = 4 };

typedef enum hashed_kind { FORWARD, GRAD_INPUT, GRAD_BUCKETS } hashed_kind;

typedef struct hashed_state {
    hashed_kind kind;
    skv_hashed h;
    skv_hashed_indices_fn entries;
    int64_t m;             /* samples */
    int64_t rows, columns; /* of a block */
    int64_t tasks;         /* blocks next to one another; each goes through the other direction by itself */
    int threads;
    /* offsets into scratch; a thread has as much of each as stands here */
    size_t table;  /* float [2 buckets], for all: values and their negatives */
    size_t matrix; /* float [rows][columns] */
    size_t at;     /* int32 [columns] */
    size_t sums;   /* double [2 buckets], of the gradient for the buckets */
    size_t product, product_bytes;
} hashed_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = 0; i < n->n_in; i++) {
        if (!n->in[i].absent && !skv_kernel_f32(&n->in[i]))
            return skv_decline(why, "input %zu is not float32, or empty", i);
    }
    return true;
}

static hashed_kind kind_of(const skive_node *n) {
    if (skv_node_is(n, SKV_OP_HASHED_GEMM)) return FORWARD;
    return skv_node_is(n, SKV_OP_HASHED_GEMM_GRAD_INPUT) ? GRAD_INPUT : GRAD_BUCKETS;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t parts_of(int64_t n, int64_t part) { return (n + part - 1) / part; }

/* Blocks that fit the cache, and enough of them for all threads. */
static void divide(hashed_state *st) {
    const bool by_columns = st->kind == GRAD_INPUT;
    const int64_t across = by_columns ? st->h.columns : st->h.rows;
    const int64_t width = parts_of(across, st->threads > 1 ? TASKS_A_THREAD * (int64_t)st->threads : 1);
    const int64_t elements = BLOCK_BYTES / (int64_t)sizeof(float);
    if (by_columns) {
        st->columns = width;
        st->rows = least(st->h.rows, elements / width > 0 ? elements / width : 1);
    } else {
        st->columns = st->h.columns;
        st->rows = least(width, elements / st->columns > 0 ? elements / st->columns : 1);
    }
    st->tasks = parts_of(across, by_columns ? st->columns : st->rows);
}

static skive_status prepare(skv_kernel_node *n) {
    hashed_state *st = NULL;
    const skv_isa isa = skv_cpu_isa();
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    st->kind = kind_of(n->node);
    st->h = skv_hashed_of(n->node, skv_type_count(&n->in[st->kind == GRAD_BUCKETS ? 2 : 1].type));
    st->entries = SKV_AT(isa, AVX512, skv_hashed_indices_avx512) SKV_AT(isa, AVX2, skv_hashed_indices_avx2)
        SKV_ELSE(isa, skv_hashed_indices_scalar);
    st->m = n->in[0].type.dims[0].size;
    st->threads = n->threads < MAX_THREADS ? n->threads : MAX_THREADS;
    divide(st);
    const size_t columns = (size_t)st->columns, entries = 2 * (size_t)st->h.buckets, threads = (size_t)st->threads;
    SKV_TRY(skv_scratch_add(n, threads * (size_t)st->rows * columns * sizeof(float), &st->matrix));
    SKV_TRY(skv_scratch_add(n, threads * columns * sizeof(int32_t), &st->at));
    int64_t longest = st->m > st->rows ? st->m : st->rows;
    if (st->columns > longest) longest = st->columns;
    st->product_bytes = skv_align_up(skv_sgemm_scratch(longest, longest, 1), 64);
    SKV_TRY(skv_scratch_add(n, threads * st->product_bytes, &st->product));
    if (st->kind == GRAD_BUCKETS) {
        n->skips_input_data[2] = true;
        return skv_scratch_add(n, threads * entries * sizeof(double), &st->sums);
    }
    return skv_scratch_add(n, entries * sizeof(float), &st->table);
}

static void fill_table(const hashed_state *st, const float *buckets, float *table) {
    for (uint32_t b = 0; b < st->h.buckets; b++) {
        table[b] = buckets[b];
        table[st->h.buckets + b] = -buckets[b];
    }
}

/* A block of the matrix, and what the thread that works on it has. */
typedef struct block {
    int64_t row, rows, column, columns;
    float *matrix;
    int32_t *at;
    double *sums;
    void *product; /* scratch */
} block;

static void find_entries(const hashed_state *st, const block *b, int64_t r) {
    st->entries(&st->h, (uint32_t)((b->row + r) * st->h.columns + b->column), b->columns, b->at);
}

static void make(const hashed_state *st, const block *b, const float *table) {
    for (int64_t r = 0; r < b->rows; r++) {
        float *w = b->matrix + r * b->columns;
        find_entries(st, b, r);
        for (int64_t j = 0; j < b->columns; j++) w[j] = table[b->at[j]];
    }
}

/* The block's gradients go to the sums of their entries. */
static void add_up(const hashed_state *st, const block *b) {
    for (int64_t r = 0; r < b->rows; r++) {
        const float *dw = b->matrix + r * b->columns;
        find_entries(st, b, r);
        for (int64_t j = 0; j < b->columns; j++) b->sums[b->at[j]] += (double)dw[j];
    }
}

static void collect(const hashed_state *st, const double *sums, float *out) {
    const int64_t k = st->h.buckets;
    for (int64_t b = 0; b < k; b++) {
        double total = 0;
        for (int64_t t = 0; t < st->threads; t++) total += sums[t * 2 * k + b] - sums[t * 2 * k + k + b];
        out[b] = (float)total;
    }
}

static bool has_bias(const skv_kernel_call *c) { return c->n->n_in > 2 && !c->n->in[2].absent; }

static void multiply(const hashed_state *st, const skv_kernel_call *c, const block *b) {
    const float *x = c->in[0], *table = (const float *)((const char *)c->scratch + st->table);
    float *out = c->out[0];
    skv_sgemm g = {.m = st->m, .a = x, .b = b->matrix, .ldb = b->columns, .alpha = 1};
    switch (st->kind) {
    case FORWARD: /* y[:, rows] += x W' */
        make(st, b, table);
        g.trans_b = true;
        g.n = b->rows;
        g.k = g.lda = b->columns;
        g.c = out + b->row;
        g.ldc = st->h.rows;
        g.add = has_bias(c);
        break;
    case GRAD_INPUT: /* dx[:, columns] += dy[:, rows] W */
        make(st, b, table);
        g.n = b->columns;
        g.k = b->rows;
        g.a = x + b->row;
        g.lda = st->h.rows;
        g.c = out + b->column;
        g.ldc = st->h.columns;
        g.add = b->row > 0;
        break;
    default: /* dW = dy[:, rows]' x */
        g = (skv_sgemm){.trans_a = true,
                        .m = b->rows,
                        .n = b->columns,
                        .k = st->m,
                        .a = x + b->row,
                        .lda = st->h.rows,
                        .b = c->in[1],
                        .ldb = b->columns,
                        .c = b->matrix,
                        .ldc = b->columns,
                        .alpha = 1};
        break;
    }
    skv_sgemm_run(&g, 1, b->product);
    if (st->kind == GRAD_BUCKETS) add_up(st, b);
}

static void one_task(const hashed_state *st, const skv_kernel_call *c, int64_t task) {
    char *scratch = c->scratch;
    const int64_t thread = skv_thread_number();
    block b = {.matrix = (float *)(scratch + st->matrix) + thread * st->rows * st->columns,
               .at = (int32_t *)(scratch + st->at) + thread * st->columns,
               .sums = (double *)(scratch + st->sums) + thread * 2 * (int64_t)st->h.buckets,
               .product = scratch + st->product + (size_t)thread * st->product_bytes};
    const bool by_columns = st->kind == GRAD_INPUT;
    b.column = by_columns ? task * st->columns : 0;
    b.columns = least(st->columns, st->h.columns - b.column);
    int64_t row = by_columns ? 0 : task * st->rows, end = by_columns ? st->h.rows : least(row + st->rows, st->h.rows);
    for (; row < end; row += st->rows) {
        b.row = row;
        b.rows = least(st->rows, end - row);
        multiply(st, c, &b);
    }
}

static skive_status run(const skv_kernel_call *c) {
    const hashed_state *st = c->n->state;
    char *scratch = c->scratch;
    double *sums = (double *)(scratch + st->sums);
    const int threads = st->threads;
    if (st->kind == GRAD_BUCKETS)
        memset(sums, 0, (size_t)threads * 2 * st->h.buckets * sizeof *sums);
    else
        fill_table(st, c->in[1], (float *)(scratch + st->table));
    for (int64_t s = 0; st->kind == FORWARD && has_bias(c) && s < st->m; s++)
        memcpy((float *)c->out[0] + s * st->h.rows, c->in[2], (size_t)st->h.rows * sizeof(float));
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t task = 0; task < st->tasks; task++) one_task(st, c, task);
    if (st->kind == GRAD_BUCKETS) collect(st, sums, c->out[0]);
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_HASHED_GEMM, SKV_OP_HASHED_GEMM_GRAD_INPUT, SKV_OP_HASHED_GEMM_GRAD_BUCKETS,
                                  SKV_OP_NONE};

const skv_kernel skv_kernel_hashed_f32 = {
    .name = "hashed_f32",
    .brief = "products with a matrix of hashed weights, computed block by block",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
