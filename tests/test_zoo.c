/* The built-in networks: sizes against published numbers, files that are read back with the same outputs, options, and
 * that each of them learns. */
#include "support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <skive/exec.h>
#include <skive/onnx.h>
#include <skive/train.h>
#include <skive/zoo.h>

static int64_t trained_of(const skive_graph *g) {
    int64_t n = 0;
    for (size_t i = 0; i < skive_graph_value_count(g); i++) {
        const skive_value *v = skive_graph_value(g, i);
        if (skive_value_is_trainable(v)) n += skive_tensor_count(skive_value_data(v));
    }
    return n;
}

static size_t index_of(const char *spec) {
    const size_t n = strcspn(spec, ":");
    for (size_t i = 0; i < skive_zoo_count(); i++) {
        if (strlen(skive_zoo_name(i)) == n && strncmp(skive_zoo_name(i), spec, n) == 0) return i;
    }
    fail_msg("no network %s", spec);
    return 0;
}

/* ---- published numbers ---- */

/* `parameters`: the published number and what is added to or taken from it here. `macs` is 0 where none is published;
 * it is compared as far as its digits go (`unit`). */
static void published(void **state) {
    (void)state;
    static const struct {
        const char *spec;
        skive_zoo_options o; /* rank 0: the usual sizes */
        int64_t parameters, more;
        double macs, unit;
        const char *source;
    } rows[] = {
        {"mlp", {0}, 266610, 0, 266200, 0.5, "LeNet-300-100, Han et al. 2015: 266 k"},
        {"lenet5", {0}, 431080, 0, 2.293e6, 500, "LeNet-5 of Caffe, Han et al. 2015: 431 k"},
        {"resnet20:shortcut=padding", {0}, 269722, 0, 40.55e6, 0.1e6, "He et al. 2016: 0.27 M; akamaster: 269,722"},
        {"resnet32:shortcut=padding", {0}, 464154, 0, 68.86e6, 0.1e6, "He et al. 2016: 0.46 M; akamaster: 464,154"},
        {"resnet56:shortcut=padding", {0}, 853018, 0, 125.49e6, 0.1e6, "He et al. 2016: 0.85 M; akamaster: 853,018"},
        /* two projections: 16 * 32 + 32 * 64 weights and their normalisation, 2 * (32 + 64) */
        {"resnet20", {0}, 269722, 2752, 0, 0, "the same"},
        {"resnet18", {0}, 11689512, 0, 1.81e9, 0.01e9, "torchvision"},
        {"resnet50", {0}, 25557032, 0, 4.09e9, 0.01e9, "torchvision"},
        {"mobilenet", {0}, 4231976, 0, 569e6, 1e6, "Howard et al. 2017: 4.2 M, 569 M; Keras: 4,231,976 trainable"},
        {"mobilenetv2", {0}, 3504872, 0, 300e6, 1e6, "Sandler et al. 2018: 300 M; torchvision: 3,504,872"},
        {"mobilenetv3-small", {0}, 2542856, 0, 0.06e9, 0.01e9, "torchvision"},
        {"efficientnet-b0", {0}, 5288548, 0, 0.39e9, 0.01e9, "torchvision; Tan & Le 2019: 0.39 B"},
        {"squeezenet", {0}, 1235496, 0, 0.35e9, 0.01e9, "torchvision's squeezenet1_1"},
        {"densenet", {0}, 176122, 0, 0, 0, "pytorchcv's densenet40_k12_bc_cifar10"},
        {"densenet:depth=100", {0}, 769162, 0, 0, 0, "Huang et al. 2017: 0.8 M; pytorchcv: 769,162"},
        /* 24,908 with 1,152 statistics, and 9 biases of 64 that stand before a normalisation there */
        {"ds-cnn", {0}, 24908, -1152 - 576, 2.66e6, 0.01e6, "MLPerf Tiny"},
        {"vit", {0}, 5717416, 0, 1.25e9, 0.02e9, "timm's vit_tiny_patch16_224; Touvron et al. 2021: 5.7 M, 1.3 B"},
        /* the encoder, and a table of 10 tokens, 8 positions, a last normalisation, 2 classes */
        {"transformer:dim=512,depth=6,heads=8,hidden=2048",
         {.rank = 1, .dims = {8}, .classes = 2, .vocabulary = 10},
         18914304,
         (10 + 8) * 512 + 2 * 512 + 2 * 513,
         0,
         0,
         "PyTorch's TransformerEncoder of 6 layers"},
        /* ONNX's cells have a second bias: 2 layers of 2 directions of 4 * 64 */
        {"lstm:width=0.5,layers=2,bidirectional",
         {.rank = 1, .dims = {200}, .classes = 1, .vocabulary = 20000},
         2757761,
         1024,
         0,
         0,
         "Keras' example of a bidirectional LSTM on IMDB"},
        {"crnn", {0}, 8330789, 0, 0, 0, "Shi et al. 2017: 8.3 M"},
        {"unet", {0}, 31037698, 0, 0, 0, "milesial's Pytorch-UNet, 3 channels, 2 classes"},
        /* 269,992 with 2,064 statistics */
        {"autoencoder", {0}, 269992, -2064, 264192, 0.5, "MLPerf Tiny"},
    };
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        skive_zoo_options o;
        skive_graph *g = NULL;
        skive_cost cost;
        assert_true(skive_zoo_usual(index_of(rows[i].spec), &o));
        if (rows[i].o.rank) {
            o = rows[i].o;
            o.size = sizeof o;
        }
        o.blank = true;
        skv_test_ok(ctx, skive_zoo_build(ctx, rows[i].spec, &o, &g));
        if (trained_of(g) != rows[i].parameters + rows[i].more)
            fail_msg("%s: %lld parameters, published (%s): %lld and %lld", rows[i].spec, (long long)trained_of(g),
                     rows[i].source, (long long)rows[i].parameters, (long long)rows[i].more);
        skv_test_ok(ctx, skive_graph_cost(g, &cost));
        if (rows[i].macs > 0 && fabs((double)cost.macs - rows[i].macs) > rows[i].unit)
            fail_msg("%s: %lld MACs, published (%s): %.0f", rows[i].spec, (long long)cost.macs, rows[i].source,
                     rows[i].macs);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

/* ---- small forms of all of them ---- */

typedef struct small {
    const char *spec;
    int rank;
    int64_t dims[3];
    int64_t vocabulary;
    double rate; /* of learning */
    int64_t map; /* the targets are numbers in these dimensions: channels of them, or 0: classes */
} small;

enum { CLASSES = 3 };

static const small smalls[] = {
    {"mlp:16,8", 1, {12}, 0, 0.01, 0},
    {"lenet5:0.2", 3, {1, 28, 28}, 0, 0.005, 0},
    {"vgg-small:0.1", 3, {3, 32, 32}, 0, 0.005, 0},
    {"vgg16:0.06", 3, {3, 32, 32}, 0, 0.002, 0},
    {"resnet8:0.5", 3, {3, 16, 16}, 0, 0.01, 0},
    {"resnet14:0.5,shortcut=padding", 3, {3, 16, 16}, 0, 0.01, 0},
    {"resnet20:0.5", 3, {3, 16, 16}, 0, 0.01, 0},
    {"resnet32:0.25", 3, {3, 8, 8}, 0, 0.01, 0},
    {"resnet56:0.25,shortcut=padding", 3, {3, 8, 8}, 0, 0.01, 0},
    {"resnet18:0.1", 3, {3, 32, 32}, 0, 0.005, 0},
    {"resnet50:0.1", 3, {3, 32, 32}, 0, 0.005, 0},
    {"densenet:depth=16,growth=4", 3, {3, 16, 16}, 0, 0.01, 0},
    {"squeezenet:0.25,dropout=0", 3, {3, 32, 32}, 0, 0.002, 0},
    {"mobilenet:0.1", 3, {3, 32, 32}, 0, 0.01, 0},
    {"mobilenetv2:0.15", 3, {3, 32, 32}, 0, 0.01, 0},
    {"mobilenetv3-small:0.25", 3, {3, 32, 32}, 0, 0.005, 0},
    {"efficientnet-b0:0.15", 3, {3, 32, 32}, 0, 0.005, 0},
    {"ds-cnn:0.25", 3, {1, 25, 10}, 0, 0.01, 0},
    {"vit:dim=16,depth=2,heads=2", 3, {3, 16, 16}, 0, 0.005, 0},
    {"vit:dim=16,depth=1,heads=2,patch=8,pool=mean,dropout=0.1", 3, {3, 16, 16}, 0, 0.005, 0},
    {"transformer:dim=16,depth=2,heads=2", 1, {12}, 9, 0.005, 0},
    {"transformer:dim=16,depth=1,heads=2,norm=after,positions=sinusoidal,padding=-1", 1, {12}, 9, 0.005, 0},
    {"transformer:dim=16,depth=1,heads=2,positions=none,dropout=0.1", 2, {7, 5}, 0, 0.005, 0},
    {"lstm:0.1", 2, {7, 5}, 0, 0.02, 0},
    {"lstm:0.1,layers=2,bidirectional,embed=8", 1, {12}, 9, 0.02, 0},
    {"lstm:0.1,bidirectional", 3, {2, 7, 5}, 0, 0.02, 0},
    {"gru:0.1", 2, {7, 5}, 0, 0.02, 0},
    {"gru:0.1,layers=2,dropout=0.1,padding=-1,embed=8", 1, {12}, 9, 0.02, 0},
    {"gru:0.1,layers=3,bidirectional", 2, {7, 5}, 0, 0.02, 0},
    {"crnn:0.05", 3, {1, 28, 28}, 0, 0.01, 0},
    {"crnn:0.05", 3, {1, 32, 40}, 0, 0.01, 0},
    {"unet:0.1,depth=2", 3, {2, 16, 12}, 0, 0.01, CLASSES},
    {"autoencoder:code=3,widths=16,8", 1, {12}, 0, 0.01, -1},
    {"autoencoder:code=4", 3, {2, 8, 8}, 0, 0.01, 2},
    {"autoencoder:kind=conv,code=4,widths=8", 3, {2, 8, 8}, 0, 0.01, 2},
};
enum { N_SMALL = sizeof smalls / sizeof smalls[0] };

static skive_zoo_options options_of(const small *s) {
    skive_zoo_options o = skive_zoo_options_default();
    o.rank = s->rank;
    memcpy(o.dims, s->dims, sizeof s->dims);
    o.classes = CLASSES;
    o.vocabulary = s->vocabulary;
    return o;
}

static skive_graph *build(skive_context *ctx, const small *s) {
    const skive_zoo_options o = options_of(s);
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_zoo_build(ctx, s->spec, &o, &g));
    return g;
}

