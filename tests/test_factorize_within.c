/* Factorization within a limit on the loss of accuracy, alone and together with a budget: the result is the furthest of
 * the trials within the limit, and never beyond the budget. Factors that are fitted again, on trained networks. */
#include "train_fixtures.h"

#include <skive/factorize.h>
#include <skive/layers.h>

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

/* ---- fitted again ---- */

enum { SEEN = 192 }; /* six batches: all that a loader of whole batches gives */

static const char *reader_of(const skive_graph *g, const char *parameter) {
    return skive_graph_find_value(g, parameter)->uses[0].node->name;
}

/* The squared difference of a value in two models, as a share of what it is in the first. */
static double noise_of(skive_context *ctx, const skive_graph *a, const skive_graph *b, skive_dataset *set,
                       const char *value) {
    skive_layers_options o = skive_layers_options_default();
    skive_layers_report r;
    double noise = NAN;
    o.samples = SEEN;
    skv_test_ok(ctx, skive_compare_layers(ctx, a, b, set, &o, &r));
    for (size_t i = 0; i < r.n_rows; i++)
        if (strcmp(r.rows[i].value, value) == 0) noise = pow(10, -r.rows[i].sqnr / 10);
    skive_layers_report_free(ctx, &r);
    if (isnan(noise)) fail_msg("no value '%s'", value);
    return noise;
}

/* What `layers` says, not fitted and fitted again. *r is of the second. */
static void factorize_both(skive_context *ctx, const skive_graph *g, skive_dataset *t, const char *const *layers,
                           size_t n, skive_graph *made[2], skive_factorize_report *r) {
    for (int fit = 0; fit < 2; fit++) {
        skive_factorize_options o = skive_factorize_options_default();
        o.measure = false;
        o.layers = layers;
        o.n_layers = n;
        o.samples = SEEN;
        o.refit = fit;
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &made[fit]));
        skv_test_ok(ctx, skive_factorize(ctx, made[fit], t, NULL, &o, r));
        if (!fit) skive_factorize_report_free(ctx, r);
    }
}

/* Two layers in a row: behind both, the outputs are nearer to the original's on the samples and on those held out; of
 * the first one, whose input is the same in both, the report tells the very ratio. */
static void two_layers_in_a_row_are_fitted_again(void **state) {
    skive_context *ctx = skv_test_context();
    enum { A = 24, B = 20 };
    static float w1[A * PIXELS], w2[B * A], w3[CLASSES * B], none[A];
    (void)state;
    for (int i = 0; i < A * PIXELS; i++) w1[i] = (float)(0.2 * skv_rng_normal(1, 1, (uint64_t)i));
    for (int i = 0; i < B * A; i++) w2[i] = (float)(0.3 * skv_rng_normal(1, 2, (uint64_t)i));
    for (int i = 0; i < CLASSES * B; i++) w3[i] = (float)(0.3 * skv_rng_normal(1, 3, (uint64_t)i));
    const made_layer layers[3] = {{A, PIXELS, w1, none}, {B, A, w2, none}, {CLASSES, B, w3, none}};
    skive_graph *g = made_network(ctx, layers, 3, true), *made[2];
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN), *held = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    const skive_train_options train = settings(8, 32);
    skive_factorize_report r;
    skv_test_ok(ctx, skive_train(ctx, g, t, NULL, &train, NULL, 0, NULL));
    char names[2][128], values[2][128], last[128];
    (void)snprintf(last, sizeof last, "%s=keep", reader_of(g, "w3"));
    for (int i = 0; i < 2; i++) {
        const char *node = reader_of(g, i ? "w2" : "w1");
        (void)snprintf(names[i], sizeof names[i], "%s=svd:%d", node, i ? 4 : 5);
        (void)snprintf(values[i], sizeof values[i], "%s", skive_value_name(skive_graph_find_node(g, node)->outputs[0]));
    }
    factorize_both(ctx, g, t, (const char *const[]){names[0], names[1], last}, 3, made, &r);
    assert_int_equal(r.n_factorized, 2);
    double seen[2][2], others[2][2];
    for (int fit = 0; fit < 2; fit++)
        for (int i = 0; i < 2; i++) {
            seen[fit][i] = noise_of(ctx, g, made[fit], t, values[i]);
            others[fit][i] = noise_of(ctx, g, made[fit], held, values[i]);
        }
    for (int i = 0; i < 2; i++) {
        const skive_factorize_row *row = &r.rows[i];
        assert_true(row->refit_after < row->refit_before && row->refit_after > 0);
        if (!(seen[1][i] < seen[0][i] && others[1][i] < others[0][i]))
            fail_msg("layer %d: %g to %g, held out %g to %g", i, seen[0][i], seen[1][i], others[0][i], others[1][i]);
    }
    const double told = r.rows[0].refit_after / r.rows[0].refit_before, is = sqrt(seen[1][0] / seen[0][0]);
    if (!(fabs(told - is) < 1e-4 * is)) fail_msg("the report says %g, the outputs %g", told, is);
    skive_factorize_report_free(ctx, &r);
    for (int fit = 0; fit < 2; fit++) skive_graph_free(made[fit]);
    skive_dataset_free(t);
    skive_dataset_free(held);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* A convolution whose constant is in the BatchNormalization behind it, and a layer behind both. */
