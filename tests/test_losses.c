/* The losses: each by hand, its gradient against central differences, what does not fit refused by name, and trained
 * with. */
#include "train_fixtures.h"

#include <skive/eval.h>

/* ---- one loss on given numbers ---- */

typedef struct loss_case {
    const char *text; /* "huber:delta=2" */
    int rank;         /* of the scores */
    int64_t dims[4];
    const double *x;
    const int64_t *labels; /* [n] or [n][places]; NULL: targets in the shape of x */
    int label_rank;
    const double *targets, *class_weights;
    double smoothing, expected;
    bool binary, blank_last;
    int64_t samples, places; /* of sequences: of the labels, where they are not those of the scores */
} loss_case;

typedef struct loss_graph {
    skive_context *ctx;
    skive_graph *g;
    skive_tensor in[2];
    skive_value *x;
} loss_graph;

static skive_value *input(loss_graph *l, const char *name, const skive_tensor *t) {
    const skive_type type = skive_type_make(t->dtype, t->rank, t->dims);
    skive_value *v = NULL;
    skv_test_ok(l->ctx, skive_graph_add_input(l->g, name, &type, &v));
    return v;
}

/* The status of the building. */
static skive_status build(loss_graph *l, const loss_case *c, skive_dtype dtype) {
    const skv_loss *loss = NULL;
    skv_option_values values;
    int64_t label_dims[4] = {c->dims[0]};
    int label_rank = 1;
    skv_test_ok(l->ctx, skv_loss_pick(l->ctx, c->text, &loss, &values));
    skv_test_ok(l->ctx, skive_graph_create(l->ctx, "loss", &l->g));
    skv_test_ok(l->ctx, skive_tensor_create(l->ctx, dtype, c->rank, c->dims, &l->in[0]));
    for (int64_t i = 0; i < skive_tensor_count(&l->in[0]); i++) skive_tensor_set(&l->in[0], i, c->x[i]);
    for (int d = 1, from = c->dims[1] == 3 || c->rank < 3 ? 2 : 1; d < c->label_rank; d++, label_rank++)
        label_dims[d] = c->dims[from++];
    if (c->samples) label_dims[0] = c->samples;
    if (c->places) label_dims[1] = c->places;
    if (c->labels)
        skv_test_ok(l->ctx, skive_tensor_create(l->ctx, SKIVE_I64, label_rank, label_dims, &l->in[1]));
    else
        skv_test_ok(l->ctx, skive_tensor_create(l->ctx, dtype, c->rank, c->dims, &l->in[1]));
    for (int64_t i = 0; i < skive_tensor_count(&l->in[1]); i++)
        skive_tensor_set(&l->in[1], i, c->labels ? (double)c->labels[i] : c->targets[i]);
    l->x = input(l, "x", &l->in[0]);
    const skv_loss_args args = {.logits = l->x,
                                .labels = input(l, "labels", &l->in[1]),
                                .label_smoothing = c->smoothing,
                                .temperature = 1,
                                .binary = c->binary,
                                .blank_last = c->blank_last,
                                .options = &values,
                                .class_weights = c->class_weights,
                                .n_classes = c->dims[1]};
    skv_builder b = skv_build(l->g);
    skive_value *value = loss->build(&b, &args), *gradient = NULL;
    if (b.status != SKIVE_OK) return b.status;
    skv_test_ok(l->ctx, skive_autodiff(l->g, value, &l->x, 1, &gradient));
    skv_test_ok(l->ctx, skive_graph_add_output(l->g, value));
    skv_test_ok(l->ctx, skive_graph_add_output(l->g, gradient));
    return SKIVE_OK;
}

static void end(loss_graph *l) {
    for (int i = 0; i < 2; i++) skive_tensor_free(l->ctx, &l->in[i]);
    skive_graph_free(l->g);
    l->g = NULL;
}

static double run(loss_graph *l, skive_tensor *gradient) {
    skive_tensor out[2];
    skv_test_ok(l->ctx, skive_graph_run(l->ctx, l->g, l->in, 2, out, 2));
    assert_int_equal(skive_tensor_count(&out[0]), 1);
    const double value = skive_tensor_get(&out[0], 0);
    skive_tensor_free(l->ctx, &out[0]);
    if (gradient)
        *gradient = out[1];
    else
        skive_tensor_free(l->ctx, &out[1]);
    return value;
}

