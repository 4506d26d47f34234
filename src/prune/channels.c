/* Structured pruning: channels or layers are removed until a budget is met, in one or several steps, with fine-tuning
 * after each.
 *
 * How many of what is ordered by importance go is found by bisection: each trial removes them from a copy and looks at
 * what remains, by counting, writing the file to memory, or the measured times of its nodes. Under a budget of time the
 * model that comes out is run, and the budget of its nodes changed until the model takes what was asked for. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <skive/exec.h>
#include <skive/onnx.h>

#include "passes/pass.h"
#include "prune/prune.h"
#include "tune/costs.h"
#include "tune/reach.h"

/* ---- what a model costs ---- */

typedef enum measure { MACS, PARAMS, BYTES, LATENCY } measure;
static const char *const measures[] = {"multiply-accumulates", "parameters", "bytes", "seconds"};

static const skv_option budgets[] = {
    {.name = "macs", .type = SKV_OPTION_BUDGET, .most = 1, .above = true, .unit = ""},
    {.name = "params", .type = SKV_OPTION_BUDGET, .most = 1, .above = true, .unit = ""},
    {.name = "bytes", .type = SKV_OPTION_BUDGET, .most = 1, .above = true, .unit = "B"},
    {.name = "latency", .type = SKV_OPTION_BUDGET, .most = 1, .above = true, .unit = "s"},
};

static skive_plan_options plan_options(const skv_pruning *p) {
    skive_plan_options o = skive_plan_options_default();
    o.shapes = p->o->shapes;
    o.n_shapes = p->o->n_shapes;
    return o;
}

/* The median times of one run of each graph, measured in turns. ERR_UNSUPPORTED: a plan needs sizes that are not
 * known. */
static skive_status time_graphs(const skv_pruning *p, const skive_graph *const *graphs, size_t n, double *seconds) {
    enum { MOST = 8 };
    skive_context *ctx = p->ctx;
    skive_plan *plans[MOST] = {NULL};
    skive_cost_time times[MOST];
    double reorders[MOST];
    const skive_plan_options o = plan_options(p);
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < n && status == SKIVE_OK; i++) status = skive_plan_create(ctx, graphs[i], &o, &plans[i]);
    if (status == SKIVE_OK) status = skv_cost_measure(NULL, ctx, (const skive_plan *const *)plans, n, times, reorders);
    for (size_t i = 0; i < n; i++) {
        seconds[i] = status == SKIVE_OK ? times[i].seconds + reorders[i] : NAN;
        skive_plan_free(plans[i]);
    }
    return status;
}

/* Of the sizes of inputs that are given. */
static skive_status cost_with_shapes(const skv_pruning *p, const skive_graph *g, skive_cost *out) {
    const skive_prune_options *o = p->o;
    skive_graph *copy = NULL;
    if (o->n_shapes == 0) return skive_graph_cost(g, out);
    SKV_TRY(skive_graph_copy(p->ctx, g, &copy));
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < o->n_shapes && status == SKIVE_OK; i++)
        status = skive_graph_bind_input(copy, o->shapes[i].input, o->shapes[i].rank, o->shapes[i].dims);
    if (status == SKIVE_OK) status = skive_graph_cost(copy, out);
    skive_graph_free(copy);
    return status;
}

static skive_status size_of(const skv_pruning *p, const skive_graph *g, skive_prune_size *out) {
    skive_context *ctx = p->ctx;
    skive_cost cost;
    void *bytes = NULL;
    size_t n = 0;
    SKV_TRY(cost_with_shapes(p, g, &cost));
    SKV_TRY(skive_onnx_serialize(ctx, g, NULL, &bytes, &n));
    skive_onnx_free_bytes(ctx, bytes);
    *out = (skive_prune_size){.macs = cost.macs, .parameters = cost.parameters, .bytes = (int64_t)n, .seconds = NAN};
    return SKIVE_OK;
}

