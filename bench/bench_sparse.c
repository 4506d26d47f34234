/* One layer with a pruned or a coded weight against itself with a dense one, for bench/run.sh (the protocol is in
 * bench/README.md).
 *     bench_sparse conv|gemm SIZES [--zeros PERCENT] [--blocks | --nm N]
 *                  [--int8 | --codebook BITS | --form FORM] [--threads N]
 * SIZES: batch,in,out for a product; batch,in,out,side,kernel for a convolution with padding that keeps the side.
 * --blocks: rows come in fours with the same zeros; --nm: of each four input channels so many are not zero. --int8:
 * uint8 activations and int8 weights. --codebook: the weight has 2^BITS values; --form: it is rounded to a form that
 * packed files have; either stays coded. Timed is the layer's step alone: what is reordered for a dense kernel and back
 * is not counted, since other layers may spare it. With zeros it must be a sparse kernel that runs, of a coded weight a
 * codebook kernel, else neither. */
#include <math.h>
#include <stdlib.h>

#include <skive/pack.h>

#include "protocol.h"

enum { MAX_SIZES = 5 };

typedef struct bench {
    bool conv, blocks, int8;
    long size[MAX_SIZES];
    int threads, zeros, bits, stay;
    const char *form, *kind; /* of the packed weight; of the kernel that must run */
    skive_context *ctx;
    skive_graph *graph;
    skive_plan *plan;
    skive_exec *exec;
    size_t step;
    double before; /* seconds of the step in all runs so far */
    char wrong[512];
} bench;

static uint64_t state = 88172645463325252u;
static double uniform(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) * 0x1p-53;
}

/* One of four input channels in a row, for each output and tap, from a place that hardly repeats. */
static bool stays(const bench *b, long row, long column) {
    const long taps = b->conv ? b->size[4] * b->size[4] : 1, channel = column / taps, tap = column % taps;
    const uint64_t place = (uint64_t)row * 2654435761u + (uint64_t)(channel / 4) * 40503u + (uint64_t)tap * 9973u;
    return (channel + (long)((place * 0x9E3779B97F4A7C15u) >> 62)) % 4 < b->stay;
}

static void fill_weight(const bench *b, float *w, long rows, long columns) {
    for (long r = 0; r < rows; r++) {
        for (long c = 0; c < columns; c++) {
            float *at = w + r * columns + c;
            const bool zero = b->stay              ? !stays(b, r, c)
                              : b->blocks && r % 4 ? at[-columns] == 0
                                                   : uniform() * 100 < b->zeros;
            const double u = b->bits ? floor(ldexp(uniform(), b->bits)) / 256 - 0.5 : uniform();
            *at = zero ? 0.0f : (float)(0.1 + u);
        }
    }
}

static skive_status add_number(bench *b, const char *name, skive_dtype dtype, double value, skive_value **out) {
    skive_tensor t;
    skive_status status = skive_tensor_create(b->ctx, dtype, 0, NULL, &t);
    if (status != SKIVE_OK) return status;
    skive_tensor_set(&t, 0, value);
    status = skive_graph_add_parameter(b->graph, name, &t, out);
    skive_tensor_free(b->ctx, &t);
    return status;
}

/* x as bytes and back, or only the one or the other. */
static skive_status convert(bench *b, const char *name, skive_value *x, skive_dtype dtype, bool to, bool back,
                            skive_value **out) {
    static const char *const ops[] = {"QuantizeLinear", "DequantizeLinear"};
    const bool wanted[] = {to, back};
    char text[64];
    skive_value *in[3] = {x};
    (void)snprintf(text, sizeof text, "%s.scale", name);
    skive_status status = add_number(b, text, SKIVE_F32, dtype == SKIVE_I8 ? 0.01 : 0.05, &in[1]);
    (void)snprintf(text, sizeof text, "%s.zero", name);
    if (status == SKIVE_OK) status = add_number(b, text, dtype, dtype == SKIVE_I8 ? 0 : 100, &in[2]);
    for (int i = 0; i < 2 && status == SKIVE_OK; i++) {
        skive_node *node;
        if (!wanted[i]) continue;
        status = skive_graph_add_node(b->graph, ops[i], NULL, in, 3, 1, &node);
        if (status == SKIVE_OK) in[0] = skive_node_output(node, 0);
    }
    *out = in[0];
    return status;
}

