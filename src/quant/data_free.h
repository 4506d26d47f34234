/* What quantization of weights alone and dynamic quantization share. */
#ifndef SKV_DATA_FREE_H
#define SKV_DATA_FREE_H

#include "graph/weights.h"
#include "quant/quant.h"

typedef struct skv_data_free {
    skive_context *ctx;
    const skive_quantize_options *o;
    skive_graph *g; /* a copy of the caller's */
    skive_quantize_report report;
    skv_quantizer codes; /* of dynamic quantization: what weights are on */
} skv_data_free;

skive_status skv_data_free_open(skv_data_free *w, const skive_graph *graph, bool smallest);
/* The weight in codes behind a node that makes float32 of them; a row of the report. */
skive_status skv_data_free_weight(skv_data_free *w, const skv_quantizer *q, const skv_weight *from);
/* Takes out what nothing reads any longer, in bodies too, and counts the bytes. */
skive_status skv_data_free_finish(skv_data_free *w);
/* Hands the graph and the report over if all went well; frees both otherwise. */
skive_status skv_data_free_close(skv_data_free *w, skive_graph *graph, skive_quantize_report *report,
                                 skive_status status);

#endif
