/* The table of measured costs: keys, file, and plumbing, with measured times put in by the test. Real times are
 * measured too, but no time decides anything. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skive/zoo.h>

#include "support.h"
#include "tune/costs.h"

#include <cmocka.h>

static char folder[SKV_TEST_PATH];

static int set_up(void **state) {
    (void)state;
    skv_test_make_dir(folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    skv_test_remove_dir(folder);
    return 0;
}

/* Instead of the clock: each plan takes as many seconds as it has multiply-accumulates, plus a hundred a call. */
typedef struct clock {
    size_t calls, plans;
} fake_clock;

static skive_status take_time(void *user, skive_context *ctx, const skive_plan *const *plans, size_t n,
                              skive_cost_time *out, double *reorders) {
    fake_clock *f = user;
    (void)ctx;
    f->calls++;
    for (size_t i = 0; i < n; i++) {
        f->plans++;
        out[i] = (skive_cost_time){.seconds = 100, .spread = 1};
        reorders[i] = 7;
        for (size_t k = 0; k < skive_plan_step_count(plans[i]); k++) {
            skive_plan_step s;
            skive_plan_step_get(plans[i], k, &s);
            out[i].seconds += (double)s.macs;
        }
    }
    return SKIVE_OK;
}

static skive_graph *network(skive_context *ctx, const char *spec) {
    skive_zoo_options o = skive_zoo_options_default();
    skive_graph *g = NULL;
    o.dims[1] = o.dims[2] = 12;
    o.classes = 3;
    skv_test_ok(ctx, skive_zoo_build(ctx, spec, &o, &g));
    return g;
}

static skive_costs *table(skive_context *ctx, const char *path, fake_clock *f) {
    skive_costs *c = NULL;
    skv_test_ok(ctx, skive_costs_open(ctx, path, &c));
    c->measure = take_time;
    c->measure_user = f;
    return c;
}

