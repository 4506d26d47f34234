/* TreeEnsemble lists inner nodes and leaves by their places; TreeEnsembleRegressor lists all nodes with numbers of
 * their own, and what leaves give as triples of tree, node and target. */
#include "ops/ml/common_trees.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/common_nn.h"
#include "ops/ml/common_ml.h"

/* ---- attributes ---- */

typedef struct reading {
    skive_context *ctx;
    const skive_node *n;
    skv_trees *t;
    size_t count; /* of nodes as listed */
    const int64_t *feature, *on_true, *on_false, *missing;
    skv_doubles split;
} reading;

static skive_status bad(const reading *r, const char *what) {
    return skv_fail_at(r->ctx, SKIVE_ERR_GRAPH, r->n->name, "node '%s' (%s): %s", r->n->name, r->n->op_type, what);
}

/* A list of exactly `count` integers; *out NULL if it may be absent and is. */
static skive_status list(const reading *r, const char *name, size_t count, bool optional, const int64_t **out) {
    size_t n;
    char what[120];
    *out = skv_attr_ints(r->n, name, &n);
    if ((optional && n == 0) || n == count) return SKIVE_OK;
    snprintf(what, sizeof what, "%s has %zu entries instead of %zu", name, n, count);
    return bad(r, what);
}

static skive_status open_trees(reading *r, size_t nodes, size_t leaves, size_t weights, size_t trees) {
    skv_trees *t = r->t;
    if (nodes > INT32_MAX / 2 || leaves > INT32_MAX / 2 || weights > INT32_MAX / 2)
        return bad(r, "more than 2^30 nodes or leaves");
    SKV_TRY(skv_alloc_array(r->ctx, nodes + 1, sizeof *t->nodes, &t->nodes));
    SKV_TRY(skv_alloc_array(r->ctx, leaves + 1, sizeof *t->leaves, &t->leaves));
    SKV_TRY(skv_alloc_array(r->ctx, weights + 1, sizeof *t->targets, &t->targets));
    SKV_TRY(skv_alloc_array(r->ctx, weights + 1, sizeof *t->weights, &t->weights));
    SKV_TRY(skv_alloc_array(r->ctx, trees + 1, sizeof *t->roots, &t->roots));
    t->n_nodes = nodes;
    t->n_leaves = leaves;
    t->n_weights = weights;
    t->n_trees = trees;
    return SKIVE_OK;
}

static skive_status set_feature(const reading *r, skv_tree_node *node, size_t i) {
    if (r->feature[i] < 0 || r->feature[i] >= INT32_MAX) return bad(r, "nodes_featureids out of range");
    node->feature = (int32_t)r->feature[i];
    node->split = r->split.p[i];
    node->missing = r->missing && r->missing[i] != 0;
    if (r->feature[i] >= r->t->n_features) r->t->n_features = r->feature[i] + 1;
    return SKIVE_OK;
}

static skive_status set_target(const reading *r, size_t at, int64_t target, double weight) {
    if (target < 0 || target >= r->t->n_targets) return bad(r, "a target that is not below n_targets");
    r->t->targets[at] = (int32_t)target;
    r->t->weights[at] = weight;
    return SKIVE_OK;
}

/* ---- TreeEnsemble ---- */

/* Sets stand one after the other in membership_values, each ended by a NaN. */
static skive_status read_members(reading *r) {
    skv_trees *t = r->t;
    skv_doubles all = {0};
    size_t at = 0;
    skive_status status = skv_ml_attr_doubles(r->ctx, r->n, NULL, "membership_values", &all);
    if (status == SKIVE_OK) status = skv_alloc_array(r->ctx, all.n + 1, sizeof *t->members, &t->members);
    if (status == SKIVE_OK && all.n) memcpy(t->members, all.p, all.n * sizeof *t->members);
    for (size_t i = 0; i < t->n_nodes && status == SKIVE_OK; i++) {
        skv_tree_node *node = &t->nodes[i];
        if (node->mode != SKV_TREE_MEMBER) continue;
        node->first_member = (int32_t)at;
        while (at < all.n && !isnan(all.p[at])) at++;
        node->n_members = (int32_t)(at - (size_t)node->first_member);
        if (at++ >= all.n) status = bad(r, "membership_values has fewer sets than there are nodes that ask for one");
    }
    if (status == SKIVE_OK && (at != all.n || all.n > INT32_MAX))
        status = bad(r, "membership_values has more sets than nodes");
    skv_doubles_free(r->ctx, &all);
    return status;
}

