/* TreeEnsemble: decision trees, of which each gives a weight for one target. A post_transform becomes nodes when a
 * file is read. */
#include <math.h>

#include "ops/ml/common_ml.h"
#include "ops/ml/common_trees.h"

static const skv_attr_spec attrs[] = {
    {"aggregate_function", SKV_ATTR_INT, SKV_OPTIONAL},
    {"leaf_targetids", SKV_ATTR_INTS, SKV_REQUIRED},
    {"leaf_weights", SKV_ATTR_TENSOR, SKV_REQUIRED},
    {"membership_values", SKV_ATTR_TENSOR, SKV_OPTIONAL},
    {"n_targets", SKV_ATTR_INT, SKV_OPTIONAL},
    {"nodes_falseleafs", SKV_ATTR_INTS, SKV_REQUIRED},
    {"nodes_falsenodeids", SKV_ATTR_INTS, SKV_REQUIRED},
    {"nodes_featureids", SKV_ATTR_INTS, SKV_REQUIRED},
    {"nodes_hitrates", SKV_ATTR_TENSOR, SKV_OPTIONAL},
    {"nodes_missing_value_tracks_true", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"nodes_modes", SKV_ATTR_TENSOR, SKV_REQUIRED},
    {"nodes_splits", SKV_ATTR_TENSOR, SKV_REQUIRED},
    {"nodes_trueleafs", SKV_ATTR_INTS, SKV_REQUIRED},
    {"nodes_truenodeids", SKV_ATTR_INTS, SKV_REQUIRED},
    {"post_transform", SKV_ATTR_INT, SKV_OPTIONAL},
    {"tree_roots", SKV_ATTR_INTS, SKV_REQUIRED},
};

/* x0 <= 1 ? (x1 in {2, 5} ? 3 : 7) : 1, and a tree x1 > 4 ? -2 : 0.5 */
#define TWO_TREES                                                                                       \
    CASE_TENSOR("nodes_splits", SKIVE_F32, 1, 0, 4), CASE_TENSOR("nodes_modes", SKIVE_U8, 0, 6, 3),     \
        CASE_TENSOR("membership_values", SKIVE_F32, 2, 5, NAN), CASE_INTS("nodes_featureids", 0, 1, 1), \
        CASE_INTS("nodes_truenodeids", 1, 0, 3), CASE_INTS("nodes_falsenodeids", 2, 1, 4),              \
        CASE_INTS("nodes_trueleafs", 0, 1, 1), CASE_INTS("nodes_falseleafs", 1, 1, 1),                  \
        CASE_TENSOR("leaf_weights", SKIVE_F32, 3, 7, 1, -2, 0.5), CASE_INTS("tree_roots", 0, 2)

static const skv_op_case cases[] = {
    {.name = "sum of two trees, one with a set",
     CASE_IN({CASE_F32(4, 2), CASE_VALUES(1, 2, 1, 5, 0, 4, 2, 2)}),
     CASE_ATTRS(TWO_TREES, CASE_INTS("leaf_targetids", 0, 0, 0, 0, 0)),
     .n_out = 1,
     CASE_EXPECT(3.5, 1, 7.5, 1.5),
     CASE_OUT(4, 1),
     .no_grad = true},
    {.name = "the larger one, two targets, NaN",
     CASE_IN({CASE_F32(3, 2), CASE_VALUES(1, 2, NAN, 5, 0, NAN)}),
     CASE_ATTRS(TWO_TREES, CASE_INTS("leaf_targetids", 0, 1, 0, 0, 1), CASE_INT("n_targets", 2),
                CASE_INT("aggregate_function", 3), CASE_INTS("nodes_missing_value_tracks_true", 0, 0, 1)),
     .n_out = 1,
     CASE_EXPECT(3, 0.5, 1, 0, -2, 7),
     CASE_OUT(3, 2),
     .no_grad = true},
};

const skv_op skv_op_tree_ensemble = {
    .name = "TreeEnsemble",
    .domain = SKV_ML_DOMAIN,
    .brief = "decision trees added up, or the mean, least or largest of them",
    .since = 5,
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
