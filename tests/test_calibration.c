/* Calibration: the error of a grid, the choice of ranges, samples in every form, and the report of the result. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <skive/skive.h>

#include "base/base.h"
#include "quant/quant.h"
#include "support.h"

enum { N = 40000 };

/* ---- histograms ---- */

typedef float (*distribution)(uint64_t i);
static float normal(uint64_t i) { return (float)skv_rng_normal(3, 1, i); }
static float rectified(uint64_t i) { return fmaxf(0, normal(i)); }
static float heavy(uint64_t i) { return normal(i) / (0.05f + fabsf((float)skv_rng_normal(3, 2, i))); }
static float shifted(uint64_t i) { return 7 + 0.1f * normal(i); }
static float tiny(uint64_t i) { return 1e-20f * normal(i); }
static float marked(uint64_t i) { return i == 77 ? -9999 : normal(i); }

static const distribution distributions[] = {normal, rectified, heavy, shifted, tiny, marked};
enum { KINDS = sizeof distributions / sizeof distributions[0] };

static skv_grid_params over(double low, double high) {
    const skv_quantizer q = skv_quant_activations();
    skv_grid_params p;
    q.grid->solve_range(&q, low, high, &p);
    return p;
}

static double error_of(const float *x, size_t n, skv_grid_params grid) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double q = rint((double)x[i] / (double)grid.scale) + grid.zero_point;
        q = q < 0 ? 0 : q > 255 ? 255 : q;
        const double d = (double)grid.scale * (q - grid.zero_point) - (double)x[i];
        sum += d * d;
    }
    return sum / (double)n;
}

/* The counts tell the error of any grid as the values themselves do, and their mean square. */
static void error_by_counts(void **state) {
    const skv_quantizer q = skv_quant_activations();
    skive_context *ctx = skv_test_context();
    float *x = malloc(N * sizeof *x);
    (void)state;
    assert_non_null(x);
    for (size_t kind = 0; kind < KINDS; kind++) {
        skv_histogram h;
        double power = 0;
        for (uint64_t i = 0; i < N; i++) {
            x[i] = distributions[kind](i);
            power += (double)x[i] * (double)x[i] / N;
        }
        skv_test_ok(ctx, skv_histogram_create(ctx, SKV_BINS_RELATIVE, &h));
        assert_true(skv_histogram_add(&h, x, N, 0));
        assert_true(skv_test_close(skv_histogram_power(&h), power, 0.02, 0));
        for (int k = 0; k < 12; k++) {
            const double part = pow(0.5, k);
            const skv_grid_params grid = over(h.low * part, h.high * part);
            assert_true(skv_test_close(skv_histogram_error(&h, &q, &grid), error_of(x, N, grid), 0.05, 0));
        }
        skv_histogram_free(ctx, &h);
    }
    free(x);
    skv_test_context_end(ctx);
}

static void constants_are_exact(void **state) {
    const skv_quantizer q = skv_quant_activations();
    skive_context *ctx = skv_test_context();
    const skive_quantize_options o = skive_quantize_options_default();
    (void)state;
    for (int sign = -1; sign < 2; sign += 2) {
        float x[100];
        skv_histogram h;
        for (int i = 0; i < 100; i++) x[i] = 5.3f * (float)sign;
        skv_test_ok(ctx, skv_histogram_create(ctx, SKV_BINS_BOTH, &h));
        assert_true(skv_histogram_add(&h, x, 100, 0));
        for (size_t i = 0; i < skv_observer_count(); i++) {
            double low = 0, high = 0;
            skv_observer_at(i)->choose(&h, &q, &o, &low, &high);
            assert_true(error_of(x, 100, over(low, high)) < 1e-6);
        }
        skv_histogram_free(ctx, &h);
    }
    skv_test_context_end(ctx);
}

