/* Grids whose levels are whole multiples of one number that int8 holds, such as powers of two from 1/64 to 1. A file
 * holds such numbers as int8 with a part of the scale, and sums of their products are integers. */
#ifndef SKV_TENSOR_GRID_WHOLE_H
#define SKV_TENSOR_GRID_WHOLE_H

#include "tensor/grid.h"

/* The least factor that makes all levels of a grid with a table whole; 0 if there is none, or the grid has no table. */
int32_t skv_grid_whole(const skv_grid *grid);

#endif
