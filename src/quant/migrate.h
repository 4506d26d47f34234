/* Moving factors of channels from activations to weights, for each layer as far as it helps. */
#ifndef SKV_QUANT_MIGRATE_H
#define SKV_QUANT_MIGRATE_H

#include "quant/layer.h"

typedef enum skv_migration {
    SKV_SMOOTH, /* SmoothQuant (Xiao et al. 2023): s = max|x|^alpha / max|w|^(1 - alpha), activations quantized too */
    SKV_AWQ,    /* AWQ (Lin et al. 2023): s = mean|x|^alpha, weights alone quantized */
} skv_migration;

/* Changes the weights of `g` in place; its function stays the same. The layers' errors go into the report. */
skive_status skv_quant_migrate(skive_context *ctx, skive_graph *g, const skive_quantize_options *o, skv_migration kind,
                               const skv_inputs *inputs, const skv_quantizer *weights, const skv_quantizer *activations,
                               skive_quantize_report *report);

#endif
