/* The kind of a model's output: recognised in every form, selected among several outputs, and used by losses and
 * metrics. */
#include "train_fixtures.h"

#include <skive/distill.h>
#include <skive/energy.h>
#include <skive/eval.h>
#include <skive/pack.h>

/* ---- heads put behind the small network ---- */

typedef skive_value *(*tail)(skv_builder *b, skive_value *z);

static skive_value *axes(skv_builder *b, int64_t axis) { return skv_emit_ints(b, &axis, 1); }

static skive_value *plain(skv_builder *b, skive_value *z) {
    (void)b;
    return z;
}
static skive_value *softmax(skv_builder *b, skive_value *z) { return skv_emit(b, "Softmax", SKV_IN(z), SKV_NONE); }
static skive_value *log_softmax(skv_builder *b, skive_value *z) {
    return skv_emit(b, "LogSoftmax", SKV_IN(z), SKV_ATTRS(SKV_INT("axis", 1)));
}
static skive_value *log_of_softmax(skv_builder *b, skive_value *z) {
    return skv_emit(b, "Log", SKV_IN(softmax(b, z)), SKV_NONE);
}
static skive_value *written_out(skv_builder *b, skive_value *z) {
    skive_value *most = skv_emit(b, "ReduceMax", SKV_IN(z, axes(b, -1)), SKV_NONE);
    skive_value *e = skv_emit(b, "Exp", SKV_IN(skv_emit(b, "Sub", SKV_IN(z, most), SKV_NONE)), SKV_NONE);
    return skv_emit(b, "Div", SKV_IN(e, skv_emit(b, "ReduceSum", SKV_IN(e, axes(b, 1)), SKV_NONE)), SKV_NONE);
}
static skive_value *by_reciprocal(skv_builder *b, skive_value *z) {
    skive_value *e = skv_emit(b, "Exp", SKV_IN(z), SKV_NONE);
    skive_value *sum = skv_emit(b, "ReduceSum", SKV_IN(e, axes(b, 1)), SKV_NONE);
    return skv_emit(b, "Mul", SKV_IN(skv_emit(b, "Reciprocal", SKV_IN(sum), SKV_NONE), e), SKV_NONE);
}
static skive_value *less_log_sum(skv_builder *b, skive_value *z) {
    return skv_emit(b, "Sub", SKV_IN(z, skv_emit(b, "ReduceLogSumExp", SKV_IN(z, axes(b, -1)), SKV_NONE)), SKV_NONE);
}
static skive_value *picture_of_one(skv_builder *b, skive_value *z) { /* [N, C, 1, 1] */
    z = skv_emit(b, "Reshape", SKV_IN(z, skv_emit_ints(b, (const int64_t[]){-1, CLASSES, 1, 1}, 4)), SKV_NONE);
    return skv_emit(b, "Softmax", SKV_IN(z), SKV_ATTRS(SKV_INT("axis", 1)));
}
static skive_value *flattened(skv_builder *b, skive_value *z) {
    return skv_emit(b, "Flatten", SKV_IN(picture_of_one(b, z)), SKV_NONE);
}
static skive_value *channels_last(skv_builder *b, skive_value *z) { /* [N, 1, 1, C], then moved */
    z = skv_emit(b, "Reshape", SKV_IN(z, skv_emit_ints(b, (const int64_t[]){-1, 1, 1, CLASSES}, 4)), SKV_NONE);
    z = skv_emit(b, "Softmax", SKV_IN(z), SKV_NONE);
    return skv_emit(b, "Transpose", SKV_IN(z), SKV_ATTRS(SKV_INTS("perm", ((const int64_t[]){0, 3, 1, 2}), 4)));
}
static skive_value *by_columns(skv_builder *b, skive_value *z) { /* [C, N], then turned back */
    const int64_t turn[2] = {1, 0};
    z = skv_emit(b, "Transpose", SKV_IN(z), SKV_ATTRS(SKV_INTS("perm", turn, 2)));
    z = skv_emit(b, "Softmax", SKV_IN(z), SKV_ATTRS(SKV_INT("axis", 0)));
    return skv_emit(b, "Transpose", SKV_IN(z), SKV_ATTRS(SKV_INTS("perm", turn, 2)));
}
static skive_value *one_n_c(skv_builder *b, skive_value *z) { /* [1, N, C] */
    return softmax(b, skv_emit(b, "Unsqueeze", SKV_IN(z, axes(b, 0)), SKV_NONE));
}
static skive_value *clipped(skv_builder *b, skive_value *z) {
    return skv_emit(b, "Clip",
                    SKV_IN(softmax(b, z), skv_emit_scalar(b, SKIVE_F32, 1e-7), skv_emit_scalar(b, SKIVE_F32, 1)),
                    SKV_NONE);
}
static skive_value *sigmoids(skv_builder *b, skive_value *z) { return skv_emit(b, "Sigmoid", SKV_IN(z), SKV_NONE); }
static skive_value *written_sigmoids(skv_builder *b, skive_value *z) {
    skive_value *e = skv_emit(b, "Exp", SKV_IN(skv_emit(b, "Neg", SKV_IN(z), SKV_NONE)), SKV_NONE);
    skive_value *sum = skv_emit(b, "Add", SKV_IN(skv_emit_scalar(b, SKIVE_F32, 1), e), SKV_NONE);
    return skv_emit(b, "Div", SKV_IN(skv_emit_scalar(b, SKIVE_F32, 1), sum), SKV_NONE);
}