/* Whatever the parts and their order, the counts are those of the whole; so are the first runs of the extremes. */
static void parts_merge_exactly(void **state) {
    skive_context *ctx = skv_test_context();
    enum { PARTS = 5, EACH = 400 };
    (void)state;
    for (size_t kind = 0; kind < KINDS; kind++) {
        float x[PARTS * EACH];
        skv_histogram whole, sum, part;
        for (uint64_t i = 0; i < PARTS * EACH; i++)
            x[i] = distributions[kind](i) * powf(10, (float)(i / EACH % 3)) * (i / EACH == 2 ? 0.0f : 1.0f);
        skv_test_ok(ctx, skv_histogram_create(ctx, SKV_BINS_BOTH, &whole));
        skv_test_ok(ctx, skv_histogram_create(ctx, SKV_BINS_BOTH, &sum));
        skv_test_ok(ctx, skv_histogram_create(ctx, SKV_BINS_BOTH, &part));
        for (int i = 0; i < PARTS; i++) {
            const int k = (i * 3 + 2) % PARTS;
            whole.run = i;
            assert_true(skv_histogram_add(&whole, x + i * EACH, EACH, 0));
            skv_histogram_clear(&part);
            part.run = k;
            assert_true(skv_histogram_add(&part, x + k * EACH, EACH, 0));
            skv_histogram_merge(&sum, &part);
        }
        assert_memory_equal(whole.bins, sum.bins, SKV_HISTOGRAM_BINS * sizeof *sum.bins);
        assert_memory_equal(whole.relative, sum.relative, SKV_HISTOGRAM_BINS * sizeof *sum.relative);
        assert_true(whole.low == sum.low && whole.high == sum.high && whole.count == sum.count);
        assert_true(whole.low_run == sum.low_run && whole.high_run == sum.high_run);
        skv_histogram_free(ctx, &whole);
        skv_histogram_free(ctx, &sum);
        skv_histogram_free(ctx, &part);
    }
    skv_test_context_end(ctx);
}

/* ---- models ---- */

static skive_value *weight(skive_context *ctx, skive_graph *g, const char *name, int64_t n, int64_t m, uint64_t seed) {
    const int64_t dims[2] = {n, m};
    skive_value *v = NULL;
    skive_tensor t = skv_test_random(ctx, SKIVE_F32, 2, dims, seed, -0.5, 0.5);
    skv_test_ok(ctx, skive_graph_add_parameter(g, name, &t, &v));
    skive_tensor_free(ctx, &t);
    return v;
}

static skive_value *node(skive_context *ctx, skive_graph *g, const char *op, const char *name, skive_value *x,
                         skive_value *y) {
    skive_value *inputs[2] = {x, y};
    skive_node *n = NULL;
    skv_test_ok(ctx, skive_graph_add_node(g, op, name, inputs, y ? 2 : 1, 1, &n));
    return skive_node_output(n, 0);
}

static skive_value *input(skive_context *ctx, skive_graph *g, const char *name, skive_dtype dtype, int rank,
                          const int64_t *dims) {
    skive_type t = {.dtype = dtype, .rank = rank};
    skive_value *v = NULL;
    for (int d = 0; d < rank; d++) t.dims[d].size = dims[d];
    skv_test_ok(ctx, skive_graph_add_input(g, name, &t, &v));
    return v;
}

/* x [batch, 6] -> MatMul -> Relu -> MatMul -> y [batch, 3] */
static skive_graph *two_layers(skive_context *ctx, int64_t batch) {
    const int64_t dims[2] = {batch, 6};
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "two", &g));
    skive_value *x = input(ctx, g, "x", SKIVE_F32, 2, dims);
    skive_value *a = node(ctx, g, "MatMul", "first", x, weight(ctx, g, "w1", 6, 16, 1));
    skive_value *r = node(ctx, g, "Relu", "relu", a, NULL);
    skv_test_ok(ctx, skive_graph_add_output(g, node(ctx, g, "MatMul", "second", r, weight(ctx, g, "w2", 16, 3, 2))));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

