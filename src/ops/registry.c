/* The list of ops. */
#include <string.h>

#include "graph/op.h"

#define X(id, ID) extern const skv_op skv_op_##id;
#include "graph/ops.inc"
#undef X

static const skv_op *const all[SKV_OP_KINDS] = {
#define X(id, ID) [SKV_OP_##ID] = &skv_op_##id,
#include "graph/ops.inc"
#undef X
};
enum { FIRST = SKV_OP_NONE + 1 };

const char *skv_op_unknown_attr(const skv_op *op, const skive_node *n) {
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        bool known = false;
        for (size_t k = 0; k < op->n_attrs && !known; k++) known = strcmp(op->attrs[k].name, n->attrs[i].name) == 0;
        if (!known) return n->attrs[i].name;
    }
    return NULL;
}

size_t skv_op_count(void) { return SKV_OP_KINDS - FIRST; }
const skv_op *skv_op_at(size_t i) { return i < skv_op_count() ? all[FIRST + i] : NULL; }
const skv_op *skv_op_of(skv_op_kind kind) { return all[kind]; }

/* "ai.onnx" is the long name of the standard domain. */
static bool same_domain(const char *domain, const char *wanted) {
    if (strcmp(wanted, "ai.onnx") == 0) wanted = "";
    return strcmp(domain, wanted) == 0;
}

skv_op_kind skv_op_find_kind(const char *name, const char *domain) {
    for (size_t i = FIRST; i < SKV_OP_KINDS; i++) {
        if (all[i]->name[0] != name[0] || strcmp(all[i]->name, name) != 0) continue;
        if (!domain || same_domain(all[i]->domain, domain)) return (skv_op_kind)i;
    }
    return SKV_OP_NONE;
}

const skv_op *skv_op_find(const char *name, const char *domain) { return skv_op_of(skv_op_find_kind(name, domain)); }
