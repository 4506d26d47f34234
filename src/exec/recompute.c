/* Recomputation (gradient checkpointing: Chen et al. 2016): activations that only the backward pass still needs are
 * given up after the forward pass has used them, and computed again when the backward pass arrives there.
 *
 * The steps up to the loss are cut into segments that leave about the same number of bytes for the backward pass, each
 * cut placed where few bytes cross it. What crosses a cut is kept, and so are the graph's inputs and outputs. Before
 * the first backward step that reads a value given up in a segment, the steps of the segment that lead to such values
 * run once more, from what is kept, into slots of their own. The repeated steps are the same steps: same kernel, same
 * layouts, same random numbers, and therefore the same bits; their statistics, which are outputs of the first run, are
 * not looked at. The last segment is never repeated, since the backward pass begins with it.
 *
 * The number of segments is found by laying out the memory for several of them. */
#include <string.h>

#include <skive/memory.h>

#include "base/budget.h"
#include "exec/plan.h"

#define NEVER UINT32_MAX

/* Blocks on huge pages take more or less of this from one run to the next. */
#define UNEVEN ((uint64_t)4 << 20)

/* More segments cost at most one more forward pass, and save less and less. */
static const uint32_t numbers[] = {2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64};

typedef struct job {
    skive_plan *plan;
    skv_plan_step *steps; /* [n] the plan's own */
    uint32_t n, n_slots, turn /* steps up to the loss */, segments;
    uint32_t *made;      /* [n_slots] the step that writes it; NEVER: none */
    uint32_t *forward;   /* [n_slots] the last step before the turn that reads it; NEVER: none */
    bool *back;          /* [n_slots] read behind the turn */
    size_t *crossing;    /* [turn + 1] bytes that steps before it leave to steps from it on, before the turn */
    size_t *left;        /* [turn + 1] bytes that the steps before it leave to the backward pass */
    uint32_t *segment;   /* [turn] of a step */
    bool *repeated;      /* [segments] */
    uint32_t *again;     /* [n_slots] the slot that the repetition writes; NEVER: none */
    bool *needed;        /* [n_slots] by the repetition of a segment */
    uint32_t *new_place; /* [n] of a step in the new list */
    int64_t macs;        /* of the repeated steps */
} job;

static bool gives_up(const job *j, uint32_t slot) {
    const skv_plan_slot *s = &j->plan->slots[slot];
    return s->kind == SKV_SLOT_ARENA && !s->pinned && j->made[slot] < j->turn;
}

/* ---- what there is ---- */

static uint32_t find_turn(const skive_plan *p) {
    const skive_value *loss = p->graph->n_outputs ? p->graph->outputs[0] : NULL;
    for (uint32_t i = 0; loss && i < p->n_steps; i++)
        if (!p->steps[i].is_reorder && p->steps[i].node == loss->producer) return i + 1;
    return 0;
}

static void look_at_uses(job *j) {
    for (uint32_t i = 0; i < j->n_slots; i++) j->made[i] = j->forward[i] = NEVER;
    for (uint32_t i = 0; i < j->n; i++) {
        const skv_plan_step *s = &j->steps[i];
        for (size_t k = 0; k < s->n_out; k++)
            if (s->out_slots[k] != SKV_NO_SLOT) j->made[s->out_slots[k]] = i;
        for (size_t k = 0; k < s->n_in; k++) {
            if (s->in_slots[k] == SKV_NO_SLOT) continue;
            if (i < j->turn)
                j->forward[s->in_slots[k]] = i;
            else
                j->back[s->in_slots[k]] = true;
        }
    }
    for (uint32_t i = 0; i < j->n_slots; i++) {
        if (!gives_up(j, i)) continue;
        const size_t bytes = j->plan->slots[i].bytes;
        if (j->back[i]) j->left[j->made[i] + 1] += bytes;
        for (uint32_t k = j->made[i] + 1; j->forward[i] != NEVER && k <= j->forward[i]; k++) j->crossing[k] += bytes;
    }
    for (uint32_t i = 0; i < j->turn; i++) j->left[i + 1] += j->left[i];
}

