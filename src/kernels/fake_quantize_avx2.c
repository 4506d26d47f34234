/* FakeQuantize and its gradient, compiled for AVX2. */
#define FAKE_LOOPS skv_fake_avx2
#include "kernels/fake_quantize_loops.h"
