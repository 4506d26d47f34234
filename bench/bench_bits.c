/* One layer with weights of few bits, for bench/run.sh (the protocol is in bench/README.md).
 *     bench_bits conv|gemm SIZES [--weights int8|int4|int2|binary] [--input u8|binary|f32] [--group N] [--threads N]
 * SIZES as for bench_sparse: batch,in,out for a product; batch,in,out,side,kernel for a convolution with padding. With
 * --input u8 the layer is in integers, its output uint8; binary: the signs of float32 inputs times a scale, output
 * float32; f32: float32 inputs, weights of 4 bits with a scale for each N of a column (--group; 0: float32 weights).
 * Timed are all steps but reorders, packing of inputs included. */
#include <stdlib.h>

#include "protocol.h"

enum { MAX_SIZES = 5 };

typedef struct bench {
    bool conv;
    long size[MAX_SIZES], group;
    int threads;
    const char *weights, *input;
    skive_context *ctx;
    skive_graph *graph;
    skive_plan *plan;
    skive_exec *exec;
    double before; /* seconds of the steps in all runs so far */
} bench;

static uint64_t state = 88172645463325252u;
static double uniform(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) * 0x1p-53;
}

static skive_value *parameter(bench *b, const char *name, skive_dtype dtype, int rank, const int64_t *dims, double low,
                              double step, int levels) {
    skive_tensor t;
    skive_value *v = NULL;
    if (skive_tensor_create(b->ctx, dtype, rank, dims, &t) != SKIVE_OK) return NULL;
    for (int64_t i = 0; i < skive_tensor_count(&t); i++)
        skive_tensor_set(&t, i, low + step * (double)(int)(uniform() * levels));
    (void)skive_graph_add_parameter(b->graph, name, &t, &v);
    skive_tensor_free(b->ctx, &t);
    return v;
}

static skive_value *number(bench *b, const char *name, skive_dtype dtype, double value) {
    return parameter(b, name, dtype, 0, NULL, value, 0, 1);
}

static skive_value *node(bench *b, const char *op, skive_value *const *in, size_t n, skive_node **out) {
    skive_node *made = NULL;
    for (size_t i = 0; i < n; i++)
        if (!in[i]) return NULL;
    if (skive_graph_add_node(b->graph, op, NULL, in, n, 1, &made) != SKIVE_OK) return NULL;
    if (out) *out = made;
    return skive_node_output(made, 0);
}

static skive_value *weight(bench *b, int rank, const int64_t *dims) {
    static const struct {
        const char *name;
        double low, step;
        int levels;
    } grids[] = {{"int8", -127, 1, 255}, {"int4", -8, 1, 16}, {"int2", -2, 1, 4}, {"binary", -1, 2, 2}};
    for (size_t i = 0; i < sizeof grids / sizeof *grids; i++) {
        if (strcmp(grids[i].name, b->weights) != 0) continue;
        skive_value *q = parameter(b, "w", SKIVE_I8, rank, dims, grids[i].low, grids[i].step, grids[i].levels);
        return node(b, "DequantizeLinear", (skive_value *[]){q, number(b, "ws", SKIVE_F32, 0.001)}, 2, NULL);
    }
    return NULL;
}

/* float32 inputs [m][k] by weights [k][n] of 4 bits, a scale for each `group` of a column. */
static skive_value *grouped(bench *b, skive_value *x) {
    const int64_t k = b->size[1], n = b->size[2], dims[2] = {k, n};
    skive_node *d = NULL;
    if (!b->group)
        return node(b, "MatMul", (skive_value *[]){x, parameter(b, "w", SKIVE_F32, 2, dims, -8, 1, 16)}, 2, NULL);
    const int64_t scales[2] = {k / b->group, n};
    skive_value *w = node(b, "DequantizeLinear",
                          (skive_value *[]){parameter(b, "w", SKIVE_I4, 2, dims, -8, 1, 16),
                                            parameter(b, "s", SKIVE_F32, 2, scales, 0.001, 0.001, 100)},
                          2, &d);
    if (!w || skive_node_set_int(d, "axis", 0) != SKIVE_OK || skive_node_set_int(d, "block_size", b->group) != SKIVE_OK)
        return NULL;
    return node(b, "MatMul", (skive_value *[]){x, w}, 2, NULL);
}

static skive_value *layer(bench *b, skive_value *x) {
    const long kernel = b->conv ? b->size[4] : 1;
    const int64_t dims[4] = {b->size[2], b->size[1], kernel, kernel},
                  pads[4] = {kernel / 2, kernel / 2, kernel / 2, kernel / 2};
    skive_node *made = NULL;
    if (strcmp(b->input, "f32") == 0) return grouped(b, x);
    if (strcmp(b->input, "u8") == 0) {
        x = node(b, "DequantizeLinear",
                 (skive_value *[]){x, number(b, "xs", SKIVE_F32, 0.02), number(b, "xz", SKIVE_U8, 0)}, 3, NULL);
    } else {
        skive_value *positive =
            node(b, "GreaterOrEqual", (skive_value *[]){x, number(b, "zero", SKIVE_F32, 0)}, 2, NULL);
        skive_value *codes =
            node(b, "Where", (skive_value *[]){positive, number(b, "two", SKIVE_U8, 2), number(b, "none", SKIVE_U8, 0)},
                 3, NULL);
        x = node(b, "DequantizeLinear",
                 (skive_value *[]){codes, number(b, "xs", SKIVE_F32, 0.5), number(b, "xz", SKIVE_U8, 1)}, 3, NULL);
    }
    skive_value *y =
        node(b, b->conv ? "Conv" : "Gemm", (skive_value *[]){x, weight(b, b->conv ? 4 : 2, dims)}, 2, &made);
    if (!y ||
        (b->conv ? skive_node_set_ints(made, "pads", pads, 4) : skive_node_set_int(made, "transB", 1)) != SKIVE_OK)
        return NULL;
    if (strcmp(b->input, "binary") == 0) return y;
    return node(b, "QuantizeLinear",
                (skive_value *[]){y, number(b, "ys", SKIVE_F32, 1), number(b, "yz", SKIVE_U8, 128)}, 3, NULL);
}

