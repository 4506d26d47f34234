/* Resize between elements, compiled for any CPU. */
#define RESAMPLE_LOOPS skv_resample_scalar
#include "kernels/resample_loops.h"
