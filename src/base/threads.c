/* How many threads a context's parallel regions use.
 *
 * The OpenMP runtime ends the process when it cannot start a thread that a region asks for. A library must not do that
 * to its caller, so the threads are started here first, once, and a context never requests more than could be
 * started. */
#ifdef _OPENMP
#include <omp.h>
#endif
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/context.h"

/* OpenMP's default respects the CPU affinity of the process and OMP_NUM_THREADS. */
int skv_default_threads(void) {
#ifdef _OPENMP
    int n = omp_get_max_threads();
    return n > 0 ? n : 1;
#else
    return 1;
#endif
}

int skv_threads(const skive_context *ctx) { return skive_context_threads(ctx); }

/* ---- what can be started ---- */

/* Address space in use; 0 if unknown. */
static size_t space_used(void) {
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f) return 0;
    const bool read = fscanf(f, "%lu", &pages) == 1;
    (void)fclose(f);
    return read ? pages * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

/* Beside its stack, a thread's first allocation reserves address space for a heap of its own: glibc maps twice the 64
 * MB it keeps. */
#define HEAP_SPACE ((size_t)128 << 20)

/* If the address space is limited, threads may take half of the rest, so that memory is left for the work. */
static int most_by_space(int wanted) {
    struct rlimit limit;
    pthread_attr_t attributes;
    size_t stack = 0;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
    if (pthread_attr_init(&attributes) != 0) return 1;
    (void)pthread_attr_getstacksize(&attributes, &stack);
    (void)pthread_attr_destroy(&attributes);
    const size_t used = space_used(), left = limit.rlim_cur > used ? limit.rlim_cur - used : 0;
    const size_t most = left / 2 / (stack + HEAP_SPACE);
    return most + 1 < (size_t)wanted ? (int)most + 1 : wanted;
}

typedef struct gate {
    pthread_mutex_t lock;
    pthread_cond_t open;
    bool is_open;
} gate;

static void *wait_at_gate(void *user) {
    gate *g = user;
    (void)pthread_mutex_lock(&g->lock);
    while (!g->is_open) (void)pthread_cond_wait(&g->open, &g->lock);
    (void)pthread_mutex_unlock(&g->lock);
    return NULL;
}

/* Starts up to `wanted` - 1 threads at the same time and lets them end; returns 1 + the number started. */
static int start_and_end(int wanted) {
    gate g = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    pthread_t started[SKIVE_MAX_THREADS];
    int n = 0;
    while (n < wanted - 1 && pthread_create(&started[n], NULL, wait_at_gate, &g) == 0) n++;
    (void)pthread_mutex_lock(&g.lock);
    g.is_open = true;
    (void)pthread_cond_broadcast(&g.open);
    (void)pthread_mutex_unlock(&g.lock);
    for (int i = 0; i < n; i++) (void)pthread_join(started[i], NULL);
    return n + 1;
}

int skv_possible_threads(int wanted) {
#ifndef _OPENMP
    return wanted < 1 ? wanted : 1;
#endif
    static atomic_int proven = 1; /* the largest number started so far in this process */
    if (wanted <= atomic_load(&proven)) return wanted;
    const int n = start_and_end(most_by_space(wanted));
    int before = atomic_load(&proven);
    while (n > before && !atomic_compare_exchange_weak(&proven, &before, n)) continue;
    return n;
}
