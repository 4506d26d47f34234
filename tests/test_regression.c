/* Regression: targets in any units are learned, the model's outputs are in those units, and the metrics are right. */
#include "train_fixtures.h"

#include <skive/distill.h>
#include <skive/eval.h>
#include <skive/prune.h>

enum { ROWS = 200, FEATURES = 5, HIDDEN = 12 };

/* Column k of the targets is a function of x times sizes[k], plus centres[k]. */
static void write_targets(const char *name, int rank, int64_t columns, const double *centres, const double *sizes) {
    double *x = calloc((size_t)ROWS * FEATURES, sizeof *x), *y = calloc((size_t)(ROWS * columns), sizeof *y);
    const int64_t of_x[2] = {ROWS, FEATURES}, of_y[3] = {ROWS, columns, 1};
    assert_true(x && y);
    for (int i = 0; i < ROWS * FEATURES; i++) x[i] = (double)(float)skv_rng_normal(41, 0, (uint64_t)i);
    for (int i = 0; i < ROWS; i++) {
        for (int64_t k = 0; k < columns; k++) {
            const double *row = x + i * FEATURES;
            y[i * columns + k] =
                centres[k] + sizes[k] * (row[0] - 0.5 * row[(k + 1) % FEATURES] + 0.3 * sin(2 * row[2]));
        }
    }
    save("rx.npy", SKIVE_F32, 2, of_x, x);
    save(name, SKIVE_F32, rank, of_y, y);
    free(x);
    free(y);
}

static skive_dataset *open_targets(skive_context *ctx, const char *name) {
    char spec[4 * SKV_TEST_PATH], a[SKV_TEST_PATH], b[SKV_TEST_PATH];
    snprintf(spec, sizeof spec, "npy:%s,%s", file(a, "rx.npy"), file(b, name));
    return open_data(ctx, spec, SKIVE_SPLIT_TRAIN_FULL);
}

typedef enum ending { GEMM, MATMUL_ADD, MATMUL, SQUEEZED, SOFTPLUS } ending;