static const struct {
    tail put;
    skive_output_kind kind;
} heads[] = {
    {plain, SKIVE_OUTPUT_LOGITS},
    {softmax, SKIVE_OUTPUT_PROBABILITIES},
    {log_softmax, SKIVE_OUTPUT_LOG_PROBABILITIES},
    {log_of_softmax, SKIVE_OUTPUT_LOG_PROBABILITIES},
    {written_out, SKIVE_OUTPUT_PROBABILITIES},
    {by_reciprocal, SKIVE_OUTPUT_PROBABILITIES},
    {less_log_sum, SKIVE_OUTPUT_LOG_PROBABILITIES},
    {picture_of_one, SKIVE_OUTPUT_PROBABILITIES},
    {flattened, SKIVE_OUTPUT_PROBABILITIES},
    {channels_last, SKIVE_OUTPUT_PROBABILITIES},
    {by_columns, SKIVE_OUTPUT_PROBABILITIES},
    {one_n_c, SKIVE_OUTPUT_PROBABILITIES},
    {clipped, SKIVE_OUTPUT_PROBABILITIES},
};
enum { HEADS = sizeof heads / sizeof heads[0] };

static skive_graph *with_tail(skive_context *ctx, tail put) {
    skive_graph *g = small_cnn(ctx, false);
    skv_builder b = skv_build(g);
    skive_value *z = g->outputs[0];
    skv_test_ok(ctx, skv_graph_remove_output(g, 0));
    skive_value *y = put(&b, z);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

static void kinds_are_recognised(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    (void)state;
    for (int i = 0; i < HEADS; i++) {
        skive_output_info info;
        skive_graph *g = with_tail(ctx, heads[i].put);
        skv_test_ok(ctx, skive_model_output(g, set, &info));
        assert_int_equal(info.kind, heads[i].kind);
        assert_int_equal(info.scores, CLASSES);
        assert_true((info.from != NULL) == (i > 0));
        skive_graph_free(g);
    }
    for (int k = 0; k < 2; k++) {
        skive_output_info info;
        skive_graph *g = with_tail(ctx, k ? written_sigmoids : sigmoids);
        skv_test_ok(ctx, skive_model_output(g, set, &info));
        assert_int_equal(info.kind, SKIVE_OUTPUT_SIGMOID);
        skive_graph_free(g);
    }
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* A softmax over places in a picture leaves what follows plain. */
static void a_softmax_over_other_axes_is_none(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false);
    skive_output_info info;
    (void)state;
    skv_builder b = skv_build(g);
    skive_value *z = g->outputs[0];
    skv_test_ok(ctx, skv_graph_remove_output(g, 0));
    z = skv_emit(&b, "Reshape", SKV_IN(z, skv_emit_ints(&b, (const int64_t[]){-1, CLASSES, 1}, 3)), SKV_NONE);
    z = skv_emit(&b, "Softmax", SKV_IN(z), SKV_NONE); /* over the axis of 1 */
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, z));
    skv_test_ok(ctx, skive_graph_infer(g));
    skv_test_ok(ctx, skive_model_output(g, NULL, &info));
    assert_int_equal(info.kind, SKIVE_OUTPUT_LOGITS);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* However a network ends, it learns the same, is measured the same, teaches and is taught the same. */
