/* Padding has no influence: samples of tokens that are filled up to two lengths give the same loss, the same figures
 * and the same gradients, in every built-in network that reads tokens and in a model
 * that takes the lengths as a second input; so do sequences of CTC whose lengths are told, whatever stands behind them;
 * and scores of CTC whose last steps are certainly blank give the loss of the steps before. */
#include "support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <skive/eval.h>
#include <skive/output.h>
#include <skive/train.h>
#include <skive/zoo.h>

#include "base/base.h"
#include "graph/graph.h"
#include "ops/loss/common_ctc.h"

static char dir[SKV_TEST_PATH];

static int make_dir(void **state) {
    (void)state;
    skv_test_make_dir(dir);
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    skv_test_remove_dir(dir);
    return 0;
}

static const char text[] = "t,u\na b a c,x\na b,y\nc c a,x\nb,y\nd a b d b,x\nb b d,y\nc a,x\nd b b a,y\n";

/* ---- a model with the lengths as its second input ---- */

static skive_value *parameter(skv_builder *b, const char *name, int rank, const int64_t *dims, uint64_t seed) {
    skive_tensor t = skv_test_random(b->graph->ctx, SKIVE_F32, rank, dims, seed, -1, 1);
    skive_value *v = NULL;
    skv_test_ok(b->graph->ctx, skive_graph_add_parameter(b->graph, name, &t, &v));
    v->trainable = true;
    skive_tensor_free(b->graph->ctx, &t);
    return v;
}

/* `rank`: of the lengths, [N] or [N, 1]; 0: the model has no such input. */
static skive_graph *by_lengths(skive_context *ctx, int64_t length, int rank) {
    enum { H = 4, D = 3 };
    static const int64_t words[] = {8, D}, w[] = {1, 4 * H, D}, r[] = {1, 4 * H, H}, bias[] = {1, 8 * H}, f[] = {H, 2};
    const skive_type type = {.dtype = SKIVE_I64, .rank = 2, .dims = {{-1, "N"}, {length, NULL}}};
    const skive_type n = {.dtype = SKIVE_I32, .rank = rank, .dims = {{-1, "N"}, {1, NULL}}};
    skive_graph *g = NULL;
    skive_value *x = NULL, *lengths = NULL, *out[2] = {NULL};
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "ids", &type, &x));
    if (rank) skv_test_ok(ctx, skive_graph_add_input(g, "len", &n, &lengths));
    skv_builder b = skv_build(g);
    if (rank == 2)
        lengths = skv_emit(&b, "Squeeze", SKV_IN(lengths, skv_emit_ints(&b, (const int64_t[]){1}, 1)), SKV_NONE);
    skive_value *y = skv_emit(&b, "Gather", SKV_IN(parameter(&b, "words", 2, words, 1), x), SKV_NONE);
    y = skv_emit(&b, "Transpose", SKV_IN(y), SKV_ATTRS(SKV_INTS("perm", ((const int64_t[]){1, 0, 2}), 3)));
    skive_value *in[] = {y, parameter(&b, "W", 3, w, 2), parameter(&b, "R", 3, r, 3), parameter(&b, "B", 2, bias, 4),
                         lengths};
    skv_emit_n(&b, "LSTM", (skv_in_list){in, rank ? 5 : 4}, SKV_ATTRS(SKV_INT("hidden_size", H)), out, 2);
    y = skv_emit(&b, "Squeeze", SKV_IN(out[1], skv_emit_ints(&b, (const int64_t[]){0}, 1)), SKV_NONE);
    y = skv_emit(&b, "Gemm", SKV_IN(y, parameter(&b, "fc", 2, f, 5)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

typedef struct result {
    double loss, accuracy, auc, after; /* before and after one update */
    skive_graph *start, *end;
} result;

/* One update by the plain gradient of all samples: the difference of the weights is the gradient. */
static void measure(skive_context *ctx, const char *network, int rank, int64_t length, result *r) {
    char path[SKV_TEST_PATH], spec[2 * SKV_TEST_PATH];
    skive_dataset *set = NULL;
    skive_dataset_info info;
    skive_dataset_options d = skive_dataset_options_default();
    skive_zoo_options z = skive_zoo_options_default();
    skive_train_options o = skive_train_options_default();
    skive_eval_report e;
    skive_train_report t;
    skv_test_path(path, dir, "text.csv");
    skv_test_write_file(path, text, strlen(text));
    snprintf(spec, sizeof spec, "text:%s,column=t,label=u,length=%lld,input=%s", path, (long long)length,
             network ? "tokens"
             : rank  ? "ids,lengths=len"
                     : "ids");
    d.split = SKIVE_SPLIT_TRAIN_FULL;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &d, &set));
    skive_dataset_get_info(set, &info);
    z.rank = 1;
    z.dims[0] = length;
    z.classes = 2;
    z.vocabulary = 8;
    if (network)
        skv_test_ok(ctx, skive_zoo_build(ctx, network, &z, &r->start));
    else
        r->start = by_lengths(ctx, length, rank);
    skv_test_ok(ctx, skive_graph_copy(ctx, r->start, &r->end));
    skv_test_ok(ctx, skive_evaluate(ctx, r->start, set, 0, &e));
    r->loss = e.loss;
    r->accuracy = e.accuracy;
    r->auc = e.auc;
    skive_eval_report_free(ctx, &e);
    o.epochs = 1;
    o.batch = (int64_t)info.count;
    o.schedule = "constant";
    o.warmup_epochs = 0;
    o.momentum = 0;
    o.nesterov = false;
    o.weight_decay = 0;
    o.learning_rate = 0.5;
    skv_test_ok(ctx, skive_train(ctx, r->end, set, NULL, &o, NULL, 0, &t));
    skive_train_report_free(ctx, &t);
    skv_test_ok(ctx, skive_evaluate(ctx, r->end, set, 0, &e));
    r->after = e.loss;
    skive_eval_report_free(ctx, &e);
    skive_dataset_free(set);
}

