/* Data sets: their files, splits and normalisation, and the messages about damaged files. */
#include "data_fixtures.h"

/* ---- IDX ---- */

static void check_idx(skive_context *ctx, const char *spec, size_t n) {
    skive_dataset *ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skive_dataset_info info;
    skive_dataset_get_info(ds, &info);
    assert_string_equal(info.kind, "idx");
    assert_int_equal(info.count, n);
    assert_int_equal(info.rank, 3);
    assert_int_equal(info.dims[0], 1);
    assert_int_equal(info.dims[1], H);
    assert_int_equal(info.dims[2], W);
    assert_int_equal(info.sample_size, PIXELS);
    assert_true(info.labelled);
    assert_int_equal(info.classes, 10);
    assert_false(info.separate_test);
    for (size_t i = 0; i < n; i++) {
        float x[PIXELS];
        int64_t label;
        skv_test_ok(ctx, skive_dataset_read(ctx, ds, i, x, &label));
        assert_int_equal(label, i % 10);
        assert_int_equal(skive_dataset_origin(ds, i), i);
        for (size_t k = 0; k < PIXELS; k++) assert_true(fabsf(x[k] - (float)pixel(i, k) / 255.0f) < 1e-6f);
    }
    skv_test_fails(ctx, skive_dataset_read(ctx, ds, n, NULL, NULL), SKIVE_ERR_ARGUMENT, "there is no sample");
    skive_dataset_free(ds);
}

static void idx_plain_and_gzip(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char spec[4 * SKV_TEST_PATH];
    check_idx(ctx, write_idx(40), 40);
    size_t n = idx_images(image_file, 40), labels = idx_labels(label_file, 40);
    write_gz(at("i.gz"), image_file, n);
    write_gz(at("l.gz"), label_file, labels);
    (void)snprintf(spec, sizeof spec, "idx:%s,%s", at("i.gz"), at("l.gz"));
    check_idx(ctx, spec, 40);

    /* gzip members joined end to end are one file */
    unsigned char joined[16 + 40 * PIXELS + 4096];
    write_gz(at("a.gz"), image_file, 100);
    write_gz(at("b.gz"), image_file + 100, n - 100);
    size_t length = read_file(at("a.gz"), joined, sizeof joined);
    length += read_file(at("b.gz"), joined + length, sizeof joined - length);
    skv_test_write_file(at("i.gz"), joined, length);
    check_idx(ctx, spec, 40);
    skv_test_context_end(ctx);
}

static void idx_damage(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    unsigned char copy[sizeof image_file];
    char spec[2 * SKV_TEST_PATH + 8];
    (void)snprintf(spec, sizeof spec, "%s", write_idx(20));
    size_t n = idx_images(image_file, 20), labels = idx_labels(label_file, 20);
    const char *images_path = at("images.idx"), *labels_path = at("labels.idx");

    for (size_t cut = 0; cut < n; cut += cut < 20 ? 1 : 13) { /* truncated anywhere */
        skv_test_write_file(images_path, image_file, cut);
        open_fails(ctx, spec, SKIVE_ERR_DATA, "images.idx");
        assert_non_null(strstr(skive_context_subject(ctx), "images.idx"));
    }
    memcpy(copy, image_file, n);
    copy[n] = 0;
    skv_test_write_file(images_path, copy, n + 1);
    open_fails(ctx, spec, SKIVE_ERR_DATA, "longer than the counts in its header");
    copy[0] = 'P';
    skv_test_write_file(images_path, copy, n);
    open_fails(ctx, spec, SKIVE_ERR_DATA, "magic number");
    memcpy(copy, image_file, n);
    copy[2] = 0x0D;
    skv_test_write_file(images_path, copy, n);
    open_fails(ctx, spec, SKIVE_ERR_DATA, "float32");
    copy[2] = 8;
    memset(copy + 4, 0xff, 12); /* sizes whose product overflows */
    skv_test_write_file(images_path, copy, n);
    open_fails(ctx, spec, SKIVE_ERR_DATA, "more than a file of this length");
    memcpy(copy, image_file, n);
    memset(copy + 8, 0, 4);
    skv_test_write_file(images_path, copy, n);
    open_fails(ctx, spec, SKIVE_ERR_DATA, "is 0");
    skv_test_write_file(images_path, label_file, labels);
    open_fails(ctx, spec, SKIVE_ERR_DATA, "1 dimensions does not contain images");

    skv_test_write_file(images_path, image_file, n);
    skv_test_write_file(labels_path, image_file, n);
    open_fails(ctx, spec, SKIVE_ERR_DATA, "swapped");
    skv_test_write_file(labels_path, label_file, labels = idx_labels(label_file, 19));
    open_fails(ctx, spec, SKIVE_ERR_DATA, "has 19 labels but");
    assert_int_equal(remove(labels_path), 0);
    open_fails(ctx, spec, SKIVE_ERR_IO, "labels.idx");

    /* a label out of the range asked for */
    skv_test_write_file(labels_path, label_file, labels = idx_labels(label_file, 20));
    skive_dataset *ds = NULL;
    skive_dataset_options o = skive_dataset_options_default();
    o.classes = 9;
    skv_test_fails(ctx, skive_dataset_open(ctx, spec, &o, &ds), SKIVE_ERR_DATA, "label 9 of sample 9 is out of range");
    skv_test_context_end(ctx);
}

