/* Quantization without samples, by hand: codes and scales of weights by channel, by group and with zero points; dynamic
 * quantization against its definition. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <skive/exec.h>
#include <skive/quant.h>
#include <skive/session.h>
#include <skive/zoo.h>

#include "graph/op.h"
#include "graph/graph.h"
#include "support.h"

#include <cmocka.h>

/* y = x w, x [1, 4], w [4, 2]. */
static const float weights[8] = {1, 8, -0.5f, 4, 0.25f, -2, 0.125f, 127};

static skive_graph *product(skive_context *ctx) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const int64_t dims[2] = {4, 2};
    const skive_type type = {.dtype = SKIVE_F32, .rank = 2, .dims = {{1, NULL}, {4, NULL}}};
    skv_storage *s = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "product", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_test_ok(ctx, skv_storage_create(ctx, SKIVE_F32, 2, dims, &s));
    memcpy(s->tensor.data, weights, sizeof weights);
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "MatMul", SKV_IN(x, skv_emit_param(&b, "w", s)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

static void expect(const char *grid, const char *name, const double *values, size_t n) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = product(ctx);
    skive_quantize_report report;
    skv_test_ok(ctx, skive_quantize_weights(ctx, g, grid, NULL, &report));
    assert_int_equal(report.n_quantized, 1);
    const skive_tensor *t = skv_value_tensor(skive_graph_find_value(g, name));
    assert_non_null(t);
    assert_int_equal(skive_tensor_count(t), n);
    for (size_t i = 0; i < n; i++) {
        if (fabs(skive_tensor_get(t, (int64_t)i) - values[i]) > 1e-6 * fabs(values[i]))
            fail_msg("%s: %s[%zu] is %g, not %g", grid, name, i, skive_tensor_get(t, (int64_t)i), values[i]);
    }
    skive_quantize_report_free(ctx, &report);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

#define EXPECT(grid, name, ...) \
    expect(grid, name, (const double[]){__VA_ARGS__}, sizeof((const double[]){__VA_ARGS__}) / sizeof(double))

static void weights_by_hand(void **state) {
    (void)state;
    /* Columns are output channels: the largest magnitudes are 1 and 127. */
    EXPECT("int8:channel,fit=range", "w_scale", 1.0 / 127, 1);
    EXPECT("int8:channel,fit=range", "w_quantized", 127, 8, -64, 4, 32, -2, 16, 127); /* 63.5, 31.75, 15.875 */
    EXPECT("int8:tensor,fit=range", "w_scale", 1);
    EXPECT("int8:tensor,fit=range", "w_quantized", 1, 8, 0, 4, 0, -2, 0, 127); /* ties go to the even code */
    /* Groups of two along the inputs: rows 0 and 1, rows 2 and 3. */
    EXPECT("int8:2,fit=range", "w_scale", 1.0 / 127, 8.0 / 127, 0.25 / 127, 1);
    /* Of groups of three the last has one row. */
    EXPECT("int8:3,fit=range", "w_scale", 1.0 / 127, 8.0 / 127, 0.125 / 127, 1);
    /* From -0.5 to 1 in 255 steps; 0 is step 85. */
    EXPECT("uint8:channel,asymmetric,fit=range", "w_zero_point", 85, 4);
    EXPECT("f16", "w_quantized", 1, 8, -0.5, 4, 0.25, -2, 0.125, 127);
}

/* The same as a convolution: x [1, 4, 1, 1], and w [2, 4, 1, 1], the columns of the matrix. */
static skive_graph *convolution(skive_context *ctx) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const int64_t dims[4] = {2, 4, 1, 1};
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{1, NULL}, {4, NULL}, {1, NULL}, {1, NULL}}};
    skv_storage *s = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "convolution", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_test_ok(ctx, skv_storage_create(ctx, SKIVE_F32, 4, dims, &s));
    for (int i = 0; i < 8; i++) ((float *)s->tensor.data)[i] = weights[i % 4 * 2 + i / 4];
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Conv", SKV_IN(x, skv_emit_param(&b, "w", s)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

