/* Shorthands for the self-test cases of the op records. Each expands to designated members, so that they may be mixed
 * with plain ones:
 *     static const skv_op_case cases[] = {
 *         {.name = "by hand", CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}), .n_out = 1, CASE_EXPECT(2, 4, 6, 8)},
 *         {.name = "random", CASE_IN({CASE_F32(2, 3)}, {CASE_I64(1), CASE_VALUES(1), .constant = true}), .n_out = 1},
 *     }; */
#ifndef SKV_OPS_CASES_H
#define SKV_OPS_CASES_H

#include "graph/op.h"

#define CASE_IN(...) \
    .in = (const skv_case_in[]){__VA_ARGS__}, .n_in = sizeof((const skv_case_in[]){__VA_ARGS__}) / sizeof(skv_case_in)
#define CASE_ATTRS(...)                            \
    .attrs = (const skv_attr_init[]){__VA_ARGS__}, \
    .n_attrs = sizeof((const skv_attr_init[]){__VA_ARGS__}) / sizeof(skv_attr_init)
#define CASE_EXPECT(...) \
    .expect = (const double[]){__VA_ARGS__}, .n_expect = sizeof((const double[]){__VA_ARGS__}) / sizeof(double)
#define CASE_EXPECT_TEXT(...)                          \
    .expect_text = (const char *const[]){__VA_ARGS__}, \
    .n_expect = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)
#define CASE_OUT(...)                              \
    .expect_dims = (const int64_t[]){__VA_ARGS__}, \
    .expect_rank = (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* members of a skv_case_in */
#define CASE_TYPED(dtype_, ...) \
    .dtype = (dtype_), .rank = (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .dims = {__VA_ARGS__}
#define CASE_F32(...)    CASE_TYPED(SKIVE_F32, __VA_ARGS__)
#define CASE_I64(...)    CASE_TYPED(SKIVE_I64, __VA_ARGS__)
#define CASE_BOOL(...)   CASE_TYPED(SKIVE_BOOL, __VA_ARGS__)
#define CASE_STRING(...) CASE_TYPED(SKIVE_STRING, __VA_ARGS__)
#define CASE_TEXT(...) \
    .text = (const char *const[]) { __VA_ARGS__ }
#define CASE_VALUES(...) \
    .values = (const double[]) { __VA_ARGS__ }
#define CASE_SCALAR(dtype_, value) .dtype = (dtype_), .rank = 0, CASE_VALUES(value)
/* a whole input: a constant list of int64 (axes, shapes, pads) */
#define CASE_LIST(count, ...) \
    { .dtype = SKIVE_I64, .rank = 1, .dims = {count}, CASE_VALUES(__VA_ARGS__), .constant = true }
#define CASE_ABSENT \
    { .absent = true }

/* a whole attribute (the SKV_INT family is for use inside functions) */
#define CASE_INT(name_, value) \
    { .name = (name_), .type = SKV_ATTR_INT, .i = (value) }
#define CASE_FLT(name_, value) \
    { .name = (name_), .type = SKV_ATTR_FLOAT, .f = (value) }
#define CASE_STR(name_, text) \
    { .name = (name_), .type = SKV_ATTR_STRING, .s = (text) }
#define CASE_INTS(name_, ...)                                                           \
    {                                                                                   \
        .name = (name_), .type = SKV_ATTR_INTS, .ints = (const int64_t[]){__VA_ARGS__}, \
        .n = sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)                   \
    }
#define CASE_FLTS(name_, ...)                                                              \
    {                                                                                      \
        .name = (name_), .type = SKV_ATTR_FLOATS, .floats = (const double[]){__VA_ARGS__}, \
        .n = sizeof((const double[]){__VA_ARGS__}) / sizeof(double)                        \
    }
#define CASE_TENSOR(name_, dtype_, ...)                                                                   \
    {                                                                                                     \
        .name = (name_), .type = SKV_ATTR_TENSOR, .i = (dtype_), .floats = (const double[]){__VA_ARGS__}, \
        .n = sizeof((const double[]){__VA_ARGS__}) / sizeof(double)                                       \
    }
#define CASE_STRS(name_, ...)                                                                     \
    {                                                                                             \
        .name = (name_), .type = SKV_ATTR_STRINGS, .strings = (const char *const[]){__VA_ARGS__}, \
        .n = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)                    \
    }

#endif
