/* The list of number grids, and what all of them do with numbers and tensors. */
#include "tensor/grid.h"

#include <stdlib.h>

enum { CHUNK = 256 };

#define SKV_KIND    grid
#define SKV_ARRAY   all
#define SKV_RECORDS "tensor/grids.inc"
#include "base/records.h"

SKV_FAMILY(grid, all, "number grid")

const skv_grid *skv_grid_of_dtype(skive_dtype dtype) {
    int64_t low;
    uint64_t high;
    for (size_t i = 0; dtype != SKIVE_DTYPE_NONE && i < skv_grid_count(); i++) {
        const skv_quantizer q = skv_quantizer_of(all[i]);
        const bool by_bits = skv_dtype_is_float8(dtype) || all[i]->uniform;
        if (all[i]->dtype == dtype && by_bits && skv_grid_fills_dtype(&q)) return all[i];
    }
    /* Grids whose numbers are written into a wider type, because the narrow one is too new. */
    if (dtype == SKIVE_F4E2M1) return &skv_grid_f4e2m1;
    for (size_t i = 0; skive_dtype_bits(dtype) == 2 && i < skv_grid_count(); i++) {
        if (all[i]->uniform && skv_dtype_int_range(dtype, &low, &high) && all[i]->low == low &&
            (uint64_t)all[i]->high == high)
            return all[i];
    }
    return NULL;
}

int32_t skv_grid_load_code(skive_dtype dtype, const void *data, size_t i) {
    if (skv_dtype_is_float8(dtype)) return ((const uint8_t *)data)[i];
    if (dtype != SKIVE_F4E2M1) return (int32_t)skv_load_i64(dtype, data, i);
    const int32_t bits = (int32_t)skv_load_narrow(4, data, i);
    return bits & 8 ? -(bits & 7) : bits;
}

void skv_grid_store_code(skive_dtype dtype, void *data, size_t i, int32_t code) {
    if (skv_dtype_is_float8(dtype))
        ((uint8_t *)data)[i] = (uint8_t)code;
    else if (dtype == SKIVE_F4E2M1)
        skv_store_narrow(4, data, i, code < 0 ? (unsigned)-code | 8u : (unsigned)code);
    else
        skv_store_i64(dtype, data, i, code);
}

bool skv_grid_fills_dtype(const skv_quantizer *q) {
    int64_t low;
    uint64_t high;
    if (skv_dtype_is_float8(q->grid->dtype) || skv_dtype_is_float(q->grid->dtype)) return true;
    return q->grid->uniform && skv_dtype_int_range(q->grid->dtype, &low, &high) && low == q->low &&
           high == (uint64_t)q->high;
}

skv_quantizer skv_quantizer_from(const skv_quantizer *q, double low) {
    const skv_grid *other = low < 0 ? q->grid->both : q->grid->positive;
    skv_quantizer fit = *q;
    if (!other) return fit;
    fit.grid = other;
    fit.low = other->low;
    fit.high = other->high;
    return fit;
}

skv_quantizer skv_quantizer_of(const skv_grid *grid) {
    const size_t group = skv_option_index(grid->options, grid->n_options, "group");
    const char *text = group == grid->n_options ? "tensor" : grid->options[group].text;
    const long size = strtol(text, NULL, 10);
    return (skv_quantizer){.grid = grid,
                           .low = grid->low,
                           .high = grid->high,
                           .per = size > 0                      ? SKV_PER_GROUP
                                  : strcmp(text, "tensor") == 0 ? SKV_PER_TENSOR
                                                                : SKV_PER_CHANNEL,
                           .group = size,
                           .fraction = -1};
}

/* ---- numbers ---- */

void skv_grid_fake(const skv_quantizer *q, const skv_grid_params *p, const float *x, int64_t n, float *y) {
    int32_t code[CHUNK];
    for (int64_t i = 0; i < n; i += CHUNK) {
        const int64_t m = n - i < CHUNK ? n - i : CHUNK;
        q->grid->encode(q, p, x + i, m, code);
        q->grid->decode(q, p, code, m, y + i);
    }
}

void skv_grid_gradient_of(const skv_quantizer *q, const skv_grid_params *p, const float *x, const float *dy, int64_t n,
                          float *dx) {
    float low = -INFINITY, high = INFINITY;
    if (q->grid->gradient == SKV_GRADIENT_CLIPPED && q->grid->inside) q->grid->inside(q, p, &low, &high);
    for (int64_t i = 0; i < n; i++) {
        const float t = x[i] / p->scale;
        dx[i] = q->grid->gradient == SKV_GRADIENT_ALL || (t >= low && t <= high) ? dy[i] : 0.0f;
    }
}

