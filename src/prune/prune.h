/* Pruning's inside: the records of criteria and schedules, and the job that its files share. */
#ifndef SKV_PRUNE_H
#define SKV_PRUNE_H

#include <skive/coupling.h>
#include <skive/prune.h>

#include "base/option.h"
#include "graph/graph.h"
#include "graph/weights.h"
#include "probe/probe.h"
#include "train/train.h"

/* What a criterion needs of the data for a parameter: something of the parameter itself (a number for each element), of
 * the value that it is multiplied with (for each input channel), or of what its node gives, behind normalisation and
 * activation (for each output channel). */
typedef enum skv_need_at { SKV_AT_WEIGHT, SKV_AT_INPUT, SKV_AT_OUTPUT } skv_need_at;
typedef struct skv_data_need {
    skv_need_at at;
    skv_probe_of of;         /* gradients are those of the loss on the labels */
    const char *reducer;     /* probe/reducers.inc */
    const char *option, *is; /* only when this option of the criterion is that; NULL: always */
} skv_data_need;
enum { SKV_MOST_NEEDS = 4 };
/* `.needs = needs, .n_needs = ...` in a record. A criterion with needs has the options batches and batch. */
#define SKV_NEEDS(array) .needs = (array), .n_needs = sizeof(array) / sizeof((array)[0])

/* What the probe found. */
typedef struct skv_numbers {
    double *x;    /* [n] */
    size_t n;     /* 0: there is nothing to look at, or the option says otherwise */
    double count; /* numbers in each of x: runs, for elements of a weight */
} skv_numbers;

/* What a criterion may look at: one parameter. */
typedef struct skv_score_args {
    skive_context *ctx;
    const skive_value *parameter;
    const skive_node *node; /* that the parameter is the weight of */
    skv_weight_view view;
    const float *weight; /* [n]; the parameter's values, or what dynamic surgery keeps of them */
    int64_t n;
    const skv_option_values *options; /* of the criterion */
    const skv_numbers *numbers;       /* [n_needs] of the criterion */
    bool channels;                    /* whole channels go, not single weights */
    float *score;                     /* [n], to be written; not negative, not NaN */
} skv_score_args;

typedef struct skv_pruning skv_pruning;
/* Scores weights: the lowest go first. Scores of different parameters are compared with one another. */
typedef struct skv_criterion {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    const skv_data_need *needs; /* none: it looks at the weights only */
    size_t n_needs;
    bool channels_only; /* it scores the output channels of layers, and nothing smaller */
    bool comparable;    /* scores of all layers have one unit; those of channels are not normalised unless asked for */
    bool in_weights;    /* scores are in the unit of the weights, so that these's deviation can be a threshold */
    const char *group; /* how the slices of a channel are combined unless the granularity says it: "sum" ...; or NULL */
    /* Instead of needs: finds the numbers of all layers by itself (skv_look_*), into numbers[0]. */
    skive_status (*look)(skv_pruning *p);
    bool needs_data; /* `look` reads the training set */
    bool refits;     /* the kept weights are fitted to make up for those that go (refit.c) */
    skive_status (*score)(const skv_score_args *a);
} skv_criterion;
size_t skv_criterion_count(void);
const skv_criterion *skv_criterion_at(size_t i);
const char *skv_criterion_name(size_t i);
const skv_criterion *skv_criterion_find(const char *name);
extern const skv_family skv_criterion_family;

/* ---- for criteria ---- (scores.c) */

/* Options that several have. */
#define SKV_SCORE_BATCHES(n)                                                                     \
    {                                                                                            \
        .name = "batches", .type = SKV_OPTION_INTEGER, .least = 1, .most = 1e9, .fallback = (n), \
        .brief = "batches of the training set that are looked at, or as many as there are"       \
    }
#define SKV_SCORE_BATCH(n)                                                                     \
    {                                                                                          \
        .name = "batch", .type = SKV_OPTION_INTEGER, .least = 1, .most = 1e6, .fallback = (n), \
        .brief = "samples in each"                                                             \
    }