/* Of a budget: how near to it a model with rounded widths must come. */
#define CLOSE 0.9

/* ---- the search ---- */

typedef struct search {
    skv_pruning *p;
    const skv_removal *how;
    void *c;                  /* what can go, of `how` */
    const skive_graph *dense; /* as it was, with all shapes that can be told */
    measure by;
    double wanted; /* for time: of that of `dense` */
    double before; /* of `dense` */
    skive_costs
        *costs;   /* measured once a machine, so that a second run chooses as the first did; NULL: not needed yet */
    double nodes; /* of a budget of time: the sum of the times of the nodes of `dense` */
    /* Of the exact choice, and of the lowest first: the sums of the scores that go. */
    double exact, ordered;
} search;

static skive_status cost_of(const search *s, const skive_graph *g, double *out) {
    if (s->by == LATENCY) {
        const skive_plan_options o = plan_options(s->p);
        double nodes;
        SKV_TRY(skv_costs_of_nodes(s->costs, g, &o, &nodes));
        *out = nodes / s->nodes * s->before;
        return SKIVE_OK;
    }
    if (s->by == BYTES) {
        skive_prune_size size;
        SKV_TRY(size_of(s->p, g, &size));
        *out = (double)size.bytes;
        return SKIVE_OK;
    }
    skive_cost cost;
    SKV_TRY(cost_with_shapes(s->p, g, &cost));
    *out = s->by == MACS ? (double)cost.macs : (double)cost.parameters;
    return SKIVE_OK;
}

static skive_status try_first(search *s, size_t take, int64_t multiple, double *cost, skive_graph **out) {
    skive_graph *g = NULL;
    s->how->choose(s->c, take, multiple);
    SKV_TRY(s->how->remove(s->c, s->p->work, &g));
    const skive_status status = cost_of(s, g, cost);
    if (status == SKIVE_OK && out)
        *out = g;
    else
        skive_graph_free(g);
    return status;
}

/* The most that can go: together some channels may be all that an axis has, as the groups of a normalization are. */
static skive_status most_that_go(search *s, int64_t multiple, size_t *most, double *least, skive_graph **out) {
    skive_status status;
    *most = s->how->count(s->c);
    while ((status = try_first(s, *most, multiple, least, out)) == SKIVE_ERR_ARGUMENT && *most > 0)
        *most -= *most / 8 ? *most / 8 : 1;
    return status;
}

/* The smallest number that meets the budget, and the graph without them. *found is false if even all that
 * can go are not enough; *least is then what remains. */
static skive_status bisect(search *s, double budget, int64_t multiple, skive_graph **out, bool *found, double *least,
                           size_t *taken) {
    size_t low = 0, high;
    skive_graph *best = NULL;
    double cost;
    *out = NULL;
    *taken = 0;
    *found = true;
    SKV_TRY(try_first(s, 0, multiple, &cost, &best));
    if (cost <= budget || s->before <= budget) {
        *least = cost;
        *out = best;
        return SKIVE_OK;
    }
    skive_graph_free(best);
    best = NULL;
    SKV_TRY(most_that_go(s, multiple, &high, least, &best));
    *found = *least <= budget;
    if (!*found) {
        skive_graph_free(best);
        return SKIVE_OK;
    }
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        skive_graph *g = NULL;
        const skive_status status = try_first(s, middle, multiple, &cost, &g);
        if (status != SKIVE_OK) {
            skive_graph_free(best);
            return status;
        }
        if (cost <= budget) {
            high = middle;
            skive_graph_free(best);
            best = g;
        } else {
            low = middle;
            skive_graph_free(g);
        }
    }
    s->how->choose(s->c, high, multiple);
    *out = best;
    *taken = high;
    return SKIVE_OK;
}

/* ---- what stands in the way ---- */

