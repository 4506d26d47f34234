/* Quantization-aware training: the gradients of learned scales, the kernel, networks that are better for it, statistics
 * that fit the rounded weights, the start that is kept where training ruins it, the bits of the last validation in the
 * exported model, zeros and shared values that stay, teachers, runs that are resumed, refusals. */
#include <unistd.h>

#include <skive/autodiff.h>
#include <skive/exec.h>
#include <skive/onnx.h>
#include <skive/prune.h>
#include <skive/qat.h>
#include <skive/share.h>

#include "passes/quantized.h"
#include "quant/qat.h"
#include "tensor/tensor.h"
#include "train_fixtures.h"

/* ---- gradients ---- */

typedef struct case_of {
    const char *grid, *step, *transform;
    double factor;
    int zero; /* -1: none */
    int rank, axis;
    int64_t dims[3];
    int64_t n_scales;
    const float *scale, *x, *c; /* c: of the sum whose gradient is taken */
} case_of;

/* y, and the gradients of sum(c * y) with respect to x and scale. */
static void gradients(const case_of *k, bool reference, float *y, float *dx, float *ds) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *in = NULL, *s = NULL, *c = NULL, *wrt[2], *d[2] = {NULL};
    skive_type type = {.dtype = SKIVE_F32, .rank = k->rank};
    int64_t count = 1;
    for (int i = 0; i < k->rank; i++) {
        type.dims[i].size = k->dims[i];
        count *= k->dims[i];
    }
    skive_tensor t = {.dtype = SKIVE_F32, .rank = k->rank, .data = (void *)k->c};
    memcpy(t.dims, k->dims, sizeof k->dims);
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &in));
    skv_test_ok(ctx, skive_graph_add_parameter(g, "c", &t, &c));
    const skive_tensor scales = {
        .dtype = SKIVE_F32, .rank = k->n_scales > 1, .dims = {k->n_scales}, .data = (void *)k->scale};
    skv_test_ok(ctx, skive_graph_add_parameter(g, "s", &scales, &s));
    s->trainable = true;
    skv_builder b = skv_build(g);
    skive_value *zero = k->zero < 0 ? NULL : skv_emit_scalar(&b, SKIVE_U8, k->zero);
    skv_attr_init attrs[5] = {SKV_STR("grid", k->grid), SKV_STR("step", k->step), SKV_FLT("factor", k->factor),
                              SKV_INT("axis", k->axis)};
    size_t n = 4;
    if (k->transform) attrs[n++] = SKV_STR("transform", k->transform);
    skive_value *out = skv_emit(&b, "FakeQuantize", (skv_in_list){(skive_value *const[]){in, s, zero}, zero ? 3 : 2},
                                (skv_attr_list){attrs, n});
    skive_value *sum = skv_emit(&b, "ReduceSum", SKV_IN(skv_emit(&b, "Mul", SKV_IN(out, c), SKV_NONE)),
                                SKV_ATTRS(SKV_INT("keepdims", 0)));
    skv_test_ok(ctx, b.status);
    wrt[0] = in;
    wrt[1] = s;
    skv_test_ok(ctx, skive_autodiff(g, sum, wrt, 2, d));
    skv_test_ok(ctx, skive_graph_add_output(g, out));
    skv_test_ok(ctx, skive_graph_add_output(g, d[0]));
    skv_test_ok(ctx, skive_graph_add_output(g, d[1]));
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor view;
    o.training = true;
    o.reference = reference;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &view));
    memcpy(view.data, k->x, (size_t)count * sizeof *k->x);
    skv_test_ok(ctx, skive_exec_run(exec));
    float *const to[] = {y, dx, ds};
    for (size_t i = 0; i < 3; i++) {
        skv_test_ok(ctx, skive_exec_output(exec, i, &view));
        memcpy(to[i], view.data, skive_tensor_bytes(&view));
    }
    skive_exec_free(exec);
    skive_plan_free(plan);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* int4 in steps of 0.5, from -4 to 3.5. x / s is -9, -8, 0.6, 1.4, 7, 30: the slopes of the step are the ends -8, -8,
 * 7 and 7 outside, and 1 - 0.6 and 1 - 1.4 inside. */
