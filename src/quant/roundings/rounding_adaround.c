/* AdaRound (Nagel, Amjad, van Baalen, Louizos & Blankevoort 2020): whether each weight is rounded up or down is
 * learned, so that the layer's outputs behind the quantized layers before it come near those of the float model. With
 * h = clip(1.2 sigmoid(v) - 0.1, 0, 1) a weight is scale * clip(floor(w / scale) + h); Adam minimises the squared error
 * of the outputs, behind the activation function, plus the sum of 1 - |2 h - 1|^beta, which pushes each h to 0 or 1. It
 * sets in after a fifth of the iterations, while beta falls from 20 to 2. */
#include <math.h>
#include <string.h>

#include "kernels/sgemm.h"
#include "quant/rounding.h"

#define STRETCH    1.2f
#define BELOW      0.1f
#define WARM_UP    0.2
#define FIRST_BETA 20.0
#define LAST_BETA  2.0

static const skv_option options[] = {
    {.name = "iterations",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 1e7,
     .fallback = 1000,
     .brief = "steps of Adam for each layer"},
    {.name = "rate",
     .type = SKV_OPTION_REAL,
     .least = 0,
     .most = 10,
     .above = true,
     .fallback = 0.01,
     .brief = "learning rate"},
    {.name = "regularization",
     .type = SKV_OPTION_REAL,
     .least = 0,
     .most = 1e6,
     .fallback = 1,
     .brief = "weight of the term that makes decisions final; 1: as much as the nearest codes lose"},
    {.name = "rows",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 65536,
     .fallback = 128,
     .brief = "positions of the outputs in a step"},
};

typedef struct ada {
    const skv_rounding_task *t;
    int64_t size; /* out * k */
    int64_t batch;
    float *down;           /* [size] the code below, without a limit */
    float *v, *m1, *m2;    /* [size] */
    float *w, *gradient;   /* [size] the soft weights, and the gradient by them */
    float *x, *y, *wanted; /* [batch][k], [batch][out] twice */
    void *scratch;
    double each; /* what makes the nearest codes' error 1 for each weight */
} ada;

static float sigmoid(float v) { return 1 / (1 + expf(-v)); }

static float soft(float v) {
    const float h = STRETCH * sigmoid(v) - BELOW;
    return h < 0 ? 0 : h > 1 ? 1 : h;
}

static void start(ada *a) {
    const skv_rounding_task *t = a->t;
    for (int64_t i = 0; i < a->size; i++) {
        const skv_grid_params *p = skv_task_params(t, i);
        const float at = t->w[i] / p->scale + (float)p->zero_point;
        a->down[i] = floorf(at);
        float part = at - a->down[i];
        part = part < 0.01f ? 0.01f : part > 0.99f ? 0.99f : part;
        a->v[i] = -logf(STRETCH / (part + BELOW) - 1);
    }
}

/* The soft weights, or with `write` the codes that have been decided on. */
static void set_weights(const ada *a, bool write) {
    const skv_rounding_task *t = a->t;
    const float low = (float)t->grid->q.low, high = (float)t->grid->q.high;
#pragma omp parallel for num_threads(skv_threads(t->ctx)) schedule(static)
    for (int64_t i = 0; i < a->size; i++) {
        const skv_grid_params *p = skv_task_params(t, i);
        const float h = soft(a->v[i]);
        float code = a->down[i] + (write ? (h >= 0.5f ? 1.0f : 0.0f) : h);
        code = code < low ? low : code > high ? high : code;
        if (write)
            t->code[i] = (int32_t)code;
        else
            a->w[i] = (code - (float)p->zero_point) * p->scale;
    }
}

