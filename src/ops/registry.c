/* The list of ops. */
#include <string.h>

#include "graph/op.h"

#define X(id) extern const skv_op skv_op_##id;
#include "ops/ops.inc"
#undef X

static const skv_op *const all[] = {
#define X(id) &skv_op_##id,
#include "ops/ops.inc"
#undef X
};

const char *skv_op_unknown_attr(const skv_op *op, const skive_node *n) {
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        bool known = false;
        for (size_t k = 0; k < op->n_attrs && !known; k++) known = strcmp(op->attrs[k].name, n->attrs[i].name) == 0;
        if (!known) return n->attrs[i].name;
    }
    return NULL;
}

size_t skv_op_count(void) { return SKV_COUNT(all); }
const skv_op *skv_op_at(size_t i) { return i < SKV_COUNT(all) ? all[i] : NULL; }

/* "ai.onnx" is the long name of the standard domain. */
static bool same_domain(const char *domain, const char *wanted) {
    if (strcmp(wanted, "ai.onnx") == 0) wanted = "";
    return strcmp(domain, wanted) == 0;
}

const skv_op *skv_op_find(const char *name, const char *domain) {
    for (size_t i = 0; i < SKV_COUNT(all); i++) {
        if (all[i]->name[0] != name[0] || strcmp(all[i]->name, name) != 0) continue;
        if (!domain || same_domain(all[i]->domain, domain)) return all[i];
    }
    return NULL;
}
