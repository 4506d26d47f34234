/* Shared by the losses over class labels: scores [n][classes][d...], labels [n][d...] and one weight per class. */
#ifndef SKV_OPS_COMMON_NLL_H
#define SKV_OPS_COMMON_NLL_H

#include "ops/common_nn.h"

extern const skv_attr_spec skv_nll_attrs[2]; /* reduction, ignore_index */

/* Scores, labels, weight as inputs `first`, first + 1, first + 2: checked against each other. */
skive_status skv_nll_check(skv_infer *c, size_t first);
/* The loss is a scalar, or has the labels' shape without reduction. `first`: as above. */
skive_status skv_nll_loss_type(skv_infer *c, size_t first, skive_type *out);

/* A loop over the labels, element i of `count`: its weight (0 if ignored) and the position of its score. */
enum { SKV_NLL_NONE, SKV_NLL_SUM, SKV_NLL_MEAN };
typedef struct skv_nll_walk {
    int64_t count, classes, inner;
    const skive_tensor *labels, *weight;
    bool ignoring;
    int64_t ignored;
    int reduction;
    double divisor; /* divisor of the losses: the sum of weights for a mean, else 1 */
} skv_nll_walk;
/* ERR_SHAPE naming a label that is not a class. */
skive_status skv_nll_start(const skv_eval *c, size_t first, skv_nll_walk *walk);
/* The weight, and in *at the element of the scores; 0 if the label is ignored. */
double skv_nll_weight(const skv_nll_walk *walk, int64_t i, size_t *at);
/* From log-probabilities to the loss. */
void skv_nll_store(const skv_nll_walk *walk, const double *log_p, const skive_tensor *loss);

/* The gradient of the log-probabilities, as a node. */
skive_value *skv_nll_emit_grad(skv_grad *c, skive_value *log_p);

#endif
