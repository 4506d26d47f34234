/* What a limit on the loss of accuracy has decided, of methods that go a part of their way. */
#include <math.h>

#include "cli.h"

void cli_print_trials(const skive_control_report *c, const char *what, int of) {
    const char *const heads[] = {what, "drop", "95 % interval", "<"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t i = 0; i < c->n_trials; i++) {
        const skive_control_trial *one = &c->trials[i];
        if (of)
            cli_table_cell(t, "%zu/%d", one->applied, of);
        else
            cli_table_cell(t, "%zu", one->applied);
        cli_table_cell(t, "%+.2f", one->drop);
        if (isfinite(one->low))
            cli_table_cell(t, "%+.2f to %+.2f", one->low, one->high);
        else
            cli_table_cell(t, "%s", "-");
        cli_table_cell(t, "%s", one->within ? "within the limit" : "too much");
    }
    cli_table_print(t, stdout);
}

void cli_print_control(const skive_control_report *c, int levels, const char *target) {
    if (!c->n_trials) return;
    cli_printf("limit on the loss: %zu of %d parts of the way to the %s; drop in percentage points on %lld validation "
               "samples; %zu evaluations",
               c->applied, levels, target, (long long)c->samples, c->n_trials + 1);
    cli_print_trials(c, "way", levels);
}

json_t *cli_control_json(const skive_control_report *c, int levels) {
    json_t *trials = json_array();
    for (size_t i = 0; i < c->n_trials; i++) {
        const skive_control_trial *t = &c->trials[i];
        json_array_append_new(trials, json_pack("{s:I, s:f, s:b}", "parts", (json_int_t)t->applied, "drop", t->drop,
                                                "within", t->within));
    }
    return json_pack("{s:I, s:i, s:f, s:I, s:o}", "parts", (json_int_t)c->applied, "of", levels, "drop", c->drop,
                     "samples", (json_int_t)c->samples, "trials", trials);
}
