/* A new last layer for another number of classes. */
#include "train_fixtures.h"

#include <skive/eval.h>

typedef skive_value *(*build_fn)(skv_builder *b, skive_value *x);

enum { OLD = 7 };

static skive_graph *make(skive_context *ctx, build_fn build, bool open) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type type = {.dtype = SKIVE_F32,
                             .rank = 4,
                             .dims = {{open ? -1 : 1, open ? "N" : NULL}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = build(&b, x);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static skive_value *param(skv_builder *b, const char *name, int64_t rows, int64_t columns) {
    const int64_t dims[] = {rows, columns};
    return parameter(b, name, columns ? 2 : 1, dims, 3, -0.2, 0.2);
}
static skive_value *hidden(skv_builder *b, skive_value *x) {
    skive_value *y = skv_emit(b, "Flatten", SKV_IN(x), SKV_NONE);
    return skv_emit(b, "Relu", SKV_IN(skv_emit(b, "MatMul", SKV_IN(y, param(b, "w1", PIXELS, 16)), SKV_NONE)),
                    SKV_NONE);
}
static skive_value *gemm(skv_builder *b, skive_value *x) {
    skive_value *y = skv_emit(b, "Gemm", SKV_IN(hidden(b, x), param(b, "w", OLD, 16), param(b, "b", OLD, 0)),
                              SKV_ATTRS(SKV_INT("transB", 1)));
    return skv_emit(b, "Softmax", SKV_IN(y), SKV_NONE);
}
static skive_value *product(skv_builder *b, skive_value *x) {
    skive_value *y = skv_emit(b, "MatMul", SKV_IN(hidden(b, x), param(b, "w", 16, OLD)), SKV_NONE);
    return skv_emit(b, "Add", SKV_IN(param(b, "b", OLD, 0), y), SKV_NONE);
}
/* A head of 1x1 convolution, pooled and reshaped by a shape that spells the classes out, as SqueezeNet's. */
static skive_value *conv(skv_builder *b, skive_value *x) {
    const int64_t first[] = {16, 1, 3, 3}, last[] = {OLD, 16, 1, 1};
    skive_value *y = skv_emit(b, "Conv", SKV_IN(x, parameter(b, "w1", 4, first, 3, -0.4, 0.4)), SKV_NONE);
    y = skv_emit(
        b, "Conv",
        SKV_IN(skv_emit(b, "Relu", SKV_IN(y), SKV_NONE), parameter(b, "w", 4, last, 4, -1, 1), param(b, "b", OLD, 0)),
        SKV_NONE);
    y = skv_emit(b, "GlobalAveragePool", SKV_IN(skv_emit(b, "Relu", SKV_IN(y), SKV_NONE)), SKV_NONE);
    return skv_emit(b, "Reshape", SKV_IN(y, skv_emit_ints(b, (const int64_t[]){1, OLD}, 2)), SKV_NONE);
}
static skive_value *norm(skv_builder *b, skive_value *x) {
    skive_value *y = skv_emit(b, "Gemm", SKV_IN(hidden(b, x), param(b, "w", 16, OLD)), SKV_NONE);
    return skv_emit(b, "LayerNormalization", SKV_IN(y, param(b, "s", OLD, 0)), SKV_NONE);
}

static void learns(build_fn build, bool open, double least) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = make(ctx, build, open);
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN), *test = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_train_options o = settings(6, 16);
    skive_eval_report r;
    const skive_tensor *w1 = skive_value_data(skive_graph_find_value(g, "w1"));
    const uint64_t before = skv_hash64(w1->data, skive_tensor_bytes(w1), 0);
    skv_test_ok(ctx, skive_model_set_classes(g, CLASSES, 1));
    assert_non_null(strstr(skive_context_note(ctx, 0), "a new last layer for 3 classes instead of 7"));
    skv_test_ok(ctx, skive_graph_check(g));
    w1 = skive_value_data(skive_graph_find_value(g, "w1"));
    assert_true(skv_hash64(w1->data, skive_tensor_bytes(w1), 0) == before);
    const float *bias = data_of(g, "b");
    for (int k = 0; k < CLASSES; k++) assert_true(bias[k] == 0.0f);
    skv_test_ok(ctx, skive_train(ctx, g, t, NULL, &o, NULL, 0, NULL));
    skv_test_ok(ctx, skive_evaluate(ctx, g, test, 0, &r));
    assert_int_equal(r.classes, CLASSES);
    if (r.accuracy < least) fail_msg("accuracy %g", r.accuracy);
    skive_eval_report_free(ctx, &r);
    skive_dataset_free(t);
    skive_dataset_free(test);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void a_new_last_layer_learns(void **state) {
    (void)state;
    learns(gemm, true, 0.8);
    learns(gemm, false, 0.8);
    learns(product, true, 0.8);
    learns(conv, false, 0.5);
}

static void what_cannot_be_replaced_is_named(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = make(ctx, norm, true);
    const uint64_t before = fingerprint(g);
    skv_test_fails(ctx, skive_model_set_classes(g, 3, 1), SKIVE_ERR_UNSUPPORTED, "(LayerNormalization)");
    skv_test_fails(ctx, skive_model_set_classes(g, 0, 1), SKIVE_ERR_ARGUMENT, "0 classes");
    assert_true(fingerprint(g) == before);
    skv_test_ok(ctx, skive_model_set_classes(g, OLD, 1)); /* there already */
    assert_true(fingerprint(g) == before);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Data with another number of classes: the message, or for fewer the note, names the option. */
static void the_option_is_named(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = make(ctx, gemm, true);
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    const skive_train_options o = settings(1, 16);
    skv_test_ok(ctx, skive_train(ctx, g, t, NULL, &o, NULL, 0, NULL));
    bool noted = false;
    for (size_t i = 0; i < skive_context_note_count(ctx); i++)
        noted = noted || strstr(skive_context_note(ctx, i), "--classes 3");
    assert_true(noted);
    skv_test_ok(ctx, skive_model_set_classes(g, 2, 1));
    skv_test_fails(ctx, skive_train(ctx, g, t, NULL, &o, NULL, 0, NULL), SKIVE_ERR_DATA, "--classes 3");
    skive_dataset_free(t);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_last_layer_learns),
        cmocka_unit_test(what_cannot_be_replaced_is_named),
        cmocka_unit_test(the_option_is_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
