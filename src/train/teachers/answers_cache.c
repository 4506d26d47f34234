/* The file that keeps teachers' answers: a head, the settings that decide them, and a row for each sample of each view.
 *
 *   8 bytes   "SKVANSW1"
 *   8 + 8 + 8 bytes: length of the settings, samples, bytes of an answer (little-endian, as all numbers here)
 *   the settings, as lines of a name and a value
 *   [views][samples] rows: 4 bytes of a checksum, which is never 0, of the answer and of the sample that was seen, and
 *   the answer
 *
 * A row that was never written reads as zeros, and one that was written in part, or for a sample with other numbers,
 * has a wrong checksum: they are computed again. So a run may end at any moment. Views are added at the end. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "train/teachers/answers.h"

enum { HEAD = 32, CHECK = 4, SETTINGS_MOST = 1 << 20 };
static const char magic[8] = {'S', 'K', 'V', 'A', 'N', 'S', 'W', '1'};

struct skv_answer_cache {
    skive_context *ctx;
    char *path;
    int fd;
    size_t samples, bytes; /* bytes: of an answer */
    uint64_t start;        /* of the rows */
    bool full;             /* nothing more is written */
    unsigned char *row;    /* [CHECK + bytes] */
};

static void put_u64(unsigned char *to, uint64_t x) {
    for (int i = 0; i < 8; i++) to[i] = (unsigned char)(x >> (8 * i));
}

static uint64_t get_u64(const unsigned char *from) {
    uint64_t x = 0;
    for (int i = 0; i < 8; i++) x |= (uint64_t)from[i] << (8 * i);
    return x;
}