static void gzip_damage(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    static unsigned char packed[sizeof image_file + 4096];
    char spec[2 * SKV_TEST_PATH + 8];
    (void)write_idx(30);
    const char *path = at("images.gz");
    write_gz(path, image_file, idx_images(image_file, 30));
    size_t n = read_file(path, packed, sizeof packed);
    (void)snprintf(spec, sizeof spec, "idx:%s,%s", path, at("labels.idx"));
    skive_dataset_free(open_split(ctx, spec, SKIVE_SPLIT_TEST));
    for (size_t cut = 2; cut < n; cut++) {
        skv_test_write_file(path, packed, cut);
        open_fails(ctx, spec, SKIVE_ERR_DATA, "images.gz");
    }
    int refused = 0, passed = 0;
    skive_dataset_options o = skive_dataset_options_default();
    o.split = SKIVE_SPLIT_TEST;
    for (size_t i = 10; i < n; i += 3) { /* past the header, whose time stamp nothing protects */
        packed[i] ^= 0x10;
        skv_test_write_file(path, packed, n);
        packed[i] ^= 0x10;
        skive_dataset *ds = NULL;
        skive_status status = skive_dataset_open(ctx, spec, &o, &ds);
        if (status != SKIVE_OK) {
            skv_test_fails(ctx, status, SKIVE_ERR_DATA, "images.gz");
            refused++;
        } else { /* a bit of padding or of a table not used: the checksum says the data is right, so it must be */
            float x[PIXELS];
            for (size_t k = 0; k < 30; k++) {
                skv_test_ok(ctx, skive_dataset_read(ctx, ds, k, x, NULL));
                for (size_t p = 0; p < PIXELS; p++) assert_int_equal(lrintf(x[p] * 255.0f), pixel(k, p));
            }
            skive_dataset_free(ds);
            passed++;
        }
    }
    assert_true(refused > 150 && passed < 10);
    skv_test_context_end(ctx);
}

static void mnist_folder(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char spec[SKV_TEST_PATH + 16];
    (void)snprintf(spec, sizeof spec, "mnist:%s", dir);
    open_fails(ctx, spec, SKIVE_ERR_DATA, "t10k-images");
    skv_test_write_file(at("t10k-images-idx3-ubyte"), image_file, idx_images(image_file, 12));
    open_fails(ctx, spec, SKIVE_ERR_DATA, "t10k-labels");
    skv_test_write_file(at("t10k-labels.idx1-ubyte"), label_file, idx_labels(label_file, 12));
    skive_dataset *ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skive_dataset_info info;
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.count, 12);
    assert_true(info.separate_test);
    assert_string_equal(info.class_names[7], "7");
    skive_dataset_free(ds);
    label_file[8 + 3] = 10;
    skv_test_write_file(at("t10k-labels.idx1-ubyte"), label_file, 8 + 12);
    open_fails(ctx, spec, SKIVE_ERR_DATA, "label 10 of sample 3");
    skv_test_context_end(ctx);
}

