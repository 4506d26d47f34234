/* What a regularizer sees as one thing: a weight, or a channel with all slices of trained parameters that belong to it
 * (skive/coupling.h). */
#ifndef SKV_TRAIN_UNITS_H
#define SKV_TRAIN_UNITS_H

#include "train/trainer.h"

/* Elements first + (o * stride) + i of the parameter, for o < outer and i < inner. */
typedef struct skv_unit_slice {
    skv_param *param;
    int64_t first, outer, stride, inner;
    bool makes; /* a factor on this slice is a factor on the channel: no normalisation behind it takes it away again */
} skv_unit_slice;

typedef struct skv_units {
    skive_context *ctx;
    size_t n;
    bool channels;          /* otherwise each weight is a unit */
    skv_unit_slice *slices; /* of channels: those of unit i are [start[i], start[i + 1]) */
    size_t *start;          /* [n + 1] */
    int *family;            /* [n] of channels: those that stand side by side; of weights NULL */
    int families;
    skv_param **param; /* of weights: [n_params], whose units are [start[k], start[k + 1]) */
    size_t n_params;
} skv_units;

/* Every weight of trained weights and tables. skv_units_free in any case. */
skive_status skv_units_of_weights(skive_context *ctx, skv_trainer *t, skv_units *out);
/* The removable channels of `model`, the trainer's model in its own form. Slices of parameters that are not trained are
 * left out, and channels that have no other. Errors: UNSUPPORTED (there is no such channel), those of the coupling. */
skive_status skv_units_of_channels(skive_context *ctx, skv_trainer *t, const skive_graph *model, skv_units *out);
void skv_units_free(skv_units *u);

/* The slices of unit `i`; `room` is for those that are not stored. */
const skv_unit_slice *skv_unit_slices(const skv_units *u, size_t i, skv_unit_slice *room, size_t *n);
int64_t skv_unit_size(const skv_units *u, size_t i); /* elements of all slices */

/* For each element k of a slice: SKV_EACH_ELEMENT(s, k) x[k] = 0; */
#define SKV_EACH_ELEMENT(s, k)                           \
    for (int64_t o_##k = 0; o_##k < (s)->outer; o_##k++) \
        for (int64_t k = (s)->first + o_##k * (s)->stride, e_##k = k + (s)->inner; k < e_##k; k++)

/* The square of the norm of the trained weights, and their number; of parameters that are held nothing. */
double skv_unit_squares(const skv_units *u, size_t i, int64_t *n);
/* The weights times `factor`; 0 makes them exactly zero, with the optimizer's numbers. */
void skv_unit_scale(const skv_units *u, size_t i, float factor);

#endif
