/* Integer execution: every kernel gives the bits of the scalar reference, on random and adversarial shapes and numbers,
 * at the level of SKIVE_ISA (CTest runs this program once per level); Q/DQ graphs are converted to integer form. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skive/exec.h>
#include <skive/quant.h>
#include <skive/zoo.h>

#include "graph/graph.h"
#include "passes/pass.h"
#include "support.h"

#include <cmocka.h>

/* A small stream of random choices. */
typedef struct dice {
    uint64_t seed, at;
} dice;

static int64_t roll(dice *d, int64_t low, int64_t high) {
    return low + (int64_t)skv_rng_below(d->seed, 77, d->at++, (uint64_t)(high - low + 1));
}

static bool coin(dice *d, int percent) { return roll(d, 1, 100) <= percent; }

static skive_value *parameter(skive_context *ctx, skv_builder *b, skive_tensor *t) {
    skv_storage *s = NULL;
    skv_test_ok(ctx, skv_storage_from_tensor(ctx, t, &s));
    skive_tensor_free(ctx, t);
    return skv_emit_param(b, NULL, s);
}

/* Numbers of one of several kinds: anything, the extremes only, or one of them throughout. */
static skive_tensor integers(skive_context *ctx, dice *d, skive_dtype dtype, int rank, const int64_t *dims, double low,
                             double high) {
    skive_tensor t = skv_test_random(ctx, dtype, rank, dims, (uint64_t)roll(d, 1, 1 << 30), low, high + 1);
    const int64_t kind = roll(d, 0, 5);
    for (int64_t i = 0; kind < 2 && i < skive_tensor_count(&t); i++) {
        const double v = kind == 0 && roll(d, 0, 1) ? low : high;
        if (dtype == SKIVE_U8)
            ((uint8_t *)t.data)[i] = (uint8_t)v;
        else
            ((int8_t *)t.data)[i] = (int8_t)v;
    }
    return t;
}

/* Of four neighbouring input channels one or two stay, for each output and tap. */
static void thin_nm(dice *d, skive_tensor *w) {
    const int64_t m = w->dims[0], c = w->dims[1], window = skive_tensor_count(w) / m / c, stay = roll(d, 1, 2);
    for (int64_t i = 0; i < m * window; i++)
        for (int64_t from = 0; from < c; from += 4) {
            const int64_t first = roll(d, 0, 3);
            for (int64_t k = 0; k < 4 && from + k < c; k++)
                if ((k + first) % 4 >= stay) ((int8_t *)w->data)[(i / window * c + from + k) * window + i % window] = 0;
        }
}

static bool is_nm;                 /* the weights of now */
static int sparse_steps, nm_steps; /* of all plans */

/* Makes most of the weights [m][k] zero: one by one, or four outputs at once, or so many of each four inputs. */
static void thin(dice *d, skive_tensor *w) {
    is_nm = coin(d, 35);
    if (is_nm) {
        thin_nm(d, w);
        return;
    }
    const int64_t m = w->dims[0], k = skive_tensor_count(w) / m, of = coin(d, 50) ? 4 : 1;
    const int percent = coin(d, 20) ? 100 : coin(d, 30) ? 60 : (int)roll(d, 80, 98);
    for (int64_t o = 0; o < m; o += of)
        for (int64_t i = 0; i < k; i++)
            for (int64_t r = o, zero = coin(d, percent); zero && r < o + of && r < m; r++)
                ((int8_t *)w->data)[r * k + i] = 0;
}

static int winograd_steps; /* of all plans */

/* Sometimes weights of few bits, all multiples of a number. */
static void coarsen(dice *d, skive_tensor *w) {
    static const int low[] = {-8, -2, -1, -1, -3}, high[] = {7, 1, 1, 1, 2};
    if (coin(d, 40)) return;
    const int64_t kind = roll(d, 0, 4), most = 127 / (high[kind] + 1);
    const int64_t factor = coin(d, 30) ? 1 : coin(d, 30) ? 16 : roll(d, 1, most);
    int8_t *v = w->data;
    for (int64_t i = 0; i < skive_tensor_count(w); i++) {
        const int64_t code = v[i] < 0 ? v[i] * -low[kind] / 128 : (v[i] * (high[kind] + 1)) / 128;
        v[i] = (int8_t)((kind == 2 ? (v[i] < 0 ? -1 : 1) : code) * (factor > most ? most : factor));
    }
}

/* All outputs on `x`, by the reference alone or by the kernels of choice on two threads. */
static void evaluate_as(skive_context *ctx, const skive_graph *g, const skive_tensor *x, size_t n_x, bool reference,
                        bool fixed, skive_tensor *out) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor view;
    o.reference = reference;
    o.fixed_multipliers = fixed;
    o.threads = reference ? 1 : 2;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    for (size_t i = 0; !reference && i < skive_plan_step_count(plan); i++) {
        skive_plan_step step;
        skive_plan_step_get(plan, i, &step);
        const bool sparse = strcmp(step.kernel, "qgemm_u8s8_sparse") == 0;
        sparse_steps += sparse;
        nm_steps += sparse && is_nm;
        winograd_steps += strcmp(step.kernel, "qconv_winograd_u8s8_avx2") == 0;
        if (step.op[0] == 'Q' && strcmp(step.kernel, "reference") == 0) fail_msg("%s runs on the reference", step.op);
    }
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    for (size_t i = 0; i < n_x; i++) {
        skv_test_ok(ctx, skive_exec_input(exec, i, &view));
        assert_int_equal(skive_tensor_bytes(&view), skive_tensor_bytes(&x[i]));
        memcpy(view.data, x[i].data, skive_tensor_bytes(&view));
    }
    skv_test_ok(ctx, skive_exec_run(exec));
    for (size_t i = 0; i < g->n_outputs; i++) {
        skv_test_ok(ctx, skive_exec_output(exec, i, &view));
        skv_test_ok(ctx, skive_tensor_copy(ctx, &view, &out[i]));
    }
    skive_exec_free(exec);
    skive_plan_free(plan);
}

static void evaluate(skive_context *ctx, const skive_graph *g, const skive_tensor *x, size_t n_x, bool reference,
                     skive_tensor *out) {
    evaluate_as(ctx, g, x, n_x, reference, false, out);
}

/* All outputs on `x` as the file's own nodes define them: each by its reference, nothing rewritten, so that what lies
 * between DequantizeLinear and QuantizeLinear is computed in float. */
