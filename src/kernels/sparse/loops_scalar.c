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
#include "kernels/sparse/loops.h"
