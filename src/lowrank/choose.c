/* Which way each site takes: within a budget, exactly or by the same share of each; within a limit on the loss of
 * accuracy; or what a rule for ranks gives. */
#include <math.h>
#include <string.h>

#include "lowrank/lowrank.h"
#include "tune/reach.h"
#include "train/train.h"
#include "tune/tune.h"

typedef enum measure { MACS, PARAMS, BYTES, LATENCY, NONE } measure;
static const char *const measures[] = {"multiply-accumulates", "parameters", "bytes of parameters", "ms"};

static const skv_option budgets[] = {
    {.name = "macs", .type = SKV_OPTION_BUDGET, .most = 1, .above = true, .unit = ""},
    {.name = "params", .type = SKV_OPTION_BUDGET, .most = 1, .above = true, .unit = ""},
    {.name = "bytes", .type = SKV_OPTION_BUDGET, .most = 1, .above = true, .unit = "B"},
    {.name = "latency", .type = SKV_OPTION_BUDGET, .most = 1, .above = true, .unit = "s"},
};

static double cost_of(const skv_way *w, measure by) {
    return by == MACS     ? (double)w->macs
           : by == PARAMS ? (double)w->parameters
           : by == BYTES  ? 4 * (double)w->parameters
                          : w->seconds;
}

/* Behind one another layers pass on what each of them keeps: the shares multiply, and their logarithms add up. For
 * small losses it is the loss itself, and a layer that would be lost altogether is not worth any budget. */
static double harm_of(const skv_site *s, const skv_way *w) {
    const double lost = w->lost < 0 ? 0 : w->lost < 1 - 1e-12 ? w->lost : 1 - 1e-12;
    return -s->harm * log1p(-lost);
}

/* What a budget is of: the sites, and the rest that stays. */
typedef struct choosing {
    skv_lowrank *l;
    measure by;
    double all, rest; /* of the model before, and of it what no choice changes */
} choosing;

/* ---- exactly ---- */

static skive_status allocate(choosing *c, double budget) {
    skv_lowrank *l = c->l;
    skive_choices *layers = NULL;
    skive_choice *items = NULL;
    size_t *chosen = NULL, n = 0, at = 0;
    const double left = budget - c->rest;
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < l->n_sites; i++) n += l->ways[i].n;
    SKV_GO(status, done, skv_alloc_array(l->ctx, l->n_sites + 1, sizeof *layers, &layers));
    SKV_GO(status, done, skv_alloc_array(l->ctx, l->n_sites + 1, sizeof *chosen, &chosen));
    SKV_GO(status, done, skv_alloc_array(l->ctx, n + 1, sizeof *items, &items));
    for (size_t i = 0; i < l->n_sites; i++) {
        const skv_ways *w = &l->ways[i];
        layers[i] = (skive_choices){.layer = l->sites[i].members[0], .items = items + at};
        for (size_t k = 0; k < w->n; k++) {
            if (w->given && k != w->chosen) continue;
            items[at].harm = harm_of(&l->sites[i], &w->items[k]);
            items[at++].cost[0] = cost_of(&w->items[k], c->by);
            layers[i].n++;
        }
    }
    SKV_GO(status, done, skive_allocate(l->ctx, layers, l->n_sites, &left, 1, chosen, &l->report.allocation));
    for (size_t i = 0; i < l->n_sites; i++)
        if (!l->ways[i].given) l->ways[i].chosen = chosen[i];
done:
    skv_free(l->ctx, layers);
    skv_free(l->ctx, chosen);
    skv_free(l->ctx, items);
    return status;
}

/* ---- the same share of each ---- */

