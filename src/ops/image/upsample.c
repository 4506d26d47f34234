/* Upsample (opsets 1 to 9): replaced by Resize with asymmetric coordinates; the importer converts it. Scales were
 * attributes before opset 9. */
#include "ops/image/common_resize.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"mode", SKV_ATTR_STRING, SKV_OPTIONAL}};
static const skv_resize_operands operands = {SIZE_MAX, 1, SIZE_MAX};

static skive_status infer(skv_infer *c) { return skv_resize_infer(c, operands, c->in[0], &c->out[0]); }

static skive_status run(const skv_eval *c) { return skv_resize_run(c, operands); }

static void couple(skv_couple *c) { skv_couple_same_axes(c, 0); }

/* The scales of opsets before 9 as floats: a list, or height and width. */
static skive_status scales_of(skive_node *n, float scales[SKIVE_MAX_RANK], int64_t *count) {
    const skv_attr *list = skv_node_attr(n, "scales");
    *count = 0;
    if (list && list->type == SKV_ATTR_FLOATS && list->n <= SKIVE_MAX_RANK) {
        for (size_t i = 0; i < list->n; i++) scales[i] = (float)list->floats[i];
        *count = (int64_t)list->n;
    } else if (skv_node_attr(n, "height_scale") && skv_node_attr(n, "width_scale")) {
        const double both[] = {skv_attr_float(n, "height_scale", 1.0), skv_attr_float(n, "width_scale", 1.0)};
        scales[0] = scales[1] = 1.0f;
        for (int i = 0; i < 2; i++) scales[2 + i] = (float)both[i];
        *count = 4;
    }
    if (*count > 0) return SKIVE_OK;
    return skv_fail_at(n->graph->ctx, SKIVE_ERR_GRAPH, n->name, "Upsample: the scales are missing");
}

static skive_status import(skive_graph *g, skive_node *n, int from) {
    const char *mode = skv_attr_string(n, "mode", "nearest");
    skive_value *scales = skv_node_in(n, 1), *x = skv_node_in(n, 0);
    skv_builder b = skv_build(g);
    if (strcmp(mode, "bilinear") == 0) mode = "linear";             /* opset 1 */
    if (!x || n->n_outputs != 1 || !n->outputs[0]) return SKIVE_OK; /* the check of the graph reports the reason */
    if (from < 9) {
        float list[SKIVE_MAX_RANK];
        int64_t count;
        skv_storage *storage = NULL;
        SKV_TRY(scales_of(n, list, &count));
        const skive_tensor view = skv_tensor_view(SKIVE_F32, 1, &count, list);
        SKV_TRY(skv_storage_from_tensor(g->ctx, &view, &storage));
        scales = skv_emit_param(&b, NULL, storage);
    }
    skive_value *y = skv_emit(&b, "Resize", SKV_IN(x, NULL, scales),
                              SKV_ATTRS(SKV_STR("mode", mode), SKV_STR("coordinate_transformation_mode", "asymmetric"),
                                        SKV_STR("nearest_mode", "floor")));
    SKV_TRY(b.status);
    return skv_import_replace(n, y);
}

static const skv_op_case cases[] = {
    {.name = "nearest", /* "upsample_nearest" of the ONNX specification */
     CASE_IN({CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 2, 3, 4)}, {CASE_F32(4), CASE_VALUES(1, 1, 2, 3), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 3, 3, 3, 4, 4, 4),
     CASE_OUT(1, 1, 4, 6)},
    {.name = "linear",
     CASE_ATTRS(CASE_STR("mode", "linear")),
     CASE_IN({CASE_F32(2), CASE_VALUES(1, 3)}, {CASE_F32(1), CASE_VALUES(2), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(1, 2, 3, 3)},
};

const skv_op skv_op_upsample = {
    .name = "Upsample",
    .domain = "",
    .brief = "resampling to larger sizes (opsets before 10)",
    .since = 9,
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
