/* Trees, support vector machines and tables of ai.onnx.ml: operators that stay what they are, without what the nodes
 * around them can do (base values, transforms, the choice of a class), with strings looked up behind them. */
#include <math.h>
#include <string.h>

#include "graph/meta_keys.h"
#include "onnx/ml.h"
#include "onnx/onnx_import.h"
#include "ops/common_nn.h"
#include "ops/ml/common_ml.h"
#include "tensor/storage.h"

/* ---- nodes with records ---- */

typedef struct attr_name {
    const char *from, *to; /* to NULL: the same */
} attr_name;

static skive_status copy_attr(skive_node *n, const skv_attr *a, const char *name) {
    if (a->type == SKV_ATTR_TENSOR) return skv_node_set_tensor_attr(n, name, a->tensor);
    const skv_attr_init init = {.name = name,
                                .type = a->type,
                                .i = a->i,
                                .f = a->f,
                                .s = a->s,
                                .ints = a->ints,
                                .n = a->n,
                                .floats = a->floats,
                                .strings = a->strings};
    return a->type == SKV_ATTR_GRAPH ? SKIVE_OK : skv_node_set_attr(n, &init);
}

static skive_status infer_outputs(skive_context *ctx, skive_node *n) {
    const skive_type *in = &n->inputs[0]->type;
    const skive_tensor *constant = NULL;
    skive_type types[2] = {{.dtype = SKIVE_DTYPE_NONE, .rank = -1}, {.dtype = SKIVE_DTYPE_NONE, .rank = -1}};
    SKV_TRY(skv_op_infer(ctx, n, &in, &constant, types));
    for (uint32_t i = 0; i < n->n_outputs; i++) n->outputs[i]->type = types[i];
    return SKIVE_OK;
}

/* A node `op` of the same input and name, with those attributes of the old one that are in `names` and the ones in
 * `more`; out[n_out] is filled. */
static void again(skv_contrib *r, const char *op, const attr_name *names, size_t n_names, skv_attr_list more,
                  skive_value **out, size_t n_out) {
    skive_graph *g = r->b.graph;
    skive_node *n = NULL;
    skive_value *x = skv_node_in(r->n, 0);
    skive_status *status = &r->b.status;
    for (size_t i = 0; i < n_out && *status == SKIVE_OK; i++) *status = skv_graph_new_value(g, NULL, &out[i]);
    if (*status == SKIVE_OK) *status = skv_graph_new_node(g, op, SKV_ML_DOMAIN, NULL, &x, 1, out, n_out, &n);
    if (*status != SKIVE_OK) return;
    for (size_t i = 0; i < n_names && *status == SKIVE_OK; i++) {
        const skv_attr *a = skv_node_attr(r->n, names[i].from);
        if (a) *status = copy_attr(n, a, names[i].to ? names[i].to : names[i].from);
    }
    for (size_t i = 0; i < more.n && *status == SKIVE_OK; i++) *status = skv_node_set_attr(n, &more.attrs[i]);
    if (*status == SKIVE_OK) skv_node_take_name(n, r->n->name);
    if (*status == SKIVE_OK) *status = infer_outputs(g->ctx, n);
}
#define AGAIN(r, op, names, more, out, n_out) again(r, op, names, SKV_COUNT(names), more, out, n_out)

static void refuse(skv_contrib *r, const char *why) {
    skv_note(r->b.graph->ctx, "node %s (%s): %s; the node cannot be run", r->n->name, r->n->op_type, why);
}

/* Numbers of a list or a tensor; false if they cannot be read. */
static bool doubles(skv_contrib *r, const char *list, const char *tensor, skv_doubles *out) {
    if (r->b.status == SKIVE_OK) r->b.status = skv_ml_attr_doubles(r->b.graph->ctx, r->n, list, tensor, out);
    return r->b.status == SKIVE_OK;
}

