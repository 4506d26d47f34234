/* See combine.h. */
#include "train/combine.h"

#include "train/terms/term.h"

#define SKV_KIND    combine
#define SKV_ARRAY   combines
#define SKV_RECORDS "train/combines.inc"
#include "base/records.h"
SKV_FAMILY(combine, combines, "way to combine teachers")

/* Weights of the sum 1: those without one share what the others leave, or get their mean where nothing is left. */
static skive_status find_given(skive_context *ctx, const skv_teacher *const *teachers, size_t n, double *given,
                               bool *any) {
    double sum = 0;
    size_t without = 0;
    *any = false;
    for (size_t i = 0; i < n; i++) {
        sum += teachers[i]->weight;
        without += teachers[i]->weight == 0;
        *any = *any || teachers[i]->weight > 0;
    }
    const double with = (double)(n - without);
    const double rest = !without ? 0 : sum < 1 ? (1 - sum) / (double)without : sum / with;
    const double total = sum + rest * (double)without;
    for (size_t i = 0; i < n; i++) given[i] = (teachers[i]->weight > 0 ? teachers[i]->weight : rest) / total;
    if (*any) {
        skv_text text;
        skv_text_init(&text, ctx);
        for (size_t i = 0; i < n; i++)
            skv_text_add(&text, "%s%s %.4g", i ? ", " : "", teachers[i]->name ? teachers[i]->name : "teacher",
                         given[i]);
        const skive_status status = text.status;
        if (status == SKIVE_OK) skv_note(ctx, "weights of the teachers: %s", text.data);
        skv_text_free(&text);
        return status;
    }
    return SKIVE_OK;
}

static skive_status check(skive_context *ctx, const skv_combine *how, const skv_loss_site *at, bool weights,
                          const skv_option_values *values) {
    const bool free_of_labels = how->without_labels && how->without_labels(values);
    const bool exclusive =
        at->head->task != SKIVE_TASK_VALUES && !skv_head_is_sigmoid(at->head) && at->logits->type.rank == 2;
    const bool labelled = !at->partly && at->labels->type.dtype == SKIVE_I64 && at->labels->type.rank == 1;
    if (weights && !how->takes_weights)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "combine",
                           "combine '%s' finds weights of its own; leave those of the teachers out, or take 'weights'",
                           how->name);
    if (how->needs_classes && !(exclusive && (labelled || free_of_labels)))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "combine", "combine '%s' needs %s; take 'mean' or 'weights'",
                           how->name,
                           free_of_labels ? "scores of classes that exclude one another" : "one class label a sample");
    return SKIVE_OK;
}

static skive_status pick(skive_context *ctx, const skv_objective *o, bool any, size_t *index,
                         skv_option_values *values) {
    return skv_family_pick(ctx, &skv_combine_family, "combine",
                           o->combine ? o->combine
                           : any      ? "weights"
                                      : "mean",
                           index, values);
}

skive_status skv_combine_fixed(skive_context *ctx, const skv_objective *o, double *given) {
    const skv_teacher **all = NULL;
    skv_option_values values;
    size_t index = 0;
    bool any = false;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, o->n_teachers, sizeof *all, &all));
    for (size_t i = 0; i < o->n_teachers; i++) all[i] = &o->teachers[i];
    SKV_GO(status, done, find_given(ctx, all, o->n_teachers, given, &any));
    SKV_GO(status, done, pick(ctx, o, any, &index, &values));
    const skv_combine *how = combines[index];
    if (how->needs_classes || (any && !how->takes_weights))
        status = skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "combine",
                             "combine '%s' is not for teachers that know different classes; take %s", how->name,
                             any ? "'weights'" : "'mean' or 'weights'");
done:
    skv_free(ctx, all);
    return status;
}

void skv_combined_free(skive_context *ctx, skv_combined *c) {
    skv_free(ctx, c->scores);
    skv_free(ctx, c->weights);
    *c = (skv_combined){.n = 0};
}

void skv_combine_build(skv_builder *b, const skv_objective *o, const skv_loss_site *at, skive_value *const *scores,
                       skv_combined *out) {
    skive_context *ctx = b->graph->ctx;
    const size_t most = o->n_teachers;
    skv_option_values values;
    const skv_teacher **who = NULL;
    double *given = NULL;
    size_t index = 0;
    bool any = false;
    *out = (skv_combined){.n = 0};
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(ctx, most, sizeof *out->scores, &out->scores);
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(ctx, most, sizeof *out->weights, &out->weights);
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(ctx, most, sizeof *given, &given);
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(ctx, most, sizeof *who, &who);
    for (size_t i = 0; i < most && b->status == SKIVE_OK; i++) {
        if (!scores[i]) continue;
        who[out->n] = &o->teachers[i];
        out->scores[out->n++] = scores[i];
    }
    /* One that teaches the output alone is not combined. */
    if (out->n > 1) {
        b->status = find_given(ctx, who, out->n, given, &any);
        if (b->status == SKIVE_OK) b->status = pick(ctx, o, any, &index, &values);
        if (b->status == SKIVE_OK) b->status = check(ctx, combines[index], at, any, &values);
    }
    if (b->status == SKIVE_OK && out->n > 1) {
        const skv_combine_args a = {.at = at, .scores = out->scores, .given = given, .n = out->n, .options = &values};
        combines[index]->weigh(b, &a, out->weights, &out->more);
        if (b->status == SKIVE_OK) skv_note(ctx, "%zu teachers are combined: %s", out->n, combines[index]->brief);
    }
    skv_free(ctx, who);
    skv_free(ctx, given);
}

static skive_value *weighted(skv_builder *b, const skv_combined *c,
                             skive_value *(*of)(skv_builder *, skive_value *, double, int), double temperature,
                             int axis) {
    skive_value *sum = NULL;
    for (size_t i = 0; i < c->n && b->status == SKIVE_OK; i++) {
        skive_value *x = of ? of(b, c->scores[i], temperature, axis) : c->scores[i];
        x = skv_term_two(b, "Mul", x, c->weights[i]);
        sum = sum ? skv_term_two(b, "Add", sum, x) : x;
    }
    return sum;
}

static skive_value *softmax(skv_builder *b, skive_value *x, double t, int axis) {
    return skv_emit(b, "Softmax", SKV_IN(skv_term_times(b, x, 1 / t)), SKV_ATTRS(SKV_INT("axis", axis)));
}

static skive_value *sigmoid(skv_builder *b, skive_value *x, double t, int axis) {
    (void)axis;
    return skv_term_one(b, "Sigmoid", skv_term_times(b, x, 1 / t));
}

/* log p; probabilities of 0 count as 1e-30. */
static skive_value *logarithm(skv_builder *b, skive_value *p) {
    return skv_term_one(b, "Log", skv_term_two(b, "Max", p, skv_term_scalar(b, p, 1e-30)));
}

skive_value *skv_combine_scores(skv_builder *b, const skv_combined *c, const skv_loss_site *at, double temperature,
                                bool probabilities) {
    const int axis = skv_term_class_axis(at->head, at->logits, at->labels);
    if (at->head->task == SKIVE_TASK_VALUES || !probabilities) return weighted(b, c, NULL, 1, -1);
    if (!skv_head_is_sigmoid(at->head))
        return skv_term_times(b, logarithm(b, weighted(b, c, softmax, temperature, axis)), temperature);
    skive_value *p = weighted(b, c, sigmoid, temperature, axis);
    skive_value *q = skv_term_plus(b, skv_term_times(b, p, -1), 1);
    return skv_term_times(b, skv_term_two(b, "Sub", logarithm(b, p), logarithm(b, q)), temperature);
}
