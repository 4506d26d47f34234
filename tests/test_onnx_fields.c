/* Contradictory and unknown fields of ONNX files, attributes that change the meaning of a node, files of the other
 * format, tensors of unknown element types: each is refused with the reason. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <skive/onnx.h>
#include <skive/pack.h>
#include <skive/session.h>
#include <skive/tensor.h>

#include "onnx_bytes.h"
#include "support.h"

static const int64_t four = 4;
static const float numbers[4] = {1, 2, 3, 4};

/* x [N, 4] + w -> y, where w is `tensor`, which is taken. */
static bytes sum_with(bytes tensor) {
    bytes g = make_graph();
    put_message(&g, 5, tensor);
    put_message(&g, 1, make_node("add", "Add", "x w", "y"));
    return make_model(g, 13);
}

static void parsing(bytes m, skive_status expected, const char *part) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    const skive_status status = skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &g);
    assert_int_equal(status, expected);
    if (expected != SKIVE_OK) assert_non_null(strstr(skive_context_message(ctx), part));
    skive_graph_free(g);
    skv_test_context_end(ctx);
    free(m.data);
}

static void elements_in_two_fields(void **state) {
    (void)state;
    for (int order = 0; order < 2; order++) {
        bytes t = make_tensor("w", 1, 1, &four);
        put_numbers(&t, order ? 9 : 4, numbers, sizeof numbers, sizeof numbers[0]);
        put_numbers(&t, order ? 4 : 9, numbers, sizeof numbers, sizeof numbers[0]);
        parsing(sum_with(t), SKIVE_ERR_FORMAT, order ? "both raw_data and float_data" : "both float_data and raw_data");
    }
    bytes pieces = make_tensor("w", 1, 1, &four);
    put_numbers(&pieces, 9, numbers, sizeof numbers / 2, sizeof numbers[0]);
    put_numbers(&pieces, 9, numbers, sizeof numbers, sizeof numbers[0]);
    parsing(sum_with(pieces), SKIVE_ERR_FORMAT, "raw_data in several pieces");
    bytes one = make_tensor("w", 1, 1, &four), both = make_tensor("w", 1, 1, &four);
    put_numbers(&one, 4, numbers, sizeof numbers, sizeof numbers[0]);
    parsing(sum_with(one), SKIVE_OK, NULL);
    bytes entry = {0};
    put_text(&entry, 1, "location");
    put_text(&entry, 2, "w.bin");
    put_numbers(&both, 9, numbers, sizeof numbers, sizeof numbers[0]);
    put_message(&both, 13, entry);
    put_int(&both, 14, 1);
    parsing(sum_with(both), SKIVE_ERR_FORMAT, "has both external data and data in the model");
}

static void versions_of_the_format(void **state) {
    (void)state;
    static const int64_t versions[] = {0, -1, 99, INT64_C(1) << 40, 14, 3};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        bytes t = make_tensor("w", 1, 1, &four);
        put_numbers(&t, 9, numbers, sizeof numbers, sizeof numbers[0]);
        bytes m = sum_with(t);
        put_int(&m, 1, versions[i]); /* the last one counts */
        parsing(m, i < 4 ? SKIVE_ERR_UNSUPPORTED : SKIVE_OK, "ir_version");
    }
}

static void packed_model_read_as_onnx(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    bytes t = make_tensor("w", 1, 1, &four);
    put_numbers(&t, 9, numbers, sizeof numbers, sizeof numbers[0]);
    bytes m = sum_with(t);
    skive_graph *g = NULL, *again = NULL;
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/skive_fields_%ld.skv", (long)getpid());
    skv_test_ok(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &g));
    skv_test_ok(ctx, skive_pack_save(ctx, g, path, NULL, NULL));
    skv_test_fails(ctx, skive_onnx_load(ctx, path, NULL, &again), SKIVE_ERR_FORMAT, "packed model (.skv)");
    assert_null(again);
    (void)unlink(path);
    skive_graph_free(g);
    free(m.data);
    skv_test_context_end(ctx);
}

/* One node `op` from x [1, 4, 2, 2] to y with text attributes; a session of it gives `expected`, and the message, or a
 * note, says `part`. */
