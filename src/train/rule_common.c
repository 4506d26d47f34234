/* What several rules have in common. */
#include <math.h>
#include <stdlib.h>

#include "train/train.h"

skive_status skv_rule_number(const skv_rule_site *at, const skv_param *p, double least, double most, double *out) {
    const char *text = at->use ? at->use->text : NULL, *rule = at->use ? at->use->rule->name : "";
    char *end = NULL;
    *out = text && *text ? strtod(text, &end) : NAN;
    if (end && *end == '\0' && *out >= least && *out <= most) return SKIVE_OK;
    return skv_fail_at(at->ctx, SKIVE_ERR_ARGUMENT, rule,
                       "rule '%s' of '%s': '%s' is not a number between %g and %g; write %s:NUMBER", rule,
                       p->value->name, text ? text : "", least, most, rule);
}

void skv_param_zero(skv_param *p, const uint8_t *keep) {
    for (int64_t i = 0; i < p->n; i++) p->weight[i] = keep[i] ? p->weight[i] : 0.0f;
    for (int k = 0; k < SKV_OPTIMIZER_STATES && p->state[k]; k++)
        for (int64_t i = 0; i < p->n; i++) p->state[k][i] = keep[i] ? p->state[k][i] : 0.0f;
}

bool skv_param_is_zero(const skv_param *p, const uint8_t *keep) {
    for (int64_t i = 0; i < p->n; i++)
        if (!keep[i] && p->seen[i] != 0) return false;
    return true;
}
