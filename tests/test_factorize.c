/* Factorization on networks: each method at full rank changes nothing, what is left out is what the singular values
 * say, tensors of known rank are found again, outputs on data are kept better than by plain factors, budgets are met
 * exactly and against brute force, and what cannot be is refused with the graph as it was. */
#include <skive/build.h>
#include <skive/factorize.h>
#include <skive/onnx.h>
#include <skive/quant.h>

#include "lowrank/lowrank.h"
#include "train_fixtures.h"

static skive_factorize_options by(const char *method, const char *rank) {
    skive_factorize_options o = skive_factorize_options_default();
    o.method = method;
    o.rank = rank;
    o.measure = false;
    return o;
}

static skive_tensor noise(skive_context *ctx, int rank, const int64_t *dims, uint64_t seed) {
    return skv_test_random(ctx, SKIVE_F32, rank, dims, seed, -1, 1);
}

static skive_value *add_parameter(skive_builder *b, const char *name, int rank, const int64_t *dims, uint64_t seed) {
    skive_context *ctx = b->graph->ctx;
    skive_tensor t = noise(ctx, rank, dims, seed);
    skive_value *v = skive_build_parameter(b, name, &t, true);
    skive_tensor_free(ctx, &t);
    return v;
}

/* One layer of each kind, [4][6][9][8] or what it reads. */
typedef enum layer { CONV, STRIDED, CONV1D, POINT, GEMM, TURNED, MATMUL, CELL, TABLE, LAYERS } layer;

static skive_graph *network(skive_context *ctx, layer kind) {
    skive_graph *g = NULL;
    skive_value *x = NULL, *y = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "one", &g));
    skive_builder b = skive_builder_of(g);
    const int64_t image[] = {4, 6, 9, 8}, series[] = {4, 6, 9}, rows[] = {4, 12}, steps[] = {3, 4, 12},
                  tokens[] = {4, 5};
    skive_type t = kind == CONV || kind == STRIDED || kind == POINT ? skive_type_make(SKIVE_F32, 4, image)
                   : kind == CONV1D                                 ? skive_type_make(SKIVE_F32, 3, series)
                   : kind == CELL || kind == MATMUL                 ? skive_type_make(SKIVE_F32, 3, steps)
                   : kind == TABLE                                  ? skive_type_make(SKIVE_I64, 2, tokens)
                                                                    : skive_type_make(SKIVE_F32, 2, rows);
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &t, &x));
    const int64_t k = kind == POINT ? 1 : 3;
    if (kind == CONV || kind == STRIDED || kind == POINT) {
        const skive_attribute a[] = {
            skive_attribute_ints("pads", k == 3 ? (int64_t[]){1, 2, 0, 1} : (int64_t[]){0, 0, 0, 0}, 4),
            skive_attribute_ints("strides", kind == STRIDED ? (int64_t[]){2, 3} : (int64_t[]){1, 1}, 2),
            skive_attribute_ints("dilations", kind == STRIDED ? (int64_t[]){1, 2} : (int64_t[]){1, 1}, 2)};
        y = skive_build_node(&b, "Conv", "layer",
                             (skive_value *[]){x, add_parameter(&b, "w", 4, (int64_t[]){8, 6, k, k}, 1),
                                               add_parameter(&b, "b", 1, (int64_t[]){8}, 2)},
                             3, a, 3, NULL, 1);
    } else if (kind == CONV1D) {
        const skive_attribute a[] = {skive_attribute_string("auto_pad", "SAME_UPPER")};
        y = skive_build_node(&b, "Conv", "layer",
                             (skive_value *[]){x, add_parameter(&b, "w", 3, (int64_t[]){8, 6, 5}, 1)}, 2, a, 1, NULL,
                             1);
    } else if (kind == GEMM || kind == TURNED) {
        const skive_attribute a[] = {skive_attribute_int("transB", kind == TURNED), skive_attribute_float("alpha", 0.5),
                                     skive_attribute_float("beta", 2)};
        y = skive_build_node(
            &b, "Gemm", "layer",
            (skive_value *[]){x, add_parameter(&b, "w", 2, kind == TURNED ? (int64_t[]){8, 12} : (int64_t[]){12, 8}, 1),
                              add_parameter(&b, "b", 1, (int64_t[]){8}, 2)},
            3, a, 3, NULL, 1);
    } else if (kind == MATMUL) {
        y = skive_build_node(&b, "MatMul", "layer",
                             (skive_value *[]){x, add_parameter(&b, "w", 2, (int64_t[]){12, 8}, 1)}, 2, NULL, 0, NULL,
                             1);
    } else if (kind == CELL) {
        const skive_attribute a[] = {skive_attribute_int("hidden_size", 5),
                                     skive_attribute_string("direction", "bidirectional")};
        y = skive_build_node(&b, "LSTM", "layer",
                             (skive_value *[]){x, add_parameter(&b, "w", 3, (int64_t[]){2, 20, 12}, 1),
                                               add_parameter(&b, "r", 3, (int64_t[]){2, 20, 5}, 3)},
                             3, a, 2, NULL, 1);
    } else {
        y = skive_build_node(&b, "Gather", "layer",
                             (skive_value *[]){add_parameter(&b, "w", 2, (int64_t[]){7, 8}, 1), x}, 2, NULL, 0, NULL,
                             1);
    }
    if (kind == TABLE) /* whose reader needs its width */
        y = skive_build_node(&b, "Add", "sum", (skive_value *[]){y, add_parameter(&b, "p", 2, (int64_t[]){5, 8}, 4)}, 2,
                             NULL, 0, NULL, 1);
    y = skive_build_node(&b, "Identity", "end", &y, 1, NULL, 0, NULL, 1);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