static void by_hand(skive_context *ctx, skive_graph *g) {
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor in, out;
    skv_test_ok(ctx, skive_quantize_dynamic(ctx, g, NULL, NULL));
    skv_test_ok(ctx, skive_plan_create(ctx, g, NULL, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &in));
    memcpy(in.data, ((const float[]){2, -0.5f, 1, 0.25f}), 4 * sizeof(float));
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &out));
    /* 2.5 / 255 a step, 0 is step 51: x is 204, -51, 102 and 25 or 26 (25.5, to even) steps from it. */
    const double x[4] = {204, -51, 102, 26}, codes[8] = {127, 8, -64, 4, 32, -2, 16, 127}, scales[2] = {1.0 / 127, 1};
    for (int c = 0; c < 2; c++) {
        double sum = 0;
        for (int r = 0; r < 4; r++) sum += x[r] * codes[2 * r + c];
        const double want = sum * scales[c] * 2.5 / 255;
        if (fabs(skive_tensor_get(&out, c) - want) > 1e-5 * fabs(want))
            fail_msg("column %d: %g, not %g", c, skive_tensor_get(&out, c), want);
    }
    skive_exec_free(exec);
    skive_plan_free(plan);
    skive_graph_free(g);
}

static void dynamic_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    by_hand(ctx, product(ctx));
    by_hand(ctx, convolution(ctx));
    skive_graph *g = product(ctx);
    skive_quantize_options o = skive_quantize_options_default();
    double most = 0;
    o.weights = "uint8";
    skv_test_fails(ctx, skive_quantize_dynamic(ctx, g, &o, NULL), SKIVE_ERR_UNSUPPORTED, "takes int8 and int7");
    o.weights = "int7";
    skv_test_ok(ctx, skive_quantize_dynamic(ctx, g, &o, NULL));
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_tensor *t = g->values[i] ? skv_value_tensor(g->values[i]) : NULL;
        for (int64_t k = 0; t && t->dtype == SKIVE_I8 && k < skive_tensor_count(t); k++)
            most = fmax(most, fabs(skive_tensor_get(t, k)));
    }
    assert_true(most == 63);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static skive_graph *network(skive_context *ctx, const char *name) {
    skive_zoo_options z = skive_zoo_options_default();
    skive_graph *g = NULL;
    z.rank = 3;
    z.dims[0] = 1;
    z.dims[1] = z.dims[2] = 28;
    z.classes = 10;
    skv_test_ok(ctx, skive_zoo_build(ctx, name, &z, &g));
    return g;
}

static skive_tensor run(skive_context *ctx, const skive_graph *g, bool reference) {
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_plan_options o = skive_plan_options_default();
    skive_tensor x, y, out;
    o.reference = reference;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &x));
    for (int64_t k = 0; k < skive_tensor_count(&x); k++) skive_tensor_set(&x, k, skv_rng_normal(5, 0, (uint64_t)k));
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &y));
    skv_test_ok(ctx, skive_tensor_copy(ctx, &y, &out));
    skive_exec_free(exec);
    skive_plan_free(plan);
    return out;
}

/* Whole networks, with groups, padding, strides and both directions: what is computed is near the float network, and
 * the kernels give what the reference gives. */
static void dynamic_networks(void **state) {
    static const char *const names[] = {"lstm", "gru", "resnet8", "ds-cnn"};
    (void)state;
    for (size_t i = 0; i < SKV_COUNT(names); i++) {
        for (int per_channel = 0; per_channel < 2; per_channel++) {
            skive_context *ctx = skv_test_context();
            skive_graph *g = network(ctx, names[i]);
            skive_quantize_options o = skive_quantize_options_default();
            skive_tensor want = run(ctx, g, false);
            double error = 0, power = 0;
            o.per_channel = per_channel;
            skv_test_ok(ctx, skive_quantize_dynamic(ctx, g, &o, NULL));
            skive_tensor y = run(ctx, g, false), slow = run(ctx, g, true);
            skv_test_tensors(&y, &slow, 1e-2, 1e-2);
            for (int64_t k = 0; k < skive_tensor_count(&y); k++) {
                const double e = skive_tensor_get(&y, k) - skive_tensor_get(&want, k);
                error += e * e;
                power += skive_tensor_get(&want, k) * skive_tensor_get(&want, k);
            }
            if (!(error > 0) || error > 0.02 * power) fail_msg("%s: error %g of %g", names[i], error, power);
            skive_tensor_free(ctx, &want);
            skive_tensor_free(ctx, &y);
            skive_tensor_free(ctx, &slow);
            skive_graph_free(g);
            skv_test_context_end(ctx);
        }
    }
}

/* ---- GRU and RNN ---- */

enum { STEPS = 7, BATCH = 2, INPUT = 9, HIDDEN = 6 };