static void specifications(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    open_fails(ctx, "imagenet", SKIVE_ERR_NOT_FOUND, "fashion-mnist[:DIR], mnist:DIR, idx:");
    open_fails(ctx, "", SKIVE_ERR_NOT_FOUND, "no such kind");
    open_fails(ctx, "mnist", SKIVE_ERR_ARGUMENT, "expected mnist:DIR");
    open_fails(ctx, "idx:a", SKIVE_ERR_ARGUMENT, "expected idx:");
    open_fails(ctx, "idx:a,", SKIVE_ERR_ARGUMENT, "expected idx:");
    open_fails(ctx, "npy:a,b,c", SKIVE_ERR_ARGUMENT, "expected npy:");
    open_fails(ctx, "idx:a,b,c,d,e", SKIVE_ERR_ARGUMENT, "expected idx:");
    open_fails(ctx, "idx:/nowhere/a,b", SKIVE_ERR_IO, "/nowhere/a");
    open_fails(ctx, "folder:/nowhere", SKIVE_ERR_DATA, "no such folder");
    open_fails(ctx, "fashion-mnist:/nowhere", SKIVE_ERR_DATA, "apt install dataset-fashion-mnist");
    assert_int_equal(setenv("SKIVE_DATA_DIR", dir, 1), 0);
    open_fails(ctx, "fashion-mnist", SKIVE_ERR_DATA, "apt install dataset-fashion-mnist");
    assert_int_equal(unsetenv("SKIVE_DATA_DIR"), 0);

    const char *spec = write_idx(10);
    skive_dataset *ds = NULL;
    skive_dataset_options o = skive_dataset_options_default();
    o.validation_fraction = 1.0;
    skv_test_fails(ctx, skive_dataset_open(ctx, spec, &o, &ds), SKIVE_ERR_ARGUMENT, "validation fraction");
    o.validation_fraction = (double)NAN;
    skv_test_fails(ctx, skive_dataset_open(ctx, spec, &o, &ds), SKIVE_ERR_ARGUMENT, "validation fraction");
    o = skive_dataset_options_default();
    o.resize_h = 8;
    skv_test_fails(ctx, skive_dataset_open(ctx, spec, &o, &ds), SKIVE_ERR_ARGUMENT, "resize");
    for (size_t i = 0; i < skive_dataset_kind_count(); i++) {
        const char *name = skive_dataset_kind_name(i);
        assert_int_equal(strncmp(skive_dataset_kind_syntax(i), name, strlen(name)), 0);
        assert_true(strlen(skive_dataset_kind_brief(i)) > 10);
    }
    assert_null(skive_dataset_kind_name(skive_dataset_kind_count()));
    skv_test_context_end(ctx);
}

/* ---- splits ---- */

static void splits(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    const char *spec = write_idx(MANY);
    int seen[MANY] = {0}, validation[MANY] = {0};
    size_t sizes[2];
    for (int part = 0; part < 2; part++) {
        skive_dataset *ds = open_split(ctx, spec, part ? SKIVE_SPLIT_VALIDATION : SKIVE_SPLIT_TRAIN);
        skive_dataset_info info;
        skive_dataset_get_info(ds, &info);
        sizes[part] = info.count;
        for (size_t i = 0; i < info.count; i++) {
            int64_t label;
            size_t origin = skive_dataset_origin(ds, i);
            skv_test_ok(ctx, skive_dataset_read(ctx, ds, i, NULL, &label));
            assert_int_equal(label, origin % 10);
            seen[origin]++;
            if (part) validation[origin] = 1;
        }
        skive_dataset_free(ds);
    }
    assert_int_equal(sizes[0], MANY - MANY / 12);
    assert_int_equal(sizes[1], MANY / 12);
    for (size_t i = 0; i < MANY; i++) assert_int_equal(seen[i], 1); /* disjoint, and together everything */

    skive_dataset_options o = skive_dataset_options_default();
    skive_dataset_info info;
    skive_dataset *ds = NULL;
    o.split = SKIVE_SPLIT_VALIDATION;
    skive_context_set_seed(ctx, 99); /* must not matter: the samples held out stay held out */
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &ds));
    for (size_t i = 0; i < MANY / 12; i++) assert_int_equal(validation[skive_dataset_origin(ds, i)], 1);
    skive_dataset_free(ds);
    o.seed = 2;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &ds));
    int same = 0;
    for (size_t i = 0; i < MANY / 12; i++) same += validation[skive_dataset_origin(ds, i)];
    assert_true(same < MANY / 12);
    skive_dataset_free(ds);

    o = skive_dataset_options_default();
    o.split = SKIVE_SPLIT_TRAIN_FULL;
    o.limit = 50;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &ds));
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.count, 50);
    assert_true(skive_dataset_origin(ds, 49) > 150); /* chosen from all over */
    for (size_t i = 1; i < 50; i++) assert_true(skive_dataset_origin(ds, i) > skive_dataset_origin(ds, i - 1));
    skive_dataset_free(ds);

    o = skive_dataset_options_default();
    o.validation_fraction = 0.0;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &ds));
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.count, MANY);
    skive_dataset_free(ds);
    o.split = SKIVE_SPLIT_VALIDATION;
    skv_test_fails(ctx, skive_dataset_open(ctx, spec, &o, &ds), SKIVE_ERR_DATA, "empty");

    /* a pair for each part */
    char four[4 * SKV_TEST_PATH + 8];
    (void)write_idx(MANY);
    skv_test_write_file(at("ti"), image_file, idx_images(image_file, 7));
    skv_test_write_file(at("tl"), label_file, idx_labels(label_file, 7));
    (void)snprintf(four, sizeof four, "%s,%s,%s", spec, at("ti"), at("tl"));
    ds = open_split(ctx, four, SKIVE_SPLIT_TEST);
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.count, 7);
    assert_true(info.separate_test);
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

/* ---- NumPy ---- */