static void the_gradient_of_the_step_by_hand(void **state) {
    const float x[6] = {-4.5f, -4, 0.3f, 0.7f, 3.5f, 15}, c[6] = {1, 2, 3, 4, 5, 6}, s = 0.5f;
    const float rounded[6] = {-4, -4, 0.5f, 0.5f, 3.5f, 3.5f}, passes[6] = {0, 0, 3, 4, 0, 0};
    float y[6], dx[6], ds;
    (void)state;
    for (int reference = 0; reference < 2; reference++) {
        case_of k = {.grid = "int4",
                     .step = "lsq",
                     .factor = 0.25,
                     .zero = -1,
                     .rank = 1,
                     .dims = {6},
                     .n_scales = 1,
                     .scale = &s,
                     .x = x,
                     .c = c};
        gradients(&k, reference, y, dx, &ds);
        skv_test_floats(y, rounded, 6, 0, 0);
        skv_test_floats(dx, passes, 6, 0, 0);
        const double want = -8 * 1 - 8 * 2 + 0.4 * 3 - 0.4 * 4 + 7 * 5 + 7 * 6;
        assert_true(fabs((double)ds - 0.25 * want) < 1e-5);
        k.step = "pact";
        gradients(&k, reference, y, dx, &ds);
        assert_true(fabs((double)ds - 0.25 * (-8 * 1 - 8 * 2 + 7 * 5 + 7 * 6)) < 1e-5);
        skv_test_floats(dx, passes, 6, 0, 0);
    }
    /* uint2 with the zero point 1, from -1 to 2 steps */
    const float v[6] = {-1, -0.3f, 0, 0.6f, 1, 5};
    const case_of k = {.grid = "uint2",
                       .step = "lsq",
                       .factor = 1,
                       .zero = 1,
                       .rank = 1,
                       .dims = {6},
                       .n_scales = 1,
                       .scale = &s,
                       .x = v,
                       .c = c};
    const float to[6] = {-0.5f, -0.5f, 0, 0.5f, 1, 1};
    for (int reference = 0; reference < 2; reference++) {
        gradients(&k, reference, y, dx, &ds);
        skv_test_floats(y, to, 6, 0, 0);
        assert_true(fabs((double)ds - (-1 * 1 + (-1 + 0.6) * 2 + 0 + (1 - 1.2) * 4 + 2 * 5 + 2 * 6)) < 1e-5);
    }
}

/* Where everything is clipped, the rounded number is an end times the step: the function is smooth in the step. */
static void the_gradient_of_the_step_by_differences(void **state) {
    const float x[4] = {9, -7, 12, -30}, c[4] = {0.5f, -1, 2, 0.25f};
    const char *const steps[] = {"lsq", "pact"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        float y[4], dx[4], ds, low, high;
        double sum[2] = {0};
        const float s = 0.5f, a = 0.49f, b = 0.51f;
        case_of k = {.grid = "int4",
                     .step = steps[i],
                     .factor = 1,
                     .zero = -1,
                     .rank = 1,
                     .dims = {4},
                     .n_scales = 1,
                     .scale = &s,
                     .x = x,
                     .c = c};
        gradients(&k, false, y, dx, &ds);
        k.scale = &a;
        gradients(&k, false, y, dx, &low);
        for (int e = 0; e < 4; e++) sum[0] += (double)(c[e] * y[e]);
        k.scale = &b;
        gradients(&k, false, y, dx, &high);
        for (int e = 0; e < 4; e++) sum[1] += (double)(c[e] * y[e]);
        assert_true(fabs((sum[1] - sum[0]) / (double)(b - a) - (double)ds) < 1e-3 * fabs((double)ds));
    }
}

/* The kernel and the reference: the same rounded numbers and gradients; sums of the step's gradient to rounding. */
static void the_kernel_is_the_reference(void **state) {
    enum { N = 3 * 17 * 23 };
    static float x[N], c[N], y[2][N], dx[2][N], ds[2][32], scale[32];
    static const char *const grids[] = {"int2", "int4:channel,narrow", "uint4", "int8"};
    static const char *const steps[] = {"fixed", "lsq", "pact"};
    (void)state;
    for (int i = 0; i < N; i++) {
        x[i] = (float)skv_rng_normal(5, 1, (uint64_t)i);
        c[i] = (float)skv_rng_normal(5, 2, (uint64_t)i);
    }
    for (int i = 0; i < 32; i++) scale[i] = 0.1f + 0.01f * (float)i;
    for (size_t k = 0; k < 4 * 3 * 4; k++) {
        const int axis = (int)(k / 12) - 1; /* -1: one scale */
        case_of t = {.grid = grids[k % 4],
                     .step = steps[k / 4 % 3],
                     .factor = 1,
                     .zero = k % 4 == 2 && axis < 0 ? 5 : -1,
                     .rank = 3,
                     .axis = axis < 0 ? 0 : axis,
                     .dims = {3, 17, 23},
                     .scale = scale,
                     .x = x,
                     .c = c};
        t.n_scales = axis < 0 ? 1 : t.dims[axis];
        if (strcmp(t.step, "fixed") == 0) continue; /* the scale has no gradient: see test_train_quantized.c */
        for (int r = 0; r < 2; r++) gradients(&t, r, y[r], dx[r], ds[r]);
        assert_memory_equal(y[0], y[1], sizeof y[0]);
        assert_memory_equal(dx[0], dx[1], sizeof dx[0]);
        skv_test_floats(ds[0], ds[1], (size_t)t.n_scales, 1e-4, 1e-3);
    }
}

/* s * tanh(x) / max|tanh(x)| with s = 3 * 0.2, rounded to steps of 0.2, and its slope. */
static void through_tanh_by_hand(void **state) {
    const float x[3] = {1, -0.2f, 0.4f}, c[3] = {1, 1, 1}, s = 0.2f;
    float y[3], dx[3], ds[1] = {0};
    const double most = tanh(1.0);
    const case_of k = {.grid = "int3:tensor,narrow",
                       .step = "lsq",
                       .transform = "tanh",
                       .factor = 1,
                       .zero = -1,
                       .rank = 1,
                       .dims = {3},
                       .n_scales = 1,
                       .scale = &s,
                       .x = x,
                       .c = c};
    (void)state;
    gradients(&k, false, y, dx, ds);
    const float want[3] = {0.6f, -0.2f, 0.2f};
    skv_test_floats(y, want, 3, 1e-6, 0);
    for (int i = 1; i < 3; i++) {
        const double t = tanh((double)x[i]);
        assert_true(fabs((double)dx[i] - 0.6 / most * (1 - t * t)) < 1e-5);
    }
}

