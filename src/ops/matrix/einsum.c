/* Einsum: products of the operands' elements over labelled axes, summed over the labels that are not in the result. */
#include <stdio.h>
#include <string.h>

#include "ops/matrix/common_einsum.h"
#include "ops/common_nn.h"

static const skv_attr_spec attrs[] = {{"equation", SKV_ATTR_STRING, SKV_REQUIRED}};

/* The size of every label (-1: unknown); returns the reason if two operands disagree. */
static const char *sizes_of(const skv_einsum *e, int64_t dims[][SKIVE_MAX_RANK], int64_t *sizes) {
    for (int l = 0; l < e->n_labels; l++) sizes[l] = 1;
    bool seen[SKV_EINSUM_LABELS] = {false};
    for (int t = 0; t < e->n_terms; t++) {
        for (int a = 0; a < e->rank[t]; a++) {
            const int label = e->term[t][a];
            const int64_t size = dims[t][a];
            const bool stretches = e->may_broadcast[label] && (size == 1 || sizes[label] == 1);
            if (seen[label] && size >= 0 && sizes[label] >= 0 && size != sizes[label] && !stretches)
                return "operands disagree on the size of a label";
            if (!seen[label] || sizes[label] < 0 || (stretches && sizes[label] == 1)) sizes[label] = size;
            seen[label] = true;
        }
    }
    return NULL;
}

static skive_status infer(skv_infer *c) {
    int ranks[SKV_EINSUM_TERMS];
    int64_t dims[SKV_EINSUM_TERMS][SKIVE_MAX_RANK], sizes[SKV_EINSUM_LABELS];
    skv_einsum e;
    c->out[0].dtype = skv_infer_in(c, 0)->dtype;
    for (size_t i = 0; i < c->n_in; i++) {
        SKV_TRY(skv_want_same_dtype(c, 0, i));
        if (skv_infer_in(c, i)->rank < 0) return SKIVE_OK;
        if (i < SKV_EINSUM_TERMS) {
            ranks[i] = c->in[i]->rank;
            skv_type_sizes(c->in[i], dims[i]);
        }
    }
    const char *equation = skv_attr_string(c->node, "equation", ""),
               *why = skv_einsum_parse(equation, (int)c->n_in, ranks, &e);
    if (!why) why = sizes_of(&e, dims, sizes);
    if (why) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s', equation '%s': %s", c->node->name, equation, why);
    c->out[0].rank = e.n_out;
    for (int a = 0; a < e.n_out; a++) c->out[0].dims[a] = skv_dim(sizes[e.out[a]]);
    return skv_infer_limit(c, &c->out[0]);
}

/* The loops: first the labels of the result, then the summed ones. */
typedef struct loops {
    int n, n_out;
    int64_t size[SKV_EINSUM_LABELS], stride[SKV_EINSUM_TERMS][SKV_EINSUM_LABELS];
} loops;

static void plan_loops(const skv_einsum *e, const skive_tensor *const *in, const int64_t *sizes, loops *l) {
    int place[SKV_EINSUM_LABELS];
    *l = (loops){.n = e->n_out, .n_out = e->n_out};
    for (int i = 0; i < e->n_labels; i++) place[i] = -1;
    for (int i = 0; i < e->n_out; i++) place[e->out[i]] = i;
    for (int i = 0; i < e->n_labels; i++)
        if (place[i] < 0) place[i] = l->n++;
    for (int i = 0; i < e->n_labels; i++) l->size[place[i]] = sizes[i];
    for (int t = 0; t < e->n_terms; t++) {
        int64_t stride = 1;
        for (int a = e->rank[t] - 1; a >= 0; a--) {
            if (in[t]->dims[a] != 1)
                l->stride[t][place[e->term[t][a]]] += stride; /* a label that occurs twice selects the diagonal */
            stride *= in[t]->dims[a];
        }
    }
}

static void step(const loops *l, int n_terms, int first, int last, int64_t *index, int64_t *at) {
    for (int d = last - 1; d >= first; d--) {
        for (int t = 0; t < n_terms; t++) at[t] += l->stride[t][d];
        if (++index[d] < l->size[d]) return;
        for (int t = 0; t < n_terms; t++) at[t] -= l->stride[t][d] * l->size[d];
        index[d] = 0;
    }
}

