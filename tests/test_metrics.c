/* The figures of an evaluation: each by hand, its edge cases (one class only, ties, no positives, NaN), and the
 * intervals of one and of two models. */
#include "train_fixtures.h"

#include <skive/eval.h>

#include "train/metrics/choices.h"

static bool roots; /* the model gives square roots: NaN of what is negative */

/* A model that gives out what it gets. */
static skive_graph *identity(skive_context *ctx, int64_t scores, const char *kind) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 2, .dims = {{-1, "N"}, {scores, NULL}}};
    skv_test_ok(ctx, skive_graph_create(ctx, "identity", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, roots ? "Sqrt" : "Identity", SKV_IN(x), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    if (kind) skv_test_ok(ctx, skive_model_set_output(g, NULL, kind));
    return g;
}

typedef struct task {
    const char *kind;
    int64_t n, scores, targets; /* targets 0: classes */
    const double *x, *y;
} task;

static const char *asked; /* figures with options */

static skive_status measure(skive_context *ctx, const task *t, skive_eval_report *out) {
    char a[SKV_TEST_PATH], b[SKV_TEST_PATH], spec[2 * SKV_TEST_PATH + 16];
    const int64_t dims[2] = {t->n, t->scores}, one[2] = {t->n, t->targets};
    save("mx.npy", SKIVE_F32, 2, dims, t->x);
    save("my.npy", t->targets ? SKIVE_F32 : SKIVE_I64, t->targets ? 2 : 1, one, t->y);
    snprintf(spec, sizeof spec, "npy:%s,%s", file(a, "mx.npy"), file(b, "my.npy"));
    skive_dataset *set = NULL;
    skive_dataset_options o = skive_dataset_options_default();
    o.split = SKIVE_SPLIT_TEST;
    o.targets = t->targets ? SKIVE_TARGETS_VALUES : SKIVE_TARGETS_CLASSES;
    o.classes = t->targets ? 0 : t->scores == 1 ? 2 : t->scores;
    skive_status status = skive_dataset_open(ctx, spec, &o, &set);
    skive_graph *g = identity(ctx, t->scores, t->kind);
    if (status == SKIVE_OK) status = skive_evaluate_metrics(ctx, g, set, 3, asked, out);
    skive_graph_free(g);
    skive_dataset_free(set);
    return status;
}

static const skive_figure *figure(const skive_eval_report *r, const char *name) {
    for (size_t i = 0; i < r->n_figures; i++)
        if (strcmp(r->figures[i].name, name) == 0) return &r->figures[i];
    return NULL;
}

static void is(const skive_eval_report *r, const char *name, double expected) {
    const skive_figure *f = figure(r, name);
    if (!f) fail_msg("there is no figure '%s'", name);
    if (!skv_test_close(f->value, expected, 1e-6, 1e-9)) fail_msg("%s is %.9g, not %.9g", name, f->value, expected);
}

static void classes_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    /* predicted 0, 1, 1, 2, 0, 2; two of six wrong */
    const double x[6 * 3] = {.7, .2, .1, .1, .8, .1, .3, .4, .3, .1, .1, .8, .5, .3, .2, .2, .2, .6};
    const double y[6] = {0, 1, 0, 2, 1, 2};
    const task t = {"probabilities", 6, 3, 0, x, y};
    skive_eval_report r;
    (void)state;
    skv_test_ok(ctx, measure(ctx, &t, &r));
    is(&r, "accuracy", 4 / 6.0);
    assert_null(figure(&r, "top5"));
    is(&r, "balanced-accuracy", (0.5 + 0.5 + 1) / 3);
    is(&r, "f1-macro", (2.0 / 4 + 2.0 / 4 + 1) / 3);
    const double loss = -(log(.7) + log(.8) + log(.3) + log(.8) + log(.3) + log(.6)) / 6;
    is(&r, "log-loss", loss);
    is(&r, "perplexity", exp(loss));
    /* Class 0: positives .7 .3 against .1 .1 .5 .2; class 1: .8 .3 against .2 .4 .1 .2; class 2 is perfect. */
    is(&r, "auc", ((4 + 3) / 8.0 + (4 + 3) / 8.0 + 1) / 3);
    is(&r, "average-precision", ((1 + 2.0 / 3) / 2 + (1 + 2.0 / 3) / 2 + 1) / 3);
    /* Each sample is alone in its bin but those of .8: |2 - 1.6|, and .3, .4, .5, .4. */
    is(&r, "ece", (.3 + .4 + .4 + .5 + .4) / 6);
    assert_true(r.accuracy == figure(&r, "accuracy")->value && r.auc == figure(&r, "auc")->value);
    assert_true(isnan(figure(&r, "auc")->low) && !figure(&r, "auc")->interval);
    skive_eval_report_free(ctx, &r);
    skv_test_context_end(ctx);
}

