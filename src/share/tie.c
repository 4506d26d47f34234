/* Tying: two parameters become one. Both layers then read the same value, and its gradient is the sum of theirs. */
#include <skive/share.h>

#include "graph/unknown.h"

static skive_status parameter(skive_context *ctx, const skive_graph *g, const char *name, skive_value **out) {
    *out = skive_graph_find_value(g, name);
    if (skv_value_is_param(*out)) return SKIVE_OK;
    return skv_fail_no_parameter(ctx, SKIVE_ERR_NOT_FOUND, g, name);
}

skive_status skive_share_tie(skive_context *ctx, skive_graph *graph, const char *first, const char *second) {
    SKV_NEED(ctx, "ctx, graph, first, second", ctx, graph, first, second);
    skive_value *a = NULL, *b = NULL;
    SKV_TRY(parameter(ctx, graph, first, &a));
    SKV_TRY(parameter(ctx, graph, second, &b));
    if (a == b) return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, first, "'%s' cannot be tied to itself", first);
    if (!skv_type_same_static(&a->type, &b->type)) {
        char one[160], other[160];
        skv_type_text(&a->type, one, sizeof one);
        skv_type_text(&b->type, other, sizeof other);
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, second,
                           "'%s' is %s and '%s' is %s; only parameters of equal type and shape can be tied", first, one,
                           second, other);
    }
    SKV_TRY(skv_value_replace_uses(b, a, true));
    a->trainable = a->trainable || b->trainable;
    a->keeps_zeros = a->keeps_zeros || b->keeps_zeros;
    return skv_graph_remove_value(b);
}