static skive_status refuse(search *s, double budget, double least) {
    skive_context *ctx = s->p->ctx;
    skv_text in_the_way;
    skv_text_init(&in_the_way, ctx);
    s->how->in_the_way(s->c, &in_the_way);
    skive_status status = in_the_way.status;
    const char *why = in_the_way.length ? in_the_way.data : "";
    if (status == SKIVE_OK && s->by == LATENCY)
        status = skv_fail_at(ctx, SKIVE_ERR_GOAL, "budget",
                             "the budget of %.4g ms is below the smallest that can be reached, %.4g ms%s", budget * 1e3,
                             least * 1e3, why);
    else if (status == SKIVE_OK)
        status = skv_fail_at(ctx, SKIVE_ERR_GOAL, "budget",
                             "the budget of %.0f %s is below the smallest that can be reached, %.0f%s", floor(budget),
                             measures[s->by], ceil(least), why);
    skv_text_free(&in_the_way);
    return status;
}

/* ---- one step ---- */

static skive_status need_costs(search *s) { return s->costs ? SKIVE_OK : skive_costs_open(s->p->ctx, NULL, &s->costs); }

/* Of each graph the sum of the measured times of its nodes. */
static skive_status sum_times(search *s, const skive_graph *const *graphs, size_t n, double *seconds) {
    const skive_plan_options o = plan_options(s->p);
    SKV_TRY(need_costs(s));
    for (size_t i = 0; i < n; i++) SKV_TRY(skv_costs_of_nodes(s->costs, graphs[i], &o, &seconds[i]));
    return SKIVE_OK;
}

/* Of the multiples to which widths may be rounded that whose model is fastest; finer ones first when it is a tie. */
static skive_status fastest(search *s, double budget, skive_graph **out, int64_t *multiple, size_t *gone) {
    static const int64_t multiples[] = {1, 4, 8, 16};
    enum { N = SKV_LENGTH(multiples) };
    skive_context *ctx = s->p->ctx;
    skive_graph *g[N] = {NULL};
    const skive_graph *timed[N];
    double seconds[N], least, cost;
    size_t index[N] = {0}, removed[N] = {0}, taken[N] = {0}, n = 0, best = 0;
    skive_status status = SKIVE_OK;
    /* Where nothing has to go there is no width to be rounded. */
    for (size_t i = 0; i < N && status == SKIVE_OK && (i == 0 || taken[0] > 0); i++) {
        bool found;
        status = bisect(s, budget, multiples[i], &g[i], &found, &least, &taken[i]);
        if (status == SKIVE_OK && i == 0 && !found) status = refuse(s, budget, least);
        if (status != SKIVE_OK || !found) continue;
        removed[i] = s->how->gone(s->c);
        /* A step that is coarse for small layers may lose far more than was asked for. */
        if (i > 0) status = cost_of(s, g[i], &cost);
        if (status != SKIVE_OK || (i > 0 && cost < CLOSE * budget)) continue;
        timed[n] = g[i];
        index[n++] = i;
    }
    if (status == SKIVE_OK && sum_times(s, timed, n, seconds) == SKIVE_OK) {
        for (size_t k = 1; k < n; k++)
            if (seconds[k] < 0.97 * seconds[best]) best = k;
    } else if (status == SKIVE_OK) {
        skv_note(ctx, "the model could not be timed (%s): widths are not rounded", skive_context_message(ctx));
    }
    for (size_t i = 0; i < N; i++) {
        if (status == SKIVE_OK && i == index[best]) {
            *out = g[i];
            *multiple = multiples[i];
            *gone = removed[i];
            s->how->choose(s->c, taken[i], multiples[i]);
        } else {
            skive_graph_free(g[i]);
        }
    }
    return status;
}

