/* Shared weights on networks: the resulting graph, outputs equal to those of the dense weights, gradients summed over
 * members, fine-tuning with fixed zeros, tying, the file, the report, and refusals. */
#include <skive/onnx.h>
#include <skive/quant.h>
#include <skive/share.h>
#include <skive/simplify.h>

#include "graph/shared.h"
#include "passes/pass.h"
#include "train_fixtures.h"

/* Fine-tuning of the options below, which the tests change. */
static skive_train_options tune;

static skive_share_options sharing(int bits) {
    skive_share_options o = skive_share_options_default();
    o.finetune = &tune;
    o.bits = bits;
    tune = settings(0, 40);
    tune.optimizer = "adam";
    tune.learning_rate = 0.003;
    return o;
}

static int64_t elements(const skive_graph *g, const char *name) {
    return skive_tensor_count(skive_value_data(skive_graph_find_value(g, name)));
}

/* Every third weight becomes zero. */
static void thin_out(skive_graph *g, const char *name) {
    skive_context *ctx = g->ctx;
    skive_tensor t;
    skive_value *v = skive_graph_find_value(g, name);
    skv_test_ok(ctx, skive_tensor_copy(ctx, skive_value_data(v), &t));
    for (int64_t i = 0; i < skive_tensor_count(&t); i += 3) skive_tensor_set(&t, i, 0);
    skv_test_ok(ctx, skive_value_set_data(v, &t));
    skive_tensor_free(ctx, &t);
}

static skive_tensor run_on_noise(skive_context *ctx, const skive_graph *g, bool reference) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor x, view, y;
    o.batch = 5;
    o.reference = reference;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &x));
    for (int64_t i = 0; i < skive_tensor_count(&x); i++) skive_tensor_set(&x, i, skv_rng_normal(9, 0, (uint64_t)i));
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
    skv_test_ok(ctx, skive_tensor_copy(ctx, &view, &y));
    skive_exec_free(exec);
    skive_plan_free(plan);
    return y;
}

static void same_outputs(skive_context *ctx, const skive_graph *a, const skive_graph *b) {
    for (int reference = 0; reference < 2; reference++) {
        skive_tensor x = run_on_noise(ctx, a, reference), y = run_on_noise(ctx, b, reference);
        assert_memory_equal(x.data, y.data, skive_tensor_bytes(&x));
        skive_tensor_free(ctx, &x);
        skive_tensor_free(ctx, &y);
    }
}

static const skive_share_layer *row_of(const skive_share_report *r, const char *parameter) {
    for (size_t i = 0; i < r->n_layers; i++) {
        if (strcmp(r->layers[i].parameter, parameter) == 0) return &r->layers[i];
    }
    fail_msg("no row for %s", parameter);
    return NULL;
}

static void codebook_and_plain_weights_are_the_same(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (int one = 0; one < 2; one++) {
        skive_graph *g = small_cnn(ctx, false), *plain = NULL;
        skive_share_options o = sharing(3);
        skive_share_report r;
        skv_shared s;
        o.one_codebook = one;
        thin_out(g, "fc.weight");
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &plain));
        skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &o, &r));
        skv_test_ok(ctx, skive_graph_check(g));
        o.plain = true;
        skv_test_ok(ctx, skive_share(ctx, plain, NULL, NULL, &o, NULL));
        skv_test_ok(ctx, skive_graph_check(plain));
        same_outputs(ctx, g, plain);
        assert_int_equal(r.n_layers, 2);
        assert_int_equal(r.count, 36 + CLASSES * 4 * PIXELS);
        const skive_value *w = skive_graph_find_value(g, "fc.weight");
        assert_true(skv_shared_find(w, &s));
        assert_true(s.codebook->trainable && s.cast && s.indices->type.dtype == SKIVE_U8);
        assert_false(skv_shared_find(skive_graph_find_value(g, "fc.bias"), NULL));
        assert_false(skv_shared_find(NULL, NULL));
        assert_ptr_equal(skv_shared_weight_of(s.indices), w);
        assert_true(skv_shared_weight_of(s.codebook) != NULL);
        assert_null(skv_shared_weight_of(w));
        assert_int_equal(elements(g, s.codebook->name), 8);
        /* Dense: 8 values, zeros where they were. */
        const float *dense = data_of(plain, "fc.weight");
        assert_true(skive_value_is_trainable(skive_graph_find_value(plain, "fc.weight")));
        for (int64_t i = 0; i < elements(plain, "fc.weight"); i++) assert_true((dense[i] == 0) == (i % 3 == 0));
        const skive_share_layer *row = row_of(&r, "fc.weight");
        assert_int_equal(row->bits, 3);
        assert_int_equal(row->centroids, 8);
        assert_true(row->mse > 0 && row->entropy > 1 && row->entropy <= 3);
        assert_int_equal(r.bytes, (36 * 3 + 7) / 8 + CLASSES * 4 * PIXELS * 3 / 8 + (one ? 32 : 64));
        skive_share_report_free(ctx, &r);
        skive_graph_free(g);
        skive_graph_free(plain);
    }
    skv_test_context_end(ctx);
}

