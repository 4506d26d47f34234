/* What element-wise ops share: broadcasting loops, runs over one and two operands, types, ranges, and shorthands for
 * gradients. */
#ifndef SKV_OPS_COMMON_ELEMENTWISE_H
#define SKV_OPS_COMMON_ELEMENTWISE_H

#include "ops/common_shape.h"

/* ---- loops over an output with broadcast inputs ---- */

#define SKV_WALK_MAX 4
typedef struct skv_walk {
    int rank;
    size_t n_in;
    int64_t count; /* elements of the output */
    int64_t dims[SKIVE_MAX_RANK], index[SKIVE_MAX_RANK];
    int64_t strides[SKV_WALK_MAX][SKIVE_MAX_RANK];
    size_t at[SKV_WALK_MAX]; /* element of each input for the current output element */
} skv_walk;
/* ERR_SHAPE if an input does not broadcast to dims. At most SKV_WALK_MAX inputs. */
skive_status skv_walk_start(skv_walk *w, const skv_eval *c, int rank, const int64_t *dims,
                            const skive_tensor *const *in, size_t n_in);
void skv_walk_next(skv_walk *w);

/* ---- runs ---- floating types through double, rounded once; integers exactly, wrapping like two's complement ---- */

/* out 0 = f(in 0); a floating type. */
skive_status skv_unary_run(const skv_eval *c, double (*f)(double));
/* The same with parameters of the node (alpha ...). */
skive_status skv_unary_run_with(const skv_eval *c, double (*f)(double, const double *), const double *params);
/* Integers: g; floats: f. */
skive_status skv_unary_run_numeric(const skv_eval *c, double (*f)(double), int64_t (*g)(int64_t));

typedef struct skv_binary {
    double (*f)(double, double);
    int64_t (*i)(int64_t, int64_t);    /* signed integers, and unsigned ones of less than 64 bits */
    uint64_t (*u)(uint64_t, uint64_t); /* for uint64; NULL: i applied to the same bits */
} skv_binary;
/* out 0 = op(in 0, in 1) with broadcasting; all of one type. */
skive_status skv_binary_run(const skv_eval *c, const skv_binary *op);
/* out 0 = in 0 op in 1 op ... */
skive_status skv_variadic_run(const skv_eval *c, const skv_binary *op);
/* bool out 0 = test(in 0 <=> in 1); `holds` gets -1, 0, 1, or 2 when unordered (NaN). */
skive_status skv_compare_run(const skv_eval *c, bool (*holds)(int order));
/* out 0 = f(in 0, in 1), same shapes and floating types: gradients of activations. params may be NULL. */
skive_status skv_pair_run(const skv_eval *c, double (*f)(double, double, const double *), const double *params);

/* An integer stored modulo its width, and read bit by bit (uint64 as int64). */
int64_t skv_load_bits(skive_dtype dtype, const void *data, size_t i);
void skv_store_wrap(skive_dtype dtype, void *data, size_t i, int64_t value);

/* ---- types ---- */

/* ERR_SHAPE if the type of input i is known and not floating (numeric, bool). */
skive_status skv_infer_want_float(skv_infer *c, size_t i);
skive_status skv_infer_want_numeric(skv_infer *c, size_t i);
skive_status skv_infer_want_integer(skv_infer *c, size_t i); /* of 8 bits or more, not bool */
skive_status skv_infer_want(skv_infer *c, size_t i, skive_dtype dtype);
/* Checks that inputs i and j have the same element type, as far as known. */
skive_status skv_infer_one_type(skv_infer *c, size_t i, size_t j);

skive_status skv_infer_unary_float(skv_infer *c);   /* out 0 = in 0, floating */
skive_status skv_infer_unary_numeric(skv_infer *c); /* out 0 = in 0, numeric */
skive_status skv_infer_arith(skv_infer *c);         /* all inputs broadcast, numeric, one type */
skive_status skv_infer_compare(skv_infer *c);       /* two inputs of one type broadcast to bool */
skive_status skv_infer_logic(skv_infer *c);         /* bools broadcast */
skive_status skv_infer_pair(skv_infer *c);          /* dY and X (or Y): out 0 = in 1, same shapes, floating */
/* Shapes of `n` types broadcast into out's rank and dims (its element type is unchanged). */
skive_status skv_broadcast_types(skv_infer *c, const skive_type *const *types, size_t n, skive_type *out);

int skv_needs_arith(const skive_node *n); /* Add, Mul ... : 8 and 16-bit integers came with opset 14 */

/* ---- ranges ---- */
skv_range skv_range_make(double lo, double hi); /* NaN bounds become infinite */

/* ---- gradients ---- NULL operands (after a failure) are passed through ---- */
static inline skive_value *skv_g1(skv_builder *b, const char *op, skive_value *x) {
    return skv_emit(b, op, SKV_IN(x), SKV_NONE);
}
static inline skive_value *skv_g2(skv_builder *b, const char *op, skive_value *x, skive_value *y) {
    return skv_emit(b, op, SKV_IN(x, y), SKV_NONE);
}
static inline skive_value *skv_g3(skv_builder *b, const char *op, skive_value *x, skive_value *y, skive_value *z) {
    return skv_emit(b, op, SKV_IN(x, y, z), SKV_NONE);
}
/* A scalar of the element type of `like` (float32 if unknown). */
static inline skive_value *skv_g_scalar(skv_builder *b, const skive_value *like, double v) {
    skive_dtype t = like ? like->type.dtype : SKIVE_DTYPE_NONE;
    return skv_emit_scalar(b, t == SKIVE_DTYPE_NONE ? SKIVE_F32 : t, v);
}

/* ---- members shared by most records of the family ---- */
#define SKV_UNARY_OP                                                                                      \
    .domain = "", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .couple = skv_couple_elementwise, \
    .cost = skv_cost_per_element, .pointwise = true
#define SKV_BINARY_OP                                                                                     \
    .domain = "", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1, .couple = skv_couple_elementwise, \
    .cost = skv_cost_per_element, .pointwise = true
#define SKV_PAIR_OP_BY(infer_types)                                                                                 \
    .domain = SKV_DOMAIN, .since = 1, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1, .infer = (infer_types), \
    .couple = skv_couple_elementwise, .cost = skv_cost_per_element, .pointwise = true
#define SKV_PAIR_OP SKV_PAIR_OP_BY(skv_infer_pair)

#endif
