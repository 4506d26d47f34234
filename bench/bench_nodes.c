/* Models of many nodes, for bench/run.sh (the protocol is in bench/README.md): a chain of so many nodes in memory is
 * parsed, simplified and planned. The answer is the time of 10,000 nodes, so that lengths can be compared: what grows
 * with the square of the nodes takes ten times as long for ten times as many.
 *     bench_nodes --nodes N [--threads N] */
#include <skive/simplify.h>

#include "protocol.h"

enum { UNIT = 10000 };

typedef struct bench {
    long nodes;
    int threads;
    skive_context *ctx;
    void *bytes;
    size_t n_bytes;
} bench;

static skive_status make(bench *b) {
    static const char *const ops[] = {"Relu", "Neg", "Sigmoid", "Abs", "Tanh"};
    const int64_t dims[] = {1, 4};
    const skive_type type = skive_type_make(SKIVE_F32, 2, dims);
    skive_graph *g = NULL;
    skive_value *v = NULL;
    skive_node *node = NULL;
    skive_status status = skive_graph_create(b->ctx, "chain", &g);
    if (status == SKIVE_OK) status = skive_graph_add_input(g, "x", &type, &v);
    for (long i = 0; i < b->nodes && status == SKIVE_OK; i++) {
        status = skive_graph_add_node(g, ops[i % 5], NULL, &v, 1, 1, &node);
        if (status == SKIVE_OK) v = skive_node_output(node, 0);
    }
    if (status == SKIVE_OK) status = skive_graph_add_output(g, v);
    if (status == SKIVE_OK) status = skive_graph_infer(g);
    if (status == SKIVE_OK) status = skive_onnx_serialize(b->ctx, g, NULL, &b->bytes, &b->n_bytes);
    skive_graph_free(g);
    return status;
}

static skive_status one(void *user, double *seconds) {
    bench *b = user;
    skive_graph *g = NULL;
    skive_plan *plan = NULL;
    skive_plan_options o = skive_plan_options_default();
    o.threads = b->threads;
    const double begin = bench_now();
    skive_status status = skive_onnx_parse(b->ctx, b->bytes, b->n_bytes, NULL, NULL, &g);
    if (status == SKIVE_OK) status = skive_simplify(b->ctx, g, NULL, NULL);
    if (status == SKIVE_OK) status = skive_plan_create(b->ctx, g, &o, &plan);
    skive_plan_free(plan);
    skive_graph_free(g);
    *seconds = (bench_now() - begin) * UNIT / (double)b->nodes;
    return status;
}

static bool read_arguments(int argc, char **argv, bench *b) {
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--nodes") == 0)
            b->nodes = atol(argv[i + 1]);
        else if (strcmp(argv[i], "--threads") == 0)
            b->threads = atoi(argv[i + 1]);
        else
            return false;
    }
    return argc % 2 == 1 && b->nodes > 0 && b->threads > 0;
}

int main(int argc, char **argv) {
    bench b = {.nodes = UNIT, .threads = 1};
    if (!read_arguments(argc, argv, &b)) {
        fprintf(stderr, "usage: bench_nodes --nodes N [--threads N]\n");
        return 2;
    }
    skive_context_options co = skive_context_options_default();
    co.threads = b.threads;
    skive_status status = skive_context_create(&co, &b.ctx);
    if (status == SKIVE_OK) status = make(&b);
    if (status == SKIVE_OK) status = bench_serve(one, &b);
    if (status != SKIVE_OK && b.ctx) {
        fprintf(stderr, "bench_nodes: %s\n", skive_context_message(b.ctx));
        bench_answer_error(skive_context_message(b.ctx));
    }
    if (b.ctx) skive_onnx_free_bytes(b.ctx, b.bytes);
    skive_context_free(b.ctx);
    return status == SKIVE_OK ? 0 : 1;
}
