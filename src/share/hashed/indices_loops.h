/* The loop over entries, included once an instruction set with HASHED_INDICES its name. */
#include "share/hashed/indices.h"

void HASHED_INDICES(const skv_hashed *h, uint32_t first, int64_t n, int32_t *at) {
    const skv_hashed own = *h; /* at[] could otherwise be taken to change it */
#pragma omp simd
    for (int64_t i = 0; i < n; i++) at[i] = skv_hashed_index(&own, first + (uint32_t)i);
}
