/* Folders of images: mixed sizes and colours, parts, skipped files, sizes and classes for a model. */
#include "data_fixtures.h"

#include <unistd.h>

#include <skive/input.h>
#include <skive/output.h>
#include <skive/zoo.h>

/* A picture of one colour, grey or RGB. */
static void picture(const char *name, unsigned w, unsigned h, bool colour, unsigned char value) {
    static unsigned char pixels[64 * 64 * 3];
    memset(pixels, value, sizeof pixels);
    write_png(at(name), w, h, colour ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY, pixels);
}

static void folder(const char *name) { assert_int_equal(mkdir(at(name), 0777), 0); }

static bool noted(skive_context *ctx, const char *part) {
    for (size_t i = 0; i < skive_context_note_count(ctx); i++) {
        if (strstr(skive_context_note(ctx, i), part)) return true;
    }
    return false;
}

static void must_note(skive_context *ctx, const char *part) {
    if (noted(ctx, part)) return;
    for (size_t i = 0; i < skive_context_note_count(ctx); i++) print_error("note: %s\n", skive_context_note(ctx, i));
    fail_msg("no note says '%s'", part);
}

static const char *spec_of(const char *name) {
    static char spec[SKV_TEST_PATH + 8];
    (void)snprintf(spec, sizeof spec, "folder:%s", at(name));
    return spec;
}

static skive_dataset *open_with(skive_context *ctx, const char *name, skive_dataset_options o) {
    skive_dataset *set = NULL;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec_of(name), &o, &set));
    return set;
}

static void fails_with(skive_context *ctx, const char *name, skive_dataset_options o, skive_status status,
                       const char *part) {
    skive_dataset *set = NULL;
    skv_test_fails(ctx, skive_dataset_open(ctx, spec_of(name), &o, &set), status, part);
    assert_null(set);
}

static skive_dataset_options split_options(skive_split split) {
    skive_dataset_options o = skive_dataset_options_default();
    o.split = split;
    return o;
}

/* A model of pictures [channels, size, size] with as many classes. */
static skive_graph *model(skive_context *ctx, int64_t channels, int64_t size, int64_t classes) {
    skive_zoo_options o = skive_zoo_options_default();
    skive_graph *g = NULL;
    o.dims[0] = channels;
    o.dims[1] = o.dims[2] = size;
    o.classes = classes;
    skv_test_ok(ctx, skive_zoo_build(ctx, "mlp:4", &o, &g));
    return g;
}

/* ---- colour and size ---- */

static void colour(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_options o = split_options(SKIVE_SPLIT_TRAIN_FULL);
    skive_dataset_info info;
    float x[3 * 16];
    (void)state;
    folder("mixed");
    folder("mixed/a");
    folder("mixed/b");
    picture("mixed/a/0.png", 4, 4, false, 51);
    picture("mixed/a/1.png", 4, 4, true, 102);
    picture("mixed/b/0.PNG", 4, 4, true, 153);
    skive_dataset *set = open_with(ctx, "mixed", o);
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.dims[0], 3); /* though the first is grey */
    assert_int_equal(info.count, 3);
    must_note(ctx, "of 3 images, 1 (the first is a/0.png) is grey and read as colour");
    skv_test_ok(ctx, skive_dataset_read(ctx, set, 0, x, NULL));
    for (int i = 0; i < 48; i++) assert_float_equal(x[i], 0.2, 1e-6);
    skive_dataset_free(set);
    o.channels = 1;
    set = open_with(ctx, "mixed", o);
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.dims[0], 1);
    must_note(ctx, "2 (the first is a/1.png) are in colour and read as grey");
    skive_dataset_free(set);
    o.channels = 2;
    fails_with(ctx, "mixed", o, SKIVE_ERR_ARGUMENT, "give 1, 3 or 0");
    skv_test_context_end(ctx);
}

