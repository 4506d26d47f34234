/* Columns to images and back. See common_col2im.h. */
#include "ops/rare/common_col2im.h"

skive_status skv_col2im_make(skive_context *ctx, const skive_node *node, const int64_t *columns, const int64_t *image,
                             const int64_t *block, int spatial, skv_col2im *out) {
    skv_col2im s = {.n = columns ? columns[0] : -1, .c = -1, .taps = 1, .positions = 1};
    int64_t dims[2 + SKV_SPATIAL] = {1, 1};
    if (spatial < 1 || spatial > SKV_SPATIAL)
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, node->name,
                           "%s: %d spatial axes are not supported (1 to %d are)", node->op_type, spatial, SKV_SPATIAL);
    for (int d = 0; d < spatial; d++) {
        dims[2 + d] = image[d];
        if (image[d] < 0 || image[d] > INT32_MAX || block[d] < 1)
            return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name,
                               "%s: an image of size %lld with a block of size %lld is not valid", node->op_type,
                               (long long)image[d], (long long)block[d]);
    }
    SKV_TRY(skv_conv_geometry(ctx, node, 2 + spatial, dims, block, &s.g));
    bool fits = true;
    for (int a = 0; a < SKV_SPATIAL; a++)
        fits =
            fits && skv_mul_i64(s.taps, s.g.kernel[a], &s.taps) && skv_mul_i64(s.positions, s.g.out[a], &s.positions);
    if (fits && columns && columns[1] >= 0) {
        fits = columns[1] % s.taps == 0;
        s.c = columns[1] / s.taps;
    }
    if (!fits || (columns && columns[2] >= 0 && columns[2] != s.positions))
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name,
                           "%s: columns of %lld numbers at %lld positions do not fit a block of %lld at %lld",
                           node->op_type, columns ? (long long)columns[1] : -1LL,
                           columns ? (long long)columns[2] : -1LL, (long long)s.taps, (long long)s.positions);
    *out = s;
    return SKIVE_OK;
}

skive_status skv_col2im_read(const skv_eval *c, size_t first, const int64_t *columns, skv_col2im *out) {
    int64_t image[SKIVE_MAX_RANK], block[SKIVE_MAX_RANK];
    int n, n_block;
    SKV_TRY(skv_eval_ints(c, first, "the image's shape", image, SKIVE_MAX_RANK, &n));
    SKV_TRY(skv_eval_ints(c, first + 1, "the block's shape", block, SKIVE_MAX_RANK, &n_block));
    if (n != n_block)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                           "%s: an image of %d axes does not match a block of %d", c->node->op_type, n, n_block);
    return skv_col2im_make(c->ctx, c->node, columns, image, block, n, out);
}

/* Calls `move` for every element of the columns of plane p and its element of the image. */
#define FOR_COLUMNS(s, from, to)                                                                                     \
    for (int64_t t = 0; t < (s)->taps; t++) {                                                                        \
        const skv_geometry *g = &(s)->g;                                                                             \
        const int64_t k[SKV_SPATIAL] = {t / g->kernel[2] / g->kernel[1], t / g->kernel[2] % g->kernel[1],            \
                                        t % g->kernel[2]};                                                           \
        int64_t lo[SKV_SPATIAL], hi[SKV_SPATIAL], off[SKV_SPATIAL];                                                  \
        for (int a = 0; a < SKV_SPATIAL; a++) {                                                                      \
            skv_tap_range(g, a, k[a], &lo[a], &hi[a]);                                                               \
            off[a] = k[a] * g->dilation[a] - g->pad_lo[a];                                                           \
        }                                                                                                            \
        for (int64_t d = lo[0]; d < hi[0]; d++)                                                                      \
            for (int64_t h = lo[1]; h < hi[1]; h++)                                                                  \
                for (int64_t w = lo[2],                                                                              \
                             row = ((d * g->stride[0] + off[0]) * g->in[1] + h * g->stride[1] + off[1]) * g->in[2] + \
                                   off[2],                                                                           \
                             from = t * (s)->positions + (d * g->out[1] + h) * g->out[2] + lo[2],                    \
                             to = row + lo[2] * g->stride[2];                                                        \
                     w < hi[2]; w++, from++, to += g->stride[2])

void skv_col2im_gather(int threads, const skv_col2im *s, const double *columns, double *image) {
    const int64_t size = skv_volume(s->g.in);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t p = 0; p < s->n * s->c; p++) {
        const double *column = columns + p * s->taps * s->positions;
        double *plane = image + p * size;
        FOR_COLUMNS(s, from, to) plane[to] += column[from];
    }
}
}

void skv_col2im_spread(int threads, const skv_col2im *s, const double *image, double *columns) {
    const int64_t size = skv_volume(s->g.in);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t p = 0; p < s->n * s->c; p++) {
        double *column = columns + p * s->taps * s->positions;
        const double *plane = image + p * size;
        FOR_COLUMNS(s, from, to) column[from] += plane[to];
    }
}
}