/* Largest difference of the trained parameters of two models, by name. */
static double apart(const skive_graph *a, const skive_graph *b) {
    double most = 0;
    for (size_t i = 0; i < skive_graph_value_count(a); i++) {
        const skive_value *v = skive_graph_value(a, i);
        if (!skive_value_is_trainable(v)) continue;
        const skive_value *w = skive_graph_find_value(b, skive_value_name(v));
        assert_non_null(w);
        const skive_tensor *x = skive_value_data(v), *y = skive_value_data(w);
        assert_int_equal(skive_tensor_count(x), skive_tensor_count(y));
        for (int64_t k = 0; k < skive_tensor_count(x); k++) {
            const double d = fabs((double)((const float *)x->data)[k] - (double)((const float *)y->data)[k]);
            if (!(d <= most)) most = d;
        }
    }
    return most;
}

static void release(result *r) {
    skive_graph_free(r->start);
    skive_graph_free(r->end);
}

/* Two lengths against one another, and against a network that does not know of padding and shows it. */
static void compare(const char *network, int rank, const char *blind) {
    const char *name = network ? network : "lengths";
    skive_context *ctx = skv_test_context();
    result a, b, c;
    measure(ctx, network, rank, 5, &a);
    measure(ctx, network, rank, 9, &b);
    measure(ctx, blind, 0, 9, &c);
    assert_true(apart(a.start, b.start) == 0);
    if (!(apart(a.start, a.end) > 1e-3)) fail_msg("%s: the update is too small to tell", name);
    if (!skv_test_close(a.loss, b.loss, 1e-5, 0) || !skv_test_close(a.after, b.after, 1e-5, 0))
        fail_msg("%s: loss %.9g and %.9g, then %.9g and %.9g", name, a.loss, b.loss, a.after, b.after);
    assert_true(a.accuracy == b.accuracy && skv_test_close(a.auc, b.auc, 1e-9, 0));
    if (!(apart(a.end, b.end) < 1e-6)) fail_msg("%s: gradients %g apart", name, apart(a.end, b.end));
    assert_true(apart(c.end, b.end) > 1e-4);
    release(&a);
    release(&b);
    release(&c);
    skv_test_context_end(ctx);
}

