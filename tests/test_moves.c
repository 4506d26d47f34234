/* Kernels that move elements, resize, and work on rows, against the reference, on many shapes, types and layouts. Runs
 * at each instruction-set level. */
#include "kernel_fixtures.h"

static skive_value *list(skv_builder *b, const int64_t *values, size_t n) { return skv_emit_ints(b, values, n); }

static skive_value *constant(skive_context *ctx, skive_graph *g, skive_dtype t, int rank, const int64_t *dims,
                             double low, double high) {
    skive_tensor x = skv_test_random(ctx, t, rank, dims, 9, low, high);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &x, &v));
    skive_tensor_free(ctx, &x);
    return v;
}

static const skive_dtype types[] = {SKIVE_F32, SKIVE_I64, SKIVE_U8, SKIVE_F16};

static void repeated(void **unused) {
    static const int64_t tiles[][3] = {{1, 1, 1}, {2, 1, 1}, {1, 3, 1}, {1, 1, 4}, {3, 2, 2}};
    static const struct {
        int rank;
        int64_t from[3], to[4];
    } wider[] = {{3, {2, 1, 5}, {1, 2, 7, 5}},
                 {3, {2, 3, 1}, {4, 2, 3, 40}},
                 {1, {5}, {2, 1, 3, 5}},
                 {0, {0}, {2, 2, 3, 4}},
                 {2, {3, 1}, {1, 2, 3, 1}}};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (size_t t = 0; t < SKV_COUNT(types); t++) {
        for (size_t k = 0; k < SKV_COUNT(tiles); k++) {
            skive_graph *g = graph(ctx);
            skv_builder b = skv_build(g);
            skive_value *x = any_input(ctx, g, types[t], 3, (int64_t[]){2, 3, 5});
            give(ctx, g, &b, skv_emit(&b, "Tile", SKV_IN(x, list(&b, tiles[k], 3)), SKV_NONE));
            check(ctx, g, k ? "pick" : NULL, 0, 0);
        }
        for (size_t k = 0; k < SKV_COUNT(wider); k++) {
            skive_graph *g = graph(ctx);
            skv_builder b = skv_build(g);
            skive_value *x = any_input(ctx, g, types[t], wider[k].rank, wider[k].from);
            give(ctx, g, &b, skv_emit(&b, "Expand", SKV_IN(x, list(&b, wider[k].to, 4)), SKV_NONE));
            check(ctx, g, "pick", 0, 0);
        }
    }
    skv_test_context_end(ctx);
}

/* Behind a convolution too, whose layout Slice and Pad of spatial axes keep. */
static void spatial(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 4 * 3 * 2; which++) {
        const int64_t c = (int64_t[]){3, 16, 19, 32}[which % 4];
        const bool blocked = which / 12 != 0;
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = tensor_of(ctx, g, c, blocked), *y;
        if (which / 4 % 3 == 0)
            y = skv_emit(&b, "Pad",
                         SKV_IN(x, list(&b, (int64_t[]){0, 0, 1, 2, 0, 0, 0, 1}, 8), skv_emit_scalar(&b, SKIVE_F32, 7)),
                         SKV_NONE);
        else if (which / 4 % 3 == 1)
            y = skv_emit(&b, "Slice",
                         SKV_IN(x, list(&b, (int64_t[]){1, 0}, 2), list(&b, (int64_t[]){5, 3}, 2),
                                list(&b, (int64_t[]){2, 3}, 2), list(&b, (int64_t[]){1, 2}, 2)),
                         SKV_NONE);
        else
            y = skv_emit(&b, "Pad", SKV_IN(x, list(&b, (int64_t[]){0, 0, 2, 2, 0, 0, 2, 2}, 8)),
                         SKV_ATTRS(SKV_STR("mode", "reflect")));
        give(ctx, g, &b, y);
        check(ctx, g, "pick", 1e-5, 1e-5);
    }
    skv_test_context_end(ctx);
}

