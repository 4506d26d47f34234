/* A scan of sensitivities: of each set of channels that stand side by side a quarter, a half and three quarters are
 * removed by themselves, those of lowest score, and the loss on some batches of the training set is measured. The score
 * of a channel becomes what the loss rises by, for each channel, about its place (Li, Kadav, Durdanovic, Samet & Graf
 * 2017 choose the widths of layers by such a scan). The order within a set stays that of the criterion. */
#include <math.h>

#include "graph/couple.h"
#include "probe/source.h"
#include "prune/prune.h"

enum { LEVELS = 3, BATCH = 64, BATCHES = 8 };

static skive_status loss_of(const skv_pruning *p, const skive_graph *g, double *loss) {
    const skv_source_options o = {.batch = BATCH, .batches = BATCHES, .with_loss = true};
    skv_source s = {0};
    skv_probe *probe = NULL;
    double *sum = NULL, count = 0;
    size_t n = 0;
    skive_status status;
    SKV_GO(status, done, skv_source_open(p->ctx, g, p->train, &o, &s));
    SKV_GO(status, done, skive_graph_add_output(s.graph, skive_graph_find_value(s.graph, s.loss)));
    const skv_probe_item item = {
        .value = s.loss, .of = SKV_OF_VALUE, .axis = SKV_IN_ALL, .reducer = skv_reducer_find("sum")};
    const skv_probe_setup setup = {
        .graph = s.graph, .items = &item, .n_items = 1, .plan = skive_plan_options_default(), .runs = s.batches};
    const skv_probe_pass pass = {
        .begin = skv_source_rewind, .feed = skv_source_feed, .user = &s, .runs = s.batches, .what = "scan"};
    SKV_GO(status, done, skv_probe_open(p->ctx, &setup, &probe));
    SKV_GO(status, done, skv_probe_run(probe, &pass, NULL));
    SKV_GO(status, done, skv_probe_result(probe, 0, &sum, &n, &count));
    *loss = n && count > 0 ? sum[0] / count : NAN;
done:
    skv_free(p->ctx, sum);
    skv_probe_free(probe);
    skv_source_close(&s);
    return status;
}

/* Channels of the family in the order of their scores: *n of them that may go. */
static void members_of(const skv_channels *c, int family, size_t *list, size_t *n) {
    *n = 0;
    for (size_t k = 0; k < c->n; k++)
        if (c->family[c->order[k]] == family && !c->fixed[c->order[k]]) list[(*n)++] = c->order[k];
}

/* rise[l]: of the loss without the first `most` (l + 1) / (LEVELS + 1) of the family; it never falls. */
static skive_status scan(const skv_channels *c, const size_t *list, size_t n, double base, double rise[LEVELS]) {
    double before = 0;
    for (int l = 0; l < LEVELS; l++) {
        const size_t take = n * (size_t)(l + 1) / (LEVELS + 1);
        skive_graph *g = NULL;
        double loss = base;
        if (take > 0) {
            skive_status status = skv_graph_without_channels(c->p->work, c->coupling, list, take, &g);
            /* Together they may be all that an axis has. */
            if (status == SKIVE_ERR_ARGUMENT) {
                rise[l] = before;
                continue;
            }
            if (status == SKIVE_OK) status = loss_of(c->p, g, &loss);
            skive_graph_free(g);
            SKV_TRY(status);
        }
        rise[l] = loss - base > before ? loss - base : before;
        before = rise[l];
    }
    return SKIVE_OK;
}

/* The slope of the rise about place k of n, for one channel; what is behind the last level rises as before it. */
static double slope_at(const double rise[LEVELS], size_t k, size_t n) {
    const size_t level = k * (LEVELS + 1) / n, l = level < LEVELS ? level : LEVELS - 1;
    const double per_level = (double)n / (LEVELS + 1);
    return (rise[l] - (l ? rise[l - 1] : 0)) / per_level;
}

skive_status skv_channels_scan(skv_channels *c) {
    size_t *list = NULL;
    double base;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(c->p->ctx, c->n + 1, sizeof *list, &list));
    SKV_GO(status, done, loss_of(c->p, c->p->work, &base));
    for (size_t f = 0; f < c->families; f++) {
        double rise[LEVELS], least = 0;
        size_t n;
        members_of(c, (int)f, list, &n);
        if (n == 0) continue;
        SKV_GO(status, done, scan(c, list, n, base, rise));
        for (size_t k = 0; k < n; k++) {
            const double slope = slope_at(rise, k, n);
            if (slope > least) least = slope;
            /* Of equal slopes those of lower rank go first, in all families alike. */
            c->score[list[k]] = (float)(least + 1e-6 * ((double)k + 0.5) / (double)n);
        }
    }
done:
    skv_free(c->p->ctx, list);
    return status;
}
