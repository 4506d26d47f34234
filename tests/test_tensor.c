/* Tensors: element types, shapes, conversion, half precision, .npy files, parameter storages. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/endian.h"
#include "support.h"
#include "tensor/storage.h"
#include "tensor/tensor.h"

static const skive_dtype all_dtypes[] = {
#define X(name, code, bits, text) SKIVE_##name,
#include <skive/dtypes.inc>
#undef X
};
enum { DTYPES = sizeof all_dtypes / sizeof all_dtypes[0] };

static void dtypes_are_found_by_name(void **state) {
    (void)state;
    for (int i = 0; i < DTYPES; i++) {
        assert_int_equal(skive_dtype_find(skive_dtype_name(all_dtypes[i])), all_dtypes[i]);
        assert_true(skive_dtype_bits(all_dtypes[i]) >= 2);
        assert_true(skv_dtype_valid(all_dtypes[i]));
    }
    assert_int_equal(skive_dtype_find("float12"), SKIVE_DTYPE_NONE);
    assert_int_equal(skive_dtype_find(NULL), SKIVE_DTYPE_NONE);
    assert_string_equal(skive_dtype_name((skive_dtype)77), "none");
    assert_int_equal(skive_dtype_bits((skive_dtype)77), 0);
    int64_t low;
    uint64_t high;
    assert_true(skv_dtype_int_range(SKIVE_I4, &low, &high) && low == -8 && high == 7);
    assert_true(skv_dtype_int_range(SKIVE_U8, &low, &high) && low == 0 && high == 255);
    assert_true(skv_dtype_int_range(SKIVE_I64, &low, &high) && low == INT64_MIN && high == INT64_MAX);
    assert_true(skv_dtype_int_range(SKIVE_U64, &low, &high) && low == 0 && high == UINT64_MAX);
    assert_true(skv_dtype_int_range(SKIVE_BOOL, &low, &high) && low == 0 && high == 1);
    assert_false(skv_dtype_int_range(SKIVE_BF16, &low, &high));
    assert_false(skv_dtype_int_range(SKIVE_STRING, &low, &high));
}

static void shapes(void **state) {
    (void)state;
    char text[SKV_DIMS_TEXT];
    int64_t count, strides[3];
    const int64_t dims[3] = {2, 3, 4}, huge[3] = {INT64_MAX, 2, 0}, wide[2] = {INT64_MAX, 2}, negative[2] = {0, -1};
    assert_string_equal(skv_dims_text(3, dims, text, sizeof text), "[2,3,4]");
    assert_string_equal(skv_dims_text(0, NULL, text, sizeof text), "[]");
    assert_string_equal(skv_dims_text(3, dims, text, 5), "[2,3");
    int64_t longest[SKIVE_MAX_RANK];
    for (int i = 0; i < SKIVE_MAX_RANK; i++) longest[i] = INT64_MIN;
    assert_int_equal(strlen(skv_dims_text(SKIVE_MAX_RANK, longest, text, sizeof text)), 20 * 8 + 9);
    assert_true(skv_dims_count(3, dims, &count) && count == 24);
    assert_true(skv_dims_count(0, NULL, &count) && count == 1);
    assert_false(skv_dims_count(3, huge, &count)); /* a zero does not hide it: strides would overflow */
    assert_false(skv_dims_count(2, wide, &count));
    assert_false(skv_dims_count(2, negative, &count));
    skv_dims_strides(3, dims, strides);
    assert_true(strides[0] == 12 && strides[1] == 4 && strides[2] == 1);
    skive_tensor t = skv_tensor_view(SKIVE_I4, 3, dims, NULL);
    assert_int_equal(skive_tensor_bytes(&t), 12);
    t.dims[2] = 1;
    t.dims[1] = 1;
    t.dims[0] = 7;
    assert_int_equal(skive_tensor_bytes(&t), 4);
    t.dtype = SKIVE_F64;
    t.dims[0] = INT64_MAX / 4;
    assert_int_equal(skive_tensor_bytes(&t), 0);
    t.rank = 9;
    assert_int_equal(skive_tensor_count(&t), -1);
    skive_tensor u = skv_tensor_view(SKIVE_BF16, 3, dims, NULL);
    assert_string_equal(skv_tensor_text(&u, text, sizeof text), "bfloat16[2,3,4]");
}

static void creation_is_checked(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_tensor t;
    const int64_t negative[1] = {-3}, huge[2] = {INT64_MAX / 2, 1}, dims[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    skv_test_fails(ctx, skive_tensor_create(ctx, (skive_dtype)99, 0, NULL, &t), SKIVE_ERR_ARGUMENT, "99");
    skv_test_fails(ctx, skive_tensor_create(ctx, SKIVE_F32, 1, negative, &t), SKIVE_ERR_ARGUMENT, "[-3]");
    skv_test_fails(ctx, skive_tensor_create(ctx, SKIVE_F32, 2, huge, &t), SKIVE_ERR_LIMIT, "elements");
    skv_test_fails(ctx, skive_tensor_create(ctx, SKIVE_F32, 9, dims, &t), SKIVE_ERR_LIMIT, "9");
    assert_null(t.data);
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 0, NULL, &t));
    assert_int_equal(skive_tensor_count(&t), 1);
    assert_true(skive_tensor_get(&t, 0) == 0.0);
    assert_true(isnan(skive_tensor_get(&t, 1)) && isnan(skive_tensor_get(&t, -1)));
    skive_tensor_set(&t, 1, 5.0);
    skive_tensor_free(ctx, &t);
    assert_null(t.data);
    skive_tensor_free(ctx, &t);
    const int64_t none[2] = {3, 0};
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_I64, 2, none, &t));
    assert_non_null(t.data);
    skive_tensor copy;
    skv_test_ok(ctx, skive_tensor_copy(ctx, &t, &copy));
    assert_true(skv_tensor_same(&t, &copy));
    skive_tensor_free(ctx, &t);
    skive_tensor_free(ctx, &copy);
    skv_test_context_end(ctx);
}

