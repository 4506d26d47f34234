/* Plans and passes on whole networks: the fast plan against the reference, fusion, folding, memory, taps. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <skive/exec.h>
#include <skive/zoo.h>

#include "exec/plan.h"
#include "support.h"

#include <cmocka.h>

static skive_graph *network(skive_context *ctx, const char *spec, int64_t channels, int64_t size) {
    skive_graph *g = NULL;
    skive_zoo_options o = skive_zoo_options_default();
    o.dims[0] = channels;
    o.dims[1] = o.dims[2] = size;
    skv_test_ok(ctx, skive_zoo_build(ctx, spec, &o, &g));
    /* Statistics that do something. */
    for (size_t i = 0; i < skive_graph_value_count(g); i++) {
        skive_value *v = skive_graph_value(g, i);
        const skive_tensor *t = skive_value_data(v);
        if (!t || !strstr(skive_value_name(v), "running")) continue;
        skive_tensor random = skv_test_random(ctx, SKIVE_F32, t->rank, t->dims, i, 0.5, 1.5);
        skv_test_ok(ctx, skive_value_set_data(v, &random));
        skive_tensor_free(ctx, &random);
    }
    return g;
}

static skive_plan *plan_of(skive_context *ctx, const skive_graph *g, int64_t batch, bool reference, bool no_fusion) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    o.batch = batch;
    o.reference = reference;
    o.no_fusion = no_fusion;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    return plan;
}

static void run_plan(skive_context *ctx, const skive_plan *plan, skive_tensor *out) {
    skive_exec *exec = NULL;
    skive_tensor in, view;
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &in));
    float *x = in.data;
    for (int64_t i = 0; i < skive_tensor_count(&in); i++) x[i] = (float)skv_rng_normal(11, 0, (uint64_t)i);
    /* Twice: the first run must not leave anything behind that changes the second. */
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
    skv_test_ok(ctx, skive_tensor_copy(ctx, &view, out));
    skive_exec_free(exec);
}

static size_t count_steps(const skive_plan *plan, const char *op) {
    size_t n = 0;
    for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
        skive_plan_step s;
        skive_plan_step_get(plan, i, &s);
        n += strcmp(s.op, op) == 0;
    }
    return n;
}

static const struct {
    const char *spec;
    int64_t channels, size;
} networks[] = {{"lenet5", 1, 28},       {"vgg-small:0.3", 3, 20},  {"resnet20", 3, 32},        {"resnet18:0.2", 3, 64},
                {"resnet50:0.1", 3, 64}, {"mobilenet:0.25", 3, 32}, {"mobilenetv2:0.3", 3, 32}, {"mlp:30,20", 1, 12}};

static void fast_plans_agree_with_the_reference(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        for (int64_t batch = 1; batch <= 3; batch += 2) {
            skive_context *ctx = skv_test_context();
            skive_graph *g = network(ctx, networks[i].spec, networks[i].channels, networks[i].size);
            skive_plan *fast = plan_of(ctx, g, batch, false, false), *slow = plan_of(ctx, g, batch, true, false);
            skive_plan *single = plan_of(ctx, g, batch, false, true);
            skive_tensor a, b, c;
            run_plan(ctx, fast, &a);
            run_plan(ctx, slow, &b);
            run_plan(ctx, single, &c);
            double top = 0;
            for (int64_t k = 0; k < skive_tensor_count(&b); k++) top = fmax(top, fabs(skive_tensor_get(&b, k)));
            skv_test_tensors(&a, &b, 1e-3, 1e-4 * top);
            skv_test_tensors(&c, &b, 1e-3, 1e-4 * top);
            /* Everything foldable is folded, everything that follows a convolution is in it. */
            assert_int_equal(count_steps(fast, "BatchNormalization"), 0);
            assert_int_equal(count_steps(fast, "Add"), 0);
            assert_int_equal(count_steps(fast, "Clip"), 0);
            if (strncmp(networks[i].spec, "resnet", 6) == 0) assert_int_equal(count_steps(fast, "Relu"), 0);
            assert_true(skive_plan_step_count(fast) < skive_plan_step_count(single));
            skive_tensor_free(ctx, &a);
            skive_tensor_free(ctx, &b);
            skive_tensor_free(ctx, &c);
            skive_plan_free(fast);
            skive_plan_free(slow);
            skive_plan_free(single);
            skive_graph_free(g);
            skv_test_context_end(ctx);
        }
    }
}

