/* Models with a fixed batch, run with another one: each output must be that of the single sample. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <skive/exec.h>

#include "graph/batch.h"
#include "support.h"

#include <cmocka.h>

enum { STEPS = 3, WIDTH = 4, HEADS = 2, SAMPLES = 24 };

typedef skive_value *(*build_fn)(skv_builder *b, skive_value *x, int64_t n);

static skive_value *param(skv_builder *b, const char *name, int rank, const int64_t *dims, uint64_t seed) {
    skive_tensor t = skv_test_random(b->graph->ctx, SKIVE_F32, rank, dims, seed, -1, 1);
    skive_value *v = NULL;
    skv_test_ok(b->graph->ctx, skive_graph_add_parameter(b->graph, name, &t, &v));
    skive_tensor_free(b->graph->ctx, &t);
    return v;
}
#define DIMS(...) \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) { __VA_ARGS__ }
#define INTS(b, ...) \
    skv_emit_ints((b), (const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
#define OP(b, op, ...) skv_emit((b), op, SKV_IN(__VA_ARGS__), SKV_NONE)
#define PERM(b, x, ...)                                                   \
    skv_emit((b), "Transpose", SKV_IN(x),                                 \
             SKV_ATTRS(SKV_INTS("perm", ((const int64_t[]){__VA_ARGS__}), \
                                sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))))

/* A graph whose input is [n, STEPS, WIDTH]. */
static skive_graph *make(skive_context *ctx, build_fn build, int64_t n) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const int64_t dims[] = {n, STEPS, WIDTH};
    const skive_type type = skive_type_make(SKIVE_F32, 3, dims);
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = build(&b, x, n);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

