/* The shape of a Reshape that is computed from sizes becomes a constant: exporters write x.view(x.size(0), -1) as
 * Shape, Gather, Unsqueeze and Concat (and a shuffle of channels with a Div), of which nothing depends on data. A size
 * that is open at this time and stays where it is becomes 0 (copied), another one -1 (inferred). The shape of an Expand
 * and the repeats of a Tile cannot say so: in token.expand(x.size(0), -1, -1) the size that is open stays computed,
 * beside constants, which are 1 where they only repeat a size of the input. Channels then can be followed through all.
 */
#include <string.h>

#include "ops/common_shape.h"
#include "passes/pass.h"

enum { DEEP = 24 };

/* An element of a list of sizes: a number, dimension `dim` of a value whose size is open, or some number computed from
 * such ones. */
typedef struct element {
    int64_t number;
    bool open;             /* it is not known */
    const skive_value *of; /* whose dimension it is; NULL: computed */
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
        l.items[l.n++] = size >= 0 ? (element){.number = size} : (element){.open = true, .of = x, .dim = (int)d};
    }
    return l;
}

static list evaluate(const skive_value *v, int depth);

/* The numbers of a constant operand; none may be open. */
static bool numbers_of(const skive_node *n, size_t input, int depth, list *out) {
    const skive_value *v = skv_node_in(n, input);
    *out = v ? evaluate(v, depth) : unknown;
    for (int i = 0; i < out->n; i++)
        if (out->items[i].open) return false;
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

/* The lists of `count` inputs and the length of what comes out; of a single number the same for each element. */
static bool together(const skive_node *n, uint32_t count, int depth, list *lists, int *length) {
    *length = 0;
    if (n->n_inputs != count) return false;
    for (uint32_t i = 0; i < count; i++) {
        lists[i] = n->inputs[i] ? evaluate(n->inputs[i], depth) : unknown;
        if (lists[i].n < 1 || (lists[i].n != 1 && *length > 1 && lists[i].n != *length)) return false;
        *length = lists[i].n > *length ? lists[i].n : *length;
    }
    return true;
}

static const element *at(const list *l, int i) { return &l->items[l->n == 1 ? 0 : i]; }

static list computed(const skive_node *n, int depth) {
    list in[2], l = {0};
    int length;
    if (!together(n, 2, depth, in, &length)) return unknown;
    for (; l.n < length; l.n++) {
        const element *a = at(&in[0], l.n), *b = at(&in[1], l.n);
        if (a->open || b->open)
            l.items[l.n].open = true;
        else if (!combine(n->kind, a->number, b->number, &l.items[l.n].number))
            return unknown;
    }
    return l;
}

/* No dimension is negative, whatever it is: -1 stands for one that stays. */
static list compared(const skive_node *n, int depth) {
    list in[2], l = {0};
    int length;
    if (!together(n, 2, depth, in, &length)) return unknown;
    for (; l.n < length; l.n++) {
        const element *a = at(&in[0], l.n), *b = at(&in[1], l.n), *known = a->open ? b : a, *other = a->open ? a : b;
        if (other->open && (known->open || !other->of || known->number >= 0)) return unknown;
        l.items[l.n].number = !other->open && a->number == b->number;
    }
    return l;
}

static list chosen(const skive_node *n, int depth) {
    list in[3], l = {0};
    int length;
    if (!together(n, 3, depth, in, &length)) return unknown;
    for (; l.n < length; l.n++) {
        if (at(&in[0], l.n)->open) return unknown;
        l.items[l.n] = *at(&in[at(&in[0], l.n)->number ? 1 : 2], l.n);
    }
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
    case SKV_OP_EQUAL: return compared(n, depth);
    case SKV_OP_WHERE: return chosen(n, depth);
    case SKV_OP_REDUCE_PROD: return product(n, depth);
    case SKV_OP_CAST:
        if (skv_attr_int(n, "to", 0) != SKIVE_I64 && skv_attr_int(n, "to", 0) != SKIVE_I32) return unknown;
        return evaluate(n->inputs[0], depth);
    case SKV_OP_IDENTITY:
    case SKV_OP_RESHAPE: /* of a list to a list or a number */
    case SKV_OP_SQUEEZE:
    case SKV_OP_UNSQUEEZE: return evaluate(n->inputs[0], depth);
    default: return unknown;
    }
}

