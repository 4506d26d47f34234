/* The integer loops on 256-bit registers. */
#if defined(__AVX2__)
#define LOOPS skv_q8_loops_avx2
#include "kernels/int8/loops_body.h"
#endif
