/* The result of quantization with a limit on the loss of accuracy, as text and as JSON. */
#include <math.h>

#include "cli.h"

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

json_t *cli_quantize_control_json(const skive_quantize_control *c) {
    const skive_control_report *s = &c->search;
    json_t *trials = json_array(), *layers = json_array();
    for (size_t i = 0; i < s->n_trials; i++) {
        const skive_control_trial *t = &s->trials[i];
        json_array_append_new(trials,
                              json_pack("{s:I, s:f, s:o, s:o, s:b}", "quantized", (json_int_t)t->applied, "drop",
                                        t->drop, "low", number(t->low), "high", number(t->high), "within", t->within));
    }
    for (size_t i = 0; i < c->n_layers; i++) {
        const skive_quantize_layer *l = &c->layers[i];
        json_array_append_new(layers, json_pack("{s:o, s:o, s:f, s:b}", "node", cli_json_text(l->node), "op",
                                                cli_json_text(l->op), "sqnr_db", l->sqnr, "quantized", l->quantized));
    }
    json_t *j = json_pack("{s:b, s:I, s:I, s:f, s:f, s:I, s:f, s:I, s:o, s:o}", "feasible", s->feasible, "quantized",
                          (json_int_t)s->applied, "nodes", (json_int_t)c->n_layers, "original", c->original, "drop",
                          s->drop, "samples", (json_int_t)s->samples, "finest", s->finest, "evaluations",
                          (json_int_t)s->n_trials + 1, "trials", trials, "layers", layers);
    if (c->tested)
        json_object_set_new(j, "test",
                            json_pack("{s:I, s:f, s:f, s:o, s:o, s:f}", "samples", (json_int_t)c->test.n, "original",
                                      c->test_original, "drop", c->test_drop, "low", number(c->test_low), "high",
                                      number(c->test_high), "p_value", c->test.p_value));
    return j;
}

static void print_interval(double low, double high) {
    if (isfinite(low)) cli_part(" (95 %% interval %+.2f to %+.2f)", low, high);
}

void cli_quantize_print_control(const skive_quantize_control *c) {
    const skive_control_report *s = &c->search;
    char name[CLI_SHORT];
    cli_printf("accuracy control: %zu of %zu nodes in INT8; drop in percentage points on %lld validation samples, %.2f "
               "%% before; %zu evaluations",
               s->applied, c->n_layers, (long long)s->samples, c->original, s->n_trials + 1);
    cli_print_trials(s, "nodes in INT8", 0);
    if (s->feasible && s->applied < c->n_layers) cli_printf("put back to float, the most harmful first:");
    for (size_t i = c->n_layers; s->feasible && i-- > s->applied;)
        cli_printf("    %s  %s  alone: SQNR %.1f dB", cli_short(c->layers[i].node, name, sizeof name), c->layers[i].op,
                   c->layers[i].sqnr);
    if (!c->tested) return;
    cli_part("test: %lld samples, %.2f %% before, drop %+.2f points", (long long)c->test.n, c->test_original,
             c->test_drop);
    print_interval(c->test_low, c->test_high);
    cli_end_line();
}
