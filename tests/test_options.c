/* Option structs with the layout of an older version of the library, at every entry point that takes one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skive/skive.h>

#include "base/base.h"
#include "support.h"

#include <cmocka.h>

typedef struct fixture {
    skive_context *ctx;
    char folder[SKV_TEST_PATH], x[SKV_TEST_PATH + 8], xy[2 * SKV_TEST_PATH + 8];
    skive_dataset *set;
} fixture;

static skive_graph *network(fixture *f) {
    skive_graph *g = NULL;
    skive_zoo_options o = skive_zoo_options_default();
    o.rank = 1;
    o.dims[0] = 4;
    o.classes = 2;
    skv_test_ok(f->ctx, skive_zoo_build(f->ctx, "mlp:3", &o, &g));
    return g;
}

static void setup(fixture *f) {
    char path[SKV_TEST_PATH];
    const int64_t dims[] = {8, 4};
    skv_test_make_dir(f->folder);
    f->ctx = skv_test_context();
    skive_tensor x = skv_test_random(f->ctx, SKIVE_F32, 2, dims, 1, -1, 1), y;
    skv_test_ok(f->ctx, skive_tensor_create(f->ctx, SKIVE_I64, 1, dims, &y));
    for (int64_t i = 0; i < 8; i++) skive_tensor_set(&y, i, (double)(i % 2));
    (void)snprintf(f->x, sizeof f->x, "npy:%s", skv_test_path(path, f->folder, "x.npy"));
    skv_test_ok(f->ctx, skive_tensor_save_npy(f->ctx, path, &x));
    const int n = snprintf(f->xy, sizeof f->xy, "%s,%s", f->x, skv_test_path(path, f->folder, "y.npy"));
    assert_true(n > 0);
    skv_test_ok(f->ctx, skive_tensor_save_npy(f->ctx, path, &y));
    skive_tensor_free(f->ctx, &x);
    skive_tensor_free(f->ctx, &y);
    skv_test_ok(f->ctx, skive_dataset_open(f->ctx, f->xy, NULL, &f->set));
}

static void finish(fixture *f) {
    skive_dataset_free(f->set);
    skv_test_remove_dir(f->folder);
    skv_test_context_end(f->ctx);
}

/* Calls `function` with a struct of `size` bytes in a block of just that length (address sanitizer and valgrind see a
 * byte too many); the first two fields hold their defaults. */
typedef skive_status (*entry)(fixture *f, const void *options);

static skive_status call_with(fixture *f, entry function, const void *defaults, size_t size) {
    unsigned char *block = malloc(size > sizeof size ? size : sizeof size);
    assert_non_null(block);
    memcpy(block, defaults, size > sizeof size ? size : sizeof size);
    memcpy(block, &size, sizeof size);
    const skive_status status = function(f, block);
    free(block);
    return status;
}

static void check(fixture *f, const char *name, entry function, const void *defaults, size_t two_fields) {
    char wanted[200];
    for (size_t size = 0; size < sizeof(size_t); size += 7) {
        skive_context_clear(f->ctx);
        assert_int_equal(call_with(f, function, defaults, size), SKIVE_ERR_ARGUMENT);
        (void)snprintf(wanted, sizeof wanted, "start from %s_default()", name);
        if (strcmp(name, "skive_context_options") != 0) {
            assert_non_null(strstr(skive_context_message(f->ctx), wanted));
            assert_string_equal(skive_context_subject(f->ctx), name);
        }
    }
    skv_test_ok(f->ctx, call_with(f, function, defaults, two_fields));
}

static skive_status make_context(fixture *f, const void *options) {
    skive_context *c = NULL;
    (void)f;
    const skive_status status = skive_context_create(options, &c);
    skive_context_free(c);
    return status;
}

static skive_status open_set(fixture *f, const void *options) {
    skive_dataset *set = NULL;
    const skive_status status = skive_dataset_open(f->ctx, f->xy, options, &set);
    skive_dataset_free(set);
    return status;
}

static skive_status make_loader(fixture *f, const void *options) {
    skive_loader *l = NULL;
    const skive_status status = skive_loader_create(f->ctx, f->set, options, &l);
    skive_loader_free(l);
    return status;
}

static skive_status build(fixture *f, const void *options) {
    skive_graph *g = NULL;
    const skive_status status = skive_zoo_build(f->ctx, "mlp:3", options, &g);
    skive_graph_free(g);
    return status;
}

/* Entry points that work on a graph: f->ctx, g and `options` are at hand in `call`. */
#define ON_GRAPH(name, call)                                    \
    static skive_status name(fixture *f, const void *options) { \
        skive_graph *g = network(f);                            \
        const skive_status status = call;                       \
        skive_graph_free(g);                                    \
        return status;                                          \
    }
