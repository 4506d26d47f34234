/* The gradient of a convolution's weight through MaxPool, compiled for any CPU. */
typedef struct eight {
    float v[8];
} eight;

static inline eight load(const float *p) {
    eight x;
    for (int i = 0; i < 8; i++) x.v[i] = p[i];
    return x;
}
static inline void store(float *p, eight x) {
    for (int i = 0; i < 8; i++) p[i] = x.v[i];
}
static inline eight spread(float x) {
    eight y;
    for (int i = 0; i < 8; i++) y.v[i] = x;
    return y;
}
static inline eight add(eight a, eight b) {
    for (int i = 0; i < 8; i++) a.v[i] += b.v[i];
    return a;
}
static inline eight multiply_add(eight a, eight b, eight c) {
    for (int i = 0; i < 8; i++) c.v[i] += a.v[i] * b.v[i];
    return c;
}

#define PCW_LOOPS        skv_pcw_scalar
#define PCW_VECTOR       eight
#define PCW_LOAD         load
#define PCW_STORE        store
#define PCW_SPREAD       spread
#define PCW_ADD          add
#define PCW_MULTIPLY_ADD multiply_add
#include "kernels/pool_conv_weight_loops.h"
