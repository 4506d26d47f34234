/* Connectionist temporal classification (Graves et al. 2006): minus the log-probability of a sequence of labels, over
 * all ways to spread it over the steps with blanks between, mean over the samples. Scores [n][steps][classes], or
 * [steps][n][classes] where only that fits the batch; labels [n][places], filled up with -1. The blank is the first
 * class, or the last where the kind of the output says so (ctc-last). Where the model names lengths, the steps behind
 * them do not count. */
#include <string.h>

#include "train/train.h"

static const char *const cures[] = {"fail", "skip"};
static const char *cure_name(size_t i) { return i < 2 ? cures[i] : NULL; }

static const skv_option options[] = {{.name = "impossible",
                                      .type = SKV_OPTION_CHOICE,
                                      .choices = cure_name,
                                      .text = "fail",
                                      .brief = "samples with more labels than steps end the run, or do not count"}};

static skive_value *refuse(skv_builder *b, const skv_loss_args *a, const char *what, const skive_value *v) {
    char text[160];
    skv_type_text(&v->type, text, sizeof text);
    b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_SHAPE, v->name, "ctc needs %s, but '%s' is %s", what,
                            v == a->labels ? "labels" : v->name, text);
    return NULL;
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    skive_value *x = a->logits, *labels = a->labels;
    if (b->status != SKIVE_OK) return NULL;
    const int64_t n = labels->type.rank > 0 ? labels->type.dims[0].size : -1;
    if (x->type.rank != 3) return refuse(b, a, "scores [n, steps, classes]", x);
    if (labels->type.rank != 2) return refuse(b, a, "label sequences [n, places]", labels);
    if (n >= 0 && x->type.dims[0].size != n && x->type.dims[1].size == n)
        x = skv_emit(b, "Transpose", SKV_IN(x), SKV_ATTRS(SKV_INTS("perm", ((const int64_t[]){1, 0, 2}), 3)));
    if (b->status != SKIVE_OK) return NULL;
    if (labels->type.dtype != SKIVE_I64)
        labels = skv_emit(b, "Cast", SKV_IN(labels), SKV_ATTRS(SKV_INT("to", SKIVE_I64)));
    skive_value *lengths = skv_head_lengths(b, a->head);
    const bool skip = a->options && strcmp(skv_option_text(a->options, "impossible"), "skip") == 0;
    skive_value *losses =
        skv_emit(b, "CtcLoss", SKV_IN(x, labels, lengths),
                 SKV_ATTRS(SKV_INT("blank", a->blank_last ? x->type.dims[2].size - 1 : 0),
                           SKV_INT("zero_infinity", skip), SKV_INT("every", lengths ? a->head->every : 1)));
    return skv_emit(b, "ReduceMean", SKV_IN(losses), SKV_ATTRS(SKV_INT("keepdims", 0)));
}

const skv_loss skv_loss_ctc = {
    .name = "ctc",
    .brief = "sequences of labels from scores over time, wherever in it they are",
    SKV_OPTIONS(options),
    .raw = true,
    .kind = "ctc",
    .build = build,
};
