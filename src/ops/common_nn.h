/* Helpers shared by the layers of networks (convolution, products, norms, pools, quantized forms): tensors as doubles,
 * checks of shape inference, attributes copied to a gradient node, saturating costs, self-test cases. */
#ifndef SKV_OPS_COMMON_NN_H
#define SKV_OPS_COMMON_NN_H

#include "ops/cases.h"
#include "graph/op.h"
#include "tensor/tensor.h"

/* ---- a tensor's elements as doubles: borrowed when they are doubles already ---- */
typedef struct skv_doubles {
    const double *p; /* NULL for an absent tensor */
    double *own;
    size_t n;
} skv_doubles;
skive_status skv_doubles_read(skive_context *ctx, const skive_tensor *tensor, skv_doubles *out);
void skv_doubles_free(skive_context *ctx, skv_doubles *d); /* a zeroed struct is accepted */
/* The doubles of an output tensor: its own memory when it is float64, otherwise a zeroed buffer. */
typedef struct skv_result {
    double *p; /* NULL for an unused output */
    double *own;
    skive_tensor *tensor;
    size_t n;
} skv_result;
skive_status skv_result_open(skive_context *ctx, skive_tensor *tensor, skv_result *out);
void skv_result_store(const skv_result *r); /* rounds once to the tensor's type */
void skv_result_free(skive_context *ctx, skv_result *r);

/* y[m][n] += a' b' with a' [m][k] (a stored [k][m] when ta) and b' [k][n] (b stored [n][k] when tb). */
void skv_gemm_f64(int threads, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const double *a, const double *b,
                  double *y);

/* ---- shape inference ---- */
static inline const skive_type *skv_in_type(const skv_infer *c, size_t i) { return i < c->n_in ? c->in[i] : NULL; }
/* Present with a known rank? */
static inline bool skv_in_ranked(const skv_infer *c, size_t i) {
    return i < c->n_in && c->in[i] && c->in[i]->rank >= 0;
}
static inline skive_dim skv_dim_of(int64_t size) { return (skive_dim){size, NULL}; }
int64_t skv_in_dim(const skv_infer *c, size_t i, int axis); /* -1 unknown */
/* A type's dimensions, -1 where unknown. */
void skv_type_sizes(const skive_type *t, int64_t sizes[SKIVE_MAX_RANK]);
skive_status skv_want_float(skv_infer *c, size_t i); /* ERR_SHAPE if known and not a floating type */
skive_status skv_want_dtype(skv_infer *c, size_t i, skive_dtype dtype);
skive_status skv_want_same_dtype(skv_infer *c, size_t i, size_t j);
skive_status skv_want_rank(skv_infer *c, size_t i, int low, int high); /* when known */
/* Input i is a vector of `length` elements (-1: any). `what` names it in messages. */
skive_status skv_want_vector(skv_infer *c, size_t i, int64_t length, const char *what);
/* Inputs i and j have the same shape as far as is known. */
/* Input i has this shape, as far as both are known: a gradient is of the forward result's. */
skive_status skv_want_shape(skv_infer *c, size_t i, const skive_type *shape);
skive_status skv_want_same_shape(skv_infer *c, size_t i, size_t j);
/* Input i has output 0's shape as far as both are known. */
skive_status skv_want_like_output(skv_infer *c, size_t i, const char *what);
/* Of a gradient op, whose attributes are those of the op `forward`: what inference says of the forward node holds for
 * it, too. `inputs` has for each input of the forward op the one of this node, or -1 for an absent one; input `dy` is
 * the gradient of the forward op's output 0, and must be of its type as far as both are known. */
skive_status skv_infer_gradient(skv_infer *c, skv_op_kind forward, const int *inputs, size_t n, size_t dy);
#define SKV_FORWARD_IN(...) (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int)
/* Element type of output o from input i, the shape too. */
void skv_out_like(skv_infer *c, size_t o, size_t i);

/* ---- gradients ---- */
#define SKV_ATTRS_COPY 16
/* The node's attributes for a node of its gradient (those that are numbers or strings). */
skv_attr_list skv_attrs_copy(const skive_node *n, skv_attr_init buffer[SKV_ATTRS_COPY]);
/* Adds optional outputs to the node, up to `count`, for a gradient that reads them. */
skive_status skv_node_need_outputs(skive_node *n, uint32_t count);
/* Outputs from `first` on have no gradient: UNSUPPORTED if one arrives. */
skive_status skv_grad_only_first(const skv_grad *c, size_t first);

/* ---- cost and ranges ---- */
int64_t skv_dim_or_1(const skive_value *v, int axis); /* unknown: 1 */
static inline skv_range skv_range_any(void) { return (skv_range){-INFINITY, INFINITY}; }

/* ---- self-test cases whose parts are named arrays (ops/cases.h has the forms for inline parts) ---- */
#define CASE_IN_OF(a)     .in = (a), .n_in = SKV_COUNT(a)
#define CASE_ATTRS_OF(a)  .attrs = (a), .n_attrs = SKV_COUNT(a)
#define CASE_EXPECT_OF(a) .expect = (a), .n_expect = SKV_COUNT(a)
#define CASE_DIMS_OF(a)   .expect_dims = (a), .expect_rank = (int)SKV_COUNT(a)
#define A_INT(name_, v) \
    { .name = (name_), .type = SKV_ATTR_INT, .i = (v) }
#define A_FLT(name_, v) \
    { .name = (name_), .type = SKV_ATTR_FLOAT, .f = (v) }
#define A_STR(name_, v) \
    { .name = (name_), .type = SKV_ATTR_STRING, .s = (v) }
#define A_INTS(name_, a) \
    { .name = (name_), .type = SKV_ATTR_INTS, .ints = (a), .n = SKV_COUNT(a) }
#define A_FLTS(name_, a) \
    { .name = (name_), .type = SKV_ATTR_FLOATS, .floats = (a), .n = SKV_COUNT(a) }

/* ---- intervals by channel (common_bounds.c) ---- */

/* Does a convolution look beyond the edges of its input? */
bool skv_conv_pads(const skive_node *n);
/* Members of convolutions, and of products of a computed matrix (input 0) with a constant one (input 1). */
skive_status skv_bound_conv(skv_bounding *b);
skive_status skv_bound_product(skv_bounding *b);

#endif
