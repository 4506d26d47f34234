/* Factors in a graph: the node of a layer becomes its last factor, which keeps name, bias and result; the others come
 * in front of it. */
#include <stdio.h>
#include <string.h>

#include "lowrank/lowrank.h"

typedef struct applying {
    skive_graph *g;
    const skv_site *s;
    const skv_factors *f;
    skive_node *node; /* of the first member */
    skive_value *weight;
    skv_builder b;
} applying;

/* ---- convolutions ---- */

typedef struct window {
    int64_t kernel[2], strides[2], dilations[2], pads[4];
    const char *auto_pad;
    int n; /* spatial axes */
} window;

static window window_of(const skive_node *n, const skv_site *s, const skv_link *l) {
    window w = {.n = s->spatial, .auto_pad = skv_attr_string(n, "auto_pad", NULL)};
    size_t given[3];
    const int64_t *strides = skv_attr_ints(n, "strides", &given[0]),
                  *dilations = skv_attr_ints(n, "dilations", &given[1]), *pads = skv_attr_ints(n, "pads", &given[2]);
    for (int a = 0; a < w.n; a++) {
        const bool is_w = a == w.n - 1, takes = is_w ? l->by_w : l->by_h;
        w.kernel[a] = is_w ? l->kw : l->kh;
        w.strides[a] = takes && (size_t)a < given[0] ? strides[a] : 1;
        w.dilations[a] = takes && (size_t)a < given[1] ? dilations[a] : 1;
        const size_t behind = (size_t)w.n + (size_t)a;
        w.pads[a] = takes && behind < given[2] ? pads[a] : 0;
        w.pads[behind] = takes && behind < given[2] ? pads[behind] : 0;
    }
    if (w.auto_pad && (strcmp(w.auto_pad, "NOTSET") == 0 || !(l->by_h || l->by_w))) w.auto_pad = NULL;
    return w;
}

static skive_status set_window(skive_node *n, const window *w, int64_t groups) {
    const size_t k = (size_t)w->n;
    SKV_TRY(skv_node_set_attr(n, &SKV_INTS("kernel_shape", w->kernel, k)));
    SKV_TRY(skv_node_set_attr(n, &SKV_INTS("strides", w->strides, k)));
    SKV_TRY(skv_node_set_attr(n, &SKV_INTS("dilations", w->dilations, k)));
    SKV_TRY(skv_node_set_attr(n, &SKV_INT("group", groups)));
    if (w->auto_pad) {
        skv_node_remove_attr(n, "pads");
        return skv_node_set_attr(n, &SKV_STR("auto_pad", w->auto_pad));
    }
    skv_node_remove_attr(n, "auto_pad");
    return skv_node_set_attr(n, &SKV_INTS("pads", w->pads, 2 * k));
}

/* [out][in / groups][kernel...] of a link. */
static skive_status conv_weight(skive_context *ctx, const skv_site *s, const skv_link *l, skv_storage **out) {
    const int64_t dims[4] = {l->out, l->in / l->groups, s->spatial == 2 ? l->kh : l->kw, l->kw};
    SKV_TRY(skv_storage_create(ctx, SKIVE_F32, 2 + s->spatial, dims, out));
    memcpy((*out)->tensor.data, l->data, (size_t)skv_link_count(l) * sizeof *l->data);
    return SKIVE_OK;
}

/* [in][out], or the other way, of a link. */
static skive_status product_weight(skive_context *ctx, const skv_link *l, int64_t from, int64_t out, bool out_first,
                                   skv_storage **to) {
    const int64_t dims[2] = {out_first ? out : l->in, out_first ? l->in : out};
    SKV_TRY(skv_storage_create(ctx, SKIVE_F32, 2, dims, to));
    float *w = (*to)->tensor.data;
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < l->in; i++)
            w[out_first ? o * l->in + i : i * out + o] = l->data[(from + o) * l->in + i];
    return SKIVE_OK;
}

static skive_value *add_parameter(applying *a, size_t link, skv_storage *s) {
    const char *name = NULL;
    char text[256];
    (void)snprintf(text, sizeof text, "%.200s.%zu", a->weight->name, link + 1);
    if (a->b.status == SKIVE_OK) a->b.status = skv_graph_unique_name(a->g, text, &name);
    if (a->b.status != SKIVE_OK) {
        skv_storage_release(s);
        return NULL;
    }
    skive_value *v = skv_emit_param(&a->b, name, s);
    if (v) v->trainable = a->weight->trainable;
    return v;
}

