/* The summary of a data set: counts, moments, and a hash of each sample, in one pass over all splits. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/feed.h"
#include "data/summary/summary.h"

/* ---- one split ---- */

static bool all_finite(const float *x, size_t n) {
    float sum = 0; /* NaN if any is NaN or infinite */
    for (size_t i = 0; i < n; i++) sum += x[i] * 0.0f;
    return sum == 0.0f;
}

typedef struct pass {
    skv_survey *survey;
    size_t split;    /* which of the sets */
    float *x;        /* room for the largest input */
    int64_t *labels; /* [label_size] of a mask; or NULL */
    skv_moments *channels, targets;
    skv_part_pass *more; /* [out->n_more] */
    skv_progress *progress;
    size_t done;
} pass;

static bool is_damage(skive_status status) {
    return status == SKIVE_ERR_DATA || status == SKIVE_ERR_IO || status == SKIVE_ERR_FORMAT ||
           status == SKIVE_ERR_UNSUPPORTED || status == SKIVE_ERR_LIMIT;
}

/* The message of the context says what is wrong. */
static void note_damage(pass *p) {
    skv_survey *s = p->survey;
    if (!s->out->splits[p->split].damaged++)
        (void)snprintf(s->damage[p->split], sizeof s->damage[0], "%s", skive_context_message(s->ctx));
}

/* The hash of all inputs; *good: there is no damage and no NaN. */
static skive_status read_sample(pass *p, size_t index, uint64_t *hash, bool *good) {
    skv_survey *s = p->survey;
    const skive_dataset *ds = s->sets[p->split];
    skive_split_summary *out = &s->out->splits[p->split];
    const skv_sample_view v = skv_view_of(ds);
    skive_dataset_info info;
    skive_dataset_get_info(ds, &info);
    *hash = 0;
    *good = true;
    for (size_t k = 0; k < (info.n_inputs > 1 ? info.n_inputs : 1); k++) {
        const skive_dataset *in = k ? skive_dataset_get_input(ds, k) : ds;
        const skive_status status = skive_dataset_read(s->ctx, in, index, p->x, NULL);
        if (is_damage(status)) {
            note_damage(p);
            *good = false;
            return SKIVE_OK;
        }
        SKV_TRY(status);
        if (!all_finite(p->x, in->size)) {
            if (!out->not_finite++) s->first_broken[p->split] = index;
            *good = false;
            return SKIVE_OK;
        }
        *hash = skv_hash64(p->x, in->size * sizeof *p->x, *hash);
        if (k > 0) skv_part_add(&p->more[k - 1], p->x);
        for (size_t r = 0; k == 0 && r < v.outer * v.channels; r++)
            skv_moments_add(&p->channels[r % v.channels], p->x + r * v.inner, v.inner);
    }
    return SKIVE_OK;
}

/* The classes of a sample: one, or one for each position of its mask. */
static skive_status count_classes(pass *p, size_t index, bool *good) {
    skv_survey *s = p->survey;
    const skive_dataset *ds = s->sets[p->split];
    skive_split_summary *out = &s->out->splits[p->split];
    const int64_t one = ds->labels ? ds->labels[skv_dataset_at(ds, index)] : -1,
                  *labels = ds->labels ? &one : p->labels;
    const size_t n = ds->labels ? 1 : ds->label_size;
    if (!ds->labels) {
        const skive_status status = skive_dataset_read_labels(s->ctx, ds, index, p->labels);
        if (is_damage(status)) {
            if (*good) note_damage(p);
            *good = false;
            return SKIVE_OK;
        }
        SKV_TRY(status);
    }
    for (size_t i = 0; i < n; i++) {
        if (labels[i] >= 0 && labels[i] < ds->classes) out->per_class[labels[i]]++;
    }
    return SKIVE_OK;
}

static skive_status run_split(pass *p) {
    skv_survey *s = p->survey;
    const skive_dataset *ds = s->sets[p->split];
    skive_split_summary *out = &s->out->splits[p->split];
    for (size_t i = 0; i < ds->count; i++) {
        const size_t at = skv_dataset_at(ds, i);
        uint64_t hash;
        bool good;
        SKV_TRY(read_sample(p, i, &hash, &good));
        if (out->per_class) SKV_TRY(count_classes(p, i, &good));
        SKV_TRY(skv_parts_add_targets(s->ctx, ds, i, out->n_more, p->more));
        if (ds->targets) skv_moments_add(&p->targets, ds->targets + at * ds->target_size, ds->target_size);
        if (good)
            s->seen[s->n_seen++] = (skv_seen){.hash = hash,
                                              .index = (uint32_t)i,
                                              .split = (uint16_t)p->split,
                                              .label = ds->labels ? ds->labels[at] : -1};
        p->done++;
        if (i % 64 == 63 || i + 1 == ds->count)
            SKV_TRY(skv_progress_at(p->progress, (double)p->done, "%zu samples", p->done));
    }
    return SKIVE_OK;
}

/* Files that were left out when the set was opened. Of samples held out for validation they were counted before. */
static void count_left_out(skv_survey *s, size_t k) {
    const skive_dataset *ds = s->sets[k];
    if (!ds->left_out || (k > 0 && ds->split == SKIVE_SPLIT_VALIDATION && !ds->separate_validation)) return;
    s->out->splits[k].damaged = ds->left_out;
    (void)snprintf(s->damage[k], sizeof s->damage[0], "%s", ds->first_left_out);
    skv_utf8_trim(s->damage[k]);
}

