/* Weights in few bits that a product with float32 reads as they are. */
#ifndef SKV_PASSES_PACKED_H
#define SKV_PASSES_PACKED_H

#include "passes/pass.h"

/* Is this a Cast, or Transpose behind one, of constants that keep-packed will take? Then they are not computed. */
bool skv_stays_packed(const skive_node *n);

#endif
