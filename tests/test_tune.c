/* Allocation under budgets against all allocations, and the control of accuracy against known drops. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "support.h"
#include "tune/reach.h"
#include "tune/tune.h"

enum { MOST_LAYERS = 6, MOST_CHOICES = 5, CASES = 4000 };

typedef struct problem {
    skive_choice items[MOST_LAYERS][MOST_CHOICES];
    skive_choices layers[MOST_LAYERS];
    size_t n, k;
    double budgets[SKIVE_MOST_BUDGETS];
} problem;

typedef struct answer {
    bool found;
    double harm, cost[SKIVE_MOST_BUDGETS];
} answer;

static uint64_t pick(uint64_t stream, uint64_t *at, uint64_t n) { return skv_rng_below(11, stream, (*at)++, n); }

/* Whole numbers, many of them equal, or fractions. */
static void make(problem *p, uint64_t seed, bool whole) {
    uint64_t at = 0;
    double low[SKIVE_MOST_BUDGETS] = {0}, high[SKIVE_MOST_BUDGETS] = {0};
    *p = (problem){.n = 1 + pick(seed, &at, MOST_LAYERS), .k = 1 + pick(seed, &at, 3)};
    const uint64_t wide = pick(seed, &at, 2) ? 4 : 1000;
    for (size_t i = 0; i < p->n; i++) {
        p->layers[i] = (skive_choices){NULL, p->items[i], 1 + pick(seed, &at, MOST_CHOICES)};
        double least[SKIVE_MOST_BUDGETS], most[SKIVE_MOST_BUDGETS] = {0};
        for (size_t b = 0; b < p->k; b++) least[b] = INFINITY;
        for (size_t j = 0; j < p->layers[i].n; j++) {
            skive_choice *c = &p->items[i][j];
            const double scale = whole ? 1 : 0.37;
            c->harm = scale * (double)pick(seed, &at, wide) - (pick(seed, &at, 10) == 0 ? 2 : 0);
            for (size_t b = 0; b < p->k; b++) {
                c->cost[b] = scale * (double)pick(seed, &at, wide);
                least[b] = fmin(least[b], c->cost[b]);
                most[b] = fmax(most[b], c->cost[b]);
            }
        }
        for (size_t b = 0; b < p->k; b++) {
            low[b] += least[b];
            high[b] += most[b];
        }
    }
    /* From impossible to generous. */
    for (size_t b = 0; b < p->k; b++) {
        const double x = low[b] + (high[b] - low[b]) * (double)pick(seed, &at, 12) / 10 - (double)pick(seed, &at, 2);
        /* Between the sums of fractions: whether one that equals the budget is within it would depend on rounding. */
        p->budgets[b] = x < 0 ? 0 : whole ? floor(x) : 0.37 * floor(x / 0.37) + 0.1;
    }
}

static void all_ways(const problem *p, size_t i, double harm, const double *cost, answer *best) {
    if (i == p->n) {
        bool less = !best->found || harm < best->harm;
        for (size_t b = 0; b < p->k; b++)
            if (cost[b] > p->budgets[b]) return;
        for (size_t b = 0; best->found && harm == best->harm && !less && b < p->k; b++) {
            if (cost[b] > best->cost[b]) break;
            less = cost[b] < best->cost[b];
        }
        if (!less) return;
        best->found = true;
        best->harm = harm;
        memcpy(best->cost, cost, sizeof best->cost);
        return;
    }
    for (size_t j = 0; j < p->layers[i].n; j++) {
        double next[SKIVE_MOST_BUDGETS] = {0};
        for (size_t b = 0; b < p->k; b++) next[b] = cost[b] + p->items[i][j].cost[b];
        all_ways(p, i + 1, harm + p->items[i][j].harm, next, best);
    }
}

