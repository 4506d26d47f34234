/* Internals of src/data: the records of data sets and transforms, and the readers they share.
 *
 * A kind of data set is a record that opens either its training or its test files; splits, limits and seeds are handled
 * once for all kinds, in dataset.c. */
#ifndef SKV_DATA_H
#define SKV_DATA_H

#include <skive/data.h>

#include "base/option.h"

struct skv_feeds;
struct skv_npy_info;
struct skv_disk;

/* ---- data sets ---- */

enum { SKV_MAX_CLASSES = 1 << 20, SKV_MAX_PARTS = 64 };

/* What a sample is, where the kind of the set knows; others are judged by shape and type (skv_contents_of). */
typedef enum skv_content {
    SKV_CONTENT_UNKNOWN,
    SKV_CONTENT_IMAGE,    /* [c][h][w], or [h][w] */
    SKV_CONTENT_WAVE,     /* sound or another series: [time], or [channels][time] */
    SKV_CONTENT_FEATURES, /* a plane of features of a series: [time][feature], or [1][time][feature] */
    SKV_CONTENT_TOKENS,   /* [n] numbers of tokens */
    SKV_CONTENT_TABLE     /* [n] columns */
} skv_content;

typedef struct skv_dataset_kind {
    const char *name;   /* "idx" */
    const char *syntax; /* "idx:IMAGES,LABELS" */
    const char *brief;
    const skv_option *options; /* written behind the files: "csv:FILE,label=NAME"; SKV_OPTIONS(...) */
    size_t n_options;
    const char *naming; /* how inputs without a name get one: "text:...,input=NAME"; NULL: not by the kind itself */
    bool needs_args;
    /* Fills `ds` with all training samples, or with all test samples. `args` is the text after "name:" without the
     * options, or ""; the options' values are in ds->values. On failure the caller frees what was filled in. */
    skive_status (*open)(skive_context *ctx, const char *args, bool test, const skive_dataset_options *options,
                         skive_dataset *ds);
    /* Sample `index` of the files as floats; NULL when the samples are in `u8` or `x`, or where there is `load`. */
    skive_status (*read)(skive_context *ctx, const skive_dataset *ds, size_t index, float *x);
    /* Sample `index` of the files in the type ds->dtype, for samples that stay on disk and are not bytes / 255. */
    skive_status (*load)(skive_context *ctx, const skive_dataset *ds, size_t index, void *x);
    /* The labels of sample `index` of the files, for sets with a label per position; -1: of no class. */
    skive_status (*read_labels)(skive_context *ctx, const skive_dataset *ds, size_t index, int64_t *labels);
    void (*close)(skive_dataset *ds); /* frees `state`; may be NULL */
} skv_dataset_kind;

const char *skv_dataset_naming(const char *kind); /* of the kind of this name; NULL: none */

/* One of several inputs or targets of a data set. */
typedef struct skv_dataset_part {
    char *name;         /* NULL: has none */
    skive_dataset *set; /* the set itself or one of its children; only its samples, or only its labels, are meant */
} skv_dataset_part;

