/* Number grids: every record of grids.inc against its definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support.h"
#include "tensor/grid.h"
#include "tensor/storage.h"

enum { SETTINGS = 4, NUMBERS = 400 };

static uint32_t state_of_random = 1;

static double uniform(double low, double high) {
    state_of_random = state_of_random * 1664525u + 1013904223u;
    return low + (high - low) * (double)(state_of_random >> 8) / 16777216.0;
}

/* Sums of four are bell-shaped, as weights are. */
static float bell(void) { return (float)(uniform(-1, 1) + uniform(-1, 1) + uniform(-1, 1) + uniform(-1, 1)); }

static const float some_levels[16] = {-2,   -1.5f, -1,   -0.75f, -0.5f, -0.25f, -0.125f, 0,
                                      0.1f, 0.3f,  0.5f, 0.8f,   1.2f,  1.7f,   2.5f,    4};

/* The parameters of setting k that suit a grid. */
static skv_grid_params params_of(const skv_grid *g, int k) {
    static const float scales[SETTINGS] = {1, 0.1f, 3.7f, 0.0078125f};
    skv_grid_params p = {.scale = g->scaled ? scales[k] : 1};
    if (g->uniform) p.zero_point = g->low + (int32_t)((int64_t)(g->high - g->low) * k / SETTINGS);
    if (g->own_levels) p.levels = some_levels;
    return p;
}

static void every_code_comes_back(void **state) {
    (void)state;
    for (size_t i = 0; i < skv_grid_count(); i++) {
        const skv_grid *g = skv_grid_at(i);
        const skv_quantizer q = skv_quantizer_of(g);
        int finite = 0;
        assert_true(g->high - g->low < 1 << g->bits || skv_grid_has_option(g, "levels"));
        for (int k = 0; k < SETTINGS; k++) {
            const skv_grid_params p = params_of(g, k);
            for (int32_t code = g->low; code <= g->high; code++) {
                const float x = skv_grid_decode(&q, &p, code);
                if (!isfinite(x)) continue;
                finite++;
                if (skv_grid_encode(&q, &p, x) != code)
                    fail_msg("%s: code %d is %g, which has code %d", g->name, code, (double)x,
                             skv_grid_encode(&q, &p, x));
            }
        }
        assert_true(finite >= SETTINGS * (g->high - g->low + 1) * 9 / 10);
    }
}

