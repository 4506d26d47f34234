/* Is a sparse product worth it? The cycles of both by a few constants, fitted to 36 shapes at six sparsities each on
 * Zen 4, nine of ten within a quarter (docs/sparse.md). Other CPUs keep the proportions: both sides wait for the same
 * loads and multiply-adds.
 *
 * An entry is a nonzero, or a column of a block of four rows. */
#include <math.h>

#include "kernels/sparse/sparse.h"

typedef struct layout_cost {
    double entry, near, far; /* an entry in a tile, and each vector of it, by the cache the panel fits into */
    double row, store;       /* a row in a tile, and each vector of it */
} layout_cost;

typedef struct loop_cost {
    layout_cost layout[SKV_SPARSE_LAYOUTS];
    double fill, turn;  /* a float of a panel, copied or transposed */
    double lines, rows; /* a result that goes through the buffer, to lines or to rows side by side */
    struct {
        double decode, point; /* four values made for a tile; sixteen made and multiplied at one position */
    } lookup[SKV_LOOKUPS];
} loop_cost;

/* By the loops that run. */
static const struct {
    const skv_sparse_loops *loops;
    loop_cost cost;
} costs[] = {
#include "kernels/sparse/costs.inc"
};

/* A product with one position: the call, and of each layout a unit and an entry; from a size on the weight comes from
 * memory. */
static const double point_call = 1000, point_far_floats = 2.5e6;
static const struct { double unit, near, far; } point_cost[] = {{12, 1.15, 1.9}, {20, 1.3, 3.5}};

static const loop_cost *cost_of(const skv_sparse_plan *p) {
    size_t i = 0;
    while (costs[i].loops != p->loops) i++;
    return &costs[i].cost;
}

static double point_cycles(skv_sparse_layout layout, double rows, double entries) {
    const double width = layout == SKV_SPARSE_BLOCK4 ? SKV_SPARSE_BLOCK : 1;
    const bool near = entries * width < point_far_floats;
    return point_call + rows / width * point_cost[layout].unit +
           entries * (near ? point_cost[layout].near : point_cost[layout].far);
}

static double coded_point_cycles(const skv_sparse_plan *p, double rows, double entries) {
    static const double unit = 20;
    return point_call + rows / SKV_CODED_ROWS * unit + entries * cost_of(p)->lookup[p->lookup].point;
}

double skv_sparse_cycles(const skv_sparse_shape *s, const skv_sparse_plan *p, int64_t entries) {
    static const double near_floats = 10e3; /* about the first-level cache */
    const double rows = (double)(s->rows * s->groups), panel = (double)(s->channels * p->channel);
    const bool coded = p->layout == SKV_SPARSE_CODED;
    if (p->vector)
        return coded ? coded_point_cycles(p, rows, (double)entries) : point_cycles(p->layout, rows, (double)entries);
    const loop_cost *k = cost_of(p);
    const double decode = coded ? k->lookup[p->lookup].decode : 0;
    const layout_cost *f = &k->layout[p->layout];
    const int64_t in_vectors = (p->positions + p->loops->lanes - 1) / p->loops->lanes;
    const double vectors = (double)in_vectors, tiles = (double)p->tiles;
    const double step = panel < near_floats ? f->near : f->far;
    const double loops =
        (double)entries * (tiles * (f->entry + decode) + vectors * step) + rows * (tiles * f->row + vectors * f->store);
    const double panels = (double)s->groups * tiles * panel * (s->x_channel == 1 || s->x_block > 1 ? k->turn : k->fill);
    const bool turned = s->y_row == 1 || s->y_block > 1, direct = !turned && s->y_column == 1 && p->pitch == s->width;
    const double results = rows * (double)(s->lines * s->width) * (direct ? 0 : turned ? k->rows : k->lines);
    return (double)s->images * (loops + panels + results);
}

