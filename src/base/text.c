/* Growing strings: append as with printf, check the status once at the end. */
#include <stdio.h>
#include <string.h>

#include "base/context.h"

void skv_text_init(skv_text *t, skive_context *ctx) {
    *t = (skv_text){.ctx = ctx, .data = NULL, .length = 0, .capacity = 0, .status = SKIVE_OK};
}

static void reserve(skv_text *t, size_t more) {
    size_t need, capacity;
    if (!skv_add_size(t->length, more, &need) || !skv_add_size(need, 1, &need) || need > SIZE_MAX / 2) {
        t->status = SKV_FAIL(t->ctx, SKIVE_ERR_MEMORY, "out of memory: a string grew too long");
        return;
    }
    if (need <= t->capacity) return;
    capacity = t->capacity ? t->capacity : 128;
    while (capacity < need) capacity *= 2;
    t->status = skv_grow(t->ctx, &t->data, t->length, capacity, 1);
    if (t->status == SKIVE_OK) t->capacity = capacity;
}

void skv_text_add(skv_text *t, const char *format, ...) {
    if (t->status != SKIVE_OK) return;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) {
        t->status = SKV_FAIL(t->ctx, SKIVE_ERR_INTERNAL, "a string could not be formatted");
    } else {
        reserve(t, (size_t)length);
    }
    if (t->status == SKIVE_OK) {
        (void)vsnprintf(t->data + t->length, t->capacity - t->length, format, again);
        t->length += (size_t)length;
    }
    va_end(again);
}

void skv_text_free(skv_text *t) {
    skv_free(t->ctx, t->data);
    skv_text_init(t, t->ctx);
}

void skv_text_add_escaped(skv_text *t, const char *line) {
    for (const char *c = line; *c; c++) {
        if (*c == '\n' || *c == '\\')
            skv_text_add(t, "\\%c", *c == '\n' ? 'n' : '\\');
        else
            skv_text_add(t, "%c", *c);
    }
}

skive_status skv_text_note_once(skv_text *t) {
    bool told = t->status != SKIVE_OK || !t->length;
    for (size_t i = 0; !told && i < skive_context_note_count(t->ctx); i++)
        told = strcmp(skive_context_note(t->ctx, i), t->data) == 0;
    if (!told) skv_note(t->ctx, "%s", t->data);
    const skive_status status = t->status;
    skv_text_free(t);
    return status;
}