static skive_tensor run(skive_context *ctx, const skive_graph *g) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor x, view, y;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &x));
    for (int64_t i = 0; i < skive_tensor_count(&x); i++)
        skive_tensor_set(&x, i, x.dtype == SKIVE_I64 ? (double)(i % 7) : skv_rng_normal(9, 0, (uint64_t)i));
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
    skv_test_ok(ctx, skive_tensor_copy(ctx, &view, &y));
    skive_exec_free(exec);
    skive_plan_free(plan);
    return y;
}

/* The largest difference of the outputs, of the largest output. */
static double difference(skive_context *ctx, const skive_graph *a, const skive_graph *b) {
    skive_tensor x = run(ctx, a), y = run(ctx, b);
    double worst = 0, largest = 0;
    assert_int_equal(skive_tensor_count(&x), skive_tensor_count(&y));
    for (int64_t i = 0; i < skive_tensor_count(&x); i++) {
        const double d = fabs(skive_tensor_get(&x, i) - skive_tensor_get(&y, i)), s = fabs(skive_tensor_get(&x, i));
        if (d > worst) worst = d;
        if (s > largest) largest = s;
    }
    skive_tensor_free(ctx, &x);
    skive_tensor_free(ctx, &y);
    assert_true(largest > 0);
    return worst / largest;
}

/* Every method on every layer that it is for, at full rank and below. */
static void full_rank_changes_nothing(void **state) {
    (void)state;
    size_t tried = 0;
    for (size_t m = 0; m < skv_factorization_count(); m++) {
        const skv_factorization *method = skv_factorization_at(m);
        for (int kind = 0; kind < LAYERS; kind++) {
            skive_context *ctx = skv_test_context();
            skive_graph *g = network(ctx, (layer)kind), *full = NULL, *half = NULL;
            skv_site *sites = NULL;
            size_t n = 0;
            skive_factorize_report found = {0}, r;
            skv_test_ok(ctx, skv_sites_find(ctx, g, false, &sites, &n, &found));
            assert_int_equal(n, 1);
            const char *why = method->why_not(&sites[0]);
            const int64_t rank = method->full(&sites[0]);
            const size_t rows = found.n_rows; /* recurrent weights */
            skv_sites_free(ctx, sites, n);
            skive_factorize_report_free(ctx, &found);
            char text[64];
            (void)snprintf(text, sizeof text, "layer=%s:%lld", method->name, (long long)rank);
            const char *const layers[] = {text};
            skive_factorize_options o = by("auto", "1");
            o.layers = layers;
            o.n_layers = 1;
            skv_test_ok(ctx, skive_graph_copy(ctx, g, &full));
            const skive_status status = skive_factorize(ctx, full, NULL, NULL, &o, &r);
            if (why) {
                skv_test_fails(ctx, status, SKIVE_ERR_ARGUMENT, "cannot be factorized by");
                assert_true(difference(ctx, g, full) == 0);
            } else {
                skv_test_ok(ctx, status);
                tried++;
                assert_int_equal(r.n_rows, 1 + rows);
                assert_int_equal(r.n_factorized, 1);
                const skive_factorize_row *row = &r.rows[r.rows[0].method ? 0 : 1];
                assert_string_equal(row->method, method->name);
                assert_true(row->error < 1e-6 || method->beside);
                skv_test_ok(ctx, skive_graph_check(full));
                if (difference(ctx, g, full) >= 1e-5)
                    fail_msg("%s on layer %d: %g", method->name, kind, difference(ctx, g, full));
                assert_non_null(skive_graph_find_value(full, skive_value_name(skive_graph_output(g, 0))));
                skive_factorize_report_free(ctx, &r);
            }
            /* Half of it changes something, and the report's error is that of the weights. */
            if (!why && rank > 1 && !method->beside) {
                (void)snprintf(text, sizeof text, "layer=%s:%lld", method->name, (long long)rank / 2);
                skv_test_ok(ctx, skive_graph_copy(ctx, g, &half));
                skv_test_ok(ctx, skive_factorize(ctx, half, NULL, NULL, &o, &r));
                const skive_factorize_row *row = &r.rows[r.rows[0].method ? 0 : 1];
                assert_true(row->error > 1e-3 && row->error < 1);
                assert_true(difference(ctx, g, half) > 1e-4);
                skive_factorize_report_free(ctx, &r);
                skive_graph_free(half);
            }
            skive_graph_free(full);
            skive_graph_free(g);
            skv_test_context_end(ctx);
        }
    }
    assert_true(tried >= 20);
}

/* ---- numbers of sites ---- */

static skv_site site_of(skive_context *ctx, int64_t out, int64_t in, int64_t kh, int64_t kw) {
    skv_site s = {.kind = kh * kw > 1 ? SKV_SITE_CONV : SKV_SITE_PRODUCT,
                  .n_members = 1,
                  .out = out,
                  .in = in,
                  .kh = kh,
                  .kw = kw,
                  .spatial = 2,
                  .d = in * kh * kw,
                  .positions = {1, 1, 1},
                  .harm = 1};
    skv_test_ok(ctx, skv_alloc_array(ctx, (size_t)(out * s.d), sizeof *s.w, &s.w));
    return s;
}

static void settle(skv_site *s) {
    s->norm = 0;
    for (int64_t i = 0; i < s->out * s->d; i++) s->norm += s->w[i] * s->w[i];
}

