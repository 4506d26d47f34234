/* ONNX reading and writing: round trips of every form of file; hostile files are in test_onnx_bad.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <skive/onnx.h>

#include "graph/graph.h"
#include "onnx.pb-c.h"
#include "onnx_bytes.h"
#include "support.h"
#include "tensor/tensor.h"

/* ---- helpers ---- */

/* input -> Conv -> Relu -> Flatten -> Gemm, with parameters from fixed seeds. */
static skive_graph *small_network(skive_context *ctx) {
    skive_graph *g;
    skive_value *x, *w, *b, *w2, *b2, *in[3];
    skive_node *n;
    skv_test_ok(ctx, skive_graph_create(ctx, "small", &g));
    skive_type type = skive_type_make(SKIVE_F32, 4, (const int64_t[]){-1, 3, 8, 8});
    type.dims[0].symbol = "N";
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skive_tensor t[4] = {skv_test_random(ctx, SKIVE_F32, 4, (const int64_t[]){5, 3, 3, 3}, 1, -1, 1),
                         skv_test_random(ctx, SKIVE_F32, 1, (const int64_t[]){5}, 2, -1, 1),
                         skv_test_random(ctx, SKIVE_F32, 2, (const int64_t[]){10, 320}, 3, -1, 1),
                         skv_test_random(ctx, SKIVE_F32, 1, (const int64_t[]){10}, 4, -1, 1)};
    skv_test_ok(ctx, skive_graph_add_parameter(g, "w", &t[0], &w));
    skv_test_ok(ctx, skive_graph_add_parameter(g, "b", &t[1], &b));
    skv_test_ok(ctx, skive_graph_add_parameter(g, "w2", &t[2], &w2));
    skv_test_ok(ctx, skive_graph_add_parameter(g, "b2", &t[3], &b2));
    for (int i = 0; i < 4; i++) skive_tensor_free(ctx, &t[i]);
    skive_value *const learned[4] = {w, b, w2, b2};
    for (int i = 0; i < 4; i++) skv_test_ok(ctx, skive_value_set_trainable(learned[i], true));
    in[0] = x, in[1] = w, in[2] = b;
    skv_test_ok(ctx, skive_graph_add_node(g, "Conv", "conv", in, 3, 1, &n));
    skv_test_ok(ctx, skive_node_set_ints(n, "pads", (const int64_t[]){1, 1, 1, 1}, 4));
    in[0] = skive_node_output(n, 0);
    skv_test_ok(ctx, skive_graph_add_node(g, "Relu", "relu", in, 1, 1, &n));
    in[0] = skive_node_output(n, 0);
    skv_test_ok(ctx, skive_graph_add_node(g, "Flatten", "flat", in, 1, 1, &n));
    in[0] = skive_node_output(n, 0), in[1] = w2, in[2] = b2;
    skv_test_ok(ctx, skive_graph_add_node(g, "Gemm", "fc", in, 3, 1, &n));
    skv_test_ok(ctx, skive_node_set_int(n, "transB", 1));
    skv_test_ok(ctx, skive_node_set_float(n, "alpha", 0.1));
    skv_test_ok(ctx, skive_graph_add_output(g, skive_node_output(n, 0)));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

/* The same listing and the same bits in every parameter. */
static void assert_same_graph(skive_context *ctx, const skive_graph *a, const skive_graph *b) {
    char *text_a, *text_b;
    skv_test_ok(ctx, skive_graph_print(a, &text_a));
    skv_test_ok(ctx, skive_graph_print(b, &text_b));
    assert_string_equal(text_a, text_b);
    skive_string_free(ctx, text_a);
    skive_string_free(ctx, text_b);
    size_t parameters = 0;
    for (size_t i = 0; i < skive_graph_value_count(a); i++) {
        const skive_value *v = skive_graph_value(a, i);
        const skive_tensor *data = skive_value_data(v);
        if (!data) continue;
        const skive_value *other = skive_graph_find_value(b, skive_value_name(v));
        assert_non_null(other);
        assert_non_null(skive_value_data(other));
        assert_true(skv_tensor_same(data, skive_value_data(other)));
        parameters++;
    }
    assert_true(parameters > 0);
}

static skive_graph *parse(skive_context *ctx, const bytes *b) {
    skive_graph *g;
    skv_test_ok(ctx, skive_onnx_parse(ctx, b->data, b->n, NULL, NULL, &g));
    return g;
}

static bool noted(const skive_context *ctx, const char *part) {
    for (size_t i = 0; i < skive_context_note_count(ctx); i++) {
        if (strstr(skive_context_note(ctx, i), part)) return true;
    }
    return false;
}

/* ---- round trips ---- */

static void round_trip_through_a_file(void **state) {
    (void)state;
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH];
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_network(ctx), *back, *again;
    skv_test_make_dir(dir);
    skv_test_path(path, dir, "small.onnx");
    skv_test_ok(ctx, skive_graph_set_meta(g, "skive.mean", "0.25 0.5"));
    skv_test_ok(ctx, skive_onnx_save(ctx, g, path, NULL));
    assert_int_equal(skv_test_dir_entries(dir), 1);
    skv_test_ok(ctx, skive_onnx_load(ctx, path, NULL, &back));
    assert_same_graph(ctx, g, back);
    assert_string_equal(skive_graph_meta(back, "skive.mean"), "0.25 0.5");
    assert_true(skive_value_is_trainable(skive_graph_find_value(back, "w")));
    assert_true(skive_value_is_trainable(skive_graph_find_value(back, "b2")));
    /* over the file the weights are mapped from, then from memory */
    skv_test_ok(ctx, skive_onnx_save(ctx, back, path, NULL));
    assert_same_graph(ctx, g, back);
    void *bytes_out;
    size_t n;
    skv_test_ok(ctx, skive_onnx_serialize(ctx, back, NULL, &bytes_out, &n));
    skv_test_ok(ctx, skive_onnx_parse(ctx, bytes_out, n, NULL, NULL, &again));
    skive_onnx_free_bytes(ctx, bytes_out);
    assert_same_graph(ctx, g, again);
    skive_graph_free(again);
    skive_graph_free(back);
    skive_graph_free(g);
    skv_test_remove_dir(dir);
    skv_test_context_end(ctx);
}

