/* TensorRT, explicit quantization by Q/DQ pairs. The scheme is symmetric for activations and weights, zero points are
 * 0, and INT4 is for weights alone (https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/
 * work-quantized-types.html). Weights stored as integers have a DequantizeLinear before the product (quantized-types-
 * explicit-quantization.html on the same site); its quantized types have no int32, so that biases stay float and are
 * added to the sum before the result is rounded. */
#include "quant/target.h"

const skv_quant_target skv_quant_target_tensorrt = {
    .name = "tensorrt",
    .brief = "int8 activations with zero point 0, int8 weights for each channel, float biases",
    .activations = {"int8"},
    .weights = {"int8"},
    .float_bias = true,
};
