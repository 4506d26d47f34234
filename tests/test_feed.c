/* How samples become a model's input: layouts, normalisation, scale, element types. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skive/skive.h>

#include "data/feed.h"
#include "graph/graph.h"
#include "support.h"
#include "tensor/tensor.h"

#include <cmocka.h>

enum { SAMPLES = 6, MOST = 2000 };

static char folder[SKV_TEST_PATH];

static int make_dir(void **state) {
    (void)state;
    skv_test_make_dir(folder);
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    skv_test_remove_dir(folder);
    return 0;
}

/* ---- fixtures ---- */

/* Samples of these dimensions; value i of the file is what `number` says. */
static skive_dataset *data_of(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims,
                              double (*number)(int64_t i)) {
    char x[SKV_TEST_PATH], y[SKV_TEST_PATH], spec[2 * SKV_TEST_PATH + 8];
    int64_t all[SKIVE_MAX_RANK] = {SAMPLES};
    skive_tensor t;
    skive_dataset *set = NULL;
    skive_dataset_options o = skive_dataset_options_default();
    for (int d = 0; d < rank; d++) all[d + 1] = dims[d];
    skv_test_ok(ctx, skive_tensor_create(ctx, dtype, rank + 1, all, &t));
    for (int64_t i = 0; i < skive_tensor_count(&t); i++) skive_tensor_set(&t, i, number(i));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, skv_test_path(x, folder, "x.npy"), &t));
    skive_tensor_free(ctx, &t);
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_I64, 1, all, &t));
    for (int64_t i = 0; i < SAMPLES; i++) skive_tensor_set(&t, i, (double)(i % 2));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, skv_test_path(y, folder, "y.npy"), &t));
    skive_tensor_free(ctx, &t);
    snprintf(spec, sizeof spec, "npy:%s,%s", x, y);
    o.split = SKIVE_SPLIT_TRAIN_FULL;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &set));
    return set;
}

static double count_up(int64_t i) { return (double)i; }
static double a_byte(int64_t i) { return (double)(i * 7 % 256); }
static double a_half(int64_t i) { return (double)i + 0.5; }
static double large(int64_t i) { return 16777217.0 + (double)i; } /* floats cannot hold them all */

