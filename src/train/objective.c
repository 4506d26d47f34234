/* Builds an objective over the training graph. */
#include "train/objective.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/unknown.h"
#include "tensor/tensor.h"
#include "train/combine.h"
#include "train/terms/term.h"

static const skv_term on_labels = {.weight = 1, .temperature = 1};
const skv_objective skv_objective_labels = {.terms = &on_labels, .n_terms = 1};

const skv_loss *skv_loss_for(const skive_train_options *o, const skv_head *h) {
    if (o->loss) return skv_loss_at(skv_family_find(&skv_loss_family, o->loss));
    if (h->task == SKIVE_TASK_VALUES) return skv_loss_find("mse");
    if (h->task == SKIVE_TASK_EMBEDDING) return skv_loss_find("triplet");
    if (h->task == SKIVE_TASK_SEQUENCES) return skv_loss_find("ctc");
    return skv_loss_find(skv_head_is_sigmoid(h) || h->task == SKIVE_TASK_LABELS ? "binary-cross-entropy"
                                                                                : "cross-entropy");
}

skive_status skv_loss_pick(skive_context *ctx, const char *text, const skv_loss **loss, skv_option_values *values) {
    size_t index = 0;
    SKV_TRY(skv_family_pick(ctx, &skv_loss_family, "loss", text, &index, values));
    *loss = skv_loss_at(index);
    return SKIVE_OK;
}

double skv_loss_number(const skv_loss_args *a, const skv_option *o) {
    return a->options ? skv_option_real(a->options, o->name) : o->fallback;
}

static bool needs_teacher(const skv_term *t) { return t->loss && (t->loss->needs_teacher || t->loss->needs_features); }

static bool asks_scores(const skv_objective *o) {
    for (size_t i = 0; i < o->n_terms; i++)
        if (o->terms[i].loss && o->terms[i].loss->needs_teacher) return true;
    return false;
}

skive_status skv_objective_check(skive_context *ctx, const skv_objective *o) {
    for (size_t i = 0; i < o->n_terms; i++) {
        const skv_term *t = &o->terms[i];
        const char *name = t->loss ? t->loss->name : "loss";
        if (!isfinite(t->weight) || t->weight < 0)
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, name, "the weight of term '%s' is %g; it must be 0 or more",
                               name, t->weight);
        if (needs_teacher(t) && (t->teacher == SKV_ALL_TEACHERS ? o->n_teachers < 1 : t->teacher >= o->n_teachers))
            return skv_fail_at(
                ctx, SKIVE_ERR_ARGUMENT, name, "term '%s' needs a teacher (number %zu), and there %s %zu", name,
                t->teacher == SKV_ALL_TEACHERS ? 1 : t->teacher + 1, o->n_teachers == 1 ? "is" : "are", o->n_teachers);
        if (t->loss && t->loss->needs_features && !t->pairs && (!t->feature || !t->example))
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, name,
                               "term '%s' compares a value of the model with one of the teacher; name both", name);
    }
    for (size_t i = 0; i < o->n_teachers; i++) {
        SKV_TRY(skv_teacher_check(ctx, &o->teachers[i]));
        if (o->teachers[i].part && !asks_scores(o))
            return skv_fail_at(
                ctx, SKIVE_ERR_ARGUMENT, "teacher classes",
                "teacher classes: no term asks for scores of teachers, whose classes do not matter then; "
                "leave it out");
    }
    return SKIVE_OK;
}

skive_value *skv_term_parameter(skv_builder *b, const skv_loss_args *a, const char *what, int rank, const int64_t *dims,
                                double deviation) {
    skv_storage *s = NULL;
    const char *unique = NULL;
    char name[300];
    if (b->status != SKIVE_OK) return NULL;
    (void)snprintf(name, sizeof name, "%s.%s", a->name, what);
    b->status = skv_graph_unique_name(b->graph, name, &unique);
    const skive_dtype dtype = a->feature ? a->feature->type.dtype : a->logits ? a->logits->type.dtype : SKIVE_F32;
    if (b->status == SKIVE_OK) b->status = skv_storage_create(b->graph->ctx, dtype, rank, dims, &s);
    if (b->status != SKIVE_OK) return NULL;
    const uint64_t stream = skv_hash64(unique, strlen(unique), 0);
    for (int64_t i = 0; i < skive_tensor_count(&s->tensor); i++)
        skive_tensor_set(&s->tensor, i, deviation * skv_rng_normal(a->seed, stream, (uint64_t)i));
    skive_value *v = skv_emit_param(b, unique, s);
    if (b->status == SKIVE_OK) b->status = skive_value_set_trainable(v, true);
    return v;
}

