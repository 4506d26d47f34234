/* Parameters that a method does not change are reported by operator, number and name. */
#include "train_fixtures.h"

#include <skive/prune.h>
#include <skive/share.h>

/* An embedding, an LSTM, a Gemm and a large table that is added. */
static skive_graph *mixed(skive_context *ctx) {
    enum { H = 5, D = 16, STEPS = 36 };
    skive_graph *g = NULL;
    skive_value *x = NULL, *out[2] = {NULL};
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    const int64_t words[] = {20, D}, place[] = {STEPS, D}, w[] = {1, 4 * H, D}, r[] = {1, 4 * H, H}, f[] = {H, 3};
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(
        &b, "Cast", SKV_IN(skv_emit(&b, "Flatten", SKV_IN(skv_emit(&b, "Sigmoid", SKV_IN(x), SKV_NONE)), SKV_NONE)),
        SKV_ATTRS(SKV_INT("to", SKIVE_I64)));
    y = skv_emit(&b, "Gather", SKV_IN(parameter(&b, "words", 2, words, 1, -1, 1), y), SKV_NONE);
    y = skv_emit(&b, "Add", SKV_IN(y, parameter(&b, "places", 2, place, 2, -1, 1)), SKV_NONE);
    y = skv_emit(&b, "Transpose", SKV_IN(y), SKV_ATTRS(SKV_INTS("perm", ((const int64_t[]){1, 0, 2}), 3)));
    skv_emit_n(&b, "LSTM", SKV_IN(y, parameter(&b, "W", 3, w, 3, -1, 1), parameter(&b, "R", 3, r, 4, -1, 1)),
               SKV_ATTRS(SKV_INT("hidden_size", H)), out, 2);
    y = skv_emit(&b, "Squeeze", SKV_IN(out[1], skv_emit_ints(&b, (const int64_t[]){0}, 1)), SKV_NONE);
    y = skv_emit(&b, "Gemm", SKV_IN(y, parameter(&b, "fc", 2, f, 5, -1, 1)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static bool noted(const skive_context *ctx, const char *text) {
    for (size_t i = 0; i < skive_context_note_count(ctx); i++) {
        if (strstr(skive_context_note(ctx, i), text)) return true;
    }
    return false;
}

static void by_number_and_name(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = mixed(ctx);
    skive_prune_options p = skive_prune_options_default();
    skive_share_options s = skive_share_options_default();
    p.sparsity = 0.5;
    skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &p, NULL));
    assert_true(noted(
        ctx, "not pruned: 576 weights of Add (places); only weights of products, convolutions, recurrent layers and "
             "embeddings are"));
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &s, NULL));
    assert_true(noted(ctx, "not shared: 576 weights of Add (places)"));
    skive_graph_free(g);
    /* What a user freezes is told as well; where nothing is left out, nothing is said. */
    g = small_cnn(ctx, false);
    skive_context_clear_notes(ctx);
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    const skive_train_options o = settings(1, 32);
    skv_test_ok(ctx, skive_train(ctx, g, t, NULL, &o, NULL, 0, NULL));
    assert_true(noted(ctx, "trained: 5 parameters of "));
    assert_false(noted(ctx, "not trained"));
    skv_test_ok(ctx, skive_value_set_trainable(skive_graph_find_value(g, "conv.weight"), false));
    skv_test_ok(ctx, skive_train(ctx, g, t, NULL, &o, NULL, 0, NULL));
    assert_true(noted(ctx, "not trained: conv.weight (frozen, or of an operator without a gradient)"));
    skive_dataset_free(t);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_number_and_name)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
