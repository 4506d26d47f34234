/* Reading a whole file, and writing one in a single call. Pipes and devices are read to their end. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/context.h"

static skive_status too_large(skive_context *ctx, const char *path, size_t limit) {
    return skv_fail_at(ctx, SKIVE_ERR_LIMIT, path, "%s: larger than the limit of %zu bytes for a file of its kind",
                       path, limit);
}

/* Reads until the end of the file. `guess` is what fstat said, and may be wrong or 0. */
static skive_status read_all(skive_context *ctx, const char *path, int fd, size_t guess, size_t limit, void **out,
                             size_t *out_size) {
    size_t size = 0, capacity = guess + 1; /* one more, to meet the end without growing; it holds a final NUL too */
    unsigned char *data = NULL;
    skive_status status;
    if (guess == 0) capacity = 65536;
    SKV_GO(status, fail, skv_alloc(ctx, capacity, &data));
    for (;;) {
        if (size == capacity) {
            if (capacity > SIZE_MAX / 2) {
                status = too_large(ctx, path, SIZE_MAX / 2);
                goto fail;
            }
            SKV_GO(status, fail, skv_grow(ctx, &data, size, capacity * 2, 1));
            capacity *= 2;
        }
        size_t chunk = capacity - size;
        if (chunk > (size_t)1 << 30) chunk = (size_t)1 << 30;
        ssize_t got = read(fd, data + size, chunk);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            status = skv_fail_errno(ctx, path, "read", errno);
            goto fail;
        }
        if (got == 0) break;
        size += (size_t)got;
        if (limit && size > limit) {
            status = too_large(ctx, path, limit);
            goto fail;
        }
    }
    data[size] = '\0'; /* size < capacity: the loop ends only after a read with room left */
    *out = data;
    *out_size = size;
    return SKIVE_OK;
fail:
    skv_free(ctx, data);
    return status;
}

skive_status skv_file_read(skive_context *ctx, const char *path, size_t limit, void **out, size_t *out_size) {
    struct stat st;
    skive_status status;
    *out = NULL;
    *out_size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return skv_fail_errno(ctx, path, "open", errno);
    if (fstat(fd, &st) != 0) {
        status = skv_fail_errno(ctx, path, "read", errno);
    } else if (S_ISDIR(st.st_mode)) {
        status = skv_fail_errno(ctx, path, "read", EISDIR);
    } else {
        size_t guess = S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size : 0;
        if (limit && guess > limit)
            status = too_large(ctx, path, limit);
        else
            status = read_all(ctx, path, fd, guess, limit, out, out_size);
    }
    (void)close(fd);
    return status;
}

skive_status skv_file_write(skive_context *ctx, const char *path, const void *bytes, size_t n) {
    skv_writer *w = NULL;
    SKV_TRY(skv_writer_open(ctx, path, &w));
    skive_status status = skv_writer_write(w, bytes, n);
    if (status != SKIVE_OK) {
        skv_writer_abort(w);
        return status;
    }
    return skv_writer_commit(w);
}
