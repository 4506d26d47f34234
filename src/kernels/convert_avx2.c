/* Conversions of element types, compiled for AVX2. */
#define CONVERT_LOOPS skv_convert_avx2
#include "kernels/convert_loops.h"
