/* The loader: its results, which do not depend on threads, and failing allocations. Ends with the real Fashion-MNIST,
 * if it is installed. */
#include "data_fixtures.h"

/* ---- loader ---- */

typedef struct recording {
    size_t batches, samples;
    uint64_t hash;
    size_t indices[MANY];
} recording;

/* One epoch: everything in it, condensed. */
static void record(skive_context *ctx, const skive_dataset *ds, const skive_loader_options *o, uint64_t epoch,
                   recording *out) {
    skive_loader *loader = NULL;
    skv_test_ok(ctx, skive_loader_create(ctx, ds, o, &loader));
    *out = (recording){0};
    skv_test_ok(ctx, skive_loader_start_epoch(loader, epoch));
    for (;;) {
        skive_batch b;
        skv_test_ok(ctx, skive_loader_next(loader, &b));
        if (b.end) {
            assert_int_equal(b.count, 0);
            break;
        }
        assert_int_equal(b.x.dims[0], b.count);
        assert_int_equal(b.y.dims[0], b.count);
        out->hash = skv_hash64(b.x.data, skive_tensor_bytes(&b.x), out->hash);
        out->hash = skv_hash64(b.y.data, skive_tensor_bytes(&b.y), out->hash);
        for (size_t i = 0; i < b.count; i++) out->indices[out->samples++] = b.indices[i];
        out->batches++;
    }
    assert_int_equal(out->batches, skive_loader_batches(loader));
    skive_loader_free(loader);
}

static void loader_is_deterministic(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_dataset *ds = open_split(ctx, write_idx(MANY), SKIVE_SPLIT_TRAIN_FULL);
    skive_normalization n = {1, (float[]){0.3f}, (float[]){0.5f}};
    for (int augmented = 0; augmented < 2; augmented++) {
        recording base, other;
        skive_loader_options o = skive_loader_options_default();
        o.batch = 17;
        o.seed = 3;
        o.normalization = &n;
        o.transforms = augmented ? "crop:1,flip,rotate:15" : NULL;
        o.threads = 0;
        record(ctx, ds, &o, 4, &base);
        assert_int_equal(base.samples, MANY);
        int seen[MANY] = {0};
        for (size_t i = 0; i < MANY; i++) seen[base.indices[i]]++;
        for (size_t i = 0; i < MANY; i++) assert_int_equal(seen[i], 1);
        static const int ways[][2] = {{1, 1}, {1, 4}, {2, 1}, {2, 5}, {5, 3}, {1, 100}};
        for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
            o.threads = ways[k][0];
            o.prefetch = ways[k][1];
            record(ctx, ds, &o, 4, &other);
            assert_true(other.hash == base.hash);
            assert_memory_equal(other.indices, base.indices, sizeof base.indices);
        }
        record(ctx, ds, &o, 5, &other);
        assert_true(other.hash != base.hash); /* another epoch, another order */
        o.seed = 4;
        record(ctx, ds, &o, 4, &other);
        assert_true(other.hash != base.hash);
    }
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

