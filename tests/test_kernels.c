/* Kernels for elements, channels, transposes and recurrent layers against the reference, on many shapes and in every
 * layout that a preceding convolution produces. Runs at each instruction-set level. */
#include "kernel_fixtures.h"
#include "kernels/turn.h"

static void elements(void **unused) {
    static const char *const ops[] = {"Sigmoid",   "Tanh",      "Exp",   "Elu",  "Softplus", "HardSigmoid",
                                      "HardSwish", "LeakyRelu", "Neg",   "Abs",  "Erf",      "Mish",
                                      "Celu",      "Softsign",  "Floor", "Ceil", "Round",    "ThresholdedRelu",
                                      "Sin",       "Cos",       "Sign"};
    enum { PERIODIC = SKV_COUNT(ops) - 3 }; /* from here on: they keep the rounding of a convolution before them */
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (size_t k = 0; k < SKV_COUNT(ops); k++) {
        for (int c = 0; c < 6; c++) {
            skive_graph *g = graph(ctx);
            skv_builder b = skv_build(g);
            skive_value *x = tensor_of(ctx, g, (int64_t[]){1, 3, 16, 19, 32, 37}[c], c % 2 && k < PERIODIC);
            give(ctx, g, &b, skv_emit(&b, ops[k], SKV_IN(x), SKV_NONE));
            check(ctx, g, "unary_f32", 2e-6, 1e-6);
        }
    }
    for (int c = 0; c < 4; c++) { /* limits; roots of what is not negative */
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = tensor_of(ctx, g, 19, c & 1), *low = skv_emit_scalar(&b, SKIVE_F32, c & 2 ? 0.5 : -1),
                    *high = skv_emit_scalar(&b, SKIVE_F32, 2);
        skive_value *y = skv_emit(&b, "Clip", SKV_IN(x, low, high), SKV_NONE);
        give(ctx, g, &b,
             c & 2 ? skv_emit(&b, "Reciprocal", SKV_IN(skv_emit(&b, "Sqrt", SKV_IN(y), SKV_NONE)), SKV_NONE) : y);
        check(ctx, g, "unary_f32", 1e-6, 1e-6);
    }
    skv_test_context_end(ctx);
}

