/* Hashed weights: the hash against published values, the operators and their kernels against the matrix that is never
 * stored, and networks that are hashed and trained. */
#include <skive/share.h>
#include <skive/zoo.h>

#include "graph/shared.h"
#include "share/hashed/indices.h"
#include "train_fixtures.h"

/* python: xxhash.xxh32(struct.pack('<I', x), seed) */
static void xxh32_of_four_bytes(void **state) {
    static const uint32_t x[] = {0, 1, 2, 3, 255, 65536, 0xdeadbeef, 0xffffffff};
    static const struct {
        uint32_t seed, hash[8];
    } expected[] = {
        {0, {0x8d6d969, 0xf3bb7693, 0x1f748196, 0x80aeac77, 0xa6960373, 0xee1e3521, 0xe4aae6d1, 0x4079e5f}},
        {1, {0x77f498c8, 0xea951e9a, 0x5ce88a04, 0x20ad294, 0x9147a6f2, 0x823d5fe7, 0xb1e84348, 0x5fb84d20}},
        {5, {0xce663720, 0xbf504b1c, 0x6af910f3, 0x9865030c, 0xad753852, 0xb6f5b0ff, 0x3fa10bd7, 0x4a23b822}},
        {123456789, {0xdd23dd79, 0xcd55705, 0x9a03ff6e, 0x2a33bd5e, 0x251d66e7, 0x3a7f4fb1, 0xeb190509, 0x260c5ced}},
        {0xfffffffa, {0x3e4d3dce, 0xffeacfa7, 0xdbf1714a, 0xf65b73f5, 0x63c9bc3e, 0x7dbe497c, 0x2592795a, 0x6944353}},
        {0xffffffff, {0xb2d9f3fd, 0x86a34ef9, 0xb1dc1b46, 0x88d14b43, 0xa0f431d8, 0xbee179db, 0x2d205e58, 0x20e3fb57}},
    };
    (void)state;
    for (size_t s = 0; s < sizeof expected / sizeof expected[0]; s++) {
        for (size_t i = 0; i < 8; i++) assert_int_equal(skv_xxh32(x[i], expected[s].seed), expected[s].hash[i]);
    }
}

static void places_are_the_hash_modulo_buckets(void **state) {
    static const int64_t buckets[] = {1, 2, 3, 7, 64, 1000, 12250, 65536, 999983, (1 << 30) - 1};
    static const struct {
        skv_isa level;
        skv_hashed_indices_fn entries;
    } fast[] = {{SKV_ISA_SCALAR, skv_hashed_indices_scalar},
                SKV_ON(AVX2, {SKV_ISA_AVX2, skv_hashed_indices_avx2}, )
                    SKV_ON(AVX512, {SKV_ISA_AVX512, skv_hashed_indices_avx512}, )};
    enum { N = 1003 };
    int32_t at[N];
    (void)state;
    for (size_t b = 0; b < sizeof buckets / sizeof buckets[0]; b++) {
        const uint32_t k = (uint32_t)buckets[b], seed = 77 * (uint32_t)b, first = b % 2 ? 0xfffff000u : 5;
        const skv_hashed h = skv_hashed_make(1 << 16, (1 << 16) - 1, buckets[b], seed);
        for (size_t f = 0; f < sizeof fast / sizeof fast[0]; f++) {
            if (fast[f].level > skv_cpu_isa()) continue;
            fast[f].entries(&h, first, N, at);
            for (uint32_t i = 0; i < N; i++) {
                const uint32_t bucket = skv_xxh32(first + i, seed) % k, minus = skv_xxh32(first + i, ~seed) & 1;
                assert_int_equal((uint32_t)at[i], bucket + minus * k);
            }
        }
    }
    assert_true(skv_hashed_fits(65536, 65535, 1) && !skv_hashed_fits(65536, 65536, 1));
    assert_false(skv_hashed_fits(0, 1, 1) || skv_hashed_fits(1, 1, 0) || skv_hashed_fits(INT64_MAX, 3, 1));
}

/* Buckets fill evenly and half the signs are minus: what the method rests on. */
static void hashes_spread(void **state) {
    enum { K = 64, N = 64 * 1000 };
    const skv_hashed h = skv_hashed_make(640, 100, K, 9);
    int count[K] = {0}, minus = 0;
    double chi = 0;
    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        const int32_t at = skv_hashed_index(&h, i);
        count[at & (K - 1)]++;
        minus += at >= K;
    }
    for (int k = 0; k < K; k++) chi += (count[k] - 1000.0) * (count[k] - 1000.0) / 1000.0;
    assert_true(chi < 103); /* 99.9 % of 63 degrees of freedom */
    assert_true(abs(minus - N / 2) < 3.3 * sqrt(N) / 2);
}

