/* quantize with inputs of pixels: the normalisation is folded where that is exact, and stays where it is not. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <skive/exec.h>
#include <skive/quant.h>
#include <skive/session.h>

#include "graph/graph.h"
#include "graph/op.h"
#include "support.h"
#include "tensor/tensor.h"

#include <cmocka.h>

enum { SIDE = 5, CHANNELS = 3, SAMPLES = 24, FILTERS = 4, EACH = CHANNELS * SIDE * SIDE };

static skive_value *parameter(skv_builder *b, const char *name, int rank, const int64_t *dims, uint64_t stream) {
    skv_storage *s = NULL;
    if (b->status == SKIVE_OK) b->status = skv_storage_create(b->graph->ctx, SKIVE_F32, rank, dims, &s);
    if (b->status != SKIVE_OK) return NULL;
    for (int64_t i = 0; i < skive_tensor_count(&s->tensor); i++)
        ((float *)s->tensor.data)[i] = 0.2f * (float)skv_rng_normal(7, stream, (uint64_t)i);
    return skv_emit_param(b, name, s);
}

typedef enum first { CONV, CONV_PADDED, PAD_AND_CONV, CHANNELS_LAST, FLAT, GROUPED, AFTER_RELU } first;

/* y [N, FILTERS, ...] of the first layer, and a product behind it. */
static skive_graph *network(skive_context *ctx, first kind, const char *mean, const char *std) {
    static const int64_t w[4] = {FILTERS, CHANNELS, 3, 3}, wg[4] = {CHANNELS, 1, 3, 3}, bias[1] = {FILTERS},
                         around[4] = {1, 1, 1, 1}, pads[8] = {0, 0, 1, 1, 0, 0, 1, 1}, nchw[4] = {0, 3, 1, 2},
                         flat[2] = {EACH, FILTERS}, last[4] = {0, 2, 3, 1};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skive_type type = {
        .dtype = SKIVE_F32, .rank = 4, .dims = {{1, NULL}, {CHANNELS, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    if (kind == CHANNELS_LAST) {
        type.dims[1] = type.dims[3];
        type.dims[3].size = CHANNELS;
    }
    skv_test_ok(ctx, skive_graph_create(ctx, "net", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = x;
    if (kind == CHANNELS_LAST) y = skv_emit(&b, "Transpose", SKV_IN(y), SKV_ATTRS(SKV_INTS("perm", nchw, 4)));
    if (kind == PAD_AND_CONV) y = skv_emit(&b, "Pad", SKV_IN(y, skv_emit_ints(&b, pads, 8)), SKV_NONE);
    if (kind == AFTER_RELU) y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    if (kind == FLAT) {
        y = skv_emit(&b, "Flatten", SKV_IN(y), SKV_NONE);
        y = skv_emit(&b, "MatMul", SKV_IN(y, parameter(&b, "fw", 2, flat, 1)), SKV_NONE);
    } else if (kind == GROUPED) {
        y = skv_emit(&b, "Conv", SKV_IN(y, parameter(&b, "w", 4, wg, 1)), SKV_ATTRS(SKV_INT("group", CHANNELS)));
    } else {
        const bool padded = kind == CONV_PADDED;
        y = skv_emit(&b, "Conv", SKV_IN(y, parameter(&b, "w", 4, w, 1), parameter(&b, "b", 1, bias, 2)),
                     SKV_ATTRS(SKV_INTS("pads", around, padded ? 4 : 0)));
        y = skv_emit(&b, "Transpose", SKV_IN(y), SKV_ATTRS(SKV_INTS("perm", last, 4)));
    }
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skv_value_rename(y, "y"));
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_set_meta(g, "skive.input.scale", "1/255"));
    skv_test_ok(ctx, skive_graph_set_meta(g, "skive.input.mean", mean));
    skv_test_ok(ctx, skive_graph_set_meta(g, "skive.input.std", std));
    skv_test_ok(ctx, skive_graph_set_meta(g, "skive.input.layout", kind == CHANNELS_LAST ? "nhwc" : "nchw"));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

/* Pixels in the layout of the input, and what the float model is given for them. */
static void images(const skive_graph *g, const double mean[3], const double std[3], uint8_t *pixels, float *x) {
    const bool last = g->inputs[0]->type.dims[3].size == CHANNELS && g->inputs[0]->type.dims[1].size != CHANNELS;
    for (int i = 0; i < SAMPLES * EACH; i++) {
        const int c = last ? i % CHANNELS : i / (SIDE * SIDE) % CHANNELS;
        pixels[i] = (uint8_t)skv_rng_below(5, 1, (uint64_t)i, 256);
        x[i] = ((float)pixels[i] / 255.0f - (float)mean[c]) / (float)std[c];
    }
}

static void run_on(skive_context *ctx, const skive_graph *g, skive_dtype dtype, const void *x, float *y, size_t n) {
    skive_session *s = NULL;
    int64_t dims[4];
    for (int d = 0; d < 4; d++) dims[d] = g->inputs[0]->type.dims[d].size;
    const skive_tensor in = skv_tensor_view(dtype, 4, dims, x);
    skive_tensor out;
    skv_test_ok(ctx, skive_session_create(ctx, g, NULL, &s));
    skv_test_ok(ctx, skive_session_run(s, &in, 1, &out, 1));
    assert_true((size_t)skive_tensor_count(&out) <= n);
    memcpy(y, out.data, skive_tensor_bytes(&out));
    for (size_t i = (size_t)skive_tensor_count(&out); i < n; i++) y[i] = 0;
    skive_tensor_free(ctx, &out);
    skive_session_free(s);
}

static size_t count(const skive_graph *g, const char *op) {
    size_t n = 0;
    for (uint32_t i = 0; i < g->n_nodes; i++) n += strcmp(g->nodes[i]->op_type, op) == 0;
    return n;
}

static void check(first kind, const char *mean_text, const double mean[3], const char *std_text, const double std[3],
                  bool folds, int zero) {
    enum { MOST = FILTERS * SIDE * SIDE };
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx, kind, mean_text, std_text), *before = NULL;
    static uint8_t pixels[SAMPLES * EACH];
    static float x[SAMPLES * EACH];
    float real[MOST], found[MOST];
    skive_quantize_options o = skive_quantize_options_default();
    int64_t dims[5] = {SAMPLES};
    double power = 0, error = 0, furthest = 0, most = 0;
    images(g, mean, std, pixels, x);
    for (int d = 0; d < 4; d++) dims[d + 1] = g->inputs[0]->type.dims[d].size;
    const skive_tensor samples = skv_tensor_view(SKIVE_F32, 5, dims, x);
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &before));
    o.input_type = "uint8";
    o.calibration = "minmax";
    skv_test_ok(ctx, skive_quantize_arrays(ctx, g, &samples, 1, &o, NULL));
    skv_test_ok(ctx, skive_graph_check(g));
    assert_int_equal(g->inputs[0]->type.dtype, SKIVE_U8);
    assert_string_equal(skive_graph_meta(g, "skive.input.mean"), "none");
    assert_string_equal(skive_graph_meta(g, "skive.input.scale"), "none");
    assert_int_equal(count(g, "Mul"), folds ? 0 : 1);
    assert_int_equal(count(g, "Cast"), folds ? 0 : 1);
    const skive_node *reader = g->inputs[0]->uses[0].node;
    assert_string_equal(reader->op_type, folds ? "DequantizeLinear" : "Cast");
    if (folds) {
        assert_true(skive_tensor_get(skv_value_tensor(reader->inputs[1]), 0) == 1);
        assert_int_equal(skive_tensor_get(skv_value_tensor(reader->inputs[2]), 0), zero);
    }
    for (int i = 0; i < SAMPLES; i++) {
        run_on(ctx, before, SKIVE_F32, x + i * EACH, real, MOST);
        run_on(ctx, g, SKIVE_U8, pixels + i * EACH, found, MOST);
        for (int k = 0; k < MOST; k++) {
            const double d = (double)found[k] - (double)real[k];
            power += (double)real[k] * (double)real[k];
            error += d * d;
            furthest = fmax(furthest, fabs(d));
            most = fmax(most, fabs((double)real[k]));
        }
    }
    /* A folded input is exact, and so only the weights are rounded; at no place, at the border neither, is more lost.
     */
    const double sqnr = 10 * log10(power / error);
    if (sqnr < (folds ? 40 : 33) || furthest > 0.05 * most)
        fail_msg("%d: %.1f dB, %g of %g", kind, sqnr, furthest, most);
    skive_graph_free(before);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static const double one[3] = {0.5, 0.25, 0.3}, spread[3] = {0.2, 0.3, 0.25},
                    middle[3] = {128.0 / 255, 128.0 / 255, 128.0 / 255}, none[3] = {0, 0, 0}, unit[3] = {1, 1, 1};
#define ONE    "0.5,0.25,0.3", one
#define SPREAD "0.2,0.3,0.25", spread
#define MIDDLE "0.50196078,0.50196078,0.50196078", middle

/* The zero point is the pixel nearest to the mean of the means, 0.35 * 255 = 89.25. */
static void without_padding(void **state) {
    (void)state;
    check(CONV, ONE, SPREAD, true, 89);
    check(CHANNELS_LAST, ONE, SPREAD, true, 89);
    check(FLAT, ONE, SPREAD, true, 89);
    check(GROUPED, ONE, SPREAD, true, 89);
}

static void padding_with_a_pixel(void **state) {
    (void)state;
    check(CONV_PADDED, MIDDLE, SPREAD, true, 128);
    check(PAD_AND_CONV, MIDDLE, SPREAD, true, 128);
    check(CONV_PADDED, "0,0,0", none, "1,1,1", unit, true, 0);
}

/* No pixel is 0 after the normalisation, or what reads the image is no product. */
static void normalisation_that_stays(void **state) {
    (void)state;
    check(CONV_PADDED, ONE, SPREAD, false, 0);
    check(PAD_AND_CONV, ONE, SPREAD, false, 0);
    check(AFTER_RELU, ONE, SPREAD, false, 0);
}

static void refusals(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx, CONV, "0.5,0.25,0.3", "0.2,0.3,0.25");
    static float x[SAMPLES * EACH];
    const int64_t dims[5] = {SAMPLES, 1, CHANNELS, SIDE, SIDE};
    const skive_tensor samples = skv_tensor_view(SKIVE_F32, 5, dims, x);
    skive_quantize_options o = skive_quantize_options_default();
    (void)state;
    for (int i = 0; i < SAMPLES * EACH; i++) x[i] = (float)skv_rng_normal(9, 0, (uint64_t)i);
    o.input_type = "uint8";
    skv_test_fails(ctx, skive_quantize_arrays(ctx, g, &samples, 1, &o, NULL), SKIVE_ERR_DATA, "whole numbers from 0");
    o.input_type = "uint8:z";
    skv_test_fails(ctx, skive_quantize_arrays(ctx, g, &samples, 1, &o, NULL), SKIVE_ERR_NOT_FOUND, "no input 'z'");
    o.input_type = "int4";
    skv_test_fails(ctx, skive_quantize_arrays(ctx, g, &samples, 1, &o, NULL), SKIVE_ERR_ARGUMENT,
                   "no type of an input");
    o.input_type = "uint8";
    o.activations = "int8";
    skv_test_fails(ctx, skive_quantize_arrays(ctx, g, &samples, 1, &o, NULL), SKIVE_ERR_UNSUPPORTED, "'int8' are not");
    /* Nothing was changed. */
    assert_int_equal(g->inputs[0]->type.dtype, SKIVE_F32);
    assert_string_equal(skive_graph_meta(g, "skive.input.mean"), "0.5,0.25,0.3");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_padding),
        cmocka_unit_test(padding_with_a_pixel),
        cmocka_unit_test(normalisation_that_stays),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
