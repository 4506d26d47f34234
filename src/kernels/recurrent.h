/* What the recurrent kernel's loops do, for each instruction set. */
#ifndef SKV_RECURRENT_KERNEL_H
#define SKV_RECURRENT_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct skv_recurrent_loops {
    /* y[rows][n] += x[rows][k] w[k][n]; rows of x `x_step` apart, of y `y_step`. */
    void (*product)(const float *x, int64_t x_step, const float *w, float *y, int64_t y_step, int64_t rows, int64_t k,
                    int64_t n);
    /* One step of `n` hidden units from the sums of the gates: LSTM (i, o, f, c) and RNN replace h (and c). */
    void (*lstm)(const float *sum, float *h, float *c, int64_t n);
    void (*rnn)(const float *sum, float *h, int64_t n);
    /* GRU in two halves: z and r from their sums, in place; then h from the sum of the hidden gate, its recurrent part apart. With `linear`
     * r scales the recurrent part, otherwise it was applied to h before. */
    void (*gru_gates)(float *sum, int64_t n);
    void (*gru_state)(const float *gates, const float *x, const float *recurrent, bool linear, float *h, int64_t n);
} skv_recurrent_loops;
extern const skv_recurrent_loops skv_recurrent_scalar, skv_recurrent_avx2, skv_recurrent_avx512;

#endif
