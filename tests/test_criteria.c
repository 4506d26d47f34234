/* Criteria of pruning that look at data: what they remove, against scores worked out by plain back-propagation in
 * double; that they look again at each step; what they refuse. */
#include "train_fixtures.h"

#include <skive/prune.h>
#include <skive/zoo.h>

#include "probe/source.h"
#include "prune/prune.h"

enum { HIDDEN = 8, W1 = PIXELS * HIDDEN, W2 = HIDDEN * CLASSES, ROOM = TRAINING };

/* x -> Gemm w1 [pixels][hidden] -> Relu -> Gemm w2 [classes][hidden] */
static skive_graph *mlp(skive_context *ctx) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    const int64_t a[2] = {PIXELS, HIDDEN}, b1[1] = {HIDDEN}, c[2] = {CLASSES, HIDDEN}, b2[1] = {CLASSES};
    skv_test_ok(ctx, skive_graph_create(ctx, "mlp", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Flatten", SKV_IN(x), SKV_NONE);
    y = skv_emit(&b, "Gemm",
                 SKV_IN(y, parameter(&b, "w1", 2, a, 11, -0.4, 0.4), parameter(&b, "b1", 1, b1, 12, -0.2, 0.2)),
                 SKV_NONE);
    y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    y = skv_emit(&b, "Gemm",
                 SKV_IN(y, parameter(&b, "w2", 2, c, 13, -0.6, 0.6), parameter(&b, "b2", 1, b2, 14, -0.2, 0.2)),
                 SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

/* ---- the network in double ---- */

typedef struct reference {
    size_t n;
    double x[ROOM][PIXELS], h[ROOM][HIDDEN];
    double g1[ROOM][W1], g2[ROOM][W2]; /* gradients of each sample's cross-entropy, in the order of the weights */
} reference;

static reference *ref;

/* With a label the loss is cross-entropy; with targets [classes] half the squared error. */
static void forward_and_back(const skive_graph *g, size_t n, int64_t label, const float *targets) {
    const float *w1 = data_of(g, "w1"), *b1 = data_of(g, "b1"), *w2 = data_of(g, "w2"), *b2 = data_of(g, "b2");
    double z[CLASSES], sum = 0, back[HIDDEN] = {0};
    for (int k = 0; k < HIDDEN; k++) {
        double s = (double)b1[k];
        for (int i = 0; i < PIXELS; i++) s += ref->x[n][i] * (double)w1[i * HIDDEN + k];
        ref->h[n][k] = fmax(s, 0);
    }
    for (int c = 0; c < CLASSES; c++) {
        z[c] = (double)b2[c];
        for (int k = 0; k < HIDDEN; k++) z[c] += ref->h[n][k] * (double)w2[c * HIDDEN + k];
    }
    for (int c = 0; c < CLASSES; c++) sum += exp(z[c]);
    for (int c = 0; c < CLASSES; c++) {
        const double d = targets ? z[c] - (double)targets[c] : exp(z[c]) / sum - (c == label ? 1 : 0);
        for (int k = 0; k < HIDDEN; k++) {
            ref->g2[n][c * HIDDEN + k] = d * ref->h[n][k];
            back[k] += d * (double)w2[c * HIDDEN + k];
        }
    }
    for (int i = 0; i < W1; i++)
        ref->g1[n][i] = ref->h[n][i % HIDDEN] > 0 ? back[i % HIDDEN] * ref->x[n][i / HIDDEN] : 0;
}

/* All samples of the set, in whatever order: no score here depends on it. */
static void see(skive_context *ctx, const skive_graph *g, skive_dataset *set) {
    skive_loader_options o = skive_loader_options_default();
    skive_loader *loader = NULL;
    skive_batch batch;
    o.batch = ROOM;
    skv_test_ok(ctx, skive_loader_create(ctx, set, &o, &loader));
    skv_test_ok(ctx, skive_loader_start_epoch(loader, 0));
    skv_test_ok(ctx, skive_loader_next(loader, &batch));
    ref->n = batch.count;
    assert_true(ref->n > 100 && ref->n <= ROOM);
    for (size_t n = 0; n < ref->n; n++) {
        for (size_t i = 0; i < PIXELS; i++) ref->x[n][i] = (double)((const float *)batch.x.data)[n * PIXELS + i];
        if (batch.y.dtype == SKIVE_F32)
            forward_and_back(g, n, -1, (const float *)batch.y.data + n * CLASSES);
        else
            forward_and_back(g, n, ((const int64_t *)batch.y.data)[n], NULL);
    }
    skive_loader_free(loader);
}

/* ---- scores by their definitions ---- */

static double w_at(const skive_graph *g, int i) {
    return (double)(i < W1 ? data_of(g, "w1")[i] : data_of(g, "w2")[i - W1]);
}
static double g_at(size_t n, int i) { return i < W1 ? ref->g1[n][i] : ref->g2[n][i - W1]; }

static double summed(const skive_graph *g, int i) { /* |w sum of gradients| */
    double sum = 0;
    for (size_t n = 0; n < ref->n; n++) sum += g_at(n, i);
    return fabs(w_at(g, i) * sum);
}

static double fisher(const skive_graph *g, int i) {
    double sum = 0;
    for (size_t n = 0; n < ref->n; n++) sum += g_at(n, i) * g_at(n, i);
    return fabs(w_at(g, i)) * sqrt(sum);
}

static double sample_magnitudes(const skive_graph *g, int i) {
    double sum = 0;
    for (size_t n = 0; n < ref->n; n++) sum += fabs(w_at(g, i) * g_at(n, i));
    return sum;
}

static double input_norm(const skive_graph *g, int i) {
    double sum = 0;
    for (size_t n = 0; n < ref->n; n++) {
        const double x = i < W1 ? ref->x[n][i / HIDDEN] : ref->h[n][(i - W1) % HIDDEN];
        sum += x * x;
    }
    return fabs(w_at(g, i)) * sqrt(sum);
}

/* Of the output's activations that are not zero: of w1 those behind the Relu, of w2 the scores, which never are. */
static double active(const skive_graph *g, int i) {
    double sum = 0;
    for (size_t n = 0; n < ref->n; n++) sum += i >= W1 || ref->h[n][i % HIDDEN] > 0 ? 1 : 0;
    return fabs(w_at(g, i)) * sum;
}

static double gradient_sizes(const skive_graph *g, int i) {
    double sum = 0;
    (void)g;
    for (size_t n = 0; n < ref->n; n++) sum += fabs(g_at(n, i));
    return sum;
}

/* Of one step with all samples: what training moves away from zero. */
static double movement(const skive_graph *g, int i) {
    double sum = 0;
    for (size_t n = 0; n < ref->n; n++) sum -= w_at(g, i) * g_at(n, i);
    return sum;
}

/* Of an input of ones through the magnitudes: |w1[i][k]| sum over c of |w2[c][k]|, and the other way around. */
static double flow(const skive_graph *g, int i) {
    const int unit = (i < W1 ? i : i - W1) % HIDDEN;
    double sum = 0;
    for (int c = 0; i < W1 && c < CLASSES; c++) sum += fabs(w_at(g, W1 + c * HIDDEN + unit));
    for (int k = 0; i >= W1 && k < PIXELS; k++) sum += fabs(w_at(g, k * HIDDEN + unit));
    return fabs(w_at(g, i)) * sum;
}

/* ---- what is removed ---- */

static skive_prune_options options_of(const char *criterion, double sparsity) {
    skive_prune_options o = skive_prune_options_default();
    o.criterion = criterion;
    o.sparsity = sparsity;
    o.layer_floor = 0;
    return o;
}

typedef double (*scorer)(const skive_graph *g, int i);

/* In [first, last), what became zero scores no more than what stayed, and it is as many as asked for. */
static void check_part(const skive_graph *dense, const skive_graph *pruned, scorer of, int first, int last,
                       const double *factor, int gone) {
    double highest = -INFINITY, lowest = INFINITY;
    int zeros = 0;
    for (int i = first; i < last; i++) {
        const double s = of(dense, i) * factor[i >= W1];
        if (w_at(pruned, i) == 0) {
            zeros++;
            highest = fmax(highest, s);
        } else {
            lowest = fmin(lowest, s);
        }
    }
    assert_int_equal(zeros, gone);
    if (highest > lowest + 1e-4 * fabs(lowest)) fail_msg("%g is gone, %g stayed", highest, lowest);
}

static void by_layer(scorer of, const skive_graph *g, double *factor) {
    double sum[2] = {0};
    for (int i = 0; i < W1 + W2; i++) sum[i >= W1] += of(g, i) * of(g, i);
    for (int l = 0; l < 2; l++) factor[l] = 1 / sqrt(sum[l]);
}

static void removes_what_scores_least(void **state) {
    static const struct {
        const char *criterion;
        scorer of;
        bool normalised;
    } cases[] = {
        {"taylor:batch=240", summed, true},
        {"taylor:measure=magnitude,batch=240", summed, true},
        {"taylor:batch=240,normalise=none", summed, false},
        {"taylor:batches=240,batch=1,normalise=none", fisher, false},
        {"taylor:240,batch=1,measure=magnitude,normalise=none", sample_magnitudes, false},
        {"snip:batch=240", summed, false},
        {"fisher", fisher, false},
        {"wanda:batch=240,within=network", input_norm, false},
        {"apoz:batch=240", active, false},
        {"gradient:batches=240,batch=1", gradient_sizes, false},
        {"gradient:batches=240,batch=1,normalise=layer", gradient_sizes, true},
        {"movement", movement, false},
        {"synflow", flow, false},
    };
    skive_train_options whole = skive_prune_finetune_default();
    whole.batch = 1000;
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        skive_graph *dense = mlp(ctx), *pruned = mlp(ctx);
        skive_prune_options o = options_of(cases[k].criterion, 0.6);
        double factor[2] = {1, 1};
        o.finetune = &whole;
        see(ctx, dense, set);
        if (cases[k].normalised) by_layer(cases[k].of, dense, factor);
        skv_test_ok(ctx, skive_prune(ctx, pruned, set, NULL, &o, NULL));
        check_part(dense, pruned, cases[k].of, 0, W1 + W2, factor, (int)(0.6 * (W1 + W2) + 0.5));
        skive_graph_free(pruned);
        skive_graph_free(dense);
    }
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* Wanda takes the same part of each output's weights. */
static void ranks_within_outputs(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *dense = mlp(ctx), *pruned = mlp(ctx);
    const skive_prune_options o = options_of("wanda:batch=240", 0.5);
    (void)state;
    see(ctx, dense, set);
    skv_test_ok(ctx, skive_prune(ctx, pruned, set, NULL, &o, NULL));
    for (int out = 0; out < HIDDEN + CLASSES; out++) {
        const int n = out < HIDDEN ? PIXELS : HIDDEN;
        double highest = 0, lowest = INFINITY;
        int zeros = 0;
        for (int k = 0; k < n; k++) {
            const int i = out < HIDDEN ? k * HIDDEN + out : W1 + (out - HIDDEN) * HIDDEN + k;
            const double s = input_norm(dense, i);
            const bool gone = w_at(pruned, i) == 0;
            zeros += gone;
            if (gone)
                highest = fmax(highest, s);
            else
                lowest = fmin(lowest, s);
        }
        assert_int_equal(zeros, n / 2);
        assert_true(highest <= lowest * (1 + 1e-5));
    }
    skive_graph_free(pruned);
    skive_graph_free(dense);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* A unit that always says the same loses its weights first. */
static void a_constant_channel_has_no_entropy(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = mlp(ctx);
    const skive_prune_options o = options_of("entropy", 0.1);
    (void)state;
    /* Unit 3 is silent: its bias outweighs any sum. */
    ((float *)skive_graph_find_value(g, "b1")->storage->tensor.data)[3] = -1000;
    skv_test_ok(ctx, skive_prune(ctx, g, set, NULL, &o, NULL));
    int zeros = 0;
    for (int i = 0; i < W1 + W2; i++) zeros += w_at(g, i) == 0;
    assert_int_equal(zeros, (int)(0.1 * (W1 + W2) + 0.5)); /* 31, of which unit 3 has 36 to give */
    for (int i = 0; i < W1 + W2; i++) assert_true(w_at(g, i) != 0 || (i < W1 && i % HIDDEN == 3));
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* A unit whose weights are all alike has no entropy of weights. */
static void equal_weights_have_no_entropy(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = mlp(ctx);
    const skive_prune_options o = options_of("weight-entropy", 0.1);
    float *w1 = skive_graph_find_value(g, "w1")->storage->tensor.data;
    int zeros = 0;
    (void)state;
    for (int k = 0; k < PIXELS; k++) w1[k * HIDDEN + 5] = 0.3f;
    skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL));
    for (int i = 0; i < W1 + W2; i++) {
        zeros += w_at(g, i) == 0;
        assert_true(w_at(g, i) != 0 || (i < W1 && i % HIDDEN == 5));
    }
    assert_int_equal(zeros, (int)(0.1 * (W1 + W2) + 0.5));
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- second order, where the Hessian is known ---- */

/* Each sample has one pixel that is not zero, so that the Hessian of the squared error of a linear model is diagonal:
 * for w[c][i] the mean of the squares of pixel i, but for a factor. */
typedef struct quadratic {
    double squares[PIXELS], product[CLASSES][PIXELS];
} quadratic;

static skive_dataset *one_pixel_each(skive_context *ctx, quadratic *q) {
    enum { N = 2 * PIXELS };
    const int64_t xs[4] = {N, 1, SIDE, SIDE}, ys[2] = {N, CLASSES};
    static double x[N * PIXELS], y[N * CLASSES];
    char spec[2 * SKV_TEST_PATH + 16], a[SKV_TEST_PATH], b[SKV_TEST_PATH];
    skive_dataset *set = NULL;
    skive_dataset_options o = skive_dataset_options_default();
    *q = (quadratic){.squares = {0}};
    memset(x, 0, sizeof x);
    for (int n = 0; n < N; n++) {
        const int i = n % PIXELS;
        x[n * PIXELS + i] = 0.5 + (double)skv_rng_uniform(3, 3, (uint64_t)n);
        q->squares[i] += x[n * PIXELS + i] * x[n * PIXELS + i];
        for (int c = 0; c < CLASSES; c++) {
            y[n * CLASSES + c] = skv_rng_normal(4, 4, (uint64_t)(n * CLASSES + c));
            q->product[c][i] += x[n * PIXELS + i] * y[n * CLASSES + c];
        }
    }
    save("qx.npy", SKIVE_F32, 4, xs, x);
    save("qy.npy", SKIVE_F32, 2, ys, y);
    snprintf(spec, sizeof spec, "npy:%s,%s", file(a, "qx.npy"), file(b, "qy.npy"));
    o.validation_fraction = 0;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &set));
    return set;
}

static skive_graph *linear_map(skive_context *ctx) {
    const int64_t f[2] = {CLASSES, PIXELS};
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "linear", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Flatten", SKV_IN(x), SKV_NONE);
    y = skv_emit(&b, "Gemm", SKV_IN(y, parameter(&b, "w", 2, f, 6, -0.5, 0.5)), SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static void second_order_by_hand(void **state) {
    static const char *const criteria[] = {"obd:batch=72,draws=1", "grasp:batch=72"};
    skive_context *ctx = skv_test_context();
    quadratic q;
    skive_dataset *set = one_pixel_each(ctx, &q);
    (void)state;
    for (int k = 0; k < 2; k++) {
        skive_graph *dense = linear_map(ctx), *pruned = linear_map(ctx);
        const skive_prune_options o = options_of(criteria[k], 0.5);
        const float *w = data_of(dense, "w");
        double highest = -INFINITY, lowest = INFINITY;
        int zeros = 0;
        skv_test_ok(ctx, skive_prune(ctx, pruned, set, NULL, &o, NULL));
        for (int i = 0; i < CLASSES * PIXELS; i++) {
            const double h = q.squares[i % PIXELS], x = (double)w[i], g = h * x - q.product[i / PIXELS][i % PIXELS],
                         s = k == 0 ? h * x * x : x * h * g;
            const bool gone = data_of(pruned, "w")[i] == 0;
            zeros += gone;
            if (gone)
                highest = fmax(highest, s);
            else
                lowest = fmin(lowest, s);
        }
        assert_int_equal(zeros, CLASSES * PIXELS / 2);
        if (highest > lowest + 1e-3) fail_msg("%s: %g is gone, %g stayed", criteria[k], highest, lowest);
        skive_graph_free(pruned);
        skive_graph_free(dense);
    }
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* Convolution, normalisation in inference mode and a dense layer: all criteria, the same bits on any number of
 * threads. */
static void bits_do_not_depend_on_threads(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    (void)state;
    for (size_t k = 0; k < skv_criterion_count(); k++) {
        if (skv_criterion_at(k)->channels_only) continue; /* refused for weights */
        uint64_t prints[3];
        for (int threads = 1; threads <= 3; threads++) {
            skive_graph *g = small_cnn(ctx, true);
            skive_prune_options o = options_of(skv_criterion_at(k)->name, 0.7);
            o.per_layer = k % 2 == 0;
            skv_test_ok(ctx, skive_context_set_threads(ctx, threads));
            skv_test_ok(ctx, skive_prune(ctx, g, set, NULL, &o, NULL));
            prints[threads - 1] = fingerprint(g);
            skive_graph_free(g);
        }
        assert_true(prints[0] == prints[1] && prints[0] == prints[2]);
    }
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* Two steps without training are one step, and another that looks at what the first left. */
static void looks_again_at_each_step(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *steps = mlp(ctx), *by_hand = mlp(ctx), *at_once = mlp(ctx);
    skive_prune_options o = options_of("taylor:batch=240", 0.75);
    (void)state;
    skv_test_ok(ctx, skive_prune(ctx, at_once, set, NULL, &o, NULL));
    o.schedule = "iterative";
    o.steps = 2;
    skv_test_ok(ctx, skive_prune(ctx, steps, set, NULL, &o, NULL));
    o.schedule = "one-shot";
    o.sparsity = 0.5;
    skv_test_ok(ctx, skive_prune(ctx, by_hand, set, NULL, &o, NULL));
    o.sparsity = 0.75;
    skv_test_ok(ctx, skive_prune(ctx, by_hand, set, NULL, &o, NULL));
    assert_true(fingerprint(steps) == fingerprint(by_hand));
    assert_true(fingerprint(steps) != fingerprint(at_once));
    skive_graph_free(steps);
    skive_graph_free(by_hand);
    skive_graph_free(at_once);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- the source ---- */

/* Numbers to be fitted, any that the images do not tell. */
static const char *fitted(char spec[2 * SKV_TEST_PATH + 16]) {
    const int64_t dims[2] = {TRAINING, CLASSES};
    static double targets[TRAINING * CLASSES];
    char x[SKV_TEST_PATH], y[SKV_TEST_PATH];
    for (uint64_t i = 0; i < TRAINING * CLASSES; i++) targets[i] = skv_rng_normal(8, 8, i);
    save("r.npy", SKIVE_F32, 2, dims, targets);
    snprintf(spec, 2 * SKV_TEST_PATH + 16, "npy:%s,%s", file(x, "x.npy"), file(y, "r.npy"));
    return spec;
}

/* Of a regression the loss is the squared error. What needs no gradient needs no labels either. */
static void targets_instead_of_labels(void **state) {
    static const char *const criteria[] = {"taylor:batch=240,normalise=none", "fisher",
                                           "wanda:batch=240,within=network"};
    static const scorer scorers[] = {summed, fisher, input_norm};
    skive_context *ctx = skv_test_context();
    char spec[2 * SKV_TEST_PATH + 16];
    skive_dataset *set = open_data(ctx, fitted(spec), SKIVE_SPLIT_TRAIN);
    const double factor[2] = {1, 1};
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        skive_graph *dense = mlp(ctx), *pruned = mlp(ctx);
        const skive_prune_options o = options_of(criteria[k], 0.6);
        see(ctx, dense, set);
        skv_test_ok(ctx, skive_prune(ctx, pruned, set, NULL, &o, NULL));
        check_part(dense, pruned, scorers[k], 0, W1 + W2, factor, (int)(0.6 * (W1 + W2) + 0.5));
        skive_graph_free(pruned);
        skive_graph_free(dense);
    }
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

static double loss_of(skive_context *ctx, const skive_graph *g, skive_dataset *set, bool training) {
    const skv_source_options o = {.batch = 44, .with_loss = true, .training = training};
    const skv_probe_item item = {
        .value = "scale", .of = SKV_OF_GRADIENT, .axis = SKV_BY_ELEMENT, .reducer = skv_reducer_find("sum")};
    skv_source source;
    skv_probe *probe = NULL;
    skv_test_ok(ctx, skv_source_open(ctx, g, set, &o, &source));
    skv_test_ok(ctx, skv_source_probe(&source, &item, 1, NULL, &probe));
    const double loss = skv_probe_loss(probe);
    skv_probe_free(probe);
    skv_source_close(&source);
    return loss;
}

/* In inference mode the loss is that of evaluation; in training mode normalisation takes each batch's own statistics.
 * The model itself is not touched. */
static void both_forms_of_normalisation(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = small_cnn(ctx, false);
    skive_eval_report r;
    (void)state;
    const uint64_t before = fingerprint(g);
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 44, &r));
    assert_int_equal(r.n % 44, 0); /* the source leaves out no sample */
    const double inference = loss_of(ctx, g, set, false), training = loss_of(ctx, g, set, true);
    assert_true(skv_test_close(inference, r.loss, 1e-5, 0));
    assert_true(isfinite(training) && fabs(training - inference) > 0.01 * inference);
    assert_true(fingerprint(g) == before);
    skive_eval_report_free(ctx, &r);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- what is refused ---- */

static void what_cannot_be_is_told(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = mlp(ctx);
    skive_train_options tune = skive_prune_finetune_default();
    const uint64_t before = fingerprint(g);
    static const struct {
        const char *criterion, *says;
    } mistakes[] = {
        {"taylor:batchs=3", "batches"},       {"taylor:0", "batches"},      {"taylor:measure=cube", "magnitude"},
        {"wanda:within=model", "network"},    {"snip:batch=many", "batch"}, {"tailor", "taylor"},
        {"magnitude:batches=3", "magnitude"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        const skive_prune_options o = options_of(mistakes[i].criterion, 0.5);
        skv_test_fails(ctx, skive_prune(ctx, g, set, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, mistakes[i].says);
    }
    skive_prune_options o = options_of("wanda", 0.5);
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "looks at data");
    o.surgery = true;
    o.finetune = &tune;
    tune.epochs = 1;
    skv_test_fails(ctx, skive_prune(ctx, g, set, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "surgery");
    skv_source source;
    const skv_source_options unknown = {.batch = 8, .with_loss = true, .loss = "nope"};
    skv_test_fails(ctx, skv_source_open(ctx, g, set, &unknown, &source), SKIVE_ERR_ARGUMENT, "no loss 'nope'");
    const skv_source_options taught = {.batch = 8, .with_loss = true, .loss = "kl"};
    skv_test_fails(ctx, skv_source_open(ctx, g, set, &taught, &source), SKIVE_ERR_ARGUMENT, "no loss 'kl'");
    o = options_of("taylor", 0);
    o.threshold_std = 1;
    skv_test_fails(ctx, skive_prune(ctx, g, set, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "unit of the weights");
    assert_true(fingerprint(g) == before);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

static skive_status prune_by_taylor(skive_context *ctx, void *user) {
    skive_dataset *set = NULL;
    skive_dataset_options d = skive_dataset_options_default();
    skive_graph *g = NULL;
    skive_zoo_options z = skive_zoo_options_default();
    const skive_prune_options o = options_of(user, 0.5);
    skive_status status;
    z.dims[1] = z.dims[2] = SIDE;
    z.classes = CLASSES;
    SKV_GO(status, done, skive_dataset_open(ctx, blobs, &d, &set));
    SKV_GO(status, done, skive_zoo_build(ctx, "mlp:4", &z, &g));
    status = skive_prune(ctx, g, set, NULL, &o, NULL);
done:
    skive_graph_free(g);
    skive_dataset_free(set);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(prune_by_taylor, (void *)(uintptr_t) "taylor:2,batch=32", 13) > 20);
    assert_true(skv_test_walk_allocations(prune_by_taylor, (void *)(uintptr_t) "wanda:2,batch=32", 17) > 10);
    assert_true(skv_test_walk_allocations(prune_by_taylor, (void *)(uintptr_t) "grasp:batch=32", 29) > 10);
    assert_true(skv_test_walk_allocations(prune_by_taylor, (void *)(uintptr_t) "obd:1,batch=32,draws=1", 37) > 10);
    assert_true(skv_test_walk_allocations(prune_by_taylor, (void *)(uintptr_t) "synflow", 13) > 10);
    assert_true(skv_test_walk_allocations(prune_by_taylor, (void *)(uintptr_t) "movement", 29) > 10);
}

static int begin(void **state) {
    ref = malloc(sizeof *ref);
    return ref ? set_up(state) : 1;
}

static int end(void **state) {
    free(ref);
    return tear_down(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(removes_what_scores_least),
        cmocka_unit_test(ranks_within_outputs),
        cmocka_unit_test(a_constant_channel_has_no_entropy),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(looks_again_at_each_step),
        cmocka_unit_test(targets_instead_of_labels),
        cmocka_unit_test(both_forms_of_normalisation),
        cmocka_unit_test(what_cannot_be_is_told),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(equal_weights_have_no_entropy),
        cmocka_unit_test(second_order_by_hand),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
