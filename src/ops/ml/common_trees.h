/* Ensembles of decision trees as ai.onnx.ml writes them: the trees of both operators in one form, checked, and the
 * walk that defines their results. */
#ifndef SKV_OPS_COMMON_TREES_H
#define SKV_OPS_COMMON_TREES_H

#include "graph/op.h"

/* The numbers of TreeEnsemble. */
typedef enum skv_tree_mode {
    SKV_TREE_LEQ,
    SKV_TREE_LT,
    SKV_TREE_GTE,
    SKV_TREE_GT,
    SKV_TREE_EQ,
    SKV_TREE_NEQ,
    SKV_TREE_MEMBER,
    SKV_TREE_LEAF /* of TreeEnsembleRegressor */
} skv_tree_mode;
typedef enum skv_tree_aggregate { SKV_TREES_AVERAGE, SKV_TREES_SUM, SKV_TREES_MIN, SKV_TREES_MAX } skv_tree_aggregate;

typedef struct skv_tree_node {
    double split;
    int32_t feature;
    int32_t child[2]; /* false, true: a node, or ~ the number of a leaf */
    uint8_t mode;
    bool missing;                    /* NaN counts as true */
    int32_t first_member, n_members; /* of a set */
} skv_tree_node;
typedef struct skv_tree_leaf {
    int32_t first, n; /* what it gives: targets[first ..], weights[first ..] */
} skv_tree_leaf;

typedef struct skv_trees {
    size_t n_trees, n_nodes, n_leaves, n_weights;
    int32_t *roots; /* as `child` */
    skv_tree_node *nodes;
    skv_tree_leaf *leaves;
    int32_t *targets;
    double *weights, *members;
    int64_t n_targets, n_features; /* n_features: 1 + the largest one that is asked for */
    skv_tree_aggregate aggregate;
} skv_trees;

/* The trees of a TreeEnsemble or TreeEnsembleRegressor. ERR_GRAPH naming the node if its attributes do not make trees:
 * lists of different lengths, numbers out of range, a node with two parents. */
skive_status skv_trees_read(skive_context *ctx, const skive_node *n, skv_trees *t);
void skv_trees_free(skive_context *ctx, skv_trees *t); /* a zeroed struct is accepted */
/* One row: y[n_targets] from x[n_features or more]. Trees are added in their order. `seen` [n_targets] is scratch. */
void skv_trees_row(const skv_trees *t, const double *x, double *y, bool *seen);
/* Adds a leaf to what the trees before it gave. */
void skv_trees_add(const skv_trees *t, int32_t leaf, double *y, bool *seen);

/* For both records. */
skive_status skv_trees_infer(skv_infer *c);
skive_status skv_trees_run(const skv_eval *c);
void skv_trees_cost(const skive_node *n, skive_cost *cost);

#endif