static skive_status run(const skv_eval *c) {
    int ranks[SKV_EINSUM_TERMS];
    int64_t dims[SKV_EINSUM_TERMS][SKIVE_MAX_RANK] = {{0}}, sizes[SKV_EINSUM_LABELS], index[SKV_EINSUM_LABELS] = {0},
            at[SKV_EINSUM_TERMS] = {0};
    skv_doubles x[SKV_EINSUM_TERMS] = {{0}};
    skv_result y = {0};
    skv_einsum e;
    loops l;
    int64_t inner = 1;
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < c->n_in; i++) {
        ranks[i] = c->in[i]->rank;
        memcpy(dims[i], c->in[i]->dims, sizeof dims[i]);
    }
    const char *why = skv_einsum_parse(skv_attr_string(c->node, "equation", ""), (int)c->n_in, ranks, &e);
    if (!why) why = sizes_of(&e, dims, sizes);
    if (why) return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "node '%s': %s", c->node->name, why);
    for (size_t i = 0; i < c->n_in; i++) SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[i], &x[i]));
    SKV_GO(status, done, skv_result_open(c->ctx, c->out[0], &y));
    plan_loops(&e, c->in, sizes, &l);
    for (int d = l.n_out; d < l.n; d++) inner *= l.size[d];
    for (int t = 0; t < e.n_terms; t++)
        if (!x[t].p) inner = 0; /* no elements */
    for (size_t i = 0; i < y.n; i++, step(&l, e.n_terms, 0, l.n_out, index, at)) {
        double sum = 0;
        for (int64_t k = 0; k < inner; k++, step(&l, e.n_terms, l.n_out, l.n, index, at)) {
            double product = 1;
            for (int t = 0; t < e.n_terms; t++) product *= x[t].p[at[t]];
            sum += product;
        }
        y.p[i] = sum;
    }
    skv_result_store(&y);
done:
    for (size_t i = 0; i < c->n_in; i++) skv_doubles_free(c->ctx, &x[i]);
    skv_result_free(c->ctx, &y);
    return status;
}

/* The terms of the equation as text, without blanks; the result is term `n`. false: it does not match, or the result is
 * implicit. */
static bool split(const char *equation, size_t n, char terms[][48]) {
    size_t term = 0, length = 0;
    for (const char *p = equation; *p; p++) {
        if (*p == ' ') continue;
        const bool arrow = p[0] == '-' && p[1] == '>';
        if (*p == ',' || arrow) {
            if ((arrow && term != n - 1) || ++term > n) return false;
            length = 0;
            p += arrow;
            continue;
        }
        if (length + 2 > sizeof terms[0]) return false;
        terms[term][length++] = *p;
        terms[term][length] = '\0';
    }
    return term == n;
}

/* The gradient of operand i is an Einsum of the result's gradient and the other operands, if every label of operand i
 * occurs once in one of those. */
static bool grad_equation(char terms[][48], size_t n, size_t i, char *out, size_t size) {
    for (const char *p = terms[i]; *p; p++) {
        bool found = strchr(terms[n], *p) != NULL;
        for (size_t k = 0; k < n && !found; k++) found = k != i && strchr(terms[k], *p);
        if (!found || (*p != '.' && strchr(p + 1, *p))) return false;
    }
    size_t at = (size_t)snprintf(out, size, "%s", terms[n]);
    for (size_t k = 0; k < n && at < size; k++)
        if (k != i) at += (size_t)snprintf(out + at, size - at, ",%s", terms[k]);
    if (at < size) at += (size_t)snprintf(out + at, size - at, "->%s", terms[i]);
    return at < size;
}

static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    char terms[SKV_EINSUM_TERMS + 1][48] = {{0}}, equation[512];
    skive_value *in[SKV_EINSUM_TERMS];
    const bool good = n->n_inputs <= SKV_EINSUM_TERMS && split(skv_attr_string(n, "equation", ""), n->n_inputs, terms);
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        if (!c->need[i]) continue;
        if (!good || !grad_equation(terms, n->n_inputs, i, equation, sizeof equation))
            return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                               "node '%s': no gradient of the equation '%s' with respect to operand %u", n->name,
                               skv_attr_string(n, "equation", ""), i);
        size_t count = 0;
        in[count++] = c->dout[0];
        for (uint32_t k = 0; k < n->n_inputs; k++)
            if (k != i) in[count++] = n->inputs[k];
        skive_value *d = skv_emit(c->b, "Einsum", (skv_in_list){in, count}, SKV_ATTRS(SKV_STR("equation", equation)));
        c->din[i] = skv_grad_unbroadcast(c->b, d, n->inputs[i]);
    }
    return c->b->status;
}