static int by_value(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The lowest and the highest number that a grid holds. */
static void ends_of(const skv_quantizer *q, const skv_grid_params *p, float *low, float *high) {
    *low = INFINITY;
    *high = -INFINITY;
    for (int32_t code = q->low; code <= q->high; code++) {
        const float x = skv_grid_decode(q, p, code);
        if (!isfinite(x)) continue;
        *low = fminf(*low, x);
        *high = fmaxf(*high, x);
    }
}

static void larger_numbers_have_no_smaller_levels(void **state) {
    float x[NUMBERS];
    (void)state;
    for (size_t i = 0; i < skv_grid_count(); i++) {
        const skv_quantizer q = skv_quantizer_of(skv_grid_at(i));
        for (int k = 0; k < SETTINGS; k++) {
            const skv_grid_params p = params_of(q.grid, k);
            float low, high, before = -INFINITY;
            ends_of(&q, &p, &low, &high);
            for (int n = 0; n < NUMBERS; n++)
                x[n] = (float)uniform(1.3 * fmax((double)low, -6e4), 1.3 * fmin((double)high, 6e4));
            qsort(x, NUMBERS, sizeof *x, by_value);
            for (int n = 0; n < NUMBERS; n++) {
                const float y = skv_grid_decode(&q, &p, skv_grid_encode(&q, &p, x[n]));
                assert_true(y >= before);
                before = y;
            }
        }
    }
}

/* No other code is nearer: of any number inside the range, the error is at most half of the step that it lies in. */
static void no_other_code_is_nearer(void **state) {
    (void)state;
    for (size_t i = 0; i < skv_grid_count(); i++) {
        const skv_quantizer q = skv_quantizer_of(skv_grid_at(i));
        for (int k = 0; k < SETTINGS; k++) {
            const skv_grid_params p = params_of(q.grid, k);
            float low, high;
            ends_of(&q, &p, &low, &high);
            for (int n = 0; n < (q.grid->bits > 8 ? 20 : 100); n++) {
                const float x = (float)uniform(fmax((double)low, -6e4), fmin((double)high, 6e4));
                const float y = skv_grid_decode(&q, &p, skv_grid_encode(&q, &p, x));
                double best = INFINITY;
                for (int32_t code = q.low; code <= q.high; code++) {
                    const float other = skv_grid_decode(&q, &p, code);
                    if (isfinite(other)) best = fmin(best, fabs((double)other - (double)x));
                }
                /* x / scale is rounded to 24 bits before the level is chosen. */
                if (fabs((double)y - (double)x) > best + 2e-7 * fabs((double)x))
                    fail_msg("%s: %g becomes %g, but a level is only %g away", q.grid->name, (double)x, (double)y,
                             best);
            }
        }
    }
}

static void nan_and_zero(void **state) {
    (void)state;
    for (size_t i = 0; i < skv_grid_count(); i++) {
        const skv_quantizer q = skv_quantizer_of(skv_grid_at(i));
        const skv_grid_params p = params_of(q.grid, 1);
        if (q.grid->bits > 1) assert_true(skv_grid_decode(&q, &p, skv_grid_encode(&q, &p, 0.0f)) == 0);
        const float y = skv_grid_decode(&q, &p, skv_grid_encode(&q, &p, NAN));
        assert_true(skv_dtype_is_float(q.grid->dtype) || skv_dtype_is_float8(q.grid->dtype) ? isnan(y)
                    : q.grid->bits > 1                                                      ? y == 0
                                                                                            : isfinite(y));
    }
}

/* Every option that the grid can be told. */
static size_t variants_of(const skv_grid *g, skv_quantizer *out) {
    size_t n = 0;
    for (int k = 0; k < 8; k++) {
        skv_quantizer q = skv_quantizer_of(g);
        if ((k & 1 && !skv_grid_has_option(g, "asymmetric")) || (k & 2 && !skv_grid_has_option(g, "narrow")) ||
            (k & 4 && !skv_grid_has_option(g, "power-of-two")))
            continue;
        q.asymmetric = k & 1;
        q.narrow = k & 2;
        q.power_of_two = k & 4;
        if (q.narrow) q.low = -q.high;
        out[n++] = q;
    }
    return n;
}

/* What solve_range gives covers the range: its ends are within half a step, and not much finer would do. */
static void ranges_are_covered(void **state) {
    static const double ranges[][2] = {{-1, 1}, {0, 6}, {-3, 0}, {-0.01, 7}, {0, 0}, {2, 5}, {-900, 100}};
    skv_quantizer variants[8];
    (void)state;
    for (size_t i = 0; i < skv_grid_count(); i++) {
        const skv_grid *g = skv_grid_at(i);
        const size_t n = variants_of(g, variants);
        for (size_t v = 0; v < n && g->solve_range; v++) {
            for (size_t r = 0; r < sizeof ranges / sizeof ranges[0]; r++) {
                const skv_quantizer *q = &variants[v];
                skv_grid_params p;
                float first, last;
                g->solve_range(q, ranges[r][0], ranges[r][1], &p);
                assert_true(p.scale > 0 && isfinite(p.scale));
                assert_true(!g->uniform || (p.zero_point >= q->low && p.zero_point <= q->high));
                if (q->power_of_two || skv_grid_has_option(g, "fraction")) {
                    int exponent;
                    assert_true(frexpf(p.scale, &exponent) == 0.5f);
                }
                const double low = fmin(ranges[r][0], 0), high = fmax(ranges[r][1], 0);
                ends_of(q, &p, &first, &last);
                const double step = g->uniform || skv_grid_has_option(g, "fraction") ? (double)p.scale : 0;
                const bool positive = g->table && g->table[0] >= 0; /* no level for what is negative */
                const bool unsigned_codes = q->low >= 0 && g->uniform && !q->asymmetric;
                assert_true((double)first - step * 0.5001 <= low + 1e-6 * fabs(low) || (unsigned_codes && low >= 0) ||
                            positive || g->bits == 1);
                assert_true((double)last + step * 0.5001 >= high * (1 - 1e-6));
                if (!g->scaled || q->power_of_two || skv_grid_has_option(g, "fraction") || !(high - low > 0) ||
                    (positive && !(high > 0)))
                    continue;
                /* at least one end is reached */
                assert_true(fabs((double)first - low) <= 1.01 * step + 1e-6 * fabs(low) ||
                            fabs((double)last - high) <= 1.01 * step + 1e-6 * high);
            }
        }
    }
}

/* The least error of all scales in small steps, from those that clip nearly everything to those that round everything
 * to 0, and of all zero points. */
static double brute_force(const skv_quantizer *q, const float *x, int64_t n, int32_t zero_point) {
    const skv_grid_params one = {.scale = 1, .zero_point = zero_point};
    float low, high;
    ends_of(q, &one, &low, &high);
    const double top = fmax((double)high, -(double)low), most = (double)skv_grid_largest(x, n);
    double best = INFINITY;
    for (int k = 1; k <= 3000; k++) {
        const skv_grid_params p = {.scale = (float)(2.2 * most / top * k / 3000), .zero_point = zero_point};
        if (p.scale > 0) best = fmin(best, skv_grid_error(q, &p, x, n));
    }
    return best;
}

static void the_least_error_is_found(void **state) {
    skive_context *ctx = skv_test_context();
    float x[12], levels[256];
    (void)state;
    for (size_t i = 0; i < skv_grid_count(); i++) {
        const skv_grid *g = skv_grid_at(i);
        if (g == &skv_grid_mxfp4 || g == &skv_grid_mxint8) continue; /* scales are powers of two */
        if (!g->scaled || g->bits > 8 || skv_grid_has_option(g, "fraction") || skv_grid_has_option(g, "levels"))
            continue;
        for (int trial = 0; trial < 6; trial++) {
            const int64_t n = 1 + trial * 2;
            skv_quantizer q = skv_quantizer_of(g);
            skv_grid_params least, usual, range;
            for (int64_t k = 0; k < n; k++) x[k] = trial == 4 ? fabsf(bell()) : bell();
            q.fit = SKV_FIT_LEAST;
            skv_test_ok(ctx, g->solve(ctx, &q, x, n, levels, &least));
            double best = brute_force(&q, x, n, least.zero_point), found = skv_grid_error(&q, &least, x, n);
            if (found > best * (1 + 1e-4) + 1e-9) fail_msg("%s: error %g, by brute force %g", g->name, found, best);
            q.fit = SKV_FIT_USUAL;
            skv_test_ok(ctx, g->solve(ctx, &q, x, n, levels, &usual));
            q.fit = SKV_FIT_RANGE;
            skv_test_ok(ctx, g->solve(ctx, &q, x, n, levels, &range));
            assert_true(found <= skv_grid_error(&q, &usual, x, n) * (1 + 1e-6) + 1e-12);
            assert_true(found <= skv_grid_error(&q, &range, x, n) * (1 + 1e-6) + 1e-12);
            if (!skv_grid_has_option(g, "asymmetric") || g->bits > 4) continue;
            q.fit = SKV_FIT_LEAST;
            q.asymmetric = true;
            skv_test_ok(ctx, g->solve(ctx, &q, x, n, levels, &least));
            found = skv_grid_error(&q, &least, x, n);
            for (int32_t zero = q.low; zero <= q.high; zero++) {
                best = brute_force(&q, x, n, zero);
                if (found > best * (1 + 1e-4) + 1e-9)
                    fail_msg("%s: error %g, by brute force with zero point %d %g", g->name, found, zero, best);
            }
        }
    }
    skv_test_context_end(ctx);
}

/* All ways to put n numbers into three groups. */
static double best_of_three(const float *x, int n) {
    int ways = 1;
    double best = INFINITY;
    for (int k = 0; k < n; k++) ways *= 3;
    for (int way = 0; way < ways; way++) {
        double sum[3] = {0}, square[3] = {0}, count[3] = {0}, error = 0;
        for (int k = 0, rest = way; k < n; k++, rest /= 3) {
            sum[rest % 3] += (double)x[k];
            square[rest % 3] += (double)x[k] * (double)x[k];
            count[rest % 3]++;
        }
        for (int c = 0; c < 3; c++) error += count[c] > 0 ? square[c] - sum[c] * sum[c] / count[c] : 0;
        best = fmin(best, error);
    }
    return best;
}

static void codebooks_are_the_best(void **state) {
    skive_context *ctx = skv_test_context();
    skv_quantizer q;
    float x[3000], levels[256];
    skv_grid_params p;
    (void)state;
    skv_test_ok(ctx, skv_quantizer_parse(ctx, "codebook:3", &q));
    for (int n = 1; n <= 9; n++) {
        for (int k = 0; k < n; k++) x[k] = n == 8 ? 1000 + bell() : bell();
        skv_test_ok(ctx, q.grid->solve(ctx, &q, x, n, levels, &p));
        assert_true(skv_grid_error(&q, &p, x, n) <= best_of_three(x, n) + 1e-6);
    }
    double before = INFINITY;
    for (int k = 0; k < 3000; k++) x[k] = bell();
    for (int count = 2; count <= 256; count *= 2) {
        q.high = count - 1;
        skv_test_ok(ctx, q.grid->solve(ctx, &q, x, 3000, levels, &p));
        const double error = skv_grid_error(&q, &p, x, 3000);
        assert_true(error < before / 2);
        before = error;
    }
    skv_test_context_end(ctx);
}

/* On numbers that are bell-shaped, of other shapes, and of other fits: never worse than int4. */
static void piecewise_is_no_worse_than_int4(void **state) {
    static const char *const texts[][2] = {{"piecewise", "int4"}, {"piecewise:fit=range", "int4:fit=range"}};
    skive_context *ctx = skv_test_context();
    enum { MANY = 70000 };
    float *x = malloc(MANY * sizeof *x), levels[256];
    int better = 0, trials = 0;
    (void)state;
    assert_non_null(x);
    for (int trial = 0; trial < 26; trial++) {
        const int n = trial == 25 ? MANY : 3 + 37 * trial, shape = trial % 4;
        for (int k = 0; k < n; k++) {
            const float b = bell();
            x[k] = shape == 0 ? b : shape == 1 ? b * b * b : shape == 2 ? (float)uniform(-1, 1) : fabsf(b) + 0.1f;
        }
        for (size_t t = 0; t < 2; t++, trials++) {
            skv_quantizer two, one;
            skv_grid_params p, linear;
            skv_test_ok(ctx, skv_quantizer_parse(ctx, texts[t][0], &two));
            skv_test_ok(ctx, skv_quantizer_parse(ctx, texts[t][1], &one));
            skv_test_ok(ctx, two.grid->solve(ctx, &two, x, n, levels, &p));
            skv_test_ok(ctx, one.grid->solve(ctx, &one, x, n, NULL, &linear));
            const double a = skv_grid_error(&two, &p, x, n), b = skv_grid_error(&one, &linear, x, n);
            if (a > b * (1 + 1e-6)) fail_msg("trial %d: %g, int4 has %g", trial, a, b);
            better += a < 0.95 * b;
        }
    }
    assert_true(better > trials / 2);
    free(x);
    skv_test_context_end(ctx);
}

/* By hand: 5 in a block has the power 4, so elements (up to 6 = 1.5 * 4) have scale 1; 7 is clipped. */
static void shared_powers(void **state) {
    skive_context *ctx = skv_test_context();
    const float x[3] = {5, -0.3f, 7};
    skv_quantizer q;
    skv_grid_params p;
    (void)state;
    skv_test_ok(ctx, skv_quantizer_parse(ctx, "mxfp4", &q));
    assert_true(q.per == SKV_PER_GROUP && q.group == 32);
    skv_test_ok(ctx, q.grid->solve(ctx, &q, x, 3, NULL, &p));
    assert_true(p.scale == 1);
    assert_true(skv_grid_decode(&q, &p, skv_grid_encode(&q, &p, 7)) == 6);
    q.fit = SKV_FIT_RANGE;
    skv_test_ok(ctx, q.grid->solve(ctx, &q, x, 3, NULL, &p));
    assert_true(p.scale == 2);
    skv_test_ok(ctx, skv_quantizer_parse(ctx, "mxint8", &q));
    skv_test_ok(ctx, q.grid->solve(ctx, &q, x, 3, NULL, &p));
    assert_true(p.scale == 0.0625f); /* 4 / 64 */
    skv_test_context_end(ctx);
}

static void fixed_point_chooses_its_fraction(void **state) {
    skive_context *ctx = skv_test_context();
    skv_quantizer q;
    skv_grid_params p;
    float x[50];
    (void)state;
    skv_test_ok(ctx, skv_quantizer_parse(ctx, "fixed", &q));
    for (int trial = 0; trial < 8; trial++) {
        const float by = ldexpf(1.3f, trial * 3 - 12);
        double best = INFINITY;
        for (int k = 0; k < 50; k++) x[k] = by * bell();
        skv_test_ok(ctx, q.grid->solve(ctx, &q, x, 50, NULL, &p));
        for (int e = -40; e < 20; e++) {
            const skv_grid_params other = {.scale = ldexpf(1, e)};
            best = fmin(best, skv_grid_error(&q, &other, x, 50));
        }
        assert_true(skv_grid_error(&q, &p, x, 50) <= best);
    }
    skv_test_ok(ctx, skv_quantizer_parse(ctx, "fixed:4", &q));
    skv_test_ok(ctx, q.grid->solve(ctx, &q, x, 50, NULL, &p));
    assert_true(p.scale == 0.0625f);
    assert_int_equal(skv_grid_encode(&q, &p, 1.5f), 24);
    assert_int_equal(skv_grid_encode(&q, &p, 100), 127);
    skv_test_context_end(ctx);
}

/* By hand: where rounding decided the gradient passes, where clipping did it does not. */
static void gradients(void **state) {
    skive_context *ctx = skv_test_context();
    static const struct {
        const char *text;
        skv_grid_params p;
        float x[6], passes[6];
    } cases[] = {
        {"int4", {.scale = 0.5f, .zero_point = 1}, {0, 3.0f, 3.2f, 3.3f, -4.7f, -4.8f}, {1, 1, 1, 0, 1, 0}},
        {"uint8", {.scale = 1, .zero_point = 0}, {-0.4f, -0.6f, 255.4f, 255.6f, 7, -90}, {1, 0, 1, 0, 1, 0}},
        {"int8:narrow", {.scale = 1}, {-127.4f, -127.6f, 127.4f, 127.6f, 0, 1}, {1, 0, 1, 0, 1, 1}},
        {"ternary", {.scale = 1}, {-90, -0.2f, 0, 0.2f, 1, 90}, {1, 1, 1, 1, 1, 1}},
        {"f8e4m3", {.scale = 2}, {896, 927, 929, -929, 0, NAN}, {1, 1, 0, 0, 1, 0}},
        {"f16", {.scale = 1}, {65504, 65505, -65504, -70000, 0, 1}, {1, 0, 1, 0, 1, 1}},
        {"log2", {.scale = 4}, {4, 4.9f, 5.1f, -4.9f, -5.1f, 0}, {1, 1, 0, 1, 0, 1}},
    };
    const float dy[6] = {1, 2, 3, 4, 5, 6};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        skv_quantizer q;
        float dx[6];
        skv_test_ok(ctx, skv_quantizer_parse(ctx, cases[i].text, &q));
        skv_grid_gradient_of(&q, &cases[i].p, cases[i].x, dy, 6, dx);
        for (int k = 0; k < 6; k++) {
            if (dx[k] != dy[k] * cases[i].passes[k]) fail_msg("%s: number %d", cases[i].text, k);
        }
    }
    skv_test_context_end(ctx);
}

