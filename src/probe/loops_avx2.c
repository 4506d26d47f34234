/* The loops of the probe on 256-bit registers. */
#if defined(__AVX2__)
#define LOOPS skv_probe_loops_avx2
#include "probe/loops_body.h"
#endif
