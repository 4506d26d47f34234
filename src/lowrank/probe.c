/* What data say of a model's layers: the second moments of their inputs, the Fisher information of their weights, and
 * how much the loss minds an error of their outputs. */
#include <math.h>
#include <string.h>

#include "lowrank/lowrank.h"
#include "probe/source.h"

/* A layer whose moments take more keeps its weights in sight instead of its outputs, and so do those for which there is
 * no room left. */
#define MOST_BYTES_OF_ONE ((size_t)64 << 20)
#define MOST_BYTES        ((size_t)768 << 20)

static bool has_labels(const skv_lowrank *l) {
    skive_dataset_info info;
    skive_dataset_get_info(l->train, &info);
    return info.classes > 0 || info.target_size > 0;
}

/* ---- second moments ---- */

static bool wants_moments(const skv_site *s) {
    return s->kind != SKV_SITE_TABLE && (size_t)s->d * (size_t)s->d * sizeof(double) <= MOST_BYTES_OF_ONE;
}

static skive_status add_item(const skv_lowrank *l, const skv_site *s, skv_probe_item *item) {
    const skive_value *x = skive_graph_find_value(l->work, s->data);
    const skive_node *n = skive_graph_find_node(l->work, s->members[0]);
    *item = (skv_probe_item){
        .value = s->data, .of = SKV_OF_VALUE, .axis = x->type.rank - 1, .reducer = skv_reducer_find("moments")};
    if (s->kind == SKV_SITE_CONV) {
        item->axis = SKV_IN_ALL;
        item->user = (void *)(uintptr_t)n;
    }
    return SKIVE_OK;
}

/* Few rows say nothing of most directions: factors would be exact on them and on nothing else. The moments are shrunk
 * towards a multiple of the identity by the share that is best for normal numbers (OAS; Chen, Wiesel, Eldar & Hero
 * 2010). Factors that are best for the mixture are still no worse than plain ones on the samples themselves: plain ones
 * are best for its other part. */
double skv_moments_shrink(double *m, int64_t d, double rows, double *level) {
    double trace = 0, squares = 0;
    const double p = (double)d;
    for (int64_t i = 0; i < d; i++) trace += m[i * d + i];
    for (int64_t i = 0; i < d * d; i++) squares += m[i] * m[i];
    const double below = (rows + 1 - 2 / p) * (squares - trace * trace / p);
    const double share = below > 0 ? ((1 - 2 / p) * squares + trace * trace) / below : 1;
    const double part = share > 1 ? 1 : share > 0 ? share : 0;
    for (int64_t i = 0; i < d * d; i++) m[i] *= 1 - part;
    for (int64_t i = 0; i < d; i++) m[i * d + i] += part * trace / p;
    *level = trace / p;
    return part;
}

/* The moments of a result: [d][d] sums, and the number of rows. */
static skive_status take_moments(skive_context *ctx, skv_site *s, const double *sums, size_t n) {
    const size_t count = (size_t)(s->d * s->d);
    if (n != count + 1 || !(sums[count] > 0)) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(ctx, count, sizeof *s->moments, &s->moments));
    for (size_t i = 0; i < count; i++) s->moments[i] = sums[i] / sums[count];
    double level;
    (void)skv_moments_shrink(s->moments, s->d, sums[count], &level);
    return SKIVE_OK;
}

/* What the outputs are: of each its mean square, and the sum. */
static skive_status powers_of(skive_context *ctx, skv_site *s, double *powers, double *sum) {
    double *wm = NULL;
    skive_status status = skv_site_open(ctx, s);
    SKV_GO(status, done, status);
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(s->out * s->d), sizeof *wm, &wm));
    SKV_GO(status, done,
           skv_multiply(ctx, &(skv_product){.m = s->out, .n = s->d, .k = s->d, .a = s->w, .b = s->moments, .c = wm}));
    *sum = 0;
    for (int64_t o = 0; o < s->out; o++) {
        powers[o] = 0;
        for (int64_t i = 0; i < s->d; i++) powers[o] += wm[o * s->d + i] * s->w[o * s->d + i];
        *sum += powers[o];
    }
done:
    skv_free(ctx, wm);
    skv_site_close(ctx, s);
    return status;
}

