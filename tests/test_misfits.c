/* Every op with inputs that do not fit each other: its own cases with a dimension, a rank, an element type or a number
 * of an attribute changed. What inference lets pass is run, with the constants known to it (as lists of sizes are in a
 * file) and without (as they are when computed); a sanitizer sees what a run reads or writes beyond its tensors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/graph.h"
#include "graph/op.h"
#include "support.h"
#include "tensor/tensor.h"

enum { MOST_IO = SKV_OP_MAX_IO, MOST_ELEMENTS = 4096, MOST_BYTES = 4 << 20, ROUNDS = 400, MOST_INTS = 32 };

/* Memory is bounded: what a wrong number asks for must be refused, or fail. */
typedef struct block {
    size_t size;
    max_align_t data[];
} block;

static void *bounded_alloc(void *user, size_t size) {
    size_t *used = user;
    if (size > MOST_BYTES || *used > MOST_BYTES - size) return NULL;
    block *b = NULL;
    if (posix_memalign((void **)&b, 64, 64 + size) != 0) return NULL;
    b->size = size;
    *used += size;
    return (char *)b + 64;
}

static void bounded_free(void *user, void *pointer) {
    size_t *used = user;
    if (!pointer) return;
    block *b = (block *)(void *)((char *)pointer - 64);
    *used -= b->size;
    free(b);
}

typedef struct source { /* of random numbers */
    uint64_t stream, at;
} source;

static uint64_t draw(source *s, uint64_t n) { return skv_rng_below(41, s->stream, s->at++, n); }

static int64_t hostile(source *s) {
    static const int64_t numbers[] = {0,  1,  2,  3,         4,         7,         64,        -1,
                                      -2, -3, -9, INT32_MAX, INT64_MAX, INT64_MIN, 1LL << 62, 1LL << 32};
    return numbers[draw(s, SKV_COUNT(numbers))];
}

typedef struct trial {
    skive_context *ctx;
    const skv_op *op;
    const skv_op_case *kase;
    skive_graph *graph;
    skive_node *node;
    skive_tensor in[MOST_IO], out[MOST_IO];
    skive_type types[MOST_IO];
} trial;

static void spoil_shape(source *s, skive_type *t) {
    const int64_t sizes[] = {0, 1, 2, 3, 5, 9};
    const uint64_t what = draw(s, 8);
    if (what == 0 && t->rank < 6) {
        t->dims[t->rank++] = (skive_dim){1 + (int64_t)draw(s, 2), NULL};
    } else if (what == 1 && t->rank > 0) {
        t->rank--;
    } else if (what == 2) {
        static const skive_dtype dtypes[] = {SKIVE_F32, SKIVE_F64, SKIVE_F16,  SKIVE_I64,
                                             SKIVE_I32, SKIVE_U8,  SKIVE_BOOL, SKIVE_STRING};
        t->dtype = dtypes[draw(s, SKV_COUNT(dtypes))];
    } else if (t->rank > 0) {
        t->dims[draw(s, (uint64_t)t->rank)].size = sizes[draw(s, SKV_COUNT(sizes))];
    }
}

static skive_status spoil_attribute(trial *t, source *s) {
    int64_t ints[MOST_INTS];
    const skv_op *op = t->op;
    if (op->n_attrs == 0) return SKIVE_OK;
    const skv_attr_spec *spec = &op->attrs[draw(s, op->n_attrs)];
    const skv_attr *old = skv_node_attr(t->node, spec->name);
    size_t n = 1 + draw(s, 4);
    switch (spec->type) {
    case SKV_ATTR_INT: return skv_node_set_attr(t->node, &SKV_INT(spec->name, hostile(s)));
    case SKV_ATTR_INTS:
        if (old && old->n > 0 && old->n <= MOST_INTS && draw(s, 4) != 0) {
            n = old->n;
            memcpy(ints, old->ints, n * sizeof *ints);
            ints[draw(s, n)] = hostile(s);
        } else {
            for (size_t i = 0; i < n; i++) ints[i] = hostile(s);
        }
        return skv_node_set_attr(t->node, &SKV_INTS(spec->name, ints, n));
    case SKV_ATTR_STRING:
        return old ? skv_node_set_attr(t->node, &SKV_STR(spec->name, draw(s, 2) ? "none" : "")) : SKIVE_OK;
    default: return SKIVE_OK;
    }
}

