/* Nonzeros in the order in which the loops read them. */
#include "kernels/sparse/sparse.h"

/* The least column not yet taken of rows first .. first + rows - 1; false when there is none. */
static bool next_column(const skv_nonzeros *nz, int64_t first, int64_t rows, const int64_t *at, uint32_t *column) {
    bool any = false;
    for (int64_t r = 0; r < rows; r++) {
        if (at[r] == nz->row_start[first + r + 1]) continue;
        const uint32_t c = nz->column[at[r]];
        if (!any || c < *column) *column = c;
        any = true;
    }
    return any;
}

/* The columns of a unit of rows (one, or four) written behind entry `n`, or only counted where w is NULL. */
static size_t pack_unit(const skv_nonzeros *nz, int64_t first, int64_t rows, int64_t width, const uint32_t *place,
                        skv_sparse_weight *w, size_t n) {
    int64_t at[SKV_SPARSE_BLOCK] = {0};
    uint32_t column = 0;
    for (int64_t r = 0; r < rows; r++) at[r] = nz->row_start[first + r];
    for (; next_column(nz, first, rows, at, &column); n++) {
        for (int64_t r = 0; r < rows; r++) {
            if (at[r] == nz->row_start[first + r + 1] || nz->column[at[r]] != column) continue;
            if (w) w->value[n * (size_t)width + (size_t)r] = nz->value[at[r]];
            at[r]++;
        }
        if (w) w->offset[n] = place[column];
    }
    return n;
}

static size_t pack_units(const skv_nonzeros *nz, int64_t groups, const uint32_t *place, int64_t width,
                         skv_sparse_weight *w, uint32_t *start) {
    const int64_t each = nz->rows / groups;
    size_t n = 0;
    for (int64_t g = 0; g < groups; g++) {
        for (int64_t r = 0; r < each; r += width) {
            n = pack_unit(nz, g * each + r, each - r < width ? each - r : width, width, place, w, n);
            if (start) *++start = (uint32_t)n;
        }
    }
    return n;
}

skive_status skv_sparse_pack(skive_context *ctx, const skv_nonzeros *nz, int64_t groups, const uint32_t *place,
                             skv_sparse_layout layout, skv_sparse_weight *out) {
    const int64_t width = layout == SKV_SPARSE_BLOCK4 ? SKV_SPARSE_BLOCK : 1;
    skv_sparse_weight w = {.layout = layout, .units = (nz->rows / groups + width - 1) / width};
    const size_t n = pack_units(nz, groups, place, width, NULL, NULL), starts = (size_t)(groups * w.units) + 1;
    skive_status status;
    *out = (skv_sparse_weight){0};
    if (n > UINT32_MAX / SKV_SPARSE_BLOCK) return SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED, "too many nonzero weights");
    SKV_GO(status, done, skv_alloc_array(ctx, starts, sizeof *w.start, &w.start));
    SKV_GO(status, done, skv_alloc_array(ctx, n, sizeof *w.offset, &w.offset));
    SKV_GO(status, done, skv_alloc_array(ctx, n * (size_t)width, sizeof *w.value, &w.value));
    pack_units(nz, groups, place, width, &w, w.start);
    w.bytes = starts * sizeof *w.start + n * (sizeof *w.offset + (size_t)width * sizeof *w.value);
done:
    if (status != SKIVE_OK)
        skv_sparse_weight_free(ctx, &w);
    else
        *out = w;
    return status;
}

void skv_sparse_weight_free(skive_context *ctx, skv_sparse_weight *w) {
    skv_free(ctx, w->start);
    skv_free(ctx, w->offset);
    skv_free(ctx, w->value);
    skv_free(ctx, w->coded.words);
    skv_free(ctx, w->coded.scale);
    *w = (skv_sparse_weight){0};
}
