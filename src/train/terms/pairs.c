/* Which values of the model and of a teacher belong together. */
#include <stdio.h>
#include <string.h>

#include "graph/linear.h"
#include "graph/op.h"
#include "graph/unknown.h"
#include "tensor/tensor.h"
#include "train/terms/term.h"

/* Values of one network in the training graph, in the order in which they are computed. */
typedef struct network {
    const skive_graph *g;
    const char *who, *prefix;
    uint32_t first, end; /* numbers of its values */
    const skive_value *logits;
    bool *leads; /* by value id: the scores depend on it */
    skive_node **order;
} network;

typedef struct values {
    skive_value *items[SKV_PAIRS_MOST];
    size_t n;
} values;

static bool mine(const network *net, const skive_value *v) { return v && v->id >= net->first && v->id < net->end; }

static const char *name_of(const network *net, const skive_value *v) { return v->name + strlen(net->prefix); }

static void add(values *list, skive_value *v) {
    if (list->n < SKV_PAIRS_MOST) list->items[list->n++] = v;
}

/* ---- by name ---- */

static skive_status no_such(const network *net, const char *name) {
    const char **names = NULL;
    char none[64];
    size_t n = 0;
    SKV_TRY(skv_alloc_array(net->g->ctx, (size_t)net->g->n_values + 1, sizeof *names, &names));
    for (uint32_t i = net->first; i < net->end && i < net->g->n_values; i++)
        if (net->g->values[i] && !net->g->values[i]->storage) names[n++] = name_of(net, net->g->values[i]);
    (void)snprintf(none, sizeof none, "%s has no value", net->who);
    const skive_status status = skv_fail_no_such(net->g->ctx, SKIVE_ERR_NOT_FOUND, none, name, names, n);
    skv_free(net->g->ctx, names);
    return status;
}

/* The values of "a+relu*": a name of a value or node, or all that a pattern fits, in the order in which they are
 * computed. */
static skive_status named(const network *net, const char *text, values *out) {
    for (bool more = true; more;) {
        char one[256];
        const size_t length = strcspn(text, "+"), before = out->n;
        if (length == 0)
            return skv_fail_at(net->g->ctx, SKIVE_ERR_ARGUMENT, "term",
                               "a term has an empty name for a value of %s; write names as A or A+B", net->who);
        (void)snprintf(one, sizeof one, "%.*s", (int)(length < sizeof one ? length : sizeof one - 1), text);
        more = text[length] == '+';
        text += length + more;
        for (uint32_t i = net->first; i < net->end && i < net->g->n_values; i++) {
            skive_value *v = net->g->values[i];
            if (v && !v->storage && strcmp(name_of(net, v), one) == 0) add(out, v);
        }
        if (out->n > before) continue;
        /* A node's name stands for its first output. */
        for (uint32_t i = 0; i < net->g->n_nodes; i++) {
            const skive_node *n = net->order[i];
            const size_t skip = strlen(net->prefix);
            if (n->n_outputs && mine(net, n->outputs[0]) && n->name && strlen(n->name) > skip &&
                strcmp(n->name + skip, one) == 0)
                add(out, n->outputs[0]);
        }
        if (out->n > before) continue;
        for (uint32_t i = 0; i < net->g->n_nodes; i++) {
            for (uint32_t k = 0; k < net->order[i]->n_outputs; k++) {
                skive_value *v = net->order[i]->outputs[k];
                if (mine(net, v) && skv_name_matches(one, name_of(net, v))) add(out, v);
            }
        }
        if (out->n == before) return no_such(net, one);
    }
    return SKIVE_OK;
}

/* ---- by what they are ---- */

static bool is_map(const skive_value *v) {
    int64_t places = 1;
    if (v->type.rank < 3 || !skv_dtype_is_float(v->type.dtype)) return false;
    for (int d = 1; d < v->type.rank; d++)
        if (v->type.dims[d].size < 1) return false;
    for (int d = 2; d < v->type.rank; d++) places *= v->type.dims[d].size;
    return places > 1;
}

static bool same_places(const skive_value *a, const skive_value *b) {
    bool same = a->type.rank == b->type.rank;
    for (int d = 2; same && d < a->type.rank; d++) same = a->type.dims[d].size == b->type.dims[d].size;
    return same;
}

/* The last map of each size, in order. */
static void stages(const network *net, values *out) {
    for (uint32_t i = 0; i < net->g->n_nodes; i++) {
        for (uint32_t k = 0; k < net->order[i]->n_outputs && k < 1; k++) {
            skive_value *v = net->order[i]->outputs[k];
            if (!mine(net, v) || !net->leads[v->id] || !is_map(v)) continue;
            size_t at = 0;
            while (at < out->n && !same_places(out->items[at], v)) at++;
            if (at == SKV_PAIRS_MOST) continue;
            if (at == out->n) out->n++;
            for (; at + 1 < out->n; at++) out->items[at] = out->items[at + 1]; /* it is the latest now */
            out->items[out->n - 1] = v;
        }
    }
}

