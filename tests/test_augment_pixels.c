/* Transforms that change the values of pixels: colours, levels, blur, and the methods that draw operations from a pool.
 * Expected images are computed by formulas of the test's own, in double, or by hand. */
#include "augment_fixtures.h"

#include "data/augment/image_ops.h"

enum { TH = 8, TW = 6, PLANE = TH * TW, TN = 3 * PLANE };
static const int64_t dims[3] = {3, TH, TW};

static double limit(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

static double grey(const float *x, size_t i) {
    return 0.299 * (double)x[i] + 0.587 * (double)x[PLANE + i] + 0.114 * (double)x[2 * PLANE + i];
}

static void near(const float *x, const double *wanted, size_t n) {
    for (size_t i = 0; i < n; i++) assert_true(fabs((double)x[i] - wanted[i]) < 2e-6);
}

static void colours(void **state) {
    (void)state;
    float in[TN], out[TN];
    double wanted[TN], mean = 0;
    noise_image(in, TN, 1);
    for (size_t i = 0; i < PLANE; i++) mean += grey(in, i) / PLANE;
    static const double factors[] = {0, 0.3, 1, 1.7};
    for (size_t f = 0; f < 4; f++) {
        const double k = factors[f];
        for (size_t i = 0; i < TN; i++) wanted[i] = limit(k * (double)in[i]);
        skv_image_brightness(dims, k, in, out);
        near(out, wanted, TN);
        for (size_t i = 0; i < TN; i++) wanted[i] = limit(mean + k * ((double)in[i] - mean));
        skv_image_contrast(dims, k, in, out);
        near(out, wanted, TN);
        for (size_t i = 0; i < TN; i++) wanted[i] = limit(grey(in, i % PLANE) * (1 - k) + k * (double)in[i]);
        skv_image_saturation(dims, k, in, out);
        near(out, wanted, TN);
    }
    skv_image_gray(dims, in, out);
    for (size_t i = 0; i < TN; i++) wanted[i] = grey(in, i % PLANE);
    near(out, wanted, TN);
    const int64_t one[3] = {1, TH, TW}; /* of one channel the mean of contrast is that of its values */
    mean = 0;
    for (size_t i = 0; i < PLANE; i++) mean += (double)in[i] / PLANE;
    skv_image_contrast(one, 0.5, in, out);
    for (size_t i = 0; i < PLANE; i++) wanted[i] = 0.5 * (mean + (double)in[i]);
    near(out, wanted, PLANE);
    skv_image_saturation(one, 0, in, out);
    assert_memory_equal(in, out, PLANE * sizeof *in);
}

/* By the angle in the plane of colours: the channels are functions of it, 1 - |hue / 60 - place| and so on. */
static double channel_of(double hue, double saturation, double value, double n) {
    const double k = fmod(n + 6 * hue, 6); /* value - value saturation max(0, min(k, 4 - k, 1)) */
    return value - value * saturation * fmax(0, fmin(fmin(k, 4 - k), 1));
}

static void hues(void **state) {
    (void)state;
    float in[TN], out[TN];
    double wanted[TN];
    static const double at[3] = {5, 3, 1}; /* red, green, blue */
    double hue[PLANE], saturation[PLANE], value[PLANE];
    for (size_t i = 0; i < PLANE; i++) {
        hue[i] = skv_rng_uniform(2, 0, i);
        saturation[i] = skv_rng_uniform(2, 1, i);
        value[i] = skv_rng_uniform(2, 2, i);
        for (size_t c = 0; c < 3; c++) in[c * PLANE + i] = (float)channel_of(hue[i], saturation[i], value[i], at[c]);
    }
    static const double moves[] = {0, 0.25, -0.3, 0.5};
    for (size_t m = 0; m < 4; m++) {
        for (size_t i = 0; i < TN; i++)
            wanted[i] =
                channel_of(hue[i % PLANE] + moves[m] + 1, saturation[i % PLANE], value[i % PLANE], at[i / PLANE]);
        skv_image_hue(dims, moves[m], in, out);
        for (size_t i = 0; i < TN; i++) assert_true(fabs((double)out[i] - wanted[i]) < 1e-5);
    }
    /* red, a third of the circle on, is green; grey stays */
    float red[3] = {1, 0, 0}, grey_pixel[3] = {0.4f, 0.4f, 0.4f}, to[3];
    const int64_t single[3] = {3, 1, 1};
    skv_image_hue(single, 1.0 / 3, red, to);
    assert_true(fabsf(to[0]) < 1e-6f && fabsf(to[1] - 1) < 1e-6f && fabsf(to[2]) < 1e-6f);
    skv_image_hue(single, 0.4, grey_pixel, to);
    for (int c = 0; c < 3; c++) assert_true(to[c] == 0.4f);
}

/* The two-dimensional sum, with the image mirrored at its borders. */
static void blurs(void **state) {
    (void)state;
    float in[TN], out[TN], scratch[TN];
    noise_image(in, TN, 3);
    static const double sigmas[] = {0.3, 1, 3};
    for (size_t s = 0; s < 3; s++) {
        const int r = (int)ceil(3 * sigmas[s]);
        skv_image_blur(dims, sigmas[s], scratch, in, out);
        for (int k = 0; k < TN; k++) {
            double sum = 0, weights = 0;
            for (int dy = -r; dy <= r; dy++) {
                for (int dx = -r; dx <= r; dx++) {
                    int y = k / TW % TH + dy, x = k % TW + dx;
                    while (y < 0 || y >= TH) y = y < 0 ? -y : 2 * (TH - 1) - y;
                    while (x < 0 || x >= TW) x = x < 0 ? -x : 2 * (TW - 1) - x;
                    const double w = exp(-(dx * dx + dy * dy) / (2 * sigmas[s] * sigmas[s]));
                    weights += w;
                    sum += w * (double)in[k / PLANE * PLANE + y * TW + x];
                }
            }
            assert_true(fabs((double)out[k] - sum / weights) < 2e-6);
        }
    }
}

static void sharpens(void **state) {
    (void)state;
    const int64_t small[3] = {1, 3, 4};
    const float in[12] = {0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.9f, 0.0f, 0.6f, 0.7f, 0.8f, 0.2f, 0.1f};
    float out[12];
    skv_image_sharpness(small, 0, in, out);
    for (int i = 0; i < 12; i++) {
        if (i != 5 && i != 6) assert_true(out[i] == in[i]);
    }
    /* (0.1 + 0.2 + 0.3 + 0.5 + 5 * 0.9 + 0 + 0.7 + 0.8 + 0.2) / 13; (0.2 + 0.3 + 0.4 + 0.9 + 0 + 0.6 + 0.8 + 0.2 + 0.1)
     */
    assert_true(fabs((double)out[5] - 7.3 / 13) < 1e-6);
    assert_true(fabs((double)out[6] - 3.5 / 13) < 1e-6);
    skv_image_sharpness(small, 1.5, in, out);
    assert_true(out[5] == 1.0f); /* 0.9 + 0.5 (0.9 - 7.3 / 13) is 1.07 */
    assert_true(out[6] == 0.0f);
    skv_image_sharpness(small, 1, in, out);
    for (int i = 0; i < 12; i++) assert_true(fabsf(out[i] - in[i]) < 1e-6f);
}

static float byte(int v) { return (float)v * (1.0f / 255.0f); }

static void levels(void **state) {
    (void)state;
    const int64_t row[3] = {1, 1, 6};
    const float in[6] = {byte(0), byte(15), byte(16), byte(100), byte(200), byte(255)};
    float out[6];
    static const int four_bits[6] = {0, 0, 16, 96, 192, 240};
    skv_image_posterize(row, 4, in, out);
    for (int i = 0; i < 6; i++) assert_true(out[i] == byte(four_bits[i]));
    skv_image_posterize(row, 8, in, out);
    for (int i = 0; i < 6; i++) assert_true(out[i] == in[i]);
    skv_image_solarize(row, 0.5, in, out);
    for (int i = 0; i < 6; i++) assert_true(fabsf(out[i] - (i < 4 ? in[i] : 1 - in[i])) < 1e-7f);

    const int64_t two[3] = {2, 1, 3}; /* each channel by itself; one that is constant stays */
    const float pair[6] = {0.2f, 0.4f, 0.6f, 0.3f, 0.3f, 0.3f}, stretched[6] = {0, 0.5f, 1, 0.3f, 0.3f, 0.3f};
    skv_image_autocontrast(two, pair, out);
    for (int i = 0; i < 6; i++) assert_true(fabsf(out[i] - stretched[i]) < 1e-6f);

    /* 1000 pixels: 500 of 10, 250 of 20, 245 of 30, 5 of 40. (1000 - 5) / 255 = 3; from 1 on, the counts below each
     * level divided by 3: 0, 501 / 3 = 167, 751 / 3 = 250, 996 / 3 = 332, limited to 255. */
    const int64_t many[3] = {1, 10, 100};
    static float x[1000], y[1000];
    for (int i = 0; i < 1000; i++) x[i] = byte(i < 500 ? 10 : i < 750 ? 20 : i < 995 ? 30 : 40);
    skv_image_equalize(many, x, y);
    for (int i = 0; i < 1000; i++) assert_true(y[i] == byte(i < 500 ? 0 : i < 750 ? 167 : i < 995 ? 250 : 255));
    for (int i = 0; i < 1000; i++) x[i] = byte(77);
    skv_image_equalize(many, x, y);
    assert_memory_equal(x, y, sizeof x);
}

/* ---- as transforms ---- */

/* With one change asked for, the amount follows from the draws: four for the order, then two words a change. */
static void color_transform(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    float in[TN], out[TN], wanted[TN];
    noise_image(in, TN, 5);
    for (uint64_t i = 0; i < 30; i++) {
        skv_draw d = draws(i);
        int order[4] = {0, 1, 2, 3}, place = 0;
        for (int k = 3; k > 0; k--) {
            const int64_t j = skv_draw_below(&d, k + 1);
            const int swap = order[k];
            order[k] = order[j];
            order[j] = swap;
        }
        while (order[place] != 0) place++;
        double amount = 0;
        for (int k = 0; k <= place; k++) amount = 0.8 * (2 * skv_draw_uniform(&d) - 1);
        for (int k = 0; k < TN; k++) wanted[k] = (float)limit((1 + amount) * (double)in[k]);
        memcpy(out, in, sizeof in);
        transform(ctx, "color:0.8,contrast=0,saturation=0,hue=0", dims, i, out);
        for (int k = 0; k < TN; k++) assert_true(fabsf(out[k] - wanted[k]) < 1e-6f);
    }
    memcpy(out, in, sizeof in);
    transform(ctx, "color:0,contrast=0,saturation=0,hue=0,gray:0,blur:3,probability=0", dims, 1, out);
    assert_memory_equal(in, out, sizeof in);
    memcpy(out, in, sizeof in);
    transform(ctx, "gray:1", dims, 1, out);
    for (size_t k = 0; k < TN; k++) assert_true(fabs((double)out[k] - grey(in, k % PLANE)) < 1e-6);
    skv_test_context_end(ctx);
}

/* Of the pool's operations each occurs, as often as the others, and at no other strength. */
static void pools(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    float in[TN], out[TN], one[TN];
    int hits[14] = {0}, found = 0;
    noise_image(in, TN, 6);
    assert_int_equal(skv_pool_count(), 14);
    for (uint64_t i = 0; i < 700; i++) {
        memcpy(out, in, sizeof in);
        transform(ctx, "randaugment:1,strength=20", dims, i, out);
        int which = -1;
        for (size_t op = 0; op < 14 && which < 0; op++) {
            for (int negative = 0; negative < 2 && which < 0; negative++) {
                if (!skv_pool_run(SKV_POOL_RANDAUGMENT, op, 20.0 / 30, negative, dims, in, one))
                    memcpy(one, in, sizeof in);
                if (memcmp(one, out, sizeof in) == 0) which = (int)op;
            }
        }
        assert_true(which >= 0);
        hits[which]++;
        found++;
    }
    /* 50 each, deviation 6.8. Equalize changes nothing of so few pixels, and counts as identity. */
    const bool still = !memcmp(in, (skv_image_equalize(dims, in, one), one), sizeof in);
    for (size_t op = 0; op < 14; op++) {
        const int wanted = still && op == 0 ? 100 : still && op == 13 ? 0 : 50;
        assert_true(abs(hits[op] - wanted) < 40);
        if (wanted) assert_true(hits[op] > wanted / 3);
    }
    assert_int_equal(found, 700);
    skv_test_context_end(ctx);
}

/* The operations at the strengths that the papers give, on what can be told by hand. */
static void strengths(void **state) {
    (void)state;
    const int64_t line[3] = {1, 1, 30};
    float in[30], out[30];
    for (int i = 0; i < 30; i++) in[i] = byte(8 * i + 3);
    size_t op = 0;
    while (strcmp(skv_pool_name(op), "translate-x") != 0) op++;
    assert_true(skv_pool_run(SKV_POOL_AUGMIX, op, 1, false, line, in, out)); /* a third of 30 pixels, to the left */
    for (int i = 0; i < 30; i++) assert_true(out[i] == (i < 20 ? in[i + 10] : 0.0f));
    assert_true(skv_pool_run(SKV_POOL_AUGMIX, op, 1, true, line, in, out));
    for (int i = 0; i < 30; i++) assert_true(out[i] == (i >= 10 ? in[i - 10] : 0.0f));
    assert_true(skv_pool_run(SKV_POOL_TRIVIALAUGMENT, op, 0.25, false, line, in, out)); /* 8 pixels */
    for (int i = 0; i < 30; i++) assert_true(out[i] == (i < 22 ? in[i + 8] : 0.0f));
    while (strcmp(skv_pool_name(op), "posterize") != 0) op++;
    assert_true(skv_pool_run(SKV_POOL_TRIVIALAUGMENT, op, 1, true, line, in, out)); /* 2 bits, whatever the sign */
    for (int i = 0; i < 30; i++) assert_true(out[i] == byte((8 * i + 3) & 0xc0));
    op++; /* solarize: all at full strength */
    assert_true(skv_pool_run(SKV_POOL_RANDAUGMENT, op, 1, false, line, in, out));
    for (int i = 0; i < 30; i++) assert_true(out[i] == 1 - in[i]);
}

/* A mixture of chains over an image of one value, of which most operations make one of one value, stays between the
 * extremes; with severity and alpha its distance from the image follows. */
static void mixtures(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    float in[TN], out[TN];
    double far[2] = {0, 0};
    noise_image(in, TN, 8);
    for (int severe = 0; severe < 2; severe++) {
        for (uint64_t i = 0; i < 100; i++) {
            memcpy(out, in, sizeof in);
            transform(ctx, severe ? "augmix:10" : "augmix:1", dims, i, out);
            for (int k = 0; k < TN; k++) {
                assert_true(out[k] >= 0 && out[k] <= 1);
                far[severe] += fabs((double)out[k] - (double)in[k]);
            }
        }
    }
    assert_true(far[0] > 0 && far[1] > 1.3 * far[0]);
    skv_test_context_end(ctx);
}

/* Means and variances of the distributions: gamma a and a; beta 1/2 and 1 / (4 (2 a + 1)). */
static void distributions(void **state) {
    (void)state;
    static const double shapes[] = {0.2, 1, 4};
    enum { N = 20000 };
    for (size_t s = 0; s < 3; s++) {
        const double a = shapes[s];
        double sum = 0, squares = 0, beta_sum = 0, beta_squares = 0;
        for (uint64_t i = 0; i < N; i++) {
            skv_draw d = skv_draw_at(11, i, s);
            const double x = skv_draw_gamma(&d, a), y = skv_draw_beta(&d, a, a);
            assert_true(x >= 0 && y >= 0 && y <= 1);
            sum += x / N;
            squares += x * x / N;
            beta_sum += y / N;
            beta_squares += y * y / N;
        }
        assert_true(fabs(sum - a) < 4 * sqrt(a / N));
        assert_true(fabs(squares - sum * sum - a) < 0.1 * a + 0.02);
        assert_true(fabs(beta_sum - 0.5) < 4 * 0.5 / sqrt(N));
        assert_true(fabs(beta_squares - beta_sum * beta_sum - 1 / (4 * (2 * a + 1))) < 0.005);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colours),       cmocka_unit_test(hues),      cmocka_unit_test(blurs),
        cmocka_unit_test(sharpens),      cmocka_unit_test(levels),    cmocka_unit_test(color_transform),
        cmocka_unit_test(pools),         cmocka_unit_test(strengths), cmocka_unit_test(mixtures),
        cmocka_unit_test(distributions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