static skive_tensor samples_of(skive_context *ctx, int64_t n, int64_t m) {
    const int64_t dims[2] = {n, m};
    return skv_test_random(ctx, SKIVE_F32, 2, dims, 9, -2, 2);
}

static void calibrate(skive_context *ctx, skive_graph *g, const skive_tensor *x, size_t n, const char *how,
                      skive_quantize_report *r) {
    skive_quantize_options o = skive_quantize_options_default();
    if (how) o.calibration = how;
    skv_test_ok(ctx, skive_quantize_arrays(ctx, g, x, n, &o, r));
}

static void outcome_is_told(void **state) {
    skive_context *ctx = skv_test_context();
    skive_tensor x = samples_of(ctx, 64, 6);
    (void)state;
    for (int k = 0; k < 2; k++) {
        skive_graph *g = two_layers(ctx, -1);
        skive_quantize_report r;
        calibrate(ctx, g, &x, 1, k ? "entropy" : NULL, &r);
        assert_int_equal(r.samples, 64);
        assert_true(r.held_out);
        assert_int_equal(r.check_samples, 8);
        assert_int_equal(r.n_outputs, 1);
        assert_true(r.outputs[0].sqnr > 25 && r.outputs[0].sqnr < 80);
        assert_true(r.outputs[0].agreement > 0.8 && r.outputs[0].agreement <= 1);
        assert_int_equal(r.n_tried, k ? 2 : 3);
        assert_string_equal(r.tried[0].calibration, k ? "entropy" : "auto");
        assert_string_equal(r.tried[1].calibration, "minmax");
        assert_non_null(r.worst[0].name);
        assert_true(r.worst[0].sqnr <= r.worst[1].sqnr && r.worst[1].sqnr <= r.worst[2].sqnr);
        assert_null(r.outlier.name);
        assert_int_equal(r.n_left, 0);
        skive_quantize_report_free(ctx, &r);
        skive_graph_free(g);
    }
    skive_tensor_free(ctx, &x);
    skv_test_context_end(ctx);
}

/* Too few samples to spare any: all calibrate, and the report says that the figure is on those. */
static void few_samples_all_count(void **state) {
    skive_context *ctx = skv_test_context();
    static const int64_t batches[] = {-1, 16, 16, 16}, counts[] = {1, 16, 12, 20}, samples[] = {1, 16, 16, 32};
    (void)state;
    for (int k = 0; k < 4; k++) {
        skive_tensor x = samples_of(ctx, counts[k], 6);
        skive_graph *g = two_layers(ctx, batches[k]);
        skive_quantize_report r;
        ((float *)x.data)[counts[k] * 6 - 1] = 4; /* in the last sample */
        calibrate(ctx, g, &x, 1, NULL, &r);
        assert_false(r.held_out);
        assert_int_equal(r.samples, samples[k]);
        assert_true(r.rows[0].hi == 4);
        assert_true(r.outputs[0].sqnr > 20);
        skive_quantize_report_free(ctx, &r);
        skive_graph_free(g);
        skive_tensor_free(ctx, &x);
    }
    skv_test_context_end(ctx);
}

