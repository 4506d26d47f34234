/* The op record: everything skive knows about one operator, in one place.
 *
 * One file per op, ending in one `const skv_op skv_op_<name>`, and one line in ops.inc. From the list come the lookup,
 * the schema checks, the reference kernel, the gradient, coupling, cost, the self tests and the generated table. A NULL
 * member means "not supported" and gives a clear error when used. */
#ifndef SKV_OP_H
#define SKV_OP_H

#include "graph/graph.h"

#define SKV_OP_MAX_IO 16 /* inputs or outputs a callback may address by index; variadic ops allow more */

typedef enum skv_attr_need { SKV_OPTIONAL, SKV_REQUIRED } skv_attr_need;
typedef struct skv_attr_spec {
    const char *name;
    skv_attr_type type;
    skv_attr_need need;
} skv_attr_spec;

/* ---- shape inference ---- dimensions may be unknown; out[i] starts as unknown type and rank ---- */
typedef struct skv_infer {
    skive_context *ctx;
    const skive_node *node;
    size_t n_in, n_out;
    const skive_type *const *in;         /* [n_in] NULL: absent */
    const skive_tensor *const *constant; /* [n_in] NULL: not known */
    skive_type *out;                     /* [n_out] to fill */
} skv_infer;
/* Fails with the node's name as a prefix. */
#define SKV_INFER_FAIL(c, code, ...) skv_fail_at((c)->ctx, (code), (c)->node->name, __VA_ARGS__)

/* ---- reference forward ---- all shapes known; outputs allocated. Floating ops compute in double and round once.
 * ---- */
typedef struct skv_eval {
    skive_context *ctx;
    const skive_node *node;
    size_t n_in, n_out;
    const skive_tensor *const *in; /* [n_in] NULL: absent */
    skive_tensor *const *out;      /* [n_out] NULL: not needed */
    uint64_t step;                 /* run counter: the random stream of Dropout in training */
    skv_arena **strings;           /* the room for text that the op makes (tensor/strings.h); *strings may be NULL */
} skv_eval;

/* ---- control flow ---- for ops with subgraphs: run by a session, which provides the bodies ---- */
typedef struct skv_body skv_body;
struct skv_body {
    const skive_graph *graph; /* its own inputs come first, then the captured values */
    size_t n_in, n_out;       /* inputs of its own, outputs */
    /* in[n_in]; out[n_out] is freed by the caller. */
    skive_status (*run)(skv_body *body, const skive_tensor *in, skive_tensor *out);
};
typedef struct skv_flow {
    skive_context *ctx;
    const skive_node *node;
    size_t n_in, n_out;
    const skive_tensor *const *in; /* [n_in] NULL: absent */
    skive_tensor *out;             /* [n_out] to create; left empty if not needed; freed by the caller on failure too */
    skv_body *const *bodies;       /* by number of the node's attribute; NULL if that is not a graph */
} skv_flow;
skv_body *skv_flow_body(const skv_flow *c, const char *attribute); /* NULL when absent */

/* ---- gradient ---- adds nodes that compute d loss / d input from d loss / d output ---- */
typedef struct skv_grad {
    skv_builder *b;
    skive_node *node;
    skive_value *const *dout; /* [n_out] NULL: no gradient arrives */
    const bool *need;         /* [n_in] is this input's gradient needed? */
    skive_value **din;        /* [n_in] to fill; NULL stays "zero" */
} skv_grad;

/* ---- channel coupling ---- which index of an input axis is coupled to which of an output (or other input) axis
 * ---- */
typedef struct skv_couple skv_couple;
typedef struct skv_slot { /* an axis of an input or output of the node */
    bool is_output;
    int index, axis;
} skv_slot;
#define SKV_CIN(i, a)  ((skv_slot){false, (i), (a)})
#define SKV_COUT(i, a) ((skv_slot){true, (i), (a)})
/* Channels a_first + k of slot a (k = 0..n-1) are coupled to channels b_first + k * b_repeat .. + b_repeat - 1 of b
 * (b_repeat > 1: a channel of a becomes a run of b). */
void skv_couple_range(skv_couple *c, skv_slot a, int64_t a_first, skv_slot b, int64_t b_first, int64_t n,
                      int64_t b_repeat);