static double take_share(choosing *c, double share) {
    skv_lowrank *l = c->l;
    double sum = 0;
    for (size_t i = 0; i < l->n_sites; i++) {
        skv_ways *w = &l->ways[i];
        const double now = cost_of(&w->items[0], c->by);
        size_t best = 0, least = 0;
        bool found = false;
        for (size_t k = 0; k < w->n && !w->given; k++) {
            const double cost = cost_of(&w->items[k], c->by);
            if (cost < cost_of(&w->items[least], c->by)) least = k;
            if (cost > share * now) continue;
            if (!found || w->items[k].lost < w->items[best].lost) best = k;
            found = true;
        }
        if (!w->given) w->chosen = found ? best : least;
        sum += cost_of(&w->items[w->chosen], c->by);
    }
    return sum + c->rest;
}

static skive_status share_out(choosing *c, double budget, double *least) {
    double low = 0, high = 1;
    *least = take_share(c, 0);
    if (*least > budget) return SKIVE_ERR_GOAL;
    for (int i = 0; i < 40; i++) {
        const double middle = 0.5 * (low + high);
        if (take_share(c, middle) <= budget)
            low = middle;
        else
            high = middle;
    }
    (void)take_share(c, low);
    return SKIVE_OK;
}

/* ---- a budget ---- */

static double least_of(const choosing *c) {
    double sum = c->rest;
    for (size_t i = 0; i < c->l->n_sites; i++) {
        const skv_ways *w = &c->l->ways[i];
        double least = cost_of(&w->items[w->given ? w->chosen : 0], c->by);
        for (size_t k = 0; k < w->n && !w->given; k++)
            if (!w->items[k].slow && cost_of(&w->items[k], c->by) < least) least = cost_of(&w->items[k], c->by);
        sum += least;
    }
    return sum;
}

/* Latency is kept in seconds and told in milliseconds. */
static double unit_of(const choosing *c) { return c->by == LATENCY ? 1e3 : 1; }

static skive_status refuse(const choosing *c, double budget) {
    const double unit = unit_of(c), least = least_of(c);
    return skv_fail_at(c->l->ctx, SKIVE_ERR_GOAL, "budget",
                       "the budget of %.4g %s is below the smallest that can be reached, %.4g (%.3g of the model)",
                       budget * unit, measures[c->by], least * unit, c->all > 0 ? least / c->all : 1);
}

static skive_status fit_in(choosing *c, double budget) {
    double least;
    if (budget < least_of(c) * (1 - 1e-12)) return refuse(c, budget);
    if (!c->l->o.uniform) return allocate(c, budget);
    return share_out(c, budget, &least) == SKIVE_OK ? SKIVE_OK : refuse(c, budget);
}

/* Puts the slow ways behind the others, which stay in order. */
static void set_aside(skv_ways *w) {
    size_t n = 0;
    for (size_t k = 0; k < w->n; k++) {
        const skv_way way = w->items[k];
        if (way.slow) continue;
        memmove(&w->items[n + 1], &w->items[n], (k - n) * sizeof way);
        w->items[n++] = way;
    }
    w->slow += w->n - n;
    w->n = n;
}

/* Times of all ways; those that are no faster than the layer as it is are set aside. */
static skive_status time_all(choosing *c) {
    skv_lowrank *l = c->l;
    double sum = 0;
    for (size_t i = 0; i < l->n_sites; i++) {
        skv_ways *w = &l->ways[i];
        SKV_TRY(skv_lowrank_time(l, i, w->items, w->n));
        for (size_t k = 1; k < w->n && !w->given; k++) w->items[k].slow = !(w->items[k].seconds < w->items[0].seconds);
        set_aside(w);
        if (w->n == 1 && w->slow > 0 && !w->kept)
            SKV_TRY(skv_lowrank_keep(l, i, "no factors were measured to be faster"));
        if (isnan(w->items[0].seconds)) {
            w->items[0].seconds = 0;
            w->n = 1;
            w->slow = 0;
            SKV_TRY(skv_lowrank_keep(l, i, "it cannot be timed: a size is not known"));
        }
        sum += w->items[0].seconds;
    }
    c->rest = c->all > sum ? c->all - sum : 0;
    return SKIVE_OK;
}

