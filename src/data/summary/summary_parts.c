/* The summary of a data set: moments of numbers, and the inputs and targets behind the first. */
#include <math.h>

#include "data/feed.h"
#include "data/summary/summary.h"

/* ---- moments ---- */

void skv_moments_add(skv_moments *m, const float *x, size_t n) {
    if (n > 0 && m->count == 0) {
        m->shift = m->least = m->most = (double)x[0];
    }
    for (size_t i = 0; i < n; i++) {
        const double v = (double)x[i], d = v - m->shift;
        m->sum += d;
        m->squares += d * d;
        m->least = v < m->least ? v : m->least;
        m->most = v > m->most ? v : m->most;
    }
    m->count += (double)n;
}

void skv_moments_give(const skv_moments *m, double *mean, double *std, double *least, double *most) {
    const double d = m->sum / m->count, variance = m->squares / m->count - d * d;
    *mean = *std = *least = *most = NAN;
    if (m->count == 0) return;
    *mean = m->shift + d;
    *std = m->most > m->least && variance > 0 ? sqrt(variance) : 0;
    *least = m->least;
    *most = m->most;
}

/* ---- channels ---- */

skv_sample_view skv_view_of(const skive_dataset *ds) {
    int axis = ds->channel_axis >= 0 ? ds->channel_axis : ds->rank >= 3 ? skv_channel_axis_of(ds->rank, ds->dims) : -1;
    skv_sample_view v = {1, 1, ds->size};
    if (ds->rank == 1 && (ds->content == SKV_CONTENT_WAVE || ds->content == SKV_CONTENT_TOKENS)) return v;
    if (axis < 0) axis = ds->rank >= 3 || ds->rank == 1 ? 0 : -1;
    if (axis < 0 || ds->dims[axis] > SKIVE_MAX_CHANNELS) return v;
    v.inner = 1;
    for (int d = 0; d < ds->rank; d++) {
        if (d < axis) v.outer *= (size_t)ds->dims[d];
        if (d > axis) v.inner *= (size_t)ds->dims[d];
    }
    v.channels = (size_t)ds->dims[axis];
    return v;
}

/* ---- parts ---- */

static skive_status moments_of(skive_context *ctx, skv_part_pass *p, int64_t channels) {
    skive_part_summary *out = p->out;
    SKV_TRY(skv_alloc_array(ctx, (size_t)channels, sizeof *p->moments, &p->moments));
    SKV_TRY(skv_alloc_array(ctx, 4 * (size_t)channels, sizeof *out->mean, &out->mean));
    out->channels = channels;
    out->std = out->mean + channels;
    out->least = out->std + channels;
    out->most = out->least + channels;
    return SKIVE_OK;
}

static skive_status start_target(skive_context *ctx, skv_part_pass *p) {
    const skive_dataset *t = p->set;
    p->out->target = true;
    if (!skv_dataset_labelled(t)) {
        SKV_TRY(skv_alloc_array(ctx, t->target_size + 1, sizeof *p->values, &p->values));
        return moments_of(ctx, p, 1);
    }
    p->out->classes = t->classes;
    SKV_TRY(skv_alloc_array(ctx, t->label_size + 1, sizeof *p->labels, &p->labels));
    return skv_alloc_array(ctx, (size_t)t->classes + 1, sizeof *p->out->per_class, &p->out->per_class);
}

skive_status skv_parts_start(skive_context *ctx, const skive_dataset *ds, skive_split_summary *out,
                             skv_part_pass **passes) {
    skive_dataset_info info;
    skive_dataset_get_info(ds, &info);
    const size_t inputs = info.n_inputs > 1 ? info.n_inputs - 1 : 0,
                 targets = info.n_targets > 1 ? info.n_targets - 1 : 0;
    if (inputs + targets == 0) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(ctx, inputs + targets, sizeof **passes, passes));
    SKV_TRY(skv_alloc_array(ctx, inputs + targets, sizeof *out->more, &out->more));
    out->n_more = inputs + targets;
    for (size_t i = 0; i < out->n_more; i++) {
        skv_part_pass *p = &(*passes)[i];
        const bool target = i >= inputs;
        const char *name = target ? info.targets[i - inputs + 1].name : info.inputs[i + 1].name;
        p->out = &out->more[i];
        p->set = target ? skive_dataset_get_target(ds, i - inputs + 1) : skive_dataset_get_input(ds, i + 1);
        if (name) SKV_TRY(skv_strdup(ctx, name, &p->out->name));
        SKV_TRY(target ? start_target(ctx, p) : moments_of(ctx, p, (int64_t)skv_view_of(p->set).channels));
    }
    return SKIVE_OK;
}

void skv_part_add(skv_part_pass *p, const float *x) {
    const skv_sample_view v = skv_view_of(p->set);
    for (size_t r = 0; r < v.outer * v.channels; r++)
        skv_moments_add(&p->moments[r % v.channels], x + r * v.inner, v.inner);
}

skive_status skv_parts_add_targets(skive_context *ctx, const skive_dataset *ds, size_t index, size_t n,
                                   skv_part_pass *passes) {
    (void)ds;
    for (size_t i = 0; i < n; i++) {
        skv_part_pass *p = &passes[i];
        const size_t labels = p->set->label_rank ? p->set->label_size : 1;
        if (!p->out->target) continue;
        if (p->values) {
            SKV_TRY(skive_dataset_read_target(ctx, p->set, index, p->values));
            skv_moments_add(p->moments, p->values, p->set->target_size);
            continue;
        }
        const skive_status status = skive_dataset_read_labels(ctx, p->set, index, p->labels);
        if (status == SKIVE_ERR_MEMORY || status == SKIVE_ERR_INTERRUPTED) return status;
        for (size_t k = 0; status == SKIVE_OK && k < labels; k++) {
            if (p->labels[k] >= 0 && p->labels[k] < p->out->classes) p->out->per_class[p->labels[k]]++;
        }
    }
    return SKIVE_OK;
}

void skv_parts_finish(skive_split_summary *out, const skv_part_pass *passes) {
    for (size_t i = 0; i < out->n_more; i++) {
        const skive_part_summary *p = &out->more[i];
        for (int64_t c = 0; c < p->channels; c++)
            skv_moments_give(&passes[i].moments[c], &p->mean[c], &p->std[c], &p->least[c], &p->most[c]);
    }
}

void skv_parts_free(skive_context *ctx, size_t n, skv_part_pass *passes) {
    for (size_t i = 0; passes && i < n; i++) {
        skv_free(ctx, passes[i].moments);
        skv_free(ctx, passes[i].labels);
        skv_free(ctx, passes[i].values);
    }
    skv_free(ctx, passes);
}

void skv_part_summaries_free(skive_context *ctx, skive_split_summary *out) {
    for (size_t i = 0; out->more && i < out->n_more; i++) {
        skv_free(ctx, out->more[i].name);
        skv_free(ctx, out->more[i].mean);
        skv_free(ctx, out->more[i].per_class);
    }
    skv_free(ctx, out->more);
}
