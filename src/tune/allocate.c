/* The multiple-choice knapsack problem with one or several budgets, solved exactly.
 *
 * With a price for each unit of cost (a Lagrange multiplier), each layer has a best choice by itself; their sum is a
 * bound on the harm of any allocation, and each other choice lies above its layer's best by a penalty. Choices, and
 * partial allocations, whose penalties lift the bound above a known solution are dropped. What is left is enumerated
 * layer by layer, without partial allocations that another one beats in harm and every cost. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tune/tune.h"

enum { MOST_STATES = 1 << 15, FEW_STATES = 512, MOST_WORK = 4000000, ROUNDS = 24, HALVINGS = 100, WINDOW = 256 };

typedef struct state {
    double cost[SKIVE_MOST_BUDGETS], harm, penalty;
    double rank,
        off; /* of states that are too many: the penalty, coarsely, and how far the completion is from the budgets */
    uint32_t parent, choice;
} state;

typedef struct link {
    uint32_t parent, choice;
} link;

typedef struct layer {
    const skive_choice *items;
    size_t n, index;
    bool *out;       /* [n] cannot be part of the best allocation */
    double *penalty; /* [n] */
    size_t base;     /* the best at the prices */
    size_t known;    /* of the solution found before enumeration */
    double next;     /* the least penalty of the others */
} layer;

typedef struct allocation {
    skive_context *ctx;
    layer *layers;
    size_t n, k; /* layers, budgets */
    double budgets[SKIVE_MOST_BUDGETS];
    double price[SKIVE_MOST_BUDGETS];
    double bound, slack;
    double rounding; /* of sums of harms */
    bool found;
    double best_harm, best_cost[SKIVE_MOST_BUDGETS];
    size_t *best; /* [n] by position in `layers` */
    bool cut;     /* states were dropped for lack of memory, none of which leads below cut_bound */
    double cut_bound;
    size_t states;
    link **links; /* [n] of each stage */
} allocation;

/* ---- the input ---- */

static skive_status check(skive_context *ctx, const skive_choices *layers, size_t n, const double *budgets, size_t k) {
    if (k < 1 || k > SKIVE_MOST_BUDGETS)
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "there are %zu budgets; there must be 1 to %d", k, SKIVE_MOST_BUDGETS);
    for (size_t b = 0; b < k; b++) {
        if (isnan(budgets[b]) || budgets[b] < 0)
            return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "budget %zu is %g; it must not be negative", b + 1, budgets[b]);
    }
    for (size_t i = 0; i < n; i++) {
        const char *name = layers[i].layer ? layers[i].layer : "";
        if (layers[i].n < 1 || !layers[i].items)
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, name, "layer %zu '%s' has no choices", i, name);
        for (size_t j = 0; j < layers[i].n; j++) {
            const skive_choice *c = &layers[i].items[j];
            bool good = isfinite(c->harm);
            for (size_t b = 0; b < k; b++) good = good && isfinite(c->cost[b]) && c->cost[b] >= 0;
            if (!good)
                return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, name,
                                   "choice %zu of layer %zu '%s': its harm must be finite, its costs finite and not "
                                   "negative",
                                   j, i, name);
        }
    }
    return SKIVE_OK;
}

/* a is at least as good as b in everything. */
static bool covers(const skive_choice *a, const skive_choice *b, size_t k) {
    if (a->harm > b->harm) return false;
    for (size_t i = 0; i < k; i++)
        if (a->cost[i] > b->cost[i]) return false;
    return true;
}

static void drop_covered(layer *l, size_t k) {
    for (size_t j = 0; j < l->n; j++) {
        for (size_t other = 0; other < l->n && !l->out[j]; other++) {
            if (other == j || l->out[other] || !covers(&l->items[other], &l->items[j], k)) continue;
            l->out[j] = other < j || !covers(&l->items[j], &l->items[other], k);
        }
    }
}

static double least_cost(const layer *l, size_t budget) {
    double least = INFINITY;
    for (size_t j = 0; j < l->n; j++) least = fmin(least, l->items[j].cost[budget]);
    return least;
}