/* Numbers that the teacher gives are targets like those of the data. */
static skive_value *build_loss(skv_builder *b, const skv_loss *loss, skv_loss_args *args, const skv_head *head) {
    if (!(loss->needs_teacher && head->task == SKIVE_TASK_VALUES)) return loss->build(b, args);
    args->labels = args->teacher;
    args->options = NULL;
    return skv_loss_find("mse")->build(b, args);
}

/* A factor that changes in the run is an input of the graph. */
static skive_value *weigh(skv_builder *b, const skv_term *t, size_t index, skive_value *loss, skive_value **course) {
    const skive_dtype dtype = SKIVE_F32;
    if (t->weight != 1) loss = skv_emit(b, "Mul", SKV_IN(loss, skv_emit_scalar(b, dtype, t->weight)), SKV_NONE);
    if (!skv_term_changes(t) || b->status != SKIVE_OK) return loss;
    const skive_type scalar = {.dtype = dtype, .rank = 0};
    char name[48];
    (void)snprintf(name, sizeof name, "skive.term.%zu.weight", index);
    b->status = skive_graph_add_input(b->graph, name, &scalar, course);
    return skv_emit(b, "Mul", SKV_IN(loss, *course), SKV_NONE);
}

/* The teachers in the training graph. */
typedef struct lessons {
    skv_merged_teacher *teachers;
    skive_value **scores;   /* [outputs][teachers] */
    skv_combined *combined; /* [outputs], of several teachers */
    double *shares;         /* [teachers] of the sum 1, where one knows a part of the classes; otherwise NULL */
    size_t n;
    uint32_t end; /* values with lower numbers are the model's */
} lessons;

/* What a term's teacher says, or all of them. */
static skive_value *taught(skv_builder *b, const skv_term *t, const skv_loss *loss, const skv_loss_site *at,
                           size_t which, const lessons *l, double temperature) {
    if (!loss->needs_teacher) return NULL;
    if (t->teacher != SKV_ALL_TEACHERS || l->n == 1)
        return l->scores[which * l->n + (t->teacher == SKV_ALL_TEACHERS ? 0 : t->teacher)];
    const skv_combined *c = &l->combined[which];
    return c->n == 1 ? c->scores[0] : skv_combine_scores(b, c, at, temperature, loss->mixes);
}

/* The sum over the pairs of values that the term compares. */
static skive_value *build_pairs(skv_builder *b, const skv_term *t, const skv_loss *loss, const skv_loss_args *args,
                                const lessons *l) {
    skv_pair pairs[SKV_PAIRS_MOST];
    skive_value *sum = NULL;
    size_t n = 0;
    const skv_merged_teacher *from = &l->teachers[t->teacher == SKV_ALL_TEACHERS ? 0 : t->teacher];
    if (b->status == SKIVE_OK)
        b->status = skv_term_pairs(b->graph->ctx, b->graph, t, loss, args->logits, l->end, from, pairs, &n);
    for (size_t i = 0; i + loss->two < n && b->status == SKIVE_OK; i++) {
        skv_loss_args one = *args;
        char name[100];
        (void)snprintf(name, sizeof name, i ? "%s.%zu" : "%s", args->name, i + 1);
        one.name = name;
        one.feature = pairs[i].student;
        one.example = pairs[i].teacher;
        one.next_feature = loss->two ? pairs[i + 1].student : NULL;
        one.next_example = loss->two ? pairs[i + 1].teacher : NULL;
        skive_value *part = loss->build(b, &one);
        sum = sum && b->status == SKIVE_OK ? skv_emit(b, "Add", SKV_IN(sum, part), SKV_NONE) : part;
    }
    return sum;
}

