/* Transforms that move pixels, lists of transforms, and what all of them have in common. The expected images are
 * computed by formulas of the test's own, in double. */
#include "augment_fixtures.h"

enum { TH = 9, TW = 7, TC = 2, TN = TH * TW * TC };
static const int64_t dims[3] = {TC, TH, TW};

static void lists(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skv_transform_list list;
    skv_test_ok(ctx, skv_transforms_parse(ctx, "crop:4,flip,rotate:10.5,cutout:8", &list));
    assert_int_equal(list.count, 4);
    assert_string_equal(list.items[2].transform->name, "rotate");
    assert_true(skv_option_real(&list.items[2].options, "degrees") == 10.5);
    assert_true(skv_option_real(&list.items[1].options, "probability") == 0.5);
    skv_test_ok(ctx, skv_transforms_parse(ctx, "affine:20,scale=0.5,shear=3,flip", &list));
    assert_int_equal(list.count, 2);
    assert_true(skv_option_real(&list.items[0].options, "shear") == 3);
    skv_test_ok(ctx, skv_transforms_parse(ctx, "", &list));
    assert_int_equal(list.count, 0);
    static const char *const bad[] = {"crop",     "crop:",
                                      "crop:1.5", "crop:-1",
                                      "smear:3",  "flip:2",
                                      "flip,",    ",flip",
                                      "rotate:x", "rotate:200",
                                      "cutout:0", "crop:4x",
                                      "crop:nan", "flip,flip,flip,flip,flip,flip,flip,flip,flip"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        skv_test_fails(ctx, skv_transforms_parse(ctx, bad[i], &list), SKIVE_ERR_ARGUMENT, "transform");
    }
    for (size_t i = 0; i < skive_transform_count(); i++) {
        const char *name = skive_transform_name(i);
        assert_int_equal(strncmp(skive_transform_syntax(i), name, strlen(name)), 0);
        assert_true(strlen(skive_transform_brief(i)) > 10);
    }
    skv_test_context_end(ctx);
}

/* ---- whole pixels ---- */

static void numbered(float *x) {
    for (int i = 0; i < TN; i++) x[i] = (float)(i + 1);
}

static void crops(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    float in[TN], out[TN];
    int hits[25] = {0};
    numbered(in);
    for (uint64_t i = 0; i < 600; i++) { /* every draw is one of the 25 shifts, and all of them occur */
        int found = -1;
        numbered(out);
        transform(ctx, "crop:2", dims, i, out);
        for (int s = 0; s < 25 && found < 0; s++) {
            bool same = true;
            for (int64_t k = 0; k < TN && same; k++)
                same = (double)out[k] ==
                       around(in + k / (TH * TW) * TH * TW, dims, k / TW % TH + s / 5 - 2, k % TW + s % 5 - 2);
            if (same) found = s;
        }
        assert_true(found >= 0);
        hits[found]++;
    }
    for (int s = 0; s < 25; s++) assert_true(hits[s] > 5);
    int empty = 0;
    for (uint64_t i = 0; i < 20; i++) { /* far beyond the image nothing is left of it */
        bool all = true;
        numbered(out);
        transform(ctx, "crop:1000", dims, i, out);
        for (int k = 0; k < TN; k++) all = all && out[k] == 0.0f;
        empty += all;
    }
    assert_true(empty >= 18);
    skv_test_context_end(ctx);
}

static void flips(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    float in[TN], out[TN];
    int mirrored = 0;
    numbered(in);
    numbered(out);
    transform(ctx, "flip:1", dims, 0, out);
    for (int64_t i = 0; i < TN; i++) assert_true(out[i] == in[i / TW * TW + TW - 1 - i % TW]);
    numbered(out);
    transform(ctx, "vertical-flip:1", dims, 0, out);
    for (int64_t i = 0; i < TN; i++)
        assert_true(out[i] == in[i / (TH * TW) * TH * TW + (TH - 1 - i / TW % TH) * TW + i % TW]);
    numbered(out);
    transform(ctx, "flip:0,vertical-flip:0", dims, 0, out);
    assert_memory_equal(in, out, sizeof in);
    for (uint64_t i = 0; i < 1000; i++) {
        numbered(out);
        transform(ctx, "flip:0.3", dims, i, out);
        mirrored += out[0] != in[0];
    }
    assert_true(mirrored > 250 && mirrored < 350); /* 300, deviation 14.5 */
    skv_test_context_end(ctx);
}

