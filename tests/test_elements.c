/* Kernels of element-wise work with broadcasting, conversions and reductions against the reference: element types,
 * shapes, layouts, numbers that are none. Runs at each instruction-set level. */
#include "kernel_fixtures.h"

typedef struct shapes {
    int rank[3];
    int64_t dims[3][4];
} shapes;

/* Of two or three operands: alike, a row, a column, both ways, middle axes, a single number, more than a vector. */
static const shapes pairs[] = {
    {{2, 2, 2}, {{3, 70}, {3, 70}, {3, 70}}},
    {{3, 1, 2}, {{2, 5, 37}, {37}, {5, 1}}},
    {{2, 3, 1}, {{5, 1}, {2, 5, 37}, {37}}},
    {{2, 2, 2}, {{33, 1}, {1, 21}, {33, 21}}},
    {{4, 4, 3}, {{2, 3, 4, 19}, {2, 1, 1, 19}, {3, 1, 1}}},
    {{4, 4, 4}, {{1, 3, 1, 2}, {5, 1, 7, 2}, {5, 3, 7, 1}}},
    {{0, 2, 0}, {{0}, {7, 9}, {0}}},
    {{1, 0, 1}, {{130}, {0}, {130}}},
};

static skive_value *operand(skive_context *ctx, skive_graph *g, const shapes *s, int i, skive_dtype t) {
    return any_input(ctx, g, t, s->rank[i], s->dims[i]);
}

static void binary(skive_context *ctx, const char *op, skive_dtype t, double tolerance) {
    for (size_t k = 0; k < SKV_COUNT(pairs); k++) {
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = operand(ctx, g, &pairs[k], 0, t), *y = operand(ctx, g, &pairs[k], 1, t);
        const bool whole = pairs[k].rank[0] >= pairs[k].rank[1];
        if (strcmp(op, "PRelu") == 0 && (!whole || k == 3 || k == 5)) {
            skive_graph_free(g);
            continue; /* the slope may not be larger */
        }
        give(ctx, g, &b, skv_emit(&b, op, SKV_IN(x, y), SKV_NONE));
        /* what earlier kernels serve stays theirs */
        check(ctx, g, NULL, tolerance, tolerance);
    }
}

static void arithmetic(void **unused) {
    static const char *const ops[] = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "PRelu"};
    static const skive_dtype types[] = {SKIVE_F32, SKIVE_I32, SKIVE_I64};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (size_t k = 0; k < SKV_COUNT(ops); k++) {
        for (size_t t = 0; t < SKV_COUNT(types); t++) {
            if (t > 0 && (k == 3 || k >= 6)) continue; /* no quotients of random integers */
            binary(ctx, ops[k], types[t], 0);
        }
    }
    skv_test_context_end(ctx);
}

static void comparisons(void **unused) {
    static const char *const ops[] = {"Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"};
    static const skive_dtype types[] = {SKIVE_F32, SKIVE_I32, SKIVE_I64, SKIVE_U8};
    static const char *const logic[] = {"And", "Or", "Xor"};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (size_t t = 0; t < SKV_COUNT(types); t++)
        for (size_t k = 0; k < SKV_COUNT(ops); k++) binary(ctx, ops[k], types[t], 0);
    for (size_t k = 0; k < SKV_COUNT(logic); k++) binary(ctx, logic[k], SKIVE_BOOL, 0);
    skv_test_context_end(ctx);
}

/* The first shape is served by `broadcast` for every op: that it is, and not the reference, is tested here. */
static void chosen(void **unused) {
    static const char *const ops[] = {"Max", "Min", "Sum", "Mean", "PRelu", "Equal", "Less", "GreaterOrEqual"};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (size_t k = 0; k < SKV_COUNT(ops); k++) {
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = operand(ctx, g, &pairs[0], 0, SKIVE_F32), *y = operand(ctx, g, &pairs[0], 1, SKIVE_F32);
        give(ctx, g, &b, skv_emit(&b, ops[k], SKV_IN(x, y), SKV_NONE));
        check(ctx, g, "broadcast", 0, 0);
    }
    skv_test_context_end(ctx);
}

static void choices(void **unused) {
    static const skive_dtype types[] = {SKIVE_F32, SKIVE_I64, SKIVE_U8, SKIVE_F16, SKIVE_BOOL};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (size_t t = 0; t < SKV_COUNT(types); t++) {
        for (size_t k = 0; k < SKV_COUNT(pairs); k++) {
            skive_graph *g = graph(ctx);
            skv_builder b = skv_build(g);
            skive_value *c = operand(ctx, g, &pairs[k], 2, SKIVE_BOOL), *x = operand(ctx, g, &pairs[k], 0, types[t]),
                        *y = operand(ctx, g, &pairs[k], 1, types[t]);
            give(ctx, g, &b, skv_emit(&b, "Where", SKV_IN(c, x, y), SKV_NONE));
            check(ctx, g, "broadcast", 0, 0);
        }
    }
    skv_test_context_end(ctx);
}