static void check(const loss_case *c) {
    loss_graph l = {.ctx = skv_test_context()};
    skive_tensor gradient;
    skv_test_ok(l.ctx, build(&l, c, SKIVE_F32));
    const double rough = run(&l, NULL);
    if (!isnan(c->expected) && !skv_test_close(rough, c->expected, 1e-5, 1e-6))
        fail_msg("%s is %.9g in float32, expected %.9g", c->text, rough, c->expected);
    end(&l);
    skv_test_ok(l.ctx, build(&l, c, SKIVE_F64));
    const double value = run(&l, &gradient), step = 1e-5;
    if (!isnan(c->expected) && !skv_test_close(value, c->expected, 1e-9, 1e-9))
        fail_msg("%s is %.12g, expected %.12g", c->text, value, c->expected);
    bool any = false;
    for (int64_t i = 0; i < skive_tensor_count(&l.in[0]); i++) {
        const double x = skive_tensor_get(&l.in[0], i);
        skive_tensor_set(&l.in[0], i, x + step);
        const double up = run(&l, NULL);
        skive_tensor_set(&l.in[0], i, x - step);
        const double down = run(&l, NULL), slope = (up - down) / (2 * step);
        skive_tensor_set(&l.in[0], i, x);
        const double got = skive_tensor_get(&gradient, i);
        if (!skv_test_close(got, slope, 1e-5, 1e-8))
            fail_msg("%s: gradient [%d] is %.9g, by differences %.9g", c->text, (int)i, got, slope);
        any = any || fabs(slope) > 1e-4;
    }
    assert_true(any);
    skive_tensor_free(l.ctx, &gradient);
    end(&l);
    skv_test_context_end(l.ctx);
}

static void refused(const loss_case *c, skive_status status, const char *part) {
    loss_graph l = {.ctx = skv_test_context()};
    skv_test_fails(l.ctx, build(&l, c, SKIVE_F32), status, part);
    end(&l);
    skv_test_context_end(l.ctx);
}

/* ---- by hand ---- */

#define LN2 0.69314718055994530942

/* Softmax of the first row is 1/8, 2/8, 5/8, of the second 3/5, 1/5, 1/5. */
static const double scores[6] = {0, LN2, 1.6094379124341003746, 1.0986122886681098 + 7, 7, 7};
static const int64_t classes[2] = {1, 0};
static const double p_true[2] = {2 / 8.0, 3 / 5.0};