/* Integers in the shape of pictures are masks: a class for each position, -1 for none. */
static void npy_masks(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char spec[4 * SKV_TEST_PATH + 8];
    const char *x_path = at("mx.npy"), *y_path = at("my.npy"), *test_path = at("mt.npy");
    float pictures[3 * 2 * 3 * 2];
    int64_t masks[18] = {0, 1, 2, -1, 0, 0, 1, 1, 1, 0, 0, 0, 2, 2, 2, 2, 2, 1}, labels[6], other[18] = {0};
    for (int i = 0; i < 36; i++) pictures[i] = (float)i;
    skive_tensor x = {.dtype = SKIVE_F32, .rank = 4, .dims = {3, 2, 3, 2}, .data = pictures};
    skive_tensor y = {.dtype = SKIVE_I64, .rank = 3, .dims = {3, 3, 2}, .data = masks};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, x_path, &x));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, y_path, &y));
    (void)snprintf(spec, sizeof spec, "npy:%s,%s", x_path, y_path);
    skive_dataset_info info;
    skive_dataset *ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skive_dataset_get_info(ds, &info);
    assert_true(info.labelled && info.label_rank == 2 && info.label_dims[0] == 3 && info.label_dims[1] == 2);
    assert_int_equal(info.classes, 3);
    assert_int_equal(info.target_size, 0);
    for (size_t i = 0; i < 3; i++) {
        skv_test_ok(ctx, skive_dataset_read_labels(ctx, ds, i, labels));
        for (size_t k = 0; k < 6; k++) assert_int_equal(labels[k], masks[i * 6 + k]);
    }
    skive_loader_options lo = skive_loader_options_default();
    skive_loader *loader = NULL;
    skive_batch batch;
    lo.batch = 2;
    lo.shuffle = false;
    skv_test_ok(ctx, skive_loader_create(ctx, ds, &lo, &loader));
    skv_test_ok(ctx, skive_loader_start_epoch(loader, 0));
    skv_test_ok(ctx, skive_loader_next(loader, &batch));
    assert_int_equal(batch.y.dtype, SKIVE_I64);
    assert_int_equal(batch.y.rank, 3);
    for (size_t k = 0; k < 12; k++) assert_int_equal(((int64_t *)batch.y.data)[k], masks[k]);
    skive_loader_free(loader);
    skive_dataset_free(ds);

    /* the training masks count the classes of the test masks as well; a class that only these have is refused */
    y.data = other;
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, test_path, &y));
    (void)snprintf(spec, sizeof spec, "npy:%s,%s,%s,%s", x_path, y_path, x_path, test_path);
    ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.classes, 3);
    skive_dataset_free(ds);
    other[7] = 3;
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, test_path, &y));
    open_fails(ctx, spec, SKIVE_ERR_DATA, "label 3 at position 1 of sample 1");

    /* classes that do not occur are told */
    skive_dataset_options o = skive_dataset_options_default();
    o.split = SKIVE_SPLIT_TRAIN_FULL;
    masks[4] = 5;
    y.data = masks;
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, y_path, &y));
    (void)snprintf(spec, sizeof spec, "npy:%s,%s", x_path, y_path);
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &ds));
    skive_dataset_free(ds);
    assert_non_null(strstr(skive_context_note(ctx, skive_context_note_count(ctx) - 1),
                           "labels go up to 5, so there are 6 classes, of which 2 do not occur (3, 4)"));

    /* as values where the caller says so, and bytes as labels */
    o.split = SKIVE_SPLIT_TEST;
    o.targets = SKIVE_TARGETS_VALUES;
    (void)snprintf(spec, sizeof spec, "npy:%s,%s", x_path, y_path);
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &ds));
    skive_dataset_get_info(ds, &info);
    assert_true(!info.labelled && info.target_size == 6);
    skive_dataset_free(ds);
    o.targets = SKIVE_TARGETS_CLASSES;
    y = (skive_tensor){.dtype = SKIVE_U8, .rank = 3, .dims = {3, 3, 2}, .data = (uint8_t[18]){1, 0, 3}};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, y_path, &y));
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &ds));
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.classes, 4);
    skive_dataset_free(ds);
    y.dims[1] = 1;
    y.dims[2] = 6; /* not the shape of the pictures */
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, y_path, &y));
    skv_test_fails(ctx, skive_dataset_open(ctx, spec, &o, &ds), SKIVE_ERR_ARGUMENT, "one for each position");
    skv_test_context_end(ctx);
}

