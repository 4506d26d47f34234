/* Dry runs of the methods: the report is that of the real run without training, and the graph stays as it is. */
#include <skive/onnx.h>
#include <skive/prune.h>
#include <skive/quant.h>
#include <skive/sensitivity.h>
#include <skive/share.h>

#include "train_fixtures.h"

static uint64_t bytes_of(skive_context *ctx, const skive_graph *g) {
    void *bytes = NULL;
    size_t n = 0;
    skv_test_ok(ctx, skive_onnx_serialize(ctx, g, NULL, &bytes, &n));
    const uint64_t h = skv_hash64(bytes, n, 1);
    skive_onnx_free_bytes(ctx, bytes);
    return h;
}

static void test_prune(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, true);
    skive_prune_options o = skive_prune_options_default();
    skive_train_options finetune = skive_prune_finetune_default();
    skive_prune_report told, done;
    (void)state;
    skv_test_ok(ctx, skive_graph_infer(g));
    const uint64_t before = bytes_of(ctx, g);
    finetune.epochs = 5;
    o.sparsity = 0.7;
    o.schedule = "cubic";
    o.finetune = &finetune;
    o.dry_run = true;
    skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &o, &told)); /* no training set is needed */
    assert_true(bytes_of(ctx, g) == before);
    assert_int_equal(told.training.n_epochs, 0);
    o.dry_run = false;
    o.finetune = NULL;
    o.schedule = "one-shot";
    skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &o, &done));
    assert_true(bytes_of(ctx, g) != before);
    assert_int_equal(told.n_layers, done.n_layers);
    assert_true(told.kept == done.kept && told.kept < told.count);
    for (size_t i = 0; i < told.n_layers; i++) assert_int_equal(told.layers[i].kept, done.layers[i].kept);
    skive_prune_report_free(ctx, &told);
    skive_prune_report_free(ctx, &done);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void test_share(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false);
    skive_share_options o = skive_share_options_default();
    skive_train_options finetune = skive_share_finetune_default();
    skive_share_report told, done;
    (void)state;
    skv_test_ok(ctx, skive_graph_infer(g));
    const uint64_t before = bytes_of(ctx, g);
    finetune.epochs = 5;
    o.bits = 2;
    o.finetune = &finetune;
    o.dry_run = true;
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &o, &told));
    assert_true(bytes_of(ctx, g) == before);
    o.dry_run = false;
    o.finetune = NULL;
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &o, &done));
    assert_true(told.bytes == done.bytes && told.bytes > 0 && told.count == done.count);
    assert_true(told.layers[0].mse == done.layers[0].mse);
    skive_share_report_free(ctx, &told);
    skive_share_report_free(ctx, &done);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void test_quantize(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, true);
    skive_quantize_options o = skive_quantize_options_default();
    skive_quantize_report told, done;
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_cost after;
    (void)state;
    skv_test_ok(ctx, skive_graph_infer(g));
    const uint64_t before = bytes_of(ctx, g);
    o.dry_run = true;
    skv_test_ok(ctx, skive_quantize(ctx, g, set, &o, &told));
    assert_true(bytes_of(ctx, g) == before);
    assert_int_equal(told.samples, 0);
    skive_quantize_control c;
    skive_quantize_report same;
    skv_test_ok(ctx, skive_quantize_within(ctx, g, set, set, NULL, 1, &o, &same, &c));
    assert_true(bytes_of(ctx, g) == before && same.n_quantized == told.n_quantized && c.n_layers == 0);
    o.dry_run = false;
    skv_test_ok(ctx, skive_quantize(ctx, g, set, &o, &done));
    skv_test_ok(ctx, skive_graph_cost(g, &after));
    assert_int_equal(told.n_quantized, done.n_quantized);
    assert_int_equal(told.n_left, done.n_left);
    assert_int_equal(told.expected_bytes, after.parameter_bytes);
    size_t weights = 0;
    for (size_t i = 0; i < told.n_rows; i++)
        for (size_t k = 0; k < done.n_rows; k++)
            weights += told.rows[i].is_parameter && strcmp(told.rows[i].name, done.rows[k].name) == 0 &&
                       told.rows[i].sqnr == done.rows[k].sqnr;
    assert_int_equal(weights, 2);
    skive_quantize_report_free(ctx, &told);
    skive_quantize_report_free(ctx, &same);
    skive_quantize_report_free(ctx, &done);
    skive_quantize_control_free(ctx, &c);
    skive_dataset_free(set);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static const skive_train_parameter *find(const skive_train_scope *s, const char *name) {
    for (size_t i = 0; i < s->n_parameters; i++)
        if (strcmp(s->parameters[i].name, name) == 0) return &s->parameters[i];
    fail_msg("no '%s'", name);
    return NULL;
}