struct skive_dataset {
    skive_context *ctx;
    const skv_dataset_kind *kind;
    char *spec;
    skive_split split;
    /* Filled in by the kind. */
    size_t total;                  /* samples in the files */
    skive_dataset_options options; /* including derived settings, so that another split is opened in the same way */
    bool by_order;                 /* the caller asked for classes_by_order */
    int rank;                      /* of a sample */
    int64_t dims[SKIVE_MAX_RANK];  /* images: [c][h][w] */
    int channel_axis;              /* 0 for images, -1 if unknown */
    skv_content content;           /* UNKNOWN where the kind does not know */
    int64_t vocabulary;            /* of tokens: all are below this; 0: not known */
    size_t left_out;               /* files that cannot be read, with skip_bad */
    char *first_left_out;          /* what is wrong with the first of them, or NULL */
    size_t passed_over;        /* samples that the files have and the set has not: damaged files, gaps, empty lines */
    size_t size;               /* product of dims */
    const uint8_t *u8;         /* [total][size] 8-bit samples in memory, or NULL */
    void *u8_block;            /* the allocation that holds them, or NULL */
    skive_tensor x;            /* samples of another type in memory; may also contain `u8` */
    struct skv_disk *disk;     /* samples that stay in their files (disk.h), in the type dtype; or NULL */
    skive_dtype dtype;         /* of samples that are not in memory; NONE: bytes, read as value / 255 */
    skv_option_values *values; /* of the kind's options; NULL where it has none */
    void *state;               /* other state of the kind */
    int32_t *labels;           /* [total], or NULL */
    int label_rank;            /* of the labels of a sample, one for each position; 0: there are none */
    int64_t label_dims[SKIVE_MAX_RANK];
    size_t label_size;    /* product of label_dims */
    int32_t *site_labels; /* [total][label_size], -1: of no class; NULL: they stay on disk, read_labels gives them */
    int32_t *label_to;    /* [classes] the model's numbers for those of positions; NULL: the same */
    int64_t classes;
    char **class_names; /* [classes], or NULL */
    float *targets;     /* [total][target_size], or NULL */
    int target_rank;
    int64_t target_dims[SKIVE_MAX_RANK];
    size_t target_size;
    char *answer_name; /* what the files call the only target, for messages; or NULL */
    bool separate_test, separate_validation;
    /* How samples were made from the files, as a model keeps it in its metadata under this key; both may be NULL. */
    const char *recipe_key;
    char *recipe;
    char **value_names; /* [size], of the columns of tables; or NULL */
    /* A set with several inputs or targets lists them (parts.c). A child has samples or labels of its own and the order
     * and split of its owner, so that it can be read like any data set. */
    skive_dataset **children;  /* owned */
    skv_dataset_part *inputs;  /* none: the set's own samples, without a name */
    skv_dataset_part *answers; /* none: the set's own labels or targets, without a name */
    size_t n_children, n_inputs, n_answers;
    const skive_dataset *owner; /* of a child: whose order it borrows; NULL */
    /* Filled in by dataset.c. */
    uint32_t *order; /* [count] samples of the split; NULL: all, in order */
    size_t count;
    skive_dataset_input *input_list; /* for skive_dataset_info */
    skive_dataset_target *target_list;
};

#define X(id) extern const skv_dataset_kind skv_dataset_##id;
#include "data/datasets.inc"
#undef X

static inline size_t skv_dataset_at(const skive_dataset *ds, size_t index) {
    return ds->order ? ds->order[index] : index;
}

/* Are there class labels, one for each sample or for each position of a sample? */
static inline bool skv_dataset_labelled(const skive_dataset *ds) { return ds->labels || ds->label_rank > 0; }

/* Type of the stored samples. */
static inline skive_dtype skv_dataset_dtype(const skive_dataset *ds) {
    return ds->u8 ? SKIVE_U8 : ds->x.data ? ds->x.dtype : ds->dtype ? ds->dtype : SKIVE_U8;
}

/* Can the samples be loaded in their own type? */
static inline bool skv_dataset_loads(const skive_dataset *ds) { return ds->disk || ds->kind->load; }
/* Sample `at` of the files in its own type. */
skive_status skv_dataset_load(skive_context *ctx, const skive_dataset *ds, size_t at, void *x);

/* Are the stored samples of 8 bits? They are read as value / 255. */
static inline bool skv_dataset_bytes(const skive_dataset *ds) { return skv_dataset_dtype(ds) == SKIVE_U8; }

/* ---- several inputs and targets (parts.c) ----
 *
 * A kind that gives more than its own samples makes children in `open` and lists all inputs by name, its own samples
 * (as `set` == ds) among them; the first is the one that skive_dataset_read reads. */

/* A child whose samples are in `x` (rank, dims, size, total set by skv_dataset_take_samples), or that has labels. */
skive_status skv_dataset_new_child(skive_context *ctx, skive_dataset *ds, skive_dataset **out);
/* A child that `spec` names, opened with all samples of the part of `options->split`. */
skive_status skv_dataset_open_child(skive_context *ctx, skive_dataset *ds, const char *spec,
                                    const skive_dataset_options *options, skive_dataset **out);
