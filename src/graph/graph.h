/* The graph's inside: what methods, passes and the planner work on. See include/skive/graph.h for the outside. */
#ifndef SKV_GRAPH_H
#define SKV_GRAPH_H

#include <skive/graph.h>

#include "base/base.h"
#include "tensor/storage.h"

struct skv_op;

/* The ops that skive knows, by number. A node of another op, or of another domain, has SKV_OP_NONE. */
typedef enum skv_op_kind {
    SKV_OP_NONE,
#define X(id, ID) SKV_OP_##ID,
#include "graph/ops.inc"
#undef X
    SKV_OP_KINDS,
} skv_op_kind;

typedef enum skv_attr_type {
    SKV_ATTR_INT = 1,
    SKV_ATTR_FLOAT,
    SKV_ATTR_STRING,
    SKV_ATTR_TENSOR,
    SKV_ATTR_GRAPH,
    SKV_ATTR_INTS,
    SKV_ATTR_FLOATS,
    SKV_ATTR_STRINGS,
} skv_attr_type;

typedef struct skv_attr {
    const char *name;
    skv_attr_type type;
    int64_t i;
    double f;
    const char *s; /* a string may hold NULs: its length is `n` */
    size_t n;      /* length of s, ints, floats, strings */
    const int64_t *ints;
    const double *floats;
    const char *const *strings;
    skv_storage *tensor; /* counted */
    skive_graph *graph;  /* owned */
} skv_attr;

typedef struct skv_use {
    skive_node *node;
    int index; /* which input of the node */
} skv_use;

struct skive_value {
    skive_graph *graph;
    uint32_t id; /* index in graph->values */
    const char *name;
    skive_type type;
    skive_node *producer;
    int producer_index;
    skv_storage *storage; /* parameter's data, counted; NULL otherwise */
    skive_value *outer;   /* in a subgraph: the value of an enclosing graph that this one stands for */
    bool is_input;
    bool trainable;   /* training may change it */
    bool keeps_zeros; /* pruned: training leaves its zeros alone */
    bool state;       /* outputs of a run replace it after the run: running statistics, memories of terms */
    bool removed;     /* see skv_graph_hold */
    skv_use *uses;    /* in no particular order */
    uint32_t n_uses, uses_capacity;
    int output_uses; /* how often it is listed as a graph output */
};

struct skive_node {
    skive_graph *graph;
    uint32_t id; /* index in graph->nodes */
    skv_op_kind kind;
    const char *name, *op_type, *domain;
    const struct skv_op *op; /* NULL: unknown to skive, or with an attribute that is */
    skive_value **inputs;
    uint32_t *uses_at; /* inputs[i]->uses[uses_at[i]] is the use by input i */
    uint32_t n_inputs;
    skive_value **outputs; /* an absent optional output is NULL */
    uint32_t n_outputs;
    skv_attr *attrs;
    uint32_t n_attrs;
    bool removed; /* see skv_graph_hold; an operator without a name that skive does not know */
};

typedef struct skv_meta {
    const char *key, *value;
} skv_meta;

enum { SKV_SAID_BY_FILE, SKV_SAID_BY_CALLER, SKV_SAID_BY_DATA /* measured */ };

struct skive_graph {
    skive_context *ctx;
    skv_arena *arena;
    const char *name;
    skive_graph *parent; /* of a subgraph */
    int opset;           /* of the file it came from; 21 when built here */
    skive_node **nodes;
    uint32_t n_nodes, nodes_capacity;
    skive_value **values;
    uint32_t n_values, values_capacity;
    skive_value **inputs;
    uint32_t n_inputs, inputs_capacity;
    skive_value **outputs;
    uint32_t n_outputs, outputs_capacity;
    skv_meta *meta;
    uint32_t n_meta, meta_capacity;
    uint32_t next_name; /* for made-up names */
    bool nests;         /* a node has, or had, a subgraph */
    /* Who says the normalisation and the scale of the input: SKV_SAID_BY_FILE and so on. */
    uint8_t mean_from, scale_from;
    uint64_t external_bytes; /* of the other files that it was read from */
    void *name_index;        /* hash from name to value */
    void *node_index;        /* hash from name to node */
    uint32_t holds;          /* see skv_graph_hold */
};