static void npy(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char spec[2 * SKV_TEST_PATH + 8];
    const char *x_path = at("x.npy"), *y_path = at("y.npy");
    (void)snprintf(spec, sizeof spec, "npy:%s,%s", x_path, y_path);
    double numbers[24];
    int64_t classes[4] = {2, 0, 1, 2};
    for (int i = 0; i < 24; i++) numbers[i] = i * 0.5 - 3.0;
    skive_tensor x = {.dtype = SKIVE_F64, .rank = 4, .dims = {4, 3, 2, 1}, .data = numbers};
    skive_tensor y = {.dtype = SKIVE_I64, .rank = 1, .dims = {4}, .data = classes};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, x_path, &x));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, y_path, &y));
    skive_dataset_info info;
    float sample[6];
    int64_t label;
    skive_dataset *ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.rank, 3);
    assert_int_equal(info.dims[0], 3);
    assert_int_equal(info.classes, 3);
    skv_test_ok(ctx, skive_dataset_read(ctx, ds, 2, sample, &label));
    assert_int_equal(label, 1);
    for (int i = 0; i < 6; i++) assert_true(sample[i] == (float)numbers[12 + i]);
    skv_test_fails(ctx, skive_dataset_read_target(ctx, ds, 0, sample), SKIVE_ERR_ARGUMENT, "labels");
    skive_dataset_free(ds);

    unsigned char bytes[24]; /* [n][h][w] of bytes: scaled */
    for (int i = 0; i < 24; i++) bytes[i] = (unsigned char)(i * 10);
    x = (skive_tensor){.dtype = SKIVE_U8, .rank = 3, .dims = {4, 3, 2}, .data = bytes};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, x_path, &x));
    float targets[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    y = (skive_tensor){.dtype = SKIVE_F32, .rank = 2, .dims = {4, 2}, .data = targets};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, y_path, &y));
    ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.rank, 2);
    assert_int_equal(info.dims[0], 3);
    assert_int_equal(info.dims[1], 2);
    assert_false(info.labelled);
    assert_int_equal(info.target_rank, 1);
    assert_int_equal(info.target_size, 2);
    skv_test_ok(ctx, skive_dataset_read(ctx, ds, 3, sample, &label));
    assert_int_equal(label, -1);
    assert_true(fabsf(sample[5] - 230.0f / 255.0f) < 1e-6f);
    skv_test_ok(ctx, skive_dataset_read_target(ctx, ds, 3, sample));
    assert_true(sample[0] == 6.0f && sample[1] == 7.0f);
    /* and through the loader */
    skive_loader_options lo = skive_loader_options_default();
    skive_loader *loader = NULL;
    skive_batch batch;
    lo.batch = 3;
    lo.shuffle = false;
    skv_test_ok(ctx, skive_loader_create(ctx, ds, &lo, &loader));
    skv_test_ok(ctx, skive_loader_start_epoch(loader, 0));
    skv_test_ok(ctx, skive_loader_next(loader, &batch));
    skv_test_ok(ctx, skive_loader_next(loader, &batch));
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.y.dtype, SKIVE_F32);
    assert_int_equal(batch.y.rank, 2);
    assert_int_equal(batch.y.dims[0], 1);
    assert_true(((float *)batch.y.data)[1] == 7.0f);
    skive_loader_free(loader);
    skive_dataset_free(ds);

    /* several integers a sample are targets, and bytes in the shape of pictures are scaled like those */
    float pair[2];
    const skive_tensor of_floats = y;
    y = (skive_tensor){.dtype = SKIVE_I64, .rank = 2, .dims = {4, 2}, .data = (int64_t[8]){0, 1, 1, 0, 0, 0, 1, 1}};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, y_path, &y));
    ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skv_test_ok(ctx, skive_dataset_read_target(ctx, ds, 1, pair));
    assert_true(pair[0] == 1 && pair[1] == 0);
    skive_dataset_free(ds);
    y = (skive_tensor){.dtype = SKIVE_U8, .rank = 3, .dims = {4, 1, 2}, .data = (uint8_t[8]){0, 255, 51, 0}};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, y_path, &y));
    ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skv_test_ok(ctx, skive_dataset_read_target(ctx, ds, 1, pair));
    assert_true(pair[0] == 51 / 255.0f && pair[1] == 0);
    skive_dataset_free(ds);
    y = of_floats;

    /* what does not fit */
    targets[5] = NAN;
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, y_path, &y));
    open_fails(ctx, spec, SKIVE_ERR_DATA, "sample 2 contains NaN");
    y = (skive_tensor){.dtype = SKIVE_I64, .rank = 1, .dims = {3}, .data = classes};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, y_path, &y));
    open_fails(ctx, spec, SKIVE_ERR_DATA, "has 4 samples");
    y.dims[0] = 4;
    classes[1] = -1;
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, y_path, &y));
    open_fails(ctx, spec, SKIVE_ERR_DATA, "label -1 of sample 1");
    x = (skive_tensor){.dtype = SKIVE_U8, .rank = 2, .dims = {0, 3}, .data = bytes};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, x_path, &x));
    open_fails(ctx, spec, SKIVE_ERR_DATA, "must not be 0");
    skv_test_write_file(x_path, "nonsense", 8);
    open_fails(ctx, spec, SKIVE_ERR_FORMAT, "x.npy");
    skv_test_context_end(ctx);
}

