/* Gemm and MatMul in less common forms are quantized like the common one, and stay close to the float model. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <skive/exec.h>
#include <skive/quant.h>

#include "graph/graph.h"
#include "support.h"

#include <cmocka.h>

enum { SAMPLES = 24, K = 16, N = 7 };

static skive_value *parameter(skv_builder *b, int rank, const int64_t *dims, uint64_t seed) {
    skive_tensor t = skv_test_random(b->graph->ctx, SKIVE_F32, rank, dims, seed, -1, 1);
    skive_value *v = NULL;
    skv_test_ok(b->graph->ctx, skive_graph_add_parameter(b->graph, NULL, &t, &v));
    skive_tensor_free(b->graph->ctx, &t);
    return v;
}

static skive_value *bias_of_one(skv_builder *b, skive_value *x, skive_value *w) {
    return skv_emit(b, "Gemm", SKV_IN(x, w, parameter(b, 1, (const int64_t[]){1}, 3)), SKV_NONE);
}
static skive_value *bias_row(skv_builder *b, skive_value *x, skive_value *w) {
    return skv_emit(b, "Gemm", SKV_IN(x, w, parameter(b, 2, (const int64_t[]){1, N}, 3)), SKV_NONE);
}
static skive_value *bias_scalar(skv_builder *b, skive_value *x, skive_value *w) {
    return skv_emit(b, "Gemm", SKV_IN(x, w, parameter(b, 0, NULL, 3)), SKV_ATTRS(SKV_FLT("beta", -2)));
}
static skive_value *factors(skv_builder *b, skive_value *x, skive_value *w) {
    return skv_emit(b, "Gemm", SKV_IN(x, w, parameter(b, 1, (const int64_t[]){N}, 3)),
                    SKV_ATTRS(SKV_FLT("alpha", 0.5), SKV_FLT("beta", 2)));
}
static skive_value *transposed(skv_builder *b, skive_value *x, skive_value *w) {
    skive_value *t = skv_emit(b, "Transpose", SKV_IN(x), SKV_ATTRS(SKV_INTS("perm", ((const int64_t[]){1, 0}), 2)));
    return skv_emit(b, "Gemm", SKV_IN(t, w, parameter(b, 1, (const int64_t[]){N}, 3)), SKV_ATTRS(SKV_INT("transA", 1)));
}
static skive_value *three_dimensions(skv_builder *b, skive_value *x, skive_value *w) {
    (void)w;
    return skv_emit(b, "MatMul", SKV_IN(x, parameter(b, 3, (const int64_t[]){1, K, N}, 2)), SKV_NONE);
}

static skive_status feed(void *user, int64_t index, skive_tensor *inputs, size_t n) {
    (void)n;
    if (index >= SAMPLES) return SKIVE_ERR_NOT_FOUND;
    memcpy(inputs[0].data, (const float *)((const skive_tensor *)user)->data + index * K, K * sizeof(float));
    return SKIVE_OK;
}

static void forms(void **state) {
    static skive_value *(*const all[])(skv_builder *, skive_value *, skive_value *) = {
        bias_of_one, bias_row, bias_scalar, factors, transposed, three_dimensions};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        skive_context *ctx = skv_test_context();
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 2, (const int64_t[]){SAMPLES, K}, 7, -1, 1), want, got;
        skive_type type = skive_type_make(SKIVE_F32, 2, (const int64_t[]){-1, K});
        skive_graph *g = NULL, *q = NULL;
        skive_value *in = NULL;
        skive_quantize_options o = skive_quantize_options_default();
        size_t integers = 0;
        skv_test_ok(ctx, skive_graph_create(ctx, "test", &g));
        skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &in));
        skv_builder b = skv_build(g);
        skive_value *y = all[i](&b, in, parameter(&b, 2, (const int64_t[]){K, N}, 2));
        skv_test_ok(ctx, b.status);
        skv_test_ok(ctx, skive_graph_add_output(g, y));
        skv_test_ok(ctx, skive_graph_infer(g));
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &q));
        o.samples = SAMPLES;
        skv_test_ok(ctx, skive_quantize_feed(ctx, q, feed, &x, &o, NULL));
        for (size_t v = 0; v < skive_graph_value_count(q); v++) {
            const skive_tensor *t = skive_value_data(skive_graph_value(q, v));
            if (t && t->dtype == SKIVE_I8 && skive_tensor_count(t) == K * N) integers++;
        }
        assert_int_equal(integers, 1);
        skv_test_ok(ctx, skive_graph_run(ctx, g, &x, 1, &want, 1));
        skv_test_ok(ctx, skive_graph_run(ctx, q, &x, 1, &got, 1));
        assert_int_equal(want.rank, got.rank);
        double power = 0, error = 0;
        for (int64_t k = 0; k < skive_tensor_count(&want); k++) {
            const double a = skive_tensor_get(&want, k), d = a - skive_tensor_get(&got, k);
            power += a * a;
            error += d * d;
        }
        assert_true(10 * log10(power / (error + 1e-30)) > 30);
        skive_tensor_free(ctx, &want);
        skive_tensor_free(ctx, &got);
        skive_tensor_free(ctx, &x);
        skive_graph_free(g);
        skive_graph_free(q);
        skv_test_context_end(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(forms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
