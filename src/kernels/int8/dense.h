/* The dense integer convolution and product, prepared. */
#ifndef SKV_INT8_DENSE_H
#define SKV_INT8_DENSE_H

#include "kernels/int8/int8.h"

enum {
    SKV_Q8_OTHER = 3,        /* input of QConvAdd that is added */
    SKV_Q8_BLOCK_TILES = 16, /* largest skv_q8_dense.block_tiles */
    SKV_Q8_BOXES = 5,
};

/* Part `i` of `n` nearly equal parts of `total`. */
static inline int64_t skv_part(int64_t total, int64_t n, int64_t i) {
    return total / n * i + (i < total % n ? i : total % n);
}

/* How the numbers under a window are found. */
typedef enum skv_q8_reading {
    SKV_Q8_IN_PLACE, /* a tap is the channels of one pixel */
    SKV_Q8_LINES,    /* a tap is a line of the window, channels and all, in a copy of the input with its padding; or, of
                        groups and dilated windows, the channels of a group at a pixel of it */
    SKV_Q8_GATHERED, /* one tap: the whole window copied together */
} skv_q8_reading;

/* Output positions that need the same taps, the others being padding that adds nothing. */
typedef struct skv_q8_box {
    int64_t lo[SKV_SPATIAL], hi[SKV_SPATIAL];         /* positions */
    int64_t tap_lo[SKV_SPATIAL], tap_hi[SKV_SPATIAL]; /* of the window */
    int64_t rows, tiles;                              /* over the whole batch */
    int64_t run, run_tiles; /* rows of which no tile takes a part with others, and their tiles */
    size_t taps;
    int64_t *offset; /* [taps]: from the window's first element, when all of it lies inside */
    size_t *tap_at;  /* [taps]: as in skv_q8_tile */
} skv_q8_box;

typedef struct skv_q8_dense {
    const skv_q8_gemm *gemm;
    skv_conv_shape s;        /* a product is a convolution of n rows, each one position */
    int64_t per_in, per_out; /* channels of a group in and out */
    skv_q8_reading reading;
    skv_geometry at;     /* s.g, that of the copy, or all positions of a pointwise one as one line */
    int64_t images;      /* in `at` */
    bool reads_on;       /* rows are read in place to whole groups, past the last one's end */
    bool joined;         /* gathered rows of successive positions stand together in the input too */
    size_t x_item;       /* bytes of a number where it is read: 2 in the copy for wide tiles */
    size_t taps, groups; /* as in skv_q8_tile */
    int n_boxes;
    skv_q8_box box[SKV_Q8_BOXES];
    size_t k, panels, panel_bytes;
    int64_t tiles;                        /* of all boxes */
    size_t block_tiles;                   /* tiles handled at once */
    size_t copy_bytes;                    /* of the padded copy, before the threads' scratch */
    size_t pointer_bytes, gathered_bytes; /* of one thread's scratch */
    size_t sum_bytes;                     /* the same: a tile's sums, in fixed point */
    size_t item;                          /* bytes of an output element */
    int32_t x_zero, factor;               /* of weights of few bits */
    skv_q8_out out;
    char *b; /* in the plan's arena */
    int32_t *init;
    float *multiplier;
    skv_q8_fixed fixed;   /* on: tiles give sums, which `loops` turns into bytes */
    int32_t *q31, *shift; /* as multiplier, in fixed point */
    const skv_q8_loops *loops;
    uint8_t *padding; /* a row of the zero point */
    skv_q8_constants constants;
} skv_q8_dense;

bool skv_q8_dense_applicable(const skv_kernel_node *n, skv_why *why);
/* The geometry of a node. */
skive_status skv_q8_dense_geometry(const skv_kernel_node *n, skv_conv_shape *s);
/* The same, and the layouts it wants. */
skive_status skv_q8_dense_shape(skv_kernel_node *n, skv_conv_shape *s);
/* What becomes of the sums of a node of so many channels, its sum with another tensor included. */
skive_status skv_q8_read_output(const skv_kernel_node *n, int64_t channels, const skv_requant *r,
                                const double *multiplier, skv_q8_out *out);
skive_status skv_q8_dense_prepare(skv_kernel_node *n, const skv_q8_gemm *gemm, const skv_conv_shape *s);
skive_status skv_q8_dense_run(const skv_kernel_call *c);
/* The run itself: x and what is added, results, memory of n->scratch_bytes as the preparation left it. */
void skv_q8_dense_run_on(const skv_q8_dense *d, const uint8_t *x, const uint8_t *other, void *y, char *memory,
                         int threads);

/* For zero points known only at run time: weights w [m][c / groups][kernel...] prepared for sums in int32, and what a
 * run takes in their stead, in skv_q8_dense_at_bytes of memory. It sets n->scratch_bytes, not n->state. */
skive_status skv_q8_dense_sums(skv_kernel_node *n, const skv_q8_gemm *gemm, const skv_conv_shape *s, const int8_t *w,
                               skv_q8_dense **out);
size_t skv_q8_dense_at_bytes(const skv_q8_dense *d);
void skv_q8_dense_at(const skv_q8_dense *d, int32_t zero, void *memory, skv_q8_dense *at);
void skv_q8_dense_destroy(skive_context *ctx, void *state);

#endif
