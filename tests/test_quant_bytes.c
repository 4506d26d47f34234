/* What stays bytes between quantized products: transposed convolutions, Concat, functions of one element, the step from
 * one grid to another. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <skive/skive.h>

#include "graph/graph.h"
#include "passes/pass.h"
#include "quant/moments.h"
#include "quant/quant.h"
#include "support.h"
#include "tensor/tensor.h"

#include <cmocka.h>

static skive_graph *graph_of(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims, skive_value **x) {
    skive_graph *g = NULL;
    const skive_type t = skive_type_make(dtype, rank, dims);
    skv_test_ok(ctx, skive_graph_create(ctx, "test", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &t, x));
    return g;
}

static void finish(skive_context *ctx, skive_graph *g, skv_builder *b, skive_value *y) {
    skv_test_ok(ctx, b->status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
}

static skive_value *param(skv_builder *b, const char *name, int rank, const int64_t *dims, double size) {
    skv_storage *storage = NULL;
    skive_context *ctx = b->graph->ctx;
    skive_tensor t = skv_test_random(ctx, SKIVE_F32, rank, dims, (uint64_t)name[0], -size, size);
    skv_test_ok(ctx, skv_storage_from_tensor(ctx, &t, &storage));
    skive_tensor_free(ctx, &t);
    return skv_emit_param(b, name, storage);
}

static size_t count(const skive_graph *g, const char *op) {
    size_t n = 0;
    for (uint32_t i = 0; i < g->n_nodes; i++) n += strcmp(skive_node_op(g->nodes[i]), op) == 0;
    return n;
}

static skive_tensor run(skive_context *ctx, const skive_graph *g, const skive_tensor *x) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor view, out;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &view));
    memcpy(view.data, x->data, skive_tensor_bytes(x));
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
    skv_test_ok(ctx, skive_tensor_create(ctx, view.dtype, view.rank, view.dims, &out));
    memcpy(out.data, view.data, skive_tensor_bytes(&view));
    skive_exec_free(exec);
    skive_plan_free(plan);
    return out;
}

/* The passes of a plan that concern integers. */
static void absorb(skive_context *ctx, skive_graph *g) {
    const skv_pass_env env = {.ctx = ctx};
    size_t changes;
    skv_test_ok(ctx, skv_passes_run(&env, g, SKV_PASS_CLEAN | SKV_PASS_INTEGER, &changes));
    skv_test_ok(ctx, skive_graph_infer(g));
}

/* ---- transposed convolutions ---- */

typedef struct shape {
    int64_t kernel[2], stride[2], pads[4], more[2], dilation, group;
    int limit; /* 0: none, 1: Relu, 2: Clip */
    bool bias;
} shape;

static skive_graph *transposed(skive_context *ctx, const shape *s) {
    const int64_t dims[] = {2, 4, 5, 6}, w[] = {4, 6 / s->group, s->kernel[0], s->kernel[1]}, m[] = {6};
    const int64_t dilations[] = {s->dilation, s->dilation};
    skive_value *x = NULL;
    skive_graph *g = graph_of(ctx, SKIVE_F32, 4, dims, &x);
    skv_builder b = skv_build(g);
    skive_value *weight = param(&b, "w", 4, w, 1), *in[] = {x, weight, s->bias ? param(&b, "bias", 1, m, 1) : NULL};
    skive_value *y = skv_emit(&b, "ConvTranspose", (skv_in_list){in, s->bias ? 3 : 2},
                              SKV_ATTRS(SKV_INTS("strides", s->stride, 2), SKV_INTS("pads", s->pads, 4),
                                        SKV_INTS("output_padding", s->more, 2), SKV_INTS("dilations", dilations, 2),
                                        SKV_INT("group", s->group)));
    skv_test_ok(ctx, b.status);
    skv_node_take_name(y->producer, "up");
    if (s->limit == 1) y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    if (s->limit == 2)
        y = skv_emit(&b, "Clip", SKV_IN(y, skv_emit_scalar(&b, SKIVE_F32, -1), skv_emit_scalar(&b, SKIVE_F32, 2)),
                     SKV_NONE);
    finish(ctx, g, &b, y);
    return g;
}

