/* What teachers see of the samples, and where their answers are kept. */
#include <string.h>

#include "data/data.h"
#include "train/fit_state.h"

/* Views that only the teacher sees are those of epochs that no run reaches. */
enum { OWN = 1 << 30 };

static bool is(const fit_state *s, const char *view) {
    return s->fit->objective->view && strcmp(s->fit->objective->view, view) == 0;
}

static bool augments(const fit_state *s) { return s->o->augment && *s->o->augment; }

/* As many as the run has of each sample. */
static uint64_t view_count(const fit_state *s) {
    const uint64_t epochs = s->o->epochs > 0 ? (uint64_t)s->o->epochs : 1, views = (uint64_t)s->fit->objective->views;
    if (!augments(s) || is(s, "plain")) return 1;
    return views && views < epochs ? views : epochs;
}

static skive_status refuse(const fit_state *s, const char *option, const char *why) {
    return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, option, "%s: %s", option, why);
}

skive_status skv_fit_check_views(fit_state *s) {
    const skv_objective *o = s->fit->objective;
    const bool other = o->view && !is(s, "same");
    if (!o->cache && !other && !o->views) return SKIVE_OK;
    const char *option = o->cache ? "cache" : other ? "teacher-view" : "cache-views";
    if (!skv_objective_asks_scores(o))
        return refuse(s, option,
                      "it is of the teacher's scores, and no term asks for them, or terms ask for values inside the "
                      "teacher, which must see what the student sees");
    if (s->shares) return refuse(s, option, "not with transforms that mix samples, whose labels are mixed with them");
    if ((other || o->views) && !augments(s))
        return refuse(s, other ? "teacher-view" : "cache-views", "it has no effect without --augment; leave it out");
    if (o->views && !o->cache)
        return refuse(s, "cache-views", "it makes a cache small and has no use without --cache; leave it out");
    if (o->views && is(s, "plain"))
        return refuse(s, "cache-views", "a plain view is the same in all epochs; leave it out");
    return SKIVE_OK;
}

skive_status skv_fit_make_loaders(fit_state *s) {
    const skv_objective *o = s->fit->objective;
    skive_loader_options l = skive_loader_options_default();
    l.batch = (size_t)s->batch;
    l.drop_last = true;
    l.seed = s->o->seed;
    l.transforms = s->o->augment;
    l.scores = s->shares;
    SKV_TRY(skv_feeds_loader(s->ctx, &s->feeds, s->fit->train, &l, &s->loader));
    skv_loader_views(s->loader, (uint64_t)o->views, 0);
    if (!o->view || is(s, "same")) return SKIVE_OK;
    if (is(s, "plain")) l.transforms = NULL;
    SKV_TRY(skv_feeds_loader(s->ctx, &s->feeds, s->fit->train, &l, &s->teacher_loader));
    skv_loader_views(s->teacher_loader, (uint64_t)o->views, OWN);
    return SKIVE_OK;
}

skive_status skv_fit_start(fit_state *s, uint64_t epoch, size_t first) {
    const uint64_t views = (uint64_t)s->fit->objective->views;
    s->view = !augments(s) || is(s, "plain") ? 0 : views ? epoch % views : epoch;
    if (s->teacher_loader) SKV_TRY(skv_loader_start_at(s->teacher_loader, epoch, first));
    return skv_loader_start_at(s->loader, epoch, first);
}

skive_status skv_fit_next(fit_state *s, skive_batch *out) {
    SKV_TRY(skive_loader_next(s->loader, out));
    s->taught = *out;
    return s->teacher_loader ? skive_loader_next(s->teacher_loader, &s->taught) : SKIVE_OK;
}

skive_status skv_fit_make_answers(fit_state *s) {
    skv_text key;
    if (!s->problem.apart.graph) return SKIVE_OK;
    skv_text_init(&key, s->ctx);
    skive_status status = s->fit->objective->cache ? skv_answers_key(s->ctx, s->fit, &key) : SKIVE_OK;
    if (status == SKIVE_OK)
        status = skv_answers_create(s->ctx,
                                    &(skv_answers_setup){.apart = &s->problem.apart,
                                                         .cache = s->fit->objective->cache,
                                                         .key = key.data,
                                                         .samples = s->info.count,
                                                         .views = view_count(s)},
                                    &s->answers);
    skv_text_free(&key);
    return status;
}
