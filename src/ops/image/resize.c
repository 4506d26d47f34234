/* Resize: a tensor resampled to other sizes, each axis separately: the nearest element, or linear or cubic
 * interpolation (Keys, 1981), optionally with wider weights against aliasing. */
#include "ops/image/common_resize.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {SKV_RESIZE_ATTRS};
static const skv_resize_operands operands = {1, 2, 3};

static skive_status infer(skv_infer *c) { return skv_resize_infer(c, operands, c->in[0], &c->out[0]); }

static skive_status run(const skv_eval *c) { return skv_resize_run(c, operands); }

static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    skv_attr_init buffer[SKV_ATTRS_COPY];
    if (c->need[0])
        c->din[0] = skv_emit(c->b, "ResizeGrad",
                             SKV_IN(c->dout[0], n->inputs[0], skv_node_in(n, 1), skv_node_in(n, 2), skv_node_in(n, 3)),
                             skv_attrs_copy(n, buffer));
    return c->b->status;
}

/* An axis that is resampled keeps its elements; one that keeps its size may lose some. */
static void couple(skv_couple *c) {
    const skive_node *n = skv_couple_node(c);
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0)), *y = skv_couple_type(c, SKV_COUT(0, 0));
    const skive_tensor *scales = skv_node_constant(n, 2);
    const bool cropped = strcmp(skv_attr_string(n, "coordinate_transformation_mode", ""), "tf_crop_and_resize") == 0;
    const bool stretched = strcmp(skv_attr_string(n, "keep_aspect_ratio_policy", "stretch"), "stretch") == 0;
    size_t named = 0;
    const int64_t *axes = skv_attr_ints(n, "axes", &named);
    if (!x || !y || x->rank < 0 || y->rank != x->rank || cropped || !stretched) {
        skv_couple_fix_all(c, "Resize crops, or takes one scale for several axes");
        return;
    }
    for (int d = 0; d < x->rank; d++) {
        int at = axes ? -1 : d; /* of this axis in the lists */
        for (size_t i = 0; axes && i < named; i++)
            if (skv_axis(axes[i], x->rank) == d) at = (int)i;
        const bool by_scale = at >= 0 && !skv_node_in(n, 3), whole = scales && at >= 0 && at < scales->dims[0];
        if (x->dims[d].size == y->dims[d].size && (!by_scale || (whole && skive_tensor_get(scales, at) == 1)) &&
            (at < 0 || by_scale || skv_node_constant(n, 3)))
            skv_couple_same(c, SKV_CIN(0, d), SKV_COUT(0, d));
    }
}

static skive_status shrink(const skv_shrink *s) {
    const skive_type *x = skv_shrink_type(s, SKV_CIN(0, 0));
    int64_t list[SKIVE_MAX_RANK];
    size_t named = 0;
    const int64_t *axes = skv_attr_ints(skv_shrink_node(s), "axes", &named);
    for (size_t i = 0; axes && i < named && i < SKIVE_MAX_RANK; i++) list[i] = skv_axis(axes[i], x->rank);
    return skv_shrink_sizes(s, 3, axes ? list : NULL);
}

/* Averages stay between the smallest and the largest element; cubic weights may be negative. */
static skv_range range(const skive_node *n, const skv_range *in) {
    const char *mode = skv_attr_string(n, "mode", "nearest");
    const double value = skv_attr_float(n, "extrapolation_value", 0.0);
    const bool cropped = strcmp(skv_attr_string(n, "coordinate_transformation_mode", ""), "tf_crop_and_resize") == 0;
    if (strcmp(mode, "cubic") == 0) return skv_range_any();
    return cropped ? (skv_range){fmin(in[0].lo, value), fmax(in[0].hi, value)} : in[0];
}

/* One operation per tap of a result, the number of taps being the product over the axes. */
static void cost(const skive_node *n, skive_cost *out) {
    const char *mode = skv_attr_string(n, "mode", "nearest");
    if (*mode == 'n' || n->n_outputs < 1 || !n->outputs[0] || !skv_node_in(n, 0)) return;
    const skive_type *x = &n->inputs[0]->type, *y = &n->outputs[0]->type;
    int64_t taps = 1;
    for (int d = 0; d < y->rank && x->rank == y->rank; d++)
        if (x->dims[d].size != y->dims[d].size) taps *= *mode == 'c' ? 4 : 2;
    out->operations = skv_add_sat(out->operations, skv_mul_sat(taps, skv_type_count(y)));
}