static void gathers(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    const int64_t dims[3] = {4, 5, 6};
    for (size_t t = 0; t < SKV_COUNT(types); t++) {
        for (int axis = 0; axis < 3; axis++) {
            for (int narrow = 0; narrow < 2; narrow++) {
                const skive_dtype index = narrow ? SKIVE_I32 : SKIVE_I64;
                const double n = (double)dims[axis];
                skive_graph *g = graph(ctx);
                skv_builder b = skv_build(g);
                skive_value *x = any_input(ctx, g, types[t], 3, dims);
                skive_value *at = constant(ctx, g, index, 2, (int64_t[]){3, 7}, -n, n - 1);
                give(ctx, g, &b, skv_emit(&b, "Gather", SKV_IN(x, at), SKV_ATTRS(SKV_INT("axis", axis))));
                check(ctx, g, "gather", 0, 0);
                g = graph(ctx);
                b = skv_build(g);
                x = any_input(ctx, g, types[t], 3, dims);
                at = constant(ctx, g, index, 3, (int64_t[]){axis == 0 ? 9 : 3, axis == 1 ? 9 : 5, axis == 2 ? 9 : 4},
                              -n, n - 1);
                give(ctx, g, &b, skv_emit(&b, "GatherElements", SKV_IN(x, at), SKV_ATTRS(SKV_INT("axis", axis))));
                check(ctx, g, "gather", 0, 0);
            }
        }
        for (int form = 0; form < 6; form++) { /* tuples of 1 to 3, and batch axes */
            const int batch = form < 3 ? 0 : form < 5 ? 1 : 2;
            const int64_t tuple = form < 3 ? form + 1 : form < 5 ? form - 2 : 1;
            const int64_t at[3] = {batch > 0 ? 4 : 2, batch > 1 ? 5 : 3, tuple};
            skive_graph *g = graph(ctx);
            skv_builder b = skv_build(g);
            skive_value *x = any_input(ctx, g, types[t], 3, dims), *index = constant(ctx, g, SKIVE_I64, 3, at, -4, 3);
            give(ctx, g, &b, skv_emit(&b, "GatherND", SKV_IN(x, index), SKV_ATTRS(SKV_INT("batch_dims", batch))));
            check(ctx, g, "gather", 0, 0);
        }
    }
    skv_test_context_end(ctx);
}

/* An index out of range is said, in every form, with the node. */
static void outside(void **unused) {
    static const char *const ops[] = {"Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND"};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (size_t k = 0; k < SKV_COUNT(ops); k++) {
        for (int64_t bad = -5; bad <= 4; bad += 9) {
            const int64_t dims[2] = {4, 4}, one[2] = {1, 1};
            float values[16] = {0};
            skive_graph *g = graph(ctx);
            skv_builder b = skv_build(g);
            skive_value *x = input(ctx, g, 2, dims), *at = any_input(ctx, g, SKIVE_I64, 2, one);
            const int64_t row[2] = {1, 4};
            skive_value *updates = k < 3 ? NULL : constant(ctx, g, SKIVE_F32, 2, k == 3 ? one : row, 0, 1);
            give(ctx, g, &b, skv_emit(&b, ops[k], SKV_IN(x, at, updates), SKV_NONE));
            const skive_tensor in[2] = {skv_tensor_view(SKIVE_F32, 2, dims, values),
                                        skv_tensor_view(SKIVE_I64, 2, one, &bad)};
            skive_tensor y = {0};
            skv_test_fails(ctx, skive_graph_run(ctx, g, in, 2, &y, 1), SKIVE_ERR_SHAPE, "out of range");
            const char *named = strstr(skive_context_message(ctx), "node '"); /* once */
            assert_true(named && !strstr(named + 1, "node '"));
            skive_graph_free(g);
        }
    }
    skv_test_context_end(ctx);
}