static double error_at(skive_context *ctx, const skv_site *s, const char *name, skv_rank r, double *lost) {
    const skv_factorization *m = skv_factorization_find(name);
    skv_found found = {0};
    skv_factors f = {0};
    double error;
    if (m->look) skv_test_ok(ctx, m->look(ctx, s, 0, &found));
    f.rank = r;
    skv_test_ok(ctx, m->factor(ctx, s, &found, r, 1, &f));
    skv_test_ok(ctx, skv_factors_solve(ctx, s, s->moments, NULL, &f));
    skv_test_ok(ctx, skv_factors_error(ctx, s, &f, &error, NULL));
    if (lost) *lost = m->lost ? m->lost(s, &found, r) : -1;
    skv_factors_free(ctx, &f);
    skv_found_free(ctx, &found);
    return error;
}

static void truncation_errors_are_the_dropped_values(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    static const struct {
        const char *name;
        int64_t out, in, k, most;
    } cases[] = {{"svd", 9, 14, 1, 9},     {"svd", 14, 9, 1, 9},       {"channel", 7, 4, 3, 7},
                 {"spatial", 5, 4, 3, 12}, {"separable", 12, 3, 3, 9}, {"grouped", 8, 6, 1, 2}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        skv_site s = site_of(ctx, cases[c].out, cases[c].in, cases[c].k, cases[c].k);
        for (int64_t i = 0; i < s.out * s.d; i++) s.w[i] = skv_rng_normal(c, 3, (uint64_t)i);
        settle(&s);
        double last = 2;
        for (int64_t r = 1; r <= cases[c].most; r++) {
            double lost;
            const double error = error_at(ctx, &s, cases[c].name, (skv_rank){r, 0}, &lost);
            assert_true(fabs(error - sqrt(lost)) <= 1e-6);
            assert_true(error < last);
            last = error;
        }
        assert_true(last < 1e-6);
        skv_free(ctx, s.w);
    }
    skv_test_context_end(ctx);
}

/* A kernel that is a sum of outer products. */
static void add_terms(skv_site *s, int64_t rank, uint64_t seed) {
    for (int64_t r = 0; r < rank; r++)
        for (int64_t o = 0, at = 0; o < s->out; o++)
            for (int64_t i = 0; i < s->in; i++)
                for (int64_t y = 0; y < s->kh; y++)
                    for (int64_t x = 0; x < s->kw; x++, at++)
                        s->w[at] += skv_rng_normal(seed, 10, (uint64_t)(r * 100 + o)) *
                                    skv_rng_normal(seed, 11, (uint64_t)(r * 100 + i)) *
                                    skv_rng_normal(seed, 12, (uint64_t)(r * 100 + y)) *
                                    skv_rng_normal(seed, 13, (uint64_t)(r * 100 + x));
}

static void known_ranks_are_found(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    skv_site s = site_of(ctx, 10, 8, 3, 3);
    add_terms(&s, 3, 5);
    settle(&s);
    /* A sum of three terms has rank 3 in every unfolding. */
    assert_true(error_at(ctx, &s, "channel", (skv_rank){3, 0}, NULL) < 1e-5);
    assert_true(error_at(ctx, &s, "spatial", (skv_rank){3, 0}, NULL) < 1e-5);
    assert_true(error_at(ctx, &s, "tucker2", (skv_rank){3, 3}, NULL) < 1e-5);
    assert_true(error_at(ctx, &s, "cp", (skv_rank){3, 0}, NULL) < 1e-5);
    assert_true(error_at(ctx, &s, "tucker2", (skv_rank){2, 3}, NULL) > 1e-3);
    assert_true(error_at(ctx, &s, "cp", (skv_rank){2, 0}, NULL) > 1e-3);
    /* With noise at 20 dB variational Bayes finds them. */
    const double sigma = sqrt(s.norm / (double)(s.out * s.d)) / 10;
    for (int64_t i = 0; i < s.out * s.d; i++) s.w[i] += sigma * skv_rng_normal(6, 3, (uint64_t)i);
    skv_found found = {0};
    skv_test_ok(ctx, skv_factorization_find("tucker2")->look(ctx, &s, 0, &found));
    for (int i = 0; i < 2; i++)
        assert_int_equal(skv_vbmf_rank(found.of[i].m, found.of[i].n, found.of[i].s, found.of[i].k), 3);
    skv_found_free(ctx, &found);
    skv_free(ctx, s.w);
    /* A Kronecker product is a train of rank 1, a sum of two one of rank 2. */
    s = site_of(ctx, 12, 20, 1, 1);
    for (int r = 0; r < 2; r++)
        for (int64_t o = 0; o < 12; o++)
            for (int64_t i = 0; i < 20; i++)
                s.w[o * 20 + i] += skv_rng_normal(7, (uint64_t)r, (uint64_t)(o / 4 * 4 + i / 5)) *
                                   skv_rng_normal(8, (uint64_t)r, (uint64_t)(o % 4 * 5 + i % 5));
    settle(&s);
    assert_true(error_at(ctx, &s, "tt", (skv_rank){2, 0}, NULL) < 1e-5);
    assert_true(error_at(ctx, &s, "tt", (skv_rank){1, 0}, NULL) > 1e-2);
    skv_free(ctx, s.w);
    /* Low rank and a few large numbers. */
    s = site_of(ctx, 20, 20, 1, 1);
    for (int64_t i = 0; i < 400; i++)
        s.w[i] = skv_rng_normal(9, 1, (uint64_t)(i / 20)) * skv_rng_normal(9, 2, (uint64_t)(i % 20)) +
                 (i % 41 == 0 ? 50.0 : 0.0);
    settle(&s);
    const double rest = error_at(ctx, &s, "sparse", (skv_rank){1, 0}, NULL);
    if (rest >= 1e-5) fail_msg("%g", rest);
    skv_free(ctx, s.w);
    skv_test_context_end(ctx);
}

