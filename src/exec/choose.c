/* Kernel choice: in topological order each node gets the first kernel of the list that applies. Values are offered in
 * the layout in which they were produced; if a kernel wants another, a reorder step is inserted, once for each
 * layout. */
#include "exec/choices.h"
#include "exec/plan.h"

#include <string.h>

typedef struct chooser {
    skive_plan *plan;
    skv_plan_slots *of; /* by value id */
    uint32_t *packed;   /* by value id: how many of its uses have it in their own form */
    const char *const *keep;
    size_t n_keep;
    size_t *first_kept,
        *next_kept; /* by value id, [n_keep]: one more than where a name is in `keep`; 0: nowhere else */
} chooser;

static bool is_kept(const chooser *c, const skive_value *v) { return c->first_kept[v->id] > 0; }

static skive_status new_slot(skive_plan *p, skv_slot_kind kind, size_t bytes, uint32_t *out) {
    if (p->n_slots == p->slots_capacity) {
        const uint32_t capacity = p->slots_capacity ? p->slots_capacity * 2 : 64;
        SKV_TRY(skv_grow(p->ctx, &p->slots, p->n_slots, capacity, sizeof *p->slots));
        p->slots_capacity = capacity;
    }
    const uint32_t id = p->n_slots++;
    p->slots[id] = (skv_plan_slot){.kind = kind, .bytes = bytes, .alias = id};
    *out = id;
    return SKIVE_OK;
}

static skive_status new_value_slot(chooser *c, const skive_value *v, skv_layout layout, uint32_t *out) {
    size_t bytes;
    if (!skv_layout_bytes(&v->type, layout, &bytes)) {
        return skv_fail_at(c->plan->ctx, SKIVE_ERR_LIMIT, v->name, "value '%s' is too large", v->name);
    }
    return new_slot(c->plan, SKV_SLOT_ARENA, bytes, out);
}

static skive_status new_step(skive_plan *p, const skive_node *node, size_t n_in, size_t n_out, skv_plan_step **out) {
    if (p->n_steps == p->steps_capacity) {
        const uint32_t capacity = p->steps_capacity ? p->steps_capacity * 2 : 64;
        SKV_TRY(skv_grow(p->ctx, &p->steps, p->n_steps, capacity, sizeof *p->steps));
        p->steps_capacity = capacity;
    }
    skv_plan_step s = {.node = node, .n_in = n_in, .n_out = n_out};
    SKV_TRY(skv_arena_array(p->arena, n_in, sizeof(uint32_t), &s.in_slots));
    SKV_TRY(skv_arena_array(p->arena, n_out, sizeof(uint32_t), &s.out_slots));
    p->steps[p->n_steps] = s;
    *out = &p->steps[p->n_steps++];
    return SKIVE_OK;
}

/* The slot of `v` in `layout`; inserts a reorder if there is none yet. */
static skive_status bring(chooser *c, const skive_node *for_node, const skive_value *v, skv_layout layout,
                          uint32_t *out) {
    skive_plan *p = c->plan;
    skv_plan_slots *own = &c->of[v->id];
    if (own->slot[layout] == SKV_NO_SLOT) {
        const uint32_t source = own->slot[own->home];
        if (source == SKV_NO_SLOT) {
            return skv_fail_at(p->ctx, SKIVE_ERR_INTERNAL, v->name, "value '%s' is used before it is computed",
                               v->name);
        }
        uint32_t slot;
        skv_plan_step *s;
        SKV_TRY(new_value_slot(c, v, layout, &slot));
        SKV_TRY(new_step(p, for_node, 1, 1, &s));
        s->is_reorder = true;
        s->reorder_type = v->type;
        s->from = own->home;
        s->to = layout;
        s->in_slots[0] = source;
        s->out_slots[0] = slot;
        own->slot[layout] = slot;
    }
    *out = own->slot[layout];
    return SKIVE_OK;
}

/* The node as kernels see it, created anew for each candidate because prepare writes into it. */
static skive_status describe(chooser *c, const skive_node *node, skv_kernel_node *k) {
    skive_plan *p = c->plan;
    *k = (skv_kernel_node){.ctx = p->ctx,
                           .weights = p->weights,
                           .node = node,
                           .n_in = node->n_inputs,
                           .n_out = node->n_outputs,
                           .threads = p->threads,
                           .training = p->training};
    SKV_TRY(skv_arena_array(p->arena, k->n_in, sizeof *k->in, &k->in));
    SKV_TRY(skv_arena_array(p->arena, k->n_out, sizeof *k->out, &k->out));
    return SKIVE_OK;
}

