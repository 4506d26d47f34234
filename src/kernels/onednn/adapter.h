/* oneDNN 2.6 and 3.x as one library. What they name or hold differently stands here and in adapter_2.c or adapter_3.c,
 * of which CMake compiles the one that fits; no other file of this folder asks for the version. */
#ifndef SKV_ONEDNN_ADAPTER_H
#define SKV_ONEDNN_ADAPTER_H

#include <stdbool.h>
#include <stddef.h>

#include <oneapi/dnnl/dnnl.h>

/* ---- memory descriptors: structs in 2.6, handles in 3.x ---- */

/* One that its maker owns and frees; zeroed means none. And one that is borrowed. */
#if DNNL_VERSION_MAJOR >= 3
typedef struct skv_dnnl_md {
    dnnl_memory_desc_t handle;
} skv_dnnl_md;
typedef const_dnnl_memory_desc_t skv_dnnl_md_ref;
#else
typedef struct skv_dnnl_md {
    dnnl_memory_desc_t value;
    bool made;
} skv_dnnl_md;
typedef const dnnl_memory_desc_t *skv_dnnl_md_ref;
#endif

/* On failure *out is none. */
dnnl_status_t skv_dnnl_md_make(int rank, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_format_tag_t tag,
                               skv_dnnl_md *out);
void skv_dnnl_md_free(skv_dnnl_md *md);
skv_dnnl_md_ref skv_dnnl_md_get(const skv_dnnl_md *md); /* NULL: none */

/* How transformed weights of a Winograd convolution lie. O and I: blocks of 16 output and input channels, o and i: the
 * channels of such a block; B: groups of blocks; a a: the points. */
typedef enum skv_dnnl_winograd_order { SKV_DNNL_AAOIO, SKV_DNNL_AAOBIOO, SKV_DNNL_OBAAIBOIIO } skv_dnnl_winograd_order;
typedef struct skv_dnnl_winograd {
    skv_dnnl_winograd_order order;
    int alpha;                   /* points on a side */
    size_t ic, oc;               /* channels, whole blocks of 16 */
    size_t ic2_block, oc2_block; /* blocks in a group */
    size_t bytes;
} skv_dnnl_winograd;
/* Does `md` describe transformed weights of 3x3 windows in one of these forms? No version but 2.6 tells; from 3.0 on
 * oneDNN has no Winograd convolution for this architecture. */
bool skv_dnnl_md_winograd(skv_dnnl_md_ref md, skv_dnnl_winograd *out);
bool skv_dnnl_has_winograd(void);

/* ---- convolutions ---- */

typedef enum skv_dnnl_direction { SKV_DNNL_FORWARD, SKV_DNNL_BY_INPUT, SKV_DNNL_BY_WEIGHT } skv_dnnl_direction;
typedef struct skv_dnnl_conv_case {
    skv_dnnl_direction direction;
    bool training; /* of the forward direction */
    dnnl_alg_kind_t algorithm;
    skv_dnnl_md_ref x, w, bias, y; /* or their gradients; bias NULL: none */
    const dnnl_dim_t *strides, *dilates, *pad_lo, *pad_hi;
} skv_dnnl_conv_case;

/* The first implementation, in the library's order, that is not passed over. *out NULL unless dnnl_success is returned;
 * dnnl_unimplemented: there is none. `hint` is a descriptor of the forward direction, for the other two. */
dnnl_status_t skv_dnnl_conv_first(const skv_dnnl_conv_case *form, const_dnnl_primitive_attr_t attr,
                                  dnnl_engine_t engine, const_dnnl_primitive_desc_t hint,
                                  bool (*passed_over)(const_dnnl_primitive_desc_t), dnnl_primitive_desc_t *out);

/* ---- what follows in the same primitive ---- */

/* y += what it held. */
dnnl_status_t skv_dnnl_append_sum(dnnl_post_ops_t ops);
dnnl_status_t skv_dnnl_append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha, float beta);
/* y = y * min(max(0, y / 6 + 1/2), 1) */
dnnl_status_t skv_dnnl_append_hard_swish(dnnl_post_ops_t ops);

#endif