/* On inputs with unequal moments the factors lose less of the outputs than plain ones, at each rank of each method, and
 * those by rows lose just what their values say. */
static void outputs_are_kept_better(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (size_t m = 0; m < skv_factorization_count(); m++) {
        const skv_factorization *method = skv_factorization_at(m);
        for (int shape = 0; shape < 3; shape++) {
            skv_site s = shape == 0   ? site_of(ctx, 6, 9, 1, 1)
                         : shape == 1 ? site_of(ctx, 12, 5, 1, 1)
                                      : site_of(ctx, 6, 4, 3, 3);
            double *x = NULL, *wm = NULL;
            if (method->why_not(&s) || method->build == skv_factorization_find("tt")->build || method->beside) {
                skv_free(ctx, s.w);
                continue;
            }
            for (int64_t i = 0; i < s.out * s.d; i++) s.w[i] = skv_rng_normal(21, 3, (uint64_t)i);
            settle(&s);
            skv_test_ok(ctx, skv_alloc_array(ctx, (size_t)(s.d * s.d), sizeof *x, &x));
            skv_test_ok(ctx, skv_alloc_array(ctx, (size_t)(s.d * s.d), sizeof *s.moments, &s.moments));
            skv_test_ok(ctx, skv_alloc_array(ctx, (size_t)(s.out * s.d), sizeof *wm, &wm));
            for (int64_t i = 0; i < s.d * s.d; i++) x[i] = skv_rng_normal(22, 3, (uint64_t)i) / (double)(1 + i % s.d);
            skv_test_ok(
                ctx,
                skv_multiply(ctx, &(skv_product){
                                      .trans_a = true, .m = s.d, .n = s.d, .k = s.d, .a = x, .b = x, .c = s.moments}));
            skv_test_ok(ctx, skv_multiply(ctx, &(skv_product){
                                                   .m = s.out, .n = s.d, .k = s.d, .a = s.w, .b = s.moments, .c = wm}));
            for (int64_t i = 0; i < s.out * s.d; i++) s.power += wm[i] * s.w[i];
            for (int64_t r = 1; r <= method->full(&s) && r <= 8; r++) {
                double error[2], lost = -1;
                for (int data = 0; data < 2; data++) {
                    skv_site site = s;
                    skv_found found = {0};
                    skv_factors f = {0};
                    if (!data) site.moments = NULL;
                    if (method->look) skv_test_ok(ctx, method->look(ctx, &site, 0, &found));
                    f.rank = (skv_rank){r, method->second ? method->second(&s, r) : 0};
                    skv_test_ok(ctx, method->factor(ctx, &site, &found, f.rank, 1, &f));
                    skv_test_ok(ctx, skv_factors_solve(ctx, &site, site.moments, NULL, &f));
                    skv_test_ok(ctx, skv_factors_error(ctx, &s, &f, NULL, &error[data]));
                    if (data && method->lost) lost = method->lost(&site, &found, f.rank);
                    skv_factors_free(ctx, &f);
                    skv_found_free(ctx, &found);
                }
                assert_true(error[1] <= error[0] + 1e-7);
                if (lost >= 0) assert_true(fabs(error[1] - sqrt(lost)) < 1e-5);
            }
            skv_free(ctx, x);
            skv_free(ctx, s.w);
            skv_free(ctx, wm);
            skv_free(ctx, s.moments);
        }
    }
    skv_test_context_end(ctx);
}

/* ---- fitted again ---- */

/* A system by Gauss-Jordan elimination with pivots, in place: b [n][k] becomes the solution. */
static void eliminate(int n, int k, double *a, double *b) {
    for (int c = 0; c < n; c++) {
        int best = c;
        for (int r = c + 1; r < n; r++)
            if (fabs(a[r * n + c]) > fabs(a[best * n + c])) best = r;
        for (int j = 0; j < n + k; j++) {
            double *x = j < n ? &a[c * n + j] : &b[c * k + j - n], *y = j < n ? &a[best * n + j] : &b[best * k + j - n];
            const double t = *x;
            *x = *y;
            *y = t;
        }
        for (int r = 0; r < n; r++) {
            const double f = r == c ? 0 : a[r * n + c] / a[c * n + c];
            for (int j = 0; j < n && r != c; j++) a[r * n + j] -= f * a[c * n + j];
            for (int j = 0; j < k && r != c; j++) b[r * k + j] -= f * b[c * k + j];
        }
    }
    for (int r = 0; r < n; r++)
        for (int j = 0; j < k; j++) b[r * k + j] /= a[r * n + r];
}

enum { ROWS_SEEN = 60, ROWS_HELD = 2000 };

/* Rows x of a layer's input and what is left of them, y: some directions are lost, some are mixed in. */
static void rows_of(int64_t d, int n, uint64_t seed, double *x, double *y) {
    for (int r = 0; r < n; r++)
        for (int64_t i = 0; i < d; i++) {
            const double a = skv_rng_normal(seed, 31, (uint64_t)(r * d + i));
            x[r * d + i] = i ? a / (double)(1 + i % 5) + 0.4 * x[r * d + i - 1] : a;
            y[r * d + i] = (i % 4 == 3 ? 0.2 : 0.9) * x[r * d + i] + (i ? 0.3 * x[r * d + i - 1] : 0);
        }
}

/* The sum over rows of |W x - A y|^2, by plain loops. */
static double misfit(const skv_site *s, const double *a, int n, const double *x, const double *y) {
    double sum = 0;
    for (int r = 0; r < n; r++)
        for (int64_t o = 0; o < s->out; o++) {
            double e = 0;
            for (int64_t i = 0; i < s->d; i++)
                e += s->w[o * s->d + i] * x[r * s->d + i] - a[o * s->d + i] * y[r * s->d + i];
            sum += e * e;
        }
    return sum / n;
}