/* x -> op -> y. "Turn" is a Transpose that brings the last axis behind the batch. */
static skive_graph *model_of(skive_context *ctx, const char *op, skive_dtype dtype, int rank, const int64_t *dims) {
    skive_graph *g = NULL;
    skive_value *x = NULL, *y = NULL;
    skive_type type = {.dtype = dtype, .rank = rank + 1, .dims = {{-1, "N"}}};
    int64_t perm[SKIVE_MAX_RANK] = {0, rank};
    for (int d = 0; d < rank; d++) type.dims[d + 1] = (skive_dim){dims[d], dims[d] < 0 ? "open" : NULL};
    for (int d = 2; d <= rank; d++) perm[d] = d - 1;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    if (strcmp(op, "Turn") == 0)
        y = skv_emit(&b, "GlobalAveragePool",
                     SKV_IN(skv_emit(&b, "Transpose", SKV_IN(x), SKV_ATTRS(SKV_INTS("perm", perm, (size_t)rank + 1)))),
                     SKV_NONE);
    else
        y = skv_emit(&b, op, SKV_IN(x), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

/* The samples in their order as the model's input; false: they do not fit. */
static bool feed(skive_context *ctx, const skive_graph *g, const skive_dataset *set, const char *transforms,
                 double out[MOST], char *text, size_t size) {
    skive_dataset_info info;
    skv_feeds f;
    skive_loader *loader = NULL;
    skive_loader_options o = skive_loader_options_default();
    skive_batch batch;
    char *line = NULL;
    skive_dataset_get_info(set, &info);
    text[0] = '\0';
    if (skv_feeds_make(ctx, g, &info, &f) != SKIVE_OK) {
        snprintf(text, size, "%s", skive_context_message(ctx));
        return false;
    }
    skv_test_ok(ctx, skive_model_input_text(ctx, g, set, &line));
    snprintf(text, size, "%s", line);
    skive_string_free(ctx, line);
    o.shuffle = false;
    o.transforms = transforms;
    o.batch = SAMPLES;
    skv_test_ok(ctx, skv_feeds_loader(ctx, &f, set, &o, &loader));
    skv_test_ok(ctx, skive_loader_start_epoch(loader, 0));
    const bool good = skive_loader_next(loader, &batch) == SKIVE_OK;
    if (!good) snprintf(text, size, "%s", skive_context_message(ctx));
    for (int64_t i = 0; good && i < skive_tensor_count(&batch.x); i++) out[i] = skive_tensor_get(&batch.x, i);
    if (good) assert_int_equal(batch.x.dtype, f.items[0].dtype);
    skive_loader_free(loader);
    skv_feeds_free(&f);
    return good;
}

/* ---- layouts ---- */

typedef struct layout_case {
    const char *op;
    int model_rank;
    int64_t model[4];
    int rank;
    int64_t dims[4];
    int expected; /* 0: refused; 1: the same order; 2: channels go last; 3: channels come first */
    const char *says;
} layout_case;

static void layouts(void **state) {
    static const layout_case cases[] = {
        {"GlobalAveragePool", 3, {3, 4, 5}, 3, {3, 4, 5}, 1, "[3, 4, 5] unchanged"},
        {"GlobalAveragePool", 3, {3, 4, 5}, 3, {4, 5, 3}, 3, "channels first"},
        {"GlobalAveragePool", 3, {3, 4, 5}, 3, {3, 5, 4}, 0, "[3, 5, 4], but the model's input 'x' takes [3, 4, 5]"},
        {"GlobalAveragePool", 3, {3, 4, 5}, 2, {6, 10}, 0, "axis by axis"},
        {"GlobalAveragePool", 3, {3, 4, 5}, 1, {60}, 0, "[60]"},
        {"GlobalAveragePool", 3, {3, -1, -1}, 3, {4, 5, 3}, 3, "[3, 4, 5], channels first"},
        {"GlobalAveragePool", 3, {-1, -1, -1}, 3, {6, 5, 3}, 3, "[3, 6, 5], channels first"},
        {"GlobalAveragePool", 3, {1, 4, 5}, 2, {4, 5}, 1, "reshaped to [1, 4, 5]"},
        {"GlobalAveragePool", 3, {1, -1, -1}, 2, {4, 5}, 1, "reshaped to [1, 4, 5]"},
        {"GlobalAveragePool", 3, {1, 4, 5}, 1, {20}, 1, "reshaped to [1, 4, 5]"},
        {"Turn", 3, {4, 5, 3}, 3, {4, 5, 3}, 1, "unchanged"},
        {"Turn", 3, {4, 5, 3}, 3, {3, 4, 5}, 2, "channels last"},
        {"Turn", 3, {4, 5, 1}, 2, {4, 5}, 1, "reshaped to [4, 5, 1]"},
        {"Turn", 3, {-1, -1, 3}, 3, {3, 4, 5}, 2, "[4, 5, 3], channels last"},
        {"Turn", 3, {4, 5, 3}, 3, {5, 4, 3}, 0, "[5, 4, 3]"},
        {"Relu", 3, {6, 5, 3}, 3, {3, 6, 5}, 2, "channels last"}, /* by the dimensions */
        {"Relu", 3, {6, 6, 6}, 3, {6, 6, 6}, 1, "channels first assumed"},
        {"Flatten", 1, {60}, 3, {3, 4, 5}, 1, "flattened to [60]"},
        {"Flatten", 1, {-1}, 3, {3, 4, 5}, 1, "flattened to [60]"},
        {"Flatten", 1, {60}, 2, {6, 10}, 1, "flattened to [60]"},
        {"Flatten", 1, {61}, 2, {6, 10}, 0, "[61]"},
        {"Flatten", 2, {4, 5}, 3, {1, 4, 5}, 1, "reshaped to [4, 5]"},
        {"GlobalAveragePool", 2, {2, 9}, 2, {2, 9}, 1, "unchanged"},
        {"GlobalAveragePool", 2, {2, 9}, 2, {9, 2}, 3, "channels first"},
        {"GlobalAveragePool", 2, {2, -1}, 2, {2, 9}, 1, "unchanged"},
        {"GlobalAveragePool", 2, {1, 9}, 1, {9}, 1, "reshaped to [1, 9]"},
        {"Relu", 2, {2, 9}, 2, {9, 2}, 0, "[9, 2]"},
        {"GlobalAveragePool", 4, {2, 3, 4, 5}, 4, {2, 3, 4, 5}, 1, "unchanged"},
        {"GlobalAveragePool", 4, {2, 3, 4, 5}, 4, {3, 4, 5, 2}, 3, "channels first"},
        {"Turn", 4, {3, 4, 5, 2}, 4, {2, 3, 4, 5}, 2, "channels last"},
    };
    static double out[MOST];
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const layout_case *c = &cases[k];
        skive_context *ctx = skv_test_context();
        skive_dataset *set = data_of(ctx, SKIVE_F32, c->rank, c->dims, count_up);
        skive_graph *g = model_of(ctx, c->op, SKIVE_F32, c->model_rank, c->model);
        char text[1024];
        print_message("case %zu\n", k);
        assert_int_equal(feed(ctx, g, set, NULL, out, text, sizeof text), c->expected != 0);
        if (!strstr(text, c->says)) fail_msg("'%s' does not say '%s'", text, c->says);
        int64_t size = 1;
        for (int d = 0; d < c->rank; d++) size *= c->dims[d];
        const int64_t channels = c->expected == 2 ? c->dims[0] : c->dims[c->rank - 1], plane = size / channels;
        for (int64_t i = 0; c->expected && i < SAMPLES * size; i++) {
            const int64_t n = i / size, at = i % size;
            const int64_t from = c->expected == 1   ? at
                                 : c->expected == 2 ? at % channels * plane + at / channels
                                                    : at % plane * channels + at / plane;
            assert_true(out[i] == (double)(n * size + from));
        }
        skive_graph_free(g);
        skive_dataset_free(set);
        skv_test_context_end(ctx);
    }
}

static void a_layout_that_is_told_holds(void **state) {
    static double out[MOST];
    skive_context *ctx = skv_test_context();
    const int64_t cube[3] = {3, 3, 3}, flat[1] = {27};
    skive_dataset *set = data_of(ctx, SKIVE_F32, 3, cube, count_up);
    skive_graph *g = model_of(ctx, "Relu", SKIVE_F32, 3, cube), *f = model_of(ctx, "Flatten", SKIVE_F32, 1, flat);
    skive_input_options o = skive_input_options_default();
    char text[1024];
    (void)state;
    o.layout = "sideways";
    skv_test_fails(ctx, skive_model_set_input(ctx, g, set, &o), SKIVE_ERR_ARGUMENT, "nhwc");
    o.layout = "nhwc";
    skv_test_ok(ctx, skive_model_set_input(ctx, g, NULL, &o));
    assert_string_equal(skive_graph_meta(g, "skive.input.layout"), "nhwc");
    assert_true(feed(ctx, g, set, NULL, out, text, sizeof text));
    skv_test_ok(ctx, skive_model_set_input(ctx, f, NULL, &o));
    assert_true(feed(ctx, f, set, NULL, out, text, sizeof text)); /* [h][w][c] is what was flattened */
    assert_non_null(strstr(text, "channels last"));
    for (int i = 0; i < 27; i++) assert_true(out[i] == (double)(i % 3 * 9 + i / 3));
    skive_graph_free(f);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

static void transforms_see_channels_first(void **state) {
    static double plain[MOST], other[MOST];
    const int64_t first[3] = {3, 4, 5}, last[3] = {4, 5, 3};
    char text[1024];
    (void)state;
    /* The same picture in both layouts, for models of both: a flip mirrors the columns in each. */
    for (int data_last = 0; data_last < 2; data_last++) {
        for (int model_last = 0; model_last < 2; model_last++) {
            skive_context *ctx = skv_test_context();
            skive_dataset *set = data_of(ctx, SKIVE_F32, 3, data_last ? last : first, count_up);
            skive_graph *g =
                model_of(ctx, model_last ? "Turn" : "GlobalAveragePool", SKIVE_F32, 3, model_last ? last : first);
            assert_true(feed(ctx, g, set, NULL, plain, text, sizeof text));
            assert_true(feed(ctx, g, set, "flip", other, text, sizeof text));
            int flipped = 0;
            for (int n = 0; n < SAMPLES; n++) {
                const double *a = plain + n * 60, *b = other + n * 60;
                const bool turned = memcmp(a, b, 60 * sizeof *a) != 0;
                flipped += turned;
                for (int c = 0; c < 3; c++) {
                    for (int y = 0; y < 4; y++) {
                        for (int x = 0; x < 5; x++) {
                            const int from = turned ? 4 - x : x;
                            const int i = model_last ? (y * 5 + x) * 3 + c : (c * 4 + y) * 5 + x;
                            const int j = model_last ? (y * 5 + from) * 3 + c : (c * 4 + y) * 5 + from;
                            assert_true(b[i] == a[j]);
                        }
                    }
                }
            }
            assert_true(flipped > 0 && flipped < SAMPLES);
            skive_graph_free(g);
            skive_dataset_free(set);
            skv_test_context_end(ctx);
        }
    }
}

/* ---- numbers ---- */

static void set(skive_context *ctx, skive_graph *g, const skive_dataset *data, const char *mean, const char *std,
                const char *scale) {
    skive_input_options o = skive_input_options_default();
    o.mean = mean;
    o.std = std;
    o.scale = scale;
    skv_test_ok(ctx, skive_model_set_input(ctx, g, data, &o));
}

static void channels_are_normalized_in_every_layout(void **state) {
    static double plain[MOST], out[MOST];
    const int64_t first[3] = {3, 4, 5}, last[3] = {4, 5, 3};
    const double mean[3] = {1, 20, 300}, std[3] = {2, 4, 8};
    char text[1024];
    (void)state;
    for (int k = 0; k < 8; k++) {
        const bool data_last = k & 1, model_last = k & 2;
        skive_context *ctx = skv_test_context();
        skive_dataset *data = data_of(ctx, k & 4 ? SKIVE_U8 : SKIVE_F32, 3, data_last ? last : first, a_byte);
        skive_graph *g =
            model_of(ctx, model_last ? "Turn" : "GlobalAveragePool", SKIVE_F32, 3, model_last ? last : first);
        set(ctx, g, data, NULL, NULL, "none");
        assert_true(feed(ctx, g, data, NULL, plain, text, sizeof text));
        set(ctx, g, data, "1,20,300", "2,4,8", NULL);
        assert_true(feed(ctx, g, data, NULL, out, text, sizeof text));
        assert_non_null(strstr(text, "mean 1,20,300 deviation 2,4,8 (as given)"));
        for (int i = 0; i < SAMPLES * 60; i++) {
            const int c = model_last ? i % 3 : i / 20 % 3;
            assert_true(fabs(out[i] - (plain[i] - mean[c]) / std[c]) < 1e-4);
        }
        skive_graph_free(g);
        skive_dataset_free(data);
        skv_test_context_end(ctx);
    }
}

static double columns(int64_t i) { return i % 7 == 3 ? 5.0 : (double)(i % 7 + 1) * 1000.0 + (double)(i / 7); }

static void each_column_of_a_table_has_its_own(void **state) {
    static double out[MOST];
    const int64_t seven[1] = {7};
    skive_context *ctx = skv_test_context();
    skive_dataset *data = data_of(ctx, SKIVE_F32, 1, seven, columns);
    skive_graph *g = model_of(ctx, "Relu", SKIVE_F32, 1, seven);
    skive_normalization n;
    char text[1024];
    (void)state;
    set(ctx, g, data, "data", NULL, NULL);
    skv_test_ok(ctx, skive_model_normalization(g, &n));
    assert_int_equal(n.channels, 7);
    assert_true(n.mean[3] == 5.0f && n.std[3] == 1.0f); /* never varies */
    assert_true(fabs((double)n.mean[6] - 7002.5) < 1e-2);
    skive_normalization_free(ctx, &n);
    assert_true(feed(ctx, g, data, NULL, out, text, sizeof text));
    for (int c = 0; c < 7; c++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < SAMPLES; i++) {
            sum += out[i * 7 + c];
            squares += out[i * 7 + c] * out[i * 7 + c];
        }
        assert_true(fabs(sum) < 1e-2);
        assert_true(fabs(squares / SAMPLES - (c == 3 ? 0 : 1)) < 1e-2);
    }
    skive_graph_free(g);
    skive_dataset_free(data);
    skv_test_context_end(ctx);
}

static void figures_are_given_in_many_ways(void **state) {
    static const struct {
        const char *mean, *std, *scale, *text;
    } good[] = {{"0.5", NULL, NULL, "mean 0.5 deviation 1"},
                {NULL, "0.5", NULL, "mean 0 deviation 0.5"},
                {"imagenet", NULL, NULL, "mean 0.485,0.456,0.406 deviation 0.229,0.224,0.225"},
                {"imagenet", NULL, "none", "mean 123.7,116.3,103.5 deviation 58.4,57.12,57.38"},
                {"imagenet", "0.5", NULL, "mean 0.485,0.456,0.406 deviation 0.5,0.5,0.5"},
                {"none", NULL, NULL, "no normalisation (as given)"},
                {NULL, NULL, "1/255", "bytes are divided by 255"},
                {NULL, NULL, "0.5", "bytes are multiplied by 0.5"},
                {NULL, NULL, NULL, "bytes are divided by 255; no normalisation"}};
    static const struct {
        const char *mean, *std, *scale, *message;
    } bad[] = {{"a", NULL, NULL, "--mean 'a'"},
               {"1,2", NULL, NULL, "2 channels, but samples of"},
               {"1,2,3", "1,2", NULL, "--mean has 3 channels, but --std has 2"},
               {"1", "0", NULL, "--std"},
               {"1,,2", NULL, NULL, "--mean"},
               {NULL, NULL, "1/0", "--scale '1/0'"},
               {NULL, NULL, "fast", "--scale 'fast'"}};
    const int64_t dims[3] = {3, 4, 5};
    skive_context *ctx = skv_test_context();
    skive_dataset *data = data_of(ctx, SKIVE_U8, 3, dims, a_byte);
    char *text = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        skive_graph *g = model_of(ctx, "GlobalAveragePool", SKIVE_F32, 3, dims);
        set(ctx, g, data, good[i].mean, good[i].std, good[i].scale);
        skv_test_ok(ctx, skive_model_input_text(ctx, g, data, &text));
        if (!strstr(text, good[i].text)) fail_msg("'%s' is not in '%s'", good[i].text, text);
        skive_string_free(ctx, text);
        skive_graph_free(g);
    }
    skive_graph *g = model_of(ctx, "GlobalAveragePool", SKIVE_F32, 3, dims);
    set(ctx, g, data, "0.25", "0.5", NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        skive_input_options o = skive_input_options_default();
        o.mean = bad[i].mean;
        o.std = bad[i].std;
        o.scale = bad[i].scale;
        const skive_status status = skive_model_set_input(ctx, g, data, &o);
        assert_true(status == SKIVE_ERR_ARGUMENT || status == SKIVE_ERR_DATA);
        assert_non_null(strstr(skive_context_message(ctx), bad[i].message));
        assert_string_equal(skive_graph_meta(g, "skive.input.mean"), "0.25"); /* as it was */
        assert_null(skive_graph_meta(g, "skive.input.scale"));
    }
    skive_graph_free(g);
    skive_dataset_free(data);
    skv_test_context_end(ctx);
}