static void describe_values(chooser *c, skv_kernel_node *k) {
    const skive_node *node = k->node;
    k->state = NULL;
    k->state_bytes = k->scratch_bytes = 0;
    k->in_place = 0;
    k->view_of = 0;
    memset(k->skips_input_data, 0, sizeof k->skips_input_data);
    memset(k->packs_input, 0, sizeof k->packs_input);
    for (size_t i = 0; i < k->n_in; i++) {
        const skive_value *v = node->inputs[i];
        if (!v) {
            k->in[i] = (skv_kernel_value){.absent = true};
            continue;
        }
        const bool param = v->storage != NULL;
        k->in[i] = (skv_kernel_value){
            .type = v->type,
            .layout = param ? SKV_PLAIN : c->of[v->id].home,
            .is_parameter = param,
            .constant = param && !(c->plan->training && skv_value_changes(v)) ? skv_value_tensor(v) : NULL,
            .coded = skv_value_coded(v),
        };
    }
    for (size_t i = 0; i < k->n_out; i++) {
        const skive_value *v = node->outputs[i];
        const bool wanted = v && (i == 0 || v->n_uses > 0 || v->output_uses > 0);
        k->out[i] = wanted ? (skv_kernel_value){.type = v->type} : (skv_kernel_value){.absent = true};
    }
}

/* From here on the node's parameters are dense. The graph is the plan's own. */
static skive_status make_dense(chooser *c, const skive_node *node) {
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        skive_value *v = node->inputs[i];
        if (!skv_value_coded(v)) continue;
        SKV_TRY(skv_storage_make_unique(c->plan->ctx, &v->storage));
        c->plan->slots[c->of[v->id].slot[SKV_PLAIN]].param = v->storage;
    }
    return SKIVE_OK;
}

static bool may_run(const chooser *c, const skv_kernel *kernel, const skive_node *node) {
    return skv_kernel_serves(kernel, node->kind) && kernel->isa <= skv_cpu_isa() && !kernel->computes_nothing &&
           strcmp(kernel->name, "reference") != 0 && !c->plan->reference && !c->plan->training;
}

/* The kernel that was chosen for this node by measuring, or is `rank` places behind the usual one while kernels are
 * measured; NULL: the usual one. */
static const skv_kernel *measured(chooser *c, skv_kernel_node *k) {
    skive_kernel_choices *choices = skv_context_choices(c->plan->ctx);
    size_t applied = 0;
    if (!choices || (choices->n == 0 && choices->rank == 0)) return NULL;
    describe_values(c, k);
    const char *name = skv_choice_find(choices, skv_choice_key(k));
    if (!name && choices->rank == 0) return NULL;
    for (size_t i = 0; i < skv_kernel_count(); i++) {
        const skv_kernel *kernel = skv_kernel_at(i);
        skv_why why = {{0}};
        /* A node that a kernel needing no work serves has no other. */
        if (!name && kernel->computes_nothing && skv_kernel_serves(kernel, k->node->kind)) {
            describe_values(c, k);
            k->kernel = kernel;
            if (!kernel->applicable || kernel->applicable(k, &why)) return NULL;
        }
        if (!may_run(c, kernel, k->node) || (name && strcmp(kernel->name, name) != 0)) continue;
        describe_values(c, k);
        k->kernel = kernel;
        if (kernel->applicable && !kernel->applicable(k, &why)) continue;
        if (!name && applied++ < choices->rank) continue;
        return kernel;
    }
    return NULL;
}

static skive_status prepare(skv_kernel_node *k) {
    const skive_status status = k->kernel->prepare ? k->kernel->prepare(k) : SKIVE_OK;
    for (size_t j = 0; j < k->n_in && status == SKIVE_OK && !k->kernel->prepare; j++) k->in[j].layout = SKV_PLAIN;
    return status;
}

