/* Helpers shared by the layers of networks; see common_nn.h. */
#include "ops/common_nn.h"

/* ---- doubles ---- */

skive_status skv_doubles_read(skive_context *ctx, const skive_tensor *tensor, skv_doubles *out) {
    *out = (skv_doubles){0};
    if (!tensor) return SKIVE_OK;
    int64_t count = skive_tensor_count(tensor);
    if (count < 0) return SKV_FAIL(ctx, SKIVE_ERR_INTERNAL, "an operator got a tensor with an invalid shape");
    out->n = (size_t)count;
    if (tensor->dtype == SKIVE_F64) {
        out->p = tensor->data;
        return SKIVE_OK;
    }
    SKV_TRY(skv_alloc_array(ctx, out->n, sizeof(double), &out->own));
    out->p = out->own;
    if (tensor->dtype == SKIVE_F32) {
        const float *from = tensor->data;
        for (size_t i = 0; i < out->n; i++) out->own[i] = (double)from[i];
    } else {
        for (size_t i = 0; i < out->n; i++) out->own[i] = skv_load_f64(tensor->dtype, tensor->data, i);
    }
    return SKIVE_OK;
}

void skv_doubles_free(skive_context *ctx, skv_doubles *d) {
    skv_free(ctx, d->own);
    *d = (skv_doubles){0};
}

skive_status skv_result_open(skive_context *ctx, skive_tensor *tensor, skv_result *out) {
    *out = (skv_result){0};
    if (!tensor) return SKIVE_OK;
    int64_t count = skive_tensor_count(tensor);
    if (count < 0) return SKV_FAIL(ctx, SKIVE_ERR_INTERNAL, "an operator got a tensor with an invalid shape");
    out->tensor = tensor;
    out->n = (size_t)count;
    if (tensor->dtype == SKIVE_F64) {
        out->p = tensor->data;
        if (out->n) memset(out->p, 0, out->n * sizeof(double)); /* the memory may have been used before */
        return SKIVE_OK;
    }
    SKV_TRY(skv_alloc_array(ctx, out->n, sizeof(double), &out->own));
    out->p = out->own;
    return SKIVE_OK;
}

void skv_result_store(const skv_result *r) {
    if (!r->own) return;
    if (r->tensor->dtype == SKIVE_F32) {
        float *to = r->tensor->data;
        for (size_t i = 0; i < r->n; i++) to[i] = (float)r->p[i];
        return;
    }
    for (size_t i = 0; i < r->n; i++) skv_store_f64(r->tensor->dtype, r->tensor->data, i, r->p[i]);
}

void skv_result_free(skive_context *ctx, skv_result *r) {
    skv_free(ctx, r->own);
    *r = (skv_result){0};
}

void skv_gemm_f64(int threads, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const double *a, const double *b,
                  double *y) {
    int64_t a_row = ta ? 1 : k, a_col = ta ? m : 1;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < m; i++) {
        double *row = y + i * n;
        if (tb) {
            for (int64_t j = 0; j < n; j++) {
                const double *bj = b + j * k;
                double sum = 0.0;
                for (int64_t l = 0; l < k; l++) sum += a[i * a_row + l * a_col] * bj[l];
                row[j] += sum;
            }
        } else {
            for (int64_t l = 0; l < k; l++) {
                double v = a[i * a_row + l * a_col];
                const double *bl = b + l * n;
                for (int64_t j = 0; j < n; j++) row[j] += v * bl[j];
            }
        }
    }
}

/* ---- shape inference ---- */

int64_t skv_in_dim(const skv_infer *c, size_t i, int axis) {
    if (!skv_in_ranked(c, i) || axis < 0 || axis >= c->in[i]->rank) return -1;
    int64_t size = c->in[i]->dims[axis].size;
    return size < 0 ? -1 : size;
}

void skv_type_sizes(const skive_type *t, int64_t sizes[SKIVE_MAX_RANK]) {
    for (int a = 0; a < SKIVE_MAX_RANK; a++) sizes[a] = a < t->rank && t->dims[a].size >= 0 ? t->dims[a].size : -1;
}

skive_status skv_want_float(skv_infer *c, size_t i) {
    const skive_type *t = skv_in_type(c, i);
    if (!t || t->dtype == SKIVE_DTYPE_NONE || skv_dtype_is_float(t->dtype)) return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: input %zu must have a floating-point type, but it is %s",
                          c->node->op_type, i, skive_dtype_name(t->dtype));
}

skive_status skv_want_dtype(skv_infer *c, size_t i, skive_dtype dtype) {
    const skive_type *t = skv_in_type(c, i);
    if (!t || t->dtype == SKIVE_DTYPE_NONE || t->dtype == dtype) return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: input %zu must be %s, but it is %s", c->node->op_type, i,
                          skive_dtype_name(dtype), skive_dtype_name(t->dtype));
}