#define SKV_SCORE_NORMALISE(by)                                                                      \
    {                                                                                                \
        .name = "normalise", .type = SKV_OPTION_CHOICE, .text = (by), .choices = skv_normalise_name, \
        .brief = "scores of a layer are divided by their root of the sum of squares"                 \
    }
const char *skv_normalise_name(size_t i); /* "none", "layer" */
/* Divides the scores by the root of the sum of their squares; the second where the option `normalise` says so. */
void skv_score_normalise(const skv_score_args *a);
void skv_score_normalise_as_asked(const skv_score_args *a);
/* The output channel of element `at`, and its input channel of so many. */
int64_t skv_score_output(const skv_score_args *a, int64_t at);
int64_t skv_score_input(const skv_score_args *a, int64_t at, size_t channels);
/* The number of the channel of element `at`; NAN when there is none. */
double skv_score_channel(const skv_score_args *a, const skv_numbers *of, bool of_input, int64_t at);
/* What element `at` of a score of its whole output channel gets, so that the shares add up. */
double skv_score_share(const skv_score_args *a, double score);

/* How sparsity grows to the wanted one. */
typedef struct skv_prune_schedule {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    bool one_step;
    double (*sparsity)(double wanted, double progress); /* progress in (0, 1] */
} skv_prune_schedule;
size_t skv_prune_schedule_count(void);
const skv_prune_schedule *skv_prune_schedule_at(size_t i);
const char *skv_prune_schedule_name(size_t i);
const skv_prune_schedule *skv_prune_schedule_find(const char *name);
extern const skv_family skv_prune_schedule_family;
/* The steps of a gradual schedule, and how fine-tuning is divided among them. */
extern const skv_option skv_prune_step_options[2];

/* What can be removed from p->work, in the order of importance by p's criterion. */
typedef struct skv_removal {
    skive_status (*open)(skv_pruning *p, void **self); /* scores; *self is closed also after a failure */
    void (*close)(skv_pruning *p, void *self);
    size_t (*count)(const void *self);
    /* Chooses the first `take` that can be spared; then more or fewer, so that widths are multiples. */
    void (*choose)(void *self, size_t take, int64_t multiple);
    size_t (*gone)(const void *self); /* how many are chosen */
    /* The exact choice (exact.c). What can go falls into parts; of part i `may_go` at most, and of its `width` what
     * stays is made a multiple. `harm` is the sum of the `n` lowest scores of the part, `harm_of_chosen` that of all
     * that is chosen now. `choose_parts` chooses go[i] of each part. */
    size_t (*parts)(const void *self);
    size_t (*may_go)(const void *self, size_t i);
    int64_t (*width)(const void *self, size_t i);
    double (*harm)(const void *self, size_t i, size_t n);
    double (*harm_of_chosen)(const void *self);
    void (*choose_parts)(void *self, const size_t *go);
    /* `g`, which is p->work or has its structure, without those; *out is freed by the caller. */
    skive_status (*remove)(const void *self, const skive_graph *g, skive_graph **out);
    /* Fits what stays of p->work to do without those; NULL: it cannot be done. */
    skive_status (*reconstruct)(void *self);
    skive_status (*list)(void *self);                    /* rows of p->report, before anything goes */
    void (*in_the_way)(const void *self, skv_text *out); /* the end of a message that a budget cannot be met */
    void (*count_left)(skv_pruning *p);                  /* p->report, at the end */
} skv_removal;
extern const skv_removal skv_removal_channels, skv_removal_layers;
#define SKV_CHOOSE_OPTION                                                                                          \
    {                                                                                                              \
        .name = "choose", .type = SKV_OPTION_CHOICE, .text = "order", .choices = skv_choosing_name,                \
        .brief =                                                                                                   \
            "what goes under a budget: the lowest scores first (order), or so that the sum of the scores that go " \
            "is the least (exact)"                                                                                 \
    }