/* The case's numbers where its shape was kept, else numbers of which most are small. */
static skive_status fill(trial *t, size_t i, bool same, source *s) {
    static const char *const words[] = {NULL, "", "a", "12", "-7.5e3", "the fox", "ä\xff", "NaN"};
    const skv_case_in *of = &t->kase->in[i];
    int64_t dims[SKIVE_MAX_RANK];
    const bool real = skv_dtype_is_float(t->types[i].dtype);
    const double lo = of->lo == 0 && of->hi == 0 ? -1 : of->lo, hi = of->lo == 0 && of->hi == 0 ? 1 : of->hi;
    for (int d = 0; d < t->types[i].rank; d++) dims[d] = t->types[i].dims[d].size;
    SKV_TRY(skive_tensor_create(t->ctx, t->types[i].dtype, t->types[i].rank, dims, &t->in[i]));
    const int64_t n = skive_tensor_count(&t->in[i]);
    for (int64_t k = 0; k < n; k++) {
        if (t->types[i].dtype == SKIVE_STRING)
            ((const char **)t->in[i].data)[k] = same && of->text ? of->text[k] : words[draw(s, SKV_COUNT(words))];
        else if (same && of->values && (real || draw(s, 8) != 0))
            skive_tensor_set(&t->in[i], k, of->values[k]);
        else if (real)
            skive_tensor_set(&t->in[i], k, lo + (hi - lo) * skv_rng_uniform(17, i, (uint64_t)k));
        else
            skv_store_i64(t->in[i].dtype, t->in[i].data, (size_t)k, draw(s, 8) ? (int64_t)draw(s, 3) : hostile(s));
    }
    return SKIVE_OK;
}

static skive_status make(trial *t, source *s) {
    skive_value *in[MOST_IO] = {NULL}, *out[MOST_IO] = {NULL};
    bool spoiled[MOST_IO] = {false};
    const skive_type unknown = {.rank = -1};
    const skv_op_case *k = t->kase;
    for (size_t i = 0; i < k->n_in; i++)
        if (!k->in[i].absent) t->types[i] = skive_type_make(k->in[i].dtype, k->in[i].rank, k->in[i].dims);
    for (uint64_t n = draw(s, 3); n > 0 && k->n_in > 0; n--) {
        const size_t i = (size_t)draw(s, k->n_in);
        if (k->in[i].absent) continue;
        spoil_shape(s, &t->types[i]);
        spoiled[i] = true;
    }
    SKV_TRY(skive_graph_create(t->ctx, "misfit", &t->graph));
    for (size_t i = 0; i < k->n_in; i++) {
        if (k->in[i].absent || (int)i >= (int)MOST_IO) continue;
        if (skv_type_count(&t->types[i]) > MOST_ELEMENTS) return SKIVE_ERR_LIMIT;
        SKV_TRY(fill(t, i, !spoiled[i], s));
        SKV_TRY(skive_graph_add_input(t->graph, NULL, &unknown, &in[i]));
    }
    for (size_t i = 0; i < k->n_out; i++) SKV_TRY(skv_graph_new_value(t->graph, NULL, &out[i]));
    SKV_TRY(skv_graph_new_node(t->graph, t->op->name, t->op->domain, "the_node", in, k->n_in, out, k->n_out, &t->node));
    for (size_t i = 0; i < k->n_attrs; i++) SKV_TRY(skv_node_set_attr(t->node, &k->attrs[i]));
    for (uint64_t n = draw(s, 3); n > 0; n--) SKV_TRY(spoil_attribute(t, s));
    return SKIVE_OK;
}

