/* Transforms (augmentation): their records, what a record gets, and lists of them.
 *
 * A transform changes one sample, before normalisation. There are three forms, and a record has one of them:
 *
 *   apply   reads in[c][h][w] and writes all of out
 *   warp    says where in the image each pixel comes from; warp.c reads it there, bilinear, and masks of segmentation
 *           by the nearest pixel
 *   mix     is for the batch: samples and their labels are mixed in pairs
 *
 * A sample is seen as three axes: images [channels][height][width], waves [channels][1][time], planes of features
 * [channels][time][feature], tokens and rows of tables [1][1][n].
 *
 * Random numbers come from Philox with (sample, epoch and position in the list) as the counter, so they depend on
 * nothing else; see skv_draw. */
#ifndef SKV_TRANSFORM_H
#define SKV_TRANSFORM_H

#include "data/data.h"

/* ---- random numbers ---- */

typedef struct skv_draw {
    uint64_t key, low, high;
    uint32_t block, word[4];
    int used;     /* of word[] */
    double spare; /* the second of two normal numbers */
    bool has_spare;
} skv_draw;

skv_draw skv_draw_at(uint64_t seed, uint64_t index, uint64_t stream); /* stream below 2^40 */
uint32_t skv_draw_word(skv_draw *d);
double skv_draw_uniform(skv_draw *d); /* [0, 1), a multiple of 2^-32 */
/* A whole number in 0 .. n-1. */
int64_t skv_draw_below(skv_draw *d, int64_t n);
double skv_draw_between(skv_draw *d, double least, double most);
double skv_draw_normal(skv_draw *d); /* mean 0, variance 1 */
/* Marsaglia & Tsang 2000; shape above 0. */
double skv_draw_gamma(skv_draw *d, double shape);
double skv_draw_beta(skv_draw *d, double alpha, double beta);

/* ---- records ---- */

/* What a record's function gets. */
typedef struct skv_augment {
    const skv_option_values *options;
    skv_draw *draw;
    skv_content content;    /* what the sample is taken for */
    const int64_t *dims;    /* [3] */
    float *scratch;         /* [transform->scratch][size of a sample] */
    const float *deviation; /* [n] of the columns of a table */
} skv_augment;

/* Where an image is read: the pixel (x, y) of the result lies at
 * (m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5]) / (m[6] x + m[7] y + m[8]), in pixels from the centre of the first.
 * What is outside the image is 0. */
typedef struct skv_warp {
    double m[9];
    bool clamp; /* read nothing outside of this rectangle, ends included, but its border instead */
    double top, left, bottom, right;
} skv_warp;

/* How two samples of a batch are mixed, x with y and y with x: x becomes weight x + (1 - weight) y, or gets the
 * rectangle of y. Labels and targets are mixed by the weight in either case. */
typedef struct skv_mix {
    double weight;
    bool cut;
    int64_t top, left, bottom, right; /* bottom and right are not part of it */
} skv_mix;

typedef struct skv_transform {
    const char *name;   /* "crop" */
    const char *syntax; /* "crop:PIXELS", as skv_options_syntax writes it */
    const char *brief;
    const skv_option *options;
    size_t n_options;
    unsigned on;      /* SKV_ON_...: the contents of samples that it is for */
    bool unit;        /* works on pixels from 0 to 1, as 8-bit images are read */
    int64_t channels; /* the number it needs; 0: any */
    size_t scratch;   /* samples of scratch memory */
    bool moves;       /* `apply` moves pixels, so that masks cannot follow */
    bool deviation;   /* needs the columns' deviations */
    bool shortens;    /* changes how many tokens are no padding */
    /* Further conditions, or NULL. Errors: ARGUMENT. */
    skive_status (*check)(skive_context *ctx, const skv_option_values *options, const int64_t dims[3]);
    /* Each returns false if the sample is unchanged; then `out` is not used. */
    bool (*apply)(const skv_augment *a, const float *in, float *out);
    bool (*warp)(const skv_augment *a, skv_warp *out);
    bool (*mix)(const skv_augment *a, skv_mix *out);
} skv_transform;

enum {
    SKV_ON_IMAGE = 1 << SKV_CONTENT_IMAGE,
    SKV_ON_WAVE = 1 << SKV_CONTENT_WAVE,
    SKV_ON_FEATURES = 1 << SKV_CONTENT_FEATURES,
    SKV_ON_TOKENS = 1 << SKV_CONTENT_TOKENS,
    SKV_ON_TABLE = 1 << SKV_CONTENT_TABLE
};

