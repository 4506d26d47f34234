/* Layers that can go as a whole, and which of them do: those of lowest score.  A residual block is all that lies
 * between the value x and the Add of x to what is computed from it, if nothing outside reads anything in between:
 * without it the sum is x. A layer whose result has the shape of its input can go alone, with a normalisation behind
 * it. Blocks may lie in one another; what is gone already is passed over. */
#include <stdlib.h>
#include <string.h>

#include "prune/prune.h"

typedef struct block {
    const skive_node *last; /* whose output is replaced */
    const skive_value *in;
    const skive_value *out;
    bool *inside; /* [nodes] of a residual block, by number; NULL: one layer, and perhaps its normalisation */
    const skive_node *first;
    double score;
    size_t at;
    bool chosen;
} block;

typedef struct depth {
    skv_pruning *p;
    block *items;
    size_t n, room, n_chosen;
} depth;

/* A batch of unknown size is the same everywhere. */
static bool same_type(const skive_type *a, const skive_type *b) {
    if (a->rank != b->rank || a->dtype != b->dtype) return false;
    for (int d = 0; d < a->rank; d++) {
        const char *x = a->dims[d].symbol, *y = b->dims[d].symbol;
        if (a->dims[d].size != b->dims[d].size) return false;
        if (a->dims[d].size < 0 && (d > 0 || (x && y)) && (!x || !y || strcmp(x, y) != 0)) return false;
    }
    return true;
}

static uint32_t number_of(const skive_graph *g, const skive_node *n) {
    uint32_t i = 0;
    while (i < g->n_nodes && g->nodes[i] != n) i++;
    return i;
}

/* ---- residual blocks ---- */

/* Everything between `in` and `value`; false if it comes from elsewhere too. */
static bool gather(const skive_graph *g, const skive_value *value, const skive_value *in, bool *inside, size_t *n) {
    if (value == in || value->storage) return true;
    if (!value->producer) return false;
    const uint32_t i = number_of(g, value->producer);
    if (inside[i]) return true;
    inside[i] = true;
    (*n)++;
    for (uint32_t k = 0; k < value->producer->n_inputs; k++)
        if (value->producer->inputs[k] && !gather(g, value->producer->inputs[k], in, inside, n)) return false;
    return true;
}

static bool is_closed(const skive_graph *g, const bool *inside, const skive_node *last) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        if (!inside[i]) continue;
        for (uint32_t k = 0; k < g->nodes[i]->n_outputs; k++) {
            const skive_value *v = g->nodes[i]->outputs[k];
            if (!v) continue;
            if (v->output_uses > 0 || skv_value_is_captured(v)) return false;
            for (uint32_t u = 0; u < v->n_uses; u++)
                if (v->uses[u].node != last && !inside[number_of(g, v->uses[u].node)]) return false;
        }
    }
    return true;
}

static bool has_weights(const depth *d, const block *b) {
    for (size_t i = 0; i < d->p->n; i++) {
        const skive_node *n = d->p->layers[i].node;
        if (b->inside ? b->inside[number_of(d->p->work, n)] : n == b->first) return true;
    }
    return false;
}

static skive_status add(depth *d, block b) {
    if (d->n == d->room) {
        SKV_TRY(skv_grow(d->p->ctx, &d->items, d->room, 2 * d->room + 16, sizeof *d->items));
        d->room = 2 * d->room + 16;
    }
    b.at = d->n;
    d->items[d->n++] = b;
    return SKIVE_OK;
}

static skive_status find_block(depth *d, const skive_node *sum) {
    const skive_graph *g = d->p->work;
    if (!skv_node_is(sum, SKV_OP_ADD) || sum->outputs[0]->output_uses > 0) return SKIVE_OK;
    for (int side = 0; side < 2; side++) {
        const skive_value *in = sum->inputs[side], *branch = sum->inputs[1 - side];
        bool *inside = NULL;
        size_t n = 0;
        if (in->storage || branch->storage || in == branch || !same_type(&in->type, &sum->outputs[0]->type)) continue;
        SKV_TRY(skv_alloc_array(d->p->ctx, (size_t)g->n_nodes + 1, sizeof *inside, &inside));
        const block b = {.last = sum, .in = in, .out = sum->outputs[0], .inside = inside};
        if (gather(g, branch, in, inside, &n) && n > 0 && is_closed(g, inside, sum) && has_weights(d, &b)) {
            const skive_status status = add(d, b);
            if (status != SKIVE_OK) skv_free(d->p->ctx, inside);
            return status;
        }
        skv_free(d->p->ctx, inside);
    }
    return SKIVE_OK;
}

/* ---- single layers ---- */

