/* Shape inference, checker, cost, passes, planner, kernels and gradients on small graphs that the input spells out:
 * operators from the op list, attributes of their schema, dimensions, element types and numbers among which the
 * hostile ones are frequent. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skive/autodiff.h>
#include <skive/coupling.h>
#include <skive/exec.h>
#include <skive/onnx.h>
#include <skive/simplify.h>

#include "fuzz.h"
#include "graph/op.h"

enum { MOST_NODES = 6, MOST_VALUES = 48, DEEPEST = 2, MOST_ELEMENTS = 512, MOST_BYTES = 24 << 20, MOST_MACS = 1 << 20 };

typedef struct reader {
    const uint8_t *at, *end;
} reader;

static unsigned next(reader *r) { return r->at < r->end ? *r->at++ : 0; }
static size_t pick(reader *r, size_t n) { return next(r) % n; }

static int64_t next_int(reader *r) {
    static const int64_t known[] = {0,
                                    1,
                                    1,
                                    2,
                                    3,
                                    4,
                                    5,
                                    7,
                                    8,
                                    16,
                                    17,
                                    -1,
                                    -2,
                                    -3,
                                    INT64_MAX,
                                    INT64_MIN,
                                    (int64_t)1 << 62,
                                    (int64_t)1 << 31,
                                    (int64_t)1 << 32,
                                    INT32_MIN,
                                    1 << 20};
    const unsigned b = next(r);
    return b < 128 ? (int64_t)b % 6 : known[b % SKV_COUNT(known)];
}

static double next_float(reader *r) {
    static const double known[] = {0,    -0.0,  1,    -1,  0.5, 2,    1e-30, 1e30,
                                   3e38, -3e38, 1e-5, 127, 255, -128, 65504, 1e300};
    const unsigned b = next(r);
    if (b == 255) return NAN;
    if (b == 254) return INFINITY;
    if (b == 253) return -INFINITY;
    return b < 160 ? ((int)b - 80) / 16.0 : known[b % SKV_COUNT(known)];
}

static int64_t next_dim(reader *r) {
    const unsigned b = next(r);
    return b < 224 ? (int64_t)b % 6 : next_int(r);
}

static skive_dtype next_dtype(reader *r) {
    static const skive_dtype often[] = {SKIVE_F32, SKIVE_F32, SKIVE_F32, SKIVE_I64,
                                        SKIVE_U8,  SKIVE_I8,  SKIVE_I32, SKIVE_BOOL};
    const unsigned b = next(r);
    return b < 200 ? often[b % SKV_COUNT(often)] : (skive_dtype)(b % 27);
}

typedef struct maker {
    reader *r;
    skive_context *ctx;
    skive_graph *g;
    skive_value *values[MOST_VALUES];
    size_t n;
} maker;

static skive_value *keep(maker *m, skive_value *v) {
    if (v && m->n < MOST_VALUES) m->values[m->n++] = v;
    return v;
}

/* A parameter of few elements. Integers are mostly small: axes, sizes, indices. */
static skive_status next_tensor(maker *m, skive_tensor *out) {
    int64_t dims[SKIVE_MAX_RANK], count = 1;
    skive_dtype dtype = next_dtype(m->r);
    const int rank = (int)pick(m->r, 5);
    for (int d = 0; d < rank; d++) {
        dims[d] = next_dim(m->r);
        if (dims[d] < 0 || dims[d] > MOST_ELEMENTS || count * dims[d] > MOST_ELEMENTS) dims[d] = 1;
        count *= dims[d];
    }
    if (!skive_dtype_bits(dtype)) dtype = SKIVE_F32;
    SKV_TRY(skive_tensor_create(m->ctx, dtype, rank, dims, out));
    const bool real = dtype == SKIVE_F32 || dtype == SKIVE_F64 || dtype == SKIVE_F16 || dtype == SKIVE_BF16;
    for (int64_t i = 0; i < count && m->r->at < m->r->end; i++)
        skive_tensor_set(out, i, real ? next_float(m->r) : (double)next_int(m->r));
    return SKIVE_OK;
}

static skive_status new_parameter(maker *m, skive_value **out) {
    skive_tensor tensor = {0};
    SKV_TRY(next_tensor(m, &tensor));
    const skive_status status = skive_graph_add_parameter(m->g, NULL, &tensor, out);
    skive_tensor_free(m->ctx, &tensor);
    return status;
}