/* Logits of different samples are ranked by the probability that they give: a shift of a sample's logits changes
 * nothing. */
static void logits_are_ranked_as_probabilities(void **state) {
    skive_context *ctx = skv_test_context();
    const double p[4][3] = {{.6, .3, .1}, {.2, .5, .3}, {.3, .3, .4}, {.5, .1, .4}}, y[4] = {0, 1, 2, 2};
    const double shift[4] = {0, 50, -20, 7};
    double x[12];
    skive_eval_report a, b;
    (void)state;
    for (int i = 0; i < 12; i++) x[i] = log(p[i / 3][i % 3]) + shift[i / 3];
    const task logits = {"logits", 4, 3, 0, x, y}, shares = {"probabilities", 4, 3, 0, p[0], y};
    skv_test_ok(ctx, measure(ctx, &logits, &a));
    skv_test_ok(ctx, measure(ctx, &shares, &b));
    for (size_t i = 0; i < a.n_figures; i++)
        if (!skv_test_close(a.figures[i].value, b.figures[i].value, 1e-4, 1e-5))
            fail_msg("%s: %g, %g", a.figures[i].name, a.figures[i].value, b.figures[i].value);
    is(&b, "auc", (1 + 1 + 1.0) / 3);
    skive_eval_report_free(ctx, &a);
    skive_eval_report_free(ctx, &b);
    skv_test_context_end(ctx);
}

static void ties_and_one_score(void **state) {
    skive_context *ctx = skv_test_context();
    /* falling: 0.9 +, 0.8 -, 0.7 + and - (equal), 0.1 - */
    const double x[5] = {.7, .9, .1, .8, .7}, y[5] = {1, 1, 0, 0, 0};
    const task t = {"sigmoid", 5, 1, 0, x, y};
    skive_eval_report r;
    (void)state;
    skv_test_ok(ctx, measure(ctx, &t, &r));
    assert_int_equal(r.task, SKIVE_TASK_BINARY);
    is(&r, "auc", (3 + 1.5) / 6);
    is(&r, "average-precision", (1.0 + 2.0 / 4) / 2);
    assert_string_equal(figure(&r, "auc")->title, "AUC");
    is(&r, "ece", (.4 + .2 + .8) / 5);
    skive_eval_report_free(ctx, &r);
    skv_test_context_end(ctx);
}

static void without_positives_there_is_no_area(void **state) {
    skive_context *ctx = skv_test_context();
    const double x[3] = {.2, .4, .6}, y[3] = {0, 0, 0};
    const task t = {"sigmoid", 3, 1, 0, x, y};
    skive_eval_report r;
    (void)state;
    skv_test_ok(ctx, measure(ctx, &t, &r));
    assert_true(isnan(figure(&r, "auc")->value) && isnan(figure(&r, "average-precision")->value));
    is(&r, "balanced-accuracy", 2 / 3.0);
    skv_test_ok(ctx, skive_eval_intervals(ctx, &r, 50, 1));
    assert_null(figure(&r, "auc")->interval);
    skive_eval_report_free(ctx, &r);
    skv_test_context_end(ctx);
}

