/* Evaluation: accuracy with its uncertainty, per-class figures, paired comparison, speed. */
#ifndef SKIVE_EVAL_H
#define SKIVE_EVAL_H

#include <skive/data.h>
#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_eval_report {
    int64_t n, correct, correct_top5;
    double accuracy, low, high; /* Wilson score interval, 95 % (Wilson 1927) */
    double top5;
    double loss; /* mean cross-entropy of softmax(output 0) */
    int64_t classes;
    int64_t *confusion;              /* [true][predicted] */
    int32_t *predicted;              /* [n] */
    uint8_t *hit;                    /* [n] predicted == label */
    double *precision, *recall, *f1; /* [classes]; NaN when undefined */
    double seconds, samples_per_second;
} skive_eval_report;

/* Runs the classifier over the whole set. Normalisation is the model's own (metadata). Output 0 is scores [n][classes].
 * Errors: DATA when set and model do not fit; NUMERIC when a score is NaN, naming the sample; as skive_plan_create. Free with skive_eval_report_free. */
SKIVE_API skive_status skive_evaluate(skive_context *ctx, const skive_graph *graph, skive_dataset *dataset,
                                      int64_t batch, skive_eval_report *out);
SKIVE_API void skive_eval_report_free(skive_context *ctx, skive_eval_report *report);

typedef struct skive_paired_report {
    int64_t n, both, only_a, only_b, neither; /* right */
    double difference, low, high;             /* accuracy(b) - accuracy(a), 95 % (Newcombe 1998, method 10, paired) */
    double p_value;                           /* exact McNemar test (McNemar 1947) */
    int64_t same_class;                       /* predictions equal, right or wrong */
} skive_paired_report;
/* Compares two evaluations of the same set in the same order. Errors: ARGUMENT when they differ in n. */
SKIVE_API skive_status skive_compare_paired(skive_context *ctx, const skive_eval_report *a, const skive_eval_report *b,
                                            skive_paired_report *out);

typedef struct skive_bench_report {
    size_t runs;
    double min, p50, p90, p99, mean, max; /* seconds a run */
    double throughput;                    /* samples a second at the median */
} skive_bench_report;
/* Times repeated runs of a plan (at least `min_runs` and `min_seconds`, after a warm-up) on random inputs. */
struct skive_plan;
SKIVE_API skive_status skive_bench(skive_context *ctx, const struct skive_plan *plan, int64_t batch, size_t min_runs,
                                   double min_seconds, skive_bench_report *out);
/* The same of a session on inputs of the caller's, one run a sample. Outputs are made and freed in every run. */
struct skive_session;
SKIVE_API skive_status skive_bench_session(skive_context *ctx, struct skive_session *session,
                                           const skive_tensor *inputs, size_t n_inputs, size_t n_outputs,
                                           size_t min_runs, double min_seconds, skive_bench_report *out);

/* Input normalisation stored with a model (keys "skive.input.mean", "skive.input.std"). A model without it takes raw
 * samples in 0..1. */
SKIVE_API skive_status skive_model_set_normalization(skive_graph *graph, const skive_normalization *normalization);
SKIVE_API skive_status skive_model_normalization(const skive_graph *graph, skive_normalization *out);

#ifdef __cplusplus
}
#endif
#endif
