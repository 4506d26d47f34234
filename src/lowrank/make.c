/* From a way to factors, times and a graph. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lowrank/lowrank.h"
#include "tune/tune.h"

static size_t index_of(const skv_factorization *m) {
    size_t i = 0;
    while (skv_factorization_at(i) != m) i++;
    return i;
}

skive_status skv_lowrank_look(skv_lowrank *l, size_t site, const skv_factorization *m, int64_t most,
                              const skv_found **out) {
    const size_t at = site * skv_factorization_count() + index_of(m);
    *out = &l->found[at];
    if (l->looked[at] || !m->look) return SKIVE_OK;
    SKV_TRY(skv_check_interrupt(l->ctx));
    SKV_TRY(m->look(l->ctx, &l->sites[site], most, &l->found[at]));
    l->looked[at] = true;
    return SKIVE_OK;
}

/* `last`: nothing else is asked of the site's decompositions, which go before the factors are solved. */
static skive_status find(skv_lowrank *l, size_t site, const skv_way *way, bool last, skv_factors *f) {
    const skv_site *s = &l->sites[site];
    const skv_found *found;
    SKV_TRY(skv_lowrank_look(l, site, way->method, way->rank.a, &found));
    f->rank = way->rank;
    SKV_TRY(way->method->factor(l->ctx, s, found, way->rank, l->o.seed, f));
    if (last) skv_lowrank_forget(l, site);
    return skv_factors_solve(l->ctx, s, s->moments, NULL, f);
}

skive_status skv_lowrank_find(skv_lowrank *l, size_t site, const skv_way *way, skv_factors *f) {
    return find(l, site, way, false, f);
}

skive_status skv_lowrank_factors(skv_lowrank *l, size_t site, const skv_way *way, skv_factors *f) {
    SKV_TRY(skv_site_open(l->ctx, &l->sites[site]));
    skive_status status = skv_lowrank_find(l, site, way, f);
    if (status == SKIVE_OK) status = skv_factors_close(l->ctx, &l->sites[site], f);
    skv_site_close(l->ctx, &l->sites[site]);
    return status;
}

static bool same_way(const skv_way *a, const skv_way *b) {
    return a->method == b->method && a->rank.a == b->rank.a && a->rank.b == b->rank.b;
}

skive_status skv_lowrank_settle(skv_lowrank *l, size_t site, const skv_way *way, skv_factors *f) {
    skv_ways *w = &l->ways[site];
    w->known = false;
    SKV_TRY(skv_factors_close(l->ctx, &l->sites[site], f));
    SKV_TRY(skv_factors_error(l->ctx, &l->sites[site], f, &w->error, &w->output_error));
    skv_factors_settle(l->ctx, f);
    w->made = *way;
    w->known = true;
    return SKIVE_OK;
}

static skive_status factors_of(skv_lowrank *l, size_t site) {
    skv_ways *w = &l->ways[site];
    const skv_way *way = &w->items[w->chosen];
    if (w->is_made && same_way(&w->made, way)) return SKIVE_OK;
    skv_factors_free(l->ctx, &w->factors);
    w->is_made = w->known = false;
    SKV_TRY(skv_site_open(l->ctx, &l->sites[site]));
    skive_status status = find(l, site, way, true, &w->factors);
    if (status == SKIVE_OK) status = skv_lowrank_settle(l, site, way, &w->factors);
    skv_site_close(l->ctx, &l->sites[site]);
    w->is_made = status == SKIVE_OK;
    return status;
}

typedef struct sized {
    int64_t weights;
    size_t site;
} sized;

static int larger_first(const void *x, const void *y) {
    const sized *a = x, *b = y;
    return a->weights != b->weights ? (a->weights > b->weights ? -1 : 1) : (a->site > b->site) - (a->site < b->site);
}

/* Factors of all sites that get some. The largest come first: what they need while they are made is much more than what
 * is left of them, which the others find there. */
static skive_status all_factors(skv_lowrank *l) {
    sized *order = NULL;
    SKV_TRY(skv_alloc_array(l->ctx, l->n_sites + 1, sizeof *order, &order));
    for (size_t i = 0; i < l->n_sites; i++) order[i] = (sized){l->sites[i].out * l->sites[i].d, i};
    qsort(order, l->n_sites, sizeof *order, larger_first);
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < l->n_sites && status == SKIVE_OK; i++)
        if (l->ways[order[i].site].chosen > 0) status = factors_of(l, order[i].site);
    skv_free(l->ctx, order);
    return status;
}

