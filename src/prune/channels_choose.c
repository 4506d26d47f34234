/* Channels: their scores, and which of them go.  A channel is a set of slices of weights. Each slice has the sum of its
 * elements' scores; the channel's is made of those (options of the granularity). Divided by the mean over its family,
 * the channels that stand side by side, it can be compared over all layers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/couple.h"
#include "prune/prune.h"

/* ---- scores ---- */

/* The sums of a layer's scores along one axis. */
typedef struct sums {
    double *sum;     /* [length] */
    double elements; /* of a slice */
} sums;

/* One for each layer and axis that a channel touches. */
typedef struct slices {
    skv_channels *c;
    sums *of;       /* [layers][SKIVE_MAX_RANK] */
    size_t *layers; /* [values] number + 1 of a layer; 0: none */
} slices;

static skive_status sums_of(slices *s, const skive_channel_slice *at, const sums **out) {
    skv_pruning *p = s->c->p;
    const size_t layer = s->layers[at->value->id];
    *out = NULL;
    if (layer == 0) return SKIVE_OK;
    sums *of = &s->of[(layer - 1) * SKIVE_MAX_RANK + (size_t)at->axis];
    *out = of;
    if (of->sum) return SKIVE_OK;
    const skv_prunable *l = &p->layers[layer - 1];
    const skive_type *t = &l->value->type;
    const int64_t length = t->dims[at->axis].size;
    int64_t inner = 1;
    for (int d = at->axis + 1; d < t->rank; d++) inner *= t->dims[d].size;
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)length + 1, sizeof(double), &of->sum));
    for (int64_t i = 0; i < l->n; i++) of->sum[i / inner % length] += (double)l->score[i];
    of->elements = length > 0 ? (double)l->n / (double)length : 1;
    return SKIVE_OK;
}

typedef enum combination { BY_SUM, BY_MEAN, BY_MAX, BY_FIRST } combination;

/* Does the criterion look at nothing but what layers make? */
static bool scores_outputs(const skv_pruning *p) {
    bool any = p->criterion->channels_only;
    for (size_t i = 0; i < p->criterion->n_needs; i++) {
        if (!skv_need_applies(p, &p->criterion->needs[i])) continue;
        if (p->criterion->needs[i].at != SKV_AT_OUTPUT) return false;
        any = true;
    }
    return any;
}

static combination combination_of(const skv_pruning *p) {
    const char *group = skv_option_text(&p->granularity_options, "group");
    if (strcmp(group, "auto") == 0 && p->criterion->group) group = p->criterion->group;
    if (strcmp(group, "sum") == 0) return BY_SUM;
    if (strcmp(group, "max") == 0) return BY_MAX;
    if (strcmp(group, "first") == 0) return BY_FIRST;
    if (strcmp(group, "mean") == 0) return BY_MEAN;
    return scores_outputs(p) ? BY_FIRST : BY_MEAN;
}

static bool is_excluded(const skv_pruning *p, const skive_channel_slice *at, const skv_prunable *l) {
    for (size_t i = 0; i < p->o->n_skip; i++) {
        /* The layer keeps its own outputs; its inputs go with the layer that makes them. */
        if (strcmp(p->o->skip[i], at->value->name) == 0 && (!l || at->axis == l->view.out_axis)) return true;
    }
    return false;
}

static skive_status score_channel(slices *s, size_t i, combination how) {
    skv_channels *c = s->c;
    const skive_channel_slice *at;
    const skive_value *first = NULL; /* the layer that makes the channel; its gates are several slices */
    size_t n, counted = 0;
    double sum = 0, of_means = 0, most = 0, of_first = 0;
    skive_coupling_get(c->coupling, i, &at, &n, &c->family[i]);
    for (size_t k = 0; k < n; k++) {
        const sums *of;
        const size_t layer = s->layers[at[k].value->id];
        const skv_prunable *l = layer ? &c->p->layers[layer - 1] : NULL;
        c->fixed[i] = c->fixed[i] || is_excluded(c->p, &at[k], l);
        SKV_TRY(sums_of(s, &at[k], &of));
        if (!of || !l) continue;
        const double x = of->sum[at[k].index], mean = x / of->elements;
        counted++;
        sum += x;
        of_means += mean;
        most = mean > most ? mean : most;
        if (at[k].axis != l->view.out_axis || (first && first != at[k].value)) continue;
        first = at[k].value;
        of_first += x;
    }
    if (how == BY_MEAN) sum = counted ? of_means / (double)counted : 0;
    if (how == BY_MAX) sum = most;
    if (how == BY_FIRST && first) sum = of_first;
    c->score[i] = (float)sum;
    return SKIVE_OK;
}