static void losses_are_taken_before_the_head(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *train = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN_FULL),
                  *test = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    const skive_train_options o = settings(2, 40);
    skive_distill_options d = skive_distill_options_default();
    skive_graph *first = NULL, *first_student = NULL;
    double loss = 0, accuracy = 0;
    d.train = &o;
    d.alpha = 0.8;
    (void)state;
    for (int i = 0; i < HEADS; i++) {
        skive_graph *g = with_tail(ctx, heads[i].put), *student = with_tail(ctx, heads[HEADS - 1 - i].put);
        skive_eval_report r;
        skv_test_ok(ctx, skive_train(ctx, g, train, NULL, &o, NULL, 0, NULL));
        skv_test_ok(ctx, skive_evaluate(ctx, g, test, 0, &r));
        skv_test_ok(ctx, skive_distill(ctx, student, g, train, NULL, &d, NULL));
        if (i == 0) {
            loss = r.loss;
            accuracy = r.accuracy;
            assert_true(accuracy > 0.8);
            first = g;
            first_student = student;
        } else {
            assert_true(skv_test_close(r.loss, loss, 2e-4, 0));
            assert_true(skv_test_close(r.accuracy, accuracy, 0, 0.007)); /* a sample near the boundary may turn */
            skv_test_floats(data_of(g, "fc.weight"), data_of(first, "fc.weight"), 20, 1e-3, 1e-5);
            skv_test_floats(data_of(student, "fc.weight"), data_of(first_student, "fc.weight"), 20, 1e-3, 1e-5);
            skive_graph_free(g);
            skive_graph_free(student);
        }
        skive_eval_report_free(ctx, &r);
    }
    skive_graph_free(first);
    skive_graph_free(first_student);
    skive_dataset_free(train);
    skive_dataset_free(test);
    skv_test_context_end(ctx);
}

/* The probabilities are exact, so that the loss of a sample that is surely wrong does not vanish: its gradient moves
 * weights. */
static void certain_mistakes_are_learned_from(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *train = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN_FULL);
    skive_train_options o = settings(1, 40);
    skive_train_report r;
    (void)state;
    skive_graph *g = with_tail(ctx, softmax);
    float *bias = skv_value_tensor(skive_graph_find_value(g, "fc.bias"))->data;
    bias[0] = 500; /* exp(-500) is 0 in float32 */
    o.learning_rate = 1e-9;
    skv_test_ok(ctx, skive_train(ctx, g, train, NULL, &o, NULL, 0, &r));
    assert_true(r.epochs[0].loss > 200 && r.epochs[0].loss < 500);
    skive_train_report_free(ctx, &r);
    skive_graph_free(g);
    skive_dataset_free(train);
    skv_test_context_end(ctx);
}

/* ---- which output ---- */