/* ---- networks ---- */

typedef struct trained {
    skive_graph *model;
    skive_qat_report report;
    double loss;
} trained;

static skive_train_options short_run(void) {
    skive_train_options o = settings(3, 24);
    o.learning_rate = 0.02;
    return o;
}

/* A float network that is trained. */
static skive_graph *float_model(skive_context *ctx) {
    skive_graph *g = small_cnn(ctx, false);
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_train_options o = settings(4, 24);
    o.learning_rate = 0.03;
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL));
    skive_dataset_free(set);
    return g;
}

static skive_status train(skive_context *ctx, skive_graph *g, skive_qat_options *o, const skive_train_options *how,
                          skive_qat_report *report) {
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN), *test = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    o->train = how;
    const skive_status status = skive_quantize_aware(ctx, g, set, test, test, o, report);
    skive_dataset_free(set);
    skive_dataset_free(test);
    return status;
}

static size_t count_nodes(const skive_graph *g, const char *op) {
    size_t n = 0;
    for (size_t i = 0; i < skive_graph_node_count(g); i++) n += strcmp(skive_node_op(skive_graph_node(g, i)), op) == 0;
    return n;
}

/* Of INQ 0 and powers of two, of TTQ three values. */
static void check_codebook(const skive_value *weight, bool three) {
    assert_non_null(weight);
    assert_non_null(weight->producer);
    const skive_tensor *t = skive_value_data(weight->producer->inputs[0]);
    const int64_t n = skive_tensor_count(t);
    assert_true(three ? n <= 3 : n <= 17);
    for (int64_t i = 0; i < n; i++) {
        int exponent;
        const double x = fabs(skive_tensor_get(t, i));
        assert_true(three || x == 0 || frexp(x, &exponent) == 0.5);
    }
}

/* Every rule on a grid of few bits: the model that comes out has no rounding nodes and no BatchNormalization, its test
 * accuracy is that of the last validation, and it is better than without training. */
static void every_rule_gives_integers(void **state) {
    static const char *const rules[][4] = {
        {"lsq", "lsq", "int2", "uint2"},
        {"fit", "ema:momentum=0.9,delay=3", "int2", "uint3"},
        {"lsq", "pact:decay=0.01", "int3", "uint2"},
        {"fit", "fixed", "ternary", "uint4"},
        {"fit", "lsq", "binary", "binary"},
        {"dorefa", "dorefa", "int3", "uint4"},
        {"lsq", "lsq", "int4", "float"},
        {"ttq", "lsq", "ternary", "uint4"},
        {"inq", "lsq", "log2", "float"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = float_model(ctx);
        skive_qat_options o = skive_qat_options_default();
        const skive_train_options how = short_run();
        skive_qat_report r;
        o.weight_rule = rules[i][0];
        o.activation_rule = rules[i][1];
        o.weights = rules[i][2];
        o.activations = rules[i][3];
        o.first_last = "same"; /* the network has two products */
        skv_test_ok(ctx, train(ctx, g, &o, &how, &r));
        assert_int_equal(count_nodes(g, "FakeQuantize"), 0);
        const bool codebook = strcmp(rules[i][0], "ttq") == 0 || strcmp(rules[i][0], "inq") == 0;
        assert_int_equal(count_nodes(g, "BatchNormalization"), codebook);
        if (codebook)
            check_codebook(skive_graph_find_value(g, "fc.weight"), strcmp(rules[i][0], "inq"));
        else
            assert_true(count_nodes(g, "DequantizeLinear") >= 2);
        assert_true(r.tested);
        const int kept = r.training.best_epoch;
        const double best =
            kept ? r.training.epochs[kept - 1].validation_accuracy : r.training.start.validation_accuracy;
        assert_true(fabs(100 * best - r.after) < 1e-9); /* validation and test set are the same here */
        if (!(r.after >= r.before || r.after > 98))
            fail_msg("%s %s: %g %% before, %g %% after", rules[i][0], rules[i][2], r.before, r.after);
        assert_true(r.packed_bytes < r.bytes_before);
        skive_qat_report_free(ctx, &r);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

static void outputs_of(skive_context *ctx, const skive_graph *g, bool reference, skive_tensor *out) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor view;
    o.batch = 20;
    o.reference = reference;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &view));
    for (int64_t i = 0; i < skive_tensor_count(&view); i++)
        ((float *)view.data)[i] = (float)skv_rng_normal(4, 1, (uint64_t)i);
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
    skv_test_ok(ctx, skive_tensor_copy(ctx, &view, out));
    skive_exec_free(exec);
    skive_plan_free(plan);
}