/* No two slots that are alive at the same time may overlap, and all lie in the arena. */
static void memory_does_not_overlap(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx, "resnet20", 3, 32);
    skive_plan *plan = plan_of(ctx, g, 2, false, false);
    size_t sum = 0, scratch = 0;
    (void)state;
    for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
        skive_plan_step step;
        skive_plan_step_get(plan, i, &step);
        if (step.scratch_bytes > scratch) scratch = step.scratch_bytes;
    }
    for (uint32_t i = 0; i < plan->n_slots; i++) {
        const skv_plan_slot *a = &plan->slots[i];
        if (a->kind != SKV_SLOT_ARENA || a->alias != i) continue;
        sum += a->bytes;
        assert_true(a->offset % 64 == 0 && a->offset + a->bytes <= plan->arena_bytes);
        for (uint32_t k = i + 1; k < plan->n_slots; k++) {
            const skv_plan_slot *b = &plan->slots[k];
            if (b->kind != SKV_SLOT_ARENA || b->alias != k) continue;
            const bool together = a->first <= b->last && b->first <= a->last;
            const bool apart = a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset;
            assert_true(!together || apart);
        }
    }
    assert_true(plan->arena_bytes < sum / 2 + scratch); /* memory is used again */
    skive_plan_free(plan);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void unknown_dimensions_are_asked_for(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_plan *plan = NULL;
    skive_value *x = NULL;
    skive_node *n = NULL;
    const skive_type t = {.dtype = SKIVE_F32, .rank = 2, .dims = {{-1, "N"}, {-1, "length"}}};
    (void)state;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &t, &x));
    skv_test_ok(ctx, skive_graph_add_node(g, "Relu", NULL, &x, 1, 1, &n));
    skv_test_ok(ctx, skive_graph_add_output(g, skive_node_output(n, 0)));
    skv_test_fails(ctx, skive_plan_create(ctx, g, NULL, &plan), SKIVE_ERR_SHAPE, "length");
    skive_shape_binding b = {.input = "x", .rank = 2, .dims = {2, 5}};
    skive_plan_options o = skive_plan_options_default();
    o.shapes = &b;
    o.n_shapes = 1;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skive_plan_free(plan);
    b.input = "z";
    skv_test_fails(ctx, skive_plan_create(ctx, g, &o, &plan), SKIVE_ERR_ARGUMENT, "'z'");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- taps ---- */

typedef struct seen {
    int count[2];
    double sum[2];
} seen;

static skive_status look(void *user, size_t index, const skive_tensor *t) {
    seen *s = user;
    s->count[index]++;
    s->sum[index] = 0;
    for (int64_t i = 0; i < skive_tensor_count(t); i++) s->sum[index] += skive_tensor_get(t, i);
    return SKIVE_OK;
}

/* A kept value is computed as such, in whatever layout the kernels use, and shown once a run. */
static void kept_values_are_shown(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx, "lenet5", 1, 28);
    const char *keep[2] = {"conv1.Conv", "input"};
    double first = 0;
    (void)state;
    for (int way = 0; way < 3; way++) {
        skive_plan_options o = skive_plan_options_default();
        skive_plan *plan = NULL;
        skive_exec *exec = NULL;
        skive_tensor in;
        seen s = {{0}, {0}};
        o.keep = keep;
        o.n_keep = 2;
        o.reference = way == 0;
        o.keep_layout = way == 2;
        skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
        skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
        skv_test_ok(ctx, skive_exec_input(exec, 0, &in));
        for (int64_t i = 0; i < 784; i++) ((float *)in.data)[i] = (float)i / 784.0f;
        skive_exec_set_tap(exec, look, &s);
        skv_test_ok(ctx, skive_exec_run(exec));
        skv_test_ok(ctx, skive_exec_run(exec));
        assert_int_equal(s.count[0], 2);
        assert_int_equal(s.count[1], 2);
        assert_float_equal(s.sum[1], 391.5, 0.01);
        if (way == 0) first = s.sum[0];
        assert_true(fabs(s.sum[0] - first) < 1e-3 * fabs(first) + 0.05);
        skive_exec_free(exec);
        skive_plan_free(plan);
    }
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* What is not a number is not hidden by the kernels. */
static void nan_passes_through_relu(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type t = skive_type_make(SKIVE_F32, 2, (const int64_t[]){1, 40});
    skive_tensor in = skv_test_random(ctx, SKIVE_F32, 2, (const int64_t[]){1, 40}, 1, -1, 1), out;
    (void)state;
    skv_test_ok(ctx, skive_graph_create(ctx, "test", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &t, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Relu", SKV_IN(x), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    for (int i = 3; i < 40; i += 9) ((float *)in.data)[i] = NAN;
    skv_test_ok(ctx, skive_graph_run(ctx, g, &in, 1, &out, 1));
    for (int i = 0; i < 40; i++) assert_int_equal(isnan(((float *)out.data)[i]) != 0, i % 9 == 3);
    skive_tensor_free(ctx, &in);
    skive_tensor_free(ctx, &out);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_plans_agree_with_the_reference),
        cmocka_unit_test(memory_does_not_overlap),
        cmocka_unit_test(unknown_dimensions_are_asked_for),
        cmocka_unit_test(kept_values_are_shown),
        cmocka_unit_test(nan_passes_through_relu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