/* Of whole numbers, only the whole part of a budget can be used up; then the bound can be reached. */
static void set_budgets(allocation *a, const skive_choices *layers, const double *budgets) {
    for (size_t b = 0; b < a->k; b++) {
        bool whole = true;
        for (size_t i = 0; i < a->n && whole; i++)
            for (size_t j = 0; j < layers[i].n && whole; j++)
                whole = layers[i].items[j].cost[b] == floor(layers[i].items[j].cost[b]);
        a->budgets[b] = whole ? floor(budgets[b]) : budgets[b];
    }
}

/* ---- prices ---- */

static double priced(const allocation *a, const skive_choice *c) {
    double sum = c->harm;
    for (size_t b = 0; b < a->k; b++) sum += a->price[b] * c->cost[b];
    return sum;
}

static bool cheaper(const allocation *a, const skive_choice *x, const skive_choice *y) {
    for (size_t b = 0; b < a->k; b++)
        if (x->cost[b] != y->cost[b]) return x->cost[b] < y->cost[b];
    return false;
}

/* The best choice of each layer at the current prices, and their sums. */
static void solve_priced(allocation *a, double cost[SKIVE_MOST_BUDGETS], double *sum) {
    *sum = 0;
    for (size_t b = 0; b < a->k; b++) cost[b] = 0;
    for (size_t i = 0; i < a->n; i++) {
        layer *l = &a->layers[i];
        double least = INFINITY;
        for (size_t j = 0; j < l->n; j++) {
            if (l->out[j]) continue;
            const double x = priced(a, &l->items[j]);
            if (x > least || (x == least && !cheaper(a, &l->items[j], &l->items[l->base]))) continue;
            least = x;
            l->base = j;
        }
        *sum += least;
        for (size_t b = 0; b < a->k; b++) cost[b] += l->items[l->base].cost[b];
    }
    for (size_t b = 0; b < a->k; b++) *sum -= a->price[b] * a->budgets[b];
}

static bool within(const allocation *a, const double cost[SKIVE_MOST_BUDGETS]) {
    for (size_t b = 0; b < a->k; b++)
        if (cost[b] > a->budgets[b]) return false;
    return true;
}

/* The least price of one budget at which it is met, the others as they are. */
static void set_price(allocation *a, size_t b) {
    const double before = a->price[b];
    double cost[SKIVE_MOST_BUDGETS], sum, low = 0, high = 1e-12;
    a->price[b] = 0;
    solve_priced(a, cost, &sum);
    if (cost[b] <= a->budgets[b]) return;
    while (high < 1e200) {
        a->price[b] = high;
        solve_priced(a, cost, &sum);
        if (cost[b] <= a->budgets[b]) break;
        low = high;
        high *= 16;
    }
    if (high >= 1e200) { /* the other prices do not let it */
        a->price[b] = before;
        return;
    }
    for (int i = 0; i < HALVINGS && low < high; i++) {
        const double middle = low + (high - low) / 2;
        if (middle <= low || middle >= high) break;
        a->price[b] = middle;
        solve_priced(a, cost, &sum);
        if (cost[b] <= a->budgets[b])
            high = middle;
        else
            low = middle;
    }
    a->price[b] = high;
}

/* Prices that make the bound high. Any prices give a valid one. */
static void find_prices(allocation *a) {
    double cost[SKIVE_MOST_BUDGETS], best[SKIVE_MOST_BUDGETS] = {0}, sum;
    solve_priced(a, cost, &a->bound);
    for (int round = 0; round < (a->k > 1 ? ROUNDS : 1); round++) {
        for (size_t b = 0; b < a->k; b++) {
            set_price(a, b);
            solve_priced(a, cost, &sum);
            if (sum <= a->bound) continue;
            a->bound = sum;
            memcpy(best, a->price, sizeof best);
        }
    }
    /* The last price of a single budget makes the base meet it, and its bound differs from the best one's by rounding
     * only. */
    if (a->k > 1) memcpy(a->price, best, sizeof best);
    solve_priced(a, cost, &a->bound);
    for (size_t b = 0; b < a->k; b++) a->slack += 1e-12 * a->price[b] * a->budgets[b];
}

