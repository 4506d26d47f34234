/* The operators of ai.onnx.ml that are read as standard nodes, against numbers worked out by hand (the scores of two
 * classes from one are those of onnxruntime); attributes that fit nothing are refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <skive/onnx.h>
#include <skive/session.h>
#include <skive/tensor.h>

#include "onnx_bytes.h"
#include "support.h"

enum { MOST = 16, LABELS = 2 }; /* numbers of an output; rows of the input */

typedef struct ml_case {
    const char *op;
    const char *attrs; /* "name=KIND:a,b ...": kinds f, i, s of one, F, I, S of several */
    float x[6];        /* [2][3] */
    int32_t x_type;    /* ONNX's; 0: float32 */
    int rank;          /* of the last output; 0: 2 */
    size_t n;
    float y[MOST];
    bool labelled; /* labels come before the scores */
    double labels[LABELS];
} ml_case;

#define ROWS \
    { 1, -2, 3, 0, 0, 0 }
#define WEIGHTS "coefficients=F:1,2,3,-1,0.5,0.25,0,1,-1 intercepts=F:0.1,0.2,0.3 "
#define SCORES  6.1f, -1.05f, -4.7f, 0.1f, 0.2f, 0.3f
#define ONE_ROW "coefficients=F:1,2,3 intercepts=F:-0.5 classlabels_ints=I:5,7"

/* x[f] <= 0.5 ? node 1 : node 2 */
#define NODES_WITH(t, f, e)                                                                                  \
    "nodes_treeids=I:0,0,0 nodes_nodeids=I:0,1,2 nodes_values=F:0.5,0,0 nodes_modes=S:BRANCH_LEQ,LEAF,LEAF " \
    "nodes_featureids=I:" f ",0,0 nodes_truenodeids=I:" t ",0,0 nodes_falsenodeids=I:" e ",0,0 "
#define STUMP_WITH(t, f, e)                                       \
    NODES_WITH(t, f, e)                                           \
    "target_treeids=I:0,0 target_nodeids=I:1,2 target_ids=I:0,0 " \
    "target_weights=F:0.25,-3 "
#define STUMP       STUMP_WITH("1", "0", "2")
#define CLASS_STUMP NODES_WITH("1", "0", "2") "class_treeids=I:0,0 class_nodeids=I:1,2 "

