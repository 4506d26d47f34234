/* The kernel of decision trees gives the very bits of the reference: random trees of every comparison, aggregate and
 * number of targets, over few rows and many, with NaN and infinities; and the trees survive a file. */
#include <stdio.h>

#include "kernel_fixtures.h"

#include <skive/onnx.h>

enum { MOST = 4096, COLUMNS = 7 };

typedef struct forest {
    int64_t tree[MOST], id[MOST], feature[MOST], on_true[MOST], on_false[MOST], missing[MOST];
    int64_t leaf_tree[MOST], leaf[MOST], target[MOST];
    double split[MOST], weight[MOST];
    const char *mode[MOST];
    size_t n, n_weights;
} forest;

typedef struct kind {
    const char *const *modes;
    size_t n_modes;
    const char *aggregate;
    int64_t targets, trees;
    uint64_t depth;
    bool missing;
    const char *kernel;
} kind;

static uint64_t at;
static uint64_t draw(uint64_t n) { return skv_rng_below(31, 4, at++, n); }

/* Numbers that inputs hit exactly, too. */
static double some_number(void) { return (double)draw(13) / 2 - 3; }

static int64_t grow(forest *f, const kind *k, int64_t tree, uint64_t depth, int64_t *id) {
    const size_t me = f->n++;
    const int64_t mine = (*id)++;
    f->tree[me] = tree;
    f->id[me] = mine;
    f->split[me] = some_number();
    f->feature[me] = (int64_t)draw(COLUMNS);
    f->missing[me] = k->missing && draw(2);
    f->mode[me] = depth == 0 || draw(8) == 0 ? "LEAF" : k->modes[draw(k->n_modes)];
    if (strcmp(f->mode[me], "LEAF") != 0) {
        f->on_true[me] = grow(f, k, tree, depth - 1, id);
        f->on_false[me] = grow(f, k, tree, depth - 1, id);
        return mine;
    }
    f->on_true[me] = f->on_false[me] = 0;
    for (uint64_t i = draw(3); i > 0; i--) { /* none, one or two */
        const size_t w = f->n_weights++;
        f->leaf_tree[w] = tree;
        f->leaf[w] = mine;
        f->target[w] = (int64_t)draw((uint64_t)k->targets);
        f->weight[w] = skv_rng_normal(32, 5, at++);
    }
    return mine;
}

static skive_graph *model(skive_context *ctx, const kind *k, int64_t rows, forest *f) {
    const int64_t dims[2] = {rows, COLUMNS};
    skive_graph *g = graph(ctx);
    skv_builder b = skv_build(g);
    f->n = f->n_weights = 0;
    for (int64_t t = 0; t < k->trees; t++) {
        int64_t id = 0;
        (void)grow(f, k, t, k->depth, &id);
    }
    skive_value *y = skv_emit(
        &b, "TreeEnsembleRegressor", SKV_IN(input(ctx, g, 2, dims)),
        SKV_ATTRS(SKV_INTS("nodes_treeids", f->tree, f->n), SKV_INTS("nodes_nodeids", f->id, f->n),
                  SKV_INTS("nodes_featureids", f->feature, f->n), SKV_INTS("nodes_truenodeids", f->on_true, f->n),
                  SKV_INTS("nodes_falsenodeids", f->on_false, f->n), SKV_FLTS("nodes_values", f->split, f->n),
                  SKV_INTS("nodes_missing_value_tracks_true", f->missing, f->n), SKV_STRS("nodes_modes", f->mode, f->n),
                  SKV_INTS("target_treeids", f->leaf_tree, f->n_weights),
                  SKV_INTS("target_nodeids", f->leaf, f->n_weights), SKV_INTS("target_ids", f->target, f->n_weights),
                  SKV_FLTS("target_weights", f->weight, f->n_weights), SKV_INT("n_targets", k->targets),
                  SKV_STR("aggregate_function", k->aggregate)));
    give(ctx, g, &b, y);
    return g;
}

static skive_tensor some_rows(skive_context *ctx, int64_t rows) {
    const int64_t dims[2] = {rows, COLUMNS};
    skive_tensor x = {0};
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 2, dims, &x));
    for (int64_t i = 0; i < rows * COLUMNS; i++) {
        const uint64_t how = draw(20);
        skive_tensor_set(&x, i, how == 0 ? NAN : how == 1 ? INFINITY : how == 2 ? -INFINITY : some_number());
    }
    return x;
}

static const char *const leq[] = {"BRANCH_LEQ"}, *const lt[] = {"BRANCH_LT"},
                         *const both[] = {"BRANCH_LEQ", "BRANCH_LT"}, *const all[] = {"BRANCH_LEQ", "BRANCH_LT",
                                                                                      "BRANCH_GTE", "BRANCH_GT",
                                                                                      "BRANCH_EQ",  "BRANCH_NEQ"};
static const kind kinds[] = {
    {leq, 1, "SUM", 1, 1, 0, false, "trees_f32"},     {leq, 1, "SUM", 1, 3, 5, false, "trees_f32"},
    {leq, 1, "AVERAGE", 3, 21, 5, true, "trees_f32"}, {lt, 1, "MIN", 2, 9, 4, true, "trees_f32"},
    {both, 2, "MAX", 4, 30, 5, true, "trees_f32"},    {all, 6, "SUM", 2, 17, 5, true, "trees_f32"},
};

static void same_bits(void **unused) {
    static forest f;
    static const int64_t rows[] = {1, 3, 8, 65, 130};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            skive_tensor x = some_rows(ctx, rows[r]);
            check_for(ctx, model(ctx, &kinds[i], rows[r], &f), kinds[i].kernel, &x, 0, 0);
            skive_tensor_free(ctx, &x);
        }
    }
    skv_test_context_end(ctx);
}

static void through_a_file(void **unused) {
    static forest f;
    (void)unused;
    skive_context *ctx = skv_test_context();
    char path[] = "/tmp/skive-test-trees-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        skive_graph *g = model(ctx, &kinds[i], 9, &f), *back = NULL;
        skive_tensor x = some_rows(ctx, 9), a = {0}, b = {0};
        skv_test_ok(ctx, skive_onnx_save(ctx, g, path, NULL));
        skv_test_ok(ctx, skive_onnx_load(ctx, path, NULL, &back));
        run_graph(ctx, g, false, NULL, &x, &a);
        run_graph(ctx, back, false, NULL, &x, &b);
        skv_test_tensors(&a, &b, 0, 0);
        skive_tensor_free(ctx, &x);
        skive_tensor_free(ctx, &a);
        skive_tensor_free(ctx, &b);
        skive_graph_free(g);
        skive_graph_free(back);
    }
    (void)remove(path);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits), cmocka_unit_test(through_a_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
