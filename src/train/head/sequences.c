/* Sequences of labels as targets: what training refuses in them, an evaluation refuses too, with the sample's number. */
#include "data/data.h"
#include "train/head/head.h"

typedef struct sequence {
    const skive_dataset *set;
    size_t sample;
    const float *y;
    int64_t places, classes, blank;
} sequence;

static skive_status no_class(skive_context *ctx, const sequence *s, int64_t place) {
    const double label = (double)s->y[place];
    return skv_fail_at(
        ctx, SKIVE_ERR_DATA, s->set->spec,
        "%s: label %.9g at place %lld of sample %zu is %s; labels are classes from %d to %lld, filled up "
        "with -1",
        s->set->spec, label, (long long)place, skive_dataset_origin(s->set, s->sample),
        label == (double)s->blank ? "the blank, which stands for no label" : "not one of the classes", s->blank == 0,
        (long long)s->classes - 1 - (s->blank > 0));
}

static skive_status check_one(skive_context *ctx, const sequence *s) {
    int64_t n = 0;
    for (; n < s->places && s->y[n] != -1; n++) {
        const int64_t label = s->y[n] >= 0 && s->y[n] < (float)s->classes ? (int64_t)s->y[n] : -1;
        if (label < 0 || label == s->blank || (float)label != s->y[n]) return no_class(ctx, s, n);
    }
    for (int64_t i = n; i < s->places; i++) {
        if (s->y[i] == -1) continue;
        return skv_fail_at(ctx, SKIVE_ERR_DATA, s->set->spec,
                           "%s: sample %zu has the label %.9g at place %lld, behind a -1 at place %lld; a sequence is "
                           "filled up with -1 at its end only",
                           s->set->spec, skive_dataset_origin(s->set, s->sample), (double)s->y[i], (long long)i,
                           (long long)n);
    }
    return SKIVE_OK;
}

skive_status skv_sequences_check(skive_context *ctx, const skive_dataset *set, size_t target, const skv_head *head,
                                 int64_t classes) {
    const skive_dataset *answer = skive_dataset_get_target(set, target);
    if (head->task != SKIVE_TASK_SEQUENCES || classes < 1 || !answer || !answer->targets) return SKIVE_OK;
    sequence s = {.set = set, .places = (int64_t)answer->target_size, .classes = classes};
    s.blank = head->kind == SKIVE_OUTPUT_CTC_LAST ? classes - 1 : 0;
    for (; s.sample < set->count; s.sample++) {
        s.y = answer->targets + skv_dataset_at(set, s.sample) * answer->target_size;
        SKV_TRY(check_one(ctx, &s));
    }
    return SKIVE_OK;
}
