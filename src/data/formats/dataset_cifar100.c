/* cifar100: the binary version of CIFAR-100, with its fine or coarse labels. */
#include <string.h>

#include "data/formats/cifar.h"
#include "data/formats/disk.h"

static const skv_cifar fine = {.folder = "cifar-100-binary",
                               .train = {"train.bin"},
                               .test = "test.bin",
                               .names = "fine_label_names.txt",
                               .labels = 2,
                               .label = 1,
                               .classes = 100};
static const skv_cifar coarse = {.folder = "cifar-100-binary",
                                 .train = {"train.bin"},
                                 .test = "test.bin",
                                 .names = "coarse_label_names.txt",
                                 .labels = 2,
                                 .classes = 20};

static const char *label_choice(size_t i) {
    static const char *const names[] = {"fine", "coarse"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

static const skv_option options[] = {
    {.name = "label",
     .type = SKV_OPTION_CHOICE,
     .text = "fine",
     .choices = label_choice,
     .brief = "which of the two labels: fine (100 classes) or coarse (20)"},
    SKV_DISK_OPTION,
};

static skive_status open_cifar100(skive_context *ctx, const char *args, bool test, const skive_dataset_options *given,
                                  skive_dataset *ds) {
    const bool is_fine = strcmp(skv_option_text(ds->values, "label"), "fine") == 0;
    (void)given;
    return skv_cifar_open(ctx, args, is_fine ? &fine : &coarse, test, ds);
}

const skv_dataset_kind skv_dataset_cifar100 = {
    .name = "cifar100",
    .syntax = "cifar100:DIR",
    .brief = "the binary files of CIFAR-100, in DIR or in DIR/cifar-100-binary",
    SKV_OPTIONS(options),
    .needs_args = true,
    .open = open_cifar100,
};
