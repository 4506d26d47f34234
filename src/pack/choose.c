/* A storage form for each weight, so that the packed file fits a budget of bytes with the least harm.
 *
 * Nothing is estimated: the model is packed once with each of the forms for all weights, which gives the bytes of every
 * parameter in that form, entropy coding included, and its error. The harm of a form is its squared error relative to
 * the weights' own power; harms add up over layers as the noise of independent roundings does. */
#include <string.h>

#include "base/option.h"
#include "pack/file.h"
#include "tune/tune.h"

static const char *const forms[] = {NULL, "f16", "int8", "int8:32", "int4:32", "int4", "int2:32", "ternary"};
enum { FORMS = sizeof forms / sizeof forms[0] };

static const skv_option budget_table[] = {
    {.name = "bytes",
     .type = SKV_OPTION_BUDGET,
     .least = 0,
     .most = 1,
     .above = true,
     .unit = "B",
     .brief = "what the file may take"},
};

typedef struct choosing {
    skive_context *ctx;
    const skive_graph *g;
    skive_pack_options o;
    skive_pack_report reports[FORMS]; /* of all weights in one form */
    size_t n;                         /* rows */
    double rest;                      /* bytes of the file besides the weights */
    skive_choices *layers;            /* [n] of the rows that are weights, in order */
    size_t *row;                      /* [layers] */
    size_t *chosen;
    size_t n_layers;
} choosing;

static skive_status pack_with(choosing *c, const char *weights, const skive_pack_choice *choices, size_t n,
                              skive_pack_report *report) {
    skive_pack_options o = c->o;
    void *bytes = NULL;
    size_t size;
    o.weights = weights;
    o.choices = choices;
    o.n_choices = n;
    const skive_status status = skive_pack_serialize(c->ctx, c->g, &o, &bytes, &size, report);
    skive_pack_free_bytes(c->ctx, bytes);
    return status;
}

/* May the form of this parameter be chosen? Not if the caller has. */
static bool is_free(const choosing *c, const skive_pack_row *row) {
    const skive_value *v = skive_graph_find_value(c->g, row->parameter);
    for (size_t i = 0; i < c->o.n_choices; i++)
        if (strcmp(c->o.choices[i].parameter, row->parameter) == 0) return false;
    return row->weights && row->dtype == SKIVE_F32 && v && v->storage;
}

static skive_status measure(choosing *c) {
    skv_progress progress;
    skv_progress_start(&progress, c->ctx, "pack", FORMS);
    for (size_t f = 0; f < FORMS; f++) {
        SKV_TRY(pack_with(c, forms[f], c->o.choices, c->o.n_choices, &c->reports[f]));
        SKV_TRY(skv_progress_at(&progress, (double)f + 1, "all weights %s", forms[f] ? forms[f] : "as they are"));
        if (c->reports[f].n_rows != c->reports[0].n_rows)
            return SKV_FAIL(c->ctx, SKIVE_ERR_INTERNAL, "the packed model has another number of parameters as %s",
                            forms[f]);
    }
    c->n = c->reports[0].n_rows;
    c->rest = (double)c->reports[0].file_bytes;
    SKV_TRY(skv_alloc_array(c->ctx, c->n + 1, sizeof *c->layers, &c->layers));
    SKV_TRY(skv_alloc_array(c->ctx, c->n + 1, sizeof *c->row, &c->row));
    SKV_TRY(skv_alloc_array(c->ctx, c->n + 1, sizeof *c->chosen, &c->chosen));
    for (size_t i = 0; i < c->n; i++) {
        skive_choice *items = NULL;
        if (!is_free(c, &c->reports[0].rows[i])) continue;
        SKV_TRY(skv_alloc_array(c->ctx, FORMS, sizeof *items, &items));
        for (size_t f = 0; f < FORMS; f++) {
            const skive_pack_row *row = &c->reports[f].rows[i];
            items[f].harm = row->error * row->error;
            items[f].cost[0] = (double)row->bytes;
        }
        c->rest -= (double)c->reports[0].rows[i].bytes;
        c->row[c->n_layers] = i;
        c->layers[c->n_layers++] = (skive_choices){c->reports[0].rows[i].parameter, items, FORMS};
    }
    return SKIVE_OK;
}

