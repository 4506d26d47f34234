/* Images with masks: classes as numbers, palette indices and colours, sizes, transforms, and what is refused. */
#include "data_fixtures.h"

#include <unistd.h>

#include <skive/output.h>

#include "data/transform.h"

enum { SIDE = 8 };

static void folder(const char *name) { assert_int_equal(mkdir(at(name), 0777), 0); }

/* The class of a pixel of picture i. */
static unsigned char class_of(int i, int y, int x) { return (unsigned char)((y / 2 + x / 4 + i) % 3); }

/* A picture whose grey values are 40 times the classes, and its mask. */
static void pair_named(const char *base, const char *name, int i, int corner) {
    unsigned char picture[SIDE * SIDE], mask[SIDE * SIDE];
    char path[SKV_TEST_PATH];
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            mask[y * SIDE + x] = class_of(i, y, x);
            picture[y * SIDE + x] = (unsigned char)(40 * mask[y * SIDE + x]);
        }
    }
    if (corner >= 0) mask[0] = (unsigned char)corner;
    (void)snprintf(path, sizeof path, "%s/images/%s.png", base, name);
    write_png(at(path), SIDE, SIDE, PNG_FORMAT_GRAY, picture);
    (void)snprintf(path, sizeof path, "%s/masks/%s.png", base, name);
    write_png(at(path), SIDE, SIDE, PNG_FORMAT_GRAY, mask);
}

static void two_folders(const char *base) {
    char path[SKV_TEST_PATH];
    folder(base);
    (void)snprintf(path, sizeof path, "%s/images", base);
    folder(path);
    (void)snprintf(path, sizeof path, "%s/masks", base);
    folder(path);
}

static const char *spec_of(const char *rest) {
    static char spec[SKV_TEST_PATH + 16];
    (void)snprintf(spec, sizeof spec, "segment:%s", at(rest));
    return spec;
}

static skive_dataset_options of(skive_split split) {
    skive_dataset_options o = skive_dataset_options_default();
    o.split = split;
    return o;
}

static skive_dataset *open_with(skive_context *ctx, const char *rest, skive_dataset_options o) {
    skive_dataset *set = NULL;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec_of(rest), &o, &set));
    return set;
}

static void fails_with(skive_context *ctx, const char *rest, skive_dataset_options o, skive_status status,
                       const char *part) {
    skive_dataset *set = NULL;
    skv_test_fails(ctx, skive_dataset_open(ctx, spec_of(rest), &o, &set), status, part);
    assert_null(set);
}

static bool noted(skive_context *ctx, const char *part) {
    for (size_t i = 0; i < skive_context_note_count(ctx); i++) {
        if (strstr(skive_context_note(ctx, i), part)) return true;
    }
    for (size_t i = 0; i < skive_context_note_count(ctx); i++) print_error("note: %s\n", skive_context_note(ctx, i));
    return false;
}

