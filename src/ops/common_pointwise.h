/* The functions of one element, from pointwise.inc: their numbers, and what is known of each. */
#ifndef SKV_OPS_COMMON_POINTWISE_H
#define SKV_OPS_COMMON_POINTWISE_H

#include "graph/op.h"

typedef enum skv_pointwise {
    SKV_PW_NONE,
#define X(ID, ...)  SKV_PW_##ID,
#define XF(ID, ...) SKV_PW_##ID,
#include "ops/pointwise.inc"
#undef X
#undef XF
    SKV_PW_COUNT,
} skv_pointwise;

typedef enum skv_course { SKV_FALLS = -1, SKV_BENDS, SKV_RISES } skv_course;

/* p: the parameters alpha and beta */
typedef struct skv_pointwise_fn {
    const char *name;
    skv_op_kind op;
    int params;
    double p[2], lo, hi; /* defaults; bounds of all results */
    double (*value)(double x, const double *p);
    double (*slope)(double x, const double *p);
    skv_course (*course)(const double *p);
    bool (*keeps_zero)(const double *p);
    bool fused, has_loop;
    const char *value_text, *loop_text; /* in C; loop_text is NULL without a loop */
} skv_pointwise_fn;

const skv_pointwise_fn *skv_pointwise_at(skv_pointwise f); /* NULL for SKV_PW_NONE */
skv_pointwise skv_pointwise_of(const skive_node *n);       /* SKV_PW_NONE: the node's op is none of them */
/* By ONNX name; `any_case` also with other capitals, as the activations of recurrent cells are written. */
skv_pointwise skv_pointwise_named(const char *name, bool any_case);
/* The node's attributes alpha and beta, as far as the function has them. */
void skv_pointwise_params(const skive_node *n, const skv_pointwise_fn *f, double p[2]);

/* For the record of an op in the list: the reference of a floating type, and the range of a function that rises or
 * falls; for one that bends its bounds. */
skive_status skv_pointwise_run(const skv_eval *c);
skv_range skv_pointwise_range(const skive_node *n, const skv_range *in);

#endif