/* A tensor rounded to a grid is held by the storage form of its record, exactly. */
static void forms_hold_their_grids(void **state) {
    static const char *const options[] = {NULL, "group=tensor", "group=32"};
    skive_context *ctx = skv_test_context();
    const int64_t dims[] = {6, 64};
    (void)state;
    for (size_t i = 0; i < skv_grid_count(); i++) {
        const skv_grid *g = skv_grid_at(i);
        for (size_t k = 0; k < 3 && g->form; k++) {
            char text[40];
            skv_quantizer q;
            skive_tensor t = skv_test_random(ctx, SKIVE_F32, 2, dims, i + 1, -2, 2), back;
            skv_coded coded;
            bool fits;
            /* Codebooks are one for the whole tensor; 16-bit floats have no scale. */
            if (k && (!skv_grid_has_option(g, "group") || (k == 2 && strcmp(g->form, "codebook") == 0))) {
                skive_tensor_free(ctx, &t);
                continue;
            }
            snprintf(text, sizeof text, "%s%s%s", g->name, options[k] ? ":" : "", options[k] ? options[k] : "");
            skv_test_ok(ctx, skv_quantizer_parse(ctx, text, &q));
            skv_test_ok(ctx, skv_quantizer_round(ctx, &q, &t));
            const skv_form *form = skv_form_find(g->form);
            assert_non_null(form);
            skv_test_ok(ctx, form->describe(ctx, &t, &coded, &fits));
            if (!fits) fail_msg("%s with %s: form %s", g->name, options[k] ? options[k] : "no options", g->form);
            skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 2, dims, &back));
            form->restore(&coded, &back);
            assert_memory_equal(back.data, t.data, skive_tensor_bytes(&t));
            skive_tensor_free(ctx, &back);
            skv_coded_free(ctx, &coded);
            skive_tensor_free(ctx, &t);
        }
    }
    skv_test_context_end(ctx);
}