static const ml_case right[] = {
    {"TreeEnsembleRegressor", STUMP "base_values=F:10", .x = ROWS, .n = 2, .y = {7, 10.25f}},
    {"TreeEnsembleRegressor", STUMP "aggregate_function=s:MAX", .x = ROWS, .x_type = 7, .n = 2, .y = {-3, 0.25f}},
    /* the scores of two classes are onnxruntime's */
    {"TreeEnsembleClassifier", CLASS_STUMP "class_ids=I:0,0 class_weights=F:0.2,0.9 classlabels_int64s=I:5,7",
     .x = ROWS, .n = 4, .y = {0.1f, 0.9f, 0.8f, 0.2f}, .labelled = true, .labels = {7, 5}},
    {"TreeEnsembleClassifier",
     CLASS_STUMP "class_ids=I:0,0 class_weights=F:-0.2,0.9 classlabels_int64s=I:5,7 post_transform=s:LOGISTIC",
     .x = ROWS, .n = 4, .y = {0.28905052f, 0.71094949f, 0.54983401f, 0.45016600f}, .labelled = true, .labels = {7, 5}},
    {"TreeEnsembleClassifier",
     CLASS_STUMP "class_ids=I:2,1 class_weights=F:0.5,1 classlabels_strings=S:a,b,c base_values=F:0.1,0.2,0.3",
     .x = ROWS, .n = 6, .y = {0.1f, 1.2f, 0.3f, 0.1f, 0.2f, 0.8f}, .labelled = true, .labels = {1, 2}},
    {"SVMRegressor", "coefficients=F:1,-1,2 rho=F:0.5", .x = ROWS, .n = 2, .y = {9.5f, 0.5f}},
    {"SVMClassifier",
     "coefficients=F:1,-1 rho=F:0.5 classlabels_ints=I:5,7 vectors_per_class=I:1,1 support_vectors=F:1,0,0,0,1,0",
     .x = ROWS, .n = 4, .y = {-3.5f, 3.5f, -0.5f, 0.5f}, .labelled = true, .labels = {5, 5}},
    {"LabelEncoder", "keys_int64s=I:1,-2 values_floats=F:0.5,4 default_float=f:9", .x = ROWS, .x_type = 7, .n = 6,
     .y = {0.5f, 4, 9, 9, 9, 9}},
    {"Scaler", "offset=F:1,2,3 scale=F:2,4,0.5", .x = ROWS, .n = 6, .y = {0, -16, 0, -2, -8, -1.5f}},
    {"Scaler", "offset=F:1 scale=F:2", .x = ROWS, .n = 6, .y = {0, -6, 4, -2, -2, -2}},
    {"Scaler", "scale=F:2", .x = ROWS, .x_type = 7, .n = 6, .y = {2, -4, 6, 0, 0, 0}},
    {"Normalizer", "", .x = ROWS, .n = 6, .y = {1 / 3.0f, -2 / 3.0f, 1, 0, 0, 0}},
    {"Normalizer", "norm=s:L1", .x = ROWS, .n = 6, .y = {1 / 6.0f, -1 / 3.0f, 0.5f, 0, 0, 0}},
    {"Normalizer", "norm=s:L2", .x = ROWS, .n = 6, .y = {0.26726124f, -0.53452248f, 0.80178373f, 0, 0, 0}},
    {"Binarizer", "threshold=f:1", .x = ROWS, .n = 6, .y = {0, 0, 1, 0, 0, 0}},
    {"Imputer", "imputed_value_floats=F:7,8,9 replaced_value_float=f:0", .x = ROWS, .n = 6, .y = {1, -2, 3, 7, 8, 9}},
    {"Imputer",
     "imputed_value_floats=F:7 replaced_value_float=f:nan",
     {1, NAN, 3, 0, 0, NAN},
     .n = 6,
     .y = {1, 7, 3, 0, 0, 7}},
    {"ArrayFeatureExtractor", "", .x = ROWS, .n = 4, .y = {3, 1, 0, 0}},
    {"OneHotEncoder", "cats_int64s=I:1,3", .x = ROWS, .x_type = 7, .rank = 3, .n = 12, .y = {1, 0, 0, 0, 0, 1}},
    {"LinearClassifier", WEIGHTS "classlabels_ints=I:5,7,9", .x = ROWS, .n = 6, .y = {SCORES}, .labelled = true,
     .labels = {5, 9}},
    {"LinearClassifier", WEIGHTS "classlabels_strings=S:a,b,c", .x = ROWS, .n = 6, .y = {SCORES}, .labelled = true,
     .labels = {0, 2}},
    {"LinearClassifier", ONE_ROW, .x = ROWS, .n = 4, .y = {-4.5f, 5.5f, 1.5f, -0.5f}, .labelled = true,
     .labels = {7, 5}},
    {"LinearClassifier", ONE_ROW " post_transform=s:LOGISTIC", .x = ROWS, .n = 4,
     .y = {0.00407014f, 0.99592986f, 0.62245933f, 0.37754067f}, .labelled = true, .labels = {7, 5}},
    {"LinearClassifier", "coefficients=F:0,0,0,0,0,0 intercepts=F:0,1 classlabels_ints=I:5,7 post_transform=s:SOFTMAX",
     .x = ROWS, .n = 4, .y = {0.26894142f, 0.73105858f, 0.26894142f, 0.73105858f}, .labelled = true, .labels = {7, 7}},
    {"LinearRegressor", "coefficients=F:1,2,3,0,1,-1 intercepts=F:0.5,0 targets=i:2", .x = ROWS, .n = 4,
     .y = {6.5f, -5, 0.5f, 0}},
    {"LinearRegressor", "coefficients=F:1,2,3", .x = ROWS, .n = 2, .y = {6, 0}},
    {"ZipMap", "classlabels_int64s=I:1,2,3", .x = ROWS, .n = 6, .y = {1, -2, 3, 0, 0, 0}},
};

