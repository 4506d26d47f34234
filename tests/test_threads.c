/* Concurrent use from many threads: running one plan, each thread with its own exec and context; loading and planning
 * in separate contexts; reading batches from loader threads. Also built with the thread sanitizer, which is why every
 * context here has one OpenMP thread: the sanitizer cannot see GNU OpenMP's own synchronisation. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skive/data.h>
#include <skive/exec.h>
#include <skive/onnx.h>
#include <skive/quant.h>
#include <skive/zoo.h>

#include "base/base.h"
#include "support.h"

#include <cmocka.h>

enum { THREADS = 4, CLASSES = 10, SAMPLES = 24, SIDE = 12 };

static char folder[SKV_TEST_PATH], data[2 * SKV_TEST_PATH + 8], model[SKV_TEST_PATH];

static skive_context *one_thread(void) {
    skive_context_options o = skive_context_options_default();
    skive_context *ctx = NULL;
    o.threads = 1;
    return skive_context_create(&o, &ctx) == SKIVE_OK ? ctx : NULL;
}

static int set_up(void **state) {
    skive_context *ctx = one_thread();
    const int64_t dims[4] = {SAMPLES, 1, SIDE, SIDE};
    char x_path[SKV_TEST_PATH], y_path[SKV_TEST_PATH];
    skive_zoo_options o = skive_zoo_options_default();
    skive_graph *g = NULL;
    skive_tensor y;
    (void)state;
    assert_non_null(ctx);
    skv_test_make_dir(folder);
    skive_tensor x = skv_test_random(ctx, SKIVE_F32, 4, dims, 3, 0, 1);
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_I64, 1, dims, &y));
    for (int i = 0; i < SAMPLES; i++) skive_tensor_set(&y, i, i % CLASSES);
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, skv_test_path(x_path, folder, "x.npy"), &x));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, skv_test_path(y_path, folder, "y.npy"), &y));
    snprintf(data, sizeof data, "npy:%s,%s", x_path, y_path);
    o.dims[1] = o.dims[2] = SIDE;
    skv_test_ok(ctx, skive_zoo_build(ctx, "resnet20:0.5", &o, &g));
    skv_test_ok(ctx, skive_onnx_save(ctx, g, skv_test_path(model, folder, "model.onnx"), NULL));
    skive_graph_free(g);
    skive_tensor_free(ctx, &x);
    skive_tensor_free(ctx, &y);
    skive_context_free(ctx);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    skv_test_remove_dir(folder);
    return 0;
}

static skive_dataset *open_data(skive_context *ctx) {
    skive_dataset_options o = skive_dataset_options_default();
    skive_dataset *d = NULL;
    o.split = SKIVE_SPLIT_TRAIN_FULL;
    skv_test_ok(ctx, skive_dataset_open(ctx, data, &o, &d));
    return d;
}

typedef struct worker {
    const skive_plan *plan; /* NULL: the worker loads and plans by itself */
    pthread_t thread;
    float scores[CLASSES];
    int seed;
} worker;

/* Assertions belong to the main thread; a worker gives NULL when something failed. */
static bool run_some(skive_context *ctx, const skive_plan *plan, worker *w, int rounds) {
    skive_exec *exec = NULL;
    skive_tensor view;
    bool good = skive_exec_create(ctx, plan, &exec) == SKIVE_OK;
    for (int round = 0; good && round < rounds; round++) {
        good = skive_exec_input(exec, 0, &view) == SKIVE_OK;
        for (int64_t i = 0; good && i < skive_tensor_count(&view); i++) {
            ((float *)view.data)[i] = (float)skv_rng_normal((uint64_t)w->seed, 0, (uint64_t)i);
        }
        good = good && skive_exec_run(exec) == SKIVE_OK && skive_exec_output(exec, 0, &view) == SKIVE_OK;
        if (good) memcpy(w->scores, view.data, sizeof w->scores);
    }
    skive_exec_free(exec);
    return good;
}

static void *work(void *user) {
    worker *w = user;
    skive_context *ctx = one_thread();
    skive_graph *g = NULL;
    skive_plan *own = NULL;
    bool good = ctx != NULL;
    if (good && !w->plan) {
        good = skive_onnx_load(ctx, model, NULL, &g) == SKIVE_OK && skive_plan_create(ctx, g, NULL, &own) == SKIVE_OK;
    }
    good = good && run_some(ctx, w->plan ? w->plan : own, w, w->plan ? 10 : 1);
    skive_plan_free(own);
    skive_graph_free(g);
    skive_context_free(ctx);
    return good ? w : NULL;
}

/* Each worker alone, then all together: the same bits. */
static void compare(const skive_plan *plan) {
    worker alone[THREADS], together[THREADS];
    for (int i = 0; i < THREADS; i++) {
        alone[i] = together[i] = (worker){.plan = plan, .seed = i};
        assert_non_null(work(&alone[i]));
    }
    assert_memory_not_equal(alone[0].scores, alone[1].scores, sizeof alone[0].scores);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&together[i].thread, NULL, work, &together[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        assert_int_equal(pthread_join(together[i].thread, &result), 0);
        assert_non_null(result);
        assert_memory_equal(together[i].scores, alone[i].scores, sizeof alone[i].scores);
    }
}

static void threads_share_a_plan(void **state) {
    (void)state;
    for (int quantized = 0; quantized < 2; quantized++) {
        for (int reference = 0; reference < 2; reference++) {
            skive_context *ctx = one_thread();
            skive_plan_options o = skive_plan_options_default();
            skive_graph *g = NULL;
            skive_plan *plan = NULL;
            assert_non_null(ctx);
            skv_test_ok(ctx, skive_onnx_load(ctx, model, NULL, &g));
            if (quantized) {
                skive_quantize_options q = skive_quantize_options_default();
                skive_dataset *d = open_data(ctx);
                q.samples = 8;
                skv_test_ok(ctx, skive_quantize(ctx, g, d, &q, NULL));
                skive_dataset_free(d);
            }
            o.reference = reference;
            skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
            skive_graph_free(g); /* the plan stands by itself */
            compare(plan);
            skive_plan_free(plan);
            skive_context_free(ctx);
        }
    }
}

static void contexts_do_not_meet(void **state) {
    (void)state;
    compare(NULL);
}

/* Batches are the same whoever makes them. */
static void loader_threads_give_the_same_batches(void **state) {
    skive_context *ctx = one_thread();
    uint64_t hash[3] = {0};
    (void)state;
    assert_non_null(ctx);
    skive_dataset *d = open_data(ctx);
    for (int threads = 0; threads < 3; threads++) {
        skive_loader_options o = skive_loader_options_default();
        skive_loader *loader = NULL;
        o.batch = 5;
        o.threads = 2 * threads;
        o.transforms = "crop:1,flip,rotate:10";
        skv_test_ok(ctx, skive_loader_create(ctx, d, &o, &loader));
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            skive_batch batch;
            skv_test_ok(ctx, skive_loader_start_epoch(loader, epoch));
            for (;;) {
                skv_test_ok(ctx, skive_loader_next(loader, &batch));
                if (batch.end) break;
                hash[threads] = skv_hash64(batch.x.data, skive_tensor_bytes(&batch.x), hash[threads]);
                if (epoch == 1) break; /* an epoch cut short while batches are being made */
            }
        }
        skive_loader_free(loader);
    }
    assert_true(hash[0] == hash[1] && hash[0] == hash[2]);
    skive_dataset_free(d);
    skive_context_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_share_a_plan),
        cmocka_unit_test(contexts_do_not_meet),
        cmocka_unit_test(loader_threads_give_the_same_batches),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
