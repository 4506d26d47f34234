/* What options make a run do besides its steps: clipping, accumulated gradients, averages of the weights, parameters
 * that are trained later, an early end. Each by hand, and every pair of them in a run that is stopped and resumed. */
#include "train_fixtures.h"

#include <unistd.h>

#include <skive/zoo.h>

enum { BATCH = 40, EPOCHS = 4, CHANNELS = 4, STEPS = 5 /* of an epoch with some held out */ };

static skive_graph *cnn(skive_context *ctx) { return small_cnn(ctx, false); }

/* Samples do not see one another: no BatchNormalization. */
static skive_graph *linear(skive_context *ctx) {
    const int64_t f[2] = {CLASSES, PIXELS}, k[1] = {CLASSES};
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "linear", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Flatten", SKV_IN(x), SKV_NONE);
    y = skv_emit(
        &b, "Gemm",
        SKV_IN(y, parameter(&b, "fc.weight", 2, f, 6, -0.1, 0.1), parameter(&b, "fc.bias", 1, k, 7, -0.1, 0.1)),
        SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static bool noted(const skive_context *ctx, const char *text) {
    for (size_t i = 0; i < skive_context_note_count(ctx); i++)
        if (strstr(skive_context_note(ctx, i), text)) return true;
    return false;
}

/* ---- clipping ---- */

static void values_are_clipped_before_the_norm(void **state) {
    skive_train_options o = settings(1, BATCH);
    float *all, *before;
    int64_t n, clipped = 0;
    double sum = 0;
    skv_step step;
    (void)state;
    o.clip_value = 0.01;
    o.clip_norm = 0.02;
    step_bench b = bench_start(linear, &o);
    skv_test_ok(b.ctx, skv_trainer_gradients(b.trainer, &all, &n));
    skv_test_ok(b.ctx, skv_trainer_forward_backward(b.trainer, 0.1, &step));
    before = malloc((size_t)n * sizeof *before);
    assert_true(before);
    memcpy(before, all, (size_t)n * sizeof *before);
    skv_test_ok(b.ctx, skv_trainer_inspect(b.trainer, &step));
    for (int64_t i = 0; i < n; i++) {
        const float expected = fminf(fmaxf(before[i], -0.01f), 0.01f);
        assert_true(all[i] == expected);
        clipped += expected != before[i];
        sum += (double)expected * (double)expected;
    }
    assert_true(clipped > 0 && clipped < n);
    assert_true(sqrt(sum) > 0.02);
    assert_true(skv_test_close(step.scale[0], 0.02 / sqrt(sum), 1e-6, 0));
    free(before);
    bench_finish(&b);
}

/* All training samples, of which the fixtures' set holds some out. */
static skive_dataset *whole(skive_context *ctx) {
    skive_dataset *d = NULL;
    skive_dataset_options o = skive_dataset_options_default();
    o.validation_fraction = 0;
    skv_test_ok(ctx, skive_dataset_open(ctx, blobs, &o, &d));
    return d;
}

/* ---- accumulation ---- */

static skive_graph *trained(skive_context *ctx, const skive_train_options *o) {
    skive_dataset *set = whole(ctx);
    skive_graph *g = linear(ctx);
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, o, NULL, 0, NULL));
    skive_dataset_free(set);
    return g;
}

/* Three batches of 20 and one of 60, with momentum, decay and a limit of the norm. */
static void accumulated_batches_are_a_large_batch(void **state) {
    skive_context *ctx = skv_test_context();
    skive_train_options o = settings(3, 60);
    (void)state;
    o.clip_norm = 0.3;
    skive_graph *large = trained(ctx, &o);
    o.batch = 20;
    skive_graph *alone = trained(ctx, &o);
    o.accumulate = 3;
    skive_graph *parts = trained(ctx, &o);
    assert_false(noted(ctx, "made no update"));
    double other = 0;
    for (int i = 0; i < CLASSES * PIXELS; i++) {
        const double w = (double)data_of(large, "fc.weight")[i];
        assert_true(skv_test_close((double)data_of(parts, "fc.weight")[i], w, 1e-5, 1e-6));
        other = fmax(other, fabs((double)data_of(alone, "fc.weight")[i] - w));
    }
    assert_true(other > 0.01);
    skive_graph_free(large);
    skive_graph_free(alone);
    skive_graph_free(parts);
    skv_test_context_end(ctx);
}

/* ---- averages ---- */

