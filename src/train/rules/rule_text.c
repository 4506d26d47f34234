/* Rules that are named in a text: those that the options ask for, and those that the model carries because it was
 * trained under them before. */
#include <string.h>

#include "base/context.h"
#include "graph/meta_keys.h"
#include "graph/unknown.h"
#include "train/train.h"

enum { SHOWN = 4 };

/* One entry of a text, "PATTERN=RULE:OPTIONS" or "RULE:OPTIONS", taken apart in place. */
typedef struct entry {
    char *pattern; /* NULL: all weights */
    char *rule, *options;
} entry;

static entry take_apart(char *text) {
    entry e = {.rule = text};
    char *colon = strchr(text, ':'), *equals = strchr(text, '=');
    if (equals && (!colon || equals < colon)) {
        *equals = '\0';
        e.pattern = text;
        e.rule = equals + 1;
        colon = strchr(e.rule, ':');
    }
    if (colon) {
        *colon = '\0';
        e.options = colon + 1;
    }
    return e;
}

static bool is_meant(const entry *e, const skive_value *v, skv_role role) {
    if (!v->storage || !v->trainable || v->type.dtype != SKIVE_F32) return false;
    return e->pattern ? skv_name_matches(e->pattern, v->name) : skv_role_decays(role);
}

static skive_status push(skive_context *ctx, skv_rule_uses *out, skv_rule_use use) {
    if (out->n == out->room) {
        SKV_TRY(skv_grow(ctx, &out->items, out->room, 2 * out->room + 8, sizeof *out->items));
        out->room = 2 * out->room + 8;
    }
    out->items[out->n++] = use;
    return SKIVE_OK;
}

/* What is said later of the same rule and parameter replaces what was said before. */
static skive_status add(skive_context *ctx, skv_rule_uses *out, const skv_rule *rule, const skive_value *v,
                        const char *text) {
    for (size_t i = 0; i < out->n; i++) {
        if (out->items[i].rule != rule || strcmp(out->items[i].parameter, v->name) != 0) continue;
        out->items[i].text = text;
        return SKIVE_OK;
    }
    return push(ctx, out, (skv_rule_use){.rule = rule, .parameter = v->name, .text = text});
}

static void forget(skv_rule_uses *out, const skive_value *v) {
    size_t n = 0;
    for (size_t i = 0; i < out->n; i++)
        if (strcmp(out->items[i].parameter, v->name) != 0) out->items[n++] = out->items[i];
    out->n = n;
}

static const char *name_of_text_rule(size_t i) {
    for (size_t k = 0; k < skv_rule_count(); k++)
        if (skv_rule_at(k)->example && i-- == 0) return skv_rule_name(k);
    return NULL;
}

static skive_status add_entry(const skive_graph *g, const skv_role *roles, char *text, bool carried,
                              skv_rule_uses *out) {
    const entry e = take_apart(text);
    const bool none = strcmp(e.rule, "none") == 0;
    const skv_rule *rule = skv_rule_find(e.rule);
    bool any = false;
    if (!none && (!rule || !rule->example))
        return skv_fail_unknown(g->ctx, SKIVE_ERR_ARGUMENT, "rules", "rule", e.rule, name_of_text_rule);
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        if (!is_meant(&e, v, roles[i])) continue;
        any = true;
        if (none)
            forget(out, v);
        else
            SKV_TRY(add(g->ctx, out, rule, v, e.options));
    }
    if (any) return SKIVE_OK;
    if (!carried && e.pattern) return skv_fail_no_parameter(g->ctx, SKIVE_ERR_NOT_FOUND, g, e.pattern);
    if (carried)
        skv_note(g->ctx, "the model says that rule '%s' holds for '%s', which is not trained", e.rule,
                 e.pattern ? e.pattern : "its weights");
    return SKIVE_OK;
}

static skive_status add_text(const skive_graph *g, const skv_role *roles, const char *text, bool carried,
                             skv_rule_uses *out) {
    char **copy = &out->texts[carried ? 0 : 1];
    if (!text) return SKIVE_OK;
    SKV_TRY(skv_strdup(g->ctx, text, copy));
    char *rest = *copy;
    bool any = false;
    for (char *one; (one = strsep(&rest, ";\n")) != NULL;) {
        if (!*one) continue;
        SKV_TRY(add_entry(g, roles, one, carried, out));
        any = true;
    }
    if (any || carried) return SKIVE_OK;
    return skv_fail_at(g->ctx, SKIVE_ERR_ARGUMENT, "rules", "'%s' names no rule", text);
}

static skive_status tell(skive_context *ctx, const skv_rule_uses *u) {
    skv_text t;
    skv_text_init(&t, ctx);
    for (size_t i = 0; i < u->n && i < SHOWN; i++)
        skv_text_add(&t, "%s%s%s%s on '%s'", i ? ", " : "rules: ", u->items[i].rule->name, u->items[i].text ? ":" : "",
                     u->items[i].text ? u->items[i].text : "", u->items[i].parameter);
    if (u->n > SHOWN) skv_text_add(&t, " and %zu more", u->n - SHOWN);
    return skv_text_note_once(&t);
}

skive_status skv_rule_uses_collect(const skive_graph *g, const char *text, const skv_rule_use *given, size_t n_given,
                                   skv_rule_uses *out) {
    skv_role *roles = NULL;
    *out = (skv_rule_uses){.n = 0};
    SKV_TRY(skv_graph_roles(g->ctx, g, &roles));
    skive_status status = add_text(g, roles, skive_graph_meta(g, SKV_META_RULES), true, out);
    if (status == SKIVE_OK) status = add_text(g, roles, text, false, out);
    skv_free(g->ctx, roles);
    SKV_TRY(status);
    SKV_TRY(tell(g->ctx, out));
    for (size_t i = 0; i < n_given; i++) SKV_TRY(push(g->ctx, out, given[i]));
    return SKIVE_OK;
}

void skv_rule_uses_free(skive_context *ctx, skv_rule_uses *u) {
    skv_free(ctx, u->items);
    for (size_t i = 0; i < SKV_COUNT(u->texts); i++) skv_free(ctx, u->texts[i]);
    *u = (skv_rule_uses){.n = 0};
}

skive_status skv_rule_uses_carry(const skv_rule_uses *u, skive_graph *model) {
    skv_text t;
    skv_text_init(&t, model->ctx);
    for (size_t i = 0; i < u->n; i++) {
        const skv_rule_use *use = &u->items[i];
        if (!use->rule->example || !skv_value_is_param(skive_graph_find_value(model, use->parameter))) continue;
        skv_text_add(&t, "%s%s=%s%s%s", t.length ? "\n" : "", use->parameter, use->rule->name, use->text ? ":" : "",
                     use->text ? use->text : "");
    }
    skive_status status = t.status;
    if (status == SKIVE_OK && (t.length || skive_graph_meta(model, SKV_META_RULES)))
        status = skive_graph_set_meta(model, SKV_META_RULES, t.length ? t.data : NULL);
    skv_text_free(&t);
    return status;
}
