/* The row loops, compiled for AVX-512. */
#define ROW_LOOPS skv_row_loops_avx512
#include "kernels/rows_loops.h"
