/* HashedGemm and its gradients in f32. The virtual matrix comes into being a block of rows at a time, in scratch that stays in
 * the cache, and each block goes through oneDNN's matrix product. */
#include <omp.h>
#include <string.h>

#include "kernels/hashed.h"
#include "kernels/onednn/onednn.h"

enum { BLOCK_BYTES = 1 << 18, MAX_THREADS = 64 };

typedef enum hashed_kind { FORWARD, GRAD_INPUT, GRAD_BUCKETS } hashed_kind;

typedef struct hashed_state {
    hashed_kind kind;
    skv_hashed h;
    skv_hashed_places_fn places;
    int64_t m, block; /* samples; rows of a block */
    int threads;
    /* offsets into scratch */
    size_t table;  /* float [2 buckets]: values and their negatives */
    size_t matrix; /* float [block][columns] */
    size_t at;     /* int32 [threads][columns] */
    size_t sums;   /* double [threads][2 buckets], of the gradient for the buckets */
} hashed_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (!skv_dnnl_engine()) return skv_decline(why, "oneDNN gives no engine");
    for (size_t i = 0; i < n->n_in; i++) {
        if (!n->in[i].absent && !skv_dnnl_f32(&n->in[i]))
            return skv_decline(why, "input %zu is not float32, or empty", i);
    }
    return true;
}

static hashed_kind kind_of(const skive_node *n) {
    if (skv_node_is(n, "HashedGemm")) return FORWARD;
    return skv_node_is(n, "HashedGemmGradInput") ? GRAD_INPUT : GRAD_BUCKETS;
}

static skive_status prepare(skv_kernel_node *n) {
    hashed_state *st = NULL;
    const skv_isa isa = skv_cpu_isa();
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    st->kind = kind_of(n->node);
    st->h = skv_hashed_of(n->node, skv_type_count(&n->in[st->kind == GRAD_BUCKETS ? 2 : 1].type));
    st->places = isa >= SKV_ISA_AVX512 ? skv_hashed_places_avx512
                 : isa >= SKV_ISA_AVX2 ? skv_hashed_places_avx2
                                       : skv_hashed_places_scalar;
    st->m = n->in[0].type.dims[0].size;
    st->threads = n->threads < MAX_THREADS ? n->threads : MAX_THREADS;
    st->block = BLOCK_BYTES / (int64_t)sizeof(float) / st->h.columns;
    if (st->block < 1) st->block = 1;
    if (st->block > st->h.rows) st->block = st->h.rows;
    const size_t columns = (size_t)st->h.columns, places = 2 * (size_t)st->h.buckets, threads = (size_t)st->threads;
    SKV_TRY(skv_scratch_add(n, (size_t)st->block * columns * sizeof(float), &st->matrix));
    SKV_TRY(skv_scratch_add(n, threads * columns * sizeof(int32_t), &st->at));
    if (st->kind == GRAD_BUCKETS) {
        n->skips_input_data[2] = true;
        return skv_scratch_add(n, threads * places * sizeof(double), &st->sums);
    }
    return skv_scratch_add(n, places * sizeof(float), &st->table);
}

static void fill_table(const hashed_state *st, const float *buckets, float *table) {
    for (uint32_t b = 0; b < st->h.buckets; b++) {
        table[b] = buckets[b];
        table[st->h.buckets + b] = -buckets[b];
    }
}

/* Rows first .. first + rows-1 of the virtual matrix. */
static void make_rows(const hashed_state *st, char *scratch, int64_t first, int64_t rows) {
    const float *table = (const float *)(scratch + st->table);
    float *matrix = (float *)(scratch + st->matrix);
    const int64_t columns = st->h.columns;
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t r = 0; r < rows; r++) {
        int32_t *at = (int32_t *)(scratch + st->at) + omp_get_thread_num() * columns;
        float *w = matrix + r * columns;
        st->places(&st->h, (uint32_t)((first + r) * columns), columns, at);
        for (int64_t j = 0; j < columns; j++) w[j] = table[at[j]];
    }
}

