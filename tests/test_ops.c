/* Every op of the list against its own cases: the forward result against the numbers written down by hand, the inferred
 * types against what a run gives, the gradient graph against central differences in double, inference with unknown and
 * with hostile shapes, and failing allocations. An op without a case, or with a gradient that no case checks, fails. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "graph/graph.h"
#include "graph/op.h"
#include "support.h"
#include "tensor/tensor.h"

#define MAX_IO SKV_OP_MAX_IO
#define STEP   1e-5 /* of the central differences */

typedef enum shapes { SHAPES_KNOWN, SHAPES_SYMBOLIC, SHAPES_UNKNOWN } shapes;

/* One node in a graph of its own, and a tensor for each input. */
typedef struct bench {
    skive_context *ctx;
    const skv_op *op;
    const skv_op_case *kase;
    bool wide; /* float32 inputs became float64 */
    skive_graph *graph;
    skive_node *node;
    size_t n_in, n_out;
    skive_tensor in[MAX_IO];
    skive_tensor out[MAX_IO];
} bench;

static const char *label(const bench *b) {
    static char text[256];
    (void)snprintf(text, sizeof text, "%s, case \"%s\"", b->op->name, b->kase->name);
    return text;
}

static void bench_free(bench *b) {
    for (size_t i = 0; i < MAX_IO; i++) {
        skive_tensor_free(b->ctx, &b->in[i]);
        skive_tensor_free(b->ctx, &b->out[i]);
    }
    skive_graph_free(b->graph);
    b->graph = NULL;
}

static skive_dtype case_dtype(const bench *b, const skv_case_in *in) {
    return b->wide && in->dtype == SKIVE_F32 ? SKIVE_F64 : in->dtype;
}

static skive_status fill_input(bench *b, size_t i) {
    const skv_case_in *in = &b->kase->in[i];
    double lo = in->lo, hi = in->hi;
    if (in->absent) return SKIVE_OK;
    if (lo == 0.0 && hi == 0.0) lo = -1.0, hi = 1.0;
    SKV_TRY(skive_tensor_create(b->ctx, case_dtype(b, in), in->rank, in->dims, &b->in[i]));
    int64_t n = skive_tensor_count(&b->in[i]);
    for (int64_t e = 0; e < n; e++) {
        double v = in->values ? in->values[e] : lo + (hi - lo) * skv_rng_uniform(17, i, (uint64_t)e);
        skive_tensor_set(&b->in[i], e, v);
        if (in->text) ((const char **)b->in[i].data)[e] = in->text[e];
    }
    return SKIVE_OK;
}

static skive_status add_value(bench *b, size_t i, shapes how, skive_value **out) {
    const skv_case_in *in = &b->kase->in[i];
    *out = NULL;
    if (in->absent) return SKIVE_OK;
    if (in->constant) return skive_graph_add_parameter(b->graph, NULL, &b->in[i], out);
    skive_type t = skive_type_make(b->in[i].dtype, b->in[i].rank, b->in[i].dims);
    char symbols[SKIVE_MAX_RANK][8];
    for (int a = 0; how == SHAPES_SYMBOLIC && a < t.rank; a++) {
        (void)snprintf(symbols[a], sizeof symbols[a], "d%d_%zu", a, i % 10);
        t.dims[a] = (skive_dim){-1, symbols[a]};
    }
    if (how == SHAPES_UNKNOWN) t.rank = -1;
    return skive_graph_add_input(b->graph, NULL, &t, out);
}

/* Builds the node; on failure what there is must be freed by bench_free all the same. */
static skive_status bench_make(bench *b, shapes how) {
    skive_value *in[MAX_IO] = {NULL}, *out[MAX_IO] = {NULL};
    b->n_in = b->kase->n_in;
    b->n_out = b->kase->n_out;
    SKV_TRY(skive_graph_create(b->ctx, "case", &b->graph));
    for (size_t i = 0; i < b->n_in; i++) {
        SKV_TRY(fill_input(b, i));
        SKV_TRY(add_value(b, i, how, &in[i]));
    }
    for (size_t i = 0; i < b->n_out; i++) SKV_TRY(skv_graph_new_value(b->graph, NULL, &out[i]));
    SKV_TRY(skv_graph_new_node(b->graph, b->op->name, b->op->domain, "the_node", in, b->n_in, out, b->n_out, &b->node));
    for (size_t i = 0; i < b->kase->n_attrs; i++) SKV_TRY(skv_node_set_attr(b->node, &b->kase->attrs[i]));
    return SKIVE_OK;
}