static skive_status add_bytes(bench *b, const skive_tensor *w, skive_value **out) {
    skive_tensor t;
    skive_value *bytes;
    skive_status status = skive_tensor_create(b->ctx, SKIVE_I8, w->rank, w->dims, &t);
    if (status != SKIVE_OK) return status;
    for (int64_t i = 0; i < skive_tensor_count(w); i++)
        ((int8_t *)t.data)[i] = (int8_t)(((const float *)w->data)[i] * 100);
    status = skive_graph_add_parameter(b->graph, "w", &t, &bytes);
    skive_tensor_free(b->ctx, &t);
    return status == SKIVE_OK ? convert(b, "w", bytes, SKIVE_I8, false, true, out) : status;
}

static skive_status add_weight(bench *b, skive_value **out) {
    const long k = b->conv ? b->size[4] : 1, rows = b->size[2], columns = b->size[1] * k * k;
    const int64_t dims[4] = {rows, b->size[1], k, k};
    skive_tensor t;
    skive_status status = skive_tensor_create(b->ctx, SKIVE_F32, b->conv ? 4 : 2, dims, &t);
    if (status != SKIVE_OK) return status;
    fill_weight(b, t.data, rows, columns);
    status = b->int8 ? add_bytes(b, &t, out) : skive_graph_add_parameter(b->graph, "w", &t, out);
    skive_tensor_free(b->ctx, &t);
    return status;
}

/* Into a packed file and back, the weight coded. */
static skive_status pack(bench *b) {
    skive_pack_options o = skive_pack_options_default();
    skive_pack_load_options back = skive_pack_load_options_default();
    skive_graph *packed = NULL;
    void *bytes = NULL;
    size_t n = 0;
    o.coder = "raw"; /* the quickest */
    o.weights = b->form;
    back.keep_coded = true;
    skive_status status = skive_pack_serialize(b->ctx, b->graph, &o, &bytes, &n, NULL);
    if (status == SKIVE_OK) status = skive_pack_parse(b->ctx, bytes, n, &back, &packed, NULL);
    skive_pack_free_bytes(b->ctx, bytes);
    if (status != SKIVE_OK) return status;
    skive_graph_free(b->graph);
    b->graph = packed;
    return SKIVE_OK;
}

static skive_status build(bench *b) {
    const int64_t dims[4] = {b->size[0], b->size[1], b->size[3], b->size[3]}, pad = b->size[4] / 2;
    const int64_t pads[4] = {pad, pad, pad, pad};
    const skive_type type = skive_type_make(SKIVE_F32, b->conv ? 4 : 2, dims);
    skive_value *in[2], *y;
    skive_node *node;
    skive_status status = skive_graph_create(b->ctx, "layer", &b->graph);
    if (status == SKIVE_OK) status = skive_graph_add_input(b->graph, "x", &type, &in[0]);
    if (status == SKIVE_OK && b->int8) status = convert(b, "x", in[0], SKIVE_U8, true, true, &in[0]);
    if (status == SKIVE_OK) status = add_weight(b, &in[1]);
    if (status == SKIVE_OK)
        status = skive_graph_add_node(b->graph, b->conv ? "Conv" : "Gemm", "layer", in, 2, 1, &node);
    if (status == SKIVE_OK)
        status = b->conv ? skive_node_set_ints(node, "pads", pads, 4) : skive_node_set_int(node, "transB", 1);
    if (status != SKIVE_OK) return status;
    y = skive_node_output(node, 0);
    if (b->int8) status = convert(b, "y", y, SKIVE_U8, true, true, &y);
    if (status == SKIVE_OK) status = skive_graph_infer(b->graph);
    if (status != SKIVE_OK) return status;
    status = skive_graph_add_output(b->graph, y);
    return status == SKIVE_OK && (b->bits || b->form) ? pack(b) : status;
}

