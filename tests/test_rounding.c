/* Rounding of weights: GPTQ by hand, AdaRound against the nearest codes, what is done layer by layer in whole models,
 * and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <skive/quant.h>
#include <skive/zoo.h>

#include "base/cholesky.h"
#include "graph/graph.h"
#include "quant/rounding.h"
#include "support.h"

#include <cmocka.h>

static void cholesky(void **state) {
    enum { N = 130 };
    static double a[N * N], m[N * N];
    (void)state;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            a[i * N + j] = m[i * N + j] = exp(-0.1 * (i - j) * (i - j)) + (i == j ? 0.5 + 0.01 * i : 0);
    assert_true(skv_cholesky_upper(m, N, 2));
    for (int i = 0; i < N; i++) {
        for (int j = i; j < N; j++) {
            double sum = 0;
            for (int k = j; k < N; k++) sum += m[i * N + k] * m[j * N + k];
            assert_true(fabs(sum - a[i * N + j]) < 1e-12);
        }
    }
    double bad[4] = {1, 2, 2, 1};
    assert_false(skv_cholesky_upper(bad, 2, 1));
}

/* A task of one group: out x k weights, n rows, int4 with this scale for all. */
typedef struct layer {
    skive_context *ctx;
    skv_gridded grid;
    skv_grid_params params;
    int64_t group[64];
    int32_t code[64];
    float target[4096], bias[8];
    skv_rounding_task t;
    skv_option_values values;
} layer;

static void open_layer(layer *l, const char *rounding, int64_t out, int64_t k, int64_t n, const float *w,
                       const float *x, float scale) {
    size_t index;
    memset(l, 0, sizeof *l);
    l->ctx = skv_test_context();
    skv_test_ok(l->ctx, skv_family_pick(l->ctx, &skv_rounding_family, "rounding", rounding, &index, &l->values));
    l->params.scale = scale;
    l->grid.q = skv_quantizer_of(&skv_grid_int4);
    l->grid.params = &l->params;
    for (int64_t i = 0; i < out * k; i++) l->code[i] = skv_grid_encode(&l->grid.q, &l->params, w[i]);
    skv_test_ok(l->ctx, skv_layer_product(l->ctx, n, out, k, x, w, NULL, l->target));
    l->t = (skv_rounding_task){.ctx = l->ctx,
                               .values = &l->values,
                               .name = "layer",
                               .out = out,
                               .k = k,
                               .n = n,
                               .w = w,
                               .x = x,
                               .target = l->target,
                               .bias = l->bias,
                               .low = -INFINITY,
                               .high = INFINITY,
                               .grid = &l->grid,
                               .group = l->group,
                               .code = l->code};
    skv_test_ok(l->ctx, skv_rounding_at(index)->round(&l->t));
}

/* The rows (1, 1) and (1, 0): E[x0 x0] = 1, E[x0 x1] = E[x1 x1] = 1/2. Input 0 has the larger activations and comes
 * first. w = (0.4, 0.3): code 0 is 0 and loses 0.4; weight 1 is taken as 0.3 + 0.4 (1/2) / (1/2) = 0.7, which is 1; the
 * nearest codes are 0 and 0. w = (0.6, 0.3): 1, which is 0.4 too much, then 0.3 - 0.4 = -0.1: 0. */
