/* The ways to treat each site: methods and ranks, what they cost and what they lose. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lowrank/lowrank.h"

/* Ranks of a method that a budget may choose from; of those whose factors must be made to know what they lose fewer. */
enum { STEPS = 14, FEW_STEPS = 5 };

skive_status skv_lowrank_keep(skv_lowrank *l, size_t site, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    skv_free(l->ctx, l->ways[site].kept);
    l->ways[site].kept = NULL;
    return skv_strdup(l->ctx, text, &l->ways[site].kept);
}

void skv_lowrank_cost(const skv_site *s, const skv_factorization *m, skv_rank r, int64_t *macs, int64_t *parameters) {
    if (!m) {
        *parameters = s->out * s->d;
        *macs = s->kind == SKV_SITE_TABLE ? 0 : skv_mul_sat(*parameters, s->positions[SKV_DOMAIN_OUTPUT]);
        return;
    }
    skv_factors f = {0};
    m->shape(s, r, &f);
    skv_factors_cost(s, &f, macs, parameters);
}

static skv_rank with_second(const skv_site *s, const skv_factorization *m, int64_t a) {
    return (skv_rank){a, m->second ? m->second(s, a) : 0};
}

static skive_status way_of(skv_lowrank *l, size_t site, skv_way *way) {
    const skv_site *s = &l->sites[site];
    const skv_found *found;
    const skv_factorization *m = way->method;
    SKV_TRY(skv_lowrank_look(l, site, m, way->rank.a, &found));
    way->lost = m->lost ? m->lost(s, found, way->rank) : -1;
    if (way->lost >= 0) return SKIVE_OK;
    skv_factors f = {0};
    double weights = 0, outputs = NAN;
    skive_status status = skv_lowrank_factors(l, site, way, &f);
    if (status == SKIVE_OK) status = skv_factors_error(l->ctx, s, &f, &weights, &outputs);
    skv_factors_free(l->ctx, &f);
    way->lost = isnan(outputs) ? weights * weights : outputs * outputs;
    return status;
}

skive_status skv_lowrank_way(skv_lowrank *l, size_t site, const skv_factorization *m, skv_rank r, skv_way *out) {
    *out = (skv_way){.method = m, .rank = r, .seconds = NAN};
    skv_lowrank_cost(&l->sites[site], m, r, &out->macs, &out->parameters);
    SKV_TRY(skv_site_open(l->ctx, &l->sites[site]));
    const skive_status status = way_of(l, site, out);
    skv_site_close(l->ctx, &l->sites[site]);
    return status;
}

static skive_status add(skv_lowrank *l, size_t site, const skv_way *way) {
    skv_ways *w = &l->ways[site];
    if (w->n == w->room) {
        SKV_TRY(skv_grow(l->ctx, &w->items, w->room, 2 * w->room + 8, sizeof *w->items));
        w->room = 2 * w->room + 8;
    }
    w->items[w->n++] = *way;
    return SKIVE_OK;
}

/* ---- which ranks pay ---- */

static bool pays(const skv_site *s, const skv_factorization *m, int64_t a) {
    int64_t macs, parameters, macs_now, parameters_now;
    skv_lowrank_cost(s, NULL, (skv_rank){0}, &macs_now, &parameters_now);
    skv_lowrank_cost(s, m, with_second(s, m, a), &macs, &parameters);
    /* Not both: fewer parameters for more work is no factorization, nor the other way. */
    return (macs <= macs_now || s->kind == SKV_SITE_TABLE) && parameters < parameters_now;
}

/* What adds factors to the layer keeps all of its weights, most of them zero: it is less work only. */
static bool is_less_work(const skv_site *s, const skv_factorization *m, int64_t a) {
    int64_t macs, parameters, macs_now;
    skv_lowrank_cost(s, NULL, (skv_rank){0}, &macs_now, &parameters);
    skv_lowrank_cost(s, m, with_second(s, m, a), &macs, &parameters);
    return macs < macs_now;
}

