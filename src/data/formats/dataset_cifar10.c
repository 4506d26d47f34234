/* cifar10: the binary version of CIFAR-10. */
#include "data/formats/cifar.h"
#include "data/formats/disk.h"

static const skv_cifar layout = {
    .folder = "cifar-10-batches-bin",
    .train = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
    .test = "test_batch.bin",
    .names = "batches.meta.txt",
    .labels = 1,
    .classes = 10};
static const skv_option options[] = {SKV_DISK_OPTION};

static skive_status open_cifar10(skive_context *ctx, const char *args, bool test, const skive_dataset_options *given,
                                 skive_dataset *ds) {
    (void)given;
    return skv_cifar_open(ctx, args, &layout, test, ds);
}

const skv_dataset_kind skv_dataset_cifar10 = {
    .name = "cifar10",
    .syntax = "cifar10:DIR",
    .brief = "the binary files of CIFAR-10, in DIR or in DIR/cifar-10-batches-bin",
    SKV_OPTIONS(options),
    .needs_args = true,
    .open = open_cifar10,
};
