/* The dry run of skive distill as JSON. */
#include "distill.h"

static json_t *teachers(const distill_lesson *l) {
    json_t *list = json_array();
    for (size_t i = 0; i < l->n_teachers; i++) {
        json_t *one = json_pack("{s:o}", "file", cli_json_text(l->names[i]));
        if (l->weights[i] > 0) json_object_set_new(one, "weight", json_real(l->weights[i]));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *settings(const distill_lesson *l, const skive_distill_options *o) {
    json_t *list = json_array();
    if (l->mutual > 0) { /* it has a temperature of its own, and no alpha */
        json_array_append_new(list, json_pack("{s:f}", "temperature", o->temperature));
        return list;
    }
    for (size_t i = 0; i < l->n_trials; i++)
        json_array_append_new(
            list, json_pack("{s:f, s:f}", "temperature", l->trials[i].temperature, "alpha", l->trials[i].alpha));
    return list;
}

static void set_given(const cli_job *j, json_t *json, const char *option) {
    if (cli_has(j->a, option)) json_object_set_new(json, option, cli_json_text(cli_text(j->a, option, "")));
}

void distill_dry_json(const cli_job *j, json_t *json) {
    const distill_lesson *l = j->own;
    const skive_distill_options *o = skive_options_distill(j->options);
    const char *assistant = cli_text(j->a, "assistant", NULL);
    if (l->n_tasks)
        json_object_set_new(json, "students", distill_tasks_json(l, true));
    else
        json_object_set_new(json, "student", cli_json_text(cli_text(j->a, "student", "")));
    json_object_set_new(json, "teachers", teachers(l));
    if (l->n_teachers > 1 && o->combine) json_object_set_new(json, "combine", cli_json_text(o->combine));
    json_object_set_new(json, "terms", l->terms ? cli_json_text(l->terms) : json_null());
    json_object_set_new(json, "settings", settings(l, o));
    if (l->heads) json_object_set_new(json, "teacher-heads", cli_json_text(l->heads));
    if (l->classes) json_object_set_new(json, "teacher-classes", cli_json_text(l->classes));
    set_given(j, json, "exits");
    set_given(j, json, "qat");
    set_given(j, json, "unlabelled");
    set_given(j, json, "cache");
    if (l->mutual > 0) json_object_set_new(json, "mutual", json_integer((json_int_t)l->mutual));
    if (assistant) json_object_set_new(json, "assistant", cli_json_text(assistant));
    if (l->generations > 0) json_object_set_new(json, "generations", json_integer((json_int_t)l->generations));
}