static void borrow_inputs(const bench *b, const skive_tensor *in[MAX_IO]) {
    for (size_t i = 0; i < b->n_in; i++) in[i] = b->kase->in[i].absent ? NULL : &b->in[i];
}

static skive_status bench_run(bench *b) {
    const skive_tensor *in[MAX_IO];
    borrow_inputs(b, in);
    return skv_op_evaluate(b->ctx, b->node, in, b->n_in, b->out, b->node->n_outputs);
}

static void must(const bench *b, skive_status status, const char *what) {
    if (status == SKIVE_OK) return;
    fail_msg("%s: %s: %s: %s", label(b), what, skive_status_name(status), skive_context_message(b->ctx));
}

/* ---- forward ---- */

static double tolerance(skive_dtype dtype) {
    switch (dtype) {
    case SKIVE_F16: return 1e-3;
    case SKIVE_BF16: return 1e-2;
    case SKIVE_F64: return 1e-12;
    case SKIVE_F32: return 1e-6;
    default: return 0.0; /* integers are exact */
    }
}

static void compare_expected(const bench *b) {
    const skv_op_case *k = b->kase;
    const skive_tensor *y = &b->out[0];
    if (k->expect_dims) {
        char have[SKV_DIMS_TEXT], want[SKV_DIMS_TEXT];
        if (!skv_dims_equal(y->rank, y->dims, k->expect_rank, k->expect_dims))
            fail_msg("%s: shape %s, expected %s", label(b), skv_dims_text(y->rank, y->dims, have, sizeof have),
                     skv_dims_text(k->expect_rank, k->expect_dims, want, sizeof want));
    }
    if (!k->expect && !k->expect_text) return;
    if (skive_tensor_count(y) != (int64_t)k->n_expect)
        fail_msg("%s: %lld elements, expected %zu", label(b), (long long)skive_tensor_count(y), k->n_expect);
    double rtol = tolerance(y->dtype);
    for (size_t i = 0; k->expect_text && i < k->n_expect; i++) {
        const char *have = skive_tensor_string(y, (int64_t)i);
        if (!have || strcmp(have, k->expect_text[i]) != 0)
            fail_msg("%s: element %zu is \"%s\", expected \"%s\"", label(b), i, have ? have : "no string",
                     k->expect_text[i]);
    }
    for (size_t i = 0; k->expect && i < k->n_expect; i++) {
        double have = skive_tensor_get(y, (int64_t)i);
        if (!skv_test_close(have, k->expect[i], rtol, rtol))
            fail_msg("%s: element %zu is %.9g, expected %.9g", label(b), i, have, k->expect[i]);
    }
}

/* The inferred type says nothing that the run does not confirm; with everything known it says all. */
static void check_types(const bench *b, bool all) {
    for (size_t o = 0; o < b->n_out; o++) {
        const skive_type *t = &b->node->outputs[o]->type;
        const skive_tensor *y = &b->out[o];
        char have[256], want[256];
        bool same = t->dtype == y->dtype && (t->rank < 0 ? !all : t->rank == y->rank);
        for (int a = 0; same && a < t->rank; a++) same = t->dims[a].size < 0 ? !all : t->dims[a].size == y->dims[a];
        if (same) continue;
        skv_type_text(t, have, sizeof have);
        fail_msg("%s: output %zu was inferred as %s and is %s", label(b), o, have,
                 skv_tensor_text(y, want, sizeof want));
    }
}