/* Texts as labels are names of classes, which the training labels number. */
static void npy_names(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char spec[4 * SKV_TEST_PATH + 8], both[4 * SKV_TEST_PATH + 8];
    const char *x_path = at("nx.npy"), *y_path = at("ny.npy"), *test_path = at("nt.npy");
    const char *names[4] = {"eel", "cat", "dog", "cat"}, *numbers[4] = {"10", "9", "2", "9"};
    skive_tensor x = {.dtype = SKIVE_F32, .rank = 2, .dims = {4, 2}, .data = (float[8]){0}};
    skive_tensor y = {.dtype = SKIVE_STRING, .rank = 1, .dims = {4}, .data = names};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, x_path, &x));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, y_path, &y));
    (void)snprintf(spec, sizeof spec, "npy:%s,%s", x_path, y_path);
    (void)snprintf(both, sizeof both, "npy:%s,%s,%s,%s", x_path, y_path, x_path, test_path);
    static const int64_t wanted[4] = {2, 0, 1, 0};
    skive_dataset_info info;
    int64_t label;
    skive_dataset *ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.classes, 3);
    for (int c = 0; c < 3; c++) assert_string_equal(info.class_names[c], ((const char *[]){"cat", "dog", "eel"})[c]);
    for (size_t i = 0; i < 4; i++) {
        skv_test_ok(ctx, skive_dataset_read(ctx, ds, i, NULL, &label));
        assert_int_equal(label, wanted[i]);
    }
    skive_dataset_free(ds);

    y.dims[0] = 4;
    y.data = (const char *[4]){"dog", "dog", "dog", "dog"};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, test_path, &y));
    ds = open_split(ctx, both, SKIVE_SPLIT_TEST);
    skv_test_ok(ctx, skive_dataset_read(ctx, ds, 3, NULL, &label));
    assert_int_equal(label, 1);
    skive_dataset_free(ds);
    y.data = (const char *[4]){"dog", "fox", "dog", "dog"};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, test_path, &y));
    open_fails(ctx, both, SKIVE_ERR_DATA, "the label 'fox' of sample 1 is none of the 3 classes");
    skive_tensor whole = {.dtype = SKIVE_I64, .rank = 1, .dims = {4}, .data = (int64_t[4]){0, 1, 2, 0}};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, test_path, &whole));
    open_fails(ctx, both, SKIVE_ERR_DATA, "the training labels are texts");
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, test_path, &y));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, y_path, &whole));
    open_fails(ctx, both, SKIVE_ERR_DATA, "the training labels are numbers");

    /* numbers as texts stand in the order of the numbers */
    y.data = numbers;
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, y_path, &y));
    ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skive_dataset_get_info(ds, &info);
    assert_string_equal(info.class_names[0], "2");
    assert_string_equal(info.class_names[2], "10");
    skive_dataset_free(ds);

    /* what does not fit */
    skive_dataset_options o = skive_dataset_options_default();
    o.targets = SKIVE_TARGETS_VALUES;
    skv_test_fails(ctx, skive_dataset_open(ctx, spec, &o, &ds), SKIVE_ERR_DATA, "cannot be fitted as values");
    o.targets = SKIVE_TARGETS_AUTO;
    o.classes = 2;
    skv_test_fails(ctx, skive_dataset_open(ctx, spec, &o, &ds), SKIVE_ERR_DATA, "has 3 different texts as labels");
    names[2] = "";
    y.data = names;
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, y_path, &y));
    open_fails(ctx, spec, SKIVE_ERR_DATA, "the label of sample 2 is an empty text");
    y = (skive_tensor){.dtype = SKIVE_STRING, .rank = 2, .dims = {4, 1}, .data = numbers};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, x_path, &y));
    open_fails(ctx, spec, SKIVE_ERR_UNSUPPORTED, "has text");
    y = (skive_tensor){.dtype = SKIVE_STRING, .rank = 2, .dims = {2, 2}, .data = numbers};
    x.dims[0] = 2;
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, x_path, &x));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, y_path, &y));
    open_fails(ctx, spec, SKIVE_ERR_DATA, "several values per sample");
    skv_test_context_end(ctx);
}

/* ---- folders ---- */

