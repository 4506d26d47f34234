/* Appending records to a file. What a record's write leaves behind when the disk fills is cut off again, so that the
 * file always ends with a whole record; only a process that is killed can leave a part, which readers must skip. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

struct skv_appender {
    skive_context *ctx;
    char *path;
    int fd;
    bool regular;
};

skive_status skv_append_read(skive_context *ctx, const char *path, char **bytes, size_t *n) {
    struct stat st;
    void *data = NULL;
    *bytes = NULL;
    *n = 0;
    if (stat(path, &st) != 0 && errno == ENOENT) return SKIVE_OK;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return SKIVE_OK;
    SKV_TRY(skv_file_read(ctx, path, 0, &data, n));
    *bytes = data;
    return SKIVE_OK;
}

static skive_status open_file(skv_appender *a) {
    struct stat st;
    a->fd = open(a->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
    if (a->fd < 0) return skv_fail_errno(a->ctx, a->path, "write", errno);
    a->regular = fstat(a->fd, &st) == 0 && S_ISREG(st.st_mode);
    if (a->regular && flock(a->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return skv_fail_at(a->ctx, SKIVE_ERR_IO, a->path, "%s: cannot write: another process is writing to it",
                           a->path);
    return SKIVE_OK;
}

/* The lock is taken before the file is replaced, so that no other process loses its lines, and again on the new one. */
static skive_status open_all(skv_appender *a, bool replace, const void *keep, size_t n) {
    SKV_TRY(open_file(a));
    if (!replace || !a->regular) return SKIVE_OK;
    SKV_TRY(skv_file_write(a->ctx, a->path, keep, n));
    (void)close(a->fd);
    return open_file(a);
}

skive_status skv_append_open(skive_context *ctx, const char *path, bool replace, const void *keep, size_t n,
                             skv_appender **out) {
    skv_appender *a = NULL;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *a, &a));
    a->ctx = ctx;
    a->fd = -1;
    skive_status status = skv_strdup(ctx, path, &a->path);
    if (status == SKIVE_OK) status = open_all(a, replace, keep, n);
    if (status != SKIVE_OK) {
        skv_append_close(a);
        return status;
    }
    *out = a;
    return SKIVE_OK;
}

skive_status skv_append_write(skv_appender *a, const void *bytes, size_t n) {
    const unsigned char *at = bytes;
    struct stat before;
    const bool known = a->regular && fstat(a->fd, &before) == 0;
    while (n) {
        const ssize_t wrote = write(a->fd, at, n);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) {
            const int error = wrote < 0 ? errno : EIO;
            const bool cut = known && ftruncate(a->fd, before.st_size) == 0;
            return skv_fail_errno(a->ctx, a->path, cut || !known ? "write" : "write, and it ends in part of a record",
                                  error);
        }
        at += wrote;
        n -= (size_t)wrote;
    }
    return SKIVE_OK;
}

skive_status skv_append_sync(skv_appender *a) {
    if (!a->regular || fsync(a->fd) == 0 || errno == EINVAL || errno == ENOTSUP) return SKIVE_OK;
    return skv_fail_errno(a->ctx, a->path, "write", errno);
}

void skv_append_close(skv_appender *a) {
    if (!a) return;
    if (a->fd >= 0) (void)close(a->fd);
    skv_free(a->ctx, a->path);
    skv_free(a->ctx, a);
}
