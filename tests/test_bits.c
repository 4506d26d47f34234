/* Bits for each layer under a budget: against all choices one by one, never over the budget, what is infeasible,
 * grids of single weights. */
#include <skive/bits.h>
#include <skive/onnx.h>

#include "train_fixtures.h"

enum { LAYERS = 3, GRIDS = 3, ALL = 27 };
static const char grids[] = "int8,int4,int2";
static const char *const grid_names[GRIDS] = {"int8", "int4", "int2"};
static const int grid_bits[GRIDS] = {8, 4, 2};

typedef struct bench {
    skive_context *ctx;
    skive_graph *g;
    skive_dataset *train, *validation, *test;
    skive_bits_options o;
    skive_quantize_options q;
} bench;

/* Units of each layer stand for bands. The last unit of the first is always 0, so that its weights of 100 in the second
 * do nothing, except that 2 bits are left with 0 for all others. */
static skive_value *weight(skv_builder *b, const char *name, const int64_t *dims, int layer) {
    static float w[LAYERS][PIXELS * 16];
    skive_tensor t = {.dtype = SKIVE_F32, .rank = 2, .dims = {dims[0], dims[1]}, .data = w[layer]};
    skive_value *v = NULL;
    for (int64_t i = 0; i < dims[0]; i++) {
        for (int64_t k = 0; k < dims[1]; k++) {
            const bool same = (layer ? k % CLASSES : k / SIDE / 2) == i % CLASSES;
            float *to = &w[layer][i * dims[1] + k];
            *to = (float)((same ? 0.4 : -0.2) + 0.05 * skv_rng_normal(3, (uint64_t)layer, (uint64_t)(i * 100 + k)));
            if (layer == 0 && i + 1 == dims[0]) *to = 0;
            if (layer == 1 && k + 1 == dims[1]) *to = 100;
        }
    }
    skv_test_ok(b->graph->ctx, skive_graph_add_parameter(b->graph, name, &t, &v));
    return v;
}