/* Tries the measured kernel; *done: it runs the node. */
static skive_status try_measured(chooser *c, skv_kernel_node *k, bool *done) {
    const skv_kernel *kernel = measured(c, k);
    k->kernel = NULL;
    *done = false;
    if (!kernel) return SKIVE_OK;
    if (!kernel->takes_coded) SKV_TRY(make_dense(c, k->node));
    describe_values(c, k);
    k->kernel = kernel;
    const skive_status status = prepare(k);
    *done = status == SKIVE_OK;
    if (*done && skv_context_choices(c->plan->ctx)->rank) skv_context_choices(c->plan->ctx)->others++;
    if (!*done) k->kernel = NULL;
    if (status == SKIVE_ERR_UNSUPPORTED) skive_context_clear(c->plan->ctx);
    return status == SKIVE_ERR_UNSUPPORTED ? SKIVE_OK : status;
}

/* Goes through the kernel list; reasons for declining are written to `text`. */
static skive_status pick(chooser *c, skv_kernel_node *k, skv_text *text) {
    const skive_node *node = k->node;
    const skv_isa isa = skv_cpu_isa();
    bool done;
    SKV_TRY(try_measured(c, k, &done));
    if (done) skv_text_add(text, "others: %s was measured to be faster\n", k->kernel->name);
    if (done) return SKIVE_OK;
    for (size_t i = 0; i < skv_kernel_count(); i++) {
        const skv_kernel *kernel = skv_kernel_at(i);
        if (!skv_kernel_serves(kernel, node->kind)) continue;
        if (c->plan->reference && !kernel->computes_nothing && strcmp(kernel->name, "reference") != 0) continue;
        if (kernel->isa > isa) {
            skv_text_add(text, "%s: needs %s, this CPU is used as %s\n", kernel->name, skv_isa_name(kernel->isa),
                         skv_isa_name(isa));
            continue;
        }
        skv_why why = {{0}};
        if (!kernel->takes_coded) SKV_TRY(make_dense(c, node));
        describe_values(c, k);
        k->kernel = kernel;
        if (kernel->applicable && !kernel->applicable(k, &why)) {
            if (why.text[0]) skv_text_add(text, "%s: %s\n", kernel->name, why.text);
            continue;
        }
        const skive_status status = prepare(k);
        if (status == SKIVE_OK) return SKIVE_OK;
        k->kernel = NULL;
        if (status == SKIVE_ERR_MEMORY || status == SKIVE_ERR_LIMIT) return skv_fail_node(c->plan->ctx, status, node);
        if (status != SKIVE_ERR_UNSUPPORTED) return status;
        skv_text_add(text, "%s: %s\n", kernel->name, skive_context_message(c->plan->ctx));
    }
    if (node->op && node->op->flow) return skv_plan_refuse_flow(c->plan->ctx, node);
    return skv_fail_at(c->plan->ctx, SKIVE_ERR_UNSUPPORTED, node->name, "node '%s': no kernel supports this form of %s",
                       node->name, node->op_type);
}

static skive_status describe_text(chooser *c, skv_plan_step *s, const skv_kernel_node *k) {
    char type[160];
    skv_type_text(&k->out[0].type, type, sizeof type);
    SKV_TRY(skv_arena_strdup(c->plan->arena, type, &s->output_type));
    s->layout_text = skv_layout_name(k->out[0].layout);
    skive_cost cost = {0};
    if (k->node->op && k->node->op->cost) k->node->op->cost(k->node, &cost);
    s->macs = cost.macs;
    return SKIVE_OK;
}

/* A weight that every step has packed is not held a second time. */
static void release_packed(chooser *c, const skv_kernel_node *k) {
    if (c->plan->training || c->plan->reference || c->plan->keeps_weights) return;
    for (size_t i = 0; i < k->n_in && i < SKV_OP_MAX_IO; i++) {
        skive_value *v = k->node->inputs[i];
        if (!v || !v->storage || !k->packs_input[i] || ++c->packed[v->id] < v->n_uses) continue;
        if (v->output_uses > 0 || skv_value_is_captured(v) || is_kept(c, v)) continue;
        k->in[i].constant = NULL;
        c->plan->slots[c->of[v->id].slot[SKV_PLAIN]].param = NULL;
        skv_storage_release(v->storage);
        v->storage = NULL;
    }
}