static void numbers(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_info info;
    int64_t labels[SIDE * SIDE], label = 5;
    float x[SIDE * SIDE];
    (void)state;
    two_folders("n");
    pair_named("n", "a", 0, 255);
    pair_named("n", "b", 1, -1);
    skive_dataset *set = open_with(ctx, "n", of(SKIVE_SPLIT_TRAIN_FULL));
    skive_dataset_get_info(set, &info);
    assert_true(info.labelled);
    assert_int_equal(info.classes, 3);
    assert_int_equal(info.label_rank, 2);
    assert_int_equal(info.label_dims[0], SIDE);
    assert_int_equal(info.label_dims[1], SIDE);
    assert_int_equal(info.label_size, SIDE * SIDE);
    assert_int_equal(info.n_targets, 1);
    assert_int_equal(info.targets[0].rank, 2);
    assert_true(noted(ctx, "% of the pixels have the value 255 and are of no class"));
    for (size_t i = 0; i < 2; i++) {
        skv_test_ok(ctx, skive_dataset_read(ctx, set, i, x, &label));
        assert_int_equal(label, -1);
        skv_test_ok(ctx, skive_dataset_read_labels(ctx, set, i, labels));
        for (int p = 0; p < SIDE * SIDE; p++)
            assert_int_equal(labels[p], i == 0 && p == 0 ? -1 : class_of((int)i, p / SIDE, p % SIDE));
    }
    skv_test_fails(ctx, skive_dataset_read_labels(ctx, set, 2, labels), SKIVE_ERR_ARGUMENT, "no sample 2");
    skive_dataset_free(set);
    set = open_with(ctx, "n,ignore=none", of(SKIVE_SPLIT_TRAIN_FULL));
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.classes, 256);
    assert_true(noted(ctx, "labels go up to 255, so there are 256 classes, of which 252 do not occur (3, 4, 5, "));
    assert_true(noted(ctx, "and 255 is first in "));
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* What is stored counts, not what it looks like: palettes, and fewer than 8 bits. */
static void stored_values(void **state) {
    skive_context *ctx = skv_test_context();
    const unsigned char grey[8 * 8] = {0}, rows[8 * 2] = {0x1b, 0x1b, 0xe4, 0xe4, 0x00, 0xff, 0x55, 0xaa};
    int64_t labels[64];
    (void)state;
    two_folders("p");
    write_png(at("p/images/a.png"), 8, 8, PNG_FORMAT_GRAY, grey);
    for (int colour = 0; colour < 2; colour++) {
        write_png_raw(at("p/masks/a.png"), 8, 8, 2, colour ? PNG_COLOR_TYPE_PALETTE : PNG_COLOR_TYPE_GRAY, false, rows,
                      2);
        skive_dataset *set = open_with(ctx, "p", of(SKIVE_SPLIT_TRAIN_FULL));
        skv_test_ok(ctx, skive_dataset_read_labels(ctx, set, 0, labels));
        for (int p = 0; p < 64; p++) assert_int_equal(labels[p], rows[p / 4] >> (6 - 2 * (p % 4)) & 3);
        skive_dataset_free(set);
    }
    skv_test_context_end(ctx);
}

static void colours(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_info info;
    unsigned char picture[4] = {0}, mask[12] = {0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 0, 0};
    const int64_t sorted[4] = {0, 2, 1, 2}, listed[4] = {1, 0, 2, 0};
    int64_t labels[4];
    (void)state;
    two_folders("c");
    write_png(at("c/images/a.png"), 2, 2, PNG_FORMAT_GRAY, picture);
    write_png(at("c/masks/a.png"), 2, 2, PNG_FORMAT_RGB, mask);
    skive_dataset *set = open_with(ctx, "c", of(SKIVE_SPLIT_TRAIN_FULL));
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.classes, 3);
    assert_string_equal(info.class_names[2], "#800000");
    assert_true(noted(ctx, "classes in the order of their values: #000000, #008000, #800000"));
    skv_test_ok(ctx, skive_dataset_read_labels(ctx, set, 0, labels));
    assert_memory_equal(labels, sorted, sizeof labels);
    skive_dataset_free(set);
    static const char names[] = "#800000 house\n#000000 ground\r\n#008000 tree";
    skv_test_write_file(at("c/classes.txt"), names, sizeof names - 1);
    set = open_with(ctx, "c", of(SKIVE_SPLIT_TRAIN_FULL));
    skive_dataset_get_info(set, &info);
    assert_string_equal(info.class_names[0], "house");
    assert_string_equal(info.class_names[1], "ground");
    skv_test_ok(ctx, skive_dataset_read_labels(ctx, set, 0, labels));
    assert_memory_equal(labels, listed, sizeof labels);
    skive_dataset_free(set);
    set = open_with(ctx, "c,ignore=#008000", of(SKIVE_SPLIT_TRAIN_FULL));
    skv_test_ok(ctx, skive_dataset_read_labels(ctx, set, 0, labels));
    assert_int_equal(labels[2], -1);
    skive_dataset_free(set);
    skv_test_write_file(at("c/classes.txt"), "#800000 house\n#000000 ground", 28);
    set = open_with(ctx, "c", of(SKIVE_SPLIT_TRAIN_FULL));
    skv_test_fails(ctx, skive_dataset_read_labels(ctx, set, 0, labels), SKIVE_ERR_DATA,
                   "row 1, column 0 has the value #008000, which is none of the 2 classes");
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

