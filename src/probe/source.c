/* A data set as the source of a probe. */
#include "probe/source.h"

#include "graph/batch.h"
#include "train/train.h"

static skive_status bind(skv_source *s, const skive_graph *model) {
    skive_graph *sized = NULL;
    skive_status status;
    SKV_GO(status, done, skive_graph_copy(s->ctx, model, &sized));
    skv_feed_bind(&s->feed, sized);
    status = skv_graph_bind_batch(s->ctx, sized, s->batch, &s->graph);
done:
    skive_graph_free(sized);
    return status;
}

static skive_status to_training(skv_source *s) {
    skv_stat_update *updates = NULL;
    size_t n_updates = 0;
    SKV_TRY(skv_params_mark_trainable(s->graph));
    const skive_status status = skv_train_form(s->ctx, s->graph, &updates, &n_updates);
    skv_free(s->ctx, updates);
    return status;
}

static skive_status add_labels(skv_source *s, skive_value **labels) {
    const skive_dataset_info *info = &s->targets.info;
    skive_type t = {.dtype = SKIVE_I64, .rank = 1, .dims = {{s->batch, NULL}}};
    if (!info->labelled) {
        t.dtype = SKIVE_F32;
        t.rank = info->target_rank + 1;
        for (int d = 0; d < info->target_rank; d++) t.dims[d + 1] = (skive_dim){info->target_dims[d], NULL};
    }
    s->labels = s->graph->n_inputs;
    return skive_graph_add_input(s->graph, "skive.labels", &t, labels);
}

static skive_status check_loss(const skv_source *s, const char *name, const skv_head *head, const skv_loss *loss) {
    const skive_dataset_info *info = &s->targets.info;
    if (!loss) return skv_fail_unknown(s->ctx, SKIVE_ERR_ARGUMENT, "loss", "loss", name, skv_loss_name);
    if (loss->needs_teacher || loss->needs_features || loss->needs_indices)
        return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, "loss", "the loss '%s' needs more than labels", loss->name);
    if (!info->labelled && !loss->on_output && !s->targets.shares)
        return skv_fail_at(s->ctx, SKIVE_ERR_DATA, info->spec, "%s has no class labels, which the loss '%s' needs",
                           info->spec, loss->name);
    if (info->labelled && head->task == SKIVE_TASK_CLASSES && head->scores >= 0 && head->scores < info->classes)
        return skv_fail_at(s->ctx, SKIVE_ERR_DATA, info->spec, "%s has %lld classes, but the model gives %lld scores",
                           info->spec, (long long)info->classes, (long long)head->scores);
    return SKIVE_OK;
}

static skive_status add_loss(skv_source *s, const skv_source_options *o) {
    skive_train_options options = skive_train_options_default();
    skive_value *labels = NULL, *course = NULL;
    skv_head head;
    options.loss = o->loss;
    SKV_TRY(add_labels(s, &labels));
    SKV_TRY(skv_head_find(s->ctx, s->graph, &s->targets, &head));
    const skv_loss *loss = skv_loss_for(&options, &head);
    SKV_TRY(check_loss(s, o->loss, &head, loss));
    skv_builder b = skv_build(s->graph);
    const bool on_value = head.task == SKIVE_TASK_VALUES && loss->on_output;
    skive_value *logits = on_value ? head.value : skv_head_logits(&b, &head);
    SKV_TRY(b.status);
    const skv_loss_site at = {.input = s->graph->inputs[s->input],
                              .labels = labels,
                              .logits = logits,
                              .head = &head,
                              .targets = &s->targets,
                              .options = &options};
    const skive_value *built = skv_objective_build(&b, &skv_objective_labels, &at, &course);
    SKV_TRY(b.status);
    s->loss = built->name;
    return skive_graph_infer(s->graph);
}

static skive_status open(skv_source *s, const skive_graph *model, skive_dataset *set, const skv_source_options *o) {
    skive_loader_options l = skive_loader_options_default();
    SKV_TRY(skv_targets_of(s->ctx, set, &s->targets));
    const int64_t count = (int64_t)s->targets.info.count;
    if (count < 1)
        return skv_fail_at(s->ctx, SKIVE_ERR_DATA, s->targets.info.spec, "%s: no samples", s->targets.info.spec);
    SKV_TRY(skv_feed_make(s->ctx, model, &s->targets.info, &s->feed));
    s->batch = o->batch < count ? o->batch : count;
    s->batches = count / s->batch;
    if (o->batches > 0 && o->batches < s->batches) s->batches = o->batches;
    SKV_TRY(bind(s, model));
    if (o->training_form) SKV_TRY(to_training(s));
    if (o->with_loss) SKV_TRY(add_loss(s, o));
    l.batch = (size_t)s->batch;
    l.drop_last = true;
    l.seed = o->seed;
    return skv_feed_loader(s->ctx, &s->feed, set, &l, &s->loader);
}

skive_status skv_source_open(skive_context *ctx, const skive_graph *model, skive_dataset *set,
                             const skv_source_options *o, skv_source *out) {
    *out = (skv_source){.ctx = ctx};
    const skive_status status = open(out, model, set, o);
    if (status != SKIVE_OK) skv_source_close(out);
    return status;
}

void skv_source_close(skv_source *s) {
    if (!s->ctx) return;
    skive_loader_free(s->loader);
    skv_feed_free(&s->feed);
    skive_graph_free(s->graph);
    *s = (skv_source){0};
}

skive_status skv_source_rewind(void *source) {
    const skv_source *s = source;
    return skive_loader_start_epoch(s->loader, 0);
}

skive_status skv_source_feed(void *user, int64_t *run, skive_tensor *inputs, size_t n_inputs) {
    skv_source *s = user;
    skive_batch batch;
    (void)run;
    (void)n_inputs;
    SKV_TRY(skive_loader_next(s->loader, &batch));
    if (batch.end) return SKIVE_ERR_NOT_FOUND;
    SKV_TRY(skv_feed_copy(s->ctx, s->feed.input, &batch.x, &inputs[s->input]));
    return s->loss ? skv_feed_copy(s->ctx, "skive.labels", &batch.y, &inputs[s->labels]) : SKIVE_OK;
}

skive_status skv_source_probe(skv_source *s, const skv_probe_item *items, size_t n, const char *what,
                              skv_probe **probe) {
    const skv_probe_setup setup = {.graph = s->graph,
                                   .loss = s->loss,
                                   .items = items,
                                   .n_items = n,
                                   .plan = skive_plan_options_default(),
                                   .runs = s->batches};
    const skv_probe_pass pass = {
        .begin = skv_source_rewind, .feed = skv_source_feed, .user = s, .runs = s->batches, .what = what};
    *probe = NULL;
    SKV_TRY(skv_probe_open(s->ctx, &setup, probe));
    const skive_status status = skv_probe_run(*probe, &pass, NULL);
    if (status == SKIVE_OK) return status;
    skv_probe_free(*probe);
    *probe = NULL;
    return status;
}