static void every_element_type_keeps_its_bits(void **state) {
    (void)state;
    static const skive_dtype types[] = {
#define X(name, code, bits, text) SKIVE_##name,
#include <skive/dtypes.inc>
#undef X
    };
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        skive_graph *g, *back;
        skive_value *v;
        void *bytes_out;
        size_t n;
        skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
        skive_tensor t = skv_test_random(ctx, types[i], 2, (const int64_t[]){3, 5}, 7, 0, 7);
        skv_test_ok(ctx, skive_graph_add_parameter(g, "p", &t, &v));
        skive_tensor_free(ctx, &t);
        skv_test_ok(ctx, skive_graph_add_output(g, v));
        skv_test_ok(ctx, skive_onnx_serialize(ctx, g, NULL, &bytes_out, &n));
        Onnx__ModelProto *m = onnx__model_proto__unpack(NULL, n, bytes_out);
        const skive_dtype type = types[i];
        const int opset = type == SKIVE_I4 || type == SKIVE_U4   ? 21
                          : type == SKIVE_F4E2M1                 ? 23
                          : type == SKIVE_F8E8M0                 ? 24
                          : type == SKIVE_I2 || type == SKIVE_U2 ? 25
                                                                 : 13;
        assert_int_equal(m->opset_import[0]->version, opset);
        assert_int_equal(m->ir_version, opset == 13 ? 7 : opset == 21 ? 10 : opset - 12);
        assert_string_equal(m->producer_name, "skive");
        onnx__model_proto__free_unpacked(m, NULL);
        skv_test_ok(ctx, skive_onnx_parse(ctx, bytes_out, n, NULL, NULL, &back));
        skive_onnx_free_bytes(ctx, bytes_out);
        assert_same_graph(ctx, g, back);
        skive_graph_free(back);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

static void opset_can_be_asked_for(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_network(ctx);
    void *bytes_out;
    size_t n;
    static const int ir[][2] = {{13, 7}, {15, 8}, {17, 8}, {19, 9}, {21, 10}, {23, 11}, {24, 12}, {27, 13}, {28, 14}};
    for (size_t i = 0; i < sizeof ir / sizeof *ir; i++) {
        skive_onnx_save_options o = skive_onnx_save_options_default();
        o.opset = ir[i][0];
        skv_test_ok(ctx, skive_onnx_serialize(ctx, g, &o, &bytes_out, &n));
        Onnx__ModelProto *m = onnx__model_proto__unpack(NULL, n, bytes_out);
        assert_int_equal(m->opset_import[0]->version, ir[i][0]);
        assert_int_equal(m->ir_version, ir[i][1]);
        onnx__model_proto__free_unpacked(m, NULL);
        skive_onnx_free_bytes(ctx, bytes_out);
    }
    skive_onnx_save_options o = skive_onnx_save_options_default();
    o.opset = 12;
    skv_test_fails(ctx, skive_onnx_serialize(ctx, g, &o, &bytes_out, &n), SKIVE_ERR_ARGUMENT, "opset 12");
    o.opset = 29;
    skv_test_fails(ctx, skive_onnx_serialize(ctx, g, &o, &bytes_out, &n), SKIVE_ERR_ARGUMENT, "opset 29");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void internal_operators_are_not_written(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g;
    skive_value *v;
    void *bytes_out;
    size_t n;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skv_graph_new_value(g, "y", &v));
    skv_test_ok(ctx, skv_graph_new_node(g, "SomethingInside", SKV_DOMAIN, "secret", NULL, 0, &v, 1, NULL));
    skv_test_ok(ctx, skive_graph_add_output(g, v));
    skv_test_fails(ctx, skive_onnx_serialize(ctx, g, NULL, &bytes_out, &n), SKIVE_ERR_UNSUPPORTED, "secret");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void external_data_goes_and_comes(void **state) {
    (void)state;
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH], data[SKV_TEST_PATH];
    struct stat st;
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_network(ctx), *back;
    skive_onnx_save_options o = skive_onnx_save_options_default();
    o.external_threshold = 4000;
    skv_test_make_dir(dir);
    skv_test_path(path, dir, "m.onnx");
    skv_test_path(data, dir, "m.onnx.data");
    skv_test_ok(ctx, skive_onnx_save(ctx, g, path, &o));
    assert_int_equal(skv_test_dir_entries(dir), 2);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size < 3000);
    assert_int_equal(stat(data, &st), 0);
    assert_int_equal(st.st_size, 10 * 320 * 4); /* the only weight of 1 KiB and more */
    skv_test_ok(ctx, skive_onnx_load(ctx, path, NULL, &back));
    assert_same_graph(ctx, g, back);
    skive_graph_free(back);
    assert_int_equal(truncate(data, 10 * 320 * 4 - 1), 0);
    skv_test_fails(ctx, skive_onnx_load(ctx, path, NULL, &back), SKIVE_ERR_FORMAT, "w2");
    assert_int_equal(unlink(data), 0);
    skv_test_fails(ctx, skive_onnx_load(ctx, path, NULL, &back), SKIVE_ERR_IO, "m.onnx.data");
    skive_graph_free(g);
    skv_test_remove_dir(dir);
    skv_test_context_end(ctx);
}

