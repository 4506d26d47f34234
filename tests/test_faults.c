/* Every allocation of every stage may fail: load, plan, run, a training step, prune, quantize, save. The result must be
 * a clean status without leaks, and an existing file must be intact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skive/distill.h>
#include <skive/exec.h>
#include <skive/onnx.h>
#include <skive/prune.h>
#include <skive/quant.h>
#include <skive/share.h>
#include <skive/zoo.h>

#include "support.h"
#include "train/train.h"

#include <cmocka.h>

typedef struct job {
    char model[SKV_TEST_PATH], saved[SKV_TEST_PATH], data[3 * SKV_TEST_PATH], folder[SKV_TEST_PATH];
} job;

static job the_job;

static void write_idx(const char *path, const unsigned char *header, size_t header_bytes, size_t n, int classes) {
    unsigned char *bytes = malloc(header_bytes + n);
    assert_non_null(bytes);
    memcpy(bytes, header, header_bytes);
    for (size_t i = 0; i < n; i++) {
        bytes[header_bytes + i] = (unsigned char)(classes ? i % (size_t)classes : skv_rng_below(3, 0, i, 256));
    }
    skv_test_write_file(path, bytes, header_bytes + n);
    free(bytes);
}

static int set_up(void **state) {
    static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 24, 0, 0, 0, 12, 0, 0, 0, 12},
                               labels[] = {0, 0, 8, 1, 0, 0, 0, 24};
    char x[SKV_TEST_PATH], y[SKV_TEST_PATH];
    skive_zoo_options o = skive_zoo_options_default();
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    (void)state;
    skv_test_make_dir(the_job.folder);
    skv_test_path(the_job.model, the_job.folder, "model.onnx");
    skv_test_path(the_job.saved, the_job.folder, "saved.onnx");
    write_idx(skv_test_path(x, the_job.folder, "x.idx"), images, sizeof images, 24 * 144, 0);
    write_idx(skv_test_path(y, the_job.folder, "y.idx"), labels, sizeof labels, 24, 3);
    snprintf(the_job.data, sizeof the_job.data, "idx:%s,%s", x, y);
    o.dims[1] = o.dims[2] = 12;
    o.classes = 3;
    skv_test_ok(ctx, skive_zoo_build(ctx, "vgg-small:0.05", &o, &g));
    skv_test_ok(ctx, skive_onnx_save(ctx, g, the_job.model, NULL));
    skv_test_ok(ctx, skive_onnx_save(ctx, g, the_job.saved, NULL));
    skive_graph_free(g);
    skv_test_context_end(ctx);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    skv_test_remove_dir(the_job.folder);
    return 0;
}

static skive_status load(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    (void)user;
    const skive_status status = skive_onnx_load(ctx, the_job.model, NULL, &g);
    skive_graph_free(g);
    return status;
}

static skive_status plan_and_run(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    (void)user;
    skive_status status = skive_onnx_load(ctx, the_job.model, NULL, &g);
    if (status == SKIVE_OK) status = skive_plan_create(ctx, g, NULL, &plan);
    if (status == SKIVE_OK) status = skive_exec_create(ctx, plan, &exec);
    if (status == SKIVE_OK) status = skive_exec_profile(exec, true);
    if (status == SKIVE_OK) status = skive_exec_run(exec);
    skive_exec_free(exec);
    skive_plan_free(plan);
    skive_graph_free(g);
    return status;
}

static skive_status open_all(skive_context *ctx, skive_graph **g, skive_dataset **d) {
    skive_dataset_options o = skive_dataset_options_default();
    o.split = SKIVE_SPLIT_TRAIN_FULL;
    skive_status status = skive_onnx_load(ctx, the_job.model, NULL, g);
    if (status == SKIVE_OK) status = skive_dataset_open(ctx, the_job.data, &o, d);
    return status;
}

static skive_train_options one_epoch(void) {
    skive_train_options o = skive_train_options_default();
    o.epochs = 1;
    o.batch = 12;
    return o;
}

/* The parameters, so that a failed job can be seen to have left them. */
static uint64_t fingerprint(const skive_graph *g) {
    uint64_t h = 0;
    for (size_t i = 0; i < skive_graph_value_count(g); i++) {
        const skive_tensor *t = skive_value_data(skive_graph_value(g, i));
        if (t) h = skv_hash64(t->data, skive_tensor_bytes(t), h);
    }
    return h;
}