/* Samples of three classes; sequences of tokens end with padding, of a length that depends on the sample. */
static void fill(const small *s, skive_tensor *x, int64_t sample, int64_t size) {
    const int64_t class = sample % CLASSES;
    for (int64_t i = 0; i < size; i++) {
        const uint32_t hash = (uint32_t)(sample * 7919 + i * 104729) * 2654435761u;
        const double noise = (double)(hash >> 8) / (double)(1u << 24);
        double value = sin((double)(i + 1) * (double)(class + 1) * 0.9) + 0.3 * (noise - 0.5);
        if (s->vocabulary)
            value = i >= size - sample % 5 ? 0 : noise < 0.6 ? 1 + (double)class : 4 + (double)(hash >> 5 & 3);
        skive_tensor_set(x, sample * size + i, value);
    }
}

static skive_tensor samples_of(skive_context *ctx, const small *s, int64_t n) {
    int64_t dims[4] = {n}, size = 1;
    skive_tensor x = {0};
    for (int d = 0; d < s->rank; d++) {
        dims[d + 1] = s->dims[d];
        size *= s->dims[d];
    }
    skv_test_ok(ctx, skive_tensor_create(ctx, s->vocabulary ? SKIVE_I64 : SKIVE_F32, s->rank + 1, dims, &x));
    for (int64_t i = 0; i < n; i++) fill(s, &x, i, size);
    return x;
}

