/* The row loops, compiled for AVX2. */
#define ROW_LOOPS skv_row_loops_avx2
#include "kernels/rows_loops.h"