/* `user`: NULL, or which of two options that exclude one another is on, with all others. */
static skive_status train(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skive_dataset *d = NULL;
    skive_train_options o = one_epoch();
    if (user) {
        o.recompute = o.deterministic = true;
        o.clip_value = o.clip_norm = 1;
        o.accumulate = 2;
        o.epochs = 2;
        o.unfreeze = "1:*bias";
        o.optimizer = "lamb:beta2=0.9";
        o.schedule = "multi-step:at=1";
        if (strcmp(user, "swa") == 0)
            o.swa = "0,batches=1";
        else
            o.ema = 0.9;
    }
    skive_status status = open_all(ctx, &g, &d);
    if (status == SKIVE_OK) {
        const uint64_t before = fingerprint(g);
        status = skive_train(ctx, g, d, NULL, &o, NULL, 0, NULL);
        assert_true(status == SKIVE_OK ? fingerprint(g) != before : fingerprint(g) == before);
    }
    skive_dataset_free(d);
    skive_graph_free(g);
    return status;
}

static skive_status distill(skive_context *ctx, void *user) {
    skive_graph *teacher = NULL, *student = NULL;
    skive_dataset *d = NULL;
    skive_distill_options o = skive_distill_options_default();
    skive_train_options how = skive_train_options_default();
    o.train = &how;
    skive_zoo_options z = skive_zoo_options_default();
    (void)user;
    how = one_epoch();
    z.dims[1] = z.dims[2] = 12;
    z.classes = 3;
    skive_status status = open_all(ctx, &teacher, &d);
    if (status == SKIVE_OK) status = skive_zoo_build(ctx, "mlp:5", &z, &student);
    if (status == SKIVE_OK) status = skive_distill(ctx, student, teacher, d, NULL, &o, NULL);
    skive_dataset_free(d);
    skive_graph_free(student);
    skive_graph_free(teacher);
    return status;
}

static skive_status prune_with(skive_context *ctx, const skive_prune_options *options) {
    skive_graph *g = NULL;
    skive_dataset *d = NULL;
    skive_prune_options o = *options;
    skive_prune_report r = {0};
    const skive_train_options tune = one_epoch();
    o.finetune = &tune;
    skive_status status = open_all(ctx, &g, &d);
    if (status == SKIVE_OK) {
        const uint64_t before = fingerprint(g);
        status = skive_prune(ctx, g, d, NULL, &o, &r);
        assert_true(status == SKIVE_OK || fingerprint(g) == before);
    }
    skive_prune_report_free(ctx, &r);
    skive_dataset_free(d);
    skive_graph_free(g);
    return status;
}

static skive_status prune(skive_context *ctx, void *user) {
    const skive_prune_options o = skive_prune_options_default();
    (void)user;
    return prune_with(ctx, &o);
}

static skive_status prune_surgically(skive_context *ctx, void *user) {
    skive_prune_options o = skive_prune_options_default();
    (void)user;
    o.criterion = "lamp";
    o.schedule = "iterative";
    o.surgery = true;
    o.distill_alpha = 0.5;
    return prune_with(ctx, &o);
}

static skive_status prune_below(skive_context *ctx, void *user) {
    skive_prune_options o = skive_prune_options_default();
    const skive_prune_ratio own = {"fc1.weight", 0.5};
    (void)user;
    o.sparsity = 0;
    o.threshold_std = 100; /* every layer comes to its floor */
    o.ratios = &own;
    o.n_ratios = 1;
    return prune_with(ctx, &o);
}

static skive_status quantize(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skive_dataset *d = NULL;
    skive_quantize_options o = skive_quantize_options_default();
    skive_quantize_report r = {0};
    (void)user;
    o.samples = 2;
    skive_status status = open_all(ctx, &g, &d);
    if (status == SKIVE_OK) {
        const uint64_t before = fingerprint(g);
        status = skive_quantize(ctx, g, d, &o, &r);
        assert_true(status == SKIVE_OK || fingerprint(g) == before);
    }
    skive_quantize_report_free(ctx, &r);
    skive_dataset_free(d);
    skive_graph_free(g);
    return status;
}

static skive_status share_with(skive_context *ctx, skive_share_options *o) {
    skive_graph *g = NULL;
    skive_dataset *d = NULL;
    skive_share_report r = {0};
    const skive_train_options tune = one_epoch();
    o->finetune = &tune;
    skive_status status = open_all(ctx, &g, &d);
    if (status == SKIVE_OK) {
        const uint64_t before = fingerprint(g);
        status = skive_share(ctx, g, d, NULL, o, &r);
        assert_true(status == SKIVE_OK || fingerprint(g) == before);
    }
    skive_share_report_free(ctx, &r);
    skive_dataset_free(d);
    skive_graph_free(g);
    return status;
}

