/* What training changes and what it leaves alone: patterns, zeros of pruned models, decay by role. */
#include "train_fixtures.h"

#include <skive/onnx.h>
#include <skive/prune.h>

static int64_t zeros(const skive_graph *g, const char *name) {
    const skive_tensor *t = skive_value_data(skive_graph_find_value(g, name));
    int64_t n = 0;
    for (int64_t i = 0; i < skive_tensor_count(t); i++) n += skive_tensor_get(t, i) == 0;
    return n;
}

static bool noted(const skive_context *ctx, const char *text) {
    for (size_t i = 0; i < skive_context_note_count(ctx); i++)
        if (strstr(skive_context_note(ctx, i), text)) return true;
    return false;
}

static skive_graph *pruned(skive_context *ctx, double sparsity) {
    skive_graph *g = small_cnn(ctx, false);
    skive_prune_options o = skive_prune_options_default();
    o.sparsity = sparsity;
    skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL));
    return g;
}

static void train(skive_context *ctx, skive_graph *g, const skive_train_options *o) {
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skv_test_ok(ctx, skive_train(ctx, g, t, NULL, o, NULL, 0, NULL));
    skive_dataset_free(t);
}

static void pruned_weights_stay_pruned(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_train_options o = settings(1, 32);
    skive_graph *g = pruned(ctx, 0.8), *back = NULL;
    const int64_t conv = zeros(g, "conv.weight"), fc = zeros(g, "fc.weight");
    void *bytes;
    size_t n;
    assert_true(conv + fc > 300);
    skv_test_ok(ctx, skive_onnx_serialize(ctx, g, NULL, &bytes, &n));
    skv_test_ok(ctx, skive_onnx_parse(ctx, bytes, n, NULL, NULL, &back));
    train(ctx, back, &o);
    assert_true(zeros(back, "conv.weight") == conv && zeros(back, "fc.weight") == fc);
    /* Pruning to less, and with masks that move, brings none back. */
    for (int surgery = 0; surgery < 2; surgery++) {
        skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
        skive_prune_options p = skive_prune_options_default();
        skive_train_options tune = skive_prune_finetune_default();
        p.finetune = &tune;
        skive_prune_report r;
        p.sparsity = 0.3;
        p.surgery = surgery;
        tune = settings(2, 32);
        skv_test_ok(ctx, skive_prune(ctx, back, t, NULL, &p, &r));
        assert_true(zeros(back, "conv.weight") >= conv && zeros(back, "fc.weight") >= fc);
        assert_true(r.kept <= r.count - conv - fc);
        skive_prune_report_free(ctx, &r);
        skive_dataset_free(t);
    }
    skive_graph_free(back);
    skv_test_ok(ctx, skive_onnx_parse(ctx, bytes, n, NULL, NULL, &back));
    o.keep_zeros = "none";
    train(ctx, back, &o);
    assert_true(zeros(back, "fc.weight") < fc / 2);
    skive_onnx_free_bytes(ctx, bytes);
    skive_graph_free(back);
    /* Zeros that nothing tells of are trained, with a note, or held on request. */
    for (uint32_t i = 0; i < g->n_values; i++) g->values[i]->keeps_zeros = false;
    o.keep_zeros = "all";
    train(ctx, g, &o);
    assert_true(zeros(g, "fc.weight") == fc);
    o.keep_zeros = NULL;
    skive_context_clear_notes(ctx);
    train(ctx, g, &o);
    assert_true(noted(ctx, "does not record that they were pruned") && zeros(g, "fc.weight") < fc / 2);
    o.keep_zeros = "some";
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    assert_int_equal(skive_train(ctx, g, t, NULL, &o, NULL, 0, NULL), SKIVE_ERR_ARGUMENT);
    skive_dataset_free(t);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void patterns(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_train_options o = settings(1, 32);
    static const char *const names[] = {"conv.weight", "scale", "shift", "running.mean", "fc.weight", "fc.bias"};
    static const bool moves[] = {false, false, false, false, true, false};
    float before[SKV_COUNT(names)];
    skive_graph *g = small_cnn(ctx, false);
    o.freeze = "conv*,s[ch]*,fc.bias";
    for (size_t i = 0; i < SKV_COUNT(names); i++) before[i] = data_of(g, names[i])[0];
    train(ctx, g, &o);
    for (size_t i = 0; i < SKV_COUNT(names); i++) assert_true((data_of(g, names[i])[0] != before[i]) == moves[i]);
    assert_true(noted(ctx, "trained: 1 parameter of 432 numbers (1 weight)"));
    assert_true(noted(ctx, "not trained: "));
    o.freeze = "fc";
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    assert_int_equal(skive_train(ctx, g, t, NULL, &o, NULL, 0, NULL), SKIVE_ERR_NOT_FOUND);
    assert_non_null(strstr(skive_context_message(ctx), "'fc'"));
    /* What is named to be trained cannot all be frozen. */
    o.train = "fc.bias,fc.*";
    o.freeze = "fc.b*";
    skv_test_fails(ctx, skive_train(ctx, g, t, NULL, &o, NULL, 0, NULL), SKIVE_ERR_ARGUMENT,
                   "'fc.bias' names is frozen");
    /* What is not trained by its role is when it is named. */
    skv_test_ok(ctx, skive_value_set_trainable(skive_graph_find_value(g, "fc.bias"), false));
    o.freeze = NULL;
    o.train = "fc.bias";
    before[5] = data_of(g, "fc.bias")[0];
    skv_test_ok(ctx, skive_train(ctx, g, t, NULL, &o, NULL, 0, NULL));
    assert_true(data_of(g, "fc.bias")[0] != before[5]);
    skive_dataset_free(t);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static double norm(const skive_graph *g, const char *name) {
    const skive_tensor *t = skive_value_data(skive_graph_find_value(g, name));
    double sum = 0;
    for (int64_t i = 0; i < skive_tensor_count(t); i++) sum += skive_tensor_get(t, i) * skive_tensor_get(t, i);
    return sqrt(sum);
}

/* The bias of a recurrent layer has two axes in ONNX, and PRelu's slope three. */
static void only_weights_decay(void **state) {
    enum { H = 5 };
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *x = NULL, *out[2] = {NULL};
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    const int64_t w[] = {1, 4 * H, SIDE}, r[] = {1, 4 * H, H}, bias[] = {1, 8 * H}, s[] = {1, 1, SIDE}, f[] = {H, 3};
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "PRelu", SKV_IN(x, parameter(&b, "slope", 3, s, 1, 0.5, 1)), SKV_NONE);
    y = skv_emit(&b, "Squeeze", SKV_IN(y, skv_emit_ints(&b, (const int64_t[]){1}, 1)), SKV_NONE);
    y = skv_emit(&b, "Transpose", SKV_IN(y), SKV_ATTRS(SKV_INTS("perm", ((const int64_t[]){1, 0, 2}), 3)));
    skv_emit_n(&b, "LSTM",
               SKV_IN(y, parameter(&b, "W", 3, w, 3, -1, 1), parameter(&b, "R", 3, r, 4, -1, 1),
                      parameter(&b, "B", 2, bias, 5, -1, 1)),
               SKV_ATTRS(SKV_INT("hidden_size", H)), out, 2);
    y = skv_emit(&b, "Squeeze", SKV_IN(out[1], skv_emit_ints(&b, (const int64_t[]){0}, 1)), SKV_NONE);
    y = skv_emit(&b, "Gemm", SKV_IN(y, parameter(&b, "fc", 2, f, 6, -1, 1)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    static const char *const names[] = {"W", "R", "fc", "B", "slope"};
    double before[SKV_COUNT(names)];
    for (size_t i = 0; i < SKV_COUNT(names); i++) before[i] = norm(g, names[i]);
    skive_train_options o = settings(4, 32);
    o.learning_rate = 0.001;
    o.momentum = 0;
    o.nesterov = false;
    o.schedule = "constant";
    o.weight_decay = 50;
    train(ctx, g, &o);
    for (size_t i = 0; i < SKV_COUNT(names); i++) {
        const double share = norm(g, names[i]) / before[i];
        if (i < 3 ? share > 0.4 : share < 0.9) fail_msg("%s: norm became %.2f of what it was", names[i], share);
    }
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pruned_weights_stay_pruned), cmocka_unit_test(patterns),
                                       cmocka_unit_test(only_weights_decay)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
