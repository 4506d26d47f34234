/* AWQ (Lin, Tang, Tang, Yang, Dang & Han 2023): channels of a layer's inputs with large activations get finer steps.
 * They are divided by s = mean|x|^alpha, and their weights multiplied by it, where what lies before the layer passes
 * such factors through; alpha is searched for each layer by the error of its outputs (migrate.c). Weights are then
 * rounded to the nearest. */
#include "quant/rounding.h"

const skv_rounding skv_rounding_awq = {
    .name = "awq",
    .brief = "factors that make steps finer where activations are large, then the nearest",
    .migrates = true,
};