/* A mark for what is missing must not widen the range of all else, and is named with its sample. */
static void a_mark_is_survived(void **state) {
    skive_context *ctx = skv_test_context();
    static const int64_t at[] = {17, 3, 0, 63}; /* the second is a sample that is held out */
    (void)state;
    for (int k = 0; k < 4; k++) {
        skive_tensor x = samples_of(ctx, 64, 6), y[2];
        skive_graph *g = two_layers(ctx, -1), *before = two_layers(ctx, -1);
        skive_quantize_report r;
        double signal = 0, noise = 0;
        const float was = ((float *)x.data)[at[k] * 6 + 2];
        ((float *)x.data)[at[k] * 6 + 2] = -9999;
        calibrate(ctx, g, &x, 1, NULL, &r);
        assert_non_null(r.outlier.name);
        assert_string_equal(r.outlier.name, "x");
        assert_int_equal(r.outlier.run, at[k]);
        assert_true(r.outlier.value == -9999 && r.outlier.low > -3);
        ((float *)x.data)[at[k] * 6 + 2] = was;
        skv_test_ok(ctx, skive_graph_run(ctx, before, &x, 1, &y[0], 1));
        skv_test_ok(ctx, skive_graph_run(ctx, g, &x, 1, &y[1], 1));
        for (int64_t i = 0; i < skive_tensor_count(&y[0]); i++) {
            const double want = skive_tensor_get(&y[0], i), d = skive_tensor_get(&y[1], i) - want;
            signal += want * want;
            noise += d * d;
        }
        assert_true(signal > 1000 * noise); /* 30 dB */
        for (int i = 0; i < 2; i++) skive_tensor_free(ctx, &y[i]);
        skive_quantize_report_free(ctx, &r);
        skive_graph_free(g);
        skive_graph_free(before);
        skive_tensor_free(ctx, &x);
    }
    skv_test_context_end(ctx);
}

/* Samples that are loud, one louder than the other, are no outliers: nothing of them is left out. */
static void loud_samples_count(void **state) {
    skive_context *ctx = skv_test_context();
    skive_tensor x = samples_of(ctx, 100, 6);
    skive_graph *g = two_layers(ctx, -1);
    skive_quantize_report r;
    (void)state;
    for (int64_t i = 0; i < 600; i++) ((float *)x.data)[i] *= powf(1.1f, (float)(i / 6));
    calibrate(ctx, g, &x, 1, NULL, &r);
    assert_null(r.outlier.name);
    assert_true(255 * r.rows[0].scale > 0.8 * (r.rows[0].hi - r.rows[0].lo));
    skive_quantize_report_free(ctx, &r);
    skive_graph_free(g);
    skive_tensor_free(ctx, &x);
    skv_test_context_end(ctx);
}

/* Of an input that means little to the output little is kept; what matters keeps its range. */
static void minmax_is_kept_where_it_is_better(void **state) {
    skive_context *ctx = skv_test_context();
    skive_tensor x = samples_of(ctx, 200, 6);
    skive_graph *g = two_layers(ctx, -1);
    skive_quantize_report r, plain;
    (void)state;
    /* Most values next to nothing, the few large ones make the answer: entropy would cut those. */
    for (int64_t i = 0; i < 1200; i++) ((float *)x.data)[i] *= i % 6 == 2 ? 20.0f : 0.05f;
    calibrate(ctx, g, &x, 1, NULL, &r);
    skive_graph_free(g);
    g = two_layers(ctx, -1);
    calibrate(ctx, g, &x, 1, "minmax", &plain);
    assert_true(r.outputs[0].sqnr > plain.outputs[0].sqnr - 1);
    skive_quantize_report_free(ctx, &r);
    skive_quantize_report_free(ctx, &plain);
    skive_graph_free(g);
    skive_tensor_free(ctx, &x);
    skv_test_context_end(ctx);
}