/* The options of a loss in the text form of the term. */
static skive_status options_of(skive_context *ctx, const skv_term *t, const skv_loss **loss, const char *text,
                               skv_option_values *values) {
    skv_options_default((*loss)->options, (*loss)->n_options, values);
    if (!text) return SKIVE_OK;
    if (!t->loss || skv_teaching_find(t->loss->name) != t->loss) return skv_loss_pick(ctx, text, loss, values);
    return skv_family_pick(ctx, &skv_teaching_family, "term", text, NULL, values);
}

/* ---- teachers that know a part of the classes ---- */

static bool is_part(const skv_term *t, const lessons *l) {
    for (size_t i = 0; i < l->n; i++)
        if (l->teachers[i].known && (t->teacher == SKV_ALL_TEACHERS || t->teacher == i)) return true;
    return false;
}

/* How much teacher `i` of the term counts for samples of class c: its share among those that know the class. */
static double share_of(const skv_term *t, const lessons *l, size_t i, int64_t c) {
    double own = 0, sum = 0;
    for (size_t k = 0; k < l->n; k++) {
        const skv_merged_teacher *one = &l->teachers[k];
        bool knows = !one->known && (t->teacher == SKV_ALL_TEACHERS || t->teacher == k);
        for (int64_t j = 0; j < one->n_known && !knows && (t->teacher == SKV_ALL_TEACHERS || t->teacher == k); j++)
            knows = one->known[j] == c || c < 0;
        if (!knows) continue;
        sum += l->shares[k];
        if (k == i) own = l->shares[k];
    }
    return sum > 0 ? own / sum : 0;
}

/* [n], by the labels; the last number, to which a label of -1 leads, is of samples without one. */
static skive_value *counts_of(skv_builder *b, const skv_term *t, const lessons *l, const skv_loss_args *a, size_t i) {
    const int64_t n = a->n_classes + 1;
    skv_storage *s = NULL;
    if (b->status != SKIVE_OK) return NULL;
    b->status = skv_storage_create(b->graph->ctx, a->logits->type.dtype, 1, &n, &s);
    if (b->status != SKIVE_OK) return NULL;
    for (int64_t c = 0; c < n; c++) skive_tensor_set(&s->tensor, c, share_of(t, l, i, c + 1 < n ? c : -1));
    return skv_term_two(b, "Gather", skv_emit_param(b, NULL, s), a->labels);
}

/* What no teacher can say of a sample, its label says: the loss on the labels of the classes that none knows. */
static skive_value *of_unknown(skv_builder *b, const skv_term *t, const lessons *l, const skv_loss_site *at,
                               const skv_loss_args *a) {
    const skv_loss *loss = at->loss ? at->loss : skv_loss_for(at->options, at->head);
    const char *text = at->loss ? at->loss_text : at->options->loss;
    skv_option_values values;
    skv_loss_args args = *a;
    double *weights = NULL;
    bool any = false;
    skive_value *out = NULL;
    skive_context *ctx = b->graph->ctx;
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(ctx, (size_t)a->n_classes, sizeof *weights, &weights);
    for (int64_t c = 0; c < a->n_classes && b->status == SKIVE_OK; c++) {
        double known = 0;
        for (size_t i = 0; i < l->n; i++) known += share_of(t, l, i, c);
        weights[c] = known > 0 ? 0 : a->class_weights ? a->class_weights[c] : 1;
        any = any || known == 0;
    }
    if (any && b->status == SKIVE_OK && !loss->weighs)
        b->status =
            skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "loss",
                        "no teacher knows some of the classes, whose samples learn from their labels alone, and "
                        "the loss '%s' cannot be of a part of the classes; take cross-entropy",
                        loss->name);
    if (any && b->status == SKIVE_OK) b->status = options_of(ctx, &on_labels, &loss, text, &values);
    if (any && b->status == SKIVE_OK) {
        args.class_weights = weights;
        args.options = &values;
        out = loss->build(b, &args);
        skv_note(ctx, "samples of classes that no teacher knows learn from their labels alone");
    }
    skv_free(ctx, weights);
    return out;
}

