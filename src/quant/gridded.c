/* Weights on number grids. */
#include "quant/gridded.h"
#include "quant/powers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/graph.h"
#include "tensor/grid_whole.h"

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

int64_t skv_gridded_group(const skv_gridded *c, int64_t index) {
    int64_t out = 0, in = 0;
    if (c->q.per == SKV_PER_TENSOR) return 0;
    for (int d = c->t->rank - 1; d >= 0; d--) {
        const int64_t at = index % c->t->dims[d];
        index /= c->t->dims[d];
        if (d == c->out_axis) out = at;
        if (d == c->in_axis) in = at;
    }
    return out * c->blocks + in / c->size;
}

static skive_status sort_elements(skive_context *ctx, skv_gridded *c) {
    const int64_t n = skive_tensor_count(c->t);
    SKV_TRY(skv_alloc_array(ctx, (size_t)c->groups + 2, sizeof *c->first, &c->first));
    SKV_TRY(skv_alloc_array(ctx, (size_t)n + 1, sizeof *c->member, &c->member));
    for (int64_t i = 0; i < n; i++) c->first[skv_gridded_group(c, i) + 1]++;
    for (int64_t k = 0; k < c->groups; k++) c->first[k + 1] += c->first[k];
    for (int64_t i = n; i-- > 0;)
        c->member[--c->first[skv_gridded_group(c, i) + 1]] = i; /* each moves to its group's start */
    memmove(c->first, c->first + 1, (size_t)c->groups * sizeof *c->first);
    c->first[c->groups] = n;
    return SKIVE_OK;
}

/* The scales of each group; x and y have room for all numbers of one. */
static skive_status solve(skive_context *ctx, skv_gridded *c, float *x) {
    const int64_t per_group = (int64_t)c->q.high + 1;
    for (int64_t k = 0; k < c->groups; k++) {
        const int64_t n = c->first[k + 1] - c->first[k], *member = &c->member[c->first[k]];
        skv_grid_params *p = &c->params[k];
        *p = (skv_grid_params){.scale = 1};
        for (int64_t i = 0; i < n; i++) x[i] = ((const float *)c->t->data)[member[i]];
        if (n > 0) SKV_TRY(c->q.grid->solve(ctx, &c->q, x, n, c->levels ? c->levels + k * per_group : NULL, p));
        if (!(p->scale > 0)) p->scale = 1; /* all zero */
    }
    return SKIVE_OK;
}

skive_status skv_gridded_make(skive_context *ctx, skv_gridded *c) {
    const size_t n = (size_t)skive_tensor_count(c->t) + 1;
    float *x = NULL;
    SKV_TRY(sort_elements(ctx, c));
    SKV_TRY(skv_alloc_array(ctx, (size_t)c->groups + 1, sizeof *c->params, &c->params));
    SKV_TRY(skv_alloc_array(ctx, n, sizeof *c->code, &c->code));
    if (c->q.grid->own_levels)
        SKV_TRY(skv_alloc_array(ctx, (size_t)skv_mul_sat(c->groups, (int64_t)c->q.high + 1), sizeof *c->levels,
                                &c->levels));
    SKV_TRY(skv_alloc_array(ctx, n, sizeof *x, &x));
    const skive_status status = solve(ctx, c, x);
    skv_free(ctx, x);
    if (status != SKIVE_OK) return status;
    skv_gridded_encode(c, c->t->data);
    skv_gridded_measure(c);
    return SKIVE_OK;
}

void skv_gridded_encode(skv_gridded *c, const float *x) {
    for (int64_t k = 0; k < c->groups; k++) {
        for (int64_t i = c->first[k]; i < c->first[k + 1]; i++)
            c->code[c->member[i]] = skv_grid_encode(&c->q, &c->params[k], x[c->member[i]]);
    }
}

void skv_gridded_widen(skv_gridded *c, int64_t group, double factor) {
    const skv_grid_params before = c->params[group];
    skv_grid_params *p = &c->params[group];
    p->scale = (float)((double)p->scale * (c->q.power_of_two ? exp2(ceil(log2(factor))) : factor));
    for (int64_t i = c->first[group]; i < c->first[group + 1]; i++) {
        int32_t *code = &c->code[c->member[i]];
        *code = skv_grid_encode(&c->q, p, skv_grid_decode(&c->q, &before, *code));
    }
}

