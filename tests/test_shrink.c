/* Every op that couples channels, over its own cases: after channels are removed (skive_graph_remove_channels) the node
 * gives what it gives when they are there and empty. Empty means zeros. An op that takes a statistic over the channels
 * takes it over those that are left; its reference is the whole op on inputs in which the removed channels do not
 * count: copies of channels that are left, in equal numbers, for a mean; the lowest number for a maximum or an
 * exponential; 1 for a product. An op of whose record nothing says that it mixes gives each channel from that channel. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skive/coupling.h>

#include "support.h"

#include <cmocka.h>

#include "graph/couple.h"
#include "tensor/tensor.h"

#define MAX_IO SKV_OP_MAX_IO
enum { MAX_TRIES = 48 }; /* channels tried one by one of each case */

typedef enum filling { ZERO, LOWEST, HIGHEST, ONE, COPIES } filling;

/* What does not count, of the ops that mix channels. */
static filling filling_of(const skv_op *op) {
    static const struct {
        const char *op;
        filling how;
    } list[] = {{"Softmax", LOWEST},         {"LogSoftmax", LOWEST}, {"Hardmax", LOWEST}, {"ReduceMax", LOWEST},
                {"ReduceLogSumExp", LOWEST}, {"ReduceMin", HIGHEST}, {"ReduceProd", ONE}, {"CumSum", ZERO},
                {"LpNormalization", ZERO}};
    for (size_t i = 0; i < SKV_COUNT(list); i++)
        if (strcmp(op->name, list[i].op) == 0) return list[i].how;
    return COPIES;
}

/* Of integer ops: the input whose elements count from the zero point in another one, and the axis along which that may
 * be a vector. */
static const struct {
    const char *op;
    uint32_t input, zero;
    int axis;
} zero_points[] = {{"QLinearConv", 0, 2, 0},   {"QLinearConv", 3, 5, 0},   {"ConvInteger", 0, 2, 0},
                   {"ConvInteger", 1, 3, 0},   {"MatMulInteger", 0, 2, 0}, {"MatMulInteger", 1, 3, 1},
                   {"QLinearMatMul", 0, 2, 0}, {"QLinearMatMul", 3, 5, 1}};

typedef struct bench {
    skive_context *ctx;
    const skv_op *op;
    const skv_op_case *kase;
    skive_graph *graph;
    skive_coupling *k;
    skive_tensor in[MAX_IO], out[MAX_IO];
} bench;

static char *label(const bench *b) {
    static char text[256];
    (void)snprintf(text, sizeof text, "%s, case \"%s\"", b->op->name, b->kase->name);
    return text;
}

static size_t faults;
#define FAULT(...) (faults++, print_error(__VA_ARGS__))

static void must(const bench *b, skive_status status, const char *what) {
    if (status != SKIVE_OK) fail_msg("%s: %s: %s", label(b), what, skive_context_message(b->ctx));
}

static void fill_input(bench *b, size_t i) {
    const skv_case_in *in = &b->kase->in[i];
    const double lo = in->lo == 0 && in->hi == 0 ? -1 : in->lo, hi = in->lo == 0 && in->hi == 0 ? 1 : in->hi;
    must(b, skive_tensor_create(b->ctx, in->dtype, in->rank, in->dims, &b->in[i]), "input");
    for (int64_t e = 0; e < skive_tensor_count(&b->in[i]); e++)
        skive_tensor_set(&b->in[i], e,
                         in->values ? in->values[e] : lo + (hi - lo) * skv_rng_uniform(23, i, (uint64_t)e));
}

