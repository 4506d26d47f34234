/* Models of 16 bits: their plans compute in float32 and answer in 16 bits as the references do, casts round where the
 * model asks for it, and a model can be made float32 for good, with its names. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <skive/build.h>
#include <skive/exec.h>
#include <skive/quant.h>
#include <skive/session.h>

#include "base/option.h"
#include "graph/graph.h"
#include "graph/op.h"
#include "support.h"
#include <cmocka.h>

enum { N = 2, C = 3, SIDE = 8 };

static skive_value *number(skive_builder *b, const char *name, skive_dtype dtype, int rank, const int64_t *dims,
                           uint64_t seed) {
    skive_context *ctx = b->graph->ctx;
    skive_tensor t = skv_test_random(ctx, dtype, rank, dims, seed, -1, 1);
    skive_value *v = skive_build_parameter(b, name, &t, true);
    skive_tensor_free(ctx, &t);
    return v;
}

static skive_value *op(skive_builder *b, const char *type, const char *name, skive_value *x, skive_value *y,
                       const skive_attribute *a, size_t n) {
    return skive_build_node(b, type, name, (skive_value *[]){x, y}, y ? 2 : 1, a, n, NULL, 1);
}

/* Convolution, activation, a branch that is cast to int32 and back, a sum, a product with scores. */
static skive_graph *network(skive_context *ctx, skive_dtype dtype) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type type = skive_type_make(dtype, 4, (int64_t[]){N, C, SIDE, SIDE});
    skv_test_ok(ctx, skive_graph_create(ctx, "half", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skive_builder b = skive_builder_of(g);
    const skive_attribute pads[] = {skive_attribute_ints("pads", (int64_t[]){1, 1, 1, 1}, 4)};
    skive_value *y = op(&b, "Conv", "conv", x, number(&b, "w", dtype, 4, (int64_t[]){4, C, 3, 3}, 1), pads, 1);
    y = op(&b, "Relu", "relu", y, NULL, NULL, 0);
    const skive_attribute whole[] = {skive_attribute_int("to", SKIVE_I32)}, back[] = {skive_attribute_int("to", dtype)};
    skive_value *z = op(&b, "Cast", "whole", y, NULL, whole, 1);
    z = op(&b, "Cast", "back", z, NULL, back, 1);
    y = op(&b, "Add", "sum", y, z, NULL, 0);
    y = op(&b, "GlobalAveragePool", "pool", y, NULL, NULL, 0);
    y = op(&b, "Flatten", "flat", y, NULL, NULL, 0);
    y = op(&b, "MatMul", "product", y, number(&b, "v", dtype, 2, (int64_t[]){4, 5}, 2), NULL, 0);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skv_value_rename(y, "scores"));
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

static void run(skive_context *ctx, const skive_graph *g, bool reference, const char *const *keep, size_t n_keep,
                size_t *steps_in_16, skive_tensor *out) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor x, y;
    o.reference = reference;
    o.keep = keep;
    o.n_keep = n_keep;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    *steps_in_16 = 0;
    for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
        skive_plan_step s;
        skive_plan_step_get(plan, i, &s);
        if (strcmp(s.op, "Cast") != 0 && strstr(s.output_type, "float16")) ++*steps_in_16;
    }
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &x));
    for (int64_t i = 0; i < skive_tensor_count(&x); i++)
        skive_tensor_set(&x, i, (double)(float)skv_rng_normal(9, 0, (uint64_t)i));
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &y));
    skv_test_ok(ctx, skive_tensor_copy(ctx, &y, out));
    skive_exec_free(exec);
    skive_plan_free(plan);
}

static double furthest(const skive_tensor *a, const skive_tensor *b) {
    double worst = 0, largest = 0;
    assert_int_equal(skive_tensor_count(a), skive_tensor_count(b));
    for (int64_t i = 0; i < skive_tensor_count(a); i++) {
        worst = fmax(worst, fabs(skive_tensor_get(a, i) - skive_tensor_get(b, i)));
        largest = fmax(largest, fabs(skive_tensor_get(a, i)));
    }
    assert_true(largest > 0);
    return worst / largest;
}