static void parts_and_what_is_refused(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_info info;
    skive_dataset_options o = of(SKIVE_SPLIT_TRAIN);
    unsigned char wide[SIDE * 4] = {0};
    int64_t labels[SIDE * SIDE];
    (void)state;
    folder("s");
    two_folders("s/train");
    two_folders("s/val");
    two_folders("s/test");
    pair_named("s/train", "a", 0, -1);
    pair_named("s/train", "b", 1, -1);
    pair_named("s/val", "c", 2, -1);
    pair_named("s/test", "d", 0, 7);
    skive_dataset *set = open_with(ctx, "s", o);
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.count, 2);
    skive_dataset_free(set);
    set = open_with(ctx, "s", of(SKIVE_SPLIT_VALIDATION));
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.count, 1);
    skive_dataset_free(set);
    set = open_with(ctx, "s", of(SKIVE_SPLIT_TEST)); /* the training masks say what classes there are */
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.classes, 3);
    skv_test_fails(ctx, skive_dataset_read_labels(ctx, set, 0, labels), SKIVE_ERR_DATA,
                   "masks/d.png: row 0, column 0 has the value 7, which is none of the 3 classes");
    skive_dataset_free(set);
    o.classes = 2;
    fails_with(ctx, "s", o, SKIVE_ERR_DATA, "the masks have classes up to 2, but there are 2 classes");
    o.classes = 0;
    fails_with(ctx, "s,ignore=x", o, SKIVE_ERR_ARGUMENT, "ignore is x; it must be");
    fails_with(ctx, "s/train/images", o, SKIVE_ERR_DATA, "has no folders images/ and masks/");
    skv_test_write_file(at("s/classes.txt"), "one\ntwo\n", 8);
    fails_with(ctx, "s", o, SKIVE_ERR_DATA, "the masks have classes up to 2, but there are 2 classes");
    assert_int_equal(unlink(at("s/classes.txt")), 0);

    write_png(at("s/train/masks/b.png"), 4, SIDE, PNG_FORMAT_GRAY, wide);
    fails_with(ctx, "s", o, SKIVE_ERR_DATA, "the mask has 8x4 pixels (height x width), but its image");
    o.skip_bad = true;
    set = open_with(ctx, "s", o);
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.count, 1);
    assert_true(noted(ctx, "1 of 2 images cannot be read and is left out"));
    skive_dataset_free(set);
    o.skip_bad = false;
    write_jpeg(at("s/train/masks/b.png"), SIDE, SIDE, 1, false, (unsigned char[SIDE * SIDE]){0});
    fails_with(ctx, "s", o, SKIVE_ERR_DATA, "a mask must be a PNG image");
    skv_test_write_file(at("s/train/masks/b.png"), "\x89PNG\r\n\x1a\n", 8);
    fails_with(ctx, "s", o, SKIVE_ERR_DATA, "masks/b.png");
    assert_int_equal(unlink(at("s/train/masks/b.png")), 0);
    fails_with(ctx, "s", o, SKIVE_ERR_DATA, "there is no mask");
    assert_int_equal(rename(at("s/train/images/b.png"), at("s/train/masks/b.png")), 0);
    set = open_with(ctx, "s", o);
    assert_true(noted(ctx, "1 mask without an image (the first is b.png)"));
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* Masks are resized and cut with their images, by the nearest pixel. */
static void sizes(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_options o = of(SKIVE_SPLIT_TRAIN_FULL);
    skive_dataset_info info;
    int64_t labels[16 * 16];
    (void)state;
    two_folders("z");
    pair_named("z", "a", 0, -1);
    o.resize_h = 16;
    o.resize_w = 4;
    skive_dataset *set = open_with(ctx, "z", o);
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.label_dims[0], 16);
    assert_int_equal(info.label_dims[1], 4);
    skv_test_ok(ctx, skive_dataset_read_labels(ctx, set, 0, labels));
    for (int y = 0; y < 16; y++) {
        for (int x = 0; x < 4; x++) assert_int_equal(labels[y * 4 + x], class_of(0, y / 2, 2 * x + 1));
    }
    skive_dataset_free(set);
    o.resize_h = o.resize_w = 0;
    o.crop_h = o.crop_w = 4;
    set = open_with(ctx, "z", o);
    skv_test_ok(ctx, skive_dataset_read_labels(ctx, set, 0, labels));
    for (int p = 0; p < 16; p++) assert_int_equal(labels[p], class_of(0, 2 + p / 4, 2 + p % 4));
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* Transforms that move pixels move the labels with them; what lies outside of the image is of no class. */
static void transforms(void **state) {
    skive_context *ctx = skv_test_context();
    skive_loader_options o = skive_loader_options_default();
    skive_loader *loader = NULL;
    skive_batch batch;
    size_t outside = 0;
    (void)state;
    two_folders("t");
    for (int i = 0; i < 6; i++) pair_named("t", (const char *[]){"a", "b", "c", "d", "e", "f"}[i], i, -1);
    skive_dataset *set = open_with(ctx, "t", of(SKIVE_SPLIT_TRAIN_FULL));
    o.batch = 4;
    o.seed = 3;
    o.transforms = "crop:2,flip,vertical-flip,cutout:2";
    skv_test_ok(ctx, skive_loader_create(ctx, set, &o, &loader));
    for (uint64_t epoch = 0; epoch < 5; epoch++) {
        skv_test_ok(ctx, skive_loader_start_epoch(loader, epoch));
        for (;;) {
            skv_test_ok(ctx, skive_loader_next(loader, &batch));
            if (batch.end) break;
            assert_int_equal(batch.y.rank, 3);
            assert_int_equal(batch.y.dtype, SKIVE_I64);
            assert_int_equal(batch.y.dims[0], batch.count);
            assert_int_equal(batch.y.dims[1], SIDE);
            assert_int_equal(batch.y.dims[2], SIDE);
            const float *x = batch.x.data;
            const int64_t *y = batch.y.data;
            for (size_t i = 0; i < batch.count * SIDE * SIDE; i++) {
                const int value = (int)lrintf(x[i] * 255 / 40);
                assert_true(value == y[i] || value == 0); /* cut out, or outside */
                outside += y[i] < 0;
            }
        }
    }
    assert_true(outside > 0);
    skive_loader_free(loader);
    loader = NULL;
    o.transforms = "randaugment";
    skv_test_fails(ctx, skive_loader_create(ctx, set, &o, &loader), SKIVE_ERR_ARGUMENT,
                   "transform 'randaugment' cannot move the masks");
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* The nearest pixel under a turn, by its formula in double precision. */
static void turned_labels(void **state) {
    enum { HIGH = 9, WIDE = 7 };
    const int64_t dims[3] = {1, HIGH, WIDE};
    int64_t in[HIGH * WIDE], out[HIGH * WIDE];
    skv_warp warp;
    (void)state;
    for (int i = 0; i < HIGH * WIDE; i++) in[i] = i;
    skv_warp_affine(dims, 0.4, 1, 0, 0, 0, 0, &warp);
    skv_warp_labels(&warp, dims, in, out);
    for (int y = 0; y < HIGH; y++) {
        for (int x = 0; x < WIDE; x++) {
            const double dx = x - 3.0, dy = y - 4.0;
            const double sx = 3 + cos(0.4) * dx + sin(0.4) * dy, sy = 4 - sin(0.4) * dx + cos(0.4) * dy;
            const int column = (int)floor(sx + 0.5), row = (int)floor(sy + 0.5);
            const bool inside = column >= 0 && column < WIDE && row >= 0 && row < HIGH;
            assert_int_equal(out[y * WIDE + x], inside ? row * WIDE + column : -1);
        }
    }
}

/* A model gives as many classes as its output has channels; names are matched. */
static skive_graph *model(skive_context *ctx, int64_t classes) {
    const int64_t dims[4] = {classes, 1, 1, 1};
    const skive_type t = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {-1, "H"}, {-1, "W"}}};
    skive_tensor w = skv_test_random(ctx, SKIVE_F32, 4, dims, 1, -1, 1);
    skive_graph *g = NULL;
    skive_value *inputs[2];
    skive_node *n = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "pixels", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &t, &inputs[0]));
    skv_test_ok(ctx, skive_graph_add_parameter(g, "w", &w, &inputs[1]));
    skv_test_ok(ctx, skive_graph_add_node(g, "Conv", "conv", inputs, 2, 1, &n));
    skv_test_ok(ctx, skive_graph_add_output(g, skive_node_output(n, 0)));
    skv_test_ok(ctx, skive_graph_infer(g));
    skive_tensor_free(ctx, &w);
    return g;
}

