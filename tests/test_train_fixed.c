/* Training of models with a fixed batch: the same numbers as with an open one. */
#include "train_fixtures.h"

#include <skive/distill.h>
#include <skive/eval.h>
#include <skive/prune.h>
#include <skive/share.h>

/* small_cnn for `batch` samples a run (0: open), flattened by a shape that says so. */
static skive_graph *fixed_cnn(skive_context *ctx, int64_t batch) {
    skive_graph *g = small_cnn(ctx, false);
    if (batch < 1) return g;
    g->inputs[0]->type.dims[0] = (skive_dim){batch, NULL};
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        skive_node *n = g->nodes[i];
        if (!skv_node_is(n, SKV_OP_FLATTEN)) continue;
        skv_builder b = skv_build(g);
        skive_value *flat =
            skv_emit(&b, "Reshape", SKV_IN(n->inputs[0], skv_emit_ints(&b, (int64_t[]){batch, -1}, 2)), SKV_NONE);
        skv_test_ok(ctx, b.status);
        skv_test_ok(ctx, skv_value_replace_uses(n->outputs[0], flat, true));
        skv_test_ok(ctx, skv_graph_remove_node(n));
        break;
    }
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

typedef skive_status (*job)(skive_context *ctx, skive_graph *g, skive_dataset *train, skive_dataset *validation);

static skive_status train(skive_context *ctx, skive_graph *g, skive_dataset *t, skive_dataset *v) {
    const skive_train_options o = settings(2, 32);
    return skive_train(ctx, g, t, v, &o, NULL, 0, NULL);
}
static skive_status prune(skive_context *ctx, skive_graph *g, skive_dataset *t, skive_dataset *v) {
    skive_prune_options o = skive_prune_options_default();
    skive_train_options tune = skive_prune_finetune_default();
    o.finetune = &tune;
    o.sparsity = 0.5;
    tune = settings(1, 32);
    o.distill_alpha = 0.5; /* taught by the model itself, whose batch is fixed too */
    return skive_prune(ctx, g, t, v, &o, NULL);
}
static skive_status share(skive_context *ctx, skive_graph *g, skive_dataset *t, skive_dataset *v) {
    skive_share_options o = skive_share_options_default();
    skive_train_options tune = skive_share_finetune_default();
    o.finetune = &tune;
    o.plain = true;
    tune.epochs = 1;
    tune.batch = 32;
    return skive_share(ctx, g, t, v, &o, NULL);
}
static skive_status distill(skive_context *ctx, skive_graph *g, skive_dataset *t, skive_dataset *v) {
    skive_distill_options o = skive_distill_options_default();
    skive_train_options how = skive_train_options_default();
    o.train = &how;
    skive_graph *teacher = fixed_cnn(ctx, 8);
    how = settings(1, 32);
    const skive_status status = skive_distill(ctx, g, teacher, t, v, &o, NULL);
    skive_graph_free(teacher);
    return status;
}

static uint64_t result_of(job run, int64_t batch) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = fixed_cnn(ctx, batch);
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN), *v = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    skv_test_ok(ctx, run(ctx, g, t, v));
    assert_int_equal(g->inputs[0]->type.dims[0].size, batch < 1 ? -1 : batch);
    uint64_t h = 0;
    const char *const names[] = {"conv.weight", "scale",     "shift",  "running.mean",
                                 "running.var", "fc.weight", "fc.bias"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const skive_tensor *p = skive_value_data(skive_graph_find_value(g, names[i]));
        if (p) h = skv_hash64(p->data, skive_tensor_bytes(p), h);
    }
    skive_dataset_free(t);
    skive_dataset_free(v);
    skive_graph_free(g);
    skv_test_context_end(ctx);
    return h;
}

static void the_same_as_with_an_open_batch(void **state) {
    (void)state;
    const job jobs[] = {train, prune, share, distill};
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
        const uint64_t open = result_of(jobs[i], 0);
        assert_true(result_of(jobs[i], 1) == open);
        assert_true(result_of(jobs[i], 8) == open);
    }
}

