/* Bits of codebooks under a budget: against all combinations, harm against the gradients of a product worked out by
 * hand, the way to the budget within a limit on the loss, and what is refused. */
#include "train_fixtures.h"

#include <skive/share.h>

enum { LAYERS = 3, BITS = SKIVE_SHARE_MAX_BITS };

/* Layers of different sizes whose weights are nothing alike. */
static skive_graph *network(skive_context *ctx) {
    static float w1[8 * PIXELS], w2[6 * 8], w3[CLASSES * 6], none[8];
    for (int i = 0; i < 8 * PIXELS; i++) w1[i] = (float)(0.1 * skv_rng_normal(3, 1, (uint64_t)i));
    for (int i = 0; i < 6 * 8; i++) w2[i] = (float)pow(skv_rng_normal(3, 2, (uint64_t)i), 3);
    for (int i = 0; i < CLASSES * 6; i++) w3[i] = (float)skv_rng_uniform(3, 3, (uint64_t)i);
    const made_layer layers[LAYERS] = {{8, PIXELS, w1, none}, {6, 8, w2, none}, {CLASSES, 6, w3, none}};
    return made_network(ctx, layers, LAYERS, true);
}

static double squares_of(const skive_graph *g, const char *name, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)data_of(g, name)[i] * (double)data_of(g, name)[i];
    return sum;
}

/* What each layer would lose and take at each width, from runs with one width for all. */
static void all_widths(const skive_graph *g, double harm[LAYERS][BITS], double bytes[LAYERS][BITS]) {
    skive_context *ctx = g->ctx;
    for (int bits = 1; bits <= BITS; bits++) {
        skive_graph *copy = NULL;
        skive_share_options o = skive_share_options_default();
        skive_share_report r;
        o.bits = bits;
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &copy));
        skv_test_ok(ctx, skive_share(ctx, copy, NULL, NULL, &o, &r));
        assert_int_equal(r.n_layers, LAYERS);
        for (int l = 0; l < LAYERS; l++) {
            const skive_share_layer *row = &r.layers[l];
            assert_true(isnan(row->harm));
            bytes[l][bits - 1] = (double)row->bytes;
            harm[l][bits - 1] = row->mse * (double)row->count / squares_of(g, row->parameter, row->count);
        }
        assert_true(isnan(r.budget));
        skive_share_report_free(ctx, &r);
        skive_graph_free(copy);
    }
}

static double best_of_all(double harm[LAYERS][BITS], double bytes[LAYERS][BITS], double budget) {
    double best = INFINITY;
    for (int a = 0; a < BITS; a++)
        for (int b = 0; b < BITS; b++)
            for (int c = 0; c < BITS; c++)
                if (bytes[0][a] + bytes[1][b] + bytes[2][c] <= budget)
                    best = fmin(best, harm[0][a] + harm[1][b] + harm[2][c]);
    return best;
}

