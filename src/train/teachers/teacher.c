/* A teacher in the training graph: its nodes are merged in, frozen and in inference mode. */
#include <stdio.h>

#include "data/feed.h"
#include "graph/batch.h"
#include "train/head/goals.h"
#include "train/terms/term.h"
#include "train/train.h"

/* The teacher in the sizes of what the student takes. */
static skive_status bind_teacher(skive_context *ctx, const skive_graph *teacher, const skv_feeds *feeds,
                                 const skive_type *input, skive_graph **out) {
    skive_graph *sized = NULL;
    skive_status status;
    SKV_GO(status, done, skive_graph_copy(ctx, teacher, &sized));
    SKV_GO(status, done, skv_graph_for_methods(sized));
    skv_feeds_bind(feeds, sized);
    status = skv_graph_bind_batch(ctx, sized, input->rank > 0 ? input->dims[0].size : 1, out);
done:
    skive_graph_free(sized);
    return status == SKIVE_OK ? status : skv_fail_prefix(ctx, status, "teacher");
}

/* The teacher's outputs for all goals of the student. */
static skive_status find_heads(skive_context *ctx, const skive_graph *teacher, const skv_teacher *t, size_t index,
                               const skv_loss_site *at, skv_head *heads) {
    skv_goals goals;
    for (size_t k = 0; k <= at->n_more && t->n_heads; k++)
        SKV_TRY(skv_teacher_head_find(ctx, teacher, t, index, at, k, &heads[k]));
    if (t->n_heads) return SKIVE_OK;
    if (!at->goals) return skv_head_find(ctx, teacher, at->targets, &heads[0]);
    const skive_status status = skv_goals_again(ctx, teacher, at->goals, &goals);
    if (status != SKIVE_OK) return skv_fail_prefix(ctx, status, "teacher");
    for (size_t k = 0; k < goals.n; k++) heads[k] = goals.items[k].head;
    skv_goals_tell(&goals, "teacher");
    skv_goals_free(&goals);
    return SKIVE_OK;
}

/* Names of classes in the metadata may be those of another output than the one that was named. */
static skive_status names_fit(skive_context *ctx, const skv_teacher *t, const skv_head *head, bool *fit) {
    char **names = NULL;
    int64_t n = 0;
    *fit = true;
    if (!t->n_heads || t->graph->n_outputs < 2) return SKIVE_OK;
    SKV_TRY(skive_model_class_names(ctx, t->graph, &names, &n));
    *fit = !names || n == head->scores;
    if (!*fit)
        skv_note(ctx, "%s records names of %lld classes, which are not those of its output '%s': they are not used",
                 t->name ? t->name : "the teacher", (long long)n, head->value->name);
    skive_class_names_free(ctx, names, n);
    return SKIVE_OK;
}

/* Those that the teacher knows, and its numbers of them in the same order. */
static skive_status keep_known(skive_context *ctx, int64_t *classes, int64_t n, skv_merged_teacher *out) {
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof *out->known, &out->known));
    for (int64_t c = 0; c < n; c++) {
        if (classes[c] < 0) continue;
        classes[out->n_known] = classes[c];
        out->known[out->n_known++] = c;
    }
    if (out->n_known < n) return SKIVE_OK;
    skv_free(ctx, out->known);
    out->known = NULL;
    return SKIVE_OK;
}

