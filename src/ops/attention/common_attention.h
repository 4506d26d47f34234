/* Shared by Attention, its gradient and its kernel: sizes, offsets of a head's rows, and the scores of one query. */
#ifndef SKV_OPS_COMMON_ATTENTION_H
#define SKV_OPS_COMMON_ATTENTION_H

#include "ops/common_nn.h"

enum { SKV_ATT_Q, SKV_ATT_K, SKV_ATT_V, SKV_ATT_MASK, SKV_ATT_PAST_K, SKV_ATT_PAST_V, SKV_ATT_LENGTHS, SKV_ATT_INPUTS };

typedef struct skv_attention {
    int64_t batch, q_heads, kv_heads, q_len, new_len, past_len, kv_len, size, v_size;
    bool packed; /* 3 dimensions, [batch][position][head][size]; otherwise [batch][head][position][size] */
    bool causal, has_mask, bool_mask;
    int64_t mask_step[4],
        mask_len;           /* of [batch][head][query][key], 0 where broadcast; keys from mask_len on are masked */
    double scale, softcap;  /* softcap 0: none */
    int64_t left, right;    /* how many keys before and after a query's own position it sees; -1: all of them */
    const int64_t *lengths; /* [batch] keys of each sample that are no padding; NULL: all. Set by whoever runs */
} skv_attention;

/* in[i] static or NULL, checked by inference before. */
skv_attention skv_attention_of(const skive_node *n, const skive_type *const in[SKV_ATT_INPUTS]);
/* Checks inputs and attributes as far as is known; *out's sizes are -1 where unknown. */
skive_status skv_attention_infer(skv_infer *c, size_t first, skv_attention *out);
/* Query i of sample b sees keys *first .. *end - 1, a mask apart: its position among the keys is i plus the number of
 * keys before the first query. Keys beyond a sample's length are not seen. */
static inline void skv_attention_sees(const skv_attention *a, int64_t b, int64_t i, int64_t *first, int64_t *end) {
    const int64_t length = a->lengths ? a->lengths[b] : a->kv_len;
    const int64_t at = i + (a->lengths ? length - a->q_len : a->past_len);
    *first = a->left >= 0 && a->left < at ? at - a->left : 0;
    *end = length;
    if (a->causal && at + 1 < *end) *end = at + 1;
    if (a->right >= 0 && a->right < *end && at + a->right + 1 < *end) *end = at + a->right + 1;
    if (*end < *first) *end = *first;
}
/* The lengths of input SKV_ATT_LENGTHS, which are checked: ERR_SHAPE if one is not 0 .. kv_len. NULL: none. */
skive_status skv_attention_lengths(skive_context *ctx, const skive_node *n, const int64_t *lengths, skv_attention *a);
/* The offset of row `i` of head `h` in a tensor of `heads` heads, `length` positions and rows of `size`. */
static inline int64_t skv_attention_at(bool packed, int64_t b, int64_t h, int64_t i, int64_t heads, int64_t length,
                                       int64_t size) {
    return packed ? ((b * length + i) * heads + h) * size : ((b * heads + h) * length + i) * size;
}

/* Keys or values of past and present, concatenated: [batch][kv_heads][kv_len][size]. Freed by skv_free. */
skive_status skv_attention_join(skive_context *ctx, const skv_attention *a, const double *past, const double *now,
                                int64_t size, double **out);
/* One query against all keys. stage[0] scaled products, [1] after softcap, [2] with the mask, [3] probabilities; each
 * [kv_len]. A query that may see no key has probabilities of 0. */
void skv_attention_row(const skv_attention *a, const double *q, const double *k, const double *mask, int64_t b,
                       int64_t h, int64_t i, double *stage[4]);

#endif