/* A factor in front of the last one. */
static skive_value *add_link(applying *a, size_t i, skive_value *x) {
    const skv_link *l = &a->f->links[i];
    skv_storage *s = NULL;
    if (a->b.status != SKIVE_OK) return NULL;
    if (a->s->kind != SKV_SITE_CONV) {
        a->b.status = product_weight(a->g->ctx, l, 0, l->out, false, &s);
        return a->b.status == SKIVE_OK ? skv_emit(&a->b, "MatMul", SKV_IN(x, add_parameter(a, i, s)), SKV_NONE) : NULL;
    }
    const window w = window_of(a->node, a->s, l);
    a->b.status = conv_weight(a->g->ctx, a->s, l, &s);
    if (a->b.status != SKIVE_OK) return NULL;
    const skv_attr_init attrs[] = {
        SKV_INTS("kernel_shape", w.kernel, (size_t)w.n), SKV_INTS("strides", w.strides, (size_t)w.n),
        SKV_INTS("dilations", w.dilations, (size_t)w.n), SKV_INT("group", l->groups),
        w.auto_pad ? SKV_STR("auto_pad", w.auto_pad) : SKV_INTS("pads", w.pads, 2 * (size_t)w.n)};
    return skv_emit(&a->b, "Conv", SKV_IN(x, add_parameter(a, i, s)), (skv_attr_list){attrs, SKV_LENGTH(attrs)});
}

static skive_status put_weight(skive_value *weight, skv_storage *take) {
    const bool trainable = weight->trainable;
    const skive_status status = skv_value_set_storage(weight, take);
    if (status != SKIVE_OK) skv_storage_release(take);
    weight->trainable = trainable;
    return status;
}

/* The numbers of the last link take the place of the weight in a node. */
static skive_status put_last(applying *a, skive_node *n, const skv_link *l, int64_t from, int64_t out) {
    skive_context *ctx = a->g->ctx;
    skive_value *weight = n->inputs[a->s->input];
    skv_storage *s = NULL;
    if (a->s->kind == SKV_SITE_CONV) {
        const window w = window_of(n, a->s, l);
        SKV_TRY(set_window(n, &w, l->groups));
        SKV_TRY(conv_weight(ctx, a->s, l, &s));
    } else if (a->s->kind == SKV_SITE_CELL) {
        const int64_t directions = weight->type.dims[0].size, dims[3] = {directions, out / directions, l->in};
        SKV_TRY(skv_storage_create(ctx, SKIVE_F32, 3, dims, &s));
        memcpy(s->tensor.data, l->data, (size_t)(out * l->in) * sizeof *l->data);
    } else {
        skv_weight_view view;
        if (!skv_weight_view_of(n, (size_t)a->s->input, &view))
            return SKV_FAIL(ctx, SKIVE_ERR_INTERNAL, "node '%s' has no weight", n->name);
        SKV_TRY(product_weight(ctx, l, from, out, view.out_axis == 0, &s));
    }
    return put_weight(weight, s);
}

/* The value takes the name and the readers of the node's result. */
static skive_status take_result(skive_graph *g, skive_value *old, skive_value *now) {
    char name[512];
    SKV_TRY(skv_value_replace_uses(old, now, true));
    if (strlen(old->name) >= sizeof name) return SKIVE_OK;
    memcpy(name, old->name, strlen(old->name) + 1);
    const char *other = NULL;
    SKV_TRY(skv_graph_unique_name(g, name, &other));
    SKV_TRY(skv_value_rename(old, other));
    return skv_value_rename(now, name);
}

/* A table: the rows are looked up in the first factor, and the second one follows. */
static skive_status apply_table(applying *a) {
    const skv_link *rows = &a->f->links[0], *columns = &a->f->links[1]; /* [r][in]: what rows are multiplied with */
    const int64_t dims[2] = {rows->out, rows->in}, second[2] = {columns->out, columns->in};
    skv_storage *s = NULL, *t = NULL;
    skive_context *ctx = a->g->ctx;
    skive_value *old = a->node->outputs[0], *y = NULL;
    SKV_TRY(skv_storage_create(ctx, SKIVE_F32, 2, second, &t));
    memcpy(t->tensor.data, columns->data, (size_t)skv_link_count(columns) * sizeof *columns->data);
    skive_value *p = add_parameter(a, 1, t);
    SKV_TRY(a->b.status);
    /* Types are inferred once all is in place: until then the readers do not fit. */
    SKV_TRY(skv_graph_new_value(a->g, NULL, &y));
    SKV_TRY(take_result(a->g, old, y));
    SKV_TRY(skv_graph_new_node(a->g, "MatMul", NULL, NULL, (skive_value *const[]){old, p}, 2, (skive_value *const[]){y},
                               1, &(skive_node *){NULL}));
    SKV_TRY(skv_storage_create(ctx, SKIVE_F32, 2, dims, &s));
    memcpy(s->tensor.data, rows->data, (size_t)skv_link_count(rows) * sizeof *rows->data);
    return put_weight(a->weight, s);
}

