/* Running a plan: the arena, the pointers of every step, resolved once, and the loop over the steps. */
#include <math.h>
#include <string.h>

#include "exec/plan.h"

struct skive_exec {
    skive_context *ctx;
    const skive_plan *plan;
    unsigned char *arena;
    const void **in; /* pointers of all steps one after another */
    void **out;
    uint32_t *in_first, *out_first; /* [step] */
    uint64_t step;
    skive_tap_fn tap;
    void *tap_user;
    double *seconds; /* [step], NULL until profiling is enabled */
    size_t profiled_runs;
    bool profiling;
    skv_arena *strings; /* text made by the last run; NULL: none */
};

static void *slot_pointer(const skive_exec *e, uint32_t slot) {
    if (slot == SKV_NO_SLOT) return NULL;
    const skv_plan_slot *s = &e->plan->slots[slot];
    return s->kind == SKV_SLOT_PARAM ? s->param->tensor.data : e->arena + s->offset;
}

static skive_status lay_out_pointers(skive_exec *e) {
    const skive_plan *p = e->plan;
    size_t n_in = 0, n_out = 0;
    SKV_TRY(skv_alloc_array(e->ctx, (size_t)p->n_steps + 1, sizeof *e->in_first, &e->in_first));
    SKV_TRY(skv_alloc_array(e->ctx, (size_t)p->n_steps + 1, sizeof *e->out_first, &e->out_first));
    for (uint32_t i = 0; i < p->n_steps; i++) {
        e->in_first[i] = (uint32_t)n_in;
        e->out_first[i] = (uint32_t)n_out;
        n_in += p->steps[i].n_in;
        n_out += p->steps[i].n_out;
    }
    SKV_TRY(skv_alloc_array(e->ctx, n_in + 1, sizeof *e->in, &e->in));
    SKV_TRY(skv_alloc_array(e->ctx, n_out + 1, sizeof *e->out, &e->out));
    for (uint32_t i = 0; i < p->n_steps; i++) {
        const skv_plan_step *s = &p->steps[i];
        for (size_t k = 0; k < s->n_in; k++) e->in[e->in_first[i] + k] = slot_pointer(e, s->in_slots[k]);
        for (size_t k = 0; k < s->n_out; k++) e->out[e->out_first[i] + k] = slot_pointer(e, s->out_slots[k]);
    }
    return SKIVE_OK;
}

skive_status skive_exec_create(skive_context *ctx, const skive_plan *plan, skive_exec **out) {
    SKV_NEED(ctx, "ctx, plan, out", ctx, plan, out);
    skive_exec *e = NULL;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *e, &e));
    e->ctx = ctx;
    e->plan = plan;
    skive_status status = skv_alloc(ctx, plan->arena_bytes, &e->arena);
    if (status != SKIVE_OK) (void)skv_plan_too_large(ctx, plan, status);
    if (status == SKIVE_OK) status = lay_out_pointers(e);
    if (status != SKIVE_OK) {
        skive_exec_free(e);
        return status;
    }
    /* Inputs that were not written read as zero, not as old memory contents. */
    for (size_t i = 0; i < plan->graph->n_inputs; i++) {
        const skv_plan_slot *s = &plan->slots[plan->input_slots[i]];
        memset(e->arena + s->offset, 0, s->bytes);
    }
    *out = e;
    return SKIVE_OK;
}

void skive_exec_free(skive_exec *e) {
    if (!e) return;
    skv_free(e->ctx, e->arena);
    skv_free(e->ctx, e->in);
    skv_free(e->ctx, e->out);
    skv_free(e->ctx, e->in_first);
    skv_free(e->ctx, e->out_first);
    skv_free(e->ctx, e->seconds);
    skv_arena_free(e->strings);
    skv_free(e->ctx, e);
}

static skive_tensor static_view(const skive_type *t, void *data) {
    skive_tensor view = {.dtype = t->dtype, .rank = t->rank, .data = data};
    for (int d = 0; d < t->rank; d++) view.dims[d] = t->dims[d].size;
    return view;
}

skive_status skive_exec_input(skive_exec *e, size_t index, skive_tensor *view) {
    SKV_NEED(e ? e->ctx : NULL, "exec, view", e, view);
    const skive_plan *p = e->plan;
    if (index >= p->graph->n_inputs) {
        return SKV_FAIL(e->ctx, SKIVE_ERR_ARGUMENT, "input %zu of a model with %u inputs", index, p->graph->n_inputs);
    }
    *view = static_view(&p->graph->inputs[index]->type, slot_pointer(e, p->input_slots[index]));
    return SKIVE_OK;
}

skive_status skive_exec_output(skive_exec *e, size_t index, skive_tensor *view) {
    SKV_NEED(e ? e->ctx : NULL, "exec, view", e, view);
    const skive_plan *p = e->plan;
    if (index >= p->graph->n_outputs) {
        return SKV_FAIL(e->ctx, SKIVE_ERR_ARGUMENT, "output %zu of a model with %u outputs", index,
                        p->graph->n_outputs);
    }
    *view = static_view(&p->graph->outputs[index]->type, slot_pointer(e, p->output_slots[index]));
    return SKIVE_OK;
}

void skive_exec_set_tap(skive_exec *e, skive_tap_fn tap, void *user) {
    if (!e) return;
    e->tap = tap;
    e->tap_user = user;
}

