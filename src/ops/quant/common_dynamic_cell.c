/* See common_dynamic_cell.h. */
#include "ops/quant/common_dynamic_cell.h"

#include <string.h>

#include "tensor/tensor.h"

static const char *const names[SKV_CELL_KINDS] = {"rnn", "gru", "gru-linear"};

const char *skv_cell_name(skv_cell_kind kind) { return names[kind]; }

skv_cell_kind skv_cell_find(const char *name) {
    int i = 0;
    while (i < SKV_CELL_KINDS && strcmp(names[i], name) != 0) i++;
    return (skv_cell_kind)i;
}

/* ---- the body ---- */

static skive_value *shared(skv_builder *b, skv_storage *s) {
    if (b->status != SKIVE_OK) return NULL;
    skv_storage_retain(s);
    return skv_emit_param(b, NULL, s);
}

/* float(integer sums of x and the codes) times both scales */
static skive_value *product(skv_builder *b, skive_value *x, skv_storage *codes, skv_storage *scale) {
    skive_value *q[3] = {NULL};
    (void)skv_emit_n(b, "DynamicQuantizeLinear", SKV_IN(x), SKV_NONE, q, 3);
    skive_value *sums = skv_emit(b, "MatMulInteger", SKV_IN(q[0], shared(b, codes), q[2]), SKV_NONE);
    skive_value *real = skv_emit(b, "Cast", SKV_IN(sums), SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
    return skv_emit(b, "Mul", SKV_IN(real, skv_emit(b, "Mul", SKV_IN(q[1], shared(b, scale)), SKV_NONE)), SKV_NONE);
}

static void split(skv_builder *b, skive_value *x, int64_t first, int64_t second, skive_value **out) {
    const int64_t sizes[2] = {first, second};
    (void)skv_emit_n(b, "Split", SKV_IN(x, skv_emit_ints(b, sizes, 2)), SKV_ATTRS(SKV_INT("axis", -1)), out, 2);
}

static skive_value *gru(skv_builder *b, const skv_dynamic_cell *c, skive_value *h, skive_value *x) {
    const int64_t n = c->hidden;
    skive_value *of_x[2] = {NULL}, *of_h[2] = {NULL}, *gates[2] = {NULL}, *sum;
    skive_value *p = product(b, h, c->r, c->r_scale);
    split(b, x, 2 * n, n, of_x);
    of_h[0] = p;
    if (c->kind == SKV_CELL_GRU_LINEAR) split(b, p, 2 * n, n, of_h);
    split(b, skv_emit(b, "Sigmoid", SKV_IN(skv_emit(b, "Add", SKV_IN(of_x[0], of_h[0]), SKV_NONE)), SKV_NONE), n, n,
          gates);
    if (c->kind == SKV_CELL_GRU_LINEAR) {
        skive_value *biased = c->bias ? skv_emit(b, "Add", SKV_IN(of_h[1], shared(b, c->bias)), SKV_NONE) : of_h[1];
        sum = skv_emit(b, "Mul", SKV_IN(gates[1], biased), SKV_NONE);
    } else {
        sum = product(b, skv_emit(b, "Mul", SKV_IN(gates[1], h), SKV_NONE), c->n, c->n_scale);
    }
    skive_value *fresh = skv_emit(b, "Tanh", SKV_IN(skv_emit(b, "Add", SKV_IN(of_x[1], sum), SKV_NONE)), SKV_NONE);
    skive_value *kept = skv_emit(b, "Mul", SKV_IN(gates[0], skv_emit(b, "Sub", SKV_IN(h, fresh), SKV_NONE)), SKV_NONE);
    return skv_emit(b, "Add", SKV_IN(fresh, kept), SKV_NONE);
}

static skive_status fill(skive_graph *g, const skv_dynamic_cell *c) {
    const int64_t columns = skv_cell_gates(c->kind) * c->hidden;
    const skive_type state = {.dtype = SKIVE_F32, .rank = 2, .dims = {{-1, NULL}, {c->hidden, NULL}}},
                     sums = {.dtype = SKIVE_F32, .rank = 2, .dims = {{-1, NULL}, {columns, NULL}}};
    skv_builder b = skv_build(g);
    skive_value *h = NULL, *x = NULL, *y;
    SKV_TRY(skive_graph_add_input(g, NULL, &state, &h));
    SKV_TRY(skive_graph_add_input(g, NULL, &sums, &x));
    if (c->kind == SKV_CELL_RNN)
        y = skv_emit(&b, "Tanh", SKV_IN(skv_emit(&b, "Add", SKV_IN(x, product(&b, h, c->r, c->r_scale)), SKV_NONE)),
                     SKV_NONE);
    else
        y = gru(&b, c, h, x);
    skive_value *again = skv_emit(&b, "Identity", SKV_IN(y), SKV_NONE);
    SKV_TRY(b.status);
    SKV_TRY(skive_graph_add_output(g, y));
    return skive_graph_add_output(g, again);
}

skive_status skv_dynamic_cell_body(skive_context *ctx, skive_graph *parent, const skv_dynamic_cell *c,
                                   skive_graph **out) {
    skive_graph *g = NULL;
    SKV_TRY(skive_graph_create(ctx, "cell", &g));
    g->parent = parent;
    const skive_status status = fill(g, c);
    if (status != SKIVE_OK) skive_graph_free(g);
    if (status == SKIVE_OK) *out = g;
    return status;
}

/* ---- finding it again ---- */

static skv_storage *storage_in(const skive_node *n, size_t i, skive_dtype dtype, int rank) {
    const skive_value *v = skv_node_in(n, i);
    const skive_tensor *t = skv_value_tensor(v);
    return t && t->data && t->dtype == dtype && t->rank == rank ? v->storage : NULL;
}

/* The parameters where the body would have them; what the rest of it is, is compared. */
static bool read_parts(const skive_graph *g, skv_dynamic_cell *c) {
    skv_storage *codes[2] = {NULL}, *scales[2] = {NULL};
    size_t n_codes = 0, n_scales = 0, n_splits = 0;
    *c = (skv_dynamic_cell){0};
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        n_splits += skv_node_is(n, SKV_OP_SPLIT);
        if (skv_node_is(n, SKV_OP_MAT_MUL_INTEGER) && n_codes < 2)
            codes[n_codes++] = storage_in(n, 1, SKIVE_I8, 2);
        else if (skv_node_is(n, SKV_OP_MUL) && storage_in(n, 1, SKIVE_F32, 1) && n_scales < 2)
            scales[n_scales++] = storage_in(n, 1, SKIVE_F32, 1);
        else if (skv_node_is(n, SKV_OP_ADD) && storage_in(n, 1, SKIVE_F32, 1))
            c->bias = storage_in(n, 1, SKIVE_F32, 1);
    }
    if (n_codes == 0 || n_codes != n_scales || !codes[0] || (n_codes == 2 && !codes[1])) return false;
    c->kind = n_codes == 2 ? SKV_CELL_GRU : n_splits ? SKV_CELL_GRU_LINEAR : SKV_CELL_RNN;
    c->r = codes[0];
    c->r_scale = scales[0];
    c->n = codes[1];
    c->n_scale = scales[1];
    const int64_t *dims = c->r->tensor.dims;
    const int64_t columns = c->kind == SKV_CELL_GRU ? 2 * dims[0] : skv_cell_gates(c->kind) * dims[0];
    c->hidden = dims[0];
    return c->hidden > 0 && dims[1] == columns && c->r_scale->tensor.dims[0] == columns &&
           (!c->n || (c->n->tensor.dims[0] == c->hidden && c->n->tensor.dims[1] == c->hidden &&
                      c->n_scale->tensor.dims[0] == c->hidden)) &&
           (!c->bias || c->bias->tensor.dims[0] == c->hidden);
}

