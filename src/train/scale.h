/* Regression on targets of any size: training sees them standardised, the model keeps giving them in their own units.
 * */
#ifndef SKV_SCALE_H
#define SKV_SCALE_H

#include "train/head/head.h"

/* The names begin with it that training gives to constants of its own in the graph. */
#define SKV_OWN_VALUES "skive."

/* Mean and deviation of each target, or one pair for all (n 1) where targets have several axes. Deviations are above
 * 0. */
typedef struct skv_target_scale {
    int64_t n;
    double *mean, *std; /* [n] */
} skv_target_scale;
/* Over the set, or over samples spread evenly over a large one. */
skive_status skv_target_scale_of(skive_context *ctx, const skive_dataset *set, const skv_targets *targets,
                                 skv_target_scale *out);
void skv_target_scale_free(skive_context *ctx, skv_target_scale *s);

/* The linear layer that gives the model's output, y = x W + b. While it is stretched, W and b give (y - mean) / std,
 * and a Mul and an Add behind it give y: the optimizer works on numbers around 1, the function stays the same. */
typedef struct skv_last_layer {
    const skive_node *node; /* NULL: the model does not end in such a layer */
    skive_value *weight, *bias, *output;
    int64_t inner; /* element i of the weight belongs to output (i / inner) % n */
    double beta;   /* factor on the bias */
} skv_last_layer;
skv_last_layer skv_last_layer_of(const skv_head *head, const skv_target_scale *scale);
/* Storages of weight and bias must be the graph's own. Errors: MEMORY. */
skive_status skv_last_layer_stretch(skive_graph *g, skv_last_layer *l, const skv_target_scale *scale);
/* Do targets lie within the bounds of an output that has such, as a sigmoid's? */
bool skv_output_reaches(const skv_head *head, const skv_targets *targets, const skv_target_scale *scale);
/* Where there is no such layer: a Mul and an Add (or, of an output that cannot be negative and targets that are
 * positive, in effect the Mul alone) to stay behind the output, which bring it from the mean and deviation it has
 * (`mean`, `std`: [n]) to the targets'. */
skive_status skv_output_stretch(skive_graph *g, const skv_head *head, const skv_target_scale *scale, const double *mean,
                                const double *std);
/* W times factor, b times factor plus shift: [n] each. skv_last_layer_restore undoes a stretch, in the parameters
 * alone. */
void skv_last_layer_adjust(const skv_last_layer *l, const double *factor, const double *shift, int64_t n);
void skv_last_layer_restore(const skv_last_layer *l, const skv_target_scale *scale);

#endif