/* The second time everything comes from the table; by another process from the file. */
static void test_cached(void **state) {
    skive_context *ctx = skv_test_context();
    fake_clock f = {0};
    skive_cost_report r, again;
    char path[SKV_TEST_PATH];
    (void)state;
    skv_test_path(path, folder, "costs.txt");
    skive_graph *g = network(ctx, "resnet20:0.25");
    skive_costs *c = table(ctx, path, &f);
    skv_test_ok(ctx, skive_costs_of_graph(c, g, NULL, &r));
    assert_true(r.n_rows > 10);
    assert_true(f.plans < r.n_rows + 1); /* equal blocks are measured once */
    double sum = 0;
    int64_t macs = 0;
    for (size_t i = 0; i < r.n_rows; i++) {
        assert_true(r.rows[i].time.seconds == 100 + (double)r.rows[i].macs);
        assert_true(r.rows[i].time.kernel[0]);
        sum += r.rows[i].time.seconds;
        macs += r.rows[i].macs;
    }
    skive_cost whole;
    skv_test_ok(ctx, skive_graph_cost(g, &whole));
    assert_true(r.sum == sum && macs == whole.macs && r.whole == 107 + (double)macs && r.reorders == 7 &&
                r.whole_spread == 1);
    const size_t known = skive_costs_count(c), measured = f.plans;
    assert_int_equal(known + 1, measured); /* and the whole */
    skv_test_ok(ctx, skive_costs_of_graph(c, g, NULL, &again));
    assert_int_equal(again.n_cached, again.n_rows);
    assert_int_equal(f.plans, measured + 1);
    skive_cost_report_free(ctx, &again);
    skv_test_ok(ctx, skive_costs_save(c));
    skive_costs_free(c);
    c = table(ctx, path, &f);
    assert_int_equal(skive_costs_count(c), known);
    assert_int_equal(skive_context_note_count(ctx), 0);
    skv_test_ok(ctx, skive_costs_of_graph(c, g, NULL, &again));
    assert_int_equal(again.n_cached, again.n_rows);
    for (size_t i = 0; i < r.n_rows; i++) {
        assert_true(again.rows[i].time.cached && again.rows[i].time.seconds == r.rows[i].time.seconds);
        assert_string_equal(again.rows[i].time.kernel, r.rows[i].time.kernel);
        assert_string_equal(again.rows[i].node, r.rows[i].node);
    }
    skive_cost_report_free(ctx, &again);
    skive_cost_report_free(ctx, &r);
    skive_costs_free(c);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static size_t measured_anew(skive_context *ctx, skive_costs *c, fake_clock *f, const skive_graph *g,
                            const skive_plan_options *o) {
    skive_cost_report r;
    const size_t before = f->plans;
    skv_test_ok(ctx, skive_costs_of_graph(c, g, o, &r));
    skive_cost_report_free(ctx, &r);
    return f->plans - before - 1;
}

static void zero_most(skive_context *ctx, skive_graph *g, const char *parameter) {
    skive_value *v = skive_graph_find_value(g, parameter);
    assert_non_null(v);
    const skive_tensor *t = skive_value_data(v);
    skive_tensor copy = skv_test_random(ctx, SKIVE_F32, t->rank, t->dims, 3, -1, 1);
    for (int64_t i = 0; i < skive_tensor_count(t); i++)
        if (i % 20) skive_tensor_set(&copy, i, 0);
    skv_test_ok(ctx, skive_value_set_data(v, &copy));
    skive_tensor_free(ctx, &copy);
}

/* What changes the time has a key of its own; what does not, has not. */
static void test_keys(void **state) {
    skive_context *ctx = skv_test_context();
    fake_clock f = {0};
    skive_plan_options o = skive_plan_options_default();
    skive_costs *c = table(ctx, "", &f);
    (void)state;
    assert_string_equal(skive_costs_path(c), "");
    o.threads = 1;
    skive_graph *g = network(ctx, "mlp:16,8");
    assert_int_equal(measured_anew(ctx, c, &f, g, &o), 3);
    assert_int_equal(measured_anew(ctx, c, &f, g, &o), 0);
    o.batch = 4;
    assert_int_equal(measured_anew(ctx, c, &f, g, &o), 3);
    o.threads = 2;
    assert_int_equal(measured_anew(ctx, c, &f, g, &o), 3);
    /* Other numbers in a dense weight change nothing; a sparse weight is another one, by its pattern. */
    skive_graph *other = network(ctx, "mlp:16,8");
    skive_value *w = NULL;
    for (size_t i = 0; i < skive_graph_value_count(other) && !w; i++) {
        skive_value *v = skive_graph_value(other, i);
        if (skive_value_data(v) && skive_value_data(v)->rank == 2) w = v;
    }
    skive_tensor numbers = skv_test_random(ctx, SKIVE_F32, 2, skive_value_data(w)->dims, 9, -1, 1);
    skv_test_ok(ctx, skive_value_set_data(w, &numbers));
    skive_tensor_free(ctx, &numbers);
    assert_int_equal(measured_anew(ctx, c, &f, other, &o), 0);
    zero_most(ctx, other, skive_value_name(w));
    assert_int_equal(measured_anew(ctx, c, &f, other, &o), 1);
    assert_int_equal(measured_anew(ctx, c, &f, other, &o), 0);
    skive_graph *wider = network(ctx, "mlp:16,9");
    assert_int_equal(measured_anew(ctx, c, &f, wider, &o), 2);
    skive_graph_free(wider);
    skive_graph_free(other);
    skive_graph_free(g);
    skive_costs_free(c);
    skv_test_context_end(ctx);
}

static const char *product(const skive_graph *g, const char *op, size_t which) {
    for (size_t i = 0; i < skive_graph_node_count(g); i++) {
        const skive_node *n = skive_graph_node(g, i);
        if (strcmp(skive_node_op(n), op) == 0 && which-- == 0) return skive_node_name(n);
    }
    fail_msg("no %s", op);
    return NULL;
}

/* The times of other widths are those of networks built with these widths. */
static void test_widths(void **state) {
    skive_context *ctx = skv_test_context();
    fake_clock f = {0};
    skive_costs *c = table(ctx, "", &f);
    skive_graph *g = network(ctx, "mlp:16,8"), *same = network(ctx, "mlp:24,12"),
                *conv = network(ctx, "mobilenet:0.25");
    const skive_cost_width widths[] = {{-1, -1}, {24, 12}, {24, -1}, {24, 12}, {1, 1}};
    skive_cost_time times[5];
    (void)state;
    skv_test_ok(ctx, skive_costs_of_widths(c, g, product(g, "Gemm", 1), NULL, widths, 5, times));
    assert_true(times[0].seconds == 100 + 16 * 8 && times[1].seconds == 100 + 24 * 12);
    assert_true(times[2].seconds == 100 + 24 * 8 && times[4].seconds == 101);
    assert_true(times[3].cached && !times[1].cached && times[3].seconds == times[1].seconds);
    assert_int_equal(f.plans, 4);
    /* A fully connected layer of a network of these widths has the same key, but for the Relu fused behind it. */
    skive_plan_options plain = skive_plan_options_default();
    plain.no_fusion = true;
    skive_cost_report r;
    skv_test_ok(ctx, skive_costs_of_graph(c, same, &plain, &r));
    size_t found = 0;
    for (size_t i = 0; i < r.n_rows; i++)
        found += r.rows[i].time.cached && strcmp(r.rows[i].op, "Gemm") == 0 && r.rows[i].macs == 24 * 12;
    assert_int_equal(found, 1);
    skive_cost_report_free(ctx, &r);
    /* Depthwise convolutions keep one input a channel. */
    const skive_cost_width narrow[] = {{4, -1}, {-1, -1}, {8, 5}};
    const char *depthwise = NULL;
    for (size_t i = 0; i < 4 && !depthwise; i++) {
        const char *name = product(conv, "Conv", i);
        const skive_value *w = skive_node_input(skive_graph_find_node(conv, name), 1);
        if (skive_value_data(w)->dims[1] == 1 && skive_value_data(w)->dims[0] > 1 && i > 0) depthwise = name;
    }
    assert_non_null(depthwise);
    skv_test_ok(ctx, skive_costs_of_widths(c, conv, depthwise, NULL, narrow, 2, times));
    const double whole = times[1].seconds - 100, part = times[0].seconds - 100;
    const double channels =
        (double)skive_value_data(skive_node_input(skive_graph_find_node(conv, depthwise), 1))->dims[0];
    assert_true(whole > 0 && fabs(part * channels - whole * 4) < 1e-6 * whole);
    skv_test_fails(ctx, skive_costs_of_widths(c, conv, depthwise, NULL, narrow, 3, times), SKIVE_ERR_ARGUMENT,
                   "groups");
    skv_test_fails(ctx, skive_costs_of_widths(c, g, "nope", NULL, widths, 1, times), SKIVE_ERR_NOT_FOUND, "'nope'");
    skv_test_fails(ctx, skive_costs_of_widths(c, g, product(g, "Relu", 0), NULL, widths, 1, times),
                   SKIVE_ERR_UNSUPPORTED, "Relu");
    skive_graph_free(g);
    skive_graph_free(same);
    skive_graph_free(conv);
    skive_costs_free(c);
    skv_test_context_end(ctx);
}

static void enter(skive_context *ctx, skive_costs *c, const char *key, double seconds) {
    const skive_cost_time t = {.seconds = seconds, .spread = 0.1, .kernel = "k"};
    skv_test_ok(ctx, skv_costs_enter(c, key, &t, true));
}

/* Two processes that measure at the same time keep each other's entries. */
static void test_merged(void **state) {
    skive_context *ctx = skv_test_context();
    fake_clock f = {0};
    char path[SKV_TEST_PATH];
    (void)state;
    skv_test_path(path, folder, "merged.txt");
    skive_costs *a = table(ctx, path, &f), *b = table(ctx, path, &f);
    enter(ctx, a, "one", 1.25);
    enter(ctx, b, "two", 2.5e-7);
    enter(ctx, b, "one", 9);
    skv_test_ok(ctx, skive_costs_save(a));
    skv_test_ok(ctx, skive_costs_save(b));
    skive_costs_free(a);
    skive_costs_free(b);
    a = table(ctx, path, &f);
    assert_int_equal(skive_costs_count(a), 2);
    assert_true(skv_costs_find(a, "two")->seconds == 2.5e-7 && skv_costs_find(a, "two")->cached);
    assert_null(skv_costs_find(a, "three"));
    skive_costs_free(a);
    skv_test_context_end(ctx);
}

static void damage(const char *path, size_t at, bool cut) {
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    if (!cut) {
        assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
        const int c = fgetc(file);
        assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
        fputc(c ^ 1, file);
    }
    fclose(file);
    if (cut) assert_int_equal(truncate(path, (off_t)at), 0);
}

/* A file of which any byte was changed, or the end cut off, is not used: a note says so, and the next save repairs it.
 * */
static void test_damaged(void **state) {
    skive_context *ctx = skv_test_context();
    fake_clock f = {0};
    char path[SKV_TEST_PATH];
    struct stat st;
    (void)state;
    skv_test_path(path, folder, "damaged.txt");
    for (int round = 0; round < 2; round++) {
        for (size_t at = 0;; at += 7) {
            (void)unlink(path);
            skive_costs *c = table(ctx, path, &f);
            enter(ctx, c, "key one", 1);
            enter(ctx, c, "key two", 2);
            skv_test_ok(ctx, skive_costs_save(c));
            skive_costs_free(c);
            assert_int_equal(stat(path, &st), 0);
            if (at >= (size_t)st.st_size) break;
            damage(path, at, round == 1);
            skive_context_clear_notes(ctx);
            c = table(ctx, path, &f);
            if (skive_context_note_count(ctx) != 1) fail_msg("byte %zu: no note", at);
            enter(ctx, c, "new", 3);
            skv_test_ok(ctx, skive_costs_save(c));
            skive_costs_free(c);
            skive_context_clear_notes(ctx);
            c = table(ctx, path, &f);
            assert_int_equal(skive_context_note_count(ctx), 0);
            assert_true(skv_costs_find(c, "new") && skv_costs_find(c, "new")->seconds == 3);
            skive_costs_free(c);
        }
    }
    skv_test_context_end(ctx);
}

/* The oldest entries go. */
static void test_bounded(void **state) {
    enum { MANY = 20500, KEPT = 20000 };
    skive_context *ctx = skv_test_context();
    fake_clock f = {0};
    char path[SKV_TEST_PATH], key[32];
    (void)state;
    skv_test_path(path, folder, "bounded.txt");
    skive_costs *c = table(ctx, path, &f);
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "key %d", i);
        enter(ctx, c, key, i);
    }
    skv_test_ok(ctx, skive_costs_save(c));
    skive_costs_free(c);
    c = table(ctx, path, &f);
    assert_int_equal(skive_costs_count(c), KEPT);
    assert_null(skv_costs_find(c, "key 499"));
    assert_true(skv_costs_find(c, "key 500")->seconds == 500);
    skive_costs_free(c);
    skv_test_context_end(ctx);
}

