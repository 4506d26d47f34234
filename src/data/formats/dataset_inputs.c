/* inputs: several data sets side by side, each an input of the model under a name: "inputs:image=idx:A,B;table=csv:C".
 * Sample i of each belongs to sample i of the others. A part that gives several inputs itself keeps their names.
 *
 * Labels: those of the only part that has some, or of several parts that agree on every sample. Which parts give the
 * targets may be said by "targets=NAME" (several separated by commas); then they may differ, and each is a target under
 * the name of its part. In a part "\;" is a semicolon and "\\" a backslash. */
#include <inttypes.h>
#include <string.h>

#include "data/data.h"

typedef struct item {
    char *name, *spec;
    skive_dataset *set;
    bool chosen; /* by targets= */
} item;

typedef struct items {
    item *list;
    size_t n;
    char *targets; /* NULL: not said */
} items;

static skive_status wrong(skive_context *ctx, const char *args, const char *why) {
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "data",
                       "data set 'inputs:%s': %s; expected %s (write a semicolon in a part as \\;)", args, why,
                       skv_dataset_inputs.syntax);
}

static void free_items(skive_context *ctx, items *all) {
    for (size_t i = 0; i < all->n; i++) {
        skv_free(ctx, all->list[i].name);
        skv_free(ctx, all->list[i].spec);
    }
    skv_free(ctx, all->list);
    skv_free(ctx, all->targets);
}

static const char *item_end(const char *at) {
    while (*at && *at != ';') at += at[0] == '\\' && (at[1] == ';' || at[1] == '\\') ? 2 : 1;
    return at;
}

/* Backslashes in front of semicolons and backslashes go. */
static skive_status unescape(skive_context *ctx, const char *from, size_t n, char **out) {
    SKV_TRY(skv_strdup_n(ctx, from, n, out));
    char *to = *out;
    for (const char *c = from; c < from + n; c++) {
        if (c[0] == '\\' && c + 1 < from + n && (c[1] == ';' || c[1] == '\\')) c++;
        *to++ = *c;
    }
    *to = '\0';
    return SKIVE_OK;
}

static skive_status add_item(skive_context *ctx, const char *args, const char *at, size_t n, items *all) {
    const char *equals = memchr(at, '=', n);
    if (!equals || equals == at) return wrong(ctx, args, "a part has no name");
    const size_t length = (size_t)(equals - at);
    if (length == 7 && memcmp(at, "targets", length) == 0) {
        if (all->targets) return wrong(ctx, args, "targets= is given twice");
        return skv_strdup_n(ctx, equals + 1, n - length - 1, &all->targets);
    }
    for (size_t i = 0; i < all->n; i++) {
        if (strlen(all->list[i].name) == length && memcmp(all->list[i].name, at, length) == 0)
            return wrong(ctx, args, "two parts have the same name");
    }
    SKV_TRY(skv_grow(ctx, &all->list, all->n, all->n + 1, sizeof *all->list));
    item *one = &all->list[all->n++];
    *one = (item){0};
    SKV_TRY(skv_strdup_n(ctx, at, length, &one->name));
    return unescape(ctx, equals + 1, n - length - 1, &one->spec);
}

static skive_status split(skive_context *ctx, const char *args, items *all) {
    for (const char *at = args; *at;) {
        const char *end = item_end(at);
        SKV_TRY(add_item(ctx, args, at, (size_t)(end - at), all));
        at = *end ? end + 1 : end;
    }
    return all->n ? SKIVE_OK : wrong(ctx, args, "there is no part");
}

/* ---- the parts ---- */

static skive_status open_parts(skive_context *ctx, const skive_dataset_options *options, items *all,
                               skive_dataset *ds) {
    for (size_t i = 0; i < all->n; i++) {
        skive_dataset_options o = *options;
        o.input = all->list[i].name;
        const skive_status status = skv_dataset_open_child(ctx, ds, all->list[i].spec, &o, &all->list[i].set);
        if (status != SKIVE_OK)
            return skv_fail_prefix(ctx, status, "part '%.*s'", skv_utf8_prefix(all->list[i].name, 120),
                                   all->list[i].name);
    }
    return SKIVE_OK;
}

