/* Transforms of series, of planes of features, of tokens and of rows of tables, and what each of them is refused for.
 */
#include "augment_fixtures.h"

enum { N = 2000 };

static void wave(float *x, int64_t n, double period) {
    for (int64_t t = 0; t < n; t++) x[t] = (float)(0.5 * sin(2 * acos(-1) * (double)t / period));
}

/* Steps from below zero to zero or above. */
static int rises(const float *x, int64_t from, int64_t to) {
    int n = 0;
    for (int64_t t = from + 1; t < to; t++) n += x[t - 1] < 0 && x[t] >= 0;
    return n;
}

static double rms(const float *x, int64_t n) {
    double squares = 0;
    for (int64_t t = 0; t < n; t++) squares += (double)x[t] * (double)x[t];
    return sqrt(squares / (double)n);
}

static void shifts(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    const int64_t line[3] = {2, 1, 50}, plane[3] = {1, 20, 3};
    float in[100], out[100];
    int seen[21] = {0};
    for (int i = 0; i < 100; i++) in[i] = (float)(i + 1);
    for (uint64_t i = 0; i < 200; i++) {
        skv_draw d = draws(i);
        const int64_t by = (int64_t)rint((2 * skv_draw_uniform(&d) - 1) * 0.2 * 50);
        memcpy(out, in, sizeof in);
        transform_as(ctx, SKV_CONTENT_WAVE, "shift:0.2", line, i, out);
        for (int64_t k = 0; k < 100; k++) {
            const int64_t from = k % 50 - by;
            assert_true(out[k] == (from >= 0 && from < 50 ? in[k / 50 * 50 + from] : 0.0f));
        }
        memcpy(out, in, sizeof in);
        transform_as(ctx, SKV_CONTENT_WAVE, "shift:0.2,fill=wrap", line, i, out);
        for (int64_t k = 0; k < 100; k++) assert_true(out[k] == in[k / 50 * 50 + (k % 50 - by + 50) % 50]);
        seen[by + 10]++;
    }
    for (int k = 1; k < 20; k++) assert_true(seen[k] > 0);
    for (uint64_t i = 0; i < 20; i++) { /* frames of features move as a whole */
        memcpy(out, in, sizeof in);
        transform_as(ctx, SKV_CONTENT_FEATURES, "shift:0.5", plane, i, out);
        for (int64_t t = 0; t < 20; t++) {
            assert_true(out[3 * t] == 0 || (int)(out[3 * t] - 1) % 3 == 0);
            for (int f = 1; f < 3; f++)
                assert_true(out[3 * t] == 0 ? out[3 * t + f] == 0 : out[3 * t + f] == out[3 * t] + (float)f);
        }
    }
    skv_test_context_end(ctx);
}

/* The noise has the ratio that was drawn, no mean, and no relation to the signal. */
static void noises(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    const int64_t line[3] = {1, 1, N};
    float in[N], out[N], rest[N];
    wave(in, N, 37);
    for (uint64_t i = 0; i < 10; i++) {
        double mean = 0, product = 0;
        memcpy(out, in, sizeof in);
        transform_as(ctx, SKV_CONTENT_WAVE, "noise:12,most=12,probability=1", line, i, out);
        for (int t = 0; t < N; t++) {
            rest[t] = out[t] - in[t];
            mean += (double)rest[t] / N;
            product += (double)rest[t] * (double)in[t] / N;
        }
        assert_true(fabs(20 * log10(rms(in, N) / rms(rest, N)) - 12) < 0.7); /* four deviations of 1/sqrt(2 N) */
        assert_true(fabs(mean) < 4 * rms(rest, N) / sqrt(N));
        assert_true(fabs(product) < 4 * rms(rest, N) * rms(in, N) / sqrt(N));
    }
    memset(out, 0, sizeof out);
    transform_as(ctx, SKV_CONTENT_WAVE, "noise:12,probability=1", line, 0, out);
    for (int t = 0; t < N; t++) assert_true(out[t] == 0); /* silence stays */
    skv_test_context_end(ctx);
}

