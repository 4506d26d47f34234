/* From a model file to a ready plan, freed again, for bench/run.sh (the protocol is in bench/README.md).
 *     bench_session MODEL.onnx|zoo:NAME [--threads N] [--batch B] [--first-answer]
 * --first-answer: load, run once on zeros, print the index of the largest output, end. */
#include <stdlib.h>

#include "protocol.h"

typedef struct bench {
    const char *model;
    int threads;
    long batch;
    bool first_answer;
    skive_context *ctx;
} bench;

static skive_status run_once(skive_context *ctx, const skive_plan *plan) {
    skive_exec *exec = NULL;
    skive_tensor y;
    skive_status status = skive_exec_create(ctx, plan, &exec);
    if (status == SKIVE_OK) status = skive_exec_run(exec);
    if (status == SKIVE_OK) status = skive_exec_output(exec, 0, &y);
    if (status == SKIVE_OK) {
        int64_t best = 0;
        for (int64_t i = 1; i < skive_tensor_count(&y); i++) {
            if (skive_tensor_get(&y, i) > skive_tensor_get(&y, best)) best = i;
        }
        printf("%lld\n", (long long)best);
    }
    skive_exec_free(exec);
    return status;
}

static skive_status one(void *user, double *seconds) {
    bench *b = user;
    skive_graph *graph = NULL;
    skive_plan *plan = NULL;
    skive_plan_options o = skive_plan_options_default();
    o.threads = b->threads;
    o.batch = b->batch;
    const double begin = bench_now();
    skive_status status = bench_load(b->ctx, b->model, &graph);
    if (status == SKIVE_OK) status = skive_plan_create(b->ctx, graph, &o, &plan);
    if (status == SKIVE_OK && b->first_answer) status = run_once(b->ctx, plan);
    skive_plan_free(plan);
    skive_graph_free(graph);
    *seconds = bench_now() - begin;
    return status;
}

static bool read_arguments(int argc, char **argv, bench *b) {
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            if (b->model) return false;
            b->model = argv[i];
        } else if (strcmp(argv[i], "--first-answer") == 0) {
            b->first_answer = true;
        } else if (i + 1 < argc && strcmp(argv[i], "--threads") == 0) {
            b->threads = atoi(argv[++i]);
        } else if (i + 1 < argc && strcmp(argv[i], "--batch") == 0) {
            b->batch = atol(argv[++i]);
        } else {
            return false;
        }
    }
    return b->model && b->threads > 0 && b->batch > 0;
}

int main(int argc, char **argv) {
    bench b = {.threads = 1, .batch = 1};
    double seconds;
    if (!read_arguments(argc, argv, &b)) {
        fprintf(stderr, "usage: bench_session MODEL.onnx|zoo:NAME [--threads N] [--batch B] [--first-answer]\n");
        return 2;
    }
    skive_context_options co = skive_context_options_default();
    co.threads = b.threads;
    skive_status status = skive_context_create(&co, &b.ctx);
    if (status == SKIVE_OK) status = b.first_answer ? one(&b, &seconds) : bench_serve(one, &b);
    if (status != SKIVE_OK && b.ctx) {
        fprintf(stderr, "bench_session: %s\n", skive_context_message(b.ctx));
        if (!b.first_answer) bench_answer_error(skive_context_message(b.ctx));
    }
    skive_context_free(b.ctx);
    return status == SKIVE_OK ? 0 : 1;
}
