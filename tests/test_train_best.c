/* The selected epoch, class weights, and messages about checkpoints of other runs and about resuming. */
#include <unistd.h>

#include "train_fixtures.h"

/* ---- the best epoch ---- */

static skive_epoch_report row(int epoch, double accuracy, double loss, double f1) {
    return (skive_epoch_report){
        .epoch = epoch, .validation_accuracy = accuracy, .validation_loss = loss, .validation_f1 = f1};
}

static void check_best(const char *by, const skive_epoch_report *rows, size_t n, int expected) {
    skive_context *ctx = skv_test_context();
    skv_checkpoint best = {0};
    for (size_t i = 0; i < n; i++) {
        bool better = false;
        skv_test_ok(ctx, skv_best_better(ctx, by, &rows[i], &best, &better));
        if (better) best.best_epoch = rows[i].epoch;
    }
    assert_int_equal(best.best_epoch, expected);
    skv_test_context_end(ctx);
}

static void the_loss_decides_among_equals(void **state) {
    (void)state;
    const skive_epoch_report rows[] = {row(1, 0.9, 0.5, 0.3), row(2, 0.9, 0.2, 0.1), row(3, 0.8, 0.1, 0.4),
                                       row(4, 0.9, 0.3, 0.4)};
    check_best(NULL, rows, 4, 2);
    check_best("accuracy", rows, 4, 2);
    check_best("loss", rows, 4, 3);
    check_best("f1", rows, 4, 3);
    /* Regression has no accuracy; a loss that is no number is the worst. */
    const skive_epoch_report values[] = {row(1, NAN, NAN, NAN), row(2, NAN, 3, NAN), row(3, NAN, INFINITY, NAN)};
    check_best(NULL, values, 3, 2);
    skive_context *ctx = skv_test_context();
    skv_checkpoint best = {0};
    bool better;
    skv_test_fails(ctx, skv_best_better(ctx, "f1", &values[1], &best, &better), SKIVE_ERR_ARGUMENT, "use loss");
    skv_test_fails(ctx, skv_best_check(ctx, "acuracy"), SKIVE_ERR_ARGUMENT, "accuracy");
    skv_test_context_end(ctx);
}

/* ---- class weights ---- */

/* All but every tenth sample are of class 0. */
static void write_rare(void) {
    enum { N = 300 };
    const int64_t dims[4] = {N, 1, SIDE, SIDE};
    static double x[N * PIXELS], y[N];
    for (int i = 0; i < N; i++) {
        y[i] = i % 10 == 0 ? 1 + i / 10 % 2 : 0;
        for (int k = 0; k < PIXELS; k++)
            x[i * PIXELS + k] = (k / SIDE / 2 == (int)y[i]) + 1.0 * skv_rng_normal(5, (uint64_t)i, (uint64_t)k);
    }
    save("rx.npy", SKIVE_F32, 4, dims, x);
    save("ry.npy", SKIVE_I64, 1, dims, y);
}

static double rare_recall(const char *weights) {
    skive_context *ctx = skv_test_context();
    char a[SKV_TEST_PATH], b[SKV_TEST_PATH], spec[2 * SKV_TEST_PATH + 16];
    snprintf(spec, sizeof spec, "npy:%s,%s", file(a, "rx.npy"), file(b, "ry.npy"));
    skive_dataset *set = open_data(ctx, spec, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *g = small_cnn(ctx, false);
    skive_train_options o = settings(6, 50);
    skive_eval_report r;
    o.learning_rate = 0.01;
    o.class_weights = weights;
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL));
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 0, &r));
    const double recall = r.recall[1] + r.recall[2];
    skive_eval_report_free(ctx, &r);
    skive_dataset_free(set);
    skive_graph_free(g);
    skv_test_context_end(ctx);
    return recall;
}

static void rare_classes_count_more(void **state) {
    (void)state;
    write_rare();
    const double plain = rare_recall(NULL);
    assert_true(rare_recall("none") == plain);
    assert_true(rare_recall("2,2,2") == plain); /* scaled to a mean of 1 */
    assert_true(rare_recall("balanced") > plain + 0.1);
    assert_true(rare_recall("1,20,20") > plain + 0.1);
}

