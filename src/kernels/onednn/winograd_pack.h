/* Winograd's transform of weights, into oneDNN's layouts. */
#ifndef SKV_ONEDNN_WINOGRAD_PACK_H
#define SKV_ONEDNN_WINOGRAD_PACK_H

#include "kernels/onednn/onednn.h"

/* Can skv_dnnl_winograd_pack write this descriptor from those weights? */
bool skv_dnnl_winograd_known(const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to);
/* w [oc][ic][3][3]; out holds the bytes of `to`. */
void skv_dnnl_winograd_pack(const float *w, const dnnl_memory_desc_t *to, int threads, float *out);

#endif
