/* The sparse loops for any CPU: vectors of four floats, which the compiler makes of what the CPU has. */
#include <stdint.h>
#include <string.h>

typedef float vec __attribute__((vector_size(16)));
enum { LANES = 4 };

static inline vec vec_load(const float *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void vec_store(float *p, vec v) { memcpy(p, &v, sizeof v); }
static inline vec vec_load_some(const float *p, int64_t n) {
    vec v = {0};
    for (int64_t i = 0; i < n; i++) v[i] = p[i];
    return v;
}
static inline void vec_store_some(float *p, int64_t n, vec v) {
    for (int64_t i = 0; i < n; i++) p[i] = v[i];
}
static inline vec vec_all(float x) { return (vec){x, x, x, x}; }
static inline vec vec_max(vec a, vec b) {
    vec v;
    for (int i = 0; i < LANES; i++) v[i] = a[i] > b[i] ? a[i] : b[i];
    return v;
}
static inline vec vec_min(vec a, vec b) {
    vec v;
    for (int i = 0; i < LANES; i++) v[i] = a[i] < b[i] ? a[i] : b[i];
    return v;
}
#define vec_fma(a, b, c) ((a) * (b) + (c))
#define vec_add(a, b)    ((a) + (b))
#define vec_even(a, b)   __builtin_shufflevector(a, b, 0, 2, 4, 6)
#define BLOCK_VECTORS    2
#define UNARY_LOOP       skv_unary_scalar
#define SPARSE_LOOPS     skv_sparse_loops_scalar
#define vec_four(p)      vec_load(p)

#include "kernels/sparse/sparse.h"
#include "kernels/unroll.h"

typedef uint32_t words __attribute__((vector_size(16)));
static inline words words_load(const uint32_t *p) {
    words w;
    memcpy(&w, p, sizeof w);
    return w;
}

typedef struct looked {
    const float *all;
} looked;

SKV_INLINE looked look_at(const float *table, skv_sparse_lookup lookup) {
    (void)lookup;
    return (looked){table};
}

SKV_INLINE vec look_up(const looked *t, skv_sparse_lookup lookup, words w, int shift) {
    const words at = (w >> (uint32_t)shift) & (lookup == SKV_LOOKUP_16 ? 15u : 255u);
    return (vec){t->all[at[0]], t->all[at[1]], t->all[at[2]], t->all[at[3]]};
}

#include "kernels/sparse/loops.h"
