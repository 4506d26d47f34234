/* What criteria share that find the numbers of all layers by themselves: products with the Hessian. */
#include "probe/hessian.h"
#include "probe/source.h"
#include "prune/prune.h"

skive_status skv_look_room(skv_pruning *p) {
    for (size_t i = 0; i < p->n; i++) {
        skv_numbers *m = &p->layers[i].numbers[0];
        skv_free(p->ctx, m->x);
        *m = (skv_numbers){0};
        SKV_TRY(skv_alloc_array(p->ctx, (size_t)p->layers[i].n + 1, sizeof *m->x, &m->x));
        *m = (skv_numbers){.x = m->x, .n = (size_t)p->layers[i].n, .count = 1};
    }
    return SKIVE_OK;
}

void skv_look_shift(skv_pruning *p) {
    double least = 0;
    bool any = false;
    for (size_t i = 0; i < p->n; i++) {
        for (int64_t k = 0; k < p->layers[i].n; k++) {
            const double x = p->layers[i].numbers[0].x[k];
            if (!any || x < least) least = x;
            any = true;
        }
    }
    for (size_t i = 0; i < p->n; i++)
        for (int64_t k = 0; k < p->layers[i].n; k++) p->layers[i].numbers[0].x[k] -= least;
}

skive_status skv_look_vector_open(const skv_pruning *p, skv_look_vector *x) {
    *x = (skv_look_vector){NULL, NULL};
    SKV_TRY(skv_alloc_array(p->ctx, p->n + 1, sizeof(float *), &x->v));
    SKV_TRY(skv_alloc_array(p->ctx, p->n + 1, sizeof(double *), &x->out));
    for (size_t i = 0; i < p->n; i++) {
        SKV_TRY(skv_alloc_array(p->ctx, (size_t)p->layers[i].n + 1, sizeof(float), &x->v[i]));
        SKV_TRY(skv_alloc_array(p->ctx, (size_t)p->layers[i].n + 1, sizeof(double), &x->out[i]));
    }
    return SKIVE_OK;
}

void skv_look_vector_close(const skv_pruning *p, skv_look_vector *x) {
    for (size_t i = 0; i < p->n; i++) {
        if (x->v) skv_free(p->ctx, x->v[i]);
        if (x->out) skv_free(p->ctx, x->out[i]);
    }
    skv_free(p->ctx, x->v);
    skv_free(p->ctx, x->out);
    *x = (skv_look_vector){NULL, NULL};
}

/* A model that takes one sample may have rows of a parameter for each of a batch. */
static skive_status check_sizes(const skv_pruning *p, const skv_source *s) {
    for (size_t i = 0; i < p->n; i++) {
        const char *name = p->layers[i].value->name;
        const skive_value *v = skive_graph_find_value(s->graph, name);
        if (v && v->storage && skive_tensor_count(skv_value_tensor(v)) == p->layers[i].n) continue;
        return skv_fail_at(p->ctx, SKIVE_ERR_SHAPE, name,
                           "parameter '%s' has rows for each sample of a batch, which the criterion '%s' cannot score; "
                           "exclude it",
                           name, p->criterion->name);
    }
    return SKIVE_OK;
}

static skive_status open_source(skv_pruning *p, skv_source *s) {
    const skv_source_options o = {.batch = skv_option_integer(&p->criterion_options, "batch"),
                                  .batches = skv_option_integer(&p->criterion_options, "batches"),
                                  .with_loss = true};
    SKV_TRY(skv_source_open(p->ctx, p->work, p->train, &o, s));
    return check_sizes(p, s);
}

skive_status skv_look_gradient(skv_pruning *p, skv_look_vector *x) {
    skv_source s = {0};
    skv_probe *probe = NULL;
    skv_probe_item *items = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(p->ctx, p->n + 1, sizeof *items, &items));
    for (size_t i = 0; i < p->n; i++)
        items[i] = (skv_probe_item){.value = p->layers[i].value->name,
                                    .of = SKV_OF_GRADIENT,
                                    .axis = SKV_BY_ELEMENT,
                                    .reducer = skv_reducer_find("sum")};
    SKV_GO(status, done, open_source(p, &s));
    SKV_GO(status, done, skv_source_probe(&s, items, p->n, "score", &probe));
    for (size_t i = 0; i < p->n; i++) {
        double *sum, count;
        size_t n;
        SKV_GO(status, done, skv_probe_result(probe, i, &sum, &n, &count));
        for (size_t k = 0; k < n; k++) x->v[i][k] = (float)(sum[k] / count);
        skv_free(p->ctx, sum);
    }
done:
    skv_probe_free(probe);
    skv_source_close(&s);
    skv_free(p->ctx, items);
    return status;
}

skive_status skv_look_hessian(skv_pruning *p, skv_look_vector *x) {
    skv_source s = {0};
    const char **names = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(p->ctx, p->n + 1, sizeof *names, &names));
    for (size_t i = 0; i < p->n; i++) names[i] = p->layers[i].value->name;
    SKV_GO(status, done, open_source(p, &s));
    const skv_hessian_setup setup = {
        .probe = {.graph = s.graph, .loss = s.loss, .plan = skive_plan_options_default(), .runs = s.batches},
        .pass = {.begin = skv_source_rewind, .feed = skv_source_feed, .user = &s, .runs = s.batches, .what = "score"},
        .parameters = names,
        .vector = (const float *const *)x->v,
        .n = p->n};
    status = skv_hessian_vector(p->ctx, &setup, x->out);
done:
    skv_source_close(&s);
    skv_free(p->ctx, names);
    return status;
}