/* Each method: the last factor is the direct solution over the rows, U = W E[x y'] V' (V E[y y'] V')^-1, and further
 * rounds with the first factors never make the rows' error larger; rows that were held out gain too. */
static void factors_are_fitted_to_the_original(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    size_t tried = 0;
    for (size_t m = 0; m < skv_factorization_count(); m++) {
        const skv_factorization *method = skv_factorization_at(m);
        for (int shape = 0; shape < 2; shape++) {
            skv_site s = shape ? site_of(ctx, 7, 3, 3, 3) : site_of(ctx, 8, 11, 1, 1);
            const int64_t d = s.d;
            static double x[ROWS_SEEN * 27], y[ROWS_SEEN * 27], hx[ROWS_HELD * 27], hy[ROWS_HELD * 27];
            static double moments[27 * 27], cross[27 * 27], target[8 * 27], mean[27], a[8 * 27];
            skv_found found = {0};
            skv_factors f = {0};
            if (method->why_not(&s) || method->beside || strcmp(method->name, "tt") == 0) {
                skv_free(ctx, s.w);
                continue;
            }
            tried++;
            for (int64_t i = 0; i < s.out * d; i++) s.w[i] = skv_rng_normal(41, 3, (uint64_t)i);
            settle(&s);
            rows_of(d, ROWS_SEEN, 42, x, y);
            rows_of(d, ROWS_HELD, 43, hx, hy);
            double power = 0;
            memset(moments, 0, sizeof moments);
            memset(cross, 0, sizeof cross);
            memset(mean, 0, sizeof mean);
            for (int r = 0; r < ROWS_SEEN; r++)
                for (int64_t i = 0; i < d; i++) {
                    mean[i] += y[r * d + i] / ROWS_SEEN;
                    for (int64_t j = 0; j < d; j++) {
                        moments[i * d + j] += y[r * d + i] * y[r * d + j] / ROWS_SEEN;
                        cross[i * d + j] += x[r * d + i] * y[r * d + j] / ROWS_SEEN;
                    }
                }
            for (int64_t o = 0; o < s.out; o++)
                for (int64_t j = 0; j < d; j++) {
                    target[o * d + j] = 0;
                    for (int64_t i = 0; i < d; i++) target[o * d + j] += s.w[o * d + i] * cross[i * d + j];
                }
            memset(a, 0, sizeof a);
            power = misfit(&s, a, ROWS_SEEN, x, y);
            const skv_regression r = {.moments = moments, .target = target, .mean = mean, .power = power};
            f.rank.a = strcmp(method->name, "separable") == 0 || strcmp(method->name, "grouped") == 0 ? 1 : 3;
            f.rank.b = method->second ? 2 : 0;
            if (method->look) skv_test_ok(ctx, method->look(ctx, &s, 0, &found));
            skv_test_ok(ctx, method->factor(ctx, &s, &found, f.rank, 1, &f));
            skv_test_ok(ctx, skv_factors_solve(ctx, &s, NULL, NULL, &f));
            skv_test_ok(ctx, skv_factors_dense(ctx, &s, &f, a));
            double last = misfit(&s, a, ROWS_SEEN, x, y), now, held = misfit(&s, a, ROWS_HELD, hx, hy);
            const double first = last, held_first = held;
            skv_test_ok(ctx, skv_factors_solve(ctx, &s, moments, target, &f));
            /* The direct solution of the first block. */
            if (f.taps == 0) {
                const int rows = (int)f.rows, outs = (int)(s.out / f.blocks);
                static double gram[64 * 64], right[64 * 8];
                for (int i = 0; i < rows; i++) {
                    for (int j = 0; j < rows; j++) {
                        gram[i * rows + j] = 0;
                        for (int64_t p = 0; p < d; p++)
                            for (int64_t q = 0; q < d; q++)
                                gram[i * rows + j] += f.basis[i * d + p] * moments[p * d + q] * f.basis[j * d + q];
                    }
                    for (int o = 0; o < outs; o++) {
                        right[i * outs + o] = 0;
                        for (int64_t p = 0; p < d; p++) right[i * outs + o] += f.basis[i * d + p] * target[o * d + p];
                    }
                }
                eliminate(rows, outs, gram, right);
                for (int i = 0; i < rows; i++)
                    for (int o = 0; o < outs; o++)
                        assert_true(fabs(right[i * outs + o] - f.last[o * rows + i]) <
                                    1e-7 * (1 + fabs(right[i * outs + o])));
            }
            for (int round = 0; round < 4; round++) {
                skv_test_ok(ctx, skv_factors_dense(ctx, &s, &f, a));
                skv_test_ok(ctx, skv_regression_error(ctx, &s, &r, &f, &now, NULL));
                assert_true(fabs(now - misfit(&s, a, ROWS_SEEN, x, y)) < 1e-9 * power);
                if (now > last * (1 + 1e-9)) fail_msg("%s, round %d: %g after %g", method->name, round, now, last);
                last = now;
                assert_non_null(method->refit);
                skv_test_ok(ctx, method->refit(ctx, &s, &r, &f));
                skv_test_ok(ctx, skv_factors_solve(ctx, &s, moments, target, &f));
            }
            held = misfit(&s, a, ROWS_HELD, hx, hy); /* of the last round but one */
            if (last >= 0.95 * first || held >= held_first)
                fail_msg("%s: %g to %g, held out %g to %g", method->name, first, last, held_first, held);
            skv_factors_free(ctx, &f);
            skv_found_free(ctx, &found);
            skv_free(ctx, s.w);
        }
    }
    assert_true(tried >= 7);
    skv_test_context_end(ctx);
}

