/* Sharing by k-means: one codebook per layer or one for all, indices, and fine-tuning of the codebooks. */
#include "share/share.h"

#include "graph/shared.h"

static void note_lossless(const skv_sharing *s, const skv_shareable *layer, const skv_codebook *c, int64_t distinct) {
    if ((int64_t)c->k < distinct || c->k == (size_t)1 << layer->bits) return;
    skv_note(s->ctx, "'%s' has %lld different values: its codebook contains exactly these, without loss",
             layer->value->name, (long long)distinct);
}

/* One codebook for n layers. */
static skive_status share_group(skv_sharing *s, const skv_shareable *layers, size_t n) {
    skv_codebook c;
    int64_t distinct;
    skive_value *codebook = NULL;
    SKV_TRY(skv_codebook_create(s->ctx, &s->o, layers, n, &c, &distinct));
    note_lossless(s, &layers[0], &c, distinct);
    SKV_TRY(skv_share_add_codebook(s, c.entry, c.k, s->o.one_codebook ? NULL : layers, &codebook));
    s->report.layers[layers[0].row].bytes = (int64_t)(c.k * sizeof(float));
    for (size_t l = 0; l < n; l++) {
        const skive_tensor *w = skv_value_tensor(layers[l].value);
        skive_share_layer *row = &s->report.layers[layers[l].row];
        skv_storage *indices = NULL;
        SKV_TRY(skv_storage_create(s->ctx, SKIVE_U8, w->rank, w->dims, &indices));
        skv_codebook_encode(&c, &layers[l], indices->tensor.data, row);
        row->distinct = distinct;
        SKV_TRY(skv_shared_make(layers[l].value, codebook, indices));
    }
    return SKIVE_OK;
}

skive_status skv_share_by_clusters(skv_sharing *s) {
    const size_t at_once = s->o.one_codebook ? s->n : 1;
    for (size_t l = 0; l < s->n; l += at_once) {
        SKV_TRY(share_group(s, &s->layers[l], at_once));
        SKV_TRY(skv_check_interrupt(s->ctx));
    }
    return SKIVE_OK;
}