static void elements_round_and_saturate(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    static const double values[] = {0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 7.49, 1e6, -1e6, 1e30, -1e30};
    enum { N = sizeof values / sizeof values[0] };
    const int64_t dims[1] = {N};
    for (int d = 0; d < DTYPES; d++) {
        skive_tensor t;
        if (all_dtypes[d] == SKIVE_STRING) continue; /* no numbers: tests/test_strings.c */
        skv_test_ok(ctx, skive_tensor_create(ctx, all_dtypes[d], 1, dims, &t));
        int64_t low = 0;
        uint64_t high = 0;
        bool whole = skv_dtype_int_range(all_dtypes[d], &low, &high);
        for (int64_t i = 0; i < N; i++) skive_tensor_set(&t, i, values[i]);
        for (int64_t i = 0; i < N; i++) { /* after all are written: neighbours in a byte must not disturb */
            double got = skive_tensor_get(&t, i), want = values[i];
            if (all_dtypes[d] == SKIVE_BOOL)
                want = want != 0.0;
            else if (whole)
                want = fmin(fmax(rint(want), (double)low), (double)high);
            if (skv_dtype_is_small_float(all_dtypes[d])) continue; /* below, each number */
            double rtol = all_dtypes[d] == SKIVE_BF16 ? 0x1p-8 : all_dtypes[d] == SKIVE_F16 ? 0x1p-11 : 0x1p-24;
            if (all_dtypes[d] == SKIVE_F16 && fabs(want) > 65520) want = copysign((double)INFINITY, want);
            if (!skv_test_close(got, want, rtol, 0)) {
                fail_msg("%s: %g became %g", skive_dtype_name(all_dtypes[d]), values[i], got);
            }
        }
        skive_tensor_set(&t, 0, (double)NAN);
        double nan = skive_tensor_get(&t, 0);
        const bool zero = whole || all_dtypes[d] == SKIVE_F4E2M1;
        assert_true(zero ? nan == (all_dtypes[d] == SKIVE_BOOL ? 1.0 : 0.0) : isnan(nan));
        /* The largest of int2 is 1, and 3 is no power of two. */
        const double fill = all_dtypes[d] == SKIVE_I2 || all_dtypes[d] == SKIVE_F8E8M0 ? 1 : 3;
        skv_tensor_fill(&t, fill);
        for (int64_t i = 0; i < N; i++) {
            assert_true(skive_tensor_get(&t, i) == (all_dtypes[d] == SKIVE_BOOL ? 1.0 : fill));
        }
        skive_tensor_free(ctx, &t);
    }
    skv_test_context_end(ctx);
}

/* The value of a half by its definition. */
static double half_value(unsigned bits) {
    int exponent = (int)(bits >> 10 & 31u);
    double fraction = (double)(bits & 1023u), sign = bits & 0x8000u ? -1.0 : 1.0;
    if (exponent == 31) return fraction > 0 ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp(1024.0 + fraction, exponent - 25) : ldexp(fraction, -24));
}