static skive_status look(search *s) {
    skv_pruning *p = s->p;
    skv_prune_free_layers(p);
    for (size_t i = 0; i < p->report.n_layers; i++) {
        skv_free(p->ctx, p->report.layers[i].parameter);
        skv_free(p->ctx, p->report.layers[i].node);
        skv_free(p->ctx, p->report.layers[i].refused);
    }
    skv_free(p->ctx, p->report.layers);
    p->report.layers = NULL;
    p->report.n_layers = 0;
    p->report.count = 0;
    SKV_TRY(skv_prune_find_layers(p));
    return s->how->open(p, &s->c);
}

/* Can widths be rounded? */
static bool has_widths(const skv_pruning *p) {
    const skv_granularity *g = p->granularity;
    return skv_option_index(g->options, g->n_options, "multiple") < g->n_options;
}

static void close_choice(search *s) {
    if (s->c) s->how->close(s->p, s->c);
    s->c = NULL;
}

static bool is_exact(const skv_pruning *p) {
    const skv_granularity *g = p->granularity;
    return skv_option_index(g->options, g->n_options, "choose") < g->n_options &&
           strcmp(skv_option_text(&p->granularity_options, "choose"), "exact") == 0;
}

static skive_status count_of(const void *user, const skive_graph *g, double *out) { return cost_of(user, g, out); }

/* Instead of the lowest scores first, of which `taken` met the budget, what has the least sum of scores, if that is
 * less. */
static skive_status choose_exactly(search *s, double budget, int64_t multiple, size_t taken, skive_graph **smaller) {
    const skv_exact e = {s->p, s->how, s->c, multiple, count_of, s};
    bool found = false;
    s->ordered = s->how->harm_of_chosen(s->c);
    SKV_TRY(skv_prune_exact(&e, budget, &s->exact, &found));
    if (!found || !(s->exact < s->ordered)) {
        s->exact = s->ordered;
        s->how->choose(s->c, taken, multiple);
        return SKIVE_OK;
    }
    skive_graph_free(*smaller);
    *smaller = NULL;
    return s->how->remove(s->c, s->p->work, smaller);
}

static void tell_exact(const search *s) {
    if (s->exact < s->ordered)
        skv_note(s->p->ctx, "exact choice: the scores that go add up to %.4g; with the lowest first to %.4g", s->exact,
                 s->ordered);
    else
        skv_note(s->p->ctx, "exact choice: none has a smaller sum of scores than the lowest first, %.4g", s->ordered);
}

/* The model that fine-tuning goes back to loses the same. */
static skive_status shrink_other(search *s) {
    skv_pruning *p = s->p;
    skive_graph *g = NULL;
    if (!p->rewind) return SKIVE_OK;
    SKV_TRY(s->how->remove(s->c, p->rewind, &g));
    skive_graph_free(p->rewind);
    p->rewind = g;
    return SKIVE_OK;
}

/* The same choice again, of a model whose other weights make up for it. */
static skive_status remove_fitted(search *s, skive_graph **smaller) {
    if (!s->how->reconstruct)
        return skv_fail_at(s->p->ctx, SKIVE_ERR_ARGUMENT, "reconstruct", "it is for channels, not for '%s'",
                           s->p->granularity->name);
    if (s->how->gone(s->c) == 0) return SKIVE_OK;
    skive_graph_free(*smaller);
    *smaller = NULL;
    SKV_TRY(s->how->reconstruct(s->c));
    return s->how->remove(s->c, s->p->work, smaller);
}

/* Chooses what goes; `multiple` 0: the best of several. */
static skive_status choose_some(search *s, double budget, int64_t multiple, skive_graph **smaller, size_t *gone) {
    skv_pruning *p = s->p;
    bool found = true;
    double least;
    *smaller = NULL;
    p->report.multiple = multiple;
    if (multiple == 0)
        SKV_TRY(fastest(s, budget, smaller, &p->report.multiple, gone));
    else
        SKV_TRY(bisect(s, budget, multiple, smaller, &found, &least, gone));
    if (!found) return refuse(s, budget, least);
    if (is_exact(p) && s->how->gone(s->c) > 0) {
        const skive_status status = choose_exactly(s, budget, multiple, *gone, smaller);
        if (status != SKIVE_OK) {
            skive_graph_free(*smaller);
            *smaller = NULL;
            return status;
        }
    }
    if (multiple != 0) *gone = s->how->gone(s->c);
    return SKIVE_OK;
}

