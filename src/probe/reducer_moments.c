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

#include "kernels/sgemm.h"
#include "ops/conv/common_conv.h"
#include "probe/probe.h"

enum { ROWS = 128 };

typedef struct moments {
    int64_t d, groups;
    skv_conv_shape conv; /* of a convolution */
    double *sum;         /* [groups][d][d] */
    double rows;
    float *block, *product; /* [ROWS][d], [d][d] */
    void *scratch;
    int threads;
} moments;

static const skive_node *node_of(const skv_reduction *r) { return r->item->user; }

static skive_status shape_of(skive_context *ctx, const skv_reduction *r, moments *m) {
    const skive_node *node = node_of(r);
    int64_t x[SKIVE_MAX_RANK], w[SKIVE_MAX_RANK];
    m->groups = 1;
    m->d = r->slots;
    if (!node) {
        if (r->item->axis >= 0 && r->inner == 1) return SKIVE_OK;
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, r->item->value,
                           "second moments are those along the last axis of '%s'", r->item->value);
    }
    const skive_type *t = &node->inputs[1]->type;
    for (int i = 0; i < r->type.rank; i++) x[i] = r->type.dims[i].size;
    for (int i = 0; i < t->rank; i++) w[i] = t->dims[i].size;
    SKV_TRY(skv_conv_shape_make(ctx, node, r->type.rank, x, t->rank, w, &m->conv));
    m->groups = m->conv.groups;
    m->d = m->conv.c / m->groups * skv_volume(m->conv.g.kernel);
    return SKIVE_OK;
}

static size_t bytes(const skv_reduction *r) {
    const skive_node *node = node_of(r);
    size_t d = (size_t)r->slots, groups = 1;
    if (node) {
        const int64_t rows = node->inputs[1]->type.dims[0].size;
        d = (size_t)(skv_type_count(&node->inputs[1]->type) / (rows > 0 ? rows : 1));
        groups = (size_t)skv_attr_int(node, "group", 1);
    }
    return sizeof(moments) + groups * d * d * sizeof(double) + d * (d + ROWS) * sizeof(float) +
           skv_sgemm_scratch((int64_t)d, ROWS, r->threads);
}

static void close(skive_context *ctx, const skv_reduction *r, void *state) {
    moments *m = state;
    (void)r;
    skv_free(ctx, m->sum);
    skv_free(ctx, m->block);
    skv_free(ctx, m->product);
    skv_free(ctx, m->scratch);
    skv_free(ctx, m);
}

static skive_status open(skive_context *ctx, const skv_reduction *r, void **state) {
    moments *m = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *m, &m));
    *state = m;
    SKV_TRY(shape_of(ctx, r, m));
    m->threads = r->threads;
    SKV_TRY(skv_alloc_array(ctx, (size_t)(m->groups * m->d * m->d), sizeof *m->sum, &m->sum));
    SKV_TRY(skv_alloc_array(ctx, (size_t)(ROWS * m->d), sizeof *m->block, &m->block));
    SKV_TRY(skv_alloc_array(ctx, (size_t)(m->d * m->d), sizeof *m->product, &m->product));
    return skv_alloc(ctx, skv_sgemm_scratch(m->d, ROWS, m->threads), &m->scratch);
}

static void multiply(moments *m, int64_t group, const float *rows, int64_t n) {
    const int64_t d = m->d;
    double *sum = m->sum + group * d * d;
    const skv_sgemm g = {.trans_a = true,
                         .m = d,
                         .n = d,
                         .k = n,
                         .a = rows,
                         .b = rows,
                         .lda = d,
                         .ldb = d,
                         .ldc = d,
                         .c = m->product,
                         .alpha = 1};
    skv_sgemm_run(&g, m->threads, m->scratch);
    for (int64_t i = 0; i < d * d; i++) sum[i] += (double)m->product[i];
}

/* What a group of channels of one sample shows in the window at output position `at`, as a row. */
static void show(const moments *m, const float *x, int64_t at, float *row) {
    const skv_geometry *g = &m->conv.g;
    const skv_window w = skv_window_at(g, at);
    const int64_t plane = skv_volume(g->in), volume = skv_volume(g->kernel);
    memset(row, 0, (size_t)m->d * sizeof *row);
    for (int64_t c = 0; c < m->conv.c / m->groups; c++) {
        for (int64_t d = w.lo[0]; d < w.hi[0]; d++) {
            for (int64_t h = w.lo[1]; h < w.hi[1]; h++) {
                const float *line = x + c * plane + skv_window_row(g, &w, d, h);
                float *to = row + c * volume + (d * g->kernel[1] + h) * g->kernel[2];
                for (int64_t k = w.lo[2]; k < w.hi[2]; k++) to[k] = line[k * g->dilation[2]];
            }
        }
    }
}

static void add_windows(moments *m, const float *x) {
    const int64_t per_group = m->conv.c / m->groups * skv_volume(m->conv.g.in), places = skv_volume(m->conv.g.out);
    for (int64_t g = 0; g < m->groups; g++) {
        int64_t n = 0;
        for (int64_t i = 0; i < m->conv.n * places; i++) {
            show(m, x + (i / places * m->groups + g) * per_group, i % places, m->block + n * m->d);
            if (++n < ROWS) continue;
            multiply(m, g, m->block, n);
            n = 0;
        }
        if (n > 0) multiply(m, g, m->block, n);
    }
    m->rows += (double)(m->conv.n * places);
}

static skive_status add(const skv_reduction *r, void *state, const skv_seen *seen) {
    moments *m = state;
    if (node_of(r)) {
        add_windows(m, seen->x);
        return SKIVE_OK;
    }
    const int64_t rows = r->n / m->d;
    for (int64_t first = 0; first < rows; first += ROWS)
        multiply(m, 0, seen->x + first * m->d, rows - first < ROWS ? rows - first : ROWS);
    m->rows += (double)rows;
    return SKIVE_OK;
}

static void merge(const skv_reduction *r, void *into, void *part) {
    moments *a = into, *b = part;
    const int64_t n = a->groups * a->d * a->d;
    (void)r;
    for (int64_t i = 0; i < n; i++) a->sum[i] += b->sum[i];
    a->rows += b->rows;
    memset(b->sum, 0, (size_t)n * sizeof *b->sum);
    b->rows = 0;
}

static skive_status finish(skive_context *ctx, const skv_reduction *r, void *state, double **out, size_t *n) {
    const moments *m = state;
    const size_t all = (size_t)(m->groups * m->d * m->d);
    (void)r;
    SKV_TRY(skv_alloc_array(ctx, all + 1, sizeof **out, out));
    memcpy(*out, m->sum, all * sizeof **out);
    (*out)[all] = m->rows;
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
