/* Placing pieces of memory in an arena; see memory.h. */
#include "lower/memory.h"

#include <stdlib.h>
#include <string.h>

typedef struct piece {
    size_t bytes, offset;
    uint32_t slot, first, last;
} piece;

static int larger_first(const void *a, const void *b) {
    const piece *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static int lower_first(const void *a, const void *b) {
    const piece *const *x = a, *const *y = b;
    return (*x)->offset < (*y)->offset ? -1 : (*x)->offset > (*y)->offset;
}

/* Places pieces[n] among the ones before it; `alive` is room for pointers to those that overlap in time. */
static bool place_one(piece *pieces, size_t n, const piece **alive, size_t *end) {
    piece *me = &pieces[n];
    size_t n_alive = 0;
    for (size_t i = 0; i < n; i++) {
        if (pieces[i].first <= me->last && me->first <= pieces[i].last) alive[n_alive++] = &pieces[i];
    }
    qsort(alive, n_alive, sizeof *alive, lower_first);
    size_t at = 0;
    for (size_t i = 0; i < n_alive; i++) {
        if (alive[i]->offset >= at + me->bytes) break;
        const size_t after = alive[i]->offset + alive[i]->bytes;
        if (after > at) at = after;
    }
    me->offset = at;
    size_t top;
    if (!skv_add_size(at, me->bytes, &top)) return false;
    if (top > *end) *end = top;
    return true;
}

/* ---- many pieces ---- comparing all pairs would take too long: in order of time, each gets the lowest gap */

enum { MANY = 16384 };

typedef struct gap {
    size_t offset, bytes;
} gap;

static int earlier_first(const void *a, const void *b) {
    const piece *x = a, *y = b;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return larger_first(a, b);
}

static int ends_first(const void *a, const void *b) {
    const piece *const *x = a, *const *y = b;
    return ((*x)->last > (*y)->last) - ((*x)->last < (*y)->last);
}

/* Gaps are sorted and not adjacent. */
static void give_back(gap *gaps, size_t *n, const piece *p) {
    size_t low = 0, high = *n;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (gaps[middle].offset < p->offset)
            low = middle + 1;
        else
            high = middle;
    }
    const bool joins_before = low > 0 && gaps[low - 1].offset + gaps[low - 1].bytes == p->offset;
    const bool joins_after = low < *n && p->offset + p->bytes == gaps[low].offset;
    if (joins_before && joins_after) {
        gaps[low - 1].bytes += p->bytes + gaps[low].bytes;
        memmove(&gaps[low], &gaps[low + 1], (*n - low - 1) * sizeof *gaps);
        --*n;
    } else if (joins_before) {
        gaps[low - 1].bytes += p->bytes;
    } else if (joins_after) {
        gaps[low].offset = p->offset;
        gaps[low].bytes += p->bytes;
    } else {
        memmove(&gaps[low + 1], &gaps[low], (*n - low) * sizeof *gaps);
        gaps[low] = (gap){p->offset, p->bytes};
        ++*n;
    }
}

/* `by_end` has space for n pointers, `gaps` for n + 1 gaps. */
static bool place_in_time(piece *pieces, size_t n, const piece **by_end, gap *gaps, size_t *end) {
    size_t n_gaps = 0, ended = 0;
    qsort(pieces, n, sizeof *pieces, earlier_first);
    for (size_t i = 0; i < n; i++) by_end[i] = &pieces[i];
    qsort(by_end, n, sizeof *by_end, ends_first);
    for (size_t i = 0; i < n; i++) {
        piece *me = &pieces[i];
        size_t k = 0;
        for (; ended < n && by_end[ended]->last < me->first; ended++) give_back(gaps, &n_gaps, by_end[ended]);
        while (k < n_gaps && gaps[k].bytes < me->bytes) k++;
        if (k < n_gaps) {
            me->offset = gaps[k].offset;
            gaps[k].offset += me->bytes;
            gaps[k].bytes -= me->bytes;
            if (gaps[k].bytes == 0) {
                memmove(&gaps[k], &gaps[k + 1], (n_gaps - k - 1) * sizeof *gaps);
                n_gaps--;
            }
            continue;
        }
        /* A gap at the end grows. */
        const bool open = n_gaps && gaps[n_gaps - 1].offset + gaps[n_gaps - 1].bytes == *end;
        me->offset = open ? gaps[--n_gaps].offset : *end;
        if (!skv_add_size(me->offset, me->bytes, end)) return false;
    }
    return true;
}

skive_status skv_pieces_pack(skive_context *ctx, skv_piece *given, size_t n, size_t align, size_t *bytes) {
    piece *pieces = NULL;
    const piece **alive = NULL;
    gap *gaps = NULL;
    size_t end = 0;
    bool fits = true;
    skive_status status;
    *bytes = 0;
    SKV_GO(status, done, skv_alloc_array(ctx, n + 1, sizeof *pieces, &pieces));
    SKV_GO(status, done, skv_alloc_array(ctx, n + 1, sizeof *alive, &alive));
    for (size_t i = 0; i < n; i++)
        pieces[i] = (piece){.bytes = skv_align_up(given[i].bytes ? given[i].bytes : 1, align),
                            .slot = (uint32_t)i,
                            .first = given[i].first,
                            .last = given[i].last};
    if (n > MANY) {
        SKV_GO(status, done, skv_alloc_array(ctx, n + 1, sizeof *gaps, &gaps));
        fits = place_in_time(pieces, n, alive, gaps, &end);
    } else {
        qsort(pieces, n, sizeof *pieces, larger_first);
        for (size_t i = 0; fits && i < n; i++) fits = place_one(pieces, i, alive, &end);
    }
    if (!fits) {
        status = SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "the model's activations do not fit into memory");
        goto done;
    }
    for (size_t i = 0; i < n; i++) given[pieces[i].slot].offset = pieces[i].offset;
    *bytes = end;
done:
    skv_free(ctx, pieces);
    skv_free(ctx, alive);
    skv_free(ctx, gaps);
    return status;
}
