/* See fuzz.h. */
#include "fuzz.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct budget {
    size_t used, limit;
    long blocks;
} budget;

static budget memory; /* one input at a time, on one thread */

static void *limited_alloc(void *user, size_t size) {
    budget *b = user;
    if (size > b->limit || b->used > b->limit - size) return NULL;
    void *block = NULL;
    if (posix_memalign(&block, 64, size ? size : 1) != 0) return NULL;
    b->used += malloc_usable_size(block);
    b->blocks++;
    return block;
}

static void limited_free(void *user, void *pointer) {
    budget *b = user;
    b->used -= malloc_usable_size(pointer);
    b->blocks--;
    free(pointer);
}

skive_context *fuzz_context(size_t limit) {
    memory = (budget){.limit = limit};
    skive_context_options options = skive_context_options_default();
    options.allocator = (skive_allocator){.alloc = limited_alloc, .free = limited_free, .user = &memory};
    options.threads = 1;
    options.seed = 1;
    skive_context *ctx = NULL;
    if (skive_context_create(&options, &ctx) != SKIVE_OK) abort();
    return ctx;
}

void fuzz_context_end(skive_context *ctx) {
    skive_context_free(ctx);
    if (memory.blocks == 0) return;
    fprintf(stderr, "%ld blocks were not freed\n", memory.blocks);
    abort();
}

const char *fuzz_file(int slot, const uint8_t *data, size_t size) {
    static int files[2] = {-1, -1};
    static char paths[2][32];
    if (files[slot] < 0) {
        files[slot] = memfd_create("fuzz", 0);
        if (files[slot] < 0) abort();
        snprintf(paths[slot], sizeof paths[slot], "/proc/self/fd/%d", files[slot]);
    }
    if (ftruncate(files[slot], 0) != 0) abort();
    if (size && pwrite(files[slot], data, size, 0) != (ssize_t)size) abort();
    return paths[slot];
}

void fuzz_check_message(const skive_context *ctx, skive_status status) {
    const char *message = skive_context_message(ctx);
    if (status == SKIVE_OK || (*message && !strchr(message, '\n'))) return;
    fprintf(stderr, "status %d with the message \"%s\"\n", (int)status, message);
    abort();
}
