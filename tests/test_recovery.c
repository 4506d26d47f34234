/* What pruning repairs without labels: statistics of BatchNormalization, and the layers that read removed channels. */
#include "train_fixtures.h"

#include <skive/exec.h>
#include <skive/prune.h>

enum { CHANNELS = 4, TRAINED = 220 /* samples of the training split */ };

static float *numbers_of(skive_graph *g, const char *name) {
    return skive_graph_find_value(g, name)->storage->tensor.data;
}

/* small_cnn whose channel 2 is half of channel 1: whoever loses it can be made up for by the other. */
static skive_graph *twins(skive_context *ctx) {
    skive_graph *g = small_cnn(ctx, false);
    static const char *const scales[] = {"scale", "shift", "running.mean", "running.var"};
    for (int k = 0; k < 9; k++) numbers_of(g, "conv.weight")[2 * 9 + k] = numbers_of(g, "conv.weight")[9 + k];
    for (size_t i = 0; i < SKV_LENGTH(scales); i++) numbers_of(g, scales[i])[2] = numbers_of(g, scales[i])[1];
    numbers_of(g, "scale")[2] /= 2;
    numbers_of(g, "shift")[2] /= 2;
    for (int c = 0; c < CLASSES; c++)
        for (int k = 0; k < PIXELS; k++) numbers_of(g, "fc.weight")[(c * CHANNELS + 2) * PIXELS + k] /= 100;
    return g;
}

/* The mean squared difference of the scores of two networks over the training samples. */
static double difference(skive_context *ctx, const skive_graph *a, const skive_graph *b) {
    const skive_graph *const graphs[2] = {a, b};
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_plan *plans[2];
    skive_exec *execs[2];
    double sum = 0;
    for (int i = 0; i < 2; i++) {
        skv_test_ok(ctx, skive_plan_create(ctx, graphs[i], NULL, &plans[i]));
        skv_test_ok(ctx, skive_exec_create(ctx, plans[i], &execs[i]));
    }
    for (size_t n = 0; n < TRAINED; n++) {
        skive_tensor in, y[2];
        for (int i = 0; i < 2; i++) {
            skv_test_ok(ctx, skive_exec_input(execs[i], 0, &in));
            skv_test_ok(ctx, skive_dataset_read(ctx, set, n, in.data, NULL));
            skv_test_ok(ctx, skive_exec_run(execs[i]));
            skv_test_ok(ctx, skive_exec_output(execs[i], 0, &y[i]));
        }
        for (int c = 0; c < CLASSES; c++) sum += pow(skive_tensor_get(&y[0], c) - skive_tensor_get(&y[1], c), 2);
    }
    for (int i = 0; i < 2; i++) {
        skive_exec_free(execs[i]);
        skive_plan_free(plans[i]);
    }
    skive_dataset_free(set);
    return sum / TRAINED;
}

static skive_prune_options channels(const char *params, bool reconstruct) {
    skive_prune_options o = skive_prune_options_default();
    o.granularity = "channel:sum,multiple=1";
    o.params = params;
    o.recalibrate_bn = "off";
    o.reconstruct = reconstruct;
    return o;
}

