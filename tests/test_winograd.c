/* 3x3 convolutions of the sizes at which Winograd's algorithm is chosen, against the reference, at the level of
 * SKIVE_ISA (CTest runs this program once per level). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skive/exec.h>

#include "graph/graph.h"
#include "support.h"

#include <cmocka.h>

typedef struct form {
    int64_t in, out, side;
} form;
/* Of every layout the library chooses among: by channels, and by size. */
static const form forms[] = {{64, 64, 56},  {64, 64, 14},   {64, 128, 56},  {128, 128, 28},
                             {128, 64, 28}, {128, 256, 14}, {256, 256, 14}, {256, 128, 15},
                             {96, 64, 20},  {256, 256, 28}, {512, 512, 14}};
enum { N_FORMS = sizeof forms / sizeof forms[0] };

static void close_to_the_reference(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    for (int i = 0; i < N_FORMS; i++) {
        const form *f = &forms[i];
        const int64_t x_dims[4] = {1, f->in, f->side, f->side}, w_dims[4] = {f->out, f->in, 3, 3};
        if (f->in * f->out * f->side * f->side > 64 * 64 * 56 * 56) continue; /* the reference would take seconds */
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 4, x_dims, 3, -1, 1);
        skive_tensor w = skv_test_random(ctx, SKIVE_F32, 4, w_dims, 4, -0.1, 0.1);
        static const int64_t pads[4] = {1, 1, 1, 1};
        skive_graph *g = NULL;
        skive_value *input;
        skv_test_ok(ctx, skive_graph_create(ctx, "conv", &g));
        const skive_type type = skive_type_make(SKIVE_F32, 4, x_dims);
        skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &input));
        skv_storage *storage = NULL;
        skv_test_ok(ctx, skv_storage_take(ctx, &w, &storage));
        skv_builder b = skv_build(g);
        skive_value *param = skv_emit_param(&b, "w", storage);
        skive_value *y = skv_emit(&b, "Conv", SKV_IN(input, param), SKV_ATTRS(SKV_INTS("pads", pads, 4)));
        skv_test_ok(ctx, b.status);
        skv_test_ok(ctx, skive_graph_add_output(g, y));
        skive_tensor got[2];
        for (int reference = 0; reference < 2; reference++) {
            skive_plan_options o = skive_plan_options_default();
            skive_plan *plan;
            skive_exec *exec;
            skive_tensor view;
            o.reference = reference;
            skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
            skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
            skv_test_ok(ctx, skive_exec_input(exec, 0, &view));
            memcpy(view.data, x.data, skive_tensor_bytes(&x));
            skv_test_ok(ctx, skive_exec_run(exec));
            skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
            skv_test_ok(ctx, skive_tensor_copy(ctx, &view, &got[reference]));
            skive_exec_free(exec);
            skive_plan_free(plan);
        }
        skv_test_tensors(&got[0], &got[1], 1e-4, 1e-4);
        skive_tensor_free(ctx, &got[0]);
        skive_tensor_free(ctx, &got[1]);
        skive_tensor_free(ctx, &x);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

/* Every form of the kernel for AVX2: parts of tiles and of blocks, what is fused, and both layouts. */
typedef struct whole {
    int64_t n, in, out, h, w, pads[4];
    bool bias, adds, last; /* last: the input comes with its channels last */
    const char *activation;
} whole;

static const whole wholes[] = {
    {1, 32, 16, 10, 10, {1, 1, 1, 1}, true, false, false, NULL},
    {2, 40, 24, 9, 13, {1, 1, 1, 1}, true, true, false, "Relu"},
    {1, 44, 12, 11, 15, {0, 1, 2, 0}, true, false, false, "Relu"},
    {3, 64, 64, 12, 7, {0, 0, 0, 0}, false, true, false, "HardSwish"},
    {1, 36, 30, 14, 14, {2, 2, 2, 2}, false, false, false, NULL},
    {1, 64, 48, 13, 9, {1, 0, 0, 1}, true, true, true, "Relu"},
    {2, 32, 40, 31, 17, {1, 1, 1, 1}, true, false, true, "Sigmoid"},
    {1, 256, 16, 14, 14, {1, 1, 1, 1}, false, false, false, "Relu"},
};