static void all_are_here(void **state) {
    (void)state;
    for (size_t i = 0; i < skive_zoo_count(); i++) {
        bool found = false;
        for (size_t k = 0; k < N_SMALL; k++) found = found || index_of(smalls[k].spec) == i;
        if (!found) fail_msg("no test of %s", skive_zoo_name(i));
        assert_true(strlen(skive_zoo_brief(i)) > 0);
    }
    skive_zoo_options o;
    assert_false(skive_zoo_usual(skive_zoo_count(), &o));
    assert_null(skive_zoo_name(skive_zoo_count()));
}

static skive_tensor run(skive_context *ctx, const skive_graph *g, const skive_tensor *x) {
    skive_tensor y = {0};
    skv_test_ok(ctx, skive_graph_run(ctx, g, x, 1, &y, 1));
    return y;
}

/* Every file is read back, is of opset 17 or older and gives the same outputs; the same seed gives the same weights. */
static void files(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH];
    skv_test_make_dir(dir);
    for (size_t i = 0; i < N_SMALL; i++) {
        skive_graph *g = build(ctx, &smalls[i]), *back = NULL, *again = build(ctx, &smalls[i]);
        skive_tensor x = samples_of(ctx, &smalls[i], 3), y = run(ctx, g, &x);
        skv_test_ok(ctx, skive_graph_check(g));
        skv_test_ok(ctx, skive_onnx_save(ctx, g, skv_test_path(path, dir, "net.onnx"), NULL));
        skv_test_ok(ctx, skive_onnx_load(ctx, path, NULL, &back));
        assert_int_equal(trained_of(back), trained_of(g));
        skive_tensor z = run(ctx, back, &x), w = run(ctx, again, &x);
        assert_int_equal(y.dims[0], 3);
        skv_test_tensors(&z, &y, 0, 0);
        skv_test_tensors(&w, &y, 0, 0);
        skive_tensor_free(ctx, &x);
        skive_tensor_free(ctx, &y);
        skive_tensor_free(ctx, &z);
        skive_tensor_free(ctx, &w);
        skive_graph_free(g);
        skive_graph_free(back);
        skive_graph_free(again);
    }
    skv_test_remove_dir(dir);
    skv_test_context_end(ctx);
}

