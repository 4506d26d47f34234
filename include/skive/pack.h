/* Packed models: the `.skv` file, small and executable. Its format is docs/skv-format.md.
 *
 * A file holds the graph in a compact encoding and each parameter in the storage form and under the entropy coder that
 * make it smallest, to the bit what it was. Forms that lose something (int8, ternary ...) are taken only where they
 * are asked for. Everything is under checksums: a changed bit is found before anything is used. */
#ifndef SKIVE_PACK_H
#define SKIVE_PACK_H

#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The form of one parameter: "f16", "bf16", "int8", "int4:32" (groups of 32), "int2:tensor", "ternary", "binary". */
typedef struct skive_pack_choice {
    const char *parameter;
    const char *form;
} skive_pack_choice;

typedef struct skive_pack_options {
    size_t size; /* sizeof(skive_pack_options) */
    /* Form of the float32 parameters of rank 2 and more, and of the values of hashed layers; NULL: as they are,
     * exactly. */
    const char *weights;
    const char *biases;               /* of the others: biases, scales, shifts; NULL: as they are */
    const skive_pack_choice *choices; /* of single parameters, before the two above */
    size_t n_choices;
    const char *coder; /* coders.inc: this one wherever it serves; NULL: the smallest result. For comparing */
    bool
        strip_names; /* leave out all names: inputs become "input", outputs "output", with a number where there are several */
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
    double error; /* rms of what the form lost over the rms of the parameter; 0: nothing */
    bool weights; /* of rank 2 and more, or the values of a hashed layer */
} skive_pack_row;
typedef struct skive_pack_report {
    skive_pack_row *rows;
    size_t n_rows;
    size_t file_bytes;
    size_t values, positions, together, tables, heads; /* of weights; heads: their records' types, shapes and forms */
    size_t biases;                                     /* all of the other parameters, of rank 0 and 1 */
    size_t graph, names, meta, frame;                  /* frame: header, section table, checksums */
    int64_t parameters, nonzeros;                      /* elements */
    /* What the parameters would take in the format of Deep Compression (Han et al. 2016), for comparing: of each
     * weight that is not zero an index and a distance of fixed width, or both under Huffman codes; the rest in
     * float32. Only of what is written; 0 of what is read. */
    double han_fixed, han_huffman;
} skive_pack_report;
SKIVE_API void skive_pack_report_free(skive_context *ctx, skive_pack_report *report);

/* Writes a packed model, whole or not at all. `options` and `report` may be NULL. The graph stays as it is: what a
 * form loses is lost in the file only. Errors: ARGUMENT (unknown form or coder, a choice for no parameter), NUMERIC (a
 * parameter that is to be rounded holds NaN or infinity, or does not fit the form), GRAPH, IO, MEMORY. */
SKIVE_API skive_status skive_pack_save(skive_context *ctx, const skive_graph *graph, const char *path,
                                       const skive_pack_options *options, skive_pack_report *report);
/* The same to memory; free *out with skive_pack_free_bytes. */
SKIVE_API skive_status skive_pack_serialize(skive_context *ctx, const skive_graph *graph,
                                            const skive_pack_options *options, void **out, size_t *out_size,
                                            skive_pack_report *report);
SKIVE_API void skive_pack_free_bytes(skive_context *ctx, void *bytes);

/* Limits against hostile files; beyond one, a file is refused with SKIVE_ERR_LIMIT before memory is taken for it. */
typedef struct skive_pack_load_options {
    size_t size;               /* sizeof(skive_pack_load_options) */
    int max_depth;             /* of graphs inside graphs. Default 32 */
    size_t max_nodes;          /* subgraphs included. Default 1,000,000 */
    uint64_t max_tensor_bytes; /* of one parameter, dense. Default 8 GiB */
    size_t max_memory;         /* of the graph without its parameters. Default 1 GiB */
    bool
        keep_coded; /* leave parameters as symbols and tables, not dense: for those who only run the model. Default false */
} skive_pack_load_options;
SKIVE_API skive_pack_load_options skive_pack_load_options_default(void);

/* Loads a packed model through a memory map. `options` and `report` may be NULL. The caller frees *out with
 * skive_graph_free. Errors: IO; FORMAT (not a packed model, damaged, inconsistent), UNSUPPORTED (written by a newer
 * version), LIMIT, GRAPH, SHAPE, MEMORY; each names the file and the place. */
SKIVE_API skive_status skive_pack_load(skive_context *ctx, const char *path, const skive_pack_load_options *options,
                                       skive_graph **out, skive_pack_report *report);
SKIVE_API skive_status skive_pack_parse(skive_context *ctx, const void *bytes, size_t n,
                                        const skive_pack_load_options *options, skive_graph **out,
                                        skive_pack_report *report);

/* Any model file: packed when it begins like one, ONNX otherwise. Errors as theirs. */
SKIVE_API skive_status skive_model_load(skive_context *ctx, const char *path, skive_graph **out);
/* Packed, exactly, where the name ends in ".skv"; ONNX otherwise. */
SKIVE_API skive_status skive_model_save(skive_context *ctx, const skive_graph *graph, const char *path);
SKIVE_API bool skive_pack_is_packed(const char *path); /* can be read and begins like a packed model */

#ifdef __cplusplus
}
#endif
#endif
