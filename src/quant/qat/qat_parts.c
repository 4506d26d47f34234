/* The list of methods of quantization-aware training, and what several of them use. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "quant/qat.h"

#define SKV_KIND    qat_method
#define SKV_ARRAY   qat_methods
#define SKV_RECORDS "quant/qat_methods.inc"
#include "base/records.h"
SKV_FAMILY(qat_method, qat_methods, "rounding rule")

const char *skive_qat_method_name(size_t i, bool *weights, bool *activations) {
    const skv_qat_method *m = skv_qat_method_at(i);
    if (weights) *weights = m && m->weights;
    if (activations) *activations = m && m->activations;
    return m ? m->name : NULL;
}

double skv_qat_top(const skv_qat_point *p) {
    const skv_grid_params one = {.scale = 1, .zero_point = p->grid_params.zero_point};
    const double high = (double)skv_grid_level(&p->q, &one, p->q.high),
                 low = (double)skv_grid_level(&p->q, &one, p->q.low);
    return high >= 1 ? high : low <= -1 ? -low : 1;
}

double skv_qat_share(const skv_qat_point *p) {
    if (!p->node) return p->features > 0 ? (double)p->features : 1;
    const skive_tensor *t = p->weight;
    const double n = (double)skive_tensor_count(t);
    return p->axis >= 0 && t->dims[p->axis] > 0 ? n / (double)t->dims[p->axis] : n;
}

static void mean_of(skv_qat_point *p, const skive_tensor *t) {
    const int64_t n = skive_tensor_count(t);
    p->before = 0;
    for (int64_t i = 0; i < n; i++) p->before += (double)((const float *)t->data)[i] / (double)n;
}

/* The scales of a weight's channels, or of all of it. */
static skive_status scales_of(const skv_qat_site *s, skv_qat_scale_fn scale_of, skv_storage **out) {
    const skv_qat_point *p = s->point;
    const skive_tensor *t = p->weight;
    const int64_t count = skive_tensor_count(t), n = p->axis >= 0 ? t->dims[p->axis] : 1;
    int64_t inner = 1;
    for (int d = p->axis + 1; p->axis >= 0 && d < t->rank; d++) inner *= t->dims[d];
    if (p->axis < 0) inner = count;
    const int64_t outer = n > 0 && inner > 0 ? count / n / inner : 0;
    float *part = NULL;
    SKV_TRY(skv_storage_create(s->ctx, SKIVE_F32, p->axis >= 0 ? 1 : 0, &n, out));
    skive_status status = skv_alloc_array(s->ctx, (size_t)(outer * inner) + 1, sizeof *part, &part);
    for (int64_t k = 0; status == SKIVE_OK && k < n; k++) {
        for (int64_t o = 0; o < outer; o++)
            memcpy(part + o * inner, (const float *)t->data + (o * n + k) * inner, (size_t)inner * sizeof *part);
        float scale = 0;
        status = scale_of(s->ctx, &p->q, part, outer * inner, &scale);
        ((float *)(*out)->tensor.data)[k] = scale > 0 && isfinite(scale) ? scale : 1;
    }
    skv_free(s->ctx, part);
    if (status != SKIVE_OK) {
        skv_storage_release(*out);
        *out = NULL;
    }
    return status;
}

/* Takes the storage over; the point knows it by its name. */
static skive_value *name_parameter(const skv_qat_site *s, skv_storage *scale, bool learned) {
    skv_qat_point *p = s->point;
    const char *name = NULL;
    char base[256];
    mean_of(p, &scale->tensor);
    (void)snprintf(base, sizeof base, "%.230s_step", p->value->name);
    s->b->status = skv_graph_unique_name(s->b->graph, base, &name);
    if (s->b->status != SKIVE_OK) {
        skv_storage_release(scale);
        return NULL;
    }
    skive_value *v = skv_emit_param(s->b, name, scale);
    if (!v) return NULL;
    v->trainable = learned;
    (void)snprintf(p->step, sizeof p->step, "%.250s", name);
    return v;
}

skive_value *skv_qat_parameter(const skv_qat_site *s, const float *x, int64_t n, bool learned) {
    skv_storage *storage = NULL;
    if (s->b->status != SKIVE_OK) return NULL;
    s->b->status = skv_storage_create(s->ctx, SKIVE_F32, 1, &n, &storage);
    if (s->b->status != SKIVE_OK) return NULL;
    memcpy(storage->tensor.data, x, (size_t)n * sizeof *x);
    return name_parameter(s, storage, learned);
}

skive_value *skv_qat_scale(const skv_qat_site *s, skv_qat_scale_fn scale_of, bool learned) {
    skv_qat_point *p = s->point;
    skv_builder *b = s->b;
    skv_storage *scale = NULL;
    if (b->status != SKIVE_OK) return NULL;
    if (p->node) {
        b->status = scales_of(s, scale_of, &scale);
    } else {
        b->status = skv_storage_create(s->ctx, SKIVE_F32, 0, NULL, &scale);
        if (b->status == SKIVE_OK) *(float *)scale->tensor.data = p->grid_params.scale;
    }
    if (b->status != SKIVE_OK) return NULL;
    return name_parameter(s, scale, learned);
}

skive_value *skv_qat_fake(const skv_qat_site *s, skive_value *scale, skive_value *count, const skv_attr_init *attrs,
                          size_t n_attrs) {
    enum { MOST = 8 };
    const skv_qat_point *p = s->point;
    skv_attr_init all[MOST] = {SKV_STR("grid", p->grid)};
    size_t n = 1;
    if (p->node && p->axis >= 0) all[n++] = SKV_INT("axis", p->axis);
    for (size_t i = 0; i < n_attrs && n < MOST; i++) all[n++] = attrs[i];
    if (p->node)
        return skv_emit(s->b, "FakeQuantize", (skv_in_list){(skive_value *const[]){s->x, scale}, scale ? 2 : 1},
                        (skv_attr_list){all, n});
    const bool zero = p->q.grid->uniform;
    skive_value *z = zero ? skv_emit_scalar(s->b, p->q.low < 0 ? SKIVE_I8 : SKIVE_U8, p->grid_params.zero_point) : NULL;
    skive_value *const in[] = {s->x, scale, z, count};
    return skv_emit(s->b, "FakeQuantize", (skv_in_list){in, count ? 4 : zero ? 3 : 2}, (skv_attr_list){all, n});
}

double skv_qat_step(const skive_graph *g, const skv_qat_point *p) {
    const skive_value *v = p->step[0] ? skive_graph_find_value(g, p->step) : NULL;
    const skive_tensor *t = v ? skv_value_tensor(v) : NULL;
    double sum = 0;
    if (!t || t->dtype != SKIVE_F32) return NAN;
    const int64_t n = skive_tensor_count(t);
    for (int64_t i = 0; i < n; i++) sum += (double)((const float *)t->data)[i];
    return sum / (double)n;
}