/* Along every axis and by tuples, written, added, multiplied, the larger and the smaller; several updates for one place
 * come in the reference's order. The data is needed again, or not, and the result then lies over it. */
static void scattered(void **unused) {
    static const char *const how[] = {"none", "add", "mul", "max", "min"};
    const int64_t dims[3] = {4, 5, 6};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 4 * 6 * 5 * 2; which++) {
        const skive_dtype type = types[which % 4];
        const int form = which / 4 % 6, kind = which / 24 % 5, again = which / 120;
        if (kind && type != SKIVE_F32) continue;
        const int64_t part[3] = {form == 0 ? 9 : 3, form == 1 ? 9 : 5, form == 2 ? 9 : 4};
        const int64_t tuple = form - 2, at[2] = {7, tuple};
        int64_t updates[4] = {7};
        int rank = 1;
        for (int d = (int)tuple; form > 2 && d < 3; d++) updates[rank++] = dims[d];
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = any_input(ctx, g, type, 3, dims), *y, *from;
        if (again) skv_test_ok(ctx, skive_graph_add_output(g, x));
        if (!again && type == SKIVE_F32) x = skv_emit(&b, "Neg", SKV_IN(x), SKV_NONE);
        if (form < 3) {
            from = any_input(ctx, g, type, 3, part);
            y = skv_emit(&b, "ScatterElements",
                         SKV_IN(x, constant(ctx, g, which % 2 ? SKIVE_I32 : SKIVE_I64, 3, part, -4, 3), from),
                         SKV_ATTRS(SKV_INT("axis", form), SKV_STR("reduction", how[kind])));
        } else {
            from = any_input(ctx, g, type, rank, updates);
            y = skv_emit(&b, "ScatterND", SKV_IN(x, constant(ctx, g, SKIVE_I64, 2, at, -4, 3), from),
                         SKV_ATTRS(SKV_STR("reduction", how[kind])));
        }
        give(ctx, g, &b, y);
        check(ctx, g, "scatter", 0, 0);
    }
    skv_test_context_end(ctx);
}

/* Parts along every axis, of sizes given and equal, one that nobody wants, and put together again. */
static void divided(void **unused) {
    static const int64_t shapes[][3] = {{3, 5, 6}, {40, 7, 3}, {2, 300, 19}};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 4 * 3 * 3 * 2; which++) {
        const int64_t *dims = shapes[which / 4 % 3];
        const int axis = which / 12 % 3, given = which / 36;
        const int64_t n = dims[axis], sizes[3] = {n / 3, 1, n - n / 3 - 1};
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = any_input(ctx, g, types[which % 4], 3, dims), *y[3] = {NULL};
        if (given)
            (void)skv_emit_n(&b, "Split", SKV_IN(x, list(&b, sizes, 3)), SKV_ATTRS(SKV_INT("axis", axis)), y, 3);
        else
            (void)skv_emit_n(&b, "Split", SKV_IN(x), SKV_ATTRS(SKV_INT("axis", axis), SKV_INT("num_outputs", 2)), y, 2);
        give(ctx, g, &b, y[0]);
        if (given) give(ctx, g, &b, skv_emit(&b, "Concat", SKV_IN(y[2], y[0], y[2]), SKV_ATTRS(SKV_INT("axis", axis))));
        check(ctx, g, "split", 0, 0);
    }
    skv_test_context_end(ctx);
}