static skive_status time_choice(const choosing *c, double *seconds) {
    skive_graph *g = NULL;
    skive_factorize_size size;
    SKV_TRY(skv_lowrank_make(c->l, &g));
    const skive_status status = skv_lowrank_size(c->l, g, true, &size);
    skive_graph_free(g);
    *seconds = size.seconds;
    return status;
}

static skive_status try_aim(void *user, double aim, double *seconds) {
    choosing *c = user;
    SKV_TRY(fit_in(c, aim));
    return time_choice(c, seconds);
}

static skive_status reach_time(choosing *c, double budget) {
    skv_reached r;
    SKV_TRY(skv_reach_time(c->l->ctx, budget, c->all, try_aim, c, &r));
    return r.aim == r.last ? SKIVE_OK : fit_in(c, r.aim);
}

/* What the model has of what is measured, and what of it no choice changes. */
static skive_status open_measure(choosing *c) {
    skv_lowrank *l = c->l;
    skive_cost cost;
    SKV_TRY(skive_graph_cost(l->work, &cost));
    c->all = c->by == MACS ? (double)cost.macs : (c->by == BYTES ? 4 : 1) * (double)cost.parameters;
    if (c->by == LATENCY) {
        skive_factorize_size size;
        SKV_TRY(skv_lowrank_size(l, l->work, true, &size));
        if (isnan(size.seconds))
            return SKV_FAIL(l->ctx, SKIVE_ERR_UNSUPPORTED, "the model cannot be timed: a size is not known");
        c->all = size.seconds;
        return time_all(c);
    }
    c->rest = c->all;
    for (size_t i = 0; i < l->n_sites; i++) c->rest -= cost_of(&l->ways[i].items[0], c->by);
    return SKIVE_OK;
}

static skive_status take_budget(const choosing *c, const char *text, double *budget) {
    const skv_lowrank *l = c->l;
    skv_option_values v;
    skv_options_default(budgets, SKV_LENGTH(budgets), &v);
    SKV_TRY(skv_option_set(l->ctx, NULL, &v, (size_t)c->by, text));
    *budget = skv_option_budget(&v, budgets[c->by].name, c->all);
    const double unit = unit_of(c);
    if (*budget >= c->all)
        return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, budgets[c->by].name,
                           "the budget of %.4g %s is not below what the model has, %.4g", *budget * unit,
                           measures[c->by], c->all * unit);
    return SKIVE_OK;
}

#define SLOWER 1.02

static bool is_slower(double seconds, double before) {
    return seconds > SLOWER * before && seconds > before + SKV_LOWRANK_NOISE;
}

/* The method's ways that cost as much as the chosen one, or more, are slow, or no longer. */
static void mark_slow(skv_ways *w, bool slow) {
    const skv_way *way = &w->items[w->chosen];
    for (size_t k = 1; k < w->n; k++)
        if (w->items[k].method == way->method && w->items[k].macs >= way->macs) w->items[k].slow = slow;
}

/* A budget of anything but time may choose factors whose kernels are slower than those of the layer as it is. They are
 * left out if the budget is met without them. */
static skive_status without_slower(choosing *c, double budget) {
    skv_lowrank *l = c->l;
    size_t left_out = 0, i = 0;
    while (l->o.measure && !l->o.uniform && i < l->n_sites) {
        skv_ways *w = &l->ways[i];
        skv_way *way = &w->items[w->chosen];
        const size_t site = i++;
        if (w->given || !way->method) continue;
        SKV_TRY(skv_lowrank_time(l, site, &w->items[0], 1));
        SKV_TRY(skv_lowrank_time(l, site, way, 1));
        if (!is_slower(way->seconds, w->items[0].seconds)) continue;
        mark_slow(w, true);
        if (budget < least_of(c) * (1 - 1e-12)) {
            mark_slow(w, false);
            continue;
        }
        set_aside(w);
        left_out++;
        i = 0;
        SKV_TRY(fit_in(c, budget));
    }
    if (left_out)
        skv_note(l->ctx, "%zu choice%s measured to be slower than the layer as it is, and left out", left_out,
                 left_out == 1 ? " was" : "s were");
    return SKIVE_OK;
}