/* The graph that is validated in training and the one that is written compute the same bits, on all kernels. */
static void the_export_has_the_bits_of_the_validation(void **state) {
    static const char *const norms[] = {"trained", "frozen", "folded"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = float_model(ctx), *aware = NULL;
        skive_qat_options o = skive_qat_options_default();
        const skive_quantize_options how = skive_quantize_options_default();
        skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
        skv_qat_plan p;
        skive_tensor a, b, c;
        size_t changes = 0;
        o.weights = "int2";
        o.activations = "uint4";
        o.first_last = "same";
        o.batchnorm = norms[i];
        skv_test_ok(ctx, skv_qat_plan_make(ctx, g, &o, &how, &p));
        skv_test_ok(ctx, skv_qat_calibrate(&p, set));
        skv_test_ok(ctx, skv_qat_insert(&p, true, &aware));
        outputs_of(ctx, aware, false, &a);
        skv_test_ok(ctx, skv_quantized_from_training(aware, &changes));
        outputs_of(ctx, aware, false, &b);
        outputs_of(ctx, aware, true, &c);
        assert_memory_equal(a.data, b.data, skive_tensor_bytes(&a));
        assert_memory_equal(a.data, c.data, skive_tensor_bytes(&a));
        skive_tensor_free(ctx, &a);
        skive_tensor_free(ctx, &b);
        skive_tensor_free(ctx, &c);
        skv_qat_plan_free(&p);
        skive_graph_free(aware);
        skive_graph_free(g);
        skive_dataset_free(set);
        skv_test_context_end(ctx);
    }
}

enum { SEEN = 220 }; /* the other training samples are for validation */

/* The mean and the variance of each channel of a value over all training samples. */
static void channels_of(skive_context *ctx, skive_graph *g, skive_value *v, double mean[4], double variance[4]) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor view;
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    o.batch = SEEN;
    o.no_fusion = true;
    skv_test_ok(ctx, skive_graph_add_output(g, v));
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &view));
    for (size_t i = 0; i < SEEN; i++)
        skv_test_ok(ctx, skive_dataset_read(ctx, set, i, (float *)view.data + i * PIXELS, NULL));
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 1, &view));
    const float *x = view.data;
    for (int c = 0; c < 4; c++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < SEEN; i++) {
            for (int k = 0; k < PIXELS; k++) sum += (double)x[(i * 4 + c) * PIXELS + k];
        }
        mean[c] = sum / (SEEN * PIXELS);
        for (int i = 0; i < SEEN; i++) {
            for (int k = 0; k < PIXELS; k++) {
                const double d = (double)x[(i * 4 + c) * PIXELS + k] - mean[c];
                squares += d * d;
            }
        }
        variance[c] = squares / (SEEN * PIXELS);
    }
    skive_exec_free(exec);
    skive_plan_free(plan);
    skive_dataset_free(set);
}

/* BatchNormalization ships with the statistics of the rounded weights that ship: computed here from the exported
 * weights over all training samples, which an epoch's batches share out evenly. */
