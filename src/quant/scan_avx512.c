/* The loops over weights on 512-bit registers. */
#if defined(__AVX512F__)
#define SCAN skv_scan_avx512
#include "quant/scan_body.h"
#endif
