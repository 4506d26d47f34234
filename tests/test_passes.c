/* The passes of a plan, one by one: the graph before and after, bit-identical results, and graphs that must not change.
 * (Those that keep a model standard ONNX are tested in test_attention.c, the fusions around convolutions in test_exec.c
 * and test_int8.c.) */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <skive/exec.h>

#include "graph/graph.h"
#include "passes/pass.h"
#include "support.h"
#include "tensor/tensor.h"

#include <cmocka.h>

typedef struct maker {
    skive_context *ctx;
    skive_graph *g;
    skv_builder b;
} maker;

static maker start(skive_context *ctx) {
    maker m = {.ctx = ctx};
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &m.g));
    m.b = skv_build(m.g);
    return m;
}

static skive_value *input(maker *m, skive_dtype dtype, int rank, const int64_t *dims) {
    const skive_type t = skive_type_make(dtype, rank, dims);
    skive_value *v = NULL;
    skv_test_ok(m->ctx, skive_graph_add_input(m->g, NULL, &t, &v));
    return v;
}

static skive_value *parameter(maker *m, skive_dtype dtype, int rank, const int64_t *dims, double low, double high) {
    skive_tensor t = skv_test_random(m->ctx, dtype, rank, dims, 9, low, high);
    skive_value *v = NULL;
    skv_test_ok(m->ctx, skive_graph_add_parameter(m->g, NULL, &t, &v));
    skive_tensor_free(m->ctx, &t);
    return v;
}

static skive_value *number(maker *m, skive_dtype dtype, double x) { return skv_emit_scalar(&m->b, dtype, x); }
static skive_value *one(maker *m, const char *op, skive_value *x) { return skv_emit(&m->b, op, SKV_IN(x), SKV_NONE); }
static skive_value *grid(maker *m, const char *op, skive_value *x, double scale, skive_dtype dtype, double zero) {
    return skv_emit(&m->b, op, SKV_IN(x, number(m, SKIVE_F32, scale), number(m, dtype, zero)), SKV_NONE);
}
static void output(maker *m, skive_value *y) {
    skv_test_ok(m->ctx, m->b.status);
    skv_test_ok(m->ctx, skive_graph_add_output(m->g, y));
}

static size_t count(const skive_graph *g, const char *op) {
    size_t n = 0;
    for (size_t i = 0; i < skive_graph_node_count(g); i++) n += strcmp(skive_node_op(skive_graph_node(g, i)), op) == 0;
    return n;
}

/* By the references, node by node, or as a plan runs it. */
static void run(skive_context *ctx, const skive_graph *g, bool reference, skive_tensor *out) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor view;
    o.reference = o.no_fusion = reference;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    for (size_t i = 0; i < skive_plan_input_count(plan); i++) {
        skv_test_ok(ctx, skive_exec_input(exec, i, &view));
        for (int64_t k = 0; k < skive_tensor_count(&view); k++)
            skive_tensor_set(&view, k, (skv_dtype_is_float(view.dtype) ? 2 : 90) * skv_rng_normal(5, i, (uint64_t)k));
    }
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
    skv_test_ok(ctx, skive_tensor_copy(ctx, &view, out));
    skive_exec_free(exec);
    skive_plan_free(plan);
}

/* One run of the pass over a copy: so many changes, and the same numbers, by the references and in a plan. */
static skive_graph *passed(skive_context *ctx, const skive_graph *g, const char *name, size_t changes) {
    const skv_pass_env env = {.ctx = ctx};
    const skv_pass *pass = skv_pass_find(name);
    skive_graph *copy = NULL;
    skive_tensor before, after, whole;
    size_t made = 0;
    assert_non_null(pass);
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &copy));
    skv_test_ok(ctx, skive_graph_infer(copy));
    skv_test_ok(ctx, pass->run(&env, copy, &made));
    assert_int_equal(made, changes);
    skv_test_ok(ctx, skive_graph_infer(copy));
    skv_test_ok(ctx, skive_graph_check(copy));
    run(ctx, g, true, &before);
    run(ctx, copy, true, &after);
    run(ctx, g, false, &whole);
    assert_true(skv_tensor_same(&before, &after));
    assert_true(skv_tensor_same(&before, &whole));
    skive_tensor_free(ctx, &before);
    skive_tensor_free(ctx, &after);
    skive_tensor_free(ctx, &whole);
    return copy;
}

static void end(skive_graph *g, skive_graph *copy, skive_context *ctx) {
    skive_graph_free(g);
    skive_graph_free(copy);
    skv_test_context_end(ctx);
}

/* ---- fold-if ---- */

static skive_graph *branch(maker *m, skive_value *x, const char *op) {
    skive_graph *sub = NULL;
    skive_value *captured = NULL;
    skv_test_ok(m->ctx, skive_graph_create(m->ctx, NULL, &sub));
    sub->parent = m->g;
    skv_test_ok(m->ctx, skv_graph_new_value(sub, NULL, &captured));
    captured->outer = x;
    captured->type = x->type;
    skv_builder b = skv_build(sub);
    skive_value *y = skv_emit(&b, op, SKV_IN(captured), SKV_NONE);
    skv_test_ok(m->ctx, b.status);
    skv_test_ok(m->ctx, skive_graph_add_output(sub, y));
    return sub;
}

/* An If whose branches are one op each, on a value of the graph around them. */
static skive_value *branches(maker *m, skive_value *condition, skive_value *then_sees, const char *then_op,
                             skive_value *else_sees, const char *else_op) {
    skive_value *y = NULL;
    skive_node *n = skv_emit_n(&m->b, "If", SKV_IN(condition), SKV_NONE, &y, 1);
    skv_test_ok(m->ctx, m->b.status);
    skv_test_ok(m->ctx, skv_node_set_graph_attr(n, "then_branch", branch(m, then_sees, then_op)));
    skv_test_ok(m->ctx, skv_node_set_graph_attr(n, "else_branch", branch(m, else_sees, else_op)));
    return y;
}