static skive_status child_of(const reading *r, int64_t at, int64_t is_leaf, uint8_t *parents, int32_t *out) {
    const skv_trees *t = r->t;
    if (at < 0 || (uint64_t)at >= (is_leaf ? t->n_leaves : t->n_nodes)) return bad(r, "a branch that leads nowhere");
    if (!is_leaf && parents[at]++) return bad(r, "a node with two parents");
    *out = is_leaf ? ~(int32_t)at : (int32_t)at;
    return SKIVE_OK;
}

static skive_status read_plain_nodes(reading *r, const skv_doubles *mode, const int64_t *const leaf[2],
                                     uint8_t *parents) {
    size_t trees;
    const int64_t *roots = skv_attr_ints(r->n, "tree_roots", &trees);
    for (size_t i = 0; i < r->count; i++) {
        skv_tree_node *node = &r->t->nodes[i];
        if (!(mode->p[i] >= 0 && mode->p[i] <= SKV_TREE_MEMBER)) return bad(r, "nodes_modes are 0 to 6");
        node->mode = (uint8_t)mode->p[i];
        SKV_TRY(set_feature(r, node, i));
        SKV_TRY(child_of(r, r->on_false[i], leaf[0][i], parents, &node->child[0]));
        SKV_TRY(child_of(r, r->on_true[i], leaf[1][i], parents, &node->child[1]));
    }
    for (size_t k = 0; k < trees; k++) SKV_TRY(child_of(r, roots[k], 0, parents, &r->t->roots[k]));
    return read_members(r);
}

static skive_status read_plain(reading *r) {
    skv_doubles weight = {0}, mode = {0};
    const int64_t *target = NULL, *leaf[2] = {NULL, NULL};
    uint8_t *parents = NULL;
    size_t trees;
    skive_status status;
    (void)skv_attr_ints(r->n, "tree_roots", &trees);
    r->t->n_targets = skv_attr_int(r->n, "n_targets", 1);
    const int64_t aggregate = skv_attr_int(r->n, "aggregate_function", SKV_TREES_SUM);
    if (aggregate < SKV_TREES_AVERAGE || aggregate > SKV_TREES_MAX) return bad(r, "aggregate_function is 0 to 3");
    r->t->aggregate = (skv_tree_aggregate)aggregate;
    if (skv_attr_int(r->n, "post_transform", 0) != 0) return bad(r, "a post_transform");
    SKV_GO(status, done, skv_ml_attr_doubles(r->ctx, r->n, NULL, "nodes_splits", &r->split));
    SKV_GO(status, done, skv_ml_attr_doubles(r->ctx, r->n, NULL, "nodes_modes", &mode));
    SKV_GO(status, done, skv_ml_attr_doubles(r->ctx, r->n, NULL, "leaf_weights", &weight));
    r->count = r->split.n;
    if (mode.n != r->count) SKV_GO(status, done, bad(r, "nodes_modes and nodes_splits differ in length"));
    SKV_GO(status, done, list(r, "nodes_featureids", r->count, false, &r->feature));
    SKV_GO(status, done, list(r, "nodes_truenodeids", r->count, false, &r->on_true));
    SKV_GO(status, done, list(r, "nodes_falsenodeids", r->count, false, &r->on_false));
    SKV_GO(status, done, list(r, "nodes_falseleafs", r->count, false, &leaf[0]));
    SKV_GO(status, done, list(r, "nodes_trueleafs", r->count, false, &leaf[1]));
    SKV_GO(status, done, list(r, "nodes_missing_value_tracks_true", r->count, true, &r->missing));
    SKV_GO(status, done, list(r, "leaf_targetids", weight.n, false, &target));
    SKV_GO(status, done, open_trees(r, r->count, weight.n, weight.n, trees));
    for (size_t i = 0; i < weight.n; i++) {
        r->t->leaves[i] = (skv_tree_leaf){(int32_t)i, 1};
        SKV_GO(status, done, set_target(r, i, target[i], weight.p[i]));
    }
    SKV_GO(status, done, skv_alloc_array(r->ctx, r->count + 1, 1, &parents));
    status = read_plain_nodes(r, &mode, leaf, parents);
done:
    skv_free(r->ctx, parents);
    skv_doubles_free(r->ctx, &weight);
    skv_doubles_free(r->ctx, &mode);
    return status;
}

