/* What the kernels of recurrent layers share: the shape of a node they serve, and loops for each instruction set. */
#ifndef SKV_RECURRENT_KERNEL_H
#define SKV_RECURRENT_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/kernel.h"

typedef enum skv_recurrent_kind { SKV_LSTM, SKV_GRU, SKV_RNN } skv_recurrent_kind;

/* Of LSTM, GRU, RNN, their gradients, whose first inputs are the same, and DynamicQuantizeLSTM. */
typedef struct skv_recurrent_shape {
    skv_recurrent_kind kind;
    int64_t steps, batch, input, hidden, gates, directions;
    bool batch_first, reverse_first;
    bool linear; /* GRU: reset behind the product */
} skv_recurrent_shape;
skv_recurrent_shape skv_recurrent_shape_of(const skv_kernel_node *n);
/* The states of input `input` [directions][batch][h] for direction d, to [batch][h] with `ld` from sample to sample;
 * zeros when absent. */
void skv_recurrent_load(const skv_recurrent_shape *s, const skv_kernel_call *c, size_t input, int64_t d, float *to,
                        int64_t ld);
/* [batch][h] to output `output`, when that is wanted. */
void skv_recurrent_store(const skv_recurrent_shape *s, const skv_kernel_call *c, size_t output, int64_t d,
                         const float *from);
bool skv_recurrent_usual(const skive_node *n,
                         skv_recurrent_kind kind); /* the activations; nothing clipped or coupled */
/* float32, lengths in int32, the usual activations, no peepholes, clip or coupled gates: what the kernels do. */
bool skv_recurrent_plain(const skv_kernel_node *n, skv_why *why);
/* To length[batch], where each sample ends: its sequence length, or the number of steps. Refuses what is out of range. */
skive_status skv_recurrent_lengths(const skv_recurrent_shape *s, const skv_kernel_call *c, int64_t *length);

static inline bool skv_recurrent_goes_back(const skv_recurrent_shape *s, int64_t d) {
    return d == 1 || s->reverse_first;
}
static inline int64_t skv_recurrent_state(const skv_recurrent_shape *s, int64_t d, int64_t b) {
    return (s->batch_first ? b * s->directions + d : d * s->batch + b) * s->hidden;
}
static inline int64_t skv_recurrent_y(const skv_recurrent_shape *s, int64_t t, int64_t d, int64_t b) {
    return (s->batch_first ? (b * s->steps + t) * s->directions + d : (t * s->directions + d) * s->batch + b) *
           s->hidden;
}
/* Rows of X, and of whatever else there is for each step and sample. */
static inline int64_t skv_recurrent_row(const skv_recurrent_shape *s, int64_t t, int64_t b) {
    return s->batch_first ? b * s->steps + t : t * s->batch + b;
}

typedef struct skv_recurrent_loops {
    /* One step of `n` hidden units from the sums of the gates: LSTM (i, o, f, c) and RNN replace h (and c). */
    void (*lstm)(const float *sum, float *h, float *c, int64_t n);
    void (*rnn)(const float *sum, float *h, int64_t n);
    /* GRU in two halves: z and r from their sums, in place; then h from the sum of the hidden gate, its recurrent part
     * apart. With `linear` r scales the recurrent part, otherwise it was applied to h before. */
    void (*gru_gates)(float *sum, int64_t n);
    void (*gru_state)(const float *gates, const float *x, const float *recurrent, bool linear, float *h, int64_t n);

    /* The same for training: gates stay, after their activations, and the states before and after a step are apart.
     * GRU after gru_gates; `recurrent` as above. */
    void (*lstm_keep)(float *gates, const float *c_before, float *c, float *h, int64_t n);
    void (*gru_keep)(float *gates, const float *recurrent, bool linear, const float *h_before, float *h, int64_t n);
    /* Backward: from what was kept to the gradients of the sums, in place. dh is of the state after; LSTM replaces dc,
     * GRU replaces dh by its part that goes by the gate z alone. */
    void (*lstm_back)(float *gates, const float *c_before, const float *dh, float *dc, int64_t n);
    void (*rnn_back)(float *gates, const float *dh, int64_t n); /* gates: the state after */
    /* GRU whose r comes behind the product: `recurrent` becomes the gradient of the product. Otherwise r stays in its
     * place and gru_back_reset does the rest, with the gradient of r h. */
    void (*gru_back)(float *gates, float *recurrent, bool linear, const float *h_before, float *dh, int64_t n);
    void (*gru_back_reset)(float *gates, const float *d_gated, const float *h_before, float *dh, int64_t n);
} skv_recurrent_loops;
const skv_recurrent_loops *skv_recurrent_loops_of(skv_isa isa);
extern const skv_recurrent_loops skv_recurrent_scalar, skv_recurrent_avx2, skv_recurrent_avx512;

#endif
