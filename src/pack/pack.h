/* Internals of packed files: records of parameters and of graphs. docs/skv-format.md describes the format. */
#ifndef SKV_PACK_H
#define SKV_PACK_H

#include <skive/pack.h>

#include "base/option.h"
#include "graph/graph.h"
#include "pack/coder.h"

/* ---- numbers of sections, which must never change; from SKIPPABLE on, a reader skips unknown ones ---- */
enum {
    SKV_SECTION_GRAPH = 1,
    SKV_SECTION_PARAMS = 2,
    SKV_SECTION_META = 3,
    SKV_SECTION_NAMES = 129,
    SKV_SKIPPABLE = 128
};

extern const skv_table skv_pack_table;

/* ---- one parameter ---- */

/* Flags of a record about its parameter. */
enum { SKV_RECORD_TRAINABLE = 1, SKV_RECORD_KEEPS_ZEROS = 2 };

/* The bytes of a record by purpose; they add up to the record's size, heads included. */
typedef struct skv_record_sizes {
    size_t values, positions, together, table;
    size_t largest; /* stream, coded by: */
    const skv_coder *coder;
} skv_record_sizes;

/* Appends the record of `t` in the smallest form among those that represent it exactly; `only` NULL: any coder. *form
 * and *sizes are filled. */
skive_status skv_record_write(skive_context *ctx, const skive_tensor *t, unsigned marks, const skv_coder *only,
                              skv_bytes *out, const skv_form **form, skv_record_sizes *sizes);
void skv_record_write_alias(skv_bytes *out, uint64_t of, unsigned marks);

/* What a record says. */
typedef struct skv_record {
    skv_coded coded; /* freed by the reader */
    unsigned marks;  /* SKV_RECORD_... */
    bool is_alias;
    uint64_t alias_of;
    skv_record_sizes sizes;
} skv_record;
/* `max_bytes`: of the dense tensor. ERR_FORMAT, ERR_LIMIT, ERR_MEMORY without naming the parameter. */
skive_status skv_record_read(skive_context *ctx, skv_reader *in, uint64_t max_bytes, skv_record *out);
/* The storage of a record that was read: coded, if wanted and useful, or dense. Empties *record. */
skive_status skv_record_to_storage(skive_context *ctx, skv_record *record, bool keep_coded, skv_storage **out);

/* Bytes of `t` in the format of Deep Compression, at fixed width and under Huffman codes; dense if it has no codebook
 * with a zero. */
skive_status skv_han_bytes(skive_context *ctx, const skive_tensor *t, double *fixed, double *huffman);
int64_t skv_count_nonzeros(const skive_tensor *t);
/* Of rank 2 and more, or the values of a hashed layer: rounded and counted as weights. */
bool skv_pack_is_weight(const skive_value *v);
/* Adds a row to the sums of a report. */
void skv_report_add(skive_pack_report *report, const skive_pack_row *row);

/* ---- the graph ---- */

typedef struct skv_param_list { /* values that are parameters, in the order of their records */
    skive_context *ctx;
    const skive_value **values;
    uint32_t n, capacity;
} skv_param_list;
skive_status skv_graph_write(skive_context *ctx, const skive_graph *g, skv_bytes *graph, skv_bytes *names,
                             skv_param_list *params);

/* Provides parameters to a graph that is read, in the order of their use. */
typedef struct skv_param_source {
    skive_status (*next)(void *user, skive_graph *g, const char *name, skive_value **out);
    void *user;
} skv_param_source;
/* `names` NULL: generated. */
skive_status skv_graph_read(skive_context *ctx, skv_reader *graph, skv_reader *names,
                            const skive_pack_load_options *limits, const skv_param_source *params, skive_graph **out);

/* Numbers of operators and attributes in files; 0 and NULL: none. */
unsigned skv_op_code(const char *op, const char *domain);
const char *skv_op_of_code(unsigned code);
unsigned skv_attr_code(const char *name);
const char *skv_attr_of_code(unsigned code);

#endif