static void sizes(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_options o = split_options(SKIVE_SPLIT_TRAIN_FULL);
    skive_dataset_info info;
    static unsigned char wide[6 * 12];
    float x[16];
    (void)state;
    folder("sizes");
    folder("sizes/a");
    /* 12 wide, 6 high: the left, the middle and the right third differ. */
    for (int i = 0; i < 72; i++) wide[i] = (unsigned char)(i % 12 < 4 ? 0 : i % 12 < 8 ? 255 : 51);
    write_png(at("sizes/a/0.png"), 12, 6, PNG_FORMAT_GRAY, wide);
    picture("sizes/a/1.png", 6, 12, false, 102);
    fails_with(ctx, "sizes", o, SKIVE_ERR_DATA,
               "a/1.png: has 12x6 pixels (height x width), but the first image has 6x12; use --resize");
    o.resize_shorter = 4;
    fails_with(ctx, "sizes", o, SKIVE_ERR_DATA, "--resize HxW");
    o.crop_h = o.crop_w = 4; /* 8x4 scaled, of which columns 2 to 5 are kept */
    skive_dataset *set = open_with(ctx, "sizes", o);
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.dims[1], 4);
    assert_int_equal(info.dims[2], 4);
    skv_test_ok(ctx, skive_dataset_read(ctx, set, 0, x, NULL));
    for (int y = 0; y < 4; y++) {
        assert_true(x[4 * y] < 0.5f && x[4 * y + 1] > 0.5f && x[4 * y + 2] > 0.5f);
        assert_true(x[4 * y + 3] < x[4 * y + 2]);
    }
    skv_test_ok(ctx, skive_dataset_read(ctx, set, 1, x, NULL));
    for (int i = 0; i < 16; i++) assert_float_equal(x[i], 0.4, 1e-6);
    skive_dataset_free(set);
    o.resize_shorter = 0; /* too small to cut 8 out */
    o.crop_h = o.crop_w = 8;
    set = open_with(ctx, "sizes", o);
    skv_test_fails(ctx, skive_dataset_read(ctx, set, 0, (float[64]){0}, NULL), SKIVE_ERR_DATA,
                   "0.png: has 6x12 pixels");
    skive_dataset_free(set);
    o.crop_h = o.crop_w = 0;
    o.resize_h = 3;
    o.resize_w = 5;
    set = open_with(ctx, "sizes", o);
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.dims[1], 3);
    assert_int_equal(info.dims[2], 5);
    skive_dataset_free(set);
    o.resize_shorter = 4;
    fails_with(ctx, "sizes", o, SKIVE_ERR_ARGUMENT, "shorter side");
    o.resize_shorter = 0;
    o.crop_h = o.crop_w = 9;
    fails_with(ctx, "sizes", o, SKIVE_ERR_ARGUMENT, "larger than");
    skv_test_context_end(ctx);
}

static skive_graph *picture_model(skive_context *ctx, int64_t channels, int64_t size, int64_t classes) {
    skive_zoo_options o = skive_zoo_options_default();
    skive_graph *g = NULL;
    o.dims[0] = channels;
    o.dims[1] = o.dims[2] = size;
    o.classes = classes;
    skv_test_ok(ctx, skive_zoo_build(ctx, "vgg-small:0.1", &o, &g));
    return g;
}

static void model_decides(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_options o = split_options(SKIVE_SPLIT_TRAIN_FULL);
    skive_dataset_info info;
    skive_graph *g = picture_model(ctx, 1, 16, 2);
    (void)state;
    o.model = g;
    skive_dataset *set = open_with(ctx, "mixed", o);
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.dims[0], 1);
    assert_int_equal(info.dims[1], 16);
    assert_int_equal(info.dims[2], 16);
    must_note(ctx, "2 (the first is a/1.png) are in colour and read as grey, because the model's input is");
    must_note(ctx, "images are resized to 16x16 (height x width), the size of the model's input");
    skive_dataset_free(set);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- what is left out ---- */

