/* Damaged and hostile ONNX files: each gives a clean status and a message that names the position, whatever byte is
 * changed; also with failing allocations. At the end every model of the ONNX test data, if it is installed. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <skive/onnx.h>

#include "base/base.h"
#include "onnx_bytes.h"
#include "support.h"

/* ---- helpers ---- */

static const int64_t four = 4;

static bytes weight(const char *name, int64_t count, size_t stored) {
    static const unsigned char zeros[64] = {0};
    bytes t = make_tensor(name, 1, 1, &count);
    put_bytes(&t, 9, zeros, stored);
    return t;
}

/* x -> Mul by w -> If (captures) -> Relu -> y: something of everything. */
static bytes good_model(void) {
    bytes g = make_graph(), branch = {0}, node = make_node("if", "If", "c", "u");
    const int64_t dims[2] = {-1, 4};
    for (int i = 0; i < 2; i++) {
        bytes a = {0};
        branch = (bytes){0};
        put_message(&branch, 1, make_node("inner", i ? "Abs" : "Neg", "t", "v"));
        put_text(&branch, 2, "branch");
        put_message(&branch, 12, make_info("v", 1, 2, dims));
        put_text(&a, 1, i ? "then_branch" : "else_branch");
        put_message(&a, 6, branch);
        put_int(&a, 20, 5);
        put_message(&node, 5, a);
    }
    put_message(&g, 5, weight("w", 4, 16));
    put_message(&g, 11, make_info("c", 9, 0, NULL));
    put_message(&g, 1, make_node("mul", "Mul", "x w", "t"));
    put_message(&g, 1, node);
    put_message(&g, 1, make_node("relu", "Relu", "u", "y"));
    return make_model(g, 13);
}

/* Takes `graph`; parsing it must fail like this. */
static void graph_fails(bytes graph, skive_status expected, const char *part) {
    skive_context *ctx = skv_test_context();
    bytes m = make_model(graph, 13);
    skive_graph *g = (skive_graph *)(void *)&m;
    skv_test_fails(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &g), expected, part);
    assert_null(g);
    free(m.data);
    skv_test_context_end(ctx);
}

static bool clean_refusal(skive_status status) {
    return status == SKIVE_ERR_FORMAT || status == SKIVE_ERR_GRAPH || status == SKIVE_ERR_SHAPE ||
           status == SKIVE_ERR_LIMIT || status == SKIVE_ERR_UNSUPPORTED || status == SKIVE_ERR_IO;
}

/* ---- damage ---- */

static void truncated_at_every_byte(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    bytes m = good_model();
    skive_graph *g;
    skv_test_ok(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &g));
    skive_graph_free(g);
    for (size_t n = 0; n < m.n; n++) {
        unsigned char *cut = malloc(n ? n : 1); /* its own block, so that a read beyond it is seen */
        memcpy(cut, m.data, n);
        skive_context_clear(ctx);
        skive_status status = skive_onnx_parse(ctx, cut, n, NULL, NULL, &g);
        assert_int_equal(status, SKIVE_ERR_FORMAT);
        assert_true(strncmp(skive_context_message(ctx), "model: ", 7) == 0);
        free(cut);
    }
    free(m.data);
    skv_test_context_end(ctx);
}

static void flipped_bits(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    bytes m = good_model();
    size_t refused = 0, accepted = 0;
    for (uint64_t round = 0; round < 6000; round++) {
        unsigned char *copy = malloc(m.n);
        memcpy(copy, m.data, m.n);
        size_t flips = 1 + (size_t)skv_rng_below(11, round, 0, 3);
        for (size_t k = 0; k < flips; k++) {
            size_t at = (size_t)skv_rng_below(12, round, k, m.n);
            copy[at] ^= (unsigned char)(1u << skv_rng_below(13, round, k, 8));
        }
        skive_graph *g;
        skive_status status = skive_onnx_parse(ctx, copy, m.n, NULL, NULL, &g);
        free(copy);
        if (status == SKIVE_OK) {
            accepted++;
            skive_graph_free(g);
        } else {
            refused++;
            assert_true(clean_refusal(status));
            assert_true(skive_context_message(ctx)[0]);
        }
    }
    assert_true(refused > 1000 && accepted > 100);
    free(m.data);
    skv_test_context_end(ctx);
}

