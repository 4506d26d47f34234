/* Tensors of strings: who owns their text, the files that hold them, what refuses them, and regular expressions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <skive/exec.h>
#include <skive/onnx.h>
#include <skive/pack.h>
#include <skive/session.h>
#include <skive/tensor.h>

#include "graph/graph.h"
#include "graph/op.h"
#include "onnx/schema.h"
#include "onnx_bytes.h"
#include "ops/strings/common_regex.h"
#include "support.h"
#include "tensor/strings.h"

static const char *const some[] = {"the fox", NULL, "grün", "", "日本語 x"};
enum { SOME = sizeof some / sizeof *some };

static skive_tensor some_strings(void) {
    const int64_t n = SOME;
    return skv_tensor_view(SKIVE_STRING, 1, &n, some);
}

static void check_some(const skive_tensor *t) {
    assert_int_equal(t->dtype, SKIVE_STRING);
    assert_int_equal(skive_tensor_count(t), SOME);
    for (int i = 0; i < SOME; i++) assert_string_equal(skive_tensor_string(t, i), some[i] ? some[i] : "");
}

/* A copy has its own text, and numbers do not mix with it. */
static void owns_its_text(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char text[] = "mine";
    const char *list[2] = {text, NULL};
    const int64_t two = 2;
    skive_tensor view = skv_tensor_view(SKIVE_STRING, 1, &two, list), copy, numbers;
    skv_test_ok(ctx, skive_tensor_copy(ctx, &view, &copy));
    memset(text, 'x', 4);
    assert_string_equal(skive_tensor_string(&copy, 0), "mine");
    assert_string_equal(skive_tensor_string(&copy, 1), "");
    assert_null(skive_tensor_string(&copy, 2));
    assert_null(skive_tensor_string(&copy, -1));
    skive_tensor_set(&copy, 0, 7);
    assert_string_equal(skive_tensor_string(&copy, 0), "mine");
    assert_true(isnan(skive_tensor_get(&copy, 0)));
    assert_false(skv_tensor_same(&copy, &view));
    memcpy(text, "mine", 4);
    assert_true(skv_tensor_same(&copy, &view)); /* by text, not by pointer */
    assert_true(skv_tensor_hash(&copy, 3) == skv_tensor_hash(&view, 3));
    skv_test_fails(ctx, skv_tensor_convert(ctx, &copy, SKIVE_F32, &numbers), SKIVE_ERR_ARGUMENT, "string");
    skive_tensor_free(ctx, &copy);
    skv_test_context_end(ctx);
}

static void npy_files(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH];
    skive_tensor t = some_strings(), back;
    skive_npy_stream *stream = NULL;
    skv_test_make_dir(dir);
    skv_test_path(path, dir, "x.npy");
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, path, &t));
    skv_test_ok(ctx, skive_tensor_load_npy(ctx, path, &back));
    check_some(&back);
    skive_tensor_free(ctx, &back);
    skv_test_fails(ctx, skive_npy_stream_open(ctx, path, SKIVE_STRING, 1, t.dims, &stream), SKIVE_ERR_UNSUPPORTED,
                   "part by part");
    const char *const bad[] = {"\xff"};
    const int64_t one = 1;
    skive_tensor wrong = skv_tensor_view(SKIVE_STRING, 1, &one, bad);
    skv_test_fails(ctx, skive_tensor_save_npy(ctx, path, &wrong), SKIVE_ERR_FORMAT, "UTF-8");
    skv_test_remove_dir(dir);
    skv_test_context_end(ctx);
}

/* A .npy file of one element with this type and these bytes. */
static skive_status read_one(skive_context *ctx, const char *descr, const void *element, size_t n, skive_tensor *out) {
    char file[256] = "\x93NUMPY\x01", *data = NULL;
    const size_t head = 118;
    memset(file + 10, ' ', head);
    file[8] = (char)head;
    const int length = snprintf(file + 10, head, "{'descr': '%s', 'fortran_order': False, 'shape': (1,), }", descr);
    file[10 + length] = ' ';
    file[10 + head - 1] = '\n';
    if (n) memcpy(file + 10 + head, element, n);
    skv_test_ok(ctx, skv_alloc(ctx, 10 + head + n, &data));
    memcpy(data, file, 10 + head + n);
    const skive_status status = skv_npy_parse(ctx, "x.npy", data, 10 + head + n, out);
    if (status != SKIVE_OK) skv_free(ctx, data);
    return status;
}