/* ---- between pixels ---- */

/* The image as the test computes it: pixel (x, y) is read at (u, v) = (n[0] x + n[1] y + n[2], ...). */
static void expect_warp(const float *in, const double n[9], const float *out, double tolerance) {
    for (int64_t c = 0; c < TC; c++) {
        for (int64_t y = 0; y < TH; y++) {
            for (int64_t x = 0; x < TW; x++) {
                const double d = n[6] * (double)x + n[7] * (double)y + n[8];
                const double u = (n[0] * (double)x + n[1] * (double)y + n[2]) / d;
                const double v = (n[3] * (double)x + n[4] * (double)y + n[5]) / d;
                const double wanted = bilinear(in + c * TH * TW, dims, v, u);
                assert_true(fabs((double)out[(c * TH + y) * TW + x] - wanted) < tolerance);
            }
        }
    }
}

static void rotations(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    const double pi = acos(-1);
    float in[TN], out[TN];
    noise_image(in, TN, 1);
    for (uint64_t i = 0; i < 20; i++) {
        skv_draw d = draws(i);
        const double angle = 90 * (2 * skv_draw_uniform(&d) - 1) * pi / 180, cx = (TW - 1) / 2.0, cy = (TH - 1) / 2.0;
        /* A point of the result turned back about the centre. */
        const double n[9] = {cos(angle),  sin(angle), cx - cos(angle) * cx - sin(angle) * cy,
                             -sin(angle), cos(angle), cy + sin(angle) * cx - cos(angle) * cy,
                             0,           0,          1};
        memcpy(out, in, sizeof in);
        transform(ctx, "rotate:90", dims, i, out);
        expect_warp(in, n, out, 1e-5);
    }
    skv_test_context_end(ctx);
}

/* The forward matrix is written out here, and inverted by Cramer's rule. */
static void affine_maps(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    const double turn = acos(-1) / 180, cx = (TW - 1) / 2.0, cy = (TH - 1) / 2.0;
    float in[TN], out[TN];
    noise_image(in, TN, 2);
    for (uint64_t i = 0; i < 20; i++) {
        skv_draw d = draws(i);
        const double angle = skv_draw_between(&d, -40, 40) * turn;
        const double dx = skv_draw_between(&d, -0.2, 0.2) * TW, dy = skv_draw_between(&d, -0.2, 0.2) * TH;
        const double size = skv_draw_between(&d, 0.7, 1.3);
        const double sx = tan(skv_draw_between(&d, -25, 25) * turn), sy = tan(skv_draw_between(&d, -25, 25) * turn);
        const double shear[2][2] = {{1, sx}, {sy, 1 + sx * sy}};
        const double rotation[2][2] = {{cos(angle), -sin(angle)}, {sin(angle), cos(angle)}};
        double f[2][2];
        for (int r = 0; r < 2; r++) {
            for (int c = 0; c < 2; c++) f[r][c] = size * (rotation[r][0] * shear[0][c] + rotation[r][1] * shear[1][c]);
        }
        const double det = f[0][0] * f[1][1] - f[0][1] * f[1][0];
        const double a = f[1][1] / det, b = -f[0][1] / det, c = -f[1][0] / det, e = f[0][0] / det;
        const double n[9] = {a, b, cx - a * (cx + dx) - b * (cy + dy), c, e, cy - c * (cx + dx) - e * (cy + dy), 0,
                             0, 1};
        memcpy(out, in, sizeof in);
        transform(ctx, "affine:40,translate=0.2,scale=0.3,shear=25", dims, i, out);
        expect_warp(in, n, out, 1e-5);
    }
    skv_test_context_end(ctx);
}

/* The map of a unit square to a quadrilateral in closed form (Heckbert 1989), from which the test goes back. */
static void square_to(double q[4][2], double m[9]) {
    const double dx1 = q[1][0] - q[2][0], dx2 = q[3][0] - q[2][0], sx = q[0][0] - q[1][0] + q[2][0] - q[3][0];
    const double dy1 = q[1][1] - q[2][1], dy2 = q[3][1] - q[2][1], sy = q[0][1] - q[1][1] + q[2][1] - q[3][1];
    const double det = dx1 * dy2 - dx2 * dy1, g = (sx * dy2 - dx2 * sy) / det, h = (dx1 * sy - sx * dy1) / det;
    const double values[9] = {q[1][0] - q[0][0] + g * q[1][0],
                              q[3][0] - q[0][0] + h * q[3][0],
                              q[0][0],
                              q[1][1] - q[0][1] + g * q[1][1],
                              q[3][1] - q[0][1] + h * q[3][1],
                              q[0][1],
                              g,
                              h,
                              1};
    memcpy(m, values, sizeof values);
}