static skive_graph *make_graph(const bench *b) {
    skive_value *in[MAX_IO] = {NULL}, *out[MAX_IO] = {NULL};
    skive_graph *g = NULL;
    skive_node *node = NULL;
    must(b, skive_graph_create(b->ctx, "case", &g), "graph");
    for (size_t i = 0; i < b->kase->n_in; i++) {
        const skv_case_in *c = &b->kase->in[i];
        if (c->absent) continue;
        if (c->constant) {
            must(b, skive_graph_add_parameter(g, NULL, &b->in[i], &in[i]), "parameter");
        } else {
            const skive_type t = skive_type_make(c->dtype, c->rank, c->dims);
            must(b, skive_graph_add_input(g, NULL, &t, &in[i]), "input");
        }
    }
    for (size_t i = 0; i < b->kase->n_out; i++) must(b, skv_graph_new_value(g, NULL, &out[i]), "output");
    must(b,
         skv_graph_new_node(g, b->op->name, b->op->domain, "the_node", in, b->kase->n_in, out, b->kase->n_out, &node),
         "node");
    for (size_t i = 0; i < b->kase->n_out; i++) must(b, skive_graph_add_output(g, out[i]), "output");
    for (size_t i = 0; i < b->kase->n_attrs; i++) must(b, skv_node_set_attr(node, &b->kase->attrs[i]), "attribute");
    must(b, skive_graph_infer(g), "inference");
    return g;
}

/* ---- masks ---- */

/* keep[axis][index] of a value; source[axis][index]: the index whose copy fills a removed one. */
typedef struct masks {
    bool *keep[SKIVE_MAX_RANK];
    int64_t *source[SKIVE_MAX_RANK];
    bool any;
} masks;

static void masks_make(masks *m, const skive_type *t) {
    *m = (masks){.any = false};
    for (int d = 0; d < t->rank; d++) {
        const size_t n = t->dims[d].size > 0 ? (size_t)t->dims[d].size : 0;
        m->keep[d] = calloc(n + 1, sizeof(bool));
        m->source[d] = calloc(n + 1, sizeof(int64_t));
        assert_true(m->keep[d] && m->source[d]);
        for (size_t i = 0; i < n; i++) {
            m->keep[d][i] = true;
            m->source[d][i] = (int64_t)i;
        }
    }
}

static void masks_free(masks *m) {
    for (int d = 0; d < SKIVE_MAX_RANK; d++) {
        free(m->keep[d]);
        free(m->source[d]);
    }
}

static void masks_remove(masks *m, const skive_coupling *k, const skive_value *v, size_t channel, size_t copy) {
    const skive_channel_slice *s, *from;
    size_t n, n_from;
    skive_coupling_get(k, channel, &s, &n, NULL);
    skive_coupling_get(k, copy, &from, &n_from, NULL);
    for (size_t i = 0; i < n; i++) {
        if (s[i].value != v) continue;
        m->keep[s[i].axis][s[i].index] = false;
        m->any = true;
        if (n == n_from) m->source[s[i].axis][s[i].index] = from[i].index;
    }
}

static skive_tensor selected(const bench *b, const skive_tensor *t, const masks *m) {
    skive_tensor out = {0};
    must(b, skv_tensor_select(b->ctx, t, (const bool *const *)m->keep, &out), "selection");
    return out;
}

static double zero_of(const bench *b, uint32_t input, const int64_t *index) {
    for (size_t i = 0; i < SKV_COUNT(zero_points); i++) {
        if (strcmp(zero_points[i].op, b->op->name) != 0 || zero_points[i].input != input) continue;
        const skive_tensor *z = &b->in[zero_points[i].zero];
        if (!z->data) return 0;
        return skive_tensor_get(z, skive_tensor_count(z) == 1 ? 0 : index[zero_points[i].axis]);
    }
    return 0;
}