static void check_forward(const skv_op *op, const skv_op_case *kase) {
    static const char *const names[] = {"known shapes", "symbolic shapes", "unknown ranks"};
    bool data_dependent =
        op->size_outputs; /* or an input that gives a shape is not a constant: the shape cannot be known before */
    for (size_t i = 0; i < kase->n_in; i++) {
        const skv_case_in *in = &kase->in[i];
        if (!in->absent && !in->constant && (in->dtype == SKIVE_I64 || in->dtype == SKIVE_I32)) data_dependent = true;
    }
    for (int how = SHAPES_KNOWN; how <= SHAPES_UNKNOWN; how++) {
        bench b = {.ctx = skv_test_context(), .op = op, .kase = kase};
        must(&b, bench_make(&b, (shapes)how), "building");
        must(&b, skive_graph_infer(b.graph), names[how]);
        if (how == SHAPES_KNOWN) must(&b, skive_graph_check(b.graph), "checking the graph");
        must(&b, bench_run(&b), "running");
        compare_expected(&b);
        check_types(&b, how == SHAPES_KNOWN && !data_dependent);
        bench_free(&b);
        skv_test_context_end(b.ctx);
    }
}

/* ---- gradient ---- */

typedef struct values {
    skive_tensor *t; /* by value id; parameters borrow */
    bool *own;
    size_t n;
} values;

static void values_free(skive_context *ctx, values *v) {
    for (size_t i = 0; i < v->n; i++)
        if (v->own && v->own[i]) skive_tensor_free(ctx, &v->t[i]);
    skv_free(ctx, v->t);
    skv_free(ctx, v->own);
}

/* Every node of the graph in order, from the tensors that are there already. */
static skive_status evaluate_graph(skive_context *ctx, const skive_graph *g, values *v) {
    skive_node **order = NULL;
    skive_status status;
    SKV_GO(status, done, skv_graph_topo(g, &order));
    for (uint32_t k = 0; k < g->n_nodes; k++) {
        const skive_node *n = order[k];
        const skive_tensor *in[MAX_IO] = {NULL};
        skive_tensor out[MAX_IO] = {{0}};
        assert_true(n->n_inputs <= MAX_IO && n->n_outputs <= MAX_IO);
        for (uint32_t i = 0; i < n->n_inputs; i++) {
            const skive_value *x = n->inputs[i];
            if (x) in[i] = x->storage ? &x->storage->tensor : &v->t[x->id];
            if (in[i]) assert_true(in[i]->data != NULL);
        }
        SKV_GO(status, done, skv_op_evaluate(ctx, n, in, n->n_inputs, out, n->n_outputs));
        for (uint32_t o = 0; o < n->n_outputs; o++) {
            if (!n->outputs[o]) continue;
            v->t[n->outputs[o]->id] = out[o];
            v->own[n->outputs[o]->id] = true;
        }
    }
done:
    skv_free(ctx, order);
    return status;
}

static double weighted_sum(const skive_tensor *y, const skive_tensor *weight) {
    double sum = 0.0;
    for (int64_t i = 0; i < skive_tensor_count(y); i++) sum += skive_tensor_get(y, i) * skive_tensor_get(weight, i);
    return sum;
}

/* Output o of the node, weighted. */
static double loss(bench *b, size_t o, const skive_tensor *weight) {
    must(b, bench_run(b), "running for a difference");
    double sum = weighted_sum(&b->out[o], weight);
    for (size_t i = 0; i < MAX_IO; i++) skive_tensor_free(b->ctx, &b->out[i]);
    return sum;
}