void skv_couple_same(skv_couple *c, skv_slot a, skv_slot b); /* whole axes, if of equal length */
/* An axis of no value that the node knows: the gates of a cell, the channels of one group. */
skv_slot skv_couple_factor(skv_couple *c, int64_t length);
/* Channels first .. of `whole` are pairs of an index of `outer` and one of `inner`, the inner ones counted first: such
 * a channel goes when either of the two goes, and only together with all others that have the same one. */
void skv_couple_product(skv_couple *c, skv_slot whole, int64_t first, skv_slot outer, skv_slot inner);
/* Channels of this axis may go one by one: whatever is left, the op does with it what it did. */
void skv_couple_free(skv_couple *c, skv_slot a);
/* The channels of this axis cannot be removed. `why` is static text. An axis of which an op says nothing is fixed. */
void skv_couple_fix(skv_couple *c, skv_slot a, const char *why);
/* What the op gives for one channel depends on the others of this axis, and not in a way in which a channel of zeros
 * does not count (a mean, a largest value). Removing channels is allowed; `what` is static text that says it. */
void skv_couple_mixes(skv_couple *c, skv_slot a, const char *what);
/* Of an op with subgraphs: axis a of output (or input) `index` of one goes with axis a + shift of `whole`, whose axis
 * is not read. Where the lengths differ or are not known, both stay, as does what is not spoken of. */
void skv_couple_body(skv_couple *c, const char *attribute, bool is_output, size_t index, skv_slot whole, int shift);
const skive_node *skv_couple_node(const skv_couple *c);
const skive_type *skv_couple_type(const skv_couple *c, skv_slot a); /* NULL: absent */
int64_t skv_couple_length(const skv_couple *c, skv_slot a);         /* -1: absent, or not known */

/* ---- removing channels ---- the node after some channels of its axes went (graph/shrink.c). Its parameters have lost
 * them already, the declared types of its outputs too; what is left to an op are attributes and constants that name
 * sizes. ---- */
typedef struct skv_shrink skv_shrink;
typedef struct skv_remaining { /* of an axis */
    const bool *keep;          /* [before]; NULL: all are kept */
    int64_t before, after;
} skv_remaining;
skive_node *skv_shrink_node(const skv_shrink *s); /* in the graph that is edited */
/* What is left of an axis; `before` 0: absent, or its length is not known. */
skv_remaining skv_shrink_remaining(const skv_shrink *s, skv_slot a);
const skive_type *skv_shrink_type(const skv_shrink *s, skv_slot a); /* before; NULL: absent */
/* In how many of `outer` equal parts of the axis anything is left. */
int64_t skv_remaining_parts(const skv_remaining *k, int64_t outer);
int64_t skv_remaining_among(const skv_remaining *k, int64_t first,
                            int64_t n); /* how many of first .. first + n - 1 are left */
/* Input i, a constant list of integers, becomes a new constant of the same type with these values. */
skive_status skv_shrink_list(const skv_shrink *s, size_t i, const int64_t *values, size_t n);

/* ---- value range ---- real interval of the output for given intervals of the inputs; infinite if unbounded ---- */
typedef struct skv_range {
    double lo, hi;
} skv_range;

/* ---- intervals by channel ---- for ops whose output channels have intervals of their own, which depend on parameters
 * or on single channels of the inputs (graph/bounds.h) ---- */
typedef struct skv_bounding skv_bounding;
const skive_node *skv_bounding_node(const skv_bounding *b);
/* The interval of input i at `index` of `axis`; axis -1: of the whole input. */
skv_range skv_bound_at(const skv_bounding *b, size_t i, int axis, int64_t index);
/* The axis along which intervals of input i are known; -1: there is one for the whole. */
int skv_bound_axis(const skv_bounding *b, size_t i);
const skive_tensor *skv_bound_constant(const skv_bounding *b, size_t i); /* NULL: absent, or computed from the inputs */
/* Room for the `n` intervals of output 0 along `axis`, to be filled. Without this call there is one for the whole, by
 * `range`. */
skive_status skv_bound_output(skv_bounding *b, int axis, int64_t n, skv_range **r);
/* Output channels depend on the input's channel of the same index alone: `range` of each. */
skive_status skv_bound_channels(skv_bounding *b);
/* The same elements in another shape or order of axes. */
skive_status skv_bound_reshape(skv_bounding *b);
/* A sum of so many products with float32 intermediates: [lo, hi] with room for rounding, where `size` is the sum of the
 * largest magnitudes. */
skv_range skv_range_of_sum(double lo, double hi, double size, double terms);

/* ---- what an input is ---- */