static void folder_plain(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char spec[2 * SKV_TEST_PATH], path[SKV_TEST_PATH];
    write_folder(at("set"), 3, 4);
    skv_test_write_file(at("set/notes.txt"), "x", 1);
    skv_test_write_file(at("set/ant/readme.txt"), "x", 1);
    skv_test_write_file(at("set/ant/.hidden.png"), "x", 1);
    (void)snprintf(spec, sizeof spec, "folder:%s", at("set"));
    skive_dataset *ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skive_dataset_info info;
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.count, 12);
    assert_int_equal(info.dims[0], 1);
    assert_int_equal(info.dims[1], 6);
    assert_int_equal(info.dims[2], 8);
    assert_int_equal(info.classes, 3);
    assert_string_equal(info.class_names[1], "bee");
    assert_false(info.separate_test);
    for (size_t i = 0; i < 12; i++) {
        unsigned char expected[48];
        float x[48];
        int64_t label;
        smooth(expected, 8, 6, 1, (unsigned)(40 * (i / 4) + 5 * (i % 4)));
        skv_test_ok(ctx, skive_dataset_read(ctx, ds, i, x, &label));
        assert_int_equal(label, i / 4);
        for (int k = 0; k < 48; k++) {
            float error = fabsf(x[k] * 255.0f - (float)expected[k]);
            assert_true(error < (i % 2 ? 4.0f : 1e-3f));
        }
    }
    /* damage found when the image is read names the file */
    skv_test_write_file(at("set/bee/02.PNG"), "not an image", 12);
    skv_test_fails(ctx, skive_dataset_read(ctx, ds, 6, (float[48]){0}, NULL), SKIVE_ERR_DATA, "set/bee/02.PNG");
    unsigned char pixels[10 * 6 * 3];
    smooth(pixels, 10, 6, 3, 0);
    write_png(at("set/bee/02.PNG"), 10, 6, PNG_FORMAT_RGB, pixels);
    skv_test_fails(ctx, skive_dataset_read(ctx, ds, 6, (float[48]){0}, NULL), SKIVE_ERR_DATA,
                   "has 6x10 pixels (height x width), not 6x8; use --resize");
    assert_int_equal(remove(at("set/bee/02.PNG")), 0);
    skv_test_fails(ctx, skive_dataset_read(ctx, ds, 6, (float[48]){0}, NULL), SKIVE_ERR_IO, "set/bee/02.PNG");
    skive_dataset_free(ds);

    /* scaled to one size, sizes may differ; planes of a colour image are apart */
    memset(pixels, 0, sizeof pixels);
    for (int i = 0; i < 60; i++) pixels[3 * i + 1] = 200;
    write_png(at("set/ant/00.PNG"), 10, 6, PNG_FORMAT_RGB, pixels);
    skive_dataset_options o = skive_dataset_options_default();
    o.split = SKIVE_SPLIT_TEST;
    o.resize_h = 3;
    o.resize_w = 5;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &ds));
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.dims[0], 3);
    assert_int_equal(info.dims[1], 3);
    assert_int_equal(info.dims[2], 5);
    float x[45];
    skv_test_ok(ctx, skive_dataset_read(ctx, ds, 0, x, NULL));
    for (int i = 0; i < 45; i++) assert_true(fabsf(x[i] - (i / 15 == 1 ? 200.0f / 255.0f : 0.0f)) < 1e-6f);
    for (size_t i = 1; i < info.count; i++) skv_test_ok(ctx, skive_dataset_read(ctx, ds, i, x, NULL));
    skive_dataset_free(ds);

    (void)snprintf(path, sizeof path, "%s", at("empty"));
    assert_int_equal(mkdir(path, 0777), 0);
    (void)snprintf(spec, sizeof spec, "folder:%s", path);
    open_fails(ctx, spec, SKIVE_ERR_DATA, "has no sub-folders");
    assert_int_equal(mkdir(at("empty/a"), 0777), 0);
    open_fails(ctx, spec, SKIVE_ERR_DATA, "no PNG, JPEG or BMP");
    skv_test_context_end(ctx);
}

static void folder_parts(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char spec[SKV_TEST_PATH + 16];
    assert_int_equal(mkdir(at("parts"), 0777), 0);
    write_folder(at("parts/train"), 3, 8);
    (void)snprintf(spec, sizeof spec, "folder:%s", at("parts"));
    open_fails(ctx, spec, SKIVE_ERR_DATA, "no test/");
    write_folder(at("parts/test"), 2, 3); /* one class has no test image: numbers stay those of train */
    skive_dataset *ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skive_dataset_info info;
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.count, 6);
    assert_int_equal(info.classes, 3);
    assert_true(info.separate_test);
    skive_dataset_free(ds);
    ds = open_split(ctx, spec, SKIVE_SPLIT_TRAIN);
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.count, 22);
    skive_dataset_free(ds);
    assert_int_equal(mkdir(at("parts/test/yak"), 0777), 0);
    open_fails(ctx, spec, SKIVE_ERR_DATA, "'yak' is not among the training classes");
    skv_test_context_end(ctx);
}

/* ---- normalisation ---- */

