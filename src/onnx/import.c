/* ModelProto to graph.
 *
 * A graph is built in two passes: first every name is declared (initializers, inputs, constants, node outputs), then
 * the nodes are created and connected, so that the file's order does not matter. A name that a subgraph does not define
 * is captured from the graph around it, through all graphs between. */
#include <stdio.h>
#include <string.h>

#include "onnx/export.h"
#include "onnx/onnx_import.h"

typedef struct scope {
    struct scope *outer;
    skive_graph *g;
} scope;

static skive_status import_graph(skv_onnx_importer *im, scope *outer, const Onnx__GraphProto *proto, skive_graph **out);

/* ---- types ---- */

static skive_status read_type(skive_graph *g, const Onnx__TypeProto *proto, skive_type *out) {
    *out = (skive_type){.dtype = SKIVE_DTYPE_NONE, .rank = -1};
    if (!proto || proto->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !proto->tensor_type) return SKIVE_OK;
    const Onnx__TypeProto__Tensor *tensor = proto->tensor_type;
    if (skv_onnx_dtype_known(tensor->elem_type)) out->dtype = (skive_dtype)tensor->elem_type;
    if (!tensor->shape || tensor->shape->n_dim > SKIVE_MAX_RANK) return SKIVE_OK;
    for (size_t i = 0; i < tensor->shape->n_dim; i++) {
        const Onnx__TensorShapeProto__Dimension *d = tensor->shape->dim[i];
        out->dims[i] = (skive_dim){-1, NULL};
        if (d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE) {
            if (d->dim_value >= 0) out->dims[i].size = d->dim_value;
        } else if (d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM && d->dim_param &&
                   *d->dim_param) {
            SKV_TRY(skv_arena_strdup(g->arena, d->dim_param, &out->dims[i].symbol));
        }
    }
    out->rank = (int)tensor->shape->n_dim;
    return SKIVE_OK;
}

/* Declared types are used until inference replaces them, and remain where an op is unknown. */
static skive_status declare_type(skive_graph *g, const Onnx__ValueInfoProto *info) {
    skive_value *v = info->name && *info->name ? skive_graph_find_value(g, info->name) : NULL;
    if (!v || v->storage || v->is_input) return SKIVE_OK;
    return read_type(g, info->type, &v->type);
}

/* ---- first pass: names ---- */

static bool is_constant(const Onnx__NodeProto *node) {
    return node->op_type && strcmp(node->op_type, "Constant") == 0 && skv_onnx_standard(node->domain);
}

static skive_status declare_inputs(skv_onnx_importer *im, skive_graph *g, const Onnx__GraphProto *proto) {
    for (size_t i = 0; i < proto->n_input; i++) {
        const char *name = skv_onnx_text(proto->input[i]->name);
        skive_value *v = *name ? skive_graph_find_value(g, name) : NULL;
        skive_type type;
        if (v && !v->is_input) { /* an initializer listed as an input, the rule before IR version 4 */
            if (im->n_defaults++ == 0) im->first_default = name;
            continue;
        }
        SKV_TRY(skv_onnx_check_new_name(im, g, "input", name));
        SKV_TRY(read_type(g, proto->input[i]->type, &type));
        SKV_TRY(skive_graph_add_input(g, name, &type, &v));
    }
    return SKIVE_OK;
}

static skive_status declare_outputs(skv_onnx_importer *im, skive_graph *g, const Onnx__NodeProto *node) {
    if (is_constant(node)) return skv_onnx_declare_constant(im, g, node);
    for (size_t i = 0; i < node->n_output; i++) {
        skive_value *v;
        const char *name = skv_onnx_text(node->output[i]);
        if (!*name) continue;
        if (skive_graph_find_value(g, name)) {
            return skv_fail_at(im->ctx, SKIVE_ERR_GRAPH, name,
                               "node %s (%s): its output name %s is already used by another value",
                               skv_onnx_text(node->name), skv_onnx_text(node->op_type), name);
        }
        SKV_TRY(skv_graph_new_value(g, name, &v));
    }
    return SKIVE_OK;
}

