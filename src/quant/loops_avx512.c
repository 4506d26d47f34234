/* The loops over weights on 512-bit registers. */
#if defined(__AVX512F__)
#define TABLE skv_quant_loops_avx512
#include "quant/loops_body.h"
#endif
