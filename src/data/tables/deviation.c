/* The standard deviation of each column of a table, for transforms; 0 where a column is constant. */
#include <math.h>

#include "data/transform.h"

skive_status skv_column_deviations(skive_context *ctx, const skive_dataset *ds, float **out) {
    double *shift = NULL;
    float *x = NULL, *made = NULL;
    const size_t n = ds->size;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, n, 3 * sizeof *shift, &shift));
    SKV_GO(status, done, skv_alloc_array(ctx, n, sizeof *x, &x));
    SKV_GO(status, done, skv_alloc_array(ctx, n, sizeof *made, &made));
    double *sum = shift + n, *squares = sum + n;
    for (size_t i = 0; i < ds->count; i++) {
        SKV_GO(status, done, skive_dataset_read(ctx, ds, i, x, NULL));
        for (size_t c = 0; c < n; c++) {
            if (i == 0) shift[c] = (double)x[c];
            const double d = (double)x[c] - shift[c];
            sum[c] += d;
            squares[c] += d * d;
        }
        if (i % 1024 == 0) SKV_GO(status, done, skv_check_interrupt(ctx));
    }
    for (size_t c = 0; c < n; c++) {
        const double mean = sum[c] / (double)ds->count, variance = squares[c] / (double)ds->count - mean * mean;
        made[c] = variance > 0 ? (float)sqrt(variance) : 0;
    }
    *out = made;
    made = NULL;
done:
    skv_free(ctx, shift);
    skv_free(ctx, x);
    skv_free(ctx, made);
    return status;
}
