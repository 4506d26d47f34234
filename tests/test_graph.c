/* The graph: building, editing, order, checks, inference, copies, coupling, cost; every edit atomic. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <skive/coupling.h>
#include <skive/graph.h>
#include <skive/zoo.h>

#include "support.h"

#include <cmocka.h>

#include "graph/graph.h"
#include "graph/op.h"

static skive_type float_type(int rank, const int64_t *dims) { return skive_type_make(SKIVE_F32, rank, dims); }

static skive_value *input(skive_graph *g, const char *name, int rank, const int64_t *dims) {
    skive_value *v = NULL;
    const skive_type t = float_type(rank, dims);
    assert_int_equal(skive_graph_add_input(g, name, &t, &v), SKIVE_OK);
    return v;
}

/* The listing, to tell whether two graphs are the same. */
static char *listing(skive_graph *g) {
    char *text = NULL;
    assert_int_equal(skive_graph_print(g, &text), SKIVE_OK);
    return text;
}

static void nodes_come_in_order(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_node **order = NULL;
    (void)state;
    assert_int_equal(skive_graph_create(ctx, "g", &g), SKIVE_OK);
    skive_value *x = input(g, "x", 1, (const int64_t[]){3}), *late = NULL, *y = NULL;
    /* The consumer is added before the producer. */
    assert_int_equal(skv_graph_new_value(g, "middle", &late), SKIVE_OK);
    assert_int_equal(skv_graph_new_value(g, "y", &y), SKIVE_OK);
    assert_int_equal(skv_graph_new_node(g, "Exp", "", "second", &late, 1, &y, 1, NULL), SKIVE_OK);
    assert_int_equal(skv_graph_new_node(g, "Neg", "", "first", &x, 1, &late, 1, NULL), SKIVE_OK);
    assert_int_equal(skive_graph_add_output(g, y), SKIVE_OK);
    assert_int_equal(skv_graph_topo(g, &order), SKIVE_OK);
    assert_string_equal(order[0]->name, "first");
    assert_string_equal(order[1]->name, "second");
    skv_free(ctx, order);
    assert_int_equal(skive_graph_check(g), SKIVE_OK);
    assert_int_equal(skive_graph_infer(g), SKIVE_OK);
    assert_int_equal(y->type.rank, 1);
    assert_int_equal(y->type.dims[0].size, 3);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void faults_are_named(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *a = NULL, *b = NULL, *c = NULL;
    (void)state;
    assert_int_equal(skive_graph_create(ctx, "g", &g), SKIVE_OK);
    assert_int_equal(skv_graph_new_value(g, "a", &a), SKIVE_OK);
    assert_int_equal(skv_graph_new_value(g, "b", &b), SKIVE_OK);
    assert_int_equal(skv_graph_new_value(g, "a", &c), SKIVE_ERR_GRAPH);
    assert_non_null(strstr(skive_context_message(ctx), "'a'"));
    /* Nothing defines a yet. */
    assert_int_equal(skv_graph_new_node(g, "Neg", "", "one", &a, 1, &b, 1, NULL), SKIVE_OK);
    assert_int_equal(skive_graph_check(g), SKIVE_ERR_GRAPH);
    assert_non_null(strstr(skive_context_message(ctx), "'a'"));
    /* Now it is defined by what depends on it. */
    assert_int_equal(skv_graph_new_node(g, "Neg", "", "two", &b, 1, &a, 1, NULL), SKIVE_OK);
    assert_int_equal(skive_graph_check(g), SKIVE_ERR_GRAPH);
    assert_non_null(strstr(skive_context_message(ctx), "cycle"));
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void wrong_number_of_inputs_is_a_fault(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_node *n = NULL;
    (void)state;
    assert_int_equal(skive_graph_create(ctx, "g", &g), SKIVE_OK);
    skive_value *x = input(g, "x", 1, (const int64_t[]){3});
    assert_int_equal(skive_graph_add_node(g, "Add", "lonely", &x, 1, 1, &n), SKIVE_OK);
    assert_int_equal(skive_graph_check(g), SKIVE_ERR_GRAPH);
    assert_string_equal(skive_context_subject(ctx), "lonely");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void edits_keep_uses_right(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    (void)state;
    assert_int_equal(skive_graph_create(ctx, "g", &g), SKIVE_OK);
    skive_value *x = input(g, "x", 1, (const int64_t[]){3});
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Neg", SKV_IN(x), SKV_NONE);
    skive_value *z = skv_emit(&b, "Add", SKV_IN(y, y), SKV_NONE);
    assert_int_equal(b.status, SKIVE_OK);
    assert_int_equal(skive_graph_add_output(g, z), SKIVE_OK);
    assert_int_equal(y->n_uses, 2);
    assert_int_equal(skv_graph_remove_node(y->producer), SKIVE_ERR_GRAPH); /* still used */
    assert_int_equal(skv_value_replace_uses(y, x, true), SKIVE_OK);
    assert_int_equal(y->n_uses, 0);
    assert_int_equal(x->n_uses, 3); /* Add twice, Neg once */
    assert_int_equal(skv_graph_sweep(g), 1);
    assert_int_equal(skive_graph_node_count(g), 1);
    assert_int_equal(x->n_uses, 2);
    assert_int_equal(skive_graph_check(g), SKIVE_OK);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void a_copy_is_the_same_and_apart(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL, *copy = NULL;
    (void)state;
    assert_int_equal(skive_zoo_build(ctx, "lenet5", NULL, &g), SKIVE_OK);
    assert_int_equal(skive_graph_set_meta(g, "key", "value"), SKIVE_OK);
    assert_int_equal(skive_graph_copy(ctx, g, &copy), SKIVE_OK);
    char *before = listing(g), *after = listing(copy);
    assert_string_equal(before, after);
    assert_string_equal(skive_graph_meta(copy, "key"), "value");
    skive_value *w = skive_graph_find_value(g, "conv1.weight"), *v = skive_graph_find_value(copy, "conv1.weight");
    assert_ptr_equal(skive_value_data(w)->data, skive_value_data(v)->data); /* shared */
    skive_tensor zero;
    assert_int_equal(skive_tensor_copy(ctx, skive_value_data(w), &zero), SKIVE_OK);
    memset(zero.data, 0, skive_tensor_bytes(&zero));
    assert_int_equal(skive_value_set_data(v, &zero), SKIVE_OK);
    assert_true(skive_tensor_get(skive_value_data(w), 0) != 0);
    skive_tensor_free(ctx, &zero);
    skive_string_free(ctx, before);
    skive_string_free(ctx, after);
    skive_graph_free(copy);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void shape_arithmetic_is_followed(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    (void)state;
    assert_int_equal(skive_graph_create(ctx, "g", &g), SKIVE_OK);
    skive_value *x = input(g, "x", 3, (const int64_t[]){2, 3, 4});
    skv_builder b = skv_build(g);
    /* The view(x.size(0), -1) of an exporter. */
    skive_value *shape = skv_emit(&b, "Shape", SKV_IN(x), SKV_NONE);
    skive_value *first = skv_emit(&b, "Gather", SKV_IN(shape, skv_emit_ints(&b, (const int64_t[]){0}, 1)), SKV_NONE);
    skive_value *wanted = skv_emit(&b, "Concat", SKV_IN(first, skv_emit_ints(&b, (const int64_t[]){-1}, 1)),
                                   SKV_ATTRS(SKV_INT("axis", 0)));
    skive_value *y = skv_emit(&b, "Reshape", SKV_IN(x, wanted), SKV_NONE);
    assert_int_equal(b.status, SKIVE_OK);
    assert_int_equal(skive_graph_add_output(g, y), SKIVE_OK);
    assert_int_equal(skive_graph_infer(g), SKIVE_OK);
    assert_int_equal(y->type.rank, 2);
    assert_int_equal(y->type.dims[0].size, 2);
    assert_int_equal(y->type.dims[1].size, 12);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void failed_inference_changes_nothing(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_node *n = NULL;
    (void)state;
    assert_int_equal(skive_graph_create(ctx, "g", &g), SKIVE_OK);
    skive_value *in[2] = {input(g, "x", 2, (const int64_t[]){2, 3}), input(g, "w", 2, (const int64_t[]){4, 5})};
    assert_int_equal(skive_graph_add_node(g, "MatMul", "product", in, 2, 1, &n), SKIVE_OK);
    char *before = listing(g);
    assert_int_equal(skive_graph_infer(g), SKIVE_ERR_SHAPE);
    assert_string_equal(skive_context_subject(ctx), "product");
    char *after = listing(g);
    assert_string_equal(before, after);
    skive_string_free(ctx, before);
    skive_string_free(ctx, after);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void missing_ops_are_listed_at_once(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    char *missing = NULL;
    (void)state;
    assert_int_equal(skive_graph_create(ctx, "g", &g), SKIVE_OK);
    skive_value *x = input(g, "x", 1, (const int64_t[]){3}), *out[3] = {NULL};
    const char *const names[] = {"Frobnicate", "Frobnicate", "Whirl"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(skv_graph_new_value(g, NULL, &out[i]), SKIVE_OK);
        assert_int_equal(skv_graph_new_node(g, names[i], i == 2 ? "com.example" : "", NULL, &x, 1, &out[i], 1, NULL),
                         SKIVE_OK);
    }
    assert_int_equal(skive_graph_unsupported(g, &missing), SKIVE_OK);
    assert_string_equal(missing, "Frobnicate x2, Whirl (com.example) x1");
    skive_string_free(ctx, missing);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* LeNet-5 by hand: 20*25*1*576 + 50*25*20*64 + 800*500 + 500*10 multiply-accumulates, 431,080 parameters. */
static void cost_of_lenet5(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_cost c;
    (void)state;
    assert_int_equal(skive_zoo_build(ctx, "lenet5", NULL, &g), SKIVE_OK);
    assert_int_equal(skive_graph_cost(g, &c), SKIVE_OK);
    assert_int_equal(c.parameters, 431080);
    assert_int_equal(c.parameter_bytes, 431080 * 4);
    assert_int_equal(c.macs, 288000 + 1600000 + 400000 + 5000);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- coupling ---- */

static size_t slices_of(const skive_coupling *k, const skive_value *v, int axis, int64_t index,
                        const skive_channel_slice **slices) {
    for (size_t i = 0; i < skive_coupling_count(k); i++) {
        size_t n;
        int family;
        skive_coupling_get(k, i, slices, &n, &family);
        for (size_t s = 0; s < n; s++) {
            if ((*slices)[s].value == v && (*slices)[s].axis == axis && (*slices)[s].index == index) return n;
        }
    }
    return 0;
}

static size_t count_slices(const skive_channel_slice *s, size_t n, const char *name, int axis) {
    size_t found = 0;
    for (size_t i = 0; i < n; i++) found += strcmp(skive_value_name(s[i].value), name) == 0 && s[i].axis == axis;
    return found;
}

/* A channel of LeNet-5's last convolution is 16 features of fc1's input. */
static void coupling_through_flatten(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_coupling *k = NULL;
    const skive_channel_slice *s;
    (void)state;
    assert_int_equal(skive_zoo_build(ctx, "lenet5", NULL, &g), SKIVE_OK);
    assert_int_equal(skive_coupling_create(g, &k), SKIVE_OK);
    assert_int_equal(skive_coupling_count(k), 20 + 50 + 500);
    const skive_value *w = skive_graph_find_value(g, "conv2.weight");
    const size_t n = slices_of(k, w, 0, 7, &s);
    assert_true(n > 0);
    assert_int_equal(count_slices(s, n, "conv2.weight", 0), 1);
    assert_int_equal(count_slices(s, n, "conv2.bias", 0), 1);
    assert_int_equal(count_slices(s, n, "fc1.weight", 1), 16);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(skive_value_name(s[i].value), "fc1.weight") == 0) assert_int_equal(s[i].index / 16, 7);
    }
    /* The classes are an output of the model. */
    const char *why = skive_coupling_why_fixed(k, skive_graph_find_value(g, "fc2.weight"), 0, 3);
    assert_non_null(why);
    assert_non_null(strstr(why, "output"));
    skive_coupling_free(k);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* What a residual adds goes together: in ResNet-20's first stage the stem and all three blocks' second convolutions. */
static void coupling_through_residuals(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_coupling *k = NULL;
    const skive_channel_slice *s;
    skive_zoo_options o = skive_zoo_options_default();
    (void)state;
    o.dims[0] = 3;
    o.dims[1] = o.dims[2] = 32;
    assert_int_equal(skive_zoo_build(ctx, "resnet20", &o, &g), SKIVE_OK);
    assert_int_equal(skive_coupling_create(g, &k), SKIVE_OK);
    const size_t n = slices_of(k, skive_graph_find_value(g, "conv1.weight"), 0, 5, &s);
    assert_int_equal(count_slices(s, n, "conv1.weight", 0), 1);
    assert_int_equal(count_slices(s, n, "stage1.block1.conv2.weight", 0), 1);
    assert_int_equal(count_slices(s, n, "stage1.block2.conv2.weight", 0), 1);
    assert_int_equal(count_slices(s, n, "stage1.block3.conv2.weight", 0), 1);
    assert_int_equal(count_slices(s, n, "stage1.block2.conv1.weight", 1), 1);
    assert_int_equal(count_slices(s, n, "stage2.block1.shortcut.weight", 1), 1);
    assert_int_equal(count_slices(s, n, "stage1.block1.conv1.weight", 0), 0); /* inside the block: its own */
    skive_coupling_free(k);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* A depthwise convolution hands channels through. */
static void coupling_through_depthwise(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_coupling *k = NULL;
    const skive_channel_slice *s;
    (void)state;
    assert_int_equal(skive_zoo_build(ctx, "mobilenet:0.25", NULL, &g), SKIVE_OK);
    assert_int_equal(skive_coupling_create(g, &k), SKIVE_OK);
    const size_t n = slices_of(k, skive_graph_find_value(g, "conv1.weight"), 0, 2, &s);
    assert_int_equal(count_slices(s, n, "block1.depthwise.weight", 0), 1);
    assert_int_equal(count_slices(s, n, "block1.depthwise.bn.running_var", 0), 1);
    assert_int_equal(count_slices(s, n, "block1.pointwise.weight", 1), 1);
    assert_int_equal(count_slices(s, n, "block1.pointwise.weight", 0), 0);
    skive_coupling_free(k);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void coupling_through_concat(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_coupling *k = NULL;
    const skive_channel_slice *s;
    const int64_t shapes[3][4] = {{2, 3, 1, 1}, {4, 3, 1, 1}, {5, 6, 1, 1}};
    skive_value *w[3];
    (void)state;
    assert_int_equal(skive_graph_create(ctx, "g", &g), SKIVE_OK);
    skive_value *x = input(g, "x", 4, (const int64_t[]){1, 3, 4, 4});
    skv_builder b = skv_build(g);
    for (int i = 0; i < 3; i++) {
        skv_storage *storage = NULL;
        char name[8] = {'w', (char)('0' + i), '\0'};
        assert_int_equal(skv_storage_create(ctx, SKIVE_F32, 4, shapes[i], &storage), SKIVE_OK);
        w[i] = skv_emit_param(&b, name, storage);
    }
    skive_value *a = skv_emit(&b, "Conv", SKV_IN(x, w[0]), SKV_NONE),
                *c = skv_emit(&b, "Conv", SKV_IN(x, w[1]), SKV_NONE);
    skive_value *both = skv_emit(&b, "Concat", SKV_IN(a, c), SKV_ATTRS(SKV_INT("axis", 1)));
    skive_value *y = skv_emit(&b, "Conv", SKV_IN(both, w[2]), SKV_NONE);
    assert_int_equal(b.status, SKIVE_OK);
    assert_int_equal(skive_graph_add_output(g, y), SKIVE_OK);
    assert_int_equal(skive_coupling_create(g, &k), SKIVE_OK);
    assert_int_equal(skive_coupling_count(k), 2 + 4);
    const size_t n = slices_of(k, w[1], 0, 3, &s);
    for (size_t i = 0; i < n; i++) {
        if (s[i].value == w[2]) assert_int_equal(s[i].index, 5); /* after the two of the first branch */
    }
    assert_int_equal(count_slices(s, n, "w2", 1), 1);
    skive_coupling_free(k);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- memory ---- */

static skive_status build_and_edit(skive_context *ctx, void *user) {
    skive_graph *g = NULL, *copy = NULL;
    skive_value **map = NULL;
    skive_coupling *k = NULL;
    skive_zoo_options o = skive_zoo_options_default();
    (void)user;
    o.dims[1] = o.dims[2] = 12;
    skive_status status = skive_zoo_build(ctx, "vgg-small:0.05", &o, &g);
    if (status == SKIVE_OK) status = skive_graph_copy(ctx, g, &copy);
    if (status == SKIVE_OK) status = skv_graph_merge(g, copy, "twin.", &g->inputs[0], &map);
    if (status == SKIVE_OK) status = skive_graph_infer(g);
    if (status == SKIVE_OK) status = skive_graph_check(g);
    if (status == SKIVE_OK) status = skive_coupling_create(copy, &k);
    skive_coupling_free(k);
    skv_free(ctx, map);
    skive_graph_free(copy);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    skv_test_walk_allocations(build_and_edit, NULL, 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_come_in_order),
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(wrong_number_of_inputs_is_a_fault),
        cmocka_unit_test(edits_keep_uses_right),
        cmocka_unit_test(a_copy_is_the_same_and_apart),
        cmocka_unit_test(shape_arithmetic_is_followed),
        cmocka_unit_test(failed_inference_changes_nothing),
        cmocka_unit_test(missing_ops_are_listed_at_once),
        cmocka_unit_test(cost_of_lenet5),
        cmocka_unit_test(coupling_through_flatten),
        cmocka_unit_test(coupling_through_residuals),
        cmocka_unit_test(coupling_through_depthwise),
        cmocka_unit_test(coupling_through_concat),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
