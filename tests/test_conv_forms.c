/* Convolutions and transposed convolutions in f32 give what the reference gives: of one to three axes, dense, in groups
 * and depthwise, with every window, at the level of SKIVE_ISA (CTest runs this program once per level). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "form_fixtures.h"

static skive_value *input(skive_context *ctx, skive_graph *g, int rank, const int64_t *dims) {
    const skive_type t = skive_type_make(SKIVE_F32, rank, dims);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_input(g, NULL, &t, &v));
    return v;
}

static skive_graph *graph_of(skive_context *ctx, dice *d, bool transposed) {
    const int rank = (int)roll(d, 3, 5), kind = (int)roll(d, 0, 5);
    const size_t spatial = (size_t)rank - 2;
    const int64_t groups = kind == 0 ? roll(d, 2, 40) : kind == 1 ? roll(d, 2, 4) : 1;
    const int64_t per_in = kind == 0 ? 1 : roll(d, 1, kind == 2 ? 70 : 12), per_out = kind == 0 ? 1 : roll(d, 1, 37);
    int64_t x[5] = {roll(d, 1, 2), groups * per_in}, w[5] = {groups * per_out, per_in}, strides[3], dilations[3],
            pads[6], more[3];
    if (transposed) w[0] = groups * per_in, w[1] = per_out;
    for (size_t a = 0; a < spatial; a++) {
        w[2 + a] = roll(d, 1, roll(d, 0, 4) ? 4 : rank == 3 ? 40 : rank == 4 ? 13 : 5);
        strides[a] = roll(d, 1, 3);
        dilations[a] = roll(d, 1, 2);
        more[a] = roll(d, 0, strides[a] - 1);
        const int64_t most = (w[2 + a] - 1) * dilations[a];
        pads[a] = roll(d, 0, most < 3 ? most : 3);
        pads[spatial + a] = roll(d, 0, most < 3 ? most : 3);
        x[2 + a] = transposed ? roll(d, 4, rank == 5 ? 5 : 9) : most + 1 + roll(d, 0, rank == 5 ? 3 : 9);
    }
    const int64_t m = groups * per_out;
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_builder b = skv_build(g);
    skive_value *in = input(ctx, g, rank, x);
    skive_value *weight = roll(d, 0, 4) ? parameter(ctx, g, rank, w) : input(ctx, g, rank, w);
    skive_value *bias = roll(d, 0, 2) ? parameter(ctx, g, 1, &m) : NULL;
    skive_value *y =
        transposed
            ? skv_emit(&b, "ConvTranspose", SKV_IN(in, weight, bias),
                       SKV_ATTRS(SKV_INT("group", groups), SKV_INTS("strides", strides, spatial),
                                 SKV_INTS("dilations", dilations, spatial), SKV_INTS("pads", pads, 2 * spatial),
                                 SKV_INTS("output_padding", more, spatial)))
            : skv_emit(&b, "Conv", SKV_IN(in, weight, bias),
                       SKV_ATTRS(SKV_INT("group", groups), SKV_INTS("strides", strides, spatial),
                                 SKV_INTS("dilations", dilations, spatial), SKV_INTS("pads", pads, 2 * spatial)));
    if (roll(d, 0, 1)) y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static skive_graph *convolution(skive_context *ctx, dice *d) { return graph_of(ctx, d, false); }
static skive_graph *transposed(skive_context *ctx, dice *d) { return graph_of(ctx, d, true); }

static void convolutions(void **unused) {
    (void)unused;
    check_forms(convolution, 120, 1e-4, 1e-4);
}

static void transposed_convolutions(void **unused) {
    (void)unused;
    check_forms(transposed, 120, 1e-4, 1e-4);
}

/* The gradient by the input sums over the output channels, which may be far more than elements of a window or
 * positions. A transposed convolution whose weights come with the run is that gradient. */
typedef struct many {
    int rank;
    int64_t x[4], w[4], stride;
} many;

static skive_graph *many_of(skive_context *ctx, int64_t which, bool gradient) {
    static const many list[] = {
        {4, {2, 64, 1, 1}, {64, 16, 1, 1}, 1},    {4, {2, 512, 2, 2}, {512, 16, 2, 2}, 2},
        {4, {2, 256, 1, 1}, {256, 8, 4, 4}, 1},   {3, {3, 32, 4}, {32, 8, 1}, 1},
        {4, {2, 1024, 1, 1}, {1024, 3, 1, 1}, 1},
    };
    const many *m = &list[which % (int64_t)(sizeof list / sizeof *list)];
    const int64_t strides[2] = {m->stride, m->stride};
    const skv_attr_init stride = SKV_INTS("strides", strides, (size_t)m->rank - 2);
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_builder b = skv_build(g);
    skive_value *x = input(ctx, g, m->rank, m->x), *w = input(ctx, g, m->rank, m->w), *y;
    if (gradient) {
        int64_t back[4] = {m->x[0], m->w[1]};
        for (int a = 2; a < m->rank; a++) back[a] = (m->x[a] - 1) * m->stride + m->w[a];
        y = skv_emit(&b, "ConvGradInput", SKV_IN(x, w, input(ctx, g, m->rank, back)), SKV_ATTRS(stride));
    } else {
        y = skv_emit(&b, "ConvTranspose", SKV_IN(x, w), SKV_ATTRS(stride));
    }
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static skive_graph *many_transposed(skive_context *ctx, dice *d) { return many_of(ctx, (int64_t)d->seed / 2, false); }
static skive_graph *many_gradient(skive_context *ctx, dice *d) { return many_of(ctx, (int64_t)d->seed / 2, true); }

static void many_channels_few_positions(void **unused) {
    (void)unused;
    check_forms(many_transposed, 50, 1e-4, 1e-4);
    check_forms(many_gradient, 50, 1e-4, 1e-4);
}

static void any_allocation_may_fail(void **unused) {
    (void)unused;
    check_allocations(convolution, 4);
    check_allocations(transposed, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions),
        cmocka_unit_test(transposed_convolutions),
        cmocka_unit_test(many_channels_few_positions),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
