/* The loops over weights on 256-bit registers. */
#if defined(__AVX2__)
#define TABLE skv_quant_loops_avx2
#include "quant/loops_body.h"
#endif
