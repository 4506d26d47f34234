/* Low-rank factorization: sites (layers that can be factorized), records of methods, factors, and what is done with
 * them. */
#ifndef SKV_LOWRANK_H
#define SKV_LOWRANK_H

#include <skive/distill.h>
#include <skive/factorize.h>

#include "base/option.h"
#include "graph/graph.h"
#include "graph/linear.h"
#include "lowrank/linear.h"

/* ---- sites ---- */

typedef enum skv_site_kind {
    SKV_SITE_PRODUCT, /* MatMul or Gemm: x w + bias */
    SKV_SITE_CONV,    /* one group, one or two spatial axes */
    SKV_SITE_CELL,    /* the input weights of LSTM, GRU, RNN: all gates and directions stacked */
    SKV_SITE_TABLE    /* Gather of the rows of a table */
} skv_site_kind;

/* Where a factor of a convolution works: on the positions of the input, of the output, or of the output's rows and the
 * input's columns. */
typedef enum skv_link_domain { SKV_DOMAIN_INPUT, SKV_DOMAIN_ROWS, SKV_DOMAIN_OUTPUT, SKV_DOMAINS } skv_link_domain;

enum { SKV_MOST_MEMBERS = 8, SKV_MOST_LINKS = 6 };

typedef struct skv_site {
    skv_site_kind kind;
    const char *members[SKV_MOST_MEMBERS]; /* names of the nodes: one, or several with the same input */
    int64_t outs[SKV_MOST_MEMBERS];        /* outputs of each */
    size_t n_members;
    const char *op, *parameter,
        *data;                      /* of the first node: operator, weight, the value that is multiplied (NULL: none) */
    int64_t out, in, kh, kw;        /* kh and kw: of a convolution, otherwise 1 */
    int spatial;                    /* axes of a convolution */
    int64_t heads;                  /* into which the outputs are cut at once; 0: none */
    int64_t d;                      /* in kh kw: what one output sums over */
    int64_t positions[SKV_DOMAINS]; /* of one run with one sample */
    const skive_value *weights[SKV_MOST_MEMBERS]; /* of each member */
    int input;                                    /* of the nodes that has the weight */
    bool turned[SKV_MOST_MEMBERS];                /* outputs are its second axis */
    double *w;                                    /* [out][d]; only between skv_site_open and skv_site_close */
    int opened;                                   /* how often it is open */
    double norm;                                  /* sum of squares of w */
    double *moments;                              /* [d][d] mean of x x', by what the weighting asks for; NULL: none */
    double *powers;                               /* [out] mean square of each output; with moments */
    double power;                                 /* the trace of w moments w': what the outputs are */
    double harm;                                  /* of losing all of it; 1 where nothing is known */
} skv_site;
/* The weights in double, which take twice the room of the layer: only while something asks for them. Calls nest. */
skive_status skv_site_open(skive_context *ctx, skv_site *s);
void skv_site_close(skive_context *ctx, skv_site *s);

typedef struct skv_rank {
    int64_t a, b; /* b: of methods with two */
} skv_rank;

/* ---- factors ---- */

/* One of the layers that a site becomes. */
typedef struct skv_link {
    int64_t out, in, groups, kh, kw;
    bool by_h, by_w; /* it takes the stride, dilation and padding of this axis */
    skv_link_domain domain;
    int64_t times;    /* how often it works at each position; 0: once */
    int64_t nonzeros; /* of a sparse one; 0: all */
    float *data;      /* [out][in / groups][kh][kw] */
} skv_link;

