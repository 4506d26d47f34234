/* Images from cameras and programs: EXIF orientation, CMYK, BMP of every depth, and their headers. */
#include "data_fixtures.h"

typedef struct bytes {
    unsigned char data[1 << 16];
    size_t n;
} bytes;

static void put(bytes *b, const void *data, size_t n) {
    assert_true(b->n + n <= sizeof b->data);
    if (n) memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void put_le(bytes *b, uint32_t value, int size) {
    for (int i = 0; i < size; i++) put(b, &(unsigned char){(unsigned char)(value >> (8 * i))}, 1);
}

static void decode(skive_context *ctx, const bytes *b, int channels, skv_image *out) {
    skv_test_ok(ctx, skv_image_decode(ctx, b->data, b->n, "photo", channels, out));
}

/* ---- turns ---- */

/* The bytes of an EXIF header with one entry, the orientation. */
static size_t exif(unsigned char *out, int turn, bool big) {
    static const unsigned char motorola[] = {'M', 'M', 0, '*', 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 0};
    static const unsigned char intel[] = {'I', 'I', '*', 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 0, 0};
    memcpy(out, big ? motorola : intel, sizeof intel);
    out[18 + (big ? 1 : 0)] = (unsigned char)turn;
    memset(out + sizeof intel, 0, 6);
    return sizeof intel + 6;
}

static void with_turn(bytes *out, const unsigned char *image, size_t n, bool png, int turn, bool big) {
    unsigned char note[64];
    const size_t size = exif(note, turn, big);
    out->n = 0;
    if (png) {
        unsigned char head[8], sum[4];
        put32(head, (unsigned)size);
        memcpy(head + 4, "eXIf", 4);
        put32(sum, (unsigned)crc32(crc32(0, head + 4, 4), note, (unsigned)size));
        put(out, image, 33);
        put(out, head, 8);
        put(out, note, size);
        put(out, sum, 4);
        put(out, image + 33, n - 33);
    } else {
        put(out, image, 2);
        put(out, (unsigned char[]){0xff, 0xe1, 0, (unsigned char)(size + 8)}, 4);
        put(out, "Exif\0", 6);
        put(out, note, size);
        put(out, image + 2, n - 2);
    }
}

/* What is stored is the letter F, dark on light, 3 wide and 5 high; each turn is how EXIF says a camera stored it: the
 * pictures are drawn as they are seen. */
static void turns(void **state) {
    static const char *const shown[9] = {NULL,
                                         "###/#../##./#../#..", /* as it is */
                                         "###/..#/.##/..#/..#", /* mirrored */
                                         "..#/..#/.##/..#/###", /* upside down */
                                         "#../#../##./#../###", /* mirrored, upside down */
                                         "#####/#.#../#....",   /* mirrored along the diagonal */
                                         "#####/..#.#/....#",   /* a quarter turn to the right */
                                         "....#/..#.#/#####",   /* along the other diagonal */
                                         "#..../#.#../#####"};  /* a quarter turn to the left */
    static unsigned char stored[1 << 14];
    static bytes b;
    unsigned char f[15];
    skive_context *ctx = skv_test_context();
    (void)state;
    for (int i = 0; i < 15; i++) f[i] = shown[1][i / 3 * 4 + i % 3] == '#' ? 0 : 200;
    write_png_raw(at("f.png"), 3, 5, 8, PNG_COLOR_TYPE_GRAY, false, f, 3);
    write_jpeg(at("f.jpg"), 3, 5, 1, false, f);
    for (int k = 0; k < 4; k++) {
        const size_t n = read_file(at(k < 2 ? "f.png" : "f.jpg"), stored, sizeof stored);
        for (int turn = 0; turn <= 9; turn++) { /* 0 and 9 do not exist: as it is */
            const char *expected = shown[turn >= 1 && turn <= 8 ? turn : 1];
            const int width = (int)strcspn(expected, "/"), height = 15 / width;
            skv_image image;
            skv_image_head head;
            with_turn(&b, stored, n, k < 2, turn, k % 2);
            decode(ctx, &b, 0, &image);
            assert_int_equal(image.width, width);
            assert_int_equal(image.height, height);
            for (int y = 0; y < height; y++) {
                for (int x = 0; x < width; x++)
                    assert_int_equal(image.pixels[y * width + x] < 100, expected[y * (width + 1) + x] == '#');
            }
            skv_free(ctx, image.pixels);
            skv_test_ok(ctx, skv_image_head_of(ctx, b.data, b.n, "photo", &head));
            assert_int_equal(head.width, width);
            assert_int_equal(head.height, height);
            assert_int_equal(head.turn, turn >= 1 && turn <= 8 ? turn : 1);
        }
    }
    skv_test_context_end(ctx);
}

/* ---- four inks ---- */

static void write_inks(const char *path, bool adobe, const unsigned char *cmyk) {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    FILE *f = fopen(path, "wb");
    unsigned char row[8 * 4];
    assert_non_null(f);
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_stdio_dest(&c, f);
    c.image_width = c.image_height = 8;
    c.input_components = 4;
    c.in_color_space = JCS_CMYK;
    jpeg_set_defaults(&c);
    if (adobe) jpeg_set_colorspace(&c, JCS_YCCK);
    c.write_Adobe_marker = adobe;
    jpeg_set_quality(&c, 100, TRUE);
    jpeg_start_compress(&c, TRUE);
    for (int x = 0; x < 8; x++) memcpy(row + 4 * x, cmyk, 4);
    while (c.next_scanline < 8) (void)jpeg_write_scanlines(&c, &(JSAMPROW){row}, 1);
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    (void)fclose(f);
}

static void inks(void **state) {
    static const unsigned char ink[4] = {51, 102, 204, 51}; /* a fifth, two fifths, four fifths; a fifth of black */
    static const int rgb[3] = {163, 122, 41};               /* (255 - ink) * (255 - black) / 255 */
    static bytes b;
    unsigned char inverted[4];
    skive_context *ctx = skv_test_context();
    (void)state;
    for (int i = 0; i < 4; i++) inverted[i] = (unsigned char)(255 - ink[i]);
    for (int adobe = 0; adobe < 2; adobe++) {
        skv_image image;
        skv_image_head head;
        write_inks(at("inks.jpg"), adobe, adobe ? inverted : ink);
        b.n = read_file(at("inks.jpg"), b.data, sizeof b.data);
        skv_test_ok(ctx, skv_image_head_of(ctx, b.data, b.n, "photo", &head));
        assert_true(head.cmyk && head.channels == 3);
        decode(ctx, &b, 0, &image);
        assert_int_equal(image.channels, 3);
        for (int i = 0; i < 64 * 3; i++) assert_true(abs(image.pixels[i] - rgb[i % 3]) <= 4);
        skv_free(ctx, image.pixels);
        decode(ctx, &b, 1, &image);
        assert_int_equal(image.channels, 1);
        assert_true(abs(image.pixels[0] - (int)lround(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2])) <= 4);
        skv_free(ctx, image.pixels);
    }
    skv_test_context_end(ctx);
}

