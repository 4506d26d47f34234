/* Evaluation: accuracy with its uncertainty, per-class figures, errors of regression, paired comparison, speed. */
#ifndef SKIVE_EVAL_H
#define SKIVE_EVAL_H

#include <skive/data.h>
#include <skive/graph.h>
#include <skive/input.h>
#include <skive/output.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a figure is written. */
typedef enum skive_figure_form {
    SKIVE_FIGURE_PERCENT, /* of 1, as a percentage */
    SKIVE_FIGURE_RATIO,   /* a number around 1, to four places */
    SKIVE_FIGURE_NUMBER   /* in the units of the data, to six digits */
} skive_figure_form;

/* One figure of an evaluation. */
typedef struct skive_figure {
    const char *name;  /* "balanced-accuracy", one of skive_metric_name (static) */
    const char *title; /* "balanced accuracy"; with options "F0.5 micro". Lives as long as the report */
    double value;      /* NaN: not defined for these samples (one class only, no positives, targets that do not vary) */
    double low, high;  /* 95 % interval; NaN: none */
    const char *interval; /* "wilson", "normal", "bootstrap"; NULL: none */
    bool less_is_better;
    skive_figure_form form;
} skive_figure;

/* The figures, in the order of their list; docs/compare.md says what each is. NULL past the end. */
SKIVE_API size_t skive_metric_count(void);
SKIVE_API const char *skive_metric_name(size_t index);
SKIVE_API const char *skive_metric_brief(size_t index);

/* What an evaluation keeps of its samples, for intervals and comparisons. */
struct skive_scored;

/* One sample of an input of the model. */
typedef struct skive_eval_input {
    int rank;
    int64_t dims[SKIVE_MAX_RANK];
} skive_eval_input;

/* Which figures there are depends on the task; the others are NaN, 0 or NULL. */
typedef struct skive_eval_report {
    int64_t n, correct, correct_top5; /* for LABELS, a sample is correct if all its labels are */
    double accuracy, low, high;       /* Wilson score interval, 95 % (Wilson 1927) */
    double top5;
    /* Mean over the samples of the cross-entropy; of sigmoids, of the binary one (mean over a sample's scores); of
     * VALUES, of the squared error. The kind of the output is taken into account (skive/output.h). */
    double loss;
    int64_t classes;                 /* CLASSES; BINARY: 2 */
    int64_t *confusion;              /* [true][predicted]; NULL for more than 4,096 classes */
    int32_t *predicted;              /* [n] class */
    uint8_t *hit;                    /* [n] right? */
    double *precision, *recall, *f1; /* [classes], or [targets] of LABELS; NaN when undefined */
    double seconds, samples_per_second;
    skive_task task;
    skive_output_info output; /* which output was measured; the name lives as long as the graph */
    int64_t targets;          /* values per sample for VALUES, labels for LABELS */
    double mse, rmse, mae;    /* VALUES: over all targets, in the targets' own units */
    /* VALUES: 1 - squared error / squared distance from the mean; averaged over the targets that vary, and for targets
     * of several axes (images) computed over all of them together */
    double r2;
    double *target_rmse, *target_mae, *target_r2; /* [targets] */
    double auc; /* area under the ROC curve: mean over the classes, each against all others, or over the labels */
    double f1_micro,
        f1_macro; /* LABELS: over all decisions, mean over the labels; CLASSES: accuracy, mean over classes */
    double map;   /* mean average precision: over the labels or the classes; of two classes, that of class 1 */
    double *average_precision; /* [targets] of LABELS */
    double *error;             /* [n]: the loss of each sample */
    int64_t measured;          /* samples counted */
    int64_t scores, n_kept;    /* values per sample; samples in `kept` */
    float *kept;               /* [n_kept][scores]: the output for the first samples, at most 256 */
    int sample_rank;           /* of one sample of the model's first input, and its dimensions */
    int64_t sample_dims[SKIVE_MAX_RANK];
    size_t n_inputs;
    skive_eval_input *inputs; /* [n_inputs] of all inputs of the model, in its order */
    size_t n_figures;
    skive_figure *figures;       /* all figures of the task, those above among them */
    struct skive_scored *scored; /* freed with the report */
    /* Of a data set with several targets the name of the one that was measured, otherwise NULL; and the reports of the
     * other targets, each with the output that belongs to it. */
    char *target;
    size_t n_more;
    struct skive_eval_report *more;
} skive_eval_report;

