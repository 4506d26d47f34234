/* Quantization-aware training: the float model with rounded weights and activations is trained, and becomes integers.
 *
 * Validation during the training runs in the integers that are exported: a plan for inference turns the rounding nodes
 * into them by the passes that the export uses. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "passes/quantized.h"
#include "quant/qat.h"
#include "train/teachers/lesson.h"

/* Batches from which the statistics of BatchNormalization are computed anew before each validation, as published for
 * weights that oscillate between levels (Nagel et al. 2022). Of 64 samples each, they leave an error of the statistics
 * below 1 %. */
enum { RENEWED = 50 };

/* ---- options ---- */

static const char *first_last_name(size_t i) { return i == 0 ? "8" : i == 1 ? "same" : NULL; }

static const char *batchnorm_name(size_t i) {
    static const char *const names[] = {"trained", "frozen", "folded"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

static const skv_option options_of_qat[] = {
    {.name = "weight-rule",
     .type = SKV_OPTION_RECORD,
     .family = &skv_qat_method_family,
     .text = "lsq",
     SKV_FIELD(TEXT, skive_qat_options, weight_rule),
     .brief = "how weights are rounded in training"},
    {.name = "activation-rule",
     .type = SKV_OPTION_RECORD,
     .family = &skv_qat_method_family,
     .text = "lsq",
     SKV_FIELD(TEXT, skive_qat_options, activation_rule),
     .brief = "how activations are rounded in training"},
    {.name = "first-last",
     .type = SKV_OPTION_CHOICE,
     .choices = first_last_name,
     .text = "8",
     SKV_FIELD(TEXT, skive_qat_options, first_last),
     .brief = "bits of the first and the last product"},
    {.name = "batchnorm",
     .type = SKV_OPTION_CHOICE,
     .choices = batchnorm_name,
     .text = "trained",
     SKV_FIELD(TEXT, skive_qat_options, batchnorm),
     .brief = "BatchNormalization in training"},
    {.name = "distill-alpha",
     .type = SKV_OPTION_REAL,
     .most = 1,
     SKV_FIELD(DOUBLE, skive_qat_options, distill_alpha),
     .brief = "weight of a teacher, the float model, in the loss"},
    {.name = "temperature",
     .type = SKV_OPTION_REAL,
     .most = 1000,
     .above = true,
     .fallback = 4,
     .needs = "distill-alpha",
     SKV_FIELD(DOUBLE, skive_qat_options, temperature),
     .brief = "temperature that softens the outputs of teacher and model"},
};

const skv_table skv_qat_table = {"qat", options_of_qat, SKV_LENGTH(options_of_qat), NULL};

skive_qat_options skive_qat_options_default(void) {
    return (skive_qat_options){.size = sizeof(skive_qat_options),
                               .weight_rule = "lsq",
                               .activation_rule = "lsq",
                               .first_last = "8",
                               .batchnorm = "trained",
                               .temperature = 4};
}

skive_train_options skive_qat_train_default(void) {
    skive_train_options o = skive_train_options_default();
    o.epochs = 5;
    o.learning_rate = 0; /* what fits the grids: usual_rate */
    o.warmup_epochs = 0;
    o.weight_decay = 1e-4;
    return o;
}

void skive_qat_report_free(skive_context *ctx, skive_qat_report *r) {
    if (!r) return;
    skive_quantize_report left = {.n_left = r->n_left, .left = r->left};
    for (size_t i = 0; i < r->n_rows; i++) {
        skv_free(ctx, r->rows[i].name);
        skv_free(ctx, r->rows[i].node);
        skv_free(ctx, r->rows[i].grid);
    }
    skv_free(ctx, r->rows);
    skive_train_report_free(ctx, &r->training);
    skive_quantize_report_free(ctx, &left);
    *r = (skive_qat_report){0};
}

/* ---- the report ---- */

/* What the reader of the weight has it from, or else what is called by it: a shared weight may be rounded in several
 * ways. */
static const skive_tensor *codes_of(const skive_graph *g, const skv_qat_point *p) {
    char name[256];
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        if (strcmp(n->name, p->node->name) != 0 || n->n_inputs < 2 || !n->inputs[1]) continue;
        const skive_node *from = n->inputs[1]->producer;
        if (skv_node_is(from, SKV_OP_DEQUANTIZE_LINEAR)) return skv_value_tensor(from->inputs[0]);
    }
    (void)snprintf(name, sizeof name, "%.230s_quantized", p->value->name);
    const skive_value *v = skive_graph_find_value(g, name);
    return v ? skv_value_tensor(v) : NULL;
}

static double zeros_of(const skive_graph *g, const skv_qat_point *p) {
    const skive_tensor *t = codes_of(g, p);
    if (!t) return NAN;
    const int64_t n = skive_tensor_count(t);
    int64_t zeros = 0;
    for (int64_t i = 0; i < n; i++) zeros += skive_tensor_get(t, i) == 0;
    return n ? (double)zeros / (double)n : NAN;
}

/* `trained` has the steps, `done` the integers; both may be NULL. */
static skive_status report_rows(const skv_qat_plan *p, const skive_graph *trained, const skive_graph *done,
                                skive_qat_report *r) {
    SKV_TRY(skv_alloc_array(p->ctx, p->n + 1, sizeof *r->rows, &r->rows));
    for (size_t i = 0; i < p->n; i++) {
        const skv_qat_point *point = &p->points[i];
        if (point->twin) continue;
        skive_qat_row *row = &r->rows[r->n_rows++];
        *row = (skive_qat_row){.rule = point->rule->method->name,
                               .before = point->before,
                               .after = trained ? skv_qat_step(trained, point) : NAN,
                               .zero_point = point->grid_params.zero_point,
                               .zeros = done && point->node ? zeros_of(done, point) : NAN};
        SKV_TRY(skv_strdup(p->ctx, point->value->name, &row->name));
        SKV_TRY(skv_strdup(p->ctx, point->q.grid->name, &row->grid));
        if (point->node) SKV_TRY(skv_strdup(p->ctx, point->node->name, &row->node));
    }
    for (uint32_t i = 0; i < p->work->n_nodes; i++) r->n_quantized += p->chosen[i];
    return SKIVE_OK;
}

/* Is nothing left of the floats of the weight of point `at`? Its readers all round it, or it is itself what they read.
 * Said for one point of a weight, its first. */
static bool replaces_floats(const skv_qat_plan *p, size_t at) {
    const skive_value *v = p->points[at].value;
    const skv_qat_method *method = p->points[at].rule->method;
    size_t readers = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (!p->points[i].node || p->points[i].value != v) continue;
        if (i < at) return false;
        readers++;
    }
    return method->codebook || method->rule || (readers == v->n_uses && v->output_uses == 0);
}