static void check_case(skive_context *ctx, uint64_t seed, bool whole, size_t *met) {
    problem p;
    size_t chosen[MOST_LAYERS];
    skive_allocation r;
    const double zero[SKIVE_MOST_BUDGETS] = {0};
    answer want = {0};
    make(&p, seed, whole);
    all_ways(&p, 0, 0, zero, &want);
    const skive_status status = skive_allocate(ctx, p.layers, p.n, p.budgets, p.k, chosen, &r);
    if (!want.found) {
        skv_test_fails(ctx, status, SKIVE_ERR_GOAL, "cannot be met");
        return;
    }
    skv_test_ok(ctx, status);
    ++*met;
    double harm = 0, cost[SKIVE_MOST_BUDGETS] = {0};
    for (size_t i = 0; i < p.n; i++) {
        assert_true(chosen[i] < p.layers[i].n);
        harm += p.items[i][chosen[i]].harm;
        for (size_t b = 0; b < p.k; b++) cost[b] += p.items[i][chosen[i]].cost[b];
    }
    assert_true(r.exact);
    assert_true(harm == r.harm);
    for (size_t b = 0; b < p.k; b++) assert_true(cost[b] == r.cost[b] && cost[b] <= p.budgets[b]);
    if (fabs(harm - want.harm) > (whole ? 0 : 1e-9))
        fail_msg("case %llu: harm %.17g, the least is %.17g", (unsigned long long)seed, harm, want.harm);
    for (size_t b = 0; whole && b < p.k; b++)
        if (cost[b] != want.cost[b])
            fail_msg("case %llu: cost %zu is %.17g, of the allocations of least harm the first has %.17g",
                     (unsigned long long)seed, b, cost[b], want.cost[b]);
}

static void test_against_all_ways(void **state) {
    skive_context *ctx = skv_test_context();
    size_t met = 0;
    (void)state;
    for (uint64_t seed = 0; seed < skv_test_rounds(CASES); seed++) check_case(ctx, seed, seed % 2 == 0, &met);
    assert_in_range(met, skv_test_rounds(CASES) / 2, skv_test_rounds(CASES) * 39 / 40); /* both outcomes are common */
    skv_test_context_end(ctx);
}

enum { LARGE_LAYERS = 300, LARGE_CHOICES = 20 };
typedef struct large {
    skive_choice items[LARGE_LAYERS][LARGE_CHOICES];
    skive_choices layers[LARGE_LAYERS];
    size_t chosen[LARGE_LAYERS], again[LARGE_LAYERS];
} large;
static large the_large;
static size_t layers_of_large(void) { return skv_test_sanitized() ? LARGE_LAYERS / 4 : LARGE_LAYERS; }

/* As many layers as the largest networks have, of very different sizes; random harms are the hardest. */
static void test_large(void **state) {
    skive_context *ctx = skv_test_context();
    large *p = &the_large;
    const size_t n = layers_of_large();
    skive_allocation r, same;
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        double low = 0, high = 0;
        uint64_t at = 0;
        for (size_t i = 0; i < n; i++) {
            const double size = 100 + (double)pick((uint64_t)kind, &at, 3000000);
            p->layers[i] = (skive_choices){"layer", p->items[i], LARGE_CHOICES};
            for (size_t j = 0; j < LARGE_CHOICES; j++) {
                const double part = (double)(j + 1) / LARGE_CHOICES;
                const double noise = skv_rng_uniform(7, (uint64_t)kind, at++);
                p->items[i][j] = (skive_choice){.harm = kind == 0   ? size * exp(-8 * part) * (0.5 + noise)
                                                        : kind == 1 ? noise
                                                                    : exp(-8 * part) * (0.5 + noise)};
                p->items[i][j].cost[0] = floor(size * (kind == 1 ? skv_rng_uniform(8, 0, at++) : part));
            }
            high += size;
        }
        for (int share = skv_test_sanitized() ? 3 : 1; share <= (skv_test_sanitized() ? 3 : 5); share += 2) {
            const double budget = floor(low + (high - low) * share / 8);
            skv_test_ok(ctx, skive_allocate(ctx, p->layers, n, &budget, 1, p->chosen, &r));
            skv_test_ok(ctx, skive_allocate(ctx, p->layers, n, &budget, 1, p->again, &same));
            assert_true(r.exact);
            assert_true(r.cost[0] <= budget);
            assert_memory_equal(p->chosen, p->again, n * sizeof *p->chosen);
            printf("kind %d, %d/8: %zu states, harm %g, %.0f of %.0f\n", kind, share, r.states, r.harm, r.cost[0],
                   budget);
        }
    }
    skv_test_context_end(ctx);
}