static void labels_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    const double x[8] = {.9, .2, .6, .7, .1, .8, .4, .3}, y[8] = {1, 0, 0, 1, 0, 1, 1, 0};
    const task t = {"sigmoid", 4, 2, 2, x, y};
    skive_eval_report r;
    (void)state;
    skv_test_ok(ctx, measure(ctx, &t, &r));
    assert_int_equal(r.task, SKIVE_TASK_LABELS);
    is(&r, "exact-match", 2 / 4.0);
    is(&r, "f1-micro", 2 * 3.0 / (4 + 4));
    is(&r, "f1-macro", (2.0 / 4 + 1) / 2);
    is(&r, "auc", (3 / 4.0 + 1) / 2);
    is(&r, "average-precision", ((1 + 2.0 / 3) / 2 + 1) / 2);
    assert_true(r.average_precision[1] == 1);
    skive_eval_report_free(ctx, &r);
    skv_test_context_end(ctx);
}

static void values_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    const double x[6] = {1, 2, 3, 5, 2, 0}, y[6] = {1, 3, 1, 5, 4, 1};
    const task t = {"values", 3, 2, 2, x, y};
    skive_eval_report r;
    (void)state;
    skv_test_ok(ctx, measure(ctx, &t, &r));
    is(&r, "mse", (1 + 4 + 4 + 1) / 6.0);
    is(&r, "rmse", sqrt(10 / 6.0));
    is(&r, "mae", (1 + 2 + 2 + 1) / 6.0);
    is(&r, "r2", ((1 - 8 / 6.0) + (1 - 2 / 8.0)) / 2);
    is(&r, "cosine", (7 / sqrt(5 * 10.0) + 28 / sqrt(34 * 26.0) + 8 / sqrt(4 * 17.0)) / 3);
    assert_true(r.loss == r.mse);
    /* Once each is the same as no weights. */
    const uint32_t once[3] = {1, 1, 1}, twice[3] = {2, 0, 1};
    double scratch[128];
    const skv_metric *r2 = skv_metric_find("r2");
    assert_true(skv_test_close(r2->value(r.scored, once, scratch), r2->value(r.scored, NULL, scratch), 1e-12, 0));
    /* Sample 0 twice and sample 2: targets (1, 3) (1, 3) (4, 1), errors 0, 1 / 0, 1 / 2, 1. */
    assert_true(
        skv_test_close(r2->value(r.scored, twice, scratch), ((1 - 4 / 6.0) + (1 - 3 / (8 / 3.0))) / 2, 1e-9, 0));
    skive_eval_report_free(ctx, &r);
    skv_test_context_end(ctx);
}

static void nan_is_refused_by_sample(void **state) {
    skive_context *ctx = skv_test_context();
    const double x[6] = {1, 2, 3, -1, 2, 0}, y[3] = {0, 1, 0};
    const task t = {"logits", 3, 2, 0, x, y};
    skive_eval_report r;
    (void)state;
    roots = true;
    skv_test_fails(ctx, measure(ctx, &t, &r), SKIVE_ERR_NUMERIC, "NaN for sample 1");
    roots = false;
    skv_test_context_end(ctx);
}

/* ---- every record under weights ---- */