/* Each weight at the bits of its grid, with a scale for each channel, once for each way in which it is rounded; all
 * other parameters as they are. */
static int64_t packed_bytes(const skv_qat_plan *p, int64_t dense) {
    int64_t bytes = dense;
    for (size_t i = 0; i < p->n; i++) {
        const skv_qat_point *point = &p->points[i];
        if (!point->node) {
            bytes += 5;
            continue;
        }
        const int64_t n = skive_tensor_count(point->weight);
        if (replaces_floats(p, i)) bytes -= n * (int64_t)sizeof(float);
        if (!point->twin)
            bytes += (n * point->bits + 7) / 8 + 4 * (point->axis >= 0 ? point->weight->dims[point->axis] : 1);
    }
    return bytes;
}

static skive_status report_bytes(const skv_qat_plan *p, const skive_graph *done, skive_qat_report *r) {
    skive_cost before, dense, after;
    SKV_TRY(skive_graph_cost(p->work, &before));
    SKV_TRY(skive_graph_cost(p->dense, &dense));
    r->bytes_before = before.parameter_bytes;
    r->packed_bytes = packed_bytes(p, dense.parameter_bytes);
    if (done) SKV_TRY(skive_graph_cost(done, &after));
    r->bytes_after = done ? after.parameter_bytes : 0;
    return SKIVE_OK;
}