static void compare_gradient(bench *b, size_t o, size_t i, const skive_tensor *weight, const skive_tensor *dx) {
    skive_tensor *x = &b->in[i];
    char have[256], want[256];
    if (dx && (dx->dtype != x->dtype || !skv_dims_equal(dx->rank, dx->dims, x->rank, x->dims)))
        fail_msg("%s: the gradient of input %zu is %s, the input %s", label(b), i,
                 skv_tensor_text(dx, have, sizeof have), skv_tensor_text(x, want, sizeof want));
    int64_t n = skive_tensor_count(x), stride = n > 60 ? n / 60 : 1;
    for (int64_t e = 0; e < n; e += stride) {
        double at = skive_tensor_get(x, e);
        skive_tensor_set(x, e, at + STEP);
        double above = loss(b, o, weight);
        skive_tensor_set(x, e, at - STEP);
        double below = loss(b, o, weight);
        skive_tensor_set(x, e, at);
        double numeric = (above - below) / (2 * STEP), analytic = dx ? skive_tensor_get(dx, e) : 0.0;
        if (!skv_test_close(analytic, numeric, 1e-6, 1e-6))
            fail_msg("%s: d output %zu / d input %zu[%lld] is %.10g in the gradient graph, %.10g by differences",
                     label(b), o, i, (long long)e, analytic, numeric);
    }
}

/* Builds the gradient of output o; false when the record has none through it. */
static bool build_gradient(bench *b, size_t o, const bool *need, skive_value **dout_value, skive_value **din) {
    skive_value *dout[MAX_IO] = {NULL};
    skive_type t = b->node->outputs[o]->type;
    must(b, skive_graph_add_input(b->graph, "the_gradient", &t, dout_value), "adding the output's gradient");
    dout[o] = *dout_value;
    skv_builder builder = skv_build(b->graph);
    skv_grad c = {.b = &builder, .node = b->node, .dout = dout, .need = need, .din = din};
    skive_status status = b->op->grad(&c);
    if (status == SKIVE_ERR_UNSUPPORTED && o > 0) return false;
    must(b, status, "building the gradient");
    must(b, builder.status, "building the gradient");
    must(b, skive_graph_infer(b->graph), "inferring the gradient graph");
    return true;
}

/* Is there anything to differentiate: a real input that is no constant, and a real output? */
static bool has_real_path(const skv_op *op, const skv_op_case *kase) {
    bench b = {.ctx = skv_test_context(), .op = op, .kase = kase, .wide = true};
    bool from = false, to = false;
    must(&b, bench_make(&b, SHAPES_KNOWN), "building");
    must(&b, skive_graph_infer(b.graph), "inferring");
    for (size_t i = 0; i < b.n_in; i++)
        from = from || (!kase->in[i].absent && !kase->in[i].constant && b.in[i].dtype == SKIVE_F64);
    for (size_t o = 0; o < b.n_out; o++) to = to || b.node->outputs[o]->type.dtype == SKIVE_F64;
    bench_free(&b);
    skv_test_context_end(b.ctx);
    return from && to;
}

static bool check_gradient_of(const skv_op *op, const skv_op_case *kase, size_t o, const bool *only) {
    bench b = {.ctx = skv_test_context(), .op = op, .kase = kase, .wide = true};
    bool need[MAX_IO] = {false}, checked = false;
    skive_value *din[MAX_IO] = {NULL}, *dout;
    skive_tensor weight = {0};
    values v = {0};
    must(&b, bench_make(&b, SHAPES_KNOWN), "building");
    must(&b, skive_graph_infer(b.graph), "inferring");
    for (size_t i = 0; i < b.n_in; i++)
        need[i] = !kase->in[i].absent && !kase->in[i].constant && b.in[i].dtype == SKIVE_F64 && (!only || only[i]);
    const skive_type type = b.node->outputs[o]->type;
    if (type.dtype != SKIVE_F64 || !skv_type_is_static(&type)) goto done;
    if (!build_gradient(&b, o, need, &dout, din)) goto done;
    int64_t dims[SKIVE_MAX_RANK];
    for (int a = 0; a < type.rank; a++) dims[a] = type.dims[a].size;
    weight = skv_test_random(b.ctx, SKIVE_F64, type.rank, dims, 5 + o, 0.5, 2.0);
    v.n = b.graph->n_values;
    must(&b, skv_alloc_array(b.ctx, v.n, sizeof *v.t, &v.t), "room");
    must(&b, skv_alloc_array(b.ctx, v.n, sizeof *v.own, &v.own), "room");
    for (size_t i = 0; i < b.n_in; i++)
        if (b.node->inputs[i]) v.t[b.node->inputs[i]->id] = b.in[i];
    v.t[dout->id] = weight;
    must(&b, evaluate_graph(b.ctx, b.graph, &v), "running the gradient graph");
    for (size_t i = 0; i < b.n_in; i++) {
        if (!need[i]) {
            if (din[i]) fail_msg("%s: a gradient of input %zu that was not asked for", label(&b), i);
            continue;
        }
        const skive_tensor *dx = !din[i] ? NULL : din[i]->storage ? &din[i]->storage->tensor : &v.t[din[i]->id];
        compare_gradient(&b, o, i, &weight, dx);
        checked = true;
    }
done:
    values_free(b.ctx, &v);
    skive_tensor_free(b.ctx, &weight);
    bench_free(&b);
    skv_test_context_end(b.ctx);
    return checked;
}