static void gptq_by_hand(void **state) {
    const float x[4] = {1, 1, 1, 0}, w[4] = {0.4f, 0.3f, 0.6f, 0.3f};
    layer l;
    (void)state;
    open_layer(&l, "gptq:damping=1e-9", 2, 2, 2, w, x, 1);
    assert_int_equal(l.code[0], 0);
    assert_int_equal(l.code[1], 1);
    assert_int_equal(l.code[2], 1);
    assert_int_equal(l.code[3], 0);
    skv_test_context_end(l.ctx);
    /* The rows (1, 2) and (1, 0): E[x0 x1] = 1, E[x1 x1] = 2. Input 1 comes first: 0.3 is 0, then 0.4 + 0.3 (1 / 1) is
     * 0.7. In the order of the inputs 0.4 is 0, then 0.3 + 0.4 (1 / 2) is 0.5, but for the damping: w1 = 0.31. */
    const float y[4] = {1, 2, 1, 0}, v[2] = {0.4f, 0.31f};
    open_layer(&l, "gptq:damping=1e-9", 1, 2, 2, v, y, 1);
    assert_int_equal(l.code[0], 1);
    assert_int_equal(l.code[1], 0);
    skv_test_context_end(l.ctx);
    open_layer(&l, "gptq:damping=1e-9,order=no", 1, 2, 2, v, y, 1);
    assert_int_equal(l.code[0], 0);
    assert_int_equal(l.code[1], 1);
    skv_test_context_end(l.ctx);
    /* What was pruned stays, whatever there is to make up for: w1 would be taken as 0 + 0.4 (2 / 1) otherwise. */
    const float z[4] = {2, 1, 2, 1}, pruned[2] = {0.4f, 0};
    open_layer(&l, "gptq:damping=1e-9,order=no", 1, 2, 2, pruned, z, 1);
    assert_int_equal(l.code[0], 0);
    assert_int_equal(l.code[1], 0);
    skv_test_context_end(l.ctx);
}

static double error_of(const layer *l, const int32_t *code) {
    double sum = 0;
    for (int64_t r = 0; r < l->t.n; r++) {
        for (int64_t o = 0; o < l->t.out; o++) {
            double y = 0;
            for (int64_t i = 0; i < l->t.k; i++)
                y += (double)skv_task_decode(&l->t, o * l->t.k + i, code[o * l->t.k + i]) *
                     (double)l->t.x[r * l->t.k + i];
            const double d = y - (double)l->target[r * l->t.out + o];
            sum += d * d;
        }
    }
    return sum;
}

/* Inputs that go together: the nearest codes lose what pairs of opposite decisions would not. */
static void better_than_nearest(void **state) {
    enum { OUT = 4, K = 12, N = 200 };
    static const char *const all[] = {"adaround:iterations=600,rows=64", "gptq"};
    static float x[N * K], w[OUT * K];
    (void)state;
    for (int r = 0; r < N; r++) {
        const double common = 1 + skv_rng_normal(1, 1, (uint64_t)r);
        for (int i = 0; i < K; i++) x[r * K + i] = (float)(common + 0.3 * skv_rng_normal(1, 2, (uint64_t)(r * K + i)));
    }
    for (int i = 0; i < OUT * K; i++) w[i] = (float)skv_rng_normal(1, 3, (uint64_t)i);
    for (size_t k = 0; k < 2; k++) {
        layer l;
        int32_t nearest[OUT * K];
        open_layer(&l, all[k], OUT, K, N, w, x, 0.4f);
        for (int i = 0; i < OUT * K; i++) nearest[i] = skv_grid_encode(&l.grid.q, &l.params, w[i]);
        const double before = error_of(&l, nearest), after = error_of(&l, l.code);
        if (!(after < 0.5 * before)) fail_msg("%s: %g, of the nearest %g", all[k], after, before);
        for (int i = 0; k == 0 && i < OUT * K; i++) { /* one of the two neighbours */
            const double down = floor((double)w[i] / 0.4);
            assert_true(l.code[i] == (int32_t)fmin(fmax(down, -8), 7) ||
                        l.code[i] == (int32_t)fmin(fmax(down + 1, -8), 7));
        }
        skv_test_context_end(l.ctx);
    }
}

/* ---- whole models ---- */

enum { RUNS = 40 };

