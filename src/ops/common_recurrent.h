/* What RNN, GRU and LSTM share: shapes, activation functions, and the walk over directions, samples and steps.
 *
 * Inputs: 0 X, 1 W [d][gates h][i], 2 R [d][gates h][h], 3 B [d][2 gates h], 4 sequence_lens [b], 5 initial_h, 6 initial_c (LSTM), 7 P (LSTM,
 * [d][3 h]). Outputs: 0 Y, 1 Y_h, 2 Y_c (LSTM). With layout 0, X is [t][b][i], Y [t][d][b][h], states [d][b][h]; with layout 1, X is [b][t][i],
 * Y [b][t][d][h], states [b][d][h]. d: 2 when bidirectional. Steps beyond a sequence's length give zeros. */
#ifndef SKV_OPS_COMMON_RECURRENT_H
#define SKV_OPS_COMMON_RECURRENT_H

#include "ops/common_nn.h"

typedef struct skv_act_fn skv_act_fn;
struct skv_act_fn {
    double (*f)(double x, double alpha, double beta);
    double alpha, beta;
};
static inline double skv_act_apply(const skv_act_fn *a, double x) { return a->f(x, a->alpha, a->beta); }

typedef struct skv_recurrent {
    int gates, directions;
    bool reverse_first; /* direction 0 goes backward */
    bool batch_first;
    int64_t steps, batch, input, hidden; /* -1 unknown */
    double clip;                         /* 0: none */
    skv_act_fn acts[2][3];               /* by direction */
} skv_recurrent;

/* Types of the outputs; checks every input. `states`: 1, or 2 for LSTM. `gates`: 1, 3, 4; `n_acts`: activation functions a direction. */
skive_status skv_recurrent_infer(skv_infer *c, int gates, int n_acts, int states);

/* One run in double. What differs between the ops is one step of one sample:
 *
 *     xw[gates h]   x W^T + the input's bias
 *     h, c[h]       the states, replaced (c NULL but for LSTM)
 *     r             R of this direction, [gates h][h]; rb[gates h] its bias; p[3 h] peepholes, or NULL
 *     scratch       2 gates h doubles */
typedef struct skv_recurrent_step {
    const skv_recurrent *r;
    const skive_node *node;
    const skv_act_fn *acts;
    const double *xw, *weight, *bias, *peephole;
    double *h, *c, *scratch;
} skv_recurrent_step;
skive_status skv_recurrent_run(const skv_eval *c, int gates, int n_acts, int states,
                               void (*step)(const skv_recurrent_step *s));

/* out[n] = row . h for each of n rows of weight [n][hidden]. */
void skv_recurrent_product(const double *weight, int64_t n, int64_t hidden, const double *h, double *out);
double skv_recurrent_clip(const skv_recurrent *r, double x);

void skv_recurrent_cost(const skive_node *n, skive_cost *cost);

#define SKV_RECURRENT_ATTRS                                                                                  \
    {"activation_alpha", SKV_ATTR_FLOATS, SKV_OPTIONAL}, {"activation_beta", SKV_ATTR_FLOATS, SKV_OPTIONAL}, \
        {"activations", SKV_ATTR_STRINGS, SKV_OPTIONAL}, {"clip", SKV_ATTR_FLOAT, SKV_OPTIONAL},             \
        {"direction", SKV_ATTR_STRING, SKV_OPTIONAL}, {"hidden_size", SKV_ATTR_INT, SKV_OPTIONAL}, {         \
        "layout", SKV_ATTR_INT, SKV_OPTIONAL                                                                 \
    }

/* Least opset: layout 1 came with 14, bfloat16 with 22. */
int skv_recurrent_needs_opset(const skive_node *n);

#endif