/* What the file holds is a byte a weight; read again it gives the same numbers, and no cleaning makes it dense. */
static void the_file_is_small_and_stays_so(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false), *again = NULL, *cleaned = NULL;
    const skive_share_options o = sharing(4);
    void *before = NULL, *after = NULL;
    size_t size, smaller;
    skive_cost dense, shared;
    (void)state;
    skv_test_ok(ctx, skive_graph_cost(g, &dense));
    skv_test_ok(ctx, skive_onnx_serialize(ctx, g, NULL, &before, &size));
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL));
    skv_test_ok(ctx, skive_graph_cost(g, &shared));
    assert_int_equal(shared.parameters, dense.parameters);
    assert_int_equal(shared.nonzeros, dense.nonzeros);
    assert_int_equal(shared.macs, dense.macs);
    assert_int_equal(shared.parameter_bytes, dense.parameter_bytes - 3 * (36 + CLASSES * 4 * PIXELS) + 2 * 64);
    skv_test_ok(ctx, skive_onnx_serialize(ctx, g, NULL, &after, &smaller));
    assert_true(smaller < size); /* a byte a weight, less what the nodes take */
    skv_test_ok(ctx, skive_onnx_parse(ctx, after, smaller, NULL, NULL, &again));
    same_outputs(ctx, g, again);
    skv_test_ok(ctx, skive_graph_copy(ctx, again, &cleaned));
    skv_test_ok(ctx, skive_simplify(ctx, cleaned, NULL, NULL));
    assert_true(skv_shared_find(skive_graph_find_value(cleaned, "fc.weight"), NULL));
    assert_true(skv_shared_find(skive_graph_find_value(cleaned, "conv.weight"), NULL));
    skive_onnx_free_bytes(ctx, before);
    skive_onnx_free_bytes(ctx, after);
    skive_graph_free(cleaned);
    skive_graph_free(again);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* The codebook's gradient is the sum of its members', as the dense network has them. */
