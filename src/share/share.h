/* Internals of weight sharing: k-means in one dimension on sorted values, its initialisations, and the steps of the
 * method. */
#ifndef SKV_SHARE_H
#define SKV_SHARE_H

#include <skive/share.h>

#include "base/option.h"
#include "graph/graph.h"

/* ---- sorted values ---- equal ones once, with prefix sums, so that the cost of any run takes two look-ups ---- */

typedef struct skv_sorted {
    size_t n;                     /* different values */
    float *value;                 /* [n] ascending */
    double shift;                 /* subtracted from each value in the sums, which keeps them small */
    double *count, *sum, *square; /* [n + 1] over the first i values: count, sum, sum of squares */
} skv_sorted;
/* Takes over x[n] (from skv_alloc, finite), which is freed with the rest, on failure too. */
skive_status skv_sorted_create(skive_context *ctx, float *x, size_t n, skv_sorted *out);
void skv_sorted_free(skive_context *ctx, skv_sorted *s);

/* Of values from .. to-1, to > from: their mean, and the sum of their squared distances from it. */
static inline double skv_run_mean(const skv_sorted *s, size_t from, size_t to) {
    return s->shift + (s->sum[to] - s->sum[from]) / (s->count[to] - s->count[from]);
}
static inline double skv_run_cost(const skv_sorted *s, size_t from, size_t to) {
    const double sum = s->sum[to] - s->sum[from];
    const double cost = s->square[to] - s->square[from] - sum * sum / (s->count[to] - s->count[from]);
    return cost > 0 ? cost : 0;
}
/* The first value above x; n if there is none. */
size_t skv_sorted_above(const skv_sorted *s, double x);
/* The value that has `rank` weights (from 0, below the number of all) before it. */
size_t skv_sorted_at_rank(const skv_sorted *s, double rank);

/* ---- initial centroids ---- */

typedef struct skv_share_init {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    /* Fills centroids[k] in any order; 1 <= k <= s->n. */
    skive_status (*place)(skive_context *ctx, const skv_sorted *s, size_t k, uint64_t seed, double *centroids);
} skv_share_init;
size_t skv_share_init_count(void);
const skv_share_init *skv_share_init_at(size_t i);
const char *skv_share_init_name(size_t i);
const skv_share_init *skv_share_init_find(const char *name);
extern const skv_family skv_share_init_family;
extern const skv_table skv_share_table;

/* ---- clustering ---- */

enum { SKV_SHARE_MAX_ENTRIES = 1 << SKIVE_SHARE_MAX_BITS };

/* The clusters are runs of values: cluster c is start[c] .. start[c+1]-1, none empty. */
typedef struct skv_clusters {
    size_t k;
    size_t start[SKV_SHARE_MAX_ENTRIES + 1];
    float centroid[SKV_SHARE_MAX_ENTRIES]; /* strictly ascending */
    int iterations;
} skv_clusters;
/* Lloyd's algorithm from centroids[k], which are sorted in place; a cluster that becomes empty takes half of the one
 * with the largest error. */
void skv_lloyd(const skv_sorted *s, size_t k, double *centroids, int max_iterations, skv_clusters *out);
/* The optimum by dynamic programming: start[0..k]. Needs 4 k n bytes. */
skive_status skv_exact_clusters(skive_context *ctx, const skv_sorted *s, size_t k, size_t *start);
/* Sum of squared distances of a clustering. */
double skv_clusters_cost(const skv_sorted *s, const size_t *start, size_t k);

/* ---- the method's steps ---- */

/* One parameter that is shared. */
typedef struct skv_shareable {
    skive_value *value;
    const skive_node *node;
    size_t row; /* of the report */
    int64_t n, zeros;
    int bits; /* of an index */
} skv_shareable;

/* Entries of a codebook: zero first if it has its own entry, the others ascending. */
typedef struct skv_codebook {
    size_t k;
    bool has_zero;
    float entry[SKV_SHARE_MAX_ENTRIES];
    float edge[SKV_SHARE_MAX_ENTRIES]; /* smallest weight of an entry; -infinity for the first */
} skv_codebook;
/* Clusters the weights of n layers together, to the first one's bits. *distinct is the number of their different
 * values, including zero. */
skive_status skv_codebook_create(skive_context *ctx, const skive_share_options *o, const skv_shareable *layers,
                                 size_t n, skv_codebook *out, int64_t *distinct);
/* The index of each of the layer's weights; adds the error to the row. */
void skv_codebook_encode(const skv_codebook *c, const skv_shareable *layer, uint8_t *indices, skive_share_layer *row);

static inline const float *skv_shareable_data(const skv_shareable *l) { return skv_value_tensor(l->value)->data; }

/* A run of the method, on a copy of the graph. */
typedef struct skv_sharing {
    skive_context *ctx;
    skive_share_options o;
    skive_graph *work;
    skv_shareable *layers;
    size_t n;
    bool tuned;   /* an epoch of fine-tuning is done */
    double reach; /* the part of the way from 8 bits to the budget that is gone */
    skive_share_report report;
} skv_sharing;
/* Bits for each layer: those of the options, or what a budget leaves. `train` may be NULL. */
skive_status skv_share_choose_bits(skv_sharing *s, skive_dataset *train);
/* As far as the option max_drop allows. */
skive_status skv_share_within(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                              const skive_share_options *o, skive_share_report *report);
/* The method with a part of the way, and without the limit on the loss; `o` are checked. */
skive_status skv_share_part(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                            const skive_share_options *o, double reach, skive_share_report *report);
/* Is there a budget, or a limit on the loss, that decides the bits? */
static inline bool skv_share_chooses(const skive_share_options *o) { return o->bytes || o->max_drop >= 0; }
/* A codebook of n entries as a parameter named after `weight`, or with a generic name if several weights use it. */
skive_status skv_share_add_codebook(skv_sharing *s, const float *entries, size_t n, const skv_shareable *weight,
                                    skive_value **out);
/* The two methods, from the selected layers to a working graph that shares them. */
skive_status skv_share_by_clusters(skv_sharing *s);
skive_status skv_share_by_hash(skv_sharing *s);

#endif
