/* Static quantization with grids other than int8: what the file holds, what runs in integers, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <skive/exec.h>
#include <skive/quant.h>
#include <skive/zoo.h>

#include "graph/graph.h"
#include "quant/gridded.h"
#include "quant/quant.h"
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

/* ---- activations ---- */

enum { NUMBERS = 20001 };

/* What a graph makes of numbers from -3 to 5 with a grid that covers `low` to 4. */
static void rounds(const char *text, double low) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skv_quantizer asked;
    skv_grid_params p;
    const int64_t dims[1] = {NUMBERS};
    const skive_type type = skive_type_make(SKIVE_F32, 1, dims);
    skv_test_ok(ctx, skive_graph_create(ctx, "test", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_test_ok(ctx, skv_quant_activation_grid(ctx, text, &asked));
    const skv_quantizer q = skv_quantizer_from(&asked, low);
    q.grid->solve_range(&q, low, 4, &p);
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit_rounded(&b, &q, &p, x);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    skive_tensor in = skv_test_random(ctx, SKIVE_F32, 1, dims, 1, 0, 0), out = {0};
    float *given = in.data, expected[1];
    for (int i = 0; i < NUMBERS; i++) given[i] = -3 + 8 * (float)i / (NUMBERS - 1);
    skv_test_ok(ctx, skive_graph_run(ctx, g, &in, 1, &out, 1));
    const float *got = out.data;
    int others = 0;
    for (int i = 0; i < NUMBERS; i++) {
        skv_grid_fake(&q, &p, &given[i], 1, expected);
        if (got[i] == expected[0]) continue;
        others++;
        /* a level of the grid too, and hardly farther away */
        skv_grid_fake(&q, &p, &got[i], 1, expected);
        if (expected[0] != got[i]) fail_msg("%s: %g is no level", text, (double)got[i]);
        skv_grid_fake(&q, &p, &given[i], 1, expected);
        const float nearest = fabsf(expected[0] - given[i]), own = fabsf(got[i] - given[i]);
        if (own > nearest + fabsf(expected[0] - got[i]) / 8)
            fail_msg("%s: %g becomes %g, not %g", text, (double)given[i], (double)got[i], (double)expected[0]);
    }
    if (others > (q.grid->table ? NUMBERS / 20 : 0)) fail_msg("%s: %d of %d numbers differ", text, others, NUMBERS);
    skive_tensor_free(ctx, &in);
    skive_tensor_free(ctx, &out);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void activations_are_rounded_as_the_grid_says(void **state) {
    int n = 0;
    (void)state;
    for (size_t i = 0; i < skv_grid_count(); i++) {
        skive_context *ctx = skv_test_context();
        skv_quantizer q;
        const skive_status status = skv_quant_activation_grid(ctx, skv_grid_name(i), &q);
        skv_test_context_end(ctx);
        if (status != SKIVE_OK) continue;
        rounds(skv_grid_name(i), 0);
        rounds(skv_grid_name(i), -2.5);
        n++;
    }
    assert_true(n >= 30);
}

/* Of a grid with a form for each, numbers of both signs are on the one and a Relu's on the other. */
static void signs_choose_the_grid(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_quantize_report report;
    (void)state;
    skv_test_ok(ctx, build(ctx, "mlp:8", &g));
    skv_test_ok(ctx, quantize(ctx, g, "int8", "ulog2", &report));
    int of_both = 0, positive = 0;
    for (size_t i = 0; i < report.n_rows; i++) {
        of_both += strcmp(report.rows[i].grid, "log2") == 0;
        positive += strcmp(report.rows[i].grid, "ulog2") == 0;
    }
    assert_int_equal(of_both, 1); /* the input */
    assert_int_equal(positive, 1);
    assert_int_equal(count_dtype(g, "DequantizeLinear", SKIVE_I32), 0); /* sums are no integers */
    skive_quantize_report_free(ctx, &report);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- codebooks ---- */

/* A matrix whose grid no element type holds: what the file's operators make of it is what the grid says. */
static void matrix_on(const char *text, bool turned, skive_dtype holder) {
    enum { N = 12, OUT = 5 };
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *x = NULL, *w = NULL;
    const int64_t square[2] = {N, N};
    const skive_type type = skive_type_make(SKIVE_F32, 2, square);
    const int64_t dims[2] = {turned ? OUT : N, turned ? N : OUT};
    skv_test_ok(ctx, skive_graph_create(ctx, "test", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skive_tensor numbers = skv_test_random(ctx, SKIVE_F32, 2, dims, 3, -1, 1);
    skv_test_ok(ctx, skive_graph_add_parameter(g, "w", &numbers, &w));
    skv_builder b = skv_build(g);
    skive_value *y = turned ? skv_emit(&b, "Gemm", SKV_IN(x, w), SKV_ATTRS(SKV_INT("transB", 1)))
                            : skv_emit(&b, "MatMul", SKV_IN(x, w), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));

    skv_quantizer q;
    skv_weight_view view;
    skv_gridded c;
    float expected[N * OUT];
    skv_test_ok(ctx, skv_quantizer_parse(ctx, text, &q));
    assert_true(skv_weight_view_of(y->producer, 1, &view));
    skv_gridded_lay_out(&c, &q, &view, &numbers);
    skv_test_ok(ctx, skv_gridded_round(ctx, &c, expected));
    skv_gridded_free(ctx, &c);

    skv_test_ok(ctx, skive_quantize_weights(ctx, g, text, NULL, NULL));
    int64_t of_type = 0;
    for (uint32_t i = 0; i < g->n_values; i++) of_type += g->values[i]->storage && g->values[i]->type.dtype == holder;
    if (of_type != 1) fail_msg("%s: %lld parameters of the type of its codes", text, (long long)of_type);
    skive_tensor one = skv_test_random(ctx, SKIVE_F32, 2, square, 1, 0, 0), out = {0};
    for (int i = 0; i < N; i++) ((float *)one.data)[i * N + i] = 1;
    skv_test_ok(ctx, skive_graph_run(ctx, g, &one, 1, &out, 1));
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < OUT; k++) {
            const float got = ((float *)out.data)[i * OUT + k], want = expected[turned ? k * N + i : i * OUT + k];
            if (got != want) fail_msg("%s: [%d, %d] is %g, not %g", text, i, k, (double)got, (double)want);
        }
    }
    skive_tensor_free(ctx, &one);
    skive_tensor_free(ctx, &out);
    skive_tensor_free(ctx, &numbers);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void codebooks_hold_other_grids(void **state) {
    static const char *const small[] = {"nf4",   "nf4:channel", "nf4:4",     "nf4:5",
                                        "log2h", "log2h:7",     "piecewise", "codebook:8"};
    (void)state;
    for (int turned = 0; turned < 2; turned++) {
        for (size_t i = 0; i < SKV_LENGTH(small); i++) matrix_on(small[i], turned, SKIVE_U4);
        matrix_on("piecewise:channel", turned, SKIVE_U8); /* 5 times 16 levels */
        matrix_on("codebook:40", turned, SKIVE_U8);
        matrix_on("mxint8:4", turned, SKIVE_I8);
        matrix_on("binary", turned, SKIVE_I8);
    }
}

/* Zeros of a pruned weight stay, on a grid that has one. */
static void zeros_stay(void **state) {
    enum { N = 200 };
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skv_quantizer q;
    skv_grid_params p;
    float x[N], y[N], levels[8];
    (void)state;
    for (int i = 0; i < N; i++) x[i] = i % 3 ? 0 : (float)skv_rng_normal(3, 1, (uint64_t)i);
    skv_test_ok(ctx, skv_quantizer_parse(ctx, "codebook:8", &q));
    skv_test_ok(ctx, q.grid->solve(ctx, &q, x, N, levels, &p));
    skv_grid_fake(&q, &p, x, N, y);
    for (int i = 0; i < N; i++)
        if (x[i] == 0 && y[i] != 0) fail_msg("a zero becomes %g", (double)y[i]);

    skv_test_ok(ctx, build(ctx, "mlp:8", &g));
    skive_value *w = skive_graph_find_value(g, "fc1.weight");
    w->keeps_zeros = true;
    skv_test_fails(ctx, skive_quantize_weights(ctx, g, "binary", NULL, NULL), SKIVE_ERR_ARGUMENT, "has no zero");
    skv_test_fails(ctx, quantize(ctx, g, "binary", NULL, NULL), SKIVE_ERR_ARGUMENT, "has no zero");
    skv_test_ok(ctx, skive_quantize_weights(ctx, g, "nf4", NULL, NULL));
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
    refused("ulog2", "uint8", true, SKIVE_ERR_ARGUMENT, "take 'log2'");
    refused("int9", "uint8", true, SKIVE_ERR_ARGUMENT, "int9");
    refused("int4", "f16", true, SKIVE_ERR_UNSUPPORTED, "f16");
    refused("int4", "piecewise", true, SKIVE_ERR_UNSUPPORTED, "piecewise");
    refused("int4", "log3", true, SKIVE_ERR_ARGUMENT, "did you mean 'log2'");
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

static skive_status quantize_to_levels(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skive_status status = build(ctx, "mlp:4", &g);
    if (status == SKIVE_OK) status = quantize(ctx, g, user, "log2", NULL);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **state) {
    char grid[] = "uint4:5,asymmetric";
    (void)state;
    char levels[] = "nf4:5";
    assert_true(skv_test_walk_allocations(quantize_all, grid, 17) > 50);
    assert_true(skv_test_walk_allocations(quantize_to_levels, levels, 17) > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_bits_lose_less),
        cmocka_unit_test(few_bits_run_in_integers),
        cmocka_unit_test(activations_are_rounded_as_the_grid_says),
        cmocka_unit_test(signs_choose_the_grid),
        cmocka_unit_test(codebooks_hold_other_grids),
        cmocka_unit_test(zeros_stay),
        cmocka_unit_test(what_cannot_be),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