static void halves_are_exact_and_round_to_even(void **state) {
    (void)state;
    for (unsigned h = 0; h < 65536; h++) {
        double v = half_value(h);
        float f = skv_f16_to_f32((uint16_t)h), b = skv_bf16_to_f32((uint16_t)h);
        if (isnan(v)) {
            assert_true(isnan(f) && isnan(skv_f16_to_f32(skv_f32_to_f16(f))));
        } else {
            assert_true((double)f == v && !signbit(f) == !signbit(v));
            assert_int_equal(skv_f32_to_f16(f), h);
        }
        if (isnan(b))
            assert_true(isnan(skv_bf16_to_f32(skv_f32_to_bf16(b))));
        else
            assert_int_equal(skv_f32_to_bf16(b), h);
    }
    /* Between neighbours: half way goes to the even one, a little beside it to the nearer, also when the double is so
     * close to half way that a float cannot tell. */
    for (unsigned h = 0; h < 0x7bff; h++) {
        double low = half_value(h), high = half_value(h + 1), middle = (low + high) / 2;
        unsigned even = h & 1u ? h + 1 : h;
        assert_int_equal(skv_f32_to_f16((float)middle), even);
        assert_int_equal(skv_f32_to_f16(nextafterf((float)middle, -1.0f)), h);
        assert_int_equal(skv_f32_to_f16(nextafterf((float)middle, INFINITY)), h + 1);
        assert_int_equal(skv_f64_to_f16(middle), even);
        assert_int_equal(skv_f64_to_f16(nextafter(middle, -1.0)), h);
        assert_int_equal(skv_f64_to_f16(nextafter(middle, (double)INFINITY)), h + 1);
        assert_int_equal(skv_f64_to_f16(-nextafter(middle, (double)INFINITY)), 0x8000u | (h + 1));
    }
    for (unsigned h = 0; h < 0x7f7f; h++) {
        double low = (double)skv_bf16_to_f32((uint16_t)h), high = (double)skv_bf16_to_f32((uint16_t)(h + 1));
        double middle = (low + high) / 2;
        assert_int_equal(skv_f64_to_bf16(middle), h & 1u ? h + 1 : h);
        assert_int_equal(skv_f64_to_bf16(nextafter(middle, -1.0)), h);
        assert_int_equal(skv_f64_to_bf16(nextafter(middle, (double)INFINITY)), h + 1);
    }
    assert_int_equal(skv_f32_to_f16(65519.996f), 0x7bff);
    assert_int_equal(skv_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(skv_f32_to_f16(-1e30f), 0xfc00);
    assert_int_equal(skv_f64_to_f16(1e300), 0x7c00);
    assert_int_equal(skv_f64_to_bf16(1e300), 0x7f80);
    assert_int_equal(skv_f64_to_bf16(-1e-300), 0x8000);
}

static void four_bits_are_packed_low_half_first(void **state) {
    (void)state;
    const int8_t values[5] = {-8, 7, -1, 0, 3};
    uint8_t packed[3], u[5];
    int8_t back[5];
    skv_pack4(values, 5, packed);
    assert_int_equal(packed[0], 0x78);
    assert_int_equal(packed[1], 0x0f);
    assert_int_equal(packed[2], 0x03);
    skv_unpack_i4(packed, 5, back);
    assert_memory_equal(back, values, 5);
    skv_unpack_u4(packed, 5, u);
    assert_int_equal(u[0], 8);
    assert_int_equal(u[2], 15);
    for (size_t i = 0; i < 5; i++) {
        assert_true(skv_load_f64(SKIVE_I4, packed, i) == values[i]);
        assert_true(skv_load_f64(SKIVE_U4, packed, i) == u[i]);
    }
}

/* Codes and their numbers from the ONNX specification; and every number between neighbours goes to the nearer, in a
 * tie to the even code. */
static void float8_is_the_nearest(void **state) {
    static const struct {
        skive_dtype dtype;
        uint8_t code;
        double value;
    } known[] = {
        {SKIVE_F8E4M3FN, 0x7e, 448},     {SKIVE_F8E4M3FN, 0x08, 0x1p-6},    {SKIVE_F8E4M3FN, 0x81, -0x1p-9},
        {SKIVE_F8E4M3FNUZ, 0x7f, 240},   {SKIVE_F8E4M3FNUZ, 0x08, 0x1p-7},  {SKIVE_F8E4M3FNUZ, 0x81, -0x1p-10},
        {SKIVE_F8E5M2, 0x7b, 57344},     {SKIVE_F8E5M2, 0x04, 0x1p-14},     {SKIVE_F8E5M2, 0x81, -0x1p-16},
        {SKIVE_F8E5M2FNUZ, 0x7f, 57344}, {SKIVE_F8E5M2FNUZ, 0x04, 0x1p-15}, {SKIVE_F8E5M2FNUZ, 0x81, -0x1p-17},
        {SKIVE_F8E5M2, 0x7c, INFINITY},  {SKIVE_F8E4M3FN, 0x3c, 1.5},       {SKIVE_F8E5M2FNUZ, 0xc2, -1.5},
    };
    static const skive_dtype types[] = {SKIVE_F8E4M3FN, SKIVE_F8E4M3FNUZ, SKIVE_F8E5M2, SKIVE_F8E5M2FNUZ};
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        assert_true(skv_f8_to_f64(known[i].dtype, known[i].code) == known[i].value);
        assert_int_equal(skv_f64_to_f8(known[i].dtype, known[i].value, false), known[i].code);
    }
    for (size_t d = 0; d < 4; d++) {
        const skive_dtype t = types[d];
        const bool unsigned_zero = t == SKIVE_F8E4M3FNUZ || t == SKIVE_F8E5M2FNUZ;
        int code = 0;
        for (; code < 127 && isfinite(skv_f8_to_f64(t, (uint8_t)(code + 1))); code++) {
            const double a = skv_f8_to_f64(t, (uint8_t)code), b = skv_f8_to_f64(t, (uint8_t)(code + 1)),
                         half = (a + b) / 2;
            const int minus_a = code || !unsigned_zero ? code + 128 : 0;
            assert_true(a < b);
            assert_int_equal(skv_f64_to_f8(t, a, true), code);
            assert_int_equal(skv_f64_to_f8(t, half, true), code % 2 ? code + 1 : code);
            assert_int_equal(skv_f64_to_f8(t, nextafter(half, 0), true), code);
            assert_int_equal(skv_f64_to_f8(t, nextafter(half, 1e9), true), code + 1);
            assert_int_equal(skv_f64_to_f8(t, -nextafter(half, 0), true), minus_a);
        }
        const int nan = unsigned_zero ? 128 : 127;
        assert_int_equal(skv_f64_to_f8(t, 1e9, true), code);
        assert_int_equal(skv_f64_to_f8(t, -(double)INFINITY, true), code + 128);
        assert_int_equal(skv_f64_to_f8(t, 1e9, false), t == SKIVE_F8E5M2 ? 0x7c : nan);
        assert_int_equal(skv_f64_to_f8(t, (double)NAN, true), nan);
        assert_true(isnan(skv_f8_to_f64(t, (uint8_t)nan)));
    }
}

