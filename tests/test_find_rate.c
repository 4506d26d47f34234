/* The learning-rate finder: its ramp, its end and its suggestions on losses that are known, and on a network, which it
 * does not change. */
#include "train_fixtures.h"

#include "train/find_rate.h"

static bool noted_nothing(const skive_rate_search *r) { return isnan(r->steepest) && isnan(r->below_minimum); }

/* ---- suggestions ---- */

enum { N = 60 };

/* A smoothed loss that stays at 2, falls to 1 as a cosine from rate 10 to 40, and rises again: it falls fastest at the
 * middle of the cosine. */
static void suggestions_by_hand(void **state) {
    double rates[N], smoothed[N];
    skive_rate_search r = {.n = N, .rates = rates, .smoothed = smoothed};
    (void)state;
    for (int i = 0; i < N; i++) {
        rates[i] = skv_find_rate_at(i, N);
        smoothed[i] = i < 10 ? 2 : i < 40 ? 1.5 + 0.5 * cos((i - 9.5) / 30 * 3.14159265358979) : 1 + 0.1 * (i - 39);
    }
    assert_true(skv_test_close(rates[0], 1e-7, 1e-12, 0) && skv_test_close(rates[N - 1], 10, 1e-12, 0));
    assert_true(skv_test_close(rates[1] / rates[0], rates[41] / rates[40], 1e-9, 0));
    skv_find_rate_suggest(&r);
    assert_true(r.steepest == rates[25]);
    assert_true(skv_test_close(r.below_minimum, rates[39] / 10, 1e-12, 0));
    /* Nothing falls; too few losses. */
    for (int i = 0; i < N; i++) smoothed[i] = 1 + 0.01 * i;
    skv_find_rate_suggest(&r);
    assert_true(noted_nothing(&r));
    r.n = 5;
    skv_find_rate_suggest(&r);
    assert_true(noted_nothing(&r));
}

/* ---- the end ---- */

typedef struct script {
    int64_t steps, diverges, fails;
    skive_status failure;
} script;

static skive_status scripted(void *user, int64_t i, double rate, double *loss) {
    script *s = user;
    assert_true(rate == skv_find_rate_at(i, N));
    assert_int_equal(i, s->steps);
    s->steps++;
    if (i == s->fails) return s->failure;
    *loss = i < s->diverges ? 2 - 0.01 * (double)i : 1e6;
    return SKIVE_OK;
}

static void where_it_ends(void **state) {
    skive_context *ctx = skv_test_context();
    skive_rate_search r;
    (void)state;
    script s = {.diverges = N, .fails = -1};
    skv_test_ok(ctx, skv_find_rate(ctx, N, scripted, &s, &r));
    assert_int_equal(r.n, N);
    assert_true(r.losses[10] == 2 - 0.1);
    /* The exponential mean of the first two losses with its correction: (0.98 * 2 + 1.99) * 0.02 / (1 - 0.98^2). */
    assert_true(skv_test_close(r.smoothed[0], 2, 1e-12, 0));
    assert_true(skv_test_close(r.smoothed[1], (0.98 * 2 + 1.99) * 0.02 / (1 - 0.98 * 0.98), 1e-12, 0));
    skive_rate_search_free(ctx, &r);
    s = (script){.diverges = 30, .fails = -1};
    skv_test_ok(ctx, skv_find_rate(ctx, N, scripted, &s, &r));
    assert_int_equal(r.n, 30);
    assert_int_equal(s.steps, 31);
    skive_rate_search_free(ctx, &r);
    s = (script){.diverges = N, .fails = 20, .failure = SKIVE_ERR_NUMERIC};
    skv_test_ok(ctx, skv_find_rate(ctx, N, scripted, &s, &r));
    assert_int_equal(r.n, 20);
    skive_rate_search_free(ctx, &r);
    /* Data that are no numbers from the beginning are a failure, and so is any other one. */
    s = (script){.diverges = N, .fails = 0, .failure = SKIVE_ERR_NUMERIC};
    assert_int_equal(skv_find_rate(ctx, N, scripted, &s, &r), SKIVE_ERR_NUMERIC);
    s = (script){.diverges = N, .fails = 7, .failure = SKIVE_ERR_INTERRUPTED};
    assert_int_equal(skv_find_rate(ctx, N, scripted, &s, &r), SKIVE_ERR_INTERRUPTED);
    skv_test_context_end(ctx);
}

/* ---- on a network ---- */

static void the_model_is_not_changed(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = small_cnn(ctx, true);
    skive_train_options o = settings(3, 32);
    skive_train_report first, second;
    char path[SKV_TEST_PATH];
    (void)state;
    const uint64_t before = fingerprint(g);
    o.find_lr = true;
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, &first));
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, &second));
    assert_true(fingerprint(g) == before);
    assert_int_equal(first.n_epochs, 0);
    assert_true(first.rates.n > 30 && first.rates.n == second.rates.n);
    assert_memory_equal(first.rates.losses, second.rates.losses, first.rates.n * sizeof(double));
    /* The loss falls somewhere between rates that do nothing and those that destroy. */
    assert_true(first.rates.steepest > 1e-5 && first.rates.steepest < 2);
    assert_true(first.rates.below_minimum > 1e-5 && first.rates.below_minimum <= 1);
    skive_train_report_free(ctx, &first);
    skive_train_report_free(ctx, &second);
    o.checkpoint = file(path, "rates.ckpt");
    skv_test_fails(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL), SKIVE_ERR_ARGUMENT, "writes no checkpoint");
    o.checkpoint = NULL;
    o.find_lr_steps = 3;
    skv_test_fails(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL), SKIVE_ERR_ARGUMENT, "find-lr-steps");
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suggestions_by_hand),
        cmocka_unit_test(where_it_ends),
        cmocka_unit_test(the_model_is_not_changed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
