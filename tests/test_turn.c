/* Turning matrices (kernels/turn.h): every element is at its place, for sizes around those of squares and halves of
 * squares, and nothing beside the matrix is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/turn.h"

#include <cmocka.h>

enum { MOST = 41, APART = 5, GUARD = 0xa5 };

/* Bytes of element (i, j), which differ in each of their places. */
static void element(size_t size, int64_t i, int64_t j, uint8_t *to) {
    for (size_t k = 0; k < size; k++) to[k] = (uint8_t)((uint64_t)(i * MOST + j + 1) * 0x9e3779b97f4a7c15u >> (8 * k));
}

static void turn_one(size_t size, int64_t rows, int64_t columns, int64_t x_more, int64_t y_more) {
    const int64_t x_step = columns + x_more, y_step = rows + y_more;
    /* memory that ends with the last element of either side, so that tools see what is read or written beyond it */
    const size_t x_bytes = (size_t)((rows - 1) * x_step + columns) * size;
    const size_t y_bytes = (size_t)((columns - 1) * y_step + rows) * size;
    uint8_t *x = malloc(x_bytes), *y = malloc(y_bytes), *want = malloc(y_bytes);
    assert_true(x && y && want);
    memset(x, 0x77, x_bytes);
    memset(y, GUARD, y_bytes);
    memset(want, GUARD, y_bytes);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++) {
            element(size, i, j, x + (size_t)(i * x_step + j) * size);
            element(size, i, j, want + (size_t)(j * y_step + i) * size);
        }
    }
    skv_turn(size, x, x_step, y, y_step, rows, columns);
    if (memcmp(y, want, y_bytes) != 0)
        fail_msg("%d bytes, %d x %d, steps %d and %d", (int)size, (int)rows, (int)columns, (int)x_step, (int)y_step);
    free(x);
    free(y);
    free(want);
}

static void all_sizes(void **state) {
    (void)state;
    for (size_t size = 1; size <= 8; size *= 2)
        for (int64_t rows = 1; rows <= MOST; rows++)
            for (int64_t columns = 1; columns <= MOST; columns++) {
                turn_one(size, rows, columns, 0, 0);
                turn_one(size, rows, columns, APART, APART + 1);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