/* Levels of E2M1 and powers of two as the Microscaling specification has them; ties, ends, and what is no number. */
static void smallest_floats_are_the_nearest(void **state) {
    static const double levels[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    (void)state;
    for (unsigned code = 0; code < 8; code++) {
        assert_true(skv_f4_to_f64(code) == levels[code] && skv_f4_to_f64(code | 8) == -levels[code]);
        assert_int_equal(skv_f64_to_f4(levels[code]), code);
        assert_int_equal(skv_f64_to_f4(-levels[code]), code | 8);
        if (code == 7) break;
        const double half = (levels[code] + levels[code + 1]) / 2;
        assert_int_equal(skv_f64_to_f4(half), code % 2 ? code + 1 : code);
        assert_int_equal(skv_f64_to_f4(nextafter(half, 0)), code);
        assert_int_equal(skv_f64_to_f4(nextafter(half, 9)), code + 1);
    }
    assert_int_equal(skv_f64_to_f4(1e9), 7);
    assert_int_equal(skv_f64_to_f4(-(double)INFINITY), 15);
    for (int code = 0; code < 255; code++) {
        const double power = ldexp(1, code - 127);
        assert_true(skv_e8m0_to_f64((uint8_t)code) == power);
        for (int r = SKV_E8M0_UP; r <= SKV_E8M0_NEAREST; r++)
            assert_int_equal(skv_f64_to_e8m0(power, (skv_e8m0_rounding)r, false), code);
        if (code == 254) break;
        assert_int_equal(skv_f64_to_e8m0(power * 1.01, SKV_E8M0_UP, true), code + 1);
        assert_int_equal(skv_f64_to_e8m0(power * 1.99, SKV_E8M0_DOWN, true), code);
        assert_int_equal(skv_f64_to_e8m0(power * 1.5, SKV_E8M0_NEAREST, true), code + 1);
        assert_int_equal(skv_f64_to_e8m0(power * 1.49, SKV_E8M0_NEAREST, true), code);
    }
    assert_true(isnan(skv_e8m0_to_f64(255)));
    assert_int_equal(skv_f64_to_e8m0((double)NAN, SKV_E8M0_UP, true), 255);
    assert_int_equal(skv_f64_to_e8m0(1e300, SKV_E8M0_UP, true), 254);
    assert_int_equal(skv_f64_to_e8m0(1e300, SKV_E8M0_NEAREST, false), 255);
    assert_int_equal(skv_f64_to_e8m0(1e-300, SKV_E8M0_UP, true), 0);
    assert_int_equal(skv_f64_to_e8m0(0, SKV_E8M0_UP, true), 0);
    assert_int_equal(skv_f64_to_e8m0(0, SKV_E8M0_NEAREST, false), 255);
}

/* Elements of 2 bits: four in a byte, the first in the lowest bits. */
static void two_bits_are_packed(void **state) {
    uint8_t packed[2] = {0xff, 0xff};
    static const int values[5] = {1, -2, 0, -1, 1};
    (void)state;
    for (size_t i = 0; i < 5; i++) skv_store_f64(SKIVE_I2, packed, i, values[i]);
    for (size_t i = 0; i < 5; i++) assert_true(skv_load_f64(SKIVE_I2, packed, i) == values[i]);
    assert_int_equal(packed[0], 0xc9);
    assert_int_equal(packed[1], 0xfd);
    size_t bytes;
    assert_true(skv_dtype_bytes(SKIVE_U2, 5, &bytes) && bytes == 2);
    assert_true(skv_dtype_bytes(SKIVE_U2, 8, &bytes) && bytes == 2);
    assert_true(skv_dtype_bytes(SKIVE_F4E2M1, 3, &bytes) && bytes == 2);
}

/* A number that both types hold. */
static double held_by(skive_dtype a, skive_dtype b, int64_t i) {
    const skive_dtype both[] = {a, b};
    int64_t most = 7;
    bool powers = false;
    for (int k = 0; k < 2; k++) {
        const int64_t limit = both[k] == SKIVE_I2 ? 1 : both[k] == SKIVE_U2 ? 3 : both[k] == SKIVE_F4E2M1 ? 4 : 7;
        if (limit < most) most = limit;
        powers = powers || both[k] == SKIVE_F8E8M0;
    }
    if (!powers) return (double)(i % (most + 1));
    return most < 2 ? 1 : most < 4 ? (double)(1 << i % 2) : (double)(1 << i % 3);
}

static void conversion_keeps_what_fits(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    const int64_t dims[2] = {3, 5};
    for (int a = 0; a < DTYPES; a++) {
        for (int b = 0; b < DTYPES; b++) {
            skive_tensor from, to;
            if (all_dtypes[a] == SKIVE_STRING || all_dtypes[b] == SKIVE_STRING) continue;
            skv_test_ok(ctx, skive_tensor_create(ctx, all_dtypes[a], 2, dims, &from));
            for (int64_t i = 0; i < 15; i++) skive_tensor_set(&from, i, held_by(all_dtypes[a], all_dtypes[b], i));
            skv_test_ok(ctx, skv_tensor_convert(ctx, &from, all_dtypes[b], &to));
            assert_int_equal(to.dtype, all_dtypes[b]);
            for (int64_t i = 0; i < 15; i++) {
                bool truth = all_dtypes[a] == SKIVE_BOOL || all_dtypes[b] == SKIVE_BOOL;
                const double value = held_by(all_dtypes[a], all_dtypes[b], i);
                assert_true(skive_tensor_get(&to, i) == (truth ? value != 0 : value));
            }
            skive_tensor_free(ctx, &from);
            skive_tensor_free(ctx, &to);
        }
    }
    /* Beyond what a double holds. */
    const int64_t three[1] = {3};
    int64_t wide[3] = {(INT64_C(1) << 60) + 1, -5, INT64_MIN};
    skive_tensor view = skv_tensor_view(SKIVE_I64, 1, three, wide), out;
    skv_test_ok(ctx, skv_tensor_convert(ctx, &view, SKIVE_U64, &out));
    assert_true(((uint64_t *)out.data)[0] == (UINT64_C(1) << 60) + 1);
    assert_true(((uint64_t *)out.data)[1] == 0 && ((uint64_t *)out.data)[2] == 0);
    ((uint64_t *)out.data)[1] = UINT64_MAX;
    skive_tensor back;
    skv_test_ok(ctx, skv_tensor_convert(ctx, &out, SKIVE_I64, &back));
    assert_true(((int64_t *)back.data)[0] == wide[0] && ((int64_t *)back.data)[1] == INT64_MAX);
    skive_tensor_free(ctx, &back);
    skive_tensor_free(ctx, &out);
    skv_test_ok(ctx, skv_tensor_convert(ctx, &view, SKIVE_I8, &out));
    assert_true(((int8_t *)out.data)[0] == 127 && ((int8_t *)out.data)[1] == -5 && ((int8_t *)out.data)[2] == -128);
    skive_tensor_free(ctx, &out);
    /* In pieces. */
    float some[4];
    const uint16_t halves[6] = {0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600};
    skv_to_f32(SKIVE_F16, halves, 2, 4, some);
    assert_true(some[0] == 3.0f && some[3] == 6.0f);
    int8_t bytes[6] = {9, 9, 9, 9, 9, 9};
    skv_from_f32(SKIVE_I8, bytes, 1, 4, some);
    assert_true(bytes[0] == 9 && bytes[1] == 3 && bytes[4] == 6 && bytes[5] == 9);
    skv_test_context_end(ctx);
}

static void npy_comes_back_as_it_was(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH];
    skv_test_make_dir(dir);
    skv_test_path(path, dir, "x.npy");
    const int64_t dims[3] = {2, 3, 5};
    for (int d = 0; d < DTYPES; d++) {
        for (int rank = 0; rank <= 3; rank++) {
            skive_tensor t = skv_test_random(ctx, all_dtypes[d], rank, dims, 1, -100, 100), wide, back;
            const bool widened = all_dtypes[d] == SKIVE_BF16 || skv_dtype_is_small_float(all_dtypes[d]);
            skive_dtype kept = widened                                                  ? SKIVE_F32
                               : all_dtypes[d] == SKIVE_I4 || all_dtypes[d] == SKIVE_I2 ? SKIVE_I8
                               : all_dtypes[d] == SKIVE_U4 || all_dtypes[d] == SKIVE_U2 ? SKIVE_U8
                                                                                        : all_dtypes[d];
            skv_test_ok(ctx, skv_tensor_convert(ctx, &t, kept, &wide));
            skv_test_ok(ctx, skive_tensor_save_npy(ctx, path, &t));
            skv_test_ok(ctx, skive_tensor_load_npy(ctx, path, &back));
            assert_true(skv_tensor_same(&wide, &back));
            skive_tensor_free(ctx, &t);
            skive_tensor_free(ctx, &wide);
            skive_tensor_free(ctx, &back);
        }
    }
    /* The bytes NumPy itself writes for this one. */
    int16_t six[6] = {0, 1, 2, 3, 4, 5};
    skive_tensor t = skv_tensor_view(SKIVE_I16, 2, dims, six);
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, path, &t));
    skv_map *map;
    skv_test_ok(ctx, skv_map_open(ctx, path, &map));
    assert_int_equal(skv_map_size(map), 128 + sizeof six);
    static const char start[] = "\x93NUMPY\x01\x00v\x00{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }  ";
    assert_memory_equal(skv_map_data(map), start, sizeof start - 1);
    assert_int_equal(skv_map_data(map)[127], '\n');
    for (unsigned i = 0; i < 6; i++) assert_int_equal(skv_load_le16(skv_map_data(map) + 128 + 2 * i), i);
    skv_map_release(map);
    skive_tensor bad = {.dtype = SKIVE_F32, .rank = 1, .dims = {-1}};
    skv_test_fails(ctx, skive_tensor_save_npy(ctx, path, &bad), SKIVE_ERR_ARGUMENT, path);
    skv_test_remove_dir(dir);
    skv_test_context_end(ctx);
}

