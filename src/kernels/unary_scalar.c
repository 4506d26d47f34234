/* Functions of one element, compiled for any CPU. */
#define UNARY_LOOP skv_unary_scalar
#include "kernels/unary_loops.h"
