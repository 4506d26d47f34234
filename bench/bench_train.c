/* One training step of skive, for bench/run.sh: forward, cross-entropy, backward and SGD with momentum 0.9 in f32, on
 * batches made beforehand. Speaks the protocol of bench/README.md; --profile prints where the time of a step goes
 * instead. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <skive/zoo.h>

#include "graph/batch.h"
#include "train/train.h"

enum { BATCHES = 8 };

typedef struct bench {
    skive_context *ctx;
    skv_trainer *trainer;
    const char *net;
    int64_t batch, sample, step;
    int threads, profile;
    float *x;   /* [BATCHES][batch][sample] */
    int64_t *y; /* [BATCHES][batch] */
    double loss;
} bench;

typedef struct known_net {
    const char *name;
    int rank;
    int64_t dims[3];
} known_net;
static const known_net nets[] = {
    {"resnet20", 3, {3, 32, 32}},
    {"lenet5", 3, {1, 28, 28}},
    {"mlp", 1, {784}},
    {"vgg-small", 3, {3, 32, 32}},
    {"mobilenet", 3, {3, 32, 32}},
    {"vit:dim=64,depth=6,heads=4,patch=4", 3, {1, 28, 28}},
};

static skive_status build_trainer(bench *b, const known_net *net) {
    skive_graph *open = NULL, *g = NULL;
    skv_stat_update *updates = NULL;
    size_t n_updates = 0;
    skive_value *labels = NULL;
    skive_status status;
    skive_zoo_options z = skive_zoo_options_default();
    z.rank = net->rank;
    memcpy(z.dims, net->dims, sizeof net->dims);
    z.classes = 10;
    SKV_GO(status, done, skive_zoo_build(b->ctx, net->name, &z, &open));
    SKV_GO(status, done, skv_graph_bind_batch(b->ctx, open, b->batch, &g));
    SKV_GO(status, done, skv_graph_to_training(b->ctx, g, &updates, &n_updates));
    const skive_type type = {.dtype = SKIVE_I64, .rank = 1, .dims = {{b->batch, NULL}}};
    SKV_GO(status, done, skive_graph_add_input(g, "labels", &type, &labels));
    skv_builder build = skv_build(g);
    const skv_loss_args args = {.logits = g->outputs[0], .labels = labels};
    skive_value *loss = skv_loss_find("cross-entropy")->build(&build, &args);
    SKV_GO(status, done, build.status);
    skive_train_options o = skive_train_options_default();
    o.nesterov = false;
    o.weight_decay = 0;
    o.batch = b->batch;
    const skv_trainer_setup setup = {.graph = g,
                                     .input = g->inputs[0],
                                     .labels = labels,
                                     .loss = loss,
                                     .logits = g->outputs[0],
                                     .updates = updates,
                                     .n_updates = n_updates,
                                     .options = &o,
                                     .batch = b->batch};
    SKV_GO(status, done, skv_trainer_create(b->ctx, &setup, &b->trainer));
    g = NULL; /* the trainer's now */
done:
    skive_graph_free(open);
    skive_graph_free(g);
    skv_free(b->ctx, updates);
    return status;
}

static skive_status make_batches(bench *b, const known_net *net) {
    b->sample = 1;
    for (int d = 0; d < net->rank; d++) b->sample *= net->dims[d];
    const size_t n = (size_t)(BATCHES * b->batch);
    SKV_TRY(skv_alloc_array(b->ctx, n, (size_t)b->sample * sizeof(float), &b->x));
    SKV_TRY(skv_alloc_array(b->ctx, n, sizeof(int64_t), &b->y));
    for (size_t i = 0; i < n * (size_t)b->sample; i++) b->x[i] = (float)skv_rng_normal(1, 1, i);
    for (size_t i = 0; i < n; i++) b->y[i] = (int64_t)skv_rng_below(1, 2, i, 10);
    return SKIVE_OK;
}

static skive_status one_step(bench *b, double *seconds) {
    const int64_t k = b->step++ % BATCHES;
    float *x = NULL;
    void *y = NULL;
    const double begin = skv_now();
    skv_trainer_inputs(b->trainer, &x, &y);
    memcpy(x, b->x + k * b->batch * b->sample, (size_t)(b->batch * b->sample) * sizeof(float));
    memcpy(y, b->y + k * b->batch, (size_t)b->batch * sizeof(int64_t));
    const skive_status status = skv_trainer_step(b->trainer, 1e-3, &b->loss, NULL);
    *seconds = skv_now() - begin;
    return status;
}