static skive_status score_all(skv_channels *c) {
    skv_pruning *p = c->p;
    slices s = {.c = c};
    const combination how = combination_of(p);
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(p->ctx, p->n * SKIVE_MAX_RANK + 1, sizeof *s.of, &s.of));
    SKV_GO(status, done, skv_alloc_array(p->ctx, (size_t)p->work->n_values + 1, sizeof *s.layers, &s.layers));
    for (size_t i = 0; i < p->n; i++) s.layers[p->layers[i].value->id] = i + 1;
    for (size_t i = 0; i < c->n; i++) SKV_GO(status, done, score_channel(&s, i, how));
done:
    for (size_t i = 0; s.of && i < p->n * SKIVE_MAX_RANK; i++) skv_free(p->ctx, s.of[i].sum);
    skv_free(p->ctx, s.of);
    skv_free(p->ctx, s.layers);
    return status;
}

/* ---- the order ---- */

typedef struct ranked {
    float score;
    size_t at;
} ranked;

static int lowest_first(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static skive_status sort(skv_channels *c) {
    ranked *r = NULL;
    SKV_TRY(skv_alloc_array(c->p->ctx, c->n + 1, sizeof *r, &r));
    for (size_t i = 0; i < c->n; i++) r[i] = (ranked){c->score[i], i};
    if (c->n > 1) qsort(r, c->n, sizeof *r, lowest_first);
    for (size_t i = 0; i < c->n; i++) c->order[i] = r[i].at;
    skv_free(c->p->ctx, r);
    return SKIVE_OK;
}

static skive_status allocate(skv_channels *c) {
    skive_context *ctx = c->p->ctx;
    SKV_TRY(skv_alloc_array(ctx, c->n + 1, sizeof *c->score, &c->score));
    SKV_TRY(skv_alloc_array(ctx, c->n + 1, sizeof *c->family, &c->family));
    SKV_TRY(skv_alloc_array(ctx, c->n + 1, sizeof *c->fixed, &c->fixed));
    SKV_TRY(skv_alloc_array(ctx, c->n + 1, sizeof *c->order, &c->order));
    SKV_TRY(skv_alloc_array(ctx, c->n + 1, sizeof *c->gone, &c->gone));
    return skv_alloc_array(ctx, c->n + 1, sizeof *c->list, &c->list);
}

/* By the place among those side by side, so that all of them lose the same part. */
static skive_status rank(skv_channels *c) {
    int64_t *before = NULL;
    SKV_TRY(sort(c));
    SKV_TRY(skv_alloc_array(c->p->ctx, c->families + 1, sizeof *before, &before));
    for (size_t k = 0; k < c->n; k++) {
        const int f = c->family[c->order[k]];
        c->score[c->order[k]] = (float)(((double)before[f]++ + 0.5) / (double)c->members[f]);
    }
    skv_free(c->p->ctx, before);
    return SKIVE_OK;
}

static skive_status normalise(skv_channels *c) {
    const char *by = skv_option_text(&c->p->granularity_options, "normalise");
    const bool comparable = c->p->criterion->comparable || c->p->criterion->n_needs > 0 || c->p->criterion->look;
    if (strcmp(by, "none") == 0 || (strcmp(by, "auto") == 0 && comparable)) return SKIVE_OK;
    if (strcmp(by, "rank") == 0) return rank(c);
    if (strcmp(by, "scan") == 0) {
        SKV_TRY(sort(c));
        return skv_channels_scan(c);
    }
    for (size_t f = 0; f < c->families; f++) {
        double sum = 0;
        for (size_t i = 0; i < c->n; i++) sum += c->family[i] == (int)f ? (double)c->score[i] : 0;
        const double mean = sum / (double)(c->members[f] ? c->members[f] : 1);
        for (size_t i = 0; mean > 0 && i < c->n; i++)
            if (c->family[i] == (int)f) c->score[i] = (float)((double)c->score[i] / mean);
    }
    return SKIVE_OK;
}

/* Those that the granularity is not for stay. */
static void fix_others(skv_channels *c) {
    for (size_t i = 0; i < c->n; i++) {
        const skive_channel_slice *parts;
        size_t n;
        int family;
        skive_coupling_get(c->coupling, i, &parts, &n, &family);
        if (c->p->granularity->takes && !c->p->granularity->takes(parts, n)) c->fixed[i] = true;
        c->free += !c->fixed[i];
    }
}

static skive_status open_channels(skv_pruning *p, void **self) {
    skv_channels *c = NULL;
    SKV_TRY(skv_alloc_array(p->ctx, 1, sizeof *c, &c));
    *self = c;
    c->p = p;
    SKV_TRY(skv_prune_score(p));
    SKV_TRY(skive_coupling_create(p->work, &c->coupling));
    c->n = skive_coupling_count(c->coupling);
    SKV_TRY(allocate(c));
    SKV_TRY(score_all(c));
    fix_others(c);
    for (size_t i = 0; i < c->n; i++)
        c->families = c->family[i] >= (int)c->families ? (size_t)c->family[i] + 1 : c->families;
    SKV_TRY(skv_alloc_array(p->ctx, c->families + 1, sizeof *c->members, &c->members));
    SKV_TRY(skv_alloc_array(p->ctx, c->families + 1, sizeof *c->least, &c->least));
    SKV_TRY(skv_alloc_array(p->ctx, c->families + 1, sizeof *c->removed, &c->removed));
    for (size_t i = 0; i < c->n; i++) c->members[c->family[i]]++;
    const double floor = skv_option_real(&p->granularity_options, "floor");
    for (size_t f = 0; f < c->families; f++) {
        c->least[f] = (int64_t)ceil(floor * (double)c->members[f]);
        if (c->least[f] < 1) c->least[f] = 1;
    }
    SKV_TRY(normalise(c));
    return sort(c);
}

static void close_channels(skv_pruning *p, void *self) {
    skv_channels *c = self;
    skive_coupling_free(c->coupling);
    skv_free(p->ctx, c->score);
    skv_free(p->ctx, c->family);
    skv_free(p->ctx, c->fixed);
    skv_free(p->ctx, c->order);
    skv_free(p->ctx, c->gone);
    skv_free(p->ctx, c->list);
    skv_free(p->ctx, c->members);
    skv_free(p->ctx, c->least);
    skv_free(p->ctx, c->removed);
    skv_free(p->ctx, c);
}

/* ---- the choice ---- */

static bool can_spare(const skv_channels *c, size_t i) {
    const int f = c->family[i];
    return !c->fixed[i] && c->members[f] - c->removed[f] > c->least[f];
}

/* To the nearest multiple, of families that have two of it; the more important half of a step stays. */
static int64_t rounded(const skv_channels *c, size_t f, int64_t multiple) {
    const int64_t kept = c->members[f] - c->removed[f];
    if (multiple < 2 || c->members[f] < 2 * multiple || c->removed[f] == 0) return kept;
    int64_t target = (kept + multiple / 2) / multiple * multiple;
    while (target < c->least[f] || target == 0) target += multiple;
    return target < c->members[f] ? target : c->members[f];
}

static void set_gone(skv_channels *c, size_t i, bool gone) {
    c->gone[i] = gone;
    c->removed[c->family[i]] += gone ? 1 : -1;
}

static void list_gone(skv_channels *c) {
    c->n_gone = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->gone[i]) c->list[c->n_gone++] = i;
}