/* Runs `g`, which takes n at once, on all samples. */
static void run_all(skive_context *ctx, const skive_graph *g, int64_t n, const skive_tensor *x, float *y, size_t each) {
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skv_test_ok(ctx, skive_plan_create(ctx, g, NULL, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    for (int64_t i = 0; i < SAMPLES; i += n) {
        skive_tensor in, out;
        skv_test_ok(ctx, skive_exec_input(exec, 0, &in));
        assert_int_equal(in.dims[0], n);
        memcpy(in.data, (const float *)x->data + i * STEPS * WIDTH, skive_tensor_bytes(&in));
        skv_test_ok(ctx, skive_exec_run(exec));
        skv_test_ok(ctx, skive_exec_output(exec, 0, &out));
        assert_int_equal(skive_tensor_count(&out), n * (int64_t)each);
        memcpy(y + i * (int64_t)each, out.data, skive_tensor_bytes(&out));
    }
    skive_exec_free(exec);
    skive_plan_free(plan);
}

static void check(build_fn build, int64_t n, size_t each) {
    skive_context *ctx = skv_test_context();
    skive_tensor x = skv_test_random(ctx, SKIVE_F32, DIMS(SAMPLES, STEPS, WIDTH), 5, -1, 1);
    float expected[SAMPLES * 64], actual[SAMPLES * 64];
    skive_graph *g = make(ctx, build, n);
    run_all(ctx, g, n, &x, expected, each);
    for (int64_t batch = 1; batch <= SAMPLES; batch = batch == 1 ? 6 : 4 * batch) {
        skive_graph *bound = NULL;
        skv_test_ok(ctx, skv_graph_bind_batch(ctx, g, batch, &bound));
        run_all(ctx, bound, batch, &x, actual, each);
        skv_test_floats(actual, expected, SAMPLES * each, 1e-5, 1e-6);
        skive_graph_free(bound);
    }
    assert_int_equal(skv_graph_fixed_batch(g), n); /* the graph itself is left alone */
    skive_graph_free(g);
    skive_tensor_free(ctx, &x);
    skv_test_context_end(ctx);
}

static void refused(build_fn build, int64_t n, const char *part) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = make(ctx, build, n), *bound = NULL;
    skv_test_fails(ctx, skv_graph_bind_batch(ctx, g, 7, &bound), SKIVE_ERR_SHAPE, part);
    assert_null(bound);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- shapes ---- */

static skive_value *flattened_by(skv_builder *b, skive_value *x, skive_value *shape) {
    skive_value *w = param(b, "w", DIMS(STEPS * WIDTH, 5), 1);
    return OP(b, "MatMul", OP(b, "Reshape", x, shape), w);
}
static skive_value *flat_open(skv_builder *b, skive_value *x, int64_t n) { return flattened_by(b, x, INTS(b, n, -1)); }
static skive_value *flat_full(skv_builder *b, skive_value *x, int64_t n) {
    return flattened_by(b, x, INTS(b, n, STEPS * WIDTH));
}
static skive_value *flat_right(skv_builder *b, skive_value *x, int64_t n) {
    (void)n;
    return flattened_by(b, x, INTS(b, -1, STEPS * WIDTH));
}
/* As many columns, and then rows, in the weights as there are samples, by chance. */
static skive_value *weights_like_batch(skv_builder *b, skive_value *x, int64_t n) {
    skive_value *y = OP(b, "Reshape", x, INTS(b, n, -1));
    y = OP(b, "MatMul", y, param(b, "w", DIMS(STEPS * WIDTH, n), 1));
    y = OP(b, "MatMul", y, param(b, "v", DIMS(n, n), 2));
    return OP(b, "Gemm", y, param(b, "u", DIMS(n, 5), 3), param(b, "c", DIMS(5), 4));
}
static void flattening(void **state) {
    (void)state;
    const int64_t fixed[] = {1, 2, 8};
    for (size_t i = 0; i < 3; i++) {
        check(flat_open, fixed[i], 5);
        check(flat_full, fixed[i], 5);
        check(flat_right, fixed[i], 5);
        check(weights_like_batch, fixed[i], 5);
    }
}

/* As torch's MultiheadAttention is exported: steps first, heads joined with the samples, both joined for the
 * projection. */
static skive_value *heads_of(skv_builder *b, skive_value *x, const char *name, int64_t n, uint64_t seed) {
    skive_value *y = OP(b, "MatMul", x, param(b, name, DIMS(WIDTH, WIDTH), seed));
    return PERM(b, OP(b, "Reshape", y, INTS(b, STEPS, n * HEADS, WIDTH / HEADS)), 1, 0, 2);
}
static skive_value *attention(skv_builder *b, skive_value *x, int64_t n) {
    skive_value *t = PERM(b, x, 1, 0, 2);
    skive_value *q = heads_of(b, t, "q", n, 1), *k = heads_of(b, t, "k", n, 2), *v = heads_of(b, t, "v", n, 3);
    skive_value *a = OP(b, "Softmax", OP(b, "MatMul", q, PERM(b, k, 0, 2, 1)));
    skive_value *y = PERM(b, OP(b, "MatMul", a, v), 1, 0, 2);
    y = OP(b, "Reshape", y, INTS(b, STEPS * n, WIDTH));
    y = OP(b, "Gemm", y, param(b, "out", DIMS(WIDTH, WIDTH), 4));
    y = OP(b, "Reshape", y, INTS(b, STEPS, n, WIDTH));
    return PERM(b, y, 1, 0, 2);
}
static void attention_with_joined_axes(void **state) {
    (void)state;
    check(attention, 1, STEPS * WIDTH);
    check(attention, 2, STEPS * WIDTH);
    check(attention, 8, STEPS * WIDTH);
}

static skive_value *sizes(skv_builder *b, skive_value *x, int64_t n) {
    skive_value *y = OP(b, "Reshape", x, INTS(b, n, 1, STEPS, WIDTH));
    y = OP(b, "Resize", y, NULL, NULL, INTS(b, n, 1, 2 * STEPS, WIDTH));
    y = OP(b, "Slice", y, INTS(b, 0, 0), INTS(b, n, STEPS), INTS(b, 0, 2));
    return OP(b, "Expand", y, INTS(b, n, 2, STEPS, WIDTH));
}
static void sizes_in_constants(void **state) {
    (void)state;
    check(sizes, 1, 2 * STEPS * WIDTH);
    check(sizes, 8, 2 * STEPS * WIDTH);
}

/* ---- constants for each sample ---- */

static skive_value *alike(skv_builder *b, int rank, const int64_t *dims, int axis, uint64_t seed) {
    int64_t one[SKIVE_MAX_RANK];
    for (int d = 0; d < rank; d++) one[d] = d == axis ? 1 : dims[d];
    skive_context *ctx = b->graph->ctx;
    skive_tensor row = skv_test_random(ctx, SKIVE_F32, rank, one, seed, -1, 1), all;
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, rank, dims, &all));
    int64_t inner = 1;
    for (int d = axis + 1; d < rank; d++) inner *= dims[d];
    for (int64_t i = 0; i < skive_tensor_count(&all); i++)
        ((float *)all.data)[i] = ((float *)row.data)[i / (inner * dims[axis]) * inner + i % inner];
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_parameter(b->graph, NULL, &all, &v));
    skive_tensor_free(ctx, &row);
    skive_tensor_free(ctx, &all);
    return v;
}

