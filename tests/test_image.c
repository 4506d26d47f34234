/* Images: the kinds of PNG and JPEG, damaged files, and resizing. */
#include "data_fixtures.h"

/* ---- images ---- */

static void decode_file(skive_context *ctx, const char *path, int channels, skv_image *out) {
    static unsigned char bytes[1 << 16];
    size_t n = read_file(path, bytes, sizeof bytes);
    skv_test_ok(ctx, skv_image_decode(ctx, bytes, n, path, channels, out));
}

static void png_kinds(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    unsigned char rgb[9 * 7 * 4];
    skv_image image;
    const char *path = at("a.png");
    smooth(rgb, 9, 7, 3, 10);
    for (int interlaced = 0; interlaced < 2; interlaced++) {
        write_png_raw(path, 9, 7, 8, PNG_COLOR_TYPE_RGB, interlaced != 0, rgb, 27);
        decode_file(ctx, path, 0, &image);
        assert_int_equal(image.width, 9);
        assert_int_equal(image.height, 7);
        assert_int_equal(image.channels, 3);
        assert_memory_equal(image.pixels, rgb, 9 * 7 * 3);
        skv_free(ctx, image.pixels);
    }
    decode_file(ctx, path, 1, &image); /* to grey: luma */
    assert_int_equal(image.channels, 1);
    assert_int_equal(image.pixels[0], (int)lround(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]));
    skv_free(ctx, image.pixels);

    smooth(rgb, 9, 7, 4, 10); /* transparency is dropped */
    write_png_raw(path, 9, 7, 8, PNG_COLOR_TYPE_RGB_ALPHA, false, rgb, 36);
    decode_file(ctx, path, 0, &image);
    assert_int_equal(image.channels, 3);
    for (size_t i = 0; i < 63; i++) assert_memory_equal(image.pixels + 3 * i, rgb + 4 * i, 3);
    skv_free(ctx, image.pixels);

    smooth(rgb, 9, 7, 1, 100); /* grey, also as RGB */
    write_png_raw(path, 9, 7, 8, PNG_COLOR_TYPE_GRAY, true, rgb, 9);
    decode_file(ctx, path, 3, &image);
    for (size_t i = 0; i < 63 * 3; i++) assert_int_equal(image.pixels[i], rgb[i / 3]);
    skv_free(ctx, image.pixels);

    unsigned char deep[4] = {0x12, 0x34, 0xff, 0xff}, bits = 0xA0, indices = 0x1B;
    write_png_raw(path, 2, 1, 16, PNG_COLOR_TYPE_GRAY, false, deep, 4);
    decode_file(ctx, path, 0, &image);
    assert_int_equal(image.pixels[0], 0x12);
    assert_int_equal(image.pixels[1], 255);
    skv_free(ctx, image.pixels);
    write_png_raw(path, 4, 1, 1, PNG_COLOR_TYPE_GRAY, false, &bits, 1);
    decode_file(ctx, path, 0, &image);
    assert_memory_equal(image.pixels, ((unsigned char[]){255, 0, 255, 0}), 4);
    skv_free(ctx, image.pixels);
    write_png_raw(path, 4, 1, 2, PNG_COLOR_TYPE_PALETTE, false, &indices, 1);
    decode_file(ctx, path, 0, &image);
    assert_memory_equal(image.pixels, ((unsigned char[]){10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120}), 12);
    skv_free(ctx, image.pixels);
    skv_test_context_end(ctx);
}

static void jpeg_kinds(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    unsigned char pixels[32 * 24 * 3];
    skv_image image;
    const char *path = at("a.jpg");
    for (unsigned channels = 1; channels <= 3; channels += 2) {
        for (int progressive = 0; progressive < 2; progressive++) {
            smooth(pixels, 32, 24, channels, 10);
            write_jpeg(path, 32, 24, (int)channels, progressive != 0, pixels);
            decode_file(ctx, path, 0, &image);
            assert_int_equal(image.width, 32);
            assert_int_equal(image.height, 24);
            assert_int_equal(image.channels, channels);
            for (size_t i = 0; i < 32 * 24 * channels; i++) assert_true(abs(image.pixels[i] - pixels[i]) <= 6);
            skv_free(ctx, image.pixels);
            decode_file(ctx, path, channels == 1 ? 3 : 1, &image);
            assert_int_equal(image.channels, channels == 1 ? 3 : 1);
            skv_free(ctx, image.pixels);
        }
    }
    skv_test_context_end(ctx);
}

