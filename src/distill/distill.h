/* Distillation's inside. */
#ifndef SKV_DISTILL_H
#define SKV_DISTILL_H

#include "base/option.h"

extern const skv_table skv_distill_table;

#endif
