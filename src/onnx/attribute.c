/* AttributeProto to a node's attribute. */
#include <string.h>

#include "onnx/onnx.h"

typedef Onnx__AttributeProto attribute;

/* Files before IR version 4 may omit the type: then it follows from the field that is present. */
static int type_of(const attribute *a) {
    if (a->has_type && a->type != ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED) return (int)a->type;
    if (a->has_f) return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
    if (a->has_i) return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    if (a->has_s) return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
    if (a->t) return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
    if (a->g) return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
    if (a->n_floats) return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS;
    if (a->n_ints) return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
    if (a->n_strings) return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS;
    return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED;
}

static skive_status drop(skv_onnx_source *source, skive_node *n, const char *name, const char *kind) {
    const char *before = skv_attr_string(n, SKV_ONNX_DROPPED, "");
    char *text;
    skv_note(source->ctx, "node %s (%s): attribute %s is %s, which is not supported; the node cannot be run or written",
             n->name, n->op_type, name, kind);
    SKV_TRY(skv_asprintf(source->ctx, &text, "%s%s%s", before, *before ? " " : "", name));
    skive_status status = skv_node_set_attr(n, &SKV_STR(SKV_ONNX_DROPPED, text));
    skv_free(source->ctx, text);
    return status;
}

/* A list of strings has no initializer form: it is copied into the graph's arena here. */
static skive_status set_strings(skv_onnx_source *source, skive_node *n, const char *name, const attribute *a) {
    const char **list;
    SKV_TRY(skv_arena_array(n->graph->arena, a->n_strings, sizeof *list, &list));
    for (size_t i = 0; i < a->n_strings; i++) {
        if (a->strings[i].len && memchr(a->strings[i].data, 0, a->strings[i].len))
            return drop(source, n, name, "a list with a zero byte in a string");
        SKV_TRY(skv_arena_strndup(n->graph->arena, (const char *)a->strings[i].data, a->strings[i].len, &list[i]));
    }
    SKV_TRY(skv_node_set_attr(n, &SKV_INT(name, 0)));
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        if (strcmp(n->attrs[i].name, name) != 0) continue;
        n->attrs[i].type = SKV_ATTR_STRINGS;
        n->attrs[i].strings = list;
        n->attrs[i].n = a->n_strings;
    }
    return SKIVE_OK;
}

static skive_status set_floats(skv_onnx_source *source, skive_node *n, const char *name, const attribute *a) {
    double *values;
    SKV_TRY(skv_alloc_array(source->ctx, a->n_floats, sizeof *values, &values));
    for (size_t i = 0; i < a->n_floats; i++) values[i] = (double)a->floats[i];
    skive_status status = skv_node_set_attr(n, &SKV_FLTS(name, values, a->n_floats));
    skv_free(source->ctx, values);
    return status;
}

static skive_status set_tensor(skv_onnx_source *source, skive_node *n, const char *name, const Onnx__TensorProto *t) {
    skv_storage *storage;
    if (!skv_onnx_dtype_known(t->data_type)) return drop(source, n, name, "a tensor of an unsupported element type");
    SKV_TRY(skv_onnx_storage(source, "attribute", name, t, &storage));
    skive_status status = skv_node_set_tensor_attr(n, name, storage);
    skv_storage_release(storage);
    return status;
}

skive_status skv_onnx_set_attribute(skv_onnx_source *source, skive_node *n, const Onnx__AttributeProto *a) {
    const char *name = skv_onnx_text(a->name);
    if (!*name)
        return skv_fail_at(source->ctx, SKIVE_ERR_FORMAT, n->name, "node %s: an attribute has no name", n->name);
    if (skv_node_attr(n, name) || strcmp(name, SKV_ONNX_DROPPED) == 0) {
        return skv_fail_at(source->ctx, SKIVE_ERR_FORMAT, n->name, "node %s: attribute %s occurs twice", n->name, name);
    }
    if (a->ref_attr_name && *a->ref_attr_name) return drop(source, n, name, "a reference to a function's attribute");
    switch (type_of(a)) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT: return skv_node_set_attr(n, &SKV_INT(name, a->i));
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT: return skv_node_set_attr(n, &SKV_FLT(name, (double)a->f));
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING: {
        const char *text;
        SKV_TRY(skv_arena_strndup(source->arena, (const char *)a->s.data, a->s.len, &text));
        skv_attr_init init = SKV_STR(name, text);
        init.n = a->s.len;
        return skv_node_set_attr(n, &init);
    }
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS: return skv_node_set_attr(n, &SKV_INTS(name, a->ints, a->n_ints));
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS: return set_floats(source, n, name, a);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS: return set_strings(source, n, name, a);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
        if (a->t) return set_tensor(source, n, name, a->t);
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH:
        if (a->g) return SKV_FAIL(source->ctx, SKIVE_ERR_INTERNAL, "subgraph %s was read as an attribute", name);
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPHS: return drop(source, n, name, "a list of graphs");
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSORS: return drop(source, n, name, "a list of tensors");
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__SPARSE_TENSOR: return drop(source, n, name, "a sparse tensor");
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__SPARSE_TENSORS:
        return drop(source, n, name, "a list of sparse tensors");
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TYPE_PROTO: return drop(source, n, name, "a type");
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TYPE_PROTOS: return drop(source, n, name, "a list of types");
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED: /* old writers: an empty list */
        return skv_node_set_attr(n, &SKV_INTS(name, NULL, 0));
    default: return drop(source, n, name, "of an unknown kind");
    }
    return skv_fail_at(source->ctx, SKIVE_ERR_FORMAT, n->name, "node %s: attribute %s has no value", n->name, name);
}