/* Runs the model over the whole set. Layout, scale and normalisation of the input are the model's own (skive/input.h);
 * skive_model_output and the data determine which output is measured and its kind. Errors: DATA if set and model do not
 * match; NUMERIC if an output is NaN, naming the sample; as skive_model_output and skive_plan_create. Free with
 * skive_eval_report_free. */
SKIVE_API skive_status skive_evaluate(skive_context *ctx, const skive_graph *graph, skive_dataset *dataset,
                                      int64_t batch, skive_eval_report *out);
/* The same with figures that have options, "top-k:5;f-beta:beta=0.5,average=micro;iou:class=2": names of
 * skive_metric_name, behind a colon their options (docs/tables.md), and more figures behind ';', each once. Those that
 * are measured anyway take the options; the others are added. NULL: none. Errors: ARGUMENT as well (an unknown figure
 * or option, a figure that these data do not define, a class that there is not). */
SKIVE_API skive_status skive_evaluate_metrics(skive_context *ctx, const skive_graph *graph, skive_dataset *dataset,
                                              int64_t batch, const char *metrics, skive_eval_report *out);
SKIVE_API void skive_eval_report_free(skive_context *ctx, skive_eval_report *report);

/* 95 % intervals of all figures of the report. Of a proportion (accuracy) it is Wilson's, of another mean over the
 * samples the normal one, and of a figure that is no such mean the percentile interval of the bootstrap (Efron 1979):
 * the samples are drawn `resamples` times with replacement, the same ones for the same `seed`, whatever the number of
 * threads. resamples 0: no interval of those. A figure that more than a tenth of the resamples leave undefined gets no
 * interval, and one whose resamples would take too long gets none either, which a note says. Errors: ARGUMENT (more
 * than 100,000 resamples), MEMORY, INTERRUPTED. */
SKIVE_API skive_status skive_eval_intervals(skive_context *ctx, skive_eval_report *report, size_t resamples,
                                            uint64_t seed);

/* A figure of two evaluations. */
typedef struct skive_figure_pair {
    const char *name, *title; /* as in skive_figure; the title is that of report a */
    double a, b;
    double difference, low, high; /* b - a and its 95 % interval; NaN: none */
    const char *interval;         /* "newcombe", "normal", "bootstrap"; NULL: none */
    bool less_is_better;
    skive_figure_form form;
} skive_figure_pair;
/* The figures that both reports have, of the same set in the same order. Samples are paired: of accuracies the interval
 * is Newcombe's for paired proportions, of other means over the samples the normal one of the mean difference, and of
 * the rest the percentile interval of a bootstrap that draws the same samples for both. `resamples` and `seed` as
 * above. *out[n_out] is freed by skive_figure_pairs_free. Errors: ARGUMENT if the reports differ in n or in the task,
 * MEMORY, INTERRUPTED. */
SKIVE_API skive_status skive_compare_figures(skive_context *ctx, const skive_eval_report *a, const skive_eval_report *b,
                                             size_t resamples, uint64_t seed, skive_figure_pair **out, size_t *n_out);
SKIVE_API void skive_figure_pairs_free(skive_context *ctx, skive_figure_pair *pairs);

