/* The data probe: each reducer against plain sums in double, gradients against those worked out by hand and against
 * differences of the loss, the same bits for any number of threads, bounded memory, faults. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <skive/skive.h>

#include "graph/graph.h"
#include "probe/hessian.h"
#include "probe/histogram.h"
#include "probe/loops.h"
#include "probe/probe.h"
#include "support.h"

enum { N = 3, C = 4, H = 6, W = 5, F = 6, OH = 3, OW = 5, M = 7, RUNS = 7 };
enum { X_SIZE = N * C * H * W, H_SIZE = N * F * OH * OW, FLAT = F * OH * OW, Y_SIZE = N * M };

/* ---- a network: x -> convolution in two groups -> Relu h -> product y, loss = sum of y^2 ---- */

static skive_value *parameter(skv_builder *b, const char *name, int rank, const int64_t *dims, uint64_t seed) {
    skv_storage *s = NULL;
    if (b->status == SKIVE_OK) b->status = skv_storage_create(b->graph->ctx, SKIVE_F32, rank, dims, &s);
    if (b->status != SKIVE_OK) return NULL;
    for (int64_t i = 0; i < skive_tensor_count(&s->tensor); i++)
        ((float *)s->tensor.data)[i] = 0.3f * (float)skv_rng_normal(seed, 5, (uint64_t)i);
    return skv_emit_param(b, name, s);
}

static skive_status name_it(skv_builder *b, skive_value *v, const char *name) {
    SKV_TRY(b->status);
    return skv_value_rename(v, name);
}

static skive_status network(skive_context *ctx, skive_graph **out) {
    const int64_t w_dims[4] = {F, C / 2, 3, 3}, b_dims[1] = {F}, w2_dims[2] = {FLAT, M};
    const int64_t strides[2] = {2, 1}, pads[4] = {1, 1, 1, 1};
    const skive_type x_type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{N, NULL}, {C, NULL}, {H, NULL}, {W, NULL}}};
    skive_value *x = NULL;
    SKV_TRY(skive_graph_create(ctx, "net", out));
    SKV_TRY(skive_graph_add_input(*out, "x", &x_type, &x));
    skv_builder b = skv_build(*out);
    skive_value *w = parameter(&b, "w", 4, w_dims, 1), *bias = parameter(&b, "b", 1, b_dims, 2);
    skive_value *w2 = parameter(&b, "w2", 2, w2_dims, 3);
    skive_value *c =
        skv_emit(&b, "Conv", SKV_IN(x, w, bias),
                 SKV_ATTRS(SKV_INT("group", 2), SKV_INTS("strides", strides, 2), SKV_INTS("pads", pads, 4)));
    skive_value *h = skv_emit(&b, "Relu", SKV_IN(c), SKV_NONE);
    SKV_TRY(name_it(&b, h, "h"));
    skive_value *flat = skv_emit(&b, "Flatten", SKV_IN(h), SKV_NONE);
    skive_value *y = skv_emit(&b, "MatMul", SKV_IN(flat, w2), SKV_NONE);
    SKV_TRY(name_it(&b, flat, "flat"));
    SKV_TRY(name_it(&b, y, "y"));
    skive_value *square = skv_emit(&b, "Mul", SKV_IN(y, y), SKV_NONE);
    skive_value *loss = skv_emit(&b, "ReduceSum", SKV_IN(square), SKV_ATTRS(SKV_INT("keepdims", 0)));
    SKV_TRY(name_it(&b, loss, "loss"));
    SKV_TRY(skive_graph_add_output(*out, loss));
    SKV_TRY(skive_graph_add_output(*out, h));
    SKV_TRY(skive_graph_add_output(*out, y));
    return skive_graph_infer(*out);
}

static void sample(int64_t run, float *x) {
    for (uint64_t i = 0; i < X_SIZE; i++) x[i] = (float)skv_rng_normal(9, (uint64_t)run, i);
}

static skive_status feed(void *user, int64_t *run, skive_tensor *inputs, size_t n_inputs) {
    const int64_t *most = user;
    (void)n_inputs;
    if (most && *run >= *most) return SKIVE_ERR_NOT_FOUND;
    sample(*run, inputs[0].data);
    return SKIVE_OK;
}

/* What the network gives in each run, from the reference kernels. */
static double loss_at[RUNS];
static float x_at[RUNS][X_SIZE], h_at[RUNS][H_SIZE], y_at[RUNS][Y_SIZE];

static void run_reference(const skive_graph *g, skive_context *ctx) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor in, out;
    o.reference = true;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &in));
    for (int64_t r = 0; r < RUNS; r++) {
        sample(r, x_at[r]);
        memcpy(in.data, x_at[r], sizeof x_at[r]);
        skv_test_ok(ctx, skive_exec_run(exec));
        skv_test_ok(ctx, skive_exec_output(exec, 0, &out));
        loss_at[r] = (double)((const float *)out.data)[0];
        skv_test_ok(ctx, skive_exec_output(exec, 1, &out));
        memcpy(h_at[r], out.data, sizeof h_at[r]);
        skv_test_ok(ctx, skive_exec_output(exec, 2, &out));
        memcpy(y_at[r], out.data, sizeof y_at[r]);
    }
    skive_exec_free(exec);
    skive_plan_free(plan);
}

static skv_probe_setup setup_of(const skive_graph *g, const char *loss, const skv_probe_item *items, size_t n) {
    return (skv_probe_setup){
        .graph = g, .loss = loss, .items = items, .n_items = n, .plan = skive_plan_options_default(), .runs = RUNS};
}

