/* Recurrent layers' loops, compiled for AVX2. */
#define RECURRENT_LOOPS skv_recurrent_avx2
#include "kernels/recurrent_loops.h"