static void known_branches_are_taken(void **state) {
    const int64_t dims[2] = {3, 4};
    (void)state;
    for (int condition = 0; condition < 2; condition++) {
        skive_context *ctx = skv_test_context();
        maker m = start(ctx);
        skive_value *x = input(&m, SKIVE_F32, 2, dims);
        output(&m, one(&m, "Relu", branches(&m, number(&m, SKIVE_BOOL, condition), x, "Neg", x, "Abs")));
        const skv_pass_env env = {.ctx = ctx};
        size_t changes = 0;
        skv_test_ok(ctx, skive_graph_infer(m.g));
        skv_test_ok(ctx, skv_pass_find("fold-if")->run(&env, m.g, &changes));
        skv_test_ok(ctx, skive_graph_check(m.g));
        assert_int_equal(changes, 1);
        assert_int_equal(count(m.g, "If"), 0);
        assert_int_equal(count(m.g, "Neg"), condition);
        assert_int_equal(count(m.g, "Abs"), 1 - condition);
        skive_tensor y_now;
        run(ctx, m.g, true, &y_now);
        for (int64_t i = 0; i < 12; i++) {
            const double v = (double)(float)(2 * skv_rng_normal(5, 0, (uint64_t)i));
            assert_true(skive_tensor_get(&y_now, i) == (condition ? fmax(-v, 0) : fabs(v)));
        }
        skive_tensor_free(ctx, &y_now);
        end(m.g, NULL, ctx);
    }
}

/* What a branch sees stays: no pass fuses across it, and its node cannot be removed. */
static void what_branches_see_stays(void **state) {
    const int64_t image[4] = {1, 2, 5, 5}, filters[4] = {3, 2, 3, 3}, three = 3;
    (void)state;
    skive_context *ctx = skv_test_context();
    maker m = start(ctx);
    skive_value *x = input(&m, SKIVE_F32, 4, image), *condition = input(&m, SKIVE_BOOL, 0, NULL);
    skive_value *conv = skv_emit(&m.b, "Conv", SKV_IN(x, parameter(&m, SKIVE_F32, 4, filters, -1, 1)), SKV_NONE);
    skive_value *bn =
        skv_emit(&m.b, "BatchNormalization",
                 SKV_IN(conv, parameter(&m, SKIVE_F32, 1, &three, 0.5, 2), parameter(&m, SKIVE_F32, 1, &three, -1, 1),
                        parameter(&m, SKIVE_F32, 1, &three, -1, 1), parameter(&m, SKIVE_F32, 1, &three, 0.5, 2)),
                 SKV_NONE);
    output(&m, branches(&m, condition, conv, "Neg", bn, "Abs"));
    const skv_pass_env env = {.ctx = ctx};
    size_t changes = 0;
    skv_test_ok(ctx, skive_graph_infer(m.g));
    assert_true(skv_value_is_captured(conv) && skv_value_is_read(bn) && !skv_value_is_captured(x));
    assert_int_equal(skv_graph_remove_node(bn->producer), SKIVE_ERR_GRAPH);
    skv_test_ok(ctx, skv_passes_run(&env, m.g, SKV_PASS_CLEAN | SKV_PASS_INFERENCE | SKV_PASS_EXECUTE, &changes));
    skv_test_ok(ctx, skive_graph_check(m.g));
    assert_int_equal(count(m.g, "Conv"), 1);
    assert_int_equal(count(m.g, "BatchNormalization"), 1);
    end(m.g, NULL, ctx);
}

/* What is replaced takes those who see it along: a constant that a branch reads too is still computed once. */
static void what_branches_see_is_folded(void **state) {
    const int64_t dims[2] = {3, 4};
    (void)state;
    skive_context *ctx = skv_test_context();
    maker m = start(ctx);
    skive_value *condition = input(&m, SKIVE_BOOL, 0, NULL);
    skive_value *constant = one(&m, "Neg", parameter(&m, SKIVE_F32, 2, dims, -1, 1));
    skive_value *y = branches(&m, condition, constant, "Exp", constant, "Abs");
    output(&m, skv_emit(&m.b, "Add", SKV_IN(y, constant), SKV_NONE));
    const skv_pass_env env = {.ctx = ctx};
    size_t changes = 0;
    skv_test_ok(ctx, skive_graph_infer(m.g));
    skv_test_ok(ctx, skv_pass_find("fold-constants")->run(&env, m.g, &changes));
    skv_test_ok(ctx, skive_graph_check(m.g));
    assert_int_equal(changes, 1);
    assert_int_equal(count(m.g, "Neg"), 0);
    end(m.g, NULL, ctx);
}

/* What is computed from a number that runs replace, or that is trained, is no constant of a training plan. */
static void what_changes_is_not_folded(void **state) {
    const int64_t dims[2] = {3, 4};
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        for (int training = 0; training < 2; training++) {
            skive_context *ctx = skv_test_context();
            maker m = start(ctx);
            skive_value *x = input(&m, SKIVE_F32, 2, dims), *p = parameter(&m, SKIVE_F32, 2, dims, -1, 1);
            p->trainable = kind == 1;
            p->state = kind == 2;
            output(&m, skv_emit(&m.b, "Add", SKV_IN(x, one(&m, "Neg", p)), SKV_NONE));
            const skv_pass_env env = {.ctx = ctx, .training = training == 1};
            size_t changes = 0;
            skv_test_ok(ctx, skive_graph_infer(m.g));
            skv_test_ok(ctx, skv_pass_find("fold-constants")->run(&env, m.g, &changes));
            assert_int_equal(count(m.g, "Neg"), training && kind > 0);
            end(m.g, NULL, ctx);
        }
    }
}