static const skv_probe_pass whole = {.feed = feed, .runs = RUNS};

static skv_probe *probe_of(skive_context *ctx, const skv_probe_setup *s) {
    skv_probe *p = NULL;
    int64_t done;
    skv_test_ok(ctx, skv_probe_open(ctx, s, &p));
    skv_test_ok(ctx, skv_probe_run(p, &whole, &done));
    assert_int_equal(done, RUNS);
    return p;
}

static double *result(skive_context *ctx, skv_probe *p, size_t item, size_t n, double count) {
    double *out, seen;
    size_t got;
    skv_test_ok(ctx, skv_probe_result(p, item, &out, &got, &seen));
    assert_int_equal(got, n);
    assert_true(seen == count);
    return out;
}

static void assert_close(double got, double want, double rtol, double atol) {
    if (skv_test_close(got, want, rtol, atol)) return;
    fail_msg("%.12g instead of %.12g", got, want);
}

/* ---- loops ---- */

static void check_loops(const skv_probe_loops *loops, const float *x, size_t n) {
    enum { MOST = 1003 };
    const skv_probe_loops *plain = &skv_probe_loops_scalar;
    float low[2], high[2];
    int32_t at[2][MOST];
    double slots[MOST] = {0}, one = 0, same = 0, want = 0;
    assert_true(plain->range(x, n, &low[0], &high[0]) && loops->range(x, n, &low[1], &high[1]));
    assert_true(low[0] == low[1] && high[0] == high[1]);
    plain->bins(x, n, 512, 4096, at[0]);
    loops->bins(x, n, 512, 4096, at[1]);
    assert_memory_equal(at[0], at[1], n * sizeof at[0][0]);
    for (size_t i = 0; i < n; i++) assert_int_equal(at[0][i], (int32_t)floor((double)x[i] * 512) + 4096);
    for (int32_t base = 14000; base <= 17000; base += 1000) {
        plain->octaves(x, n, base, 4096, at[0]);
        loops->octaves(x, n, base, 4096, at[1]);
        assert_memory_equal(at[0], at[1], n * sizeof at[0][0]);
        for (size_t i = 0; i < n; i++) {
            uint32_t code;
            memcpy(&code, &x[i], sizeof code);
            const int32_t k = (int32_t)(code << 1 >> 17) - base;
            assert_int_equal(at[0][i], k <= 0 ? 4096 : x[i] < 0 ? 4095 - k : 4096 + k);
        }
    }
    loops->squares(slots, 1, x, n);
    loops->squares(&one, 0, x, n);
    plain->squares(&same, 0, x, n);
    for (size_t i = 0; i < n; i++) {
        assert_true(slots[i] == (double)x[i] * (double)x[i]);
        want += slots[i];
    }
    assert_memory_equal(&one, &same, sizeof one);
    assert_close(one, want, 1e-13, 0);
    one = same = want = 0;
    loops->magnitudes(&one, 0, x, n);
    plain->magnitudes(&same, 0, x, n);
    for (size_t i = 0; i < n; i++) want += fabs((double)x[i]);
    assert_memory_equal(&one, &same, sizeof one);
    assert_close(one, want, 1e-13, 0);
}

static void loops_of_every_level_agree(void **state) {
    enum { MOST = 1003 };
    float x[MOST];
    (void)state;
    for (int i = 0; i < MOST; i++) x[i] = (float)skv_rng_normal(11, 0, (uint64_t)i) * (i % 3 ? 1.0f : 0.0f);
    for (int level = SKV_ISA_SCALAR; level <= (int)skv_cpu_isa_hardware(); level++) {
        if (!skv_isa_has(skv_cpu_isa_hardware(), (skv_isa)level)) continue;
        const skv_probe_loops *loops = skv_probe_loops_of((skv_isa)level);
        for (size_t n = 1; n <= MOST; n += n < 70 ? 1 : 311) check_loops(loops, x, n);
        for (int i = 0; i < 40; i++) {
            float low, high, bad[40] = {0};
            bad[i] = i % 2 ? NAN : -INFINITY;
            assert_false(loops->range(bad, 40, &low, &high));
        }
    }
}

/* ---- reducers ---- */

