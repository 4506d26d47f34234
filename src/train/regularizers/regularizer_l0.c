/* l0:LAMBDA. L0 regularization by hard-concrete gates (Louizos, Welling & Kingma 2018). The model computes with weights
 * times gates, one gate a channel (or weight), drawn anew for each step from a distribution that has mass at exactly 0;
 * its parameter is trained with the weights, by the loss and by LAMBDA times the number of weights that are not zero,
 * as it is expected. Validated and written are weights times the gates' means, of which many are exactly zero. A gate
 * multiplies what makes its channel; behind a normalisation, which would divide by it, that is scale and shift. The
 * gates are trained by Adam at a rate of their own. */
#include <math.h>

#include "train/regularizer.h"

/* The paper's temperature, and the ends to which the sigmoid is stretched. */
static const double beta = 2.0 / 3, low = -0.1, high = 1.1;

static const skv_option options[] = {
    {.name = "lambda",
     .type = SKV_OPTION_REAL,
     .most = 1e6,
     .required = true,
     .brief = "weight of the expected number of weights that are not zero"},
    SKV_REGULARIZER_OF("channel"),
    {.name = "closed",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .above = true,
     .below = true,
     .fallback = 0.1,
     .brief = "chance of a gate to be below one half at the start"},
    {.name = "rate",
     .type = SKV_OPTION_REAL,
     .most = 10,
     .above = true,
     .fallback = 0.1,
     .brief = "learning rate of the gates, relative to the largest of the run"},
};