/* Three and four operands, of which the first stands among the later ones again. */
static void several(void **unused) {
    static const char *const ops[] = {"Sum", "Mean", "Max", "Min"};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (size_t k = 0; k < SKV_COUNT(ops); k++) {
        for (size_t s = 0; s < SKV_COUNT(pairs); s++) {
            skive_graph *g = graph(ctx);
            skv_builder b = skv_build(g);
            skive_value *x = operand(ctx, g, &pairs[s], 0, SKIVE_F32), *y = operand(ctx, g, &pairs[s], 1, SKIVE_F32),
                        *z = operand(ctx, g, &pairs[s], 2, SKIVE_F32);
            skive_value *first = skv_emit(&b, "Abs", SKV_IN(x), SKV_NONE);
            give(ctx, g, &b, skv_emit(&b, ops[k], SKV_IN(first, y, z, first), SKV_NONE));
            check(ctx, g, "broadcast", 0, 0);
        }
    }
    skv_test_context_end(ctx);
}

/* NaN, infinities and zeros of both signs against one another. */
static void special(void **unused) {
    static const float values[] = {0, -0.0f, 1, -1, 2.5f, INFINITY, -INFINITY, NAN, 1e-42f, 3};
    static const char *const ops[] = {"Max", "Min",  "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual",
                                      "Div", "PRelu"};
    (void)unused;
    skive_context *ctx = skv_test_context();
    const int64_t n = SKV_COUNT(values), column[2] = {SKV_COUNT(values), 1}, row[2] = {1, SKV_COUNT(values)};
    for (size_t k = 0; k < SKV_COUNT(ops); k++) {
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        const bool slope = k == SKV_COUNT(ops) - 1;
        skive_value *x = input(ctx, g, 2, slope ? (int64_t[]){n, n} : column), *y = input(ctx, g, 2, row);
        give(ctx, g, &b, skv_emit(&b, ops[k], SKV_IN(x, y), SKV_NONE));
        float all[SKV_COUNT(values) * SKV_COUNT(values)];
        for (int64_t i = 0; i < n * n; i++) all[i] = values[i / n];
        const skive_tensor in[2] = {slope ? skv_tensor_view(SKIVE_F32, 2, (int64_t[]){n, n}, all)
                                          : skv_tensor_view(SKIVE_F32, 2, column, values),
                                    skv_tensor_view(SKIVE_F32, 2, row, values)};
        check_for(ctx, g, "broadcast", in, 0, 0);
    }
    skv_test_context_end(ctx);
}

static void powers(void **unused) {
    static const double exponents[] = {3, 0.5, -1, 2.5, 0};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (size_t k = 0; k < SKV_COUNT(exponents); k++) {
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = skv_emit(&b, "Abs", SKV_IN(input(ctx, g, 2, (int64_t[]){5, 37})), SKV_NONE);
        give(ctx, g, &b, skv_emit(&b, "Pow", SKV_IN(x, skv_emit_scalar(&b, SKIVE_F32, exponents[k])), SKV_NONE));
        check(ctx, g, NULL, 2e-7, 0);
    }
    skive_graph *g = graph(ctx);
    skv_builder b = skv_build(g);
    skive_value *x = skv_emit(&b, "Abs", SKV_IN(input(ctx, g, 2, (int64_t[]){5, 37})), SKV_NONE);
    give(ctx, g, &b, skv_emit(&b, "Pow", SKV_IN(x, input(ctx, g, 1, (int64_t[]){37})), SKV_NONE));
    check(ctx, g, "broadcast", 2e-7, 0);
    skv_test_context_end(ctx);
}

