/* Products with packed weights, inner loops for any CPU. */
#include "kernels/vector4.h"
#include "tensor/tensor.h"

static inline skv_vector4 bytes4(const uint8_t *p) {
    return (skv_vector4){(float)p[0], (float)p[1], (float)p[2], (float)p[3]};
}

static inline skv_vector4 halves4(const uint8_t *p) {
    uint16_t h[4];
    __builtin_memcpy(h, p, sizeof h);
    return (skv_vector4){skv_f16_to_f32(h[0]), skv_f16_to_f32(h[1]), skv_f16_to_f32(h[2]), skv_f16_to_f32(h[3])};
}

#define LOOPS     skv_packed_loops_scalar
#define BYTES(p)  bytes4(p)
#define HALVES(p) halves4(p)
#include "kernels/packed_loops.h"