/* Of rank r without structure no product is better than the regression of reduced rank: random ones are not, and where
 * the input is as it was it is what the singular values of W E[x x']^1/2 leave out. */
static void two_factors_are_the_best_of_their_rank(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    skv_site s = site_of(ctx, 6, 9, 1, 1);
    static double x[ROWS_SEEN * 9], y[ROWS_SEEN * 9], moments[81], target[54], mean[9], none[54];
    skv_found found = {0};
    skv_factors f = {0};
    double error;
    for (int64_t i = 0; i < s.out * s.d; i++) s.w[i] = skv_rng_normal(51, 3, (uint64_t)i);
    settle(&s);
    rows_of(s.d, ROWS_SEEN, 52, x, y);
    for (int r = 0; r < ROWS_SEEN; r++)
        for (int i = 0; i < 9; i++)
            for (int j = 0; j < 9; j++) moments[i * 9 + j] += x[r * 9 + i] * x[r * 9 + j] / ROWS_SEEN;
    for (int o = 0; o < 6; o++)
        for (int j = 0; j < 9; j++)
            for (int i = 0; i < 9; i++) target[o * 9 + j] += s.w[o * 9 + i] * moments[i * 9 + j];
    const skv_regression r = {
        .moments = moments, .target = target, .mean = mean, .power = misfit(&s, none, ROWS_SEEN, x, x)};
    s.moments = moments;
    const skv_factorization *m = skv_factorization_find("svd");
    skv_test_ok(ctx, m->look(ctx, &s, 0, &found));
    f.rank = (skv_rank){2, 0};
    skv_test_ok(ctx, m->factor(ctx, &s, &found, f.rank, 1, &f));
    for (int64_t i = 0; i < f.rows * s.d; i++) f.basis[i] = skv_rng_normal(53, 3, (uint64_t)i);
    skv_test_ok(ctx, m->refit(ctx, &s, &r, &f));
    skv_test_ok(ctx, skv_regression_error(ctx, &s, &r, &f, &error, NULL));
    assert_true(fabs(error / r.power - m->lost(&s, &found, f.rank)) < 1e-9);
    s.moments = NULL;
    skv_factors_free(ctx, &f);
    skv_found_free(ctx, &found);
    skv_free(ctx, s.w);
    skv_test_context_end(ctx);
}

/* ---- whole models ---- */

static skive_graph *two_layers(skive_context *ctx) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const int64_t dims[] = {1, 24};
    const skive_type t = skive_type_make(SKIVE_F32, 2, dims);
    skv_test_ok(ctx, skive_graph_create(ctx, "two", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &t, &x));
    skive_builder b = skive_builder_of(g);
    skive_value *y =
        skive_build_node(&b, "MatMul", "q", (skive_value *[]){x, add_parameter(&b, "wq", 2, (int64_t[]){24, 20}, 1)}, 2,
                         NULL, 0, NULL, 1);
    skive_value *z =
        skive_build_node(&b, "MatMul", "k", (skive_value *[]){x, add_parameter(&b, "wk", 2, (int64_t[]){24, 20}, 2)}, 2,
                         NULL, 0, NULL, 1);
    y = skive_build_node(&b, "Mul", "m", (skive_value *[]){y, z}, 2, NULL, 0, NULL, 1);
    y = skive_build_node(&b, "MatMul", "o", (skive_value *[]){y, add_parameter(&b, "wo", 2, (int64_t[]){20, 16}, 3)}, 2,
                         NULL, 0, NULL, 1);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static void joint_products_share_a_factor(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    skive_graph *g = two_layers(ctx), *f = NULL;
    skive_factorize_options o = by("auto", "1");
    const char *const layers[] = {"q=svd:24", "o=keep"};
    o.joint = true;
    o.layers = layers;
    o.n_layers = 2;
    skive_factorize_report r;
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &f));
    skv_test_ok(ctx, skive_factorize(ctx, f, NULL, NULL, &o, &r));
    assert_int_equal(r.n_factorized, 2);
    assert_string_equal(r.rows[0].node, "q + k");
    assert_ptr_equal(skive_graph_find_node(f, "q")->inputs[0], skive_graph_find_node(f, "k")->inputs[0]);
    assert_true(difference(ctx, g, f) < 1e-5);
    assert_string_equal(r.rows[1].kept, "it was asked to be kept");
    skive_factorize_report_free(ctx, &r);
    skive_graph_free(f);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* A budget is met, and no choice of ranks within it would lose less. */