/* `t` [total][sample dims] becomes the samples of `set`; it is emptied. */
void skv_dataset_take_samples(skive_dataset *set, skive_tensor *t);
/* Samples of a .npy array that begins at `offset` of the file stay there. */
skive_status skv_dataset_take_disk(skive_context *ctx, skive_dataset *set, const char *path, uint64_t offset,
                                   const struct skv_npy_info *info);
skive_status skv_dataset_add_input(skive_context *ctx, skive_dataset *ds, const char *name, skive_dataset *set);
/* The first one added gives its labels or targets to `ds` itself, from where everything reads them. */
skive_status skv_dataset_add_answer(skive_context *ctx, skive_dataset *ds, const char *name, skive_dataset *set);
/* The data sets behind the inputs and targets; for a set without lists, itself. */
size_t skv_dataset_input_count(const skive_dataset *ds);
size_t skv_dataset_answer_count(const skive_dataset *ds);
const skive_dataset *skv_dataset_input(const skive_dataset *ds, size_t i);
const skive_dataset *skv_dataset_answer(const skive_dataset *ds, size_t i);
/* After the kind has opened the set: all parts must have the same number of samples. */
skive_status skv_dataset_parts_check(skive_context *ctx, const skive_dataset *ds);
/* After the samples of the split are chosen. */
skive_status skv_dataset_parts_finish(skive_context *ctx, skive_dataset *ds);
void skv_dataset_parts_free(skive_dataset *ds);

/* Both as one set: first the samples of a set with one class label each, then those of another of the same form, whose
 * labels are -1 whatever they are there. Both must outlive it. Errors: DATA (they differ; says in what). */
skive_status skv_dataset_join(skive_context *ctx, const skive_dataset *labelled, const skive_dataset *unlabelled,
                              skive_dataset **out);

/* ---- helpers of the kinds ---- */

/* Reads a pair of IDX files into ds: u8, labels, total, dims. known_classes 0: any label. */
skive_status skv_idx_open(skive_context *ctx, const char *images, const char *labels, int64_t known_classes,
                          skive_dataset *ds);
/* The four files of MNIST in `dir`, either part; sets 10 classes with these names. `advice` ends the message about a
 * missing file. */
skive_status skv_mnist_open(skive_context *ctx, const char *dir, bool test, const char *const names[10],
                            const char *advice, skive_dataset *ds);
/* Which of `total` training samples the validation split holds out of what is trained on, one byte each; *out NULL:
 * none. What is learnt from the samples leaves them out. `separate`: the validation samples are others. */
skive_status skv_dataset_held_out(skive_context *ctx, const skive_dataset_options *o, size_t total, bool separate,
                                  uint8_t **out);
/* Splits "A", "A,B" or "A,B,C,D"; "\," is a comma in a name. *count: how many. ERR_ARGUMENT names the syntax. */
skive_status skv_split_args(skive_context *ctx, const skv_dataset_kind *kind, const char *args, char *names[4],
                            int *count);
void skv_free_args(skive_context *ctx, char *names[4]);
/* Takes the options of the kind out of the text behind "name:", and parses them into ds->values. *rest: the files,
 * freed by skv_free. An item "word=..." is an option if the kind has one of this name, and an error if it has options
 * and there is no such file. Items behind an option that is a list and without "word=" continue the list. */
skive_status skv_split_options(skive_context *ctx, const skv_dataset_kind *kind, const char *args, char **rest,
                               skive_dataset *ds);
extern const skv_family skv_dataset_family;
extern const skv_table skv_data_table; /* of skive_dataset_options */
/* Values per sample in the model's output; -1: unknown. */
int64_t skv_model_scores(skive_context *ctx, const struct skive_graph *g);
/* After the kind has opened the set: numbers the classes as in options->model, checks labels against its number of
 * scores, and reports classes that do not occur. */
skive_status skv_classes_match(skive_context *ctx, const skive_dataset_options *o, skive_dataset *ds);
/* A note if some of the classes are not seen[classes]; `more` ends it. */
skive_status skv_classes_tell_absent(skive_context *ctx, const char *where, const uint8_t *seen, int64_t classes,
                                     const char *more);