/* The sum over the term's teachers, each on the classes that it knows: for those that know all, the gradient is that of
 * their mean. */
static skive_value *build_part(skv_builder *b, const skv_term *t, const skv_loss *loss, const skv_loss_site *at,
                               const skv_loss_args *args, const lessons *l) {
    skive_value *sum = NULL;
    if (!loss->part) {
        b->status =
            skv_fail_at(b->graph->ctx, SKIVE_ERR_ARGUMENT, "terms",
                        "term '%s' needs a teacher that knows all classes; soft labels (kl) and terms on values "
                        "inside the networks do not",
                        loss->name);
        return NULL;
    }
    for (size_t i = 0; i < l->n && b->status == SKIVE_OK; i++) {
        if (t->teacher != SKV_ALL_TEACHERS && t->teacher != i) continue;
        skv_loss_args one = *args;
        one.teacher = l->scores[i];
        one.known = l->teachers[i].known;
        one.n_known = l->teachers[i].n_known;
        one.counts = counts_of(b, t, l, args, i);
        skive_value *part = loss->build(b, &one);
        sum = sum ? skv_term_two(b, "Add", sum, part) : part;
    }
    skive_value *rest = t->text || t->rest ? NULL : of_unknown(b, t, l, at, args);
    return rest ? skv_term_two(b, "Add", sum, rest) : sum;
}

/* A term on output `which` (0: that of `first`). */
static skive_value *build_on(skv_builder *b, const skv_objective *o, size_t index, const skv_loss_site *first,
                             size_t which, const lessons *l) {
    const skv_term *t = &o->terms[index];
    const skv_loss_site *at = which ? &first->more[which - 1] : first;
    const skv_loss *loss = t->loss ? t->loss : at->loss ? at->loss : skv_loss_for(at->options, at->head);
    const char *text = t->loss ? t->text : at->loss ? at->loss_text : at->options->loss;
    skv_option_values values;
    char name[80];
    if (which)
        (void)snprintf(name, sizeof name, "skive.term.%zu.output%zu.%s", index, which + 1, loss->name);
    else
        (void)snprintf(name, sizeof name, "skive.term.%zu.%s", index, loss->name);
    b->status = options_of(b->graph->ctx, t, &loss, text, &values);
    if (b->status != SKIVE_OK) return NULL;
    skv_loss_args args = {.logits = at->logits,
                          .output = at->head->value,
                          .labels = at->labels,
                          .indices = at->indices,
                          .partly = at->partly,
                          .rest = t->rest,
                          .label_smoothing = at->options->label_smoothing,
                          .temperature = t->temperature,
                          .sigmoid = skv_head_is_sigmoid(at->head),
                          .blank_last = at->head->kind == SKIVE_OUTPUT_CTC_LAST,
                          .head = at->head,
                          .binary = at->head->task == SKIVE_TASK_BINARY,
                          .options = &values,
                          .scale = at->scale,
                          .class_weights = at->class_weights,
                          .n_classes = at->targets->info.classes,
                          .samples = (int64_t)at->targets->info.count,
                          .memories = first->memories,
                          .who = loss->name,
                          .name = name,
                          .seed = at->options->seed};
    if (t->loss && skv_option_given(&values, "smoothing")) args.label_smoothing = skv_option_real(&values, "smoothing");
    if (skv_option_given(&values, "temperature") && loss->mixes) args.temperature = skv_term_temperature(&args);
    if (t->text && at->head->task == SKIVE_TASK_VALUES && loss->needs_teacher && strcmp(loss->name, "logits") != 0) {
        b->status =
            skv_fail_at(b->graph->ctx, SKIVE_ERR_ARGUMENT, "terms",
                        "term '%s' is of scores of classes, and the targets are values; take 'logits'", loss->name);
        return NULL;
    }
    if (at->partly && !needs_teacher(&(skv_term){.loss = loss}) && !loss->partly) {
        b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_ARGUMENT, "unlabelled",
                                "the loss '%s' needs a label of each sample, and some have none; take cross-entropy",
                                loss->name);
        return NULL;
    }
    if (loss->needs_teacher && is_part(t, l)) return build_part(b, t, loss, at, &args, l);
    args.teacher = taught(b, t, loss, at, which, l, args.temperature);
    if (b->status != SKIVE_OK) return NULL;
    if (loss->needs_teacher && !args.teacher) {
        b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_ARGUMENT, "terms",
                                "term '%s' is of teacher %zu, which does not teach the output '%s'", loss->name,
                                t->teacher + 1, at->head->value->name);
        return NULL;
    }
    if (loss->own) {
        args.feature = args.example = at->logits; /* what is not named is the answer */
        if (t->feature) b->status = skv_value_named(b->graph->ctx, b->graph, t->feature, &args.feature);
        if (b->status == SKIVE_OK && t->example)
            b->status = skv_value_named(b->graph->ctx, b->graph, t->example, &args.example);
        if (b->status != SKIVE_OK) return NULL;
    }
    skive_value *value =
        loss->needs_features ? build_pairs(b, t, loss, &args, l) : build_loss(b, loss, &args, at->head);
    if (at->weight == 1 || b->status != SKIVE_OK) return value;
    return skv_emit(b, "Mul", SKV_IN(value, skv_emit_scalar(b, SKIVE_F32, at->weight)), SKV_NONE);
}