static void gains(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    const int64_t line[3] = {1, 1, 8};
    const float in[8] = {0.1f, -0.2f, 0.3f, 0, 1, -1, 0.5f, 2};
    float out[8];
    for (uint64_t i = 0; i < 20; i++) {
        skv_draw d = draws(i);
        const double decibels = 12 * (2 * skv_draw_uniform(&d) - 1);
        memcpy(out, in, sizeof in);
        transform_as(ctx, SKV_CONTENT_WAVE, "gain:12", line, i, out);
        for (int k = 0; k < 8; k++)
            assert_true(fabs((double)out[k] - (double)in[k] * exp(decibels * log(10) / 20)) < 1e-5);
    }
    skv_test_context_end(ctx);
}

/* A sine of period 40 played at `factor` has period 40 / factor; stretched, it keeps its period. */
static void tempo(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    const int64_t line[3] = {1, 1, N};
    float in[N], out[N];
    wave(in, N, 40);
    for (uint64_t i = 0; i < 8; i++) {
        skv_draw d = draws(i);
        const double factor = 1 + 0.3 * (2 * skv_draw_uniform(&d) - 1);
        const int64_t end = factor > 1 ? (int64_t)(N / factor) : N;
        memcpy(out, in, sizeof in);
        transform_as(ctx, SKV_CONTENT_WAVE, "speed:0.3", line, i, out);
        for (int64_t t = 40; t < end - 40; t++)
            assert_true(fabs((double)out[t] - 0.5 * sin(2 * acos(-1) * (double)t * factor / 40)) < 0.005);
        for (int64_t t = end + 2; t < N; t++) assert_true(out[t] == 0);

        memcpy(out, in, sizeof in);
        transform_as(ctx, SKV_CONTENT_WAVE, "stretch:0.3,window=160", line, i, out);
        const int64_t last = end - 200;
        assert_true(abs(rises(out, 200, last) - (int)((last - 200) / 40)) <= 1);
        assert_true(fabs(rms(out + 200, last - 200) - 0.5 / sqrt(2)) < 0.02); /* pieces fit: nothing cancels */
        for (int64_t t = end + 400; t < N; t++) assert_true(fabsf(out[t]) < 1e-6f);
    }
    memcpy(out, in, sizeof in); /* at factor 1 the pieces are laid where they were */
    transform_as(ctx, SKV_CONTENT_WAVE, "stretch:0", line, 0, out);
    for (int t = 0; t < N; t++) assert_true(fabsf(out[t] - in[t]) < 1e-6f);
    memcpy(out, in, sizeof in);
    transform_as(ctx, SKV_CONTENT_WAVE, "speed:0", line, 0, out);
    assert_memory_equal(in, out, sizeof in);

    /* features: a ramp in time stays a ramp, of another slope */
    const int64_t plane[3] = {1, 30, 2};
    float ramp[60];
    for (uint64_t i = 0; i < 8; i++) {
        skv_draw d = draws(i);
        const double factor = 1 + 0.3 * (2 * skv_draw_uniform(&d) - 1);
        for (int k = 0; k < 60; k++) ramp[k] = (float)(k / 2 * (k % 2 ? 3 : 1));
        transform_as(ctx, SKV_CONTENT_FEATURES, "stretch:0.3", plane, i, ramp);
        for (int k = 0; k < 60; k++) {
            const double at = k / 2 * factor;
            assert_true(fabs((double)ramp[k] - (at <= 29 ? at * (k % 2 ? 3 : 1) : 0)) < 1e-4);
        }
    }
    skv_test_context_end(ctx);
}

/* What is blanked are whole stripes, no wider than asked for, at the mean. */
static void spectra(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    enum { T = 25, F = 12 };
    const int64_t plane[3] = {1, T, F};
    float in[T * F], out[T * F];
    int widest = 0, longest = 0;
    double sum = 0;
    noise_image(in, T * F, 9);
    for (int k = 0; k < T * F; k++) sum += (double)in[k];
    for (uint64_t i = 0; i < 100; i++) {
        bool feature[F], time[T];
        int wide = 0, length = 0, low = -1, high = -1;
        memcpy(out, in, sizeof in);
        transform_as(ctx, SKV_CONTENT_FEATURES, "specaugment:4,time=7", plane, i, out);
        for (int f = 0; f < F; f++) {
            feature[f] = true;
            for (int t = 0; t < T; t++) feature[f] = feature[f] && out[t * F + f] != in[t * F + f];
            if (feature[f]) low = low < 0 ? f : low;
            if (feature[f]) high = f;
            wide += feature[f];
        }
        assert_true(wide == 0 || high - low + 1 == wide);
        for (int t = 0; t < T; t++) {
            time[t] = true;
            for (int f = 0; f < F; f++) time[t] = time[t] && out[t * F + f] != in[t * F + f];
            length += time[t];
        }
        for (int k = 0; k < T * F; k++) {
            const bool blank = feature[k % F] || time[k / F];
            assert_true(blank ? fabs((double)out[k] - sum / (T * F)) < 1e-6 : out[k] == in[k]);
        }
        assert_true(wide <= 4 && length <= 7);
        widest = wide > widest ? wide : widest;
        longest = length > longest ? length : longest;
    }
    assert_true(widest == 4 && longest == 7);
    skv_test_context_end(ctx);
}