/* ---- ranks that kernels like ---- */

/* A rank that kernels like may take no longer than one a little smaller. `room`: what the budget has left of what is
 * measured; NULL: there is no budget. */
static skive_status round_rank(skv_lowrank *l, size_t site, measure by, double *room) {
    static const int64_t multiples[] = {4, 8, 16};
    skv_ways *w = &l->ways[site];
    const skv_site *s = &l->sites[site];
    skv_way ways[1 + SKV_LENGTH(multiples)] = {w->items[w->chosen]};
    const skv_factorization *m = ways[0].method;
    size_t n = 1, best = 0;
    if (!m) return SKIVE_OK; /* stays as it is */
    for (size_t i = 0; i < SKV_LENGTH(multiples); i++) {
        const int64_t a = (ways[0].rank.a + multiples[i] - 1) / multiples[i] * multiples[i];
        const int64_t b = ways[0].rank.b ? (ways[0].rank.b + multiples[i] - 1) / multiples[i] * multiples[i] : 0;
        skv_way *way = &ways[n];
        if (a > m->full(s) || b > s->in || (double)a > 1.3 * (double)ways[0].rank.a) continue;
        if (a == ways[n - 1].rank.a && b == ways[n - 1].rank.b) continue;
        *way = (skv_way){.method = m, .rank = {a, b}, .seconds = NAN};
        skv_lowrank_cost(s, m, way->rank, &way->macs, &way->parameters);
        if ((way->macs > w->items[0].macs && s->kind != SKV_SITE_TABLE) || way->parameters >= w->items[0].parameters)
            continue;
        if (room && cost_of(way, by) - cost_of(&ways[0], by) > *room) continue;
        n++;
    }
    if (n == 1) return SKIVE_OK;
    SKV_TRY(skv_lowrank_time(l, site, ways, n));
    for (size_t i = 1; i < n; i++)
        if (ways[i].seconds <= SLOWER * ways[0].seconds) best = i;
    const double seconds = ways[best].seconds;
    if (best > 0) {
        if (room) *room -= cost_of(&ways[best], by) - cost_of(&ways[0], by);
        SKV_TRY(skv_lowrank_way(l, site, m, ways[best].rank, &w->items[w->chosen]));
    }
    w->items[w->chosen].seconds = seconds;
    return SKIVE_OK;
}

static skive_status round_ranks(skv_lowrank *l, measure by, double *room) {
    for (size_t i = 0; l->o.round && i < l->n_sites; i++)
        if (l->ways[i].chosen > 0 && !l->ways[i].given) SKV_TRY(round_rank(l, i, by, room));
    return SKIVE_OK;
}

/* Where the budget is one of time, times have chosen among the ranks already. */
static skive_status round_within(const choosing *c, double budget) {
    double room = budget - c->rest;
    for (size_t i = 0; i < c->l->n_sites; i++) room -= cost_of(&c->l->ways[i].items[c->l->ways[i].chosen], c->by);
    return c->l->o.measure && !c->l->o.uniform ? round_ranks(c->l, c->by, &room) : SKIVE_OK;
}

static skive_status meet(choosing *c, double budget) {
    if (c->by == LATENCY) return reach_time(c, budget);
    SKV_TRY(fit_in(c, budget));
    SKV_TRY(without_slower(c, budget));
    return round_within(c, budget);
}

/* ---- a limit on the loss ---- */

enum { LEVELS = SKIVE_FACTORIZE_LEVELS };

typedef struct searching {
    choosing c;
    double end; /* the budget, or without one the least that can be reached */
} searching;

/* The more of the levels, the smaller the model. On the way times are the layers' sums; at its end the model's. */
static skive_status choose_level(searching *s, size_t level) {
    const double share = (double)level / LEVELS;
    if (level == 0) return SKIVE_OK;
    return level == LEVELS ? meet(&s->c, s->end) : fit_in(&s->c, s->c.all - share * (s->c.all - s->end));
}

