/* The list of kernels, and what all of them share. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernels/kernel.h"

#define X(id) extern const skv_kernel skv_kernel_##id;
#include "kernels/kernels.inc"
#undef X

static const skv_kernel *const all[] = {
#define X(id) &skv_kernel_##id,
#include "kernels/kernels.inc"
#undef X
};

size_t skv_kernel_count(void) { return SKV_COUNT(all); }
const skv_kernel *skv_kernel_at(size_t i) { return i < SKV_COUNT(all) ? all[i] : NULL; }

#if !SKIVE_ONEDNN
const char *skive_onednn_version(void) { return NULL; }
#endif

bool skv_kernel_serves(const skv_kernel *k, skv_op_kind op) {
    if (!k->ops) return true;
    for (const skv_op_kind *served = k->ops; *served != SKV_OP_NONE; served++)
        if (*served == op) return true;
    return false;
}

bool skv_decline(skv_why *why, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    return false;
}

void skv_kernel_follow_layout(skv_kernel_node *n) {
    skv_layout layout = SKV_PLAIN;
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->in[i].absent || n->in[i].is_parameter) continue;
        layout = n->in[i].layout;
        break;
    }
    for (size_t i = 0; i < n->n_in; i++) {
        if (!n->in[i].absent && !n->in[i].is_parameter) n->in[i].layout = layout;
    }
    for (size_t i = 0; i < n->n_out; i++) n->out[i].layout = layout;
}

skive_status skv_kernel_prepare(skv_kernel_node *n, size_t bytes,
                                skive_status (*set_up)(skv_kernel_node *n, void *state),
                                void (*destroy)(skive_context *ctx, void *state)) {
    void *state = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, bytes, &state));
    const skive_status status = set_up(n, state);
    if (status == SKIVE_OK)
        n->state = state;
    else
        destroy(n->ctx, state);
    return status;
}

skive_status skv_scratch_add(skv_kernel_node *n, size_t bytes, size_t *offset) {
    enum { ALIGN = 64 };
    const size_t at = skv_align_up(n->scratch_bytes, ALIGN);
    size_t end;
    if (bytes > SIZE_MAX / 4 || !skv_add_size(at, bytes, &end)) {
        return SKV_FAIL(n->ctx, SKIVE_ERR_LIMIT, "the scratch memory of node '%s' does not fit", n->node->name);
    }
    *offset = at;
    n->scratch_bytes = end;
    return SKIVE_OK;
}

bool skv_kernel_f32(const skv_kernel_value *v) {
    if (v->type.dtype != SKIVE_F32 || v->type.rank < 0) return false;
    for (int i = 0; i < v->type.rank; i++) {
        if (v->type.dims[i].size <= 0) return false;
    }
    return true;
}
