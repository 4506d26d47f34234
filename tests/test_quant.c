/* Static quantization: grids, the streaming histogram, each observer, the resulting graph. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <skive/exec.h>
#include <skive/quant.h>
#include <skive/zoo.h>

#include "quant/quant.h"
#include "quant/loops.h"
#include "support.h"
#include "tensor/grid.h"

#include <cmocka.h>

enum { BINS = SKV_HISTOGRAM_BINS };

static skv_grid_params over(double low, double high) {
    const skv_quantizer q = skv_quant_activations();
    skv_grid_params p;
    q.grid->solve_range(&q, low, high, &p);
    return p;
}

static void grids_by_hand(void **state) {
    (void)state;
    skv_grid_params a = over(-1.0, 4.1); /* 5.1 / 255 = 0.02; zero at 50 */
    assert_float_equal(a.scale, 0.02f, 1e-7f);
    assert_int_equal(a.zero_point, 50);
    a = over(0.5, 2.55); /* widened to hold zero */
    assert_float_equal(a.scale, 0.01f, 1e-7f);
    assert_int_equal(a.zero_point, 0);
    a = over(-2.55, -1.0);
    assert_int_equal(a.zero_point, 255);
    a = over(0, 0);
    assert_true(a.scale > 0);
    const skv_quantizer w = skv_quant_weights(true);
    w.grid->solve_range(&w, -12.7, 12.7, &a);
    assert_float_equal(a.scale, 0.1f, 1e-7f);
    w.grid->solve_range(&w, 0, 0, &a);
    assert_true(a.scale > 0);
}

/* The loops of every instruction set give the codes of the grid. */
static void loops_give_the_codes_of_the_grid(void **state) {
    const skv_quantizer w = skv_quant_weights(true);
    float x[100];
    int8_t code[100];
    (void)state;
    for (int i = 0; i < 100; i++) x[i] = (float)skv_rng_normal(8, 0, (uint64_t)i) + (i % 10 == 0 ? 0.25f : 0);
    for (skv_isa isa = SKV_ISA_SCALAR; isa <= skv_cpu_isa(); isa++) {
        const skv_grid_params p = {.scale = 0.017f};
        double power = 0, error = 0;
        skv_quant_loops_of(isa)->quantize(x, 100, &p.scale, 0, (float)w.low, (float)w.high, code, &power, &error);
        for (int i = 0; i < 100; i++) assert_int_equal(code[i], skv_grid_encode(&w, &p, x[i]));
    }
}

/* Every observer chooses for every grid a range that serves it: not wider than what was observed, and the fewer the
 * levels, the more gains whoever looks at the error. */
static void observers_serve_every_grid(void **state) {
    skive_context *ctx = skv_test_context();
    const skive_quantize_options o = skive_quantize_options_default();
    enum { N = 20000 };
    float *x = malloc(N * sizeof *x);
    skv_histogram h;
    (void)state;
    assert_non_null(x);
    for (int i = 0; i < N; i++) x[i] = (float)skv_rng_normal(6, 0, (uint64_t)i);
    skv_test_ok(ctx, skv_histogram_create(ctx, SKV_BINS_BOTH, &h));
    assert_true(skv_histogram_add(&h, x, N, 0));
    for (size_t k = 0; k < skv_grid_count(); k++) {
        const skv_quantizer q = skv_quantizer_of(skv_grid_at(k));
        if (!q.grid->solve_range || q.grid->bits > 8 || q.low >= 0) continue; /* signed codes of a symmetric range */
        double whole = 0;
        for (size_t i = 0; i < skv_observer_count(); i++) {
            const skv_observer *observer = skv_observer_at(i);
            double low = NAN, high = NAN, error = 0;
            skv_grid_params p;
            observer->choose(&h, &q, &o, &low, &high);
            assert_true(low >= h.low - 1e-6 && high <= h.high + 1e-6 && low < 0 && high > 0);
            q.grid->solve_range(&q, low, high, &p);
            for (int n = 0; n < N; n++) error += skv_grid_error(&q, &p, &x[n], 1) / N;
            /* the counts tell the same */
            assert_true(skv_test_close(skv_histogram_error(&h, &q, &p), error, 0.05, 1e-9));
            if (strcmp(observer->name, "minmax") == 0) whole = error;
            if (strcmp(observer->name, "mse") == 0) assert_true(error <= whole * 1.02);
            if (strcmp(observer->name, "mse") == 0 && q.grid->uniform && q.grid->bits <= 4)
                assert_true(error < whole * (q.grid->bits < 4 ? 0.6 : 0.85));
        }
    }
    free(x);
    skv_histogram_free(ctx, &h);
    skv_test_context_end(ctx);
}

