/* The line protocol of bench/README.md, for skive's own timing programs: `run K` answers K times, `quit` ends. */
#ifndef SKIVE_BENCH_PROTOCOL_H
#define SKIVE_BENCH_PROTOCOL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <skive/skive.h>

static inline double bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline void bench_answer_error(const char *message) {
    printf("{\"error\":\"");
    for (const char *c = message; *c; c++) {
        if (*c == '"' || *c == '\\') putchar('\\');
        putchar((unsigned char)*c < ' ' ? ' ' : *c);
    }
    printf("\"}\n");
    fflush(stdout);
}

/* One unit of work and the seconds it took. */
typedef skive_status (*bench_unit)(void *user, double *seconds);

static inline skive_status bench_serve(bench_unit unit, void *user) {
    char line[128];
    while (fgets(line, sizeof line, stdin)) {
        long runs;
        char rest;
        if (strncmp(line, "quit", 4) == 0) break;
        if (sscanf(line, "run %ld %c", &runs, &rest) != 1 || runs < 1 || runs > 1000000) {
            bench_answer_error("expected 'run K' or 'quit'");
            continue;
        }
        double *seconds = calloc((size_t)runs, sizeof *seconds);
        if (!seconds) return SKIVE_ERR_MEMORY;
        for (long i = 0; i < runs; i++) {
            const skive_status status = unit(user, &seconds[i]);
            if (status == SKIVE_OK) continue;
            free(seconds);
            return status;
        }
        printf("{\"seconds\":[");
        for (long i = 0; i < runs; i++) printf("%s%.9f", i ? "," : "", seconds[i]);
        free(seconds);
        struct rusage usage = {0};
        getrusage(RUSAGE_SELF, &usage);
        printf("],\"peak_rss_bytes\":%ld,\"version\":\"skive %s\"}\n", usage.ru_maxrss * 1024L, skive_version());
        fflush(stdout);
    }
    return SKIVE_OK;
}

/* The model in a file, or zoo:NAME built with random weights (ImageNet shapes where the network is made for them). */
static inline skive_status bench_load(skive_context *ctx, const char *model, skive_graph **out) {
    static const char *const imagenet[] = {"resnet18", "resnet50", "vgg16", "mobilenetv2"};
    if (strncmp(model, "zoo:", 4) != 0) return skive_onnx_load(ctx, model, NULL, out);
    skive_zoo_options o = skive_zoo_options_default();
    for (size_t i = 0; i < sizeof imagenet / sizeof imagenet[0]; i++) {
        if (strncmp(model + 4, imagenet[i], strlen(imagenet[i])) != 0) continue;
        o.rank = 3;
        o.dims[0] = 3;
        o.dims[1] = o.dims[2] = 224;
        o.classes = 1000;
    }
    return skive_zoo_build(ctx, model + 4, &o, out);
}

/* "64,128,3": so many whole numbers above 0; false where the text is anything else. */
static inline bool bench_sizes(const char *text, int want, long *sizes) {
    char *end;
    for (int i = 0; i < want; i++) {
        sizes[i] = strtol(text, &end, 10);
        if (end == text || sizes[i] < 1 || *end != (i + 1 < want ? ',' : '\0')) return false;
        text = end + 1;
    }
    return true;
}

#endif