static skive_status match_classes(skive_context *ctx, const skv_teacher *t, const skv_loss_site *at,
                                  const skv_head *head, skv_merged_teacher *out) {
    const skive_dataset_info *info = &at->targets->info;
    const char *who = t->name ? t->name : "the teacher";
    bool fit;
    if (at->n_more > 0 && t->part)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "teacher classes",
                           "teacher classes: a teacher that knows a part of the classes can teach a student of one "
                           "output, and this one learns %zu",
                           at->n_more + 1);
    if (t->part && t->classes && head->value && head->scores > 0 && head->scores != t->n_classes)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, "teacher classes",
                           "%s has %lld scores, and the file names %lld classes; it needs one line for each score", who,
                           (long long)head->scores, (long long)t->n_classes);
    if (t->part) {
        SKV_TRY(skv_classes_known(ctx, t->graph, t->classes, t->n_classes, info, who, &out->classes));
        return keep_known(ctx, out->classes, info->classes, out);
    }
    SKV_TRY(names_fit(ctx, t, head, &fit));
    return fit ? skv_classes_map(ctx, t->graph, info, who, at->targets->by_order, &out->classes) : SKIVE_OK;
}

static skive_status merge(skv_builder *b, const skv_teacher *t, size_t index, const skv_loss_site *at, bool asked,
                          skive_value *const *inputs, const skive_graph *teacher, skv_head *heads,
                          skv_merged_teacher *out) {
    skive_context *ctx = b->graph->ctx;
    skive_value **map = NULL;
    size_t first = 0;
    SKV_TRY(find_heads(ctx, teacher, t, index, at, heads));
    while (first < at->n_more && !heads[first].value) first++;
    if (asked && heads[first].value) SKV_TRY(match_classes(ctx, t, at, &heads[first], out));
    SKV_TRY(skv_graph_merge(b->graph, teacher, out->prefix, inputs, &map));
    for (uint32_t i = 0; i < teacher->n_values; i++) {
        if (map[i]) map[i]->trainable = false;
    }
    if (at->n_more == 0 && !t->n_heads) skv_head_tell(ctx, "teacher", t->graph, &heads[0]);
    for (size_t k = 0; k <= at->n_more; k++) {
        if (!heads[k].value) continue;
        heads[k].value = map[heads[k].value->id];
        if (heads[k].before) heads[k].before = map[heads[k].before->id];
    }
    out->head = heads[first];
    skv_free(ctx, map);
    return SKIVE_OK;
}

/* Both answer alike: numbers, sigmoids one by one, or classes that exclude one another (where one score stands for a
 * pair). */
static skive_status check_heads(skive_context *ctx, const skv_head *teacher, const skv_head *student) {
    const bool values = student->task == SKIVE_TASK_VALUES;
    char x[200], y[200];
    if (values == (teacher->task == SKIVE_TASK_VALUES) &&
        (values || skv_head_is_sigmoid(teacher) == skv_head_is_sigmoid(student)))
        return SKIVE_OK;
    return SKV_FAIL(ctx, SKIVE_ERR_SHAPE,
                    "the teacher's output is %s, but the student's is %s; the student cannot learn from it",
                    skv_head_text(teacher, x, sizeof x), skv_head_text(student, y, sizeof y));
}

static skive_status check_scores(skive_context *ctx, const skive_type *input, const skive_value *teacher,
                                 const skive_value *student) {
    const int64_t samples = input->rank > 0 && input->dims[0].size > 0 ? input->dims[0].size : 1;
    const int64_t t = skv_type_count(&teacher->type), s = skv_type_count(&student->type);
    if (t == s) return SKIVE_OK;
    return SKV_FAIL(ctx, SKIVE_ERR_SHAPE, "the teacher gives %lld scores, but the student %lld",
                    (long long)(t / samples), (long long)(s / samples));
}

/* Scores in the order of the data's `classes`, with map[class] the teacher's number. */
static skive_value *in_order(skv_builder *b, skive_value *scores, const int64_t *map, int64_t classes) {
    if (!map || b->status != SKIVE_OK || scores->type.rank != 2) return scores;
    const int64_t axis = 1;
    if (scores->type.dims[1].size <= 1) return scores;
    for (int64_t c = 0; c < classes; c++) {
        if (map[c] < scores->type.dims[1].size) continue;
        b->status =
            SKV_FAIL(b->graph->ctx, SKIVE_ERR_SHAPE, "the teacher's metadata name more classes than its %lld scores",
                     (long long)scores->type.dims[1].size);
        return NULL;
    }
    return skv_emit(b, "Gather", SKV_IN(scores, skv_emit_ints(b, map, (size_t)classes)),
                    SKV_ATTRS(SKV_INT("axis", axis)));
}