static void not_onnx_at_all(void **state) {
    (void)state;
    static const char *const files[] = {"",
                                        "hello, this is a text file\n",
                                        "\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
                                        "\0\0\0\0\0\0\0\0",
                                        "\x08\x07",
                                        "<html></html>"};
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH];
    skive_context *ctx = skv_test_context();
    skive_graph *g;
    skv_test_make_dir(dir);
    skv_test_path(path, dir, "file.onnx");
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        skv_test_write_file(path, files[i], i == 2 ? 16 : i == 3 ? 8 : strlen(files[i]));
        skv_test_fails(ctx, skive_onnx_load(ctx, path, NULL, &g), SKIVE_ERR_FORMAT, "file.onnx");
    }
    skv_test_fails(ctx, skive_onnx_load(ctx, dir, NULL, &g), SKIVE_ERR_IO, dir);
    skv_test_path(path, dir, "absent.onnx");
    skv_test_fails(ctx, skive_onnx_load(ctx, path, NULL, &g), SKIVE_ERR_IO, "absent.onnx");
    skv_test_remove_dir(dir);
    skv_test_context_end(ctx);
}

/* ---- hostility ---- */

static void wrap(bytes *inner, unsigned field) {
    bytes outer = {0};
    put_message(&outer, field, *inner);
    *inner = outer;
}

static void nesting_bomb(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g;
    enum { LEVELS = 20000 };
    /* built from the inside out at the end of a block, since appending would take quadratic time */
    size_t room = (size_t)LEVELS * 3 * 6 + 64, at = room;
    unsigned char *block = malloc(room);
    for (int i = 0; i < LEVELS * 3 + 1; i++) { /* graph.node.attribute.g ... in model.graph */
        static const unsigned fields[3] = {6, 5, 1};
        unsigned field = i == LEVELS * 3 ? 7 : fields[i % 3];
        bytes head = {0};
        put_varint(&head, field << 3 | 2);
        put_varint(&head, room - at);
        at -= head.n;
        memcpy(block + at, head.data, head.n);
        free(head.data);
    }
    skv_test_fails(ctx, skive_onnx_parse(ctx, block + at, room - at, NULL, NULL, &g), SKIVE_ERR_LIMIT,
                   "nested deeper than 100");
    skive_onnx_load_options o = skive_onnx_load_options_default();
    o.max_depth = 1000;
    skv_test_fails(ctx, skive_onnx_parse(ctx, block + at, room - at, NULL, &o, &g), SKIVE_ERR_LIMIT,
                   "nested deeper than 1000");
    o.max_depth = 1001;
    skv_test_fails(ctx, skive_onnx_parse(ctx, block + at, room - at, NULL, &o, &g), SKIVE_ERR_ARGUMENT, "max_depth");
    free(block);
    bytes type = {0}; /* types nest too: graph.input.type.sequence_type.elem_type ... */
    for (int i = 0; i < 200; i++) wrap(&type, i % 2 ? 4 : 1);
    wrap(&type, 2), wrap(&type, 11), wrap(&type, 7);
    skv_test_fails(ctx, skive_onnx_parse(ctx, type.data, type.n, NULL, NULL, &g), SKIVE_ERR_LIMIT, "nested");
    free(type.data);
    skv_test_context_end(ctx);
}

static void deep_but_allowed(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g;
    skive_onnx_load_options o = skive_onnx_load_options_default();
    o.max_depth = 1000;
    bytes inner = {0};
    for (int i = 0; i < 300; i++) {
        bytes node = make_node("n", "Nest", "", "y"), a = {0}, outer = {0};
        put_text(&a, 1, "body");
        put_message(&a, 6, inner);
        put_int(&a, 20, 5);
        put_message(&node, 5, a);
        put_text(&node, 7, "com.example");
        put_message(&outer, 1, node);
        inner = outer;
    }
    bytes m = make_model(inner, 13);
    skv_test_fails(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &g), SKIVE_ERR_LIMIT, "nested");
    skv_test_ok(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, &o, &g));
    skive_graph_free(g);
    free(m.data);
    skv_test_context_end(ctx);
}

