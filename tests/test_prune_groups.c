/* Pruning of weights that go together, by hand: blocks, kernels, N of M; what does not fit is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <skive/prune.h>

#include "prune/prune.h"
#include "support.h"

#include <cmocka.h>

/* One layer whose weights are w[n]: a Gemm with the shape [out, in], or a Conv [out, in, 1, taps]. */
static skive_graph *layer(skive_context *ctx, bool conv, int64_t out, int64_t in, int64_t taps, const float *w) {
    skive_graph *g = NULL;
    skive_value *x = NULL, *y;
    const int64_t dims[4] = {out, in, 1, taps};
    skv_storage *s = NULL;
    skive_type type = {.dtype = SKIVE_F32, .rank = conv ? 4 : 2, .dims = {{1, NULL}, {in, NULL}, {1, NULL}, {8, NULL}}};
    skv_test_ok(ctx, skive_graph_create(ctx, "one layer", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_test_ok(ctx, skv_storage_create(ctx, SKIVE_F32, conv ? 4 : 2, dims, &s));
    memcpy(s->tensor.data, w, (size_t)(out * in * taps) * sizeof *w);
    skv_builder b = skv_build(g);
    skive_value *p = skv_emit_param(&b, "w", s);
    if (conv)
        y = skv_emit(&b, "Conv", SKV_IN(x, p), SKV_NONE);
    else
        y = skv_emit(&b, "Gemm", SKV_IN(x, p), SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

/* `kept`: a digit for each weight. */
static void expect(const char *granularity, double sparsity, bool conv, int64_t out, int64_t in, int64_t taps,
                   const float *w, const char *kept) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = layer(ctx, conv, out, in, taps, w);
    skive_prune_options o = skive_prune_options_default();
    skive_prune_report report;
    o.granularity = granularity;
    o.sparsity = sparsity;
    o.layer_floor = 0;
    skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &o, &report));
    const float *now = skv_value_tensor(skive_graph_find_value(g, "w"))->data;
    int64_t count = 0;
    for (size_t i = 0; i < strlen(kept); i++) {
        if ((now[i] != 0) != (kept[i] == '1')) fail_msg("%s: weight %zu is %g", granularity, i, (double)now[i]);
        count += kept[i] == '1';
    }
    assert_int_equal(report.kept, count);
    skive_prune_report_free(ctx, &report);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static const float square[16] = {1, 2, 9, 9, /**/ 1, 1, 1, 9, /**/ 5, 5, 3, 3, /**/ 5, 5, 3, 4};

static void blocks_by_hand(void **state) {
    (void)state;
    /* means of the blocks 2x2: 1.25, 7; 5, 3.25 */
    expect("block:2x2", 0.25, false, 4, 4, 1, square, "0011001111111111");
    expect("block:2x2", 0.5, false, 4, 4, 1, square, "0011001111001100");
    expect("block:2x2", 0.4, false, 4, 4, 1, square, "0011001111111111"); /* no part of a block */
    /* columns in halves: 1, 1.5, 5, 9; 5, 5, 3, 3.5 */
    expect("block:2x1", 0.5, false, 4, 4, 1, square, "0011001111001100");
    /* rows in halves: 1.5, 9; 1, 5; 5, 3; 5, 3.5 */
    expect("block:1x2", 0.25, false, 4, 4, 1, square, "0011001111111111");
    /* four outputs and one input: 3, 3.25, 4, 6.25 */
    expect("block:4x1", 0.25, false, 4, 4, 1, square, "0111011101110111");
    expect("block", 0.5, false, 4, 4, 1, square, "0011001100110011");
    /* Blocks that reach over the edge are smaller: of three outputs the last is alone. */
    expect("block:2x4", 0.34, false, 3, 4, 1, (const float[]){9, 9, 9, 9, 9, 9, 9, 9, 1, 1, 1, 1}, "111111110000");
}

static void kernels_by_hand(void **state) {
    (void)state;
    /* [2][2][1][2] taps: means 1, 4; 3, 2 */
    const float w[8] = {1, 1, 4, 4, 5, 1, 0.5f, 3.5f};
    expect("kernel", 0.25, true, 2, 2, 2, w, "00111111");
    expect("kernel", 0.5, true, 2, 2, 2, w, "00111100");
}

static void so_many_of_each(void **state) {
    (void)state;
    expect("nm:2:4", 0.9, false, 4, 4, 1, square, "0011100111001100");
    expect("nm:1:2", 0.9, false, 4, 4, 1, square, "0110100110101001");
    /* A run of two at the end of six: half of it. */
    expect("nm:2:4", 0.9, false, 1, 6, 1, (const float[]){4, 3, 2, 1, 1, 2}, "110001");
}

static void what_cannot_be_is_told(void **state) {
    static const struct {
        const char *granularity, *criterion, *schedule, *says;
        double threshold;
    } faults[] = {
        {"block:4y1", "magnitude", "one-shot", "shape is 4y1; it must be two whole numbers", 0},
        {"block:0x1", "magnitude", "one-shot", "shape is 0x1", 0},
        {"nm:3", "magnitude", "one-shot", "pattern is 3; it must be two", 0},
        {"nm:4:2", "magnitude", "one-shot", "of 2 weights 4 cannot stay", 0},
        {"nm:2:4", "magnitude", "cubic", "neither a gradual schedule", 0},
        {"kernel", "magnitude", "one-shot", "a threshold is for single weights", 0.5},
        {"element", "median", "one-shot", "scores whole channels", 0},
        {"kernel", "scale", "one-shot", "scores whole channels", 0},
    };
    (void)state;
    for (size_t i = 0; i < SKV_LENGTH(faults); i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = layer(ctx, false, 4, 4, 1, square);
        skive_prune_options o = skive_prune_options_default();
        o.granularity = faults[i].granularity;
        o.criterion = faults[i].criterion;
        o.schedule = faults[i].schedule;
        o.threshold = faults[i].threshold;
        if (o.threshold > 0) o.sparsity = 0;
        skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, faults[i].says);
        assert_memory_equal(skv_value_tensor(skive_graph_find_value(g, "w"))->data, square, sizeof square);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_by_hand),
        cmocka_unit_test(kernels_by_hand),
        cmocka_unit_test(so_many_of_each),
        cmocka_unit_test(what_cannot_be_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
