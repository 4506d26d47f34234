/* What a layer's weight multiplies, as rows of numbers: the last axis of a value, or what a convolution shows in each
 * position of its window. */
#ifndef SKV_PROBE_ROWS_H
#define SKV_PROBE_ROWS_H

#include "ops/conv/common_conv.h"

/* Rows that are multiplied at once. */
enum { SKV_ROWS_AT_ONCE = 128 };

typedef struct skv_layer_rows {
    int64_t d, groups, count; /* numbers of a row, groups of channels, rows of each group in one run */
    bool windows;
    skv_conv_shape conv; /* with windows */
} skv_layer_rows;
/* `node`: the convolution that reads a value of this type; NULL: the last axis, whose neighbours are side by side. */
skive_status skv_layer_rows_make(skive_context *ctx, const skive_type *type, const skive_node *node,
                                 skv_layer_rows *out);
/* Rows first to first + n of a group, in the order of the weight's elements, with zeros where the window stands over
 * the padding: [n][d], in `room` or in x itself. */
const float *skv_layer_rows_show(const skv_layer_rows *r, const float *x, int64_t group, int64_t first, int64_t n,
                                 float *room);

/* Room for products of blocks of rows: multiplied in float32, the products summed in double. */
typedef struct skv_rows_room {
    float *product; /* [d][d] */
    void *scratch;
    int64_t d;
    int threads;
} skv_rows_room;
size_t skv_rows_room_bytes(int64_t d, int threads);
/* skv_rows_room_close in any case. */
skive_status skv_rows_room_open(skive_context *ctx, int64_t d, int threads, skv_rows_room *out);
void skv_rows_room_close(skive_context *ctx, skv_rows_room *r);
/* Adds a' b of [n][d] and [n][d] to sum [d][d]. */
void skv_rows_multiply(const skv_rows_room *r, const float *a, const float *b, int64_t n, double *sum);

#endif