typedef struct skv_factors {
    skv_rank rank;
    size_t n;
    skv_link links[SKV_MOST_LINKS];
    /* What the last factor multiplies, as weights of the whole layer, so that the layer is last basis: each output
     * reads the `rows` of its block. NULL: the layer is `dense`. */
    double *basis; /* [blocks][rows][d], or with taps [rows][taps]: each row reads the taps of one input channel */
    double *last;  /* [out][rows] */
    int64_t rows, blocks, taps;
    double *dense;    /* [out][d] */
    double *inner;    /* [blocks][rows] with moments: the mean squares of what the basis gives */
    bool first_stays; /* its first factor has too many numbers to be fitted again */
} skv_factors;
void skv_factors_free(skive_context *ctx, skv_factors *f);
/* Only the links are needed any more. */
void skv_factors_settle(skive_context *ctx, skv_factors *f);
skive_status skv_factors_open(skive_context *ctx, const skv_site *s, int64_t rows, int64_t blocks, skv_factors *f);
skive_status skv_link_data(skive_context *ctx, skv_link *l);
int64_t skv_link_count(const skv_link *l); /* weights */
void skv_factors_cost(const skv_site *s, const skv_factors *f, int64_t *macs, int64_t *parameters);
/* The best last factor for the basis: of the weights, or with moments of the outputs. `target` [out][d]: what takes the
 * place of W moments (skv_regression); NULL: that. */
skive_status skv_factors_solve(skive_context *ctx, const skv_site *s, const double *moments, const double *target,
                               skv_factors *f);
/* What the factors are in the place of the weights: [out][d]. */
skive_status skv_factors_dense(skive_context *ctx, const skv_site *s, const skv_factors *f, double *out);
/* The last factor becomes the last link's data, and between links the numbers of each inner channel get the same norm
 * on both sides, exactly. */
skive_status skv_factors_close(skive_context *ctx, const skv_site *s, skv_factors *f);
/* Relative errors, of the weights and (NaN without moments) of the outputs: norms of the difference to the norms. */
skive_status skv_factors_error(skive_context *ctx, const skv_site *s, const skv_factors *f, double *weights,
                               double *outputs);

/* ---- least squares behind factorized layers (regress.c) ---- */

/* The layer's outputs W x on its own input x are to be met on the input y that the factors in front of it leave. */
typedef struct skv_regression {
    double *moments; /* [d][d] M = E[y y'] */
    double *target;  /* [out][d] T = W E[x y'] */
    double *mean;    /* [d] E[y] */
    double power;    /* E|W x|^2 */
} skv_regression;
/* E|W x - A y|^2 of what the factors multiply to; outputs [out] gets A E[y], unless it is NULL. */
skive_status skv_regression_error(skive_context *ctx, const skv_site *s, const skv_regression *r, const skv_factors *f,
                                  double *error, double *outputs);
/* Basis and last factor of each block at once, the best of their rank; the basis is the first link. */
skive_status skv_regress_rows(skive_context *ctx, const skv_site *s, const skv_regression *r, skv_factors *f);
/* The same of rank k for a layer that reads b channels, v [in][b] of its input: left [out][k], right [k][b][taps]. */
skive_status skv_regress_behind(skive_context *ctx, const skv_site *s, const skv_regression *r, int64_t b,
                                const double *v, int64_t k, double *left, double *right);
/* A first factor v [m][b] of channels, behind which h [out][b][taps] is held: the layer is A[o][i][t], the sum over c
 * of h[o][c][t] v[i][c]. `solved` false: there are too many numbers, and v is as it was. */
typedef struct skv_channel_factor {
    int64_t out, m, b, taps;
    const double *h;
    double *v;
} skv_channel_factor;
skive_status skv_regress_points(skive_context *ctx, const skv_regression *r, const skv_channel_factor *p, bool *solved);

/* ---- records ---- */

/* What a record has found in a site's weights: bases with their values, shared by all ranks. */
typedef struct skv_spectrum {
    int64_t m, n, k; /* a matrix [m][n], of which k values are known */
    double *s;       /* [k] singular values, descending */
    double *u;       /* [m][k] */
    double *vt;      /* [k][n] where it is needed; or NULL */
    double all;      /* the sum of squares of all values */
} skv_spectrum;
enum { SKV_SPECTRA = 2 };
typedef struct skv_found {
    skv_spectrum of[SKV_SPECTRA];
    size_t n;
} skv_found;
void skv_found_free(skive_context *ctx, skv_found *f);