static double percent(const skive_eval_report *r) { return 100 * (r->hit ? r->accuracy : r->r2); }

/* ---- the run ---- */

typedef struct awareness {
    skive_context *ctx;
    const skive_qat_options *o;
    const skive_train_options *how;
    skive_dataset *train, *validation, *test;
    skv_qat_plan plan;
    skive_graph *graph; /* that is trained */
    skive_qat_report report;
    skive_eval_report original, before;
} awareness;

/* Quantized without training, on the same grids. */
static skive_status measure_before(awareness *a, const skive_graph *float_model) {
    skive_graph *g = NULL;
    size_t changes = 0;
    if (!a->test) return SKIVE_OK;
    SKV_TRY(skv_evaluate(a->ctx, float_model, a->test, &(skv_evaluation){0}, &a->original));
    SKV_TRY(skv_qat_insert(&a->plan, false, &g));
    skive_status status = skv_quantized_from_training(g, &changes);
    if (status == SKIVE_OK) status = skv_qat_codebooks(&a->plan, g);
    if (status == SKIVE_OK) status = skv_evaluate(a->ctx, g, a->test, &(skv_evaluation){0}, &a->before);
    skive_graph_free(g);
    return status;
}

static void tell_worse(const awareness *a) {
    const skive_paired_report *gain = &a->report.gain;
    if (!(gain->difference < 0)) return;
    skv_note(a->ctx,
             "after the training the model is worse on the test set than before it: %.2f %% instead of %.2f %% "
             "(%+.2f points, 95 %% interval %+.2f to %+.2f)%s; a smaller learning rate (--lr) or more epochs may "
             "help; without --qat the model is quantized without training",
             a->report.after, a->report.before, 100 * gain->difference, 100 * gain->low, 100 * gain->high,
             gain->high < 0 ? "" : ", which may be chance");
}

static skive_status measure_after(awareness *a, const skive_graph *done) {
    skive_eval_report after = {0};
    if (!a->test) return SKIVE_OK;
    skive_status status = skv_evaluate(a->ctx, done, a->test, &(skv_evaluation){0}, &after);
    if (status == SKIVE_OK) status = skive_compare_paired(a->ctx, &a->original, &after, &a->report.test);
    if (status == SKIVE_OK) status = skive_compare_paired(a->ctx, &a->before, &after, &a->report.gain);
    if (status == SKIVE_OK) {
        a->report.tested = true;
        a->report.original = percent(&a->original);
        a->report.before = percent(&a->before);
        a->report.after = percent(&after);
        tell_worse(a);
    }
    skive_eval_report_free(a->ctx, &after);
    return status;
}

static void settings_of(const awareness *a, skv_text *t) {
    static const char *const without[] = {NULL};
    skv_settings_table(t, &skv_qat_table, a->o, without);
    skv_settings_text(t, "weights", a->plan.weight_grid);
    skv_settings_text(t, "activations", a->plan.float_activations ? "float" : a->plan.activation_grid);
    if (strcmp(a->plan.how->multiplier, "fixed") == 0) skv_settings_text(t, "multiplier", "fixed");
    if (a->o->distill && a->o->teacher) {
        skv_settings_input(t, "teacher-", a->o->teacher);
        skv_settings_hash(t, "teacher", skv_settings_model(a->o->teacher));
    }
}

static skive_status fit_on(awareness *a, const skv_objective *objective, skive_dataset *train) {
    skv_text settings;
    skv_text_init(&settings, a->ctx);
    settings_of(a, &settings);
    const skv_qat_method *method = a->plan.weight_rule.method;
    const skv_watcher watcher = method->watcher ? method->watcher(&a->plan) : (skv_watcher){0};
    const skv_fit f = {.model = a->graph,
                       .train = train,
                       .validation = a->validation,
                       .options = a->how,
                       .objective = objective,
                       .rules = a->plan.rules,
                       .n_rules = a->plan.n_rules,
                       .watchers = &watcher,
                       .n_watchers = method->watcher != NULL,
                       .renew_batches = RENEWED,
                       .start_counts = method->watcher == NULL,
                       .what = "quantize",
                       .settings = settings.data};
    const skive_status status =
        settings.status == SKIVE_OK ? skv_fit_run(a->ctx, &f, &a->report.training) : settings.status;
    skv_text_free(&settings);
    return status;
}