/* What stands behind the padding must not matter, nor how much of it there is. */
static void padding(void **state) {
    (void)state;
    static const char *const specs[] = {"transformer:dim=16,depth=2,heads=2,positions=sinusoidal",
                                        "lstm:0.1,layers=2,bidirectional", "gru:0.1"};
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        skive_tensor y[2];
        for (int k = 0; k < 2; k++) {
            const small s = {.spec = specs[i], .rank = 1, .dims = {k ? 9 : 6}, .vocabulary = 9};
            skive_graph *g = build(ctx, &s);
            skive_tensor x = samples_of(ctx, &s, 2);
            for (int64_t n = 0; n < 2; n++) {
                for (int64_t t = 0; t < s.dims[0]; t++)
                    skive_tensor_set(&x, n * s.dims[0] + t, t < 4 + n ? (double)(1 + (t * 3 + n) % 8) : 0);
            }
            y[k] = run(ctx, g, &x);
            skive_tensor_free(ctx, &x);
            skive_graph_free(g);
        }
        skv_test_tensors(&y[1], &y[0], 1e-5, 1e-6);
        skive_tensor_free(ctx, &y[0]);
        skive_tensor_free(ctx, &y[1]);
    }
    skv_test_context_end(ctx);
}

/* ---- training ---- */

static void write_targets(skive_context *ctx, const small *s, int64_t n, const skive_tensor *x, const char *path) {
    int64_t dims[4] = {n};
    skive_tensor y = {0};
    if (s->map == 0) {
        skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_I64, 1, dims, &y));
        for (int64_t i = 0; i < n; i++) skive_tensor_set(&y, i, (double)(i % CLASSES));
    } else { /* the samples themselves, or as many channels of their first one */
        memcpy(dims, x->dims, sizeof dims);
        if (s->map > 0) dims[1] = s->map;
        skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, x->rank, dims, &y));
        const int64_t out = skive_tensor_count(&y) / n, in = skive_tensor_count(x) / n;
        for (int64_t i = 0; i < n; i++) {
            for (int64_t k = 0; k < out; k++) skive_tensor_set(&y, i * out + k, skive_tensor_get(x, i * in + k % in));
        }
    }
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, path, &y));
    skive_tensor_free(ctx, &y);
}

/* The loss of the last epoch is below 0.9 times that of the first. Under the address sanitizer each network makes two
 * steps only, and none is asked to have learned. */
static void learns(skive_context *ctx, const small *s, const char *dir) {
    const int64_t samples = skv_test_sanitized() ? 16 : 96;
    const int epochs = skv_test_sanitized() ? 1 : 6;
    char x_path[SKV_TEST_PATH], y_path[SKV_TEST_PATH], spec[2 * SKV_TEST_PATH + 8];
    skive_tensor x = samples_of(ctx, s, samples);
    skive_graph *g = build(ctx, s);
    skive_dataset *set = NULL;
    skive_train_options o = skive_train_options_default();
    skive_train_report report = {0};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, skv_test_path(x_path, dir, "x.npy"), &x));
    write_targets(ctx, s, samples, &x, skv_test_path(y_path, dir, "y.npy"));
    (void)snprintf(spec, sizeof spec, "npy:%s,%s", x_path, y_path);
    skive_dataset_options d = skive_dataset_options_default();
    d.split = SKIVE_SPLIT_TRAIN_FULL;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &d, &set));
    o.epochs = epochs;
    o.batch = skv_test_sanitized() ? 8 : 16;
    o.optimizer = "adam";
    o.learning_rate = s->rate;
    o.weight_decay = 0;
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, &report));
    assert_int_equal(report.n_epochs, epochs);
    if (!skv_test_sanitized() && !(report.epochs[epochs - 1].loss < 0.9 * report.epochs[0].loss))
        fail_msg("%s: loss %g after the first epoch, %g after the last", s->spec, report.epochs[0].loss,
                 report.epochs[epochs - 1].loss);
    skive_train_report_free(ctx, &report);
    skive_dataset_free(set);
    skive_graph_free(g);
    skive_tensor_free(ctx, &x);
}

