/* growing:RATIO. Growing regularization (Wang, Qin, Zhang & Fu 2021): the units of lowest magnitude at the start get an
 * L2 penalty that grows, so that the network leaves them step by step, and are then set to zero for the rest of the
 * run. The penalty acts by its proximal step, w / (1 + rate LAMBDA), which is stable at any LAMBDA. Channels are chosen
 * among those that stand side by side, of which one stays at least; weights over all layers. */
#include <math.h>
#include <stdlib.h>

#include "train/regularizer.h"

static const skv_option options[] = {
    {.name = "ratio",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .above = true,
     .below = true,
     .required = true,
     .brief = "fraction that becomes zero"},
    SKV_REGULARIZER_OF("channel"),
    {.name = "most",
     .type = SKV_OPTION_REAL,
     .most = 1e6,
     .above = true,
     .fallback = 10,
     .brief = "weight of the penalty at the end of its growth"},
    {.name = "until",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .above = true,
     .fallback = 0.5,
     .brief = "fraction of the run after which they are zero"},
};

typedef struct ranked {
    double size;
    size_t at;
    int family;
} ranked;

typedef struct growing {
    size_t *chosen; /* [n] */
    size_t n;
} growing;

static int by_family(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->family != y->family) return x->family < y->family ? -1 : 1;
    if (x->size < y->size || x->size > y->size) return x->size < y->size ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static skive_status start(skv_regularizing *r) {
    const skv_units *u = r->units;
    const double ratio = skv_option_real(&r->values, "ratio");
    growing *g = NULL;
    ranked *all = NULL;
    skive_status status;
    SKV_TRY(skv_alloc_array(r->ctx, 1, sizeof *g, &g));
    r->self = g;
    SKV_GO(status, done, skv_alloc_array(r->ctx, u->n + 1, sizeof *g->chosen, &g->chosen));
    SKV_GO(status, done, skv_alloc_array(r->ctx, u->n + 1, sizeof *all, &all));
    for (size_t i = 0; i < u->n; i++) {
        int64_t n;
        const double squares = skv_unit_squares(u, i, &n);
        all[i] = (ranked){n > 0 ? squares / (double)n : 0, i, u->family ? u->family[i] : 0};
    }
    if (u->n > 1) qsort(all, u->n, sizeof *all, by_family);
    for (size_t first = 0, end; first < u->n; first = end) {
        for (end = first; end < u->n && all[end].family == all[first].family;) end++;
        const size_t members = end - first, most = members > 0 ? members - 1 : 0;
        size_t take = (size_t)(ratio * (double)members + 0.5);
        if (take > most) take = most;
        for (size_t k = 0; k < take; k++) g->chosen[g->n++] = all[first + k].at;
    }
    if (g->n == 0)
        status = skv_fail_at(r->ctx, SKIVE_ERR_ARGUMENT, "regularize",
                             "growing: a ratio of %g is less than one %s of each layer", ratio,
                             u->channels ? "channel" : "weight");
done:
    skv_free(r->ctx, all);
    return status;
}

static void end(skv_regularizing *r) {
    growing *g = r->self;
    if (g) skv_free(r->ctx, g->chosen);
    skv_free(r->ctx, g);
}

static bool settled(const skv_regularizing *r, int64_t update) {
    return skv_regularizing_progress(r, update) >= skv_option_real(&r->values, "until");
}

static skive_status applied(skv_regularizing *r, const skv_step *step) {
    const growing *g = r->self;
    const double done = skv_regularizing_progress(r, step->number) / skv_option_real(&r->values, "until");
    const double lambda = skv_option_real(&r->values, "most") * done;
    const float factor = settled(r, step->number) ? 0.0f : (float)(1 / (1 + step->rate * lambda));
    for (size_t i = 0; i < g->n; i++) skv_unit_scale(r->units, g->chosen[i], factor);
    return SKIVE_OK;
}

const skv_regularizer skv_regularizer_growing = {
    .name = "growing",
    .brief = "an L2 penalty that grows on the channels or weights of lowest magnitude, which then become zero",
    SKV_OPTIONS(options),
    .units = SKV_UNITS_BY_OPTION,
    .needs_length = true,
    .start = start,
    .end = end,
    .applied = applied,
    .settled = settled,
    .example = "0.25",
};