static void gradients_are_summed_over_members(void **state) {
    skive_context *ctx = skv_test_context();
    enum { ROWS = 4 };
    (void)state;
    for (int reference = 0; reference < 2; reference++) {
        skive_graph *graphs[2];
        skive_tensor gradient[2];
        skive_share_options o = sharing(2);
        graphs[0] = small_cnn(ctx, false);
        skv_test_ok(ctx, skive_share(ctx, graphs[0], NULL, NULL, &o, NULL));
        skv_test_ok(ctx, skive_graph_copy(ctx, graphs[0], &graphs[1]));
        skv_test_ok(ctx, skv_shared_inflate_all(graphs[1]));
        for (int dense = 0; dense < 2; dense++) {
            skive_graph *g = graphs[dense];
            skv_builder b = skv_build(g);
            const char *name = dense ? "fc.weight" : "fc.weight.codebook";
            skive_value *wrt = skive_graph_find_value(g, name), *dw = NULL;
            skive_value *y = g->outputs[0], *square = skv_emit(&b, "Mul", SKV_IN(y, y), SKV_NONE);
            skive_value *loss = skv_emit(&b, "ReduceSum", SKV_IN(square), SKV_ATTRS(SKV_INT("keepdims", 0)));
            skv_test_ok(ctx, b.status);
            skv_test_ok(ctx, skive_autodiff(g, loss, &wrt, 1, &dw));
            skv_test_ok(ctx, skv_graph_remove_output(g, 0));
            skv_test_ok(ctx, skive_graph_add_output(g, dw));
            skive_plan_options p = skive_plan_options_default();
            skive_plan *plan = NULL;
            skive_exec *exec = NULL;
            skive_tensor x, view;
            p.batch = ROWS;
            p.training = true;
            p.reference = reference;
            skv_test_ok(ctx, skive_plan_create(ctx, g, &p, &plan));
            skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
            skv_test_ok(ctx, skive_exec_input(exec, 0, &x));
            for (int64_t i = 0; i < skive_tensor_count(&x); i++)
                skive_tensor_set(&x, i, skv_rng_normal(5, 0, (uint64_t)i));
            skv_test_ok(ctx, skive_exec_run(exec));
            skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
            skv_test_ok(ctx, skive_tensor_copy(ctx, &view, &gradient[dense]));
            skive_exec_free(exec);
            skive_plan_free(plan);
        }
        double sum[4] = {0}, top = 0;
        const skive_tensor *at = skive_value_data(skive_graph_find_value(graphs[0], "fc.weight.indices"));
        for (int64_t i = 0; i < skive_tensor_count(at); i++) {
            sum[skv_shared_index(at, i)] += skive_tensor_get(&gradient[1], i);
            top = fmax(top, fabs(skive_tensor_get(&gradient[1], i)));
        }
        assert_true(top > 0.1);
        for (int k = 0; k < 4; k++)
            assert_true(skv_test_close(skive_tensor_get(&gradient[0], k), sum[k], 1e-5, 1e-4 * top));
        for (int k = 0; k < 2; k++) {
            skive_tensor_free(ctx, &gradient[k]);
            skive_graph_free(graphs[k]);
        }
    }
    skv_test_context_end(ctx);
}

/* The same against finite differences, in double: a loss through Gather, where one entry has many members. */
static void gradient_by_differences(void **state) {
    skive_context *ctx = skv_test_context();
    enum { K = 3, N = 12 };
    static const int64_t index[N] = {0, 1, 2, 2, 1, 1, -1, 0, -3, 2, 1, 0};
    const int64_t k[1] = {K}, w[2] = {4, 3}, x[2] = {5, 4};
    skive_graph *g = NULL;
    skive_value *codebook, *loss, *gradient = NULL;
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor view;
    (void)state;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_builder b = skv_build(g);
    skive_tensor values = skv_test_random(ctx, SKIVE_F64, 1, k, 1, -1, 1),
                 in = skv_test_random(ctx, SKIVE_F64, 2, x, 2, -1, 1);
    const skive_tensor at = {.dtype = SKIVE_I64, .rank = 2, .dims = {w[0], w[1]}, .data = (void *)(uintptr_t)index};
    skive_value *indices, *input;
    skv_test_ok(ctx, skive_graph_add_parameter(g, "codebook", &values, &codebook));
    skv_test_ok(ctx, skive_graph_add_parameter(g, "indices", &at, &indices));
    skv_test_ok(ctx, skive_graph_add_parameter(g, "x", &in, &input));
    codebook->trainable = true;
    skive_value *weight = skv_emit(&b, "Gather", SKV_IN(codebook, indices), SKV_NONE);
    skive_value *y = skv_emit(&b, "Tanh", SKV_IN(skv_emit(&b, "MatMul", SKV_IN(input, weight), SKV_NONE)), SKV_NONE);
    loss = skv_emit(&b, "ReduceSum", SKV_IN(skv_emit(&b, "Mul", SKV_IN(y, y), SKV_NONE)),
                    SKV_ATTRS(SKV_INT("keepdims", 0)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_autodiff(g, loss, &codebook, 1, &gradient));
    skv_test_ok(ctx, skive_graph_add_output(g, loss));
    skv_test_ok(ctx, skive_graph_add_output(g, gradient));
    skive_plan_options p = skive_plan_options_default();
    p.training = p.reference = true;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &p, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    double *c = codebook->storage->tensor.data, computed[K];
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 1, &view));
    for (int i = 0; i < K; i++) computed[i] = skive_tensor_get(&view, i);
    for (int i = 0; i < K; i++) {
        const double was = c[i], h = 1e-5;
        double loss_at[2];
        for (int side = 0; side < 2; side++) {
            c[i] = side ? was + h : was - h;
            skv_test_ok(ctx, skive_exec_run(exec));
            skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
            loss_at[side] = skive_tensor_get(&view, 0);
        }
        c[i] = was;
        assert_true(skv_test_close(computed[i], (loss_at[1] - loss_at[0]) / (2 * h), 1e-6, 1e-8));
    }
    skive_exec_free(exec);
    skive_plan_free(plan);
    skive_tensor_free(ctx, &values);
    skive_tensor_free(ctx, &in);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static double accuracy(skive_context *ctx, const skive_graph *g, skive_dataset *d) {
    skive_eval_report r;
    skv_test_ok(ctx, skive_evaluate(ctx, g, d, 0, &r));
    const double found = r.accuracy;
    skive_eval_report_free(ctx, &r);
    return found;
}

