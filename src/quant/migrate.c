/* SmoothQuant and the scale search of AWQ; see migrate.h. */
#include "quant/migrate.h"

#include <math.h>
#include <string.h>

#include "quant/gridded.h"
#include "quant/pairs.h"
#include "quant/rounding.h"

enum { STEPS = 20, ROWS = 512 };

typedef struct reader {
    skv_layer l;
    skv_layer_rows rows;
    float *w, *rounded; /* like the weight; w scaled */
    float *x;           /* like the rows, scaled */
    float *real;        /* [groups][n][out] the outputs as they should be */
    float *matrix, *y;  /* [out][k], [n][out] */
} reader;

typedef struct migrating {
    skive_context *ctx;
    skive_graph *g;
    const skive_quantize_options *o;
    skv_migration kind;
    const skv_quantizer *weights, *activations;
    const skv_pair *p;
    reader readers[SKV_PAIR_READERS];
    /* The layer that computes the channels, where its weights have one scale: dividing its channels changes what their
     * rounding loses. Not used otherwise. */
    reader from;
    double *lost;        /* [channels] mean square of what its rounding loses */
    double *of_x, *of_w; /* [channels] */
    float *s, *best;     /* [channels] */
} migrating;

/* The channel of number i of a row of group g. */
static int64_t channel_of(const skv_pair_reader *r, const skv_layer *l, int64_t g, int64_t i) {
    const int64_t taps = l->view.in > 0 ? l->k / l->view.in : 1;
    return (g * l->view.in + i / (taps > 0 ? taps : 1)) / r->inner;
}

static void close_reader(skive_context *ctx, reader *r) {
    void *const each[] = {r->w, r->rounded, r->x, r->real, r->matrix, r->y};
    skv_layer_rows_free(ctx, &r->rows);
    for (size_t i = 0; i < SKV_COUNT(each); i++) skv_free(ctx, each[i]);
}

static void close_readers(migrating *m) {
    for (size_t k = 0; k < m->p->n_readers; k++) close_reader(m->ctx, &m->readers[k]);
    close_reader(m->ctx, &m->from);
    skv_free(m->ctx, m->lost);
    skv_free(m->ctx, m->of_x);
    skv_free(m->ctx, m->of_w);
    skv_free(m->ctx, m->s);
    skv_free(m->ctx, m->best);
}

static void matrix_of(const reader *r, const float *w, int64_t g) {
    for (int64_t o = 0; o < r->l.out; o++)
        for (int64_t i = 0; i < r->l.k; i++) r->matrix[o * r->l.k + i] = w[skv_layer_index(&r->l, g, o, i)];
}

static skive_status open_reader(migrating *m, reader *r, const skive_node *n, const skv_inputs *inputs) {
    if (!skv_layer_of(n, &r->l)) return SKV_FAIL(m->ctx, SKIVE_ERR_INTERNAL, "node '%s' is no product", n->name);
    SKV_TRY(skv_layer_rows_take(m->ctx, m->g, n->inputs[0]->name, &r->l, inputs, m->o, ROWS, &r->rows));
    const size_t weights = (size_t)skive_tensor_count(r->l.w), outputs = (size_t)(r->rows.n * r->l.out);
    SKV_TRY(skv_alloc_array(m->ctx, weights, sizeof(float), &r->w));
    SKV_TRY(skv_alloc_array(m->ctx, weights, sizeof(float), &r->rounded));
    SKV_TRY(skv_alloc_array(m->ctx, (size_t)(r->l.groups * r->rows.n * r->l.k), sizeof(float), &r->x));
    SKV_TRY(skv_alloc_array(m->ctx, outputs * (size_t)r->l.groups, sizeof(float), &r->real));
    SKV_TRY(skv_alloc_array(m->ctx, (size_t)(r->l.out * r->l.k), sizeof(float), &r->matrix));
    SKV_TRY(skv_alloc_array(m->ctx, outputs, sizeof(float), &r->y));
    for (int64_t g = 0; g < r->l.groups; g++) {
        matrix_of(r, r->l.w->data, g);
        SKV_TRY(skv_layer_product(m->ctx, r->rows.n, r->l.out, r->l.k, r->rows.x + g * r->rows.n * r->l.k, r->matrix,
                                  NULL, r->real + g * (int64_t)outputs));
    }
    return SKIVE_OK;
}

/* How large activations and weights of each channel are. */
static void look(migrating *m) {
    for (size_t k = 0; k < m->p->n_readers; k++) {
        const reader *r = &m->readers[k];
        const int64_t each = r->l.groups * r->l.k / m->p->channels;
        const double count = (double)r->rows.n * (double)each;
        for (int64_t g = 0; k == 0 && g < r->l.groups; g++) {
            for (int64_t i = 0; i < r->rows.n * r->l.k; i++) {
                const int64_t c = channel_of(&m->p->readers[k], &r->l, g, i % r->l.k);
                const double x = fabs((double)r->rows.x[g * r->rows.n * r->l.k + i]);
                if (m->kind == SKV_AWQ)
                    m->of_x[c] += x / count;
                else if (x > m->of_x[c])
                    m->of_x[c] = x;
            }
        }
        for (int64_t i = 0; i < skive_tensor_count(r->l.w); i++) {
            const int64_t c = skv_pair_input(&m->p->readers[k], r->l.w, i);
            const double w = fabs((double)((const float *)r->l.w->data)[i]);
            if (w > m->of_w[c]) m->of_w[c] = w;
        }
    }
}