/* Harm that is proportional to the cost saved, with whole numbers: every filled budget is as good, and has to be found.
 * And budgets that a random allocation just meets are never said to be out of reach. */
static void test_hard(void **state) {
    skive_context *ctx = skv_test_context();
    large *p = &the_large;
    const size_t n = layers_of_large();
    skive_allocation r;
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        double sum[2] = {0};
        uint64_t at = 0;
        for (size_t i = 0; i < n; i++) {
            const size_t planted = pick(20, &at, LARGE_CHOICES);
            p->layers[i] = (skive_choices){"layer", p->items[i], LARGE_CHOICES};
            for (size_t j = 0; j < LARGE_CHOICES; j++) {
                const double c = (double)pick(20, &at, 1000000);
                p->items[i][j] = (skive_choice){.harm = kind ? (double)pick(20, &at, 1000) : 1e6 - c,
                                                .cost = {c, (double)pick(20, &at, 1000000)}};
            }
            for (size_t b = 0; b < 2; b++) sum[b] += p->items[i][planted].cost[b];
        }
        if (kind == 0) {
            skv_test_ok(ctx, skive_allocate(ctx, p->layers, n, sum, 1, p->chosen, &r));
            assert_true(r.exact && r.cost[0] == sum[0] && r.harm == 1e6 * (double)n - sum[0]);
        }
        if (skv_test_sanitized()) continue; /* it looks at as many allocations as it may */
        skv_test_ok(ctx, skive_allocate(ctx, p->layers, n, sum, 2, p->chosen, &r));
        assert_true(r.cost[0] <= sum[0] && r.cost[1] <= sum[1] && r.bound <= r.harm);
    }
    skv_test_context_end(ctx);
}

static void test_refusals(void **state) {
    skive_context *ctx = skv_test_context();
    skive_choice items[2] = {{1, {30, 5}}, {2, {20, 9}}};
    const skive_choices layers[2] = {{"conv1", items, 2}, {"conv2", items, 2}};
    const skive_choices empty = {"fc", NULL, 0};
    double budgets[2] = {39, 100};
    size_t chosen[2] = {7, 7};
    skive_allocation r;
    (void)state;
    skv_test_fails(ctx, skive_allocate(ctx, layers, 2, budgets, 1, chosen, &r), SKIVE_ERR_GOAL,
                   "the budget of 39 cannot be met: the least possible is 40");
    assert_true(r.least[0] == 40);
    budgets[0] = 40;
    budgets[1] = 10; /* each can be met, both cannot */
    skv_test_fails(ctx, skive_allocate(ctx, layers, 2, budgets, 2, chosen, &r), SKIVE_ERR_GOAL, "together");
    skv_test_fails(ctx, skive_allocate(ctx, &empty, 1, budgets, 1, chosen, NULL), SKIVE_ERR_ARGUMENT, "'fc'");
    skv_test_fails(ctx, skive_allocate(ctx, layers, 2, budgets, 0, chosen, NULL), SKIVE_ERR_ARGUMENT, "budgets");
    items[1].harm = NAN;
    skv_test_fails(ctx, skive_allocate(ctx, layers, 2, budgets, 1, chosen, NULL), SKIVE_ERR_ARGUMENT, "'conv1'");
    items[1].harm = 0;
    items[1].cost[0] = -1;
    skv_test_fails(ctx, skive_allocate(ctx, layers, 2, budgets, 1, chosen, NULL), SKIVE_ERR_ARGUMENT, "negative");
    budgets[0] = NAN;
    skv_test_fails(ctx, skive_allocate(ctx, layers, 2, budgets, 1, chosen, NULL), SKIVE_ERR_ARGUMENT, "budget 1");
    assert_int_equal(chosen[0], 7);
    budgets[0] = 0;
    skv_test_ok(ctx, skive_allocate(ctx, layers, 0, budgets, 1, chosen, &r));
    assert_true(r.exact && r.harm == 0);
    skv_test_context_end(ctx);
}