/* The rows of a step, and the gradient of the mean squared error by the outputs, in y. */
static void forward(ada *a, int64_t step, int threads) {
    const skv_rounding_task *t = a->t;
    const float low = (float)t->low, high = (float)t->high;
    for (int64_t r = 0; r < a->batch; r++) {
        const int64_t at = (int64_t)skv_rng_below(t->stream, (uint64_t)step, (uint64_t)r, (uint64_t)t->n);
        memcpy(a->x + r * t->k, t->x + at * t->k, (size_t)t->k * sizeof(float));
        memcpy(a->wanted + r * t->out, t->target + at * t->out, (size_t)t->out * sizeof(float));
    }
    const skv_sgemm g = {.trans_b = true,
                         .m = a->batch,
                         .n = t->out,
                         .k = t->k,
                         .a = a->x,
                         .lda = t->k,
                         .b = a->w,
                         .ldb = t->k,
                         .c = a->y,
                         .ldc = t->out,
                         .alpha = 1};
    skv_sgemm_run(&g, threads, a->scratch);
    for (int64_t r = 0; r < a->batch; r++) {
        float *y = a->y + r * t->out, *want = a->wanted + r * t->out;
        for (int64_t o = 0; o < t->out; o++) {
            const float is = y[o] + t->bias[o];
            const float cut = is < low ? low : is > high ? high : is;
            const float goal = want[o] < low ? low : want[o] > high ? high : want[o];
            /* Where the cut hides an output nothing moves it, unless it should not be hidden. */
            const bool hidden = cut != is && goal == cut;
            y[o] = hidden ? 0 : 2 * (cut - goal) / (float)a->batch;
        }
    }
    const skv_sgemm back = {.trans_a = true,
                            .m = t->out,
                            .n = t->k,
                            .k = a->batch,
                            .a = a->y,
                            .lda = t->out,
                            .b = a->x,
                            .ldb = t->k,
                            .c = a->gradient,
                            .ldc = t->k,
                            .alpha = 1};
    skv_sgemm_run(&back, threads, a->scratch);
}

/* The derivative of 1 - |2 h - 1|^beta by h. */
static float pushed(float h, float beta) {
    const float d = 2 * h - 1, m = fabsf(d);
    if (!(m > 1e-6f)) return 0;
    return -2 * beta * expf((beta - 1) * logf(m)) * (d > 0 ? 1.0f : -1.0f);
}

static void adam(ada *a, int64_t step, float rate, float weight, float beta) {
    const skv_rounding_task *t = a->t;
    const float low = (float)t->grid->q.low, high = (float)t->grid->q.high;
    const float fade1 = (float)(1 - pow(0.9, (double)step + 1)), fade2 = (float)(1 - pow(0.999, (double)step + 1));
    const float each = (float)a->each;
#pragma omp parallel for num_threads(skv_threads(t->ctx)) schedule(static)
    for (int64_t i = 0; i < a->size; i++) {
        const float s = sigmoid(a->v[i]), h = STRETCH * s - BELOW;
        if (h <= 0 || h >= 1) { /* decided, and without a gradient */
            a->m1[i] *= 0.9f;
            a->m2[i] *= 0.999f;
        } else {
            const float code = a->down[i] + h;
            const bool free = code >= low && code <= high;
            float by_h = free ? a->gradient[i] * skv_task_params(t, i)->scale * each : 0;
            if (weight > 0) by_h += weight * pushed(h, beta);
            const float g = by_h * STRETCH * s * (1 - s);
            a->m1[i] = 0.9f * a->m1[i] + 0.1f * g;
            a->m2[i] = 0.999f * a->m2[i] + 0.001f * g * g;
        }
        a->v[i] -= rate * (a->m1[i] / fade1) / (sqrtf(a->m2[i] / fade2) + 1e-12f);
    }
}