static void classes_of_a_model(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_options o = of(SKIVE_SPLIT_TRAIN_FULL);
    skive_dataset_info info;
    int64_t labels[SIDE * SIDE];
    (void)state;
    two_folders("m");
    pair_named("m", "a", 0, -1);
    skive_graph *g = model(ctx, 2);
    o.model = g;
    fails_with(ctx, "m", o, SKIVE_ERR_DATA,
               "its masks have classes up to 2 (first in sample 0, row 2, column 4), but the model has 2 classes");
    skive_graph_free(g);
    o.model = g = model(ctx, 5);
    skive_dataset *set = open_with(ctx, "m", o);
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.classes, 5);
    skive_dataset_free(set);
    skv_test_write_file(at("m/classes.txt"), "sky\nsea\nland\n", 13);
    skv_test_ok(ctx, skive_model_set_class_names(g, (const char *[]){"land", "a", "sea", "b", "sky"}, 5));
    set = open_with(ctx, "m", o);
    skv_test_ok(ctx, skive_dataset_read_labels(ctx, set, 0, labels));
    static const int numbers_of_model[3] = {4, 2, 0};
    for (int p = 0; p < SIDE * SIDE; p++)
        assert_int_equal(labels[p], numbers_of_model[class_of(0, p / SIDE, p % SIDE)]);
    skive_dataset_free(set);
    o.targets = SKIVE_TARGETS_NONE;
    set = open_with(ctx, "m", o);
    skive_dataset_get_info(set, &info);
    assert_false(info.labelled);
    assert_int_equal(info.n_targets, 0);
    skive_dataset_free(set);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Any allocation may fail, while a set is opened and read. */
