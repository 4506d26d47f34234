/* Checks that the processor has what the compiler was allowed to use everywhere (by -march, for example): instructions
 * beyond plain x86-64 that a distribution or builder enabled are used before skive checks its own levels. */
#include <stddef.h>

#include "base/context.h"

#if defined(__x86_64__)
#define LACKS(name) "this skive was built for processors with " name ", which this one lacks"
#define NEEDS(name) \
    if (!__builtin_cpu_supports(name)) return LACKS(name)

const char *skive_cpu_problem(void) {
    __builtin_cpu_init();
#ifdef __SSE4_1__
    NEEDS("sse4.1");
#endif
#ifdef __SSE4_2__
    NEEDS("sse4.2");
#endif
#ifdef __AVX__
    NEEDS("avx");
#endif
#ifdef __AVX2__
    NEEDS("avx2");
#endif
#ifdef __FMA__
    NEEDS("fma");
#endif
#ifdef __AVX512F__
    NEEDS("avx512f");
#endif
    return NULL;
}
#else
const char *skive_cpu_problem(void) { return NULL; }
#endif
