/* Loops that turn elements of one type into another, for each instruction set. */
#ifndef SKV_CONVERT_H
#define SKV_CONVERT_H

#include "base/base.h"
#include "kernels/kernel.h"

typedef enum skv_convert_type {
    SKV_CT_F32,
    SKV_CT_F64,
    SKV_CT_F16,
    SKV_CT_I64,
    SKV_CT_I32,
    SKV_CT_I16,
    SKV_CT_I8,
    SKV_CT_U8,
    SKV_CT_BOOL,
    SKV_CT_TYPES
} skv_convert_type;

typedef void skv_convert_loop(const void *x, void *y, int64_t n);
typedef struct skv_convert_loops {
    skv_convert_loop *cast[SKV_CT_TYPES][SKV_CT_TYPES]; /* from, to: as Cast defines it; NULL: there is none */
    skv_convert_loop *negate;                           /* truth values */
    skv_convert_loop *is_nan;                           /* float32 to truth values */
} skv_convert_loops;
extern const skv_convert_loops skv_convert_scalar, skv_convert_avx2, skv_convert_avx512;

#endif