static void what_branches_see_must_be_defined(void **state) {
    const int64_t dims[2] = {3, 4};
    (void)state;
    skive_context *ctx = skv_test_context();
    maker m = start(ctx);
    skive_value *condition = input(&m, SKIVE_BOOL, 0, NULL), *nothing = NULL;
    skv_test_ok(ctx, skv_graph_new_value(m.g, "nothing", &nothing));
    nothing->type = input(&m, SKIVE_F32, 2, dims)->type;
    skv_test_ok(ctx, skive_graph_check(m.g));
    output(&m, branches(&m, condition, nothing, "Exp", nothing, "Abs"));
    skv_test_fails(ctx, skive_graph_check(m.g), SKIVE_ERR_GRAPH, "'nothing' is used but nothing defines it");
    end(m.g, NULL, ctx);
}

/* ---- plain-shapes ---- */

/* x.view(x.size(0), -1) and its like, with an open batch: the sizes that are known, 0 where one is copied. */
static void computed_shapes_become_constant(void **state) {
    (void)state;
    for (int how = 0; how < 5; how++) {
        skive_context *ctx = skv_test_context();
        maker m = start(ctx);
        skive_value *x = NULL;
        const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {3, NULL}, {2, NULL}, {4, NULL}}};
        skv_test_ok(ctx, skive_graph_add_input(m.g, "x", &type, &x));
        skive_value *sizes = one(&m, "Shape", x);
        skive_value *first = skv_emit(&m.b, "Gather", SKV_IN(sizes, number(&m, SKIVE_I64, 0)), SKV_NONE);
        skive_value *batch =
            skv_emit(&m.b, "Unsqueeze", SKV_IN(first, skv_emit_ints(&m.b, (const int64_t[]){0}, 1)), SKV_NONE);
        skive_value *rest = skv_emit(
            &m.b, "Slice",
            SKV_IN(sizes, skv_emit_ints(&m.b, (const int64_t[]){1}, 1), skv_emit_ints(&m.b, (const int64_t[]){99}, 1)),
            SKV_NONE);
        skive_value *two = skv_emit_ints(&m.b, (const int64_t[]){2}, 1);
        skive_value *all = skv_emit(&m.b, "ReduceProd", SKV_IN(rest), SKV_ATTRS(SKV_INT("keepdims", 1)));
        skive_value *half = skv_emit(&m.b, "Div", SKV_IN(all, two), SKV_NONE);
        skive_value *end = how == 0   ? skv_emit_ints(&m.b, (const int64_t[]){-1}, 1)
                           : how == 1 ? all
                           : how == 2 ? rest
                           : how == 3 ? one(&m, "Neg", batch) /* not of sizes alone */
                                      : skv_emit(&m.b, "Concat", SKV_IN(two, half), SKV_ATTRS(SKV_INT("axis", 0)));
        skive_value *shape = skv_emit(&m.b, "Concat", SKV_IN(batch, end), SKV_ATTRS(SKV_INT("axis", 0)));
        output(&m, one(&m, "Relu", skv_emit(&m.b, "Reshape", SKV_IN(one(&m, "Abs", x), shape), SKV_NONE)));
        skv_test_ok(ctx, skive_graph_infer(m.g));
        const skv_pass_env env = {.ctx = ctx};
        size_t changes = 0;
        skv_test_ok(ctx, skv_pass_find("plain-shapes")->run(&env, m.g, &changes));
        const skive_node *reshape = m.g->outputs[0]->producer->inputs[0]->producer;
        assert_true((skv_value_tensor(reshape->inputs[1]) != NULL) == (how != 3));
        assert_true(changes >= 1); /* the sizes that are known become constants by themselves */
        (void)skv_graph_sweep(m.g);
        skv_test_ok(ctx, skive_graph_infer(m.g));
        assert_int_equal(count(m.g, "Shape"), how != 3 ? 0 : 1);
        const skive_type *y = &m.g->outputs[0]->type;
        if (how < 2) assert_true(y->rank == 2 && y->dims[1].size == 24 && strcmp(y->dims[0].symbol, "N") == 0);
        if (how == 4) assert_true(y->rank == 3 && y->dims[1].size == 2 && y->dims[2].size == 12);
        if (how == 2) assert_true(y->rank == 4 && y->dims[3].size == 4 && strcmp(y->dims[0].symbol, "N") == 0);
        skive_graph_free(m.g);
        skv_test_context_end(ctx);
    }
}

/* token.expand(x.size(0), -1, -1) and token.repeat(x.size(0), 1, 1) as exporters write them, and a number computed with
 * a size that is known beside one that is open. */
