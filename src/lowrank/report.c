/* The rows of the report: what each layer became, what that cost and what it lost. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lowrank/lowrank.h"

/* The error of factors that do not look at data costs a decomposition of its own; not for the largest layers. */
enum { MOST_FOR_PLAIN = 1 << 22 };

static skive_status plain_error(skv_lowrank *l, size_t site, const skv_way *way, double *out) {
    const skv_site *s = &l->sites[site];
    skv_site plain = *s;
    skv_found found = {0};
    skv_factors f = {0};
    if (!s->moments || s->out * s->d > MOST_FOR_PLAIN) return SKIVE_OK;
    plain.moments = NULL;
    f.rank = way->rank;
    skive_status status = way->method->look ? way->method->look(l->ctx, &plain, way->rank.a, &found) : SKIVE_OK;
    if (status == SKIVE_OK) status = way->method->factor(l->ctx, &plain, &found, way->rank, l->o.seed, &f);
    if (status == SKIVE_OK) status = skv_factors_solve(l->ctx, &plain, NULL, NULL, &f);
    if (status == SKIVE_OK) status = skv_factors_error(l->ctx, s, &f, NULL, out);
    skv_found_free(l->ctx, &found);
    skv_factors_free(l->ctx, &f);
    return status;
}

static skive_status names(skv_lowrank *l, const skv_site *s, skive_factorize_row *row) {
    skv_text t;
    skv_text_init(&t, l->ctx);
    for (size_t m = 0; m < s->n_members; m++) skv_text_add(&t, "%s%s", m ? " + " : "", s->members[m]);
    skive_status status = t.status;
    if (status == SKIVE_OK) status = skv_strdup(l->ctx, t.data, &row->node);
    skv_text_free(&t);
    SKV_TRY(status);
    SKV_TRY(skv_strdup(l->ctx, s->op, &row->op));
    return skv_strdup(l->ctx, s->parameter, &row->parameter);
}

static skive_status errors_of(skv_lowrank *l, size_t site, const skv_way *way, skive_factorize_row *row) {
    const skv_ways *w = &l->ways[site];
    skv_factors f = {0};
    if (w->known && w->made.method == way->method && w->made.rank.a == way->rank.a) {
        row->error = w->error;
        row->output_error = w->output_error;
        return SKIVE_OK;
    }
    skive_status status = skv_lowrank_factors(l, site, way, &f);
    if (status == SKIVE_OK) status = skv_factors_error(l->ctx, &l->sites[site], &f, &row->error, &row->output_error);
    skv_factors_free(l->ctx, &f);
    return status;
}

/* `unknown`: why errors and times are not looked for; NULL: they are. */
static skive_status add_row(skv_lowrank *l, size_t site, skv_way *way, bool chosen, const char *unknown) {
    skv_site *s = &l->sites[site];
    skv_ways *w = &l->ways[site];
    skive_factorize_report *r = &l->report;
    SKV_TRY(skv_grow(l->ctx, &r->rows, r->n_rows, r->n_rows + 1, sizeof *r->rows));
    skive_factorize_row *row = &r->rows[r->n_rows++];
    *row = (skive_factorize_row){.rank = way->rank.a,
                                 .rank_in = way->rank.b,
                                 .error = NAN,
                                 .output_error = NAN,
                                 .plain_error = NAN,
                                 .refit_before = l->o.refit && chosen ? w->refit_before : NAN,
                                 .refit_after = l->o.refit && chosen ? w->refit_after : NAN,
                                 .macs = way->macs,
                                 .parameters = way->parameters,
                                 .macs_before = w->items[0].macs,
                                 .parameters_before = w->items[0].parameters,
                                 .unknown = unknown,
                                 .chosen = chosen};
    SKV_TRY(names(l, s, row));
    if (way != &w->items[0] && !unknown) SKV_TRY(skv_lowrank_time(l, site, way, 1));
    if (w->n + w->slow > 1 || (way->method && !unknown)) SKV_TRY(skv_lowrank_time(l, site, &w->items[0], 1));
    row->seconds = way->seconds;
    row->seconds_before = w->items[0].seconds;
    if (!way->method) return w->kept ? skv_strdup(l->ctx, w->kept, &row->kept) : SKIVE_OK;
    row->method = way->method->name;
    row->full = way->method->full(s);
    if (chosen) r->n_factorized += s->n_members;
    if (unknown) return SKIVE_OK;
    SKV_TRY(skv_site_open(l->ctx, s));
    skive_status status = errors_of(l, site, way, row);
    if (status == SKIVE_OK) status = plain_error(l, site, way, &row->plain_error);
    skv_site_close(l->ctx, s);
    return status;
}