static void lengths_make_no_difference(void **state) {
    static const char *const networks[] = {
        "transformer:dim=16,heads=2,positions=sinusoidal",
        "transformer:dim=16,heads=2,positions=none,norm=after",
        "lstm:width=0.125,embed=8",
        "lstm:width=0.125,embed=8,layers=2,bidirectional",
        "gru:width=0.125,embed=8,bidirectional",
    };
    (void)state;
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        char blind[128];
        snprintf(blind, sizeof blind, "%s,padding=-1", networks[i]);
        compare(networks[i], 0, blind);
    }
}

static void lengths_are_an_input(void **state) {
    (void)state;
    for (int rank = 1; rank <= 2; rank++) compare(NULL, rank, NULL);
}

enum { STEPS = 6, MORE = 4, SIGNS = 4 };

/* Steps that do not count are those in which a model says blank with certainty. */
static void steps_that_are_blank_do_not_count(void **state) {
    double log_p[(STEPS + MORE) * SIGNS], room[2 * (STEPS + MORE) * 7], g[2][(STEPS + MORE) * SIGNS];
    const int64_t labels[3] = {1, 1, 3};
    (void)state;
    for (int t = 0; t < STEPS + MORE; t++) {
        double sum = 0;
        for (int k = 0; k < SIGNS; k++) {
            log_p[t * SIGNS + k] = t < STEPS ? skv_rng_normal(7, (uint64_t)t, (uint64_t)k) : k == 0 ? 0 : -1e30;
            sum += exp(log_p[t * SIGNS + k]);
        }
        for (int k = 0; k < SIGNS && t < STEPS; k++) log_p[t * SIGNS + k] -= log(sum);
    }
    const double alone = skv_ctc(log_p, STEPS, SIGNS, labels, 3, 0, room, g[0]);
    const double filled = skv_ctc(log_p, STEPS + MORE, SIGNS, labels, 3, 0, room, g[1]);
    assert_true(alone > 0 && skv_test_close(filled, alone, 1e-12, 0));
    for (int i = 0; i < STEPS * SIGNS; i++) assert_true(skv_test_close(g[1][i], g[0][i], 1e-9, 1e-12));
    /* Of log-softmax: minus 1 for the blank, plus its probability 1; so no gradient arrives at the scores. */
    for (int i = STEPS * SIGNS; i < (STEPS + MORE) * SIGNS; i++)
        assert_true(skv_test_close(g[1][i] + exp(log_p[i]), 0, 0, 1e-12));
}

/* ---- sequences whose lengths are told ---- */

enum { HEARD = 4, WIDE = 3, ROOM = 9 };
static const int64_t heard[HEARD] = {5, 3, 4, 2};
static const int64_t said[HEARD * 2] = {1, 1, 2, -1, 3, 1, -1, -1};

/* Frame t of sample i, and numbers that depend on the padding behind the sample's length. */
static float frame_at(int64_t i, int64_t t, int64_t k, int64_t steps) {
    const uint64_t seed = t < heard[i] ? 11 : 100 + (uint64_t)steps;
    return (float)(skv_rng_normal(seed, (uint64_t)i, (uint64_t)(t * WIDE + k)) * (t < heard[i] ? 1 : 3));
}

static void save_numbers(skive_context *ctx, const char *name, skive_dtype dtype, int rank, const int64_t *dims,
                         const void *data) {
    char path[SKV_TEST_PATH];
    skive_tensor t = {.dtype = dtype, .rank = rank, .data = (void *)(uintptr_t)data};
    for (int d = 0; d < rank; d++) t.dims[d] = dims[d];
    skv_test_path(path, dir, name);
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, path, &t));
}

