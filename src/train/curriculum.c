/* See curriculum.h. */
#include "train/curriculum.h"

#include <math.h>
#include <string.h>

#include <skive/pack.h>

#include "train/train.h"

#define SKV_KIND    curriculum
#define SKV_ARRAY   curricula
#define SKV_RECORDS "train/curricula.inc"
#include "base/records.h"

SKV_FAMILY(curriculum, curricula, "curriculum")

enum { STREAM = 0x6772 }; /* of the random numbers */

void skv_curriculum_shuffle(const skv_curriculum_site *at, uint32_t *order) {
    for (size_t i = 0; i < at->info.count; i++) order[i] = (uint32_t)i;
    skv_rng_shuffle(skv_hash64("curriculum", 10, at->seed), STREAM, order, at->info.count);
}

double skv_growth_part(const skv_option_values *options, int epoch, int epochs) {
    const double start = skv_option_real(options, "start"), until = skv_option_real(options, "until") * epochs;
    const int64_t steps = skv_option_integer(options, "steps");
    double done = epoch >= until ? 1 : epoch / until;
    if (steps > 0) done = floor(done * (double)steps + 1e-9) / (double)steps;
    return start + (1 - start) * done;
}

size_t skv_growth_samples(const skv_growth *g, int epoch) {
    if (!g->kind) return g->count;
    const size_t n = (size_t)llrint(skv_growth_part(&g->options, epoch, g->epochs) * (double)g->count);
    return n < g->batch ? g->batch : n;
}

size_t skv_growth_batches(const skv_growth *g, int epoch) { return skv_growth_samples(g, epoch) / g->batch; }

int64_t skv_growth_before(const skv_growth *g, int epoch) {
    int64_t n = 0;
    for (int i = 0; i < epoch; i++) n += (int64_t)skv_growth_batches(g, i);
    return n;
}

void skv_growth_tell(const skv_growth *g) {
    if (!g->kind) return;
    const int64_t all = (int64_t)g->epochs * (int64_t)(g->count / g->batch), own = skv_growth_before(g, g->epochs);
    int full = 0;
    while (full < g->epochs && skv_growth_samples(g, full) < g->count) full++;
    skv_note(
        g->ctx,
        "curriculum '%s': %zu of %zu samples in epoch 1, all from epoch %d on; %lld steps instead of %lld (%.0f %%)",
        g->kind->name, skv_growth_samples(g, 0), g->count, full + 1, (long long)own, (long long)all,
        100.0 * (double)own / (double)(all ? all : 1));
}

void skv_growth_free(skv_growth *g) {
    if (g->ctx) skv_free(g->ctx, g->order);
    skive_graph_free(g->loaded);
    *g = (skv_growth){0};
}

static skive_status take_teacher(skv_growth *g, const skv_curriculum *kind, const skive_graph *given) {
    g->teacher = given;
    if (!kind->by_teacher) return SKIVE_OK;
    const char *path = skv_option_text(&g->options, "teacher");
    if (path) {
        SKV_TRY(skive_model_load(g->ctx, path, &g->loaded));
        g->teacher = g->loaded;
    }
    if (g->teacher) return SKIVE_OK;
    return skv_fail_at(g->ctx, SKIVE_ERR_ARGUMENT, "curriculum",
                       "curriculum '%s' needs a teacher: give the file of a trained model, %s:teacher=FILE", kind->name,
                       kind->name);
}

static skive_status make(skv_growth *g, const skv_growth_setup *setup) {
    size_t index;
    SKV_TRY(skv_family_pick(g->ctx, &skv_curriculum_family, "curriculum", setup->text, &index, &g->options));
    const skv_curriculum *kind = skv_curriculum_at(index);
    g->site = (skv_curriculum_site){.ctx = g->ctx, .set = setup->set, .seed = setup->seed, .options = &g->options};
    skive_dataset_get_info(setup->set, &g->site.info);
    if (kind->needs_classes && (!g->site.info.labelled || g->site.info.label_rank))
        return skv_fail_at(g->ctx, SKIVE_ERR_DATA, "curriculum",
                           "curriculum '%s' needs a class for each sample, which %s does not have", kind->name,
                           g->site.info.spec);
    SKV_TRY(take_teacher(g, kind, setup->teacher));
    SKV_TRY(skv_alloc_array(g->ctx, g->count + 1, sizeof *g->order, &g->order));
    SKV_TRY(kind->order(&g->site, g->order));
    g->kind = kind;
    return SKIVE_OK;
}

skive_status skv_growth_create(skive_context *ctx, const skv_growth_setup *setup, skv_growth *out) {
    skive_dataset_info info;
    skive_dataset_get_info(setup->set, &info);
    *out = (skv_growth){.ctx = ctx, .count = info.count, .batch = (size_t)setup->batch, .epochs = setup->epochs};
    if (!setup->text) return SKIVE_OK;
    const skive_status status = make(out, setup);
    if (status != SKIVE_OK) skv_growth_free(out);
    return status;
}

/* ---- difficulty ---- */

typedef struct scores {
    const skv_curriculum *kind;
    float *difficulty;
} scores;

static void note_score(void *user, size_t index, const double *log_p, int64_t classes, int64_t label) {
    const scores *s = user;
    const double difficulty = s->kind->difficulty(log_p, classes, label);
    s->difficulty[index] = isnan(difficulty) ? INFINITY : (float)difficulty;
}

/* A teacher does not change; the model does, and is asked whenever samples are about to join. */
static bool is_due(const skv_growth *g, int epoch) {
    if (!g->kind || !g->kind->difficulty || g->scored == epoch + 1) return false;
    if (g->kind->by_teacher) return g->scored == 0;
    const size_t n = skv_growth_samples(g, epoch);
    return epoch > 0 && n != skv_growth_samples(g, epoch - 1) && n < g->count;
}

skive_status skv_growth_begin(skv_growth *g, int epoch, const skive_graph *model) {
    scores s = {.kind = g->kind};
    skive_status status;
    if (!is_due(g, epoch)) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(g->ctx, g->count + 1, sizeof *s.difficulty, &s.difficulty));
    SKV_GO(status, done,
           skv_log_probabilities(g->ctx, g->kind->by_teacher ? g->teacher : model, g->site.set, note_score, &s));
    SKV_GO(status, done, skv_curriculum_by_difficulty(&g->site, s.difficulty, g->order));
    g->scored = epoch + 1;
done:
    skv_free(g->ctx, s.difficulty);
    return status;
}

skive_status skv_growth_states(skv_growth *g, skv_states *s) {
    if (!g->kind || !g->kind->difficulty) return SKIVE_OK;
    SKV_TRY(skv_state(s, "curriculum", "scored", &g->scored, 1, sizeof g->scored));
    return skv_state(s, "curriculum", "order", g->order, g->count, sizeof *g->order);
}

void skv_growth_settings(const skv_growth *g, skv_text *t) {
    if (g->kind && g->kind->by_teacher)
        skv_settings_hash(t, "teacher of the curriculum", skv_settings_model(g->teacher));
}