static skive_status refuse(const choosing *c, double budget, double least) {
    return skv_fail_at(c->ctx, SKIVE_ERR_GOAL, "bytes",
                       "a file of %.0f bytes cannot be reached by forms of the weights: the least possible is %.0f, of "
                       "which %.0f are the graph, names, biases and parameters with a form of their own",
                       budget, least, c->rest);
}

/* The sizes of sections and lengths in the file's frame may grow by a few bytes: then the weights get as many less. */
static skive_status fit(choosing *c, double budget, skive_pack_choice *choices, size_t *n, skive_pack_fit *out) {
    enum { ATTEMPTS = 8 };
    double room = budget - c->rest;
    for (int i = 0; i < ATTEMPTS; i++) {
        skive_allocation a;
        skive_pack_report report;
        const double none = 0, *within = room > 0 ? &room : &none;
        const skive_status status = skive_allocate(c->ctx, c->layers, c->n_layers, within, 1, c->chosen, &a);
        out->least = (int64_t)(c->rest + a.least[0] + (budget - c->rest - room));
        if (status == SKIVE_ERR_GOAL || room < 0) return refuse(c, budget, (double)out->least);
        SKV_TRY(status);
        *n = 0;
        for (size_t k = 0; k < c->o.n_choices; k++) choices[(*n)++] = c->o.choices[k];
        for (size_t k = 0; k < c->n_layers; k++) {
            const char *form = forms[c->chosen[k]];
            const skive_value *v = skive_graph_find_value(c->g, c->layers[k].layer);
            if (form) choices[(*n)++] = (skive_pack_choice){v->name, form};
        }
        SKV_TRY(pack_with(c, NULL, choices, *n, &report));
        out->file_bytes = (int64_t)report.file_bytes;
        out->harm = a.harm;
        skive_pack_report_free(c->ctx, &report);
        if ((double)out->file_bytes <= budget) return SKIVE_OK;
        room -= (double)out->file_bytes - budget;
    }
    return refuse(c, budget, (double)out->file_bytes);
}

static skive_status choose(choosing *c, const char *text, skive_pack_fit *out) {
    skv_option_values v;
    skive_cost cost;
    skv_options_default(budget_table, 1, &v);
    SKV_TRY(skv_option_set(c->ctx, "pack", &v, 0, text));
    SKV_TRY(skive_graph_cost(c->g, &cost));
    if (c->o.weights)
        return skv_fail_at(c->ctx, SKIVE_ERR_ARGUMENT, "weights",
                           "a budget of bytes chooses the form of each weight: it cannot be combined with one form for "
                           "all weights");
    out->budget = (int64_t)skv_option_budget(&v, "bytes", (double)cost.parameter_bytes);
    SKV_TRY(measure(c));
    SKV_TRY(skv_alloc_array(c->ctx, c->n + c->o.n_choices + 1, sizeof *out->choices, &out->choices));
    return fit(c, (double)out->budget, out->choices, &out->n_choices, out);
}

void skive_pack_fit_free(skive_context *ctx, skive_pack_fit *fit) {
    if (!fit) return;
    skv_free(ctx, fit->choices);
    *fit = (skive_pack_fit){0};
}

skive_status skive_pack_choose(skive_context *ctx, const skive_graph *graph, const char *bytes,
                               const skive_pack_options *options, skive_pack_fit *out) {
    SKV_NEED(ctx, "ctx, graph, bytes, fit", ctx, graph, bytes, out);
    choosing c = {.ctx = ctx, .g = graph, .o = skive_pack_options_default()};
    skive_pack_fit made = {0};
    *out = made;
    SKV_TRY(skv_options_take(ctx, "skive_pack_options", options, &c.o, sizeof c.o));
    c.o.strip_names = false; /* parameters are told apart by their names; without them the file is smaller */
    const skive_status status = choose(&c, bytes, &made);
    for (size_t f = 0; f < FORMS; f++) skive_pack_report_free(ctx, &c.reports[f]);
    for (size_t i = 0; i < c.n_layers; i++) skv_free(ctx, (void *)c.layers[i].items);
    skv_free(ctx, c.layers);
    skv_free(ctx, c.row);
    skv_free(ctx, c.chosen);
    if (status == SKIVE_OK)
        *out = made;
    else
        skive_pack_fit_free(ctx, &made);
    return status;
}