static skive_status find_layer(depth *d, const skv_prunable *l) {
    const skive_value *in = l->view.data >= 0 ? skv_node_in(l->node, (size_t)l->view.data) : NULL;
    const skive_value *out = l->node->n_outputs ? l->node->outputs[0] : NULL;
    const skive_node *last = l->node;
    if (!in || !out || in->storage) return SKIVE_OK;
    for (uint32_t k = 1; k < l->node->n_outputs; k++)
        if (l->node->outputs[k] && l->node->outputs[k]->n_uses) return SKIVE_OK;
    if (out->n_uses == 1 && skv_node_is(out->uses[0].node, SKV_OP_BATCH_NORMALIZATION) && out->output_uses == 0) {
        last = out->uses[0].node;
        out = last->outputs[0];
    }
    if (out->output_uses > 0 || skv_value_is_captured(out) || !same_type(&in->type, &out->type)) return SKIVE_OK;
    for (size_t i = 0; i < d->n; i++)
        if (d->items[i].first == l->node) return SKIVE_OK;
    return add(d, (block){.last = last, .first = l->node, .in = in, .out = out});
}

/* ---- scores ---- */

static bool is_skipped(const skv_pruning *p, const skive_value *weight) {
    for (size_t i = 0; i < p->o->n_skip; i++)
        if (strcmp(p->o->skip[i], weight->name) == 0) return true;
    return false;
}

/* False: something in it is excluded by --skip. */
static bool score(const depth *d, block *b, bool by_sum) {
    double sum = 0, n = 0;
    for (size_t i = 0; i < d->p->n; i++) {
        const skv_prunable *l = &d->p->layers[i];
        if (b->inside ? !b->inside[number_of(d->p->work, l->node)] : l->node != b->first) continue;
        for (int64_t k = 0; k < l->n; k++) sum += (double)l->score[k];
        n += (double)l->n;
    }
    for (size_t r = 0; r < d->p->report.n_layers; r++) {
        const skive_prune_layer *row = &d->p->report.layers[r];
        const skive_value *v = row->refused ? skive_graph_find_value(d->p->work, row->parameter) : NULL;
        for (uint32_t u = 0; v && u < v->n_uses; u++) {
            const skive_node *node = v->uses[u].node;
            const bool within = b->inside ? b->inside[number_of(d->p->work, node)] : node == b->first;
            if (within && is_skipped(d->p, v)) return false;
        }
    }
    b->score = by_sum ? sum : n > 0 ? sum / n : 0;
    return true;
}