/* ---- the operators ---- */

typedef struct problem {
    int64_t m, rows, columns, buckets;
    bool bias;
} problem;
static const problem problems[] = {{1, 1, 1, 1, false},        {3, 5, 7, 4, true},     {17, 300, 1030, 77, true},
                                   {8, 64, 4097, 1000, false}, {2, 70000, 3, 9, true}, {5, 3, 70000, 500, true}};

static skive_value *number(skv_builder *b, const char *name, int rank, int64_t d0, int64_t d1, uint64_t seed) {
    return parameter(b, name, rank, (const int64_t[]){d0, d1}, seed, -1, 1);
}

/* y, dx, dbuckets and dbias of sum(y * t): as HashedGemm, or as Gemm with the matrix written out. */
static void build(skive_context *ctx, const problem *p, bool dense, skive_graph **out, skive_value **buckets) {
    skive_value *wrt[3], *gradients[3];
    skive_graph *g = NULL;
    size_t n = 0;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_builder b = skv_build(g);
    skive_value *x = number(&b, "x", 2, p->m, p->columns, 1), *t = number(&b, "t", 2, p->m, p->rows, 2);
    skive_value *values = number(&b, "buckets", 1, p->buckets, 0, 3), *w = NULL, *y;
    skive_value *bias = p->bias ? number(&b, "bias", 1, p->rows, 0, 4) : NULL;
    wrt[n++] = x;
    if (dense) {
        const skv_hashed h = skv_hashed_make(p->rows, p->columns, p->buckets, 31);
        w = number(&b, "w", 2, p->rows, p->columns, 5);
        float *to = w->storage->tensor.data;
        const float *from = values->storage->tensor.data;
        for (int64_t i = 0; i < p->rows * p->columns; i++) {
            const int32_t at = skv_hashed_index(&h, (uint32_t)i);
            to[i] = at < p->buckets ? from[at] : -from[at - p->buckets];
        }
    }
    wrt[n++] = dense ? w : values;
    if (bias) wrt[n++] = bias;
    skive_value *const in[] = {x, wrt[1], bias};
    const skv_attr_init hashed[] = {SKV_INT("rows", p->rows), SKV_INT("columns", p->columns), SKV_INT("seed", 31)},
                        plain[] = {SKV_INT("transB", 1)};
    y = skv_emit(&b, dense ? "Gemm" : "HashedGemm", (skv_in_list){in, bias ? 3 : 2},
                 (skv_attr_list){dense ? plain : hashed, dense ? 1 : 3});
    skive_value *loss = skv_emit(&b, "ReduceSum", SKV_IN(skv_emit(&b, "Mul", SKV_IN(y, t), SKV_NONE)),
                                 SKV_ATTRS(SKV_INT("keepdims", 0)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_autodiff(g, loss, wrt, n, gradients));
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    for (size_t i = 0; i < n; i++) skv_test_ok(ctx, skive_graph_add_output(g, gradients[i]));
    *out = g;
    *buckets = values;
}

static size_t outputs_of(skive_context *ctx, const skive_graph *g, bool reference, int threads, skive_tensor *out) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    const size_t n = skive_graph_output_count(g);
    o.training = true;
    o.reference = reference;
    o.threads = threads;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_run(exec));
    for (size_t i = 0; i < n; i++) {
        skive_tensor view;
        skv_test_ok(ctx, skive_exec_output(exec, i, &view));
        skv_test_ok(ctx, skive_tensor_copy(ctx, &view, &out[i]));
    }
    skive_exec_free(exec);
    skive_plan_free(plan);
    return n;
}

/* The gradient of a matrix, added up by bucket with its signs, in entry of it. */
static void fold_gradient(skive_context *ctx, const problem *p, skive_tensor *dw) {
    const skv_hashed h = skv_hashed_make(p->rows, p->columns, p->buckets, 31);
    skive_tensor sums;
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F64, 1, &p->buckets, &sums));
    double *sum = sums.data;
    for (int64_t i = 0; i < p->rows * p->columns; i++) {
        const int32_t at = skv_hashed_index(&h, (uint32_t)i);
        const double d = (double)((const float *)dw->data)[i];
        if (at < p->buckets)
            sum[at] += d;
        else
            sum[at - p->buckets] -= d;
    }
    skive_tensor_free(ctx, dw);
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 1, &p->buckets, dw));
    for (int64_t b = 0; b < p->buckets; b++) ((float *)dw->data)[b] = (float)sum[b];
    skive_tensor_free(ctx, &sums);
}

