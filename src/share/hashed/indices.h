/* The places of a row of HashedNets' virtual matrix, for each instruction set. */
#ifndef SKV_SHARE_HASHED_INDICES_H
#define SKV_SHARE_HASHED_INDICES_H

#include "share/hashed/matrix.h"

/* at[i] = skv_hashed_index(h, first + i) for i in 0 .. n-1. */
typedef void (*skv_hashed_indices_fn)(const skv_hashed *h, uint32_t first, int64_t n, int32_t *at);
void skv_hashed_indices_scalar(const skv_hashed *h, uint32_t first, int64_t n, int32_t *at);
void skv_hashed_indices_avx2(const skv_hashed *h, uint32_t first, int64_t n, int32_t *at);
void skv_hashed_indices_avx512(const skv_hashed *h, uint32_t first, int64_t n, int32_t *at);

#endif