static void transposed_convolutions_keep_their_sums(void **unused) {
    const skive_quantize_options o = skive_quantize_options_default();
    size_t turned = 0;
    (void)unused;
    for (uint64_t seed = 0; seed < 150; seed++) {
        skive_context *ctx = skv_test_context();
        uint64_t at = 0;
#define PICK(n) ((int64_t)(skv_rng_uniform(seed, 1, at++) * (double)(n)))
        const int64_t stride = 1 + PICK(3);
        shape s = {.stride = {stride, stride}, .dilation = 1, .group = 1};
        s.limit = (int)PICK(3);
        s.bias = PICK(2);
        for (int i = 0; i < 2; i++) {
            s.kernel[i] = 1 + PICK(5);
            s.more[i] = PICK(stride);
            s.pads[i] = PICK(s.kernel[i] < 3 ? s.kernel[i] : 3);
            s.pads[2 + i] = PICK(s.kernel[i] < 3 ? s.kernel[i] : 3);
        }
#undef PICK
        skive_graph *g = transposed(ctx, &s), *turns = NULL;
        const char *name = skive_value_name(g->outputs[0]);
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 4, (const int64_t[]){2, 4, 5, 6}, seed, -1, 1);
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &turns));
        skv_test_ok(ctx, skv_quant_turn_transposed(turns, &o));
        const skive_node *up = skive_graph_find_node(turns, "up");
        assert_non_null(up);
        const bool is = strcmp(skive_node_op(up), "Conv") == 0;
        assert_int_equal(is, skv_quant_why_transposed(ctx, (skive_node *)skive_graph_find_node(g, "up")) == NULL);
        assert_int_equal(count(turns, "ConvTranspose"), !is);
        assert_string_equal(skive_value_name(turns->outputs[0]), name);
        assert_string_equal(skive_value_name(up->inputs[1]), "w");
        if (s.bias) assert_string_equal(skive_value_name(up->inputs[2]), "bias");
        turned += is;
        skive_tensor before = run(ctx, g, &x), after = run(ctx, turns, &x);
        skv_test_tensors(&after, &before, 1e-5, 1e-5);
        skive_tensor_free(ctx, &before);
        skive_tensor_free(ctx, &after);
        skive_tensor_free(ctx, &x);
        skive_graph_free(g);
        skive_graph_free(turns);
        skv_test_context_end(ctx);
    }
    assert_in_range(turned, 80, 149); /* of some most weights would be zeros */
}