static void outputs_are_chosen_or_asked_for(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_output_info info;
    (void)state;
    /* an embedding, a number of a class, the scores */
    skive_graph *g = small_cnn(ctx, false);
    skive_value *scores = g->outputs[0], *embedding = scores->producer->inputs[0];
    skv_builder b = skv_build(g);
    skive_value *class = skv_emit(&b, "ArgMax", SKV_IN(scores), SKV_ATTRS(SKV_INT("axis", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skv_graph_remove_output(g, 0));
    skv_test_ok(ctx, skive_graph_add_output(g, embedding));
    skv_test_ok(ctx, skive_graph_add_output(g, class));
    skv_test_ok(ctx, skive_graph_add_output(g, scores));
    skv_test_ok(ctx, skive_model_output(g, set, &info));
    assert_int_equal(info.index, 2);
    skive_eval_report r;
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 0, &r));
    assert_int_equal(r.output.index, 2);
    assert_int_equal(r.classes, CLASSES);
    skive_eval_report_free(ctx, &r);
    /* scores and their softmax are one head */
    skive_value *p = skv_emit(&b, "Softmax", SKV_IN(scores), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, p));
    skv_test_ok(ctx, skive_model_output(g, set, &info));
    assert_int_equal(info.index, 2);
    /* other scores are another */
    skive_value *other = skv_emit(&b, "Neg", SKV_IN(scores), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, other));
    skv_test_fails(ctx, skive_model_output(g, set, &info), SKIVE_ERR_DATA, "several fit the 3 classes");
    skv_test_fails(ctx, skive_evaluate(ctx, g, set, 0, &r), SKIVE_ERR_DATA, "--use-output");
    skv_test_fails(ctx, skive_model_set_output(g, "nowhere", NULL), SKIVE_ERR_NOT_FOUND, embedding->name);
    skv_test_fails(ctx, skive_model_set_output(g, NULL, "odds"), SKIVE_ERR_NOT_FOUND, "log-probabilities");
    skv_test_ok(ctx, skive_model_set_output(g, other->name, NULL));
    skv_test_ok(ctx, skive_model_output(g, set, &info));
    assert_int_equal(info.index, 4);
    skv_test_ok(ctx, skive_model_set_output(g, p->name, "logits"));
    skv_test_ok(ctx, skive_model_output(g, set, &info));
    assert_int_equal(info.index, 3);
    assert_int_equal(info.kind, SKIVE_OUTPUT_LOGITS);
    assert_string_equal(info.from, "metadata");
    skv_test_ok(ctx, skive_model_set_output(g, "", ""));
    skv_test_fails(ctx, skive_model_output(g, set, &info), SKIVE_ERR_DATA, "several");
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

static bool noted(const skive_context *ctx, const char *part) {
    for (size_t i = 0; i < skive_context_note_count(ctx); i++) {
        if (strstr(skive_context_note(ctx, i), part)) return true;
    }
    return false;
}

/* What only another output needs is neither trained nor worn away by decay. */
static void auxiliary_heads_stay(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN_FULL);
    skive_train_options o = settings(2, 40);
    const int64_t f[2] = {CLASSES, 4 * PIXELS};
    (void)state;
    skive_graph *g = small_cnn(ctx, false), *before = NULL;
    skv_builder b = skv_build(g);
    skive_value *scores = g->outputs[0];
    skive_value *other = skv_emit(&b, "Gemm", SKV_IN(scores->producer->inputs[0], parameter(&b, "aux", 2, f, 9, -1, 1)),
                                  SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, other));
    skv_test_ok(ctx, skive_model_set_output(g, scores->name, NULL));
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &before));
    o.weight_decay = 0.1;
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL));
    assert_memory_equal(data_of(g, "aux"), data_of(before, "aux"), sizeof(float) * CLASSES * 4 * PIXELS);
    assert_true(memcmp(data_of(g, "fc.weight"), data_of(before, "fc.weight"), sizeof(float) * CLASSES) != 0);
    assert_true(noted(ctx, "'aux'"));
    skive_graph_free(before);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* A packed file without names knows the output by the name it has there. */
