/* Convolution over padded planes, its inner part for any CPU. */
#include "kernels/vector4.h"
#define TILE      skv_planes_tile_scalar
#define TILE_ROWS 4
#include "kernels/conv_planes_tile.h"