static skive_tensor emptied(const bench *b, uint32_t input, const masks *m, filling how) {
    const skive_tensor *t = &b->in[input];
    skive_tensor out = {0};
    int64_t index[SKIVE_MAX_RANK] = {0}, strides[SKIVE_MAX_RANK];
    must(b, skive_tensor_copy(b->ctx, t, &out), "copy");
    skv_dims_strides(t->rank, t->dims, strides);
    for (int64_t e = 0; e < skive_tensor_count(t); e++) {
        int64_t from = 0;
        bool keep = true;
        for (int d = 0; d < t->rank; d++) {
            keep = keep && m->keep[d][index[d]];
            from += (how == COPIES ? m->source[d][index[d]] : index[d]) * strides[d];
        }
        const double empty[] = {zero_of(b, input, index), t->dtype == SKIVE_BOOL ? 0 : -1e30, 1e30, 1};
        if (!keep) skive_tensor_set(&out, e, how == COPIES ? skive_tensor_get(t, from) : empty[how]);
        for (int d = t->rank - 1; d >= 0 && ++index[d] == t->dims[d]; d--) index[d] = 0;
    }
    return out;
}

/* ---- one removal ---- */

static double tolerance(skive_dtype dtype) {
    switch (dtype) {
    case SKIVE_F16: return 2e-3;
    case SKIVE_BF16: return 2e-2;
    case SKIVE_F64: return 1e-11;
    case SKIVE_F32: return 2e-6;
    default: return 0;
    }
}

/* Removes these channels; with `copies`, channel i is filled by channel copies[i]. */
static bool removal(bench *b, const size_t *channels, const size_t *copies, size_t n) {
    skive_graph *g = make_graph(b);
    const skive_node *old = b->graph->nodes[0];
    skive_coupling *k = NULL;
    masks in[MAX_IO], out[MAX_IO];
    skive_tensor shrunk_in[MAX_IO] = {{0}}, whole_in[MAX_IO] = {{0}}, shrunk[MAX_IO] = {{0}}, whole[MAX_IO] = {{0}};
    const skive_tensor *a[MAX_IO] = {NULL}, *w[MAX_IO] = {NULL};
    filling how = ZERO;
    bool done = false;
    memset(in, 0, sizeof in);
    memset(out, 0, sizeof out);
    must(b, skv_coupling_create(g, true, &k), "coupling");
    for (size_t i = 0; i < n; i++)
        if (skive_coupling_mixes(k, channels[i])) how = filling_of(b->op);
    const skive_status status = skive_graph_remove_channels(g, k, channels, n);
    if (status == SKIVE_ERR_ARGUMENT && strstr(skive_context_message(b->ctx), "nothing would remain")) goto end;
    if (status != SKIVE_OK) {
        FAULT("%s: removal: %s\n", label(b), skive_context_message(b->ctx));
        goto end;
    }
    const skive_node *fresh = g->nodes[0];
    for (uint32_t i = 0; i < old->n_inputs; i++) {
        if (!old->inputs[i]) continue;
        masks_make(&in[i], &old->inputs[i]->type);
        for (size_t c = 0; c < n; c++) masks_remove(&in[i], b->k, old->inputs[i], channels[c], copies ? copies[c] : 0);
        whole_in[i] = emptied(b, i, &in[i], how);
        w[i] = &whole_in[i];
        shrunk_in[i] = selected(b, &b->in[i], &in[i]);
        a[i] = skv_value_tensor(fresh->inputs[i]) ? skv_value_tensor(fresh->inputs[i]) : &shrunk_in[i];
    }
    for (uint32_t i = old->n_inputs; i < fresh->n_inputs; i++) a[i] = skv_value_tensor(fresh->inputs[i]);
    must(b, skv_op_evaluate(b->ctx, old, w, old->n_inputs, whole, old->n_outputs), "the whole node");
    if (skv_op_evaluate(b->ctx, fresh, a, fresh->n_inputs, shrunk, fresh->n_outputs) != SKIVE_OK) {
        FAULT("%s: the smaller node: %s\n", label(b), skive_context_message(b->ctx));
        goto end;
    }
    for (uint32_t o = 0; o < old->n_outputs; o++) {
        masks_make(&out[o], &old->outputs[o]->type);
        for (size_t c = 0; c < n; c++) masks_remove(&out[o], b->k, old->outputs[o], channels[c], 0);
        skive_tensor want = selected(b, &whole[o], &out[o]);
        const bool same = skv_dims_equal(want.rank, want.dims, shrunk[o].rank, shrunk[o].dims);
        if (!same) FAULT("%s: output %u has another shape\n", label(b), o);
        const double tol = tolerance(want.dtype);
        for (int64_t e = 0; same && e < skive_tensor_count(&want); e++) {
            const double x = skive_tensor_get(&shrunk[o], e), y = skive_tensor_get(&want, e);
            if (skv_test_close(x, y, tol, tol)) continue;
            FAULT("%s: %zu channels from %zu removed: element %lld of output %u is %.9g, with empty channels %.9g\n",
                  label(b), n, channels[0], (long long)e, o, x, y);
            break;
        }
        skive_tensor_free(b->ctx, &want);
    }
    done = true;
end:
    for (size_t i = 0; i < MAX_IO; i++) {
        masks_free(&in[i]);
        masks_free(&out[i]);
        skive_tensor_free(b->ctx, &shrunk_in[i]);
        skive_tensor_free(b->ctx, &whole_in[i]);
        skive_tensor_free(b->ctx, &shrunk[i]);
        skive_tensor_free(b->ctx, &whole[i]);
    }
    skive_coupling_free(k);
    skive_graph_free(g);
    return done;
}

