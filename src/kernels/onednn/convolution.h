/* What convolutions forward and backward share: dimensions and descriptors for oneDNN. */
#ifndef SKV_ONEDNN_CONVOLUTION_H
#define SKV_ONEDNN_CONVOLUTION_H

#include "kernels/onednn/onednn.h"
#include "ops/conv/common_conv.h"

typedef struct skv_dnnl_conv {
    skv_conv_shape s;
    int spatial, w_rank;
    int64_t w_dims[6]; /* [g] m c k... */
    dnnl_dims_t strides, dilates, pad_lo, pad_hi;
    bool turned; /* columns of one element are lines of as many: the same memory, and oneDNN's loops run along lines */
} skv_dnnl_conv;

typedef struct skv_dnnl_conv_values {
    skv_dnnl_direction direction;
    bool training, bias;
    dnnl_alg_kind_t algorithm;
    const skive_type *x, *y;
    skv_layout x_layout, y_layout;
} skv_dnnl_conv_values;

/* From the types of x [n][c][...] and w. False (with a reason) when oneDNN is not asked for this form. */
bool skv_dnnl_conv_read(const skv_kernel_node *n, const skive_type *x, const skive_type *w, skv_dnnl_conv *out,
                        skv_why *why);
/* A descriptor of the convolution between values x and y in these layouts, in one direction. dnnl_unimplemented: there
 * is none (that may be used). */
dnnl_status_t skv_dnnl_conv_describe(const skv_dnnl_conv *c, const skv_dnnl_conv_values *v,
                                     const_dnnl_primitive_attr_t attr, const_dnnl_primitive_desc_t hint, int threads,
                                     dnnl_primitive_desc_t *out);
/* Layouts worth trying for a value of `channels` channels that is offered as `offered`; n <= 3. */
size_t skv_dnnl_conv_layouts(int64_t channels, skv_layout offered, skv_layout out[3]);

#endif