static skive_status build(bench *b) {
    const int64_t dims[4] = {b->size[0], b->size[1], b->size[3], b->size[3]};
    const skive_type type = skive_type_make(strcmp(b->input, "u8") == 0 ? SKIVE_U8 : SKIVE_F32, b->conv ? 4 : 2, dims);
    skive_value *x, *y = NULL;
    skive_status status = skive_graph_create(b->ctx, "layer", &b->graph);
    if (status == SKIVE_OK) status = skive_graph_add_input(b->graph, "x", &type, &x);
    if (status == SKIVE_OK && !(y = layer(b, x))) return SKIVE_ERR_ARGUMENT;
    if (status == SKIVE_OK) status = skive_graph_infer(b->graph);
    return status == SKIVE_OK ? skive_graph_add_output(b->graph, y) : status;
}

static skive_status open(bench *b) {
    skive_plan_options o = skive_plan_options_default();
    skive_tensor x;
    o.threads = b->threads;
    skive_status status = build(b);
    if (status == SKIVE_OK) status = skive_plan_create(b->ctx, b->graph, &o, &b->plan);
    if (status == SKIVE_OK) status = skive_exec_create(b->ctx, b->plan, &b->exec);
    if (status == SKIVE_OK) status = skive_exec_profile(b->exec, true);
    if (status == SKIVE_OK) status = skive_exec_input(b->exec, 0, &x);
    for (int64_t i = 0; status == SKIVE_OK && i < skive_tensor_count(&x); i++)
        skive_tensor_set(&x, i, x.dtype == SKIVE_U8 ? (int)(256 * uniform()) : 2 * uniform() - 1);
    for (size_t i = 0; status == SKIVE_OK && i < skive_plan_step_count(b->plan); i++) {
        skive_plan_step s;
        skive_plan_step_get(b->plan, i, &s);
        fprintf(stderr, "%s: %s\n", s.op, s.kernel);
    }
    return status;
}

static skive_status one(void *user, double *seconds) {
    bench *b = user;
    size_t runs;
    const skive_status status = skive_exec_run(b->exec);
    const double *each = skive_exec_profile_seconds(b->exec, &runs);
    double all = 0;
    for (size_t i = 0; i < skive_plan_step_count(b->plan); i++) {
        skive_plan_step s;
        skive_plan_step_get(b->plan, i, &s);
        if (!s.is_reorder) all += each[i];
    }
    *seconds = all - b->before;
    b->before = all;
    return status;
}

static bool read_arguments(int argc, char **argv, bench *b) {
    if (argc < 3 || argc % 2 == 0) return false;
    b->conv = strcmp(argv[1], "conv") == 0;
    if (!b->conv && strcmp(argv[1], "gemm") != 0) return false;
    if (!bench_sizes(argv[2], b->conv ? 5 : 3, b->size)) return false;
    for (int i = 3; i < argc; i += 2) {
        if (strcmp(argv[i], "--weights") == 0)
            b->weights = argv[i + 1];
        else if (strcmp(argv[i], "--input") == 0)
            b->input = argv[i + 1];
        else if (strcmp(argv[i], "--group") == 0)
            b->group = atol(argv[i + 1]);
        else if (strcmp(argv[i], "--threads") == 0)
            b->threads = atoi(argv[i + 1]);
        else
            return false;
    }
    return b->threads > 0 && b->group >= 0;
}

int main(int argc, char **argv) {
    bench b = {.threads = 1, .weights = "int8", .input = "u8"};
    if (!read_arguments(argc, argv, &b)) {
        fprintf(stderr, "usage: bench_bits conv|gemm SIZES --weights int8|int4|int2|binary [--input u8|binary|f32] "
                        "[--group N] [--threads N]\n");
        return 2;
    }
    skive_context_options co = skive_context_options_default();
    co.threads = b.threads;
    skive_status status = skive_context_create(&co, &b.ctx);
    if (status == SKIVE_OK) status = open(&b);
    if (status == SKIVE_OK) status = bench_serve(one, &b);
    if (status != SKIVE_OK && b.ctx) {
        fprintf(stderr, "bench_bits: %s\n", skive_context_message(b.ctx));
        bench_answer_error(skive_context_message(b.ctx));
    }
    skive_exec_free(b.exec);
    skive_plan_free(b.plan);
    skive_graph_free(b.graph);
    skive_context_free(b.ctx);
    return status == SKIVE_OK ? 0 : 1;
}