/* After n updates the decay is (1 + n) / (10 + n), here 2/11 and 3/12, or 0.2 where that is smaller; the average begins
 * with the weights behind the first update. */
static void a_moving_average_by_hand(void **state) {
    static const double decays[4] = {0, 2.0 / 11, 0.2, 0.2};
    skive_train_options o = settings(1, BATCH);
    (void)state;
    o.ema = 0.2;
    step_bench b = bench_start(cnn, &o);
    const int64_t n = skv_trainer_weights(b.trainer), m = skv_trainer_statistics(b.trainer);
    float *now = malloc((size_t)(n + m) * sizeof *now), *shown = malloc((size_t)(n + m) * sizeof *shown);
    double *expected = calloc((size_t)(n + m), sizeof *expected), loss, moved = 0;
    assert_true(now && shown && expected);
    assert_int_equal(m, 2 * CHANNELS);
    for (int i = 0; i < 4; i++) {
        skv_test_ok(b.ctx, skv_trainer_step(b.trainer, 0.05, &loss, NULL));
        skv_trainer_get_weights(b.trainer, now);
        skv_trainer_get_statistics(b.trainer, now + n);
        for (int64_t k = 0; k < n + m; k++) expected[k] = decays[i] * expected[k] + (1 - decays[i]) * (double)now[k];
    }
    const skv_watch w = {.epoch = 1, .epochs = 1, .trainer = b.trainer};
    skv_test_ok(b.ctx, skv_callbacks_show(b.trainer, &w, true));
    skv_trainer_get_weights(b.trainer, shown);
    skv_trainer_get_statistics(b.trainer, shown + n);
    for (int64_t k = 0; k < n + m; k++) {
        assert_true(skv_test_close((double)shown[k], expected[k], 1e-5, 1e-6));
        moved = fmax(moved, fabs((double)(shown[k] - now[k])));
    }
    assert_true(moved > 1e-3);
    skv_test_ok(b.ctx, skv_callbacks_show(b.trainer, &w, false));
    skv_trainer_get_weights(b.trainer, shown);
    skv_trainer_get_statistics(b.trainer, shown + n);
    assert_memory_equal(shown, now, (size_t)(n + m) * sizeof *now);
    free(now);
    free(shown);
    free(expected);
    bench_finish(&b);
}

/* Looks on at the ends of epochs: the weights that are trained, not those that are shown. */
typedef struct record {
    double sum[CHANNELS * 9], mean_of_last[CHANNELS];
    int from, every, added, stop_at, steps;
    float conv[EPOCHS + 1][CHANNELS * 9];
} record;

static skive_status at_epoch(void *self, const skv_watch *w, bool *counts, bool *stop) {
    record *r = self;
    const skv_param *p = skv_trainer_find(w->trainer, "conv.weight");
    (void)counts;
    (void)stop;
    if (!p || p->n != CHANNELS * 9) return SKIVE_OK;
    const float *conv = p->weight;
    memcpy(r->conv[w->epoch], conv, sizeof r->conv[0]);
    if (w->epoch <= r->from || (w->epoch - r->from - 1) % r->every) return SKIVE_OK;
    for (int i = 0; i < CHANNELS * 9; i++) r->sum[i] += (double)conv[i];
    r->added++;
    return SKIVE_OK;
}

static skive_status at_step(void *self, const skv_watch *w) {
    record *r = self;
    r->steps++;
    return r->stop_at && w->steps == r->stop_at ? SKIVE_ERR_INTERRUPTED : SKIVE_OK;
}

static skive_status fit(skive_context *ctx, skive_graph *g, const skive_train_options *o, bool validated, record *r,
                        skive_train_report *report) {
    skive_dataset *set = validated ? open_data(ctx, blobs, SKIVE_SPLIT_TRAIN) : whole(ctx),
                  *validation = validated ? open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION) : NULL;
    const skv_watcher watcher = {.name = "record", .step = at_step, .epoch = at_epoch, .self = r};
    const skv_fit f = {.model = g,
                       .train = set,
                       .validation = validation,
                       .options = o,
                       .objective = &skv_objective_labels,
                       .watchers = &watcher,
                       .n_watchers = 1,
                       .what = "train"};
    const skive_status status = skv_fit_run(ctx, &f, report);
    skive_dataset_free(validation);
    skive_dataset_free(set);
    return status;
}

