/* Pruning of depth and of heads; what channels cover in recurrent networks and Transformers; the same part of every
 * layer; rewinding; the control from scratch. */
#include "train_fixtures.h"

#include <skive/prune.h>
#include <skive/zoo.h>

#include "prune/prune.h"

/* ---- running ---- */

enum { OUT = 16 };

static int run(skive_context *ctx, const skive_graph *g, float out[OUT]) {
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor in, y;
    skive_plan_options o = skive_plan_options_default();
    o.batch = 1;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &in));
    for (int64_t i = 0; i < skive_tensor_count(&in); i++)
        skive_tensor_set(&in, i, in.dtype == SKIVE_F32 ? skv_rng_normal(1, 2, (uint64_t)i) : (double)(i % 7));
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &y));
    const int n = (int)skive_tensor_count(&y);
    assert_true(n <= OUT);
    for (int i = 0; i < n; i++) out[i] = (float)skive_tensor_get(&y, i);
    skive_exec_free(exec);
    skive_plan_free(plan);
    return n;
}

static void same_results(skive_context *ctx, const skive_graph *a, const skive_graph *b) {
    float x[OUT], y[OUT];
    const int n = run(ctx, a, x);
    assert_int_equal(run(ctx, b, y), n);
    skv_test_floats(x, y, (size_t)n, 1e-5, 1e-5);
}

static void scale(skive_graph *g, const char *name, double by) {
    skive_value *v = skive_graph_find_value(g, name);
    if (!v) fail_msg("no value '%s'", name);
    skv_test_ok(g->ctx, skv_storage_make_unique(g->ctx, &v->storage));
    float *x = v->storage->tensor.data;
    for (int64_t i = 0; i < skive_tensor_count(&v->storage->tensor); i++) x[i] *= (float)by;
}

static skive_graph *network(skive_context *ctx, const char *name, int rank, const int64_t *dims) {
    skive_graph *g = NULL;
    skive_zoo_options z = skive_zoo_options_default();
    z.rank = rank;
    for (int d = 0; d < rank; d++) z.dims[d] = dims[d];
    z.classes = 3;
    skv_test_ok(ctx, skive_zoo_build(ctx, name, &z, &g));
    return g;
}

static skive_prune_report prune(skive_context *ctx, skive_graph *g, const char *granularity, const char *params) {
    skive_prune_options o = skive_prune_options_default();
    skive_prune_report r;
    o.granularity = granularity;
    o.params = params;
    skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &o, &r));
    return r;
}

/* ---- depth ---- */

/* 12 -> 8 -> 8 -> 8 -> 3: the two in the middle may go; the weaker one does. Without it, its input passes it by. */
static void the_weakest_layer_goes(void **state) {
    static const int64_t dims[] = {12};
    skive_context *ctx = skv_test_context();
    (void)state;
    for (int weak = 2; weak <= 3; weak++) {
        char weight[32], bias[32];
        skive_graph *g = network(ctx, "mlp:8,8,8", 1, dims), *identity = NULL;
        (void)snprintf(weight, sizeof weight, "fc%d.weight", weak);
        (void)snprintf(bias, sizeof bias, "fc%d.bias", weak);
        scale(g, weight, 0.25);
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &identity));
        scale(identity, weight, 0);
        scale(identity, bias, 0);
        for (int i = 0; i < 8; i++)
            ((float *)skive_graph_find_value(identity, weight)->storage->tensor.data)[i * 8 + i] = 1;
        skive_prune_report r = prune(ctx, g, "layer", "0.8");
        assert_int_equal(r.removed, 1);
        assert_int_equal(r.removable, 2);
        assert_null(skive_graph_find_value(g, weight));
        assert_int_equal(r.before.parameters - r.after.parameters, 8 * 8 + 8);
        same_results(ctx, g, identity);
        for (size_t i = 0; i < r.n_channels; i++) {
            assert_int_equal(r.channels[i].kept, strcmp(r.channels[i].parameter, weight) != 0);
            assert_int_equal(r.channels[i].why != NULL, i == 0 || i == 3);
        }
        skive_prune_report_free(ctx, &r);
        skive_graph_free(identity);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

