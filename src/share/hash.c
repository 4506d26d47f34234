/* Sharing by hash. The layers become HashedGemm in a copy of the graph, which is what is trained; what the caller gets is
 * standard ONNX: the shared values and their negatives as a codebook, and the places as indices. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/hashed.h"
#include "graph/shared.h"
#include "share/share.h"
#include "train/train.h"

typedef struct hashed_layer {
    skv_hash_layer of;
    skive_node *node;
    char *buckets; /* name of the parameter in the copy */
} hashed_layer;

static hashed_layer layer_of(const skv_sharing *s, const skv_shareable *l) {
    const skive_type *w = &l->value->type;
    const bool transposed = skv_attr_int(l->node, "transB", 0) == 0;
    const double wanted = floor((double)l->n / s->o.hash + 0.5);
    const int64_t buckets = wanted < 1 ? 1 : wanted < (1 << 29) ? (int64_t)wanted : (1 << 29);
    const uint64_t seed = skv_hash64(l->value->name, strlen(l->value->name), s->o.seed);
    return (hashed_layer){.of = {skv_hashed_make(w->dims[transposed ? 1 : 0].size, w->dims[transposed ? 0 : 1].size,
                                                 buckets, (uint32_t)seed),
                                 transposed}};
}

/* ---- the values ---- */

/* A shared value that serves its members best is their mean, each with its sign. */
static skive_status start_values(skive_context *ctx, const hashed_layer *l, const skv_shareable *from, float *out) {
    const uint32_t k = l->of.h.buckets;
    const float *w = skv_shareable_data(from);
    double *sum = NULL;
    int64_t *members = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, k, sizeof *sum, &sum));
    SKV_GO(status, done, skv_alloc_array(ctx, k, sizeof *members, &members));
    for (int64_t i = 0; i < from->n; i++) {
        const uint32_t at = skv_hash_place(&l->of, i), bucket = at < k ? at : at - k;
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

static skive_status fill_row(skv_sharing *s, const hashed_layer *l, const skv_shareable *from, const float *values) {
    skive_share_layer *row = &s->report.layers[from->row];
    const uint32_t k = l->of.h.buckets;
    const float *w = skv_shareable_data(from);
    double error = 0;
    for (int64_t i = 0; i < from->n; i++) {
        const uint32_t at = skv_hash_place(&l->of, i);
        const double off = (double)w[i] - (at < k ? (double)values[at] : -(double)values[at - k]);
        error += off * off;
    }
    row->mse = error / (double)from->n;
    row->entropy = NAN;
    row->centroids = k;
    row->bytes = (int64_t)(k * sizeof(float));
    return count_distinct(s->ctx, from, &row->distinct);
}

/* ---- the copy that is trained ---- */

static skive_status hash_layer(skv_sharing *s, skive_graph *g, hashed_layer *l, const skv_shareable *from) {
    const int64_t k = l->of.h.buckets;
    skive_node *n = l->node;
    skive_value *w = n->inputs[1], *buckets = NULL;
    skv_storage *values = NULL;
    SKV_TRY(skv_asprintf(s->ctx, &l->buckets, "%.200s.buckets", w->name));
    SKV_TRY(skv_storage_create(s->ctx, SKIVE_F32, 1, &k, &values));
    skive_status status = start_values(s->ctx, l, from, values->tensor.data);
    if (status == SKIVE_OK) status = fill_row(s, l, from, values->tensor.data);
    if (status == SKIVE_OK) status = skv_graph_new_param(g, l->buckets, values, &buckets);
    if (status != SKIVE_OK) {
        skv_storage_release(values);
        return status;
    }
    buckets->trainable = true;
    SKV_TRY(skv_hash_node(n, &l->of, buckets));
    w->trainable = false; /* a subgraph may still read it */
    return g->nests ? SKIVE_OK : skv_graph_remove_value(w);
}

static skive_status make_hashed(skv_sharing *s, hashed_layer *layers, skive_graph **out) {
    skive_graph *g = NULL;
    SKV_TRY(skive_graph_copy(s->ctx, s->work, &g));
    *out = g;
    skv_params_mark_trainable(g);
    for (size_t i = 0; i < s->n; i++) { /* before numbers change: those of a copy are the same */
        layers[i] = layer_of(s, &s->layers[i]);
        layers[i].node = g->nodes[s->layers[i].node->id];
    }
    for (size_t i = 0; i < s->n; i++) {
        SKV_TRY(hash_layer(s, g, &layers[i], &s->layers[i]));
        SKV_TRY(skv_check_interrupt(s->ctx));
    }
    return skive_graph_infer(g);
}

/* ---- and back to standard ONNX ---- */

static skive_status write_back(skv_sharing *s, const skive_graph *hashed, const hashed_layer *l,
                               const skv_shareable *to) {
    const skive_value *buckets = skive_graph_find_value(hashed, l->buckets);
    skv_storage *entries = NULL, *indices = NULL;
    skive_value *codebook = NULL;
    SKV_TRY(skv_hash_codebook(s->ctx, &l->of, skv_value_tensor(buckets)->data, &entries));
    const skive_status status =
        skv_share_add_codebook(s, entries->tensor.data, 2 * (size_t)l->of.h.buckets, to, &codebook);
    skv_storage_release(entries);
    SKV_TRY(status);
    if (!s->o.plain) SKV_TRY(skv_hash_tell(s->work, to->value->name, &l->of)); /* a packer then keeps no indices */
    SKV_TRY(skv_hash_indices(s->ctx, &l->of, &to->value->type, &indices));
    return skv_shared_make(to->value, codebook, indices);
}

skive_status skv_share_by_hash(skv_sharing *s, skive_dataset *train, skive_dataset *validation) {
    hashed_layer *layers = NULL;
    skive_graph *hashed = NULL;
    skive_status status, tuned;
    SKV_GO(status, done, skv_alloc_array(s->ctx, s->n, sizeof *layers, &layers));
    SKV_GO(status, done, make_hashed(s, layers, &hashed));
    tuned = status = skv_share_tune(s, hashed, train, validation);
    if (tuned != SKIVE_OK && !(tuned == SKIVE_ERR_INTERRUPTED && s->tuned)) goto done;
    skv_params_assign(s->work, hashed); /* biases and norms were trained too */
    for (size_t i = 0; i < s->n; i++) SKV_GO(status, done, write_back(s, hashed, &layers[i], &s->layers[i]));
    status = tuned;
done:
    for (size_t i = 0; layers && i < s->n; i++) skv_free(s->ctx, layers[i].buckets);
    skv_free(s->ctx, layers);
    skive_graph_free(hashed);
    return status;
}