/* What cannot be what it says it is: the file is refused, naming the node. */
static const ml_case broken[] = {
    {"TreeEnsembleRegressor", "", .x = ROWS},
    {"TreeEnsembleRegressor", STUMP_WITH("7", "0", "2"), .x = ROWS},  /* a branch to nowhere */
    {"TreeEnsembleRegressor", STUMP_WITH("0", "0", "2"), .x = ROWS},  /* to itself */
    {"TreeEnsembleRegressor", STUMP_WITH("1", "0", "1"), .x = ROWS},  /* twice to the same */
    {"TreeEnsembleRegressor", STUMP_WITH("1", "-1", "2"), .x = ROWS}, /* a feature below 0 */
    {"TreeEnsembleRegressor", STUMP_WITH("1", "3", "2"), .x = ROWS},  /* one that rows do not have */
    {"TreeEnsembleRegressor", STUMP "base_values=F:1,2", .x = ROWS},
    {"TreeEnsembleRegressor", STUMP "n_targets=i:0", .x = ROWS},
    {"SVMRegressor", "coefficients=F:1,-1 rho=F:0.5", .x = ROWS}, /* rows have three features */
    {"SVMRegressor", "coefficients=F:1,-1,2 rho=F:0.5 n_supports=i:4611686018427387904", .x = ROWS},
    {"SVMClassifier", "coefficients=F:1,-1 rho=F:0.5 classlabels_ints=I:1,2 vectors_per_class=I:1,2", .x = ROWS,
     .labelled = true},
    {"LabelEncoder", "keys_int64s=I:1,2 values_int64s=I:1", .x = ROWS, .x_type = 7},
    {"LabelEncoder", "keys_strings=S:a,b values_int64s=I:1,2", .x = ROWS, .x_type = 7}, /* the input is no text */
    {"OneHotEncoder", "cats_strings=S:a,b", .x = ROWS},
};

