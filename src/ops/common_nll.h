/* What the losses over class labels share: scores [n][classes][d...], labels [n][d...] and a weight a class. */
#ifndef SKV_OPS_COMMON_NLL_H
#define SKV_OPS_COMMON_NLL_H

#include "ops/common_nn.h"

extern const skv_attr_spec skv_nll_attrs[2]; /* reduction, ignore_index */

/* Scores, labels, weight as inputs `first`, first + 1, first + 2: checked against each other. */
skive_status skv_nll_check(skv_infer *c, size_t first);
/* The loss is a scalar, or of the labels' shape where nothing is reduced. `first`: as above. */
skive_status skv_nll_loss_type(skv_infer *c, size_t first, skive_type *out);

/* The walk over the labels, element i of `count`: what its weight is (0 where ignored) and where its score lies. */
enum { SKV_NLL_NONE, SKV_NLL_SUM, SKV_NLL_MEAN };
typedef struct skv_nll_walk {
    int64_t count, classes, inner;
    const skive_tensor *labels, *weight;
    bool ignoring;
    int64_t ignored;
    int reduction;
    double divisor; /* of every element's loss: the sum of weights for a mean, else 1 */
} skv_nll_walk;
/* ERR_SHAPE naming a label that is no class. */
skive_status skv_nll_start(const skv_eval *c, size_t first, skv_nll_walk *walk);
/* The weight, and in *at the element of the scores; 0 when the label is ignored. */
double skv_nll_weight(const skv_nll_walk *walk, int64_t i, size_t *at);
/* From log-probabilities to the loss. */
void skv_nll_store(const skv_nll_walk *walk, const double *log_p, const skive_tensor *loss);

/* The gradient of the log-probabilities, as a node. */
skive_value *skv_nll_emit_grad(skv_grad *c, skive_value *log_p);

#endif
