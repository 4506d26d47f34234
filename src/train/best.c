/* Which epoch's parameters are kept: by one or several of the figures of validation; each decides among the epochs that
 * are equal by those before it, and at the end the loss. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "train/metric.h"
#include "train/train.h"

typedef struct measure {
    const char *name;
    size_t at;   /* of the figure in skive_epoch_report */
    double sign; /* 1: more is better */
} measure;
#define FIGURE(member) offsetof(skive_epoch_report, member)
/* Those that have a place of their own in the report; the others are all of metrics.inc. */
static const measure measures[] = {
    {"accuracy", FIGURE(validation_accuracy), 1},
    {"loss", FIGURE(validation_loss), -1},
    {"f1", FIGURE(validation_f1), 1},
    {"rmse", FIGURE(validation_rmse), -1},
    {"r2", FIGURE(validation_r2), 1},
};
enum { LOSS = 1 };

static bool has_place(const char *name) {
    for (size_t i = 0; i < SKV_COUNT(measures); i++)
        if (strcmp(measures[i].name, name) == 0) return true;
    return false;
}

const char *skv_best_name(size_t i) {
    if (i < SKV_COUNT(measures)) return measures[i].name;
    i -= SKV_COUNT(measures);
    for (size_t k = 0; k < skv_metric_count(); k++)
        if (!has_place(skv_metric_name(k)) && i-- == 0) return skv_metric_name(k);
    return NULL;
}

/* The measure that text begins with, which ends at a comma; *rest is behind that, NULL at the end. False: there is none
 * such. */
static bool next(const char *text, const char **rest, measure *out) {
    const char *comma = strchr(text, ',');
    const size_t length = comma ? (size_t)(comma - text) : strlen(text);
    *rest = comma ? comma + 1 : NULL;
    for (size_t i = 0; i < SKV_COUNT(measures); i++) {
        *out = measures[i];
        if (strncmp(out->name, text, length) == 0 && out->name[length] == '\0') return true;
    }
    for (size_t i = 0; i < skv_metric_count(); i++) {
        const skv_metric *m = skv_metric_at(i);
        *out = (measure){m->name, FIGURE(figures) + i * sizeof(double), m->less ? -1 : 1};
        if (strncmp(out->name, text, length) == 0 && out->name[length] == '\0') return true;
    }
    return false;
}

skive_status skv_best_check(skive_context *ctx, const char *by) {
    size_t n = 0;
    measure m;
    for (const char *at = by, *rest; at; at = rest) {
        if (!next(at, &rest, &m))
            return skv_fail_unknown(ctx, SKIVE_ERR_ARGUMENT, "best", "measure of the best epoch", at, skv_best_name);
        if (++n > SKV_BEST_MOST)
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "best", "at most %d measures select the best epoch",
                               SKV_BEST_MOST);
    }
    return SKIVE_OK;
}

const char *skv_best_rule(const char *by, const skive_epoch_report *row) {
    return by ? by : isnan(row->validation_accuracy) ? "loss" : "accuracy";
}

/* Scores so wild that a figure is no number are worse than any. */
static double figure(const measure *m, const skive_epoch_report *row) {
    const double value = m->sign * *(const double *)((const char *)row + m->at);
    return isnan(value) ? -INFINITY : value;
}

double skv_best_figure(const char *by, const skive_epoch_report *row) {
    const char *rest;
    measure m;
    if (isnan(row->validation_loss) || !next(skv_best_rule(by, row), &rest, &m)) return -row->loss;
    return figure(&m, row);
}

skive_status skv_best_better(skive_context *ctx, const char *by, const skive_epoch_report *row, skv_checkpoint *best,
                             bool *better) {
    double figures[SKV_BEST_MOST + 1];
    size_t n = 0;
    for (const char *at = skv_best_rule(by, row), *rest; at; at = rest) {
        measure m;
        if (!next(at, &rest, &m)) break;
        figures[n] = figure(&m, row);
        if (by && isinf(figures[n]) && strcmp(m.name, measures[LOSS].name) != 0)
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "best",
                               "the best epoch cannot be selected by %s, which is not defined for these data; use loss",
                               m.name);
        n++;
    }
    figures[n++] = figure(&measures[LOSS], row);
    size_t k = 0;
    while (k < n - 1 && figures[k] == best->best[k]) k++;
    *better = (best->best_epoch < 1 && !best->started) || figures[k] > best->best[k];
    if (*better) memcpy(best->best, figures, n * sizeof *figures);
    return SKIVE_OK;
}
