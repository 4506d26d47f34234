/* One answer of a model learns from another of the same model: an early exit from the last one (self-distillation:
 * Zhang et al. 2019, "Be your own teacher"), or students in one graph from one another (deep mutual learning: Zhang et
 * al. 2018). With z the scores that learn and y those that teach, through which no gradient passes:
 * soft * T^2 * KL(softmax(y / T) || softmax(z / T)) + labels * cross-entropy(labels, z), mean over the batch. */
#include "train/terms/term.h"

static const skv_option options[] = {
    {.name = "value",
     .type = SKV_OPTION_TEXT,
     .brief = "scores of the model that learn, by name (default: its answer)"},
    {.name = "by", .type = SKV_OPTION_TEXT, .brief = "scores of the model that teach (default: its answer)"},
    {.name = "soft", .type = SKV_OPTION_REAL, .most = 1e9, .fallback = 0.7, .brief = "factor on the divergence"},
    {.name = "labels",
     .type = SKV_OPTION_REAL,
     .most = 1e9,
     .fallback = 0.3,
     .brief = "factor on the cross-entropy with the labels"},
    SKV_TERM_TEMPERATURE,
    SKV_TERM_WEIGHT(1),
};

static skive_value *soft_part(skv_builder *b, const skv_loss_args *a) {
    skv_loss_args one = *a;
    one.logits = a->feature;
    one.teacher = skv_term_detach(b, a->example);
    return skv_loss_kl.build(b, &one);
}

static skive_value *hard_part(skv_builder *b, const skv_loss_args *a) {
    skv_loss_args one = *a;
    one.logits = a->feature;
    one.options = NULL;
    return skv_loss_find("cross-entropy")->build(b, &one);
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    skv_option_values defaults;
    const skv_option_values *v = a->options ? a->options : &defaults;
    skv_options_default(options, SKV_LENGTH(options), &defaults);
    const double soft = skv_option_real(v, "soft"), labels = skv_option_real(v, "labels");
    if (b->status != SKIVE_OK) return NULL;
    if (a->sigmoid || a->feature->type.rank != 2 || a->example->type.rank != 2 ||
        a->feature->type.dims[1].size != a->example->type.dims[1].size || (labels > 0 && !skv_term_has_classes(a))) {
        skv_term_refuse(b, a, "peer",
                        "both must be scores [samples, classes] of as many classes, with one label a sample");
        return NULL;
    }
    if (soft == 0 && labels == 0) {
        b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_ARGUMENT, "peer", "peer: soft and labels are 0: no effect");
        return NULL;
    }
    skive_value *sum = soft > 0 ? skv_term_times(b, soft_part(b, a), soft) : NULL;
    if (labels == 0) return sum;
    skive_value *hard = skv_term_times(b, hard_part(b, a), labels);
    return sum ? skv_term_two(b, "Add", sum, hard) : hard;
}

const skv_loss skv_loss_peer = {
    .name = "peer",
    .brief = "scores inside the model learn from its answer, or from others in it",
    SKV_OPTIONS(options),
    .own = true,
    .partly = true,
    .weight = 1,
    .build = build,
};
