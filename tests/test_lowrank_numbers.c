/* Numbers of factorization by hand: weights by their gradients, a decomposition for each head and the proximal step of the
 * nuclear norm; and memory that runs out while factors are fitted again. */
#include "train_fixtures.h"

#include <skive/build.h>
#include <skive/factorize.h>

#include "lowrank/lowrank.h"
#include "train/rule.h"

extern const skv_rule skv_rule_nuclear;

/* What is left of the squares behind the first `rank` singular values of a [m][n], as a share of all, and its root. */
static double truncated(skive_context *ctx, int64_t m, int64_t n, const double *a, int64_t rank, double *dropped) {
    double *s = NULL, all = 0, rest = 0;
    const int64_t k = m < n ? m : n;
    skv_test_ok(ctx, skv_alloc_array(ctx, (size_t)k, sizeof *s, &s));
    skv_test_ok(ctx, skv_svd_plain(ctx, m, n, a, NULL, s, NULL));
    for (int64_t i = 0; i < k; i++) {
        all += s[i] * s[i];
        if (i >= rank) rest += s[i] * s[i];
    }
    skv_free(ctx, s);
    if (dropped) *dropped = rest;
    return sqrt(rest / all);
}

/* ---- Fisher weights ---- */

/* Of a product with scores the gradient of the loss is (probability - label) times the pixel: its squares, summed over
 * the outputs and the samples, weigh the pixels. Of the weights times their roots the factors are the best. */
static void gradients_weigh_the_inputs(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = linear_scores(ctx, 4);
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_dataset_info info;
    skive_factorize_report r;
    float w[PIXELS * CLASSES], x[PIXELS];
    double d[PIXELS] = {0}, weighed[CLASSES * PIXELS], plain[CLASSES * PIXELS], p[CLASSES], sum = 0;
    (void)state;
    memcpy(w, data_of(g, "w"), sizeof w);
    skive_dataset_get_info(t, &info);
    for (size_t i = 0; i < (size_t)info.count; i++) {
        int64_t label;
        skv_test_ok(ctx, skive_dataset_read(ctx, t, i, x, &label));
        log_softmax_of(w, x, 1, p);
        for (int k = 0; k < PIXELS; k++)
            for (int c = 0; c < CLASSES; c++) {
                const double slope = (exp(p[c]) - (c == label)) * (double)x[k];
                d[k] += slope * slope;
            }
    }
    for (int k = 0; k < PIXELS; k++) sum += d[k];
    for (int k = 0; k < PIXELS; k++)
        for (int c = 0; c < CLASSES; c++) {
            plain[c * PIXELS + k] = (double)w[k * CLASSES + c];
            weighed[c * PIXELS + k] = plain[c * PIXELS + k] * sqrt(d[k] + 1e-6 * sum / PIXELS);
        }
    skive_factorize_options o = skive_factorize_options_default();
    char layer[128];
    (void)snprintf(layer, sizeof layer, "%s=svd:1", skive_graph_find_value(g, "w")->uses[0].node->name);
    o.layers = (const char *const[]){layer};
    o.n_layers = 1;
    o.measure = false;
    o.weighting = "fisher";
    o.samples = (int64_t)info.count;
    skv_test_ok(ctx, skive_factorize(ctx, g, t, NULL, &o, &r));
    const double best = truncated(ctx, CLASSES, PIXELS, weighed, 1, NULL);
    const double unweighed = truncated(ctx, CLASSES, PIXELS, plain, 1, NULL);
    assert_int_equal(r.n_factorized, 1);
    if (!(fabs(r.rows[0].output_error - best) < 1e-4 * best)) fail_msg("%g, not %g", r.rows[0].output_error, best);
    assert_true(r.rows[0].error > unweighed + 1e-6 && best > 0.01); /* which the plain ones would be best for */
    skive_factorize_report_free(ctx, &r);
    skive_dataset_free(t);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- heads ---- */

/* Queries of three heads of width 4: what is dropped is the sum of what each head drops. */
static void each_head_has_a_decomposition(void **state) {
    enum { INPUTS = 10, HEADS = 3, WIDTH = 4, OUTPUTS = HEADS * WIDTH };
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skive_tensor w, b;
    skive_factorize_report r;
    double dropped = 0, all = 0, head[WIDTH * INPUTS], whole[OUTPUTS * INPUTS];
    (void)state;
    const skive_type type = skive_type_make(SKIVE_F32, 3, (int64_t[]){2, 5, INPUTS});
    skv_test_ok(ctx, skive_graph_create(ctx, "heads", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 2, (int64_t[]){INPUTS, OUTPUTS}, &w));
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 1, (int64_t[]){OUTPUTS}, &b));
    for (int64_t i = 0; i < INPUTS * OUTPUTS; i++) skive_tensor_set(&w, i, skv_rng_normal(3, 1, (uint64_t)i));
    skive_builder build = skive_builder_of(g);
    skive_value *y =
        skive_build_node(&build, "MatMul", "query", (skive_value *[]){x, skive_build_parameter(&build, "w", &w, true)},
                         2, NULL, 0, NULL, 1);
    y = skive_build_node(&build, "Add", NULL, (skive_value *[]){y, skive_build_parameter(&build, "b", &b, true)}, 2,
                         NULL, 0, NULL, 1);
    skive_tensor shape;
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_I64, 1, (int64_t[]){4}, &shape));
    for (int i = 0; i < 4; i++) skive_tensor_set(&shape, i, (double[]){2, 5, HEADS, WIDTH}[i]);
    y = skive_build_node(&build, "Reshape", NULL,
                         (skive_value *[]){y, skive_build_parameter(&build, "s", &shape, false)}, 2, NULL, 0, NULL, 1);
    skv_test_ok(ctx, build.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    for (int h = 0; h < HEADS; h++) {
        double rest;
        for (int o = 0; o < WIDTH; o++)
            for (int i = 0; i < INPUTS; i++) {
                head[o * INPUTS + i] = skive_tensor_get(&w, i * OUTPUTS + h * WIDTH + o);
                whole[(h * WIDTH + o) * INPUTS + i] = head[o * INPUTS + i];
                all += head[o * INPUTS + i] * head[o * INPUTS + i];
            }
        (void)truncated(ctx, WIDTH, INPUTS, head, 2, &rest);
        dropped += rest;
    }
    skive_factorize_options o = skive_factorize_options_default();
    o.layers = (const char *const[]){"query=grouped:2"};
    o.n_layers = 1;
    o.measure = false;
    skv_test_ok(ctx, skive_factorize(ctx, g, NULL, NULL, &o, &r));
    assert_true(fabs(r.rows[0].error - sqrt(dropped / all)) < 1e-6);
    assert_int_equal(r.rows[0].full, WIDTH); /* of a head, not of the matrix */
    /* As many channels in common would lose less, but each head reads all six of them. */
    assert_true(truncated(ctx, OUTPUTS, INPUTS, whole, 2 * HEADS, NULL) < r.rows[0].error);
    assert_int_equal(r.rows[0].parameters, 2 * HEADS * INPUTS + HEADS * 2 * WIDTH);
    skive_factorize_report_free(ctx, &r);
    skive_tensor_free(ctx, &w);
    skive_tensor_free(ctx, &b);
    skive_tensor_free(ctx, &shape);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- the nuclear norm ---- */

/* Singular values 3, 2 and 0.5: with a rate of 0.1 on the parameter's 2, two steps of lambda 1.5 owe 0.6, which a
 * decomposition every two steps takes at once. Vectors stay, and what falls below zero stops there. */
static void singular_values_shrink(void **state) {
    static const double values[3] = {3, 2, 0.5}, after[3] = {2.4, 1.4, 0};
    /* Two orthonormal bases: a rotation by halves, and the axes. */
    static const double u[3][3] = {
        {2 / 3.0, -2 / 3.0, 1 / 3.0}, {2 / 3.0, 1 / 3.0, -2 / 3.0}, {1 / 3.0, 2 / 3.0, 2 / 3.0}};
    skive_context *ctx = skv_test_context();
    skive_value value = {.name = "w", .type = skive_type_make(SKIVE_F32, 2, (int64_t[]){3, 4})};
    float w[12] = {0}, before[12];
    skv_option_values v;
    void *rule = NULL;
    (void)state;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) w[i * 4 + j] = (float)(u[i][j] * values[j]);
    memcpy(before, w, sizeof w);
    skv_param p = {.value = &value, .role = SKV_ROLE_WEIGHT, .n = 12, .seen = w, .weight = w, .rate = 2};
    const skv_step step = {.rate = 0.1};
    skv_options_default(skv_rule_nuclear.options, skv_rule_nuclear.n_options, &v);
    skv_test_ok(ctx, skv_option_set(ctx, NULL, &v, 0, "1.5"));
    skv_test_ok(ctx, skv_option_set(ctx, NULL, &v, 1, "2"));
    skv_test_ok(ctx, skv_rule_nuclear.bind(&(skv_rule_site){.ctx = ctx, .values = &v}, &p, &rule));
    skv_rule_nuclear.after(rule, &p, &step);
    assert_memory_equal(w, before, sizeof w); /* owed */
    skv_rule_nuclear.after(rule, &p, &step);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) {
            const double expected = j < 3 ? u[i][j] * after[j] : 0;
            assert_true(fabs((double)w[i * 4 + j] - expected) < 1e-6);
        }
    skv_rule_nuclear.unbind(ctx, rule);
    skv_test_context_end(ctx);
}