/* A cell over x [STEPS][BATCH][INPUT]; y and the last state. */
static skive_graph *cell(skive_context *ctx, const char *op, const char *direction, bool linear, bool state,
                         bool bias) {
    const int64_t gates = strcmp(op, "GRU") == 0 ? 3 : 1, d = strcmp(direction, "bidirectional") == 0 ? 2 : 1,
                  w[3] = {d, gates * HIDDEN, INPUT}, r[3] = {d, gates * HIDDEN, HIDDEN}, b[2] = {d, 2 * gates * HIDDEN};
    const int64_t *const dims[3] = {w, r, b};
    const skive_type x = {.dtype = SKIVE_F32, .rank = 3, .dims = {{STEPS, NULL}, {BATCH, NULL}, {INPUT, NULL}}},
                     h = {.dtype = SKIVE_F32, .rank = 3, .dims = {{d, NULL}, {BATCH, NULL}, {HIDDEN, NULL}}};
    skive_graph *g = NULL;
    skive_value *in[6] = {NULL}, *out[2] = {NULL};
    skv_test_ok(ctx, skive_graph_create(ctx, "cell", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &x, &in[0]));
    if (state) skv_test_ok(ctx, skive_graph_add_input(g, "h", &h, &in[5]));
    skv_builder build = skv_build(g);
    for (int i = 0; i < (bias ? 3 : 2); i++) {
        skive_tensor t = skv_test_random(ctx, SKIVE_F32, i == 2 ? 2 : 3, dims[i], 40 + (uint64_t)i, -0.6, 0.6);
        skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &t, &in[1 + i]));
        skive_tensor_free(ctx, &t);
    }
    const skv_attr_init attrs[] = {SKV_STR("direction", direction), SKV_INT("hidden_size", HIDDEN),
                                   SKV_INT("linear_before_reset", linear)};
    (void)skv_emit_n(&build, op,
                     (skv_in_list){in, state  ? 6
                                       : bias ? 4
                                              : 3},
                     (skv_attr_list){attrs, gates == 3 ? 3 : 2}, out, 2);
    skv_test_ok(ctx, build.status);
    for (int i = 0; i < 2; i++) skv_test_ok(ctx, skive_graph_add_output(g, out[i]));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

/* The outputs one behind the other; `scan`: by a session that leaves the Scan as it is. */
static void run_cell(skive_context *ctx, const skive_graph *g, bool reference, bool scan, float *y, size_t n) {
    skive_tensor in[2], out[2];
    size_t at = 0;
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        int64_t dims[3];
        for (int d = 0; d < 3; d++) dims[d] = g->inputs[i]->type.dims[d].size;
        in[i] = skv_test_random(ctx, SKIVE_F32, 3, dims, 60 + i, -1, 1);
    }
    if (scan) {
        skive_session *s = NULL;
        skive_session_options o = skive_session_options_default();
        o.reference = reference;
        skv_test_ok(ctx, skive_session_create(ctx, g, &o, &s));
        skv_test_ok(ctx, skive_session_run(s, in, g->n_inputs, out, 2));
        skive_session_free(s);
    } else {
        skive_plan_options o = skive_plan_options_default();
        skive_plan *plan = NULL;
        skive_exec *exec = NULL;
        o.reference = reference;
        skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
        skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
        for (uint32_t i = 0; i < g->n_inputs; i++) {
            skive_tensor view;
            skv_test_ok(ctx, skive_exec_input(exec, i, &view));
            memcpy(view.data, in[i].data, skive_tensor_bytes(&view));
        }
        skv_test_ok(ctx, skive_exec_run(exec));
        for (size_t i = 0; i < 2; i++) {
            skive_tensor view;
            skv_test_ok(ctx, skive_exec_output(exec, i, &view));
            skv_test_ok(ctx, skive_tensor_copy(ctx, &view, &out[i]));
        }
        skive_exec_free(exec);
        skive_plan_free(plan);
    }
    for (size_t i = 0; i < 2; i++) {
        const size_t count = (size_t)skive_tensor_count(&out[i]);
        assert_true(at + count <= n);
        memcpy(y + at, out[i].data, count * sizeof *y);
        at += count;
        skive_tensor_free(ctx, &out[i]);
    }
    for (uint32_t i = 0; i < g->n_inputs; i++) skive_tensor_free(ctx, &in[i]);
    for (; at < n; at++) y[at] = 0;
}

/* The Scan of standard operators, the node that a plan makes of it by its kernel and by its reference: the same; and
 * near the float cell. */
