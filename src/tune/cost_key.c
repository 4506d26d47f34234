/* What the time of a node depends on, as text: operator, attributes, types, and the constants as far as kernels look at
 * them. Which kernel runs follows from these. */
#include <string.h>

#include "tensor/strings.h"
#include "tune/costs.h"

static void add_attr(skv_text *t, const skv_attr *a) {
    skv_text_add(t, " %s=", a->name);
    switch (a->type) {
    case SKV_ATTR_INT: skv_text_add(t, "%lld", (long long)a->i); break;
    case SKV_ATTR_FLOAT: skv_text_add(t, "%.9g", a->f); break;
    case SKV_ATTR_STRING: skv_text_add(t, "s%016llx", (unsigned long long)skv_hash64(a->s, a->n, 0)); break;
    case SKV_ATTR_INTS:
        for (size_t i = 0; i < a->n; i++) skv_text_add(t, "%s%lld", i ? "," : "", (long long)a->ints[i]);
        break;
    case SKV_ATTR_FLOATS:
        for (size_t i = 0; i < a->n; i++) skv_text_add(t, "%s%.9g", i ? "," : "", a->floats[i]);
        break;
    case SKV_ATTR_STRINGS:
        for (size_t i = 0; i < a->n; i++)
            skv_text_add(t, "%ss%016llx", i ? "," : "",
                         (unsigned long long)skv_hash64(a->strings[i], strlen(a->strings[i]), 0));
        break;
    case SKV_ATTR_TENSOR: {
        const skive_tensor *x = &a->tensor->tensor;
        skv_text_add(t, "t%016llx", (unsigned long long)skv_tensor_hash(x, 0));
        break;
    }
    case SKV_ATTR_GRAPH: skv_text_add(t, "graph"); break;
    }
}

static void add_type(skv_text *t, const skive_type *type) {
    skv_text_add(t, "%s[", skive_dtype_name(type->dtype));
    for (int d = 0; d < type->rank; d++) skv_text_add(t, "%s%lld", d ? "," : "", (long long)type->dims[d].size);
    skv_text_add(t, "]");
}

/* Sparse kernels look at the zeros of weights and their pattern, other ones at shapes and limits in small tensors.
 * Dense weights, and biases, count as the same whatever their values. */
static skive_status add_constant(skv_text *t, const skive_value *v) {
    enum { SMALL = 64 };
    const int64_t n = skv_type_count(&v->type);
    if (v->storage->coded) {
        skv_text_add(t, "=coded:%lld", (long long)skv_coded_nonzeros(v->storage->coded));
        return SKIVE_OK;
    }
    const skive_tensor *x = skv_value_tensor(v);
    if (n <= SMALL && v->type.dtype != SKIVE_F32) {
        skv_text_add(t, "=%016llx", (unsigned long long)skv_tensor_hash(x, 0));
        return SKIVE_OK;
    }
    if (x->dtype != SKIVE_F32 || x->rank < 2) return SKIVE_OK;
    int64_t zeros = 0;
    uint64_t pattern = 0;
    for (int64_t i = 0; i < n; i++) zeros += ((const float *)x->data)[i] == 0.0f;
    if (2 * zeros < n || n == 0) return SKIVE_OK;
    for (int64_t i = 0; i < n; i++)
        pattern = (pattern ^ (((const float *)x->data)[i] == 0.0f)) * 0x9E3779B97F4A7C15u + (pattern >> 29);
    skv_text_add(t, "=zeros:%lld:%016llx", (long long)zeros, (unsigned long long)pattern);
    return SKIVE_OK;
}

skive_status skv_cost_key(const skive_graph *g, int threads, char **out) {
    const skive_node *n = g->nodes[0];
    skv_text t;
    skv_text_init(&t, g->ctx);
    skv_text_add(&t, "%s %d %s%s%s", skive_cpu_isa_name(), threads, n->domain, n->domain[0] ? "." : "", n->op_type);
    for (uint32_t i = 0; i < n->n_attrs; i++) add_attr(&t, &n->attrs[i]);
    skv_text_add(&t, " (");
    skive_status status = SKIVE_OK;
    for (uint32_t i = 0; i < n->n_inputs && status == SKIVE_OK; i++) {
        const skive_value *v = n->inputs[i];
        if (i) skv_text_add(&t, " ");
        if (!v) {
            skv_text_add(&t, "-");
            continue;
        }
        bool again = false; /* x * x reads one tensor */
        for (uint32_t k = 0; k < i && !again; k++) again = n->inputs[k] == v;
        add_type(&t, &v->type);
        if (again) skv_text_add(&t, "=again");
        if (v->storage) status = add_constant(&t, v);
    }
    skv_text_add(&t, ") ->");
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        const skive_value *v = n->outputs[i];
        skv_text_add(&t, " ");
        if (v && (i == 0 || v->n_uses || v->output_uses))
            add_type(&t, &v->type);
        else
            skv_text_add(&t, "-");
    }
    if (status == SKIVE_OK) status = t.status;
    if (status == SKIVE_OK) {
        *out = t.data;
        t.data = NULL;
    }
    skv_text_free(&t);
    return status;
}