/* The mean squared error of the nearest codes, over all rows: the unit of the learned error. */
static skive_status nearest_error(const ada *a, double *out) {
    const skv_rounding_task *t = a->t;
    float *y = NULL;
    double sum = 0;
    SKV_TRY(skv_alloc_array(t->ctx, (size_t)skv_mul_sat(t->n, t->out), sizeof *y, &y));
    for (int64_t i = 0; i < a->size; i++) a->w[i] = skv_task_decode(t, i, t->code[i]);
    const skive_status status = skv_layer_product(t->ctx, t->n, t->out, t->k, t->x, a->w, t->bias, y);
    for (int64_t i = 0; status == SKIVE_OK && i < t->n * t->out; i++) {
        const double is = fmin(fmax((double)y[i], t->low), t->high);
        const double want = fmin(fmax((double)t->target[i], t->low), t->high);
        sum += (is - want) * (is - want);
    }
    *out = sum / (double)t->n;
    skv_free(t->ctx, y);
    return status;
}

static skive_status learn(ada *a) {
    const skv_rounding_task *t = a->t;
    const int64_t steps = skv_option_integer(t->values, "iterations");
    const float rate = (float)skv_option_real(t->values, "rate");
    const float weight = (float)skv_option_real(t->values, "regularization");
    const int threads = skv_threads(t->ctx);
    double error;
    SKV_TRY(nearest_error(a, &error));
    if (!(error > 0)) return SKIVE_OK; /* nothing to gain */
    a->each = (double)a->size / error;
    start(a);
    for (int64_t i = 0; i < steps; i++) {
        const double part = (double)i / (double)steps, rest = (part - WARM_UP) / (1 - WARM_UP);
        const double beta = LAST_BETA + (FIRST_BETA - LAST_BETA) * (1 + cos(3.14159265358979 * rest)) / 2;
        set_weights(a, false);
        forward(a, i, threads);
        adam(a, i, rate, rest < 0 ? 0 : weight, (float)beta);
        if (i % 32 == 0) SKV_TRY(skv_check_interrupt(t->ctx));
    }
    set_weights(a, true);
    return SKIVE_OK;
}

static skive_status run(const skv_rounding_task *t) {
    ada a = {.t = t, .size = t->out * t->k, .batch = skv_option_integer(t->values, "rows")};
    float **const by_weight[] = {&a.down, &a.v, &a.m1, &a.m2, &a.w, &a.gradient};
    skive_status status = SKIVE_OK;
    if (a.batch > t->n) a.batch = t->n;
    for (size_t i = 0; i < SKV_COUNT(by_weight); i++)
        SKV_GO(status, done, skv_alloc_array(t->ctx, (size_t)a.size + 16, sizeof(float), by_weight[i]));
    SKV_GO(status, done, skv_alloc_array(t->ctx, (size_t)skv_mul_sat(a.batch, t->k) + 16, sizeof(float), &a.x));
    SKV_GO(status, done, skv_alloc_array(t->ctx, (size_t)skv_mul_sat(a.batch, t->out) + 16, sizeof(float), &a.y));
    SKV_GO(status, done, skv_alloc_array(t->ctx, (size_t)skv_mul_sat(a.batch, t->out) + 16, sizeof(float), &a.wanted));
    const int64_t wide = t->out > t->k ? t->out : t->k, deep = t->k > a.batch ? t->k : a.batch;
    SKV_GO(status, done, skv_alloc(t->ctx, skv_sgemm_scratch(wide, deep, skv_threads(t->ctx)) + 64, &a.scratch));
    status = learn(&a);
done:
    for (size_t i = 0; i < SKV_COUNT(by_weight); i++) skv_free(t->ctx, *by_weight[i]);
    skv_free(t->ctx, a.x);
    skv_free(t->ctx, a.y);
    skv_free(t->ctx, a.wanted);
    skv_free(t->ctx, a.scratch);
    return status;
}

const skv_rounding skv_rounding_adaround = {
    .name = "adaround",
    .brief = "up or down is learned for each weight, against the float model's outputs",
    SKV_OPTIONS(options),
    .uniform = true,
    .of_floats = true,
    .activation = true,
    .round = run,
};