static void left_out(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_info info;
    (void)state;
    folder("messy");
    folder("messy/a");
    folder("messy/a/inner");
    folder("messy/a/inner/most");
    folder("messy/a/__MACOSX");
    folder("messy/b");
    folder("messy/.git");
    picture("messy/a/0.JPG", 4, 4, false, 9); /* a PNG, whatever it is called */
    picture("messy/a/inner/1.png", 4, 4, false, 9);
    picture("messy/a/inner/most/1.png", 4, 4, false, 9);
    picture("messy/beside.png", 4, 4, false, 9);
    skv_test_write_file(at("messy/a/x.webp"), "x", 1);
    skv_test_write_file(at("messy/a/y.WEBP"), "x", 1);
    skv_test_write_file(at("messy/a/plain"), "x", 1);
    skv_test_write_file(at("messy/a/.DS_Store"), "x", 1);
    skv_test_write_file(at("messy/a/Thumbs.db"), "x", 1);
    assert_int_equal(symlink("nowhere.png", at("messy/a/gone.png")), 0);
    assert_int_equal(symlink("0.JPG", at("messy/a/link.png")), 0);
    skive_dataset *set = open_with(ctx, "messy", split_options(SKIVE_SPLIT_TRAIN_FULL));
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.count, 2); /* 0.JPG and the link to it */
    assert_int_equal(info.classes, 2);
    must_note(ctx, "skipped: 3 files of other types (");
    must_note(ctx, "2 .webp");
    must_note(ctx, "1 without extension");
    must_note(ctx, "the first is a/plain");
    must_note(ctx, "2 files in 1 inner folder (the first is a/inner)");
    must_note(ctx, "1 that is not a file (the first is a/gone.png)");
    must_note(ctx, "1 image beside the class folders (the first is beside.png)");
    must_note(ctx, "b: this class has no images");
    skive_dataset_free(set);
    skv_test_write_file(at("messy/b/bad.png"), "RIFF....WEBPVP8 ", 16);
    fails_with(ctx, "messy", split_options(SKIVE_SPLIT_TRAIN_FULL), SKIVE_ERR_DATA,
               "b/bad.png: not a PNG, JPEG or BMP image; it is a WebP image");
    folder("nested");
    folder("nested/x");
    folder("nested/x/a");
    picture("nested/x/a/0.png", 4, 4, false, 9);
    fails_with(ctx, "nested", split_options(SKIVE_SPLIT_TRAIN_FULL), SKIVE_ERR_DATA,
               "1 file is one level deeper, such as in x/a");
    skv_test_context_end(ctx);
}

static void flat(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_info info;
    (void)state;
    folder("flat");
    for (unsigned i = 0; i < 5; i++)
        picture((const char *[]){"flat/0.png", "flat/1.png", "flat/2.png", "flat/3.png", "flat/4.png"}[i], 4, 4, true,
                (unsigned char)i);
    skive_dataset *set = open_with(ctx, "flat", split_options(SKIVE_SPLIT_TRAIN_FULL));
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.count, 5);
    assert_false(info.labelled);
    assert_int_equal(info.target_size, 0);
    must_note(ctx, "its 5 images have no labels");
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- parts ---- */

static size_t count_of(skive_context *ctx, const char *name, skive_split split) {
    skive_dataset_info info;
    skive_dataset *set = open_with(ctx, name, split_options(split));
    skive_dataset_get_info(set, &info);
    skive_dataset_free(set);
    return info.count;
}