static void loader_contents(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_dataset *ds = open_split(ctx, write_idx(50), SKIVE_SPLIT_TEST);
    skive_normalization n = {1, (float[3]){0.25f}, (float[3]){0.5f}};
    skive_loader_options o = skive_loader_options_default();
    skive_loader *loader = NULL;
    skive_batch b;
    o.batch = 16;
    o.shuffle = false;
    o.normalization = &n;
    skv_test_ok(ctx, skive_loader_create(ctx, ds, &o, &loader));
    assert_int_equal(skive_loader_batches(loader), 4);
    skv_test_fails(ctx, skive_loader_next(loader, &b), SKIVE_ERR_ARGUMENT, "no epoch");
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        skv_test_ok(ctx, skive_loader_start_epoch(loader, epoch));
        for (size_t first = 0; first < 50; first += 16) {
            skv_test_ok(ctx, skive_loader_next(loader, &b));
            assert_int_equal(b.count, first + 16 <= 50 ? 16 : 2);
            assert_int_equal(b.x.rank, 4);
            assert_int_equal(b.x.dims[1], 1);
            assert_int_equal(b.x.dims[2], H);
            assert_int_equal(b.x.dims[3], W);
            for (size_t i = 0; i < b.count; i++) {
                assert_int_equal(b.indices[i], first + i);
                assert_int_equal(((int64_t *)b.y.data)[i], (first + i) % 10);
                for (size_t k = 0; k < PIXELS; k++) {
                    float expected = ((float)pixel(first + i, k) / 255.0f - 0.25f) / 0.5f;
                    assert_true(fabsf(((float *)b.x.data)[i * PIXELS + k] - expected) < 1e-5f);
                }
            }
        }
        skv_test_ok(ctx, skive_loader_next(loader, &b));
        assert_true(b.end);
        skv_test_ok(ctx, skive_loader_next(loader, &b)); /* and it stays at the end */
        assert_true(b.end);
    }
    skive_loader_free(loader);

    o.drop_last = true;
    skv_test_ok(ctx, skive_loader_create(ctx, ds, &o, &loader));
    assert_int_equal(skive_loader_batches(loader), 3);
    skive_loader_free(loader);
    o.batch = 64;
    skv_test_fails(ctx, skive_loader_create(ctx, ds, &o, &loader), SKIVE_ERR_ARGUMENT, "larger than the 50 samples");
    o.drop_last = false;
    skv_test_ok(ctx, skive_loader_create(ctx, ds, &o, &loader));
    assert_int_equal(skive_loader_batches(loader), 1);
    skive_loader_free(loader);
    o.batch = 0;
    skv_test_fails(ctx, skive_loader_create(ctx, ds, &o, &loader), SKIVE_ERR_ARGUMENT, "batch size 0");
    o.batch = 4;
    o.threads = 1000;
    skv_test_fails(ctx, skive_loader_create(ctx, ds, &o, &loader), SKIVE_ERR_ARGUMENT, "threads");
    o.threads = 1;
    o.prefetch = 0;
    skv_test_fails(ctx, skive_loader_create(ctx, ds, &o, &loader), SKIVE_ERR_ARGUMENT, "prefetch");
    o.prefetch = 2;
    o.transforms = "smear";
    skv_test_fails(ctx, skive_loader_create(ctx, ds, &o, &loader), SKIVE_ERR_ARGUMENT, "'smear'");
    o.transforms = NULL;
    n.channels = 3;
    n.std[1] = n.std[2] = 1.0f;
    skv_test_fails(ctx, skive_loader_create(ctx, ds, &o, &loader), SKIVE_ERR_DATA, "normalisation has 3");
    n.std[1] = -1.0f;
    skv_test_fails(ctx, skive_loader_create(ctx, ds, &o, &loader), SKIVE_ERR_ARGUMENT, "positive");
    assert_null(loader);
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

