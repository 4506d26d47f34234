/* How a sparse product is divided into tiles, and how its panel lies. */
#include "kernels/sparse/sparse.h"

int64_t skv_sparse_columns(const skv_sparse_shape *s) { return s->channels * s->kernel[0] * s->kernel[1]; }

static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

static int64_t common_divisor(int64_t a, int64_t b) {
    while (b) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Taps k * dilation fall on so many different phases of the stride; tap k on phase k mod this. */
static int64_t period_of(const skv_sparse_shape *s, int axis) {
    const int64_t period = s->stride[axis] / common_divisor(s->stride[axis], s->dilation[axis]);
    return period < s->kernel[axis] ? period : s->kernel[axis];
}

static bool is_point(const skv_sparse_shape *s) {
    for (int a = 0; a < 2; a++)
        if (s->kernel[a] != 1 || s->stride[a] != 1 || s->pad[a] != 0) return false;
    return s->images == 1 && s->lines == 1 && s->width == 1 && s->x_channel == 1 && s->y_row == 1;
}

/* Vectors that would be nearly empty are not worth their time: 16 lanes begin with more than 8 of work. */
static const skv_sparse_loops *loops_for(skv_isa isa, int64_t lanes) {
    if (lanes <= 8 && skv_isa_has(isa, SKV_ISA_AVX512)) isa = SKV_ISA_AVX2;
    return SKV_AT(isa, AVX512, &skv_sparse_loops_avx512) SKV_AT(isa, AVX2, &skv_sparse_loops_avx2)
        SKV_AT(isa, NEON, &skv_sparse_loops_neon) SKV_ELSE(isa, &skv_sparse_loops_scalar);
}

/* As wide a tile as leaves the panel a part of the second-level cache, and all tiles nearly alike. */
static void divide(const skv_sparse_shape *s, int64_t halo, skv_sparse_plan *p) {
    enum { PANEL_FLOATS = 96 * 1024, LINE = 16 };
    const int64_t lanes = p->loops->lanes, lines = s->channels * p->period[0] * p->period[1];
    const int64_t all = divide_up(p->positions, lanes);
    int64_t most = p->loops->most_vectors[p->layout];
    while (most > 2 && lines * (most * lanes + halo) > PANEL_FLOATS) most--;
    p->tiles = divide_up(all, most);
    p->vectors = (int)divide_up(all, p->tiles);
    p->tile = p->vectors * lanes;
    p->span = p->tile + halo;
    p->channel = divide_up(p->span, LINE) * LINE * p->period[0] * p->period[1];
}

skv_sparse_plan skv_sparse_planned(const skv_sparse_shape *s, skv_sparse_layout layout, skv_isa isa) {
    skv_sparse_plan p = {.layout = layout, .vector = is_point(s)};
    for (int a = 0; a < 2; a++) p.period[a] = period_of(s, a);
    const int64_t right = (s->kernel[1] - 1) * s->dilation[1] / s->stride[1],
                  down = (s->kernel[0] - 1) * s->dilation[0] / s->stride[0];
    p.pitch = s->width + right;
    p.positions = (s->lines - 1) * p.pitch + s->width;
    const bool rows_are_lanes = p.vector && layout == SKV_SPARSE_CODED;
    p.unit_rows = rows_are_lanes ? SKV_CODED_ROWS : layout == SKV_SPARSE_CSR ? 1 : SKV_SPARSE_BLOCK;
    p.loops = loops_for(isa, rows_are_lanes ? p.unit_rows : p.positions);
    divide(s, down * p.pitch + right, &p);
    return p;
}

skv_sparse_plan skv_sparse_planned_coded(const skv_sparse_shape *s, const skv_coded *coded, skv_isa isa) {
    skv_sparse_plan p = skv_sparse_planned(s, SKV_SPARSE_CODED, isa);
    p.lookup = skv_sparse_lookup_of(coded);
    return p;
}
