/* Shared by the files of the importer: import.c builds graphs, constant.c parameters, finish.c converts the result to
 * canonical form. */
#ifndef SKV_ONNX_IMPORT_H
#define SKV_ONNX_IMPORT_H

#include "onnx/onnx.h"

typedef struct skv_onnx_importer {
    skv_onnx_source *source;
    skive_context *ctx;
    int opset;         /* of the standard domain; 0: the model names none */
    size_t n_defaults; /* inputs that have an initializer */
    const char *first_default;
} skv_onnx_importer;

/* ---- constant.c ---- */

/* Declares value `name` of `g` as a parameter made from an initializer or from a Constant node. Data of an unsupported
 * type becomes a value produced by a node that cannot be run, with a note, so that the rest can still be inspected. */
skive_status skv_onnx_declare_initializer(skv_onnx_importer *im, skive_graph *g, const Onnx__TensorProto *tensor);
skive_status skv_onnx_declare_sparse(skv_onnx_importer *im, skive_graph *g, const Onnx__SparseTensorProto *sparse);
skive_status skv_onnx_declare_constant(skv_onnx_importer *im, skive_graph *g, const Onnx__NodeProto *node);
/* ERR_FORMAT if the name is empty, ERR_GRAPH if it is already used. */
skive_status skv_onnx_check_new_name(skv_onnx_importer *im, skive_graph *g, const char *what, const char *name);

/* ---- finish.c ---- */

/* Converts every node of `g` and its subgraphs to canonical form, removes unused parameters, marks the trainable ones,
 * checks and infers. */
skive_status skv_onnx_finish(skv_onnx_importer *im, skive_graph *g);

/* ---- domains.c ---- */

/* The versions of the operator sets that the graph's nodes use go into its metadata, under keys of this kind. */
skive_status skv_onnx_keep_domains(skv_onnx_importer *im, const Onnx__ModelProto *model, skive_graph *g);

static inline bool skv_onnx_standard(const char *domain) {
    return !domain || !*domain || __builtin_strcmp(domain, "ai.onnx") == 0;
}

#endif