typedef struct gates {
    double *place, *mean, *square; /* [n] log alpha, and Adam's numbers */
    float *gate;                   /* [n] what the model computes with */
    int64_t drawn;                 /* for which update */
} gates;

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double stretched(double s) { return s * (high - low) + low; }
static double clamped(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

/* The sigmoid from which gate i of an update is made. */
static double drawn(const skv_regularizing *r, size_t i, int64_t update) {
    const gates *g = r->self;
    const double u =
        skv_rng_uniform(skv_trainer_options(r->trainer)->seed ^ 0x4c30, (uint64_t)update, (uint64_t)i) * 0.999 + 0.0005;
    return sigmoid((log(u) - log1p(-u) + g->place[i]) / beta);
}

/* seen[], a copy of the weights, becomes weight times gate; closed channels vanish with all their slices when `all`. */
static void show_gate(const skv_regularizing *r, size_t i, float gate, bool all) {
    skv_unit_slice room;
    size_t n;
    const skv_unit_slice *s = skv_unit_slices(r->units, i, &room, &n);
    for (size_t k = 0; k < n; k++) {
        float *x = s[k].param->seen;
        if (!s[k].makes && !(all && gate == 0)) continue;
        SKV_EACH_ELEMENT(&s[k], e) x[e] = gate == 0 ? 0.0f : x[e] * gate;
    }
}

static void show(skv_regularizing *r, bool on, int64_t update) {
    gates *g = r->self;
    for (size_t i = 0; i < r->units->n; i++) {
        g->gate[i] = (float)clamped(stretched(on ? sigmoid(g->place[i]) : drawn(r, i, update)));
        show_gate(r, i, g->gate[i], on);
    }
    g->drawn = update;
}

static skive_status detach_all(skv_regularizing *r) {
    for (size_t i = 0; i < r->units->n; i++) {
        skv_unit_slice room;
        size_t n;
        const skv_unit_slice *s = skv_unit_slices(r->units, i, &room, &n);
        for (size_t k = 0; k < n; k++) SKV_TRY(skv_param_detach(r->ctx, s[k].param));
    }
    return SKIVE_OK;
}

static skive_status check(skv_regularizing *r) {
    const skive_train_options *o = skv_trainer_options(r->trainer);
    for (size_t i = 0; i < skv_trainer_param_count(r->trainer); i++) {
        const skv_param *p = skv_trainer_param(r->trainer, i);
        if (!skv_param_is_detached(p)) continue;
        return skv_fail_at(r->ctx, SKIVE_ERR_ARGUMENT, p->value->name,
                           "l0: the model already computes '%s' from other numbers than those that are trained (rule "
                           "'%s'), so that it can have no gates",
                           p->value->name, p->n_rules ? p->rules[p->n_rules - 1].rule->name : "");
    }
    if (o->ema <= 0 && !o->swa) return SKIVE_OK;
    return skv_fail_at(r->ctx, SKIVE_ERR_ARGUMENT, "regularize",
                       "l0 cannot be combined with averages of the weights (ema, swa): gates are not averaged");
}

static skive_status start(skv_regularizing *r) {
    const double closed = skv_option_real(&r->values, "closed");
    gates *g = NULL;
    SKV_TRY(check(r));
    SKV_TRY(skv_alloc_array(r->ctx, 1, sizeof *g, &g));
    r->self = g;
    SKV_TRY(skv_alloc_array(r->ctx, r->units->n + 1, sizeof *g->place, &g->place));
    SKV_TRY(skv_alloc_array(r->ctx, r->units->n + 1, sizeof *g->mean, &g->mean));
    SKV_TRY(skv_alloc_array(r->ctx, r->units->n + 1, sizeof *g->square, &g->square));
    SKV_TRY(skv_alloc_array(r->ctx, r->units->n + 1, sizeof *g->gate, &g->gate));
    for (size_t i = 0; i < r->units->n; i++) g->place[i] = log((1 - closed) / closed);
    return detach_all(r);
}

static void end(skv_regularizing *r) {
    gates *g = r->self;
    if (g) {
        skv_free(r->ctx, g->place);
        skv_free(r->ctx, g->mean);
        skv_free(r->ctx, g->square);
        skv_free(r->ctx, g->gate);
    }
    skv_free(r->ctx, g);
}

/* The loss's derivative by a gate is the sum of gradient times weight over what it multiplies; the weights' own
 * gradient is that of what the model sees times the gate. */
static double through_gate(const skv_regularizing *r, size_t i) {
    const float gate = ((const gates *)r->self)->gate[i];
    skv_unit_slice room;
    size_t n;
    double sum = 0;
    const skv_unit_slice *s = skv_unit_slices(r->units, i, &room, &n);
    for (size_t k = 0; k < n; k++) {
        const skv_param *p = s[k].param;
        if (!s[k].makes || p->held) continue;
        SKV_EACH_ELEMENT(&s[k], e) {
            sum += (double)p->gradient[e] * (double)p->weight[e];
            p->gradient[e] *= gate;
        }
    }
    return sum;
}

static void gradient(skv_regularizing *r, const skv_step *step) {
    gates *g = r->self;
    const double lambda = skv_option_real(&r->values, "lambda"), at_zero = beta * log(-low / high);
    const double rate = skv_option_real(&r->values, "rate") * step->rate / step->options->learning_rate;
    for (size_t i = 0; i < r->units->n; i++) {
        const double s = drawn(r, i, g->drawn), x = stretched(s), open = sigmoid(g->place[i] - at_zero);
        double d = through_gate(r, i);
        d = x > 0 && x < 1 ? d * (high - low) * s * (1 - s) / beta : 0;
        d += lambda * (double)skv_unit_size(r->units, i) * open * (1 - open);
        const double t = (double)step->number;
        g->mean[i] = 0.9 * g->mean[i] + 0.1 * d;
        g->square[i] = 0.999 * g->square[i] + 0.001 * d * d;
        g->place[i] -= rate * g->mean[i] / (1 - pow(0.9, t)) / (sqrt(g->square[i] / (1 - pow(0.999, t))) + 1e-12);
    }
}

static skive_status states(skv_regularizing *r, skv_states *s) {
    gates *g = r->self;
    SKV_TRY(skv_state(s, "regularize l0", "places", g->place, r->units->n, sizeof *g->place));
    SKV_TRY(skv_state(s, "regularize l0", "means", g->mean, r->units->n, sizeof *g->mean));
    return skv_state(s, "regularize l0", "squares", g->square, r->units->n, sizeof *g->square);
}

const skv_regularizer skv_regularizer_l0 = {
    .name = "l0",
    .brief = "penalty of the number of channels or weights that are not zero, by random gates that are trained",
    SKV_OPTIONS(options),
    .units = SKV_UNITS_BY_OPTION,
    .start = start,
    .end = end,
    .gradient = gradient,
    .show = show,
    .states = states,
    .example = "0.0001",
};
