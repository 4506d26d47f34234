/* See turn.h. Squares of 16 bytes a side are turned in registers by rounds of interleaving: each round takes the halves
 * of a list of rows apart and deals them out in turn, and after log2(rows) rounds rows are columns. What is left of
 * rows and columns is turned once more with those in front of it, or by halves of squares where there are too few for
 * whole ones. */
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

/* Of a square the first `rows` rows and `columns` columns, N or N / 2 of each, which are known where it is inlined. */
#define TURN(T, V, BITS, N, ROUNDS)                                                                                 \
    SKV_INLINE void square_##BITS(const T *x, int64_t x_step, T *y, int64_t y_step, const int rows,                 \
                                  const int columns) {                                                              \
        V a[N] = {{0}}, b[N];                                                                                       \
        SKV_UNROLL                                                                                                  \
        for (int i = 0; i < rows; i++) memcpy(&a[i], x + i * x_step, (size_t)columns * sizeof(T));                  \
        SKV_UNROLL                                                                                                  \
        for (int round = 0; round < ROUNDS; round++) {                                                              \
            SKV_UNROLL                                                                                              \
            for (int i = 0; i < N / 2; i++) {                                                                       \
                b[2 * i] = LOW_##BITS(a[i], a[i + N / 2]);                                                          \
                b[2 * i + 1] = HIGH_##BITS(a[i], a[i + N / 2]);                                                     \
            }                                                                                                       \
            SKV_UNROLL                                                                                              \
            for (int i = 0; i < N; i++) a[i] = b[i];                                                                \
        }                                                                                                           \
        SKV_UNROLL                                                                                                  \
        for (int i = 0; i < columns; i++) memcpy(y + i * y_step, &a[i], (size_t)rows * sizeof(T));                  \
    }                                                                                                               \
    SKV_INLINE void squares_##BITS(const T *x, int64_t x_step, T *y, int64_t y_step, int64_t rows, int64_t columns, \
                                   const int high, const int wide) {                                                \
        for (int64_t j = 0; j < columns; j += wide) {                                                               \
            if (j > columns - wide) j = columns - wide;                                                             \
            for (int64_t i = 0; i < rows; i += high) {                                                              \
                if (i > rows - high) i = rows - high;                                                               \
                square_##BITS(x + i * x_step + j, x_step, y + j * y_step + i, y_step, high, wide);                  \
            }                                                                                                       \
        }                                                                                                           \
    }                                                                                                               \
    static void turn_##BITS(const T *x, int64_t x_step, T *y, int64_t y_step, int64_t rows, int64_t columns) {      \
        if (rows < N / 2 || columns < N / 2 || (rows < N && columns < N)) {                                         \
            for (int64_t j = 0; j < columns; j++)                                                                   \
                for (int64_t i = 0; i < rows; i++) y[j * y_step + i] = x[i * x_step + j];                           \
        } else if (rows < N) {                                                                                      \
            squares_##BITS(x, x_step, y, y_step, rows, columns, N / 2, N);                                          \
        } else if (columns < N) {                                                                                   \
            squares_##BITS(x, x_step, y, y_step, rows, columns, N, N / 2);                                          \
        } else {                                                                                                    \
            squares_##BITS(x, x_step, y, y_step, rows, columns, N, N);                                              \
        }                                                                                                           \
    }
TURN(uint8_t, bytes, 8, 16, 4)
TURN(uint16_t, halves, 16, 8, 3)
TURN(uint32_t, words, 32, 4, 2)

/* Rows of three elements one behind the other (pixels of three colours): three vectors are six halves, and the same
 * rounds with every half and the third after it bring element p to place p * N modulo 3 N - 1, that of its column. */
#define LOW_HIGH_8(a, b)  __builtin_shufflevector(a, b, 0, 24, 1, 25, 2, 26, 3, 27, 4, 28, 5, 29, 6, 30, 7, 31)
#define HIGH_LOW_8(a, b)  __builtin_shufflevector(a, b, 8, 16, 9, 17, 10, 18, 11, 19, 12, 20, 13, 21, 14, 22, 15, 23)
#define LOW_HIGH_16(a, b) __builtin_shufflevector(a, b, 0, 12, 1, 13, 2, 14, 3, 15)
#define HIGH_LOW_16(a, b) __builtin_shufflevector(a, b, 4, 8, 5, 9, 6, 10, 7, 11)
#define LOW_HIGH_32(a, b) __builtin_shufflevector(a, b, 0, 6, 1, 7)
#define HIGH_LOW_32(a, b) __builtin_shufflevector(a, b, 2, 4, 3, 5)

#define SPLIT(T, V, BITS, N, ROUNDS)                                                  \
    static void split_##BITS(const T *x, T *y, int64_t y_step, int64_t rows) {        \
        int64_t i = 0;                                                                \
        for (; i + N <= rows; i += N) {                                               \
            V a[3];                                                                   \
            memcpy(a, x + 3 * i, sizeof a);                                           \
            SKV_UNROLL                                                                \
            for (int round = 0; round < ROUNDS; round++) {                            \
                const V first = a[0], second = a[1], third = a[2];                    \
                a[0] = LOW_HIGH_##BITS(first, second);                                \
                a[1] = HIGH_LOW_##BITS(first, third);                                 \
                a[2] = LOW_HIGH_##BITS(second, third);                                \
            }                                                                         \
            for (int j = 0; j < 3; j++) memcpy(y + j * y_step + i, &a[j], sizeof(V)); \
        }                                                                             \
        for (; i < rows; i++)                                                         \
            for (int j = 0; j < 3; j++) y[j * y_step + i] = x[3 * i + j];             \
    }
SPLIT(uint8_t, bytes, 8, 16, 4)
SPLIT(uint16_t, halves, 16, 8, 3)
SPLIT(uint32_t, words, 32, 4, 2)

static void turn_64(const uint64_t *x, int64_t x_step, uint64_t *y, int64_t y_step, int64_t rows, int64_t columns) {
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = 0; i < rows; i++) y[j * y_step + i] = x[i * x_step + j];
}

void skv_turn(size_t size, const void *x, int64_t x_step, void *y, int64_t y_step, int64_t rows, int64_t columns) {
    if (columns == 3 && x_step == 3 && size < 8) {
        if (size == 1)
            split_8(x, y, y_step, rows);
        else if (size == 2)
            split_16(x, y, y_step, rows);
        else
            split_32(x, y, y_step, rows);
        return;
    }
    switch (size) {
    case 1: turn_8(x, x_step, y, y_step, rows, columns); break;
    case 2: turn_16(x, x_step, y, y_step, rows, columns); break;
    case 4: turn_32(x, x_step, y, y_step, rows, columns); break;
    default: turn_64(x, x_step, y, y_step, rows, columns); break;
    }
}