static void set_factors(migrating *m, double alpha) {
    double mean = 0, n = 0;
    for (int64_t c = 0; c < m->p->channels; c++) {
        const bool dead = !(m->of_x[c] > 0) || !(m->of_w[c] > 0);
        const double s = dead                 ? 0
                         : m->kind == SKV_AWQ ? pow(m->of_x[c], alpha)
                                              : pow(m->of_x[c], alpha) / pow(m->of_w[c], 1 - alpha);
        m->s[c] = s > 1e-8 && s < 1e8 ? (float)s : 0;
        if (m->s[c] > 0) mean += log((double)m->s[c]), n += 1;
    }
    /* All by one factor changes nothing: around 1, and channels that say nothing stay. */
    const double middle = n > 0 ? exp(mean / n) : 1;
    for (int64_t c = 0; c < m->p->channels; c++) {
        const double s = m->s[c] > 0 ? (double)m->s[c] / middle : 1;
        m->s[c] = (float)(s < 1e-4 ? 1e-4 : s > 1e4 ? 1e4 : s);
    }
}

static skive_status round_reader(migrating *m, size_t k) {
    reader *r = &m->readers[k];
    const skv_pair_reader *pr = &m->p->readers[k];
    skive_tensor scaled = *r->l.w;
    skv_gridded c = {0};
    scaled.data = r->w;
    for (int64_t i = 0; i < skive_tensor_count(r->l.w); i++)
        r->w[i] = ((const float *)r->l.w->data)[i] * m->s[skv_pair_input(pr, r->l.w, i)];
    skv_gridded_lay_out(&c, m->weights, &r->l.view, &scaled);
    const skive_status status = skv_gridded_round(m->ctx, &c, r->rounded);
    skv_gridded_free(m->ctx, &c);
    if (status != SKIVE_OK) return status;
    const int64_t n = r->rows.n * r->l.k;
    double low = 0, high = 0;
    for (int64_t g = 0; g < r->l.groups; g++) {
        for (int64_t i = 0; i < n; i++) {
            const float x = r->rows.x[g * n + i] / m->s[channel_of(pr, &r->l, g, i % r->l.k)];
            r->x[g * n + i] = x;
            if ((double)x < low) low = (double)x;
            if ((double)x > high) high = (double)x;
        }
    }
    skv_grid_params p;
    if (m->kind == SKV_AWQ) return SKIVE_OK;
    const skv_quantizer q = skv_quantizer_from(m->activations, low);
    q.grid->solve_range(&q, low, high, &p);
    skv_grid_fake(&q, &p, r->x, n * r->l.groups, r->x);
    return SKIVE_OK;
}

static bool changes_from(const migrating *m) { return m->weights->per == SKV_PER_TENSOR && !m->p->normalises; }

/* What rounding the divided channels of `from` loses, in its outputs as they were. */
static skive_status lose_from(migrating *m) {
    reader *r = &m->from;
    skive_tensor scaled = *r->l.w;
    skv_gridded c = {0};
    const int64_t n = skive_tensor_count(r->l.w), rows = r->rows.n;
    scaled.data = r->w;
    for (int64_t i = 0; i < n; i++)
        r->w[i] = ((const float *)r->l.w->data)[i] / m->s[skv_pair_output(&r->l.view, r->l.w, i)];
    skv_gridded_lay_out(&c, m->weights, &r->l.view, &scaled);
    const skive_status status = skv_gridded_round(m->ctx, &c, r->rounded);
    skv_gridded_free(m->ctx, &c);
    if (status != SKIVE_OK) return status;
    for (int64_t i = 0; i < n; i++)
        r->rounded[i] = (r->rounded[i] - r->w[i]) * m->s[skv_pair_output(&r->l.view, r->l.w, i)];
    for (int64_t g = 0; g < r->l.groups; g++) {
        matrix_of(r, r->rounded, g);
        SKV_TRY(
            skv_layer_product(m->ctx, rows, r->l.out, r->l.k, r->rows.x + g * rows * r->l.k, r->matrix, NULL, r->y));
        for (int64_t o = 0; o < r->l.out; o++) {
            double sum = 0;
            for (int64_t i = 0; i < rows; i++) sum += (double)r->y[i * r->l.out + o] * (double)r->y[i * r->l.out + o];
            m->lost[g * r->l.out + o] = sum / (double)rows;
        }
    }
    return SKIVE_OK;
}