/* Numbers between nodes have more bits than the references', which round each: what is told is within that rounding. */
static void plans_compute_in_float32(void **state) {
    static const skive_dtype dtypes[] = {SKIVE_F16, SKIVE_BF16};
    (void)state;
    for (size_t i = 0; i < SKV_LENGTH(dtypes); i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = network(ctx, dtypes[i]);
        skive_tensor exact, y;
        size_t in_16, left;
        run(ctx, g, true, NULL, 0, &in_16, &exact);
        run(ctx, g, false, NULL, 0, &left, &y);
        assert_int_equal(y.dtype, dtypes[i]);
        assert_true(in_16 >= 5 && left == 0);
        assert_true(furthest(&exact, &y) < (dtypes[i] == SKIVE_F16 ? 2e-3 : 2e-2));
        skive_tensor_free(ctx, &y);
        /* A value that is asked for under its name is of the type that it has in the model. */
        run(ctx, g, false,
            (const char *const[]){skive_value_name(skive_node_output(skive_graph_find_node(g, "relu"), 0))}, 1, &left,
            &y);
        assert_int_equal(left, 1);
        assert_true(furthest(&exact, &y) < (dtypes[i] == SKIVE_F16 ? 2e-3 : 2e-2));
        skive_tensor_free(ctx, &y);
        skive_tensor_free(ctx, &exact);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* 1 + 2^-12 is 1 in float16: a cast to it loses the rest, also where float32 would follow. */
static void casts_round(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type type = skive_type_make(SKIVE_F32, 1, (int64_t[]){4});
    const skive_attribute half[] = {skive_attribute_int("to", SKIVE_F16)},
                          full[] = {skive_attribute_int("to", SKIVE_F32)};
    (void)state;
    skv_test_ok(ctx, skive_graph_create(ctx, "casts", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skive_builder b = skive_builder_of(g);
    skive_value *y = op(&b, "Cast", "down", x, NULL, half, 1);
    y = op(&b, "Abs", "abs", y, NULL, NULL, 0);
    y = op(&b, "Cast", "up", y, NULL, full, 1);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor in, out;
    skv_test_ok(ctx, skive_plan_create(ctx, g, NULL, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &in));
    for (int i = 0; i < 4; i++) skive_tensor_set(&in, i, i % 2 ? -(1 + 0x1p-12) : 1 + 0x1p-12);
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &out));
    for (int i = 0; i < 4; i++) assert_true(skive_tensor_get(&out, i) == 1);
    skive_exec_free(exec);
    skive_plan_free(plan);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void expect_float32(const skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_dtype t = g->values[i]->type.dtype;
        if (t != SKIVE_F32 && t != SKIVE_I32) fail_msg("'%s' is %s", g->values[i]->name, skive_dtype_name(t));
    }
}

static void models_become_float32(void **state) {
    static const skive_dtype dtypes[] = {SKIVE_F16, SKIVE_BF16, SKIVE_F64};
    (void)state;
    for (size_t i = 0; i < SKV_LENGTH(dtypes); i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = network(ctx, dtypes[i]), *before = NULL;
        skive_tensor exact, y;
        size_t steps;
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &before));
        skv_test_ok(ctx, skive_graph_to_float32(g));
        skv_test_ok(ctx, skive_graph_check(g));
        expect_float32(g);
        assert_int_equal(g->n_nodes, before->n_nodes); /* no cast is left but the model's own */
        for (uint32_t k = 0; k < before->n_values; k++)
            assert_non_null(skive_graph_find_value(g, before->values[k]->name));
        assert_non_null(strstr(skive_context_note(ctx, skive_context_note_count(ctx) - 1), "float32 from here on"));
        run(ctx, before, true, NULL, 0, &steps, &exact);
        run(ctx, g, false, NULL, 0, &steps, &y);
        assert_true(furthest(&exact, &y) < (dtypes[i] == SKIVE_BF16 ? 2e-2 : dtypes[i] == SKIVE_F16 ? 2e-3 : 1e-5));
        /* Once more changes nothing. */
        const size_t notes = skive_context_note_count(ctx);
        skv_test_ok(ctx, skive_graph_to_float32(g));
        assert_int_equal(skive_context_note_count(ctx), notes);
        skive_tensor_free(ctx, &exact);
        skive_tensor_free(ctx, &y);
        skive_graph_free(before);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* What a method stored with 16 bits stays so: it is float32 to all that computes. */
static void stored_weights_stay(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx, SKIVE_F32);
    (void)state;
    skv_test_ok(ctx, skive_quantize_weights(ctx, g, "f16", NULL, NULL));
    const uint32_t nodes = g->n_nodes;
    skv_test_ok(ctx, skive_graph_to_float32(g));
    assert_int_equal(g->n_nodes, nodes);
    size_t stored = 0;
    for (uint32_t i = 0; i < g->n_values; i++) stored += g->values[i]->storage && g->values[i]->type.dtype == SKIVE_F16;
    assert_int_equal(stored, 2);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static skive_graph *branch(skive_context *ctx, skive_graph *parent, skive_value *captured, const char *type) {
    skive_graph *g = NULL;
    skive_value *own = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, type, &g));
    g->parent = parent;
    skv_test_ok(ctx, skv_graph_new_value(g, captured->name, &own));
    own->outer = captured;
    own->type = captured->type;
    skive_builder b = skive_builder_of(g);
    skive_value *y = op(&b, type, NULL, own, NULL, NULL, 0);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

/* Control flow keeps the types it passes on: what the branches see and give is cast there, and what is behind them. */
static void bodies_compute_in_float32(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL, *before = NULL;
    skive_value *x = NULL, *c = NULL, *y = NULL;
    skive_node *node = NULL;
    const skive_type type = skive_type_make(SKIVE_F16, 1, (int64_t[]){4}), yes = skive_type_make(SKIVE_BOOL, 0, NULL);
    (void)state;
    skv_test_ok(ctx, skive_graph_create(ctx, "flow", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_test_ok(ctx, skive_graph_add_input(g, "c", &yes, &c));
    skive_builder b = skive_builder_of(g);
    skive_value *h = op(&b, "Abs", "abs", x, NULL, NULL, 0);
    skv_test_ok(ctx, skv_graph_new_value(g, NULL, &y));
    skv_test_ok(ctx, skv_graph_new_node(g, "If", NULL, "if", &c, 1, &y, 1, &node));
    skv_test_ok(ctx, skv_node_set_graph_attr(node, "then_branch", branch(ctx, g, h, "Sqrt")));
    skv_test_ok(ctx, skv_node_set_graph_attr(node, "else_branch", branch(ctx, g, h, "Neg")));
    y = op(&b, "Exp", "exp", y, NULL, NULL, 0);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &before));
    skv_test_ok(ctx, skive_graph_to_float32(g));
    skv_test_ok(ctx, skive_graph_check(g));
    const uint32_t nodes = g->n_nodes;
    skv_test_ok(ctx, skive_graph_to_float32(g)); /* again: nothing changes */
    assert_int_equal(g->n_nodes, nodes);
    assert_int_equal(skive_graph_input(g, 0)->type.dtype, SKIVE_F32);
    assert_int_equal(skive_graph_output(g, 0)->type.dtype, SKIVE_F32);
    for (int which = 0; which < 2; which++) {
        const skive_graph *const both[] = {before, g};
        double out[2][4];
        for (int i = 0; i < 2; i++) {
            skive_session *session = NULL;
            skive_tensor in[2], y_of;
            skv_test_ok(ctx, skive_session_create(ctx, both[i], NULL, &session));
            skv_test_ok(ctx, skive_tensor_create(ctx, i ? SKIVE_F32 : SKIVE_F16, 1, (int64_t[]){4}, &in[0]));
            skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_BOOL, 0, NULL, &in[1]));
            for (int k = 0; k < 4; k++) skive_tensor_set(&in[0], k, 0.25 * k - 0.5);
            skive_tensor_set(&in[1], 0, which);
            skv_test_ok(ctx, skive_session_run(session, in, 2, &y_of, 1));
            for (int k = 0; k < 4; k++) out[i][k] = skive_tensor_get(&y_of, k);
            for (int k = 0; k < 2; k++) skive_tensor_free(ctx, &in[k]);
            skive_tensor_free(ctx, &y_of);
            skive_session_free(session);
        }
        for (int k = 0; k < 4; k++) {
            const double u = fabs(0.25 * k - 0.5), expected = exp(which ? sqrt(u) : -u);
            assert_true(fabs(out[0][k] - expected) < 2e-3 && fabs(out[1][k] - expected) < 2e-3);
        }
    }
    skive_graph_free(before);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Inputs and weights that the model gives out, too, keep their places and names; so does a weight of which a copy is
 * cast. */
