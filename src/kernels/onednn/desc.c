/* Memory descriptors of values in skive's layouts. */
#include <string.h>

#include "kernels/onednn/onednn.h"

static bool type_of(skive_dtype dtype, dnnl_data_type_t *out) {
    switch (dtype) {
    case SKIVE_F32: *out = dnnl_f32; return true;
    case SKIVE_BF16: *out = dnnl_bf16; return true;
    case SKIVE_F16: *out = dnnl_f16; return true;
    case SKIVE_I32: *out = dnnl_s32; return true;
    case SKIVE_I8: *out = dnnl_s8; return true;
    case SKIVE_U8: *out = dnnl_u8; return true;
    default: return false;
    }
}

enum { MAX_RANK = 6 };

/* By rank, then by layout; undef where there is none. */
static const dnnl_format_tag_t tags[MAX_RANK + 1][4] = {
    {dnnl_a, dnnl_format_tag_undef, dnnl_format_tag_undef, dnnl_format_tag_undef},
    {dnnl_a, dnnl_a, dnnl_a, dnnl_a},
    {dnnl_ab, dnnl_ab, dnnl_ab, dnnl_ab},
    {dnnl_abc, dnnl_acb, dnnl_aBc16b, dnnl_aBc8b},
    {dnnl_abcd, dnnl_acdb, dnnl_aBcd16b, dnnl_aBcd8b},
    {dnnl_abcde, dnnl_acdeb, dnnl_aBcde16b, dnnl_aBcde8b},
    {dnnl_abcdef, dnnl_format_tag_undef, dnnl_format_tag_undef, dnnl_format_tag_undef},
};

static bool describe(skive_dtype dtype, int rank, const int64_t *dims, dnnl_format_tag_t tag, skv_dnnl_md *out) {
    dnnl_data_type_t type;
    dnnl_dims_t d;
    memset(out, 0, sizeof *out);
    if (rank < 0 || rank > MAX_RANK || tag == dnnl_format_tag_undef || !type_of(dtype, &type)) return false;
    for (int i = 0; i < rank; i++) {
        if (dims[i] <= 0) return false;
        d[i] = dims[i];
    }
    if (rank == 0) d[0] = 1; /* a scalar */
    return skv_dnnl_md_make(rank ? rank : 1, d, type, tag, out) == dnnl_success;
}

static bool sizes(const skive_type *t, int64_t dims[SKIVE_MAX_RANK]) {
    if (t->rank < 0 || t->rank > MAX_RANK) return false;
    for (int i = 0; i < t->rank; i++) dims[i] = t->dims[i].size;
    return true;
}

bool skv_dnnl_md_of(const skive_type *t, skv_layout layout, skv_dnnl_md *out) {
    int64_t dims[SKIVE_MAX_RANK];
    memset(out, 0, sizeof *out);
    return sizes(t, dims) && describe(t->dtype, t->rank, dims, tags[t->rank][layout], out);
}

bool skv_dnnl_md_dims(skive_dtype dtype, int rank, const int64_t *dims, skv_dnnl_md *out) {
    memset(out, 0, sizeof *out);
    return rank >= 0 && rank <= MAX_RANK && describe(dtype, rank, dims, tags[rank][SKV_PLAIN], out);
}

bool skv_dnnl_md_any(skive_dtype dtype, int rank, const int64_t *dims, skv_dnnl_md *out) {
    return describe(dtype, rank, dims, dnnl_format_tag_any, out);
}

skv_layout skv_dnnl_blocked(void) { return skv_isa_has(skv_cpu_isa(), SKV_ISA_AVX512) ? SKV_C16 : SKV_C8; }
