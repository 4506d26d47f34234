/* Reshape: which axis of its result holds the samples, and the shape that says so. */
#include <string.h>

#include "graph/batch_rebind.h"

typedef struct reading {
    int axis;      /* of the result: where the samples are */
    int64_t outer; /* runs over them in it */
} reading;

static int64_t product(const skive_type *t, int from, int to) {
    int64_t p = 1;
    for (int d = from; d < to; d++) p *= t->dims[d].size;
    return p;
}

/* A reshape keeps the order of elements, so the samples stay at the same distance from the first element: the axes of
 * the result at which they can be. */
static int readings_of(const skv_rebind *r, const skive_type *x, int axis, int64_t outer, const skive_type *y,
                       reading *out) {
    const int64_t before = product(x, 0, axis) * outer;
    int n = 0;
    for (int d = 0; d < y->rank; d++) {
        const int64_t p = product(y, 0, d), size = y->dims[d].size;
        if (p < 1 || before % p != 0) continue;
        const int64_t runs = before / p;
        if (runs < 1 || size % runs != 0 || size / runs % r->was != 0) continue;
        out[n++] = (reading){d, runs};
    }
    return n;
}

/* The shape a Reshape asks for now, or false. */
static bool asked_shape(const skive_node *n, const skive_type *x, const int64_t *shape, int rank, int64_t *out) {
    int64_t known = 1;
    int open = -1;
    for (int d = 0; d < rank; d++) {
        out[d] = shape[d];
        if (shape[d] == 0 && !skv_attr_int(n, "allowzero", 0)) {
            if (d >= x->rank) return false;
            out[d] = x->dims[d].size;
        }
        if (out[d] < 0) {
            if (open >= 0) return false;
            open = d;
        } else {
            known *= out[d];
        }
    }
    const int64_t all = product(x, 0, x->rank);
    if (open < 0) return known == all;
    if (known == 0 || all % known != 0) return false;
    out[open] = all / known;
    return true;
}

/* The likeliest first: where the shape spells the batch out, what the shape gives by itself, the same axis behind the
 * same sizes. */
static int rank_of(const skv_rebind *r, const reading *w, const skive_type *x, int axis, const skive_type *y,
                   const int64_t *shape, const int64_t *asked) {
    bool same = w->axis == axis, gives = asked != NULL;
    for (int d = 0; d < w->axis && d < x->rank; d++) same = same && x->dims[d].size == y->dims[d].size;
    for (int d = 0; gives && d < y->rank; d++)
        gives = asked[d] == (d == w->axis ? y->dims[d].size / r->was * r->batch : y->dims[d].size);
    const bool spelt = w->outer == 1 && shape[w->axis] == r->was && y->dims[w->axis].size == r->was;
    return (spelt ? 0 : gives ? 2 : 4) + (same ? 0 : 1);
}

static skive_status choose(skv_rebind *r, int n, int *out) {
    *out = 0;
    if (n < 2) return SKIVE_OK;
    if (r->at == r->n_choices) {
        if (r->n_choices == r->choices_capacity) {
            const size_t capacity = 2 * r->choices_capacity + 64;
            skv_choice *more = NULL;
            SKV_TRY(skv_alloc_array(r->g->ctx, capacity, sizeof *more, &more));
            if (r->n_choices) memcpy(more, r->choices, r->n_choices * sizeof *more);
            skv_free(r->g->ctx, r->choices);
            r->choices = more;
            r->choices_capacity = capacity;
        }
        r->choices[r->n_choices++] = (skv_choice){0, (uint8_t)n};
    }
    *out = r->choices[r->at++].taken;
    return SKIVE_OK;
}

skive_status skv_rebind_reshape(skv_rebind *r, skive_node *n, int64_t *outer_out) {
    const skive_value *v = skv_node_in(n, 0);
    const int axis = skv_rebind_axis_of(r, v);
    const skive_type *x = axis < 0 ? NULL : skv_rebind_old_of(r, v), *y = &r->old[n->outputs[0]->id];
    int64_t shape[SKIVE_MAX_RANK], asked[SKIVE_MAX_RANK];
    reading all[SKIVE_MAX_RANK];
    if (!x || !skv_type_is_static(x) || !skv_type_is_static(y)) return SKIVE_OK;
    const int rank = skv_rebind_read_ints(r, skv_node_in(n, 1), shape);
    if (rank < 0) return SKIVE_OK;
    const int n_all = readings_of(r, x, axis, r->outer[v->id], y, all);
    if (n_all == 0 || rank != y->rank)
        return skv_fail_at(r->g->ctx, SKIVE_ERR_SHAPE, n->name,
                           "node '%s' (Reshape) puts elements of several samples into one", n->name);
    const bool works = asked_shape(n, skv_rebind_now_of(r, v), shape, rank, asked);
    const skive_type *x_now = skv_rebind_now_of(r, v);
    for (int i = 1; i < n_all; i++) { /* by rank, stable */
        const reading w = all[i];
        int k = i;
        const int rank_w = rank_of(r, &w, x_now, axis, y, shape, works ? asked : NULL);
        for (; k > 0 && rank_of(r, &all[k - 1], x_now, axis, y, shape, works ? asked : NULL) > rank_w; k--)
            all[k] = all[k - 1];
        all[k] = w;
    }
    int taken;
    SKV_TRY(choose(r, n_all, &taken));
    const reading *w = &all[taken];
    bool as_asked = works;
    *outer_out = w->outer;
    for (int d = 0; d < rank; d++) {
        const int64_t wanted = d == w->axis ? y->dims[d].size / r->was * r->batch : y->dims[d].size;
        as_asked = as_asked && asked[d] == wanted;
        shape[d] = wanted;
    }
    return as_asked ? SKIVE_OK : skv_rebind_set_ints(r, n, 1, shape, rank);
}
