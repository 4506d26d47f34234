/* quantize for a runtime: what each record says is what the graph has. */
#include <skive/quant.h>

#include "quant/target.h"
#include "train_fixtures.h"

/* Conv, Relu, average pooling, Add, Gemm with bias. */
static skive_graph *network(skive_context *ctx, bool one_axis) {
    enum { C = 4 };
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type images = {
        .dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    const int64_t w[4] = {C, 1, 3, 3}, w1[3] = {C, 1, 3}, c[1] = {C}, f[2] = {CLASSES, C * PIXELS}, k[1] = {CLASSES};
    const int64_t pads[4] = {1, 1, 1, 1}, pads1[2] = {1, 1}, three[2] = {3, 3}, shape[3] = {-1, 1, PIXELS};
    skv_test_ok(ctx, skive_graph_create(ctx, "net", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &images, &x));
    skv_builder b = skv_build(g);
    skive_value *y = x;
    if (one_axis) {
        skive_tensor t = {.dtype = SKIVE_I64, .rank = 1, .dims = {3}, .data = (void *)shape};
        skive_value *to = NULL;
        skv_test_ok(ctx, skive_graph_add_parameter(g, "shape", &t, &to));
        y = skv_emit(&b, "Reshape", SKV_IN(y, to), SKV_NONE);
        y = skv_emit(&b, "Conv",
                     SKV_IN(y, parameter(&b, "cw", 3, w1, 1, -0.4, 0.4), parameter(&b, "cb", 1, c, 2, -0.4, 0.4)),
                     SKV_ATTRS(SKV_INTS("pads", pads1, 2)));
    } else {
        y = skv_emit(&b, "Conv",
                     SKV_IN(y, parameter(&b, "cw", 4, w, 1, -0.4, 0.4), parameter(&b, "cb", 1, c, 2, -0.4, 0.4)),
                     SKV_ATTRS(SKV_INTS("pads", pads, 4)));
        y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
        if (b.status == SKIVE_OK) b.status = skv_value_rename(y, "relu");
        y = skv_emit(&b, "AveragePool", SKV_IN(y),
                     SKV_ATTRS(SKV_INTS("kernel_shape", three, 2), SKV_INTS("pads", pads, 4)));
        if (b.status == SKIVE_OK) b.status = skv_value_rename(y, "pool");
    }
    y = skv_emit(&b, "Flatten", SKV_IN(y), SKV_NONE);
    y = skv_emit(&b, "Gemm",
                 SKV_IN(y, parameter(&b, "fw", 2, f, 6, -0.1, 0.1), parameter(&b, "fb", 1, k, 7, -0.1, 0.1)),
                 SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

static bool is_in(const char *const *list, const char *grid) {
    for (size_t i = 0; i < SKV_TARGET_GRIDS && list[i]; i++)
        if (strcmp(list[i], grid) == 0) return true;
    return false;
}

/* The scale behind a value: of its QuantizeLinear. */
static const skive_node *quantizer_of(const skive_graph *g, const char *value) {
    const skive_value *v = skive_graph_find_value(g, value);
    for (uint32_t i = 0; v && i < v->n_uses; i++)
        if (skv_node_is(v->uses[i].node, SKV_OP_QUANTIZE_LINEAR)) return v->uses[i].node;
    fail_msg("'%s' is not quantized", value);
    return NULL;
}

static void check_graph(const skive_graph *g, const skv_quant_target *t, double largest) {
    const bool symmetric = strcmp(t->activations[0], "int8") == 0;
    const skive_dtype type = strncmp(t->activations[0], "int8", 4) == 0 ? SKIVE_I8 : SKIVE_U8;
    size_t activations = 0, products = 0;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        if (skv_node_is(n, SKV_OP_QUANTIZE_LINEAR)) {
            const skive_tensor *zero = skv_value_tensor(n->inputs[2]);
            assert_true(zero->dtype == type && (!symmetric || skive_tensor_get(zero, 0) == 0));
            assert_int_equal(skive_tensor_count(skv_value_tensor(n->inputs[1])), 1);
            activations++;
        }
        if (!SKV_NODE_IS_ANY(n, SKV_OP_CONV, SKV_OP_GEMM)) continue;
        const skive_node *w = n->inputs[1]->producer, *bias = n->inputs[2]->producer;
        assert_true(skv_node_is(w, SKV_OP_DEQUANTIZE_LINEAR));
        const skive_tensor *codes = skv_value_tensor(w->inputs[0]), *scales = skv_value_tensor(w->inputs[1]);
        assert_true(codes->dtype == SKIVE_I8 && skv_node_in(w, 2) == NULL);
        for (int64_t k = 0; k < skive_tensor_count(codes); k++)
            assert_true(fabs(skive_tensor_get(codes, k)) <= largest);
        const bool one = t->products_per_tensor && skv_node_is(n, SKV_OP_GEMM);
        assert_int_equal(skive_tensor_count(scales), one ? 1 : codes->dims[0]);
        if (t->float_bias) {
            assert_true(bias == NULL && n->inputs[2]->type.dtype == SKIVE_F32);
        } else {
            const skive_tensor *b = skv_value_tensor(bias->inputs[0]), *s = skv_value_tensor(bias->inputs[1]);
            const skive_node *x = n->inputs[0]->producer;
            assert_true(b->dtype == SKIVE_I32 && skive_tensor_count(s) == skive_tensor_count(scales));
            /* its scale is that of the input times that of the weights */
            assert_true((float)skive_tensor_get(s, 0) == (float)skive_tensor_get(skv_value_tensor(x->inputs[1]), 0) *
                                                             (float)skive_tensor_get(scales, 0));
        }
        products++;
    }
    assert_true(activations >= 3 && products == 2);
    if (!t->pools_keep_scale) return;
    const skive_node *a = quantizer_of(g, "relu"), *b = quantizer_of(g, "pool");
    assert_true(skive_tensor_get(skv_value_tensor(a->inputs[1]), 0) ==
                skive_tensor_get(skv_value_tensor(b->inputs[1]), 0));
    assert_true(skive_tensor_get(skv_value_tensor(a->inputs[2]), 0) ==
                skive_tensor_get(skv_value_tensor(b->inputs[2]), 0));
}

static void every_target(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    (void)state;
    assert_true(skv_quant_target_count() >= 4);
    for (size_t i = 0; i < skv_quant_target_count(); i++) {
        const skv_quant_target *t = skv_quant_target_at(i);
        skive_graph *g = network(ctx, false), *line = network(ctx, true);
        skive_quantize_options o = skive_quantize_options_default();
        skive_quantize_report r;
        o.samples = 20;
        o.calibration = "minmax";
        o.target = t->name;
        skv_test_ok(ctx, skive_quantize(ctx, g, set, &o, &r));
        check_graph(g, t, 127);
        for (size_t k = 0; k < r.n_outputs; k++) assert_true(r.outputs[k].sqnr > 20);
        skive_quantize_report_free(ctx, &r);
        /* The codes of learned or corrected biases keep to it as well. */
        skive_graph_free(g);
        g = network(ctx, false);
        o.bias_correction = "empirical";
        skv_test_ok(ctx, skive_quantize(ctx, g, set, &o, NULL));
        check_graph(g, t, 127);
        o.bias_correction = "none";
        if (is_in(t->weights, "int7")) { /* two products of 255 and 63 stay within 16 bits */
            skive_graph_free(g);
            g = network(ctx, false);
            o.weights = "int7";
            skv_test_ok(ctx, skive_quantize(ctx, g, set, &o, NULL));
            check_graph(g, t, 63);
        }
        /* What it does not take is refused by name, and stays float by name. */
        o.weights = "int3";
        if (!is_in(t->weights, "int3"))
            skv_test_fails(ctx, skive_quantize(ctx, line, set, &o, NULL), SKIVE_ERR_UNSUPPORTED,
                           "does not take weights on the grid 'int3'");
        o.weights = NULL;
        o.activations = "uint4";
        skv_test_fails(ctx, skive_quantize(ctx, line, set, &o, NULL), SKIVE_ERR_UNSUPPORTED,
                       "does not take activations on the grid 'uint4'");
        o.activations = "uint8";
        skv_test_ok(ctx, skive_quantize(ctx, line, set, &o, &r));
        bool told = false;
        for (size_t k = 0; k < r.n_left; k++)
            told = told || (strcmp(r.left[k].op, "Conv") == 0 && strstr(r.left[k].reason, "images only"));
        assert_true(told == t->images_only);
        skive_quantize_report_free(ctx, &r);
        skive_graph_free(line);
        skive_graph_free(g);
    }
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_target)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
