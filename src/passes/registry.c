/* The list of passes, and functions that run them. */
#include <string.h>

#include "passes/pass.h"

#define X(id) extern const skv_pass skv_pass_##id;
#include "passes/passes.inc"
#undef X

static const skv_pass *const all[] = {
#define X(id) &skv_pass_##id,
#include "passes/passes.inc"
#undef X
};

enum { MAX_ROUNDS = 4 };

size_t skv_pass_count(void) { return SKV_COUNT(all); }
const skv_pass *skv_pass_at(size_t i) { return i < SKV_COUNT(all) ? all[i] : NULL; }

const skv_pass *skv_pass_find(const char *name) {
    for (size_t i = 0; i < SKV_COUNT(all); i++) {
        if (strcmp(all[i]->name, name) == 0) return all[i];
    }
    return NULL;
}

skive_status skv_pass_run(const skv_pass *pass, const skv_pass_env *env, skive_graph *g, size_t *changes) {
    skv_graph_hold(g);
    const skive_status status = pass->run(env, g, changes);
    skv_graph_settle(g);
    return status;
}

skive_status skv_passes_run(const skv_pass_env *env, skive_graph *g, unsigned when, size_t *changes) {
    size_t total = 0;
    for (int round = 0; round < MAX_ROUNDS; round++) {
        size_t here = 0;
        for (size_t i = 0; i < SKV_COUNT(all); i++) {
            if (!(all[i]->when & when)) continue;
            size_t n = 0;
            SKV_TRY(skv_pass_run(all[i], env, g, &n));
            if (n) skv_log(env->ctx, SKIVE_LOG_DEBUG, "pass %s: %zu changes", all[i]->name, n);
            here += n;
        }
        here += skv_graph_sweep(g);
        total += here;
        if (here == 0) break;
    }
    *changes = total;
    return SKIVE_OK;
}