static uint64_t total(const skv_histogram *h) {
    uint64_t n = 0;
    for (int i = 0; i < BINS; i++) n += h->bins[i];
    return n;
}

/* Growing the reach must not move counts to the other side of zero, and no count may be lost. */
static void histogram_grows(void **state) {
    skive_context *ctx = skv_test_context();
    skv_histogram h;
    (void)state;
    skv_test_ok(ctx, skv_histogram_create(ctx, SKV_BINS_BOTH, &h));
    const float zeros[2] = {0, 0}, small[3] = {0.1f, -0.1f, 0.05f}, large[2] = {100.0f, -3.0f};
    assert_true(skv_histogram_add(&h, zeros, 2, 0));
    assert_true(h.reach == 0);
    assert_true(skv_histogram_add(&h, small, 3, 0));
    assert_true(skv_histogram_add(&h, large, 2, 0));
    assert_int_equal(h.count, 7);
    assert_int_equal(total(&h), 7);
    assert_true(h.low == -3.0 && h.high == 100.0 && h.reach == 128.0);
    uint64_t below = 0;
    for (int i = 0; i < BINS / 2; i++) below += h.bins[i];
    assert_int_equal(below, 2); /* -0.1 and -3 */
    skv_histogram_free(ctx, &h);
    skv_test_context_end(ctx);
}

static void histogram_parts_merge_exactly(void **state) {
    skive_context *ctx = skv_test_context();
    skv_histogram whole, first, second;
    float x[5000];
    (void)state;
    for (int i = 0; i < 5000; i++) x[i] = (float)(skv_rng_normal(3, 0, (uint64_t)i) * (i < 2500 ? 1 : 40));
    skv_test_ok(ctx, skv_histogram_create(ctx, SKV_BINS_BOTH, &whole));
    skv_test_ok(ctx, skv_histogram_create(ctx, SKV_BINS_BOTH, &first));
    skv_test_ok(ctx, skv_histogram_create(ctx, SKV_BINS_BOTH, &second));
    assert_true(skv_histogram_add(&whole, x, 5000, 0));
    assert_true(skv_histogram_add(&second, x, 2500, 0)); /* the narrow part first, so that it must be rescaled */
    assert_true(skv_histogram_add(&first, x + 2500, 2500, 0));
    skv_histogram_merge(&first, &second);
    assert_true(first.low == whole.low && first.high == whole.high && first.reach == whole.reach);
    assert_int_equal(total(&first), 5000);
    for (int i = 0; i < BINS; i++) assert_int_equal(first.bins[i], whole.bins[i]);
    skv_histogram_free(ctx, &whole);
    skv_histogram_free(ctx, &first);
    skv_histogram_free(ctx, &second);
    skv_test_context_end(ctx);
}

static void histogram_refuses_nan(void **state) {
    skive_context *ctx = skv_test_context();
    skv_histogram h;
    float x[40] = {0};
    (void)state;
    skv_test_ok(ctx, skv_histogram_create(ctx, SKV_BINS_BOTH, &h));
    for (int i = 0; i < 40; i++) {
        x[i] = i % 2 ? NAN : INFINITY;
        assert_false(skv_histogram_add(&h, x, 40, 0));
        x[i] = 0;
    }
    assert_true(skv_histogram_add(&h, x, 40, 0));
    skv_histogram_free(ctx, &h);
    skv_test_context_end(ctx);
}

/* A million normal values and one outlier at 1000: min-max keeps it, the others cut it off, and in doing so lower the
 * error of everything else. */
