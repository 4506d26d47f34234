/* Labels and targets of arrays: which numbers are classes or values, missing classes, and invalid labels. */
#include "data_fixtures.h"

#include <skive/output.h>
#include <skive/zoo.h>

enum { N = 12 };

static void save(skive_context *ctx, const char *name, skive_dtype dtype, const double *values, int64_t per_sample) {
    skive_tensor t;
    const int64_t dims[2] = {N, per_sample};
    skv_test_ok(ctx, skive_tensor_create(ctx, dtype, per_sample > 1 ? 2 : 1, dims, &t));
    for (int64_t i = 0; i < N * per_sample; i++) skive_tensor_set(&t, i, values ? values[i] : (double)i);
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, at(name), &t));
    skive_tensor_free(ctx, &t);
}

static bool noted(skive_context *ctx, const char *part) {
    for (size_t i = 0; i < skive_context_note_count(ctx); i++) {
        if (strstr(skive_context_note(ctx, i), part)) return true;
    }
    return false;
}

static skive_status open_labels(skive_context *ctx, skive_dtype dtype, const double *y, skive_target_type type,
                                const skive_graph *model, skive_dataset **out) {
    char spec[3 * SKV_TEST_PATH];
    skive_dataset_options o = skive_dataset_options_default();
    save(ctx, "x.npy", SKIVE_F32, NULL, 3);
    save(ctx, "y.npy", dtype, y, 1);
    (void)snprintf(spec, sizeof spec, "npy:%s,%s", at("x.npy"), at("y.npy"));
    o.split = SKIVE_SPLIT_TRAIN_FULL;
    o.targets = type;
    o.model = model;
    skive_context_clear_notes(ctx);
    return skive_dataset_open(ctx, spec, &o, out);
}

static const double from_0[N] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2}, from_1[N] = {1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3},
                    far[N] = {0, 7, 20, 0, 7, 20, 0, 7, 20, 0, 7, 20}, half[N] = {0, 1, 2, 0.5, 1, 2, 0, 1, 2, 0, 1, 2},
                    below[N] = {0, 1, 2, -1, 1, 2, 0, 1, 2, 0, 1, 2},
                    none[N] = {0, 1, 2, (double)NAN, 1, 2, 0, 1, 2, 0, 1, 2};

static void types(void **state) {
    static const struct {
        const double *y;
        skive_dtype dtype;
        skive_target_type type;
        int64_t classes; /* 0: values; -1: refused */
        const char *says;
    } cases[] = {
        {from_0, SKIVE_I64, SKIVE_TARGETS_AUTO, 3, NULL},
        {from_0, SKIVE_U8, SKIVE_TARGETS_AUTO, 3, NULL},
        {from_0, SKIVE_F64, SKIVE_TARGETS_AUTO, 3, "used as class labels; use --targets float"},
        {from_0, SKIVE_F16, SKIVE_TARGETS_AUTO, 3, "used as class labels; use --targets float"},
        {from_1, SKIVE_F32, SKIVE_TARGETS_AUTO, 4, "1 does not occur (0)"},
        {far, SKIVE_F32, SKIVE_TARGETS_AUTO, 0, "--targets class"},
        {half, SKIVE_F32, SKIVE_TARGETS_AUTO, 0, NULL},
        {far, SKIVE_F32, SKIVE_TARGETS_CLASSES, 21, "21 classes, of which 18 do not occur (1, 2, 3, 4, 5, 6, 8"},
        {from_1, SKIVE_I32, SKIVE_TARGETS_AUTO, 4, "4 classes, of which 1 does not occur (0)"},
        {from_0, SKIVE_I64, SKIVE_TARGETS_VALUES, 0, NULL},
        {below, SKIVE_I64, SKIVE_TARGETS_AUTO, -1, "label -1 of sample 3"},
        {below, SKIVE_F32, SKIVE_TARGETS_CLASSES, -1, "label -1 of sample 3"},
        {half, SKIVE_F32, SKIVE_TARGETS_CLASSES, -1, "label 0.5 of sample 3"},
        {none, SKIVE_F32, SKIVE_TARGETS_AUTO, -1, "sample 3 contains NaN"},
        {none, SKIVE_F32, SKIVE_TARGETS_CLASSES, -1, "sample 3 contains NaN"},
        {below, SKIVE_I64, SKIVE_TARGETS_VALUES, 0, NULL},
        {none, SKIVE_F32, SKIVE_TARGETS_NONE, 0, NULL},
    };
    skive_context *ctx = skv_test_context();
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        skive_dataset *set = NULL;
        skive_dataset_info info;
        print_message("case %zu\n", k);
        const skive_status status = open_labels(ctx, cases[k].dtype, cases[k].y, cases[k].type, NULL, &set);
        if (cases[k].classes < 0) {
            skv_test_fails(ctx, status, SKIVE_ERR_DATA, cases[k].says);
            continue;
        }
        skv_test_ok(ctx, status);
        skive_dataset_get_info(set, &info);
        assert_int_equal(info.classes, cases[k].classes);
        assert_int_equal(info.labelled, cases[k].classes > 0);
        if (!cases[k].says)
            assert_int_equal(skive_context_note_count(ctx), 0);
        else
            assert_true(noted(ctx, cases[k].says));
        if (cases[k].y == far && cases[k].type == SKIVE_TARGETS_AUTO) assert_true(noted(ctx, "regression"));
        skive_dataset_free(set);
    }
    skv_test_context_end(ctx);
}

