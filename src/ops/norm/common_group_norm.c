/* See common_group_norm.h. */
#include "ops/norm/common_group_norm.h"

#include "ops/common_elementwise.h"

skive_status skv_group_norm_infer(skv_infer *c) {
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_rank(c, 0, 2, SKIVE_MAX_RANK));
    for (size_t i = 1; i < 3; i++)
        SKV_TRY(
            skv_want_vector(c, i, skv_in_ranked(c, 0) ? skv_in_dim(c, 0, 1) : -1, i == 1 ? "the scale" : "the bias"));
    skv_out_like(c, 0, 0);
    return SKIVE_OK;
}

skive_status skv_group_norm_run(const skv_eval *c, int64_t groups) {
    const skive_tensor *in = c->in[0];
    const double epsilon = skv_attr_float(c->node, "epsilon", 1e-5);
    skv_doubles x = {0}, scale = {0}, bias = {0};
    skv_result y = {0};
    skive_status status;
    SKV_GO(status, out, skv_doubles_read(c->ctx, in, &x));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[1], &scale));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[2], &bias));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    const int64_t channels = in->dims[1], cells = in->dims[0] * groups, size = cells ? (int64_t)x.n / cells : 0;
    const int64_t positions = x.n ? (int64_t)x.n / (in->dims[0] * channels) : 0;
    for (int64_t g = 0; g < cells && size > 0 && positions > 0; g++) {
        const double *from = x.p + g * size;
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < size; i++) mean += from[i];
        mean /= (double)size;
        for (int64_t i = 0; i < size; i++) variance += (from[i] - mean) * (from[i] - mean);
        const double inverse = 1 / sqrt(variance / (double)size + epsilon);
        for (int64_t i = 0; i < size; i++) {
            const int64_t channel = (g * size + i) / positions % channels;
            y.p[g * size + i] = (from[i] - mean) * inverse * scale.p[channel] + bias.p[channel];
        }
    }
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &x);
    skv_doubles_free(c->ctx, &scale);
    skv_doubles_free(c->ctx, &bias);
    skv_result_free(c->ctx, &y);
    return status;
}

/* The mean over the last axis of [cells][size], which stays. */
static skive_value *mean(skv_builder *b, skive_value *x) {
    const int64_t last = -1;
    return skv_g2(b, "ReduceMean", x, skv_emit_ints(b, &last, 1));
}

skive_status skv_group_norm_grad(skv_grad *c, int64_t groups) {
    skv_builder *b = c->b;
    skive_node *n = c->node;
    skive_value *x = n->inputs[0], *dy = c->dout[0];
    const int rank = x->type.rank;
    if (rank < 2 || !skv_type_is_static(&x->type) || groups < 1)
        return skv_fail_at(b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name, "node '%s': the gradient needs a known shape",
                           n->name);
    const int64_t channels = x->type.dims[1].size, flat[2] = {x->type.dims[0].size * groups, -1},
                  per_channel[3] = {x->type.dims[0].size, channels, -1};
    const int64_t column[3] = {1, channels, 1}, around[2] = {0, 2};
    skive_value *cells = skv_emit_ints(b, flat, 2), *shape = skv_g1(b, "Shape", x);
    skive_value *rows = skv_g2(b, "Reshape", x, cells);
    skive_value *centred = skv_g2(b, "Sub", rows, mean(b, rows));
    skive_value *variance = mean(b, skv_g2(b, "Mul", centred, centred));
    skive_value *deviation =
        skv_g1(b, "Sqrt", skv_g2(b, "Add", variance, skv_g_scalar(b, x, skv_attr_float(n, "epsilon", 1e-5))));
    skive_value *normal = skv_g2(b, "Div", centred, deviation);
    skive_value *by_channel = skv_emit_ints(b, per_channel, 3), *dy3 = skv_g2(b, "Reshape", dy, by_channel),
                *axes = skv_emit_ints(b, around, 2);
    if (c->need[1])
        c->din[1] =
            skv_emit(b, "ReduceSum", SKV_IN(skv_g2(b, "Mul", dy3, skv_g2(b, "Reshape", normal, by_channel)), axes),
                     SKV_ATTRS(SKV_INT("keepdims", 0)));
    if (c->need[2]) c->din[2] = skv_emit(b, "ReduceSum", SKV_IN(dy3, axes), SKV_ATTRS(SKV_INT("keepdims", 0)));
    if (c->need[0]) {
        skive_value *d = skv_g2(b, "Mul", dy3, skv_g2(b, "Reshape", n->inputs[1], skv_emit_ints(b, column, 3)));
        d = skv_g2(b, "Reshape", d, cells);
        skive_value *along = skv_g2(b, "Mul", normal, mean(b, skv_g2(b, "Mul", d, normal)));
        d = skv_g2(b, "Div", skv_g2(b, "Sub", skv_g2(b, "Sub", d, mean(b, d)), along), deviation);
        c->din[0] = skv_g2(b, "Reshape", d, shape);
    }
    return b->status;
}