static skive_status declare_all(skv_onnx_importer *im, skive_graph *g, const Onnx__GraphProto *proto) {
    for (size_t i = 0; i < proto->n_initializer; i++)
        SKV_TRY(skv_onnx_declare_initializer(im, g, proto->initializer[i]));
    for (size_t i = 0; i < proto->n_sparse_initializer; i++) {
        const Onnx__SparseTensorProto *sparse = proto->sparse_initializer[i];
        const skive_status status = skv_onnx_declare_sparse(im, g, sparse);
        if (status == SKIVE_ERR_LIMIT && sparse->values && !strstr(skive_context_message(im->ctx), "sparse tensor")) {
            return skv_fail_prefix(im->ctx, status, "sparse initializer %s", skv_onnx_text(sparse->values->name));
        }
        SKV_TRY(status);
    }
    SKV_TRY(declare_inputs(im, g, proto));
    for (size_t i = 0; i < proto->n_node; i++) SKV_TRY(declare_outputs(im, g, proto->node[i]));
    for (size_t i = 0; i < proto->n_value_info; i++) SKV_TRY(declare_type(g, proto->value_info[i]));
    for (size_t i = 0; i < proto->n_output; i++) SKV_TRY(declare_type(g, proto->output[i]));
    return SKIVE_OK;
}

/* ---- second pass: nodes ---- */

#define MAX_PER_NODE   4096 /* inputs or outputs: the graph keeps them in arrays that are searched and copied */
#define MAX_ATTRIBUTES 256

/* Gives `n` its name in the file, with a number if the name is already used. */
static skive_status name_node(skv_onnx_importer *im, scope *s, skive_node *n, const char *wanted) {
    const char *name = *wanted ? wanted : n->name;
    size_t size = strlen(name) + 24;
    char *text;
    SKV_TRY(skv_arena_alloc(s->g->arena, size, &text));
    memcpy(text, name, size - 23);
    for (size_t k = 1;; k++) {
        const skive_node *other = skive_graph_find_node(s->g, text);
        if (!other || other == n) break;
        if (k > im->source->options.max_nodes)
            return SKV_FAIL(im->ctx, SKIVE_ERR_LIMIT, "too many nodes called %s", name);
        (void)snprintf(text, size, "%s_%u", name, s->g->next_name++);
    }
    skv_node_take_name(n, text);
    return SKIVE_OK;
}

/* The value called `name` as seen from `s`; *out is NULL if nothing defines it. */
static skive_status resolve(scope *s, const char *name, skive_value **out) {
    *out = skive_graph_find_value(s->g, name);
    if (*out || !s->outer) return SKIVE_OK;
    skive_value *outer;
    SKV_TRY(resolve(s->outer, name, &outer));
    if (!outer) return SKIVE_OK;
    SKV_TRY(skv_graph_new_value(s->g, name, out));
    (*out)->outer = outer;
    (*out)->type = outer->type;
    return SKIVE_OK;
}

/* Absent optional inputs and outputs at the end are removed. */
static size_t trimmed(char *const *names, size_t n) {
    while (n && !*skv_onnx_text(names[n - 1])) n--;
    return n;
}

static bool is_subgraph(const Onnx__AttributeProto *a) {
    return a->g && (!a->has_type || a->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH ||
                    a->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED);
}

static skive_status set_attributes(skv_onnx_importer *im, scope *s, skive_node *n, const Onnx__NodeProto *proto) {
    for (size_t i = 0; i < proto->n_attribute; i++) {
        const Onnx__AttributeProto *a = proto->attribute[i];
        if (!is_subgraph(a)) {
            SKV_TRY(skv_onnx_set_attribute(im->source, n, a));
            continue;
        }
        skive_graph *sub;
        if (!*skv_onnx_text(a->name) || skv_node_attr(n, a->name)) {
            return skv_fail_at(im->ctx, SKIVE_ERR_FORMAT, n->name,
                               "node %s: subgraph attribute \"%s\" occurs twice or has no name", n->name,
                               skv_onnx_text(a->name));
        }
        SKV_TRY(import_graph(im, s, a->g, &sub));
        skive_status status = skv_node_set_graph_attr(n, a->name, sub);
        if (status != SKIVE_OK) {
            skive_graph_free(sub);
            return status;
        }
    }
    return SKIVE_OK;
}