static void the_choice_outlives_packing(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_pack_options o = skive_pack_options_default();
    skive_output_info info;
    char path[SKV_TEST_PATH];
    (void)state;
    skive_graph *g = small_cnn(ctx, false), *back = NULL;
    skv_builder b = skv_build(g);
    skive_value *other = skv_emit(&b, "Neg", SKV_IN(g->outputs[0]), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, other));
    skv_test_ok(ctx, skive_model_set_output(g, other->name, "logits"));
    for (int strip = 0; strip < 2; strip++) {
        o.strip_names = strip;
        skv_test_ok(ctx, skive_pack_save(ctx, g, file(path, "two.skv"), &o, NULL));
        skv_test_ok(ctx, skive_pack_load(ctx, path, NULL, &back, NULL));
        skv_test_ok(ctx, skive_model_output(back, set, &info));
        assert_int_equal(info.index, 1);
        assert_string_equal(info.from, "metadata");
        skive_graph_free(back);
    }
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* Probabilities without a node that tells: the metadata say it, and losses are as right. */
static void metadata_tell_what_the_graph_does_not(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_eval_report logits, told;
    (void)state;
    skive_graph *g = with_tail(ctx, softmax);
    skive_value *p = g->outputs[0];
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 0, &logits));
    skv_builder b = skv_build(g);
    skive_value *twice = skv_emit(&b, "Mul", SKV_IN(p, skv_emit_scalar(&b, SKIVE_F32, 1)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skv_graph_remove_output(g, 0));
    skv_test_ok(ctx, skive_graph_add_output(g, twice));
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 0, &told));
    assert_false(skv_test_close(told.loss, logits.loss, 0.01, 0));
    assert_true(noted(ctx, "--output-kind probabilities"));
    skive_eval_report_free(ctx, &told);
    skv_test_ok(ctx, skive_model_set_output(g, NULL, "probabilities"));
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 0, &told));
    assert_true(skv_test_close(told.loss, logits.loss, 1e-6, 0));
    const skive_train_options o = settings(1, (int64_t)TRAINING);
    skive_train_report r;
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, &r));
    assert_true(skv_test_close(r.epochs[0].loss, logits.loss, 0.3, 0)); /* batch statistics, so not the same */
    skive_train_report_free(ctx, &r);
    skive_eval_report_free(ctx, &told);
    skive_eval_report_free(ctx, &logits);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- two classes by one score, several labels ---- */

enum { ROWS = 60, FEATURES = 4 };

/* x, and what is above 0 in its first columns. */
static void write_signs(const char *x_name, const char *y_name, int labels, skive_dtype dtype, uint64_t seed) {
    double x[ROWS * FEATURES], y[ROWS * FEATURES];
    const int64_t of_x[2] = {ROWS, FEATURES}, of_y[2] = {ROWS, labels};
    for (int i = 0; i < ROWS * FEATURES; i++) x[i] = skv_rng_normal(seed, 0, (uint64_t)i);
    for (int i = 0; i < ROWS; i++) {
        for (int k = 0; k < labels; k++) {
            const double noise = 0.3 * skv_rng_normal(seed, 1, (uint64_t)(i * labels + k));
            y[i * labels + k] = x[i * FEATURES + k] + noise > 0.2;
        }
    }
    save(x_name, SKIVE_F32, 2, of_x, x);
    save(y_name, dtype, labels > 1 ? 2 : 1, of_y, y);
}

