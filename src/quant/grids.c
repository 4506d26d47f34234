/* The number grids of quantized models. */
#include "quant/quant.h"

skv_quantizer skv_quant_activations(void) {
    skv_quantizer q = skv_quantizer_of(&skv_grid_uint8);
    q.per = SKV_PER_TENSOR;
    q.asymmetric = true;
    return q;
}

skv_quantizer skv_quant_weights(bool per_channel) {
    skv_quantizer q = skv_quantizer_of(&skv_grid_int8);
    q.per = per_channel ? SKV_PER_CHANNEL : SKV_PER_TENSOR;
    q.narrow = true;
    q.low = -q.high;
    q.fit = SKV_FIT_RANGE;
    return q;
}
