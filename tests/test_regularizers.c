/* What drives weights to zero in training: each proximal step by its formula, gates by finite differences, masks that
 * move, whole channels that vanish; each in a run that is stopped and resumed, and with allocations that fail. */
#include "train_fixtures.h"

#include <unistd.h>

#include <skive/zoo.h>

#include "train/regularizer.h"

enum { BATCH = 48, CHANNELS = 4, STEPS = 5 /* of an epoch with some held out */ };
#define RATE 0.1

static skive_graph *cnn(skive_context *ctx) { return small_cnn(ctx, false); }

static skive_train_options plain(const char *regularize) {
    skive_train_options o = settings(2, BATCH);
    o.schedule = "constant";
    o.warmup_epochs = 0;
    o.learning_rate = RATE;
    o.weight_decay = 0;
    o.regularize = regularize;
    return o;
}

/* ---- one update by hand ---- */

static const char *const names[] = {"conv.weight", "scale", "shift", "fc.weight", "fc.bias"};
static const int sizes[] = {CHANNELS * 9, CHANNELS, CHANNELS, CLASSES *CHANNELS *PIXELS, CLASSES};
enum { PARAMS = 5, MOST = CLASSES * CHANNELS * PIXELS };

typedef struct weights {
    float x[PARAMS][MOST];
} weights;

/* The parameters after so many updates from the same start. */
static weights *after(const char *regularize, int updates) {
    weights *w = calloc(1, sizeof *w);
    const skive_train_options o = plain(regularize);
    step_bench b = bench_start(cnn, &o);
    double loss;
    assert_true(w);
    for (int i = 0; i < updates; i++) skv_test_ok(b.ctx, skv_trainer_step(b.trainer, RATE, &loss, NULL));
    for (int i = 0; i < PARAMS; i++) {
        const skv_param *p = skv_trainer_find(b.trainer, names[i]);
        assert_true(p && p->n == sizes[i]);
        memcpy(w->x[i], p->weight, (size_t)p->n * sizeof(float));
    }
    bench_finish(&b);
    return w;
}

static double soft(double x, double by) { return fabs(x) > by ? copysign(fabs(x) - by, x) : 0; }

static void penalties_by_hand(void **state) {
    (void)state;
    weights *none = after(NULL, 1), *l1 = after("l1:0.5", 1), *l2 = after("l2:2", 1), *scale = after("bn-scale:6", 1),
            *both = after("l2:2;l1:0.5", 1);
    int zeros = 0;
    for (int p = 0; p < PARAMS; p++) {
        const bool weight = p == 0 || p == 3;
        for (int i = 0; i < sizes[p]; i++) {
            const double w = (double)none->x[p][i], thin = soft(w, RATE * 0.5), small = w / (1 + RATE * 2);
            assert_true(skv_test_close((double)l1->x[p][i], weight ? thin : w, 1e-5, 1e-7));
            assert_true(skv_test_close((double)l2->x[p][i], weight ? small : w, 1e-5, 1e-7));
            assert_true(skv_test_close((double)scale->x[p][i], p == 1 ? soft(w, RATE * 6) : w, 1e-5, 1e-7));
            /* In the order of the list, whatever the order of the text. */
            assert_true(skv_test_close((double)both->x[p][i], weight ? thin / (1 + RATE * 2) : w, 1e-5, 1e-7));
            zeros += weight && l1->x[p][i] == 0;
        }
    }
    assert_true(zeros > 10 && zeros < MOST);
    free(none);
    free(l1);
    free(l2);
    free(scale);
    free(both);
}

/* Channel c: a filter, scale and shift, and the columns of the last layer that read it. */
static double shrink(weights *w, int c, double lambda) {
    const int n = 9 + 2 + CLASSES * PIXELS;
    double squares = 0;
    for (int pass = 0; pass < 2; pass++) {
        const double less = RATE * lambda * sqrt(n), norm = sqrt(squares), factor = norm > less ? 1 - less / norm : 0;
        float *const own[] = {&w->x[0][c * 9], &w->x[1][c], &w->x[2][c]};
        const int count[] = {9, 1, 1};
        for (int k = 0; k < 3; k++)
            for (int i = 0; i < count[k]; i++) {
                if (pass)
                    own[k][i] = (float)((double)own[k][i] * factor);
                else
                    squares += (double)own[k][i] * (double)own[k][i];
            }
        for (int f = 0; f < CLASSES; f++)
            for (int i = 0; i < PIXELS; i++) {
                float *x = &w->x[3][(f * CHANNELS + c) * PIXELS + i];
                if (pass)
                    *x = (float)((double)*x * factor);
                else
                    squares += (double)*x * (double)*x;
            }
        if (pass) return factor;
    }
    return 0;
}