/* Mean and variance of a channel of the convolution over all training samples, with the weights of `g`. */
static void statistics(skive_context *ctx, const skive_graph *g, int channel, double *mean, double *variance) {
    char path[SKV_TEST_PATH];
    const float *w = data_of(g, "conv.weight") + channel * 9;
    skive_tensor all;
    double sum = 0, squares = 0;
    skv_test_ok(ctx, skive_tensor_load_npy(ctx, file(path, "x.npy"), &all));
    const float *x = all.data;
    for (int i = 0; i < TRAINING * PIXELS; i++) {
        const int row = i % PIXELS / SIDE, column = i % SIDE;
        double y = 0;
        for (int k = 0; k < 9; k++) {
            const int r = row + k / 3 - 1, c = column + k % 3 - 1;
            if (r >= 0 && r < SIDE && c >= 0 && c < SIDE)
                y += (double)w[k] * (double)x[i / PIXELS * PIXELS + r * SIDE + c];
        }
        sum += y;
        squares += y * y;
    }
    *mean = sum / (TRAINING * PIXELS);
    *variance = squares / (TRAINING * PIXELS) - *mean * *mean;
    skive_tensor_free(ctx, &all);
}

/* One batch holds all samples, so that its statistics are those of the set in any order. */
static void averaged_epochs_by_hand(void **state) {
    static const struct {
        const char *swa;
        int from, every, added;
    } cases[] = {{"1", 1, 1, 3}, {"0,every=2", 0, 2, 2}, {"2,lr=0.02,batches=1", 2, 1, 2}};
    (void)state;
    for (size_t k = 0; k < SKV_COUNT(cases); k++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = cnn(ctx);
        skive_train_options o = settings(EPOCHS, TRAINING);
        skive_train_report report;
        record r = {.from = cases[k].from, .every = cases[k].every};
        o.swa = cases[k].swa;
        o.learning_rate = 0.2;
        skv_test_ok(ctx, fit(ctx, g, &o, false, &r, &report));
        assert_int_equal(r.added, cases[k].added);
        for (int i = 0; i < CHANNELS * 9; i++)
            assert_true(skv_test_close((double)data_of(g, "conv.weight")[i], r.sum[i] / r.added, 1e-5, 1e-6));
        for (int i = 0; i < CHANNELS; i++) {
            double mean, variance;
            statistics(ctx, g, i, &mean, &variance);
            assert_true(skv_test_close((double)data_of(g, "running.mean")[i], mean, 1e-4, 1e-5));
            assert_true(skv_test_close((double)data_of(g, "running.var")[i], variance, 1e-4, 1e-5));
        }
        assert_true(report.epochs[EPOCHS - 1].learning_rate == (k == 2 ? 0.02 : 0.2));
        skive_train_report_free(ctx, &report);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* The figures of an epoch are those of the model that is written: evaluated afterwards, it has them. */
static void what_is_validated_is_written(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = cnn(ctx);
        skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN),
                      *validation = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
        skive_train_options o = settings(EPOCHS, BATCH);
        skive_train_report report;
        skive_eval_report figures;
        if (k == 0)
            o.ema = 0.9;
        else
            o.swa = "1";
        o.best = "loss";
        skv_test_ok(ctx, skive_train(ctx, g, set, validation, &o, NULL, 0, &report));
        skv_test_ok(ctx, skive_evaluate(ctx, g, validation, 100, &figures));
        assert_true(report.best_epoch > k);
        const skive_epoch_report *best = &report.epochs[report.best_epoch - 1];
        assert_true(best->validation_loss == figures.loss && best->validation_accuracy == figures.accuracy);
        skive_eval_report_free(ctx, &figures);
        skive_train_report_free(ctx, &report);
        skive_dataset_free(validation);
        skive_dataset_free(set);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* ---- an early end ---- */

/* With a rate of zero nothing becomes better: the first epoch and three more. A resumed run stays where it is. */
static void an_impatient_run(void **state) {
    skive_context *ctx = skv_test_context();
    char path[SKV_TEST_PATH];
    skive_train_options o = settings(20, BATCH);
    skive_train_report report;
    (void)state;
    o.learning_rate = 0;
    o.patience = 3;
    o.best = "accuracy";
    o.checkpoint = file(path, "patience.ckpt");
    o.freeze = "scale,shift"; /* the statistics stay, too */
    for (int again = 0; again < 2; again++) {
        skive_graph *g = cnn(ctx);
        skv_test_ok(ctx, fit(ctx, g, &o, true, &(record){.every = 1, .from = 1000}, &report));
        assert_int_equal(report.n_epochs, again ? 0 : 4);
        assert_true(
            noted(ctx, again ? "had ended early" : "stopped after epoch 4 of 20: accuracy has not become better"));
        skive_train_report_free(ctx, &report);
        skive_graph_free(g);
    }
    assert_int_equal(unlink(path), 0);
    skive_graph *g = cnn(ctx);
    o.checkpoint = NULL;
    skv_test_fails(ctx, fit(ctx, g, &o, false, &(record){.every = 1, .from = 1000}, NULL), SKIVE_ERR_ARGUMENT,
                   "needs validation samples");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- parameters that are trained later ---- */

static void parameters_are_released(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = cnn(ctx);
    skive_train_options o = settings(EPOCHS, BATCH);
    static record r;
    (void)state;
    float before[CHANNELS * 9];
    memcpy(before, data_of(g, "conv.weight"), sizeof before);
    r = (record){.from = 1000, .every = 1};
    o.optimizer = "adam";
    o.learning_rate = 0.001;
    o.weight_decay = 0.1;
    o.freeze = "conv.*"; /* until two epochs are done */
    o.unfreeze = "2:conv.*;3:shift";
    skv_test_ok(ctx, fit(ctx, g, &o, false, &r, NULL));
    assert_memory_equal(r.conv[1], before, sizeof before);
    assert_memory_equal(r.conv[2], before, sizeof before);
    assert_memory_not_equal(r.conv[3], before, sizeof before);
    assert_true(noted(ctx, "1 more parameter is trained after epoch 2"));
    /* Adam's means begin at the release: no step is longer than the rate. */
    for (int i = 0; i < CHANNELS * 9; i++)
        assert_true(fabs((double)(r.conv[3][i] - before[i])) <= 0.001 * (TRAINING / BATCH) * 1.001);
    skive_graph_free(g);
    static const struct {
        const char *unfreeze, *why;
        skive_status status;
    } wrong[] = {
        {"conv.*", "EPOCH:PATTERN", SKIVE_ERR_ARGUMENT},      {"0:conv.*", "1 or more", SKIVE_ERR_ARGUMENT},
        {"2:", "EPOCH:PATTERN", SKIVE_ERR_ARGUMENT},          {"1.5:conv.*", "EPOCH:PATTERN", SKIVE_ERR_ARGUMENT},
        {"4:conv.*", "never be trained", SKIVE_ERR_ARGUMENT}, {"1:nothing", "nothing", SKIVE_ERR_NOT_FOUND}};
    for (size_t i = 0; i < SKV_COUNT(wrong); i++) {
        g = cnn(ctx);
        o.unfreeze = wrong[i].unfreeze;
        skv_test_fails(ctx, fit(ctx, g, &o, false, &r, NULL), wrong[i].status, wrong[i].why);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

static void contradictions_are_refused(void **state) {
    static const struct {
        double ema;
        const char *swa, *why;
    } wrong[] = {{0.9, "1", "give one of them"},
                 {0, "4", "nothing would be averaged"},
                 {0, "x", "start"},
                 {0, "1,every=0", "every"},
                 {0, "every=2", "start"},
                 {0, "1,nope=2", "nope"}};
    skive_context *ctx = skv_test_context();
    skive_graph *g = cnn(ctx);
    (void)state;
    for (size_t i = 0; i < SKV_COUNT(wrong); i++) {
        skive_train_options o = settings(EPOCHS, BATCH);
        o.ema = wrong[i].ema;
        o.swa = wrong[i].swa;
        skv_test_fails(ctx, fit(ctx, g, &o, false, &(record){.every = 1}, NULL), SKIVE_ERR_ARGUMENT, wrong[i].why);
    }
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- stopped and resumed ---- */

static void with_clip_value(skive_train_options *o) { o->clip_value = 0.02; }
static void with_clip_norm(skive_train_options *o) { o->clip_norm = 0.5; }
static void with_accumulation(skive_train_options *o) { o->accumulate = 4; } /* of 5 in an epoch */
static void with_ema(skive_train_options *o) { o->ema = 0.8; }
static void with_swa(skive_train_options *o) { o->swa = "1,batches=3"; }
static void with_patience(skive_train_options *o) { o->patience = 2; }
static void with_unfreeze(skive_train_options *o) { o->unfreeze = "2:conv.*,scale"; }
static void with_plateau(skive_train_options *o) { o->schedule = "plateau:patience=0,factor=0.5,threshold=0.2"; }
static void with_adam(skive_train_options *o) { o->optimizer = "adam:beta2=0.99"; }
static void with_lamb(skive_train_options *o) { o->optimizer = "lamb"; }
static void with_rule(skive_train_options *o) { o->rules = "fc.weight=grid:int4"; }
static void with_recomputation(skive_train_options *o) { o->recompute = true; }

static void (*const setters[])(skive_train_options *o) = {
    with_clip_value, with_clip_norm, with_accumulation, with_ema,  with_swa,  with_patience,
    with_unfreeze,   with_plateau,   with_adam,         with_lamb, with_rule, with_recomputation};

/* The run is interrupted behind this step: in the middle of an epoch, or at its end. */
static uint64_t bits_of(size_t first, size_t second, int stop_at) {
    char path[SKV_TEST_PATH];
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, true);
    skive_train_options o = settings(EPOCHS, BATCH);
    skive_train_report report;
    record r = {.every = 1, .from = 1000, .stop_at = stop_at};
    o.learning_rate = 0.01;
    setters[first](&o);
    setters[second](&o);
    if (stop_at) {
        o.checkpoint = file(path, "pair.ckpt");
        assert_int_equal(fit(ctx, g, &o, true, &r, &report), SKIVE_ERR_INTERRUPTED);
        skive_train_report_free(ctx, &report);
        skive_graph_free(g);
        g = small_cnn(ctx, true);
        r.stop_at = 0;
        o.checkpoint_every = "1000000";
    }
    skv_test_ok(ctx, fit(ctx, g, &o, true, &r, &report));
    const uint64_t bits = fingerprint(g) + (uint64_t)report.best_epoch;
    skive_train_report_free(ctx, &report);
    if (stop_at) assert_int_equal(unlink(path), 0);
    skive_graph_free(g);
    skv_test_context_end(ctx);
    return bits;
}

static void every_pair_resumes(void **state) {
    (void)state;
    for (size_t i = 0; i < SKV_COUNT(setters); i++) {
        for (size_t k = i; k < SKV_COUNT(setters); k++) {
            const bool both = setters[i] == with_ema && setters[k] == with_swa;
            if (both || (setters[i] == with_adam && setters[k] == with_lamb)) continue;
            const uint64_t straight = bits_of(i, k, 0);
            const int stop_at = (i + k) % 2 ? 2 * STEPS : STEPS + 3;
            if (bits_of(i, k, stop_at) != straight)
                fail_msg("pair %zu, %zu, stopped at step %d: the resumed run gives other numbers", i, k, stop_at);
        }
    }
}

/* ---- threads ---- */

/* Enough work for sums to be split. */
static void the_number_of_threads_changes_nothing(void **state) {
    uint64_t bits[3];
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skive_zoo_options z = skive_zoo_options_default();
        skive_train_options o = settings(1, 80);
        z.dims[1] = z.dims[2] = SIDE;
        z.classes = CLASSES;
        o.deterministic = true;
        skv_test_ok(ctx, skive_context_set_threads(ctx, threads));
        skv_test_ok(ctx, skive_zoo_build(ctx, "resnet20:0.5", &z, &g));
        skv_test_ok(ctx, fit(ctx, g, &o, true, &(record){.every = 1, .from = 1000}, NULL));
        assert_int_equal(skive_context_threads(ctx), threads);
        assert_int_equal(noted(ctx, "computed by one thread instead"), threads > 1);
        bits[threads - 1] = fingerprint(g);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
    assert_true(bits[0] == bits[1] && bits[1] == bits[2]);
}

/* By default a run does nothing besides its steps. */
static void each_is_asked_for(void **state) {
    const skive_train_options o = skive_train_options_default();
    (void)state;
    assert_true(skv_callback_count() >= 7);
    for (size_t i = 0; i < skv_callback_count(); i++) {
        const skv_callback *c = skv_callback_at(i);
        assert_true(*c->name && *c->brief && c->asked && !c->asked(&o));
        assert_ptr_equal(skv_callback_find(c->name), c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_asked_for),
        cmocka_unit_test(values_are_clipped_before_the_norm),
        cmocka_unit_test(accumulated_batches_are_a_large_batch),
        cmocka_unit_test(a_moving_average_by_hand),
        cmocka_unit_test(averaged_epochs_by_hand),
        cmocka_unit_test(what_is_validated_is_written),
        cmocka_unit_test(an_impatient_run),
        cmocka_unit_test(parameters_are_released),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(every_pair_resumes),
        cmocka_unit_test(the_number_of_threads_changes_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