/* Far arguments, NaN and infinities keep their meaning. */
static void far_elements(void **unused) {
    static const float values[] = {-1e30f, -200, -88.5f, -20, -1e-20f, 0,        1e-20f,    0.249f,
                                   0.251f, 20,   88.7f,  200, 1e30f,   INFINITY, -INFINITY, NAN};
    static const char *const ops[] = {"Sigmoid", "Tanh", "Exp", "Softplus", "Elu", "Erf",
                                      "Log",     "Mish", "Sin", "Cos",      "Sign"};
    (void)unused;
    skive_context *ctx = skv_test_context();
    const int64_t n = SKV_COUNT(values);
    for (size_t k = 0; k < SKV_COUNT(ops); k++) {
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        give(ctx, g, &b, skv_emit(&b, ops[k], SKV_IN(input(ctx, g, 1, &n)), SKV_NONE));
        const skive_tensor x = skv_tensor_view(SKIVE_F32, 1, &n, values);
        skive_tensor y;
        skv_test_ok(ctx, skive_graph_run(ctx, g, &x, 1, &y, 1));
        for (int64_t i = 0; i < n; i++) {
            const double v = (double)values[i];
            double want = k == 0    ? 1 / (1 + exp(-v))
                          : k == 1  ? tanh(v)
                          : k == 2  ? exp(v)
                          : k == 3  ? (v > 30 ? v : log1p(exp(v)))
                          : k == 5  ? erf(v)
                          : k == 6  ? log(v)
                          : k == 8  ? sin(v)
                          : k == 9  ? cos(v)
                          : k == 10 ? (v > 0   ? 1
                                       : v < 0 ? -1
                                               : v)
                          : k == 7  ? (v < -100 ? v * 0
                                       : v > 30 ? v
                                                : v * tanh(log1p(exp(v))))
                          : v < 0   ? expm1(v)
                                    : v;
            if (k == 7 && v == -INFINITY) continue; /* 0 times infinity */
            if (k == 2 && want > 3.4028235e38) want = INFINITY;
            if (!skv_test_close(skive_tensor_get(&y, i), want, 1e-6, 2e-7))
                fail_msg("%s(%g) is %g, not %g", ops[k], v, skive_tensor_get(&y, i), want);
        }
        skive_tensor_free(ctx, &y);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

static void channels(void **unused) {
    static const char *const ops[] = {"Add", "Sub", "Mul", "Div"};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 4 * 2 * 2 * 6 * 3; which++) {
        const int op = which % 4, blocked = which / 4 % 2, turned = which / 8 % 2, kind = which / 16 % 6,
                  size = which / 96;
        const int64_t c = (int64_t[]){3, 16, 37}[size], one_each[4] = {1, c, 1, 1}, by_sample[4] = {2, c, 1, 1};
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = tensor_of(ctx, g, c, blocked), *k = NULL;
        switch (kind) {
        case 0: k = skv_emit_scalar(&b, SKIVE_F32, 1.5); break;
        case 1: k = parameter(ctx, g, 4, one_each, 0.5, 2); break;
        case 2: k = parameter(ctx, g, 3, one_each + 1, 0.5, 2); break;
        case 3: k = parameter(ctx, g, 4, by_sample, 0.5, 2); break;
        case 4: k = input(ctx, g, 4, by_sample); break;
        default: k = skv_emit(&b, "GlobalAveragePool", SKV_IN(x), SKV_NONE); break; /* in the layout of x */
        }
        if (turned && (op == 3 || op == 1) && kind >= 4) k = skv_emit(&b, "Abs", SKV_IN(k), SKV_NONE);
        give(ctx, g, &b,
             turned ? skv_emit(&b, ops[op], SKV_IN(k, x), SKV_NONE) : skv_emit(&b, ops[op], SKV_IN(x, k), SKV_NONE));
        check(ctx, g, "channel_f32", 1e-4, 1e-4);
    }
    for (int rank = 1; rank <= 2; rank++) { /* rows */
        const int64_t dims[2] = {3, 21}, row[2] = {1, 21};
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        give(ctx, g, &b,
             skv_emit(&b, "Mul", SKV_IN(input(ctx, g, 2, dims), parameter(ctx, g, rank, row + 2 - rank, 1, 2)),
                      SKV_NONE));
        check(ctx, g, "channel_f32", 1e-6, 0);
    }
    skv_test_context_end(ctx);
}

static void norms(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int c = 0; c < 12; c++) {
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        const int64_t channels = (int64_t[]){1, 3, 16, 19, 32, 37}[c / 2];
        skive_value *x = tensor_of(ctx, g, channels, c % 2), *p[4];
        for (int i = 0; i < 4; i++) p[i] = parameter(ctx, g, 1, &channels, i == 3 ? 0.1 : -1, 2);
        /* through Tanh, so that no convolution takes it in */
        x = skv_emit(&b, "Tanh", SKV_IN(x), SKV_NONE);
        give(ctx, g, &b, skv_emit(&b, "BatchNormalization", SKV_IN(x, p[0], p[1], p[2], p[3]), SKV_NONE));
        check(ctx, g, "channel_f32", 1e-5, 2e-6);
    }
    skv_test_context_end(ctx);
}

static void transposes(void **unused) {
    static const int64_t shapes[2][4] = {{2, 17, 5, 33}, {2, 9, 7, 3}};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int p = 0; p < 48; p++) {
        const int64_t *dims = shapes[p / 24];
        int64_t left[4] = {0, 1, 2, 3}, perm[4];
        for (int i = 0, rest = p % 24; i < 4; i++) {
            const int at = rest % (4 - i);
            rest /= 4 - i;
            perm[i] = left[at];
            for (int k = at; k < 3; k++) left[k] = left[k + 1];
        }
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        give(ctx, g, &b,
             skv_emit(&b, "Transpose", SKV_IN(input(ctx, g, 4, dims)), SKV_ATTRS(SKV_INTS("perm", perm, 4))));
        check(ctx, g, "transpose", 0, 0);
    }
    skv_test_context_end(ctx);
}

/* Matrices turned, against the definition: of every element size, of few columns and of many, with what lies behind. */
static void turns(void **unused) {
    enum { ROWS = 53, COLUMNS = 19, MOST = 64 };
    static const int64_t columns[] = {1, 2, 3, 4, 5, 16, COLUMNS};
    uint8_t x[ROWS * MOST * 8], y[COLUMNS * MOST * 8];
    (void)unused;
    for (size_t i = 0; i < sizeof x; i++) x[i] = (uint8_t)skv_rng_below(3, 1, i, 256);
    for (size_t size = 1; size <= 8; size *= 2) {
        for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
            for (int64_t rows = 1; rows <= ROWS; rows++) {
                for (int64_t apart = 0; apart < 2; apart++) {
                    const int64_t x_step = columns[c] + apart, y_step = rows + apart;
                    memset(y, 7, sizeof y);
                    skv_turn(size, x, x_step, y, y_step, rows, columns[c]);
                    for (int64_t j = 0; j < columns[c]; j++) {
                        for (int64_t i = 0; i < rows; i++)
                            assert_memory_equal(y + (size_t)(j * y_step + i) * size,
                                                x + (size_t)(i * x_step + j) * size, size);
                        if (apart) assert_int_equal(y[(size_t)(j * y_step + rows) * size], 7);
                    }
                }
            }
        }
    }
}

