/* Shared by RNN, GRU and LSTM: shapes, activation functions, and the loops over directions, samples and steps.
 *
 * Inputs: 0 X, 1 W [d][gates h][i], 2 R [d][gates h][h], 3 B [d][2 gates h], 4 sequence_lens [b], 5 initial_h, 6
 * initial_c (LSTM), 7 P (LSTM, [d][3 h]). Outputs: 0 Y, 1 Y_h, 2 Y_c (LSTM). With layout 0, X is [t][b][i], Y
 * [t][d][b][h], states [d][b][h]; with layout 1, X is [b][t][i], Y [b][t][d][h], states [b][d][h]. d: 2 when
 * bidirectional. Steps beyond a sequence's length give zeros. */
#ifndef SKV_OPS_COMMON_RECURRENT_H
#define SKV_OPS_COMMON_RECURRENT_H

#include "ops/common_nn.h"

typedef struct skv_act_fn {
    double (*f)(double x, const double *p);
    double (*slope)(double x, const double *p);
    double p[2];
} skv_act_fn;
static inline double skv_act_apply(const skv_act_fn *a, double x) { return a->f(x, a->p); }

typedef struct skv_recurrent {
    int gates, directions;
    bool reverse_first; /* direction 0 goes backward */
    bool batch_first;
    int64_t steps, batch, input, hidden; /* -1 unknown */
    double clip;                         /* 0: none */
    skv_act_fn acts[2][3];               /* by direction */
    bool quantized;                      /* the state is quantized to uint8 for the product with R */
} skv_recurrent;

/* One step of one sample:
 *
 *     xw[gates h]   x W^T + the input's bias h, c[h]       the states, replaced (c is NULL except for LSTM) weight     
 *       R of this direction, [gates h][h]; bias[gates h] its bias, or NULL; peephole[3 h], or NULL scratch       8
 *     gates h doubles */
typedef struct skv_recurrent_step {
    const skv_recurrent *r;
    const skive_node *node;
    const skv_act_fn *acts;
    const double *xw, *weight, *bias, *peephole;
    double *h, *c, *scratch;
} skv_recurrent_step;

/* The same step backward:
 *
 *     f             the step, with the states before it, which are not changed dh, dc[h]     gradients of the states
 *     after the step; replaced by those of the states before it dxw[gates h]  to fill: the gradient of xw dweight,
 *     dbias, dpeephole   to add to: those of R, its bias, P; the last two NULL where the forward ones are */
typedef struct skv_recurrent_back {
    skv_recurrent_step f;
    double *dh, *dc, *dxw, *dweight, *dbias, *dpeephole;
} skv_recurrent_back;

/* What differs between the ops. */
typedef struct skv_recurrent_cell {
    int gates, acts, states; /* acts: activation functions per direction; states: 1, or 2 for LSTM */
    const char *grad;        /* name of the gradient's op */
    void (*step)(const skv_recurrent_step *s);
    void (*back)(const skv_recurrent_back *s);
} skv_recurrent_cell;
extern const skv_recurrent_cell skv_cell_lstm, skv_cell_gru, skv_cell_rnn;

/* Coupling: a hidden unit is its rows in all gates, its column in R and its element of all states, in both
 * directions. */
void skv_recurrent_couple(skv_couple *c);
skive_status skv_recurrent_shrink(const skv_shrink *s);
/* Types of the outputs; checks every input. */
skive_status skv_recurrent_infer(skv_infer *c, const skv_recurrent_cell *cell);
skive_status skv_recurrent_run(const skv_eval *c, const skv_recurrent_cell *cell);
/* The same on given operands instead of the node's inputs (except 4), which are doubles in the shapes above. */
skive_status skv_recurrent_run_on(const skv_eval *c, const skv_recurrent_cell *cell, const skv_recurrent *r,
                                  const double *const in[8]);
/* n numbers after DynamicQuantizeLinear and DequantizeLinear. */
void skv_recurrent_through_u8(double *x, int64_t n);

/* XGrad(the eight inputs of X, dY, dY_h, dY_c) -> gradients of X, W, R, B, initial_h, initial_c, P; any gradient may be
 * absent. The forward run is repeated, keeping the states before each step; then the steps are processed backward
 * (Werbos, 1990). */
enum { SKV_RECURRENT_DY = 8, SKV_RECURRENT_GRAD_INPUTS = 11, SKV_RECURRENT_GRADIENTS = 7 };
skive_status skv_recurrent_grad(skv_grad *c, const skv_recurrent_cell *cell);
skive_status skv_recurrent_grad_infer(skv_infer *c, const skv_recurrent_cell *cell);
skive_status skv_recurrent_grad_run(const skv_eval *c, const skv_recurrent_cell *cell);
void skv_recurrent_grad_cost(const skive_node *n, skive_cost *cost);

/* ---- for both runs ---- */

/* Everything in doubles, NULL where absent. xw[gates h], states[states h], scratch[8 gates h], trace NULL or
 * [steps][states h]. */
