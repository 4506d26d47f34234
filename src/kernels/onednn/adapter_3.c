/* oneDNN 3.x. */
#include "kernels/onednn/adapter.h"

dnnl_status_t skv_dnnl_md_make(int rank, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_format_tag_t tag,
                               skv_dnnl_md *out) {
    out->handle = NULL;
    const dnnl_status_t s = dnnl_memory_desc_create_with_tag(&out->handle, rank, dims, type, tag);
    if (s != dnnl_success) out->handle = NULL;
    return s;
}

void skv_dnnl_md_free(skv_dnnl_md *md) {
    if (md->handle) (void)dnnl_memory_desc_destroy(md->handle);
    md->handle = NULL;
}

skv_dnnl_md_ref skv_dnnl_md_get(const skv_dnnl_md *md) { return md->handle; }

bool skv_dnnl_md_winograd(skv_dnnl_md_ref md, skv_dnnl_winograd *out) {
    (void)md;
    (void)out;
    return false;
}

bool skv_dnnl_has_winograd(void) { return false; }

static dnnl_status_t create(const skv_dnnl_conv_case *f, const_dnnl_primitive_attr_t attr, dnnl_engine_t engine,
                            const_dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *out) {
    switch (f->direction) {
    case SKV_DNNL_FORWARD:
        return dnnl_convolution_forward_primitive_desc_create(
            out, engine, f->training ? dnnl_forward_training : dnnl_forward_inference, f->algorithm, f->x, f->w,
            f->bias, f->y, f->strides, f->dilates, f->pad_lo, f->pad_hi, attr);
    case SKV_DNNL_BY_INPUT:
        return dnnl_convolution_backward_data_primitive_desc_create(
            out, engine, f->algorithm, f->x, f->w, f->y, f->strides, f->dilates, f->pad_lo, f->pad_hi, hint, attr);
    case SKV_DNNL_BY_WEIGHT: break;
    }
    return dnnl_convolution_backward_weights_primitive_desc_create(
        out, engine, f->algorithm, f->x, f->w, f->bias, f->y, f->strides, f->dilates, f->pad_lo, f->pad_hi, hint, attr);
}

dnnl_status_t skv_dnnl_conv_first(const skv_dnnl_conv_case *form, const_dnnl_primitive_attr_t attr,
                                  dnnl_engine_t engine, const_dnnl_primitive_desc_t hint,
                                  bool (*passed_over)(const_dnnl_primitive_desc_t), dnnl_primitive_desc_t *out) {
    *out = NULL;
    dnnl_status_t s = create(form, attr, engine, hint, out);
    if (s != dnnl_success) *out = NULL;
    while (s == dnnl_success && passed_over(*out)) s = dnnl_primitive_desc_next_impl(*out);
    if (s != dnnl_success && *out) {
        (void)dnnl_primitive_desc_destroy(*out);
        *out = NULL;
    }
    return s == dnnl_last_impl_reached ? dnnl_unimplemented : s;
}

dnnl_status_t skv_dnnl_append_sum(dnnl_post_ops_t ops) {
    return dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef);
}

dnnl_status_t skv_dnnl_append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha, float beta) {
    return dnnl_post_ops_append_eltwise(ops, kind, alpha, beta);
}

dnnl_status_t skv_dnnl_append_hard_swish(dnnl_post_ops_t ops) {
    return dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_hardswish, 1.0f / 6, 0.5f);
}