/* The channels of a family beyond a divisor of their number, filled by copies of those before it. */
static size_t remove_family(bench *b, int family, size_t first) {
    size_t list[256], copies[256], removed[256], m = 0, n = 0, tried = 0;
    for (size_t i = first; i < skive_coupling_count(b->k) && m < SKV_COUNT(list); i++) {
        int f;
        skive_coupling_get(b->k, i, NULL, NULL, &f);
        if (f == family) list[m++] = i;
    }
    for (size_t left = 1; left < m; left++) {
        if (m % left != 0) continue;
        n = 0;
        for (size_t i = left; i < m; i++) {
            removed[n] = list[i];
            copies[n++] = list[i % left];
        }
        tried += removal(b, removed, copies, n);
    }
    return tried;
}

/* ---- what mixes says so ---- */

/* Whether the elements of `out` that lie outside of the channel differ from those of `want`. */
static bool differs_elsewhere(const skive_tensor *out, const skive_tensor *want, const masks *m) {
    int64_t index[SKIVE_MAX_RANK] = {0};
    const double tol = tolerance(want->dtype);
    for (int64_t e = 0; e < skive_tensor_count(want); e++) {
        bool keep = true;
        for (int d = 0; d < want->rank; d++) keep = keep && m->keep[d][index[d]];
        if (keep && !skv_test_close(skive_tensor_get(out, e), skive_tensor_get(want, e), tol, tol)) return true;
        for (int d = want->rank - 1; d >= 0 && ++index[d] == want->dims[d]; d--) index[d] = 0;
    }
    return false;
}

/* A channel that goes through the node from its data to its result, and does not mix: other numbers in it change nothing
 * in the other channels. A channel of weights, too, is read elsewhere (the products of a cell), and is not tried. */
