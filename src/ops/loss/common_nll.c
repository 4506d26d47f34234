/* See common_nll.h. */
#include "ops/loss/common_nll.h"

#include <string.h>

#include "ops/common_shape.h"

const skv_attr_spec skv_nll_attrs[2] = {{"reduction", SKV_ATTR_STRING, SKV_OPTIONAL},
                                        {"ignore_index", SKV_ATTR_INT, SKV_OPTIONAL}};

static int reduction_of(const skive_node *n) {
    const char *text = skv_attr_string(n, "reduction", "mean");
    if (strcmp(text, "none") == 0) return SKV_NLL_NONE;
    if (strcmp(text, "sum") == 0) return SKV_NLL_SUM;
    return strcmp(text, "mean") == 0 ? SKV_NLL_MEAN : -1;
}

skive_status skv_nll_check(skv_infer *c, size_t first) {
    const skive_type *x = skv_infer_in(c, first), *labels = skv_infer_in(c, first + 1);
    if (reduction_of(c->node) < 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': unknown reduction '%s'", c->node->name,
                              skv_attr_string(c->node, "reduction", ""));
    SKV_TRY(skv_want_float(c, first));
    if (labels->dtype != SKIVE_DTYPE_NONE && labels->dtype != SKIVE_I64 && labels->dtype != SKIVE_I32)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': labels must be integers, not %s", c->node->name,
                              skive_dtype_name(labels->dtype));
    SKV_TRY(skv_want_vector(c, first + 2, x->rank >= 2 ? x->dims[1].size : -1, "the weight"));
    SKV_TRY(skv_want_same_dtype(c, first, first + 2));
    if (x->rank < 0 || labels->rank < 0) return SKIVE_OK;
    bool fits = x->rank >= 2 && labels->rank == x->rank - 1;
    for (int d = 0; fits && d < labels->rank; d++) {
        const int64_t a = labels->dims[d].size, b = x->dims[d ? d + 1 : 0].size;
        fits = a < 0 || b < 0 || a == b;
    }
    if (fits) return SKIVE_OK;
    char a[160], b[160];
    skv_type_text(x, a, sizeof a);
    skv_type_text(labels, b, sizeof b);
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the shapes of scores %s and labels %s do not match",
                          c->node->name, a, b);
}

skive_status skv_nll_loss_type(skv_infer *c, size_t first, skive_type *out) {
    SKV_TRY(skv_nll_check(c, first));
    out->rank = 0;
    if (reduction_of(c->node) == SKV_NLL_NONE) *out = *skv_infer_in(c, first + 1);
    out->dtype = skv_infer_in(c, first)->dtype;
    return SKIVE_OK;
}

static double class_weight(const skv_nll_walk *w, int64_t label) {
    return w->weight ? skv_load_f64(w->weight->dtype, w->weight->data, (size_t)label) : 1;
}

skive_status skv_nll_start(const skv_eval *c, size_t first, skv_nll_walk *w) {
    const skive_tensor *x = c->in[first];
    *w = (skv_nll_walk){.labels = c->in[first + 1],
                        .weight = c->n_in > first + 2 ? c->in[first + 2] : NULL,
                        .classes = x->dims[1],
                        .inner = 1,
                        .ignoring = skv_node_attr(c->node, "ignore_index") != NULL,
                        .ignored = skv_attr_int(c->node, "ignore_index", 0),
                        .reduction = reduction_of(c->node),
                        .divisor = 1};
    w->count = skive_tensor_count(w->labels);
    for (int d = 2; d < x->rank; d++) w->inner *= x->dims[d];
    double sum = 0;
    for (int64_t i = 0; i < w->count; i++) {
        const int64_t label = skv_load_i64(w->labels->dtype, w->labels->data, (size_t)i);
        if (w->ignoring && label == w->ignored) continue;
        if (label < 0 || label >= w->classes)
            return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                               "node '%s': label %lld is out of range for %lld classes", c->node->name,
                               (long long)label, (long long)w->classes);
        sum += class_weight(w, label);
    }
    if (w->reduction == SKV_NLL_MEAN) w->divisor = sum;
    return SKIVE_OK;
}

double skv_nll_weight(const skv_nll_walk *w, int64_t i, size_t *at) {
    const int64_t label = skv_load_i64(w->labels->dtype, w->labels->data, (size_t)i);
    if (w->ignoring && label == w->ignored) return 0;
    *at = (size_t)((i / w->inner * w->classes + label) * w->inner + i % w->inner);
    return class_weight(w, label);
}

void skv_nll_store(const skv_nll_walk *w, const double *log_p, const skive_tensor *loss) {
    double sum = 0;
    for (int64_t i = 0; i < w->count; i++) {
        size_t at = 0;
        const double weight = skv_nll_weight(w, i, &at), one = weight == 0 ? 0 : -weight * log_p[at];
        sum += one;
        if (w->reduction == SKV_NLL_NONE) skv_store_f64(loss->dtype, loss->data, (size_t)i, one);
    }
    if (w->reduction != SKV_NLL_NONE) skv_store_f64(loss->dtype, loss->data, 0, sum / w->divisor);
}

skive_value *skv_nll_emit_grad(skv_grad *c, skive_value *log_p) {
    skv_attr_init buffer[SKV_ATTRS_COPY];
    const skive_node *n = c->node;
    return skv_emit(c->b, "NegativeLogLikelihoodLossGrad", SKV_IN(c->dout[0], log_p, n->inputs[1], skv_node_in(n, 2)),
                    skv_attrs_copy(n, buffer));
}
