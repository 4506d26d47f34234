/* A picture in memory written as PNG through libpng. */
#include "data/summary/sheet.h"

#if SKIVE_WITH_PNG
#include <png.h>

skive_status skv_canvas_write(skive_context *ctx, const skv_canvas *c, const char *path) {
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)c->width,
                       .height = (png_uint_32)c->height,
                       .format = PNG_FORMAT_RGB};
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    uint8_t *bytes = NULL;
    SKV_TRY(skv_alloc(ctx, size, &bytes));
    const bool made = png_image_write_to_memory(&image, bytes, &size, 0, c->pixels, 0, NULL) != 0;
    const skive_status status = made ? skv_file_write(ctx, path, bytes, size)
                                     : SKV_FAIL(ctx, SKIVE_ERR_MEMORY, "%s: cannot be made (%s)", path, image.message);
    png_image_free(&image);
    skv_free(ctx, bytes);
    return status;
}

#else

skive_status skv_canvas_write(skive_context *ctx, const skv_canvas *c, const char *path) {
    (void)c;
    return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, path,
                       "%s: this build cannot write PNG images (built without libpng)", path);
}

#endif
