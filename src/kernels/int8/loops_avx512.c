/* The integer loops on 512-bit registers. */
#if defined(__AVX512BW__)
#define LOOPS skv_q8_loops_avx512
#include "kernels/int8/loops_body.h"
#endif
