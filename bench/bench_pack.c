/* Reading one packed weight matrix, for bench/run.sh (the protocol is in bench/README.md).
 *     bench_pack --coder NAME [--zeros PERCENT] [--pace MILLIONS]
 * The unit of work is parsing a packed model of one 2048 x 2048 matrix of 31 values and zeros, checksums and all, its
 * symbols left coded. With
 * --pace nothing is read: the answer is the time so many million weights a second would take, the goal to compare
 * with. */
#include <math.h>

#include "protocol.h"

enum { SIDE = 2048, VALUES = 31 };

typedef struct bench {
    double zeros, pace;
    skive_pack_options o;
    skive_context *ctx;
    void *bytes;
    size_t n;
} bench;

static uint64_t state = 88172645463325252u;
static double uniform(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(state >> 11) + 0.5) * 0x1p-53;
}

/* Rows and columns differ in how many zeros they have, as in trained weights. */
static void fill(float *w, double zeros) {
    static double of_column[SIDE];
    for (int c = 0; c < SIDE; c++) of_column[c] = 2 * uniform();
    for (int r = 0; r < SIDE; r++) {
        const double of_row = 2 * uniform();
        for (int c = 0; c < SIDE; c++) {
            const double normal = sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform());
            const double level = fmin(fmax(rint(normal * VALUES / 6), -(VALUES / 2)), VALUES / 2);
            const bool kept = uniform() < (1 - zeros) * of_row * of_column[c];
            w[r * SIDE + c] = kept ? (float)tan((level + (level == 0)) / VALUES) : 0.0f;
        }
    }
}

static skive_status pack(bench *b) {
    const int64_t dims[2] = {SIDE, SIDE}, x_dims[2] = {1, SIDE};
    const skive_type type = skive_type_make(SKIVE_F32, 2, x_dims);
    skive_graph *g = NULL;
    skive_tensor w;
    skive_value *in[2];
    skive_node *node;
    skive_status status = skive_tensor_create(b->ctx, SKIVE_F32, 2, dims, &w);
    if (status != SKIVE_OK) return status;
    fill(w.data, b->zeros);
    status = skive_graph_create(b->ctx, "pack", &g);
    if (status == SKIVE_OK) status = skive_graph_add_input(g, "x", &type, &in[0]);
    if (status == SKIVE_OK) status = skive_graph_add_parameter(g, "w", &w, &in[1]);
    if (status == SKIVE_OK) status = skive_graph_add_node(g, "MatMul", NULL, in, 2, 1, &node);
    if (status == SKIVE_OK) status = skive_graph_add_output(g, skive_node_output(node, 0));
    if (status == SKIVE_OK) status = skive_graph_infer(g);
    if (status == SKIVE_OK) status = skive_pack_serialize(b->ctx, g, &b->o, &b->bytes, &b->n, NULL);
    fprintf(stderr, "%zu bytes, %.4f bits a weight\n", b->n, 8.0 * (double)b->n / SIDE / SIDE);
    skive_tensor_free(b->ctx, &w);
    skive_graph_free(g);
    return status;
}

static skive_status one(void *user, double *seconds) {
    bench *b = user;
    skive_pack_load_options o = skive_pack_load_options_default();
    skive_graph *g = NULL;
    skive_status status = b->bytes || b->pace > 0 ? SKIVE_OK : pack(b);
    if (b->pace > 0) {
        *seconds = SIDE * SIDE / (b->pace * 1e6);
        return status;
    }
    o.keep_coded = true;
    const double begin = bench_now();
    if (status == SKIVE_OK) status = skive_pack_parse(b->ctx, b->bytes, b->n, &o, &g, NULL);
    *seconds = bench_now() - begin;
    skive_graph_free(g);
    return status;
}

static bool read_arguments(int argc, char **argv, bench *b) {
    for (int i = 1; i < argc; i++) {
        if (i + 1 == argc) return false;
        if (strcmp(argv[i], "--coder") == 0)
            b->o.coder = argv[++i];
        else if (strcmp(argv[i], "--zeros") == 0)
            b->zeros = atof(argv[++i]) / 100;
        else if (strcmp(argv[i], "--pace") == 0)
            b->pace = atof(argv[++i]);
        else
            return false;
    }
    return b->zeros >= 0 && b->zeros < 1;
}

int main(int argc, char **argv) {
    bench b = {.zeros = 0.98, .o = skive_pack_options_default()};
    if (!read_arguments(argc, argv, &b)) {
        fprintf(stderr, "usage: bench_pack --coder NAME [--zeros PERCENT] [--pace MILLIONS]\n");
        return 2;
    }
    skive_context_options co = skive_context_options_default();
    co.threads = 1;
    skive_status status = skive_context_create(&co, &b.ctx);
    if (status == SKIVE_OK) status = bench_serve(one, &b);
    if (status != SKIVE_OK && b.ctx) {
        fprintf(stderr, "bench_pack: %s\n", skive_context_message(b.ctx));
        bench_answer_error(skive_context_message(b.ctx));
    }
    skive_pack_free_bytes(b.ctx, b.bytes);
    skive_context_free(b.ctx);
    return status == SKIVE_OK ? 0 : 1;
}
