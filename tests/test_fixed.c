/* Fixed-point requantization: the formulas against exact integer arithmetic written another way, and whole models
 * against the float form. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <skive/skive.h>

#include "exec/plan.h"
#include "kernels/int8/fixed_shift.h"
#include "kernels/int8/int8.h"
#include "ops/quant/common_fixed.h"
#include "quant/quant.h"
#include "support.h"
#include "tensor/grid.h"

#include <skive/session.h>

/* The quotient of two whole numbers, b > 0, to the nearest whole number; halves up, or away from zero. */
static int64_t nearest(int64_t a, int64_t b, bool away) {
    int64_t whole = a / b, rest = a % b;
    if (rest < 0) {
        rest += b;
        whole--;
    }
    const int64_t twice = rest - (b - rest);
    if (twice == 0) return away && a < 0 ? whole : whole + 1;
    return twice < 0 ? whole : whole + 1;
}

static int64_t saturated(int64_t x) { return x < INT32_MIN ? INT32_MIN : x > INT32_MAX ? INT32_MAX : x; }

static uint64_t state_of_random = 7;
static uint32_t random_bits(void) {
    state_of_random = state_of_random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state_of_random >> 32);
}

static void rounding_is_as_defined(void **state) {
    static const int32_t some[] = {
        0, 1, -1, 2, -2, 3, -3, 255, -255, INT32_MAX, INT32_MIN, INT32_MAX - 1, INT32_MIN + 1};
    (void)state;
    for (int shift = -31; shift <= 30; shift++) {
        for (int k = 0; k < 400; k++) {
            const int32_t v = k < 13 ? some[k] : (int32_t)random_bits() >> (random_bits() % 31);
            const int32_t m = k % 5 == 0   ? 1 << 30
                              : k % 5 == 1 ? INT32_MAX
                              : k % 5 == 2 ? 0
                                           : (int32_t)((1u << 30) | (random_bits() >> 2));
            const int64_t a = saturated(shift > 0 ? (int64_t)v * ((int64_t)1 << shift) : v);
            int64_t want = nearest(a * m, (int64_t)1 << 31, false);
            if (shift < 0) want = nearest(want, (int64_t)1 << -shift, true);
            assert_int_equal(skv_q_fixed_double(v, m, shift), saturated(want));
            assert_int_equal(skv_q_fixed_single(v, m, shift),
                             saturated(nearest((int64_t)v * m, (int64_t)1 << (31 - shift), false)));
        }
    }
}

/* By hand, as gemmlowp's saturating doubling high multiplication and rounding shift give it. */
static void numbers_by_hand(void **state) {
    (void)state;
    assert_int_equal(skv_q_fixed_double(100, 1 << 30, 0), 50);
    assert_int_equal(skv_q_fixed_double(5, 1 << 30, 0), 3);   /* 2.5, halves up */
    assert_int_equal(skv_q_fixed_double(-5, 1 << 30, 0), -2); /* -2.5, halves up */
    assert_int_equal(skv_q_fixed_double(10, 1 << 30, -1), 3); /* 5, then 2.5 away from zero */
    assert_int_equal(skv_q_fixed_double(-10, 1 << 30, -1), -3);
    assert_int_equal(skv_q_fixed_single(-10, 1 << 30, -1), -2);
    assert_int_equal(skv_q_fixed_double(INT32_MAX, 1 << 30, 5), 1 << 30); /* saturated, then halved, halves up */
    assert_int_equal(skv_q_fixed_double(3, 1610612736, 1), 5);            /* 3 * 2 * 0.75 = 4.5 */
}

