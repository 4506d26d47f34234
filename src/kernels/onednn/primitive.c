/* Making, running and freeing primitives. */
#ifdef _OPENMP
#include <omp.h>
#else
#include <dlfcn.h>
#include <pthread.h>
#endif
#include <string.h>

#include "kernels/onednn/onednn.h"
#include "kernels/onednn/stream.h"

#ifndef _OPENMP
/* skive built without OpenMP runs on one thread; the oneDNN beside it may have OpenMP all the same, and is told. */
static int (*get_max_threads)(void);
static void (*set_num_threads)(int);

static void find_functions(void) {
    *(void **)&get_max_threads = dlsym(RTLD_DEFAULT, "omp_get_max_threads");
    *(void **)&set_num_threads = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
}

static int omp_get_max_threads(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, find_functions);
    return get_max_threads && set_num_threads ? get_max_threads() : 1;
}

static void omp_set_num_threads(int threads) {
    if (set_num_threads) set_num_threads(threads);
}
#endif

/* oneDNN takes the number of threads from the calling thread's OpenMP setting, at creation and at execution; both must
 * see the same one. */
static int set_threads(int threads) {
    const int before = omp_get_max_threads();
    if (before != threads) omp_set_num_threads(threads);
    return before;
}

static void restore_threads(int before, int threads) {
    if (before != threads) omp_set_num_threads(before);
}

skive_status skv_dnnl_attr(skive_context *ctx, dnnl_primitive_attr_t *out) {
    *out = NULL;
    if (!skv_dnnl_engine()) return SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED, "oneDNN has no CPU engine here");
    SKV_TRY(skv_dnnl_status(ctx, dnnl_primitive_attr_create(out), "attributes"));
    const dnnl_status_t s = dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user);
    if (s != dnnl_success) {
        (void)dnnl_primitive_attr_destroy(*out);
        *out = NULL;
    }
    return skv_dnnl_status(ctx, s, "attributes");
}

/* Implementations not to be used. Those by way of oneDNN's matrix product: its kernels move the stack pointer to a
 * buffer of theirs, and a signal that arrives there is delivered on that buffer and overwrites what lies below it. And
 * the reference loops: kernels of skive's own are faster. */
static bool passed_over(const_dnnl_primitive_desc_t desc) {
    const char *name = skv_dnnl_impl(desc);
    if (strstr(name, "ref") || strstr(name, "simple")) return true;
    return strstr(name, "gemm") && !strstr(name, "brgemm");
}

dnnl_status_t skv_dnnl_conv_desc(const skv_dnnl_conv_case *form, const_dnnl_primitive_attr_t attr,
                                 const_dnnl_primitive_desc_t hint, int threads, dnnl_primitive_desc_t *out) {
    const int before = set_threads(threads);
    const dnnl_status_t s = skv_dnnl_conv_first(form, attr, skv_dnnl_engine(), hint, passed_over, out);
    restore_threads(before, threads);
    return s;
}

skive_status skv_dnnl_reorder_create(skive_context *ctx, skv_dnnl_md_ref from, skv_dnnl_md_ref to, int threads,
                                     skv_dnnl_prim *out) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t desc = NULL;
    memset(out, 0, sizeof *out);
    SKV_TRY(skv_dnnl_attr(ctx, &attr));
    const dnnl_engine_t engine = skv_dnnl_engine();
    const int before = set_threads(threads);
    const dnnl_status_t s = dnnl_reorder_primitive_desc_create(&desc, from, engine, to, engine, attr);
    restore_threads(before, threads);
    (void)dnnl_primitive_attr_destroy(attr);
    SKV_TRY(skv_dnnl_status(ctx, s, "reorder"));
    return skv_dnnl_prim_from(ctx, desc, threads, "reorder", out);
}

skive_status skv_dnnl_prim_from(skive_context *ctx, dnnl_primitive_desc_t desc, int threads, const char *what,
                                skv_dnnl_prim *out) {
    *out = (skv_dnnl_prim){.desc = desc, .threads = threads};
    const skv_dnnl_md_ref scratch = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    if (scratch) out->scratch_bytes = dnnl_memory_desc_get_size(scratch);
    const int before = set_threads(threads);
    const dnnl_status_t s = dnnl_primitive_create(&out->primitive, desc);
    restore_threads(before, threads);
    if (s != dnnl_success) {
        out->primitive = NULL;
        skv_dnnl_prim_free(out);
    }
    return skv_dnnl_status(ctx, s, what);
}

void skv_dnnl_prim_free(skv_dnnl_prim *p) {
    if (p->primitive) (void)dnnl_primitive_destroy(p->primitive);
    if (p->desc) (void)dnnl_primitive_desc_destroy(p->desc);
    memset(p, 0, sizeof *p);
}

skv_dnnl_md_ref skv_dnnl_prim_md(const skv_dnnl_prim *p, int arg) {
    return dnnl_primitive_desc_query_md(p->desc, dnnl_query_exec_arg_md, arg);
}

const char *skv_dnnl_impl(const_dnnl_primitive_desc_t desc) {
    const char *name = NULL;
    if (dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name) != dnnl_success || !name) return "";
    return name;
}

typedef struct arguments {
    dnnl_exec_arg_t list[SKV_DNNL_MAX_ARGS + 1];
    size_t n;
} arguments;

static dnnl_status_t add_argument(arguments *a, int arg, skv_dnnl_md_ref md, const void *data) {
    void *writable;
    memcpy(&writable, &data, sizeof writable); /* dnnl_memory has no const form */
    if (a->n == SKV_COUNT(a->list)) return dnnl_invalid_arguments;
    const dnnl_status_t s = dnnl_memory_create(&a->list[a->n].memory, md, skv_dnnl_engine(), writable);
    if (s == dnnl_success) a->list[a->n++].arg = arg;
    return s;
}

skive_status skv_dnnl_run(skive_context *ctx, const skv_dnnl_prim *p, const skv_dnnl_arg *args, size_t n_args,
                          void *scratch, const char *what) {
    arguments a;
    a.n = 0;
    const dnnl_stream_t stream = skv_dnnl_stream();
    dnnl_status_t s = stream ? dnnl_success : dnnl_out_of_memory;
    for (size_t i = 0; i < n_args && s == dnnl_success; i++)
        s = add_argument(&a, args[i].arg, skv_dnnl_prim_md(p, args[i].arg), args[i].data);
    if (s == dnnl_success && p->scratch_bytes)
        s = add_argument(&a, DNNL_ARG_SCRATCHPAD, dnnl_primitive_desc_query_md(p->desc, dnnl_query_scratchpad_md, 0),
                         scratch);
    if (s == dnnl_success) {
        const int before = set_threads(p->threads);
        s = dnnl_primitive_execute(p->primitive, stream, (int)a.n, a.list);
        if (s == dnnl_success) s = dnnl_stream_wait(stream);
        restore_threads(before, p->threads);
    }
    for (size_t i = 0; i < a.n; i++) (void)dnnl_memory_destroy(a.list[i].memory);
    return skv_dnnl_status(ctx, s, what);
}