void skv_gridded_decode(const skv_gridded *c, float *y) {
    for (int64_t k = 0; k < c->groups; k++) {
        for (int64_t i = c->first[k]; i < c->first[k + 1]; i++)
            y[c->member[i]] = skv_grid_decode(&c->q, &c->params[k], c->code[c->member[i]]);
    }
}

void skv_gridded_measure(skv_gridded *c) {
    c->power = c->error = 0;
    for (int64_t k = 0; k < c->groups; k++) {
        for (int64_t i = c->first[k]; i < c->first[k + 1]; i++) {
            const double x = (double)((const float *)c->t->data)[c->member[i]];
            const double e = (double)skv_grid_decode(&c->q, &c->params[k], c->code[c->member[i]]) - x;
            c->power += x * x;
            c->error += e * e;
        }
    }
}

double skv_gridded_sqnr(const skv_gridded *c) { return c->error > 0 ? 10 * log10(c->power / c->error) : INFINITY; }

skive_status skv_gridded_round(skive_context *ctx, skv_gridded *c, float *y) {
    SKV_TRY(skv_gridded_make(ctx, c));
    skv_gridded_decode(c, y);
    return SKIVE_OK;
}

bool skv_gridded_has_zeros(const skv_gridded *c) {
    bool any = c->q.asymmetric;
    for (int64_t k = 0; c->params && k < c->groups && !any; k++) any = c->params[k].zero_point != 0;
    return any;
}

int64_t skv_gridded_bytes(const skv_gridded *c) {
    const int64_t n = skive_tensor_count(c->t), codes = (int64_t)c->q.high - c->q.low + 1;
    const bool levels = c->q.grid->own_levels;
    int bits = c->q.grid->bits, fewest = 1;
    while (fewest < 32 && (int64_t)1 << fewest < codes) fewest++;
    if (levels) bits = fewest;
    int64_t bytes = (n * bits + 7) / 8;
    if (levels) return bytes + c->groups * codes * (int64_t)sizeof(float);
    if (c->q.grid->scaled) bytes += c->groups * (int64_t)sizeof(float);
    return skv_gridded_has_zeros(c) ? bytes + (c->groups * bits + 7) / 8 : bytes;
}

void skv_gridded_free(skive_context *ctx, skv_gridded *c) {
    skv_free(ctx, c->first);
    skv_free(ctx, c->member);
    skv_free(ctx, c->params);
    skv_free(ctx, c->levels);
    skv_free(ctx, c->code);
    skv_free(ctx, c->shift);
    *c = (skv_gridded){0};
}

/* ---- in a graph ---- */

/* A float grid without a scale is its own storage; of others the code is stored, which of float8 are its bits. */
static bool is_float8(skive_dtype type) {
    return type == SKIVE_F8E4M3FN || type == SKIVE_F8E4M3FNUZ || type == SKIVE_F8E5M2 || type == SKIVE_F8E5M2FNUZ;
}

float skv_gridded_step(const skv_gridded *c, int64_t group) {
    const int32_t whole = skv_grid_whole(c->q.grid);
    return whole ? c->params[group].scale / (float)whole : c->params[group].scale;
}

