/* Which shapes go to the tile registers of AMX: the table of where they are faster than vpdpbusd, measured on Sapphire
 * Rapids with one thread (docs/results/amx.md). */
#include "kernels/int8/tiles.h"

#include "kernels/int8/dense.h"

enum {
    LEAST_K = 24,     /* products of a result: with fewer, making bytes of the sums takes longer than the products */
    LEAST_PIECE = 64, /* numbers that stand together in a row that is gathered */
    LEAST_POSITIONS = 12
};

/* With so many positions, so many products at least: filling and emptying the registers takes its time too. */
static const struct {
    int64_t positions;
    double products;
} least[] = {{256, 1.2e5}, {64, 5e5}, {LEAST_POSITIONS, 2e6}};

skv_conv_shape skv_q8_product_shape(int64_t rows, int64_t k, int64_t columns) {
    skv_conv_shape s = {.n = rows, .c = k, .m = columns, .groups = 1, .g = {.spatial = 1}};
    for (int a = 0; a < SKV_SPATIAL; a++) s.g.in[a] = s.g.out[a] = s.g.kernel[a] = s.g.stride[a] = s.g.dilation[a] = 1;
    return s;
}

/* Are the rows copied in pieces of one pixel of one group? See choose_even in dense_pack.c. */
static bool in_pieces(const skv_conv_shape *s) {
    const skv_geometry *g = &s->g;
    const int last = SKV_SPATIAL - 1;
    const bool strided = g->stride[0] != 1 || g->stride[1] != 1 || g->stride[last] != 1;
    return skv_volume(g->kernel) > 1 ? s->groups > 1 || g->dilation[last] != 1 : strided;
}

bool skv_q8_tiles_pay(const skv_conv_shape *s, skv_why *why) {
    const int64_t positions = s->n * skv_volume(s->g.out), per_in = s->c / s->groups;
    const int64_t k = per_in * skv_volume(s->g.kernel);
    const double products = (double)positions * (double)k * (double)s->m;
    if (k < LEAST_K) return skv_decline(why, "%lld products a result: vpdpbusd is faster", (long long)k);
    if (in_pieces(s) && per_in < LEAST_PIECE)
        return skv_decline(why, "rows in pieces of %lld: vpdpbusd is faster", (long long)per_in);
    size_t i = 0;
    while (i + 1 < sizeof least / sizeof *least && positions < least[i].positions) i++;
    if (positions >= least[i].positions && products >= least[i].products) return true;
    return skv_decline(why, "%lld positions, %.3g products in all: vpdpbusd is faster", (long long)positions, products);
}

bool skv_q8_tiles_applicable(const skv_kernel_node *n, skv_why *why) {
    skv_conv_shape s;
    if (!skv_q8_dense_applicable(n, why)) return false;
    if (skv_q8_dense_geometry(n, &s) != SKIVE_OK) return skv_decline(why, "its shape");
    return skv_q8_tiles_pay(&s, why);
}

const skv_q8_gemm *skv_q8_gemm_for(skv_isa isa, const skv_conv_shape *s) {
    skv_why why = {{0}};
    (void)why;
    (void)s;
    SKV_ON(AMX, if (isa >= SKV_ISA_AMX && skv_q8_tiles_pay(s, &why)) return skv_q8_gemm_amx();)
    return skv_q8_gemm_of(isa);
}