/* ids [N, 4] int64 and scale [] float: Gather, MatMul, times scale */
static void inputs_of_all_kinds(void **state) {
    skive_context *ctx = skv_test_context();
    const int64_t ids_dims[2] = {-1, 4}, many[2] = {40, 4}, one[1] = {1}, whole[3] = {40, 1, 4};
    (void)state;
    for (int form = 0; form < 4; form++) {
        skive_graph *g = NULL;
        skive_quantize_report r;
        skv_test_ok(ctx, skive_graph_create(ctx, "ids", &g));
        skive_value *ids = input(ctx, g, "ids", SKIVE_I64, 2, ids_dims);
        skive_value *scale = input(ctx, g, "scale", SKIVE_F32, 0, NULL);
        skive_value *rows = node(ctx, g, "Gather", "rows", weight(ctx, g, "table", 9, 16, 4), ids);
        skive_value *y = node(ctx, g, "MatMul", "fc", rows, weight(ctx, g, "w", 16, 3, 5));
        skv_test_ok(ctx, skive_graph_add_output(g, node(ctx, g, "Mul", "times", y, scale)));
        skv_test_ok(ctx, skive_graph_infer(g));
        /* int64 or int32, rows of a batch or whole inputs; the scale alike in all runs. */
        skive_tensor x[2] = {
            skv_test_random(ctx, form & 1 ? SKIVE_I32 : SKIVE_I64, form & 2 ? 3 : 2, form & 2 ? whole : many, 6, 0, 8),
            skv_test_random(ctx, SKIVE_F32, 1, one, 7, 1, 2)};
        calibrate(ctx, g, x, 2, NULL, &r);
        assert_int_equal(r.samples, 40);
        assert_int_equal(r.n_quantized, 1);
        assert_true(r.outputs[0].sqnr > 25);
        skive_quantize_report_free(ctx, &r);
        skive_graph_free(g);
        for (int i = 0; i < 2; i++) skive_tensor_free(ctx, &x[i]);
    }
    skv_test_context_end(ctx);
}