static skive_status open_and_read(skive_context *ctx, void *user) {
    skive_dataset_options o = of(SKIVE_SPLIT_TRAIN_FULL);
    skive_dataset *set = NULL;
    int64_t labels[SIDE * SIDE];
    (void)user;
    o.skip_bad = true;
    skive_status status = skive_dataset_open(ctx, spec_of("f"), &o, &set);
    if (status == SKIVE_OK) status = skive_dataset_read_labels(ctx, set, 0, labels);
    skive_dataset_free(set);
    return status;
}

static void allocations_that_fail(void **state) {
    (void)state;
    two_folders("f");
    pair_named("f", "a", 0, 255);
    pair_named("f", "b", 1, -1);
    skv_test_write_file(at("f/classes.txt"), "sky\nsea\nland\n", 13);
    skv_test_write_file(at("f/images/c.png"), "no picture", 10);
    assert_true(skv_test_walk_allocations(open_and_read, NULL, 1) > 20);
    const unsigned char picture[4] = {0}, mask[12] = {0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 0, 0};
    assert_int_equal(unlink(at("f/classes.txt")), 0);
    for (int i = 0; i < 2; i++) {
        write_png(at(i ? "f/images/b.png" : "f/images/a.png"), 2, 2, PNG_FORMAT_GRAY, picture);
        write_png(at(i ? "f/masks/b.png" : "f/masks/a.png"), 2, 2, PNG_FORMAT_RGB, mask);
    }
    assert_true(skv_test_walk_allocations(open_and_read, NULL, 1) > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(stored_values, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(colours, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(parts_and_what_is_refused, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(sizes, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(transforms, make_dir, remove_dir),
        cmocka_unit_test(turned_labels),
        cmocka_unit_test_setup_teardown(classes_of_a_model, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(allocations_that_fail, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
