/* ConvInteger gives the bits of the reference: of every form, with zero points known only at run time, at the level of
 * SKIVE_ISA (CTest runs this program once per level). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "form_fixtures.h"

typedef struct form {
    int rank;
    int64_t x[5], w[5], strides[3], dilations[3], pads[6], groups;
    bool x_signed, w_signed, extremes;
    int64_t w_zeros; /* 0: none, 1, or the number of filters */
} form;

/* Channels of all kinds: few, many, odd; dense, in groups, depthwise. */
static form random_form(dice *d) {
    form f = {.rank = (int)roll(d, 3, 5)};
    const int64_t kind = roll(d, 0, 4);
    f.groups = kind == 0 ? roll(d, 2, 70) : kind == 1 ? roll(d, 2, 4) : 1;
    const int64_t per_in = kind == 0 ? 1 : roll(d, 1, kind == 4 ? 40 : 9), per_out = kind == 0 ? 1 : roll(d, 1, 37);
    f.x[0] = roll(d, 1, 2);
    f.x[1] = f.groups * per_in;
    f.w[0] = f.groups * per_out;
    f.w[1] = per_in;
    for (int a = 0; a < f.rank - 2; a++) {
        f.w[2 + a] = roll(d, 1, f.rank == 3 ? 9 : 3);
        f.strides[a] = roll(d, 1, 3);
        f.dilations[a] = roll(d, 1, 2);
        f.pads[a] = roll(d, 0, 2);
        f.pads[f.rank - 2 + a] = roll(d, 0, 2);
        f.x[2 + a] = (f.w[2 + a] - 1) * f.dilations[a] + 1 + roll(d, 0, f.rank == 5 ? 3 : 9);
    }
    f.x_signed = roll(d, 0, 2) == 0;
    f.w_signed = roll(d, 0, 1) == 0;
    f.extremes = roll(d, 0, 3) == 0;
    const int64_t zeros = roll(d, 0, 2);
    f.w_zeros = zeros == 2 ? f.w[0] : zeros;
    return f;
}

static skive_tensor integers(skive_context *ctx, dice *d, const form *f, bool is_signed, int rank,
                             const int64_t *dims) {
    const double low = is_signed ? -128 : 0, high = is_signed ? 127 : 255;
    skive_tensor t =
        skv_test_random(ctx, is_signed ? SKIVE_I8 : SKIVE_U8, rank, dims, (uint64_t)roll(d, 1, 1 << 30), low, high + 1);
    for (int64_t i = 0; f->extremes && i < skive_tensor_count(&t); i++)
        skive_tensor_set(&t, i, roll(d, 0, 3) ? high : low);
    return t;
}

static skive_value *constant(skive_context *ctx, skive_graph *g, skive_tensor t) {
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &t, &v));
    skive_tensor_free(ctx, &t);
    return v;
}

static skive_graph *graph_of_form(skive_context *ctx, dice *d, const form *f) {
    const size_t spatial = (size_t)f->rank - 2;
    skive_graph *g = NULL;
    skive_value *x = NULL, *x_zero = NULL, *w_zero = NULL;
    const skive_dtype dtype = f->x_signed ? SKIVE_I8 : SKIVE_U8;
    const skive_type x_type = skive_type_make(dtype, f->rank, f->x), zero_type = skive_type_make(dtype, 0, NULL);
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &x_type, &x));
    skv_test_ok(ctx, skive_graph_add_input(g, "zero", &zero_type, &x_zero));
    skive_value *w = constant(ctx, g, integers(ctx, d, f, f->w_signed, f->rank, f->w));
    if (f->w_zeros) w_zero = constant(ctx, g, integers(ctx, d, f, f->w_signed, f->w_zeros > 1 ? 1 : 0, &f->w_zeros));
    skv_builder b = skv_build(g);
    skive_value *y =
        skv_emit(&b, "ConvInteger", SKV_IN(x, w, x_zero, w_zero),
                 SKV_ATTRS(SKV_INT("group", f->groups), SKV_INTS("strides", f->strides, spatial),
                           SKV_INTS("dilations", f->dilations, spatial), SKV_INTS("pads", f->pads, 2 * spatial)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static bool plans(skive_context *ctx, const skive_graph *g, const char *kernel) {
    skive_plan *plan = NULL;
    bool found = false;
    skv_test_ok(ctx, skive_plan_create(ctx, g, NULL, &plan));
    for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
        skive_plan_step step;
        skive_plan_step_get(plan, i, &step);
        found = found || strcmp(step.kernel, kernel) == 0;
    }
    skive_plan_free(plan);
    return found;
}

/* `kernel`: must be chosen; NULL: whichever. */
static void check_form(dice *d, const form *f, uint64_t seed, const char *kernel) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = graph_of_form(ctx, d, f);
    skive_tensor in[2] = {integers(ctx, d, f, f->x_signed, f->rank, f->x), integers(ctx, d, f, f->x_signed, 0, NULL)};
    skive_tensor fast, slow;
    if (kernel && !plans(ctx, g, kernel)) fail_msg("seed %d: %s was not chosen", (int)seed, kernel);
    run_graph(ctx, g, false, 1 + (int)(seed % 2), in, &fast);
    run_graph(ctx, g, true, 1, in, &slow);
    for (int64_t i = 0; i < skive_tensor_count(&slow); i++)
        if (((int32_t *)fast.data)[i] != ((int32_t *)slow.data)[i])
            fail_msg("seed %d: element %lld is %d, the reference gives %d", (int)seed, (long long)i,
                     ((int32_t *)fast.data)[i], ((int32_t *)slow.data)[i]);
    skive_tensor_free(ctx, &fast);
    skive_tensor_free(ctx, &slow);
    skive_tensor_free(ctx, &in[0]);
    skive_tensor_free(ctx, &in[1]);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void as_the_reference(void **unused) {
    (void)unused;
    for (uint64_t seed = 0; seed < skv_test_rounds(150); seed++) {
        dice d = {.seed = seed};
        const form f = random_form(&d);
        check_form(&d, &f, seed, NULL);
    }
}

/* A single channel goes over planes in float32 at every level; windows and groups whose sums come near 2^24, where
 * float32 is still exact, and beyond, where it is not and another kernel must be taken. */
static void near_the_end_of_float32(void **unused) {
    static const int64_t windows[] = {3, 4, 15, 16, 17, 23};
    (void)unused;
    for (uint64_t i = 0; i < 2 * (sizeof windows / sizeof *windows); i++) {
        dice d = {.seed = i};
        const int64_t k = windows[i / 2], groups = i % 2 ? 3 : 1;
        const form f = {.rank = 4,
                        .x = {1, 2 * groups - (groups == 1), k + 9, k + 5},
                        .w = {5 * groups, groups == 1 ? 1 : 2, k, k},
                        .strides = {1, 1},
                        .dilations = {1, 1},
                        .pads = {1, 0, 2, k / 2},
                        .groups = groups,
                        .extremes = true,
                        .w_zeros = 1};
        check_form(&d, &f, i, k <= 4 ? "conv_integer_planes" : NULL);
    }
}

static skive_graph *any_graph(skive_context *ctx, dice *d) {
    const form f = random_form(d);
    return graph_of_form(ctx, d, &f);
}

static void any_allocation_may_fail(void **unused) {
    (void)unused;
    check_allocations(any_graph, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_reference),
        cmocka_unit_test(near_the_end_of_float32),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