/* The place of a cut between `least` and `most` where the least crosses. */
static uint32_t best_cut(const job *j, uint32_t least, uint32_t most) {
    uint32_t best = least;
    for (uint32_t i = least; i <= most; i++)
        if (j->crossing[i] < j->crossing[best]) best = i;
    return best;
}

static void cut(job *j, uint32_t segments) {
    const double total = (double)j->left[j->turn];
    uint32_t at = 0, done = 0;
    for (uint32_t k = 1; k < segments; k++) {
        /* The cut may lie a third of a segment to either side of its place. */
        const double low = total * (k - 1.0 / 3) / segments, high = total * (k + 1.0 / 3) / segments;
        while (at < j->turn && (double)j->left[at] < low) at++;
        uint32_t end = at;
        while (end < j->turn && (double)j->left[end + 1] <= high) end++;
        const uint32_t place = best_cut(j, at, end);
        for (; done < place; done++) j->segment[done] = k - 1;
        at = place > at ? place : at;
    }
    for (; done < j->turn; done++) j->segment[done] = segments - 1;
    j->segments = segments;
}

/* ---- the new list of steps ---- */

static skive_status copy_slots(skv_arena *arena, const uint32_t *from, size_t n, uint32_t **to) {
    SKV_TRY(skv_arena_array(arena, n + 1, sizeof **to, to));
    if (n) memcpy(*to, from, n * sizeof **to);
    return SKIVE_OK;
}

static skive_status push(skive_plan *p, const skv_plan_step *s) {
    if (p->n_steps == p->steps_capacity) {
        const uint32_t capacity = p->steps_capacity ? p->steps_capacity * 2 : 64;
        SKV_TRY(skv_grow(p->ctx, &p->steps, p->n_steps, capacity, sizeof *p->steps));
        p->steps_capacity = capacity;
    }
    p->steps[p->n_steps++] = *s;
    return SKIVE_OK;
}

static skive_status slot_again(job *j, uint32_t slot) {
    skive_plan *p = j->plan;
    if (j->again[slot] != NEVER) return SKIVE_OK;
    if (p->n_slots == p->slots_capacity) {
        const uint32_t capacity = p->slots_capacity ? p->slots_capacity * 2 : 64;
        SKV_TRY(skv_grow(p->ctx, &p->slots, p->n_slots, capacity, sizeof *p->slots));
        p->slots_capacity = capacity;
    }
    j->again[slot] = p->n_slots;
    p->slots[p->n_slots] = (skv_plan_slot){.kind = SKV_SLOT_ARENA, .bytes = p->slots[slot].bytes, .alias = p->n_slots};
    p->n_slots++;
    return SKIVE_OK;
}

/* Is the value still there behind the turn? */
static bool is_kept(const job *j, uint32_t slot) {
    if (!gives_up(j, slot)) return true;
    const uint32_t segment = j->segment[j->made[slot]];
    return segment + 1 == j->segments || (j->forward[slot] != NEVER && j->segment[j->forward[slot]] > segment);
}

static skive_status repeat_step(job *j, const skv_plan_step *s, skv_arena *arena) {
    skv_plan_step twin = *s;
    SKV_TRY(copy_slots(arena, s->in_slots, s->n_in, &twin.in_slots));
    SKV_TRY(copy_slots(arena, s->out_slots, s->n_out, &twin.out_slots));
    for (size_t k = 0; k < s->n_in; k++)
        if (s->in_slots[k] != SKV_NO_SLOT && !is_kept(j, s->in_slots[k])) twin.in_slots[k] = j->again[s->in_slots[k]];
    for (size_t k = 0; k < s->n_out; k++) {
        if (s->out_slots[k] == SKV_NO_SLOT) continue;
        SKV_TRY(slot_again(j, s->out_slots[k]));
        twin.out_slots[k] = j->again[s->out_slots[k]];
    }
    twin.is_repeated = true;
    twin.declined = NULL;
    j->macs += s->macs;
    return push(j->plan, &twin);
}