/* Every output by itself, all inputs at once; then through output 0 each input alone. */
static bool check_gradient(const skv_op *op, const skv_op_case *kase) {
    bool checked = false;
    for (size_t o = 0; o < kase->n_out; o++) checked = check_gradient_of(op, kase, o, NULL) || checked;
    for (size_t i = 0; checked && kase->n_in > 1 && i < kase->n_in; i++) {
        bool only[MAX_IO] = {false};
        only[i] = true;
        (void)check_gradient_of(op, kase, 0, only);
    }
    return checked;
}

/* ---- hostile shapes and attributes ---- */

static uint64_t draw(uint64_t stream, uint64_t *at, uint64_t n) { return skv_rng_below(99, stream, (*at)++, n); }

static int64_t hostile_number(uint64_t stream, uint64_t *at) {
    static const int64_t numbers[] = {0,
                                      1,
                                      2,
                                      3,
                                      4,
                                      7,
                                      64,
                                      -1,
                                      -2,
                                      -3,
                                      INT32_MAX,
                                      (int64_t)INT32_MAX + 1,
                                      (int64_t)1 << 40,
                                      (int64_t)1 << 62,
                                      INT64_MAX,
                                      INT64_MIN,
                                      INT64_MIN + 1};
    return numbers[draw(stream, at, SKV_COUNT(numbers))];
}

/* One attribute of the case with one number changed; false when it has none with numbers. */
static bool spoil_attribute(bench *b, uint64_t stream, uint64_t *at) {
    int64_t ints[32];
    if (!b->kase->n_attrs) return false;
    skv_attr_init a = b->kase->attrs[draw(stream, at, b->kase->n_attrs)];
    if (a.type == SKV_ATTR_INT) {
        a.i = hostile_number(stream, at);
    } else if (a.type == SKV_ATTR_INTS && a.n > 0 && a.n <= SKV_COUNT(ints)) {
        memcpy(ints, a.ints, a.n * sizeof *ints);
        ints[draw(stream, at, a.n)] = hostile_number(stream, at);
        a.ints = ints;
        if (draw(stream, at, 4) == 0) a.n--;
    } else {
        return false;
    }
    must(b, skv_node_set_attr(b->node, &a), "setting an attribute");
    return true;
}