/* ---- memory ---- */

static skive_status fit_again(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skive_dataset *t = NULL;
    skive_factorize_report r = {0};
    skive_factorize_options o = skive_factorize_options_default();
    o.measure = false;
    o.refit = true;
    o.params = "0.7";
    o.samples = 64;
    skive_status status = skive_graph_copy(ctx, user, &g);
    const skive_dataset_options which = skive_dataset_options_default(); /* training */
    if (status == SKIVE_OK) status = skive_dataset_open(ctx, blobs, &which, &t);
    if (status == SKIVE_OK) status = skive_factorize(ctx, g, t, NULL, &o, &r);
    skive_factorize_report_free(ctx, &r);
    skive_dataset_free(t);
    skive_graph_free(g);
    return status;
}

static void memory_may_run_out_while_fitting(void **state) {
    skive_context *ctx = skv_test_context();
    static float w1[8 * PIXELS], w2[CLASSES * 8], none[8];
    (void)state;
    for (int i = 0; i < 8 * PIXELS; i++) w1[i] = (float)(0.2 * skv_rng_normal(1, 1, (uint64_t)i));
    for (int i = 0; i < CLASSES * 8; i++) w2[i] = (float)(0.3 * skv_rng_normal(1, 2, (uint64_t)i));
    const made_layer layers[2] = {{8, PIXELS, w1, none}, {CLASSES, 8, w2, none}};
    skive_graph *g = made_network(ctx, layers, 2, true);
    assert_true(skv_test_walk_allocations(fit_again, g, 23) > 10);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_weigh_the_inputs),
        cmocka_unit_test(each_head_has_a_decomposition),
        cmocka_unit_test(singular_values_shrink),
        cmocka_unit_test(memory_may_run_out_while_fitting),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
