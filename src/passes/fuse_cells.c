/* The Scan that dynamic quantization makes of a GRU or RNN becomes DynamicQuantizeCell, which a plan holds. */
#include "ops/quant/common_dynamic_cell.h"
#include "passes/fuse.h"
#include "passes/match.h"

static skive_value *shared(skv_builder *b, skv_storage *s) {
    if (!s || b->status != SKIVE_OK) return NULL;
    return skv_emit_param(b, NULL, skv_storage_retain(s));
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    skv_dynamic_cell c;
    bool reverse = false, found = false;
    if (!skv_node_is(n, SKV_OP_SCAN)) return SKIVE_OK;
    SKV_TRY(skv_dynamic_cell_match(env->ctx, n, &c, &reverse, &found));
    if (!found) return SKIVE_OK;
    skv_builder b = skv_build(g);
    skive_value *in[7] = {n->inputs[1], n->inputs[0]};
    in[2] = shared(&b, c.r);
    in[3] = shared(&b, c.r_scale);
    in[4] = shared(&b, c.n);
    in[5] = shared(&b, c.n_scale);
    in[6] = shared(&b, c.bias);
    SKV_TRY(b.status);
    const skv_fusion f = {
        .chain = (skive_node *[]){n},
        .n_chain = 1,
        .op = "DynamicQuantizeCell",
        .domain = SKV_DOMAIN,
        .inputs = in,
        .n_inputs = c.bias ? 7
                    : c.n  ? 6
                           : 4,
        .old = n->outputs,
        .n_old = n->n_outputs,
        .attrs = (const skv_attr_init[]){SKV_STR("cell", skv_cell_name(c.kind)), SKV_INT("reverse", reverse)},
        .n_attrs = 2};
    ++*changes;
    return skv_fuse(g, &f);
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_fuse_cells = {
    .name = "fuse-cells",
    .brief = "replaces the Scan of a dynamically quantized GRU or RNN by one node",
    .when = SKV_PASS_FLOW,
    .run = run,
};
