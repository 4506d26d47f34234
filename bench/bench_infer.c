/* Inference of one model on random input, for bench/run.sh (the protocol is in bench/README.md).
 *     bench_infer MODEL.onnx|zoo:NAME [--threads N] [--batch B] [--profile RUNS] [--input NAME=FILE.npy ...]
 * --profile prints where the time of a run goes instead. With inputs from files it is a session that runs, and all of
 * it is timed. */
#include <stdlib.h>

#include "protocol.h"

enum { MAX_INPUTS = 8, MAX_OUTPUTS = 32 };

typedef struct bench {
    const char *model;
    char *given[MAX_INPUTS]; /* NAME=FILE */
    size_t n_given;
    skive_tensor in[MAX_INPUTS];
    skive_session *session;
    int threads, profile;
    long batch;
    skive_context *ctx;
    skive_graph *graph;
    skive_plan *plan;
    skive_exec *exec;
} bench;

/* Uniform numbers in [-1, 1) for float inputs, 0 and 1 for others; the same at every start. */
static skive_status fill_inputs(bench *b) {
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < skive_plan_input_count(b->plan); i++) {
        skive_tensor t;
        const skive_status status = skive_exec_input(b->exec, i, &t);
        if (status != SKIVE_OK) return status;
        const int64_t n = skive_tensor_count(&t);
        for (int64_t k = 0; k < n; k++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            const double u = (double)(state >> 11) * 0x1p-53;
            skive_tensor_set(&t, k, t.dtype == SKIVE_F32 ? 2 * u - 1 : (double)(u > 0.5));
        }
    }
    return SKIVE_OK;
}

/* The tensors of --input, in the order of the graph's inputs. */
static skive_status open_session(bench *b) {
    const size_t n = skive_graph_input_count(b->graph);
    skive_session_options o = skive_session_options_default();
    o.threads = b->threads;
    if (n > MAX_INPUTS || skive_graph_output_count(b->graph) > MAX_OUTPUTS) return SKIVE_ERR_ARGUMENT;
    for (size_t i = 0; i < n; i++) {
        const char *name = skive_value_name(skive_graph_input(b->graph, i)), *file = NULL;
        const size_t length = strlen(name);
        for (size_t k = 0; k < b->n_given; k++)
            if (strncmp(b->given[k], name, length) == 0 && b->given[k][length] == '=') file = b->given[k] + length + 1;
        if (!file) {
            fprintf(stderr, "bench_infer: no --input for '%s'\n", name);
            return SKIVE_ERR_ARGUMENT;
        }
        const skive_status status = skive_tensor_load_npy(b->ctx, file, &b->in[i]);
        if (status != SKIVE_OK) return status;
    }
    return skive_session_create(b->ctx, b->graph, &o, &b->session);
}

static skive_status one_session_run(void *user, double *seconds) {
    bench *b = user;
    skive_tensor out[MAX_OUTPUTS] = {{0}};
    const size_t n_out = skive_graph_output_count(b->graph);
    const double begin = bench_now();
    const skive_status status = skive_session_run(b->session, b->in, skive_graph_input_count(b->graph), out, n_out);
    *seconds = bench_now() - begin;
    for (size_t i = 0; i < n_out; i++) skive_tensor_free(b->ctx, &out[i]);
    return status;
}

static skive_status open(bench *b) {
    skive_plan_options o = skive_plan_options_default();
    o.threads = b->threads;
    o.batch = b->batch;
    skive_status status = bench_load(b->ctx, b->model, &b->graph);
    if (status == SKIVE_OK && b->n_given) return open_session(b);
    if (status == SKIVE_OK) status = skive_plan_create(b->ctx, b->graph, &o, &b->plan);
    if (status == SKIVE_OK) status = skive_exec_create(b->ctx, b->plan, &b->exec);
    return status == SKIVE_OK ? fill_inputs(b) : status;
}

static skive_status one(void *user, double *seconds) {
    bench *b = user;
    const double begin = bench_now();
    const skive_status status = skive_exec_run(b->exec);
    *seconds = bench_now() - begin;
    return status;
}

typedef struct row {
    double seconds;
    skive_plan_step step;
} row;

