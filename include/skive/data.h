/* Data: sets of samples, their splits, normalisation, augmentation, and a loader that prepares batches in the
 * background.
 *
 * A data set is opened from a specification:
 *
 *     fashion-mnist[:DIR]                        the Debian package dataset-fashion-mnist; the environment variable
 *                                                SKIVE_DATA_DIR replaces /usr/share/datasets
 *     mnist:DIR                                  the four files of MNIST, plain or .gz
 *     idx:IMAGES,LABELS[,TEST-IMAGES,TEST-LABELS]    any pair of IDX files of bytes, plain or .gz
 *     npy:X[,Y[,TEST-X,TEST-Y]]                  NumPy files: X [n]... of any shape and numeric type: images (channels
 *                                                first or last), series, volumes, tables; Y [n] integers (class
 *                                                labels), or floats or several numbers per sample (targets). npy:X,X
 *                                                is for autoencoders. X alone is enough for calibration
 *     text:DIR, text:FILE,column=COLUMN,label=COLUMN    texts as tokens (docs/tables-and-text.md)
 *     csv:FILE[,label=COLUMN,test=FILE]          a table with a header; tsv: with tabs (docs/tables-and-text.md)
 *     folder:DIR                                 PNG, JPEG or BMP files in one sub-folder per class, in DIR or in
 *                                                DIR/train, DIR/val (valid, validation) and DIR/test; classes are
 *                                                numbered in the order of their names. A folder that contains only
 *                                                image files has no labels (docs/data.md)
 *
 *     segment:DIR[,ignore=N|none]                images in DIR/images and PNG masks of the same names in DIR/masks, or
 *                                                in parts DIR/train/images and so on (docs/segmentation.md)
 *     audio:DIR[,rate=HZ][,seconds=S][,features=NAME][,OPTION=VALUE...]
 *                                                WAV, FLAC or Ogg files in folders as above, as samples of fixed length
 *                                                or features of them: raw, logmel, mfcc (docs/sound.md)
 *
 * In a list of files "\," is a comma that belongs to a name, and "\\" a backslash.
 *
 * 8-bit samples (IDX, images, .npy of uint8) are read as value / 255, all others unchanged. skive/input.h describes how
 * they become the input of a model.
 *
 * If a specification has no separate test set, the "test" split consists of all its files, so that
 * `idx:t10k-images.gz,t10k-labels.gz` evaluates exactly these; skive_dataset_info.separate_test is false then. A folder
 * with DIR/train and no DIR/test has no test split. If there is DIR/val, its samples are the validation split, and all
 * of DIR/train is used for training. */
#ifndef SKIVE_DATA_H
#define SKIVE_DATA_H

#include <skive/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_dataset skive_dataset;
typedef struct skive_loader skive_loader;

/* ---- data sets ---- */

typedef enum skive_split {
    SKIVE_SPLIT_TRAIN,      /* the training samples without the validation samples */
    SKIVE_SPLIT_VALIDATION, /* taken from the training samples by a permutation that depends on the seed */
    SKIVE_SPLIT_TEST,       /* the test samples: must not be used for any choice */
    SKIVE_SPLIT_TRAIN_FULL  /* all training samples */
} skive_split;

SKIVE_API const char *skive_split_name(skive_split split); /* "train", "validation", "test", "train-full" */

/* What the targets of a data set are. */
typedef enum skive_target_type {
    /* Integers, one per sample: classes. Floats: values, unless all are whole numbers that count classes from 0 or 1
     * without a gap, which a note reports */
    SKIVE_TARGETS_AUTO,
    SKIVE_TARGETS_CLASSES, /* numbers of classes, whatever their type */
    SKIVE_TARGETS_VALUES,  /* values to be fitted, whatever their type */
    SKIVE_TARGETS_NONE     /* not needed: they are ignored */
} skive_target_type;

struct skive_graph;

