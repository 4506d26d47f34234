/* Functions of one element, compiled for AVX-512. */
#define UNARY_LOOP skv_unary_avx512
#include "kernels/unary_loops.h"