/* Along every axis, of computed tensors in whatever layout, constants between them, channels that fill their blocks or
 * not. */
static void transposed_convolutions(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 3 * 3 * 2 * 3; which++) { /* windows as wide as the stride, and wider */
        const int spatial = which % 3 + 1, bias = which / 9 % 2;
        const int64_t k = which / 3 % 3 + 1, out = (int64_t[]){8, 13, 32}[which / 18], in = out == 8 ? 24 : 5;
        const int64_t x_dims[5] = {2, in, 5, 3, 4}, w_dims[5] = {in, out, k, spatial == 2 ? k : 2, 2},
                      strides[3] = {k, spatial == 2 ? k : 2, 2};
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        give(ctx, g, &b,
             skv_emit(&b, "ConvTranspose",
                      SKV_IN(input(ctx, g, 2 + spatial, x_dims), parameter(ctx, g, 2 + spatial, w_dims, -1, 1),
                             bias ? parameter(ctx, g, 1, &out, -1, 1) : NULL),
                      SKV_ATTRS(SKV_INTS("strides", strides, (size_t)spatial))));
        check(ctx, g, "conv_transpose_f32", 1e-5, 1e-5);
    }
    skv_test_context_end(ctx);
}

static void concats(void **unused) {
    static const int64_t channels[][3] = {{16, 16, 16}, {16, 32, 5}, {24, 4, 3}, {3, 5, 40}, {1, 16, 17}, {30, 30, 30}};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 6 * 4 * 2 * 2; which++) {
        const int64_t *c = channels[which % 6];
        const int axis = which / 6 % 4, blocked = which / 24 % 2, constant = which / 48;
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *in[3];
        for (int i = 0; i < 3; i++) {
            const int64_t count = axis == 1 ? c[i] : c[0], dims[4] = {2, count, 5, 3};
            in[i] = constant && i == 1 ? parameter(ctx, g, 4, dims, -1, 1) : tensor_of(ctx, g, count, blocked);
        }
        give(ctx, g, &b, skv_emit(&b, "Concat", SKV_IN(in[0], in[1], in[2]), SKV_ATTRS(SKV_INT("axis", axis))));
        check(ctx, g, "concat", 1e-6, 1e-5);
    }
    for (int rank = 1; rank <= 3; rank++) { /* bytes and words */
        for (int axis = 0; axis < rank; axis++) {
            const int64_t dims[3] = {3, 2, 5};
            skive_graph *g = graph(ctx);
            skv_builder b = skv_build(g);
            skive_value *x[2];
            for (int i = 0; i < 2; i++) {
                const skive_type t = skive_type_make(axis ? SKIVE_U8 : SKIVE_I64, rank, dims);
                skv_test_ok(ctx, skive_graph_add_input(g, NULL, &t, &x[i]));
            }
            give(ctx, g, &b, skv_emit(&b, "Concat", SKV_IN(x[0], x[1]), SKV_ATTRS(SKV_INT("axis", axis))));
            check(ctx, g, "concat", 0, 0);
        }
    }
    skv_test_context_end(ctx);
}

