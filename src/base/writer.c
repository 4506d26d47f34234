/* Atomic writing of a file.
 *
 * Bytes go to a temporary file beside the target; commit syncs it, renames it over the target and syncs the folder, so
 * that a reader sees the old file or the new one and never a part. A symbolic link is followed, the permission bits of
 * an existing target are kept, and a target that is not a regular file (a pipe, /dev/stdout) is written directly, since
 * renaming over it would replace it.
 *
 * The temporary file is locked (flock) while it is written: one without a lock was left by a process that was killed,
 * and the next writer in its folder removes it. A lock, unlike a process number in the name, also holds between
 * containers. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/context.h"
#include "base/endian.h"

enum { BUFFER = 1 << 16, NAME_KEPT = 100, ATTEMPTS = 64 };

struct skv_writer {
    skive_context *ctx;
    char *path;   /* as the caller wrote it, for messages */
    char *target; /* links resolved */
    char *folder;
    char *temporary; /* NULL: writes go to the target itself */
    int fd;          /* -1: closed */
    skive_status status;
    size_t buffered;
    unsigned char buffer[BUFFER];
};

static void release(skv_writer *w) {
    skive_context *ctx = w->ctx;
    if (w->fd >= 0) (void)close(w->fd);
    if (w->temporary) (void)unlink(w->temporary);
    skv_free(ctx, w->path);
    skv_free(ctx, w->target);
    skv_free(ctx, w->folder);
    skv_free(ctx, w->temporary);
    skv_free(ctx, w);
}

/* A name that probably does not exist; O_EXCL makes a collision a matter of speed, not of safety. */
static uint64_t fresh_number(const skv_writer *w, int attempt) {
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct {
        int64_t seconds, nanoseconds;
        uintptr_t address;
        int64_t process, attempt;
    } key = {now.tv_sec, now.tv_nsec, (uintptr_t)w, getpid(), attempt};
    return skv_hash64(&key, sizeof key, 0);
}

#define MARK   ".skive-"
#define ENDING ".tmp"
enum { DIGITS = 16 };

static bool is_temporary(const char *name) {
    const size_t tail = strlen(MARK) + DIGITS + strlen(ENDING), length = strlen(name);
    if (name[0] != '.' || length <= tail) return false;
    const char *at = name + length - tail;
    if (strncmp(at, MARK, strlen(MARK)) != 0) return false;
    at += strlen(MARK);
    return strspn(at, "0123456789abcdef") == DIGITS && strcmp(at + DIGITS, ENDING) == 0;
}

/* Removes temporary files that killed writers left in the folder. Errors here do not affect the file to be written. */
static void clear_left_over(const char *folder) {
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        struct stat st;
        if (!is_temporary(entry->d_name)) continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) continue;
        const int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
        if (fd < 0) continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) (void)unlinkat(dirfd(dir), entry->d_name, 0);
        (void)close(fd);
    }
    (void)closedir(dir);
}

/* False: another writer removed the file before it was locked. Where locks are not supported, no writer removes
 * files. */
static bool lock(int fd) {
    struct stat st;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
    return fstat(fd, &st) != 0 || st.st_nlink > 0;
}

static skive_status open_temporary(skv_writer *w, const char *base, const struct stat *existing) {
    clear_left_over(w->folder);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        char *name;
        SKV_TRY(skv_asprintf(w->ctx, &name, "%s/.%.*s" MARK "%016llx" ENDING, w->folder, (int)NAME_KEPT, base,
                             (unsigned long long)fresh_number(w, attempt)));
        w->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        const int error = errno;
        if (w->fd >= 0 && lock(w->fd)) {
            w->temporary = name;
            if (existing && fchmod(w->fd, existing->st_mode & 07777) != 0) {
                return skv_fail_errno(w->ctx, w->path, "keep the permissions of the file there", errno);
            }
            return SKIVE_OK;
        }
        skv_free(w->ctx, name);
        if (w->fd >= 0) {
            (void)close(w->fd);
            w->fd = -1;
            continue;
        }
        if (error == EEXIST) continue;
        if (error == ENOENT || error == ENOTDIR) {
            return skv_fail_at(w->ctx, SKIVE_ERR_IO, w->path, "%s: cannot write: there is no folder %s", w->path,
                               w->folder);
        }
        return skv_fail_errno(w->ctx, w->path, "create a file in its folder", error);
    }
    return skv_fail_errno(w->ctx, w->path, "create a temporary file beside it", EEXIST);
}

static skive_status resolve(skv_writer *w) {
    char *real = realpath(w->path, NULL); /* memory of the C library, freed below */
    if (!real) return skv_fail_errno(w->ctx, w->path, "write", errno);
    skive_status status = skv_strdup(w->ctx, real, &w->target);
    free(real);
    return status;
}