static skive_status new_input(maker *m, skive_value **out) {
    skive_type type = {.dtype = next_dtype(m->r), .rank = (int)pick(m->r, 6)};
    for (int d = 0; d < type.rank; d++) {
        type.dims[d].size = next_dim(m->r);
        if (type.dims[d].size < 0) type.dims[d] = (skive_dim){-1, "N"};
    }
    if (!skive_dtype_bits(type.dtype)) type.dtype = SKIVE_F32;
    if (next(m->r) == 255) type.rank = -1;
    return skive_graph_add_input(m->g, NULL, &type, out);
}

static skive_status next_value(maker *m, skive_value **out) {
    const unsigned b = next(m->r);
    *out = NULL;
    if (b < 140 && m->n) {
        *out = m->values[m->n - 1 - pick(m->r, m->n)];
        return SKIVE_OK;
    }
    if (b >= 240) return SKIVE_OK; /* absent */
    const skive_status status = b & 1 ? new_parameter(m, out) : new_input(m, out);
    if (status == SKIVE_OK) keep(m, *out);
    return status;
}

static skive_status fill_graph(maker *m, int depth);

static skive_status set_subgraph(maker *m, skive_node *node, const char *name, int depth) {
    maker inner = {.r = m->r, .ctx = m->ctx};
    if (depth == 0) return SKIVE_OK;
    SKV_TRY(skive_graph_create(m->ctx, NULL, &inner.g));
    inner.g->parent = m->g;
    skive_status status = SKIVE_OK;
    /* Some values of the enclosing graph are seen inside. */
    for (size_t c = pick(m->r, 3); c > 0 && m->n && status == SKIVE_OK; c--) {
        skive_value *outer = m->values[pick(m->r, m->n)], *v = NULL;
        status = skv_graph_new_value(inner.g, NULL, &v);
        if (status != SKIVE_OK) break;
        v->outer = outer;
        v->type = outer->type;
        keep(&inner, v);
    }
    if (status == SKIVE_OK) status = fill_graph(&inner, depth - 1);
    if (status == SKIVE_OK) status = skv_node_set_graph_attr(node, name, inner.g);
    if (status != SKIVE_OK) skive_graph_free(inner.g);
    return status;
}

static skive_status set_attr(maker *m, skive_node *node, const skv_attr_spec *spec, int depth) {
    static const char *const texts[] = {"SAME_UPPER", "SAME_LOWER",
                                        "VALID",      "NOTSET",
                                        "constant",   "reflect",
                                        "edge",       "wrap",
                                        "nearest",    "linear",
                                        "cubic",      "none",
                                        "tanh",       "add",
                                        "mul",        "max",
                                        "min",        "DCR",
                                        "CRD",        "forward",
                                        "reverse",    "bidirectional",
                                        "bilinear",   "zeros",
                                        "border",     "sum",
                                        "mean",       "ij,jk->ik",
                                        "...ii->i",   "i,j",
                                        "",           "align_corners",
                                        "asymmetric", "tf_crop_and_resize",
                                        "half_pixel"};
    int64_t ints[6];
    double floats[4];
    const size_t n = pick(m->r, SKV_COUNT(ints) + 1);
    switch (spec->type) {
    case SKV_ATTR_INT: return skv_node_set_attr(node, &SKV_INT(spec->name, next_int(m->r)));
    case SKV_ATTR_FLOAT: return skv_node_set_attr(node, &SKV_FLT(spec->name, next_float(m->r)));
    case SKV_ATTR_STRING: return skv_node_set_attr(node, &SKV_STR(spec->name, texts[pick(m->r, SKV_COUNT(texts))]));
    case SKV_ATTR_INTS:
        for (size_t i = 0; i < n; i++) ints[i] = next_int(m->r);
        return skv_node_set_attr(node, &SKV_INTS(spec->name, ints, n));
    case SKV_ATTR_FLOATS:
        for (size_t i = 0; i < n && i < SKV_COUNT(floats); i++) floats[i] = next_float(m->r);
        return skv_node_set_attr(node, &SKV_FLTS(spec->name, floats, n < SKV_COUNT(floats) ? n : SKV_COUNT(floats)));
    case SKV_ATTR_TENSOR: {
        skive_tensor tensor = {0};
        skv_storage *storage = NULL;
        SKV_TRY(next_tensor(m, &tensor));
        skive_status status = skv_storage_take(m->ctx, &tensor, &storage);
        if (status != SKIVE_OK) {
            skive_tensor_free(m->ctx, &tensor);
            return status;
        }
        status = skv_node_set_tensor_attr(node, spec->name, storage);
        skv_storage_release(storage);
        return status;
    }
    case SKV_ATTR_GRAPH: return set_subgraph(m, node, spec->name, depth);
    case SKV_ATTR_STRINGS: break;
    }
    return SKIVE_OK;
}