static void element_types_have_their_grid(void **state) {
    static const skive_dtype types[] = {SKIVE_I4,  SKIVE_U4,       SKIVE_I8,     SKIVE_U8,         SKIVE_I16,
                                        SKIVE_U16, SKIVE_F8E4M3FN, SKIVE_F8E5M2, SKIVE_F8E4M3FNUZ, SKIVE_F8E5M2FNUZ};
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        const skv_grid *g = skv_grid_of_dtype(types[i]);
        assert_non_null(g);
        assert_int_equal(g->dtype, types[i]);
        assert_int_equal(g->bits, skive_dtype_bits(types[i]));
    }
    assert_null(skv_grid_of_dtype(SKIVE_F32));
    assert_null(skv_grid_of_dtype(SKIVE_I32));
    assert_null(skv_grid_of_dtype(SKIVE_DTYPE_NONE));
    const skv_quantizer five = skv_quantizer_of(&skv_grid_int5);
    assert_false(skv_grid_fills_dtype(&five));
}

static void text_forms(void **state) {
    skive_context *ctx = skv_test_context();
    skv_quantizer q;
    (void)state;
    skv_test_ok(ctx, skv_quantizer_parse(ctx, "int4:32", &q));
    assert_true(q.grid == &skv_grid_int4 && q.per == SKV_PER_GROUP && q.group == 32 && !q.asymmetric);
    skv_test_ok(ctx, skv_quantizer_parse(ctx, "int8:tensor,narrow,fit=least", &q));
    assert_true(q.low == -127 && q.high == 127 && q.per == SKV_PER_TENSOR && q.fit == SKV_FIT_LEAST);
    skv_test_ok(ctx, skv_quantizer_parse(ctx, "uint4:group=64,asymmetric,power-of-two", &q));
    assert_true(q.group == 64 && q.asymmetric && q.power_of_two && q.low == 0);
    skv_test_ok(ctx, skv_quantizer_parse(ctx, "codebook:levels=200", &q));
    assert_int_equal(q.high, 199);
    skv_test_ok(ctx, skv_quantizer_parse(ctx, "fixed:4,group=channel", &q));
    assert_true(q.fraction == 4 && q.per == SKV_PER_CHANNEL);
    skv_test_fails(ctx, skv_quantizer_parse(ctx, "int9", &q), SKIVE_ERR_ARGUMENT, "no number grid 'int9'");
    skv_test_fails(ctx, skv_quantizer_parse(ctx, "int8:1", &q), SKIVE_ERR_ARGUMENT, "size of a group");
    skv_test_fails(ctx, skv_quantizer_parse(ctx, "int8:tensor,x", &q), SKIVE_ERR_ARGUMENT, "'x'");
    skv_test_fails(ctx, skv_quantizer_parse(ctx, "int8:fit=best", &q), SKIVE_ERR_ARGUMENT, "'best'");
    skv_test_fails(ctx, skv_quantizer_parse(ctx, "uint8:narrow", &q), SKIVE_ERR_ARGUMENT, "'narrow'");
    skv_test_fails(ctx, skv_quantizer_parse(ctx, "f16:tensor", &q), SKIVE_ERR_ARGUMENT, "takes no options");
    skv_test_fails(ctx, skv_quantizer_parse(ctx, "codebook:300", &q), SKIVE_ERR_ARGUMENT, "between 2 and 256");
    skv_test_context_end(ctx);
}