static void close_to(const skive_tensor *a, const skive_tensor *b) {
    double top = 0;
    for (int64_t i = 0; i < skive_tensor_count(b); i++) top = fmax(top, fabs(skive_tensor_get(b, i)));
    skv_test_tensors(a, b, 0, 2e-5 * top);
}

static void products_are_those_of_the_matrix(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof problems / sizeof problems[0]; k++) {
        skive_context *ctx = skv_test_context();
        const problem *p = &problems[k];
        skive_graph *hashed, *dense;
        skive_value *values;
        skive_tensor expected[4], got[4], again[4];
        build(ctx, p, false, &hashed, &values);
        build(ctx, p, true, &dense, &values);
        const size_t n = outputs_of(ctx, dense, false, 2, expected);
        fold_gradient(ctx, p, &expected[2]);
        for (int way = 0; way < 4; way++) { /* the reference, one thread, two, three */
            outputs_of(ctx, hashed, way == 0, way ? way : 1, got);
            outputs_of(ctx, hashed, way == 0, way ? way : 1, again);
            for (size_t i = 0; i < n; i++) {
                close_to(&got[i], &expected[i]);
                assert_memory_equal(got[i].data, again[i].data, skive_tensor_bytes(&got[i]));
                skive_tensor_free(ctx, &got[i]);
                skive_tensor_free(ctx, &again[i]);
            }
        }
        for (size_t i = 0; i < n; i++) skive_tensor_free(ctx, &expected[i]);
        skive_graph_free(hashed);
        skive_graph_free(dense);
        skv_test_context_end(ctx);
    }
}

/* ---- the method ---- */

static skive_graph *network(skive_context *ctx, const char *spec) {
    skive_graph *g = NULL;
    skive_zoo_options o = skive_zoo_options_default();
    o.rank = 3;
    o.dims[0] = 1;
    o.dims[1] = o.dims[2] = SIDE;
    o.classes = CLASSES;
    skv_test_ok(ctx, skive_zoo_build(ctx, spec, &o, &g));
    return g;
}

/* Fine-tuning of the options below, which the tests change. */
static skive_train_options tune;

static skive_share_options hashing(double ratio) {
    skive_share_options o = skive_share_options_default();
    o.finetune = &tune;
    o.hash = ratio;
    tune = settings(0, 40);
    tune.optimizer = "adam";
    tune.learning_rate = 0.005;
    return o;
}

/* Members of a bucket are one value, up to sign, and that is the mean of what they were. */
static void values_are_means_of_members(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx, "mlp:20"), *before = NULL;
    skive_share_options o = hashing(10);
    skive_share_report r;
    skv_shared s;
    (void)state;
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &before));
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &o, &r));
    skv_test_ok(ctx, skive_graph_check(g));
    assert_true(skv_shared_find(skive_graph_find_value(g, "fc1.weight"), &s));
    assert_int_equal(r.n_layers, 2);
    assert_int_equal(r.layers[0].centroids, 72); /* 36 * 20 / 10 */
    assert_int_equal(r.layers[0].bytes, 288);
    assert_int_equal(r.layers[0].bits, 0);
    assert_true(isnan(r.layers[0].entropy));
    const float *codebook = skv_value_tensor(s.codebook)->data, *w = data_of(before, "fc1.weight");
    const skive_tensor *at = skv_value_tensor(s.indices);
    assert_int_equal(at->dtype, SKIVE_U8);
    assert_int_equal(skive_tensor_count(skv_value_tensor(s.codebook)), 144);
    double sum[72] = {0}, error = 0;
    int members[72] = {0};
    for (int64_t i = 0; i < 720; i++) {
        const int64_t k = skv_shared_index(at, i);
        sum[k % 72] += k < 72 ? (double)w[i] : -(double)w[i];
        members[k % 72]++;
    }
    for (int k = 0; k < 72; k++) {
        assert_true(codebook[72 + k] == -codebook[k]);
        assert_true(fabs((double)codebook[k] - (members[k] ? sum[k] / members[k] : 0)) < 1e-7);
    }
    for (int64_t i = 0; i < 720; i++) {
        const double off = (double)w[i] - (double)codebook[skv_shared_index(at, i)];
        error += off * off / 720;
    }
    assert_true(skv_test_close(r.layers[0].mse, error, 1e-6, 0));
    assert_non_null(skive_graph_meta(g, "skive.hashed.fc1.weight"));
    skive_share_report_free(ctx, &r);
    skive_graph_free(before);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void hashed_networks_learn(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *d = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *codebook = network(ctx, "mlp:40"), *plain = network(ctx, "mlp:40");
    skive_share_options o = hashing(8);
    skive_share_report r;
    skive_eval_report a, b;
    (void)state;
    tune.epochs = 15;
    skv_test_ok(ctx, skive_share(ctx, codebook, d, NULL, &o, &r));
    assert_true(r.training.epochs[14].loss < 0.5 * r.training.epochs[0].loss);
    o.plain = true;
    skv_test_ok(ctx, skive_share(ctx, plain, d, NULL, &o, NULL));
    assert_non_null(skive_value_data(skive_graph_find_value(plain, "fc1.weight")));
    assert_null(skive_graph_meta(plain, "skive.hashed.fc1.weight"));
    skv_test_ok(ctx, skive_evaluate(ctx, codebook, d, 0, &a));
    skv_test_ok(ctx, skive_evaluate(ctx, plain, d, 0, &b));
    assert_true(a.accuracy > 0.9);
    assert_true(a.accuracy == b.accuracy);
    skive_eval_report_free(ctx, &a);
    skive_eval_report_free(ctx, &b);
    skive_share_report_free(ctx, &r);
    skive_graph_free(codebook);
    skive_graph_free(plain);
    skive_dataset_free(d);
    skv_test_context_end(ctx);
}

