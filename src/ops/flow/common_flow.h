/* Shared by If, Loop and Scan. */
#ifndef SKV_COMMON_FLOW_H
#define SKV_COMMON_FLOW_H

#include "graph/op.h"

/* The type of the subgraph's output `index` as far as it is known before a run: symbolic dimensions stay open. `added`
 * unknown dimensions are put in front. */
skive_type skv_flow_output_type(const skive_graph *body, size_t index, int added);
const skive_graph *skv_flow_graph(const skive_node *n, const char *attribute); /* NULL when absent */
/* A one-element tensor over `data`, of rank 1 if the body's input has rank 1, else of rank 0. */
skive_tensor skv_flow_scalar(const skv_body *body, size_t input, skive_dtype dtype, void *data);
/* The truth of a one-element tensor. */
skive_status skv_flow_condition(skive_context *ctx, const skive_tensor *t, bool *out);

/* Copies between `part` and entry `index` of `whole` along `axis`; part has whole's shape without that axis. */
void skv_flow_copy_entry(const skive_tensor *whole, int axis, int64_t index, const skive_tensor *part, bool into_whole);

/* A sequence of tensors of one shape. */
typedef struct skv_flow_stack {
    skive_tensor entry; /* type and shape of an element; data unused */
    char *data;
    size_t entry_bytes, count, capacity;
    skv_arena *text; /* of strings, whose entries are freed */
} skv_flow_stack;
/* The strings of an entry that will be freed get text in the room; nothing happens to other types. */
skive_status skv_flow_keep_text(skive_context *ctx, skv_arena **room, const skive_tensor *entry);
skive_status skv_flow_push(skive_context *ctx, skv_flow_stack *s, const skive_tensor *entry);
/* All of them as one tensor with a new first axis; `type` is the type if there are none. The stack is empty
 * afterwards. */
skive_status skv_flow_stacked(skive_context *ctx, skv_flow_stack *s, const skive_type *type, skive_tensor *out);
void skv_flow_stack_free(skive_context *ctx, skv_flow_stack *s);

#endif
