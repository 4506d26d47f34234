/* inq: of weights. Incremental network quantization (Zhou et al. 2017): the largest half of the weights becomes powers
 * of two and stays, the others are trained on; then three quarters, seven eighths, and at last all. With b bits the
 * levels of a weight are 0 and +-2^n2 to +-2^n1, n1 = floor(log2(4/3 max|w|)), n2 = n1 + 1 - 2^(b-2). It needs no
 * nodes: the rule "inq" holds for the parameter, and a watcher moves it on. The model that comes out has a codebook of
 * these numbers, in float32. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/qat.h"

enum { PHASES = 4 };
static const double share_of[PHASES] = {0.5, 0.75, 0.875, 1}; /* of the weights */
static const double begins[PHASES] = {0, 0.3, 0.6, 0.85};     /* of the training */

static const skv_option options[] = {
    {.name = "bits",
     .type = SKV_OPTION_INTEGER,
     .least = 3,
     .most = 7,
     .fallback = 5,
     .brief = "bits of a weight: 0 and powers of two"},
};

/* ---- the levels ---- */

static void levels_of(skv_incremental *q) {
    const float most = skv_grid_largest(q->param->weight, q->param->n);
    q->high = most > 0 ? (int32_t)floor(log2(4 * (double)most / 3)) : 0;
    q->low = q->high + 1 - (1 << (q->bits - 2));
}

/* The nearest level; halfway between two powers of two the larger. */
static float nearest_power(const skv_incremental *q, float x) {
    const float size = fabsf(x), least = ldexpf(1, q->low);
    if (size < least / 2) return 0;
    int exponent;
    const float fraction = frexpf(size, &exponent); /* size = fraction * 2^exponent, fraction in [1/2, 1) */
    exponent += fraction >= 0.75f ? 0 : -1;
    exponent = exponent < q->low ? q->low : exponent > q->high ? q->high : exponent;
    return copysignf(ldexpf(1, exponent), x);
}

static int larger_first(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* The largest weights become levels until `share` of all are. */
static skive_status take(skive_context *ctx, skv_incremental *q, double share) {
    skv_param *p = q->param;
    float *size = NULL;
    int64_t n = 0;
    int64_t wanted = (int64_t)ceil(share * (double)p->n);
    SKV_TRY(skv_alloc_array(ctx, (size_t)p->n + 1, sizeof *size, &size));
    for (int64_t i = 0; i < p->n; i++) {
        wanted -= q->fixed[i] != 0;
        if (!q->fixed[i]) size[n++] = fabsf(p->weight[i]);
    }
    if (n > 0 && wanted > 0) {
        qsort(size, (size_t)n, sizeof *size, larger_first);
        const float limit = size[(wanted < n ? wanted : n) - 1];
        for (int64_t i = 0; i < p->n; i++) {
            if (q->fixed[i] || fabsf(p->weight[i]) < limit) continue;
            q->fixed[i] = 1;
            q->value[i] = nearest_power(q, p->weight[i]);
            p->weight[i] = q->value[i];
        }
    }
    skv_free(ctx, size);
    return skv_param_show(p);
}

/* ---- the rule ---- */

static skive_status bind(const skv_rule_site *at, skv_param *p, void **self) {
    skv_incremental *q = (skv_incremental *)at->use->given;
    SKV_TRY(skv_alloc_array(at->ctx, (size_t)p->n + 1, 1, &q->fixed));
    *self = q;
    SKV_TRY(skv_alloc_array(at->ctx, (size_t)p->n + 1, sizeof *q->value, &q->value));
    q->param = p;
    p->decay = 0;
    levels_of(q);
    q->phase = 0;
    return take(at->ctx, q, share_of[0]);
}

static void unbind(skive_context *ctx, void *self) {
    skv_incremental *q = self;
    if (!q) return;
    skv_free(ctx, q->fixed);
    skv_free(ctx, q->value);
    q->fixed = NULL;
    q->value = NULL;
    q->param = NULL;
}

static void after(void *self, skv_param *p, const skv_step *s) {
    const skv_incremental *q = self;
    (void)s;
    for (int64_t i = 0; i < p->n; i++)
        if (q->fixed[i]) p->weight[i] = q->value[i];
}

static skive_status states(void *self, const skv_param *p, skv_states *s) {
    skv_incremental *q = self;
    SKV_TRY(skv_state(s, p->value->name, "inq fixed", q->fixed, (size_t)p->n, 1));
    SKV_TRY(skv_state(s, p->value->name, "inq values", q->value, (size_t)p->n, sizeof(float)));
    return skv_state(s, p->value->name, "inq phase", &q->phase, 1, sizeof q->phase);
}

/* Of what is trained; another rule may make it smaller, or zero. */
static bool holds(const void *self, const skv_param *p) {
    const skv_incremental *q = self;
    for (int64_t i = 0; i < p->n; i++)
        if (q->fixed[i] && !(fabsf(p->weight[i]) <= fabsf(q->value[i]))) return false;
    return true;
}

static uint64_t key(const skv_rule_use *use) { return (uint64_t)((const skv_incremental *)use->given)->bits; }

const skv_rule skv_rule_inq = {
    .name = "inq",
    .brief = "ever more weights are powers of two and stay",
    .bind = bind,
    .unbind = unbind,
    .after = after,
    .states = states,
    .holds = holds,
    .key = key,
    .of_trained = true,
    .knows_numbers = true,
};

/* ---- the watcher ---- */

static double progress(const skv_watch *w) {
    return (double)w->steps / ((double)w->epochs * (double)(w->batches ? w->batches : 1));
}

static skive_status step(void *self, const skv_watch *w) {
    skv_qat_plan *p = self;
    for (size_t i = 0; i < p->n_incremental; i++) {
        skv_incremental *q = &p->incremental[i];
        while (q->param && q->phase + 1 < PHASES && progress(w) >= begins[q->phase + 1])
            SKV_TRY(take(p->ctx, q, share_of[++q->phase]));
    }
    return SKIVE_OK;
}

/* An epoch counts when all weights are powers of two. */
static skive_status epoch(void *self, const skv_watch *w, bool *counts, bool *stop) {
    const skv_qat_plan *p = self;
    (void)w, (void)stop;
    for (size_t i = 0; i < p->n_incremental; i++)
        if (p->incremental[i].phase + 1 < PHASES) *counts = false;
    return SKIVE_OK;
}

/* All at once, as the rule ends. */
static void round_all(const skv_option_values *values, float *x, int64_t n) {
    skv_param p = {.weight = x, .n = n};
    skv_incremental q = {.bits = (int)skv_option_integer(values, "bits"), .param = &p};
    levels_of(&q);
    for (int64_t i = 0; i < n; i++) x[i] = nearest_power(&q, x[i]);
}

static skv_watcher watcher(skv_qat_plan *p) {
    return (skv_watcher){.name = "inq", .needs_length = true, .step = step, .epoch = epoch, .self = p};
}

/* ---- the method ---- */

static const char *refuses(const skv_quantizer *q, bool weight) {
    (void)weight;
    return q->grid == &skv_grid_log2 ? NULL : "its levels are powers of two; use log2";
}

const skv_qat_method skv_qat_method_inq = {
    .name = "inq",
    .brief = "ever more weights become powers of two and stay (INQ), activations float",
    SKV_OPTIONS(options),
    .weights = true,
    .any_bits = true,
    .one_scale = true,
    .codebook = true,
    .float_activations = true,
    .refuses = refuses,
    .round = round_all,
    .rule = "inq",
    .watcher = watcher,
};
