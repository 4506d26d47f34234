/* The text form of a teaching term. */
#include <stdio.h>
#include <string.h>

#include "train/terms/term.h"

static const char *text_of(const skv_loss *loss, const skv_option_values *v, const char *name) {
    return skv_option_index(loss->options, loss->n_options, name) < loss->n_options ? skv_option_text(v, name) : NULL;
}

static skive_status bind(skive_context *ctx, const skv_loss *loss, skv_term_text *store, skv_term *out) {
    const char *student = text_of(loss, &store->values, "student"), *teacher = text_of(loss, &store->values, "teacher");
    const bool asked = skv_option_on(&store->values, "auto");
    if (!student != !teacher)
        return skv_fail_at(
            ctx, SKIVE_ERR_ARGUMENT, loss->name,
            "term '%s' names a value of the %s only; name the other with %s=, or neither to have them found",
            loss->name, student ? "student" : "teacher", student ? "teacher" : "student");
    if (student && (!*student || !*teacher))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, loss->name,
                           "term '%s' has an empty name behind %s=; name a value there, or leave both out to have "
                           "them found",
                           loss->name, *student ? "teacher" : "student");
    if (asked && student)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, loss->name, "term '%s' names values and asks to find them (auto)",
                           loss->name);
    out->pairs = !student;
    if (!student) return SKIVE_OK;
    (void)snprintf(store->feature, sizeof store->feature, "%s", student);
    (void)snprintf(store->example, sizeof store->example, "%s", teacher);
    out->feature = store->feature;
    out->example = store->example;
    return SKIVE_OK;
}

static skive_status bind_own(skive_context *ctx, const skv_loss *loss, skv_term_text *store, skv_term *out) {
    const char *value = skv_option_text(&store->values, "value"), *by = skv_option_text(&store->values, "by");
    if (skv_option_integer(&store->values, "of") > 0)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, loss->name,
                           "term '%s' compares values of the model itself and has no teacher; leave of= out",
                           loss->name);
    if ((!value && !by) || (value && !*value) || (by && !*by))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, loss->name,
                           "term '%s' needs the name of the scores that learn, value=NAME, or of those that teach, "
                           "by=NAME",
                           loss->name);
    (void)snprintf(store->feature, sizeof store->feature, "%s", value ? value : "");
    (void)snprintf(store->example, sizeof store->example, "%s", by ? by : "");
    out->feature = value ? store->feature : NULL;
    out->example = by ? store->example : NULL;
    return SKIVE_OK;
}

/* Schedules of a weight have no options, and none that waits for figures of validation. */
static skive_status check_schedule(skive_context *ctx, const char *text) {
    const char *at = strstr(text, "schedule=");
    if (!at) return SKIVE_OK;
    at += strlen("schedule=");
    const size_t length = strcspn(at, ",");
    if (memchr(at, ':', length))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "term",
                           "schedule=%.*s: the schedule of a term takes no options; write schedule=%.*s", (int)length,
                           at, (int)strcspn(at, ":"), at);
    if (length == strlen("plateau") && strncmp(at, "plateau", length) == 0)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "term",
                           "schedule=plateau follows figures of validation, which the weight of a term does not; take "
                           "another, such as cosine");
    return SKIVE_OK;
}

skive_status skv_term_parse(skive_context *ctx, const char *text, double temperature, skv_term_text *store,
                            skv_term *out, double *alone) {
    size_t index = 0;
    if (strlen(text) >= sizeof store->text)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "term", "a term has more than %zu letters", sizeof store->text - 1);
    (void)snprintf(store->text, sizeof store->text, "%s", text);
    SKV_TRY(check_schedule(ctx, text));
    SKV_TRY(skv_family_pick(ctx, &skv_teaching_family, "term", store->text, &index, &store->values));
    const skv_loss *loss = skv_teaching_at(index);
    const char *schedule = skv_option_text(&store->values, "schedule");
    const int64_t of = skv_option_integer(&store->values, "of");
    *out = (skv_term){.loss = loss,
                      .text = store->text,
                      .weight = skv_option_real(&store->values, "weight"),
                      .course = schedule ? skv_schedule_find(schedule) : NULL,
                      .teacher = of > 0                 ? (size_t)of - 1
                                 : loss->needs_features ? 0
                                                        : SKV_ALL_TEACHERS,
                      .temperature = temperature};
    *alone = skv_option_real(&store->values, "alone");
    if (out->weight == 0)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, loss->name, "term '%s' has the weight 0 and would have no effect",
                           loss->name);
    if (loss->own) return bind_own(ctx, loss, store, out);
    return loss->needs_features ? bind(ctx, loss, store, out) : SKIVE_OK;
}