/* ---- solutions ---- */

static bool better(const allocation *a, double harm, const double *cost) {
    if (!a->found || harm != a->best_harm) return !a->found || harm < a->best_harm;
    for (size_t b = 0; b < a->k; b++)
        if (cost[b] != a->best_cost[b]) return cost[b] < a->best_cost[b];
    return false;
}

/* The known solution reaches the bound: none does less harm; and as each unit of a cost has a price, none costs less.
 * */
static bool settled(const allocation *a) {
    for (size_t b = 0; b < a->k; b++)
        if (!(a->price[b] > 0)) return false;
    return a->found && a->best_harm <= a->bound + a->rounding;
}

static void keep(allocation *a, double harm, const double *cost) {
    a->found = true;
    a->best_harm = harm;
    memcpy(a->best_cost, cost, sizeof a->best_cost);
}

static double excess(const allocation *a, const double cost[SKIVE_MOST_BUDGETS]) {
    double sum = 0;
    for (size_t b = 0; b < a->k; b++) sum += fmax(0, cost[b] - a->budgets[b]) / (a->budgets[b] > 0 ? a->budgets[b] : 1);
    return sum;
}

/* With several budgets the base may exceed some: the changes that bring it down most for their harm. */
static void repair(allocation *a, double cost[SKIVE_MOST_BUDGETS], double *harm) {
    double over = excess(a, cost);
    while (over > 0) {
        double most = 0, to[SKIVE_MOST_BUDGETS] = {0};
        size_t at = 0, choice = 0;
        for (size_t i = 0; i < a->n; i++) {
            const layer *l = &a->layers[i];
            const skive_choice *now = &l->items[a->best[i]];
            for (size_t j = 0; j < l->n; j++) {
                const skive_choice *c = &l->items[j];
                double next[SKIVE_MOST_BUDGETS] = {0};
                if (l->out[j]) continue;
                for (size_t b = 0; b < a->k; b++) next[b] = cost[b] - now->cost[b] + c->cost[b];
                const double gain = over - excess(a, next);
                if (!(gain > 1e-12 * over) || gain / (fmax(0, c->harm - now->harm) + 1e-30) <= most) continue;
                most = gain / (fmax(0, c->harm - now->harm) + 1e-30);
                at = i;
                choice = j;
                memcpy(to, next, sizeof to);
            }
        }
        if (!(most > 0)) return;
        *harm += a->layers[at].items[choice].harm - a->layers[at].items[a->best[at]].harm;
        memcpy(cost, to, sizeof to);
        a->best[at] = choice;
        over = excess(a, cost);
    }
}

/* From the base, the change that removes the most harm for its share of the budgets left, as long as one fits. */
static void fill_greedily(allocation *a) {
    double cost[SKIVE_MOST_BUDGETS] = {0}, harm = 0;
    for (size_t i = 0; i < a->n; i++) {
        const layer *l = &a->layers[i];
        a->best[i] = l->base;
        harm += l->items[l->base].harm;
        for (size_t b = 0; b < a->k; b++) cost[b] += l->items[l->base].cost[b];
    }
    repair(a, cost, &harm);
    if (!within(a, cost)) return;
    for (;;) {
        double most = 0, to[SKIVE_MOST_BUDGETS] = {0};
        size_t at = 0, choice = 0;
        for (size_t i = 0; i < a->n; i++) {
            const layer *l = &a->layers[i];
            const skive_choice *now = &l->items[a->best[i]];
            for (size_t j = 0; j < l->n; j++) {
                const skive_choice *c = &l->items[j];
                double next[SKIVE_MOST_BUDGETS] = {0}, share = 1e-30;
                if (l->out[j] || c->harm >= now->harm) continue;
                for (size_t b = 0; b < a->k; b++) {
                    next[b] = cost[b] - now->cost[b] + c->cost[b];
                    share += fmax(0, c->cost[b] - now->cost[b]) / (a->budgets[b] > 0 ? a->budgets[b] : 1);
                }
                if (!within(a, next) || (now->harm - c->harm) / share <= most) continue;
                most = (now->harm - c->harm) / share;
                at = i;
                choice = j;
                memcpy(to, next, sizeof to);
            }
        }
        if (!(most > 0)) break;
        harm += a->layers[at].items[choice].harm - a->layers[at].items[a->best[at]].harm;
        memcpy(cost, to, sizeof cost);
        a->best[at] = choice;
    }
    keep(a, harm, cost);
}