/* On all outputs that are trained; a term on a value inside the model is there once. */
static skive_value *build_term(skv_builder *b, const skv_objective *o, size_t index, const skv_loss_site *at,
                               const lessons *l, skive_value **course) {
    const skv_term *t = &o->terms[index];
    const bool inside = t->loss && (t->loss->needs_features || t->loss->own);
    skive_value *sum = build_on(b, o, index, at, 0, l);
    for (size_t k = 1; k <= at->n_more && !inside && b->status == SKIVE_OK; k++)
        sum = skv_emit(b, "Add", SKV_IN(sum, build_on(b, o, index, at, k, l)), SKV_NONE);
    return b->status == SKIVE_OK ? weigh(b, t, index, sum, course) : NULL;
}

static bool combines(const skv_objective *o) {
    for (size_t i = 0; i < o->n_terms; i++)
        if (o->terms[i].loss && o->terms[i].loss->needs_teacher && o->terms[i].teacher == SKV_ALL_TEACHERS)
            return o->n_teachers > 1;
    return false;
}

/* Into the builder's graph. */
static void merge_each(skv_builder *b, const skv_objective *o, const skv_loss_site *at, lessons *l) {
    if (o->n_teachers && b->status == SKIVE_OK)
        b->status = skv_teacher_heads_check(b->graph->ctx, o->teachers, o->n_teachers, at);
    for (size_t i = 0; i < o->n_teachers && b->status == SKIVE_OK; i++) {
        skv_teacher_merge(b, &o->teachers[i], i, at, asks_scores(o), &l->teachers[i]);
        for (size_t k = 0; k <= at->n_more && b->status == SKIVE_OK; k++)
            l->scores[k * o->n_teachers + i] = k ? l->teachers[i].more[k - 1] : l->teachers[i].scores;
    }
}

/* An answer: an output there, and an input here. */
static skive_status add_answer(skive_graph *g, skv_apart *apart, skive_value **score) {
    char name[48];
    (void)snprintf(name, sizeof name, "skive.answer.%zu", apart->n + 1);
    SKV_TRY(skive_graph_add_output(apart->graph, *score));
    SKV_TRY(skive_graph_add_input(g, name, &(*score)->type, &apart->to[apart->n]));
    *score = apart->to[apart->n++];
    return SKIVE_OK;
}

static skive_status build_apart(skive_graph *g, const skv_objective *o, const skv_loss_site *at, skive_value **inputs,
                                lessons *l) {
    skive_context *ctx = g->ctx;
    skv_apart *apart = at->apart;
    skv_loss_site there = *at;
    there.inputs = inputs;
    SKV_TRY(skive_graph_create(ctx, "teachers", &apart->graph));
    for (size_t i = 0; i < at->feeds->n; i++)
        SKV_TRY(skive_graph_add_input(apart->graph, at->inputs[i]->name, &at->inputs[i]->type, &inputs[i]));
    skv_builder b = skv_build(apart->graph);
    merge_each(&b, o, &there, l);
    SKV_TRY(b.status);
    const size_t n = o->n_teachers * (at->n_more + 1);
    SKV_TRY(skv_alloc_array(ctx, n, sizeof(skive_value *), &apart->to));
    for (size_t i = 0; i < n; i++)
        if (l->scores[i]) SKV_TRY(add_answer(g, apart, &l->scores[i]));
    return SKIVE_OK;
}