static skive_status check_operator(skv_onnx_importer *im, const Onnx__NodeProto *proto, const char *name) {
    const char *op = skv_onnx_text(proto->op_type), *domain = skv_onnx_text(proto->domain);
    if (!*op) return skv_fail_at(im->ctx, SKIVE_ERR_FORMAT, name, "node %s has no operator", name);
    if (strcmp(domain, SKV_DOMAIN) == 0) {
        return skv_fail_at(im->ctx, SKIVE_ERR_FORMAT, name,
                           "node %s (%s): operators of domain %s are internal to skive and not allowed in files", name,
                           op, domain);
    }
    if (skv_onnx_standard(domain) && im->opset == 0) {
        return skv_fail_at(
            im->ctx, SKIVE_ERR_FORMAT, name,
            "the model declares no version of the standard operators (opset_import), which node %s (%s) needs", name,
            op);
    }
    return SKIVE_OK;
}

static skive_status import_node(skv_onnx_importer *im, scope *s, const Onnx__NodeProto *proto) {
    const char *name = skv_onnx_text(proto->name), *op = skv_onnx_text(proto->op_type);
    const char *domain = skv_onnx_standard(proto->domain) ? "" : proto->domain;
    size_t n_in = trimmed(proto->input, proto->n_input), n_out = trimmed(proto->output, proto->n_output);
    skive_value **values;
    skive_node *node;
    if (!*name && n_out) name = skv_onnx_text(proto->output[0]); /* used as its name in messages */
    SKV_TRY(check_operator(im, proto, name));
    if (n_in > MAX_PER_NODE || n_out > MAX_PER_NODE || proto->n_attribute > MAX_ATTRIBUTES) {
        return skv_fail_at(im->ctx, SKIVE_ERR_LIMIT, name,
                           "node %s (%s) has more than %d inputs or outputs or %d attributes", name, op, MAX_PER_NODE,
                           MAX_ATTRIBUTES);
    }
    if (skv_arena_bytes(s->g->arena) > im->source->options.max_memory) {
        return skv_fail_at(im->ctx, SKIVE_ERR_LIMIT, name,
                           "the graph without its weights needs more than %zu bytes (option max_memory)",
                           im->source->options.max_memory);
    }
    SKV_TRY(skv_arena_array(im->source->arena, n_in + n_out, sizeof *values, &values));
    for (size_t i = 0; i < n_in; i++) {
        const char *input = skv_onnx_text(proto->input[i]);
        if (!*input) continue;
        SKV_TRY(resolve(s, input, &values[i]));
        if (!values[i]) {
            return skv_fail_at(im->ctx, SKIVE_ERR_GRAPH, name, "node %s (%s): its input %s is not defined anywhere",
                               name, op, input);
        }
    }
    for (size_t i = 0; i < n_out; i++) {
        const char *output = skv_onnx_text(proto->output[i]);
        if (*output) values[n_in + i] = skive_graph_find_value(s->g, output);
    }
    SKV_TRY(skv_graph_new_node(s->g, op, domain, NULL, values, n_in, values + n_in, n_out, &node));
    SKV_TRY(name_node(im, s, node, name));
    return set_attributes(im, s, node, proto);
}

static skive_status import_graph(skv_onnx_importer *im, scope *outer, const Onnx__GraphProto *proto,
                                 skive_graph **out) {
    scope s = {.outer = outer};
    skive_status status;
    *out = NULL;
    SKV_TRY(skive_graph_create(im->ctx, skv_onnx_text(proto->name), &s.g));
    s.g->parent = outer ? outer->g : NULL;
    s.g->opset = im->opset ? im->opset : SKV_ONNX_MAX_OPSET;
    SKV_GO(status, fail, declare_all(im, s.g, proto));
    for (size_t i = 0; i < proto->n_node; i++) {
        if (!is_constant(proto->node[i])) SKV_GO(status, fail, import_node(im, &s, proto->node[i]));
    }
    for (size_t i = 0; i < proto->n_output; i++) {
        const char *name = skv_onnx_text(proto->output[i]->name);
        skive_value *v;
        SKV_GO(status, fail, resolve(&s, name, &v));
        if (!v) {
            status = skv_fail_at(im->ctx, SKIVE_ERR_GRAPH, name, "graph output %s is not defined anywhere", name);
            goto fail;
        }
        SKV_GO(status, fail, skive_graph_add_output(s.g, v));
    }
    *out = s.g;
    return SKIVE_OK;
fail:
    skive_graph_free(s.g);
    return status;
}

