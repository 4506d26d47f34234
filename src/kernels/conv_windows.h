/* Between values that stand with their channels last and the rows of a matrix: a row is the window of one output
 * position of a convolution of one group, its elements in the order [tap][channel]. */
#ifndef SKV_CONV_WINDOWS_H
#define SKV_CONV_WINDOWS_H

#include "kernels/kernel.h"
#include "ops/conv/common_conv.h"

/* The convolution's shape from the node's values. */
skive_status skv_windows_shape(const skv_kernel_node *n, const skive_type *x, const skive_type *w, skv_conv_shape *out);
/* Is the window one element, and the rows those of the input? */
bool skv_windows_direct(const skv_geometry *g);
/* Rows [first, first + rows), counted through all images, of x [n][in...][c] into to[rows][taps][c]. */
void skv_windows_gather(const skv_conv_shape *s, const float *x, int64_t first, int64_t rows, float *to);
/* The reverse: each element of from[rows][taps][c] is added to the place it would be gathered from. */
void skv_windows_add(const skv_conv_shape *s, const float *from, int64_t first, int64_t rows, float *x);
/* w [m][c][taps] as to[m][taps][c], and back. */
void skv_windows_turn(int64_t m, int64_t c, int64_t taps, const float *w, float *to);
void skv_windows_turn_back(int64_t m, int64_t c, int64_t taps, const float *from, float *w);

#endif