static void evaluate_in_float(skive_context *ctx, const skive_graph *g, const skive_tensor *x, skive_tensor *out) {
    skive_node **order = NULL;
    skive_tensor *values = calloc(g->n_values, sizeof *values);
    bool *made = calloc(g->n_values, sizeof *made);
    assert_true(values && made);
    for (uint32_t i = 0; i < g->n_inputs; i++) values[g->inputs[i]->id] = x[i];
    skv_test_ok(ctx, skv_graph_topo(g, &order));
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = order[i];
        const skive_tensor *in[8] = {0};
        skive_tensor y[4] = {0};
        assert_true(n->n_inputs <= 8 && n->n_outputs <= 4);
        for (uint32_t k = 0; k < n->n_inputs; k++) {
            const skive_value *v = n->inputs[k];
            in[k] = !v ? NULL : v->storage ? skv_value_tensor(v) : &values[v->id];
        }
        skv_test_ok(ctx, skv_op_evaluate(ctx, n, in, n->n_inputs, y, n->n_outputs));
        for (uint32_t k = 0; k < n->n_outputs; k++) {
            values[n->outputs[k]->id] = y[k];
            made[n->outputs[k]->id] = true;
        }
    }
    for (uint32_t i = 0; i < g->n_outputs; i++)
        skv_test_ok(ctx, skive_tensor_copy(ctx, &values[g->outputs[i]->id], &out[i]));
    for (uint32_t i = 0; i < g->n_values; i++) {
        if (made[i]) skive_tensor_free(ctx, &values[i]);
    }
    skv_free(ctx, order);
    free(values);
    free(made);
}

static void same_bits_as(skive_context *ctx, skive_graph *g, const skive_tensor *x, size_t n_x, bool fixed,
                         const char *what) {
    skive_tensor fast, slow;
    evaluate_as(ctx, g, x, n_x, false, fixed, &fast);
    evaluate_as(ctx, g, x, n_x, true, fixed, &slow);
    const size_t bytes = skive_tensor_bytes(&slow);
    assert_int_equal(skive_tensor_bytes(&fast), bytes);
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char a = ((unsigned char *)fast.data)[i], b = ((unsigned char *)slow.data)[i];
        if (a != b)
            fail_msg("%s, %s multipliers: byte %zu of %zu is %u, the reference gives %u", what,
                     fixed ? "fixed-point" : "float", i, bytes, a, b);
    }
    skive_tensor_free(ctx, &fast);
    skive_tensor_free(ctx, &slow);
}

/* With float multipliers and in fixed point. */
static void same_bits(skive_context *ctx, skive_graph *g, const skive_tensor *x, size_t n_x, const char *what) {
    same_bits_as(ctx, g, x, n_x, false, what);
    same_bits_as(ctx, g, x, n_x, true, what);
}

static skive_graph *graph_of(skive_context *ctx, const skive_tensor *x, size_t n, skive_value **in) {
    static const char *const names[] = {"a", "b"};
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "test", &g));
    for (size_t i = 0; i < n; i++) {
        const skive_type t = skive_type_make(x[i].dtype, x[i].rank, x[i].dims);
        skv_test_ok(ctx, skive_graph_add_input(g, names[i], &t, &in[i]));
    }
    return g;
}

