/* Packed models: the `.skv` file, small and executable. Its format is docs/skv-format.md.
 *
 * A file contains the graph in a compact encoding and each parameter in the storage form and with the entropy coder
 * that make it smallest, without loss. Lossy forms (int8, ternary ...) are used only on request. Everything is covered
 * by checksums: a changed bit is detected before anything is used. */
#ifndef SKIVE_PACK_H
#define SKIVE_PACK_H

#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The number grid of one parameter (docs/tables.md): "f16", "bf16", "int8", "int4:32" (groups of 32), "int2:tensor",
 * "ternary", "binary", "nf4", "codebook:16", "int4:fit=least" ... */
typedef struct skive_pack_choice {
    const char *parameter;
    const char *form;
} skive_pack_choice;

typedef struct skive_pack_options {
    size_t size; /* sizeof(skive_pack_options) */
    /* Form of float32 weights and tables, by the role that the operators give them; NULL: lossless. Constants such as
     * masks and bounds are stored exactly unless they are among the choices; a note counts them. */
    const char *weights;
    const char *biases;               /* of biases, scales, shifts and statistics; NULL: lossless */
    const skive_pack_choice *choices; /* of single parameters; takes precedence over the two above */
    size_t n_choices;
    const char
        *coder;       /* a name in coders.inc: use it wherever it applies; NULL: the smallest result. For comparisons */
    bool strip_names; /* leave out all names: inputs become "input", outputs "output", numbered if there are several */
} skive_pack_options;
SKIVE_API skive_pack_options skive_pack_options_default(void);

/* One parameter in the file. Bytes of a stream that codes both the
 * positions and the values of weights are counted in `together`. */
typedef struct skive_pack_row {
    char *parameter; /* "" in a file without names */
    int rank;
    int64_t dims[SKIVE_MAX_RANK];
    skive_dtype dtype;
    int64_t count, nonzeros;
    const char *form, *coder; /* static; coder of its largest stream */
    size_t bytes;             /* all of it */
    size_t values, positions, together, table;
    double error; /* rms of the error of the form relative to the rms of the parameter; 0: lossless */
    bool weights; /* of rank 2 and more, or the values of a hashed layer */
} skive_pack_row;
typedef struct skive_pack_report {
    skive_pack_row *rows;
    size_t n_rows;
    size_t file_bytes;
    size_t values, positions, together, tables, heads; /* of weights; heads: types, shapes and forms of their records */
    size_t biases;                                     /* all of the other parameters, of rank 0 and 1 */
    size_t graph, names, meta, frame;                  /* frame: header, section table, checksums */
    int64_t parameters, nonzeros;                      /* elements */
    /* Size of the parameters in the format of Deep Compression (Han et al. 2016), for comparison: for each nonzero
     * weight an index and a distance of fixed width, or both with Huffman codes; the rest in float32. Only when
     * writing; 0 when reading. */
    double han_fixed, han_huffman;
} skive_pack_report;
SKIVE_API void skive_pack_report_free(skive_context *ctx, skive_pack_report *report);

/* Writes a packed model, replacing an existing file atomically. `options` and `report` may be NULL. The graph is
 * unchanged: rounding affects the file only. Errors: ARGUMENT (unknown form or coder, a form for a parameter that does
 * not exist), NUMERIC (a parameter to be rounded contains NaN or infinity, or does not fit the form), GRAPH, IO,
 * MEMORY. */
SKIVE_API skive_status skive_pack_save(skive_context *ctx, const skive_graph *graph, const char *path,
                                       const skive_pack_options *options, skive_pack_report *report);
/* The same to memory; free *out with skive_pack_free_bytes. */
SKIVE_API skive_status skive_pack_serialize(skive_context *ctx, const skive_graph *graph,
                                            const skive_pack_options *options, void **out, size_t *out_size,
                                            skive_pack_report *report);
SKIVE_API void skive_pack_free_bytes(skive_context *ctx, void *bytes);

/* The forms of weights that fit a budget. */
typedef struct skive_pack_fit {
    skive_pack_choice *choices; /* for skive_pack_options; the names are the graph's */
    size_t n_choices;
    int64_t budget, file_bytes; /* file_bytes: of the file with these choices, with its names */
    int64_t least;              /* the smallest file that forms of the weights can give */
    double harm;                /* sum over the weights of the squared error relative to their power */
} skive_pack_fit;
SKIVE_API void skive_pack_fit_free(skive_context *ctx, skive_pack_fit *fit);
/* Chooses the form of each weight so that the file takes at most `bytes` and the sum of the weights' relative squared
 * errors is the least possible (exact: skive_allocate). `bytes` is a fraction of the parameters' bytes in the graph
 * ("0.25") or a size with a unit ("60k", "64KiB"). Bytes and errors of each form are measured by packing, entropy
 * coding included. Choices in `options` stay as they are; `weights` must be NULL. Free *fit with skive_pack_fit_free.
 * Errors: ARGUMENT, GOAL (the budget is below the least possible, which the message names), as skive_pack_serialize. */
SKIVE_API skive_status skive_pack_choose(skive_context *ctx, const skive_graph *graph, const char *bytes,
                                         const skive_pack_options *options, skive_pack_fit *fit);

/* Limits against hostile files; a file that exceeds one is refused with SKIVE_ERR_LIMIT before memory is allocated for
 * it. */
typedef struct skive_pack_load_options {
    size_t size;               /* sizeof(skive_pack_load_options) */
    int max_depth;             /* nesting depth of graphs. Default 32 */
    size_t max_nodes;          /* subgraphs included. Default 1,000,000 */
    uint64_t max_tensor_bytes; /* of one parameter, dense. Default 8 GiB */
    size_t max_memory;         /* of the graph without its parameters. Default 1 GiB */
    /* Leave parameters as symbols and tables, not dense: for callers that only run the model. Default false */
    bool keep_coded;
} skive_pack_load_options;
SKIVE_API skive_pack_load_options skive_pack_load_options_default(void);

/* Loads a packed model. `options` and `report` may be NULL. The caller frees *out with skive_graph_free. Errors: IO;
 * FORMAT (not a packed model, damaged, inconsistent), UNSUPPORTED (written by a newer version), LIMIT, GRAPH, SHAPE,
 * MEMORY; each names the file and the place. */
SKIVE_API skive_status skive_pack_load(skive_context *ctx, const char *path, const skive_pack_load_options *options,
                                       skive_graph **out, skive_pack_report *report);
SKIVE_API skive_status skive_pack_parse(skive_context *ctx, const void *bytes, size_t n,
                                        const skive_pack_load_options *options, skive_graph **out,
                                        skive_pack_report *report);

/* Loads any model file: as a packed model if it begins like one, as ONNX otherwise. Errors as of these functions. */
SKIVE_API skive_status skive_model_load(skive_context *ctx, const char *path, skive_graph **out);
/* Saves as a packed model, lossless, if the name ends in ".skv"; as ONNX otherwise. */
SKIVE_API skive_status skive_model_save(skive_context *ctx, const skive_graph *graph, const char *path);
SKIVE_API bool skive_pack_is_packed(const char *path); /* true if the file can be read and begins like a packed model */

#ifdef __cplusplus
}
#endif
#endif