/* Is the open size the same as that of dimension d of x? */
static bool is_same(const element *e, const skive_value *x, int d) {
    if (d >= x->type.rank || x->type.dims[d].size >= 0) return false;
    if (e->of == x && e->dim == d) return true;
    if (!e->of) return false;
    const char *a = e->of->type.dims[e->dim].symbol, *b = x->type.dims[d].symbol;
    return a && b && strcmp(a, b) == 0;
}

static bool as_constant(const skive_node *n, const list *l, int64_t *shape) {
    const skive_value *x = n->inputs[0];
    const bool allow_zero = skv_attr_int(n, "allowzero", 0) != 0;
    bool open = false;
    for (int i = 0; i < l->n; i++) {
        const element *e = &l->items[i];
        shape[i] = e->open ? -1 : e->number;
        if (e->open && is_same(e, x, i) && !allow_zero) shape[i] = 0;
        if (shape[i] != -1) continue;
        if (open) return false;
        open = true;
    }
    return l->n > 0;
}

static skive_status make_reshape(skive_graph *g, skive_node *node, const list *l, size_t *made, bool *left) {
    int64_t shape[SKIVE_MAX_RANK];
    if (!as_constant(node, l, shape)) {
        *left = *left || l->n > 0;
        return SKIVE_OK;
    }
    skv_builder b = skv_build(g);
    skive_value *constant = skv_emit_ints(&b, shape, (size_t)l->n);
    SKV_TRY(b.status);
    SKV_TRY(skv_node_set_input(node, 1, constant));
    ++*made;
    return SKIVE_OK;
}

/* Of an Expand or Tile: the input's dimension that element i goes with; NULL: none. */
static const skive_dim *beside(const skive_node *node, const list *l, int i) {
    const skive_type *x = &node->inputs[0]->type;
    const int d = i - (l->n - x->rank);
    return d >= 0 ? &x->dims[d] : NULL;
}

/* The list anew: the sizes that are open, each by itself, and the numbers between them. */
static skive_status write_list(skive_graph *g, skive_node *node, const list *l) {
    skive_value *parts[SKIVE_MAX_RANK], *old = node->inputs[1];
    size_t n = 0;
    skv_builder b = skv_build(g);
    for (int i = 0; i < l->n;) {
        const element *e = &l->items[i];
        int64_t numbers[SKIVE_MAX_RANK];
        size_t run = 0;
        if (e->open) {
            const bool origin = e->of && e->of->graph == g; /* not that of a graph outside */
            skive_value *from = origin ? skv_emit(&b, "Shape", SKV_IN((skive_value *)e->of), SKV_NONE) : old;
            const int64_t index = origin ? e->dim : i;
            parts[n++] = skv_emit(&b, "Gather", SKV_IN(from, skv_emit_ints(&b, &index, 1)), SKV_NONE);
            i++;
            continue;
        }
        while (i < l->n && !l->items[i].open) numbers[run++] = l->items[i++].number;
        parts[n++] = skv_emit_ints(&b, numbers, run);
    }
    skive_value *shape = parts[0];
    if (n > 1 && b.status == SKIVE_OK)
        (void)skv_emit_n(&b, "Concat", (skv_in_list){parts, n}, SKV_ATTRS(SKV_INT("axis", 0)), &shape, 1);
    SKV_TRY(b.status);
    return skv_node_set_input(node, 1, shape);
}

/* What of the result is known although the list is not. */
static skive_dim expanded(const element *e, const skive_dim *x) {
    const bool one = !e->open && e->number == 1;
    if (x && x->size >= 0 && x->size != 1) return *x;
    if (x && one) return *x;
    if (!e->open) return skv_dim(e->number);
    if (e->of && (!x || x->size == 1 || skv_dim_same(*x, e->of->type.dims[e->dim]))) return e->of->type.dims[e->dim];
    return skv_dim_unknown();
}

static skive_dim tiled(const element *e, const skive_dim *x) {
    if (!e->open && e->number == 1) return *x;
    if (e->of && x->size == 1) return e->of->type.dims[e->dim];
    return skv_dim_unknown();
}