/* A residual block that is gone is one whose last layer gives nothing. Two that follow one another go together. */
static void residual_blocks_go(void **state) {
    static const int64_t rows[] = {6, 8};
    static const char *const last[] = {"block1.attention.output", "block1.mlp.2", "block2.attention.output",
                                       "block2.mlp.2"};
    static const char *const left[] = {"0.8", "0.55", "0.35", "0.2"};
    skive_context *ctx = skv_test_context();
    (void)state;
    for (int k = 0; k < 4; k++) {
        skive_graph *g = network(ctx, "transformer:dim=8,depth=2,heads=2,hidden=16", 2, rows), *silent = NULL;
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &silent));
        skive_prune_report r = prune(ctx, g, "layer:blocks", left[k]);
        assert_int_equal(r.removable, 4);
        int gone = 0;
        for (int b = 0; b < 4; b++) {
            char name[64];
            (void)snprintf(name, sizeof name, "%s.weight", last[b]);
            if (skive_graph_find_value(g, name)) continue;
            gone++;
            scale(silent, name, 0);
            (void)snprintf(name, sizeof name, "%s.bias", last[b]);
            scale(silent, name, 0);
        }
        assert_int_equal(gone, r.removed);
        assert_true(gone >= k && gone >= 1);
        same_results(ctx, g, silent);
        skive_prune_report_free(ctx, &r);
        skive_graph_free(silent);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

/* ---- the exact choice ---- */

static double magnitudes(const skive_graph *g, const char *name) {
    const skive_value *v = skive_graph_find_value(g, name);
    const skive_tensor *t = v ? skv_value_tensor(v) : NULL;
    double sum = 0;
    for (int64_t i = 0; t && i < skive_tensor_count(t); i++) sum += fabs(skive_tensor_get(t, i));
    return sum;
}

/* Seven layers of three sizes can go: against all 128 sets of them. */
static void layers_go_with_the_least_harm(void **state) {
    static const char *const names[] = {"fc1", "fc2", "fc3", "fc4", "fc6", "fc7", "fc9"};
    static const int64_t dims[] = {6}, sizes[] = {6, 6, 6, 6, 10, 10, 16};
    static const double parts[] = {0.9, 0.75, 0.6, 0.5};
    enum { N = SKV_LENGTH(names) };
    skive_context *ctx = skv_test_context();
    size_t better = 0;
    (void)state;
    for (size_t p = 0; p < SKV_LENGTH(parts); p++) {
        double least = INFINITY, went = 0, harm[N], ordered = 0;
        char text[32];
        skive_graph *g = network(ctx, "mlp:6,6,6,6,10,10,10,16,16", 1, dims), *before = NULL, *other = NULL;
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &before));
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &other));
        skive_cost cost;
        skv_test_ok(ctx, skive_graph_cost(g, &cost));
        const int64_t budget = (int64_t)(parts[p] * (double)cost.parameters);
        for (int i = 0; i < N; i++) {
            char weight[32];
            (void)snprintf(weight, sizeof weight, "%s.weight", names[i]);
            harm[i] = magnitudes(g, weight);
        }
        for (unsigned set = 0; set < 1u << N; set++) {
            int64_t left = cost.parameters;
            double sum = 0;
            for (int i = 0; i < N; i++) {
                if (!(set >> i & 1)) continue;
                left -= sizes[i] * (sizes[i] + 1);
                sum += harm[i];
            }
            if (left <= budget && sum < least) least = sum;
        }
        (void)snprintf(text, sizeof text, "%.6fk", (double)budget / 1e3);
        skive_prune_report r = prune(ctx, g, "layer:group=sum,choose=exact", text);
        assert_true(r.after.parameters <= budget);
        skive_prune_report_free(ctx, &r);
        r = prune(ctx, other, "layer:group=sum", text);
        skive_prune_report_free(ctx, &r);
        for (int i = 0; i < N; i++) {
            char weight[32];
            (void)snprintf(weight, sizeof weight, "%s.weight", names[i]);
            if (!skive_graph_find_value(g, weight)) went += harm[i];
            if (!skive_graph_find_value(other, weight)) ordered += harm[i];
        }
        assert_true(fabs(went - least) <= 1e-5 * least && went <= ordered + 1e-5 * least);
        better += went < ordered - 1e-5 * least;
        skive_graph_free(other);
        skive_graph_free(before);
        skive_graph_free(g);
    }
    assert_true(better > 0);
    skv_test_context_end(ctx);
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum { FROM = 7, H1 = 12, H2 = 9, TO = 3 };