/* The largest rank that is worth it; 0: none is. */
static int64_t most_that(bool (*is_worth)(const skv_site *, const skv_factorization *, int64_t), const skv_site *s,
                         const skv_factorization *m) {
    int64_t low = 0, high = m->full(s);
    if (high < 1 || !is_worth(s, m, 1)) return 0;
    while (low < high) {
        const int64_t middle = low + (high - low + 1) / 2;
        if (is_worth(s, m, middle))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static int64_t most_that_pays(const skv_site *s, const skv_factorization *m) { return most_that(pays, s, m); }

skv_rank skv_lowrank_rank_within(const skv_site *s, const skv_factorization *m, double most) {
    int64_t low = 1, high = most_that(m->beside ? is_less_work : pays, s, m), macs, parameters;
    if (high < 1) return (skv_rank){0};
    while (low < high) {
        const int64_t middle = low + (high - low + 1) / 2;
        skv_lowrank_cost(s, m, with_second(s, m, middle), &macs, &parameters);
        if ((double)macs <= most)
            low = middle;
        else
            high = middle - 1;
    }
    return with_second(s, m, low);
}

static int64_t multiple_of(int64_t most) { return most >= 64 ? 8 : most >= 16 ? 4 : 1; }

static skive_status add_grid(skv_lowrank *l, size_t site, const skv_factorization *m) {
    const skv_site *s = &l->sites[site];
    const int64_t most = most_that_pays(s, m), multiple = multiple_of(most);
    const bool known = m->lost && !(s->moments && m->lost != skv_lost_rows);
    const int64_t steps = known ? STEPS : FEW_STEPS;
    const skv_found *found;
    int64_t last = 0;
    if (most < 1) return SKIVE_OK;
    /* Of a large matrix random projection finds the first quarter, which is where budgets are. */
    const int64_t reach = most > 256 && m->full(s) > 768 ? most / 2 : most;
    SKV_TRY(skv_lowrank_look(l, site, m, reach, &found));
    for (int64_t i = 1; i <= steps; i++) {
        int64_t r = reach * i / steps / multiple * multiple;
        if (r < 1) r = 1;
        if (r == last) continue;
        last = r;
        skv_way way;
        SKV_TRY(skv_lowrank_way(l, site, m, with_second(s, m, r), &way));
        SKV_TRY(add(l, site, &way));
    }
    return SKIVE_OK;
}

/* ---- ranks by rule ---- */

static int64_t by_rule(const skv_lowrank *l, const skv_spectrum *x) {
    if (strcmp(l->o.rank, "energy") == 0) return skv_energy_rank(x->s, x->k, l->o.energy);
    const int64_t r = skv_vbmf_rank(x->m, x->n, x->s, x->k);
    return r < 1 ? 1 : r;
}

/* Variational Bayes speaks of noise in the weights, whatever the outputs are; energy of what is to be kept. */
static skive_status rule_rank(skv_lowrank *l, size_t site, const skv_factorization *m, skv_rank *r) {
    skv_site plain = l->sites[site];
    const skv_found *found = NULL;
    skv_found own = {0};
    const bool energy = strcmp(l->o.rank, "energy") == 0;
    const bool rows = !m->look || m->lost == skv_lost_rows || m->name == skv_factorization_find("separable")->name;
    skive_status status = SKIVE_OK;
    if (!rows || (energy && m->look && m->lost == skv_lost_rows)) {
        SKV_TRY(skv_lowrank_look(l, site, m, 0, &found));
    } else {
        if (!energy) plain.moments = NULL;
        status = skv_look_rows(l->ctx, &plain, 0, &own);
        found = &own;
    }
    if (status == SKIVE_OK) {
        r->a = by_rule(l, &found->of[0]);
        r->b = found->n > 1 ? by_rule(l, &found->of[1]) : m->second ? m->second(&l->sites[site], r->a) : 0;
    }
    skv_found_free(l->ctx, &own);
    return status;
}

static skive_status add_rule(skv_lowrank *l, size_t site, const skv_factorization *m, int64_t fixed) {
    const skv_site *s = &l->sites[site];
    const int64_t full = m->full(s);
    skv_rank r = {fixed, 0};
    skv_way way;
    if (fixed > full)
        return skv_lowrank_keep(l, site, "rank %lld is above the full rank of %s, %lld", (long long)fixed, m->name,
                                (long long)full);
    if (fixed > 0)
        r = with_second(s, m, fixed);
    else
        SKV_TRY(rule_rank(l, site, m, &r));
    if (r.a > full) r.a = full;
    if (m->second && r.b > s->in) r.b = s->in;
    int64_t macs, parameters;
    skv_lowrank_cost(s, m, r, &macs, &parameters);
    const skv_way *now = &l->ways[site].items[0];
    if (!l->ways[site].given && ((macs > now->macs && s->kind != SKV_SITE_TABLE) || parameters >= now->parameters))
        return skv_lowrank_keep(l, site,
                                "%s of rank %lld does not pay: %lld parameters and %lld multiply-accumulates, now %lld "
                                "and %lld",
                                m->name, (long long)r.a, (long long)parameters, (long long)macs,
                                (long long)now->parameters, (long long)now->macs);
    SKV_TRY(skv_lowrank_way(l, site, m, r, &way));
    return add(l, site, &way);
}

/* ---- all of them ---- */

/* A way by the rule for ranks or of a given one, or with `grid` those that a budget may choose from. */
static skive_status add_ways(skv_lowrank *l, size_t site, const skv_factorization *m, bool grid, int64_t fixed) {
    SKV_TRY(skv_site_open(l->ctx, &l->sites[site]));
    const skive_status status = grid ? add_grid(l, site, m) : add_rule(l, site, m, fixed);
    skv_site_close(l->ctx, &l->sites[site]);
    return status;
}

static bool has_budget(const skv_lowrank *l) {
    return l->o.macs || l->o.params || l->o.bytes || l->o.latency || l->o.max_drop >= 0;
}

static skive_status add_methods(skv_lowrank *l, size_t site) {
    const bool any = strcmp(l->o.method, "auto") == 0;
    const char *why = NULL;
    for (size_t i = 0; i < skv_factorization_count(); i++) {
        const skv_factorization *m = skv_factorization_at(i);
        if (any ? !m->automatic : strcmp(m->name, l->o.method) != 0) continue;
        const char *refusal = m->why_not(&l->sites[site]);
        if (!any) why = refusal;
        if (refusal) continue;
        SKV_TRY(add_ways(l, site, m, has_budget(l), l->rank));
    }
    if (why) return skv_lowrank_keep(l, site, "%s", why);
    if (l->ways[site].n == 1 && !l->ways[site].kept)
        return skv_lowrank_keep(l, site, "no rank of %s makes it smaller: it is too small already",
                                any ? "the methods that auto tries" : l->o.method);
    return SKIVE_OK;
}

/* "NAME=METHOD:RANK", "NAME=METHOD" (the rank as for the others), "NAME=keep". */
static skive_status take_given(skv_lowrank *l, const char *text) {
    const char *equal = strrchr(text, '=');
    char name[512], method[32];
    if (!equal || equal == text || (size_t)(equal - text) >= sizeof name)
        return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, "layer", "'%s' is not of the form NAME=METHOD:RANK", text);
    memcpy(name, text, (size_t)(equal - text));
    name[equal - text] = '\0';
    size_t site = 0, member = 0;
    for (; site < l->n_sites; site++) {
        for (member = 0; member < l->sites[site].n_members; member++)
            if (strcmp(l->sites[site].members[member], name) == 0) break;
        if (member < l->sites[site].n_members || strcmp(l->sites[site].parameter, name) == 0) break;
    }
    if (site == l->n_sites) {
        for (size_t i = 0; i < l->report.n_rows; i++)
            if (strcmp(l->report.rows[i].node, name) == 0)
                return skv_fail_at(l->ctx, SKIVE_ERR_UNSUPPORTED, name, "node '%s' cannot be factorized: %s", name,
                                   l->report.rows[i].kept);
        const char **names = NULL;
        SKV_TRY(skv_alloc_array(l->ctx, l->n_sites + 1, sizeof *names, &names));
        for (size_t i = 0; i < l->n_sites; i++) names[i] = l->sites[i].members[0];
        const char *near = skive_nearest_name(name, names, l->n_sites);
        skv_free(l->ctx, names);
        return skv_fail_at(l->ctx, SKIVE_ERR_NOT_FOUND, name, "no node '%s' can be factorized%s%s%s", name,
                           near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    const char *colon = strchr(equal, ':');
    const size_t length = colon ? (size_t)(colon - equal - 1) : strlen(equal + 1);
    int64_t rank = 0;
    if (length >= sizeof method)
        return skv_fail_unknown(l->ctx, SKIVE_ERR_ARGUMENT, "layer", "factorization", equal + 1,
                                skv_factorization_name);
    memcpy(method, equal + 1, length);
    method[length] = '\0';
    if (l->ways[site].named)
        return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, "layer",
                           "'%s' is said twice what it gets, the second time by '%s': give it once", name, text);
    l->ways[site].named = l->ways[site].given = true;
    if (strcmp(method, "keep") == 0) return skv_lowrank_keep(l, site, "it was asked to be kept");
    const skv_factorization *m = skv_factorization_find(method);
    if (!m)
        return skv_fail_unknown(l->ctx, SKIVE_ERR_ARGUMENT, "layer", "factorization", method, skv_factorization_name);
    const char *refusal = m->why_not(&l->sites[site]);
    if (refusal)
        return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, name, "'%s' cannot be factorized by %s: %s", name, method,
                           refusal);
    if (colon) {
        char *end;
        const long long r = strtoll(colon + 1, &end, 10);
        if (end == colon + 1 || *end || r < 1 || r > m->full(&l->sites[site]))
            return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, name,
                               "'%s': the rank of %s must be a whole number between 1 and %lld, not '%s'", name, method,
                               (long long)m->full(&l->sites[site]), colon + 1);
        rank = r;
    }
    if (rank > 0 || !has_budget(l)) {
        SKV_TRY(add_ways(l, site, m, false, rank > 0 ? rank : l->rank));
        if (l->ways[site].n > 1) l->ways[site].chosen = 1;
        return SKIVE_OK;
    }
    l->ways[site].given = false; /* the budget chooses the rank */
    SKV_TRY(add_ways(l, site, m, true, 0));
    l->ways[site].listed = true;
    return SKIVE_OK;
}