static skive_graph *line(skive_context *ctx, int64_t outputs, tail put) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 2, .dims = {{-1, "N"}, {FEATURES, NULL}}};
    const int64_t w[2] = {FEATURES, outputs}, k[1] = {outputs};
    skv_test_ok(ctx, skive_graph_create(ctx, "line", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(
        &b, "Gemm", SKV_IN(x, parameter(&b, "w", 2, w, 5, -1, 1), parameter(&b, "b", 1, k, 6, -1, 1)), SKV_NONE);
    y = put(&b, y);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static skive_value *squeezed_sigmoid(skv_builder *b, skive_value *z) { /* [N] */
    return skv_emit(b, "Squeeze", SKV_IN(sigmoids(b, z), axes(b, 1)), SKV_NONE);
}

static void one_score_tells_two_classes(void **state) {
    skive_context *ctx = skv_test_context();
    const tail tails[3] = {plain, sigmoids, squeezed_sigmoid};
    char spec[4 * SKV_TEST_PATH], a[SKV_TEST_PATH], b[SKV_TEST_PATH];
    skive_train_options o = settings(20, 20);
    double loss = 0;
    (void)state;
    write_signs("sx.npy", "sy.npy", 1, SKIVE_I64, 3);
    snprintf(spec, sizeof spec, "npy:%s,%s", file(a, "sx.npy"), file(b, "sy.npy"));
    skive_dataset *set = open_data(ctx, spec, SKIVE_SPLIT_TRAIN_FULL);
    o.learning_rate = 0.3;
    for (int i = 0; i < 3; i++) {
        skive_eval_report r;
        skive_graph *g = line(ctx, 1, tails[i]);
        skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL));
        skv_test_ok(ctx, skive_evaluate(ctx, g, set, 7, &r));
        assert_int_equal(r.task, SKIVE_TASK_BINARY);
        assert_int_equal(r.classes, 2);
        assert_true(r.accuracy > 0.85 && r.auc > 0.9);
        /* the same as of the pair (0, z), by hand */
        const float *w = data_of(g, "w"), *bias = data_of(g, "b");
        double sum = 0;
        int right = 0;
        for (size_t n = 0; n < ROWS; n++) {
            float x[FEATURES];
            int64_t label;
            skv_test_ok(ctx, skive_dataset_read(ctx, set, n, x, &label));
            double z = (double)bias[0];
            for (int k = 0; k < FEATURES; k++) z += (double)x[k] * (double)w[k];
            sum += log1p(exp(label ? -z : z));
            right += (z >= 0) == label;
        }
        assert_true(skv_test_close(r.loss, sum / ROWS, 1e-4, 0));
        assert_int_equal(r.correct, right);
        if (i == 0) loss = r.loss;
        assert_true(skv_test_close(r.loss, loss, 1e-4, 0));
        skive_eval_report_free(ctx, &r);
        skive_graph_free(g);
    }
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

static void labels_are_learned_one_by_one(void **state) {
    skive_context *ctx = skv_test_context();
    enum { LABELS = 3 };
    const skive_dtype types[2] = {SKIVE_F32, SKIVE_I64};
    char spec[4 * SKV_TEST_PATH], a[SKV_TEST_PATH], b[SKV_TEST_PATH];
    skive_train_options o = settings(20, 20);
    (void)state;
    o.learning_rate = 0.3;
    for (int i = 0; i < 4; i++) {
        write_signs("mx.npy", "my.npy", LABELS, types[i / 2], 3);
        snprintf(spec, sizeof spec, "npy:%s,%s", file(a, "mx.npy"), file(b, "my.npy"));
        skive_dataset *set = open_data(ctx, spec, SKIVE_SPLIT_TRAIN_FULL);
        skive_eval_report r;
        skive_train_report t;
        skive_graph *g = line(ctx, LABELS, i % 2 ? sigmoids : plain);
        skv_test_ok(ctx, skive_train(ctx, g, set, set, &o, NULL, 0, &t));
        assert_true(isnan(t.epochs[0].train_accuracy) && isfinite(t.epochs[0].validation_loss));
        skv_test_ok(ctx, skive_evaluate(ctx, g, set, 0, &r));
        assert_int_equal(r.task, SKIVE_TASK_LABELS);
        assert_int_equal(r.output.kind, i % 2 ? SKIVE_OUTPUT_SIGMOID : SKIVE_OUTPUT_SIGMOID_LOGITS);
        assert_true(r.f1_micro > 0.8 && r.f1_macro > 0.8 && r.map > 0.9 && r.auc > 0.9);
        const float *w = data_of(g, "w"), *bias = data_of(g, "b");
        double loss = 0, both = 0, either = 0;
        int right = 0;
        for (size_t n = 0; n < ROWS; n++) {
            float x[FEATURES], y[LABELS];
            bool all = true;
            skv_test_ok(ctx, skive_dataset_read(ctx, set, n, x, NULL));
            skv_test_ok(ctx, skive_dataset_read_target(ctx, set, n, y));
            for (int l = 0; l < LABELS; l++) {
                double z = (double)bias[l];
                for (int k = 0; k < FEATURES; k++) z += (double)x[k] * (double)w[k * LABELS + l];
                loss += log1p(exp(y[l] > 0 ? -z : z)) / LABELS;
                both += z >= 0 && y[l] > 0;
                either += (z >= 0) + (y[l] > 0);
                all = all && (z >= 0) == (y[l] > 0);
            }
            right += all;
        }
        assert_true(skv_test_close(r.loss, loss / ROWS, 1e-4, 0));
        assert_true(skv_test_close(r.f1_micro, 2 * both / either, 1e-12, 0));
        assert_int_equal(r.correct, right);
        skive_train_report_free(ctx, &t);
        skive_eval_report_free(ctx, &r);
        skive_graph_free(g);
        skive_dataset_free(set);
    }
    skv_test_context_end(ctx);
}

static double counted(const skive_energy *e, const char *what) {
    for (int i = 0; i < SKIVE_ENERGY_ROWS; i++) {
        if (strstr(e->rows[i].what, what)) return e->rows[i].count;
    }
    return -1;
}

static void energy_counts_operations_by_type(void **state) {
    skive_context *ctx = skv_test_context();
    skive_energy e;
    (void)state;
    skive_graph *g = line(ctx, 3, plain);
    skive_graph_energy(g, -1, &e);
    assert_true(counted(&e, "accumulate, float32") == 12 && counted(&e, "accumulate, int8") == 0);
    assert_true(counted(&e, "byte of weights") == 60 && counted(&e, "byte of activations") == 2 * 12);
    assert_true(skv_test_close(e.memory, 60 * 162.5 + 24 * 12.5, 1e-9, 0));
    assert_true(e.arithmetic >= 12 * 4.6 && skv_test_close(e.total, e.arithmetic + e.memory, 1e-12, 0));
    skive_graph_energy(g, 7, &e);
    assert_true(counted(&e, "byte of weights") == 7);
    /* the same product of two dequantized values */
    skv_builder b = skv_build(g);
    skive_node *gemm = g->outputs[0]->producer;
    skive_value *scale = skv_emit_scalar(&b, SKIVE_F32, 0.1), *zero = skv_emit_scalar(&b, SKIVE_U8, 0);
    for (size_t i = 0; i < 2; i++) {
        skive_value *q = skv_emit(&b, "QuantizeLinear", SKV_IN(gemm->inputs[i], scale, zero), SKV_NONE);
        skive_value *back = skv_emit(&b, "DequantizeLinear", SKV_IN(q, scale, zero), SKV_NONE);
        skv_test_ok(ctx, b.status);
        skv_test_ok(ctx, skv_node_set_input(gemm, i, back));
    }
    skv_test_ok(ctx, skive_graph_infer(g));
    skive_graph_energy(g, -1, &e);
    assert_true(counted(&e, "accumulate, float32") == 0 && counted(&e, "accumulate, int8") == 12);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Open sizes count as 1 until they are given. */
static void open_sizes_are_bound(void **state) {
    skive_context *ctx = skv_test_context();
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {-1, "H"}, {-1, "W"}}};
    const int64_t w[4] = {2, 1, 1, 1}, sizes[4] = {-1, 1, 6, 5}, other[4] = {-1, 3, 6, 5};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skive_energy e;
    (void)state;
    skv_test_ok(ctx, skive_graph_create(ctx, "open", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Conv", SKV_IN(x, parameter(&b, "w", 4, w, 1, -1, 1)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skive_graph_energy(g, -1, &e);
    assert_true(counted(&e, "accumulate, float32") == 2);
    skv_test_fails(ctx, skive_graph_bind_input(g, "z", 4, sizes), SKIVE_ERR_NOT_FOUND, "no input 'z'");
    skv_test_fails(ctx, skive_graph_bind_input(g, "x", 4, other), SKIVE_ERR_SHAPE, "do not match");
    skv_test_fails(ctx, skive_graph_bind_input(g, "x", 3, sizes), SKIVE_ERR_SHAPE, "do not match");
    assert_int_equal(x->type.dims[2].size, -1);
    skv_test_ok(ctx, skive_graph_bind_input(g, "x", 4, sizes));
    assert_int_equal(y->type.dims[3].size, 5);
    assert_int_equal(y->type.dims[0].size, -1);
    skive_graph_energy(g, -1, &e);
    assert_true(counted(&e, "accumulate, float32") == 2 * 30);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_recognised),
        cmocka_unit_test(a_softmax_over_other_axes_is_none),
        cmocka_unit_test(losses_are_taken_before_the_head),
        cmocka_unit_test(certain_mistakes_are_learned_from),
        cmocka_unit_test(outputs_are_chosen_or_asked_for),
        cmocka_unit_test(auxiliary_heads_stay),
        cmocka_unit_test(the_choice_outlives_packing),
        cmocka_unit_test(metadata_tell_what_the_graph_does_not),
        cmocka_unit_test(one_score_tells_two_classes),
        cmocka_unit_test(labels_are_learned_one_by_one),
        cmocka_unit_test(open_sizes_are_bound),
        cmocka_unit_test(energy_counts_operations_by_type),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
