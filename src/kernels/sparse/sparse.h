/* Products of a sparse or coded constant weight W [rows][columns] with dense f32 activations: Conv, Gemm and MatMul.
 *
 * All of them are one thing: a panel of activations, one line of `lanes` positions (pixels, samples) for each column
 * of W, and the loop
 *     for each row r, for each nonzero (c, w) of it:  sum[r][position] += w * panel[c][position]
 * which holds the sums of a tile of positions in registers. A convolution's panel holds each input channel once, with
 * its padding, split by the phases of the stride; a tap of the window is then a constant distance in it.
 *
 * A weight that is zero is not there: it gives nothing, where a dense product would make NaN of 0 * infinity. (In
 * blocks of four rows a zero that shares its column with a nonzero is stored, and multiplies as in a dense product.) */
#ifndef SKV_SPARSE_H
#define SKV_SPARSE_H

#include "kernels/kernel.h"
#include "kernels/unary.h"
#include "ops/common_activation.h"
#include "ops/conv/common_conv.h"

/* The nonzeros of a matrix, row by row, columns ascending in each. All the packer knows of a weight: they may come
 * from a dense tensor or from a storage that never was one. */
typedef struct skv_nonzeros {
    int64_t rows, columns;
    int64_t *row_start; /* [rows + 1] */
    uint32_t *column;   /* [row_start[rows]] */
    float *value;
} skv_nonzeros;

/* A matrix as it lies in memory; one of the steps is 1, the other the length of its lines. */
typedef struct skv_sparse_matrix {
    const float *data;      /* NULL: it is coded */
    const skv_coded *coded; /* has a symbol an element */
    int64_t rows, columns, row_step, column_step;
} skv_sparse_matrix;
/* Is input i a constant weight that these kernels read, dense or coded? Sets data or coded of *m. */
bool skv_sparse_weight_of(const skv_kernel_node *n, size_t i, skv_sparse_matrix *m);
/* Has the matrix zeros that can be told from the rest? */
bool skv_sparse_has_zeros(const skv_sparse_matrix *m, skv_why *why);

/* Reads the nonzeros; freed by skv_nonzeros_free, which takes a zeroed one too. */
skive_status skv_nonzeros_read(skive_context *ctx, const skv_sparse_matrix *m, skv_nonzeros *out);
void skv_nonzeros_free(skive_context *ctx, skv_nonzeros *nz);

typedef struct skv_sparse_count {
    int64_t nonzeros;
    int64_t blocks; /* columns with a nonzero, over all fours of rows of a group */
} skv_sparse_count;
/* One pass over the matrix, whose rows are `groups` equal parts. */
skv_sparse_count skv_sparse_counted(const skv_sparse_matrix *m, int64_t groups);
/* The fraction of zeros, by a sample when the matrix is large. */
double skv_sparse_zeros_sampled(const skv_sparse_matrix *m);

/* ---- packed weights ---- */

enum { SKV_SPARSE_BLOCK = 4, SKV_SPARSE_VECTORS = 8 };
typedef enum skv_sparse_layout {
    SKV_SPARSE_CSR,    /* unit: a row */
    SKV_SPARSE_BLOCK4, /* unit: four rows with one list of columns, four values each, zeros filled in */
    SKV_SPARSE_CODED,  /* unit: four rows, or 16 where there is one position, with a symbol for each column */
    SKV_SPARSE_LAYOUTS
} skv_sparse_layout;

/* How a symbol becomes a value, the alphabet being a constant of the loop. */
typedef enum skv_sparse_lookup {
    SKV_LOOKUP_16, /* a table of up to 16; symbols take 4 bits, of the others 8 */
    SKV_LOOKUP_32,
    SKV_LOOKUP_LINEAR, /* symbol + table[0] */
    SKV_LOOKUP_256,
    SKV_LOOKUPS
} skv_sparse_lookup;

/* Symbols in words of 32 bits, 16 words a block. Word i of a block belongs to row i % rows of the unit, and its
 * symbols, the lowest first, to columns i / rows, i / rows + 16 / rows ... of the block. Values are table[symbol] *
 * scale. */