/* Into a graph of their own, whose outputs are inputs of the builder's. */
static void merge_apart(skv_builder *b, const skv_objective *o, const skv_loss_site *at, lessons *l) {
    skive_value **inputs = NULL;
    if (b->status != SKIVE_OK) return;
    b->status = skv_alloc_array(b->graph->ctx, at->feeds->n, sizeof *inputs, &inputs);
    if (b->status == SKIVE_OK) b->status = build_apart(b->graph, o, at, inputs, l);
    skv_free(b->graph->ctx, inputs);
}

static void merge_all(skv_builder *b, const skv_objective *o, const skv_loss_site *at, lessons *l) {
    skive_context *ctx = b->graph->ctx;
    const size_t outputs = at->n_more + 1;
    l->n = o->n_teachers;
    l->end = b->graph->n_values;
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(ctx, o->n_teachers + 1, sizeof *l->teachers, &l->teachers);
    if (b->status == SKIVE_OK)
        b->status = skv_alloc_array(ctx, (o->n_teachers + 1) * outputs, sizeof(skive_value *), &l->scores);
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(ctx, outputs, sizeof *l->combined, &l->combined);
    if (at->apart && skv_objective_asks_scores(o)) {
        merge_apart(b, o, at, l);
    } else {
        merge_each(b, o, at, l);
    }
    bool part = false;
    for (size_t i = 0; i < l->n && b->status == SKIVE_OK; i++) part = part || l->teachers[i].known;
    if (part && b->status == SKIVE_OK) b->status = skv_alloc_array(ctx, l->n, sizeof *l->shares, &l->shares);
    if (part && b->status == SKIVE_OK) b->status = skv_combine_fixed(ctx, o, l->shares);
    for (size_t k = 0; k < outputs && !part && combines(o) && b->status == SKIVE_OK; k++)
        skv_combine_build(b, o, k ? &at->more[k - 1] : at, l->scores + k * o->n_teachers, &l->combined[k]);
}

static void end_lessons(skive_context *ctx, const skv_objective *o, size_t outputs, lessons *l) {
    for (size_t i = 0; l->teachers && i < o->n_teachers; i++) {
        skv_free(ctx, l->teachers[i].more);
        skv_free(ctx, l->teachers[i].known);
    }
    for (size_t k = 0; l->combined && k < outputs; k++) skv_combined_free(ctx, &l->combined[k]);
    skv_free(ctx, l->shares);
    skv_free(ctx, l->teachers);
    skv_free(ctx, l->scores);
    skv_free(ctx, l->combined);
}

skive_value *skv_objective_build(skv_builder *b, const skv_objective *o, const skv_loss_site *at,
                                 skive_value **course) {
    lessons l = {.n = 0};
    skive_value *sum = NULL;
    merge_all(b, o, at, &l);
    for (size_t i = 0; i < o->n_terms && b->status == SKIVE_OK; i++) {
        skive_value *term = build_term(b, o, i, at, &l, &course[i]);
        sum = sum && b->status == SKIVE_OK ? skv_emit(b, "Add", SKV_IN(sum, term), SKV_NONE) : term;
    }
    for (size_t k = 0; l.combined && k <= at->n_more && b->status == SKIVE_OK; k++)
        if (l.combined[k].more) sum = skv_emit(b, "Add", SKV_IN(sum, l.combined[k].more), SKV_NONE);
    end_lessons(b->graph->ctx, o, at->n_more + 1, &l);
    return b->status == SKIVE_OK ? sum : NULL;
}

bool skv_objective_asks_scores(const skv_objective *o) {
    bool any = false;
    for (size_t i = 0; i < o->n_terms; i++) {
        const skv_loss *loss = o->terms[i].loss;
        if (loss && loss->needs_features) return false;
        any = any || (loss && loss->needs_teacher);
    }
    return any;
}

