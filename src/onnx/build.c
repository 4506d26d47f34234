/* Graph to ModelProto. The messages are small and live in an arena; names and weights are not copied. */
#include <stdio.h>
#include <string.h>

#include "base/endian.h"
#include "onnx/export.h"
#include "onnx/export_opset.h"
#include "onnx/schema.h"
#include "tensor/strings.h"

#define MAX_SUBGRAPH_DEPTH 300 /* the reader's limit is lower */

/* A zeroed and initialised message from the arena. */
#define NEW(b, out, init)                                            \
    do {                                                             \
        SKV_TRY(skv_arena_alloc((b)->arena, sizeof *(out), &(out))); \
        init(out);                                                   \
    } while (0)

/* protobuf-c's structs have char * where they only read. */
static char *borrow(const char *text) {
    union {
        const char *in;
        char *out;
    } u = {.in = text};
    return u.out;
}

static uint8_t *borrow_bytes(const void *bytes) {
    union {
        const void *in;
        uint8_t *out;
    } u = {.in = bytes};
    return u.out;
}

/* ---- names ---- */

static bool taken_outside(const skive_graph *g, const char *name) {
    for (g = g->parent; g; g = g->parent) {
        if (skive_graph_find_value(g, name)) return true;
    }
    return false;
}

/* A captured value has the name of its origin; a value of a subgraph must not have a name of an enclosing graph. */
static skive_status value_name(skv_onnx_build *b, const skive_value *v, char **out) {
    if (!v) {
        *out = borrow("");
        return SKIVE_OK;
    }
    while (v->outer) v = v->outer;
    *out = borrow(v->name);
    if (!v->graph->parent || !taken_outside(v->graph, v->name)) return SKIVE_OK;
    size_t size = strlen(v->name) + 32;
    char *name;
    SKV_TRY(skv_arena_alloc(b->arena, size, &name));
    for (unsigned k = 1;; k++) { /* the same result for every call */
        (void)snprintf(name, size, "%s.inner%u", v->name, k);
        if (!skive_graph_find_value(v->graph, name) && !taken_outside(v->graph, name)) break;
    }
    *out = name;
    return SKIVE_OK;
}

/* ---- types ---- */

static skive_status build_type(skv_onnx_build *b, const skive_type *type, Onnx__TypeProto **out) {
    *out = NULL;
    if (type->dtype == SKIVE_DTYPE_NONE) return SKIVE_OK;
    Onnx__TypeProto *proto;
    Onnx__TypeProto__Tensor *tensor;
    NEW(b, proto, onnx__type_proto__init);
    NEW(b, tensor, onnx__type_proto__tensor__init);
    proto->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    proto->tensor_type = tensor;
    tensor->has_elem_type = 1;
    tensor->elem_type = (int32_t)type->dtype;
    if (type->rank >= 0) {
        NEW(b, tensor->shape, onnx__tensor_shape_proto__init);
        tensor->shape->n_dim = (size_t)type->rank;
        SKV_TRY(skv_arena_array(b->arena, (size_t)type->rank, sizeof *tensor->shape->dim, &tensor->shape->dim));
        for (int i = 0; i < type->rank; i++) {
            Onnx__TensorShapeProto__Dimension *d;
            NEW(b, d, onnx__tensor_shape_proto__dimension__init);
            if (type->dims[i].size >= 0) {
                d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
                d->dim_value = type->dims[i].size;
            } else if (type->dims[i].symbol) {
                d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
                d->dim_param = borrow(type->dims[i].symbol);
            }
            tensor->shape->dim[i] = d;
        }
    }
    *out = proto;
    return SKIVE_OK;
}