/* Registers inputs' slots (with reorders), then the step itself and its outputs. Takes over k's state. */
static skive_status add_step(chooser *c, skv_kernel_node *k, skv_text *declined) {
    skive_plan *p = c->plan;
    const skive_node *node = k->node;
    uint32_t *in = NULL;
    skive_status status = SKIVE_OK;
    skv_plan_step *s = NULL;
    SKV_GO(status, done, skv_arena_array(p->arena, k->n_in, sizeof *in, &in));
    for (size_t i = 0; i < k->n_in; i++) {
        in[i] = SKV_NO_SLOT;
        if (k->in[i].absent || (i < SKV_OP_MAX_IO && (k->skips_input_data[i] || k->packs_input[i]))) continue;
        SKV_GO(status, done, bring(c, node, node->inputs[i], k->in[i].layout, &in[i]));
    }
    if (k->view_of) {
        c->of[node->outputs[0]->id].slot[SKV_PLAIN] = in[k->view_of - 1];
        c->of[node->outputs[0]->id].home = SKV_PLAIN;
        goto done;
    }
    SKV_GO(status, done, new_step(p, node, k->n_in, k->n_out, &s));
    s->kernel = *k;
    k->kernel = NULL; /* the step owns its state now */
    if (k->n_in) memcpy(s->in_slots, in, k->n_in * sizeof *in);
    s->declined = declined->data;
    declined->data = NULL;
    s->choice_key = skv_choice_key(&s->kernel);
    SKV_GO(status, done, describe_text(c, s, &s->kernel));
    p->packed_bytes += s->kernel.state_bytes;
    for (size_t i = 0; i < s->kernel.n_out; i++) {
        s->out_slots[i] = SKV_NO_SLOT;
        if (s->kernel.out[i].absent) continue;
        const skive_value *v = node->outputs[i];
        const skv_layout layout = s->kernel.out[i].layout;
        uint32_t slot;
        SKV_GO(status, done, new_value_slot(c, v, layout, &slot));
        s->out_slots[i] = slot;
        c->of[v->id].slot[layout] = slot;
        c->of[v->id].home = layout;
    }
done:
    if (k->kernel && k->kernel->destroy) k->kernel->destroy(p->ctx, k->state);
    k->kernel = NULL;
    return status;
}

/* A barrier of threads takes about 2 us, in which one thread does some 100,000 multiply-adds or processes 16,000
 * elements. A node with less work runs on one thread; if other programs use the processors too, the barrier could take
 * milliseconds. */
static bool is_small(const skive_node *node) {
    enum { SMALL = 1 << 17, ELEMENT = 8 };
    skive_cost cost;
    if (skive_node_cost(node, &cost) != SKIVE_OK) return false;
    const int64_t elements = skv_add_sat(cost.operations, cost.activation_bytes / 4);
    return skv_add_sat(cost.macs, skv_mul_sat(elements, ELEMENT)) < SMALL;
}

static skive_status add_node(chooser *c, const skive_node *node) {
    skv_kernel_node k;
    skv_text declined;
    skv_text_init(&declined, c->plan->ctx);
    skive_status status = describe(c, node, &k);
    if (status == SKIVE_OK && k.threads > 1 && is_small(node)) k.threads = 1;
    if (status == SKIVE_OK) status = pick(c, &k, &declined);
    if (status == SKIVE_OK) status = declined.status;
    if (status == SKIVE_OK) {
        status = add_step(c, &k, &declined);
        if (status == SKIVE_OK) release_packed(c, &k);
    } else if (k.kernel && k.kernel->destroy) {
        k.kernel->destroy(c->plan->ctx, k.state);
    }
    skv_text_free(&declined);
    return status;
}

/* Slots of graph inputs and parameters, before any step. */
static skive_status place_sources(chooser *c) {
    skive_plan *p = c->plan;
    const skive_graph *g = p->graph;
    for (size_t i = 0; i < g->n_values; i++) {
        for (int l = 0; l < 4; l++) c->of[i].slot[l] = SKV_NO_SLOT;
        const skive_value *v = g->values[i];
        if (!v || !v->storage) continue;
        uint32_t slot;
        SKV_TRY(new_slot(p, SKV_SLOT_PARAM, 0, &slot));
        p->slots[slot].param = v->storage;
        c->of[i].slot[SKV_PLAIN] = slot;
    }
    SKV_TRY(skv_arena_array(p->arena, g->n_inputs, sizeof(uint32_t), &p->input_slots));
    SKV_TRY(skv_arena_array(p->arena, g->n_outputs, sizeof(uint32_t), &p->output_slots));
    for (size_t i = 0; i < g->n_inputs; i++) {
        SKV_TRY(new_value_slot(c, g->inputs[i], SKV_PLAIN, &p->input_slots[i]));
        p->slots[p->input_slots[i]].pinned = true;
        c->of[g->inputs[i]->id].slot[SKV_PLAIN] = p->input_slots[i];
    }
    return SKIVE_OK;
}