static void the_least_harm_within_the_budget(void **state) {
    static const char *const budgets[] = {"0.065", "0.09", "0.12", "180", "25%", "1"};
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx);
    double harm[LAYERS][BITS], bytes[LAYERS][BITS], before = INFINITY;
    (void)state;
    all_widths(g, harm, bytes);
    for (size_t i = 0; i < SKV_LENGTH(budgets); i++) {
        skive_graph *copy = NULL;
        skive_share_options o = skive_share_options_default();
        skive_share_report r;
        o.bytes = budgets[i];
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &copy));
        skv_test_ok(ctx, skive_share(ctx, copy, NULL, NULL, &o, &r));
        const double budget = i == 3 ? 180 : 4 * (double)r.count * (i == 4 ? 0.25 : atof(budgets[i]));
        assert_true(fabs(r.budget - budget) < 1e-9);
        assert_true(r.allocation.exact && (double)r.bytes <= budget);
        double sum = 0;
        for (int l = 0; l < LAYERS; l++) sum += r.layers[l].harm;
        assert_true(fabs(sum - r.allocation.harm) <= 1e-9 * sum);
        assert_true(fabs(sum - best_of_all(harm, bytes, budget)) <= 1e-6 * sum);
        if (i != 3) {
            assert_true(sum <= before);
            before = sum;
        }
        for (int l = 0; l < LAYERS; l++) /* the codebooks are those of their widths */
            assert_true(fabs(r.layers[l].harm - harm[l][r.layers[l].bits - 1]) <= 1e-6 * harm[l][r.layers[l].bits - 1]);
        skive_share_report_free(ctx, &r);
        skive_graph_free(copy);
    }
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* The gradient of the loss of a product is (probability - label) times the pixel. */
static void harm_is_the_rise_of_the_loss(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = linear_scores(ctx, 4);
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_dataset_info info;
    skive_share_options o = skive_share_options_default();
    skive_share_report r;
    float w[PIXELS * CLASSES], x[PIXELS];
    double fisher[PIXELS * CLASSES] = {0}, p[CLASSES], expected = 0;
    (void)state;
    memcpy(w, data_of(g, "w"), sizeof w);
    skive_dataset_get_info(t, &info);
    assert_true(info.count <= SKIVE_SHARE_SAMPLES);
    for (size_t i = 0; i < (size_t)info.count; i++) {
        int64_t label;
        skv_test_ok(ctx, skive_dataset_read(ctx, t, i, x, &label));
        log_softmax_of(w, x, 1, p);
        for (int k = 0; k < PIXELS; k++)
            for (int c = 0; c < CLASSES; c++) {
                const double d = (exp(p[c]) - (c == label)) * (double)x[k];
                fisher[k * CLASSES + c] += d * d / (double)info.count;
            }
    }
    o.bytes = "0.15";
    o.plain = true;
    skv_test_ok(ctx, skive_share(ctx, g, t, NULL, &o, &r));
    for (int i = 0; i < PIXELS * CLASSES; i++) {
        const double off = (double)data_of(g, "w")[i] - (double)w[i];
        expected += 0.5 * fisher[i] * off * off;
    }
    assert_int_equal(r.n_layers, 1);
    assert_true(r.layers[0].bits > 1 && expected > 0);
    assert_true(fabs(r.layers[0].harm - expected) <= 1e-4 * expected);
    assert_int_equal(skive_context_note_count(ctx), 0); /* the data are used */
    skive_share_report_free(ctx, &r);
    skive_dataset_free(t);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static double accuracy(skive_context *ctx, const skive_graph *g, skive_dataset *v) {
    skive_eval_report r = {0};
    skv_test_ok(ctx, skive_evaluate(ctx, g, v, 0, &r));
    const double a = 100 * r.accuracy;
    skive_eval_report_free(ctx, &r);
    return a;
}

/* The result is the furthest trial that was within the limit; a wider limit takes no more bytes. */
static void as_few_bits_as_the_limit_allows(void **state) {
    static const double limits[] = {0, 3, 100};
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false);
    skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN), *v = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    const skive_train_options train = settings(6, 32);
    int64_t bytes = INT64_MAX;
    (void)state;
    skv_test_ok(ctx, skive_train(ctx, g, t, NULL, &train, NULL, 0, NULL));
    const double before = accuracy(ctx, g, v);
    for (size_t i = 0; i < SKV_LENGTH(limits); i++) {
        skive_graph *copy = NULL;
        skive_share_options o = skive_share_options_default();
        skive_share_report r;
        size_t furthest = 0;
        o.max_drop = limits[i];
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &copy));
        skv_test_ok(ctx, skive_share(ctx, copy, t, v, &o, &r));
        const skive_control_report *c = &r.control;
        for (size_t k = 0; k < c->n_trials; k++) {
            assert_true(c->trials[k].within == (c->trials[k].drop <= limits[i] + 1e-9));
            if (c->trials[k].within && c->trials[k].applied > furthest) furthest = c->trials[k].applied;
        }
        assert_int_equal(c->trials[0].applied, SKIVE_SHARE_LEVELS);
        assert_int_equal(c->applied, furthest);
        assert_true(fabs(before - accuracy(ctx, copy, v) - c->drop) < 1e-6 && c->drop <= limits[i] + 1e-9);
        assert_true(r.bytes <= bytes && (double)r.bytes <= r.budget);
        bytes = r.bytes;
        if (limits[i] == 100)
            for (size_t l = 0; l < r.n_layers; l++) assert_int_equal(r.layers[l].bits, 1);
        skive_share_report_free(ctx, &r);
        skive_graph_free(copy);
    }
    /* Both: not beyond the budget. */
    skive_share_options o = skive_share_options_default();
    skive_share_report r;
    o.max_drop = 100;
    o.bytes = "0.2";
    skv_test_ok(ctx, skive_share(ctx, g, t, v, &o, &r));
    assert_true(fabs(r.budget - 0.8 * (double)r.count) < 1e-9 && r.control.applied == SKIVE_SHARE_LEVELS);
    assert_true((double)r.bytes <= r.budget && r.bytes > bytes);
    skive_share_report_free(ctx, &r);
    skive_dataset_free(t);
    skive_dataset_free(v);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void what_cannot_be_is_refused(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx);
    const uint64_t was = fingerprint(g);
    (void)state;
#define REFUSE(code, text, ...)                                                     \
    do {                                                                            \
        skive_share_options o = skive_share_options_default();                      \
        __VA_ARGS__;                                                                \
        skv_test_fails(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL), code, text); \
    } while (0)
    REFUSE(SKIVE_ERR_GOAL, "smallest that can be reached, 69 ", o.bytes = "10");
    REFUSE(SKIVE_ERR_ARGUMENT, "bytes", o.bytes = "2ms");
    REFUSE(SKIVE_ERR_ARGUMENT, "hashing has no indices", o.bytes = "0.1"; o.hash = 4);
    REFUSE(SKIVE_ERR_ARGUMENT, "one codebook for all", o.bytes = "0.1"; o.one_codebook = true);
    REFUSE(SKIVE_ERR_ARGUMENT, "one codebook for all", o.max_drop = 1; o.one_codebook = true);
    REFUSE(SKIVE_ERR_ARGUMENT, "validation set", o.max_drop = 1);
    REFUSE(SKIVE_ERR_ARGUMENT, "max-drop", o.max_drop = 101);
#undef REFUSE
    assert_int_equal(skive_graph_node_count(g), 6);
    assert_true(fingerprint(g) == was);
    /* A dry run tells the choice and changes nothing. */
    skive_share_options o = skive_share_options_default();
    skive_share_report r;
    o.bytes = "0.1";
    o.dry_run = true;
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &o, &r));
    assert_true(fingerprint(g) == was && (double)r.bytes <= 0.4 * (double)r.count && r.allocation.exact);
    skive_share_report_free(ctx, &r);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_harm_within_the_budget), cmocka_unit_test(harm_is_the_rise_of_the_loss),
        cmocka_unit_test(as_few_bits_as_the_limit_allows), cmocka_unit_test(what_cannot_be_is_refused)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
