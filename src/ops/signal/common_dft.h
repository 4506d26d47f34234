/* Shared by DFT and STFT. */
#ifndef SKV_OPS_COMMON_DFT_H
#define SKV_OPS_COMMON_DFT_H

#include "base/base.h"

/* out[k] = sum over i < n of in[i] * e^(-+ 2 pi j i k / n), k < bins, as pairs of doubles; the inverse divides by n.
 * `table`: n pairs, from skv_dft_table. */
void skv_dft(const double *in, int64_t n, int64_t bins, bool inverse, const double *table, double *out);
skive_status skv_dft_table(skive_context *ctx, int64_t n, double **out); /* freed by skv_free */

#endif