#define SKV_DOMAIN "ai.skive" /* of ops that exist only inside: gradients, fused and integer forms */

/* ---- building ---- */

typedef struct skv_attr_init {
    const char *name;
    skv_attr_type type;
    int64_t i;
    double f;
    const char *s; /* of n bytes; n 0: up to its NUL */
    const int64_t *ints;
    size_t n;
    const double *floats; /* of a tensor, which gets the element type `i` and rank 1, too */
    const char *const *strings;
} skv_attr_init;
#define SKV_INT(name_, v)         ((skv_attr_init){.name = (name_), .type = SKV_ATTR_INT, .i = (v)})
#define SKV_FLT(name_, v)         ((skv_attr_init){.name = (name_), .type = SKV_ATTR_FLOAT, .f = (v)})
#define SKV_STR(name_, v)         ((skv_attr_init){.name = (name_), .type = SKV_ATTR_STRING, .s = (v)})
#define SKV_INTS(name_, p, count) ((skv_attr_init){.name = (name_), .type = SKV_ATTR_INTS, .ints = (p), .n = (count)})
#define SKV_FLTS(name_, p, count) \
    ((skv_attr_init){.name = (name_), .type = SKV_ATTR_FLOATS, .floats = (p), .n = (count)})

#define SKV_STRS(name_, p, count) \
    ((skv_attr_init){.name = (name_), .type = SKV_ATTR_STRINGS, .strings = (p), .n = (count)})

/* A value of unknown type, not yet produced by anything. `name` NULL makes one up. */
skive_status skv_graph_new_value(skive_graph *g, const char *name, skive_value **out);
/* A parameter that takes over one count of `storage` (on success only). */
skive_status skv_graph_new_param(skive_graph *g, const char *name, skv_storage *storage, skive_value **out);
/* A node whose outputs are given values without a producer (or NULL for absent). domain NULL: looked up in the op list,
 * standard domain first. The op need not be known. */
skive_status skv_graph_new_node(skive_graph *g, const char *op, const char *domain, const char *name,
                                skive_value *const *inputs, size_t n_inputs, skive_value *const *outputs,
                                size_t n_outputs, skive_node **out);
/* The node gets a name that no other has, and that lives as long as the graph; names made up later differ from it. */
void skv_node_take_name(skive_node *n, const char *name);
/* A name not yet taken, made from `base`. Arena-owned. */
skive_status skv_graph_unique_name(skive_graph *g, const char *base, const char **out);

skive_status skv_node_set_attr(skive_node *n, const skv_attr_init *init); /* adds or replaces, copying */
skive_status skv_node_set_tensor_attr(skive_node *n, const char *name, skv_storage *storage); /* retains */
skive_status skv_node_set_graph_attr(skive_node *n, const char *name, skive_graph *sub);      /* takes over */
void skv_node_remove_attr(skive_node *n, const char *name);
const skv_attr *skv_node_attr(const skive_node *n, const char *name); /* NULL when absent */
int64_t skv_attr_int(const skive_node *n, const char *name, int64_t fallback);
double skv_attr_float(const skive_node *n, const char *name, double fallback);
const char *skv_attr_string(const skive_node *n, const char *name, const char *fallback);
const int64_t *skv_attr_ints(const skive_node *n, const char *name, size_t *count); /* NULL and 0 when absent */

/* The builder: one call an expression, the first failure sticks and later calls do nothing and give NULL. */
typedef struct skv_builder {
    skive_graph *graph;
    skive_status status;
    const char *prefix; /* put before made-up names; NULL: none */
} skv_builder;
static inline skv_builder skv_build(skive_graph *g) {
    return (skv_builder){.graph = g, .status = SKIVE_OK, .prefix = NULL};
}

/* Adds a node with one output (types inferred at once), e.g.
 *     y = skv_emit(&b, "Conv", SKV_IN(x, w), SKV_ATTRS(SKV_INT("group", 2)));
 *     z = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE); */
