/* A data set as the source of a probe. */
#include "probe/source.h"

#include "train/train.h"

/* The loss on the labels, in the form that the options ask for. */
static skive_status add_loss(skv_source *s, const skive_graph *model, const skv_source_options *o) {
    skive_train_options how = skive_train_options_default();
    const skv_loss *loss = NULL;
    skive_graph *marked = NULL;
    skv_problem p = {0};
    skive_status status;
    how.loss = o->loss;
    if (o->loss) SKV_TRY(skv_loss_pick(s->ctx, o->loss, &loss, NULL));
    if (loss && (loss->needs_teacher || loss->needs_features || loss->needs_indices))
        return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, "loss", "the loss '%s' needs more than labels", loss->name);
    SKV_GO(status, done, skive_graph_copy(s->ctx, model, &marked));
    SKV_GO(status, done, skv_params_mark_trainable(marked));
    const skv_problem_setup setup = {.model = marked,
                                     .feeds = &s->feeds,
                                     .targets = &s->targets,
                                     .objective = &skv_objective_labels,
                                     .options = &how,
                                     .batch = s->batch,
                                     .inference = !o->training,
                                     .quiet = true};
    SKV_GO(status, done, skv_problem_build(s->ctx, &setup, &p));
    s->graph = p.graph;
    p.graph = NULL;
    s->loss = p.loss->name;
    s->labels = s->graph->n_inputs - 1;
    status = skive_graph_infer(s->graph);
done:
    skv_problem_free(s->ctx, &p);
    skive_graph_free(marked);
    return status;
}

/* Without labels. */
static skive_status bind(skv_source *s, const skive_graph *model, bool training) {
    skv_stat_update *updates = NULL;
    size_t n_updates = 0;
    SKV_TRY(skv_problem_bind(s->ctx, model, &s->feeds, s->batch, &s->graph));
    if (!training) return SKIVE_OK;
    SKV_TRY(skv_params_mark_trainable(s->graph));
    const skive_status status = skv_graph_to_training(s->ctx, s->graph, &updates, &n_updates);
    skv_free(s->ctx, updates);
    return status;
}

static skive_status open_source(skv_source *s, const skive_graph *model, skive_dataset *set,
                                const skv_source_options *o) {
    skive_loader_options l = skive_loader_options_default();
    if (o->with_loss)
        SKV_TRY(skv_targets_of(s->ctx, set, &s->targets));
    else
        skive_dataset_get_info(set, &s->targets.info);
    const int64_t count = (int64_t)s->targets.info.count;
    if (count < 1)
        return skv_fail_at(s->ctx, SKIVE_ERR_DATA, s->targets.info.spec, "%s: no samples", s->targets.info.spec);
    SKV_TRY(skv_feeds_make(s->ctx, model, &s->targets.info, &s->feeds));
    s->batch = o->batch < count ? o->batch : count;
    s->batches = count / s->batch;
    if (o->batches > 0 && o->batches < s->batches) s->batches = o->batches;
    SKV_TRY(o->with_loss ? add_loss(s, model, o) : bind(s, model, o->training));
    l.batch = (size_t)s->batch;
    l.drop_last = true;
    l.seed = o->seed;
    return skv_feeds_loader(s->ctx, &s->feeds, set, &l, &s->loader);
}

skive_status skv_source_open(skive_context *ctx, const skive_graph *model, skive_dataset *set,
                             const skv_source_options *o, skv_source *out) {
    *out = (skv_source){.ctx = ctx};
    const skive_status status = open_source(out, model, set, o);
    if (status != SKIVE_OK) skv_source_close(out);
    return status;
}

void skv_source_close(skv_source *s) {
    if (!s->ctx) return;
    skive_loader_free(s->loader);
    skv_feeds_free(&s->feeds);
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
    for (size_t i = 0; i < s->feeds.n; i++) {
        const skv_feed *f = &s->feeds.items[i];
        SKV_TRY(skv_feed_copy(s->ctx, f->input, &batch.inputs[i], &inputs[f->index]));
    }
    return s->loss ? skv_feed_copy(s->ctx, SKV_LABELS_INPUT, &batch.y, &inputs[s->labels]) : SKIVE_OK;
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
