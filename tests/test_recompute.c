/* Recomputation of activations: every gradient of every step, the statistics and the trained model have the bits of a
 * run that keeps all activations, the memory for activations falls by half and more, and a memory limit is met or
 * refused with one that suffices. */
#include "train_fixtures.h"

#include <skive/memory.h>
#include <skive/zoo.h>

#include "exec/plan.h"

enum { EDGE = 16, SAMPLES = 96, BATCH = 48, LAYERS = 16, HIDDEN = 12, MIB = 1 << 20 };

static char large[4 * SKV_TEST_PATH + 16];

static int make_data(void **state) {
    char a[SKV_TEST_PATH], b[SKV_TEST_PATH];
    const int64_t dims[4] = {SAMPLES, 1, EDGE, EDGE};
    double *x = calloc((size_t)SAMPLES * EDGE * EDGE, sizeof *x), y[SAMPLES];
    assert_int_equal(set_up(state), 0);
    assert_true(x);
    for (int i = 0; i < SAMPLES; i++) {
        y[i] = i % CLASSES;
        for (int k = 0; k < EDGE * EDGE; k++)
            x[i * EDGE * EDGE + k] = (k / EDGE % CLASSES == i % CLASSES) + skv_rng_normal(3, (uint64_t)i, (uint64_t)k);
    }
    save("lx.npy", SKIVE_F32, 4, dims, x);
    save("ly.npy", SKIVE_I64, 1, dims, y);
    free(x);
    snprintf(large, sizeof large, "npy:%s,%s", file(a, "lx.npy"), file(b, "ly.npy"));
    return 0;
}

/* ---- networks ---- */

static skive_graph *resnet(skive_context *ctx) {
    skive_graph *g = NULL;
    skive_zoo_options z = skive_zoo_options_default();
    z.dims[1] = z.dims[2] = EDGE;
    z.classes = CLASSES;
    skv_test_ok(ctx, skive_zoo_build(ctx, "resnet20:0.5", &z, &g));
    return g;
}