typedef struct skive_dataset_options {
    size_t size;                /* sizeof(skive_dataset_options) */
    skive_split split;          /* TRAIN */
    double validation_fraction; /* of the training samples, 0 to below 1: 1/12, which is 5,000 of 60,000 */
    /* Of the permutation and of `limit`: 1. Not the context's seed, so that the validation samples stay the same
     * whatever else a run varies */
    uint64_t seed;
    int64_t resize_h, resize_w; /* resize images to this (bilinear, antialiased when shrinking); 0: keep their size */
    size_t limit;               /* use only this many samples of the split, chosen by `seed`; 0: all */
    int64_t classes;            /* number of classes; 0: that of the data set, or the largest label + 1 */
    int64_t resize_shorter;     /* resize images so that their shorter side is this; 0: do not. Not with resize_h */
    int64_t crop_h, crop_w;     /* then crop the centre to this size; 0: do not */
    /* Of images in folders, 1 or 3; other images are converted. 0: those of `model`; without it 3 if any image (of
     * the training part) is in colour */
    int64_t channels;
    /* The model that will use the data set, or NULL; needed while the set is opened. Its input determines size and
     * channels of images in folders where no option does. Classes are matched by name with its class names and get
     * their numbers; a set with other names, or with another number of classes than the model has scores, is an
     * error. */
    const struct skive_graph *model;
    bool classes_by_order;     /* do not match names: classes are numbered by their order in the set */
    skive_target_type targets; /* AUTO */
    /* Settings of the samples in the form in which a model carries them (skive_dataset_info.preprocessing), where the
     * specification does not give them; NULL: those of `model`, if any. Copied. */
    const char *preprocessing;
    /* Leave out files of folders that cannot be read, instead of failing. All files are decoded for that when the set
     * is opened, so that the samples are the same in every run. A note counts them and names the first. */
    bool skip_bad;
    /* Of a model with several inputs the one that the samples are for, by name; NULL: the first. The kind "inputs" sets
     * it for each of its parts. */
    const char *input;
    /* Leave out those that a limit of this number would choose: of the others `limit`, or all where that is 0. 0: leave
     * out none */
    size_t skip;
} skive_dataset_options;

SKIVE_API skive_dataset_options skive_dataset_options_default(void);

/* Opens a split of the data set that `spec` names. Images in folders stay on disk and are decoded when read; other data
 * are kept in memory in their own element type. `options` NULL means the defaults. Errors: NOT_FOUND (no such kind),
 * ARGUMENT, DATA (a file is missing, is damaged, or disagrees with the others: the message names it), IO, MEMORY. */
SKIVE_API skive_status skive_dataset_open(skive_context *ctx, const char *spec, const skive_dataset_options *options,
                                          skive_dataset **out);
SKIVE_API void skive_dataset_free(skive_dataset *dataset);

/* One of the inputs that a data set gives for each sample. */
typedef struct skive_dataset_input {
    const char *name; /* NULL: has none (sets with one input) */
    int rank;         /* of one sample */
    int64_t dims[SKIVE_MAX_RANK];
    size_t sample_size;        /* values in one sample */
    skive_dtype dtype;         /* of the stored samples */
    int channel_axis;          /* as in skive_dataset_info */
    const char *preprocessing; /* the same */
} skive_dataset_input;

/* One of the targets that a data set gives for each sample: class labels, or floats. */
typedef struct skive_dataset_target {
    const char *name; /* NULL: has none (sets with one target) */
    bool labelled;    /* class labels */
    int64_t classes;  /* 0 when not labelled */
    const char *const *class_names;
    int rank; /* of one float target, or of the labels of a sample; 0: a single number */
    int64_t dims[SKIVE_MAX_RANK];
    size_t target_size; /* floats in one target; 0 when labelled */
} skive_dataset_target;

/* What concerns samples and targets describes the first input and the first target; the lists describe all. */
typedef struct skive_dataset_info {
    const char *kind; /* "fashion-mnist" */
    const char *spec; /* as given */
    skive_split split;
    size_t count; /* samples in this split */
    int rank;     /* of one sample, 1 or more, as in the files */
    int64_t dims[SKIVE_MAX_RANK];
    size_t sample_size; /* values in one sample */
    bool labelled;      /* targets are class labels */
    int label_rank;     /* a label for each position of a sample; 0: one for the sample */
    int64_t label_dims[SKIVE_MAX_RANK];
    size_t label_size;              /* labels of a sample; 0 when not labelled */
    int64_t classes;                /* 0 when not labelled */
    const char *const *class_names; /* [classes], or NULL */
    int target_rank;                /* of one float target if not labelled; 0: a single number */
    int64_t target_dims[SKIVE_MAX_RANK];
    size_t target_size;         /* floats in one target; 0 when labelled */
    bool separate_test;         /* the test split has other samples than the training splits */
    skive_dtype dtype;          /* of the stored samples: SKIVE_U8 for images */
    int channel_axis;           /* channel axis of a sample: 0 for images, [c][h][w]; -1: unknown (.npy) */
    const char *recipe;         /* of tables and text: how they become samples and labels; NULL for other kinds */
    size_t n_inputs, n_targets; /* n_targets 0: neither labels nor targets */
    const skive_dataset_input *inputs;
    const skive_dataset_target *targets;
    /* How samples were made from the files, with all settings ("rate=16000,seconds=1,features=mfcc,..."; of tables also
     * what was learnt from the training samples, docs/tables-and-text.md); NULL: as they
     * are. skive_model_set_input stores it in the model. */
    const char *preprocessing;
    int64_t vocabulary; /* samples are sequences of tokens, numbers below this; 0: they are not, or it is not known */
} skive_dataset_info;

