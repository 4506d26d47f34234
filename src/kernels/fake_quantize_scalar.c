/* FakeQuantize and its gradient, compiled for any CPU. */
#define FAKE_LOOPS skv_fake_scalar
#include "kernels/fake_quantize_loops.h"
