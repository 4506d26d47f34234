/* A figure of an evaluation: one record a file, in metrics.inc. A record reads what the evaluation kept of its samples
 * (skive_scored) and says how good the model is on all of them, or on a resample in which each counts as often as a
 * weight says. Most figures are means over the samples; those state only what one sample gives. */
#ifndef SKV_METRIC_H
#define SKV_METRIC_H

#include <math.h>

#include <skive/eval.h>

#include "base/base.h"
#include "base/option.h"

/* The samples of one column (a class against all others, a label) by falling score. */
typedef struct skv_ranks {
    uint32_t *order; /* [n] */
    uint8_t *opens;  /* [n] 1: the score is lower than the one before */
    uint8_t *truth;  /* [n] in this order: is the sample of the class, has it the label? */
} skv_ranks;

typedef struct skive_scored skv_scored;
/* What an evaluation keeps of its samples, in the order of the set. */
struct skive_scored {
    skive_context *ctx;
    skive_task task;
    skive_output_kind kind;
    int64_t n, scores; /* samples; numbers of the output in each */
    int64_t classes;   /* CLASSES, and 2 of BINARY */
    int64_t targets;   /* labels of LABELS, values of VALUES */
    int64_t columns;   /* that are ranked: 1 for two classes, otherwise classes or labels; of VALUES the targets */
    bool several_axes; /* VALUES: a target is an image or a series, and no row of a table */
    /* Owned by the report. */
    const int32_t *predicted; /* [n] class */
    const uint8_t *hit;       /* [n] right? of LABELS: all labels */
    const double *error;      /* [n] loss */
    /* Owned. NULL where the task has none. */
    int32_t *truth; /* [n] class */
    int32_t *above; /* [n] classes in front of the true one: with a higher score, or an equal one and a lower number */
    float *confidence;          /* [n] probability of the predicted class */
    uint8_t *decisions;         /* [n][targets] of LABELS: 1 said, 2 true */
    double *absolute;           /* [n] of VALUES: mean absolute error */
    double *cosine;             /* [n] of VALUES: cosine of output and target; NaN where one of them is 0 */
    float *rows;                /* [n][scores]; NULL as well where they are not needed, or are too many to keep */
    float *wanted;              /* [n][targets] of VALUES; the same */
    double *first, *sums[4];    /* [targets] of VALUES: the first target, from which sums are counted; sums over the
                                samples of target, its square, squared error, absolute error */
    skv_ranks *ranks;           /* [columns], made by skv_scored_rank; NULL: not made, or too many scores to sort */
    int32_t *distance, *length; /* [n] of SEQUENCES: edits between what is said and what is true; true labels */
    int64_t *places;            /* of PLACES: [n][3][classes] right, said and true places */
    struct skv_boxes *boxes;    /* of BOXES */
    int64_t classes_seen;       /* with at least one sample */
    struct skv_metric_choice *choices; /* figures that were asked for with options; metrics/choices.h */
    size_t n_choices;
};

typedef struct skv_metric {
    const char *name;  /* "balanced-accuracy" */
    const char *title; /* "balanced accuracy"; in tables */
    const char *many;  /* the title where it is a mean over several columns; NULL: the same */
    const char *brief;
    unsigned tasks; /* SKV_OF(task), joined by | */
    skive_figure_form form;
    bool less;       /* less is better */
    bool proportion; /* what a sample gives is 0 or 1 */
    bool costly;     /* sorts all scores: not measured after each epoch unless somebody asks */
    bool by_column;  /* looks at each column of each sample */
    bool on_request; /* only if somebody asks */
    /* What of it can be chosen; skv_metric_real and the like read it. */
    const skv_option *options;
    size_t n_options;
    /* The title with its options; NULL: `title`. */
    void (*entitle)(const skv_scored *s, char *title, size_t size);
    size_t field; /* offset of the double in skive_eval_report that gets the value; 0: none */
    /* Is there such a figure? NULL: wherever the task fits. */
    bool (*fits)(const skv_scored *s);
    /* What sample i gives to the mean; NaN: nothing. NULL for figures that are no means. */
    double (*sample)(const skv_scored *s, int64_t i);
    /* Increasing; of the mean. NULL: the mean itself. */
    double (*of_mean)(double mean);
    /* Makes what `value` reads. NULL: nothing to do. */
    skive_status (*prepare)(skive_context *ctx, skv_scored *s);
    /* Of figures that are no means: sample i counts weight[i] times (NULL: each once). scratch: [3 * columns + 64].
     * NaN: not defined. Called by many threads. */
    double (*value)(const skv_scored *s, const uint32_t *weight, double *scratch);
} skv_metric;

