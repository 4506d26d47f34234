/* What should be looked at in a data set, found in what a pass over it collected. */
#include <string.h>

#include "data/summary/summary.h"

enum { EXAMPLES = 5 };
#define IMBALANCE 10.0 /* times the samples of the smallest class */

static const char *split_of(const skv_survey *s, size_t k) { return skive_split_name(s->sets[k]->split); }

/* Takes the text. */
static skive_status report(const skv_survey *s, const char *kind, size_t count, skv_text *text) {
    skive_data_summary *out = s->out;
    skive_status status = text->status;
    if (status == SKIVE_OK)
        status = skv_grow(s->ctx, &out->problems, out->n_problems, out->n_problems + 1, sizeof *out->problems);
    char *copy = NULL;
    if (status == SKIVE_OK) status = skv_strdup(s->ctx, text->data, &copy);
    if (status == SKIVE_OK)
        out->problems[out->n_problems++] = (skive_data_problem){.kind = kind, .count = count, .text = copy};
    skv_text_free(text);
    return status;
}

static const char *plural(size_t n) { return n == 1 ? "" : "s"; }

/* ---- equal samples ---- */

typedef struct equal {
    size_t n;
    const skv_seen *first, *second; /* of the first group that was found */
} equal;

static void note_equal(equal *e, const skv_seen *a, const skv_seen *b) {
    if (!e->n++) {
        e->first = a;
        e->second = b;
    }
}

/* `one`, `many`: what one sample does, and what several do. */
static skive_status report_equal(const skv_survey *s, const equal *e, const char *kind, const char *one,
                                 const char *many) {
    skv_text t;
    if (!e->n) return SKIVE_OK;
    const skive_dataset *a = s->sets[e->first->split], *b = s->sets[e->second->split];
    skv_text_init(&t, s->ctx);
    skv_text_add(&t, "%zu sample%s %s; the first: sample %zu of %s is equal to sample %zu of %s", e->n, plural(e->n),
                 e->n == 1 ? one : many, skive_dataset_origin(b, e->second->index), split_of(s, e->second->split),
                 skive_dataset_origin(a, e->first->index), split_of(s, e->first->split));
    if (strcmp(kind, "contradictions") == 0)
        skv_text_add(&t, " and has label %d instead of %d", (int)e->second->label, (int)e->first->label);
    return report(s, kind, e->n, &t);
}

/* A sample counts once: as a duplicate of an earlier split, or else as a repeat within its own. */
static skive_status equal_samples(const skv_survey *s) {
    equal across = {0}, within = {0}, against = {0};
    for (size_t from = 0, to; from < s->n_seen; from = to) {
        for (to = from + 1; to < s->n_seen && s->seen[to].hash == s->seen[from].hash; to++) {
            const skv_seen *a = &s->seen[from], *b = &s->seen[to];
            note_equal(b->split != a->split ? &across : &within, a, b);
            if (b->label != a->label) note_equal(&against, a, b);
        }
    }
    SKV_TRY(report_equal(s, &across, "duplicates", "of a split occurs in an earlier one too",
                         "of a split occur in an earlier one too"));
    SKV_TRY(report_equal(s, &against, "contradictions", "is equal to another but labelled differently",
                         "are equal to others but labelled differently"));
    return report_equal(s, &within, "repeats", "occurs more than once in its split",
                        "occur more than once in their split");
}

/* ---- samples that are no good ---- */

static skive_status bad_samples(const skv_survey *s) {
    for (size_t k = 0; k < s->n; k++) {
        const skive_split_summary *split = &s->out->splits[k];
        skv_text t;
        if (split->damaged) {
            skv_text_init(&t, s->ctx);
            skv_text_add(&t, "%zu sample%s of %s cannot be read; the first: %s", split->damaged, plural(split->damaged),
                         split_of(s, k), s->damage[k]);
            SKV_TRY(report(s, "damaged", split->damaged, &t));
        }
        if (split->not_finite) {
            skv_text_init(&t, s->ctx);
            skv_text_add(&t, "%zu sample%s of %s contain%s NaN or infinity; the first: sample %zu", split->not_finite,
                         plural(split->not_finite), split_of(s, k), split->not_finite == 1 ? "s" : "",
                         skive_dataset_origin(s->sets[k], s->first_broken[k]));
            SKV_TRY(report(s, "not-finite", split->not_finite, &t));
        }
    }
    return SKIVE_OK;
}

/* ---- classes ---- */