/* ---- the model ---- */

#define MAX_ENTRIES    10000 /* they are searched one by one */
#define MAX_IR_VERSION 14

static skive_status read_opset(skv_onnx_importer *im, const Onnx__ModelProto *model) {
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *o = model->opset_import[i];
        if (!skv_onnx_standard(o->domain)) continue;
        if (o->version < SKV_ONNX_MIN_OPSET || o->version > 1000) {
            return SKV_FAIL(
                im->ctx, SKIVE_ERR_UNSUPPORTED,
                "operator set version %lld is not supported (1 to %d are); convert the model to one of these",
                (long long)o->version, SKV_ONNX_MAX_OPSET);
        }
        im->opset = (int)o->version;
    }
    if (im->opset > SKV_ONNX_MAX_OPSET) {
        skv_note(im->ctx, "%s: operator set version %d is newer than %d, the newest known; it is read as %d",
                 im->source->label, im->opset, SKV_ONNX_MAX_OPSET, SKV_ONNX_MAX_OPSET);
    }
    return SKIVE_OK;
}

/* From IR version 4 on an input with an initializer may be given or not. Here it is a parameter, of which methods change
 * the numbers. */
static void tell_defaults(const skv_onnx_importer *im, const Onnx__ModelProto *model) {
    if (im->n_defaults == 0 || !model->has_ir_version || model->ir_version < 4) return;
    if (im->n_defaults == 1)
        skv_note(im->ctx, "%s: '%s', an input with a default value, is a parameter here and no longer an input",
                 im->source->label, im->first_default);
    else
        skv_note(im->ctx, "%s: %zu inputs with default values, such as '%s', are parameters here and no longer inputs",
                 im->source->label, im->n_defaults, im->first_default);
}

skive_status skv_onnx_import(skv_onnx_source *source, Onnx__ModelProto *model, skive_graph **out) {
    skv_onnx_importer im = {.source = source, .ctx = source->ctx};
    skive_graph *g = NULL;
    skive_status status;
    *out = NULL;
    if (!model->graph)
        return skv_fail_at(im.ctx, SKIVE_ERR_FORMAT, source->label, "not an ONNX model: it contains no graph");
    if (model->n_metadata_props > MAX_ENTRIES || model->n_functions > MAX_ENTRIES) {
        return skv_fail_at(im.ctx, SKIVE_ERR_LIMIT, source->label, "more than %d metadata entries or functions",
                           MAX_ENTRIES);
    }
    if (model->has_ir_version && (model->ir_version < 1 || model->ir_version > MAX_IR_VERSION)) {
        return skv_fail_at(im.ctx, SKIVE_ERR_UNSUPPORTED, source->label,
                           "version %lld of the ONNX format (ir_version) is not supported (1 to %d are)",
                           (long long)model->ir_version, MAX_IR_VERSION);
    }
    SKV_TRY(read_opset(&im, model));
    SKV_TRY(skv_onnx_expand_functions(source, model));
    SKV_TRY(import_graph(&im, NULL, model->graph, &g));
    for (size_t i = 0; i < model->n_metadata_props; i++) {
        const Onnx__StringStringEntryProto *e = model->metadata_props[i];
        if (e->key && *e->key && !skv_onnx_is_domain_key(e->key))
            SKV_GO(status, fail, skive_graph_set_meta(g, e->key, skv_onnx_text(e->value)));
    }
    SKV_GO(status, fail, skv_onnx_finish(&im, g));
    SKV_GO(status, fail, skv_onnx_keep_domains(&im, model, g));
    tell_defaults(&im, model);
    *out = g;
    return SKIVE_OK;
fail:
    skive_graph_free(g);
    return status;
}
