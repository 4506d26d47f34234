/* onnxruntime: Q/DQ pairs of uint8 or int8 activations with any zero point, weights of at most 8 bits, biases int32 or
 * float. https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html: without VNNI, its kernels for
 * x86-64 add two products of int8 weights in 16 bits (VPMADDUBSW), of int8 activations too. Weights of 7 bits cannot
 * leave these (2 * 255 * 63), and uint8 ones take another kernel, which is exact and slower. */
#include "quant/target.h"

const skv_quant_target skv_quant_target_onnxruntime = {
    .name = "onnxruntime",
    .brief = "all that skive writes: uint8 or int8 activations, 8, 7 and 4 bits of weights",
    .activations = {"uint8", "uint8:asymmetric", "int8", "int8:asymmetric", "uint16", "int16"},
    .weights = {"int8", "int8:tensor", "int7", "int7:tensor", "uint8", "uint8:tensor", "int4", "int4:tensor", "int4:32",
                "int4:64", "int4:128"},
    .of_int8 = "on x86-64 processors without VNNI onnxruntime adds products of int8 weights in pairs of 16 bits, which "
               "clips large ones: --weights int7 gives the same answers on all",
};
