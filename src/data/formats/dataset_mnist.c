/* mnist: the four files of MNIST, and of data sets in the same format, in one folder. */
#include <stdio.h>
#include <string.h>

#include "data/data.h"

/* The first existing one of the possible names of the file. */
static skive_status find_file(skive_context *ctx, const char *dir, const char *stem, const char *ending,
                              const char *advice, char **out) {
    static const char joints[] = {'-', '.'};
    static const char *const tails[] = {".gz", ""};
    *out = NULL;
    for (size_t j = 0; j < sizeof joints; j++) {
        for (size_t t = 0; t < 2; t++) {
            char *path = NULL;
            SKV_TRY(skv_asprintf(ctx, &path, "%s/%s%c%s%s", dir, stem, joints[j], ending, tails[t]));
            if (skv_path_exists(path)) {
                *out = path;
                return SKIVE_OK;
            }
            skv_free(ctx, path);
        }
    }
    return skv_fail_at(ctx, SKIVE_ERR_DATA, dir, "%s: has no file %s-%s or %s-%s.gz; %s", dir, stem, ending, stem,
                       ending, advice);
}

skive_status skv_mnist_open(skive_context *ctx, const char *dir, bool test, const char *const names[10],
                            const char *advice, skive_dataset *ds) {
    char *images = NULL, *labels = NULL;
    skive_status status;
    const char *part = test ? "t10k" : "train";
    char stem[32];
    (void)snprintf(stem, sizeof stem, "%s-images", part);
    SKV_GO(status, done, find_file(ctx, dir, stem, "idx3-ubyte", advice, &images));
    (void)snprintf(stem, sizeof stem, "%s-labels", part);
    SKV_GO(status, done, find_file(ctx, dir, stem, "idx1-ubyte", advice, &labels));
    SKV_GO(status, done, skv_idx_open(ctx, images, labels, 10, ds));
    SKV_GO(status, done, skv_alloc_array(ctx, 10, sizeof *ds->class_names, &ds->class_names));
    for (size_t i = 0; i < 10; i++) SKV_GO(status, done, skv_strdup(ctx, names[i], &ds->class_names[i]));
    ds->separate_test = true;
done:
    skv_free(ctx, images);
    skv_free(ctx, labels);
    return status;
}

static skive_status open_mnist(skive_context *ctx, const char *args, bool test, const skive_dataset_options *options,
                               skive_dataset *ds) {
    static const char *const digits[10] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    (void)options;
    return skv_mnist_open(ctx, args, test, digits, "give the folder with the four files of MNIST", ds);
}

const skv_dataset_kind skv_dataset_mnist = {
    .name = "mnist",
    .syntax = "mnist:DIR",
    .brief = "the four files of MNIST in a folder, plain or .gz",
    .needs_args = true,
    .open = open_mnist,
};
