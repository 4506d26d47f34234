/* Winograd's transform of weights, into oneDNN's layouts. */
#ifndef SKV_ONEDNN_WINOGRAD_PACK_H
#define SKV_ONEDNN_WINOGRAD_PACK_H

#include "kernels/onednn/onednn.h"

/* Can skv_dnnl_winograd_pack write what `to` describes from weights as `from` describes them? *out says how. */
bool skv_dnnl_winograd_known(skv_dnnl_md_ref from, skv_dnnl_md_ref to, skv_dnnl_winograd *out);
/* w [oc][ic][3][3]; out holds d->bytes. */
void skv_dnnl_winograd_pack(const float *w, const skv_dnnl_winograd *d, int threads, float *out);

#endif