/* What has no equivalent, or fits nothing: the node stays, and a session names it. */
static const ml_case wrong[] = {
    {"Scaler", "", .x = ROWS},
    {"Scaler", "offset=F:1,2 scale=F:1", .x = ROWS},
    {"Scaler", "offset=I:1,2,3", .x = ROWS},
    {"Normalizer", "norm=s:L3", .x = ROWS},
    {"Imputer", "imputed_value_int64s=I:7", .x = ROWS, .x_type = 7},
    {"Imputer", "imputed_value_floats=F:7", .x = ROWS, .x_type = 7},
    {"Imputer", "imputed_value_floats=F:7,8", .x = ROWS},
    {"OneHotEncoder", "cats_int64s=I:1 zeros=i:0", .x = ROWS},
    {"LinearClassifier", "classlabels_ints=I:5,7,9", .x = ROWS, .labelled = true},
    {"LinearClassifier", "coefficients=F:1,2,3", .x = ROWS, .labelled = true},
    {"LinearClassifier", "coefficients=F:1,2,3,4 intercepts=F:1,2,3 classlabels_ints=I:5,7,9", .x = ROWS,
     .labelled = true},
    {"LinearClassifier", WEIGHTS "classlabels_ints=I:5,7", .x = ROWS, .labelled = true},
    {"LinearClassifier", WEIGHTS "classlabels_ints=I:5,7,9 post_transform=s:PROBIT", .x = ROWS, .labelled = true},
    {"LinearClassifier", ONE_ROW ",9", .x = ROWS, .labelled = true},
    {"LinearClassifier", ONE_ROW " post_transform=s:SOFTMAX", .x = ROWS, .labelled = true},
    {"LinearRegressor", "coefficients=F:1,2,3 targets=i:0", .x = ROWS},
    {"LinearRegressor", "coefficients=F:1,2,3 targets=i:-1", .x = ROWS},
    {"LinearRegressor", "coefficients=F:1,2,3 targets=i:9223372036854775807", .x = ROWS},
    {"LinearRegressor", "coefficients=F:1,2,3 intercepts=F:1,2", .x = ROWS},
    {"LinearRegressor", "coefficients=F:1,2,3 post_transform=s:LOGISTIC", .x = ROWS},
    {"TreeEnsembleRegressor", STUMP "post_transform=s:LOGISTIC", .x = ROWS},
    {"TreeEnsembleClassifier", CLASS_STUMP "class_ids=I:0,1 class_weights=F:1,1 classlabels_int64s=I:5,7", .x = ROWS,
     .labelled = true},
    {"TreeEnsembleClassifier", CLASS_STUMP "class_ids=I:0,0 class_weights=F:1,1 classlabels_int64s=I:5", .x = ROWS,
     .labelled = true},
    {"TreeEnsembleClassifier",
     CLASS_STUMP "class_ids=I:0,0 class_weights=F:1,1 classlabels_int64s=I:5,7 post_transform=s:SOFTMAX", .x = ROWS,
     .labelled = true},
    {"SVMRegressor", "coefficients=F:1,-1,2 rho=F:0.5 post_transform=s:LOGISTIC", .x = ROWS},
    {"SVMClassifier", "coefficients=F:1,-1,2 rho=F:0.5 classlabels_ints=I:1,2", .x = ROWS, .labelled = true},
    {"CategoryMapper", "cats_strings=S:a,b cats_int64s=I:1", .x = ROWS, .x_type = 7},
    {"Scaler", "scale=F:1", .x = ROWS, .labelled = true}, /* an output too many */
};

/* AttributeProto: 1 name, 2 f, 3 i, 4 s, 7 floats, 8 ints, 9 strings, 20 type. */
static bytes attribute(const char *name, char kind, char *values) {
    static const char kinds[] = "fis..FIS";
    bytes a = {0};
    put_text(&a, 1, name);
    for (char *rest = NULL, *v = strtok_r(values, ",", &rest); v; v = strtok_r(NULL, ",", &rest)) {
        const float f = strtof(v, NULL);
        if (kind == 'f' || kind == 'F') put_varint(&a, (kind == 'f' ? 2u : 7u) << 3 | 5u);
        if (kind == 'f' || kind == 'F') put_number(&a, &f, sizeof f);
        if (kind == 'i' || kind == 'I') put_int(&a, kind == 'i' ? 3 : 8, strtoll(v, NULL, 10));
        if (kind == 's' || kind == 'S') put_text(&a, kind == 's' ? 4 : 9, v);
    }
    put_int(&a, 20, strchr(kinds, kind) - kinds + 1);
    return a;
}

static bytes model_of(const ml_case *c) {
    static const int64_t x_dims[2] = {2, 3}, two = 2, picked[2] = {2, 0}, open[3] = {-1, -1, -1};
    char text[512];
    const bool picks = strcmp(c->op, "ArrayFeatureExtractor") == 0;
    bytes g = {0}, n = make_node("the_node", c->op, picks ? "x k" : "x", c->labelled ? "label y" : "y");
    snprintf(text, sizeof text, "%s", c->attrs);
    for (char *rest = NULL, *one = strtok_r(text, " ", &rest); one; one = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(one, '=');
        *equals = '\0';
        put_message(&n, 5, attribute(one, equals[1], equals + 3));
    }
    put_text(&n, 7, "ai.onnx.ml");
    put_text(&g, 2, "main");
    put_message(&g, 11, make_info("x", c->x_type ? c->x_type : 1, 2, x_dims));
    if (picks) {
        bytes k = make_tensor("k", 7, 1, &two);
        put_numbers(&k, 9, picked, sizeof picked, sizeof picked[0]);
        put_message(&g, 5, k);
    }
    const bool named = strstr(c->attrs, "classlabels_strings") != NULL;
    if (c->labelled) put_message(&g, 12, make_info("label", named ? 8 : 7, 1, open));
    put_message(&g, 12, make_info("y", 1, c->rank ? c->rank : 2, open));
    put_message(&g, 1, n);
    bytes m = make_model(g, 17), o = {0};
    put_text(&o, 1, "ai.onnx.ml");
    put_int(&o, 2, 3);
    put_message(&m, 8, o);
    return m;
}

