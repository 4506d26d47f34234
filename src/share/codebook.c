/* From weights to a codebook and indices. */
#include <math.h>

#include "share/share.h"

/* The weights to cluster: all, or the nonzero ones. */
static skive_status collect(skive_context *ctx, const skv_shareable *layers, size_t n, bool without_zeros, float **out,
                            size_t *count) {
    int64_t total = 0;
    for (size_t l = 0; l < n; l++) total += layers[l].n;
    SKV_TRY(skv_alloc(ctx, (size_t)total * sizeof **out, out));
    size_t at = 0;
    for (size_t l = 0; l < n; l++) {
        const float *w = skv_shareable_data(&layers[l]);
        for (int64_t i = 0; i < layers[l].n; i++) {
            if (!without_zeros || w[i] != 0) (*out)[at++] = w[i];
        }
    }
    *count = at;
    return SKIVE_OK;
}

static skive_status cluster(skive_context *ctx, const skive_share_options *o, const char *name, const skv_sorted *s,
                            size_t k, skv_clusters *out) {
    double centroids[SKV_SHARE_MAX_ENTRIES];
    if (k >= s->n) { /* every value is its own centroid */
        *out = (skv_clusters){.k = s->n};
        for (size_t c = 0; c < s->n; c++) {
            out->start[c] = c;
            out->centroid[c] = s->value[c];
        }
        return SKIVE_OK;
    }
    SKV_TRY(skv_share_init_find(o->init)->place(ctx, s, k, o->seed, centroids));
    skv_lloyd(s, k, centroids, o->max_iterations, out);
    if (out->iterations >= o->max_iterations)
        skv_note(ctx, "'%s': k-means was stopped after %d iterations, before it converged", name, o->max_iterations);
    return SKIVE_OK;
}

skive_status skv_codebook_create(skive_context *ctx, const skive_share_options *o, const skv_shareable *layers,
                                 size_t n, skv_codebook *out, int64_t *distinct) {
    int64_t zeros = 0;
    float *x = NULL;
    size_t count;
    skv_sorted s;
    skv_clusters clusters;
    for (size_t l = 0; l < n; l++) zeros += layers[l].zeros;
    *out = (skv_codebook){.has_zero = o->keep_zero && zeros > 0};
    SKV_TRY(collect(ctx, layers, n, out->has_zero, &x, &count));
    SKV_TRY(skv_sorted_create(ctx, x, count, &s));
    const size_t first = out->has_zero, k = ((size_t)1 << layers[0].bits) - first;
    *distinct = (int64_t)(s.n + first);
    const skive_status status = cluster(ctx, o, layers[0].value->name, &s, k, &clusters);
    if (status == SKIVE_OK) {
        out->k = first + clusters.k;
        for (size_t c = 0; c < clusters.k; c++) {
            out->entry[first + c] = clusters.centroid[c];
            out->edge[first + c] = c ? s.value[clusters.start[c]] : -INFINITY;
        }
    }
    skv_sorted_free(ctx, &s);
    return status;
}

/* The last of n ascending edges that is not above w. */
static size_t find(const float *edge, size_t n, float w) {
    size_t at = 0;
    for (size_t left = n; left > 1;) {
        const size_t half = left / 2;
        at = edge[at + half] <= w ? at + half : at;
        left -= half;
    }
    return at;
}

static double entropy_of(const int64_t *members, size_t k, int64_t n) {
    double bits = 0;
    for (size_t c = 0; c < k; c++) {
        const double p = (double)members[c] / (double)n;
        if (p > 0) bits -= p * log2(p);
    }
    return bits;
}

void skv_codebook_encode(const skv_codebook *c, const skv_shareable *layer, uint8_t *indices, skive_share_layer *row) {
    const float *w = skv_shareable_data(layer);
    const size_t first = c->has_zero, n = c->k - first;
    int64_t members[SKV_SHARE_MAX_ENTRIES] = {0};
    double error = 0;
    for (int64_t i = 0; i < layer->n; i++) {
        const size_t at = c->has_zero && w[i] == 0 ? 0 : first + find(c->edge + first, n, w[i]);
        const double off = (double)w[i] - (double)c->entry[at];
        indices[i] = (uint8_t)at;
        members[at]++;
        error += off * off;
    }
    while ((size_t)1 << row->bits < c->k) row->bits++;
    row->centroids = (int64_t)c->k;
    row->mse = error / (double)layer->n;
    row->entropy = entropy_of(members, c->k, layer->n);
    row->bytes += (layer->n * row->bits + 7) / 8;
}
