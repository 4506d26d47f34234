/* The oneDNN provider's core: what every kernel in this folder shares.
 *
 * oneDNN is called only from this folder. Rules kept here once for all: its instruction set is capped before any other
 * call (by SKIVE_ISA, and where AMX is announced but hidden); scratchpads are always the caller's, so that a primitive
 * may be run by many threads at once; primitives are immutable after creation; each thread has a stream of its own. */
#ifndef SKV_ONEDNN_H
#define SKV_ONEDNN_H

#include "kernels/kernel.h"
#include "kernels/onednn/adapter.h"

/* The one CPU engine of the process, made at the first call. NULL when oneDNN cannot give one. */
dnnl_engine_t skv_dnnl_engine(void);

/* A dnnl status as ours: out of memory MEMORY, unimplemented UNSUPPORTED (the planner tries the next kernel), else
 * INTERNAL. `what` names the operation in the message ("convolution"). */
skive_status skv_dnnl_status(skive_context *ctx, dnnl_status_t status, const char *what);

/* ---- descriptors of values ---- */

/* The descriptor of a static value in this layout (ranks 1 to 6, no dimension 0; ranks below 3 are always plain).
 * f32, bf16, f16, s32, s8, u8. False when oneDNN cannot describe it; *out is none then. */
bool skv_dnnl_md_of(const skive_type *type, skv_layout layout, skv_dnnl_md *out);
/* Plain row-major of explicit dimensions. */
bool skv_dnnl_md_dims(skive_dtype dtype, int rank, const int64_t *dims, skv_dnnl_md *out);
/* The same dimensions with the order left to oneDNN (dnnl_format_tag_any). */
bool skv_dnnl_md_any(skive_dtype dtype, int rank, const int64_t *dims, skv_dnnl_md *out);
/* nChw16c where AVX-512 is used, nChw8c with AVX2. */
skv_layout skv_dnnl_blocked(void);

/* ---- primitives ---- */

/* A primitive made ready: immutable, may be run by many threads at once. Zeroed means none. */
typedef struct skv_dnnl_prim {
    dnnl_primitive_t primitive;
    dnnl_primitive_desc_t desc;
    size_t scratch_bytes; /* to be given, 64-aligned, to every run */
    int threads;          /* that it was made for, and runs on */
} skv_dnnl_prim;

/* Attributes with the caller's scratchpad set; add post-ops as wanted. Freed by dnnl_primitive_attr_destroy. */
skive_status skv_dnnl_attr(skive_context *ctx, dnnl_primitive_attr_t *out);

/* A descriptor of a convolution made for this number of threads: oneDNN fixes the division of work here. Its first
 * implementation that does not move the stack pointer. *out NULL on failure. */
dnnl_status_t skv_dnnl_conv_desc(const skv_dnnl_conv_case *form, const_dnnl_primitive_attr_t attr,
                                 const_dnnl_primitive_desc_t hint, int threads, dnnl_primitive_desc_t *out);
/* A primitive from a descriptor made with the caller's-scratchpad attribute; takes it over in any case. */
skive_status skv_dnnl_prim_from(skive_context *ctx, dnnl_primitive_desc_t desc, int threads, const char *what,
                                skv_dnnl_prim *out);
void skv_dnnl_prim_free(skv_dnnl_prim *p); /* a zeroed one is accepted */
/* The descriptor that the implementation chose for an argument (DNNL_ARG_SRC ...). Borrowed from p. */
skv_dnnl_md_ref skv_dnnl_prim_md(const skv_dnnl_prim *p, int arg);
/* "jit:avx512_core", "gemm:jit", "ref:any" ... Borrowed. */
const char *skv_dnnl_impl(const_dnnl_primitive_desc_t desc);

typedef struct skv_dnnl_arg {
    int arg;          /* DNNL_ARG_SRC ... */
    const void *data; /* as skv_dnnl_prim_md describes it; written to when it is an output */
} skv_dnnl_arg;
#define SKV_DNNL_MAX_ARGS 12

/* Runs on the calling thread's stream with p->threads threads, and waits for the end. */
skive_status skv_dnnl_run(skive_context *ctx, const skv_dnnl_prim *p, const skv_dnnl_arg *args, size_t n_args,
                          void *scratch, const char *what);

/* ---- rearranging ---- */

/* A reorder from one descriptor to another, as a primitive (args DNNL_ARG_FROM, DNNL_ARG_TO). */
skive_status skv_dnnl_reorder_create(skive_context *ctx, skv_dnnl_md_ref from, skv_dnnl_md_ref to, int threads,
                                     skv_dnnl_prim *out);
/* Copies `data` described by `from` into a fresh block described by `to`. *out is freed by skv_free; *bytes its size.
 */
skive_status skv_dnnl_pack(skive_context *ctx, skv_dnnl_md_ref from, const void *data, skv_dnnl_md_ref to, int threads,
                           void **out, size_t *bytes);

/* An operand that is packed once when constant, and into scratch at every run otherwise. */
typedef struct skv_dnnl_operand {
    void *packed;          /* constant: ready; freed by skv_dnnl_operand_free */
    skv_dnnl_prim reorder; /* not constant, and not given as it is wanted */
    size_t scratch_offset, scratch_bytes;
} skv_dnnl_operand;

/* Sets o up for input `index` of the node; scratch it needs is added to n->scratch_bytes (at a multiple of 64), packed
 * bytes to n->state_bytes, n->packs_input is set for a packed constant. */
skive_status skv_dnnl_operand_prepare(skv_kernel_node *n, size_t index, skv_dnnl_md_ref given, skv_dnnl_md_ref wanted,
                                      skv_dnnl_operand *o);
/* The pointer to hand to the primitive, as it was wanted; reorders into scratch where needed. */
skive_status skv_dnnl_operand_get(const skv_kernel_call *c, size_t index, const skv_dnnl_operand *o, const void **out);
void skv_dnnl_operand_free(skive_context *ctx, skv_dnnl_operand *o);

#endif
