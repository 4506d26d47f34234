/* The nearest code of each weight. */
#include "quant/rounding.h"

const skv_rounding skv_rounding_nearest = {.name = "nearest", .brief = "each weight by itself"};