/* ---- element types ---- */

static void other_element_types(void **state) {
    static double out[MOST];
    const int64_t twelve[1] = {12};
    static const struct {
        skive_dtype data, model;
        double (*number)(int64_t i);
        bool good;
        double factor;
    } cases[] = {{SKIVE_I64, SKIVE_I64, large, true, 1},        {SKIVE_I64, SKIVE_I32, large, true, 1},
                 {SKIVE_F32, SKIVE_I64, count_up, true, 1},     {SKIVE_F32, SKIVE_I64, a_half, false, 1},
                 {SKIVE_I64, SKIVE_U8, large, false, 1},        {SKIVE_U8, SKIVE_U8, a_byte, true, 1},
                 {SKIVE_U8, SKIVE_I32, a_byte, true, 1},        {SKIVE_F32, SKIVE_F16, count_up, true, 1},
                 {SKIVE_U8, SKIVE_F64, a_byte, true, 1 / 255.0}};
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        skive_context *ctx = skv_test_context();
        skive_dataset *data = data_of(ctx, cases[k].data, 1, twelve, cases[k].number);
        skive_graph *g = model_of(ctx, "Identity", cases[k].model, 1, twelve);
        char text[1024];
        assert_int_equal(feed(ctx, g, data, NULL, out, text, sizeof text), cases[k].good);
        if (!cases[k].good) assert_non_null(strstr(text, "cannot represent"));
        for (int i = 0; cases[k].good && i < SAMPLES * 12; i++)
            assert_true(fabs(out[i] - cases[k].number(i) * cases[k].factor) < 1e-7);
        skive_input_options o = skive_input_options_default();
        o.mean = "0.5";
        if (!skv_dtype_is_float(cases[k].model))
            skv_test_fails(ctx, skive_model_set_input(ctx, g, data, &o), SKIVE_ERR_DATA, "normalised");
        skive_graph_free(g);
        skive_dataset_free(data);
        skv_test_context_end(ctx);
    }
}

