/* Weights on number grids. */
#include <math.h>
#include <string.h>

#include "quant/gridded.h"

void skv_gridded_lay_out(skv_gridded *c, const skv_quantizer *q, const skv_weight_view *v, const skive_tensor *t) {
    *c = (skv_gridded){.q = *q, .t = t};
    c->out_axis = v->out_axis;
    c->in_axis = v->in_axis;
    c->blocks = 1;
    c->size = INT64_MAX;
    if (c->q.per == SKV_PER_GROUP && (c->t->rank != 2 || v->out_axis < 0 || v->in_axis < 0)) c->q.per = SKV_PER_CHANNEL;
    if (c->q.per == SKV_PER_CHANNEL && v->out_axis < 0) c->q.per = SKV_PER_TENSOR;
    if (c->q.per == SKV_PER_GROUP) {
        c->size = c->q.group;
        c->blocks = (v->in + c->size - 1) / c->size;
    }
    c->groups = c->q.per == SKV_PER_TENSOR ? 1 : c->t->dims[v->out_axis] * c->blocks;
}

static int64_t group_of(const skv_gridded *c, int64_t index) {
    int64_t out = 0, in = 0;
    for (int d = c->t->rank - 1; d >= 0; d--) {
        const int64_t at = index % c->t->dims[d];
        index /= c->t->dims[d];
        if (d == c->out_axis) out = at;
        if (d == c->in_axis) in = at;
    }
    return c->q.per == SKV_PER_TENSOR ? 0 : out * c->blocks + in / c->size;
}

static skive_status sort_elements(skive_context *ctx, skv_gridded *c) {
    const int64_t n = skive_tensor_count(c->t);
    SKV_TRY(skv_alloc_array(ctx, (size_t)c->groups + 2, sizeof *c->first, &c->first));
    SKV_TRY(skv_alloc_array(ctx, (size_t)n + 1, sizeof *c->member, &c->member));
    for (int64_t i = 0; i < n; i++) c->first[group_of(c, i) + 1]++;
    for (int64_t k = 0; k < c->groups; k++) c->first[k + 1] += c->first[k];
    for (int64_t i = n; i-- > 0;) c->member[--c->first[group_of(c, i) + 1]] = i; /* each moves to its group's start */
    memmove(c->first, c->first + 1, (size_t)c->groups * sizeof *c->first);
    c->first[c->groups] = n;
    return SKIVE_OK;
}

/* [] of one scale; [out]; of groups the weight's shape with blocks in place of the input axis. */
static skive_status scale_storage(skive_context *ctx, const skv_gridded *c, skive_dtype dtype, skv_storage **out) {
    int64_t dims[SKIVE_MAX_RANK];
    if (c->q.per != SKV_PER_GROUP) return skv_storage_create(ctx, dtype, c->q.per == SKV_PER_CHANNEL, &c->groups, out);
    memcpy(dims, c->t->dims, sizeof dims);
    dims[c->in_axis] = c->blocks;
    return skv_storage_create(ctx, dtype, c->t->rank, dims, out);
}

/* Scales of a matrix are stored with the axes in its own order. */
static int64_t scale_index(const skv_gridded *c, int64_t group) {
    if (c->q.per != SKV_PER_GROUP || c->out_axis < c->in_axis) return group;
    return group % c->blocks * (c->groups / c->blocks) + group / c->blocks;
}

/* A float grid without a scale is its own storage; of others the code is stored, which of float8 are its bits. */
static bool is_float8(skive_dtype type) {
    return type == SKIVE_F8E4M3FN || type == SKIVE_F8E4M3FNUZ || type == SKIVE_F8E5M2 || type == SKIVE_F8E5M2FNUZ;
}

static void store(const skv_gridded *c, int64_t at, float x, int32_t code) {
    skive_tensor *t = &c->codes->tensor;
    if (is_float8(t->dtype))
        ((uint8_t *)t->data)[at] = (uint8_t)code;
    else
        skive_tensor_set(t, at, c->q.grid->scaled ? (double)code : (double)x);
}

/* Buffers for the numbers of one group, at most all of them. */
typedef struct room {
    float *x, *y, *levels;
    int32_t *codes;
} room;

static void free_room(skive_context *ctx, room *r) {
    skv_free(ctx, r->x);
    skv_free(ctx, r->y);
    skv_free(ctx, r->levels);
    skv_free(ctx, r->codes);
}

