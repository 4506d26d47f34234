/* Resizing 8-bit images: bilinear when growing; when shrinking, the triangle widens with the scale, so that every
 * source pixel counts and fine patterns do not alias. Rows first, then columns, in float. */
#include <math.h>

#include "data/data.h"

typedef struct axis { /* weights of one direction: out[i] = sum over k of w[i * taps + k] * in[first[i] + k] */
    int64_t in, out, taps;
    int64_t *first, *used; /* [out] */
    float *w;              /* [out][taps] */
} axis;

struct skv_resizer {
    skive_context *ctx;
    int channels;
    axis x, y;
    float *rows; /* [in_h][out_w][channels] */
    float *line; /* [out_w][channels] */
};

static skive_status make_axis(skive_context *ctx, int64_t in, int64_t out, axis *a) {
    double scale = (double)in / (double)out, reach = scale > 1.0 ? scale : 1.0;
    a->in = in;
    a->out = out;
    a->taps = (int64_t)ceil(2.0 * reach) + 1;
    size_t weights;
    if (!skv_mul_size((size_t)out, (size_t)a->taps, &weights)) return SKIVE_ERR_LIMIT;
    SKV_TRY(skv_alloc_array(ctx, (size_t)out, sizeof *a->first, &a->first));
    SKV_TRY(skv_alloc_array(ctx, (size_t)out, sizeof *a->used, &a->used));
    SKV_TRY(skv_alloc_array(ctx, weights, sizeof *a->w, &a->w));
    for (int64_t i = 0; i < out; i++) {
        double centre = ((double)i + 0.5) * scale, sum = 0.0;
        int64_t low = (int64_t)floor(centre - reach + 0.5), high = (int64_t)floor(centre + reach + 0.5);
        if (low < 0) low = 0;
        if (high > in) high = in;
        if (high - low > a->taps) high = low + a->taps;
        float *w = a->w + i * a->taps;
        for (int64_t k = low; k < high; k++) {
            double distance = fabs((double)k + 0.5 - centre) / reach;
            double weight = distance < 1.0 ? 1.0 - distance : 0.0;
            w[k - low] = (float)weight;
            sum += weight;
        }
        for (int64_t k = 0; k < high - low; k++) w[k] = (float)((double)w[k] / sum);
        a->first[i] = low;
        a->used[i] = high - low;
    }
    return SKIVE_OK;
}

skive_status skv_resizer_create(skive_context *ctx, int64_t in_h, int64_t in_w, int64_t out_h, int64_t out_w,
                                int channels, skv_resizer **out) {
    skv_resizer *r = NULL;
    skive_status status;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *r, &r));
    r->ctx = ctx;
    r->channels = channels;
    SKV_GO(status, fail, make_axis(ctx, in_w, out_w, &r->x));
    SKV_GO(status, fail, make_axis(ctx, in_h, out_h, &r->y));
    size_t line = (size_t)out_w * (size_t)channels, rows;
    if (!skv_mul_size((size_t)in_h, line, &rows)) {
        status = SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "an image is too large to resize");
        goto fail;
    }
    SKV_GO(status, fail, skv_alloc_array(ctx, rows, sizeof *r->rows, &r->rows));
    SKV_GO(status, fail, skv_alloc_array(ctx, line, sizeof *r->line, &r->line));
    *out = r;
    return SKIVE_OK;
fail:
    skv_resizer_free(r);
    return status;
}

void skv_resizer_run(skv_resizer *r, const uint8_t *in, uint8_t *out) {
    size_t channels = (size_t)r->channels, line = (size_t)r->x.out * channels;
    for (int64_t y = 0; y < r->y.in; y++) {
        const uint8_t *from = in + (size_t)(y * r->x.in) * channels;
        float *to = r->rows + (size_t)y * line;
        for (int64_t x = 0; x < r->x.out; x++) {
            const float *w = r->x.w + x * r->x.taps;
            const uint8_t *p = from + (size_t)r->x.first[x] * channels;
            for (size_t c = 0; c < channels; c++) {
                float sum = 0.0f;
                for (int64_t k = 0; k < r->x.used[x]; k++) sum += w[k] * (float)p[(size_t)k * channels + c];
                to[(size_t)x * channels + c] = sum;
            }
        }
    }
    for (int64_t y = 0; y < r->y.out; y++) {
        const float *w = r->y.w + y * r->y.taps;
        const float *from = r->rows + (size_t)r->y.first[y] * line;
        for (size_t i = 0; i < line; i++) r->line[i] = 0.5f; /* for rounding */
        for (int64_t k = 0; k < r->y.used[y]; k++) {
            for (size_t i = 0; i < line; i++) r->line[i] += w[k] * from[(size_t)k * line + i];
        }
        uint8_t *to = out + (size_t)y * line;
        for (size_t i = 0; i < line; i++) to[i] = (uint8_t)(r->line[i] > 255.0f ? 255.0f : r->line[i]);
    }
}

static void free_axis(skive_context *ctx, axis *a) {
    skv_free(ctx, a->first);
    skv_free(ctx, a->used);
    skv_free(ctx, a->w);
}

void skv_resizer_free(skv_resizer *r) {
    if (!r) return;
    skive_context *ctx = r->ctx;
    free_axis(ctx, &r->x);
    free_axis(ctx, &r->y);
    skv_free(ctx, r->rows);
    skv_free(ctx, r->line);
    skv_free(ctx, r);
}

/* ---- sizes ---- */

void skv_scaled_size(const skive_dataset_options *o, int64_t h, int64_t w, int64_t *out_h, int64_t *out_w) {
    *out_h = o->resize_h ? o->resize_h : h;
    *out_w = o->resize_w ? o->resize_w : w;
    if (!o->resize_shorter) return;
    *out_h = h <= w ? o->resize_shorter : o->resize_shorter * h / w;
    *out_w = w <= h ? o->resize_shorter : o->resize_shorter * w / h;
}

int64_t skv_crop_start(int64_t size, int64_t kept) {
    const int64_t spare = size - kept; /* half of it, a half rounded to the even number */
    return spare / 2 + (spare % 2 && spare / 2 % 2);
}