static void npy_forms(void **state) {
    (void)state;
    static const struct {
        const char *descr, *bytes;
        size_t n;
        const char *text; /* NULL: refused */
    } forms[] = {
        {"<U2", "a\0\0\0\xe9\0\0\0", 8, "aé"},
        {">U2", "\0\0\0a\0\0\0\xe9", 8, "aé"},
        {"<U2", "a\0\0\0\0\0\0\0", 8, "a"},
        {"<U2", "\0\0\0\0a\0\0\0", 8, NULL},      /* a zero inside */
        {"<U1", "\0\0\x11\0", 4, NULL},           /* above the last character */
        {"<U1", "\0\xd8\0\0", 4, NULL},           /* half a character */
        {"<U2", "a\0\0\0", 4, NULL},              /* too short */
        {"<U99999999999999999999", "a", 1, NULL}, /* a width that overflows */
        {"|S3", "ab\0", 3, "ab"},
        {"|S3", "a\0b", 3, NULL},
        {"|S2", "\xc3\xa9", 2, "é"},
        {"|S1", "\xc3", 1, NULL},
        {"|S0", "", 0, ""},
        {"|O", "", 0, NULL},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        skive_context *ctx = skv_test_context();
        skive_tensor t = {0};
        const skive_status status = read_one(ctx, forms[i].descr, forms[i].bytes, forms[i].n, &t);
        if ((status == SKIVE_OK) != (forms[i].text != NULL)) fail_msg("form %zu: status %d", i, (int)status);
        if (status == SKIVE_OK) assert_string_equal(skive_tensor_string(&t, 0), forms[i].text);
        skive_tensor_free(ctx, &t);
        skv_test_context_end(ctx);
    }
}