static void observers_handle_an_outlier(void **state) {
    const skv_quantizer q = skv_quant_activations();
    skive_context *ctx = skv_test_context();
    const skive_quantize_options o = skive_quantize_options_default();
    skv_histogram h;
    enum { N = 200000 };
    float *x = malloc(N * sizeof *x);
    (void)state;
    assert_non_null(x);
    for (int i = 0; i < N; i++) x[i] = fabsf((float)skv_rng_normal(5, 0, (uint64_t)i));
    x[77] = 60.0f;
    skv_test_ok(ctx, skv_histogram_create(ctx, SKV_BINS_BOTH, &h));
    assert_true(skv_histogram_add(&h, x, N, 0));
    for (size_t i = 0; i < skv_observer_count(); i++) {
        const skv_observer *observer = skv_observer_at(i);
        double low = NAN, high = NAN;
        observer->choose(&h, &q, &o, &low, &high);
        assert_true(low <= 0.001 && low >= -0.001);
        if (strcmp(observer->name, "minmax") == 0) {
            assert_true(high == 60.0);
        } else if (strcmp(observer->name, "mse") == 0) {
            /* Its choice is the best of what it may choose from. */
            const skv_grid_params chosen = over(low, high), all = over(0, 60);
            assert_true(skv_histogram_error(&h, &q, &chosen) <= skv_histogram_error(&h, &q, &all));
        } else {
            assert_true(high > 3.0 && high < 20.0);
        }
    }
    free(x);
    skv_histogram_free(ctx, &h);
    skv_test_context_end(ctx);
}

/* What a ReLU leaves: nine zeros in ten. They are exact on any grid, so the range must be the one chosen without
 * them. */
static void zeros_do_not_narrow_the_range(void **state) {
    const skv_quantizer q = skv_quant_activations();
    skive_context *ctx = skv_test_context();
    const skive_quantize_options o = skive_quantize_options_default();
    enum { N = 100000, TIMES = 10 };
    float *x = calloc((size_t)N * TIMES, sizeof *x);
    (void)state;
    assert_non_null(x);
    for (int i = 0; i < N; i++) x[i] = fabsf((float)skv_rng_normal(5, 0, (uint64_t)i));
    for (size_t i = 0; i < skv_observer_count(); i++) {
        double low, high[2];
        for (int zeros = 0; zeros < 2; zeros++) {
            skv_histogram h;
            skv_test_ok(ctx, skv_histogram_create(ctx, SKV_BINS_BOTH, &h));
            assert_true(skv_histogram_add(&h, x, zeros ? (size_t)N * TIMES : N, 0));
            skv_observer_at(i)->choose(&h, &q, &o, &low, &high[zeros]);
            const skv_grid_params p = over(low, high[zeros]);
            assert_true(skv_histogram_error(&h, &q, &p) * 1000 < skv_histogram_power(&h));
            skv_histogram_free(ctx, &h);
        }
        /* A percentile counts all values, zeros too. */
        if (strcmp(skv_observer_at(i)->name, "percentile") != 0) assert_true(fabs(high[1] - high[0]) <= 0.1 * high[0]);
    }
    free(x);
    skv_test_context_end(ctx);
}

/* ---- the whole ---- */

typedef struct feed_state {
    int64_t runs, bad_run;
} feed_state;

static skive_status feed(void *user, int64_t index, skive_tensor *inputs, size_t n) {
    feed_state *f = user;
    assert_int_equal(n, 1);
    if (index >= f->runs) return SKIVE_ERR_NOT_FOUND;
    float *x = inputs[0].data;
    for (int64_t i = 0; i < skive_tensor_count(&inputs[0]); i++)
        x[i] = (float)skv_rng_normal(9, (uint64_t)index, (uint64_t)i);
    if (index == f->bad_run) x[3] = NAN;
    return SKIVE_OK;
}

static skive_graph *network(skive_context *ctx) {
    skive_graph *g = NULL;
    skive_zoo_options o = skive_zoo_options_default();
    o.dims[1] = o.dims[2] = 16;
    skv_test_ok(ctx, skive_zoo_build(ctx, "vgg-small:0.1", &o, &g));
    return g;
}

static size_t count_op(const skive_graph *g, const char *op) {
    size_t n = 0;
    for (size_t i = 0; i < skive_graph_node_count(g); i++) n += strcmp(skive_node_op(skive_graph_node(g, i)), op) == 0;
    return n;
}

static void run_one(skive_context *ctx, const skive_graph *g, float *scores) {
    const int64_t dims[4] = {1, 1, 16, 16};
    skive_tensor in = skv_test_random(ctx, SKIVE_F32, 4, dims, 4, -1, 1), out;
    skv_test_ok(ctx, skive_graph_run(ctx, g, &in, 1, &out, 1));
    memcpy(scores, out.data, 10 * sizeof *scores);
    skive_tensor_free(ctx, &out);
    skive_tensor_free(ctx, &in);
}