/* A hashed model in its form of standard ONNX goes on as one: training it later gives what fine-tuning at once gives,
 * and a value and its negative stay a pair. */
static void hashed_models_can_be_trained(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *d = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *at_once = network(ctx, "mlp:40"), *later = network(ctx, "mlp:40");
    skive_share_options o = hashing(8);
    skive_train_options t = tune;
    skive_train_report r;
    skv_shared s, expected;
    (void)state;
    skv_test_ok(ctx, skive_share(ctx, later, NULL, NULL, &o, NULL));
    tune.epochs = t.epochs = 3;
    skv_test_ok(ctx, skive_share(ctx, at_once, d, d, &o, NULL));
    skv_test_ok(ctx, skive_train(ctx, later, d, d, &t, NULL, 0, &r));
    assert_int_equal(r.n_epochs, 3);
    for (int layer = 1; layer <= 2; layer++) {
        const char *name = layer == 1 ? "fc1.weight" : "fc2.weight", *bias = layer == 1 ? "fc1.bias" : "fc2.bias";
        assert_true(skv_shared_find(skive_graph_find_value(later, name), &s));
        assert_true(skv_shared_find(skive_graph_find_value(at_once, name), &expected));
        assert_true(skv_tensor_same(skv_value_tensor(s.codebook), skv_value_tensor(expected.codebook)));
        assert_true(skv_tensor_same(skv_value_tensor(s.indices), skv_value_tensor(expected.indices)));
        assert_memory_equal(data_of(later, bias), data_of(at_once, bias), sizeof(float) * (layer == 1 ? 40 : CLASSES));
        const int64_t k = skive_tensor_count(skv_value_tensor(s.codebook)) / 2;
        const float *v = skv_value_tensor(s.codebook)->data;
        for (int64_t b = 0; b < k; b++) assert_true(v[k + b] == -v[b]);
    }
    assert_non_null(skive_graph_meta(later, "skive.hashed.fc1.weight"));
    skive_train_report_free(ctx, &r);
    skive_graph_free(at_once);
    skive_graph_free(later);
    skive_dataset_free(d);
    skv_test_context_end(ctx);
}

