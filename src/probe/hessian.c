/* Products of the Hessian of the loss with a vector, by the difference of two gradients:
 *     H v = (g(w + e v) - g(w - e v)) / 2e,   an error of e^2 (Pearlmutter 1994 gives the exact form; LeCun, Simard &
 * Pearlmutter 1993 this one). The step is e |v| = |w| / 256, between the error of the difference and that of float32.
 * */
#include <math.h>
#include <string.h>

#include "probe/hessian.h"

typedef struct hessian {
    skive_context *ctx;
    const skv_hessian_setup *s;
    skv_probe_item *items;
    skv_probe *probe;
    float **weights; /* [n] as they were */
    double step;
} hessian;

static double norm(const float *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

static skive_status open(hessian *h) {
    const skv_hessian_setup *s = h->s;
    SKV_TRY(skv_alloc_array(h->ctx, s->n + 1, sizeof *h->items, &h->items));
    SKV_TRY(skv_alloc_array(h->ctx, s->n + 1, sizeof *h->weights, &h->weights));
    for (size_t i = 0; i < s->n; i++)
        h->items[i] = (skv_probe_item){.value = s->parameters[i],
                                       .of = SKV_OF_GRADIENT,
                                       .axis = SKV_BY_ELEMENT,
                                       .reducer = skv_reducer_find("sum")};
    skv_probe_setup setup = s->probe;
    setup.items = h->items;
    setup.n_items = s->n;
    setup.own_parameters = true;
    return skv_probe_open(h->ctx, &setup, &h->probe);
}

/* Keeps the weights, and chooses the step: a power of two, so that e v has the digits of v. */
static skive_status keep_weights(hessian *h) {
    double w = 0, v = 0;
    for (size_t i = 0; i < h->s->n; i++) {
        int64_t n;
        const float *x = skv_probe_parameter(h->probe, h->s->parameters[i], &n);
        SKV_TRY(skv_alloc_array(h->ctx, (size_t)n, sizeof **h->weights, &h->weights[i]));
        memcpy(h->weights[i], x, (size_t)n * sizeof *x);
        w = hypot(w, norm(x, n));
        v = hypot(v, norm(h->s->vector[i], n));
    }
    h->step = h->s->step;
    if (h->step > 0 || !(v > 0)) return SKIVE_OK;
    h->step = exp2(floor(log2((w > 0 ? w : 1) / v / 256)));
    return SKIVE_OK;
}

/* Adds sign times the gradient at w + sign e v to out, for all runs. */
static skive_status one_side(hessian *h, double sign, double **out) {
    const skv_hessian_setup *s = h->s;
    int64_t runs = 0;
    for (size_t i = 0; i < s->n; i++) {
        int64_t n;
        float *x = skv_probe_parameter(h->probe, s->parameters[i], &n);
        for (int64_t k = 0; k < n; k++)
            x[k] = (float)((double)h->weights[i][k] + sign * h->step * (double)s->vector[i][k]);
    }
    SKV_TRY(skv_probe_renew(h->probe));
    SKV_TRY(skv_probe_run(h->probe, &s->pass, &runs));
    if (runs < 1) return SKV_FAIL(h->ctx, SKIVE_ERR_DATA, "there are no samples to take a gradient of");
    for (size_t i = 0; i < s->n; i++) {
        double *g;
        size_t n;
        SKV_TRY(skv_probe_result(h->probe, i, &g, &n, NULL));
        for (size_t k = 0; k < n; k++) out[i][k] += h->step > 0 ? sign * g[k] / (2 * h->step * (double)runs) : 0;
        skv_free(h->ctx, g);
    }
    return SKIVE_OK;
}

skive_status skv_hessian_vector(skive_context *ctx, const skv_hessian_setup *s, double **out) {
    hessian h = {.ctx = ctx, .s = s};
    skive_status status;
    SKV_GO(status, done, open(&h));
    SKV_GO(status, done, keep_weights(&h));
    for (size_t i = 0; i < s->n; i++) {
        int64_t n;
        (void)skv_probe_parameter(h.probe, s->parameters[i], &n);
        memset(out[i], 0, (size_t)n * sizeof **out);
    }
    SKV_GO(status, done, one_side(&h, 1, out));
    status = one_side(&h, -1, out);
done:
    skv_probe_free(h.probe);
    for (size_t i = 0; h.weights && i < s->n; i++) skv_free(ctx, h.weights[i]);
    skv_free(ctx, h.weights);
    skv_free(ctx, h.items);
    return status;
}