/* Written in parts, a file is the one written as a whole; until the end the old one stays. */
static void npy_in_parts(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char dir[SKV_TEST_PATH], path[2][SKV_TEST_PATH];
    const int64_t dims[3] = {7, 3, 2};
    skive_npy_stream *s[2] = {NULL};
    skive_tensor back;
    skv_test_make_dir(dir);
    skv_test_path(path[0], dir, "x.npy");
    skv_test_path(path[1], dir, "y.npy");
    for (int d = 0; d < DTYPES; d++) {
        if (all_dtypes[d] == SKIVE_STRING) continue; /* refused: tests/test_strings.c */
        skive_tensor t = skv_test_random(ctx, all_dtypes[d], 3, dims, 1, -100, 100);
        skive_tensor old;
        const size_t row = skive_tensor_bytes(&t) / 7;
        if (skive_dtype_bits(t.dtype) < 8) { /* rows of whole bytes are wanted here */
            skive_tensor_free(ctx, &t);
            continue;
        }
        skv_test_ok(ctx, skive_tensor_save_npy(ctx, path[1], &t));
        skv_test_ok(ctx, skive_tensor_load_npy(ctx, path[1], &old));
        skive_tensor first = t, rest = t;
        first.dims[0] = 3;
        rest.dims[0] = 4;
        rest.data = (char *)t.data + 3 * row;
        for (int k = 0; k < 2; k++) skv_test_ok(ctx, skive_npy_stream_open(ctx, path[k], t.dtype, 3, dims, &s[k]));
        skv_test_ok(ctx, skive_npy_stream_write(s[0], &first));
        skv_test_fails(ctx, skive_npy_stream_write(s[0], &t), SKIVE_ERR_SHAPE, "does not continue");
        skv_test_ok(ctx, skive_npy_stream_write(s[0], &rest));
        skv_test_ok(ctx, skive_npy_stream_write(s[1], &first));
        if (d == 0) /* one is not complete: neither is written */
            skv_test_fails(ctx, skive_npy_streams_commit(s, 2), SKIVE_ERR_ARGUMENT, "3 of 7 entries");
        else {
            skv_test_ok(ctx, skive_npy_stream_write(s[1], &rest));
            skv_test_ok(ctx, skive_npy_streams_commit(s, 2));
        }
        assert_null(s[0]);
        assert_null(s[1]);
        if (d == 0) skv_test_fails(ctx, skive_tensor_load_npy(ctx, path[0], &back), SKIVE_ERR_IO, "x.npy");
        skv_test_ok(ctx, skive_tensor_load_npy(ctx, path[d > 0 ? 0 : 1], &back));
        assert_true(skv_tensor_same(&old, &back));
        skive_tensor_free(ctx, &back);
        skive_tensor_free(ctx, &old);
        skive_tensor_free(ctx, &t);
    }
    skv_test_remove_dir(dir);
    skv_test_context_end(ctx);
}

