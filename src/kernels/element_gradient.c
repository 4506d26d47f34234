/* Gradients of activations of one f32 element, from the gradient dY and the argument X, in any layout and in place:
 * Clip, HardSwish, LeakyRelu and Gelu in both its forms. */
#include <math.h>
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/unary.h"

enum { PARALLEL_FROM = 1 << 14, CHUNK = 512 };

typedef enum gradient_kind { CLIP, HARD_SWISH, LEAKY_RELU, GELU, GELU_TANH } gradient_kind;

typedef struct gradient_state {
    gradient_kind kind;
    skv_unary_loop *loop;
    float alpha;
    int64_t count; /* stored elements, padding included: its dY is zero, and so is the result */
    int threads;
} gradient_state;

static const struct {
    skv_op_kind op;
    gradient_kind kind;
} kinds[] = {{SKV_OP_CLIP_GRAD, CLIP},
             {SKV_OP_HARD_SWISH_GRAD, HARD_SWISH},
             {SKV_OP_LEAKY_RELU_GRAD, LEAKY_RELU},
             {SKV_OP_GELU_GRAD, GELU}};

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = 0; i < n->n_in; i++) {
        if (i >= 2 && n->in[i].absent) continue;
        if (n->in[i].absent || n->in[i].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
        if (i < 2 && !skv_type_same_static(&n->in[i].type, &n->out[0].type))
            return skv_decline(why, "operands of different shapes");
        if (i < 2 && n->in[i].is_parameter) return skv_decline(why, "an operand is a parameter");
    }
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    gradient_state *st = NULL;
    size_t bytes;
    skv_kernel_follow_layout(n);
    for (size_t i = 2; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN; /* the limits of Clip */
    if (!skv_layout_bytes(&n->out[0].type, n->out[0].layout, &bytes))
        return SKV_FAIL(n->ctx, SKIVE_ERR_LIMIT, "too large");
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    for (size_t i = 0; i < SKV_COUNT(kinds); i++)
        if (skv_node_is(n->node, kinds[i].op)) st->kind = kinds[i].kind;
    if (st->kind == GELU && strcmp(skv_attr_string(n->node, "approximate", "none"), "tanh") == 0) st->kind = GELU_TANH;
    st->loop = skv_unary_loop_of(skv_cpu_isa());
    st->alpha = (float)skv_attr_float(n->node, "alpha", 0.01);
    st->count = (int64_t)(bytes / sizeof(float));
    st->threads = st->count < PARALLEL_FROM ? 1 : n->threads;
    n->state = st;
    n->in_place = 3u;
    return SKIVE_OK;
}

/* The loops read both operands before the choice, or the compiler would branch instead. The result may lie on an operand,
 * element on element, which `omp simd` allows. */
static void clip(const float *g, const float *x, float low, float high, float *y, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float v = g[i], at = x[i];
        y[i] = ((at >= low) & (at <= high)) ? v : 0.0f;
    }
}
static void hard_swish(const float *g, const float *x, float *y, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float v = g[i], at = x[i], between = v * (at * (1 / 3.0f) + 0.5f), above = at >= 3 ? v : between;
        y[i] = at <= -3 ? 0.0f : above;
    }
}
static void leaky_relu(const float *g, const float *x, float alpha, float *y, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float v = g[i], at = x[i], below = v * alpha;
        y[i] = at < 0 ? below : v;
    }
}

/* The distribution function of x and x times its density. */
static void gelu(skv_unary_loop *loop, const float *g, const float *x, float *y, int64_t n) {
    float a[CHUNK] = {0}, b[CHUNK] = {0}; /* gcc does not see that n numbers are set */
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        a[i] = x[i] * (float)M_SQRT1_2;
        b[i] = -0.5f * x[i] * x[i];
    }
    loop(SKV_PW_ERF, 0, 0, a, a, n);
    loop(SKV_PW_EXP, 0, 0, b, b, n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = g[i] * (0.5f + 0.5f * a[i] + x[i] * b[i] * (float)(0.5 * M_SQRT1_2 * M_2_SQRTPI));
}
static void gelu_tanh(skv_unary_loop *loop, const float *g, const float *x, float *y, int64_t n) {
    const float root = (float)(M_SQRT2 * 0.5 * M_2_SQRTPI), cube = 0.044715f; /* root: sqrt(2 / pi) */
    float a[CHUNK] = {0};
#pragma omp simd
    for (int64_t i = 0; i < n; i++) a[i] = root * (x[i] + cube * x[i] * x[i] * x[i]);
    loop(SKV_PW_TANH, 0, 0, a, a, n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float slope = root * (1 + 3 * cube * x[i] * x[i]);
        y[i] = g[i] * (0.5f * (1 + a[i]) + 0.5f * x[i] * (1 - a[i] * a[i]) * slope);
    }
}

static void piece(const skv_kernel_call *c, const gradient_state *st, int64_t first, int64_t n) {
    const float *g = (const float *)c->in[0] + first, *x = (const float *)c->in[1] + first;
    float *y = (float *)c->out[0] + first;
    switch (st->kind) {
    case CLIP: {
        const float *low = c->n->n_in > 2 ? c->in[2] : NULL, *high = c->n->n_in > 3 ? c->in[3] : NULL;
        clip(g, x, low ? *low : -INFINITY, high ? *high : INFINITY, y, n);
        break;
    }
    case HARD_SWISH: hard_swish(g, x, y, n); break;
    case LEAKY_RELU: leaky_relu(g, x, st->alpha, y, n); break;
    case GELU:
    case GELU_TANH:
        for (int64_t i = 0; i < n; i += CHUNK)
            (st->kind == GELU ? gelu : gelu_tanh)(st->loop, g + i, x + i, y + i, n - i < CHUNK ? n - i : CHUNK);
        break;
    }
}

static skive_status run(const skv_kernel_call *c) {
    const gradient_state *st = c->n->state;
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int t = 0; t < threads; t++) {
        const int64_t first = st->count * t / threads, last = st->count * (t + 1) / threads;
        piece(c, st, first, last - first);
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_CLIP_GRAD, SKV_OP_HARD_SWISH_GRAD, SKV_OP_LEAKY_RELU_GRAD, SKV_OP_GELU_GRAD,
                                  SKV_OP_NONE};

const skv_kernel skv_kernel_element_gradient_f32 = {
    .name = "element_gradient_f32",
    .brief = "gradients of Clip, HardSwish, LeakyRelu and Gelu, in any layout and in place",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
