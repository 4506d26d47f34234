/* What the recurrent classifiers share. */
#ifndef SKV_ZOO_RECURRENT_H
#define SKV_ZOO_RECURRENT_H

#include "zoo/zoo.h"

extern const skv_option skv_zoo_recurrent_options[7];
skive_value *skv_zoo_classify_recurrent(skv_zoo_env *e, skive_value *x, const char *op, const char *name);

#endif