static void parts(void **state) {
    static const char *const names[] = {"val", "valid", "validation"};
    skive_context *ctx = skv_test_context();
    char path[64], root[32];
    (void)state;
    for (int k = 0; k < 3; k++) {
        (void)snprintf(root, sizeof root, "parts%d", k);
        folder(root);
        for (int part = 0; part < 2; part++) {
            (void)snprintf(path, sizeof path, "%s/%s", root, part ? names[k] : "train");
            folder(path);
            (void)snprintf(path, sizeof path, "%s/%s/a", root, part ? names[k] : "train");
            folder(path);
            for (int i = 0; i < (part ? 2 : 7); i++) {
                (void)snprintf(path, sizeof path, "%s/%s/a/%d.png", root, part ? names[k] : "train", i);
                picture(path, 4, 4, false, 9);
            }
        }
        assert_int_equal(count_of(ctx, root, SKIVE_SPLIT_TRAIN), 7);
        assert_int_equal(count_of(ctx, root, SKIVE_SPLIT_VALIDATION), 2);
        assert_int_equal(count_of(ctx, root, SKIVE_SPLIT_TRAIN_FULL), 7);
        must_note(ctx, "contains the validation samples");
        fails_with(ctx, root, split_options(SKIVE_SPLIT_TEST), SKIVE_ERR_DATA, "has train/ but no test/");
        (void)snprintf(path, sizeof path, "--split validation uses %s/", names[k]);
        fails_with(ctx, root, split_options(SKIVE_SPLIT_TEST), SKIVE_ERR_DATA, path);
    }
    folder("parts0/extra");
    (void)count_of(ctx, "parts0", SKIVE_SPLIT_TRAIN);
    must_note(ctx, "skipped, beside train/ and test/: extra/");
    folder("parts1/valid/z");
    fails_with(ctx, "parts1", split_options(SKIVE_SPLIT_VALIDATION), SKIVE_ERR_DATA,
               "'z' is not among the training classes");
    folder("alone"); /* only a validation part */
    folder("alone/val");
    folder("alone/val/a");
    picture("alone/val/a/0.png", 4, 4, false, 9);
    assert_int_equal(count_of(ctx, "alone", SKIVE_SPLIT_VALIDATION), 1);
    fails_with(ctx, "alone", split_options(SKIVE_SPLIT_TRAIN), SKIVE_ERR_DATA, "has no folder train/");
    folder("cased");
    folder("cased/Training");
    folder("cased/Testing");
    folder("cased/Training/a");
    folder("cased/Testing/a");
    picture("cased/Training/a/0.png", 4, 4, false, 9);
    picture("cased/Testing/a/0.png", 4, 4, false, 9);
    picture("cased/Testing/a/1.png", 4, 4, false, 9);
    assert_int_equal(count_of(ctx, "cased", SKIVE_SPLIT_TRAIN_FULL), 1);
    assert_int_equal(count_of(ctx, "cased", SKIVE_SPLIT_TEST), 2);
    folder("trains"); /* a class called train */
    folder("trains/bus");
    folder("trains/train");
    picture("trains/bus/0.png", 4, 4, false, 9);
    picture("trains/train/0.png", 4, 4, false, 9);
    assert_int_equal(count_of(ctx, "trains", SKIVE_SPLIT_TRAIN_FULL), 2);
    skive_dataset_options o = split_options(SKIVE_SPLIT_TRAIN);
    fails_with(ctx, "alone", o, SKIVE_ERR_DATA, "train/");
    folder("one");
    folder("one/a");
    picture("one/a/0.png", 4, 4, false, 9);
    fails_with(ctx, "one", o, SKIVE_ERR_DATA, "--no-validation");
    skv_test_context_end(ctx);
}

/* ---- classes ---- */

static void labels_of(skive_context *ctx, const char *name, const skive_graph *g, const char *expected) {
    skive_dataset_options o = split_options(SKIVE_SPLIT_TRAIN_FULL);
    skive_dataset_info info;
    o.model = g;
    skive_dataset *set = open_with(ctx, name, o);
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.count, strlen(expected));
    for (size_t i = 0; i < info.count; i++) {
        int64_t label = -1;
        skv_test_ok(ctx, skive_dataset_read(ctx, set, i, NULL, &label));
        assert_int_equal(label, expected[i] - '0');
    }
    skive_dataset_free(set);
}

