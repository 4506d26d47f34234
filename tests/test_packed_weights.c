/* Products of float32 values with weights that stay in few bits (DequantizeGemm): the same bits as with the dense
 * weights that DequantizeLinear makes of them, and close to the reference. CTest runs this program once at each
 * instruction-set level. */
#include "kernel_fixtures.h"

typedef struct product {
    int64_t m, k, n, block; /* block 0: one scale a column; below 0: one for all */
    skive_dtype dtype;
    bool turned, zeros, bias;
} product;

static skive_value *codes(skive_context *ctx, skive_graph *g, skive_dtype dtype, int rank, const int64_t *dims,
                          uint64_t seed) {
    const int bits = (int)skive_dtype_bits(dtype);
    const bool is_float = bits == 16;
    const double low = is_float ? -2 : skv_dtype_is_signed(dtype) ? -(1 << (bits - 1)) : 0;
    skive_tensor t = skv_test_random(ctx, dtype, rank, dims, seed, low, is_float ? 2 : low + (1 << bits) - 1);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &t, &v));
    skive_tensor_free(ctx, &t);
    return v;
}

/* The weights as DequantizeLinear or Cast in the graph. */
static skive_value *weights(skive_context *ctx, skive_graph *g, skv_builder *b, const product *p) {
    const int64_t dims[2] = {p->turned ? p->n : p->k, p->turned ? p->k : p->n};
    const int along = p->turned ? 1 : 0;
    skive_value *w = codes(ctx, g, p->dtype, 2, dims, 21);
    if (skive_dtype_bits(p->dtype) == 16) return skv_emit(b, "Cast", SKV_IN(w), SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
    int64_t each[2] = {dims[0], dims[1]};
    if (p->block > 0) each[along] = (p->k + p->block - 1) / p->block;
    const int rank = p->block > 0 ? 2 : p->block == 0 ? 1 : 0;
    const int64_t *shape = rank == 1 ? &p->n : each;
    skive_value *scale = parameter(ctx, g, rank, shape, 0.01, 0.1),
                *zero = p->zeros ? codes(ctx, g, p->dtype, rank, shape, 22) : NULL;
    return skv_emit(b, "DequantizeLinear", SKV_IN(w, scale, zero),
                    SKV_ATTRS(SKV_INT("axis", p->block > 0 ? along : 1 - along),
                              SKV_INT("block_size", p->block > 0 ? p->block : 0)));
}

/* A model with the product; dense: of weights that were computed beforehand. */
static skive_graph *model(skive_context *ctx, const product *p, bool dense) {
    skive_graph *g = graph(ctx);
    skv_builder b = skv_build(g);
    const int64_t dims[2] = {p->m, p->k};
    skive_value *x = input(ctx, g, 2, dims), *w = weights(ctx, g, &b, p);
    skv_test_ok(ctx, b.status);
    if (dense) {
        skive_graph *of = graph(ctx);
        skv_builder c = skv_build(of);
        skive_tensor t;
        give(ctx, of, &c, weights(ctx, of, &c, p));
        skv_test_ok(ctx, skive_graph_run(ctx, of, NULL, 0, &t, 1));
        skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &t, &w));
        skive_tensor_free(ctx, &t);
        skive_graph_free(of);
    }
    skive_value *c = p->bias ? parameter(ctx, g, 1, &p->n, -1, 1) : NULL;
    skive_value *y = c || p->turned ? skv_emit(&b, "Gemm", SKV_IN(x, w, c), SKV_ATTRS(SKV_INT("transB", p->turned)))
                                    : skv_emit(&b, "MatMul", SKV_IN(x, w), SKV_NONE);
    give(ctx, g, &b, c ? skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE) : y);
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

/* The result on so many threads; *said: did the kernel run? NULL: it must. */
static skive_tensor result(skive_context *ctx, const skive_graph *g, const char *kernel, int threads, bool *said) {
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_plan_options o = skive_plan_options_default();
    skive_tensor x, y, out;
    bool used = false;
    o.threads = threads;
    o.reference = !kernel;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
        skive_plan_step step;
        skive_plan_step_get(plan, i, &step);
        used = used || (kernel && strcmp(step.kernel, kernel) == 0);
    }
    if (said) *said = used;
    if (kernel && !used && !said) fail_msg("%s was not chosen", kernel);
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

