/* Channels through subgraphs: If and Loop whose bodies read what is computed outside. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <skive/coupling.h>
#include <skive/session.h>
#include <skive/skive.h>

#include "graph/graph.h"
#include "support.h"
#include "tensor/tensor.h"

enum { CHANNELS = 6, PIXELS = 16 };

/* input c (bool), x [2][3][4][4]; h = Conv(x); y = a node with bodies; Conv(y) */
typedef struct net {
    skive_context *ctx;
    skive_graph *g;
    skv_builder b;
    skive_value *c, *h;
} net;

static skive_value *parameter(net *n, skv_builder *b, const char *name, int rank, const int64_t *dims, uint64_t seed) {
    skive_tensor t = skv_test_random(n->ctx, SKIVE_F32, rank, dims, seed, -1, 1);
    skv_storage *storage = NULL;
    skv_test_ok(n->ctx, skv_storage_take(n->ctx, &t, &storage));
    return skv_emit_param(b, name, storage);
}

static net begin(void) {
    net n = {.ctx = skv_test_context()};
    const int64_t dims[4] = {2, 3, 4, 4}, w[4] = {CHANNELS, 3, 1, 1}, bias[1] = {CHANNELS};
    const skive_type yes_no = skive_type_make(SKIVE_BOOL, 0, NULL), image = skive_type_make(SKIVE_F32, 4, dims);
    skive_value *x = NULL;
    skv_test_ok(n.ctx, skive_graph_create(n.ctx, "g", &n.g));
    skv_test_ok(n.ctx, skive_graph_add_input(n.g, "c", &yes_no, &n.c));
    skv_test_ok(n.ctx, skive_graph_add_input(n.g, "x", &image, &x));
    n.b = skv_build(n.g);
    n.h = skv_emit(&n.b, "Conv", SKV_IN(x, parameter(&n, &n.b, "w1", 4, w, 1), parameter(&n, &n.b, "b1", 1, bias, 2)),
                   SKV_NONE);
    return n;
}

static skive_graph *body(net *n, skv_builder *b) {
    skive_graph *g = NULL;
    skv_test_ok(n->ctx, skive_graph_create(n->ctx, "body", &g));
    g->parent = n->g;
    *b = skv_build(g);
    return g;
}

static skive_value *outer(net *n, skv_builder *b, skive_value *v) {
    skive_value *own = NULL;
    skv_test_ok(n->ctx, skv_graph_new_value(b->graph, v->name, &own));
    own->outer = v;
    own->type = v->type;
    return own;
}

static skive_value *flow(net *n, const char *op, skive_value *const *in, size_t n_in, const char *const *names,
                         skive_graph *const *bodies, size_t n_bodies) {
    skive_value *y = NULL;
    skive_node *node = NULL;
    skv_test_ok(n->ctx, skv_graph_new_value(n->g, "y", &y));
    skv_test_ok(n->ctx, skv_graph_new_node(n->g, op, NULL, "branch", in, n_in, &y, 1, &node));
    for (size_t i = 0; i < n_bodies; i++) skv_test_ok(n->ctx, skv_node_set_graph_attr(node, names[i], bodies[i]));
    skv_test_ok(n->ctx, skv_graph_infer_nested(n->g));
    return y;
}

static skive_value *branch(net *n, skive_graph *yes, skive_graph *no) {
    static const char *const names[] = {"then_branch", "else_branch"};
    return flow(n, "If", &n->c, 1, names, (skive_graph *const[]){yes, no}, 2);
}

static void end(net *n, skive_value *y) {
    const int64_t w[4] = {5, CHANNELS, 1, 1};
    skive_value *z = skv_emit(&n->b, "Conv", SKV_IN(y, parameter(n, &n->b, "w2", 4, w, 3)), SKV_NONE);
    skv_test_ok(n->ctx, n->b.status);
    skv_test_ok(n->ctx, skive_graph_add_output(n->g, z));
    skv_test_ok(n->ctx, skv_graph_infer_nested(n->g));
    skv_test_ok(n->ctx, skive_graph_check(n->g));
}

static skive_tensor result(net *n, const skive_graph *g, bool c) {
    const int64_t dims[4] = {2, 3, 4, 4};
    skive_session *s = NULL;
    skive_tensor in[2] = {skv_tensor_view(SKIVE_BOOL, 0, NULL, &c),
                          skv_test_random(n->ctx, SKIVE_F32, 4, dims, 7, -1, 1)};
    skive_tensor y;
    skv_test_ok(n->ctx, skive_session_create(n->ctx, g, NULL, &s));
    skv_test_ok(n->ctx, skive_session_run(s, in, 2, &y, 1));
    skive_session_free(s);
    skive_tensor_free(n->ctx, &in[1]);
    return y;
}

