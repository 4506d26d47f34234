/* Information about a plan. */
#include "exec/plan.h"

size_t skive_plan_input_count(const skive_plan *p) { return p ? p->graph->n_inputs : 0; }
size_t skive_plan_output_count(const skive_plan *p) { return p ? p->graph->n_outputs : 0; }

const char *skive_plan_input_name(const skive_plan *p, size_t i) {
    return p && i < p->graph->n_inputs ? p->graph->inputs[i]->name : "";
}

const char *skive_plan_output_name(const skive_plan *p, size_t i) {
    return p && i < p->graph->n_outputs ? p->graph->outputs[i]->name : "";
}

size_t skive_plan_arena_bytes(const skive_plan *p) { return p ? p->arena_bytes : 0; }
size_t skive_plan_packed_bytes(const skive_plan *p) { return p ? p->packed_bytes : 0; }

skive_recomputation skive_plan_recomputation(const skive_plan *p) {
    return p ? p->recomputed : (skive_recomputation){0};
}

size_t skive_plan_step_count(const skive_plan *p) { return p ? p->n_steps : 0; }

void skive_plan_step_get(const skive_plan *p, size_t i, skive_plan_step *out) {
    if (!out) return;
    *out = (skive_plan_step){.node = "", .op = "", .kernel = "", .layout = "", .declined = "", .output_type = ""};
    if (!p || i >= p->n_steps) return;
    const skv_plan_step *s = &p->steps[i];
    out->node = s->node ? s->node->name : "";
    out->is_reorder = s->is_reorder;
    if (s->is_reorder) {
        out->op = "Reorder";
        out->kernel = "reorder";
        out->layout = skv_layout_name(s->to);
        return;
    }
    out->op = s->node ? s->node->op_type : "";
    out->kernel = s->kernel.kernel->name;
    out->layout = s->layout_text;
    out->declined = s->declined ? s->declined : "";
    out->output_type = s->output_type;
    out->scratch_bytes = s->kernel.scratch_bytes;
    out->macs = s->macs;
}