/* The penalty is on the weights of the virtual matrix, so a value is pulled once for each it stands for. */
static void decay_pulls_each_hashed_weight(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *d = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *start = network(ctx, "mlp:40"), *g[2];
    const skive_share_options o = hashing(8);
    skive_train_options t = settings(1, 100000); /* one step */
    skv_shared s, first;
    (void)state;
    skv_test_ok(ctx, skive_share(ctx, start, NULL, NULL, &o, NULL));
    t.momentum = 0;
    t.learning_rate = 0.01;
    for (int i = 0; i < 2; i++) {
        skv_test_ok(ctx, skive_graph_copy(ctx, start, &g[i]));
        t.weight_decay = i * 0.02;
        skv_test_ok(ctx, skive_train(ctx, g[i], d, NULL, &t, NULL, 0, NULL));
    }
    assert_true(skv_shared_find(skive_graph_find_value(start, "fc1.weight"), &first));
    const int64_t k = skive_tensor_count(skv_value_tensor(first.codebook)) / 2;
    const int64_t weights = skive_tensor_count(skv_value_tensor(first.indices));
    const float *value = skv_value_tensor(first.codebook)->data, *after[2];
    for (int i = 0; i < 2; i++) {
        assert_true(skv_shared_find(skive_graph_find_value(g[i], "fc1.weight"), &s));
        after[i] = skv_value_tensor(s.codebook)->data;
    }
    for (int64_t b = 0; b < k; b++) {
        const double pull = 0.01 * 0.02 * (double)weights / (double)k * (double)value[b];
        assert_true(fabs((double)after[0][b] - (double)after[1][b] - pull) < 1e-6 + 1e-4 * fabs(pull));
    }
    for (int i = 0; i < 2; i++) skive_graph_free(g[i]);
    skive_graph_free(start);
    skive_dataset_free(d);
    skv_test_context_end(ctx);
}

/* Biases are trained beside the shared values, and all of it ends in the caller's graph: what the trained copy
 * computed last is what the result computes. A weight stored the other way round is hashed by its own rows. */
static void what_was_trained_is_what_comes_out(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *d = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN_FULL);
    skive_share_options o = hashing(5);
    (void)state;
    for (int transposed = 0; transposed < 2; transposed++) {
        const skive_type image = {
            .dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
        const int64_t w[2] = {transposed ? PIXELS : CLASSES, transposed ? CLASSES : PIXELS}, k[1] = {CLASSES};
        skive_graph *g = NULL, *dense = NULL;
        skive_value *x = NULL;
        skive_share_report report;
        skive_eval_report found;
        skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
        skv_test_ok(ctx, skive_graph_add_input(g, "x", &image, &x));
        skv_builder b = skv_build(g);
        skive_value *y = skv_emit(&b, "Gemm",
                                  SKV_IN(skv_emit(&b, "Flatten", SKV_IN(x), SKV_NONE),
                                         parameter(&b, "w", 2, w, 1, -0.1, 0.1), parameter(&b, "bias", 1, k, 2, -1, 1)),
                                  SKV_ATTRS(SKV_INT("transB", !transposed)));
        skv_test_ok(ctx, b.status);
        skv_test_ok(ctx, skive_graph_add_output(g, y));
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &dense));
        tune.epochs = 10;
        skv_test_ok(ctx, skive_share(ctx, g, d, d, &o, &report));
        assert_memory_not_equal(data_of(g, "bias"), data_of(dense, "bias"), sizeof(float) * CLASSES);
        skv_test_ok(ctx, skive_evaluate(ctx, g, d, 0, &found));
        double best = 0;
        for (size_t i = 0; i < report.training.n_epochs; i++)
            best = fmax(best, report.training.epochs[i].validation_accuracy);
        assert_true(found.accuracy == best);
        skive_eval_report_free(ctx, &found);
        skive_share_report_free(ctx, &report);
        skive_graph_free(dense);
        skive_graph_free(g);
    }
    skive_dataset_free(d);
    skv_test_context_end(ctx);
}

static void layers_that_cannot_be_hashed_say_why(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false);
    skive_share_options o = hashing(1e9); /* one value a layer at least */
    skive_share_report r;
    skv_shared s;
    (void)state;
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &o, &r));
    assert_int_equal(r.n_layers, 2);
    assert_string_equal(r.layers[0].refused, "only Gemm can be hashed");
    assert_null(r.layers[1].refused);
    assert_int_equal(r.layers[1].centroids, 1);
    assert_true(skv_shared_find(skive_graph_find_value(g, "fc.weight"), &s));
    skive_share_report_free(ctx, &r);
    skv_test_fails(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_UNSUPPORTED, "only Gemm");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xxh32_of_four_bytes),
        cmocka_unit_test(places_are_the_hash_modulo_buckets),
        cmocka_unit_test(hashes_spread),
        cmocka_unit_test(products_are_those_of_the_matrix),
        cmocka_unit_test(values_are_means_of_members),
        cmocka_unit_test(hashed_networks_learn),
        cmocka_unit_test(hashed_models_can_be_trained),
        cmocka_unit_test(decay_pulls_each_hashed_weight),
        cmocka_unit_test(what_was_trained_is_what_comes_out),
        cmocka_unit_test(layers_that_cannot_be_hashed_say_why),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
