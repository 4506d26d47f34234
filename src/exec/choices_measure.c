/* Measuring kernels: plans in which every node takes its first, second, third kernel that applies are run in turns,
 * each node's times with those of the changes of layout before it are added up by kind, and the best kernel of each
 * kind is kept where the whole model gets faster. */
#include <math.h>
#include <string.h>

#include "base/context.h"
#include "exec/choices.h"
#include "exec/plan.h"
#include "exec/timing.h"

enum { MOST_RANKS = 8, LEAST_RUNS = 5, MOST_RUNS = 2000 };

skive_tuning_options skive_tuning_options_default(void) {
    return (skive_tuning_options){.size = sizeof(skive_tuning_options), .seconds = 1, .margin = 0.05};
}

typedef struct kind_time { /* of one kind of node in one plan */
    uint64_t key;
    const char *op, *kernel; /* the kernel's name is static, the operator's the plan's */
    double seconds;
} kind_time;

typedef struct trial {
    skive_plan *plan;
    skive_exec *exec;
    kind_time *kinds;
    size_t n_kinds;
    double *least; /* [steps] */
} trial;

typedef struct tuning {
    skive_context *ctx;
    const skive_graph *graph;
    const skive_plan_options *plan;
    skive_tuning_options o;
    trial trials[MOST_RANKS];
    size_t n;
} tuning;

static void close_trial(skive_context *ctx, trial *t) {
    skive_exec_free(t->exec);
    skive_plan_free(t->plan);
    skv_free(ctx, t->kinds);
    skv_free(ctx, t->least);
    *t = (trial){0};
}

/* A plan with what the context's choices say at the moment. */
static skive_status open_trial(tuning *u, trial *t) {
    SKV_TRY(skive_plan_create(u->ctx, u->graph, u->plan, &t->plan));
    SKV_TRY(skive_exec_create(u->ctx, t->plan, &t->exec));
    SKV_TRY(skv_alloc_array(u->ctx, t->plan->n_steps + 1, sizeof *t->kinds, &t->kinds));
    SKV_TRY(skv_alloc_array(u->ctx, t->plan->n_steps + 1, sizeof *t->least, &t->least));
    SKV_TRY(skv_timing_fill(u->ctx, t->exec, skive_plan_input_count(t->plan)));
    return skive_exec_run(t->exec);
}

/* The least time of each step over runs of so many seconds. */
static skive_status time_steps(tuning *u, trial *t) {
    const uint32_t n = t->plan->n_steps;
    double *before = NULL;
    size_t runs;
    skive_status status = skv_alloc_array(u->ctx, n + 1, sizeof *before, &before);
    if (status == SKIVE_OK) status = skive_exec_profile(t->exec, true);
    const double *total = skive_exec_profile_seconds(t->exec, &runs), start = skv_now();
    for (uint32_t i = 0; i < n; i++) t->least[i] = INFINITY;
    for (int r = 0; status == SKIVE_OK && r < MOST_RUNS; r++) {
        if (r >= LEAST_RUNS && skv_now() - start > u->o.seconds) break;
        for (uint32_t i = 0; i < n; i++) before[i] = total[i];
        status = skive_exec_run(t->exec);
        for (uint32_t i = 0; i < n; i++) t->least[i] = fmin(t->least[i], total[i] - before[i]);
    }
    if (status == SKIVE_OK) status = skive_exec_profile(t->exec, false);
    skv_free(u->ctx, before);
    return status;
}

static kind_time *kind_of(trial *t, uint64_t key) {
    size_t i = 0;
    while (i < t->n_kinds && t->kinds[i].key != key) i++;
    if (i == t->n_kinds) t->kinds[t->n_kinds++] = (kind_time){.key = key};
    return &t->kinds[i];
}

static const kind_time *find_kind(const trial *t, uint64_t key) {
    for (size_t i = 0; i < t->n_kinds; i++)
        if (t->kinds[i].key == key) return &t->kinds[i];
    return NULL;
}

/* A change of layout counts for the node that it is for, which comes after it. */
static void add_up(trial *t) {
    double pending = 0;
    for (uint32_t i = 0; i < t->plan->n_steps; i++) {
        const skv_plan_step *s = &t->plan->steps[i];
        if (s->is_reorder) {
            pending += t->least[i];
            continue;
        }
        kind_time *k = kind_of(t, s->choice_key);
        k->op = s->node->op_type;
        k->kernel = s->kernel.kernel->name;
        k->seconds += t->least[i] + pending;
        pending = 0;
    }
}