/* y = Concat(Gather(names, x), names) */
static skive_graph *names_graph(skive_context *ctx) {
    skive_graph *g = NULL;
    skive_value *x = NULL, *names = NULL;
    skive_tensor t = some_strings();
    const skive_type type = {.dtype = SKIVE_I64, .rank = 1, .dims = {{-1, "N"}}};
    skv_test_ok(ctx, skive_graph_create(ctx, "names", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_test_ok(ctx, skive_graph_add_parameter(g, "names", &t, &names));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Concat", SKV_IN(skv_emit(&b, "Gather", SKV_IN(names, x), SKV_NONE), names),
                              SKV_ATTRS(SKV_INT("axis", 0)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_value_rename(y, "y"));
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static void run_names(skive_context *ctx, const skive_graph *g) {
    int64_t at[2] = {2, 0};
    const int64_t two = 2;
    skive_tensor in = skv_tensor_view(SKIVE_I64, 1, &two, at), out = {0};
    skv_test_ok(ctx, skive_graph_run(ctx, g, &in, 1, &out, 1)); /* the session is gone, its text is not */
    assert_int_equal(skive_tensor_count(&out), 2 + SOME);
    assert_string_equal(skive_tensor_string(&out, 0), "grün");
    assert_string_equal(skive_tensor_string(&out, 1), "the fox");
    assert_string_equal(skive_tensor_string(&out, 6), "日本語 x");
    skive_tensor_free(ctx, &out);
}

static void files(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = names_graph(ctx), *back = NULL, *unpacked = NULL;
    void *onnx = NULL, *packed = NULL, *again = NULL;
    size_t n_onnx, n_packed, n_again;
    run_names(ctx, g);
    skv_test_ok(ctx, skive_onnx_serialize(ctx, g, NULL, &onnx, &n_onnx));
    skv_test_ok(ctx, skive_onnx_parse(ctx, onnx, n_onnx, NULL, NULL, &back));
    run_names(ctx, back);
    skv_test_ok(ctx, skive_pack_serialize(ctx, back, NULL, &packed, &n_packed, NULL));
    skv_test_ok(ctx, skive_pack_parse(ctx, packed, n_packed, NULL, &unpacked, NULL));
    run_names(ctx, unpacked);
    skv_test_ok(ctx, skive_pack_serialize(ctx, unpacked, NULL, &again, &n_again, NULL));
    assert_int_equal(n_again, n_packed);
    assert_memory_equal(again, packed, n_packed);
    skive_onnx_free_bytes(ctx, onnx);
    skive_pack_free_bytes(ctx, packed);
    skive_pack_free_bytes(ctx, again);
    skive_graph_free(unpacked);
    skive_graph_free(back);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Bytes of a packed file with strings changed one by one: read as something, or refused. */
static void damaged_packs(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = names_graph(ctx);
    unsigned char *packed = NULL;
    size_t n;
    skv_test_ok(ctx, skive_pack_serialize(ctx, g, NULL, (void **)&packed, &n, NULL));
    for (size_t i = 0; i < n; i++) {
        for (unsigned change = 1; change < 256; change *= 4) {
            skive_graph *other = NULL;
            packed[i] ^= (unsigned char)change;
            (void)skive_pack_parse(ctx, packed, n, NULL, &other, NULL);
            skive_graph_free(other);
            packed[i] ^= (unsigned char)change;
        }
    }
    skive_pack_free_bytes(ctx, packed);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

typedef struct piece {
    const char *at;
    size_t n;
} piece;

/* A model whose initializer is these strings. */
static skive_status read_initializer(skive_context *ctx, int64_t count, const piece *list, size_t n, bool raw,
                                     skive_graph **out) {
    static const int64_t open = -1;
    bytes g = {0}, t = make_tensor("names", 8, 1, &count), node = make_node("the_node", "Identity", "names", "y");
    for (size_t i = 0; i < n; i++) put_bytes(&t, raw ? 9 : 6, list[i].at, list[i].n);
    put_text(&g, 2, "main");
    put_message(&g, 1, node);
    put_message(&g, 5, t);
    put_message(&g, 12, make_info("y", 8, 1, &open));
    bytes m = make_model(g, 17);
    const skive_status status = skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, out);
    free(m.data);
    return status;
}

static void hostile_initializers(void **state) {
    (void)state;
    static const piece good[] = {{"a", 1}, {"", 0}}, zero[] = {{"a\0b", 3}, {"", 0}}, latin[] = {{"\xe9", 1}, {"", 0}};
    static const piece raw[] = {{"\x10\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0", 16}}; /* addresses must not be read */
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_tensor out = {0};
    skv_test_ok(ctx, read_initializer(ctx, 2, good, 2, false, &g));
    skv_test_ok(ctx, skive_graph_run(ctx, g, NULL, 0, &out, 1));
    assert_string_equal(skive_tensor_string(&out, 0), "a");
    skive_tensor_free(ctx, &out);
    skive_graph_free(g);
    skv_test_fails(ctx, read_initializer(ctx, 2, zero, 2, false, &g), SKIVE_ERR_UNSUPPORTED, "zero byte");
    skv_test_fails(ctx, read_initializer(ctx, 2, latin, 2, false, &g), SKIVE_ERR_FORMAT, "UTF-8");
    skv_test_fails(ctx, read_initializer(ctx, 2, raw, 1, true, &g), SKIVE_ERR_FORMAT, "raw bytes");
    skv_test_fails(ctx, read_initializer(ctx, 3, good, 2, false, &g), SKIVE_ERR_FORMAT, "names");
    skv_test_fails(ctx, read_initializer(ctx, 1, good, 2, false, &g), SKIVE_ERR_FORMAT, "names");
    skv_test_fails(ctx, read_initializer(ctx, INT64_C(1) << 58, good, 2, false, &g), SKIVE_ERR_LIMIT, "names");
    skv_test_context_end(ctx);
}

/* Text that a plan makes is valid until the exec's next run. */
static void text_of_a_run(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_value *a = NULL, *b = NULL;
    const int64_t two = 2;
    const skive_type type = skive_type_make(SKIVE_STRING, 1, &two);
    skv_test_ok(ctx, skive_graph_create(ctx, "joined", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "a", &type, &a));
    skv_test_ok(ctx, skive_graph_add_input(g, "b", &type, &b));
    skv_builder build = skv_build(g);
    skive_value *y = skv_emit(&build, "StringConcat", SKV_IN(a, b), SKV_NONE);
    skv_test_ok(ctx, build.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_plan_create(ctx, g, NULL, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    long blocks = 0;
    for (int round = 0; round < 4; round++) {
        skive_tensor in[2], out, kept;
        for (size_t i = 0; i < 2; i++) skv_test_ok(ctx, skive_exec_input(exec, i, &in[i]));
        ((const char **)in[0].data)[0] = "x";
        ((const char **)in[0].data)[1] = NULL;
        ((const char **)in[1].data)[0] = round % 2 ? "one" : "two";
        ((const char **)in[1].data)[1] = NULL;
        skv_test_ok(ctx, skive_exec_run(exec));
        skv_test_ok(ctx, skive_exec_output(exec, 0, &out));
        assert_string_equal(skive_tensor_string(&out, 0), round % 2 ? "xone" : "xtwo");
        assert_string_equal(skive_tensor_string(&out, 1), "");
        skv_test_ok(ctx, skive_tensor_copy(ctx, &out, &kept));
        skive_tensor_free(ctx, &kept);
        if (round > 0) assert_int_equal(skv_test_live(ctx), blocks); /* nothing is left from run to run */
        blocks = skv_test_live(ctx);
    }
    skive_exec_free(exec);
    skive_plan_free(plan);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* An op takes strings only where the standard does, and every other one refuses them whatever its own check says. */
static void only_where_allowed(void **state) {
    (void)state;
    size_t without = 0;
    for (size_t k = 0; k < skv_op_count(); k++) {
        const skv_op *op = skv_op_at(k);
        const skv_schema *schema = *op->domain ? NULL : skv_schema_find(op->name, SKV_SCHEMA_NEWEST);
        for (int i = 0; i < (op->max_in < 0 ? 2 : op->max_in); i++) {
            skive_context *ctx = skv_test_context();
            skive_graph *g = NULL;
            skive_node *n = NULL;
            skive_value *in[SKV_OP_MAX_IO] = {NULL}, *out[1] = {NULL};
            skive_type types[SKV_OP_MAX_IO], result[1];
            const skive_type *given[SKV_OP_MAX_IO] = {NULL};
            const int n_in = op->max_in < 0 ? (i + 1 > op->min_in ? i + 1 : op->min_in) : op->max_in;
            const bool takes = op->strings >> i & 1u;
            if (n_in > SKV_OP_MAX_IO) continue;
            skv_test_ok(ctx, skive_graph_create(ctx, "one", &g));
            for (int j = 0; j < n_in; j++) {
                types[j] = (skive_type){.dtype = j == i ? SKIVE_STRING : SKIVE_DTYPE_NONE, .rank = -1};
                given[j] = &types[j];
                skv_test_ok(ctx, skive_graph_add_input(g, NULL, &types[j], &in[j]));
            }
            skv_test_ok(ctx, skv_graph_new_value(g, NULL, &out[0]));
            skv_test_ok(ctx, skv_graph_new_node(g, op->name, op->domain, "the_node", in, (size_t)n_in, out, 1, &n));
            const skive_tensor *constant[SKV_OP_MAX_IO] = {NULL};
            const skive_status status = skv_op_infer(ctx, n, given, constant, result);
            if (!takes && op->min_out <= 1) {
                if (status == SKIVE_OK || !strstr(skive_context_message(ctx), "strings"))
                    fail_msg("%s takes strings as input %d: %s", op->name, i, skive_context_message(ctx));
                without++;
            }
            const size_t last = schema && schema->n_in ? schema->n_in - 1 : 0;
            if (takes && schema && schema->n_in &&
                !(schema->in[(size_t)i < last ? (size_t)i : last] >> SKIVE_STRING & 1u))
                fail_msg("%s says that input %d may be strings, and the standard does not", op->name, i);
            skive_graph_free(g);
            skv_test_context_end(ctx);
        }
    }
    assert_true(without > 200);
}

static void expressions(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *text;
        int matches; /* -1: the pattern is refused */
    } cases[] = {
        {"a*b", "aaab", 1},
        {"a*b", "aaabc", 0},
        {"(a|ab)(c|bcd)", "abcd", 1},
        {"", "", 1},
        {"a||b", "", 1},
        {"^a$", "a", 1},
        {"a^b", "ab", 0},
        {"[^a-c]+", "xyzé", 1},
        {"[^a-c]+", "xbz", 0},
        {"[]a]+", "]a", 1},
        {"[a\\]]+", "]a", 1},
        {"[a-]+", "a-a", 1},
        {"[[:alpha:]_]+[[:^digit:]]", "ab_!", 1},
        {"\\d{2,3}", "123", 1},
        {"\\d{2,3}", "1234", 0},
        {"(?:ab){2}", "abab", 1},
        {"a{,2}", "a{,2}", 1},
        {"x{2", "x{2", 1},
        {"\\w+\\b \\Bb", "a b", 0},
        {"\\w+\\b \\bb", "a b", 1},
        {".", "\n", 0},
        {"(?s).", "\n", 1},
        {"(?i)straSSE", "STRASSE", 1},
        {"(?i:a)b", "Ab", 1},
        {"(?i:a)b", "AB", 0},
        {"(?i)[à-å]", "Ä", 1},
        {"(?P<name>x)(?<other>y)", "xy", 1},
        {"\\x41\\x{1F600}\\t\\.", "A\xf0\x9f\x98\x80\t.", 1},
        {"\\Qa.b\\E+", "a.bbb", 0},
        {"\\Qa.b\\E", "a.b", 1},
        {"日本?", "日", 1},
        {"(a*)*", "aaaa", 1},
        {"(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0}, /* takes no time */
        {"(?m)^b$", "b", 1},
        {"a+?b??", "aab", 1},
        {"((a{1,20}){1,20}){1,20}", "aaa", 1},
        {"((a{1,100}){1,100}){1,100}", "a", -1}, /* too large */
        {"a**", "", -1},
        {"(?i)*", "", -1},
        {"(?i:)*", "", 1},
        {"(a)\\1", "aa", -1},
        {"(?=a)a", "a", -1},
        {"(?<=a)a", "a", -1},
        {"\\pL", "a", -1},
        {"[b-a]", "a", -1},
        {"(a", "a", -1},
        {"a)", "a", -1},
        {"[a", "a", -1},
        {"a\\", "a", -1},
        {"a{2,1}", "a", -1},
        {"a{1001}", "a", -1},
        {"*a", "a", -1},
        {"\\Z", "a", -1},
        {"[[:nothing:]]", "a", -1},
        {"\\x{110000}", "a", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        skive_context *ctx = skv_test_context();
        skv_regex *re = NULL;
        const skive_status status = skv_regex_compile(ctx, cases[i].pattern, &re);
        if ((status == SKIVE_OK) != (cases[i].matches >= 0))
            fail_msg("\"%s\": status %d, %s", cases[i].pattern, (int)status, skive_context_message(ctx));
        if (re && skv_regex_matches(re, cases[i].text, strlen(cases[i].text)) != (cases[i].matches == 1))
            fail_msg("\"%s\" on \"%s\"", cases[i].pattern, cases[i].text);
        skv_regex_free(re);
        skv_test_context_end(ctx);
    }
}

static void finds(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skv_regex *re = NULL;
    size_t first = 0, end = 0;
    const char *text = "ö 12 345x";
    skv_test_ok(ctx, skv_regex_compile(ctx, "[0-9]|[0-9]+x", &re));
    assert_true(skv_regex_find(re, text, strlen(text), 0, &first, &end));
    assert_int_equal(first, 3);
    assert_int_equal(end, 4);
    assert_true(skv_regex_find(re, text, strlen(text), 5, &first, &end));
    assert_int_equal(first, 6);
    assert_int_equal(end, 10); /* the longest, not the first alternative */
    assert_false(skv_regex_find(re, text, strlen(text), end, &first, &end));
    skv_regex_free(re);
    skv_test_context_end(ctx);
}

static skive_status all_at_once(skive_context *ctx, void *user) {
    (void)user;
    skv_regex *re = NULL;
    skive_tensor t = some_strings(), copy = {0};
    skive_status status = skv_regex_compile(ctx, "(?i)[a-c]{2,3}|x+(y|z)*", &re);
    if (status == SKIVE_OK) status = skive_tensor_copy(ctx, &t, &copy);
    skive_tensor_free(ctx, &copy);
    skv_regex_free(re);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(all_at_once, NULL, 1) > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(owns_its_text),
        cmocka_unit_test(npy_files),
        cmocka_unit_test(npy_forms),
        cmocka_unit_test(files),
        cmocka_unit_test(damaged_packs),
        cmocka_unit_test(hostile_initializers),
        cmocka_unit_test(text_of_a_run),
        cmocka_unit_test(only_where_allowed),
        cmocka_unit_test(expressions),
        cmocka_unit_test(finds),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
