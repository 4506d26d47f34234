/* Progressive learning: the stages of a run, the model that each of them trains, and that a run which is stopped in any
 * stage and resumed gives the bits of one that was not. */
#include "train_fixtures.h"

#include <unistd.h>

#include <skive/exec.h>

#include "base/context.h"
#include "data/data.h"
#include "train/stages.h"

enum { EPOCHS = 4, BATCH = 40, STEPS = 5 }; /* of an epoch: 220 training samples */

/* small_cnn with global pooling, so that images may have any size. */
static skive_graph *any_size(skive_context *ctx) {
    enum { C = 4 };
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    const int64_t w[4] = {C, 1, 3, 3}, f[2] = {CLASSES, C}, k[1] = {CLASSES}, pads[4] = {1, 1, 1, 1};
    skv_test_ok(ctx, skive_graph_create(ctx, "any", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Conv", SKV_IN(x, parameter(&b, "conv.weight", 4, w, 1, -0.4, 0.4)),
                              SKV_ATTRS(SKV_INTS("pads", pads, 4)));
    y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    y = skv_emit(&b, "Dropout", SKV_IN(y, skv_emit_scalar(&b, SKIVE_F32, 0.25)), SKV_NONE);
    y = skv_emit(&b, "GlobalAveragePool", SKV_IN(y), SKV_NONE);
    y = skv_emit(&b, "Flatten", SKV_IN(y), SKV_NONE);
    y = skv_emit(
        &b, "Gemm",
        SKV_IN(y, parameter(&b, "fc.weight", 2, f, 6, -0.5, 0.5), parameter(&b, "fc.bias", 1, k, 7, -0.1, 0.1)),
        SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static void feeds_of(skive_context *ctx, const skive_graph *g, skv_feeds *out) {
    skive_dataset_info info;
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_dataset_get_info(set, &info);
    skv_test_ok(ctx, skv_feeds_make(ctx, g, &info, out));
    skive_dataset_free(set);
}

static void stages_of_a_run(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = any_size(ctx);
    skv_feeds feeds;
    skv_stages s;
    skive_train_options o = settings(10, BATCH);
    (void)state;
    feeds_of(ctx, g, &feeds);
    skv_test_ok(ctx, skv_stages_find(ctx, &o, g, &feeds, &s));
    assert_int_equal(s.n, 0);
    o.progressive = "until=0.75";
    skv_test_ok(ctx, skv_stages_find(ctx, &o, g, &feeds, &s));
    assert_int_equal(s.n, 4);
    assert_int_equal(s.height, SIDE);
    assert_int_equal(s.width, SIDE);
    /* 0, 2.5 and 5 epochs are where the first three begin; an epoch belongs to the stage in which it begins. */
    for (int e = 0; e < 10; e++) {
        const int64_t stage = e < 3 ? 0 : e < 5 ? 1 : e < 8 ? 2 : 3;
        assert_int_equal(skv_stages_at(&s, e), stage);
    }
    assert_true(skv_test_close(skv_stages_strength(&s, 0), 0.25, 1e-12, 0));
    assert_true(skv_test_close(skv_stages_strength(&s, 1), 0.5, 1e-12, 0));
    assert_true(skv_stages_strength(&s, 3) == 1);
    o.progressive = "size=1.5";
    assert_int_equal(skv_stages_check(ctx, &o), SKIVE_ERR_ARGUMENT);
    skv_feeds_free(&feeds);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void scores_of(skive_context *ctx, const skive_graph *g, const float *x, int64_t side, float out[CLASSES]) {
    skive_plan_options o = skive_plan_options_default();
    skive_shape_binding shape = {.input = "x", .rank = 4, .dims = {1, 1, side, side}};
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor t;
    o.batch = 1;
    o.shapes = &shape;
    o.n_shapes = 1;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &t));
    memcpy(t.data, x, (size_t)(side * side) * sizeof *x);
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &t));
    memcpy(out, t.data, CLASSES * sizeof *out);
    skive_exec_free(exec);
    skive_plan_free(plan);
}

/* Half the size, antialiased: weights 1 3 3 1 along either axis; outside, the border is repeated. */
static void halve(const float *x, float *out) {
    static const double weight[4] = {1 / 8., 3 / 8., 3 / 8., 1 / 8.};
    for (int v = 0; v < SIDE / 2; v++) {
        for (int u = 0; u < SIDE / 2; u++) {
            double sum = 0;
            for (int i = 0; i < 16; i++) {
                const int y = 2 * v - 1 + i / 4, z = 2 * u - 1 + i % 4;
                const int row = y < 0 ? 0 : y < SIDE ? y : SIDE - 1, column = z < 0 ? 0 : z < SIDE ? z : SIDE - 1;
                sum += weight[i / 4] * weight[i % 4] * (double)x[row * SIDE + column];
            }
            out[v * (SIDE / 2) + u] = (float)sum;
        }
    }
}