static void by_name(void **state) {
    static const char *const names[] = {"dog", "ant", "bee"};
    skive_context *ctx = skv_test_context();
    skive_dataset_options o = split_options(SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *g = model(ctx, 1, 4, 3);
    (void)state;
    folder("pets");
    folder("pets/ant");
    folder("pets/dog");
    picture("pets/ant/0.png", 4, 4, false, 9);
    picture("pets/dog/0.png", 4, 4, false, 9);
    o.model = g;
    fails_with(ctx, "pets", o, SKIVE_ERR_DATA, "has 2 classes (ant, dog), but the model has 3");
    o.classes_by_order = true;
    skive_dataset_free(open_with(ctx, "pets", o));
    o.classes_by_order = false;
    skv_test_ok(ctx, skive_model_set_class_names(g, names, 3));
    labels_of(ctx, "pets", g, "10");
    must_note(
        ctx,
        "its classes (ant, dog) are matched by name with the 3 classes of the model; the other classes do not occur");
    folder("pets/wolf");
    picture("pets/wolf/0.png", 4, 4, false, 9);
    fails_with(ctx, "pets", o, SKIVE_ERR_DATA,
               "the model has no class 'wolf'; the data set has ant, dog, wolf; the model has dog, ant, bee");
    o.targets = SKIVE_TARGETS_NONE; /* calibration needs no classes */
    skive_dataset_free(open_with(ctx, "pets", o));
    o.targets = SKIVE_TARGETS_AUTO;
    /* Names by another program, none of them in common: by order, and said. */
    skv_test_ok(ctx, skive_model_set_class_names(g, NULL, 0));
    skv_test_ok(ctx, skive_graph_set_meta(g, "names", "{0: 'Hund', 1: \"Ameise\", 2: 'Wolf\\'s'}"));
    labels_of(ctx, "pets", g, "012");
    must_note(ctx, "numbered by their order");
    skv_test_ok(ctx, skive_graph_set_meta(g, "names", "['wolf', 'dog', 'ant']"));
    labels_of(ctx, "pets", g, "210");
    skv_test_ok(ctx, skive_graph_set_meta(g, "names", "['ant', 'dog', 'ant']"));
    fails_with(ctx, "pets", o, SKIVE_ERR_DATA, "several classes called 'ant'");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void name_forms(void **state) {
    static const char *const odd[] = {"a\nb", "back\\slash", "\\n", ",;"};
    static const struct {
        const char *key, *text;
        bool good;
    } cases[] = {{"names", "{0: 'x', 1: 'y z', 2: 'w'}", true},
                 {"names", "{\"0\": \"x\", \"1\": \"y z\", \"2\": \"w\"}", true},
                 {"classes", "[\"x\", \"y z\", \"w\"]", true},
                 {"labels", "x\ny z\nw\n", true},
                 {"class_names", "x, y z,w", true},
                 {"id2label", "('x', 'y z', 'w',)", true},
                 {"names", "{0: 'x', 2: 'y z', 1: 'w'}", false},
                 {"names", "['x', 'y z'", false},
                 {"classes", "3", false},
                 {"names", "{0: 'x', 1: 'y'}", false},
                 {"labels", "x,,w", false}};
    skive_context *ctx = skv_test_context();
    char **names;
    int64_t n;
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        skive_graph *g = model(ctx, 1, 4, 3);
        skv_test_ok(ctx, skive_graph_set_meta(g, cases[k].key, cases[k].text));
        skv_test_ok(ctx, skive_model_class_names(ctx, g, &names, &n));
        assert_int_equal(n, cases[k].good ? 3 : 0);
        if (n) {
            assert_string_equal(names[0], "x");
            assert_string_equal(names[1], "y z");
            assert_string_equal(names[2], "w");
        }
        skive_class_names_free(ctx, names, n);
        skive_graph_free(g);
    }
    skive_graph *g = model(ctx, 1, 4, 4);
    skv_test_ok(ctx, skive_model_set_class_names(g, odd, 4));
    skv_test_ok(ctx, skive_model_class_names(ctx, g, &names, &n));
    assert_int_equal(n, 4);
    for (int i = 0; i < 4; i++) assert_string_equal(names[i], odd[i]);
    skive_class_names_free(ctx, names, n);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- memory ---- */

static skive_status use_it(skive_context *ctx, void *user) {
    static const char *const names[] = {"dog", "ant", "wolf"};
    skive_dataset_options o = split_options(SKIVE_SPLIT_TRAIN_FULL);
    skive_zoo_options z = skive_zoo_options_default();
    skive_dataset *set = NULL, *mess = NULL;
    skive_graph *g = NULL;
    float x[16];
    skive_status status;
    (void)user;
    z.dims[0] = 1;
    z.dims[1] = z.dims[2] = 4;
    z.classes = 3;
    SKV_GO(status, done, skive_zoo_build(ctx, "mlp:4", &z, &g));
    SKV_GO(status, done, skive_model_set_class_names(g, names, 3));
    o.model = g;
    o.resize_shorter = 5;
    o.crop_h = o.crop_w = 4;
    SKV_GO(status, done, skive_dataset_open(ctx, spec_of("pets"), &o, &set));
    SKV_GO(status, done, skive_dataset_read(ctx, set, 1, x, NULL));
    o.model = NULL;
    SKV_GO(status, done, skive_dataset_open(ctx, spec_of("parts0"), &o, &mess));
done:
    skive_dataset_free(set);
    skive_dataset_free(mess);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(use_it, NULL, 1) > 40);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colour),   cmocka_unit_test(sizes),      cmocka_unit_test(model_decides),
        cmocka_unit_test(left_out), cmocka_unit_test(flat),       cmocka_unit_test(parts),
        cmocka_unit_test(by_name),  cmocka_unit_test(name_forms), cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