static skive_status open_room(skive_context *ctx, const skv_gridded *c, room *r) {
    const size_t n = (size_t)skive_tensor_count(c->t) + 1;
    SKV_TRY(skv_alloc_array(ctx, n, sizeof *r->x, &r->x));
    SKV_TRY(skv_alloc_array(ctx, n, sizeof *r->y, &r->y));
    SKV_TRY(skv_alloc_array(ctx, n, sizeof *r->codes, &r->codes));
    return skv_grid_has_option(c->q.grid, "levels")
               ? skv_alloc_array(ctx, (size_t)c->q.high + 1, sizeof *r->levels, &r->levels)
               : SKIVE_OK;
}

static skive_status code_group(skive_context *ctx, skv_gridded *c, int64_t k, room *r, float *real) {
    const int64_t n = c->first[k + 1] - c->first[k];
    const int64_t *member = &c->member[c->first[k]];
    skv_grid_params p = {.scale = 1};
    for (int64_t i = 0; i < n; i++) r->x[i] = ((const float *)c->t->data)[member[i]];
    if (n == 0) return SKIVE_OK;
    SKV_TRY(c->q.grid->solve(ctx, &c->q, r->x, n, r->levels, &p));
    if (!(p.scale > 0)) p.scale = 1; /* all zero */
    c->q.grid->encode(&c->q, &p, r->x, n, r->codes);
    c->q.grid->decode(&c->q, &p, r->codes, n, r->y);
    for (int64_t i = 0; i < n; i++) {
        const double e = (double)r->y[i] - (double)r->x[i];
        c->power += (double)r->x[i] * (double)r->x[i];
        c->error += e * e;
        if (c->codes) store(c, member[i], r->y[i], r->codes[i]);
        if (real) real[member[i]] = r->y[i];
    }
    if (c->scales) ((float *)c->scales->tensor.data)[scale_index(c, k)] = p.scale;
    if (c->zeros) skive_tensor_set(&c->zeros->tensor, scale_index(c, k), p.zero_point);
    return SKIVE_OK;
}

static skive_status code_groups(skive_context *ctx, skv_gridded *c, float *real) {
    room r = {0};
    skive_status status;
    SKV_GO(status, done, sort_elements(ctx, c));
    SKV_GO(status, done, open_room(ctx, c, &r));
    for (int64_t k = 0; k < c->groups; k++) SKV_GO(status, done, code_group(ctx, c, k, &r, real));
done:
    free_room(ctx, &r);
    return status;
}

skive_status skv_gridded_make(skive_context *ctx, skv_gridded *c) {
    SKV_TRY(skv_storage_create(ctx, c->q.grid->dtype, c->t->rank, c->t->dims, &c->codes));
    if (c->q.grid->scaled) SKV_TRY(scale_storage(ctx, c, SKIVE_F32, &c->scales));
    if (c->q.asymmetric) SKV_TRY(scale_storage(ctx, c, c->q.grid->dtype, &c->zeros));
    return code_groups(ctx, c, NULL);
}

skive_status skv_gridded_round(skive_context *ctx, skv_gridded *c, float *y) { return code_groups(ctx, c, y); }

int64_t skv_gridded_bytes(const skv_gridded *c) {
    const int64_t n = skive_tensor_count(c->t), codes = (int64_t)c->q.high - c->q.low + 1;
    const bool levels = skv_grid_has_option(c->q.grid, "levels");
    int bits = c->q.grid->bits, fewest = 1;
    while (fewest < 32 && (int64_t)1 << fewest < codes) fewest++;
    if (levels) bits = fewest;
    int64_t bytes = (n * bits + 7) / 8;
    if (levels) return bytes + c->groups * codes * (int64_t)sizeof(float);
    if (c->q.grid->scaled) bytes += c->groups * (int64_t)sizeof(float);
    return c->q.asymmetric ? bytes + (c->groups * bits + 7) / 8 : bytes;
}

void skv_gridded_free(skive_context *ctx, skv_gridded *c) {
    skv_free(ctx, c->first);
    skv_free(ctx, c->member);
    skv_storage_release(c->codes);
    skv_storage_release(c->scales);
    skv_storage_release(c->zeros);
}
