/* What the transforms of series share: the axis of time. */
#ifndef SKV_SERIES_H
#define SKV_SERIES_H

#include "data/transform.h"

/* A series seen as [rows][time][together]: values along `together` move as one. */
typedef struct skv_series {
    int64_t rows, time, together;
} skv_series;

static inline skv_series skv_series_of(const skv_augment *a) {
    if (a->content == SKV_CONTENT_FEATURES) return (skv_series){a->dims[0], a->dims[1], a->dims[2]};
    return (skv_series){a->dims[0] * a->dims[1], a->dims[2], 1};
}

#endif