typedef struct timed {
    search *s;
    int64_t multiple;
    skive_graph **smaller;
    size_t *gone;
} timed;

static skive_status try_aim(void *user, double aim, double *seconds) {
    timed *t = user;
    const search *s = t->s;
    double both[2];
    skive_graph_free(*t->smaller);
    *t->smaller = NULL;
    SKV_TRY(choose_some(t->s, aim, t->multiple, t->smaller, t->gone));
    t->multiple = s->p->report.multiple; /* which is looked for once */
    SKV_TRY(time_graphs(s->p, (const skive_graph *const[]){s->dense, *t->smaller}, 2, both));
    *seconds = both[1] / both[0] * s->before;
    return SKIVE_OK;
}

static skive_status choose_in_time(search *s, double budget, int64_t multiple, skive_graph **smaller, size_t *gone) {
    timed t = {s, multiple, smaller, gone};
    skv_reached r;
    if (budget >= s->before) return choose_some(s, budget, multiple, smaller, gone); /* nothing has to go */
    SKV_TRY(skv_reach_time(s->p->ctx, budget, s->before, try_aim, &t, &r));
    if (r.aim == r.last && *smaller) return SKIVE_OK;
    skive_graph_free(*smaller);
    *smaller = NULL;
    return choose_some(s, r.aim, t.multiple, smaller, gone); /* the table knows all of its times by now */
}

static skive_status remove_some(search *s, double budget) {
    skv_pruning *p = s->p;
    int64_t multiple = has_widths(p) ? skv_option_integer(&p->granularity_options, "multiple") : 1;
    if (is_exact(p) && multiple == 0) multiple = 1; /* no width is chosen by its time */
    skive_graph *smaller = NULL;
    size_t gone = 0;
    SKV_TRY(look(s));
    if (!p->report.channels) SKV_TRY(s->how->list(s->c));
    if (s->how->count(s->c) == 0 && s->before > budget) return refuse(s, budget, s->before);
    skive_status status = (s->by == LATENCY ? choose_in_time : choose_some)(s, budget, multiple, &smaller, &gone);
    p->report.removed += (int64_t)gone;
    if (status == SKIVE_OK && is_exact(p) && gone > 0) tell_exact(s);
    if (status == SKIVE_OK && p->o->reconstruct) status = remove_fitted(s, &smaller);
    if (status == SKIVE_OK) status = shrink_other(s);
    close_choice(s);
    if (status != SKIVE_OK) {
        skive_graph_free(smaller);
        return status;
    }
    skv_prune_free_layers(p);
    skive_graph_free(p->work);
    p->work = smaller;
    return SKIVE_OK;
}

static skive_status take_budget(search *s) {
    const skive_prune_options *o = s->p->o;
    const char *const texts[] = {o->macs, o->params, o->bytes, o->latency};
    skv_option_values v;
    skv_options_default(budgets, SKV_LENGTH(budgets), &v);
    for (size_t i = 0; i < SKV_LENGTH(texts); i++) {
        if (!texts[i]) continue;
        s->by = (measure)i;
        SKV_TRY(skv_option_set(s->p->ctx, "prune", &v, i, texts[i]));
    }
    if (s->by == LATENCY) {
        const skive_plan_options plan = plan_options(s->p);
        SKV_TRY(time_graphs(s->p, &s->dense, 1, &s->before));
        SKV_TRY(need_costs(s));
        SKV_TRY(skv_costs_of_nodes(s->costs, s->dense, &plan, &s->nodes));
    } else {
        SKV_TRY(cost_of(s, s->dense, &s->before));
    }
    s->wanted = skv_option_budget(&v, budgets[s->by].name, s->before);
    if (s->wanted < s->before) s->wanted = s->before - s->p->reach * (s->before - s->wanted);
    return SKIVE_OK;
}