/* Behind a convolution, in the layout that it gives: with a whole tensor, a number a channel, one a position. */
static void layouts(void **unused) {
    static const char *const ops[] = {"Div", "Greater", "Max"};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 3 * 4 * 4; which++) {
        const int64_t c = (int64_t[]){16, 19, 32, 8}[which / 3 % 4], dims[4] = {2, c, 5, 3};
        const int64_t other[4][4] = {{2, c, 5, 3}, {1, 1, 5, 3}, {2, 1, 1, 3}, {1, c, 1, 3}};
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = tensor_of(ctx, g, c, true), *y = input(ctx, g, 4, which / 12 ? other[which / 12] : dims);
        give(ctx, g, &b, skv_emit(&b, ops[which % 3], SKV_IN(x, y), SKV_NONE));
        /* comparisons of sums that are rounded differently: only where they are far apart */
        if (which % 3 != 1) check(ctx, g, "broadcast", 1e-4, 1e-4);
        if (which % 3 == 1) skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

static void conversions(void **unused) {
    static const skive_dtype types[] = {SKIVE_F32, SKIVE_F64, SKIVE_I64, SKIVE_I32,
                                        SKIVE_I16, SKIVE_I8,  SKIVE_U8,  SKIVE_BOOL};
    /* at and beyond the limits of the types; the numbers of each type are those that it can store */
    static const double values[] = {0,     -0.0,   0.5,    -0.99, 1.75, -1.75, 127.5,      128,       -129,
                                    255.9, 256,    300,    32768, -4e4, 65536, 2147483520, 3e9,       -2147483648.0,
                                    -3e9,  0x1p62, 0x1p63, -1e19, 1e30, -1e30, INFINITY,   -INFINITY, NAN};
    (void)unused;
    skive_context *ctx = skv_test_context();
    const int64_t n = SKV_COUNT(values) * 5;
    for (size_t from = 0; from < SKV_COUNT(types); from++) {
        skive_tensor x;
        skv_test_ok(ctx, skive_tensor_create(ctx, types[from], 1, &n, &x));
        for (int64_t i = 0; i < n; i++) {
            const double v = values[i % (int64_t)SKV_COUNT(values)];
            const bool real = skv_dtype_is_float(types[from]);
            skive_tensor_set(&x, i, real ? v : isfinite(v) && fabs(v) < 0x1p62 ? trunc(v) : 1);
        }
        for (size_t to = 0; to < SKV_COUNT(types); to++) {
            if (to == from) continue;
            skive_graph *g = graph(ctx);
            skv_builder b = skv_build(g);
            give(ctx, g, &b,
                 skv_emit(&b, "Cast", SKV_IN(any_input(ctx, g, types[from], 1, &n)),
                          SKV_ATTRS(SKV_INT("to", types[to]))));
            check_for(ctx, g, "convert", &x, 0, 0);
        }
        if (types[from] == SKIVE_F32 || types[from] == SKIVE_BOOL) {
            skive_graph *g = graph(ctx);
            skv_builder b = skv_build(g);
            skive_value *v = any_input(ctx, g, types[from], 1, &n);
            give(ctx, g, &b, skv_emit(&b, types[from] == SKIVE_F32 ? "IsNaN" : "Not", SKV_IN(v), SKV_NONE));
            check_for(ctx, g, "convert", &x, 0, 0);
        }
        skive_tensor_free(ctx, &x);
    }
    skv_test_context_end(ctx);
}

/* float16 both ways, with subnormal numbers and halves between. */
static void halves(void **unused) {
    static const double values[] = {0,    -0.0, 1,    1.0004882812, 1.0014648438, 65504,    65519,     65520, 1e6,
                                    -1e6, 6e-8, 3e-8, 2e-8,         6.1e-5,       INFINITY, -INFINITY, NAN,   0.333};
    (void)unused;
    skive_context *ctx = skv_test_context();
    const int64_t n = SKV_COUNT(values);
    skive_tensor x;
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 1, &n, &x));
    for (int64_t i = 0; i < n; i++) skive_tensor_set(&x, i, values[i]);
    skive_graph *g = graph(ctx);
    skv_builder b = skv_build(g);
    skive_value *half = skv_emit(&b, "Cast", SKV_IN(input(ctx, g, 1, &n)), SKV_ATTRS(SKV_INT("to", SKIVE_F16)));
    skive_value *back = skv_emit(&b, "Cast", SKV_IN(half), SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
    give(ctx, g, &b, half);
    give(ctx, g, &b, back);
    check_for(ctx, g, "convert", &x, 0, 0);
    skive_tensor_free(ctx, &x);
    skv_test_context_end(ctx);
}

static const char *const reductions[] = {"ReduceSum", "ReduceMean", "ReduceMax",       "ReduceMin",      "ReduceProd",
                                         "ReduceL1",  "ReduceL2",   "ReduceSumSquare", "ReduceLogSumExp"};

/* Every set of axes of four, kept or not, plain and behind a convolution. */
static void reduce_axes(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < (int)SKV_COUNT(reductions) * 15 * 4; which++) {
        const char *op = reductions[which % (int)SKV_COUNT(reductions)];
        const int mask = which / (int)SKV_COUNT(reductions) % 15 + 1, form = which / (int)SKV_COUNT(reductions) / 15;
        int64_t axes[4];
        size_t n = 0;
        for (int d = 0; d < 4; d++)
            if (mask >> d & 1) axes[n++] = d & 1 ? d - 4 : d;
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = tensor_of(ctx, g, form & 1 ? 32 : 19, form > 1);
        x = skv_emit(&b, "HardSigmoid", SKV_IN(x), SKV_ATTRS(SKV_FLT("alpha", 0.05F)));
        give(ctx, g, &b,
             skv_emit(&b, op, SKV_IN(x, skv_emit_ints(&b, axes, n)), SKV_ATTRS(SKV_INT("keepdims", which % 2))));
        check(ctx, g, "reduce_f32", 2e-5, form > 1 ? 1e-6 : 1e-30); /* convolutions round differently, too */
    }
    skv_test_context_end(ctx);
}