static void open_lists_name_no_known_sizes(void **state) {
    static const char *const ops[] = {"Expand", "Tile"};
    (void)state;
    for (int how = 0; how < 3; how++) {
        skive_context *ctx = skv_test_context();
        maker m = start(ctx);
        skive_value *x = NULL;
        const skive_type type = {.dtype = SKIVE_F32, .rank = 3, .dims = {{-1, "N"}, {5, NULL}, {4, NULL}}};
        skv_test_ok(ctx, skive_graph_add_input(m.g, "x", &type, &x));
        const int64_t dims[3] = {1, 1, 4};
        skive_tensor t = skv_test_random(ctx, SKIVE_F32, 3, dims, 3, -1, 1);
        skive_value *token = NULL;
        skv_test_ok(ctx, skive_graph_add_parameter(m.g, "token", &t, &token));
        skive_tensor_free(ctx, &t);
        skive_value *sizes = one(&m, "Shape", x);
        skive_value *batch =
            skv_emit(&m.b, "Unsqueeze",
                     SKV_IN(skv_emit(&m.b, "Gather", SKV_IN(sizes, number(&m, SKIVE_I64, 0)), SKV_NONE),
                            skv_emit_ints(&m.b, (const int64_t[]){0}, 1)),
                     SKV_NONE);
        skive_value *stays = skv_emit_ints(&m.b, (const int64_t[]){-1, -1}, 2);
        skive_value *width = skv_emit(
            &m.b, "Slice",
            SKV_IN(sizes, skv_emit_ints(&m.b, (const int64_t[]){2}, 1), skv_emit_ints(&m.b, (const int64_t[]){3}, 1)),
            SKV_NONE);
        skive_value *ones = skv_emit_ints(&m.b, (const int64_t[]){1, 1, 1}, 3);
        skive_value *none = skv_emit_ints(&m.b, (const int64_t[]){-1, -1, -1}, 3);
        const skv_attr_list axis = SKV_ATTRS(SKV_INT("axis", 0));
        skive_value *list = skv_emit(&m.b, "Concat", SKV_IN(batch, stays), axis);
        if (how == 0)
            list = skv_emit(&m.b, "Where", SKV_IN(skv_emit(&m.b, "Equal", SKV_IN(list, none), SKV_NONE), ones, list),
                            SKV_NONE);
        else /* 1, and the width where it is only repeated */
            list = skv_emit(&m.b, "Concat",
                            SKV_IN(batch, skv_emit_ints(&m.b, (const int64_t[]){1}, 1),
                                   how == 1 ? skv_emit_ints(&m.b, (const int64_t[]){1}, 1) : width),
                            axis);
        skive_value *y = skv_emit(&m.b, ops[how == 1], SKV_IN(token, list), SKV_NONE);
        output(&m, skv_emit(&m.b, "Concat", SKV_IN(y, x), SKV_ATTRS(SKV_INT("axis", 1))));
        skv_test_ok(ctx, m.b.status);
        skv_test_ok(ctx, skive_graph_infer(m.g));
        skive_graph *before = NULL;
        skv_test_ok(ctx, skive_graph_copy(ctx, m.g, &before));
        skv_test_ok(ctx, skv_pass_plain_channels(ctx, m.g));
        skv_test_ok(ctx, skive_graph_check(m.g));
        const skive_node *node = m.g->outputs[0]->producer->inputs[0]->producer;
        const skive_node *joined = node->inputs[1]->producer;
        assert_true(skv_node_is(joined, SKV_OP_CONCAT) && joined->n_inputs >= 2);
        const skive_tensor *end = skv_value_tensor(joined->inputs[joined->n_inputs - 1]);
        assert_non_null(end);
        assert_true(skive_tensor_get(end, skive_tensor_count(end) - 1) == 1);
        const skive_type *made = &m.g->outputs[0]->type;
        assert_true(made->rank == 3 && made->dims[1].size == 6 && made->dims[2].size == 4);
        assert_true(made->dims[0].symbol && strcmp(made->dims[0].symbol, "N") == 0);
        assert_int_equal(count(m.g, "Where") + count(m.g, "Equal") + count(m.g, "Slice"), 0);
        for (int64_t n = 1; n <= 3; n += 2) { /* the same numbers, whatever the batch */
            skive_tensor results[2];
            for (int k = 0; k < 2; k++) {
                skive_plan_options o = skive_plan_options_default();
                skive_plan *plan = NULL;
                skive_exec *exec = NULL;
                skive_tensor in, out;
                o.batch = n;
                skv_test_ok(ctx, skive_plan_create(ctx, k ? m.g : before, &o, &plan));
                skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
                skv_test_ok(ctx, skive_exec_input(exec, 0, &in));
                for (int64_t i = 0; i < skive_tensor_count(&in); i++) skive_tensor_set(&in, i, (double)i);
                skv_test_ok(ctx, skive_exec_run(exec));
                skv_test_ok(ctx, skive_exec_output(exec, 0, &out));
                skv_test_ok(ctx, skive_tensor_copy(ctx, &out, &results[k]));
                skive_exec_free(exec);
                skive_plan_free(plan);
            }
            assert_int_equal(results[0].dims[0], n);
            assert_int_equal(skive_tensor_bytes(&results[0]), skive_tensor_bytes(&results[1]));
            assert_memory_equal(results[0].data, results[1].data, skive_tensor_bytes(&results[0]));
            for (int k = 0; k < 2; k++) skive_tensor_free(ctx, &results[k]);
        }
        skive_graph_free(before);
        skive_graph_free(m.g);
        skv_test_context_end(ctx);
    }
}

/* ---- fold-batchnorm ---- */