/* Rounding to the grids that need memory. */
static skive_status round_with_memory(skive_context *ctx, void *user) {
    const int64_t dims[] = {4, 16};
    skv_quantizer q;
    skive_tensor t = {0};
    SKV_TRY(skv_quantizer_parse(ctx, user, &q));
    SKV_TRY(skive_tensor_create(ctx, SKIVE_F32, 2, dims, &t));
    for (int i = 0; i < 64; i++) ((float *)t.data)[i] = (float)(i * i % 37) - 15;
    const skive_status status = skv_quantizer_round(ctx, &q, &t);
    skive_tensor_free(ctx, &t);
    return status;
}

static void memory_may_run_out(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(round_with_memory, "codebook:5", 1) > 4);
    assert_true(skv_test_walk_allocations(round_with_memory, "int4:fit=least", 1) > 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_comes_back),
        cmocka_unit_test(larger_numbers_have_no_smaller_levels),
        cmocka_unit_test(no_other_code_is_nearer),
        cmocka_unit_test(nan_and_zero),
        cmocka_unit_test(ranges_are_covered),
        cmocka_unit_test(the_least_error_is_found),
        cmocka_unit_test(codebooks_are_the_best),
        cmocka_unit_test(piecewise_is_no_worse_than_int4),
        cmocka_unit_test(shared_powers),
        cmocka_unit_test(fixed_point_chooses_its_fraction),
        cmocka_unit_test(gradients),
        cmocka_unit_test(forms_hold_their_grids),
        cmocka_unit_test(element_types_have_their_grid),
        cmocka_unit_test(text_forms),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
