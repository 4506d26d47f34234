/* Is a sparse product worth it? Cycles by a model of a few constants, measured on Zen 4 (docs/sparse.md says how); other CPUs
 * of the same vectors are in the same proportions, since both sides wait for the same loads and multiply-adds.
 *
 *     tiles * (entries * (entry + vectors * step) + rows * (row + vectors * store)) + panels * fill + results spread * spread
 *
 * An entry is a nonzero, or a column of a block of four rows. */
#include "kernels/sparse/sparse.h"

typedef struct form_cost {
    double entry, step; /* cycles of an entry, and of each vector of it */
    double row, store;  /* of a row besides, and of each vector of it */
} form_cost;

typedef struct loop_cost {
    form_cost form[SKV_SPARSE_FORMS];
    double fill, turn, spread; /* of a float of a panel, copied or transposed, and of a result out of the buffer */
    double one;                /* of a nonzero where there is one position */
    double one_row;
} loop_cost;

static const loop_cost cost_avx512 = {
    {{1.0, 1.5, 16, 2}, {2.0, 4.0, 8, 2}}, .fill = 0.4, .turn = 1.2, .spread = 1.5, .one = 1.2, .one_row = 12};
static const loop_cost cost_avx2 = {
    {{1.0, 0.75, 16, 2}, {2.0, 2.0, 8, 2}}, .fill = 0.4, .turn = 1.2, .spread = 1.5, .one = 1.2, .one_row = 12};
static const loop_cost cost_scalar = {
    {{1.0, 1.2, 16, 4}, {4.0, 4.0, 8, 4}}, .fill = 0.4, .turn = 1.2, .spread = 1.5, .one = 1.5, .one_row = 12};

static const loop_cost *cost_of(const skv_sparse_plan *p) {
    return p->loops == &skv_sparse_loops_avx512 ? &cost_avx512
           : p->loops == &skv_sparse_loops_avx2 ? &cost_avx2
                                                : &cost_scalar;
}

double skv_sparse_cycles(const skv_sparse_shape *s, const skv_sparse_plan *p, int64_t entries) {
    const loop_cost *k = cost_of(p);
    const form_cost *f = &k->form[p->form];
    const double rows = (double)(s->rows * s->groups), images = (double)s->images;
    if (p->vector) return (double)entries * k->one + rows * k->one_row;
    const double vectors = (double)p->positions / (double)p->loops->lanes, tiles = (double)p->tiles;
    const double loops = (double)entries * (tiles * f->entry + vectors * f->step) + rows * (tiles * f->row + vectors * f->store);
    const bool turned = s->x_channel == 1;
    const double panel = (double)(s->groups * p->tiles * s->channels * p->channel) * (turned ? k->turn : k->fill);
    const bool direct = s->y_column == 1 && s->y_row != 1 && p->pitch == s->width;
    const double results = direct ? 0 : rows * (double)(s->lines * s->width) * k->spread;
    return images * (loops + panel + results);
}

skv_sparse_form skv_sparse_faster(const skv_sparse_shape *s, const skv_sparse_count *count, skv_isa isa) {
    const skv_sparse_plan csr = skv_sparse_planned(s, SKV_SPARSE_CSR, isa),
                          block = skv_sparse_planned(s, SKV_SPARSE_BLOCK4, isa);
    return skv_sparse_cycles(s, &block, count->blocks) < skv_sparse_cycles(s, &csr, count->nonzeros)
               ? SKV_SPARSE_BLOCK4
               : SKV_SPARSE_CSR;
}

/* The fraction of zeros from which CSR takes no more than `cycles`. */
static double break_even(const skv_sparse_shape *s, double weights, double cycles, skv_isa isa) {
    const skv_sparse_plan p = skv_sparse_planned(s, SKV_SPARSE_CSR, isa);
    const double none = skv_sparse_cycles(s, &p, 0), all = skv_sparse_cycles(s, &p, (int64_t)weights);
    return 1.0 - (cycles - none) / (all - none);
}

bool skv_sparse_wins(const skv_sparse_shape *s, const skv_sparse_matrix *w, const skv_sparse_dense *dense, skv_isa isa,
                     skv_why *why) {
    /* Few zeros are no sparsity, even where any product would beat the dense kernel. */
    static const double least = 0.3, doubt = 0.25;
    const double weights = (double)(w->rows * w->columns);
    const double outputs = (double)(s->images * s->lines * s->width);
    const double cycles = weights * outputs / dense->macs_per_cycle - dense->extra_cycles;
    double even = break_even(s, weights, cycles, isa);
    if (even < least) even = least;
    if (even > 1) return skv_decline(why, "no number of zeros makes up for this shape");
    const double sampled = skv_sparse_zeros_sampled(w);
    if (sampled < even - doubt)
        return skv_decline(why, "about %.0f %% zeros: below the break-even of %.0f %% for this shape", 100 * sampled, 100 * even);
    const skv_sparse_count count = skv_sparse_counted(w, s->groups);
    const double zeros = 1.0 - (double)count.nonzeros / weights;
    if (zeros >= even) return true;
    const skv_sparse_plan block = skv_sparse_planned(s, SKV_SPARSE_BLOCK4, isa);
    if (zeros >= least && skv_sparse_cycles(s, &block, count.blocks) < cycles) return true;
    return skv_decline(why, "%.0f %% zeros: below the break-even of %.0f %% for this shape", 100 * zeros, 100 * even);
}
