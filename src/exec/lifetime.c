/* Memory: the lifetimes of slots follow from the steps; a result that may be computed in place shares its input's
 * memory; the rest is packed into one arena, largest first, each at the lowest offset that is free during its lifetime
 * (the greedy-by-size strategy of Pisarchyk & Lee, 2020). */
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "exec/plan.h"

enum { ALIGN = 64 };

static uint32_t root(const skive_plan *p, uint32_t slot) {
    while (p->slots[slot].alias != slot) slot = p->slots[slot].alias;
    return slot;
}

static void touch(skive_plan *p, uint32_t slot, uint32_t step) {
    if (slot == SKV_NO_SLOT) return;
    skv_plan_slot *s = &p->slots[slot];
    if (step < s->first) s->first = step;
    if (step > s->last) s->last = step;
}

static void find_lifetimes(skive_plan *p) {
    for (uint32_t i = 0; i < p->n_steps; i++) {
        const skv_plan_step *s = &p->steps[i];
        for (size_t k = 0; k < s->n_in; k++) touch(p, s->in_slots[k], i);
        for (size_t k = 0; k < s->n_out; k++) touch(p, s->out_slots[k], i);
    }
    for (uint32_t i = 0; i < p->n_taps; i++) touch(p, p->taps[i].slot, p->taps[i].step);
    for (uint32_t i = 0; i < p->n_slots; i++) {
        if (p->slots[i].pinned) touch(p, i, p->n_steps);
    }
    /* Values written before a run are alive from its start, and are still valid in a second run. */
    for (size_t i = 0; i < p->graph->n_inputs; i++) p->slots[p->input_slots[i]].first = 0;
}

static void share_in_place(skive_plan *p) {
    for (uint32_t i = 0; i < p->n_steps; i++) {
        const skv_plan_step *s = &p->steps[i];
        if (s->is_reorder || !s->kernel.in_place || s->out_slots[0] == SKV_NO_SLOT) continue;
        skv_plan_slot *out = &p->slots[s->out_slots[0]];
        for (uint32_t k = 0; k < s->n_in && k < 32; k++) {
            if (!(s->kernel.in_place >> k & 1u) || s->in_slots[k] == SKV_NO_SLOT) continue;
            const uint32_t r = root(p, s->in_slots[k]);
            skv_plan_slot *in = &p->slots[r];
            if (in->kind != SKV_SLOT_ARENA || in->pinned || in->last != i || in->bytes != out->bytes) continue;
            bool twice = false; /* another input in the same memory would be overwritten while it is read */
            for (uint32_t j = 0; j < s->n_in; j++) {
                twice = twice || (j != k && s->in_slots[j] != SKV_NO_SLOT && root(p, s->in_slots[j]) == r);
            }
            if (twice) continue;
            out->alias = r;
            in->last = out->last;
            in->pinned = out->pinned;
            break;
        }
    }
}

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

skive_status skv_plan_too_large(skive_context *ctx, const skive_plan *p, skive_status status) {
    const skive_node *node = NULL;
    size_t most = 0;
    for (uint32_t i = 0; i < p->n_steps; i++) {
        for (size_t k = 0; k < p->steps[i].n_out; k++) {
            const uint32_t slot = p->steps[i].out_slots[k];
            if (slot == SKV_NO_SLOT || p->slots[slot].bytes <= most) continue;
            most = p->slots[slot].bytes;
            node = p->steps[i].node;
        }
    }
    const skive_value *input = NULL;
    for (uint32_t i = 0; i < p->graph->n_inputs; i++) {
        const size_t bytes = p->slots[p->input_slots[i]].bytes;
        if (bytes <= most) continue;
        most = bytes;
        input = p->graph->inputs[i];
    }
    if (input)
        return skv_fail_prefix(ctx, status, "values of one run (the largest, %zu bytes, is the input '%s')", most,
                               input->name);
    if (!node) return status;
    return skv_fail_prefix(ctx, status, "values of one run (the largest, %zu bytes, is an output of node '%s', %s)",
                           most, node->name, node->op_type);
}

/* A plan that exceeds the limit is refused here and not only when a run begins. */
static skive_status check_size(const skive_plan *p) {
    const skive_status status = skv_budget_check(p->ctx, p->arena_bytes);
    return status == SKIVE_OK ? SKIVE_OK : skv_plan_too_large(p->ctx, p, status);
}

skive_status skv_plan_lay_out(skive_plan *p) {
    piece *pieces = NULL;
    const piece **alive = NULL;
    gap *gaps = NULL;
    size_t n = 0, end = 0, scratch = 0;
    skive_status status;
    find_lifetimes(p);
    share_in_place(p);
    SKV_GO(status, done, skv_alloc_array(p->ctx, (size_t)p->n_slots + 1, sizeof *pieces, &pieces));
    SKV_GO(status, done, skv_alloc_array(p->ctx, (size_t)p->n_slots + 1, sizeof *alive, &alive));
    for (uint32_t i = 0; i < p->n_slots; i++) {
        const skv_plan_slot *s = &p->slots[i];
        if (s->kind != SKV_SLOT_ARENA || s->alias != i) continue;
        pieces[n++] = (piece){
            .bytes = skv_align_up(s->bytes ? s->bytes : 1, ALIGN), .slot = i, .first = s->first, .last = s->last};
    }
    bool fits = true;
    if (n > MANY) {
        SKV_GO(status, done, skv_alloc_array(p->ctx, n + 1, sizeof *gaps, &gaps));
        fits = place_in_time(pieces, n, alive, gaps, &end);
    } else {
        qsort(pieces, n, sizeof *pieces, larger_first);
        for (size_t i = 0; fits && i < n; i++) fits = place_one(pieces, i, alive, &end);
    }
    if (!fits) {
        status = SKV_FAIL(p->ctx, SKIVE_ERR_LIMIT, "the model's activations do not fit into memory");
        goto done;
    }
    for (size_t i = 0; i < n; i++) p->slots[pieces[i].slot].offset = pieces[i].offset;
    for (uint32_t i = 0; i < p->n_slots; i++) p->slots[i].offset = p->slots[root(p, i)].offset;
    for (uint32_t i = 0; i < p->n_steps; i++) {
        if (p->steps[i].kernel.scratch_bytes > scratch) scratch = p->steps[i].kernel.scratch_bytes;
    }
    p->scratch_offset = end;
    if (!skv_add_size(end, skv_align_up(scratch, ALIGN), &p->arena_bytes)) {
        status = SKV_FAIL(p->ctx, SKIVE_ERR_LIMIT, "the model's scratch memory does not fit");
    }
    if (status == SKIVE_OK) status = check_size(p);
done:
    skv_free(p->ctx, pieces);
    skv_free(p->ctx, alive);
    skv_free(p->ctx, gaps);
    return status;
}