/* A sample that counts twice is the same as the sample given twice, for every figure of every task. */
static void weights_are_copies(void **state) {
    skive_context *ctx = skv_test_context();
    enum { N = 40, K = 4 };
    static double x[N * K], y[N * K], x2[2 * N * K], y2[2 * N * K];
    uint32_t weight[N];
    int checked = 0;
    (void)state;
    static const struct {
        const char *kind;
        int64_t scores, targets;
    } tasks[] = {{"logits", K, 0}, {"probabilities", K, 0}, {"sigmoid", 1, 0},
                 {"logits", 2, 0}, {"sigmoid", 3, 3},       {"values", 3, 3}};
    for (size_t t = 0; t < sizeof tasks / sizeof tasks[0]; t++) {
        const int64_t k = tasks[t].scores, d = tasks[t].targets ? tasks[t].targets : 1;
        int64_t n2 = 0;
        for (int64_t i = 0; i < N; i++) {
            weight[i] = i < 5 ? 1 : (uint32_t)skv_rng_below(9, t, (uint64_t)i, 3);
            for (int64_t c = 0; c < k; c++) {
                const double u = skv_rng_uniform(7, t, (uint64_t)(i * k + c));
                x[i * k + c] = tasks[t].kind[0] == 'l' ? 3 * u : floor(8 * u) / 8; /* with ties */
            }
            for (int64_t c = 0; c < d; c++) {
                const uint64_t r = skv_rng_below(8, t, (uint64_t)(i * d + c), 1000);
                y[i * d + c] = tasks[t].kind[0] == 'v' ? (double)r / 100 - 3
                               : d > 1                 ? (double)(r % 2)
                                                       : (double)(r % (uint64_t)(k == 1 ? 2 : k));
            }
            for (uint32_t w = 0; w < weight[i]; w++, n2++) {
                memcpy(x2 + n2 * k, x + i * k, (size_t)k * sizeof *x);
                memcpy(y2 + n2 * d, y + i * d, (size_t)d * sizeof *y);
            }
        }
        const task once = {tasks[t].kind, N, k, tasks[t].targets, x, y},
                   copies = {tasks[t].kind, n2, k, tasks[t].targets, x2, y2};
        skive_eval_report a, b;
        double scratch[128];
        skv_test_ok(ctx, measure(ctx, &once, &a));
        skv_test_ok(ctx, measure(ctx, &copies, &b));
        for (size_t i = 0; i < skv_metric_count(); i++) {
            const skv_metric *m = skv_metric_at(i);
            if (!figure(&a, m->name) || !m->value) continue;
            const double got = m->value(a.scored, weight, scratch), wanted = figure(&b, m->name)->value;
            if (!skv_test_close(got, wanted, 1e-9, 1e-12)) fail_msg("%s: %.12g, not %.12g", m->name, got, wanted);
            checked++;
        }
        skive_eval_report_free(ctx, &a);
        skive_eval_report_free(ctx, &b);
    }
    assert_true(checked > 15);
    skv_test_context_end(ctx);
}

/* Exactly k classes are picked: of equal scores the lower class comes first, as in what is predicted. */
static void ties_of_classes(void **state) {
    skive_context *ctx = skv_test_context();
    const double x[4 * 3] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 2}, y[4] = {0, 1, 2, 2};
    const task t = {NULL, 4, 3, 0, x, y};
    skive_eval_report r;
    (void)state;
    for (int k = 1; k < 3; k++) {
        asked = k == 1 ? "top-k:1" : "top-k:2";
        skv_test_ok(ctx, measure(ctx, &t, &r));
        is(&r, "top-k", k == 1 ? 1 / 4.0 : 3 / 4.0);
        is(&r, "accuracy", 1 / 4.0);
        skive_eval_report_free(ctx, &r);
    }
    asked = NULL;
    skv_test_context_end(ctx);
}

/* ---- figures with options ---- */

static void titled(const skive_eval_report *r, const char *name, const char *title, double expected) {
    is(r, name, expected);
    assert_string_equal(figure(r, name)->title, title);
}