/* A .npy file of this header and `bytes` bytes 0, 1, 2 ... of data. */
static size_t make_npy(unsigned char *out, int version, const char *header, size_t bytes) {
    size_t n = strlen(header), start = version == 1 ? 10 : 12;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (unsigned char)version;
    out[7] = 0;
    out[8] = (unsigned char)(n & 255u);
    out[9] = (unsigned char)(n >> 8);
    if (version > 1) out[10] = out[11] = 0;
    memcpy(out + start, header, n);
    for (size_t i = 0; i < bytes; i++) out[start + n + i] = (unsigned char)i;
    return start + n + bytes;
}

static void npy_headers_are_read_strictly(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH];
    unsigned char file[1024];
    skive_tensor t;
    skv_test_make_dir(dir);
    skv_test_path(path, dir, "x.npy");
    static const struct {
        int version;
        const char *header;
        size_t bytes;
        skive_status status;
        const char *part; /* of the message */
    } cases[] = {
        {1, "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }", 12, SKIVE_OK, ""},
        {2, "{'descr': '>i2', 'fortran_order': False, 'shape': (2, 3), }   \n", 12, SKIVE_OK, ""},
        {3, "{\"shape\": (6,), 'fortran_order': True, 'descr': '|u1'}", 6, SKIVE_OK, ""},
        {1, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }", 8, SKIVE_OK, ""},
        {1, "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }", 12, SKIVE_ERR_UNSUPPORTED, "Fortran"},
        {1, "{'descr': [('a', '<i2')], 'fortran_order': False, 'shape': (2,)}", 4, SKIVE_ERR_UNSUPPORTED, "structured"},
        {1, "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", 4, SKIVE_ERR_UNSUPPORTED, "'|O'"},
        {1, "{'descr': '<c8', 'fortran_order': False, 'shape': (2,), }", 16, SKIVE_ERR_UNSUPPORTED, "'<c8'"},
        {1, "{'descr': '', 'fortran_order': False, 'shape': (2,), }", 16, SKIVE_ERR_UNSUPPORTED, "''"},
        {4, "{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }", 4, SKIVE_ERR_UNSUPPORTED, "version 4"},
        {1, "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }", 11, SKIVE_ERR_FORMAT, "needs 12 bytes"},
        {1, "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }", 13, SKIVE_ERR_FORMAT, "the file has 13"},
        {1, "{'descr': '<i2', 'fortran_order': False, 'shape': (2, -3), }", 12, SKIVE_ERR_FORMAT, "whole number"},
        {1, "{'descr': '<i2', 'fortran_order': False, 'shape': (99999999999999999999,), }", 9, SKIVE_ERR_FORMAT,
         "large"},
        {1, "{'descr': '<i8', 'fortran_order': False, 'shape': (4611686018427387904, 2), }", 8, SKIVE_ERR_FORMAT,
         "large"},
        {1, "{'descr': '<i2', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", 2, SKIVE_ERR_LIMIT,
         "dimensions"},
        {1, "{'descr': '<i2', 'fortran_order': Maybe, 'shape': (2,), }", 4, SKIVE_ERR_FORMAT, "fortran_order"},
        {1, "{'descr': '<i2', 'shape': (2,), }", 4, SKIVE_ERR_FORMAT, "missing"},
        {1, "{'descr': '<i2', 'descr': '<i2', 'shape': (2,), }", 4, SKIVE_ERR_FORMAT, "occurs twice"},
        {1, "{'descr': '<i2', 'fortran_order': False, 'shape': (2,), } x", 4, SKIVE_ERR_FORMAT, "after"},
        {1, "{'descr': '<i2', 'fortran_order': False, 'shape': (2 3), }", 4, SKIVE_ERR_FORMAT, "closed"},
        {1, "[]", 4, SKIVE_ERR_FORMAT, "dictionary"},
        {1, "{'descr: 5", 4, SKIVE_ERR_FORMAT, "key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = make_npy(file, cases[i].version, cases[i].header, cases[i].bytes);
        skv_test_write_file(path, file, n);
        skive_status status = skive_tensor_load_npy(ctx, path, &t);
        if (cases[i].status == SKIVE_OK) {
            skv_test_ok(ctx, status);
            if (i == 0) assert_true(t.rank == 2 && t.dims[1] == 3 && skive_tensor_get(&t, 1) == 0x0302);
            if (i == 1) assert_true(t.rank == 2 && skive_tensor_get(&t, 1) == 0x0203);
            if (i == 2) assert_true(t.rank == 1 && skive_tensor_get(&t, 5) == 5);
            if (i == 3) assert_true(t.rank == 0 && t.dtype == SKIVE_F64);
            skive_tensor_free(ctx, &t);
        } else {
            skv_test_fails(ctx, status, cases[i].status, cases[i].part);
            assert_non_null(strstr(skive_context_message(ctx), path));
            assert_null(t.data);
        }
    }
    /* Cut off anywhere. */
    size_t whole = make_npy(file, 1, cases[0].header, 12);
    for (size_t n = 0; n < whole; n++) {
        skv_test_write_file(path, file, n);
        skv_test_fails(ctx, skive_tensor_load_npy(ctx, path, &t), SKIVE_ERR_FORMAT, path);
    }
    skv_test_remove_dir(dir);
    skv_test_fails(ctx, skive_tensor_load_npy(ctx, path, &t), SKIVE_ERR_IO, path);
    skv_test_context_end(ctx);
}

