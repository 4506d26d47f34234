/* The list of functions of one element: what it says of each function holds for its value (slope by differences,
 * bounds, course, zero), the loops in float32 agree with it at every instruction set, and the references of the ops are
 * it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/unary.h"
#include "ops/common_pointwise.h"
#include "support.h"
#include "tensor/tensor.h"

enum { POINTS = 400, PARAMETERS = 5 };

static double point(int i) { return (i - POINTS / 2) * 0.0371 + 0.00713; } /* -7.4 to 7.4, no round number */

/* The defaults, and others where the function has parameters. */
static bool parameters(const skv_pointwise_fn *f, int k, double p[2]) {
    static const double others[PARAMETERS][2] = {{0, 0}, {0.4, 0.9}, {1.5, -0.3}, {-0.7, 0.2}, {-2, 3}};
    memcpy(p, k == 0 ? f->p : others[k], sizeof f->p);
    return k == 0 || f->params > 0;
}

static void slopes_are_derivatives(void **state) {
    const double step = 1e-6;
    (void)state;
    for (int i = SKV_PW_NONE + 1; i < SKV_PW_COUNT; i++) {
        const skv_pointwise_fn *f = skv_pointwise_at((skv_pointwise)i);
        double p[2];
        size_t checked = 0;
        for (int k = 0; k < PARAMETERS; k++) {
            if (!parameters(f, k, p)) continue;
            for (int at = 0; at < POINTS; at++) {
                const double x = point(at), low = f->value(x - step, p), high = f->value(x + step, p);
                const double have = (high - low) / (2 * step), left = (f->value(x, p) - low) / step;
                if (isnan(have) || fabs(have - left) > 1e-3 * (1 + fabs(have))) continue; /* undefined, or a kink */
                checked++;
                if (!skv_test_close(f->slope(x, p), have, 1e-4, 1e-6))
                    fail_msg("%s: the slope at %g is %.9g, by differences %.9g", f->name, x, f->slope(x, p), have);
            }
        }
        if (checked < POINTS / 10) fail_msg("%s: checked at %zu points only", f->name, checked);
    }
}

static void check_course(const skv_pointwise_fn *f, const double *p) {
    const skv_course course = f->course(p);
    bool rises = true, falls = true;
    double before = NAN;
    for (int at = 0; at < POINTS; at++) {
        const double y = f->value(point(at), p);
        if (isnan(y)) continue;
        if (y < f->lo || y > f->hi) fail_msg("%s: %.9g at %g is out of its bounds", f->name, y, point(at));
        rises = rises && !(y < before);
        falls = falls && !(y > before);
        before = y;
    }
    if ((course == SKV_RISES && !rises) || (course == SKV_FALLS && !falls))
        fail_msg("%s (%g, %g) does not %s", f->name, p[0], p[1], course == SKV_RISES ? "rise" : "fall");
}

static void bounds_course_and_zero_hold(void **state) {
    size_t bends = 0;
    (void)state;
    for (int i = SKV_PW_NONE + 1; i < SKV_PW_COUNT; i++) {
        const skv_pointwise_fn *f = skv_pointwise_at((skv_pointwise)i);
        double p[2];
        for (int k = 0; k < PARAMETERS; k++) {
            if (!parameters(f, k, p)) continue;
            check_course(f, p);
            if (f->keeps_zero(p) && f->value(0, p) != 0) fail_msg("%s: %g at 0", f->name, f->value(0, p));
            if (!f->keeps_zero(p) && f->value(0, p) == 0 && f->params == 0) fail_msg("%s does keep zero", f->name);
        }
        bends += f->course(f->p) == SKV_BENDS;
        assert_int_equal(skv_pointwise_named(f->name, false), i);
        assert_true(f->value_text[0] && (f->has_loop == (f->loop_text != NULL)) && (f->has_loop || !f->fused));
    }
    assert_true(bends >= 6 && bends < SKV_PW_COUNT / 2);
    assert_int_equal(skv_pointwise_named("sigmoid", false), SKV_PW_NONE);
    assert_int_equal(skv_pointwise_named("sigmoid", true), SKV_PW_SIGMOID);
}

/* Within what kernels/unary.h says, of results that are not tiny. */
static void loops_agree(void **state) {
    float x[POINTS], y[POINTS];
    (void)state;
    for (int i = SKV_PW_NONE + 1; i < SKV_PW_COUNT; i++) {
        const skv_pointwise_fn *f = skv_pointwise_at((skv_pointwise)i);
        double p[2];
        for (int k = 0; f->has_loop && k < PARAMETERS; k++) {
            if (!parameters(f, k, p)) continue;
            for (int at = 0; at < POINTS; at++) x[at] = (float)point(at);
            const double q[2] = {(float)p[0], (float)p[1]};
            for (int way = 0; way < 2; way++) {
                skv_unary_loop *loop = way == 0 ? skv_unary_scalar : skv_unary_loop_of(skv_cpu_isa());
                memset(y, 0xff, sizeof y);
                loop((skv_pointwise)i, (float)p[0], (float)p[1], x, y, POINTS);
                for (int at = 0; at < POINTS; at++)
                    if (!skv_test_close(y[at], f->value(x[at], q), 1e-6, 4e-7))
                        fail_msg("%s (%g, %g) of %g: the loop gives %.9g, not %.9g", f->name, p[0], p[1], (double)x[at],
                                 (double)y[at], f->value(x[at], q));
            }
        }
    }
}

