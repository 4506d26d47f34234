/* Amounts and index arithmetic of padding. See common_pad.h. */
#include "ops/shape/common_pad.h"

skv_pad_mode skv_pad_mode_of(const skive_node *n) {
    static const char *const names[] = {"constant", "reflect", "edge", "wrap"};
    const char *mode = skv_attr_string(n, "mode", "constant");
    for (int i = 0; i < 4; i++) {
        if (strcmp(mode, names[i]) == 0) return (skv_pad_mode)i;
    }
    return SKV_PAD_UNKNOWN;
}

bool skv_pads_spread(skv_pads *p, int rank, const int64_t *pads, int n_pads, const int64_t *axes, int n_axes) {
    const int n = n_axes >= 0 ? n_axes : rank;
    uint32_t mask;
    *p = (skv_pads){{0}, {0}};
    if (n_pads != 2 * n || (n_axes >= 0 && !skv_axes_mask(axes, n_axes, rank, &mask))) return false;
    for (int i = 0; i < n_pads; i++) {
        if (pads[i] > SKV_MAX_ELEMENTS || pads[i] < -SKV_MAX_ELEMENTS) return false;
    }
    for (int i = 0; i < n; i++) {
        const int64_t d = n_axes >= 0 ? skv_axis(axes[i], rank) : i;
        p->before[d] = pads[i];
        p->after[d] = pads[i + n];
    }
    return true;
}

skive_status skv_pads_read(const skv_eval *c, size_t at, size_t axes_at, int rank, skv_pads *p) {
    int64_t pads[2 * SKIVE_MAX_RANK], axes[SKIVE_MAX_RANK];
    int n_pads, n_axes;
    SKV_TRY(skv_eval_ints(c, at, "the pads", pads, 2 * SKIVE_MAX_RANK, &n_pads));
    SKV_TRY(skv_eval_ints(c, axes_at, "the axes", axes, SKIVE_MAX_RANK, &n_axes));
    if (skv_pads_spread(p, rank, pads, n_pads, axes, n_axes)) return SKIVE_OK;
    return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "%d pads do not match an input of rank %d", n_pads,
                       rank);
}

bool skv_pads_constant(const skive_node *n, size_t at, size_t axes_at, int rank, skv_pads *p) {
    int64_t pads[2 * SKIVE_MAX_RANK], axes[SKIVE_MAX_RANK];
    const int n_pads = skv_read_ints(skv_node_constant(n, at), pads, 2 * SKIVE_MAX_RANK);
    int n_axes = -1;
    if (skv_node_in(n, axes_at)) {
        n_axes = skv_read_ints(skv_node_constant(n, axes_at), axes, SKIVE_MAX_RANK);
        if (n_axes < 0) return false;
    }
    return rank >= 0 && n_pads >= 0 && skv_pads_spread(p, rank, pads, n_pads, axes, n_axes);
}

/* The same along one axis. */
static int64_t source(skv_pad_mode mode, int64_t i, int64_t size) {
    if (i >= 0 && i < size) return i;
    if (mode == SKV_PAD_CONSTANT || size <= 0) return -1;
    if (mode == SKV_PAD_EDGE) return i < 0 ? 0 : size - 1;
    if (mode == SKV_PAD_WRAP) return (i % size + size) % size;
    if (size == 1) return 0;
    const int64_t period = 2 * (size - 1);
    i = (i % period + period) % period;
    return i < size ? i : period - i;
}

int64_t skv_pad_source(skv_pad_mode mode, const skv_pads *p, int rank, const int64_t *dims, const int64_t *strides,
                       const int64_t *index) {
    int64_t at = 0;
    for (int d = 0; d < rank; d++) {
        const int64_t s = source(mode, index[d] - p->before[d], dims[d]);
        if (s < 0) return -1;
        at += s * strides[d];
    }
    return at;
}