/* Integers over axes side by side; sums and products wrap. */
static void whole_numbers(void **unused) {
    static const char *const ops[] = {"ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin"};
    static const int64_t shapes[][4] = {{2, 3, 5, 7}, {1, 4, 300, 2}, {3, 1, 1, 9}};
    static const struct {
        size_t n;
        int64_t axes[3];
    } over[] = {{1, {0}}, {1, {1}}, {1, {-1}}, {2, {1, 2}}, {2, {2, 3}}, {3, {0, 1, 2}}, {0, {0}}};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 4 * 3 * 7 * 2; which++) {
        const skive_dtype type = which / 84 ? SKIVE_I32 : SKIVE_I64;
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = any_input(ctx, g, type, 4, shapes[which / 4 % 3]);
        const size_t k = (size_t)(which / 12 % 7);
        give(ctx, g, &b,
             skv_emit(&b, ops[which % 4], SKV_IN(x, over[k].n ? list(&b, over[k].axes, over[k].n) : NULL),
                      SKV_ATTRS(SKV_INT("keepdims", which % 2))));
        check(ctx, g, "reduce_integers", 0, 0);
    }
    skv_test_context_end(ctx);
}

/* Triangles with the diagonal anywhere, running sums along every axis, rows with one element on. */
static void lines(void **unused) {
    const int64_t dims[3] = {3, 5, 7}, wide[3] = {2, 3, 300};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 4 * 2 * 21; which++) {
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = any_input(ctx, g, types[which % 4], 3, dims),
                    *k = skv_emit_scalar(&b, SKIVE_I64, which / 8 - 10);
        give(ctx, g, &b, skv_emit(&b, "Trilu", SKV_IN(x, k), SKV_ATTRS(SKV_INT("upper", which / 4 % 2))));
        check(ctx, g, "lines", 0, 0);
    }
    for (int which = 0; which < 3 * 3 * 2 * 4; which++) {
        static const skive_dtype sums[] = {SKIVE_F32, SKIVE_I64, SKIVE_I32};
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = any_input(ctx, g, sums[which % 3], 3, which / 9 % 2 ? wide : dims),
                    *axis = skv_emit_scalar(&b, SKIVE_I64, which / 3 % 3 - (which % 2 ? 3 : 0));
        give(ctx, g, &b,
             skv_emit(&b, "CumSum", SKV_IN(x, axis),
                      SKV_ATTRS(SKV_INT("exclusive", which / 18 % 2), SKV_INT("reverse", which / 36))));
        check(ctx, g, "lines", 0, 0);
    }
    for (int which = 0; which < 4 * 3 * 2; which++) {
        const int64_t two = 2, at[2] = {3, 4};
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *index = constant(ctx, g, which / 12 ? SKIVE_I32 : SKIVE_I64, 2, at, -12, 11),
                    *values = any_input(ctx, g, types[which % 4], 1, &two);
        give(ctx, g, &b,
             skv_emit(&b, "OneHot", SKV_IN(index, skv_emit_scalar(&b, SKIVE_I64, 9), values),
                      SKV_ATTRS(SKV_INT("axis", which / 4 % 3))));
        check(ctx, g, "lines", 0, 0);
    }
    skv_test_context_end(ctx);
}

/* Every mode and padding, of one to three axes, blocks of positions that are full and not; outside and NaN too. */
static void grids(void **unused) {
    static const char *const modes[] = {"linear", "nearest", "cubic"}, *const paddings[] = {"zeros", "border",
                                                                                            "reflection"};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 3 * 3 * 2 * 3; which++) {
        const int mode = which % 3, spatial = which / 18 + 1;
        if (mode == 2 && spatial == 3) continue;
        const int64_t x_dims[5] = {2, which % 2 ? 3 : 19, 5, 7, 4};
        int64_t at[5] = {2, spatial == 1 ? 150 : 9};
        for (int d = 1; d < spatial; d++) at[1 + d] = spatial == 2 ? 15 : 4 + d;
        at[1 + spatial] = spatial;
        skive_tensor given[2] = {skv_test_random(ctx, SKIVE_F32, 2 + spatial, x_dims, 4, -2, 2),
                                 skv_test_random(ctx, SKIVE_F32, 2 + spatial, at, 5, -1.5, 1.5)};
        skive_tensor_set(&given[1], 3, NAN);
        skive_tensor_set(&given[1], 11, INFINITY);
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = input(ctx, g, 2 + spatial, x_dims), *grid = input(ctx, g, 2 + spatial, at);
        give(ctx, g, &b,
             skv_emit(&b, "GridSample", SKV_IN(x, grid),
                      SKV_ATTRS(SKV_STR("mode", modes[mode]), SKV_STR("padding_mode", paddings[which / 3 % 3]),
                                SKV_INT("align_corners", which / 9 % 2))));
        check_for(ctx, g, "grid_sample_f32", given, 1e-5, 2e-6);
        for (int i = 0; i < 2; i++) skive_tensor_free(ctx, &given[i]);
    }
    skv_test_context_end(ctx);
}