/* Along whichever axis the weight has its output channels; a ConvTranspose in groups has only part of them there. */
static void batchnorm_is_folded(void **state) {
    static const struct {
        const char *op;
        int rank;
        int64_t x[4], w[4];
        const char *attr;
        int64_t is;
        size_t left;
    } cases[] = {
        {"Conv", 4, {2, 2, 5, 4}, {3, 2, 3, 2}, "group", 1, 0},
        {"ConvTranspose", 4, {2, 2, 5, 4}, {2, 3, 3, 2}, "group", 1, 0},
        {"ConvTranspose", 4, {2, 6, 5, 4}, {6, 1, 3, 2}, "group", 3, 1},
        {"DeformConv", 4, {2, 2, 5, 4}, {3, 2, 3, 2}, "group", 1, 0},
        {"Gemm", 2, {2, 5}, {5, 3}, "transB", 0, 0},
        {"Gemm", 2, {2, 5}, {3, 5}, "transB", 1, 0},
    };
    const int64_t three = 3, shifts[4] = {2, 12, 3, 3};
    (void)state;
    for (size_t i = 0; i < SKV_COUNT(cases); i++) {
        skive_context *ctx = skv_test_context();
        maker m = start(ctx);
        skive_value *x = input(&m, SKIVE_F32, cases[i].rank, cases[i].x);
        skive_value *in[3] = {x, parameter(&m, SKIVE_F32, cases[i].rank, cases[i].w, -1, 1)};
        const bool deform = strcmp(cases[i].op, "DeformConv") == 0;
        if (deform) in[2] = parameter(&m, SKIVE_F32, 4, shifts, -0.5, 0.5);
        x = skv_emit(&m.b, cases[i].op, (skv_in_list){in, deform ? 3 : 2},
                     SKV_ATTRS(SKV_INT(cases[i].attr, cases[i].is)));
        x = skv_emit(&m.b, "BatchNormalization",
                     SKV_IN(x, parameter(&m, SKIVE_F32, 1, &three, 0.5, 2), parameter(&m, SKIVE_F32, 1, &three, -1, 1),
                            parameter(&m, SKIVE_F32, 1, &three, -1, 1), parameter(&m, SKIVE_F32, 1, &three, 0.5, 2)),
                     SKV_NONE);
        output(&m, one(&m, "Identity", x));
        skive_graph *before = NULL;
        skive_tensor want, got;
        size_t changes = 0;
        skv_test_ok(ctx, skive_graph_infer(m.g));
        skv_test_ok(ctx, skive_graph_copy(ctx, m.g, &before));
        const skv_pass_env env = {.ctx = ctx};
        skv_test_ok(ctx, skv_pass_find("fold-batchnorm")->run(&env, m.g, &changes));
        skv_test_ok(ctx, skive_graph_check(m.g));
        assert_int_equal(count(m.g, "BatchNormalization"), cases[i].left);
        assert_int_equal(changes, 1 - cases[i].left);
        run(ctx, before, true, &want);
        run(ctx, m.g, true, &got);
        for (int64_t k = 0; k < skive_tensor_count(&want); k++)
            assert_true(fabs(skive_tensor_get(&want, k) - skive_tensor_get(&got, k)) < 1e-5);
        skive_tensor_free(ctx, &want);
        skive_tensor_free(ctx, &got);
        end(m.g, before, ctx);
    }
}

/* ---- spread-qlinear ---- */

/* Weights as asked for; activations of x_dtype. */
static skive_graph *q_linear(maker *m, bool conv, skive_dtype x_dtype, skive_dtype w_dtype, double w_zero,
                             double spread, bool channels) {
    const int64_t image[4] = {1, 4, 6, 5}, filters[4] = {8, 4, 3, 3}, rows[2] = {5, 12}, weights[2] = {12, 8},
                  eight = 8;
    skive_value *x = conv ? input(m, x_dtype, 4, image) : input(m, x_dtype, 2, rows);
    skive_value *w = parameter(m, w_dtype, conv ? 4 : 2, conv ? filters : weights, w_zero - spread, w_zero + spread);
    skive_value *w_scale = channels ? parameter(m, SKIVE_F32, 1, &eight, 0.01, 0.05) : number(m, SKIVE_F32, 0.03);
    skive_value *in[9] = {x,       number(m, SKIVE_F32, 0.02), number(m, x_dtype, 7),      w,
                          w_scale, number(m, w_dtype, w_zero), number(m, SKIVE_F32, 0.11), number(m, x_dtype, 9)};
    if (channels) {
        in[5] = parameter(m, w_dtype, 1, &eight, w_zero, w_zero);
        if (conv) in[8] = parameter(m, SKIVE_I32, 1, &eight, -500, 500);
    }
    output(m, skv_emit(&m->b, conv ? "QLinearConv" : "QLinearMatMul", (skv_in_list){in, in[8] ? 9 : 8}, SKV_NONE));
    return m->g;
}

static void q_linear_is_spread(void **state) {
    (void)state;
    for (int which = 0; which < 16; which++) {
        const bool conv = which & 1, s8 = which & 2, shifted = which & 4, channels = which & 8;
        skive_context *ctx = skv_test_context();
        maker m = start(ctx);
        skive_graph *g = q_linear(&m, conv, s8 ? SKIVE_I8 : SKIVE_U8, shifted ? SKIVE_U8 : SKIVE_I8, shifted ? 120 : 0,
                                  90, channels);
        skive_graph *copy = NULL;
        const skv_pass_env env = {.ctx = ctx};
        size_t changes = 0;
        skive_tensor exact, planned;
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &copy));
        skv_test_ok(ctx, skive_graph_infer(copy));
        skv_test_ok(ctx, skv_pass_find("spread-qlinear")->run(&env, copy, &changes));
        skv_test_ok(ctx, skive_graph_check(copy));
        assert_int_equal(changes, 1);
        assert_int_equal(count(copy, conv ? "QLinearConv" : "QLinearMatMul"), 0);
        assert_int_equal(count(copy, conv ? "Conv" : "MatMul"), 1);
        assert_int_equal(count(copy, "QuantizeLinear"), 1);
        /* The plan makes an integer node of it, which gives the operator's own integers. */
        run(ctx, g, true, &exact);
        run(ctx, g, false, &planned);
        assert_true(skv_tensor_same(&exact, &planned));
        skive_tensor_free(ctx, &exact);
        skive_tensor_free(ctx, &planned);
        end(g, copy, ctx);
    }
    /* Weights further than 127 from their zero point have no int8 form. */
    skive_context *ctx = skv_test_context();
    maker m = start(ctx);
    skive_graph *g = q_linear(&m, true, SKIVE_U8, SKIVE_U8, 3, 250, false);
    end(g, passed(ctx, g, "spread-qlinear", 0), ctx);
}

/* ---- unsigned-activations, sink-dequantize ---- */