static void statistics_are_those_of_the_rounded_weights(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = float_model(ctx);
    skive_qat_options o = skive_qat_options_default();
    skive_train_options how = short_run();
    double mean[4], variance[4];
    (void)state;
    how.batch = SEEN / 10;
    o.weight_rule = "ttq"; /* the one that ships with its BatchNormalization, in float32 */
    o.weights = "ternary";
    o.activations = "float";
    o.first_last = "same";
    skv_test_ok(ctx, train(ctx, g, &o, &how, NULL));
    skive_node *norm = NULL;
    for (size_t i = 0; i < skive_graph_node_count(g); i++) {
        if (strcmp(skive_node_op(skive_graph_node(g, i)), "BatchNormalization") == 0) norm = skive_graph_node(g, i);
    }
    assert_non_null(norm);
    const skive_tensor *m = skive_value_data(norm->inputs[3]), *v = skive_value_data(norm->inputs[4]);
    channels_of(ctx, g, norm->inputs[0], mean, variance);
    for (int c = 0; c < 4; c++) {
        const double deviation = sqrt(variance[c]);
        if (!(fabs(skive_tensor_get(m, c) - mean[c]) <= 1e-4 * deviation))
            fail_msg("channel %d: mean %g, not %g", c, skive_tensor_get(m, c), mean[c]);
        /* the mean of the batches' variances lacks the variance of their means */
        if (!(fabs(skive_tensor_get(v, c) - variance[c]) <= 0.01 * variance[c]))
            fail_msg("channel %d: variance %g, not %g", c, skive_tensor_get(v, c), variance[c]);
    }
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* A learning rate that ruins the network: what comes out is what it began with, which is no worse. */
static void a_ruinous_training_is_not_kept(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = float_model(ctx);
    skive_qat_options o = skive_qat_options_default();
    skive_train_options how = short_run();
    skive_qat_report r;
    (void)state;
    how.learning_rate = 30;
    how.schedule = "constant";
    o.weights = "int4";
    o.activations = "uint4";
    o.first_last = "same";
    skv_test_ok(ctx, train(ctx, g, &o, &how, &r));
    for (size_t i = 0; i < r.training.n_epochs; i++)
        assert_true(r.training.epochs[i].validation_accuracy < r.training.start.validation_accuracy);
    assert_int_equal(r.training.best_epoch, 0);
    assert_true(fabs(100 * r.training.start.validation_accuracy - r.after) < 1e-9);
    assert_true(r.after > 90);
    skive_qat_report_free(ctx, &r);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* What each step of the training computes, with running statistics in the place of the batch's, against the integers:
 * float32 sums and biases that are not rounded to steps of the sums are all that differs. A sum that lies between two
 * levels may fall to the other side; one step of an activation of 4 bits times a weight moves the output by less than
 * 2 % of the largest, where a grid or statistics that are not those of the training would move all. */
static void the_simulation_is_what_ships(void **state) {
    enum { N = TESTING };
    static const char *const norms[] = {"trained", "frozen", "folded"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = float_model(ctx), *aware = NULL;
        skive_qat_options o = skive_qat_options_default();
        const skive_quantize_options how = skive_quantize_options_default();
        skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN), *test = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
        skv_qat_plan p;
        float out[2][N * CLASSES];
        size_t classes = 0;
        o.weights = "int4";
        o.activations = "uint4";
        o.first_last = "same";
        o.batchnorm = norms[i];
        skv_test_ok(ctx, skv_qat_plan_make(ctx, g, &o, &how, &p));
        skv_test_ok(ctx, skv_qat_calibrate(&p, set));
        skv_test_ok(ctx, skv_qat_insert(&p, true, &aware));
        for (int simulated = 0; simulated < 2; simulated++) {
            skive_plan_options po = skive_plan_options_default();
            skive_plan *plan = NULL;
            skive_exec *exec = NULL;
            skive_tensor view;
            po.batch = N;
            po.training = simulated;
            skv_test_ok(ctx, skive_plan_create(ctx, aware, &po, &plan));
            skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
            skv_test_ok(ctx, skive_exec_input(exec, 0, &view));
            for (size_t k = 0; k < N; k++)
                skv_test_ok(ctx, skive_dataset_read(ctx, test, k, (float *)view.data + k * PIXELS, NULL));
            skv_test_ok(ctx, skive_exec_run(exec));
            skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
            memcpy(out[simulated], view.data, sizeof out[0]);
            skive_exec_free(exec);
            skive_plan_free(plan);
        }
        double most = 0, worst = 0;
        for (int k = 0; k < N; k++) {
            int best[2] = {0};
            for (int c = 0; c < CLASSES; c++) {
                const float *row[2] = {&out[0][k * CLASSES], &out[1][k * CLASSES]};
                most = fmax(most, fabs((double)row[1][c]));
                worst = fmax(worst, fabs((double)row[0][c] - (double)row[1][c]));
                for (int m = 0; m < 2; m++) best[m] = row[m][c] > row[m][best[m]] ? c : best[m];
            }
            classes += best[0] != best[1];
        }
        if (worst > 0.02 * most || classes > 1)
            fail_msg("%s: outputs up to %g come apart by %g, %zu classes", norms[i], most, worst, classes);
        skv_qat_plan_free(&p);
        skive_graph_free(aware);
        skive_graph_free(g);
        skive_dataset_free(set);
        skive_dataset_free(test);
        skv_test_context_end(ctx);
    }
}

static uint64_t bits_of(const skive_graph *g) {
    uint64_t hash = 7;
    for (size_t i = 0; i < skive_graph_value_count(g); i++) {
        const skive_tensor *t = skive_value_data(skive_graph_value(g, i));
        if (t) hash = skv_hash64(t->data, skive_tensor_bytes(t), hash);
    }
    return hash;
}

/* A run of one epoch that is continued gives the bits of a straight one; the checkpoint of another grid is refused. */
static void a_resumed_run_gives_the_same_bits(void **state) {
    static const char *const activations[] = {"lsq", "ema:delay=4"};
    char path[SKV_TEST_PATH];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint64_t bits[2];
        for (int resumed = 0; resumed < 2; resumed++) {
            skive_context *ctx = skv_test_context();
            skive_graph *g = float_model(ctx), *again = float_model(ctx);
            skive_qat_options o = skive_qat_options_default();
            skive_train_options how = short_run();
            o.weights = "int4";
            o.activations = "uint4";
            o.activation_rule = activations[i];
            how.schedule = "constant";
            if (resumed) {
                how.checkpoint = file(path, "qat.ckpt");
                how.epochs = 1;
                skv_test_ok(ctx, train(ctx, again, &o, &how, NULL));
                how.epochs = 3;
                o.weights = "int3";
                skive_graph *other = float_model(ctx);
                skv_test_fails(ctx, train(ctx, other, &o, &how, NULL), SKIVE_ERR_ARGUMENT, "int4");
                skive_graph_free(other);
                o.weights = "int4";
            }
            skv_test_ok(ctx, train(ctx, g, &o, &how, NULL));
            bits[resumed] = bits_of(g);
            if (resumed) assert_int_equal(unlink(path), 0);
            skive_graph_free(again);
            skive_graph_free(g);
            skv_test_context_end(ctx);
        }
        assert_true(bits[0] == bits[1]);
    }
}

