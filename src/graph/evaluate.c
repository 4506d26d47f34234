/* Calling an op's record for one node: types, and values through the reference. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/op.h"
#include "tensor/strings.h"

/* Records set the node as the subject of a failure; the message must name it too. */
static skive_status named(skive_context *ctx, const skive_node *n, skive_status status) {
    if (status == SKIVE_OK) return status;
    if (status != SKIVE_ERR_MEMORY && strstr(skive_context_message(ctx), n->name)) return status;
    return skv_fail_prefix(ctx, status, "node '%s'", n->name);
}

skive_status skv_fail_node(skive_context *ctx, skive_status status, const skive_node *n) {
    char begun[512];
    (void)snprintf(begun, sizeof begun, "node '%.500s': ", n->name);
    skv_fail_cut(ctx, begun);
    return skv_fail_prefix(ctx, status, "node '%s' (%s)", n->name, n->op_type);
}

/* Here for all ops at once: none computes with pointers because its own check forgot strings. */
static skive_status refuse_strings(const skv_infer *c) {
    const skv_op *op = c->node->op;
    for (size_t i = 0; i < c->n_in; i++) {
        const bool text = (c->in[i] && c->in[i]->dtype == SKIVE_STRING) ||
                          (c->constant && c->constant[i] && c->constant[i]->dtype == SKIVE_STRING);
        if (text && !(op->strings >> (i < 31 ? i : 31) & 1u))
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': input %zu of %s is strings, which it does not take",
                                  c->node->name, i, c->node->op_type);
    }
    return SKIVE_OK;
}

static skive_status refuse_made_strings(const skv_infer *c) {
    for (size_t i = 0; i < c->n_out; i++)
        if (c->out[i].dtype == SKIVE_STRING && !c->node->op->strings)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                                  "node '%s': output %zu of %s would be strings, which it cannot make", c->node->name,
                                  i, c->node->op_type);
    return SKIVE_OK;
}

skive_status skv_op_infer(skive_context *ctx, const skive_node *n, const skive_type *const *in,
                          const skive_tensor *const *constant, skive_type *out) {
    for (uint32_t i = 0; i < n->n_outputs; i++) out[i] = (skive_type){.rank = -1};
    if (!n->op || !n->op->infer) {
        for (uint32_t i = 0; i < n->n_outputs; i++) {
            if (n->outputs[i]) out[i] = n->outputs[i]->type;
        }
        return SKIVE_OK;
    }
    if ((int)n->n_inputs < n->op->min_in) {
        return skv_fail_at(ctx, SKIVE_ERR_GRAPH, n->name, "node '%s': %s needs %d inputs", n->name, n->op_type,
                           n->op->min_in);
    }
    if ((int)n->n_outputs < n->op->min_out) {
        return skv_fail_at(ctx, SKIVE_ERR_GRAPH, n->name, "node '%s': %s gives at least %d outputs", n->name,
                           n->op_type, n->op->min_out);
    }
    if (n->n_outputs == 0) return SKIVE_OK; /* records write out[0] */
    /* The outputs of a variadic op always exist. */
    const uint32_t needed = n->op->max_in < 0 ? n->n_inputs : (uint32_t)n->op->min_in;
    for (uint32_t i = (uint32_t)n->op->absent_in; i < needed; i++) {
        if (!in[i])
            return skv_fail_at(ctx, SKIVE_ERR_GRAPH, n->name, "node '%s': input %u of %s is missing", n->name, i,
                               n->op_type);
    }
    skv_infer c = {
        .ctx = ctx, .node = n, .n_in = n->n_inputs, .n_out = n->n_outputs, .in = in, .constant = constant, .out = out};
    SKV_TRY(refuse_strings(&c));
    SKV_TRY(named(ctx, n, n->op->infer(&c)));
    return refuse_made_strings(&c);
}

typedef struct call {
    skive_type *in_types, *out_types;
    const skive_type **in;
    skive_tensor **out;
} call;

static skive_status allocate_call(skive_context *ctx, call *c, size_t n_in, size_t n_out) {
    SKV_TRY(skv_alloc_array(ctx, n_in + 1, sizeof *c->in_types, &c->in_types));
    SKV_TRY(skv_alloc_array(ctx, n_out + 1, sizeof *c->out_types, &c->out_types));
    SKV_TRY(skv_alloc_array(ctx, n_in + 1, sizeof *c->in, &c->in));
    return skv_alloc_array(ctx, n_out + 1, sizeof *c->out, &c->out);
}

static void free_call(skive_context *ctx, call *c) {
    skv_free(ctx, c->in_types);
    skv_free(ctx, c->out_types);
    skv_free(ctx, c->in);
    skv_free(ctx, c->out);
}

static skive_status allocate_outputs(skive_context *ctx, const skive_node *n, const skive_type *types,
                                     skive_tensor *out, skive_tensor **wanted) {
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        int64_t dims[SKIVE_MAX_RANK];
        if (!n->outputs[i]) continue;
        if (types[i].dtype == SKIVE_DTYPE_NONE || !skv_type_is_static(&types[i])) {
            return skv_fail_at(ctx, SKIVE_ERR_SHAPE, n->name, "node '%s': the shape of output %u of %s is unknown",
                               n->name, i, n->op_type);
        }
        for (int d = 0; d < types[i].rank; d++) dims[d] = types[i].dims[d].size;
        SKV_TRY(named(ctx, n, skive_tensor_create(ctx, types[i].dtype, types[i].rank, dims, &out[i])));
        wanted[i] = &out[i];
    }
    return SKIVE_OK;
}

