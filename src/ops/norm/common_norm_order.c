/* The order p of norms. See common_norm_order.h. */
#include "ops/norm/common_norm_order.h"

skive_status skv_import_norm_order(skive_node *n) {
    const skv_attr *a = skv_node_attr(n, "p");
    if (!a || a->type != SKV_ATTR_FLOAT) return SKIVE_OK;
    if (!(a->f >= 1.0 && a->f <= (double)INT32_MAX && a->f == floor(a->f)))
        return skv_fail_at(n->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "%s: p is %g, but only integers are supported", n->op_type, a->f);
    return skv_node_set_attr(n, &SKV_INT("p", (int64_t)a->f));
}

skive_status skv_want_norm_order(skv_infer *c, int64_t most) {
    const int64_t p = skv_attr_int(c->node, "p", 2);
    if (p >= 1 && p <= most) return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "%s: p is %lld, expected 1 to %lld", c->node->op_type, (long long)p,
                          (long long)most);
}