static void choose(void *self, size_t take, int64_t multiple) {
    skv_channels *c = self;
    memset(c->gone, 0, c->n * sizeof *c->gone);
    memset(c->removed, 0, c->families * sizeof *c->removed);
    for (size_t k = 0, taken = 0; k < c->n && taken < take; k++) {
        if (!can_spare(c, c->order[k])) continue;
        set_gone(c, c->order[k], true);
        taken++;
    }
    for (size_t f = 0; f < c->families; f++) {
        int64_t more = c->members[f] - c->removed[f] - rounded(c, f, multiple);
        for (size_t k = 0; k < c->n && more > 0; k++) {
            const size_t i = c->order[k];
            if (c->family[i] != (int)f || c->gone[i] || !can_spare(c, i)) continue;
            set_gone(c, i, true);
            more--;
        }
        for (size_t k = c->n; k-- > 0 && more < 0;) {
            const size_t i = c->order[k];
            if (c->family[i] != (int)f || !c->gone[i]) continue;
            set_gone(c, i, false);
            more++;
        }
    }
    list_gone(c);
}

/* ---- for the exact choice: a part is a family ---- */

static size_t parts(const void *self) { return ((const skv_channels *)self)->families; }
static int64_t width(const void *self, size_t i) { return ((const skv_channels *)self)->members[i]; }