/* What is said to be trained changes in training, and nothing else does, but statistics. */
static void test_scope(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false), *trained = NULL;
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_train_options o = settings(1, 16);
    skive_train_scope s;
    (void)state;
    skv_test_ok(ctx, skive_graph_infer(g));
    o.freeze = "fc.bias,shift";
    const uint64_t before = bytes_of(ctx, g);
    skv_test_ok(ctx, skive_train_scope_of(ctx, g, &o, &s));
    assert_true(bytes_of(ctx, g) == before);
    assert_true(find(&s, "conv.weight")->trained && find(&s, "conv.weight")->decays);
    assert_true(find(&s, "scale")->trained && !find(&s, "scale")->decays);
    assert_true(!find(&s, "fc.bias")->trained && strstr(find(&s, "fc.bias")->why, "frozen"));
    assert_true(!find(&s, "running.mean")->trained && strstr(find(&s, "running.mean")->why, "statistic"));
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &trained));
    skv_test_ok(ctx, skive_train(ctx, trained, set, NULL, &o, NULL, 0, NULL));
    int64_t numbers = 0;
    for (size_t i = 0; i < s.n_parameters; i++) {
        const skive_train_parameter *p = &s.parameters[i];
        const skive_tensor *a = skive_value_data(skive_graph_find_value(g, p->name));
        const skive_tensor *b = skive_value_data(skive_graph_find_value(trained, p->name));
        const bool same = memcmp(a->data, b->data, skive_tensor_bytes(a)) == 0;
        if (same == p->trained && !(p->why && strstr(p->why, "statistic"))) fail_msg("'%s'", p->name);
        numbers += p->count;
    }
    assert_int_equal(numbers, s.trained + s.kept);
    skive_train_scope_free(ctx, &s);
    o.freeze = "nope";
    skv_test_fails(ctx, skive_train_scope_of(ctx, g, &o, &s), SKIVE_ERR_NOT_FOUND, "nope");
    skive_dataset_free(set);
    skive_graph_free(trained);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Nothing is run: no samples are needed, and what only a run tells is not told. */
static void test_sensitivity(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, true);
    skive_sensitivity_options o = skive_sensitivity_options_default();
    skive_sensitivity_report r;
    (void)state;
    skv_test_ok(ctx, skive_graph_infer(g));
    const uint64_t before = bytes_of(ctx, g);
    skv_test_fails(ctx, skive_sensitivity(ctx, g, NULL, NULL, &o, &r), SKIVE_ERR_ARGUMENT, "samples");
    o.dry_run = true;
    skv_test_ok(ctx, skive_sensitivity(ctx, g, NULL, NULL, &o, &r));
    assert_true(bytes_of(ctx, g) == before);
    assert_int_equal(r.n_grids, 3);
    assert_true(r.n_layers >= 2 && r.n_rows == r.n_layers * 3);
    for (size_t i = 0; i < r.n_rows; i++) {
        assert_true(r.rows[i].bytes > 0 && isnan(r.rows[i].harm) && isnan(r.rows[i].drop));
        if (i % 3 > 0) assert_true(r.rows[i].weight_sqnr < r.rows[i - 1].weight_sqnr); /* int8, int4, int2 */
    }
    skive_sensitivity_report_free(ctx, &r);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prune), cmocka_unit_test(test_share),       cmocka_unit_test(test_quantize),
        cmocka_unit_test(test_scope), cmocka_unit_test(test_sensitivity),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