/* ---- TreeEnsembleRegressor ---- */

typedef struct place { /* of a listed node */
    int64_t tree, node;
    size_t at;
} place;

static int by_number(const void *a, const void *b) {
    const place *x = a, *y = b;
    if (x->tree != y->tree) return x->tree < y->tree ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

static skive_status modes_of(const reading *r, uint8_t *mode) {
    static const char *const names[] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE",
                                        "BRANCH_GT",  "BRANCH_EQ", "BRANCH_NEQ"};
    const skv_attr *a = skv_node_attr(r->n, "nodes_modes");
    if (!a || a->type != SKV_ATTR_STRINGS || a->n != r->count) return bad(r, "nodes_modes has not one entry a node");
    for (size_t i = 0; i < r->count; i++) {
        size_t k = 0;
        while (k < SKV_COUNT(names) && strcmp(names[k], a->strings[i]) != 0) k++;
        if (k == SKV_COUNT(names) && strcmp(a->strings[i], "LEAF") != 0)
            return bad(r, "nodes_modes has an unknown mode");
        mode[i] = (uint8_t)(k < SKV_COUNT(names) ? k : SKV_TREE_LEAF);
    }
    return SKIVE_OK;
}

/* What is worked out of the listed nodes. */
typedef struct numbering {
    place *order; /* by tree and number */
    uint8_t *mode, *parents;
    int32_t *index;   /* of the listed node: a node, or ~ a leaf */
    int32_t *leaf_of; /* [weights] */
} numbering;

static const place *find(const reading *r, const numbering *w, int64_t tree, int64_t node) {
    const place key = {tree, node, 0};
    return bsearch(&key, w->order, r->count, sizeof key, by_number);
}

static skive_status number_nodes(const reading *r, const int64_t *tree, const int64_t *node, numbering *w,
                                 size_t *inner) {
    SKV_TRY(modes_of(r, w->mode));
    size_t leaves = *inner = 0;
    for (size_t i = 0; i < r->count; i++) {
        w->order[i] = (place){tree[i], node[i], i};
        w->index[i] = w->mode[i] == SKV_TREE_LEAF ? ~(int32_t)leaves++ : (int32_t)(*inner)++;
    }
    qsort(w->order, r->count, sizeof *w->order, by_number);
    for (size_t i = 1; i < r->count; i++)
        if (by_number(&w->order[i - 1], &w->order[i]) == 0) return bad(r, "two nodes of a tree have the same number");
    return SKIVE_OK;
}

static skive_status link_nodes(const reading *r, const int64_t *tree, numbering *w) {
    for (size_t i = 0; i < r->count; i++) {
        if (w->index[i] < 0) continue;
        skv_tree_node *node = &r->t->nodes[w->index[i]];
        node->mode = w->mode[i];
        SKV_TRY(set_feature(r, node, i));
        for (int side = 0; side < 2; side++) {
            const place *p = find(r, w, tree[i], side ? r->on_true[i] : r->on_false[i]);
            if (!p) return bad(r, "a branch that leads nowhere");
            if (w->parents[p->at]++) return bad(r, "a node with two parents");
            node->child[side] = w->index[p->at];
        }
    }
    return SKIVE_OK;
}

