/* Sensitivity to quantization: the culprit of a network made by hand, the trace of the Hessian against its formula,
 * what is told, interruption, failing allocations. */
#include <skive/sensitivity.h>

#include "train_fixtures.h"

enum { HIDDEN = CLASSES + 1, DRAWS = 300 };

static float w1[HIDDEN][PIXELS], w2[CLASSES][HIDDEN], b1[HIDDEN], b2[CLASSES];

/* The first layer sums the bands, with weights that are numbers of int4 (7 / 64 and -2 / 64); its last output is always
 * 1. The second weighs that with 64, which its bias takes away again, so that on few bits its other weights, which tell
 * the class, become 0. */
static skive_graph *culprit_model(skive_context *ctx) {
    for (int i = 0; i < CLASSES; i++) {
        for (int k = 0; k < PIXELS; k++) w1[i][k] = k / SIDE / 2 == i ? 7 / 64.0f : -2 / 64.0f;
        for (int k = 0; k < CLASSES; k++) w2[i][k] = i == k ? 1.5f : -0.75f;
        w2[i][CLASSES] = 64;
        b2[i] = -64;
    }
    b1[CLASSES] = 1;
    const made_layer layers[] = {{HIDDEN, PIXELS, &w1[0][0], b1}, {CLASSES, HIDDEN, &w2[0][0], b2}};
    return made_network(ctx, layers, 2, true);
}

