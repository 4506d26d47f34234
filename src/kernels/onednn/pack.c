/* Rearranging operands into the order a primitive wants: once for constants, at every run for what may change. */
#include <string.h>

#include "kernels/onednn/winograd_pack.h"

skive_status skv_dnnl_pack(skive_context *ctx, skv_dnnl_md_ref from, const void *data, skv_dnnl_md_ref to, int threads,
                           void **out, size_t *bytes) {
    skv_dnnl_prim reorder;
    skv_dnnl_winograd winograd;
    void *packed = NULL, *scratch = NULL;
    *out = NULL;
    *bytes = dnnl_memory_desc_get_size(to);
    if (skv_dnnl_winograd_known(from, to, &winograd)) {
        SKV_TRY(skv_alloc(ctx, *bytes, out));
        skv_dnnl_winograd_pack(data, &winograd, threads, *out);
        return SKIVE_OK;
    }
    SKV_TRY(skv_dnnl_reorder_create(ctx, from, to, threads, &reorder));
    skive_status status;
    SKV_GO(status, done, skv_alloc(ctx, *bytes, &packed));
    SKV_GO(status, done, skv_alloc(ctx, reorder.scratch_bytes, &scratch));
    const skv_dnnl_arg args[] = {{DNNL_ARG_FROM, data}, {DNNL_ARG_TO, packed}};
    SKV_GO(status, done, skv_dnnl_run(ctx, &reorder, args, 2, scratch, "packing"));
    *out = packed;
    packed = NULL;
done:
    skv_dnnl_prim_free(&reorder);
    skv_free(ctx, packed);
    skv_free(ctx, scratch);
    return status;
}

skive_status skv_dnnl_operand_prepare(skv_kernel_node *n, size_t index, skv_dnnl_md_ref given, skv_dnnl_md_ref wanted,
                                      skv_dnnl_operand *o) {
    memset(o, 0, sizeof *o);
    if (dnnl_memory_desc_equal(given, wanted)) return SKIVE_OK;
    const skive_tensor *constant = n->in[index].constant;
    if (constant) {
        size_t bytes;
        SKV_TRY(skv_dnnl_pack(n->ctx, given, constant->data, wanted, n->threads, &o->packed, &bytes));
        n->state_bytes += bytes;
        if (index < SKV_OP_MAX_IO) n->packs_input[index] = true;
        return SKIVE_OK;
    }
    SKV_TRY(skv_dnnl_reorder_create(n->ctx, given, wanted, n->threads, &o->reorder));
    /* The packed operand, and after it the reorder's own scratchpad. */
    o->scratch_bytes = skv_align_up(dnnl_memory_desc_get_size(wanted), 64);
    const skive_status status = skv_scratch_add(n, o->scratch_bytes + o->reorder.scratch_bytes, &o->scratch_offset);
    if (status != SKIVE_OK) skv_dnnl_prim_free(&o->reorder);
    return status;
}

skive_status skv_dnnl_operand_get(const skv_kernel_call *c, size_t index, const skv_dnnl_operand *o, const void **out) {
    if (!o->reorder.primitive) {
        *out = o->packed ? o->packed : c->in[index];
        return SKIVE_OK;
    }
    char *to = (char *)c->scratch + o->scratch_offset;
    const skv_dnnl_arg args[] = {{DNNL_ARG_FROM, c->in[index]}, {DNNL_ARG_TO, to}};
    *out = to;
    return skv_dnnl_run(c->ctx, &o->reorder, args, 2, to + o->scratch_bytes, "packing");
}

void skv_dnnl_operand_free(skive_context *ctx, skv_dnnl_operand *o) {
    skv_free(ctx, o->packed);
    skv_dnnl_prim_free(&o->reorder);
    o->packed = NULL;
}