static void cross_entropy(void **state) {
    const double heavy[3] = {0.5, 2, 1}, shares[6] = {0.5, 0, 0.5, 0, 1, 0};
    const double soft = -(0.5 * log(1 / 8.0) + 0.5 * log(5 / 8.0) + log(1 / 5.0)) / 2;
    (void)state;
    check(&(loss_case){.text = "cross-entropy",
                       .rank = 2,
                       .dims = {2, 3},
                       .x = scores,
                       .labels = classes,
                       .expected = -(log(p_true[0]) + log(p_true[1])) / 2});
    check(&(loss_case){.text = "cross-entropy:gamma=2",
                       .rank = 2,
                       .dims = {2, 3},
                       .x = scores,
                       .labels = classes,
                       .expected = -(pow(0.75, 2) * log(p_true[0]) + pow(0.4, 2) * log(p_true[1])) / 2});
    check(&(loss_case){.text = "cross-entropy:gamma=0.5",
                       .rank = 2,
                       .dims = {2, 3},
                       .x = scores,
                       .labels = classes,
                       .expected = -(sqrt(0.75) * log(p_true[0]) + sqrt(0.4) * log(p_true[1])) / 2});
    check(&(loss_case){.text = "cross-entropy",
                       .rank = 2,
                       .dims = {2, 3},
                       .x = scores,
                       .labels = classes,
                       .class_weights = heavy,
                       .expected = -(2 * log(p_true[0]) + 0.5 * log(p_true[1])) / 2});
    check(&(loss_case){
        .text = "cross-entropy", .rank = 2, .dims = {2, 3}, .x = scores, .targets = shares, .expected = soft});
    check(&(loss_case){
        .text = "cross-entropy:gamma=1.5", .rank = 2, .dims = {2, 3}, .x = scores, .targets = shares, .expected = NAN});
    const double of_shares[2] = {0.5 * 0.5 + 0.5 * 1, 2};
    check(&(loss_case){
        .text = "cross-entropy",
        .rank = 2,
        .dims = {2, 3},
        .x = scores,
        .targets = shares,
        .class_weights = heavy,
        .expected = -(of_shares[0] * (0.5 * log(1 / 8.0) + 0.5 * log(5 / 8.0)) + of_shares[1] * log(1 / 5.0)) / 2});
    const double entropy = -(0.5 * log(0.5) + 0.5 * log(0.5)) / 2;
    check(&(loss_case){
        .text = "divergence", .rank = 2, .dims = {2, 3}, .x = scores, .targets = shares, .expected = soft - entropy});
    const double uneven[6] = {0.2, 0.3, 0.5, 0.1, 0.8, 0.1};
    check(&(loss_case){.text = "divergence",
                       .rank = 2,
                       .dims = {2, 3},
                       .x = scores,
                       .targets = uneven,
                       .expected = (0.2 * log(0.2 * 8) + 0.3 * log(0.3 * 4) + 0.5 * log(0.5 * 8 / 5) +
                                    0.1 * log(0.1 * 5 / 3) + 0.8 * log(0.8 * 5) + 0.1 * log(0.1 * 5)) /
                                   2});
}

/* A certain answer: the power of 1 - p has no slope at 0 below 1, and no infinite one is made of it. */
static void focal_loss_of_certain_scores(void **state) {
    const double x[3] = {200, 0, 0};
    const int64_t label = 0;
    loss_graph l = {.ctx = skv_test_context()};
    skive_tensor gradient;
    (void)state;
    const loss_case c = {.text = "cross-entropy:gamma=0.5", .rank = 2, .dims = {1, 3}, .x = x, .labels = &label};
    skv_test_ok(l.ctx, build(&l, &c, SKIVE_F32));
    assert_true(fabs(run(&l, &gradient)) < 1e-6);
    for (int i = 0; i < 3; i++) assert_true(fabs(skive_tensor_get(&gradient, i)) < 1e-6);
    skive_tensor_free(l.ctx, &gradient);
    end(&l);
    skv_test_context_end(l.ctx);
}

/* Scores [n][classes][places] and [n][places][classes], labels [n][places] with one that does not count. */
static void labels_of_places(void **state) {
    double x[12], turned[12];
    const int64_t labels[4] = {2, -1, 0, 1};
    const double heavy[3] = {0.5, 2, 1};
    double sum = 0, weighed = 0;
    (void)state;
    for (int i = 0; i < 12; i++) x[i] = skv_rng_normal(3, 0, (uint64_t)i);
    for (int n = 0; n < 2; n++)
        for (int place = 0; place < 2; place++) {
            double all = 0;
            for (int c = 0; c < 3; c++) {
                all += exp(x[n * 6 + c * 2 + place]);
                turned[n * 6 + place * 3 + c] = x[n * 6 + c * 2 + place];
            }
            const int64_t label = labels[n * 2 + place];
            if (label < 0) continue;
            const double one = log(all) - x[n * 6 + label * 2 + place];
            sum += one;
            weighed += heavy[label] * one;
        }
    check(&(loss_case){.text = "cross-entropy",
                       .rank = 3,
                       .dims = {2, 3, 2},
                       .x = x,
                       .labels = labels,
                       .label_rank = 2,
                       .expected = sum / 3});
    check(&(loss_case){.text = "cross-entropy",
                       .rank = 3,
                       .dims = {2, 3, 2},
                       .x = x,
                       .labels = labels,
                       .label_rank = 2,
                       .class_weights = heavy,
                       .expected = weighed / 3});
    check(&(loss_case){.text = "cross-entropy",
                       .rank = 3,
                       .dims = {2, 2, 3},
                       .x = turned,
                       .labels = labels,
                       .label_rank = 2,
                       .expected = sum / 3});
    check(&(loss_case){.text = "cross-entropy:gamma=2",
                       .rank = 3,
                       .dims = {2, 2, 3},
                       .x = turned,
                       .labels = labels,
                       .label_rank = 2,
                       .smoothing = 0.1,
                       .expected = NAN});
    const int64_t none[4] = {-1, -1, -1, -1};
    loss_graph l = {.ctx = skv_test_context()};
    const loss_case c = {
        .text = "cross-entropy", .rank = 3, .dims = {2, 3, 2}, .x = x, .labels = none, .label_rank = 2};
    skv_test_ok(l.ctx, build(&l, &c, SKIVE_F32));
    assert_true(run(&l, NULL) == 0);
    end(&l);
    skv_test_context_end(l.ctx);
    refused(&(loss_case){.text = "cross-entropy",
                         .rank = 3,
                         .dims = {2, 4, 3},
                         .x = (const double[24]){0},
                         .labels = (const int64_t[2]){0, 1},
                         .label_rank = 1},
            SKIVE_ERR_SHAPE, "needs scores [N, classes]");
}

