/* Decision trees over float32 rows: eight walks at a time, of rows or for few rows of trees, without branches, in nodes
 * of 16 bytes whose two children lie side by side. Adds in the order and precision of the reference. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "kernels/kernel.h"
#include "ops/ml/common_trees.h"

enum {
    LANES = 8,
    STEPS = 4,              /* walked before it is asked whether all have arrived */
    BLOCK = 64,             /* rows for which a tree stays in the cache */
    PARALLEL_FROM = 1 << 14 /* walks */
};

/* A leaf leads back to itself: nothing is <= NaN. */
typedef struct tree_step {
    float split;
    uint32_t missing;      /* 1: NaN counts as true */
    int32_t feature, next; /* next + 1 if true */
} tree_step;

typedef struct trees_state {
    skv_trees trees;
    tree_step *steps;
    int32_t *leaf, *roots;      /* leaf [steps]: its number, -1 of inner nodes */
    int64_t rows, width, block; /* block: rows at a time */
    size_t thread_bytes; /* of scratch: sums [block][targets], a row in float64, what was seen [block][targets] */
    int threads;
} trees_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (!skv_kernel_f32(&n->in[0])) return skv_decline(why, "not float32, or empty");
    return true;
}

/* The largest number below t: x < t is x <= that. */
static float before(float t) { return nextafterf(t, -INFINITY); }

/* How a mode becomes <=; false if it cannot. NaN in the input compares false with all, which <= keeps and its
 * opposite does not. */
static bool as_leq(const skv_tree_node *n, tree_step *s) {
    s->split = (float)n->split;
    s->missing = n->missing;
    s->feature = n->feature;
    if (n->mode == SKV_TREE_LEQ) return true;
    if (n->mode != SKV_TREE_LT || s->split == -INFINITY || (double)s->split != n->split) return false;
    s->split = before(s->split);
    return true;
}

/* float32 compared with a split in float64 that is no float32: the next one below it does the same for <=. */
static void round_down(const skv_tree_node *n, tree_step *s) {
    if (n->mode == SKV_TREE_LEQ && (double)s->split > n->split) s->split = before(s->split);
}

typedef struct laying {
    trees_state *st;
    int32_t *node_at; /* [steps]: the node or leaf at a place, as `child` */
    size_t n;
} laying;

static void put(laying *l, int32_t what) { l->node_at[l->n++] = what; }

/* Lays tree by tree, breadth first: roots, then pairs of children. False if a comparison has no form here. */
static bool lay_trees(laying *l) {
    trees_state *st = l->st;
    const skv_trees *t = &st->trees;
    for (size_t k = 0; k < t->n_trees; k++) {
        size_t at = l->n;
        st->roots[k] = (int32_t)at;
        put(l, t->roots[k]);
        for (; at < l->n; at++) {
            tree_step *s = &st->steps[at];
            const int32_t what = l->node_at[at];
            *s = (tree_step){.split = NAN, .next = (int32_t)at};
            st->leaf[at] = what < 0 ? ~what : -1;
            if (what < 0) continue;
            const skv_tree_node *node = &t->nodes[what];
            if (!as_leq(node, s)) return false;
            round_down(node, s);
            s->next = (int32_t)l->n;
            put(l, node->child[0]);
            put(l, node->child[1]);
        }
    }
    return true;
}

/* A leaf may have several parents and lies once for each. */
static size_t step_count(const skv_trees *t) { return t->n_trees + 2 * t->n_nodes; }

static skive_status plan_blocks(skv_kernel_node *n, trees_state *st) {
    size_t sums, offset;
    st->rows = n->in[0].type.dims[0].size;
    st->width = n->in[0].type.dims[1].size;
    st->block = st->rows < BLOCK ? st->rows : BLOCK;
    st->threads = skv_mul_sat(st->rows, (int64_t)st->trees.n_trees) < PARALLEL_FROM ? 1 : n->threads;
    if (!skv_mul_size((size_t)st->block, (size_t)st->trees.n_targets, &sums) || sums > INT32_MAX ||
        st->width > INT32_MAX)
        return SKV_FAIL(n->ctx, SKIVE_ERR_LIMIT, "node '%s': too many targets or features", n->node->name);
    st->thread_bytes = skv_align_up((sums + (size_t)st->width) * sizeof(double) + sums, 64);
    return skv_scratch_add(n, st->thread_bytes * (size_t)st->threads, &offset);
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    trees_state *st = state;
    int32_t *node_at = NULL;
    SKV_TRY(skv_trees_read(n->ctx, n->node, &st->trees));
    const size_t count = step_count(&st->trees);
    SKV_TRY(skv_alloc_array(n->ctx, count, sizeof *st->steps, &st->steps));
    SKV_TRY(skv_alloc_array(n->ctx, count, sizeof *st->leaf, &st->leaf));
    SKV_TRY(skv_alloc_array(n->ctx, st->trees.n_trees, sizeof *st->roots, &st->roots));
    SKV_TRY(skv_alloc_array(n->ctx, count, sizeof *node_at, &node_at));
    laying l = {.st = st, .node_at = node_at};
    if (!lay_trees(&l)) {
        skv_free(n->ctx, st->steps);
        st->steps = NULL;
    }
    skv_free(n->ctx, node_at);
    n->in[0].layout = SKV_PLAIN;
    n->state_bytes = count * (sizeof *st->steps + sizeof *st->leaf);
    return plan_blocks(n, st);
}