static bool is_near(float have, float want) {
    if (isnan(want)) return isnan(have);
    return isinf(want) ? have == want : skv_test_close(have, want, 1e-6, 4e-7);
}

/* Far from zero, in float32 of either sign: nothing overflows on the way to a result that does not, and what is
 * infinite or no number is that in the loop, too. */
static void loops_agree_far_out(void **state) {
    static const float far[] = {25, 87, 90, 105, 1e4f, 1e13f, 1e20f, 4e37f, 1.2e38f, 3.3e38f, INFINITY, NAN};
    enum { FAR = sizeof far / sizeof *far };
    float x[2 * FAR], y[2 * FAR];
    (void)state;
    for (size_t at = 0; at < FAR; at++) {
        x[2 * at] = far[at];
        x[2 * at + 1] = -far[at];
    }
    for (int i = SKV_PW_NONE + 1; i < SKV_PW_COUNT; i++) {
        const skv_pointwise_fn *f = skv_pointwise_at((skv_pointwise)i);
        if (!f->has_loop) continue;
        for (int way = 0; way < 2; way++) {
            skv_unary_loop *loop = way == 0 ? skv_unary_scalar : skv_unary_loop_of(skv_cpu_isa());
            loop((skv_pointwise)i, (float)f->p[0], (float)f->p[1], x, y, 2 * FAR);
            for (int at = 0; at < 2 * FAR; at++) {
                const float want = (float)f->value(x[at], (const double[]){(float)f->p[0], (float)f->p[1]});
                if (!is_near(y[at], want))
                    fail_msg("%s of %g: the loop gives %.9g, not %.9g", f->name, (double)x[at], (double)y[at],
                             (double)want);
            }
        }
    }
}

/* Of the result, from the smallest numbers on, and never beyond 1. */
static void tanh_and_erf_are_relative(void **state) {
    static const skv_pointwise functions[] = {SKV_PW_TANH, SKV_PW_ERF};
    enum { MANY = 20011 };
    float x[MANY], y[MANY];
    (void)state;
    for (int k = 0; k < 2; k++) {
        const skv_pointwise_fn *f = skv_pointwise_at(functions[k]);
        for (int at = 0; at < MANY; at++) x[at] = (float)((at % 2 ? -1 : 1) * pow(10, -30 + 31.5 * at / (MANY - 1)));
        for (int at = MANY / 2; at < MANY; at++) x[at] = (float)((at - MANY * 0.75) * 0.0023);
        for (int way = 0; way < 2; way++) {
            (way == 0 ? skv_unary_scalar : skv_unary_loop_of(skv_cpu_isa()))(functions[k], 0, 0, x, y, MANY);
            for (int at = 0; at < MANY; at++)
                if (!(fabsf(y[at]) <= 1) || !skv_test_close(y[at], f->value(x[at], f->p), 4e-7, 0))
                    fail_msg("%s of %.9g: the loop gives %.9g, not %.9g", f->name, (double)x[at], (double)y[at],
                             f->value(x[at], f->p));
        }
    }
}

/* The reference of the op, in double, is the function of the list to the bit. */
static void check_reference(skive_context *ctx, const skv_pointwise_fn *f) {
    const int64_t dims[] = {POINTS};
    const skive_type type = skive_type_make(SKIVE_F64, 1, dims);
    skive_graph *g = NULL;
    skive_value *v = NULL;
    skive_node *n = NULL;
    skive_tensor x = {0}, y = {0};
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &v));
    const bool by_tanh = skv_pointwise_named(f->name, false) == SKV_PW_GELU_TANH; /* an attribute of Gelu */
    skv_test_ok(ctx, skive_graph_add_node(g, by_tanh ? "Gelu" : f->name, "n", &v, 1, 1, &n));
    if (by_tanh) skv_test_ok(ctx, skive_node_set_string(n, "approximate", "tanh"));
    assert_int_equal(n->kind, f->op);
    assert_true(n->op->pointwise && skv_pointwise_at(skv_pointwise_of(n)) == f);
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F64, 1, dims, &x));
    for (int at = 0; at < POINTS; at++) ((double *)x.data)[at] = point(at);
    skv_test_ok(ctx, skv_op_evaluate(ctx, n, &(const skive_tensor *){&x}, 1, &y, 1));
    for (int at = 0; at < POINTS; at++) {
        const double have = ((double *)y.data)[at], want = f->value(point(at), f->p);
        if (!(have == want || (isnan(have) && isnan(want))))
            fail_msg("%s of %g: the reference gives %.17g, the list %.17g", f->name, point(at), have, want);
    }
    skive_tensor_free(ctx, &x);
    skive_tensor_free(ctx, &y);
    skive_graph_free(g);
}

static void references_are_the_list(void **state) {
    size_t checked = 0;
    (void)state;
    for (int i = SKV_PW_NONE + 1; i < SKV_PW_COUNT; i++) {
        const skv_pointwise_fn *f = skv_pointwise_at((skv_pointwise)i);
        skive_context *ctx = skv_test_context();
        if (f->op != SKV_OP_NONE) check_reference(ctx, f);
        checked += f->op != SKV_OP_NONE;
        skv_test_context_end(ctx);
    }
    assert_true(checked > 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slopes_are_derivatives),
        cmocka_unit_test(bounds_course_and_zero_hold),
        cmocka_unit_test(loops_agree),
        cmocka_unit_test(loops_agree_far_out),
        cmocka_unit_test(tanh_and_erf_are_relative),
        cmocka_unit_test(references_are_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
