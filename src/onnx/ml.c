/* Operators of ai.onnx.ml, into which scikit-learn's models are exported, as standard nodes; trees, support vector
 * machines and tables, which have no equivalent, are in ml_models.c. The names of classes that are strings go into the
 * model's metadata too; the maps of ZipMap are given as the tensor of their numbers, which is said. A form without an
 * equivalent, or of which the specification and onnxruntime say different things, is kept and reported as
 * unsupported. */
#include <math.h>
#include <string.h>

#include "graph/meta_keys.h"
#include "onnx/ml.h"
#include "onnx/onnx_import.h"
#include "ops/common_nn.h"
#include "tensor/storage.h"

static skive_value *in(const skv_contrib *r, size_t i) { return skv_node_in(r->n, i); }
static skive_value *one(skv_contrib *r, const char *op, skive_value *x) {
    return skv_emit(&r->b, op, SKV_IN(x), SKV_NONE);
}
static skive_value *two(skv_contrib *r, const char *op, skive_value *x, skive_value *y) {
    return skv_emit(&r->b, op, SKV_IN(x, y), SKV_NONE);
}
skive_value *skv_ml_number(skv_contrib *r, double x) { return skv_emit_scalar(&r->b, SKIVE_F32, x); }

/* The input as float32, which all of these compute with. */
skive_value *skv_ml_real(skv_contrib *r) {
    if (in(r, 0)->type.dtype == SKIVE_F32) return in(r, 0);
    return skv_emit(&r->b, "Cast", SKV_IN(in(r, 0)), SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
}

const double *skv_ml_floats(const skive_node *n, const char *name, size_t *count) {
    const skv_attr *a = skv_node_attr(n, name);
    *count = a && a->floats ? a->n : 0;
    return *count ? a->floats : NULL;
}

/* A float32 constant of `rows` x `columns` numbers (rows 0: a vector), or turned round. */
static skive_value *matrix(skv_contrib *r, const double *x, size_t rows, size_t columns, bool turn) {
    const int64_t dims[2] = {(int64_t)(turn ? columns : rows), (int64_t)(turn ? rows : columns)};
    skv_storage *s = NULL;
    if (r->b.status != SKIVE_OK) return NULL;
    r->b.status = skv_storage_create(r->b.graph->ctx, SKIVE_F32, rows ? 2 : 1, rows ? dims : dims + 1, &s);
    if (r->b.status != SKIVE_OK) return NULL;
    float *y = s->tensor.data;
    for (size_t i = 0; i < (rows ? rows : 1); i++)
        for (size_t j = 0; j < columns; j++) y[turn ? j * rows + i : i * columns + j] = (float)x[i * columns + j];
    return skv_emit_param(&r->b, NULL, s);
}
skive_value *skv_ml_vector(skv_contrib *r, const double *x, size_t n) { return matrix(r, x, 0, n, false); }

/* A constant list of strings. */
skive_value *skv_ml_strings(skv_contrib *r, const char *const *list, size_t n) {
    const int64_t count = (int64_t)n;
    const skive_tensor t = skv_tensor_view(SKIVE_STRING, 1, &count, list);
    skv_storage *s = NULL;
    if (r->b.status != SKIVE_OK) return NULL;
    r->b.status = skv_storage_from_tensor(r->b.graph->ctx, &t, &s);
    return r->b.status == SKIVE_OK ? skv_emit_param(&r->b, NULL, s) : NULL;
}

/* ---- features ---- */

/* One number for all features, or one for each. Other lengths would widen a row of one feature. */
static bool fits(skv_contrib *r, size_t n) {
    const skive_type *t = &in(r, 0)->type;
    if (n <= 1 || t->rank < 1 || t->dims[t->rank - 1].size < 0) return true;
    return t->dims[t->rank - 1].size == (int64_t)n;
}

static void scaler(skv_contrib *r) {
    size_t n_offset, n_scale;
    const double *offset = skv_ml_floats(r->n, "offset", &n_offset), *scale = skv_ml_floats(r->n, "scale", &n_scale);
    if (!fits(r, n_offset) || !fits(r, n_scale) || (!offset && !scale)) return;
    skive_value *x = skv_ml_real(r);
    if (offset) x = two(r, "Sub", x, skv_ml_vector(r, offset, n_offset));
    r->out[0] = scale ? two(r, "Mul", x, skv_ml_vector(r, scale, n_scale)) : x;
}

static void normalizer(skv_contrib *r) {
    const char *norm = skv_attr_string(r->n, "norm", "MAX");
    const char *reduce = strcmp(norm, "MAX") == 0  ? "ReduceMax"
                         : strcmp(norm, "L1") == 0 ? "ReduceL1"
                         : strcmp(norm, "L2") == 0 ? "ReduceL2"
                                                   : NULL;
    if (!reduce) return;
    skive_value *x = skv_ml_real(r), *by = two(r, reduce, x, skv_emit_ints(&r->b, (const int64_t[]){-1}, 1));
    skive_value *empty = two(r, "Equal", by, skv_ml_number(r, 0)); /* a divisor of 0: the row stays */
    r->out[0] = two(r, "Div", x, skv_emit(&r->b, "Where", SKV_IN(empty, skv_ml_number(r, 1), by), SKV_NONE));
}

static void binarizer(skv_contrib *r) {
    const skive_dtype type = in(r, 0)->type.dtype;
    skive_value *over = two(r, "Greater", skv_ml_real(r), skv_ml_number(r, skv_attr_float(r->n, "threshold", 0)));
    r->out[0] =
        skv_emit(&r->b, "Cast", SKV_IN(over), SKV_ATTRS(SKV_INT("to", type == SKIVE_DTYPE_NONE ? SKIVE_F32 : type)));
}

static void imputer(skv_contrib *r) {
    size_t n;
    const double *values = skv_ml_floats(r->n, "imputed_value_floats", &n),
                 replaced = skv_attr_float(r->n, "replaced_value_float", 0);
    const skive_dtype type = in(r, 0)->type.dtype;
    if (!values || !fits(r, n) || (type != SKIVE_DTYPE_NONE && !skv_dtype_is_float(type))) return; /* of integers */
    skive_value *x = skv_ml_real(r),
                *missing = isnan(replaced) ? one(r, "IsNaN", x) : two(r, "Equal", x, skv_ml_number(r, replaced));
    r->out[0] = skv_emit(&r->b, "Where", SKV_IN(missing, skv_ml_vector(r, values, n), x), SKV_NONE);
}

static void array_feature_extractor(skv_contrib *r) {
    const skive_tensor *names = skv_value_tensor(in(r, 0));
    if (names && names->dtype == SKIVE_STRING && names->data)
        skv_ml_keep_names(r, names->data, (size_t)skive_tensor_count(names));
    skive_value *flat =
        skv_emit(&r->b, "Reshape", SKV_IN(in(r, 1), skv_emit_ints(&r->b, (const int64_t[]){-1}, 1)), SKV_NONE);
    /* A vector counts as one row. */
    skive_value *x = in(r, 0);
    if (x->type.rank < 1) return;
    if (x->type.rank == 1) x = two(r, "Unsqueeze", x, skv_emit_ints(&r->b, (const int64_t[]){0}, 1));
    r->out[0] = skv_emit(&r->b, "Gather", SKV_IN(x, flat), SKV_ATTRS(SKV_INT("axis", -1)));
}

/* Each integer or string a row with a 1 at the place of its category. */
static void one_hot_encoder(skv_contrib *r) {
    size_t n;
    const int64_t *categories = skv_attr_ints(r->n, "cats_int64s", &n);
    const skv_attr *names = skv_node_attr(r->n, "cats_strings");
    if (!skv_attr_int(r->n, "zeros", 1)) return;
    if (names && names->strings && names->n) {
        skive_value *text = two(r, "Unsqueeze", in(r, 0), skv_emit_ints(&r->b, (const int64_t[]){-1}, 1));
        skive_value *equal = two(r, "Equal", text, skv_ml_strings(r, names->strings, names->n));
        r->out[0] = skv_emit(&r->b, "Cast", SKV_IN(equal), SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
        return;
    }
    if (!categories) return;
    skive_value *whole = skv_emit(&r->b, "Cast", SKV_IN(in(r, 0)), SKV_ATTRS(SKV_INT("to", SKIVE_I64)));
    skive_value *x = two(r, "Unsqueeze", whole, skv_emit_ints(&r->b, (const int64_t[]){-1}, 1));
    r->out[0] = skv_emit(&r->b, "Cast", SKV_IN(two(r, "Equal", x, skv_emit_ints(&r->b, categories, n))),
                         SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
}

/* ---- classes ---- */

/* Class names become part of the model's metadata, unless it has some. */
void skv_ml_keep_names(skv_contrib *r, const char *const *names, size_t n) {
    skive_graph *g = r->b.graph;
    if (skive_graph_meta(g, SKV_META_CLASSES) || r->b.status != SKIVE_OK) return;
    skv_text t;
    skv_text_init(&t, g->ctx);
    for (size_t i = 0; i < n; i++) {
        skv_text_add_escaped(&t, names[i] ? names[i] : "");
        skv_text_add(&t, "\n");
    }
    r->b.status = t.status == SKIVE_OK ? skive_graph_set_meta(g, SKV_META_CLASSES, t.data) : t.status;
    skv_text_free(&t);
}

size_t skv_ml_class_count(const skive_node *n) {
    const skv_attr *names = skv_node_attr(n, "classlabels_strings");
    size_t ints;
    if (!skv_attr_ints(n, "classlabels_ints", &ints)) (void)skv_attr_ints(n, "classlabels_int64s", &ints);
    return names && names->strings && names->n ? names->n : ints;
}

/* The label of class numbers [n]. */
skive_value *skv_ml_labelled(skv_contrib *r, skive_value *index) {
    const skv_attr *names = skv_node_attr(r->n, "classlabels_strings");
    size_t n;
    const int64_t *ints = skv_attr_ints(r->n, "classlabels_ints", &n);
    if (!ints) ints = skv_attr_ints(r->n, "classlabels_int64s", &n);
    if (names && names->strings && names->n) {
        skv_ml_keep_names(r, names->strings, names->n);
        return two(r, "Gather", skv_ml_strings(r, names->strings, names->n), index);
    }
    return ints ? two(r, "Gather", skv_emit_ints(&r->b, ints, n), index) : index;
}

skive_value *skv_ml_best(skv_contrib *r, skive_value *scores) {
    return skv_emit(&r->b, "ArgMax", SKV_IN(scores), SKV_ATTRS(SKV_INT("axis", 1), SKV_INT("keepdims", 0)));
}

bool skv_ml_is_transform(const char *how) {
    return strcmp(how, "NONE") == 0 || strcmp(how, "LOGISTIC") == 0 || strcmp(how, "SOFTMAX") == 0;
}

skive_value *skv_ml_transformed(skv_contrib *r, const char *how, skive_value *scores) {
    if (strcmp(how, "LOGISTIC") == 0) return one(r, "Sigmoid", scores);
    if (strcmp(how, "SOFTMAX") == 0) return skv_emit(&r->b, "Softmax", SKV_IN(scores), SKV_ATTRS(SKV_INT("axis", 1)));
    return scores;
}

skive_value *skv_ml_beside(skv_contrib *r, skive_value *x, skive_value *y) {
    return skv_emit(&r->b, "Concat", SKV_IN(x, y), SKV_ATTRS(SKV_INT("axis", 1)));
}

/* One score [n][1] decides between two classes: the labels, and as onnxruntime gives them the scores 1 - s and s, or
 * with LOGISTIC their probabilities. */
static void decide(skv_contrib *r, skive_value *score, bool logistic) {
    skive_value *flat = two(r, "Squeeze", score, skv_emit_ints(&r->b, (const int64_t[]){1}, 1));
    skive_value *second = two(r, "Greater", flat, skv_ml_number(r, 0));
    skive_value *both = logistic ? one(r, "Sigmoid", skv_ml_beside(r, one(r, "Neg", score), score))
                                 : skv_ml_beside(r, two(r, "Sub", skv_ml_number(r, 1), score), score);
    r->out[0] = skv_ml_labelled(r, skv_emit(&r->b, "Cast", SKV_IN(second), SKV_ATTRS(SKV_INT("to", SKIVE_I64))));
    r->out[1] = both;
}

static void linear_classifier(skv_contrib *r) {
    size_t n_w, n_b;
    const double *w = skv_ml_floats(r->n, "coefficients", &n_w), *b = skv_ml_floats(r->n, "intercepts", &n_b);
    const size_t classes = skv_ml_class_count(r->n), rows = b ? n_b : classes;
    const char *how = skv_attr_string(r->n, "post_transform", "NONE");
    const bool logistic = strcmp(how, "LOGISTIC") == 0;
    if (!w || rows < 1 || n_w % rows != 0 || !skv_ml_is_transform(how)) return;
    if (rows == 1 ? classes != 2 || strcmp(how, "SOFTMAX") == 0 : rows != classes)
        return; /* one class: own thresholds */
    skive_value *scores = two(r, "MatMul", skv_ml_real(r), matrix(r, w, rows, n_w / rows, true));
    if (b) scores = two(r, "Add", scores, skv_ml_vector(r, b, n_b));
    if (rows == 1) {
        decide(r, scores, logistic);
        return;
    }
    r->out[1] = skv_ml_transformed(r, how, scores);
    r->out[0] = skv_ml_labelled(r, skv_ml_best(r, scores));
}

static void linear_regressor(skv_contrib *r) {
    size_t n_w, n_b;
    const double *w = skv_ml_floats(r->n, "coefficients", &n_w), *b = skv_ml_floats(r->n, "intercepts", &n_b);
    const int64_t targets = skv_attr_int(r->n, "targets", 1);
    const char *how = skv_attr_string(r->n, "post_transform", "NONE");
    /* Of a single target onnxruntime leaves the transform out. */
    if (targets == 1 ? strcmp(how, "NONE") != 0 : !skv_ml_is_transform(how)) return;
    if (!w || targets < 1 || n_w % (size_t)targets != 0 || (b && n_b != (size_t)targets)) return;
    skive_value *y = two(r, "MatMul", skv_ml_real(r), matrix(r, w, (size_t)targets, n_w / (size_t)targets, true));
    r->out[0] = skv_ml_transformed(r, how, b ? two(r, "Add", y, skv_ml_vector(r, b, n_b)) : y);
}

static void zip_map(skv_contrib *r) {
    skv_note(r->b.graph->ctx,
             "node %s: instead of a map for each sample, the output '%s' is a tensor with a column for "
             "each class, as if exported with zipmap=False",
             r->n->name, r->n->n_outputs && r->n->outputs[0] ? r->n->outputs[0]->name : "");
    r->out[0] = one(r, "Identity", in(r, 0));
}

static const struct {
    const char *op;
    uint32_t inputs, outputs;
    void (*rewrite)(skv_contrib *r);
} known[] = {
    {"Scaler", 1, 1, scaler},
    {"Normalizer", 1, 1, normalizer},
    {"Binarizer", 1, 1, binarizer},
    {"Imputer", 1, 1, imputer},
    {"ArrayFeatureExtractor", 2, 1, array_feature_extractor},
    {"OneHotEncoder", 1, 1, one_hot_encoder},
    {"LinearClassifier", 1, 2, linear_classifier},
    {"LinearRegressor", 1, 1, linear_regressor},
    {"ZipMap", 1, 1, zip_map},
    {"TreeEnsemble", 1, 1, skv_ml_tree_ensemble},
    {"TreeEnsembleRegressor", 1, 1, skv_ml_tree_regressor},
    {"TreeEnsembleClassifier", 1, 2, skv_ml_tree_classifier},
    {"SVMRegressor", 1, 1, skv_ml_svm_regressor},
    {"SVMClassifier", 1, 2, skv_ml_svm_classifier},
    {"LabelEncoder", 1, 1, skv_ml_label_encoder},
    {"CategoryMapper", 1, 1, skv_ml_category_mapper},
};

skive_status skv_onnx_import_ml(skive_node *n) {
    for (size_t k = 0; k < SKV_COUNT(known); k++) {
        if (strcmp(known[k].op, n->op_type) != 0 || n->n_outputs > known[k].outputs) continue;
        skv_contrib r = {.b = skv_build(n->graph), .n = n};
        for (uint32_t i = 0; i < known[k].inputs; i++)
            if (!skv_node_in(n, i)) return SKIVE_OK; /* the check of the graph reports it */
        known[k].rewrite(&r);
        if (r.b.status != SKIVE_OK) return skv_fail_prefix(n->graph->ctx, r.b.status, "%s", n->name);
        if (!r.out[0]) n->op = NULL; /* of one with a record, in a form that it does not serve */
        if (!r.out[0]) return SKIVE_OK;
        return skv_contrib_replace(&r, n);
    }
    return SKIVE_OK;
}
