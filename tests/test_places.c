/* Labels of places: a network of pixels is trained, measured by hand, and refused where it does not fit. */
#include "data_fixtures.h"

#include <skive/eval.h>

#include "train/metric.h"
#include "train/train.h"

enum { SIDE = 8, PICTURES = 24, CLASSES = 3 };

/* The class of a pixel; the picture shows 80 times the class, with noise. */
static int class_of(int i, int y, int x) { return (y / 3 + x / 4 + i) % CLASSES; }

static void write_pictures(void) {
    assert_int_equal(mkdir(at("s"), 0777), 0);
    assert_int_equal(mkdir(at("s/images"), 0777), 0);
    assert_int_equal(mkdir(at("s/masks"), 0777), 0);
    for (int i = 0; i < PICTURES; i++) {
        unsigned char picture[SIDE * SIDE], mask[SIDE * SIDE];
        char name[64];
        for (int p = 0; p < SIDE * SIDE; p++) {
            mask[p] = (unsigned char)class_of(i, p / SIDE, p % SIDE);
            picture[p] = (unsigned char)(80 * mask[p] + (int)skv_rng_below(3, (uint64_t)i, (uint64_t)p, 20));
        }
        mask[5] = 255; /* does not count */
        (void)snprintf(name, sizeof name, "s/images/%02d.png", i);
        write_png(at(name), SIDE, SIDE, PNG_FORMAT_GRAY, picture);
        (void)snprintf(name, sizeof name, "s/masks/%02d.png", i);
        write_png(at(name), SIDE, SIDE, PNG_FORMAT_GRAY, mask);
    }
}

static skive_dataset *open_set(skive_context *ctx, skive_split split) {
    char spec[SKV_TEST_PATH + 16];
    (void)snprintf(spec, sizeof spec, "segment:%s", at("s"));
    return open_split(ctx, spec, split);
}

static skive_value *weights(skv_builder *b, const char *name, int rank, const int64_t *dims, uint64_t seed) {
    skive_tensor t = skv_test_random(b->graph->ctx, SKIVE_F32, rank, dims, seed, -0.4, 0.4);
    skive_value *v = NULL;
    skv_test_ok(b->graph->ctx, skive_graph_add_parameter(b->graph, name, &t, &v));
    skive_tensor_free(b->graph->ctx, &t);
    return v;
}