/* Strings and lists are borrowed and live as long as the data set. */
SKIVE_API void skive_dataset_get_info(const skive_dataset *dataset, skive_dataset_info *out);

/* Sample `index` of the split into x[sample_size], and its class into *label (-1 when not labelled, and when there is a
 * label for each position). x and label may be
 * NULL. May be called from many threads at once, each with a context of its own. Errors: ARGUMENT, DATA (an image is
 * damaged), IO, MEMORY. */
SKIVE_API skive_status skive_dataset_read(skive_context *ctx, const skive_dataset *dataset, size_t index, float *x,
                                          int64_t *label);
/* The labels of sample `index` into labels[label_size]; -1 for positions that are of no class. Errors: ARGUMENT (out of
 * range, or the set has no labels), DATA (a mask is damaged, or has a class that the set does not have), IO, MEMORY. */
SKIVE_API skive_status skive_dataset_read_labels(skive_context *ctx, const skive_dataset *dataset, size_t index,
                                                 int64_t *labels);
/* The float target of sample `index` into y[target_size]. Errors: ARGUMENT (out of range, or the set has labels). */
SKIVE_API skive_status skive_dataset_read_target(skive_context *ctx, const skive_dataset *dataset, size_t index,
                                                 float *y);
/* One input, or one target, as a data set of its own with the same samples; borrowed. Functions that read samples or
 * labels take it. NULL: there are not as many. */
SKIVE_API const skive_dataset *skive_dataset_get_input(const skive_dataset *dataset, size_t input);
SKIVE_API const skive_dataset *skive_dataset_get_target(const skive_dataset *dataset, size_t target);
/* The position of sample `index` in the files (or in the sorted list of images). */
SKIVE_API size_t skive_dataset_origin(const skive_dataset *dataset, size_t index);

/* What value number `value` of a sample is: "height" or "colour=red" in tables; NULL: it has no name. */
SKIVE_API const char *skive_dataset_value_name(const skive_dataset *dataset, size_t value);

/* The kinds of data sets, in the order of their list, for help texts. NULL past the end. */
SKIVE_API size_t skive_dataset_kind_count(void);
SKIVE_API const char *skive_dataset_kind_name(size_t index);
SKIVE_API const char *skive_dataset_kind_syntax(size_t index);
SKIVE_API const char *skive_dataset_kind_brief(size_t index);

/* ---- normalisation ---- */

#define SKIVE_MAX_CHANNELS (1 << 20)

/* x becomes (x - mean[c]) / std[c]. channels 0: no normalisation; 1: the same pair for every channel (or feature);
 * otherwise one pair per channel of images and series, or per column of tables. In a struct filled in by hand, mean and
 * std may point anywhere; one returned by the library is freed by skive_normalization_free. */
typedef struct skive_normalization {
    int64_t channels;
    float *mean, *std; /* [channels] */
} skive_normalization;
SKIVE_API void skive_normalization_free(skive_context *ctx, skive_normalization *normalization);

/* Mean and standard deviation over the split (use a training split): per channel for samples of three or more axes (the
 * first axis being the channels), per column for feature vectors, one pair for [h][w]. A constant channel gets std 1.
 * Free with skive_normalization_free. Errors: as skive_dataset_read, NUMERIC and INTERRUPTED. */
SKIVE_API skive_status skive_dataset_statistics(skive_context *ctx, const skive_dataset *dataset,
                                                skive_normalization *out);

