/* Which parameters a run of training changes: by role, by what the caller names, and what is said of it. */
#include <stdio.h>
#include <string.h>

#include "base/context.h"
#include "graph/shared.h"
#include "graph/unknown.h"
#include "tensor/tensor.h"
#include "train/scale.h"
#include "train/train.h"

enum { SHOWN = 4, MANY = 16 };

/* ---- patterns ---- */

const char *skv_param_known_as(const skive_value *v) {
    const skive_value *weight = skv_shared_weight_of(v);
    return weight ? weight->name : v->name;
}

/* What training itself has put into the graph is none of the model's. */
static bool is_float_parameter(const skive_value *v) {
    return v->storage && skv_dtype_is_float(v->type.dtype) &&
           strncmp(v->name, SKV_OWN_VALUES, strlen(SKV_OWN_VALUES)) != 0;
}

static skive_status set_matching(skive_graph *g, const char *pattern, bool trainable) {
    bool any = false;
    for (uint32_t i = 0; i < g->n_values; i++) {
        skive_value *v = g->values[i];
        if (!is_float_parameter(v) ||
            !(skv_name_matches(pattern, v->name) || skv_name_matches(pattern, skv_param_known_as(v))))
            continue;
        any = true;
        v->trainable = trainable;
    }
    return any ? SKIVE_OK : skv_fail_no_parameter(g->ctx, SKIVE_ERR_NOT_FOUND, g, pattern);
}

static skive_status set_all(skive_graph *g, const char *patterns, bool trainable) {
    char *copy = NULL;
    if (!patterns) return SKIVE_OK;
    SKV_TRY(skv_strdup(g->ctx, patterns, &copy));
    skive_status status = SKIVE_OK;
    char *rest = copy;
    for (char *one; status == SKIVE_OK && (one = strsep(&rest, ",")) != NULL;)
        if (*one) status = set_matching(g, one, trainable);
    skv_free(g->ctx, copy);
    return status;
}

static bool names_trained(const skive_graph *g, const char *pattern) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        if (is_float_parameter(v) && v->trainable &&
            (skv_name_matches(pattern, v->name) || skv_name_matches(pattern, skv_param_known_as(v))))
            return true;
    }
    return false;
}

/* A pattern may take some out of what another names, but not all of it. */
static skive_status check_contradiction(skive_graph *g, const skive_train_options *o) {
    char *copy = NULL;
    if (!o->train || !o->freeze) return SKIVE_OK;
    SKV_TRY(skv_strdup(g->ctx, o->train, &copy));
    skive_status status = SKIVE_OK;
    char *rest = copy;
    for (char *one; status == SKIVE_OK && (one = strsep(&rest, ",")) != NULL;)
        if (*one && !names_trained(g, one))
            status = skv_fail_at(g->ctx, SKIVE_ERR_ARGUMENT, "train",
                                 "all that train '%s' names is frozen by freeze '%s': leave one of them out", one,
                                 o->freeze);
    skv_free(g->ctx, copy);
    return status;
}

/* What is unfrozen is trained, if not from the start. Each pattern must match something. */
static skive_status set_later(skive_graph *g, const skive_train_options *o) {
    char *copy = NULL;
    if (!o->unfreeze) return SKIVE_OK;
    SKV_TRY(skv_strdup(g->ctx, o->unfreeze, &copy));
    skive_status status = SKIVE_OK;
    char *rest = copy;
    for (char *entry; status == SKIVE_OK && (entry = strsep(&rest, ";")) != NULL;) {
        const char *colon = strchr(entry, ':');
        if (colon) status = set_all(g, colon + 1, true);
    }
    skv_free(g->ctx, copy);
    return status;
}

/* ---- what is told ---- */

typedef struct names {
    const char *shown[SHOWN];
    size_t n;
} names;

static void add(names *to, const char *name) {
    for (size_t i = 0; i < to->n && i < SHOWN; i++)
        if (strcmp(to->shown[i], name) == 0) return;
    if (to->n < SHOWN) to->shown[to->n] = name;
    to->n++;
}

static void write_names(skv_text *t, const names *of, const char *what) {
    if (of->n == 0) return;
    skv_text_add(t, "%s", t->length ? "; " : "not trained: ");
    for (size_t i = 0; i < of->n && i < SHOWN; i++) skv_text_add(t, "%s%s", i ? ", " : "", of->shown[i]);
    if (of->n > SHOWN) skv_text_add(t, " and %zu more", of->n - SHOWN);
    skv_text_add(t, " (%s)", what);
}

