/* Binding rules to parameters, and running them. */
#include <stdio.h>
#include <string.h>

#include "train/train.h"

#define SKV_KIND    rule
#define SKV_ARRAY   rules
#define SKV_RECORDS "train/rules.inc"
#include "base/records.h"
SKV_FAMILY(rule, rules, "rule")

skive_status skv_param_detach(skive_context *ctx, skv_param *p) {
    if (skv_param_is_detached(p)) return SKIVE_OK;
    float *own = NULL;
    SKV_TRY(skv_alloc_array(ctx, (size_t)p->n, sizeof *own, &own));
    memcpy(own, p->weight, (size_t)p->n * sizeof *own);
    p->weight = own;
    return SKIVE_OK;
}

skive_status skv_param_show(skv_param *p) {
    if (!skv_param_is_detached(p)) return SKIVE_OK;
    memcpy(p->seen, p->weight, (size_t)p->n * sizeof *p->seen);
    for (size_t i = 0; i < p->n_rules; i++)
        if (p->rules[i].rule->show) SKV_TRY(p->rules[i].rule->show(p->rules[i].self, p));
    return SKIVE_OK;
}

static const skv_rule_use *use_of(const skv_rule *rule, const skv_rule_use *uses, size_t n, const skv_param *p) {
    for (size_t i = 0; i < n; i++)
        if (uses[i].rule == rule && strcmp(uses[i].parameter, p->value->name) == 0) return &uses[i];
    return NULL;
}

static skive_status parse(const skv_rule_site *at, const skv_rule *rule, const skv_param *p, skv_option_values *out) {
    char owner[300];
    (void)snprintf(owner, sizeof owner, "rule '%s' of '%.*s'", rule->name, skv_utf8_prefix(p->value->name, 200),
                   p->value->name);
    return skv_options_parse(at->ctx, owner, rule->options, rule->n_options, at->use ? at->use->text : NULL, out);
}

skive_status skv_rules_bind(skive_context *ctx, const skive_train_options *o, const skv_rule_use *uses, size_t n_uses,
                            skv_param *p) {
    skv_option_values values;
    skv_rule_site at = {.ctx = ctx, .options = o, .values = &values};
    SKV_TRY(skv_alloc_array(ctx, SKV_COUNT(rules), sizeof *p->rules, &p->rules));
    for (size_t i = 0; i < SKV_COUNT(rules); i++) {
        const skv_rule *rule = rules[i];
        at.use = use_of(rule, uses, n_uses, p);
        if (!at.use && !(rule->asked && rule->asked(&at, p))) continue;
        skv_bound_rule *bound = &p->rules[p->n_rules++];
        bound->rule = rule;
        SKV_TRY(parse(&at, rule, p, &values));
        if (rule->bind) SKV_TRY(rule->bind(&at, p, &bound->self));
    }
    return skv_param_show(p);
}

skive_status skv_rules_check(const skive_graph *g, const skv_rule_use *uses, size_t n_uses) {
    for (size_t i = 0; i < n_uses; i++) {
        const char *name = uses[i].parameter, *rule = uses[i].rule->name;
        const skive_value *v = skive_graph_find_value(g, name);
        if (!v || !v->storage)
            return skv_fail_at(g->ctx, SKIVE_ERR_ARGUMENT, name,
                               "there is a %s for '%s', which is not a parameter of the model", rule, name);
        if (!v->trainable && uses[i].rule->of_trained)
            return skv_fail_at(g->ctx, SKIVE_ERR_ARGUMENT, name,
                               "the %s of '%s' cannot change, because the parameter is not trained; exclude it", rule,
                               name);
    }
    return SKIVE_OK;
}

void skv_rules_before(skv_param *p, const skv_step *s) {
    for (size_t i = 0; i < p->n_rules; i++)
        if (p->rules[i].rule->before) p->rules[i].rule->before(p->rules[i].self, p, s);
}

skive_status skv_rules_after(skv_param *p, const skv_step *s) {
    for (size_t i = 0; i < p->n_rules; i++)
        if (p->rules[i].rule->after) p->rules[i].rule->after(p->rules[i].self, p, s);
    return skv_param_show(p);
}

skive_status skv_rules_states(const skv_param *p, skv_states *s) {
    for (size_t i = 0; i < p->n_rules; i++)
        if (p->rules[i].rule->states) SKV_TRY(p->rules[i].rule->states(p->rules[i].self, p, s));
    return SKIVE_OK;
}

void skv_rules_unbind(skive_context *ctx, skv_param *p) {
    for (size_t i = 0; i < p->n_rules; i++)
        if (p->rules[i].rule->unbind) p->rules[i].rule->unbind(ctx, p->rules[i].self);
    skv_free(ctx, p->rules);
    if (skv_param_is_detached(p)) skv_free(ctx, p->weight);
    p->rules = NULL;
    p->n_rules = 0;
}

bool skv_rules_know_numbers(const skv_rule_use *uses, size_t n_uses) {
    for (size_t i = 0; i < n_uses; i++)
        if (uses[i].rule->knows_numbers) return true;
    return false;
}