/* Kept values are passed to the tap dense and row-major, directly after they are computed. */
static skive_status add_taps(chooser *c, const skive_node *node) {
    skive_plan *p = c->plan;
    for (size_t o = 0; o < node->n_outputs; o++) {
        const skive_value *v = node->outputs[o];
        for (size_t at = v ? c->first_kept[v->id] : 0; at; at = c->next_kept[at - 1]) {
            const skv_layout layout = p->keep_layout ? c->of[v->id].home : SKV_PLAIN;
            skive_type type = v->type;
            uint32_t slot;
            SKV_TRY(bring(c, node, v, layout, &slot));
            if (p->keep_layout && p->slots[slot].kind == SKV_SLOT_ARENA) {
                const int64_t stored = (int64_t)(p->slots[slot].bytes * 8) / skive_dtype_bits(type.dtype);
                type = skive_type_make(type.dtype, 1, &stored);
            }
            p->taps[p->n_taps++] = (skv_plan_tap){(uint32_t)(at - 1), slot, p->n_steps ? p->n_steps - 1 : 0, type};
        }
    }
    return SKIVE_OK;
}

static skive_status check_keep(chooser *c) {
    skive_plan *p = c->plan;
    SKV_TRY(skv_alloc_array(p->ctx, c->n_keep ? c->n_keep : 1, sizeof *p->taps, &p->taps));
    for (size_t k = 0; k < c->n_keep; k++) {
        const skive_value *v = skive_graph_find_value(p->graph, c->keep[k]);
        if (!v) {
            return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, c->keep[k], "there is no value '%s' to keep", c->keep[k]);
        }
        if (!v->producer) {
            const uint32_t slot = c->of[v->id].slot[SKV_PLAIN];
            p->taps[p->n_taps++] = (skv_plan_tap){(uint32_t)k, slot, 0, v->type};
        }
    }
    for (size_t k = c->n_keep; k-- > 0;) { /* those of a value in the order of `keep` */
        size_t *first = &c->first_kept[skive_graph_find_value(p->graph, c->keep[k])->id];
        c->next_kept[k] = *first;
        *first = k + 1;
    }
    return SKIVE_OK;
}

skive_status skv_plan_choose(skive_plan *p, const char *const *keep, size_t n_keep) {
    chooser c = {.plan = p, .keep = keep, .n_keep = n_keep};
    skive_node **order = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(p->ctx, p->graph->n_values + 1, sizeof *c.of, &c.of));
    SKV_GO(status, done, skv_alloc_array(p->ctx, p->graph->n_values + 1, sizeof *c.packed, &c.packed));
    SKV_GO(status, done, skv_alloc_array(p->ctx, p->graph->n_values + 1, sizeof *c.first_kept, &c.first_kept));
    SKV_GO(status, done, skv_alloc_array(p->ctx, n_keep + 1, sizeof *c.next_kept, &c.next_kept));
    SKV_GO(status, done, place_sources(&c));
    SKV_GO(status, done, check_keep(&c));
    SKV_GO(status, done, skv_graph_topo(p->graph, &order));
    for (size_t i = 0; i < p->graph->n_nodes; i++) {
        SKV_GO(status, done, add_node(&c, order[i]));
        SKV_GO(status, done, add_taps(&c, order[i]));
    }
    for (size_t i = 0; i < p->graph->n_outputs; i++) {
        skive_value *v = p->graph->outputs[i];
        SKV_GO(status, done, bring(&c, v->producer, v, SKV_PLAIN, &p->output_slots[i]));
        p->slots[p->output_slots[i]].pinned = true;
    }
done:
    skv_free(p->ctx, order);
    skv_free(p->ctx, c.of);
    skv_free(p->ctx, c.packed);
    skv_free(p->ctx, c.first_kept);
    skv_free(p->ctx, c.next_kept);
    return status;
}