static void signed_activations_become_unsigned(void **state) {
    const int64_t dims[3] = {2, 3, 4}, two = 2;
    (void)state;
    skive_context *ctx = skv_test_context();
    maker m = start(ctx);
    skive_value *x = input(&m, SKIVE_F32, 3, dims), *q = grid(&m, "QuantizeLinear", x, 0.05, SKIVE_I8, -4);
    output(&m, one(&m, "Relu", grid(&m, "DequantizeLinear", q, 0.05, SKIVE_I8, -4)));
    skive_graph *copy = passed(ctx, m.g, "unsigned-activations", 1);
    for (size_t i = 0; i < skive_graph_node_count(copy); i++) {
        const skive_node *n = skive_graph_node(copy, i);
        if (!skv_node_is(n, SKV_OP_QUANTIZE_LINEAR)) continue;
        assert_int_equal(n->outputs[0]->type.dtype, SKIVE_U8);
        assert_true(skive_tensor_get(skv_value_tensor(n->inputs[2]), 0) == 124);
    }
    end(m.g, copy, ctx);
    /* Who reads the integers themselves keeps them; scales by channel are left alone. */
    ctx = skv_test_context();
    m = start(ctx);
    q = grid(&m, "QuantizeLinear", input(&m, SKIVE_F32, 1, &two), 0.05, SKIVE_I8, 0);
    output(&m, q);
    output(&m, grid(&m, "DequantizeLinear", q, 0.05, SKIVE_I8, 0));
    end(m.g, passed(ctx, m.g, "unsigned-activations", 0), ctx);
}

static void elements_move_as_bytes(void **state) {
    const int64_t dims[3] = {2, 3, 4};
    (void)state;
    skive_context *ctx = skv_test_context();
    maker m = start(ctx);
    skive_value *q = grid(&m, "QuantizeLinear", input(&m, SKIVE_F32, 3, dims), 0.05, SKIVE_U8, 100);
    skive_value *moved = skv_emit(&m.b, "Transpose", SKV_IN(grid(&m, "DequantizeLinear", q, 0.05, SKIVE_U8, 100)),
                                  SKV_ATTRS(SKV_INTS("perm", ((const int64_t[]){2, 0, 1}), 3)));
    output(&m, one(&m, "Neg", one(&m, "Flatten", moved)));
    skive_graph *copy = passed(ctx, m.g, "sink-dequantize", 2);
    for (size_t i = 0; i < skive_graph_node_count(copy); i++) {
        const skive_node *n = skive_graph_node(copy, i);
        if (skv_node_is(n, SKV_OP_TRANSPOSE) || skv_node_is(n, SKV_OP_FLATTEN))
            assert_int_equal(n->outputs[0]->type.dtype, SKIVE_U8);
    }
    assert_int_equal(count(copy, "DequantizeLinear"), 1);
    end(m.g, copy, ctx);
}

/* ---- fuse-dynamic ---- */