static skive_status feed(void *user, int64_t index, skive_tensor *inputs, size_t n) {
    (void)user;
    if (index >= RUNS || n != 1) return SKIVE_ERR_NOT_FOUND;
    for (int64_t k = 0; k < skive_tensor_count(&inputs[0]); k++)
        ((float *)inputs[0].data)[k] = (float)(0.5 + skv_rng_normal(7, (uint64_t)index, (uint64_t)k));
    return SKIVE_OK;
}

static skive_status quantize(skive_context *ctx, const char *name, const skive_quantize_options *o,
                             skive_quantize_report *report) {
    skive_zoo_options z = skive_zoo_options_default();
    skive_graph *g = NULL;
    z.rank = strncmp(name, "mlp", 3) == 0 ? 1 : 3;
    z.dims[0] = z.rank == 1 ? 10 : 2;
    z.dims[1] = z.dims[2] = 16;
    z.classes = 3;
    skive_status status = skive_zoo_build(ctx, name, &z, &g);
    if (status == SKIVE_OK) status = skive_quantize_feed(ctx, g, feed, NULL, o, report);
    skive_graph_free(g);
    return status;
}

static skive_quantize_options options(const char *rounding) {
    skive_quantize_options o = skive_quantize_options_default();
    o.weights = "int3:tensor";
    o.rounding = rounding;
    o.samples = RUNS;
    o.calibration = "minmax";
    return o;
}

static double sqnr_of(const char *net, const skive_quantize_options *o, size_t fits) {
    skive_context *ctx = skv_test_context();
    skive_quantize_report r;
    skv_test_ok(ctx, quantize(ctx, net, o, &r));
    if (r.n_fits != fits) fail_msg("%s: %zu layers, not %zu", o->rounding, r.n_fits, fits);
    double before = 0, after = 0;
    for (size_t i = 0; i < r.n_fits; i++) {
        assert_true(r.fits[i].after <= r.fits[i].before);
        assert_true(r.fits[i].kept <= r.fits[i].channels && r.fits[i].channels > 0);
        before += r.fits[i].before;
        after += r.fits[i].after;
    }
    if (fits) assert_true(after < before);
    const double sqnr = r.outputs[0].sqnr;
    skive_quantize_report_free(ctx, &r);
    skv_test_context_end(ctx);
    return sqnr;
}

static void layers_of_models(void **state) {
    skive_quantize_options o = options("nearest");
    (void)state;
    const double nearest = sqnr_of("lenet5:0.3", &o, 0);
    o.bias_correction = "empirical";
    assert_true(sqnr_of("lenet5:0.3", &o, 0) > nearest);
    o = options("adaround:iterations=200,rows=32");
    assert_true(sqnr_of("lenet5:0.3", &o, 4) > nearest + 0.3);
    o = options("gptq");
    assert_true(sqnr_of("lenet5:0.3", &o, 4) > nearest + 1);
    o.weights = "int4:5"; /* groups of the matrices */
    (void)sqnr_of("mlp:12", &o, 2);
    o = options("awq:clip=no");
    o.weights = "int4:4";
    (void)sqnr_of("mlp:12", &o, 3);
    o = options("awq"); /* factors of one layer, scales of two; none loses by it */
    o.weights = "int4:4,fit=range";
    (void)sqnr_of("mlp:12", &o, 3);
    o.weights = "int4:tensor,fit=range";
    (void)sqnr_of("mlp:12", &o, 3);
    o = options("nearest");
    o.weights = "int8:tensor";
    o.smooth = true;
    (void)sqnr_of("mlp:12", &o, 1);
    o = options("gptq"); /* depthwise: groups of one channel */
    o.bias_correction = "empirical";
    o.weights = "int4";
    (void)sqnr_of("ds-cnn:0.1", &o, 10);
}