static bool same_constant(const skive_value *a, const skive_value *b) {
    const skive_tensor *x = skv_value_tensor(a), *y = skv_value_tensor(b);
    if (a->storage == b->storage) return true;
    if (!x || !y || x->dtype != y->dtype || x->rank != y->rank) return false;
    for (int d = 0; d < x->rank; d++)
        if (x->dims[d] != y->dims[d]) return false;
    const size_t bytes = skive_tensor_bytes(x);
    return bytes == 0 || memcmp(x->data, y->data, bytes) == 0;
}

static bool same_attrs(const skive_node *a, const skive_node *b) {
    if (a->n_attrs != b->n_attrs) return false;
    for (uint32_t i = 0; i < a->n_attrs; i++) {
        const skv_attr *other = skv_node_attr(b, a->attrs[i].name);
        if (a->attrs[i].type != SKV_ATTR_INT || !other || other->type != SKV_ATTR_INT || other->i != a->attrs[i].i)
            return false;
    }
    return true;
}

/* map[id of a value of `a`] is the value of `b` that stands for it. */
static bool same_nodes(const skive_graph *a, skive_node *const *order, const skive_value **map) {
    for (uint32_t i = 0; i < a->n_nodes; i++) {
        const skive_node *x = a->nodes[i], *y = order[i];
        if (x->kind != y->kind || strcmp(x->domain, y->domain) != 0 || x->n_outputs != y->n_outputs ||
            !same_attrs(x, y))
            return false;
        for (uint32_t k = 0; k < x->n_inputs || k < y->n_inputs; k++) {
            const skive_value *v = skv_node_in(x, k), *w = skv_node_in(y, k);
            if (!v != !w) return false;
            if (v && (v->storage ? !same_constant(v, w) : map[v->id] != w)) return false;
        }
        for (uint32_t k = 0; k < x->n_outputs; k++)
            if (x->outputs[k]) map[x->outputs[k]->id] = y->outputs[k];
    }
    return true;
}