/* Opset 10 had only the attribute `mode`: coordinates are asymmetric, and the nearest element is the one before, or the
 * one after if the result is smaller. */
static skive_status import_10(skive_graph *g, skive_node *n) {
    const skive_tensor *scales = skv_node_constant(n, 1);
    skive_value *list = skv_node_in(n, 1);
    bool smaller = false, larger = false;
    (void)g;
    for (int64_t i = 0; scales && i < skive_tensor_count(scales); i++) {
        const double s = skv_load_f64(scales->dtype, scales->data, (size_t)i);
        smaller = smaller || s < 1.0;
        larger = larger || s > 1.0;
    }
    SKV_TRY(skv_node_set_input(n, 2, list));
    SKV_TRY(skv_node_set_input(n, 1, NULL));
    SKV_TRY(skv_node_set_attr(n, &SKV_STR("coordinate_transformation_mode", "asymmetric")));
    return skv_node_set_attr(n, &SKV_STR("nearest_mode", smaller && !larger ? "ceil" : "floor"));
}

/* "tf_half_pixel_for_nn" (opset 11) is half an element after "half_pixel": for the nearest element that is another
 * rounding. */
static skive_status import_tf_half_pixel(skive_node *n) {
    const char *rounding = skv_attr_string(n, "nearest_mode", "round_prefer_floor"), *same = NULL;
    if (strcmp(skv_attr_string(n, "mode", "nearest"), "nearest") == 0) {
        if (strcmp(rounding, "round_prefer_floor") == 0) same = "ceil";
        if (strcmp(rounding, "floor") == 0) same = "round_prefer_ceil";
    }
    if (!same)
        return skv_fail_at(n->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "Resize: tf_half_pixel_for_nn is supported with nearest_mode round_prefer_floor and floor");
    SKV_TRY(skv_node_set_attr(n, &SKV_STR("coordinate_transformation_mode", "half_pixel")));
    return skv_node_set_attr(n, &SKV_STR("nearest_mode", same));
}

static skive_status import(skive_graph *g, skive_node *n, int from) {
    if (from < 11) return import_10(g, n);
    const char *coordinates = skv_attr_string(n, "coordinate_transformation_mode", "");
    if (from < 13 && strcmp(coordinates, "tf_half_pixel_for_nn") == 0) return import_tf_half_pixel(n);
    return SKIVE_OK;
}

static int needs_opset(const skive_node *n) {
    if (strcmp(skv_attr_string(n, "coordinate_transformation_mode", ""), "half_pixel_symmetric") == 0) return 19;
    const bool recent =
        skv_node_attr(n, "axes") || skv_node_attr(n, "antialias") || skv_node_attr(n, "keep_aspect_ratio_policy");
    return recent ? 18 : 13;
}

#define SCALES(n, ...) \
    { CASE_F32(n), CASE_VALUES(__VA_ARGS__), .constant = true }