/* Nothing to compute then, although loops over the other dimensions could be very long. */
static bool all_empty(const skive_node *n, const skive_tensor *out) {
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        if (n->outputs[i] && skive_tensor_count(&out[i]) != 0) return false;
    }
    return true;
}

skv_body *skv_flow_body(const skv_flow *c, const char *attribute) {
    const skv_attr *a = skv_node_attr(c->node, attribute);
    return a && a->graph ? c->bodies[a - c->node->attrs] : NULL;
}

skive_status skv_op_evaluate(skive_context *ctx, const skive_node *n, const skive_tensor *const *in, size_t n_in,
                             skive_tensor *out, size_t n_out) {
    call c = {0};
    skv_arena *strings = NULL;
    skive_status status;
    if (!n->op || !n->op->run) {
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, n->name, "node '%s': skive has no operator %s", n->name,
                           n->op_type);
    }
    for (size_t i = 0; i < n_out; i++) out[i] = (skive_tensor){0};
    SKV_GO(status, done, allocate_call(ctx, &c, n_in, n_out));
    for (size_t i = 0; i < n_in; i++) {
        if (!in[i]) continue;
        c.in_types[i] = skive_type_make(in[i]->dtype, in[i]->rank, in[i]->dims);
        c.in[i] = &c.in_types[i];
    }
    SKV_GO(status, done, skv_op_infer(ctx, n, c.in, in, c.out_types));
    const skv_eval e = {
        .ctx = ctx, .node = n, .n_in = n_in, .n_out = n_out, .in = in, .out = c.out, .strings = &strings};
    if (n->op->size_outputs) SKV_GO(status, done, named(ctx, n, n->op->size_outputs(&e, c.out_types)));
    SKV_GO(status, done, allocate_outputs(ctx, n, c.out_types, out, c.out));
    if (!all_empty(n, out)) status = named(ctx, n, n->op->run(&e));
    for (size_t i = 0; i < n_out && status == SKIVE_OK; i++) status = skv_strings_own(ctx, &out[i]);
done:
    if (status != SKIVE_OK) {
        for (size_t i = 0; i < n_out; i++) skive_tensor_free(ctx, &out[i]);
    }
    free_call(ctx, &c);
    skv_arena_free(strings);
    return status;
}

/* ---- value range ---- */

/* The limits of a type's numbers; false: it has none that matter here. */
static bool limits_of(skive_dtype dtype, double *lo, double *hi) {
    switch (dtype) {
    case SKIVE_BOOL: *lo = 0, *hi = 1; return true;
    case SKIVE_U2: *lo = 0, *hi = 3; return true;
    case SKIVE_I2: *lo = -2, *hi = 1; return true;
    case SKIVE_U4: *lo = 0, *hi = 15; return true;
    case SKIVE_I4: *lo = -8, *hi = 7; return true;
    case SKIVE_U8: *lo = 0, *hi = UINT8_MAX; return true;
    case SKIVE_I8: *lo = INT8_MIN, *hi = INT8_MAX; return true;
    case SKIVE_U16: *lo = 0, *hi = UINT16_MAX; return true;
    case SKIVE_I16: *lo = INT16_MIN, *hi = INT16_MAX; return true;
    case SKIVE_U32: *lo = 0, *hi = UINT32_MAX; return true;
    case SKIVE_I32: *lo = INT32_MIN, *hi = INT32_MAX; return true;
    case SKIVE_U64: *lo = 0, *hi = (double)UINT64_MAX; return true;
    case SKIVE_I64: *lo = (double)INT64_MIN, *hi = (double)INT64_MAX; return true;
    default: return false;
    }
}

/* Relative distance of neighbouring numbers; the largest number. */
static void precision_of(skive_dtype dtype, double *step, double *largest) {
    switch (dtype) {
    case SKIVE_F64: *step = DBL_EPSILON, *largest = DBL_MAX; return;
    case SKIVE_F32: *step = FLT_EPSILON, *largest = FLT_MAX; return;
    case SKIVE_F16: *step = 0x1p-10, *largest = 65504; return;
    case SKIVE_BF16: *step = 0x1p-7, *largest = FLT_MAX; return;
    default: *step = 0.25, *largest = 240; return; /* forms of 8 bits: the coarsest, the smallest */
    }
}

skv_range skv_output_range(const skive_node *n, const skv_range *in) {
    const skive_value *y = n->n_outputs > 0 ? n->outputs[0] : NULL;
    const skive_dtype dtype = y ? y->type.dtype : SKIVE_DTYPE_NONE;
    skv_range r = {-INFINITY, INFINITY};
    double lo, hi;
    if (n->op && n->op->range) r = n->op->range(n, in);
    if (isnan(r.lo)) r.lo = -INFINITY;
    if (isnan(r.hi)) r.hi = INFINITY;
    if (limits_of(dtype, &lo, &hi)) {
        /* What does not fit wraps around, to anywhere. */
        if (r.lo < lo || r.hi > hi) return (skv_range){lo, hi};
        return r;
    }
    if (!skv_dtype_is_float(dtype)) return (skv_range){-INFINITY, INFINITY};
    precision_of(dtype, &lo, &hi); /* the result is rounded, and what is too large becomes infinite */
    if (isfinite(r.lo)) r.lo -= fabs(r.lo) * lo;
    if (isfinite(r.hi)) r.hi += fabs(r.hi) * lo;
    if (r.lo < -hi) r.lo = -INFINITY;
    if (r.hi > hi) r.hi = INFINITY;
    if (r.lo > hi) r.lo = hi;
    if (r.hi < -hi) r.hi = -hi;
    return r;
}