static skive_value *dynamic_product(maker *m, skive_value **sums) {
    const int64_t rows[3] = {2, 5, 12}, weights[2] = {12, 8}, eight = 8;
    skive_value *q[3] = {NULL};
    (void)skv_emit_n(&m->b, "DynamicQuantizeLinear", SKV_IN(input(m, SKIVE_F32, 3, rows)), SKV_NONE, q, 3);
    skive_value *w = parameter(m, SKIVE_I8, 2, weights, -127, 127);
    *sums = skv_emit(&m->b, "MatMulInteger", SKV_IN(q[0], w, q[2]), SKV_NONE);
    skive_value *real = skv_emit(&m->b, "Cast", SKV_IN(*sums), SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
    skive_value *scale = skv_emit(&m->b, "Mul", SKV_IN(q[1], parameter(m, SKIVE_F32, 1, &eight, 0.01, 0.02)), SKV_NONE);
    return skv_emit(&m->b, "Mul", SKV_IN(real, scale), SKV_NONE);
}

static void dynamic_products_end_in_floats(void **state) {
    skive_value *sums;
    (void)state;
    skive_context *ctx = skv_test_context();
    maker m = start(ctx);
    output(&m, dynamic_product(&m, &sums));
    skive_graph *copy = passed(ctx, m.g, "fuse-dynamic", 1);
    assert_int_equal(count(copy, "MatMulIntegerToFloat"), 1);
    assert_int_equal(count(copy, "Cast"), 0);
    end(m.g, copy, ctx);
    ctx = skv_test_context();
    m = start(ctx);
    output(&m, dynamic_product(&m, &sums));
    output(&m, sums); /* wanted for itself */
    end(m.g, passed(ctx, m.g, "fuse-dynamic", 0), ctx);
}

static skive_value *dynamic_convolution(maker *m, bool bias, bool relu) {
    const int64_t image[4] = {2, 6, 5, 5}, weights[4] = {8, 6, 3, 3}, filters[3] = {8, 1, 1}, pads[4] = {1, 1, 1, 1};
    skive_value *q[3] = {NULL};
    (void)skv_emit_n(&m->b, "DynamicQuantizeLinear", SKV_IN(input(m, SKIVE_F32, 4, image)), SKV_NONE, q, 3);
    skive_value *sums =
        skv_emit(&m->b, "ConvInteger", SKV_IN(q[0], parameter(m, SKIVE_I8, 4, weights, -127, 127), q[2]),
                 SKV_ATTRS(SKV_INTS("pads", pads, 4)));
    skive_value *y = skv_emit(&m->b, "Cast", SKV_IN(sums), SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
    skive_value *scale =
        skv_emit(&m->b, "Mul", SKV_IN(q[1], parameter(m, SKIVE_F32, 3, filters, 0.01, 0.02)), SKV_NONE);
    y = skv_emit(&m->b, "Mul", SKV_IN(y, scale), SKV_NONE);
    if (bias) y = skv_emit(&m->b, "Add", SKV_IN(y, parameter(m, SKIVE_F32, 3, filters, -1, 1)), SKV_NONE);
    return relu ? skv_emit(&m->b, "Relu", SKV_IN(y), SKV_NONE) : y;
}

static void dynamic_convolutions_end_in_floats(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        skive_context *ctx = skv_test_context();
        maker m = start(ctx);
        output(&m, dynamic_convolution(&m, kind & 1, kind & 2));
        skive_graph *copy = passed(ctx, m.g, "fuse-dynamic", 1);
        assert_int_equal(count(copy, "ConvIntegerToFloat"), 1);
        assert_int_equal(count(copy, "Cast") + count(copy, "Add") + count(copy, "Relu"), 0);
        assert_int_equal(count(copy, "Mul"), 1); /* of the scales */
        end(m.g, copy, ctx);
    }
}

/* ---- square-powers ---- */

static void squares_are_products(void **state) {
    const int64_t dims[2] = {3, 4}, one_by_one[3] = {1, 1, 1};
    (void)state;
    skive_context *ctx = skv_test_context();
    maker m = start(ctx);
    skive_value *x = input(&m, SKIVE_F32, 2, dims);
    skive_value *square = skv_emit(&m.b, "Pow", SKV_IN(x, number(&m, SKIVE_F32, 2)), SKV_NONE);
    skive_value *cube = skv_emit(&m.b, "Pow", SKV_IN(square, number(&m, SKIVE_F32, 3)), SKV_NONE);
    output(&m, cube);
    skive_graph *copy = passed(ctx, m.g, "square-powers", 1);
    assert_int_equal(count(copy, "Pow"), 1);
    assert_int_equal(count(copy, "Mul"), 1);
    end(m.g, copy, ctx);
    ctx = skv_test_context();
    m = start(ctx);
    x = input(&m, SKIVE_F32, 2, dims);
    output(&m, skv_emit(&m.b, "Pow", SKV_IN(x, parameter(&m, SKIVE_F32, 3, one_by_one, 2, 2)), SKV_NONE));
    end(m.g, passed(ctx, m.g, "square-powers", 0), ctx); /* its exponent gives it a dimension */
}

/* ---- einsum-products ---- */

static void einsum_is_a_product(void **state) {
    static const struct {
        const char *equation;
        int rank[2];
        int64_t dims[2][4];
        size_t changes;
    } cases[] = {
        {"ij,jk->ik", {2, 2}, {{3, 4}, {4, 5}}, 1},
        {"ij,kj->ki", {2, 2}, {{3, 4}, {5, 4}}, 1},
        {"bij,bjk->bik", {3, 3}, {{2, 3, 4}, {2, 4, 5}}, 1},
        {"bhid,bhjd->bhij", {4, 4}, {{2, 3, 4, 5}, {2, 3, 6, 5}}, 1},
        {"bihd,bjhd->bhij", {4, 4}, {{2, 4, 3, 5}, {2, 6, 3, 5}}, 1},
        {"bhij,bjhd->bihd", {4, 4}, {{2, 3, 4, 6}, {2, 6, 3, 5}}, 1},
        {"nchw,cd->nhwd", {4, 2}, {{2, 3, 4, 5}, {3, 6}}, 1},
        {"i,j->ij", {1, 1}, {{3}, {4}}, 1},
        {"i,i->", {1, 1}, {{5}, {5}}, 1},
        {"i,i->i", {1, 1}, {{5}, {5}}, 1},
        {"abc,bcd->da", {3, 3}, {{2, 3, 4}, {3, 4, 5}}, 1},
        {"...ij,...jk->...ik", {3, 3}, {{2, 3, 4}, {2, 4, 5}}, 1},
        {"...ij,...jk->...ik", {3, 3}, {{1, 3, 4}, {2, 4, 5}}, 0}, /* broadcasts */
        {"ij,jk->i", {2, 2}, {{3, 4}, {4, 5}}, 0},                 /* k is a sum over one operand */
        {"ij,jk->k", {2, 2}, {{3, 4}, {4, 5}}, 0},
        {"ii,ij->j", {2, 2}, {{3, 3}, {3, 5}}, 0},
    };
    (void)state;
    for (size_t k = 0; k < SKV_COUNT(cases); k++) {
        skive_context *ctx = skv_test_context();
        const skv_pass_env env = {.ctx = ctx};
        maker m = start(ctx);
        skive_value *x = input(&m, SKIVE_F32, cases[k].rank[0], cases[k].dims[0]),
                    *y = input(&m, SKIVE_F32, cases[k].rank[1], cases[k].dims[1]);
        output(&m, skv_emit(&m.b, "Einsum", SKV_IN(x, y), SKV_ATTRS(SKV_STR("equation", cases[k].equation))));
        skive_graph *copy = NULL;
        skive_tensor before, after, fast;
        size_t made = 0;
        skv_test_ok(ctx, skive_graph_copy(ctx, m.g, &copy));
        skv_test_ok(ctx, skive_graph_infer(copy));
        skv_test_ok(ctx, skv_pass_find("einsum-products")->run(&env, copy, &made));
        if (made != cases[k].changes) fail_msg("%s: %zu changes", cases[k].equation, made);
        skv_test_ok(ctx, skive_graph_infer(copy));
        skv_test_ok(ctx, skive_graph_check(copy));
        assert_int_equal(count(copy, "Einsum"), 1 - (int)made);
        run(ctx, m.g, true, &before);
        run(ctx, copy, true, &after);
        run(ctx, m.g, false, &fast);
        skv_test_tensors(&after, &before, 1e-6, 1e-6);
        skv_test_tensors(&fast, &before, 1e-5, 1e-5);
        skive_tensor_free(ctx, &before);
        skive_tensor_free(ctx, &after);
        skive_tensor_free(ctx, &fast);
        end(m.g, copy, ctx);
    }
}

/* ---- fuse-swish, fuse-tail ---- */

/* As passed(), where results may round otherwise. */
static skive_graph *nearly_passed(skive_context *ctx, const skive_graph *g, const char *name, size_t changes) {
    const skv_pass_env env = {.ctx = ctx};
    skive_graph *copy = NULL;
    skive_tensor before, after, fast;
    size_t made = 0;
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &copy));
    skv_test_ok(ctx, skive_graph_infer(copy));
    skv_test_ok(ctx, skv_pass_find(name)->run(&env, copy, &made));
    assert_int_equal(made, changes);
    skv_test_ok(ctx, skive_graph_infer(copy));
    skv_test_ok(ctx, skive_graph_check(copy));
    run(ctx, g, true, &before);
    run(ctx, copy, true, &after);
    run(ctx, g, false, &fast);
    skv_test_tensors(&after, &before, 1e-6, 1e-6);
    skv_test_tensors(&fast, &before, 1e-5, 1e-5);
    skive_tensor_free(ctx, &before);
    skive_tensor_free(ctx, &after);
    skive_tensor_free(ctx, &fast);
    return copy;
}