static skive_status weigh(skive_context *ctx, skv_site *s) {
    if (!s->moments) return SKIVE_OK;
    for (int64_t i = 0; i < s->d * s->d; i++)
        if (!isfinite(s->moments[i]))
            return skv_fail_at(ctx, SKIVE_ERR_NUMERIC, s->data, "the input '%s' of a layer is not finite on the data",
                               s->data);
    SKV_TRY(skv_alloc_array(ctx, (size_t)s->out, sizeof *s->powers, &s->powers));
    SKV_TRY(powers_of(ctx, s, s->powers, &s->power));
    if (s->power > 0) return SKIVE_OK;
    /* An input that is always zero says nothing of the layer. */
    skv_free(ctx, s->moments);
    s->moments = NULL;
    return SKIVE_OK;
}

/* One pass over the data for as many layers as there is room for. Layers with the same input have the same moments, but
 * each its own numbers: they are few. */
static skive_status measure(skv_lowrank *l) {
    skv_probe_item *items = NULL;
    size_t *of = NULL, n = 0, room = MOST_BYTES, left = 0;
    skv_source source = {0};
    skv_probe *probe = NULL;
    skive_context *ctx = l->ctx;
    skive_status status = SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, l->n_sites + 1, sizeof *items, &items));
    SKV_GO(status, done, skv_alloc_array(ctx, l->n_sites + 1, sizeof *of, &of));
    for (size_t i = 0; i < l->n_sites; i++) {
        const skv_site *s = &l->sites[i];
        const size_t bytes = (size_t)s->d * (size_t)s->d * sizeof(double);
        if (s->kind == SKV_SITE_TABLE) continue;
        if (!wants_moments(s) || bytes > room) {
            left++;
            continue;
        }
        room -= bytes;
        SKV_GO(status, done, add_item(l, s, &items[n]));
        of[n++] = i;
    }
    if (left)
        skv_note(
            ctx,
            "%zu layer%s too wide for second moments (64 MiB for one, 768 MiB in all): their factors keep the weights, "
            "not the outputs",
            left, left == 1 ? " is" : "s are");
    if (!n) goto done;
    const int64_t batch = l->o.samples < 32 ? l->o.samples : 32;
    const skv_source_options how = {.batch = batch, .batches = (l->o.samples + batch - 1) / batch, .seed = l->o.seed};
    SKV_GO(status, done, skv_source_open(ctx, l->work, l->train, &how, &source));
    SKV_GO(status, done, skv_source_probe(&source, items, n, "look at the data", &probe));
    for (size_t i = 0; i < n; i++) {
        double *sums = NULL;
        size_t count = 0;
        skv_site *s = &l->sites[of[i]];
        SKV_GO(status, done, skv_probe_result(probe, i, &sums, &count, NULL));
        status = take_moments(ctx, s, sums, count);
        skv_free(ctx, sums);
        if (status != SKIVE_OK) goto done;
    }
done:
    skv_probe_free(probe);
    skv_source_close(&source);
    skv_free(ctx, items);
    skv_free(ctx, of);
    return status;
}

/* ---- gradients ---- */

/* For each weight the mean square of its gradient; inputs share the sum over the outputs, so that the weights' error is
 * weighted by a diagonal (FWSVD, Hsu et al., ICLR 2022). */
static skive_status take_fisher(skive_context *ctx, const skv_lowrank *l, skv_site *s, const double *squares,
                                size_t n) {
    const int64_t out = s->outs[0];
    if (s->n_members > 1 || s->kind == SKV_SITE_TABLE || n != (size_t)(s->out * s->d) || !wants_moments(s))
        return SKIVE_OK;
    const skive_node *node = skive_graph_find_node(l->work, s->members[0]);
    skv_weight_view view;
    const bool turned =
        s->kind == SKV_SITE_PRODUCT && skv_weight_view_of(node, (size_t)s->input, &view) && view.out_axis == 1;
    double sum = 0;
    SKV_TRY(skv_alloc_array(ctx, (size_t)(s->d * s->d), sizeof *s->moments, &s->moments));
    for (int64_t i = 0; i < s->d; i++) {
        double *to = &s->moments[i * s->d + i];
        for (int64_t o = 0; o < out; o++) *to += turned ? squares[i * out + o] : squares[o * s->d + i];
        sum += *to;
    }
    for (int64_t i = 0; i < s->d; i++) s->moments[i * s->d + i] += 1e-6 * sum / (double)s->d; /* none is free */
    return SKIVE_OK;
}

/* What the loss minds: the mean square of its gradient at the outputs, times what the outputs are. */
static double harm_of(const skv_site *s, const double *squares, size_t n, double count) {
    double harm = 0;
    for (size_t o = 0; o < n && o < (size_t)s->out; o++) harm += s->powers[o] * squares[o] / count;
    return harm;
}

/* The axis of the outputs of a layer in its result. */
static int result_axis(const skive_node *n, const skv_site *s) {
    return s->kind == SKV_SITE_CONV ? 1 : n->outputs[0]->type.rank - 1;
}