/* Frames with a layer of scores for each; `own`: the lengths are an input that the model has by itself. */
static skive_graph *listener(skive_context *ctx, int64_t steps, bool own) {
    static const int64_t w[] = {WIDE, SIGNS}, b[] = {SIGNS};
    const skive_type type = {.dtype = SKIVE_F32, .rank = 3, .dims = {{-1, "N"}, {steps, NULL}, {WIDE, NULL}}};
    const skive_type n = {.dtype = SKIVE_I32, .rank = 2, .dims = {{-1, "N"}, {1, NULL}}};
    skive_graph *g = NULL;
    skive_value *x = NULL, *len = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    if (own) skv_test_ok(ctx, skive_graph_add_input(g, "len", &n, &len));
    skv_builder build = skv_build(g);
    x = skv_emit(&build, "MatMul", SKV_IN(x, parameter(&build, "w", 2, w, 21)), SKV_NONE);
    x = skv_emit(&build, "Add", SKV_IN(x, parameter(&build, "b", 1, b, 22)), SKV_NONE);
    skv_test_ok(ctx, build.status);
    skv_test_ok(ctx, skive_graph_add_output(g, x));
    skv_test_ok(ctx, skive_model_set_output(g, NULL, "ctc"));
    return g;
}

static skive_dataset *sounds(skive_context *ctx, int64_t steps, int64_t every) {
    float x[HEARD * ROOM * WIDE];
    int64_t frames[HEARD];
    char spec[4 * SKV_TEST_PATH], a[SKV_TEST_PATH], b[SKV_TEST_PATH], c[SKV_TEST_PATH];
    skive_dataset *set = NULL;
    skive_dataset_options d = skive_dataset_options_default();
    for (int64_t i = 0; i < HEARD; i++) {
        frames[i] = every * heard[i] - (every > 1); /* rounded up */
        for (int64_t t = 0; t < steps; t++)
            for (int64_t k = 0; k < WIDE; k++) x[(i * steps + t) * WIDE + k] = frame_at(i, t, k, steps);
    }
    save_numbers(ctx, "x.npy", SKIVE_F32, 3, (const int64_t[]){HEARD, steps, WIDE}, x);
    save_numbers(ctx, "y.npy", SKIVE_I64, 2, (const int64_t[]){HEARD, 2}, said);
    save_numbers(ctx, "len.npy", SKIVE_I64, 1, (const int64_t[]){HEARD}, frames);
    snprintf(spec, sizeof spec, "inputs:x=npy:%s,%s;len=npy:%s", skv_test_path(a, dir, "x.npy"),
             skv_test_path(b, dir, "y.npy"), skv_test_path(c, dir, "len.npy"));
    d.split = SKIVE_SPLIT_TRAIN_FULL;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &d, &set));
    return set;
}

static double edit_distance(const skive_eval_report *r) {
    for (size_t i = 0; i < r->n_figures; i++)
        if (strcmp(r->figures[i].name, "edit-distance") == 0) return r->figures[i].value;
    fail_msg("there is no edit distance");
    return 0;
}

/* One update by the plain gradient; see measure. auc holds the edit distance. */
static void listen_to(skive_context *ctx, int64_t steps, bool own, int64_t every, bool told, result *r) {
    skive_dataset *set = sounds(ctx, steps, every);
    skive_train_options o = skive_train_options_default();
    skive_eval_report e;
    r->start = listener(ctx, steps, own);
    if (told) skv_test_ok(ctx, skive_model_set_lengths(r->start, "len", every));
    skv_test_ok(ctx, skive_graph_copy(ctx, r->start, &r->end));
    skv_test_ok(ctx, skive_evaluate(ctx, r->start, set, 0, &e));
    r->loss = e.loss;
    r->accuracy = 0;
    r->auc = edit_distance(&e);
    skive_eval_report_free(ctx, &e);
    o.loss = "ctc";
    o.epochs = 1;
    o.batch = HEARD;
    o.schedule = "constant";
    o.warmup_epochs = 0;
    o.momentum = o.weight_decay = 0;
    o.learning_rate = 0.5;
    skv_test_ok(ctx, skive_train(ctx, r->end, set, NULL, &o, NULL, 0, NULL));
    skv_test_ok(ctx, skive_evaluate(ctx, r->end, set, 0, &e));
    r->after = e.loss;
    skive_eval_report_free(ctx, &e);
    skive_dataset_free(set);
}

