/* Which implementations of oneDNN are chosen: none that moves the stack pointer or allocates a scratchpad, whatever is
 * asked for, and none with AMX. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/onednn/convolution.h"
#include "support.h"

#include <cmocka.h>

static const struct {
    int64_t in, out, groups, side, kernel;
} forms[] = {{3, 32, 1, 20, 3},  {32, 64, 1, 14, 3}, {32, 32, 32, 14, 3}, {64, 64, 1, 14, 1},
             {20, 50, 1, 12, 5}, {64, 64, 4, 14, 3}, {1, 20, 1, 28, 5},   {256, 256, 1, 7, 3}};
enum { N_FORMS = sizeof forms / sizeof forms[0] };

/* The implementation for these layouts; empty: there is none. */
static const char *chosen(skive_context *ctx, int form, skv_dnnl_direction direction, skv_layout x, skv_layout y,
                          dnnl_primitive_desc_t *desc) {
    const int64_t in = forms[form].in, out = forms[form].out, groups = forms[form].groups, k = forms[form].kernel;
    const int64_t side = forms[form].side, pad = k / 2;
    const skive_type x_type = skive_type_make(SKIVE_F32, 4, (const int64_t[]){2, in, side, side});
    const skive_type y_type = skive_type_make(SKIVE_F32, 4, (const int64_t[]){2, out, side, side});
    skv_dnnl_conv c = {.s = {.m = out},
                       .w_rank = groups > 1 ? 5 : 4,
                       .w_dims = {out, in, k, k},
                       .strides = {1, 1},
                       .pad_lo = {pad, pad},
                       .pad_hi = {pad, pad}};
    const int64_t grouped[5] = {groups, out / groups, in / groups, k, k};
    if (groups > 1) memcpy(c.w_dims, grouped, sizeof grouped);
    skv_dnnl_conv_values v = {.direction = SKV_DNNL_FORWARD,
                              .training = true,
                              .algorithm = dnnl_convolution_direct,
                              .x = &x_type,
                              .y = &y_type,
                              .x_layout = x,
                              .y_layout = y};
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t hint = NULL;
    skv_test_ok(ctx, skv_dnnl_attr(ctx, &attr));
    dnnl_status_t s = skv_dnnl_conv_describe(&c, &v, attr, NULL, 1, desc);
    if (s == dnnl_success && direction != SKV_DNNL_FORWARD) {
        hint = *desc;
        v.direction = direction;
        s = skv_dnnl_conv_describe(&c, &v, attr, hint, 1, desc);
        dnnl_primitive_desc_destroy(hint);
    }
    dnnl_primitive_attr_destroy(attr);
    if (s == dnnl_success) return skv_dnnl_impl(*desc);
    assert_null(*desc);
    assert_true(s == dnnl_unimplemented || s == dnnl_invalid_arguments);
    return "";
}

static void stack_stays(void **state) {
    static const skv_layout layouts[] = {SKV_PLAIN, SKV_NHWC, SKV_C16, SKV_C8};
    static const skv_dnnl_direction directions[] = {SKV_DNNL_FORWARD, SKV_DNNL_BY_INPUT, SKV_DNNL_BY_WEIGHT};
    (void)state;
    int found = 0;
    if (!skv_dnnl_engine()) skip();
    skive_context *ctx = skv_test_context();
    for (int i = 0; i < N_FORMS * 4 * 4 * 3; i++) {
        dnnl_primitive_desc_t desc = NULL;
        const char *name = chosen(ctx, i / 48, directions[i % 3], layouts[i / 3 % 4], layouts[i / 12 % 4], &desc);
        if (strstr(name, "gemm") && !strstr(name, "brgemm")) fail_msg("form %d: %s was chosen", i / 48, name);
        if (strstr(name, "ref:") || strstr(name, "amx")) fail_msg("form %d: %s was chosen", i / 48, name);
        found += *name != 0;
        if (desc) {
            int64_t bytes = -1; /* of scratchpads that the primitive would allocate itself */
            assert_int_equal(dnnl_primitive_desc_query(desc, dnnl_query_memory_consumption_s64, 0, &bytes),
                             dnnl_success);
            assert_int_equal(bytes, 0);
            dnnl_primitive_desc_destroy(desc);
        }
    }
    skv_test_context_end(ctx);
    if (skv_cpu_isa() >= SKV_ISA_AVX2) assert_true(found > N_FORMS * 3);
}

/* AMX may be announced by a processor whose hypervisor hides what oneDNN reads of it; its instructions end the
 * process. */
static void amx_is_left_out(void **state) {
    (void)state;
    if (!skv_dnnl_engine()) skip();
    assert_int_equal((unsigned)dnnl_get_effective_cpu_isa() & ~(unsigned)dnnl_cpu_isa_avx512_core_bf16, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stack_stays),
        cmocka_unit_test(amx_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