static void adjugate(const double m[9], double out[9]) {
    for (int r = 0; r < 3; r++) {
        for (int c = 0; c < 3; c++) {
            const int r1 = (c + 1) % 3, r2 = (c + 2) % 3, c1 = (r + 1) % 3, c2 = (r + 2) % 3;
            out[3 * r + c] = m[3 * r1 + c1] * m[3 * r2 + c2] - m[3 * r1 + c2] * m[3 * r2 + c1];
        }
    }
}

static void perspectives(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    float in[TN], out[TN];
    noise_image(in, TN, 3);
    for (uint64_t i = 0; i < 20; i++) {
        skv_draw d = draws(i);
        (void)skv_draw_uniform(&d); /* whether at all */
        double corner[4][2], m[9], inverse[9], n[9];
        for (int k = 0; k < 4; k++) {
            const double dx = 0.6 * skv_draw_uniform(&d) * TW / 2, dy = 0.6 * skv_draw_uniform(&d) * TH / 2;
            corner[k][0] = k == 1 || k == 2 ? TW - 1 - dx : dx;
            corner[k][1] = k >= 2 ? TH - 1 - dy : dy;
        }
        square_to(corner, m);
        adjugate(m, inverse);
        for (int k = 0; k < 3; k++) { /* the unit square as large as the image */
            n[k] = inverse[k] * (TW - 1);
            n[3 + k] = inverse[3 + k] * (TH - 1);
            n[6 + k] = inverse[6 + k];
        }
        memcpy(out, in, sizeof in);
        transform(ctx, "perspective:0.6,probability=1", dims, i, out);
        expect_warp(in, n, out, 1e-5);
    }
    skv_test_context_end(ctx);
}

/* Every result is some rectangle resized by the rule of pixel centres, its border repeated. */
static void resized_crops(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    float in[TN], out[TN];
    int sizes = 0, seen[TH * TW + 1] = {0};
    noise_image(in, TN, 4);
    for (uint64_t i = 0; i < 40; i++) {
        int found = 0;
        memcpy(out, in, sizeof in);
        transform(ctx, "resized-crop:0.2,most=0.9", dims, i, out);
        for (int at = 0; at < TH * TW * TH * TW && !found; at++) {
            const int h = at / (TW * TH * TW) + 1, w = at / (TH * TW) % TW + 1, top = at / TW % TH, left = at % TW;
            if (top + h > TH || left + w > TW) continue;
            bool same = true;
            for (int k = 0; k < TN && same; k++) {
                const double v = (k / TW % TH + 0.5) * h / TH - 0.5, u = (k % TW + 0.5) * w / TW - 0.5;
                const double y = top + fmin(fmax(v, 0), h - 1), x = left + fmin(fmax(u, 0), w - 1);
                same = fabs((double)out[k] - bilinear(in + k / (TH * TW) * TH * TW, dims, y, x)) < 1e-5;
            }
            if (!same) continue;
            found = h * w;
            assert_true(w <= 1.5 * h + 1 && h <= 1.5 * w + 1); /* 4/3, and rounding */
        }
        assert_true(found > 0.1 * TH * TW && found <= TH * TW);
        sizes += !seen[found];
        seen[found] = 1;
    }
    assert_true(sizes > 8);
    skv_test_context_end(ctx);
}

/* ---- parts left out ---- */

/* The pixels that are `blank`, which must be a rectangle in all channels; its area, or 0. */
static int blank_area(const float *in, const float *out) {
    int top = TH, left = TW, bottom = -1, right = -1, n = 0;
    for (int k = 0; k < TH * TW; k++) {
        if (out[k] == in[k]) continue;
        top = k / TW < top ? k / TW : top;
        bottom = k / TW;
        left = k % TW < left ? k % TW : left;
        right = k % TW > right ? k % TW : right;
        n++;
    }
    assert_true(n == 0 || n == (bottom - top + 1) * (right - left + 1));
    for (int k = 0; k < TH * TW; k++) assert_true((out[k] == in[k]) == (out[TH * TW + k] == in[TH * TW + k]));
    return n;
}