static void finish(skive_context *ctx, skive_graph *g, skv_builder *b, skive_value *y) {
    skv_test_ok(ctx, b->status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
}

/* The output's type, zero point and limits; multipliers that keep most results inside, some that saturate, and powers
 * of two, which make ties. */
static size_t output_attrs(dice *d, skv_attr_init *to) {
    const int64_t kind = roll(d, 0, 3);
    const int64_t low = kind == 2 ? -128 : 0, high = low + 255;
    to[0] = SKV_STR("y_dtype", kind == 3 ? "float" : kind == 2 ? "s8" : "u8");
    if (kind == 3) return 1;
    const int64_t lo = coin(d, 40) ? roll(d, low, high) : low;
    to[1] = SKV_INT("y_zero_point", coin(d, 30) ? (coin(d, 50) ? low : high) : roll(d, low, high));
    to[2] = SKV_INT("clamp_lo", lo);
    to[3] = SKV_INT("clamp_hi", coin(d, 40) ? roll(d, lo, high) : high);
    return 4;
}

static void fill_multipliers(dice *d, int64_t terms, double *m, int64_t n) {
    const int64_t kind = roll(d, 0, 3);
    for (int64_t i = 0; i < n; i++) {
        const double usual = 1.0 / (80.0 * sqrt((double)terms)) * (1 + (double)roll(d, 0, 1000) / 500);
        m[i] = kind == 0 ? 0.5 : kind == 1 && coin(d, 20) ? 1e6 : kind == 2 && coin(d, 20) ? 0 : (double)(float)usual;
    }
}

static skive_value *bias_of(skive_context *ctx, dice *d, skv_builder *b, int64_t m, int64_t terms) {
    if (coin(d, 25)) return NULL;
    const double reach = coin(d, 10) ? 1e9 : 40.0 * (double)terms;
    skive_tensor t = skv_test_random(ctx, SKIVE_I32, 1, &m, (uint64_t)roll(d, 1, 1 << 30), -reach, reach);
    return parameter(ctx, b, &t);
}

/* square: windows of 3x3 over many channels and positions, for which there is Winograd's algorithm. */
static void convolution_of(skive_context *ctx, uint64_t seed, bool square) {
    dice d = {seed, 0};
    char what[64];
    (void)snprintf(what, sizeof what, "QConv, seed %llu", (unsigned long long)seed);
    const int spatial = square || coin(&d, 80) ? 2 : coin(&d, 60) ? 1 : 3, rank = spatial + 2;
    const bool depthwise = !square && coin(&d, 25);
    const int64_t groups = square ? 1 : depthwise ? roll(&d, 2, 70) : coin(&d, 80) ? 1 : roll(&d, 2, 4);
    const int64_t per_in = square         ? 16 * roll(&d, 2, 5)
                           : depthwise    ? 1
                           : coin(&d, 50) ? roll(&d, 1, 9)
                                          : 4 * roll(&d, 1, 20);
    const int64_t per_out = square                      ? roll(&d, 16, 40)
                            : depthwise && coin(&d, 80) ? 1
                            : coin(&d, 50)              ? roll(&d, 1, 40)
                                                        : 16 * roll(&d, 1, 6);
    int64_t x_dims[5] = {roll(&d, 1, 3), groups * per_in}, w_dims[5] = {groups * per_out, per_in};
    int64_t strides[3], dilations[3], pads[6], terms = per_in;
    for (int a = 0; a < spatial; a++) {
        const int64_t kernel = square ? 3 : coin(&d, 35) ? 1 : roll(&d, 1, spatial == 3 ? 3 : 5);
        dilations[a] = square || coin(&d, 80) ? 1 : 2;
        strides[a] = square || coin(&d, 70) ? 1 : roll(&d, 2, 3);
        pads[a] = coin(&d, 50) ? 0 : roll(&d, 0, square ? 2 : 3);
        pads[spatial + a] = coin(&d, 50) ? pads[a] : roll(&d, 0, 2);
        const int64_t reach = (kernel - 1) * dilations[a] + 1;
        x_dims[2 + a] = square ? roll(&d, 10, 23) : roll(&d, 1, spatial == 3 ? 6 : coin(&d, 80) ? 14 : 24);
        if (x_dims[2 + a] + pads[a] + pads[spatial + a] < reach) x_dims[2 + a] = reach;
        w_dims[2 + a] = kernel;
        terms *= kernel;
    }
    const bool adds = coin(&d, 30);
    skive_tensor x[2] = {integers(ctx, &d, SKIVE_U8, rank, x_dims, 0, 255)};
    skive_tensor w = integers(ctx, &d, SKIVE_I8, rank, w_dims, -128, 127);
    is_nm = false;
    if (!square && coin(&d, 35)) thin(&d, &w);
    if (!square) coarsen(&d, &w);
    int64_t y_dims[5] = {x_dims[0], w_dims[0]};
    for (int a = 0; a < spatial; a++) {
        const int64_t reach = (w_dims[2 + a] - 1) * dilations[a] + 1;
        y_dims[2 + a] = (x_dims[2 + a] + pads[a] + pads[spatial + a] - reach) / strides[a] + 1;
    }
    if (adds) x[1] = integers(ctx, &d, SKIVE_U8, rank, y_dims, 0, 255);
    skive_value *in[2];
    skive_graph *g = graph_of(ctx, x, adds ? 2 : 1, in);
    skv_builder b = skv_build(g);
    double *multiplier = calloc((size_t)w_dims[0], sizeof *multiplier);
    assert_non_null(multiplier);
    fill_multipliers(&d, terms, multiplier, w_dims[0]);
    skv_attr_init attrs[16] = {SKV_INTS("strides", strides, (size_t)spatial),
                               SKV_INTS("dilations", dilations, (size_t)spatial),
                               SKV_INTS("pads", pads, 2 * (size_t)spatial),
                               SKV_INT("group", groups),
                               SKV_INT("x_zero_point", coin(&d, 50) ? (coin(&d, 80) ? 0 : 255) : roll(&d, 0, 255)),
                               SKV_FLTS("multiplier", multiplier, (size_t)w_dims[0])};
    size_t n_attrs = 6 + output_attrs(&d, attrs + 6);
    skive_value *weights = parameter(ctx, &b, &w), *bias = bias_of(ctx, &d, &b, w_dims[0], terms), *y;
    if (adds) {
        attrs[6] = SKV_STR("y_dtype", "u8");
        attrs[7] = SKV_INT("y_zero_point", coin(&d, 30) ? 0 : roll(&d, 0, 255));
        attrs[8] = SKV_INT("clamp_lo", coin(&d, 50) ? roll(&d, 0, 120) : 0);
        attrs[9] = SKV_FLT("y_scale", (double)roll(&d, 1, 3000) / 1000);
        for (int64_t i = 0; i < w_dims[0]; i++) multiplier[i] = multiplier[i] < 0.9 ? multiplier[i] : 0.9;
        attrs[10] = SKV_FLT("other_scale", coin(&d, 10) ? 1e5 : (double)roll(&d, 1, 3000) / 1000);
        attrs[11] = SKV_INT("other_zp", coin(&d, 60) ? 0 : roll(&d, 0, 255));
        attrs[12] = SKV_FLT("sum_scale", coin(&d, 50) ? 1 : 0.7);
        attrs[13] = SKV_INT("sum_zp", coin(&d, 60) ? 0 : roll(&d, 0, 255));
        attrs[14] = SKV_INT("sum_lo", coin(&d, 50) ? roll(&d, 0, 200) : 0);
        attrs[15] = SKV_INT("sum_hi", coin(&d, 50) ? roll(&d, 200, 255) : 255);
        n_attrs = 16;
        y = skv_emit(&b, "QConvAdd", SKV_IN(in[0], weights, bias, in[1]), (skv_attr_list){attrs, n_attrs});
    } else {
        y = skv_emit(&b, "QConv", bias ? SKV_IN(in[0], weights, bias) : SKV_IN(in[0], weights),
                     (skv_attr_list){attrs, n_attrs});
    }
    finish(ctx, g, &b, y);
    same_bits(ctx, g, x, adds ? 2 : 1, what);
    free(multiplier);
    skive_tensor_free(ctx, &x[0]);
    if (adds) skive_tensor_free(ctx, &x[1]);
    skive_graph_free(g);
}

static void convolution(skive_context *ctx, uint64_t seed) { convolution_of(ctx, seed, false); }

static void product(skive_context *ctx, uint64_t seed) {
    dice d = {seed, 0};
    char what[64];
    (void)snprintf(what, sizeof what, "QGemm, seed %llu", (unsigned long long)seed);
    const int64_t m = coin(&d, 40) ? 1 : roll(&d, 1, 40), k = roll(&d, 1, 300), n = roll(&d, 1, 90);
    skive_tensor x = integers(ctx, &d, SKIVE_U8, 2, (const int64_t[]){m, k}, 0, 255);
    skive_tensor w = integers(ctx, &d, SKIVE_I8, 2, (const int64_t[]){n, k}, -128, 127);
    is_nm = false;
    if (coin(&d, 30)) thin(&d, &w);
    coarsen(&d, &w);
    skive_value *in[1];
    skive_graph *g = graph_of(ctx, &x, 1, in);
    skv_builder b = skv_build(g);
    double multiplier[90];
    fill_multipliers(&d, k, multiplier, n);
    skv_attr_init attrs[6] = {SKV_INT("x_zero_point", roll(&d, 0, 255)), SKV_FLTS("multiplier", multiplier, (size_t)n)};
    const size_t n_attrs = 2 + output_attrs(&d, attrs + 2);
    skive_value *weights = parameter(ctx, &b, &w), *bias = bias_of(ctx, &d, &b, n, k);
    skive_value *y = skv_emit(&b, "QGemm", bias ? SKV_IN(in[0], weights, bias) : SKV_IN(in[0], weights),
                              (skv_attr_list){attrs, n_attrs});
    finish(ctx, g, &b, y);
    same_bits(ctx, g, &x, 1, what);
    skive_tensor_free(ctx, &x);
    skive_graph_free(g);
}

enum { CONVOLUTIONS = 600, SQUARES = 30, PRODUCTS = 150, OTHERS = 60 };

static void convolutions(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    sparse_steps = nm_steps = 0;
    for (uint64_t seed = 1; seed <= skv_test_rounds(CONVOLUTIONS); seed++) convolution(ctx, seed);
    bool dense_is_fast = false; /* so that most N:M patterns are left to it */
    SKV_ON(AVX512_VNNI, dense_is_fast = skv_isa_has(skv_cpu_isa(), SKV_ISA_AVX512_VNNI);)
    if (skv_test_rounds(CONVOLUTIONS) == CONVOLUTIONS) assert_true(sparse_steps > 3 && (dense_is_fast || nm_steps > 1));
    skv_test_context_end(ctx);
}

static void square_windows(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    winograd_steps = 0;
    for (uint64_t seed = 1; seed <= skv_test_rounds(SQUARES); seed++) convolution_of(ctx, seed, true);
    const bool all = skv_test_rounds(SQUARES) == SQUARES;
    SKV_ON(AVX2, if (all && skv_cpu_isa() == SKV_ISA_AVX2) assert_true(winograd_steps > 5);)
    (void)all;
    skv_test_context_end(ctx);
}

static void products(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (uint64_t seed = 1; seed <= skv_test_rounds(PRODUCTS); seed++) product(ctx, seed);
    skv_test_context_end(ctx);
}

/* A plan has a step of a kernel of this name. */
static void runs_on(skive_context *ctx, const skive_graph *g, const char *kernel) {
    skive_plan *plan = NULL;
    bool found = false;
    skv_test_ok(ctx, skive_plan_create(ctx, g, NULL, &plan));
    for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
        skive_plan_step step;
        skive_plan_step_get(plan, i, &step);
        found = found || strstr(step.kernel, kernel);
    }
    skive_plan_free(plan);
    if (!found) fail_msg("nothing runs on %s", kernel);
}