static void weights_are_what_they_should_be(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char a[SKV_TEST_PATH], b[SKV_TEST_PATH], spec[2 * SKV_TEST_PATH + 16];
    double *w = NULL;
    write_rare();
    snprintf(spec, sizeof spec, "npy:%s,%s", file(a, "rx.npy"), file(b, "ry.npy"));
    skive_dataset *set = open_data(ctx, spec, SKIVE_SPLIT_TRAIN_FULL);
    skv_test_ok(ctx, skv_class_weights(ctx, "balanced", set, &w)); /* n / (classes * samples of the class) */
    assert_true(fabs(w[0] - 300 / (3.0 * 270)) < 1e-12 && fabs(w[1] - 300 / (3.0 * 15)) < 1e-12);
    assert_non_null(strstr(skive_context_note(ctx, 0), "to 6.67 for class 1"));
    skv_free(ctx, w);
    const char *const bad[] = {"1,2", "1,2,3,4", "1,2,x", "1,0,1", "1,nan,1", "heavy"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        skv_test_fails(ctx, skv_class_weights(ctx, bad[i], set, &w), SKIVE_ERR_ARGUMENT, bad[i]);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- checkpoints ---- */

static skive_status train(skive_context *ctx, const skive_train_options *o, uint64_t *bits,
                          skive_train_report *report) {
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN),
                  *held_out = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    skive_graph *g = small_cnn(ctx, false);
    const skive_status status = skive_train(ctx, g, set, held_out, o, NULL, 0, report);
    *bits = fingerprint(g);
    skive_graph_free(g);
    skive_dataset_free(set);
    skive_dataset_free(held_out);
    return status;
}

static void a_finished_run_is_extended(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char path[SKV_TEST_PATH];
    skive_train_options o = settings(4, 32); /* the rate is constant, so that four epochs are two and two */
    skive_train_report r;
    uint64_t whole, parts;
    skv_test_ok(ctx, train(ctx, &o, &whole, NULL));
    o.checkpoint = file(path, "grow.ckpt");
    o.epochs = 2;
    skv_test_ok(ctx, train(ctx, &o, &parts, NULL));
    assert_true(parts != whole);
    o.epochs = 4;
    skv_test_ok(ctx, train(ctx, &o, &parts, &r));
    assert_int_equal(r.n_epochs, 2);
    assert_int_equal(r.epochs[0].epoch, 3);
    assert_true(parts == whole);
    skive_train_report_free(ctx, &r);
    o.epochs = 3;
    skv_test_fails(ctx, train(ctx, &o, &parts, NULL), SKIVE_ERR_ARGUMENT, "another number of epochs: 4, not 3");
    assert_int_equal(unlink(path), 0);
    skv_test_context_end(ctx);
}

static void the_option_that_differs_is_named(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char path[SKV_TEST_PATH];
    skive_train_options o = settings(1, 32);
    uint64_t bits;
    o.checkpoint = file(path, "other.ckpt");
    skv_test_ok(ctx, train(ctx, &o, &bits, NULL));
#define DIFFERS(field, value, part)                                                     \
    do {                                                                                \
        skive_train_options other = o;                                                  \
        other.field = (value);                                                          \
        skv_test_fails(ctx, train(ctx, &other, &bits, NULL), SKIVE_ERR_ARGUMENT, part); \
    } while (0)
    DIFFERS(learning_rate, 0.1, "another --lr (train): 0.05, not 0.1");
    DIFFERS(batch, 16, "another --batch (train): 32, not 16");
    DIFFERS(optimizer, "adam", "another --optimizer (train): sgd, not adam");
    DIFFERS(augment, "flip", "--augment (train): none, not flip");
    DIFFERS(best, "loss", "--best (train): none, not loss");
    DIFFERS(class_weights, "balanced", "--class-weights (train): none, not balanced");
    DIFFERS(seed, 7, "--seed (train): 1, not 7");
    skv_test_ok(ctx, train(ctx, &o, &bits, NULL));
    assert_int_equal(unlink(path), 0);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loss_decides_among_equals),    cmocka_unit_test(rare_classes_count_more),
        cmocka_unit_test(weights_are_what_they_should_be),  cmocka_unit_test(a_finished_run_is_extended),
        cmocka_unit_test(the_option_that_differs_is_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