static void add_class(const skv_survey *s, int64_t c, size_t n, skv_text *t) {
    const char *name = s->sets[0]->class_names ? s->sets[0]->class_names[c] : NULL;
    if (n == EXAMPLES) skv_text_add(t, " ...");
    if (n >= EXAMPLES) return;
    if (name)
        skv_text_add(t, "%s '%s'", n ? "," : ":", name);
    else
        skv_text_add(t, "%s %lld", n ? "," : ":", (long long)c);
}

static bool occurs(const skv_survey *s, int64_t c) {
    for (size_t k = 0; k < s->n; k++) {
        if (s->out->splits[k].per_class && s->out->splits[k].per_class[c]) return true;
    }
    return false;
}

static skive_status classes_of(const skv_survey *s, size_t split, const char *kind) {
    const skive_dataset *ds = s->sets[0];
    const bool any = split == s->n; /* of all splits together */
    skv_text names, t;
    size_t n = 0;
    skv_text_init(&names, s->ctx);
    for (int64_t c = 0; c < ds->classes; c++) {
        const bool there = occurs(s, c);
        if (any ? !there : there && s->out->splits[split].per_class[c] == 0) add_class(s, c, n++, &names);
    }
    skive_status status = names.status;
    if (status == SKIVE_OK && n) {
        skv_text_init(&t, s->ctx);
        skv_text_add(&t, "%zu of %lld classes ha%s no %s in %s%s", n, (long long)ds->classes, n == 1 ? "s" : "ve",
                     ds->label_rank ? "pixels" : "samples", any ? "any split" : split_of(s, split), names.data);
        status = report(s, kind, n, &t);
    }
    skv_text_free(&names);
    return status;
}

static skive_status imbalance(const skv_survey *s) {
    const skive_split_summary *split = &s->out->splits[0];
    const skive_dataset *ds = s->sets[0];
    int64_t least = -1, most = -1;
    skv_text t;
    for (int64_t c = 0; c < ds->classes; c++) {
        if (!split->per_class[c]) continue;
        if (least < 0 || split->per_class[c] < split->per_class[least]) least = c;
        if (most < 0 || split->per_class[c] > split->per_class[most]) most = c;
    }
    if (least < 0 || (double)split->per_class[most] <= IMBALANCE * (double)split->per_class[least]) return SKIVE_OK;
    skv_text_init(&t, s->ctx);
    skv_text_add(&t, "the classes of %s differ in size: %zu samples of the largest", split_of(s, 0),
                 split->per_class[most]);
    add_class(s, most, 0, &t);
    skv_text_add(&t, ", %zu of the smallest", split->per_class[least]);
    add_class(s, least, 0, &t);
    return report(s, "imbalance", 2, &t);
}

static skive_status classes(const skv_survey *s) {
    for (size_t k = 0; k < s->n; k++) {
        if (!s->out->splits[k].per_class) return SKIVE_OK;
    }
    SKV_TRY(classes_of(s, s->n, "empty-classes"));
    for (size_t k = 0; k < s->n; k++) SKV_TRY(classes_of(s, k, "missing-classes"));
    return s->sets[0]->label_rank ? SKIVE_OK : imbalance(s); /* of pixels, a background outnumbers all */
}

/* ---- channels ---- */

static skive_status channels(const skv_survey *s) {
    const skive_split_summary *split = &s->out->splits[0];
    skv_text t;
    size_t n = 0;
    for (int64_t c = 0; c < split->channels; c++) n += split->std[c] == 0;
    if (!n || split->count < 2) return SKIVE_OK;
    skv_text_init(&t, s->ctx);
    skv_text_add(&t, "%zu of %lld channels or columns of %s %s constant", n, (long long)split->channels, split_of(s, 0),
                 n == 1 ? "is" : "are");
    n = 0;
    for (int64_t c = 0; c < split->channels; c++) {
        if (split->std[c] != 0) continue;
        if (n == EXAMPLES) skv_text_add(&t, " ...");
        const char *name = s->sets[0]->rank == 1 ? skive_dataset_value_name(s->sets[0], (size_t)c) : NULL;
        if (n < EXAMPLES && name) skv_text_add(&t, "%s %s", n ? "," : ":", name);
        if (n < EXAMPLES && !name) skv_text_add(&t, "%s %lld", n ? "," : ":", (long long)c);
        n++;
    }
    return report(s, "constant-channels", n, &t);
}

skive_status skv_survey_problems(const skv_survey *s) {
    SKV_TRY(bad_samples(s));
    SKV_TRY(equal_samples(s));
    SKV_TRY(classes(s));
    return channels(s);
}