/* Inputs and outputs of the whole model need a type in the file. A graph has no sequences, strings and the like. */
static skive_status check_ends(skv_onnx_build *b, const skive_graph *g, skive_value *const *values, size_t n) {
    for (size_t i = 0; i < n && !g->parent; i++) {
        const skive_type *t = &values[i]->type;
        if (t->dtype != SKIVE_DTYPE_NONE && t->rank >= 0) continue;
        return skv_fail_at(b->ctx, SKIVE_ERR_UNSUPPORTED, values[i]->name,
                           "the model cannot be written: its input or output '%s' is %s", values[i]->name,
                           t->dtype == SKIVE_DTYPE_NONE ? "of a type that skive does not support" : "of unknown rank");
    }
    return SKIVE_OK;
}

static skive_status build_info(skv_onnx_build *b, const skive_value *v, Onnx__ValueInfoProto **out) {
    NEW(b, *out, onnx__value_info_proto__init);
    SKV_TRY(value_name(b, v, &(*out)->name));
    return build_type(b, &v->type, &(*out)->type);
}

/* ---- tensors ---- */

/* The dense elements with the bytes that the file has. */
static skive_status dense_tensor(skv_onnx_build *b, const skv_storage *storage, const skive_tensor **out) {
    const size_t width = skv_dtype_align(storage->tensor.dtype);
    skive_tensor *copy;
    if (storage->form == &skv_form_dense && (!SKV_BIG_ENDIAN || width == 1)) {
        *out = &storage->tensor;
        return SKIVE_OK;
    }
    if (b->n_inflated == b->inflated_capacity) {
        size_t larger = b->inflated_capacity ? b->inflated_capacity * 2 : 16;
        SKV_TRY(skv_grow(b->ctx, &b->inflated, b->inflated_capacity, larger, sizeof *b->inflated));
        b->inflated_capacity = larger;
    }
    SKV_TRY(skv_storage_inflate(b->ctx, storage, &b->inflated[b->n_inflated]));
    skv_little_endian(b->inflated[b->n_inflated].data, skive_tensor_bytes(&storage->tensor), width);
    /* the array moves when it grows, but its elements are pointed to */
    SKV_TRY(skv_arena_alloc(b->arena, sizeof *copy, &copy));
    *copy = b->inflated[b->n_inflated++];
    *out = copy;
    return SKIVE_OK;
}

static skive_status build_strings(skv_onnx_build *b, const skive_tensor *t, Onnx__TensorProto *out) {
    const size_t n = (size_t)skive_tensor_count(t);
    SKV_TRY(skv_arena_array(b->arena, n, sizeof *out->string_data, &out->string_data));
    out->n_string_data = n;
    for (size_t i = 0; i < n; i++) {
        const char *s = skv_string_at(t, i);
        out->string_data[i].data = borrow_bytes(s);
        out->string_data[i].len = strlen(s);
    }
    return SKIVE_OK;
}

static skive_status build_tensor(skv_onnx_build *b, const skv_storage *storage, Onnx__TensorProto **out,
                                 const skive_tensor **tensor) {
    const skive_tensor *t = &storage->tensor;
    if (t->dtype != SKIVE_STRING) SKV_TRY(dense_tensor(b, storage, &t));
    NEW(b, *out, onnx__tensor_proto__init);
    (*out)->has_data_type = 1;
    (*out)->data_type = (int32_t)t->dtype;
    (*out)->n_dims = (size_t)t->rank;
    SKV_TRY(skv_arena_array(b->arena, (size_t)t->rank, sizeof(int64_t), &(*out)->dims));
    for (int i = 0; i < t->rank; i++) (*out)->dims[i] = t->dims[i];
    *tensor = t;
    if (t->dtype == SKIVE_STRING) return build_strings(b, t, *out);
    (*out)->has_raw_data = 1;
    (*out)->raw_data.data = borrow_bytes(t->data);
    (*out)->raw_data.len = skive_tensor_bytes(t);
    return SKIVE_OK;
}

