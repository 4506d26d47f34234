/* What channel coupling asks of a graph: shapes that are constants, and constants that are not shared. */
#include <skive/coupling.h>

#include "passes/pass.h"

enum { MAX_ROUNDS = 8 };

skive_status skv_pass_plain_channels(skive_context *ctx, skive_graph *g) {
    const skv_pass_env env = {.ctx = ctx, .for_file = true};
    size_t changes = 1;
    /* Sizes that have become known are computed with. */
    for (int round = 0; changes && round < MAX_ROUNDS; round++) {
        changes = 0;
        SKV_TRY(skv_pass_run(skv_pass_find("fold-constants"), &env, g, &changes));
        SKV_TRY(skv_pass_run(skv_pass_find("plain-shapes"), &env, g, &changes));
        if (changes) SKV_TRY(skive_graph_infer(g));
    }
    (void)skv_graph_sweep(g);
    SKV_TRY(skive_graph_infer(g));
    return skive_graph_untie_constants(g);
}