static void many_small_messages_are_bounded(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g;
    skive_onnx_load_options o = skive_onnx_load_options_default();
    bytes graph = {0};
    for (int i = 0; i < 200000; i++) put_bytes(&graph, 13, "", 0); /* two bytes each, over a hundred in memory */
    bytes m = make_model(graph, 13);
    o.max_memory = 1 << 20;
    skv_test_fails(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, &o, &g), SKIVE_ERR_LIMIT, "max_memory");
    o.max_memory = 8 << 20;
    skv_test_fails(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, &o, &g), SKIVE_ERR_LIMIT, "max_memory");
    free(m.data);
    graph = (bytes){0};
    for (int i = 0; i < 11; i++) put_bytes(&graph, 1, "", 0);
    m = make_model(graph, 13);
    o = skive_onnx_load_options_default();
    o.max_nodes = 10;
    skv_test_fails(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, &o, &g), SKIVE_ERR_LIMIT, "max_nodes");
    free(m.data);
    skv_test_context_end(ctx);
}

static void wrong_wire_types(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g;
    static const char *const files[] = {
        "\x3b\x3c",                                             /* a group */
        "\x38\x01",                                             /* graph as a number */
        "\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",         /* a length of 2^64 - 1 */
        "\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", /* a length of twelve bytes */
        "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",         /* a number over 64 bits */
        "\x3a\x02\x12\x05",                                     /* a field beyond its message */
        "\x3f\x3f",                                             /* wire type 7 */
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        skv_test_fails(ctx, skive_onnx_parse(ctx, files[i], strlen(files[i]), NULL, NULL, &g), SKIVE_ERR_FORMAT,
                       "byte");
    }
    skv_test_context_end(ctx);
    bytes graph = make_graph();
    put_bytes(&graph, 2, "a\0b", 3);
    graph_fails(graph, SKIVE_ERR_FORMAT, "GraphProto.name");
    bytes twice = make_model(make_graph(), 13), second = make_graph();
    put_message(&twice, 7, second);
    ctx = skv_test_context();
    skv_test_fails(ctx, skive_onnx_parse(ctx, twice.data, twice.n, NULL, NULL, &g), SKIVE_ERR_FORMAT, "twice");
    free(twice.data);
    skv_test_context_end(ctx);
}

/* ---- tensors ---- */

static bytes with_weight(bytes tensor) {
    bytes g = make_graph();
    put_message(&g, 5, tensor);
    put_message(&g, 1, make_node("mul", "Mul", "x w", "y"));
    return g;
}