/* The sums of magnitudes of each unit's row in front of it and column behind it, the smallest first; what the `gone`
 * of the least of them have together. */
static void unit_harms(const skive_graph *g, const char *made, const char *read, int units, double *prefix) {
    const skive_tensor *a = skv_value_tensor(skive_graph_find_value(g, made)),
                       *b = skv_value_tensor(skive_graph_find_value(g, read));
    double sum[H1] = {0};
    const bool out_first = a->dims[0] == units, in_last = b->dims[1] == units;
    for (int64_t i = 0; i < skive_tensor_count(a); i++)
        sum[out_first ? i / a->dims[1] : i % a->dims[1]] += fabs(skive_tensor_get(a, i));
    for (int64_t i = 0; i < skive_tensor_count(b); i++)
        sum[in_last ? i % b->dims[1] : i / b->dims[1]] += fabs(skive_tensor_get(b, i));
    qsort(sum, (size_t)units, sizeof *sum, ascending);
    prefix[0] = 0;
    for (int i = 0; i < units; i++) prefix[i + 1] = prefix[i] + sum[i];
}

/* Costs of channels multiply: still within the budget, never more harm than the lowest scores first, and near the best
 * of all pairs of widths. */
static void channels_go_with_little_harm(void **state) {
    static const int64_t dims[] = {FROM};
    static const double parts[] = {0.85, 0.7, 0.5, 0.35};
    skive_context *ctx = skv_test_context();
    double ratio = 0;
    (void)state;
    for (size_t p = 0; p < SKV_LENGTH(parts); p++) {
        double one[H1 + 1], two[H2 + 1], least = INFINITY, harm[2];
        char text[32];
        skive_graph *g = network(ctx, "mlp:12,9", 1, dims);
        scale(g, "fc1.weight", 3);
        skive_cost cost;
        skv_test_ok(ctx, skive_graph_cost(g, &cost));
        const int64_t budget = (int64_t)(parts[p] * (double)cost.parameters);
        unit_harms(g, "fc1.weight", "fc2.weight", H1, one);
        unit_harms(g, "fc2.weight", "fc3.weight", H2, two);
        for (int a = 0; a <= H1 - 2; a++) /* a tenth stays: 2 of 12 and 1 of 9 */
            for (int b = 0; b <= H2 - 1; b++) {
                const int64_t x = H1 - a, y = H2 - b, left = x * (FROM + 1) + y * (x + 1) + TO * (y + 1);
                if (left <= budget && one[a] + two[b] < least) least = one[a] + two[b];
            }
        (void)snprintf(text, sizeof text, "%.6fk", (double)budget / 1e3);
        for (int k = 0; k < 2; k++) {
            skive_graph *copy = NULL;
            skv_test_ok(ctx, skive_graph_copy(ctx, g, &copy));
            skive_prune_report r = prune(ctx, copy,
                                         k ? "channel:group=sum,normalise=none,multiple=1"
                                           : "channel:group=sum,normalise=none,multiple=1,choose=exact",
                                         text);
            assert_true(r.after.parameters <= budget);
            harm[k] = one[H1 - r.channels[0].kept] + two[H2 - r.channels[1].kept];
            skive_prune_report_free(ctx, &r);
            skive_graph_free(copy);
        }
        assert_true(harm[0] <= harm[1] * (1 + 1e-6) && harm[0] >= least * (1 - 1e-6));
        ratio += harm[0] / least / (double)SKV_LENGTH(parts);
        skive_graph_free(g);
    }
    if (!(ratio <= 1.02)) fail_msg("%.3f times the least harm, on average", ratio);
    skv_test_context_end(ctx);
}

static void depth_that_cannot_go(void **state) {
    static const int64_t dims[] = {12};
    static const char *const skip[] = {"fc2.weight", "fc3.weight"};
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx, "mlp:8,8,8", 1, dims), *narrow = network(ctx, "mlp:8,4", 1, dims);
    skive_prune_options o = skive_prune_options_default();
    const uint64_t before = fingerprint(g);
    (void)state;
    o.granularity = "layer";
    o.params = "0.01";
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_GOAL,
                   "layers that must stay: 'fc1.weight'");
    skv_test_fails(ctx, skive_prune(ctx, narrow, NULL, NULL, &o, NULL), SKIVE_ERR_GOAL, "without any");
    o.params = "0.9";
    o.skip = skip;
    o.n_skip = 2;
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_GOAL, "without any");
    assert_true(fingerprint(g) == before);
    skive_graph_free(narrow);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* A recurrent layer without its first output. */
