/* Clustering in one dimension: sorting, the exact optimum against brute force, Lloyd's algorithm against the optimum,
 * each initialisation, codebooks and their zeros. Their use on networks is in test_share_graph.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "share/share.h"
#include "support.h"

#include <cmocka.h>

static const char *const starts[] = {"linear", "density", "random", "exact"};
enum { STARTS = sizeof starts / sizeof starts[0] };

static skv_sorted sorted(skive_context *ctx, const float *x, size_t n) {
    float *own = NULL;
    skv_sorted s;
    skv_test_ok(ctx, skv_alloc(ctx, n * sizeof *own, &own));
    if (n) memcpy(own, x, n * sizeof *own);
    skv_test_ok(ctx, skv_sorted_create(ctx, own, n, &s));
    return s;
}

/* Kinds of data that occur: normal, uniform, few values, two heaps far apart, all negative. */
static float datum(int kind, uint64_t seed, uint64_t i) {
    const double normal = skv_rng_normal(seed, (uint64_t)kind, i), uniform = skv_rng_uniform(seed, 40, i);
    switch (kind) {
    case 0: return (float)(0.05 * normal);
    case 1: return (float)(2 * uniform - 1);
    case 2: return (float)(floor(uniform * 7) - 3) * 0.25f;
    case 3: return (float)((uniform < 0.3 ? -100 : 100) + normal);
    default: return (float)(-3 - uniform);
    }
}
enum { KINDS = 5 };

