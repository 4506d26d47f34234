/* Shared by Slice and its gradient. */
#include "ops/shape/common_slice.h"

static int64_t clamp(int64_t x, int64_t lo, int64_t hi) { return x < lo ? lo : x > hi ? hi : x; }

/* The number of elements from start by step until end, both already clamped. */
static void resolve_axis(skv_slice *s, int axis, int64_t size, int64_t start, int64_t end, int64_t step) {
    s->named[axis] = true;
    s->step[axis] = step;
    if (size < 0) {
        s->count[axis] = -1;
        return;
    }
    /* Counted from the end; positions before the first element are clamped below. */
    if (start < 0) start = start < -size ? -1 : start + size;
    if (end < 0) end = end < -size ? -1 : end + size;
    if (step > 0) {
        start = clamp(start, 0, size);
        end = clamp(end, 0, size);
        s->count[axis] = end > start ? (end - start - 1) / step + 1 : 0;
    } else {
        start = size > 0 ? clamp(start, 0, size - 1) : -1; /* the standard's text; NumPy would take nothing */
        end = clamp(end, -1, size - 1);
        s->count[axis] = start > end ? (start - end - 1) / -step + 1 : 0;
    }
    s->start[axis] = start;
    /* A longer step takes one element, too, and would not fit 64 bits when multiplied. */
    if (step > size || step < -size) s->step[axis] = size == 0 ? 1 : step > 0 ? size : -size;
}

bool skv_slice_resolve(skv_slice *s, int rank, const int64_t *dims, int n, const int64_t *starts, const int64_t *ends,
                       const int64_t *axes, const int64_t *steps) {
    *s = (skv_slice){.rank = rank};
    for (int d = 0; d < rank; d++) {
        s->step[d] = 1;
        s->count[d] = dims[d];
    }
    for (int i = 0; i < n; i++) {
        const int64_t axis = skv_axis(axes ? axes[i] : i, rank), step = steps ? steps[i] : 1;
        if (axis < 0 || step == 0 || step == INT64_MIN || s->named[axis]) return false;
        resolve_axis(s, (int)axis, dims[axis], starts[i], ends[i], step);
    }
    return true;
}

skive_status skv_slice_read(const skv_eval *c, size_t first, const skive_tensor *x, skv_slice *s) {
    static const char *const names[] = {"the starts", "the ends", "the axes", "the steps"};
    int64_t lists[4][SKIVE_MAX_RANK];
    int n[4];
    for (size_t i = 0; i < 4; i++) {
        n[i] = -1;
        if (first + i < c->n_in && c->in[first + i])
            SKV_TRY(skv_eval_ints(c, first + i, names[i], lists[i], SKIVE_MAX_RANK, &n[i]));
    }
    if (n[0] < 0 || n[1] != n[0] || (n[2] >= 0 && n[2] != n[0]) || (n[3] >= 0 && n[3] != n[0]) ||
        !skv_slice_resolve(s, x->rank, x->dims, n[0], lists[0], lists[1], n[2] >= 0 ? lists[2] : NULL,
                           n[3] >= 0 ? lists[3] : NULL)) {
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                           "node '%s': starts, ends, axes and steps do not match", c->node->name);
    }
    return SKIVE_OK;
}