/* Formatting and parsing as text, "0.286;0.353" or "0.49,0.48,0.45;0.25,0.24,0.26" (means; deviations), in full
 * precision, whatever the locale; "" for no channels. Errors of format: ARGUMENT (buffer too small:
 * SKIVE_NORMALIZATION_TEXT(channels) bytes are enough; values that are not finite; std not positive); of parse, whose
 * result is freed by skive_normalization_free: ARGUMENT, MEMORY. */
#define SKIVE_NORMALIZATION_TEXT(channels) ((size_t)(channels)*36 + 4)
SKIVE_API skive_status skive_normalization_format(skive_context *ctx, const skive_normalization *normalization,
                                                  char *buffer, size_t size);
SKIVE_API skive_status skive_normalization_parse(skive_context *ctx, const char *text, skive_normalization *out);

/* (x - mean) / std in place over samples [n][channels][plane] (plane: height times width). A normalization with a
 * number of pairs other than 1 or `channels` is not applied. */
SKIVE_API void skive_normalization_apply(const skive_normalization *normalization, float *x, size_t n, size_t channels,
                                         size_t plane);

/* ---- transforms (augmentation) ----
 *
 * A list such as "crop:4,flip,rotate:10,cutout:8", applied in that order before normalisation. The random choices for a
 * sample depend only on (seed, epoch, index of the sample, position in the list). */

SKIVE_API size_t skive_transform_count(void);
SKIVE_API const char *skive_transform_name(size_t index); /* NULL past the end */
SKIVE_API const char *skive_transform_syntax(size_t index);
SKIVE_API const char *skive_transform_brief(size_t index);

/* ---- loader ---- */

typedef struct skive_loader_options {
    size_t size;                              /* sizeof(skive_loader_options) */
    size_t batch;                             /* samples per batch: 128 */
    bool shuffle;                             /* a new order each epoch: true */
    bool drop_last;                           /* leave out the last batch if it is not full: false */
    uint64_t seed;                            /* of order and transforms; 0: the context's seed */
    const char *transforms;                   /* NULL or "": none */
    const skive_normalization *normalization; /* copied; NULL: none */
    int prefetch;                             /* number of batches prepared in advance: 4 */
    int threads; /* that prepare them, 0 to 64: 1. 0: the calling thread prepares each batch when it is requested */
    /* Where transforms mix samples (mixup, cutmix): numbers in a row of label probabilities, if more than the set has
     * classes; the model's scores. 0: the classes */
    int64_t scores;
} skive_loader_options;

SKIVE_API skive_loader_options skive_loader_options_default(void);

/* One batch. Everything in it is borrowed until the next call of skive_loader_next, skive_loader_start_epoch or
 * skive_loader_free. */
typedef struct skive_batch {
    skive_tensor x; /* float32 [count][sample dims] */
    /* int64 [count], or [count][label dims] with -1 for positions of no class, or float32 [count][target dims] when not
     * labelled. Where a transform mixes samples, labels are float32 [count][classes]: the shares of the classes in each
     * sample, whose sum is 1 */
    skive_tensor y;
    const size_t *indices; /* [count] of the samples in the data set */
    size_t count;          /* 0 at the end of the epoch */
    bool end;              /* no batch was left */
    /* All inputs and targets of the set, in its order; x and y are the first. */
    size_t n_inputs, n_targets;
    const skive_tensor *inputs, *targets;
} skive_batch;

/* Creates a loader over `dataset`, which must outlive it, as must the context. All memory for batches is allocated
 * here. Order and contents of the batches depend on the options but never on `threads` and `prefetch`. Errors: ARGUMENT
 * (names the option or the transform), MEMORY. */
SKIVE_API skive_status skive_loader_create(skive_context *ctx, const skive_dataset *dataset,
                                           const skive_loader_options *options, skive_loader **out);
SKIVE_API void skive_loader_free(skive_loader *loader);            /* at any time, NULL accepted */
SKIVE_API size_t skive_loader_batches(const skive_loader *loader); /* in an epoch */

/* Begins epoch `epoch` with its first batch and drops the rest of the previous one. Two epochs with the same number
 * have the same contents. */
SKIVE_API skive_status skive_loader_start_epoch(skive_loader *loader, uint64_t epoch);