static void tensors_that_do_not_fit(void **state) {
    (void)state;
    graph_fails(with_weight(weight("w", 4, 15)), SKIVE_ERR_FORMAT,
                "initializer w: shape [4] of float32 needs 16 bytes, but the file has 15");
    graph_fails(with_weight(weight("w", 4, 20)), SKIVE_ERR_FORMAT, "16 bytes, but the file has 20");
    graph_fails(with_weight(weight("w", -1, 16)), SKIVE_ERR_FORMAT, "dimension 0 is -1");
    graph_fails(with_weight(weight("w", INT64_MAX, 16)), SKIVE_ERR_LIMIT, "overflows");
    graph_fails(with_weight(weight("w", (int64_t)1 << 40, 16)), SKIVE_ERR_LIMIT, "max_tensor_bytes");
    graph_fails(with_weight(weight("w", (int64_t)1 << 30, 16)), SKIVE_ERR_FORMAT, "needs 4294967296 bytes");
    const int64_t huge[3] = {(int64_t)1 << 31, (int64_t)1 << 31, (int64_t)1 << 31};
    graph_fails(with_weight(make_tensor("w", 1, 3, huge)), SKIVE_ERR_LIMIT, "overflows");
    graph_fails(with_weight(make_tensor("w", 1, 1, &four)), SKIVE_ERR_FORMAT, "needs 4 entries, but the file has 0");
    const int64_t nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    graph_fails(with_weight(make_tensor("w", 1, 9, nine)), SKIVE_ERR_UNSUPPORTED, "9 dimensions");
    bytes wrong = make_tensor("w", 6, 1, &four); /* float_data in an int32 tensor */
    put_bytes(&wrong, 4, "0123456789abcdef", 16);
    graph_fails(with_weight(wrong), SKIVE_ERR_FORMAT, "does not have its type");
    bytes segment = make_tensor("w", 1, 1, &four);
    put_bytes(&segment, 3, "\x08\x01", 2);
    graph_fails(with_weight(segment), SKIVE_ERR_UNSUPPORTED, "segment");
    bytes sparse = {0}, g = make_graph(); /* a petabyte from a few bytes */
    bytes values = weight("w", 1, 4), indices = make_tensor(NULL, 7, 1, (const int64_t[]){1});
    put_int(&indices, 7, 0);
    put_message(&sparse, 1, values);
    put_message(&sparse, 2, indices);
    put_int(&sparse, 3, (int64_t)1 << 30);
    put_message(&g, 15, sparse);
    graph_fails(g, SKIVE_ERR_LIMIT, "in dense form");
    sparse = (bytes){0}, g = make_graph();
    values = weight("w", 1, 4), indices = make_tensor(NULL, 7, 1, (const int64_t[]){1});
    put_int(&indices, 7, 8);
    put_message(&sparse, 1, values);
    put_message(&sparse, 2, indices);
    put_int(&sparse, 3, 8);
    put_message(&g, 15, sparse);
    graph_fails(g, SKIVE_ERR_FORMAT, "outside its shape");
}

/* ---- graphs ---- */

static void graphs_that_are_none(void **state) {
    (void)state;
    bytes g = make_graph();
    put_message(&g, 1, make_node("a", "Add", "x u", "t"));
    put_message(&g, 1, make_node("b", "Relu", "t", "u"));
    put_message(&g, 1, make_node("c", "Relu", "u", "y"));
    graph_fails(g, SKIVE_ERR_GRAPH, "cycle");
    g = make_graph();
    put_message(&g, 1, make_node("lonely", "Relu", "nowhere", "y"));
    graph_fails(g, SKIVE_ERR_GRAPH, "node lonely (Relu): its input nowhere");
    graph_fails(make_graph(), SKIVE_ERR_GRAPH, "output y");
    g = make_graph();
    put_message(&g, 1, make_node("one", "Relu", "x", "y"));
    put_message(&g, 1, make_node("two", "Abs", "x", "y"));
    graph_fails(g, SKIVE_ERR_GRAPH, "node two (Abs): its output name y");
    g = make_graph();
    put_message(&g, 1, make_node("one", "Relu", "x", "x"));
    graph_fails(g, SKIVE_ERR_GRAPH, "output name x");
    g = make_graph();
    put_message(&g, 11, make_info("x", 1, 1, &four));
    graph_fails(g, SKIVE_ERR_GRAPH, "input x");
    g = make_graph();
    put_message(&g, 5, weight("w", 4, 16));
    put_message(&g, 5, weight("w", 4, 16));
    graph_fails(g, SKIVE_ERR_GRAPH, "initializer w");
    g = make_graph();
    put_message(&g, 1, make_node("nameless", "", "x", "y"));
    graph_fails(g, SKIVE_ERR_FORMAT, "nameless");
    g = make_graph();
    bytes inside = make_node("sneaky", "AddRelu", "x", "y");
    put_text(&inside, 7, "ai.skive");
    put_message(&g, 1, inside);
    graph_fails(g, SKIVE_ERR_FORMAT, "sneaky");
    g = with_weight(weight("w", 3, 12)); /* [N,4] by [3] */
    graph_fails(g, SKIVE_ERR_SHAPE, "mul");
}

