/* Factorization within a limit on the loss of accuracy, alone and together with a budget: the result is the furthest of
 * the trials within the limit, and never beyond the budget. */
#include "train_fixtures.h"

#include <skive/factorize.h>

static double accuracy(skive_context *ctx, const skive_graph *g, skive_dataset *v) {
    skive_eval_report r = {0};
    skv_test_ok(ctx, skive_evaluate(ctx, g, v, 0, &r));
    const double a = 100 * r.accuracy;
    skive_eval_report_free(ctx, &r);
    return a;
}

static void as_much_of_the_way_as_the_limit_allows(void **state) {
    static const double limits[] = {0, 5, 100};
    static const char *const budgets[] = {NULL, "0.7"};
    skive_context *ctx = skv_test_context();
    enum { HIDDEN = 24 };
    static float w1[HIDDEN * PIXELS], w2[CLASSES * HIDDEN], none[HIDDEN];
    for (int i = 0; i < HIDDEN * PIXELS; i++) w1[i] = (float)(0.2 * skv_rng_normal(1, 1, (uint64_t)i));
    for (int i = 0; i < CLASSES * HIDDEN; i++) w2[i] = (float)(0.2 * skv_rng_normal(1, 2, (uint64_t)i));
    const made_layer layers[2] = {{HIDDEN, PIXELS, w1, none}, {CLASSES, HIDDEN, w2, none}};
    skive_graph *g = made_network(ctx, layers, 2, true);
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN), *v = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    const skive_train_options train = settings(8, 32);
    (void)state;
    skv_test_ok(ctx, skive_train(ctx, g, t, NULL, &train, NULL, 0, NULL));
    const double before = accuracy(ctx, g, v);
    for (size_t b = 0; b < SKV_LENGTH(budgets); b++) {
        int64_t parameters = INT64_MAX;
        for (size_t i = 0; i < SKV_LENGTH(limits); i++) {
            skive_graph *copy = NULL;
            skive_factorize_options o = skive_factorize_options_default();
            skive_factorize_report r = {0};
            size_t furthest = 0;
            o.measure = false;
            o.params = budgets[b];
            o.max_drop = limits[i];
            skv_test_ok(ctx, skive_graph_copy(ctx, g, &copy));
            const skive_status status = skive_factorize(ctx, copy, t, v, &o, &r);
            if (limits[i] == 0 && status == SKIVE_ERR_GOAL) { /* nothing is within */
                skive_factorize_report_free(ctx, &r);
                skive_graph_free(copy);
                continue;
            }
            skv_test_ok(ctx, status);
            const skive_control_report *c = &r.control;
            for (size_t k = 0; k < c->n_trials; k++) {
                assert_true(c->trials[k].within == (c->trials[k].drop <= limits[i] + 1e-9));
                if (c->trials[k].within && c->trials[k].applied > furthest) furthest = c->trials[k].applied;
            }
            assert_true(c->n_trials > 0 && c->applied == furthest && c->drop <= limits[i] + 1e-9);
            assert_int_equal(c->trials[0].applied, SKIVE_FACTORIZE_LEVELS);
            assert_true(fabs(before - accuracy(ctx, copy, v) - c->drop) < 1e-6);
            assert_true(r.after.parameters <= parameters && r.after.parameters <= r.before.parameters);
            parameters = r.after.parameters;
            if (limits[i] == 100 && budgets[b]) /* the whole way, and not beyond: a budget is not undercut by far */
                assert_true((double)parameters <= 0.7 * (double)r.before.parameters &&
                            (double)parameters > 0.5 * (double)r.before.parameters);
            if (limits[i] == 100) assert_int_equal(c->applied, SKIVE_FACTORIZE_LEVELS);
            skive_factorize_report_free(ctx, &r);
            skive_graph_free(copy);
        }
    }
    /* A budget that cannot be met is named before anything is tried. */
    skive_factorize_options o = skive_factorize_options_default();
    o.measure = false;
    o.params = "0.01";
    o.max_drop = 5;
    skv_test_fails(ctx, skive_factorize(ctx, g, t, v, &o, NULL), SKIVE_ERR_GOAL, "smallest that can be reached");
    skive_dataset_free(t);
    skive_dataset_free(v);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_much_of_the_way_as_the_limit_allows)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
