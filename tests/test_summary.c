/* The summary of a data set, its problems, and the contact sheet. The sets are made so that every number is known. */
#include "data_fixtures.h"

/* Two files of a set: x and y as .npy, train or test. */
static void write_pair(skive_context *ctx, const char *x_name, const char *y_name, const skive_tensor *x,
                       const int64_t *labels) {
    const skive_tensor y = {.dtype = SKIVE_I64, .rank = 1, .dims = {x->dims[0]}, .data = (void *)(uintptr_t)labels};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, at(x_name), x));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, at(y_name), &y));
}

static const skive_data_problem *problem(const skive_data_summary *s, const char *kind) {
    for (size_t i = 0; i < s->n_problems; i++) {
        if (strcmp(s->problems[i].kind, kind) == 0) return &s->problems[i];
    }
    return NULL;
}

static void has(const skive_data_summary *s, const char *kind, size_t count, const char *part) {
    const skive_data_problem *p = problem(s, kind);
    if (!p) fail_msg("no problem '%s'", kind);
    if (p->count != count || !strstr(p->text, part)) fail_msg("%s: %zu: %s", kind, p->count, p->text);
}

/* 24 training samples of three columns, the last one constant; class 4 is never used, class 3 not in the test. */
static void table(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    float train[24][3], test[6][3];
    int64_t train_labels[24], test_labels[6];
    char spec[4 * SKV_TEST_PATH];
    double sum = 0, squares = 0;
    for (int i = 0; i < 24; i++) {
        train[i][0] = (float)(i * i);
        train[i][1] = (float)(i % 5) - 2;
        train[i][2] = 7;
        train_labels[i] = i == 23 ? 5 : i % 4; /* 6 of classes 0 to 2, 5 of class 3, 1 of class 5 */
        sum += i * i;
        squares += (double)(i * i) * i * i;
    }
    for (int i = 0; i < 6; i++) {
        test[i][0] = (float)(1000 + i);
        test[i][1] = 0;
        test[i][2] = 7;
        test_labels[i] = i % 3;
    }
    memcpy(train[20], train[4], sizeof train[0]); /* twice in training, equal labels */
    memcpy(train[22], train[5], sizeof train[0]); /* 5 has label 1, 22 has 2 */
    memcpy(test[3], train[8], sizeof test[0]);    /* label 0 in both */
    sum += 16 + 25 - 400 - 484;
    squares += 16 * 16 + 25 * 25 - 400.0 * 400 - 484.0 * 484;
    const skive_tensor x = {.dtype = SKIVE_F32, .rank = 2, .dims = {24, 3}, .data = train};
    const skive_tensor z = {.dtype = SKIVE_F32, .rank = 2, .dims = {6, 3}, .data = test};
    write_pair(ctx, "x.npy", "y.npy", &x, train_labels);
    write_pair(ctx, "tx.npy", "ty.npy", &z, test_labels);
    (void)snprintf(spec, sizeof spec, "npy:%s,%s,%s,%s", at("x.npy"), at("y.npy"), at("tx.npy"), at("ty.npy"));
    const skive_dataset *sets[2] = {open_split(ctx, spec, SKIVE_SPLIT_TRAIN_FULL),
                                    open_split(ctx, spec, SKIVE_SPLIT_TEST)};
    skive_data_summary s;
    skive_dataset_info info;
    skive_dataset_get_info(sets[1], &info);
    if (info.classes != 6) { /* the test file alone shows only three */
        skive_dataset_free((skive_dataset *)(uintptr_t)sets[1]);
        skive_dataset_options o = skive_dataset_options_default();
        skive_dataset *again = NULL;
        o.split = SKIVE_SPLIT_TEST;
        o.classes = 6;
        skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &again));
        sets[1] = again;
    }
    ((float *)sets[1]->x.data)[5 * 3] = NAN; /* files with NaN are refused when they are opened; sets on disk are not */
    skv_test_ok(ctx, skive_data_summarize(ctx, sets, 2, &s));
    assert_int_equal(s.n_splits, 2);
    assert_int_equal(s.splits[0].count, 24);
    assert_int_equal(s.splits[1].not_finite, 1);
    assert_int_equal(s.splits[0].channels, 3);
    static const size_t counts[2][6] = {{6, 6, 6, 5, 0, 1}, {2, 2, 2, 0, 0, 0}};
    for (int k = 0; k < 2; k++) {
        for (int c = 0; c < 6; c++) assert_int_equal(s.splits[k].per_class[c], counts[k][c]);
    }
    assert_true(fabs(s.splits[0].mean[0] - sum / 24) < 1e-9);
    assert_true(fabs(s.splits[0].std[0] - sqrt(squares / 24 - sum * sum / 576)) < 1e-9);
    assert_true(s.splits[0].least[0] == 0 && s.splits[0].most[0] == 529);
    assert_true(s.splits[0].mean[2] == 7 && s.splits[0].std[2] == 0);
    assert_true(s.splits[1].most[0] == 1004); /* 1003 was replaced, 1005 left out */
    assert_true(isnan(s.splits[0].target_mean));
    has(&s, "duplicates", 1, "sample 3 of test is equal to sample 8 of train-full");
    has(&s, "repeats", 2, "in their split; the first: sample 2");
    has(&s, "contradictions", 1,
        "sample 22 of train-full is equal to sample 5 of train-full and has label 2 instead of 1");
    has(&s, "not-finite", 1, "of test contains NaN or infinity; the first: sample 5");
    has(&s, "empty-classes", 1, "1 of 6 classes has no samples in any split: 4");
    has(&s, "missing-classes", 2, "2 of 6 classes have no samples in test: 3, 5");
    has(&s, "constant-channels", 1, "1 of 3 channels or columns of train-full is constant: 2");
    assert_null(problem(&s, "imbalance"));
    assert_null(problem(&s, "damaged"));
    assert_int_equal(s.n_problems, 7);
    skive_data_summary_free(ctx, &s);
    skv_test_fails(ctx, skive_data_summarize(ctx, sets, 0, &s), SKIVE_ERR_ARGUMENT, "no split");
    assert_int_equal(s.n_splits, 0);
    for (int k = 0; k < 2; k++) skive_dataset_free((skive_dataset *)(uintptr_t)sets[k]);
    skv_test_context_end(ctx);
}