/* Every mode of padding, before and behind, more and less; slices with steps, backward, of some axes. */
static void picks(void **unused) {
    static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
    static const int64_t pads[][8] = {
        {0, 0, 1, 2, 0, 0, 2, 1}, {0, 1, 0, 0, 1, 0, 0, 0}, {0, 0, 0, -1, 0, 0, -2, 2}, {1, 0, 2, 0, 0, 2, 1, 0}};
    static const int64_t slices[][4][2] = {{{1, 0}, {3, 2}, {2, 3}, {1, 1}},
                                           {{-1, 2}, {-100, 100}, {1, 2}, {-1, 2}},
                                           {{0, 1}, {1, -1}, {0, 1}, {1, 1}},
                                           {{4, 0}, {0, 3}, {2, 3}, {-2, 2}}};
    const int64_t dims[4] = {2, 4, 5, 3};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 4 * 4 * 3; which++) {
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        const skive_dtype dtype = which / 16 == 2 ? SKIVE_U8 : SKIVE_F32;
        const skive_type t = skive_type_make(dtype, 4, dims);
        skive_value *x = NULL, *value = which / 16 ? skv_emit_scalar(&b, dtype, 7) : NULL;
        skv_test_ok(ctx, skive_graph_add_input(g, NULL, &t, &x));
        give(ctx, g, &b,
             skv_emit(&b, "Pad", SKV_IN(x, skv_emit_ints(&b, pads[which / 4 % 4], 8), value),
                      SKV_ATTRS(SKV_STR("mode", modes[which % 4]))));
        check(ctx, g, "pick", 0, 0);
    }
    for (int which = 0; which < 4; which++) {
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *in[5] = {input(ctx, g, 4, dims)};
        for (int i = 0; i < 4; i++) in[i + 1] = skv_emit_ints(&b, slices[which][i], 2);
        give(ctx, g, &b, skv_emit(&b, "Slice", (skv_in_list){in, 5}, SKV_NONE));
        check(ctx, g, "pick", 0, 0);
    }
    skv_test_context_end(ctx);
}

typedef struct recurrent_form {
    int op, direction, batch_first, full, linear; /* full: with biases and states */
    int64_t samples;
    bool lengths; /* each sample ends where it likes, one at once */
} recurrent_form;

static recurrent_form form_of(int which, int64_t samples) {
    return (recurrent_form){which % 3, which / 3 % 3, which / 9 % 2, which / 18 % 2, which / 36, samples, false};
}
enum { RECURRENT_FORMS = 3 * 3 * 2 * 2 * 2 };

/* The layer, or the gradient of its outputs; every result is an output of the graph. */
static skive_graph *recurrent_graph(skive_context *ctx, const recurrent_form *f, bool gradient) {
    static const char *const ops[2][3] = {{"LSTM", "GRU", "RNN"}, {"LSTMGrad", "GRUGrad", "RNNGrad"}};
    static const char *const directions[] = {"forward", "reverse", "bidirectional"};
    static const int64_t gates[] = {4, 3, 1};
    const int64_t d = f->direction == 2 ? 2 : 1, h = f->full ? 37 : 16, in = 11, t = 6, n = f->samples;
    const int64_t x[3] = {f->batch_first ? n : t, f->batch_first ? t : n, in}, w[3] = {d, gates[f->op] * h, in},
                  r[3] = {d, gates[f->op] * h, h}, bias[2] = {d, 2 * gates[f->op] * h},
                  state[3] = {f->batch_first ? n : d, f->batch_first ? d : n, h},
                  y[4] = {x[0], f->batch_first ? t : d, f->batch_first ? d : n, h};
    skive_graph *g = graph(ctx);
    skv_builder b = skv_build(g);
    skive_value *inputs[11] = {input(ctx, g, 3, x), parameter(ctx, g, 3, w, -0.5, 0.5),
                               parameter(ctx, g, 3, r, -0.5, 0.5)};
    if (f->full) {
        inputs[3] = parameter(ctx, g, 2, bias, -1, 1);
        inputs[5] = input(ctx, g, 3, state);
        if (f->op == 0) inputs[6] = input(ctx, g, 3, state);
    }
    if (f->lengths) {
        static const int32_t some[] = {3, 6, 0, 1, 5, 6, 2};
        int32_t ends[40];
        for (int64_t i = 0; i < n; i++) ends[i] = some[i % 7];
        const skive_tensor list = skv_tensor_view(SKIVE_I32, 1, &n, ends);
        skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &list, &inputs[4]));
    }
    if (gradient) {
        inputs[8] = input(ctx, g, 4, y);
        if (f->full) inputs[9] = input(ctx, g, 3, state);
        if (f->full && f->op == 0) inputs[10] = input(ctx, g, 3, state);
    }
    skv_attr_init attrs[4] = {SKV_STR("direction", directions[f->direction]), SKV_INT("layout", f->batch_first),
                              SKV_INT("hidden_size", h), SKV_INT("linear_before_reset", f->linear)};
    const size_t n_in = gradient ? 11 : f->op == 0 ? 8 : 6, n_out = gradient ? 7 : f->op == 0 ? 3 : 2;
    skive_value *out[7] = {NULL};
    (void)skv_emit_n(&b, ops[gradient][f->op], (skv_in_list){inputs, n_in}, (skv_attr_list){attrs, f->op == 1 ? 4 : 3},
                     out, n_out);
    skv_test_ok(ctx, b.status);
    for (size_t o = 0; o < n_out; o++)
        if (!gradient || inputs[(const int[]){0, 1, 2, 3, 5, 6, 7}[o]]) give(ctx, g, &b, out[o]);
    return g;
}