typedef struct skv_in_list {
    skive_value *const *values;
    size_t n;
} skv_in_list;
typedef struct skv_attr_list {
    const skv_attr_init *attrs;
    size_t n;
} skv_attr_list;
#define SKV_IN(...)                                     \
    ((skv_in_list){(skive_value *const[]){__VA_ARGS__}, \
                   sizeof((skive_value *const[]){__VA_ARGS__}) / sizeof(skive_value *)})
#define SKV_ATTRS(...)                                     \
    ((skv_attr_list){(const skv_attr_init[]){__VA_ARGS__}, \
                     sizeof((const skv_attr_init[]){__VA_ARGS__}) / sizeof(skv_attr_init)})
#define SKV_NONE ((skv_attr_list){NULL, 0})
skive_value *skv_emit(skv_builder *b, const char *op, skv_in_list in, skv_attr_list attrs);
/* The same with several outputs; out[i] is filled. Returns the node or NULL. */
skive_node *skv_emit_n(skv_builder *b, const char *op, skv_in_list in, skv_attr_list attrs, skive_value **out,
                       size_t n_out);
skive_value *skv_emit_param(skv_builder *b, const char *name, skv_storage *take); /* takes over, freed on failure */
skive_value *skv_emit_scalar(skv_builder *b, skive_dtype dtype, double value);    /* rank-0 constant */
skive_value *skv_emit_ints(skv_builder *b, const int64_t *values, size_t n);      /* rank-1 int64 constant */

/* ---- editing: each is atomic ---- */

skive_status skv_node_set_input(skive_node *n, size_t index, skive_value *value); /* value may be NULL; grows inputs */
skive_status skv_node_drop_input(skive_node *n);                                  /* the last one */
/* Every use of `from` (graph outputs too, if `outputs_too`) becomes a use of `to`. */
skive_status skv_value_replace_uses(skive_value *from, skive_value *to, bool outputs_too);
/* The first n uses by nodes only: those from before what computes `to` from `from` was added. */
skive_status skv_value_replace_first_uses(skive_value *from, uint32_t n, skive_value *to);
skive_status skv_graph_remove_node(skive_node *n);   /* nothing may read its outputs; they go too */
skive_status skv_graph_remove_value(skive_value *v); /* read by nothing, without producer */
skive_status skv_value_rename(skive_value *v, const char *name);
/* `to` gets the name of `from`, which gets another: outputs and what users ask for are known by their names. */
skive_status skv_value_take_name(skive_value *to, skive_value *from);
skive_status skv_value_set_storage(skive_value *v, skv_storage *take); /* takes over on success; sets the type */
skive_status skv_graph_remove_output(skive_graph *g, size_t index);
/* Between hold and settle (they nest) nodes and values that are removed keep their places in the graph's arrays,
 * without an operator, a source or a reader; settling closes the gaps once. Without it each removal closes its own,
 * which is quadratic where many go. Numbers (id) stay as they are in between. */
void skv_graph_hold(skive_graph *g);
void skv_graph_settle(skive_graph *g);
/* Removes nodes whose outputs nobody uses, parameters without uses, and what a body no longer reads of the graph around it.
 * Returns the number removed. */
size_t skv_graph_sweep(skive_graph *g);
/* Copies all of `from` into `g`, names prefixed; map[i] is the copy of from->values[i] (array of from->n_values, from
 * skv_alloc). Inputs of `from` named in `bind` become the bound values instead. Outputs are not added. */
skive_status skv_graph_merge(skive_graph *g, const skive_graph *from, const char *prefix,
                             skive_value *const *bind_inputs, skive_value ***map);

/* Nodes that compute in float16 or bfloat16 compute in float32. Casts are put where such numbers come in or are asked for
 * under their name; `changed` counts the nodes. On failure the graph is neither. */
typedef struct skv_float32_options {
    bool doubles; /* float64 too */
    bool store;   /* for good: parameters, inputs and outputs get the type, and casts round no more */
    bool (*keep)(const void *user, const skive_value *v); /* nodes with these results stay; NULL: none */
    const void *user;
} skv_float32_options;
skive_status skv_graph_float32(skive_graph *g, const skv_float32_options *o, size_t *changed);
/* What methods work on: skive_graph_to_float32 and skive_graph_to_inference. */
skive_status skv_graph_for_methods(skive_graph *g);