static void binary_cross_entropy(void **state) {
    const double x[4] = {0.5, -1, 2, 0}, y[4] = {1, 0, 1, 1}, pair[4] = {0, 3, 0, -1};
    const int64_t labels[2] = {1, 0};
    (void)state;
    const double l[4] = {log1p(exp(-0.5)), log1p(exp(-1.0)), log1p(exp(-2.0)), LN2};
    check(&(loss_case){.text = "binary-cross-entropy",
                       .rank = 2,
                       .dims = {2, 2},
                       .x = x,
                       .targets = y,
                       .expected = (l[0] + l[1] + l[2] + l[3]) / 4});
    check(&(loss_case){.text = "binary-cross-entropy:positive=3",
                       .rank = 2,
                       .dims = {2, 2},
                       .x = x,
                       .targets = y,
                       .expected = (3 * l[0] + l[1] + 3 * l[2] + 3 * l[3]) / 4});
    check(&(loss_case){.text = "binary-cross-entropy:positive=3,5",
                       .rank = 2,
                       .dims = {2, 2},
                       .x = x,
                       .targets = y,
                       .expected = (3 * l[0] + l[1] + 3 * l[2] + 5 * l[3]) / 4});
    /* One score for two classes, as (0, z). */
    loss_graph g = {.ctx = skv_test_context()};
    const loss_case c = {.text = "binary-cross-entropy:positive=2",
                         .rank = 2,
                         .dims = {2, 2},
                         .x = pair,
                         .labels = labels,
                         .binary = true};
    skv_test_ok(g.ctx, build(&g, &c, SKIVE_F64));
    assert_true(skv_test_close(run(&g, NULL), (2 * log1p(exp(-3.0)) + log1p(exp(-1.0))) / 2, 1e-12, 0));
    end(&g);
    skv_test_context_end(g.ctx);
    const char *const bad[] = {"binary-cross-entropy:positive=1,2,3", "binary-cross-entropy:positive=0",
                               "binary-cross-entropy:positive=x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused(&(loss_case){.text = bad[i], .rank = 2, .dims = {2, 2}, .x = x, .targets = y}, SKIVE_ERR_ARGUMENT,
                "give one number above 0, or 2 of them");
}