static skive_value *times(skv_builder *b, skive_value *v, double factor) {
    return factor == 1 ? v : skv_emit(b, "Mul", SKV_IN(v, skv_emit_scalar(b, SKIVE_F32, factor)), SKV_NONE);
}

/* What has a form of its own in the graph, in the place of a product, with the bias added behind it. */
static skive_status apply_built(applying *a, const skv_factorization *method) {
    skive_node *n = a->node;
    skv_linear l;
    skive_value *y = method->build(&a->b, a->s, a->f, n->inputs[0]), *bias = NULL;
    SKV_TRY(a->b.status);
    if (!skv_linear_of(n, &l)) return SKV_FAIL(a->g->ctx, SKIVE_ERR_INTERNAL, "node '%s' is no product", n->name);
    if (l.bias >= 0) bias = skv_node_in(n, (size_t)l.bias);
    y = times(&a->b, y, l.weight_factor);
    if (bias) y = skv_emit(&a->b, "Add", SKV_IN(y, times(&a->b, bias, l.bias_factor)), SKV_NONE);
    SKV_TRY(a->b.status);
    SKV_TRY(take_result(a->g, n->outputs[0], y));
    return skv_graph_remove_node(n);
}

static skive_status apply_beside(applying *a) {
    skive_node *n = a->node;
    skive_value *x = n->inputs[0], *old = n->outputs[0];
    for (size_t i = 0; i + 1 < a->f->n; i++) x = add_link(a, i, x);
    skv_linear l;
    if (skv_linear_of(n, &l)) x = times(&a->b, x, l.weight_factor);
    skive_value *hold = skv_emit(&a->b, "Identity", SKV_IN(old), SKV_NONE);
    skive_value *sum = skv_emit(&a->b, "Add", SKV_IN(hold, x), SKV_NONE);
    SKV_TRY(a->b.status);
    SKV_TRY(put_last(a, n, &a->f->links[a->f->n - 1], 0, a->s->out));
    a->weight->keeps_zeros = true;
    SKV_TRY(take_result(a->g, old, sum));
    SKV_TRY(skv_node_set_input(hold->producer, 0, old));
    SKV_TRY(skv_value_replace_uses(hold, old, false));
    return skv_graph_remove_node(hold->producer);
}

static skive_status apply_chain(applying *a) {
    const skv_link *last = &a->f->links[a->f->n - 1];
    skive_value *x = a->node->inputs[0];
    int64_t from = 0;
    for (size_t i = 0; i + 1 < a->f->n; i++) x = add_link(a, i, x);
    SKV_TRY(a->b.status);
    for (size_t m = 0; m < a->s->n_members; m++) {
        skive_node *n = skive_graph_find_node(a->g, a->s->members[m]);
        SKV_TRY(put_last(a, n, last, from, a->s->outs[m]));
        SKV_TRY(skv_node_set_input(n, 0, x));
        from += a->s->outs[m];
    }
    return SKIVE_OK;
}

skive_status skv_site_apply(skive_graph *g, const skv_site *s, const skv_factorization *method, const skv_factors *f) {
    applying a = {.g = g, .s = s, .f = f, .node = skive_graph_find_node(g, s->members[0]), .b = skv_build(g)};
    if (!a.node) return SKV_FAIL(g->ctx, SKIVE_ERR_INTERNAL, "node '%s' is missing", s->members[0]);
    a.weight = a.node->inputs[s->input];
    if (s->kind == SKV_SITE_TABLE) return apply_table(&a);
    if (method->beside) return apply_beside(&a);
    if (method->build && s->kind == SKV_SITE_PRODUCT) return apply_built(&a, method);
    return apply_chain(&a);
}