static skive_value *plus_base(skv_contrib *r, skive_value *y, size_t targets, bool *fits) {
    skv_doubles base = {0};
    if (!doubles(r, "base_values", "base_values_as_tensor", &base)) return y;
    *fits = base.n == 0 || base.n == targets;
    if (base.n && *fits) y = skv_emit(&r->b, "Add", SKV_IN(y, skv_ml_vector(r, base.p, base.n)), SKV_NONE);
    skv_doubles_free(r->b.graph->ctx, &base);
    return y;
}

/* ---- trees ---- */

static const attr_name plain_trees[] = {
    {"aggregate_function", NULL}, {"leaf_targetids", NULL},   {"leaf_weights", NULL},
    {"membership_values", NULL},  {"n_targets", NULL},        {"nodes_falseleafs", NULL},
    {"nodes_falsenodeids", NULL}, {"nodes_featureids", NULL}, {"nodes_missing_value_tracks_true", NULL},
    {"nodes_modes", NULL},        {"nodes_splits", NULL},     {"nodes_trueleafs", NULL},
    {"nodes_truenodeids", NULL},  {"tree_roots", NULL},
};

void skv_ml_tree_ensemble(skv_contrib *r) {
    static const char *const names[] = {"NONE", "SOFTMAX", "LOGISTIC"};
    const int64_t how = skv_attr_int(r->n, "post_transform", 0);
    if (how < 0 || how > 2) {
        refuse(r, "a post_transform other than NONE, SOFTMAX and LOGISTIC");
        return;
    }
    if (how != 0 && skv_attr_int(r->n, "n_targets", 1) == 1) {
        refuse(r, "a post_transform of a single target, which onnxruntime leaves out");
        return;
    }
    skive_value *y = NULL;
    AGAIN(r, "TreeEnsemble", plain_trees, SKV_NONE, &y, 1);
    r->out[0] = skv_ml_transformed(r, names[how], y);
}

/* Names of TreeEnsembleClassifier and of TreeEnsembleRegressor. */
#define NUMBERED_TREES                                                                                        \
    {"nodes_falsenodeids", NULL}, {"nodes_featureids", NULL}, {"nodes_missing_value_tracks_true", NULL},      \
        {"nodes_modes", NULL}, {"nodes_nodeids", NULL}, {"nodes_treeids", NULL}, {"nodes_truenodeids", NULL}, \
        {"nodes_values", NULL}, {                                                                             \
        "nodes_values_as_tensor", NULL                                                                        \
    }
static const attr_name regressor_trees[] = {
    NUMBERED_TREES,           {"aggregate_function", NULL},       {"n_targets", NULL},
    {"target_ids", NULL},     {"target_nodeids", NULL},           {"target_treeids", NULL},
    {"target_weights", NULL}, {"target_weights_as_tensor", NULL},
};
static const attr_name classifier_trees[] = {
    NUMBERED_TREES,
    {"class_ids", "target_ids"},
    {"class_nodeids", "target_nodeids"},
    {"class_treeids", "target_treeids"},
    {"class_weights", "target_weights"},
    {"class_weights_as_tensor", "target_weights_as_tensor"},
};

void skv_ml_tree_regressor(skv_contrib *r) {
    const int64_t targets = skv_attr_int(r->n, "n_targets", 1);
    const char *how = skv_attr_string(r->n, "post_transform", "NONE");
    bool fits = true;
    if (targets == 1 ? strcmp(how, "NONE") != 0 : !skv_ml_is_transform(how)) {
        refuse(r, "a post_transform of a single target, which onnxruntime leaves out, or SOFTMAX_ZERO or PROBIT");
        return;
    }
    skive_value *y = NULL;
    AGAIN(r, "TreeEnsembleRegressor", regressor_trees, SKV_NONE, &y, 1);
    y = plus_base(r, y, targets > 0 ? (size_t)targets : 0, &fits);
    if (!fits && r->b.status == SKIVE_OK)
        r->b.status = SKV_FAIL(r->b.graph->ctx, SKIVE_ERR_GRAPH, "there is not one of base_values for each target");
    r->out[0] = skv_ml_transformed(r, how, y);
}