/* Inference on spoiled types must answer OK or an error that names the node; nothing may break. */
static void check_hostile(const skv_op *op, const skv_op_case *kase, uint64_t stream) {
    static const skive_dtype dtypes[] = {SKIVE_DTYPE_NONE, SKIVE_F32,  SKIVE_F64, SKIVE_U8,  SKIVE_I8,    SKIVE_I32,
                                         SKIVE_I64,        SKIVE_BOOL, SKIVE_I4,  SKIVE_F16, SKIVE_STRING};
    uint64_t at = 0;
    if (!kase->n_in) return;
    for (int round = 0; round < 150; round++) {
        bench b = {.ctx = skv_test_context(), .op = op, .kase = kase};
        must(&b, bench_make(&b, SHAPES_KNOWN), "building");
        skive_type types[MAX_IO];
        const skive_type *in[MAX_IO] = {NULL};
        const skive_tensor *constant[MAX_IO] = {NULL};
        const uint32_t n_in = b.node->n_inputs, n_out = b.node->n_outputs;
        for (size_t i = 0; i < b.n_in; i++) {
            if (kase->in[i].absent) continue;
            types[i] = skive_type_make(b.in[i].dtype, b.in[i].rank, b.in[i].dims);
            in[i] = &types[i];
            if (kase->in[i].constant) constant[i] = &b.in[i];
        }
        for (uint64_t changes = 1 + draw(stream, &at, 3); changes > 0; changes--) {
            size_t i = (size_t)draw(stream, &at, b.n_in);
            uint64_t what = draw(stream, &at, 8);
            if (!in[i]) continue;
            if (what == 0) {
                types[i].dtype = dtypes[draw(stream, &at, SKV_COUNT(dtypes))];
                constant[i] = NULL;
            } else if (what == 1) {
                int rank = (int)draw(stream, &at, SKIVE_MAX_RANK + 2) - 1;
                for (int a = types[i].rank < 0 ? 0 : types[i].rank; a < rank; a++)
                    types[i].dims[a] = (skive_dim){2, NULL};
                types[i].rank = rank;
                constant[i] = NULL;
            } else if (what == 2) {
                (void)spoil_attribute(&b, stream, &at);
            } else if (what == 3 && constant[i] && skive_tensor_count(&b.in[i]) > 0 &&
                       !skv_dtype_is_float(b.in[i].dtype)) {
                int64_t e = (int64_t)draw(stream, &at, (uint64_t)skive_tensor_count(&b.in[i]));
                skv_store_i64(b.in[i].dtype, b.in[i].data, (size_t)e, hostile_number(stream, &at));
            } else if (types[i].rank > 0) {
                int64_t size = hostile_number(stream, &at);
                types[i].dims[draw(stream, &at, (uint64_t)types[i].rank)] = (skive_dim){size < -1 ? -1 : size, NULL};
                constant[i] = NULL;
            }
        }
        /* Inference may run before inputs and outputs are counted, so there may be fewer. Blocks have their exact size,
         * so that a sanitizer sees accesses beyond them. */
        if (draw(stream, &at, 4) == 0) b.node->n_outputs = (uint32_t)draw(stream, &at, n_out + 1);
        if (draw(stream, &at, 4) == 0) b.node->n_inputs = (uint32_t)draw(stream, &at, n_in + 1);
        const skive_type **given = malloc(b.node->n_inputs * sizeof *given + 1);
        const skive_tensor **numbers = malloc(b.node->n_inputs * sizeof *numbers + 1);
        skive_type *out = malloc(b.node->n_outputs * sizeof *out + 1);
        assert_true(given && numbers && out);
        memcpy(given, in, b.node->n_inputs * sizeof *given);
        memcpy(numbers, constant, b.node->n_inputs * sizeof *numbers);
        skive_status status = skv_op_infer(b.ctx, b.node, given, numbers, out);
        if (status != SKIVE_OK && status != SKIVE_ERR_MEMORY) {
            const char *message = skive_context_message(b.ctx);
            bool fits = status == SKIVE_ERR_SHAPE || status == SKIVE_ERR_GRAPH || status == SKIVE_ERR_UNSUPPORTED ||
                        status == SKIVE_ERR_LIMIT;
            if (!fits || !strstr(message, "the_node"))
                fail_msg("%s: hostile shapes gave %s \"%s\"", label(&b), skive_status_name(status), message);
        } else {
            for (uint32_t o = 0; o < b.node->n_outputs; o++) {
                for (int a = 0; a < out[o].rank; a++)
                    if (out[o].dims[a].size < -1)
                        fail_msg("%s: hostile shapes gave a size of %lld", label(&b), (long long)out[o].dims[a].size);
                assert_true(out[o].rank >= -1 && out[o].rank <= SKIVE_MAX_RANK);
            }
        }
        free(given);
        free(numbers);
        free(out);
        b.node->n_inputs = n_in;
        b.node->n_outputs = n_out;
        bench_free(&b);
        skv_test_context_end(b.ctx);
    }
}