/* ---- what cannot be part of the best ---- */

static bool hopeless(const allocation *a, double penalty) {
    return a->found && a->bound + penalty > a->best_harm + a->slack;
}

static void set_penalties(allocation *a) {
    for (size_t i = 0; i < a->n; i++) {
        layer *l = &a->layers[i];
        const double base = priced(a, &l->items[l->base]);
        l->next = INFINITY;
        for (size_t j = 0; j < l->n; j++) {
            l->penalty[j] = fmax(0, priced(a, &l->items[j]) - base);
            if (j == l->base || l->out[j]) continue;
            l->out[j] = hopeless(a, l->penalty[j]);
            if (!l->out[j]) l->next = fmin(l->next, l->penalty[j]);
        }
    }
}

static int undecided_first(const void *x, const void *y) {
    const layer *a = x, *b = y;
    if (a->next != b->next) return a->next < b->next ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

/* ---- enumeration ---- */

typedef struct rest {
    double least[SKIVE_MOST_BUDGETS]; /* of the layers not yet decided */
    double base[SKIVE_MOST_BUDGETS], harm;
} rest;

static int by_cost(const void *x, const void *y) {
    const state *a = x, *b = y;
    for (size_t i = 0; i < SKIVE_MOST_BUDGETS; i++)
        if (a->cost[i] != b->cost[i]) return a->cost[i] < b->cost[i] ? -1 : 1;
    if (a->harm != b->harm) return a->harm < b->harm ? -1 : 1;
    if (a->parent != b->parent) return a->parent < b->parent ? -1 : 1;
    return a->choice < b->choice ? -1 : a->choice > b->choice;
}

static int by_rank(const void *x, const void *y) {
    const state *a = x, *b = y;
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    if (a->off != b->off) return a->off < b->off ? -1 : 1;
    return by_cost(x, y);
}

/* Too many states: those stay that may lead to the least harm, and of equals those whose completion uses the budgets up
 * best. */
static size_t cut_down(allocation *a, const rest *r, state *s, size_t n, size_t most) {
    double least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        s[i].rank = a->slack > 0 ? floor(s[i].penalty / a->slack) : s[i].penalty;
        for (size_t b = 0; b < a->k; b++)
            s[i].off += fabs(s[i].cost[b] + r->base[b] - a->budgets[b]) / (a->budgets[b] > 0 ? a->budgets[b] : 1);
    }
    qsort(s, n, sizeof *s, by_rank);
    for (size_t i = most; i < n; i++) least = fmin(least, s[i].penalty);
    a->cut = true;
    a->cut_bound = fmin(a->cut_bound, a->bound + least);
    return most;
}

/* Sorts by cost and removes the states that another one beats. With one budget that is all of them; with several, those
 * beaten by one of the last WINDOW that were kept. */
static size_t undominated(const allocation *a, state *s, size_t n) {
    size_t kept = 0;
    qsort(s, n, sizeof *s, by_cost);
    for (size_t i = 0; i < n; i++) {
        bool beaten = false;
        if (a->k == 1) {
            beaten = kept > 0 && s[kept - 1].harm <= s[i].harm;
        } else {
            for (size_t j = kept; j > 0 && j + WINDOW > kept && !beaten; j--) {
                beaten = s[j - 1].harm <= s[i].harm;
                for (size_t b = 0; b < a->k && beaten; b++) beaten = s[j - 1].cost[b] <= s[i].cost[b];
            }
        }
        if (!beaten) s[kept++] = s[i];
    }
    return kept;
}