static skive_status build_initializer(skv_onnx_build *b, const skive_value *v, Onnx__TensorProto **out) {
    const skive_tensor *tensor;
    SKV_TRY(build_tensor(b, v->storage, out, &tensor));
    SKV_TRY(value_name(b, v, &(*out)->name));
    if (b->n_weights == b->weights_capacity) {
        size_t larger = b->weights_capacity ? b->weights_capacity * 2 : 256;
        SKV_TRY(skv_grow(b->ctx, &b->weights, b->weights_capacity, larger, sizeof *b->weights));
        b->weights_capacity = larger;
    }
    if (tensor->dtype == SKIVE_STRING) return SKIVE_OK; /* stays in the model */
    b->weights[b->n_weights++] = (skv_onnx_weight){*out, tensor, 0};
    return SKIVE_OK;
}

/* ---- nodes ---- */

static skive_status build_graph(skv_onnx_build *b, const skive_graph *g, int depth, Onnx__GraphProto **out);

static skive_status build_attribute(skv_onnx_build *b, const skv_attr *a, int depth, Onnx__AttributeProto **out) {
    Onnx__AttributeProto *proto;
    const skive_tensor *tensor;
    NEW(b, proto, onnx__attribute_proto__init);
    proto->name = borrow(a->name);
    proto->has_type = 1;
    *out = proto;
    switch (a->type) {
    case SKV_ATTR_INT:
        proto->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
        proto->has_i = 1;
        proto->i = a->i;
        break;
    case SKV_ATTR_FLOAT:
        proto->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
        proto->has_f = 1;
        proto->f = (float)a->f;
        break;
    case SKV_ATTR_STRING:
        proto->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
        proto->has_s = 1;
        proto->s.data = borrow_bytes(a->s);
        proto->s.len = a->n;
        break;
    case SKV_ATTR_TENSOR:
        proto->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
        return build_tensor(b, a->tensor, &proto->t, &tensor);
    case SKV_ATTR_GRAPH:
        proto->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
        return build_graph(b, a->graph, depth + 1, &proto->g);
    case SKV_ATTR_INTS:
        proto->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
        proto->n_ints = a->n;
        SKV_TRY(skv_arena_array(b->arena, a->n, sizeof *proto->ints, &proto->ints));
        for (size_t i = 0; i < a->n; i++) proto->ints[i] = a->ints[i];
        break;
    case SKV_ATTR_FLOATS:
        proto->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS;
        proto->n_floats = a->n;
        SKV_TRY(skv_arena_array(b->arena, a->n, sizeof *proto->floats, &proto->floats));
        for (size_t i = 0; i < a->n; i++) proto->floats[i] = (float)a->floats[i];
        break;
    case SKV_ATTR_STRINGS:
        proto->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS;
        proto->n_strings = a->n;
        SKV_TRY(skv_arena_array(b->arena, a->n, sizeof *proto->strings, &proto->strings));
        for (size_t i = 0; i < a->n; i++) {
            proto->strings[i].data = borrow_bytes(a->strings[i]);
            proto->strings[i].len = strlen(a->strings[i]);
        }
        break;
    }
    return SKIVE_OK;
}

static skive_status build_node(skv_onnx_build *b, const skive_node *n, int depth, Onnx__NodeProto **out) {
    Onnx__NodeProto *proto;
    if (strcmp(n->domain, SKV_DOMAIN) == 0) {
        return skv_fail_at(b->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "node %s (%s): this operator exists only inside skive and cannot be written to ONNX",
                           n->name, n->op_type);
    }
    if (skv_node_attr(n, SKV_ONNX_DROPPED)) {
        return skv_fail_at(
            b->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
            "node %s (%s) cannot be written, because unsupported attributes were lost when it was read (%s)", n->name,
            n->op_type, skv_attr_string(n, SKV_ONNX_DROPPED, ""));
    }
    NEW(b, proto, onnx__node_proto__init);
    proto->name = borrow(n->name);
    proto->op_type = borrow(n->op_type);
    if (*n->domain) proto->domain = borrow(n->domain);
    proto->n_input = n->n_inputs;
    while (proto->n_input && !n->inputs[proto->n_input - 1]) proto->n_input--;
    proto->n_output = n->n_outputs;
    SKV_TRY(skv_arena_array(b->arena, proto->n_input, sizeof *proto->input, &proto->input));
    SKV_TRY(skv_arena_array(b->arena, proto->n_output, sizeof *proto->output, &proto->output));
    for (size_t i = 0; i < proto->n_input; i++) SKV_TRY(value_name(b, n->inputs[i], &proto->input[i]));
    for (size_t i = 0; i < proto->n_output; i++) SKV_TRY(value_name(b, n->outputs[i], &proto->output[i]));
    const skv_schema *schema = *n->domain || !n->op ? NULL : skv_schema_find(n->op_type, b->opset);
    SKV_TRY(skv_arena_array(b->arena, n->n_attrs, sizeof *proto->attribute, &proto->attribute));
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        /* The attribute is from a later version and has its default value: the choice of the opset ensures that. */
        if (schema && !skv_schema_attr_find(schema, n->attrs[i].name)) continue;
        SKV_TRY(build_attribute(b, &n->attrs[i], depth, &proto->attribute[proto->n_attribute++]));
    }
    *out = proto;
    return SKIVE_OK;
}