/* ---- the forms files come in ---- */

static void check_numbers(skive_context *ctx, bytes tensor, size_t n, const double *expected) {
    bytes g = make_graph();
    put_message(&g, 5, tensor);
    put_message(&g, 1, make_node("n", "Identity", "x", "y"));
    put_message(&g, 12, make_info("p", 1, 0, NULL));
    bytes m = make_model(g, 17);
    skive_graph *graph = parse(ctx, &m);
    const skive_tensor *t = skive_value_data(skive_graph_find_value(graph, "p"));
    assert_non_null(t);
    assert_int_equal(skive_tensor_count(t), n);
    for (size_t i = 0; i < n; i++) assert_true(skive_tensor_get(t, (int64_t)i) == expected[i]);
    skive_graph_free(graph);
    free(m.data);
}

static void typed_fields_are_read(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    const int64_t three = 3;
    const float floats[3] = {1.5f, -2, 3};
    const double doubles[3] = {1e300, -2, 3}, ints[3] = {1, -2, 3}, halves[3] = {1, -2, 0.5}, bits[3] = {1, 0, 1};
    const double unsigned_[3] = {1, 4294967295.0, 3}, fours[3] = {1, -2, 7};
    bytes t = make_tensor("p", 1, 1, &three);
    put_numbers(&t, 4, floats, sizeof floats, sizeof floats[0]);
    check_numbers(ctx, t, 3, (const double[]){1.5, -2, 3});
    t = make_tensor("p", 1, 1, &three); /* one by one, as old writers do */
    for (int i = 0; i < 3; i++) {
        put_varint(&t, 4 << 3 | 5);
        put_number(&t, &floats[i], 4);
    }
    check_numbers(ctx, t, 3, (const double[]){1.5, -2, 3});
    t = make_tensor("p", 11, 1, &three);
    put_numbers(&t, 10, doubles, sizeof doubles, sizeof doubles[0]);
    check_numbers(ctx, t, 3, doubles);
    static const int32_t signed_types[] = {3, 5, 6};
    for (size_t k = 0; k < 3; k++) {
        t = make_tensor("p", signed_types[k], 1, &three);
        for (int i = 0; i < 3; i++) put_int(&t, 5, (int64_t)ints[i]);
        check_numbers(ctx, t, 3, ints);
    }
    t = make_tensor("p", 7, 1, &three);
    for (int i = 0; i < 3; i++) put_int(&t, 7, (int64_t)ints[i]);
    check_numbers(ctx, t, 3, ints);
    t = make_tensor("p", 12, 1, &three);
    for (int i = 0; i < 3; i++) put_int(&t, 11, (int64_t)unsigned_[i]);
    check_numbers(ctx, t, 3, unsigned_);
    t = make_tensor("p", 10, 1, &three);
    put_int(&t, 5, 0x3c00), put_int(&t, 5, 0xc000), put_int(&t, 5, 0x3800);
    check_numbers(ctx, t, 3, halves);
    t = make_tensor("p", 9, 1, &three);
    put_int(&t, 5, 1), put_int(&t, 5, 0), put_int(&t, 5, 1);
    check_numbers(ctx, t, 3, bits);
    t = make_tensor("p", 22, 1, &three); /* two 4-bit values an entry */
    put_int(&t, 5, 0xe1), put_int(&t, 5, 0x07);
    check_numbers(ctx, t, 3, fours);
    skv_test_context_end(ctx);
}

