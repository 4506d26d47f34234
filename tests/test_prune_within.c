/* Pruning within a limit on the loss of accuracy: what is handed over was measured to be within it, and is what the
 * same part of the way gives by itself. */
#include "train_fixtures.h"

#include <skive/prune.h>

static double accuracy(skive_context *ctx, const skive_graph *g) {
    skive_dataset *v = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    skive_eval_report r = {0};
    skv_test_ok(ctx, skive_evaluate(ctx, g, v, 0, &r));
    const double a = 100 * r.accuracy;
    skive_eval_report_free(ctx, &r);
    skive_dataset_free(v);
    return a;
}

static skive_graph *trained(skive_context *ctx) {
    skive_graph *g = small_cnn(ctx, false);
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    const skive_train_options o = settings(6, 32);
    skv_test_ok(ctx, skive_train(ctx, g, t, NULL, &o, NULL, 0, NULL));
    skive_dataset_free(t);
    return g;
}

static int64_t zeros_of(const skive_graph *g, const char *name) {
    const skive_tensor *t = skv_value_tensor(skive_graph_find_value(g, name));
    int64_t n = 0;
    for (int64_t i = 0; i < skive_tensor_count(t); i++) n += ((const float *)t->data)[i] == 0;
    return n;
}

/* The trials are those of bisection, the result is the furthest of those within, and no other. */
static void check_search(const skive_prune_report *r, double limit) {
    const skive_control_report *c = &r->control;
    size_t furthest = 0;
    assert_true(c->n_trials > 0 && c->n_trials <= 6);
    assert_int_equal(c->trials[0].applied, SKIVE_PRUNE_LEVELS);
    for (size_t i = 0; i < c->n_trials; i++) {
        assert_true(c->trials[i].within == (c->trials[i].drop <= limit + 1e-9));
        if (c->trials[i].within && c->trials[i].applied > furthest) furthest = c->trials[i].applied;
    }
    assert_int_equal(c->applied, furthest);
}

static void weights(void **state) {
    static const double limits[] = {100, 6, 1};
    skive_context *ctx = skv_test_context();
    skive_graph *dense = trained(ctx);
    skive_dataset *v = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    const double before = accuracy(ctx, dense);
    size_t last = SKIVE_PRUNE_LEVELS + 1;
    (void)state;
    for (size_t i = 0; i < SKV_LENGTH(limits); i++) {
        skive_graph *g = NULL, *plain = NULL;
        skive_prune_options o = skive_prune_options_default();
        skive_prune_report r = {0};
        o.sparsity = 0.98;
        o.max_drop = limits[i];
        skv_test_ok(ctx, skive_graph_copy(ctx, dense, &g));
        skv_test_ok(ctx, skive_graph_copy(ctx, dense, &plain));
        skv_test_ok(ctx, skive_prune(ctx, g, NULL, v, &o, &r));
        check_search(&r, limits[i]);
        assert_true(before - accuracy(ctx, g) <= limits[i] + 1e-9);
        assert_true(fabs(before - accuracy(ctx, g) - r.control.drop) < 1e-9);
        if (i == 0) assert_int_equal(r.control.applied, SKIVE_PRUNE_LEVELS);
        assert_true(r.control.applied <= last);
        last = r.control.applied;
        o.max_drop = -1;
        o.sparsity *= (double)r.control.applied / SKIVE_PRUNE_LEVELS;
        skv_test_ok(ctx, skive_prune(ctx, plain, NULL, NULL, &o, NULL));
        assert_int_equal(zeros_of(g, "fc.weight"), zeros_of(plain, "fc.weight"));
        assert_int_equal(zeros_of(g, "conv.weight"), zeros_of(plain, "conv.weight"));
        skive_prune_report_free(ctx, &r);
        skive_graph_free(g);
        skive_graph_free(plain);
    }
    assert_true(last < SKIVE_PRUNE_LEVELS); /* a point is less than 98 % of the weights are worth */
    skive_dataset_free(v);
    skive_graph_free(dense);
    skv_test_context_end(ctx);
}