/* The steps of a segment that lead to what the backward pass reads of it. */
static skive_status repeat_segment(job *j, uint32_t segment, skv_arena *arena) {
    uint32_t first = 0, end;
    while (first < j->turn && j->segment[first] < segment) first++;
    for (end = first; end < j->turn && j->segment[end] == segment;) end++;
    bool *runs = NULL;
    SKV_TRY(skv_alloc_array(j->plan->ctx, (size_t)(end - first) + 1, sizeof *runs, &runs));
    for (uint32_t i = end; i-- > first;) {
        const skv_plan_step *s = &j->steps[i];
        for (size_t k = 0; k < s->n_out; k++) {
            const uint32_t out = s->out_slots[k];
            if (out != SKV_NO_SLOT && !is_kept(j, out) && (j->back[out] || j->needed[out])) runs[i - first] = true;
        }
        for (size_t k = 0; runs[i - first] && k < s->n_in; k++)
            if (s->in_slots[k] != SKV_NO_SLOT) j->needed[s->in_slots[k]] = true;
    }
    skive_status status = SKIVE_OK;
    for (uint32_t i = first; i < end && status == SKIVE_OK; i++)
        if (runs[i - first]) status = repeat_step(j, &j->steps[i], arena);
    skv_free(j->plan->ctx, runs);
    j->repeated[segment] = true;
    return status;
}

static skive_status backward_step(job *j, const skv_plan_step *s, skv_arena *arena) {
    skv_plan_step moved = *s;
    bool changed = false;
    for (size_t k = 0; k < s->n_in; k++) {
        const uint32_t in = s->in_slots[k];
        if (in == SKV_NO_SLOT || is_kept(j, in)) continue;
        if (!j->repeated[j->segment[j->made[in]]]) SKV_TRY(repeat_segment(j, j->segment[j->made[in]], arena));
        if (!changed) SKV_TRY(copy_slots(arena, s->in_slots, s->n_in, &moved.in_slots));
        changed = true;
        moved.in_slots[k] = j->again[in];
    }
    return push(j->plan, &moved);
}

/* The plan's list becomes that of so many segments. */
static skive_status make(job *j, uint32_t segments, skv_arena *arena) {
    skive_plan *p = j->plan;
    p->n_steps = 0;
    p->n_slots = j->n_slots;
    j->macs = 0;
    memset(j->repeated, 0, segments * sizeof *j->repeated);
    memset(j->needed, 0, j->n_slots * sizeof *j->needed);
    for (uint32_t i = 0; i < j->n_slots; i++) j->again[i] = NEVER;
    cut(j, segments);
    for (uint32_t i = 0; i < j->n; i++) {
        if (i < j->turn)
            SKV_TRY(push(p, &j->steps[i]));
        else
            SKV_TRY(backward_step(j, &j->steps[i], arena));
        j->new_place[i] = p->n_steps - 1;
    }
    return skv_plan_measure(p);
}

/* ---- the search ---- */

static skive_status start(job *j) {
    skive_context *ctx = j->plan->ctx;
    SKV_TRY(skv_alloc_array(ctx, (size_t)j->n_slots + 1, sizeof *j->made, &j->made));
    SKV_TRY(skv_alloc_array(ctx, (size_t)j->n_slots + 1, sizeof *j->forward, &j->forward));
    SKV_TRY(skv_alloc_array(ctx, (size_t)j->n_slots + 1, sizeof *j->back, &j->back));
    SKV_TRY(skv_alloc_array(ctx, (size_t)j->n_slots + 1, sizeof *j->again, &j->again));
    SKV_TRY(skv_alloc_array(ctx, (size_t)j->n_slots + 1, sizeof *j->needed, &j->needed));
    SKV_TRY(skv_alloc_array(ctx, (size_t)j->n + 1, sizeof *j->new_place, &j->new_place));
    SKV_TRY(skv_alloc_array(ctx, (size_t)j->turn + 2, sizeof *j->crossing, &j->crossing));
    SKV_TRY(skv_alloc_array(ctx, (size_t)j->turn + 2, sizeof *j->left, &j->left));
    SKV_TRY(skv_alloc_array(ctx, (size_t)j->turn + 1, sizeof *j->segment, &j->segment));
    SKV_TRY(skv_alloc_array(ctx, numbers[SKV_COUNT(numbers) - 1], sizeof *j->repeated, &j->repeated));
    look_at_uses(j);
    return SKIVE_OK;
}