static void operator_set_versions(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    static const int64_t versions[] = {-1, 0, 1001, INT64_MAX};
    skive_graph *g;
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        bytes graph = make_graph();
        put_message(&graph, 1, make_node("r", "Relu", "x", "y"));
        bytes m = make_model(graph, versions[i]);
        skv_test_fails(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &g), SKIVE_ERR_UNSUPPORTED,
                       "operator set version");
        free(m.data);
    }
    bytes graph = make_graph();
    put_message(&graph, 1, make_node("r", "Relu", "x", "y"));
    bytes m = make_model(graph, 29);
    skv_test_ok(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &g));
    assert_int_equal(skive_context_note_count(ctx), 1);
    assert_non_null(strstr(skive_context_note(ctx, 0), "29"));
    skive_graph_free(g);
    free(m.data);
    skv_test_context_end(ctx);
}

static void recursive_functions(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g;
    bytes graph = make_graph(), f = {0};
    bytes call = make_node("call", "F", "x", "y"), inner = make_node("again", "F", "a", "r"),
          wide = make_node("w", "F", "a", "r2");
    put_text(&call, 7, "my"), put_text(&inner, 7, "my"), put_text(&wide, 7, "my");
    put_text(&f, 1, "F"), put_text(&f, 4, "a"), put_text(&f, 5, "r"), put_text(&f, 10, "my");
    put_message(&f, 7, inner);
    put_message(&f, 7, wide);
    put_message(&graph, 1, call);
    bytes m = make_model(graph, 13);
    put_message(&m, 25, f);
    skv_test_fails(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &g), SKIVE_ERR_LIMIT, "function F");
    free(m.data);
    skv_test_context_end(ctx);
}

/* ---- external data ---- */

static bytes external_model(const char *location, const char *offset, const char *length) {
    bytes t = make_tensor("w", 1, 1, &four);
    const char *const pairs[3][2] = {{"location", location}, {"offset", offset}, {"length", length}};
    for (int i = 0; i < 3; i++) {
        bytes e = {0};
        if (!pairs[i][1]) continue;
        put_text(&e, 1, pairs[i][0]);
        put_text(&e, 2, pairs[i][1]);
        put_message(&t, 13, e);
    }
    put_int(&t, 14, 1);
    return make_model(with_weight(t), 13);
}

static void external_fails(const char *path, const char *location, const char *offset, const char *length,
                           skive_status expected, const char *part) {
    skive_context *ctx = skv_test_context();
    skive_graph *g;
    bytes m = external_model(location, offset, length);
    skv_test_write_file(path, m.data, m.n);
    skv_test_fails(ctx, skive_onnx_load(ctx, path, NULL, &g), expected, part);
    free(m.data);
    skv_test_context_end(ctx);
}