/* The allocation that leads to a state, and the base for the layers after it. */
static void take_back(allocation *a, size_t stage, uint32_t parent, uint32_t choice) {
    for (size_t i = stage + 1; i < a->n; i++) a->best[i] = a->layers[i].base;
    a->best[stage] = choice;
    for (size_t i = stage; i-- > 0;) {
        const link at = a->links[i][parent];
        a->best[i] = at.choice;
        parent = at.parent;
    }
}

/* One state with one choice more; false if it leads nowhere. */
static bool extend(allocation *a, const layer *l, const rest *r, size_t stage, const state *from, uint32_t parent,
                   size_t j, state *out) {
    const skive_choice *c = &l->items[j];
    double whole[SKIVE_MOST_BUDGETS] = {0};
    if (l->out[j] || hopeless(a, from->penalty + l->penalty[j])) return false;
    *out = (state){.harm = from->harm + c->harm,
                   .penalty = from->penalty + l->penalty[j],
                   .parent = parent,
                   .choice = (uint32_t)j};
    for (size_t b = 0; b < a->k; b++) {
        out->cost[b] = from->cost[b] + c->cost[b];
        whole[b] = out->cost[b] + r->base[b];
        if (out->cost[b] + r->least[b] > a->budgets[b]) return false;
    }
    if (within(a, whole) && better(a, out->harm + r->harm, whole)) {
        keep(a, out->harm + r->harm, whole);
        take_back(a, stage, parent, (uint32_t)j);
    }
    return true;
}

static skive_status run_stage(allocation *a, size_t stage, const rest *r, state **states, size_t *n) {
    const layer *l = &a->layers[stage];
    state *next = NULL;
    size_t count = 0;
    SKV_TRY(skv_alloc_array(a->ctx, *n * l->n + 1, sizeof *next, &next));
    for (size_t i = 0; i < *n && !settled(a); i++)
        for (size_t j = 0; j < l->n; j++)
            count += extend(a, l, r, stage, &(*states)[i], (uint32_t)i, j, &next[count]) ? 1 : 0;
    a->states += count;
    count = undominated(a, next, count);
    const size_t most = a->states < MOST_WORK ? MOST_STATES : FEW_STATES;
    if (count > most) count = cut_down(a, r, next, count, most);
    const skive_status status = skv_alloc_array(a->ctx, count + 1, sizeof *a->links[stage], &a->links[stage]);
    for (size_t i = 0; status == SKIVE_OK && i < count; i++)
        a->links[stage][i] = (link){next[i].parent, next[i].choice};
    skv_free(a->ctx, *states);
    *states = next;
    *n = count;
    return status;
}

static skive_status enumerate(allocation *a) {
    state *states = NULL;
    rest *rests = NULL;
    size_t n = 1;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(a->ctx, 1, sizeof *states, &states));
    SKV_GO(status, done, skv_alloc_array(a->ctx, a->n + 1, sizeof *rests, &rests));
    for (size_t i = a->n; i-- > 0;) {
        const layer *l = &a->layers[i];
        rests[i].harm = rests[i + 1].harm + l->items[l->base].harm;
        for (size_t b = 0; b < a->k; b++) {
            rests[i].least[b] = rests[i + 1].least[b] + least_cost(l, b);
            rests[i].base[b] = rests[i + 1].base[b] + l->items[l->base].cost[b];
        }
    }
    for (size_t i = 0; i < a->n && n > 0 && !settled(a); i++)
        SKV_GO(status, done, run_stage(a, i, &rests[i + 1], &states, &n));
done:
    skv_free(a->ctx, states);
    skv_free(a->ctx, rests);
    return status;
}

/* ---- the whole ---- */

