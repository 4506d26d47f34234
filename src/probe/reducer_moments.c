/* Second moments of a layer's input: the sums of x x^T over all rows that a weight multiplies, [groups][d][d]. Divided
 * by the number of rows, which is appended, they are the Hessian of the layer's squared error with respect to each row
 * of its weight (but for a factor 2), which second-order pruning, GPTQ and activation-aware factorization need.
 *
 * `user` NULL: a row is the numbers along the item's axis, which must be the last. Otherwise it is the const skive_node
 * of a convolution that reads the value: a row is what one group of channels shows in one position of the window, in
 * the order of the weight's elements, with zeros where it stands over the padding.
 *
 * Blocks of rows are multiplied in float32, the products summed in double. */
#include <string.h>

#include "probe/probe.h"
#include "probe/rows.h"

typedef struct moments {
    skv_layer_rows rows;
    double *sum;  /* [groups][d][d] */
    double seen;  /* rows of each group */
    float *block; /* [SKV_ROWS_AT_ONCE][d] of windows */
    skv_rows_room room;
} moments;

static const skive_node *node_of(const skv_reduction *r) { return r->item->user; }

static size_t bytes(const skv_reduction *r) {
    const skive_node *node = node_of(r);
    size_t d = (size_t)r->slots, groups = 1;
    if (node) {
        const int64_t rows = node->inputs[1]->type.dims[0].size;
        d = (size_t)(skv_type_count(&node->inputs[1]->type) / (rows > 0 ? rows : 1));
        groups = (size_t)skv_attr_int(node, "group", 1);
    }
    return sizeof(moments) + groups * d * d * sizeof(double) + d * SKV_ROWS_AT_ONCE * sizeof(float) +
           skv_rows_room_bytes((int64_t)d, r->threads);
}

static void close(skive_context *ctx, const skv_reduction *r, void *state) {
    moments *m = state;
    (void)r;
    skv_free(ctx, m->sum);
    skv_free(ctx, m->block);
    skv_rows_room_close(ctx, &m->room);
    skv_free(ctx, m);
}

static skive_status open(skive_context *ctx, const skv_reduction *r, void **state) {
    moments *m = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *m, &m));
    *state = m;
    if (!node_of(r) && (r->item->axis < 0 || r->inner != 1))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, r->item->value,
                           "second moments are those along the last axis of '%s'", r->item->value);
    SKV_TRY(skv_layer_rows_make(ctx, &r->type, node_of(r), &m->rows));
    const int64_t d = m->rows.d;
    SKV_TRY(skv_alloc_array(ctx, (size_t)(m->rows.groups * d * d), sizeof *m->sum, &m->sum));
    SKV_TRY(skv_alloc_array(ctx, (size_t)(SKV_ROWS_AT_ONCE * d), sizeof *m->block, &m->block));
    return skv_rows_room_open(ctx, d, r->threads, &m->room);
}

static skive_status add(const skv_reduction *r, void *state, const skv_seen *seen) {
    moments *m = state;
    const skv_layer_rows *rows = &m->rows;
    (void)r;
    for (int64_t g = 0; g < rows->groups; g++) {
        for (int64_t first = 0; first < rows->count; first += SKV_ROWS_AT_ONCE) {
            const int64_t left = rows->count - first, n = left < SKV_ROWS_AT_ONCE ? left : SKV_ROWS_AT_ONCE;
            const float *x = skv_layer_rows_show(rows, seen->x, g, first, n, m->block);
            skv_rows_multiply(&m->room, x, x, n, m->sum + g * rows->d * rows->d);
        }
    }
    m->seen += (double)rows->count;
    return SKIVE_OK;
}

static void merge(const skv_reduction *r, void *into, void *part) {
    moments *a = into, *b = part;
    const int64_t n = a->rows.groups * a->rows.d * a->rows.d;
    (void)r;
    for (int64_t i = 0; i < n; i++) a->sum[i] += b->sum[i];
    a->seen += b->seen;
    memset(b->sum, 0, (size_t)n * sizeof *b->sum);
    b->seen = 0;
}

static skive_status finish(skive_context *ctx, const skv_reduction *r, void *state, double **out, size_t *n) {
    const moments *m = state;
    const size_t all = (size_t)(m->rows.groups * m->rows.d * m->rows.d);
    (void)r;
    SKV_TRY(skv_alloc_array(ctx, all + 1, sizeof **out, out));
    memcpy(*out, m->sum, all * sizeof **out);
    (*out)[all] = m->seen;
    *n = all + 1;
    return SKIVE_OK;
}

const skv_reducer skv_reducer_moments = {.name = "moments",
                                         .brief = "second moments of a layer's inputs",
                                         .bytes = bytes,
                                         .open = open,
                                         .close = close,
                                         .add = add,
                                         .merge = merge,
                                         .finish = finish};