static void readers_make_up_for_what_goes(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    double errors[2][2];
    (void)state;
    for (int twin = 0; twin < 2; twin++) {
        for (int i = 0; i < 2; i++) {
            skive_graph *dense = twin ? twins(ctx) : small_cnn(ctx, false),
                        *g = twin ? twins(ctx) : small_cnn(ctx, false);
            const skive_prune_options o = channels(twin ? "0.8" : "0.6", i == 1);
            skv_test_ok(ctx, skive_prune(ctx, g, set, NULL, &o, NULL));
            assert_int_equal(skive_value_data(skive_graph_find_value(g, "conv.weight"))->dims[0], twin ? 3 : 2);
            errors[twin][i] = difference(ctx, dense, g);
            skive_graph_free(dense);
            skive_graph_free(g);
        }
        assert_true(errors[twin][0] > 0 && errors[twin][1] < 0.5 * errors[twin][0]);
    }
    assert_true(errors[1][1] < 1e-4 * errors[0][0]); /* of twins nothing is lost but the damping */
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* Mean and variance of what the convolution gives, over all training samples. */
static void statistics_of(skive_context *ctx, const skive_graph *g, double *mean, double *variance) {
    const float *w = data_of(g, "conv.weight");
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    float x[PIXELS];
    for (int c = 0; c < CHANNELS; c++) mean[c] = variance[c] = 0;
    for (size_t n = 0; n < TRAINED; n++) {
        skv_test_ok(ctx, skive_dataset_read(ctx, set, n, x, NULL));
        for (int c = 0; c < CHANNELS; c++) {
            for (int at = 0; at < PIXELS; at++) {
                double y = 0;
                for (int k = 0; k < 9; k++) {
                    const int row = at / SIDE + k / 3 - 1, column = at % SIDE + k % 3 - 1;
                    if (row >= 0 && row < SIDE && column >= 0 && column < SIDE)
                        y += (double)w[c * 9 + k] * (double)x[row * SIDE + column];
                }
                mean[c] += y / (TRAINED * PIXELS);
                variance[c] += y * y / (TRAINED * PIXELS);
            }
        }
    }
    for (int c = 0; c < CHANNELS; c++) variance[c] -= mean[c] * mean[c];
    skive_dataset_free(set);
}

/* From three batches of 64 of the 220 samples. */
static void statistics_follow_the_pruned_weights(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    (void)state;
    for (int i = 0; i < 3; i++) {
        static const char *const how[] = {"auto", "on", "off"};
        skive_graph *g = small_cnn(ctx, false), *before = small_cnn(ctx, false);
        skive_prune_options o = skive_prune_options_default();
        double mean[CHANNELS], variance[CHANNELS];
        o.sparsity = 0.5;
        o.recalibrate_bn = how[i];
        skv_test_ok(ctx, skive_prune(ctx, g, set, NULL, &o, NULL));
        statistics_of(ctx, g, mean, variance);
        for (int c = 0; c < CHANNELS; c++) {
            const double m = (double)data_of(g, "running.mean")[c], v = (double)data_of(g, "running.var")[c];
            assert_true((m == (double)data_of(before, "running.mean")[c]) == (i == 2));
            assert_true(i == 2 || fabs(m - mean[c]) < 0.1 * sqrt(variance[c]));
            assert_true(i == 2 || fabs(v / variance[c] - 1) < 0.15);
        }
        skive_graph_free(g);
        skive_graph_free(before);
    }
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

static void what_is_refused(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = small_cnn(ctx, false);
    const uint64_t before = fingerprint(g);
    skive_prune_options o = channels("0.6", true);
    (void)state;
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "a training set is missing");
    o.granularity = "element";
    o.params = NULL;
    skv_test_fails(ctx, skive_prune(ctx, g, set, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "it is for channels");
    o = skive_prune_options_default();
    o.recalibrate_bn = "on";
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "a training set is missing");
    o.lossless = true;
    skv_test_fails(ctx, skive_prune(ctx, g, set, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "changes no output");
    o.lossless = false;
    o.recalibrate_bn = "maybe";
    skv_test_fails(ctx, skive_prune(ctx, g, set, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "maybe");
    assert_true(fingerprint(g) == before);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

static skive_status prune_it(skive_context *ctx, void *user) {
    skive_dataset *set = NULL;
    skive_dataset_options d = skive_dataset_options_default();
    skive_graph *g = NULL;
    skive_prune_options o = channels("0.6", true);
    skive_status status;
    o.recalibrate_bn = "on";
    SKV_GO(status, done, skive_dataset_open(ctx, blobs, &d, &set));
    SKV_GO(status, done, skive_graph_copy(ctx, user, &g));
    status = skive_prune(ctx, g, set, NULL, &o, NULL);
done:
    skive_graph_free(g);
    skive_dataset_free(set);
    return status;
}

static void every_allocation_may_fail(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false);
    (void)state;
    assert_true(skv_test_walk_allocations(prune_it, g, 41) > 20);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_make_up_for_what_goes),
        cmocka_unit_test(statistics_follow_the_pruned_weights),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
