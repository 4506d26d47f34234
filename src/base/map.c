/* A counted read-only memory map. What cannot be mapped (a pipe, an empty file) is read into memory instead, so that
 * callers need not care. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/context.h"

struct skv_map {
    skive_context *ctx;
    atomic_size_t refs;
    const unsigned char *data;
    size_t size;
    void *mapped; /* for munmap, or NULL */
    void *copy;   /* for skv_free, or NULL */
};

skive_status skv_map_open(skive_context *ctx, const char *path, skv_map **out) {
    struct stat st;
    skv_map *map = NULL;
    skive_status status = SKIVE_OK;
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* no waiting for a pipe that is reopened below */
    if (fd < 0) return skv_fail_errno(ctx, path, "open", errno);
    if (fstat(fd, &st) != 0) {
        status = skv_fail_errno(ctx, path, "read", errno);
        goto done;
    }
    if (S_ISDIR(st.st_mode)) {
        status = skv_fail_errno(ctx, path, "read", EISDIR);
        goto done;
    }
    SKV_GO(status, done, skv_alloc_array(ctx, 1, sizeof *map, &map));
    map->ctx = ctx;
    atomic_init(&map->refs, 1);
    if (S_ISREG(st.st_mode) && st.st_size > 0) {
        void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (at != MAP_FAILED) {
            map->mapped = at;
            map->data = at;
            map->size = (size_t)st.st_size;
            goto done;
        }
        if (errno != ENODEV) {
            status = skv_fail_errno(ctx, path, "map into memory", errno);
            goto done;
        }
    }
    SKV_GO(status, done, skv_file_read(ctx, path, 0, &map->copy, &map->size));
    map->data = map->copy;
done:
    (void)close(fd);
    if (status != SKIVE_OK)
        skv_free(ctx, map);
    else
        *out = map;
    return status;
}

const unsigned char *skv_map_data(const skv_map *map) { return map->data; }

size_t skv_map_size(const skv_map *map) { return map->size; }

void skv_map_retain(skv_map *map) {
    if (map) atomic_fetch_add_explicit(&map->refs, 1, memory_order_relaxed);
}

void skv_map_release(skv_map *map) {
    if (!map || atomic_fetch_sub_explicit(&map->refs, 1, memory_order_acq_rel) != 1) return;
    if (map->mapped) (void)munmap(map->mapped, map->size);
    skv_free(map->ctx, map->copy);
    skv_free(map->ctx, map);
}