static void values(void **state) {
    const double x[6] = {1, 2, -1, 4, 0.5, 3}, y[6] = {0, 2.5, 2, 1, 1, -1}; /* 1, -.5, -3, 3, -.5, 4 */
    (void)state;
    check(&(loss_case){
        .text = "mse", .rank = 2, .dims = {3, 2}, .x = x, .targets = y, .expected = (1 + .25 + 9 + 9 + .25 + 16) / 6});
    check(&(loss_case){
        .text = "l1", .rank = 2, .dims = {3, 2}, .x = x, .targets = y, .expected = (1 + .5 + 3 + 3 + .5 + 4) / 6});
    check(&(loss_case){.text = "huber:delta=2",
                       .rank = 2,
                       .dims = {3, 2},
                       .x = x,
                       .targets = y,
                       .expected = (.5 + .125 + 4 + 4 + .125 + 6) / 6});
    check(&(loss_case){.text = "huber:0.75",
                       .rank = 2,
                       .dims = {3, 2},
                       .x = x,
                       .targets = y,
                       .expected = (.75 * .625 + .125 + .75 * 2.625 * 2 + .125 + .75 * 3.625) / 6});
    check(&(loss_case){.text = "cosine",
                       .rank = 2,
                       .dims = {3, 2},
                       .x = x,
                       .targets = y,
                       .expected = 1 - (5 / sqrt(5 * 6.25) + 2 / sqrt(17 * 5.0) - 2.5 / sqrt(9.25 * 2)) / 3});
    refused(&(loss_case){.text = "huber", .rank = 1, .dims = {3}, .x = x, .labels = (const int64_t[3]){0, 1, 0}},
            SKIVE_ERR_SHAPE, "huber on classes needs scores");
}

/* ---- embeddings, against loops over pairs and triplets ---- */

enum { POINTS = 7, WIDTH = 3 };
static const int64_t of_points[POINTS] = {0, 1, 0, 2, 1, 0, 3}; /* 2 and 3 have no partners */
static double points[POINTS * WIDTH];

static double distance(const double *x, int i, int k, bool normalise) {
    double sum = 0, length[2] = {0, 0};
    for (int d = 0; d < WIDTH; d++) {
        length[0] += x[i * WIDTH + d] * x[i * WIDTH + d];
        length[1] += x[k * WIDTH + d] * x[k * WIDTH + d];
    }
    for (int d = 0; d < WIDTH; d++) {
        const double a = x[i * WIDTH + d] / (normalise ? sqrt(length[0]) : 1),
                     b = x[k * WIDTH + d] / (normalise ? sqrt(length[1]) : 1);
        sum += (a - b) * (a - b);
    }
    return sqrt(sum);
}

static double triplets(bool hard, double margin, bool normalise) {
    double sum = 0;
    int n = 0;
    for (int i = 0; i < POINTS; i++) {
        double farthest = -1, nearest = INFINITY;
        for (int p = 0; p < POINTS; p++) {
            const double dp = distance(points, i, p, normalise);
            if (of_points[p] != of_points[i]) {
                nearest = fmin(nearest, dp);
                continue;
            }
            if (p == i) continue;
            farthest = fmax(farthest, dp);
            for (int k = 0; !hard && k < POINTS; k++) {
                if (of_points[k] == of_points[i]) continue;
                sum += fmax(0, margin + dp - distance(points, i, k, normalise));
                n++;
            }
        }
        if (!hard || farthest < 0) continue;
        sum += fmax(0, margin + farthest - nearest);
        n++;
    }
    return sum / n;
}

static double contrast(double temperature) {
    double sum = 0;
    int n = 0;
    for (int i = 0; i < POINTS; i++) {
        double all = 0, close = 0;
        int partners = 0;
        for (int k = 0; k < POINTS; k++) {
            if (k == i) continue;
            const double d = distance(points, i, k, true), s = (1 - d * d / 2) / temperature;
            all += exp(s);
            if (of_points[k] != of_points[i]) continue;
            close += s;
            partners++;
        }
        if (!partners) continue;
        sum += log(all) - close / partners;
        n++;
    }
    return sum / n;
}

static void embeddings(void **state) {
    (void)state;
    for (int i = 0; i < POINTS * WIDTH; i++) points[i] = skv_rng_normal(11, 0, (uint64_t)i);
    const loss_case c = {.rank = 2, .dims = {POINTS, WIDTH}, .x = points, .labels = of_points};
    const struct {
        const char *text;
        double expected;
    } cases[] = {{"triplet", triplets(true, 0.2, true)},
                 {"triplet:margin=0.5", triplets(true, 0.5, true)},
                 {"triplet:0.7,normalise=no", triplets(true, 0.7, false)},
                 {"triplet:0.3,triplets=all", triplets(false, 0.3, true)},
                 {"info-nce", contrast(0.1)},
                 {"info-nce:0.5", contrast(0.5)}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        loss_case one = c;
        one.text = cases[i].text;
        one.expected = cases[i].expected;
        check(&one);
    }
    refused(&(loss_case){.text = "triplet", .rank = 2, .dims = {POINTS, WIDTH}, .x = points, .targets = points},
            SKIVE_ERR_DATA, "triplet needs one class label a sample");
}