static skive_status same_graph(skive_context *ctx, const skive_graph *a, const skive_graph *b, bool *same) {
    const skive_value **map = NULL;
    skive_node **order = NULL;
    *same = false;
    if (a->n_nodes != b->n_nodes || a->n_inputs != b->n_inputs || a->n_outputs != b->n_outputs) return SKIVE_OK;
    SKV_TRY(skv_graph_topo(b, &order));
    const skive_status status = skv_alloc_array(ctx, (size_t)a->n_values + 1, sizeof *map, &map);
    if (status == SKIVE_OK) {
        for (uint32_t i = 0; i < a->n_inputs; i++) map[a->inputs[i]->id] = b->inputs[i];
        *same = same_nodes(a, order, map);
        for (uint32_t i = 0; *same && i < a->n_outputs; i++) *same = map[a->outputs[i]->id] == b->outputs[i];
    }
    skv_free(ctx, map);
    skv_free(ctx, order);
    return status;
}

skive_status skv_dynamic_cell_match(skive_context *ctx, const skive_node *n, skv_dynamic_cell *out, bool *reverse,
                                    bool *found) {
    const skv_attr *body = skv_node_attr(n, "body");
    size_t n_in = 0, n_out = 0;
    *found = false;
    if (!skv_node_is(n, SKV_OP_SCAN) || n->domain[0] || !body || !body->graph || n->n_inputs != 2 ||
        n->n_outputs != 2 || skv_attr_int(n, "num_scan_inputs", 0) != 1 || skv_node_attr(n, "scan_input_axes") ||
        skv_node_attr(n, "scan_output_axes"))
        return SKIVE_OK;
    const int64_t *in = skv_attr_ints(n, "scan_input_directions", &n_in),
                  *to = skv_attr_ints(n, "scan_output_directions", &n_out);
    *reverse = n_in > 0 && in[0] != 0;
    if (*reverse != (n_out > 0 && to[0] != 0) || !read_parts(body->graph, out)) return SKIVE_OK;
    skive_graph *expected = NULL;
    SKV_TRY(skv_dynamic_cell_body(ctx, NULL, out, &expected));
    const skive_status status = same_graph(ctx, expected, body->graph, found);
    skive_graph_free(expected);
    return status;
}