static void training(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char dir[SKV_TEST_PATH];
    skv_test_make_dir(dir);
    for (size_t i = 0; i < N_SMALL; i++) learns(ctx, &smalls[i], dir);
    skv_test_remove_dir(dir);
    skv_test_context_end(ctx);
}

/* ---- what is refused ---- */

static void refusals(void **state) {
    (void)state;
    static const struct {
        small s;
        skive_status status;
        const char *part;
    } rows[] = {
        {{"resnet8", 2, {8, 8}, 0, 0, 0}, SKIVE_ERR_SHAPE, "needs samples of rank 3"},
        {{"resnet8:shortcut=none", 3, {3, 8, 8}, 0, 0, 0}, SKIVE_ERR_ARGUMENT, "projection"},
        {{"mlp", 1, {8}, 9, 0, 0}, SKIVE_ERR_SHAPE, "the data are tokens"},
        {{"lstm", 1, {8}, 0, 0, 0}, SKIVE_ERR_SHAPE, "vocabulary=N"},
        {{"lstm", 2, {8, 2}, 9, 0, 0}, SKIVE_ERR_SHAPE, "reads tokens from samples of rank 1"},
        {{"transformer:padding=9", 1, {8}, 9, 0, 0}, SKIVE_ERR_SHAPE, "padding=9 is no token"},
        {{"transformer:dim=10,heads=3", 1, {8}, 9, 0, 0}, SKIVE_ERR_SHAPE, "heads=3"},
        {{"vit:heads=5", 3, {3, 16, 16}, 0, 0, 0}, SKIVE_ERR_SHAPE, "heads=5"},
        {{"vit:patch=5", 3, {3, 16, 16}, 0, 0, 0}, SKIVE_ERR_SHAPE, "patches of 5"},
        {{"densenet:depth=41", 3, {3, 16, 16}, 0, 0, 0}, SKIVE_ERR_SHAPE, "depth=41"},
        {{"unet:depth=3", 3, {3, 12, 12}, 0, 0, 0}, SKIVE_ERR_SHAPE, "only 2 times"},
        {{"unet", 3, {3, 7, 7}, 0, 0, 0}, SKIVE_ERR_SHAPE, "only 0 times"},
        {{"autoencoder:widths=4,x", 1, {9}, 0, 0, 0}, SKIVE_ERR_ARGUMENT, "widths=4,x"},
        {{"autoencoder:kind=conv", 1, {9}, 0, 0, 0}, SKIVE_ERR_SHAPE, "rank 3"},
        {{"autoencoder:kind=conv", 3, {3, 6, 6}, 0, 0, 0}, SKIVE_ERR_SHAPE, "halved 2 times"},
        {{"crnn", 3, {1, 8, 8}, 0, 0, 0}, SKIVE_ERR_SHAPE, "crnn"},
    };
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const skive_zoo_options o = options_of(&rows[i].s);
        skive_graph *g = NULL;
        skv_test_fails(ctx, skive_zoo_build(ctx, rows[i].s.spec, &o, &g), rows[i].status, rows[i].part);
        assert_null(g);
    }
    skv_test_context_end(ctx);
}

static skive_status walked(skive_context *ctx, void *user) {
    const skive_zoo_options o = options_of(user);
    skive_graph *g = NULL;
    const skive_status status = skive_zoo_build(ctx, ((const small *)user)->spec, &o, &g);
    skive_graph_free(g);
    return status;
}

static void without_memory(void **state) {
    (void)state;
    small rows[] = {{"transformer:dim=4,depth=1,heads=2", 1, {4}, 5, 0, 0},
                    {"lstm:0.03,bidirectional,layers=2,embed=4", 1, {4}, 5, 0, 0},
                    {"mobilenetv3-small:0.1", 3, {3, 8, 8}, 0, 0, 0},
                    {"autoencoder:widths=4", 1, {9}, 0, 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(skv_test_walk_allocations(walked, &rows[i], i == 2 ? 31 : 7) > 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published),      cmocka_unit_test(all_are_here), cmocka_unit_test(files),
        cmocka_unit_test(padding),        cmocka_unit_test(training),     cmocka_unit_test(refusals),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
