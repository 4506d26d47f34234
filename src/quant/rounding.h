/* How weights get their codes: the records, and going through the layers. */
#ifndef SKV_QUANT_ROUNDING_H
#define SKV_QUANT_ROUNDING_H

#include "base/option.h"
#include "quant/gridded.h"
#include "quant/layer.h"

/* One group of a layer. Its outputs are y = f(w x + bias), f being a cut at low and high. */
typedef struct skv_rounding_task {
    skive_context *ctx;
    const skv_option_values *values;
    const char *name; /* of the node */
    int64_t out, k, n;
    const float *w;      /* [out][k] */
    const float *x;      /* [n][k] what the layer reads behind the quantized layers before it */
    const float *target; /* [n][out] what w x + bias should be */
    const float *bias;   /* [out] */
    double low, high;
    const skv_gridded *grid;
    const int64_t *group;    /* [out][k] of the grid's scales */
    skv_grid_params *params; /* the grid's, of which those of this group of the layer may be changed */
    int32_t *code;           /* [out][k] the nearest, to be replaced */
    uint64_t stream;         /* of random numbers */
} skv_rounding_task;
static inline const skv_grid_params *skv_task_params(const skv_rounding_task *t, int64_t i) {
    return &t->grid->params[t->group[i]];
}
static inline float skv_task_decode(const skv_rounding_task *t, int64_t i, int32_t code) {
    return skv_grid_decode(&t->grid->q, skv_task_params(t, i), code);
}

typedef struct skv_rounding {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    bool uniform;     /* only for grids of evenly spaced codes */
    bool of_floats;   /* its target is the float model; otherwise the same inputs with float weights */
    bool activation;  /* its error is that behind the activation function */
    bool migrates;    /* before anything is observed, factors of channels move between layers (migrate.h) */
    const char *step; /* what `round` is called in the report; NULL: by the record's name */
    skive_status (*round)(const skv_rounding_task *t); /* NULL: the nearest */
} skv_rounding;
size_t skv_rounding_count(void);
const skv_rounding *skv_rounding_at(size_t i);
const char *skv_rounding_name(size_t i);
const skv_rounding *skv_rounding_find(const char *name);
extern const skv_family skv_rounding_family;

/* y[n][out] = w x + bias, before the cut. */
skive_status skv_layer_product(skive_context *ctx, int64_t n, int64_t out, int64_t k, const float *x, const float *w,
                               const float *bias, float *y);

typedef struct skv_rounding_job {
    skive_context *ctx;
    const skive_graph *work;
    const skive_quantize_options *o;
    const bool *chosen;
    skv_points *points; /* with weights */
    const skv_inputs *inputs;
    const skv_rounding *rounding; /* NULL: only biases are corrected */
    const skv_option_values *values;
    int64_t rows; /* of each layer's inputs */
    bool correct; /* empirical bias correction */
    skive_quantize_report *report;
} skv_rounding_job;
/* Layer by layer, in the order of the graph, each behind those that are quantized already. */
skive_status skv_quant_round(const skv_rounding_job *job);

#define X(id) extern const skv_rounding skv_rounding_##id;
#include "quant/roundings.inc"
#undef X

#endif