static void sparse_initializers_become_dense(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    const int64_t two = 2, two_two[2] = {2, 2}, at[4] = {0, 1, 1, 2};
    const float values[2] = {5, 7};
    bytes g = make_graph(), sparse = {0};
    bytes v = make_tensor("p", 1, 1, &two), i = make_tensor(NULL, 7, 2, two_two);
    put_numbers(&v, 9, values, sizeof values, sizeof values[0]);
    put_numbers(&i, 9, at, sizeof at, sizeof at[0]);
    put_message(&sparse, 1, v);
    put_message(&sparse, 2, i);
    put_int(&sparse, 3, 2), put_int(&sparse, 3, 3);
    put_message(&g, 15, sparse);
    put_message(&g, 1, make_node("n", "Identity", "x", "y"));
    put_message(&g, 12, make_info("p", 1, 0, NULL));
    bytes m = make_model(g, 17);
    skive_graph *graph = parse(ctx, &m);
    const skive_tensor *t = skive_value_data(skive_graph_find_value(graph, "p"));
    assert_int_equal(t->rank, 2);
    const double expected[6] = {0, 5, 0, 0, 0, 7};
    for (int k = 0; k < 6; k++) assert_true(skive_tensor_get(t, k) == expected[k]);
    skive_graph_free(graph);
    free(m.data);
    skv_test_context_end(ctx);
}