static void external_data_stays_in_its_folder(void **state) {
    (void)state;
    char dir[SKV_TEST_PATH], inside[SKV_TEST_PATH], path[SKV_TEST_PATH], secret[SKV_TEST_PATH], link[SKV_TEST_PATH];
    char data[SKV_TEST_PATH];
    static const char content[] = "0123456789abcdef";
    skv_test_make_dir(dir);
    skv_test_path(inside, dir, "model");
    assert_int_equal(mkdir(inside, 0700), 0);
    skv_test_path(path, inside, "m.onnx");
    skv_test_path(secret, dir, "secret");
    skv_test_write_file(secret, content, 16);
    skv_test_path(data, inside, "data");
    skv_test_write_file(data, content, 16);
    external_fails(path, "../secret", NULL, NULL, SKIVE_ERR_FORMAT, "../secret");
    external_fails(path, "./x/../../secret", NULL, NULL, SKIVE_ERR_FORMAT, "stay in");
    external_fails(path, secret, NULL, NULL, SKIVE_ERR_FORMAT, "relative");
    external_fails(path, "..\\secret", NULL, NULL, SKIVE_ERR_FORMAT, "stay in");
    external_fails(path, "", NULL, NULL, SKIVE_ERR_FORMAT, "stay in");
    external_fails(path, NULL, NULL, NULL, SKIVE_ERR_FORMAT, "has no location");
    skv_test_path(link, inside, "link");
    assert_int_equal(symlink("../secret", link), 0);
    external_fails(path, "link", NULL, NULL, SKIVE_ERR_FORMAT, "leaves the model");
    external_fails(path, "missing", NULL, NULL, SKIVE_ERR_IO, "missing");
    external_fails(path, "data", "1", NULL, SKIVE_ERR_FORMAT, "beyond the end");
    external_fails(path, "data", "18446744073709551615", "16", SKIVE_ERR_FORMAT, "beyond the end");
    external_fails(path, "data", "18446744073709551616", NULL, SKIVE_ERR_FORMAT, "not a number");
    external_fails(path, "data", "-1", NULL, SKIVE_ERR_FORMAT, "not a number");
    external_fails(path, "data", "0", "12", SKIVE_ERR_FORMAT, "needs 16 bytes");
    skive_context *ctx = skv_test_context();
    skive_graph *g;
    bytes m = external_model("data", "0", "16");
    skv_test_write_file(path, m.data, m.n);
    skv_test_ok(ctx, skive_onnx_load(ctx, path, NULL, &g));
    assert_memory_equal(skive_value_data(skive_graph_find_value(g, "w"))->data, content, 16);
    skive_graph_free(g);
    skv_test_fails(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &g), SKIVE_ERR_IO, "no folder");
    free(m.data);
    /* A cache: links to the model and to its data lead into one folder. Other data may not be beside another model. */
    char cache[SKV_TEST_PATH];
    skv_test_path(cache, dir, "cache");
    assert_int_equal(mkdir(cache, 0700), 0);
    skv_test_path(path, cache, "model.onnx");
    assert_int_equal(symlink("../model/m.onnx", path), 0);
    skv_test_path(link, cache, "data");
    assert_int_equal(symlink("../model/data", link), 0);
    skv_test_ok(ctx, skive_onnx_load(ctx, path, NULL, &g));
    assert_memory_equal(skive_value_data(skive_graph_find_value(g, "w"))->data, content, 16);
    skive_graph_free(g);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink("../secret", link), 0);
    skv_test_fails(ctx, skive_onnx_load(ctx, path, NULL, &g), SKIVE_ERR_FORMAT, "leaves the model");
    assert_int_equal(unlink(link), 0);
    assert_int_equal(mkfifo(link, 0600), 0);
    skv_test_fails(ctx, skive_onnx_load(ctx, path, NULL, &g), SKIVE_ERR_IO, "it is a pipe");
    skv_test_context_end(ctx);
    skv_test_remove_dir(dir);
}

/* ---- memory and disk ---- */

static skive_status load_and_save(skive_context *ctx, void *user) {
    const bytes *m = user;
    skive_graph *g = NULL;
    void *out = NULL;
    size_t n;
    skive_status status = skive_onnx_parse(ctx, m->data, m->n, NULL, NULL, &g);
    if (status == SKIVE_OK) status = skive_onnx_serialize(ctx, g, NULL, &out, &n);
    skive_onnx_free_bytes(ctx, out);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    bytes m = good_model();
    assert_true(skv_test_walk_allocations(load_and_save, &m, 1) > 50);
    free(m.data);
}

static skive_status load_file_save_file(skive_context *ctx, void *user) {
    const char *path = user;
    char other[SKV_TEST_PATH + 8];
    skive_graph *g = NULL;
    skive_onnx_save_options o = skive_onnx_save_options_default();
    o.external_threshold = 100;
    (void)snprintf(other, sizeof other, "%s.copy", path);
    skive_status status = skive_onnx_load(ctx, path, NULL, &g);
    if (status == SKIVE_OK) status = skive_onnx_save(ctx, g, other, &o);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail_with_files(void **state) {
    (void)state;
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH];
    bytes m = good_model();
    skv_test_make_dir(dir);
    skv_test_path(path, dir, "m.onnx");
    skv_test_write_file(path, m.data, m.n);
    assert_true(skv_test_walk_allocations(load_file_save_file, path, 1) > 50);
    free(m.data);
    skv_test_remove_dir(dir);
}