/* A stack of LSTMs over the rows, with Dropout between them. */
static skive_graph *lstms(skive_context *ctx) {
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {EDGE, NULL}, {EDGE, NULL}}};
    const int64_t perm[3] = {1, 0, 2}, one = 1, back[3] = {1, 0, 2}, k[1] = {CLASSES};
    const int64_t f[2] = {CLASSES, EDGE * HIDDEN};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "lstms", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Squeeze", SKV_IN(x, skv_emit_ints(&b, &one, 1)), SKV_NONE);
    y = skv_emit(&b, "Transpose", SKV_IN(y), SKV_ATTRS(SKV_INTS("perm", perm, 3)));
    for (int i = 0; i < LAYERS; i++) {
        const int64_t w[3] = {1, 4 * HIDDEN, i ? HIDDEN : EDGE}, r[3] = {1, 4 * HIDDEN, HIDDEN};
        char name[2][16];
        skive_value *out[1] = {NULL};
        snprintf(name[0], sizeof name[0], "w%d", i);
        snprintf(name[1], sizeof name[1], "r%d", i);
        skv_emit_n(&b, "LSTM",
                   SKV_IN(y, parameter(&b, name[0], 3, w, (uint64_t)i + 1, -0.5, 0.5),
                          parameter(&b, name[1], 3, r, (uint64_t)i + 50, -0.5, 0.5)),
                   SKV_ATTRS(SKV_INT("hidden_size", HIDDEN)), out, 1);
        y = skv_emit(&b, "Squeeze", SKV_IN(out[0], skv_emit_ints(&b, &one, 1)), SKV_NONE);
        y = skv_emit(&b, "Dropout", SKV_IN(y, skv_emit_scalar(&b, SKIVE_F32, 0.25)), SKV_NONE);
    }
    y = skv_emit(&b, "Transpose", SKV_IN(y), SKV_ATTRS(SKV_INTS("perm", back, 3)));
    y = skv_emit(&b, "Flatten", SKV_IN(y), SKV_NONE);
    y = skv_emit(&b, "Gemm",
                 SKV_IN(y, parameter(&b, "fc.weight", 2, f, 6, -0.1, 0.1), parameter(&b, "fc.bias", 1, k, 7, 0, 0.1)),
                 SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

typedef skive_graph *(*network_fn)(skive_context *ctx);

/* ---- runs ---- */

typedef struct run_result {
    uint64_t gradients, model;    /* hashes: of every gradient of every step, and of what was trained */
    size_t arena, values, pinned; /* bytes of a step; of its values; of its outputs among them */
    skive_recomputation how;
    int steps, dropouts; /* dropouts: steps that draw a mask */
} run_result;

static skive_status look(void *self, skv_trainer *t, skv_step *step) {
    run_result *r = self;
    const skive_plan *p = skv_trainer_plan(t);
    (void)step;
    for (size_t i = 0; i < skv_trainer_param_count(t); i++) {
        const skv_param *q = skv_trainer_param(t, i);
        r->gradients = skv_hash64(q->gradient, (size_t)q->n * sizeof(float), r->gradients);
    }
    r->how = skive_plan_recomputation(p);
    r->arena = skive_plan_arena_bytes(p);
    r->values = p->scratch_offset;
    r->pinned = 0;
    for (uint32_t i = 0; i < p->graph->n_outputs; i++) r->pinned += p->slots[p->output_slots[i]].bytes;
    r->dropouts = 0;
    for (uint32_t i = 0; i < p->n_steps; i++) r->dropouts += skv_node_is(p->steps[i].node, SKV_OP_DROPOUT);
    r->steps++;
    return SKIVE_OK;
}

static skive_status train(skive_context *ctx, network_fn network, bool recompute, int64_t batch, run_result *r) {
    skive_graph *g = network(ctx);
    skive_dataset *set = open_data(ctx, large, SKIVE_SPLIT_TRAIN);
    skive_train_options o = settings(2, batch);
    *r = (run_result){0};
    o.recompute = recompute;
    o.learning_rate = 0.01;
    const skv_step_hook hook = {.name = "look", .inspect = look, .self = r};
    const skv_fit fit = {.model = g,
                         .train = set,
                         .options = &o,
                         .objective = &skv_objective_labels,
                         .hooks = &hook,
                         .n_hooks = 1,
                         .what = "train"};
    const skive_status status = skv_fit_run(ctx, &fit, NULL);
    r->model = fingerprint(g);
    skive_dataset_free(set);
    skive_graph_free(g);
    return status;
}

static bool noted(const skive_context *ctx, const char *text) {
    for (size_t i = 0; i < skive_context_note_count(ctx); i++)
        if (strstr(skive_context_note(ctx, i), text)) return true;
    return false;
}

static void check_network(network_fn network, int dropouts) {
    skive_context *ctx = skv_test_context();
    run_result plain, again;
    skv_test_ok(ctx, train(ctx, network, false, BATCH, &plain));
    assert_false(noted(ctx, "computed again"));
    assert_true(plain.how.segments == 0 && plain.how.macs == 0);
    skv_test_ok(ctx, train(ctx, network, true, BATCH, &again));
    assert_true(noted(ctx, "computed again for the gradients") && !noted(ctx, "(0 %)"));
    assert_int_equal(plain.steps, again.steps);
    assert_true(plain.gradients == again.gradients);
    assert_true(plain.model == again.model);
    assert_true(again.how.segments > 1 && again.how.macs > 0);
    assert_true(again.how.bytes_before == plain.arena && again.how.bytes == again.arena);
    /* The gradients themselves, the scores and the statistics are asked for and stay. */
    assert_true(again.values - again.pinned <= (plain.values - plain.pinned) / 2);
    assert_int_equal(plain.dropouts, dropouts);
    assert_true(dropouts == 0 || again.dropouts > dropouts); /* masks are among what is computed again */
    skv_test_context_end(ctx);
}

static void a_resnet(void **state) {
    (void)state;
    check_network(resnet, 0);
}

static void a_stack_of_lstms(void **state) {
    (void)state;
    check_network(lstms, LAYERS);
}

/* A limit that is too small is refused, naming one that suffices; with that one, the run takes place, and gives the
 * same bits. */
static void a_memory_limit(void **state) {
    skive_context *ctx = NULL;
    run_result plain, tight;
    (void)state;
    assert_int_equal(skive_context_create(NULL, &ctx), SKIVE_OK);
    skv_test_ok(ctx, train(ctx, resnet, false, BATCH, &plain));
    skv_test_ok(ctx, skive_context_set_memory_limit(ctx, 5 * MIB));
    skv_test_fails(ctx, train(ctx, resnet, false, BATCH, &tight), SKIVE_ERR_LIMIT, "--batch");
    const char *least = strstr(skive_context_message(ctx), "(option --memory): ");
    assert_non_null(least);
    const unsigned long mib = strtoul(least + 19, NULL, 10);
    assert_true(mib > 5);
    skv_test_ok(ctx, skive_context_set_memory_limit(ctx, (uint64_t)mib * MIB));
    skv_test_ok(ctx, train(ctx, resnet, false, BATCH, &tight));
    assert_true(noted(ctx, "since the memory limit is too small otherwise"));
    assert_true(tight.how.segments > 1 && tight.arena < plain.arena);
    assert_true(tight.gradients == plain.gradients && tight.model == plain.model);
    skive_context_free(ctx);
}

/* A model with nothing between its input and the loss that could be computed again. */
static skive_graph *linear(skive_context *ctx) {
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {EDGE, NULL}, {EDGE, NULL}}};
    const int64_t f[2] = {CLASSES, EDGE * EDGE}, k[1] = {CLASSES};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "linear", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Flatten", SKV_IN(x), SKV_NONE);
    y = skv_emit(&b, "Gemm",
                 SKV_IN(y, parameter(&b, "fc.weight", 2, f, 6, -0.1, 0.1), parameter(&b, "fc.bias", 1, k, 7, 0, 0.1)),
                 SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static void nothing_to_gain_is_told(void **state) {
    skive_context *ctx = skv_test_context();
    run_result plain, again;
    (void)state;
    skv_test_ok(ctx, train(ctx, linear, false, BATCH, &plain));
    skv_test_ok(ctx, train(ctx, linear, true, BATCH, &again));
    assert_true(plain.gradients == again.gradients && plain.arena >= again.arena);
    assert_true(again.how.segments > 1 || noted(ctx, "would save nothing"));
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_resnet),
        cmocka_unit_test(a_stack_of_lstms),
        cmocka_unit_test(a_memory_limit),
        cmocka_unit_test(nothing_to_gain_is_told),
    };
    return cmocka_run_group_tests(tests, make_data, tear_down);
}