/* Of a pruned model zeros stay; of one with shared weights, no more values than the codebook has. */
static void zeros_and_codebooks_stay(void **state) {
    skive_context *ctx = skv_test_context();
    const skive_train_options how = short_run();
    skive_qat_options o = skive_qat_options_default();
    (void)state;
    skive_graph *g = float_model(ctx);
    skive_prune_options prune = skive_prune_options_default();
    prune.sparsity = 0.5;
    skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &prune, NULL));
    const skive_tensor *w = skive_value_data(skive_graph_find_value(g, "fc.weight"));
    skive_tensor before;
    skv_test_ok(ctx, skive_tensor_copy(ctx, w, &before));
    o.weights = "int4";
    skv_test_ok(ctx, train(ctx, g, &o, &how, NULL));
    const skive_tensor *q = skive_value_data(skive_graph_find_value(g, "fc.weight_quantized"));
    assert_non_null(q);
    size_t zeros = 0;
    for (int64_t i = 0; i < skive_tensor_count(&before); i++) {
        if (skive_tensor_get(&before, i) != 0) continue;
        assert_true(skive_tensor_get(q, i) == 0);
        zeros++;
    }
    assert_true(zeros > 50);
    skive_tensor_free(ctx, &before);
    o.weights = "binary";
    o.weight_rule = "fit";
    o.first_last = "same";
    skive_graph *pruned = float_model(ctx);
    skv_test_ok(ctx, skive_prune(ctx, pruned, NULL, NULL, &prune, NULL));
    skv_test_fails(ctx, train(ctx, pruned, &o, &how, NULL), SKIVE_ERR_ARGUMENT, "no zero");
    skive_graph_free(pruned);
    skive_graph_free(g);

    static const char *const only[] = {"fc.weight"};
    skive_share_options share = skive_share_options_default();
    g = float_model(ctx);
    share.only = only;
    share.n_only = 1;
    share.bits = 2;
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &share, NULL));
    o = skive_qat_options_default();
    skive_quantize_options one_scale = skive_quantize_options_default();
    one_scale.per_channel = false;
    o.quantize = &one_scale;
    skv_test_ok(ctx, train(ctx, g, &o, &how, NULL));
    q = skive_value_data(skive_graph_find_value(g, "fc.weight_quantized"));
    assert_non_null(q);
    bool seen[256] = {false};
    size_t values = 0;
    for (int64_t i = 0; i < skive_tensor_count(q); i++) {
        bool *at = &seen[(int)skive_tensor_get(q, i) + 128];
        values += !*at;
        *at = true;
    }
    assert_true(values >= 2 && values <= 4);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Terms on values inside, soft labels, rounding and a pruned student, in one run: zeros stay, layers of terms do not,
 * and the exported integers have the figures of the last validation, on all kernels. */
static void teachers_rounding_and_zeros_in_one_run(void **state) {
    skive_context *ctx = skv_test_context();
    skive_train_options how = short_run();
    skive_qat_options o = skive_qat_options_default();
    skive_distill_options lesson = skive_distill_options_default();
    skive_prune_options prune = skive_prune_options_default();
    skive_qat_report report, plain;
    (void)state;
    skive_graph *teacher = float_model(ctx), *g = float_model(ctx), *labels = NULL;
    skive_dataset *test = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_eval_report r;
    skive_tensor before, fast, slow;
    prune.sparsity = 0.5;
    how.keep_best = false; /* the last validation is of what is written */
    skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &prune, NULL));
    skv_test_ok(ctx, skive_tensor_copy(ctx, skive_value_data(skive_graph_find_value(g, "fc.weight")), &before));
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &labels));
    o.weights = "int2";
    o.activations = "uint4";
    o.first_last = "same";
    o.teacher = teacher;
    skv_test_ok(ctx, train(ctx, labels, &o, &how, &plain)); /* the labels alone */
    lesson.terms = "hint:student=feature,teacher=feature,weight=0.1;attention:student=feature,teacher=feature,weight=1";
    o.distill = &lesson;
    skv_test_ok(ctx, train(ctx, g, &o, &how, &report));
    assert_true(fingerprint(g) != fingerprint(labels));
    const skive_tensor *q = skive_value_data(skive_graph_find_value(g, "fc.weight_quantized"));
    assert_non_null(q);
    for (int64_t i = 0; i < skive_tensor_count(&before); i++)
        if (skive_tensor_get(&before, i) == 0) assert_true(skive_tensor_get(q, i) == 0);
    assert_int_equal(skive_graph_value_count(g), skive_graph_value_count(labels));
    skv_test_ok(ctx, skive_evaluate(ctx, g, test, 0, &r));
    const skive_epoch_report *last = &report.training.epochs[report.training.n_epochs - 1];
    assert_true(r.accuracy == last->validation_accuracy);
    assert_true(r.loss == last->validation_loss);
    outputs_of(ctx, g, false, &fast);
    outputs_of(ctx, g, true, &slow);
    assert_memory_equal(fast.data, slow.data, skive_tensor_bytes(&fast));
    skive_tensor_free(ctx, &fast);
    skive_tensor_free(ctx, &slow);
    /* What does not go together is refused. */
    o.distill_alpha = 0.5;
    skv_test_fails(ctx, train(ctx, teacher, &o, &how, NULL), SKIVE_ERR_ARGUMENT, "set one of them");
    o.distill_alpha = 0;
    lesson.terms = "hint:student=featur,teacher=feature";
    skv_test_fails(ctx, train(ctx, teacher, &o, &how, NULL), SKIVE_ERR_NOT_FOUND, "did you mean 'feature'");
    skive_eval_report_free(ctx, &r);
    skive_tensor_free(ctx, &before);
    skive_qat_report_free(ctx, &report);
    skive_qat_report_free(ctx, &plain);
    skive_graph_free(g);
    skive_graph_free(labels);
    skive_graph_free(teacher);
    skive_dataset_free(test);
    skv_test_context_end(ctx);
}

