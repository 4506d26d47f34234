/* Models that take float images, normalised by whoever runs them, become models that take pixels (uint8). */
#ifndef SKV_QUANT_PIXELS_H
#define SKV_QUANT_PIXELS_H

#include "quant/quant.h"

/* One input. With pixels p, the model was given x = (p * scale - mean) / std of each channel; while it is quantized it
 * is given d = p - zero as float32, which becomes p itself on the grid with scale 1 and this zero point. */
typedef struct skv_pixel_input {
    size_t index;
    bool folded; /* into the layers that read it; else a product and a sum stand behind it */
    int zero;
    double scale;
    double *mean, *std; /* [channels] */
    int64_t channels, inner;
} skv_pixel_input;
typedef struct skv_pixels {
    skv_pixel_input *items;
    size_t n;
    skive_feed_fn feed; /* of the normalised inputs */
    void *user;
    skive_context *ctx;
} skv_pixels;

/* Does the option `input_type` ask for it? ERR_ARGUMENT; UNSUPPORTED: the activations' grid is not that of pixels. */
skive_status skv_pixels_asked(skive_context *ctx, const skive_quantize_options *o, const skv_quantizer *activations,
                              bool *asked);
/* The graph takes d in place of x, and its metadata say so. Errors: UNSUPPORTED, NOT_FOUND. */
skive_status skv_pixels_fold(skive_context *ctx, skive_graph *g, const skive_quantize_options *o, skv_pixels *out);
/* A skive_feed_fn whose user is a skv_pixels: what its feed gives, as d. ERR_DATA: these are no pixels. */
skive_status skv_pixels_feed(void *user, int64_t index, skive_tensor *inputs, size_t n_inputs);
/* The grid of a value that is such an input; false: it is none. */
bool skv_pixels_grid(const skv_pixels *p, const skive_graph *g, const skive_value *v, skv_grid_params *out);
/* The quantized graph takes uint8. */
skive_status skv_pixels_finish(skive_graph *g, const skv_pixels *p);
void skv_pixels_free(skive_context *ctx, skv_pixels *p);

#endif