/* The labels alone, or what teachers teach besides. */
static skive_status fit(awareness *a, const skive_graph *float_model) {
    const skive_distill_options *o = a->o->distill;
    skv_lesson lesson = {0};
    skive_dataset *both = NULL;
    skive_status status;
    if (!o) return fit_on(a, &skv_objective_labels, a->train);
    SKV_GO(status, done, skv_lesson_make(a->ctx, o, a->o->teacher ? a->o->teacher : float_model, a->graph, &lesson));
    SKV_GO(status, done, skv_objective_check(a->ctx, &lesson.objective));
    SKV_GO(status, done, skv_lesson_join(a->ctx, a->train, o->unlabelled, &both));
    status = fit_on(a, &lesson.objective, both ? both : a->train);
done:
    skive_dataset_free(both);
    skv_lesson_free(&lesson);
    return status;
}

static skive_status check_integers(const awareness *a) {
    for (uint32_t i = 0; i < a->graph->n_nodes; i++) {
        const skive_node *n = a->graph->nodes[i];
        if (skv_node_is(n, SKV_OP_FAKE_QUANTIZE))
            return skv_fail_at(a->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                               "'%s', which rounds to the grid '%s', has no form in integers", n->name,
                               skv_attr_string(n, "grid", ""));
    }
    return SKIVE_OK;
}

/* A run that was stopped is not measured: it would be stopped again. */
static skive_status finish(awareness *a, skive_graph *graph, bool stopped) {
    skive_graph *trained = NULL;
    size_t changes = 0;
    SKV_TRY(skive_graph_copy(a->ctx, a->graph, &trained));
    skive_status status;
    SKV_GO(status, done, skv_quantized_from_training(a->graph, &changes));
    SKV_GO(status, done, skv_qat_codebooks(&a->plan, a->graph));
    SKV_GO(status, done, check_integers(a));
    SKV_GO(status, done, report_rows(&a->plan, trained, a->graph, &a->report));
    SKV_GO(status, done, report_bytes(&a->plan, a->graph, &a->report));
    if (!stopped) SKV_GO(status, done, measure_after(a, a->graph));
    skive_graph_take(graph, a->graph);
    a->graph = NULL;
done:
    skive_graph_free(trained);
    return status;
}

/* The learning rate unless one is given, from what was measured (docs/quantization.md): weights that have few levels
 * must go a long way to the next, a trained network on finer grids is only shaken by large steps, and without
 * statistics of the batch nothing bounds the sums. */
static double usual_rate(const awareness *a) {
    const skv_qat_plan *p = &a->plan;
    const bool few = p->weights.grid->bits <= 2 || (!p->float_activations && p->activations.grid->bits <= 2);
    bool normalised = false;
    for (uint32_t i = 0; i < p->work->n_nodes; i++)
        normalised = normalised || skv_node_is(p->work->nodes[i], SKV_OP_BATCH_NORMALIZATION);
    if (normalised && strcmp(a->o->batchnorm, "frozen") == 0) return 0.0003;
    return few || p->weight_rule.method->codebook ? 0.01 : 0.003;
}

static skive_status choose_rate(const awareness *a, skive_train_options *training) {
    if (training->learning_rate > 0) return SKIVE_OK;
    const bool sgd = strcmp(training->optimizer, "sgd") == 0 || strncmp(training->optimizer, "sgd:", 4) == 0;
    training->learning_rate = sgd ? usual_rate(a) : skive_optimizer_rate(training->optimizer);
    skv_note(a->ctx, "learning rate %g, %s (--lr)", training->learning_rate,
             sgd ? "which fits these grids" : "the optimizer's own");
    return SKIVE_OK;
}