static void group_lasso_by_hand(void **state) {
    static const double lambdas[] = {0.2, 1.4};
    int gone = 0, left = 0;
    (void)state;
    for (int k = 0; k < 2; k++) {
        char text[40];
        (void)snprintf(text, sizeof text, "group-lasso:%g", lambdas[k]);
        weights *expected = after(NULL, 1), *got = after(text, 1);
        for (int c = 0; c < CHANNELS; c++) {
            if (shrink(expected, c, lambdas[k]) > 0)
                left++;
            else
                gone++;
        }
        for (int p = 0; p < PARAMS; p++) skv_test_floats(got->x[p], expected->x[p], (size_t)sizes[p], 1e-4, 1e-6);
        free(expected);
        free(got);
    }
    assert_true(gone > 0 && left > 0);
}

/* ---- gates ---- */

/* Shows the numbers of the gates, and changes one of them. */
typedef struct look {
    skv_states states;
    double places[64], means[64];
    size_t n, at;
    double add;
} look;

static skive_status visit(skv_states *s, const char *owner, const char *what, void *data, size_t count, size_t size) {
    look *l = (look *)s;
    (void)size;
    if (strcmp(owner, "regularize l0") != 0) return SKIVE_OK;
    assert_true(count <= 64);
    l->n = count;
    if (strcmp(what, "places") == 0) {
        ((double *)data)[l->at] += l->add;
        memcpy(l->places, data, count * sizeof(double));
    } else if (strcmp(what, "means") == 0) {
        memcpy(l->means, data, count * sizeof(double));
    }
    return SKIVE_OK;
}

static double loss_at(step_bench *b, look *l, size_t at, double add) {
    skv_step step;
    l->at = at;
    l->add = add;
    skv_test_ok(b->ctx, skv_trainer_states(b->trainer, &l->states));
    skv_test_ok(b->ctx, skv_trainer_forward_backward(b->trainer, RATE, &step));
    return step.loss;
}

/* The derivative by a gate's parameter, against differences of the loss with the same random numbers. Behind the
 * normalisation the gate multiplies scale and shift, not the filter. */
static void gates_have_their_gradient(void **state) {
    const skive_train_options o = plain("l0:0,closed=0.4");
    skv_step step;
    int moved = 0;
    (void)state;
    step_bench b = bench_start(cnn, &o);
    look l = {.states = {visit}};
    double expected[CHANNELS];
    for (size_t c = 0; c < CHANNELS; c++) {
        const double h = 1e-2, up = loss_at(&b, &l, c, h), down = loss_at(&b, &l, c, -2 * h);
        (void)loss_at(&b, &l, c, h);
        expected[c] = (up - down) / (2 * h);
        moved += fabs(expected[c]) > 1e-3;
    }
    assert_int_equal(l.n, CHANNELS);
    assert_true(skv_test_close(l.places[0], log(0.6 / 0.4), 1e-6, 0));
    assert_true(moved > 0);
    const skv_param *conv = skv_trainer_find(b.trainer, "conv.weight"), *scale = skv_trainer_find(b.trainer, "scale");
    assert_memory_equal(conv->seen, conv->weight, CHANNELS * 9 * sizeof(float));
    assert_true(memcmp(scale->seen, scale->weight, CHANNELS * sizeof(float)) != 0);
    skv_test_ok(b.ctx, skv_trainer_forward_backward(b.trainer, RATE, &step));
    skv_test_ok(b.ctx, skv_trainer_inspect(b.trainer, &step));
    l.add = 0;
    skv_test_ok(b.ctx, skv_trainer_states(b.trainer, &l.states));
    for (size_t c = 0; c < CHANNELS; c++) assert_true(skv_test_close(l.means[c] / 0.1, expected[c], 0.02, 2e-4));
    bench_finish(&b);
}

/* ---- whole runs ---- */

typedef struct watched {
    int stop_at;
    int64_t most_nonzero; /* of the weights, after any step */
    uint8_t mask[MOST];   /* of the last layer where it was not zero at some step */
} watched;

