/* TensorFlow Lite, its specification of 8-bit quantization (https://www.tensorflow.org/lite/performance/
 * quantization_spec; tensorflow/lite/g3doc/performance/quantization_spec.md in tensorflow/tensorflow): int8 activations
 * with any zero point, weights from -127 to 127 with zero point 0, one scale for each output channel of CONV_2D and
 * DEPTHWISE_CONV_2D and one for all of FULLY_CONNECTED, int32 biases with the scale of the input times that of the
 * weights; input and output of AVERAGE_POOL_2D, MAX_POOL_2D, RESHAPE and TRANSPOSE share scale and zero point. */
#include "quant/target.h"

const skv_quant_target skv_quant_target_tflite = {
    .name = "tflite",
    .brief = "int8 activations with a zero point, int8 weights, int32 biases; matrix products with one scale",
    .activations = {"int8:asymmetric"},
    .weights = {"int8"},
    .products_per_tensor = true,
    .pools_keep_scale = true,
    .images_only = true,
    .left = "the int8 kernels of TensorFlow Lite take convolutions and pooling of images only",
};
