/* Several nodes in a row become one; see fuse.h. */
#include "passes/fuse.h"

#include "ops/common_nn.h"

skive_status skv_fuse(skive_graph *g, const skv_fusion *f) {
    const skive_node *head = f->chain[0];
    skive_value *old = f->chain[f->n_chain - 1]->outputs[0], *out = NULL;
    const char *name = old->name, *node_name = head->name;
    skive_node *fused = NULL;
    SKV_TRY(skv_graph_new_value(g, NULL, &out));
    out->type = old->type;
    SKV_TRY(skv_graph_new_node(g, f->op, f->domain, NULL, f->inputs, f->n_inputs, &out, 1, &fused));
    if (f->keep_attrs) {
        skv_attr_init buffer[SKV_ATTRS_COPY];
        const skv_attr_list kept = skv_attrs_copy(head, buffer);
        for (size_t i = 0; i < kept.n; i++) SKV_TRY(skv_node_set_attr(fused, &kept.attrs[i]));
    }
    for (size_t i = 0; i < f->n_attrs; i++) SKV_TRY(skv_node_set_attr(fused, &f->attrs[i]));
    SKV_TRY(skv_value_replace_uses(old, out, true));
    for (size_t i = f->n_chain; i-- > 0;) SKV_TRY(skv_graph_remove_node(f->chain[i]));
    fused->name = node_name;
    return skv_value_rename(out, name);
}

skive_node *skv_only_reader(const skv_pass_env *env, const skive_value *v) {
    if (v->n_uses != 1 || v->uses[0].index != 0 || skv_pass_keeps(env, v)) return NULL;
    return v->uses[0].node;
}

bool skv_clip_bound(const skive_node *clip, size_t i, double fallback, double *out) {
    *out = fallback;
    if (!skv_node_in(clip, i)) return true;
    const skive_tensor *t = skv_value_tensor(clip->inputs[i]);
    if (t) *out = skive_tensor_get(t, 0);
    return t != NULL;
}
