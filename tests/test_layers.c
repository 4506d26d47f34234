/* Values inside two models: the node that was changed is the culprit, what follows only passes its error on; quantized
 * and pruned models; what cannot be matched is said. */
#include <skive/layers.h>
#include <skive/quant.h>

#include "train_fixtures.h"

static const skive_layers_row *row_of(const skive_layers_report *r, const char *value) {
    for (size_t i = 0; i < r->n_rows; i++)
        if (strcmp(r->rows[i].value, value) == 0) return &r->rows[i];
    fail_msg("no row '%s'", value);
    return NULL;
}

static void scale_parameter(skive_context *ctx, skive_graph *g, const char *name, double factor) {
    skive_value *v = skive_graph_find_value(g, name);
    skive_tensor t;
    assert_non_null(v);
    skv_test_ok(ctx, skive_tensor_copy(ctx, skive_value_data(v), &t));
    for (int64_t i = 0; i < skive_tensor_count(&t); i++) skive_tensor_set(&t, i, factor * skive_tensor_get(&t, i));
    skv_test_ok(ctx, skive_value_set_data(v, &t));
    skive_tensor_free(ctx, &t);
}

/* y = 1.01 x has a noise of 1e-4 of the signal: 40 dB, to float32 rounding, and a cosine of 1. */
static void test_culprit(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *a = small_cnn(ctx, false), *b = NULL;
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_layers_options o = skive_layers_options_default();
    skive_layers_report r;
    (void)state;
    o.samples = 64;
    skv_test_ok(ctx, skive_graph_copy(ctx, a, &b));
    skv_test_ok(ctx, skive_compare_layers(ctx, a, b, set, &o, &r));
    assert_true(r.n_rows == 5 && r.n_unmatched == 0 && r.samples == 64);
    for (size_t i = 0; i < r.n_rows; i++)
        assert_true(isinf(r.rows[i].sqnr) && isinf(r.rows[i].own_sqnr) && r.rows[i].difference == 0);
    skive_layers_report_free(ctx, &r);

    scale_parameter(ctx, b, "conv.weight", 1.01);
    skv_test_ok(ctx, skive_compare_layers(ctx, a, b, set, &o, &r));
    const char *first = r.rows[0].value;
    assert_string_equal(r.rows[0].op, "Conv");
    assert_true(fabs(r.rows[0].own_sqnr - 40) < 0.01 && fabs(r.rows[0].sqnr - 40) < 0.01);
    assert_true(fabs(r.rows[0].cosine - 1) < 1e-6 && r.rows[0].difference > 0);
    assert_true(r.rows[0].elements == 4 * PIXELS);
    for (size_t i = 1; i < r.n_rows; i++) { /* they pass it on, and add nothing */
        assert_true(strcmp(r.rows[i].value, first) != 0);
        assert_true(r.rows[i].own_sqnr > 100 && r.rows[i].sqnr > 20 && r.rows[i].sqnr < 70);
    }
    skive_layers_report_free(ctx, &r);
    skive_dataset_free(set);
    skive_graph_free(a);
    skive_graph_free(b);
    skv_test_context_end(ctx);
}

/* The float model against its INT8 form: BatchNormalization was folded, the output has the error that an evaluation of
 * both sees. */