/* A note if a class of the model has another name than the class of the set with the same number. `who`: "the
 * teacher". */
skive_status skv_classes_compare(skive_context *ctx, const struct skive_graph *g, const skive_dataset_info *info,
                                 const char *who);
/* Of each class of the set its number in the model, by name: [info->classes], freed by skv_free. NULL where the numbers
 * are the same, where one side has no names, and where all names differ and classes count by their order (`by_order`;
 * then as above). What was done is noted. `who`: "the teacher". Errors: DATA (a class is not
 * known to the model; both are named), MEMORY. */
skive_status skv_classes_map(skive_context *ctx, const struct skive_graph *g, const skive_dataset_info *info,
                             const char *who, bool by_order, int64_t **map);
int64_t skv_class_place(char *const *list, int64_t n, const char *name); /* n: it is not there */
/* The same for a model that knows a part of the classes: -1 for those that it does not, and never NULL. names[n] are
 * those of its scores; NULL: those of its metadata. A note tells what it knows. Errors: DATA (a side has no names, a
 * name is there twice, or fewer than two classes are known), MEMORY. */
skive_status skv_classes_known(skive_context *ctx, const struct skive_graph *g, char **names, int64_t n,
                               const skive_dataset_info *info, const char *who, int64_t **map);
/* Reads names of classes from a file, one a line. Freed by skive_class_names_free. Errors: IO, DATA (none). */
skive_status skv_class_names_read(skive_context *ctx, const char *path, char ***names, int64_t *n);
/* Checks labels[total] (of `path`) against `known` classes, or counts the classes; sets ds->classes. */
/* Of the samples of one file. */
skive_status skv_labels_check_part(skive_context *ctx, const char *path, int64_t known, skive_dataset *ds, size_t first,
                                   size_t n);
skive_status skv_labels_check(skive_context *ctx, const char *path, int64_t known, skive_dataset *ds);
bool skv_path_exists(const char *path);
bool skv_path_is_folder(const char *path);

/* ---- masks ---- */

/* An image whose pixels are numbers: values of grey, indices of a palette as they are stored, or colours 0xrrggbb. */
typedef struct skv_mask {
    int width, height;
    bool colour;
    uint32_t *values; /* [height][width], freed by skv_free */
} skv_mask;
/* PNG only, since other formats change the numbers. Errors: DATA, MEMORY, UNSUPPORTED (built without libpng). */
skive_status skv_mask_read(skive_context *ctx, const char *path, skv_mask *out);

/* ---- a plain or gzip file read from the front ---- */

typedef struct skv_stream skv_stream;
skive_status skv_stream_open(skive_context *ctx, const char *path, skv_stream **out);
/* Exactly n bytes, or ERR_DATA. */
skive_status skv_stream_read(skv_stream *s, void *out, size_t n);
/* No byte may follow, and the checksum must be right; otherwise ERR_DATA. */
skive_status skv_stream_finish(skv_stream *s);
/* Upper bound of the remaining bytes, to check sizes against before allocating. */
size_t skv_stream_bound(const skv_stream *s);
void skv_stream_free(skv_stream *s);

/* ---- images ---- */

enum { SKV_IMAGE_MAX_SIDE = 16384, SKV_IMAGE_MAX_BYTES = 256 << 20 };

typedef struct skv_image {
    int width, height, channels; /* 1 grey, 3 RGB */
    uint8_t *pixels;             /* [height][width][channels], freed by skv_free */
} skv_image;

typedef enum skv_image_format { SKV_IMAGE_NONE, SKV_IMAGE_PNG, SKV_IMAGE_JPEG, SKV_IMAGE_BMP } skv_image_format;
/* By content, whatever the name of the file. */
skv_image_format skv_image_format_of(const void *bytes, size_t n);

