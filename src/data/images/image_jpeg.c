/* JPEG through libjpeg-turbo. Its error handler, which would end the process, is replaced by one that jumps back; its
 * warnings, after which it continues with invented pixels, are treated as damage unless they are known to be
 * harmless. */
#include "data/data.h"

#if SKIVE_WITH_JPEG
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

enum { MAX_SCANS = 200 }; /* a small progressive file can require any number of scans */

typedef struct job {
    struct jpeg_error_mgr errors; /* must be the first member: libjpeg passes a pointer to it */
    struct jpeg_decompress_struct jpeg;
    struct jpeg_progress_mgr progress;
    jmp_buf back;
    skive_context *ctx;
    const char *path;
    const unsigned char *bytes;
    size_t size;
    bool grey;
    unsigned char *inks; /* a row of CMYK, or NULL */
    skv_image *out;
    skive_status status;
    char reason[JMSG_LENGTH_MAX];
} job;

static void on_error(j_common_ptr info) {
    job *j = (job *)(void *)info->err;
    if (info->err->msg_code == JERR_OUT_OF_MEMORY) j->status = SKIVE_ERR_MEMORY;
    (*info->err->format_message)(info, j->reason);
    longjmp(j->back, 1);
}

static void on_message(j_common_ptr info, int level) {
    if (level >= 0) return; /* a trace */
    switch (info->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA: return;
    default: on_error(info);
    }
}

static void on_output(j_common_ptr info) { (void)info; /* nothing is ever printed */ }

static void on_progress(j_common_ptr info) {
    job *j = (job *)(void *)info->err;
    if (!info->is_decompressor || j->jpeg.input_scan_number <= MAX_SCANS) return;
    (void)snprintf(j->reason, sizeof j->reason, "it has more than %d scans", (int)MAX_SCANS);
    longjmp(j->back, 1);
}

/* CMYK to RGB. Adobe's programs, which write nearly all such files and mark them, store 255 - ink. */
static void mix_inks(const unsigned char *cmyk, size_t n, bool inverted, unsigned char *rgb) {
    for (size_t i = 0; i < n; i++) {
        const unsigned black = inverted ? cmyk[4 * i + 3] : 255u - cmyk[4 * i + 3];
        for (size_t c = 0; c < 3; c++) {
            const unsigned ink = inverted ? cmyk[4 * i + c] : 255u - cmyk[4 * i + c];
            rgb[3 * i + c] = (unsigned char)((ink * black + 127) / 255);
        }
    }
}

static bool run(job *j) {
    if (setjmp(j->back)) return false;
    jpeg_create_decompress(&j->jpeg);
    j->progress.progress_monitor = on_progress;
    j->jpeg.progress = &j->progress;
    jpeg_mem_src(&j->jpeg, j->bytes, (unsigned long)j->size);
    (void)jpeg_read_header(&j->jpeg, TRUE);
    const bool inks = j->jpeg.jpeg_color_space == JCS_CMYK || j->jpeg.jpeg_color_space == JCS_YCCK;
    bool grey = (j->grey && !inks) || j->jpeg.jpeg_color_space == JCS_GRAYSCALE;
    int channels = grey ? 1 : 3;
    j->status = skv_image_check(j->ctx, j->path, j->jpeg.image_width, j->jpeg.image_height, channels);
    if (j->status != SKIVE_OK) return false;
    j->jpeg.out_color_space = inks ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
    (void)jpeg_start_decompress(&j->jpeg);
    size_t stride = (size_t)j->jpeg.output_width * (size_t)channels;
    j->out->width = (int)j->jpeg.output_width;
    j->out->height = (int)j->jpeg.output_height;
    j->out->channels = channels;
    j->status = skv_alloc(j->ctx, stride * j->jpeg.output_height, &j->out->pixels);
    if (j->status == SKIVE_OK && inks) j->status = skv_alloc_array(j->ctx, j->jpeg.output_width, 4, &j->inks);
    if (j->status != SKIVE_OK) return false;
    while (j->jpeg.output_scanline < j->jpeg.output_height) {
        JSAMPROW pixels = j->out->pixels + j->jpeg.output_scanline * stride, row = inks ? j->inks : pixels;
        (void)jpeg_read_scanlines(&j->jpeg, &row, 1);
        if (inks) mix_inks(j->inks, j->jpeg.output_width, j->jpeg.saw_Adobe_marker, pixels);
    }
    (void)jpeg_finish_decompress(&j->jpeg);
    return true;
}

skive_status skv_jpeg_decode(skive_context *ctx, const void *bytes, size_t n, const char *path, bool grey,
                             skv_image *out) {
    job j = {.ctx = ctx, .path = path, .bytes = bytes, .size = n, .grey = grey, .out = out, .status = SKIVE_OK};
    j.jpeg.err = jpeg_std_error(&j.errors);
    j.errors.error_exit = on_error;
    j.errors.emit_message = on_message;
    j.errors.output_message = on_output;
    bool done = run(&j);
    jpeg_destroy_decompress(&j.jpeg); /* safe after any failure: the struct began as zeros */
    skv_free(ctx, j.inks);
    if (done) return SKIVE_OK;
    skv_free(ctx, out->pixels);
    *out = (skv_image){0};
    if (j.status == SKIVE_ERR_MEMORY) {
        return skv_fail_at(ctx, SKIVE_ERR_MEMORY, path, "%s: out of memory while decoding", path);
    }
    if (j.status != SKIVE_OK) return j.status;
    return skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: the JPEG image is damaged (%s)", path, j.reason);
}

#else

skive_status skv_jpeg_decode(skive_context *ctx, const void *bytes, size_t n, const char *path, bool grey,
                             skv_image *out) {
    (void)bytes;
    (void)n;
    (void)grey;
    *out = (skv_image){0};
    return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, path,
                       "%s: this build cannot read JPEG images (built without libjpeg-turbo)", path);
}

#endif