/* With a model its scores decide, and its names serve. */
static void for_a_model(void **state) {
    static const char *const names[] = {"ant", "bee", "cat"};
    skive_context *ctx = skv_test_context();
    skive_zoo_options o = skive_zoo_options_default();
    skive_dataset_info info;
    skive_dataset *set = NULL;
    skive_graph *three = NULL, *one = NULL;
    (void)state;
    o.rank = 1;
    o.dims[0] = 3;
    o.classes = 3;
    skv_test_ok(ctx, skive_zoo_build(ctx, "mlp:4", &o, &three));
    o.classes = 1;
    skv_test_ok(ctx, skive_zoo_build(ctx, "mlp:4", &o, &one));
    skv_test_ok(ctx, skive_model_set_class_names(three, names, 3));
    skv_test_fails(ctx, open_labels(ctx, SKIVE_I64, from_1, SKIVE_TARGETS_AUTO, three, &set), SKIVE_ERR_DATA,
                   "label 3 of sample 2 is out of range: the model has 3 classes");
    skv_test_ok(ctx, open_labels(ctx, SKIVE_F32, from_0, SKIVE_TARGETS_AUTO, three, &set));
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.classes, 3);
    assert_string_equal(info.class_names[2], "cat");
    skive_dataset_free(set);
    skv_test_ok(ctx, open_labels(ctx, SKIVE_F32, from_0, SKIVE_TARGETS_AUTO, one, &set));
    skive_dataset_get_info(set, &info);
    assert_false(info.labelled);
    skive_dataset_free(set);
    skive_graph_free(three);
    skive_graph_free(one);
    skv_test_context_end(ctx);
}

static void commas(void **state) {
    static const char *const written[] = {"a\\,b.npy", "c\\\\d.npy"}, *const real[] = {"a,b.npy", "c\\d.npy"};
    skive_context *ctx = skv_test_context();
    skive_dataset_options o = skive_dataset_options_default();
    skive_dataset *set = NULL;
    char spec[3 * SKV_TEST_PATH], folder[SKV_TEST_PATH];
    (void)state;
    (void)snprintf(folder, sizeof folder, "%s", at(""));
    for (int k = 0; k < 2; k++) {
        save(ctx, real[k], SKIVE_F32, NULL, 3);
        (void)snprintf(spec, sizeof spec, "npy:%s%s", folder, written[k]);
        skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &set));
        skive_dataset_free(set);
    }
    (void)snprintf(spec, sizeof spec, "npy:a,b,c");
    skv_test_fails(ctx, skive_dataset_open(ctx, spec, &o, &set), SKIVE_ERR_ARGUMENT, "file name as \\,");
    skv_test_fails(ctx, skive_dataset_open(ctx, "npy:a,,b,c", &o, &set), SKIVE_ERR_ARGUMENT, "expected npy:");
    skv_test_fails(ctx, skive_dataset_open(ctx, "npy:a,b,c,d,e", &o, &set), SKIVE_ERR_ARGUMENT, "expected npy:");
    skv_test_fails(ctx, skive_dataset_open(ctx, "npy:a\\", &o, &set), SKIVE_ERR_IO, "a\\");
    skv_test_fails(ctx, skive_dataset_open(ctx, "idx:a", &o, &set), SKIVE_ERR_ARGUMENT, "expected idx:");
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types),
        cmocka_unit_test(for_a_model),
        cmocka_unit_test(commas),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
