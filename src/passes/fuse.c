/* Fuses a chain of nodes into one; see fuse.h. */
#include "passes/fuse.h"

#include "ops/common_nn.h"

skive_status skv_fuse(skive_graph *g, const skv_fusion *f) {
    skive_value *const last = f->chain[f->n_chain - 1]->outputs[0], *const *old = f->old ? f->old : &last;
    const size_t n_old = f->old ? f->n_old : 1;
    skive_value *out[SKV_OP_MAX_IO] = {NULL};
    const char *names[SKV_OP_MAX_IO] = {NULL}, *node_name = (f->named ? f->named : f->chain[0])->name;
    skive_node *fused = NULL;
    for (size_t i = 0; i < n_old; i++) {
        if (!old[i]) continue;
        names[i] = old[i]->name;
        SKV_TRY(skv_graph_new_value(g, NULL, &out[i]));
        out[i]->type = old[i]->type;
    }
    SKV_TRY(skv_graph_new_node(g, f->op, f->domain, NULL, f->inputs, f->n_inputs, out, n_old, &fused));
    if (f->keep_attrs) {
        skv_attr_init buffer[SKV_ATTRS_COPY];
        const skv_attr_list kept = skv_attrs_copy(f->chain[0], buffer);
        for (size_t i = 0; i < kept.n; i++) SKV_TRY(skv_node_set_attr(fused, &kept.attrs[i]));
    }
    for (size_t i = 0; i < f->n_attrs; i++) SKV_TRY(skv_node_set_attr(fused, &f->attrs[i]));
    for (size_t i = 0; i < n_old; i++) {
        if (out[i]) SKV_TRY(skv_value_replace_uses(old[i], out[i], true));
    }
    for (size_t i = f->n_chain; i-- > 0;) SKV_TRY(skv_graph_remove_node(f->chain[i]));
    fused->name = node_name;
    for (size_t i = 0; i < n_old; i++) {
        if (out[i]) SKV_TRY(skv_value_rename(out[i], names[i]));
    }
    return SKIVE_OK;
}

skive_node *skv_only_reader(const skv_pass_env *env, const skive_value *v) {
    if (!skv_pass_hidden(env, v) || v->uses[0].index != 0) return NULL;
    return v->uses[0].node;
}

bool skv_clip_bound(const skive_node *clip, size_t i, double fallback, double *out) {
    *out = fallback;
    if (!skv_node_in(clip, i)) return true;
    const skive_tensor *t = skv_value_tensor(clip->inputs[i]);
    if (t) *out = skive_tensor_get(t, 0);
    return t != NULL;
}