static void runs(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        const ml_case *c = &right[i];
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skive_session *session = NULL;
        bytes m = model_of(c);
        float x[6];
        int64_t whole[6];
        skive_tensor in = {.dtype = SKIVE_F32, .rank = 2, .dims = {2, 3}, .data = x}, out[2] = {{0}};
        for (int k = 0; k < 6; k++) x[k] = c->x[k];
        for (int k = 0; k < 6 && c->x_type; k++) whole[k] = (int64_t)c->x[k];
        if (c->x_type) in.dtype = SKIVE_I64, in.data = whole;
        skv_test_ok(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &g));
        skv_test_ok(ctx, skive_session_create(ctx, g, NULL, &session));
        skv_test_ok(ctx, skive_session_run(session, &in, 1, out, c->labelled ? 2 : 1));
        const skive_tensor *y = &out[c->labelled];
        assert_int_equal(y->dtype, SKIVE_F32);
        assert_int_equal(skive_tensor_count(y), c->n);
        assert_int_equal(y->rank, c->rank ? c->rank : 2);
        skv_test_floats(y->data, c->y, c->n, 1e-5, 1e-6);
        const bool named = strstr(c->attrs, "classlabels_strings") != NULL; /* a, b, c */
        for (int k = 0; c->labelled && !named && k < LABELS; k++)
            assert_true(skive_tensor_get(&out[0], k) == c->labels[k]);
        for (int k = 0; named && k < LABELS; k++)
            assert_int_equal(skive_tensor_string(&out[0], k)[0], 'a' + (int)c->labels[k]);
        if (named) assert_string_equal(skive_graph_meta(g, "skive.classes"), "a\nb\nc\n");
        skive_tensor_free(ctx, &out[0]);
        skive_tensor_free(ctx, &out[1]);
        skive_session_free(session);
        skive_graph_free(g);
        free(m.data);
        skv_test_context_end(ctx);
    }
}

static void refuses(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skive_session *session = NULL;
        bytes m = model_of(&wrong[i]);
        skv_test_ok(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &g));
        skv_test_fails(ctx, skive_session_create(ctx, g, NULL, &session), SKIVE_ERR_UNSUPPORTED, wrong[i].op);
        skive_graph_free(g);
        free(m.data);
        skv_test_context_end(ctx);
    }
}

static void finds_broken_ones(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        bytes m = model_of(&broken[i]);
        const skive_status status = skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &g);
        if (status != SKIVE_ERR_GRAPH && status != SKIVE_ERR_SHAPE) fail_msg("case %zu: status %d", i, (int)status);
        assert_non_null(strstr(skive_context_message(ctx), "the_node"));
        free(m.data);
        skv_test_context_end(ctx);
    }
}

static skive_status parse(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    bytes *m = user;
    const skive_status status = skive_onnx_parse(ctx, m->data, m->n, NULL, NULL, &g);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        bytes m = model_of(&right[i]);
        assert_true(skv_test_walk_allocations(parse, &m, 5) > 3);
        free(m.data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs),
        cmocka_unit_test(refuses),
        cmocka_unit_test(finds_broken_ones),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
