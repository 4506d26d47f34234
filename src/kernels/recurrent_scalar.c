/* Recurrent layers' loops, compiled for any CPU. */
#define RECURRENT_LOOPS skv_recurrent_scalar
#include "kernels/recurrent_loops.h"
