/* See combine.h. */
#include "train/combine.h"

#include "base/list.h"
#include "train/terms/term.h"

#define X(id) extern const skv_combine skv_combine_##id;
#include "train/combines.inc"
#undef X
static const skv_combine *const combines[] = {
#define X(id) &skv_combine_##id,
#include "train/combines.inc"
#undef X
};
SKV_FAMILY(combine, combines, "way to combine teachers")
SKV_LIST_ACCESS(combine, combines)

/* Weights of the sum 1: those without one share what the others leave, or get their mean where nothing is left. */
static skive_status find_given(skive_context *ctx, const skv_objective *o, double *given, bool *any) {
    double sum = 0;
    size_t without = 0;
    *any = false;
    for (size_t i = 0; i < o->n_teachers; i++) {
        sum += o->teachers[i].weight;
        without += o->teachers[i].weight == 0;
        *any = *any || o->teachers[i].weight > 0;
    }
    const double with = (double)(o->n_teachers - without);
    const double rest = !without ? 0 : sum < 1 ? (1 - sum) / (double)without : sum / with;
    const double total = sum + rest * (double)without;
    for (size_t i = 0; i < o->n_teachers; i++)
        given[i] = (o->teachers[i].weight > 0 ? o->teachers[i].weight : rest) / total;
    if (*any) {
        skv_text text;
        skv_text_init(&text, ctx);
        for (size_t i = 0; i < o->n_teachers; i++)
            skv_text_add(&text, "%s%s %.4g", i ? ", " : "", o->teachers[i].name ? o->teachers[i].name : "teacher",
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

void skv_combine_build(skv_builder *b, const skv_objective *o, const skv_loss_site *at, skive_value *const *scores,
                       skv_combined *out) {
    skive_context *ctx = b->graph->ctx;
    skv_option_values values;
    double *given = NULL;
    size_t index = 0;
    bool any = false;
    *out = (skv_combined){.scores = scores, .n = o->n_teachers};
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(ctx, o->n_teachers, sizeof *out->weights, &out->weights);
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(ctx, o->n_teachers, sizeof *given, &given);
    if (b->status == SKIVE_OK) b->status = find_given(ctx, o, given, &any);
    if (b->status == SKIVE_OK)
        b->status = skv_family_pick(ctx, &skv_combine_family, "combine",
                                    o->combine ? o->combine
                                    : any      ? "weights"
                                               : "mean",
                                    &index, &values);
    if (b->status == SKIVE_OK) b->status = check(ctx, combines[index], at, any, &values);
    if (b->status == SKIVE_OK) {
        const skv_combine_args a = {.at = at, .scores = scores, .given = given, .n = o->n_teachers, .options = &values};
        combines[index]->weigh(b, &a, out->weights, &out->more);
        if (b->status == SKIVE_OK)
            skv_note(ctx, "%zu teachers are combined: %s", o->n_teachers, combines[index]->brief);
    }
    skv_free(ctx, given);
}

static skive_value *weighted(skv_builder *b, const skv_combined *c,
                             skive_value *(*of)(skv_builder *, skive_value *, double), double temperature) {
    skive_value *sum = NULL;
    for (size_t i = 0; i < c->n && b->status == SKIVE_OK; i++) {
        skive_value *x = of ? of(b, c->scores[i], temperature) : c->scores[i];
        x = skv_term_two(b, "Mul", x, c->weights[i]);
        sum = sum ? skv_term_two(b, "Add", sum, x) : x;
    }
    return sum;
}

static skive_value *softmax(skv_builder *b, skive_value *x, double t) {
    return skv_emit(b, "Softmax", SKV_IN(skv_term_times(b, x, 1 / t)), SKV_ATTRS(SKV_INT("axis", -1)));
}

static skive_value *sigmoid(skv_builder *b, skive_value *x, double t) {
    return skv_term_one(b, "Sigmoid", skv_term_times(b, x, 1 / t));
}

/* log p; probabilities of 0 count as 1e-30. */
static skive_value *logarithm(skv_builder *b, skive_value *p) {
    return skv_term_one(b, "Log", skv_term_two(b, "Max", p, skv_term_scalar(b, p, 1e-30)));
}

skive_value *skv_combine_scores(skv_builder *b, const skv_combined *c, const skv_loss_site *at, double temperature,
                                bool probabilities) {
    if (at->head->task == SKIVE_TASK_VALUES || !probabilities) return weighted(b, c, NULL, 1);
    if (!skv_head_is_sigmoid(at->head))
        return skv_term_times(b, logarithm(b, weighted(b, c, softmax, temperature)), temperature);
    skive_value *p = weighted(b, c, sigmoid, temperature);
    skive_value *q = skv_term_plus(b, skv_term_times(b, p, -1), 1);
    return skv_term_times(b, skv_term_two(b, "Sub", logarithm(b, p), logarithm(b, q)), temperature);
}