static const char *test_text(const skive_dataset *set) {
    return set->separate_test ? "has test samples of its own" : "has no test samples of its own";
}

static const char *validation_text(const skive_dataset *set) {
    return set->separate_validation ? "has validation samples of its own" : "has no validation samples of its own";
}

/* Samples behind one that a part has passed over would stand beside others than they belong to. */
static skive_status check_whole(skive_context *ctx, const items *all, const skive_dataset *ds) {
    for (size_t i = 0; all->n > 1 && i < all->n; i++) {
        const skive_dataset *set = all->list[i].set;
        if (!set->passed_over) continue;
        return skv_fail_at(ctx, SKIVE_ERR_DATA, ds->spec,
                           "%s: part '%s' has left out %zu of its samples (%s), so that those behind %s would stand "
                           "beside samples of the other parts that they do not belong to; remove the same samples from "
                           "the files of all parts%s",
                           ds->spec, all->list[i].name, set->passed_over,
                           set->left_out ? "files that cannot be read" : "rows with gaps or empty lines",
                           set->passed_over == 1 ? "it" : "them",
                           set->content == SKV_CONTENT_TABLE ? ", or fill the gaps (gaps=mean)" : "");
    }
    return SKIVE_OK;
}

/* Parts whose splits are made in different ways would give samples that do not belong together. */
static skive_status check_parts(skive_context *ctx, const items *all, skive_dataset *ds) {
    const item *a = &all->list[0];
    SKV_TRY(check_whole(ctx, all, ds));
    for (size_t i = 1; i < all->n; i++) {
        const item *b = &all->list[i];
        if (b->set->total != a->set->total)
            return skv_fail_at(ctx, SKIVE_ERR_DATA, ds->spec, "%s: part '%s' has %zu samples, but part '%s' has %zu",
                               ds->spec, a->name, a->set->total, b->name, b->set->total);
        if (b->set->separate_test != a->set->separate_test)
            return skv_fail_at(ctx, SKIVE_ERR_DATA, ds->spec, "%s: part '%s' %s, but part '%s' %s", ds->spec, a->name,
                               test_text(a->set), b->name, test_text(b->set));
        if (b->set->separate_validation != a->set->separate_validation)
            return skv_fail_at(ctx, SKIVE_ERR_DATA, ds->spec, "%s: part '%s' %s, but part '%s' %s", ds->spec, a->name,
                               validation_text(a->set), b->name, validation_text(b->set));
    }
    ds->total = a->set->total;
    ds->separate_test = a->set->separate_test;
    ds->separate_validation = a->set->separate_validation;
    return SKIVE_OK;
}

static skive_status add_inputs(skive_context *ctx, const items *all, skive_dataset *ds) {
    for (size_t i = 0; i < all->n; i++) {
        const item *one = &all->list[i];
        if (one->set->n_inputs == 0) SKV_TRY(skv_dataset_add_input(ctx, ds, one->name, one->set));
        for (size_t k = 0; k < one->set->n_inputs; k++)
            SKV_TRY(skv_dataset_add_input(ctx, ds, one->set->inputs[k].name, one->set->inputs[k].set));
    }
    return SKIVE_OK;
}

/* ---- targets ---- */

static bool has_answer(const skive_dataset *set) { return set->labels || set->targets; }

static skive_status choose(skive_context *ctx, items *all, const skive_dataset *ds) {
    for (const char *at = all->targets; at && *at;) {
        const size_t n = strcspn(at, ",");
        item *found = NULL;
        for (size_t i = 0; i < all->n && !found; i++) {
            if (strlen(all->list[i].name) == n && memcmp(all->list[i].name, at, n) == 0) found = &all->list[i];
        }
        if (!found)
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "data", "%s: targets=%s: there is no part '%.*s'", ds->spec,
                               all->targets, (int)n, at);
        if (!has_answer(found->set) && ds->options.targets != SKIVE_TARGETS_NONE)
            return skv_fail_at(ctx, SKIVE_ERR_DATA, "data", "%s: part '%s' has neither labels nor targets", ds->spec,
                               found->name);
        found->chosen = true;
        at += n + (at[n] == ',');
    }
    return SKIVE_OK;
}

