/* The fit of a regression. The loss is taken on standardised targets, and while it runs the last layer is kept in
 * their scale (see scale.h); what comes out gives the targets' own units. */
#include <math.h>

#include "graph/meta_keys.h"
#include "data/data.h"
#include "train/head/goals.h"
#include "train/scale.h"
#include "train/train.h"

enum { PROBE = 512 };

/* Correlation of outputs and targets, and the outputs' own mean and deviation, all in standardised units. */
typedef struct likeness {
    double mean, std, correlation, error;
} likeness;

static likeness compare(const float *out, const float *target, int64_t n, int64_t size, int64_t k, double mean,
                        double std, bool pooled) {
    double x = 0, y = 0, xx = 0, yy = 0, xy = 0, dd = 0, count = 0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t c = pooled ? 0 : k; c < (pooled ? size : k + 1); c++) {
            const double a = ((double)out[i * size + c] - mean) / std, b = ((double)target[i * size + c] - mean) / std;
            x += a;
            y += b;
            xx += a * a;
            yy += b * b;
            xy += a * b;
            dd += (a - b) * (a - b);
            count++;
        }
    }
    const double vx = xx / count - x / count * (x / count), vy = yy / count - y / count * (y / count);
    return (likeness){.mean = x / count,
                      .std = vx > 1e-24 ? sqrt(vx) : 0,
                      .correlation = vx > 1e-24 && vy > 0 ? (xy / count - x / count * (y / count)) / sqrt(vx * vy) : 0,
                      .error = dd / count};
}

/* How the model does before training: in standardised units, a pair for each of the scale. */
static skive_status probe(skive_context *ctx, const skv_fit *fit, const skv_targets *targets, const skv_goal *goal,
                          const skv_target_scale *scale, likeness *is, bool *bad) {
    const int64_t size = targets->size;
    float *out = NULL, *wanted = NULL;
    int64_t n = 0;
    skive_status status;
    *bad = false;
    SKV_GO(status, done, skv_alloc_array(ctx, PROBE * (size_t)size, sizeof *out, &out));
    SKV_GO(status, done, skv_alloc_array(ctx, PROBE * (size_t)size, sizeof *wanted, &wanted));
    SKV_GO(status, done, skv_first_outputs(ctx, fit->model, fit->train, goal, PROBE, out, wanted, &n));
    for (int64_t k = 0; k < scale->n && n > 0; k++) {
        is[k] = compare(out, wanted, n, size, k, scale->mean[k], scale->std[k], scale->n == 1);
        *bad = *bad || is[k].error > 1;
    }
done:
    skv_free(ctx, out);
    skv_free(ctx, wanted);
    return status;
}

/* A model that is not trained yet, or for other units, answers worse than the mean would. Its last layer is brought to
 * the targets' mean and a share of their deviation, as good a start as any; outputs that do better are left as they
 * are. */
static skive_status bring_near(skive_context *ctx, const skv_last_layer *l, const skv_target_scale *scale,
                               const likeness *is) {
    double *factor = NULL, *shift = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)scale->n, sizeof *factor, &factor));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)scale->n, sizeof *shift, &shift));
    for (int64_t k = 0; k < scale->n; k++) {
        factor[k] = 1;
        if (!(is[k].error > 1)) continue;
        factor[k] = is[k].std > 0 ? fmin(1, fmax(0.3, is[k].correlation)) / is[k].std : 1;
        shift[k] = -is[k].mean * factor[k];
    }
    skv_last_layer_adjust(l, factor, shift, scale->n);
done:
    skv_free(ctx, factor);
    skv_free(ctx, shift);
    return status;
}

/* No last layer can take the scale in: it stays behind the output. */
static skive_status put_scale_behind(skive_context *ctx, const skv_fit *fit, const skv_head *head,
                                     const skv_target_scale *scale, const likeness *is) {
    double *mean = NULL, *std = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)scale->n, sizeof *mean, &mean));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)scale->n, sizeof *std, &std));
    for (int64_t k = 0; k < scale->n; k++) {
        mean[k] = is[k].mean * scale->std[k] + scale->mean[k];
        std[k] = is[k].std * scale->std[k];
    }
    skv_note(ctx,
             "output '%s' is far from the targets and not the output of a layer with a bias; a Mul and an Add are "
             "appended to it",
             head->value->name);
    SKV_GO(status, done, skv_output_stretch(fit->model, head, scale, mean, std));
    status = skive_graph_infer(fit->model);
done:
    skv_free(ctx, mean);
    skv_free(ctx, std);
    return status;
}

/* `goal`: one of several; NULL: the targets are the only ones. */
static skive_status stretch(skive_context *ctx, const skv_fit *fit, const skv_targets *targets, const skv_goal *goal,
                            const skv_target_scale *scale, skv_last_layer *l, bool *grown) {
    skv_head head;
    likeness *is = NULL;
    bool bad = false;
    skive_status status;
    *grown = false;
    if (skv_rules_know_numbers(fit->rules, fit->n_rules)) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(ctx, (size_t)scale->n, sizeof *is, &is));
    SKV_GO(status, done,
           goal ? skv_head_at(ctx, fit->model, targets, goal->head.output, &head)
                : skv_head_find(ctx, fit->model, targets, &head));
    SKV_GO(status, done, probe(ctx, fit, targets, goal, scale, is, &bad));
    *l = skv_last_layer_of(&head, scale);
    if (l->node) {
        SKV_GO(status, done, skv_params_mark_trainable(fit->model));
        if (l->weight->trainable)
            l->bias->trainable = true; /* one of a single number looks like a constant of a formula */
        SKV_GO(status, done, skv_params_unshare(fit->model));
        SKV_GO(status, done, skv_last_layer_stretch(fit->model, l, scale));
        SKV_GO(status, done, skive_graph_infer(fit->model));
        if (bad) status = bring_near(ctx, l, scale, is);
    } else if (bad && fit->may_grow && !skv_output_reaches(&head, targets, scale)) {
        *grown = true;
        SKV_GO(status, done, skv_params_mark_trainable(fit->model));
        status = put_scale_behind(ctx, fit, &head, scale, is);
    }