static bytes constant_node(const char *output, bytes attribute) {
    bytes n = make_node("", "Constant", "", output);
    put_message(&n, 5, attribute);
    return n;
}

static void constants_become_parameters(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    bytes g = make_graph(), a = {0};
    const float f = 2.5f;
    put_text(&a, 1, "value_float");
    put_varint(&a, 2 << 3 | 5);
    put_number(&a, &f, 4);
    put_int(&a, 20, 1);
    put_message(&g, 1, constant_node("c", a));
    bytes b = {0};
    put_text(&b, 1, "value_ints");
    put_int(&b, 8, -1), put_int(&b, 8, 4);
    put_int(&b, 20, 7);
    put_message(&g, 1, constant_node("shape", b));
    put_message(&g, 1, make_node("mul", "Mul", "x c", "t"));
    put_message(&g, 1, make_node("reshape", "Reshape", "t shape", "y"));
    bytes m = make_model(g, 13);
    skive_graph *graph = parse(ctx, &m);
    assert_int_equal(skive_graph_node_count(graph), 2);
    const skive_tensor *c = skive_value_data(skive_graph_find_value(graph, "c"));
    const skive_tensor *shape = skive_value_data(skive_graph_find_value(graph, "shape"));
    assert_int_equal(c->rank, 0);
    assert_true(skive_tensor_get(c, 0) == 2.5);
    assert_int_equal(shape->dtype, SKIVE_I64);
    assert_int_equal(shape->dims[0], 2);
    assert_true(skive_tensor_get(shape, 1) == 4);
    assert_false(skive_value_is_trainable(skive_graph_find_value(graph, "c")));
    skive_graph_free(graph);
    free(m.data);
    skv_test_context_end(ctx);
}

static void initializers_listed_as_inputs_are_parameters(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    const int64_t four = 4;
    const float values[4] = {1, 2, 3, 4};
    for (int keep = 0; keep < 2; keep++) {
        bytes g = make_graph();
        for (int i = 0; i < 2; i++) {
            bytes t = make_tensor(i ? "unused" : "w", 1, 1, &four);
            put_numbers(&t, 9, values, sizeof values, sizeof values[0]);
            put_message(&g, 5, t);
        }
        put_message(&g, 11, make_info("w", 1, 1, &four));
        put_message(&g, 1, make_node("same", "Add", "x w", "t"));
        put_message(&g, 1, make_node("same", "Relu", "t", "y"));
        bytes m = make_model(g, 7);
        skive_graph *graph;
        skive_onnx_load_options o = skive_onnx_load_options_default();
        o.keep_unused = keep;
        skive_context_clear_notes(ctx);
        skv_test_ok(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, &o, &graph));
        assert_int_equal(skive_graph_input_count(graph), 1);
        assert_non_null(skive_value_data(skive_graph_find_value(graph, "w")));
        assert_int_equal(skive_graph_find_value(graph, "unused") != NULL, keep);
        assert_int_equal(noted(ctx, "unused"), !keep);
        const char *first = skive_node_name(skive_graph_node(graph, 0)),
                   *second = skive_node_name(skive_graph_node(graph, 1));
        assert_string_equal(first, "same");
        assert_string_not_equal(first, second);
        skive_graph_free(graph);
        free(m.data);
    }
    skv_test_context_end(ctx);
}

