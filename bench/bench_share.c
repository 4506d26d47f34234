/* Weight sharing by k-means of one matrix of random weights, for bench/run.sh (the protocol is in bench/README.md).
 *     bench_share [--weights N] [--bits B] [--init linear|density|random|exact] [--threads N]
 * The unit of work is the whole of it: checking the weights, sorting, clustering, indices, entropy and error. */
#include <math.h>

#include "protocol.h"

typedef struct bench {
    long weights;
    int threads;
    skive_share_options o;
    skive_context *ctx;
    skive_graph *graph;
} bench;

/* Normal numbers of deviation 0.05, as trained weights are, from a multiplicative generator and Box and Muller's
 * transform. */
static void fill(float *x, long n) {
    uint64_t state = 88172645463325252u;
    for (long i = 0; i < n; i++) {
        double u[2];
        for (int k = 0; k < 2; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            u[k] = ((double)(state >> 11) + 0.5) * 0x1p-53;
        }
        x[i] = (float)(0.05 * sqrt(-2 * log(u[0])) * cos(6.283185307179586 * u[1]));
    }
}

static skive_status make_graph(bench *b) {
    const int64_t rows = 1000, dims[2] = {rows, b->weights / rows}, x_dims[2] = {1, rows};
    const skive_type type = skive_type_make(SKIVE_F32, 2, x_dims);
    skive_tensor w;
    skive_value *in[2];
    skive_node *node;
    skive_status status = skive_tensor_create(b->ctx, SKIVE_F32, 2, dims, &w);
    if (status != SKIVE_OK) return status;
    fill(w.data, (long)skive_tensor_count(&w));
    status = skive_graph_create(b->ctx, "share", &b->graph);
    if (status == SKIVE_OK) status = skive_graph_add_input(b->graph, "x", &type, &in[0]);
    if (status == SKIVE_OK) status = skive_graph_add_parameter(b->graph, "w", &w, &in[1]);
    if (status == SKIVE_OK) status = skive_graph_add_node(b->graph, "MatMul", NULL, in, 2, 1, &node);
    if (status == SKIVE_OK) status = skive_graph_add_output(b->graph, skive_node_output(node, 0));
    skive_tensor_free(b->ctx, &w);
    return status;
}

static skive_status one(void *user, double *seconds) {
    bench *b = user;
    skive_graph *graph = NULL;
    skive_status status = b->graph ? SKIVE_OK : make_graph(b);
    if (status == SKIVE_OK) status = skive_graph_copy(b->ctx, b->graph, &graph);
    const double begin = bench_now();
    if (status == SKIVE_OK) status = skive_share(b->ctx, graph, NULL, NULL, &b->o, NULL);
    *seconds = bench_now() - begin;
    skive_graph_free(graph);
    return status;
}

static bool read_arguments(int argc, char **argv, bench *b) {
    for (int i = 1; i < argc; i++) {
        if (i + 1 == argc) return false;
        if (strcmp(argv[i], "--weights") == 0)
            b->weights = atol(argv[++i]);
        else if (strcmp(argv[i], "--bits") == 0)
            b->o.bits = atoi(argv[++i]);
        else if (strcmp(argv[i], "--init") == 0)
            b->o.init = argv[++i];
        else if (strcmp(argv[i], "--threads") == 0)
            b->threads = atoi(argv[++i]);
        else
            return false;
    }
    return b->threads > 0 && b->weights >= 1000;
}

int main(int argc, char **argv) {
    bench b = {.weights = 1000000, .threads = 1, .o = skive_share_options_default()};
    if (!read_arguments(argc, argv, &b)) {
        fprintf(stderr, "usage: bench_share [--weights N] [--bits B] [--init NAME] [--threads N]\n");
        return 2;
    }
    skive_context_options co = skive_context_options_default();
    co.threads = b.threads;
    skive_status status = skive_context_create(&co, &b.ctx);
    if (status == SKIVE_OK) status = bench_serve(one, &b);
    if (status != SKIVE_OK && b.ctx) {
        fprintf(stderr, "bench_share: %s\n", skive_context_message(b.ctx));
        bench_answer_error(skive_context_message(b.ctx));
    }
    skive_graph_free(b.graph);
    skive_context_free(b.ctx);
    return status == SKIVE_OK ? 0 : 1;
}