static skive_graph *trained(skive_context *ctx, skive_dataset *d) {
    skive_graph *g = small_cnn(ctx, false);
    const skive_train_options o = settings(6, 40);
    skv_test_ok(ctx, skive_train(ctx, g, d, NULL, &o, NULL, 0, NULL));
    return g;
}

static void fine_tuning_holds_zeros_and_learns(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *d = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *g = trained(ctx, d), *coarse = NULL;
    skive_share_options o = sharing(1);
    skive_share_report r;
    (void)state;
    thin_out(g, "fc.weight");
    thin_out(g, "conv.weight");
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &coarse));
    o.bits = 2;
    o.plain = true;
    skv_test_ok(ctx, skive_share(ctx, coarse, NULL, NULL, &o, NULL));
    tune.epochs = 12;
    skv_test_ok(ctx, skive_share(ctx, g, d, NULL, &o, &r));
    assert_int_equal(r.training.n_epochs, 12);
    assert_true(r.training.epochs[11].loss < r.training.epochs[0].loss);
    assert_true(accuracy(ctx, g, d) >= accuracy(ctx, coarse, d));
    const float *w = data_of(g, "fc.weight"), *before = data_of(coarse, "fc.weight");
    float seen[4] = {0};
    size_t n_seen = 1;
    bool moved = false;
    for (int64_t i = 0; i < elements(g, "fc.weight"); i++) {
        size_t k = 0;
        assert_true((w[i] == 0) == (i % 3 == 0));
        while (k < n_seen && seen[k] != w[i]) k++;
        if (k == n_seen) {
            assert_true(n_seen < 4);
            seen[n_seen++] = w[i];
        }
        moved = moved || w[i] != before[i];
    }
    assert_int_equal(n_seen, 4);
    assert_true(moved);
    skive_share_report_free(ctx, &r);
    skive_graph_free(coarse);
    skive_graph_free(g);
    skive_dataset_free(d);
    skv_test_context_end(ctx);
}

/* A shared model that is read from a file goes on training as one, its zeros included: nothing in it says what may be
 * trained. */
static void a_shared_file_can_be_trained(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *d = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *g = trained(ctx, d), *again = NULL;
    const skive_share_options o = sharing(2);
    skive_train_options t = settings(1, 40);
    void *bytes = NULL;
    size_t size;
    (void)state;
    thin_out(g, "fc.weight");
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL));
    skv_test_ok(ctx, skive_onnx_serialize(ctx, g, NULL, &bytes, &size));
    skv_test_ok(ctx, skive_onnx_parse(ctx, bytes, size, NULL, NULL, &again));
    t.optimizer = "adam";
    t.learning_rate = 0.001;
    skv_test_ok(ctx, skive_train(ctx, again, d, NULL, &t, NULL, 0, NULL));
    assert_true(skv_shared_find(skive_graph_find_value(again, "fc.weight"), NULL));
    const float *entry = data_of(again, "fc.weight.codebook"), *before = data_of(g, "fc.weight.codebook");
    assert_memory_not_equal(entry, before, 16);
    for (int64_t i = 0; i < elements(g, "fc.weight.codebook"); i++) assert_int_equal(entry[i] == 0, before[i] == 0);
    assert_true(before[0] == 0);
    skive_onnx_free_bytes(ctx, bytes);
    skive_graph_free(again);
    skive_graph_free(g);
    skive_dataset_free(d);
    skv_test_context_end(ctx);
}

