/* What a student is taught: the options of distillation, and the objective that they make. */
#include "train/teachers/lesson.h"

#include <string.h>

#include "data/data.h"
#include "train/combine.h"
#include "train/train.h"

static const skv_option options_of_distillation[] = {
    {.name = "temperature",
     .needs = "alpha",
     .type = SKV_OPTION_REAL,
     .most = 1000,
     .above = true,
     .fallback = 4,
     SKV_FIELD(DOUBLE, skive_distill_options, temperature),
     .brief = "temperature that softens the outputs of teacher and student"},
    {.name = "alpha",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .fallback = 0.7,
     SKV_FIELD(DOUBLE, skive_distill_options, alpha),
     .brief = "weight of the teacher in the loss"},
    {.name = "terms",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_distill_options, terms),
     .brief = "further terms of the loss, NAME:OPTIONS with more behind ';': hint, attention, relation ..."},
    {.name = "combine",
     .type = SKV_OPTION_RECORD,
     .family = &skv_combine_family,
     SKV_FIELD(TEXT, skive_distill_options, combine),
     .brief = "how several teachers become one (default: mean, or weights where some are given)"},
    {.name = "cache",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_distill_options, cache),
     .brief = "file that keeps the teacher's answers for this and later runs"},
    {.name = "cache-views",
     .type = SKV_OPTION_INTEGER,
     .most = 1e6,
     SKV_FIELD(INT, skive_distill_options, cache_views),
     .brief = "what augmentation draws repeats after so many epochs, so that the cache stays small (default: it does "
              "not)"},
    {.name = "teacher-view",
     .type = SKV_OPTION_CHOICE,
     .choices = skv_teacher_view_name,
     .what = "view of the teacher",
     SKV_FIELD(TEXT, skive_distill_options, teacher_view),
     .brief = "what the teacher sees of augmented samples: same (as the student), own, plain (default: same)"},
    {.name = "teacher-heads",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_distill_options, teacher_heads),
     .brief = "which output of which teacher teaches what, [TASK=][N:]OUTPUT with more behind ';'"},
    {.name = "teacher-classes",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_distill_options, teacher_classes),
     .brief =
         "teachers may know a part of the classes: known (by their metadata) or [N:]FILE of names, more behind ';'"},
};

const skv_table skv_distill_table = {"distill", options_of_distillation, SKV_LENGTH(options_of_distillation), NULL};

skive_distill_options skive_distill_options_default(void) {
    return (skive_distill_options){.size = sizeof(skive_distill_options), .temperature = 4, .alpha = 0.7};
}

/* ---- the objective ---- */

void skv_lesson_free(skv_lesson *l) {
    for (size_t i = 0; l->teachers && i < l->n_teachers; i++)
        skive_class_names_free(l->ctx, l->teachers[i].classes, l->teachers[i].n_classes);
    skv_free(l->ctx, l->teachers);
    skv_free(l->ctx, l->heads);
    skv_free(l->ctx, l->heads_text);
    skv_free(l->ctx, l->terms);
    skv_free(l->ctx, l->texts);
    skv_free(l->ctx, l->alone);
}

static skive_status add_teachers(skv_lesson *l, const skive_distill_options *o, const skive_graph *first,
                                 const skive_graph *student) {
    if (!first && (o->teacher_heads || o->teacher_classes))
        return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, o->teacher_heads ? "teacher heads" : "teacher classes",
                           "outputs or classes of teachers are named, and there is no teacher; leave them out");
    if (!first) return SKIVE_OK; /* the terms are of the student itself */
    l->n_teachers = o->n_more_teachers + 1;
    SKV_TRY(skv_alloc_array(l->ctx, l->n_teachers, sizeof *l->teachers, &l->teachers));
    for (size_t i = 0; i < l->n_teachers; i++) {
        const double weight = o->weights ? o->weights[i] : 0;
        const skive_graph *graph = i ? o->more_teachers[i - 1] : first;
        if (!(weight >= 0 && weight < 1e9))
            return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, "weights",
                               "the weight of teacher %zu is %g; it must be 0 or more", i + 1, weight);
        if (!graph) return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, "more_teachers", "teacher %zu is missing", i + 1);
        l->teachers[i] =
            (skv_teacher){.graph = graph, .student = student, .weight = weight, .name = o->names ? o->names[i] : NULL};
    }
    if (o->combine && l->n_teachers < 2)
        return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, "combine",
                           "combine '%s' needs several teachers, and there is one", o->combine);
    SKV_TRY(skv_teacher_heads_parse(l->ctx, o->teacher_heads, l->teachers, l->n_teachers, &l->heads_text, &l->heads,
                                    &l->n_heads));
    for (size_t i = 0; i < l->n_teachers; i++) {
        l->teachers[i].heads = l->heads;
        l->teachers[i].n_heads = l->n_heads;
    }
    return skv_teacher_classes_parse(l->ctx, o->teacher_classes, l->teachers, l->n_teachers);
}