/* A square weight that is read along both axes has codes for each: those of one would be read with the other's scales. */
static void weights_read_along_two_axes(void **state) {
    static const char *const ways[] = {"adaround:iterations=50,rows=32", "gptq", "awq", "nearest"};
    const int64_t dims[2] = {10, 10};
    (void)state;
    for (size_t i = 0; i < SKV_COUNT(ways); i++) {
        skive_context *ctx = skv_test_context();
        skive_quantize_options o = options(ways[i]);
        skive_quantize_report r;
        skive_graph *g = NULL;
        o.weights = "int8";
        if (i == 3) o.bias_correction = "empirical";
        skv_test_ok(ctx, skive_graph_create(ctx, "tied", &g));
        skv_builder b = skv_build(g);
        const skive_type type = {.dtype = SKIVE_F32, .rank = 2, .dims = {{1, NULL}, {10, NULL}}};
        skive_tensor t = skv_test_random(ctx, SKIVE_F32, 2, dims, 3, -1, 1);
        for (int64_t k = 0; k < 10; k++) /* scales of rows and of columns differ */
            for (int64_t l = 0; l < 10; l++) ((float *)t.data)[k * 10 + l] *= (float)((k + 1) * (10 - l)) / 30;
        skive_value *x = NULL, *w = NULL;
        skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
        skv_test_ok(ctx, skive_graph_add_parameter(g, "w", &t, &w));
        skive_tensor_free(ctx, &t);
        skive_value *y = skv_emit(&b, "Relu", SKV_IN(skv_emit(&b, "Gemm", SKV_IN(x, w), SKV_NONE)), SKV_NONE);
        y = skv_emit(&b, "Gemm", SKV_IN(y, w), SKV_ATTRS(SKV_INT("transB", 1)));
        skv_test_ok(ctx, b.status);
        skv_test_ok(ctx, skive_graph_infer(g));
        skv_test_ok(ctx, skive_graph_add_output(g, y));
        skv_test_ok(ctx, skive_quantize_feed(ctx, g, feed, NULL, &o, &r));
        if (!(r.outputs[0].sqnr > 30)) fail_msg("%s: %g dB", ways[i], r.outputs[0].sqnr);
        skive_quantize_report_free(ctx, &r);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

static void refused(const skive_quantize_options *o, skive_status expected, const char *says) {
    skive_context *ctx = skv_test_context();
    const skive_status status = quantize(ctx, "mlp:4", o, NULL);
    assert_int_equal(status, expected);
    if (!strstr(skive_context_message(ctx), says)) fail_msg("'%s' does not say '%s'", skive_context_message(ctx), says);
    skv_test_context_end(ctx);
}

static void what_cannot_be(void **state) {
    skive_quantize_options o = options("adarund");
    (void)state;
    refused(&o, SKIVE_ERR_ARGUMENT, "adaround");
    o = options("adaround");
    o.weights = "f8e4m3";
    refused(&o, SKIVE_ERR_ARGUMENT, "f8e4m3");
    o = options("gptq:damping=0");
    refused(&o, SKIVE_ERR_ARGUMENT, "damping");
    o = options("nearest");
    o.bias_correction = "analytic"; /* a network without BatchNormalization */
    refused(&o, SKIVE_ERR_UNSUPPORTED, "BatchNormalization");
}

static skive_status all(skive_context *ctx, void *user) {
    skive_quantize_options o = options(user);
    o.smooth = true;
    o.samples = 6;
    o.bias_correction = "empirical";
    return quantize(ctx, "mlp:4", &o, NULL);
}

static void every_allocation_may_fail(void **state) {
    char gptq[] = "gptq", adaround[] = "adaround:iterations=2";
    (void)state;
    assert_true(skv_test_walk_allocations(all, gptq, 61) > 20);
    assert_true(skv_test_walk_allocations(all, adaround, 61) > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cholesky),
        cmocka_unit_test(gptq_by_hand),
        cmocka_unit_test(better_than_nearest),
        cmocka_unit_test(layers_of_models),
        cmocka_unit_test(weights_read_along_two_axes),
        cmocka_unit_test(what_cannot_be),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
