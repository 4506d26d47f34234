/* Images in files: their common size and channels, and reading one of them. All headers are read once when the set is
 * opened, so that sizes and colours are known before any work. */
#include <stdlib.h>
#include <string.h>

#include <skive/input.h>

#include "data/feed.h"
#include "data/images/pictures.h"

enum { FILE_LIMIT = 256 << 20 };

/* ---- reading ---- */

static skive_status decode(skive_context *ctx, const skv_pictures *f, size_t index, int channels, char **out_path,
                           skv_image *out) {
    void *bytes = NULL;
    size_t n = 0;
    SKV_TRY(skv_asprintf(ctx, out_path, "%s/%s", f->of.parts.root, f->of.files.names[index]));
    SKV_TRY(skv_file_read(ctx, *out_path, FILE_LIMIT, &bytes, &n));
    skive_status status = skv_image_decode(ctx, bytes, n, *out_path, channels, out);
    skv_free(ctx, bytes);
    return status;
}

static skive_status scale(skive_context *ctx, int64_t h, int64_t w, skv_image *image) {
    skv_resizer *resizer = NULL;
    uint8_t *scaled = NULL;
    skive_status status;
    SKV_GO(status, done, skv_resizer_create(ctx, image->height, image->width, h, w, image->channels, &resizer));
    SKV_GO(status, done, skv_alloc(ctx, (size_t)h * (size_t)w * (size_t)image->channels, &scaled));
    skv_resizer_run(resizer, image->pixels, scaled);
    skv_free(ctx, image->pixels);
    image->pixels = scaled;
    image->height = (int)h;
    image->width = (int)w;
done:
    skv_resizer_free(resizer);
    return status;
}

/* The part of the image at (top, left) as [c][h][w] floats in 0..1. */
static void unpack(const skv_image *image, size_t top, size_t left, size_t h, size_t w, float *x) {
    const size_t channels = (size_t)image->channels;
    for (size_t c = 0; c < channels; c++) {
        for (size_t y = 0; y < h; y++) {
            const uint8_t *from = image->pixels + ((top + y) * (size_t)image->width + left) * channels + c;
            float *to = x + (c * h + y) * w;
            for (size_t i = 0; i < w; i++) to[i] = (float)from[i * channels] * (1.0f / 255.0f);
        }
    }
}

skive_status skv_pictures_read(skive_context *ctx, const skv_pictures *f, const skive_dataset *ds, size_t index,
                               float *x) {
    const int64_t height = ds->dims[1], width = ds->dims[2];
    skv_image image = {0};
    char *path = NULL;
    int64_t h, w;
    skive_status status;
    SKV_GO(status, done, skv_folder_bad(ctx, decode(ctx, f, index, (int)ds->dims[0], &path, &image)));
    skv_scaled_size(&f->scaled, image.height, image.width, &h, &w);
    SKV_GO(status, done, skv_image_check(ctx, path, (uint64_t)w, (uint64_t)h, image.channels));
    if (f->scaled.crop_h ? h < height || w < width : h != height || w != width) {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                             "%s: has %lldx%lld pixels (height x width), not %lldx%lld; use --resize HxW to scale all "
                             "images to one size",
                             path, (long long)h, (long long)w, (long long)height, (long long)width);
        goto done;
    }
    if (h != image.height || w != image.width) SKV_GO(status, done, scale(ctx, h, w, &image));
    unpack(&image, (size_t)skv_crop_start(h, height), (size_t)skv_crop_start(w, width), (size_t)height, (size_t)width,
           x);
done:
    skv_free(ctx, image.pixels);
    skv_free(ctx, path);
    return status;
}

/* ---- sizes and colours of the images ---- */

typedef struct survey {
    size_t count, grey, colour, turned, alpha, deep, cmyk;
    size_t first_grey, first_colour, odd; /* indices; odd: the first image of another size than image 0; 0: none */
    int64_t height, width, odd_height, odd_width; /* sizes of image 0 and of odd */
} survey;

static void count_head(survey *s, const skv_image_head *h, size_t i) {
    if (h->channels == 1 && s->grey++ == 0) s->first_grey = i;
    if (h->channels == 3 && s->colour++ == 0) s->first_colour = i;
    s->turned += h->turn != 1;
    s->alpha += h->alpha;
    s->deep += h->deep;
    s->cmyk += h->cmyk;
    if (i == 0) {
        s->height = (int64_t)h->height;
        s->width = (int64_t)h->width;
    } else if (!s->odd && ((int64_t)h->height != s->height || (int64_t)h->width != s->width)) {
        s->odd = i;
        s->odd_height = (int64_t)h->height;
        s->odd_width = (int64_t)h->width;
    }
    s->count++;
}

/* `enough`: stop at the first image in colour. */
static skive_status look(skive_context *ctx, const char *root, const skv_name_list *files, bool enough, survey *s) {
    skv_progress progress;
    *s = (survey){0};
    skv_progress_start(&progress, ctx, "scanning images", (double)files->count);
    for (size_t i = 0; i < files->count && !(enough && s->colour); i++) {
        skv_image_head head;
        char *path = NULL;
        SKV_TRY(skv_asprintf(ctx, &path, "%s/%s", root, files->names[i]));
        const skive_status status = skv_folder_bad(ctx, skv_image_head_read(ctx, path, &head));
        skv_free(ctx, path);
        if (status != SKIVE_OK) return status;
        count_head(s, &head, i);
        if (i % 256 == 255) SKV_TRY(skv_progress_at(&progress, (double)(i + 1), "%zu images", i + 1));
    }
    return SKIVE_OK;
}

