/* Vectors of four floats, which compilers make of what any CPU has. */
#ifndef SKV_VECTOR4_H
#define SKV_VECTOR4_H

typedef float skv_vector4 __attribute__((vector_size(16)));

static inline skv_vector4 skv_load4(const float *p) { return (skv_vector4){p[0], p[1], p[2], p[3]}; }
static inline void skv_store4(float *p, skv_vector4 v) {
    for (int i = 0; i < 4; i++) p[i] = v[i];
}

#define VECTOR                skv_vector4
#define LANES                 4
#define LOAD(p)               skv_load4(p)
#define STORE(p, v)           skv_store4(p, v)
#define ZERO()                ((skv_vector4){0, 0, 0, 0})
#define SET(x)                ((skv_vector4){(x), (x), (x), (x)})
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#define SUM(v)                (((v)[0] + (v)[1]) + ((v)[2] + (v)[3]))

#endif
