/* The public builder: the internal one with arguments that are checked. See include/skive/build.h. */
#include <skive/build.h>

#include "graph/graph.h"

skive_builder skive_builder_of(skive_graph *graph) {
    return (skive_builder){.graph = graph, .status = graph ? SKIVE_OK : SKIVE_ERR_ARGUMENT};
}

skive_attribute skive_attribute_int(const char *name, int64_t value) {
    return (skive_attribute){.name = name, .kind = SKIVE_ATTRIBUTE_INT, .i = value};
}

skive_attribute skive_attribute_float(const char *name, double value) {
    return (skive_attribute){.name = name, .kind = SKIVE_ATTRIBUTE_FLOAT, .f = value};
}

skive_attribute skive_attribute_string(const char *name, const char *value) {
    return (skive_attribute){.name = name, .kind = SKIVE_ATTRIBUTE_STRING, .s = value};
}

skive_attribute skive_attribute_ints(const char *name, const int64_t *values, size_t n) {
    return (skive_attribute){.name = name, .kind = SKIVE_ATTRIBUTE_INTS, .ints = values, .n = n};
}

static bool ready(const skive_builder *b) { return b && b->graph && b->status == SKIVE_OK; }

/* Remembers the failure of a call whose arguments are not what they must be. */
static bool checked(skive_builder *b, skive_status status) {
    b->status = status;
    return status == SKIVE_OK;
}

static skive_status needed(const skive_builder *b, const char *function, const char *names, const bool *given,
                           size_t n) {
    return skv_need(b->graph->ctx, function, names, given, n);
}

static skive_status check_node(const skive_builder *b, const char *op, skive_value *const *inputs, size_t n_inputs,
                               const skive_attribute *attributes, size_t n_attributes) {
    SKV_TRY(needed(b, "skive_build_node", "op, inputs, attributes",
                   (const bool[]){op != NULL, inputs || !n_inputs, attributes || !n_attributes}, 3));
    for (size_t i = 0; i < n_inputs; i++) {
        if (inputs[i] && inputs[i]->graph != b->graph)
            return SKV_FAIL(b->graph->ctx, SKIVE_ERR_ARGUMENT, "input %zu of %s is a value of another graph", i, op);
    }
    for (size_t i = 0; i < n_attributes; i++) {
        const skive_attribute *a = &attributes[i];
        const bool text = a->kind != SKIVE_ATTRIBUTE_STRING || a->s, list = a->ints || !a->n;
        if (!a->name || !text || !list || (unsigned)a->kind > SKIVE_ATTRIBUTE_INTS)
            return SKV_FAIL(b->graph->ctx, SKIVE_ERR_ARGUMENT, "attribute %zu of %s has no name or no value", i, op);
    }
    return SKIVE_OK;
}

static skv_attr_init converted(const skive_attribute *a) {
    switch (a->kind) {
    case SKIVE_ATTRIBUTE_INT: return SKV_INT(a->name, a->i);
    case SKIVE_ATTRIBUTE_FLOAT: return SKV_FLT(a->name, a->f);
    case SKIVE_ATTRIBUTE_STRING: return SKV_STR(a->name, a->s);
    case SKIVE_ATTRIBUTE_INTS: break;
    }
    return SKV_INTS(a->name, a->ints, a->n);
}

skive_value *skive_build_node(skive_builder *b, const char *op, const char *name, skive_value *const *inputs,
                              size_t n_inputs, const skive_attribute *attributes, size_t n_attributes,
                              skive_value **outputs, size_t n_outputs) {
    skv_attr_init *attrs = NULL;
    skive_value **out = NULL, *first = NULL;
    for (size_t i = 0; outputs && i < n_outputs; i++) outputs[i] = NULL;
    if (!ready(b) || !checked(b, check_node(b, op, inputs, n_inputs, attributes, n_attributes))) return NULL;
    skive_context *ctx = b->graph->ctx;
    SKV_GO(b->status, done, skv_alloc_array(ctx, n_attributes + 1, sizeof *attrs, &attrs));
    SKV_GO(b->status, done, skv_alloc_array(ctx, n_outputs + 1, sizeof(skive_value *), &out));
    for (size_t i = 0; i < n_attributes; i++) attrs[i] = converted(&attributes[i]);
    skv_builder inner = {.graph = b->graph, .status = SKIVE_OK, .prefix = name};
    (void)skv_emit_n(&inner, op, (skv_in_list){inputs, n_inputs}, (skv_attr_list){attrs, n_attributes}, out, n_outputs);
    b->status = inner.status;
    first = n_outputs ? out[0] : NULL;
    for (size_t i = 0; outputs && i < n_outputs; i++) outputs[i] = out[i];
done:
    skv_free(ctx, attrs);
    skv_free(ctx, out);
    return first;
}

skive_value *skive_build_parameter(skive_builder *b, const char *name, const skive_tensor *tensor, bool trainable) {
    skive_value *v = NULL;
    if (!ready(b) || !checked(b, needed(b, __func__, "tensor", (const bool[]){tensor != NULL}, 1)) ||
        !checked(b, skive_graph_add_parameter(b->graph, name, tensor, &v)))
        return NULL;
    v->trainable = trainable;
    return v;
}

static skv_builder inner_of(const skive_builder *b) { return skv_build(b->graph); }

skive_value *skive_build_number(skive_builder *b, double value) {
    if (!ready(b)) return NULL;
    skv_builder inner = inner_of(b);
    skive_value *v = skv_emit_scalar(&inner, SKIVE_F32, value);
    b->status = inner.status;
    return v;
}

skive_value *skive_build_ints(skive_builder *b, const int64_t *values, size_t n) {
    if (!ready(b) || !checked(b, needed(b, __func__, "values", (const bool[]){values || !n}, 1))) return NULL;
    skv_builder inner = inner_of(b);
    skive_value *v = skv_emit_ints(&inner, values, n);
    b->status = inner.status;
    return v;
}