static void what_is_not_turned_says_why(void **unused) {
    static const struct {
        shape s;
        const char *why;
    } cases[] = {
        {{.kernel = {2, 2}, .stride = {2, 2}, .dilation = 1, .group = 2}, "groups"},
        {{.kernel = {2, 2}, .stride = {2, 2}, .dilation = 2, .group = 1}, "dilated"},
        {{.kernel = {2, 2}, .stride = {2, 1}, .dilation = 1, .group = 1}, "strides differ"},
        {{.kernel = {1, 1}, .stride = {3, 3}, .dilation = 1, .group = 1}, "zeros"},
    };
    const skive_quantize_options o = skive_quantize_options_default();
    (void)unused;
    for (size_t i = 0; i < SKV_COUNT(cases); i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = transposed(ctx, &cases[i].s);
        assert_non_null(strstr(skv_quant_why_transposed(ctx, g->nodes[0]), cases[i].why));
        skv_test_ok(ctx, skv_quant_turn_transposed(g, &o));
        assert_int_equal(count(g, "ConvTranspose"), 1);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

static skive_status turn(skive_context *ctx, void *user) {
    const skive_quantize_options o = skive_quantize_options_default();
    skive_graph *g = NULL;
    SKV_TRY(skive_graph_copy(ctx, user, &g));
    const skive_status status = skv_quant_turn_transposed(g, &o);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **unused) {
    const shape s = {.kernel = {3, 3}, .stride = {2, 2}, .dilation = 1, .group = 1, .limit = 2, .bias = true};
    skive_context *ctx = skv_test_context();
    skive_graph *g = transposed(ctx, &s);
    (void)unused;
    assert_true(skv_test_walk_allocations(turn, g, 1) > 10);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- Concat ---- */

static skive_status feed(void *user, int64_t index, skive_tensor *inputs, size_t n) {
    (void)n;
    if (index >= *(int64_t *)user) return SKIVE_ERR_NOT_FOUND;
    float *x = inputs[0].data;
    for (int64_t i = 0; i < skive_tensor_count(&inputs[0]); i++)
        x[i] = (float)skv_rng_normal(9, (uint64_t)index, (uint64_t)i);
    return SKIVE_OK;
}

/* a = conv x; b = conv a; y = conv (concat (first, b)). The first: 0 a, which another node reads too and so has a grid
 * of its own; 1 MaxPool of a; 2 another convolution, only for the Concat; 3 Sigmoid of a, in float, only for it; 4 the
 * same, which an output is too. */
static skive_graph *joined(skive_context *ctx, int form) {
    const int64_t dims[] = {1, 3, 6, 6}, w1[] = {4, 3, 3, 3}, w2[] = {4, 4, 3, 3}, w3[] = {2, 8, 3, 3};
    const int64_t pads[] = {1, 1, 1, 1}, kernel[] = {3, 3};
    const skv_attr_list same = SKV_ATTRS(SKV_INTS("pads", pads, 4));
    skive_value *x = NULL, *first;
    skive_graph *g = graph_of(ctx, SKIVE_F32, 4, dims, &x);
    skv_builder b = skv_build(g);
    skive_value *a = skv_emit(&b, "Conv", SKV_IN(x, param(&b, "aw", 4, w1, 1)), same);
    skive_value *second = skv_emit(&b, "Conv", SKV_IN(a, param(&b, "bw", 4, w2, 0.5)), same);
    if (form == 0)
        first = a;
    else if (form == 1)
        first = skv_emit(&b, "MaxPool", SKV_IN(a),
                         SKV_ATTRS(SKV_INTS("kernel_shape", kernel, 2), SKV_INTS("pads", pads, 4)));
    else if (form == 2)
        first = skv_emit(&b, "Conv", SKV_IN(a, param(&b, "cw", 4, w2, 0.1)), same);
    else
        first = skv_emit(&b, "Sigmoid", SKV_IN(a), SKV_NONE);
    skive_value *both = skv_emit(&b, "Concat", SKV_IN(first, second), SKV_ATTRS(SKV_INT("axis", 1)));
    skive_value *y = skv_emit(&b, "Conv", SKV_IN(both, param(&b, "yw", 4, w3, 0.3)), same);
    finish(ctx, g, &b, y);
    if (form == 4) skv_test_ok(ctx, skive_graph_add_output(g, first));
    return g;
}

static void concat_joins_bytes(void **unused) {
    /* tables: steps from a grid to that of the Concat; real: values that are floats between the integer nodes */
    static const struct {
        size_t tables, quantize, dequantize;
    } expected[] = {{1, 1, 0}, {1, 1, 0}, {0, 1, 0}, {1, 1, 0}, {0, 2, 1}};
    (void)unused;
    for (int form = 0; form < 5; form++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = joined(ctx, form), *real = NULL;
        skive_quantize_options o = skive_quantize_options_default();
        int64_t runs = 6;
        o.calibration = "minmax";
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 4, (const int64_t[]){1, 3, 6, 6}, 3, -2, 2);
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &real));
        skv_test_ok(ctx, skive_quantize_feed(ctx, g, feed, &runs, &o, NULL));
        skive_tensor before = run(ctx, real, &x), after = run(ctx, g, &x);
        double power = 0, error = 0;
        for (int64_t i = 0; i < skive_tensor_count(&before); i++) {
            const double want = skive_tensor_get(&before, i), off = skive_tensor_get(&after, i) - want;
            power += want * want;
            error += off * off;
        }
        assert_true(error * 300 < power); /* 25 dB */
        absorb(ctx, g);
        assert_int_equal(count(g, "QLookup"), expected[form].tables);
        assert_int_equal(count(g, "QuantizeLinear"), expected[form].quantize);
        assert_int_equal(count(g, "DequantizeLinear"), expected[form].dequantize);
        for (uint32_t i = 0; i < g->n_nodes; i++)
            if (strcmp(skive_node_op(g->nodes[i]), "Concat") == 0)
                assert_int_equal(g->nodes[i]->outputs[0]->type.dtype, form == 4 ? SKIVE_F32 : SKIVE_U8);
        skive_tensor_free(ctx, &x);
        skive_tensor_free(ctx, &before);
        skive_tensor_free(ctx, &after);
        skive_graph_free(g);
        skive_graph_free(real);
        skv_test_context_end(ctx);
    }
}

/* ---- functions ---- */

static double hard_swish(double x) { return x * fmin(fmax(x / 6 + 0.5, 0), 1); }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double leaky(double x) { return x < 0 ? 0.01 * x : x; }
static double same(double x) { return x; }