/* The next of the terms in *text into one[size]; *text is NULL behind the last. */
static void next_term(const char **text, char *one, size_t size) {
    *text += strspn(*text, " ");
    const size_t length = strcspn(*text, ";"), n = length < size ? length : size - 1;
    memcpy(one, *text, n);
    one[n] = 0;
    *text = (*text)[length] ? *text + length + 1 : NULL;
}

static skive_status parse_terms(skv_lesson *l, const skive_distill_options *o, size_t most) {
    char one[sizeof l->texts->text + 1];
    const char *rest = o->terms && *o->terms ? o->terms : NULL;
    for (size_t k = 0; k < most && rest; k++) {
        next_term(&rest, one, sizeof one);
        if (!*one)
            return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, "terms",
                               "terms '%.100s': one of them is empty; write them as NAME:OPTIONS with one ';' between",
                               o->terms);
        SKV_TRY(
            skv_term_parse(l->ctx, one, o->temperature, &l->texts[k], &l->terms[l->n_terms], &l->alone[l->n_terms]));
        l->n_terms++;
    }
    return SKIVE_OK;
}

/* A term that has the first part of the run alone ends there, and the others begin. */
static skive_status share_run(skv_lesson *l) {
    size_t first = l->n_terms;
    for (size_t i = 0; i < l->n_terms; i++) {
        if (l->alone[i] == 0) continue;
        if (first < l->n_terms)
            return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, "terms",
                               "'%s' and '%s' cannot both have the first part of the run alone",
                               l->terms[first].loss->name, l->terms[i].loss->name);
        first = i;
    }
    for (size_t i = 0; i < l->n_terms && first < l->n_terms; i++) {
        if (i == first)
            l->terms[i].until = l->alone[first];
        else
            l->terms[i].from = l->alone[first];
    }
    if (first < l->n_terms)
        skv_note(l->ctx, "the first %.4g %% of the run have the term '%s' alone", 100 * l->alone[first],
                 l->terms[first].loss->name);
    return SKIVE_OK;
}

static void of_teachers(skv_lesson *l, const skive_distill_options *o) {
    skv_soft_labels_terms(o->alpha, o->temperature, l->terms);
    l->terms[0].teacher = SKV_ALL_TEACHERS;
    l->n_terms = 2;
    if (!o->unlabelled || o->alpha == 1) return;
    l->terms[2] = l->terms[0]; /* what samples with a label leave to it, those without give to the teacher */
    l->terms[2].weight = 1 - o->alpha;
    l->terms[2].rest = true;
    l->n_terms = 3;
}

static skive_status add_terms(skv_lesson *l, const skive_distill_options *o) {
    size_t most = 1;
    for (const char *at = o->terms; at && *at; at++) most += *at == ';';
    SKV_TRY(skv_alloc_array(l->ctx, most + 3, sizeof *l->terms, &l->terms));
    SKV_TRY(skv_alloc_array(l->ctx, most + 3, sizeof *l->alone, &l->alone));
    SKV_TRY(skv_alloc_array(l->ctx, most, sizeof *l->texts, &l->texts));
    if (l->n_teachers)
        of_teachers(l, o);
    else
        l->terms[l->n_terms++] = (skv_term){.weight = 1, .temperature = 1};
    SKV_TRY(parse_terms(l, o, most));
    if (!l->n_teachers) return share_run(l);
    if (o->alpha == 0 && l->n_terms > 2) { /* soft labels without a weight are not computed */
        l->terms[0] = l->terms[1];
        memmove(&l->terms[1], &l->terms[2], (l->n_terms - 2) * sizeof *l->terms);
        memmove(&l->alone[1], &l->alone[2], (l->n_terms - 2) * sizeof *l->alone);
        l->n_terms--;
    } else if (o->alpha == 0) {
        skv_note(l->ctx, "alpha is 0 and there are no further terms: the teacher has no effect");
    }
    return share_run(l);
}

skive_status skv_lesson_make(skive_context *ctx, const skive_distill_options *o, const skive_graph *teacher,
                             const skive_graph *student, skv_lesson *out) {
    *out = (skv_lesson){.ctx = ctx};
    if (o->n_more_teachers > 0 && !o->more_teachers)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "more_teachers", "there are %zu more teachers, and no list of them",
                           o->n_more_teachers);
    SKV_TRY(add_teachers(out, o, teacher, student));
    SKV_TRY(add_terms(out, o));
    out->objective = (skv_objective){.terms = out->terms,
                                     .n_terms = out->n_terms,
                                     .teachers = out->teachers,
                                     .n_teachers = out->n_teachers,
                                     .combine = o->combine,
                                     .partly = o->unlabelled != NULL,
                                     .cache = o->cache,
                                     .views = o->cache_views,
                                     .view = o->teacher_view};
    return SKIVE_OK;
}

skive_status skv_lesson_join(skive_context *ctx, const skive_dataset *train, const skive_dataset *unlabelled,
                             skive_dataset **out) {
    *out = NULL;
    if (!unlabelled) return SKIVE_OK;
    SKV_TRY(skv_dataset_join(ctx, train, unlabelled, out));
    skv_note(ctx,
             "%zu samples have labels, and %zu have none, which learn from the teacher alone; the accuracy on the "
             "training samples is not told",
             train->count, unlabelled->count);
    return SKIVE_OK;
}
