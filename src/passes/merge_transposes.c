/* Consecutive Transposes and Reshapes become one; a Transpose after an element-wise op of one input is moved before it
 * if there is another Transpose, so that both can be merged. */
#include <string.h>

#include "passes/match.h"

static bool permutation(const skive_node *n, int64_t out[SKIVE_MAX_RANK], int *rank) {
    size_t count;
    const int64_t *perm = skv_attr_ints(n, "perm", &count);
    *rank = perm ? (int)count : n->inputs[0]->type.rank;
    if (*rank < 0 || *rank > SKIVE_MAX_RANK) return false;
    for (int i = 0; i < *rank; i++) out[i] = perm ? perm[i] : *rank - 1 - i;
    return true;
}

static skive_status merge_transposes(const skv_pass_env *env, skive_node *n, size_t *changes) {
    int64_t outer[SKIVE_MAX_RANK], inner[SKIVE_MAX_RANK], both[SKIVE_MAX_RANK];
    int rank, inner_rank;
    const skive_node *before = skv_match(env, n->inputs[0], SKV_OP_TRANSPOSE);
    if (!before || !permutation(n, outer, &rank) || !permutation(before, inner, &inner_rank) || rank != inner_rank)
        return SKIVE_OK;
    for (int i = 0; i < rank; i++) {
        if (outer[i] < 0 || outer[i] >= rank) return SKIVE_OK;
        both[i] = inner[outer[i]];
    }
    SKV_TRY(skv_node_set_attr(n, &SKV_INTS("perm", both, (size_t)rank)));
    ++*changes;
    return skv_node_set_input(n, 0, before->inputs[0]);
}

/* Transpose, element by element, Transpose: the second one moves forward to the first. */
static skive_status move_transpose(const skv_pass_env *env, skive_node *n, size_t *changes) {
    const skive_value *y = n->inputs[0];
    skive_node *op = y ? y->producer : NULL;
    if (!op || !op->op || *op->domain || !skv_pass_hidden(env, y)) return SKIVE_OK;
    const bool unary = (op->op->pointwise && op->op->max_in == 1) || skv_node_is(op, SKV_OP_IDENTITY);
    if (!unary || op->n_outputs != 1) return SKIVE_OK;
    const skive_node *before = skv_match(env, op->inputs[0], SKV_OP_TRANSPOSE);
    if (!before || before->outputs[0]->n_uses != 1) return SKIVE_OK;
    skive_value *x = before->inputs[0];
    int64_t outer[SKIVE_MAX_RANK], inner[SKIVE_MAX_RANK], both[SKIVE_MAX_RANK];
    int rank, inner_rank;
    if (!permutation(n, outer, &rank) || !permutation(before, inner, &inner_rank) || rank != inner_rank)
        return SKIVE_OK;
    for (int i = 0; i < rank; i++) {
        if (outer[i] < 0 || outer[i] >= rank) return SKIVE_OK;
        both[i] = inner[outer[i]];
    }
    SKV_TRY(skv_node_set_attr(n, &SKV_INTS("perm", both, (size_t)rank)));
    SKV_TRY(skv_node_set_input(op, 0, x));
    const skive_dtype dtype = op->outputs[0]->type.dtype;
    op->outputs[0]->type = x->type;
    op->outputs[0]->type.dtype = dtype;
    ++*changes;
    return SKIVE_OK;
}

/* Reshape after Reshape or Flatten: the shape between does not matter, unless the second copies dimensions of it. */
static skive_status merge_reshapes(const skv_pass_env *env, skive_node *n, size_t *changes) {
    const skive_tensor *shape = skv_value_tensor(skv_node_in(n, 1));
    const skive_value *x = n->inputs[0];
    if (!shape || !x || (!skv_match(env, x, SKV_OP_RESHAPE) && !skv_match(env, x, SKV_OP_FLATTEN))) return SKIVE_OK;
    for (int64_t i = 0; i < skive_tensor_count(shape); i++) {
        if (skive_tensor_get(shape, i) == 0) return SKIVE_OK;
    }
    ++*changes;
    return skv_node_set_input(n, 0, x->producer->inputs[0]);
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    (void)g;
    if (skv_node_is(n, SKV_OP_RESHAPE)) return merge_reshapes(env, n, changes);
    if (!skv_node_is(n, SKV_OP_TRANSPOSE)) return SKIVE_OK;
    SKV_TRY(merge_transposes(env, n, changes));
    return move_transpose(env, n, changes);
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_merge_transposes = {
    .name = "merge-transposes",
    .brief = "merges consecutive Transposes and consecutive Reshapes",
    .when = SKV_PASS_CLEAN,
    .run = run,
};