static skive_status at_step(void *self, const skv_watch *w) {
    watched *r = self;
    int64_t nonzero = 0;
    for (size_t i = 0; i < skv_trainer_param_count(w->trainer); i++) {
        const skv_param *p = skv_trainer_param(w->trainer, i);
        if (!skv_role_decays(p->role)) continue;
        for (int64_t k = 0; k < p->n; k++) nonzero += p->weight[k] != 0;
        if (strcmp(p->value->name, "fc.weight") == 0)
            for (int64_t k = 0; k < p->n; k++) r->mask[k] |= p->weight[k] != 0;
    }
    if (nonzero > r->most_nonzero) r->most_nonzero = nonzero;
    return r->stop_at && w->steps == r->stop_at ? SKIVE_ERR_INTERRUPTED : SKIVE_OK;
}

static skive_status fit(skive_context *ctx, skive_graph *g, const skive_train_options *o, watched *r) {
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN),
                  *validation = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    const skv_watcher watcher = {.name = "watched", .step = at_step, .self = r};
    const skv_fit f = {.model = g,
                       .train = set,
                       .validation = validation,
                       .options = o,
                       .objective = &skv_objective_labels,
                       .watchers = &watcher,
                       .n_watchers = 1,
                       .what = "train"};
    const skive_status status = skv_fit_run(ctx, &f, NULL);
    skive_dataset_free(validation);
    skive_dataset_free(set);
    return status;
}

static bool channel_is_zero(const skive_graph *g, int c) {
    const float *w = data_of(g, "conv.weight"), *f = data_of(g, "fc.weight");
    for (int i = 0; i < 9; i++)
        if (w[c * 9 + i] != 0) return false;
    for (int i = 0; i < CLASSES * PIXELS; i++)
        if (f[(i / PIXELS * CHANNELS + c) * PIXELS + i % PIXELS] != 0) return false;
    return data_of(g, "scale")[c] == 0 && data_of(g, "shift")[c] == 0;
}

static int zero_channels(const char *regularize) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = cnn(ctx);
    skive_train_options o = plain(regularize);
    int zero = 0;
    skv_test_ok(ctx, fit(ctx, g, &o, &(watched){0}));
    for (int c = 0; c < CHANNELS; c++) zero += channel_is_zero(g, c);
    skive_graph_free(g);
    skv_test_context_end(ctx);
    return zero;
}

static void channels_vanish(void **state) {
    (void)state;
    assert_int_equal(zero_channels("growing:0.5"), 2);
    assert_int_equal(zero_channels("growing:0.99"), CHANNELS - 1); /* one stays */
    assert_int_equal(zero_channels("group-lasso:100"), CHANNELS);
    assert_int_equal(zero_channels("group-lasso:0.0001"), 0);
    assert_int_equal(zero_channels("l0:1,rate=10"), CHANNELS);
    assert_int_equal(zero_channels("l0:0"), 0);
}

