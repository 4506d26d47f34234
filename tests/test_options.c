/* Option structs with the layout of an older version of the library, at every entry point that takes one. */
#include <ctype.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skive/skive.h>

#include "graph/graph.h"
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

static skive_status tune_kernels(fixture *f, const void *options) {
    skive_kernel_choices *choices = NULL;
    skive_graph *g = network(f);
    const skive_status status = skive_kernels_tune(f->ctx, g, NULL, options, &choices, NULL);
    skive_kernel_choices_free(choices);
    skive_graph_free(g);
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

static skive_status sheet(fixture *f, const void *options) {
    char path[SKV_TEST_PATH], spec[SKV_TEST_PATH + 8];
    const int64_t dims[] = {8, 1, 4, 4};
    skive_dataset *images = NULL;
    skive_tensor x = skv_test_random(f->ctx, SKIVE_F32, 4, dims, 1, 0, 1);
    skv_test_ok(f->ctx, skive_tensor_save_npy(f->ctx, skv_test_path(path, f->folder, "images.npy"), &x));
    skive_tensor_free(f->ctx, &x);
    (void)snprintf(spec, sizeof spec, "npy:%s", path);
    skv_test_ok(f->ctx, skive_dataset_open(f->ctx, spec, NULL, &images));
    const skive_status status = skive_data_sheet(f->ctx, images, options, skv_test_path(path, f->folder, "sheet.png"));
    skive_dataset_free(images);
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

static skive_status save_of(fixture *f, skive_graph *g, const void *options) {
    char path[SKV_TEST_PATH];
    return skive_onnx_save(f->ctx, g, skv_test_path(path, f->folder, "s.onnx"), options);
}

static skive_status parse_of(fixture *f, skive_graph *g, const void *options) {
    void *bytes = NULL;
    size_t n = 0;
    skive_graph *parsed = NULL;
    skv_test_ok(f->ctx, skive_onnx_serialize(f->ctx, g, NULL, &bytes, &n));
    const skive_status status = skive_onnx_parse(f->ctx, bytes, n, NULL, options, &parsed);
    skive_onnx_free_bytes(f->ctx, bytes);
    skive_graph_free(parsed);
    return status;
}

static skive_status pack_save_of(fixture *f, skive_graph *g, const void *options) {
    char path[SKV_TEST_PATH];
    return skive_pack_save(f->ctx, g, skv_test_path(path, f->folder, "s.skv"), options, NULL);
}

static skive_status pack_parse_of(fixture *f, skive_graph *g, const void *options) {
    void *bytes = NULL;
    size_t n = 0;
    skive_graph *parsed = NULL;
    skv_test_ok(f->ctx, skive_pack_serialize(f->ctx, g, NULL, &bytes, &n, NULL));
    const skive_status status = skive_pack_parse(f->ctx, bytes, n, options, &parsed, NULL);
    skive_pack_free_bytes(f->ctx, bytes);
    skive_graph_free(parsed);
    return status;
}

static skive_status random_inputs(void *user, int64_t index, skive_tensor *inputs, size_t n_inputs) {
    (void)user;
    if (index >= 4) return SKIVE_ERR_NOT_FOUND;
    for (int64_t i = 0; n_inputs && i < skive_tensor_count(&inputs[0]); i++)
        skive_tensor_set(&inputs[0], i, (double)((i + index) % 5) - 2);
    return SKIVE_OK;
}

static skive_status choose_of(fixture *f, skive_graph *g, const void *options) {
    skive_pack_fit fit = {0};
    const skive_status status = skive_pack_choose(f->ctx, g, "10k", options, &fit);
    skive_pack_fit_free(f->ctx, &fit);
    return status;
}

static skive_status scope_of(fixture *f, skive_graph *g, const void *options) {
    skive_train_scope scope = {0};
    const skive_status status = skive_train_scope_of(f->ctx, g, options, &scope);
    skive_train_scope_free(f->ctx, &scope);
    return status;
}

static skive_status costs_of(fixture *f, skive_graph *g, const void *options, bool widths) {
    skive_costs *costs = NULL;
    skive_cost_report report = {0};
    skive_cost_time time;
    const skive_cost_width as_it_is = {-1, -1};
    const char *product = NULL;
    skive_status status = skive_costs_open(f->ctx, "", &costs);
    for (uint32_t i = 0; i < g->n_nodes && !product; i++) {
        if (strcmp(skive_node_op(g->nodes[i]), "Gemm") == 0) product = g->nodes[i]->name;
    }
    if (status == SKIVE_OK && widths)
        status = skive_costs_of_widths(costs, g, product, options, &as_it_is, 1, &time);
    else if (status == SKIVE_OK)
        status = skive_costs_of_graph(costs, g, options, &report);
    skive_cost_report_free(f->ctx, &report);
    skive_costs_free(costs);
    return status;
}

/* Training options that fine-tuning is given have a size of their own. */
static skive_status prune_tuned(fixture *f, const void *options) {
    skive_prune_options o = skive_prune_options_default();
    skive_graph *g = network(f);
    o.finetune = options;
    const skive_status status = skive_prune(f->ctx, g, f->set, NULL, &o, NULL);
    skive_graph_free(g);
    return status;
}

static skive_status share_tuned(fixture *f, const void *options) {
    skive_share_options o = skive_share_options_default();
    skive_graph *g = network(f);
    o.finetune = options;
    const skive_status status = skive_share(f->ctx, g, f->set, NULL, &o, NULL);
    skive_graph_free(g);
    return status;
}

/* Weights that are all the same, of rank 1. */
static void flatten(fixture *f, skive_graph *g) {
    for (size_t i = 0; i < skive_graph_value_count(g); i++) {
        skive_value *v = skive_graph_value(g, i);
        const skive_tensor *t = skive_value_data(v);
        skive_tensor flat;
        if (!t || t->dtype != SKIVE_F32 || t->rank < 2) continue;
        skv_test_ok(f->ctx, skive_tensor_copy(f->ctx, t, &flat));
        for (int64_t k = 0; k < skive_tensor_count(&flat); k++) skive_tensor_set(&flat, k, 0.1);
        skv_test_ok(f->ctx, skive_value_set_data(v, &flat));
        skive_tensor_free(f->ctx, &flat);
    }
}

static skive_status factorize_flat(fixture *f, skive_graph *g, const void *options) {
    flatten(f, g);
    return skive_factorize(f->ctx, g, NULL, NULL, options, NULL);
}

static skive_status factorize_tuned(fixture *f, const void *options) {
    skive_factorize_options o = skive_factorize_options_default();
    skive_graph *g = network(f);
    o.finetune = options;
    o.method = "svd";
    o.rank = "1";
    const skive_status status = skive_factorize(f->ctx, g, f->set, NULL, &o, NULL);
    skive_graph_free(g);
    return status;
}

static skive_status distill_trained(fixture *f, const void *options) {
    skive_distill_options o = skive_distill_options_default();
    skive_graph *g = network(f), *teacher = network(f);
    o.train = options;
    const skive_status status = skive_distill(f->ctx, g, teacher, f->set, NULL, &o, NULL);
    skive_graph_free(g);
    skive_graph_free(teacher);
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

/* A network with BatchNormalization, and a normalisation that tells the range of its input. */
static skive_status data_free_of(fixture *f, const void *options) {
    skive_zoo_options z = skive_zoo_options_default();
    float half = 0.5f;
    const skive_normalization n = {.channels = 1, .mean = &half, .std = &half};
    skive_graph *g = NULL;
    z.rank = 3;
    z.dims[0] = 1;
    z.dims[1] = z.dims[2] = 4;
    skv_test_ok(f->ctx, skive_zoo_build(f->ctx, "resnet8:0.1", &z, &g));
    skv_test_ok(f->ctx, skive_model_set_normalization(g, &n));
    const skive_status status = skive_quantize_data_free(f->ctx, g, options, NULL);
    skive_graph_free(g);
    return status;
}

static skive_status distill_of(fixture *f, skive_graph *g, const void *options) {
    skive_graph *teacher = network(f);
    const skive_status status = skive_distill(f->ctx, g, teacher, f->set, NULL, options, NULL);
    skive_graph_free(teacher);
    return status;
}

static skive_status mutual_of(fixture *f, skive_graph *g, const void *options) {
    skive_graph *students[2] = {g, network(f)};
    const skive_status status = skive_distill_mutual(f->ctx, students, 2, f->set, NULL, options, NULL);
    skive_graph_free(students[1]);
    return status;
}

/* Two tasks, of two and of four classes; a teacher of both and a student of each. */
static skive_status tasks_of(fixture *f, const void *options) {
    static const char *const tasks[2] = {"in", "other"};
    const int64_t dims[] = {8};
    char path[SKV_TEST_PATH], spec[6 * SKV_TEST_PATH];
    skive_dataset *set = NULL;
    skive_zoo_options four = skive_zoo_options_default();
    skive_graph *students[2] = {network(f), NULL}, *teacher = network(f);
    skive_node *node = NULL;
    skive_tensor y;
    skv_test_ok(f->ctx, skive_tensor_create(f->ctx, SKIVE_I64, 1, dims, &y));
    for (int64_t i = 0; i < 8; i++) skive_tensor_set(&y, i, (double)(i % 4));
    skv_test_ok(f->ctx, skive_tensor_save_npy(f->ctx, skv_test_path(path, f->folder, "four.npy"), &y));
    skive_tensor_free(f->ctx, &y);
    (void)snprintf(spec, sizeof spec, "inputs:in=%s;other=%s,%s;targets=in,other", f->xy, f->x, path);
    skv_test_ok(f->ctx, skive_dataset_open(f->ctx, spec, NULL, &set));
    four.rank = 1;
    four.dims[0] = 4;
    four.classes = 4;
    skv_test_ok(f->ctx, skive_zoo_build(f->ctx, "mlp:3", &four, &students[1]));
    skive_value *twice[2] = {skive_graph_output(teacher, 0), skive_graph_output(teacher, 0)};
    skv_test_ok(f->ctx, skive_graph_add_node(teacher, "Concat", NULL, twice, 2, 1, &node));
    skv_test_ok(f->ctx, skive_node_set_int(node, "axis", 1));
    skv_test_ok(f->ctx, skive_graph_add_output(teacher, skive_node_output(node, 0)));
    skv_test_ok(f->ctx, skive_graph_infer(teacher));
    skive_graph *all[3] = {students[0], students[1], teacher};
    for (int i = 0; i < 3; i++) skv_test_ok(f->ctx, skive_value_rename(skive_graph_input(all[i], 0), "in"));
    const skive_status status = skive_distill_tasks(f->ctx, students, tasks, 2, teacher, set, NULL, options, NULL);
    for (int i = 0; i < 3; i++) skive_graph_free(all[i]);
    skive_dataset_free(set);
    return status;
}

static skive_status sensitivity_of(fixture *f, skive_graph *g, const void *options) {
    skive_sensitivity_report r;
    const skive_status status = skive_sensitivity(f->ctx, g, f->set, f->set, options, &r);
    skive_sensitivity_report_free(f->ctx, &r);
    return status;
}

static skive_status layers_of(fixture *f, skive_graph *g, const void *options) {
    skive_layers_report r;
    const skive_status status = skive_compare_layers(f->ctx, g, g, f->set, options, &r);
    skive_layers_report_free(f->ctx, &r);
    return status;
}

static skive_status bits_of(fixture *f, skive_graph *g, const void *options) {
    skive_bits_options o = skive_bits_options_default();
    if (((const skive_bits_options *)options)->size < offsetof(skive_bits_options, grids)) {
        const skive_status status = skive_quantize_bits(f->ctx, g, f->set, f->set, NULL, options, NULL, NULL);
        /* Without a budget there is nothing to do, which is said; the struct was accepted. */
        if (status != SKIVE_ERR_ARGUMENT || !strstr(skive_context_message(f->ctx), "no budget")) return status;
        skive_context_clear(f->ctx);
        o.bit_operations = "0.1";
        return skive_quantize_bits(f->ctx, g, f->set, f->set, NULL, &o, NULL, NULL);
    }
    memcpy(&o, options,
           ((const skive_bits_options *)options)->size < sizeof o ? ((const skive_bits_options *)options)->size
                                                                  : sizeof o);
    o.size = sizeof o;
    o.bit_operations = "0.1";
    return skive_quantize_bits(f->ctx, g, f->set, f->set, NULL, &o, NULL, NULL);
}

MAKER(session, skive_session, skive_session_create, skive_session_free)
ON_GRAPH(plan, plan_of(f, g, options))
ON_GRAPH(serialize, serialize_of(f, g, options))
ON_GRAPH(pack, pack_of(f, g, options))
ON_GRAPH(load, load_of(f, g, options))
ON_GRAPH(save, save_of(f, g, options))
ON_GRAPH(parse, parse_of(f, g, options))
ON_GRAPH(pack_save, pack_save_of(f, g, options))
ON_GRAPH(pack_parse, pack_parse_of(f, g, options))
ON_GRAPH(choose, choose_of(f, g, options))
ON_GRAPH(scope, scope_of(f, g, options))
ON_GRAPH(costs, costs_of(f, g, options, false))
ON_GRAPH(costs_of_widths, costs_of(f, g, options, true))
ON_GRAPH(quantize_within, skive_quantize_within(f->ctx, g, f->set, f->set, NULL, 100, options, NULL, NULL))
ON_GRAPH(quantize_feed, skive_quantize_feed(f->ctx, g, random_inputs, NULL, options, NULL))
ON_GRAPH(unpack, unpack_of(f, g, options))
ON_GRAPH(set_input, skive_model_set_input(f->ctx, g, f->set, options))
ON_GRAPH(simplify, skive_simplify(f->ctx, g, options, NULL))
ON_GRAPH(layers, layers_of(f, g, options))
ON_GRAPH(bits, bits_of(f, g, options))
ON_GRAPH(sensitivity, sensitivity_of(f, g, options))
ON_GRAPH(quantize_aware, skive_quantize_aware(f->ctx, g, f->set, NULL, NULL, options, NULL))
ON_GRAPH(quantize, skive_quantize(f->ctx, g, f->set, options, NULL))
ON_GRAPH(quantize_arrays, arrays_of(f, g, options))
ON_GRAPH(quantize_weights, skive_quantize_weights(f->ctx, g, "int8", options, NULL))
ON_GRAPH(quantize_data_free, data_free_of(f, options))
ON_GRAPH(quantize_dynamic, skive_quantize_dynamic(f->ctx, g, options, NULL))
ON_GRAPH(train, skive_train(f->ctx, g, f->set, NULL, options, NULL, 0, NULL))
ON_GRAPH(distill, distill_of(f, g, options))
ON_GRAPH(mutual, mutual_of(f, g, options))
ON_GRAPH(prune, skive_prune(f->ctx, g, NULL, NULL, options, NULL))
ON_GRAPH(share, skive_share(f->ctx, g, NULL, NULL, options, NULL))
ON_GRAPH(factorize, factorize_flat(f, g, options))

/* The entry points that were tried. */
static const char *noted[64];
static size_t n_noted;

static void note(const char *name) {
    assert_true(n_noted < sizeof noted / sizeof noted[0]);
    noted[n_noted++] = name;
}

static bool was_noted(const char *name) {
    for (size_t i = 0; i < n_noted; i++) {
        if (strcmp(noted[i], name) == 0) return true;
    }
    return false;
}

#define CHECK(entry_point, name, function, third)             \
    do {                                                      \
        note(entry_point);                                    \
        const name o = name##_default();                      \
        check(f, #name, function, &o, offsetof(name, third)); \
    } while (0)

static void test_older(void **state) {
    fixture own, *f = &own;
    (void)state;
    setup(f);
    CHECK("skive_context_create", skive_context_options, make_context, threads);
    CHECK("skive_dataset_open", skive_dataset_options, open_set, validation_fraction);
    CHECK("skive_loader_create", skive_loader_options, make_loader, shuffle);
    CHECK("skive_zoo_build", skive_zoo_options, build, dims);
    CHECK("skive_session_create", skive_session_options, session, no_fusion);
    CHECK("skive_plan_create", skive_plan_options, plan, n_shapes);
    CHECK("skive_onnx_serialize", skive_onnx_save_options, serialize, external_threshold);
    CHECK("skive_onnx_load", skive_onnx_load_options, load, max_nodes);
    CHECK("skive_pack_serialize", skive_pack_options, pack, biases);
    CHECK("skive_pack_load", skive_pack_load_options, unpack, max_nodes);
    CHECK("skive_model_set_input", skive_input_options, set_input, mean);
    CHECK("skive_simplify", skive_simplify_options, simplify, n_passes);
    CHECK("skive_compare_layers", skive_layers_options, layers, batch);
    CHECK("skive_quantize_bits", skive_bits_options, bits, bit_operations);
    CHECK("skive_sensitivity", skive_sensitivity_options, sensitivity, activations);
    CHECK("skive_quantize", skive_quantize_options, quantize, percentile);
    CHECK("skive_quantize_aware", skive_qat_options, quantize_aware, activations);
    CHECK("skive_quantize_arrays", skive_quantize_options, quantize_arrays, percentile);
    CHECK("skive_quantize_weights", skive_quantize_options, quantize_weights, percentile);
    CHECK("skive_quantize_data_free", skive_quantize_options, quantize_data_free, percentile);
    CHECK("skive_quantize_dynamic", skive_quantize_options, quantize_dynamic, percentile);
    CHECK("skive_data_sheet", skive_sheet_options, sheet, columns);
    CHECK("skive_train", skive_train_options, train, batch);
    CHECK("skive_distill", skive_distill_options, distill, alpha);
    CHECK("skive_distill_mutual", skive_distill_options, mutual, alpha);
    CHECK("skive_distill_tasks", skive_distill_options, tasks_of, alpha);
    CHECK("skive_prune", skive_prune_options, prune, schedule);
    CHECK("skive_share", skive_share_options, share, init);
    CHECK("skive_factorize", skive_factorize_options, factorize, rank);
    CHECK("skive_onnx_save", skive_onnx_save_options, save, external_threshold);
    CHECK("skive_onnx_parse", skive_onnx_load_options, parse, max_nodes);
    CHECK("skive_pack_save", skive_pack_options, pack_save, biases);
    CHECK("skive_pack_parse", skive_pack_load_options, pack_parse, max_nodes);
    CHECK("skive_quantize_feed", skive_quantize_options, quantize_feed, percentile);
    CHECK("skive_quantize_within", skive_quantize_options, quantize_within, percentile);
    CHECK("skive_pack_choose", skive_pack_options, choose, biases);
    CHECK("skive_train_scope_of", skive_train_options, scope, batch);
    CHECK("skive_kernels_tune", skive_tuning_options, tune_kernels, margin);
    CHECK("skive_costs_of_graph", skive_plan_options, costs, n_shapes);
    CHECK("skive_costs_of_widths", skive_plan_options, costs_of_widths, n_shapes);
    CHECK("", skive_train_options, prune_tuned, batch);
    CHECK("", skive_train_options, share_tuned, batch);
    CHECK("", skive_train_options, factorize_tuned, batch);
    CHECK("", skive_train_options, distill_trained, batch);
    finish(f);
}

/* Every function of the public headers that takes an option struct is among those above. */
static void test_complete(void **state) {
    glob_t headers;
    size_t found = 0;
    (void)state;
    assert_int_equal(glob("include/skive/*.h", 0, NULL, &headers), 0);
    for (size_t i = 0; i < headers.gl_pathc; i++) {
        void *block = NULL;
        size_t n = 0;
        skive_context *ctx = skv_test_context();
        skv_test_ok(ctx, skv_file_read(ctx, headers.gl_pathv[i], 0, &block, &n));
        char *text = calloc(n + 1, 1);
        assert_non_null(text);
        memcpy(text, block, n);
        for (const char *at = text; (at = strstr(at, "SKIVE_API")); at++) {
            const char *end = strchr(at, ';'), *open = strchr(at, '('), *takes = strstr(at, "_options *options");
            if (!end || !open || !takes || open > end || takes > end || takes < open) continue;
            const char *name = open;
            while (name > at && (isalnum((unsigned char)name[-1]) || name[-1] == '_')) name--;
            char function[100];
            (void)snprintf(function, sizeof function, "%.*s", (int)(open - name), name);
            found++;
            if (strcmp(function, "skive_options_free") == 0 || strncmp(function, "skive_options_", 14) == 0) continue;
            if (!was_noted(function)) fail_msg("%s: %s is not tested here", headers.gl_pathv[i], function);
        }
        free(text);
        skv_free(ctx, block);
        skv_test_context_end(ctx);
    }
    globfree(&headers);
    assert_true(found > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_older), cmocka_unit_test(test_complete)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