static int by_value(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void values_are_sorted_and_merged(void **state) {
    skive_context *ctx = skv_test_context();
    const float some[] = {3, -1, 0.0f, -0.0f, 1e-42f, -1e-42f, 3, 2e9f, -1e30f, -1};
    (void)state;
    skv_sorted s = sorted(ctx, some, 10);
    const float expected[] = {-1e30f, -1, -1e-42f, 0, 1e-42f, 3, 2e9f};
    const double count[] = {0, 1, 3, 4, 6, 7, 9, 10};
    assert_int_equal(s.n, 7);
    assert_memory_equal(s.value, expected, sizeof expected);
    assert_memory_equal(s.count, count, sizeof count);
    assert_int_equal(skv_sorted_above(&s, -1), 2);
    assert_int_equal(skv_sorted_above(&s, 1e30), 7);
    assert_int_equal(skv_sorted_at_rank(&s, 0), 0);
    assert_int_equal(skv_sorted_at_rank(&s, 2.5), 1);
    assert_int_equal(skv_sorted_at_rank(&s, 9.9), 6);
    skv_sorted_free(ctx, &s);
    s = sorted(ctx, some, 0);
    assert_int_equal(s.n, 0);
    skv_sorted_free(ctx, &s);
    for (int kind = 0; kind < KINDS; kind++) {
        enum { N = 5000 };
        float x[N];
        for (int i = 0; i < N; i++) x[i] = datum(kind, 1, (uint64_t)i);
        s = sorted(ctx, x, N);
        qsort(x, N, sizeof *x, by_value);
        size_t at = 0;
        for (size_t i = 0; i < s.n; i++) {
            for (double k = s.count[i]; k < s.count[i + 1]; k++) assert_true(x[at++] == s.value[i]);
        }
        assert_int_equal(at, N);
        skv_sorted_free(ctx, &s);
    }
    skv_test_context_end(ctx);
}

/* The cost of a run, plainly. */
static double plain_cost(const skv_sorted *s, size_t from, size_t to) {
    double n = 0, mean = 0, cost = 0;
    for (size_t i = from; i < to; i++) {
        n += s->count[i + 1] - s->count[i];
        mean += (s->count[i + 1] - s->count[i]) * (double)s->value[i];
    }
    mean /= n;
    for (size_t i = from; i < to; i++)
        cost += (s->count[i + 1] - s->count[i]) * ((double)s->value[i] - mean) * ((double)s->value[i] - mean);
    return cost;
}

/* All ways to cut values from .. n-1 into k runs. */
static double brute(const skv_sorted *s, size_t from, size_t k) {
    if (k == 1) return plain_cost(s, from, s->n);
    double best = INFINITY;
    for (size_t cut = from + 1; cut + k - 1 <= s->n; cut++)
        best = fmin(best, plain_cost(s, from, cut) + brute(s, cut, k - 1));
    return best;
}

static void exact_is_what_brute_force_finds(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (uint64_t round = 0; round < 60; round++) {
        float x[16];
        const int kind = (int)(round % KINDS);
        for (uint64_t i = 0; i < 16; i++) x[i] = datum(kind, round, i);
        skv_sorted s = sorted(ctx, x, 16);
        for (size_t k = 1; k <= s.n && k <= 6; k++) {
            size_t start[SKV_SHARE_MAX_ENTRIES + 1];
            skv_test_ok(ctx, skv_exact_clusters(ctx, &s, k, start));
            double cost = 0;
            for (size_t c = 0; c < k; c++) {
                assert_true(start[c] < start[c + 1]);
                cost += plain_cost(&s, start[c], start[c + 1]);
            }
            assert_int_equal(start[0], 0);
            assert_int_equal(start[k], s.n);
            assert_true(skv_test_close(cost, brute(&s, 0, k), 1e-9, 1e-12));
            assert_true(skv_test_close(skv_clusters_cost(&s, start, k), cost, 1e-6, 1e-9));
        }
        skv_sorted_free(ctx, &s);
    }
    skv_test_context_end(ctx);
}

static double lloyd_cost(skive_context *ctx, const skv_sorted *s, const char *init, size_t k, uint64_t seed,
                         skv_clusters *c) {
    double centroids[SKV_SHARE_MAX_ENTRIES];
    skv_test_ok(ctx, skv_share_init_find(init)->place(ctx, s, k, seed, centroids));
    skv_lloyd(s, k, centroids, 10000, c);
    assert_true(c->iterations < 10000);
    for (size_t i = 0; i < k; i++) {
        assert_true(c->start[i] < c->start[i + 1]); /* none is empty */
        assert_true(i == 0 || c->centroid[i] > c->centroid[i - 1]);
        assert_true(c->centroid[i] >= s->value[c->start[i]] && c->centroid[i] <= s->value[c->start[i + 1] - 1]);
    }
    assert_int_equal(c->start[k], s->n);
    return skv_clusters_cost(s, c->start, k);
}

static void lloyd_is_never_better_than_exact(void **state) {
    skive_context *ctx = skv_test_context();
    static const size_t sizes[] = {1, 2, 3, 7, 16, 64};
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        enum { N = 3000 };
        float x[N];
        for (int i = 0; i < N; i++) x[i] = datum(kind, 2, (uint64_t)i);
        skv_sorted s = sorted(ctx, x, N);
        for (size_t z = 0; z < sizeof sizes / sizeof sizes[0] && sizes[z] < s.n; z++) {
            size_t start[SKV_SHARE_MAX_ENTRIES + 1];
            skv_clusters c;
            skv_test_ok(ctx, skv_exact_clusters(ctx, &s, sizes[z], start));
            const double best = skv_clusters_cost(&s, start, sizes[z]), slack = 1e-9 * s.square[s.n];
            for (size_t i = 0; i < STARTS; i++) {
                const double cost = lloyd_cost(ctx, &s, starts[i], sizes[z], 3, &c);
                assert_true(cost >= best - slack);
                if (strcmp(starts[i], "exact") == 0 || sizes[z] == 1) assert_true(cost <= best + slack);
            }
        }
        skv_sorted_free(ctx, &s);
    }
    skv_test_context_end(ctx);
}

/* Heaps that lie far apart: every start ends at the optimum, which is the heaps. */
static void separable_data_is_separated(void **state) {
    skive_context *ctx = skv_test_context();
    enum { N = 800, K = 8 };
    float x[N];
    (void)state;
    for (int i = 0; i < N; i++) x[i] = (float)(i % K) + 0.01f * (float)skv_rng_uniform(4, 0, (uint64_t)i);
    skv_sorted s = sorted(ctx, x, N);
    for (size_t i = 0; i < STARTS; i++) {
        skv_clusters c;
        (void)lloyd_cost(ctx, &s, starts[i], K, 1, &c);
        for (size_t k = 0; k < K; k++) assert_true(fabs((double)c.centroid[k] - (double)k - 0.005) < 0.005);
    }
    skv_sorted_free(ctx, &s);
    skv_test_context_end(ctx);
}