static skive_graph *net(skive_context *ctx, int64_t outputs, ending end) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 2, .dims = {{-1, "N"}, {FEATURES, NULL}}};
    const int64_t v[2] = {FEATURES, HIDDEN}, h[1] = {HIDDEN}, w[2] = {HIDDEN, outputs}, k[1] = {outputs};
    skv_test_ok(ctx, skive_graph_create(ctx, "net", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(
        &b, "Gemm",
        SKV_IN(x, parameter(&b, "first.weight", 2, v, 1, -0.7, 0.7), parameter(&b, "first.bias", 1, h, 2, -0.1, 0.1)),
        SKV_NONE);
    y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    skive_value *weight = parameter(&b, "weight", 2, w, 3, -0.4, 0.4);
    if (end == MATMUL || end == MATMUL_ADD)
        y = skv_emit(&b, "MatMul", SKV_IN(y, weight), SKV_NONE);
    else
        y = skv_emit(&b, "Gemm", SKV_IN(y, weight, parameter(&b, "bias", 1, k, 4, -0.1, 0.1)), SKV_NONE);
    if (end == MATMUL_ADD) y = skv_emit(&b, "Add", SKV_IN(y, parameter(&b, "bias", 1, k, 4, -0.1, 0.1)), SKV_NONE);
    if (end == SQUEEZED) y = skv_emit(&b, "Squeeze", SKV_IN(y, skv_emit_ints(&b, (const int64_t[]){1}, 1)), SKV_NONE);
    if (end == SOFTPLUS) y = skv_emit(&b, "Softplus", SKV_IN(y), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

static double r2_of(skive_context *ctx, const skive_graph *g, skive_dataset *set) {
    skive_eval_report r;
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 0, &r));
    assert_int_equal(r.task, SKIVE_TASK_VALUES);
    const double r2 = r.r2;
    skive_eval_report_free(ctx, &r);
    return r2;
}

/* The same targets in other units are learned as well, from every ending. */
static void units_do_not_matter(void **state) {
    skive_context *ctx = skv_test_context();
    const double units[4][2] = {{0, 1}, {100, 70}, {1e-4, 1e-5}, {-5e6, 2e6}};
    skive_train_options o = settings(15, 20);
    (void)state;
    o.learning_rate = 0.02;
    for (ending end = GEMM; end <= SOFTPLUS; end++) {
        double first = 0;
        for (int u = 0; u < 4; u++) {
            if (end == SOFTPLUS && u != 1) continue; /* it cannot give the others */
            write_targets("ry.npy", end % 2 ? 1 : 2, 1, &units[u][0], &units[u][1]);
            skive_dataset *set = open_targets(ctx, "ry.npy");
            skive_graph *g = net(ctx, 1, end);
            const size_t nodes = skive_graph_node_count(g);
            skive_train_report report;
            skv_test_ok(ctx, skive_train(ctx, g, set, set, &o, NULL, 0, &report));
            const double r2 = r2_of(ctx, g, set);
            assert_true(r2 > 0.8);
            if (u == 0) first = r2;
            if (end == GEMM || end == MATMUL_ADD || end == SQUEEZED) {
                assert_true(skv_test_close(r2, first, 0, 0.03));
                assert_int_equal(skive_graph_node_count(g), nodes);
            }
            assert_true(isnan(report.epochs[0].validation_accuracy));
            const skive_epoch_report *best = &report.epochs[report.best_epoch - 1];
            for (size_t i = 0; i < report.n_epochs; i++)
                assert_true(report.epochs[i].validation_loss >= best->validation_loss);
            skive_train_report_free(ctx, &report);
            skive_graph_free(g);
            skive_dataset_free(set);
        }
    }
    skv_test_context_end(ctx);
}

/* Each target has its own scale; errors are those that a loop finds. */
static void several_targets_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    const double centres[3] = {0, -500, 1e5}, sizes[3] = {1, 100, 1e4};
    skive_train_options o = settings(10, 20);
    skive_eval_report r;
    double squares[3] = {0}, absolutes[3] = {0}, sum[3] = {0}, around[3] = {0};
    (void)state;
    write_targets("rk.npy", 2, 3, centres, sizes);
    skive_dataset *set = open_targets(ctx, "rk.npy");
    skive_graph *g = net(ctx, 3, GEMM);
    o.learning_rate = 0.02;
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL));
    for (size_t i = 0; i < skive_context_note_count(ctx); i++) /* of the constants that give the units back */
        assert_null(strstr(skive_context_note(ctx, i), "not trained"));
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 33, &r));
    assert_int_equal(r.n_kept, ROWS);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < ROWS; i++) {
            float y[3];
            skv_test_ok(ctx, skive_dataset_read_target(ctx, set, i, y));
            for (int k = 0; k < 3; k++) {
                const double d = (double)r.kept[i * 3 + (size_t)k] - (double)y[k];
                if (pass) {
                    around[k] += ((double)y[k] - sum[k] / ROWS) * ((double)y[k] - sum[k] / ROWS);
                    continue;
                }
                squares[k] += d * d;
                absolutes[k] += fabs(d);
                sum[k] += (double)y[k];
            }
        }
    }
    double r2 = 0;
    for (int k = 0; k < 3; k++) {
        assert_true(skv_test_close(r.target_rmse[k], sqrt(squares[k] / ROWS), 1e-9, 0));
        assert_true(skv_test_close(r.target_mae[k], absolutes[k] / ROWS, 1e-9, 0));
        assert_true(skv_test_close(r.target_r2[k], 1 - squares[k] / around[k], 1e-6, 0));
        assert_true(r.target_r2[k] > 0.8);
        r2 += r.target_r2[k] / 3;
    }
    assert_true(skv_test_close(r.mse, (squares[0] + squares[1] + squares[2]) / ROWS / 3, 1e-9, 0));
    assert_true(skv_test_close(r.rmse, sqrt(r.mse), 1e-12, 0));
    assert_true(skv_test_close(r.mae, (absolutes[0] + absolutes[1] + absolutes[2]) / ROWS / 3, 1e-9, 0));
    assert_true(skv_test_close(r.r2, r2, 1e-9, 0));
    skive_paired_report p;
    skv_test_ok(ctx, skive_compare_paired(ctx, &r, &r, &p));
    assert_true(p.difference == 0 && p.p_value == 1 && p.max_score_difference == 0 && p.same_class == -1);
    skive_eval_report_free(ctx, &r);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* Training on goes on from what the model gives, pruned weights stay zero, and a teacher's numbers are taught. */
