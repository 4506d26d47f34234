/* Winograd convolutions of oneDNN: our transform of the weights against the library's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/onednn/convolution.h"
#include "kernels/onednn/winograd_pack.h"
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

/* The Winograd kernel; false where there is none. */
static bool kernel_of(skive_context *ctx, const form *f, int threads, skv_dnnl_prim *out) {
    const int64_t x_dims[4] = {1, f->in, f->side, f->side}, y_dims[4] = {1, f->out, f->side, f->side};
    const skive_type x = skive_type_make(SKIVE_F32, 4, x_dims), y = skive_type_make(SKIVE_F32, 4, y_dims);
    const skv_dnnl_conv c = {.s = {.m = f->out},
                             .w_rank = 4,
                             .w_dims = {f->out, f->in, 3, 3},
                             .strides = {1, 1},
                             .pad_lo = {1, 1},
                             .pad_hi = {1, 1}};
    const skv_dnnl_conv_values v = {.direction = SKV_DNNL_FORWARD,
                                    .algorithm = dnnl_convolution_winograd,
                                    .x = &x,
                                    .y = &y,
                                    .x_layout = SKV_C16,
                                    .y_layout = SKV_C16};
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t desc;
    if (!skv_dnnl_engine()) return false;
    skv_test_ok(ctx, skv_dnnl_attr(ctx, &attr));
    const dnnl_status_t s = skv_dnnl_conv_describe(&c, &v, attr, NULL, threads, &desc);
    dnnl_primitive_attr_destroy(attr);
    if (s != dnnl_success) return false;
    skv_test_ok(ctx, skv_dnnl_prim_from(ctx, desc, threads, "convolution", out));
    return true;
}

static void the_library_packs_the_same(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    int compared = 0;
    for (int threads = 1; threads <= 2; threads++) {
        for (int i = 0; i < N_FORMS; i++) {
            const int64_t dims[4] = {forms[i].out, forms[i].in, 3, 3};
            skv_dnnl_md plain = {0};
            skv_dnnl_winograd how;
            skv_dnnl_prim kernel, reorder;
            if (!kernel_of(ctx, &forms[i], threads, &kernel)) continue;
            const skv_dnnl_md_ref md = skv_dnnl_prim_md(&kernel, DNNL_ARG_WEIGHTS);
            assert_true(skv_dnnl_md_dims(SKIVE_F32, 4, dims, &plain));
            if (skv_dnnl_winograd_known(skv_dnnl_md_get(&plain), md, &how)) {
                skive_tensor w = skv_test_random(ctx, SKIVE_F32, 4, dims, 7, -1, 1);
                const size_t n = dnnl_memory_desc_get_size(md) / sizeof(float);
                float *theirs = aligned_alloc(64, n * sizeof *theirs), *ours = aligned_alloc(64, n * sizeof *ours);
                skv_test_ok(ctx, skv_dnnl_reorder_create(ctx, skv_dnnl_md_get(&plain), md, threads, &reorder));
                void *scratch = aligned_alloc(64, skv_align_up(reorder.scratch_bytes + 1, 64));
                assert_true(theirs && ours && scratch);
                const skv_dnnl_arg args[] = {{DNNL_ARG_FROM, w.data}, {DNNL_ARG_TO, theirs}};
                skv_test_ok(ctx, skv_dnnl_run(ctx, &reorder, args, 2, scratch, "packing"));
                memset(ours, 0xff, n * sizeof *ours); /* a place left out would hold NaN */
                skv_dnnl_winograd_pack(w.data, &how, threads, ours);
                skv_test_floats(ours, theirs, n, 1e-6, 1e-6);
                compared++;
                skv_dnnl_prim_free(&reorder);
                skive_tensor_free(ctx, &w);
                free(theirs);
                free(ours);
                free(scratch);
            }
            skv_dnnl_md_free(&plain);
            skv_dnnl_prim_free(&kernel);
        }
    }
    skv_test_context_end(ctx);
    if (compared == 0) skip(); /* no Winograd kernels at this level, or another version of the library */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_library_packs_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
