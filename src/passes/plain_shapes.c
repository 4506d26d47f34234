/* The shape of a Reshape that is computed from sizes becomes a constant: exporters write x.view(x.size(0), -1) as
 * Shape, Gather, Unsqueeze and Concat (and a shuffle of channels with a Div), of which nothing depends on data. A size
 * that is open at this time and stays where it is becomes 0 (copied), another one -1 (inferred). Channels then can be
 * followed through the Reshape. */
#include <string.h>

#include "passes/pass.h"

enum { DEEP = 24 };

/* An element of a list of sizes: a number, or dimension `dim` of a value whose size is open. */
typedef struct element {
    int64_t number;
    const skive_value *of; /* NULL: the number */
    int dim;
} element;

typedef struct list {
    element items[SKIVE_MAX_RANK];
    int n; /* -1: not known */
} list;

static const list unknown = {.n = -1};

static list of_constant(const skive_tensor *t) {
    list l = {0};
    if (t->rank > 1 || skive_tensor_count(t) > SKIVE_MAX_RANK) return unknown;
    if (t->dtype != SKIVE_I64 && t->dtype != SKIVE_I32) return unknown;
    for (l.n = 0; l.n < skive_tensor_count(t); l.n++)
        l.items[l.n] = (element){.number = t->dtype == SKIVE_I64 ? ((const int64_t *)t->data)[l.n]
                                                                 : ((const int32_t *)t->data)[l.n]};
    return l;
}

static list of_shape(const skive_node *n) {
    const skive_value *x = n->inputs[0];
    const int rank = x->type.rank;
    list l = {0};
    if (rank < 0) return unknown;
    int64_t start = skv_attr_int(n, "start", 0), end = skv_attr_int(n, "end", rank);
    start = start < 0 ? start + rank : start;
    end = end < 0 ? end + rank : end;
    start = start < 0 ? 0 : start;
    end = end > rank ? rank : end;
    for (int64_t d = start; d < end; d++) {
        const int64_t size = x->type.dims[d].size;
        l.items[l.n++] = size >= 0 ? (element){.number = size} : (element){.of = x, .dim = (int)d};
    }
    return l;
}

static list evaluate(const skive_value *v, int depth);

/* The numbers of a constant operand; none may be open. */
static bool numbers_of(const skive_node *n, size_t input, int depth, list *out) {
    const skive_value *v = skv_node_in(n, input);
    *out = v ? evaluate(v, depth) : unknown;
    for (int i = 0; i < out->n; i++)
        if (out->items[i].of) return false;
    return out->n > 0;
}

static list gathered(const skive_node *n, int depth) {
    const list from = evaluate(n->inputs[0], depth);
    list at, l = {0};
    if (from.n < 0 || skv_attr_int(n, "axis", 0) != 0 || !numbers_of(n, 1, depth, &at)) return unknown;
    for (; l.n < at.n; l.n++) {
        const int64_t k = at.items[l.n].number, index = k < 0 ? k + from.n : k;
        if (index < 0 || index >= from.n) return unknown;
        l.items[l.n] = from.items[index];
    }
    return l;
}

static list sliced(const skive_node *n, int depth) {
    const list from = evaluate(n->inputs[0], depth);
    list start, end, step, l = {0};
    if (from.n < 0 || !numbers_of(n, 1, depth, &start) || !numbers_of(n, 2, depth, &end)) return unknown;
    if (start.n != 1 || end.n != 1) return unknown;
    if (skv_node_in(n, 4) && (!numbers_of(n, 4, depth, &step) || step.items[0].number != 1)) return unknown;
    int64_t first = start.items[0].number, last = end.items[0].number;
    first = first < 0 ? first + from.n : first;
    last = last < 0 ? last + from.n : last;
    first = first < 0 ? 0 : first;
    last = last > from.n ? from.n : last;
    for (int64_t i = first; i < last; i++) l.items[l.n++] = from.items[i];
    return l;
}

static list joined(const skive_node *n, int depth) {
    list l = {0};
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const list part = evaluate(n->inputs[i], depth);
        if (part.n < 0 || l.n + part.n > SKIVE_MAX_RANK) return unknown;
        memcpy(&l.items[l.n], part.items, (size_t)part.n * sizeof *part.items);
        l.n += part.n;
    }
    return l;
}

static bool combine(skv_op_kind kind, int64_t a, int64_t b, int64_t *out) {
    *out = 0;
    if (a > INT32_MAX || a < INT32_MIN || b > INT32_MAX || b < INT32_MIN) return false; /* no size, and no overflow */
    switch ((int)kind) {
    case SKV_OP_MUL: *out = a * b; return true;
    case SKV_OP_ADD: *out = a + b; return true;
    case SKV_OP_SUB: *out = a - b; return true;
    default: /* Div rounds towards zero, as it does here */
        if (b == 0) return false;
        *out = a / b;
        return true;
    }
}