static void options_of_figures_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    /* predicted 0, 1, 1, 2, 0, 2, 0. Class 0: 1 right of 3 said and 2 true; 1: 1 of 2 and 2; 2: 2 of 2 and 3. */
    const double x[7 * 3] = {.7, .2, .1, .1, .8, .1, .3, .4, .2, .1, .1, .8, .5, .3, .2, .2, .2, .6, .6, .3, .1};
    const double y[7] = {0, 1, 0, 2, 1, 2, 2};
    const task t = {"probabilities", 7, 3, 0, x, y};
    const double f2[3] = {5 * 1 / (4 * 2.0 + 3), 5 * 1 / (4 * 2.0 + 2), 5 * 2 / (4 * 3.0 + 2)};
    skive_eval_report r, other;
    skive_figure_pair *pairs = NULL;
    size_t n = 0;
    (void)state;
    skv_test_ok(ctx, measure(ctx, &t, &r));
    assert_null(figure(&r, "top-k"));
    assert_null(figure(&r, "f-beta"));
    const double map = r.map;
    skive_eval_report_free(ctx, &r);
    asked = "top-k:2;f-beta";
    skv_test_ok(ctx, measure(ctx, &t, &other));
    titled(&other, "top-k", "top-2", 6 / 7.0);
    titled(&other, "f-beta", "F2 macro", (f2[0] + f2[1] + f2[2]) / 3);
    asked = "f-beta:beta=2,average=weighted;top-k:1;average-precision:class=1";
    skv_test_ok(ctx, measure(ctx, &t, &r));
    titled(&r, "f-beta", "F2 weighted", (2 * f2[0] + 2 * f2[1] + 3 * f2[2]) / 7);
    is(&r, "top-k", figure(&r, "accuracy")->value);
    /* Falling scores of class 1: .8 +, .4 -, .3 + and .3 - (equal), ... */
    titled(&r, "average-precision", "average precision of class 1", (1 + 2 / 4.0) / 2);
    assert_true(r.map == map); /* the mean stays what it is */
    skv_test_ok(ctx, skive_eval_intervals(ctx, &r, 100, 3));
    assert_string_equal(figure(&r, "top-k")->interval, "wilson");
    assert_string_equal(figure(&r, "f-beta")->interval, "bootstrap");
    /* Figures with other options are not held against one another. */
    skv_test_ok(ctx, skive_compare_figures(ctx, &r, &other, 0, 3, &pairs, &n));
    for (size_t i = 0; i < n; i++) assert_true(strcmp(pairs[i].name, "top-k") && strcmp(pairs[i].name, "f-beta"));
    skive_figure_pairs_free(ctx, pairs);
    skive_eval_report_free(ctx, &r);
    skive_eval_report_free(ctx, &other);
    asked = "f-beta:0.5,average=micro";
    skv_test_ok(ctx, measure(ctx, &t, &r));
    titled(&r, "f-beta", "F0.5 micro", 4 / 7.0); /* of one class a sample: the accuracy */
    skive_eval_report_free(ctx, &r);
    asked = "f-beta:0.5,class=0";
    skv_test_ok(ctx, measure(ctx, &t, &r));
    titled(&r, "f-beta", "F0.5 of class 0", 1.25 * 1 / (0.25 * 2 + 3));
    skive_eval_report_free(ctx, &r);
    static const struct {
        const char *asked, *message;
    } bad[] = {
        {"f-gamma", "no figure 'f-gamma'"},
        {"top-k:0", "between 1 and"},
        {"top-k:3", "not defined for these data"},
        {"iou", "not defined for these data"},
        {"f-beta:class=3", "the classes 0 to 2"},
        {"top-k:1;f-beta;top-k:2", "asked for twice"},
        {"f-beta:average=mean", "macro"},
        {"accuracy:k=1", "option"},
        {"f-beta:beta=0", "beta"},
        {"top-k:2;", "figure"},
    };
    for (size_t i = 0; i < SKV_LENGTH(bad); i++) {
        asked = bad[i].asked;
        skv_test_fails(ctx, measure(ctx, &t, &r), SKIVE_ERR_ARGUMENT, bad[i].message);
    }
    asked = NULL;
    skv_test_context_end(ctx);
}

static skive_status read_choices(skive_context *ctx, void *user) {
    return skv_choices_check(ctx, user, SKV_OF(SKIVE_TASK_CLASSES));
}

static void options_without_memory(void **state) {
    static char text[] = "top-k:2;f-beta:beta=3";
    (void)state;
    assert_true(skv_test_walk_allocations(read_choices, text, 1) >= 2);
}

/* ---- intervals ---- */

enum { MANY = 400 };

static void fill(double *x, double *y, uint64_t seed, double skill) {
    for (int i = 0; i < MANY; i++) {
        y[i] = (double)skv_rng_below(3, 3, (uint64_t)i, 3);
        for (int c = 0; c < 3; c++)
            x[i * 3 + c] = skill * (c == (int)y[i]) + skv_rng_normal(seed, (uint64_t)i, (uint64_t)c);
    }
}