const char *skv_choosing_name(size_t i); /* "order", "exact" */
/* An exact choice of what goes from p->work, within a budget of what `cost` counts. */
typedef struct skv_exact {
    const struct skv_pruning *p;
    const skv_removal *how;
    void *self;
    int64_t multiple;
    skive_status (*cost)(const void *user, const skive_graph *g, double *out);
    const void *user;
} skv_exact;
/* Chooses; *harm is the sum of scores that go. *found is false where no such choice was met. */
skive_status skv_prune_exact(const skv_exact *e, double budget, double *harm, bool *found);
/* Rows of p->report for the layers with channels. */
skive_status skv_channels_list(skv_pruning *p, const skive_coupling *coupling);
extern const skv_option skv_channel_options[5]; /* of granularities that remove channels; the last: widths */

struct skv_prunable;
/* What goes at once. */
typedef struct skv_granularity {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    const skv_removal *removal; /* the graph becomes smaller; NULL: weights are set to zero */
    /* With the removal of channels: is it for this one? NULL: for all. */
    bool (*takes)(const skive_channel_slice *slices, size_t n);
    /* Of weights that go together: group[i] is the number of the group of element i, from 0; *groups is how many there
     * are. NULL: each weight by itself. */
    skive_status (*group)(const struct skv_prunable *l, const skv_option_values *o, int64_t *group, int64_t *groups);
    /* Of each group so many stay, whatever the sparsity (`group` gives the runs); NULL: whole groups go. */
    int64_t (*stay)(const skv_option_values *o, int64_t size);
} skv_granularity;
size_t skv_granularity_count(void);
const skv_granularity *skv_granularity_at(size_t i);
const char *skv_granularity_name(size_t i);
const skv_granularity *skv_granularity_find(const char *name);
extern const skv_family skv_granularity_family;

/* One prunable parameter: its scores and mask. */
typedef struct skv_prunable {
    skive_value *value;
    const skive_node *node;
    int input; /* of the node */
    skv_weight_view view;
    skv_numbers numbers[SKV_MOST_NEEDS];
    const float *weight; /* [n] that is scored */
    float *real;         /* [n] of weights stored as integers; otherwise NULL */
    int64_t n, least;    /* fewest weights that stay */
    const double *own;   /* its own sparsity; NULL: that of all */
    float *score;
    uint8_t *keep;
    bool at_floor;
} skv_prunable;

/* Where an element is: of which of the rows (output channels), columns (input channels, of a group), taps and
 * directions of its matrix view. */
typedef struct skv_element {
    int64_t row, column, tap, direction;
} skv_element;
skv_element skv_element_at(const skv_prunable *l, int64_t index);
/* "4x1": two whole numbers from 1 to 1024 with `between` between them. Errors: ARGUMENT, for the option `name`. */
skive_status skv_read_pair(skive_context *ctx, const char *name, const char *text, char between, int64_t pair[2]);

/* ---- masks ---- */

/* By groups (groups.c): sets keep[] so that at most `drop` weights of all layers go, whole groups of lowest mean score,
 * no layer below its floor; or so that of each group those that stay do. */
skive_status skv_mask_groups(skv_pruning *p, skv_prunable *layers, size_t n, int64_t drop, double *threshold);

/* Sets keep[] so that exactly `drop` of all weights go (fewer only when every layer is at its floor): those of lowest
 * score, ties in order of position, no layer below its floor. *threshold: the largest score dropped. */
skive_status skv_mask_global(skive_context *ctx, skv_prunable *p, size_t n, int64_t drop, double *threshold);
/* Sets keep[] of one layer so that what scores below the threshold goes, but not below its floor. */
skive_status skv_mask_below(skive_context *ctx, skv_prunable *p, double threshold);

/* A mask that may move during training: the rule "moving-mask" is given one. Who changes keep[] calls
 * skv_param_show(param). */
typedef struct skv_live_mask {
    uint8_t *keep; /* [count] */
    int64_t count;
    skv_param *param; /* set while a trainer is alive; its weight[] are all weights, masked ones too */
} skv_live_mask;

/* Has a mask as many elements as the parameter? Errors: ARGUMENT. */
skive_status skv_mask_fits(skive_context *ctx, const skv_param *p, int64_t count);

/* ---- the job ---- */

