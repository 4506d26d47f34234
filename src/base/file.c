/* Reading a whole file, and writing one in a single call. Every file that a user names is opened here: only regular
 * ones are read, since a pipe may never end or never begin, and a device may do anything. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/context.h"
#include "base/file.h"

static skive_status too_large(skive_context *ctx, const char *path, size_t limit) {
    return skv_fail_at(ctx, SKIVE_ERR_LIMIT, path, "%s: larger than the limit of %zu bytes for a file of its kind",
                       path, limit);
}

/* Reads until the end of the file. `guess` is what fstat said, and may be wrong or 0. */
static skive_status read_all(skive_context *ctx, const char *path, int fd, size_t guess, size_t limit, void **out,
                             size_t *out_size) {
    size_t size = 0, capacity = guess + 1; /* one more, to detect the end without growing; also for a final NUL */
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

static const char *kind_of(mode_t mode) {
    return S_ISFIFO(mode)   ? "it is a pipe, not a regular file"
           : S_ISSOCK(mode) ? "it is a socket, not a regular file"
           : S_ISCHR(mode)  ? "it is a device, not a regular file"
           : S_ISBLK(mode)  ? "it is a disk device, not a regular file"
                            : "it is not a regular file";
}

/* Checked before it is opened, since opening alone may activate a device, and again afterwards, since the name may
 * refer to another file by then. O_NONBLOCK: no waiting for the other end of a pipe. */
static int open_regular(const char *path, struct stat *st, const char **kind) {
    *kind = NULL;
    if (stat(path, st) != 0) return -1;
    if (S_ISREG(st->st_mode)) {
        const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0) return -1;
        if (fstat(fd, st) == 0 && S_ISREG(st->st_mode)) return fd;
        (void)close(fd);
    }
    *kind = kind_of(st->st_mode);
    return -1;
}

size_t skv_file_peek(const char *path, void *out, size_t n) {
    struct stat st;
    const char *kind;
    size_t have = 0;
    const int fd = open_regular(path, &st, &kind);
    if (fd < 0) return 0;
    while (have < n) {
        const ssize_t got = read(fd, (unsigned char *)out + have, n - have);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        have += (size_t)got;
    }
    (void)close(fd);
    return have;
}

skive_status skv_file_open(skive_context *ctx, const char *path, int *out, uint64_t *size) {
    struct stat st;
    const char *kind;
    *out = open_regular(path, &st, &kind);
    if (*out < 0 && kind && S_ISDIR(st.st_mode)) return skv_fail_errno(ctx, path, "read", EISDIR);
    if (*out < 0 && kind) return skv_fail_at(ctx, SKIVE_ERR_IO, path, "%s: cannot read: %s", path, kind);
    if (*out < 0) return skv_fail_errno(ctx, path, "open", errno);
    *size = st.st_size > 0 ? (uint64_t)st.st_size : 0;
    return SKIVE_OK;
}

void skv_file_close(int fd) {
    if (fd >= 0) (void)close(fd);
}

skive_status skv_file_read_at(skive_context *ctx, const char *path, int fd, uint64_t at, void *out, size_t n,
                              size_t *got) {
    *got = 0;
    while (*got < n) {
        const size_t chunk = n - *got < (size_t)1 << 30 ? n - *got : (size_t)1 << 30;
        const ssize_t now = pread(fd, (unsigned char *)out + *got, chunk, (off_t)(at + *got));
        if (now < 0 && errno == EINTR) continue;
        if (now < 0) return skv_fail_errno(ctx, path, "read", errno);
        if (now == 0) break;
        *got += (size_t)now;
    }
    return SKIVE_OK;
}

skive_status skv_file_read(skive_context *ctx, const char *path, size_t limit, void **out, size_t *out_size) {
    skive_status status;
    uint64_t size;
    int fd;
    *out = NULL;
    *out_size = 0;
    SKV_TRY(skv_file_open(ctx, path, &fd, &size));
    if (size > SIZE_MAX / 2 || (limit && size > limit))
        status = too_large(ctx, path, limit ? limit : SIZE_MAX / 2);
    else
        status = read_all(ctx, path, fd, (size_t)size, limit, out, out_size);
    skv_file_close(fd);
    return status;
}

/* ---- reading at any place ---- */

struct skv_reader {
    skive_context *ctx;
    int fd;
    uint64_t size;
    char *path;
};

skive_status skv_reader_open(skive_context *ctx, const char *path, skv_reader **out) {
    struct stat st;
    const char *kind;
    skv_reader *r = NULL;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *r, &r));
    r->ctx = ctx;
    r->fd = open_regular(path, &st, &kind);
    skive_status status = SKIVE_OK;
    if (r->fd < 0 && kind && S_ISDIR(st.st_mode))
        status = skv_fail_errno(ctx, path, "read", EISDIR);
    else if (r->fd < 0 && kind)
        status = skv_fail_at(ctx, SKIVE_ERR_IO, path, "%s: cannot read: %s", path, kind);
    else if (r->fd < 0)
        status = skv_fail_errno(ctx, path, "open", errno);
    if (status == SKIVE_OK) status = skv_strdup(ctx, path, &r->path);
    if (status != SKIVE_OK) {
        skv_reader_close(r);
        return status;
    }
    r->size = st.st_size > 0 ? (uint64_t)st.st_size : 0;
    *out = r;
    return SKIVE_OK;
}

void skv_reader_close(skv_reader *r) {
    if (!r) return;
    if (r->fd >= 0) (void)close(r->fd);
    skv_free(r->ctx, r->path);
    skv_free(r->ctx, r);
}

const char *skv_reader_path(const skv_reader *r) { return r->path; }
uint64_t skv_reader_size(const skv_reader *r) { return r->size; }

skive_status skv_reader_at_with(skive_context *ctx, skv_reader *r, uint64_t offset, void *to, size_t n) {
    size_t have = 0;
    while (have < n) {
        const size_t chunk = n - have < ((size_t)1 << 30) ? n - have : (size_t)1 << 30;
        const ssize_t got = pread(r->fd, (unsigned char *)to + have, chunk, (off_t)(offset + have));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return skv_fail_errno(ctx, r->path, "read", errno);
        if (got == 0)
            return skv_fail_at(ctx, SKIVE_ERR_DATA, r->path, "%s: the file ends in the middle of what is read",
                               r->path);
        have += (size_t)got;
    }
    return SKIVE_OK;
}

skive_status skv_reader_at(skv_reader *r, uint64_t offset, void *to, size_t n) {
    return skv_reader_at_with(r->ctx, r, offset, to, n);
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

skive_status skive_file_write(skive_context *ctx, const char *path, const void *bytes, size_t n) {
    SKV_NEED(ctx, "ctx, path, bytes", ctx, path, bytes || !n);
    return skv_file_write(ctx, path, bytes, n);
}