static void starts_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    const float x[] = {1, 1, 1, 2, 3, 5, 8, 9};
    double at[4], again[4], other[4];
    (void)state;
    skv_sorted s = sorted(ctx, x, 8);
    skv_test_ok(ctx, skv_share_init_find("linear")->place(ctx, &s, 3, 0, at));
    assert_true(at[0] == 1 && at[1] == 5 && at[2] == 9);
    skv_test_ok(ctx, skv_share_init_find("linear")->place(ctx, &s, 1, 0, at));
    assert_true(at[0] == 5);
    skv_test_ok(ctx, skv_share_init_find("density")->place(ctx, &s, 4, 0, at)); /* ranks 1, 3, 5, 7 */
    assert_true(at[0] == 1 && at[1] == 2 && at[2] == 5 && at[3] == 9);
    skv_test_ok(ctx, skv_share_init_find("exact")->place(ctx, &s, 2, 0, at));
    assert_true(fabs(at[0] - 1.6) < 1e-12 && fabs(at[1] - 22.0 / 3) < 1e-12);
    skv_test_ok(ctx, skv_share_init_find("random")->place(ctx, &s, 4, 1, at));
    skv_test_ok(ctx, skv_share_init_find("random")->place(ctx, &s, 4, 1, again));
    assert_memory_equal(at, again, sizeof at);
    bool differ = false;
    for (uint64_t seed = 2; seed < 8; seed++) {
        skv_test_ok(ctx, skv_share_init_find("random")->place(ctx, &s, 4, seed, other));
        differ = differ || memcmp(at, other, sizeof at) != 0;
        for (int k = 1; k < 4; k++) assert_true(other[k] > other[k - 1]); /* no weight is drawn twice */
    }
    assert_true(differ);
    assert_null(skv_share_init_find("beauty"));
    assert_null(skv_share_init_at(skv_share_init_count()));
    skv_sorted_free(ctx, &s);
    skv_test_context_end(ctx);
}

/* Draws of k-means++ go by squared distance: of 0 and 3 after 1 (squares 1 and 4), 3 comes four times as often. */
static void random_draws_by_squared_distance(void **state) {
    skive_context *ctx = skv_test_context();
    const float x[] = {0, 1, 3};
    double after[3] = {0};
    (void)state;
    skv_sorted s = sorted(ctx, x, 3);
    for (uint64_t seed = 0; seed < 6000; seed++) {
        double at[2];
        skv_test_ok(ctx, skv_share_init_find("random")->place(ctx, &s, 2, seed, at));
        if (at[0] == 1 || at[1] == 1) after[at[0] == 1 ? (int)at[1] - 1 : 0]++;
    }
    /* {0,1}: 1 first then 0 (1/3 * 1/5), or 0 first then 1 (1/3 * 1/10). {1,3}: 1/3 * 4/5 + 1/3 * 4/13. */
    assert_true(fabs(after[0] / 6000 - 1.0 / 10) < 0.015);
    assert_true(fabs(after[2] / 6000 - (4.0 / 15 + 4.0 / 39)) < 0.02);
    skv_sorted_free(ctx, &s);
    skv_test_context_end(ctx);
}

/* ---- codebooks ---- */

/* A layer's worth of weights, without a graph. */
typedef struct weights {
    skv_storage storage;
    skive_value value;
    skv_shareable layer;
} weights;

static void set_weights(weights *w, float *x, int64_t n) {
    *w = (weights){.storage = {.tensor = {.dtype = SKIVE_F32, .rank = 1, .dims = {n}, .data = x}}};
    w->value.storage = &w->storage;
    w->value.name = "w";
    w->layer = (skv_shareable){.value = &w->value, .n = n, .bits = 4};
    for (int64_t i = 0; i < n; i++) w->layer.zeros += x[i] == 0;
}

static void zeros_have_an_entry(void **state) {
    skive_context *ctx = skv_test_context();
    float x[] = {0, 0.01f, -0.0f, -0.01f, 1, 1.1f, -1, 0, -1.1f, 0.02f};
    uint8_t at[10];
    weights w;
    skv_codebook c;
    int64_t distinct;
    skive_share_layer row = {0};
    skive_share_options o = skive_share_options_default();
    (void)state;
    set_weights(&w, x, 10);
    w.layer.bits = 2;
    skv_test_ok(ctx, skv_codebook_create(ctx, &o, &w.layer, 1, &c, &distinct));
    assert_int_equal(distinct, 8);
    assert_int_equal(c.k, 4);
    assert_true(c.has_zero && c.entry[0] == 0.0f);
    skv_codebook_encode(&c, &w.layer, at, &row);
    for (int i = 0; i < 10; i++) {
        assert_true((at[i] == 0) == (x[i] == 0));
        for (size_t k = 1; k < c.k; k++) /* the nearest of the others */
            assert_true(x[i] == 0 || fabsf(x[i] - c.entry[at[i]]) <= fabsf(x[i] - c.entry[k]));
    }
    assert_true(fabs((double)c.entry[2] - 0.02 / 3) < 1e-7);
    assert_int_equal(row.bits, 2);
    assert_int_equal(row.bytes, 3); /* 20 bits */
    /* 3 zeros, 2 low, 3 middle, 2 high */
    const double entropy = -2 * 0.3 * log2(0.3) - 2 * 0.2 * log2(0.2);
    assert_true(fabs(row.entropy - entropy) < 1e-12);
    o.keep_zero = false;
    skv_test_ok(ctx, skv_codebook_create(ctx, &o, &w.layer, 1, &c, &distinct));
    assert_false(c.has_zero);
    assert_int_equal(c.k, 4);
    skv_test_context_end(ctx);
}