static void means_move_behind_a_convolution(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false), *made[2];
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN), *held = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    const skive_train_options train = settings(6, 32);
    skive_factorize_report r;
    char names[2][128];
    (void)state;
    skv_test_ok(ctx, skive_train(ctx, g, t, NULL, &train, NULL, 0, NULL));
    (void)snprintf(names[0], sizeof names[0], "%s=channel:2", reader_of(g, "conv.weight"));
    (void)snprintf(names[1], sizeof names[1], "%s=svd:1", reader_of(g, "fc.weight"));
    const char *end = skive_value_name(skive_graph_output(g, 0));
    factorize_both(ctx, g, t, (const char *const[]){names[0], names[1]}, 2, made, &r);
    const char *const values[] = {"feature", end};
    for (int i = 0; i < 2; i++) {
        const double a = noise_of(ctx, g, made[0], t, values[i]), b = noise_of(ctx, g, made[1], t, values[i]);
        const double c = noise_of(ctx, g, made[0], held, values[i]), d = noise_of(ctx, g, made[1], held, values[i]);
        if (!(b < a && d < c)) fail_msg("'%s': %g to %g, held out %g to %g", values[i], a, b, c, d);
    }
    skive_factorize_report_free(ctx, &r);
    for (int fit = 0; fit < 2; fit++) skive_graph_free(made[fit]);
    skive_dataset_free(t);
    skive_dataset_free(held);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- what fine-tuning is taught ---- */

static skive_graph *scores(skive_context *ctx, skive_dataset *t, uint64_t seed, int epochs) {
    enum { A = 24 };
    static float w1[A * PIXELS], w2[CLASSES * A], none[A];
    for (int i = 0; i < A * PIXELS; i++) w1[i] = (float)(0.2 * skv_rng_normal(seed, 1, (uint64_t)i));
    for (int i = 0; i < CLASSES * A; i++) w2[i] = (float)(0.3 * skv_rng_normal(seed, 2, (uint64_t)i));
    const made_layer layers[2] = {{A, PIXELS, w1, none}, {CLASSES, A, w2, none}};
    skive_graph *g = made_network(ctx, layers, 2, true);
    const skive_train_options train = settings(epochs, 32);
    skv_test_ok(ctx, skive_train(ctx, g, t, NULL, &train, NULL, 0, NULL));
    return g;
}

/* With all of the weight on a teacher the outputs come nearer to that teacher's than with the other one; beside the
 * labels, a term on a value inside brings that value nearer to what it was than labels alone do. */
