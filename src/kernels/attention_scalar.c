/* The products of the attention kernel for any CPU. */
typedef float vec;
enum { LANES = 1 };
#define vec_load(p)      (*(p))
#define vec_store(p, v)  (*(p) = (v))
#define vec_all(x)       ((float)(x))
#define vec_fma(a, b, c) ((a) * (b) + (c))
#define ATTENTION_LOOPS  skv_attention_loops_scalar
#include "kernels/attention_loops.h"
