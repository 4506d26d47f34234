/* The choice of least harm within a budget: how many channels go of each family, or which layers, so that the sum of
 * the scores that go is the least (skive_allocate).
 *
 * The allocator adds costs up. Those of whole layers do; those of channels do not, because the products of a layer are
 * its inputs times its outputs. So the way to the budget is gone in stages: in each one what a part costs at other
 * widths is counted with all others as they are by now, the exact choice for these costs is made, and the model with it
 * is built and counted itself (compare Shen et al. 2022, "Structural pruning via latency-saliency knapsack"). */
#include <math.h>
#include <string.h>

#include "prune/prune.h"
#include "tune/tune.h"

enum { STAGES = 4, ATTEMPTS = 8, WIDTHS = 16 };

const char *skv_choosing_name(size_t i) {
    static const char *const names[] = {"order", "exact"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

typedef struct way {
    size_t go;
    double cost;
} way;

typedef struct exact {
    const skv_exact *e;
    size_t n;       /* parts */
    size_t *most;   /* [n] how many may go */
    size_t *now;    /* [n] how many do */
    size_t *try;    /* [n] */
    size_t *best;   /* [n] of least harm within the budget */
    double cost;    /* with `now` */
    double harm;    /* of `best`; infinite: none yet */
    size_t *chosen; /* [n] */
    skive_choices *choices;
    skive_choice *items; /* [n][WIDTHS + 1] */
    size_t *go;          /* the same */
} exact;

/* What the model costs with so many gone of each; NaN where they cannot go together. */
static skive_status count(exact *x, const size_t *go, double *cost) {
    const skv_exact *e = x->e;
    skive_graph *g = NULL;
    *cost = NAN;
    SKV_TRY(skv_check_interrupt(e->p->ctx));
    e->how->choose_parts(e->self, go);
    skive_status status = e->how->remove(e->self, e->p->work, &g);
    if (status == SKIVE_ERR_ARGUMENT) {
        skive_context_clear(e->p->ctx);
        return SKIVE_OK;
    }
    if (status == SKIVE_OK) status = e->cost(e->user, g, cost);
    skive_graph_free(g);
    return status;
}

/* Of part i alone, the others being as they are. */
static skive_status count_part(exact *x, size_t i, size_t go, double *cost) {
    if (go == x->now[i]) {
        *cost = x->cost;
        return SKIVE_OK;
    }
    memcpy(x->try, x->now, x->n * sizeof *x->try);
    x->try[i] = go;
    return count(x, x->try, cost);
}

/* A layer's products are of the second degree in a width that it reads and gives: three counts tell all of them. */
static double between(const way *w, double go) {
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        double part = w[i].cost;
        for (int k = 0; k < 3; k++)
            if (k != i) part *= (go - (double)w[k].go) / ((double)w[i].go - (double)w[k].go);
        sum += part;
    }
    return sum;
}

static void offer(exact *x, size_t i, size_t go, double cost) {
    skive_choices *c = &x->choices[i];
    const size_t at = i * (WIDTHS + 1) + c->n;
    if (isnan(cost)) return;
    for (size_t k = 0; k < c->n; k++)
        if (x->go[i * (WIDTHS + 1) + k] == go) return;
    x->items[at] = (skive_choice){.harm = x->e->how->harm(x->e->self, i, go), .cost = {cost}};
    x->go[at] = go;
    c->n++;
}

/* The width that is left is a multiple, or all of it. */
static bool fits(const exact *x, size_t i, size_t go) {
    const int64_t left = x->e->how->width(x->e->self, i) - (int64_t)go;
    return go == 0 || go == x->now[i] || left % x->e->multiple == 0;
}

static skive_status offer_part(exact *x, size_t i) {
    const size_t most = x->most[i];
    way w[3] = {{0, 0}, {most, 0}, {x->now[i] > 0 && x->now[i] < most ? x->now[i] : most / 2, 0}};
    x->choices[i] = (skive_choices){.items = &x->items[i * (WIDTHS + 1)]};
    offer(x, i, x->now[i], x->cost);
    if (most == 0) return SKIVE_OK;
    bool all = true;
    for (int k = 0; k < (most > 1 ? 3 : 2); k++) {
        SKV_TRY(count_part(x, i, w[k].go, &w[k].cost));
        all = all && !isnan(w[k].cost);
        if (fits(x, i, w[k].go)) offer(x, i, w[k].go, w[k].cost);
    }
    for (size_t k = 1; all && most > 2 && k < WIDTHS - 3; k++) {
        size_t go = most * k / (WIDTHS - 3);
        while (go < most && !fits(x, i, go)) go++;
        if (fits(x, i, go)) offer(x, i, go, between(w, (double)go));
    }
    return SKIVE_OK;
}

/* One exact choice for the costs as they are around `now`, which it becomes. *same: nothing changed. */
static skive_status step(exact *x, double aim, bool *same) {
    double room = aim - x->cost;
    skive_allocation a;
    for (size_t i = 0; i < x->n; i++) {
        SKV_TRY(offer_part(x, i));
        const skive_choices *c = &x->choices[i];
        skive_choice *items = &x->items[i * (WIDTHS + 1)];
        double least = items[0].cost[0];
        for (size_t k = 1; k < c->n; k++) least = items[k].cost[0] < least ? items[k].cost[0] : least;
        for (size_t k = 0; k < c->n; k++) items[k].cost[0] -= least;
        room += items[0].cost[0]; /* the first is as it is now */
    }
    *same = true;
    if (room < 0) return SKIVE_OK;
    SKV_TRY(skive_allocate(x->e->p->ctx, x->choices, x->n, &room, 1, x->chosen, &a));
    for (size_t i = 0; i < x->n; i++) {
        const size_t go = x->go[i * (WIDTHS + 1) + x->chosen[i]];
        x->try[i] = go;
        *same = *same && go == x->now[i];
    }
    double cost;
    size_t *const old = x->now;
    SKV_TRY(count(x, x->try, &cost));
    if (isnan(cost)) {
        *same = true;
        return SKIVE_OK;
    }
    x->now = x->try;
    x->try = old;
    x->cost = cost;
    return SKIVE_OK;
}

static void keep_if_better(exact *x, double budget) {
    double harm = 0;
    if (!(x->cost <= budget)) return;
    for (size_t i = 0; i < x->n; i++) harm += x->e->how->harm(x->e->self, i, x->now[i]);
    if (!(harm < x->harm)) return;
    x->harm = harm;
    memcpy(x->best, x->now, x->n * sizeof *x->best);
}

static skive_status search(exact *x, double budget) {
    bool same = false;
    double over = 0;
    SKV_TRY(count(x, x->now, &x->cost));
    const double before = x->cost;
    for (int k = 1; k < STAGES; k++) SKV_TRY(step(x, before - (before - budget) * k / STAGES, &same));
    for (int k = 0; k < ATTEMPTS; k++) {
        SKV_TRY(step(x, budget - over, &same));
        keep_if_better(x, budget);
        if (x->cost > budget)
            over += x->cost - budget;
        else if (same)
            break;
    }
    return SKIVE_OK;
}

skive_status skv_prune_exact(const skv_exact *e, double budget, double *harm, bool *found) {
    skive_context *ctx = e->p->ctx;
    exact x = {.e = e, .n = e->how->parts(e->self), .harm = INFINITY};
    const size_t items = (size_t)skv_mul_sat((int64_t)x.n + 1, WIDTHS + 1);
    skive_status status;
    *found = false;
    SKV_GO(status, done, skv_alloc_array(ctx, x.n + 1, sizeof *x.most, &x.most));
    SKV_GO(status, done, skv_alloc_array(ctx, x.n + 1, sizeof *x.now, &x.now));
    SKV_GO(status, done, skv_alloc_array(ctx, x.n + 1, sizeof *x.try, &x.try));
    SKV_GO(status, done, skv_alloc_array(ctx, x.n + 1, sizeof *x.best, &x.best));
    SKV_GO(status, done, skv_alloc_array(ctx, x.n + 1, sizeof *x.chosen, &x.chosen));
    SKV_GO(status, done, skv_alloc_array(ctx, x.n + 1, sizeof *x.choices, &x.choices));
    SKV_GO(status, done, skv_alloc_array(ctx, items, sizeof *x.items, &x.items));
    SKV_GO(status, done, skv_alloc_array(ctx, items, sizeof *x.go, &x.go));
    for (size_t i = 0; i < x.n; i++) x.most[i] = e->how->may_go(e->self, i);
    SKV_GO(status, done, search(&x, budget));
    *found = isfinite(x.harm);
    *harm = x.harm;
    if (*found) e->how->choose_parts(e->self, x.best);
done:
    skv_free(ctx, x.most);
    skv_free(ctx, x.now);
    skv_free(ctx, x.try);
    skv_free(ctx, x.best);
    skv_free(ctx, x.chosen);
    skv_free(ctx, x.choices);
    skv_free(ctx, x.items);
    skv_free(ctx, x.go);
    return status;
}