/* A teacher of a part of the classes is asked about one class label a sample. */
static skive_status check_part(skive_context *ctx, const skv_loss_site *at) {
    const bool labelled = at->labels->type.dtype == SKIVE_I64 && at->labels->type.rank == 1;
    if (at->head->task == SKIVE_TASK_CLASSES && !skv_head_is_sigmoid(at->head) && at->logits->type.rank == 2 &&
        labelled)
        return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "teacher classes",
                       "teacher classes: a teacher that knows a part of the classes needs classes that exclude one "
                       "another and one class label a sample, and no transforms that mix samples");
}

/* Those of places, with map[class] the teacher's number. */
static skive_value *in_order_of_places(skv_builder *b, const skv_loss_site *at, skive_value *scores,
                                       const int64_t *map) {
    const int64_t classes = at->targets->info.classes;
    bool same = true;
    for (int64_t c = 0; map && c < classes; c++) same = same && map[c] == c;
    if (same) return scores;
    int axis = skv_term_class_axis(at->head, scores, at->labels);
    if (axis < 0) axis = scores->type.rank - 1;
    if (at->head->task == SKIVE_TASK_PLACES && scores->type.dims[axis].size == classes)
        return skv_emit(b, "Gather", SKV_IN(scores, skv_emit_ints(b, map, (size_t)classes)),
                        SKV_ATTRS(SKV_INT("axis", axis)));
    b->status =
        SKV_FAIL(b->graph->ctx, SKIVE_ERR_SHAPE,
                 "the teacher has the classes of the data in another order, which is not known how to change for "
                 "its output; take --class-order to leave them in theirs");
    return NULL;
}

/* Scores for each place or step, in front of a softmax, and in the student's shape. */
static skive_value *of_places(skv_builder *b, const skv_head *head, const skv_loss_site *at, const int64_t *map) {
    const skive_node *last = head->value->producer;
    const bool softmax = last && skv_node_is(last, SKV_OP_SOFTMAX);
    skive_value *scores = head->before ? head->before : softmax ? last->inputs[0] : head->value;
    const skive_type *mine = &at->logits->type, *theirs = &scores->type;
    bool same = mine->rank == theirs->rank && mine->dtype == theirs->dtype;
    for (int d = 0; same && d < mine->rank; d++) same = mine->dims[d].size == theirs->dims[d].size;
    if (same) return in_order_of_places(b, at, scores, map);
    char x[160], y[160];
    (void)skv_type_text(theirs, x, sizeof x);
    (void)skv_type_text(mine, y, sizeof y);
    b->status =
        SKV_FAIL(b->graph->ctx, SKIVE_ERR_SHAPE,
                 "the teacher gives scores %s, but the student %s; both must have the same classes and places", x, y);
    return NULL;
}

/* The scores of one of the teacher's outputs, as the student's at `at` can learn from them. */
static skive_value *scores_of(skv_builder *b, const skv_head *head, const skv_loss_site *at,
                              const skv_merged_teacher *t, const int64_t *map) {
    skive_context *ctx = b->graph->ctx;
    b->status = check_heads(ctx, head, at->head);
    if (b->status == SKIVE_OK && t->known) b->status = check_part(ctx, at);
    if (b->status != SKIVE_OK) return NULL;
    const skive_task task = at->head->task;
    const bool places = task == SKIVE_TASK_PLACES || task == SKIVE_TASK_SEQUENCES;
    if (places) return of_places(b, head, at, map);
    skive_value *scores = task == SKIVE_TASK_VALUES ? head->value : skv_head_logits(b, head);
    scores = in_order(b, scores, map, t->known ? t->n_known : at->targets->info.classes);
    if (b->status == SKIVE_OK && !t->known) b->status = check_scores(ctx, &at->inputs[0]->type, scores, at->logits);
    return b->status == SKIVE_OK ? scores : NULL;
}