/* The number of segments: with `least` that of the smallest arena, otherwise the first that fits into `room`, or else
 * that of the smallest. 0: no number makes the arena smaller. */
static skive_status search(job *j, bool least, size_t room, uint32_t *out) {
    skive_plan *p = j->plan;
    size_t smallest = p->arena_bytes;
    *out = 0;
    for (size_t i = 0; i < SKV_COUNT(numbers) && numbers[i] <= j->turn; i++) {
        skv_arena *arena = NULL;
        SKV_TRY(skv_arena_create(p->ctx, &arena));
        const skive_status status = make(j, numbers[i], arena);
        skv_arena_free(arena);
        SKV_TRY(status);
        if (p->arena_bytes >= smallest) continue;
        smallest = p->arena_bytes;
        *out = numbers[i];
        if (!least && smallest <= room) break;
    }
    return SKIVE_OK;
}

static skive_status plan_again(job *j, bool least, size_t room, uint32_t *segments) {
    skive_plan *p = j->plan;
    SKV_TRY(start(j));
    p->steps = NULL;
    p->n_steps = p->steps_capacity = 0;
    skive_status status = search(j, least, room, segments);
    if (status == SKIVE_OK && *segments) status = make(j, *segments, p->arena);
    if (status == SKIVE_OK && *segments) {
        for (uint32_t i = 0; i < p->n_taps; i++)
            if (j->n) p->taps[i].step = j->new_place[p->taps[i].step];
        skv_free(p->ctx, j->steps);
        return SKIVE_OK;
    }
    skv_free(p->ctx, p->steps);
    p->steps = j->steps;
    p->n_steps = p->steps_capacity = j->n;
    p->n_slots = j->n_slots;
    return status;
}

static void free_job(job *j) {
    skive_context *ctx = j->plan->ctx;
    skv_free(ctx, j->made);
    skv_free(ctx, j->forward);
    skv_free(ctx, j->back);
    skv_free(ctx, j->again);
    skv_free(ctx, j->needed);
    skv_free(ctx, j->new_place);
    skv_free(ctx, j->crossing);
    skv_free(ctx, j->left);
    skv_free(ctx, j->segment);
    skv_free(ctx, j->repeated);
}

static size_t room_of(const skive_context *ctx) {
    const uint64_t limit = skive_context_memory_limit(ctx), used = skive_context_memory_used(ctx);
    return limit == 0 ? SIZE_MAX : limit > used ? (size_t)(limit - used) : 0;
}

skive_status skv_plan_recompute(skive_plan *p, bool always, size_t reserve) {
    const size_t all = room_of(p->ctx), room = all == SIZE_MAX ? all : all > reserve ? all - reserve : 0;
    SKV_TRY(skv_plan_measure(p));
    const size_t before = p->arena_bytes;
    job j = {.plan = p, .steps = p->steps, .n = p->n_steps, .n_slots = p->n_slots, .turn = find_turn(p)};
    uint32_t segments = 0;
    if (!always && before <= room) return SKIVE_OK;
    if (j.turn >= 2) {
        const skive_status status = plan_again(&j, always, room, &segments);
        free_job(&j);
        SKV_TRY(status);
    }
    SKV_TRY(skv_plan_measure(p));
    p->recomputed = (skive_recomputation){.segments = segments, .bytes_before = before, .bytes = p->arena_bytes};
    if (segments) p->recomputed.macs = j.macs;
    if (p->arena_bytes <= room) return SKIVE_OK;
    const size_t mib = (size_t)1 << 20;
    const uint64_t least = skive_context_memory_used(p->ctx) + reserve + p->arena_bytes + UNEVEN;
    return SKV_FAIL(
        p->ctx, SKIVE_ERR_LIMIT,
        "a training step needs %zu MiB for its values, %zu MiB where they are computed again as far as that "
        "helps, which is more than the memory limit leaves (option --memory): %llu MiB suffice; "
        "a smaller --batch needs less",
        (before + mib - 1) / mib, (p->arena_bytes + mib - 1) / mib, (unsigned long long)((least + mib - 1) / mib));
}