/* The same behind the readers, as if it were independent of channel to channel. */
static skive_status add_from(migrating *m, double *sum) {
    SKV_TRY(lose_from(m));
    for (size_t k = 0; k < m->p->n_readers; k++) {
        const reader *r = &m->readers[k];
        for (int64_t i = 0; i < skive_tensor_count(r->l.w); i++) {
            const double w = (double)((const float *)r->l.w->data)[i];
            *sum += w * w * m->lost[skv_pair_input(&m->p->readers[k], r->l.w, i)] * (double)r->rows.n;
        }
    }
    return SKIVE_OK;
}

static skive_status error_of(migrating *m, double *sum) {
    *sum = 0;
    if (changes_from(m)) SKV_TRY(add_from(m, sum));
    for (size_t k = 0; k < m->p->n_readers; k++) {
        reader *r = &m->readers[k];
        const int64_t outputs = r->rows.n * r->l.out;
        SKV_TRY(round_reader(m, k));
        for (int64_t g = 0; g < r->l.groups; g++) {
            matrix_of(r, r->rounded, g);
            SKV_TRY(skv_layer_product(m->ctx, r->rows.n, r->l.out, r->l.k, r->x + g * r->rows.n * r->l.k, r->matrix,
                                      NULL, r->y));
            for (int64_t i = 0; i < outputs; i++) {
                const double d = (double)r->y[i] - (double)r->real[g * outputs + i];
                *sum += d * d;
            }
        }
    }
    return SKIVE_OK;
}

static skive_status search(migrating *m, skive_quantize_fit *told) {
    const size_t bytes = (size_t)m->p->channels * sizeof(float);
    for (int64_t c = 0; c < m->p->channels; c++) m->s[c] = m->best[c] = 1;
    SKV_TRY(error_of(m, &told->before));
    told->after = told->before;
    for (int i = m->kind == SKV_AWQ; i <= STEPS; i++) {
        double error;
        set_factors(m, (double)i / STEPS);
        SKV_TRY(error_of(m, &error));
        if (!(error < told->after)) continue;
        told->after = error;
        told->alpha = (double)i / STEPS;
        memcpy(m->best, m->s, bytes);
    }
    told->channels = m->p->channels;
    told->kept = isnan(told->alpha) ? m->p->channels : 0;
    return isnan(told->alpha) ? SKIVE_OK : skv_pair_scale(m->g, m->p, m->best);
}

static skive_status migrate(migrating *m, const skv_inputs *inputs, skive_quantize_fit *told) {
    const size_t channels = (size_t)m->p->channels + 1;
    skive_status status = SKIVE_OK;
    for (size_t k = 0; k < m->p->n_readers; k++)
        SKV_GO(status, done, open_reader(m, &m->readers[k], m->p->readers[k].node, inputs));
    if (changes_from(m)) SKV_GO(status, done, open_reader(m, &m->from, m->p->from, inputs));
    SKV_GO(status, done, skv_alloc_array(m->ctx, channels, sizeof(double), &m->lost));
    SKV_GO(status, done, skv_alloc_array(m->ctx, channels, sizeof(double), &m->of_x));
    SKV_GO(status, done, skv_alloc_array(m->ctx, channels, sizeof(double), &m->of_w));
    SKV_GO(status, done, skv_alloc_array(m->ctx, channels, sizeof(float), &m->s));
    SKV_GO(status, done, skv_alloc_array(m->ctx, channels, sizeof(float), &m->best));
    look(m);
    status = search(m, told);
done:
    close_readers(m);
    return status;
}

skive_status skv_quant_migrate(skive_context *ctx, skive_graph *g, const skive_quantize_options *o, skv_migration kind,
                               const skv_inputs *inputs, const skv_quantizer *weights, const skv_quantizer *activations,
                               skive_quantize_report *report) {
    const char *name = kind == SKV_AWQ ? "awq" : "smooth";
    skv_pairs pairs = {0};
    skv_progress progress;
    skive_status status;
    SKV_GO(status, done, skv_pairs_find(ctx, g, true, &pairs));
    if (pairs.n == 0)
        skv_note(ctx,
                 "%s: no layer's inputs come from a layer or normalisation that could take factors: nothing is done",
                 name);
    skv_progress_start(&progress, ctx, name, (double)pairs.n);
    for (size_t i = 0; i < pairs.n; i++) {
        migrating m = {.ctx = ctx,
                       .g = g,
                       .o = o,
                       .kind = kind,
                       .weights = weights,
                       .activations = activations,
                       .p = &pairs.items[i]};
        SKV_GO(status, done, skv_grow(ctx, &report->fits, report->n_fits, report->n_fits + 1, sizeof *report->fits));
        skive_quantize_fit *told = &report->fits[report->n_fits];
        *told = (skive_quantize_fit){.method = name, .alpha = NAN};
        SKV_GO(status, done, skv_strdup(ctx, pairs.items[i].readers[0].node->name, &told->node));
        report->n_fits++;
        SKV_GO(status, done, migrate(&m, inputs, told));
        SKV_GO(status, done, skv_progress_at(&progress, (double)i + 1, "%s", told->node));
    }
done:
    skv_pairs_free(ctx, &pairs);
    return status;
}