/* Two convolutions of 1x1; the end: logits, probabilities, or the classes last. */
enum { PLAIN, SOFTMAX, LAST, ENDS };
static skive_graph *network(skive_context *ctx, int end, int64_t classes) {
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    const int64_t a[4] = {8, 1, 1, 1}, ab[1] = {8}, c[4] = {classes, 8, 1, 1}, cb[1] = {classes};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "pixels", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Conv", SKV_IN(x, weights(&b, "a", 4, a, 1), weights(&b, "ab", 1, ab, 2)), SKV_NONE);
    y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    y = skv_emit(&b, "Conv", SKV_IN(y, weights(&b, "c", 4, c, 3), weights(&b, "cb", 1, cb, 4)), SKV_NONE);
    if (end == SOFTMAX) y = skv_emit(&b, "Softmax", SKV_IN(y), SKV_ATTRS(SKV_INT("axis", 1)));
    if (end == LAST)
        y = skv_emit(&b, "Transpose", SKV_IN(y), SKV_ATTRS(SKV_INTS("perm", ((const int64_t[]){0, 2, 3, 1}), 4)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

static double figure(const skive_eval_report *r, const char *name) {
    for (size_t i = 0; i < r->n_figures; i++)
        if (strcmp(r->figures[i].name, name) == 0) return r->figures[i].value;
    fail_msg("there is no figure '%s'", name);
    return 0;
}

/* All figures again from the scores of the model. */
static void check_by_hand(skive_context *ctx, const skive_graph *g, int end, skive_dataset *set,
                          const skive_eval_report *r) {
    double both[CLASSES] = {0}, said[CLASSES] = {0}, is[CLASSES] = {0}, loss = 0, right = 0, all = 0;
    skive_dataset_info info;
    skive_dataset_get_info(set, &info);
    for (size_t i = 0; i < info.count; i++) {
        const int64_t dims[4] = {1, 1, SIDE, SIDE};
        skive_tensor in, out;
        int64_t labels[SIDE * SIDE];
        double of_sample = 0, counted = 0;
        skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 4, dims, &in));
        skv_test_ok(ctx, skive_dataset_read(ctx, set, i, in.data, NULL));
        skv_test_ok(ctx, skive_dataset_read_labels(ctx, set, i, labels));
        skv_test_ok(ctx, skive_graph_run(ctx, g, &in, 1, &out, 1));
        for (int p = 0; p < SIDE * SIDE; p++) {
            double z[CLASSES], sum = 0;
            int best = 0;
            if (labels[p] < 0) continue;
            for (int c = 0; c < CLASSES; c++) {
                z[c] = skive_tensor_get(&out, end == LAST ? p * CLASSES + c : c * SIDE * SIDE + p);
                if (z[c] > z[best]) best = c;
                sum += end == SOFTMAX ? z[c] : exp(z[c]);
            }
            of_sample -= log((end == SOFTMAX ? z[labels[p]] : exp(z[labels[p]])) / sum);
            both[best] += best == labels[p];
            right += best == labels[p];
            said[best]++;
            is[labels[p]]++;
            counted++;
        }
        loss += of_sample / counted / (double)info.count;
        all += counted;
        skive_tensor_free(ctx, &in);
        skive_tensor_free(ctx, &out);
    }
    double iou = 0, f1 = 0, balanced = 0;
    for (int c = 0; c < CLASSES; c++) {
        iou += both[c] / (said[c] + is[c] - both[c]) / CLASSES;
        f1 += 2 * both[c] / (said[c] + is[c]) / CLASSES;
        balanced += both[c] / is[c] / CLASSES;
    }
    assert_true(skv_test_close(figure(r, "place-accuracy"), right / all, 1e-9, 0));
    assert_true(skv_test_close(figure(r, "iou"), iou, 1e-9, 0));
    assert_true(skv_test_close(figure(r, "f1-macro"), f1, 1e-9, 0));
    assert_true(skv_test_close(figure(r, "balanced-accuracy"), balanced, 1e-9, 0));
    assert_true(skv_test_close(figure(r, "log-loss"), loss, 1e-4, 0));
    assert_true(skv_test_close(r->accuracy, right / all, 1e-9, 0) && r->classes == CLASSES && !r->hit);
}

static void pixels_are_learned(void **state) {
    static const char *const losses[ENDS] = {NULL, "cross-entropy:gamma=1", "cross-entropy"};
    double first = 0;
    (void)state;
    write_pictures();
    for (int end = 0; end < ENDS; end++) {
        skive_context *ctx = skv_test_context();
        skive_dataset *train = open_set(ctx, SKIVE_SPLIT_TRAIN), *held = open_set(ctx, SKIVE_SPLIT_VALIDATION),
                      *all = open_set(ctx, SKIVE_SPLIT_TRAIN_FULL);
        skive_graph *g = network(ctx, end, CLASSES);
        skive_train_options o = skive_train_options_default();
        skive_train_report t;
        skive_eval_report r;
        skive_figure_pair *pairs = NULL;
        size_t n = 0;
        o.epochs = 40;
        o.batch = 4;
        o.learning_rate = 0.1;
        o.schedule = "constant";
        o.loss = losses[end];
        o.best = "iou";
        if (end == PLAIN) o.class_weights = "balanced";
        skv_test_ok(ctx, skive_train(ctx, g, train, held, &o, NULL, 0, &t));
        assert_string_equal(t.best_by, "iou");
        assert_true(isnan(t.epochs[0].train_accuracy) && isfinite(t.epochs[0].validation_loss));
        skv_test_ok(ctx, skive_evaluate(ctx, g, all, 5, &r));
        assert_int_equal(r.task, SKIVE_TASK_PLACES);
        check_by_hand(ctx, g, end, all, &r);
        if (!(figure(&r, "iou") > 0.9)) fail_msg("end %d: IoU %.3f", end, figure(&r, "iou"));
        skive_eval_report one;
        skv_test_ok(ctx, skive_evaluate_metrics(ctx, g, all, 5, "iou:class=1", &one));
        assert_true(skv_test_close(figure(&one, "iou"), r.f1[1] / (2 - r.f1[1]), 1e-9, 0));
        skive_eval_report_free(ctx, &one);
        skv_test_fails(ctx, skive_evaluate_metrics(ctx, g, all, 5, "top-k:1", &one), SKIVE_ERR_ARGUMENT, "top-k");
        skv_test_ok(ctx, skive_eval_intervals(ctx, &r, 50, 1));
        skv_test_ok(ctx, skive_compare_figures(ctx, &r, &r, 20, 1, &pairs, &n));
        assert_int_equal(n, r.n_figures);
        if (end == PLAIN) first = r.loss;
        assert_true(first > 0 && r.loss > 0);
        for (size_t i = 0; i < skive_context_note_count(ctx); i++)
            assert_null(strstr(skive_context_note(ctx, i), "guessing"));
        skive_figure_pairs_free(ctx, pairs);
        skive_train_report_free(ctx, &t);
        skive_eval_report_free(ctx, &r);
        skive_graph_free(g);
        skive_dataset_free(train);
        skive_dataset_free(held);
        skive_dataset_free(all);
        skv_test_context_end(ctx);
    }
}

static void what_does_not_fit_is_refused(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_set(ctx, SKIVE_SPLIT_TRAIN_FULL);
    skive_train_options o = skive_train_options_default();
    skive_eval_report r;
    (void)state;
    o.epochs = 1;
    o.batch = 4;
    skive_graph *g = network(ctx, PLAIN, 2);
    skv_test_fails(ctx, skive_evaluate(ctx, g, set, 0, &r), SKIVE_ERR_DATA, "3 classes");
    skv_test_fails(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL), SKIVE_ERR_DATA, "3 classes");
    skive_graph_free(g);
    g = network(ctx, PLAIN, CLASSES);
    const char *const losses[] = {"binary-cross-entropy", "mse", "divergence", "triplet"};
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
        o.loss = losses[i];
        const skive_status status = skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL);
        if (status == SKIVE_OK) fail_msg("%s is taken", losses[i]);
        skv_test_fails(ctx, status, status, losses[i]);
    }
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_are_learned),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
