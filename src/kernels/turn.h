/* A matrix turned: rows become columns. */
#ifndef SKV_KERNEL_TURN_H
#define SKV_KERNEL_TURN_H

#include <stddef.h>
#include <stdint.h>

/* y[j * y_step + i] = x[i * x_step + j] for i < rows, j < columns; elements of `size` bytes (1, 2, 4, 8), steps in
 * elements. In vectors of 16 bytes, which every CPU has. */
void skv_turn(size_t size, const void *x, int64_t x_step, void *y, int64_t y_step, int64_t rows, int64_t columns);

#endif