static void declare(skive_node *node, const list *l) {
    skive_type *y = &node->outputs[0]->type;
    if (y->rank >= 0 && y->rank != l->n) return;
    for (int i = 0; i < l->n; i++) {
        const skive_dim d = (skv_node_is(node, SKV_OP_TILE) ? tiled : expanded)(&l->items[i], beside(node, l, i));
        const bool named = y->rank == l->n && (y->dims[i].size >= 0 || y->dims[i].symbol);
        if (!named || (y->dims[i].size < 0 && d.size >= 0))
            y->dims[i] = d; /* a name of its own says less than a size */
    }
    y->rank = l->n;
}

static skive_status make_list(skive_graph *g, skive_node *node, list *l, size_t *made) {
    const int rank = node->inputs[0]->type.rank;
    const bool expand = skv_node_is(node, SKV_OP_EXPAND);
    bool change = false;
    if (l->n < 1 || rank < 0 || (expand ? rank > l->n : rank != l->n)) return SKIVE_OK;
    for (int i = 0; i < l->n; i++) {
        const skive_dim *x = beside(node, l, i);
        element *e = &l->items[i];
        int64_t now;
        if (e->open) continue;
        if (e->number < 1) return SKIVE_OK;
        if (expand && x && x->size == e->number) e->number = 1;
        change = change || !skv_list_element(node, 1, i - l->n, &now) || now != e->number;
    }
    if (change) {
        SKV_TRY(write_list(g, node, l));
        ++*made;
    }
    declare(node, l);
    return SKIVE_OK;
}

/* A size that is known, taken from a shape of which others are open: channels that it is computed with (the width of a
 * head, the scale of attention) are numbers of the model as it is. */
static skive_status make_size(const skv_pass_env *env, skive_graph *g, const skive_node *node, size_t *made) {
    skive_value *v = node->outputs[0];
    int64_t sizes[SKIVE_MAX_RANK];
    if (!v || !skv_value_is_read(v) || skv_pass_keeps(env, v)) return SKIVE_OK;
    if (v->type.dtype != SKIVE_I64 || v->type.rank < 0 || v->type.rank > 1) return SKIVE_OK;
    const list l = evaluate(v, DEEP);
    if (l.n < 1) return SKIVE_OK;
    for (int i = 0; i < l.n; i++) {
        if (l.items[i].open) return SKIVE_OK;
        sizes[i] = l.items[i].number;
    }
    skv_builder b = skv_build(g);
    skive_value *constant =
        v->type.rank == 0 ? skv_emit_scalar(&b, SKIVE_I64, (double)sizes[0]) : skv_emit_ints(&b, sizes, (size_t)l.n);
    SKV_TRY(b.status);
    SKV_TRY(skv_value_replace_uses(v, constant, true));
    ++*made;
    return SKIVE_OK;
}

/* One round over the nodes; *left: some stayed, in which a size is open. */
static skive_status make_some(const skv_pass_env *env, skive_graph *g, skive_node *const *order, uint32_t n,
                              size_t *made, bool *left) {
    *made = 0;
    *left = false;
    for (uint32_t i = 0; i < n; i++) {
        skive_node *node = order[i];
        const bool reshape = skv_node_is(node, SKV_OP_RESHAPE);
        if (skv_node_is(node, SKV_OP_GATHER) || skv_node_is(node, SKV_OP_SLICE)) SKV_TRY(make_size(env, g, node, made));
        if (!reshape && !skv_node_is(node, SKV_OP_EXPAND) && !skv_node_is(node, SKV_OP_TILE)) continue;
        if (!skv_node_in(node, 0) || !skv_node_in(node, 1) || skv_value_tensor(node->inputs[1])) continue;
        list l = evaluate(node->inputs[1], DEEP);
        SKV_TRY(reshape ? make_reshape(g, node, &l, made, left) : make_list(g, node, &l, made));
    }
    return SKIVE_OK;
}

/* Behind a node that has become plain, more sizes are known. */
static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    skive_node **order = NULL;
    size_t made;
    bool left;
    SKV_TRY(skv_graph_topo(g, &order));
    const uint32_t n = g->n_nodes;
    skive_status status;
    do {
        status = make_some(env, g, order, n, &made, &left);
        *changes += made;
        if (status == SKIVE_OK && made && left) status = skive_graph_infer(g);
    } while (status == SKIVE_OK && made && left);
    skv_free(env->ctx, order);
    return status;
}

const skv_pass skv_pass_plain_shapes = {
    .name = "plain-shapes",
    .brief = "makes the shapes of Reshape, Expand and Tile constant where they are computed from sizes alone",
    .when = SKV_PASS_CLEAN,
    .run = run,
};
