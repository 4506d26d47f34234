/* Winograd convolutions of oneDNN: our transform of the weights against the library's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* The descriptor the Winograd kernel wants its weights in; false where there is no such kernel. */
static bool wanted(const form *f, int threads, dnnl_memory_desc_t *out) {
    const dnnl_dims_t x = {1, f->in, f->side, f->side}, y = {1, f->out, f->side, f->side}, w = {f->out, f->in, 3, 3};
    const dnnl_dims_t ones = {1, 1}, none = {0, 0};
    dnnl_memory_desc_t x_md, y_md, w_md;
    dnnl_convolution_desc_t desc;
    dnnl_primitive_desc_t pd;
    if (!skv_dnnl_engine()) return false;
    assert_int_equal(dnnl_memory_desc_init_by_tag(&x_md, 4, x, dnnl_f32, dnnl_aBcd16b), dnnl_success);
    assert_int_equal(dnnl_memory_desc_init_by_tag(&y_md, 4, y, dnnl_f32, dnnl_aBcd16b), dnnl_success);
    assert_int_equal(dnnl_memory_desc_init_by_tag(&w_md, 4, w, dnnl_f32, dnnl_format_tag_any), dnnl_success);
    assert_int_equal(dnnl_dilated_convolution_forward_desc_init(&desc, dnnl_forward_inference,
                                                                dnnl_convolution_winograd, &x_md, &w_md, NULL, &y_md,
                                                                ones, none, ones, ones),
                     dnnl_success);
    if (skv_dnnl_desc_create(&desc, NULL, NULL, threads, &pd) != dnnl_success) return false;
    *out = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    dnnl_primitive_desc_destroy(pd);
    return out->format_kind == dnnl_format_kind_wino;
}

static void the_library_packs_the_same(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    int compared = 0;
    for (int threads = 1; threads <= 2; threads++) {
        for (int i = 0; i < N_FORMS; i++) {
            const int64_t dims[4] = {forms[i].out, forms[i].in, 3, 3};
            dnnl_memory_desc_t plain, md;
            skv_dnnl_prim reorder;
            if (!wanted(&forms[i], threads, &md)) continue;
            assert_true(skv_dnnl_md_dims(SKIVE_F32, 4, dims, &plain));
            if (!skv_dnnl_winograd_known(&plain, &md)) continue;
            skive_tensor w = skv_test_random(ctx, SKIVE_F32, 4, dims, 7, -1, 1);
            const size_t n = dnnl_memory_desc_get_size(&md) / sizeof(float);
            float *theirs = aligned_alloc(64, n * sizeof *theirs), *ours = aligned_alloc(64, n * sizeof *ours);
            skv_test_ok(ctx, skv_dnnl_reorder_create(ctx, &plain, &md, threads, &reorder));
            void *scratch = aligned_alloc(64, skv_align_up(reorder.scratch_bytes + 1, 64));
            assert_true(theirs && ours && scratch);
            const skv_dnnl_arg args[] = {{DNNL_ARG_FROM, &plain, w.data}, {DNNL_ARG_TO, &md, theirs}};
            skv_test_ok(ctx, skv_dnnl_run(ctx, &reorder, args, 2, scratch, "packing"));
            memset(ours, 0xff, n * sizeof *ours); /* a place left out would hold NaN */
            skv_dnnl_winograd_pack(w.data, &md, threads, ours);
            skv_test_floats(ours, theirs, n, 1e-6, 1e-6);
            compared++;
            skv_dnnl_prim_free(&reorder);
            skive_tensor_free(ctx, &w);
            free(theirs);
            free(ours);
            free(scratch);
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