/* ---- sequences, against all alignments ---- */

enum { STEPS = 5, SIGNS = 4 };

/* The probability of all paths that say `labels`: repetitions fall together, then blanks go. */
static double of_alignments(const double *x, const int64_t *labels, int places, int64_t blank) {
    double p[STEPS][SIGNS], all = 0;
    int paths = 1;
    for (int t = 0; t < STEPS; t++) {
        double sum = 0;
        for (int k = 0; k < SIGNS; k++) sum += exp(x[t * SIGNS + k]);
        for (int k = 0; k < SIGNS; k++) p[t][k] = exp(x[t * SIGNS + k]) / sum;
        paths *= SIGNS;
    }
    for (int path = 0; path < paths; path++) {
        double probability = 1;
        int64_t last = -1;
        int said = 0, rest = path;
        bool right = true;
        for (int t = 0; t < STEPS; t++, rest /= SIGNS) {
            const int64_t k = rest % SIGNS;
            probability *= p[t][k];
            if (k != last && k != blank) {
                right = right && said < places && labels[said] == k;
                said++;
            }
            last = k;
        }
        if (right && (said == places || labels[said] == -1)) all += probability;
    }
    return all;
}

static void sequences(void **state) {
    static double x[4 * STEPS * SIGNS], turned[4 * STEPS * SIGNS];
    const int64_t labels[4 * 3] = {1, 2, 3, 2, 2, -1, 3, -1, -1, -1, -1, -1};
    const int64_t others[4 * 3] = {0, 1, 2, 1, 1, -1, 0, -1, -1, 2, 0, 2};
    (void)state;
    for (int i = 0; i < 4 * STEPS * SIGNS; i++) {
        x[i] = skv_rng_normal(5, 0, (uint64_t)i);
        const int n = i / (STEPS * SIGNS), t = i / SIGNS % STEPS;
        turned[(t * 4 + n) * SIGNS + i % SIGNS] = x[i];
    }
    double sums[2] = {0, 0};
    for (int n = 0; n < 4; n++) {
        sums[0] -= log(of_alignments(x + n * STEPS * SIGNS, labels + n * 3, 3, 0)) / 4;
        sums[1] -= log(of_alignments(x + n * STEPS * SIGNS, others + n * 3, 3, 3)) / 4;
    }
    check(&(loss_case){.text = "ctc",
                       .rank = 3,
                       .dims = {4, STEPS, SIGNS},
                       .x = x,
                       .labels = labels,
                       .label_rank = 2,
                       .places = 3,
                       .expected = sums[0]});
    check(&(loss_case){.text = "ctc",
                       .blank_last = true,
                       .rank = 3,
                       .dims = {STEPS, 4, SIGNS},
                       .x = turned,
                       .labels = others,
                       .label_rank = 2,
                       .samples = 4,
                       .places = 3,
                       .expected = sums[1]});
    /* Five labels that are all the same need nine steps. */
    const int64_t many[5] = {1, 1, 1, 1, 1}, two[10] = {1, 1, 1, 1, 1, 2, 3, -1, -1, -1};
    loss_case c = {.text = "ctc", .rank = 3, .dims = {1, STEPS, SIGNS}, .x = x, .labels = many, .label_rank = 2};
    loss_graph l = {.ctx = skv_test_context()};
    c.places = 5;
    skv_test_ok(l.ctx, build(&l, &c, SKIVE_F64));
    assert_true(isinf(run(&l, NULL)));
    end(&l);
    skv_test_context_end(l.ctx);
    check(&(loss_case){.text = "ctc:impossible=skip",
                       .rank = 3,
                       .dims = {2, STEPS, SIGNS},
                       .x = x,
                       .labels = two,
                       .label_rank = 2,
                       .places = 5,
                       .expected = -log(of_alignments(x + STEPS * SIGNS, two + 5, 5, 0)) / 2});
    refused(&(loss_case){.text = "ctc", .rank = 2, .dims = {4, SIGNS}, .x = x, .labels = labels, .label_rank = 1},
            SKIVE_ERR_SHAPE, "ctc needs scores [n, steps, classes]");
    /* Labels that are none are told by sample. */
    const struct {
        int64_t labels[3];
        const char *part;
    } bad[] = {{{1, 4, -1}, "label 4 of sample 0"}, {{1, 0, 2}, "without the blank 0"}, {{-1, 2, -1}, "behind a -1"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        skive_tensor out[2];
        l.ctx = skv_test_context();
        c.labels = bad[i].labels;
        c.places = 3;
        skv_test_ok(l.ctx, build(&l, &c, SKIVE_F32));
        skv_test_fails(l.ctx, skive_graph_run(l.ctx, l.g, l.in, 2, out, 2), SKIVE_ERR_SHAPE, bad[i].part);
        end(&l);
        skv_test_context_end(l.ctx);
    }
}

/* ---- the list ---- */

/* Each loss of the list is checked above. */
static void none_is_left_out(void **state) {
    static const char *const here[] = {"binary-cross-entropy",
                                       "cosine",
                                       "cross-entropy",
                                       "ctc",
                                       "divergence",
                                       "huber",
                                       "info-nce",
                                       "l1",
                                       "mse",
                                       "triplet"};
    (void)state;
    for (size_t i = 0; i < skv_loss_count(); i++) {
        const skv_loss *l = skv_loss_at(i);
        bool found = l->needs_teacher || l->needs_features;
        for (size_t k = 0; k < sizeof here / sizeof here[0]; k++) found = found || strcmp(here[k], l->name) == 0;
        if (!found) fail_msg("loss '%s' is tested nowhere", l->name);
    }
}

/* ---- trained with ---- */

static double reached(const char *loss) {
    skive_context *ctx = skv_test_context();
    skive_dataset *train = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN_FULL),
                  *test = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_train_options o = settings(3, 40);
    skive_graph *g = small_cnn(ctx, false);
    skive_eval_report r;
    o.loss = loss;
    skv_test_ok(ctx, skive_train(ctx, g, train, NULL, &o, NULL, 0, NULL));
    skv_test_ok(ctx, skive_evaluate(ctx, g, test, 0, &r));
    const double accuracy = r.accuracy;
    skive_eval_report_free(ctx, &r);
    skive_graph_free(g);
    skive_dataset_free(train);
    skive_dataset_free(test);
    skv_test_context_end(ctx);
    return accuracy;
}

