/* tanh in float32 as plain arithmetic, which compilers turn into vector code: x P(x^2) / Q(x^2), both of degree 4,
 * fitted for the least relative error (3e-8) up to 9, where tanh is 1 in float32. All terms are positive, so that
 * nothing cancels. Within 4e-7 of the result. */
#ifndef SKV_TANH_F32_H
#define SKV_TANH_F32_H

static inline float tanh_f32(float x) {
    const float edge = 9.0f;
    float c = edge < x ? edge : x; /* NaN stays NaN */
    c = -edge > c ? -edge : c;
    const float z = c * c;
    const float p = 1.0f + z * (0.13383336f + z * (0.003498229f + z * (2.0648573e-05f + z * 1.3402087e-08f)));
    const float q = 1.0f + z * (0.46716657f + z * (0.025887292f + z * (0.00032897812f + z * 7.7975045e-07f)));
    const float y = c * p / q, upper = 1.0f < y ? 1.0f : y;
    return -1.0f > upper ? -1.0f : upper;
}

#endif