static skive_status measure_ranks(tuning *u, skive_kernel_choices *by_rank) {
    for (size_t rank = 0; rank < MOST_RANKS; rank++) {
        trial *t = &u->trials[rank];
        by_rank->rank = rank;
        by_rank->others = 0;
        u->n = rank + 1;
        SKV_TRY(open_trial(u, t));
        if (rank > 0 && by_rank->others == 0) {
            close_trial(u->ctx, t);
            u->n = rank;
            return SKIVE_OK;
        }
        SKV_TRY(time_steps(u, t));
        add_up(t);
    }
    return SKIVE_OK;
}

/* The fastest kernel of each kind, where it beats the usual one by the margin. */
static skive_status pick_best(const tuning *u, skive_kernel_choices *out) {
    for (size_t i = 0; i < u->trials[0].n_kinds; i++) {
        const kind_time *usual = &u->trials[0].kinds[i], *best = usual;
        for (size_t rank = 1; rank < u->n; rank++) {
            const kind_time *k = find_kind(&u->trials[rank], usual->key);
            if (k && strcmp(k->kernel, usual->kernel) != 0 && k->seconds < best->seconds) best = k;
        }
        if (best == usual || !(best->seconds < usual->seconds * (1 - u->o.margin))) continue;
        const skv_choice c = {usual->key,    (char *)usual->op, (char *)best->kernel, (char *)usual->kernel,
                              best->seconds, usual->seconds};
        SKV_TRY(skv_choice_add(out, &c));
    }
    return SKIVE_OK;
}

/* Medians of whole runs, in turns. */
static skive_status compare(tuning *u, skive_exec *exec[2], double median[2]) {
    double *times[2] = {NULL, NULL};
    const double start = skv_now();
    size_t n = 0;
    skive_status status = skv_alloc_array(u->ctx, MOST_RUNS, sizeof(double), &times[0]);
    if (status == SKIVE_OK) status = skv_alloc_array(u->ctx, MOST_RUNS, sizeof(double), &times[1]);
    for (; status == SKIVE_OK && n < MOST_RUNS; n++) {
        if (n >= LEAST_RUNS && skv_now() - start > 2 * u->o.seconds) break;
        for (int side = 0; side < 2 && status == SKIVE_OK; side++) {
            const double at = skv_now();
            status = skive_exec_run(exec[side]);
            times[side][n] = skv_now() - at;
        }
    }
    for (int side = 0; side < 2 && status == SKIVE_OK; side++) {
        skv_timing_sort(times[side], n);
        median[side] = times[side][n / 2];
    }
    skv_free(u->ctx, times[0]);
    skv_free(u->ctx, times[1]);
    return status;
}

/* Choices are forgotten if the whole is not faster with them. */
static skive_status verify(tuning *u, skive_kernel_choices *choices, skive_tuning_report *report) {
    trial tuned = {0};
    double median[2] = {0, 0};
    u->ctx->choices = choices;
    skive_status status = open_trial(u, &tuned);
    skive_exec *both[2] = {u->trials[0].exec, tuned.exec};
    if (status == SKIVE_OK) status = compare(u, both, median);
    close_trial(u->ctx, &tuned);
    report->plans++;
    report->usual_seconds = median[0];
    report->seconds = median[1];
    if (status != SKIVE_OK || (choices->n > 0 && median[1] < median[0])) return status;
    skv_choices_clear(choices);
    report->seconds = median[0];
    return SKIVE_OK;
}

skive_status skive_kernels_tune(skive_context *ctx, const skive_graph *graph, const skive_plan_options *plan,
                                const skive_tuning_options *options, skive_kernel_choices **out,
                                skive_tuning_report *report) {
    SKV_NEED(ctx, "ctx, graph, out", ctx, graph, out);
    tuning u = {.ctx = ctx, .graph = graph, .plan = plan, .o = skive_tuning_options_default()};
    skive_kernel_choices by_rank = {.ctx = ctx}, *choices = NULL, *held = ctx->choices;
    skive_tuning_report own = {0};
    *out = NULL;
    SKV_TRY(skv_options_take(ctx, "skive_tuning_options", options, &u.o, sizeof u.o));
    if (!(u.o.seconds > 0 && u.o.seconds <= 1e6) || !(u.o.margin >= 0 && u.o.margin < 1))
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "seconds must be above 0 and the margin 0 to 1");
    if (plan && (plan->training || plan->reference))
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "plans for training and of reference kernels are not tuned");
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *choices, &choices));
    choices->ctx = ctx;
    ctx->choices = &by_rank;
    skive_status status = measure_ranks(&u, &by_rank);
    own.plans = u.n;
    if (status == SKIVE_OK) status = pick_best(&u, choices);
    if (status == SKIVE_OK) status = verify(&u, choices, &own);
    ctx->choices = held;
    for (size_t i = 0; i < MOST_RANKS; i++) close_trial(ctx, &u.trials[i]);
    if (status == SKIVE_OK)
        *out = choices;
    else
        skive_kernel_choices_free(choices);
    if (report) *report = own;
    return status;
}
