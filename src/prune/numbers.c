/* What criteria need of the data: one probe over all layers, whose numbers are given to the layer that they belong to.
 * It is asked again for each choice, so that the steps of a schedule look at the weights as they are then. */
#include <string.h>

#include "probe/source.h"
#include "prune/prune.h"

bool skv_need_applies(const skv_pruning *p, const skv_data_need *need) {
    if (!need->option) return true;
    const char *chosen = skv_option_text(&p->criterion_options, need->option);
    return chosen && strcmp(chosen, need->is) == 0;
}

/* ---- which value, and which of its axes numbers the channels ---- */

static bool observable(const skive_value *v) {
    return v && !v->storage && v->type.dtype == SKIVE_F32 && (v->is_input || v->producer);
}

/* The data that the weight is multiplied with. */
static const skive_value *input_of(const skv_prunable *l, int *axis) {
    const skive_value *v = l->view.data >= 0 ? skv_node_in(l->node, (size_t)l->view.data) : NULL;
    *axis = l->view.data_axis;
    return v && l->view.in_axis >= 0 && *axis >= 0 && observable(v) && v->type.rank >= 2 ? v : NULL;
}

/* A node that makes one number of one number: an activation, a bias or a scale that is a parameter, Dropout, a
 * normalisation by statistics that it keeps. */
static bool goes_on(const skive_node *n) {
    int computed = 0;
    bool statistic = false;
    if (!n || !n->op || n->n_outputs < 1 || !observable(n->outputs[0])) return false;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        computed += n->inputs[i] && !n->inputs[i]->storage;
        statistic = statistic || (n->inputs[i] && skv_input_role(n, i) == SKV_ROLE_STATISTIC);
    }
    return computed == 1 && (n->op->pointwise || statistic);
}

/* Through bias and normalisation to the activation, whose zeros and entropy say what a channel tells the rest. */
static const skive_value *activation_of(const skive_value *v) {
    while (v->n_uses == 1 && v->output_uses == 0 && goes_on(v->uses[0].node)) {
        const skive_value *next = v->uses[0].node->outputs[0];
        if (next->type.rank != v->type.rank) break;
        v = next;
    }
    return v;
}

static const skive_value *output_of(const skv_prunable *l, int *axis) {
    if (l->view.out_axis < 0 || l->node->n_outputs < 1 || !observable(l->node->outputs[0])) return NULL;
    const skive_value *v = activation_of(l->node->outputs[0]);
    *axis = l->view.result_axis;
    return *axis > 0 ? v : NULL;
}

static bool item_of(const skv_prunable *l, const skv_data_need *need, skv_probe_item *out) {
    int axis = SKV_BY_ELEMENT;
    const skive_value *v = need->at == SKV_AT_WEIGHT  ? l->value
                           : need->at == SKV_AT_INPUT ? input_of(l, &axis)
                                                      : output_of(l, &axis);
    if (!v) return false;
    *out = (skv_probe_item){.value = v->name, .of = need->of, .axis = axis, .reducer = skv_reducer_find(need->reducer)};
    if (strcmp(need->reducer, "moments") != 0) return true;
    /* Of what stands in a window, or along the last axis. */
    if (l->view.windows) out->user = (void *)l->node;
    return l->view.windows || axis == v->type.rank - 1;
}

/* ---- the probe ---- */

typedef struct asked {
    skv_probe_item *items;
    const skv_data_need *needs;
    size_t n_needs;
    skv_numbers **to; /* [n] */
    int64_t *size;    /* [n] elements of the layer */
    size_t n;
    const bool *which; /* [layers] NULL: all */
} asked;

