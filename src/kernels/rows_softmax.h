/* Softmax and LogSoftmax of a row by vectors, for levels that multiply and add in one instruction. The includer says
 * what a vector is: vec (an arithmetic type), LANES, vec_load, vec_store, vec_all, vec_fma(a, b, c) = a b + c,
 * vec_max(a, b) = a > b ? a : b, vec_first(p, n, otherwise) (n elements, and `otherwise` behind them),
 * vec_store_first(p, v, n), vec_largest and vec_total of a vector, and vec_power(t): 2^n of the n in the low bits of t,
 * 0 below -126. What is left behind whole vectors is filled up with -infinity, which counts for nothing. */
#include <math.h>
#include <stdint.h>

#define ROW_INLINE static inline __attribute__((always_inline))

/* e^x for x <= 0, as in exp_f32.h. With a single rounding, ln 2 in one part is exact enough: 2e-9 n. NaN stays NaN. */
ROW_INLINE vec exp_below_0(vec x) {
    const vec shifter = vec_all(12582912.0f); /* 1.5 * 2^23: rounds to an integer */
    const vec c = vec_max(vec_all(-104.0f), x), t = vec_fma(c, vec_all(1.44269504f), shifter);
    const vec r = vec_fma(t - shifter, vec_all(-0.693147182f), c);
    vec p = vec_fma(vec_all(SKV_EXP_6), r, vec_all(SKV_EXP_5));
    p = vec_fma(p, r, vec_all(SKV_EXP_4));
    p = vec_fma(p, r, vec_all(SKV_EXP_3));
    p = vec_fma(p, r, vec_all(SKV_EXP_2));
    p = vec_fma(p, r, vec_all(1.0f));
    p = vec_fma(p, r, vec_all(1.0f));
    return p * vec_power(t);
}

/* A NaN is not the largest; it comes out by the difference from it. */
ROW_INLINE float row_largest(const float *x, int64_t n) {
    const vec none = vec_all(-INFINITY);
    vec a = none, b = none, c = none, d = none;
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        a = vec_max(vec_load(x + i), a);
        b = vec_max(vec_load(x + i + LANES), b);
        c = vec_max(vec_load(x + i + 2 * LANES), c);
        d = vec_max(vec_load(x + i + 3 * LANES), d);
    }
    for (; i + LANES <= n; i += LANES) a = vec_max(vec_load(x + i), a);
    if (i < n) b = vec_max(vec_first(x + i, n - i, none), b);
    return vec_largest(vec_max(vec_max(a, b), vec_max(c, d)));
}

/* The sum of e = exp(x - most), which goes to y if `keep`, but for what is left behind whole vectors: that is *tail. y
 * may be x. */
ROW_INLINE float row_exponents(const float *x, float most, float *y, const bool keep, int64_t n, vec *tail) {
    const vec m = vec_all(most);
    vec s = vec_all(0), s2 = s;
    *tail = s;
    int64_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        const vec e = exp_below_0(vec_load(x + i) - m), e2 = exp_below_0(vec_load(x + i + LANES) - m);
        if (keep) {
            vec_store(y + i, e);
            vec_store(y + i + LANES, e2);
        }
        s = s + e;
        s2 = s2 + e2;
    }
    if (i + LANES <= n) {
        const vec e = exp_below_0(vec_load(x + i) - m);
        if (keep) vec_store(y + i, e);
        s = s + e;
        i += LANES;
    }
    if (i < n) {
        *tail = exp_below_0(vec_first(x + i, n - i, vec_all(-INFINITY)) - m);
        s2 = s2 + *tail;
    }
    return vec_total(s + s2);
}

static void softmax(const float *x, float *y, int64_t n) {
    vec tail;
    const vec by = vec_all(1.0f / row_exponents(x, row_largest(x, n), y, true, n, &tail));
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) vec_store(y + i, vec_load(y + i) * by);
    if (i < n) vec_store_first(y + i, tail * by, n - i);
}

static void log_softmax(const float *x, float *y, int64_t n) {
    vec tail;
    const float most = row_largest(x, n), sum = row_exponents(x, most, y, false, n, &tail);
    const vec m = vec_all(most), from = vec_all((float)log((double)sum));
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) vec_store(y + i, vec_load(x + i) - m - from);
    if (i < n) vec_store_first(y + i, vec_first(x + i, n - i, m) - m - from, n - i);
}