static void teachers_and_terms_teach(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = scores(ctx, t, 1, 8), *other = scores(ctx, t, 2, 1), *made[4];
    skive_train_options tune = skive_factorize_finetune_default();
    char layer[160], hint[400], inside[128], end[128];
    (void)state;
    tune.epochs = 6;
    tune.batch = 32;
    tune.learning_rate = 0.05;
    (void)snprintf(layer, sizeof layer, "%s=svd:22", reader_of(g, "w1"));
    (void)snprintf(inside, sizeof inside, "%s",
                   skive_value_name(skive_graph_find_node(g, reader_of(g, "w1"))->outputs[0]));
    (void)snprintf(end, sizeof end, "%s", skive_value_name(skive_graph_output(g, 0)));
    (void)snprintf(hint, sizeof hint, "hint:student=%s,teacher=%s,weight=20", inside, inside);
    for (int i = 0; i < 4; i++) {
        skive_factorize_options o = skive_factorize_options_default();
        o.measure = false;
        o.layers = (const char *const[]){layer};
        o.n_layers = 1;
        o.finetune = &tune;
        o.distill_alpha = i < 2 ? 1 : 0;
        o.temperature = 2;
        if (i == 1) o.teacher = other;
        if (i == 2) o.terms = hint;
        skive_factorize_report r;
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &made[i]));
        skv_test_ok(ctx, skive_factorize(ctx, made[i], t, NULL, &o, &r));
        assert_int_equal(r.training.n_epochs, 6);
        skive_factorize_report_free(ctx, &r);
    }
    assert_true(noise_of(ctx, other, made[1], t, end) < noise_of(ctx, other, made[0], t, end));
    assert_true(noise_of(ctx, g, made[0], t, end) < noise_of(ctx, g, made[1], t, end));
    const double with = noise_of(ctx, g, made[2], t, inside), without = noise_of(ctx, g, made[3], t, inside);
    if (!(with < 0.9 * without)) fail_msg("the hinted value: %g to %g", without, with);
    for (int i = 0; i < 4; i++) skive_graph_free(made[i]);
    skive_graph_free(other);
    skive_graph_free(g);
    skive_dataset_free(t);
    skv_test_context_end(ctx);
}

static void what_cannot_be_taught_is_refused(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = scores(ctx, t, 1, 1);
    const uint64_t before = fingerprint(g);
    skive_train_options tune = skive_factorize_finetune_default();
    (void)state;
    tune.epochs = 1;
#define REFUSE(code, text, ...)                                                      \
    do {                                                                             \
        skive_factorize_options o = skive_factorize_options_default();               \
        o.measure = false;                                                           \
        o.finetune = &tune;                                                          \
        __VA_ARGS__;                                                                 \
        skv_test_fails(ctx, skive_factorize(ctx, g, t, NULL, &o, NULL), code, text); \
        assert_true(fingerprint(g) == before);                                       \
    } while (0)
    REFUSE(SKIVE_ERR_ARGUMENT, "has no epochs", o.teacher = g; o.finetune = NULL);
    REFUSE(SKIVE_ERR_ARGUMENT, "has no epochs", o.terms = "hint"; o.finetune = NULL);
    REFUSE(SKIVE_ERR_ARGUMENT, "there are no terms", o.teacher = g; o.distill_alpha = 0);
    REFUSE(SKIVE_ERR_ARGUMENT, "nothing is fine-tuned", o.terms = "hint"; o.merge = true);
    REFUSE(SKIVE_ERR_ARGUMENT, "one of them is empty", o.terms = "hint;;hint");
    REFUSE(SKIVE_ERR_ARGUMENT, "nonsense", o.terms = "nonsense");
#undef REFUSE
    skive_dataset_free(t);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_much_of_the_way_as_the_limit_allows),
        cmocka_unit_test(two_layers_in_a_row_are_fitted_again),
        cmocka_unit_test(means_move_behind_a_convolution),
        cmocka_unit_test(teachers_and_terms_teach),
        cmocka_unit_test(what_cannot_be_taught_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