done:
    skv_free(ctx, is);
    return status;
}

/* The twin's storages are shared with nobody but the runs' own graphs, which are gone. */
static skive_status take_back(const skv_fit *fit, skv_fit *twin, const skv_last_layer *l, const skv_target_scale *scale,
                              bool grown) {
    if (grown) {
        skive_graph_take(fit->model, twin->model);
        twin->model = NULL;
        return SKIVE_OK;
    }
    if (l->node) {
        SKV_TRY(skv_params_unshare(twin->model));
        skv_last_layer_restore(l, scale);
    }
    skv_params_assign(fit->model, twin->model);
    const char *kind = skive_graph_meta(twin->model, SKV_META_OUTPUT_KIND);
    return kind ? skive_model_set_output(fit->model, NULL, kind) : SKIVE_OK;
}

skive_status skv_fit_values(skive_context *ctx, const skv_fit *fit, const skv_targets *targets,
                            skive_train_report *report, skv_fit_fn run) {
    skv_target_scale scale = {0};
    skv_last_layer last = {0};
    skive_train_report r = {0};
    skv_fit twin = *fit;
    skive_status status, trained;
    bool grown = false;
    twin.model = NULL;
    twin.scale = &scale;
    SKV_GO(status, done, skv_target_scale_of(ctx, fit->train, targets, &scale));
    SKV_GO(status, done, skive_graph_copy(ctx, fit->model, &twin.model));
    SKV_GO(status, done, stretch(ctx, &twin, targets, NULL, &scale, &last, &grown));
    if (scale.n == 1)
        skv_note(ctx, "regression: the loss uses standardised targets (mean %.6g, deviation %.6g)", scale.mean[0],
                 scale.std[0]);
    else
        skv_note(ctx, "regression: the loss uses standardised targets, each of %lld with its own mean and deviation",
                 (long long)scale.n);
    status = trained = run(ctx, &twin, &r);
    if (skv_fit_reached(trained, &r)) {
        SKV_GO(status, done, take_back(fit, &twin, &last, &scale, grown));
        status = trained;
    }
done:
    skive_graph_free(twin.model);
    skv_target_scale_free(ctx, &scale);
    skv_fit_hand_over(ctx, status, &r, report);
    return status;
}

/* ---- several outputs ---- */

static bool is_scaled(const skv_fit *fit, const skv_goal *goal) {
    const skv_loss *loss = goal->loss ? goal->loss : skv_loss_for(fit->options, &goal->head);
    return goal->weight > 0 && goal->head.task == SKIVE_TASK_VALUES && loss->on_output && !loss->raw;
}

static void restore_all(const skv_goals *goals, const skv_last_layer *last) {
    for (size_t k = 0; k < goals->n; k++) {
        if (last[k].node) skv_last_layer_restore(&last[k], &goals->items[k].scale);
    }
}

/* The last layers of all outputs of values, each in the scale of its targets. */
static skive_status stretch_all(skive_context *ctx, skv_fit *twin, skv_goals *goals, skv_last_layer *last) {
    for (size_t k = 0; k < goals->n; k++) {
        skv_goal *goal = &goals->items[k];
        bool grown = false;
        if (!is_scaled(twin, goal)) continue;
        SKV_TRY(skv_target_scale_of(ctx, skv_dataset_answer(twin->train, goal->target), &goal->targets, &goal->scale));
        SKV_TRY(stretch(ctx, twin, &goal->targets, goal, &goal->scale, &last[k], &grown));
    }
    return SKIVE_OK;
}

/* What the run wrote about outputs and classes. */
static skive_status take_meta(skive_graph *to, const skive_graph *from) {
    for (uint32_t i = 0; i < from->n_meta; i++)
        SKV_TRY(skive_graph_set_meta(to, from->meta[i].key, from->meta[i].value));
    return SKIVE_OK;
}

skive_status skv_fit_goals(skive_context *ctx, const skv_fit *fit, skive_train_report *report, skv_fit_fn run) {
    skv_goals goals = {0};
    skv_last_layer *last = NULL;
    skive_train_report r = {0};
    skv_fit twin = *fit;
    skive_status status, trained;
    twin.model = NULL;
    twin.may_grow = false;
    SKV_GO(status, done, skive_graph_copy(ctx, fit->model, &twin.model));
    SKV_GO(status, done, skv_goals_find(ctx, twin.model, fit->train, fit->options->outputs, &goals));
    SKV_GO(status, done, skv_alloc_array(ctx, goals.n, sizeof *last, &last));
    SKV_GO(status, done, stretch_all(ctx, &twin, &goals, last));
    status = trained = run(ctx, &twin, &r);
    if (skv_fit_reached(trained, &r)) {
        SKV_GO(status, done, skv_params_unshare(twin.model));
        restore_all(&goals, last);
        skv_params_assign(fit->model, twin.model);
        SKV_GO(status, done, take_meta(fit->model, twin.model));
        status = trained;
    }
done:
    skv_goals_free(&goals);
    skv_free(ctx, last);
    skive_graph_free(twin.model);
    skv_fit_hand_over(ctx, status, &r, report);
    return status;
}