/* ---- methods that "auto" never chooses ---- */

/* Of so many weights, and so many times a rank of alternating least squares, factors are found in a moment. */
enum { MOST_BY_NAME = 1 << 17, MOST_BY_TURNS = 1 << 20 };

static const char *too_large(const skv_site *s, const skv_way *way) {
    const int64_t n = s->out * s->d;
    if (n > MOST_BY_NAME) return "not looked for in a layer of more than 131072 weights: ask for it by name";
    /* Those without decompositions find all of a rank by alternating. */
    if (!way->method->look && skv_mul_sat(n, way->rank.a) > MOST_BY_TURNS)
        return "not looked for at this rank, which takes long: ask for it by name";
    return NULL;
}

/* One row of a rank that costs what the chosen way does, or half the layer. */
static skive_status add_by_name(skv_lowrank *l, size_t site, const skv_factorization *m) {
    const skv_ways *w = &l->ways[site];
    const skv_site *s = &l->sites[site];
    const double aim = (double)(w->chosen ? w->items[w->chosen].macs : w->items[0].macs / 2);
    skv_way way = {.method = m, .rank = skv_lowrank_rank_within(s, m, aim), .seconds = NAN};
    if (way.rank.a < 1) return SKIVE_OK;
    skv_lowrank_cost(s, m, way.rank, &way.macs, &way.parameters);
    const char *unknown = too_large(s, &way);
    SKV_TRY(add_row(l, site, &way, false, unknown));
    l->report.rows[l->report.n_rows - 1].by_name = true;
    return SKIVE_OK;
}

/* Of a method's ways, those not to be chosen too, that which costs nearest to what was chosen, or the middle one. */
static size_t nearest(const skv_ways *w, const skv_factorization *m) {
    const double aim = (double)(w->chosen ? w->items[w->chosen].macs : w->items[0].macs / 2);
    size_t best = 0;
    for (size_t k = 1; k < w->n + w->slow; k++) {
        if (w->items[k].method != m) continue;
        if (best == 0 || fabs((double)w->items[k].macs - aim) < fabs((double)w->items[best].macs - aim)) best = k;
    }
    return best;
}

static skive_status add_all(skv_lowrank *l, size_t site) {
    skv_ways *w = &l->ways[site];
    const bool by_name = strcmp(l->o.method, "auto") == 0 && !w->named;
    if (w->chosen == 0) SKV_TRY(add_row(l, site, &w->items[0], false, NULL));
    for (size_t i = 0; i < skv_factorization_count(); i++) {
        const skv_factorization *m = skv_factorization_at(i);
        const size_t k = w->items[w->chosen].method == m ? w->chosen : nearest(w, m);
        if (k > 0) SKV_TRY(add_row(l, site, &w->items[k], k == w->chosen, NULL));
        if (by_name && !m->automatic && !m->why_not(&l->sites[site])) SKV_TRY(add_by_name(l, site, m));
    }
    skv_lowrank_forget(l, site);
    return SKIVE_OK;
}

/* Rows of layers that are no sites were there first. */
static void sort_rows(skv_lowrank *l) {
    skive_factorize_report *r = &l->report;
    for (size_t i = 1; i < r->n_rows; i++) {
        const skive_factorize_row row = r->rows[i];
        const skive_node *n = skive_graph_find_node(l->work, row.node);
        size_t k = i;
        for (; k > 0 && n; k--) {
            const skive_node *before = skive_graph_find_node(l->work, r->rows[k - 1].node);
            if (!before || before->id <= n->id) break;
            r->rows[k] = r->rows[k - 1];
        }
        r->rows[k] = row;
    }
}

skive_status skv_lowrank_rows(skv_lowrank *l) {
    for (size_t i = 0; i < l->n_sites; i++) {
        skv_ways *w = &l->ways[i];
        SKV_TRY(l->o.dry_run ? add_all(l, i) : add_row(l, i, &w->items[w->chosen], w->chosen > 0, NULL));
    }
    sort_rows(l);
    return SKIVE_OK;
}
