/* The records of quantization, and what calibration gathers. */
#ifndef SKV_QUANT_H
#define SKV_QUANT_H

#include <skive/exec.h>
#include <skive/quant.h>

#include "graph/graph.h"

/* Counts of values in equal bins over [-reach, reach]. Grows with the data: reach doubles and neighbouring bins merge, so
 * one pass and fixed memory serve any number of samples. */
enum { SKV_HISTOGRAM_BINS = 8192 };
typedef struct skv_histogram {
    double low, high; /* smallest and largest value seen */
    double reach;     /* 0: nothing but zeros was seen */
    uint64_t *bins;   /* [SKV_HISTOGRAM_BINS]; NULL: only low and high are kept */
    uint64_t count;
    bool any;
} skv_histogram;
skive_status skv_histogram_create(skive_context *ctx, bool with_bins, skv_histogram *h);
void skv_histogram_free(skive_context *ctx, skv_histogram *h);
/* Adds x[n], of which `padding` zeros are not data. False, and nothing added, when there is NaN or infinity in it. */
bool skv_histogram_add(skv_histogram *h, const float *x, size_t n, size_t padding);
void skv_histogram_forget_zeros(skv_histogram *h, size_t zeros); /* takes back zeros that were counted */
/* Adds the counts of `other`. */
void skv_histogram_merge(skv_histogram *h, const skv_histogram *other);
double skv_histogram_center(const skv_histogram *h, int64_t bin);
/* Mean squared error of values quantized to `levels` steps over [low, high]. */
double skv_histogram_error(const skv_histogram *h, double low, double high, int levels);
double skv_histogram_power(const skv_histogram *h); /* mean square */

/* An observer chooses the range that the 8-bit grid covers. */
typedef struct skv_observer {
    const char *name, *brief;
    bool needs_bins;
    void (*choose)(const skv_histogram *h, const skive_quantize_options *o, double *low, double *high);
} skv_observer;
size_t skv_observer_count(void);
const skv_observer *skv_observer_at(size_t i);
const char *skv_observer_name(size_t i);
const skv_observer *skv_observer_find(const char *name);

/* An affine grid: real = scale * (integer - zero_point). */
typedef struct skv_affine {
    float scale;
    int zero_point;
} skv_affine;
/* Asymmetric u8 over a range widened to hold zero, so that padding and ReLU are exact. */
skv_affine skv_affine_u8(double low, double high);
/* Symmetric s8, -127..127, for the largest magnitude. */
skv_affine skv_affine_s8(double magnitude);

/* Is the node named by the option `skip`? */
bool skv_quant_skipped(const skive_quantize_options *o, const skive_node *n);
/* Every name and pattern of `skip` must cover a node: ERR_NOT_FOUND with the nearest names. */
skive_status skv_quant_check_skip(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o);
/* NaN in a parameter, or infinity in one that multiplies: ERR_NUMERIC, naming it. */
skive_status skv_quant_check_weights(skive_context *ctx, const skive_graph *g);
/* Hands integers through unchanged: its result keeps the grid of its input. */
bool skv_quant_passes_through(const skive_node *n);
/* Enters a node that stays in float into the report's groups. */
skive_status skv_quant_leave(skive_context *ctx, skive_quantize_report *r, const skive_node *n, const char *reason);
/* The same for all that compute floats and are neither chosen nor named before (both by node id). */
skive_status skv_quant_leave_others(skive_context *ctx, skive_quantize_report *r, const skive_graph *g,
                                    const bool *chosen, const bool *named);

/* Where Q/DQ pairs go: values of the cleaned graph that quantized nodes read. */
typedef struct skv_point {
    skive_value *value;
    size_t source;      /* index of the point whose grid it takes (itself, or one before a MaxPool or Reshape) */
    skv_histogram seen; /* when it is its own source */
    skv_affine grid;
} skv_point;
typedef struct skv_points {
    skv_point *items;
    size_t n;
} skv_points;
/* Nodes to quantize get true in `chosen` (by node id); refused ones go to the report. */
skive_status skv_quant_points(skive_context *ctx, skive_graph *g, const skive_quantize_options *o, bool *chosen,
                              skv_points *out, skive_quantize_report *report);
/* Runs the graph on what `feed` gives and fills `seen` of every point that is its own source. */
skive_status skv_quant_calibrate(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o,
                                 const skv_observer *observer, skive_feed_fn feed, void *user, skv_points *points,
                                 int64_t *samples);
/* Inserts the pairs and turns weights and biases of chosen nodes into integers. */
skive_status skv_quant_insert(skive_context *ctx, skive_graph *g, const skive_quantize_options *o, const bool *chosen,
                              const skv_points *points, skive_quantize_report *report);
skive_status skv_quant_add_row(skive_context *ctx, skive_quantize_report *r, const skive_quantize_row *row,
                               const char *name);

#endif
