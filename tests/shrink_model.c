/* Removes a part of the channels of every family of an ONNX model, and writes it beside the same model with these
 * channels masked, for another runtime to compare (tests/oracle/check_shrink.py):
 *
 *     shrink_model IN.onnx SMALL.onnx MASKED.onnx [SHARE [SEED]]
 *
 * IN may be zoo:SPEC, a built-in network. Prints what can be removed of each layer, and why the rest cannot. Ends with
 * 3 if there is nothing to remove. */
#include <stdio.h>
#include <time.h>

#include <skive/onnx.h>
#include <skive/simplify.h>
#include <skive/zoo.h>

#include "shrink_fixtures.h"

static int failed(const skive_context *ctx, const char *what) {
    (void)fprintf(stderr, "%s: %s\n", what, skive_context_message(ctx));
    return 1;
}

static void print_layers(const skive_coupling *k) {
    skive_coupling_layer l;
    size_t layers = 0, whole = 0;
    for (size_t i = 0; skive_coupling_layer_get(k, i, &l); i++) {
        layers++;
        whole += l.removable == l.count;
        (void)printf("layer\t%s\t%lld\t%lld\t%s\t%s\t%s\n", skive_value_name(l.value), (long long)l.count,
                     (long long)l.removable, l.channels, l.why ? l.why : "", l.by ? l.by : "");
    }
    (void)printf("layers\t%zu\t%zu\n", layers, whole);
}

static double seconds(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static skive_status load(skive_context *ctx, const char *model, skive_graph **out) {
    skive_zoo_options o = skive_zoo_options_default();
    if (strncmp(model, "zoo:", 4) != 0) return skive_onnx_load(ctx, model, NULL, out);
    if (strncmp(model + 4, "resnet", 6) == 0 || strncmp(model + 4, "mobilenet", 9) == 0) {
        o.dims[0] = 3;
        o.dims[1] = o.dims[2] = 32;
    }
    return skive_zoo_build(ctx, model + 4, &o, out);
}

int main(int argc, char **argv) {
    skive_context *ctx = NULL;
    skive_graph *g = NULL, *masked = NULL;
    skive_coupling *k = NULL;
    skive_cost before, after;
    size_t *list = NULL, n = 0, kept = 0, mixing = 0;
    int families = 0, result = 1;
    bool known = false;
    if (argc < 4) {
        (void)fprintf(stderr, "usage: shrink_model IN.onnx SMALL.onnx MASKED.onnx [SHARE [SEED]]\n");
        return 2;
    }
    const double share = argc > 4 ? strtod(argv[4], NULL) : 0.25;
    const uint64_t seed = argc > 5 ? strtoull(argv[5], NULL, 10) : 1;
    if (skive_context_create(NULL, &ctx) != SKIVE_OK) return 1;
    if (load(ctx, argv[1], &g) != SKIVE_OK) return failed(ctx, argv[1]);
    if (skive_simplify(ctx, g, NULL, NULL) != SKIVE_OK) return failed(ctx, "simplify");
    if (skive_graph_untie_constants(g) != SKIVE_OK) return failed(ctx, "untie");
    const double start = seconds();
    if (skive_coupling_create(g, &k) != SKIVE_OK) return failed(ctx, "coupling");
    const double coupled = seconds();
    print_layers(k);
    list = calloc(skive_coupling_count(k) + 1, sizeof *list);
    if (list) n = choose_channels(k, share, seed, list);
    for (size_t i = 0; i < skive_coupling_count(k); i++) {
        int family;
        skive_coupling_get(k, i, NULL, NULL, &family);
        if (family >= families) families = family + 1;
        mixing += skive_coupling_mixes(k, i) != NULL;
    }
    (void)printf("channels\t%zu\tfamilies\t%d\tread by a statistic\t%zu\tremoved\t%zu\n", skive_coupling_count(k),
                 families, mixing, n);
    if (n == 0) {
        result = 3;
        goto done;
    }
    if (mask_graph(g, k, list, n, &masked, &known) != SKIVE_OK) {
        (void)failed(ctx, "mask");
        goto done;
    }
    if (!known) (void)printf("note\ta statistic over channels is not written out: the results differ\n");
    (void)skive_graph_cost(g, &before);
    const double removing = seconds();
    if (skive_graph_remove_channels(g, k, list, n) != SKIVE_OK) {
        (void)failed(ctx, "removal");
        goto done;
    }
    kept = skive_graph_value_count(g);
    (void)printf("seconds\tcoupling\t%.3f\tremoval\t%.3f\tvalues\t%zu\n", coupled - start, seconds() - removing, kept);
    (void)skive_graph_cost(g, &after);
    (void)printf("macs\t%lld\t%lld\nparameters\t%lld\t%lld\n", (long long)before.macs, (long long)after.macs,
                 (long long)before.parameters, (long long)after.parameters);
    if (skive_onnx_save(ctx, g, argv[2], NULL) != SKIVE_OK || skive_onnx_save(ctx, masked, argv[3], NULL) != SKIVE_OK) {
        (void)failed(ctx, "saving");
        goto done;
    }
    result = 0;
done:
    free(list);
    skive_coupling_free(k);
    skive_graph_free(masked);
    skive_graph_free(g);
    skive_context_free(ctx);
    return result;
}
