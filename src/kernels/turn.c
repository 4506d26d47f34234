/* See turn.h. Squares of 16 bytes a side are turned in registers by rounds of interleaving: each round takes the halves
 * of a list of rows apart and deals them out in turn, and after log2(rows) rounds rows are columns. */
#include "kernels/turn.h"

#include <string.h>

#include "kernels/unroll.h"

typedef uint8_t bytes __attribute__((vector_size(16)));
typedef uint16_t halves __attribute__((vector_size(16)));
typedef uint32_t words __attribute__((vector_size(16)));

#define LOW_8(a, b)   __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH_8(a, b)  __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define LOW_16(a, b)  __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH_16(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define LOW_32(a, b)  __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH_32(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)

#define TURN(T, V, BITS, N, ROUNDS)                                                                            \
    SKV_INLINE void square_##BITS(const T *x, int64_t x_step, T *y, int64_t y_step) {                          \
        V a[N], b[N];                                                                                          \
        SKV_UNROLL                                                                                             \
        for (int i = 0; i < N; i++) memcpy(&a[i], x + i * x_step, sizeof(V));                                  \
        SKV_UNROLL                                                                                             \
        for (int round = 0; round < ROUNDS; round++) {                                                         \
            SKV_UNROLL                                                                                         \
            for (int i = 0; i < N / 2; i++) {                                                                  \
                b[2 * i] = LOW_##BITS(a[i], a[i + N / 2]);                                                     \
                b[2 * i + 1] = HIGH_##BITS(a[i], a[i + N / 2]);                                                \
            }                                                                                                  \
            SKV_UNROLL                                                                                         \
            for (int i = 0; i < N; i++) a[i] = b[i];                                                           \
        }                                                                                                      \
        SKV_UNROLL                                                                                             \
        for (int i = 0; i < N; i++) memcpy(y + i * y_step, &a[i], sizeof(V));                                  \
    }                                                                                                          \
    static void turn_##BITS(const T *x, int64_t x_step, T *y, int64_t y_step, int64_t rows, int64_t columns) { \
        const int64_t whole_rows = rows / N * N, whole_columns = columns / N * N;                              \
        for (int64_t j = 0; j < whole_columns; j += N)                                                         \
            for (int64_t i = 0; i < whole_rows; i += N)                                                        \
                square_##BITS(x + i * x_step + j, x_step, y + j * y_step + i, y_step);                         \
        for (int64_t i = whole_rows; i < rows; i++)                                                            \
            for (int64_t j = 0; j < whole_columns; j++) y[j * y_step + i] = x[i * x_step + j];                 \
        for (int64_t j = whole_columns; j < columns; j++)                                                      \
            for (int64_t i = 0; i < rows; i++) y[j * y_step + i] = x[i * x_step + j];                          \
    }
TURN(uint8_t, bytes, 8, 16, 4)
TURN(uint16_t, halves, 16, 8, 3)
TURN(uint32_t, words, 32, 4, 2)

static void turn_64(const uint64_t *x, int64_t x_step, uint64_t *y, int64_t y_step, int64_t rows, int64_t columns) {
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = 0; i < rows; i++) y[j * y_step + i] = x[i * x_step + j];
}

void skv_turn(size_t size, const void *x, int64_t x_step, void *y, int64_t y_step, int64_t rows, int64_t columns) {
    switch (size) {
    case 1: turn_8(x, x_step, y, y_step, rows, columns); break;
    case 2: turn_16(x, x_step, y, y_step, rows, columns); break;
    case 4: turn_32(x, x_step, y, y_step, rows, columns); break;
    default: turn_64(x, x_step, y, y_step, rows, columns); break;
    }
}