static bytes branch(const char *op, const char *inputs, const char *output) {
    bytes g = {0};
    const int64_t dims[2] = {-1, 4};
    put_message(&g, 1, make_node("inner", op, inputs, output));
    put_text(&g, 2, "branch");
    put_message(&g, 12, make_info(output, 1, 2, dims));
    return g;
}

static void put_graph_attribute(bytes *node, const char *name, bytes g) {
    bytes a = {0};
    put_text(&a, 1, name);
    put_message(&a, 6, g);
    put_int(&a, 20, 5);
    put_message(node, 5, a);
}

static void subgraphs_capture_and_return(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    const float values[4] = {1, 2, 3, 4};
    const int64_t four = 4;
    bytes g = make_graph(), outer = make_node("if", "If", "cond", "y"), deep = make_node("deep", "If", "cond", "z2");
    bytes t = make_tensor("w", 1, 1, &four), middle = {0};
    const int64_t dims[2] = {-1, 4};
    put_numbers(&t, 9, values, sizeof values, sizeof values[0]);
    put_message(&g, 5, t);
    put_message(&g, 11, make_info("cond", 9, 0, NULL));
    put_graph_attribute(&deep, "then_branch", branch("Add", "x w", "z3"));
    put_graph_attribute(&deep, "else_branch", branch("Relu", "x", "z4"));
    put_message(&middle, 1, deep);
    put_text(&middle, 2, "middle");
    put_message(&middle, 12, make_info("z2", 1, 2, dims));
    put_graph_attribute(&outer, "then_branch", middle);
    put_graph_attribute(&outer, "else_branch", branch("Relu", "x", "z"));
    put_message(&g, 1, outer);
    bytes m = make_model(g, 17);
    skive_graph *graph = parse(ctx, &m), *back;
    free(m.data);
    assert_non_null(skive_graph_find_value(graph, "w")); /* used two levels down only */
    const skv_attr *then_branch = skv_node_attr(skive_graph_node(graph, 0), "then_branch");
    assert_non_null(then_branch);
    assert_ptr_equal(then_branch->graph->parent, graph);
    const skive_value *w = skive_graph_find_value(then_branch->graph, "w");
    assert_non_null(w);
    assert_ptr_equal(w->outer, skive_graph_find_value(graph, "w"));
    const char *attribute = NULL;
    assert_int_equal(skive_node_subgraph_count(skive_graph_node(graph, 0)), 2);
    assert_ptr_equal(skive_node_subgraph(skive_graph_node(graph, 0), 0, &attribute), then_branch->graph);
    assert_string_equal(attribute, "then_branch");
    assert_null(skive_node_subgraph(skive_graph_node(graph, 0), 2, NULL));
    /* What branches hold is listed, and counted once. */
    char *listing;
    skive_cost cost;
    skv_test_ok(ctx, skive_graph_print(graph, &listing));
    assert_non_null(strstr(listing, "then_branch: graph middle"));
    assert_non_null(strstr(listing, "= Add(x, w)"));
    skive_string_free(ctx, listing);
    skv_test_ok(ctx, skive_graph_cost(graph, &cost));
    assert_int_equal(cost.parameters, 4);
    void *out;
    size_t n;
    skv_test_ok(ctx, skive_onnx_serialize(ctx, graph, NULL, &out, &n));
    skv_test_ok(ctx, skive_onnx_parse(ctx, out, n, NULL, NULL, &back));
    skive_onnx_free_bytes(ctx, out);
    assert_same_graph(ctx, graph, back);
    skive_graph_free(back);
    skive_graph_free(graph);
    skv_test_context_end(ctx);
}

