/* Parameters of an imported graph: initializers, sparse initializers and Constant nodes, which exporters use
 * interchangeably. */
#include <stdio.h>
#include <string.h>

#include "onnx/onnx_import.h"

skive_status skv_onnx_check_new_name(skv_onnx_importer *im, skive_graph *g, const char *what, const char *name) {
    if (!*name) return skv_fail_at(im->ctx, SKIVE_ERR_FORMAT, what, "%s has no name", what);
    if (skive_graph_find_value(g, name)) {
        return skv_fail_at(im->ctx, SKIVE_ERR_GRAPH, name, "%s %s: another value has the same name", what, name);
    }
    return SKIVE_OK;
}

static skive_status declare_storage(skive_graph *g, const char *name, skv_storage *take) {
    skive_value *value;
    skive_status status = skv_graph_new_param(g, name, take, &value);
    if (status != SKIVE_OK) skv_storage_release(take);
    return status;
}

/* The strings, for operators that hand out class names (ml.c). */
static skive_status keep_strings(skv_onnx_importer *im, skive_node *node, const Onnx__TensorProto *t) {
    const char **strings;
    SKV_TRY(skv_arena_array(im->source->arena, t->n_string_data + 1, sizeof *strings, &strings));
    for (size_t i = 0; i < t->n_string_data; i++) {
        const ProtobufCBinaryData *d = &t->string_data[i];
        SKV_TRY(skv_arena_strndup(im->source->arena, (const char *)d->data, d->len, &strings[i]));
    }
    return skv_node_set_attr(node, &SKV_STRS(SKV_ONNX_STRINGS, strings, t->n_string_data));
}

/* The element type is part of the op's name, so that `skive_graph_unsupported` lists it. t NULL: strings of an
 * attribute. */
static skive_status declare_unsupported(skv_onnx_importer *im, skive_graph *g, const char *name,
                                        const Onnx__TensorProto *t) {
    const char *type = t ? skv_onnx_dtype_text(t->data_type) : "string";
    const bool strings = t && t->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__STRING;
    skive_value *value;
    skive_node *node;
    char op[64];
    (void)snprintf(op, sizeof op, "Constant:%s", type);
    skv_note(im->ctx, "%s: tensors of %s are not supported; nodes that use it cannot be run%s", name, type,
             strings ? ", but for the choice of a class name" : "");
    SKV_TRY(skv_graph_new_value(g, name, &value));
    SKV_TRY(skv_graph_new_node(g, op, SKV_DOMAIN, NULL, NULL, 0, &value, 1, &node));
    return strings ? keep_strings(im, node, t) : SKIVE_OK;
}

skive_status skv_onnx_declare_initializer(skv_onnx_importer *im, skive_graph *g, const Onnx__TensorProto *tensor) {
    const char *name = skv_onnx_text(tensor->name);
    skv_storage *storage;
    SKV_TRY(skv_onnx_check_new_name(im, g, "initializer", name));
    if (!skv_onnx_dtype_known(tensor->data_type)) {
        return declare_unsupported(im, g, name, tensor);
    }
    SKV_TRY(skv_onnx_storage(im->source, "initializer", name, tensor, &storage));
    return declare_storage(g, name, storage);
}

skive_status skv_onnx_declare_sparse(skv_onnx_importer *im, skive_graph *g, const Onnx__SparseTensorProto *sparse) {
    const char *name = sparse->values ? skv_onnx_text(sparse->values->name) : "";
    skv_storage *storage;
    SKV_TRY(skv_onnx_check_new_name(im, g, "sparse initializer", name));
    SKV_TRY(skv_onnx_densify(im->source, name, sparse, &storage));
    return declare_storage(g, name, storage);
}

/* A scalar (n 1, rank 0) or a list from an attribute that holds numbers. */
static skive_status numbers(skv_onnx_importer *im, skive_dtype dtype, int rank, size_t n, const void *data,
                            skv_storage **out) {
    int64_t dims[1] = {(int64_t)n};
    SKV_TRY(skv_storage_create(im->ctx, dtype, rank, dims, out));
    if (n) memcpy((*out)->tensor.data, data, n * (dtype == SKIVE_F32 ? sizeof(float) : sizeof(int64_t)));
    return SKIVE_OK;
}

skive_status skv_onnx_declare_constant(skv_onnx_importer *im, skive_graph *g, const Onnx__NodeProto *node) {
    const char *name = node->n_output == 1 ? skv_onnx_text(node->output[0]) : "";
    skv_storage *storage = NULL;
    if (node->n_attribute != 1 || node->n_input != 0 || node->n_output != 1) {
        return skv_fail_at(im->ctx, SKIVE_ERR_FORMAT, skv_onnx_text(node->name),
                           "node %s (Constant) must have one attribute, no input and one output",
                           skv_onnx_text(node->name));
    }
    SKV_TRY(skv_onnx_check_new_name(im, g, "constant", name));
    const Onnx__AttributeProto *a = node->attribute[0];
    const char *kind = skv_onnx_text(a->name);
    if (strcmp(kind, "value") == 0 && a->t) {
        if (!skv_onnx_dtype_known(a->t->data_type)) {
            return declare_unsupported(im, g, name, a->t);
        }
        SKV_TRY(skv_onnx_storage(im->source, "constant", name, a->t, &storage));
    } else if (strcmp(kind, "sparse_value") == 0 && a->sparse_tensor) {
        SKV_TRY(skv_onnx_densify(im->source, name, a->sparse_tensor, &storage));
    } else if (strcmp(kind, "value_float") == 0 && a->has_f) {
        SKV_TRY(numbers(im, SKIVE_F32, 0, 1, &a->f, &storage));
    } else if (strcmp(kind, "value_int") == 0 && a->has_i) {
        SKV_TRY(numbers(im, SKIVE_I64, 0, 1, &a->i, &storage));
    } else if (strcmp(kind, "value_floats") == 0) {
        SKV_TRY(numbers(im, SKIVE_F32, 1, a->n_floats, a->floats, &storage));
    } else if (strcmp(kind, "value_ints") == 0) {
        SKV_TRY(numbers(im, SKIVE_I64, 1, a->n_ints, a->ints, &storage));
    } else if (strncmp(kind, "value_string", 12) == 0) {
        return declare_unsupported(im, g, name, NULL);
    } else {
        return skv_fail_at(im->ctx, SKIVE_ERR_FORMAT, name, "constant %s: attribute \"%s\" has no value", name, kind);
    }
    return declare_storage(g, name, storage);
}