typedef struct skv_factorization skv_factorization;
struct skv_factorization {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    bool automatic; /* tried by "auto" */
    bool beside;    /* the last link is the layer itself with other weights, and the others are added to it */
    const char *(*why_not)(const skv_site *s); /* NULL: it applies */
    int64_t (*full)(const skv_site *s);        /* the rank that changes nothing */
    /* The rank b that goes with a; NULL: none. */
    int64_t (*second)(const skv_site *s, int64_t a);
    /* The links of a rank, without numbers: for costs. */
    void (*shape)(const skv_site *s, skv_rank r, skv_factors *f);
    /* Decompositions; NULL: none. `most`: the largest rank that will be asked for. */
    skive_status (*look)(skive_context *ctx, const skv_site *s, int64_t most, skv_found *out);
    /* Share of the squared norm (with moments: of the outputs) that is lost; NULL: factors must be made to know. */
    double (*lost)(const skv_site *s, const skv_found *found, skv_rank r);
    /* The factors of a rank: links with their data, but for the last one, and its basis. */
    skive_status (*factor)(skive_context *ctx, const skv_site *s, const skv_found *found, skv_rank r, uint64_t seed,
                           skv_factors *f);
    /* Fits the first factors again, the others being held, or several at once: links with their data, and the basis.
     * Called in turn with the last factor. NULL: they stay, and only the last one is fitted. */
    skive_status (*refit)(skive_context *ctx, const skv_site *s, const skv_regression *r, skv_factors *f);
    /* Puts the links behind each other in the graph instead of the usual way; `x` is the layer's input, and the result
     * has no bias. NULL: the usual way. */
    skive_value *(*build)(skv_builder *b, const skv_site *s, const skv_factors *f, skive_value *x);
};
size_t skv_factorization_count(void);
const skv_factorization *skv_factorization_at(size_t i);
const char *skv_factorization_name(size_t i);
const skv_factorization *skv_factorization_find(const char *name);
extern const skv_family skv_factorization_family;
extern const skv_table skv_factorize_table;

/* ---- what records share ---- */

/* The values and left vectors of the site's matrix [out][d]: those of the weights, or with moments of the outputs. */
skive_status skv_look_rows(skive_context *ctx, const skv_site *s, int64_t most, skv_found *out);
double skv_lost_rows(const skv_site *s, const skv_found *found, skv_rank r);
/* Of a matrix by itself. */
skive_status skv_look_matrix(skive_context *ctx, int64_t m, int64_t n, const double *a, int64_t most, bool right,
                             skv_spectrum *out);
/* The same without right vectors, of a matrix that is taken over. */
skive_status skv_look_taken(skive_context *ctx, int64_t m, int64_t n, double *take, int64_t most, skv_spectrum *out);
double skv_spectrum_lost(const skv_spectrum *s, int64_t rank);
/* The first link of a convolution over the window of the site, or a product. */
skv_link skv_link_window(const skv_site *s, int64_t out, int64_t in);
skv_link skv_link_point(int64_t out, int64_t in, skv_link_domain domain);

/* ---- graph ---- */

/* The nodes of the site in `g` become the factors; bias and results stay where they are. */
skive_status skv_site_apply(skive_graph *g, const skv_site *s, const skv_factorization *method, const skv_factors *f);
/* Sites of `g`, and a row for each weight with the reason why it is none. *n_sites of *sites, freed by
 * skv_sites_free. */
skive_status skv_sites_find(skive_context *ctx, const skive_graph *g, bool joint, skv_site **sites, size_t *n_sites,
                            skive_factorize_report *report);
void skv_sites_free(skive_context *ctx, skv_site *sites, size_t n);

/* ---- the method's steps ---- */

/* One way to treat a site. */
typedef struct skv_way {
    const skv_factorization *method; /* NULL: as it is */
    skv_rank rank;
    double lost; /* share of the squared norm */
    int64_t macs, parameters;
    double seconds; /* NaN: not measured */
    bool slow;      /* measured to be slower than the layer as it is, and not to be chosen */
} skv_way;
typedef struct skv_ways {
    skv_way *items; /* the first one: as it is */
    size_t n, room, chosen;
    size_t slow; /* behind those n: what is not to be chosen, for the report */
    char *kept;  /* why there is no other, or it was not taken */
    bool named;  /* by the option `layers`, which says once what a site gets */
    bool given;  /* by the option `layers`, with its rank */
    bool listed; /* the same, its ranks being those that the budget may choose from */
    /* The factors of the chosen one, made when they are asked for. */
    skv_factors factors; /* links only */
    skv_way made;
    bool is_made; /* the factors are there */
    bool known;   /* and these, of `made`, even when they are not: */
    double error, output_error;
    double refit_before, refit_after; /* NaN: not fitted again */
} skv_ways;

