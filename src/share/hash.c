/* Sharing by hash: the result is standard ONNX, with the shared values and their negatives as a codebook, and the
 * hashed positions as indices. */
#include <math.h>
#include <string.h>

#include "share/hashed/forms.h"
#include "graph/shared.h"
#include "share/share.h"

static skv_hash_layer layer_of(const skv_sharing *s, const skv_shareable *l) {
    const skive_type *w = &l->value->type;
    const bool transposed = skv_attr_int(l->node, "transB", 0) == 0;
    const double wanted = floor((double)l->n / s->o.hash + 0.5);
    const int64_t buckets = wanted < 1 ? 1 : wanted < (1 << 29) ? (int64_t)wanted : (1 << 29);
    const uint64_t seed = skv_hash64(l->value->name, strlen(l->value->name), s->o.seed);
    return (skv_hash_layer){
        skv_hashed_make(w->dims[transposed ? 1 : 0].size, w->dims[transposed ? 0 : 1].size, buckets, (uint32_t)seed),
        transposed};
}

/* The best shared value for its members is their mean, each with its sign. */
static skive_status start_values(skive_context *ctx, const skv_hash_layer *l, const skv_shareable *from, float *out) {
    const uint32_t k = l->h.buckets;
    const float *w = skv_shareable_data(from);
    double *sum = NULL;
    int64_t *members = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, k, sizeof *sum, &sum));
    SKV_GO(status, done, skv_alloc_array(ctx, k, sizeof *members, &members));
    for (int64_t i = 0; i < from->n; i++) {
        const uint32_t at = skv_hash_entry(l, i), bucket = at < k ? at : at - k;
        sum[bucket] += at < k ? (double)w[i] : -(double)w[i];
        members[bucket]++;
    }
    for (uint32_t b = 0; b < k; b++) out[b] = members[b] ? (float)(sum[b] / (double)members[b]) : 0.0f;
done:
    skv_free(ctx, sum);
    skv_free(ctx, members);
    return status;
}

static skive_status count_distinct(skive_context *ctx, const skv_shareable *l, int64_t *out) {
    float *copy = NULL;
    skv_sorted sorted;
    SKV_TRY(skv_alloc(ctx, (size_t)l->n * sizeof *copy, &copy));
    memcpy(copy, skv_shareable_data(l), (size_t)l->n * sizeof *copy);
    SKV_TRY(skv_sorted_create(ctx, copy, (size_t)l->n, &sorted));
    *out = (int64_t)sorted.n;
    skv_sorted_free(ctx, &sorted);
    return SKIVE_OK;
}

static skive_status fill_row(skv_sharing *s, const skv_hash_layer *l, const skv_shareable *from, const float *values) {
    skive_share_layer *row = &s->report.layers[from->row];
    const uint32_t k = l->h.buckets;
    const float *w = skv_shareable_data(from);
    double error = 0;
    for (int64_t i = 0; i < from->n; i++) {
        const uint32_t at = skv_hash_entry(l, i);
        const double off = (double)w[i] - (at < k ? (double)values[at] : -(double)values[at - k]);
        error += off * off;
    }
    row->mse = error / (double)from->n;
    row->entropy = NAN;
    row->centroids = k;
    row->bytes = (int64_t)(k * sizeof(float));
    return count_distinct(s->ctx, from, &row->distinct);
}

/* A weight becomes a codebook with its values and indices with its positions. */
static skive_status hash_layer(skv_sharing *s, const skv_shareable *from) {
    const skv_hash_layer l = layer_of(s, from);
    float *values = NULL;
    skv_storage *entries = NULL, *indices = NULL;
    skive_value *codebook = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(s->ctx, l.h.buckets, sizeof *values, &values));
    SKV_GO(status, done, start_values(s->ctx, &l, from, values));
    SKV_GO(status, done, fill_row(s, &l, from, values));
    SKV_GO(status, done, skv_hash_codebook(s->ctx, &l, values, &entries));
    SKV_GO(status, done, skv_share_add_codebook(s, entries->tensor.data, 2 * (size_t)l.h.buckets, from, &codebook));
    SKV_GO(status, done, skv_hash_tell(s->work, from->value->name, &l)); /* used by training and packing */
    SKV_GO(status, done, skv_hash_indices(s->ctx, &l, &from->value->type, &indices));
    status = skv_shared_make(from->value, codebook, indices);
done:
    skv_storage_release(entries);
    skv_free(s->ctx, values);
    return status;
}

skive_status skv_share_by_hash(skv_sharing *s) {
    for (size_t i = 0; i < s->n; i++) {
        SKV_TRY(hash_layer(s, &s->layers[i]));
        SKV_TRY(skv_check_interrupt(s->ctx));
    }
    return SKIVE_OK;
}
