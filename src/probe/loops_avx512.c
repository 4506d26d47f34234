/* The loops of the probe on 512-bit registers. */
#if defined(__AVX512F__)
#define LOOPS skv_probe_loops_avx512
#include "probe/loops_body.h"
#endif