static skive_status add_node(maker *m, int depth) {
    const skv_op *op = skv_op_at((next(m->r) | next(m->r) << 8) % skv_op_count());
    skive_value *in[SKV_OP_MAX_IO] = {0}, *out[SKV_OP_MAX_IO] = {0};
    skive_node *node;
    const int most_in = op->max_in < 0 ? op->min_in + 3 : op->max_in,
              most_out = op->max_out < 0 ? op->min_out + 3 : op->max_out;
    size_t n_in = (size_t)op->min_in + pick(m->r, (size_t)(most_in - op->min_in) + 1);
    size_t n_out = (size_t)op->min_out + pick(m->r, (size_t)(most_out - op->min_out) + 1);
    if (n_in > SKV_OP_MAX_IO) n_in = SKV_OP_MAX_IO;
    if (n_out > SKV_OP_MAX_IO) n_out = SKV_OP_MAX_IO;
    for (size_t i = 0; i < n_in; i++) SKV_TRY(next_value(m, &in[i]));
    for (size_t i = 0; i < n_out; i++) SKV_TRY(skv_graph_new_value(m->g, NULL, &out[i]));
    SKV_TRY(skv_graph_new_node(m->g, op->name, op->domain, NULL, in, n_in, out, n_out, &node));
    for (size_t i = 0; i < op->n_attrs; i++)
        if (op->attrs[i].need == SKV_REQUIRED || next(m->r) % 3 == 0) SKV_TRY(set_attr(m, node, &op->attrs[i], depth));
    for (size_t i = 0; i < n_out; i++) keep(m, out[i]);
    return SKIVE_OK;
}

static skive_status fill_graph(maker *m, int depth) {
    for (size_t i = pick(m->r, 3); i > 0; i--) {
        skive_value *v;
        SKV_TRY(new_input(m, &v));
        keep(m, v);
    }
    for (size_t i = 1 + pick(m->r, MOST_NODES); i > 0; i--) SKV_TRY(add_node(m, depth));
    for (size_t i = 1 + pick(m->r, 2); i > 0 && m->n; i--)
        SKV_TRY(skive_graph_add_output(m->g, m->values[m->n - 1 - pick(m->r, m->n < 4 ? m->n : 4)]));
    return SKIVE_OK;
}

static void run(skive_context *ctx, const skive_graph *g, reader *r, const skive_plan_options *options) {
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_status status = skive_plan_create(ctx, g, options, &plan);
    fuzz_check_message(ctx, status);
    int64_t macs = 0;
    for (size_t i = 0; plan && i < skive_plan_step_count(plan); i++) {
        skive_plan_step step;
        skive_plan_step_get(plan, i, &step);
        macs += step.macs < 0 || step.macs > MOST_MACS ? MOST_MACS + 1 : step.macs;
    }
    if (status == SKIVE_OK && macs <= MOST_MACS) {
        status = skive_exec_create(ctx, plan, &exec);
        fuzz_check_message(ctx, status);
    }
    for (size_t i = 0; exec && status == SKIVE_OK && i < skive_plan_input_count(plan); i++) {
        skive_tensor view;
        status = skive_exec_input(exec, i, &view);
        if (status != SKIVE_OK) break;
        const int64_t count = skive_tensor_count(&view);
        for (int64_t k = 0; k < count && k < MOST_ELEMENTS; k++) skive_tensor_set(&view, k, next_float(r));
    }
    if (exec && status == SKIVE_OK) {
        status = skive_exec_run(exec);
        fuzz_check_message(ctx, status);
    }
    for (size_t i = 0; exec && status == SKIVE_OK && i < skive_plan_output_count(plan); i++) {
        skive_tensor view;
        status = skive_exec_output(exec, i, &view);
        const int64_t count = status == SKIVE_OK ? skive_tensor_count(&view) : 0;
        if (count > 0) (void)skive_tensor_get(&view, count - 1);
    }
    skive_exec_free(exec);
    skive_plan_free(plan);
}

