/* How many threads a context's parallel regions use. */
#ifdef _OPENMP
#include <omp.h>
#endif

#include "base/context.h"

/* OpenMP's own answer heeds the CPU affinity of the process and OMP_NUM_THREADS. */
int skv_default_threads(void) {
#ifdef _OPENMP
    int n = omp_get_max_threads();
    return n > 0 ? n : 1;
#else
    return 1;
#endif
}

int skv_threads(const skive_context *ctx) { return skive_context_threads(ctx); }
