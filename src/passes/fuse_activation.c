/* Gelu and HardSwish written out by exporters. Whatever the order of products and sums, the result is a polynomial in x
 * and the inner function t, which is compared:
 *
 *     Gelu             x/2 + x/2 t,  t = Erf(x / sqrt 2)
 *     Gelu by tanh     x/2 + x/2 t,  t = Tanh(sqrt(2/pi) (x + 0.044715 x^3))
 *     HardSwish        x t,          t = HardSigmoid(x; 1/6, 1/2);   or   x t / 6,  t = Clip(x + 3, 0, 6) */
#include <math.h>

#include "passes/fuse.h"
#include "passes/match.h"

/* limit of the number of nodes between x and the inner function, and from there to the result */
enum { MAX_STEPS = 8 };

typedef struct shape {
    skv_op_kind inner;
    double argument[4]; /* the inner function's argument as a polynomial in x */
    double x, xt;       /* the result is x * (this) + x * t * (that) */
    const char *op, *approximate;
} shape;

static const shape shapes[] = {
    {SKV_OP_ERF, {0, M_SQRT1_2, 0, 0}, 0.5, 0.5, "Gelu", "none"},
    {SKV_OP_TANH, {0, M_SQRT2 * 0.5 * M_2_SQRTPI, 0, M_SQRT2 * 0.5 * M_2_SQRTPI * 0.044715}, 0.5, 0.5, "Gelu", "tanh"},
    {SKV_OP_HARD_SIGMOID, {0, 1, 0, 0}, 0, 1, "HardSwish", NULL},
    {SKV_OP_CLIP, {3, 1, 0, 0}, 0, 1.0 / 6, "HardSwish", NULL},
};

static bool fits_inner(const skive_node *n, const shape *s) {
    double low, high;
    if (!skv_node_is(n, s->inner)) return false;
    if (skv_node_is(n, SKV_OP_HARD_SIGMOID))
        return skv_near(skv_attr_float(n, "alpha", 0.2), 1.0 / 6) && skv_near(skv_attr_float(n, "beta", 0.5), 0.5);
    if (skv_node_is(n, SKV_OP_CLIP))
        return skv_clip_bound(n, 1, -INFINITY, &low) && skv_clip_bound(n, 2, INFINITY, &high) && low == 0 && high == 6;
    return true;
}

static bool same_numbers(skv_polynomial c, const double first[4], const double second[4]) {
    for (int i = 0; i < 4; i++) {
        if (!skv_near(c[i][0], first[i]) || !skv_near(c[i][1], second[i])) return false;
    }
    return true;
}

/* The value from which `v` is computed by arithmetic with constants, one step back; NULL at the end. */
static skive_value *one_back(const skv_pass_env *env, const skive_value *v) {
    const skive_node *n = v->producer;
    skive_value *other;
    double scalar;
    if (!n || !n->op || *n->domain || n->n_inputs != 2) return NULL;
    if (skv_match_with_scalar(env, n, &other, &scalar)) return other;
    if (!skv_node_is(n, SKV_OP_ADD) && !skv_node_is(n, SKV_OP_MUL)) return NULL;
    /* x + 0.044715 x^3 and x * (1 + 0.044715 x^2): the computed operand leads to x. */
    for (int i = 0; i < 2; i++) {
        skv_polynomial c;
        if (n->inputs[i] && n->inputs[1 - i] && skv_match_polynomial(env, n->inputs[i], n->inputs[1 - i], NULL, c))
            return n->inputs[1 - i];
    }
    return NULL;
}

static bool good_result(const skv_pass_env *env, const shape *s, const skive_value *result, const skive_value *x,
                        const skive_value *t) {
    skv_polynomial c;
    return skv_match_polynomial(env, result, x, t, c) &&
           same_numbers(c, (const double[]){0, s->x, 0, 0}, (const double[]){0, s->xt, 0, 0});
}

/* Follows the readers of t through sums and products until the result matches. */
static skive_value *find_result(const skv_pass_env *env, const shape *s, const skive_value *x, const skive_value *t,
                                skive_value *at, int steps) {
    for (uint32_t i = 0; steps > 0 && i < at->n_uses; i++) {
        const skive_node *n = at->uses[i].node;
        if (!n->op || *n->domain || n->n_outputs != 1 || n->graph != at->graph) continue;
        if (!skv_node_is(n, SKV_OP_ADD) && !skv_node_is(n, SKV_OP_MUL) && !skv_node_is(n, SKV_OP_DIV)) continue;
        if (good_result(env, s, n->outputs[0], x, t)) return n->outputs[0];
        skive_value *found = find_result(env, s, x, t, n->outputs[0], steps - 1);
        if (found) return found;
    }
    return NULL;
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    for (size_t k = 0; k < SKV_COUNT(shapes); k++) {
        const shape *s = &shapes[k];
        if (!fits_inner(n, s) || skv_pass_keeps(env, n->outputs[0])) continue;
        skive_value *x = n->inputs[0];
        for (int step = 0; x && step < MAX_STEPS; step++, x = one_back(env, x)) {
            static const double nothing[4] = {0};
            skv_polynomial c;
            if (!skv_match_polynomial(env, n->inputs[0], x, NULL, c) || !same_numbers(c, s->argument, nothing))
                continue;
            skive_value *result = find_result(env, s, x, n->outputs[0], n->outputs[0], MAX_STEPS / 2);
            if (!result) continue;
            SKV_TRY(skv_match_replace(g, result, s->op, SKV_IN(x),
                                      s->approximate ? SKV_ATTRS(SKV_STR("approximate", s->approximate)) : SKV_NONE));
            ++*changes;
            return SKIVE_OK;
        }
    }
    return SKIVE_OK;
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_fuse_activation = {
    .name = "fuse-activation",
    .brief = "fuses the arithmetic of Gelu and HardSwish into one node",
    .when = SKV_PASS_NEWER | SKV_PASS_EXECUTE,
    .run = run,
};