static void a_budget_is_met_at_least_harm(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    skive_graph *g = two_layers(ctx), *f = NULL;
    skive_factorize_report r;
    static const char *const shares[] = {"0.8", "0.6", "0.4"};
    for (int i = 0; i < 3; i++) {
        skive_factorize_options o = by("svd", "auto");
        o.macs = shares[i];
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &f));
        skv_test_ok(ctx, skive_factorize(ctx, f, NULL, NULL, &o, &r));
        assert_true(r.allocation.exact);
        assert_true((double)r.after.macs <= atof(shares[i]) * (double)r.before.macs);
        skive_graph_free(f);
        /* Brute force: every rank of each of the three. */
        skv_site *sites = NULL;
        size_t n = 0;
        skive_factorize_report none = {0};
        double lost[3][21], best = INFINITY;
        skv_test_ok(ctx, skv_sites_find(ctx, g, false, &sites, &n, &none));
        assert_int_equal(n, 3);
        for (size_t s = 0; s < 3; s++) {
            skv_found found = {0};
            skv_test_ok(ctx, skv_site_open(ctx, &sites[s]));
            skv_test_ok(ctx, skv_look_rows(ctx, &sites[s], 0, &found));
            skv_site_close(ctx, &sites[s]);
            for (int64_t k = 1; k <= 20; k++) lost[s][k] = skv_spectrum_lost(&found.of[0], k);
            lost[s][0] = 0; /* as it is */
            skv_found_free(ctx, &found);
        }
        for (int64_t a = 0; a <= 10; a++)
            for (int64_t b = 0; b <= 10; b++)
                for (int64_t c = 0; c <= 8; c++) {
                    const int64_t macs = (a ? a * 44 : 480) + (b ? b * 44 : 480) + (c ? c * 36 : 320);
                    const double harm = -log1p(-lost[0][a]) - log1p(-lost[1][b]) - log1p(-lost[2][c]);
                    if ((double)macs <= atof(shares[i]) * 1280 && harm < best) best = harm;
                }
        assert_true(fabs(r.allocation.harm - best) < 1e-9);
        skv_sites_free(ctx, sites, n);
        skive_factorize_report_free(ctx, &none);
        skive_factorize_report_free(ctx, &r);
    }
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void factors_merge_back(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    static const struct {
        layer kind;
        const char *layer;
    } cases[] = {{GEMM, "layer=svd:8"},       {TURNED, "layer=svd:8"},      {MATMUL, "layer=svd:8"},
                 {CONV, "layer=channel:8"},   {STRIDED, "layer=channel:8"}, {POINT, "layer=svd:6"},
                 {STRIDED, "layer=tucker2:8"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        skive_graph *g = network(ctx, cases[i].kind), *f = NULL;
        skive_factorize_options o = by("auto", "1");
        skive_factorize_report r;
        o.layers = &cases[i].layer;
        o.n_layers = 1;
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &f));
        skv_test_ok(ctx, skive_factorize(ctx, f, NULL, NULL, &o, NULL));
        o = by("auto", "auto");
        o.merge = true;
        skv_test_ok(ctx, skive_factorize(ctx, f, NULL, NULL, &o, &r));
        assert_true(r.n_merged >= 1);
        assert_int_equal(skive_graph_node_count(f), skive_graph_node_count(g));
        assert_int_equal(r.after.parameters, skive_tensor_count(skive_value_data(skive_graph_find_value(g, "w"))) +
                                                 (skive_graph_find_value(g, "b") ? 8 : 0));
        assert_true(difference(ctx, g, f) < 1e-5);
        skv_test_fails(ctx, skive_factorize(ctx, f, NULL, NULL, &o, NULL), SKIVE_ERR_UNSUPPORTED, "nothing to merge");
        skive_factorize_report_free(ctx, &r);
        skive_graph_free(f);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

static void what_makes_no_sense_is_refused(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    skive_graph *g = two_layers(ctx), *before = NULL;
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &before));
    skive_factorize_options o;