static skive_status one_split(skv_survey *s, size_t k, skv_progress *progress, size_t *done) {
    const skive_dataset *ds = s->sets[k];
    skive_split_summary *out = &s->out->splits[k];
    pass p = {.survey = s, .split = k, .progress = progress, .done = *done};
    skive_dataset_info info;
    size_t largest = ds->size;
    skive_status status;
    skive_dataset_get_info(ds, &info);
    for (size_t i = 0; i < info.n_inputs; i++)
        if (info.inputs[i].sample_size > largest) largest = info.inputs[i].sample_size;
    out->split = ds->split;
    out->count = ds->count;
    out->channels = (int64_t)skv_view_of(ds).channels;
    SKV_GO(status, done, skv_alloc_array(s->ctx, largest, sizeof *p.x, &p.x));
    SKV_GO(status, done, skv_alloc_array(s->ctx, (size_t)out->channels, sizeof *p.channels, &p.channels));
    SKV_GO(status, done, skv_alloc_array(s->ctx, 4 * (size_t)out->channels, sizeof *out->mean, &out->mean));
    out->std = out->mean + out->channels;
    out->least = out->std + out->channels;
    out->most = out->least + out->channels;
    if (skv_dataset_labelled(ds))
        SKV_GO(status, done, skv_alloc_array(s->ctx, (size_t)ds->classes + 1, sizeof *out->per_class, &out->per_class));
    if (ds->label_rank) SKV_GO(status, done, skv_alloc_array(s->ctx, ds->label_size, sizeof *p.labels, &p.labels));
    SKV_GO(status, done, skv_parts_start(s->ctx, ds, out, &p.more));
    count_left_out(s, k);
    SKV_GO(status, done, run_split(&p));
    for (int64_t c = 0; c < out->channels; c++)
        skv_moments_give(&p.channels[c], &out->mean[c], &out->std[c], &out->least[c], &out->most[c]);
    skv_moments_give(&p.targets, &out->target_mean, &out->target_std, &out->target_least, &out->target_most);
    skv_parts_finish(out, p.more);
    *done = p.done;
done:
    skv_parts_free(s->ctx, out->n_more, p.more);
    skv_free(s->ctx, p.x);
    skv_free(s->ctx, p.labels);
    skv_free(s->ctx, p.channels);
    return status;
}

/* ---- all of them ---- */

static int by_hash(const void *a, const void *b) {
    const skv_seen *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    if (x->split != y->split) return x->split < y->split ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static skive_status check_splits(skive_context *ctx, const skive_dataset *const *sets, size_t n) {
    if (n < 1 || n > UINT16_MAX) return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "skive_data_summarize: no split is given");
    for (size_t k = 0; k < n; k++) {
        if (!sets[k]) return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "skive_data_summarize: split %zu is NULL", k);
        if (sets[k]->size != sets[0]->size)
            return skv_fail_at(ctx, SKIVE_ERR_DATA, sets[k]->spec,
                               "%s: a sample of the %s split has %zu numbers, and one of the %s split %zu",
                               sets[k]->spec, skive_split_name(sets[k]->split), sets[k]->size,
                               skive_split_name(sets[0]->split), sets[0]->size);
        if (sets[k]->classes != sets[0]->classes)
            return skv_fail_at(ctx, SKIVE_ERR_DATA, sets[k]->spec,
                               "%s: the %s split has labels of %" PRId64 " classes, and the %s split of %" PRId64,
                               sets[k]->spec, skive_split_name(sets[k]->split), sets[k]->classes,
                               skive_split_name(sets[0]->split), sets[0]->classes);
    }
    return SKIVE_OK;
}

static skive_status survey(skv_survey *s) {
    skv_progress progress;
    size_t total = 0, done = 0;
    for (size_t k = 0; k < s->n; k++) total += s->sets[k]->count;
    SKV_TRY(skv_alloc_array(s->ctx, s->n, sizeof *s->out->splits, &s->out->splits));
    s->out->n_splits = s->n;
    SKV_TRY(skv_alloc_array(s->ctx, total + 1, sizeof *s->seen, &s->seen));
    SKV_TRY(skv_alloc_array(s->ctx, s->n, sizeof *s->damage, &s->damage));
    SKV_TRY(skv_alloc_array(s->ctx, s->n, sizeof *s->first_broken, &s->first_broken));
    skv_progress_start(&progress, s->ctx, "data", (double)total);
    for (size_t k = 0; k < s->n; k++) SKV_TRY(one_split(s, k, &progress, &done));
    if (s->n_seen > 1) qsort(s->seen, s->n_seen, sizeof *s->seen, by_hash);
    return skv_survey_problems(s);
}

skive_status skive_data_summarize(skive_context *ctx, const skive_dataset *const *splits, size_t n,
                                  skive_data_summary *out) {
    SKV_NEED(ctx, "ctx, splits, out", ctx, splits, out);
    *out = (skive_data_summary){0};
    SKV_TRY(check_splits(ctx, splits, n));
    skive_data_summary made = {0};
    skv_survey s = {.ctx = ctx, .sets = splits, .n = n, .out = &made};
    const skive_status status = survey(&s);
    skv_free(ctx, s.seen);
    skv_free(ctx, s.damage);
    skv_free(ctx, s.first_broken);
    if (status == SKIVE_OK)
        *out = made;
    else
        skive_data_summary_free(ctx, &made);
    return status;
}

void skive_data_summary_free(skive_context *ctx, skive_data_summary *s) {
    if (!s) return;
    for (size_t k = 0; k < s->n_splits; k++) {
        skv_free(ctx, s->splits[k].per_class);
        skv_free(ctx, s->splits[k].mean);
        skv_part_summaries_free(ctx, &s->splits[k]);
    }
    for (size_t i = 0; i < s->n_problems; i++) skv_free(ctx, s->problems[i].text);
    skv_free(ctx, s->splits);
    skv_free(ctx, s->problems);
    *s = (skive_data_summary){0};
}