static void recurrent(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < RECURRENT_FORMS; which++) {
        const recurrent_form f = form_of(which, which / 18 % 2 ? 3 : 1);
        check(ctx, recurrent_graph(ctx, &f, false), "recurrent_f32", 1e-4, 2e-6);
    }
    skv_test_context_end(ctx);
}

static void recurrent_lengths(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < RECURRENT_FORMS; which++) {
        recurrent_form f = form_of(which, (const int64_t[]){7, 3, 1}[which % 7 % 3]);
        f.lengths = true;
        check(ctx, recurrent_graph(ctx, &f, false), "recurrent_f32", 1e-4, 2e-6);
    }
    skv_test_context_end(ctx);
}

/* Many samples, and the gradients, which begin with AVX2. */
static void recurrent_products(void **unused) {
    (void)unused;
    if (!skv_isa_has(skv_cpu_isa(), SKV_ISA_AVX2)) skip();
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < RECURRENT_FORMS; which++) {
        const recurrent_form many = form_of(which, 33), few = form_of(which, which / 18 % 2 ? 3 : 1);
        check(ctx, recurrent_graph(ctx, &many, false), "recurrent_train_f32", 1e-4, 4e-6);
        check(ctx, recurrent_graph(ctx, &few, true), "recurrent_grad_f32", 1e-4, 3e-5);
        recurrent_form ragged = few;
        ragged.lengths = true;
        ragged.samples = 3;
        check(ctx, recurrent_graph(ctx, &ragged, true), "recurrent_grad_f32", 1e-4,
              2e-4); /* sums of products up to 100 */
    }
    skv_test_context_end(ctx);
}

static void rotary(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 8; which++) {
        const int64_t rows[4] = {2, 3, 5, 12}, flat[3] = {2, 5, 36}, half = which & 2 ? 6 : 4, table[2] = {7, half},
                      own[3] = {2, 5, half}, ids[2] = {2, 5};
        const bool positions = which & 4;
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = which & 1 ? input(ctx, g, 4, rows) : input(ctx, g, 3, flat), *at = NULL;
        skive_value *cosine = parameter(ctx, g, positions ? 2 : 3, positions ? table : own, -1, 1),
                    *sine = parameter(ctx, g, positions ? 2 : 3, positions ? table : own, -1, 1);
        if (positions) {
            int64_t chosen[10];
            for (int i = 0; i < 10; i++) chosen[i] = (i * 5 + 3) % 7;
            const skive_tensor t = skv_tensor_view(SKIVE_I64, 2, ids, chosen);
            skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &t, &at));
        }
        give(ctx, g, &b,
             skv_emit(&b, "RotaryEmbedding", SKV_IN(x, cosine, sine, at),
                      SKV_ATTRS(SKV_INT("num_heads", 3), SKV_INT("interleaved", which / 2 % 2),
                                SKV_INT("rotary_embedding_dim", 2 * half))));
        check(ctx, g, "rotary_f32", 1e-5, 1e-6);
    }
    skv_test_context_end(ctx);
}

static skive_value *bytes(skive_context *ctx, skive_graph *g, skive_dtype dtype, int rank, const int64_t *dims) {
    skive_tensor t = skv_test_random(ctx, dtype, rank, dims, 11, -300, 300); /* many at the ends of the range */
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &t, &v));
    skive_tensor_free(ctx, &t);
    return v;
}

/* Every pair of types, zero points of every form, sizes about those of tiles; the same integers, and the same
 * floats. */
