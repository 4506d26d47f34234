/* Layers between which a positive factor for each channel can be moved: one computes the channels, the others read
 * them, and what lies between passes such factors through. */
#ifndef SKV_QUANT_PAIRS_H
#define SKV_QUANT_PAIRS_H

#include "graph/graph.h"
#include "graph/weights.h"

enum { SKV_PAIR_READERS = 8, SKV_PAIR_SHIFTS = 4 };

typedef struct skv_pair_reader {
    skive_node *node;
    skv_weight_view view; /* of its weight, input 1 */
    int64_t inner; /* neighbouring inputs that belong to one channel: behind Flatten the positions of the plane */
} skv_pair_reader;

typedef struct skv_pair {
    skive_node *from;
    bool normalises;      /* from is a normalisation; its scale and shift have one number a channel */
    skv_weight_view view; /* of the weight of `from`, input 1, otherwise */
    int64_t channels;
    skive_value *shifts[SKV_PAIR_SHIFTS]; /* added to the channels behind `from`, its own bias first; NULL: none */
    size_t n_shifts;
    skv_pair_reader readers[SKV_PAIR_READERS];
    size_t n_readers;
    bool rectified; /* a Relu lies between, and nothing that depends on neighbours (bias absorption) */
    bool direct;    /* nothing but a Relu lies between */
} skv_pair;

typedef struct skv_pairs {
    skv_pair *items;
    size_t n;
    size_t n_clipped;    /* would be pairs but for a Clip between them (ReLU6) */
    const char *clipped; /* the first such Clip; the graph's name */
} skv_pairs;

/* In the order of the graph. `normalisations`: those before products, too. */
skive_status skv_pairs_find(skive_context *ctx, const skive_graph *g, bool normalisations, skv_pairs *out);
void skv_pairs_free(skive_context *ctx, skv_pairs *p);

/* The channel that an element of a reader's weight multiplies. */
int64_t skv_pair_input(const skv_pair_reader *r, const skive_tensor *w, int64_t index);
/* The output channel of an element of a weight. */
int64_t skv_pair_output(const skv_weight_view *v, const skive_tensor *w, int64_t index);
/* Channels of `from` by 1 / s[channel], what reads them by s: the function stays the same. The storages are replaced by
 * the graph's own. */
skive_status skv_pair_scale(skive_graph *g, const skv_pair *p, const float *s);
/* A float32 parameter's numbers, to be changed. */
skive_status skv_own_numbers(skive_graph *g, skive_value *v, float **x);

#endif
