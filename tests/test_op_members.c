/* What an op's record says of the op as a whole, checked against what its reference computes on the record's cases:
 * that it only moves elements (motion), and that an element of the output depends on the inputs' elements at its
 * position alone (pointwise). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "graph/graph.h"
#include "graph/op.h"
#include "support.h"
#include "tensor/tensor.h"

typedef struct trial {
    skive_context *ctx;
    const skv_op *op;
    const skv_op_case *kase;
    skive_graph *graph;
    skive_node *node;
    skive_tensor in[SKV_OP_MAX_IO], out[SKV_OP_MAX_IO];
} trial;

static void must(const trial *t, skive_status status) {
    if (status != SKIVE_OK) fail_msg("%s, case \"%s\": %s", t->op->name, t->kase->name, skive_context_message(t->ctx));
}

static void fill(trial *t, size_t i) {
    const skv_case_in *c = &t->kase->in[i];
    const double lo = c->lo == 0 && c->hi == 0 ? -1 : c->lo, hi = c->lo == 0 && c->hi == 0 ? 1 : c->hi;
    must(t, skive_tensor_create(t->ctx, c->dtype, c->rank, c->dims, &t->in[i]));
    for (int64_t e = 0; e < skive_tensor_count(&t->in[i]); e++)
        skive_tensor_set(&t->in[i], e,
                         c->values ? c->values[e] : lo + (hi - lo) * skv_rng_uniform(11, (uint64_t)i, (uint64_t)e));
}

static void start(trial *t, const skv_op *op, const skv_op_case *kase) {
    skive_value *in[SKV_OP_MAX_IO] = {NULL}, *out[SKV_OP_MAX_IO] = {NULL};
    *t = (trial){.ctx = skv_test_context(), .op = op, .kase = kase};
    must(t, skive_graph_create(t->ctx, "case", &t->graph));
    for (size_t i = 0; i < kase->n_in; i++) {
        const skv_case_in *c = &kase->in[i];
        if (c->absent) continue;
        fill(t, i);
        const skive_type type = skive_type_make(c->dtype, c->rank, c->dims);
        must(t, c->constant ? skive_graph_add_parameter(t->graph, NULL, &t->in[i], &in[i])
                            : skive_graph_add_input(t->graph, NULL, &type, &in[i]));
    }
    for (size_t i = 0; i < kase->n_out; i++) must(t, skv_graph_new_value(t->graph, NULL, &out[i]));
    must(t, skv_graph_new_node(t->graph, op->name, op->domain, "the_node", in, kase->n_in, out, kase->n_out, &t->node));
    for (size_t i = 0; i < kase->n_attrs; i++) must(t, skv_node_set_attr(t->node, &kase->attrs[i]));
}

static void evaluate(trial *t) {
    const skive_tensor *in[SKV_OP_MAX_IO] = {NULL};
    for (size_t i = 0; i < t->kase->n_in; i++) in[i] = t->kase->in[i].absent ? NULL : &t->in[i];
    for (size_t i = 0; i < SKV_OP_MAX_IO; i++) skive_tensor_free(t->ctx, &t->out[i]);
    must(t, skv_op_evaluate(t->ctx, t->node, in, t->kase->n_in, t->out, t->kase->n_out));
}

static void end(trial *t) {
    for (size_t i = 0; i < SKV_OP_MAX_IO; i++) {
        skive_tensor_free(t->ctx, &t->in[i]);
        skive_tensor_free(t->ctx, &t->out[i]);
    }
    skive_graph_free(t->graph);
    skv_test_context_end(t->ctx);
}

static int by_number(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool moves(trial *t) {
    const skive_tensor *x = &t->in[0], *y = &t->out[0];
    const int64_t n = skive_tensor_count(y);
    if (x->dtype != y->dtype || skive_tensor_count(x) != n) return false;
    double *a = calloc((size_t)n + 1, sizeof *a), *b = calloc((size_t)n + 1, sizeof *b);
    bool same = a && b;
    for (int64_t e = 0; same && e < n; e++) {
        a[e] = skive_tensor_get(x, e);
        b[e] = skive_tensor_get(y, e);
    }
    if (same && t->op->motion == SKV_REORDERS) {
        qsort(a, (size_t)n, sizeof *a, by_number);
        qsort(b, (size_t)n, sizeof *b, by_number);
    }
    for (int64_t e = 0; same && e < n; e++) same = a[e] == b[e];
    free(a);
    free(b);
    return same;
}

/* An element of the input with another value changes, of an output of the same shape, at most the element beside it. */
static void stays_apart(trial *t, size_t i, size_t *changed) {
    const int64_t n = skive_tensor_count(&t->in[i]);
    if (t->kase->in[i].absent || !skv_dims_equal(t->in[i].rank, t->in[i].dims, t->out[0].rank, t->out[0].dims)) return;
    skive_tensor before = t->out[0];
    t->out[0] = (skive_tensor){0};
    const bool real = skv_dtype_is_float(t->in[i].dtype), truth = t->in[i].dtype == SKIVE_BOOL;
    for (int64_t at = 0; at < (real ? 2 * n : n); at++) {
        const int64_t e = at % n;
        const double was = skive_tensor_get(&t->in[i], e);
        skive_tensor_set(&t->in[i], e, at >= n ? (double)INFINITY : truth ? was == 0 : was * 0.5 + 0.25);
        evaluate(t);
        for (int64_t k = 0; k < n; k++) {
            const double a = skive_tensor_get(&before, k), b = skive_tensor_get(&t->out[0], k);
            const bool same = a == b || (isnan(a) && isnan(b));
            if (!same && k != e)
                fail_msg("%s, case \"%s\" is not pointwise: element %lld of input %zu changes element %lld",
                         t->op->name, t->kase->name, (long long)e, i, (long long)k);
            *changed += !same;
        }
        skive_tensor_set(&t->in[i], e, was);
    }
    skive_tensor_free(t->ctx, &t->out[0]);
    t->out[0] = before;
}

