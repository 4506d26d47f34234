/* Distinct texts: an arena for the bytes and an open hash table for their numbers. */
#include "data/text/words.h"

#include <stdlib.h>
#include <string.h>

#include "base/option.h"

void skv_words_init(skv_words *w, skive_context *ctx) { *w = (skv_words){.ctx = ctx}; }

void skv_words_free(skv_words *w) {
    if (!w->ctx) return;
    skv_arena_free(w->arena);
    skv_free(w->ctx, w->list);
    skv_free(w->ctx, w->slots);
    *w = (skv_words){.ctx = w->ctx};
}

/* The slot of the text, or the free one where it would stand. */
static size_t slot_of(const skv_words *w, const char *text, size_t length) {
    size_t at = (size_t)skv_hash64(text, length, 0) & (w->n_slots - 1);
    while (w->slots[at]) {
        const skv_word *e = &w->list[w->slots[at] - 1];
        if (e->length == length && memcmp(e->text, text, length) == 0) break;
        at = (at + 1) & (w->n_slots - 1);
    }
    return at;
}

uint32_t skv_words_find(const skv_words *w, const char *text, size_t length) {
    if (!w->n_slots) return SKV_NO_WORD;
    const uint32_t found = w->slots[slot_of(w, text, length)];
    return found ? found - 1 : SKV_NO_WORD;
}

static skive_status rehash(skv_words *w, size_t n_slots) {
    uint32_t *slots = NULL;
    SKV_TRY(skv_alloc_array(w->ctx, n_slots, sizeof *slots, &slots));
    skv_free(w->ctx, w->slots);
    w->slots = slots;
    w->n_slots = n_slots;
    for (size_t i = 0; i < w->n; i++) w->slots[slot_of(w, w->list[i].text, w->list[i].length)] = (uint32_t)i + 1;
    return SKIVE_OK;
}

skive_status skv_words_add(skv_words *w, const char *text, size_t length, uint64_t count, uint32_t *number) {
    uint32_t found = skv_words_find(w, text, length);
    if (found == SKV_NO_WORD) {
        if (w->n >= UINT32_MAX / 4) return SKV_FAIL(w->ctx, SKIVE_ERR_LIMIT, "too many different texts");
        if (!w->arena) SKV_TRY(skv_arena_create(w->ctx, &w->arena));
        if (w->n == w->capacity) {
            const size_t more = w->capacity ? 2 * w->capacity : 16;
            SKV_TRY(skv_grow(w->ctx, &w->list, w->n, more, sizeof *w->list));
            w->capacity = more;
        }
        if (2 * (w->n + 1) > w->n_slots) SKV_TRY(rehash(w, w->n_slots ? 2 * w->n_slots : 32));
        skv_word *e = &w->list[w->n];
        *e = (skv_word){.length = length};
        SKV_TRY(skv_arena_strndup(w->arena, text, length, &e->text));
        w->slots[slot_of(w, text, length)] = (uint32_t)w->n + 1;
        found = (uint32_t)w->n++;
    }
    w->list[found].count += count;
    if (number) *number = found;
    return SKIVE_OK;
}

static int by_bytes(const void *a, const void *b) {
    const skv_word *x = a, *y = b;
    const size_t n = x->length < y->length ? x->length : y->length;
    const int order = n ? memcmp(x->text, y->text, n) : 0;
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static int by_value(const void *a, const void *b) {
    const skv_word *x = a, *y = b;
    double u = 0, v = 0;
    (void)skv_parse_number(x->text, x->length, &u);
    (void)skv_parse_number(y->text, y->length, &v);
    return u != v ? (u > v) - (u < v) : by_bytes(a, b);
}

static int by_count(const void *a, const void *b) {
    const skv_word *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : by_bytes(a, b);
}

static skive_status again(skv_words *w) { return w->n_slots ? rehash(w, w->n_slots) : SKIVE_OK; }

skive_status skv_words_sort(skv_words *w) {
    double value;
    bool numbers = w->n > 0;
    for (size_t i = 0; numbers && i < w->n; i++) numbers = skv_parse_number(w->list[i].text, w->list[i].length, &value);
    if (w->n) qsort(w->list, w->n, sizeof *w->list, numbers ? by_value : by_bytes);
    return again(w);
}

skive_status skv_words_rank(skv_words *w, size_t most, uint64_t least) {
    if (w->n) qsort(w->list, w->n, sizeof *w->list, by_count);
    if (w->n > most) w->n = most;
    while (w->n && w->list[w->n - 1].count < least) w->n--;
    return again(w);
}