#define SKV_OF(task)       (1u << (task))
#define SKV_OF_CLASSES     (SKV_OF(SKIVE_TASK_CLASSES) | SKV_OF(SKIVE_TASK_BINARY))
#define SKV_REPORT(member) offsetof(skive_eval_report, member)

size_t skv_metric_count(void);
const skv_metric *skv_metric_at(size_t i);
const char *skv_metric_name(size_t i);
const skv_metric *skv_metric_find(const char *name);
extern const skv_family skv_metric_family;
#define X(id) extern const skv_metric skv_metric_##id;
#include "train/metrics.inc"
#undef X
/* Is there this figure of these samples? */
bool skv_metric_has(const skv_metric *m, const skv_scored *s);
/* An option of a figure as it was asked for, or its default. */
double skv_metric_real(const skv_scored *s, const skv_metric *m, const char *name);
int64_t skv_metric_integer(const skv_scored *s, const skv_metric *m, const char *name);
const char *skv_metric_text(const skv_scored *s, const skv_metric *m, const char *name);
/* The option of figures that can be those of one class. */
#define SKV_METRIC_CLASS                                                                       \
    {                                                                                          \
        .name = "class", .type = SKV_OPTION_INTEGER, .least = -1, .most = 1e6, .fallback = -1, \
        .brief = "the figure of this class or label alone; -1: of all"                         \
    }

static inline double skv_weight_of(const uint32_t *weight, int64_t i) { return weight ? (double)weight[i] : 1.0; }

/* A detection: TP at threshold t (0.5 + t / 20) if bit t is set. In falling order of the score within a class. */
typedef struct skv_detection {
    double score;
    uint32_t sample, matches;
    int32_t class;
} skv_detection;
typedef struct skv_true_box {
    uint32_t sample;
    int32_t class;
} skv_true_box;
typedef struct skv_boxes {
    skv_detection *detections; /* by class */
    skv_true_box *truths;
    int64_t n_detections, n_truths, classes;
    int64_t *first, *first_truth; /* [classes + 1] of each class */
} skv_boxes;
enum { SKV_BOX_THRESHOLDS = 10 };
/* Mean over the classes that occur and over the thresholds first .. first + n - 1 of the average precision, at 101
 * recalls as COCO counts it. */
double skv_boxes_map(const skv_scored *s, const uint32_t *weight, int first, int n);
void skv_boxes_free(skive_context *ctx, skv_boxes *b);

/* ---- what records share ---- */

/* Sorts all columns; does nothing the second time. Leaves s->ranks NULL where the scores were not kept. */
skive_status skv_scored_rank(skive_context *ctx, skv_scored *s);
/* Area under the ROC curve: the chance that a positive has a higher score than a negative, ties counted half (Hanley &
 * McNeil 1982); and average precision, the sum of precision times the gain of recall over falling scores, equal ones
 * taken together. NaN where there is no positive or no negative. */
void skv_ranks_areas(const skv_ranks *r, int64_t n, const uint32_t *weight, double *auc, double *average_precision);
/* Mean over the columns for which `of` is defined. */
double skv_mean_area(const skv_scored *s, const uint32_t *weight, bool precision);
/* Right, predicted and true, [classes or labels] each: how often. */
void skv_scored_counts(const skv_scored *s, const uint32_t *weight, double *right, double *said, double *is);
/* Does the area or the average of columns have more than one? */
static inline bool skv_scored_many(const skv_scored *s) { return s->columns > 1; }
/* 2 right / (said + is); NaN where both are 0. */
static inline double skv_f1(double right, double said, double is) {
    return said + is > 0 ? 2 * right / (said + is) : (double)NAN;
}

/* ---- all figures of a report ---- */

/* Values of the figures of `s` that fit; those that are costly only if `all` or if `named` (a list separated by commas;
 * NULL: none) names them. */
skive_status skv_figures_make(skive_context *ctx, skive_eval_report *r, bool all, const char *named);
/* Does `named` name a figure that is costly? */
bool skv_figures_costly(const char *named);
/* Is a costly one asked for with options? */
bool skv_figures_chosen_costly(const skv_scored *s);
void skv_scored_free(skive_context *ctx, skv_scored *s);

#endif
