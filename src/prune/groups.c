/* Masks of weights that go together: blocks, kernels, and so many of each run. */
#include <stdlib.h>
#include <string.h>

#include "prune/prune.h"

skv_element skv_element_at(const skv_prunable *l, int64_t index) {
    const skive_type *t = &l->value->type;
    const skv_weight_view *v = &l->view;
    skv_element e = {0};
    int64_t taps = 1;
    for (int d = t->rank - 1; d >= 0; d--) {
        const int64_t size = t->dims[d].size, at = index % size;
        index /= size;
        if (d == v->out_axis)
            e.row = at;
        else if (d == v->in_axis)
            e.column = at;
        else if (v->directions > 1 && d == 0)
            e.direction = at;
        else {
            e.tap += at * taps;
            taps *= size;
        }
    }
    return e;
}

skive_status skv_read_pair(skive_context *ctx, const char *name, const char *text, char between, int64_t pair[2]) {
    char *end = NULL;
    enum { MOST = 1024 };
    pair[0] = strtol(text, &end, 10);
    const bool first = end != text && *end == between;
    const char *second = end + 1;
    pair[1] = first ? strtol(second, &end, 10) : 0;
    if (first && end != second && !*end && pair[0] >= 1 && pair[0] <= MOST && pair[1] >= 1 && pair[1] <= MOST)
        return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, name, "%s is %s; it must be two whole numbers from 1 to %d, such as %s",
                       name, text, MOST, between == 'x' ? "4x1" : "2:4");
}

/* A group of a layer; its elements are listed in the layer's `member`, from `first` on. */
typedef struct grain {
    double score; /* mean */
    size_t layer;
    int64_t first, size;
} grain;

typedef struct grains {
    grain *items;
    size_t n;
    int64_t **member; /* [layers] the elements in order of group */
} grains;

static skive_status add_layer(skv_pruning *p, const skv_prunable *l, size_t layer, grains *g) {
    skive_context *ctx = p->ctx;
    int64_t *group = NULL, *at = NULL, groups = 0;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)l->n + 1, sizeof *group, &group));
    SKV_GO(status, done, p->granularity->group(l, &p->granularity_options, group, &groups));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)l->n + 1, sizeof(int64_t), &g->member[layer]));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)groups + 1, sizeof *at, &at));
    SKV_GO(status, done, skv_grow(ctx, &g->items, g->n, g->n + (size_t)groups, sizeof *g->items));
    grain *items = g->items + g->n;
    for (int64_t k = 0; k < groups; k++) items[k] = (grain){.layer = layer};
    for (int64_t i = 0; i < l->n; i++) {
        items[group[i]].size++;
        items[group[i]].score += (double)l->score[i];
    }
    for (int64_t k = 0, first = 0; k < groups; k++) {
        items[k].first = at[k] = first;
        first += items[k].size;
        if (items[k].size) items[k].score /= (double)items[k].size;
    }
    for (int64_t i = 0; i < l->n; i++) g->member[layer][at[group[i]]++] = i;
    g->n += (size_t)groups;
done:
    skv_free(ctx, group);
    skv_free(ctx, at);
    return status;
}

static int lowest_first(const void *a, const void *b) {
    const grain *x = a, *y = b;
    if (x->score < y->score || x->score > y->score) return x->score < y->score ? -1 : 1;
    if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static void drop_whole(skv_prunable *layers, const grains *g, int64_t drop, int64_t *left, double *threshold) {
    for (size_t k = 0; k < g->n; k++) {
        const grain *x = &g->items[k];
        skv_prunable *l = &layers[x->layer];
        if (x->size > drop) return;
        if (left[x->layer] - x->size < l->least) {
            l->at_floor = true;
            continue;
        }
        for (int64_t i = 0; i < x->size; i++) l->keep[g->member[x->layer][x->first + i]] = 0;
        left[x->layer] -= x->size;
        drop -= x->size;
        *threshold = x->score;
    }
}

/* The highest of each group stay, of equals the first. */
static void keep_best(const skv_pruning *p, skv_prunable *layers, const grains *g) {
    for (size_t k = 0; k < g->n; k++) {
        const grain *x = &g->items[k];
        const skv_prunable *l = &layers[x->layer];
        const int64_t *member = &g->member[x->layer][x->first];
        for (int64_t gone = x->size - p->granularity->stay(&p->granularity_options, x->size); gone > 0; gone--) {
            int64_t lowest = -1;
            for (int64_t i = 0; i < x->size; i++) {
                if (!l->keep[member[i]]) continue;
                if (lowest < 0 || l->score[member[i]] <= l->score[member[lowest]]) lowest = i;
            }
            l->keep[member[lowest]] = 0;
        }
    }
}

skive_status skv_mask_groups(skv_pruning *p, skv_prunable *layers, size_t n, int64_t drop, double *threshold) {
    skive_context *ctx = p->ctx;
    grains g = {0};
    int64_t *left = NULL;
    skive_status status;
    *threshold = 0;
    SKV_GO(status, done, skv_alloc_array(ctx, n + 1, sizeof(int64_t *), &g.member));
    SKV_GO(status, done, skv_alloc_array(ctx, n + 1, sizeof *left, &left));
    for (size_t i = 0; i < n; i++) {
        memset(layers[i].keep, 1, (size_t)layers[i].n);
        layers[i].at_floor = false;
        left[i] = layers[i].n;
        SKV_GO(status, done, add_layer(p, &layers[i], i, &g));
    }
    if (p->granularity->stay) {
        keep_best(p, layers, &g);
    } else {
        qsort(g.items, g.n, sizeof *g.items, lowest_first);
        drop_whole(layers, &g, drop, left, threshold);
    }
done:
    for (size_t i = 0; g.member && i < n; i++) skv_free(ctx, g.member[i]);
    skv_free(ctx, g.member);
    skv_free(ctx, g.items);
    skv_free(ctx, left);
    return status;
}
