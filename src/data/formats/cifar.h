/* The binary files of CIFAR-10 and CIFAR-100, which differ in names and in the labels of a record. */
#ifndef SKV_CIFAR_H
#define SKV_CIFAR_H

#include "data/data.h"

enum { SKV_CIFAR_FILES = 5 };

typedef struct skv_cifar {
    const char *folder; /* in which the archive unpacks its files */
    const char *train[SKV_CIFAR_FILES], *test, *names;
    size_t labels, label; /* bytes of labels in a record, and which of them */
    int64_t classes;
} skv_cifar;

/* Reads one part; needs the option "disk" (disk.h). Errors: IO, DATA (truncated, labels out of range). */
skive_status skv_cifar_open(skive_context *ctx, const char *dir, const skv_cifar *l, bool test, skive_dataset *ds);

#endif