/* A folder with a truncated file and a class of twelve times the size of another. */
static void folders(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char spec[SKV_TEST_PATH + 16];
    unsigned char bytes[4096], pixels[8 * 6 * 3];
    (void)mkdir(at("set"), 0700);
    (void)mkdir(at("set/few"), 0700);
    (void)mkdir(at("set/many"), 0700);
    for (unsigned i = 0; i < 25; i++) {
        char name[64];
        for (size_t k = 0; k < sizeof pixels; k++) pixels[k] = (unsigned char)(k % 3 == 2 ? 40 : i * 7 + k);
        (void)snprintf(name, sizeof name, "set/%s/%02u.png", i < 2 ? "few" : "many", i);
        write_png(at(name), 8, 6, PNG_FORMAT_RGB, pixels);
    }
    const size_t n = read_file(at("set/many/10.png"), bytes, sizeof bytes);
    skv_test_write_file(at("set/many/10.png"), bytes, n - 20);
    (void)snprintf(spec, sizeof spec, "folder:%s", at("set"));
    skive_dataset *ds = open_split(ctx, spec, SKIVE_SPLIT_TRAIN_FULL);
    const skive_dataset *sets[1] = {ds};
    skive_data_summary s;
    skv_test_ok(ctx, skive_data_summarize(ctx, sets, 1, &s));
    assert_int_equal(s.splits[0].damaged, 1);
    assert_int_equal(s.splits[0].channels, 3);
    assert_true(fabs(s.splits[0].mean[2] - 40 / 255.0) < 1e-7);
    has(&s, "damaged", 1, "set/many/10.png");
    has(&s, "imbalance", 2, "23 samples of the largest: 'many', 2 of the smallest: 'few'");
    has(&s, "constant-channels", 1, "1 of 3 channels or columns of train-full is constant: 2");
    assert_int_equal(s.n_problems, 3);
    skive_data_summary_free(ctx, &s);
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

/* ---- the sheet ---- */

typedef struct sheet {
    png_image image;
    unsigned char *pixels; /* grey */
} sheet;

static void read_sheet(const char *path, sheet *out) {
    *out = (sheet){.image = {.version = PNG_IMAGE_VERSION}};
    assert_true(png_image_begin_read_from_file(&out->image, path));
    out->image.format = PNG_FORMAT_GRAY;
    out->pixels = malloc(PNG_IMAGE_SIZE(out->image));
    assert_non_null(out->pixels);
    assert_true(png_image_finish_read(&out->image, NULL, out->pixels, 0, NULL));
}

/* Images with masks of 8 x 8: the upper half is of class 0, the lower of class 1, one pixel of the first image of class
 * 2. On the sheet, colours lie over the pixels of classes above 0. */
static void masks(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    enum { SIDE = 8, N = 3, ZOOM = 11, GAP = 6 };
    char spec[SKV_TEST_PATH + 16];
    skive_data_summary s;
    skive_sheet_options o = skive_sheet_options_default();
    (void)mkdir(at("seg"), 0700);
    (void)mkdir(at("seg/images"), 0700);
    (void)mkdir(at("seg/masks"), 0700);
    for (int i = 0; i < N; i++) {
        unsigned char picture[SIDE * SIDE], mask[SIDE * SIDE];
        char name[64];
        for (int k = 0; k < SIDE * SIDE; k++) {
            mask[k] = k >= SIDE * SIDE / 2;
            picture[k] = (unsigned char)(10 * i + k);
        }
        if (i == 0) mask[0] = 2;
        (void)snprintf(name, sizeof name, "seg/images/%d.png", i);
        write_png(at(name), SIDE, SIDE, PNG_FORMAT_GRAY, picture);
        (void)snprintf(name, sizeof name, "seg/masks/%d.png", i);
        write_png(at(name), SIDE, SIDE, PNG_FORMAT_GRAY, mask);
    }
    (void)snprintf(spec, sizeof spec, "segment:%s", at("seg"));
    skive_dataset *ds = open_split(ctx, spec, SKIVE_SPLIT_TRAIN_FULL);
    const skive_dataset *sets[1] = {ds};
    skv_test_ok(ctx, skive_data_summarize(ctx, sets, 1, &s));
    assert_int_equal(s.splits[0].count, N);
    assert_int_equal(s.splits[0].per_class[0], N * SIDE * SIDE / 2 - 1);
    assert_int_equal(s.splits[0].per_class[1], N * SIDE * SIDE / 2);
    assert_int_equal(s.splits[0].per_class[2], 1);
    assert_int_equal(s.n_problems, 0);
    skive_data_summary_free(ctx, &s);

    o.in_order = true;
    skv_test_ok(ctx, skive_data_sheet(ctx, ds, &o, at("masks.png")));
    sheet p;
    read_sheet(at("masks.png"), &p);
    for (int k = 1; k < SIDE * SIDE; k++) {
        const int x = GAP + k % SIDE * ZOOM + ZOOM / 2, y = GAP + k / SIDE * ZOOM + ZOOM / 2;
        const int got = p.pixels[(unsigned)y * p.image.width + (unsigned)x];
        assert_true(k < SIDE * SIDE / 2 ? got == k : got > k + 20); /* grey, or half of a bright red */
    }
    free(p.pixels);
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

/* Images of 4 x 5 pixels become 17 times as large (84 at least); between them are gaps of 6 pixels, below them 12. */
static void sheets(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_dataset *ds = open_split(ctx, write_idx(20), SKIVE_SPLIT_TEST);
    skive_sheet_options o = skive_sheet_options_default();
    enum { ZOOM = 17, GAP = 6, LINE = 12 };
    sheet s;
    o.in_order = true;
    o.samples = 7;
    o.columns = 3;
    skv_test_ok(ctx, skive_data_sheet(ctx, ds, &o, at("sheet.png")));
    read_sheet(at("sheet.png"), &s);
    assert_int_equal(s.image.width, GAP + 3 * (W * ZOOM + GAP));
    assert_int_equal(s.image.height, GAP + 3 * (H * ZOOM + LINE + GAP));
    for (size_t i = 0; i < 7; i++) {
        for (size_t k = 0; k < PIXELS; k++) {
            const size_t x = GAP + i % 3 * (W * ZOOM + GAP) + k % W * ZOOM + ZOOM / 2;
            const size_t y = GAP + i / 3 * (H * ZOOM + LINE + GAP) + k / W * ZOOM + ZOOM / 2;
            assert_int_equal(s.pixels[y * s.image.width + x], pixel(i, k));
        }
    }
    size_t ink = 0; /* the name of the first: "0" */
    for (size_t y = GAP + H * ZOOM + 2; y < GAP + H * ZOOM + LINE; y++) {
        for (size_t x = GAP; x < GAP + W * ZOOM; x++) ink += s.pixels[y * s.image.width + x] == 0;
    }
    assert_int_equal(ink, 19); /* the pixels of the character */
    free(s.pixels);

    o.transforms = "flip:1"; /* as training would see it */
    skv_test_ok(ctx, skive_data_sheet(ctx, ds, &o, at("sheet.png")));
    read_sheet(at("sheet.png"), &s);
    for (size_t k = 0; k < PIXELS; k++) {
        const size_t x = GAP + (W - 1 - k % W) * ZOOM + ZOOM / 2, y = GAP + k / W * ZOOM + ZOOM / 2;
        assert_int_equal(s.pixels[y * s.image.width + x], pixel(0, k));
    }
    free(s.pixels);
    o.transforms = "nope";
    skv_test_fails(ctx, skive_data_sheet(ctx, ds, &o, at("other.png")), SKIVE_ERR_ARGUMENT, "'nope'");
    o.transforms = NULL;
    o.columns = 0;
    skv_test_fails(ctx, skive_data_sheet(ctx, ds, &o, at("other.png")), SKIVE_ERR_ARGUMENT, "columns");
    assert_false(skv_path_exists(at("other.png")));
    o.columns = 8;
    skv_test_fails(ctx, skive_data_sheet(ctx, ds, &o, at("none/other.png")), SKIVE_ERR_IO, "other.png");
    skive_dataset_free(ds);

    float rows[12] = {0};
    char spec[SKV_TEST_PATH + 8];
    const skive_tensor x = {.dtype = SKIVE_F32, .rank = 2, .dims = {4, 3}, .data = rows};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, at("rows.npy"), &x));
    (void)snprintf(spec, sizeof spec, "npy:%s", at("rows.npy"));
    ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skv_test_fails(ctx, skive_data_sheet(ctx, ds, NULL, at("rows.png")), SKIVE_ERR_ARGUMENT, "cannot be drawn");
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

/* ---- memory ---- */

static skive_status use_all(skive_context *ctx, void *user) {
    skive_dataset *ds = NULL;
    skive_data_summary s = {0};
    skive_dataset_options o = skive_dataset_options_default();
    skive_sheet_options how = skive_sheet_options_default();
    o.split = SKIVE_SPLIT_TEST;
    how.samples = 5;
    how.transforms = "blur,flip";
    skive_status status = skive_dataset_open(ctx, user, &o, &ds);
    const skive_dataset *sets[1] = {ds};
    if (status == SKIVE_OK) status = skive_data_summarize(ctx, sets, 1, &s);
    if (status == SKIVE_OK) status = skive_data_sheet(ctx, ds, &how, at("walk.png"));
    skive_data_summary_free(ctx, &s);
    skive_dataset_free(ds);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    char spec[2 * SKV_TEST_PATH + 8];
    (void)snprintf(spec, sizeof spec, "%s", write_idx(9));
    assert_true(skv_test_walk_allocations(use_all, spec, 1) > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
        T(table), T(folders), T(masks), T(sheets), T(every_allocation_may_fail),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
