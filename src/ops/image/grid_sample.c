/* GridSample: the input read at the positions of a grid, in coordinates from -1 to 1 (the last one of a position is the
 * innermost axis); linear, cubic or nearest interpolation, with zeros, border values or reflection outside (Jaderberg
 * et al., 2015). */
#include <string.h>

#include "ops/common_nn.h"
#include "ops/common_shape.h"

enum { SPATIAL = 3, TAPS = 4 };

static const skv_attr_spec attrs[] = {{"align_corners", SKV_ATTR_INT, SKV_OPTIONAL},
                                      {"mode", SKV_ATTR_STRING, SKV_OPTIONAL},
                                      {"padding_mode", SKV_ATTR_STRING, SKV_OPTIONAL}};

/* Opset 16 used the names bilinear and bicubic; files of newer opsets with these names are accepted too. */
static skive_status import(skive_graph *g, skive_node *n, int from) {
    const char *mode = skv_attr_string(n, "mode", "linear");
    (void)g;
    (void)from;
    if (strcmp(mode, "bilinear") == 0) return skv_node_set_attr(n, &SKV_STR("mode", "linear"));
    if (strcmp(mode, "bicubic") == 0) return skv_node_set_attr(n, &SKV_STR("mode", "cubic"));
    return SKIVE_OK;
}

typedef enum mode { LINEAR, NEAREST, CUBIC, MODES } mode;
typedef enum padding { ZEROS, BORDER, REFLECTION, PADDINGS } padding;

static mode mode_of(const skive_node *n) {
    static const char *const names[] = {"linear", "nearest", "cubic"};
    int i = 0;
    while (i < MODES && strcmp(names[i], skv_attr_string(n, "mode", "linear")) != 0) i++;
    return (mode)i;
}

static padding padding_of(const skive_node *n) {
    static const char *const names[] = {"zeros", "border", "reflection"};
    int i = 0;
    while (i < PADDINGS && strcmp(names[i], skv_attr_string(n, "padding_mode", "zeros")) != 0) i++;
    return (padding)i;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0), *grid = skv_infer_in(c, 1);
    if (mode_of(c->node) == MODES || padding_of(c->node) == PADDINGS)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': mode '%s' with padding '%s' is not supported",
                              c->node->name, skv_attr_string(c->node, "mode", ""),
                              skv_attr_string(c->node, "padding_mode", ""));
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_float(c, 1));
    SKV_TRY(skv_want_rank(c, 0, 3, 2 + SPATIAL));
    c->out[0].dtype = x->dtype;
    if (x->rank < 0) return SKIVE_OK;
    c->out[0] = *x;
    SKV_TRY(skv_want_rank(c, 1, x->rank, x->rank));
    if (grid->rank >= 0 && grid->dims[grid->rank - 1].size >= 0 && grid->dims[grid->rank - 1].size != x->rank - 2)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': positions of %lld coordinates do not match %d dimensions",
                              c->node->name, (long long)grid->dims[grid->rank - 1].size, x->rank - 2);
    if (grid->rank >= 0 && grid->dims[0].size >= 0 && x->dims[0].size >= 0 && grid->dims[0].size != x->dims[0].size)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %lld grids do not match %lld samples", c->node->name,
                              (long long)grid->dims[0].size, (long long)x->dims[0].size);
    for (int d = 2; d < x->rank; d++) c->out[0].dims[d] = grid->rank < 0 ? skv_dim_unknown() : grid->dims[d - 1];
    return skv_infer_limit(c, &c->out[0]);
}

/* x between the bounds, mirrored at them as often as needed. */
static double reflect(double x, double low, double high) {
    const double span = high - low;
    if (span <= 0) return low;
    double over = fmod(fabs(x - low), 2 * span);
    if (over > span) over = 2 * span - over;
    return low + over;
}

/* The entries and weights for one coordinate; entry -1 is outside. */
typedef struct taps {
    int64_t entry[TAPS];
    double weight[TAPS];
    int n;
} taps;

static int64_t entry_of(double at, int64_t size, padding pad, bool corners) {
    if (pad == REFLECTION) at = corners ? reflect(at, 0, (double)size - 1) : reflect(at, -0.5, (double)size - 0.5);
    if (pad != ZEROS) at = fmin(fmax(at, 0), (double)size - 1);
    return at >= 0 && at <= (double)size - 1 ? (int64_t)at : -1;
}