static skive_status allocate_small(skive_context *ctx, void *user) {
    problem p;
    size_t chosen[MOST_LAYERS];
    (void)user;
    make(&p, 8, true);
    p.budgets[0] = p.budgets[1] = p.budgets[2] = 1e6;
    p.budgets[0] = 4;
    const skive_status status = skive_allocate(ctx, p.layers, p.n, p.budgets, p.k, chosen, NULL);
    return status == SKIVE_ERR_GOAL ? SKIVE_OK : status;
}

static void test_memory(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(allocate_small, NULL, 1) > 5);
}

/* ---- control ---- */

enum { SAMPLES = 1000 };
/* A model whose first `applied` choices turn wrong[applied] right answers into wrong ones. */
typedef struct model {
    skive_context *ctx;
    const int *wrong;
    size_t calls;
} model;

static skive_status evaluation_of(skive_context *ctx, int wrong, skive_eval_report *out) {
    *out = (skive_eval_report){.n = SAMPLES, .task = SKIVE_TASK_CLASSES};
    SKV_TRY(skv_alloc_array(ctx, SAMPLES, 1, &out->hit));
    for (int i = 0; i < SAMPLES; i++) out->hit[i] = i >= 100 + wrong; /* the original has 100 wrong */
    out->correct = SAMPLES - 100 - wrong;
    out->accuracy = (double)out->correct / SAMPLES;
    return SKIVE_OK;
}

static skive_status evaluate(void *user, size_t applied, skive_eval_report *out) {
    model *m = user;
    m->calls++;
    return evaluation_of(m->ctx, m->wrong[applied], out);
}

static void control(const int *wrong, size_t n, double max_drop, skive_control_report *r, size_t *calls) {
    skive_context *ctx = skv_test_context();
    model m = {.ctx = ctx, .wrong = wrong};
    skive_eval_report original;
    skv_test_ok(ctx, evaluation_of(ctx, 0, &original));
    skv_test_ok(ctx, skive_control_drop(ctx, n, &original, max_drop, evaluate, &m, r));
    *calls = m.calls;
    /* a limit finer than one sample is said to be that */
    assert_int_equal(skive_context_note_count(ctx), max_drop < 100.0 / SAMPLES);
    skive_eval_report_free(ctx, &original);
    skv_test_context_end(ctx);
}

static void test_control(void **state) {
    int wrong[41];
    skive_control_report r;
    size_t calls;
    (void)state;
    for (int i = 0; i <= 40; i++) wrong[i] = i * i / 16; /* 100 at 40 */
    for (int limit = 0; limit <= 110; limit++) {
        size_t most = 0;
        for (size_t i = 1; i <= 40; i++) most = wrong[i] <= limit ? i : most;
        control(wrong, 40, limit / 10.0, &r, &calls);
        assert_int_equal(r.applied, most);
        assert_true(r.feasible == (most > 0));
        assert_true(fabs(r.drop - wrong[most] / 10.0) < 1e-9);
        assert_int_equal(calls, r.n_trials);
        assert_true(calls <= 7);
    }
    assert_int_equal(calls, 1); /* everything is within the limit */
    assert_true(r.trials[0].low < r.trials[0].drop && r.trials[0].high > r.trials[0].drop);
    assert_true(r.finest == 0.1 && r.samples == SAMPLES);
}

/* Where more choices do not lose more, the result is nevertheless one that was measured to be within the limit. */
static void test_control_uneven(void **state) {
    static const int wrong[] = {0, 9, 1, 8, 2, 7, 3, 9, 20}, all[] = {0, 5, 6, 4, 6};
    skive_control_report r;
    size_t calls;
    (void)state;
    control(wrong, 8, 0.35, &r, &calls);
    assert_true(r.feasible && wrong[r.applied] <= 3 && fabs(r.drop - wrong[r.applied] / 10.0) < 1e-9);
    bool measured = false;
    for (size_t i = 0; i < r.n_trials; i++) measured = measured || r.trials[i].applied == r.applied;
    assert_true(measured);
    /* Nothing is within the limit: the best that was found is told. */
    control(all, 4, 0.1, &r, &calls);
    assert_false(r.feasible);
    assert_int_equal(r.applied, 0);
    for (size_t i = 0; i < r.n_trials; i++) assert_true(r.trials[i].drop >= r.trials[r.best].drop);
    control(wrong, 0, 0.1, &r, &calls);
    assert_int_equal(calls, 0);
}

