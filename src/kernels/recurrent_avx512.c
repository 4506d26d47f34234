/* Recurrent layers' loops, compiled for AVX-512. */
#define RECURRENT_LOOPS skv_recurrent_avx512
#include "kernels/recurrent_loops.h"