static taps taps_of(double g, int64_t size, mode how, padding pad, bool corners) {
    const double a = -0.75;
    double x = corners ? (g + 1) / 2 * ((double)size - 1) : ((g + 1) * (double)size - 1) / 2;
    taps t = {.n = 1, .weight = {1}};
    if (!isfinite(x)) x = -1e6; /* outside, or the first entry */
    if (how != CUBIC) {
        if (pad == BORDER) x = fmin(fmax(x, 0), (double)size - 1);
        if (pad == REFLECTION) x = corners ? reflect(x, 0, (double)size - 1) : reflect(x, -0.5, (double)size - 0.5);
    }
    if (how == NEAREST) {
        t.entry[0] = entry_of(nearbyint(x), size, pad, corners);
        return t;
    }
    const double first = floor(x), f = x - first;
    if (how == LINEAR) {
        t = (taps){.n = 2, .weight = {1 - f, f}};
        for (int k = 0; k < 2; k++) t.entry[k] = entry_of(first + k, size, pad, corners);
        return t;
    }
    t.n = 4;
    for (int k = 0; k < 4; k++) {
        const double d = fabs(f - (k - 1));
        t.weight[k] = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
        t.entry[k] = entry_of(first + k - 1, size, pad, corners);
    }
    return t;
}

/* The weighted sum over all combinations of taps. */
static double sample(const double *plane, const int64_t *sizes, const taps *t, int spatial) {
    double sum = 0;
    int k[SPATIAL] = {0};
    for (;;) {
        double weight = 1;
        int64_t at = 0;
        for (int d = 0; d < spatial; d++) {
            const int64_t entry = t[d].entry[k[d]];
            weight *= entry < 0 ? 0 : t[d].weight[k[d]];
            at = at * sizes[d] + (entry < 0 ? 0 : entry);
        }
        if (weight != 0) sum += weight * plane[at];
        int d = spatial - 1;
        while (d >= 0 && ++k[d] == t[d].n) k[d--] = 0;
        if (d < 0) return sum;
    }
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *in = c->in[0];
    const int spatial = in->rank - 2;
    const mode how = mode_of(c->node);
    const padding pad = padding_of(c->node);
    const bool corners = skv_attr_int(c->node, "align_corners", 0) != 0;
    skv_doubles x = {0}, grid = {0};
    skv_result y = {0};
    skive_status status;
    int64_t plane = 1, positions = 1;
    SKV_GO(status, out, skv_doubles_read(c->ctx, in, &x));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[1], &grid));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    for (int d = 0; d < spatial; d++) {
        plane *= in->dims[2 + d];
        positions *= c->out[0]->dims[2 + d];
    }
    if (plane == 0) {
        status = skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "node '%s': the input is empty", c->node->name);
        goto out;
    }
    for (int64_t b = 0; b < in->dims[0]; b++) {
        for (int64_t p = 0; p < positions; p++) {
            taps t[SPATIAL] = {{.n = 0}};
            const double *g = grid.p + (b * positions + p) * spatial;
            for (int d = 0; d < spatial; d++) t[d] = taps_of(g[spatial - 1 - d], in->dims[2 + d], how, pad, corners);
            for (int64_t ch = 0; ch < in->dims[1]; ch++) {
                const int64_t at = b * in->dims[1] + ch;
                y.p[at * positions + p] = sample(x.p + at * plane, in->dims + 2, t, spatial);
            }
        }
    }
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &x);
    skv_doubles_free(c->ctx, &grid);
    skv_result_free(c->ctx, &y);
    return status;
}

static void couple(skv_couple *c) {
    for (int d = 0; d < 2; d++) skv_couple_same(c, SKV_CIN(0, d), SKV_COUT(0, d));
    skv_couple_same(c, SKV_CIN(0, 0), SKV_CIN(1, 0));
}

static const skv_op_case cases[] = {
    {.name = "centre, corner, outside",
     CASE_ATTRS(CASE_INT("align_corners", 1)),
     CASE_IN({CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 2, 3, 4)}, {CASE_F32(1, 1, 3, 2), CASE_VALUES(0, 0, 1, -1, 3, 0)}),
     .n_out = 1,
     CASE_EXPECT(2.5, 2, 0),
     CASE_OUT(1, 1, 1, 3)},
    {.name = "channels", CASE_IN({CASE_F32(2, 3, 2, 2)}, {CASE_F32(2, 1, 3, 2)}), .n_out = 1, CASE_OUT(2, 3, 1, 3)},
    {.name = "nearest at the border",
     CASE_ATTRS(CASE_STR("mode", "nearest"), CASE_STR("padding_mode", "border")),
     CASE_IN({CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 2, 3, 4)}, {CASE_F32(1, 1, 2, 2), CASE_VALUES(9, 9, -9, 0.9)}),
     .n_out = 1,
     CASE_EXPECT(4, 3)},
};

const skv_op skv_op_grid_sample = {
    .name = "GridSample",
    .domain = "",
    .brief = "the input read at the positions of a grid",
    .since = 20,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .import = import,
    .infer = infer,
    .run = run,
    .couple = couple,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
