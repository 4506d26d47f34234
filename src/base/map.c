/* The bytes of a file, reference-counted. They are read, not mapped: if another program truncates a mapped file, access
 * to the missing pages ends the process with SIGBUS, and a library cannot require its caller to install a handler. */
#include <string.h>

#include "base/context.h"

struct skv_map {
    skive_context *ctx;
    atomic_size_t refs;
    void *bytes;
    size_t size;
};

skive_status skv_map_open(skive_context *ctx, const char *path, skv_map **out) {
    skv_map *map = NULL;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *map, &map));
    map->ctx = ctx;
    atomic_init(&map->refs, 1);
    const skive_status status = skv_file_read(ctx, path, 0, &map->bytes, &map->size);
    if (status != SKIVE_OK)
        skv_free(ctx, map);
    else
        *out = map;
    return status;
}

const unsigned char *skv_map_data(const skv_map *map) { return map->bytes; }

size_t skv_map_size(const skv_map *map) { return map->size; }

void skv_map_move(skv_map *map, size_t from, size_t bytes, size_t by) {
    unsigned char *at = (unsigned char *)map->bytes + from;
    memmove(at - by, at, bytes);
}

void skv_map_retain(skv_map *map) {
    if (map) atomic_fetch_add_explicit(&map->refs, 1, memory_order_relaxed);
}

void skv_map_release(skv_map *map) {
    if (!map || atomic_fetch_sub_explicit(&map->refs, 1, memory_order_acq_rel) != 1) return;
    skv_free(map->ctx, map->bytes);
    skv_free(map->ctx, map);
}