/* Properties that are known without decoding. */
typedef struct skv_image_head {
    skv_image_format format;
    uint64_t width, height; /* as displayed, after rotation */
    int channels;           /* 1 or 3 */
    int turn;               /* EXIF orientation, 1 to 8; 1: as stored */
    bool alpha, deep, cmyk; /* transparency, 16 bits per channel, CMYK */
} skv_image_head;
/* Errors: DATA (no such image, or one too large), IO. */
skive_status skv_image_head_read(skive_context *ctx, const char *path, skv_image_head *out);
skive_status skv_image_head_of(skive_context *ctx, const void *bytes, size_t n, const char *path, skv_image_head *out);
int skv_image_turn_of(const void *bytes, size_t n);
/* The error for a file that is not an image or has an unsupported format, which is named if it is recognised. */
skive_status skv_image_refuse(skive_context *ctx, const void *bytes, size_t n, const char *path);

/* Decodes a PNG, JPEG or BMP in memory and applies the EXIF orientation. channels 0: as in the file (grey or RGB;
 * transparency is ignored); 1 or 3: converted. `path` is for messages. Errors: DATA (not an image, damaged, truncated,
 * too large), MEMORY. */
skive_status skv_image_decode(skive_context *ctx, const void *bytes, size_t n, const char *path, int channels,
                              skv_image *out);
skive_status skv_png_decode(skive_context *ctx, const void *bytes, size_t n, const char *path, skv_image *out);
skive_status skv_jpeg_decode(skive_context *ctx, const void *bytes, size_t n, const char *path, bool grey,
                             skv_image *out);
skive_status skv_bmp_decode(skive_context *ctx, const void *bytes, size_t n, const char *path, skv_image *out);
/* `bytes`: at least the first 4096 of the file. */
skive_status skv_bmp_head(skive_context *ctx, const void *bytes, size_t n, const char *path, skv_image_head *out);
/* Checks a claimed size before memory is allocated for it. */
skive_status skv_image_check(skive_context *ctx, const char *path, uint64_t width, uint64_t height, int channels);

/* The size to which images of h x w are resized by the options, and the offset of the centre crop, as in
 * torchvision. */
void skv_scaled_size(const skive_dataset_options *o, int64_t h, int64_t w, int64_t *out_h, int64_t *out_w);
int64_t skv_crop_start(int64_t size, int64_t kept);
/* Resizing with a triangle filter that widens when shrinking. */
typedef struct skv_resizer skv_resizer;
skive_status skv_resizer_create(skive_context *ctx, int64_t in_h, int64_t in_w, int64_t out_h, int64_t out_w,
                                int channels, skv_resizer **out);
void skv_resizer_run(skv_resizer *r, const uint8_t *in, uint8_t *out); /* [h][w][channels] */
void skv_resizer_free(skv_resizer *r);

/* ---- normalisation ---- */

bool skv_normalization_valid(const skive_normalization *n);
/* Allocates this many channels, zeroed. */
skive_status skv_normalization_create(skive_context *ctx, int64_t channels, skive_normalization *out);
/* "0.49,0.48,0.45": skv_free(*values). at most `most` numbers. Returns false for anything else; status tells whether
 * memory ran out. */
skive_status skv_parse_numbers(skive_context *ctx, const char *text, size_t length, int64_t most, int64_t *count,
                               float **values, bool *good);
/* Appends numbers separated by commas, nine digits each. */
void skv_put_numbers(skv_text *t, int64_t count, const float *values);

/* A loader that makes batches as described by `feeds`; NULL: the inputs of the set as they are. */
skive_status skv_loader_create(skive_context *ctx, const skive_dataset *ds, const skive_loader_options *options,
                               const struct skv_feeds *feeds, skive_loader **out);
/* Epochs that are started from now on have only the samples chosen[n], at least one; NULL: all. Borrowed. */
void skv_loader_choose(skive_loader *l, const uint32_t *chosen, size_t n);
/* What transforms draw repeats after so many epochs (0: it does not), and is that of epochs `shift` later. Before the
 * first epoch is started. */
void skv_loader_views(skive_loader *l, uint64_t repeat, uint64_t shift);
/* Each transform is left out with this probability, in the epochs that are started from now on; 0: none is. */
void skv_loader_spare(skive_loader *l, double part);
/* skive_loader_start_epoch, beginning with batch `first` of the epoch. */
skive_status skv_loader_start_at(skive_loader *l, uint64_t epoch, size_t first);

#endif