/* Dense weights of very few values may run as a codebook, which adds in another order: *compared counts those that do
 * not. */
static void check_product(skive_context *ctx, const product *p, int *compared) {
    bool same = false;
    skive_graph *packed = model(ctx, p, false), *dense = model(ctx, p, true);
    skive_tensor want = result(ctx, dense, "gemm_f32", 1, &same), slow = result(ctx, packed, NULL, 1, NULL);
    *compared += same;
    for (int threads = 1; threads <= 3; threads += 2) {
        skive_tensor y = result(ctx, packed, "gemm_f32_packed", threads, NULL);
        if (same && memcmp(y.data, want.data, skive_tensor_bytes(&y)) != 0)
            fail_msg("%s of %lld x %lld x %lld, block %lld: other bits than with dense weights",
                     skive_dtype_name(p->dtype), (long long)p->m, (long long)p->k, (long long)p->n,
                     (long long)p->block);
        skv_test_tensors(&y, &slow, 1e-4, 1e-4 * sqrt((double)p->k));
        skive_tensor_free(ctx, &y);
    }
    skive_tensor_free(ctx, &want);
    skive_tensor_free(ctx, &slow);
    skive_graph_free(packed);
    skive_graph_free(dense);
}

static void every_kind(void **unused) {
    static const skive_dtype dtypes[] = {SKIVE_I4, SKIVE_U4, SKIVE_I8,  SKIVE_U8,
                                         SKIVE_I2, SKIVE_U2, SKIVE_F16, SKIVE_BF16};
    static const int64_t sizes[][3] = {{1, 400, 70}, {2, 129, 200}, {3, 385, 97}, {5, 800, 64}, {19, 257, 161}};
    static const int64_t blocks[] = {-1, 0, 16, 32, 48, 256};
    (void)unused;
    skive_context *ctx = skv_test_context();
    int compared = 0;
    /* Numbers that divide none of those of the kinds. */
    const size_t step = getenv("SKIVE_FEW_CASES") ? 41 : skv_test_sanitized() ? 7 : 1;
    for (size_t i = 0; i < SKV_COUNT(dtypes) * SKV_COUNT(sizes) * SKV_COUNT(blocks) * 2; i += step) {
        const int64_t *s = sizes[i / SKV_COUNT(dtypes) % SKV_COUNT(sizes)];
        product p = {.m = s[0],
                     .k = s[1],
                     .n = s[2],
                     .dtype = dtypes[i % SKV_COUNT(dtypes)],
                     .block = blocks[i / SKV_COUNT(dtypes) / SKV_COUNT(sizes) % SKV_COUNT(blocks)]};
        p.turned = i / (SKV_COUNT(dtypes) * SKV_COUNT(sizes) * SKV_COUNT(blocks)) == 1;
        p.zeros = (i / 3) % 2;
        p.bias = (i / 5) % 2;
        check_product(ctx, &p, &compared);
    }
    assert_true(compared > 300 / (int)step);
    skv_test_context_end(ctx);
}

/* Scales a row of weights, small layers and blocks that are no multiple of 16 stay with dense weights, and right. */
static void others(void **unused) {
    static const product of[] = {{.m = 2, .k = 24, .n = 8, .block = 8, .dtype = SKIVE_I4},
                                 {.m = 2, .k = 240, .n = 80, .block = 24, .dtype = SKIVE_I4}};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < SKV_COUNT(of); i++) {
        skive_graph *g = model(ctx, &of[i], false);
        skive_tensor y = result(ctx, g, "gemm_f32", 1, NULL), slow = result(ctx, g, NULL, 1, NULL);
        skv_test_tensors(&y, &slow, 1e-4, 1e-3);
        skive_tensor_free(ctx, &y);
        skive_tensor_free(ctx, &slow);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind),
        cmocka_unit_test(others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
