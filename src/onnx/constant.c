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

/* The element type is part of the op's name, so that `skive_graph_unsupported` lists it. */
static skive_status declare_unsupported(skv_onnx_importer *im, skive_graph *g, const char *name,
                                        const Onnx__TensorProto *t) {
    const char *type = skv_onnx_dtype_text(t->data_type);
    skive_value *value;
    skive_node *node;
    char op[64];
    (void)snprintf(op, sizeof op, "Constant:%s", type);
    skv_note(im->ctx, "%s: tensors of %s are not supported; nodes that use it cannot be run", name, type);
    SKV_TRY(skv_graph_new_value(g, name, &value));
    return skv_graph_new_node(g, op, SKV_DOMAIN, NULL, NULL, 0, &value, 1, &node);
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

/* The same for strings, read as those of a tensor. */
static skive_status strings(skv_onnx_importer *im, const char *name, int rank, size_t n, ProtobufCBinaryData *data,
                            skv_storage **out) {
    int64_t dim = (int64_t)n;
    Onnx__TensorProto t = ONNX__TENSOR_PROTO__INIT;
    t.has_data_type = 1;
    t.data_type = ONNX__TENSOR_PROTO__DATA_TYPE__STRING;
    t.n_dims = (size_t)rank;
    t.dims = &dim;
    t.n_string_data = n;
    t.string_data = data;
    return skv_onnx_storage(im->source, "constant", name, &t, out);
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
    } else if (strcmp(kind, "value_string") == 0 && a->has_s) {
        ProtobufCBinaryData text = a->s;
        SKV_TRY(strings(im, name, 0, 1, &text, &storage));
    } else if (strcmp(kind, "value_strings") == 0) {
        SKV_TRY(strings(im, name, 1, a->n_strings, a->strings, &storage));
    } else {
        return skv_fail_at(im->ctx, SKIVE_ERR_FORMAT, name, "constant %s: attribute \"%s\" has no value", name, kind);
    }
    return declare_storage(g, name, storage);
}