double skv_grid_error(const skv_quantizer *q, const skv_grid_params *p, const float *x, int64_t n) {
    float near[CHUNK];
    double sum = 0;
    for (int64_t i = 0; i < n; i += CHUNK) {
        const int64_t m = n - i < CHUNK ? n - i : CHUNK;
        skv_grid_fake(q, p, x + i, m, near);
        for (int64_t k = 0; k < m; k++) {
            const double d = (double)(near[k] - x[i + k]);
            sum += d * d;
        }
    }
    return sum;
}

float skv_grid_level(const skv_quantizer *q, const skv_grid_params *p, int32_t code) {
    skv_grid_params one = *p;
    one.scale = 1;
    return skv_grid_decode(q, &one, code);
}

static int by_value(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

size_t skv_grid_levels(const skv_quantizer *q, const skv_grid_params *p, float *levels, size_t room) {
    size_t n = 0, kept = 0;
    for (int32_t code = q->low; code <= q->high && n < room; code++) {
        const float x = skv_grid_decode(q, p, code) + 0.0f; /* -0 is 0 */
        if (isfinite(x)) levels[n++] = x;
    }
    qsort(levels, n, sizeof *levels, by_value);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || levels[kept - 1] != levels[i]) levels[kept++] = levels[i];
    }
    return kept;
}

void skv_grid_ends(const skv_quantizer *q, const skv_grid_params *p, double *low, double *high) {
    if (q->grid->uniform) {
        *low = (double)p->scale * (q->low - p->zero_point);
        *high = *low + ((double)q->high - q->low) * (double)p->scale;
        return;
    }
    *low = INFINITY;
    *high = -INFINITY;
    for (int32_t code = q->low; code <= q->high; code++) {
        const double x = (double)skv_grid_decode(q, p, code);
        if (!isfinite(x)) continue;
        *low = fmin(*low, x);
        *high = fmax(*high, x);
    }
}

float skv_grid_largest(const float *x, int64_t n) {
    float most = 0;
    for (int64_t i = 0; i < n; i++) most = fmaxf(most, fabsf(x[i]));
    return most;
}

float skv_grid_power_above(float scale) {
    int exponent;
    const float fraction = frexpf(scale, &exponent);
    return ldexpf(1, fraction == 0.5f ? exponent - 1 : exponent);
}

/* ---- tensors ---- */

int64_t skv_quantizer_group(const skv_quantizer *q, const skive_tensor *t) {
    const int64_t count = skive_tensor_count(t), n = q->group;
    /* of a convolution all weights of an output channel, whose last axis is a few places */
    const int64_t row = t->rank > 2 && t->dims[0] > 0 ? count / t->dims[0] : t->rank > 0 ? t->dims[t->rank - 1] : 1;
    if (q->per == SKV_PER_TENSOR) return count;
    if (q->per == SKV_PER_CHANNEL) return t->rank > 1 && t->dims[0] > 0 ? count / t->dims[0] : count;
    if (t->rank < 2 && (row < n || row % n != 0)) return count;
    return n < row && row % n == 0 ? n : row;
}

static skive_status round_groups(skive_context *ctx, const skv_quantizer *q, float *levels, skive_tensor *t) {
    const int64_t count = skive_tensor_count(t), group = skv_quantizer_group(q, t);
    for (int64_t first = 0; first < count; first += group) {
        const int64_t n = count - first < group ? count - first : group;
        float *x = (float *)t->data + first;
        skv_grid_params p;
        SKV_TRY(q->grid->solve(ctx, q, x, n, levels, &p));
        skv_grid_fake(q, &p, x, n, x);
        for (int64_t i = 0; i < n; i++) {
            if (!isfinite(x[i]))
                return SKV_FAIL(ctx, SKIVE_ERR_NUMERIC, "element %lld is too large for %s", (long long)(first + i),
                                q->grid->dtype != SKIVE_DTYPE_NONE ? skive_dtype_name(q->grid->dtype) : q->grid->name);
        }
    }
    return SKIVE_OK;
}

skive_status skv_quantizer_round(skive_context *ctx, const skv_quantizer *q, skive_tensor *t) {
    float *levels = NULL;
    const float *x = t->data;
    for (int64_t i = 0; i < skive_tensor_count(t); i++) {
        if (!isfinite(x[i])) return SKV_FAIL(ctx, SKIVE_ERR_NUMERIC, "element %lld is NaN or infinite", (long long)i);
    }
    if (q->grid->own_levels) SKV_TRY(skv_alloc_array(ctx, (size_t)q->high + 1, sizeof *levels, &levels));
    const skive_status status = round_groups(ctx, q, levels, t);
    skv_free(ctx, levels);
    return status;
}
