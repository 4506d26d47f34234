/* Pooling of windows and whole planes in f32 gives what the reference gives: of one to three axes, in every layout, at
 * the level of SKIVE_ISA (CTest runs this program once per level). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "form_fixtures.h"

/* A pool, behind a convolution of 1x1 (which gives it a layout) or of the input itself. */
static skive_graph *graph_of(skive_context *ctx, dice *d) {
    static const char *const ops[] = {"MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"};
    const int rank = (int)roll(d, 3, 5), op = (int)roll(d, 0, 5) % 4;
    const bool conv = rank < 5 && roll(d, 0, 1);
    const size_t spatial = (size_t)rank - 2;
    int64_t x[5] = {roll(d, 1, 2), roll(d, 0, 2) ? roll(d, 1, 40) : 16}, kernel[3], strides[3], dilations[3], pads[6];
    for (size_t a = 0; a < spatial; a++) {
        kernel[a] = roll(d, 1, roll(d, 0, 4) ? 4 : rank == 5 ? 5 : 12);
        strides[a] = roll(d, 1, 3);
        dilations[a] = op == 0 ? roll(d, 1, 2) : 1;
        pads[a] = roll(d, 0, kernel[a] - 1);
        pads[spatial + a] = roll(d, 0, kernel[a] - 1);
        x[2 + a] = (kernel[a] - 1) * dilations[a] + 1 + roll(d, 0, rank == 5 ? 4 : 30);
    }
    const int64_t w[4] = {x[1], x[1], 1, 1};
    const skive_type type = skive_type_make(SKIVE_F32, rank, x);
    skive_graph *g = NULL;
    skive_value *y = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &y));
    skv_builder b = skv_build(g);
    if (conv) y = skv_emit(&b, "Conv", SKV_IN(y, parameter(ctx, g, rank, w)), SKV_NONE);
    if (op == 0)
        y = skv_emit(&b, ops[0], SKV_IN(y),
                     SKV_ATTRS(SKV_INTS("kernel_shape", kernel, spatial), SKV_INTS("strides", strides, spatial),
                               SKV_INTS("dilations", dilations, spatial), SKV_INTS("pads", pads, 2 * spatial),
                               SKV_INT("ceil_mode", roll(d, 0, 1))));
    else if (op == 1)
        y = skv_emit(&b, ops[1], SKV_IN(y),
                     SKV_ATTRS(SKV_INTS("kernel_shape", kernel, spatial), SKV_INTS("strides", strides, spatial),
                               SKV_INTS("pads", pads, 2 * spatial), SKV_INT("ceil_mode", roll(d, 0, 1)),
                               SKV_INT("count_include_pad", roll(d, 0, 1))));
    else
        y = skv_emit(&b, ops[op], SKV_IN(y), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static void as_the_reference(void **unused) {
    (void)unused;
    check_forms(graph_of, 200, 1e-5, 1e-5);
}

static void any_allocation_may_fail(void **unused) {
    (void)unused;
    check_allocations(graph_of, 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_reference),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
