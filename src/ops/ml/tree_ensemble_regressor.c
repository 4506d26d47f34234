/* TreeEnsembleRegressor: decision trees whose leaves give weights for any number of targets. Base values and a
 * post_transform become nodes when a file is read, and TreeEnsembleClassifier is this and the choice of a class. */
#include "ops/ml/common_ml.h"
#include "ops/ml/common_trees.h"

static const skv_attr_spec attrs[] = {
    {"aggregate_function", SKV_ATTR_STRING, SKV_OPTIONAL},
    {"n_targets", SKV_ATTR_INT, SKV_OPTIONAL},
    {"nodes_falsenodeids", SKV_ATTR_INTS, SKV_REQUIRED},
    {"nodes_featureids", SKV_ATTR_INTS, SKV_REQUIRED},
    {"nodes_missing_value_tracks_true", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"nodes_modes", SKV_ATTR_STRINGS, SKV_REQUIRED},
    {"nodes_nodeids", SKV_ATTR_INTS, SKV_REQUIRED},
    {"nodes_treeids", SKV_ATTR_INTS, SKV_REQUIRED},
    {"nodes_truenodeids", SKV_ATTR_INTS, SKV_REQUIRED},
    {"nodes_values", SKV_ATTR_FLOATS, SKV_OPTIONAL},
    {"nodes_values_as_tensor", SKV_ATTR_TENSOR, SKV_OPTIONAL},
    {"target_ids", SKV_ATTR_INTS, SKV_REQUIRED},
    {"target_nodeids", SKV_ATTR_INTS, SKV_REQUIRED},
    {"target_treeids", SKV_ATTR_INTS, SKV_REQUIRED},
    {"target_weights", SKV_ATTR_FLOATS, SKV_OPTIONAL},
    {"target_weights_as_tensor", SKV_ATTR_TENSOR, SKV_OPTIONAL},
};

/* Tree 3: x0 < 1 ? (3, 30) : x1 == 2 ? 5 for target 1 : nothing; tree 8: a leaf alone, (1, -1). */
#define TWO_TREES                                                                                            \
    CASE_INTS("nodes_treeids", 3, 3, 3, 3, 3, 8), CASE_INTS("nodes_nodeids", 0, 7, 2, 3, 4, 0),              \
        CASE_INTS("nodes_featureids", 0, 0, 1, 0, 0, 0), CASE_FLTS("nodes_values", 1, 0, 2, 0, 0, 0),        \
        CASE_STRS("nodes_modes", "BRANCH_LT", "LEAF", "BRANCH_EQ", "LEAF", "LEAF", "LEAF"),                  \
        CASE_INTS("nodes_truenodeids", 7, 0, 3, 0, 0, 0), CASE_INTS("nodes_falsenodeids", 2, 0, 4, 0, 0, 0), \
        CASE_INTS("target_treeids", 3, 3, 3, 8, 8), CASE_INTS("target_nodeids", 7, 3, 7, 0, 0),              \
        CASE_INTS("target_ids", 0, 1, 1, 0, 1), CASE_FLTS("target_weights", 3, 5, 30, 1, -1), CASE_INT("n_targets", 2)

static const skv_op_case cases[] = {
    {.name = "two targets",
     CASE_IN({CASE_F32(3, 2), CASE_VALUES(0, 0, 1, 2, 1, 3)}),
     CASE_ATTRS(TWO_TREES),
     .n_out = 1,
     CASE_EXPECT(4, 29, 1, 4, 1, -1),
     CASE_OUT(3, 2),
     .no_grad = true},
    {.name = "mean, of integers",
     CASE_IN({CASE_TYPED(SKIVE_I64, 2, 2), CASE_VALUES(0, 0, 1, 2)}),
     CASE_ATTRS(TWO_TREES, CASE_STR("aggregate_function", "AVERAGE")),
     .n_out = 1,
     CASE_EXPECT(2, 14.5, 0.5, 2),
     .no_grad = true},
    {.name = "least",
     CASE_IN({CASE_F32(3, 2), CASE_VALUES(0, 0, 1, 2, 1, 3)}),
     CASE_ATTRS(TWO_TREES, CASE_STR("aggregate_function", "MIN")),
     .n_out = 1,
     CASE_EXPECT(1, -1, 1, -1, 1, -1),
     .no_grad = true},
};

const skv_op skv_op_tree_ensemble_regressor = {
    .name = "TreeEnsembleRegressor",
    .domain = SKV_ML_DOMAIN,
    .brief = "decision trees added up, or the mean, least or largest of them, for several targets",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = skv_trees_infer,
    .run = skv_trees_run,
    .cost = skv_trees_cost,
    SKV_LIST(cases),
};
