/* The product of matrices, its inner part for any CPU: vectors of four floats, which compilers make of what there is.
 * */
typedef float vector4 __attribute__((vector_size(16)));

static inline vector4 load4(const float *p) { return (vector4){p[0], p[1], p[2], p[3]}; }
static inline void store4(float *p, vector4 v) {
    for (int i = 0; i < 4; i++) p[i] = v[i];
}

#define TILE                  skv_sgemm_tile_scalar
#define VECTOR                vector4
#define LANES                 4
#define TILE_ROWS             4
#define LOAD(p)               load4(p)
#define STORE(p, v)           store4(p, v)
#define ZERO()                ((vector4){0, 0, 0, 0})
#define SET(x)                ((vector4){(x), (x), (x), (x)})
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#define SUM(v)                (((v)[0] + (v)[1]) + ((v)[2] + (v)[3]))
#include "kernels/sgemm_tile.h"