/* Channels, with fine-tuning in each trial. */
static void channels(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = trained(ctx);
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN), *v = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    skive_prune_options o = skive_prune_options_default();
    skive_train_options finetune = skive_prune_finetune_default();
    skive_prune_report r = {0};
    const double before = accuracy(ctx, g);
    (void)state;
    finetune.epochs = 1;
    o.finetune = &finetune;
    o.granularity = "channel";
    o.macs = "0.3";
    o.max_drop = 20;
    skv_test_ok(ctx, skive_prune(ctx, g, t, v, &o, &r));
    check_search(&r, o.max_drop);
    assert_true(before - accuracy(ctx, g) <= o.max_drop + 1e-9);
    assert_int_equal(r.training.n_epochs, 1);
    /* So much of the way from all of the multiply-accumulates to three tenths of them, at least. */
    const double wanted = 1 - 0.7 * (double)r.control.applied / SKIVE_PRUNE_LEVELS;
    assert_true((double)r.after.macs <= wanted * (double)r.before.macs + 1);
    skive_prune_report_free(ctx, &r);
    skive_dataset_free(t);
    skive_dataset_free(v);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Nothing within: the model stays, and the report has the trials. What cannot be bisected is refused. */
static void infeasible_and_refused(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = trained(ctx);
    skive_dataset *v = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    skive_prune_options o = skive_prune_options_default();
    skive_prune_report r = {0};
    const skive_prune_ratio ratio = {"fc.weight", 0.5};
    (void)state;
    o.max_drop = 5;
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "validation set");
    o.threshold = 0.1;
    o.sparsity = 0;
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, v, &o, NULL), SKIVE_ERR_ARGUMENT, "a threshold");
    o.threshold = 0;
    o.sparsity = 0.9;
    o.ratios = &ratio;
    o.n_ratios = 1;
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, v, &o, NULL), SKIVE_ERR_ARGUMENT, "layer's own");
    o.n_ratios = 0;
    o.granularity = "nm:2:4";
    o.sparsity = 0;
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, v, &o, NULL), SKIVE_ERR_ARGUMENT, "pattern");
    o.granularity = "element";
    o.sparsity = 0.9;
    o.max_drop = 101;
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, v, &o, NULL), SKIVE_ERR_ARGUMENT, "max-drop");
    /* The last layer reads one channel only, and the weights that make that one are the smallest: it goes first. */
    static const char *const parts[] = {"conv.weight", "fc.weight"};
    for (int k = 0; k < 2; k++) {
        skive_tensor *w = &skive_graph_find_value(g, parts[k])->storage->tensor;
        const int64_t each = k == 0 ? skive_tensor_count(w) / 4 : PIXELS;
        for (int64_t i = 0; i < skive_tensor_count(w); i++) {
            const bool first_channel = k == 0 ? i < each : i / each % 4 == 0;
            float *x = &((float *)w->data)[i];
            if (k == 0) *x = first_channel ? *x : *x * 1000;
            if (k == 1) *x = first_channel ? *x : 0;
        }
    }
    const double before = accuracy(ctx, g);
    const float kept = *(const float *)skv_value_tensor(skive_graph_find_value(g, "fc.weight"))->data;
    o.max_drop = 0;
    o.granularity = "channel:group=first,normalise=none,multiple=1";
    o.sparsity = 0.9;
    o.macs = "0.3";
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, v, &o, &r), SKIVE_ERR_GOAL, "infeasible");
    assert_true(accuracy(ctx, g) == before);
    assert_true(*(const float *)skv_value_tensor(skive_graph_find_value(g, "fc.weight"))->data == kept);
    assert_int_equal(r.n_layers, 0);
    assert_int_equal(r.control.applied, 0);
    assert_true(r.control.n_trials > 1);
    skive_prune_report_free(ctx, &r);
    skive_dataset_free(v);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights),
        cmocka_unit_test(channels),
        cmocka_unit_test(infeasible_and_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