static void alone(bench *b, size_t channel) {
    const skive_node *n = b->graph->nodes[0];
    const skive_channel_slice *s;
    size_t n_slices;
    bool through = false, only = true;
    masks in = {0}, out = {0};
    skive_tensor other = {0}, before = {0}, after = {0};
    const skive_tensor *list[MAX_IO] = {NULL};
    skive_coupling_get(b->k, channel, &s, &n_slices, NULL);
    for (size_t i = 0; i < n_slices; i++) {
        through = through || s[i].value == n->outputs[0];
        only = only && (s[i].value == n->outputs[0] || s[i].value == n->inputs[0]);
    }
    if (!through || !only || n->n_outputs != 1 || skive_coupling_mixes(b->k, channel)) return;
    masks_make(&in, &n->inputs[0]->type);
    masks_make(&out, &n->outputs[0]->type);
    masks_remove(&in, b->k, n->inputs[0], channel, channel);
    masks_remove(&out, b->k, n->outputs[0], channel, channel);
    for (uint32_t i = 0; i < n->n_inputs; i++) list[i] = b->in[i].data ? &b->in[i] : NULL;
    must(b, skv_op_evaluate(b->ctx, n, list, n->n_inputs, &before, 1), "the node");
    other = emptied(b, 0, &in, ONE);
    list[0] = &other;
    if (skv_op_evaluate(b->ctx, n, list, n->n_inputs, &after, 1) == SKIVE_OK &&
        differs_elsewhere(&after, &before, &out))
        FAULT("%s: channel %zu counts in others of its axis, and the record does not say that it mixes\n", label(b),
              channel);
    masks_free(&in);
    masks_free(&out);
    skive_tensor_free(b->ctx, &other);
    skive_tensor_free(b->ctx, &before);
    skive_tensor_free(b->ctx, &after);
}

/* Returns how many removals were compared. */
static size_t try_case(const skv_op *op, const skv_op_case *kase) {
    bench b = {.ctx = skv_test_context(), .op = op, .kase = kase};
    size_t tried = 0;
    int families = 0;
    for (size_t i = 0; i < kase->n_in; i++)
        if (!kase->in[i].absent) fill_input(&b, i);
    b.graph = make_graph(&b);
    must(&b, skv_coupling_create(b.graph, true, &b.k), "coupling");
    const size_t n = skive_coupling_count(b.k);
    for (size_t i = 0; i < n; i++) {
        int family;
        skive_coupling_get(b.k, i, NULL, NULL, &family);
        const bool copies = skive_coupling_mixes(b.k, i) && filling_of(op) == COPIES;
        if (family == families) {
            families++;
            tried += remove_family(&b, family, i);
        }
        if (!copies && i < MAX_TRIES) tried += removal(&b, &i, NULL, 1);
        if (i < MAX_TRIES) alone(&b, i);
    }
    /* Of all kinds at once. */
    for (uint64_t round = 0; round < 4; round++) {
        size_t some[256], m = 0;
        for (size_t i = 0; i < n && m < SKV_COUNT(some); i++) {
            const bool copies = skive_coupling_mixes(b.k, i) && filling_of(op) == COPIES;
            if (!copies && skv_rng_uniform(31, round, i) < 0.35) some[m++] = i;
        }
        if (m > 0) tried += removal(&b, some, NULL, m);
    }
    for (size_t i = 0; i < MAX_IO; i++) skive_tensor_free(b.ctx, &b.in[i]);
    skive_coupling_free(b.k);
    skive_graph_free(b.graph);
    skv_test_context_end(b.ctx);
    return tried;
}

/* Ops whose records only say why nothing can be removed. */
static bool only_explains(const skv_op *op) {
    static const char *const names[] = {"AffineGrid", "LRN", "Upsample"};
    for (size_t i = 0; i < SKV_COUNT(names); i++)
        if (strcmp(op->name, names[i]) == 0) return true;
    return false;
}

static void smaller_is_as_masked(void **state) {
    size_t ops = 0, removals = 0;
    char missing[2048] = "";
    (void)state;
    for (size_t i = 0; i < skv_op_count(); i++) {
        const skv_op *op = skv_op_at(i);
        size_t tried = 0;
        if (!op->couple || !op->run || op->random) continue;
        for (size_t c = 0; c < op->n_cases; c++) tried += try_case(op, &op->cases[c]);
        if (tried == 0 && !only_explains(op)) {
            const size_t at = strlen(missing);
            (void)snprintf(missing + at, sizeof missing - at, " %s", op->name);
        }
        ops += tried > 0;
        removals += tried;
    }
    if (missing[0]) fail_msg("no case of these ops has a channel that can be removed:%s", missing);
    print_message("%zu removals over %zu ops\n", removals, ops);
    assert_int_equal(faults, 0);
    assert_true(ops > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(smaller_is_as_masked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