static skive_status collect(skv_pruning *p, asked *a) {
    const size_t most = p->n * a->n_needs + 1;
    SKV_TRY(skv_alloc_array(p->ctx, most, sizeof *a->items, &a->items));
    SKV_TRY(skv_alloc_array(p->ctx, most, sizeof(skv_numbers *), &a->to));
    SKV_TRY(skv_alloc_array(p->ctx, most, sizeof *a->size, &a->size));
    for (size_t i = 0; i < p->n; i++) {
        for (size_t k = 0; k < a->n_needs && (!a->which || a->which[i]); k++) {
            const skv_data_need *need = &a->needs[k];
            if (!skv_need_applies(p, need) || !item_of(&p->layers[i], need, &a->items[a->n])) continue;
            a->size[a->n] = p->layers[i].n;
            a->to[a->n++] = &p->layers[i].numbers[k];
        }
    }
    return SKIVE_OK;
}

static bool needs_loss(const asked *a) {
    for (size_t i = 0; i < a->n; i++) {
        if (a->items[i].of != SKV_OF_VALUE) return true;
    }
    return false;
}

static skive_status give(skv_pruning *p, const asked *a, skv_probe *probe) {
    for (size_t i = 0; i < a->n; i++) {
        skv_free(p->ctx, a->to[i]->x);
        *a->to[i] = (skv_numbers){0};
        SKV_TRY(skv_probe_result(probe, i, &a->to[i]->x, &a->to[i]->n, &a->to[i]->count));
        if (a->items[i].axis != SKV_BY_ELEMENT || (int64_t)a->to[i]->n == a->size[i]) continue;
        return skv_fail_at(p->ctx, SKIVE_ERR_SHAPE, a->items[i].value,
                           "parameter '%s' has rows for each sample of a batch, which the criterion '%s' cannot score; "
                           "exclude it",
                           a->items[i].value, p->criterion->name);
    }
    return SKIVE_OK;
}

static skive_status look_for(skv_pruning *p, const skv_data_need *needs, size_t n, const bool *which, int64_t batches,
                             int64_t batch) {
    skv_source source = {0};
    skv_probe *probe = NULL;
    asked a = {.needs = needs, .n_needs = n, .which = which};
    skive_status status;
    SKV_GO(status, done, collect(p, &a));
    const skv_source_options o = {.batch = batch, .batches = batches, .with_loss = needs_loss(&a)};
    SKV_GO(status, done, skv_source_open(p->ctx, p->work, p->train, &o, &source));
    SKV_GO(status, done, skv_source_probe(&source, a.items, a.n, "score", &probe));
    status = give(p, &a, probe);
done:
    skv_probe_free(probe);
    skv_source_close(&source);
    skv_free(p->ctx, a.items);
    skv_free(p->ctx, a.to);
    skv_free(p->ctx, a.size);
    return status;
}

skive_status skv_prune_look(skv_pruning *p) {
    if (p->criterion->look) return p->criterion->look(p);
    if (p->criterion->n_needs == 0) return SKIVE_OK;
    return look_for(p, p->criterion->needs, p->criterion->n_needs, NULL,
                    skv_option_integer(&p->criterion_options, "batches"),
                    skv_option_integer(&p->criterion_options, "batch"));
}

skive_status skv_prune_look_at_inputs(skv_pruning *p, const bool *which, int64_t batches, int64_t batch) {
    static const skv_data_need inputs[] = {{.at = SKV_AT_INPUT, .of = SKV_OF_VALUE, .reducer = "moments"}};
    for (size_t i = 0; i < p->n; i++) {
        skv_free(p->ctx, p->layers[i].numbers[0].x);
        p->layers[i].numbers[0] = (skv_numbers){0};
    }
    return look_for(p, inputs, 1, which, batches, batch);
}

skive_status skv_prune_check_data(const skv_pruning *p) {
    if (!skv_criterion_reads(p->criterion) && !p->criterion->look) return SKIVE_OK;
    if (!p->train && skv_criterion_reads(p->criterion))
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "criterion",
                           "the criterion '%s' looks at data: a training set is missing (--data)", p->criterion->name);
    if (p->o->surgery)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "surgery",
                           "surgery chooses masks between two steps of training, where the criterion '%s' cannot look "
                           "at the model as a whole; use one that looks at the weights only",
                           p->criterion->name);
    return SKIVE_OK;
}