static void multipliers_become_pairs(void **state) {
    (void)state;
    for (int k = 0; k < 2000; k++) {
        const double m = ldexp(1 + (double)random_bits() / 4294967296.0, (int)(random_bits() % 40) - 30);
        int32_t q31;
        int shift;
        skv_q_fixed_of(m, &q31, &shift);
        assert_true(q31 >= 1 << 30);
        if (shift < 30) assert_true(fabs(ldexp((double)q31, shift - 31) - m) <= m * ldexp(1, -31));
    }
    int32_t q31;
    int shift;
    skv_q_fixed_of(0, &q31, &shift);
    assert_true(q31 == 0 && shift == 0);
    skv_q_fixed_of(1, &q31, &shift);
    assert_true(q31 == 1 << 30 && shift == 1);
    skv_q_fixed_of(1 - 1e-12, &q31, &shift); /* rounds up to 2^31, which is 2^30 a bit higher */
    assert_true(q31 == 1 << 30 && shift == 1);
    skv_q_fixed_of(1e-20, &q31, &shift);
    assert_true(q31 == 0);
}

/* Sums in fixed point are within one step of those in float. */
static void sums_are_close(void **state) {
    (void)state;
    for (int k = 0; k < 20000; k++) {
        const double a_scale = 0.001 + random_bits() / 4e10, b_scale = a_scale * (0.1 + random_bits() / 1e9);
        const double y_scale = a_scale * (0.3 + random_bits() / 1e9);
        skv_q_add q = {(int32_t)(random_bits() % 256),
                       (int32_t)(random_bits() % 256),
                       (float)(a_scale / y_scale),
                       (float)(b_scale / y_scale),
                       {SKV_Q_U8, (int32_t)(random_bits() % 256), 0, 255}};
        skv_q_add_fixed f;
        assert_true(skv_q_add_fixed_of(a_scale, b_scale, y_scale, &f));
        const int32_t a = (int32_t)(random_bits() % 256), b = (int32_t)(random_bits() % 256);
        assert_true(abs(skv_q_add_fixed_one(&q, &f, a, b) - skv_q_add_one(&q, a, b)) <= 1);
    }
}

/* The loops of the kernels, of each level that the processor has, give the bits of the definition: all shifts, sums at
 * the ends of int32 and those that make ties, both roundings, limits on and off. */
static void loops_are_exact(void **state) {
    enum { N = 203 };
    (void)state;
    const skv_q8_loops *levels[] = {&skv_q8_loops_scalar, skv_q8_loops_of(skv_cpu_isa())};
    for (int k = 0; k < 4 * 62; k++) {
        int32_t sum[N], q31[N], shift[N];
        const int32_t zero = (int32_t)(random_bits() % 256), lo = (int32_t)(random_bits() % 200), hi = lo + 55;
        for (int i = 0; i < N; i++) {
            const uint32_t kind = random_bits() % 8;
            const int32_t tie = (int32_t)(random_bits() % 512 - 256) * (1 << (random_bits() % 12));
            q31[i] = kind == 0   ? 1 << 30
                     : kind == 1 ? INT32_MAX
                     : kind == 2 ? 0
                                 : (int32_t)(1u << 30 | random_bits() >> 2);
            shift[i] = k / 4 - 31;
            sum[i] = kind == 3   ? INT32_MIN
                     : kind == 4 ? INT32_MAX
                     : kind == 5 ? tie
                                 : (int32_t)random_bits() >> (random_bits() % 31);
        }
        const skv_q8_fixed f = {
            .on = true, .single = k % 2, .zero = zero, .lo = (k & 2 ? lo : 0) - zero, .hi = (k & 2 ? hi : 255) - zero};
        for (size_t l = 0; l < 2; l++) {
            for (size_t step = 0; step < 2; step++) {
                uint8_t y[N];
                levels[l]->fixed(sum, q31, shift, step, y, N, &f);
                for (size_t i = 0; i < N; i++) {
                    const int32_t m = q31[i * step], by = shift[i * step];
                    const int32_t t = f.single ? skv_q_fixed_single(sum[i], m, by) : skv_q_fixed_double(sum[i], m, by);
                    const int64_t want = t < f.lo ? f.lo : t > f.hi ? f.hi : t;
                    assert_int_equal(y[i], want + zero);
                }
            }
        }
    }
}