static skive_graph *network(skive_context *ctx) {
    static const int64_t widths[LAYERS + 1] = {PIXELS, 10, 8, CLASSES};
    static const char *const names[LAYERS] = {"w1", "w2", "w3"};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    skv_test_ok(ctx, skive_graph_create(ctx, "three", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Flatten", SKV_IN(x), SKV_NONE);
    for (int i = 0; i < LAYERS; i++) {
        const int64_t dims[2] = {widths[i + 1], widths[i]};
        y = skv_emit(&b, "Gemm", SKV_IN(y, weight(&b, names[i], dims, i)), SKV_ATTRS(SKV_INT("transB", 1)));
        if (i + 1 < LAYERS) y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    }
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

static bench start(skive_context *ctx) {
    bench b = {.ctx = ctx, .g = network(ctx), .o = skive_bits_options_default(), .q = skive_quantize_options_default()};
    b.train = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    b.validation = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    b.test = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    b.q.samples = 20;
    b.q.calibration = "minmax";
    b.o.grids = grids;
    return b;
}

static void finish(bench *b) {
    skive_dataset_free(b->train);
    skive_dataset_free(b->validation);
    skive_dataset_free(b->test);
    skive_graph_free(b->g);
}

static int64_t size_of(skive_context *ctx, const skive_graph *g) {
    void *bytes = NULL;
    size_t n = 0;
    skv_test_ok(ctx, skive_onnx_serialize(ctx, g, NULL, &bytes, &n));
    skive_onnx_free_bytes(ctx, bytes);
    return (int64_t)n;
}

/* Harm, bit operations and file of each of the 27 choices. */
typedef struct all {
    double harm[ALL], operations[ALL];
    int64_t bytes[ALL];
} all;

static void enumerate(bench *b, all *out) {
    skive_sensitivity_options o = skive_sensitivity_options_default();
    skive_sensitivity_report r;
    o.grids = grids;
    o.by = "kl";
    o.samples = b->q.samples;
    skv_test_ok(b->ctx, skive_sensitivity(b->ctx, b->g, b->train, b->validation, &o, &r));
    assert_true(r.n_layers == LAYERS && r.n_grids == GRIDS);
    for (int i = 0; i < ALL; i++) {
        const int at[LAYERS] = {i % 3, i / 3 % 3, i / 9};
        skive_quantize_choice choices[LAYERS];
        skive_quantize_options q = b->q;
        skive_graph *g = NULL;
        out->harm[i] = out->operations[i] = 0;
        for (int k = 0; k < LAYERS; k++) {
            const skive_sensitivity_row *row = &r.rows[k * GRIDS + at[k]];
            choices[k] = (skive_quantize_choice){row->parameter, grid_names[at[k]]};
            out->harm[i] += row->harm;
            out->operations[i] += (double)row->macs * grid_bits[at[k]] * 8;
        }
        q.choices = choices;
        q.n_choices = LAYERS;
        skv_test_ok(b->ctx, skive_graph_copy(b->ctx, b->g, &g));
        skv_test_ok(b->ctx, skive_quantize(b->ctx, g, b->train, &q, NULL));
        out->bytes[i] = size_of(b->ctx, g);
        skive_graph_free(g);
    }
    skive_sensitivity_report_free(b->ctx, &r);
}

static double least_harm(const all *a, double budget, bool bytes) {
    double least = INFINITY;
    for (int i = 0; i < ALL; i++) {
        const double cost = bytes ? (double)a->bytes[i] : a->operations[i];
        if (cost <= budget && a->harm[i] < least) least = a->harm[i];
    }
    return least;
}

static void test_brute_force(void **state) {
    static const double parts[] = {0, 0.3, 0.6};
    skive_context *ctx = skv_test_context();
    bench b = start(ctx);
    all a;
    (void)state;
    enumerate(&b, &a);
    for (int kind = 0; kind < 2; kind++) {
        double low = INFINITY, high = 0;
        for (int i = 0; i < ALL; i++) {
            const double cost = kind ? (double)a.bytes[i] : a.operations[i];
            low = cost < low ? cost : low;
            high = cost > high ? cost : high;
        }
        for (size_t p = 0; p < SKV_LENGTH(parts); p++) {
            skive_graph *g = NULL;
            skive_bits_report r;
            char text[40];
            const double budget = floor(low + parts[p] * (high - low));
            (void)snprintf(text, sizeof text, kind ? "%.0fB" : "%.3fk", kind ? budget : budget / 1e3);
            skive_bits_options o = b.o;
            o.quantize = &b.q;
            if (kind)
                o.bytes = text;
            else
                o.bit_operations = text;
            skv_test_ok(ctx, skive_graph_copy(ctx, b.g, &g));
            skv_test_ok(ctx, skive_quantize_bits(ctx, g, b.train, b.validation, NULL, &o, NULL, &r));
            assert_true(r.n_layers == LAYERS && r.exact && !r.tested);
            assert_true(r.used[kind ? 0 : 1] <= budget && r.least[kind ? 0 : 1] == low);
            if (kind) assert_true((double)size_of(ctx, g) == r.used[0]);
            assert_true(fabs(r.harm - least_harm(&a, budget, kind)) <= 1e-12 + 1e-9 * r.harm);
            skive_bits_report_free(ctx, &r);
            skive_graph_free(g);
        }
    }
    finish(&b);
    skv_test_context_end(ctx);
}

static double accuracy(skive_context *ctx, const skive_graph *g, skive_dataset *set) {
    skive_eval_report r;
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 0, &r));
    const double x = 100 * r.accuracy;
    skive_eval_report_free(ctx, &r);
    return x;
}

/* The drops are those of the model that comes out; what cannot be is refused and leaves the graph alone. */
static void test_report(void **state) {
    skive_context *ctx = skv_test_context();
    bench b = start(ctx);
    skive_bits_report r;
    skive_graph *g = NULL;
    (void)state;
    const double before = accuracy(ctx, b.g, b.validation), test_before = accuracy(ctx, b.g, b.test);
    b.o.quantize = &b.q;
    b.o.bit_operations = "0.03";
    skv_test_ok(ctx, skive_graph_copy(ctx, b.g, &g));
    skv_test_ok(ctx, skive_quantize_bits(ctx, g, b.train, b.validation, b.test, &b.o, NULL, &r));
    assert_true(fabs(r.original - before) < 1e-9 && fabs(before - accuracy(ctx, g, b.validation) - r.drop) < 1e-9);
    assert_true(r.tested && fabs(test_before - accuracy(ctx, g, b.test) - r.test_drop) < 1e-9);
    assert_true(r.low <= r.drop && r.drop <= r.high && r.test_samples == TESTING);
    skive_bits_report_free(ctx, &r);
    skive_graph_free(g);

    const int64_t size = size_of(ctx, b.g);
    b.o.bit_operations = "0.0001";
    skv_test_fails(ctx, skive_quantize_bits(ctx, b.g, b.train, b.validation, NULL, &b.o, NULL, &r), SKIVE_ERR_GOAL,
                   "the smallest is");
    assert_true(r.least[1] > 0 && r.n_layers == 0);
    skive_bits_report_free(ctx, &r);
    b.o.bit_operations = NULL;
    skv_test_fails(ctx, skive_quantize_bits(ctx, b.g, b.train, b.validation, NULL, &b.o, NULL, &r), SKIVE_ERR_ARGUMENT,
                   "no budget");
    b.o.bytes = "0.9";
    b.o.grids = "int2";
    b.o.max_drop = 0;
    const skive_status status = skive_quantize_bits(ctx, b.g, b.train, b.validation, NULL, &b.o, NULL, &r);
    assert_true(status == SKIVE_ERR_GOAL && r.drop > 0 && r.n_layers == LAYERS);
    assert_true(r.levels == 1 && r.control.n_trials == 1 && !r.control.feasible); /* one grid: there is one way */
    skive_bits_report_free(ctx, &r);
    b.o.grids = "ulog2";
    skv_test_fails(ctx, skive_quantize_bits(ctx, b.g, b.train, b.validation, NULL, &b.o, NULL, &r), SKIVE_ERR_ARGUMENT,
                   "take 'log2'");
    assert_true(size_of(ctx, b.g) == size);
    /* Float is a choice, and free of harm. */
    b.o.grids = "int8,f32";
    b.o.bytes = "4.0M";
    b.o.max_drop = -1;
    skv_test_ok(ctx, skive_quantize_bits(ctx, b.g, b.train, b.validation, NULL, &b.o, NULL, &r));
    assert_string_equal(r.layers[0].grid, "f32");
    assert_true(r.harm == 0);
    skive_bits_report_free(ctx, &r);
    finish(&b);
    skv_test_context_end(ctx);
}

/* A budget and a limit on the loss together: against every part of the way by itself. */
static void test_both(void **state) {
    skive_context *ctx = skv_test_context();
    bench b = start(ctx);
    skive_bits_report r, one;
    skive_graph *g = NULL;
    char text[40];
    (void)state;
    b.o.quantize = &b.q;
    skive_bits_options o = b.o;
    o.bit_operations = "0.016"; /* 2 bits nearly everywhere */
    skv_test_ok(ctx, skive_graph_copy(ctx, b.g, &g));
    skv_test_ok(ctx, skive_quantize_bits(ctx, g, b.train, b.validation, NULL, &o, NULL, &one));
    skive_graph_free(g);
    assert_true(one.drop > 1 && one.control.n_trials == 0 && one.used[1] <= one.budget[1]);
    const double end = one.budget[1], unlimited = one.drop;

    o.max_drop = 100;
    skv_test_ok(ctx, skive_graph_copy(ctx, b.g, &g));
    skv_test_ok(ctx, skive_quantize_bits(ctx, g, b.train, b.validation, NULL, &o, NULL, &r));
    assert_true(r.levels == SKIVE_BITS_LEVELS && r.control.applied == SKIVE_BITS_LEVELS && r.control.n_trials == 1);
    assert_true(r.drop == unlimited && r.used[1] == one.used[1] && r.harm == one.harm);
    skive_bits_report_free(ctx, &r);
    skive_graph_free(g);

    o.max_drop = unlimited / 2;
    skv_test_ok(ctx, skive_graph_copy(ctx, b.g, &g));
    skv_test_ok(ctx, skive_quantize_bits(ctx, g, b.train, b.validation, NULL, &o, NULL, &r));
    assert_true(r.control.feasible && r.control.applied >= 1 && r.control.applied < SKIVE_BITS_LEVELS);
    assert_true(r.drop <= o.max_drop && fabs(r.drop - r.control.drop) < 1e-9 && r.used[1] > end);
    assert_non_null(strstr(skive_context_note(ctx, skive_context_note_count(ctx) - 1), "ends before the budget"));
    assert_true(fabs(accuracy(ctx, b.g, b.validation) - accuracy(ctx, g, b.validation) - r.drop) < 1e-9);
    /* The same part of the way as a budget of its own: the most is all in 8 bits. */
    const double most = 8.0 * 8 * (PIXELS * 10 + 10 * 8 + 8 * CLASSES);
    const double part = end + (most - end) * (1 - (double)r.control.applied / SKIVE_BITS_LEVELS);
    o.max_drop = -1;
    (void)snprintf(text, sizeof text, "%.9fk", part / 1e3);
    o.bit_operations = text;
    skive_bits_report_free(ctx, &one);
    skv_test_ok(ctx, skive_quantize_bits(ctx, b.g, b.train, b.validation, NULL, &o, NULL, &one));
    assert_true(one.harm == r.harm && one.used[1] == r.used[1] && one.drop == r.drop);
    skive_bits_report_free(ctx, &r);
    skive_bits_report_free(ctx, &one);
    skive_graph_free(g);
    finish(&b);
    skv_test_context_end(ctx);
}

/* A layer that is left out counts as float: in what is used, in the least and in the whole that a fraction is of. */
static void test_left_out(void **state) {
    skive_context *ctx = skv_test_context();
    bench b = start(ctx);
    skive_bits_report r;
    const char *const skip[] = {b.g->nodes[1]->name};
    const double left = 32.0 * 32 * PIXELS * 10, rest = 10 * 8 + 8 * CLASSES, whole = left + 32 * 32 * rest;
    (void)state;
    b.q.skip = skip;
    b.q.n_skip = 1;
    b.q.dry_run = true;
    b.o.quantize = &b.q;
    b.o.bit_operations = "0.999";
    skv_test_ok(ctx, skive_quantize_bits(ctx, b.g, b.train, b.validation, NULL, &b.o, NULL, &r));
    assert_true(r.n_layers == LAYERS - 1 && fabs(r.budget[1] - 0.999 * whole) < 1e-6 * whole);
    assert_true(r.least[1] == left + 2 * 8 * rest && r.used[1] >= r.least[1] && r.used[1] <= left + 8 * 8 * rest);
    skive_bits_report_free(ctx, &r);
    b.o.bit_operations = "0.5";
    skv_test_fails(ctx, skive_quantize_bits(ctx, b.g, b.train, b.validation, NULL, &b.o, NULL, &r), SKIVE_ERR_GOAL,
                   "the smallest is");
    skive_bits_report_free(ctx, &r);
    finish(&b);
    skv_test_context_end(ctx);
}

/* Times are measured again and again; no smallest is above what was used. */
static void test_latency(void **state) {
    skive_context *ctx = skv_test_context();
    bench b = start(ctx);
    skive_bits_report r;
    (void)state;
    b.q.dry_run = true;
    b.o.quantize = &b.q;
    b.o.latency = "100s";
    for (int i = 0; i < 3; i++) {
        skv_test_ok(ctx, skive_quantize_bits(ctx, b.g, b.train, b.validation, NULL, &b.o, NULL, &r));
        assert_true(r.used[2] > 0 && r.least[2] > 0 && r.least[2] <= r.used[2]);
        skive_bits_report_free(ctx, &r);
    }
    finish(&b);
    skv_test_context_end(ctx);
}

static void test_dry(void **state) {
    skive_context *ctx = skv_test_context();
    bench b = start(ctx);
    skive_bits_report r;
    (void)state;
    const int64_t size = size_of(ctx, b.g);
    b.q.dry_run = true;
    b.o.quantize = &b.q;
    b.o.bit_operations = "0.03";
    skv_test_ok(ctx, skive_quantize_bits(ctx, b.g, b.train, b.validation, NULL, &b.o, NULL, &r));
    assert_true(r.n_layers == LAYERS && r.used[1] <= r.budget[1] && r.samples == 0 && size_of(ctx, b.g) == size);
    skive_bits_report_free(ctx, &r);
    finish(&b);
    skv_test_context_end(ctx);
}

static void test_choices(void **state) {
    skive_context *ctx = skv_test_context();
    bench b = start(ctx);
    skive_quantize_choice choices[] = {{"w1", "int4"}, {"w2", "f32"}};
    skive_quantize_report r;
    (void)state;
    b.q.choices = choices;
    b.q.n_choices = 2;
    choices[1].parameter = "w4";
    skv_test_fails(ctx, skive_quantize(ctx, b.g, b.train, &b.q, NULL), SKIVE_ERR_NOT_FOUND, "'w4'");
    choices[1].parameter = "w2";
    skv_test_ok(ctx, skive_quantize(ctx, b.g, b.train, &b.q, &r));
    assert_int_equal(r.n_quantized, 2);
    for (size_t i = 0; i < r.n_rows; i++) {
        if (!r.rows[i].is_parameter) continue;
        assert_true(strcmp(r.rows[i].name, "w2") != 0);
        assert_string_equal(r.rows[i].grid, strcmp(r.rows[i].name, "w1") == 0 ? "int4" : "int8");
    }
    skive_quantize_report_free(ctx, &r);
    finish(&b);
    skv_test_context_end(ctx);
}

static skive_status stages(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skive_dataset *set = NULL;
    skive_bits_report r;
    skive_dataset_options d = skive_dataset_options_default();
    skive_bits_options o = skive_bits_options_default();
    skive_quantize_options q = skive_quantize_options_default();
    d.split = SKIVE_SPLIT_TEST;
    d.limit = 4;
    q.samples = 2;
    q.calibration = "minmax";
    o.quantize = &q;
    o.bit_operations = "0.05";
    skive_status status = skive_dataset_open(ctx, blobs, &d, &set);
    if (status == SKIVE_OK) status = skive_graph_copy(ctx, user, &g);
    if (status == SKIVE_OK) status = skive_quantize_bits(ctx, g, set, set, NULL, &o, NULL, &r);
    if (status == SKIVE_OK) skive_bits_report_free(ctx, &r);
    skive_graph_free(g);
    skive_dataset_free(set);
    return status;
}

static void every_allocation_may_fail(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx);
    (void)state;
    assert_true(skv_test_walk_allocations(stages, g, 307) > 10);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_brute_force), cmocka_unit_test(test_report),
        cmocka_unit_test(test_both),        cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_latency),     cmocka_unit_test(test_dry),
        cmocka_unit_test(test_choices),     cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