/* In order of precedence: for a parameter with several uses, the last one applies (graph/weights.h). */
typedef enum skv_role {
    SKV_ROLE_DATA,      /* data that flows through; a parameter there is a constant */
    SKV_ROLE_CONSTANT,  /* never trained: bounds, masks, sizes, normalisation of the input */
    SKV_ROLE_STATISTIC, /* state: a run in training form replaces it (running mean and variance) */
    SKV_ROLE_SHIFT,     /* one number per channel, added after a normalisation */
    SKV_ROLE_SCALE,     /* one number per channel, a factor (also the slope of PRelu) */
    SKV_ROLE_BIAS,      /* one number per output channel, added to a product */
    SKV_ROLE_TABLE,     /* rows looked up by index: an embedding */
    SKV_ROLE_WEIGHT,    /* the matrix of a product, a convolution, a recurrent cell */
    SKV_ROLES
} skv_role;

/* Axes count from the end when negative, and where an attribute swaps them (`transpose`) they change places. */
typedef struct skv_input_spec {
    skv_role role;
    bool either;           /* of an op whose inputs may be swapped: has the role only where it is the parameter */
    bool axes;             /* the two axes below are meant */
    int out_axis, in_axis; /* the axis of output channels, and of what is summed over */
    int blocks;            /* along the axis of output channels: the gates of a recurrent cell; 0 counts as 1 */
    const char *transpose; /* name of an integer attribute */
    /* Of a weight, where its channels are in the data: the input that it multiplies (-1: the node's own last result),
     * the axis of that input that is summed over, and the axis of output 0 that has the output channels. */
    int data, data_axis, result_axis;
    const char *data_transpose; /* integer attribute that swaps the axes of that input, which is a matrix */
    /* A row of the product is not a row of the data but what stands in a window of it, [channels of a group][taps],
     * zeros where it leaves the plane (ops/conv/common_conv.h). */
    bool windows;
    const char *channels; /* what the output channels are called */
} skv_input_spec;

/* ---- self-test cases ---- run by tests/test_ops.c over the list: forward against `expect`, gradient by differences
 * ---- */
typedef struct skv_case_in {
    skive_dtype dtype;
    int rank;
    int64_t dims[6];
    const double *values;    /* NULL: random in [lo, hi] (default -1, 1) */
    const char *const *text; /* of strings; NULL: empty ones */
    double lo, hi;
    bool absent;   /* optional input left out */
    bool constant; /* a parameter that is not differentiated (shapes, axes, statistics) */
} skv_case_in;
typedef struct skv_op_case {
    const char *name;
    const skv_attr_init *attrs;
    size_t n_attrs;
    const skv_case_in *in;
    size_t n_in, n_out;
    const double *expect; /* output 0 computed by hand, row-major; NULL: only shape and gradient are tested */
    size_t n_expect;
    const char *const *expect_text; /* the same for strings, n_expect of them */
    const int64_t *expect_dims;     /* NULL: not tested */
    int expect_rank;
    bool no_grad; /* not differentiable here (kinks, integers) */
} skv_op_case;

/* Does output 0 consist of the elements of input 0 and of nothing else? */
typedef enum skv_motion {
    SKV_COMPUTES, /* no */
    SKV_RESHAPES, /* in the same order, in a shape that may be another */
    SKV_REORDERS, /* in another order */
} skv_motion;