static void sum_loops_are_exact(void **state) {
    enum { N = 203 };
    (void)state;
    const skv_q8_loops *levels[] = {&skv_q8_loops_scalar, skv_q8_loops_of(skv_cpu_isa())};
    for (int k = 0; k < 500; k++) {
        uint8_t a[N], b[N], y[N];
        const skv_q_add q = {(int32_t)(random_bits() % 256),
                             (int32_t)(random_bits() % 256),
                             1,
                             1,
                             {SKV_Q_U8, (int32_t)(random_bits() % 256), k % 3 ? 0 : 40, k % 5 ? 255 : 200}};
        skv_q_add_fixed f = {.fixed = true, .left = k % 2 ? 20 : 22};
        f.a_q31 = k % 7 ? (int32_t)(1u << 30 | random_bits() >> 2) : INT32_MAX;
        f.b_q31 = k % 7 ? (int32_t)(1u << 30 | random_bits() >> 2) : INT32_MAX;
        f.y_q31 = (int32_t)(1u << 30 | random_bits() >> 2);
        f.a_shift = k % 7 ? -(int)(random_bits() % 6) : 0;
        f.b_shift = k % 7 ? -(int)(random_bits() % 32) : 0;
        f.y_shift = (int)(random_bits() % 62) - 31;
        for (int i = 0; i < N; i++) {
            a[i] = i % 9 ? (uint8_t)random_bits() : i % 2 ? 255 : 0;
            b[i] = i % 9 ? (uint8_t)random_bits() : a[i];
        }
        for (size_t l = 0; l < 2; l++) {
            levels[l]->add_fixed(a, b, y, N, &q, &f);
            for (int i = 0; i < N; i++) assert_int_equal(y[i], skv_q_add_fixed_one(&q, &f, a[i], b[i]));
        }
    }
}

static void run_plan(skive_context *ctx, const skive_graph *g, bool fixed, bool reference, skive_tensor *out) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor view;
    o.fixed_multipliers = fixed;
    o.reference = reference;
    o.batch = 1;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &view));
    for (int64_t i = 0; i < skive_tensor_count(&view); i++)
        ((float *)view.data)[i] = (float)skv_rng_normal(11, 0, (uint64_t)i);
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
    skv_test_ok(ctx, skive_tensor_copy(ctx, &view, out));
    for (size_t i = 0; fixed && !reference && i < skive_plan_step_count(plan); i++) {
        skive_plan_step step;
        skive_plan_step_get(plan, i, &step);
        if (step.op[0] == 'Q' && strcmp(step.kernel, "reference") == 0) fail_msg("%s runs on the reference", step.op);
    }
    if (fixed) {
        size_t found = 0;
        for (uint32_t i = 0; i < plan->graph->n_nodes; i++)
            found +=
                skv_node_attr(plan->graph->nodes[i], "multiplier_q31") || skv_node_attr(plan->graph->nodes[i], "a_q31");
        assert_true(found >= 3);
    }
    skive_exec_free(exec);
    skive_plan_free(plan);
}

/* A quantized residual network: with fixed-point multipliers every path gives the same bits, and they are near those of
 * the float form. */