static void storages_are_shared_and_copied_on_write(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    const int64_t dims[2] = {4, 3};
    skive_tensor t = skv_test_random(ctx, SKIVE_F32, 2, dims, 3, -1, 1);
    skv_storage *a, *b, *c;
    skv_test_ok(ctx, skv_storage_from_tensor(ctx, &t, &a));
    assert_true(skv_tensor_same(&a->tensor, &t) && a->tensor.data != t.data);
    assert_string_equal(a->form->name, "dense");
    b = skv_storage_retain(a);
    assert_ptr_equal(a, b);
    skv_test_ok(ctx, skv_storage_make_unique(ctx, &b));
    assert_ptr_not_equal(a, b);
    skive_tensor_set(&b->tensor, 0, 5.0);
    assert_true(skv_tensor_same(&a->tensor, &t));
    c = b;
    skv_test_ok(ctx, skv_storage_make_unique(ctx, &b)); /* alone already */
    assert_ptr_equal(b, c);
    skive_tensor inflated;
    skv_test_ok(ctx, skv_storage_inflate(ctx, b, &inflated));
    assert_true(skv_tensor_same(&inflated, &b->tensor));
    void *data = inflated.data;
    skv_test_ok(ctx, skv_storage_take(ctx, &inflated, &c));
    assert_ptr_equal(c->tensor.data, data);
    assert_null(inflated.data);
    skv_storage_release(a);
    skv_storage_release(b);
    skv_storage_release(c);
    skv_storage_release(NULL);
    skv_test_ok(ctx, skv_storage_create(ctx, SKIVE_U4, 2, dims, &a));
    assert_true(a->tensor.dtype == SKIVE_U4 && skive_tensor_get(&a->tensor, 11) == 0.0);
    skv_storage_release(a);
    skive_tensor_free(ctx, &t);
    assert_ptr_equal(skv_form_find("dense"), &skv_form_dense);
    assert_ptr_equal(skv_form_at(0), &skv_form_dense);
    assert_null(skv_form_find("dens"));
    assert_null(skv_form_at(1000));
    skv_test_context_end(ctx);
}