static void motion(void **state) {
    size_t found[3] = {0};
    (void)state;
    for (size_t i = 0; i < skv_op_count(); i++) {
        const skv_op *op = skv_op_at(i);
        bool all = op->n_cases > 0;
        if (op->flow || op->random || !op->run) continue;
        if (op->motion != SKV_COMPUTES && op->pointwise) fail_msg("%s: moves and is pointwise", op->name);
        for (size_t k = 0; k < op->n_cases; k++) {
            trial t;
            start(&t, op, &op->cases[k]);
            if (!t.kase->in || t.kase->n_in == 0 || t.kase->in[0].absent || op->motion == SKV_COMPUTES) {
                end(&t);
                continue;
            }
            evaluate(&t);
            all = all && moves(&t);
            end(&t);
        }
        if (op->motion != SKV_COMPUTES && !all) fail_msg("%s does not only move elements", op->name);
        found[op->motion]++;
    }
    assert_int_equal(found[SKV_RESHAPES], 7);
    assert_int_equal(found[SKV_REORDERS], 3);
}

static void pointwise(void **state) {
    size_t found = 0;
    (void)state;
    for (size_t i = 0; i < skv_op_count(); i++) {
        const skv_op *op = skv_op_at(i);
        size_t changed = 0;
        if (!op->pointwise) continue;
        for (size_t k = 0; k < op->n_cases; k++) {
            trial t;
            start(&t, op, &op->cases[k]);
            evaluate(&t);
            for (size_t j = 0; j < t.kase->n_in; j++) stays_apart(&t, j, &changed);
            end(&t);
        }
        if (changed == 0) fail_msg("%s: no input changes the output in any case", op->name);
        found++;
    }
    assert_true(found > 60);
}

/* The number of an op leads to its record and back. */
static void kinds(void **state) {
    (void)state;
    assert_null(skv_op_of(SKV_OP_NONE));
    assert_int_equal(skv_op_find_kind("Conv", "com.example"), SKV_OP_NONE);
    assert_int_equal(skv_op_find_kind("Convolution", NULL), SKV_OP_NONE);
    assert_int_equal(skv_op_find_kind("Conv", "ai.onnx"), SKV_OP_CONV);
    for (int kind = SKV_OP_NONE + 1; kind < SKV_OP_KINDS; kind++) {
        const skv_op *op = skv_op_of((skv_op_kind)kind);
        assert_int_equal(skv_op_find_kind(op->name, op->domain), kind);
        assert_int_equal(skv_op_find_kind(op->name, NULL), kind);
    }
}

/* The operators that compute others in integers are skive's own, of as many or more inputs. */
static void integer_forms_exist(void **state) {
    size_t n = 0;
    (void)state;
    for (size_t i = 0; i < skv_op_count(); i++) {
        const skv_op *op = skv_op_at(i);
        if (!op->integer_form) continue;
        const skv_op *form = skv_op_find(op->integer_form, SKV_DOMAIN);
        if (!form || form->max_in < op->min_in) fail_msg("%s: no integer form '%s'", op->name, op->integer_form);
        n++;
    }
    assert_true(n >= 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(integer_forms_exist), cmocka_unit_test(kinds),
                                       cmocka_unit_test(motion), cmocka_unit_test(pointwise)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