static void what_cannot_be_is_refused(void **state) {
    static const struct {
        const char *weights, *activations, *weight_rule, *activation_rule, *first_last, *says;
        skive_status status;
    } wrong[] = {
        {"int4:32", NULL, "lsq", "lsq", "8", "leave the group out", SKIVE_ERR_ARGUMENT},
        {"uint4", NULL, "lsq", "lsq", "8", "signed grid", SKIVE_ERR_ARGUMENT},
        {"int16", NULL, "lsq", "lsq", "8", "at most 8 bits", SKIVE_ERR_ARGUMENT},
        {"nf4", NULL, "lsq", "lsq", "8", "not integers", SKIVE_ERR_ARGUMENT},
        {"int5000", NULL, "lsq", "lsq", "8", "int5000", SKIVE_ERR_ARGUMENT},
        {NULL, "int4", "lsq", "lsq", "8", "has a zero point", SKIVE_ERR_ARGUMENT},
        {NULL, "log2", "lsq", "lsq", "8", "evenly spaced", SKIVE_ERR_ARGUMENT},
        {NULL, NULL, "pact", "lsq", "8", "for activations only", SKIVE_ERR_ARGUMENT},
        {NULL, NULL, "lsq", "fit", "8", "for weights only", SKIVE_ERR_ARGUMENT},
        {NULL, "binary", "lsq", "pact", "8", "no clip", SKIVE_ERR_ARGUMENT},
        {"ternary", NULL, "dorefa", "lsq", "8", "evenly spaced", SKIVE_ERR_ARGUMENT},
        {NULL, NULL, "lqs", "lsq", "8", "lsq", SKIVE_ERR_ARGUMENT},
        {NULL, NULL, "lsq", "lsq", "4", "first-last", SKIVE_ERR_ARGUMENT},
    };
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false);
    skive_train_options how = short_run();
    skive_qat_options o;
    const uint64_t before = bits_of(g);
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        o = skive_qat_options_default();
        o.weights = wrong[i].weights;
        o.activations = wrong[i].activations;
        o.weight_rule = wrong[i].weight_rule;
        o.activation_rule = wrong[i].activation_rule;
        o.first_last = wrong[i].first_last;
        skv_test_fails(ctx, train(ctx, g, &o, &how, NULL), wrong[i].status, wrong[i].says);
    }
    o = skive_qat_options_default();
    how.epochs = 0;
    skv_test_fails(ctx, train(ctx, g, &o, &how, NULL), SKIVE_ERR_ARGUMENT, "an epoch");
    how.epochs = 1;
    assert_true(bits_of(g) == before);
    skv_test_ok(ctx, train(ctx, g, &o, &how, NULL));
    skv_test_fails(ctx, train(ctx, g, &o, &how, NULL), SKIVE_ERR_ARGUMENT, "already quantized");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Unless a learning rate is given, it is one that fits the grids, and is told. */