static void the_same_bits_every_time(void **state) {
    uint64_t found[4];
    (void)state;
    for (int run = 0; run < 4; run++) {
        skive_context *ctx = skv_test_context();
        skive_dataset *d = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN_FULL);
        skive_graph *g = small_cnn(ctx, false);
        skive_share_options o = sharing(3);
        skv_test_ok(ctx, skive_context_set_threads(ctx, run < 2 ? 2 : 1));
        o.init = "random";
        tune.epochs = run < 3 ? 2 : 0;
        if (run == 3) { /* clusters by themselves do not depend on threads at all */
            skive_graph *other = small_cnn(ctx, false);
            skv_test_ok(ctx, skive_share(ctx, other, NULL, NULL, &o, NULL));
            skv_test_ok(ctx, skive_context_set_threads(ctx, 3));
            skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL));
            assert_true(fingerprint(other) == fingerprint(g));
            skive_graph_free(other);
        } else {
            skv_test_ok(ctx, skive_share(ctx, g, d, NULL, &o, NULL));
        }
        found[run] = fingerprint(g);
        skive_graph_free(g);
        skive_dataset_free(d);
        skv_test_context_end(ctx);
    }
    assert_true(found[0] == found[1]);
}

/* ---- other rooms ---- */

static void quantizing_takes_shared_weights(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *d = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *g = trained(ctx, d);
    const skive_share_options o = sharing(6);
    skive_quantize_options q = skive_quantize_options_default();
    skive_quantize_report r;
    (void)state;
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL));
    q.samples = 20;
    skv_test_ok(ctx, skive_quantize(ctx, g, d, &q, &r));
    assert_int_equal(r.n_quantized, 2);
    assert_int_equal(r.n_refused, 0);
    skive_quantize_report_free(ctx, &r);
    skive_graph_free(g);
    skive_dataset_free(d);
    skv_test_context_end(ctx);
}

