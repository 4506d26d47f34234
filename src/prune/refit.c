/* Criteria of second order: after a choice the kept weights of each layer are fitted to the outputs that the layer had,
 * and the next part is chosen among the fitted ones. A layer whose error is in the end larger than that of the mask by
 * magnitude without any fitting, which can happen because weights are chosen one by one, gets that mask, fitted. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "prune/hessian.h"

/* Above so many multiplications a layer is fitted weight by weight in one sweep. */
#define MOST_WORK 4e10

typedef struct layer {
    skv_pruning *p;
    skv_prunable *l;
    skv_rows rows;
    float *before; /* [n] weights when the choice began */
    double damping;
    double chosen, by_magnitude; /* errors */
} layer;

static float *data_of(const skv_prunable *l) { return l->value->storage->tensor.data; }

static bool too_much(const layer *x) {
    double work = 0;
    for (int64_t r = 0; r < x->rows.rows; r++) {
        int64_t n = 0;
        for (int64_t j = 0; j < x->rows.d; j++) n += x->l->keep[r * x->rows.row_step + j * x->rows.step] != 0;
        work += (double)n * (double)n * (double)n / 3;
    }
    return work > MOST_WORK;
}

typedef struct row_room {
    double *w, *was, *room;
    uint8_t *keep;
} row_room;

/* Fits one row from the weights that there were, or without `fit` only masks it; returns its error, NAN if it cannot be
 * solved. */
static double do_row(const layer *x, const skv_hessian *h, int64_t r, bool fit, bool sweep, const row_room *m) {
    const int64_t d = x->rows.d, first = r * x->rows.row_step;
    float *weights = data_of(x->l);
    for (int64_t j = 0; j < d; j++) {
        m->keep[j] = x->l->keep[first + j * x->rows.step];
        m->was[j] = (double)x->before[first + j * x->rows.step];
        m->w[j] = fit || m->keep[j] ? m->was[j] : 0;
    }
    if (fit && !skv_hessian_fit(h, m->keep, sweep, m->w, m->room)) return NAN;
    for (int64_t j = 0; j < d && fit; j++) weights[first + j * x->rows.step] = m->keep[j] ? (float)m->w[j] : 0;
    return skv_hessian_error(h, m->w, m->was);
}

static skive_status do_group(const layer *x, int64_t group, bool fit, double *errors) {
    skive_context *ctx = x->p->ctx;
    const int64_t d = x->rows.d, per = x->rows.rows / x->rows.groups;
    const int threads = skv_threads(ctx);
    const size_t room = (size_t)d * 2 * sizeof(double) + skv_hessian_room(d) + (size_t)d;
    const size_t stride = (room + 63) / 64 * 64;
    const bool sweep = fit && too_much(x);
    skv_hessian h;
    uint8_t *memory = NULL;
    size_t all;
    skive_status status;
    SKV_GO(status, done, skv_hessian_make(ctx, &x->l->numbers[0], &x->rows, group, x->damping, &h));
    if (!skv_mul_size(stride, (size_t)threads, &all)) {
        status = SKV_FAIL(ctx, SKIVE_ERR_MEMORY, "out of memory");
        goto done;
    }
    SKV_GO(status, done, skv_alloc(ctx, all, (void **)&memory));
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int64_t i = 0; i < per; i++) {
        double *at = (double *)(void *)(memory + (size_t)skv_thread_number() * stride);
        const row_room m = {.w = at,
                            .was = at + d,
                            .room = at + 2 * d,
                            .keep = (uint8_t *)at + (size_t)d * 2 * sizeof(double) + skv_hessian_room(d)};
        errors[group * per + i] = do_row(x, &h, group * per + i, fit, sweep, &m);
    }
done:
    skv_free(ctx, memory);
    skv_hessian_free(ctx, &h);
    return status;
}

/* The error of the layer as it is masked now, and with `fit` fitted; the same for any number of threads. */
static skive_status do_layer(const layer *x, bool fit, double *error) {
    double *errors = NULL;
    skive_status status = skv_alloc_array(x->p->ctx, (size_t)x->rows.rows + 1, sizeof *errors, &errors);
    for (int64_t g = 0; status == SKIVE_OK && g < x->rows.groups; g++) status = do_group(x, g, fit, errors);
    *error = 0;
    for (int64_t r = 0; status == SKIVE_OK && r < x->rows.rows; r++) *error += errors[r];
    skv_free(x->p->ctx, errors);
    return status;
}