static void test_quantized(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *a = small_cnn(ctx, false), *b = NULL;
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_layers_options o = skive_layers_options_default();
    skive_layers_report r;
    skive_eval_report x, y;
    (void)state;
    o.samples = TESTING;
    o.batch = 50;
    skv_test_ok(ctx, skive_graph_copy(ctx, a, &b));
    skv_test_ok(ctx, skive_quantize(ctx, b, set, NULL, NULL));
    skv_test_ok(ctx, skive_compare_layers(ctx, a, b, set, &o, &r));
    const skive_layers_row *out = row_of(&r, skive_value_name(skive_graph_output(a, 0)));
    assert_true(out->sqnr > 15 && out->sqnr < 60 && out->own_sqnr > out->sqnr);
    assert_true(r.n_unmatched > 0 && r.samples == TESTING);
    skv_test_ok(ctx, skive_evaluate(ctx, a, set, 50, &x));
    skv_test_ok(ctx, skive_evaluate(ctx, b, set, 50, &y));
    double signal = 0, noise = 0, largest = 0;
    for (int64_t i = 0; i < x.n_kept * x.scores; i++) {
        const double d = (double)y.kept[i] - (double)x.kept[i];
        signal += (double)x.kept[i] * (double)x.kept[i];
        noise += d * d;
        if (fabs(d) > largest) largest = fabs(d);
    }
    assert_int_equal(x.n_kept, TESTING);
    /* The float model runs unfused here, the INT8 one is the same to the bit. */
    assert_true(fabs(out->sqnr - 10 * log10(signal / noise)) < 0.01);
    assert_true(fabs(out->difference - largest) < 1e-4);
    skive_eval_report_free(ctx, &x);
    skive_eval_report_free(ctx, &y);
    skive_layers_report_free(ctx, &r);
    skive_dataset_free(set);
    skive_graph_free(a);
    skive_graph_free(b);
    skv_test_context_end(ctx);
}

static void test_unmatched(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *a = small_cnn(ctx, false), *b = small_cnn(ctx, false);
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_layers_options o = skive_layers_options_default();
    skive_layers_report r;
    (void)state;
    skv_test_ok(ctx, skive_value_rename(skive_graph_find_value(b, "feature"), "other"));
    skv_test_ok(ctx, skive_compare_layers(ctx, a, b, set, NULL, &r));
    assert_true(r.n_rows == 4 && r.n_unmatched == 2);
    assert_string_equal(r.unmatched[0].value, "feature");
    assert_false(r.unmatched[0].in_second);
    assert_string_equal(r.unmatched[1].value, "other");
    assert_true(r.unmatched[1].in_second);
    skive_layers_report_free(ctx, &r);
    o.batch = 0;
    skv_test_fails(ctx, skive_compare_layers(ctx, a, b, set, &o, &r), SKIVE_ERR_ARGUMENT, "1 or more");
    char name[32];
    for (size_t i = 0; i < skive_graph_value_count(b); i++) {
        skive_value *v = skive_graph_value(b, i);
        (void)snprintf(name, sizeof name, "renamed%zu", i);
        if (!skive_value_data(v) && skive_graph_input(b, 0) != v) skv_test_ok(ctx, skive_value_rename(v, name));
    }
    skv_test_fails(ctx, skive_compare_layers(ctx, a, b, set, NULL, &r), SKIVE_ERR_DATA, "no computed value");
    assert_null(r.rows);
    skive_dataset_free(set);
    skive_graph_free(a);
    skive_graph_free(b);
    skv_test_context_end(ctx);
}

static skive_status stages(skive_context *ctx, void *user) {
    skive_graph *const *models = user;
    skive_graph *a = NULL, *b = NULL;
    skive_dataset *set = NULL;
    skive_layers_options o = skive_layers_options_default();
    skive_layers_report r;
    skive_dataset_options d = skive_dataset_options_default();
    d.split = SKIVE_SPLIT_TEST;
    d.limit = 4;
    o.samples = 2;
    skive_status status = skive_dataset_open(ctx, blobs, &d, &set);
    if (status == SKIVE_OK) status = skive_graph_copy(ctx, models[0], &a);
    if (status == SKIVE_OK) status = skive_graph_copy(ctx, models[1], &b);
    if (status == SKIVE_OK) status = skive_compare_layers(ctx, a, b, set, &o, &r);
    if (status == SKIVE_OK) skive_layers_report_free(ctx, &r);
    skive_graph_free(a);
    skive_graph_free(b);
    skive_dataset_free(set);
    return status;
}

static void every_allocation_may_fail(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *models[2] = {small_cnn(ctx, false), small_cnn(ctx, false)};
    (void)state;
    skv_test_ok(ctx, skive_value_rename(skive_graph_find_value(models[1], "feature"), "other"));
    assert_true(skv_test_walk_allocations(stages, models, 13) > 10);
    skive_graph_free(models[0]);
    skive_graph_free(models[1]);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_culprit),
        cmocka_unit_test(test_quantized),
        cmocka_unit_test(test_unmatched),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
