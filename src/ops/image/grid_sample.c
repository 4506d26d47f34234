/* GridSample: the input read at the positions of a grid, in coordinates from -1 to 1 (the last one of a position is the
 * innermost axis); linear, cubic or nearest interpolation, with zeros, border values or reflection outside (Jaderberg
 * et al., 2015). */
#include <string.h>

#include "ops/common_shape.h"
#include "ops/image/common_grid_sample.h"

/* Opset 16 used the names bilinear and bicubic; files of newer opsets with these names are accepted too. */
static skive_status import(skive_graph *g, skive_node *n, int from) {
    const char *mode = skv_attr_string(n, "mode", "linear");
    (void)g;
    (void)from;
    if (strcmp(mode, "bilinear") == 0) return skv_node_set_attr(n, &SKV_STR("mode", "linear"));
    if (strcmp(mode, "bicubic") == 0) return skv_node_set_attr(n, &SKV_STR("mode", "cubic"));
    return SKIVE_OK;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0), *grid = skv_infer_in(c, 1);
    if (skv_grid_mode_of(c->node) == SKV_GRID_MODES || skv_grid_padding_of(c->node) == SKV_GRID_PADDINGS)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': mode '%s' with padding '%s' is not supported",
                              c->node->name, skv_attr_string(c->node, "mode", ""),
                              skv_attr_string(c->node, "padding_mode", ""));
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_float(c, 1));
    SKV_TRY(skv_want_rank(c, 0, 3, 2 + SKV_GRID_SPATIAL));
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

/* The weighted sum over all combinations of taps. */
static double sample(const double *plane, const int64_t *sizes, const skv_grid_taps *t, int spatial) {
    double sum = 0;
    int k[SKV_GRID_SPATIAL] = {0};
    do {
        const skv_grid_corner c = skv_grid_corner_at(k, sizes, t, spatial);
        if (c.at >= 0 && c.weight != 0) sum += c.weight * plane[c.at];
    } while (skv_grid_next(k, t, spatial));
    return sum;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *in = c->in[0];
    const int spatial = in->rank - 2;
    const skv_grid_mode how = skv_grid_mode_of(c->node);
    const skv_grid_padding pad = skv_grid_padding_of(c->node);
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
            skv_grid_taps t[SKV_GRID_SPATIAL] = {{.n = 0}};
            const double *g = grid.p + (b * positions + p) * spatial;
            for (int d = 0; d < spatial; d++)
                t[d] = skv_grid_taps_of(g[spatial - 1 - d], in->dims[2 + d], how, pad, corners);
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

static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    skv_attr_init buffer[SKV_ATTRS_COPY];
    skive_value *out[2] = {NULL, NULL};
    (void)skv_emit_n(c->b, "GridSampleGrad", SKV_IN(c->dout[0], n->inputs[0], n->inputs[1]), skv_attrs_copy(n, buffer),
                     out, c->need[1] ? 2 : 1);
    if (c->need[0]) c->din[0] = out[0];
    c->din[1] = out[1];
    return c->b->status;
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
     CASE_OUT(1, 1, 1, 3),
     .no_grad = true}, /* a corner is a kink */
    {.name = "channels", CASE_IN({CASE_F32(2, 3, 2, 2)}, {CASE_F32(2, 1, 3, 2)}), .n_out = 1, CASE_OUT(2, 3, 1, 3)},
    {.name = "nearest at the border",
     CASE_ATTRS(CASE_STR("mode", "nearest"), CASE_STR("padding_mode", "border")),
     CASE_IN({CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 2, 3, 4)}, {CASE_F32(1, 1, 2, 2), CASE_VALUES(9, 9, -9, 0.9)}),
     .n_out = 1,
     CASE_EXPECT(4, 3),
     .no_grad = true},
    {.name = "linear, reflected",
     CASE_ATTRS(CASE_STR("padding_mode", "reflection")),
     CASE_IN({CASE_F32(1, 2, 3, 4)}, {CASE_F32(1, 2, 2, 2), CASE_VALUES(-1.2, 0.3, 0.7, 1.4, 0.15, -0.4, 1.9, -1.6)}),
     .n_out = 1,
     CASE_OUT(1, 2, 2, 2)},
    {.name = "linear at the border, corners aligned",
     CASE_ATTRS(CASE_STR("padding_mode", "border"), CASE_INT("align_corners", 1)),
     CASE_IN({CASE_F32(1, 2, 3, 4)}, {CASE_F32(1, 2, 2, 2), CASE_VALUES(-1.2, 0.3, 0.7, 1.4, 0.15, -0.4, 1.9, -1.6)}),
     .n_out = 1,
     CASE_OUT(1, 2, 2, 2)},
    {.name = "cubic",
     CASE_ATTRS(CASE_STR("mode", "cubic")),
     CASE_IN({CASE_F32(1, 2, 3, 4)}, {CASE_F32(1, 2, 2, 2), CASE_VALUES(-0.3, 0.2, 0.7, 0.45, 0.15, -0.4, 0.9, -0.85)}),
     .n_out = 1,
     CASE_OUT(1, 2, 2, 2)},
    {.name = "cubic, reflected, corners aligned",
     CASE_ATTRS(CASE_STR("mode", "cubic"), CASE_STR("padding_mode", "reflection"), CASE_INT("align_corners", 1)),
     CASE_IN({CASE_F32(2, 1, 3, 3)}, {CASE_F32(2, 1, 2, 2), CASE_VALUES(-1.3, 0.2, 0.7, 1.45, 0.15, -0.4, 0.9, -0.85)}),
     .n_out = 1,
     CASE_OUT(2, 1, 1, 2)},
    {.name = "volumes",
     CASE_IN({CASE_F32(1, 1, 2, 3, 2)}, {CASE_F32(1, 1, 1, 2, 3), CASE_VALUES(-0.3, 0.2, 0.7, 0.45, 0.15, -0.4)}),
     .n_out = 1,
     CASE_OUT(1, 1, 1, 1, 2)},
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
    .attrs = skv_grid_sample_attrs,
    .n_attrs = 3,
    .import = import,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