typedef struct skv_op {
    const char *name;
    const char *domain; /* "" or SKV_DOMAIN */
    const char *brief;
    int since;                            /* opset from which the canonical form in the graph is valid */
    int min_in, max_in, min_out, max_out; /* max -1: variadic */
    int absent_in;                        /* of a variadic op: number of its first inputs that may be absent */
    const skv_attr_spec *attrs;
    size_t n_attrs;
    const skv_input_spec *inputs; /* roles; inputs beyond the list are data, of a variadic op as the last of the list */
    size_t n_inputs;
    /* Converts a node of opset `from` to the canonical form (attributes to inputs and so on). */
    skive_status (*import)(skive_graph *g, skive_node *n, int from);
    /* Lowest opset that allows exactly this node (bf16 Relu, 4-bit Cast ...); NULL: `since`. */
    int (*needs_opset)(const skive_node *n);
    skive_status (*infer)(skv_infer *c);
    skive_status (*run)(const skv_eval *c);
    /* Ops whose output shapes depend on the inputs' contents: fills types[n_out] where inference left them open. NULL:
     * inference with the inputs as constants determines them. Nodes after such a node are planned when its sizes are
     * known (skive/session.h). */
    skive_status (*size_outputs)(const skv_eval *c, skive_type *types);
    skive_status (*flow)(const skv_flow *c); /* instead of run: ops with subgraphs */
    skive_status (*grad)(skv_grad *c);
    void (*couple)(skv_couple *c);
    /* Called when channels of coupled axes went. NULL: slices of the parameters are all that goes. */
    skive_status (*shrink)(const skv_shrink *s);
    skv_range (*range)(const skive_node *n, const skv_range *in); /* in real numbers; callers use skv_output_range */
    skive_status (*bounds)(skv_bounding *b);             /* NULL: by `range`, element by element where `pointwise` */
    void (*cost)(const skive_node *n, skive_cost *cost); /* adds macs and operations only */
    const skv_op_case *cases;
    size_t n_cases;
    /* The operator that computes it in integers between quantized values (absorb-quantization); NULL: there is none. */
    const char *integer_form;
    skv_motion motion;
    bool pointwise; /* an element of the output depends on the inputs' elements at its position alone, broadcast */
    bool random;    /* output depends on more than the inputs: never folded */
    bool no_fold;   /* never constant-folded (DequantizeLinear of weights is kept) */
    /* Which inputs may be strings: a bit for each of the first 31, the last for all further ones. Without a bit
     * inference refuses the node, as it does if none is set and an output becomes a string. */
    uint32_t strings;
} skv_op;

#define SKV_STRINGS_ALL  UINT32_MAX
#define SKV_STRINGS(i)   (UINT32_C(1) << (i))
#define SKV_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SKV_LIST(array)  .array = array, .n_##array = SKV_COUNT(array) /* .cases = cases, .n_cases = ... */

/* domain NULL: standard first, then SKV_DOMAIN. SKV_OP_NONE if skive does not know it. */
skv_op_kind skv_op_find_kind(const char *name, const char *domain);
const skv_op *skv_op_of(skv_op_kind kind); /* NULL for SKV_OP_NONE */
const skv_op *skv_op_find(const char *name, const char *domain);
/* The first attribute of n that the record does not know, or NULL. */
const char *skv_op_unknown_attr(const skv_op *op, const skive_node *n);
size_t skv_op_count(void);
const skv_op *skv_op_at(size_t index);

static inline bool skv_node_reshapes(const skive_node *n) { return n && n->op && n->op->motion == SKV_RESHAPES; }
static inline bool skv_node_moves(const skive_node *n) { return n && n->op && n->op->motion != SKV_COMPUTES; }

/* "node 'NAME' (Op): " in front of the message of a failure, in the place of a "node 'NAME': " with which it begins. */
skive_status skv_fail_node(skive_context *ctx, skive_status status, const skive_node *n);
/* Evaluates a node on tensors through its reference: allocates outputs (owned by the caller). */
skive_status skv_op_evaluate(skive_context *ctx, const skive_node *n, const skive_tensor *const *in, size_t n_in,
                             skive_tensor *out, size_t n_out);
/* The interval in which output 0 lies, NaN apart, when input i lies in in[i]: what the record says in real numbers,
 * with the type's rounding, overflow and wrapping around. Without a record's answer all numbers of the type. */
skv_range skv_output_range(const skive_node *n, const skv_range *in);
/* Infers one node's output types (declared ones kept where unknown) without touching the graph; in/constant as in
 * skv_infer. For an unknown op, out keeps the declared types. */
skive_status skv_op_infer(skive_context *ctx, const skive_node *n, const skive_type *const *in,
                          const skive_tensor *const *constant, skive_type *out);

/* ---- shared by op files (src/ops/common_*.c) ---- */

int64_t skv_axis(int64_t axis, int rank); /* negative counts from the end; -1 when out of range */
/* NumPy broadcasting of types: unknown dimensions stay unknown unless the other is > 1. */
skive_status skv_infer_broadcast(skv_infer *c, size_t n, skive_type *out);
skive_status skv_infer_same(skv_infer *c); /* out[0] = in[0] */
void skv_couple_elementwise(
    skv_couple *c); /* all inputs and output 0 are coupled axis by axis, except broadcast axes */
/* dx summed over the axes along which `like` was broadcast, in the shape of `like`. */
skive_value *skv_grad_unbroadcast(skv_builder *b, skive_value *dx, skive_value *like);
void skv_cost_per_element(const skive_node *n, skive_cost *cost); /* one operation per output element */

#endif