skive_status skv_want_same_dtype(skv_infer *c, size_t i, size_t j) {
    const skive_type *a = skv_in_type(c, i), *b = skv_in_type(c, j);
    if (!a || !b || a->dtype == SKIVE_DTYPE_NONE || b->dtype == SKIVE_DTYPE_NONE || a->dtype == b->dtype)
        return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: inputs %zu and %zu differ in type: %s and %s", c->node->op_type, i,
                          j, skive_dtype_name(a->dtype), skive_dtype_name(b->dtype));
}

skive_status skv_want_rank(skv_infer *c, size_t i, int low, int high) {
    if (!skv_in_ranked(c, i)) return SKIVE_OK;
    int rank = c->in[i]->rank;
    if (rank >= low && rank <= high) return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: input %zu has %d dimensions, expected %d to %d", c->node->op_type, i,
                          rank, low, high);
}

skive_status skv_want_vector(skv_infer *c, size_t i, int64_t length, const char *what) {
    if (!skv_in_ranked(c, i)) return SKIVE_OK;
    if (c->in[i]->rank != 1)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: %s has %d dimensions, expected 1", c->node->op_type, what,
                              c->in[i]->rank);
    int64_t have = skv_in_dim(c, i, 0);
    if (length >= 0 && have >= 0 && have != length)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: %s has %lld elements, expected %lld", c->node->op_type, what,
                              (long long)have, (long long)length);
    return SKIVE_OK;
}

static bool may_be_same_shape(const skive_type *a, const skive_type *b) {
    if (a->rank < 0 || b->rank < 0) return true;
    bool same = a->rank == b->rank;
    for (int d = 0; same && d < a->rank; d++) {
        const int64_t x = a->dims[d].size, y = b->dims[d].size;
        same = x < 0 || y < 0 || x == y;
    }
    return same;
}

skive_status skv_want_shape(skv_infer *c, size_t i, const skive_type *shape) {
    char left[256], right[256];
    if (!skv_in_ranked(c, i) || may_be_same_shape(c->in[i], shape)) return SKIVE_OK;
    skv_type_text(c->in[i], left, sizeof left);
    skv_type_text(shape, right, sizeof right);
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: input %zu is %s, which is not the shape of %s", c->node->op_type, i,
                          left, right);
}

skive_status skv_want_same_shape(skv_infer *c, size_t i, size_t j) {
    if (!skv_in_ranked(c, i) || !skv_in_ranked(c, j) || may_be_same_shape(c->in[i], c->in[j])) return SKIVE_OK;
    char left[256], right[256];
    skv_type_text(c->in[i], left, sizeof left);
    skv_type_text(c->in[j], right, sizeof right);
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: inputs %zu and %zu differ in shape: %s and %s", c->node->op_type, i,
                          j, left, right);
}

skive_status skv_infer_gradient(skv_infer *c, skv_op_kind forward, const int *inputs, size_t n, size_t dy) {
    const skive_type *in[SKV_OP_MAX_IO] = {NULL};
    const skive_tensor *constant[SKV_OP_MAX_IO] = {NULL};
    skive_type y[SKV_OP_MAX_IO];
    const skv_op *op = skv_op_of(forward);
    skv_infer view = *c;
    view.n_in = n < SKV_OP_MAX_IO ? n : SKV_OP_MAX_IO;
    view.n_out = op->min_out > 1 ? (size_t)op->min_out : 1;
    view.in = in;
    view.constant = constant;
    view.out = y;
    for (size_t o = 0; o < view.n_out; o++) y[o] = (skive_type){.rank = -1};
    for (size_t i = 0; i < view.n_in; i++) {
        if (inputs[i] < 0 || (size_t)inputs[i] >= c->n_in) continue;
        in[i] = c->in[inputs[i]];
        constant[i] = c->constant[inputs[i]];
    }
    SKV_TRY(op->infer(&view));
    const skive_type *d = skv_in_type(c, dy);
    if (d && d->dtype != SKIVE_DTYPE_NONE && y[0].dtype != SKIVE_DTYPE_NONE && d->dtype != y[0].dtype)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: the gradient is %s, but the result is %s", c->node->op_type,
                              skive_dtype_name(d->dtype), skive_dtype_name(y[0].dtype));
    return skv_want_shape(c, dy, &y[0]);
}

void skv_out_like(skv_infer *c, size_t o, size_t i) {
    if (o < c->n_out && i < c->n_in && c->in[i]) c->out[o] = *c->in[i];
}