typedef struct skv_recurrent_data {
    const double *in[8];
    double *out[3];
    double *xw, *states, *scratch, *trace;
} skv_recurrent_data;
/* Attributes and sizes. */
skive_status skv_recurrent_read(const skv_eval *c, const skv_recurrent_cell *cell, skv_recurrent *r);
/* Steps of sample b, checked. */
skive_status skv_recurrent_length(const skv_eval *c, const skv_recurrent *r, int64_t b, int64_t *length);
/* One sample in one direction; `states` ends as the last states. */
void skv_recurrent_walk(const skv_recurrent *r, const skv_recurrent_cell *cell, const skv_recurrent_data *u,
                        const skive_node *node, int d, int64_t b, int64_t length);
/* The step record of a direction, except its x part. */
skv_recurrent_step skv_recurrent_step_of(const skv_recurrent *r, const skv_recurrent_data *u, const skive_node *node,
                                         int d);
void skv_recurrent_input(const skv_recurrent *r, const skv_recurrent_data *u, int d, int64_t t, int64_t b);
static inline bool skv_recurrent_backward(const skv_recurrent *r, int d) { return d == 1 || r->reverse_first; }
static inline int64_t skv_recurrent_state_at(const skv_recurrent *r, int d, int64_t b) {
    return (r->batch_first ? b * r->directions + d : d * r->batch + b) * r->hidden;
}
static inline int64_t skv_recurrent_x_at(const skv_recurrent *r, int64_t t, int64_t b) {
    return (r->batch_first ? b * r->steps + t : t * r->batch + b) * r->input;
}
static inline int64_t skv_recurrent_y_at(const skv_recurrent *r, int64_t t, int d, int64_t b) {
    return (r->batch_first ? (b * r->steps + t) * r->directions + d : (t * r->directions + d) * r->batch + b) *
           r->hidden;
}

/* The state as used by the product with R: s->h, or `room` [h] filled. */
const double *skv_recurrent_operand(const skv_recurrent_step *s, double *room);
/* Clip and activation of a gate's sum; and the gradient, where dy is that of the result. */
double skv_recurrent_gate(const skv_recurrent *r, const skv_act_fn *act, double sum);
double skv_recurrent_gate_back(const skv_recurrent *r, const skv_act_fn *act, double sum, double dy);
/* For product = weight h: dweight += d h^T, dh += weight^T d. */
void skv_recurrent_product_back(const double *weight, int64_t n, int64_t hidden, const double *h, const double *d,
                                double *dweight, double *dh);
/* out[n] = row . h for each of n rows of weight [n][hidden]. */
void skv_recurrent_product(const double *weight, int64_t n, int64_t hidden, const double *h, double *out);

void skv_recurrent_cost(const skive_node *n, skive_cost *cost);

#define SKV_RECURRENT_ATTRS                                                                                  \
    {"activation_alpha", SKV_ATTR_FLOATS, SKV_OPTIONAL}, {"activation_beta", SKV_ATTR_FLOATS, SKV_OPTIONAL}, \
        {"activations", SKV_ATTR_STRINGS, SKV_OPTIONAL}, {"clip", SKV_ATTR_FLOAT, SKV_OPTIONAL},             \
        {"direction", SKV_ATTR_STRING, SKV_OPTIONAL}, {"hidden_size", SKV_ATTR_INT, SKV_OPTIONAL}, {         \
        "layout", SKV_ATTR_INT, SKV_OPTIONAL                                                                 \
    }

/* What the inputs X, W, R, B, sequence_lens and initial_h are, with so many gates. */
#define SKV_RECURRENT_INPUTS(gates_)                                                                 \
    {.role = SKV_ROLE_DATA},                                                                         \
        {.role = SKV_ROLE_WEIGHT,                                                                    \
         .axes = true,                                                                               \
         .out_axis = 1,                                                                              \
         .in_axis = 2,                                                                               \
         .blocks = (gates_),                                                                         \
         .data_axis = -1,                                                                            \
         .result_axis = -1,                                                                          \
         .channels = "hidden units"},                                                                \
        {.role = SKV_ROLE_WEIGHT,                                                                    \
         .axes = true,                                                                               \
         .out_axis = 1,                                                                              \
         .in_axis = 2,                                                                               \
         .blocks = (gates_),                                                                         \
         .data = -1,                                                                                 \
         .result_axis = -1,                                                                          \
         .channels = "hidden units"},                                                                \
        {.role = SKV_ROLE_BIAS, .axes = true, .out_axis = 1, .in_axis = -1, .blocks = 2 * (gates_)}, \
        {.role = SKV_ROLE_CONSTANT}, {                                                               \
        .role = SKV_ROLE_DATA                                                                        \
    }

/* Lowest opset: layout 1 was added in 14, bfloat16 in 22. */
int skv_recurrent_needs_opset(const skive_node *n);

#endif