/* ---- tokens and rows ---- */

static void tokens(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    enum { L = 40, USED = 30 };
    const int64_t line[3] = {1, 1, L};
    float in[L], out[L];
    int dropped = 0, moved = 0;
    for (int i = 0; i < L; i++) in[i] = i < USED ? (float)(100 + i) : 9.0f;
    for (uint64_t i = 0; i < 200; i++) {
        memcpy(out, in, sizeof in);
        transform_as(ctx, SKV_CONTENT_TOKENS, "drop-tokens:0.2,pad=9", line, i, out);
        int kept = 0;
        while (kept < L && out[kept] != 9) kept++;
        for (int k = 1; k < kept; k++) assert_true(out[k] > out[k - 1]); /* in order, each once */
        for (int k = 0; k < kept; k++) assert_true(out[k] >= 100 && out[k] < 100 + USED);
        for (int k = kept; k < L; k++) assert_true(out[k] == 9);
        assert_true(kept >= 1);
        dropped += USED - kept;

        memcpy(out, in, sizeof in);
        transform_as(ctx, SKV_CONTENT_TOKENS, "swap-tokens:0.1,pad=9", line, i, out);
        int count[USED] = {0}, other = 0;
        for (int k = 0; k < USED; k++) {
            count[(int)out[k] - 100]++;
            other += out[k] != in[k];
        }
        for (int k = 0; k < USED; k++) assert_int_equal(count[k], 1);
        for (int k = USED; k < L; k++) assert_true(out[k] == 9);
        assert_true(other <= 6); /* three swaps */
        moved += other;
    }
    assert_true(dropped > 1100 && dropped < 1300); /* 0.2 of 6000, deviation 31 */
    assert_true(moved > 900);
    for (int i = 0; i < L; i++) out[i] = i < 10 ? 9.0f : (float)(100 + i); /* padded at the start: it stays there */
    transform_as(ctx, SKV_CONTENT_TOKENS, "drop-tokens:0.4,pad=9", line, 3, out);
    int first = 0;
    while (out[first] == 9) first++;
    assert_true(first > 12 && first < 30);
    for (int i = first + 1; i < L; i++) assert_true(out[i] > out[i - 1]);
    for (int i = 0; i < L; i++) out[i] = 9;
    transform_as(ctx, SKV_CONTENT_TOKENS, "drop-tokens:0.5,pad=9,swap-tokens:0.5", line, 0, out);
    for (int i = 0; i < L; i++) assert_true(out[i] == 9);
    skv_test_context_end(ctx);
}

