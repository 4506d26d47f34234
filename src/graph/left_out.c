/* See left_out.h. */
#include "graph/left_out.h"

#include <stdio.h>
#include <string.h>

#include "graph/weights.h"

/* A table that is added or multiplied is a weight from here on; what is smaller is a constant of a formula. */
enum { LARGE_OPERAND = 256, GROUPS = 24, NAMES = 3 };

static const skv_op_kind elementwise[] = {SKV_OP_ADD, SKV_OP_SUB, SKV_OP_MUL, SKV_OP_DIV, SKV_OP_WHERE};

typedef struct group {
    const char *op, *is;
    bool inside; /* the body of an If, Loop or Scan */
    int64_t count;
    const char *names[NAMES];
    size_t n_names, parameters;
} group;

typedef struct search {
    const skv_left_out *what;
    group groups[GROUPS];
    size_t n;
} search;

static bool is_elementwise(const skive_node *n) { return skv_node_is_any(n, elementwise, SKV_COUNT(elementwise)); }

static bool is_number(skive_dtype t) { return t == SKIVE_F32 || t == SKIVE_F16 || t == SKIVE_BF16 || t == SKIVE_F64; }

static bool is_recurrent(const skv_op *op) {
    for (size_t i = 0; i < op->n_inputs; i++)
        if (op->inputs[i].blocks > 0) return true;
    return false;
}

/* The operator of which `v` is a weight, or NULL. */
static const char *weight_of(const search *s, const skive_value *v, const char **is) {
    const int64_t count = skv_type_count(&v->type);
    for (uint32_t u = 0; u < v->n_uses; u++) {
        const skive_node *n = v->uses[u].node;
        const skv_role role = skv_input_role(n, (size_t)v->uses[u].index);
        const bool quantized = skv_node_is(n, SKV_OP_DEQUANTIZE_LINEAR) && v->uses[u].index == 0;
        const bool wide = v->type.rank > 1 && (role >= SKV_ROLE_TABLE || quantized);
        const bool vector = s->what->vectors && role >= SKV_ROLE_SHIFT && role <= SKV_ROLE_BIAS;
        if ((wide || vector) && !is_elementwise(n) && (quantized || is_number(v->type.dtype))) {
            *is = quantized                ? "quantized"
                  : role == SKV_ROLE_TABLE ? "embedding"
                  : is_recurrent(n->op)    ? "recurrent"
                                           : NULL;
            return n->op_type;
        }
        if (!is_elementwise(n) || v->type.rank < 2 || count < LARGE_OPERAND || !is_number(v->type.dtype)) continue;
        *is = NULL;
        return n->op_type;
    }
    return NULL;
}

static void add(search *s, const char *op, const char *is, bool inside, const skive_value *v) {
    size_t at = 0;
    while (at < s->n && (strcmp(s->groups[at].op, op) != 0 || s->groups[at].inside != inside)) at++;
    if (at == GROUPS) return; /* there are fewer operators in the table */
    group *g = &s->groups[at];
    if (at == s->n) {
        *g = (group){.op = op, .is = is, .inside = inside};
        s->n++;
    }
    g->count += skv_type_count(&v->type);
    g->parameters++;
    if (g->n_names < NAMES) g->names[g->n_names++] = v->name;
}

static void look(search *s, const skive_graph *g, bool inside) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i], *own = v;
        const char *is = NULL;
        while (own->outer) own = own->outer; /* a branch reads a weight of the graph around it */
        if (!own->storage || skv_type_count(&own->type) < 2 || s->what->taken(s->what->user, own)) continue;
        const char *op = weight_of(s, v, &is);
        if (op) add(s, op, is, inside, own);
    }
    for (uint32_t i = 0; g->nests && i < g->n_nodes; i++) {
        for (uint32_t k = 0; k < g->nodes[i]->n_attrs; k++) {
            if (g->nodes[i]->attrs[k].graph) look(s, g->nodes[i]->attrs[k].graph, true);
        }
    }
}

static const char *thousands(int64_t n, char *buffer, size_t size) {
    char digits[32];
    const int length = snprintf(digits, sizeof digits, "%lld", (long long)n);
    size_t at = 0;
    for (int i = 0; i < length && at + 2 < size; i++) {
        if (i > 0 && (length - i) % 3 == 0) buffer[at++] = ',';
        buffer[at++] = digits[i];
    }
    buffer[at] = '\0';
    return buffer;
}

static void write_group(skv_text *t, const group *g, bool first) {
    char count[48];
    skv_text_add(t, "%s%s%s of %s", first ? "" : ", ", thousands(g->count, count, sizeof count),
                 first ? " weights" : "", g->op);
    if (g->is) skv_text_add(t, ", %s", g->is);
    if (g->inside) skv_text_add(t, " in the body of an If, Loop or Scan");
    skv_text_add(t, " (");
    for (size_t i = 0; i < g->n_names; i++) skv_text_add(t, "%s%s", i ? ", " : "", g->names[i]);
    if (g->parameters > g->n_names) skv_text_add(t, " and %zu more", g->parameters - g->n_names);
    skv_text_add(t, ")");
}

skive_status skv_tell_left_out(skive_context *ctx, const skive_graph *g, const skv_left_out *what) {
    search s = {.what = what};
    skv_text t;
    look(&s, g, false);
    if (s.n == 0) return SKIVE_OK;
    skv_text_init(&t, ctx);
    skv_text_add(&t, "not %s: ", what->done);
    for (size_t i = 0; i < s.n; i++) write_group(&t, &s.groups[i], i == 0);
    bool inside = false;
    for (size_t i = 0; i < s.n; i++) inside = inside || s.groups[i].inside;
    skv_text_add(&t, "; only %s%s are", what->only, inside ? " outside of such bodies" : "");
    return skv_text_note_once(&t);
}
