/* A hashed layer in its two forms: HashedGemm, which computes entries as it goes, and standard ONNX, a Gemm whose
 * weight is gathered from the values and their negatives by indices. The second says in the metadata how the indices
 * came about. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "share/hashed/forms.h"
#include "graph/shared.h"

#define KEY "skive.hashed."

const char *skv_why_not_hashed(const skive_node *n) {
    const skive_value *w = skv_node_in(n, 1), *bias = skv_node_in(n, 2);
    if (!skv_node_is(n, SKV_OP_GEMM)) return "only Gemm can be hashed";
    if (skv_attr_int(n, "transA", 0) != 0 || skv_attr_float(n, "alpha", 1) != 1 || skv_attr_float(n, "beta", 1) != 1)
        return "its Gemm is transposed or scaled";
    if (w->n_uses != 1 || w->output_uses > 0) return "its weights have other uses";
    const int64_t rows = w->type.dims[skv_attr_int(n, "transB", 0) ? 0 : 1].size;
    if (bias && (bias->type.rank != 1 || bias->type.dims[0].size != rows))
        return "its bias is not one number per output";
    if (!skv_hashed_fits(w->type.dims[0].size, w->type.dims[1].size, 1)) return "it has too many weights";
    return NULL;
}

uint32_t skv_hash_entry(const skv_hash_layer *l, int64_t at) {
    const int64_t n = l->transposed ? at % l->h.rows * l->h.columns + at / l->h.rows : at;
    return (uint32_t)skv_hashed_index(&l->h, (uint32_t)n);
}

skive_status skv_hash_codebook(skive_context *ctx, const skv_hash_layer *l, const float *buckets, skv_storage **out) {
    const int64_t k = l->h.buckets, n = 2 * k;
    SKV_TRY(skv_storage_create(ctx, SKIVE_F32, 1, &n, out));
    float *entries = (*out)->tensor.data;
    for (int64_t b = 0; b < k; b++) {
        entries[b] = buckets[b];
        entries[k + b] = -buckets[b];
    }
    return SKIVE_OK;
}

skive_status skv_hash_indices(skive_context *ctx, const skv_hash_layer *l, const skive_type *w, skv_storage **out) {
    const uint32_t entries = 2 * l->h.buckets;
    const skive_dtype dtype = entries <= 1 << 8 ? SKIVE_U8 : entries <= 1 << 16 ? SKIVE_U16 : SKIVE_I32;
    const int64_t dims[] = {w->dims[0].size, w->dims[1].size};
    SKV_TRY(skv_storage_create(ctx, dtype, 2, dims, out));
    void *to = (*out)->tensor.data;
    for (int64_t i = 0; i < dims[0] * dims[1]; i++) {
        const uint32_t at = skv_hash_entry(l, i);
        if (dtype == SKIVE_U8)
            ((uint8_t *)to)[i] = (uint8_t)at;
        else if (dtype == SKIVE_U16)
            ((uint16_t *)to)[i] = (uint16_t)at;
        else
            ((int32_t *)to)[i] = (int32_t)at;
    }
    return SKIVE_OK;
}

skive_status skv_hash_tell(skive_graph *g, const char *weight, const skv_hash_layer *l) {
    char key[256], value[64];
    (void)snprintf(key, sizeof key, KEY "%.*s", skv_utf8_prefix(weight, 200), weight);
    if (l)
        (void)snprintf(value, sizeof value, "seed %" PRIu32 " rows %lld columns %lld", l->h.seed, (long long)l->h.rows,
                       (long long)l->h.columns);
    return skive_graph_set_meta(g, key, l ? value : NULL);
}

/* The Gemm becomes a HashedGemm over `buckets`; its weight loses this use. */
static skive_status hash_node(skive_node *gemm, const skv_hash_layer *l, skive_value *buckets) {
    skv_builder b = skv_build(gemm->graph);
    skive_value *bias = skv_node_in(gemm, 2), *const in[] = {gemm->inputs[0], buckets, bias};
    const skv_attr_init attrs[] = {SKV_INT("rows", l->h.rows), SKV_INT("columns", l->h.columns),
                                   SKV_INT("seed", l->h.seed)};
    b.prefix = gemm->name;
    skive_value *y = skv_emit(&b, "HashedGemm", (skv_in_list){in, bias ? 3 : 2}, (skv_attr_list){attrs, 3});
    SKV_TRY(b.status);
    SKV_TRY(skv_value_replace_uses(gemm->outputs[0], y, true));
    return skv_graph_remove_node(gemm);
}