/* The mask of as many weights by magnitude; what was gone before stays gone. */
static skive_status mask_by_magnitude(const layer *x) {
    skv_prunable l = *x->l;
    double threshold;
    int64_t drop = 0;
    for (int64_t i = 0; i < l.n; i++) {
        drop += !l.keep[i];
        l.score[i] = x->before[i] == 0 ? -1 : fabsf(x->before[i]);
    }
    if (x->p->granularity->group) return skv_mask_groups(x->p, &l, 1, drop, &threshold);
    return skv_mask_global(x->p->ctx, &l, 1, drop, &threshold);
}

/* Not worse than by magnitude. */
static skive_status compare(layer *x) {
    skive_context *ctx = x->p->ctx;
    uint8_t *chosen = NULL;
    const size_t n = (size_t)x->l->n;
    SKV_TRY(skv_alloc_array(ctx, n + 1, 1, &chosen));
    memcpy(chosen, x->l->keep, n);
    skive_status status = mask_by_magnitude(x);
    if (status == SKIVE_OK) status = do_layer(x, false, &x->by_magnitude);
    const bool worse = status == SKIVE_OK && !(x->chosen <= x->by_magnitude);
    if (!worse) {
        memcpy(x->l->keep, chosen, n);
    } else {
        status = do_layer(x, true, &x->chosen);
        if (status == SKIVE_OK && !(x->chosen <= x->by_magnitude)) { /* a sweep that does not pay: as masked */
            for (size_t i = 0; i < n; i++) data_of(x->l)[i] = x->l->keep[i] ? x->before[i] : 0;
            x->chosen = x->by_magnitude;
        }
        skv_note(ctx, "layer '%s': the mask by magnitude is the better one here", x->l->node->name);
    }
    skv_free(ctx, chosen);
    return status;
}

static skive_status refit(skv_pruning *p, layer *layers) {
    for (size_t i = 0; i < p->n; i++) {
        layer *x = &layers[i];
        if (x->before) {
            SKV_TRY(do_layer(x, true, &x->chosen));
            continue;
        }
        for (int64_t k = 0; k < x->l->n; k++) data_of(x->l)[k] = x->l->keep[k] ? data_of(x->l)[k] : 0;
    }
    return SKIVE_OK;
}

static skive_status open_layers(skv_pruning *p, layer *layers) {
    for (size_t i = 0; i < p->n; i++) {
        layer *x = &layers[i];
        *x = (layer){.p = p, .l = &p->layers[i], .damping = skv_option_real(&p->criterion_options, "damping")};
        if (x->l->numbers[0].n == 0 || !skv_rows_of(x->l, &x->rows)) {
            skv_note(p->ctx,
                     "the inputs of '%s' cannot be looked at: its weights count by their squares and are not "
                     "fitted",
                     x->l->node->name);
            continue;
        }
        SKV_TRY(skv_alloc_array(p->ctx, (size_t)x->l->n + 1, sizeof(float), &x->before));
        memcpy(x->before, data_of(x->l), (size_t)x->l->n * sizeof(float));
    }
    return SKIVE_OK;
}

static skive_status in_rounds(skv_pruning *p, double progress, layer *layers) {
    const bool at_once = p->o->threshold > 0 || p->o->threshold_std > 0 || p->granularity->stay;
    const int64_t rounds = at_once ? 1 : skv_option_integer(&p->criterion_options, "rounds");
    SKV_TRY(skv_prune_look(p));
    SKV_TRY(open_layers(p, layers));
    for (int64_t k = 1; k <= rounds; k++) {
        p->part = (double)k / (double)rounds;
        SKV_TRY(skv_prune_choose_seen(p, progress, 0));
        SKV_TRY(refit(p, layers));
    }
    for (size_t i = 0; i < p->n; i++)
        if (layers[i].before) SKV_TRY(compare(&layers[i]));
    return SKIVE_OK;
}

skive_status skv_prune_refit(skv_pruning *p, double progress) {
    layer *layers = NULL;
    SKV_TRY(skv_alloc_array(p->ctx, p->n + 1, sizeof *layers, &layers));
    const skive_status status = in_rounds(p, progress, layers);
    p->part = 0;
    for (size_t i = 0; i < p->n; i++) skv_free(p->ctx, layers[i].before);
    skv_free(p->ctx, layers);
    return status;
}

skive_status skv_prune_fit(skv_pruning *p, skv_prunable *l, double damping, double errors[2], bool *fits) {
    layer x = {.p = p, .l = l, .damping = damping};
    *fits = l->value->storage && l->numbers[0].n > 0 && skv_rows_of(l, &x.rows);
    if (!*fits) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)l->n + 1, sizeof(float), &x.before));
    memcpy(x.before, data_of(l), (size_t)l->n * sizeof(float));
    skive_status status = do_layer(&x, false, &errors[0]);
    if (status == SKIVE_OK) status = do_layer(&x, true, &errors[1]);
    skv_free(p->ctx, x.before);
    return status;
}