/* All bytes through Dequantize, the function and Quantize: the nearest step to the function, halves to even. */
static void functions_are_tables(void **unused) {
    static const struct {
        const char *op;
        double (*f)(double);
    } cases[] = {{"HardSwish", hard_swish}, {"Sigmoid", sigmoid}, {"Tanh", tanh}, {"LeakyRelu", leaky}, {NULL, same}};
    const int64_t dims[] = {1, 4, 8, 8};
    const double step = 1.0 / 32, to = 1.0 / 64;
    (void)unused;
    for (size_t i = 0; i < SKV_COUNT(cases); i++) {
        skive_context *ctx = skv_test_context();
        skive_value *x = NULL;
        skive_graph *g = graph_of(ctx, SKIVE_U8, 4, dims, &x);
        skv_builder b = skv_build(g);
        /* A graph's input comes first to a node that makes bytes. */
        skive_value *bytes =
            skv_emit(&b, "Transpose", SKV_IN(x), SKV_ATTRS(SKV_INTS("perm", ((int64_t[]){0, 1, 2, 3}), 4)));
        skive_value *y =
            skv_emit(&b, "DequantizeLinear",
                     SKV_IN(bytes, skv_emit_scalar(&b, SKIVE_F32, step), skv_emit_scalar(&b, SKIVE_U8, 100)), SKV_NONE);
        if (cases[i].op) y = skv_emit(&b, cases[i].op, SKV_IN(y), SKV_NONE);
        skive_value *scale = skv_emit_scalar(&b, SKIVE_F32, to), *zero = skv_emit_scalar(&b, SKIVE_U8, 60);
        y = skv_emit(&b, "QuantizeLinear", SKV_IN(y, scale, zero), SKV_NONE);
        finish(ctx, g, &b, skv_emit(&b, "DequantizeLinear", SKV_IN(y, scale, zero), SKV_NONE));
        skive_tensor in;
        skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_U8, 4, dims, &in));
        for (int k = 0; k < 256; k++) ((uint8_t *)in.data)[k] = (uint8_t)k;
        skive_tensor out = run(ctx, g, &in);
        for (int k = 0; k < 256; k++) {
            const double exact = cases[i].f((k - 100) * step) / to, got = skive_tensor_get(&out, k) / to;
            const double want = fmin(fmax(rint(exact), -60), 195);
            /* beside a half either neighbour is right: the function is rounded to float32 first */
            if (fabs(fabs(exact - floor(exact)) - 0.5) > 1e-4 || !cases[i].op) assert_true(got == want);
            assert_true(fabs(got - want) <= 1);
        }
        absorb(ctx, g);
        assert_int_equal(count(g, "QLookup"), 1);
        assert_int_equal(count(g, "QuantizeLinear"), 0);
        skive_tensor_free(ctx, &in);
        skive_tensor_free(ctx, &out);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* ---- weights ---- */

/* A channel with next to no weights and a bias, as training with weight decay leaves behind: on every grid of integers
 * the bias fits the steps of the sums, which runtimes round it to. */