static void cut_parts(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    float in[TN], out[TN];
    int whole = 0, kept = 0, least = TN, most = 0;
    numbered(in);
    for (uint64_t i = 0; i < 300; i++) {
        memcpy(out, in, sizeof in);
        transform(ctx, "cutout:3", dims, i, out);
        int n = blank_area(in, out);
        for (int k = 0; k < TN; k++) assert_true(out[k] == 0.0f || out[k] == in[k]);
        assert_true(n >= 4 && n <= 9);
        whole += n == 9;

        memcpy(out, in, sizeof in);
        transform(ctx, "erase:0.8,area=0.1,most=0.5,fill=noise", dims, i, out);
        n = blank_area(in, out);
        for (int k = 0; k < TN; k++) assert_true(out[k] == in[k] || (out[k] >= 0.0f && out[k] < 1.0f));
        kept += n == 0;
        if (n) least = n < least ? n : least;
        most = n > most ? n : most;
    }
    assert_true(whole > 75);
    assert_true(kept > 35 && kept < 85);    /* a fifth, and those of no fitting shape */
    assert_true(least <= 10 && least >= 3); /* about a tenth of 63 */
    assert_true(most >= 24 && most <= 36);  /* about half of it */
    skv_test_context_end(ctx);
}

/* ---- what all have in common ---- */

static void all_are_pure(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skv_transform_list list;
    skv_test_ok(ctx, skv_transforms_parse(ctx, "crop:2,flip,rotate:20,cutout:3", &list));
    float first[TN], a[TN], b[TN];
    int differ = 0;
    for (uint64_t k = 0; k < 40; k++) { /* seed, epoch and index each change the outcome; the same again does not */
        for (int again = 0; again < 2; again++) {
            const skv_transform_run run = {
                .list = &list, .seed = 1 + k % 2, .epoch = 5 + k / 2 % 2, .index = 100 + k / 4, .dims = {TC, TH, TW}};
            numbered(a);
            const float *r = skv_transforms_apply(&run, a, b);
            if (again) {
                assert_memory_equal(first, r, sizeof first);
            } else {
                if (k) differ += memcmp(first, r, sizeof first) != 0;
                memcpy(first, r, sizeof first);
            }
        }
    }
    assert_true(differ >= 37);
    skv_test_context_end(ctx);
}

/* A name with what it requires. */
static const char *with_options(size_t i, char *text, size_t room) {
    const char *name = skive_transform_name(i), *syntax = skive_transform_syntax(i);
    (void)snprintf(text, room, "%s%s", name, syntax[strlen(name)] == ':' ? ":3" : "");
    return text;
}

/* Every record that is for images, on images of awkward sizes: all of the result is written, and no pixel is NaN. */
static void all_write_everything(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    static const int64_t shapes[][3] = {{3, 1, 1}, {3, 1, 9}, {3, 8, 1}, {3, 2, 2}, {3, 16, 5}, {1, 7, 7}};
    float x[ROOM];
    for (size_t i = 0; i < skive_transform_count(); i++) {
        char text[64];
        skv_transform_list list;
        (void)with_options(i, text, sizeof text);
        skv_test_ok(ctx, skv_transforms_parse(ctx, text, &list));
        const skv_transform *t = list.items[0].transform;
        assert_true(t->on != 0);
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes && t->on & SKV_ON_IMAGE; s++) {
            const size_t n = (size_t)(shapes[s][0] * shapes[s][1] * shapes[s][2]);
            if (t->channels && t->channels != shapes[s][0]) continue;
            for (uint64_t k = 0; k < 60; k++) {
                noise_image(x, n, k);
                transform(ctx, text, shapes[s], k, x);
                for (size_t j = 0; j < n; j++) assert_true(x[j] >= -1e-6f && x[j] <= 1 + 1e-6f);
            }
        }
    }
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),         cmocka_unit_test(crops),
        cmocka_unit_test(flips),         cmocka_unit_test(rotations),
        cmocka_unit_test(affine_maps),   cmocka_unit_test(perspectives),
        cmocka_unit_test(resized_crops), cmocka_unit_test(cut_parts),
        cmocka_unit_test(all_are_pure),  cmocka_unit_test(all_write_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