static void normalization(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_normalization n, back;
    skive_dataset *ds = open_split(ctx, write_idx(60), SKIVE_SPLIT_TRAIN);
    skive_dataset_info info;
    skive_dataset_get_info(ds, &info);
    double sum = 0, squares = 0, count = 0;
    for (size_t i = 0; i < info.count; i++) {
        for (size_t k = 0; k < PIXELS; k++) {
            double v = pixel(skive_dataset_origin(ds, i), k) / 255.0;
            sum += v;
            squares += v * v;
            count++;
        }
    }
    skv_test_ok(ctx, skive_dataset_statistics(ctx, ds, &n));
    assert_int_equal(n.channels, 1);
    assert_true(fabs((double)n.mean[0] - sum / count) < 1e-6);
    assert_true(fabs((double)n.std[0] - sqrt(squares / count - sum / count * sum / count)) < 1e-6);
    skive_normalization_free(ctx, &n);
    skive_dataset_free(ds);

    /* floats, three channels, far from zero; the last never varies */
    float values[4 * 3 * 2];
    int64_t classes[4] = {0, 1, 0, 1};
    for (int i = 0; i < 24; i++) values[i] = (i / 2) % 3 == 2 ? 0.1f : 10000.0f * (float)((i / 2) % 3) + (float)(i % 2);
    skive_tensor x = {.dtype = SKIVE_F32, .rank = 4, .dims = {4, 3, 1, 2}, .data = values};
    skive_tensor y = {.dtype = SKIVE_I64, .rank = 1, .dims = {4}, .data = classes};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, at("nx.npy"), &x));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, at("ny.npy"), &y));
    char spec[2 * SKV_TEST_PATH + 8];
    (void)snprintf(spec, sizeof spec, "npy:%s,%s", at("nx.npy"), at("ny.npy"));
    ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skv_test_ok(ctx, skive_dataset_statistics(ctx, ds, &n));
    assert_int_equal(n.channels, 3);
    assert_true(n.mean[0] == 0.5f && n.std[0] == 0.5f);
    assert_true(n.mean[1] == 10000.5f && n.std[1] == 0.5f);
    assert_true(n.mean[2] == 0.1f && n.std[2] == 1.0f);
    skive_normalization_apply(&n, values, 4, 3, 2);
    for (int i = 0; i < 24; i++) {
        float expected = (i / 2) % 3 == 2 ? 0.0f : i % 2 ? 1.0f : -1.0f;
        assert_true(fabsf(values[i] - expected) < 2e-3f);
    }
    skive_dataset_free(ds);

    char text[SKIVE_NORMALIZATION_TEXT(4)];
    skive_normalization_free(ctx, &n);
    float means[4] = {0.1f, -1e-30f, 3.40282347e38f, 1.0f / 3.0f},
          deviations[4] = {1e-38f, 0.2f, 1.17549435e-38f, 0.7f};
    n = (skive_normalization){4, means, deviations};
    skv_test_ok(ctx, skive_normalization_format(ctx, &n, text, sizeof text));
    skv_test_ok(ctx, skive_normalization_parse(ctx, text, &back));
    assert_int_equal(back.channels, 4);
    assert_memory_equal(back.mean, n.mean, sizeof means); /* every bit comes back */
    assert_memory_equal(back.std, n.std, sizeof means);
    skive_normalization_free(ctx, &back);
    skv_test_fails(ctx, skive_normalization_format(ctx, &n, text, 20), SKIVE_ERR_ARGUMENT, "too small");
    skv_test_ok(ctx, skive_normalization_parse(ctx, "0.2860;0.3530", &back));
    assert_int_equal(back.channels, 1);
    assert_true(back.mean[0] == 0.2860f && back.std[0] == 0.3530f);
    skv_test_ok(ctx, skive_normalization_format(ctx, &back, text, sizeof text));
    assert_int_equal(strncmp(text, "0.286", 5), 0);
    skive_normalization_free(ctx, &back);
    skv_test_ok(ctx, skive_normalization_parse(ctx, "", &back));
    assert_int_equal(back.channels, 0);
    static const char *const bad[] = {"0.5",
                                      "0.5;",
                                      ";0.5",
                                      "a;b",
                                      "0.5;0",
                                      "0.5;-1",
                                      "1,2;3",
                                      "1;2;3",
                                      "nan;1",
                                      "1;inf",
                                      "1,2,3,4,5;1,2,3,4",
                                      "1;2 ",
                                      " 1;2",
                                      "1,;1,1",
                                      "0,5;1,1,1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        skv_test_fails(ctx, skive_normalization_parse(ctx, bad[i], &back), SKIVE_ERR_ARGUMENT, "normalisation");
    }
    n.std[1] = 0.0f;
    skv_test_fails(ctx, skive_normalization_format(ctx, &n, text, sizeof text), SKIVE_ERR_ARGUMENT, "positive");
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
        T(idx_plain_and_gzip), T(idx_damage), T(gzip_damage),  T(mnist_folder), T(specifications), T(splits), T(npy),
        T(npy_masks),          T(npy_names),  T(folder_plain), T(folder_parts), T(normalization),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
