/* Inputs, outputs, types and attributes of each version of each operator of the standard domain: the table used by
 * writer and reader. */
#ifndef SKV_ONNX_SCHEMA_H
#define SKV_ONNX_SCHEMA_H

#include "graph/graph.h"

enum {
    SKV_SCHEMA_OTHER = 100,
    SKV_SCHEMA_NEWEST = 28
}; /* kind of an attribute that a graph does not support; newest opset in the table */

typedef struct skv_schema_attr {
    const char *name;
    int kind;            /* skv_attr_type */
    const char *initial; /* the default as text; "*1", "*0": a list of ones, of zeros; "!": required;
                          * NULL: none */
} skv_schema_attr;

typedef struct skv_schema {
    const char *op;
    int since;
    bool deprecated;
    int min_in, max_in, min_out, max_out; /* max -1: any number */
    const uint32_t *in, *out; /* element types, one bit for each ONNX number; the last applies to all that follow */
    size_t n_in, n_out;
    const skv_schema_attr *attrs;
    size_t n_attrs;
} skv_schema;

/* The version of `op` in force in `opset`; NULL if there is none yet, or it was withdrawn. The table begins at opset
 * 13. */
const skv_schema *skv_schema_find(const char *op, int opset);
const skv_schema_attr *skv_schema_attr_find(const skv_schema *s, const char *name);
/* Does `a` have the default value of the newest version of `op` that has the attribute? */
bool skv_schema_is_default(const char *op, const skv_attr *a);
/* Can `n` be written in `opset`, if attributes with their default value are omitted? `why` gets the reason if not. */
bool skv_schema_allows(const skive_node *n, int opset, char *why, size_t size);

#endif