static void rigl_keeps_its_sparsity_and_moves(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = cnn(ctx);
    const skive_train_options o = plain("rigl:0.75,every=2,layers=uniform");
    watched r = {0};
    int64_t ever = 0, now = 0;
    (void)state;
    skv_test_ok(ctx, fit(ctx, g, &o, &r));
    assert_true(r.most_nonzero <= CHANNELS * 9 / 4 + MOST / 4);
    for (int i = 0; i < MOST; i++) ever += r.mask[i], now += data_of(g, "fc.weight")[i] != 0;
    assert_true(now > MOST / 5 && now <= MOST / 4 && ever > now + 5);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Erdos-Renyi-Kernel: the densities are in proportion to sum over product of the sizes, none above 1. Here
 * (4+1+3+3)/36 = 0.306 and (3+144)/432 = 0.340; all weights 468, a tenth of them kept. */
static void rigl_spreads_as_the_sizes_say(void **state) {
    (void)state;
    weights *w = after("rigl:0.9,start=magnitude,drop=0", 1);
    int conv = 0, fc = 0;
    for (int i = 0; i < sizes[0]; i++) conv += w->x[0][i] != 0;
    for (int i = 0; i < sizes[3]; i++) fc += w->x[3][i] != 0;
    const double factor = 46.8 / (11.0 + 147.0);
    assert_int_equal(conv, (int)(factor * 11 + 0.5));
    assert_int_equal(fc, (int)(factor * 147 + 0.5));
    free(w);
}

/* ---- stopped and resumed ---- */

static uint64_t bits_of(const char *regularize, int stop_at) {
    char path[SKV_TEST_PATH];
    skive_context *ctx = skv_test_context();
    skive_graph *g = cnn(ctx);
    skive_train_options o = plain(regularize);
    o.epochs = 4;
    if (stop_at) {
        o.checkpoint = file(path, "run.ckpt");
        assert_int_equal(fit(ctx, g, &o, &(watched){.stop_at = stop_at}), SKIVE_ERR_INTERRUPTED);
        skive_graph_free(g);
        g = cnn(ctx);
        o.checkpoint_every = "1000000";
    }
    skv_test_ok(ctx, fit(ctx, g, &o, &(watched){0}));
    const uint64_t bits = fingerprint(g);
    if (stop_at) assert_int_equal(unlink(path), 0);
    skive_graph_free(g);
    skv_test_context_end(ctx);
    return bits;
}

static void every_one_resumes(void **state) {
    (void)state;
    assert_true(skv_regularizer_count() >= 7);
    for (size_t i = 0; i < skv_regularizer_count(); i++) {
        const skv_regularizer *r = skv_regularizer_at(i);
        char text[80];
        (void)snprintf(text, sizeof text, "%s:%s", r->name, r->example);
        assert_true(*r->brief);
        const uint64_t straight = bits_of(text, 0);
        if (bits_of(text, STEPS + 3) != straight || bits_of(text, 2 * STEPS) != straight)
            fail_msg("%s: the resumed run gives other numbers", text);
    }
}

/* ---- what is refused ---- */

static void contradictions_are_refused(void **state) {
    static const struct {
        const char *text, *part;
        double ema;
        const char *rules;
        skive_status status;
    } wrong[] = {{"lasso:1", "group-lasso", 0, NULL, SKIVE_ERR_ARGUMENT},
                 {"l1", "lambda", 0, NULL, SKIVE_ERR_ARGUMENT},
                 {"l1:-1", "lambda", 0, NULL, SKIVE_ERR_ARGUMENT},
                 {"l1:1;l1:2", "twice", 0, NULL, SKIVE_ERR_ARGUMENT},
                 {"l0:1", "averages", 0.9, NULL, SKIVE_ERR_ARGUMENT},
                 {"l0:1,of=weight", "grid", 0, "fc.weight=grid:int4", SKIVE_ERR_ARGUMENT},
                 {"rigl:0.5", "clip", 0, "fc.weight=clip:1", SKIVE_ERR_ARGUMENT},
                 {"growing:0.01", "less than one", 0, NULL, SKIVE_ERR_ARGUMENT}};
    (void)state;
    for (size_t i = 0; i < SKV_COUNT(wrong); i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = cnn(ctx);
        skive_train_options o = plain(wrong[i].text);
        o.ema = wrong[i].ema;
        o.rules = wrong[i].rules;
        skv_test_fails(ctx, fit(ctx, g, &o, &(watched){0}), wrong[i].status, wrong[i].part);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

static skive_status run_all(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skive_dataset *d = NULL;
    skive_train_options o = plain(user);
    skive_zoo_options z = skive_zoo_options_default();
    z.dims[1] = z.dims[2] = SIDE;
    z.dims[0] = 1;
    z.classes = CLASSES;
    o.epochs = 1;
    o.batch = 120;
    skive_status status = skive_zoo_build(ctx, "mlp:4", &z, &g);
    if (status == SKIVE_OK) status = skive_dataset_open(ctx, blobs, NULL, &d);
    if (status == SKIVE_OK) status = skive_train(ctx, g, d, NULL, &o, NULL, 0, NULL);
    skive_dataset_free(d);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(run_all, (void *)"l0:0.001;group-lasso:0.001;growing:0.3", 11) > 40);
    assert_true(skv_test_walk_allocations(run_all, (void *)"rigl:0.5;l1:0.001", 11) > 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(penalties_by_hand),
        cmocka_unit_test(group_lasso_by_hand),
        cmocka_unit_test(gates_have_their_gradient),
        cmocka_unit_test(channels_vanish),
        cmocka_unit_test(rigl_keeps_its_sparsity_and_moves),
        cmocka_unit_test(rigl_spreads_as_the_sizes_say),
        cmocka_unit_test(every_one_resumes),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
