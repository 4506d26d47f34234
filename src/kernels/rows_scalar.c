/* The row loops, compiled for any CPU. */
#define ROW_LOOPS skv_row_loops_scalar
#include "kernels/rows_loops.h"
