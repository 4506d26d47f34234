/* Names of values or of nodes: an open-addressing hash with linear probing, at most half full. */
#include <string.h>

#include "graph/internal.h"

typedef struct names {
    void **slots; /* NULL: free */
    size_t capacity, count;
    size_t name_at; /* where in an item its name stands */
} names;

enum { FIRST_CAPACITY = 64 };

static size_t start_of(const names *x, const char *name) {
    return (size_t)skv_hash64(name, strlen(name), 0) & (x->capacity - 1);
}

static const char *name_of(const names *x, const void *item) {
    const char *name;
    memcpy(&name, (const char *)item + x->name_at, sizeof name);
    return name;
}

skive_status skv_names_create(skive_context *ctx, size_t name_at, void **out) {
    names *x = NULL;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *x, &x));
    const skive_status status = skv_alloc_array(ctx, FIRST_CAPACITY, sizeof *x->slots, &x->slots);
    if (status != SKIVE_OK) {
        skv_free(ctx, x);
        return status;
    }
    x->capacity = FIRST_CAPACITY;
    x->name_at = name_at;
    *out = x;
    return SKIVE_OK;
}

void skv_names_free(skive_context *ctx, void *index) {
    names *x = index;
    if (!x) return;
    skv_free(ctx, x->slots);
    skv_free(ctx, x);
}

void skv_names_insert(void *index, void *item) {
    names *x = index;
    size_t i = start_of(x, name_of(x, item));
    while (x->slots[i]) i = (i + 1) & (x->capacity - 1);
    x->slots[i] = item;
    x->count++;
}

skive_status skv_names_reserve(skive_context *ctx, void *index) {
    names *x = index;
    if (2 * (x->count + 1) <= x->capacity) return SKIVE_OK;
    names bigger = {.capacity = x->capacity * 2, .name_at = x->name_at};
    SKV_TRY(skv_alloc_array(ctx, bigger.capacity, sizeof *bigger.slots, &bigger.slots));
    for (size_t i = 0; i < x->capacity; i++) {
        if (x->slots[i]) skv_names_insert(&bigger, x->slots[i]);
    }
    skv_free(ctx, x->slots);
    *x = bigger;
    return SKIVE_OK;
}

void *skv_names_find(const void *index, const char *name) {
    const names *x = index;
    for (size_t i = start_of(x, name); x->slots[i]; i = (i + 1) & (x->capacity - 1)) {
        if (strcmp(name_of(x, x->slots[i]), name) == 0) return x->slots[i];
    }
    return NULL;
}

void skv_names_remove(void *index, const void *item) {
    names *x = index;
    const size_t mask = x->capacity - 1;
    size_t i = start_of(x, name_of(x, item));
    while (x->slots[i] && x->slots[i] != item) i = (i + 1) & mask;
    if (!x->slots[i]) return;
    x->slots[i] = NULL;
    x->count--;
    /* What was pushed past the hole is put where a search finds it again. */
    for (i = (i + 1) & mask; x->slots[i]; i = (i + 1) & mask) {
        void *moved = x->slots[i];
        x->slots[i] = NULL;
        x->count--;
        skv_names_insert(x, moved);
    }
}