static void test_control_refusals(void **state) {
    skive_context *ctx = skv_test_context();
    static const int wrong[] = {0, 1};
    model m = {.ctx = ctx, .wrong = wrong};
    skive_eval_report original;
    skive_control_report r;
    (void)state;
    skv_test_ok(ctx, evaluation_of(ctx, 0, &original));
    skv_test_fails(ctx, skive_control_drop(ctx, 1, &original, -1, evaluate, &m, &r), SKIVE_ERR_ARGUMENT, "negative");
    skv_test_fails(ctx, skive_control_drop(ctx, 1, &original, NAN, evaluate, &m, &r), SKIVE_ERR_ARGUMENT, "drop");
    skv_test_fails(ctx, skive_control_drop(ctx, 1, &original, 1, NULL, &m, &r), SKIVE_ERR_ARGUMENT, "evaluate");
    assert_int_equal(m.calls, 0);
    skive_eval_report_free(ctx, &original);
    skv_test_context_end(ctx);
}

/* ---- a budget of time for a whole whose parts do not add up to it ---- */

typedef struct whole {
    double factor, more, step, least; /* seconds = factor * aim + more, the aim rounded down to steps; least: an aim */
    size_t calls;
} whole;

static skive_status time_of_whole(void *user, double aim, double *seconds) {
    whole *w = user;
    w->calls++;
    if (aim < w->least) return SKIVE_ERR_GOAL;
    const double parts = w->step > 0 ? floor(aim / w->step) * w->step : aim;
    *seconds = w->factor * parts + w->more;
    return SKIVE_OK;
}

static void test_reach(void **state) {
    static const whole wholes[] = {
        {1, 0, 0, 0, 0},      {1.4, 0, 0, 0, 0},   {0.7, 0, 0, 0, 0},     {1.1, 1.5, 0, 0, 0},
        {0.8, 1.5, 0, 0, 0},  {1, 0.3, 0.1, 0, 0}, {1.2, 0.2, 1.4, 0, 0}, {0.9, 0.4, 0.05, 0, 0},
        {1.5, 0, 0, 2.66, 0}, {1.3, 0, 0, 3, 0},   {1.5, 0, 0, 3, 0},
    };
    (void)state;
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++) {
        whole w = wholes[i];
        skv_reached r;
        skive_context_clear_notes(ctx);
        const skive_status status = skv_reach_time(ctx, 4, 10, time_of_whole, &w, &r);
        assert_true(w.calls <= 8);
        assert_int_equal(status == SKIVE_ERR_GOAL, w.factor * w.least + w.more > 1.1 * 4);
        if (status == SKIVE_ERR_GOAL) continue;
        skv_test_ok(ctx, status);
        double seconds;
        skv_test_ok(ctx, time_of_whole(&w, r.aim, &seconds));
        assert_true(seconds == r.seconds);
        const bool can = (4 - w.more) / w.factor >= w.least; /* is there an aim that gives what was asked for? */
        assert_int_equal(r.seconds <= 1.02 * 4, can);
        /* Between 96 and 102 % of it, or no step lies there. */
        if (can) assert_true(r.seconds >= 0.96 * 4 || r.seconds + w.factor * w.step > 1.02 * 4);
        assert_int_equal(skive_context_note_count(ctx), r.seconds > 1.02 * 4 || r.seconds < 0.95 * 4);
    }
    whole w = {.factor = 1, .least = 5};
    skv_reached r;
    assert_int_equal(skv_reach_time(ctx, 4, 10, time_of_whole, &w, &r), SKIVE_ERR_GOAL);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_all_ways),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_hard),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_control),
        cmocka_unit_test(test_control_uneven),
        cmocka_unit_test(test_control_refusals),
        cmocka_unit_test(test_reach),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
