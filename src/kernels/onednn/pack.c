/* Rearranging operands into the order a primitive wants: once for constants, at every run for what may change. */
#include <string.h>

#include "kernels/onednn/winograd_pack.h"

skive_status skv_dnnl_reorder_create(skive_context *ctx, const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to,
                                     int threads, skv_dnnl_prim *out) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t desc = NULL;
    memset(out, 0, sizeof *out);
    SKV_TRY(skv_dnnl_attr(ctx, &attr));
    const dnnl_status_t s = skv_dnnl_reorder_desc(from, to, attr, threads, &desc);
    (void)dnnl_primitive_attr_destroy(attr);
    SKV_TRY(skv_dnnl_status(ctx, s, "reorder"));
    return skv_dnnl_prim_from(ctx, desc, threads, "reorder", out);
}

skive_status skv_dnnl_pack(skive_context *ctx, const dnnl_memory_desc_t *from, const void *data,
                           const dnnl_memory_desc_t *to, int threads, void **out, size_t *bytes) {
    skv_dnnl_prim reorder;
    void *packed = NULL, *scratch = NULL;
    *out = NULL;
    *bytes = dnnl_memory_desc_get_size(to);
    if (skv_dnnl_winograd_known(from, to)) {
        SKV_TRY(skv_alloc(ctx, *bytes, out));
        skv_dnnl_winograd_pack(data, to, threads, *out);
        return SKIVE_OK;
    }
    SKV_TRY(skv_dnnl_reorder_create(ctx, from, to, threads, &reorder));
    skive_status status;
    SKV_GO(status, done, skv_alloc(ctx, *bytes, &packed));
    SKV_GO(status, done, skv_alloc(ctx, reorder.scratch_bytes, &scratch));
    const skv_dnnl_arg args[] = {{DNNL_ARG_FROM, from, data}, {DNNL_ARG_TO, to, packed}};
    SKV_GO(status, done, skv_dnnl_run(ctx, &reorder, args, 2, scratch, "packing"));
    *out = packed;
    packed = NULL;
done:
    skv_dnnl_prim_free(&reorder);
    skv_free(ctx, packed);
    skv_free(ctx, scratch);
    return status;
}

skive_status skv_dnnl_operand_prepare(skv_kernel_node *n, size_t index, const dnnl_memory_desc_t *given,
                                      const dnnl_memory_desc_t *wanted, skv_dnnl_operand *o) {
    *o = (skv_dnnl_operand){.given = *given, .wanted = *wanted};
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
    const skv_dnnl_arg args[] = {{DNNL_ARG_FROM, &o->given, c->in[index]}, {DNNL_ARG_TO, &o->wanted, to}};
    *out = to;
    return skv_dnnl_run(c->ctx, &o->reorder, args, 2, to + o->scratch_bytes, "packing");
}

void skv_dnnl_operand_free(skive_context *ctx, skv_dnnl_operand *o) {
    skv_free(ctx, o->packed);
    skv_dnnl_prim_free(&o->reorder);
    o->packed = NULL;
}
