/* Shared by GridSample and its gradient: which elements a position of the grid reads, and with which weights. */
#ifndef SKV_OPS_COMMON_GRID_SAMPLE_H
#define SKV_OPS_COMMON_GRID_SAMPLE_H

#include "ops/common_nn.h"

enum { SKV_GRID_SPATIAL = 3, SKV_GRID_TAPS = 4 };

typedef enum skv_grid_mode {
    SKV_GRID_LINEAR,
    SKV_GRID_NEAREST,
    SKV_GRID_CUBIC,
    SKV_GRID_MODES /* the node's is none of them */
} skv_grid_mode;
typedef enum skv_grid_padding {
    SKV_GRID_ZEROS,
    SKV_GRID_BORDER,
    SKV_GRID_REFLECTION,
    SKV_GRID_PADDINGS /* the node's is none of them */
} skv_grid_padding;

extern const skv_attr_spec skv_grid_sample_attrs[3];
skv_grid_mode skv_grid_mode_of(const skive_node *n);
skv_grid_padding skv_grid_padding_of(const skive_node *n);

/* The entries and weights for one coordinate; entry -1 is outside. `slope` is the derivative of the weight with respect
 * to the coordinate. */
typedef struct skv_grid_taps {
    int64_t entry[SKV_GRID_TAPS];
    double weight[SKV_GRID_TAPS], slope[SKV_GRID_TAPS];
    int n;
} skv_grid_taps;
skv_grid_taps skv_grid_taps_of(double g, int64_t size, skv_grid_mode how, skv_grid_padding pad, bool corners);

/* One combination of taps. */
typedef struct skv_grid_corner {
    int64_t at; /* element of a plane; -1: outside */
    double weight;
    double slope[SKV_GRID_SPATIAL]; /* of the weight, by the coordinate of each axis */
} skv_grid_corner;
/* Steps k, which starts as zeros, over all combinations; false after the last one. */
bool skv_grid_next(int *k, const skv_grid_taps *t, int spatial);
skv_grid_corner skv_grid_corner_at(const int *k, const int64_t *sizes, const skv_grid_taps *t, int spatial);

#endif