static skive_status share(skive_context *ctx, void *user) {
    skive_share_options o = skive_share_options_default();
    o.init = user;
    o.bits = 2;
    o.one_codebook = o.plain = strcmp(user, "random") == 0;
    return share_with(ctx, &o);
}

static skive_status hash(skive_context *ctx, void *user) {
    skive_share_options o = skive_share_options_default();
    (void)user;
    o.hash = 4;
    return share_with(ctx, &o);
}

static skive_status tie(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    (void)user;
    skive_status status = skive_onnx_load(ctx, the_job.model, NULL, &g);
    if (status == SKIVE_OK) {
        const size_t before = skive_graph_value_count(g);
        const char *first = NULL, *second = NULL;
        for (size_t i = 0; i < before && !second; i++) { /* two biases or the like of the same shape */
            const skive_value *a = skive_graph_value(g, i);
            for (size_t k = i + 1; k < before && !second && skive_value_data(a); k++) {
                const skive_value *b = skive_graph_value(g, k);
                if (!skive_value_data(b) || !skv_type_same_static(skive_value_type(a), skive_value_type(b))) continue;
                first = skive_value_name(a);
                second = skive_value_name(b);
            }
        }
        assert_non_null(second);
        status = skive_share_tie(ctx, g, first, second);
        assert_int_equal(skive_graph_value_count(g), status == SKIVE_OK ? before - 1 : before);
    }
    skive_graph_free(g);
    return status;
}

static skive_status evaluate(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skive_dataset *d = NULL;
    skive_eval_report r = {0};
    (void)user;
    skive_status status = open_all(ctx, &g, &d);
    if (status == SKIVE_OK) status = skive_evaluate(ctx, g, d, 8, &r);
    skive_eval_report_free(ctx, &r);
    skive_dataset_free(d);
    skive_graph_free(g);
    return status;
}

static skive_status save(skive_context *ctx, void *user) {
    skive_graph *g = NULL, *again = NULL;
    (void)user;
    skive_status status = skive_onnx_load(ctx, the_job.model, NULL, &g);
    if (status == SKIVE_OK) {
        status = skive_onnx_save(ctx, g, the_job.saved, NULL);
        if (status != SKIVE_OK) {
            /* What stood there before still loads, and no temporary file is left. */
            skive_context *calm = skv_test_context();
            skv_test_ok(calm, skive_onnx_load(calm, the_job.saved, NULL, &again));
            skive_graph_free(again);
            skv_test_context_end(calm);
            assert_int_equal(skv_test_dir_entries(the_job.folder), 4);
        }
    }
    skive_graph_free(g);
    return status;
}

static void walk_with(skv_test_body body, char *what, long step) {
    assert_true(skv_test_walk_allocations(body, what, step) > 10);
}
static void walk(skv_test_body body, long step) { walk_with(body, NULL, step); }

static void loading(void **state) { (void)state, walk(load, 1); }
static void planning_and_running(void **state) { (void)state, walk(plan_and_run, 1); }
static void training(void **state) {
    (void)state;
    walk(train, 5);
    walk_with(train, "swa", 17);
    walk_with(train, "ema", 19);
}
static void distilling(void **state) { (void)state, walk(distill, 7); }
static void pruning(void **state) { (void)state, walk(prune, 7); }
static void pruning_surgically(void **state) { (void)state, walk(prune_surgically, 11); }
static void pruning_below(void **state) { (void)state, walk(prune_below, 11); }
static void quantizing(void **state) { (void)state, walk(quantize, 5); }
static void sharing(void **state) {
    (void)state;
    walk_with(share, "exact", 5);
    walk_with(share, "random", 6);
}
static void hashing(void **state) { (void)state, walk(hash, 5); }
static void tying(void **state) { (void)state, walk(tie, 1); }
static void evaluating(void **state) { (void)state, walk(evaluate, 3); }
static void saving(void **state) { (void)state, walk(save, 1); }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loading),       cmocka_unit_test(planning_and_running),
        cmocka_unit_test(training),      cmocka_unit_test(distilling),
        cmocka_unit_test(pruning),       cmocka_unit_test(pruning_surgically),
        cmocka_unit_test(pruning_below), cmocka_unit_test(quantizing),
        cmocka_unit_test(sharing),       cmocka_unit_test(hashing),
        cmocka_unit_test(tying),         cmocka_unit_test(evaluating),
        cmocka_unit_test(saving),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