/* A table that rows or numbers are looked up in is not a layer's codebook. */
static void look_up_tables_are_left_alone(void **state) {
    skive_context *ctx = skv_test_context();
    const int64_t n[1] = {8}, m[1] = {3};
    skive_graph *g = NULL;
    (void)state;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_builder b = skv_build(g);
    skive_value *table = parameter(&b, "table", 1, n, 1, -1, 1);
    skive_value *at = skv_emit_ints(&b, (const int64_t[]){1, 7, 2}, 3);
    skive_value *picked = skv_emit(&b, "Gather", SKV_IN(table, at), SKV_NONE);
    skv_test_ok(ctx, skive_graph_add_output(
                         g, skv_emit(&b, "Add", SKV_IN(picked, parameter(&b, "o", 1, m, 1, 0, 1)), SKV_NONE)));
    skv_test_ok(ctx, b.status);
    assert_false(skv_shared_find(picked, NULL));
    assert_null(skv_shared_weight_of(table));
    skv_test_fails(ctx, skv_shared_inflate(picked), SKIVE_ERR_ARGUMENT, "codebook");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- tying ---- */

/* Two layers of one square matrix each. */
static skive_graph *two_layers(skive_context *ctx) {
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    const int64_t w[2] = {PIXELS, PIXELS}, f[2] = {CLASSES, PIXELS}, k[1] = {CLASSES};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "two", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Flatten", SKV_IN(x), SKV_NONE);
    y = skv_emit(&b, "Relu",
                 SKV_IN(skv_emit(&b, "MatMul", SKV_IN(y, parameter(&b, "a", 2, w, 1, -0.2, 0.2)), SKV_NONE)), SKV_NONE);
    y = skv_emit(&b, "Relu",
                 SKV_IN(skv_emit(&b, "MatMul", SKV_IN(y, parameter(&b, "b", 2, w, 2, -0.2, 0.2)), SKV_NONE)), SKV_NONE);
    y = skv_emit(&b, "Gemm",
                 SKV_IN(y, parameter(&b, "c", 2, f, 3, -0.2, 0.2), parameter(&b, "bias", 1, k, 4, -0.2, 0.2)),
                 SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static void tied_parameters_are_one(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *d = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *g = two_layers(ctx), *same = two_layers(ctx);
    skive_train_options t = settings(3, 40);
    skive_train_report r;
    (void)state;
    skv_test_ok(ctx, skive_value_set_data(skive_graph_find_value(same, "b"),
                                          skive_value_data(skive_graph_find_value(same, "a"))));
    skv_test_ok(ctx, skive_share_tie(ctx, g, "a", "b"));
    skv_test_ok(ctx, skive_graph_check(g));
    assert_null(skive_graph_find_value(g, "b"));
    assert_int_equal(skive_graph_find_value(g, "a")->n_uses, 2);
    same_outputs(ctx, g, same);
    skv_test_ok(ctx, skive_train(ctx, g, d, NULL, &t, NULL, 0, &r));
    assert_true(r.epochs[2].loss < r.epochs[0].loss);
    skive_train_report_free(ctx, &r);
    /* and one codebook serves both */
    const skive_share_options o = sharing(4);
    skive_share_report shares;
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &o, &shares));
    assert_int_equal(shares.n_layers, 2);
    assert_int_equal(shares.count, PIXELS * PIXELS + CLASSES * PIXELS);
    skive_share_report_free(ctx, &shares);
    skive_graph_free(same);
    skive_graph_free(g);
    skive_dataset_free(d);
    skv_test_context_end(ctx);
}

static void what_cannot_be_tied(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = two_layers(ctx);
    const uint64_t before = fingerprint(g);
    (void)state;
    skv_test_fails(ctx, skive_share_tie(ctx, g, "a", "c"), SKIVE_ERR_SHAPE, "'c' is float32[3,36]");
    skv_test_fails(ctx, skive_share_tie(ctx, g, "a", "a"), SKIVE_ERR_ARGUMENT, "itself");
    skv_test_fails(ctx, skive_share_tie(ctx, g, "a", "none"), SKIVE_ERR_NOT_FOUND, "none");
    skv_test_fails(ctx, skive_share_tie(ctx, g, "x", "a"), SKIVE_ERR_NOT_FOUND, "'x'");
    skive_value *integers = NULL;
    const skive_tensor t = {.dtype = SKIVE_I32, .rank = 1, .dims = {3}, .data = (int32_t[]){1, 2, 3}};
    skv_test_ok(ctx, skive_graph_add_parameter(g, "integers", &t, &integers));
    skv_test_fails(ctx, skive_share_tie(ctx, g, "bias", "integers"), SKIVE_ERR_SHAPE, "int32");
    skv_test_ok(ctx, skv_graph_remove_value(integers));
    assert_true(fingerprint(g) == before);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- what is refused ---- */

static void nonsense_is_refused(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false);
    char *before, *after;
    const char *name = "fc.wait";
    (void)state;
    skv_test_ok(ctx, skive_graph_print(g, &before));
    const int bits[] = {0, 9, -1, 1000};
    for (size_t i = 0; i < 4; i++) {
        const skive_share_options o = sharing(bits[i]);
        skv_test_fails(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "bits");
    }
    skive_share_options o = sharing(4);
    o.init = "beauty";
    skv_test_fails(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "beauty");
    o.init = NULL;
    skv_test_fails(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "initialisation");
    o = sharing(4);
    o.max_iterations = 0;
    skv_test_fails(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "iterations");
    o = sharing(4);
    tune.epochs = 1;
    skv_test_fails(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "training set");
    const double ratios[] = {-1, 0.5, INFINITY, NAN, 1e10};
    for (size_t i = 0; i < 5; i++) {
        o = sharing(4);
        o.hash = ratios[i];
        skv_test_fails(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "hash is ");
    }
    o = sharing(4);
    o.only = &name;
    o.n_only = 1;
    skv_test_fails(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_NOT_FOUND, "fc.wait");
    o.n_only = 0;
    o.skip = &name;
    o.n_skip = 1;
    skv_test_fails(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_NOT_FOUND, "fc.wait");
    skv_test_ok(ctx, skive_graph_print(g, &after));
    assert_string_equal(before, after);
    skive_string_free(ctx, before);
    skive_string_free(ctx, after);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void weights_that_are_no_numbers_are_named(void **state) {
    skive_context *ctx = skv_test_context();
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        skive_graph *g = small_cnn(ctx, false);
        skive_tensor t;
        skive_value *v = skive_graph_find_value(g, "fc.weight");
        const skive_share_options o = sharing(4);
        skv_test_ok(ctx, skive_tensor_copy(ctx, skive_value_data(v), &t));
        skive_tensor_set(&t, 17, bad[i]);
        skv_test_ok(ctx, skive_value_set_data(v, &t));
        skive_tensor_free(ctx, &t);
        skv_test_fails(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_NUMERIC, "fc.weight");
        assert_string_equal(skive_context_subject(ctx), "fc.weight");
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

static void named_layers(void **state) {
    skive_context *ctx = skv_test_context();
    const char *fc = "fc.weight", *both[] = {"fc.weight", "conv.weight"};
    skive_graph *g = small_cnn(ctx, false);
    skive_share_options o = sharing(4);
    skive_share_report r;
    (void)state;
    o.only = &fc;
    o.n_only = 1;
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &o, &r));
    assert_null(row_of(&r, "fc.weight")->refused);
    assert_string_equal(row_of(&r, "conv.weight")->refused, "it is not named by --only");
    skive_share_report_free(ctx, &r);
    o.n_only = 0;
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &o, &r)); /* once more: what is shared stays */
    assert_string_equal(row_of(&r, "fc.weight")->refused, "it already has a codebook");
    assert_null(row_of(&r, "conv.weight")->refused);
    skive_share_report_free(ctx, &r);
    skv_test_fails(ctx, skive_share(ctx, g, NULL, NULL, &o, &r), SKIVE_ERR_UNSUPPORTED, "already has a codebook");
    assert_int_equal(r.n_layers, 0);
    skive_graph_free(g);
    g = small_cnn(ctx, false);
    o.skip = both;
    o.n_skip = 2;
    skv_test_fails(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_UNSUPPORTED, "excluded by --skip");
    skive_graph_free(g);
    skv_test_ok(ctx, skive_graph_create(ctx, "empty", &g));
    skv_test_fails(ctx, skive_share(ctx, g, NULL, NULL, NULL, NULL), SKIVE_ERR_UNSUPPORTED, "no weights");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Options that are older, and so shorter, than these mean the defaults for the rest. */
