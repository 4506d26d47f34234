/* The parts of a run: stages of a step and their hooks, buffers of all gradients and weights, watchers, terms on values
 * by name with parameters of their own, weights of terms that change, rules by name and in the model. */
#include "train_fixtures.h"

#include <unistd.h>

#include <skive/onnx.h>

enum { BATCH = 30 };

static skv_problem problem_of(skive_context *ctx, const skive_graph *g, skive_dataset *set, const skv_objective *o,
                              const skive_train_options *how, int64_t batch) {
    skv_targets targets;
    skv_feeds feeds;
    skv_problem p;
    skv_test_ok(ctx, skv_targets_of(ctx, set, &targets));
    skv_test_ok(ctx, skv_feeds_make(ctx, g, &targets.info, &feeds));
    const skv_problem_setup setup = {
        .model = g, .feeds = &feeds, .targets = &targets, .objective = o, .options = how, .batch = batch};
    skv_test_ok(ctx, skv_problem_build(ctx, &setup, &p));
    skv_feeds_free(&feeds);
    return p;
}

/* A network whose samples do not see one another: no BatchNormalization. */
static skive_graph *independent(skive_context *ctx) {
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

static skv_trainer *trainer_of(skive_context *ctx, const skive_graph *g, skive_dataset *set,
                               const skive_train_options *o, const skv_step_hook *hook, int64_t batch) {
    skv_problem p = problem_of(ctx, g, set, &skv_objective_labels, o, batch);
    const skv_trainer_setup setup = {.graph = p.graph,
                                     .input = p.inputs[0],
                                     .labels = p.labels,
                                     .loss = p.loss,
                                     .logits = p.logits,
                                     .updates = p.updates,
                                     .n_updates = p.n_updates,
                                     .options = o,
                                     .hooks = hook,
                                     .n_hooks = hook != NULL,
                                     .batch = batch};
    skv_trainer *t = NULL;
    skv_test_ok(ctx, skv_trainer_create(ctx, &setup, &t));
    p.graph = NULL;
    skv_problem_free(ctx, &p);
    return t;
}

/* ---- reduce: gradients of several batches are one ---- */

typedef struct adder {
    float *sum;
    int parts, seen;
} adder;

static skive_status add_up(void *self, skv_trainer *t, skv_step *step) {
    adder *a = self;
    float *all = NULL;
    int64_t n = 0;
    SKV_TRY(skv_trainer_gradients(t, &all, &n));
    if (!a->sum) a->sum = calloc((size_t)n, sizeof *a->sum);
    assert_non_null(a->sum);
    for (int64_t i = 0; i < n; i++) a->sum[i] += all[i];
    step->hold = ++a->seen < a->parts;
    if (step->hold) return SKIVE_OK;
    for (int64_t i = 0; i < n; i++) all[i] = a->sum[i] / (float)a->parts;
    memset(a->sum, 0, (size_t)n * sizeof *a->sum);
    a->seen = 0;
    return SKIVE_OK;
}

static void fill(skv_trainer *t, int64_t batch, uint64_t from) {
    float *x = NULL;
    void *labels = NULL;
    skv_trainer_inputs(t, &x, &labels);
    for (int64_t i = 0; i < batch; i++) {
        ((int64_t *)labels)[i] = (int64_t)((from + (uint64_t)i) % CLASSES);
        for (int k = 0; k < PIXELS; k++) x[i * PIXELS + k] = (float)skv_rng_normal(3, from + (uint64_t)i, (uint64_t)k);
    }
}

static void gradients_of_three_batches_add_up_to_those_of_a_large_one(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = independent(ctx), *h = independent(ctx);
    skive_train_options o = settings(1, BATCH);
    adder a = {.parts = 3};
    const skv_step_hook hook = {.name = "accumulate", .reduce = add_up, .self = &a};
    skv_trainer *small = trainer_of(ctx, g, set, &o, &hook, BATCH),
                *large = trainer_of(ctx, h, set, &o, NULL, 3 * BATCH);
    float of_small[CLASSES * PIXELS + CLASSES], of_large[CLASSES * PIXELS + CLASSES], before[SKV_COUNT(of_small)];
    double loss;
    (void)state;
    skv_trainer_get_weights(small, before);
    for (uint64_t k = 0; k < 6; k++) {
        fill(small, BATCH, k * BATCH);
        skv_test_ok(ctx, skv_trainer_step(small, 0.1, &loss, NULL));
        skv_trainer_get_weights(small, of_small);
        if (k == 1) assert_memory_equal(of_small, before, sizeof before); /* held back */
        if (k % 3 != 2) continue;
        fill(large, 3 * BATCH, k / 3 * 3 * BATCH);
        skv_test_ok(ctx, skv_trainer_step(large, 0.1, &loss, NULL));
    }
    skv_trainer_get_weights(large, of_large);
    for (size_t i = 0; i < SKV_COUNT(of_small); i++) {
        if (!skv_test_close(of_small[i], of_large[i], 1e-5, 1e-6))
            fail_msg("weight %zu: %g, not %g", i, (double)of_small[i], (double)of_large[i]);
    }
    assert_true(memcmp(of_small, before, sizeof before) != 0);
    /* What is put in is what is read, and what the graph sees. */
    skv_test_ok(ctx, skv_trainer_set_weights(small, before));
    skv_trainer_get_weights(small, of_small);
    assert_memory_equal(of_small, before, sizeof before);
    assert_memory_equal(skv_trainer_find(small, "fc.weight")->seen, before, CLASSES * PIXELS * sizeof(float));
    free(a.sum);
    skv_trainer_free(small);
    skv_trainer_free(large);
    skive_graph_free(g);
    skive_graph_free(h);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- inspect: clip groups ---- */

static skive_status look(void *self, skv_trainer *t, skv_step *step) {
    (void)self;
    step->scale[1] *= 1; /* a hook may scale; here it only looks */
    assert_int_equal(skv_trainer_param_count(t), 2);
    return SKIVE_OK;
}

static void each_clip_group_is_clipped_by_itself(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = independent(ctx);
    skive_train_options o = settings(1, BATCH);
    const skv_step_hook hook = {.name = "look", .inspect = look};
    skv_step step;
    (void)state;
    o.clip_norm = 1e-3;
    skv_trainer *t = trainer_of(ctx, g, set, &o, &hook, BATCH);
    skv_trainer_param(t, 1)->clip_group = 1;
    fill(t, BATCH, 0);
    skv_test_ok(ctx, skv_trainer_forward_backward(t, 0.1, &step));
    skv_test_ok(ctx, skv_trainer_inspect(t, &step));
    for (size_t i = 0; i < 2; i++) {
        const skv_param *p = skv_trainer_param(t, i);
        double sum = 0;
        for (int64_t k = 0; k < p->n; k++) sum += (double)p->gradient[k] * (double)p->gradient[k];
        assert_true(sqrt(sum) > 1e-3);
        assert_true(fabs(step.scale[p->clip_group] * sqrt(sum) / 1e-3 - 1) < 1e-9);
    }
    skv_trainer_free(t);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- terms ---- */

/* The value of the first ReLU of small_cnn. */
static const char *feature_of(const skive_graph *g) {
    for (size_t i = 0; i < skive_graph_node_count(g); i++)
        if (strcmp(skive_node_op(skive_graph_node(g, i)), "BatchNormalization") == 0)
            return skive_value_name(skive_node_output(skive_graph_node(g, i), 0));
    return NULL;
}

/* Mean squared difference of a value of the model, times a number that is learned, and one of the teacher. */
static skive_value *build_feature(skv_builder *b, const skv_loss_args *a) {
    const int64_t one = 1;
    skive_value *factor = skv_term_parameter(b, a, "factor", 1, &one, 0.5);
    skive_value *d =
        skv_emit(b, "Sub", SKV_IN(skv_emit(b, "Mul", SKV_IN(a->feature, factor), SKV_NONE), a->example), SKV_NONE);
    return skv_emit(b, "ReduceMean", SKV_IN(skv_emit(b, "Mul", SKV_IN(d, d), SKV_NONE)),
                    SKV_ATTRS(SKV_INT("keepdims", 0)));
}
static const skv_loss feature_loss = {
    .name = "feature", .brief = "for this test", .needs_features = true, .build = build_feature};

typedef struct seen {
    int params;
    int epochs;
    double factor[2];
} seen;

static skive_status see(void *self, const skv_watch *w, bool *counts, bool *stop) {
    seen *s = self;
    (void)counts;
    s->params = (int)skv_trainer_param_count(w->trainer);
    const skv_param *p = skv_trainer_find(w->trainer, "skive.term.1.feature.factor");
    if (p && s->epochs < 2) s->factor[s->epochs] = (double)p->weight[0];
    s->epochs++;
    *stop = s->epochs == 2;
    return SKIVE_OK;
}

/* The names of values survive into the training mode; the term's own parameter is trained and vanishes; a watcher ends
 * the run. */
static void a_term_binds_values_by_name(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *student = small_cnn(ctx, false), *teacher = small_cnn(ctx, false);
    const char *feature = feature_of(student);
    skv_term terms[2] = {{.weight = 1, .temperature = 1},
                         {.loss = &feature_loss, .weight = 0.5, .feature = feature, .example = feature}};
    const skv_teacher from = {.graph = teacher, .student = student};
    const skv_objective o = {.terms = terms, .n_terms = 2, .teachers = &from, .n_teachers = 1};
    const skive_train_options how = settings(9, BATCH);
    const size_t values = skive_graph_value_count(student);
    seen s = {0};
    const skv_watcher watcher = {.name = "see", .epoch = see, .self = &s};
    skv_fit fit = {.model = student,
                   .train = set,
                   .options = &how,
                   .objective = &o,
                   .watchers = &watcher,
                   .n_watchers = 1,
                   .what = "train"};
    (void)state;
    skv_test_ok(ctx, skv_fit_run(ctx, &fit, NULL));
    assert_int_equal(s.epochs, 2);
    assert_int_equal(s.params, 6);
    assert_true(s.factor[0] != s.factor[1]);
    assert_int_equal(skive_graph_value_count(student), values);
    terms[1].feature = "nothing";
    skv_test_fails(ctx, skv_fit_run(ctx, &fit, NULL), SKIVE_ERR_NOT_FOUND, "the model has no value 'nothing'");
    terms[1].feature = feature;
    terms[1].example = "scale"; /* a parameter of the teacher is a value, too, but has another shape */
    terms[1].teacher = 1;
    skv_test_fails(ctx, skv_fit_run(ctx, &fit, NULL), SKIVE_ERR_ARGUMENT, "needs a teacher");
    skive_graph_free(student);
    skive_graph_free(teacher);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* A factor that falls from 1: the first steps are those of the whole weight, later ones are not. */
static void the_weight_of_a_term_may_change(void **state) {
    uint64_t bits[2];
    (void)state;
    for (int k = 0; k < 2; k++) {
        skive_context *ctx = skv_test_context();
        skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
        skive_graph *g = independent(ctx);
        skive_train_options how = settings(3, BATCH);
        how.step_every = 1;
        how.step_factor = 1; /* k 0: the factor is an input and stays 1 */
        if (k) how.step_factor = 0.5;
        const skv_term term = {.weight = 1, .temperature = 1, .course = skv_schedule_find("step")};
        const skv_objective o = {.terms = &term, .n_terms = 1};
        const skv_fit fit = {.model = g, .train = set, .options = &how, .objective = &o, .what = "train"};
        skive_train_report r;
        skv_test_ok(ctx, skv_fit_run(ctx, &fit, &r));
        bits[k] = fingerprint(g);
        /* The loss that is reported is the sum with its factors. */
        if (k) assert_true(r.epochs[2].loss < 0.3 * r.epochs[0].loss);
        if (!k) {
            skive_graph *plain = independent(ctx);
            skv_test_ok(ctx, skive_train(ctx, plain, set, NULL, &how, NULL, 0, NULL));
            assert_true(fingerprint(plain) == bits[0]);
            skive_graph_free(plain);
        }
        skive_train_report_free(ctx, &r);
        skive_graph_free(g);
        skive_dataset_free(set);
        skv_test_context_end(ctx);
    }
    assert_true(bits[0] != bits[1]);
}

/* ---- rules by name ---- */

static double largest(const skive_graph *g, const char *name) {
    const skive_tensor *t = skv_value_tensor(skive_graph_find_value(g, name));
    double most = 0;
    for (int64_t i = 0; i < skive_tensor_count(t); i++) most = fmax(most, fabs(skive_tensor_get(t, i)));
    return most;
}

static int64_t zeros_of(const skive_graph *g, const char *name) {
    const skive_tensor *t = skv_value_tensor(skive_graph_find_value(g, name));
    int64_t n = 0;
    for (int64_t i = 0; i < skive_tensor_count(t); i++) n += skive_tensor_get(t, i) == 0;
    return n;
}

static void rules_hold_and_stay_with_the_model(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = small_cnn(ctx, false), *read = NULL;
    skive_train_options o = settings(3, BATCH);
    char path[SKV_TEST_PATH];
    (void)state;
    o.rules = "conv*=clip:0.2;prox:0.05";
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL));
    assert_true(largest(g, "conv.weight") <= (double)0.2f);
    assert_true(zeros_of(g, "fc.weight") > 20);
    assert_int_equal(zeros_of(g, "fc.bias"), 0);
    /* A later training, of the file, is under them too; one may be replaced, all may be taken away. */
    skv_test_ok(ctx, skive_onnx_save(ctx, g, file(path, "ruled.onnx"), NULL));
    skv_test_ok(ctx, skive_onnx_load(ctx, path, NULL, &read));
    o.rules = "conv*=clip:0.1";
    skv_test_ok(ctx, skive_train(ctx, read, set, NULL, &o, NULL, 0, NULL));
    assert_true(largest(read, "conv.weight") <= (double)0.1f);
    assert_true(zeros_of(read, "fc.weight") > 20);
    o.rules = "none";
    o.epochs = 6;
    skv_test_ok(ctx, skive_train(ctx, read, set, NULL, &o, NULL, 0, NULL));
    assert_true(zeros_of(read, "fc.weight") < 5);
    assert_null(skive_graph_meta(read, "skive.rules"));
    const char *const wrong[][2] = {{"clap:1", "clip"}, {"clip:-1", "limit"},
                                    {"clip", "limit"},  {"nothere=clip:1", "nothere"},
                                    {"mask", "mask"},   {"clip:nope=1", "nope"}};
    for (size_t i = 0; i < SKV_COUNT(wrong); i++) {
        o.rules = wrong[i][0];
        const uint64_t before = fingerprint(read);
        const skive_status status = skive_train(ctx, read, set, NULL, &o, NULL, 0, NULL);
        assert_true(status == SKIVE_ERR_ARGUMENT || status == SKIVE_ERR_NOT_FOUND);
        if (!strstr(skive_context_message(ctx), wrong[i][1]))
            fail_msg("'%s': '%s'", wrong[i][0], skive_context_message(ctx));
        assert_true(fingerprint(read) == before);
    }
    skive_graph_free(g);
    skive_graph_free(read);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* Trained through the rounding, a network of three values a neuron does nearly what one of floats does. */
static void a_network_is_trained_on_a_grid(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN), *held_out = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_graph *g = small_cnn(ctx, false);
    skive_train_options o = settings(8, BATCH);
    skive_eval_report e;
    (void)state;
    o.rules = "grid:ternary";
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL));
    const float *w = data_of(g, "fc.weight");
    for (int c = 0; c < CLASSES; c++) {
        double most = 0;
        for (int i = 0; i < 4 * PIXELS; i++) {
            const double size = fabs((double)w[c * 4 * PIXELS + i]);
            if (size > most) most = size;
        }
        for (int i = 0; i < 4 * PIXELS; i++) {
            const double x = fabs((double)w[c * 4 * PIXELS + i]);
            assert_true(x == 0 || x == most);
        }
    }
    skv_test_ok(ctx, skive_evaluate(ctx, g, held_out, 50, &e));
    if (!(e.accuracy > 0.85)) fail_msg("accuracy is %g", e.accuracy);
    skive_eval_report_free(ctx, &e);
    skive_graph_free(g);
    skive_dataset_free(held_out);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_three_batches_add_up_to_those_of_a_large_one),
        cmocka_unit_test(each_clip_group_is_clipped_by_itself),
        cmocka_unit_test(a_term_binds_values_by_name),
        cmocka_unit_test(the_weight_of_a_term_may_change),
        cmocka_unit_test(rules_hold_and_stay_with_the_model),
        cmocka_unit_test(a_network_is_trained_on_a_grid),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