typedef struct gradients {
    skv_probe_item *items;
    size_t *of, n;
    bool fisher;
} gradients;

static void list_gradients(const skv_lowrank *l, gradients *g) {
    for (size_t i = 0; i < l->n_sites; i++) {
        const skv_site *s = &l->sites[i];
        const skive_node *n = skive_graph_find_node(l->work, s->members[0]);
        skv_probe_item *item = &g->items[g->n];
        if (g->fisher) {
            if (s->n_members > 1 || s->kind == SKV_SITE_TABLE || !wants_moments(s)) continue;
            *item = (skv_probe_item){.value = s->parameter, .axis = SKV_BY_ELEMENT};
        } else {
            if (s->n_members > 1 || !s->moments || (s->kind != SKV_SITE_PRODUCT && s->kind != SKV_SITE_CONV)) continue;
            *item = (skv_probe_item){.value = n->outputs[0]->name, .axis = result_axis(n, s)};
        }
        item->of = SKV_OF_GRADIENT;
        item->reducer = skv_reducer_find("squares");
        g->of[g->n++] = i;
    }
}

static skive_status look_at_gradients(skv_lowrank *l, bool fisher) {
    gradients g = {.fisher = fisher};
    skv_source source = {0};
    skv_probe *probe = NULL;
    skive_context *ctx = l->ctx;
    skive_status status = SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, l->n_sites + 1, sizeof *g.items, &g.items));
    SKV_GO(status, done, skv_alloc_array(ctx, l->n_sites + 1, sizeof *g.of, &g.of));
    list_gradients(l, &g);
    if (!g.n) goto done;
    const int64_t batch = fisher ? 1 : l->o.samples < 32 ? l->o.samples : 32;
    const skv_source_options how = {
        .batch = batch, .batches = (l->o.samples + batch - 1) / batch, .seed = l->o.seed, .with_loss = true};
    SKV_GO(status, done, skv_source_open(ctx, l->work, l->train, &how, &source));
    SKV_GO(status, done, skv_source_probe(&source, g.items, g.n, "look at the gradients", &probe));
    for (size_t i = 0; i < g.n; i++) {
        double *squares = NULL, count = 0;
        size_t n = 0;
        skv_site *s = &l->sites[g.of[i]];
        SKV_GO(status, done, skv_probe_result(probe, i, &squares, &n, &count));
        if (fisher)
            status = take_fisher(ctx, l, s, squares, n);
        else
            s->harm = harm_of(s, squares, n, count > 0 ? count : 1);
        skv_free(ctx, squares);
        if (status != SKIVE_OK) goto done;
    }
done:
    skv_probe_free(probe);
    skv_source_close(&source);
    skv_free(ctx, g.items);
    skv_free(ctx, g.of);
    return status;
}

/* Layers of which nothing is known mind as much as the mean of the others. The square root is taken: gradients are
 * those of small errors of a model that fits, and tell too little of a layer that is nearly lost. */
static void settle_harms(skv_lowrank *l) {
    double sum = 0, n = 0;
    for (size_t i = 0; i < l->n_sites; i++) {
        if (!l->sites[i].moments || !(l->sites[i].harm > 0) || l->sites[i].harm == 1) continue;
        sum += l->sites[i].harm;
        n++;
    }
    for (size_t i = 0; n > 0 && i < l->n_sites; i++) {
        skv_site *s = &l->sites[i];
        if (!s->moments || !(s->harm > 0) || s->harm == 1) s->harm = sum / n;
        s->harm = sqrt(s->harm * n / sum);
    }
}

skive_status skv_lowrank_probe(skv_lowrank *l) {
    const bool fisher = strcmp(l->o.weighting, "fisher") == 0;
    if (strcmp(l->o.weighting, "plain") == 0) return SKIVE_OK;
    SKV_TRY(fisher ? look_at_gradients(l, true) : measure(l));
    for (size_t i = 0; i < l->n_sites; i++) SKV_TRY(weigh(l->ctx, &l->sites[i]));
    if (fisher) return SKIVE_OK;
    if (!has_labels(l)) return SKIVE_OK;
    const skive_status status = look_at_gradients(l, false);
    if (status == SKIVE_ERR_UNSUPPORTED || status == SKIVE_ERR_DATA) {
        skv_note(l->ctx, "the loss's gradients cannot be had (%s): all layers count the same",
                 skive_context_message(l->ctx));
        return SKIVE_OK;
    }
    SKV_TRY(status);
    settle_harms(l);
    return SKIVE_OK;
}