#define MAKER(name, type, create, destroy)                                           \
    static skive_status name##_of(fixture *f, skive_graph *g, const void *options) { \
        type *made = NULL;                                                           \
        const skive_status status = create(f->ctx, g, options, &made);               \
        destroy(made);                                                               \
        return status;                                                               \
    }                                                                                \
    ON_GRAPH(name, name##_of(f, g, options))

static skive_status plan_of(fixture *f, skive_graph *g, const void *options) {
    skive_plan *plan = NULL;
    const skive_shape_binding shape = {.input = "input", .rank = 2, .dims = {1, 4}};
    skv_test_ok(f->ctx, skive_graph_bind_input(g, "input", shape.rank, shape.dims));
    const skive_status status = skive_plan_create(f->ctx, g, options, &plan);
    skive_plan_free(plan);
    return status;
}

static skive_status serialize_of(fixture *f, skive_graph *g, const void *options) {
    void *bytes = NULL;
    size_t n = 0;
    const skive_status status = skive_onnx_serialize(f->ctx, g, options, &bytes, &n);
    skive_onnx_free_bytes(f->ctx, bytes);
    return status;
}

static skive_status pack_of(fixture *f, skive_graph *g, const void *options) {
    void *bytes = NULL;
    size_t n = 0;
    const skive_status status = skive_pack_serialize(f->ctx, g, options, &bytes, &n, NULL);
    skive_pack_free_bytes(f->ctx, bytes);
    return status;
}

static skive_status load_of(fixture *f, skive_graph *g, const void *options) {
    char path[SKV_TEST_PATH];
    skive_graph *loaded = NULL;
    skv_test_ok(f->ctx, skive_onnx_save(f->ctx, g, skv_test_path(path, f->folder, "m.onnx"), NULL));
    const skive_status status = skive_onnx_load(f->ctx, path, options, &loaded);
    skive_graph_free(loaded);
    return status;
}

static skive_status unpack_of(fixture *f, skive_graph *g, const void *options) {
    char path[SKV_TEST_PATH];
    skive_graph *loaded = NULL;
    skv_test_ok(f->ctx, skive_pack_save(f->ctx, g, skv_test_path(path, f->folder, "m.skv"), NULL, NULL));
    const skive_status status = skive_pack_load(f->ctx, path, options, &loaded, NULL);
    skive_graph_free(loaded);
    return status;
}

static skive_status arrays_of(fixture *f, skive_graph *g, const void *options) {
    const int64_t dims[] = {8, 4};
    skive_tensor x = skv_test_random(f->ctx, SKIVE_F32, 2, dims, 1, -1, 1);
    const skive_status status = skive_quantize_arrays(f->ctx, g, &x, 1, options, NULL);
    skive_tensor_free(f->ctx, &x);
    return status;
}

static skive_status distill_of(fixture *f, skive_graph *g, const void *options) {
    skive_graph *teacher = network(f);
    const skive_status status = skive_distill(f->ctx, g, teacher, f->set, NULL, options, NULL);
    skive_graph_free(teacher);
    return status;
}

MAKER(session, skive_session, skive_session_create, skive_session_free)
ON_GRAPH(plan, plan_of(f, g, options))
ON_GRAPH(serialize, serialize_of(f, g, options))
ON_GRAPH(pack, pack_of(f, g, options))
ON_GRAPH(load, load_of(f, g, options))
ON_GRAPH(unpack, unpack_of(f, g, options))
ON_GRAPH(set_input, skive_model_set_input(f->ctx, g, f->set, options))
ON_GRAPH(simplify, skive_simplify(f->ctx, g, options, NULL))
ON_GRAPH(quantize, skive_quantize(f->ctx, g, f->set, options, NULL))
ON_GRAPH(quantize_arrays, arrays_of(f, g, options))
ON_GRAPH(train, skive_train(f->ctx, g, f->set, NULL, options, NULL, 0, NULL))
ON_GRAPH(distill, distill_of(f, g, options))
ON_GRAPH(prune, skive_prune(f->ctx, g, NULL, NULL, options, NULL))
ON_GRAPH(share, skive_share(f->ctx, g, NULL, NULL, options, NULL))

#define CHECK(name, function, third)                          \
    do {                                                      \
        const name o = name##_default();                      \
        check(f, #name, function, &o, offsetof(name, third)); \
    } while (0)

static void test_older(void **state) {
    fixture own, *f = &own;
    (void)state;
    setup(f);
    CHECK(skive_context_options, make_context, threads);
    CHECK(skive_dataset_options, open_set, validation_fraction);
    CHECK(skive_loader_options, make_loader, shuffle);
    CHECK(skive_zoo_options, build, dims);
    CHECK(skive_session_options, session, no_fusion);
    CHECK(skive_plan_options, plan, n_shapes);
    CHECK(skive_onnx_save_options, serialize, external_threshold);
    CHECK(skive_onnx_load_options, load, max_nodes);
    CHECK(skive_pack_options, pack, biases);
    CHECK(skive_pack_load_options, unpack, max_nodes);
    CHECK(skive_input_options, set_input, mean);
    CHECK(skive_simplify_options, simplify, n_passes);
    CHECK(skive_quantize_options, quantize, percentile);
    CHECK(skive_quantize_options, quantize_arrays, percentile);
    CHECK(skive_train_options, train, batch);
    CHECK(skive_distill_options, distill, alpha);
    CHECK(skive_prune_options, prune, schedule);
    CHECK(skive_share_options, share, init);
    finish(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_older)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