/* Long rows and columns: sums do not lose what is small. NaN and infinities come through. */
static void reduce_long(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (size_t k = 0; k < SKV_COUNT(reductions); k++) {
        for (int form = 0; form < 4; form++) {
            const int64_t dims[2] = {form & 1 ? 3 : 5000, form & 1 ? 5000 : 131}, axis = form & 1 ? 1 : 0;
            skive_tensor x = skv_test_random(ctx, SKIVE_F32, 2, dims, 3, 0.9995, 1.0005);
            if (form > 1) {
                skive_tensor_set(&x, 1, INFINITY);
                skive_tensor_set(&x, form & 1 ? 5000 : 2, -INFINITY);
                skive_tensor_set(&x, form & 1 ? 10000 + 77 : 131 * 40 + 5, NAN);
            }
            skive_graph *g = graph(ctx);
            skv_builder b = skv_build(g);
            give(ctx, g, &b,
                 skv_emit(&b, reductions[k], SKV_IN(input(ctx, g, 2, dims), skv_emit_ints(&b, &axis, 1)), SKV_NONE));
            check_for(ctx, g, "reduce_f32", &x, k == 4 ? 1e-4 : 2e-6, 0);
            skive_tensor_free(ctx, &x);
        }
    }
    skv_test_context_end(ctx);
}

/* Ties, NaN in the first place and elsewhere, every axis. */
static void places(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 2 * 2 * 3 * 3; which++) {
        const int64_t dims[3] = {3, 150, 141}, count = dims[0] * dims[1] * dims[2];
        const int axis = which / 4 % 3, form = which / 12;
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 3, dims, 3, -5, 5);
        for (int64_t i = 0; i < count; i++) {
            const double v = skive_tensor_get(&x, i);
            skive_tensor_set(&x, i, form == 1 ? rint(v) : form == 2 && i % 89 == 0 ? NAN : v);
        }
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        give(ctx, g, &b,
             skv_emit(&b, which & 1 ? "ArgMax" : "ArgMin", SKV_IN(input(ctx, g, 3, dims)),
                      SKV_ATTRS(SKV_INT("axis", axis), SKV_INT("select_last_index", which / 2 % 2))));
        check_for(ctx, g, "arg_f32", &x, 0, 0);
        skive_tensor_free(ctx, &x);
    }
    skv_test_context_end(ctx);
}

/* Few, many, all; ties, NaN, both zeros; every axis. */
static void best(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 3 * 3 * 3 * 2; which++) {
        const int axis = which % 3, form = which / 3 % 3, largest = which / 27;
        const int64_t dims[3] = {5, 141, 7}, count = dims[0] * dims[1] * dims[2],
                      k = (int64_t[]){1, 5, dims[axis]}[which / 9 % 3];
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 3, dims, 3, -5, 5);
        for (int64_t i = 0; i < count; i++) {
            const double v = skive_tensor_get(&x, i);
            const double odd = i % 11 == 0 ? (double)NAN : i % 7 == 0 ? -0.0 : i % 5 == 0 ? 0.0 : (double)INFINITY;
            skive_tensor_set(&x, i, form == 0 ? v : form == 1 ? rint(v) : i % 3 ? v : odd);
        }
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *y[2];
        (void)skv_emit_n(&b, "TopK", SKV_IN(input(ctx, g, 3, dims), skv_emit_ints(&b, &k, 1)),
                         SKV_ATTRS(SKV_INT("axis", axis), SKV_INT("largest", largest)), y, 2);
        give(ctx, g, &b, y[0]);
        give(ctx, g, &b, y[1]);
        check_for(ctx, g, "top_k_f32", &x, 0, 0);
        skive_tensor_free(ctx, &x);
    }
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic), cmocka_unit_test(comparisons), cmocka_unit_test(chosen),
        cmocka_unit_test(choices),    cmocka_unit_test(several),     cmocka_unit_test(special),
        cmocka_unit_test(powers),     cmocka_unit_test(layouts),     cmocka_unit_test(conversions),
        cmocka_unit_test(halves),     cmocka_unit_test(reduce_axes), cmocka_unit_test(reduce_long),
        cmocka_unit_test(places),     cmocka_unit_test(best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