/* The form of the multipliers of integer nodes (SKV_META_MULTIPLIERS) that the whole graph's metadata name, or NULL. */
const char *skv_graph_multipliers(const skive_graph *g);

/* ---- parts of a graph ---- they multiply as the whole does (skv_graph_multipliers) ---- */

/* A graph of the nodes for which keep[id] is true. What they use and do not compute is an input of it (parameters stay
 * parameters); what they compute and the rest uses, or the graph gives out, is an output. Names and types stay. */
skive_status skv_graph_extract(skive_context *ctx, const skive_graph *g, const bool *keep, skive_graph **out);
/* A subgraph by itself: parameters it captures become its own, other captured values inputs after its own inputs.
 * captured[i] is the enclosing graph's value for input n_inputs + i of `sub`; *captured is freed by skv_free. */
skive_status skv_graph_detach(skive_context *ctx, const skive_graph *sub, skive_graph **out, skive_value ***captured);
/* Calls `see` for every value of the node's graph that it or its subgraphs read. */
void skv_node_reads(const skive_node *n, void (*see)(void *user, skive_value *v), void *user);
bool skv_node_has_subgraph(const skive_node *n);
bool skv_value_is_captured(const skive_value *v); /* by a subgraph of its graph */
bool skv_value_is_read(const skive_value *v);     /* by a node, as an output of the graph, or captured */

/* Captured values get the types of what they stand for. */
void skv_graph_take_outer_types(skive_graph *sub);
/* The same in all subgraphs of g, and theirs. */
void skv_graph_spread_types(skive_graph *g);
/* Inference that also goes into the subgraphs: each right before its node, which then knows what they give. When it
 * fails, subgraphs before the place of the failure have their new types. */
skive_status skv_graph_infer_nested(skive_graph *g);

/* ---- walking ---- */

/* Nodes in an order where producers come first; stable in insertion order. *out freed by skv_free. ERR_GRAPH names a
 * node on a cycle. */
skive_status skv_graph_topo(const skive_graph *g, skive_node ***out);

/* A parameter whose data can be looked at; one left coded is not: to whoever rewrites graphs it is a value like
 * others. */
static inline const skive_tensor *skv_value_tensor(const skive_value *v) {
    return v && v->storage && !v->storage->coded ? &v->storage->tensor : NULL;
}
/* Has a parameter other numbers in the next run of a training form? */
static inline bool skv_value_changes(const skive_value *v) { return v->trainable || v->state; }
static inline bool skv_value_is_param(const skive_value *v) { return skv_value_tensor(v) != NULL; }
static inline const skv_coded *skv_value_coded(const skive_value *v) {
    return v && v->storage ? v->storage->coded : NULL;
}
static inline skive_value *skv_node_in(const skive_node *n, size_t i) { return i < n->n_inputs ? n->inputs[i] : NULL; }
static inline bool skv_node_is(const skive_node *n, skv_op_kind op) { return n && n->kind == op; }
static inline bool skv_node_is_any(const skive_node *n, const skv_op_kind *ops, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (skv_node_is(n, ops[i])) return true;
    return false;
}
#define SKV_NODE_IS_ANY(n, ...)                            \
    skv_node_is_any(n, (const skv_op_kind[]){__VA_ARGS__}, \
                    sizeof((const skv_op_kind[]){__VA_ARGS__}) / sizeof(skv_op_kind))

/* How many values of a parameter are NaN, or infinite where it is multiplied with. */
int64_t skv_value_damage(const skive_value *v);
/* ERR_NUMERIC naming the first parameter with such values. */
skive_status skv_graph_check_finite(skive_context *ctx, const skive_graph *g);

/* All dimensions known? Number of elements (unknown dimensions as 1). */
bool skv_type_is_static(const skive_type *t);
int64_t skv_type_count(const skive_type *t);
void skv_type_fill(skive_type *t, const skive_type *declared);        /* what t leaves open is as declared */
bool skv_type_same_static(const skive_type *a, const skive_type *b);  /* equal, all dimensions known */
size_t skv_type_text(const skive_type *t, char *buffer, size_t size); /* "float32[N,3,32,32]" */

#endif