static skive_status run(awareness *a, skive_graph *graph, const skive_quantize_options *how,
                        skive_train_options *training) {
    skive_status stopped;
    SKV_TRY(skv_qat_plan_make(a->ctx, graph, a->o, how, &a->plan));
    SKV_TRY(choose_rate(a, training));
    a->report.left = a->plan.told.left;
    a->report.n_left = a->plan.told.n_left;
    a->plan.told.left = NULL;
    a->plan.told.n_left = 0;
    if (a->o->dry_run) {
        SKV_TRY(report_rows(&a->plan, NULL, NULL, &a->report));
        return report_bytes(&a->plan, NULL, &a->report);
    }
    SKV_TRY(skv_qat_calibrate(&a->plan, a->train));
    SKV_TRY(measure_before(a, graph));
    SKV_TRY(skv_qat_insert(&a->plan, true, &a->graph));
    stopped = fit(a, graph);
    if (stopped != SKIVE_OK && !(stopped == SKIVE_ERR_INTERRUPTED && a->report.training.n_epochs > 0)) return stopped;
    SKV_TRY(finish(a, graph, stopped != SKIVE_OK));
    return stopped;
}

/* Soft labels by the two options of this method, or all that a teacher can teach, as one. */
static skive_status take_lesson(skive_context *ctx, skive_qat_options *o, skive_distill_options *lesson) {
    if (!o->distill && o->distill_alpha == 0) return SKIVE_OK;
    if (!o->distill) {
        lesson->alpha = o->distill_alpha;
        lesson->temperature = o->temperature;
    } else if (o->distill_alpha != 0) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "distill-alpha",
                           "distill-alpha is %g, and `distill` has an alpha of its own; set one of them",
                           o->distill_alpha);
    } else {
        SKV_TRY(skv_options_take(ctx, "skive_distill_options", o->distill, lesson, sizeof *lesson));
        SKV_TRY(skv_table_resolve(ctx, &skv_distill_table, lesson));
    }
    o->distill = lesson;
    return SKIVE_OK;
}

skive_status skive_quantize_aware(skive_context *ctx, skive_graph *graph, skive_dataset *train,
                                  skive_dataset *validation, skive_dataset *test, const skive_qat_options *options,
                                  skive_qat_report *report) {
    SKV_NEED(ctx, "ctx, graph, train", ctx, graph, train || (options && options->dry_run));
    skive_qat_options o = skive_qat_options_default();
    skive_quantize_options how = skive_quantize_options_default();
    skive_distill_options lesson = skive_distill_options_default();
    skive_train_options training = skive_qat_train_default();
    if (report) *report = (skive_qat_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_qat_options", options, &o, sizeof o));
    SKV_TRY(skv_table_resolve(ctx, &skv_qat_table, &o));
    SKV_TRY(take_lesson(ctx, &o, &lesson));
    SKV_TRY(skv_options_take(ctx, "skive_quantize_options", o.quantize, &how, sizeof how));
    SKV_TRY(skv_table_resolve(ctx, &skv_quantize_table, &how));
    SKV_TRY(skv_finetune_options_take(ctx, o.train, &training));
    SKV_TRY(skv_train_options_check(ctx, &training));
    if (training.epochs < 1)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "epochs",
                           "quantization-aware training needs an epoch at least; without training, use skive_quantize");
    awareness a = {.ctx = ctx, .o = &o, .how = &training, .train = train, .validation = validation, .test = test};
    const skive_status status = run(&a, graph, &how, &training);
    skive_eval_report_free(ctx, &a.original);
    skive_eval_report_free(ctx, &a.before);
    skv_qat_plan_free(&a.plan);
    skive_graph_free(a.graph);
    if ((status == SKIVE_OK || status == SKIVE_ERR_INTERRUPTED) && report)
        *report = a.report;
    else
        skive_qat_report_free(ctx, &a.report);
    return status;
}
