/* Second-order pruning: factors and fits by hand and against the definition; the error of the layers on the samples is
 * never more than that of magnitude; patterns; what is refused. */
#include "train_fixtures.h"

#include <skive/prune.h>
#include <skive/zoo.h>

#include "base/cholesky.h"
#include "prune/hessian.h"

enum { TRAINED = 220 }; /* samples of the training split */

/* ---- numbers ---- */

static void random_positive(double *a, int n, uint64_t seed) {
    double b[96 * 96];
    for (int i = 0; i < n * n; i++) b[i] = skv_rng_normal(seed, 1, (uint64_t)i);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            a[i * n + j] = i == j ? 0.5 : 0;
            for (int k = 0; k < n; k++) a[i * n + j] += b[i * n + k] * b[j * n + k];
        }
}

static void factors_solve_and_invert(void **state) {
    (void)state;
    static double a[96 * 96], m[96 * 96], u[96 * 96];
    for (int n = 1; n <= 96; n = n < 4 ? n + 1 : n + 23) { /* beyond a block of columns too */
        double x[96], want[96];
        random_positive(a, n, (uint64_t)n);
        memcpy(m, a, sizeof m);
        assert_true(skv_cholesky_upper(m, n, 2));
        for (int i = 0; i < n; i++) want[i] = i - 3.5;
        for (int i = 0; i < n; i++) {
            x[i] = 0;
            for (int k = 0; k < n; k++) x[i] += a[i * n + k] * want[k];
        }
        skv_cholesky_solve(m, n, x);
        for (int i = 0; i < n; i++) assert_true(fabs(x[i] - want[i]) < 1e-6);
        skv_cholesky_invert(m, n, u, 2);
        for (int i = 0; i < n; i++) { /* u times the factor, whose lower part does not count, is 1 */
            for (int j = 0; j < n; j++) {
                double sum = 0;
                for (int k = 0; k <= j; k++) sum += u[i * n + k] * m[k * n + j];
                assert_true(fabs(sum - (i == j)) < 1e-9);
            }
        }
    }
    double bad[4] = {1, 2, 2, 1};
    assert_false(skv_cholesky_upper(bad, 2, 1));
}

/* H = [2 1; 1 2], H^-1 = [2 -1; -1 2] / 3: a weight costs 1.5 w^2, and when w0 goes w1 gets w0 / 2. */
static void two_weights_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    double numbers[5] = {8, 4, 4, 8, 4}; /* of four rows */
    const skv_numbers moments = {.x = numbers, .n = 5, .count = 1};
    const skv_rows rows = {.rows = 1, .d = 2, .groups = 1, .row_step = 2, .step = 1};
    skv_hessian h;
    (void)state;
    skv_test_ok(ctx, skv_hessian_make(ctx, &moments, &rows, 0, 1e-12, &h));
    assert_true(fabs(skv_hessian_cost(&h, 0) - 1.5) < 1e-9);
    assert_true(fabs(skv_hessian_cost(&h, 1) - 1.5) < 1e-9);
    for (int sweep = 0; sweep < 2; sweep++) {
        const double was[2] = {1, 3};
        double w[2] = {1, 3}, room[16];
        assert_true(sizeof room >= skv_hessian_room(2));
        assert_true(skv_hessian_fit(&h, (const uint8_t[]){0, 1}, sweep, w, room));
        assert_true(w[0] == 0 && fabs(w[1] - 3.5) < 1e-9);
        assert_true(fabs(skv_hessian_error(&h, w, was) - 1.5) < 1e-9);
    }
    skv_hessian_free(ctx, &h);
    numbers[0] = NAN;
    skv_test_fails(ctx, skv_hessian_make(ctx, &moments, &rows, 0, 0.01, &h), SKIVE_ERR_NUMERIC, "not finite");
    skv_hessian_free(ctx, &h);
    skv_test_context_end(ctx);
}

/* The exact fit is the best of all rows with these zeros; a sweep is between it and no fit. */
static void the_fit_is_the_best(void **state) {
    enum { D = 12 };
    skive_context *ctx = skv_test_context();
    double numbers[D * D + 1];
    const skv_numbers moments = {.x = numbers, .n = D * D + 1, .count = 1};
    const skv_rows rows = {.rows = 1, .d = D, .groups = 1, .row_step = D, .step = 1};
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        skv_hessian h;
        uint8_t keep[D];
        double was[D], masked[D], swept[D], best[D], room[D * D + 2 * D + 1];
        random_positive(numbers, D, seed + 50);
        numbers[D * D] = 1;
        skv_test_ok(ctx, skv_hessian_make(ctx, &moments, &rows, 0, 0.001, &h));
        for (int i = 0; i < D; i++) {
            keep[i] = skv_rng_uniform(seed, 3, (uint64_t)i) < 0.5;
            was[i] = swept[i] = best[i] = skv_rng_normal(seed, 4, (uint64_t)i);
            masked[i] = keep[i] ? was[i] : 0;
        }
        assert_true(skv_hessian_fit(&h, keep, false, best, room) && skv_hessian_fit(&h, keep, true, swept, room));
        const double e = skv_hessian_error(&h, best, was);
        assert_true(e <= skv_hessian_error(&h, swept, was) * (1 + 1e-9));
        assert_true(e <= skv_hessian_error(&h, masked, was) * (1 + 1e-9));
        for (int i = 0; i < D; i++) {
            assert_true(keep[i] || (best[i] == 0 && swept[i] == 0));
            double other[D];
            memcpy(other, best, sizeof other);
            other[i] += keep[i] ? 0.01 : 0;
            assert_true(e <= skv_hessian_error(&h, other, was) + 1e-12);
        }
        skv_hessian_free(ctx, &h);
    }
    skv_test_context_end(ctx);
}