static void image_damage(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    static unsigned char bytes[1 << 16];
    unsigned char pixels[32 * 24 * 3];
    skv_image image;
    smooth(pixels, 32, 24, 3, 10);
    write_png_raw(at("a.png"), 32, 24, 8, PNG_COLOR_TYPE_RGB, false, pixels, 96);
    write_jpeg(at("a.jpg"), 32, 24, 3, false, pixels);
    write_jpeg(at("p.jpg"), 32, 24, 3, true, pixels);
    static const char *const names[] = {"a.png", "a.jpg", "p.jpg"};
    for (int k = 0; k < 3; k++) {
        size_t n = read_file(at(names[k]), bytes, sizeof bytes);
        size_t last = k == 0 ? n : n - 2; /* a JPEG without its end marker has all its pixels */
        for (size_t cut = 0; cut < last; cut++) {
            unsigned char *exact = malloc(cut + 1); /* so that reading beyond the end shows */
            assert_non_null(exact);
            memcpy(exact, bytes, cut);
            skv_test_fails(ctx, skv_image_decode(ctx, exact, cut, names[k], 0, &image), SKIVE_ERR_DATA, names[k]);
            assert_null(image.pixels);
            free(exact);
        }
        for (size_t i = 0; i < n; i++) { /* any status, but no crash and no leak */
            bytes[i] ^= 0x55;
            if (skv_image_decode(ctx, bytes, n, names[k], 0, &image) == SKIVE_OK)
                skv_free(ctx, image.pixels);
            else
                assert_non_null(strstr(skive_context_message(ctx), names[k]));
            bytes[i] ^= 0x55;
        }
    }
    skv_test_fails(ctx, skv_image_decode(ctx, "GIF89a......", 12, "x.png", 0, &image), SKIVE_ERR_DATA,
                   "not a PNG, JPEG or BMP image; it is a GIF image");
    /* claims 16384 x 16384 RGB, with a right checksum: refused before memory is asked for */
    size_t n = read_file(at("a.png"), bytes, sizeof bytes);
    put32(bytes + 16, 16384);
    put32(bytes + 20, 16384);
    put32(bytes + 29, (unsigned)crc32(crc32(0, NULL, 0), bytes + 12, 17));
    skv_test_fails(ctx, skv_image_decode(ctx, bytes, n, "big.png", 0, &image), SKIVE_ERR_DATA, "16384x16384");
    put32(bytes + 16, 100000);
    put32(bytes + 29, (unsigned)crc32(crc32(0, NULL, 0), bytes + 12, 17));
    skv_test_fails(ctx, skv_image_decode(ctx, bytes, n, "big.png", 0, &image), SKIVE_ERR_DATA, "big.png");
    n = read_file(at("a.jpg"), bytes, sizeof bytes);
    for (size_t i = 2; i + 9 < n; i++) { /* the frame header: FF C0 length(2) precision height(2) width(2) */
        if (bytes[i] != 0xff || bytes[i + 1] != 0xc0) continue;
        memcpy(bytes + i + 5, (unsigned char[]){0xf0, 0, 0xf0, 0}, 4);
        break;
    }
    skv_test_fails(ctx, skv_image_decode(ctx, bytes, n, "big.jpg", 0, &image), SKIVE_ERR_DATA, "61440x61440");
    skv_test_context_end(ctx);
}

static void resizing(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skv_resizer *r = NULL;
    unsigned char in[8] = {0, 100, 200, 40, 7, 7, 7, 7}, out[16];
    skv_test_ok(ctx, skv_resizer_create(ctx, 2, 4, 1, 2, 1, &r)); /* halved: triangle weights 1 3 3 1 over 8, cut */
    skv_resizer_run(r, in, out);
    double left = (3 * 0 + 3 * 100 + 1 * 200) / 7.0, right = (1 * 100 + 3 * 200 + 3 * 40) / 7.0;
    assert_int_equal(out[0], (int)((left + 7.0) / 2 + 0.5));
    assert_int_equal(out[1], (int)((right + 7.0) / 2 + 0.5));
    skv_resizer_free(r);
    skv_test_ok(ctx, skv_resizer_create(ctx, 1, 2, 1, 4, 2, &r)); /* doubled, two channels side by side */
    unsigned char pair[4] = {0, 80, 100, 0};
    skv_resizer_run(r, pair, out);
    assert_memory_equal(out, ((unsigned char[]){0, 80, 25, 60, 75, 20, 100, 0}), 8);
    skv_resizer_free(r);
    memset(in, 255, sizeof in);
    skv_test_ok(ctx, skv_resizer_create(ctx, 2, 4, 3, 5, 1, &r)); /* a flat image stays flat */
    skv_resizer_run(r, in, out);
    for (int i = 0; i < 15; i++) assert_int_equal(out[i], 255);
    skv_resizer_free(r);

    /* images in memory */
    skive_dataset_options o = skive_dataset_options_default();
    skive_dataset *ds = NULL;
    skive_dataset_info info;
    o.split = SKIVE_SPLIT_TEST;
    o.resize_h = 2 * H;
    o.resize_w = 2 * W;
    skv_test_ok(ctx, skive_dataset_open(ctx, write_idx(10), &o, &ds));
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.dims[1], 2 * H);
    assert_int_equal(info.sample_size, 4 * PIXELS);
    float x[4 * PIXELS];
    skv_test_ok(ctx, skive_dataset_read(ctx, ds, 3, x, NULL));
    assert_true(fabsf(x[0] * 255.0f - (float)pixel(3, 0)) < 1e-3f); /* a corner keeps its value */
    assert_true(fabsf(x[4 * PIXELS - 1] * 255.0f - (float)pixel(3, PIXELS - 1)) < 1e-3f);
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
        T(png_kinds),
        T(jpeg_kinds),
        T(image_damage),
        T(resizing),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
