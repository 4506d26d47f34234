/* See common_pointwise.h. */
#include "ops/common_pointwise.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "ops/common_elementwise.h"

#define RISES SKV_RISES
#define FALLS SKV_FALLS
#define BENDS SKV_BENDS
#define FUSED true
#define ALONE false

static double sigmoid(double x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }

/* What Gelu by tanh takes tanh of: sqrt(2/pi) (x + 0.044715 x^3). */
static double gelu_inner(double x) { return M_SQRT2 * 0.5 * M_2_SQRTPI * (x + 0.044715 * x * x * x); }
static double gelu_inner_slope(double x) { return M_SQRT2 * 0.5 * M_2_SQRTPI * (1 + 3 * 0.044715 * x * x); }

/* ---- a function for each expression ---- */

#define OF_X(name, expression)                      \
    static double name(double x, const double *p) { \
        const double a = p[0], b = p[1];            \
        (void)x;                                    \
        (void)a;                                    \
        (void)b;                                    \
        return expression;                          \
    }
#define OF_P(type, name, expression)     \
    static type name(const double *p) {  \
        const double a = p[0], b = p[1]; \
        (void)a;                         \
        (void)b;                         \
        return expression;               \
    }
#define X(ID, name, op, n, a0, b0, value, slope, lo, hi, course, zero, onednn, fused) \
    OF_X(value_##ID, value)                                                           \
    OF_X(slope_##ID, slope)                                                           \
    OF_P(skv_course, course_##ID, course)                                             \
    OF_P(bool, zero_##ID, zero)
#define XF(ID, name, op, n, a0, b0, value, slope, lo, hi, course, zero, onednn, fused, loop) \
    X(ID, name, op, n, a0, b0, value, slope, lo, hi, course, zero, onednn, fused)
#include "ops/pointwise.inc"
#undef X
#undef XF

/* ---- the list ---- */

#define LINE(ID, name, op, n, a0, b0, value, lo, hi, fused, has_loop, text)                      \
    [SKV_PW_##ID] = {name,       op,          n,         {a0, b0}, lo,       hi,     value_##ID, \
                     slope_##ID, course_##ID, zero_##ID, fused,    has_loop, #value, text},
#define X(ID, name, op, n, a0, b0, value, slope, lo, hi, course, zero, onednn, fused) \
    LINE(ID, name, op, n, a0, b0, value, lo, hi, fused, false, NULL)
#define XF(ID, name, op, n, a0, b0, value, slope, lo, hi, course, zero, onednn, fused, loop) \
    LINE(ID, name, op, n, a0, b0, value, lo, hi, fused, true, #loop)

static const skv_pointwise_fn all[SKV_PW_COUNT] = {
#include "ops/pointwise.inc"
};

const skv_pointwise_fn *skv_pointwise_at(skv_pointwise f) { return f == SKV_PW_NONE ? NULL : &all[f]; }

skv_pointwise skv_pointwise_of(const skive_node *n) {
    if (skv_node_is(n, SKV_OP_GELU)) /* one operator, two functions */
        return strcmp(skv_attr_string(n, "approximate", "none"), "tanh") == 0 ? SKV_PW_GELU_TANH : SKV_PW_GELU;
    for (int i = SKV_PW_NONE + 1; n->kind != SKV_OP_NONE && i < SKV_PW_COUNT; i++)
        if (all[i].op == n->kind) return (skv_pointwise)i;
    return SKV_PW_NONE;
}

skv_pointwise skv_pointwise_named(const char *name, bool any_case) {
    for (int i = SKV_PW_NONE + 1; i < SKV_PW_COUNT; i++)
        if ((any_case ? strcasecmp(all[i].name, name) : strcmp(all[i].name, name)) == 0) return (skv_pointwise)i;
    return SKV_PW_NONE;
}

void skv_pointwise_params(const skive_node *n, const skv_pointwise_fn *f, double p[2]) {
    p[0] = f->params > 0 ? skv_attr_float(n, "alpha", f->p[0]) : f->p[0];
    p[1] = f->params > 1 ? skv_attr_float(n, "beta", f->p[1]) : f->p[1];
}

/* ---- for records ---- */

skive_status skv_pointwise_run(const skv_eval *c) {
    const skv_pointwise_fn *f = skv_pointwise_at(skv_pointwise_of(c->node));
    double p[2];
    if (!f) return SKV_FAIL(c->ctx, SKIVE_ERR_INTERNAL, "%s is not in the list of functions", c->node->op_type);
    skv_pointwise_params(c->node, f, p);
    return skv_unary_run_with(c, f->value, p);
}

/* Where the function is not defined at an end of the interval, the bound of all its results. */
static double end_at(const skv_pointwise_fn *f, double x, const double *p, double bound) {
    const double y = f->value(x, p);
    return isnan(y) ? bound : y;
}

skv_range skv_pointwise_range(const skive_node *n, const skv_range *in) {
    const skv_pointwise_fn *f = skv_pointwise_at(skv_pointwise_of(n));
    double p[2];
    if (!f) return skv_range_make(-INFINITY, INFINITY);
    skv_pointwise_params(n, f, p);
    switch (f->course(p)) {
    case SKV_RISES: return skv_range_make(end_at(f, in[0].lo, p, f->lo), end_at(f, in[0].hi, p, f->hi));
    case SKV_FALLS: return skv_range_make(end_at(f, in[0].hi, p, f->lo), end_at(f, in[0].lo, p, f->hi));
    case SKV_BENDS: break;
    }
    return skv_range_make(f->lo, f->hi);
}