static void dynamic_cells(void **state) {
    static const struct {
        const char *op, *direction;
        bool linear, state, bias, per_tensor;
    } all[] = {{"GRU", "forward", false, false, true, false},     {"GRU", "reverse", true, true, true, false},
               {"GRU", "bidirectional", false, true, true, true}, {"GRU", "bidirectional", true, false, false, true},
               {"RNN", "forward", false, false, false, false},    {"RNN", "bidirectional", false, true, true, false}};
    enum { MOST = 2 * (STEPS + 1) * BATCH * HIDDEN };
    (void)state;
    for (size_t i = 0; i < SKV_COUNT(all); i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = cell(ctx, all[i].op, all[i].direction, all[i].linear, all[i].state, all[i].bias);
        skive_quantize_options o = skive_quantize_options_default();
        skive_quantize_report report;
        float real[MOST], y[MOST], slow[MOST], scan[MOST];
        double error = 0, power = 0;
        o.per_channel = !all[i].per_tensor;
        run_cell(ctx, g, false, false, real, MOST);
        skv_test_ok(ctx, skive_quantize_dynamic(ctx, g, &o, &report));
        assert_int_equal(report.n_quantized, 1);
        assert_int_equal(report.n_left, 0);
        assert_int_equal(report.n_rows, 2);
        skive_quantize_report_free(ctx, &report);
        skv_test_ok(ctx, skive_graph_check(g));
        run_cell(ctx, g, false, false, y, MOST);
        run_cell(ctx, g, true, false, slow, MOST);
        run_cell(ctx, g, true, true, scan, MOST);
        /* a state that falls on the other side of a rounding limit in the last float bit moves by a step */
        skv_test_floats(y, slow, MOST, 1e-3, 2e-3);
        skv_test_floats(y, scan, MOST, 1e-3, 2e-3);
        for (int k = 0; k < MOST; k++) {
            error += ((double)y[k] - (double)real[k]) * ((double)y[k] - (double)real[k]);
            power += (double)real[k] * (double)real[k];
        }
        if (!(error > 0) || error > 1e-3 * power) fail_msg("%s %zu: error %g of %g", all[i].op, i, error, power);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* A Scan that differs in one operator stays one. */
static void other_scans_stay(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = cell(ctx, "RNN", "forward", false, false, true);
    skive_plan *plan = NULL;
    skv_test_ok(ctx, skive_quantize_dynamic(ctx, g, NULL, NULL));
    skv_test_ok(ctx, skive_plan_create(ctx, g, NULL, &plan));
    skive_plan_free(plan);
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skv_attr *body = skv_node_attr(g->nodes[i], "body");
        for (uint32_t k = 0; body && k < body->graph->n_nodes; k++) {
            skive_node *n = body->graph->nodes[k];
            if (!skv_node_is(n, SKV_OP_ADD)) continue;
            skive_value *x = n->inputs[0], *y = n->inputs[1];
            skv_test_ok(ctx, skv_node_set_input(n, 0, y));
            skv_test_ok(ctx, skv_node_set_input(n, 1, x));
        }
    }
    skv_test_fails(ctx, skive_plan_create(ctx, g, NULL, &plan), SKIVE_ERR_UNSUPPORTED,
                   "what is computed depends on data");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- what cannot be, and what does not pay ---- */

/* x [1, k] times a matrix [k, 2] whose numbers are all `number`. */
static skive_graph *long_product(skive_context *ctx, int64_t k, float number) {
    const skive_type type = {.dtype = SKIVE_F32, .rank = 2, .dims = {{1, NULL}, {k, NULL}}};
    const int64_t dims[2] = {k, 2};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skv_storage *s = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "long", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_test_ok(ctx, skv_storage_create(ctx, SKIVE_F32, 2, dims, &s));
    for (int64_t i = 0; i < 2 * k; i++) ((float *)s->tensor.data)[i] = number;
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "MatMul", SKV_IN(x, skv_emit_param(&b, "w", s)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

/* Equal weights are all 127: 255 * 127 * k reaches 3 * 2^29 at k = 49,734. */
static void sums_that_leave_32_bits(void **state) {
    static const int64_t sizes[2] = {49733, 49734};
    (void)state;
    for (int i = 0; i < 2; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = long_product(ctx, sizes[i], 0.5f), *other = long_product(ctx, sizes[i], 0.5f);
        const int64_t dims[3] = {3, 1, sizes[i]};
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 3, dims, 3, 0, 1);
        const skive_status dynamic = skive_quantize_dynamic(ctx, g, NULL, NULL);
        if (i == 0)
            skv_test_ok(ctx, dynamic);
        else
            skv_test_fails(ctx, dynamic, SKIVE_ERR_UNSUPPORTED, "(MatMul): its sums may leave 32 bits");
        const skive_status fixed = skive_quantize_arrays(ctx, other, &x, 1, NULL, NULL);
        if (i == 0)
            skv_test_ok(ctx, fixed);
        else
            skv_test_fails(ctx, fixed, SKIVE_ERR_UNSUPPORTED, "its sums may leave 32 bits");
        skive_tensor_free(ctx, &x);
        skive_graph_free(g);
        skive_graph_free(other);
        skv_test_context_end(ctx);
    }
}

static void numbers_beyond_a_grid(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = long_product(ctx, 4, 1e6f);
    (void)state;
    skv_test_fails(ctx, skive_quantize_weights(ctx, g, "f16", NULL, NULL), SKIVE_ERR_NUMERIC,
                   "infinite on the grid 'f16'");
    skv_test_ok(ctx, skive_quantize_weights(ctx, g, "bf16", NULL, NULL));
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Whatever the machine's times are, each product is quantized or listed with this reason, and the rest is as without.
 */
static void layers_that_are_slower_stay(void **state) {
    (void)state;
    for (int dynamic = 0; dynamic < 2; dynamic++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = network(ctx, "lenet5:0.2");
        const int64_t dims[5] = {6, 1, 1, 28, 28};
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 5, dims, 8, -1, 1);
        skive_quantize_options o = skive_quantize_options_default();
        skive_quantize_report report;
        size_t slow = 0;
        o.no_slower = true;
        o.calibration = "minmax";
        const skive_status status =
            dynamic ? skive_quantize_dynamic(ctx, g, &o, &report) : skive_quantize_arrays(ctx, g, &x, 1, &o, &report);
        if (status == SKIVE_OK) {
            for (size_t i = 0; i < report.n_left; i++)
                if (strstr(report.left[i].reason, "slower")) slow += report.left[i].n_nodes;
            assert_int_equal(report.n_quantized + slow, 4);
            skv_test_ok(ctx, skive_graph_check(g));
        } else {
            skv_test_fails(ctx, status, SKIVE_ERR_UNSUPPORTED, "slower on this machine");
        }
        skive_quantize_report_free(ctx, &report);
        skive_tensor_free(ctx, &x);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

static skive_status quantize_cell(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skive_zoo_options z = skive_zoo_options_default();
    skive_quantize_report report = {0};
    (void)user;
    z.rank = 2;
    z.dims[0] = 4;
    z.dims[1] = 3;
    z.classes = 2;
    skive_status status = skive_zoo_build(ctx, "gru:0.05", &z, &g);
    if (status == SKIVE_OK) status = skive_quantize_dynamic(ctx, g, NULL, &report);
    skive_quantize_report_free(ctx, &report);
    skive_graph_free(g);
    return status;
}

static skive_status quantize_all(skive_context *ctx, void *user) {
    const char *grid = user;
    skive_zoo_options z = skive_zoo_options_default();
    skive_quantize_report report = {0};
    skive_graph *g = NULL;
    z.rank = 1;
    z.dims[0] = 12;
    z.classes = 3;
    skive_status status = skive_zoo_build(ctx, "mlp:8", &z, &g);
    if (status == SKIVE_OK)
        status =
            grid ? skive_quantize_weights(ctx, g, grid, NULL, &report) : skive_quantize_dynamic(ctx, g, NULL, &report);
    skive_quantize_report_free(ctx, &report);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **state) {
    char grid[] = "uint4:5,asymmetric";
    (void)state;
    assert_true(skv_test_walk_allocations(quantize_all, grid, 3) > 50);
    assert_true(skv_test_walk_allocations(quantize_all, NULL, 3) > 50);
    assert_true(skv_test_walk_allocations(quantize_cell, NULL, 3) > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_by_hand),           cmocka_unit_test(dynamic_by_hand),
        cmocka_unit_test(dynamic_networks),          cmocka_unit_test(dynamic_cells),
        cmocka_unit_test(other_scans_stay),          cmocka_unit_test(sums_that_leave_32_bits),
        cmocka_unit_test(numbers_beyond_a_grid),     cmocka_unit_test(layers_that_are_slower_stay),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