/* ---- no copy without a check ---- */

static void a_batch_that_does_not_fit_is_not_copied(void **state) {
    skive_context *ctx = skv_test_context();
    float from[24] = {0}, to[24];
    const skive_tensor input = {.dtype = SKIVE_F32, .rank = 2, .dims = {4, 3}, .data = to};
    const skive_tensor good = {.dtype = SKIVE_F32, .rank = 2, .dims = {3, 3}, .data = from};
    const skive_tensor bad[] = {{.dtype = SKIVE_F32, .rank = 2, .dims = {5, 3}, .data = from},
                                {.dtype = SKIVE_F32, .rank = 2, .dims = {3, 4}, .data = from},
                                {.dtype = SKIVE_F64, .rank = 2, .dims = {3, 3}, .data = from},
                                {.dtype = SKIVE_F32, .rank = 3, .dims = {3, 3, 1}, .data = from}};
    (void)state;
    skv_test_ok(ctx, skv_feed_copy(ctx, "x", &good, &input));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        skv_test_fails(ctx, skv_feed_copy(ctx, "x", &bad[i], &input), SKIVE_ERR_DATA, "'x' takes float32[4,3]");
    skv_test_context_end(ctx);
}

/* ---- memory ---- */

static skive_status use_it(skive_context *ctx, void *user) {
    const int64_t dims[3] = {4, 5, 3};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skive_input_options o = skive_input_options_default();
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {3, NULL}, {4, NULL}, {5, NULL}}};
    skive_dataset *data = NULL;
    char *text = NULL;
    (void)dims;
    o.mean = "data";
    o.scale = "1/255";
    skive_status status = skive_dataset_open(ctx, user, NULL, &data);
    if (status == SKIVE_OK) status = skive_graph_create(ctx, "g", &g);
    if (status == SKIVE_OK) status = skive_graph_add_input(g, "x", &type, &x);
    if (status == SKIVE_OK) status = skive_graph_add_output(g, x);
    if (status == SKIVE_OK) status = skive_model_set_input(ctx, g, data, &o);
    if (status == SKIVE_OK) status = skive_model_input_text(ctx, g, data, &text);
    skive_string_free(ctx, text);
    skive_graph_free(g);
    skive_dataset_free(data);
    return status;
}

static void every_allocation_may_fail(void **state) {
    char x[SKV_TEST_PATH], y[SKV_TEST_PATH], spec[2 * SKV_TEST_PATH + 8];
    const int64_t last[3] = {4, 5, 3};
    skive_context *ctx = skv_test_context();
    (void)state;
    skive_dataset_free(data_of(ctx, SKIVE_U8, 3, last, a_byte));
    skv_test_context_end(ctx);
    snprintf(spec, sizeof spec, "npy:%s,%s", skv_test_path(x, folder, "x.npy"), skv_test_path(y, folder, "y.npy"));
    assert_true(skv_test_walk_allocations(use_it, spec, 1) > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
        T(layouts),
        T(a_layout_that_is_told_holds),
        T(transforms_see_channels_first),
        T(channels_are_normalized_in_every_layout),
        T(each_column_of_a_table_has_its_own),
        T(figures_are_given_in_many_ways),
        T(other_element_types),
        T(a_batch_that_does_not_fit_is_not_copied),
        T(every_allocation_may_fail),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