static void local_functions_are_expanded(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    bytes g = make_graph(), f = {0}, opset = {0}, call = make_node("call", "Twice", "x", "t");
    bytes leaky = make_node("l", "LeakyRelu", "a", "m"), reference = {0}, alpha = {0};
    const float slope = 0.25f;
    put_text(&reference, 1, "alpha");
    put_text(&reference, 21, "slope");
    put_int(&reference, 20, 1);
    put_message(&leaky, 5, reference);
    put_text(&f, 1, "Twice");
    put_text(&f, 4, "a");
    put_text(&f, 5, "r");
    put_text(&f, 6, "slope");
    put_message(&f, 7, leaky);
    put_message(&f, 7, make_node("s", "Add", "m m", "r"));
    put_int(&opset, 2, 16);
    put_message(&f, 9, opset);
    put_text(&f, 10, "my");
    put_text(&alpha, 1, "slope");
    put_varint(&alpha, 2 << 3 | 5);
    put_number(&alpha, &slope, 4);
    put_int(&alpha, 20, 1);
    put_message(&call, 5, alpha);
    put_text(&call, 7, "my");
    bytes second = make_node("call2", "Twice", "t", "y");
    put_text(&second, 7, "my");
    put_message(&g, 1, call);
    put_message(&g, 1, second);
    bytes m = make_model(g, 16);
    put_message(&m, 25, f);
    skive_graph *graph = parse(ctx, &m);
    free(m.data);
    assert_int_equal(skive_graph_node_count(graph), 4);
    const skive_node *first = skive_graph_node(graph, 0);
    assert_string_equal(skive_node_op(first), "LeakyRelu");
    assert_true(skv_attr_float(first, "alpha", 0) == 0.25);
    assert_true(skv_attr_float(skive_graph_node(graph, 2), "alpha", 99) == 99); /* not given: left out */
    assert_ptr_equal(skive_value_producer(skive_graph_output(graph, 0)), skive_graph_node(graph, 3));
    skive_graph_free(graph);
    skv_test_context_end(ctx);
}

static void unknown_operators_are_kept(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    bytes g = make_graph(), n = make_node("odd", "Frobnicate", "x - x", "y"), a = {0}, s = {0}, f = {0}, typed = {0},
          type = {0};
    put_text(&n, 7, "com.example");
    put_text(&a, 1, "names");
    put_text(&a, 9, "one"), put_text(&a, 9, "two");
    put_int(&a, 20, 8);
    put_text(&s, 1, "mode");
    put_bytes(&s, 4, "a\0b", 3);
    put_int(&s, 20, 3);
    put_text(&f, 1, "scales");
    for (int i = 0; i < 2; i++) {
        const float value = i ? 0.1f : 3;
        put_varint(&f, 7 << 3 | 5);
        put_number(&f, &value, 4);
    }
    put_int(&f, 20, 6);
    put_message(&n, 5, a);
    put_message(&n, 5, s);
    put_message(&n, 5, f);
    put_message(&g, 1, n);
    bytes m = make_model(g, 17);
    skive_graph *graph = parse(ctx, &m), *back;
    free(m.data);
    char *missing;
    skv_test_ok(ctx, skive_graph_unsupported(graph, &missing));
    assert_non_null(strstr(missing, "Frobnicate"));
    assert_non_null(strstr(missing, "com.example"));
    skive_string_free(ctx, missing);
    void *out;
    size_t size;
    skv_test_ok(ctx, skive_onnx_serialize(ctx, graph, NULL, &out, &size));
    skv_test_ok(ctx, skive_onnx_parse(ctx, out, size, NULL, NULL, &back));
    skive_onnx_free_bytes(ctx, out);
    const skive_node *node = skive_graph_node(back, 0);
    assert_int_equal(skive_node_input_count(node), 3);
    assert_null(skive_node_input(node, 1));
    const skv_attr *names = skv_node_attr(node, "names"), *mode = skv_node_attr(node, "mode"),
                   *scales = skv_node_attr(node, "scales");
    assert_int_equal(names->n, 2);
    assert_string_equal(names->strings[1], "two");
    assert_int_equal(mode->n, 3);
    assert_memory_equal(mode->s, "a\0b", 3);
    assert_int_equal(scales->n, 2);
    assert_true((float)scales->floats[1] == 0.1f);
    skive_graph_free(back);
    skive_graph_free(graph);

    g = make_graph(), n = make_node("typed", "Optional", "x", "y"); /* an attribute that a graph cannot hold */
    put_text(&typed, 1, "type");
    put_message(&typed, 14, type);
    put_int(&typed, 20, 13);
    put_message(&n, 5, typed);
    put_message(&g, 1, n);
    m = make_model(g, 17);
    graph = parse(ctx, &m);
    free(m.data);
    assert_true(noted(ctx, "typed"));
    skv_test_fails(ctx, skive_onnx_serialize(ctx, graph, NULL, &out, &size), SKIVE_ERR_UNSUPPORTED, "typed");
    skive_graph_free(graph);
    skv_test_context_end(ctx);
}