/* Signs of float32 numbers times weights of one bit. */
static void signs(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (uint64_t seed = 1; seed <= skv_test_rounds(OTHERS); seed++) {
        dice d = {seed, 0};
        const bool conv = coin(&d, 70);
        const int64_t c = coin(&d, 40) ? 64 * roll(&d, 1, 4) : roll(&d, 1, 200), m = roll(&d, 1, 80);
        const int64_t kernel = conv ? roll(&d, 1, 3) : 1, side = roll(&d, kernel, 9), pad = roll(&d, 0, 2);
        const int64_t pads[4] = {pad, roll(&d, 0, pad), roll(&d, 0, 2), pad}, stride[2] = {roll(&d, 1, 2), 1};
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, conv ? 4 : 2,
                                         (const int64_t[]){roll(&d, 1, 9), c, side, side + 1}, seed, -1, 1);
        skive_tensor w =
            skv_test_random(ctx, SKIVE_I8, conv ? 4 : 2, (const int64_t[]){m, c, kernel, kernel}, seed + 1, -128, 127);
        const int64_t factor = roll(&d, 1, 127);
        for (int64_t i = 0; i < skive_tensor_count(&w); i++)
            ((int8_t *)w.data)[i] = (int8_t)(((int8_t *)w.data)[i] < 0 ? -factor : factor);
        ((float *)x.data)[0] = NAN;
        skive_value *in[1];
        skive_graph *g = graph_of(ctx, &x, 1, in);
        skv_builder b = skv_build(g);
        double multiplier[80];
        fill_multipliers(&d, c * kernel * kernel * factor / 8 + 1, multiplier, m);
        skv_attr_init attrs[8] = {SKV_INT("x_zero_point", 1), SKV_FLTS("multiplier", multiplier, (size_t)m)};
        size_t n = 2 + output_attrs(&d, attrs + 2);
        if (conv) {
            attrs[n++] = SKV_INTS("pads", pads, 4);
            attrs[n++] = SKV_INTS("strides", stride, 2);
        }
        skive_value *bias = bias_of(ctx, &d, &b, m, c), *weights = parameter(ctx, &b, &w);
        skive_value *positive =
            skv_emit(&b, "GreaterOrEqual", SKV_IN(in[0], skv_emit_scalar(&b, SKIVE_F32, 0)), SKV_NONE);
        skive_value *codes =
            skv_emit(&b, "Where", SKV_IN(positive, skv_emit_scalar(&b, SKIVE_U8, 2), skv_emit_scalar(&b, SKIVE_U8, 0)),
                     SKV_NONE);
        finish(ctx, g, &b,
               skv_emit(&b, conv ? "QConv" : "QGemm", bias ? SKV_IN(codes, weights, bias) : SKV_IN(codes, weights),
                        (skv_attr_list){attrs, n}));
        runs_on(ctx, g, "xnor");
        same_bits(ctx, g, &x, 1, "signs");
        skive_tensor_free(ctx, &x);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

static void sums(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (uint64_t seed = 1; seed <= skv_test_rounds(OTHERS); seed++) {
        dice d = {seed, 0};
        const int64_t dims[4] = {roll(&d, 1, 2), roll(&d, 1, 40), roll(&d, 1, 9), roll(&d, 1, 60)};
        skive_tensor x[2] = {integers(ctx, &d, SKIVE_U8, 4, dims, 0, 255),
                             integers(ctx, &d, SKIVE_U8, 4, dims, 0, 255)};
        skive_value *in[2];
        skive_graph *g = graph_of(ctx, x, 2, in);
        skv_builder b = skv_build(g);
        const double scale = coin(&d, 30) ? 0.5 : (double)roll(&d, 1, 3000) / 1000;
        skv_attr_init attrs[9] = {SKV_FLT("a_scale", scale),
                                  SKV_FLT("b_scale", coin(&d, 10) ? 1e5 : (double)roll(&d, 1, 3000) / 1000),
                                  SKV_FLT("y_scale", 1),
                                  SKV_INT("a_zp", roll(&d, 0, 255)),
                                  SKV_INT("b_zp", roll(&d, 0, 255)),
                                  SKV_INT("y_zp", roll(&d, 0, 127)),
                                  SKV_INT("clamp_lo", roll(&d, 0, 60)),
                                  SKV_INT("clamp_hi", roll(&d, 60, 127)),
                                  SKV_STR("y_dtype", coin(&d, 50) ? "u8" : "s8")};
        finish(ctx, g, &b, skv_emit(&b, "QAdd", SKV_IN(in[0], in[1]), (skv_attr_list){attrs, 9}));
        same_bits(ctx, g, x, 2, "QAdd");
        skive_tensor_free(ctx, &x[0]);
        skive_tensor_free(ctx, &x[1]);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

static void pools(void **state) {
    static const char *const ops[] = {"MaxPool", "QAveragePool", "QGlobalAveragePool"};
    skive_context *ctx = skv_test_context();
    (void)state;
    for (uint64_t seed = 1; seed <= 3 * OTHERS; seed++) {
        dice d = {seed, 0};
        const char *op = ops[seed % 3];
        const int spatial = (int)roll(&d, 1, 3);
        int64_t dims[5] = {roll(&d, 1, 3), roll(&d, 1, 80)}, kernel[3], strides[3], pads[6], window = 1;
        for (int a = 0; a < spatial; a++) {
            kernel[a] = roll(&d, 1, 3);
            strides[a] = roll(&d, 1, 3);
            pads[a] = pads[spatial + a] = coin(&d, 50) ? 0 : roll(&d, 0, kernel[a] - 1);
            dims[2 + a] = roll(&d, kernel[a], 9);
            window *= kernel[a];
        }
        skive_tensor x = integers(ctx, &d, SKIVE_U8, spatial + 2, dims, 0, 255);
        skive_value *in[1];
        skive_graph *g = graph_of(ctx, &x, 1, in);
        skv_builder b = skv_build(g);
        skv_attr_init attrs[10] = {SKV_INTS("kernel_shape", kernel, (size_t)spatial),
                                   SKV_INTS("strides", strides, (size_t)spatial),
                                   SKV_INTS("pads", pads, 2 * (size_t)spatial), SKV_INT("count_include_pad", 1)};
        const skv_attr_init mean[2] = {
            SKV_FLT("multiplier", coin(&d, 30) ? 0.5 : (double)(float)(1.3 / (double)window)),
            SKV_INT("x_zero_point", roll(&d, 0, 255))};
        skv_attr_list list = {attrs, 3};
        if (seed % 3) {
            memcpy(attrs + 4, mean, sizeof mean);
            const size_t n = output_attrs(&d, attrs + 6);
            list = seed % 3 == 1 ? (skv_attr_list){attrs, 6 + n} : (skv_attr_list){attrs + 4, 2 + n};
        }
        finish(ctx, g, &b, skv_emit(&b, op, SKV_IN(in[0]), list));
        same_bits(ctx, g, &x, 1, op);
        skive_tensor_free(ctx, &x);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

static void quantizing(void **state) {
    skive_context *ctx = skv_test_context();
    static const float special[] = {NAN,  INFINITY, -INFINITY, 0.0f,   -0.0f,  0.25f,  -0.25f,  0.75f,
                                    1e9f, -1e9f,    3e38f,     -3e38f, 1e-40f, 63.75f, -63.75f, 64.25f};
    (void)state;
    for (uint64_t seed = 1; seed <= skv_test_rounds(OTHERS); seed++) {
        dice d = {seed, 0};
        const skive_dtype dtype = coin(&d, 50) ? SKIVE_U8 : SKIVE_I8;
        const int64_t dims[3] = {2, roll(&d, 1, 30), roll(&d, 1, 300)};
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 3, dims, seed, -100, 100);
        for (size_t i = 0; i < sizeof special / sizeof *special && (int64_t)i < skive_tensor_count(&x); i++)
            ((float *)x.data)[i] = special[i];
        skive_value *in[1];
        skive_graph *g = graph_of(ctx, &x, 1, in);
        skv_builder b = skv_build(g);
        skive_value *scale = skv_emit_scalar(&b, SKIVE_F32, coin(&d, 50) ? 0.5 : (double)roll(&d, 1, 2000) / 1000);
        skive_value *zero = skv_emit_scalar(&b, dtype, (double)roll(&d, dtype == SKIVE_U8 ? 0 : -128, 127));
        skive_value *y = skv_emit(&b, "QuantizeLinear", SKV_IN(in[0], scale, zero), SKV_NONE);
        if (coin(&d, 50)) y = skv_emit(&b, "DequantizeLinear", SKV_IN(y, scale, zero), SKV_NONE);
        finish(ctx, g, &b, y);
        same_bits(ctx, g, &x, 1, "QuantizeLinear, DequantizeLinear");
        skive_tensor_free(ctx, &x);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

/* ---- whole networks ---- */

static skive_status feed(void *user, int64_t index, skive_tensor *inputs, size_t n) {
    (void)n;
    if (index >= *(int64_t *)user) return SKIVE_ERR_NOT_FOUND;
    float *x = inputs[0].data;
    for (int64_t i = 0; i < skive_tensor_count(&inputs[0]); i++)
        x[i] = (float)skv_rng_normal(9, (uint64_t)index, (uint64_t)i);
    return SKIVE_OK;
}

static skive_graph *quantized(skive_context *ctx, const char *spec, int64_t channels, int64_t size) {
    skive_graph *g = NULL;
    skive_zoo_options o = skive_zoo_options_default();
    skive_quantize_options q = skive_quantize_options_default();
    int64_t runs = 4;
    o.dims[0] = channels;
    o.dims[1] = o.dims[2] = size;
    q.calibration = "minmax";
    skv_test_ok(ctx, skive_zoo_build(ctx, spec, &o, &g));
    skv_test_ok(ctx, skive_quantize_feed(ctx, g, feed, &runs, &q, NULL));
    return g;
}

static void absorb(skive_context *ctx, skive_graph *g) {
    const skv_pass_env env = {.ctx = ctx};
    size_t changes;
    skv_test_ok(ctx, skive_graph_infer(g));
    skv_test_ok(ctx, skv_passes_run(&env, g, SKV_PASS_CLEAN | SKV_PASS_INTEGER | SKV_PASS_EXECUTE, &changes));
    skv_test_ok(ctx, skive_graph_infer(g));
}

static size_t count_ops(const skive_graph *g, const char *op) {
    size_t n = 0;
    for (uint32_t i = 0; i < g->n_nodes; i++) n += strcmp(skive_node_op(g->nodes[i]), op) == 0;
    return n;
}

static void fix_batch(skive_graph *g, int64_t n) { g->inputs[0]->type.dims[0] = (skive_dim){n, NULL}; }

/* The integer form holds one QuantizeLinear, for the input, and its kernels give the bits of the reference. */
static void networks_run_in_integers(void **state) {
    static const struct {
        const char *spec;
        int64_t channels, size;
    } nets[] = {{"lenet5", 1, 28},       {"vgg-small:0.3", 3, 20},   {"resnet20:0.5", 3, 16},
                {"resnet50:0.1", 3, 40}, {"mobilenetv2:0.3", 3, 32}, {"mlp:30,20", 1, 12}};
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = quantized(ctx, nets[i].spec, nets[i].channels, nets[i].size);
        fix_batch(g, 2);
        absorb(ctx, g);
        assert_int_equal(count_ops(g, "QuantizeLinear"), 1);
        assert_int_equal(count_ops(g, "DequantizeLinear"), 0);
        assert_int_equal(count_ops(g, "QAdd"), 0);
        assert_int_equal(count_ops(g, "QConvAdd") > 0, strstr(nets[i].spec, "resnet") || strstr(nets[i].spec, "v2"));
        assert_int_equal(count_ops(g, "Conv") + count_ops(g, "Gemm") + count_ops(g, "Relu") + count_ops(g, "Add"), 0);
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 4,
                                         (const int64_t[]){2, nets[i].channels, nets[i].size, nets[i].size}, 3, -2, 2);
        same_bits(ctx, g, &x, 1, nets[i].spec);
        skive_tensor_free(ctx, &x);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* The Q/DQ file run node by node in float and its integer form agree to the grids' steps. */
static void integer_form_means_the_same(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = quantized(ctx, "resnet20:0.5", 3, 16);
    skive_tensor x = skv_test_random(ctx, SKIVE_F32, 4, (const int64_t[]){1, 3, 16, 16}, 3, -2, 2), out[2];
    (void)state;
    fix_batch(g, 1);
    skv_test_ok(ctx, skive_graph_infer(g));
    evaluate(ctx, g, &x, 1, false, &out[0]);
    evaluate_in_float(ctx, g, &x, &out[1]);
    double power = 0, error = 0;
    for (int64_t i = 0; i < skive_tensor_count(&out[0]); i++) {
        const double a = skive_tensor_get(&out[0], i), b = skive_tensor_get(&out[1], i);
        power += b * b;
        error += (a - b) * (a - b);
    }
    assert_true(power > 0 && error < 1e-3 * power);
    for (int k = 0; k < 2; k++) skive_tensor_free(ctx, &out[k]);
    skive_tensor_free(ctx, &x);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- one changed bit ---- */

/* Flips a bit of a weight, a zero point or a scale of the quantized graph; biases too. */
static void flip_a_bit(skive_context *ctx, skive_graph *g, uint64_t seed) {
    for (uint64_t attempt = 0;; attempt++) {
        skive_value *v = g->values[skv_rng_below(21, seed, 4 * attempt, g->n_values)];
        const skive_tensor *old = v ? skive_value_data(v) : NULL;
        if (!old || skive_tensor_bytes(old) == 0 || old->dtype == SKIVE_I64) continue;
        skive_tensor changed;
        skv_test_ok(ctx, skive_tensor_copy(ctx, old, &changed));
        const uint64_t at = skv_rng_below(21, seed, 4 * attempt + 1, skive_tensor_bytes(old));
        ((unsigned char *)changed.data)[at] ^= (unsigned char)(1u << skv_rng_below(21, seed, 4 * attempt + 2, 8));
        skv_test_ok(ctx, skive_value_set_data(v, &changed));
        skive_tensor_free(ctx, &changed);
        return;
    }
}

/* The outputs of one kind of plan; false when a product was left in float, where the order of a sum may show. */
static bool run_path(skive_context *ctx, const skive_graph *g, const skive_tensor *x, int path, skive_tensor *out) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor view;
    bool integers = true;
    o.no_fusion = path == 1;
    o.reference = path == 2;
    o.threads = path == 0 ? 2 : 1;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
        skive_plan_step step;
        skive_plan_step_get(plan, i, &step);
        if (!strcmp(step.op, "Conv") || !strcmp(step.op, "Gemm") || !strcmp(step.op, "MatMul")) integers = false;
    }
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &view));
    memcpy(view.data, x->data, skive_tensor_bytes(&view));
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
    skv_test_ok(ctx, skive_tensor_copy(ctx, &view, out));
    skive_exec_free(exec);
    skive_plan_free(plan);
    return integers;
}

/* Fused, node by node and by the reference: a quantized file gives the same bits, whatever its numbers are. */
static void paths_agree_on_changed_models(void **state) {
    enum { CHANGES = 150 };
    static const struct {
        const char *spec;
        int64_t channels, size;
    } nets[] = {{"lenet5:0.2", 1, 16}, {"resnet20:0.2", 3, 8}, {"mobilenetv2:0.1", 3, 32}, {"mlp:12,9", 1, 6}};
    size_t compared = 0, all = 0;
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = quantized(ctx, nets[i].spec, nets[i].channels, nets[i].size);
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 4,
                                         (const int64_t[]){1, nets[i].channels, nets[i].size, nets[i].size}, 5, -2, 2);
        fix_batch(g, 1);
        skv_test_ok(ctx, skive_graph_infer(g));
        for (uint64_t k = 0; k < skv_test_rounds(CHANGES); k++) {
            skive_graph *changed = NULL;
            skive_tensor out[3];
            bool integers = true;
            skv_test_ok(ctx, skive_graph_copy(ctx, g, &changed));
            flip_a_bit(ctx, changed, 1000 * i + k);
            for (int path = 0; path < 3; path++) integers = run_path(ctx, changed, &x, path, &out[path]) && integers;
            for (int path = 1; path < 3 && integers; path++) {
                if (memcmp(out[0].data, out[path].data, skive_tensor_bytes(&out[0])) != 0)
                    fail_msg("%s, change %d: %s differs", nets[i].spec, (int)k,
                             path == 1 ? "node by node" : "the reference");
            }
            compared += integers;
            all++;
            for (int path = 0; path < 3; path++) skive_tensor_free(ctx, &out[path]);
            skive_graph_free(changed);
        }
        skive_tensor_free(ctx, &x);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
    assert_true(compared > all * 3 / 4); /* the others have a scale that is no scale any more */
}

/* ---- single patterns ---- */

typedef struct pattern {
    bool wide_weights; /* uint8 around a zero point, columns first */
    bool overflow;     /* sums that would leave int32 */
    bool seen;         /* the float result is an output of the graph too */
    bool clip;         /* Clip to [-1, 1.5] */
    bool other_grid;   /* the bias comes on a grid of its own */
} pattern;

/* x -> Q -> DQ -> Gemm(DQ weights, bias) -> [Clip] -> Q -> DQ */
static skive_graph *gemm_pattern(skive_context *ctx, const pattern *p) {
    const int64_t k = p->overflow ? 120000 : 12, n = 5;
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type t = skive_type_make(SKIVE_F32, 2, (const int64_t[]){3, k});
    skv_test_ok(ctx, skive_graph_create(ctx, "test", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &t, &x));
    skv_builder b = skv_build(g);
    const int64_t w_dims[2] = {p->wide_weights ? k : n, p->wide_weights ? n : k};
    skive_tensor w = skv_test_random(ctx, p->wide_weights ? SKIVE_U8 : SKIVE_I8, 2, w_dims, 4,
                                     p->wide_weights ? 3 : -100, p->wide_weights ? 250 : 100);
    for (int64_t i = 0; p->overflow && i < n * k; i++) ((int8_t *)w.data)[i] = 127;
    skive_tensor s = skv_test_random(ctx, SKIVE_F32, 1, &n, 5, 0.01, 0.02);
    skive_tensor bias = skv_test_random(ctx, SKIVE_F32, 1, &n, 6, -2, 2);
    skive_value *sx = skv_emit_scalar(&b, SKIVE_F32, 0.03125), *zx = skv_emit_scalar(&b, SKIVE_U8, 100);
    skive_value *sy = skv_emit_scalar(&b, SKIVE_F32, 0.0625), *zy = skv_emit_scalar(&b, SKIVE_U8, 90);
    skive_value *q = skv_emit(&b, "QuantizeLinear", SKV_IN(x, sx, zx), SKV_NONE);
    skive_value *dq = skv_emit(&b, "DequantizeLinear", SKV_IN(q, sx, zx), SKV_NONE);
    skive_value *wq = parameter(ctx, &b, &w), *ws = parameter(ctx, &b, &s), *wz = NULL;
    if (p->wide_weights) {
        skive_tensor zero = skv_test_random(ctx, SKIVE_U8, 1, &n, 1, 127, 127.5);
        wz = parameter(ctx, &b, &zero);
    }
    skive_value *wf = skv_emit(&b, "DequantizeLinear", wz ? SKV_IN(wq, ws, wz) : SKV_IN(wq, ws),
                               SKV_ATTRS(SKV_INT("axis", p->wide_weights ? 1 : 0)));
    skive_value *c = parameter(ctx, &b, &bias);
    if (p->other_grid) {
        skive_tensor steps = skv_test_random(ctx, SKIVE_I32, 1, &n, 7, -900, 900);
        c = skv_emit(&b, "DequantizeLinear", SKV_IN(parameter(ctx, &b, &steps), skv_emit_scalar(&b, SKIVE_F32, 0.002)),
                     SKV_NONE);
    }
    skive_value *y = skv_emit(&b, "Gemm", SKV_IN(dq, wf, c), SKV_ATTRS(SKV_INT("transB", p->wide_weights ? 0 : 1)));
    if (p->seen) skv_test_ok(ctx, skive_graph_add_output(g, y));
    if (p->clip)
        y = skv_emit(&b, "Clip", SKV_IN(y, skv_emit_scalar(&b, SKIVE_F32, -1), skv_emit_scalar(&b, SKIVE_F32, 1.5)),
                     SKV_NONE);
    y = skv_emit(&b, "QuantizeLinear", SKV_IN(y, sy, zy), SKV_NONE);
    y = skv_emit(&b, "DequantizeLinear", SKV_IN(y, sy, zy), SKV_NONE);
    finish(ctx, g, &b, y);
    return g;
}

static void patterns_are_absorbed(void **state) {
    static const struct {
        pattern p;
        size_t products, clips, quantizers;
        bool real;
    } cases[] = {
        {{0}, 1, 0, 1, false},
        {{.wide_weights = true}, 1, 0, 1, false},
        {{.clip = true}, 1, 0, 1, false},
        {{.other_grid = true}, 1, 0, 1, false},
        {{.seen = true}, 1, 0, 2, true},
        {{.seen = true, .clip = true}, 1, 1, 2, true},
        {{.overflow = true}, 0, 0, 2, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = gemm_pattern(ctx, &cases[i].p);
        const size_t last = g->n_outputs - 1;
        const int64_t k = g->inputs[0]->type.dims[1].size;
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 2, (const int64_t[]){3, k}, 8, -3, 4), before[2], after[2];
        evaluate_in_float(ctx, g, &x, before);
        absorb(ctx, g);
        assert_int_equal(count_ops(g, "QGemm"), cases[i].products);
        assert_int_equal(count_ops(g, "Clip"), cases[i].clips);
        assert_int_equal(count_ops(g, "QuantizeLinear"), cases[i].quantizers);
        if (cases[i].real) assert_int_equal(g->outputs[0]->type.dtype, SKIVE_F32);
        evaluate(ctx, g, &x, 1, false, after);
        /* one step of the output's grid at most, which rounding in float may cost */
        skv_test_tensors(&after[last], &before[last], 0, 0.0626);
        for (size_t k2 = 0; k2 <= last; k2++) {
            skive_tensor_free(ctx, &before[k2]);
            skive_tensor_free(ctx, &after[k2]);
        }
        skive_tensor_free(ctx, &x);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* A channel without weights, as trained depthwise networks have, and with a bias: the quantizer gives it a scale in
 * which the bias can be counted, so that the node still runs in integers and the channel still answers its bias. */
static void channel_without_weights_keeps_its_bias(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *x = NULL;
    int64_t runs = 3;
    skive_quantize_options q = skive_quantize_options_default();
    const skive_type t = skive_type_make(SKIVE_F32, 4, (const int64_t[]){1, 3, 5, 5});
    (void)state;
    skv_test_ok(ctx, skive_graph_create(ctx, "test", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &t, &x));
    skv_builder b = skv_build(g);
    skive_tensor w = skv_test_random(ctx, SKIVE_F32, 4, (const int64_t[]){4, 3, 3, 3}, 4, -1, 1);
    skive_tensor bias = skv_test_random(ctx, SKIVE_F32, 1, (const int64_t[]){4}, 6, -2, 2);
    for (int i = 27; i < 54; i++) ((float *)w.data)[i] = i == 30 ? 1e-30f : 0;
    ((float *)bias.data)[1] = 3.0f;
    finish(ctx, g, &b, skv_emit(&b, "Conv", SKV_IN(x, parameter(ctx, &b, &w), parameter(ctx, &b, &bias)), SKV_NONE));
    for (int per_channel = 0; per_channel < 2; per_channel++) {
        skive_graph *copy = NULL;
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &copy));
        q.per_channel = per_channel;
        runs = 3;
        skv_test_ok(ctx, skive_quantize_feed(ctx, copy, feed, &runs, &q, NULL));
        absorb(ctx, copy);
        assert_int_equal(count_ops(copy, "QConv"), 1);
        skive_tensor in = skv_test_random(ctx, SKIVE_F32, 4, (const int64_t[]){1, 3, 5, 5}, 3, -2, 2), out;
        evaluate(ctx, copy, &in, 1, false, &out);
        for (int i = 9; i < 18; i++) assert_true(fabs(skive_tensor_get(&out, i) - 3.0) < 0.02);
        skive_tensor_free(ctx, &in);
        skive_tensor_free(ctx, &out);
        skive_graph_free(copy);
    }
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* x -> Quantize -> Dequantize -> product with its bias -> Relu (or not) -> Quantize (or not). form 0: Gemm, 1 and 2:
 * MatMul and Add, the bias second or first; 3: the bias a row of two dimensions, which no product takes. */
static skive_graph *product_with_bias(skive_context *ctx, const skive_tensor *x, int form, bool relu, bool rounds) {
    enum { K = 13, M = 21 };
    skive_value *in = NULL;
    skive_graph *g = graph_of(ctx, x, 1, &in);
    skv_builder b = skv_build(g);
    const int64_t w_dims[2] = {K, M}, row[2] = {1, M};
    skive_tensor w = skv_test_random(ctx, SKIVE_I8, 2, w_dims, 5, -127, 128);
    skive_tensor bias = skv_test_random(ctx, SKIVE_I32, form == 3 ? 2 : 1, form == 3 ? row : row + 1, 6, -9000, 9000);
    skive_value *sx = skv_emit_scalar(&b, SKIVE_F32, 0.03125), *zx = skv_emit_scalar(&b, SKIVE_U8, 120);
    skive_value *sw = skv_emit_scalar(&b, SKIVE_F32, 0.0078125), *sb = skv_emit_scalar(&b, SKIVE_F32, 0.000244140625);
    skive_value *q = skv_emit(&b, "QuantizeLinear", SKV_IN(in, sx, zx), SKV_NONE);
    skive_value *real = skv_emit(&b, "DequantizeLinear", SKV_IN(q, sx, zx), SKV_NONE);
    skive_value *rw = skv_emit(&b, "DequantizeLinear", SKV_IN(parameter(ctx, &b, &w), sw), SKV_NONE);
    skive_value *rb = skv_emit(&b, "DequantizeLinear", SKV_IN(parameter(ctx, &b, &bias), sb), SKV_NONE);
    skive_value *y = form == 0 ? skv_emit(&b, "Gemm", SKV_IN(real, rw, rb), SKV_NONE)
                               : skv_emit(&b, "MatMul", SKV_IN(real, rw), SKV_NONE);
    if (form > 0)
        y = form == 2 ? skv_emit(&b, "Add", SKV_IN(rb, y), SKV_NONE) : skv_emit(&b, "Add", SKV_IN(y, rb), SKV_NONE);
    if (relu) y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    if (rounds) {
        skive_value *sy = skv_emit_scalar(&b, SKIVE_F32, 0.11), *zy = skv_emit_scalar(&b, SKIVE_U8, relu ? 0 : 99);
        y = skv_emit(&b, "QuantizeLinear", SKV_IN(y, sy, zy), SKV_NONE);
        y = skv_emit(&b, "DequantizeLinear", SKV_IN(y, sy, zy), SKV_NONE);
    }
    finish(ctx, g, &b, y);
    return g;
}

static int steps_of(skive_context *ctx, const skive_graph *g, const char *op) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    int n = 0;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
        skive_plan_step step;
        skive_plan_step_get(plan, i, &step);
        n += strcmp(step.op, op) == 0;
    }
    skive_plan_free(plan);
    return n;
}

/* MatMul and Add are the integers that Gemm is. */
static void added_bias_joins_its_product(void **state) {
    skive_context *ctx = skv_test_context();
    skive_tensor x = skv_test_random(ctx, SKIVE_F32, 2, (const int64_t[]){7, 13}, 3, -4, 4);
    (void)state;
    for (int i = 0; i < 4; i++) {
        skive_tensor want, out;
        skive_graph *gemm = product_with_bias(ctx, &x, 0, i & 1, i & 2);
        evaluate(ctx, gemm, &x, 1, false, &want);
        for (int form = 1; form <= 3; form++) {
            skive_graph *g = product_with_bias(ctx, &x, form, i & 1, i & 2);
            assert_int_equal(steps_of(ctx, g, "QGemm"), 1);
            assert_int_equal(steps_of(ctx, g, "Add") > 0, form == 3);
            assert_int_equal(steps_of(ctx, g, "MatMul"), 0);
            evaluate(ctx, g, &x, 1, false, &out);
            assert_int_equal(skive_tensor_bytes(&out), skive_tensor_bytes(&want));
            if (form < 3) assert_memory_equal(out.data, want.data, skive_tensor_bytes(&want));
            skive_tensor_free(ctx, &out);
            skive_graph_free(g);
        }
        skive_tensor_free(ctx, &want);
        skive_graph_free(gemm);
    }
    skive_tensor_free(ctx, &x);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions),
        cmocka_unit_test(square_windows),
        cmocka_unit_test(products),
        cmocka_unit_test(signs),
        cmocka_unit_test(sums),
        cmocka_unit_test(pools),
        cmocka_unit_test(quantizing),
        cmocka_unit_test(networks_run_in_integers),
        cmocka_unit_test(integer_form_means_the_same),
        cmocka_unit_test(paths_agree_on_changed_models),
        cmocka_unit_test(patterns_are_absorbed),
        cmocka_unit_test(channel_without_weights_keeps_its_bias),
        cmocka_unit_test(added_bias_joins_its_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