/* The same, whatever they are of. */
static skive_value *unchecked(skv_builder *b, const skv_head *head) {
    const bool classes = head->task == SKIVE_TASK_CLASSES || head->task == SKIVE_TASK_BINARY;
    return classes ? skv_head_logits(b, head) : head->before ? head->before : head->value;
}

/* Which of several named outputs it is that does not fit. */
static skive_status say_head(skive_context *ctx, skive_status status, const skv_teacher *t, const skv_head *head,
                             const skv_loss_site *at) {
    char what[300];
    (void)snprintf(what, sizeof what, "%.100s, output '%.80s' for '%.80s'", t->name ? t->name : "teacher",
                   t->graph->outputs[head->output]->name, at->head->value->name);
    return skv_fail_prefix(ctx, status, "%s", what);
}

void skv_teacher_merge(skv_builder *b, const skv_teacher *t, size_t index, const skv_loss_site *at, bool asked,
                       skv_merged_teacher *out) {
    skive_context *ctx = b->graph->ctx;
    skv_feeds feeds = {0};
    skv_head *heads = NULL;
    skive_graph *teacher = NULL;
    *out = (skv_merged_teacher){.head = {0}};
    (void)snprintf(out->prefix, sizeof out->prefix, index ? "teacher%zu." : "teacher.", index + 1);
    skive_graph *sized = NULL;
    skv_teacher fitting = *t;
    if (b->status == SKIVE_OK) b->status = skv_teacher_resize(ctx, t->graph, &at->targets->info, &sized);
    if (sized) fitting.graph = sized;
    skive_value **inputs = skv_teacher_inputs(b, &fitting, at, &feeds);
    if (b->status == SKIVE_OK) b->status = bind_teacher(ctx, fitting.graph, &feeds, &at->inputs[0]->type, &teacher);
    skv_feeds_free(&feeds);
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(ctx, at->n_more + 1, sizeof *heads, &heads);
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(ctx, at->n_more + 1, sizeof(skive_value *), &out->more);
    out->first = b->graph->n_values;
    if (b->status == SKIVE_OK) b->status = merge(b, t, index, at, asked, inputs, teacher, heads, out);
    out->end = b->graph->n_values;
    skv_free(ctx, inputs);
    skive_graph_free(teacher);
    skive_graph_free(sized);
    for (size_t k = 0; k <= at->n_more && b->status == SKIVE_OK; k++) {
        const skv_loss_site *one = k ? &at->more[k - 1] : at;
        skive_value **to = k ? &out->more[k - 1] : &out->scores;
        if (!heads[k].value) continue;
        if (asked) *to = scores_of(b, &heads[k], one, out, at->n_more ? NULL : out->classes);
        if (b->status != SKIVE_OK && t->n_heads) b->status = say_head(ctx, b->status, t, &heads[k], one);
        if (!out->answer) out->answer = asked ? *to : unchecked(b, &heads[k]);
    }
    skv_free(ctx, out->classes);
    out->classes = NULL;
    skv_free(ctx, heads);
}

skive_status skv_teacher_check(skive_context *ctx, const skv_teacher *t) {
    if (t->graph->n_inputs > 0 && t->graph->n_outputs > 0) return SKIVE_OK;
    return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "the teacher needs an input and an output; this one has %u and %u",
                    t->graph->n_inputs, t->graph->n_outputs);
}

void skv_soft_labels_terms(double alpha, double temperature, skv_term terms[2]) {
    terms[0] = (skv_term){.loss = skv_teaching_find("kl"), .weight = alpha, .temperature = temperature};
    terms[1] = (skv_term){.weight = 1 - alpha, .temperature = 1};
}
