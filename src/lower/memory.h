/* One arena for pieces of memory that are needed at different times. */
#ifndef SKV_LOWER_MEMORY_H
#define SKV_LOWER_MEMORY_H

#include "base/base.h"

/* A piece is needed from step `first` to step `last`, both included. */
typedef struct skv_piece {
    size_t bytes, offset; /* offset: written by skv_pieces_pack */
    uint32_t first, last;
} skv_piece;

/* Gives every piece an offset, a multiple of `align` (a power of two), so that no two that are needed in a common step
 * overlap; *bytes is the size of the arena. Largest first, each at the lowest offset that is free in its time (the
 * greedy-by-size strategy of Pisarchyk & Lee, 2020); very many pieces in order of time, each in the lowest gap. A piece
 * without bytes takes one. ERR_LIMIT if the sum is no size_t; ERR_MEMORY. */
skive_status skv_pieces_pack(skive_context *ctx, skv_piece *pieces, size_t n, size_t align, size_t *bytes);

#endif
