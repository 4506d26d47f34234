/* Gather from a vector of floats and its gradient: weights that share values, in training. The gradient is summed in
 * double by a fixed number of parts, put together in order, so that the number of threads changes nothing. The gradient
 * of a table of rows, embeddings, is summed row by row, in double and in the order of the indices. */
#include <string.h>

#include "kernels/kernel.h"

enum { PARALLEL_FROM = 1 << 14, PARTS = 16, MAX_TABLE = 1 << 20 };
enum { SPAN = 64 }; /* numbers of a row summed at once */

typedef struct table_state {
    int64_t n, size; /* indices, entries of the table */
    int64_t width;   /* numbers of an entry */
    bool by_rows;    /* the gradient of a table with more axes than one */
    bool wide;       /* int64 indices */
    int threads;
} table_state;

static bool is_gradient(const skv_kernel_node *n) { return skv_node_is(n->node, SKV_OP_GATHER_GRAD); }
static const skv_kernel_value *table_of(const skv_kernel_node *n) { return &n->in[is_gradient(n) ? 2 : 0]; }

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skv_kernel_value *table = table_of(n);
    const skive_dtype index = n->in[1].type.dtype;
    if (table->type.dtype != SKIVE_F32 || n->in[0].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
    if (index != SKIVE_I32 && index != SKIVE_I64) return skv_decline(why, "indices are neither int32 nor int64");
    if (table->type.rank != 1 && !is_gradient(n)) return skv_decline(why, "the table is not a vector");
    if (table->type.rank < 1 || skv_axis(skv_attr_int(n->node, "axis", 0), table->type.rank) != 0)
        return skv_decline(why, "not along the first axis");
    if (skv_type_count(&n->in[1].type) < 1 || skv_type_count(&table->type) < 1) return skv_decline(why, "empty");
    if (table->type.rank == 1 && skv_type_count(&table->type) > MAX_TABLE)
        return skv_decline(why, "the table is large");
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    table_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    st->n = skv_type_count(&n->in[1].type);
    st->size = table_of(n)->type.dims[0].size;
    st->width = skv_type_count(&table_of(n)->type) / st->size;
    st->wide = n->in[1].type.dtype == SKIVE_I64;
    st->threads = st->n * st->width < PARALLEL_FROM ? 1 : n->threads;
    if (is_gradient(n)) n->skips_input_data[2] = true;
    st->by_rows = is_gradient(n) && table_of(n)->type.rank > 1;
    if (st->by_rows)
        n->scratch_bytes = (size_t)(st->size + 1 + st->n) * sizeof(int64_t);
    else if (is_gradient(n))
        n->scratch_bytes = PARTS * (size_t)st->size * sizeof(double);
    return SKIVE_OK;
}

/* Counted from the start; -1 when it is outside. */
static inline int64_t index_at(const table_state *st, const void *indices, int64_t i) {
    const int64_t at = st->wide ? ((const int64_t *)indices)[i] : ((const int32_t *)indices)[i];
    if (at >= 0) return at < st->size ? at : -1;
    return at >= -st->size ? at + st->size : -1;
}

/* True when all indices lie in the table. */
static bool gather(const table_state *st, const float *table, const void *indices, float *y) {
    const int threads = st->threads;
    bool inside = true;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(&& : inside) if (threads > 1)
    for (int64_t i = 0; i < st->n; i++) {
        const int64_t at = index_at(st, indices, i);
        y[i] = at < 0 ? 0.0f : table[at];
        inside = inside && at >= 0;
    }
    return inside;
}

static bool add_up(const table_state *st, const float *dy, const void *indices, double *sums, float *dx) {
    const int threads = st->threads;
    bool inside = true;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(&& : inside) if (threads > 1)
    for (int64_t part = 0; part < PARTS; part++) {
        double *sum = sums + part * st->size;
        memset(sum, 0, (size_t)st->size * sizeof *sum);
        for (int64_t i = st->n * part / PARTS; i < st->n * (part + 1) / PARTS; i++) {
            const int64_t at = index_at(st, indices, i);
            inside = inside && at >= 0;
            if (at >= 0) sum[at] += (double)dy[i];
        }
    }
    for (int64_t k = 0; k < st->size; k++) {
        double total = 0;
        for (int64_t part = 0; part < PARTS; part++) total += sums[part * st->size + k];
        dx[k] = (float)total;
    }
    return inside;
}

/* The places of each entry, in their order: those of entry k are place[start[k] .. start[k + 1] - 1]. */
static bool sort_places(const table_state *st, const void *indices, int64_t *start, int64_t *place) {
    memset(start, 0, (size_t)(st->size + 1) * sizeof *start);
    for (int64_t i = 0; i < st->n; i++) {
        const int64_t at = index_at(st, indices, i);
        if (at < 0) return false;
        start[at + 1]++;
    }
    for (int64_t k = 0; k < st->size; k++) start[k + 1] += start[k];
    for (int64_t i = 0; i < st->n; i++) place[start[index_at(st, indices, i)]++] = i;
    memmove(start + 1, start, (size_t)st->size * sizeof *start); /* each has gone on to the end of its entry */
    start[0] = 0;
    return true;
}

static void add_row(const table_state *st, const float *dy, const int64_t *place, int64_t n, float *to) {
    for (int64_t first = 0; first < st->width; first += SPAN) {
        const int64_t w = st->width - first < SPAN ? st->width - first : SPAN;
        double sum[SPAN] = {0};
        for (int64_t i = 0; i < n; i++) {
            const float *from = dy + place[i] * st->width + first;
            for (int64_t k = 0; k < w; k++) sum[k] += (double)from[k];
        }
        for (int64_t k = 0; k < w; k++) to[first + k] = (float)sum[k];
    }
}

static bool add_rows(const table_state *st, const float *dy, const void *indices, int64_t *start, float *dx) {
    int64_t *place = start + st->size + 1;
    const int threads = st->threads;
    if (!sort_places(st, indices, start, place)) return false;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 64) if (threads > 1)
    for (int64_t k = 0; k < st->size; k++)
        add_row(st, dy, place + start[k], start[k + 1] - start[k], dx + k * st->width);
    return true;
}

static skive_status run(const skv_kernel_call *c) {
    const table_state *st = c->n->state;
    const bool inside = !is_gradient(c->n) ? gather(st, c->in[0], c->in[1], c->out[0])
                        : st->by_rows      ? add_rows(st, c->in[0], c->in[1], c->scratch, c->out[0])
                                           : add_up(st, c->in[0], c->in[1], c->scratch, c->out[0]);
    if (inside) return SKIVE_OK;
    return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->n->node->name,
                       "node '%s': an index is out of range for a dimension of %lld", c->n->node->name,
                       (long long)st->size);
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_GATHER, SKV_OP_GATHER_GRAD, SKV_OP_NONE};

const skv_kernel skv_kernel_table_f32 = {
    .name = "table_f32",
    .brief = "Gather from a vector, and the gradient of Gather from a vector or rows",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
