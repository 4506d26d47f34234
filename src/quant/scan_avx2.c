/* The loops over weights on 256-bit registers. */
#if defined(__AVX2__)
#define SCAN skv_scan_avx2
#include "quant/scan_body.h"
#endif