const char *skv_teacher_view_name(size_t i) {
    static const char *const names[] = {"same", "own", "plain"};
    return i < sizeof names / sizeof names[0] ? names[i] : NULL;
}

bool skv_term_changes(const skv_term *t) { return t->course || t->from > 0 || t->until > 0; }

double skv_term_factor(const skv_term *t, const skive_train_options *o, double epoch) {
    const double part = o->epochs > 0 ? epoch / o->epochs : 0;
    if (part <= t->from && t->from > 0) return 0;
    if (t->until > 0 && part > t->until) return 0;
    return t->course ? skv_schedule_factor(t->course, o, epoch) : 1;
}

void skv_objective_settings(const skv_objective *o, skv_text *out) {
    for (size_t i = 0; i < o->n_terms; i++) {
        const skv_term *t = &o->terms[i];
        char what[64], text[900];
        (void)snprintf(what, sizeof what, "term %zu of the loss", i + 1);
        (void)snprintf(text, sizeof text, "%s, weight %.17g%s%s, temperature %.17g%s%s%s%s",
                       t->text   ? t->text
                       : t->loss ? t->loss->name
                                 : "labels",
                       t->weight, t->course ? " " : "", t->course ? t->course->name : "", t->temperature,
                       t->feature ? ", value " : "", t->feature ? t->feature : "", t->example ? ", teacher's " : "",
                       t->example ? t->example : "");
        skv_settings_text(out, what, text);
        if (t->from > 0 || t->until > 0 || t->teacher) {
            (void)snprintf(what, sizeof what, "term %zu's part of the run and teacher", i + 1);
            (void)snprintf(text, sizeof text, "%.17g to %.17g, %d", t->from, t->until,
                           t->teacher == SKV_ALL_TEACHERS ? 0 : (int)t->teacher + 1);
            skv_settings_text(out, what, text);
        }
    }
    if (o->combine) skv_settings_text(out, "combine", o->combine);
    if (o->partly) skv_settings_text(out, "samples without labels (--unlabelled)", "some");
    if (o->view) skv_settings_text(out, "view of the teacher (--teacher-view)", o->view);
    if (o->views) skv_settings_number(out, "views of a sample (--cache-views)", (double)o->views);
    for (size_t i = 0; i < o->n_teachers; i++) {
        const skive_graph *g = o->teachers[i].graph;
        char what[48];
        (void)snprintf(what, sizeof what, i ? "teacher %zu" : "teacher", i + 1);
        skv_settings_hash(out, what, skv_settings_model(g));
        if (o->teachers[i].weight > 0) {
            (void)snprintf(what, sizeof what, "weight of teacher %zu", i + 1);
            skv_settings_number(out, what, o->teachers[i].weight);
        }
        skv_settings_input(out, "teacher-", g);
    }
    skv_teachers_settings(o, out);
}

void skv_teachers_settings(const skv_objective *o, skv_text *out) {
    char what[64];
    for (size_t i = 0; o->n_teachers && i < o->teachers[0].n_heads; i++) {
        const skv_teacher_head *h = &o->teachers[0].heads[i];
        (void)snprintf(what, sizeof what, "output %zu that teaches (--teacher-head)", i + 1);
        skv_text value;
        skv_text_init(&value, out->ctx);
        skv_text_add(&value, "%s=%zu:%s", h->task ? h->task : "", h->teacher + 1, h->output);
        skv_settings_text(out, what, value.data);
        if (value.status != SKIVE_OK) out->status = value.status;
        skv_text_free(&value);
    }
    for (size_t i = 0; i < o->n_teachers; i++) {
        const skv_teacher *t = &o->teachers[i];
        uint64_t hash = 1;
        if (!t->part) continue;
        for (int64_t c = 0; c < t->n_classes; c++) hash = skv_hash64(t->classes[c], strlen(t->classes[c]) + 1, hash);
        (void)snprintf(what, sizeof what, "classes of teacher %zu (--teacher-classes)", i + 1);
        skv_settings_hash(out, what, hash);
    }
}
