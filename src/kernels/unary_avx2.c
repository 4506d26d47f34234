/* Functions of one element, compiled for AVX2. */
#define UNARY_LOOP skv_unary_avx2
#include "kernels/unary_loops.h"
