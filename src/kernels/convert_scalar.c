/* Conversions of element types, compiled for any CPU. */
#define CONVERT_LOOPS skv_convert_scalar
#include "kernels/convert_loops.h"