static void test_places(void **state) {
    skive_context *ctx = skv_test_context();
    fake_clock f = {0};
    skive_costs *c = NULL;
    char path[SKV_TEST_PATH], wanted[2 * SKV_TEST_PATH];
    (void)state;
    skv_test_path(path, folder, "cache");
    snprintf(wanted, sizeof wanted, "%s/skive/costs-", path);
    assert_int_equal(setenv("XDG_CACHE_HOME", path, 1), 0);
    skv_test_ok(ctx, skive_costs_open(ctx, NULL, &c));
    assert_memory_equal(skive_costs_path(c), wanted, strlen(wanted));
    enter(ctx, c, "key", 1);
    skv_test_ok(ctx, skive_costs_save(c));
    assert_int_equal(access(skive_costs_path(c), R_OK), 0);
    skive_costs_free(c);
    c = table(ctx, "/nonexistent/folder/costs.txt", &f);
    skv_test_ok(ctx, skive_costs_save(c)); /* nothing is new */
    enter(ctx, c, "key", 1);
    skv_test_fails(ctx, skive_costs_save(c), SKIVE_ERR_IO, "/nonexistent/folder");
    skive_costs_free(c);
    skv_test_context_end(ctx);
}

static void test_settle(void **state) {
    double odd[] = {5, 1, 900, 2, 3}, one[] = {4}, even[] = {4, 1, 3, 2}, median, spread;
    (void)state;
    skv_cost_settle(odd, 5, &median, &spread);
    assert_true(median == 3 && spread == 1.5); /* the outlier counts as one of five */
    skv_cost_settle(one, 1, &median, &spread);
    assert_true(median == 4 && spread == 0);
    skv_cost_settle(even, 4, &median, &spread);
    assert_true(median == 2.5 && spread == 0.75);
}