/* The model must run if it did before. */
static skive_status check_runs(const search *s) {
    skive_context *ctx = s->p->ctx;
    skive_plan *before = NULL, *after = NULL;
    const skive_plan_options o = plan_options(s->p);
    skive_status status = SKIVE_OK;
    if (skive_plan_create(ctx, s->dense, &o, &before) == SKIVE_OK) {
        status = skive_plan_create(ctx, s->p->work, &o, &after);
        if (status != SKIVE_OK && status != SKIVE_ERR_MEMORY) {
            char why[512];
            (void)snprintf(why, sizeof why, "%s", skive_context_message(ctx));
            status = skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, "granularity",
                                 "without the chosen channels the model does not run (%s); leave the layer out with "
                                 "--skip",
                                 why);
        }
    }
    skive_plan_free(before);
    skive_plan_free(after);
    return status;
}

static skive_status shrink(void *self, int k, int n) {
    search *s = self;
    const skv_pruning *p = s->p;
    const double share = s->before > 0 ? s->wanted / s->before : 1;
    const double goes = p->schedule->sparsity(share < 1 ? 1 - share : 0, (double)(k + 1) / n);
    SKV_TRY(remove_some(s, k == n - 1 ? s->wanted : (1 - goes) * s->before));
    return check_runs(s);
}

/* Without a budget: what does nothing. */
static skive_status remove_dead(void *self, int k, int n) {
    search *s = self;
    skive_coupling *coupling = NULL;
    (void)k;
    (void)n;
    SKV_TRY(skive_coupling_create(s->p->work, &coupling));
    const skive_status listed = skv_channels_list(s->p, coupling);
    skive_coupling_free(coupling);
    SKV_TRY(listed);
    SKV_TRY(skv_prune_dead(s->p));
    return check_runs(s);
}

/* Both sizes, and both times in turns. */
static skive_status compare(search *s) {
    skv_pruning *p = s->p;
    const skive_graph *const both[] = {s->dense, p->work};
    double seconds[2];
    SKV_TRY(size_of(p, s->dense, &p->report.before));
    SKV_TRY(size_of(p, p->work, &p->report.after));
    if (time_graphs(p, both, 2, seconds) != SKIVE_OK) return SKIVE_OK;
    p->report.before.seconds = seconds[0];
    p->report.after.seconds = seconds[1];
    return SKIVE_OK;
}

skive_status skv_prune_channels(skv_pruning *p, const skv_tuning *t) {
    search s = {.p = p, .how = p->granularity->removal};
    skive_graph *dense = NULL;
    skive_status status;
    SKV_GO(status, done, skv_pass_plain_channels(p->ctx, p->work));
    if (p->rewind) SKV_GO(status, done, skv_pass_plain_channels(p->ctx, p->rewind));
    SKV_GO(status, done, skive_graph_copy(p->ctx, p->work, &dense));
    s.dense = dense;
    if (p->o->lossless || p->o->zeros) {
        status = skv_prune_steps(p, t, 0, remove_dead, &s);
    } else {
        SKV_GO(status, done, take_budget(&s));
        status = skv_prune_steps(p, t, 0, shrink, &s);
    }
    if (status == SKIVE_OK || (status == SKIVE_ERR_INTERRUPTED && p->tuned)) {
        const skive_status compared = compare(&s);
        s.how->count_left(p);
        if (compared != SKIVE_OK) status = compared;
    }
done:
    close_choice(&s);
    if (s.costs && status == SKIVE_OK) (void)skive_costs_save(s.costs); /* without it they are measured again */
    skive_costs_free(s.costs);
    skive_graph_free(dense);
    return status;
}
