/* What float32 leaves of numbers that differ little from one another: samples and targets are of this type. */
#ifndef SKV_SPREAD_H
#define SKV_SPREAD_H

#include "base/base.h"

typedef struct skv_spread {
    double n, mean, squares;  /* of the differences from the mean */
    double least, most, lost; /* lost: the largest change by rounding */
} skv_spread;

void skv_spread_add(skv_spread *s, double value);
/* Does rounding change numbers by more than a hundredth of their deviation? */
bool skv_spread_suffers(const skv_spread *s);
/* A note if so. `column` and `out` may be NULL: out
 * is how the column is left out. */
void skv_spread_tell(skive_context *ctx, const skv_spread *s, const char *path, const char *column, const char *out);

#endif
