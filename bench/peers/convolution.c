/* One convolution in one of four libraries, for bench/libraries.sh (the protocol is in bench/README.md):
 *     convolution C,H,W,FILTERS,KERNEL-H,KERNEL-W,STRIDE,GROUPS f32|int8
 * The window is padded by half of its size; one thread. PEER_SKIVE, PEER_XNNPACK, PEER_LIBXSMM or PEER_ONEDNN says which
 * library is compiled in. Weights are arranged before; input and output are in the layout that the library likes best
 * (skive: the step of the convolution in its plan; XNNPACK: NHWC; oneDNN: any; LIBXSMM: NCHW, windows of one place only,
 * as products of 64 places). int8: bytes in and out, a scale for each filter. */
#include "../protocol.h"

typedef struct shape {
    long c, h, w, m, kh, kw, stride, groups;
    int bytes;
} shape;

static int read_shape(int argc, char **argv, shape *s) {
    long x[8];
    if (argc != 3 || !bench_sizes(argv[1], 8, x) || (strcmp(argv[2], "f32") != 0 && strcmp(argv[2], "int8") != 0))
        return 0;
    *s = (shape){x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], strcmp(argv[2], "int8") == 0};
    return s->c % s->groups == 0 && s->m % s->groups == 0;
}

static inline long out_of(long size, long window, long stride) { return (size + window / 2 * 2 - window) / stride + 1; }

static uint32_t state = 1;
static float number(void) {
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / (float)(1 << 24) - 0.5f;
}

static void *room(size_t bytes) {
    void *p = NULL;
    if (posix_memalign(&p, 64, bytes + 256) != 0) exit(1);
    memset(p, 0, bytes + 256);
    return p;
}