/* Mean and largest, points chosen and counted by the size of the region, regions that leave the map. */
static void regions(void **unused) {
    static const int64_t x_dims[4] = {2, 19, 9, 11}, roi_dims[2] = {5, 4}, n = 5;
    static const double corners[20] = {0, 0, 10, 8, 2.5, 1.25, 6, 7, -4, -3, 3, 3, 8, 6, 30, 20, 4, 4, 4, 4};
    static const int64_t samples[5] = {0, 1, 1, 0, 1};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 2 * 3 * 2; which++) {
        skive_tensor given[3] = {skv_test_random(ctx, SKIVE_F32, 4, x_dims, 4, -2, 2),
                                 skv_test_random(ctx, SKIVE_F32, 2, roi_dims, 4, 0, 1),
                                 skv_test_random(ctx, SKIVE_I64, 1, &n, 4, 0, 1)};
        for (int i = 0; i < 20; i++) skive_tensor_set(&given[1], i, corners[i]);
        for (int i = 0; i < 5; i++) skive_tensor_set(&given[2], i, (double)samples[i]);
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = input(ctx, g, 4, x_dims), *roi = input(ctx, g, 2, roi_dims),
                    *sample = any_input(ctx, g, SKIVE_I64, 1, &n);
        give(ctx, g, &b,
             skv_emit(
                 &b, "RoiAlign", SKV_IN(x, roi, sample),
                 SKV_ATTRS(SKV_INT("output_height", 3), SKV_INT("output_width", 4),
                           SKV_INT("sampling_ratio", which / 2 % 3), SKV_STR("mode", which % 2 ? "max" : "avg"),
                           SKV_STR("coordinate_transformation_mode", which / 6 ? "half_pixel" : "output_half_pixel"))));
        check_for(ctx, g, "roi_align_f32", given, 1e-5, 2e-6);
        for (int i = 0; i < 3; i++) skive_tensor_free(ctx, &given[i]);
    }
    skv_test_context_end(ctx);
}

static void line_norms(void **unused) {
    static const int64_t shapes[][4] = {{2, 6, 5, 3}, {1, 9, 20, 17}, {3, 1, 2, 1}, {1, 3, 300, 1}};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 4 * 4 * 5; which++) {
        static const double beta[] = {0.75, 0.5, 1, 0.6};
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = input(ctx, g, 4, shapes[which % 4]);
        give(ctx, g, &b,
             skv_emit(&b, "LRN", SKV_IN(x),
                      SKV_ATTRS(SKV_INT("size", which / 16 + 1), SKV_FLT("alpha", 0.7),
                                SKV_FLT("beta", beta[which / 4 % 4]), SKV_FLT("bias", 1.5))));
        check(ctx, g, "norm_lines_f32", 2e-6, 1e-6);
    }
    for (int which = 0; which < 4 * 4 * 2; which++) {
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x =
            skv_emit(&b, "Relu", SKV_IN(input(ctx, g, 4, shapes[which % 4])), SKV_NONE); /* lines of zeros */
        give(ctx, g, &b,
             skv_emit(&b, "LpNormalization", SKV_IN(x),
                      SKV_ATTRS(SKV_INT("axis", which / 4 % 4), SKV_INT("p", which / 16 + 1))));
        check(ctx, g, "norm_lines_f32", 1e-6, 1e-7);
    }
    skv_test_context_end(ctx);
}