/* The node of each tree that is no one's child, in the order of the list. */
static skive_status find_roots(const reading *r, const numbering *w, size_t trees) {
    size_t roots = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (w->parents[i]) continue;
        if (roots == trees) return bad(r, "a tree with two roots");
        r->t->roots[roots++] = w->index[i];
    }
    return roots == trees ? SKIVE_OK : bad(r, "a tree without a root");
}

/* Weights in the order of their leaves; of one leaf, in the order of the list. */
static skive_status give_weights(const reading *r, numbering *w, const skv_doubles *weight) {
    const int64_t *tree, *node, *target;
    skv_trees *t = r->t;
    SKV_TRY(list(r, "target_treeids", weight->n, false, &tree));
    SKV_TRY(list(r, "target_nodeids", weight->n, false, &node));
    SKV_TRY(list(r, "target_ids", weight->n, false, &target));
    for (size_t i = 0; i < weight->n; i++) {
        const place *p = find(r, w, tree[i], node[i]);
        if (!p || w->index[p->at] >= 0) return bad(r, "a weight of what is no leaf");
        w->leaf_of[i] = ~w->index[p->at];
        t->leaves[w->leaf_of[i]].n++;
    }
    for (size_t k = 0, at = 0; k < t->n_leaves; k++) {
        t->leaves[k].first = (int32_t)at;
        at += (size_t)t->leaves[k].n;
        t->leaves[k].n = 0;
    }
    for (size_t i = 0; i < weight->n; i++) {
        skv_tree_leaf *leaf = &t->leaves[w->leaf_of[i]];
        SKV_TRY(set_target(r, (size_t)leaf->first + (size_t)leaf->n++, target[i], weight->p[i]));
    }
    return SKIVE_OK;
}

static skive_status read_numbered_nodes(reading *r, const skv_doubles *weight, numbering *w) {
    const int64_t *tree, *node;
    size_t trees = 0, inner;
    SKV_TRY(list(r, "nodes_treeids", r->count, false, &tree));
    SKV_TRY(list(r, "nodes_nodeids", r->count, false, &node));
    SKV_TRY(list(r, "nodes_featureids", r->count, false, &r->feature));
    SKV_TRY(list(r, "nodes_truenodeids", r->count, false, &r->on_true));
    SKV_TRY(list(r, "nodes_falsenodeids", r->count, false, &r->on_false));
    SKV_TRY(list(r, "nodes_missing_value_tracks_true", r->count, true, &r->missing));
    SKV_TRY(skv_alloc_array(r->ctx, r->count + 1, sizeof *w->order, &w->order));
    SKV_TRY(skv_alloc_array(r->ctx, r->count + 1, sizeof *w->index, &w->index));
    SKV_TRY(skv_alloc_array(r->ctx, r->count + 1, 1, &w->mode));
    SKV_TRY(skv_alloc_array(r->ctx, r->count + 1, 1, &w->parents));
    SKV_TRY(skv_alloc_array(r->ctx, weight->n + 1, sizeof *w->leaf_of, &w->leaf_of));
    SKV_TRY(number_nodes(r, tree, node, w, &inner));
    for (size_t i = 0; i < r->count; i++) trees += i == 0 || w->order[i].tree != w->order[i - 1].tree;
    SKV_TRY(open_trees(r, inner, r->count - inner, weight->n, trees));
    SKV_TRY(link_nodes(r, tree, w));
    SKV_TRY(find_roots(r, w, trees));
    return give_weights(r, w, weight);
}

