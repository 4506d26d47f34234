/* The additions of examples/extend do what they say; the generated tests are run over them besides (CMakeLists.txt). */
#include "train_fixtures.h"

#include <skive/prune.h>
#include <skive/share.h>

enum { BATCH = 30 };

static void name_feature(skive_graph *g, const char *name) {
    for (size_t i = 0; i < skive_graph_node_count(g); i++) {
        skive_node *n = skive_graph_node(g, i);
        if (strcmp(skive_node_op(n), "Relu") == 0) skv_test_ok(n->graph->ctx, skv_value_rename(n->outputs[0], name));
    }
}

typedef struct trace {
    double first, last;
    size_t params;
} trace;

static skive_status note_loss(void *self, const skv_watch *w, bool *counts, bool *stop) {
    trace *t = self;
    (void)counts;
    (void)stop;
    if (w->epoch == 1) t->first = w->row->loss;
    t->last = w->row->loss;
    t->params = skv_trainer_param_count(w->trainer);
    return SKIVE_OK;
}

/* Nothing but the hint is learned: the model's feature comes near the teacher's, through a layer that vanishes. */
static void a_hint_brings_features_together(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *student = small_cnn(ctx, false), *teacher = small_cnn(ctx, false);
    (void)state;
    name_feature(student, "features");
    name_feature(teacher, "taught");
    float *w = skive_graph_find_value(teacher, "conv.weight")->storage->tensor.data;
    for (int i = 0; i < 36; i++) w[i] = (float)skv_rng_normal(5, 5, (uint64_t)i);
    const skv_term term = {
        .loss = skv_loss_find("match"), .weight = 1, .temperature = 1, .feature = "features", .example = "taught"};
    const skv_teacher from = {.graph = teacher, .student = student};
    const skv_objective o = {.terms = &term, .n_terms = 1, .teachers = &from, .n_teachers = 1};
    skive_train_options how = settings(12, BATCH);
    const size_t values = skive_graph_value_count(student);
    trace t = {0};
    const skv_watcher watcher = {.name = "loss", .epoch = note_loss, .self = &t};
    skv_fit fit = {.model = student,
                   .train = set,
                   .options = &how,
                   .objective = &o,
                   .watchers = &watcher,
                   .n_watchers = 1,
                   .what = "train"};
    skv_test_ok(ctx, skv_fit_run(ctx, &fit, NULL));
    assert_int_equal(t.params, 6); /* five of the model, one of the term */
    assert_int_equal(skive_graph_value_count(student), values);
    if (!(t.last < 0.5 * t.first)) fail_msg("the hint was %g and is %g", t.first, t.last);
    skive_graph_free(student);
    skive_graph_free(teacher);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

static void the_norm_of_channels_is_limited(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = small_cnn(ctx, false);
    skive_train_options how = settings(4, BATCH);
    (void)state;
    how.rules = "fc.weight=max-norm:0.25";
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &how, NULL, 0, NULL));
    const float *w = data_of(g, "fc.weight");
    for (int c = 0; c < CLASSES; c++) {
        double sum = 0;
        for (int i = 0; i < 4 * PIXELS; i++) sum += (double)(w[c * 4 * PIXELS + i] * w[c * 4 * PIXELS + i]);
        assert_true(sqrt(sum) < 0.25 * (1 + 1e-5));
        assert_true(sqrt(sum) > 0.2); /* it was larger before */
    }
    assert_string_equal(skive_graph_meta(g, "skive.rules"), "fc.weight=max-norm:0.25");
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* The weights of an op that is new to all methods are trained, pruned and shared. */
static skive_graph *dense_net(skive_context *ctx) {
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    const int64_t a[2] = {8, PIXELS}, b_[2] = {CLASSES, 8};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skive_tensor t[2] = {skv_test_random(ctx, SKIVE_F32, 2, a, 1, -0.3, 0.3),
                         skv_test_random(ctx, SKIVE_F32, 2, b_, 2, -0.5, 0.5)};
    skive_value *w[2];
    skv_test_ok(ctx, skive_graph_create(ctx, "dense", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    for (int i = 0; i < 2; i++) {
        skv_test_ok(ctx, skive_graph_add_parameter(g, i ? "second" : "first", &t[i], &w[i]));
        skive_tensor_free(ctx, &t[i]);
    }
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Dense", SKV_IN(skv_emit(&b, "Flatten", SKV_IN(x), SKV_NONE), w[0]), SKV_NONE);
    y = skv_emit(&b, "Dense", SKV_IN(skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE), w[1]), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static void weights_of_a_new_op_are_known_to_all_methods(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN), *held_out = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_graph *g = dense_net(ctx);
    skive_train_options how = settings(10, BATCH);
    skive_prune_options p = skive_prune_options_default();
    skive_prune_report pruned;
    skive_share_options s = skive_share_options_default();
    skive_share_report shared;
    skive_eval_report e;
    (void)state;
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &how, NULL, 0, NULL));
    skv_test_ok(ctx, skive_evaluate(ctx, g, held_out, 50, &e));
    if (!(e.accuracy > 0.8)) fail_msg("accuracy is %g", e.accuracy);
    skive_eval_report_free(ctx, &e);
    p.sparsity = 0.5;
    skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &p, &pruned));
    assert_int_equal(pruned.n_layers, 2);
    assert_int_equal(pruned.kept, (8 * PIXELS + CLASSES * 8) / 2);
    skive_prune_report_free(ctx, &pruned);
    s.bits = 3;
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &s, &shared));
    assert_int_equal(shared.count, 8 * PIXELS + CLASSES * 8);
    skive_share_report_free(ctx, &shared);
    skive_graph_free(g);
    skive_dataset_free(held_out);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* A channel that is silent behind its Relu has no gradient, nor have the weights that read it: they go first, and they
 * are a quarter of all. */