/* ---- networks ---- */

static skive_prune_options options_of(const char *criterion, double sparsity) {
    skive_prune_options o = skive_prune_options_default();
    o.criterion = criterion;
    o.sparsity = sparsity;
    return o;
}

/* The mean squared change of what the convolution of small_cnn gives for the training samples. */
static double conv_error(skive_context *ctx, const skive_graph *a, const skive_graph *b) {
    const float *v = data_of(a, "conv.weight"), *w = data_of(b, "conv.weight");
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    double sum = 0;
    float x[PIXELS];
    for (int64_t n = 0; n < TRAINED; n++) {
        skv_test_ok(ctx, skive_dataset_read(ctx, set, (size_t)n, x, NULL));
        for (int c = 0; c < 4; c++)
            for (int at = 0; at < PIXELS; at++) {
                double e = 0;
                for (int k = 0; k < 9; k++) {
                    const int row = at / SIDE + k / 3 - 1, column = at % SIDE + k % 3 - 1;
                    if (row < 0 || row >= SIDE || column < 0 || column >= SIDE) continue;
                    e += (double)(v[c * 9 + k] - w[c * 9 + k]) * (double)x[row * SIDE + column];
                }
                sum += e * e;
            }
    }
    skive_dataset_free(set);
    return sum / TRAINED;
}

static int zeros_of(const skive_graph *g, const char *name, int n) {
    int zeros = 0;
    for (int i = 0; i < n; i++) zeros += data_of(g, name)[i] == 0;
    return zeros;
}

static void never_worse_than_magnitude(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    (void)state;
    static const char *const granularities[] = {"element", "kernel", "block:2x1"};
    for (size_t k = 0; k < SKV_LENGTH(granularities); k++) {
        skive_graph *dense = small_cnn(ctx, false), *fitted = small_cnn(ctx, false), *masked = small_cnn(ctx, false);
        skive_prune_options o = options_of("obs:batches=1,batch=220,damping=1e-6", 0.5);
        o.granularity = granularities[k];
        o.per_layer = true;
        skv_test_ok(ctx, skive_prune(ctx, fitted, set, NULL, &o, NULL));
        o.criterion = "magnitude";
        skv_test_ok(ctx, skive_prune(ctx, masked, set, NULL, &o, NULL));
        assert_int_equal(zeros_of(fitted, "conv.weight", 36), 18);
        assert_int_equal(zeros_of(masked, "conv.weight", 36), 18);
        const double a = conv_error(ctx, dense, fitted), b = conv_error(ctx, dense, masked);
        assert_true(a > 0 && a <= b * (1 + 1e-4));
        skive_graph_free(dense);
        skive_graph_free(fitted);
        skive_graph_free(masked);
    }
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

static void patterns_and_threads(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    uint64_t prints[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        skive_graph *g = small_cnn(ctx, false);
        skive_prune_options o = options_of("obs:batches=4,batch=60", 0);
        o.granularity = "nm:2:4";
        skive_context_set_threads(ctx, i == 0 ? 1 : 3);
        skv_test_ok(ctx, skive_prune(ctx, g, set, NULL, &o, NULL));
        const float *w = data_of(g, "fc.weight");
        for (int run = 0; run < CLASSES * 4 * PIXELS / 4; run++) {
            int left = 0;
            for (int k = 0; k < 4; k++) left += w[4 * run + k] != 0;
            assert_int_equal(left, 2);
        }
        prints[i] = fingerprint(g);
        skive_graph_free(g);
    }
    assert_true(prints[0] == prints[1]);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

static void what_is_refused(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = small_cnn(ctx, false);
    const uint64_t before = fingerprint(g);
    skive_prune_options o = options_of("obs", 0.5);
    (void)state;
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "a training set is missing");
    o.granularity = "channel";
    o.macs = "0.5";
    skv_test_fails(ctx, skive_prune(ctx, g, set, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "fits single weights anew");
    o = options_of("obs:damping=0", 0.5);
    skv_test_fails(ctx, skive_prune(ctx, g, set, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "damping");
    assert_true(fingerprint(g) == before);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

static skive_status prune_it(skive_context *ctx, void *user) {
    skive_dataset *set = NULL;
    skive_dataset_options d = skive_dataset_options_default();
    skive_graph *g = NULL;
    skive_zoo_options z = skive_zoo_options_default();
    const skive_prune_options o = options_of("obs:2,batch=32,rounds=2", 0.5);
    skive_status status;
    (void)user;
    z.dims[1] = z.dims[2] = SIDE;
    z.classes = CLASSES;
    SKV_GO(status, done, skive_dataset_open(ctx, blobs, &d, &set));
    SKV_GO(status, done, skive_zoo_build(ctx, "mlp:4", &z, &g));
    status = skive_prune(ctx, g, set, NULL, &o, NULL);
done:
    skive_graph_free(g);
    skive_dataset_free(set);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(prune_it, NULL, 17) > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(factors_solve_and_invert),  cmocka_unit_test(two_weights_by_hand),
        cmocka_unit_test(the_fit_is_the_best),       cmocka_unit_test(never_worse_than_magnitude),
        cmocka_unit_test(patterns_and_threads),      cmocka_unit_test(what_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