static void loader_cut_short(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_dataset *ds = open_split(ctx, write_idx(MANY), SKIVE_SPLIT_TEST);
    skive_loader_options o = skive_loader_options_default();
    o.batch = 3;
    o.transforms = "rotate:30";
    for (int threads = 0; threads <= 3; threads++) {
        for (int taken = 0; taken < 6; taken++) {
            skive_loader *loader = NULL;
            skive_batch b;
            o.threads = threads;
            skv_test_ok(ctx, skive_loader_create(ctx, ds, &o, &loader));
            for (uint64_t epoch = 0; epoch < 4; epoch++) { /* started anew in the middle, then freed in the middle */
                if (taken == 0 && epoch == 0) continue;
                skv_test_ok(ctx, skive_loader_start_epoch(loader, epoch));
                for (int i = 0; i < taken; i++) skv_test_ok(ctx, skive_loader_next(loader, &b));
            }
            skive_loader_free(loader);
        }
    }
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

static void loader_tells_of_damage(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char spec[SKV_TEST_PATH + 16];
    write_folder(at("hurt"), 2, 10);
    (void)snprintf(spec, sizeof spec, "folder:%s", at("hurt"));
    skive_dataset *ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    static unsigned char bytes[1 << 14];
    size_t n = read_file(at("hurt/bee/03.jpg"), bytes, sizeof bytes);
    skv_test_write_file(at("hurt/bee/03.jpg"), bytes, n / 2);
    for (int threads = 0; threads <= 2; threads++) {
        skive_loader_options o = skive_loader_options_default();
        skive_loader *loader = NULL;
        skive_batch b;
        o.batch = 4;
        o.shuffle = false;
        o.threads = threads;
        skv_test_ok(ctx, skive_loader_create(ctx, ds, &o, &loader));
        for (uint64_t epoch = 0; epoch < 2; epoch++) {
            skv_test_ok(ctx, skive_loader_start_epoch(loader, epoch));
            for (int i = 0; i < 3; i++) skv_test_ok(ctx, skive_loader_next(loader, &b)); /* what comes before is good */
            for (int i = 0; i < 2; i++) {
                skv_test_fails(ctx, skive_loader_next(loader, &b), SKIVE_ERR_DATA, "hurt/bee/03.jpg");
                assert_non_null(strstr(skive_context_subject(ctx), "03.jpg"));
                assert_null(b.x.data);
            }
        }
        skive_loader_free(loader);
    }
    skive_normalization statistics;
    skv_test_fails(ctx, skive_dataset_statistics(ctx, ds, &statistics), SKIVE_ERR_DATA, "03.jpg");
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

/* ---- memory ---- */

typedef struct walk {
    const char *spec;
    int threads;
    size_t resize;
} walk;

static skive_status use_everything(skive_context *ctx, void *user) {
    const walk *w = user;
    skive_dataset *ds = NULL;
    skive_loader *loader = NULL;
    skive_normalization n = {0};
    skive_dataset_options o = skive_dataset_options_default();
    o.resize_h = o.resize_w = (int64_t)w->resize;
    o.limit = 9;
    skive_status status = skive_dataset_open(ctx, w->spec, &o, &ds);
    if (status == SKIVE_OK) status = skive_dataset_statistics(ctx, ds, &n);
    if (status == SKIVE_OK) {
        skive_loader_options lo = skive_loader_options_default();
        lo.batch = 4;
        lo.prefetch = 2;
        lo.threads = w->threads;
        lo.normalization = &n;
        lo.transforms = "crop:1,flip";
        status = skive_loader_create(ctx, ds, &lo, &loader);
    }
    if (status == SKIVE_OK) status = skive_loader_start_epoch(loader, 0);
    for (bool end = false; status == SKIVE_OK && !end;) {
        skive_batch b;
        status = skive_loader_next(loader, &b);
        end = b.end;
    }
    skive_loader_free(loader);
    skive_normalization_free(ctx, &n);
    skive_dataset_free(ds);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    char spec[4 * SKV_TEST_PATH];
    (void)write_idx(24);
    write_gz(at("w.gz"), image_file, idx_images(image_file, 24));
    (void)snprintf(spec, sizeof spec, "idx:%s,%s", at("w.gz"), at("labels.idx"));
    for (int threads = 0; threads <= 2; threads++) {
        walk w = {spec, threads, 0};
        assert_true(skv_test_walk_allocations(use_everything, &w, 1) > 20);
    }
    walk scaled = {spec, 1, 12};
    assert_true(skv_test_walk_allocations(use_everything, &scaled, 1) > 20);

    write_folder(at("walk"), 2, 6);
    unsigned char colour[8 * 6 * 3];
    smooth(colour, 8, 6, 3, 1);
    write_png_raw(at("walk/bee/00.PNG"), 8, 6, 8, PNG_COLOR_TYPE_RGB, true, colour, 24);
    (void)snprintf(spec, sizeof spec, "folder:%s", at("walk"));
    for (int threads = 0; threads <= 2; threads++) {
        walk w = {spec, threads, threads == 1 ? 5 : 0};
        assert_true(skv_test_walk_allocations(use_everything, &w, 1) > 50);
    }
    float values[2 * 24];
    int64_t classes[24];
    for (int i = 0; i < 24; i++) {
        values[2 * i] = (float)i;
        values[2 * i + 1] = 1.0f;
        classes[i] = i % 3;
    }
    skive_context *ctx = skv_test_context();
    skive_tensor x = {.dtype = SKIVE_F32, .rank = 4, .dims = {24, 1, 1, 2}, .data = values};
    skive_tensor y = {.dtype = SKIVE_I64, .rank = 1, .dims = {24}, .data = classes};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, at("wx.npy"), &x));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, at("wy.npy"), &y));
    skv_test_context_end(ctx);
    (void)snprintf(spec, sizeof spec, "npy:%s,%s", at("wx.npy"), at("wy.npy"));
    walk w = {spec, 1, 0};
    assert_true(skv_test_walk_allocations(use_everything, &w, 1) > 20);
}