static void broadcasting_of_opset_6_is_made_explicit(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    const int64_t dims[4] = {2, 3, 4, 4}, three = 3;
    const float values[3] = {1, 2, 3};
    bytes g = {0}, t = make_tensor("b", 1, 1, &three), n = make_node("add", "Add", "x b", "y"), a = {0}, c = {0};
    put_numbers(&t, 9, values, sizeof values, sizeof values[0]);
    put_message(&g, 5, t);
    put_message(&g, 11, make_info("x", 1, 4, dims));
    put_message(&g, 12, make_info("y", 1, 4, dims));
    put_text(&a, 1, "broadcast"), put_int(&a, 3, 1), put_int(&a, 20, 2);
    put_text(&c, 1, "axis"), put_int(&c, 3, 1), put_int(&c, 20, 2);
    put_message(&n, 5, a);
    put_message(&n, 5, c);
    put_message(&g, 1, n);
    bytes m = make_model(g, 6);
    skive_graph *graph = parse(ctx, &m);
    free(m.data);
    const skive_node *add = skive_graph_find_node(graph, "add");
    const skive_type *laid = skive_value_type(skive_node_input(add, 1));
    assert_int_equal(laid->rank, 3);
    assert_int_equal(laid->dims[0].size, 3);
    assert_int_equal(laid->dims[2].size, 1);
    skive_graph_free(graph);
    skv_test_context_end(ctx);
}

static void single_tensors_are_loaded(void **state) {
    (void)state;
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH];
    skive_context *ctx = skv_test_context();
    const int64_t dims[2] = {2, 2};
    const float values[4] = {1, 2, 3, 4};
    bytes t = make_tensor("name", 1, 2, dims);
    put_numbers(&t, 9, values, sizeof values, sizeof values[0]);
    skv_test_make_dir(dir);
    skv_test_path(path, dir, "input_0.pb");
    skv_test_write_file(path, t.data, t.n);
    skive_tensor loaded;
    skv_test_ok(ctx, skive_onnx_load_tensor(ctx, path, &loaded));
    assert_int_equal(loaded.rank, 2);
    assert_memory_equal(loaded.data, values, sizeof values);
    skive_tensor_free(ctx, &loaded);
    skv_test_write_file(path, t.data, t.n - 1);
    skv_test_fails(ctx, skive_onnx_load_tensor(ctx, path, &loaded), SKIVE_ERR_FORMAT, "input_0.pb");
    free(t.data);
    skv_test_remove_dir(dir);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip_through_a_file),
        cmocka_unit_test(every_element_type_keeps_its_bits),
        cmocka_unit_test(opset_can_be_asked_for),
        cmocka_unit_test(internal_operators_are_not_written),
        cmocka_unit_test(external_data_goes_and_comes),
        cmocka_unit_test(typed_fields_are_read),
        cmocka_unit_test(sparse_initializers_become_dense),
        cmocka_unit_test(constants_become_parameters),
        cmocka_unit_test(initializers_listed_as_inputs_are_parameters),
        cmocka_unit_test(subgraphs_capture_and_return),
        cmocka_unit_test(local_functions_are_expanded),
        cmocka_unit_test(unknown_operators_are_kept),
        cmocka_unit_test(broadcasting_of_opset_6_is_made_explicit),
        cmocka_unit_test(single_tensors_are_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
