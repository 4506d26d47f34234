/* The numbers of largest magnitude and where they were: `number` of them, by default 16. Of equal ones those of earlier
 * runs, and within a run of smaller index, come first, so that the few are the same in whatever order they are seen. */
#include <math.h>

#include "probe/probe.h"

typedef struct entry {
    float value;
    int64_t run, index;
} entry;

typedef struct top {
    size_t n;
    entry entries[]; /* [most] from the largest to the smallest */
} top;

static size_t most_of(const skv_reduction *r) { return r->item->number > 0 ? (size_t)r->item->number : 16; }

static size_t bytes(const skv_reduction *r) { return sizeof(top) + most_of(r) * sizeof(entry); }

static skive_status open(skive_context *ctx, const skv_reduction *r, void **state) {
    SKV_TRY(skv_alloc(ctx, bytes(r), state));
    ((top *)*state)->n = 0;
    return SKIVE_OK;
}

static void close(skive_context *ctx, const skv_reduction *r, void *state) {
    (void)r;
    skv_free(ctx, state);
}

static bool before(const entry *a, const entry *b) {
    const float x = fabsf(a->value), y = fabsf(b->value);
    if (x != y) return x > y;
    return a->run != b->run ? a->run < b->run : a->index < b->index;
}

static void put(top *t, size_t most, const entry *e) {
    if (t->n == most && !before(e, &t->entries[most - 1])) return;
    size_t at = t->n < most ? t->n++ : most - 1;
    for (; at > 0 && before(e, &t->entries[at - 1]); at--) t->entries[at] = t->entries[at - 1];
    t->entries[at] = *e;
}

static skive_status add(const skv_reduction *r, void *state, const skv_seen *seen) {
    top *t = state;
    const size_t most = most_of(r);
    for (size_t i = 0; i < seen->n; i++) {
        if (t->n == most && fabsf(seen->x[i]) < fabsf(t->entries[most - 1].value)) continue;
        if (isnan(seen->x[i]))
            return skv_fail_at(seen->ctx, SKIVE_ERR_NUMERIC, r->item->value, "'%s' was NaN in run %lld", r->item->value,
                               (long long)seen->run);
        const entry e = {seen->x[i], seen->run, (int64_t)i};
        put(t, most, &e);
    }
    return SKIVE_OK;
}

static void merge(const skv_reduction *r, void *into, void *part) {
    top *from = part;
    for (size_t i = 0; i < from->n; i++) put(into, most_of(r), &from->entries[i]);
    from->n = 0;
}

/* Three numbers each: the value, the run, the index in it. */
static skive_status finish(skive_context *ctx, const skv_reduction *r, void *state, double **out, size_t *n) {
    const top *t = state;
    (void)r;
    SKV_TRY(skv_alloc_array(ctx, 3 * t->n + 1, sizeof **out, out));
    for (size_t i = 0; i < t->n; i++) {
        (*out)[3 * i] = (double)t->entries[i].value;
        (*out)[3 * i + 1] = (double)t->entries[i].run;
        (*out)[3 * i + 2] = (double)t->entries[i].index;
    }
    *n = 3 * t->n;
    return SKIVE_OK;
}

const skv_reducer skv_reducer_top = {.name = "top",
                                     .brief = "numbers of largest magnitude and their places",
                                     .exact = true,
                                     .bytes = bytes,
                                     .open = open,
                                     .close = close,
                                     .add = add,
                                     .merge = merge,
                                     .finish = finish};