enum { SKV_CODED_WORDS = 16, SKV_CODED_ROWS = 16 };
typedef struct skv_sparse_coded {
    skv_sparse_lookup lookup;
    int64_t rows, columns;             /* of a unit */
    int64_t blocks, segment, segments; /* of a unit; blocks that share scales */
    uint32_t *words;                   /* [units][blocks][16] */
    float *scale;                      /* [units][segments][rows] */
    float table[256];
} skv_sparse_coded;
static inline int64_t skv_lookup_symbols(skv_sparse_lookup l) { return l == SKV_LOOKUP_16 ? 8 : 4; } /* in a word */

typedef struct skv_sparse_weight {
    skv_sparse_layout layout;
    int64_t units;          /* of a group; the last one of a group may have fewer rows than four */
    uint32_t *start;        /* [groups * units + 1] */
    uint32_t *offset;       /* of the column's line in the panel, in floats */
    float *value;           /* one, or four, an offset */
    skv_sparse_coded coded; /* in place of start and value; then offset is [columns] */
    size_t bytes;
} skv_sparse_weight;

/* place [columns]: where each column's line begins in the panel. The rows of `groups` equal parts are packed part by
 * part. */
skive_status skv_sparse_pack(skive_context *ctx, const skv_nonzeros *nz, int64_t groups, const uint32_t *place,
                             skv_sparse_layout layout, skv_sparse_weight *out);
/* The same of a coded matrix, in units of so many rows; values are multiplied by `factor`. */
skive_status skv_sparse_pack_coded(skive_context *ctx, const skv_sparse_matrix *m, int64_t groups,
                                   const uint32_t *place, int64_t unit_rows, float factor, skv_sparse_weight *out);
/* Is the matrix coded so that it can be packed? Says why not, but for one that is dense. */
bool skv_sparse_codable(const skv_sparse_matrix *m, int64_t unit_rows, skv_why *why);
skv_sparse_lookup skv_sparse_lookup_of(const skv_coded *coded);
void skv_sparse_weight_free(skive_context *ctx, skv_sparse_weight *w);

/* ---- loops, for each instruction set ---- */

typedef struct skv_sparse_tile {
    const uint32_t *start, *offset; /* of the tile's first unit; offset and value of unit 0 of all */
    const float *value;
    const skv_sparse_coded *coded; /* of that layout, the tile's first unit, and room for [columns][4] values */
    int64_t unit;
    float *decoded;
    int64_t rows;          /* the units are all full but perhaps the last */
    const float *x;        /* panel */
    int vectors;           /* held in registers */
    int64_t lanes;         /* written */
    const float *bias, *z; /* [rows], [rows][...] as y; NULL: none */
    float *y;
    int64_t y_row;
    float lo, hi; /* limits of the result */
} skv_sparse_tile;

/* Positions of a panel and where they lie in the input: position (line, column) is read at line * down + top, column *
 * right + left, and is zero where that is outside. */
typedef struct skv_sparse_phase {
    int64_t line, column; /* of the first position */
    int64_t span, pitch;  /* positions; those of a line */
    int64_t down, right, top, left;
    int64_t first, end; /* columns that lie inside */
    int64_t x_line, x_lines;
} skv_sparse_phase;

typedef struct skv_sparse_loops {
    int lanes;                            /* of a vector */
    int most_vectors[SKV_SPARSE_LAYOUTS]; /* <= SKV_SPARSE_VECTORS */
    void (*tile[SKV_SPARSE_LAYOUTS])(const skv_sparse_tile *t);
    /* One position: y[r] = sum of value * x[offset] + bias[r] + z[r]; no limits. z may be y. */
    void (*vector[SKV_SPARSE_LAYOUTS])(const skv_sparse_tile *t);
    /* One phase of the stride, of `channels` channels x_channel apart, written to_channel apart. */
    void (*fill)(const skv_sparse_phase *p, const float *x, int64_t x_channel, int64_t channels, float *to,
                 int64_t to_channel);
    /* The same of `channels` channels that stand side by side in a block of `block`. */
    void (*fill_block)(const skv_sparse_phase *p, const float *x, int64_t block, int64_t channels, float *to,
                       int64_t to_channel);
    /* to[c][i] = from[i][c] of n lines of so many columns, `from_step` and `to_step` apart. */
    void (*turn)(const float *from, int64_t from_step, int64_t n, int64_t columns, float *to, int64_t to_step);
    skv_unary_loop *unary;
} skv_sparse_loops;
extern const skv_sparse_loops skv_sparse_loops_scalar, skv_sparse_loops_avx2, skv_sparse_loops_avx512,
    skv_sparse_loops_neon;