static skive_status run_step(skive_exec *e, uint32_t i) {
    const skive_plan *p = e->plan;
    const skv_plan_step *s = &p->steps[i];
    const void *const *in = e->in + e->in_first[i];
    void *const *out = e->out + e->out_first[i];
    if (s->is_reorder) {
        skv_reorder(&s->reorder_type, s->from, in[0], s->to, out[0], p->threads);
        return SKIVE_OK;
    }
    const skv_kernel_call call = {.ctx = e->ctx,
                                  .n = &s->kernel,
                                  .in = in,
                                  .out = out,
                                  .scratch = e->arena + p->scratch_offset,
                                  .step = e->step,
                                  .strings = &e->strings};
    const skive_status status = s->kernel.kernel->run(&call);
    if (status == SKIVE_OK) return status;
    return skv_fail_node(e->ctx, status, s->node);
}

static skive_status show_taps(skive_exec *e, uint32_t step, uint32_t *next) {
    const skive_plan *p = e->plan;
    for (; *next < p->n_taps && p->taps[*next].step <= step; ++*next) {
        const skv_plan_tap *t = &p->taps[*next];
        const skive_tensor view = static_view(&t->type, slot_pointer(e, t->slot));
        SKV_TRY(e->tap(e->tap_user, t->keep_index, &view));
    }
    return SKIVE_OK;
}

skive_status skive_exec_run(skive_exec *e) {
    SKV_NEED(e ? e->ctx : NULL, "exec", e);
    const skive_plan *p = e->plan;
    uint32_t next_tap = 0;
    double before = e->profiling ? skv_now() : 0;
    skv_arena_free(e->strings);
    e->strings = NULL;
    for (uint32_t i = 0; i < p->n_steps; i++) {
        SKV_TRY(run_step(e, i));
        if (e->profiling) {
            const double after = skv_now();
            e->seconds[i] += after - before;
            before = after;
        }
        if (e->tap) SKV_TRY(show_taps(e, i, &next_tap));
    }
    e->step++;
    if (e->profiling) e->profiled_runs++;
    return SKIVE_OK;
}

skive_status skive_exec_profile(skive_exec *e, bool on) {
    SKV_NEED(e ? e->ctx : NULL, "exec", e);
    if (on && !e->seconds) SKV_TRY(skv_alloc_array(e->ctx, (size_t)e->plan->n_steps + 1, sizeof(double), &e->seconds));
    e->profiling = on;
    return SKIVE_OK;
}

const double *skive_exec_profile_seconds(const skive_exec *e, size_t *runs) {
    if (runs) *runs = e ? e->profiled_runs : 0;
    return e ? e->seconds : NULL;
}

void skv_exec_set_step(skive_exec *e, uint64_t step) { e->step = step; }

/* ---- numbers that are not finite ---- */

typedef struct search {
    skive_exec *exec;
    skv_not_finite first, below; /* below: the first -infinity */
} search;

/* Padding of a layout is zero, and samples are outermost in each. */
static void look_at(search *s, const skive_value *v, uint32_t slot, const skive_node *node) {
    const skv_plan_slot *at = &s->exec->plan->slots[slot];
    if (s->first.value || v->type.dtype != SKIVE_F32) return;
    const float *x = slot_pointer(s->exec, slot);
    const size_t bytes = at->kind == SKV_SLOT_PARAM ? skive_tensor_bytes(&at->param->tensor) : at->bytes;
    const int64_t n = (int64_t)(bytes / sizeof *x), rows = v->type.rank > 0 ? v->type.dims[0].size : 0;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(x[i])) continue;
        const skv_not_finite here = {v, node, rows > 0 && n >= rows ? i / (n / rows) : -1, isnan(x[i])};
        if (isnan(x[i]) || x[i] > 0) {
            s->first = here;
            return;
        }
        if (!s->below.value) s->below = here;
    }
}

static skive_status search_step(search *s, uint32_t i) {
    const skive_plan *p = s->exec->plan;
    const skv_plan_step *step = &p->steps[i];
    for (size_t k = 0; !step->is_reorder && k < step->n_in; k++) {
        const uint32_t slot = step->in_slots[k];
        if (slot != SKV_NO_SLOT && p->slots[slot].kind == SKV_SLOT_PARAM) look_at(s, step->node->inputs[k], slot, NULL);
    }
    if (!s->first.value) SKV_TRY(run_step(s->exec, i));
    for (size_t k = 0; !step->is_reorder && k < step->n_out; k++)
        if (step->out_slots[k] != SKV_NO_SLOT) look_at(s, step->node->outputs[k], step->out_slots[k], step->node);
    return SKIVE_OK;
}

skive_status skv_exec_find_not_finite(skive_exec *e, skv_not_finite *out) {
    const skive_plan *p = e->plan;
    search s = {.exec = e};
    *out = (skv_not_finite){0};
    for (uint32_t i = 0; i < p->graph->n_inputs; i++) look_at(&s, p->graph->inputs[i], p->input_slots[i], NULL);
    for (uint32_t i = 0; i < p->n_steps && !s.first.value; i++) SKV_TRY(search_step(&s, i));
    *out = s.first.value ? s.first : s.below;
    return SKIVE_OK;
}
