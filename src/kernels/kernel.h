/* The kernel record: one way of running one or several ops.
 *
 * kernels.inc lists kernels in order of choice; the reference, which serves every op that has a `run`, comes last. The
 * planner asks each kernel of a node's op whether it applies; one that declines says why, and `skive explain` shows it.
 * A prepared node is immutable: many threads may run it at once, each with its own scratch and buffers. */
#ifndef SKV_KERNEL_H
#define SKV_KERNEL_H

#include "graph/graph.h"
#include "graph/op.h"

/* How a tensor of rank >= 3 [n][c][spatial...] lies in memory. Other ranks are always PLAIN. */
typedef enum skv_layout {
    SKV_PLAIN, /* row-major */
    SKV_NHWC,  /* [n][spatial...][c] */
    SKV_C16,   /* [n][c/16][spatial...][16], channels padded with zeros; every kernel keeps the padding zero */
    SKV_C8,    /* the same by 8 */
} skv_layout;
const char *skv_layout_name(skv_layout l);
/* Channels that stand together in a block, filled up with zeros; 1: none do. */
static inline int64_t skv_layout_block(skv_layout l) { return l == SKV_C16 ? 16 : l == SKV_C8 ? 8 : 1; }
/* Bytes of a value of static type in this layout; false on overflow or an unknown dimension. */
bool skv_layout_bytes(const skive_type *type, skv_layout layout, size_t *bytes);
/* Bytes of one value's data rearranged; both layouts of the same static type. Any element type of 1, 2, 4, 8 bytes. */
void skv_reorder(const skive_type *type, skv_layout from, const void *in, skv_layout to, void *out, int threads);

/* A value as a kernel sees it at planning time. */
typedef struct skv_kernel_value {
    skive_type type;              /* static */
    skv_layout layout;            /* inputs: how it is offered; the kernel changes it to what it wants, and the planner
                                     reorders. Outputs: PLAIN unless the kernel says otherwise. */
    const skive_tensor *constant; /* parameter data that never changes while the plan lives: may be prepacked */
    const skv_coded *coded;       /* the same for a parameter left coded; only kernels that take them see one */
    bool absent, is_parameter;    /* a parameter with neither is one in training: pack at every run */
} skv_kernel_value;

typedef struct skv_kernel skv_kernel;

typedef struct skv_kernel_node {
    skive_context *ctx;
    skv_arena *weights; /* for what is prepacked; lives as long as the state */
    const skive_node *node;
    const skv_kernel *kernel;
    size_t n_in, n_out;
    skv_kernel_value *in, *out; /* out[i].absent: nobody wants it */
    int threads;
    bool training; /* parameters may change between runs */
    /* filled by prepare */
    void *state;          /* freed by the kernel's destroy */
    size_t state_bytes;   /* of prepacked weights, for the report */
    size_t scratch_bytes; /* given, 64-aligned, to each run */
    uint32_t in_place;    /* bit i: output 0 may lie on input i (same bytes), if that is its last use */
    int view_of;          /* i + 1: output 0 is the very memory of input i (both PLAIN), and nothing is run */
    bool skips_input_data[SKV_OP_MAX_IO]; /* reads only the shape of this input: its lifetime is not prolonged and
                                             the pointer given to run may be NULL */
    bool packs_input[SKV_OP_MAX_IO];      /* constant input was prepacked: its data is not read at run */
} skv_kernel_node;

typedef struct skv_kernel_call {
    skive_context *ctx; /* of this run: errors, interrupts */
    const skv_kernel_node *n;
    const void *const *in; /* [n_in] NULL: absent */
    void *const *out;      /* [n_out] NULL: absent */
    void *scratch;
    uint64_t step;       /* run counter, for Dropout */
    skv_arena **strings; /* room for text that the op makes; *strings may be NULL */
} skv_kernel_call;

typedef struct skv_why {
    char text[160]; /* empty after a decline: not worth a word */
} skv_why;
/* return skv_decline(why, "rank %d", rank); */
bool skv_decline(skv_why *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct skv_kernel {
    const char *name; /* op-dtypes-form-isa: "conv_f32_onednn", "qconv_u8s8_avx512vnni" */
    const char *brief;
    const skv_op_kind *ops;                                     /* ops served, SKV_OP_NONE at the end; NULL: every op */
    skv_isa isa;                                                /* least level */
    bool computes_nothing;                                      /* belongs in plans of reference kernels too */
    bool takes_coded;                                           /* reads no parameter, or coded ones as they are */
    bool (*applicable)(const skv_kernel_node *n, skv_why *why); /* layouts, types and attributes; no allocation */
    skive_status (*prepare)(skv_kernel_node *n);                /* NULL: nothing to prepare, all PLAIN */
    skive_status (*run)(const skv_kernel_call *c);
    void (*destroy)(skive_context *ctx, void *state); /* NULL: no state */
};

size_t skv_kernel_count(void);
const skv_kernel *skv_kernel_at(size_t index);
bool skv_kernel_serves(const skv_kernel *k, skv_op_kind op);
bool skv_kernel_f32(const skv_kernel_value *v); /* float32, of known shape, not empty */
/* The shared part of an element-wise prepare: every input takes the layout of the first non-constant one. */
void skv_kernel_follow_layout(skv_kernel_node *n);
static inline bool skv_kernel_has_input(const skv_kernel_node *n, size_t i) { return i < n->n_in && !n->in[i].absent; }
/* Elements of a static type before an axis, along it and behind it. */
static inline void skv_around_axis(const skive_type *t, int axis, int64_t *outer, int64_t *length, int64_t *inner) {
    *outer = *inner = 1;
    for (int d = 0; d < t->rank; d++)
        if (d != axis) *(d < axis ? outer : inner) *= t->dims[d].size;
    *length = t->dims[axis].size;
}
/* A `prepare` with a state of so many bytes, zeroed at first: set_up fills it and may allocate; where it fails, destroy
 * frees what it has. */
skive_status skv_kernel_prepare(skv_kernel_node *n, size_t bytes,
                                skive_status (*set_up)(skv_kernel_node *n, void *state),
                                void (*destroy)(skive_context *ctx, void *state));
/* Adds `bytes` to n->scratch_bytes, 64-aligned, and gives the offset. ERR_LIMIT on overflow. */
skive_status skv_scratch_add(skv_kernel_node *n, size_t bytes, size_t *offset);

#endif