/* Every order of four axes, of sizes that whole vectors fill and do not. */
static void transposed(void **unused) {
    static const int64_t sizes[][4] = {{3, 32, 2, 48}, {2, 17, 5, 33}, {1, 3, 1, 50}, {16, 1, 3, 16}};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 4 * 4 * 24; which++) {
        const int64_t *dims = sizes[which % 4];
        int64_t left[4] = {0, 1, 2, 3}, perm[4];
        for (int i = 0, rest = which / 16; i < 4; i++) {
            const int at = rest % (4 - i);
            rest /= 4 - i;
            perm[i] = left[at];
            for (int k = at; k < 3; k++) left[k] = left[k + 1];
        }
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = any_input(ctx, g, types[which / 4 % 4], 4, dims);
        give(ctx, g, &b, skv_emit(&b, "Transpose", SKV_IN(x), SKV_ATTRS(SKV_INTS("perm", perm, 4))));
        check(ctx, g, "transpose", 0, 0);
    }
    for (int which = 0; which < 4 * 3 * 2; which++) {
        static const char *const forms[] = {"DCR", "CRD", NULL};
        const char *mode = forms[which / 4 % 3];
        const int64_t n = which / 12 + 2, dims[4] = {2, 3 * n * n, 4 * n, 5 * n};
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = any_input(ctx, g, types[which % 4], 4, dims);
        give(ctx, g, &b,
             mode ? skv_emit(&b, "DepthToSpace", SKV_IN(x), SKV_ATTRS(SKV_INT("blocksize", n), SKV_STR("mode", mode)))
                  : skv_emit(&b, "SpaceToDepth", SKV_IN(x), SKV_ATTRS(SKV_INT("blocksize", n))));
        check(ctx, g, "transpose", 0, 0);
    }
    for (int which = 0; which < 2 * 2 * 3; which++) { /* in the layout of a convolution */
        const int64_t n = 2 + which % 2, c = (which / 4 + 1) * n * n * (which % 4 < 2 ? 1 : 8);
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = tensor_of(ctx, g, c, true);
        give(ctx, g, &b, skv_emit(&b, "DepthToSpace", SKV_IN(x), SKV_ATTRS(SKV_INT("blocksize", n))));
        check(ctx, g, "transpose", 1e-5, 1e-5);
    }
    skv_test_context_end(ctx);
}

static const char *const coordinates[] = {"half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"};

/* Of every type and rule to the nearest; linear and cubic in float32; larger, smaller, uneven, in every layout. */
static void resized(void **unused) {
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const int64_t sizes[][2] = {{10, 6}, {5, 6}, {3, 2}, {7, 10}, {15, 1}, {5, 3}};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 3 * 4 * 6 * 3; which++) {
        const int mode = which % 3, rule = which / 3 % 4, size = which / 12 % 6, form = which / 72;
        const int64_t c = form == 1 ? 19 : 32, to[4] = {2, c, sizes[size][0], sizes[size][1]};
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = tensor_of(ctx, g, c, form > 0);
        give(ctx, g, &b,
             skv_emit(&b, "Resize", SKV_IN(x, NULL, NULL, list(&b, to, 4)),
                      SKV_ATTRS(SKV_STR("mode", modes[mode]),
                                SKV_STR("coordinate_transformation_mode", coordinates[rule]),
                                SKV_INT("antialias", mode > 0 && size == 2), SKV_INT("exclude_outside", size == 3))));
        check(ctx, g, size == 5 ? NULL : mode ? "resample_f32" : "pick", 1e-5, 2e-5);
    }
    for (size_t t = 0; t < SKV_COUNT(types); t++) { /* one axis, or the last two, twice as long */
        for (int axis = 0; axis < 4; axis++) {
            float scale[3] = {1, 1, 1};
            if (axis < 3)
                scale[axis] = 2;
            else
                scale[1] = scale[2] = 2;
            const skive_tensor scales = skv_tensor_view(SKIVE_F32, 1, (int64_t[]){3}, scale);
            skive_value *v = NULL;
            skive_graph *g = graph(ctx);
            skv_builder b = skv_build(g);
            skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &scales, &v));
            skive_value *x = any_input(ctx, g, types[t], 3, (int64_t[]){3, 5, 33});
            give(ctx, g, &b,
                 skv_emit(&b, "Resize", SKV_IN(x, NULL, v),
                          SKV_ATTRS(SKV_STR("coordinate_transformation_mode", "asymmetric"),
                                    SKV_STR("nearest_mode", "floor"))));
            check(ctx, g, "pick", 0, 0);
        }
    }
    skv_test_context_end(ctx);
}

