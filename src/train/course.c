/* See course.h. */
#include "train/train.h"

double skv_schedule_share(const skv_schedule_args *a) {
    const double warmup = a->options->warmup_epochs, length = a->options->epochs - warmup;
    if (a->epoch <= warmup) return 0; /* also where the warm-up is longer than the run */
    return length > 0 && a->epoch < a->options->epochs ? (a->epoch - warmup) / length : 1;
}

double skv_schedule_factor(const skv_schedule *s, const skive_train_options *o, double epoch) {
    skv_option_values values;
    skv_options_default(s->options, s->n_options, &values);
    return s->factor(&(skv_schedule_args){.options = o, .values = &values, .epoch = epoch});
}

skive_status skv_course_start(skive_context *ctx, const skive_train_options *o, skv_course *out) {
    size_t index;
    SKV_TRY(skv_family_pick(ctx, &skv_schedule_family, "schedule", o->schedule, &index, &out->values));
    out->schedule = skv_schedule_at(index);
    out->args = (skv_schedule_args){.options = o, .values = &out->values};
    return out->schedule->check ? out->schedule->check(ctx, &out->args) : SKIVE_OK;
}

double skv_course_rate(skv_course *c, double epoch) {
    const skive_train_options *o = c->args.options;
    const bool warms = !c->schedule->own_warmup && o->warmup_epochs > 0 && epoch < o->warmup_epochs;
    c->args.epoch = epoch;
    return o->learning_rate * (warms ? epoch / o->warmup_epochs : 1.0) * c->schedule->factor(&c->args);
}

void skv_course_watch(skv_course *c, double figure) {
    if (c->schedule->watch) c->schedule->watch(&c->args, figure);
}

skive_status skv_course_states(skv_course *c, skv_states *s) {
    if (!c->schedule->watch) return SKIVE_OK;
    return skv_state(s, "run", "schedule", c->args.state, SKV_SCHEDULE_STATES, sizeof *c->args.state);
}
