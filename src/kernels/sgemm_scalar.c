/* The product of matrices, its inner part for any CPU. */
#include "kernels/vector4.h"
#define TILE      skv_sgemm_tile_scalar
#define TILE_ROWS 4
#include "kernels/sgemm_tile.h"
