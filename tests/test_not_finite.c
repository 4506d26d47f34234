/* A loss that is no number: the message says at which step, where the first such number is, in which sample, and what
 * is left. */
#include "train_fixtures.h"

#include <unistd.h>

enum { BAD = 33 };

static char spoilt[4 * SKV_TEST_PATH + 16];

/* The training samples, one of them so large that sums over it are infinite. Numbers that are none are refused when
 * a file is read. */
static int make_data(void **state) {
    char a[SKV_TEST_PATH], b[SKV_TEST_PATH];
    const int64_t dims[4] = {TRAINING, 1, SIDE, SIDE};
    double *x = calloc((size_t)TRAINING * PIXELS, sizeof *x), y[TRAINING];
    assert_int_equal(set_up(state), 0);
    assert_true(x);
    for (int i = 0; i < TRAINING; i++) y[i] = i % CLASSES;
    for (int k = 0; k < PIXELS; k++) x[BAD * PIXELS + k] = 3e38;
    save("bx.npy", SKIVE_F32, 4, dims, x);
    save("by.npy", SKIVE_I64, 1, dims, y);
    free(x);
    snprintf(spoilt, sizeof spoilt, "npy:%s,%s", file(a, "bx.npy"), file(b, "by.npy"));
    return 0;
}

static skive_dataset *whole(skive_context *ctx, const char *spec) {
    skive_dataset *d = NULL;
    skive_dataset_options o = skive_dataset_options_default();
    o.validation_fraction = 0;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &d));
    return d;
}

static void check(skive_context *ctx, skive_graph *g, const char *spec, const skive_train_options *o,
                  const char *const *said, size_t n) {
    skive_dataset *set = whole(ctx, spec);
    const uint64_t before = fingerprint(g);
    skv_test_fails(ctx, skive_train(ctx, g, set, NULL, o, NULL, 0, NULL), SKIVE_ERR_NUMERIC, said[0]);
    for (size_t i = 1; i < n; i++)
        if (!strstr(skive_context_message(ctx), said[i]))
            fail_msg("'%s' does not say '%s'", skive_context_message(ctx), said[i]);
    assert_true(fingerprint(g) == before);
    skive_dataset_free(set);
    skive_graph_free(g);
}
#define CHECK(ctx, g, spec, o, ...) \
    check(ctx, g, spec, o, (const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

static void in_a_sample(void **state) {
    skive_context *ctx = skv_test_context();
    const skive_train_options o = settings(1, 40);
    (void)state;
    CHECK(ctx, small_cnn(ctx, false), spoilt, &o, "the first infinite number is in '", "(Conv), sample ",
          " of the batch, which is sample 33 of the data set; samples of the batch: ", " and 32 more");
    skv_test_context_end(ctx);
}

static void in_a_parameter(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false);
    const skive_train_options o = settings(1, 40);
    (void)state;
    ((float *)skive_graph_find_value(g, "fc.weight")->storage->tensor.data)[7] = NAN;
    CHECK(ctx, g, blobs, &o, "before any training", "the first number that is none is in the parameter 'fc.weight'");
    skv_test_context_end(ctx);
}

/* 1e30 times 1e30 is more than a float holds; the first layer's result is still one. */
static void in_a_result(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false);
    const skive_train_options o = settings(1, 40);
    (void)state;
    float *scale = skive_graph_find_value(g, "scale")->storage->tensor.data;
    float *w = skive_graph_find_value(g, "fc.weight")->storage->tensor.data;
    for (int i = 0; i < 4; i++) scale[i] = 1e30f;
    for (int i = 0; i < CLASSES * 4 * PIXELS; i++) w[i] = 1e30f;
    CHECK(ctx, g, blobs, &o, "the first infinite number is in ", "computed by node ", "(Gemm)",
          "sample 1 of the batch");
    skv_test_context_end(ctx);
}

/* The rate makes the third epoch fail; the checkpoint of the second is still there, and is read. */
static skive_status speed_up(void *self, const skv_watch *w) {
    (void)self;
    if (w->epoch < 2) return SKIVE_OK;
    skv_trainer_find(w->trainer, "fc.bias")->weight[0] = INFINITY;
    return SKIVE_OK;
}

static void the_checkpoint_remains(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false);
    skive_dataset *set = whole(ctx, blobs);
    skive_train_options o = settings(4, 40);
    skive_train_report report;
    char path[SKV_TEST_PATH];
    (void)state;
    o.checkpoint = file(path, "good.ckpt");
    const skv_watcher watcher = {.name = "look", .step = speed_up};
    skv_fit fit = {.model = g,
                   .train = set,
                   .options = &o,
                   .objective = &skv_objective_labels,
                   .watchers = &watcher,
                   .n_watchers = 1,
                   .what = "train"};
    skv_test_fails(ctx, skv_fit_run(ctx, &fit, NULL), SKIVE_ERR_NUMERIC, "the parameter 'fc.bias', by the update of");
    assert_non_null(strstr(skive_context_message(ctx), "good.ckpt holds the run as it was after step 12"));
    const skv_watcher quiet = {.name = "look"};
    fit.watchers = &quiet;
    skv_test_ok(ctx, skv_fit_run(ctx, &fit, &report));
    assert_int_equal(report.n_epochs, 2);
    skive_train_report_free(ctx, &report);
    assert_int_equal(unlink(path), 0);
    skive_dataset_free(set);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_a_sample),
        cmocka_unit_test(in_a_parameter),
        cmocka_unit_test(in_a_result),
        cmocka_unit_test(the_checkpoint_remains),
    };
    return cmocka_run_group_tests(tests, make_data, tear_down);
}
