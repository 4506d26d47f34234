/* Dry runs: what a command would do, as text and as JSON. */
#include "cli.h"

void cli_print_dry_run(void) { cli_printf("dry run: nothing was trained, and nothing was written"); }

void cli_print_scope(const skive_train_scope *s, int64_t epochs, const skive_train_options *o) {
    static const char *const heads[] = {"<parameter", "<role", "numbers", "<trained"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char x[32], name[CLI_SHORT];
    for (size_t i = 0; i < s->n_parameters; i++) {
        const skive_train_parameter *p = &s->parameters[i];
        cli_table_cell(t, "%s", cli_short(p->name, name, sizeof name));
        cli_table_cell(t, "%s", p->role);
        cli_table_cell(t, "%s", cli_thousands(p->count, x, sizeof x));
        if (p->trained)
            cli_table_cell(t, "yes%s", p->decays && o->weight_decay > 0 ? ", with weight decay" : "");
        else
            cli_table_cell(t, "no: %s", p->why);
    }
    cli_table_print(t, stdout);
    cli_part("would train %s numbers", cli_thousands(s->trained, x, sizeof x));
    cli_part(" and leave %s as they are", cli_thousands(s->kept, x, sizeof x));
    cli_printf(": %lld epoch%s by %s, learning rate %g, %lld samples a step", (long long)epochs, epochs == 1 ? "" : "s",
               o->optimizer, o->learning_rate, (long long)o->batch);
}

json_t *cli_scope_json(const skive_train_scope *s, int64_t epochs, const skive_train_options *o) {
    json_t *rows = json_array();
    for (size_t i = 0; i < s->n_parameters; i++) {
        const skive_train_parameter *p = &s->parameters[i];
        json_t *row = json_pack("{s:o, s:s, s:I, s:b, s:b}", "name", cli_json_text(p->name), "role", p->role, "count",
                                (json_int_t)p->count, "trained", p->trained, "decays", p->decays);
        if (p->why) json_object_set_new(row, "why", json_string(p->why));
        json_array_append_new(rows, row);
    }
    return json_pack("{s:b, s:o, s:I, s:I, s:I, s:s, s:f, s:I}", "dry_run", true, "parameters", rows, "trained",
                     (json_int_t)s->trained, "kept", (json_int_t)s->kept, "epochs", (json_int_t)epochs, "optimizer",
                     o->optimizer, "learning_rate", o->learning_rate, "batch", (json_int_t)o->batch);
}

skive_status cli_tell_training(const cli_job *j) {
    cli_args *a = j->a;
    const skive_train_options *o = j->how;
    skive_train_scope s;
    const skive_status status = skive_train_scope_of(a->ctx, j->graph, o, &s);
    if (status != SKIVE_OK) return status;
    if (a->json) {
        json_t *json = cli_scope_json(&s, o->epochs, o);
        if (j->work->dry_json) j->work->dry_json(j, json);
        cli_print_json(json);
    } else {
        cli_print_scope(&s, o->epochs, o);
        cli_print_dry_run();
    }
    skive_train_scope_free(a->ctx, &s);
    return SKIVE_OK;
}