static skive_status evaluate(void *user, size_t applied, skive_eval_report *out) {
    searching *s = user;
    skv_lowrank *l = s->c.l;
    skive_graph *g = NULL;
    SKV_TRY(choose_level(s, applied));
    SKV_TRY(skv_lowrank_make(l, &g));
    const skive_status status = skv_evaluate(l->ctx, g, l->validation, &(skv_evaluation){0}, out);
    skive_graph_free(g);
    return status;
}

/* Multiply-accumulates, if there are any to save: embeddings have none. */
static measure usual_measure(const skv_lowrank *l) {
    double saved = 0;
    for (size_t i = 0; i < l->n_sites; i++)
        for (size_t k = 1; k < l->ways[i].n; k++)
            saved += (double)(l->ways[i].items[0].macs - l->ways[i].items[k].macs);
    return saved > 0 ? MACS : PARAMS;
}

static skive_status within_drop(const choosing *c, double end) {
    skv_lowrank *l = c->l;
    searching s = {.c = *c, .end = end};
    skive_control_report *r = &l->report.control;
    skive_eval_report original = {0};
    SKV_TRY(skv_evaluate(l->ctx, l->work, l->validation, &(skv_evaluation){0}, &original));
    const skive_status status = skive_control_drop(l->ctx, LEVELS, &original, l->o.max_drop, evaluate, &s, r);
    skive_eval_report_free(l->ctx, &original);
    SKV_TRY(status);
    if (!r->feasible)
        return skv_fail_at(
            l->ctx, SKIVE_ERR_GOAL, "max_drop",
            "no factorization stays within a drop of %g points on %lld validation samples; the best found "
            "loses %.3g",
            l->o.max_drop, (long long)r->samples, r->trials[r->best].drop);
    return choose_level(&s, r->applied);
}

/* A budget, a limit on the loss, or as much of the way to the one as the other allows. */
static skive_status choose_within(choosing *c, const char *text) {
    double end;
    if (!text) c->by = usual_measure(c->l);
    SKV_TRY(open_measure(c));
    end = least_of(c);
    if (text) SKV_TRY(take_budget(c, text, &end));
    if (!(c->l->o.max_drop >= 0) || c->l->o.dry_run) return meet(c, end);
    return end < least_of(c) * (1 - 1e-12) ? refuse(c, end) : within_drop(c, end);
}

/* ---- without either ---- */

/* Of the methods whose rank a rule gave, that with the fewest multiply-accumulates; of equal ones, parameters. */
static void best_of_each(skv_lowrank *l) {
    for (size_t i = 0; i < l->n_sites; i++) {
        skv_ways *w = &l->ways[i];
        for (size_t k = 1; k < w->n && !w->given; k++) {
            const skv_way *a = &w->items[k], *b = &w->items[w->chosen];
            if (w->chosen == 0 || a->macs < b->macs || (a->macs == b->macs && a->parameters < b->parameters))
                w->chosen = k;
        }
    }
}

static skive_status tell_kept(skv_lowrank *l) {
    for (size_t i = 0; i < l->n_sites; i++) {
        if (l->ways[i].chosen > 0 || l->ways[i].kept) continue;
        SKV_TRY(skv_lowrank_keep(l, i, "the model is small enough without it, at less harm"));
    }
    return SKIVE_OK;
}

skive_status skv_lowrank_choose(skv_lowrank *l) {
    const char *const texts[] = {l->o.macs, l->o.params, l->o.bytes, l->o.latency};
    choosing c = {.l = l, .by = NONE};
    for (int i = 0; i < NONE; i++)
        if (texts[i]) c.by = (measure)i;
    if (c.by != NONE || l->o.max_drop >= 0) {
        SKV_TRY(choose_within(&c, c.by != NONE ? texts[c.by] : NULL));
    } else {
        best_of_each(l);
        if (l->rank == 0) SKV_TRY(round_ranks(l, NONE, NULL));
    }
    return tell_kept(l);
}