static float *numbers(size_t n) {
    float *x = room(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = number();
    return x;
}

static inline void *bytes(size_t n) {
    int8_t *x = room(n);
    for (size_t i = 0; i < n; i++) x[i] = (int8_t)(number() * 200);
    return x;
}

static skive_status set_up(const shape *s, void **out);
static skive_status one(void *user, double *seconds);

#if defined(PEER_SKIVE)

typedef struct peer {
    skive_plan *plan;
    skive_exec *exec;
} peer;

static skive_status convolution(skive_graph *g, const shape *s, skive_value *x) {
    const int64_t w_dims[] = {s->m, s->c / s->groups, s->kh, s->kw},
                  pads[] = {s->kh / 2, s->kw / 2, s->kh / 2, s->kw / 2}, strides[] = {s->stride, s->stride},
                  filters[] = {s->m};
    const size_t n = (size_t)(s->m * (s->c / s->groups) * s->kh * s->kw);
    skive_value *in[9] = {x};
    skive_node *node = NULL;
    skive_tensor t[8];
    float one_scale = 0.02f, *scales = room((size_t)s->m * sizeof *scales);
    uint8_t zero = 128, *zeros = room((size_t)s->m);
    int32_t *bias = room((size_t)s->m * sizeof *bias);
    skive_status status = SKIVE_OK;
    for (long i = 0; i < s->m; i++) scales[i] = 0.01f;
    const skive_tensor byte_tensors[8] = {{.dtype = SKIVE_F32, .data = &one_scale},
                                          {.dtype = SKIVE_U8, .data = &zero},
                                          {.dtype = SKIVE_I8, .rank = 4, .data = bytes(n)},
                                          {.dtype = SKIVE_F32, .rank = 1, .data = scales},
                                          {.dtype = SKIVE_I8, .rank = 1, .data = zeros},
                                          {.dtype = SKIVE_F32, .data = &one_scale},
                                          {.dtype = SKIVE_U8, .data = &zero},
                                          {.dtype = SKIVE_I32, .rank = 1, .data = bias}};
    const skive_tensor float_tensors[2] = {{.dtype = SKIVE_F32, .rank = 4, .data = numbers(n)},
                                           {.dtype = SKIVE_F32, .rank = 1, .data = numbers((size_t)s->m)}};
    const int n_in = s->bytes ? 8 : 2;
    for (int i = 0; i < n_in && status == SKIVE_OK; i++) {
        t[i] = s->bytes ? byte_tensors[i] : float_tensors[i];
        memcpy(t[i].dims, t[i].rank == 4 ? w_dims : filters, (size_t)t[i].rank * sizeof *filters);
        status = skive_graph_add_parameter(g, NULL, &t[i], &in[i + 1]);
    }
    if (status == SKIVE_OK)
        status = skive_graph_add_node(g, s->bytes ? "QLinearConv" : "Conv", "conv", in, (size_t)n_in + 1, 1, &node);
    if (status == SKIVE_OK) status = skive_node_set_ints(node, "pads", pads, 4);
    if (status == SKIVE_OK) status = skive_node_set_ints(node, "strides", strides, 2);
    if (status == SKIVE_OK) status = skive_node_set_int(node, "group", s->groups);
    return status == SKIVE_OK ? skive_graph_add_output(g, skive_node_output(node, 0)) : status;
}

static skive_status set_up(const shape *s, void **out) {
    peer *p = room(sizeof *p);
    skive_context *ctx = NULL;
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const int64_t dims[] = {1, s->c, s->h, s->w};
    const skive_type type = skive_type_make(s->bytes ? SKIVE_U8 : SKIVE_F32, 4, dims);
    skive_context_options co = skive_context_options_default();
    skive_plan_options o = skive_plan_options_default();
    co.threads = o.threads = 1;
    *out = p;
    skive_status status = skive_context_create(&co, &ctx);
    if (status == SKIVE_OK) status = skive_graph_create(ctx, "conv", &g);
    if (status == SKIVE_OK) status = skive_graph_add_input(g, "x", &type, &x);
    if (status == SKIVE_OK) status = convolution(g, s, x);
    if (status == SKIVE_OK) status = skive_graph_infer(g);
    if (status == SKIVE_OK) status = skive_plan_create(ctx, g, &o, &p->plan);
    if (status == SKIVE_OK) status = skive_exec_create(ctx, p->plan, &p->exec);
    if (status == SKIVE_OK) status = skive_exec_profile(p->exec, true);
    if (status != SKIVE_OK) fprintf(stderr, "convolution: %s\n", ctx ? skive_context_message(ctx) : "no memory");
    return status;
}

/* The time of the convolution's own steps: layouts are changed once in a network, not for each node. */
static double of_convolution(const peer *p) {
    size_t runs;
    const double *seconds = skive_exec_profile_seconds(p->exec, &runs);
    double sum = 0;
    for (size_t i = 0; i < skive_plan_step_count(p->plan); i++) {
        skive_plan_step step;
        skive_plan_step_get(p->plan, i, &step);
        if (step.op && strstr(step.op, "Conv")) sum += seconds[i];
    }
    return sum;
}

static skive_status one(void *user, double *seconds) {
    peer *p = user;
    const double before = of_convolution(p);
    const skive_status status = skive_exec_run(p->exec);
    *seconds = of_convolution(p) - before;
    return status;
}

#else

const char *skive_version(void) { return "a peer"; } /* of the protocol; the library itself is not linked */

#endif

#if defined(PEER_XNNPACK)

#include <xnnpack.h>

typedef struct peer {
    xnn_operator_t op;
} peer;

static skive_status set_up(const shape *s, void **out) {
    peer *p = room(sizeof *p);
    const uint32_t up = (uint32_t)s->kh / 2, left = (uint32_t)s->kw / 2, kh = (uint32_t)s->kh, kw = (uint32_t)s->kw,
                   stride = (uint32_t)s->stride, groups = (uint32_t)s->groups;
    const size_t gi = (size_t)(s->c / s->groups), go = (size_t)(s->m / s->groups), c = (size_t)s->c, m = (size_t)s->m;
    const size_t weights = m * gi * (size_t)(s->kh * s->kw), in = c * (size_t)(s->h * s->w),
                 to = m * (size_t)(out_of(s->h, s->kh, s->stride) * out_of(s->w, s->kw, s->stride));
    enum xnn_status status = xnn_initialize(NULL);
    *out = p;
    if (status == xnn_status_success && s->bytes) {
        float *scales = room(m * sizeof *scales);
        for (size_t i = 0; i < m; i++) scales[i] = 0.01f;
        status = xnn_create_convolution2d_nhwc_qc8(up, left, up, left, kh, kw, stride, stride, 1, 1, groups, gi, go, c,
                                                   m, 0, 0.02f, scales, bytes(weights), room(m * 4), 0, 0.02f, -128,
                                                   127, 0, &p->op);
        if (status == xnn_status_success)
            status = xnn_setup_convolution2d_nhwc_qc8(p->op, 1, (size_t)s->h, (size_t)s->w, bytes(in), room(to), NULL);
    } else if (status == xnn_status_success) {
        status = xnn_create_convolution2d_nhwc_f32(up, left, up, left, kh, kw, stride, stride, 1, 1, groups, gi, go, c,
                                                   m, numbers(weights), numbers(m), -1e30f, 1e30f, 0, &p->op);
        if (status == xnn_status_success)
            status =
                xnn_setup_convolution2d_nhwc_f32(p->op, 1, (size_t)s->h, (size_t)s->w, numbers(in), room(to * 4), NULL);
    }
    if (status != xnn_status_success) fprintf(stderr, "convolution: XNNPACK status %d\n", (int)status);
    return status == xnn_status_success ? SKIVE_OK : SKIVE_ERR_UNSUPPORTED;
}

static skive_status one(void *user, double *seconds) {
    const double begin = bench_now();
    const enum xnn_status status = xnn_run_operator(((peer *)user)->op, NULL);
    *seconds = bench_now() - begin;
    return status == xnn_status_success ? SKIVE_OK : SKIVE_ERR_INTERNAL;
}

#elif defined(PEER_LIBXSMM)

#include <libxsmm.h>

enum { BLOCK = 64 };

typedef struct peer {
    libxsmm_smmfunction all, rest;
    int places, c, m;
    float *x, *w, *y;
} peer;

static skive_status set_up(const shape *s, void **out) {
    peer *p = room(sizeof *p);
    const float zero = 0, alpha = 1;
    *out = p;
    if (s->bytes || s->kh != 1 || s->kw != 1 || s->stride != 1 || s->groups != 1) {
        fprintf(stderr, "convolution: LIBXSMM is tried with windows of one place in float32 only\n");
        return SKIVE_ERR_UNSUPPORTED;
    }
    libxsmm_init();
    p->places = (int)(s->h * s->w);
    p->c = (int)s->c;
    p->m = (int)s->m;
    p->x = numbers((size_t)(p->places * p->c));
    p->w = numbers((size_t)(p->c * p->m));
    p->y = numbers((size_t)(p->places * p->m));
    const int rest = p->places % BLOCK;
    if (p->places >= BLOCK)
        p->all = libxsmm_smmdispatch(BLOCK, p->m, p->c, &p->places, &p->c, &p->places, &alpha, &zero, NULL, NULL);
    if (rest) p->rest = libxsmm_smmdispatch(rest, p->m, p->c, &p->places, &p->c, &p->places, &alpha, &zero, NULL, NULL);
    if ((p->places >= BLOCK && !p->all) || (rest && !p->rest)) {
        fprintf(stderr, "convolution: LIBXSMM makes no code for this product\n");
        return SKIVE_ERR_UNSUPPORTED;
    }
    return SKIVE_OK;
}

static skive_status one(void *user, double *seconds) {
    const peer *p = user;
    const double begin = bench_now();
    int at = 0;
    for (; at + BLOCK <= p->places; at += BLOCK) p->all(p->x + at, p->w, p->y + at);
    if (at < p->places) p->rest(p->x + at, p->w, p->y + at);
    *seconds = bench_now() - begin;
    return SKIVE_OK;
}

#elif defined(PEER_ONEDNN)

#include <dnnl.h>

#define TRY(call)                                                             \
    do {                                                                      \
        const dnnl_status_t status_ = (call);                                 \
        if (status_ != dnnl_success) {                                        \
            fprintf(stderr, "convolution: oneDNN status %d\n", (int)status_); \
            return SKIVE_ERR_UNSUPPORTED;                                     \
        }                                                                     \
    } while (0)

typedef struct peer {
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    dnnl_exec_arg_t args[6];
    int n;
} peer;

static skive_status add(peer *p, dnnl_engine_t engine, int arg, const_dnnl_memory_desc_t d, int floats) {
    const size_t size = dnnl_memory_desc_get_size(d);
    dnnl_memory_t memory;
    TRY(dnnl_memory_create(&memory, d, engine, floats ? (void *)numbers(size / 4 + 1) : bytes(size)));
    p->args[p->n++] = (dnnl_exec_arg_t){arg, memory};
    return SKIVE_OK;
}

static skive_status set_up(const shape *s, void **out) {
    peer *p = room(sizeof *p);
    dnnl_engine_t engine;
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t pd;
    dnnl_memory_desc_t x, w, b, y, scale;
    const dnnl_dim_t oh = out_of(s->h, s->kh, s->stride), ow = out_of(s->w, s->kw, s->stride);
    const dnnl_dims_t xd = {1, s->c, s->h, s->w}, yd = {1, s->m, oh, ow}, bd = {s->m};
    const dnnl_dims_t wd = {s->m, s->c, s->kh, s->kw},
                      gd = {s->groups, s->m / s->groups, s->c / s->groups, s->kh, s->kw};
    const dnnl_dims_t strides = {s->stride, s->stride}, none = {0, 0}, before = {s->kh / 2, s->kw / 2};
    dnnl_dims_t after = {(oh - 1) * s->stride + s->kh - s->h - before[0],
                         (ow - 1) * s->stride + s->kw - s->w - before[1]};
    const int grouped = s->groups > 1;
    const dnnl_data_type_t in = s->bytes ? dnnl_u8 : dnnl_f32, weights = s->bytes ? dnnl_s8 : dnnl_f32;
    *out = p;
    TRY(dnnl_engine_create(&engine, dnnl_cpu, 0));
    TRY(dnnl_stream_create(&p->stream, engine, dnnl_stream_default_flags));
    TRY(dnnl_memory_desc_create_with_tag(&x, 4, xd, in, dnnl_format_tag_any));
    TRY(dnnl_memory_desc_create_with_tag(&y, 4, yd, in, dnnl_format_tag_any));
    TRY(dnnl_memory_desc_create_with_tag(&w, grouped ? 5 : 4, grouped ? gd : wd, weights, dnnl_format_tag_any));
    TRY(dnnl_memory_desc_create_with_tag(&b, 1, bd, dnnl_f32, dnnl_a));
    TRY(dnnl_memory_desc_create_with_tag(&scale, 1, bd, dnnl_f32, dnnl_a));
    TRY(dnnl_primitive_attr_create(&attr));
    if (s->bytes) TRY(dnnl_primitive_attr_set_scales_mask(attr, DNNL_ARG_WEIGHTS, grouped ? 3 : 1));
    TRY(dnnl_convolution_forward_primitive_desc_create(&pd, engine, dnnl_forward_inference, dnnl_convolution_auto, x, w,
                                                       b, y, strides, none, before, after, attr));
    TRY(dnnl_primitive_create(&p->primitive, pd));
    skive_status status =
        add(p, engine, DNNL_ARG_SRC, dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0), !s->bytes);
    if (status == SKIVE_OK)
        status =
            add(p, engine, DNNL_ARG_WEIGHTS, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0), !s->bytes);
    if (status == SKIVE_OK) status = add(p, engine, DNNL_ARG_BIAS, b, 1);
    if (status == SKIVE_OK)
        status = add(p, engine, DNNL_ARG_DST, dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0), !s->bytes);
    if (status == SKIVE_OK && s->bytes) status = add(p, engine, DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS, scale, 1);
    return status;
}

static skive_status one(void *user, double *seconds) {
    peer *p = user;
    const double begin = bench_now();
    TRY(dnnl_primitive_execute(p->primitive, p->stream, p->n, p->args));
    TRY(dnnl_stream_wait(p->stream));
    *seconds = bench_now() - begin;
    return SKIVE_OK;
}

#endif

int main(int argc, char **argv) {
    shape s;
    void *p = NULL;
    if (!read_shape(argc, argv, &s)) {
        fprintf(stderr, "usage: convolution C,H,W,FILTERS,KERNEL-H,KERNEL-W,STRIDE,GROUPS f32|int8\n");
        return 2;
    }
    skive_status status = set_up(&s, &p);
    if (status == SKIVE_OK) status = bench_serve(one, p);
    if (status != SKIVE_OK) bench_answer_error("the convolution cannot be run");
    return status != SKIVE_OK;
}
