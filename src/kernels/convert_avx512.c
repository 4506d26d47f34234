/* Conversions of element types, compiled for AVX-512. */
#include "kernels/convert_f16.h"

#define CONVERT_LOOPS skv_convert_avx512
#include "kernels/convert_loops.h"