/* By the real clock, of float and integer operators. */
static void test_measured(void **state) {
    skive_context *ctx = skv_test_context();
    skive_costs *c = NULL;
    skive_cost_report r;
    (void)state;
    skive_graph *g = network(ctx, "vgg-small:0.1");
    skv_test_ok(ctx, skive_costs_open(ctx, "", &c));
    skv_test_ok(ctx, skive_costs_of_graph(c, g, NULL, &r));
    for (size_t i = 0; i < r.n_rows; i++) {
        assert_true(r.rows[i].time.seconds > 0 && r.rows[i].time.spread >= 0);
        assert_true(r.rows[i].time.kernel[0] && !r.rows[i].time.cached);
    }
    assert_true(r.sum > 0 && r.whole > 0 && r.reorders >= 0 && r.threads >= 1);
    skive_cost_report_free(ctx, &r);
    skive_costs_free(c);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static skive_status all(skive_context *ctx, void *user) {
    fake_clock f = {0};
    skive_costs *c = NULL;
    skive_graph *g = NULL;
    skive_cost_report r = {0};
    skive_zoo_options o = skive_zoo_options_default();
    o.dims[1] = o.dims[2] = 12;
    skive_status status = skive_zoo_build(ctx, "mlp:8", &o, &g);
    if (status == SKIVE_OK) status = skive_costs_open(ctx, user, &c);
    if (status == SKIVE_OK) {
        c->measure = take_time;
        c->measure_user = &f;
        status = skive_costs_of_graph(c, g, NULL, &r);
    }
    if (status == SKIVE_OK) status = skive_costs_save(c);
    skive_cost_report_free(ctx, &r);
    skive_costs_free(c);
    skive_graph_free(g);
    (void)unlink(user);
    return status;
}

static void test_memory(void **state) {
    char path[SKV_TEST_PATH];
    (void)state;
    skv_test_path(path, folder, "memory.txt");
    assert_true(skv_test_walk_allocations(all, path, 7) > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cached), cmocka_unit_test(test_keys),    cmocka_unit_test(test_widths),
        cmocka_unit_test(test_merged), cmocka_unit_test(test_damaged), cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_places), cmocka_unit_test(test_settle),  cmocka_unit_test(test_measured),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