static void a_layer_of_a_last_state_stays(void **state) {
    enum { I = 4, H = 5 };
    static const int64_t dims[] = {3, 2, I}, w[] = {1, 3 * H, I}, r[] = {1, 3 * H, H}, fc[] = {H, 3};
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *x = NULL, *in[3], *out[2] = {NULL, NULL};
    const skive_type type = skive_type_make(SKIVE_F32, 3, dims);
    (void)state;
    skv_test_ok(ctx, skive_graph_create(ctx, "gru", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    for (int i = 0; i < 3; i++) {
        skive_tensor t = skv_test_random(ctx, SKIVE_F32, i < 2 ? 3 : 2, i == 0 ? w : i == 1 ? r : fc, 1, -1, 1);
        skv_test_ok(ctx, skive_graph_add_parameter(g, i == 0 ? "w" : i == 1 ? "r" : "fc", &t, &in[i]));
        skive_tensor_free(ctx, &t);
    }
    skv_builder b = skv_build(g);
    skv_emit_n(&b, "GRU", SKV_IN(x, in[0], in[1]), SKV_ATTRS(SKV_INT("hidden_size", H)), out, 2);
    skv_test_ok(ctx, b.status);
    out[0]->producer->outputs[0] = NULL; /* nothing reads it */
    skv_test_ok(ctx, skive_graph_add_output(g, skv_emit(&b, "MatMul", SKV_IN(out[1], in[2]), SKV_NONE)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_infer(g));
    skive_prune_options o = skive_prune_options_default();
    o.granularity = "layer";
    o.params = "0.9";
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_GOAL, "layers that must stay: 'w'");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- heads, and what channels cover ---- */

static int64_t kept_of(const skive_prune_report *r, const char *parameter) {
    for (size_t i = 0; i < r->n_channels; i++)
        if (strcmp(r->channels[i].parameter, parameter) == 0) return r->channels[i].kept;
    fail_msg("no row for '%s'", parameter);
    return 0;
}

static void only_heads_go(void **state) {
    static const int64_t rows[] = {6, 8};
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx, "transformer:dim=16,depth=1,heads=4,hidden=32", 2, rows);
    (void)state;
    skive_prune_report r = prune(ctx, g, "head", "0.84");
    assert_int_equal(r.removable, 4);
    assert_int_equal(r.removed, 2);
    assert_int_equal(kept_of(&r, "block1.attention.query.weight"), 8);
    assert_int_equal(kept_of(&r, "block1.attention.value.weight"), 8);
    assert_int_equal(kept_of(&r, "block1.mlp.1.weight"), 32);
    assert_int_equal(kept_of(&r, "embedding.weight"), 16);
    skive_prune_report_free(ctx, &r);
    skive_graph_free(g);
    g = network(ctx, "lstm:0.1", 2, rows);
    skive_prune_options o = skive_prune_options_default();
    o.granularity = "head";
    o.params = "0.5";
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_GOAL, "smallest that can be reached");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Hidden units of recurrent cells, the width between a block's layers, the width of the embedding. */
static void channels_cover_units_and_widths(void **state) {
    static const int64_t rows[] = {6, 8}, pixels[] = {3, 16, 16};
    static const struct {
        const char *network, *parameter;
        int rank;
        const int64_t *dims;
    } cases[] = {{"lstm:0.1", "lstm.weight", 2, rows},
                 {"gru:0.1", "gru.weight", 2, rows},
                 {"transformer:dim=16,depth=1,heads=2,hidden=32", "block1.mlp.1.weight", 2, rows},
                 {"transformer:dim=16,depth=1,heads=2,hidden=32", "embedding.weight", 2, rows},
                 {"vit:dim=16,depth=1,heads=2,patch=8", "block1.mlp.1.weight", 3, pixels}};
    skive_context *ctx = skv_test_context();
    (void)state;
    for (size_t k = 0; k < SKV_COUNT(cases); k++) {
        skive_graph *g = network(ctx, cases[k].network, cases[k].rank, cases[k].dims);
        skive_prune_report r = prune(ctx, g, "channel:normalise=rank,multiple=1", "0.6");
        bool found = false;
        for (size_t i = 0; i < r.n_channels; i++) {
            if (!strstr(r.channels[i].parameter, cases[k].parameter) && k > 1) continue;
            if (k < 2 && !strstr(r.channels[i].channels, "hidden")) continue;
            found = true;
            assert_true(r.channels[i].removable > 0 && r.channels[i].kept < r.channels[i].count);
        }
        if (!found) fail_msg("%s: no row for %s", cases[k].network, cases[k].parameter);
        skive_prune_report_free(ctx, &r);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

/* However large the weights of one layer are, all lose the same part. */
static void by_rank_all_lose_the_same_part(void **state) {
    static const int64_t dims[] = {12};
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx, "mlp:8,16", 1, dims);
    (void)state;
    scale(g, "fc1.weight", 100);
    skive_prune_report r = prune(ctx, g, "channel:first,normalise=rank,multiple=1", "0.4");
    assert_int_equal(kept_of(&r, "fc1.weight") * 2, kept_of(&r, "fc2.weight"));
    assert_true(kept_of(&r, "fc1.weight") < 8);
    skive_prune_report_free(ctx, &r);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Of layer 2 half the units have no effect, and the criterion knows which; a scan finds that these cost nothing, while
 * any of layer 1 do, however small their weights are. */
static void a_scan_finds_what_costs_nothing(void **state) {
    static const int64_t dims[] = {1, SIDE, SIDE};
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = network(ctx, "mlp:4,8", 3, dims);
    skive_train_options how = settings(6, 24);
    skive_prune_options o = skive_prune_options_default();
    skive_prune_report r;
    (void)state;
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &how, NULL, 0, NULL));
    scale(g, "fc1.weight", 0.01);
    scale(g, "fc1.bias", 0.01);
    scale(g, "fc2.weight", 100);
    float *rows = skive_graph_find_value(g, "fc2.weight")->storage->tensor.data,
          *readers = skive_graph_find_value(g, "fc3.weight")->storage->tensor.data;
    for (int unit = 4; unit < 8; unit++) {
        for (int k = 0; k < 4; k++) rows[unit * 4 + k] *= 0.01f;
        for (int c = 0; c < CLASSES; c++) readers[c * 8 + unit] = 0;
    }
    o.granularity = "channel:first,normalise=scan,multiple=1";
    o.params = "0.86"; /* of 4 * 37 + 8 * 5 + 3 * 9 = 215; without four units of layer 2 there are 215 - 4 * 8 */
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "training set");
    skv_test_ok(ctx, skive_prune(ctx, g, set, NULL, &o, &r));
    assert_int_equal(kept_of(&r, "fc1.weight"), 4);
    assert_int_equal(kept_of(&r, "fc2.weight"), 4);
    skive_prune_report_free(ctx, &r);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- rewinding, and the control ---- */

/* At a rate of zero what stays is what the other model has; what went stays gone. */
static void weights_go_back(void **state) {
    static const char *const granularities[] = {"element", "channel:multiple=1"};
    static const int64_t dims[] = {1, SIDE, SIDE};
    (void)state;
    for (int k = 0; k < 2; k++) {
        skive_context *ctx = skv_test_context();
        skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
        skive_graph *g = network(ctx, "mlp:8", 3, dims), *early = NULL;
        skive_prune_options o = skive_prune_options_default();
        skive_train_options tune = skive_prune_finetune_default();
        skv_test_ok(ctx, skive_graph_copy(ctx, g, &early));
        scale(g, "fc1.weight", 3); /* the order of the weights is the same, and so are those that stay */
        tune.epochs = 2;
        tune.learning_rate = 0;
        o.finetune = &tune;
        o.rewind = early;
        o.granularity = granularities[k];
        o.params = k ? "0.5" : NULL;
        o.sparsity = k ? 0.9 : 0.5;
        o.schedule = "iterative";
        o.steps = 2;
        o.scratch_control = 1;
        skive_prune_report r;
        skv_test_ok(ctx, skive_prune(ctx, g, set, NULL, &o, &r));
        assert_int_equal(r.scratch.n_epochs, 1);
        assert_int_equal(r.training.n_epochs, 1);
        const skive_tensor *now = skive_value_data(skive_graph_find_value(g, "fc1.weight"));
        const float *then = data_of(early, "fc1.weight");
        int64_t at = 0, zeros = 0;
        for (int64_t i = 0; i < skive_tensor_count(now); i++) {
            const float w = ((const float *)now->data)[i];
            zeros += w == 0;
            if (k == 0) assert_true(w == 0 || w == then[i]);
            while (k == 1 && at < 8 * PIXELS && then[at] != w) at++; /* rows that are left, in their order */
            assert_true(at < 8 * PIXELS);
        }
        assert_true(k == 1 ? now->dims[0] < 8 && zeros == 0 : zeros > 100);
        skive_prune_report_free(ctx, &r);
        /* Another network is no earlier time of this one. */
        skive_graph *other = network(ctx, "mlp:9", 3, dims), *again = network(ctx, "mlp:8", 3, dims);
        o.rewind = other;
        skv_test_fails(ctx, skive_prune(ctx, again, set, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "earlier time");
        skive_graph_free(again);
        skive_graph_free(other);
        skive_graph_free(early);
        skive_graph_free(g);
        skive_dataset_free(set);
        skv_test_context_end(ctx);
    }
}

/* He's deviation for what is multiplied with data, one for scales, zero for shifts. */
static void a_network_begins_anew(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false), *again = small_cnn(ctx, false);
    double squares = 0;
    (void)state;
    skv_test_ok(ctx, skv_params_renew(g, 5));
    skv_test_ok(ctx, skv_params_renew(again, 5));
    assert_true(fingerprint(g) == fingerprint(again));
    for (int i = 0; i < CLASSES * 4 * PIXELS; i++)
        squares += (double)data_of(g, "fc.weight")[i] * (double)data_of(g, "fc.weight")[i];
    assert_true(skv_test_close(squares / (CLASSES * 4 * PIXELS), 2.0 / (4 * PIXELS), 0.25, 0));
    for (int c = 0; c < 4; c++) {
        assert_true(data_of(g, "scale")[c] == 1 && data_of(g, "shift")[c] == 0);
        assert_true(data_of(g, "running.mean")[c] == 0 && data_of(g, "running.var")[c] == 1);
    }
    skive_graph_free(again);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static skive_status prune_depth(skive_context *ctx, void *user) {
    skive_graph *g = NULL, *early = NULL;
    skive_dataset *set = NULL;
    skive_prune_options o = skive_prune_options_default();
    skive_train_options tune = skive_prune_finetune_default();
    skive_prune_report r = {0};
    skive_zoo_options z = skive_zoo_options_default();
    z.dims[0] = 1;
    z.dims[1] = z.dims[2] = SIDE;
    z.classes = CLASSES;
    tune.epochs = 1;
    tune.batch = 200;
    o.finetune = &tune;
    o.granularity = user;
    o.params = "0.9";
    o.scratch_control = 1;
    skive_status status = skive_zoo_build(ctx, "mlp:6,6", &z, &g);
    if (status == SKIVE_OK) status = skive_graph_copy(ctx, g, &early);
    o.rewind = early;
    if (status == SKIVE_OK) status = skive_dataset_open(ctx, blobs, NULL, &set);
    if (status == SKIVE_OK) status = skive_prune(ctx, g, set, NULL, &o, &r);
    skive_prune_report_free(ctx, &r);
    skive_dataset_free(set);
    skive_graph_free(early);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(prune_depth, (void *)(uintptr_t) "layer", 37) > 20);
    assert_true(skv_test_walk_allocations(prune_depth, (void *)(uintptr_t) "channel:multiple=1", 61) > 20);
    assert_true(skv_test_walk_allocations(prune_depth, (void *)(uintptr_t) "layer:choose=exact", 41) > 20);
    assert_true(skv_test_walk_allocations(prune_depth, (void *)(uintptr_t) "channel:multiple=1,choose=exact", 907) > 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_weakest_layer_goes),
        cmocka_unit_test(residual_blocks_go),
        cmocka_unit_test(layers_go_with_the_least_harm),
        cmocka_unit_test(channels_go_with_little_harm),
        cmocka_unit_test(depth_that_cannot_go),
        cmocka_unit_test(a_layer_of_a_last_state_stays),
        cmocka_unit_test(only_heads_go),
        cmocka_unit_test(channels_cover_units_and_widths),
        cmocka_unit_test(by_rank_all_lose_the_same_part),
        cmocka_unit_test(a_scan_finds_what_costs_nothing),
        cmocka_unit_test(weights_go_back),
        cmocka_unit_test(a_network_begins_anew),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
