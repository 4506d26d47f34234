/* A layer that was read, chosen and prepared. */
#include "kernels/sparse/layer.h"

bool skv_sparse_layer_wins(const skv_kernel_node *n, skv_sparse_reader read, skv_why *why) {
    skv_sparse_layer l;
    return read(n, &l, why) && skv_sparse_has_zeros(&l.w, why) &&
           skv_sparse_wins(&l.s, &l.w, &l.dense, skv_cpu_isa(), why);
}

bool skv_sparse_layer_serves_coded(const skv_kernel_node *n, skv_sparse_reader read, skv_why *why) {
    skv_sparse_layer l;
    skv_why unread = {{0}}; /* what is no constant was said before */
    return read(n, &l, &unread) && skv_sparse_coded_serves(&l.s, &l.w, &l.dense, skv_cpu_isa(), why);
}

static skive_status read_again(skv_kernel_node *n, skv_sparse_reader read, skv_sparse_layer *l) {
    skv_why why = {{0}};
    return read(n, l, &why) ? SKIVE_OK : SKV_FAIL(n->ctx, SKIVE_ERR_UNSUPPORTED, "%s", why.text);
}

static void set_node(skv_kernel_node *n, const skv_sparse_layer *l) {
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    n->in[l->x_input].layout = n->out[0].layout = l->layout;
    n->packs_input[l->w_input] = true;
    if (!l->tail.residual) return;
    n->in[l->tail.residual].layout = l->layout;
    n->in_place = 1u << l->tail.residual;
}

skive_status skv_sparse_layer_prepare(skv_kernel_node *n, skv_sparse_reader read) {
    skv_sparse_layer layer, *l = &layer;
    SKV_TRY(read_again(n, read, l));
    const skv_sparse_count count = skv_sparse_counted(&l->w, l->s.groups);
    skv_nonzeros nz;
    SKV_TRY(skv_nonzeros_read(n->ctx, &l->w, &nz));
    for (int64_t i = 0; l->factor != 1 && i < nz.row_start[nz.rows]; i++) nz.value[i] *= l->factor;
    const skive_status status =
        skv_sparse_prepare(n, &l->s, &nz, skv_sparse_faster(&l->s, &count, skv_cpu_isa()), l->x_input, &l->tail);
    skv_nonzeros_free(n->ctx, &nz);
    SKV_TRY(status);
    set_node(n, l);
    return SKIVE_OK;
}

skive_status skv_sparse_layer_prepare_coded(skv_kernel_node *n, skv_sparse_reader read) {
    skv_sparse_layer layer, *l = &layer;
    skv_why why = {{0}};
    SKV_TRY(read_again(n, read, l));
    const skv_sparse_plan p = skv_sparse_planned(&l->s, SKV_SPARSE_CODED, skv_cpu_isa());
    if (!skv_sparse_codable(&l->w, p.unit_rows, &why)) return SKV_FAIL(n->ctx, SKIVE_ERR_UNSUPPORTED, "%s", why.text);
    SKV_TRY(skv_sparse_prepare_coded(n, &l->s, &l->w, l->factor, l->x_input, &l->tail));
    set_node(n, l);
    return SKIVE_OK;
}
