/* Weights for each sample by how sure the teachers are (CA-MKD: Zhang, Chen & Wang 2022): with L_k the cross-entropy of
 * teacher k on the label, w_k = (1 - exp(L_k) / sum_j exp(L_j)) / (K - 1). "by=entropy" takes the entropy of its
 * probabilities for L_k, which needs no label. */
#include "train/combine.h"
#include "train/terms/term.h"

static const char *const measures[] = {"loss", "entropy"};
static const char *measure_at(size_t i) { return i < SKV_LENGTH(measures) ? measures[i] : NULL; }

static const skv_option options[] = {
    {.name = "by",
     .type = SKV_OPTION_CHOICE,
     .text = "loss",
     .choices = measure_at,
     .brief = "what tells that a teacher is sure: its loss on the label, or its entropy"},
};

/* [n][1] */
static skive_value *unsure(skv_builder *b, skive_value *scores, skive_value *label) {
    skive_value *log_p = skv_emit(b, "LogSoftmax", SKV_IN(scores), SKV_ATTRS(SKV_INT("axis", 1)));
    skive_value *p = label ? label : skv_term_one(b, "Exp", log_p);
    return skv_term_times(b, skv_term_reduce(b, "ReduceSum", skv_term_two(b, "Mul", p, log_p), 1, true), -1);
}

static bool without_labels(const skv_option_values *o) { return skv_option_text(o, "by")[0] == 'e'; }

static void weigh(skv_builder *b, const skv_combine_args *a, skive_value **weights, skive_value **more) {
    const bool by_loss = skv_option_text(a->options, "by")[0] == 'l';
    const skv_loss_args args = {
        .logits = a->at->logits, .labels = a->at->labels, .n_classes = a->at->targets->info.classes};
    skive_value *label = by_loss ? skv_loss_target(b, &args, 0, 0) : NULL, *all = NULL;
    (void)more;
    if (a->n < 2) {
        weights[0] = skv_term_scalar(b, a->scores[0], 1);
        return;
    }
    for (size_t i = 0; i < a->n; i++) weights[i] = unsure(b, a->scores[i], label);
    if (b->status == SKIVE_OK) all = skv_emit(b, "Concat", (skv_in_list){weights, a->n}, SKV_ATTRS(SKV_INT("axis", 1)));
    skive_value *share = skv_emit(b, "Softmax", SKV_IN(all), SKV_ATTRS(SKV_INT("axis", 1)));
    for (size_t i = 0; i < a->n; i++) {
        const int64_t from = (int64_t)i, to = (int64_t)i + 1, axis = 1;
        skive_value *own = skv_emit(
            b, "Slice", SKV_IN(share, skv_emit_ints(b, &from, 1), skv_emit_ints(b, &to, 1), skv_emit_ints(b, &axis, 1)),
            SKV_NONE);
        weights[i] = skv_term_times(b, skv_term_plus(b, skv_term_times(b, own, -1), 1), 1 / (double)(a->n - 1));
    }
}

const skv_combine skv_combine_confidence = {.name = "confidence",
                                            .brief = "the surer a teacher is of a sample, the more it counts",
                                            SKV_OPTIONS(options),
                                            .needs_classes = true,
                                            .without_labels = without_labels,
                                            .weigh = weigh};