skive_status skv_lowrank_make(skv_lowrank *l, skive_graph **out) {
    skive_graph *g = NULL;
    const bool again = l->o.latency || l->o.max_drop >= 0; /* other choices will have many of the factors too */
    *out = NULL;
    SKV_TRY(all_factors(l));
    SKV_TRY(skive_graph_copy(l->ctx, l->work, &g));
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < l->n_sites && status == SKIVE_OK; i++) {
        skv_ways *w = &l->ways[i];
        if (w->chosen == 0) continue;
        status = skv_site_apply(g, &l->sites[i], w->items[w->chosen].method, &w->factors);
        if (status == SKIVE_OK) status = skive_graph_infer(g);
        if (again) continue;
        skv_factors_free(l->ctx, &w->factors); /* which are in the graph now */
        w->is_made = false;
    }
    if (status == SKIVE_OK) skv_graph_sweep(g);
    if (status == SKIVE_OK) status = skive_graph_check(g);
    if (status == SKIVE_OK)
        *out = g;
    else
        skive_graph_free(g);
    return status;
}

/* ---- times ---- */

/* The nodes of a site by themselves. */
static skive_status extract(skv_lowrank *l, const skv_site *s, skive_graph **out) {
    bool *keep = NULL;
    SKV_TRY(skv_alloc_array(l->ctx, l->work->n_nodes + 1, sizeof *keep, &keep));
    for (size_t m = 0; m < s->n_members; m++) keep[skive_graph_find_node(l->work, s->members[m])->id] = true;
    const skive_status status = skv_graph_extract(l->ctx, l->work, keep, out);
    skv_free(l->ctx, keep);
    return status;
}

/* Random numbers would do, but not shapes alone: zeros may be skipped. */
static skive_status factors_for_time(skv_lowrank *l, size_t site, const skv_way *way, skv_factors *f) {
    const skv_site *s = &l->sites[site];
    f->rank = way->rank;
    way->method->shape(s, way->rank, f);
    for (size_t i = 0; i < f->n; i++) {
        SKV_TRY(skv_link_data(l->ctx, &f->links[i]));
        for (int64_t k = 0, n = skv_link_count(&f->links[i]); k < n; k++)
            f->links[i].data[k] = f->links[i].nonzeros > 0 && k % (n / f->links[i].nonzeros + 1)
                                      ? 0.0f
                                      : 0.01f * (float)(k % 13 - 6) + 0.005f;
    }
    return SKIVE_OK;
}

static skive_status time_one(skv_lowrank *l, size_t site, const skive_graph *alone, skv_way *way) {
    skive_cost_report r = {0};
    skv_factors f = {0};
    skive_graph *g = NULL;
    skive_status status = skive_graph_copy(l->ctx, alone, &g);
    if (status == SKIVE_OK && way->method) {
        status = factors_for_time(l, site, way, &f);
        if (status == SKIVE_OK) status = skv_site_apply(g, &l->sites[site], way->method, &f);
        if (status == SKIVE_OK) status = skive_graph_infer(g);
        if (status == SKIVE_OK) skv_graph_sweep(g);
    }
    if (status == SKIVE_OK) status = skive_costs_of_graph(l->costs, g, NULL, &r);
    way->seconds = status == SKIVE_OK ? r.sum + r.reorders : NAN;
    skive_cost_report_free(l->ctx, &r);
    skv_factors_free(l->ctx, &f);
    skive_graph_free(g);
    /* A layer that needs sizes which are not known cannot be timed by itself. */
    return status == SKIVE_ERR_UNSUPPORTED || status == SKIVE_ERR_SHAPE ? SKIVE_OK : status;
}

skive_status skv_lowrank_time(skv_lowrank *l, size_t site, skv_way *ways, size_t n) {
    skive_graph *alone = NULL;
    skive_status status = SKIVE_OK;
    if (!l->o.measure) return SKIVE_OK;
    if (!l->costs) SKV_TRY(skive_costs_open(l->ctx, NULL, &l->costs));
    for (size_t i = 0; i < n && status == SKIVE_OK; i++) {
        if (!isnan(ways[i].seconds)) continue;
        if (!alone) status = extract(l, &l->sites[site], &alone);
        if (status == SKIVE_OK) status = skv_check_interrupt(l->ctx);
        if (status == SKIVE_OK) status = time_one(l, site, alone, &ways[i]);
    }
    skive_graph_free(alone);
    return status;
}

skive_status skv_lowrank_size(skv_lowrank *l, const skive_graph *g, bool timed, skive_factorize_size *out) {
    skive_cost cost;
    SKV_TRY(skive_graph_cost(g, &cost));
    *out = (skive_factorize_size){.macs = cost.macs, .parameters = cost.parameters, .seconds = NAN};
    if (!timed || !l->o.measure) return SKIVE_OK;
    if (!l->costs) SKV_TRY(skive_costs_open(l->ctx, NULL, &l->costs));
    skive_cost_report r = {0};
    const skive_status status = skive_costs_of_graph(l->costs, g, NULL, &r);
    if (status == SKIVE_OK) out->seconds = r.whole;
    skive_cost_report_free(l->ctx, &r);
    return status == SKIVE_ERR_UNSUPPORTED || status == SKIVE_ERR_SHAPE ? SKIVE_OK : status;
}
