/* Loops of element-wise work on two or three operands, for each instruction set. */
#ifndef SKV_ELEMENTS_H
#define SKV_ELEMENTS_H

#include "kernels/strides.h"

/* Which loop: the function and the element type. Comparisons give bytes of 0 and 1, everything else its own type. */
typedef enum skv_elements_op {
    SKV_EL_ADD,
    SKV_EL_SUB,
    SKV_EL_MUL,
    SKV_EL_DIV, /* float32 */
    SKV_EL_MAX, /* NaN stays one */
    SKV_EL_MIN,
    SKV_EL_PRELU,
    SKV_EL_POW, /* float32 */
    SKV_EL_EQUAL,
    SKV_EL_LESS,
    SKV_EL_LESS_EQUAL,
    SKV_EL_AND, /* bytes */
    SKV_EL_OR,
    SKV_EL_XOR,
    SKV_EL_OPS
} skv_elements_op;

typedef enum skv_elements_type { SKV_EL_F32, SKV_EL_I32, SKV_EL_I64, SKV_EL_U8, SKV_EL_TYPES } skv_elements_type;

/* Tensor 0 of the block is y, 1 and 2 are a and b. y may be a or b where that lies in the same way. */
typedef void skv_elements_loop(const skv_block *k, const void *a, const void *b, void *y);
/* Where, by bytes of an element (1, 2, 4, 8): tensor 1 is the condition, 2 and 3 the choices. */
typedef void skv_where_loop(const skv_block *k, const uint8_t *c, const void *a, const void *b, void *y);

typedef struct skv_elements_loops {
    skv_elements_loop *pair[SKV_EL_OPS][SKV_EL_TYPES]; /* NULL: there is none */
    skv_where_loop *where[4];                          /* 1 << i bytes */
} skv_elements_loops;
extern const skv_elements_loops skv_elements_scalar, skv_elements_avx2, skv_elements_avx512;
const skv_elements_loops *skv_elements_loops_of(skv_isa isa);

#endif