static skive_status code_storage(skive_context *ctx, const skv_gridded *c, skv_storage **out) {
    const int32_t whole = skv_grid_whole(c->q.grid);
    const skv_grid_params one = {.scale = 1};
    SKV_TRY(skv_storage_create(ctx, whole ? SKIVE_I8 : c->q.grid->dtype, c->t->rank, c->t->dims, out));
    skive_tensor *t = &(*out)->tensor;
    for (int64_t k = 0; k < c->groups; k++) {
        for (int64_t i = c->first[k]; i < c->first[k + 1]; i++) {
            const int64_t at = c->member[i];
            if (is_float8(t->dtype))
                ((uint8_t *)t->data)[at] = (uint8_t)c->code[at];
            else if (whole)
                ((int8_t *)t->data)[at] = (int8_t)lrintf(skv_grid_level(&c->q, &one, c->code[at]) * (float)whole);
            else if (c->q.grid->scaled)
                skive_tensor_set(t, at, (double)c->code[at]);
            else
                skive_tensor_set(t, at, (double)skv_grid_decode(&c->q, &c->params[k], c->code[at]));
        }
    }
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

static skive_value *param(skv_builder *b, const skive_value *like, const char *end, skv_storage **take) {
    char name[256];
    skv_storage *s = *take;
    *take = NULL;
    if (!s) return NULL;
    (void)snprintf(name, sizeof name, "%.*s_%s", 230, like->name, end);
    return skv_emit_param(b, skive_graph_find_value(b->graph, name) ? NULL : name, s);
}

/* ---- a codebook ---- */

bool skv_gridded_has_codebook(const skv_grid *g) { return g->dtype == SKIVE_DTYPE_NONE && skv_grid_whole(g) == 0; }

/* Codes in blocks, whose scales multiply them: the axis of the inputs becomes two, the last block being padded. */
typedef struct parted {
    int rank;
    int64_t codes[SKIVE_MAX_RANK + 1], scales[SKIVE_MAX_RANK + 1];
    bool padded;
} parted;

static parted part(const skv_gridded *c) {
    const bool by_group = c->q.per == SKV_PER_GROUP;
    parted p = {.padded = by_group && c->size * c->blocks != c->t->dims[c->in_axis]};
    for (int d = 0; d < c->t->rank; d++) {
        if (by_group && d == c->in_axis) {
            p.codes[p.rank] = p.scales[p.rank] = c->blocks;
            p.codes[p.rank + 1] = c->size;
            p.scales[p.rank + 1] = 1;
            p.rank += 2;
        } else {
            p.codes[p.rank] = c->t->dims[d];
            p.scales[p.rank++] = d == c->out_axis ? c->t->dims[d] : 1;
        }
    }
    return p;
}

/* Where an element of the weight is among the codes: only the rows of a matrix can be padded. */
static int64_t place_of(const skv_gridded *c, const parted *p, int64_t element) {
    if (!p->padded || c->in_axis == 0) return element;
    const int64_t row = c->t->dims[c->in_axis];
    return element / row * (c->blocks * c->size) + element % row;
}

/* `own`: each group has levels of its own. */
static skive_status index_storage(skive_context *ctx, const skv_gridded *c, int64_t entries, bool own, const parted *p,
                                  skv_storage **out) {
    const skive_dtype type = entries <= 16      ? SKIVE_U4
                             : entries <= 256   ? SKIVE_U8
                             : entries <= 65536 ? SKIVE_U16
                                                : SKIVE_I32;
    const int64_t n = (int64_t)c->q.high - c->q.low + 1;
    SKV_TRY(skv_storage_create(ctx, type, own ? c->t->rank : p->rank, own ? c->t->dims : p->codes, out));
    for (int64_t k = 0; k < c->groups; k++) {
        for (int64_t i = c->first[k]; i < c->first[k + 1]; i++) {
            const int64_t at = c->member[i], to = own ? at : place_of(c, p, at);
            skv_store_i64(type, (*out)->tensor.data, (size_t)to, c->code[at] - c->q.low + (own ? k * n : 0));
        }
    }
    return SKIVE_OK;
}

/* From blocks to the weight's own shape. */
static skive_value *join(skv_builder *b, const skv_gridded *c, const parted *p, skive_value *x) {
    int64_t dims[SKIVE_MAX_RANK];
    const int64_t none = 0, end = c->t->dims[c->in_axis], axis = c->in_axis;
    memcpy(dims, c->t->dims, sizeof dims);
    dims[axis] = c->blocks * c->size;
    x = skv_emit(b, "Reshape", SKV_IN(x, skv_emit_ints(b, dims, (size_t)c->t->rank)), SKV_NONE);
    if (!p->padded) return x;
    skive_value *from = skv_emit_ints(b, &none, 1), *to = skv_emit_ints(b, &end, 1);
    return skv_emit(b, "Slice", SKV_IN(x, from, to, skv_emit_ints(b, &axis, 1)), SKV_NONE);
}

/* Levels and indices of them: those of a table once, with the scales apart, else those of each group. */
static skive_status emit_codebook(skv_builder *b, const skv_gridded *c, const skive_value *like, skive_value **real) {
    skive_context *ctx = b->graph->ctx;
    skv_storage *codes = NULL, *levels = NULL, *scales = NULL;
    const bool apart = c->groups > 1 && c->q.grid->table && c->t->rank < SKIVE_MAX_RANK;
    const int64_t n = (int64_t)c->q.high - c->q.low + 1, entries = apart ? n : skv_mul_sat(c->groups, n);
    const skv_grid_params one = {.scale = 1};
    const parted p = part(c);
    skive_status status;
    if (entries > INT32_MAX)
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, like->name, "'%s' has too many groups for a codebook each",
                           like->name);
    SKV_GO(status, done, index_storage(ctx, c, entries, !apart, &p, &codes));
    SKV_GO(status, done, skv_storage_create(ctx, SKIVE_F32, 1, &entries, &levels));
    for (int64_t i = 0; i < entries; i++)
        ((float *)levels->tensor.data)[i] =
            skv_grid_decode(&c->q, apart ? &one : &c->params[i / n], (int32_t)(i % n + c->q.low));
    if (apart) SKV_GO(status, done, skv_storage_create(ctx, SKIVE_F32, p.rank, p.scales, &scales));
    for (int64_t k = 0; scales && k < c->groups; k++)
        ((float *)scales->tensor.data)[scale_index(c, k)] = c->params[k].scale;
    skive_value *at = param(b, like, "quantized", &codes), *book = param(b, like, "levels", &levels);
    skive_value *s = param(b, like, "scale", &scales);
    at = skv_emit(b, "Cast", SKV_IN(at), SKV_ATTRS(SKV_INT("to", SKIVE_I32)));
    *real = skv_emit(b, "Gather", SKV_IN(book, at), SKV_NONE);
    if (s) *real = skv_emit(b, "Mul", SKV_IN(*real, s), SKV_NONE);
    if (s && c->q.per == SKV_PER_GROUP) *real = join(b, c, &p, *real);
    status = b->status;
done:
    skv_storage_release(codes);
    skv_storage_release(levels);
    skv_storage_release(scales);
    return status;
}

