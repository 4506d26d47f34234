/* Forms of weights for a budget of bytes: the budget is kept, the choice is the best of all combinations, and what
 * cannot be reached is refused with the least possible. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <skive/pack.h>
#include <skive/zoo.h>

#include "base/base.h"
#include "support.h"

#include <cmocka.h>

static skive_graph *network(skive_context *ctx) {
    skive_zoo_options o = skive_zoo_options_default();
    skive_graph *g = NULL;
    o.dims[1] = o.dims[2] = 6;
    o.classes = 3;
    skv_test_ok(ctx, skive_zoo_build(ctx, "mlp:12,8", &o, &g));
    return g;
}

static int64_t packed(skive_context *ctx, const skive_graph *g, const skive_pack_options *o, double *harm) {
    skive_pack_report r;
    void *bytes = NULL;
    size_t n = 0;
    skv_test_ok(ctx, skive_pack_serialize(ctx, g, o, &bytes, &n, &r));
    *harm = 0;
    for (size_t i = 0; i < r.n_rows; i++) *harm += r.rows[i].weights ? r.rows[i].error * r.rows[i].error : 0;
    skive_pack_report_free(ctx, &r);
    skive_pack_free_bytes(ctx, bytes);
    return (int64_t)n;
}

static const char *const forms[] = {NULL, "f16", "int8", "int8:32", "int4:32", "int4", "int2:32", "ternary"};
enum { FORMS = 8, LAYERS = 3 };

/* Every combination of forms is packed; none that fits does less harm. */
static void test_best(void **state) {
    static const char *const weights[LAYERS] = {"fc1.weight", "fc2.weight", "fc3.weight"};
    static int64_t bytes[FORMS * FORMS * FORMS];
    static double harm[FORMS * FORMS * FORMS];
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx);
    int64_t least = INT64_MAX, most = 0;
    const int ways = skv_test_sanitized() ? FORMS * FORMS : FORMS * FORMS * FORMS;
    (void)state;
    for (int i = 0; i < ways; i++) {
        skive_pack_options o = skive_pack_options_default();
        skive_pack_choice choices[LAYERS];
        for (int k = 0, rest = i; k < LAYERS; k++, rest /= FORMS)
            if (forms[rest % FORMS]) choices[o.n_choices++] = (skive_pack_choice){weights[k], forms[rest % FORMS]};
        o.choices = choices;
        bytes[i] = packed(ctx, g, &o, &harm[i]);
        least = bytes[i] < least ? bytes[i] : least;
        most = bytes[i] > most ? bytes[i] : most;
    }
    for (int step = 0; step <= 12; step++) {
        const int64_t budget = least + 16 + (most - least) * step / 12;
        skive_pack_options o = skive_pack_options_default();
        skive_pack_fit fit;
        char text[32];
        double best = INFINITY, got;
        snprintf(text, sizeof text, "%lldB", (long long)budget);
        skv_test_ok(ctx, skive_pack_choose(ctx, g, text, NULL, &fit));
        assert_true(fit.budget == budget && fit.file_bytes <= budget);
        o.choices = fit.choices;
        o.n_choices = fit.n_choices;
        assert_true(packed(ctx, g, &o, &got) == fit.file_bytes);
        assert_true(fabs(got - fit.harm) <= 1e-12 + 1e-9 * got);
        /* The frame may cost a few bytes more or less than for other forms: combinations that use the last of them up
         * are left out. */
        for (int i = 0; i < ways; i++)
            if (bytes[i] + 16 <= budget && harm[i] < best) best = harm[i];
        if (got > best * (1 + 1e-9) + 1e-15) fail_msg("%s: harm %g, but %g is possible", text, got, best);
        skive_pack_fit_free(ctx, &fit);
    }
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void test_given(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx);
    const skive_pack_choice given[] = {{"fc1.weight", "int8"}};
    skive_pack_options o = skive_pack_options_default();
    skive_pack_fit fit;
    (void)state;
    o.choices = given;
    o.n_choices = 1;
    skv_test_ok(ctx, skive_pack_choose(ctx, g, "0.5", &o, &fit));
    skive_cost cost;
    skv_test_ok(ctx, skive_graph_cost(g, &cost));
    assert_int_equal(fit.budget, (int64_t)(0.5 * (double)cost.parameter_bytes));
    size_t named = 0;
    for (size_t i = 0; i < fit.n_choices; i++)
        if (strcmp(fit.choices[i].parameter, "fc1.weight") == 0) {
            named++;
            assert_string_equal(fit.choices[i].form, "int8");
        }
    assert_int_equal(named, 1);
    skive_pack_fit_free(ctx, &fit);
    skv_test_fails(ctx, skive_pack_choose(ctx, g, "10B", NULL, &fit), SKIVE_ERR_GOAL, "the least possible is");
    assert_null(fit.choices);
    o.weights = "int8";
    skv_test_fails(ctx, skive_pack_choose(ctx, g, "0.3", &o, &fit), SKIVE_ERR_ARGUMENT, "cannot be combined");
    skv_test_fails(ctx, skive_pack_choose(ctx, g, "much", NULL, &fit), SKIVE_ERR_ARGUMENT, "bytes");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static skive_status all(skive_context *ctx, void *user) {
    skive_zoo_options o = skive_zoo_options_default();
    skive_graph *g = NULL;
    skive_pack_fit fit = {0};
    (void)user;
    o.dims[1] = o.dims[2] = 4;
    o.classes = 2;
    skive_status status = skive_zoo_build(ctx, "mlp:4", &o, &g);
    if (status == SKIVE_OK) status = skive_pack_choose(ctx, g, "900B", NULL, &fit);
    skive_pack_fit_free(ctx, &fit);
    skive_graph_free(g);
    return status;
}

static void test_memory(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(all, NULL, 61) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_best),
        cmocka_unit_test(test_given),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