/* ---- to HashedGemm ---- */

/* What the metadata say of a weight; false when it is not hashed, or no longer what they say. */
static bool read_layer(const char *text, const skive_value *weight, const skv_shared *s, skv_hash_layer *out) {
    long long rows, columns;
    uint32_t seed;
    const skive_tensor *codebook = skv_value_tensor(s->codebook), *indices = skv_value_tensor(s->indices);
    if (sscanf(text, "seed %" SCNu32 " rows %lld columns %lld", &seed, &rows, &columns) != 3) return false;
    const skive_node *gemm = weight->n_uses == 1 ? weight->uses[0].node : NULL;
    if (!gemm || weight->uses[0].index != 1 || skv_why_not_hashed(gemm)) return false;
    const bool transposed = skv_attr_int(gemm, "transB", 0) == 0;
    const int64_t k = codebook->dims[0] / 2;
    if (codebook->dims[0] % 2 != 0 || indices->rank != 2 || indices->dims[transposed ? 1 : 0] != rows ||
        indices->dims[transposed ? 0 : 1] != columns || !skv_hashed_fits(rows, columns, k))
        return false;
    *out = (skv_hash_layer){skv_hashed_make(rows, columns, k, seed), transposed};
    const float *values = codebook->data;
    for (int64_t b = 0; b < k; b++) {
        if (values[k + b] != -values[b]) return false;
    }
    for (int64_t i = 0; i < rows * columns; i++) {
        if (skv_shared_index(indices, i) != (int64_t)skv_hash_entry(out, i)) return false;
    }
    return true;
}

static skive_status hash_weight(skive_graph *g, skive_value *weight, const skv_shared *s, const skv_hash_layer *l) {
    const int64_t k = l->h.buckets;
    skive_node *gemm = weight->uses[0].node;
    const float *values = skv_value_tensor(s->codebook)->data;
    skv_storage *storage = NULL;
    skive_value *buckets = NULL;
    char name[256];
    (void)snprintf(name, sizeof name, "%.*s.buckets", skv_utf8_prefix(weight->name, 200), weight->name);
    SKV_TRY(skv_storage_create(g->ctx, SKIVE_F32, 1, &k, &storage));
    memcpy(storage->tensor.data, values, (size_t)k * sizeof *values);
    const skive_status status =
        skv_graph_new_param(g, skive_graph_find_value(g, name) ? NULL : name, storage, &buckets);
    if (status != SKIVE_OK) {
        skv_storage_release(storage);
        return status;
    }
    buckets->trainable = s->codebook->trainable;
    s->codebook->trainable = false; /* a subgraph may still read it */
    SKV_TRY(hash_node(gemm, l, buckets));
    (void)skv_graph_sweep(g);
    return SKIVE_OK;
}

static bool is_told(const skive_graph *g, uint32_t i) { return strncmp(g->meta[i].key, KEY, strlen(KEY)) == 0; }

bool skv_graph_tells_hashed(const skive_graph *g) {
    bool any = false;
    for (uint32_t i = 0; i < g->n_meta; i++) any = any || is_told(g, i);
    return any;
}

/* The hashed weight that entry `i` of the metadata is about; NULL when there is none. */
static skive_value *told(const skive_graph *g, uint32_t i, skv_shared *s, skv_hash_layer *layer) {
    skive_value *weight = is_told(g, i) ? skive_graph_find_value(g, g->meta[i].key + strlen(KEY)) : NULL;
    return weight && skv_shared_find(weight, s) && read_layer(g->meta[i].value, weight, s, layer) ? weight : NULL;
}

skive_status skv_graph_to_hashed(skive_graph *g) {
    for (uint32_t i = 0; i < g->n_meta;) {
        skv_hash_layer layer;
        skv_shared s;
        skive_value *weight = told(g, i, &s, &layer);
        if (!weight) {
            i++;
            continue;
        }
        SKV_TRY(hash_weight(g, weight, &s, &layer));
        SKV_TRY(skive_graph_set_meta(g, g->meta[i].key, NULL)); /* the next entry takes this one's place */
    }
    return SKIVE_OK;
}

