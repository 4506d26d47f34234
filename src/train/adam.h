/* What Adam and AdamW share. */
#ifndef SKV_ADAM_H
#define SKV_ADAM_H

#include "train/train.h"

/* One Adam step; `decoupled`: weight decay acts on the weight itself, not through the gradient. */
void skv_adam_update(const skv_update *u, bool decoupled);

#endif