/* Sums and extremes of h by channel, by column and in all, and of y by output. */
static void sums_and_extremes(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    static const char *const names[] = {"sum", "magnitudes", "squares", "zeros", "least", "most"};
    enum { KINDS = 6, AXES = 4 };
    static const int axes[AXES] = {1, 3, SKV_IN_ALL, 0};
    skv_probe_item items[KINDS * AXES];
    (void)state;
    skv_test_ok(ctx, network(ctx, &g));
    run_reference(g, ctx);
    for (size_t i = 0; i < KINDS * AXES; i++)
        items[i] =
            (skv_probe_item){.value = "h", .axis = axes[i / KINDS], .reducer = skv_reducer_find(names[i % KINDS])};
    const skv_probe_setup s = setup_of(g, NULL, items, KINDS * AXES);
    skv_probe *p = probe_of(ctx, &s);
    for (size_t a = 0; a < AXES; a++) {
        static const int64_t dims[4] = {N, F, OH, OW};
        const size_t slots = axes[a] < 0 ? 1 : (size_t)dims[axes[a]];
        double want[KINDS][OH * OW * F] = {{0}};
        for (size_t k = 0; k < slots; k++) {
            want[4][k] = INFINITY;
            want[5][k] = -INFINITY;
        }
        for (int r = 0; r < RUNS; r++) {
            for (size_t i = 0; i < H_SIZE; i++) {
                const size_t places[4] = {i / (F * OH * OW), i / (OH * OW) % F, i / OW % OH, i % OW};
                const size_t k = axes[a] < 0 ? 0 : places[axes[a]];
                const double v = (double)h_at[r][i];
                want[0][k] += v;
                want[1][k] += fabs(v);
                want[2][k] += v * v;
                want[3][k] += v == 0;
                want[4][k] = fmin(want[4][k], v);
                want[5][k] = fmax(want[5][k], v);
            }
        }
        for (size_t i = 0; i < KINDS; i++) {
            double *got = result(ctx, p, a * KINDS + i, slots, (double)RUNS * H_SIZE / (double)slots);
            for (size_t k = 0; k < slots; k++) assert_close(got[k], want[i][k], 1e-5, 1e-6);
            skv_free(ctx, got);
        }
    }
    skv_probe_free(p);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static int by_size(const void *a, const void *b) {
    const double x = fabs(*(const double *)a), y = fabs(*(const double *)b);
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Entropy of numbers in 256 bins of the smallest +-2^k that holds them. */
static double entropy_of(const double *v, size_t n) {
    double most = 0, sum = 0;
    int counts[256] = {0}, exponent;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(v[i]));
    (void)frexp(most, &exponent);
    for (size_t i = 0; i < n; i++) counts[128 + (int)floor(v[i] / exp2(exponent) * 128)]++;
    for (int i = 0; i < 256; i++) sum -= counts[i] ? counts[i] / (double)n * log(counts[i] / (double)n) : 0;
    return sum;
}

static void counts_entropy_and_largest(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    const skv_probe_item items[] = {
        {.value = "y", .axis = SKV_IN_ALL, .reducer = skv_reducer_find("top"), .number = 10},
        {.value = "h", .axis = 1, .reducer = skv_reducer_find("entropy")},
        {.value = "y", .axis = 1, .reducer = skv_reducer_find("entropy")},
        {.value = "x", .axis = SKV_IN_ALL, .reducer = skv_reducer_find("histogram")},
    };
    double all[RUNS * Y_SIZE], means[F][RUNS * N], answers[M][RUNS * N], count = 0;
    (void)state;
    skv_test_ok(ctx, network(ctx, &g));
    run_reference(g, ctx);
    const skv_probe_setup s = setup_of(g, NULL, items, 4);
    skv_probe *p = probe_of(ctx, &s);
    for (int r = 0; r < RUNS; r++) {
        for (int i = 0; i < Y_SIZE; i++) {
            all[r * Y_SIZE + i] = (double)y_at[r][i];
            answers[i % M][r * N + i / M] = (double)y_at[r][i];
        }
        for (int i = 0; i < N * F; i++) {
            double sum = 0;
            for (int k = 0; k < OH * OW; k++) sum += (double)h_at[r][i * OH * OW + k];
            means[i % F][r * N + i / F] = sum / (OH * OW);
        }
    }
    qsort(all, RUNS * Y_SIZE, sizeof *all, by_size);
    double *got = result(ctx, p, 0, 30, RUNS * Y_SIZE);
    for (int i = 0; i < 10; i++) {
        assert_close(got[3 * i], all[i], 1e-5, 0);
        const int run = (int)got[3 * i + 1], index = (int)got[3 * i + 2];
        assert_close((double)y_at[run][index], got[3 * i], 1e-5, 0);
    }
    skv_free(ctx, got);
    got = result(ctx, p, 1, F, RUNS * N * OH * OW);
    for (int c = 0; c < F; c++) assert_close(got[c], entropy_of(means[c], RUNS * N), 1e-9, 1e-12);
    skv_free(ctx, got);
    got = result(ctx, p, 2, M, RUNS * N);
    for (int c = 0; c < M; c++) assert_close(got[c], entropy_of(answers[c], RUNS * N), 1e-9, 1e-12);
    skv_free(ctx, got);
    got = result(ctx, p, 3, SKV_HISTOGRAM_BINS + 1, RUNS * X_SIZE);
    for (int i = 0; i < SKV_HISTOGRAM_BINS; i++) count += got[i + 1];
    assert_true(count == RUNS * X_SIZE && got[0] == 4); /* the largest of 2,520 normal numbers is between 2 and 4 */
    for (int r = 0; r < RUNS; r++) {
        for (int i = 0; i < X_SIZE; i++) got[1 + SKV_HISTOGRAM_BINS / 2 + (int)floor((double)x_at[r][i] * 1024)]--;
    }
    for (int i = 0; i < SKV_HISTOGRAM_BINS; i++) assert_true(got[i + 1] == 0);
    skv_free(ctx, got);
    skv_probe_free(p);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* x x^T of a product's rows, and of the windows of a convolution in two groups, whose elements are found by the
 * definition: output position times stride, less the padding, plus the tap. */
static void second_moments(void **state) {
    enum { D = C / 2 * 9 };
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    (void)state;
    skv_test_ok(ctx, network(ctx, &g));
    run_reference(g, ctx);
    skive_node *conv = skive_graph_find_value(g, "w")->uses[0].node;
    const skv_probe_item items[] = {
        {.value = "flat", .axis = 1, .reducer = skv_reducer_find("moments")},
        {.value = "x", .axis = SKV_IN_ALL, .reducer = skv_reducer_find("moments"), .user = conv},
    };
    const skv_probe_setup s = setup_of(g, NULL, items, 2);
    skv_probe *p = probe_of(ctx, &s);
    double *got = result(ctx, p, 0, FLAT * FLAT + 1, RUNS * N);
    assert_true(got[FLAT * FLAT] == RUNS * N);
    for (int i = 0; i < FLAT; i++) {
        for (int j = 0; j < FLAT; j++) {
            double want = 0;
            for (int r = 0; r < RUNS; r++) {
                for (int n = 0; n < N; n++) want += (double)h_at[r][n * FLAT + i] * (double)h_at[r][n * FLAT + j];
            }
            assert_close(got[i * FLAT + j], want, 1e-5, 1e-5);
        }
    }
    skv_free(ctx, got);
    got = result(ctx, p, 1, 2 * D * D + 1, RUNS * X_SIZE);
    static double want[2][D][D];
    memset(want, 0, sizeof want);
    for (int r = 0; r < RUNS; r++) {
        for (int at = 0; at < N * 2 * OH * OW; at++) {
            const int n = at / (2 * OH * OW), group = at / (OH * OW) % 2, oy = at / OW % OH, ox = at % OW;
            double row[D];
            for (int k = 0; k < D; k++) {
                const int c = group * 2 + k / 9, iy = oy * 2 - 1 + k / 3 % 3, ix = ox - 1 + k % 3;
                const bool inside = iy >= 0 && iy < H && ix >= 0 && ix < W;
                row[k] = inside ? (double)x_at[r][((n * C + c) * H + iy) * W + ix] : 0;
            }
            for (int k = 0; k < D * D; k++) want[group][k / D][k % D] += row[k / D] * row[k % D];
        }
    }
    for (int k = 0; k < 2 * D * D; k++) assert_close(got[k], ((double *)want)[k], 1e-5, 1e-4);
    assert_true(got[2 * D * D] == RUNS * N * OH * OW);
    skv_free(ctx, got);
    skv_probe_free(p);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- gradients ---- */

/* Of sum y^2 with respect to w2: 2 h^T y. */
static void gradient_of_w2(int run, double *out) {
    for (int i = 0; i < FLAT * M; i++) {
        out[i] = 0;
        for (int n = 0; n < N; n++)
            out[i] += 2 * (double)h_at[run][n * FLAT + i / M] * (double)y_at[run][n * M + i % M];
    }
}

static void gradients_of_elements(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    enum { ITEMS = 5 };
    const skv_probe_item items[ITEMS] = {
        {.value = "w2", .of = SKV_OF_GRADIENT, .axis = SKV_BY_ELEMENT, .reducer = skv_reducer_find("sum")},
        {.value = "w2", .of = SKV_OF_GRADIENT, .axis = SKV_BY_ELEMENT, .reducer = skv_reducer_find("squares")},
        {.value = "w2", .of = SKV_OF_PRODUCT, .axis = SKV_BY_ELEMENT, .reducer = skv_reducer_find("magnitudes")},
        {.value = "w2", .of = SKV_OF_PRODUCT, .axis = SKV_BY_ELEMENT, .reducer = skv_reducer_find("squares")},
        {.value = "w2", .of = SKV_OF_GRADIENT, .axis = 1, .reducer = skv_reducer_find("squares")},
    };
    static double want[ITEMS][FLAT * M], gradient[FLAT * M];
    double loss = 0;
    (void)state;
    skv_test_ok(ctx, network(ctx, &g));
    run_reference(g, ctx);
    const float *w2 = skv_value_tensor(skive_graph_find_value(g, "w2"))->data;
    memset(want, 0, sizeof want);
    for (int r = 0; r < RUNS; r++) {
        gradient_of_w2(r, gradient);
        loss += loss_at[r] / RUNS;
        for (int i = 0; i < FLAT * M; i++) {
            const double d = gradient[i], product = d * (double)w2[i];
            want[0][i] += d;
            want[1][i] += d * d;
            want[2][i] += fabs(product);
            want[3][i] += product * product;
            want[4][i % M] += d * d;
        }
    }
    const skv_probe_setup s = setup_of(g, "loss", items, ITEMS);
    skv_probe *p = probe_of(ctx, &s);
    assert_close(skv_probe_loss(p), loss, 1e-5, 0);
    for (size_t k = 0; k < ITEMS; k++) {
        const size_t n = k == 4 ? M : FLAT * M;
        double *got = result(ctx, p, k, n, k == 4 ? RUNS * FLAT : RUNS);
        for (size_t i = 0; i < n; i++) assert_close(got[i], want[k][i], 1e-4, 1e-3);
        skv_free(ctx, got);
    }
    skv_probe_free(p);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static double mean_loss(skive_context *ctx, const skive_graph *g) {
    double sum = 0;
    run_reference(g, ctx);
    for (int r = 0; r < RUNS; r++) sum += loss_at[r] / RUNS;
    return sum;
}

/* Of the convolution's weights, against differences of the loss. */
static void gradients_and_differences(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    const skv_probe_item item = {
        .value = "w", .of = SKV_OF_GRADIENT, .axis = SKV_BY_ELEMENT, .reducer = skv_reducer_find("sum")};
    (void)state;
    skv_test_ok(ctx, network(ctx, &g));
    const skv_probe_setup s = setup_of(g, "loss", &item, 1);
    skv_probe *p = probe_of(ctx, &s);
    double *got = result(ctx, p, 0, F * C / 2 * 9, RUNS), largest = 0;
    for (int i = 0; i < F * C / 2 * 9; i++) largest = fmax(largest, fabs(got[i] / RUNS));
    float *w = skive_graph_find_value(g, "w")->storage->tensor.data;
    for (int i = 0; i < F * C / 2 * 9; i += 11) {
        const float was = w[i];
        w[i] = was + 0.0005f;
        const double above = mean_loss(ctx, g);
        w[i] = was - 0.0005f;
        const double below = mean_loss(ctx, g);
        w[i] = was;
        assert_close(got[i] / RUNS, (above - below) / 0.001, 0.001, 0.001 * largest);
    }
    skv_free(ctx, got);
    skv_probe_free(p);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- a reducer of the test's own, which sees the value with its gradient ---- */

static skive_status own_open(skive_context *ctx, const skv_reduction *r, void **out) {
    (void)ctx;
    *out = r->item->user;
    return SKIVE_OK;
}
static void own_close(skive_context *ctx, const skv_reduction *r, void *at) {
    (void)ctx;
    (void)r;
    (void)at;
}
static size_t own_bytes(const skv_reduction *r) {
    (void)r;
    return 0;
}
static skive_status own_add(const skv_reduction *r, void *at, const skv_seen *seen) {
    double *products = at; /* [RUNS] */
    (void)r;
    for (size_t i = 0; i < seen->n; i++) products[seen->run] += (double)seen->x[i] * (double)seen->gradient[i];
    return SKIVE_OK;
}
static void own_merge(const skv_reduction *r, void *into, void *part) {
    (void)r;
    (void)into;
    (void)part;
}
static const skv_reducer own_products = {.name = "own",
                                         .exact = true,
                                         .bytes = own_bytes,
                                         .open = own_open,
                                         .close = own_close,
                                         .add = own_add,
                                         .merge = own_merge};

static void value_beside_gradient(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    double products[RUNS] = {0}, sum = 0, want = 0;
    const skv_probe_item items[] = {
        {.value = "h", .of = SKV_OF_BOTH, .axis = SKV_IN_ALL, .reducer = &own_products, .user = products},
        {.value = "h", .of = SKV_OF_PRODUCT, .axis = SKV_IN_ALL, .reducer = skv_reducer_find("sum")},
    };
    (void)state;
    skv_test_ok(ctx, network(ctx, &g));
    skv_probe_setup s = setup_of(g, "loss", items, 2);
    s.constant_parameters = true;
    skv_probe *p = probe_of(ctx, &s), *none = NULL;
    double *all = result(ctx, p, 1, 1, RUNS * N * F * OH * OW);
    want = all[0];
    for (int r = 0; r < RUNS; r++) {
        assert_true(products[r] != 0);
        sum += products[r];
    }
    assert_close(sum, want, 1e-4, 1e-3);
    skv_free(ctx, all);
    skv_probe_free(p);
    s.most = 1;
    skv_test_fails(ctx, skv_probe_open(ctx, &s, &none), SKIVE_ERR_LIMIT, "more than");
    const skv_probe_item bad[] = {
        {.value = "w", .of = SKV_OF_BOTH, .axis = SKV_IN_ALL, .reducer = &own_products, .user = products},
        {.value = "h", .of = SKV_OF_BOTH, .axis = SKV_IN_ALL, .reducer = skv_reducer_find("sum")},
    };
    for (size_t i = 0; i < 2; i++) {
        const skv_probe_setup one = setup_of(g, "loss", &bad[i], 1);
        skv_test_fails(ctx, skv_probe_open(ctx, &one, &none), SKIVE_ERR_ARGUMENT, "beside its gradient");
    }
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* The gradient with respect to h is 2 y w2^T. */
static void products_of_activations(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    const skv_probe_item items[] = {
        {.value = "h", .of = SKV_OF_PRODUCT, .axis = 1, .reducer = skv_reducer_find("sample-sums")},
        {.value = "h", .of = SKV_OF_PRODUCT, .axis = 1, .reducer = skv_reducer_find("sum")},
        {.value = "h", .axis = 1, .reducer = skv_reducer_find("sum")},
    };
    double want[3][F] = {{0}};
    (void)state;
    skv_test_ok(ctx, network(ctx, &g));
    run_reference(g, ctx);
    const float *w2 = skv_value_tensor(skive_graph_find_value(g, "w2"))->data;
    for (int r = 0; r < RUNS; r++) {
        for (int k = 0; k < N * F; k++) {
            double sum = 0;
            for (int i = 0; i < OH * OW; i++) {
                const int row = k % F * OH * OW + i;
                double d = 0;
                for (int m = 0; m < M; m++) d += 2 * (double)y_at[r][k / F * M + m] * (double)w2[row * M + m];
                sum += d * (double)h_at[r][k / F * FLAT + row];
                want[2][k % F] += (double)h_at[r][k / F * FLAT + row];
            }
            want[0][k % F] += fabs(sum);
            want[1][k % F] += sum;
        }
    }
    const skv_probe_setup s = setup_of(g, "loss", items, 3);
    skv_probe *p = probe_of(ctx, &s);
    for (size_t k = 0; k < 3; k++) {
        double *got = result(ctx, p, k, F, RUNS * N * OH * OW);
        for (int c = 0; c < F; c++) assert_close(got[c], want[k][c], 1e-4, 1e-2);
        skv_free(ctx, got);
    }
    skv_probe_free(p);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* The loss is quadratic in w2 alone: H v = 2 h^T (h v). */
static void hessian_times_vector(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    static float v[FLAT * M];
    static double out[FLAT * M], again[FLAT * M], want[FLAT * M];
    (void)state;
    skv_test_ok(ctx, network(ctx, &g));
    run_reference(g, ctx);
    for (int i = 0; i < FLAT * M; i++) v[i] = (float)skv_rng_normal(4, 4, (uint64_t)i);
    memset(want, 0, sizeof want);
    for (int r = 0; r < RUNS; r++) {
        for (int k = 0; k < N * M; k++) {
            const float *h = h_at[r] + k / M * FLAT;
            double sum = 0;
            for (int i = 0; i < FLAT; i++) sum += (double)h[i] * (double)v[i * M + k % M];
            for (int i = 0; i < FLAT; i++) want[i * M + k % M] += 2 * (double)h[i] * sum / RUNS;
        }
    }
    const char *name = "w2";
    const float *vector = v;
    double *to = out;
    skv_hessian_setup s = {
        .probe = setup_of(g, "loss", NULL, 0), .pass = whole, .parameters = &name, .vector = &vector, .n = 1};
    skv_test_ok(ctx, skive_context_set_threads(ctx, 2));
    skv_test_ok(ctx, skv_hessian_vector(ctx, &s, &to));
    for (int i = 0; i < FLAT * M; i++) assert_close(out[i], want[i], 2e-3, 2e-2);
    to = again;
    skv_test_ok(ctx, skive_context_set_threads(ctx, 1));
    skv_test_ok(ctx, skv_hessian_vector(ctx, &s, &to));
    assert_memory_equal(out, again, sizeof out);
    memset(v, 0, sizeof v);
    skv_test_ok(ctx, skv_hessian_vector(ctx, &s, &to));
    for (int i = 0; i < FLAT * M; i++) assert_true(again[i] == 0);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- threads and memory ---- */

enum { LISTED = 15 };

static size_t everything(const skive_node *conv, skv_probe_item *items) {
    const skv_probe_item list[LISTED] = {
        {.value = "h", .axis = 1, .reducer = skv_reducer_find("sum")},
        {.value = "h", .axis = SKV_IN_ALL, .reducer = skv_reducer_find("magnitudes")},
        {.value = "y", .axis = 1, .reducer = skv_reducer_find("squares")},
        {.value = "h", .axis = 2, .reducer = skv_reducer_find("zeros")},
        {.value = "y", .axis = 1, .reducer = skv_reducer_find("least")},
        {.value = "y", .axis = 1, .reducer = skv_reducer_find("most")},
        {.value = "x", .axis = SKV_IN_ALL, .reducer = skv_reducer_find("top"), .number = 7},
        {.value = "h", .axis = 1, .reducer = skv_reducer_find("entropy")},
        {.value = "y", .axis = SKV_IN_ALL, .reducer = skv_reducer_find("histogram"), .number = SKV_BINS_RELATIVE},
        {.value = "flat", .axis = 1, .reducer = skv_reducer_find("moments")},
        {.value = "x", .axis = SKV_IN_ALL, .reducer = skv_reducer_find("moments"), .user = (void *)(uintptr_t)conv},
        {.value = "h", .of = SKV_OF_PRODUCT, .axis = 1, .reducer = skv_reducer_find("sample-sums")},
        {.value = "w", .of = SKV_OF_PRODUCT, .axis = SKV_BY_ELEMENT, .reducer = skv_reducer_find("magnitudes")},
        {.value = "w2", .of = SKV_OF_GRADIENT, .axis = SKV_BY_ELEMENT, .reducer = skv_reducer_find("squares")},
        {.value = "w2", .of = SKV_OF_GRADIENT, .axis = 0, .reducer = skv_reducer_find("sum")},
    };
    memcpy(items, list, sizeof list);
    return LISTED;
}

/* All results of all items one after the other: as many as there are. */
static size_t all_results(skive_context *ctx, int threads, size_t memory, double *out, size_t *workers) {
    skive_graph *g = NULL;
    skv_probe_item items[LISTED];
    size_t total = 0;
    skv_test_ok(ctx, skive_context_set_threads(ctx, threads));
    skv_test_ok(ctx, network(ctx, &g));
    skv_probe_setup s = setup_of(g, "loss", items, everything(skive_graph_find_value(g, "w")->uses[0].node, items));
    s.memory = memory;
    skv_probe *p = probe_of(ctx, &s);
    *workers = skv_probe_workers(p);
    for (size_t i = 0; i < s.n_items; i++) {
        double *got;
        size_t n;
        skv_test_ok(ctx, skv_probe_result(p, i, &got, &n, NULL));
        memcpy(out + total, got, n * sizeof *got);
        total += n;
        skv_free(ctx, got);
    }
    out[total++] = skv_probe_loss(p);
    skv_probe_free(p);
    skive_graph_free(g);
    return total;
}

static void bits_do_not_depend_on_threads(void **state) {
    enum { ROOM = 40000 };
    skive_context *ctx = skv_test_context();
    double *one = calloc(ROOM, sizeof *one), *other = calloc(ROOM, sizeof *other);
    size_t workers;
    (void)state;
    assert_true(one && other);
    const size_t n = all_results(ctx, 1, 0, one, &workers);
    assert_true(n < ROOM);
    assert_int_equal(workers, 1);
    for (int threads = 2; threads <= 8; threads += threads < 4 ? 1 : 4) {
        assert_int_equal(all_results(ctx, threads, 0, other, &workers), n);
        assert_int_equal(workers, threads < RUNS ? threads : RUNS);
        assert_memory_equal(one, other, n * sizeof *one);
    }
    /* Memory for one run at a time. */
    assert_int_equal(all_results(ctx, 4, 1, other, &workers), n);
    assert_int_equal(workers, 1);
    assert_memory_equal(one, other, n * sizeof *one);
    free(one);
    free(other);
    skv_test_context_end(ctx);
}

static long requests_of(skive_context *ctx, skv_probe *p, int64_t runs) {
    const long before = skv_test_requests(ctx);
    const skv_probe_pass pass = {.feed = feed, .runs = runs};
    skv_test_ok(ctx, skv_probe_run(p, &pass, NULL));
    return skv_test_requests(ctx) - before;
}

/* A pass keeps no memory, however many runs it has. */
static void memory_does_not_grow_with_runs(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skv_probe_item items[LISTED];
    skv_probe *p = NULL;
    (void)state;
    skv_test_ok(ctx, skive_context_set_threads(ctx, 2));
    skv_test_ok(ctx, network(ctx, &g));
    const skv_probe_setup s =
        setup_of(g, "loss", items, everything(skive_graph_find_value(g, "w")->uses[0].node, items));
    skv_test_ok(ctx, skv_probe_open(ctx, &s, &p));
    const long before = skv_test_live(ctx), few = requests_of(ctx, p, 10);
    /* What kernels take for a run they give back. */
    assert_int_equal(skv_test_live(ctx), before);
    assert_int_equal(requests_of(ctx, p, 100), 10 * few);
    assert_int_equal(skv_test_live(ctx), before);
    skv_probe_free(p);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* A limit of the context is heeded as well: fewer workers, and the same results. */
static void a_limit_of_the_context_is_heeded(void **state) {
    skive_context *ctx = NULL;
    skive_context_options o = skive_context_options_default();
    skive_graph *g = NULL;
    const skv_probe_item item = {.value = "flat", .axis = 1, .reducer = skv_reducer_find("moments")};
    skv_probe *p = NULL;
    (void)state;
    o.threads = 4;
    assert_int_equal(skive_context_create(&o, &ctx), SKIVE_OK);
    skv_test_ok(ctx, network(ctx, &g));
    const skv_probe_setup s = setup_of(g, NULL, &item, 1);
    skv_test_ok(ctx, skv_probe_open(ctx, &s, &p));
    assert_int_equal(skv_probe_workers(p), 4);
    const uint64_t used = skive_context_memory_used(ctx);
    skv_probe_free(p);
    skv_test_ok(ctx, skive_context_set_memory_limit(ctx, used));
    skv_test_ok(ctx, skv_probe_open(ctx, &s, &p));
    assert_int_equal(skv_probe_workers(p), 1);
    skv_probe_free(p);
    skive_graph_free(g);
    skive_context_free(ctx);
}

static skive_status odd_runs(void *user, int64_t *run, skive_tensor *inputs, size_t n_inputs) {
    if (*run % 2 == 0) {
        *run = -1;
        return SKIVE_OK;
    }
    return feed(user, run, inputs, n_inputs);
}

/* Runs that do not take place, passes one after the other, and data that end early. */
static void passes_and_runs_left_out(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    const skv_probe_item item = {.value = "x", .axis = SKV_IN_ALL, .reducer = skv_reducer_find("sum")};
    skv_probe *p = NULL;
    double want = 0, *got;
    int64_t done, most = 5;
    (void)state;
    skv_test_ok(ctx, skive_context_set_threads(ctx, 2));
    skv_test_ok(ctx, network(ctx, &g));
    run_reference(g, ctx);
    const skv_probe_setup s = setup_of(g, NULL, &item, 1);
    skv_test_ok(ctx, skv_probe_open(ctx, &s, &p));
    const skv_probe_pass odd = {.feed = odd_runs, .runs = 6};
    skv_test_ok(ctx, skv_probe_run(p, &odd, &done));
    assert_int_equal(done, 3);
    for (int r = 1; r < 6; r += 2) {
        for (int i = 0; i < X_SIZE; i++) want += (double)x_at[r][i];
    }
    got = result(ctx, p, 0, 1, 3 * X_SIZE);
    assert_close(*got, want, 1e-10, 1e-9);
    skv_free(ctx, got);
    const skv_probe_pass ends = {.feed = feed, .user = &most, .runs = 100};
    skv_test_ok(ctx, skv_probe_run(p, &ends, &done));
    assert_int_equal(done, 5);
    for (int r = 0; r < 5; r++) {
        for (int i = 0; i < X_SIZE; i++) want += (double)x_at[r][i];
    }
    got = result(ctx, p, 0, 1, 8 * X_SIZE);
    assert_close(*got, want, 1e-10, 1e-9);
    skv_free(ctx, got);
    skv_test_ok(ctx, skv_probe_renew(p));
    got = result(ctx, p, 0, 1, 0);
    assert_true(*got == 0);
    skv_free(ctx, got);
    skv_probe_free(p);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- faults ---- */

static skive_status all_stages(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skv_probe *p = NULL;
    skv_probe_item items[LISTED];
    double *got = NULL;
    size_t n;
    skive_status status;
    (void)user;
    SKV_GO(status, done, network(ctx, &g));
    const skv_probe_setup s =
        setup_of(g, "loss", items, everything(skive_graph_find_value(g, "w")->uses[0].node, items));
    SKV_GO(status, done, skv_probe_open(ctx, &s, &p));
    const skv_probe_pass pass = {.feed = feed, .runs = 3};
    SKV_GO(status, done, skv_probe_run(p, &pass, NULL));
    for (size_t i = 0; i < s.n_items; i++) {
        SKV_GO(status, done, skv_probe_result(p, i, &got, &n, NULL));
        skv_free(ctx, got);
    }
    status = skv_probe_renew(p);
done:
    skv_probe_free(p);
    skive_graph_free(g);
    return status;
}

static skive_status hessian_stages(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    static float v[FLAT * M];
    static double out[FLAT * M];
    const char *name = "w2";
    const float *vector = v;
    double *to = out;
    skive_status status;
    (void)user;
    v[3] = 1;
    SKV_GO(status, done, network(ctx, &g));
    const skv_hessian_setup s = {.probe = setup_of(g, "loss", NULL, 0),
                                 .pass = {.feed = feed, .runs = 2},
                                 .parameters = &name,
                                 .vector = &vector,
                                 .n = 1};
    status = skv_hessian_vector(ctx, &s, &to);
done:
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(all_stages, NULL, 7) > 20);
    assert_true(skv_test_walk_allocations(hessian_stages, NULL, 11) > 10);
}

static skive_status bad_feed(void *user, int64_t *run, skive_tensor *inputs, size_t n_inputs) {
    SKV_TRY(feed(user, run, inputs, n_inputs));
    if (*run == 4) ((float *)inputs[0].data)[0] = INFINITY; /* oneDNN's Relu makes 0 of NaN */
    return SKIVE_OK;
}

static void what_cannot_be_is_told(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skv_probe *p = NULL;
    const skv_reducer *sum = skv_reducer_find("sum");
    const struct {
        skv_probe_item item;
        const char *loss, *says;
        skive_status status;
    } faults[] = {
        {{.value = "w", .axis = SKV_IN_ALL}, NULL, "a parameter", SKIVE_ERR_ARGUMENT},
        {{.value = "nope", .axis = SKV_IN_ALL}, NULL, "no value 'nope'", SKIVE_ERR_NOT_FOUND},
        {{.value = "y", .axis = 2}, NULL, "no axis 2", SKIVE_ERR_ARGUMENT},
        {{.value = "y", .axis = SKV_BY_ELEMENT}, NULL, "each element", SKIVE_ERR_ARGUMENT},
        {{.value = "w", .of = SKV_OF_GRADIENT, .axis = SKV_IN_ALL}, NULL, "no loss", SKIVE_ERR_ARGUMENT},
        {{.value = "w", .of = SKV_OF_GRADIENT, .axis = SKV_IN_ALL}, "lost", "no loss 'lost'", SKIVE_ERR_NOT_FOUND},
        {{.value = "w", .of = SKV_OF_GRADIENT, .axis = SKV_IN_ALL}, "y", "single number", SKIVE_ERR_ARGUMENT},
    };
    (void)state;
    skv_test_ok(ctx, network(ctx, &g));
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        skv_probe_item item = faults[i].item;
        item.reducer = sum;
        const skv_probe_setup s = setup_of(g, faults[i].loss, &item, 1);
        skv_test_fails(ctx, skv_probe_open(ctx, &s, &p), faults[i].status, faults[i].says);
        assert_null(p);
    }
    static const char *const needs_samples[] = {"entropy", "sample-sums"};
    for (size_t i = 0; i < 2; i++) {
        const skv_probe_item item = {.value = "h", .axis = 0, .reducer = skv_reducer_find(needs_samples[i])};
        const skv_probe_setup s = setup_of(g, NULL, &item, 1);
        skv_test_fails(ctx, skv_probe_open(ctx, &s, &p), SKIVE_ERR_ARGUMENT, "axis 0");
    }
    const skv_probe_item item = {.value = "w", .of = SKV_OF_GRADIENT, .axis = SKV_IN_ALL, .reducer = sum};
    const skv_probe_setup s = setup_of(g, "loss", &item, 1);
    const skv_probe_pass bad = {.feed = bad_feed, .runs = RUNS};
    for (int threads = 1; threads < 4; threads++) {
        skv_test_ok(ctx, skive_context_set_threads(ctx, threads));
        skv_test_ok(ctx, skv_probe_open(ctx, &s, &p));
        skv_test_fails(ctx, skv_probe_run(p, &bad, NULL), SKIVE_ERR_NUMERIC, "run 4");
        skv_probe_free(p);
    }
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void every_reducer_has_a_name(void **state) {
    (void)state;
    for (size_t i = 0; i < skv_reducer_count(); i++) {
        const skv_reducer *r = skv_reducer_at(i);
        assert_true(r->name && r->brief && skv_reducer_find(r->name) == r);
        assert_true(r->add_slots ? !r->open : r->bytes && r->open && r->close && r->add && r->merge && r->finish);
    }
    assert_null(skv_reducer_find("nope"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_of_every_level_agree),
        cmocka_unit_test(every_reducer_has_a_name),
        cmocka_unit_test(value_beside_gradient),
        cmocka_unit_test(sums_and_extremes),
        cmocka_unit_test(counts_entropy_and_largest),
        cmocka_unit_test(second_moments),
        cmocka_unit_test(gradients_of_elements),
        cmocka_unit_test(gradients_and_differences),
        cmocka_unit_test(products_of_activations),
        cmocka_unit_test(hessian_times_vector),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(memory_does_not_grow_with_runs),
        cmocka_unit_test(a_limit_of_the_context_is_heeded),
        cmocka_unit_test(passes_and_runs_left_out),
        cmocka_unit_test(what_cannot_be_is_told),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
