/* Kernels chosen by measuring: a plan takes the chosen kernel and gives the same results, training and reference plans
 * do not; the file comes back as it was written, and one that is damaged or of another machine is refused. */
#include <stdio.h>

#include "kernel_fixtures.h"

#include <skive/choices.h>

#include "exec/choices.h"
#include "exec/plan.h"

static skive_graph *network(skive_context *ctx) {
    const int64_t x[4] = {1, 8, 12, 12}, w[4] = {16, 8, 3, 3};
    skive_graph *g = graph(ctx);
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Conv", SKV_IN(input(ctx, g, 4, x), parameter(ctx, g, 4, w, -1, 1)), SKV_NONE);
    give(ctx, g, &b, skv_emit(&b, "Softsign", SKV_IN(y), SKV_NONE));
    return g;
}

static skive_plan *plan_of(skive_context *ctx, const skive_graph *g, bool reference) {
    skive_plan *plan = NULL;
    skive_plan_options o = skive_plan_options_default();
    o.reference = reference;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    return plan;
}

static const skv_plan_step *conv_of(const skive_plan *plan) {
    for (uint32_t i = 0; i < plan->n_steps; i++)
        if (!plan->steps[i].is_reorder && skv_node_is(plan->steps[i].node, SKV_OP_CONV)) return &plan->steps[i];
    fail_msg("no convolution");
    return NULL;
}

/* Choices with one entry: another kernel for the convolution. */
static skive_kernel_choices *other_kernel(skive_context *ctx, const skive_graph *g, const char *kernel) {
    skive_plan *plan = plan_of(ctx, g, false);
    skive_kernel_choices *c = NULL;
    char op[] = "Conv", own[40], usual[] = "the usual one";
    (void)snprintf(own, sizeof own, "%s", kernel);
    skv_test_ok(ctx, skv_alloc_array(ctx, 1, sizeof *c, &c));
    c->ctx = ctx;
    const skv_choice entry = {conv_of(plan)->choice_key, op, own, usual, 0.001, 0.002};
    skv_test_ok(ctx, skv_choice_add(c, &entry));
    skive_plan_free(plan);
    return c;
}

static void expect_kernel(skive_context *ctx, const skive_graph *g, bool reference, const char *kernel, bool is) {
    skive_plan *plan = plan_of(ctx, g, reference);
    const char *name = conv_of(plan)->kernel.kernel->name;
    if ((strcmp(name, kernel) == 0) != is) fail_msg("the kernel is %s", name);
    skive_plan_free(plan);
}

static void is_used(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx);
    skive_tensor usual = {0}, other = {0};
    skive_kernel_choices *c = other_kernel(ctx, g, "conv_columns_f32"), *none = other_kernel(ctx, g, "no_such_kernel");
    run_graph(ctx, g, false, NULL, NULL, &usual);
    expect_kernel(ctx, g, false, "conv_columns_f32", false);
    skv_test_ok(ctx, skive_context_use_choices(ctx, c));
    skive_kernel_choices_free(c);
    expect_kernel(ctx, g, false, "conv_columns_f32", true);
    expect_kernel(ctx, g, true, "reference", true);
    run_graph(ctx, g, false, "conv_columns_f32", NULL, &other);
    skv_test_tensors(&other, &usual, 1e-5, 1e-5);
    skv_test_ok(ctx, skive_context_use_choices(ctx, none));
    skive_kernel_choices_free(none);
    expect_kernel(ctx, g, false, "conv_columns_f32", false);
    skv_test_ok(ctx, skive_context_use_choices(ctx, NULL));
    expect_kernel(ctx, g, false, "conv_columns_f32", false);
    skive_tensor_free(ctx, &usual);
    skive_tensor_free(ctx, &other);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void is_kept(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx);
    char path[] = "/tmp/skive-test-choices-XXXXXX", text[4096] = "", changed[4200];
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    skive_kernel_choices *c = other_kernel(ctx, g, "conv_columns_f32"), *back = NULL;
    skv_test_ok(ctx, skive_kernel_choices_save(ctx, c, path));
    skv_test_ok(ctx, skive_kernel_choices_load(ctx, path, &back));
    assert_int_equal(skive_kernel_choices_count(back), 1);
    skive_kernel_choice x;
    skive_kernel_choices_get(back, 0, &x);
    assert_string_equal(x.op, "Conv");
    assert_string_equal(x.kernel, "conv_columns_f32");
    assert_string_equal(x.usual, "the usual one");
    assert_true(x.seconds == 0.001 && x.usual_seconds == 0.002);
    assert_true(back->items[0].key == c->items[0].key);
    skive_kernel_choices_free(back);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    const size_t n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    text[n / 2] ^= 1; /* damaged */
    write_text(path, text);
    skv_test_fails(ctx, skive_kernel_choices_load(ctx, path, &back), SKIVE_ERR_FORMAT, "skive tune");
    text[n / 2] ^= 1;
    text[n / 3] = '\0'; /* cut short */
    write_text(path, text);
    skv_test_fails(ctx, skive_kernel_choices_load(ctx, path, &back), SKIVE_ERR_FORMAT, "skive tune");
    (void)snprintf(changed, sizeof changed, "skive-kernels 1\tanother processor");
    const unsigned long long sum = skv_hash64(changed, strlen(changed), 3);
    (void)snprintf(changed + strlen(changed), 64, "\nsum %016llx\n", sum);
    write_text(path, changed);
    skv_test_fails(ctx, skive_kernel_choices_load(ctx, path, &back), SKIVE_ERR_UNSUPPORTED, "another machine");
    (void)remove(path);
    skive_kernel_choices_free(c);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Whatever the times are: several kernels are tried, what is chosen is used, and the rest stays. */
static void is_measured(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx);
    skive_kernel_choices *c = NULL;
    skive_tuning_options o = skive_tuning_options_default();
    skive_tuning_report r = {0};
    o.seconds = 0.01;
    o.margin = 0;
    skv_test_ok(ctx, skive_kernels_tune(ctx, g, NULL, &o, &c, &r));
    assert_true(r.plans >= 3); /* the usual one, another, and that of the choices */
    assert_true(r.seconds > 0 && r.seconds <= r.usual_seconds);
    assert_null(skv_context_choices(ctx));
    skv_test_ok(ctx, skive_context_use_choices(ctx, c));
    for (size_t i = 0; i < skive_kernel_choices_count(c); i++) {
        skive_kernel_choice x;
        skive_kernel_choices_get(c, i, &x);
        assert_true(x.seconds < x.usual_seconds && strcmp(x.kernel, x.usual) != 0);
        if (strcmp(x.op, "Conv") == 0) expect_kernel(ctx, g, false, x.kernel, true);
    }
    skive_kernel_choices_free(c);
    o.margin = 1;
    skv_test_fails(ctx, skive_kernels_tune(ctx, g, NULL, &o, &c, NULL), SKIVE_ERR_ARGUMENT, "margin");
    skive_plan_options training = skive_plan_options_default();
    training.training = true;
    skv_test_fails(ctx, skive_kernels_tune(ctx, g, &training, NULL, &c, NULL), SKIVE_ERR_ARGUMENT, "training");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_used),
        cmocka_unit_test(is_kept),
        cmocka_unit_test(is_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
