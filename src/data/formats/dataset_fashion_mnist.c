/* fashion-mnist: 60,000 + 10,000 grey images of clothes, 28x28, ten classes (Xiao, Rasul, Vollgraf: Fashion-MNIST,
 * arXiv:1708.07747), from the Debian package dataset-fashion-mnist. */
#include <stdlib.h>

#include "data/data.h"

static const char advice[] = "install the Debian package dataset-fashion-mnist (apt install dataset-fashion-mnist), or "
                             "set SKIVE_DATA_DIR to the folder that contains fashion-mnist/";

static skive_status open_fashion(skive_context *ctx, const char *args, bool test, const skive_dataset_options *options,
                                 skive_dataset *ds) {
    static const char *const names[10] = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                          "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
    (void)options;
    if (*args) return skv_mnist_open(ctx, args, test, names, advice, ds);
    const char *root = getenv("SKIVE_DATA_DIR");
    if (!root || !*root) root = "/usr/share/datasets";
    char *dir = NULL;
    SKV_TRY(skv_asprintf(ctx, &dir, "%s/fashion-mnist", root));
    skive_status status;
    if (skv_path_is_folder(dir)) {
        status = skv_mnist_open(ctx, dir, test, names, advice, ds);
    } else {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, dir, "%s: the data set fashion-mnist was not found; %s", dir, advice);
    }
    skv_free(ctx, dir);
    return status;
}

const skv_dataset_kind skv_dataset_fashion_mnist = {
    .name = "fashion-mnist",
    .syntax = "fashion-mnist[:DIR]",
    .brief = "Fashion-MNIST, from the Debian package dataset-fashion-mnist",
    .open = open_fashion,
};
