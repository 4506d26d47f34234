/* What the parameters of a graph are: roles by operator and by structure, the matrix views of weights, what training
 * marks, and what files keep of it. */
#include "train_fixtures.h"

#include <skive/onnx.h>
#include <skive/pack.h>
#include <skive/prune.h>

#include "graph/weights.h"
#include "passes/pass.h"

static skive_graph *new_graph(skive_context *ctx, int rank, const int64_t *dims, skive_value **x) {
    skive_graph *g = NULL;
    const skive_type t = skive_type_make(SKIVE_F32, rank, dims);
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &t, x));
    return g;
}

static skive_value *param(skv_builder *b, const char *name, int rank, const int64_t *dims) {
    return parameter(b, name, rank, dims, 1, -1, 1);
}
#define P(b, name, ...) \
    param(b, name, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__})
#define EMIT(op, ...) skv_emit(&b, op, SKV_IN(__VA_ARGS__), SKV_NONE)

static void finish(skive_context *ctx, skive_graph *g, const skv_builder *b, skive_value *y) {
    skv_test_ok(ctx, b->status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
}

static void expect_role(skive_context *ctx, const skive_graph *g, const char *name, skv_role role) {
    skv_role *roles;
    const skive_value *v = skive_graph_find_value(g, name);
    assert_non_null(v);
    skv_test_ok(ctx, skv_graph_roles(ctx, g, &roles));
    if (roles[v->id] != role)
        fail_msg("'%s' is taken for a %s, not for a %s", name, skv_role_name(roles[v->id]), skv_role_name(role));
    skv_free(ctx, roles);
}

/* What a record says of its inputs names none that it has not, and axes only where the cases have them. */
static void records_are_sound(void **state) {
    (void)state;
    for (size_t i = 0; i < skv_op_count(); i++) {
        const skv_op *op = skv_op_at(i);
        assert_true(op->max_in < 0 || op->n_inputs <= (size_t)op->max_in);
        for (size_t k = 0; k < op->n_inputs; k++) {
            const skv_input_spec *s = &op->inputs[k];
            assert_true(s->role < SKV_ROLES && s->blocks >= 0);
            if (s->role == SKV_ROLE_WEIGHT) assert_non_null(s->channels);
            if (s->transpose) {
                bool known = false;
                for (size_t a = 0; a < op->n_attrs; a++) known = known || strcmp(op->attrs[a].name, s->transpose) == 0;
                assert_true(known);
            }
            bool has = !s->axes;
            for (size_t c = 0; c < op->n_cases && !has; c++) {
                const int rank = k < op->cases[c].n_in && !op->cases[c].in[k].absent ? op->cases[c].in[k].rank : 0;
                has = s->out_axis < rank && s->out_axis >= -rank && s->in_axis < rank && s->in_axis >= -rank;
            }
            if (!has) fail_msg("%s, input %zu: no case has the axes that its record names", op->name, k);
        }
    }
}

static void normalisation_masks_and_positions_are_constants(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_value *x;
    skive_graph *g = new_graph(ctx, 2, (const int64_t[]){4, 8}, &x);
    skv_builder b = skv_build(g);
    skive_value *mask = P(&b, "mask", 1, 6);
    for (int i = 3; i < 6; i++) ((float *)mask->storage->tensor.data)[i] = -1e9f;
    skive_value *zero_one = P(&b, "keep", 1, 16);
    for (int i = 0; i < 16; i++) ((float *)zero_one->storage->tensor.data)[i] = (float)(i % 2);
    skive_value *y = EMIT("Mul", EMIT("Sub", x, P(&b, "mean", 1, 8)), P(&b, "rstd", 1, 8));
    y = EMIT("Gemm", y, P(&b, "w1", 8, 16), P(&b, "b1", 16));
    y = EMIT("Mul", y, P(&b, "scale", 1));
    y = EMIT("Add", y, P(&b, "positions", 4, 16));
    y = EMIT("Add", y, P(&b, "row", 16)); /* nothing says that it was learned: the Gemm has its bias */
    y = EMIT("Mul", EMIT("Relu", y), zero_one);
    y = EMIT("Add", EMIT("MatMul", y, P(&b, "w2", 16, 6)), mask);
    finish(ctx, g, &b, y);
    static const char *const constants[] = {"mean", "rstd", "scale", "positions", "row", "keep", "mask"};
    for (size_t i = 0; i < SKV_COUNT(constants); i++) expect_role(ctx, g, constants[i], SKV_ROLE_CONSTANT);
    expect_role(ctx, g, "w1", SKV_ROLE_WEIGHT);
    expect_role(ctx, g, "b1", SKV_ROLE_BIAS);
    expect_role(ctx, g, "w2", SKV_ROLE_WEIGHT);
    skv_test_ok(ctx, skv_mark_trainable(g));
    assert_true(skive_value_is_trainable(skive_graph_find_value(g, "w2")));
    assert_false(skive_value_is_trainable(skive_graph_find_value(g, "mean")));
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* The bias that the list names with a weight. */
static void expect_bias(skive_context *ctx, const skive_graph *g, const char *weight, const char *bias) {
    skv_weight *w;
    size_t n;
    skv_test_ok(ctx, skv_weights(ctx, g, &w, &n));
    for (size_t i = 0; i < n; i++) {
        if (strcmp(w[i].value->name, weight) != 0) continue;
        if (bias)
            assert_string_equal(w[i].bias ? w[i].bias->name : "none", bias);
        else
            assert_null(w[i].bias);
        skv_free(ctx, w);
        return;
    }
    fail_msg("%s is not listed", weight);
}

/* Linear layers over sequences, LayerNormalization written out, a scale per channel (LayerScale), a bias after a
 * Reshape. */
static void biases_and_scales_by_structure(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_value *x;
    skive_graph *g = new_graph(ctx, 3, (const int64_t[]){2, 5, 8}, &x);
    skv_builder b = skv_build(g);
    skive_value *y = EMIT("Add", P(&b, "fc.bias", 16), EMIT("MatMul", x, P(&b, "fc.weight", 8, 16)));
    skive_value *axis = skv_emit_ints(&b, (const int64_t[]){-1}, 1);
    skive_value *off = EMIT("Sub", y, EMIT("ReduceMean", y, axis));
    skive_value *deviation = EMIT(
        "Sqrt", EMIT("Add", EMIT("ReduceMean", EMIT("Mul", off, off), axis), skv_emit_scalar(&b, SKIVE_F32, 1e-5)));
    y = EMIT("Mul", EMIT("Div", off, deviation), P(&b, "norm.weight", 16));
    y = EMIT("Add", y, P(&b, "norm.bias", 16));
    y = EMIT("MatMul", y, P(&b, "out", 16, 12));
    y = EMIT("Add", EMIT("Reshape", y, skv_emit_ints(&b, (const int64_t[]){10, 12}, 2)), P(&b, "out.bias", 12));
    y = EMIT("Mul", EMIT("Relu", y), P(&b, "layer_scale", 12));
    y = EMIT("MatMul", y, P(&b, "one", 12, 1));
    y = EMIT("Add", y, P(&b, "one.bias", 1)); /* one number, of one output channel */
    finish(ctx, g, &b, y);
    expect_role(ctx, g, "fc.bias", SKV_ROLE_BIAS);
    expect_role(ctx, g, "norm.weight", SKV_ROLE_SCALE);
    expect_role(ctx, g, "norm.bias", SKV_ROLE_SHIFT);
    expect_role(ctx, g, "out.bias", SKV_ROLE_BIAS);
    expect_role(ctx, g, "layer_scale", SKV_ROLE_SCALE);
    expect_role(ctx, g, "one.bias", SKV_ROLE_BIAS);
    expect_bias(ctx, g, "fc.weight", "fc.bias");
    expect_bias(ctx, g, "out", NULL);
    expect_bias(ctx, g, "one", "one.bias");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* What only a Transpose reads is stored transposed; a matrix that is read as it is too stays. */
static void transposed_parameters_are_turned(void **state) {
    (void)state;
    for (int prunes = 0; prunes < 2; prunes++) {
        skive_context *ctx = skv_test_context();
        skive_prune_options o = skive_prune_options_default();
        skive_value *x;
        skive_graph *g = new_graph(ctx, 2, (const int64_t[]){3, 4}, &x);
        skv_builder b = skv_build(g);
        skive_value *w = P(&b, "w", 6, 4), *tied = P(&b, "tied", 6, 6);
        for (int64_t i = 0; i < 24; i++) skive_tensor_set(&w->storage->tensor, i, (double)i);
        skive_value *y = EMIT("MatMul", x, EMIT("Transpose", w));
        finish(ctx, g, &b, EMIT("MatMul", EMIT("MatMul", y, tied), EMIT("Transpose", tied)));
        o.sparsity = 0.5;
        skv_test_ok(ctx, prunes ? skive_prune(ctx, g, NULL, NULL, &o, NULL) : skv_pass_turn_parameters(g, NULL));
        size_t transposes = 0;
        for (uint32_t i = 0; i < g->n_nodes; i++) transposes += strcmp(skive_node_op(g->nodes[i]), "Transpose") == 0;
        assert_int_equal(transposes, 1);
        const skive_tensor *t = skv_value_tensor(skive_graph_find_value(g, "w"));
        assert_int_equal(t->dims[0], 4);
        for (int64_t i = 0; i < 24; i++) {
            const double now = skive_tensor_get(t, i);
            assert_true(now == (double)(i % 6 * 4 + i / 6) || (prunes && now == 0));
        }
        expect_bias(ctx, g, "w", NULL);         /* it is listed */
        skv_test_ok(ctx, skive_graph_infer(g)); /* the sizes fit */
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* The filters of a grouped convolution count those of all groups, those of a transposed one of one group. */
static void biases_behind_groups(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_value *x;
    skive_graph *g = new_graph(ctx, 4, (const int64_t[]){1, 4, 5, 5}, &x);
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Conv", SKV_IN(x, P(&b, "conv", 6, 2, 3, 3)), SKV_ATTRS(SKV_INT("group", 2)));
    y = EMIT("Relu", EMIT("Add", y, P(&b, "conv.bias", 1, 6, 1, 1)));
    y = skv_emit(&b, "ConvTranspose", SKV_IN(y, P(&b, "up", 6, 4, 2, 2)), SKV_ATTRS(SKV_INT("group", 2)));
    finish(ctx, g, &b, EMIT("Add", y, P(&b, "up.bias", 8, 1, 1)));
    expect_role(ctx, g, "conv.bias", SKV_ROLE_BIAS);
    expect_role(ctx, g, "up.bias", SKV_ROLE_BIAS);
    expect_bias(ctx, g, "conv", "conv.bias");
    expect_bias(ctx, g, "up", "up.bias");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* A weight that is transposed, one that is computed from two parameters, an embedding tied to the last layer. */
static void roles_reach_through_formulas(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_value *x;
    skive_graph *g = new_graph(ctx, 2, (const int64_t[]){3, 4}, &x);
    skv_builder b = skv_build(g);
    skive_value *at = skv_emit(&b, "Cast", SKV_IN(x), SKV_ATTRS(SKV_INT("to", SKIVE_I64)));
    skive_value *words = P(&b, "words", 20, 8);
    skive_value *y = EMIT("Gather", words, at);
    y = EMIT("MatMul", y, EMIT("Transpose", P(&b, "turned", 6, 8)));
    y = EMIT("MatMul", y, EMIT("Mul", P(&b, "v", 6, 8), P(&b, "g", 6, 1)));
    y = EMIT("MatMul", y, EMIT("Transpose", words));
    y = EMIT("Gather", EMIT("Relu", y), at); /* of what is computed: no table */
    finish(ctx, g, &b, y);
    expect_role(ctx, g, "words", SKV_ROLE_WEIGHT);
    expect_role(ctx, g, "turned", SKV_ROLE_WEIGHT);
    expect_role(ctx, g, "v", SKV_ROLE_WEIGHT);
    expect_role(ctx, g, "g", SKV_ROLE_WEIGHT);
    skv_weight *w;
    size_t n;
    skv_test_ok(ctx, skv_weights(ctx, g, &w, &n));
    bool seen = false;
    for (size_t i = 0; i < n; i++) seen = seen || strcmp(w[i].value->name, "words") == 0;
    assert_true(seen);
    skv_free(ctx, w);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void views(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_value *x;
    skive_graph *g = new_graph(ctx, 4, (const int64_t[]){1, 4, 9, 9}, &x);
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Conv", SKV_IN(x, P(&b, "conv", 6, 2, 3, 5), P(&b, "conv.bias", 6)),
                              SKV_ATTRS(SKV_INT("group", 2)));
    y = EMIT("ConvTranspose", y, P(&b, "up", 6, 3, 2, 2));
    y = EMIT("GlobalAveragePool", y);
    y = EMIT("Reshape", y, skv_emit_ints(&b, (const int64_t[]){1, 1, 3}, 3));
    skive_value *out[2];
    skv_emit_n(&b, "GRU", SKV_IN(y, P(&b, "W", 2, 15, 3), P(&b, "R", 2, 15, 5), P(&b, "B", 2, 30)),
               SKV_ATTRS(SKV_INT("hidden_size", 5), SKV_STR("direction", "bidirectional")), out, 2);
    y = EMIT("Reshape", out[1], skv_emit_ints(&b, (const int64_t[]){1, 10}, 2));
    y = skv_emit(&b, "Gemm", SKV_IN(y, P(&b, "fc", 7, 10)), SKV_ATTRS(SKV_INT("transB", 1)));
    y = EMIT("MatMul", P(&b, "left", 4, 1), y);
    finish(ctx, g, &b, y);
    static const struct {
        const char *name, *bias;
        skv_weight_view view;
    } want[] = {
        {"conv", "conv.bias", {0, 1, 6, 2, 15, 2, 1, 1, 0, 1, 1, true}},
        {"up", NULL, {1, 0, 3, 6, 4, 1, 1, 1, 0, 1, 1, false}},
        {"W", "B", {1, 2, 15, 3, 1, 1, 3, 2, 0, 2, 3, false}},
        {"R", "B", {1, 2, 15, 5, 1, 1, 3, 2, -1, -1, 3, false}},
        {"fc", NULL, {0, 1, 7, 10, 1, 1, 1, 1, 0, 1, 1, false}},
        {"left", NULL, {0, 1, 4, 1, 1, 1, 1, 1, 1, 0, 0, false}},
    };
    skv_weight *w;
    size_t n;
    skv_test_ok(ctx, skv_weights(ctx, g, &w, &n));
    assert_int_equal(n, SKV_COUNT(want));
    for (size_t i = 0; i < n; i++) {
        const skv_weight_view *a = &w[i].view, *v = &want[i].view;
        assert_string_equal(w[i].value->name, want[i].name);
        assert_string_equal(w[i].bias ? w[i].bias->name : "none", want[i].bias ? want[i].bias : "none");
        if (a->out_axis != v->out_axis || a->in_axis != v->in_axis || a->out != v->out || a->in != v->in ||
            a->taps != v->taps || a->groups != v->groups || a->blocks != v->blocks || a->directions != v->directions ||
            a->data != v->data || a->data_axis != v->data_axis || a->result_axis != v->result_axis ||
            a->windows != v->windows)
            fail_msg("%s: axes %d %d, %lld x %lld, %lld taps, %lld groups, %lld blocks, %lld directions, "
                     "data %d axis %d, result axis %d",
                     want[i].name, a->out_axis, a->in_axis, (long long)a->out, (long long)a->in, (long long)a->taps,
                     (long long)a->groups, (long long)a->blocks, (long long)a->directions, a->data, a->data_axis,
                     a->result_axis);
    }
    skv_free(ctx, w);
    expect_role(ctx, g, "B", SKV_ROLE_BIAS);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* What is trained and what was pruned is known again after ONNX and .skv. */
static void files_keep_marks(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    for (int packed = 0; packed < 2; packed++) {
        skive_value *x;
        skive_graph *g = new_graph(ctx, 2, (const int64_t[]){1, 8}, &x), *back = NULL;
        skv_builder b = skv_build(g);
        skive_value *y = EMIT("Add", x, P(&b, "positions\nof\\it", 1, 8));
        y = EMIT("Gemm", y, P(&b, "w", 8, 4), P(&b, "bias", 4));
        finish(ctx, g, &b, EMIT("Mul", y, P(&b, "rest", 1, 4)));
        skv_test_ok(ctx, skv_mark_trainable(g));
        skive_graph_find_value(g, "positions\nof\\it")->trainable = true;
        skive_graph_find_value(g, "bias")->trainable = false;
        skive_graph_find_value(g, "w")->keeps_zeros = true;
        void *bytes;
        size_t n;
        if (packed) {
            skive_pack_options o = skive_pack_options_default();
            skv_test_ok(ctx, skive_pack_serialize(ctx, g, &o, &bytes, &n, NULL));
            skv_test_ok(ctx, skive_pack_parse(ctx, bytes, n, NULL, &back, NULL));
            skive_pack_free_bytes(ctx, bytes);
        } else {
            skv_test_ok(ctx, skive_onnx_serialize(ctx, g, NULL, &bytes, &n));
            skv_test_ok(ctx, skive_onnx_parse(ctx, bytes, n, NULL, NULL, &back));
            skive_onnx_free_bytes(ctx, bytes);
        }
        assert_true(skive_graph_find_value(back, "positions\nof\\it")->trainable);
        assert_false(skive_graph_find_value(back, "bias")->trainable);
        assert_true(skive_graph_find_value(back, "w")->trainable && skive_graph_find_value(back, "w")->keeps_zeros);
        assert_false(skive_graph_find_value(back, "bias")->keeps_zeros);
        assert_int_equal(back->n_meta, g->n_meta); /* none of it twice */
        skive_graph_free(back);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_sound),
        cmocka_unit_test(normalisation_masks_and_positions_are_constants),
        cmocka_unit_test(biases_and_scales_by_structure),
        cmocka_unit_test(biases_behind_groups),
        cmocka_unit_test(transposed_parameters_are_turned),
        cmocka_unit_test(roles_reach_through_formulas),
        cmocka_unit_test(views),
        cmocka_unit_test(files_keep_marks),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