static void a_criterion_looks_at_gradients(void **state) {
    enum { SILENT = 2 };
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = small_cnn(ctx, false);
    skive_prune_options o = skive_prune_options_default();
    (void)state;
    ((float *)skive_graph_find_value(g, "shift")->storage->tensor.data)[SILENT] = -1000;
    o.criterion = "steepness:batches=3";
    o.sparsity = 0.25;
    o.layer_floor = 0;
    skv_test_ok(ctx, skive_prune(ctx, g, set, NULL, &o, NULL));
    for (int i = 0; i < 4 * 9; i++) assert_true((data_of(g, "conv.weight")[i] == 0) == (i / 9 == SILENT));
    for (int i = 0; i < CLASSES * 4 * PIXELS; i++)
        assert_true((data_of(g, "fc.weight")[i] == 0) == (i / PIXELS % 4 == SILENT));
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* A neuron that never answers takes its large weights with it, which their size alone would keep. */
static void a_criterion_sees_gradients(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    (void)state;
    for (int k = 0; k < 2; k++) {
        skive_graph *g = dense_net(ctx);
        skive_prune_options p = skive_prune_options_default();
        float *first = skive_graph_find_value(g, "first")->storage->tensor.data,
              *second = skive_graph_find_value(g, "second")->storage->tensor.data;
        for (int i = 0; i < PIXELS; i++) first[i] = 0;
        for (int c = 0; c < CLASSES; c++) second[8 * c] = 5;
        p.criterion = k ? "steepness:batches=2" : "magnitude";
        p.sparsity = 0.4;
        p.layer_floor = 0;
        skv_test_ok(ctx, skive_prune(ctx, g, set, NULL, &p, NULL));
        for (int c = 0; c < CLASSES; c++) assert_true(data_of(g, "second")[8 * c] == (k ? 0 : 5));
        skive_graph_free(g);
    }
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hint_brings_features_together),
        cmocka_unit_test(the_norm_of_channels_is_limited),
        cmocka_unit_test(a_criterion_sees_gradients),
        cmocka_unit_test(weights_of_a_new_op_are_known_to_all_methods),
        cmocka_unit_test(a_criterion_looks_at_gradients),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