struct skv_pruning {
    skive_context *ctx;
    const skive_prune_options *o;
    const skv_criterion *criterion;
    skv_option_values criterion_options;
    skive_dataset *train; /* NULL: none */
    const skv_prune_schedule *schedule;
    const skv_granularity *granularity;
    skv_option_values granularity_options;
    skive_graph *work;
    size_t turned;        /* weights that `work` has transposed */
    skive_graph *rewind;  /* that fine-tuning goes back to, of the same structure; NULL: none */
    skv_prunable *layers; /* those with a sparsity of their own come last */
    skive_mask *masks;    /* of the layers, in their order */
    size_t n, n_shared;
    bool tuned;   /* an epoch of fine-tuning is done */
    double reach; /* of the way to the sparsity or the budget, 0 to 1 */
    double part;  /* of what a choice removes, as a power of what stays; 0: all */
    skive_prune_report report;
};

/* What fine-tuning needs besides the model and its masks. */
typedef struct skv_tuning {
    skive_dataset *train, *validation;
    skv_teacher teacher;
    skv_term terms[2];
    skv_objective objective;
    skv_rule_use *rules;          /* [layers] */
    struct skv_live_mask *moving; /* [layers], with surgery */
} skv_tuning;
/* One run of fine-tuning of p->work, with the rules of the first n_rules layers. */
skive_status skv_prune_tune(skv_pruning *p, const skv_tuning *t, const skive_train_options *o, size_t n_rules);
/* The steps of the schedule (steps.c): `shrink` takes away what step k of n shall, and what is left is fine-tuned. */
int skv_prune_step_count(const skv_pruning *p);
skive_status skv_prune_steps(skv_pruning *p, const skv_tuning *t, size_t n_rules,
                             skive_status (*shrink)(void *self, int k, int n), void *self);
/* Trains what p->work has become from scratch, as the options say; p->report.scratch. */
skive_status skv_prune_scratch(skv_pruning *p, const skv_tuning *t);

/* skive_prune, without a limit on the loss, up to this part of the way to the sparsity or the budget. */
skive_status skv_prune_part(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                            const skive_prune_options *options, double reach, skive_prune_report *report);
/* As far as the option max_drop allows (within.c); `o` are checked. */
skive_status skv_prune_within(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                              const skive_prune_options *o, skive_prune_report *report);

/* Takes the caller's options and checks them; sets criterion and schedule. *finetune is where they point. */
skive_status skv_prune_take(skv_pruning *p, const skive_prune_options *given, skive_prune_options *o,
                            skive_train_options *finetune);
extern const skv_table skv_prune_table;
/* The prunable parameters of p->work, and the rows of the report. */
skive_status skv_prune_find_layers(skv_pruning *p);
void skv_prune_free_layers(skv_pruning *p); /* they can be found anew */

/* Does the criterion read the training set? */
static inline bool skv_criterion_reads(const skv_criterion *c) { return c->n_needs > 0 || c->needs_data; }
/* Are the scores of channels those of a scan on data? */
bool skv_prune_scans(const skv_pruning *p);
/* Is there what the criterion needs? Errors: ARGUMENT. */
skive_status skv_prune_check_data(const skv_pruning *p);
/* Is this needed, by the options of the criterion? */
bool skv_need_applies(const skv_pruning *p, const skv_data_need *need);
/* Runs the data through p->work for what the criterion needs of each layer. Does nothing where it needs none. */
skive_status skv_prune_look(skv_pruning *p);

/* ---- for criteria that look by themselves ---- (look.c) */

/* Zeros for all layers, numbers[0]. */
skive_status skv_look_room(skv_pruning *p);
/* All numbers less the least of them, so that none is negative; the order stays. */
void skv_look_shift(skv_pruning *p);
/* Products of the Hessian of the loss on the labels with a vector over all layers; the batches are those of the
 * criterion's options. */