static int slowest_first(const void *a, const void *b) {
    const double x = ((const row *)a)->seconds, y = ((const row *)b)->seconds;
    return x < y ? 1 : x > y ? -1 : 0;
}

static skive_status show_profile(bench *b) {
    const size_t n = skive_plan_step_count(b->plan);
    double each, all = 0;
    size_t runs = 0;
    skive_status status = SKIVE_OK;
    for (int i = 0; i < 3 && status == SKIVE_OK; i++) status = one(b, &each);
    if (status == SKIVE_OK) status = skive_exec_profile(b->exec, true);
    for (int i = 0; i < b->profile && status == SKIVE_OK; i++) {
        status = one(b, &each);
        all += each;
    }
    row *rows = calloc(n + 1, sizeof *rows);
    if (status != SKIVE_OK || !rows) {
        free(rows);
        return status == SKIVE_OK ? SKIVE_ERR_MEMORY : status;
    }
    const double *seconds = skive_exec_profile_seconds(b->exec, &runs);
    for (size_t i = 0; i < n; i++) {
        rows[i].seconds = seconds[i] / (double)runs;
        skive_plan_step_get(b->plan, i, &rows[i].step);
    }
    qsort(rows, n, sizeof *rows, slowest_first);
    for (size_t i = 0; i < n; i++) {
        const skive_plan_step *s = &rows[i].step;
        printf("%9.1f us  %-18s %-22s %-8s %6.1f GMAC/s  %s %s\n", rows[i].seconds * 1e6,
               s->is_reorder ? "reorder" : s->op, s->kernel ? s->kernel : "", s->layout ? s->layout : "",
               (double)s->macs / rows[i].seconds * 1e-9, s->output_type ? s->output_type : "", s->node);
    }
    printf("run %.1f us, arena %.1f MB, packed weights %.1f MB\n", all / b->profile * 1e6,
           (double)skive_plan_arena_bytes(b->plan) * 1e-6, (double)skive_plan_packed_bytes(b->plan) * 1e-6);
    free(rows);
    return SKIVE_OK;
}

static bool read_arguments(int argc, char **argv, bench *b) {
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            if (b->model) return false;
            b->model = argv[i];
            continue;
        }
        if (i + 1 == argc) return false;
        if (strcmp(argv[i], "--threads") == 0)
            b->threads = atoi(argv[++i]);
        else if (strcmp(argv[i], "--batch") == 0)
            b->batch = atol(argv[++i]);
        else if (strcmp(argv[i], "--profile") == 0)
            b->profile = atoi(argv[++i]);
        else if (strcmp(argv[i], "--input") == 0 && b->n_given < MAX_INPUTS)
            b->given[b->n_given++] = argv[++i];
        else
            return false;
    }
    return b->model && b->threads > 0 && b->batch > 0 && !(b->n_given && b->profile);
}

int main(int argc, char **argv) {
    bench b = {.threads = 1, .batch = 1};
    if (!read_arguments(argc, argv, &b)) {
        fprintf(stderr, "usage: bench_infer MODEL.onnx|zoo:NAME [--threads N] [--batch B] [--profile RUNS | --input "
                        "NAME=FILE ...]\n");
        return 2;
    }
    skive_context_options co = skive_context_options_default();
    co.threads = b.threads;
    skive_status status = skive_context_create(&co, &b.ctx);
    if (status == SKIVE_OK) status = open(&b);
    if (status == SKIVE_OK)
        status = b.profile > 0 ? show_profile(&b) : bench_serve(b.session ? one_session_run : one, &b);
    if (status != SKIVE_OK && b.ctx) {
        fprintf(stderr, "bench_infer: %s\n", skive_context_message(b.ctx));
        if (b.profile <= 0) bench_answer_error(skive_context_message(b.ctx));
    }
    for (size_t i = 0; i < MAX_INPUTS; i++) skive_tensor_free(b.ctx, &b.in[i]);
    skive_session_free(b.session);
    skive_exec_free(b.exec);
    skive_plan_free(b.plan);
    skive_graph_free(b.graph);
    skive_context_free(b.ctx);
    return status == SKIVE_OK ? 0 : 1;
}