/* Sizes that are computed with must be known; one list of a single number goes with each element of the other. */
static list computed(const skive_node *n, int depth) {
    list a, b, l = {0};
    if (n->n_inputs != 2 || !numbers_of(n, 0, depth, &a) || !numbers_of(n, 1, depth, &b)) return unknown;
    if (a.n != b.n && a.n != 1 && b.n != 1) return unknown;
    for (; l.n < (a.n > b.n ? a.n : b.n); l.n++)
        if (!combine(n->kind, a.items[a.n == 1 ? 0 : l.n].number, b.items[b.n == 1 ? 0 : l.n].number,
                     &l.items[l.n].number))
            return unknown;
    return l;
}

static list product(const skive_node *n, int depth) {
    list l = {.n = 1, .items = {{.number = 1}}}, factors; /* of a list there is one axis */
    if (!numbers_of(n, 0, depth, &factors)) return unknown;
    for (int k = 0; k < factors.n; k++)
        if (!skv_mul_i64(l.items[0].number, factors.items[k].number, &l.items[0].number)) return unknown;
    return l;
}

/* The sizes that `v`, of rank 0 or 1, lists. */
static list evaluate(const skive_value *v, int depth) {
    while (v->outer) v = v->outer;
    const skive_node *n = v->producer;
    if (skv_value_tensor(v)) return of_constant(skv_value_tensor(v));
    if (!n || depth == 0 || v->type.rank > 1 || n->n_inputs < 1 || !n->inputs[0]) return unknown;
    depth--;
    switch ((int)n->kind) {
    case SKV_OP_SHAPE: return of_shape(n);
    case SKV_OP_GATHER: return gathered(n, depth);
    case SKV_OP_SLICE: return sliced(n, depth);
    case SKV_OP_CONCAT: return joined(n, depth);
    case SKV_OP_ADD:
    case SKV_OP_SUB:
    case SKV_OP_MUL:
    case SKV_OP_DIV: return computed(n, depth);
    case SKV_OP_REDUCE_PROD: return product(n, depth);
    case SKV_OP_CAST:
        if (skv_attr_int(n, "to", 0) != SKIVE_I64 && skv_attr_int(n, "to", 0) != SKIVE_I32) return unknown;
        return evaluate(n->inputs[0], depth);
    case SKV_OP_IDENTITY:
    case SKV_OP_SQUEEZE:
    case SKV_OP_UNSQUEEZE: return evaluate(n->inputs[0], depth);
    default: return unknown;
    }
}

/* Is the open size the same as that of dimension d of x? */
static bool is_same(const element *e, const skive_value *x, int d) {
    if (d >= x->type.rank || x->type.dims[d].size >= 0) return false;
    if (e->of == x && e->dim == d) return true;
    const char *a = e->of->type.dims[e->dim].symbol, *b = x->type.dims[d].symbol;
    return a && b && strcmp(a, b) == 0;
}

static bool as_constant(const skive_node *n, const list *l, int64_t *shape) {
    const skive_value *x = n->inputs[0];
    const bool allow_zero = skv_attr_int(n, "allowzero", 0) != 0;
    bool open = false;
    for (int i = 0; i < l->n; i++) {
        const element *e = &l->items[i];
        shape[i] = e->of ? -1 : e->number;
        if (e->of && is_same(e, x, i) && !allow_zero) shape[i] = 0;
        if (shape[i] != -1) continue;
        if (open) return false;
        open = true;
    }
    return l->n > 0;
}

/* One round over the Reshapes; *left: some stayed, in which a size is open. */
static skive_status make_some(skive_graph *g, skive_node *const *order, uint32_t n, size_t *made, bool *left) {
    *made = 0;
    *left = false;
    for (uint32_t i = 0; i < n; i++) {
        skive_node *node = order[i];
        int64_t shape[SKIVE_MAX_RANK];
        if (!skv_node_is(node, SKV_OP_RESHAPE) || !skv_node_in(node, 0) || !skv_node_in(node, 1)) continue;
        if (skv_value_tensor(node->inputs[1])) continue;
        const list l = evaluate(node->inputs[1], DEEP);
        if (!as_constant(node, &l, shape)) {
            *left = *left || l.n > 0;
            continue;
        }
        skv_builder b = skv_build(g);
        skive_value *constant = skv_emit_ints(&b, shape, (size_t)l.n);
        SKV_TRY(b.status);
        SKV_TRY(skv_node_set_input(node, 1, constant));
        ++*made;
    }
    return SKIVE_OK;
}

/* Behind a Reshape that has become plain, more sizes are known. */
static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    skive_node **order = NULL;
    size_t made;
    bool left;
    SKV_TRY(skv_graph_topo(g, &order));
    const uint32_t n = g->n_nodes;
    skive_status status;
    do {
        status = make_some(g, order, n, &made, &left);
        *changes += made;
        if (status == SKIVE_OK && made && left) status = skive_graph_infer(g);
    } while (status == SKIVE_OK && made && left);
    skv_free(env->ctx, order);
    return status;
}

const skv_pass skv_pass_plain_shapes = {
    .name = "plain-shapes",
    .brief = "makes the shape of a Reshape constant where it is computed from sizes alone",
    .when = SKV_PASS_CLEAN,
    .run = run,
};
