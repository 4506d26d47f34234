/* Figures with options: their text form, and what records read of it. */
#include "train/metrics/choices.h"

#include <stdio.h>
#include <string.h>

static size_t pieces(const char *text) {
    size_t n = 1;
    for (const char *at = text; (at = strchr(at, ';')); at++) n++;
    return n;
}

static skive_status add(skive_context *ctx, const char *piece, skv_scored *s) {
    skv_metric_choice *c = &s->choices[s->n_choices];
    size_t index = 0;
    SKV_TRY(skv_family_pick(ctx, &skv_metric_family, "metrics", piece, &index, &c->values));
    c->metric = skv_metric_at(index);
    for (size_t i = 0; i < s->n_choices; i++)
        if (s->choices[i].metric == c->metric)
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "metrics", "'%s' is asked for twice; name each figure once",
                               c->metric->name);
    s->n_choices++;
    if (c->metric->entitle) c->metric->entitle(s, c->title, sizeof c->title);
    return SKIVE_OK;
}

static skive_status read(skive_context *ctx, char *text, skv_scored *s) {
    for (char *at = text, *end; at; at = end) {
        end = strchr(at, ';');
        if (end) *end++ = '\0';
        SKV_TRY(add(ctx, at, s));
    }
    return SKIVE_OK;
}

skive_status skv_choices_read(skive_context *ctx, const char *text, skv_scored *s) {
    char *own = NULL;
    if (!text) return SKIVE_OK;
    const size_t length = strlen(text) + 1;
    SKV_TRY(skv_alloc_array(ctx, pieces(text), sizeof *s->choices, &s->choices));
    SKV_TRY(skv_alloc_array(ctx, length, 1, &own));
    memcpy(own, text, length);
    const skive_status status = read(ctx, own, s);
    skv_free(ctx, own);
    return status;
}

static skive_status refuse(skive_context *ctx, const skv_metric *m) {
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "metrics",
                       "'%s' is not defined for these data and this output (%s); leave it out", m->name, m->brief);
}

skive_status skv_choices_check(skive_context *ctx, const char *text, unsigned tasks) {
    skv_scored none = {.ctx = ctx};
    skive_status status = skv_choices_read(ctx, text, &none);
    for (size_t i = 0; i < none.n_choices && tasks && status == SKIVE_OK; i++)
        if (!(none.choices[i].metric->tasks & tasks)) status = refuse(ctx, none.choices[i].metric);
    skv_free(ctx, none.choices);
    return status;
}

static skive_status check_class(skive_context *ctx, const skv_metric_choice *c, const skv_scored *s) {
    const int64_t n = s->task == SKIVE_TASK_LABELS ? s->targets : s->classes;
    if (skv_option_index(c->values.options, c->values.n, "class") == c->values.n) return SKIVE_OK;
    const int64_t class = skv_option_integer(&c->values, "class");
    if (class < n) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "metrics", "'%s' of class %lld: there are the classes 0 to %lld",
                       c->metric->name, (long long)class, (long long)n - 1);
}

skive_status skv_choices_fit(skive_context *ctx, const skv_scored *const *scored, size_t n) {
    for (size_t k = 0; n > 0 && k < scored[0]->n_choices; k++) {
        const skv_metric_choice *c = &scored[0]->choices[k];
        bool fits = false;
        for (size_t i = 0; i < n; i++) {
            if (!skv_metric_has(c->metric, scored[i])) continue;
            SKV_TRY(check_class(ctx, c, scored[i]));
            fits = true;
        }
        if (!fits) return refuse(ctx, c->metric);
    }
    return SKIVE_OK;
}

const skv_metric_choice *skv_choice_of(const skv_scored *s, const skv_metric *m) {
    for (size_t i = 0; i < s->n_choices; i++)
        if (s->choices[i].metric == m) return &s->choices[i];
    return NULL;
}

bool skv_figures_chosen_costly(const skv_scored *s) {
    for (size_t i = 0; i < s->n_choices; i++)
        if (s->choices[i].metric->costly) return true;
    return false;
}

static const skv_option *option_of(const skv_metric *m, const char *name) {
    return &m->options[skv_option_index(m->options, m->n_options, name)];
}

double skv_metric_real(const skv_scored *s, const skv_metric *m, const char *name) {
    const skv_metric_choice *c = skv_choice_of(s, m);
    return c ? skv_option_real(&c->values, name) : option_of(m, name)->fallback;
}

int64_t skv_metric_integer(const skv_scored *s, const skv_metric *m, const char *name) {
    const skv_metric_choice *c = skv_choice_of(s, m);
    return c ? skv_option_integer(&c->values, name) : (int64_t)option_of(m, name)->fallback;
}

const char *skv_metric_text(const skv_scored *s, const skv_metric *m, const char *name) {
    const skv_metric_choice *c = skv_choice_of(s, m);
    return c ? skv_option_text(&c->values, name) : option_of(m, name)->text;
}