static void quantized_model_answers_alike(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (size_t i = 0; i < skv_observer_count(); i++) {
        skive_graph *g = network(ctx);
        skive_quantize_options o = skive_quantize_options_default();
        skive_quantize_report r;
        feed_state f = {20, -1};
        float before[10], after[10];
        double error = 0, power = 0;
        o.calibration = skv_observer_at(i)->name;
        o.samples = 20;
        run_one(ctx, g, before);
        skv_test_ok(ctx, skive_quantize_feed(ctx, g, feed, &f, &o, &r));
        run_one(ctx, g, after);
        for (int k = 0; k < 10; k++) {
            error += (double)(after[k] - before[k]) * (double)(after[k] - before[k]);
            power += (double)before[k] * (double)before[k];
        }
        assert_true(error > 0);             /* it is quantized */
        assert_true(error < 0.02 * power);  /* and close: better than 17 dB */
        assert_int_equal(r.n_quantized, 7); /* five convolutions, two dense layers */
        assert_int_equal(r.samples, 20);
        assert_int_equal(count_op(g, "BatchNormalization"), 0);
        assert_true(count_op(g, "QuantizeLinear") > 0);
        skv_test_ok(ctx, skive_graph_check(g));
        skive_quantize_report_free(ctx, &r);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

/* Samples are shared out among the threads; what was seen, and so the grids, must not depend on how. */
static void threads_change_nothing(void **state) {
    (void)state;
    skive_quantize_report first = {0};
    skive_context *ctx = skv_test_context();
    for (int threads = 1; threads <= 4; threads++) {
        skive_graph *g = network(ctx);
        skive_quantize_options o = skive_quantize_options_default();
        skive_quantize_report r;
        feed_state f = {7, -1}; /* the last round is not full, and the data ends before the samples asked for */
        o.samples = 9;
        skv_test_ok(ctx, skive_context_set_threads(ctx, threads));
        skv_test_ok(ctx, skive_quantize_feed(ctx, g, feed, &f, &o, &r));
        assert_int_equal(r.samples, 7);
        skive_graph_free(g);
        if (threads == 1) {
            first = r;
            continue;
        }
        assert_int_equal(r.n_rows, first.n_rows);
        for (size_t i = 0; i < r.n_rows; i++) {
            const skive_quantize_row *a = &r.rows[i], *b = &first.rows[i];
            assert_string_equal(a->name, b->name);
            assert_int_equal(a->zero_point, b->zero_point);
            assert_memory_equal(&a->scale, &b->scale, sizeof a->scale);
            assert_memory_equal(&a->lo, &b->lo, sizeof a->lo);
            assert_memory_equal(&a->hi, &b->hi, sizeof a->hi);
            assert_memory_equal(&a->sqnr, &b->sqnr, sizeof a->sqnr);
        }
        skive_quantize_report_free(ctx, &r);
    }
    skive_quantize_report_free(ctx, &first);
    skv_test_context_end(ctx);
}

/* A fault in any worker's run is told with the value's name, whichever worker it was. */
static void faults_of_every_worker_are_told(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    skv_test_ok(ctx, skive_context_set_threads(ctx, 3));
    for (int bad = 0; bad < 4; bad++) {
        skive_graph *g = network(ctx);
        skive_quantize_options o = skive_quantize_options_default();
        feed_state f = {6, bad};
        o.samples = 6;
        skv_test_fails(ctx, skive_quantize_feed(ctx, g, feed, &f, &o, NULL), SKIVE_ERR_NUMERIC, "NaN");
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

static void check_loops(const skv_quant_loops *loops, const float *x, size_t n) {
    enum { N = 1003 };
    const skv_quant_loops *plain = &skv_quant_loops_scalar;
    float scale[N];
    int8_t q[2][N];
    double power[2] = {0}, error[2] = {0};
    assert_true(plain->magnitude(x, n, 0.25f) == loops->magnitude(x, n, 0.25f));
    for (size_t i = 0; i < n; i++) scale[i] = 0.01f + 0.0001f * (float)i;
    for (size_t step = 0; step < 2; step++) {
        plain->quantize(x, n, scale, step, -127, 127, q[0], &power[0], &error[0]);
        loops->quantize(x, n, scale, step, -127, 127, q[1], &power[1], &error[1]);
        assert_memory_equal(q[0], q[1], n);
        assert_memory_equal(&power[0], &power[1], sizeof power[0]);
        assert_memory_equal(&error[0], &error[1], sizeof error[0]);
        for (size_t i = 0; i < n; i++) {
            const float r = rintf(x[i] / scale[step ? i : 0]);
            assert_int_equal(q[0][i], (int8_t)(r < -127 ? -127 : r > 127 ? 127 : r));
        }
    }
}

static void loops_of_every_level_agree(void **state) {
    enum { N = 1003 };
    float x[N];
    (void)state;
    for (int i = 0; i < N; i++) x[i] = (float)skv_rng_normal(11, 0, (uint64_t)i) * (i % 3 ? 1.0f : 0.0f);
    x[5] = 0.015f; /* half a step of 0.01, and of 0.03 */
    for (int level = SKV_ISA_SCALAR; level <= (int)skv_cpu_isa_hardware(); level++) {
        if (!skv_isa_has(skv_cpu_isa_hardware(), (skv_isa)level)) continue;
        const skv_quant_loops *loops = skv_quant_loops_of((skv_isa)level);
        for (size_t n = 1; n <= N; n += n < 70 ? 1 : 311) check_loops(loops, x, n);
    }
}

static void a_skipped_node_stays_float(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx);
    skive_quantize_options o = skive_quantize_options_default();
    skive_quantize_report r;
    feed_state f = {4, -1};
    const char *skip = "fc2";
    (void)state;
    o.samples = 4;
    o.skip = &skip;
    o.n_skip = 1;
    skv_test_ok(ctx, skive_quantize_feed(ctx, g, feed, &f, &o, &r));
    assert_int_equal(r.n_quantized, 6);
    assert_int_equal(r.n_refused, 1);
    assert_non_null(strstr(r.refused[0], "fc2"));
    assert_non_null(skive_graph_find_value(g, "fc2.weight"));
    assert_null(skive_graph_find_value(g, "fc1.weight"));
    skive_quantize_report_free(ctx, &r);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void failures_leave_the_graph(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx);
    skive_quantize_options o = skive_quantize_options_default();
    feed_state f = {4, 2};
    char *before, *after;
    (void)state;
    skv_test_ok(ctx, skive_graph_print(g, &before));
    o.samples = 4;
    skv_test_fails(ctx, skive_quantize_feed(ctx, g, feed, &f, &o, NULL), SKIVE_ERR_NUMERIC, "NaN");
    o.calibration = "astrology";
    skv_test_fails(ctx, skive_quantize_feed(ctx, g, feed, &f, &o, NULL), SKIVE_ERR_ARGUMENT, "astrology");
    o.calibration = "minmax";
    f.runs = 0;
    skv_test_fails(ctx, skive_quantize_feed(ctx, g, feed, &f, &o, NULL), SKIVE_ERR_DATA, "samples");
    skv_test_ok(ctx, skive_graph_print(g, &after));
    assert_string_equal(before, after);
    f = (feed_state){2, -1};
    skv_test_ok(ctx, skive_quantize_feed(ctx, g, feed, &f, &o, NULL));
    skv_test_fails(ctx, skive_quantize_feed(ctx, g, feed, &f, &o, NULL), SKIVE_ERR_ARGUMENT, "already quantized");
    skive_string_free(ctx, before);
    skive_string_free(ctx, after);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static skive_status quantize_all(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skive_zoo_options z = skive_zoo_options_default();
    skive_quantize_options o = skive_quantize_options_default();
    skive_quantize_report r = {0};
    feed_state f = {1, -1};
    (void)user;
    z.dims[1] = z.dims[2] = 16;
    skive_status status = skive_zoo_build(ctx, "lenet5:0.05", &z, &g);
    if (status == SKIVE_OK) status = skive_quantize_feed(ctx, g, feed, &f, &o, &r);
    skive_quantize_report_free(ctx, &r);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    skv_test_walk_allocations(quantize_all, NULL, 13);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grids_by_hand),
        cmocka_unit_test(loops_give_the_codes_of_the_grid),
        cmocka_unit_test(observers_serve_every_grid),
        cmocka_unit_test(histogram_grows),
        cmocka_unit_test(histogram_parts_merge_exactly),
        cmocka_unit_test(histogram_refuses_nan),
        cmocka_unit_test(observers_handle_an_outlier),
        cmocka_unit_test(zeros_do_not_narrow_the_range),
        cmocka_unit_test(quantized_model_answers_alike),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(faults_of_every_worker_are_told),
        cmocka_unit_test(loops_of_every_level_agree),
        cmocka_unit_test(a_skipped_node_stays_float),
        cmocka_unit_test(failures_leave_the_graph),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