static void wrong_samples_are_refused(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = two_layers(ctx, -1);
    const skive_quantize_options o = skive_quantize_options_default();
    skive_tensor five = samples_of(ctx, 40, 5);
    const int64_t dims[4] = {4, 1, 1, 6};
    skive_tensor four = skv_test_random(ctx, SKIVE_F32, 4, dims, 3, -1, 1);
    (void)state;
    skv_test_fails(ctx, skive_quantize_arrays(ctx, g, &five, 1, &o, NULL), SKIVE_ERR_SHAPE, "[40,5]");
    skv_test_fails(ctx, skive_quantize_arrays(ctx, g, &four, 1, &o, NULL), SKIVE_ERR_SHAPE, "[4,1,1,6]");
    skv_test_fails(ctx, skive_quantize_arrays(ctx, g, &five, 0, &o, NULL), SKIVE_ERR_ARGUMENT, "1 input");
    skive_tensor_free(ctx, &four);
    skive_tensor_free(ctx, &five);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- what is named ---- */

static void damaged_weights_are_named(void **state) {
    skive_context *ctx = skv_test_context();
    const skive_quantize_options o = skive_quantize_options_default();
    skive_tensor x = samples_of(ctx, 16, 6);
    (void)state;
    for (int k = 0; k < 2; k++) {
        skive_graph *g = two_layers(ctx, -1);
        skive_value *w = skive_graph_find_value(g, "w2");
        ((float *)w->storage->tensor.data)[7] = k ? INFINITY : NAN;
        skv_test_fails(ctx, skive_quantize_arrays(ctx, g, &x, 1, &o, NULL), SKIVE_ERR_NUMERIC, "'w2'");
        skive_graph_free(g);
    }
    skive_tensor_free(ctx, &x);
    skv_test_context_end(ctx);
}

/* Also in a parameter that is not what a method works on, and in each method; infinity in what is added is fine. */
static void damage_elsewhere_is_named(void **state) {
    skive_context *ctx = skv_test_context();
    const skive_quantize_options quantize = skive_quantize_options_default();
    const skive_prune_options prune = skive_prune_options_default();
    const skive_share_options share = skive_share_options_default();
    skive_tensor x = samples_of(ctx, 16, 6);
    (void)state;
    for (int k = 0; k < 4; k++) {
        skive_graph *g = two_layers(ctx, -1);
        skive_value *bias = weight(ctx, g, "bias", 1, 3, 3), *y = skive_graph_output(g, 0);
        skv_test_ok(ctx, skv_graph_remove_output(g, 0));
        skv_test_ok(ctx, skive_graph_add_output(g, node(ctx, g, "Add", "add", y, bias)));
        skv_test_ok(ctx, skive_graph_infer(g));
        ((float *)bias->storage->tensor.data)[1] = k < 3 ? NAN : -INFINITY;
        const skive_status status = k == 0   ? skive_quantize_arrays(ctx, g, &x, 1, &quantize, NULL)
                                    : k == 1 ? skive_prune(ctx, g, NULL, NULL, &prune, NULL)
                                    : k == 2 ? skive_share(ctx, g, NULL, NULL, &share, NULL)
                                             : skive_share(ctx, g, NULL, NULL, &share, NULL);
        if (k < 3)
            skv_test_fails(ctx, status, SKIVE_ERR_NUMERIC, "'bias'");
        else
            skv_test_ok(ctx, status);
        skive_graph_free(g);
    }
    skive_tensor_free(ctx, &x);
    skv_test_context_end(ctx);
}

static void left_nodes_are_grouped(void **state) {
    skive_context *ctx = skv_test_context();
    const char *skip[] = {"s*d"};
    skive_quantize_options o = skive_quantize_options_default();
    skive_tensor x = samples_of(ctx, 16, 6);
    skive_graph *g = two_layers(ctx, -1);
    skive_quantize_report r;
    (void)state;
    o.skip = skip;
    o.n_skip = 1;
    skv_test_ok(ctx, skive_quantize_arrays(ctx, g, &x, 1, &o, &r));
    assert_int_equal(r.n_quantized, 1);
    assert_int_equal(r.n_left, 1);
    assert_string_equal(r.left[0].op, "MatMul");
    assert_string_equal(r.left[0].nodes[0], "second");
    assert_string_equal(r.left[0].weights[0], "w2");
    assert_int_equal(r.left[0].n_nodes, 1);
    assert_int_equal(r.left[0].n_weights, 48);
    skive_quantize_report_free(ctx, &r);
    skive_graph_free(g);
    g = two_layers(ctx, -1);
    skip[0] = "secand";
    skv_test_fails(ctx, skive_quantize_arrays(ctx, g, &x, 1, &o, &r), SKIVE_ERR_NOT_FOUND, "'second'");
    skive_graph_free(g);
    skive_tensor_free(ctx, &x);
    skv_test_context_end(ctx);
}

/* Options of a program built before the last ones were added. */
static void short_options_are_honoured(void **state) {
    skive_context *ctx = skv_test_context();
    skive_quantize_options o = skive_quantize_options_default();
    skive_tensor x = samples_of(ctx, 16, 6);
    skive_graph *g = two_layers(ctx, -1);
    skive_quantize_report r;
    (void)state;
    o.size = offsetof(skive_quantize_options, skip);
    o.calibration = "minmax";
    o.skip = (const char *const *)(uintptr_t)1;
    o.n_skip = 7;
    o.n_shapes = 9;
    skv_test_ok(ctx, skive_quantize_arrays(ctx, g, &x, 1, &o, &r));
    assert_string_equal(r.calibration, "minmax");
    skive_quantize_report_free(ctx, &r);
    skive_graph_free(g);
    skive_tensor_free(ctx, &x);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_by_counts),           cmocka_unit_test(constants_are_exact),
        cmocka_unit_test(parts_merge_exactly),       cmocka_unit_test(outcome_is_told),
        cmocka_unit_test(few_samples_all_count),     cmocka_unit_test(a_mark_is_survived),
        cmocka_unit_test(loud_samples_count),        cmocka_unit_test(minmax_is_kept_where_it_is_better),
        cmocka_unit_test(inputs_of_all_kinds),       cmocka_unit_test(wrong_samples_are_refused),
        cmocka_unit_test(damaged_weights_are_named), cmocka_unit_test(damage_elsewhere_is_named),
        cmocka_unit_test(left_nodes_are_grouped),    cmocka_unit_test(short_options_are_honoured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