static void few_values_are_kept_as_they_are(void **state) {
    skive_context *ctx = skv_test_context();
    float x[] = {0.1f, 0, 0.7f, 0.1f, -0.3f, 0.7f, 0};
    weights w;
    skv_codebook c;
    int64_t distinct;
    uint8_t at[7];
    (void)state;
    set_weights(&w, x, 7);
    for (int bits = 2; bits <= 8; bits++) {
        skive_share_options o = skive_share_options_default();
        skive_share_layer row = {0};
        w.layer.bits = bits;
        skv_test_ok(ctx, skv_codebook_create(ctx, &o, &w.layer, 1, &c, &distinct));
        assert_int_equal(c.k, 4);
        assert_int_equal(distinct, 4);
        skv_codebook_encode(&c, &w.layer, at, &row);
        for (int i = 0; i < 7; i++) assert_true(c.entry[at[i]] == x[i]);
        assert_true(row.mse == 0);
        assert_int_equal(row.bits, 2);
    }
    float nothing[] = {0, 0, -0.0f};
    skive_share_layer row = {0};
    const skive_share_options o = skive_share_options_default();
    set_weights(&w, nothing, 3);
    skv_test_ok(ctx, skv_codebook_create(ctx, &o, &w.layer, 1, &c, &distinct));
    skv_codebook_encode(&c, &w.layer, at, &row);
    assert_int_equal(c.k, 1);
    assert_int_equal(row.bits, 0);
    assert_true(c.entry[0] == 0 && row.entropy == 0 && row.bytes == 0);
    skv_test_context_end(ctx);
}

/* Indices of all weights are those of the nearest entry, and the error is what the report says. */
static void encoding_is_to_the_nearest(void **state) {
    skive_context *ctx = skv_test_context();
    enum { N = 4000 };
    static float x[N];
    static uint8_t at[N];
    (void)state;
    for (int bits = 1; bits <= 8; bits++) {
        for (size_t i = 0; i < STARTS; i++) {
            weights w;
            skv_codebook c;
            int64_t distinct;
            skive_share_layer row = {0};
            skive_share_options o = skive_share_options_default();
            for (int k = 0; k < N; k++) x[k] = datum(0, (uint64_t)bits, (uint64_t)k);
            set_weights(&w, x, N);
            w.layer.bits = bits;
            o.init = starts[i];
            skv_test_ok(ctx, skv_codebook_create(ctx, &o, &w.layer, 1, &c, &distinct));
            skv_codebook_encode(&c, &w.layer, at, &row);
            double error = 0;
            for (int k = 0; k < N; k++) {
                const double off = fabs((double)x[k] - (double)c.entry[at[k]]);
                for (size_t e = 0; e < c.k; e++) assert_true(off <= fabs((double)x[k] - (double)c.entry[e]) + 1e-8);
                error += off * off;
            }
            assert_int_equal(c.k, 1 << bits);
            assert_true(skv_test_close(row.mse, error / N, 1e-9, 0));
            assert_true(row.entropy <= bits && row.entropy > 0.7 * bits);
        }
    }
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_sorted_and_merged),
        cmocka_unit_test(exact_is_what_brute_force_finds),
        cmocka_unit_test(lloyd_is_never_better_than_exact),
        cmocka_unit_test(separable_data_is_separated),
        cmocka_unit_test(starts_by_hand),
        cmocka_unit_test(random_draws_by_squared_distance),
        cmocka_unit_test(zeros_have_an_entry),
        cmocka_unit_test(few_values_are_kept_as_they_are),
        cmocka_unit_test(encoding_is_to_the_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
