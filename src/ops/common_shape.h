/* Shared by ops that move or reshape data: axes, constant sizes, strided copies, types of the results, and conversion
 * of attributes of old opsets to inputs. */
#ifndef SKV_OPS_COMMON_SHAPE_H
#define SKV_OPS_COMMON_SHAPE_H

#include "graph/op.h"
#include "tensor/tensor.h"

/* A value with more elements than this cannot be intended: a wrong or hostile model is refused before memory is
 * requested. */
#define SKV_MAX_ELEMENTS ((int64_t)1 << 33)

static inline skive_dim skv_dim(int64_t size) { return (skive_dim){size, NULL}; }
static inline skive_dim skv_dim_unknown(void) { return (skive_dim){-1, NULL}; }
/* Certainly equal: the same known size, or the same symbol. */
bool skv_dim_same(skive_dim a, skive_dim b);
/* The same rank and certainly equal dimensions. */
bool skv_shape_same(const skive_type *a, const skive_type *b);

/* ERR_SHAPE if the product of the known dimensions exceeds SKV_MAX_ELEMENTS. Every infer that can make a value larger
 * than its inputs ends with it. */
skive_status skv_infer_limit(skv_infer *c, const skive_type *t);

/* The type of input i; an unknown type if the input is absent. */
const skive_type *skv_infer_in(const skv_infer *c, size_t i);
/* An axis attribute or operand resolved against `rank` into *out; ERR_SHAPE naming `what` if out of range. */
skive_status skv_infer_axis(skv_infer *c, const char *what, int64_t axis, int rank, int *out);

/* Integers of a list operand (axes, pads, a shape): an int32 or int64 tensor of rank 0 or 1 with at most `limit`
 * elements. Returns their number, or -1 if the tensor is not such a list. */
int skv_read_ints(const skive_tensor *t, int64_t *out, int limit);
/* The same for input i of the node: *n = -1 if it is absent or not constant. ERR_SHAPE if it is not such a list. */
skive_status skv_infer_ints(skv_infer *c, size_t i, const char *what, int64_t *out, int limit, int *n);
skive_status skv_eval_ints(const skv_eval *c, size_t i, const char *what, int64_t *out, int limit, int *n);
/* Constant data of input i in the graph; NULL if absent, computed or not dense. */
const skive_tensor *skv_node_constant(const skive_node *n, size_t i);
/* An element of the list in input i, counted from its end (-1 is the last), where it is a constant: the list, or the
 * part of it that a Concat puts there. False: it is computed. */
bool skv_list_element(const skive_node *n, size_t i, int64_t index, int64_t *out);
/* The number of elements of list operand i, from its type; -1: unknown. */
int64_t skv_infer_list_length(const skv_infer *c, size_t i);

/* Resolves `n` axes against rank into a bit mask; false if one is out of range or given twice. */
bool skv_axes_mask(const int64_t *axes, int n, int rank, uint32_t *mask);

/* Copies elements between two strided boxes of the same dims. Strides and offsets count elements and may be negative
 * or zero. Any element type; elements of less than a byte one by one. */
void skv_copy_strided(skive_dtype dtype, int rank, const int64_t *dims, void *to, int64_t to_first,
                      const int64_t *to_strides, const void *from, int64_t from_first, const int64_t *from_strides);
/* One element. */
void skv_copy_element(skive_dtype dtype, void *to, size_t i, const void *from, size_t j);

/* A run that copies input 0 to output 0 unchanged (Reshape, Squeeze ...). */
skive_status skv_run_copy(const skv_eval *c);
/* A gradient that reshapes dy to the shape of input 0. */
skive_status skv_grad_reshape(skv_grad *c);
/* A gradient that is zero for every input (comparisons, rounding, shapes). */
skive_status skv_grad_zero(skv_grad *c);

/* Coupling: a reshape of in 0 to out 0. Runs of axes with equal products are divided into common factors, so that
 * channels that become runs of features, and heads x width, are followed both ways. */
void skv_couple_reshape(skv_couple *c);
#define SKV_COMPUTED_SIZES "its sizes are computed while it runs"
/* Is input i a constant or absent? Otherwise all axes are fixed: what it says of sizes could not be changed. */
bool skv_couple_constant(skv_couple *c, int input);
/* Input i as a list; -1 if it is not a constant one. */
int skv_shrink_read(const skv_shrink *s, size_t input, int64_t list[SKIVE_MAX_RANK]);
/* Of the list of sizes in input i, those of axes of output 0 that lose channels. The list is of the axes given, or of
 * the last ones. Entries that are computed (-1), or broadcast (1), stay. */
skive_status skv_shrink_sizes(const skv_shrink *s, size_t input, const int64_t *axes);
/* Axis by axis, input i and output 0 of the same shape. */
void skv_couple_same_axes(skv_couple *c, int input);
/* Every axis of every input and output fixed. */
void skv_couple_fix_all(skv_couple *c, const char *why);

skv_range skv_range_first(const skive_node *n, const skv_range *in); /* that of input 0 */
void skv_cost_none(const skive_node *n, skive_cost *cost);

/* Import: the INTS attribute becomes the constant input `index`. Nothing happens when the attribute is absent. */
skive_status skv_import_ints(skive_graph *g, skive_node *n, const char *attribute, size_t index);
/* Import: a FLOAT attribute becomes a scalar input of type `dtype`. */
skive_status skv_import_float(skive_graph *g, skive_node *n, const char *attribute, size_t index, skive_dtype dtype);
/* Import: `value` replaces the node's output 0, with its name and type, and the node is removed. */
skive_status skv_import_replace(skive_node *n, skive_value *value);

/* The opset that introduced an element type; 0: before those that are written. */
int skv_dtype_opset(skive_dtype dtype);
/* `least`, or more if the node's first input (or output) is bfloat16 or a 4-bit type. 0: no higher opset is needed. */
int skv_needs_for_dtype(const skive_node *n, int least, int bf16, int int4);

/* After channels were removed: the constant of Reshape, Expand or Split that contains the size of `axis` of output
 * `output` is set to `size` (in a new parameter, since it may be shared). Nothing to do for other ops. */
skive_status skv_op_set_output_dim(skive_node *n, size_t output, int axis, int64_t size);

#endif