static void the_model_of_a_stage(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = any_size(ctx), *small = NULL;
    skv_feeds feeds;
    skv_stages s;
    skive_train_options o = settings(EPOCHS, BATCH);
    float x[PIXELS], half[PIXELS / 4], a[CLASSES], b[CLASSES];
    (void)state;
    o.progressive = "strength=0.4";
    feeds_of(ctx, g, &feeds);
    skv_test_ok(ctx, skv_stages_find(ctx, &o, g, &feeds, &s));
    skv_test_ok(ctx, skv_stages_model(ctx, &s, 0, g, &feeds, &small));
    for (int i = 0; i < PIXELS; i++) x[i] = (float)skv_rng_normal(3, 1, (uint64_t)i);
    halve(x, half);
    scores_of(ctx, small, x, SIDE, a);
    g->inputs[0]->type.dims[2] = g->inputs[0]->type.dims[3] = (skive_dim){-1, NULL};
    scores_of(ctx, g, half, SIDE / 2, b);
    for (int c = 0; c < CLASSES; c++)
        if (!skv_test_close((double)a[c], (double)b[c], 1e-5, 1e-6)) fail_msg("%g, not %g", (double)a[c], (double)b[c]);
    assert_ptr_equal(data_of(small, "fc.weight"), data_of(g, "fc.weight"));
    for (uint32_t i = 0; i < small->n_values; i++) {
        const skive_node *n = small->values[i]->producer;
        if (n && strcmp(n->op_type, "Dropout") == 0)
            assert_true(skv_test_close(skive_tensor_get(skv_value_tensor(n->inputs[1]), 0), 0.1, 1e-6, 0));
    }
    skive_graph_free(small);
    skv_feeds_free(&feeds);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Transforms that are left out: none of them, all, or about as many as asked for. */
static void transforms_are_left_out(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    const double parts[3] = {0, 0.5, 1};
    (void)state;
    for (int k = 0; k < 3; k++) {
        skive_loader_options o = skive_loader_options_default();
        skive_loader *l = NULL;
        skive_batch batch;
        int changed = 0, n = 0;
        o.batch = 20;
        o.shuffle = false;
        o.transforms = "vertical-flip:1"; /* always */
        skv_test_ok(ctx, skive_loader_create(ctx, set, &o, &l));
        skv_loader_spare(l, parts[k]);
        skv_test_ok(ctx, skive_loader_start_epoch(l, 2));
        for (;;) {
            skv_test_ok(ctx, skive_loader_next(l, &batch));
            if (batch.end) break;
            for (size_t i = 0; i < batch.count; i++, n++) {
                float plain[PIXELS];
                skv_test_ok(ctx, skive_dataset_read(ctx, set, batch.indices[i], plain, NULL));
                changed += memcmp(plain, (const float *)batch.x.data + i * PIXELS, sizeof plain) != 0;
            }
        }
        const double share = (double)changed / n;
        if (!(fabs(share - (1 - parts[k])) <= (k == 1 ? 0.12 : 0)))
            fail_msg("part %g: %g are changed", parts[k], share);
        skive_loader_free(l);
    }
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

static uint64_t train(skive_context *ctx, const skive_train_options *o, skive_graph *g, skive_status *status) {
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN),
                  *held_out = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    *status = skive_train(ctx, g, set, held_out, o, NULL, 0, NULL);
    const uint64_t bits = *status == SKIVE_OK ? fingerprint(g) : 0;
    skive_graph_free(g);
    skive_dataset_free(held_out);
    skive_dataset_free(set);
    return bits;
}

typedef struct stopper {
    double at; /* steps */
    bool stopped;
} stopper;

static int on_progress(void *user, const char *what, const char *detail, double done, double total, double left) {
    stopper *s = user;
    (void)detail;
    (void)total;
    (void)left;
    usleep(110000); /* progress is reported ten times a second: so every step reports */
    s->stopped = s->stopped || (strcmp(what, "train") == 0 && done >= s->at);
    return s->stopped;
}

static void resumed_in_any_stage(void **state) {
    char path[SKV_TEST_PATH];
    skive_status status;
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_train_options o = settings(EPOCHS, BATCH);
    o.augment = "crop:1,vertical-flip";
    o.optimizer = "adam";
    o.ema = 0.9;
    const uint64_t plain = train(ctx, &o, any_size(ctx), &status);
    o.progressive = "stages=3,until=0.6";
    const uint64_t straight = train(ctx, &o, any_size(ctx), &status);
    skv_test_ok(ctx, status);
    assert_true(straight != plain);
    o.checkpoint = file(path, "stage.ckpt");
    for (int stop = 2; stop < EPOCHS * STEPS; stop += STEPS + 1) {
        stopper s = {.at = stop};
        ctx->progress = on_progress;
        ctx->progress_user = &s;
        (void)train(ctx, &o, any_size(ctx), &status);
        skv_test_fails(ctx, status, SKIVE_ERR_INTERRUPTED, "interrupted");
        ctx->progress = NULL;
        assert_true(train(ctx, &o, any_size(ctx), &status) == straight);
        skv_test_ok(ctx, status);
        assert_int_equal(unlink(path), 0);
    }
    skv_test_context_end(ctx);
}

static void networks_of_one_size_are_refused(void **state) {
    skive_context *ctx = skv_test_context();
    skive_train_options o = settings(EPOCHS, BATCH);
    skive_status status;
    (void)state;
    o.progressive = "size=0.5";
    (void)train(ctx, &o, small_cnn(ctx, true), &status);
    skv_test_fails(ctx, status, SKIVE_ERR_UNSUPPORTED, "progressive needs a network whose images may have any size");
    o.progressive = "nothing=1";
    (void)train(ctx, &o, any_size(ctx), &status);
    assert_int_equal(status, SKIVE_ERR_ARGUMENT);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages_of_a_run),
        cmocka_unit_test(the_model_of_a_stage),
        cmocka_unit_test(transforms_are_left_out),
        cmocka_unit_test(resumed_in_any_stage),
        cmocka_unit_test(networks_of_one_size_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
