/* The options with which a data set is opened, as a table. What they must be together is checked when it is opened. */
#include "data/data.h"

static const char *split_at(size_t i) {
    static const char *const names[] = {[SKIVE_SPLIT_TRAIN] = "train",
                                        [SKIVE_SPLIT_VALIDATION] = "validation",
                                        [SKIVE_SPLIT_TEST] = "test",
                                        [SKIVE_SPLIT_TRAIN_FULL] = "train-full"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

static const char *targets_at(size_t i) {
    static const char *const names[] = {[SKIVE_TARGETS_AUTO] = "auto",
                                        [SKIVE_TARGETS_CLASSES] = "class",
                                        [SKIVE_TARGETS_VALUES] = "float",
                                        [SKIVE_TARGETS_NONE] = "none"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

#define SIDE(name_, field_, needs_, brief_)                                                       \
    {                                                                                             \
        .name = (name_), .type = SKV_OPTION_INTEGER, .most = SKV_IMAGE_MAX_SIDE, .needs = needs_, \
        SKV_FIELD(INT64, skive_dataset_options, field_), .brief = (brief_)                        \
    }

static const skv_option options[] = {
    {.name = "split",
     .type = SKV_OPTION_CHOICE,
     .choices = split_at,
     .text = "train",
     SKV_FIELD(ENUM, skive_dataset_options, split),
     .brief = "which samples"},
    {.name = "validation-fraction",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .below = true,
     .fallback = 1.0 / 12.0,
     SKV_FIELD(DOUBLE, skive_dataset_options, validation_fraction),
     .brief = "part of the training samples that is held out for validation"},
    {.name = "seed",
     .type = SKV_OPTION_INTEGER,
     .most = 9e18,
     .fallback = 1,
     SKV_FIELD(UINT64, skive_dataset_options, seed),
     .brief = "seed of the choice of validation samples and of a limit"},
    {.name = "limit",
     .type = SKV_OPTION_INTEGER,
     .most = 9e18,
     SKV_FIELD(SIZE, skive_dataset_options, limit),
     .brief = "use only this many samples of the split; 0: all"},
    {.name = "skip",
     .type = SKV_OPTION_INTEGER,
     .most = 9e18,
     SKV_FIELD(SIZE, skive_dataset_options, skip),
     .brief = "leave out those that a limit of this number would choose"},
    {.name = "classes",
     .type = SKV_OPTION_INTEGER,
     .most = SKV_MAX_CLASSES,
     SKV_FIELD(INT64, skive_dataset_options, classes),
     .brief = "number of classes; 0: as the data have"},
    SIDE("resize-height", resize_h, "resize-width", "height to which images are resized; 0: their own"),
    SIDE("resize-width", resize_w, "resize-height", "width to which images are resized; 0: their own"),
    SIDE("resize-shorter", resize_shorter, "!resize-height", "size to which the shorter side is resized; 0: not"),
    SIDE("crop-height", crop_h, "crop-width", "height of the centre that is kept; 0: all"),
    SIDE("crop-width", crop_w, "crop-height", "width of the centre that is kept; 0: all"),
    {.name = "channels",
     .type = SKV_OPTION_INTEGER,
     .most = 3,
     SKV_FIELD(INT64, skive_dataset_options, channels),
     .brief = "channels of images in folders, 1 or 3; 0: as the model takes, or the images have"},
    {.name = "class-order",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_dataset_options, classes_by_order),
     .brief = "number the classes by their order in the data set, not by the model's class names"},
    {.name = "targets",
     .type = SKV_OPTION_CHOICE,
     .choices = targets_at,
     .text = "auto",
     SKV_FIELD(ENUM, skive_dataset_options, targets),
     .brief = "what labels are"},
    {.name = "skip-bad",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_dataset_options, skip_bad),
     .brief = "leave out files that cannot be read, and say how many"},
    {.name = "preprocessing",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_dataset_options, preprocessing),
     .brief = "settings of the samples, in the form in which a model carries them"},
    {.name = "input",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_dataset_options, input),
     .brief = "of a model with several inputs the one that the samples are for"},
};

const skv_table skv_data_table = {"data", options, SKV_LENGTH(options), NULL};