static void destroy(skive_context *ctx, void *state) {
    trees_state *st = state;
    if (!st) return;
    skv_trees_free(ctx, &st->trees);
    skv_free(ctx, st->steps);
    skv_free(ctx, st->leaf);
    skv_free(ctx, st->roots);
    skv_free(ctx, st);
}

static inline int32_t step(const tree_step *s, const float *x) {
    const float v = x[s->feature];
    return s->next + (int32_t)((uint32_t)(v <= s->split) | ((uint32_t)(v != v) & s->missing));
}

/* From at[lane] to the leaves, each in a row of its own. */
static void walk(const trees_state *st, const float *const *x, int32_t *at) {
    bool moves = true;
    while (moves) {
        int32_t arrived = 0;
        for (int k = 0; k < STEPS; k++)
            for (int i = 0; i < LANES; i++) at[i] = step(&st->steps[at[i]], x[i]);
        for (int i = 0; i < LANES; i++) arrived += st->leaf[at[i]] >= 0;
        moves = arrived < LANES;
    }
}

/* n rows; y and seen are [n][targets]. */
static void walk_rows(const trees_state *st, const float *x, int64_t n, double *y, bool *seen) {
    const skv_trees *t = &st->trees;
    const float *row[LANES];
    int32_t at[LANES];
    for (size_t k = 0; k < t->n_trees; k++) {
        for (int64_t i = 0; i < n; i += LANES) {
            for (int64_t j = 0; j < LANES; j++) {
                row[j] = x + (i + j < n ? i + j : i) * st->width;
                at[j] = st->roots[k];
            }
            walk(st, row, at);
            for (int64_t j = 0; j < LANES && i + j < n; j++)
                skv_trees_add(t, st->leaf[at[j]], y + (i + j) * t->n_targets, seen + (i + j) * t->n_targets);
        }
    }
}

static void walk_trees(const trees_state *st, const float *x, double *y, bool *seen) {
    const skv_trees *t = &st->trees;
    const float *row[LANES];
    int32_t at[LANES];
    for (int j = 0; j < LANES; j++) row[j] = x;
    for (size_t k = 0; k < t->n_trees; k += LANES) {
        for (size_t j = 0; j < LANES; j++) at[j] = st->roots[k + j < t->n_trees ? k + j : k];
        walk(st, row, at);
        for (size_t j = 0; j < LANES && k + j < t->n_trees; j++) skv_trees_add(t, st->leaf[at[j]], y, seen);
    }
}

static void run_block(const trees_state *st, const float *x, int64_t n, double *y, bool *seen, float *out) {
    const skv_trees *t = &st->trees;
    const double mean = t->aggregate == SKV_TREES_AVERAGE ? (double)t->n_trees : 1;
    memset(y, 0, (size_t)(n * t->n_targets) * sizeof *y);
    memset(seen, 0, (size_t)(n * t->n_targets));
    if (n >= LANES) {
        walk_rows(st, x, n, y, seen);
    } else {
        for (int64_t i = 0; i < n; i++)
            walk_trees(st, x + i * st->width, y + i * t->n_targets, seen + i * t->n_targets);
    }
    for (int64_t i = 0; i < n * t->n_targets; i++) out[i] = (float)(y[i] / mean);
}

/* Other comparisons than <= and <: node by node, as the reference does. */
static void run_any(const trees_state *st, const float *x, int64_t n, double *y, bool *seen, float *out) {
    const skv_trees *t = &st->trees;
    double *row = y + st->block * t->n_targets;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < st->width; k++) row[k] = (double)x[i * st->width + k];
        skv_trees_row(t, row, y, seen);
        for (int64_t k = 0; k < t->n_targets; k++) out[i * t->n_targets + k] = (float)y[k];
    }
}

static skive_status run(const skv_kernel_call *c) {
    const trees_state *st = c->n->state;
    const int64_t targets = st->trees.n_targets, blocks = (st->rows + st->block - 1) / st->block;
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t b = 0; b < blocks; b++) {
        double *y = (double *)(void *)((char *)c->scratch + (size_t)skv_thread_number() * st->thread_bytes);
        bool *seen = (bool *)(y + st->block * targets + st->width);
        const int64_t first = b * st->block, n = st->rows - first < st->block ? st->rows - first : st->block;
        (st->steps ? run_block : run_any)(st, (const float *)c->in[0] + first * st->width, n, y, seen,
                                          (float *)c->out[0] + first * targets);
    }
    return SKIVE_OK;
}

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(trees_state), set_up, destroy); }

static const skv_op_kind ops[] = {SKV_OP_TREE_ENSEMBLE, SKV_OP_TREE_ENSEMBLE_REGRESSOR, SKV_OP_NONE};

const skv_kernel skv_kernel_trees_f32 = {
    .name = "trees_f32",
    .brief = "decision trees over float32 rows, eight walks at a time",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