static skive_status open_target(skv_writer *w) {
    struct stat st, link;
    bool exists = stat(w->path, &st) == 0;
    if (!exists && errno != ENOENT) return skv_fail_errno(w->ctx, w->path, "write", errno);
    if (exists && S_ISDIR(st.st_mode)) return skv_fail_errno(w->ctx, w->path, "write", EISDIR);
    if (exists && access(w->path, W_OK) != 0) return skv_fail_errno(w->ctx, w->path, "write", errno);
    if (exists && !S_ISREG(st.st_mode)) {
        w->fd = open(w->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return w->fd >= 0 ? SKIVE_OK : skv_fail_errno(w->ctx, w->path, "write", errno);
    }
    if (exists && lstat(w->path, &link) == 0 && S_ISLNK(link.st_mode))
        SKV_TRY(resolve(w));
    else
        SKV_TRY(skv_strdup(w->ctx, w->path, &w->target));

    const char *slash = strrchr(w->target, '/');
    const char *base = slash ? slash + 1 : w->target;
    if (*base == '\0') return skv_fail_errno(w->ctx, w->path, "write", *w->target ? EISDIR : ENOENT);
    if (!slash)
        SKV_TRY(skv_strdup(w->ctx, ".", &w->folder));
    else if (slash == w->target)
        SKV_TRY(skv_strdup(w->ctx, "/.", &w->folder));
    else
        SKV_TRY(skv_strdup_n(w->ctx, w->target, (size_t)(slash - w->target), &w->folder));
    return open_temporary(w, base, exists ? &st : NULL);
}

skive_status skv_writer_open(skive_context *ctx, const char *path, skv_writer **out) {
    skv_writer *w;
    *out = NULL;
    SKV_TRY(skv_alloc(ctx, sizeof *w, &w));
    memset(w, 0, offsetof(skv_writer, buffer));
    w->ctx = ctx;
    w->fd = -1;
    skive_status status = skv_strdup(ctx, path, &w->path);
    if (status == SKIVE_OK) status = open_target(w);
    if (status != SKIVE_OK) {
        release(w);
        return status;
    }
    *out = w;
    return SKIVE_OK;
}

static skive_status put(skv_writer *w, const unsigned char *bytes, size_t n) {
    while (n) {
        ssize_t wrote = write(w->fd, bytes, n < INT_MAX ? n : INT_MAX);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) {
            w->status = skv_fail_errno(w->ctx, w->path, "write", wrote < 0 ? errno : EIO);
            return w->status;
        }
        bytes += wrote;
        n -= (size_t)wrote;
    }
    return SKIVE_OK;
}

static skive_status flush(skv_writer *w) {
    size_t n = w->buffered;
    w->buffered = 0;
    return put(w, w->buffer, n);
}

skive_status skv_writer_write(skv_writer *w, const void *bytes, size_t n) {
    if (w->status != SKIVE_OK) return w->status;
    if (n > BUFFER - w->buffered) {
        SKV_TRY(flush(w));
        if (n >= BUFFER) return put(w, bytes, n);
    }
    if (n) memcpy(w->buffer + w->buffered, bytes, n);
    w->buffered += n;
    return SKIVE_OK;
}

skive_status skv_writer_write_elements(skv_writer *w, const void *elements, size_t n, size_t width) {
    unsigned char part[4096];
    const unsigned char *p = elements;
    if (!SKV_BIG_ENDIAN || width == 1) return skv_writer_write(w, elements, n);
    for (size_t at = 0; at < n; at += sizeof part) {
        const size_t m = n - at < sizeof part ? n - at : sizeof part;
        memcpy(part, p + at, m);
        skv_little_endian(part, m, width);
        SKV_TRY(skv_writer_write(w, part, m));
    }
    return SKIVE_OK;
}

/* Pipes and some file systems do not support fsync and return EINVAL or ENOTSUP. */
static bool sync_failed(int fd) { return fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EROFS; }

static skive_status sync_folder(skv_writer *w) {
    int fd = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return SKIVE_OK; /* a folder that is writable but not readable: the file itself is safe */
    skive_status status = sync_failed(fd) ? skv_fail_errno(w->ctx, w->path, "sync its folder", errno) : SKIVE_OK;
    (void)close(fd);
    return status;
}

static skive_status finish(skv_writer *w) {
    if (w->status != SKIVE_OK) return w->status;
    SKV_TRY(flush(w));
    if (sync_failed(w->fd)) return skv_fail_errno(w->ctx, w->path, "write", errno);
    if (!w->temporary) {
        const int fd = w->fd;
        w->fd = -1;
        return close(fd) == 0 || errno == EINTR ? SKIVE_OK : skv_fail_errno(w->ctx, w->path, "write", errno);
    }
    /* Still open, so that the lock is held; errors of closing were already reported by syncing. */
    if (rename(w->temporary, w->target) != 0) return skv_fail_errno(w->ctx, w->path, "replace", errno);
    skv_free(w->ctx, w->temporary);
    w->temporary = NULL;
    return sync_folder(w);
}

skive_status skv_writer_commit(skv_writer *w) {
    skive_status status = finish(w);
    release(w);
    return status;
}

void skv_writer_abort(skv_writer *w) {
    if (w) release(w);
}
