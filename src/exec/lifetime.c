/* The memory of a plan: its steps and slots as src/lower/ sees them, which finds lifetimes, results in place and
 * offsets in the arena. */
#include "base/budget.h"
#include "exec/plan.h"

enum { ALIGN = 64 };

skive_status skv_plan_too_large(skive_context *ctx, const skive_plan *p, skive_status status) {
    const skive_node *node = NULL;
    size_t most = 0;
    for (uint32_t i = 0; i < p->n_steps; i++) {
        for (size_t k = 0; k < p->steps[i].n_out; k++) {
            const uint32_t slot = p->steps[i].out_slots[k];
            if (slot == SKV_NO_SLOT || p->slots[slot].bytes <= most) continue;
            most = p->slots[slot].bytes;
            node = p->steps[i].node;
        }
    }
    const skive_value *input = NULL;
    for (uint32_t i = 0; i < p->graph->n_inputs; i++) {
        const size_t bytes = p->slots[p->input_slots[i]].bytes;
        if (bytes <= most) continue;
        most = bytes;
        input = p->graph->inputs[i];
    }
    if (input)
        return skv_fail_prefix(ctx, status, "values of one run (the largest, %zu bytes, is the input '%s')", most,
                               input->name);
    if (!node) return status;
    return skv_fail_prefix(ctx, status, "values of one run (the largest, %zu bytes, is an output of node '%s', %s)",
                           most, node->name, node->op_type);
}

/* A plan that exceeds the limit is refused here and not only when a run begins. */
static skive_status check_size(const skive_plan *p) {
    const skive_status status = skv_budget_check(p->ctx, p->arena_bytes);
    return status == SKIVE_OK ? SKIVE_OK : skv_plan_too_large(p->ctx, p, status);
}

/* The steps' lists of slots are those of the plan. */
static skive_status describe(const skive_plan *p, skv_lowering *l) {
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)p->n_steps + 1, sizeof *l->steps, &l->steps));
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)p->n_slots + 1, sizeof *l->slots, &l->slots));
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)p->n_taps + 1, sizeof *l->reads, &l->reads));
    l->n_steps = p->n_steps;
    l->n_slots = p->n_slots;
    l->n_reads = p->n_taps;
    for (uint32_t i = 0; i < p->n_steps; i++) {
        const skv_plan_step *s = &p->steps[i];
        l->steps[i] = (skv_lower_step){.node = s->node,
                                       .in = s->in_slots,
                                       .out = s->out_slots,
                                       .n_in = s->n_in,
                                       .n_out = s->n_out,
                                       .in_place = s->is_reorder ? 0 : s->kernel.in_place};
    }
    for (uint32_t i = 0; i < p->n_slots; i++) {
        const skv_plan_slot *s = &p->slots[i];
        l->slots[i] = (skv_lower_slot){.bytes = s->bytes, .outside = s->kind != SKV_SLOT_ARENA, .pinned = s->pinned};
    }
    for (uint32_t i = 0; i < p->n_taps; i++) l->reads[i] = (skv_lower_read){p->taps[i].slot, p->taps[i].step};
    for (uint32_t i = 0; i < p->graph->n_inputs; i++) l->slots[p->input_slots[i]].input = true;
    return SKIVE_OK;
}

skive_status skv_plan_measure(skive_plan *p) {
    skv_lowering l = {0};
    size_t scratch = 0;
    skive_status status = describe(p, &l);
    if (status == SKIVE_OK) status = skv_lower_memory(p->ctx, &l, ALIGN);
    if (status != SKIVE_OK) goto done;
    for (uint32_t i = 0; i < p->n_slots; i++) {
        skv_plan_slot *s = &p->slots[i];
        s->first = l.slots[i].first;
        s->last = l.slots[i].last;
        s->alias = l.slots[i].alias;
        s->offset = l.slots[i].offset;
    }
    for (uint32_t i = 0; i < p->n_steps; i++) {
        if (p->steps[i].kernel.scratch_bytes > scratch) scratch = p->steps[i].kernel.scratch_bytes;
    }
    p->scratch_offset = l.bytes;
    if (!skv_add_size(l.bytes, skv_align_up(scratch, ALIGN), &p->arena_bytes))
        status = SKV_FAIL(p->ctx, SKIVE_ERR_LIMIT, "the model's scratch memory does not fit");
done:
    skv_free(p->ctx, l.reads);
    skv_lowering_free(p->ctx, &l);
    return status;
}

skive_status skv_plan_lay_out(skive_plan *p) {
    SKV_TRY(skv_plan_measure(p));
    return check_size(p);
}