/* What the last layer with weights before the scores reads. */
static void last(const network *net, values *out) {
    const skive_value *v = net->logits;
    for (int steps = 0; v && v->producer && steps < 64; steps++) {
        const skive_node *n = v->producer;
        skv_linear l;
        if (skv_linear_of(n, &l) && l.view.data >= 0) {
            skive_value *x = n->inputs[l.view.data];
            if (mine(net, x)) add(out, x);
            return;
        }
        v = n->n_inputs ? n->inputs[0] : NULL;
        for (uint32_t k = 0; k < n->n_inputs; k++) /* of a sum with a bias, what is computed */
            if (n->inputs[k] && n->inputs[k]->producer) {
                v = n->inputs[k];
                break;
            }
    }
}

static bool computed(const skive_value *v) { return v && v->producer; }

/* Recurrent layers; or the sums of a Transformer's blocks, of which each block has two; normalised ones where only a
 * normalisation reads the sum. */
static void steps(const network *net, values *out) {
    values sums = {.n = 0};
    for (uint32_t i = 0; i < net->g->n_nodes; i++) {
        skive_node *n = net->order[i];
        skive_value *v = n->n_outputs ? n->outputs[0] : NULL;
        if (!mine(net, v) || !net->leads[v->id]) continue;
        if (skv_node_is(n, SKV_OP_LSTM) || skv_node_is(n, SKV_OP_GRU) || skv_node_is(n, SKV_OP_RNN)) {
            add(out, v);
        } else if (skv_node_is(n, SKV_OP_ADD) && v->type.rank == 3 && computed(n->inputs[0]) &&
                   computed(n->inputs[1])) {
            add(&sums, v);
        }
    }
    if (out->n) return;
    /* Where positions are added to the tokens, that sum is none of a block. */
    for (size_t i = sums.n % 2 ? 2 : 1; i < sums.n; i += 2) {
        skive_value *v = sums.items[i];
        for (uint32_t k = 0; k < net->g->n_nodes; k++) {
            const skive_node *n = net->order[k];
            if (skv_node_is(n, SKV_OP_LAYER_NORMALIZATION) && n->inputs[0] == v && v->n_uses == 1) {
                v = n->outputs[0];
                break;
            }
        }
        add(out, v);
    }
}

static void attention(const network *net, values *out) {
    for (uint32_t i = 0; i < net->g->n_nodes; i++) {
        const skive_node *n = net->order[i];
        if (skv_node_is(n, SKV_OP_SOFTMAX) && mine(net, n->outputs[0]) && mine(net, n->inputs[0]) &&
            n->inputs[0]->type.rank == 4 && net->leads[n->outputs[0]->id])
            add(out, n->inputs[0]);
    }
}

static const struct {
    void (*find)(const network *net, values *out);
    const char *what;
} ways[] = {
    [SKV_PAIR_NONE] = {NULL, ""},
    [SKV_PAIR_STAGES] = {stages, "maps [samples, channels, places ...]"},
    [SKV_PAIR_MIDDLE] = {stages, "maps [samples, channels, places ...]"},
    [SKV_PAIR_DEEPEST] = {stages, "maps [samples, channels, places ...]"},
    [SKV_PAIR_LAST] = {last, "layer with weights before the scores"},
    [SKV_PAIR_STEPS] = {steps, "blocks of a Transformer or recurrent layers"},
    [SKV_PAIR_ATTENTION] = {attention, "softmax over scores of attention [samples, heads, steps, steps]; "
                                       "an operator Attention does not show them"},
};

/* ---- together ---- */

static void pair(skive_value *s, skive_value *t, skv_pair *out, size_t *n) {
    if (*n < SKV_PAIRS_MOST) out[(*n)++] = (skv_pair){s, t};
}

/* Of each of the student's, the teacher's at the same part of the depth; the last ones belong together. */
static void by_depth(const values *s, const values *t, skv_pair *out, size_t *n) {
    for (size_t i = 0; i < s->n; i++) pair(s->items[i], t->items[((i + 1) * t->n + s->n - 1) / s->n - 1], out, n);
}

/* Maps of the same places first; where no two are, by depth. */
static void by_places(const values *s, const values *t, skv_pair *out, size_t *n) {
    for (size_t i = 0; i < s->n; i++) {
        for (size_t k = 0; k < t->n; k++)
            if (same_places(s->items[i], t->items[k])) pair(s->items[i], t->items[k], out, n);
    }
    if (*n == 0) by_depth(s, t, out, n);
}

static void tell(skive_context *ctx, const skv_loss *loss, const network *student, const network *teacher,
                 const skv_pair *pairs, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char s[160], t[160];
        skv_type_text(&pairs[i].student->type, s, sizeof s);
        skv_type_text(&pairs[i].teacher->type, t, sizeof t);
        skv_note(ctx, "%s: the model's '%s' %s with the teacher's '%s' %s", loss->name,
                 name_of(student, pairs[i].student), s, name_of(teacher, pairs[i].teacher), t);
    }
}