static void tell_survey(skive_context *ctx, const skv_pictures *f, const survey *s, int channels, bool by_model) {
    const struct {
        size_t n;
        const char *one, *many;
    } parts[] = {
        {s->turned, "is rotated by its EXIF orientation", "are rotated by their EXIF orientation"},
        {s->alpha, "has transparency, which is ignored", "have transparency, which is ignored"},
        {s->deep, "has 16 bits per channel and is read with 8", "have 16 bits per channel and are read with 8"},
        {s->cmyk, "is in CMYK and is converted to RGB", "are in CMYK and are converted to RGB"}};
    const size_t other = channels == 3 ? s->grey : s->colour;
    skv_text t;
    skv_text_init(&t, ctx);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].n)
            skv_text_add(&t, "%s%zu %s", t.length ? ", " : "", parts[i].n,
                         parts[i].n == 1 ? parts[i].one : parts[i].many);
    }
    if (other) {
        skv_text_add(&t, "%s%zu (the first is %s) %s %s and read as %s, because %s", t.length ? ", " : "", other,
                     f->of.files.names[channels == 3 ? s->first_grey : s->first_colour], other == 1 ? "is" : "are",
                     channels == 3 ? "grey" : "in colour", channels == 3 ? "colour" : "grey",
                     by_model                     ? "the model's input is"
                     : s->colour && channels == 3 ? "other images are"
                                                  : "the training images are");
    }
    if (t.length && t.status == SKIVE_OK) skv_note(ctx, "%s: of %zu images, %s", f->of.parts.root, s->count, t.data);
    skv_text_free(&t);
}

/* ---- size and channels ---- */

/* The first image of the training part and whether any of its images is in colour; all parts are treated in the same
 * way. */
static skive_status look_at_training(skive_context *ctx, const skv_pictures *f, survey *s) {
    skv_name_list files = {0};
    skive_status status = skv_folder_training(ctx, &skv_image_files, &f->of, &files);
    if (status == SKIVE_OK) status = look(ctx, f->of.parts.class_root, &files, true, s);
    skv_name_list_free(ctx, &files);
    return status;
}

static skive_status sizes_differ(skive_context *ctx, const skv_pictures *f, const survey *s) {
    const char *odd = f->of.files.names[s->odd];
    return skv_fail_at(ctx, SKIVE_ERR_DATA, odd,
                       "%s/%s: has %lldx%lld pixels (height x width), but the first image has %lldx%lld; use --resize "
                       "HxW to scale all images to one size, or --resize N --center-crop N to crop them",
                       f->of.parts.root, odd, (long long)s->odd_height, (long long)s->odd_width, (long long)s->height,
                       (long long)s->width);
}

static skive_status decide_size(skive_context *ctx, skv_pictures *f, const survey *s, const survey *train,
                                int64_t model_h, int64_t model_w, skive_dataset *ds) {
    skive_dataset_options *o = &f->scaled;
    const bool asked = o->resize_h || o->resize_shorter || o->crop_h;
    if (!asked && model_h && model_w) {
        o->resize_h = model_h;
        o->resize_w = model_w;
        if (s->odd || s->height != model_h || s->width != model_w)
            skv_note(ctx,
                     "%s: images are resized to %lldx%lld (height x width), the size of the model's input; change this "
                     "with --resize and --center-crop",
                     f->of.parts.root, (long long)model_h, (long long)model_w);
    }
    if (o->crop_h) {
        ds->dims[1] = o->crop_h;
        ds->dims[2] = o->crop_w;
        return SKIVE_OK;
    }
    if (!o->resize_h && s->odd) return sizes_differ(ctx, f, s);
    skv_scaled_size(o, train->height, train->width, &ds->dims[1], &ds->dims[2]);
    return SKIVE_OK;
}

skive_status skv_pictures_shape(skive_context *ctx, skv_pictures *f, skive_dataset *ds) {
    const skive_dataset_options *o = &ds->options;
    int64_t channels = 0, height = 0, width = 0;
    survey own, train;
    SKV_TRY(look(ctx, f->of.parts.root, &f->of.files, false, &own));
    train = own;
    if (strcmp(f->of.parts.root, f->of.parts.class_root) != 0) SKV_TRY(look_at_training(ctx, f, &train));
    if (train.count == 0) train = own;
    if (o->model) skv_input_image(o->model, skv_input_for(o->model, o->input), &channels, &height, &width);
    const bool by_model = channels == 1 || channels == 3;
    if (!by_model) channels = train.colour ? 3 : 1;
    if (o->channels) channels = o->channels;
    tell_survey(ctx, f, &own, (int)channels, by_model && !o->channels);
    f->scaled = *o;
    SKV_TRY(decide_size(ctx, f, &own, &train, height, width, ds));
    ds->rank = 3;
    ds->channel_axis = 0;
    ds->content = SKV_CONTENT_IMAGE;
    ds->dims[0] = channels;
    ds->size = (size_t)(ds->dims[0] * ds->dims[1] * ds->dims[2]); /* both sides are limited */
    ds->options = f->scaled;
    ds->options.channels = channels;
    return SKIVE_OK;
}

skive_status skv_picture_check(skive_context *ctx, const char *path, void *unused) {
    skv_image image = {0};
    void *bytes = NULL;
    size_t n = 0;
    (void)unused;
    SKV_TRY(skv_file_read(ctx, path, FILE_LIMIT, &bytes, &n));
    const skive_status status = skv_image_decode(ctx, bytes, n, path, 0, &image);
    skv_free(ctx, image.pixels);
    skv_free(ctx, bytes);
    return status;
}