typedef struct skive_paired_report {
    int64_t n, both, only_a, only_b, neither; /* right */
    double difference, low, high;             /* accuracy(b) - accuracy(a), 95 % (Newcombe 1998, method 10, paired) */
    double p_value;                           /* exact McNemar test (McNemar 1947) */
    int64_t same_class;                       /* equal predictions, right or wrong; -1 if there are no classes */
    /* Differences of the outputs that both reports keep; NaN if they are not comparable: another number of values per
     * sample, or another kind, such as logits and probabilities. */
    double mean_score_difference, max_score_difference;
    int64_t score_samples; /* number of samples of these */
} skive_paired_report;
/* Compares two evaluations of the same set in the same order. For VALUES, the difference is that of the mean squared
 * errors, with the normal interval of the mean of paired differences and the p_value of the z test, without counts.
 * Errors: ARGUMENT if they differ in n or in the task (BINARY and CLASSES are comparable). */
SKIVE_API skive_status skive_compare_paired(skive_context *ctx, const skive_eval_report *a, const skive_eval_report *b,
                                            skive_paired_report *out);

/* ---- without labels ---- */

/* The outputs for some samples: outputs[n_outputs], whose first axis counts the `count` samples; indices[count] are the
 * samples' numbers in the data set. Borrowed during the call. A status that is not OK ends the run. */
typedef skive_status (*skive_predict_fn)(void *user, const size_t *indices, size_t count, const skive_tensor *outputs,
                                         size_t n_outputs);
/* Runs the model over a data set, in its order, and calls `each` with the outputs of every batch. Labels are not
 * needed. How samples become inputs is as in skive_evaluate. batch 0: the default. Errors: DATA if set and model do not
 * match, UNSUPPORTED (an output whose first axis does not count samples), as skive_plan_create, and those of `each`. */
SKIVE_API skive_status skive_predict(skive_context *ctx, const skive_graph *graph, const skive_dataset *dataset,
                                     int64_t batch, skive_predict_fn each, void *user);

/* How far two models agree. */
typedef struct skive_agreement {
    int64_t n, same;         /* samples; those that get the same class from both, or all labels the same */
    double share, low, high; /* same of n, with Wilson's 95 % interval; NaN where answers are no decisions (values) */
    /* Of all numbers of the outputs; NaN if the outputs are of different kinds, such as logits and probabilities. */
    double mean_difference, max_difference; /* absolute */
    double sqnr;                            /* 10 log10(sum a^2 / sum (a - b)^2), dB; infinite if they are equal */
    bool decides, same_kind;
} skive_agreement;
/* Runs two models over the same samples and compares what they answer; labels are not needed. The sets have the same
 * samples in the same order, as each model takes them (they may be one). The output of each model is the one that its
 * metadata name, or the only softmax or sigmoid (skive/output.h). Errors: ARGUMENT (another number of samples), SHAPE
 * (another number of scores), NUMERIC (NaN), as skive_predict. */
SKIVE_API skive_status skive_compare_answers(skive_context *ctx, const skive_graph *a, const skive_graph *b,
                                             const skive_dataset *for_a, const skive_dataset *for_b, int64_t batch,
                                             skive_agreement *out);

typedef struct skive_bench_report {
    size_t runs;
    double min, p50, p90, p99, mean, max; /* seconds a run */
    double throughput;                    /* samples per second at the median */
} skive_bench_report;
/* Times repeated runs of a plan (at least `min_runs` and `min_seconds`, after a warm-up) on random inputs. */
struct skive_plan;
SKIVE_API skive_status skive_bench(skive_context *ctx, const struct skive_plan *plan, int64_t batch, size_t min_runs,
                                   double min_seconds, skive_bench_report *out);
/* The same for a session on inputs of the caller, one run per sample. Outputs are allocated and freed in every run. */
struct skive_session;
SKIVE_API skive_status skive_bench_session(skive_context *ctx, struct skive_session *session,
                                           const skive_tensor *inputs, size_t n_inputs, size_t n_outputs,
                                           size_t min_runs, double min_seconds, skive_bench_report *out);

#ifdef __cplusplus
}
#endif
#endif