static int lowest_first(const void *a, const void *b) {
    const block *x = a, *y = b;
    if (x->score < y->score || x->score > y->score) return x->score < y->score ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static skive_status open_layers(skv_pruning *p, void **self) {
    const char *group = skv_option_text(&p->granularity_options, "group");
    const bool blocks_only = strcmp(skv_option_text(&p->granularity_options, "of"), "blocks") == 0;
    const bool by_sum = strcmp(group, "sum") == 0 || (strcmp(group, "auto") == 0 && skv_criterion_reads(p->criterion));
    depth *d = NULL;
    size_t left = 0;
    SKV_TRY(skv_alloc_array(p->ctx, 1, sizeof *d, &d));
    *self = d;
    d->p = p;
    SKV_TRY(skv_prune_score(p));
    for (uint32_t i = 0; i < p->work->n_nodes; i++) SKV_TRY(find_block(d, p->work->nodes[i]));
    for (size_t i = 0; i < p->n && !blocks_only; i++) SKV_TRY(find_layer(d, &p->layers[i]));
    for (size_t i = 0; i < d->n; i++) {
        if (score(d, &d->items[i], by_sum))
            d->items[left++] = d->items[i];
        else
            skv_free(p->ctx, d->items[i].inside);
    }
    d->n = left;
    if (d->n > 1) qsort(d->items, d->n, sizeof *d->items, lowest_first);
    return SKIVE_OK;
}

static void close_layers(skv_pruning *p, void *self) {
    depth *d = self;
    for (size_t i = 0; i < d->n; i++) skv_free(p->ctx, d->items[i].inside);
    skv_free(p->ctx, d->items);
    skv_free(p->ctx, d);
}

/* ---- the choice ---- */

static size_t count(const void *self) { return ((const depth *)self)->n; }
static size_t gone(const void *self) { return ((const depth *)self)->n_chosen; }

static void choose(void *self, size_t take, int64_t multiple) {
    depth *d = self;
    (void)multiple;
    d->n_chosen = take < d->n ? take : d->n;
    for (size_t i = 0; i < d->n; i++) d->items[i].chosen = i < d->n_chosen;
}

/* ---- for the exact choice: each is a part ---- */

static size_t may_go(const void *self, size_t i) {
    (void)self;
    (void)i;
    return 1;
}

static int64_t width(const void *self, size_t i) { return (int64_t)may_go(self, i); }

static double harm(const void *self, size_t i, size_t n) { return n ? ((const depth *)self)->items[i].score : 0; }

static double harm_of_chosen(const void *self) {
    const depth *d = self;
    double sum = 0;
    for (size_t i = 0; i < d->n; i++) sum += d->items[i].chosen ? d->items[i].score : 0;
    return sum;
}

static void choose_parts(void *self, const size_t *go) {
    depth *d = self;
    d->n_chosen = 0;
    for (size_t i = 0; i < d->n; i++) {
        d->items[i].chosen = go[i] > 0;
        d->n_chosen += go[i] > 0;
    }
}

/* What those chosen among the first `n` have put in the place of a value. */
static const skive_value *stand_in(const depth *d, size_t n, const skive_value *v) {
    for (size_t i = 0; i < n; i++) {
        if (!d->items[i].chosen || d->items[i].out != v) continue;
        v = d->items[i].in;
        i = (size_t)-1;
    }
    return v;
}

/* Values keep their names in a copy. What lies in another block that is gone is not there any more. */
static skive_status remove_chosen(const void *self, const skive_graph *of, skive_graph **out) {
    const depth *d = self;
    skive_context *ctx = d->p->ctx;
    skive_graph *g = NULL;
    skive_status status;
    *out = NULL;
    SKV_GO(status, done, skive_graph_copy(ctx, of, &g));
    for (size_t i = 0; i < d->n; i++) {
        const block *b = &d->items[i];
        if (!b->chosen) continue;
        skive_value *from = skive_graph_find_value(g, b->out->name),
                    *to = skive_graph_find_value(g, stand_in(d, i, b->in)->name);
        if (!from || !to) continue;
        SKV_GO(status, done, skv_value_replace_uses(from, to, false));
        (void)skv_graph_sweep(g);
    }
    SKV_GO(status, done, skive_graph_infer(g));
    status = skive_graph_check(g);
done:
    if (status == SKIVE_OK)
        *out = g;
    else
        skive_graph_free(g);
    return status;
}

/* ---- the report ---- */

static bool covers(const depth *d, const skive_node *n) {
    for (size_t i = 0; i < d->n; i++) {
        const block *b = &d->items[i];
        if (b->inside ? b->inside[number_of(d->p->work, n)] : b->first == n) return true;
    }
    return false;
}

static const char *why_not(const skv_pruning *p, const skive_prune_layer *l, const skive_value *v) {
    const skive_node *n = v && v->n_uses ? v->uses[0].node : NULL;
    skv_weight_view view;
    if (v && l->refused && is_skipped(p, v)) return "excluded by --skip";
    if (!n || !skv_weight_view_of(n, (size_t)v->uses[0].index, &view)) return "no layer of its own";
    const skive_value *in = view.data >= 0 ? skv_node_in(n, (size_t)view.data) : NULL;
    const skive_value *out = n->n_outputs ? n->outputs[0] : NULL;
    if (!in || !out || !same_type(&in->type, &out->type)) return "gives another shape than it reads";
    return out->output_uses ? "output of the model" : "read by more than the layer behind";
}

static skive_status list(void *self) {
    const depth *d = self;
    skv_pruning *p = d->p;
    SKV_TRY(skv_alloc_array(p->ctx, p->report.n_layers + 1, sizeof *p->report.channels, &p->report.channels));
    for (size_t i = 0; i < p->report.n_layers; i++) {
        const skive_prune_layer *l = &p->report.layers[i];
        const skive_value *v = skive_graph_find_value(p->work, l->parameter);
        const bool may = v && v->n_uses && covers(d, v->uses[0].node);
        skive_prune_channels *row = &p->report.channels[p->report.n_channels++];
        *row = (skive_prune_channels){.channels = "layers", .count = 1, .kept = 1, .removable = may};
        SKV_TRY(skv_strdup(p->ctx, l->parameter, &row->parameter));
        SKV_TRY(skv_strdup(p->ctx, l->node, &row->node));
        if (may) continue;
        SKV_TRY(skv_strdup(p->ctx, why_not(p, l, v), &row->why));
    }
    p->report.removable = (int64_t)d->n;
    return SKIVE_OK;
}

static void in_the_way(const void *self, skv_text *out) {
    const depth *d = self;
    size_t told = 0;
    skv_text_add(out, ", without %s", d->n ? "all layers and blocks whose result has the shape of their input" : "any");
    for (size_t i = 0; i < d->p->report.n_channels && told < 3; i++) {
        const skive_prune_channels *row = &d->p->report.channels[i];
        if (row->removable) continue;
        skv_text_add(out, "%s'%s'", told++ ? ", " : "; layers that must stay: ", row->parameter);
    }
}

static void count_left(skv_pruning *p) {
    p->report.kept = 0;
    for (size_t i = 0; i < p->report.n_channels; i++)
        p->report.channels[i].kept = skv_find_value_anywhere(p->work, p->report.channels[i].parameter) != NULL;
    for (size_t i = 0; i < p->report.n_layers; i++) {
        skive_prune_layer *row = &p->report.layers[i];
        if (!skv_find_value_anywhere(p->work, row->parameter)) row->kept = 0;
        if (!row->refused) p->report.kept += row->kept;
    }
}

const skv_removal skv_removal_layers = {.open = open_layers,
                                        .close = close_layers,
                                        .count = count,
                                        .choose = choose,
                                        .gone = gone,
                                        .parts = count,
                                        .may_go = may_go,
                                        .width = width,
                                        .harm = harm,
                                        .harm_of_chosen = harm_of_chosen,
                                        .choose_parts = choose_parts,
                                        .remove = remove_chosen,
                                        .list = list,
                                        .in_the_way = in_the_way,
                                        .count_left = count_left};