static const skv_op_case cases[] = {
    {.name = "nearest, twice as large", /* "resize_upsample_scales_nearest" of the ONNX specification */
     CASE_IN({CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 2, 3, 4)}, CASE_ABSENT, SCALES(4, 1, 1, 2, 3)),
     .n_out = 1,
     CASE_EXPECT(1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 3, 3, 3, 4, 4, 4),
     CASE_OUT(1, 1, 4, 6)},
    {.name = "linear, half pixels", /* "resize_upsample_scales_linear" */
     CASE_ATTRS(CASE_STR("mode", "linear")),
     CASE_IN({CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 2, 3, 4)}, CASE_ABSENT, SCALES(4, 1, 1, 2, 2)),
     .n_out = 1,
     CASE_EXPECT(1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4)},
    {.name = "linear, corners aligned", /* "resize_upsample_scales_linear_align_corners" in one dimension */
     CASE_ATTRS(CASE_STR("mode", "linear"), CASE_STR("coordinate_transformation_mode", "align_corners")),
     CASE_IN({CASE_F32(2), CASE_VALUES(1, 4)}, CASE_ABSENT, SCALES(1, 2)),
     .n_out = 1,
     CASE_EXPECT(1, 2, 3, 4)},
    {.name = "cubic", /* a straight line stays one between elements 1 and n - 2 */
     CASE_ATTRS(CASE_STR("mode", "cubic"), CASE_FLT("cubic_coeff_a", -0.5)),
     CASE_IN({CASE_F32(6), CASE_VALUES(0, 1, 2, 3, 4, 5)}, CASE_ABSENT, CASE_ABSENT, CASE_LIST(1, 12)),
     .n_out = 1,
     CASE_EXPECT(-0.0703125, 0.1796875, 0.7265625, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4.2734375, 4.8203125,
                 5.0703125)},
    {.name = "nearest by size, other roundings",
     CASE_ATTRS(CASE_STR("coordinate_transformation_mode", "asymmetric"), CASE_STR("nearest_mode", "ceil")),
     CASE_IN({CASE_I64(4), CASE_VALUES(1, 2, 3, 4), .constant = true}, CASE_ABSENT, CASE_ABSENT, CASE_LIST(1, 8)),
     .n_out = 1,
     CASE_EXPECT(1, 2, 2, 3, 3, 4, 4, 4),
     .no_grad = true},
    {.name = "crop", /* positions 0.25, 1.5, 2.75 and 4 of 0..3: the last one is outside */
     CASE_ATTRS(CASE_STR("mode", "linear"), CASE_STR("coordinate_transformation_mode", "tf_crop_and_resize"),
                CASE_FLT("extrapolation_value", 10)),
     CASE_IN({CASE_F32(4), CASE_VALUES(0, 1, 2, 3)}, SCALES(2, 0.08333333333333333, 1.3333333333333333), CASE_ABSENT,
             CASE_LIST(1, 4)),
     .n_out = 1,
     CASE_EXPECT(0.25, 1.5, 2.75, 10)},
    {.name = "axes, not larger", /* 8 / 4 and 5 / 3: the lesser for both */
     CASE_ATTRS(CASE_INTS("axes", 2, 1), CASE_STR("mode", "linear"),
                CASE_STR("keep_aspect_ratio_policy", "not_larger")),
     CASE_IN({CASE_F32(2, 3, 4)}, CASE_ABSENT, CASE_ABSENT, CASE_LIST(2, 8, 5)),
     .n_out = 1,
     CASE_OUT(2, 5, 7)},
    {.name = "antialias", /* half the size: weights 1 3 3 1 over 8, at the ends what is left of them */
     CASE_ATTRS(CASE_STR("mode", "linear"), CASE_INT("antialias", 1)),
     CASE_IN({CASE_F32(4), CASE_VALUES(8, 0, 0, 16)}, CASE_ABSENT, SCALES(1, 0.5)),
     .n_out = 1,
     CASE_EXPECT(4, 8)},
    {.name = "antialias, without what is outside",
     CASE_ATTRS(CASE_STR("mode", "cubic"), CASE_INT("antialias", 1), CASE_INT("exclude_outside", 1)),
     CASE_IN({CASE_F32(2, 6, 7)}, CASE_ABSENT, SCALES(3, 1, 0.6, 1.5)),
     .n_out = 1,
     CASE_OUT(2, 3, 10)},
    {.name = "symmetric half pixels",
     CASE_ATTRS(CASE_STR("mode", "linear"), CASE_STR("coordinate_transformation_mode", "half_pixel_symmetric")),
     CASE_IN({CASE_F32(2, 5)}, CASE_ABSENT, SCALES(2, 1, 0.7)),
     .n_out = 1,
     CASE_OUT(2, 3)},
    {.name = "five axes",
     CASE_ATTRS(CASE_STR("mode", "linear"), CASE_STR("coordinate_transformation_mode", "pytorch_half_pixel")),
     CASE_IN({CASE_F32(1, 2, 2, 3, 2)}, CASE_ABSENT, CASE_ABSENT, CASE_LIST(5, 1, 2, 1, 2, 3)),
     .n_out = 1,
     CASE_OUT(1, 2, 1, 2, 3)},
};

const skv_op skv_op_resize = {
    .name = "Resize",
    .domain = "",
    .brief = "resampling to other sizes",
    .since = 13,
    .min_in = 1,
    .max_in = 4,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .import = import,
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .shrink = shrink,
    .range = range,
    .cost = cost,
    SKV_LIST(cases),
};