/* The next batch, or out->end. After an error, the same error is returned until an epoch is started. Errors: ARGUMENT
 * (no epoch was started), DATA, IO (a file could not be read or is damaged: the message names it), MEMORY. */
SKIVE_API skive_status skive_loader_next(skive_loader *loader, skive_batch *out);

/* ---- what is in a data set ---- */

/* One split. */
/* One of the inputs or targets of a split behind the first. */
typedef struct skive_part_summary {
    char *name;  /* NULL: it has none */
    bool target; /* otherwise an input */
    /* Of each channel, as in skive_split_summary; of float targets one over all of them; 0 where there are classes. */
    int64_t channels;
    double *mean, *std, *least, *most; /* [channels] */
    int64_t classes;                   /* 0 when not labelled */
    size_t *per_class;                 /* [classes] samples, or pixels of masks */
} skive_part_summary;

typedef struct skive_split_summary {
    skive_split split;
    size_t count;
    size_t damaged;    /* samples that cannot be read, and those that skip_bad left out (not in `count`) */
    size_t not_finite; /* that contain NaN or infinity */
    /* [classes] samples, the damaged ones included, or where masks give labels, their pixels; NULL when not labelled */
    size_t *per_class;
    /* Of each channel (of images and series; columns of tables; one for [h][w]), over the samples that can be read and
     * are finite; NaN where there is none. The deviation of a constant channel is 0. */
    int64_t channels;
    double *mean, *std, *least, *most; /* [channels] */
    /* The same of all float targets; NaN when labelled. */
    double target_mean, target_std, target_least, target_most;
    size_t n_more; /* inputs behind the first, then targets behind the first */
    skive_part_summary *more;
} skive_split_summary;

/* Something that should be looked at. */
typedef struct skive_data_problem {
    /* "duplicates" (samples of a split that are also in another), "repeats" (samples that occur more than once in a
     * split), "contradictions" (equal samples with different labels), "damaged", "not-finite", "empty-classes" (without
     * samples in any split), "missing-classes" (without samples in a split), "constant-channels", "imbalance" (the
     * largest class of the first split has more than ten times the samples of the smallest) */
    const char *kind;
    size_t count; /* of samples, classes or channels */
    char *text;   /* a sentence with examples */
} skive_data_problem;

typedef struct skive_data_summary {
    size_t n_splits;
    skive_split_summary *splits;
    size_t n_problems;
    skive_data_problem *problems;
} skive_data_summary;

/* Reads all samples of the splits, which are of one data set, and summarizes them. Equal samples are found by a 64-bit
 * hash of their values. A sample that cannot be read is a problem and not an error. Errors: ARGUMENT (no split; splits
 * whose samples or classes differ), MEMORY, INTERRUPTED. */
SKIVE_API skive_status skive_data_summarize(skive_context *ctx, const skive_dataset *const *splits, size_t n,
                                            skive_data_summary *out);
SKIVE_API void skive_data_summary_free(skive_context *ctx, skive_data_summary *summary);

typedef struct skive_sheet_options {
    size_t size;            /* sizeof(skive_sheet_options) */
    size_t samples;         /* pictures on the sheet, 1 to 1024: 64, or as many as there are */
    int columns;            /* 8 */
    const char *transforms; /* as in skive_loader_options; NULL: none */
    uint64_t seed;          /* chooses the samples, and what transforms draw; 0: the context's seed */
    uint64_t epoch;         /* 0 */
    bool in_order;          /* the first samples of the split, not random ones: false */
} skive_sheet_options;

SKIVE_API skive_sheet_options skive_sheet_options_default(void);

/* Writes a contact sheet as PNG: samples as the loader gives them to a training run, after transforms, without
 * normalisation, with the names of their classes, or the colours of their masks' classes over them. Images are enlarged
 * or reduced by a whole factor; planes of features are drawn with time to the right and frequency upwards, series as
 * curves. Values that are not 8-bit are spread between the least and the largest of a picture, which a note says.
 * Errors: ARGUMENT (names the option, or samples that cannot be drawn), UNSUPPORTED (built without libpng), DATA and IO
 * (a sample cannot be read; the file cannot be written), MEMORY. */
SKIVE_API skive_status skive_data_sheet(skive_context *ctx, const skive_dataset *dataset,
                                        const skive_sheet_options *options, const char *path);

#ifdef __cplusplus
}
#endif
#endif
