/* mixup and cutmix, through the loader: what a batch becomes, its labels, and that threads change nothing. */
#include "augment_fixtures.h"

enum { BATCH = 12, EPOCHS = 12 };

typedef struct taken {
    size_t count, indices[BATCH];
    int64_t width; /* of a row of y */
    float x[BATCH * 80], y[BATCH * 10];
} taken;

static skive_loader *open_loader(skive_context *ctx, const skive_dataset *ds, const char *transforms, int threads) {
    skive_loader_options o = skive_loader_options_default();
    skive_loader *l = NULL;
    o.batch = BATCH;
    o.seed = 5;
    o.transforms = transforms;
    o.threads = threads;
    skv_test_ok(ctx, skive_loader_create(ctx, ds, &o, &l));
    return l;
}

static bool take(skive_context *ctx, skive_loader *l, size_t size, taken *out) {
    skive_batch b;
    skv_test_ok(ctx, skive_loader_next(l, &b));
    if (b.end) return false;
    *out = (taken){.count = b.count};
    memcpy(out->indices, b.indices, b.count * sizeof *b.indices);
    memcpy(out->x, b.x.data, b.count * size * sizeof(float));
    if (b.y.dtype == SKIVE_F32) {
        out->width = b.y.rank > 1 ? b.y.dims[1] : 1;
        memcpy(out->y, b.y.data, b.count * (size_t)out->width * sizeof(float));
    }
    return true;
}

static float label_share(const taken *t, size_t i, size_t label) { return t->y[i * (size_t)t->width + label]; }

/* Each row of shares has w at the own label and 1 - w at the other's; returns w. Labels are index % 10. */
static float check_shares(const taken *t, size_t i, size_t j) {
    const size_t own = t->indices[i] % 10, other = t->indices[j] % 10;
    float sum = 0;
    for (size_t c = 0; c < 10; c++) {
        sum += label_share(t, i, c);
        assert_true(c == own || c == other || label_share(t, i, c) == 0);
    }
    assert_true(fabsf(sum - 1) < 1e-6f);
    return own == other ? -1 : label_share(t, i, own);
}

static void mixed_up(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_dataset *ds = open_split(ctx, write_idx(50), SKIVE_SPLIT_TEST);
    skive_loader *plain = open_loader(ctx, ds, NULL, 0), *mixed = open_loader(ctx, ds, "mixup:1", 0);
    taken a, b;
    float least = 1, most = 0;
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        skv_test_ok(ctx, skive_loader_start_epoch(plain, epoch));
        skv_test_ok(ctx, skive_loader_start_epoch(mixed, epoch));
        while (take(ctx, plain, PIXELS, &a)) {
            float weight = -1;
            assert_true(take(ctx, mixed, PIXELS, &b));
            assert_int_equal(b.width, 10);
            assert_memory_equal(a.indices, b.indices, sizeof a.indices);
            for (size_t i = 0; i < b.count && weight < 0; i++) {
                if (i != b.count - 1 - i) weight = check_shares(&b, i, b.count - 1 - i);
            }
            for (size_t i = 0; i < b.count; i++) {
                const size_t j = b.count - 1 - i;
                const float w = check_shares(&b, i, j);
                assert_true(w < 0 || fabsf(w - weight) < 1e-6f);
                for (size_t k = 0; k < PIXELS && weight >= 0; k++) {
                    const float wanted = weight * a.x[i * PIXELS + k] + (1 - weight) * a.x[j * PIXELS + k];
                    assert_true(fabsf(b.x[i * PIXELS + k] - (i == j ? a.x[i * PIXELS + k] : wanted)) < 1e-6f);
                }
            }
            if (weight >= 0) least = weight < least ? weight : least;
            most = weight > most ? weight : most;
        }
    }
    assert_true(least < 0.15f && most > 0.85f); /* 60 evenly distributed weights */
    skive_loader_free(plain);
    skive_loader_free(mixed);
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

/* Images stored [c][h][w] and [h][w][c]; the rectangle of the other image must be the same in all channels, and its
 * area the share of the other label. */