static bool same_names(const skive_dataset *a, const skive_dataset *b) {
    if (!a->class_names || !b->class_names) return true;
    for (int64_t i = 0; i < a->classes && i < b->classes; i++) {
        if (strcmp(a->class_names[i], b->class_names[i]) != 0) return false;
    }
    return a->classes == b->classes;
}

/* Several parts have labels, and nobody said which count: they must be the same. */
static skive_status check_agree(skive_context *ctx, const skive_dataset *ds, const item *a, const item *b) {
    const skive_dataset *x = a->set, *y = b->set;
    if (!x->labels || !y->labels || !same_names(x, y))
        return skv_fail_at(ctx, SKIVE_ERR_DATA, ds->spec,
                           "%s: parts '%s' and '%s' have different %s; say whose count with targets=%s", ds->spec,
                           a->name, b->name, x->labels && y->labels ? "classes" : "targets", a->name);
    for (size_t i = 0; i < x->total; i++) {
        if (x->labels[i] == y->labels[i]) continue;
        return skv_fail_at(ctx, SKIVE_ERR_DATA, ds->spec,
                           "%s: sample %zu has label %" PRId32 " in part '%s', but %" PRId32
                           " in part '%s'; say whose count with targets=%s",
                           ds->spec, i, x->labels[i], a->name, y->labels[i], b->name, a->name);
    }
    return SKIVE_OK;
}

static skive_status add_all_answers(skive_context *ctx, skive_dataset *ds, const item *one, bool several) {
    skive_dataset *set = one->set;
    if (set->n_answers == 0) return skv_dataset_add_answer(ctx, ds, several ? one->name : NULL, set);
    for (size_t k = 0; k < set->n_answers; k++)
        SKV_TRY(skv_dataset_add_answer(ctx, ds, set->answers[k].name, set->answers[k].set));
    return SKIVE_OK;
}

static skive_status add_answers(skive_context *ctx, items *all, skive_dataset *ds) {
    const item *first = NULL;
    size_t chosen = 0;
    SKV_TRY(choose(ctx, all, ds));
    if (ds->options.targets == SKIVE_TARGETS_NONE) return SKIVE_OK; /* the parts were opened without */
    for (size_t i = 0; i < all->n; i++) chosen += all->list[i].chosen;
    for (size_t i = 0; i < all->n; i++) {
        const item *one = &all->list[i];
        if (chosen ? !one->chosen : !has_answer(one->set)) continue;
        if (!chosen && first) {
            SKV_TRY(check_agree(ctx, ds, first, one));
            continue;
        }
        if (!first) first = one;
        if (chosen) SKV_TRY(add_all_answers(ctx, ds, one, chosen > 1));
    }
    return !chosen && first ? add_all_answers(ctx, ds, first, false) : SKIVE_OK;
}

static skive_status open_inputs(skive_context *ctx, const char *args, bool test, const skive_dataset_options *options,
                                skive_dataset *ds) {
    items all = {0};
    skive_status status;
    (void)test;
    SKV_GO(status, done, split(ctx, args, &all));
    SKV_GO(status, done, open_parts(ctx, options, &all, ds));
    SKV_GO(status, done, check_parts(ctx, &all, ds));
    SKV_GO(status, done, add_inputs(ctx, &all, ds));
    status = add_answers(ctx, &all, ds);
done:
    free_items(ctx, &all);
    return status;
}

const skv_dataset_kind skv_dataset_inputs = {
    .name = "inputs",
    .syntax = "inputs:NAME=DATA;NAME=DATA...[;targets=NAME,...]",
    .brief = "several data sets side by side, each an input of the model under a name",
    .needs_args = true,
    .open = open_inputs,
};
