/* Arena: many zeroed pieces that are freed together.
 *
 * For small ones, blocks grow from 4 KB to 1 MB; a piece larger than a quarter of the next block gets a block of its
 * own, so that the space left in the current one is not lost. For large ones, blocks are several huge pages, so that
 * weights of less than one page lie in them too; unused space was never touched and takes no memory. */
#include <string.h>

#include "base/context.h"

enum { HEADER = 64, FIRST_BLOCK = 4096, LAST_BLOCK = 1 << 20, LARGE_BLOCK = 8 << 20 };

typedef struct arena_block {
    struct arena_block *next;
} arena_block;

struct skv_arena {
    skive_context *ctx;
    arena_block *blocks;
    unsigned char *free;
    size_t align, left, next_block, last_block, bytes;
};

static skive_status create(skive_context *ctx, size_t align, size_t first_block, size_t last_block, skv_arena **out) {
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof **out, out));
    (*out)->ctx = ctx;
    (*out)->align = align;
    (*out)->next_block = first_block;
    (*out)->last_block = last_block;
    return SKIVE_OK;
}

skive_status skv_arena_create(skive_context *ctx, skv_arena **out) {
    return create(ctx, 16, FIRST_BLOCK, LAST_BLOCK, out);
}

skive_status skv_arena_create_large(skive_context *ctx, skv_arena **out) {
    return create(ctx, 64, LARGE_BLOCK - HEADER, LARGE_BLOCK - HEADER, out);
}

void skv_arena_free(skv_arena *arena) {
    if (!arena) return;
    arena_block *block = arena->blocks;
    while (block) {
        arena_block *next = block->next;
        skv_free(arena->ctx, block);
        block = next;
    }
    skv_free(arena->ctx, arena);
}

static skive_status add_block(skv_arena *arena, size_t room, unsigned char **out) {
    size_t size;
    arena_block *block;
    if (!skv_add_size(room, HEADER, &size)) size = SIZE_MAX; /* fails below with the usual message */
    SKV_TRY(skv_alloc(arena->ctx, size, &block));
    block->next = arena->blocks;
    arena->blocks = block;
    arena->bytes += size;
    *out = (unsigned char *)block + HEADER;
    return SKIVE_OK;
}

skive_status skv_arena_alloc(skv_arena *arena, size_t size, void *out_pointer) {
    unsigned char *piece = NULL;
    memcpy(out_pointer, &piece, sizeof piece);
    if (size == 0) size = 1;
    if (size > SIZE_MAX - arena->align) {
        return SKV_FAIL(arena->ctx, SKIVE_ERR_MEMORY, "out of memory: cannot allocate %zu bytes", size);
    }
    size_t need = skv_align_up(size, arena->align);
    if (need <= arena->left) {
        piece = arena->free;
    } else if (need > arena->next_block / 4) {
        SKV_TRY(add_block(arena, need, &piece));
        memset(piece, 0, size);
        memcpy(out_pointer, &piece, sizeof piece);
        return SKIVE_OK;
    } else {
        SKV_TRY(add_block(arena, arena->next_block, &piece));
        arena->left = arena->next_block;
        if (arena->next_block < arena->last_block) arena->next_block *= 2;
    }
    arena->free = piece + need;
    arena->left -= need;
    memset(piece, 0, size);
    memcpy(out_pointer, &piece, sizeof piece);
    return SKIVE_OK;
}

skive_status skv_arena_array(skv_arena *arena, size_t count, size_t size, void *out_pointer) {
    size_t bytes;
    if (!skv_mul_size(count, size, &bytes)) bytes = SIZE_MAX;
    return skv_arena_alloc(arena, bytes, out_pointer);
}

skive_status skv_arena_strndup(skv_arena *arena, const char *text, size_t length, const char **out) {
    size_t size;
    char *copy;
    *out = NULL;
    if (!skv_add_size(length, 1, &size)) size = SIZE_MAX;
    SKV_TRY(skv_arena_alloc(arena, size, &copy));
    if (length) memcpy(copy, text, length);
    *out = copy;
    return SKIVE_OK;
}

skive_status skv_arena_strdup(skv_arena *arena, const char *text, const char **out) {
    return skv_arena_strndup(arena, text, strlen(text), out);
}

size_t skv_arena_bytes(const skv_arena *arena) { return arena->bytes; }
