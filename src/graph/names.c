/* Names of values: an open-addressing hash with linear probing, at most half full. */
#include <string.h>

#include "graph/internal.h"

typedef struct names {
    skive_value **slots; /* NULL: free */
    size_t capacity, count;
} names;

enum { FIRST_CAPACITY = 64 };

static size_t start_of(const names *x, const char *name) {
    return (size_t)skv_hash64(name, strlen(name), 0) & (x->capacity - 1);
}

skive_status skv_names_create(skive_context *ctx, void **out) {
    names *x = NULL;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *x, &x));
    const skive_status status = skv_alloc_array(ctx, FIRST_CAPACITY, sizeof *x->slots, &x->slots);
    if (status != SKIVE_OK) {
        skv_free(ctx, x);
        return status;
    }
    x->capacity = FIRST_CAPACITY;
    *out = x;
    return SKIVE_OK;
}

void skv_names_free(skive_context *ctx, void *index) {
    names *x = index;
    if (!x) return;
    skv_free(ctx, x->slots);
    skv_free(ctx, x);
}

void skv_names_insert(void *index, skive_value *v) {
    names *x = index;
    size_t i = start_of(x, v->name);
    while (x->slots[i]) i = (i + 1) & (x->capacity - 1);
    x->slots[i] = v;
    x->count++;
}

skive_status skv_names_reserve(skive_context *ctx, void *index) {
    names *x = index;
    if (2 * (x->count + 1) <= x->capacity) return SKIVE_OK;
    names bigger = {.capacity = x->capacity * 2};
    SKV_TRY(skv_alloc_array(ctx, bigger.capacity, sizeof *bigger.slots, &bigger.slots));
    for (size_t i = 0; i < x->capacity; i++) {
        if (x->slots[i]) skv_names_insert(&bigger, x->slots[i]);
    }
    skv_free(ctx, x->slots);
    *x = bigger;
    return SKIVE_OK;
}

skive_value *skv_names_find(const void *index, const char *name) {
    const names *x = index;
    for (size_t i = start_of(x, name); x->slots[i]; i = (i + 1) & (x->capacity - 1)) {
        if (strcmp(x->slots[i]->name, name) == 0) return x->slots[i];
    }
    return NULL;
}

void skv_names_remove(void *index, const skive_value *v) {
    names *x = index;
    const size_t mask = x->capacity - 1;
    size_t i = start_of(x, v->name);
    while (x->slots[i] && x->slots[i] != v) i = (i + 1) & mask;
    if (!x->slots[i]) return;
    x->slots[i] = NULL;
    x->count--;
    /* What was pushed past the hole is put where a search finds it again. */
    for (i = (i + 1) & mask; x->slots[i]; i = (i + 1) & mask) {
        skive_value *moved = x->slots[i];
        x->slots[i] = NULL;
        x->count--;
        skv_names_insert(x, moved);
    }
}
