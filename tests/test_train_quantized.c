/* Training of quantized models: the gradient by its rule, the change of form and back, and a network that gets better.
 * */
#include <skive/autodiff.h>
#include <skive/exec.h>
#include <skive/onnx.h>
#include <skive/quant.h>

#include "passes/quantized.h"
#include "tensor/tensor.h"
#include "train_fixtures.h"

/* ---- gradients ---- */

static skive_value *constant(skv_builder *b, skive_dtype dtype, int64_t n, const double *values) {
    skive_context *ctx = b->graph->ctx;
    skive_tensor t;
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_tensor_create(ctx, dtype, n ? 1 : 0, &n, &t));
    for (int64_t i = 0; i < (n ? n : 1); i++) skive_tensor_set(&t, i, values[i]);
    skv_test_ok(ctx, skive_graph_add_parameter(b->graph, NULL, &t, &v));
    skive_tensor_free(ctx, &t);
    return v;
}

/* The gradient of sum(c * rounded(x)) with respect to x[6]. */
static void gradient_through(bool pair, skive_dtype dtype, const char *grid, double scale, double zero, const float *x,
                             const double *c, float *out) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *in = NULL, *dx = NULL;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 1, .dims = {{6, NULL}}};
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &in));
    skv_builder b = skv_build(g);
    skive_value *s = constant(&b, SKIVE_F32, 0, &scale), *z = constant(&b, dtype, 0, &zero), *y;
    if (pair)
        y = skv_emit(&b, "DequantizeLinear", SKV_IN(skv_emit(&b, "QuantizeLinear", SKV_IN(in, s, z), SKV_NONE), s, z),
                     SKV_NONE);
    else
        y = skv_emit(&b, "FakeQuantize", SKV_IN(in, s, z), SKV_ATTRS(SKV_STR("grid", grid)));
    y = skv_emit(&b, "ReduceSum", SKV_IN(skv_emit(&b, "Mul", SKV_IN(y, constant(&b, SKIVE_F32, 6, c)), SKV_NONE)),
                 SKV_ATTRS(SKV_INT("keepdims", 0)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_autodiff(g, y, &in, 1, &dx));
    skv_test_ok(ctx, skive_graph_add_output(g, dx));
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor view;
    o.training = true;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &view));
    memcpy(view.data, x, 6 * sizeof *x);
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
    memcpy(out, view.data, 6 * sizeof *out);
    skive_exec_free(exec);
    skive_plan_free(plan);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* uint8 with scale 0.5 and zero point 10 holds -5 to 122.5: by hand, half a step further counts as inside. */
static void gradients_by_hand(void **state) {
    const float x[6] = {-5, -5.2f, -5.3f, 122.7f, 122.8f, 3.21f};
    const double c[6] = {1, -2, 3, 4, 5, 0.3};
    const float want[6] = {1, -2, 0, 4, 0, 0.3f};
    float dx[6];
    (void)state;
    gradient_through(true, SKIVE_U8, NULL, 0.5, 10, x, c, dx);
    skv_test_floats(dx, want, 6, 0, 0);
    gradient_through(false, SKIVE_U8, "uint8", 0.5, 10, x, c, dx);
    skv_test_floats(dx, want, 6, 0, 0);
    const float narrow[6] = {-64, -63.7f, -63.8f, 63.7f, 63.8f, 0}; /* int8 without -128, in steps of 0.5 */
    const float passes[6] = {0, -2, 0, 4, 0, 0.3f};
    gradient_through(false, SKIVE_I8, "int8:channel,narrow", 0.5, 0, narrow, c, dx);
    skv_test_floats(dx, passes, 6, 0, 0);
}