#define X(id) extern const skv_transform skv_transform_##id;
#include "data/transforms.inc"
#undef X

extern const skv_family skv_transform_family;

/* ---- lists ---- */

enum { SKV_MAX_TRANSFORMS = 8 };

typedef struct skv_transform_list {
    int count;
    size_t scratch; /* samples of scratch memory that the longest of them needs */
    struct {
        const skv_transform *transform;
        skv_option_values options;
    } items[SKV_MAX_TRANSFORMS];
} skv_transform_list;

skive_status skv_transforms_parse(skive_context *ctx, const char *text, skv_transform_list *out);
/* What the samples of a set may be, as SKV_ON_... */
unsigned skv_contents_of(const skive_dataset *ds);
const char *skv_content_name(skv_content content);
/* Do the transforms fit the samples? *content is what they take them for. `last`: channels are stored last, and are
 * put first before. Errors: ARGUMENT (names the transform, and what the samples are). */
skive_status skv_transforms_fit(skive_context *ctx, const skv_transform_list *list, const skive_dataset *ds, bool last,
                                skv_content *content);
/* The three axes of a sample of this content. */
void skv_content_dims(const skive_dataset *ds, skv_content content, bool last, int64_t dims[3]);

typedef struct skv_transform_run {
    const skv_transform_list *list;
    uint64_t seed, epoch, index; /* index of the sample; for skv_transforms_mix, of the batch in the epoch */
    skv_content content;
    int64_t dims[3];
    float *scratch;         /* [list->scratch][size of a sample] */
    const float *deviation; /* of columns; NULL where no transform needs it */
    double spare;           /* each transform is left out with this probability */
} skv_transform_run;

/* Is transform `i` of the list (or all that mix: i is their number) left out for this sample (or batch)? */
bool skv_transforms_spare(const skv_transform_run *r, int i);

/* Transforms the sample in a; the result is in the buffer returned, a or b (both of the sample's size). */
float *skv_transforms_apply(const skv_transform_run *r, float *a, float *b);
/* Moves the labels of a mask [dims[1]][dims[2]] as skv_transforms_apply moves the pixels of its image: each becomes the
 * nearest one, outside of the image -1. b: room for as many. */
void skv_transforms_apply_labels(const skv_transform_run *r, int64_t *labels, int64_t *b);
/* The deviations of a table's columns, 0 of constant ones; [ds->size], freed by skv_free. */
skive_status skv_column_deviations(skive_context *ctx, const skive_dataset *ds, float **out);

/* ---- mixing ---- */

/* How many transforms of the list mix samples. */
size_t skv_transforms_mixing(const skv_transform_list *list);
/* How the pairs of a batch are mixed, by one of those transforms, which is drawn; false: not at all. */
bool skv_transforms_mix(const skv_transform_run *r, skv_mix *out);
/* `last`: the samples are [h][w][c]. */
void skv_mix_samples(const skv_mix *m, const int64_t dims[3], bool last, float *x, float *y);
void skv_mix_targets(const skv_mix *m, size_t n, float *x, float *y);

/* ---- pixels ---- */

skv_warp skv_warp_identity(void);
/* Of an image: mirrored along axis 1 (top to bottom) or 2, with the chance that the option "probability" gives. */
bool skv_warp_mirror(const skv_augment *a, int axis, skv_warp *out);
#define SKV_MIRROR_OPTION                                                                       \
    {                                                                                           \
        .name = "probability", .type = SKV_OPTION_REAL, .least = 0, .most = 1, .fallback = 0.5, \
        .brief = "of mirroring a sample"                                                        \
    }
/* The warp of an affine map about the centre of the image: the pixels turned by `angle` (radians, clockwise on the
 * screen), sheared by the tangents of two angles, made `scale` times as large, moved by (dx, dy). */
void skv_warp_affine(const int64_t dims[3], double angle, double scale, double shear_x, double shear_y, double dx,
                     double dy, skv_warp *out);
/* The projective map that takes each corner to[i] = (x, y) of the result back to from[i]; false if there is none. */
bool skv_warp_corners(double to[4][2], double from[4][2], skv_warp *out);
void skv_warp_run(const skv_warp *w, const int64_t dims[3], const float *in, float *out);
/* The nearest label for each pixel, -1 outside of the image; of [dims[1]][dims[2]]. */
void skv_warp_labels(const skv_warp *w, const int64_t dims[3], const int64_t *in, int64_t *out);

#endif