static void short_options_are_filled_up(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false);
    skive_share_options o = sharing(2);
    skive_share_report r;
    (void)state;
    o.init = "beauty";
    o.size = offsetof(skive_share_options, init);
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &o, &r));
    assert_int_equal(row_of(&r, "fc.weight")->centroids, 4);
    skive_share_report_free(ctx, &r);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void few_values_are_told_of(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false);
    skive_share_options o = sharing(2);
    skive_share_report r;
    (void)state;
    o.plain = true;
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &o, NULL));
    assert_int_equal(skive_context_note_count(ctx), 0);
    o.bits = 5;
    skv_test_ok(ctx, skive_share(ctx, g, NULL, NULL, &o, &r));
    assert_int_equal(skive_context_note_count(ctx), 2);
    assert_non_null(strstr(skive_context_note(ctx, 0), "4 different values"));
    assert_int_equal(row_of(&r, "fc.weight")->bits, 2);
    assert_true(row_of(&r, "fc.weight")->mse == 0);
    skive_share_report_free(ctx, &r);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codebook_and_plain_weights_are_the_same),
        cmocka_unit_test(the_file_is_small_and_stays_so),
        cmocka_unit_test(gradients_are_summed_over_members),
        cmocka_unit_test(gradient_by_differences),
        cmocka_unit_test(fine_tuning_holds_zeros_and_learns),
        cmocka_unit_test(a_shared_file_can_be_trained),
        cmocka_unit_test(the_same_bits_every_time),
        cmocka_unit_test(quantizing_takes_shared_weights),
        cmocka_unit_test(look_up_tables_are_left_alone),
        cmocka_unit_test(tied_parameters_are_one),
        cmocka_unit_test(what_cannot_be_tied),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(weights_that_are_no_numbers_are_named),
        cmocka_unit_test(named_layers),
        cmocka_unit_test(short_options_are_filled_up),
        cmocka_unit_test(few_values_are_told_of),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
