/* The statistics of BatchNormalization after pruning: mean and variance of each channel over some batches of the
 * training set, with every normalization by the statistics of the batch, so that one pass is right for all of them. */
#include <math.h>
#include <string.h>

#include "probe/source.h"
#include "prune/prune.h"
#include "tensor/tensor.h"

enum { MEAN = 3, VARIANCE = 4, BATCHES = 64, BATCH = 64 };

/* Normalizations whose statistics are parameters that nothing else reads. */
static bool has_statistics(const skive_node *n) {
    if (!skv_node_is(n, SKV_OP_BATCH_NORMALIZATION) || n->inputs[0]->storage || n->inputs[0]->type.rank < 2)
        return false;
    for (size_t i = MEAN; i <= VARIANCE; i++) {
        const skive_tensor *t = skv_value_tensor(skv_node_in(n, i));
        if (!t || t->dtype != SKIVE_F32 || n->inputs[i]->n_uses != 1) return false;
    }
    return true;
}

static skive_status take(skv_pruning *p, skive_node *n, skv_probe *probe, size_t item) {
    double *sum = NULL, *squares = NULL, count = 0;
    size_t channels, same;
    skive_status status;
    SKV_GO(status, done, skv_probe_result(probe, item, &sum, &channels, &count));
    SKV_GO(status, done, skv_probe_result(probe, item + 1, &squares, &same, &count));
    for (size_t i = MEAN; i <= VARIANCE; i++) {
        SKV_GO(status, done, skv_storage_make_unique(p->ctx, &n->inputs[i]->storage));
        if ((size_t)skive_tensor_count(&n->inputs[i]->storage->tensor) != channels || count < 1) goto done;
    }
    float *mean = n->inputs[MEAN]->storage->tensor.data, *variance = n->inputs[VARIANCE]->storage->tensor.data;
    for (size_t c = 0; c < channels; c++) {
        const double m = sum[c] / count, v = squares[c] / count - m * m;
        mean[c] = (float)m;
        variance[c] = (float)(v > 0 ? v : 0);
    }
done:
    skv_free(p->ctx, sum);
    skv_free(p->ctx, squares);
    return status;
}

static skive_status look(skv_pruning *p, skive_node *const *nodes, size_t n) {
    const skv_source_options o = {.batch = BATCH, .batches = BATCHES, .training = true};
    skv_source source = {0};
    skv_probe *probe = NULL;
    skv_probe_item *items = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(p->ctx, 2 * n + 1, sizeof *items, &items));
    for (size_t i = 0; i < 2 * n; i++)
        items[i] = (skv_probe_item){.value = nodes[i / 2]->inputs[0]->name,
                                    .axis = 1,
                                    .reducer = skv_reducer_find(i % 2 == 0 ? "sum" : "squares")};
    SKV_GO(status, done, skv_source_open(p->ctx, p->work, p->train, &o, &source));
    SKV_GO(status, done, skv_source_probe(&source, items, 2 * n, "statistics", &probe));
    for (size_t i = 0; i < n; i++) SKV_GO(status, done, take(p, nodes[i], probe, 2 * i));
done:
    skv_probe_free(probe);
    skv_source_close(&source);
    skv_free(p->ctx, items);
    return status;
}

bool skv_prune_recalibrates(const skv_pruning *p, const skive_graph *g) {
    const bool off = strcmp(p->o->recalibrate_bn, "off") == 0 || !p->train || p->tuned || p->o->lossless;
    for (uint32_t i = 0; i < g->n_nodes && !off; i++)
        if (has_statistics(g->nodes[i])) return true;
    return false;
}

skive_status skv_prune_recalibrate(skv_pruning *p) {
    const bool asked = strcmp(p->o->recalibrate_bn, "on") == 0;
    skive_node **nodes = NULL;
    size_t n = 0;
    if (!asked && !skv_prune_recalibrates(p, p->work)) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)p->work->n_nodes + 1, sizeof(skive_node *), &nodes));
    for (uint32_t i = 0; i < p->work->n_nodes; i++)
        if (has_statistics(p->work->nodes[i])) nodes[n++] = p->work->nodes[i];
    skive_status status = SKIVE_OK;
    if (n > 0) status = look(p, nodes, n);
    if (status == SKIVE_OK && n > 0)
        skv_note(p->ctx, "the statistics of %zu BatchNormalizations are computed anew from the training set%s", n,
                 asked ? "" : " (recalibrate-bn)");
    else if (status == SKIVE_OK)
        skv_note(p->ctx, "recalibrate-bn on has no effect: the model has no BatchNormalization with statistics");
    skv_free(p->ctx, nodes);
    return status;
}