static void session_of(const char *op, const char *const attributes[][2], size_t n, int64_t opset,
                       skive_status expected, const char *part) {
    static const int64_t dims[4] = {1, 4, 2, 2}, open[4] = {-1, -1, -1, -1};
    skive_context *ctx = skv_test_context();
    bytes g = {0}, node = make_node("n", op, "x", "y");
    put_text(&g, 2, "main");
    put_message(&g, 11, make_info("x", 1, 4, dims));
    put_message(&g, 12, make_info("y", 1, 4, open));
    bytes block = {0};
    put_text(&block, 1, "blocksize");
    put_int(&block, 3, 2);
    put_int(&block, 20, 2);
    put_message(&node, 5, block);
    for (size_t i = 0; i < n; i++) {
        bytes a = {0};
        put_text(&a, 1, attributes[i][0]);
        put_text(&a, 4, attributes[i][1]);
        put_int(&a, 20, 3);
        put_message(&node, 5, a);
    }
    put_message(&g, 1, node);
    bytes m = make_model(g, opset);
    skive_graph *graph = NULL;
    skive_session *session = NULL;
    skive_status status = skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &graph);
    if (status == SKIVE_OK) status = skive_session_create(ctx, graph, NULL, &session);
    if (status != expected) fail_msg("%s: %s: %s", op, skive_status_name(status), skive_context_message(ctx));
    bool said = !part || strstr(skive_context_message(ctx), part);
    for (size_t i = 0; i < skive_context_note_count(ctx); i++) said = said || strstr(skive_context_note(ctx, i), part);
    if (!said) fail_msg("%s: '%s' does not say '%s'", op, skive_context_message(ctx), part);
    skive_session_free(session);
    skive_graph_free(graph);
    free(m.data);
    skv_test_context_end(ctx);
}

static void attributes_that_are_not_known(void **state) {
    (void)state;
    static const char *const crd[][2] = {{"mode", "CRD"}}, *const dcr[][2] = {{"mode", "DCR"}},
                             *const made_up[][2] = {{"mode", "RCD"}}, *const other[][2] = {{"colour", "red"}};
    session_of("SpaceToDepth", NULL, 0, 13, SKIVE_OK, NULL);
    session_of("SpaceToDepth", crd, 1, 28, SKIVE_OK, NULL);
    session_of("SpaceToDepth", made_up, 1, 28, SKIVE_ERR_GRAPH, "mode is \"RCD\"");
    session_of("SpaceToDepth", other, 1, 13, SKIVE_ERR_UNSUPPORTED, "does not know the attribute colour");
    session_of("DepthToSpace", crd, 1, 13, SKIVE_OK, NULL);
    session_of("DepthToSpace", dcr, 1, 13, SKIVE_OK, NULL);
    session_of("DepthToSpace", made_up, 1, 13, SKIVE_ERR_GRAPH, "mode is \"RCD\"");
}

static void element_of_no_known_type(void **state) {
    (void)state;
    float x[2] = {3, 4};
    const skive_tensor odd = {.dtype = (skive_dtype)28, .rank = 1, .dims = {2}, .data = x},
                       none = {.dtype = SKIVE_DTYPE_NONE, .rank = 0, .data = x};
    assert_true(isnan(skive_tensor_get(&odd, 0)));
    assert_true(isnan(skive_tensor_get(&none, 0)));

    skive_context *ctx = skv_test_context();
    bytes t = make_tensor("w", 1, 1, &four);
    put_numbers(&t, 9, numbers, sizeof numbers, sizeof numbers[0]);
    bytes m = sum_with(t);
    skive_graph *g = NULL;
    skive_session *session = NULL;
    skive_tensor y = {0};
    skv_test_ok(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &g));
    skv_test_ok(ctx, skive_session_create(ctx, g, NULL, &session));
    skv_test_fails(ctx, skive_session_run(session, &odd, 1, &y, 1), SKIVE_ERR_ARGUMENT, "no known element type");
    skive_session_free(session);
    skive_graph_free(g);
    free(m.data);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_in_two_fields),    cmocka_unit_test(versions_of_the_format),
        cmocka_unit_test(packed_model_read_as_onnx), cmocka_unit_test(attributes_that_are_not_known),
        cmocka_unit_test(element_of_no_known_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
