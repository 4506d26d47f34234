/* What a network loses when one layer is quantized: shared by the files of the measurement. */
#ifndef SKV_QUANT_SENSITIVITY_H
#define SKV_QUANT_SENSITIVITY_H

#include <skive/sensitivity.h>

#include "graph/weights.h"
#include "quant/gridded.h"
#include "quant/quant.h"
#include "tensor/grid.h"

extern const skv_table skv_sensitivity_table;

/* One of the ways to find the harm: a record of sensitivities.inc. */
typedef struct skv_sensing skv_sensing;
typedef struct skv_sensitivity {
    const char *name, *brief;
    bool quantizes_inputs;
    /* Fills what it measures, and the harm, of every row. rows[layers][grids] have their names and sizes. */
    skive_status (*measure)(skv_sensing *s);
} skv_sensitivity;
size_t skv_sensitivity_count(void);
const skv_sensitivity *skv_sensitivity_at(size_t i);
const char *skv_sensitivity_name(size_t i);
const skv_sensitivity *skv_sensitivity_find(const char *name);

typedef struct skv_sensed_grid {
    char *text;
    skv_quantizer q;
} skv_sensed_grid;

struct skv_sensing {
    skive_context *ctx;
    const skive_sensitivity_options *o;
    const skv_sensitivity *by;
    skive_graph *g; /* prepared */
    skive_dataset *calibration, *samples;
    skv_weight *layers; /* [n] that can be quantized */
    size_t n;
    skv_sensed_grid *grids; /* [n_grids] */
    size_t n_grids;
    bool inputs; /* are quantized */
    skv_quantizer activation;
    skv_quantizer *input_grid; /* [n] the grid of the layer's input, */
    skv_grid_params *input;    /* [n] and its parameters */
    bool *quantized;           /* [n] the layer's input is a computed float */
    skive_sensitivity_report report;
};

/* The grids of a list; a comma within one is written "\,". *out is freed by skv_sensed_grids_free, after a failure
 * too. */
skive_status skv_sensed_grids_parse(skive_context *ctx, const char *list, skv_sensed_grid **out, size_t *n);
void skv_sensed_grids_free(skive_context *ctx, skv_sensed_grid *grids, size_t n);
/* The weight of a layer rounded to a grid, y[elements]. */
skive_status skv_sensing_round(const skv_sensing *s, size_t layer, size_t grid, float *y, skv_gridded *c);
/* Measured: drop, loss, output, divergence. */
skive_status skv_sensing_run(skv_sensing *s, double (*harm)(const skive_sensitivity_row *row));

#endif