static void intervals_hold_the_value(void **state) {
    static double x[2][3 * MANY], y[MANY];
    const task t = {"logits", MANY, 3, 0, x[0], y}, other = {"logits", MANY, 3, 0, x[1], y};
    double low[2], high[2];
    (void)state;
    fill(x[0], y, 1, 1.2);
    fill(x[1], y, 2, 2.5);
    for (int threads = 1; threads <= 2; threads++) {
        skive_context *ctx = skv_test_context();
        skive_eval_report a, b;
        skive_figure_pair *pairs = NULL;
        size_t n = 0;
        skive_context_set_threads(ctx, threads);
        skv_test_ok(ctx, measure(ctx, &t, &a));
        skv_test_ok(ctx, measure(ctx, &other, &b));
        skv_test_ok(ctx, skive_eval_intervals(ctx, &a, 300, 5));
        for (size_t i = 0; i < a.n_figures; i++) {
            const skive_figure *f = &a.figures[i];
            if (!f->interval || !(f->low < f->value && f->value < f->high))
                fail_msg("%s: %g in [%g, %g] (%s)", f->name, f->value, f->low, f->high,
                         f->interval ? f->interval : "-");
        }
        assert_true(figure(&a, "accuracy")->low == a.low && figure(&a, "accuracy")->high == a.high);
        /* Balanced classes: the bootstrap of the balanced accuracy is about as wide as Wilson's of the accuracy. */
        const skive_figure *f = figure(&a, "balanced-accuracy");
        assert_true(skv_test_close(f->high - f->low, a.high - a.low, 0.25, 0));
        low[threads - 1] = f->low;
        high[threads - 1] = f->high;
        skv_test_ok(ctx, skive_compare_figures(ctx, &a, &b, 300, 5, &pairs, &n));
        assert_int_equal(n, a.n_figures);
        for (size_t i = 0; i < n; i++) {
            const skive_figure_pair *p = &pairs[i];
            assert_true(p->interval && p->low < p->difference && p->difference < p->high);
            assert_true(p->less_is_better ? p->high < 0 || strcmp(p->name, "ece") == 0 : p->low > 0); /* b is better */
        }
        skive_paired_report paired;
        skv_test_ok(ctx, skive_compare_paired(ctx, &a, &b, &paired));
        assert_true(pairs[0].low == paired.low && pairs[0].high == paired.high);
        skive_figure_pairs_free(ctx, pairs);
        /* A model against itself differs by nothing, surely. */
        skv_test_ok(ctx, skive_compare_figures(ctx, &a, &a, 50, 5, &pairs, &n));
        for (size_t i = 1; i < n; i++)
            if (!pairs[i].interval || strcmp(pairs[i].interval, "newcombe") != 0)
                assert_true(pairs[i].difference == 0 && pairs[i].low == 0 && pairs[i].high == 0);
        skive_figure_pairs_free(ctx, pairs);
        skv_test_fails(ctx, skive_eval_intervals(ctx, &a, 1000000, 5), SKIVE_ERR_ARGUMENT, "at most 100000");
        b.n--;
        skv_test_fails(ctx, skive_compare_figures(ctx, &a, &b, 1, 5, &pairs, &n), SKIVE_ERR_ARGUMENT, "400 and 399");
        b.n++;
        skv_test_ok(ctx, skive_eval_intervals(ctx, &a, 0, 5));
        assert_null(figure(&a, "balanced-accuracy")->interval);
        skive_eval_report_free(ctx, &a);
        skive_eval_report_free(ctx, &b);
        skv_test_context_end(ctx);
    }
    assert_true(low[0] == low[1] && high[0] == high[1]); /* whatever the number of threads */
}

/* ---- the best epoch ---- */

static size_t metric_index(const char *name) {
    size_t i = 0;
    while (strcmp(skv_metric_name(i), name) != 0) i++;
    return i;
}

