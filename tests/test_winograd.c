/* 3x3 convolutions of the sizes at which Winograd's algorithm is chosen, against the reference. */
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_to_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
