/* oneDNN 2.6 and 2.7. */
#include <string.h>

#include "kernels/onednn/adapter.h"

dnnl_status_t skv_dnnl_md_make(int rank, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_format_tag_t tag,
                               skv_dnnl_md *out) {
    memset(out, 0, sizeof *out);
    const dnnl_status_t s = dnnl_memory_desc_init_by_tag(&out->value, rank, dims, type, tag);
    out->made = s == dnnl_success;
    return s;
}

void skv_dnnl_md_free(skv_dnnl_md *md) { md->made = false; }

skv_dnnl_md_ref skv_dnnl_md_get(const skv_dnnl_md *md) { return md->made ? &md->value : NULL; }

static bool order_of(dnnl_wino_memory_format_t format, skv_dnnl_winograd_order *out) {
    switch (format) {
    case dnnl_wino_wei_aaOio: *out = SKV_DNNL_AAOIO; return true;
    case dnnl_wino_wei_aaOBiOo: *out = SKV_DNNL_AAOBIOO; return true;
    case dnnl_wino_wei_OBaaIBOIio: *out = SKV_DNNL_OBAAIBOIIO; return true;
    default: return false;
    }
}

bool skv_dnnl_md_winograd(skv_dnnl_md_ref md, skv_dnnl_winograd *out) {
    enum { LANES = 16 };
    const dnnl_version_t *version = dnnl_version();
    if (md->format_kind != dnnl_format_kind_wino || md->data_type != dnnl_f32 || md->offset0 != 0) return false;
    if (!version || version->major != 2 || version->minor != 6) return false;
    const dnnl_wino_desc_t *d = &md->format_desc.wino_desc;
    if (d->r != 3 || (d->alpha != 4 && d->alpha != 6) || d->adj_scale < 1 || d->adj_scale > 1) return false;
    if (d->ic_block != LANES || d->oc_block != LANES || d->ic < 1 || d->oc < 1 || d->ic % LANES || d->oc % LANES ||
        d->ic2_block < 1 || d->oc2_block < 1 || d->ic / LANES % d->ic2_block || d->oc / LANES % d->oc2_block)
        return false;
    *out = (skv_dnnl_winograd){.alpha = d->alpha,
                               .ic = (size_t)d->ic,
                               .oc = (size_t)d->oc,
                               .ic2_block = (size_t)d->ic2_block,
                               .oc2_block = (size_t)d->oc2_block,
                               .bytes = d->size};
    return order_of(d->wino_format, &out->order);
}

bool skv_dnnl_has_winograd(void) { return true; }

static dnnl_status_t describe(const skv_dnnl_conv_case *f, dnnl_convolution_desc_t *out) {
    switch (f->direction) {
    case SKV_DNNL_FORWARD:
        return dnnl_dilated_convolution_forward_desc_init(
            out, f->training ? dnnl_forward_training : dnnl_forward_inference, f->algorithm, f->x, f->w, f->bias, f->y,
            f->strides, f->dilates, f->pad_lo, f->pad_hi);
    case SKV_DNNL_BY_INPUT:
        return dnnl_dilated_convolution_backward_data_desc_init(out, f->algorithm, f->x, f->w, f->y, f->strides,
                                                                f->dilates, f->pad_lo, f->pad_hi);
    case SKV_DNNL_BY_WEIGHT: break;
    }
    return dnnl_dilated_convolution_backward_weights_desc_init(out, f->algorithm, f->x, f->w, f->bias, f->y, f->strides,
                                                               f->dilates, f->pad_lo, f->pad_hi);
}

dnnl_status_t skv_dnnl_conv_first(const skv_dnnl_conv_case *form, const_dnnl_primitive_attr_t attr,
                                  dnnl_engine_t engine, const_dnnl_primitive_desc_t hint,
                                  bool (*passed_over)(const_dnnl_primitive_desc_t), dnnl_primitive_desc_t *out) {
    dnnl_convolution_desc_t desc;
    dnnl_primitive_desc_iterator_t each = NULL;
    *out = NULL;
    dnnl_status_t s = describe(form, &desc);
    if (s == dnnl_success) s = dnnl_primitive_desc_iterator_create(&each, &desc, attr, engine, hint);
    while (s == dnnl_success) {
        *out = dnnl_primitive_desc_iterator_fetch(each);
        if (!*out || !passed_over(*out)) break;
        (void)dnnl_primitive_desc_destroy(*out);
        *out = NULL;
        s = dnnl_primitive_desc_iterator_next(each);
    }
    if (each) (void)dnnl_primitive_desc_iterator_destroy(each);
    if (s == dnnl_iterator_ends) return dnnl_unimplemented;
    return s == dnnl_success && !*out ? dnnl_out_of_memory : s;
}

dnnl_status_t skv_dnnl_append_sum(dnnl_post_ops_t ops) { return dnnl_post_ops_append_sum(ops, 1); }

dnnl_status_t skv_dnnl_append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha, float beta) {
    return dnnl_post_ops_append_eltwise(ops, 1, kind, alpha, beta);
}

dnnl_status_t skv_dnnl_append_hard_swish(dnnl_post_ops_t ops) {
    return dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_hardswish, 0, 0);
}