static skive_status tell_trained(const skive_graph *g, const skv_role *roles) {
    static const struct {
        skv_role role;
        const char *one, *many;
    } kinds[] = {{SKV_ROLE_WEIGHT, "weight", "weights"}, {SKV_ROLE_TABLE, "table", "tables"},
                 {SKV_ROLE_BIAS, "bias", "biases"},      {SKV_ROLE_SCALE, "scale", "scales"},
                 {SKV_ROLE_SHIFT, "shift", "shifts"},    {SKV_ROLE_STATISTIC, "statistic", "statistics"},
                 {SKV_ROLE_CONSTANT, "other", "others"}};
    size_t count[SKV_ROLES] = {0}, parameters = 0;
    int64_t numbers = 0;
    skv_text t;
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        if (!v->storage || !v->trainable) continue;
        count[roles[i] == SKV_ROLE_DATA ? SKV_ROLE_CONSTANT : roles[i]]++;
        parameters++;
        numbers += skv_type_count(&v->type);
    }
    skv_text_init(&t, g->ctx);
    skv_text_add(&t, "trained: %zu parameter%s of %lld number%s (", parameters, parameters == 1 ? "" : "s",
                 (long long)numbers, numbers == 1 ? "" : "s");
    bool first = true;
    for (size_t k = 0; k < SKV_COUNT(kinds); k++) {
        const size_t n = count[kinds[k].role];
        if (n == 0) continue;
        skv_text_add(&t, "%s%zu %s", first ? "" : ", ", n, n == 1 ? kinds[k].one : kinds[k].many);
        first = false;
    }
    skv_text_add(&t, ")");
    return skv_text_note_once(&t);
}

/* Lone numbers are parts of formulas; statistics follow the data by themselves. */
static skive_status tell_others(const skive_graph *g, const skv_role *roles) {
    names constants = {.n = 0}, frozen = {.n = 0};
    skv_text t;
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        if (!is_float_parameter(v) || v->trainable || skv_type_count(&v->type) < 2 || roles[i] == SKV_ROLE_STATISTIC)
            continue;
        add(skv_role_is_learned(roles[i]) ? &frozen : &constants, skv_param_known_as(v));
    }
    skv_text_init(&t, g->ctx);
    write_names(&t, &frozen, "frozen, or of an operator without a gradient");
    write_names(&t, &constants, "constants; --train NAME trains one");
    return skv_text_note_once(&t);
}

static bool is_ruled(const skv_rule_use *rules, size_t n, const skive_value *v) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rules[i].parameter, v->name) == 0) return true;
    }
    return false;
}

/* Zeros of a model that was pruned elsewhere; who comes with rules for a weight knows what its zeros are. */
static void tell_zeros(const skive_graph *g, const skive_train_options *o, const skv_role *roles,
                       const skv_rule_use *rules, size_t n_rules) {
    for (uint32_t i = 0; i < g->n_values && !o->keep_zeros; i++) {
        const skive_value *v = g->values[i];
        const skive_tensor *t = skv_value_tensor(v);
        if (!t || t->dtype != SKIVE_F32 || !v->trainable || v->keeps_zeros || !skv_role_decays(roles[i])) continue;
        if (is_ruled(rules, n_rules, v)) continue;
        const float *x = t->data;
        const int64_t n = skive_tensor_count(t);
        int64_t zero = 0;
        for (int64_t k = 0; k < n; k++) zero += x[k] == 0;
        if (n < MANY || 2 * zero < n) continue;
        skv_note(g->ctx,
                 "%.0f %% of '%s' are zeros, but the model does not record that they were pruned, so training changes "
                 "them; use --keep-zeros all to keep the zeros of all weights",
                 100.0 * (double)zero / (double)n, v->name);
        return;
    }
}

skive_status skv_params_choose(skive_graph *g, const skive_train_options *o, const skv_rule_use *rules,
                               size_t n_rules) {
    skv_role *roles = NULL;
    SKV_TRY(set_all(g, o->train, true));
    SKV_TRY(set_all(g, o->freeze, false));
    SKV_TRY(set_later(g, o));
    SKV_TRY(check_contradiction(g, o));
    SKV_TRY(skv_graph_roles(g->ctx, g, &roles));
    skive_status status = tell_trained(g, roles);
    if (status == SKIVE_OK) status = tell_others(g, roles);
    tell_zeros(g, o, roles, rules, n_rules);
    skv_free(g->ctx, roles);
    return status;
}

/* ---- zeros ---- */

static const char *const zeros[] = {"pruned", "all", "none"};

const char *skv_keep_zeros_name(size_t i) { return i < SKV_COUNT(zeros) ? zeros[i] : NULL; }

bool skv_keeps_zeros(const skive_train_options *o, const skive_value *v, skv_role role) {
    const char *which = o->keep_zeros ? o->keep_zeros : "pruned";
    if (strcmp(which, "all") == 0) return skv_role_decays(role);
    return strcmp(which, "pruned") == 0 && v->keeps_zeros;
}
