/* The products of the attention kernel for any CPU. */
#include "kernels/vector4.h"

typedef skv_vector4 vec;
#define vec_load(p)      skv_load4(p)
#define vec_store(p, v)  skv_store4(p, v)
#define vec_all(x)       SET((float)(x))
#define vec_fma(a, b, c) MULTIPLY_ADD(a, b, c)
#define vec_sum(a, b)    ((a) + (b))
#define ATTENTION_LOOPS  skv_attention_loops_scalar
#include "kernels/attention_loops.h"
