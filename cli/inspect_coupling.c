/* skive inspect --coupling: which channels can only be removed together, and what keeps the others. */
#include <stdlib.h>
#include <string.h>

#include <skive/coupling.h>
#include <skive/simplify.h>

#include "cli.h"

/* Channels of one pattern: the same axes of the same parameters. */
typedef struct group {
    size_t first, channels;
} group;

typedef struct view {
    skive_coupling *k;
    group *groups;
    size_t n;
} view;

/* What prune makes of a model before it looks: shapes that are constants, and constants that nobody shares. */
static skive_status prepare(cli_args *a, skive_graph *g) {
    static const char *const passes[] = {"fold-constants", "plain-shapes"};
    skive_simplify_options o = skive_simplify_options_default();
    o.passes = passes;
    o.n_passes = CLI_COUNT(passes);
    skive_status status = skive_graph_to_inference(g);
    if (status == SKIVE_OK) status = skive_simplify(a->ctx, g, &o, NULL);
    return status == SKIVE_OK ? skive_graph_untie_constants(g) : status;
}

static skive_status find_groups(view *v) {
    const size_t channels = skive_coupling_count(v->k);
    int family = -1, most = -1;
    for (size_t i = 0; i < channels; i++) {
        skive_coupling_get(v->k, i, NULL, NULL, &family);
        if (family > most) most = family;
    }
    v->n = (size_t)(most + 1);
    v->groups = calloc(v->n + 1, sizeof *v->groups);
    if (!v->groups) return SKIVE_ERR_MEMORY;
    for (size_t i = 0; i < channels; i++) {
        skive_coupling_get(v->k, i, NULL, NULL, &family);
        group *g = &v->groups[family];
        if (g->channels++ == 0) g->first = i;
    }
    return SKIVE_OK;
}

/* Runs of slices of one axis of a parameter; false behind the last. *at moves on; `count` may be more than one. */
static bool next_axis(const skive_channel_slice *s, size_t n, size_t *at, const skive_channel_slice **out,
                      size_t *count) {
    while (*at < n && !skive_value_data(s[*at].value)) ++*at;
    if (*at == n) return false;
    *out = &s[*at];
    *count = 0;
    while (*at < n && s[*at].value == (*out)->value && s[*at].axis == (*out)->axis) {
        ++*at;
        ++*count;
    }
    return true;
}

static bool touches(const view *v, size_t number, const skive_coupling_layer *l) {
    const skive_channel_slice *slices, *s;
    size_t n, at = 0, count;
    skive_coupling_get(v->k, v->groups[number].first, &slices, &n, NULL);
    while (next_axis(slices, n, &at, &s, &count))
        if (s->value == l->value && s->axis == l->axis) return true;
    return false;
}

/* "1, 4" */
static void groups_of(const view *v, const skive_coupling_layer *l, char *text, size_t size) {
    size_t used = 0;
    snprintf(text, size, "-");
    for (size_t i = 0; i < v->n && used < size; i++)
        if (touches(v, i, l)) used += (size_t)snprintf(text + used, size - used, "%s%zu", used ? ", " : "", i + 1);
}