/* ---- graphs ---- */

/* Readers infer the types of operators they know, so only those of unknown operators are written. */
static bool needs_info(const skive_value *v) {
    return v->producer && !v->producer->op && v->output_uses == 0 && v->type.dtype != SKIVE_DTYPE_NONE;
}

static skive_status build_nodes(skv_onnx_build *b, const skive_graph *g, int depth, Onnx__GraphProto *proto) {
    skive_node **order;
    skive_status status;
    SKV_TRY(skv_graph_topo(g, &order));
    SKV_GO(status, done, skv_arena_array(b->arena, g->n_nodes, sizeof *proto->node, &proto->node));
    for (uint32_t i = 0; i < g->n_nodes; i++) SKV_GO(status, done, build_node(b, order[i], depth, &proto->node[i]));
    proto->n_node = g->n_nodes;
done:
    skv_free(b->ctx, order);
    return status;
}

static skive_status build_graph(skv_onnx_build *b, const skive_graph *g, int depth, Onnx__GraphProto **out) {
    Onnx__GraphProto *proto;
    if (depth > MAX_SUBGRAPH_DEPTH) {
        return SKV_FAIL(b->ctx, SKIVE_ERR_LIMIT, "subgraphs nested deeper than %d cannot be written",
                        MAX_SUBGRAPH_DEPTH);
    }
    NEW(b, proto, onnx__graph_proto__init);
    proto->name = borrow(g->name && *g->name ? g->name : "graph");
    SKV_TRY(build_nodes(b, g, depth, proto));
    SKV_TRY(check_ends(b, g, g->inputs, g->n_inputs));
    SKV_TRY(check_ends(b, g, g->outputs, g->n_outputs));
    SKV_TRY(skv_arena_array(b->arena, g->n_inputs, sizeof *proto->input, &proto->input));
    for (uint32_t i = 0; i < g->n_inputs; i++) SKV_TRY(build_info(b, g->inputs[i], &proto->input[proto->n_input++]));
    SKV_TRY(skv_arena_array(b->arena, g->n_outputs, sizeof *proto->output, &proto->output));
    for (uint32_t i = 0; i < g->n_outputs; i++)
        SKV_TRY(build_info(b, g->outputs[i], &proto->output[proto->n_output++]));
    size_t weights = 0, infos = 0;
    for (uint32_t i = 0; i < g->n_values; i++) {
        weights += g->values[i]->storage != NULL;
        infos += needs_info(g->values[i]);
    }
    SKV_TRY(skv_arena_array(b->arena, weights, sizeof *proto->initializer, &proto->initializer));
    SKV_TRY(skv_arena_array(b->arena, infos, sizeof *proto->value_info, &proto->value_info));
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        if (v->storage) SKV_TRY(build_initializer(b, v, &proto->initializer[proto->n_initializer++]));
        if (needs_info(v)) SKV_TRY(build_info(b, v, &proto->value_info[proto->n_value_info++]));
    }
    *out = proto;
    return SKIVE_OK;
}