static skive_status read_numbered(reading *r) {
    static const char *const names[] = {"AVERAGE", "SUM", "MIN", "MAX"};
    const char *aggregate = skv_attr_string(r->n, "aggregate_function", "SUM");
    skv_doubles weight = {0};
    numbering w = {0};
    size_t k = 0;
    while (k < SKV_COUNT(names) && strcmp(names[k], aggregate) != 0) k++;
    if (k == SKV_COUNT(names)) return bad(r, "aggregate_function is none of AVERAGE, SUM, MIN and MAX");
    r->t->aggregate = (skv_tree_aggregate)k;
    r->t->n_targets = skv_attr_int(r->n, "n_targets", 1);
    skive_status status = skv_ml_attr_doubles(r->ctx, r->n, "nodes_values", "nodes_values_as_tensor", &r->split);
    if (status == SKIVE_OK)
        status = skv_ml_attr_doubles(r->ctx, r->n, "target_weights", "target_weights_as_tensor", &weight);
    r->count = r->split.n;
    if (status == SKIVE_OK) status = read_numbered_nodes(r, &weight, &w);
    skv_free(r->ctx, w.order);
    skv_free(r->ctx, w.index);
    skv_free(r->ctx, w.mode);
    skv_free(r->ctx, w.parents);
    skv_free(r->ctx, w.leaf_of);
    skv_doubles_free(r->ctx, &weight);
    return status;
}

/* ---- both ---- */

/* A node has one parent and a root none, so that a walk from a root ends; nodes that no root leads to are a loop of
 * their own. */
static skive_status reach_all(const reading *r) {
    const skv_trees *t = r->t;
    int32_t *stack;
    SKV_TRY(skv_alloc_array(r->ctx, t->n_nodes + t->n_trees + 1, sizeof *stack, &stack));
    size_t n = 0, reached = 0;
    for (size_t k = 0; k < t->n_trees; k++)
        if (t->roots[k] >= 0) stack[n++] = t->roots[k];
    while (n > 0) {
        const skv_tree_node *node = &t->nodes[stack[--n]];
        reached++;
        for (int side = 0; side < 2; side++)
            if (node->child[side] >= 0) stack[n++] = node->child[side];
    }
    skv_free(r->ctx, stack);
    return reached == t->n_nodes ? SKIVE_OK : bad(r, "nodes that no tree leads to");
}

skive_status skv_trees_read(skive_context *ctx, const skive_node *n, skv_trees *t) {
    reading r = {.ctx = ctx, .n = n, .t = t};
    *t = (skv_trees){0};
    skive_status status = skv_node_is(n, SKV_OP_TREE_ENSEMBLE) ? read_plain(&r) : read_numbered(&r);
    if (status == SKIVE_OK && (t->n_targets < 1 || t->n_targets > INT32_MAX))
        status = bad(&r, "n_targets out of range");
    if (status == SKIVE_OK && t->n_trees == 0) status = bad(&r, "no trees");
    if (status == SKIVE_OK) status = reach_all(&r);
    skv_doubles_free(ctx, &r.split);
    if (status != SKIVE_OK) skv_trees_free(ctx, t);
    return status;
}

void skv_trees_free(skive_context *ctx, skv_trees *t) {
    skv_free(ctx, t->roots);
    skv_free(ctx, t->nodes);
    skv_free(ctx, t->leaves);
    skv_free(ctx, t->targets);
    skv_free(ctx, t->weights);
    skv_free(ctx, t->members);
    *t = (skv_trees){0};
}

static bool is_member(const skv_trees *t, const skv_tree_node *n, double x) {
    for (int32_t i = 0; i < n->n_members; i++)
        if (t->members[n->first_member + i] == x) return true;
    return false;
}

static bool branch(const skv_trees *t, const skv_tree_node *n, double x) {
    if (isnan(x) && n->missing) return true;
    switch ((skv_tree_mode)n->mode) {
    case SKV_TREE_LEQ: return x <= n->split;
    case SKV_TREE_LT: return x < n->split;
    case SKV_TREE_GTE: return x >= n->split;
    case SKV_TREE_GT: return x > n->split;
    case SKV_TREE_EQ: return x == n->split;
    case SKV_TREE_NEQ: return x != n->split;
    case SKV_TREE_MEMBER: return is_member(t, n, x);
    case SKV_TREE_LEAF: break;
    }
    return false;
}