static void integer_products(void **unused) {
    static const int64_t sizes[][3] = {{1, 1, 1},   {1, 64, 33},   {14, 32, 32}, {15, 33, 31},
                                       {3, 7, 100}, {29, 130, 5},  {2, 257, 64}, {40, 48, 96},
                                       {5, 3, 16},  {1, 401, 331}, {1, 520, 300}};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 11 * 4 * 3 * 2; which++) {
        const int64_t *s = sizes[which % 11], a_dims[3] = {which % 11 == 10 ? 1 : 2, s[0], s[1]},
                      b_dims[2] = {s[1], s[2]};
        const int types = which / 11 % 4, zeros = which / 44 % 3, to_float = which / 132;
        const skive_dtype a = types & 1 ? SKIVE_I8 : SKIVE_U8, w = types & 2 ? SKIVE_I8 : SKIVE_U8;
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *in[5] = {any_input(ctx, g, a, 3, a_dims), bytes(ctx, g, w, 2, b_dims)};
        if (zeros || to_float) in[2] = any_input(ctx, g, a, 0, NULL);
        if (zeros == 2 || to_float) in[3] = zeros == 2 ? bytes(ctx, g, w, 1, &s[2]) : skv_emit_scalar(&b, w, 3);
        if (to_float) in[4] = zeros ? input(ctx, g, 1, &s[2]) : input(ctx, g, 0, NULL);
        give(ctx, g, &b,
             skv_emit(&b, to_float ? "MatMulIntegerToFloat" : "MatMulInteger", (skv_in_list){in, to_float ? 5 : 4},
                      SKV_NONE));
        check(ctx, g, "matmul_integer", 0, 0);
    }
    for (int64_t n = 1; n < 100000; n = n * 7 + 3) {
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *y[3] = {NULL};
        (void)skv_emit_n(&b, "DynamicQuantizeLinear", SKV_IN(input(ctx, g, 1, &n)), SKV_NONE, y, 3);
        for (int i = 0; i < 3; i++) give(ctx, g, &b, y[i]);
        check(ctx, g, "dynamic_quantize", 0, 0);
    }
    skv_test_context_end(ctx);
}

/* The states are rounded to 256 steps each time, and where a sum lies between two of them the float32 kernel may take
 * the other one: then the products move by a step of the state, at most 2/255, times a weight, at most 1.28. */
static void dynamic_lstm(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 3 * 2 * 2 * 2; which++) {
        static const char *const directions[] = {"forward", "reverse", "bidirectional"};
        const bool batch_first = which / 3 % 2, full = which / 6 % 2, s8 = which / 12;
        const int64_t d = which % 3 == 2 ? 2 : 1, h = full ? 37 : 16, i = 11, t = 5, n = full ? 3 : 1;
        const int64_t x[3] = {batch_first ? n : t, batch_first ? t : n, i}, w[3] = {d, i, 4 * h}, r[3] = {d, h, 4 * h},
                      bias[2] = {d, 8 * h}, state[3] = {batch_first ? n : d, batch_first ? d : n, h},
                      each[2] = {d, 4 * h};
        const skive_dtype bytes_of = s8 ? SKIVE_I8 : SKIVE_U8;
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *in[12] = {input(ctx, g, 3, x), bytes(ctx, g, bytes_of, 3, w), bytes(ctx, g, bytes_of, 3, r)};
        if (full) in[3] = parameter(ctx, g, 2, bias, -1, 1);
        if (full) in[5] = input(ctx, g, 3, state);
        if (full) in[6] = input(ctx, g, 3, state);
        for (int k = 8; k < 12; k += 2) {
            in[k] = parameter(ctx, g, full ? 2 : 1, each, 0.001, 0.004);
            skive_tensor zero = skv_test_random(ctx, bytes_of, full ? 2 : 1, each, 3, s8 ? -9 : 118, s8 ? 9 : 138);
            skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &zero, &in[k + 1]));
            skive_tensor_free(ctx, &zero);
        }
        skive_value *y[3];
        (void)skv_emit_n(&b, "DynamicQuantizeLSTM", (skv_in_list){in, 12},
                         SKV_ATTRS(SKV_STR("direction", directions[which % 3]), SKV_INT("layout", batch_first),
                                   SKV_INT("hidden_size", h)),
                         y, 3);
        for (int k = 0; k < 3; k++) give(ctx, g, &b, y[k]);
        check(ctx, g, "lstm_dynamic_u8s8", 0, 2.0 / 255 * 1.28);
    }
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements),
        cmocka_unit_test(far_elements),
        cmocka_unit_test(channels),
        cmocka_unit_test(norms),
        cmocka_unit_test(transposes),
        cmocka_unit_test(turns),
        cmocka_unit_test(concats),
        cmocka_unit_test(transposed_convolutions),
        cmocka_unit_test(picks),
        cmocka_unit_test(recurrent),
        cmocka_unit_test(recurrent_lengths),
        cmocka_unit_test(recurrent_products),
        cmocka_unit_test(rotary),
        cmocka_unit_test(integer_products),
        cmocka_unit_test(dynamic_lstm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
