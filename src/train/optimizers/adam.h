/* What Adam and its kin share. */
#ifndef SKV_ADAM_H
#define SKV_ADAM_H

#include "train/train.h"

/* Their options: `beta1` and `beta2`, the shares of the past in the two means, and `epsilon`. */
#define SKV_BETA(name_, default_, brief_) \
    { .name = (name_), .type = SKV_OPTION_REAL, .most = 1, .below = true, .fallback = (default_), .brief = (brief_) }
#define SKV_EPSILON(default_)                                                                         \
    {                                                                                                 \
        .name = "epsilon", .type = SKV_OPTION_REAL, .most = 1, .above = true, .fallback = (default_), \
        .brief = "added to the root of the mean square"                                               \
    }
#define SKV_BETA1        SKV_BETA("beta1", 0.9, "share of the past in the mean of the gradients")
#define SKV_BETA2        SKV_BETA("beta2", 0.999, "share of the past in the mean of their squares")
#define SKV_MEAN_STATE   "mean of gradients"
#define SKV_SQUARE_STATE "mean of squares"

/* One Adam step; `decoupled`: weight decay acts on the weight itself, not through the gradient. */
void skv_adam_update(const skv_update *u, bool decoupled);

#endif
