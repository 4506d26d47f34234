/* A packed file holds the weights of every number grid at its true bits: at most 2 % over bits times weights, besides
 * float32 scales, zero points and levels. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skive/pack.h>

#include "quant/gridded.h"
#include "support.h"

#include <cmocka.h>

enum { HEAD = 100 /* bytes of a record's head and of a coder's model */, OUT = 48, IN = 320, CHANNELS = 24, FROM = 20 };
static float matrix[OUT * IN], kernel[CHANNELS * FROM * 9];

static skive_value *param(skv_builder *b, const char *name, int rank, const int64_t *dims, float *x) {
    skive_tensor t = {.dtype = SKIVE_F32, .rank = rank, .data = x};
    skive_value *v = NULL;
    memcpy(t.dims, dims, (size_t)rank * sizeof *dims);
    for (int64_t i = 0; i < skive_tensor_count(&t); i++) x[i] = (float)skv_rng_normal(5, (uint64_t)rank, (uint64_t)i);
    skv_test_ok(b->graph->ctx, skive_graph_add_parameter(b->graph, name, &t, &v));
    return v;
}

static skive_graph *network(skive_context *ctx) {
    static const int64_t k[4] = {CHANNELS, FROM, 3, 3}, m[2] = {OUT, IN};
    const skive_type images = {.dtype = SKIVE_F32, .rank = 4, .dims = {{1, NULL}, {FROM, NULL}, {3, NULL}, {3, NULL}}};
    const skive_type rows = {.dtype = SKIVE_F32, .rank = 2, .dims = {{1, NULL}, {IN, NULL}}};
    skive_graph *g = NULL;
    skive_value *x = NULL, *y = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "two", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &images, &x));
    skv_test_ok(ctx, skive_graph_add_input(g, "y", &rows, &y));
    skv_builder b = skv_build(g);
    x = skv_emit(&b, "Conv", SKV_IN(x, param(&b, "kernel", 4, k, kernel)), SKV_NONE);
    y = skv_emit(&b, "Gemm", SKV_IN(y, param(&b, "matrix", 2, m, matrix)), SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, x));
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

/* Returns whether .skv has a form for the grid that holds these numbers, half of which are negative. */
static bool check_grid(skive_context *ctx, const skive_graph *g, const char *grid) {
    skive_pack_options o = skive_pack_options_default();
    skive_pack_report r;
    void *bytes = NULL;
    size_t size = 0;
    skv_quantizer q;
    o.weights = grid;
    skv_test_ok(ctx, skv_quantizer_parse(ctx, grid, &q));
    const skive_status status = skive_pack_serialize(ctx, g, &o, &bytes, &size, &r);
    if (status != SKIVE_OK) {
        const char *why = skive_context_message(ctx);
        assert_true(strstr(why, "storage form") || strstr(why, "has negative numbers"));
        return false;
    }
    for (size_t i = 0; i < r.n_rows; i++) {
        const skive_value *v = skive_graph_find_value(g, r.rows[i].parameter);
        const skv_weight_view view = {.out_axis = 0, .in_axis = 1, .in = v->type.dims[1].size};
        skv_gridded c;
        skv_gridded_lay_out(&c, &q, &view, skv_value_tensor(v));
        /* A group that does not divide the row of a convolution: one scale for each output channel. */
        const double weights = (double)r.rows[i].count * q.grid->bits / 8, all = (double)skv_gridded_bytes(&c);
        if ((double)r.rows[i].bytes > 1.02 * weights + (all - weights) + HEAD)
            fail_msg("%s: '%s' takes %zu bytes, form %s; the grid's bits take %.0f", grid, r.rows[i].parameter,
                     r.rows[i].bytes, r.rows[i].form, all);
    }
    skive_pack_report_free(ctx, &r);
    skive_pack_free_bytes(ctx, bytes);
    return true;
}

static void every_grid(void **state) {
    static const char *const more[] = {"int8:32", "int4:32", "int4:16", "int2:32", "int8:tensor", "codebook:4"};
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx);
    size_t n = 0;
    (void)state;
    for (size_t i = 0; i < skv_grid_count(); i++) n += check_grid(ctx, g, skv_grid_name(i));
    assert_true(n >= 20);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) assert_true(check_grid(ctx, g, more[i]));
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_grid)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
