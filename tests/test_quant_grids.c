/* Static quantization with grids other than int8: what the file holds, what runs in integers, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <skive/exec.h>
#include <skive/quant.h>
#include <skive/zoo.h>

#include "graph/graph.h"
#include "support.h"

#include <cmocka.h>

enum { RUNS = 12, IN = 12 };

static skive_status feed(void *user, int64_t index, skive_tensor *inputs, size_t n) {
    (void)user;
    if (index >= RUNS || n != 1) return SKIVE_ERR_NOT_FOUND;
    for (int64_t k = 0; k < skive_tensor_count(&inputs[0]); k++)
        ((float *)inputs[0].data)[k] = (float)skv_rng_normal(7, (uint64_t)index, (uint64_t)k);
    return SKIVE_OK;
}

static skive_status build(skive_context *ctx, const char *name, skive_graph **g) {
    skive_zoo_options z = skive_zoo_options_default();
    const bool conv = strncmp(name, "lenet", 5) == 0;
    z.rank = conv ? 3 : 1;
    z.dims[0] = conv ? 1 : IN;
    z.dims[1] = z.dims[2] = 16;
    z.classes = 3;
    return skive_zoo_build(ctx, name, &z, g);
}

static skive_status quantize(skive_context *ctx, skive_graph *g, const char *weights, const char *activations,
                             skive_quantize_report *report) {
    skive_quantize_options o = skive_quantize_options_default();
    o.weights = weights;
    if (activations) o.activations = activations;
    o.samples = RUNS;
    return skive_quantize_feed(ctx, g, feed, NULL, &o, report);
}

/* The nodes of this kind whose first input is a parameter of this type. */
static int64_t count_dtype(const skive_graph *g, const char *op, skive_dtype input) {
    int64_t n = 0;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *node = g->nodes[i];
        if (strcmp(node->op_type, op) == 0 && node->inputs[0]->type.dtype == input && node->inputs[0]->storage) n++;
    }
    return n;
}

static double sqnr_with(const char *net, const char *weights, const char *activations, skive_dtype holder,
                        int64_t layers) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_quantize_report report;
    skv_test_ok(ctx, build(ctx, net, &g));
    skv_test_ok(ctx, quantize(ctx, g, weights, activations, &report));
    assert_int_equal(report.n_outputs, 1);
    const double sqnr = report.outputs[0].sqnr;
    const int64_t found = count_dtype(g, "DequantizeLinear", holder);
    if (found != layers)
        fail_msg("%s: %lld weights are on the grid, not %lld", weights, (long long)found, (long long)layers);
    skive_quantize_report_free(ctx, &report);
    skive_graph_free(g);
    skv_test_context_end(ctx);
    return sqnr;
}

static void more_bits_lose_less(void **state) {
    (void)state;
    const double two = sqnr_with("lenet5:0.2", "int2", "uint8", SKIVE_I4, 4);
    const double four = sqnr_with("lenet5:0.2", "int4", "uint8", SKIVE_I4, 4);
    const double six = sqnr_with("lenet5:0.2", "int6", "uint8", SKIVE_I8, 4);
    const double whole = sqnr_with("lenet5:0.2", "int8", "int16", SKIVE_I8, 4);
    const double tensor = sqnr_with("lenet5:0.2", "int4:tensor", "uint8", SKIVE_I4, 4);
    assert_true(two + 5 < four);
    assert_true(four + 5 < six);
    assert_true(six + 5 < whole);
    assert_true(tensor < four);
    assert_true(whole > 38);
    assert_true(sqnr_with("mlp:8", "int4:4", "int8", SKIVE_I4, 2) > 10);
    assert_true(sqnr_with("mlp:8", "uint4:4,asymmetric", "uint16", SKIVE_U4, 2) > 10);
}

/* Weights of few bits, one scale a channel, with uint8 activations: no product is left in float. */
static void few_bits_run_in_integers(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_plan *plan = NULL;
    skv_test_ok(ctx, build(ctx, "lenet5:0.2", &g));
    (void)state;
    skv_test_ok(ctx, quantize(ctx, g, "int4", NULL, NULL));
    skv_test_ok(ctx, skive_plan_create(ctx, g, NULL, &plan));
    skive_plan_step step;
    size_t integer = 0;
    for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
        skive_plan_step_get(plan, i, &step);
        assert_string_not_equal(step.op, "Conv");
        assert_string_not_equal(step.op, "Gemm");
        integer += strcmp(step.op, "QConv") == 0 || strcmp(step.op, "QGemm") == 0;
    }
    assert_int_equal(integer, 4);
    skive_plan_free(plan);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void refused(const char *weights, const char *activations, bool per_channel, skive_status expected,
                    const char *says) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_quantize_options o = skive_quantize_options_default();
    skv_test_ok(ctx, build(ctx, "mlp:8", &g));
    const uint32_t before = g->n_nodes;
    o.weights = weights;
    o.activations = activations;
    o.per_channel = per_channel;
    const skive_status status = skive_quantize_feed(ctx, g, feed, NULL, &o, NULL);
    assert_int_equal(status, expected);
    if (!strstr(skive_context_message(ctx), says)) fail_msg("'%s' does not say '%s'", skive_context_message(ctx), says);
    assert_int_equal(g->n_nodes, before);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void what_cannot_be(void **state) {
    (void)state;
    refused("nf4", "uint8", true, SKIVE_ERR_UNSUPPORTED, "nf4");
    refused("int9", "uint8", true, SKIVE_ERR_ARGUMENT, "int9");
    refused("int4", "f16", true, SKIVE_ERR_UNSUPPORTED, "f16");
    refused("int4", "uint3", true, SKIVE_ERR_UNSUPPORTED, "uint3");
    refused("int4", "int8:32", true, SKIVE_ERR_ARGUMENT, "int8:32");
    refused("int4:8", "uint8", false, SKIVE_ERR_ARGUMENT, "int4:8");
}

static skive_status quantize_all(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skive_status status = build(ctx, "mlp:4", &g);
    if (status == SKIVE_OK) status = quantize(ctx, g, user, "int16", NULL);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **state) {
    char grid[] = "uint4:5,asymmetric";
    (void)state;
    assert_true(skv_test_walk_allocations(quantize_all, grid, 17) > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_bits_lose_less),
        cmocka_unit_test(few_bits_run_in_integers),
        cmocka_unit_test(what_cannot_be),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