static void empty_channels_keep_their_bias(void **unused) {
    static const char *const grids[] = {NULL, "int7", "uint8", "int4", "int7:tensor"};
    const int64_t dims[] = {1, 3, 6, 6}, w[] = {4, 3, 3, 3}, m[] = {4};
    (void)unused;
    for (size_t k = 0; k < SKV_COUNT(grids); k++) {
        skive_context *ctx = skv_test_context();
        skive_quantize_options o = skive_quantize_options_default();
        skive_value *x = NULL;
        int64_t runs = 6;
        skive_graph *g = graph_of(ctx, SKIVE_F32, 4, dims, &x);
        skv_builder b = skv_build(g);
        skive_value *weight = param(&b, "w", 4, w, 1), *bias = param(&b, "bias", 1, m, 1);
        for (int i = 27; i < 54; i++) ((float *)weight->storage->tensor.data)[i] *= 1e-6f;
        ((float *)bias->storage->tensor.data)[1] = 5;
        finish(ctx, g, &b, skv_emit(&b, "Conv", SKV_IN(x, weight, bias), SKV_NONE));
        o.weights = grids[k];
        skv_test_ok(ctx, skive_quantize_feed(ctx, g, feed, &runs, &o, NULL));
        const skive_node *conv = NULL;
        for (uint32_t i = 0; i < g->n_nodes; i++)
            if (strcmp(skive_node_op(g->nodes[i]), "Conv") == 0) conv = g->nodes[i];
        assert_non_null(conv);
        const skive_node *dq = conv->inputs[1]->producer, *in = conv->inputs[0]->producer;
        const skive_tensor *scales = skv_value_tensor(dq->inputs[1]), *sx = skv_value_tensor(in->inputs[1]);
        const double step = skive_tensor_get(scales, skive_tensor_count(scales) > 1 ? 1 : 0) * skive_tensor_get(sx, 0);
        assert_true(5 / step < 2147483647.0 / 2);
        skive_tensor image = skv_test_random(ctx, SKIVE_F32, 4, dims, 3, -1, 1), y = run(ctx, g, &image);
        for (int i = 16; i < 32; i++) assert_true(fabs(skive_tensor_get(&y, i) - 5) < 0.01);
        skive_tensor_free(ctx, &image);
        skive_tensor_free(ctx, &y);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* A matrix that three products read, and its transpose that two do, are one parameter each. */
static void tied_weights_are_kept_once(void **unused) {
    const int64_t dims[] = {2, 32}, w[] = {32, 32};
    (void)unused;
    for (int dynamic = 0; dynamic < 2; dynamic++) {
        skive_context *ctx = skv_test_context();
        skive_quantize_options o = skive_quantize_options_default();
        skive_value *x = NULL;
        int64_t runs = 6;
        skive_graph *g = graph_of(ctx, SKIVE_F32, 2, dims, &x);
        skv_builder b = skv_build(g);
        skive_value *weight = param(&b, "w", 2, w, 0.3), *y = x;
        for (int i = 0; i < 5; i++) {
            skive_value *m = i < 3 ? weight : skv_emit(&b, "Transpose", SKV_IN(weight), SKV_NONE);
            y = skv_emit(&b, "Relu", SKV_IN(skv_emit(&b, "MatMul", SKV_IN(y, m), SKV_NONE)), SKV_NONE);
        }
        finish(ctx, g, &b, y);
        skv_test_ok(ctx, dynamic ? skive_quantize_dynamic(ctx, g, &o, NULL)
                                 : skive_quantize_feed(ctx, g, feed, &runs, &o, NULL));
        size_t matrices = 0;
        for (uint32_t i = 0; i < g->n_values; i++) {
            const skive_value *v = g->values[i];
            matrices += v->storage && v->n_uses > 0 && v->type.rank == 2;
        }
        assert_int_equal(matrices, 2);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* Without samples: means and variances through Slice, Concat and DepthToSpace. The input is even in [0, 1]: mean 1/2,
 * variance 1/12. k x has k/2 and k k / 12; four of them in one channel the mean 5/4 and E[y y] = 15/2 (1/12 + 1/4). */
static void moments_follow_moves(void **unused) {
    const int64_t dims[] = {1, 4, 4, 4}, w[] = {4, 4, 1, 1}, starts[] = {1}, ends[] = {3}, axes[] = {2};
    const skv_normals none = {0};
    skive_context *ctx = skv_test_context();
    skive_value *x = NULL;
    skv_moments *m = NULL;
    (void)unused;
    skive_graph *g = graph_of(ctx, SKIVE_F32, 4, dims, &x);
    skv_builder b = skv_build(g);
    skive_value *weight = param(&b, "w", 4, w, 1);
    for (int i = 0; i < 16; i++) ((float *)weight->storage->tensor.data)[i] = i % 5 == 0 ? (float)(i / 5 + 1) : 0;
    skive_value *y = skv_emit(&b, "Conv", SKV_IN(x, weight), SKV_NONE);
    skive_value *cut = skv_emit(
        &b, "Slice", SKV_IN(y, skv_emit_ints(&b, starts, 1), skv_emit_ints(&b, ends, 1), skv_emit_ints(&b, axes, 1)),
        SKV_NONE);
    skive_value *both = skv_emit(&b, "Concat", SKV_IN(y, x), SKV_ATTRS(SKV_INT("axis", 1)));
    skive_value *deep = skv_emit(&b, "DepthToSpace", SKV_IN(y), SKV_ATTRS(SKV_INT("blocksize", 2)));
    finish(ctx, g, &b, deep);
    skv_test_ok(ctx, skv_moments_follow(ctx, g, &none, 0, 1, &m));
    assert_int_equal(m[cut->id].n, 4);
    assert_true(fabs(m[cut->id].mean[2] - 1.5) < 1e-12);
    assert_int_equal(m[both->id].n, 8);
    assert_true(fabs(m[both->id].variance[3] - 16.0 / 12) < 1e-12);
    assert_true(fabs(m[both->id].mean[7] - 0.5) < 1e-12);
    assert_int_equal(m[deep->id].n, 1);
    assert_true(fabs(m[deep->id].mean[0] - 1.25) < 1e-12);
    assert_true(fabs(m[deep->id].variance[0] - (2.5 - 1.5625)) < 1e-12);
    skv_moments_free(ctx, m, g->n_values);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transposed_convolutions_keep_their_sums),
        cmocka_unit_test(what_is_not_turned_says_why),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(concat_joins_bytes),
        cmocka_unit_test(functions_are_tables),
        cmocka_unit_test(empty_channels_keep_their_bias),
        cmocka_unit_test(tied_weights_are_kept_once),
        cmocka_unit_test(moments_follow_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