static void cost(const skive_node *n, skive_cost *out) {
    int ranks[SKV_EINSUM_TERMS];
    int64_t dims[SKV_EINSUM_TERMS][SKIVE_MAX_RANK] = {{0}}, sizes[SKV_EINSUM_LABELS], macs = 1;
    skv_einsum e;
    if (n->n_inputs > SKV_EINSUM_TERMS) return;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        if (!n->inputs[i] || n->inputs[i]->type.rank < 0) return;
        ranks[i] = n->inputs[i]->type.rank;
        skv_type_sizes(&n->inputs[i]->type, dims[i]);
    }
    if (skv_einsum_parse(skv_attr_string(n, "equation", ""), (int)n->n_inputs, ranks, &e) || sizes_of(&e, dims, sizes))
        return;
    for (int l = 0; l < e.n_labels; l++) macs = skv_mul_sat(macs, sizes[l] < 0 ? 1 : sizes[l]);
    out->macs = skv_add_sat(out->macs, macs);
}

/* Axes with the same label; to what is summed, zeros add nothing. */
static void couple(skv_couple *c) {
    const skive_node *n = skv_couple_node(c);
    int ranks[SKV_EINSUM_TERMS];
    skv_slot of[SKV_EINSUM_LABELS];
    bool seen[SKV_EINSUM_LABELS] = {false};
    skv_einsum e;
    if (n->n_inputs > SKV_EINSUM_TERMS) return;
    for (int i = 0; i < (int)n->n_inputs; i++) {
        const skive_type *t = skv_couple_type(c, SKV_CIN(i, 0));
        if (!t || t->rank < 0) return;
        ranks[i] = t->rank;
    }
    if (skv_einsum_parse(skv_attr_string(n, "equation", ""), (int)n->n_inputs, ranks, &e)) return;
    for (int t = 0; t <= e.n_terms; t++) {
        for (int a = 0; a < (t < e.n_terms ? e.rank[t] : e.n_out); a++) {
            const skv_slot slot = t < e.n_terms ? SKV_CIN(t, a) : SKV_COUT(0, a);
            const int label = t < e.n_terms ? e.term[t][a] : e.out[a];
            if (skv_couple_length(c, slot) == 1) continue; /* broadcast */
            if (seen[label])
                skv_couple_same(c, slot, of[label]);
            else
                skv_couple_free(c, slot);
            of[label] = slot;
            seen[label] = true;
        }
    }
}

static const skv_op_case cases[] = {
    {.name = "matrix product",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}, {CASE_F32(2, 2), CASE_VALUES(5, 6, 7, 8)}),
     CASE_ATTRS(CASE_STR("equation", "ij, jk -> ik")),
     .n_out = 1,
     CASE_EXPECT(19, 22, 43, 50)},
    {.name = "diagonal",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}),
     CASE_ATTRS(CASE_STR("equation", "ii->i")),
     .n_out = 1,
     CASE_EXPECT(1, 4),
     CASE_OUT(2),
     .no_grad = true},
    {.name = "implied result, batches",
     CASE_IN({CASE_F32(1, 1, 2), CASE_VALUES(1, 2)}, {CASE_F32(2, 2, 1), CASE_VALUES(5, 6, 7, 8)}),
     CASE_ATTRS(CASE_STR("equation", "...ij,...jk")),
     .n_out = 1,
     CASE_EXPECT(17, 23),
     CASE_OUT(2, 1, 1),
     .no_grad = true},
    {.name = "attention scores",
     CASE_IN({CASE_F32(2, 3, 2, 4)}, {CASE_F32(2, 5, 2, 4)}),
     CASE_ATTRS(CASE_STR("equation", "bqhd,bkhd->bhqk")),
     .n_out = 1},
    {.name = "batches broadcast",
     CASE_IN({CASE_F32(1, 3, 2)}, {CASE_F32(4, 2, 3)}),
     CASE_ATTRS(CASE_STR("equation", "...ij,...jk->...ik")),
     .n_out = 1},
};

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_WEIGHT,
     .axes = true,
     .out_axis = -1,
     .in_axis = -2,
     .either = true,
     .data = -1,
     .result_axis = -1,
     .channels = "neurons"},
};

const skv_op skv_op_einsum = {
    .name = "Einsum",
    .domain = "",
    .brief = "sums of products over named axes",
    .since = 12,
    .min_in = 1,
    .max_in = -1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    SKV_LIST(inputs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .cost = cost,
    SKV_LIST(cases),
};