static size_t may_go(const void *self, size_t f) {
    const skv_channels *c = self;
    int64_t n = 0;
    for (size_t i = 0; i < c->n; i++) n += c->family[i] == (int)f && !c->fixed[i];
    const int64_t most = c->members[f] - c->least[f];
    return (size_t)(n < most ? n : most > 0 ? most : 0);
}

static double harm(const void *self, size_t f, size_t n) {
    const skv_channels *c = self;
    double sum = 0;
    for (size_t k = 0; k < c->n && n > 0; k++) {
        const size_t i = c->order[k];
        if (c->family[i] != (int)f || c->fixed[i]) continue;
        sum += (double)c->score[i];
        n--;
    }
    return sum;
}

static double harm_of_chosen(const void *self) {
    const skv_channels *c = self;
    double sum = 0;
    for (size_t i = 0; i < c->n_gone; i++) sum += (double)c->score[c->list[i]];
    return sum;
}

static void choose_parts(void *self, const size_t *go) {
    skv_channels *c = self;
    memset(c->gone, 0, c->n * sizeof *c->gone);
    memset(c->removed, 0, c->families * sizeof *c->removed);
    for (size_t k = 0; k < c->n; k++) {
        const size_t i = c->order[k], f = (size_t)c->family[i];
        if (!c->fixed[i] && c->removed[f] < (int64_t)go[f]) set_gone(c, i, true);
    }
    list_gone(c);
}

/* The coupling of a model with the same structure numbers the channels in the same way. */
static skive_status remove_chosen(const void *self, const skive_graph *g, skive_graph **out) {
    const skv_channels *c = self;
    skive_coupling *other = NULL;
    *out = NULL;
    if (g == c->p->work) return skv_graph_without_channels(g, c->coupling, c->list, c->n_gone, out);
    SKV_TRY(skive_coupling_create(g, &other));
    skive_status status = SKIVE_OK;
    if (skive_coupling_count(other) != c->n)
        status = skv_fail_at(c->p->ctx, SKIVE_ERR_ARGUMENT, "rewind",
                             "the model to rewind to has %zu removable channels instead of %zu: it must be the same "
                             "network at an earlier time",
                             skive_coupling_count(other), c->n);
    if (status == SKIVE_OK) status = skv_graph_without_channels(g, other, c->list, c->n_gone, out);
    skive_coupling_free(other);
    return status;
}

static skive_status reconstruct(void *self) { return skv_channels_reconstruct(self); }

static size_t count(const void *self) { return ((const skv_channels *)self)->free; }
static size_t gone(const void *self) { return ((const skv_channels *)self)->n_gone; }