/* The step that is the layer, and whether the kernel is of the kind that was asked for. */
static bool find_step(bench *b) {
    for (size_t i = 0; i < skive_plan_step_count(b->plan); i++) {
        skive_plan_step s;
        skive_plan_step_get(b->plan, i, &s);
        if (s.is_reorder || (b->int8 && !strstr(s.kernel, "qgemm"))) continue;
        b->step = i;
        const bool special = strstr(s.kernel, "_sparse") || strstr(s.kernel, "_codebook");
        if (b->kind ? strstr(s.kernel, b->kind) != NULL : !special) return true;
        snprintf(b->wrong, sizeof b->wrong, "%s runs; declined: %s", s.kernel, s.declined);
    }
    return false;
}

static skive_status open(bench *b) {
    skive_plan_options o = skive_plan_options_default();
    skive_tensor x;
    o.threads = b->threads;
    skive_status status = build(b);
    if (status == SKIVE_OK) status = skive_plan_create(b->ctx, b->graph, &o, &b->plan);
    if (status == SKIVE_OK && !find_step(b)) return SKIVE_ERR_UNSUPPORTED;
    if (status == SKIVE_OK) status = skive_exec_create(b->ctx, b->plan, &b->exec);
    if (status == SKIVE_OK) status = skive_exec_profile(b->exec, true);
    if (status == SKIVE_OK) status = skive_exec_input(b->exec, 0, &x);
    for (int64_t i = 0; status == SKIVE_OK && i < skive_tensor_count(&x); i++)
        skive_tensor_set(&x, i, 2 * uniform() - 1);
    return status;
}

static skive_status one(void *user, double *seconds) {
    bench *b = user;
    size_t runs;
    const skive_status status = skive_exec_run(b->exec);
    const double all = skive_exec_profile_seconds(b->exec, &runs)[b->step];
    *seconds = all - b->before;
    b->before = all;
    return status;
}

static bool read_arguments(int argc, char **argv, bench *b) {
    if (argc < 3) return false;
    b->conv = strcmp(argv[1], "conv") == 0;
    if (!b->conv && strcmp(argv[1], "gemm") != 0) return false;
    if (!bench_sizes(argv[2], b->conv ? 5 : 3, b->size)) return false;
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--blocks") == 0)
            b->blocks = true;
        else if (strcmp(argv[i], "--int8") == 0)
            b->int8 = true;
        else if (i + 1 < argc && strcmp(argv[i], "--zeros") == 0)
            b->zeros = atoi(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--nm") == 0)
            b->stay = atoi(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--codebook") == 0)
            b->bits = atoi(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--form") == 0)
            b->form = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--threads") == 0)
            b->threads = atoi(argv[++i]);
        else
            return false;
    }
    b->kind = b->zeros || b->stay ? "_sparse" : b->bits || b->form ? "_codebook" : NULL;
    return b->threads > 0 && b->zeros >= 0 && b->zeros <= 100 && b->stay >= 0 && b->stay < 4 && b->bits >= 0 &&
           b->bits <= 8;
}

int main(int argc, char **argv) {
    bench b = {.threads = 1};
    if (!read_arguments(argc, argv, &b)) {
        fprintf(stderr, "usage: bench_sparse conv|gemm SIZES [--zeros PERCENT] [--blocks | --nm N] "
                        "[--int8 | --codebook BITS | --form FORM] [--threads N]\n");
        return 2;
    }
    skive_context_options co = skive_context_options_default();
    co.threads = b.threads;
    skive_status status = skive_context_create(&co, &b.ctx);
    if (status == SKIVE_OK) status = open(&b);
    if (status == SKIVE_OK) status = bench_serve(one, &b);
    if (status != SKIVE_OK && b.ctx) {
        const char *message = b.wrong[0] ? b.wrong : skive_context_message(b.ctx);
        fprintf(stderr, "bench_sparse: %s\n", message);
        bench_answer_error(message);
    }
    skive_exec_free(b.exec);
    skive_plan_free(b.plan);
    skive_graph_free(b.graph);
    skive_context_free(b.ctx);
    return status == SKIVE_OK ? 0 : 1;
}
