/* Einsum of two float32 operands of known shape becomes a matrix product: axes that both have and the result keeps are
 * batches, those that the result does not have are summed over, the others are rows and columns. Operands are
 * transposed and reshaped into that order where they do not stand in it, and so is the result. An axis that one operand
 * alone has and the result does not, an axis twice in an operand, and sizes that broadcast are left to Einsum. */
#include "ops/common_shape.h"
#include "ops/matrix/common_einsum.h"
#include "passes/match.h"
#include "passes/pass.h"

enum { BATCH, ROW, COLUMN, SUM, KINDS };

typedef struct product {
    skv_einsum e;
    int64_t size[SKV_EINSUM_LABELS];
    int kind[SKV_EINSUM_LABELS], place[2][SKV_EINSUM_LABELS]; /* place: of a label in an operand, or -1 */
    int list[KINDS][SKV_EINSUM_LABELS], n[KINDS];             /* the labels of each kind */
    int64_t count[KINDS];
} product;

/* In the result's order; what is summed over in that of the first operand. */
static bool sort_labels(product *p) {
    bool kept[SKV_EINSUM_LABELS] = {false};
    for (int i = 0; i < p->e.n_out; i++) {
        const int l = p->e.out[i];
        if (kept[l]) return false;
        kept[l] = true;
    }
    for (int k = 0; k < KINDS; k++) p->count[k] = 1;
    for (int i = 0; i < p->e.n_out + p->e.rank[0]; i++) {
        const bool result = i < p->e.n_out;
        const int l = result ? p->e.out[i] : p->e.term[0][i - p->e.n_out];
        const bool a = p->place[0][l] >= 0, b = p->place[1][l] >= 0;
        if (!result && kept[l]) continue;
        if (!a && !b) return false;
        if (!result && !b) return false; /* one operand's sum */
        const int kind = !result ? SUM : a && b ? BATCH : a ? ROW : COLUMN;
        p->list[kind][p->n[kind]++] = l;
        p->count[kind] *= p->size[l];
    }
    for (int i = 0; i < p->e.rank[1]; i++) {
        const int l = p->e.term[1][i];
        if (!kept[l] && p->place[0][l] < 0) return false;
    }
    return true;
}

static bool read_product(const skive_node *n, product *p) {
    int ranks[2];
    if (n->n_inputs != 2 || !n->inputs[0] || !n->inputs[1]) return false;
    for (int t = 0; t < 2; t++) {
        const skive_type *x = &n->inputs[t]->type;
        if (x->dtype != SKIVE_F32 || !skv_type_is_static(x) || skv_type_count(x) < 1) return false;
        ranks[t] = x->rank;
    }
    *p = (product){0};
    if (skv_einsum_parse(skv_attr_string(n, "equation", ""), 2, ranks, &p->e)) return false;
    for (int l = 0; l < SKV_EINSUM_LABELS; l++) p->place[0][l] = p->place[1][l] = -1;
    for (int t = 0; t < 2; t++) {
        for (int d = 0; d < ranks[t]; d++) {
            const int l = p->e.term[t][d];
            const int64_t size = n->inputs[t]->type.dims[d].size;
            if (p->place[t][l] >= 0 || (p->size[l] && p->size[l] != size)) return false;
            p->place[t][l] = d;
            p->size[l] = size;
        }
    }
    return sort_labels(p);
}

static skive_value *transposed(skv_builder *b, skive_value *x, const int64_t *perm, int n) {
    bool moved = false;
    for (int i = 0; i < n; i++) moved = moved || perm[i] != i;
    return moved ? skv_emit(b, "Transpose", SKV_IN(x), SKV_ATTRS(SKV_INTS("perm", perm, (size_t)n))) : x;
}

static skive_value *reshaped(skv_builder *b, skive_value *x, int rank, const int64_t *dims, int n) {
    if (rank == n && n > 0) return x; /* each kind is one axis */
    return skv_emit(b, "Reshape", SKV_IN(x, skv_emit_ints(b, dims, (size_t)n)), SKV_NONE);
}

/* Operand t as [batch, first, second]. */
static skive_value *operand(skv_builder *b, const product *p, const skive_node *n, int t, int first, int second) {
    const int kinds[3] = {BATCH, first, second};
    int64_t perm[SKIVE_MAX_RANK] = {0}, dims[3];
    int rank = 0, axes = 0;
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < p->n[kinds[k]]; i++) perm[rank++] = p->place[t][p->list[kinds[k]][i]];
        if (k > 0 || p->n[BATCH]) dims[axes++] = p->count[kinds[k]];
    }
    skive_value *x = transposed(b, n->inputs[t], perm, rank);
    const bool single = p->n[BATCH] <= 1 && p->n[first] == 1 && p->n[second] == 1;
    return reshaped(b, x, single ? axes : -1, dims, axes);
}

/* [batch, rows, columns] to the axes of the result in its order. */
static skive_value *result(skv_builder *b, const product *p, skive_value *y) {
    const int kinds[3] = {BATCH, ROW, COLUMN};
    int64_t dims[SKIVE_MAX_RANK], perm[SKIVE_MAX_RANK] = {0};
    int at[SKV_EINSUM_LABELS] = {0}, rank = 0;
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < p->n[kinds[k]]; i++) {
            const int l = p->list[kinds[k]][i];
            at[l] = rank;
            dims[rank++] = p->size[l];
        }
    }
    for (int i = 0; i < p->e.n_out; i++) perm[i] = at[p->e.out[i]];
    const bool single = p->n[BATCH] <= 1 && p->n[ROW] == 1 && p->n[COLUMN] == 1;
    return transposed(b, reshaped(b, y, single ? rank : -1, dims, rank), perm, rank);
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *node, size_t *changes) {
    product p;
    if (!skv_node_is(node, SKV_OP_EINSUM) || !read_product(node, &p)) return SKIVE_OK;
    if (env->keep && env->keep(env->keep_user, node->outputs[0])) return SKIVE_OK;
    skv_builder b = skv_build(g);
    skive_value *left = operand(&b, &p, node, 0, ROW, SUM), *right = operand(&b, &p, node, 1, SUM, COLUMN);
    skive_value *y = result(&b, &p, skv_emit(&b, "MatMul", SKV_IN(left, right), SKV_NONE));
    ++*changes;
    return y && b.status == SKIVE_OK ? skv_import_replace(node, y) : b.status;
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_einsum_products = {
    .name = "einsum-products",
    .brief = "rewrites Einsum of two operands as a matrix product",
    .when = SKV_PASS_EXECUTE,
    .run = run,
};