static void models_in_fixed_point(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_quantize_options o = skive_quantize_options_default();
    (void)state;
    skv_test_ok(ctx, skive_zoo_build(ctx, "resnet20", NULL, &g));
    const int64_t dims[] = {4, g->inputs[0]->type.dims[1].size, g->inputs[0]->type.dims[2].size,
                            g->inputs[0]->type.dims[3].size};
    skive_tensor x = skv_test_random(ctx, SKIVE_F32, 4, dims, 3, -2, 2), fast, fixed, slow;
    o.calibration = "minmax";
    skv_test_ok(ctx, skive_quantize_arrays(ctx, g, &x, 1, &o, NULL));
    run_plan(ctx, g, false, false, &fast);
    run_plan(ctx, g, true, false, &fixed);
    run_plan(ctx, g, true, true, &slow);
    assert_memory_equal(fixed.data, slow.data, skive_tensor_bytes(&fixed));
    double signal = 0, noise = 0;
    for (int64_t i = 0; i < skive_tensor_count(&fast); i++) {
        const double a = skive_tensor_get(&fast, i), d = skive_tensor_get(&fixed, i) - a;
        signal += a * a;
        noise += d * d;
    }
    assert_true(noise < signal * 0.01);
    skive_tensor_free(ctx, &x);
    skive_tensor_free(ctx, &fast);
    skive_tensor_free(ctx, &fixed);
    skive_tensor_free(ctx, &slow);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void run_session(skive_context *ctx, const skive_graph *g, skive_tensor *out) {
    skive_session *s = NULL;
    const int64_t dims[] = {1, g->inputs[0]->type.dims[1].size, g->inputs[0]->type.dims[2].size,
                            g->inputs[0]->type.dims[3].size};
    skive_tensor x = skv_test_random(ctx, SKIVE_F32, 4, dims, 3, -2, 2);
    for (int64_t i = 0; i < skive_tensor_count(&x); i++)
        ((float *)x.data)[i] = (float)skv_rng_normal(11, 0, (uint64_t)i);
    skv_test_ok(ctx, skive_session_create(ctx, g, NULL, &s));
    skv_test_ok(ctx, skive_session_run(s, &x, 1, out, 1));
    skive_session_free(s);
    skive_tensor_free(ctx, &x);
}

/* A model that is quantized for fixed-point multipliers says so: plans, sessions and both kinds of files give the bits
 * of the plan option, without it. */
static void models_ask_for_it(void **state) {
    enum { WAYS = 4 };
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL, *other = NULL, *files[2] = {NULL};
    skive_quantize_options o = skive_quantize_options_default();
    skive_tensor want, plain, got[WAYS];
    void *bytes = NULL;
    size_t size = 0;
    (void)state;
    skv_test_ok(ctx, skive_zoo_build(ctx, "resnet8", NULL, &g));
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &other));
    const int64_t dims[] = {4, g->inputs[0]->type.dims[1].size, g->inputs[0]->type.dims[2].size,
                            g->inputs[0]->type.dims[3].size};
    skive_tensor x = skv_test_random(ctx, SKIVE_F32, 4, dims, 3, -2, 2);
    o.calibration = "minmax";
    o.multiplier = "fixed";
    o.activations = "int16";
    skv_test_fails(ctx, skive_quantize_arrays(ctx, g, &x, 1, &o, NULL), SKIVE_ERR_ARGUMENT, "multiplier");
    o.activations = "uint8";
    skv_test_ok(ctx, skive_quantize_arrays(ctx, g, &x, 1, &o, NULL));
    o.multiplier = "float";
    skv_test_ok(ctx, skive_quantize_arrays(ctx, other, &x, 1, &o, NULL));
    run_plan(ctx, other, true, false, &want);
    run_plan(ctx, other, false, false, &plain);
    assert_memory_not_equal(want.data, plain.data, skive_tensor_bytes(&want));
    skv_test_ok(ctx, skive_onnx_serialize(ctx, g, NULL, &bytes, &size));
    skv_test_ok(ctx, skive_onnx_parse(ctx, bytes, size, NULL, NULL, &files[0]));
    skive_onnx_free_bytes(ctx, bytes);
    skv_test_ok(ctx, skive_pack_serialize(ctx, g, NULL, &bytes, &size, NULL));
    skv_test_ok(ctx, skive_pack_parse(ctx, bytes, size, NULL, &files[1], NULL));
    skive_pack_free_bytes(ctx, bytes);
    run_plan(ctx, g, false, false, &got[0]);
    run_session(ctx, g, &got[1]);
    run_plan(ctx, files[0], false, false, &got[2]);
    run_plan(ctx, files[1], false, true, &got[3]);
    for (int i = 0; i < WAYS; i++) {
        assert_memory_equal(got[i].data, want.data, skive_tensor_bytes(&want));
        skive_tensor_free(ctx, &got[i]);
    }
    const size_t notes = skive_context_note_count(ctx);
    skv_test_ok(ctx, skive_graph_set_meta(g, "skive.multipliers", "q15"));
    run_plan(ctx, g, false, false, &got[0]);
    assert_memory_equal(got[0].data, plain.data, skive_tensor_bytes(&plain));
    assert_true(skive_context_note_count(ctx) > notes);
    assert_non_null(strstr(skive_context_note(ctx, notes), "'q15'"));
    skive_tensor_free(ctx, &got[0]);
    skive_tensor_free(ctx, &want);
    skive_tensor_free(ctx, &plain);
    skive_tensor_free(ctx, &x);
    skive_graph_free(g);
    skive_graph_free(other);
    skive_graph_free(files[0]);
    skive_graph_free(files[1]);
    skv_test_context_end(ctx);
}