/* ---- BMP ---- */

typedef struct bmp_case {
    const char *name;
    int bits, header, height; /* height below 0: rows from above */
    uint32_t compression, masks[3];
    const unsigned char *palette, *rows;
    size_t palette_size, rows_size;
    int channels;
    const unsigned char *expected; /* [2][3][channels] */
} bmp_case;

static void make_bmp(bytes *b, const bmp_case *c) {
    const size_t masks = c->compression == 3 && c->header == 40 ? 12 : 0;
    b->n = 0;
    put(b, "BM", 2);
    put_le(b, 0, 4);
    put_le(b, 0, 4);
    put_le(b, (uint32_t)(14 + (size_t)c->header + masks + c->palette_size), 4);
    put_le(b, (uint32_t)c->header, 4);
    if (c->header == 12) {
        put_le(b, 3, 2);
        put_le(b, (uint32_t)c->height, 2);
        put_le(b, 1, 2);
        put_le(b, (uint32_t)c->bits, 2);
    } else {
        put_le(b, 3, 4);
        put_le(b, (uint32_t)c->height, 4);
        put_le(b, 1, 2);
        put_le(b, (uint32_t)c->bits, 2);
        put_le(b, c->compression, 4);
        for (int i = 0; i < 3; i++) put_le(b, 0, 4);
        put_le(b, (uint32_t)(c->palette_size / 4), 4);
        put_le(b, 0, 4);
        if (masks || c->header > 40) {
            for (int i = 0; i < 3; i++) put_le(b, c->masks[i], 4);
        }
        for (int i = 52; i < c->header; i++) put_le(b, 0, 1);
    }
    put(b, c->palette, c->palette_size);
    put(b, c->rows, c->rows_size);
}

static const unsigned char two_colours[] = {0, 0, 255, 0, 255, 0, 0, 0}, greys[] = {7, 7, 7, 0, 99, 99, 99, 0};

static const unsigned char one_bit[] = {0x40, 0, 0, 0, 0xa0, 0, 0, 0}, four_bits[] = {0x01, 0, 0, 0, 0x10, 0x10, 0, 0},
                           eight_bits[] = {0, 1, 0, 0, 1, 0, 1, 0};
/* The row below is stored first: red blue red, and above blue red blue. */
static const unsigned char striped[] = {0, 0, 255, 255, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 255, 255, 0, 0};
static const unsigned char grey_striped[] = {99, 7, 99, 7, 99, 7};
static const unsigned char words555[] = {0x1f, 0, 0, 0x7c, 0x1f, 0, 0, 0, 0, 0x7c, 0x1f, 0, 0, 0x7c, 0, 0};
static const unsigned char words565[] = {0x1f, 0, 0, 0xf8, 0x1f, 0, 0, 0, 0, 0xf8, 0x1f, 0, 0, 0xf8, 0, 0};
static const unsigned char triples[] = {0,   0, 255, 255, 0, 0,   0,   0, 255, 0, 0, 0,
                                        255, 0, 0,   0,   0, 255, 255, 0, 0,   0, 0, 0};