void skv_trees_add(const skv_trees *t, int32_t leaf, double *y, bool *seen) {
    const skv_tree_leaf *l = &t->leaves[leaf];
    for (int32_t i = l->first; i < l->first + l->n; i++) {
        const int32_t k = t->targets[i];
        const double v = t->weights[i];
        if (t->aggregate <= SKV_TREES_SUM) {
            y[k] += v;
        } else if (!seen[k] || (t->aggregate == SKV_TREES_MIN ? v < y[k] : v > y[k])) {
            y[k] = v;
            seen[k] = true;
        }
    }
}

void skv_trees_row(const skv_trees *t, const double *x, double *y, bool *seen) {
    memset(y, 0, (size_t)t->n_targets * sizeof *y);
    memset(seen, 0, (size_t)t->n_targets);
    for (size_t k = 0; k < t->n_trees; k++) {
        int32_t at = t->roots[k];
        while (at >= 0) at = t->nodes[at].child[branch(t, &t->nodes[at], x[t->nodes[at].feature])];
        skv_trees_add(t, ~at, y, seen);
    }
    if (t->aggregate == SKV_TREES_AVERAGE)
        for (int64_t k = 0; k < t->n_targets; k++) y[k] /= (double)t->n_trees;
}

/* ---- for the records ---- */

static bool keeps_type(const skive_node *n) { return skv_node_is(n, SKV_OP_TREE_ENSEMBLE); }

skive_status skv_trees_infer(skv_infer *c) {
    skv_trees t;
    SKV_TRY(skv_want_rank(c, 0, 2, 2));
    if (keeps_type(c->node)) SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_trees_read(c->ctx, c->node, &t));
    const int64_t width = skv_in_dim(c, 0, 1), features = t.n_features, targets = t.n_targets;
    skv_trees_free(c->ctx, &t);
    if (width >= 0 && width < features)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the trees ask for feature %lld, but rows have %lld",
                              c->node->name, (long long)(features - 1), (long long)width);
    const skive_type *x = skv_in_type(c, 0);
    c->out[0].dtype = keeps_type(c->node) ? x->dtype : SKIVE_F32;
    if (x->rank < 0) return SKIVE_OK;
    c->out[0].rank = 2;
    c->out[0].dims[0] = x->dims[0];
    c->out[0].dims[1] = skv_dim_of(targets);
    return SKIVE_OK;
}

skive_status skv_trees_run(const skv_eval *c) {
    skv_trees t;
    skv_doubles x = {0};
    skv_result y = {0};
    bool *seen = NULL;
    skive_status status;
    SKV_TRY(skv_trees_read(c->ctx, c->node, &t));
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[0], &x));
    SKV_GO(status, done, skv_result_open(c->ctx, c->out[0], &y));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)t.n_targets, sizeof *seen, &seen));
    for (int64_t i = 0; i < c->in[0]->dims[0]; i++)
        skv_trees_row(&t, x.p + i * c->in[0]->dims[1], y.p + i * t.n_targets, seen);
    skv_result_store(&y);
done:
    skv_result_free(c->ctx, &y);
    skv_doubles_free(c->ctx, &x);
    skv_free(c->ctx, seen);
    skv_trees_free(c->ctx, &t);
    return status;
}

/* A comparison for each level of each tree, as if the trees were balanced. */
void skv_trees_cost(const skive_node *n, skive_cost *cost) {
    skv_trees t;
    const skive_type *x = n->n_inputs && n->inputs[0] ? &n->inputs[0]->type : NULL;
    if (!x || x->rank != 2 || x->dims[0].size < 0) return;
    if (skv_trees_read(n->graph->ctx, n, &t) != SKIVE_OK) return;
    const double levels = log2((double)t.n_leaves / (double)t.n_trees + 1);
    const int64_t steps = skv_mul_sat((int64_t)t.n_trees, (int64_t)levels + 1);
    cost->operations = skv_add_sat(cost->operations, skv_mul_sat(x->dims[0].size, steps));
    skv_trees_free(n->graph->ctx, &t);
}