static void free_outputs(trial *t) {
    for (size_t i = 0; i < MOST_IO; i++) skive_tensor_free(t->ctx, &t->out[i]);
}

/* As a plan runs it whose inputs are computed: inference sees no numbers. */
static skive_status run_blindly(trial *t, const skive_tensor *const *in) {
    const skive_type *types[MOST_IO] = {NULL};
    const skive_tensor *constant[MOST_IO] = {NULL};
    skive_tensor *out[MOST_IO] = {NULL};
    skive_type made[MOST_IO];
    bool empty = true;
    for (size_t i = 0; i < t->kase->n_in; i++) types[i] = in[i] ? &t->types[i] : NULL;
    SKV_TRY(skv_op_infer(t->ctx, t->node, types, constant, made));
    for (uint32_t o = 0; o < t->node->n_outputs; o++) {
        int64_t dims[SKIVE_MAX_RANK];
        if (made[o].dtype == SKIVE_DTYPE_NONE || !skv_type_is_static(&made[o])) return SKIVE_OK;
        for (int d = 0; d < made[o].rank; d++) dims[d] = made[o].dims[d].size;
        SKV_TRY(skive_tensor_create(t->ctx, made[o].dtype, made[o].rank, dims, &t->out[o]));
        out[o] = &t->out[o];
        empty = empty && skive_tensor_count(out[o]) == 0;
    }
    skv_arena *strings = NULL;
    const skv_eval e = {.ctx = t->ctx,
                        .node = t->node,
                        .n_in = t->kase->n_in,
                        .n_out = t->kase->n_out,
                        .in = in,
                        .out = out,
                        .strings = &strings};
    const skive_status status = empty ? SKIVE_OK : t->op->run(&e);
    skv_arena_free(strings);
    return status;
}

static void check_answer(const trial *t, skive_status status) {
    if (status == SKIVE_OK || status == SKIVE_ERR_MEMORY) return;
    if (status == SKIVE_ERR_INTERNAL || !*skive_context_message(t->ctx))
        fail_msg("%s, case \"%s\": %s \"%s\"", t->op->name, t->kase->name, skive_status_name(status),
                 skive_context_message(t->ctx));
}

static void one_round(const skv_op *op, const skv_op_case *kase, source *s) {
    size_t used = 0;
    skive_context_options options = skive_context_options_default();
    options.allocator = (skive_allocator){.alloc = bounded_alloc, .free = bounded_free, .user = &used};
    options.threads = 1;
    trial t = {.op = op, .kase = kase};
    assert_int_equal(skive_context_create(&options, &t.ctx), SKIVE_OK);
    if (make(&t, s) == SKIVE_OK) {
        const skive_tensor *in[MOST_IO] = {NULL};
        for (size_t i = 0; i < kase->n_in; i++) in[i] = kase->in[i].absent ? NULL : &t.in[i];
        check_answer(&t, skv_op_evaluate(t.ctx, t.node, in, kase->n_in, t.out, t.node->n_outputs));
        free_outputs(&t);
        if (!op->size_outputs) check_answer(&t, run_blindly(&t, in));
        free_outputs(&t);
    }
    for (size_t i = 0; i < MOST_IO; i++) skive_tensor_free(t.ctx, &t.in[i]);
    skive_graph_free(t.graph);
    skive_context_free(t.ctx);
    assert_int_equal(used, 0);
}

static void test_misfits(void **state) {
    (void)state;
    const uint64_t rounds = skv_test_rounds(ROUNDS);
    for (size_t i = 0; i < skv_op_count(); i++) {
        const skv_op *op = skv_op_at(i);
        if (!op->run) continue;
        for (size_t k = 0; k < op->n_cases; k++) {
            source s = {.stream = i << 8 | k};
            for (uint64_t r = 0; r < rounds; r++) one_round(op, &op->cases[k], &s);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_misfits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
