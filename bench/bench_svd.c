/* The leading singular values and vectors of one square matrix of normal numbers by random projection, as `factorize`
 * finds them in large layers, for bench/run.sh (the protocol is in bench/README.md).
 *     bench_svd [--size N] [--rank R] [--threads N]
 * The unit of work is the decomposition; at the end the share of the squared norm that is left out goes to stderr. */
#include "lowrank/linear.h"
#include "protocol.h"

typedef struct bench {
    long size, rank;
    int threads;
    skive_context *ctx;
    float *a;
    double *u, *s, *vt;
} bench;

static skive_status make(bench *b) {
    const size_t n = (size_t)b->size, rank = (size_t)b->rank;
    skive_status status = skv_alloc_array(b->ctx, n * n, sizeof *b->a, &b->a);
    if (status == SKIVE_OK) status = skv_alloc_array(b->ctx, n * rank, sizeof *b->u, &b->u);
    if (status == SKIVE_OK) status = skv_alloc_array(b->ctx, rank, sizeof *b->s, &b->s);
    if (status == SKIVE_OK) status = skv_alloc_array(b->ctx, rank * n, sizeof *b->vt, &b->vt);
    for (size_t i = 0; status == SKIVE_OK && i < n * n; i++) b->a[i] = (float)skv_rng_normal(1, 0x62737664, i);
    return status;
}

static skive_status one(void *user, double *seconds) {
    bench *b = user;
    const size_t n = (size_t)(b->size * b->size);
    float *copy = NULL;
    skive_status status = skv_alloc_array(b->ctx, n, sizeof *copy, &copy);
    if (status != SKIVE_OK) return status;
    memcpy(copy, b->a, n * sizeof *copy);
    const double begin = bench_now();
    status = skv_svd_random(b->ctx, b->size, b->size, copy, b->rank, 1, b->u, b->s, b->vt);
    *seconds = bench_now() - begin;
    return status;
}

static void tell_lost(const bench *b) {
    double all = 0, kept = 0;
    for (long i = 0; i < b->size * b->size; i++) all += (double)b->a[i] * (double)b->a[i];
    for (long i = 0; i < b->rank; i++) kept += b->s[i] * b->s[i];
    fprintf(stderr, "bench_svd: share of the squared norm left out: %.6f\n", 1 - kept / all);
}

static bool read_arguments(int argc, char **argv, bench *b) {
    for (int i = 1; i < argc; i++) {
        if (i + 1 == argc) return false;
        if (strcmp(argv[i], "--size") == 0)
            b->size = atol(argv[++i]);
        else if (strcmp(argv[i], "--rank") == 0)
            b->rank = atol(argv[++i]);
        else if (strcmp(argv[i], "--threads") == 0)
            b->threads = atoi(argv[++i]);
        else
            return false;
    }
    return b->threads > 0 && b->rank > 0 && b->size >= b->rank && b->size <= 16384;
}

int main(int argc, char **argv) {
    bench b = {.size = 4096, .rank = 256, .threads = 1};
    if (!read_arguments(argc, argv, &b)) {
        fprintf(stderr, "usage: bench_svd [--size N] [--rank R] [--threads N]\n");
        return 2;
    }
    skive_context_options co = skive_context_options_default();
    co.threads = b.threads;
    skive_status status = skive_context_create(&co, &b.ctx);
    if (status == SKIVE_OK) status = make(&b);
    if (status == SKIVE_OK) status = bench_serve(one, &b);
    if (status == SKIVE_OK) tell_lost(&b);
    if (status != SKIVE_OK && b.ctx) {
        fprintf(stderr, "bench_svd: %s\n", skive_context_message(b.ctx));
        bench_answer_error(skive_context_message(b.ctx));
    }
    skv_free(b.ctx, b.a);
    skv_free(b.ctx, b.u);
    skv_free(b.ctx, b.s);
    skv_free(b.ctx, b.vt);
    skive_context_free(b.ctx);
    return status == SKIVE_OK ? 0 : 1;
}
