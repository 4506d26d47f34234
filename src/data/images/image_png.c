/* PNG through libpng. Its memory comes from the context; its errors come back by longjmp, so everything that must
 * survive one lives in a struct of the caller's frame. Gamma and colour profiles are ignored: the stored numbers are
 * the data. */
#include "data/data.h"

#if SKIVE_WITH_PNG
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

typedef struct job {
    skive_context *ctx;
    const char *path;
    const unsigned char *bytes;
    size_t size, at;
    png_structp png;
    png_infop info;
    png_bytepp rows;
    skv_image *out;
    skv_mask *mask; /* wanted instead; then `out` is only its bytes */
    skive_status status;
    char reason[128];
} job;

static png_voidp job_alloc(png_structp png, png_alloc_size_t size) {
    job *j = png_get_mem_ptr(png);
    void *block = NULL;
    if (skv_alloc(j->ctx, size, &block) != SKIVE_OK) j->status = SKIVE_ERR_MEMORY;
    return block;
}

static void job_free(png_structp png, png_voidp block) {
    job *j = png_get_mem_ptr(png);
    skv_free(j->ctx, block);
}

static void on_error(png_structp png, png_const_charp text) {
    job *j = png_get_error_ptr(png);
    (void)snprintf(j->reason, sizeof j->reason, "%s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep to, size_t n) {
    job *j = png_get_io_ptr(png);
    if (n > j->size - j->at) png_error(png, "the file is truncated");
    memcpy(to, j->bytes + j->at, n);
    j->at += n;
}

/* The pixels as they are stored, in bytes or pairs of bytes, the most significant first. */
static bool run_mask(job *j, skv_mask *out, png_uint_32 width, png_uint_32 height, int depth, bool rgb) {
    if (depth < 8) png_set_packing(j->png);
    if (rgb && depth == 16) png_set_scale_16(j->png);
    png_set_strip_alpha(j->png);
    (void)png_set_interlace_handling(j->png);
    png_read_update_info(j->png, j->info);
    const size_t width_of = rgb ? 3 : depth == 16 ? 2 : 1, stride = width * width_of;
    if (png_get_rowbytes(j->png, j->info) != stride) {
        (void)snprintf(j->reason, sizeof j->reason, "its pixel format is not supported");
        return false;
    }
    j->status = skv_alloc(j->ctx, stride * height, &j->out->pixels);
    if (j->status == SKIVE_OK) j->status = skv_alloc_array(j->ctx, height, sizeof *j->rows, &j->rows);
    if (j->status == SKIVE_OK)
        j->status = skv_alloc_array(j->ctx, (size_t)width * height, sizeof *out->values, &out->values);
    if (j->status != SKIVE_OK) return false;
    for (png_uint_32 y = 0; y < height; y++) j->rows[y] = j->out->pixels + y * stride;
    png_read_image(j->png, j->rows);
    png_read_end(j->png, NULL);
    out->width = (int)width;
    out->height = (int)height;
    out->colour = rgb;
    for (size_t i = 0; i < (size_t)width * height; i++) {
        const uint8_t *from = j->out->pixels + i * width_of;
        uint32_t value = 0;
        for (size_t k = 0; k < width_of; k++) value = value << 8 | from[k];
        out->values[i] = value;
    }
    return true;
}

/* False on failure; status is the error, or SKIVE_OK if libpng reported the reason. */
static bool run(job *j) {
    if (setjmp(png_jmpbuf(j->png))) return false;
    png_set_read_fn(j->png, j, on_read);
    png_set_user_limits(j->png, SKV_IMAGE_MAX_SIDE, SKV_IMAGE_MAX_SIDE);
    png_set_chunk_malloc_max(j->png, 8 << 20);
    png_set_chunk_cache_max(j->png, 128);
    png_read_info(j->png, j->info);

    png_uint_32 width, height;
    int depth, colour;
    if (!png_get_IHDR(j->png, j->info, &width, &height, &depth, &colour, NULL, NULL, NULL)) return false;
    bool rgb = (colour & PNG_COLOR_MASK_COLOR) != 0;
    j->status = skv_image_check(j->ctx, j->path, width, height, rgb ? 3 : 1);
    if (j->status != SKIVE_OK) return false;
    if (j->mask) return run_mask(j, j->mask, width, height, depth, rgb && colour != PNG_COLOR_TYPE_PALETTE);
    if (colour == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(j->png);
    else if (!rgb && depth < 8)
        png_set_expand_gray_1_2_4_to_8(j->png);
    if (depth == 16) png_set_scale_16(j->png);
    png_set_strip_alpha(j->png);
    (void)png_set_interlace_handling(j->png);
    png_read_update_info(j->png, j->info);
    size_t stride = (size_t)width * (rgb ? 3 : 1);
    if (png_get_rowbytes(j->png, j->info) != stride) {
        (void)snprintf(j->reason, sizeof j->reason, "its pixel format is not supported");
        return false;
    }
    j->out->width = (int)width;
    j->out->height = (int)height;
    j->out->channels = rgb ? 3 : 1;
    j->status = skv_alloc(j->ctx, stride * height, &j->out->pixels);
    if (j->status == SKIVE_OK) j->status = skv_alloc_array(j->ctx, height, sizeof *j->rows, &j->rows);
    if (j->status != SKIVE_OK) return false;
    for (png_uint_32 y = 0; y < height; y++) j->rows[y] = j->out->pixels + y * stride;
    png_read_image(j->png, j->rows);
    png_read_end(j->png, NULL);
    return true;
}

static skive_status decode(skive_context *ctx, const void *bytes, size_t n, const char *path, skv_image *out,
                           skv_mask *mask) {
    job j = {.ctx = ctx, .path = path, .bytes = bytes, .size = n, .out = out, .mask = mask, .status = SKIVE_OK};
    bool done = false;
    j.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, &j, job_alloc, job_free);
    if (j.png) j.info = png_create_info_struct(j.png);
    if (j.info)
        done = run(&j);
    else
        j.status = SKIVE_ERR_MEMORY;
    if (j.png) png_destroy_read_struct(&j.png, j.info ? &j.info : NULL, NULL);
    skv_free(ctx, j.rows);
    if (done) return SKIVE_OK;
    skv_free(ctx, out->pixels);
    *out = (skv_image){0};
    if (j.status == SKIVE_ERR_MEMORY) {
        return skv_fail_at(ctx, SKIVE_ERR_MEMORY, path, "%s: out of memory while decoding", path);
    }
    if (j.status != SKIVE_OK) return j.status;
    return skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: the PNG image is damaged (%s)", path, j.reason);
}

skive_status skv_png_decode(skive_context *ctx, const void *bytes, size_t n, const char *path, skv_image *out) {
    return decode(ctx, bytes, n, path, out, NULL);
}

skive_status skv_mask_read(skive_context *ctx, const char *path, skv_mask *out) {
    void *bytes = NULL;
    size_t n = 0;
    skv_image unused = {0};
    *out = (skv_mask){0};
    SKV_TRY(skv_file_read(ctx, path, SKV_IMAGE_MAX_BYTES, &bytes, &n));
    skive_status status;
    if (skv_image_format_of(bytes, n) != SKV_IMAGE_PNG)
        status =
            skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                        "%s: a mask must be a PNG image: other formats do not keep the numbers of the classes", path);
    else
        status = decode(ctx, bytes, n, path, &unused, out);
    skv_free(ctx, unused.pixels);
    skv_free(ctx, bytes);
    if (status != SKIVE_OK) {
        skv_free(ctx, out->values);
        *out = (skv_mask){0};
    }
    return status;
}

#else

skive_status skv_png_decode(skive_context *ctx, const void *bytes, size_t n, const char *path, skv_image *out) {
    (void)bytes;
    (void)n;
    *out = (skv_image){0};
    return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, path, "%s: this build cannot read PNG images (built without libpng)",
                       path);
}

skive_status skv_mask_read(skive_context *ctx, const char *path, skv_mask *out) {
    *out = (skv_mask){0};
    return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, path, "%s: this build cannot read PNG images (built without libpng)",
                       path);
}

#endif