skv_sparse_layout skv_sparse_faster(const skv_sparse_shape *s, const skv_sparse_count *count, skv_isa isa) {
    const skv_sparse_plan csr = skv_sparse_planned(s, SKV_SPARSE_CSR, isa),
                          block = skv_sparse_planned(s, SKV_SPARSE_BLOCK4, isa);
    return skv_sparse_cycles(s, &block, count->blocks) < skv_sparse_cycles(s, &csr, count->nonzeros) ? SKV_SPARSE_BLOCK4
                                                                                                     : SKV_SPARSE_CSR;
}

/* The fraction of zeros from which CSR takes no more than `cycles`. */
static double break_even(const skv_sparse_shape *s, double weights, double cycles, skv_isa isa) {
    const skv_sparse_plan p = skv_sparse_planned(s, SKV_SPARSE_CSR, isa);
    const double none = skv_sparse_cycles(s, &p, 0), all = skv_sparse_cycles(s, &p, (int64_t)weights);
    return 1.0 - (cycles - none) / (all - none);
}

/* Infinite where the weight cannot be packed so. */
static double coded_cycles(const skv_sparse_shape *s, const skv_sparse_matrix *w, skv_isa isa, skv_why *why) {
    skv_sparse_plan p = skv_sparse_planned(s, SKV_SPARSE_CODED, isa);
    if (!skv_sparse_codable(w, p.unit_rows, why)) return INFINITY;
    p.lookup = skv_sparse_lookup_of(w->coded);
    const int64_t units = (s->rows + p.unit_rows - 1) / p.unit_rows * s->groups;
    return skv_sparse_cycles(s, &p, units * w->columns);
}

static double dense_cycles(const skv_sparse_shape *s, const skv_sparse_matrix *w, const skv_sparse_dense *dense) {
    return (double)skv_mul_sat(w->rows, w->columns) * (double)(s->images * s->lines * s->width) / dense->macs_per_cycle;
}

bool skv_sparse_wins(const skv_sparse_shape *s, const skv_sparse_matrix *w, const skv_sparse_dense *dense, skv_isa isa,
                     skv_why *why) {
    /* Few zeros are no sparsity, even where any product would beat the dense kernel. */
    static const double least = 0.3, doubt = 0.25, margin = 0.9;
    const double weights = (double)(w->rows * w->columns);
    skv_why unsaid;
    const double other = dense_cycles(s, w, dense) - dense->extra_cycles, coded = coded_cycles(s, w, isa, &unsaid);
    const double cycles = (coded < other ? coded : other) * margin;
    double even = break_even(s, weights, cycles, isa);
    if (even < least) even = least;
    if (even > 1) return skv_decline(why, "no number of zeros makes up for this shape");
    const double sampled = skv_sparse_zeros_sampled(w);
    if (sampled < even - doubt)
        return skv_decline(why, "about %.0f %% zeros: below the break-even of %.0f %% for this shape", 100 * sampled,
                           100 * even);
    const skv_sparse_count count = skv_sparse_counted(w, s->groups);
    const double zeros = 1.0 - (double)count.nonzeros / weights;
    if (zeros >= even) return true;
    const skv_sparse_plan block = skv_sparse_planned(s, SKV_SPARSE_BLOCK4, isa);
    if (zeros >= least && skv_sparse_cycles(s, &block, count.blocks) < cycles) return true;
    return skv_decline(why, "%.0f %% zeros: below the break-even of %.0f %% for this shape", 100 * zeros, 100 * even);
}

bool skv_sparse_coded_serves(const skv_sparse_shape *s, const skv_sparse_matrix *w, const skv_sparse_dense *dense,
                             skv_isa isa, skv_why *why) {
    /* What it may cost that the weight stays small. */
    static const double bearable = 1.3;
    const double called = s->lines * s->width == 1 ? point_call : 0;
    const double cycles = coded_cycles(s, w, isa, why) + dense->extra_cycles,
                 other = dense_cycles(s, w, dense) + called;
    if (cycles <= other * bearable) return true;
    return isinf(cycles) ? false : skv_decline(why, "with a dense weight it runs %.1f times as fast", cycles / other);
}