static void epochs_are_selected_by_any_figure(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN),
                  *held = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    (void)state;
    for (size_t i = 0; i < skv_metric_count(); i++) {
        const skv_metric *m = skv_metric_at(i);
        skive_train_options o = settings(2, 40);
        skive_train_report r;
        skive_graph *g = small_cnn(ctx, false);
        o.best = m->name;
        const bool here = (m->tasks & SKV_OF(SKIVE_TASK_CLASSES)) && strcmp(m->name, "top5") != 0 &&
                          strcmp(m->name, "top-k") != 0 && /* of three classes the third place says nothing */
                          strcmp(m->name, "exact-match") != 0;
        const skive_status status = skive_train(ctx, g, set, held, &o, NULL, 0, &r);
        skive_graph_free(g);
        if (!here) {
            skv_test_fails(ctx, status, SKIVE_ERR_ARGUMENT, "not defined for these data");
            continue;
        }
        skv_test_ok(ctx, status);
        assert_string_equal(r.best_by, m->name);
        const double first = r.epochs[0].figures[i], second = r.epochs[1].figures[i];
        assert_true(isfinite(first) && isfinite(second));
        if (first != second) assert_int_equal(r.best_epoch, (m->less ? second < first : second > first) ? 2 : 1);
        skive_train_report_free(ctx, &r);
    }
    skive_train_options o = settings(1, 40);
    skive_train_report r;
    skive_graph *g = small_cnn(ctx, false);
    o.metrics = "top-k:2;f-beta:class=1";
    o.best = "top-k,f-beta";
    skv_test_fails(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, &r), SKIVE_ERR_ARGUMENT, "no validation set");
    skv_test_ok(ctx, skive_train(ctx, g, set, held, &o, NULL, 0, &r));
    assert_true(isfinite(r.epochs[0].figures[metric_index("top-k")]));
    assert_true(isfinite(r.epochs[0].figures[metric_index("f-beta")]));
    skive_train_report_free(ctx, &r);
    o.best = NULL;
    o.metrics = "iou:class=1";
    skv_test_fails(ctx, skive_train(ctx, g, set, held, &o, NULL, 0, &r), SKIVE_ERR_ARGUMENT, "'iou' is not defined");
    skive_graph_free(g);
    assert_true(skv_metric_count() <= SKIVE_EPOCH_FIGURES);
    skive_dataset_free(set);
    skive_dataset_free(held);
    skv_test_context_end(ctx);
}

/* Two models with one score that say the opposite of all but a few samples. */
static void single_scores_agree_by_their_kind(void **state) {
    static const struct {
        const char *kind, *op;
    } kinds[] = {{"probabilities", "Sigmoid"}, {"sigmoid", "Sigmoid"}, {"sigmoid-logits", "Identity"}};
    (void)state;
    for (size_t i = 0; i < SKV_COUNT(kinds); i++) {
        skive_context *ctx = skv_test_context();
        skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
        skive_graph *g[2];
        skive_agreement r;
        for (int k = 0; k < 2; k++) {
            float w[PIXELS];
            const float b[1] = {0};
            for (int p = 0; p < PIXELS; p++) w[p] = (k ? -1 : 1) * (float)(skv_rng_normal(4, 5, (uint64_t)p));
            g[k] = made_network(ctx, &(made_layer){1, PIXELS, w, b}, 1, false);
            skv_builder e = skv_build(g[k]);
            skive_value *y = skv_emit(&e, kinds[i].op, SKV_IN(g[k]->outputs[0]), SKV_NONE);
            skv_test_ok(ctx, e.status);
            skv_test_ok(ctx, skv_graph_remove_output(g[k], 0));
            skv_test_ok(ctx, skive_graph_add_output(g[k], y));
            skv_test_ok(ctx, skive_model_set_output(g[k], NULL, kinds[i].kind));
        }
        skv_test_ok(ctx, skive_compare_answers(ctx, g[0], g[1], set, set, 0, &r));
        if (!(r.share < 0.1)) fail_msg("%s: %g of the answers are the same", kinds[i].kind, r.share);
        skive_graph_free(g[0]);
        skive_graph_free(g[1]);
        skive_dataset_free(set);
        skv_test_context_end(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_scores_agree_by_their_kind),
        cmocka_unit_test(classes_by_hand),
        cmocka_unit_test(logits_are_ranked_as_probabilities),
        cmocka_unit_test(ties_and_one_score),
        cmocka_unit_test(without_positives_there_is_no_area),
        cmocka_unit_test(labels_by_hand),
        cmocka_unit_test(values_by_hand),
        cmocka_unit_test(ties_of_classes),
        cmocka_unit_test(options_of_figures_by_hand),
        cmocka_unit_test(options_without_memory),
        cmocka_unit_test(nan_is_refused_by_sample),
        cmocka_unit_test(weights_are_copies),
        cmocka_unit_test(intervals_hold_the_value),
        cmocka_unit_test(epochs_are_selected_by_any_figure),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