/* Exactly n bytes; false where the file is shorter or cannot be read. */
static bool read_at(int fd, uint64_t at, void *to, size_t n) {
    for (size_t done = 0; done < n;) {
        const ssize_t got = pread(fd, (char *)to + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        done += (size_t)got;
    }
    return true;
}

static bool write_at(int fd, uint64_t at, const void *from, size_t n) {
    for (size_t done = 0; done < n;) {
        const ssize_t put = pwrite(fd, (const char *)from + done, n - done, (off_t)(at + done));
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        done += (size_t)put;
    }
    return true;
}

static skive_status no_cache(const skv_answer_cache *c) {
    return skv_fail_at(c->ctx, SKIVE_ERR_FORMAT, c->path,
                       "%s: it is no cache of teachers' answers, and it was not changed; name another file", c->path);
}

static skive_status write_head(skv_answer_cache *c, const char *key) {
    unsigned char head[HEAD];
    const size_t length = strlen(key);
    memcpy(head, magic, sizeof magic);
    put_u64(head + 8, length);
    put_u64(head + 16, c->samples);
    put_u64(head + 24, c->bytes);
    /* The head last: a file without it is taken for an empty one. */
    if (write_at(c->fd, HEAD, key, length) && write_at(c->fd, 0, head, HEAD)) return SKIVE_OK;
    return skv_fail_errno(c->ctx, c->path, "write", errno);
}

static skive_status compare(const skv_answer_cache *c, const char *key, const char *theirs, size_t n,
                            const unsigned char *head) {
    char why[300] = "answers of another size";
    if (skv_settings_same(key, theirs, n, why, sizeof why) && get_u64(head + 16) == c->samples &&
        get_u64(head + 24) == c->bytes)
        return SKIVE_OK;
    return skv_fail_at(c->ctx, SKIVE_ERR_ARGUMENT, c->path,
                       "%s: the answers in it are of %s; name another file for this run, or remove this one", c->path,
                       why);
}

static skive_status check_head(const skv_answer_cache *c, const char *key) {
    unsigned char head[HEAD];
    char *settings = NULL;
    if (!read_at(c->fd, 0, head, HEAD) || memcmp(head, magic, sizeof magic) != 0) return no_cache(c);
    const uint64_t n = get_u64(head + 8);
    if (n > SETTINGS_MOST) return no_cache(c);
    SKV_TRY(skv_alloc(c->ctx, (size_t)n + 1, &settings));
    const bool read = read_at(c->fd, HEAD, settings, (size_t)n);
    settings[read ? n : 0] = 0;
    const skive_status status = read ? compare(c, key, settings, (size_t)n, head) : no_cache(c);
    skv_free(c->ctx, settings);
    return status;
}

/* An empty file, or one of zeros where only the head is missing, is a new one. */
static skive_status open_file(skv_answer_cache *c, const char *key) {
    struct stat st;
    c->fd = open(c->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
    if (c->fd < 0) return skv_fail_errno(c->ctx, c->path, "open", errno);
    if (fstat(c->fd, &st) != 0) return skv_fail_errno(c->ctx, c->path, "read", errno);
    if (!S_ISREG(st.st_mode))
        return skv_fail_at(c->ctx, SKIVE_ERR_IO, c->path, "%s: it is not a regular file, which a cache must be",
                           c->path);
    if (flock(c->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return skv_fail_at(c->ctx, SKIVE_ERR_IO, c->path, "%s: another run uses this cache now; wait, or name another",
                           c->path);
    return st.st_size == 0 ? write_head(c, key) : check_head(c, key);
}

skive_status skv_answer_cache_open(skive_context *ctx, const char *path, const char *key, size_t samples, size_t bytes,
                                   skv_answer_cache **out) {
    skv_answer_cache *c = NULL;
    skive_status status;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *c, &c));
    *c = (skv_answer_cache){
        .ctx = ctx, .fd = -1, .samples = samples, .bytes = bytes, .start = HEAD + (uint64_t)strlen(key)};
    SKV_GO(status, fail, skv_strdup(ctx, path, &c->path));
    SKV_GO(status, fail, skv_alloc(ctx, CHECK + bytes, &c->row));
    SKV_GO(status, fail, open_file(c, key));
    *out = c;
    return SKIVE_OK;
fail:
    skv_answer_cache_free(c);
    return status;
}

void skv_answer_cache_free(skv_answer_cache *c) {
    if (!c) return;
    if (c->fd >= 0) (void)close(c->fd);
    skv_free(c->ctx, c->row);
    skv_free(c->ctx, c->path);
    skv_free(c->ctx, c);
}

static uint64_t place(const skv_answer_cache *c, uint64_t view, size_t index) {
    return c->start + (view * c->samples + index) * (uint64_t)(CHECK + c->bytes);
}

/* Never 0, and another for each place and each sample. */
static uint32_t checksum(const skv_answer_cache *c, uint64_t at, uint64_t sample) {
    const uint64_t hash = skv_hash64(c->row + CHECK, c->bytes, at ^ sample);
    return (uint32_t)(hash ^ (hash >> 32)) | 1;
}

skive_status skv_answer_cache_get(skv_answer_cache *c, uint64_t view, size_t index, uint64_t sample, void *row,
                                  bool *found) {
    const uint64_t at = place(c, view, index);
    *found = false;
    if (index >= c->samples) return SKV_FAIL(c->ctx, SKIVE_ERR_ARGUMENT, "%s: there is no sample %zu", c->path, index);
    if (!read_at(c->fd, at, c->row, CHECK + c->bytes)) return SKIVE_OK;
    const uint32_t sum = checksum(c, at, sample);
    for (int i = 0; i < CHECK; i++)
        if (c->row[i] != (unsigned char)(sum >> (8 * i))) return SKIVE_OK;
    memcpy(row, c->row + CHECK, c->bytes);
    *found = true;
    return SKIVE_OK;
}

void skv_answer_cache_put(skv_answer_cache *c, uint64_t view, size_t index, uint64_t sample, const void *row) {
    const uint64_t at = place(c, view, index);
    if (c->full) return;
    memcpy(c->row + CHECK, row, c->bytes);
    const uint32_t sum = checksum(c, at, sample);
    for (int i = 0; i < CHECK; i++) c->row[i] = (unsigned char)(sum >> (8 * i));
    if (write_at(c->fd, at, c->row, CHECK + c->bytes)) return;
    c->full = true;
    skv_note(c->ctx,
             "%s: cannot be written any more (%s); the run goes on, and the answers that are missing are not "
             "kept",
             c->path, strerror(errno));
}