static void storages_point_into_files(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH];
    skv_test_make_dir(dir);
    skv_test_path(path, dir, "weights");
    float values[16];
    for (int i = 0; i < 16; i++) values[i] = (float)i;
    skv_little_endian(values, sizeof values, sizeof values[0]);
    skv_test_write_file(path, values, sizeof values);
    skv_map *map;
    skv_storage *a, *b;
    const int64_t dims[2] = {2, 3}, wide[2] = {INT64_MAX, 4};
    skv_test_ok(ctx, skv_map_open(ctx, path, &map));
    skv_test_ok(ctx, skv_storage_map(ctx, SKIVE_F32, 2, dims, map, 40, &a));
    if (!SKV_BIG_ENDIAN) assert_ptr_equal(a->tensor.data, skv_map_data(map) + 40); /* otherwise a copy, turned round */
    assert_true(skive_tensor_get(&a->tensor, 5) == 15.0);
    skv_test_fails(ctx, skv_storage_map(ctx, SKIVE_F32, 2, dims, map, 44, &b), SKIVE_ERR_FORMAT, "beyond the end");
    skv_test_fails(ctx, skv_storage_map(ctx, SKIVE_F32, 2, dims, map, SIZE_MAX, &b), SKIVE_ERR_FORMAT, "beyond");
    skv_test_fails(ctx, skv_storage_map(ctx, SKIVE_F32, 2, wide, map, 0, &b), SKIVE_ERR_FORMAT, "beyond");
    assert_null(b);
    skv_test_ok(ctx, skv_storage_map(ctx, SKIVE_F32, 2, dims, map, 1, &b)); /* misaligned: a copy */
    assert_null(b->map);
    skv_little_endian(b->tensor.data, 24, sizeof values[0]);
    assert_memory_equal(b->tensor.data, (const char *)values + 1, 24);
    skv_storage_release(b);
    skv_map_release(map); /* the storage holds it now */
    b = skv_storage_retain(a);
    skv_test_ok(ctx, skv_storage_make_unique(ctx, &a));
    assert_null(a->map);
    skive_tensor_set(&a->tensor, 5, -1.0);
    assert_true(skive_tensor_get(&b->tensor, 5) == 15.0);
    skv_storage_release(a);
    skv_test_ok(ctx, skv_storage_make_unique(ctx, &b)); /* alone but read-only */
    assert_null(b->map);
    skive_tensor_set(&b->tensor, 5, -2.0);
    skv_storage_release(b);
    skv_test_remove_dir(dir);
    skv_test_context_end(ctx);
}

static void *release_many(void *storage) {
    for (int i = 0; i < 10000; i++) {
        skv_storage_release(skv_storage_retain(storage));
        skv_storage_release(storage);
    }
    return NULL;
}

static void storages_are_counted_across_threads(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skv_storage *s;
    pthread_t threads[4];
    const int64_t dims[1] = {8};
    skv_test_ok(ctx, skv_storage_create(ctx, SKIVE_F32, 1, dims, &s));
    for (int i = 0; i < 40000; i++) (void)skv_storage_retain(s);
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, release_many, s), 0);
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&s->refs), 1);
    skv_storage_release(s);
    skv_test_context_end(ctx);
}

static skive_status everything(skive_context *ctx, void *user) {
    const char *path = user;
    const int64_t dims[2] = {3, 3};
    skive_tensor t = {.rank = 0}, u = t, v = t, w = t;
    skv_storage *a = NULL, *b = NULL, *c = NULL, *d = NULL;
    skv_map *map = NULL;
    skive_status status;
    SKV_GO(status, done, skive_tensor_create(ctx, SKIVE_I4, 2, dims, &t));
    SKV_GO(status, done, skive_tensor_copy(ctx, &t, &u));
    SKV_GO(status, done, skv_tensor_convert(ctx, &t, SKIVE_F16, &v));
    SKV_GO(status, done, skive_tensor_save_npy(ctx, path, &t));
    SKV_GO(status, done, skive_tensor_load_npy(ctx, path, &w));
    SKV_GO(status, done, skv_storage_create(ctx, SKIVE_F32, 2, dims, &a));
    SKV_GO(status, done, skv_storage_from_tensor(ctx, &v, &b));
    SKV_GO(status, done, skv_storage_take(ctx, &u, &c));
    SKV_GO(status, done, skv_map_open(ctx, path, &map));
    SKV_GO(status, done, skv_storage_map(ctx, SKIVE_U8, 2, dims, map, 3, &d));
    SKV_GO(status, done, skv_storage_make_unique(ctx, &d));
done:
    skv_storage_release(a);
    skv_storage_release(b);
    skv_storage_release(c);
    skv_storage_release(d);
    skv_map_release(map);
    skive_tensor_free(ctx, &t);
    skive_tensor_free(ctx, &u);
    skive_tensor_free(ctx, &v);
    skive_tensor_free(ctx, &w);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH];
    skv_test_make_dir(dir);
    skv_test_path(path, dir, "walk.npy");
    assert_true(skv_test_walk_allocations(everything, path, 1) > 15);
    assert_int_equal(skv_test_dir_entries(dir), 1);
    skv_test_remove_dir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dtypes_are_found_by_name),
        cmocka_unit_test(shapes),
        cmocka_unit_test(creation_is_checked),
        cmocka_unit_test(elements_round_and_saturate),
        cmocka_unit_test(halves_are_exact_and_round_to_even),
        cmocka_unit_test(four_bits_are_packed_low_half_first),
        cmocka_unit_test(float8_is_the_nearest),
        cmocka_unit_test(smallest_floats_are_the_nearest),
        cmocka_unit_test(two_bits_are_packed),
        cmocka_unit_test(conversion_keeps_what_fits),
        cmocka_unit_test(npy_comes_back_as_it_was),
        cmocka_unit_test(npy_in_parts),
        cmocka_unit_test(npy_headers_are_read_strictly),
        cmocka_unit_test(storages_are_shared_and_copied_on_write),
        cmocka_unit_test(storages_point_into_files),
        cmocka_unit_test(storages_are_counted_across_threads),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