static void in_the_way(const void *self, skv_text *out) {
    const skv_channels *c = self;
    size_t told = 0;
    skv_text_add(out, ", with a floor of %g in each layer (%s:floor=)",
                 skv_option_real(&c->p->granularity_options, "floor"), c->p->granularity->name);
    for (size_t i = 0; i < skive_coupling_layer_count(c->coupling); i++) {
        skive_coupling_layer l;
        if (!skive_coupling_layer_get(c->coupling, i, &l) || !l.why || told == 3) continue;
        skv_text_add(out, "%s'%s' (%s%s%s)", told++ ? ", " : "; channels that must stay: ", l.value->name, l.why,
                     l.by ? ": " : "", l.by ? l.by : "");
    }
    size_t skipped = 0;
    for (size_t i = 0; i < c->p->report.n_layers; i++) {
        const skive_prune_layer *l = &c->p->report.layers[i];
        if (l->refused && skipped++ < 3)
            skv_text_add(out, "%s'%s' (%s)", told++ ? ", " : "; channels that must stay: ", l->parameter, l->refused);
    }
    if (skipped > 3) skv_text_add(out, " and %zu more that are excluded", skipped - 3);
}

/* ---- the report ---- */

skive_status skv_channels_list(skv_pruning *p, const skive_coupling *coupling) {
    const size_t n = skive_coupling_layer_count(coupling);
    SKV_TRY(skv_alloc_array(p->ctx, n + 1, sizeof *p->report.channels, &p->report.channels));
    for (size_t i = 0; i < n; i++) {
        skive_coupling_layer l;
        if (!skive_coupling_layer_get(coupling, i, &l)) continue;
        skive_prune_channels *row = &p->report.channels[p->report.n_channels++];
        *row =
            (skive_prune_channels){.channels = l.channels, .count = l.count, .kept = l.count, .removable = l.removable};
        SKV_TRY(skv_strdup(p->ctx, l.value->name, &row->parameter));
        SKV_TRY(skv_strdup(p->ctx, l.value->n_uses ? l.value->uses[0].node->name : "", &row->node));
        if (l.why) SKV_TRY(skv_asprintf(p->ctx, &row->why, "%s%s%s", l.why, l.by ? ": " : "", l.by ? l.by : ""));
    }
    p->report.removable = (int64_t)skive_coupling_count(coupling);
    return SKIVE_OK;
}

static skive_status list(void *self) {
    const skv_channels *c = self;
    SKV_TRY(skv_channels_list(c->p, c->coupling));
    c->p->report.removable = (int64_t)c->free;
    return SKIVE_OK;
}

/* What is left of each layer, by its name. */
static void count_left(skv_pruning *p) {
    p->report.kept = 0;
    for (size_t i = 0; i < p->report.n_channels; i++) {
        skive_prune_channels *row = &p->report.channels[i];
        const skive_value *v = skv_find_value_anywhere(p->work, row->parameter);
        skv_weight_view view;
        for (uint32_t u = 0; v && u < v->n_uses; u++) {
            if (!skv_weight_view_of(v->uses[u].node, (size_t)v->uses[u].index, &view)) continue;
            row->kept = view.out;
            break;
        }
    }
    for (size_t i = 0; i < p->report.n_layers; i++) {
        skive_prune_layer *row = &p->report.layers[i];
        const skive_value *v = skv_find_value_anywhere(p->work, row->parameter);
        row->kept = v && (v->storage || !row->refused) ? skv_type_count(&v->type) : 0;
        if (!row->refused) p->report.kept += row->kept;
    }
}

const skv_removal skv_removal_channels = {.open = open_channels,
                                          .close = close_channels,
                                          .count = count,
                                          .choose = choose,
                                          .gone = gone,
                                          .parts = parts,
                                          .may_go = may_go,
                                          .width = width,
                                          .harm = harm,
                                          .harm_of_chosen = harm_of_chosen,
                                          .choose_parts = choose_parts,
                                          .remove = remove_chosen,
                                          .reconstruct = reconstruct,
                                          .list = list,
                                          .in_the_way = in_the_way,
                                          .count_left = count_left};