/* ---- the product ---- */

/* Where activations lie. An input element of a group stands at image * x_image + channel * x_channel + line * x_line +
 * column; of results the same, with a step between columns. A product of matrices is a 1x1 convolution.
 *
 * Where `b` channels stand side by side (x_block, y_block, 1: none do) an element stands at
 *     image * x_image + (channel - channel % b) * x_channel + (line * x_line + column) * b + channel % b. */
typedef struct skv_sparse_shape {
    int64_t images, groups;
    int64_t channels, rows; /* read and made, of a group */
    int64_t in_lines, in_width, x_image, x_channel, x_line;
    int64_t kernel[2], stride[2], dilation[2], pad[2]; /* by lines, by columns; pad before */
    int64_t lines, width, y_image, y_row, y_line, y_column;
    int64_t x_block, y_block, y_fill; /* y_fill: zeros behind the last row of a group in its block */
} skv_sparse_shape;
int64_t skv_sparse_columns(const skv_sparse_shape *s); /* of W: channels * kernel */

/* How the work is divided and where each phase of the panel lies: by shape, layout and instruction set alone. */
typedef struct skv_sparse_plan {
    const skv_sparse_loops *loops;
    skv_sparse_layout layout;
    skv_sparse_lookup lookup; /* of the coded layout */
    bool vector;              /* one position: no panel */
    int64_t unit_rows;
    int64_t period[2];                  /* phases of the stride that are read */
    int64_t pitch;                      /* positions from line to line */
    int64_t positions;                  /* of an image, those between lines included */
    int vectors;                        /* of a tile */
    int64_t tile, tiles, span, channel; /* positions; tiles of an image; read for a tile; floats of a channel's panel */
} skv_sparse_plan;
skv_sparse_plan skv_sparse_planned(const skv_sparse_shape *s, skv_sparse_layout layout, skv_isa isa);
skv_sparse_plan skv_sparse_planned_coded(const skv_sparse_shape *s, const skv_coded *coded, skv_isa isa);

/* ---- the choice ---- */

typedef struct skv_sparse_dense {
    double macs_per_cycle; /* of the kernel that would run instead */
    double extra_cycles;   /* what the sparse kernel costs besides: reordering */
} skv_sparse_dense;
/* Cycles of a run for so many nonzeros (CSR) or occupied columns of blocks; of coded units all columns are. */
double skv_sparse_cycles(const skv_sparse_shape *s, const skv_sparse_plan *p, int64_t entries);
/* The layout that is faster for this pattern. */
skv_sparse_layout skv_sparse_faster(const skv_sparse_shape *s, const skv_sparse_count *count, skv_isa isa);
/* Is it faster than the dense kernel? Says why not. */
bool skv_sparse_wins(const skv_sparse_shape *s, const skv_sparse_matrix *w, const skv_sparse_dense *dense, skv_isa isa,
                     skv_why *why);

/* The same of a coded weight; it may be a little slower, since it takes less memory. */
bool skv_sparse_coded_serves(const skv_sparse_shape *s, const skv_sparse_matrix *w, const skv_sparse_dense *dense,
                             skv_isa isa, skv_why *why);

/* ---- a prepared product ---- */

/* What follows the sums, and which inputs it reads (0: none). */
typedef struct skv_sparse_tail {
    size_t bias, residual;
    skv_activation act;
} skv_sparse_tail;

/* Sets n->state; x_input is the activations' index. The other fields of n (layouts, packs_input) are the caller's. */
skive_status skv_sparse_prepare(skv_kernel_node *n, const skv_sparse_shape *s, const skv_nonzeros *nz,
                                skv_sparse_layout layout, size_t x_input, const skv_sparse_tail *tail);
/* The same from a coded weight. */
skive_status skv_sparse_prepare_coded(skv_kernel_node *n, const skv_sparse_shape *s, const skv_sparse_matrix *m,
                                      float factor, size_t x_input, const skv_sparse_tail *tail);
skive_status skv_sparse_run(const skv_kernel_call *c);
void skv_sparse_destroy(skive_context *ctx, void *state);

#endif