/* ---- failing allocations ---- */

typedef struct walked {
    const skv_op *op;
    const skv_op_case *kase;
} walked;

static skive_status run_and_differentiate(skive_context *ctx, void *user) {
    const walked *w = user;
    bench b = {.ctx = ctx, .op = w->op, .kase = w->kase};
    bool need[MAX_IO] = {false};
    skive_value *din[MAX_IO] = {NULL}, *dout[MAX_IO] = {NULL};
    skive_status status;
    SKV_GO(status, done, bench_make(&b, SHAPES_KNOWN));
    SKV_GO(status, done, skive_graph_infer(b.graph));
    SKV_GO(status, done, bench_run(&b));
    if (!w->op->grad || w->kase->no_grad) goto done;
    for (size_t i = 0; i < b.n_in; i++)
        need[i] = !w->kase->in[i].absent && !w->kase->in[i].constant && skv_dtype_is_float(b.in[i].dtype);
    const skive_type type = b.node->outputs[0]->type;
    SKV_GO(status, done, skive_graph_add_input(b.graph, "the_gradient", &type, &dout[0]));
    skv_builder builder = skv_build(b.graph);
    skv_grad c = {.b = &builder, .node = b.node, .dout = dout, .need = need, .din = din};
    status = w->op->grad(&c);
done:
    bench_free(&b);
    return status;
}

/* ---- the tests ---- one an op, made from the list ---- */

static bool bad_text(const char *s) { return !s || !*s; }

static void test_op(void **state) {
    const skv_op *op = *state;
    assert_false(bad_text(op->name) || bad_text(op->brief) || !op->domain);
    assert_ptr_equal(skv_op_find(op->name, op->domain), op);
    assert_true(op->min_in >= 0 && op->min_out >= 0 && op->since >= 1 && op->infer && (op->run || op->flow));
    if (op->flow) return; /* it needs a session: tests/test_session.c */
    if (op->n_cases == 0) fail_msg("%s has no case", op->name);
    bool differentiated = false, compared = false, real = false;
    for (size_t k = 0; k < op->n_cases; k++) {
        const skv_op_case *kase = &op->cases[k];
        assert_true(kase->n_in <= MAX_IO && kase->n_out >= 1 && kase->n_out <= MAX_IO);
        compared = compared || kase->expect || kase->expect_text;
        check_forward(op, kase);
        check_hostile(op, kase, k);
        real = real || has_real_path(op, kase);
        if (op->grad && !kase->no_grad) differentiated = check_gradient(op, kase) || differentiated;
    }
    if (!compared) fail_msg("%s has no case with expected numbers", op->name);
    /* Rounding has no derivative: its gradient is a rule (straight through), which test_train_quantized.c checks;
     * that of Detach, none, test_terms.c. */
    const bool by_rule = strcmp(op->name, "FakeQuantize") == 0 || strcmp(op->name, "Detach") == 0;
    if (op->grad && real && !differentiated && !by_rule) fail_msg("%s has a gradient, but no case checks it", op->name);
    walked w = {op, &op->cases[0]};
    assert_true(skv_test_walk_allocations(run_and_differentiate, &w, 1) > 1);
}

static int all_ops(void) {
    size_t n = skv_op_count();
    struct CMUnitTest *tests = calloc(n, sizeof *tests);
    if (!tests || n == 0) return 1;
    for (size_t i = 0; i < n; i++)
        tests[i] = (struct CMUnitTest){
            .name = skv_op_at(i)->name, .test_func = test_op, .initial_state = (void *)(uintptr_t)skv_op_at(i)};
    int failed = _cmocka_run_group_tests("ops", tests, n, NULL, NULL);
    free(tests);
    return failed;
}

/* With an argument: only the ops it matches (* and ? stand for anything). */
int main(int argc, char **argv) {
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return all_ops();
}