static void what_is_given_out_keeps_its_name(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *x = NULL, *unread = NULL;
    const skive_type type = skive_type_make(SKIVE_F16, 2, (int64_t[]){2, 4});
    const skive_attribute full[] = {skive_attribute_int("to", SKIVE_F32)};
    (void)state;
    skv_test_ok(ctx, skive_graph_create(ctx, "given", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_test_ok(ctx, skive_graph_add_input(g, "unread", &type, &unread));
    skive_builder b = skive_builder_of(g);
    skive_value *w = number(&b, "w", SKIVE_F16, 2, (int64_t[]){4, 3}, 1);
    skive_value *y = op(&b, "MatMul", "product", x, w, NULL, 0), *z = op(&b, "Cast", "copy", w, NULL, full, 1);
    skive_value *const outputs[] = {y, x, w, unread, z};
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skv_value_rename(y, "y"));
    skv_test_ok(ctx, skv_value_rename(z, "z"));
    for (int i = 0; i < 5; i++) skv_test_ok(ctx, skive_graph_add_output(g, outputs[i]));
    skv_test_ok(ctx, skive_graph_infer(g));
    for (int again = 0; again < 2; again++) {
        static const char *const names[] = {"y", "x", "w", "unread", "z"};
        skv_test_ok(ctx, skive_graph_to_float32(g));
        skv_test_ok(ctx, skive_graph_check(g));
        expect_float32(g);
        assert_int_equal(g->n_nodes, 2);
        for (size_t i = 0; i < 5; i++) assert_string_equal(skive_value_name(skive_graph_output(g, i)), names[i]);
        assert_true(skive_graph_output(g, 1) == skive_graph_input(g, 0));
    }
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Sizes that are computed in double need its digits, and a model of float32 has no other use of it. A model of doubles
 * has masks and divisors that float32 cannot hold. */
static void doubles_that_cannot_be_float32(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_attribute to_double[] = {skive_attribute_int("to", SKIVE_F64)},
                          whole[] = {skive_attribute_int("to", SKIVE_I64)};
    (void)state;
    for (int form = 0; form < 2; form++) {
        const skive_type type = skive_type_make(form ? SKIVE_F64 : SKIVE_F32, 2, (int64_t[]){2, 4});
        skv_test_ok(ctx, skive_graph_create(ctx, "doubles", &g));
        skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
        skive_builder b = skive_builder_of(g);
        skive_tensor t;
        skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F64, 1, (int64_t[]){4}, &t));
        for (int i = 0; i < 4; i++) skive_tensor_set(&t, i, (double[]){-1.797e308, 1e-60, 0, 0.5}[i]);
        skive_value *c = skive_build_parameter(&b, "c", &t, false), *y;
        skive_tensor_free(ctx, &t);
        if (form) {
            y = op(&b, "Add", "sum", x, c, NULL, 0);
        } else {
            y = op(&b, "Shape", "shape", x, NULL, NULL, 0);
            y = op(&b, "Cast", "real", y, NULL, to_double, 1);
            y = op(&b, "Cast", "whole", op(&b, "Floor", "floor", y, NULL, NULL, 0), NULL, whole, 1);
        }
        skv_test_ok(ctx, b.status);
        skv_test_ok(ctx, skive_graph_add_output(g, y));
        if (!form) skv_test_ok(ctx, skive_graph_add_output(g, x));
        skv_test_ok(ctx, skive_graph_infer(g));
        const size_t notes = skive_context_note_count(ctx);
        skv_test_ok(ctx, skive_graph_to_float32(g));
        if (form == 0) {
            assert_int_equal(skive_context_note_count(ctx), notes);
            assert_int_equal(skive_node_output(skive_graph_find_node(g, "floor"), 0)->type.dtype, SKIVE_F64);
        } else {
            const float *data = skive_graph_find_value(g, "c")->storage->tensor.data;
            assert_true(data[0] == -FLT_MAX && data[1] == FLT_MIN && data[2] == 0 && data[3] == 0.5f);
            assert_int_equal(skive_context_note_count(ctx), notes + 2);
        }
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

/* Of a cell whose only output is its last state every step is computed. */
static void a_cell_costs_its_steps(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skive_cost cost;
    const skive_type type = skive_type_make(SKIVE_F32, 3, (int64_t[]){5, 2, 3});
    (void)state;
    skv_test_ok(ctx, skive_graph_create(ctx, "cell", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skive_builder b = skive_builder_of(g);
    skive_value *in[] = {x, number(&b, "w", SKIVE_F32, 3, (int64_t[]){1, 16, 3}, 1),
                         number(&b, "r", SKIVE_F32, 3, (int64_t[]){1, 16, 4}, 2)};
    skive_value *last = NULL, *outputs[2] = {NULL, NULL};
    skive_node *n = NULL;
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skv_graph_new_value(g, "last", &last));
    outputs[1] = last;
    skv_test_ok(ctx, skv_graph_new_node(g, "LSTM", NULL, "cell", in, 3, outputs, 2, &n));
    skv_test_ok(ctx, skv_node_set_attr(n, &SKV_INT("hidden_size", 4)));
    skv_test_ok(ctx, skive_graph_add_output(g, last));
    skv_test_ok(ctx, skive_graph_infer(g));
    skv_test_ok(ctx, skive_graph_cost(g, &cost));
    assert_int_equal(cost.macs, 5 * 2 * (16 * 3 + 16 * 4));
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static skive_status convert(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    SKV_TRY(skive_graph_copy(ctx, user, &g));
    skive_status status = skive_graph_to_float32(g);
    if (status == SKIVE_OK) status = skive_graph_check(g);
    skive_graph_free(g);
    return status;
}

static void memory_may_run_out(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx, SKIVE_F16);
    (void)state;
    assert_true(skv_test_walk_allocations(convert, g, 1) > 10);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_compute_in_float32),
        cmocka_unit_test(casts_round),
        cmocka_unit_test(models_become_float32),
        cmocka_unit_test(stored_weights_stay),
        cmocka_unit_test(bodies_compute_in_float32),
        cmocka_unit_test(what_is_given_out_keeps_its_name),
        cmocka_unit_test(doubles_that_cannot_be_float32),
        cmocka_unit_test(a_cell_costs_its_steps),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