static void rates_fit_the_grids(void **state) {
    static const char *const cases[][5] = {
        {NULL, NULL, "lsq", "trained", "learning rate 0.003"},
        {"int4", "uint4", "lsq", "trained", "learning rate 0.003"},
        {"int2", "uint4", "lsq", "trained", "learning rate 0.01"},
        {"int4", "uint2", "lsq", "trained", "learning rate 0.01"},
        {"log2", "float", "inq", "trained", "learning rate 0.01"},
        {"int2", "uint2", "lsq", "frozen", "learning rate 0.0003"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = small_cnn(ctx, false);
        skive_qat_options o = skive_qat_options_default();
        bool told = false;
        o.weights = cases[i][0];
        o.activations = cases[i][1];
        o.weight_rule = cases[i][2];
        o.batchnorm = cases[i][3];
        o.dry_run = true;
        skv_test_ok(ctx, skive_quantize_aware(ctx, g, NULL, NULL, NULL, &o, NULL));
        for (size_t k = 0; k < skive_context_note_count(ctx); k++)
            told = told || strncmp(skive_context_note(ctx, k), cases[i][4], strlen(cases[i][4])) == 0;
        if (!told) fail_msg("case %zu: no note '%s'", i, cases[i][4]);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* A dry run tells the grids, reads no data, and changes nothing. */
static void a_dry_run_only_tells(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false);
    skive_qat_options o = skive_qat_options_default();
    skive_qat_report r;
    const uint64_t before = bits_of(g);
    (void)state;
    o.dry_run = true;
    o.weights = "int4";
    skv_test_ok(ctx, skive_quantize_aware(ctx, g, NULL, NULL, NULL, &o, &r));
    assert_true(bits_of(g) == before && count_nodes(g, "BatchNormalization") == 1);
    assert_int_equal(r.n_rows, 4);
    assert_string_equal(r.rows[2].grid, "int8"); /* first and last */
    skive_qat_report_free(ctx, &r);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* One weight read twice as it is and once transposed. */
static skive_graph *tied(skive_context *ctx) {
    enum { WIDE = 16 };
    static float numbers[WIDE * WIDE];
    skive_graph *g = NULL;
    skive_value *x = NULL, *w = NULL;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 2, .dims = {{-1, "N"}, {WIDE, NULL}}};
    const skive_tensor t = {.dtype = SKIVE_F32, .rank = 2, .dims = {WIDE, WIDE}, .data = numbers};
    for (size_t i = 0; i < WIDE * WIDE; i++) numbers[i] = (float)skv_rng_normal(3, 1, i);
    skv_test_ok(ctx, skive_graph_create(ctx, "tied", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_test_ok(ctx, skive_graph_add_parameter(g, "w", &t, &w));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Relu", SKV_IN(skv_emit(&b, "MatMul", SKV_IN(x, w), SKV_NONE)), SKV_NONE);
    y = skv_emit(&b, "Relu", SKV_IN(skv_emit(&b, "MatMul", SKV_IN(y, w), SKV_NONE)), SKV_NONE);
    y = skv_emit(&b, "Gemm", SKV_IN(y, w), SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

/* Readers that round a shared weight alike have one step and one row, and what is told of the bytes is what the file
 * has: the scales of columns and of rows are two forms of it, without the floats. */
static void shared_weights_are_rounded_once(void **state) {
    skive_context *ctx = skv_test_context();
    const skive_quantize_options how = skive_quantize_options_default();
    skive_graph *g = tied(ctx), *done = NULL;
    skive_qat_options o = skive_qat_options_default();
    skive_qat_report r;
    skive_cost cost;
    skv_qat_plan p;
    size_t changes = 0;
    (void)state;
    o.dry_run = true;
    o.weights = "int8";
    o.first_last = "same";
    skv_test_ok(ctx, skive_quantize_aware(ctx, g, NULL, NULL, NULL, &o, &r));
    assert_int_equal(r.n_rows, 3 + 2);
    assert_int_equal(r.packed_bytes, 3 * 5 + 2 * (16 * 16 + 16 * 4));
    skv_test_ok(ctx, skv_qat_plan_make(ctx, g, &o, &how, &p));
    for (size_t i = 0; i < p.n; i++) p.points[i].grid_params.scale = 1;
    skv_test_ok(ctx, skv_qat_insert(&p, true, &done));
    skv_test_ok(ctx, skv_quantized_from_training(done, &changes));
    skv_test_ok(ctx, skive_graph_cost(done, &cost));
    assert_int_equal(cost.parameter_bytes, r.packed_bytes);
    skive_qat_report_free(ctx, &r);
    skv_qat_plan_free(&p);
    skive_graph_free(done);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static skive_status insert_and_export(skive_context *ctx, void *user) {
    skive_qat_options o = skive_qat_options_default();
    const skive_quantize_options how = skive_quantize_options_default();
    skv_qat_plan p;
    skive_graph *g = NULL;
    size_t changes = 0;
    o.weights = "int4";
    o.weight_rule = "fit";
    o.activations = "uint4";
    o.first_last = "same";
    skive_status status = skv_qat_plan_make(ctx, user, &o, &how, &p);
    for (size_t i = 0; i < p.n && status == SKIVE_OK; i++) p.points[i].grid_params.scale = 1;
    if (status == SKIVE_OK) status = skv_qat_insert(&p, true, &g);
    if (status == SKIVE_OK) status = skv_quantized_from_training(g, &changes);
    skive_graph_free(g);
    skv_qat_plan_free(&p);
    return status;
}

static void memory_may_run_out(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false);
    (void)state;
    assert_true(skv_test_walk_allocations(insert_and_export, g, 1) > 50);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_of_the_step_by_hand),
        cmocka_unit_test(the_gradient_of_the_step_by_differences),
        cmocka_unit_test(the_kernel_is_the_reference),
        cmocka_unit_test(through_tanh_by_hand),
        cmocka_unit_test(every_rule_gives_integers),
        cmocka_unit_test(the_export_has_the_bits_of_the_validation),
        cmocka_unit_test(the_simulation_is_what_ships),
        cmocka_unit_test(statistics_are_those_of_the_rounded_weights),
        cmocka_unit_test(a_ruinous_training_is_not_kept),
        cmocka_unit_test(a_resumed_run_gives_the_same_bits),
        cmocka_unit_test(zeros_and_codebooks_stay),
        cmocka_unit_test(teachers_rounding_and_zeros_in_one_run),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(rates_fit_the_grids),
        cmocka_unit_test(a_dry_run_only_tells),
        cmocka_unit_test(shared_weights_are_rounded_once),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
