/* CMSIS-NN follows the int8 specification of TensorFlow Lite for Microcontrollers, as the README of
 * https://github.com/ARM-software/CMSIS-NN says. Its s8 kernels: convolve, depthwise_conv, fully_connected (scales for
 * the whole weight), elementwise_add, avgpool, max_pool, and softmax of integers. Scales need not be powers of two:
 * kernels take multiplier and shift. */
#include "quant/target.h"

const skv_quant_target skv_quant_target_cmsis_nn = {
    .name = "cmsis-nn",
    .brief = "as tflite: int8 activations with a zero point, int8 weights, int32 biases",
    .activations = {"int8:asymmetric"},
    .weights = {"int8"},
    .products_per_tensor = true,
    .pools_keep_scale = true,
    .images_only = true,
    .left = "the s8 kernels of CMSIS-NN take convolutions and pooling of images only",
};
