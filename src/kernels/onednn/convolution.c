/* What convolutions forward and backward share. */
#include <string.h>

#include "kernels/onednn/convolution.h"

static void swap(int64_t *a) {
    const int64_t first = a[0];
    a[0] = a[1];
    a[1] = first;
}

/* Height becomes width where the width is 1 on both sides and nothing pads it. */
static void turn_columns(skv_dnnl_conv *c) {
    const skv_geometry *g = &c->s.g;
    c->turned = c->spatial == 2 && g->in[2] == 1 && g->out[2] == 1 && g->kernel[2] == 1 && g->pad_lo[2] == 0 &&
                g->pad_hi[2] == 0 && g->in[1] > 1;
    if (!c->turned) return;
    swap(c->w_dims + c->w_rank - 2);
    swap(c->strides);
    swap(c->dilates);
    swap(c->pad_lo);
    swap(c->pad_hi);
}

/* The type as oneDNN is told it. */
static skive_type told(const skv_dnnl_conv *c, const skive_type *t) {
    skive_type y = *t;
    if (c->turned) {
        y.dims[2] = t->dims[3];
        y.dims[3] = t->dims[2];
    }
    return y;
}

bool skv_dnnl_conv_read(const skv_kernel_node *n, const skive_type *x, const skive_type *w, skv_dnnl_conv *out,
                        skv_why *why) {
    int64_t x_dims[SKIVE_MAX_RANK], w_dims[SKIVE_MAX_RANK];
    if (x->rank < 3 || x->rank > 4) return skv_decline(why, "rank %d", x->rank);
    if (x->dtype != SKIVE_F32 || w->dtype != SKIVE_F32) return skv_decline(why, "not float32");
    for (int d = 0; d < x->rank; d++) x_dims[d] = x->dims[d].size;
    for (int d = 0; d < w->rank; d++) w_dims[d] = w->dims[d].size;
    *out = (skv_dnnl_conv){.spatial = x->rank - 2};
    if (skv_conv_shape_make(n->ctx, n->node, x->rank, x_dims, w->rank, w_dims, &out->s) != SKIVE_OK) {
        return skv_decline(why, "its shape");
    }
    const skv_conv_shape *s = &out->s;
    if (s->groups > 1) out->w_dims[out->w_rank++] = s->groups;
    out->w_dims[out->w_rank++] = s->m / s->groups;
    out->w_dims[out->w_rank++] = s->c / s->groups;
    for (int d = 0; d < out->spatial; d++) {
        const int axis = SKV_SPATIAL - out->spatial + d;
        out->w_dims[out->w_rank++] = s->g.kernel[axis];
        out->strides[d] = s->g.stride[axis];
        out->dilates[d] = s->g.dilation[axis] - 1;
        out->pad_lo[d] = s->g.pad_lo[axis];
        out->pad_hi[d] = s->g.pad_hi[axis];
        if (s->g.out[axis] < 1) return skv_decline(why, "empty output");
        if (out->pad_lo[d] < 0 || out->pad_hi[d] < 0) return skv_decline(why, "negative padding");
    }
    turn_columns(out);
    return true;
}

dnnl_status_t skv_dnnl_conv_describe(const skv_dnnl_conv *c, const skv_dnnl_conv_values *v,
                                     const_dnnl_primitive_attr_t attr, const_dnnl_primitive_desc_t hint, int threads,
                                     dnnl_primitive_desc_t *out) {
    enum { X, W, BIAS, Y, N_MD };
    skv_dnnl_md md[N_MD];
    dnnl_status_t s = dnnl_unimplemented;
    const skive_type x = told(c, v->x), y = told(c, v->y);
    memset(md, 0, sizeof md);
    *out = NULL;
    if (skv_dnnl_md_of(&x, v->x_layout, &md[X]) && skv_dnnl_md_of(&y, v->y_layout, &md[Y]) &&
        skv_dnnl_md_any(SKIVE_F32, c->w_rank, c->w_dims, &md[W]) &&
        (!v->bias || skv_dnnl_md_dims(SKIVE_F32, 1, &c->s.m, &md[BIAS]))) {
        const skv_dnnl_conv_case form = {.direction = v->direction,
                                         .training = v->training,
                                         .algorithm = v->algorithm,
                                         .x = skv_dnnl_md_get(&md[X]),
                                         .w = skv_dnnl_md_get(&md[W]),
                                         .bias = skv_dnnl_md_get(&md[BIAS]),
                                         .y = skv_dnnl_md_get(&md[Y]),
                                         .strides = c->strides,
                                         .dilates = c->dilates,
                                         .pad_lo = c->pad_lo,
                                         .pad_hi = c->pad_hi};
        s = skv_dnnl_conv_desc(&form, attr, hint, threads, out);
    }
    for (int i = 0; i < N_MD; i++) skv_dnnl_md_free(&md[i]);
    return s;
}

size_t skv_dnnl_conv_layouts(int64_t channels, skv_layout offered, skv_layout out[3]) {
    size_t n = 0;
    /* An image of few channels would be mostly padding in blocks. */
    if (channels <= 4) {
        out[n++] = SKV_PLAIN;
        return n;
    }
    if (offered == SKV_NHWC) out[n++] = SKV_NHWC;
    out[n++] = skv_dnnl_blocked();
    out[n++] = SKV_PLAIN;
    return n;
}