/* All weights are for class 0: one score decides between two classes. */
static bool has_one_score(skv_contrib *r) {
    size_t n;
    const int64_t *ids = skv_attr_ints(r->n, "class_ids", &n);
    for (size_t i = 0; i < n; i++)
        if (ids[i] != 0) return false;
    return true;
}

/* As onnxruntime: with weights that are all positive the score is a probability, decided at a half, and otherwise it is
 * decided at 0. */
static void decide(skv_contrib *r, skive_value *score, bool logistic) {
    skv_doubles w = {0};
    bool positive = true;
    if (!doubles(r, "class_weights", "class_weights_as_tensor", &w)) return;
    for (size_t i = 0; i < w.n; i++) positive = positive && w.p[i] >= 0;
    skv_doubles_free(r->b.graph->ctx, &w);
    skive_value *flat =
        skv_emit(&r->b, "Squeeze", SKV_IN(score, skv_emit_ints(&r->b, (const int64_t[]){1}, 1)), SKV_NONE);
    skive_value *second = skv_emit(&r->b, "Greater", SKV_IN(flat, skv_ml_number(r, positive ? 0.5 : 0)), SKV_NONE);
    skive_value *first = positive && !logistic ? skv_emit(&r->b, "Sub", SKV_IN(skv_ml_number(r, 1), score), SKV_NONE)
                                               : skv_emit(&r->b, "Neg", SKV_IN(score), SKV_NONE);
    r->out[1] = skv_ml_transformed(r, logistic ? "LOGISTIC" : "NONE", skv_ml_beside(r, first, score));
    r->out[0] = skv_ml_labelled(r, skv_emit(&r->b, "Cast", SKV_IN(second), SKV_ATTRS(SKV_INT("to", SKIVE_I64))));
}

void skv_ml_tree_classifier(skv_contrib *r) {
    const size_t classes = skv_ml_class_count(r->n);
    const char *how = skv_attr_string(r->n, "post_transform", "NONE");
    const bool single = classes == 2 && has_one_score(r);
    bool fits = true;
    if (classes < 2 || (classes == 2 && !single)) {
        refuse(r, "a single class, or two with scores of their own, to which onnxruntime gives labels 0 and 1");
        return;
    }
    if (!skv_ml_is_transform(how) || (single && strcmp(how, "SOFTMAX") == 0)) {
        refuse(r, "SOFTMAX_ZERO, PROBIT, or SOFTMAX of one score");
        return;
    }
    skive_value *y = NULL;
    AGAIN(r, "TreeEnsembleRegressor", classifier_trees, SKV_ATTRS(SKV_INT("n_targets", single ? 1 : (int64_t)classes)),
          &y, 1);
    y = plus_base(r, y, single ? 1 : classes, &fits);
    if (!fits && r->b.status == SKIVE_OK)
        r->b.status = SKV_FAIL(r->b.graph->ctx, SKIVE_ERR_GRAPH, "there is not one of base_values for each score");
    if (single) {
        decide(r, y, strcmp(how, "LOGISTIC") == 0);
        return;
    }
    r->out[0] = skv_ml_labelled(r, skv_ml_best(r, y));
    r->out[1] = skv_ml_transformed(r, how, y);
}

/* ---- support vector machines ---- */

static const attr_name machine[] = {
    {"classlabels_ints", NULL},
    {"coefficients", NULL},
    {"kernel_params", NULL},
    {"kernel_type", NULL},
    {"n_supports", NULL},
    {"one_class", NULL},
    {"prob_a", NULL},
    {"prob_b", NULL},
    {"rho", NULL},
    {"support_vectors", NULL},
    {"vectors_per_class", NULL},
};