/* Removes channels 1 and 4, and compares with the network whose last layer has zeros for them. */
static void remove_two(net *n) {
    skive_coupling *k = NULL;
    skive_graph *masked = NULL;
    const skive_channel_slice *s;
    size_t list[2], n_list = 0, n_slices;
    skv_test_ok(n->ctx, skive_graph_copy(n->ctx, n->g, &masked));
    float *w = skv_value_tensor(skive_graph_find_value(masked, "w2"))->data;
    for (int m = 0; m < 5; m++) w[m * CHANNELS + 1] = w[m * CHANNELS + 4] = 0;
    skv_test_ok(n->ctx, skive_coupling_create(n->g, &k));
    const skive_value *first = skive_graph_find_value(n->g, "w1");
    for (int64_t i = 0; i < CHANNELS; i++) {
        const char *why = skive_coupling_why_fixed(k, first, 0, i);
        if (why) fail_msg("channel %lld stays: %s (%s)", (long long)i, why, skive_coupling_fixed_by(k, first, 0, i));
    }
    assert_int_equal(skive_coupling_count(k), CHANNELS);
    for (size_t i = 0; i < CHANNELS; i++) {
        skive_coupling_get(k, i, &s, &n_slices, NULL);
        for (size_t e = 0; e < n_slices; e++) {
            assert_ptr_equal(s[e].value->graph, n->g); /* nothing of subgraphs is listed */
            if (strcmp(s[e].value->name, "w1") == 0 && (s[e].index == 1 || s[e].index == 4)) list[n_list++] = i;
        }
    }
    assert_int_equal(n_list, 2);
    skv_test_ok(n->ctx, skive_graph_remove_channels(n->g, k, list, 2));
    skive_coupling_free(k);
    assert_int_equal(skive_graph_find_value(n->g, "w1")->type.dims[0].size, CHANNELS - 2);
    assert_int_equal(skive_graph_find_value(n->g, "w2")->type.dims[1].size, CHANNELS - 2);
    for (int c = 0; c < 2; c++) {
        skive_tensor a = result(n, n->g, c), b = result(n, masked, c);
        assert_int_equal(skive_tensor_count(&a), 2 * 5 * PIXELS);
        assert_int_equal(skive_tensor_count(&b), 2 * 5 * PIXELS);
        for (int i = 0; i < 2 * 5 * PIXELS; i++) assert_float_equal(((float *)a.data)[i], ((float *)b.data)[i], 1e-5);
        skive_tensor_free(n->ctx, &a);
        skive_tensor_free(n->ctx, &b);
    }
    skive_graph_free(masked);
}

static void finish(net *n) {
    skive_graph_free(n->g);
    skv_test_context_end(n->ctx);
}

/* Nothing can be removed of the first layer; the reason and the place are told. */
static void stays(net *n, const char *why, const char *by) {
    skive_coupling *k = NULL;
    const skive_value *w = skive_graph_find_value(n->g, "w1");
    skv_test_ok(n->ctx, skive_coupling_create(n->g, &k));
    if (skive_coupling_count(k) > 0) fail_msg("%s: %zu channels can go", why, skive_coupling_count(k));
    assert_string_equal(skive_coupling_why_fixed(k, w, 0, 1), why);
    assert_string_equal(skive_coupling_fixed_by(k, w, 0, 1), by);
    skive_coupling_free(k);
}

static skive_graph *relu_body(net *n) {
    skv_builder b;
    skive_graph *g = body(n, &b);
    skv_test_ok(n->ctx, skive_graph_add_output(g, skv_emit(&b, "Relu", SKV_IN(outer(n, &b, n->h)), SKV_NONE)));
    return g;
}

/* One branch is element by element; the other adds a number of each channel, which is a parameter outside. */
static void branches_lose_channels(void **state) {
    const int64_t dims[3] = {CHANNELS, 1, 1};
    (void)state;
    net n = begin();
    skv_builder b;
    skive_value *per_channel = parameter(&n, &n.b, "shift", 3, dims, 5);
    skive_graph *yes = relu_body(&n);
    skive_graph *no = body(&n, &b);
    skive_value *half = skv_emit(&b, "Mul", SKV_IN(outer(&n, &b, n.h), skv_emit_scalar(&b, SKIVE_F32, 0.5)), SKV_NONE);
    skive_value *sum = skv_emit(&b, "Add", SKV_IN(half, outer(&n, &b, per_channel)), SKV_NONE);
    skv_test_ok(n.ctx, skive_graph_add_output(no, sum));
    end(&n, branch(&n, yes, no));
    remove_two(&n);
    assert_int_equal(skive_graph_find_value(n.g, "shift")->type.dims[0].size, CHANNELS - 2);
    finish(&n);
}