/* The block's gradients go to the sums of their places, those of a thread's rows to its own. */
static void add_rows(const hashed_state *st, char *scratch, int64_t first, int64_t rows) {
    const float *matrix = (const float *)(scratch + st->matrix);
    const int64_t columns = st->h.columns;
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t r = 0; r < rows; r++) {
        const int64_t thread = omp_get_thread_num();
        int32_t *at = (int32_t *)(scratch + st->at) + thread * columns;
        double *sums = (double *)(scratch + st->sums) + thread * 2 * (int64_t)st->h.buckets;
        const float *dw = matrix + r * columns;
        st->places(&st->h, (uint32_t)((first + r) * columns), columns, at);
        for (int64_t j = 0; j < columns; j++) sums[at[j]] += (double)dw[j];
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

static dnnl_status_t one_block(const hashed_state *st, const skv_kernel_call *c, int64_t first, int64_t rows) {
    const int64_t columns = st->h.columns;
    char *scratch = c->scratch;
    float *matrix = (float *)(scratch + st->matrix), *out = c->out[0];
    const float *x = c->in[0];
    dnnl_status_t status;
    switch (st->kind) {
    case FORWARD: /* y[:, first ..] += x W' */
        make_rows(st, scratch, first, rows);
        return dnnl_sgemm('N', 'T', st->m, rows, columns, 1.0f, x, columns, matrix, columns,
                          c->n->n_in > 2 && !c->n->in[2].absent ? 1.0f : 0.0f, out + first, st->h.rows);
    case GRAD_INPUT: /* dx += dy[:, first ..] W */
        make_rows(st, scratch, first, rows);
        return dnnl_sgemm('N', 'N', st->m, columns, rows, 1.0f, x + first, st->h.rows, matrix, columns,
                          first ? 1.0f : 0.0f, out, columns);
    default: /* dW = dy[:, first ..]' x */
        status = dnnl_sgemm('T', 'N', rows, columns, st->m, 1.0f, x + first, st->h.rows, c->in[1], columns, 0.0f,
                            matrix, columns);
        add_rows(st, scratch, first, rows);
        return status;
    }
}

static skive_status run(const skv_kernel_call *c) {
    const hashed_state *st = c->n->state;
    char *scratch = c->scratch;
    const float *bias = st->kind == FORWARD && c->n->n_in > 2 && !c->n->in[2].absent ? c->in[2] : NULL;
    double *sums = (double *)(scratch + st->sums);
    if (st->kind == GRAD_BUCKETS)
        memset(sums, 0, (size_t)st->threads * 2 * st->h.buckets * sizeof *sums);
    else
        fill_table(st, c->in[1], (float *)(scratch + st->table));
    for (int64_t s = 0; bias && s < st->m; s++)
        memcpy((float *)c->out[0] + s * st->h.rows, bias, (size_t)st->h.rows * sizeof *bias);
    const int before = omp_get_max_threads();
    omp_set_num_threads(st->threads);
    dnnl_status_t status = dnnl_success;
    for (int64_t first = 0; first < st->h.rows && status == dnnl_success; first += st->block) {
        const int64_t left = st->h.rows - first;
        status = one_block(st, c, first, left < st->block ? left : st->block);
    }
    omp_set_num_threads(before);
    if (st->kind == GRAD_BUCKETS) collect(st, sums, c->out[0]);
    return skv_dnnl_status(c->ctx, status, "matrix product");
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const char *const ops[] = {"HashedGemm", "HashedGemmGradInput", "HashedGemmGradBuckets", NULL};

const skv_kernel skv_kernel_hashed_f32_onednn = {
    .name = "hashed_f32_onednn",
    .brief = "products with a matrix of hashed weights, made a block at a time",
    .ops = ops,
    .isa = SKV_ISA_AVX2,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