static void swish_is_found(void **state) {
    const int64_t dims[2] = {3, 40};
    (void)state;
    for (int form = 0; form < 5; form++) {
        skive_context *ctx = skv_test_context();
        maker m = start(ctx);
        skive_value *x = input(&m, SKIVE_F32, 2, dims), *argument = x;
        if (form == 1) argument = skv_emit(&m.b, "Mul", SKV_IN(x, number(&m, SKIVE_F32, 1.702)), SKV_NONE);
        if (form == 2) argument = one(&m, "Neg", x);
        skive_value *gate = one(&m, "Sigmoid", argument);
        output(&m, form == 4 ? skv_emit(&m.b, "Mul", SKV_IN(gate, gate), SKV_NONE)
                             : skv_emit(&m.b, "Mul", SKV_IN(gate, x), SKV_NONE));
        if (form == 3) output(&m, gate); /* wanted for itself */
        skive_graph *copy = nearly_passed(ctx, m.g, "fuse-swish", form < 2);
        assert_int_equal(count(copy, "Swish"), form < 2);
        end(m.g, copy, ctx);
    }
}

/* x [2][5][12] by a matrix, and what follows: one node in the end, or what cannot join stays. */
static void products_take_their_tails(void **state) {
    static const struct {
        int bias_rank; /* 0: none */
        bool wrong_bias, residual, two_matrices;
        const char *activation;
        size_t changes;
    } cases[] = {
        {.bias_rank = 1, .activation = "Gelu", .changes = 2},
        {.bias_rank = 2, .residual = true, .activation = "Relu", .changes = 3},
        {.residual = true, .changes = 1},
        {.activation = "Tanh", .changes = 1},
        {.bias_rank = 1, .wrong_bias = true},
        {.bias_rank = 1, .two_matrices = true, .activation = "Relu"},
    };
    const int64_t left[3] = {2, 5, 12}, right[3] = {2, 12, 8}, result[3] = {2, 5, 8}, row[2] = {1, 8}, one_number = 1;
    (void)state;
    for (size_t k = 0; k < SKV_COUNT(cases); k++) {
        skive_context *ctx = skv_test_context();
        maker m = start(ctx);
        skive_value *x = input(&m, SKIVE_F32, 3, left), *w = cases[k].two_matrices
                                                                 ? parameter(&m, SKIVE_F32, 3, right, -1, 1)
                                                                 : parameter(&m, SKIVE_F32, 2, right + 1, -1, 1);
        skive_value *y = skv_emit(&m.b, "MatMul", SKV_IN(x, w), SKV_NONE);
        if (cases[k].bias_rank) {
            skive_value *bias = cases[k].wrong_bias
                                    ? parameter(&m, SKIVE_F32, 1, &one_number, -1, 1)
                                    : parameter(&m, SKIVE_F32, cases[k].bias_rank, row + 2 - cases[k].bias_rank, -1, 1);
            y = k % 2 ? skv_emit(&m.b, "Add", SKV_IN(y, bias), SKV_NONE)
                      : skv_emit(&m.b, "Add", SKV_IN(bias, y), SKV_NONE);
        }
        if (cases[k].residual) y = skv_emit(&m.b, "Add", SKV_IN(y, input(&m, SKIVE_F32, 3, result)), SKV_NONE);
        if (cases[k].activation) y = one(&m, cases[k].activation, y);
        output(&m, y);
        skive_graph *copy = nearly_passed(ctx, m.g, "fuse-tail", cases[k].changes);
        assert_int_equal(count(copy, "FusedGemm"), cases[k].changes > 0);
        assert_int_equal(count(copy, "MatMul"), cases[k].changes == 0);
        end(m.g, copy, ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(swish_is_found),
        cmocka_unit_test(products_take_their_tails),
        cmocka_unit_test(known_branches_are_taken),
        cmocka_unit_test(what_branches_see_stays),
        cmocka_unit_test(computed_shapes_become_constant),
        cmocka_unit_test(open_lists_name_no_known_sizes),
        cmocka_unit_test(batchnorm_is_folded),
        cmocka_unit_test(what_branches_see_is_folded),
        cmocka_unit_test(what_changes_is_not_folded),
        cmocka_unit_test(what_branches_see_must_be_defined),
        cmocka_unit_test(q_linear_is_spread),
        cmocka_unit_test(signed_activations_become_unsigned),
        cmocka_unit_test(elements_move_as_bytes),
        cmocka_unit_test(dynamic_products_end_in_floats),
        cmocka_unit_test(dynamic_convolutions_end_in_floats),
        cmocka_unit_test(squares_are_products),
        cmocka_unit_test(einsum_is_a_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