/* Through the loader, which measures the columns. */
static void columns(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    enum { ROWS = 3000 };
    static float rows[ROWS][3];
    char spec[SKV_TEST_PATH + 8];
    double sums[3] = {0}, squares[3] = {0}, moments[3] = {0}, deviation[3];
    for (int i = 0; i < ROWS; i++) {
        rows[i][0] = (float)(100 + 5 * skv_rng_normal(1, 1, (uint64_t)i));
        rows[i][1] = 7;
        rows[i][2] = (float)(i % 2);
        for (int c = 0; c < 3; c++) {
            sums[c] += (double)rows[i][c] / ROWS;
            squares[c] += (double)rows[i][c] * (double)rows[i][c] / ROWS;
        }
    }
    for (int c = 0; c < 3; c++) deviation[c] = sqrt(fmax(0, squares[c] - sums[c] * sums[c]));
    const skive_tensor x = {.dtype = SKIVE_F32, .rank = 2, .dims = {ROWS, 3}, .data = rows};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, at("rows.npy"), &x));
    (void)snprintf(spec, sizeof spec, "npy:%s", at("rows.npy"));
    skive_dataset *ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skive_loader_options o = skive_loader_options_default();
    skive_loader *loader = NULL;
    skive_batch b;
    o.batch = ROWS;
    o.shuffle = false;
    o.transforms = "column-noise:0.5";
    skv_test_ok(ctx, skive_loader_create(ctx, ds, &o, &loader));
    skv_test_ok(ctx, skive_loader_start_epoch(loader, 0));
    skv_test_ok(ctx, skive_loader_next(loader, &b));
    const float *y = b.x.data;
    for (int i = 0; i < ROWS; i++) {
        for (int c = 0; c < 3; c++) moments[c] += pow((double)y[3 * i + c] - (double)rows[i][c], 2) / ROWS;
        assert_true(y[3 * i + 1] == 7);
    }
    for (int c = 0; c < 3; c += 2) assert_true(fabs(sqrt(moments[c]) / (0.5 * deviation[c]) - 1) < 0.06);
    skive_loader_free(loader);
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

/* ---- what does not fit ---- */

static void refused(skive_context *ctx, skive_dataset *ds, const char *transforms, const char *part) {
    skive_loader_options o = skive_loader_options_default();
    skive_loader *loader = NULL;
    o.transforms = transforms;
    skv_test_fails(ctx, skive_loader_create(ctx, ds, &o, &loader), SKIVE_ERR_ARGUMENT, part);
    assert_null(loader);
}

static void what_does_not_fit(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_dataset *ds = open_split(ctx, write_idx(20), SKIVE_SPLIT_TEST);
    refused(ctx, ds, "noise", "transform 'noise' is for series, but the samples of idx:");
    refused(ctx, ds, "flip,drop-tokens", "transform 'drop-tokens' is for tokens");
    refused(ctx, ds, "gray", "transform 'gray' needs 3 channels");
    refused(ctx, ds, "color:hue=0.1", "hue needs three channels");
    refused(ctx, ds, "erase:area=0.5,most=0.2", "the least area, 0.5, is above the largest, 0.2");
    skive_dataset_free(ds);

    float x[6 * 12] = {0};
    int32_t ids[6 * 5] = {0};
    char spec[SKV_TEST_PATH + 8];
    const skive_tensor pictures = {.dtype = SKIVE_F32, .rank = 4, .dims = {6, 3, 2, 2}, .data = x};
    const skive_tensor rows = {.dtype = SKIVE_F32, .rank = 2, .dims = {6, 12}, .data = x};
    const skive_tensor numbers = {.dtype = SKIVE_I32, .rank = 2, .dims = {6, 5}, .data = ids};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, at("p.npy"), &pictures));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, at("r.npy"), &rows));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, at("n.npy"), &numbers));
    (void)snprintf(spec, sizeof spec, "npy:%s", at("p.npy"));
    ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    refused(ctx, ds, "color", "needs pixels between 0 and 1, as 8-bit images are read");
    refused(ctx, ds, "randaugment", "store them as uint8");
    refused(ctx, ds, "specaugment", "is for features of series");
    skive_dataset_free(ds);
    (void)snprintf(spec, sizeof spec, "npy:%s", at("r.npy"));
    ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    refused(ctx, ds, "flip", "transform 'flip' is for images, but the samples of");
    refused(ctx, ds, "column-noise,shift", "transform 'shift' is for series or features of series, but the samples of");
    refused(ctx, ds, "drop-tokens", "are series or rows of a table");
    skive_dataset_free(ds);
    (void)snprintf(spec, sizeof spec, "npy:%s", at("n.npy"));
    ds = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    refused(ctx, ds, "rotate:3", "is for images");
    skive_loader_options o = skive_loader_options_default();
    skive_loader *loader = NULL;
    o.transforms = "drop-tokens,swap-tokens";
    skv_test_ok(ctx, skive_loader_create(ctx, ds, &o, &loader));
    skive_loader_free(loader);
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
        T(shifts), T(noises), T(gains), T(tempo), T(spectra), T(tokens), T(columns), T(what_does_not_fit),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