static bool is_plain(skv_contrib *r) {
    const bool plain = strcmp(skv_attr_string(r->n, "post_transform", "NONE"), "NONE") == 0;
    if (!plain) refuse(r, "a post_transform");
    return plain;
}

void skv_ml_svm_regressor(skv_contrib *r) {
    if (is_plain(r)) AGAIN(r, "SVMRegressor", machine, SKV_NONE, &r->out[0], 1);
}

/* 0 .. n - 1 */
static const int64_t *count_up(skv_contrib *r, size_t n) {
    int64_t *numbers = NULL;
    if (r->b.status == SKIVE_OK) r->b.status = skv_arena_array(r->b.graph->arena, n + 1, sizeof *numbers, &numbers);
    for (size_t i = 0; i < n && numbers; i++) numbers[i] = (int64_t)i;
    return numbers;
}

void skv_ml_svm_classifier(skv_contrib *r) {
    const skv_attr *names = skv_node_attr(r->n, "classlabels_strings");
    size_t counts;
    const bool strings = names && names->strings && names->n;
    if (!is_plain(r)) return;
    if (!skv_attr_ints(r->n, "vectors_per_class", &counts)) {
        refuse(r, "without support vectors");
        return;
    }
    const int64_t *labels = strings ? count_up(r, names->n) : NULL;
    const skv_attr_init numbers = SKV_INTS("classlabels_ints", labels, strings ? names->n : 0);
    skive_value *out[2] = {NULL, NULL};
    AGAIN(r, "SVMClassifier", machine, ((skv_attr_list){&numbers, strings ? 1 : 0}), out, 2);
    r->out[0] = strings ? skv_ml_labelled(r, out[0]) : out[0];
    r->out[1] = out[1];
}

/* ---- tables ---- */

static const attr_name table[] = {
    {"default_float", NULL}, {"default_int64", NULL}, {"default_string", NULL}, {"default_tensor", NULL},
    {"keys_floats", NULL},   {"keys_int64s", NULL},   {"keys_strings", NULL},   {"keys_tensor", NULL},
    {"values_floats", NULL}, {"values_int64s", NULL}, {"values_strings", NULL}, {"values_tensor", NULL},
};

/* One list of strings and one of integers, of which the input decides which are the keys. */
static void look_up(skv_contrib *r, const skv_attr *strings, const int64_t *ints, size_t n) {
    static const attr_name defaults[] = {{"default_int64", NULL}, {"default_string", NULL}};
    const bool keys_are_text = skv_node_in(r->n, 0)->type.dtype == SKIVE_STRING;
    if (!strings || !strings->strings || !strings->n || strings->n != n || !ints) {
        refuse(r, "there is not one string for each integer");
        return;
    }
    const skv_attr_init lists[] = {SKV_STRS(keys_are_text ? "keys_strings" : "values_strings", strings->strings, n),
                                   SKV_INTS(keys_are_text ? "values_int64s" : "keys_int64s", ints, n)};
    AGAIN(r, "LabelEncoder", defaults, ((skv_attr_list){lists, 2}), &r->out[0], 1);
}

void skv_ml_label_encoder(skv_contrib *r) {
    const skv_attr *classes = skv_node_attr(r->n, "classes_strings");
    if (skv_node_attr(r->n, SKV_ONNX_DROPPED)) {
        refuse(r, "an attribute that is not supported");
    } else if (classes) { /* version 1 */
        look_up(r, classes, count_up(r, classes->n), classes->n);
    } else {
        AGAIN(r, "LabelEncoder", table, SKV_NONE, &r->out[0], 1);
    }
}

void skv_ml_category_mapper(skv_contrib *r) {
    size_t n;
    const int64_t *ints = skv_attr_ints(r->n, "cats_int64s", &n);
    look_up(r, skv_node_attr(r->n, "cats_strings"), ints, n);
}