static void classes_are_learned(void **state) {
    static const char *const texts[] = {
        "cross-entropy:gamma=2", "cross-entropy:smoothing=0.1,gamma=1", "mse", "l1", "binary-cross-entropy:positive=2",
        "huber:delta=0.5"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (reached(texts[i]) < 0.8) fail_msg("%s: accuracy %.3f", texts[i], reached(texts[i]));
}

static void bad_options_are_refused(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *g = small_cnn(ctx, false);
    static const struct {
        const char *text, *part;
    } bad[] = {{"cross-entropy:gama=1", "gamma"},
               {"cross-entropy:gamma=-1", "gamma"},
               {"huber:delta=0", "delta"},
               {"huver", "huber"},
               {"kl", "no loss 'kl'"},
               {"divergence:x=1", "takes no options"}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        skive_train_options o = settings(1, 40);
        o.loss = bad[i].text;
        skv_test_fails(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL), SKIVE_ERR_ARGUMENT, bad[i].part);
    }
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cross_entropy),
        cmocka_unit_test(focal_loss_of_certain_scores),
        cmocka_unit_test(labels_of_places),
        cmocka_unit_test(binary_cross_entropy),
        cmocka_unit_test(values),
        cmocka_unit_test(embeddings),
        cmocka_unit_test(sequences),
        cmocka_unit_test(none_is_left_out),
        cmocka_unit_test(classes_are_learned),
        cmocka_unit_test(bad_options_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