static void a_model_that_picks_a_sample_is_refused(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = fixed_cnn(ctx, 1);
    skv_builder b = skv_build(g);
    skive_value *row = skv_emit(&b, "Gather", SKV_IN(g->outputs[0], skv_emit_scalar(&b, SKIVE_I64, 0)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skv_graph_remove_output(g, 0));
    skv_test_ok(ctx, skive_graph_add_output(g, row));
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    const skive_train_options o = settings(1, 32);
    skv_test_fails(ctx, skive_train(ctx, g, t, NULL, &o, NULL, 0, NULL), SKIVE_ERR_SHAPE, "(Gather) joins the samples");
    skive_dataset_free(t);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* The last batch of 150 samples is not whole, whether the model takes 1, 8 or 100. */
static void evaluation_is_the_same(void **state) {
    (void)state;
    const int64_t batches[] = {0, 1, 8, 149};
    double accuracy[4];
    for (size_t i = 0; i < 4; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = fixed_cnn(ctx, batches[i]);
        skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
        skive_eval_report r;
        skv_test_ok(ctx, skive_evaluate(ctx, g, t, 0, &r));
        assert_int_equal(r.n, TESTING);
        accuracy[i] = r.accuracy;
        skive_eval_report_free(ctx, &r);
        skive_dataset_free(t);
        skive_graph_free(g);
        skv_test_context_end(ctx);
        assert_true(accuracy[i] == accuracy[0]);
    }
}

/* Normalisations whose gradients ask for shapes. */
static void norms_train_with_an_open_batch(void **state) {
    (void)state;
    const char *const ops[] = {"InstanceNormalization", "GroupNormalization", "LayerNormalization", "LpNormalization"};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        enum { C = 4 };
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skive_value *x = NULL;
        const skive_type type = {
            .dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {-1, "H"}, {SIDE, NULL}}};
        const int64_t w[4] = {C, 1, 3, 3}, c[1] = {i == 2 ? SIDE - 2 : C}, f[2] = {C, CLASSES}, k[1] = {CLASSES};
        skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
        skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
        skv_builder b = skv_build(g);
        skive_value *y = skv_emit(&b, "Conv", SKV_IN(x, parameter(&b, "w", 4, w, 1, -0.4, 0.4)), SKV_NONE);
        skive_value *scale = parameter(&b, "scale", 1, c, 2, 0.9, 1.1),
                    *shift = parameter(&b, "shift", 1, c, 3, -0.1, 0.1);
        if (i == 1)
            y = skv_emit(&b, ops[i], SKV_IN(y, scale, shift), SKV_ATTRS(SKV_INT("num_groups", 2)));
        else if (i < 3)
            y = skv_emit(&b, ops[i], SKV_IN(y, scale, shift), SKV_NONE);
        else
            y = skv_emit(&b, ops[i], SKV_IN(y), SKV_ATTRS(SKV_INT("axis", 1)));
        y = skv_emit(&b, "Flatten", SKV_IN(skv_emit(&b, "GlobalAveragePool", SKV_IN(y), SKV_NONE)), SKV_NONE);
        y = skv_emit(&b, "Gemm", SKV_IN(y, parameter(&b, "fw", 2, f, 4, -1, 1), parameter(&b, "fb", 1, k, 5, 0, 0)),
                     SKV_NONE);
        skv_test_ok(ctx, b.status);
        skv_test_ok(ctx, skive_graph_add_output(g, y));
        if (i > 2) { /* nothing reads them */
            skv_test_ok(ctx, skv_graph_remove_value(scale));
            skv_test_ok(ctx, skv_graph_remove_value(shift));
        }
        skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN), *v = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
        const skive_train_options o = settings(1, 32);
        const uint64_t before = fingerprint(g);
        skv_test_ok(ctx, skive_train(ctx, g, t, v, &o, NULL, 0, NULL));
        assert_true(fingerprint(g) != before);
        skive_dataset_free(t);
        skive_dataset_free(v);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_as_with_an_open_batch),
        cmocka_unit_test(a_model_that_picks_a_sample_is_refused),
        cmocka_unit_test(evaluation_is_the_same),
        cmocka_unit_test(norms_train_with_an_open_batch),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