static void print_layers(const view *v) {
    static const char *const heads[] = {"<layer", "<channels", "were", "can go", "group", "<why the others stay"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    skive_coupling_layer l;
    char name[CLI_SHORT], by[CLI_SHORT], groups[64];
    for (size_t i = 0; skive_coupling_layer_get(v->k, i, &l); i++) {
        groups_of(v, &l, groups, sizeof groups);
        cli_table_cell(t, "%s", cli_short(skive_value_name(l.value), name, sizeof name));
        cli_table_cell(t, "%s", l.channels);
        cli_table_cell(t, "%lld", (long long)l.count);
        cli_table_cell(t, "%lld", (long long)l.removable);
        cli_table_cell(t, "%s", groups);
        cli_table_cell(t, "%s%s%s", l.why ? l.why : "", l.why && l.by ? ": " : "",
                       l.why && l.by ? cli_short(l.by, by, sizeof by) : "");
    }
    cli_table_print(t, stdout);
}

static void print_group(const view *v, size_t number) {
    const group *g = &v->groups[number];
    const skive_channel_slice *slices, *s;
    size_t n, at = 0, count;
    const char *mixes = skive_coupling_mixes(v->k, g->first);
    skive_coupling_get(v->k, g->first, &slices, &n, NULL);
    cli_part("group %zu, %zu channel%s:", number + 1, g->channels, g->channels == 1 ? "" : "s");
    while (next_axis(slices, n, &at, &s, &count)) {
        cli_part(" %s[%d]", skive_value_name(s->value), s->axis);
        if (count > 1) cli_part(" x%zu", count);
    }
    if (mixes) cli_part("; %s", mixes);
    cli_end_line();
}

static json_t *axes_json(const view *v, size_t number) {
    const skive_channel_slice *slices, *s;
    size_t n, at = 0, count;
    json_t *list = json_array();
    skive_coupling_get(v->k, v->groups[number].first, &slices, &n, NULL);
    while (next_axis(slices, n, &at, &s, &count))
        json_array_append_new(list, json_pack("{s:o, s:i, s:I}", "parameter", cli_json_text(skive_value_name(s->value)),
                                              "axis", s->axis, "slices", (json_int_t)count));
    return list;
}

static void print_as_json(const view *v) {
    json_t *layers = json_array(), *groups = json_array();
    skive_coupling_layer l;
    for (size_t i = 0; skive_coupling_layer_get(v->k, i, &l); i++) {
        json_t *of = json_array();
        for (size_t k = 0; k < v->n; k++)
            if (touches(v, k, &l)) json_array_append_new(of, json_integer((json_int_t)k + 1));
        json_array_append_new(layers,
                              json_pack("{s:o, s:i, s:s, s:I, s:I, s:o, s:o, s:o}", "parameter",
                                        cli_json_text(skive_value_name(l.value)), "axis", l.axis, "channels",
                                        l.channels, "count", (json_int_t)l.count, "removable", (json_int_t)l.removable,
                                        "groups", of, "why", l.why ? cli_json_text(l.why) : json_null(), "by",
                                        l.by ? cli_json_text(l.by) : json_null()));
    }
    for (size_t k = 0; k < v->n; k++) {
        const char *mixes = skive_coupling_mixes(v->k, v->groups[k].first);
        json_array_append_new(groups, json_pack("{s:I, s:I, s:o, s:o}", "group", (json_int_t)k + 1, "channels",
                                                (json_int_t)v->groups[k].channels, "parameters", axes_json(v, k),
                                                "mixes", mixes ? cli_json_text(mixes) : json_null()));
    }
    cli_print_json(json_pack("{s:o, s:o, s:I}", "layers", layers, "groups", groups, "removable",
                             (json_int_t)skive_coupling_count(v->k)));
}

skive_status cli_inspect_coupling(cli_args *a, skive_graph *g) {
    view v = {0};
    skive_status status = prepare(a, g);
    if (status == SKIVE_OK) status = skive_coupling_create(g, &v.k);
    if (status == SKIVE_OK) status = find_groups(&v);
    if (status == SKIVE_OK && a->json) {
        print_as_json(&v);
    } else if (status == SKIVE_OK) {
        print_layers(&v);
        if (v.n) printf("\nwhat goes together, as parameter[axis]; a channel has one index along each:\n");
        for (size_t i = 0; i < v.n; i++) print_group(&v, i);
        cli_printf("%zu channel%s can be removed (skive prune --granularity channel)", skive_coupling_count(v.k),
                   skive_coupling_count(v.k) == 1 ? "" : "s");
    }
    free(v.groups);
    skive_coupling_free(v.k);
    return status;
}