skive_status skv_gridded_emit(skv_builder *b, const skv_gridded *c, const skive_value *like, skive_value **real) {
    skive_context *ctx = b->graph->ctx;
    skv_storage *codes = NULL, *scales = NULL, *zeros = NULL;
    const bool by_group = c->q.per == SKV_PER_GROUP, by_channel = c->q.per == SKV_PER_CHANNEL;
    skive_status status;
    if (skv_gridded_has_codebook(c->q.grid)) return emit_codebook(b, c, like, real);
    SKV_GO(status, done, code_storage(ctx, c, &codes));
    if (c->q.grid->scaled) SKV_GO(status, done, scale_storage(ctx, c, SKIVE_F32, &scales));
    if (skv_gridded_has_zeros(c)) SKV_GO(status, done, scale_storage(ctx, c, c->q.grid->dtype, &zeros));
    for (int64_t k = 0; k < c->groups; k++) {
        if (scales) ((float *)scales->tensor.data)[scale_index(c, k)] = skv_gridded_step(c, k);
        if (zeros) skive_tensor_set(&zeros->tensor, scale_index(c, k), c->params[k].zero_point);
    }
    skive_value *q = param(b, like, "quantized", &codes), *s = param(b, like, "scale", &scales);
    skive_value *z = param(b, like, "zero_point", &zeros);
    const skv_attr_init attrs[] = {SKV_INT("axis", by_group ? c->in_axis : c->out_axis),
                                   SKV_INT("block_size", by_group ? c->size : 0)};
    const skv_attr_list list = {attrs, by_group ? 2 : by_channel ? 1 : 0};
    if (!c->q.grid->scaled)
        *real = skv_emit(b, "Cast", SKV_IN(q), SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
    else
        *real = z ? skv_emit(b, "DequantizeLinear", SKV_IN(q, s, z), list)
                  : skv_emit(b, "DequantizeLinear", SKV_IN(q, s), list);
    status = b->status;
done:
    skv_storage_release(codes);
    skv_storage_release(scales);
    skv_storage_release(zeros);
    return status;
}

skive_status skv_gridded_check_zeros(const skive_value *v, const skv_quantizer *q) {
    const skv_grid_params one = {.scale = 1};
    if (!v->keeps_zeros || q->grid->own_levels || skv_grid_decode(q, &one, skv_grid_encode(q, &one, 0)) == 0)
        return SKIVE_OK;
    return skv_fail_at(v->graph->ctx, SKIVE_ERR_ARGUMENT, v->name,
                       "the weights '%s' were pruned, and the grid '%s' has no zero", v->name, q->grid->name);
}

skive_status skv_gridded_check(skive_context *ctx, const char *text, const skv_quantizer *q) {
    if (!q->grid->both) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "grid",
                       "weights have both signs, and the grid '%s' has no negative numbers: take '%s'", text,
                       q->grid->both->name);
}
