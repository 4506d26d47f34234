/* rigl:SPARSITY. Sparse from the start to the end of training (RigL, Evci, Gale, Menick, Castro & Elsen 2020): a mask
 * of that sparsity, in which from time to time the weights of lowest magnitude are dropped and as many grow where the
 * gradient of the loss is largest. Layers get densities in proportion to (sum of their sizes) / (product of them)
 * (Erdos-Renyi-Kernel, Mocanu and others 2018), so that small layers stay denser, or all the same. Grown weights start
 * at zero. The paper leaves out the optimizer's step where the mask changes; here it is made first. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/regularizer.h"

static const char *layers(size_t i) {
    static const char *const names[] = {"erk", "uniform"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

static const char *starts(size_t i) {
    static const char *const names[] = {"random", "magnitude"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

static const skv_option options[] = {
    {.name = "sparsity",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .above = true,
     .below = true,
     .required = true,
     .brief = "fraction of the weights that are zero"},
    {.name = "every",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 1e9,
     .fallback = 100,
     .brief = "updates between two changes of the mask"},
    {.name = "drop",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .fallback = 0.3,
     .brief = "fraction of the kept weights that the first change replaces; it falls to 0 as a cosine"},
    {.name = "until",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .above = true,
     .fallback = 0.75,
     .brief = "fraction of the run after which the mask stays"},
    {.name = "layers",
     .type = SKV_OPTION_CHOICE,
     .text = "erk",
     .choices = layers,
     .brief = "how the sparsity is spread over the layers"},
    {.name = "start",
     .type = SKV_OPTION_CHOICE,
     .text = "random",
     .choices = starts,
     .brief = "the first mask: at random, or the weights of largest magnitude"},
};

typedef struct layer {
    skv_param *param;
    uint8_t *keep;
    int64_t kept;
    double share; /* density relative to the others */
} layer;

typedef struct ranked {
    float size;
    int64_t at;
} ranked;

typedef struct rigl {
    layer *layers;
    size_t n;
    ranked *room; /* [most elements of a layer] */
} rigl;

static int largest_first(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->size != y->size) return x->size > y->size ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static double share_of(const skv_param *p, bool erk) {
    const skive_type *t = &p->value->type;
    double sum = 0, product = 1;
    for (int d = 0; d < t->rank; d++) {
        sum += (double)t->dims[d].size;
        product *= (double)t->dims[d].size;
    }
    return erk && product > 0 ? sum / product : 1;
}

/* Densities in proportion to the shares, none above 1, that give `wanted` weights over all layers. */
static void spread(rigl *g, double wanted) {
    double factor = 0, before = -1;
    while (factor != before) {
        double dense = 0, weighted = 0;
        before = factor;
        for (size_t i = 0; i < g->n; i++) {
            const double n = (double)g->layers[i].param->n;
            if (factor * g->layers[i].share >= 1)
                dense += n;
            else
                weighted += n * g->layers[i].share;
        }
        if (weighted > 0 && wanted > dense) factor = (wanted - dense) / weighted;
    }
    for (size_t i = 0; i < g->n; i++) {
        const double density = factor * g->layers[i].share;
        g->layers[i].kept = (int64_t)((double)g->layers[i].param->n * (density < 1 ? density : 1) + 0.5);
        if (g->layers[i].kept < 1) g->layers[i].kept = 1;
    }
}

static void first_mask(const skv_regularizing *r, rigl *g, layer *l) {
    const bool random = strcmp(skv_option_text(&r->values, "start"), "random") == 0;
    const char *name = l->param->value->name;
    const uint64_t seed = skv_trainer_options(r->trainer)->seed, stream = skv_hash64(name, strlen(name), 0x516);
    for (int64_t i = 0; i < l->param->n; i++)
        g->room[i] =
            (ranked){random ? (float)skv_rng_uniform(seed, stream, (uint64_t)i) : fabsf(l->param->weight[i]), i};
    qsort(g->room, (size_t)l->param->n, sizeof *g->room, largest_first);
    for (int64_t i = 0; i < l->kept; i++) l->keep[g->room[i].at] = 1;
    skv_param_zero(l->param, l->keep);
}

