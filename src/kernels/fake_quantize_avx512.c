/* FakeQuantize and its gradient, compiled for AVX-512. */
#define FAKE_LOOPS skv_fake_avx512
#include "kernels/fake_quantize_loops.h"