static skive_value *token(skv_builder *b, skive_value *x, int64_t n) {
    skive_value *y = skv_emit(b, "Concat", SKV_IN(alike(b, DIMS(n, 1, WIDTH), 0, 3), x), SKV_ATTRS(SKV_INT("axis", 1)));
    return OP(b, "Add", y, alike(b, DIMS(n, STEPS + 1, WIDTH), 0, 4));
}
static skive_value *lstm(skv_builder *b, skive_value *x, int64_t n) {
    enum { H = 5 };
    skive_value *out[3] = {NULL}, *zeros = OP(b, "ConstantOfShape", INTS(b, 1, n, H));
    skv_emit_n(b, "LSTM",
               SKV_IN(PERM(b, x, 1, 0, 2), param(b, "w", DIMS(1, 4 * H, WIDTH), 1), param(b, "r", DIMS(1, 4 * H, H), 2),
                      NULL, NULL, alike(b, DIMS(1, n, H), 1, 3), zeros),
               SKV_ATTRS(SKV_INT("hidden_size", H)), out, 3);
    return OP(b, "Reshape", out[1], INTS(b, n, H));
}
static void rows_for_each_sample(void **state) {
    (void)state;
    check(token, 1, (STEPS + 1) * WIDTH);
    check(token, 8, (STEPS + 1) * WIDTH);
    check(lstm, 1, 5);
    check(lstm, 8, 5);
}

/* What torch.onnx writes for as_strided: the mean over the steps, flat, and the places of its elements. */
static skive_value *strided(skv_builder *b, skive_value *x, int64_t n) {
    const int64_t dims[] = {n, 2, 2};
    skive_tensor t;
    skive_value *places = NULL;
    skv_test_ok(b->graph->ctx, skive_tensor_create(b->graph->ctx, SKIVE_I64, 3, dims, &t));
    for (int64_t i = 0; i < n * WIDTH; i++) ((int64_t *)t.data)[i] = i / WIDTH * WIDTH + (i * 3) % WIDTH;
    skv_test_ok(b->graph->ctx, skive_graph_add_parameter(b->graph, NULL, &t, &places));
    skive_tensor_free(b->graph->ctx, &t);
    skive_value *mean = OP(b, "ReduceMean", x, INTS(b, 1));
    return OP(b, "Gather", OP(b, "Reshape", mean, INTS(b, n * WIDTH)), places);
}
/* An embedding of places that the exporter spread over the samples. */
static skive_value *places(skv_builder *b, skive_value *x, int64_t n) {
    skive_value *at = OP(b, "Expand", INTS(b, 2, 0, 1), INTS(b, n, STEPS));
    return OP(b, "Add", x, OP(b, "Gather", param(b, "table", DIMS(9, WIDTH), 3), at));
}
/* Zeros for each of n samples, expanded by a shape that counts them. */
static skive_value *counted(skv_builder *b, skive_value *x, int64_t n) {
    skive_value *count = skv_emit(b, "Shape", SKV_IN(x), SKV_ATTRS(SKV_INT("start", 0), SKV_INT("end", 1)));
    skive_value *shape = skv_emit(b, "Concat", SKV_IN(count, INTS(b, 1, WIDTH)), SKV_ATTRS(SKV_INT("axis", 0)));
    skive_value *token = OP(b, "Expand", alike(b, DIMS(n, 1, WIDTH), 0, 6), shape);
    return skv_emit(b, "Concat", SKV_IN(x, token), SKV_ATTRS(SKV_INT("axis", 1)));
}
static void what_exporters_write(void **state) {
    (void)state;
    const int64_t fixed[] = {1, 2, 8};
    for (size_t i = 0; i < 3; i++) {
        check(strided, fixed[i], WIDTH);
        check(places, fixed[i], STEPS * WIDTH);
        check(counted, fixed[i], (STEPS + 1) * WIDTH);
    }
}