static void differentiate(skive_context *ctx, skive_graph *g) {
    skive_value *wrt[4], *gradients[4];
    size_t n = 0;
    for (size_t i = 0; i < skive_graph_value_count(g) && n < SKV_COUNT(wrt); i++) {
        skive_value *v = skive_graph_value(g, i);
        if ((skv_value_is_param(v) || v->is_input) && v->type.dtype == SKIVE_F32) wrt[n++] = v;
    }
    skv_builder b = skv_build(g);
    skive_value *y = skive_graph_output(g, 0);
    if (n == 0 || y->type.dtype != SKIVE_F32) return;
    skive_value *loss = skv_emit(&b, "ReduceSum", SKV_IN(y, NULL), SKV_ATTRS(SKV_INT("keepdims", 0)));
    if (!loss) return;
    const skive_status status = skive_autodiff(g, loss, wrt, n, gradients);
    fuzz_check_message(ctx, status);
    for (size_t i = 0; status == SKIVE_OK && i < n; i++)
        if (skive_graph_add_output(g, gradients[i]) != SKIVE_OK) return;
}

static void round_trip(skive_context *ctx, const skive_graph *g) {
    skive_graph *again = NULL;
    void *bytes = NULL;
    size_t n = 0;
    skive_status status = skive_onnx_serialize(ctx, g, NULL, &bytes, &n);
    fuzz_check_message(ctx, status);
    if (status == SKIVE_OK) {
        status = skive_onnx_parse(ctx, bytes, n, NULL, NULL, &again);
        fuzz_check_message(ctx, status);
    }
    skive_onnx_free_bytes(ctx, bytes);
    skive_graph_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    reader r = {data, data + size};
    skive_context *ctx = fuzz_context(MOST_BYTES);
    maker m = {.r = &r, .ctx = ctx};
    const unsigned what = next(&r);
    if (skive_graph_create(ctx, "fuzz", &m.g) != SKIVE_OK) abort();
    skive_status status = fill_graph(&m, DEEPEST);
    if (status == SKIVE_OK) status = skive_graph_infer(m.g);
    fuzz_check_message(ctx, status);
    if (status == SKIVE_OK) {
        skive_cost cost;
        char *text = NULL;
        status = skive_graph_check(m.g);
        fuzz_check_message(ctx, status);
        fuzz_check_message(ctx, skive_graph_cost(m.g, &cost));
        if (skive_graph_print(m.g, &text) == SKIVE_OK) {
            if (getenv("SKIVE_FUZZ_PRINT")) fputs(text, stderr); /* to see what a failing input says */
            skive_string_free(ctx, text);
        }
    }
    if (status == SKIVE_OK && (what & 3) == 1) {
        skive_coupling *coupling = NULL;
        fuzz_check_message(ctx, skive_coupling_create(m.g, &coupling));
        const size_t n = skive_coupling_count(coupling);
        const size_t channels[] = {n ? next(&r) % n : 0, n ? next(&r) % n : 0};
        if (n > 0) fuzz_check_message(ctx, skive_graph_remove_channels(m.g, coupling, channels, 2));
        skive_coupling_free(coupling);
    }
    if (status == SKIVE_OK && (what & 3) == 2) round_trip(ctx, m.g);
    if (status == SKIVE_OK && (what & 4)) fuzz_check_message(ctx, skive_simplify(ctx, m.g, NULL, NULL));
    if (status == SKIVE_OK && (what & 8)) differentiate(ctx, m.g);
    if (status == SKIVE_OK) {
        skive_plan_options options = skive_plan_options_default();
        options.no_fusion = what & 16;
        options.reference = what & 32;
        options.training = what & 64;
        run(ctx, m.g, &r, &options);
    }
    skive_graph_free(m.g);
    fuzz_context_end(ctx);
    return 0;
}