/* ---- gradients ---- */

skv_attr_list skv_attrs_copy(const skive_node *n, skv_attr_init buffer[SKV_ATTRS_COPY]) {
    size_t count = 0;
    for (uint32_t i = 0; i < n->n_attrs && count < SKV_ATTRS_COPY; i++) {
        const skv_attr *a = &n->attrs[i];
        switch (a->type) {
        case SKV_ATTR_INT: buffer[count++] = SKV_INT(a->name, a->i); break;
        case SKV_ATTR_FLOAT: buffer[count++] = SKV_FLT(a->name, a->f); break;
        case SKV_ATTR_STRING: buffer[count++] = SKV_STR(a->name, a->s); break;
        case SKV_ATTR_INTS: buffer[count++] = SKV_INTS(a->name, a->ints, a->n); break;
        case SKV_ATTR_FLOATS: buffer[count++] = SKV_FLTS(a->name, a->floats, a->n); break;
        case SKV_ATTR_STRINGS: buffer[count++] = SKV_STRS(a->name, a->strings, a->n); break;
        case SKV_ATTR_TENSOR:
        case SKV_ATTR_GRAPH: break;
        }
    }
    return (skv_attr_list){buffer, count};
}

skive_status skv_node_need_outputs(skive_node *n, uint32_t count) {
    skive_graph *g = n->graph;
    skive_value *fresh[SKV_OP_MAX_IO] = {NULL};
    skive_value **outputs = n->outputs;
    skive_status status = SKIVE_OK;
    if (count > SKV_OP_MAX_IO)
        return SKV_FAIL(g->ctx, SKIVE_ERR_INTERNAL, "%s: too many outputs are requested", n->name);
    if (count > n->n_outputs) SKV_TRY(skv_arena_array(g->arena, count, sizeof *outputs, &outputs));
    for (uint32_t i = 0; i < count; i++) {
        if (i < n->n_outputs && n->outputs[i]) continue;
        SKV_GO(status, undo, skv_graph_new_value(g, NULL, &fresh[i]));
    }
    if (count > n->n_outputs) {
        for (uint32_t i = 0; i < n->n_outputs; i++) outputs[i] = n->outputs[i];
        n->outputs = outputs;
        n->n_outputs = count;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!fresh[i]) continue;
        n->outputs[i] = fresh[i];
        fresh[i]->producer = n;
        fresh[i]->producer_index = (int)i;
    }
    /* The new outputs get their types as at building time; as far as they are known. */
    const skive_type *in[SKV_OP_MAX_IO];
    const skive_tensor *constant[SKV_OP_MAX_IO];
    skive_type out[SKV_OP_MAX_IO];
    if (n->n_inputs > SKV_OP_MAX_IO || n->n_outputs > SKV_OP_MAX_IO) return SKIVE_OK;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        in[i] = n->inputs[i] ? &n->inputs[i]->type : NULL;
        constant[i] = skv_value_tensor(n->inputs[i]);
    }
    SKV_TRY(skv_op_infer(g->ctx, n, in, constant, out));
    for (uint32_t i = 0; i < count; i++)
        if (fresh[i]) fresh[i]->type = out[i];
    return SKIVE_OK;
undo:
    for (uint32_t i = 0; i < count; i++)
        if (fresh[i]) (void)skv_graph_remove_value(fresh[i]);
    return status;
}

skive_status skv_grad_only_first(const skv_grad *c, size_t first) {
    for (size_t i = first; i < c->node->n_outputs; i++)
        if (c->dout[i])
            return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, c->node->name,
                               "%s has no gradient through its output %zu", c->node->op_type, i);
    return SKIVE_OK;
}

/* ---- cost ---- */

int64_t skv_dim_or_1(const skive_value *v, int axis) {
    if (!v || axis < 0 || axis >= v->type.rank || v->type.dims[axis].size < 0) return 1;
    return v->type.dims[axis].size;
}

skive_status skv_want_like_output(skv_infer *c, size_t i, const char *what) {
    if (!skv_in_ranked(c, i) || c->n_out < 1 || c->out[0].rank < 0) return SKIVE_OK;
    const skive_type *y = &c->out[0];
    bool same = c->in[i]->rank == y->rank;
    for (int a = 0; same && a < y->rank; a++) {
        int64_t have = skv_in_dim(c, i, a), want = y->dims[a].size;
        same = have < 0 || want < 0 || have == want;
    }
    if (same) return SKIVE_OK;
    char left[256], right[256];
    skv_type_text(c->in[i], left, sizeof left);
    skv_type_text(y, right, sizeof right);
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: %s is %s, but the output is %s; they must be equal",
                          c->node->op_type, what, left, right);
}