/* ---- the real set ---- */

static void fashion_mnist(void **state) {
    (void)state;
    if (!skv_path_exists("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz")) skip();
    skive_context *ctx = skv_test_context();
    static const struct {
        skive_split split;
        size_t count;
    } parts[] = {{SKIVE_SPLIT_TRAIN, 55000},
                 {SKIVE_SPLIT_VALIDATION, 5000},
                 {SKIVE_SPLIT_TEST, 10000},
                 {SKIVE_SPLIT_TRAIN_FULL, 60000}};
    for (size_t p = 0; p < 4; p++) {
        skive_dataset *ds = open_split(ctx, "fashion-mnist", parts[p].split);
        skive_dataset_info info;
        skive_dataset_get_info(ds, &info);
        assert_int_equal(info.count, parts[p].count);
        assert_int_equal(info.dims[1], 28);
        assert_int_equal(info.dims[2], 28);
        assert_int_equal(info.classes, 10);
        assert_string_equal(info.class_names[9], "Ankle boot");
        assert_true(info.separate_test);
        if (parts[p].split == SKIVE_SPLIT_TEST) {
            int64_t label;
            skv_test_ok(ctx, skive_dataset_read(ctx, ds, 0, NULL, &label));
            assert_int_equal(label, 9);
        }
        if (parts[p].split == SKIVE_SPLIT_TRAIN_FULL) { /* the figures everyone knows */
            skive_normalization n;
            skv_test_ok(ctx, skive_dataset_statistics(ctx, ds, &n));
            assert_true(fabs((double)n.mean[0] - 0.2860406) < 1e-6);
            assert_true(fabs((double)n.std[0] - 0.3530242) < 1e-6);
            size_t per_class[10] = {0}, total = 0;
            skive_loader_options o = skive_loader_options_default();
            skive_loader *loader = NULL;
            skive_batch b;
            o.normalization = &n;
            skv_test_ok(ctx, skive_loader_create(ctx, ds, &o, &loader));
            skv_test_ok(ctx, skive_loader_start_epoch(loader, 0));
            double sum = 0.0, begin = skv_now();
            for (;;) {
                skv_test_ok(ctx, skive_loader_next(loader, &b));
                if (b.end) break;
                total += b.count;
                for (size_t i = 0; i < b.count; i++) per_class[((int64_t *)b.y.data)[i]]++;
                sum += (double)((float *)b.x.data)[400];
            }
            print_message("loader: %.0f images/s on one thread\n", 60000.0 / (skv_now() - begin));
            assert_int_equal(total, 60000);
            assert_true(isfinite(sum));
            for (int c = 0; c < 10; c++) assert_int_equal(per_class[c], 6000);
            skive_loader_free(loader);
            skive_normalization_free(ctx, &n);
        }
        skive_dataset_free(ds);
    }
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
        T(loader_is_deterministic), T(loader_contents),           T(loader_cut_short),
        T(loader_tells_of_damage),  T(every_allocation_may_fail), T(fashion_mnist),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