static void different_scales_have_no_gradient(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *in = NULL, *dx = NULL;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 0};
    const double one = 1, two = 2, zero = 0;
    (void)state;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &in));
    skv_builder b = skv_build(g);
    skive_value *z = constant(&b, SKIVE_U8, 0, &zero);
    skive_value *q = skv_emit(&b, "QuantizeLinear", SKV_IN(in, constant(&b, SKIVE_F32, 0, &one), z), SKV_NONE);
    skive_value *y = skv_emit(&b, "DequantizeLinear", SKV_IN(q, constant(&b, SKIVE_F32, 0, &two), z), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_fails(ctx, skive_autodiff(g, y, &in, 1, &dx), SKIVE_ERR_UNSUPPORTED, "different scales");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- models ---- */

static skive_graph *quantized_cnn(skive_context *ctx) {
    skive_graph *g = small_cnn(ctx, false);
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_quantize_options o = skive_quantize_options_default();
    o.calibration = "minmax";
    skv_test_ok(ctx, skive_quantize(ctx, g, set, &o, NULL));
    skive_dataset_free(set);
    return g;
}

static size_t count_nodes(const skive_graph *g, const char *op) {
    size_t n = 0;
    for (size_t i = 0; i < skive_graph_node_count(g); i++) n += strcmp(skive_node_op(skive_graph_node(g, i)), op) == 0;
    return n;
}

static void outputs_of(skive_context *ctx, const skive_graph *g, skive_tensor *out) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor view;
    o.batch = 20;
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

/* To the form for training and back: the same integers, and in between a plan for inference gives the same bits. */
static void the_form_for_training_is_the_same_model(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = quantized_cnn(ctx), *before = NULL;
    skive_tensor a, b, c;
    size_t changes = 0;
    (void)state;
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &before));
    outputs_of(ctx, g, &a);
    skv_test_ok(ctx, skv_quantized_to_training(g, &changes));
    assert_int_equal(changes, 4); /* two weights, two biases */
    assert_int_equal(count_nodes(g, "FakeQuantize"), 2);
    size_t learned = 0;
    for (size_t i = 0; i < skive_graph_value_count(g); i++) learned += skive_graph_value(g, i)->trainable;
    assert_int_equal(learned, 4); /* and no scale */
    outputs_of(ctx, g, &b);
    assert_memory_equal(a.data, b.data, skive_tensor_bytes(&a));
    skv_test_ok(ctx, skv_quantized_from_training(g, &changes));
    assert_int_equal(count_nodes(g, "FakeQuantize"), 0);
    outputs_of(ctx, g, &c);
    assert_memory_equal(a.data, c.data, skive_tensor_bytes(&a));
    size_t integers = 0;
    for (size_t i = 0; i < skive_graph_value_count(before); i++) {
        const skive_value *v = skive_graph_value(before, i);
        if (!v->storage || (v->type.dtype != SKIVE_I8 && v->type.dtype != SKIVE_I32)) continue;
        const skive_value *now = skive_graph_find_value(g, v->name);
        assert_non_null(now);
        assert_true(skv_tensor_same(skive_value_data(v), skive_value_data(now)));
        integers++;
    }
    assert_int_equal(integers, 4);
    skive_tensor_free(ctx, &a);
    skive_tensor_free(ctx, &b);
    skive_tensor_free(ctx, &c);
    skive_graph_free(before);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static double accuracy_of(skive_context *ctx, const skive_graph *g, double *loss) {
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_eval_report r;
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 50, &r));
    const double accuracy = r.accuracy;
    if (loss) *loss = r.loss;
    skive_eval_report_free(ctx, &r);
    skive_dataset_free(set);
    return accuracy;
}

/* An untrained network, quantized, learns: its integers change, and what the last validation measured is what the
 * integers give. */
static void a_quantized_network_learns(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = quantized_cnn(ctx);
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN), *test = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_train_options o = settings(6, 16);
    skive_train_report report;
    double loss_before, loss_after;
    (void)state;
    const double before = accuracy_of(ctx, g, &loss_before);
    o.learning_rate = 0.02;
    skv_test_ok(ctx, skive_train(ctx, g, set, test, &o, NULL, 0, &report));
    assert_int_equal(count_nodes(g, "FakeQuantize"), 0);
    assert_true(count_nodes(g, "DequantizeLinear") >= 5);
    const double after = accuracy_of(ctx, g, &loss_after);
    assert_true(after > before + 0.1 && after > 0.8);
    assert_true(loss_after < loss_before);
    const skive_epoch_report *best = &report.epochs[report.best_epoch - 1];
    assert_true(fabs(best->validation_accuracy - after) < 1e-12);
    assert_true(fabs(best->validation_loss - loss_after) < 1e-6 * loss_after);
    char path[SKV_TEST_PATH];
    skv_test_ok(ctx, skive_onnx_save(ctx, g, file(path, "q.onnx"), NULL)); /* standard ONNX */
    skive_train_report_free(ctx, &report);
    skive_dataset_free(set);
    skive_dataset_free(test);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static skive_status there_and_back(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    size_t changes = 0;
    SKV_TRY(skive_graph_copy(ctx, user, &g));
    skive_status status = skv_quantized_to_training(g, &changes);
    if (status == SKIVE_OK) status = skv_quantized_from_training(g, &changes);
    skive_graph_free(g);
    return status;
}

static void memory_may_run_out(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = quantized_cnn(ctx);
    (void)state;
    assert_true(skv_test_walk_allocations(there_and_back, g, 1) > 20);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_by_hand),
        cmocka_unit_test(different_scales_have_no_gradient),
        cmocka_unit_test(the_form_for_training_is_the_same_model),
        cmocka_unit_test(a_quantized_network_learns),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
