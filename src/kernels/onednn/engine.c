/* The engine, the streams and the instruction set cap: everything that exists once a process or once a thread. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "kernels/onednn/onednn.h"
#include "kernels/onednn/stream.h"

/* Written once under pthread_once and only read afterwards. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_engine_t engine;
static pthread_key_t stream_key;
static char version_text[40];

static void free_stream(void *stream) { (void)dnnl_stream_destroy(stream); }

/* oneDNN reads the CPU by itself: it must be told of the cap, and kept from AMX where the hypervisor hides the palette
 * (it would die of SIGILL). AMX is left out altogether: no f32 kernel of it uses tiles, and skive has its own for
 * INT8. */
static dnnl_cpu_isa_t isa_cap(void) {
    switch (skv_cpu_isa()) {
    case SKV_ISA_SCALAR: return dnnl_cpu_isa_sse41;
    case SKV_ISA_AVX2: return dnnl_cpu_isa_avx2;
    case SKV_ISA_AVX512: return dnnl_cpu_isa_avx512_core;
    case SKV_ISA_AVX512_VNNI: return dnnl_cpu_isa_avx512_core_vnni;
    default: return dnnl_cpu_isa_avx512_core_bf16;
    }
}

static void start(void) {
    const dnnl_version_t *v = dnnl_version();
    if (v) (void)snprintf(version_text, sizeof version_text, "%d.%d.%d", v->major, v->minor, v->patch);
    (void)dnnl_set_max_cpu_isa(isa_cap()); /* refused only when the host program has used oneDNN before us */
    (void)dnnl_set_jit_dump(0);
    if (pthread_key_create(&stream_key, free_stream) != 0) return;
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success) engine = NULL;
}

dnnl_engine_t skv_dnnl_engine(void) {
    pthread_once(&once, start);
    return engine;
}

const char *skive_onednn_version(void) {
    pthread_once(&once, start);
    return version_text;
}

dnnl_stream_t skv_dnnl_stream(void) {
    if (!skv_dnnl_engine()) return NULL;
    dnnl_stream_t stream = pthread_getspecific(stream_key);
    if (stream) return stream;
    if (dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) != dnnl_success) return NULL;
    if (pthread_setspecific(stream_key, stream) != 0) {
        (void)dnnl_stream_destroy(stream);
        return NULL;
    }
    return stream;
}

skive_status skv_dnnl_status(skive_context *ctx, dnnl_status_t status, const char *what) {
    switch (status) {
    case dnnl_success: return SKIVE_OK;
    case dnnl_out_of_memory: return SKV_FAIL(ctx, SKIVE_ERR_MEMORY, "oneDNN: out of memory for %s", what);
    case dnnl_unimplemented: return SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED, "oneDNN has no such %s", what);
    default: return SKV_FAIL(ctx, SKIVE_ERR_INTERNAL, "oneDNN: %s failed with status %d", what, (int)status);
    }
}
