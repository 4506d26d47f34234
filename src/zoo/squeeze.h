/* Squeeze and excitation (Hu et al. 2018), which the smaller mobile networks share. */
#ifndef SKV_ZOO_SQUEEZE_H
#define SKV_ZOO_SQUEEZE_H

#include "zoo/zoo.h"

typedef skive_value *(*skv_zoo_function)(skv_zoo_env *e, skive_value *x);
/* Each channel is weighed by a factor from the means of all: two 1x1 convolutions over `inner` channels, with `between`
 * after the first, and the operator `gate` after the second. */
skive_value *skv_zoo_squeeze(skv_zoo_env *e, const char *name, skive_value *x, int64_t inner, skv_zoo_function between,
                             const char *gate);

#endif
