/* Intervals of the results of products with a constant matrix, by output channel. */
#include "ops/common_nn.h"

typedef struct product {
    double lo, hi, size, terms;
} product;

static double largest(skv_range r) { return fabs(r.lo) > fabs(r.hi) ? fabs(r.lo) : fabs(r.hi); }

/* Adds weight times a number of the interval. A weight of 0 adds nothing, whatever the number. */
static void add(product *p, double weight, skv_range x) {
    if (weight == 0) return;
    p->lo += weight * (weight > 0 ? x.lo : x.hi);
    p->hi += weight * (weight > 0 ? x.hi : x.lo);
    p->size += fabs(weight) * largest(x);
    p->terms++;
}

static void add_bias(product *p, const skive_tensor *bias, int64_t m, double factor) {
    if (!bias) return;
    const int64_t n = skive_tensor_count(bias);
    const double x = factor * skv_load_f64(bias->dtype, bias->data, (size_t)(n > 1 ? m % n : 0));
    p->lo += x;
    p->hi += x;
    p->size += fabs(x);
}

static bool are_all_zero(const int64_t *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0) return false;
    return true;
}

bool skv_conv_pads(const skive_node *n) {
    const char *rule = skv_attr_string(n, "auto_pad", "NOTSET");
    size_t count;
    const int64_t *pads = skv_attr_ints(n, "pads", &count);
    if (strcmp(rule, "VALID") == 0) return false;
    return strcmp(rule, "NOTSET") != 0 || !are_all_zero(pads, count);
}

skive_status skv_bound_conv(skv_bounding *b) {
    const skive_node *n = skv_bounding_node(b);
    const skive_tensor *w = skv_bound_constant(b, 1), *bias = skv_bound_constant(b, 2);
    const skive_type *y = &n->outputs[0]->type;
    const bool pads = skv_conv_pads(n);
    const int64_t groups = skv_attr_int(n, "group", 1);
    skv_range *r;
    if (!w || w->rank < 3 || (skv_node_in(n, 2) && !bias) || y->dtype != SKIVE_F32 || groups < 1 ||
        w->dims[0] % groups != 0 || w->dims[1] < 1)
        return SKIVE_OK;
    const int64_t m_all = w->dims[0], per = w->dims[1], taps = skive_tensor_count(w) / (m_all * per);
    SKV_TRY(skv_bound_output(b, 1, m_all, &r));
    for (int64_t m = 0; m < m_all; m++) {
        product p = {0};
        for (int64_t c = 0; c < per; c++) {
            skv_range x = skv_bound_at(b, 0, 1, m / (m_all / groups) * per + c);
            if (pads && x.lo > 0) x.lo = 0;
            if (pads && x.hi < 0) x.hi = 0;
            for (int64_t t = 0; t < taps; t++)
                add(&p, skv_load_f64(w->dtype, w->data, (size_t)((m * per + c) * taps + t)), x);
        }
        add_bias(&p, bias, m, 1);
        r[m] = skv_range_of_sum(p.lo, p.hi, p.size, p.terms);
    }
    return SKIVE_OK;
}

skive_status skv_bound_product(skv_bounding *b) {
    const skive_node *n = skv_bounding_node(b);
    const skive_tensor *w = skv_bound_constant(b, 1), *bias = skv_bound_constant(b, 2);
    const skive_type *x = &n->inputs[0]->type, *y = &n->outputs[0]->type;
    const bool across = skv_attr_int(n, "transB", 0) != 0;
    const double alpha = skv_attr_float(n, "alpha", 1), beta = skv_attr_float(n, "beta", 1);
    skv_range *r;
    if (!w || w->rank != 2 || x->rank < 2 || y->rank != x->rank || skv_attr_int(n, "transA", 0) != 0 ||
        (skv_node_in(n, 2) && !bias) || y->dtype != SKIVE_F32)
        return SKIVE_OK;
    const int64_t out = w->dims[across ? 0 : 1], in = w->dims[across ? 1 : 0];
    if (out < 1 || (bias && skive_tensor_count(bias) != 1 &&
                    (skive_tensor_count(bias) != out || bias->dims[bias->rank - 1] != out)))
        return SKIVE_OK;
    SKV_TRY(skv_bound_output(b, y->rank - 1, out, &r));
    for (int64_t m = 0; m < out; m++) {
        product p = {0};
        for (int64_t c = 0; c < in; c++) {
            const size_t at = (size_t)(across ? m * in + c : c * out + m);
            add(&p, alpha * skv_load_f64(w->dtype, w->data, at), skv_bound_at(b, 0, x->rank - 1, c));
        }
        add_bias(&p, bias, m, beta);
        r[m] = skv_range_of_sum(p.lo, p.hi, p.size, p.terms);
    }
    return SKIVE_OK;
}
