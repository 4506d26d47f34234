/* Shared by LayerNormalization and its gradient; see common_layer_norm.h. */
#include "ops/norm/common_layer_norm.h"

skive_status skv_layer_want_scale(skv_infer *c, size_t x, size_t i, int64_t axis) {
    if (!skv_in_ranked(c, x) || !skv_in_ranked(c, i)) return SKIVE_OK;
    int rank = c->in[x]->rank, own = c->in[i]->rank;
    bool fits = own <= rank - (int)axis;
    for (int a = 0; fits && a < own; a++) {
        int64_t have = skv_in_dim(c, i, a), want = skv_in_dim(c, x, rank - own + a);
        fits = have < 0 || want < 0 || have == 1 || have == want;
    }
    if (fits) return SKIVE_OK;
    char left[256], right[256];
    skv_type_text(c->in[i], left, sizeof left);
    skv_type_text(c->in[x], right, sizeof right);
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: input %zu is %s, which does not match the normalized axes of %s",
                          c->node->op_type, i, left, right);
}

skive_status skv_layer_rows_of(const skv_eval *c, const skive_tensor *x, const skive_tensor *scale,
                               skv_layer_rows *out) {
    int64_t axis = skv_axis(skv_attr_int(c->node, "axis", -1), x->rank);
    *out = (skv_layer_rows){1, 1, NULL};
    if (axis < 0)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "%s: axis is out of range", c->node->op_type);
    for (int a = 0; a < x->rank; a++) *(a < axis ? &out->outer : &out->inner) *= x->dims[a];
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)out->inner, sizeof *out->scale_of, &out->scale_of));
    for (int64_t i = 0; i < out->inner; i++) {
        int64_t rest = i, step = 1;
        for (int s = scale->rank - 1, a = x->rank - 1; s >= 0; s--, a--) {
            int64_t at = rest % x->dims[a];
            rest /= x->dims[a];
            if (scale->dims[s] != 1) out->scale_of[i] += at * step;
            step *= scale->dims[s];
        }
    }
    return SKIVE_OK;
}