static void unwritable_output(void **state) {
    (void)state;
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH];
    skive_context *ctx = skv_test_context();
    bytes m = good_model();
    skive_graph *g;
    skv_test_ok(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &g));
    skv_test_make_dir(dir);
    skv_test_fails(ctx, skive_onnx_save(ctx, g, dir, NULL), SKIVE_ERR_IO, dir);
    skv_test_path(path, dir, "none/m.onnx");
    skv_test_fails(ctx, skive_onnx_save(ctx, g, path, NULL), SKIVE_ERR_IO, "none");
    if (access("/dev/full", W_OK) == 0) {
        skv_test_fails(ctx, skive_onnx_save(ctx, g, "/dev/full", NULL), SKIVE_ERR_IO, "/dev/full");
    }
    assert_int_equal(skv_test_dir_entries(dir), 0);
    skive_graph_free(g);
    free(m.data);
    skv_test_remove_dir(dir);
    skv_test_context_end(ctx);
}

/* ---- the ONNX test data ---- */

#define TEST_DATA "/usr/share/libonnx-testdata/data"

typedef struct tally {
    size_t models, loaded, written;
} tally;

static void try_model(const char *path, tally *t) {
    skive_context *ctx = skv_test_context();
    skive_graph *g;
    t->models++;
    skive_status status = skive_onnx_load(ctx, path, NULL, &g);
    if (status != SKIVE_OK) {
        if (getenv("SKIVE_TEST_VERBOSE")) print_message("%s\n", skive_context_message(ctx));
        assert_true(clean_refusal(status));
        assert_non_null(strstr(skive_context_message(ctx), path));
    } else {
        void *out;
        size_t n;
        t->loaded++;
        status = skive_onnx_serialize(ctx, g, NULL, &out, &n);
        if (status == SKIVE_OK) {
            skive_graph *back;
            t->written++;
            skv_test_ok(ctx, skive_onnx_parse(ctx, out, n, NULL, NULL, &back));
            assert_int_equal(skive_graph_node_count(g), skive_graph_node_count(back));
            skive_graph_free(back);
        } else {
            assert_int_equal(status, SKIVE_ERR_UNSUPPORTED);
        }
        skive_onnx_free_bytes(ctx, out);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

static void walk_folder(const char *folder, int depth, tally *t) {
    DIR *d = opendir(folder);
    struct dirent *e;
    if (!d) return;
    while ((e = readdir(d))) {
        char path[1024];
        if (e->d_name[0] == '.') continue;
        if (snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= (int)sizeof path) continue;
        if (strcmp(e->d_name, "model.onnx") == 0)
            try_model(path, t);
        else if (depth < 2)
            walk_folder(path, depth + 1, t);
    }
    (void)closedir(d);
}

static void the_onnx_test_data(void **state) {
    (void)state;
    tally t = {0, 0, 0};
    if (access(TEST_DATA, R_OK) != 0) skip();
    walk_folder(TEST_DATA, 0, &t);
    print_message("ONNX test data: %zu models, %zu loaded, %zu written and read again\n", t.models, t.loaded,
                  t.written);
    assert_true(t.models > 1000);
    assert_true(t.loaded * 100 >= t.models * 95);
    assert_true(t.written * 100 >= t.loaded * 90);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncated_at_every_byte),   cmocka_unit_test(flipped_bits),
        cmocka_unit_test(not_onnx_at_all),           cmocka_unit_test(nesting_bomb),
        cmocka_unit_test(deep_but_allowed),          cmocka_unit_test(many_small_messages_are_bounded),
        cmocka_unit_test(wrong_wire_types),          cmocka_unit_test(tensors_that_do_not_fit),
        cmocka_unit_test(graphs_that_are_none),      cmocka_unit_test(operator_set_versions),
        cmocka_unit_test(recursive_functions),       cmocka_unit_test(external_data_stays_in_its_folder),
        cmocka_unit_test(every_allocation_may_fail), cmocka_unit_test(every_allocation_may_fail_with_files),
        cmocka_unit_test(unwritable_output),         cmocka_unit_test(the_onnx_test_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