/* ---- and back ---- */

/* "fc1.weight" of "fc1.weight.buckets". */
static void weight_name(const char *buckets, char *out, size_t size) {
    static const char suffix[] = ".buckets";
    const size_t n = strlen(buckets), end = strlen(suffix);
    const bool has = n > end && strcmp(buckets + n - end, suffix) == 0;
    (void)snprintf(out, size, "%.*s", (int)(has ? n - end : n), buckets);
}

static skive_status unhash_node(skive_node *n) {
    skive_graph *g = n->graph;
    skive_value *buckets = n->inputs[1], *bias = skv_node_in(n, 2), *weight = NULL, *codebook = NULL;
    const skive_tensor *values = skv_value_tensor(buckets);
    if (!values)
        return skv_fail_at(g->ctx, SKIVE_ERR_UNSUPPORTED, n->name, "node '%s': its shared values are not a parameter",
                           n->name);
    const skv_hash_layer l = {skv_hashed_of(n, values->dims[0]), false};
    const int64_t dims[] = {l.h.rows, l.h.columns};
    skv_storage *entries = NULL, *indices = NULL, *dense = NULL;
    char name[256];
    weight_name(buckets->name, name, sizeof name);
    skv_builder b = skv_build(g);
    SKV_TRY(skv_storage_create(g->ctx, SKIVE_F32, 2, dims, &dense));
    weight = skv_emit_param(&b, skive_graph_find_value(g, name) ? NULL : name, dense);
    SKV_TRY(b.status);
    weight->trainable = buckets->trainable;
    SKV_TRY(skv_hash_codebook(g->ctx, &l, values->data, &entries));
    codebook = skv_emit_param(&b, NULL, entries);
    b.prefix = n->name;
    skive_value *const in[] = {n->inputs[0], weight, bias};
    const skv_attr_init transposed[] = {SKV_INT("transB", 1)};
    skive_value *y = skv_emit(&b, "Gemm", (skv_in_list){in, bias ? 3 : 2}, (skv_attr_list){transposed, 1});
    SKV_TRY(b.status);
    SKV_TRY(skv_value_replace_uses(n->outputs[0], y, true));
    SKV_TRY(skv_graph_remove_node(n));
    SKV_TRY(skv_hash_tell(g, weight->name, &l));
    SKV_TRY(skv_hash_indices(g->ctx, &l, &weight->type, &indices));
    SKV_TRY(skv_shared_make(weight, codebook, indices));
    (void)skv_graph_sweep(g);
    return SKIVE_OK;
}

skive_status skv_graph_from_hashed(skive_graph *g) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        if (!skv_node_is(g->nodes[i], SKV_OP_HASHED_GEMM)) continue;
        SKV_TRY(unhash_node(g->nodes[i]));
        i = UINT32_MAX; /* from the start: nodes have moved */
    }
    return SKIVE_OK;
}

/* A codebook and what it becomes; afterwards, what it was. */
typedef struct renewal {
    skive_value *codebook;
    skv_storage *other;
} renewal;

skive_status skv_hashed_assign(skive_graph *to, const skive_graph *hashed) {
    renewal *list = NULL;
    uint32_t n = 0;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(to->ctx, (size_t)to->n_meta + 1, sizeof *list, &list));
    for (uint32_t i = 0; i < to->n_meta; i++) {
        skv_shared s;
        skv_hash_layer layer;
        char name[256];
        const skive_value *weight = told(to, i, &s, &layer);
        if (!weight) continue;
        (void)snprintf(name, sizeof name, "%.*s.buckets", skv_utf8_prefix(weight->name, 200), weight->name);
        const skive_tensor *values = skv_value_tensor(skive_graph_find_value(hashed, name));
        if (!values) continue;
        SKV_GO(status, done, skv_hash_codebook(to->ctx, &layer, values->data, &list[n].other));
        list[n++].codebook = s.codebook;
    }
    for (uint32_t i = 0; i < n; i++) { /* nothing can fail from here on */
        skv_storage *old = list[i].codebook->storage;
        list[i].codebook->storage = list[i].other;
        list[i].other = old;
    }
done:
    for (uint32_t i = 0; i < n; i++) skv_storage_release(list[i].other);
    skv_free(to->ctx, list);
    return status;
}
