/* Mean and standard deviation of each channel of a model's values without any data, from the statistics that
 * BatchNormalization keeps (data-free quantization, Nagel, van Baalen, Blankevoort & Welling 2019). */
#ifndef SKV_QUANT_MOMENTS_H
#define SKV_QUANT_MOMENTS_H

#include "graph/graph.h"
#include "quant/pairs.h"

/* What a BatchNormalization says of its output: a normal distribution for each channel. */
typedef struct skv_normal {
    char *value[2]; /* names of the value behind it, and of its input, which has the statistics once it is folded */
    int64_t n;
    float *mean, *deviation; /* [n] */
} skv_normal;
typedef struct skv_normals {
    skv_normal *items;
    size_t n;
} skv_normals;
/* Of all BatchNormalizations of a graph that is not folded yet. */
skive_status skv_normals_find(skive_context *ctx, const skive_graph *g, skv_normals *out);
void skv_normals_free(skive_context *ctx, skv_normals *s);
/* The statistics of a value's channels; NULL: there are none. */
skv_normal *skv_normals_of(const skv_normals *s, const skive_value *v);

/* The moments of a value. */
typedef struct skv_moments {
    int64_t n;               /* channels; 0: unknown */
    double *mean, *variance; /* [n] */
    double low, high;        /* limits of all its numbers that activations set; infinite: none */
    double from, to;         /* where its numbers are expected: up to 6 deviations from the means, within the limits */
} skv_moments;
/* Follows them through the folded graph: [values] by id. Sums take the branches, and products their inputs, as
 * independent. *out is freed by skv_moments_free. The range of the graph's inputs is low to high, evenly; low > high:
 * unknown. */
skive_status skv_moments_follow(skive_context *ctx, const skive_graph *g, const skv_normals *s, double low, double high,
                                skv_moments **out);
void skv_moments_free(skive_context *ctx, skv_moments *m, uint32_t n_values);
/* Mean and variance of a normal number that is cut off at low and high. */
void skv_cut_normal(double mean, double variance, double low, double high, double *cut_mean, double *cut_variance);

#endif