static skive_status prepare(allocation *a, const skive_choices *layers, skive_allocation *report) {
    double harm = 0;
    SKV_TRY(skv_alloc_array(a->ctx, a->n + 1, sizeof *a->layers, &a->layers));
    SKV_TRY(skv_alloc_array(a->ctx, a->n + 1, sizeof *a->best, &a->best));
    SKV_TRY(skv_alloc_array(a->ctx, a->n + 1, sizeof *a->links, &a->links));
    for (size_t i = 0; i < a->n; i++) {
        layer *l = &a->layers[i];
        double most = 0;
        *l = (layer){.items = layers[i].items, .n = layers[i].n, .index = i};
        SKV_TRY(skv_alloc_array(a->ctx, l->n, sizeof *l->out, &l->out));
        SKV_TRY(skv_alloc_array(a->ctx, l->n, sizeof *l->penalty, &l->penalty));
        for (size_t j = 0; j < l->n; j++) most = fmax(most, fabs(l->items[j].harm));
        harm += most;
        drop_covered(l, a->k);
        for (size_t b = 0; b < a->k; b++) report->least[b] += least_cost(l, b);
    }
    a->slack = 1e-10 * harm; /* what sums in another order may differ by, and more */
    a->rounding = 1e-13 * harm;
    return SKIVE_OK;
}

static skive_status refuse(const allocation *a, const skive_allocation *report) {
    for (size_t b = 0; b < a->k; b++) {
        if (report->least[b] > a->budgets[b])
            return SKV_FAIL(a->ctx, SKIVE_ERR_GOAL, "the budget of %.10g cannot be met: the least possible is %.10g",
                            a->budgets[b], report->least[b]);
    }
    return SKIVE_OK;
}

static void release(allocation *a) {
    for (size_t i = 0; a->layers && i < a->n; i++) {
        skv_free(a->ctx, a->layers[i].out);
        skv_free(a->ctx, a->layers[i].penalty);
    }
    for (size_t i = 0; a->links && i < a->n; i++) skv_free(a->ctx, a->links[i]);
    skv_free(a->ctx, a->links);
    skv_free(a->ctx, a->layers);
    skv_free(a->ctx, a->best);
}

/* The sums are formed anew, in the order of the layers. */
static void report_on(const allocation *a, const skive_choices *layers, size_t *chosen, skive_allocation *report) {
    for (size_t i = 0; i < a->n; i++) chosen[a->layers[i].index] = a->best[i];
    for (size_t i = 0; i < a->n; i++) {
        const skive_choice *c = &layers[i].items[chosen[i]];
        report->harm += c->harm;
        for (size_t b = 0; b < a->k; b++) report->cost[b] += c->cost[b];
    }
    report->exact = !a->cut || settled(a) || a->cut_bound >= a->best_harm - a->slack;
    report->bound = report->exact ? report->harm : fmin(a->cut_bound, report->harm);
    report->states = a->states;
}

skive_status skive_allocate(skive_context *ctx, const skive_choices *layers, size_t n, const double *budgets,
                            size_t n_budgets, size_t *chosen, skive_allocation *report) {
    SKV_NEED(ctx, "ctx, layers, budgets, chosen", ctx, layers || !n, budgets, chosen || !n);
    allocation a = {.ctx = ctx, .n = n, .k = n_budgets, .cut_bound = INFINITY};
    skive_allocation r = {0};
    skive_status status;
    if (report) *report = r;
    SKV_TRY(check(ctx, layers, n, budgets, n_budgets));
    set_budgets(&a, layers, budgets);
    SKV_GO(status, done, prepare(&a, layers, &r));
    SKV_GO(status, done, refuse(&a, &r));
    find_prices(&a);
    fill_greedily(&a);
    set_penalties(&a);
    for (size_t i = 0; i < n; i++) a.layers[i].known = a.best[i];
    qsort(a.layers, n, sizeof *a.layers, undecided_first);
    for (size_t i = 0; i < n; i++) a.best[i] = a.layers[i].known;
    SKV_GO(status, done, enumerate(&a));
    if (!a.found) {
        status = a.cut ? SKV_FAIL(ctx, SKIVE_ERR_LIMIT,
                                  "no allocation within all %zu budgets was found among %zu partial ones, though each "
                                  "budget can be met by itself; widen one of them",
                                  n_budgets, a.states)
                       : SKV_FAIL(ctx, SKIVE_ERR_GOAL,
                                  "the %zu budgets cannot be met together, though each of them can", n_budgets);
        goto done;
    }
    report_on(&a, layers, chosen, &r);
done:
    if (report) *report = r;
    release(&a);
    return status;
}