/* ---- the model ---- */

/* Every domain that occurs beside the standard one. */
static skive_status add_domains(skv_onnx_build *b, const skive_graph *whole, const skive_graph *g) {
    Onnx__ModelProto *m = b->model;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        for (uint32_t k = 0; k < n->n_attrs; k++) {
            if (n->attrs[k].type == SKV_ATTR_GRAPH) SKV_TRY(add_domains(b, whole, n->attrs[k].graph));
        }
        bool there = !*n->domain;
        for (size_t k = 1; k < m->n_opset_import && !there; k++)
            there = strcmp(m->opset_import[k]->domain, n->domain) == 0;
        if (there) continue;
        Onnx__OperatorSetIdProto **longer;
        SKV_TRY(skv_arena_array(b->arena, m->n_opset_import + 1, sizeof *longer, &longer));
        memcpy(longer, m->opset_import, m->n_opset_import * sizeof *longer);
        m->opset_import = longer;
        NEW(b, longer[m->n_opset_import], onnx__operator_set_id_proto__init);
        longer[m->n_opset_import]->domain = borrow(n->domain);
        longer[m->n_opset_import]->has_version = 1;
        longer[m->n_opset_import]->version = skv_onnx_domain_version(whole, n->domain);
        m->n_opset_import++;
    }
    return SKIVE_OK;
}

static skive_status add_entry(skv_onnx_build *b, const char *key, const char *value) {
    Onnx__StringStringEntryProto **entry = &b->model->metadata_props[b->model->n_metadata_props];
    NEW(b, *entry, onnx__string_string_entry_proto__init);
    (*entry)->key = borrow(key);
    (*entry)->value = borrow(value);
    b->model->n_metadata_props++;
    return SKIVE_OK;
}

static skive_status add_metadata(skv_onnx_build *b, const skive_graph *graph) {
    SKV_TRY(skv_marks_of(graph, &b->marks));
    SKV_TRY(skv_arena_array(b->arena, graph->n_meta + b->marks.n, sizeof *b->model->metadata_props,
                            &b->model->metadata_props));
    for (uint32_t i = 0; i < graph->n_meta; i++) {
        if (!skv_onnx_is_domain_key(graph->meta[i].key))
            SKV_TRY(add_entry(b, graph->meta[i].key, graph->meta[i].value));
    }
    for (size_t i = 0; i < b->marks.n; i++) SKV_TRY(add_entry(b, b->marks.key[i], b->marks.value[i].data));
    return SKIVE_OK;
}

skive_status skv_onnx_build_model(skv_onnx_build *b, const skive_graph *graph, int opset) {
    Onnx__ModelProto *m;
    SKV_TRY(skv_arena_create(b->ctx, &b->arena));
    SKV_TRY(skv_onnx_choose_opset(b->ctx, graph, opset, &opset));
    b->opset = opset;
    NEW(b, m, onnx__model_proto__init);
    b->model = m;
    m->has_ir_version = 1;
    m->ir_version = skv_onnx_ir_version(opset);
    m->producer_name = borrow("skive");
    m->producer_version = borrow(skive_version());
    m->n_opset_import = 1;
    SKV_TRY(skv_arena_array(b->arena, 1, sizeof *m->opset_import, &m->opset_import));
    NEW(b, m->opset_import[0], onnx__operator_set_id_proto__init);
    m->opset_import[0]->domain = borrow("");
    m->opset_import[0]->has_version = 1;
    m->opset_import[0]->version = opset;
    SKV_TRY(build_graph(b, graph, 0, &m->graph));
    SKV_TRY(add_domains(b, graph, graph));
    return add_metadata(b, graph);
}

void skv_onnx_build_free(skv_onnx_build *b) {
    for (size_t i = 0; i < b->n_inflated; i++) skive_tensor_free(b->ctx, &b->inflated[i]);
    skv_free(b->ctx, b->inflated);
    skv_free(b->ctx, b->weights);
    skv_marks_free(&b->marks);
    skv_arena_free(b->arena);
}
