/* Loads a model once, makes one plan, runs it from four threads at the same time, and frees everything.
 *
 *     cc -std=c11 threads.c -o threads $(pkg-config --cflags --libs skive) -pthread
 *     ./threads model.onnx
 *
 * A plan is immutable and may be shared; an exec holds the activations of one run, so that each thread has one of its
 * own, made with a context of its own. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <skive/skive.h>

enum { THREADS = 4, RUNS = 8 };

typedef struct worker {
    pthread_t thread;
    const skive_plan *plan;
    double sum; /* of the first output over all runs */
    int failed;
} worker;

static int complain(const skive_context *ctx, skive_status status) {
    const char *message = skive_context_message(ctx);
    fprintf(stderr, "threads: %s\n", message[0] ? message : skive_status_brief(status));
    return 1;
}

/* Fills a float input with numbers between 0 and 1 that depend on the run alone; leaves other types at zero. */
static void fill(const skive_tensor *in, int run) {
    if (in->dtype != SKIVE_F32) return;
    float *x = in->data;
    for (int64_t i = 0; i < skive_tensor_count(in); i++) x[i] = (float)((i * 37 + run * 11) % 101) / 101;
}

static skive_status work(worker *w, skive_exec *exec) {
    for (int run = 0; run < RUNS; run++) {
        skive_tensor view;
        for (size_t i = 0; i < skive_plan_input_count(w->plan); i++) {
            skive_status status = skive_exec_input(exec, i, &view);
            if (status != SKIVE_OK) return status;
            fill(&view, run);
        }
        skive_status status = skive_exec_run(exec);
        if (status == SKIVE_OK) status = skive_exec_output(exec, 0, &view);
        if (status != SKIVE_OK) return status;
        const float *y = view.data;
        for (int64_t i = 0; view.dtype == SKIVE_F32 && i < skive_tensor_count(&view); i++) w->sum += (double)y[i];
    }
    return SKIVE_OK;
}

static void *start(void *user) {
    worker *w = user;
    skive_context *ctx = NULL;
    skive_exec *exec = NULL;
    skive_status status = skive_context_create(NULL, &ctx);
    if (status == SKIVE_OK) status = skive_context_set_threads(ctx, 1);
    if (status == SKIVE_OK) status = skive_exec_create(ctx, w->plan, &exec);
    if (status == SKIVE_OK) status = work(w, exec);
    w->failed = status != SKIVE_OK;
    if (w->failed && ctx) complain(ctx, status);
    skive_exec_free(exec);
    skive_context_free(ctx);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: threads MODEL\n");
        return 2;
    }
    skive_context *ctx = NULL;
    if (skive_context_create(NULL, &ctx) != SKIVE_OK) return 1;

    skive_graph *model = NULL;
    skive_plan *plan = NULL;
    skive_plan_options options = skive_plan_options_default();
    options.threads = 1; /* of one run; the four runs side by side use four */
    skive_status status = skive_model_load(ctx, argv[1], &model);
    if (status == SKIVE_OK) status = skive_plan_create(ctx, model, &options, &plan);
    skive_graph_free(model); /* the plan has what it needs */

    int failed = status == SKIVE_OK ? 0 : complain(ctx, status);
    if (!failed) {
        worker workers[THREADS] = {0};
        int started = 0;
        for (; started < THREADS; started++) {
            workers[started].plan = plan;
            if (pthread_create(&workers[started].thread, NULL, start, &workers[started]) != 0) break;
        }
        for (int i = 0; i < started; i++) {
            pthread_join(workers[i].thread, NULL);
            failed |= workers[i].failed || workers[i].sum != workers[0].sum;
            printf("thread %d: sum of the outputs %.6g\n", i, workers[i].sum);
        }
        failed |= started < THREADS;
    }
    skive_plan_free(plan);
    skive_context_free(ctx);
    return failed;
}