/* Over every axis, rows shorter and longer than vectors, far numbers, infinities and NaN. */
static void softmaxes(void **unused) {
    static const int64_t shapes[][3] = {{3, 5, 1}, {2, 7, 16}, {4, 3, 17}, {2, 150, 131}, {1, 33, 300}, {6, 1, 10}};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 6 * 3 * 2 * 2; which++) {
        const int64_t *dims = shapes[which % 6], count = dims[0] * dims[1] * dims[2];
        const bool far = which / 36 != 0;
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 3, dims, 3, far ? -90 : -4, far ? 90 : 4);
        if (far) {
            skive_tensor_set(&x, count / 3, -INFINITY);
            skive_tensor_set(&x, count - 1, NAN);
        }
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        give(ctx, g, &b,
             skv_emit(&b, which / 6 % 2 ? "LogSoftmax" : "Softmax", SKV_IN(input(ctx, g, 3, dims)),
                      SKV_ATTRS(SKV_INT("axis", which / 12 % 3))));
        check_for(ctx, g, "rows_f32", &x, 2e-5, 2e-6);
        skive_tensor_free(ctx, &x);
    }
    skv_test_context_end(ctx);
}

static void groups(void **unused) {
    static const int64_t shapes[][4] = {{2, 6, 5, 3}, {1, 12, 40, 70}, {3, 6, 1, 1}, {2, 6, 1, 17}};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int which = 0; which < 4 * 4; which++) {
        const int64_t *dims = shapes[which % 4], channels = dims[1], n = (int64_t[]){0, 1, 2, 3}[which / 4];
        skive_graph *g = graph(ctx);
        skv_builder b = skv_build(g);
        skive_value *x = input(ctx, g, 4, dims), *scale = parameter(ctx, g, 1, &channels, -1, 2),
                    *bias = parameter(ctx, g, 1, &channels, -1, 1);
        x = skv_emit(&b, "Add", SKV_IN(x, skv_emit_scalar(&b, SKIVE_F32, 20)), SKV_NONE);
        if (n == 0)
            x = skv_emit(&b, "InstanceNormalization", SKV_IN(x, scale, bias), SKV_NONE);
        else
            x = skv_emit(&b, "GroupNormalization", SKV_IN(x, scale, bias), SKV_ATTRS(SKV_INT("num_groups", n)));
        give(ctx, g, &b, x);
        check(ctx, g, "rows_f32", 1e-4, 1e-5);
    }
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scattered),     cmocka_unit_test(lines),    cmocka_unit_test(divided),
        cmocka_unit_test(whole_numbers), cmocka_unit_test(grids),    cmocka_unit_test(line_norms),
        cmocka_unit_test(regions),       cmocka_unit_test(repeated), cmocka_unit_test(spatial),
        cmocka_unit_test(gathers),       cmocka_unit_test(outside),  cmocka_unit_test(resized),
        cmocka_unit_test(softmaxes),     cmocka_unit_test(groups),   cmocka_unit_test(transposed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
