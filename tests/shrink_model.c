/* Removes a part of the channels of every family of an ONNX model, and writes it beside the same model with these
 * channels masked, for another runtime to compare (tests/oracle/check_shrink.py):
 *
 *     shrink_model IN.onnx SMALL.onnx MASKED.onnx [SHARE [SEED [random|l1 [time]]]]
 *
 * With l1 the channels of least norm go instead of some at random; with `time` both are timed on one thread, in turns.
 * IN may be zoo:SPEC, a built-in network. Prints what can be removed of each layer, and why the rest cannot. Ends with
 * 3 if there is nothing to remove. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <skive/exec.h>
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

static double seconds_of(clockid_t clock) {
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double seconds(void) { return seconds_of(CLOCK_MONOTONIC); }
/* Of this process alone, which others that run beside it do not lengthen. */
static double own_seconds(void) { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

static skive_status load(skive_context *ctx, const char *model, skive_graph **out) {
    skive_zoo_options o = skive_zoo_options_default();
    if (strncmp(model, "zoo:", 4) != 0) return skive_onnx_load(ctx, model, NULL, out);
    static const char *const of_colours[] = {"resnet", "mobilenet", "vgg", "densenet", "squeezenet", "efficientnet"};
    bool colours = false;
    for (size_t i = 0; i < sizeof of_colours / sizeof *of_colours; i++)
        colours = colours || strncmp(model + 4, of_colours[i], strlen(of_colours[i])) == 0;
    if (colours) {
        o.dims[0] = 3;
        o.dims[1] = o.dims[2] = 32;
    }
    return skive_zoo_build(ctx, model + 4, &o, out);
}

/* The sum of the magnitudes of a slice of a float parameter. */
static double norm_of(const skive_channel_slice *s) {
    const skive_tensor *t = skive_value_data(s->value);
    double sum = 0;
    int64_t inner = 1;
    if (!t || t->dtype != SKIVE_F32) return 0;
    for (int d = s->axis + 1; d < t->rank; d++) inner *= t->dims[d];
    for (int64_t at = s->index * inner; at < skive_tensor_count(t); at += inner * t->dims[s->axis])
        for (int64_t i = at; i < at + inner; i++) sum += fabs((double)((const float *)t->data)[i]);
    return sum;
}

typedef struct ranked {
    double norm;
    size_t at;
} ranked;

static int least_first(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    return x->norm < y->norm ? -1 : x->norm > y->norm ? 1 : x->at < y->at ? -1 : 1;
}

/* Of each family the channels of least L1 norm. */
static size_t choose_least(const skive_coupling *k, double share, size_t multiple, size_t *list) {
    const size_t count = skive_coupling_count(k);
    ranked *r = calloc(count + 1, sizeof *r);
    int *family = calloc(count + 1, sizeof *family);
    size_t *want = calloc(count + 1, sizeof *want), n = 0;
    for (size_t i = 0; r && family && want && i < count; i++) {
        const skive_channel_slice *slices;
        size_t n_slices;
        skive_coupling_get(k, i, &slices, &n_slices, &family[i]);
        r[i].at = i;
        want[family[i]]++;
        for (size_t s = 0; s < n_slices; s++) r[i].norm += norm_of(&slices[s]);
    }
    for (size_t f = 0; r && family && want && f < count; f++) want[f] = wanted_of(want[f], share, multiple);
    if (r) qsort(r, count, sizeof *r, least_first);
    for (size_t i = 0; r && family && want && i < count; i++) {
        if (want[family[r[i].at]] == 0) continue;
        want[family[r[i].at]]--;
        list[n++] = r[i].at;
    }
    free(r);
    free(family);
    free(want);
    return n;
}

static bool can_go(skive_context *ctx, const skive_graph *g, const size_t *list, size_t n) {
    skive_graph *copy = NULL;
    skive_coupling *k = NULL;
    const bool can = skive_graph_copy(ctx, g, &copy) == SKIVE_OK && skive_coupling_create(copy, &k) == SKIVE_OK &&
                     skive_graph_remove_channels(copy, k, list, n) == SKIVE_OK;
    skive_coupling_free(k);
    skive_graph_free(copy);
    return can;
}

/* The least processor time of a run of each, in turns. */
static void print_times(skive_context *ctx, const skive_graph *dense, const skive_graph *small) {
    enum { TURNS = 15, LEAST = 5 };
    const skive_graph *const graphs[2] = {dense, small};
    skive_plan *plans[2] = {NULL};
    skive_exec *execs[2] = {NULL};
    double best[2] = {INFINITY, INFINITY};
    bool can = skive_context_set_threads(ctx, 1) == SKIVE_OK;
    for (int i = 0; i < 2 && can; i++)
        can = skive_plan_create(ctx, graphs[i], NULL, &plans[i]) == SKIVE_OK &&
              skive_exec_create(ctx, plans[i], &execs[i]) == SKIVE_OK && skive_exec_run(execs[i]) == SKIVE_OK;
    const double start = own_seconds();
    for (int turn = 0; can && (turn < LEAST || (turn < 8 * TURNS && own_seconds() - start < 0.12)); turn++) {
        for (int i = 0; i < 2 && can; i++) {
            const double from = own_seconds();
            int runs = 0;
            while (can && (runs == 0 || own_seconds() - from < 0.001)) {
                can = skive_exec_run(execs[i]) == SKIVE_OK;
                runs++;
            }
            const double t = (own_seconds() - from) / runs;
            best[i] = t < best[i] ? t : best[i];
        }
    }
    if (can) (void)printf("latency\t%.9f\t%.9f\n", best[0], best[1]);
    for (int i = 0; i < 2; i++) {
        skive_exec_free(execs[i]);
        skive_plan_free(plans[i]);
    }
}

int main(int argc, char **argv) {
    skive_context *ctx = NULL;
    skive_graph *g = NULL, *masked = NULL, *dense = NULL;
    skive_coupling *k = NULL;
    skive_cost before, after;
    size_t *list = NULL, n = 0, kept = 0, mixing = 0;
    int families = 0, result = 1;
    bool known = false;
    if (argc < 4) {
        (void)fprintf(
            stderr,
            "usage: shrink_model IN.onnx SMALL.onnx MASKED.onnx [SHARE [SEED [random|l1 [time [MULTIPLE]]]]]\n");
        return 2;
    }
    const bool by_norm = argc > 6 && strcmp(argv[6], "l1") == 0;
    const double share = argc > 4 ? strtod(argv[4], NULL) : 0.25;
    const uint64_t seed = argc > 5 ? strtoull(argv[5], NULL, 10) : 1;
    const size_t multiple = argc > 8 ? strtoull(argv[8], NULL, 10) : 1; /* of what remains of a family */
    if (multiple < 1 || skive_context_create(NULL, &ctx) != SKIVE_OK) return 1;
    if (load(ctx, argv[1], &g) != SKIVE_OK) return failed(ctx, argv[1]);
    if (skive_simplify(ctx, g, NULL, NULL) != SKIVE_OK) return failed(ctx, "simplify");
    if (skive_graph_untie_constants(g) != SKIVE_OK) return failed(ctx, "untie");
    const double start = seconds();
    if (skive_coupling_create(g, &k) != SKIVE_OK) return failed(ctx, "coupling");
    const double coupled = seconds();
    print_layers(k);
    list = calloc(skive_coupling_count(k) + 1, sizeof *list);
    if (list) n = by_norm ? choose_least(k, share, multiple, list) : choose_channels(k, share, seed, multiple, list);
    for (size_t i = 0; i < skive_coupling_count(k); i++) {
        int family;
        skive_coupling_get(k, i, NULL, NULL, &family);
        if (family >= families) families = family + 1;
        mixing += skive_coupling_mixes(k, i) != NULL;
    }
    (void)printf("channels\t%zu\tfamilies\t%d\tread by a statistic\t%zu\tremoved\t%zu\n", skive_coupling_count(k),
                 families, mixing, n);
    while (n > 1 && !can_go(ctx, g, list, n)) n -= n / 8 ? n / 8 : 1; /* together they would empty an axis */
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
    if (argc > 7 && skive_graph_copy(ctx, g, &dense) != SKIVE_OK) {
        (void)failed(ctx, "copy");
        goto done;
    }
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
    if (argc > 7) print_times(ctx, dense, g);
done:
    free(list);
    skive_graph_free(dense);
    skive_coupling_free(k);
    skive_graph_free(masked);
    skive_graph_free(g);
    skive_context_free(ctx);
    return result;
}