void skv_lowrank_forget(skv_lowrank *l, size_t site) {
    enum { LARGE = 1 << 16 };
    const size_t n = skv_factorization_count();
    if (l->sites[site].out * l->sites[site].d < LARGE) return;
    for (size_t i = site * n; i < (site + 1) * n; i++) {
        skv_found_free(l->ctx, &l->found[i]);
        l->looked[i] = false;
    }
}

skive_status skv_lowrank_list(skv_lowrank *l) {
    for (size_t i = 0; i < l->n_sites; i++) {
        skv_way now = {.seconds = NAN};
        skv_lowrank_cost(&l->sites[i], NULL, (skv_rank){0}, &now.macs, &now.parameters);
        SKV_TRY(add(l, i, &now));
    }
    for (size_t i = 0; i < l->o.n_layers; i++) SKV_TRY(take_given(l, l->o.layers[i]));
    skv_progress p;
    skv_progress_start(&p, l->ctx, "look for factors", (double)l->n_sites);
    for (size_t i = 0; i < l->n_sites; i++) {
        if (!l->ways[i].given && !l->ways[i].listed) SKV_TRY(add_methods(l, i));
        skv_lowrank_forget(l, i);
        SKV_TRY(skv_progress_at(&p, (double)i + 1, "%s", l->sites[i].members[0]));
    }
    return SKIVE_OK;
}