static void what_is_there_is_kept(void **state) {
    skive_context *ctx = skv_test_context();
    const double centre = 100, size = 70;
    skive_train_options o = settings(15, 20);
    skive_prune_options prune = skive_prune_options_default();
    skive_train_options tune = skive_prune_finetune_default();
    prune.finetune = &tune;
    skive_distill_options distill = skive_distill_options_default();
    skive_train_options how = skive_train_options_default();
    distill.train = &how;
    (void)state;
    write_targets("ry.npy", 1, 1, &centre, &size);
    skive_dataset *set = open_targets(ctx, "ry.npy");
    skive_graph *g = net(ctx, 1, GEMM), *student = net(ctx, 1, GEMM), *before = NULL;
    o.learning_rate = 0.02;
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL));
    assert_string_equal(skive_graph_meta(g, "skive.output.kind"), "values");
    const double trained = r2_of(ctx, g, set);
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &before));
    o.learning_rate = 1e-6;
    o.epochs = 1;
    o.weight_decay = 0;
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL));
    skv_test_floats(data_of(g, "weight"), data_of(before, "weight"), HIDDEN, 1e-3, 1e-3);
    assert_true(skv_test_close(r2_of(ctx, g, set), trained, 0, 1e-3));
    prune.sparsity = 0.5;
    tune = settings(4, 20);
    tune.learning_rate = 0.02;
    skv_test_ok(ctx, skive_prune(ctx, g, set, NULL, &prune, NULL));
    int zeros = 0;
    for (int i = 0; i < FEATURES * HIDDEN; i++) zeros += data_of(g, "first.weight")[i] == 0;
    assert_true(zeros > 10 && r2_of(ctx, g, set) > 0.5);
    distill.alpha = 1;
    how = settings(15, 20);
    how.learning_rate = 0.02;
    skv_test_ok(ctx, skive_distill(ctx, student, before, set, NULL, &distill, NULL));
    assert_true(r2_of(ctx, student, set) > 0.8);
    skive_graph_free(student);
    skive_graph_free(before);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* As many numbers in other places are not the same targets; labels are not numbers. */
static void what_does_not_fit_is_refused(void **state) {
    skive_context *ctx = skv_test_context();
    const int64_t of_y[4] = {ROWS, 2, 3, 1}, of_output[3] = {-1, 3, 2};
    const double zero[ROWS * 6] = {0};
    double x[ROWS * 6];
    skive_train_options o = settings(1, 20);
    skive_eval_report r;
    (void)state;
    write_targets("ry.npy", 1, 1, zero, zero);
    for (int i = 0; i < ROWS * 6; i++) x[i] = skv_rng_normal(7, 0, (uint64_t)i);
    save("rp.npy", SKIVE_F32, 4, of_y, x);
    skive_dataset *set = open_targets(ctx, "rp.npy");
    skive_graph *g = net(ctx, 6, GEMM);
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL)); /* a flat row is any shape */
    skv_builder b = skv_build(g);
    skive_value *y = g->outputs[0];
    skv_test_ok(ctx, skv_graph_remove_output(g, 0));
    y = skv_emit(&b, "Reshape", SKV_IN(y, skv_emit_ints(&b, of_output, 3)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_fails(ctx, skive_evaluate(ctx, g, set, 0, &r), SKIVE_ERR_DATA, "but output");
    skv_test_fails(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL), SKIVE_ERR_DATA, "but output");
    skive_dataset_free(set);
    skive_graph_free(g);
    set = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    g = small_cnn(ctx, false);
    skv_test_ok(ctx, skive_model_set_output(g, NULL, "values"));
    skv_test_fails(ctx, skive_evaluate(ctx, g, set, 0, &r), SKIVE_ERR_DATA, "has class labels");
    skive_dataset_free(set);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static skive_status train_and_measure(skive_context *ctx, void *user) {
    const ending end = *(const ending *)user;
    char spec[4 * SKV_TEST_PATH], a[SKV_TEST_PATH], b[SKV_TEST_PATH];
    skive_train_options o = settings(1, ROWS);
    skive_dataset_options d = skive_dataset_options_default();
    skive_context *free_of_faults = skv_test_context();
    skive_graph *made = net(free_of_faults, 1, end), *g = NULL;
    skive_dataset *set = NULL;
    skive_eval_report r = {0};
    skive_status status;
    snprintf(spec, sizeof spec, "npy:%s,%s", file(a, "rx.npy"), file(b, "ry.npy"));
    d.split = SKIVE_SPLIT_TRAIN_FULL;
    SKV_GO(status, done, skive_graph_copy(ctx, made, &g));
    SKV_GO(status, done, skive_dataset_open(ctx, spec, &d, &set));
    SKV_GO(status, done, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL));
    status = skive_evaluate(ctx, g, set, 0, &r);
done:
    skive_eval_report_free(ctx, &r);
    skive_dataset_free(set);
    skive_graph_free(g);
    skive_graph_free(made);
    skv_test_context_end(free_of_faults);
    return status;
}

static void every_allocation_may_fail(void **state) {
    const double centre = 100, size = 70;
    (void)state;
    write_targets("ry.npy", 1, 1, &centre, &size);
    for (ending end = GEMM; end <= MATMUL; end++)
        assert_true(skv_test_walk_allocations(train_and_measure, &end, 17) > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_do_not_matter),       cmocka_unit_test(several_targets_by_hand),
        cmocka_unit_test(what_is_there_is_kept),     cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