/* A .skv file keeps the form, to the bit; ONNX has none, and the node is refused by name. */
static void files_keep_the_form(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL, *back = NULL;
    skive_value *x = NULL;
    const int64_t dims[2] = {3, 40}, w_dims[2] = {4, 40};
    const skive_type type = skive_type_make(SKIVE_I8, 2, dims);
    const double multiplier[4] = {0.001, 0.002, 0.5, 0};
    const int64_t q31[4] = {1099511628, 1099511628, 1 << 30, 0}, shift[4] = {-9, -8, 0, 0};
    skive_tensor w = skv_test_random(ctx, SKIVE_I8, 2, w_dims, 5, -128, 128), out[2];
    skv_storage *storage = NULL;
    void *bytes = NULL;
    size_t size = 0;
    (void)state;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_test_ok(ctx, skv_storage_take(ctx, &w, &storage));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "QGemm", SKV_IN(x, skv_emit_param(&b, "w", storage)),
                              SKV_ATTRS(SKV_FLTS("multiplier", multiplier, 4), SKV_INTS("multiplier_q31", q31, 4),
                                        SKV_INTS("multiplier_shift", shift, 4), SKV_STR("rounding", "single"),
                                        SKV_STR("y_dtype", "s8"), SKV_INT("x_zero_point", -3)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_pack_serialize(ctx, g, NULL, &bytes, &size, NULL));
    skv_test_ok(ctx, skive_pack_parse(ctx, bytes, size, NULL, &back, NULL));
    for (int k = 0; k < 2; k++) {
        skive_plan *plan = NULL;
        skive_exec *exec = NULL;
        skive_tensor view;
        skv_test_ok(ctx, skive_plan_create(ctx, k ? back : g, NULL, &plan));
        skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
        skv_test_ok(ctx, skive_exec_input(exec, 0, &view));
        for (int i = 0; i < 120; i++) ((int8_t *)view.data)[i] = (int8_t)(i * 37);
        skv_test_ok(ctx, skive_exec_run(exec));
        skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
        skv_test_ok(ctx, skive_tensor_copy(ctx, &view, &out[k]));
        skive_exec_free(exec);
        skive_plan_free(plan);
    }
    assert_int_equal(out[1].dtype, SKIVE_I8);
    assert_memory_equal(out[0].data, out[1].data, 12);
    const skive_node *n = back->nodes[0];
    size_t count = 0;
    assert_memory_equal(skv_attr_ints(n, "multiplier_q31", &count), q31, sizeof q31);
    assert_string_equal(skv_attr_string(n, "rounding", ""), "single");
    skive_pack_free_bytes(ctx, bytes);
    skv_test_fails(ctx, skive_onnx_serialize(ctx, g, NULL, &bytes, &size), SKIVE_ERR_UNSUPPORTED, "QGemm");
    skive_tensor_free(ctx, &out[0]);
    skive_tensor_free(ctx, &out[1]);
    skive_graph_free(back);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Every sum of one product of two bytes, and sums about the ends of int32, by every shift: the shift alone, the
 * definition with M = 2^30, and exact integers agree, and what a byte cannot hold saturates. */
static void shifts_are_exhaustive(void **state) {
    enum { MOST = 255 * 128 + 64 };
    (void)state;
    for (int shift = -31; shift <= 30; shift++) {
        for (int64_t k = -3 * (MOST + 1); k <= 3 * (MOST + 1); k++) {
            const int64_t v = k < -MOST - 1  ? INT32_MIN - (k + MOST + 2)
                              : k > MOST + 1 ? INT32_MAX - (k - MOST - 2)
                                             : k;
            const int64_t a = shift > 1 ? v * ((int64_t)1 << (shift - 1)) : v;
            const int64_t want = saturated(shift < 1 ? nearest(a, (int64_t)1 << (1 - shift), false) : a);
            const int32_t got = skv_fixed_shift((int32_t)v, shift);
            if (got != want || skv_q_fixed_single((int32_t)v, 1 << 30, shift) != want)
                fail_msg("%lld by 2^%d is %d, not %lld", (long long)v, shift - 1, got, (long long)want);
        }
    }
    for (size_t l = 0; l < 2; l++) {
        const skv_q8_loops *loops = l ? skv_q8_loops_of(skv_cpu_isa()) : &skv_q8_loops_scalar;
        const skv_q8_fixed f = {.on = true, .single = true, .zero = 3, .lo = -3, .hi = 252};
        for (int32_t shift = -20; shift <= 3; shift++) {
            for (int32_t from = -40000; from < 40000; from += 250) {
                int32_t sum[250], by[250], q31[250];
                uint8_t y[250];
                for (int i = 0; i < 250; i++) sum[i] = from + i, by[i] = shift, q31[i] = 1 << 30;
                loops->fixed(sum, q31, by, 1, y, 250, &f);
                for (int i = 0; i < 250; i++) {
                    const int32_t t = skv_q_fixed_single(sum[i], 1 << 30, shift);
                    assert_int_equal(y[i], (t < f.lo ? f.lo : t > f.hi ? f.hi : t) + 3);
                }
            }
        }
    }
}

/* Fixed point Qm.n: every code comes back, and every number half way between two codes, and its neighbours, get the
 * code that exact integers give, also beyond both ends. */
static void fixed_grids_are_exhaustive(void **state) {
    static const skv_grid *const grids[] = {&skv_grid_fixed, &skv_grid_fixed16};
    (void)state;
    for (size_t g = 0; g < 2; g++) {
        const skv_quantizer q = skv_quantizer_of(grids[g]);
        const int32_t last = g ? 33000 : 300;
        for (int n = -3; n <= 15; n += g ? 6 : 1) {
            const skv_grid_params p = {.scale = ldexpf(1, -n)};
            for (int32_t half = -2 * last; half <= 2 * last; half++) {
                const float x = ldexpf((float)half, -n - 1);
                for (int side = -1; side <= 1; side++) {
                    const float at = side == 0 ? x : nextafterf(x, side < 0 ? -INFINITY : INFINITY);
                    int64_t want = half >= 0 ? half / 2 : -((1 - half) / 2); /* floor(half / 2) */
                    if (half % 2 == 0) {                                     /* a code, or next to one */
                    } else if (side != 0)
                        want += side > 0;
                    else
                        want += want % 2 != 0; /* to the even code */
                    want = want < q.low ? q.low : want > q.high ? q.high : want;
                    const int32_t code = skv_grid_encode(&q, &p, at);
                    if (code != want) fail_msg("%a on Q.%d is %d, not %lld", (double)at, n, code, (long long)want);
                    if (side == 0 && half % 2 == 0 && half / 2 == want) assert_true(skv_grid_decode(&q, &p, code) == x);
                }
            }
        }
    }
}

/* A product by shifts alone, written once more: x[k] << n, added or subtracted, then one shift with rounding. */
static void products_by_shifts(void **state) {
    enum { ROWS = 7, IN = 45, OUT = 37 };
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor view;
    skive_plan_step step;
    const int64_t dims[2] = {ROWS, IN}, w_dims[2] = {OUT, IN}, b_dims[1] = {OUT};
    const skive_type type = skive_type_make(SKIVE_U8, 2, dims);
    double multiplier[OUT];
    int64_t q31[OUT], shift[OUT];
    skv_storage *weights = NULL, *biases = NULL;
    (void)state;
    skv_test_ok(ctx, skv_storage_create(ctx, SKIVE_I8, 2, w_dims, &weights));
    skv_test_ok(ctx, skv_storage_create(ctx, SKIVE_I32, 1, b_dims, &biases));
    int8_t *w = weights->tensor.data;
    int32_t *bias = biases->tensor.data;
    for (int i = 0; i < OUT * IN; i++) {
        const int n = (int)(random_bits() % 8);
        w[i] = (int8_t)(n == 7 ? 0 : random_bits() % 2 ? 1 << n : -(1 << n));
    }
    for (int o = 0; o < OUT; o++) {
        shift[o] = -(int64_t)(random_bits() % 12) - 1;
        q31[o] = 1 << 30;
        multiplier[o] = ldexp(1, (int)shift[o] - 1);
        bias[o] = (int32_t)(random_bits() % 20000) - 10000;
    }
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "QGemm", SKV_IN(x, skv_emit_param(&b, "w", weights), skv_emit_param(&b, "b", biases)),
                              SKV_ATTRS(SKV_FLTS("multiplier", multiplier, OUT), SKV_INTS("multiplier_q31", q31, OUT),
                                        SKV_INTS("multiplier_shift", shift, OUT), SKV_STR("rounding", "single"),
                                        SKV_INT("x_zero_point", 17), SKV_INT("y_zero_point", 100)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    for (int reference = 0; reference < 2; reference++) {
        skive_plan_options options = skive_plan_options_default();
        options.reference = reference;
        skv_test_ok(ctx, skive_plan_create(ctx, g, &options, &plan));
        skive_plan_step_get(plan, 0, &step);
        if (!reference && !strstr(step.kernel, "shift")) fail_msg("the kernel is %s", step.kernel);
        skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
        skv_test_ok(ctx, skive_exec_input(exec, 0, &view));
        uint8_t *in = view.data;
        for (int i = 0; i < ROWS * IN; i++) in[i] = (uint8_t)(i * 89 + i / 3);
        skv_test_ok(ctx, skive_exec_run(exec));
        skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
        for (int r = 0; r < ROWS; r++) {
            for (int o = 0; o < OUT; o++) {
                int64_t sum = bias[o];
                for (int k = 0; k < IN; k++) {
                    const uint8_t byte = (uint8_t)((r * IN + k) * 89 + (r * IN + k) / 3);
                    for (int n = 0; n < 7; n++) {
                        const int64_t term = ((int64_t)(byte - 17)) * (1 << n);
                        if (w[o * IN + k] == 1 << n) sum += term;
                        if (w[o * IN + k] == -(1 << n)) sum -= term;
                    }
                }
                const int64_t t = nearest(sum, (int64_t)1 << (1 - shift[o]), false) + 100;
                assert_int_equal(((uint8_t *)view.data)[r * OUT + o], t < 0 ? 0 : t > 255 ? 255 : t);
            }
        }
        skive_exec_free(exec);
        skive_plan_free(plan);
    }
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Whole models by shifts: all scales are powers of two; what the reference computes is what the kernels compute, and
 * with weights that are powers of two every product runs without a multiplication. */
static void models_by_shifts(void **state) {
    static const char *const weights[] = {NULL, "log2", "fixed", "int4"};
    (void)state;
    for (size_t k = 0; k < 4; k++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skive_plan *plan = NULL;
        skive_plan_step step;
        skive_quantize_options o = skive_quantize_options_default();
        skive_tensor fast, slow;
        size_t products = 0;
        skv_test_ok(ctx, skive_zoo_build(ctx, k == 1 ? "ds-cnn" : "resnet8", NULL, &g));
        const int64_t dims[] = {4, g->inputs[0]->type.dims[1].size, g->inputs[0]->type.dims[2].size,
                                g->inputs[0]->type.dims[3].size};
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 4, dims, 3, -2, 2);
        o.calibration = "minmax";
        o.multiplier = "shift";
        o.weights = weights[k];
        skv_test_ok(ctx, skive_quantize_arrays(ctx, g, &x, 1, &o, NULL));
        for (uint32_t i = 0; i < g->n_nodes; i++) {
            if (strcmp(g->nodes[i]->op_type, "DequantizeLinear") != 0) continue;
            const skive_tensor *scale = skv_value_tensor(g->nodes[i]->inputs[1]);
            for (int64_t c = 0; c < skive_tensor_count(scale); c++) {
                int exponent;
                assert_true(frexp(skive_tensor_get(scale, c), &exponent) == 0.5);
            }
        }
        run_plan(ctx, g, false, false, &fast);
        run_plan(ctx, g, false, true, &slow);
        assert_memory_equal(fast.data, slow.data, skive_tensor_bytes(&fast));
        skv_test_ok(ctx, skive_plan_create(ctx, g, NULL, &plan));
        for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
            skive_plan_step_get(plan, i, &step);
            if (strcmp(step.op, "QConv") != 0 && strcmp(step.op, "QGemm") != 0) continue;
            const skive_node *n = NULL;
            for (uint32_t j = 0; j < plan->graph->n_nodes; j++)
                if (strcmp(plan->graph->nodes[j]->name, step.node) == 0) n = plan->graph->nodes[j];
            assert_non_null(n);
            if (strcmp(skv_attr_string(n, "y_dtype", "u8"), "float") == 0) continue; /* the scores */
            products++;
            assert_string_equal(skv_attr_string(n, "rounding", ""), "single");
            if (k == 1 && !strstr(step.kernel, "shift")) fail_msg("%s runs on %s", step.node, step.kernel);
        }
        assert_true(products >= 7);
        skive_plan_free(plan);
        skive_tensor_free(ctx, &fast);
        skive_tensor_free(ctx, &slow);
        skive_tensor_free(ctx, &x);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

static void shifts_that_cannot_be(void **state) {
    static const char *const cases[][4] = {
        {"int4", "int16", "nearest", "activations"}, /* computed in float32 */
        {"f16", "uint8", "nearest", "power"},
        {NULL, "uint8", "awq", "awq"},
    };
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skive_quantize_options o = skive_quantize_options_default();
        const int64_t dims[] = {4, 1, 28, 28};
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 4, dims, 3, -2, 2);
        skv_test_ok(ctx, skive_zoo_build(ctx, "mlp:8", NULL, &g));
        o.multiplier = "shift";
        o.weights = cases[k][0];
        o.activations = cases[k][1];
        o.rounding = cases[k][2];
        skv_test_fails(ctx, skive_quantize_arrays(ctx, g, &x, 1, &o, NULL), SKIVE_ERR_ARGUMENT, cases[k][3]);
        /* scales of another quantizer, and a model that says it multiplies by shifts */
        o = skive_quantize_options_default();
        skv_test_ok(ctx, skive_quantize_arrays(ctx, g, &x, 1, &o, NULL));
        skv_test_ok(ctx, skive_graph_set_meta(g, "skive.multipliers", "shift"));
        skive_plan *plan = NULL;
        skv_test_fails(ctx, skive_plan_create(ctx, g, NULL, &plan), SKIVE_ERR_GRAPH, "no power of two");
        skive_tensor_free(ctx, &x);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounding_is_as_defined),     cmocka_unit_test(numbers_by_hand),
        cmocka_unit_test(multipliers_become_pairs),   cmocka_unit_test(sums_are_close),
        cmocka_unit_test(models_in_fixed_point),      cmocka_unit_test(loops_are_exact),
        cmocka_unit_test(sum_loops_are_exact),        cmocka_unit_test(files_keep_the_form),
        cmocka_unit_test(models_ask_for_it),          cmocka_unit_test(shifts_are_exhaustive),
        cmocka_unit_test(fixed_grids_are_exhaustive), cmocka_unit_test(products_by_shifts),
        cmocka_unit_test(models_by_shifts),           cmocka_unit_test(shifts_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