static void cut_and_mixed(void **state) {
    (void)state;
    enum { TH = 5, TW = 5, PLANE = TH * TW, SIZE = 3 * PLANE, N = 48 };
    skive_context *ctx = skv_test_context();
    static uint8_t first[N][3][TH][TW], last[N][TH][TW][3];
    int64_t labels[N];
    char spec[2 * SKV_TEST_PATH + 8];
    int cut = 0;
    for (int i = 0; i < N; i++) {
        labels[i] = i % 10;
        for (int k = 0; k < SIZE; k++) {
            first[i][k / PLANE][k / TW % TH][k % TW] = (uint8_t)(i * 5 + k / PLANE); /* one value in each channel */
            last[i][k / TW % TH][k % TW][k / PLANE] = (uint8_t)(i * 5 + k / PLANE);
        }
    }
    for (int form = 0; form < 2; form++) {
        skive_tensor x = {.dtype = SKIVE_U8, .rank = 4, .dims = {N, 3, TH, TW}, .data = first};
        const skive_tensor y = {.dtype = SKIVE_I64, .rank = 1, .dims = {N}, .data = labels};
        if (form) x = (skive_tensor){.dtype = SKIVE_U8, .rank = 4, .dims = {N, TH, TW, 3}, .data = last};
        skv_test_ok(ctx, skive_tensor_save_npy(ctx, at("x.npy"), &x));
        skv_test_ok(ctx, skive_tensor_save_npy(ctx, at("y.npy"), &y));
        (void)snprintf(spec, sizeof spec, "npy:%s,%s", at("x.npy"), at("y.npy"));
        skive_dataset *ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
        skive_loader *l = open_loader(ctx, ds, "cutmix", 0);
        taken t;
        for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
            skv_test_ok(ctx, skive_loader_start_epoch(l, epoch));
            while (take(ctx, l, SIZE, &t)) {
                for (size_t i = 0; i < t.count; i++) {
                    const size_t j = t.count - 1 - i;
                    int area = 0;
                    for (int p = 0; p < TH * TW; p++) {
                        int of_other = 0;
                        for (int c = 0; c < 3; c++) {
                            const float v = t.x[i * SIZE + (size_t)(form ? 3 * p + c : c * PLANE + p)] * 255;
                            const int got = (int)lrintf(v) - c;
                            assert_true(got == (int)t.indices[i] * 5 || got == (int)t.indices[j] * 5);
                            of_other += got != (int)t.indices[i] * 5;
                        }
                        assert_true(of_other == 0 || of_other == 3);
                        area += of_other == 3;
                    }
                    const float w = check_shares(&t, i, j);
                    if (w >= 0) assert_true(fabsf(w - (1 - (float)area / (TH * TW))) < 1e-6f);
                    cut += area > 0;
                }
            }
        }
        skive_loader_free(l);
        skive_dataset_free(ds);
    }
    assert_true(cut > EPOCHS * N); /* of twice as many */
    skv_test_context_end(ctx);
}

static void the_same_with_threads(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_dataset *ds = open_split(ctx, write_idx(50), SKIVE_SPLIT_TEST);
    static const char *const lists[] = {"crop:1,mixup,cutmix", "mixup:probability=0.5",
                                        "flip,cutmix:probability=0.5,rotate:9"};
    for (size_t k = 0; k < 3; k++) {
        uint64_t hashes[3] = {0};
        for (int threads = 0; threads < 3; threads++) {
            skive_loader *l = open_loader(ctx, ds, lists[k], threads);
            taken t;
            for (uint64_t epoch = 0; epoch < 3; epoch++) {
                skv_test_ok(ctx, skive_loader_start_epoch(l, epoch));
                while (take(ctx, l, PIXELS, &t)) hashes[threads] = skv_hash64(&t, sizeof t, hashes[threads]);
            }
            skive_loader_free(l);
        }
        assert_true(hashes[0] == hashes[1] && hashes[1] == hashes[2]);
    }
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

/* Targets of a regression are mixed as the samples are; there is no label to share in a cut. */
static void mixed_targets(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    float x[30][4], y[30];
    char spec[2 * SKV_TEST_PATH + 8];
    for (int i = 0; i < 30; i++) {
        for (int k = 0; k < 4; k++) x[i][k] = (float)(i + 10 * k);
        y[i] = (float)(2 * i) + 0.5f;
    }
    const skive_tensor xs = {.dtype = SKIVE_F32, .rank = 2, .dims = {30, 4}, .data = x};
    const skive_tensor ys = {.dtype = SKIVE_F32, .rank = 1, .dims = {30}, .data = y};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, at("x.npy"), &xs));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, at("y.npy"), &ys));
    (void)snprintf(spec, sizeof spec, "npy:%s,%s", at("x.npy"), at("y.npy"));
    skive_dataset *ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skive_loader *l = open_loader(ctx, ds, "mixup:1", 0);
    taken t;
    int moved = 0;
    skv_test_ok(ctx, skive_loader_start_epoch(l, 0));
    while (take(ctx, l, 4, &t)) {
        for (size_t i = 0; i < t.count; i++) { /* still on the line of the data */
            assert_true(fabsf(t.y[i] - (2 * t.x[4 * i] + 0.5f)) < 1e-4f);
            moved += fabsf(t.x[4 * i] - (float)t.indices[i]) > 0.01f;
        }
    }
    assert_true(moved > 15);
    skive_loader_free(l);
    skive_loader_options o = skive_loader_options_default();
    o.transforms = "cutmix";
    l = NULL;
    skv_test_fails(ctx, skive_loader_create(ctx, ds, &o, &l), SKIVE_ERR_ARGUMENT, "'cutmix' is for images");
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

static skive_status one_epoch(skive_context *ctx, void *user) {
    skive_dataset *ds = NULL;
    skive_loader *l = NULL;
    skive_dataset_options o = skive_dataset_options_default();
    skive_loader_options lo = skive_loader_options_default();
    o.split = SKIVE_SPLIT_TEST;
    lo.batch = 4;
    lo.transforms = "augmix,mixup,cutmix";
    skive_status status = skive_dataset_open(ctx, user, &o, &ds);
    if (status == SKIVE_OK) status = skive_loader_create(ctx, ds, &lo, &l);
    if (status == SKIVE_OK) status = skive_loader_start_epoch(l, 0);
    for (bool end = false; status == SKIVE_OK && !end;) {
        skive_batch b;
        status = skive_loader_next(l, &b);
        end = b.end;
    }
    skive_loader_free(l);
    skive_dataset_free(ds);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    char spec[2 * SKV_TEST_PATH + 8];
    (void)snprintf(spec, sizeof spec, "%s", write_idx(9));
    assert_true(skv_test_walk_allocations(one_epoch, spec, 1) > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
        T(mixed_up), T(cut_and_mixed), T(the_same_with_threads), T(mixed_targets), T(every_allocation_may_fail),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