typedef struct skv_lowrank {
    skive_context *ctx;
    skive_factorize_options o;
    int64_t rank;      /* of the option, if it is a number; otherwise 0 */
    skive_graph *work; /* the model, all of whose sizes are known where they can be */
    skive_dataset *train, *validation;
    skv_site *sites;
    size_t n_sites;
    skv_ways *ways;   /* [n_sites] */
    skv_found *found; /* [n_sites][factorizations] */
    bool *looked;     /* the same: whether it is there */
    skive_costs *costs;
    bool tuned;
    skive_distill_options lesson; /* of fine-tuning */
    skive_factorize_report report;
} skv_lowrank;

/* Second moments, or Fisher weights, and the harm of each site. */
skive_status skv_lowrank_probe(skv_lowrank *l);
/* The decompositions of a site for a method, made once. */
skive_status skv_lowrank_look(skv_lowrank *l, size_t site, const skv_factorization *m, int64_t most,
                              const skv_found **out);
/* The factors of one way, solved and closed. */
skive_status skv_lowrank_factors(skv_lowrank *l, size_t site, const skv_way *way, skv_factors *f);
/* The decompositions of a large site, by all methods several times its room, go: what is chosen is decomposed again. */
void skv_lowrank_forget(skv_lowrank *l, size_t site);
/* Fills the ways of all sites. */
skive_status skv_lowrank_list(skv_lowrank *l);
/* A way of this rank: its costs and what it loses; rank 0 of the second kind is chosen by the record. */
skive_status skv_lowrank_way(skv_lowrank *l, size_t site, const skv_factorization *m, skv_rank r, skv_way *out);
void skv_lowrank_cost(const skv_site *s, const skv_factorization *m, skv_rank r, int64_t *macs, int64_t *parameters);
/* The largest rank that makes the layer smaller with at most so many multiply-accumulates, or rank 1 where none is so
 * small; a is 0 where no rank makes it smaller. */
skv_rank skv_lowrank_rank_within(const skv_site *s, const skv_factorization *m, double macs);
skive_status skv_lowrank_keep(skv_lowrank *l, size_t site, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Chooses among them by the budget, or the limit on the loss; otherwise the best of each. */
skive_status skv_lowrank_choose(skv_lowrank *l);
/* The times of ways of a site, each in a graph of its own. Ways that are measured already stay. */
skive_status skv_lowrank_time(skv_lowrank *l, size_t site, skv_way *ways, size_t n);
/* A copy of the model with what was chosen. */
skive_status skv_lowrank_make(skv_lowrank *l, skive_graph **out);
/* The same with each layer fitted to its outputs in the original, behind the layers before it as they are then. */
skive_status skv_lowrank_make_refitted(skv_lowrank *l, skive_graph **out);
/* The factors of one way as found and solved, not closed; the site is open. */
skive_status skv_lowrank_find(skv_lowrank *l, size_t site, const skv_way *way, skv_factors *f);
/* What `site` becomes is known: errors for the report; the factors are closed, and of no more use than their links. */
skive_status skv_lowrank_settle(skv_lowrank *l, size_t site, const skv_way *way, skv_factors *f);
/* By how much moments of so many rows are shrunk towards a multiple of the identity, *level, and that is done. */
double skv_moments_shrink(double *m, int64_t d, double rows, double *level);
/* Seconds that a measurement does not tell apart. */
#define SKV_LOWRANK_NOISE 1e-6
/* The rows of the report. */
skive_status skv_lowrank_rows(skv_lowrank *l);
/* Products of two linear layers in a row that are smaller than both become one. */
skive_status skv_lowrank_merge(skive_graph *g, size_t *merged);
/* Multiply-accumulates, parameters; with `timed` the time of a run. */
skive_status skv_lowrank_size(skv_lowrank *l, const skive_graph *g, bool timed, skive_factorize_size *out);

#endif
