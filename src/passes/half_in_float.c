/* Kernels compute in float32: nodes of 16 bits do so too, and what is between them is not rounded. */
#include "passes/pass.h"

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    const skv_float32_options o = {.keep = env->keep, .user = env->keep_user};
    return skv_graph_float32(g, &o, changes);
}

const skv_pass skv_pass_half_in_float = {
    .name = "half-in-float",
    .brief = "lets nodes of float16 and bfloat16 compute in float32",
    .when = SKV_PASS_EXECUTE,
    .run = run,
};
