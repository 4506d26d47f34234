/* What a message says of the batch whose loss is not a number. */
#include <stdio.h>

#include "train/train.h"

enum { SHOWN = 8 };

skive_status skv_tell_bad_batch(skive_context *ctx, skive_status status, const skive_dataset *set,
                                const skive_batch *batch, int64_t row, const skv_saving *saving) {
    char message[900];
    skv_text t;
    if (status != SKIVE_ERR_NUMERIC) return status;
    (void)snprintf(message, sizeof message, "%s", skive_context_message(ctx));
    skv_text_init(&t, ctx);
    if (row >= 0 && row < (int64_t)batch->count)
        skv_text_add(&t, ", which is sample %zu of the data set", skive_dataset_origin(set, batch->indices[row]));
    skv_text_add(&t, "; samples of the batch: ");
    for (size_t i = 0; i < batch->count && i < SHOWN; i++)
        skv_text_add(&t, "%s%zu", i ? ", " : "", skive_dataset_origin(set, batch->indices[i]));
    if (batch->count > SHOWN) skv_text_add(&t, " and %zu more", batch->count - SHOWN);
    if (saving->path && saving->last_step > 0)
        skv_text_add(&t, "; %s holds the run as it was after step %lld", saving->path, (long long)saving->last_step);
    status = t.status == SKIVE_OK ? SKV_FAIL(ctx, SKIVE_ERR_NUMERIC, "%s%s", message, t.data) : t.status;
    skv_text_free(&t);
    return status;
}