static skive_value *different_rows(skv_builder *b, skive_value *x, int64_t n) {
    return OP(b, "Add", x, param(b, "offsets", DIMS(n, 1, WIDTH), 4));
}
static skive_value *picked(skv_builder *b, skive_value *x, int64_t n) {
    (void)n;
    return skv_emit(b, "Gather", SKV_IN(x, skv_emit_scalar(b, SKIVE_I64, 0)), SKV_ATTRS(SKV_INT("axis", 0)));
}
static skive_value *averaged(skv_builder *b, skive_value *x, int64_t n) {
    (void)n;
    return OP(b, "ReduceMean", x, INTS(b, 0));
}
static skive_value *sequence(skv_builder *b, skive_value *x, int64_t n) {
    enum { H = 5 };
    (void)n;
    skive_value *out[3] = {NULL};
    skv_emit_n(b, "LSTM", SKV_IN(x, param(b, "w", DIMS(1, 4 * H, WIDTH), 1), param(b, "r", DIMS(1, 4 * H, H), 2)),
               SKV_ATTRS(SKV_INT("hidden_size", H)), out, 3);
    return out[1];
}
static skive_value *doubled(skv_builder *b, skive_value *x, int64_t n) {
    (void)n;
    return skv_emit(b, "Concat", SKV_IN(x, x), SKV_ATTRS(SKV_INT("axis", 0)));
}
static void what_mixes_samples_is_refused(void **state) {
    (void)state;
    check(different_rows, 1, STEPS * WIDTH); /* one row is for all */
    refused(different_rows, 8, "'offsets' has different values for each of 8 samples");
    refused(picked, 1, "(Gather) joins the samples of a batch or selects one of them");
    refused(averaged, 1, "(ReduceMean) joins the samples");
    refused(sequence, 1, "as the steps of one sequence");
    refused(doubled, 2, "(Concat) adds to the samples");
}

/* ---- an open batch ---- */

static void open_batch_is_bound(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = make(ctx, flat_right, 2), *bound = NULL;
    g->inputs[0]->type.dims[0] = (skive_dim){-1, "N"};
    skv_test_ok(ctx, skive_graph_infer(g));
    assert_int_equal(skv_graph_fixed_batch(g), -1);
    skv_test_ok(ctx, skv_graph_bind_batch(ctx, g, 7, &bound));
    assert_int_equal(bound->outputs[0]->type.dims[0].size, 7);
    skive_graph_free(bound);
    skive_graph_free(g);
    /* The file says that the batch is open, but a shape in it is that of one sample. */
    g = make(ctx, flat_full, 1);
    g->inputs[0]->type.dims[0] = (skive_dim){-1, "N"};
    skv_test_ok(ctx, skv_graph_bind_batch(ctx, g, 7, &bound));
    assert_int_equal(bound->outputs[0]->type.dims[0].size, 7);
    skive_graph_free(bound);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static skive_status bind(skive_context *ctx, void *user) {
    skive_graph *bound = NULL;
    const skive_status status = skv_graph_bind_batch(ctx, user, 3, &bound);
    skive_graph_free(bound);
    return status;
}

static void any_allocation_may_fail(void **state) {
    (void)state;
    const build_fn all[] = {lstm, attention, places, strided};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = make(ctx, all[i], 2);
        assert_true(skv_test_walk_allocations(bind, g, 7) > 10);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* A name that is made up must not be one that a file gave, or the graph could not be copied. */
static void made_up_names_are_new(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = make(ctx, flat_right, 2), *copy = NULL;
    for (int i = 0; i < 3; i++) {
        char name[32];
        skive_node *n = NULL;
        snprintf(name, sizeof name, "Relu_%u", g->next_name + 2);
        skv_test_ok(ctx, skive_graph_add_node(g, "Relu", name, &g->inputs[0], 1, 1, &n));
        for (int k = 0; k < 4; k++) skv_test_ok(ctx, skive_graph_add_node(g, "Relu", NULL, &g->inputs[0], 1, 1, &n));
    }
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &copy));
    skive_graph_free(copy);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flattening),
        cmocka_unit_test(attention_with_joined_axes),
        cmocka_unit_test(sizes_in_constants),
        cmocka_unit_test(rows_for_each_sample),
        cmocka_unit_test(what_exporters_write),
        cmocka_unit_test(open_batch_is_bound),
        cmocka_unit_test(made_up_names_are_new),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(what_mixes_samples_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