static skive_status none(skive_context *ctx, const skv_loss *loss, const network *net) {
    return skv_fail_at(ctx, SKIVE_ERR_SHAPE, loss->name,
                       "term '%s' finds no values to compare: %s has no %s; name values with student= and teacher=",
                       loss->name, net->who, ways[loss->pairs].what);
}

static skive_status find(skive_context *ctx, const skv_term *term, const skv_loss *loss, const network *student,
                         const network *teacher, skv_pair *out, size_t *n) {
    values s = {.n = 0}, t = {.n = 0};
    *n = 0;
    if (term->pairs) {
        ways[loss->pairs].find(student, &s);
        ways[loss->pairs].find(teacher, &t);
        if (s.n == 0) return none(ctx, loss, student);
        if (t.n == 0) return none(ctx, loss, teacher);
        (ways[loss->pairs].find == stages ? by_places : by_depth)(&s, &t, out, n);
        if (loss->pairs == SKV_PAIR_MIDDLE || loss->pairs == SKV_PAIR_DEEPEST) {
            out[0] = out[loss->pairs == SKV_PAIR_MIDDLE ? *n / 2 : *n - 1];
            *n = 1;
        }
        tell(ctx, loss, student, teacher, out, *n);
    } else {
        SKV_TRY(named(student, term->feature, &s));
        SKV_TRY(named(teacher, term->example, &t));
        if (s.n != t.n)
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, loss->name,
                               "term '%s': '%.100s' is %zu value%s of the model, but '%.100s' is %zu of the teacher; "
                               "they are paired one by one",
                               loss->name, term->feature, s.n, s.n == 1 ? "" : "s", term->example, t.n);
        for (size_t i = 0; i < s.n; i++) pair(s.items[i], t.items[i], out, n);
        if (s.n > 1 || strpbrk(term->feature, "*?[") || strpbrk(term->example, "*?["))
            tell(ctx, loss, student, teacher, out, *n);
    }
    if (loss->two && *n < 2)
        return skv_fail_at(
            ctx, SKIVE_ERR_ARGUMENT, loss->name,
            "term '%s' compares what happens between two values of a network, and there is one pair; name "
            "two or more with student=A+B and teacher=C+D",
            loss->name);
    return SKIVE_OK;
}

/* Marks what `logits` depends on. */
static void mark(network *net) {
    net->leads[net->logits->id] = true;
    for (uint32_t i = net->g->n_nodes; i-- > 0;) {
        const skive_node *n = net->order[i];
        bool any = false;
        for (uint32_t k = 0; k < n->n_outputs; k++) any = any || (n->outputs[k] && net->leads[n->outputs[k]->id]);
        for (uint32_t k = 0; any && k < n->n_inputs; k++)
            if (n->inputs[k]) net->leads[n->inputs[k]->id] = true;
    }
}

skive_status skv_term_pairs(skive_context *ctx, const skive_graph *g, const skv_term *t, const skv_loss *loss,
                            const skive_value *logits, uint32_t end, const skv_merged_teacher *teacher, skv_pair *out,
                            size_t *n) {
    skive_node **order = NULL;
    bool *leads = NULL;
    skive_status status;
    SKV_GO(status, done, skv_graph_topo(g, &order));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g->n_values + 1, sizeof *leads, &leads));
    network a = {
        .g = g, .who = "the model", .prefix = "", .end = end, .logits = logits, .leads = leads, .order = order};
    network b = {.g = g,
                 .who = "the teacher",
                 .prefix = teacher->prefix,
                 .first = teacher->first,
                 .end = teacher->end,
                 .logits = teacher->answer,
                 .leads = leads,
                 .order = order};
    mark(&a);
    mark(&b);
    status = find(ctx, t, loss, &a, &b, out, n);
done:
    skv_free(ctx, order);
    skv_free(ctx, leads);
    return status;
}

skive_status skv_stage_values(skive_context *ctx, const skive_graph *g, const skive_value *scores, skive_value **out,
                              size_t *n) {
    skive_node **order = NULL;
    bool *leads = NULL;
    values list = {.n = 0};
    skive_status status;
    SKV_GO(status, done, skv_graph_topo(g, &order));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g->n_values + 1, sizeof *leads, &leads));
    network net = {
        .g = g, .who = "the model", .prefix = "", .end = UINT32_MAX, .logits = scores, .leads = leads, .order = order};
    mark(&net);
    stages(&net, &list);
    memcpy(out, list.items, list.n * sizeof *out);
    *n = list.n;
done:
    skv_free(ctx, order);
    skv_free(ctx, leads);
    return status;
}

skive_status skv_value_named(skive_context *ctx, const skive_graph *g, const char *name, skive_value **out) {
    network net = {.g = g, .who = "the model", .prefix = "", .end = g->n_values};
    (void)ctx;
    *out = skive_graph_find_value(g, name);
    for (uint32_t i = 0; !*out && i < g->n_nodes; i++)
        if (g->nodes[i]->name && strcmp(g->nodes[i]->name, name) == 0) *out = g->nodes[i]->outputs[0];
    return *out ? SKIVE_OK : no_such(&net, name);
}