/* A branch that gives the outer value as it is, and one with a subgraph of its own. */
static void nested_branches(void **state) {
    (void)state;
    net n = begin();
    skv_builder b, inner;
    skive_graph *yes = body(&n, &b);
    skv_test_ok(n.ctx, skive_graph_add_output(yes, skv_emit(&b, "Identity", SKV_IN(outer(&n, &b, n.h)), SKV_NONE)));
    skive_graph *no = body(&n, &b), *in[2];
    skive_value *c = outer(&n, &b, n.c), *h = outer(&n, &b, n.h), *y = NULL;
    skive_node *node = NULL;
    skv_test_ok(n.ctx, skv_graph_new_value(no, "nested", &y));
    skv_test_ok(n.ctx, skv_graph_new_node(no, "If", NULL, "nested_if", &c, 1, &y, 1, &node));
    for (int i = 0; i < 2; i++) {
        in[i] = body(&n, &inner);
        in[i]->parent = no;
        skive_value *r = skv_emit(&inner, i ? "Sigmoid" : "Tanh", SKV_IN(outer(&n, &inner, h)), SKV_NONE);
        skv_test_ok(n.ctx, skive_graph_add_output(in[i], r));
        skv_test_ok(n.ctx, skv_node_set_graph_attr(node, i ? "else_branch" : "then_branch", in[i]));
    }
    skv_test_ok(n.ctx, skive_graph_add_output(no, y));
    end(&n, branch(&n, yes, no));
    remove_two(&n);
    finish(&n);
}

/* What a body stacks: [rounds][2][channels][4][4], then summed over the rounds. */
static void loops_lose_channels(void **state) {
    static const char *const names[] = {"body"};
    (void)state;
    net n = begin();
    skv_builder b;
    skive_value *i = NULL, *go = NULL;
    const skive_type number = skive_type_make(SKIVE_I64, 0, NULL), yes_no = skive_type_make(SKIVE_BOOL, 0, NULL);
    skive_graph *g = body(&n, &b);
    skv_test_ok(n.ctx, skive_graph_add_input(g, "i", &number, &i));
    skv_test_ok(n.ctx, skive_graph_add_input(g, "go", &yes_no, &go));
    skv_test_ok(n.ctx, skive_graph_add_output(g, skv_emit(&b, "Identity", SKV_IN(go), SKV_NONE)));
    skv_test_ok(n.ctx, skive_graph_add_output(g, skv_emit(&b, "Relu", SKV_IN(outer(&n, &b, n.h)), SKV_NONE)));
    const int64_t first = 0;
    skive_value *in[2] = {skv_emit_scalar(&n.b, SKIVE_I64, 3), NULL};
    skive_value *stacked = flow(&n, "Loop", in, 2, names, &g, 1);
    end(&n, skv_emit(&n.b, "ReduceSum", SKV_IN(stacked, skv_emit_ints(&n.b, &first, 1)),
                     SKV_ATTRS(SKV_INT("keepdims", 0))));
    remove_two(&n);
    finish(&n);
}

static void reasons_are_told(void **state) {
    const int64_t dims[3] = {CHANNELS, 1, 1}, wide[4] = {2, CHANNELS + 1, 4, 4};
    (void)state;
    for (int k = 0; k < 3; k++) {
        net n = begin();
        skv_builder b;
        skive_graph *yes = relu_body(&n);
        skive_graph *no = body(&n, &b);
        skive_value *h = outer(&n, &b, n.h), *y = NULL;
        if (k == 0) y = skv_emit(&b, "Add", SKV_IN(h, parameter(&n, &b, "own", 3, dims, 5)), SKV_NONE);
        if (k == 1) y = parameter(&n, &b, "other", 4, wide, 5);
        if (k == 2) {
            skive_value *at = skv_emit(&b, "Cast", SKV_IN(h), SKV_ATTRS(SKV_INT("to", 7)));
            y = skv_emit(&b, "GatherElements", SKV_IN(h, at), SKV_ATTRS(SKV_INT("axis", 1)));
        }
        skv_test_ok(n.ctx, b.status);
        skv_test_ok(n.ctx, skive_graph_add_output(no, y));
        y = branch(&n, yes, no);
        if (k == 1) { /* nothing reads as many channels as both have */
            skv_test_ok(n.ctx, skive_graph_add_output(n.g, y));
            stays(&n, "If", "branch");
        } else {
            end(&n, y);
            stays(&n, k == 0 ? "it is a parameter of a subgraph" : "GatherElements",
                  k == 0 ? "own" : no->nodes[no->n_nodes - 1]->name);
        }
        finish(&n);
    }
}

static skive_status remove_one(skive_context *ctx, void *user) {
    const net *n = user;
    skive_coupling *k = NULL;
    skive_graph *copy = NULL;
    const size_t first = 0;
    skive_status status = skive_graph_copy(ctx, n->g, &copy);
    if (status == SKIVE_OK) status = skive_coupling_create(copy, &k);
    if (status == SKIVE_OK) status = skive_graph_remove_channels(copy, k, &first, 1);
    skive_coupling_free(k);
    skive_graph_free(copy);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    net n = begin();
    end(&n, branch(&n, relu_body(&n), relu_body(&n)));
    skv_test_walk_allocations(remove_one, &n, 3);
    finish(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(branches_lose_channels),    cmocka_unit_test(nested_branches),
        cmocka_unit_test(loops_lose_channels),       cmocka_unit_test(reasons_are_told),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
