/* onnxruntime: Q/DQ pairs of uint8 or int8 activations with any zero point, weights int8 or 4 bits, biases int32 or
 * float. https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html: S8S8 with QDQ is the setting it
 * suggests first; U8S8 may saturate on processors without VNNI. */
#include "quant/target.h"

const skv_quant_target skv_quant_target_onnxruntime = {
    .name = "onnxruntime",
    .brief = "all that skive writes: uint8 or int8 activations, 8 and 4 bits of weights",
    .activations = {"uint8", "uint8:asymmetric", "int8", "int8:asymmetric", "uint16", "int16"},
    .weights = {"int8", "int8:tensor", "int4", "int4:tensor", "int4:32", "int4:64", "int4:128"},
};