static int by_seconds(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

typedef struct row {
    double seconds;
    skive_plan_step step;
} row;

static skive_status show_profile(bench *b) {
    skive_exec *exec = skv_trainer_exec(b->trainer);
    const skive_plan *plan = skv_trainer_plan(b->trainer);
    const size_t n = skive_plan_step_count(plan);
    size_t runs = 0;
    double each, all = 0, inside = 0;
    row *rows = NULL;
    for (int i = 0; i < 3; i++) SKV_TRY(one_step(b, &each));
    SKV_TRY(skive_exec_profile(exec, true));
    for (int i = 0; i < b->profile; i++) {
        SKV_TRY(one_step(b, &each));
        all += each;
    }
    const double *seconds = skive_exec_profile_seconds(exec, &runs);
    SKV_TRY(skv_alloc_array(b->ctx, n + 1, sizeof *rows, &rows));
    for (size_t i = 0; i < n; i++) {
        rows[i].seconds = seconds[i] / (double)runs;
        skive_plan_step_get(plan, i, &rows[i].step);
        inside += rows[i].seconds;
    }
    qsort(rows, n, sizeof *rows, by_seconds);
    for (size_t i = 0; i < n; i++) {
        const skive_plan_step *s = &rows[i].step;
        printf("%9.1f us  %-24s %-24s %-8s %7.1f GMAC/s  %s %s\n", rows[i].seconds * 1e6,
               s->is_reorder ? "reorder" : s->op, s->kernel ? s->kernel : "", s->layout ? s->layout : "",
               (double)s->macs / rows[i].seconds * 1e-9, s->output_type ? s->output_type : "", s->node);
    }
    printf("step %.1f us, plan %.1f us, rest (optimizer, copies) %.1f us, arena %.1f MB\n", all / b->profile * 1e6,
           inside * 1e6, all / b->profile * 1e6 - inside * 1e6, (double)skive_plan_arena_bytes(plan) * 1e-6);
    skv_free(b->ctx, rows);
    return SKIVE_OK;
}

static void answer_error(const bench *b) {
    printf("{\"error\":\"");
    for (const char *c = skive_context_message(b->ctx); *c; c++) {
        if (*c == '"' || *c == '\\') putchar('\\');
        putchar((unsigned char)*c < ' ' ? ' ' : *c);
    }
    printf("\"}\n");
}

static skive_status serve(bench *b) {
    char line[128];
    while (fgets(line, sizeof line, stdin)) {
        long runs;
        char rest;
        if (strncmp(line, "quit", 4) == 0) break;
        if (sscanf(line, "run %ld %c", &runs, &rest) != 1 || runs < 1) {
            printf("{\"error\":\"expected 'run K' or 'quit'\"}\n");
            fflush(stdout);
            continue;
        }
        printf("{\"seconds\":[");
        for (long i = 0; i < runs; i++) {
            double seconds;
            const skive_status status = one_step(b, &seconds);
            if (status != SKIVE_OK) return status;
            printf("%s%.9f", i ? "," : "", seconds);
        }
        struct rusage usage = {0};
        getrusage(RUSAGE_SELF, &usage);
        printf("],\"peak_rss_bytes\":%ld,\"loss\":%.9g,\"version\":\"skive %s\"}\n", usage.ru_maxrss * 1024L, b->loss,
               skive_version());
        fflush(stdout);
    }
    return SKIVE_OK;
}

static bool read_arguments(int argc, char **argv, bench *b) {
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--net") == 0)
            b->net = argv[i + 1];
        else if (strcmp(argv[i], "--batch") == 0)
            b->batch = atol(argv[i + 1]);
        else if (strcmp(argv[i], "--threads") == 0)
            b->threads = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--profile") == 0)
            b->profile = atoi(argv[i + 1]);
        else
            return false;
    }
    return argc % 2 == 1 && b->net && b->batch > 0 && b->threads > 0;
}

int main(int argc, char **argv) {
    bench b = {.batch = 128, .threads = 1};
    const known_net *net = NULL;
    if (read_arguments(argc, argv, &b)) {
        for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++) {
            if (strcmp(nets[i].name, b.net) == 0) net = &nets[i];
        }
    }
    if (!net) {
        fprintf(stderr, "usage: bench_train --net NETWORK [--batch N] [--threads N] [--profile STEPS]\n");
        return 2;
    }
    skive_context_options co = skive_context_options_default();
    co.threads = b.threads;
    skive_status status = skive_context_create(&co, &b.ctx);
    if (status == SKIVE_OK) status = build_trainer(&b, net);
    if (status == SKIVE_OK) status = make_batches(&b, net);
    if (status == SKIVE_OK) status = b.profile > 0 ? show_profile(&b) : serve(&b);
    if (status != SKIVE_OK && b.ctx) {
        fprintf(stderr, "bench_train: %s\n", skive_context_message(b.ctx));
        if (!b.profile) answer_error(&b);
    }
    if (b.ctx) {
        skv_trainer_free(b.trainer);
        skv_free(b.ctx, b.x);
        skv_free(b.ctx, b.y);
        skive_context_free(b.ctx);
    }
    return status == SKIVE_OK ? 0 : 1;
}