#define REFUSE(code, text, ...)                                                         \
    do {                                                                                \
        o = by("auto", "auto");                                                         \
        __VA_ARGS__;                                                                    \
        skv_test_fails(ctx, skive_factorize(ctx, g, NULL, NULL, &o, NULL), code, text); \
    } while (0)
    REFUSE(SKIVE_ERR_ARGUMENT, "no factorization 'foo'", o.method = "foo");
    REFUSE(SKIVE_ERR_ARGUMENT, "whole number from 1 on", o.rank = "0");
    REFUSE(SKIVE_ERR_ARGUMENT, "whole number from 1 on", o.rank = "many");
    REFUSE(SKIVE_ERR_ARGUMENT, "needs a limit", o.rank = "search");
    REFUSE(SKIVE_ERR_ARGUMENT, "one budget at a time", o.macs = "0.5"; o.params = "0.5");
    REFUSE(SKIVE_ERR_ARGUMENT, "chooses the ranks", o.macs = "0.5"; o.rank = "4");
    REFUSE(SKIVE_ERR_ARGUMENT, "no budget to share", o.uniform = true);
    REFUSE(SKIVE_ERR_ARGUMENT, "validation set", o.max_drop = 1);
    REFUSE(SKIVE_ERR_ARGUMENT, "for the rank 'energy'", o.rank = "vbmf"; o.energy = 0.5);
    REFUSE(SKIVE_ERR_ARGUMENT, "no use", o.merge = true; o.macs = "0.5");
    REFUSE(SKIVE_ERR_DATA, "needs a data set", o.weighting = "activations");
    REFUSE(SKIVE_ERR_ARGUMENT, "needs a data set", o.refit = true);
    REFUSE(SKIVE_ERR_GOAL, "below the smallest that can be reached", o.macs = "0.01");
    REFUSE(SKIVE_ERR_ARGUMENT, "is not below what the model has", o.macs = "2M");
    REFUSE(SKIVE_ERR_UNSUPPORTED, "above the full rank", o.rank = "21"; o.method = "svd");
    REFUSE(SKIVE_ERR_UNSUPPORTED, "does not pay", o.rank = "16"; o.method = "svd");
    const char *named = "q";
    REFUSE(SKIVE_ERR_ARGUMENT, "not of the form", o.layers = &named; o.n_layers = 1);
    named = "nope=svd:3";
    REFUSE(SKIVE_ERR_NOT_FOUND, "no node 'nope'", o.layers = &named; o.n_layers = 1);
    named = "q=svd:99";
    REFUSE(SKIVE_ERR_ARGUMENT, "between 1 and 20", o.layers = &named; o.n_layers = 1);
    assert_true(difference(ctx, before, g) == 0);
    assert_int_equal(skive_graph_node_count(g), 4);
    skive_graph_free(before);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void a_dry_run_lists_and_changes_nothing(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    skive_graph *g = network(ctx, CONV);
    skive_factorize_options o = skive_factorize_options_default();
    skive_factorize_report r;
    o.macs = "0.8";
    o.dry_run = true;
    skv_test_ok(ctx, skive_factorize(ctx, g, NULL, NULL, &o, &r));
    assert_int_equal(skive_graph_node_count(g), 2);
    assert_true(r.n_rows >= 3);
    size_t chosen = 0, by_name = 0;
    for (size_t i = 0; i < r.n_rows; i++) {
        const skive_factorize_row *row = &r.rows[i];
        assert_non_null(row->method);
        chosen += row->chosen;
        assert_true(row->by_name == !skv_factorization_find(row->method)->automatic);
        by_name += row->by_name;
        if (!row->by_name) continue;
        assert_true(!row->chosen && !row->unknown && row->error > 0 && row->seconds > 0);
        assert_true(row->macs <= row->macs_before);
        assert_true(row->parameters < row->parameters_before || strcmp(row->method, "sparse") == 0);
    }
    assert_int_equal(chosen, 1);
    assert_true(by_name >= 3); /* cp, grouped, sparse */
    skive_factorize_report_free(ctx, &r);
    /* What is asked for by name is no such row. */
    o.method = "cp";
    skv_test_ok(ctx, skive_factorize(ctx, g, NULL, NULL, &o, &r));
    for (size_t i = 0; i < r.n_rows; i++) assert_false(r.rows[i].by_name);
    skive_factorize_report_free(ctx, &r);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Of a large layer the row says that nothing was looked for, and nothing was; its sizes are there. */
static void large_layers_are_not_looked_at_unasked(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const int64_t dims[] = {1, 512};
    const skive_type t = skive_type_make(SKIVE_F32, 2, dims);
    size_t unknown = 0;
    (void)state;
    skv_test_ok(ctx, skive_graph_create(ctx, "large", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &t, &x));
    skive_builder b = skive_builder_of(g);
    skive_value *y =
        skive_build_node(&b, "MatMul", "m", (skive_value *[]){x, add_parameter(&b, "w", 2, (int64_t[]){512, 400}, 1)},
                         2, NULL, 0, NULL, 1);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skive_factorize_options o = by("auto", "auto");
    skive_factorize_report r;
    o.macs = "0.5";
    o.dry_run = true;
    skv_test_ok(ctx, skive_factorize(ctx, g, NULL, NULL, &o, &r));
    for (size_t i = 0; i < r.n_rows; i++) {
        if (!r.rows[i].by_name) continue;
        assert_non_null(strstr(r.rows[i].unknown, "ask for it by name"));
        assert_true(isnan(r.rows[i].error) && r.rows[i].parameters > 0);
        assert_true(r.rows[i].macs < r.rows[i].macs_before);
        unknown++;
    }
    assert_true(unknown >= 3); /* tt, grouped, sparse */
    skive_factorize_report_free(ctx, &r);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- memory ---- */

static skive_status whole(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skive_factorize_report r = {0};
    skive_factorize_options o = by("auto", "auto");
    const layer kind = *(const layer *)user;
    o.params = kind == CELL ? "0.95" : "0.6";
    skive_value *x = NULL, *y, *w = NULL;
    skive_type t =
        skive_type_make(SKIVE_F32, kind == CONV ? 4 : 2, kind == CONV ? (int64_t[]){1, 4, 5, 5} : (int64_t[]){1, 12});
    skive_tensor data = {0};
    skive_status status = skive_graph_create(ctx, "g", &g);
    if (status == SKIVE_OK) status = skive_graph_add_input(g, "x", &t, &x);
    if (status == SKIVE_OK)
        status = kind == CONV ? skive_tensor_create(ctx, SKIVE_F32, 4, (int64_t[]){4, 4, 3, 3}, &data)
                              : skive_tensor_create(ctx, SKIVE_F32, 2, (int64_t[]){12, 10}, &data);
    for (int64_t i = 0; status == SKIVE_OK && i < skive_tensor_count(&data); i++)
        skive_tensor_set(&data, i, skv_rng_normal(1, 1, (uint64_t)i));
    skive_builder b = skive_builder_of(g);
    if (status == SKIVE_OK) {
        w = skive_build_parameter(&b, "w", &data, true);
        y = skive_build_node(&b, kind == CONV ? "Conv" : "MatMul", "layer", (skive_value *[]){x, w}, 2, NULL, 0, NULL,
                             1);
        status = b.status;
        if (status == SKIVE_OK) status = skive_graph_add_output(g, y);
    }
    if (status == SKIVE_OK) status = skive_factorize(ctx, g, NULL, NULL, &o, &r);
    skive_tensor_free(ctx, &data);
    skive_factorize_report_free(ctx, &r);
    skive_graph_free(g);
    return status;
}

static void memory_may_run_out(void **state) {
    (void)state;
    layer kind = MATMUL;
    assert_true(skv_test_walk_allocations(whole, &kind, 7) > 10);
    kind = CONV;
    assert_true(skv_test_walk_allocations(whole, &kind, 5) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_rank_changes_nothing),
        cmocka_unit_test(truncation_errors_are_the_dropped_values),
        cmocka_unit_test(known_ranks_are_found),
        cmocka_unit_test(outputs_are_kept_better),
        cmocka_unit_test(factors_are_fitted_to_the_original),
        cmocka_unit_test(two_factors_are_the_best_of_their_rank),
        cmocka_unit_test(joint_products_share_a_factor),
        cmocka_unit_test(a_budget_is_met_at_least_harm),
        cmocka_unit_test(factors_merge_back),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(a_dry_run_lists_and_changes_nothing),
        cmocka_unit_test(large_layers_are_not_looked_at_unasked),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
