/* Static quantization of a model on random images, for bench/run.sh (the protocol is in bench/README.md).
 *     bench_quantize MODEL.onnx|zoo:NAME --out FILE [--images N] [--threads N] [--batch B]
 *                    [--method minmax|percentile|mse|entropy]
 * The unit of work is the whole call: reading the model, calibrating, writing the result. As the peer's images, ours
 * are made one at a time while calibrating. */
#include <stdlib.h>

#include "protocol.h"

typedef struct bench {
    const char *model, *out, *method;
    int threads;
    long images, batch;
    skive_context *ctx;
} bench;

/* The next of a series of near-normal numbers of mean 0 and variance 1: the sum of four uniform ones, all taken from
 * one
 * 64-bit word, so that making an image costs next to nothing beside running it. */
static float near_normal(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    const uint64_t u = *state;
    const uint32_t sum = (uint32_t)((u & 0xffff) + (u >> 16 & 0xffff) + (u >> 32 & 0xffff) + (u >> 48));
    return ((float)sum * 0x1p-16f - 2.0f) * 1.7320508f;
}

static skive_status feed(void *user, int64_t index, skive_tensor *inputs, size_t n_inputs) {
    (void)user;
    uint64_t state = 88172645463325252u + (uint64_t)index * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < n_inputs; i++) {
        const int64_t n = skive_tensor_count(&inputs[i]);
        if (inputs[i].dtype == SKIVE_F32) {
            float *x = inputs[i].data;
            for (int64_t k = 0; k < n; k++) x[k] = near_normal(&state);
        } else {
            for (int64_t k = 0; k < n; k++) skive_tensor_set(&inputs[i], k, (double)(near_normal(&state) > 0));
        }
    }
    return SKIVE_OK;
}

static skive_status one(void *user, double *seconds) {
    bench *b = user;
    skive_graph *graph = NULL;
    skive_quantize_options o = skive_quantize_options_default();
    o.calibration = b->method;
    o.samples = b->images;
    o.batch = b->batch;
    const double begin = bench_now();
    skive_status status = bench_load(b->ctx, b->model, &graph);
    if (status == SKIVE_OK) status = skive_quantize_feed(b->ctx, graph, feed, b, &o, NULL);
    if (status == SKIVE_OK) status = skive_onnx_save(b->ctx, graph, b->out, NULL);
    skive_graph_free(graph);
    *seconds = bench_now() - begin;
    return status;
}

static bool read_arguments(int argc, char **argv, bench *b) {
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            if (b->model) return false;
            b->model = argv[i];
            continue;
        }
        if (i + 1 == argc) return false;
        if (strcmp(argv[i], "--out") == 0)
            b->out = argv[++i];
        else if (strcmp(argv[i], "--method") == 0)
            b->method = argv[++i];
        else if (strcmp(argv[i], "--images") == 0)
            b->images = atol(argv[++i]);
        else if (strcmp(argv[i], "--threads") == 0)
            b->threads = atoi(argv[++i]);
        else if (strcmp(argv[i], "--batch") == 0)
            b->batch = atol(argv[++i]);
        else
            return false;
    }
    return b->model && b->out && b->threads > 0 && b->images > 0 && b->batch > 0;
}

int main(int argc, char **argv) {
    bench b = {.method = "minmax", .threads = 2, .images = 100, .batch = 1};
    if (!read_arguments(argc, argv, &b)) {
        fprintf(stderr, "usage: bench_quantize MODEL.onnx|zoo:NAME --out FILE [--images N] [--threads N] [--batch B]\n"
                        "                      [--method minmax|percentile|mse|entropy]\n");
        return 2;
    }
    skive_context_options co = skive_context_options_default();
    co.threads = b.threads;
    skive_status status = skive_context_create(&co, &b.ctx);
    if (status == SKIVE_OK) status = bench_serve(one, &b);
    if (status != SKIVE_OK && b.ctx) {
        fprintf(stderr, "bench_quantize: %s\n", skive_context_message(b.ctx));
        bench_answer_error(skive_context_message(b.ctx));
    }
    skive_context_free(b.ctx);
    return status == SKIVE_OK ? 0 : 1;
}