/* A weight has the products of all its readers; two weights of one node share its own. */
static void test_macs(void **state) {
    enum { T = 5, I = 3, H = 4 };
    static float square[I * I], w[4 * H * I], r_[4 * H * H];
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *x = NULL, *y = NULL, *once, *cell_w, *cell_r;
    skive_sensitivity_options o = skive_sensitivity_options_default();
    skive_sensitivity_report r;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 3, .dims = {{T, NULL}, {1, NULL}, {I, NULL}}};
    (void)state;
    for (size_t i = 0; i < SKV_LENGTH(w); i++) w[i] = 0.1f + 0.01f * (float)i;
    for (size_t i = 0; i < SKV_LENGTH(r_); i++) r_[i] = 0.2f - 0.01f * (float)i;
    for (size_t i = 0; i < SKV_LENGTH(square); i++) square[i] = 1 + (float)i;
    skv_test_ok(ctx, skive_graph_create(ctx, "macs", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    const skive_tensor tensors[] = {{.dtype = SKIVE_F32, .rank = 2, .dims = {I, I}, .data = square},
                                    {.dtype = SKIVE_F32, .rank = 3, .dims = {1, 4 * H, I}, .data = w},
                                    {.dtype = SKIVE_F32, .rank = 3, .dims = {1, 4 * H, H}, .data = r_}};
    skv_test_ok(ctx, skive_graph_add_parameter(g, "once", &tensors[0], &once));
    skv_test_ok(ctx, skive_graph_add_parameter(g, "w", &tensors[1], &cell_w));
    skv_test_ok(ctx, skive_graph_add_parameter(g, "r", &tensors[2], &cell_r));
    y = skv_emit(&b, "MatMul", SKV_IN(x, once), SKV_NONE);
    y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    y = skv_emit(&b, "MatMul", SKV_IN(y, once), SKV_NONE);
    y = skv_emit(&b, "LSTM", SKV_IN(y, cell_w, cell_r), SKV_ATTRS(SKV_INT("hidden_size", H)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    o.grids = "int8";
    o.dry_run = true;
    skv_test_ok(ctx, skive_sensitivity(ctx, g, NULL, NULL, &o, &r));
    assert_int_equal(r.n_layers, 3);
    assert_int_equal(r.rows[0].macs, 2 * T * I * I);
    assert_int_equal(r.rows[1].macs, T * 4 * H * I);
    assert_int_equal(r.rows[2].macs, T * 4 * H * H);
    assert_int_equal(r.macs, r.rows[0].macs + r.rows[1].macs + r.rows[2].macs);
    skive_sensitivity_report_free(ctx, &r);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void test_culprit(void **state) {
    static const char *const ways[] = {"loss", "kl", "hessian"};
    skive_context *ctx = skv_test_context();
    skive_graph *g = culprit_model(ctx);
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_sensitivity_options o = skive_sensitivity_options_default();
    (void)state;
    o.grids = "int8,int4";
    o.activations = "none";
    for (size_t i = 0; i < SKV_LENGTH(ways); i++) {
        skive_sensitivity_report r;
        o.by = ways[i];
        skv_test_ok(ctx, skive_sensitivity(ctx, g, NULL, set, &o, &r));
        assert_true(r.n_layers == 2 && r.n_grids == 2 && r.n_rows == 4);
        assert_true(r.macs == HIDDEN * PIXELS + CLASSES * HIDDEN);
        const skive_sensitivity_row *first = &r.rows[1], *last = &r.rows[3];
        assert_string_equal(first->parameter, "w1");
        assert_string_equal(last->parameter, "w2");
        assert_string_equal(last->grid, "int4");
        assert_string_equal(last->op, "Gemm");
        assert_true(first->harm == 0 && last->harm > 0.2);
        assert_true(isinf(first->weight_sqnr) && last->weight_sqnr < 50);
        assert_true(first->elements == HIDDEN * PIXELS && first->macs == HIDDEN * PIXELS);
        assert_true(first->bytes == HIDDEN * PIXELS / 2 + 4 * HIDDEN && first->bits == 4);
        if (strcmp(ways[i], "hessian") != 0) {
            assert_true(r.original > 80 && r.samples == TESTING && r.compared == TESTING);
            assert_true(first->drop == 0 && isinf(first->sqnr) && first->kl == 0 && first->loss == 0);
            assert_true(last->drop > 20 && last->low > 10 && last->low <= last->drop && last->drop <= last->high);
            assert_true(last->sqnr < 10 && last->kl > 0.2 && last->loss > 0.2);
            assert_true(r.rows[2].drop < 5); /* 8 bits are enough for it */
        }
        skive_sensitivity_report_free(ctx, &r);
    }
    skive_dataset_free(set);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* An input that one value far outside stretches: with its activations quantized to 4 bits the layer does harm. */
static void test_activations(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = culprit_model(ctx);
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TEST), *train = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_sensitivity_options o = skive_sensitivity_options_default();
    skive_sensitivity_report r;
    (void)state;
    o.grids = "int4";
    o.activations = "uint8";
    skv_test_ok(ctx, skive_sensitivity(ctx, g, train, set, &o, &r));
    const double at8 = r.rows[0].sqnr;
    assert_true(at8 > 25 && at8 < 80);
    skive_sensitivity_report_free(ctx, &r);
    o.activations = "uint2";
    skv_test_ok(ctx, skive_sensitivity(ctx, g, train, set, &o, &r));
    assert_true(r.rows[0].sqnr < at8 - 15);
    skive_sensitivity_report_free(ctx, &r);
    skv_test_fails(ctx, skive_sensitivity(ctx, g, NULL, set, &o, &r), SKIVE_ERR_ARGUMENT, "calibration samples");
    assert_null(r.rows);
    o.activations = "ulog2";
    skv_test_ok(ctx, skive_sensitivity(ctx, g, train, set, &o, &r));
    assert_true(r.rows[0].sqnr < at8 - 15);
    skive_sensitivity_report_free(ctx, &r);
    o.activations = "nf5";
    skv_test_fails(ctx, skive_sensitivity(ctx, g, train, set, &o, &r), SKIVE_ERR_ARGUMENT,
                   "no grid for activations 'nf5'; did you mean 'nf4'");
    skive_dataset_free(set);
    skive_dataset_free(train);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Of the last layer, with the cross-entropy of a softmax, tr(H) is the mean of |h|^2 sum_c p_c (1 - p_c). */
static double trace_by_formula(skive_context *ctx, skive_dataset *set, int n) {
    double sum = 0;
    float x[PIXELS];
    for (int s = 0; s < n; s++) {
        double h[HIDDEN], z[CLASSES], all = 0, length = 0, share = 0;
        skv_test_ok(ctx, skive_dataset_read(ctx, set, (size_t)s, x, NULL));
        for (int i = 0; i < HIDDEN; i++) {
            h[i] = (double)b1[i];
            for (int k = 0; k < PIXELS; k++) h[i] += (double)w1[i][k] * (double)x[k];
            h[i] = h[i] > 0 ? h[i] : 0;
            length += h[i] * h[i];
        }
        for (int c = 0; c < CLASSES; c++) {
            z[c] = (double)b2[c];
            for (int i = 0; i < HIDDEN; i++) z[c] += (double)w2[c][i] * h[i];
            all += exp(z[c]);
        }
        for (int c = 0; c < CLASSES; c++) share += exp(z[c]) / all * (1 - exp(z[c]) / all);
        sum += length * share;
    }
    return sum / n;
}

static void test_trace(void **state) {
    enum { MEASURED = 100 };
    skive_context *ctx = skv_test_context();
    skive_graph *g = culprit_model(ctx);
    skive_dataset_options d = skive_dataset_options_default();
    skive_dataset *set = NULL;
    skive_sensitivity_options o = skive_sensitivity_options_default();
    skive_sensitivity_report r;
    (void)state;
    d.split = SKIVE_SPLIT_TEST;
    d.limit = MEASURED; /* one batch */
    skv_test_ok(ctx, skive_dataset_open(ctx, blobs, &d, &set));
    o.by = "hessian";
    o.grids = "int4";
    o.vectors = DRAWS;
    skv_test_ok(ctx, skive_sensitivity(ctx, g, NULL, set, &o, &r));
    const double want = trace_by_formula(ctx, set, MEASURED);
    assert_true(r.samples == MEASURED);
    assert_true(fabs(r.rows[1].trace - want) < 0.15 * want);
    assert_true(isnan(r.rows[1].drop) && isnan(r.original));
    skive_sensitivity_report_free(ctx, &r);
    skive_dataset_free(set);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Every grid, and grids whose options have commas. */
static void test_grids(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = culprit_model(ctx);
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_sensitivity_options o = skive_sensitivity_options_default();
    skive_sensitivity_report r;
    (void)state;
    o.activations = "none";
    o.grids = "all";
    skv_test_ok(ctx, skive_sensitivity(ctx, g, NULL, set, &o, &r));
    assert_true(r.n_grids > 20 && r.n_rows == 2 * r.n_grids);
    for (size_t i = 0; i < r.n_rows; i++)
        assert_true(!isnan(r.rows[i].sqnr) && r.rows[i].harm >= 0 && r.rows[i].bytes > 0);
    skive_sensitivity_report_free(ctx, &r);
    o.grids = "uint4:4\\,asymmetric,codebook:4";
    skv_test_ok(ctx, skive_sensitivity(ctx, g, NULL, set, &o, &r));
    assert_string_equal(r.rows[0].grid, "uint4:4,asymmetric");
    /* 36 inputs in groups of 4: 9 scales and zero points for each output */
    assert_int_equal(r.rows[0].bytes, HIDDEN * PIXELS / 2 + HIDDEN * 9 * 4 + HIDDEN * 9 / 2);
    assert_int_equal(r.rows[1].bytes, HIDDEN * PIXELS / 4 + 4 * 4); /* 2 bits each, 4 levels */
    assert_true(r.rows[0].bits == 4 && r.rows[1].bits == 2);
    skive_sensitivity_report_free(ctx, &r);
    const char *skip[] = {"nothing"};
    o.grids = "int8,int9";
    skv_test_fails(ctx, skive_sensitivity(ctx, g, NULL, set, &o, &r), SKIVE_ERR_ARGUMENT, "int9");
    o.grids = "int8";
    o.skip = skip;
    o.n_skip = 1;
    skv_test_fails(ctx, skive_sensitivity(ctx, g, NULL, set, &o, &r), SKIVE_ERR_NOT_FOUND, "nothing");
    skive_dataset_free(set);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- interruption ---- */

/* Stops after the float model and two rows at the earliest; the end is always told. */
static int stop_later(void *user, const char *what, const char *detail, double done, double total, double left) {
    (void)user, (void)detail, (void)total, (void)left;
    return strcmp(what, "sensitivity") == 0 && done > 3.5 * TESTING;
}

static void test_interrupted(void **state) {
    skive_context *ctx = NULL;
    skive_context_options c = skive_context_options_default();
    (void)state;
    c.progress = stop_later;
    assert_int_equal(skive_context_create(&c, &ctx), SKIVE_OK);
    skive_graph *g = culprit_model(ctx);
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_sensitivity_options o = skive_sensitivity_options_default();
    skive_sensitivity_report r;
    o.activations = "none";
    o.grids = "all";
    assert_int_equal(skive_sensitivity(ctx, g, NULL, set, &o, &r), SKIVE_ERR_INTERRUPTED);
    assert_true(r.n_rows > 1 && r.n_rows < r.n_layers * r.n_grids);
    for (size_t i = 0; i < r.n_rows; i++) assert_true(r.rows[i].harm >= 0);
    skive_sensitivity_report_free(ctx, &r);
    skive_dataset_free(set);
    skive_graph_free(g);
    skive_context_free(ctx);
}

static skive_status stages(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skive_dataset *set = NULL;
    skive_sensitivity_options o = skive_sensitivity_options_default();
    skive_sensitivity_report r;
    skive_dataset_options d = skive_dataset_options_default();
    d.split = SKIVE_SPLIT_TEST;
    d.limit = 4;
    o.grids = "int4,codebook:4";
    o.vectors = o.batches = 1;
    o.samples = 2;
    skive_status status = skive_dataset_open(ctx, blobs, &d, &set);
    if (status == SKIVE_OK) status = skive_graph_copy(ctx, *(skive_graph **)user, &g);
    o.by = ((char **)user)[1];
    if (status == SKIVE_OK) {
        status = skive_sensitivity(ctx, g, set, set, &o, &r);
        skive_sensitivity_report_free(ctx, &r);
    }
    skive_graph_free(g);
    skive_dataset_free(set);
    return status;
}

static void every_allocation_may_fail(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = culprit_model(ctx);
    void *loss[2] = {g, "loss"}, *hessian[2] = {g, "hessian"};
    (void)state;
    assert_true(skv_test_walk_allocations(stages, loss, 17) > 10);
    assert_true(skv_test_walk_allocations(stages, hessian, 17) > 10);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_macs),
        cmocka_unit_test(test_culprit),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_trace),
        cmocka_unit_test(test_grids),
        cmocka_unit_test(test_interrupted),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
