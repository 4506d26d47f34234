/* The sum of an integer convolution's result and another tensor is fused into the convolution: QConv, QAdd become
 * QConvAdd, which gives the same bits without writing the intermediate result. */
#include "ops/common_activation.h"
#include "passes/fuse.h"

static const char *const scales[] = {"a_scale", "b_scale"}, *const zero_points[] = {"a_zp", "b_zp"}; /* of each side */

/* A QConv whose only reader is `add`, with the same grid. */
static skive_node *head_of(const skv_pass_env *env, const skive_node *add, size_t side) {
    const skive_value *v = add->inputs[side];
    skive_node *n = v ? v->producer : NULL;
    if (skv_node_attr(add, "a_q31") || (n && skv_node_attr(n, "multiplier_q31"))) return NULL;
    if (!skv_node_is(n, SKV_OP_Q_CONV) || !skv_pass_hidden(env, v) || v->type.dtype != SKIVE_U8) return NULL;
    /* depthwise convolutions have another kernel */
    if (skv_attr_int(n, "group", 1) != 1 || add->inputs[1 - side] == v) return NULL;
    if (skv_attr_int(n, "y_zero_point", 0) != skv_attr_int(add, zero_points[side], 0)) return NULL;
    const skv_attr *m = skv_node_attr(n, "multiplier");
    return skv_q_conv_add_fits(m->floats, m->n, skv_attr_float(add, scales[side], 0),
                               skv_attr_float(add, scales[1 - side], 0), skv_attr_float(add, "y_scale", 0))
               ? n
               : NULL;
}

static skive_status fuse(skive_graph *g, skive_node *conv, skive_node *add, size_t side) {
    const skv_attr_init attrs[] = {
        SKV_FLT("y_scale", skv_attr_float(add, scales[side], 0)),
        SKV_FLT("other_scale", skv_attr_float(add, scales[1 - side], 0)),
        SKV_INT("other_zp", skv_attr_int(add, zero_points[1 - side], 0)),
        SKV_FLT("sum_scale", skv_attr_float(add, "y_scale", 0)),
        SKV_INT("sum_zp", skv_attr_int(add, "y_zp", 0)),
        SKV_INT("sum_lo", skv_attr_int(add, "clamp_lo", 0)),
        SKV_INT("sum_hi", skv_attr_int(add, "clamp_hi", 255)),
    };
    const skv_fusion f = {
        .chain = (skive_node *const[]){conv, add},
        .n_chain = 2,
        .op = "QConvAdd",
        .domain = SKV_DOMAIN,
        .inputs = (skive_value *const[]){conv->inputs[0], conv->inputs[1], skv_node_in(conv, 2), add->inputs[1 - side]},
        .n_inputs = 4,
        .attrs = attrs,
        .n_attrs = SKV_COUNT(attrs),
        .keep_attrs = true,
    };
    return skv_fuse(g, &f);
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        skive_node *n = g->nodes[i];
        if (!skv_node_is(n, SKV_OP_Q_ADD) || n->outputs[0]->type.dtype != SKIVE_U8) continue;
        size_t side = 0;
        skive_node *conv = head_of(env, n, 0);
        if (!conv) {
            side = 1;
            conv = head_of(env, n, 1);
        }
        if (!conv) continue;
        SKV_TRY(fuse(g, conv, n, side));
        ++*changes;
    }
    return SKIVE_OK;
}

const skv_pass skv_pass_fuse_integer_sum = {
    .name = "fuse-integer-sum",
    .brief = "fuses sums into the integer convolution before them",
    .when = SKV_PASS_EXECUTE,
    .run = run,
};