static skive_value *given(skive_graph *g, const char *name, int64_t n, int64_t c, int64_t h, int64_t w) {
    const int64_t dims[4] = {n, c, h, w};
    const skive_type type = skive_type_make(SKIVE_F32, 4, dims);
    skive_value *v;
    skv_test_ok(g->ctx, skive_graph_add_input(g, name, &type, &v));
    return v;
}

static skive_value *constant(skive_graph *g, const char *name, int rank, const int64_t *dims, uint64_t seed,
                             double reach) {
    skive_tensor t = skv_test_random(g->ctx, SKIVE_F32, rank, dims, seed, -reach, reach);
    skive_value *v;
    skv_test_ok(g->ctx, skive_graph_add_parameter(g, name, &t, &v));
    skive_tensor_free(g->ctx, &t);
    return v;
}

static skive_graph *whole_graph(skive_context *ctx, const whole *f) {
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "conv", &g));
    skv_builder b = skv_build(g);
    const int64_t oh = f->h + f->pads[0] + f->pads[2] - 2, ow = f->w + f->pads[1] + f->pads[3] - 2;
    const int64_t w_dims[4] = {f->out, f->in, 3, 3}, one[4] = {f->out, f->out, 1, 1}, last[4] = {0, 3, 1, 2};
    skive_value *x;
    if (f->last) { /* a Transpose that the layout takes over */
        x = given(g, "x", f->n, f->h, f->w, f->in);
        x = skv_emit(&b, "Transpose", SKV_IN(x), SKV_ATTRS(SKV_INTS("perm", last, 4)));
    } else {
        x = given(g, "x", f->n, f->in, f->h, f->w);
    }
    skive_value *w = constant(g, "w", 4, w_dims, 4, 0.1), *bias = f->bias ? constant(g, "b", 1, &f->out, 5, 1) : NULL;
    skive_value *y =
        skv_emit(&b, "Conv", bias ? SKV_IN(x, w, bias) : SKV_IN(x, w), SKV_ATTRS(SKV_INTS("pads", f->pads, 4)));
    if (f->adds) {
        skive_value *z = given(g, "z", f->n, f->out, oh, ow);
        y = skv_emit(&b, "Add", SKV_IN(y, z), SKV_NONE);
    }
    if (f->activation) y = skv_emit(&b, f->activation, SKV_IN(y), SKV_NONE);
    if (f->out % 8) /* padding of the last block must be zero for whoever reads it */
        y = skv_emit(&b, "Conv", SKV_IN(y, constant(g, "one", 4, one, 6, 0.3)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static void every_form(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++) {
        skive_graph *g = whole_graph(ctx, &wholes[i]);
        skive_tensor got[3];
        bool found = false;
        for (int way = 0; way < 3; way++) { /* one thread, two, the reference */
            skive_plan_options o = skive_plan_options_default();
            skive_plan *plan;
            skive_exec *exec;
            skive_tensor view;
            o.reference = way == 2;
            o.threads = way == 1 ? 2 : 1;
            skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
            for (size_t k = 0; k < skive_plan_step_count(plan); k++) {
                skive_plan_step step;
                skive_plan_step_get(plan, k, &step);
                found = found || (step.kernel && strcmp(step.kernel, "conv_winograd_f32_avx2") == 0);
            }
            skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
            for (size_t k = 0; k < skive_plan_input_count(plan); k++) {
                skv_test_ok(ctx, skive_exec_input(exec, k, &view));
                for (int64_t e = 0; e < skive_tensor_count(&view); e++)
                    ((float *)view.data)[e] = (float)skv_rng_normal(7, k, (uint64_t)e);
            }
            skv_test_ok(ctx, skive_exec_run(exec));
            skv_test_ok(ctx, skive_exec_run(exec));
            skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
            skv_test_ok(ctx, skive_tensor_copy(ctx, &view, &got[way]));
            skive_exec_free(exec);
            skive_plan_free(plan);
        }
        skv_test_tensors(&got[0], &got[2], 1e-5, 1e-5);
        assert_memory_equal(got[0].data, got[1].data, skive_tensor_bytes(&got[0]));
        SKV_ON(AVX2, if (skv_cpu_isa() == SKV_ISA_AVX2 && !found) fail_msg("form %zu: another kernel", i);)
        for (int way = 0; way < 3; way++) skive_tensor_free(ctx, &got[way]);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_to_the_reference),
        cmocka_unit_test(every_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
