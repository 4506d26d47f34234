/* Rows of a layer's input, and sums of their products. */
#include "probe/rows.h"

#include <string.h>

#include "graph/graph.h"
#include "kernels/sgemm.h"

skive_status skv_layer_rows_make(skive_context *ctx, const skive_type *type, const skive_node *node,
                                 skv_layer_rows *out) {
    int64_t x[SKIVE_MAX_RANK], w[SKIVE_MAX_RANK];
    *out = (skv_layer_rows){.groups = 1, .windows = node != NULL};
    if (!node) {
        out->d = type->dims[type->rank - 1].size;
        out->count = skv_type_count(type) / (out->d > 0 ? out->d : 1);
        return SKIVE_OK;
    }
    const skive_type *t = &node->inputs[1]->type;
    for (int i = 0; i < type->rank; i++) x[i] = type->dims[i].size;
    for (int i = 0; i < t->rank; i++) w[i] = t->dims[i].size;
    SKV_TRY(skv_conv_shape_make(ctx, node, type->rank, x, t->rank, w, &out->conv));
    out->groups = out->conv.groups;
    out->d = out->conv.c / out->groups * skv_volume(out->conv.g.kernel);
    out->count = out->conv.n * skv_volume(out->conv.g.out);
    return SKIVE_OK;
}

/* What a group of channels of one sample shows in the window at output position `at`. */
static void show(const skv_layer_rows *r, const float *x, int64_t at, float *row) {
    const skv_geometry *g = &r->conv.g;
    const skv_window w = skv_window_at(g, at);
    const int64_t plane = skv_volume(g->in), volume = skv_volume(g->kernel);
    memset(row, 0, (size_t)r->d * sizeof *row);
    for (int64_t c = 0; c < r->conv.c / r->groups; c++) {
        for (int64_t d = w.lo[0]; d < w.hi[0]; d++) {
            for (int64_t h = w.lo[1]; h < w.hi[1]; h++) {
                const float *line = x + c * plane + skv_window_row(g, &w, d, h);
                float *to = row + c * volume + (d * g->kernel[1] + h) * g->kernel[2];
                for (int64_t k = w.lo[2]; k < w.hi[2]; k++) to[k] = line[k * g->dilation[2]];
            }
        }
    }
}

const float *skv_layer_rows_show(const skv_layer_rows *r, const float *x, int64_t group, int64_t first, int64_t n,
                                 float *room) {
    if (!r->windows) return x + first * r->d;
    const int64_t places = skv_volume(r->conv.g.out), per_group = r->conv.c / r->groups * skv_volume(r->conv.g.in);
    for (int64_t i = first; i < first + n; i++)
        show(r, x + (i / places * r->groups + group) * per_group, i % places, room + (i - first) * r->d);
    return room;
}

/* ---- products ---- */

size_t skv_rows_room_bytes(int64_t d, int threads) {
    return (size_t)d * (size_t)d * sizeof(float) + skv_sgemm_scratch(d, SKV_ROWS_AT_ONCE, threads);
}

skive_status skv_rows_room_open(skive_context *ctx, int64_t d, int threads, skv_rows_room *out) {
    *out = (skv_rows_room){.d = d, .threads = threads};
    SKV_TRY(skv_alloc_array(ctx, (size_t)(d * d), sizeof *out->product, &out->product));
    return skv_alloc(ctx, skv_sgemm_scratch(d, SKV_ROWS_AT_ONCE, threads), &out->scratch);
}

void skv_rows_room_close(skive_context *ctx, skv_rows_room *r) {
    skv_free(ctx, r->product);
    skv_free(ctx, r->scratch);
    *r = (skv_rows_room){0};
}

void skv_rows_multiply(const skv_rows_room *r, const float *a, const float *b, int64_t n, double *sum) {
    const int64_t d = r->d;
    const skv_sgemm g = {.trans_a = true,
                         .m = d,
                         .n = d,
                         .k = n,
                         .a = a,
                         .b = b,
                         .lda = d,
                         .ldb = d,
                         .ldc = d,
                         .c = r->product,
                         .alpha = 1};
    skv_sgemm_run(&g, r->threads, r->scratch);
    for (int64_t i = 0; i < d * d; i++) sum[i] += (double)r->product[i];
}