static const unsigned char quads[] = {255, 0, 0,   9, 0,   0, 255, 9, 255, 0, 0,   9,
                                      0,   0, 255, 9, 255, 0, 0,   9, 0,   0, 255, 9};
static const unsigned char turned_striped[] = {255, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 255};

static void bmp_kinds(void **state) {
    static const bmp_case cases[] = {
        {"1 bit", 1, 40, 2, 0, {0}, two_colours, one_bit, 8, 8, 3, striped},
        {"4 bits", 4, 40, 2, 0, {0}, two_colours, four_bits, 8, 8, 3, striped},
        {"8 bits", 8, 40, 2, 0, {0}, two_colours, eight_bits, 8, 8, 3, striped},
        {"grey", 8, 40, 2, 0, {0}, greys, eight_bits, 8, 8, 1, grey_striped},
        {"16 bits", 16, 40, -2, 0, {0}, NULL, words555, 0, 16, 3, striped},
        {"masks", 16, 40, -2, 3, {0xf800, 0x7e0, 0x1f}, NULL, words565, 0, 16, 3, striped},
        {"24 bits", 24, 40, 2, 0, {0}, NULL, triples, 0, 24, 3, striped},
        {"from above", 24, 40, -2, 0, {0}, NULL, triples, 0, 24, 3, turned_striped},
        {"32 bits", 32, 40, -2, 0, {0}, NULL, quads, 0, 24, 3, striped},
        {"V4", 32, 108, -2, 3, {0xff0000, 0xff00, 0xff}, NULL, quads, 0, 24, 3, striped},
        {"core", 24, 12, 2, 0, {0}, NULL, triples, 0, 24, 3, striped},
    };
    static bytes b;
    skive_context *ctx = skv_test_context();
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        const bmp_case *c = &cases[k];
        skv_image image;
        make_bmp(&b, c);
        print_message("%s\n", c->name);
        decode(ctx, &b, 0, &image);
        assert_int_equal(image.width, 3);
        assert_int_equal(image.height, 2);
        assert_int_equal(image.channels, c->channels);
        for (size_t i = 0; i < 6 * (size_t)c->channels; i++) assert_int_equal(image.pixels[i], c->expected[i]);
        skv_free(ctx, image.pixels);
        const size_t whole = b.n;
        for (b.n = 2; b.n < whole; b.n++) /* cut short, it is refused */
            skv_test_fails(ctx, skv_image_decode(ctx, b.data, b.n, "photo", 0, &image), SKIVE_ERR_DATA, "photo");
    }
    skv_test_context_end(ctx);
}

static void bmp_refused(void **state) {
    static const struct {
        const char *says;
        size_t at;
        uint32_t value;
        int size;
    } cases[] = {{"compressed with RLE8", 30, 1, 4},
                 {"compressed with RLE4", 30, 2, 4},
                 {"compressed with JPEG", 30, 4, 4},
                 {"unknown BMP compression 99", 30, 99, 4},
                 {"9 bits per pixel", 28, 9, 2},
                 {"its width is 0", 18, 0, 4},
                 {"no pixels", 22, 0, 4},
                 {"limits are", 18, 0x7fffffff, 4},
                 {"limits are", 22, 0x80000000u, 4},
                 {"truncated", 10, 0xffffffffu, 4},
                 {"outside its palette", 62, 3, 1},
                 {"palette is incomplete", 46, 200, 4}};
    static const bmp_case grey = {"grey", 8, 40, 2, 0, {0}, greys, eight_bits, 8, 8, 1, grey_striped};
    static bytes b;
    skive_context *ctx = skv_test_context();
    skv_image image;
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        make_bmp(&b, &grey);
        for (int i = 0; i < cases[k].size; i++)
            b.data[cases[k].at + (size_t)i] = (unsigned char)(cases[k].value >> (8 * i));
        skv_test_fails(ctx, skv_image_decode(ctx, b.data, b.n, "photo", 0, &image), SKIVE_ERR_DATA, cases[k].says);
        assert_null(image.pixels);
    }
    skv_test_context_end(ctx);
}

static void others_are_named(void **state) {
    static const struct {
        const char *bytes, *says;
        size_t n;
    } cases[] = {{"RIFF....WEBPVP8 ", "a WebP image", 16},
                 {"GIF89a", "a GIF image", 6},
                 {"II*\0....", "a TIFF image", 8},
                 {"\0\0\0\x1c"
                  "ftypheic",
                  "a HEIC image", 12},
                 {"\0\0\0\x1c"
                  "ftypavif",
                  "an AVIF image", 12},
                 {"<!DOCTYPE html>", "a web page", 15},
                 {"version https://git-lfs.github.com", "Git LFS pointer", 34},
                 {"", "it is empty", 0}};
    skive_context *ctx = skv_test_context();
    skv_image image;
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++)
        skv_test_fails(ctx, skv_image_decode(ctx, cases[k].bytes, cases[k].n, "x.png", 0, &image), SKIVE_ERR_DATA,
                       cases[k].says);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns),
        cmocka_unit_test(inks),
        cmocka_unit_test(bmp_kinds),
        cmocka_unit_test(bmp_refused),
        cmocka_unit_test(others_are_named),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