typedef struct skv_look_vector {
    float **v;    /* [layers][elements] */
    double **out; /* the same: H v */
} skv_look_vector;
skive_status skv_look_vector_open(const skv_pruning *p, skv_look_vector *x); /* closed in any case */
void skv_look_vector_close(const skv_pruning *p, skv_look_vector *x);
/* v becomes the gradient, the mean over the batches. */
skive_status skv_look_gradient(skv_pruning *p, skv_look_vector *x);
skive_status skv_look_hessian(skv_pruning *p, skv_look_vector *x);

/* How fast masks follow in surgery: a weight goes below threshold / (1 + margin), returns above threshold * (1 +
 * margin). */
#define SKV_SURGERY_MARGIN 0.1
/* Scores layers[].weight and sets layers[].keep at the schedule's place `progress`. What is gone stays gone; with a
 * margin it returns where its score beats the threshold by it, and what is there goes where it falls short by it. */
skive_status skv_prune_choose(skv_pruning *p, double progress, double margin);
/* The same with the numbers of the data that are there. */
skive_status skv_prune_choose_seen(skv_pruning *p, double progress, double margin);
/* Chooses in parts, and fits the weights that stay, for criteria that say so. */
skive_status skv_prune_refit(skv_pruning *p, double progress);

/* The scores of all elements of p->layers. */
skive_status skv_prune_score(skv_pruning *p);

/* Will that have anything to do in `g`, without being asked for? */
bool skv_prune_recalibrates(const skv_pruning *p, const skive_graph *g);
/* The statistics of BatchNormalization anew, if that is asked for or is to be done by itself. */
skive_status skv_prune_recalibrate(skv_pruning *p);
/* The second moments of the inputs of the layers for which `which` [layers] is true into numbers[0], as criteria get
 * them; the others have none. */
skive_status skv_prune_look_at_inputs(skv_pruning *p, const bool *which, int64_t batches, int64_t batch);
/* Fits the weights of a layer that keep[] keeps to what the layer gave, by its numbers[0]. errors: without and with the
 * fit; *fits is false, and nothing is changed, where its inputs cannot be looked at. */
skive_status skv_prune_fit(skv_pruning *p, skv_prunable *l, double damping, double errors[2], bool *fits);

/* ---- channels ---- (channels.c, channels_choose.c) */

/* The removable channels of a graph, their scores, and those that are chosen. */
typedef struct skv_channels {
    skv_pruning *p;
    skive_coupling *coupling; /* of p->work */
    size_t n, families, free; /* free: those that are not fixed */
    float *score;             /* [n] */
    int *family;              /* [n] */
    bool *fixed;              /* [n] may not go: excluded by --skip */
    size_t *order;            /* [n] by score, the lowest first */
    int64_t *members, *least; /* [families] how many there are, and must stay */
    bool *gone;               /* [n] the choice */
    size_t *list;             /* [n] of those chosen */
    size_t n_gone;
    int64_t *removed; /* [families], of the choice */
} skv_channels;
/* Gives the channels, which are in order, new scores by a scan of sensitivities (sensitivity.c). */
skive_status skv_channels_scan(skv_channels *c);
/* Fits the layers of p->work that read the chosen channels to do without them (reconstruct.c). */
skive_status skv_channels_reconstruct(skv_channels *c);
/* Removes from p->work all channels that do nothing (dead.c), and counts them in p->report. */
skive_status skv_prune_dead(skv_pruning *p);
/* One round over p->work: of channels that give the same, one goes and its weights are added to the other's (twins.c).
 * *merged says how many went, *kept how many stay although they have one, and *why for what reason the first does. */
skive_status skv_prune_twins(skv_pruning *p, int64_t *merged, int64_t *kept, const char **why);
/* Prunes p->work, a copy of the caller's graph, by what the granularity removes; fills p->report. */
skive_status skv_prune_channels(skv_pruning *p, const skv_tuning *t);

/* Dynamic network surgery. */
double skv_surgery_start(const skv_pruning *p); /* the schedule's place at which it starts */
typedef struct skv_surgery {
    skv_pruning *pruning;
    skv_live_mask *masks; /* [layers] */
} skv_surgery;
skv_watcher skv_surgery_watcher(skv_surgery *s);
void skv_surgery_settings(const skv_pruning *p, skv_text *out); /* all that decides how masks move */

#endif