/* The mean loss of the frames that were heard, each sample by itself. */
static double loss_alone(const skive_graph *g) {
    const float *w = skive_value_data(skive_graph_find_value(g, "w"))->data;
    const float *b = skive_value_data(skive_graph_find_value(g, "b"))->data;
    double sum = 0;
    for (int64_t i = 0; i < HEARD; i++) {
        double log_p[ROOM * SIGNS], room[2 * ROOM * 5];
        for (int64_t t = 0; t < heard[i]; t++) {
            double all = 0;
            for (int k = 0; k < SIGNS; k++) {
                double z = (double)b[k];
                for (int64_t j = 0; j < WIDE; j++) z += (double)frame_at(i, t, j, 0) * (double)w[j * SIGNS + k];
                log_p[t * SIGNS + k] = z;
                all += exp(z);
            }
            for (int k = 0; k < SIGNS; k++) log_p[t * SIGNS + k] -= log(all);
        }
        sum +=
            skv_ctc(log_p, heard[i], SIGNS, said + 2 * i, (said[2 * i] >= 0) + (said[2 * i + 1] >= 0), 0, room, NULL);
    }
    return sum / HEARD;
}

static void frames_behind_a_length_do_not_count(void **state) {
    (void)state;
    for (int way = 0; way < 3; way++) {
        const bool own = way == 1;
        const int64_t every = way == 2 ? 3 : 1;
        skive_context *ctx = skv_test_context();
        result a, b, blind;
        listen_to(ctx, 5, own, every, true, &a);
        listen_to(ctx, ROOM, own, every, true, &b);
        listen_to(ctx, ROOM, own, every, false, &blind);
        const double alone = loss_alone(a.start), after = loss_alone(a.end);
        if (!skv_test_close(a.loss, alone, 1e-5, 0) || !skv_test_close(b.loss, alone, 1e-5, 0) ||
            !skv_test_close(a.after, after, 1e-5, 0) || !skv_test_close(b.after, after, 1e-5, 0))
            fail_msg("way %d: loss %.9g and %.9g, not %.9g; then %.9g and %.9g, not %.9g", way, a.loss, b.loss, alone,
                     a.after, b.after, after);
        assert_true(a.auc == b.auc);
        assert_true(apart(a.start, a.end) > 1e-3 && apart(a.end, b.end) < 1e-6);
        assert_true(fabs(blind.loss - alone) > 1e-2 && apart(blind.end, b.end) > 1e-3);
        release(&a);
        release(&b);
        release(&blind);
        skv_test_context_end(ctx);
    }
}

static void lengths_that_cannot_be(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = listener(ctx, 4, true); /* one sample is longer */
    skive_dataset *set = sounds(ctx, 4, 1);
    skive_eval_report e;
    (void)state;
    assert_int_equal(skive_model_set_lengths(g, "w", 1), SKIVE_ERR_DATA);
    assert_non_null(strstr(skive_context_message(ctx), "'w' cannot be the lengths of samples: it is a parameter"));
    assert_int_equal(skive_model_set_lengths(g, "x", 1), SKIVE_ERR_DATA);
    assert_int_equal(skive_model_set_lengths(g, "len", 0), SKIVE_ERR_ARGUMENT);
    skv_test_ok(ctx, skive_model_set_lengths(g, "len", 1));
    assert_int_equal(skive_evaluate(ctx, g, set, 0, &e), SKIVE_ERR_DATA);
    assert_non_null(strstr(skive_context_message(ctx), "by 'len' sample 0 of "));
    assert_non_null(strstr(skive_context_message(ctx), " has 5 frames, but its scores have 4 steps"));
    skv_test_ok(ctx, skive_model_set_lengths(g, NULL, 0));
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 0, &e));
    skive_eval_report_free(ctx, &e);
    skv_test_ok(ctx, skive_graph_set_meta(g, "skive.output.lengths", "gone"));
    assert_int_equal(skive_evaluate(ctx, g, set, 0, &e), SKIVE_ERR_NOT_FOUND);
    skive_dataset_free(set);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_make_no_difference), cmocka_unit_test(lengths_are_an_input),
        cmocka_unit_test(steps_that_are_blank_do_not_count), cmocka_unit_test(frames_behind_a_length_do_not_count),
        cmocka_unit_test(lengths_that_cannot_be)};
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