static skive_status add_layer(skv_regularizing *r, rigl *g, skv_param *p) {
    if (p->n_rules > 0)
        return skv_fail_at(r->ctx, SKIVE_ERR_ARGUMENT, p->value->name,
                           "rigl: '%s' is under the rule '%s', but rigl decides itself which weights are zero%s",
                           p->value->name, p->rules[0].rule->name,
                           p->value->keeps_zeros ? "; --keep-zeros none lets pruned weights return" : "");
    layer *l = &g->layers[g->n++];
    *l = (layer){.param = p, .share = share_of(p, strcmp(skv_option_text(&r->values, "layers"), "erk") == 0)};
    return skv_alloc_array(r->ctx, (size_t)p->n, 1, &l->keep);
}

static skive_status start(skv_regularizing *r) {
    const size_t n = skv_trainer_param_count(r->trainer);
    int64_t most = 0, all = 0;
    rigl *g = NULL;
    SKV_TRY(skv_alloc_array(r->ctx, 1, sizeof *g, &g));
    r->self = g;
    SKV_TRY(skv_alloc_array(r->ctx, n + 1, sizeof *g->layers, &g->layers));
    for (size_t i = 0; i < n; i++) {
        skv_param *p = skv_trainer_param(r->trainer, i);
        if (!skv_role_decays(p->role)) continue;
        SKV_TRY(add_layer(r, g, p));
        all += p->n;
        if (p->n > most) most = p->n;
    }
    SKV_TRY(skv_alloc_array(r->ctx, (size_t)most + 1, sizeof *g->room, &g->room));
    spread(g, (1 - skv_option_real(&r->values, "sparsity")) * (double)all);
    for (size_t i = 0; i < g->n; i++) first_mask(r, g, &g->layers[i]);
    return SKIVE_OK;
}

static void end(skv_regularizing *r) {
    rigl *g = r->self;
    for (size_t i = 0; g && i < g->n; i++) skv_free(r->ctx, g->layers[i].keep);
    if (g) {
        skv_free(r->ctx, g->layers);
        skv_free(r->ctx, g->room);
    }
    skv_free(r->ctx, g);
}

/* Drops `k` of those that are kept, by magnitude, and grows as many of the others, by gradient. */
static void change(rigl *g, const layer *l, int64_t k) {
    const skv_param *p = l->param;
    int64_t n = 0;
    for (int64_t i = 0; i < p->n; i++)
        if (l->keep[i]) g->room[n++] = (ranked){-fabsf(p->weight[i]), i};
    qsort(g->room, (size_t)n, sizeof *g->room, largest_first);
    if (k > n) k = n;
    for (int64_t i = 0; i < k; i++) l->keep[g->room[i].at] = 0;
    n = 0;
    for (int64_t i = 0; i < p->n; i++)
        if (!l->keep[i]) g->room[n++] = (ranked){fabsf(p->gradient[i]), i};
    qsort(g->room, (size_t)n, sizeof *g->room, largest_first);
    skv_param_zero(l->param, l->keep); /* what is dropped and grows again starts anew */
    for (int64_t i = 0; i < k && i < n; i++) l->keep[g->room[i].at] = 1;
}

static skive_status applied(skv_regularizing *r, const skv_step *step) {
    rigl *g = r->self;
    const double done = skv_regularizing_progress(r, step->number) / skv_option_real(&r->values, "until");
    const double fraction = skv_option_real(&r->values, "drop") / 2 * (1 + cos(acos(-1) * done));
    const bool due = done < 1 && step->number % skv_option_integer(&r->values, "every") == 0;
    for (size_t i = 0; i < g->n; i++) {
        const layer *l = &g->layers[i];
        if (l->param->held) continue;
        skv_param_zero(l->param, l->keep);
        if (due) change(g, l, (int64_t)(fraction * (double)l->kept));
    }
    return SKIVE_OK;
}

static skive_status states(skv_regularizing *r, skv_states *s) {
    const rigl *g = r->self;
    for (size_t i = 0; i < g->n; i++)
        SKV_TRY(skv_state(s, g->layers[i].param->value->name, "rigl mask", g->layers[i].keep,
                          (size_t)g->layers[i].param->n, 1));
    return SKIVE_OK;
}

const skv_regularizer skv_regularizer_rigl = {
    .name = "rigl",
    .brief = "sparse training: small weights are dropped, others grow where the gradient is large",
    SKV_OPTIONS(options),
    .needs_length = true,
    .start = start,
    .end = end,
    .applied = applied,
    .states = states,
    .example = "0.5",
};
