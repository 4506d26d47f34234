/* Reading sounds through libsndfile. It is asked for WAV, FLAC and Ogg only, and what it would tolerate (a file cut off
 * in the middle) is found here, so that no part of a sound becomes silence unnoticed. Its own memory comes from malloc;
 * what is decoded comes from the context. */
#include "data/audio/sound.h"

static const char *const extensions[] = {".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", NULL};
const skv_file_kind skv_sound_files = {
    .extensions = extensions, .formats = "WAV, FLAC or Ogg", .one = "sound", .many = "sounds"};

#if SKIVE_WITH_SNDFILE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sndfile.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 1 << 16, CHUNK = 4096 };

typedef struct sound {
    skive_context *ctx;
    const char *path;
    int fd;
    uint64_t size; /* of the file */
    SNDFILE *file;
    SF_INFO info;
} sound;

static skive_status refuse(const sound *s, const char *why) {
    return skv_fail_at(s->ctx, SKIVE_ERR_DATA, s->path, "%s: %s", s->path, why);
}

/* ---- what libsndfile tolerates ---- */

static uint32_t number_at(const unsigned char *p, bool big) {
    return big ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
               : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static bool bytes_at(const sound *s, uint64_t at, void *out, size_t n) {
    return at <= s->size && pread(s->fd, out, n, (off_t)at) == (ssize_t)n;
}

/* The chunks of a WAV file: a rate, and as many bytes of data as it says. Programs that write into a pipe leave a
 * length of 0 or nearly 2^32, which says nothing. */
static skive_status check_wav(const sound *s, bool big, bool large) {
    unsigned char head[16];
    uint64_t at = 12;
    bool has_data = false;
    char why[160];
    while (bytes_at(s, at, head, 8)) {
        const uint32_t size = number_at(head + 4, big);
        if (memcmp(head, "fmt ", 4) == 0 && bytes_at(s, at + 8, head, 16) && number_at(head + 4, big) == 0)
            return refuse(s, "the WAV file says a rate of 0 Hz");
        if (bytes_at(s, at, head, 8) && memcmp(head, "data", 4) == 0) {
            const uint64_t left = s->size - at - 8;
            has_data = true;
            if (large || size == 0 || size >= 0x7fffff00u) return SKIVE_OK;
            if (size <= left) return SKIVE_OK;
            (void)snprintf(why, sizeof why, "the WAV file is truncated: it says %lu bytes of samples and has %llu",
                           (unsigned long)size, (unsigned long long)left);
            return refuse(s, why);
        }
        at += 8 + (uint64_t)size + (size & 1);
    }
    return has_data ? SKIVE_OK : refuse(s, "the WAV file is truncated: it has no samples");
}

/* The last page of an Ogg stream says that it is the last, and is complete. */
static skive_status check_ogg(const sound *s) {
    static const char truncated[] = "the Ogg file is truncated";
    const size_t n = s->size < PAGE ? (size_t)s->size : PAGE;
    unsigned char *bytes = NULL;
    SKV_TRY(skv_alloc(s->ctx, n, &bytes));
    skive_status status = SKIVE_OK;
    if (!bytes_at(s, s->size - n, bytes, n)) {
        status = refuse(s, truncated);
        goto done;
    }
    size_t at = n < 27 ? 0 : n - 27;
    while (at > 0 && memcmp(bytes + at, "OggS", 4) != 0) at--;
    size_t length = n < 27 ? SIZE_MAX : 27 + (size_t)bytes[at + 26];
    for (size_t i = 0; at + length <= n && n >= 27 && i < bytes[at + 26]; i++) length += bytes[at + 27 + i];
    if (n < 27 || memcmp(bytes + at, "OggS", 4) != 0 || !(bytes[at + 5] & 4) || length > n - at)
        status = refuse(s, truncated);
done:
    skv_free(s->ctx, bytes);
    return status;
}

static const char *other_format(const unsigned char *p) {
    if (memcmp(p, "ID3", 3) == 0 || (p[0] == 0xff && (p[1] & 0xe0) == 0xe0)) return "MP3";
    if (memcmp(p, "FORM", 4) == 0) return "AIFF";
    if (memcmp(p, ".snd", 4) == 0) return "AU";
    if (memcmp(p + 4, "ftyp", 4) == 0) return "MP4 or M4A";
    return NULL;
}

static skive_status check_format(const sound *s) {
    unsigned char head[12] = {0};
    if (s->size == 0) return refuse(s, "the file is empty");
    if (bytes_at(s, 0, head, sizeof head)) {
        const bool large = memcmp(head, "RF64", 4) == 0, big = memcmp(head, "RIFX", 4) == 0;
        if ((memcmp(head, "RIFF", 4) == 0 || big || large) && memcmp(head + 8, "WAVE", 4) == 0)
            return check_wav(s, big, large);
        if (memcmp(head, "fLaC", 4) == 0) return SKIVE_OK;
        if (memcmp(head, "OggS", 4) == 0) return check_ogg(s);
    }
    const char *other = other_format(head);
    return skv_fail_at(s->ctx, SKIVE_ERR_DATA, s->path, "%s: not a WAV, FLAC or Ogg file%s%s", s->path,
                       other ? "; it looks like " : "", other ? other : "");
}

/* ---- opening ---- */

static void close_sound(sound *s) {
    if (s->file) (void)sf_close(s->file);
    if (s->fd >= 0) (void)close(s->fd);
}

static skive_status open_sound(skive_context *ctx, const char *path, sound *s) {
    struct stat st;
    *s = (sound){.ctx = ctx, .path = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (s->fd < 0) return skv_fail_errno(ctx, path, "open", errno);
    if (fstat(s->fd, &st) != 0) return skv_fail_errno(ctx, path, "read", errno);
    if (!S_ISREG(st.st_mode)) return skv_fail_at(ctx, SKIVE_ERR_IO, path, "%s: is not a regular file", path);
    s->size = (uint64_t)st.st_size;
    SKV_TRY(check_format(s));
    s->file = sf_open_fd(s->fd, SFM_READ, &s->info, SF_FALSE);
    if (!s->file) return refuse(s, "the sound is damaged, or is encoded in a way that libsndfile does not read");
    switch (s->info.format & SF_FORMAT_TYPEMASK) {
    case SF_FORMAT_WAV:
    case SF_FORMAT_WAVEX:
    case SF_FORMAT_RF64:
    case SF_FORMAT_FLAC:
    case SF_FORMAT_OGG: break;
    default: return refuse(s, "not a WAV, FLAC or Ogg file");
    }
    if (s->info.frames <= 0) return refuse(s, "the sound has no samples");
    if (s->info.samplerate <= 0 || s->info.samplerate > SKV_SOUND_MAX_RATE || s->info.channels <= 0 ||
        s->info.channels > SKV_SOUND_MAX_CHANNELS)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                           "%s: %d channels at %d Hz are not supported; at most %d at %d Hz are", path,
                           s->info.channels, s->info.samplerate, (int)SKV_SOUND_MAX_CHANNELS, (int)SKV_SOUND_MAX_RATE);
    return SKIVE_OK;
}

static skv_sound_head head_of(const sound *s) {
    return (skv_sound_head){.frames = s->info.frames, .rate = s->info.samplerate, .channels = s->info.channels};
}

skive_status skv_sound_head_read(skive_context *ctx, const char *path, skv_sound_head *out) {
    sound s;
    const skive_status status = open_sound(ctx, path, &s);
    if (status == SKIVE_OK) *out = head_of(&s);
    close_sound(&s);
    return status;
}

/* ---- samples ---- */

/* n frames of interleaved channels become their mean. */
static skive_status mix(const sound *s, const float *part, int64_t first, int64_t n, float *out) {
    const int channels = s->info.channels;
    for (int64_t t = 0; t < n; t++) {
        float sum = 0;
        for (int c = 0; c < channels; c++) sum += part[t * channels + c];
        out[t] = channels > 1 ? sum / (float)channels : sum;
        if (!isfinite(out[t]))
            return skv_fail_at(s->ctx, SKIVE_ERR_DATA, s->path, "%s: sample %lld is NaN or infinity", s->path,
                               (long long)(first + t));
    }
    return SKIVE_OK;
}

static skive_status read_frames(const sound *s, int64_t wanted, float *part, float *out) {
    for (int64_t done = 0; done < wanted;) {
        const int64_t n = wanted - done < CHUNK ? wanted - done : CHUNK;
        const sf_count_t got = sf_readf_float(s->file, part, n);
        if (got != n)
            return skv_fail_at(s->ctx, SKIVE_ERR_DATA, s->path,
                               "%s: the sound is damaged or truncated: %lld of its %lld samples can be read", s->path,
                               (long long)(done + (got > 0 ? got : 0)), (long long)s->info.frames);
        SKV_TRY(mix(s, part, done, n, out + done));
        done += n;
    }
    return SKIVE_OK;
}

skive_status skv_sound_read(skive_context *ctx, const char *path, int64_t most, float **out, int64_t *count,
                            skv_sound_head *head) {
    sound s;
    float *samples = NULL, *part = NULL;
    *out = NULL;
    skive_status status = open_sound(ctx, path, &s);
    if (status != SKIVE_OK) goto done;
    const int64_t n = s.info.frames < most ? s.info.frames : most;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)n, sizeof *samples, &samples));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)CHUNK * (size_t)s.info.channels, sizeof *part, &part));
    SKV_GO(status, done, read_frames(&s, n, part, samples));
    *out = samples;
    samples = NULL;
    *count = n;
    *head = head_of(&s);
done:
    skv_free(ctx, samples);
    skv_free(ctx, part);
    close_sound(&s);
    return status;
}

#else

static skive_status left_out(skive_context *ctx, const char *path) {
    return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, path, "%s: this build cannot read sounds (built without libsndfile)",
                       path);
}

skive_status skv_sound_head_read(skive_context *ctx, const char *path, skv_sound_head *out) {
    (void)out;
    return left_out(ctx, path);
}

skive_status skv_sound_read(skive_context *ctx, const char *path, int64_t most, float **out, int64_t *count,
                            skv_sound_head *head) {
    (void)most;
    (void)count;
    (void)head;
    *out = NULL;
    return left_out(ctx, path);
}

#endif
