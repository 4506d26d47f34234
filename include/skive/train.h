/* Training: losses, optimizers, schedules and the loop. */
#ifndef SKIVE_TRAIN_H
#define SKIVE_TRAIN_H

#include <skive/data.h>
#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a run tells while it goes on (below). The event and what it points to are borrowed during the call. */
typedef struct skive_train_event skive_train_event;
typedef void (*skive_train_observe_fn)(void *user, const skive_train_event *event);

/* Options of a training run; all names are looked up in the lists (losses.inc, optimizers.inc, schedules.inc). */
typedef struct skive_train_options {
    size_t size;
    int epochs;
    int64_t batch;
    /* "cross-entropy", "binary-cross-entropy", "mse", "l1", "huber:delta=2" ... (docs/losses.md); NULL: the one that
     * fits the data and what the model's output means (skive/output.h). A softmax or sigmoid at the model's end is part
     * of the loss, which is computed from the value before it. */
    const char *loss;
    double label_smoothing;
    const char *optimizer; /* "sgd", "adam", "adamw", "rmsprop", "lamb", "lion", with options: "adam:beta2=0.99" */
    double learning_rate;
    double momentum;
    bool nesterov;
    double weight_decay; /* not applied to biases and normalisation parameters unless decay_all */
    bool decay_all;
    const char *schedule; /* "constant", "step", "cosine" */
    double warmup_epochs;
    double step_every, step_factor; /* of "step" */
    double final_rate;              /* of "cosine": fraction of learning_rate at the end */
    double clip_norm;               /* norm to which the whole gradient is clipped; 0: off */
    const char *augment;            /* transforms, "crop:4,flip"; NULL: none */
    uint64_t seed;
    bool keep_best; /* the parameters of the best epoch (see `best`; needs a validation set), otherwise of the last */
    /* File written after each epoch and when the run is interrupted (see also checkpoint_every); if it exists, training
     * resumes from it, to the same bits as if it had never stopped. If the file cannot be written, the run ends
     * (ERR_IO), and the one that is there stays as it was. NULL: none. A run with the same settings but more epochs
     * continues from it as well. */
    const char *checkpoint;
    /* Regression: compute the loss from the raw targets. False: from standardised targets (each of [n][k] with its own
     * mean and deviation), so that their units do not matter; the outputs of the model are still in those units. */
    bool raw_targets;
    /* The figure of validation that selects the best epoch: "loss", "f1" (mean over the classes; for several labels per
     * sample, over all decisions), or one of skive_metric_name ("accuracy", "balanced-accuracy", "auc", "rmse" ...;
     * skive/eval.h), or up to three of them separated by commas, each deciding among the epochs that are equal by those
     * before it; the loss decides last. NULL: accuracy if there is
     * one, otherwise loss. */
    const char *best;
    /* The weight of each class in the cross-entropy: "none", "balanced" (the same total for all classes) or one number
     * per class, "1,2.5,1". Scaled to a mean of 1 over the training samples. NULL: none. */
    const char *class_weights;
    /* Names of parameters, or patterns with * ? [ ], separated by commas: `train` adds to the trained parameters
     * (weights, biases, scales and tables, by the operators that read them; see docs/training.md), `freeze` removes
     * from them. A frozen BatchNormalization keeps its statistics. NULL: none. */
    const char *train, *freeze;
    /* Which zeros stay zero: "pruned" (those of parameters that were pruned), "all" (of every weight) or "none". NULL:
     * pruned. */
    const char *keep_zeros;
    /* Rules that weights are under in training, "PATTERN=RULE:OPTIONS" with more behind ';': "clip:0.5" (rules.inc:
     * weights stay in [-0.5, 0.5]), "fc*=prox:0.001" (the proximal step of an L1 penalty: small weights become exactly
     * zero). Without a pattern: all weights. The model carries them in its metadata, and they hold in any later
     * training; "none" takes them away. NULL: none besides those that the model carries. */
    const char *rules;
    /* Of a model with several outputs and a data set with several targets: which outputs are trained, with the weight
     * of their losses and the losses themselves: "kind;age=0.5*mse" or "kind=cross-entropy;age=0.5". NULL: all outputs
     * that have a target, with the weight 1. A target belongs to the output of the same name, or to the only one that
     * fits. `loss` is for those that name none. */
    const char *outputs;
    /* Activations that only the gradients still need are computed again for them instead of being kept (gradient
     * checkpointing, skive/exec.h): less memory for up to one more forward pass a step, and the same bits. False: only
     * where a step would otherwise exceed the context's memory limit. A note tells it. */
    bool recompute;
    /* The same bits whatever the number of threads: steps and validation are computed by one thread each, while batches
     * are still made ready by others. False: the same bits with the same number of threads. */
    bool deterministic;
    double clip_value; /* each number of the gradient is clipped to this, before the norm is; 0: off */
    /* An update is made from the mean gradient of so many batches. Where samples do not see one another (no
     * BatchNormalization), that is the update of a batch of all of them, but for rounding. At least 1. */
    int accumulate;
    /* Decay of an exponential moving average of the weights (and of BatchNormalization's statistics), which is the
     * model that is validated and written: 0.999. It starts lower, (1 + n) / (10 + n) after n updates. 0: none. */
    double ema;
    /* Stochastic weight averaging (Izmailov et al. 2018): "75", or "75,every=2,lr=0.01,batches=50", averages the
     * weights at the ends of the epochs behind epoch 75 (of every second one, trained with the rate 0.01), with the
     * statistics of BatchNormalization computed anew from so many batches (default 100). The average is the model that
     * is validated and written; earlier epochs do not count as best. Not with `ema`. NULL: none. */
    const char *swa;
    /* The run ends when the figure that selects the best epoch has not become better for so many epochs. 0: never.
     * Needs a validation set. */
    int patience;
    /* Parameters that are trained only when so many epochs are done, as "2:conv2.*;4:conv1.*,bn1.*", also where
     * `freeze` names them. Until then no update reaches them; running statistics follow the data from the start. NULL:
     * all are trained from the start. */
    const char *unfreeze;
    /* How often the checkpoint is written within an epoch, besides at its end: "5m", "90s" or "2h" (no more than that
     * time is lost), or a number of steps, "200". NULL: at the ends of epochs, and when the run is interrupted. */
    const char *checkpoint_every;
    /* As `checkpoint`, but the file must exist (ERR_IO). NULL: none. */
    const char *resume;
    /* File of lines of JSON, one for each event of the run (docs/training.md); lines are added to those of other runs.
     * A resumed run continues its lines, and those behind its checkpoint are removed. NULL: none. */
    const char *log;
    /* Folder in which the run gets a folder of its own, with an event file for TensorBoard. NULL: none. */
    const char *tensorboard;
    /* Steps of which an event SKIVE_TRAIN_STEPS gives the mean; 0: a twentieth of an epoch. */
    int64_t log_every;
    /* Called with each event, on the calling thread. NULL: not. */
    skive_train_observe_fn observe;
    void *observe_user;
    /* The first epochs train on a part of the samples, which grows: the order in which they join (curricula.inc) and
     * its options, "balanced:start=0.25,until=0.5". NULL: every epoch has all samples. */
    const char *curriculum;
    /* Instead of training, makes up to find_lr_steps steps (100) at rates that grow from 1e-7 to 10, and reports their
     * losses (skive_train_report.rates). The model's parameters are not changed, and no file is written. In train and
     * distill. */
    bool find_lr;
    int64_t find_lr_steps;
    /* What drives weights or whole channels to zero while the model is trained (regularizers.inc), with more behind
     * ';': "group-lasso:1e-4;bn-scale:1e-4". Penalties act by their proximal step behind each update, in units of the
     * loss; so they give exact zeros. NULL: nothing. */
    const char *regularize;
    /* Figures of validation with their options, as in skive_evaluate_metrics: "top-k:5;f-beta:beta=0.5". They are
     * measured after each epoch and can be `best`. They need a validation set. ARGUMENT if the data do not define one.
     * NULL: those that need no request. */
    const char *metrics;
    /* Progressive learning: the run has stages, and in the first of them images are smaller, transforms are left out
     * often and dropout is weak: "size=0.5,strength=0.25,until=0.75,stages=4" (the defaults). The network must take
     * images of any size: UNSUPPORTED, naming the node, if it does not. NULL: all epochs are alike. */
    const char *progressive;
} skive_train_options;
SKIVE_API skive_train_options skive_train_options_default(void);
/* The learning rate with which an optimizer, "sgd" or "adam:beta2=0.99", is commonly started: what the command takes
 * where none is given. NULL: that of sgd. NaN: there is no such optimizer. */
SKIVE_API double skive_optimizer_rate(const char *optimizer);

enum { SKIVE_EPOCH_FIGURES = 48 };

#define SKIVE_MOST_OUTPUTS 8

/* Validation of one of several outputs. */
typedef struct skive_output_figures {
    size_t output;               /* of the model's outputs */
    double loss, accuracy, rmse; /* NaN where there is none */
} skive_output_figures;

/* Of a model that is trained on several targets, losses are the weighted sum over them, and the other figures those of
 * the first; `outputs` has those of each. */
typedef struct skive_epoch_report {
    int epoch;
    double loss, train_accuracy, validation_accuracy, learning_rate, seconds; /* accuracies NaN when not measured */
    double validation_loss; /* as skive_eval_report.loss; NaN when not measured */
    double validation_rmse; /* of regression, in the targets' units; else NaN */
    double validation_r2;   /* the same, as skive_eval_report.r2 */
    double validation_f1;   /* for classes the mean over them, for several labels over all decisions; else NaN */
    /* Of validation, in the order of skive_metric_name; NaN when not measured. Figures for which all scores are sorted
     * ("auc") are measured only if `best` names them. */
    double figures[SKIVE_EPOCH_FIGURES];
    size_t n_outputs; /* more than 1: of several outputs, the first few */
    skive_output_figures outputs[SKIVE_MOST_OUTPUTS];
} skive_epoch_report;

typedef enum skive_train_event_kind {
    SKIVE_TRAIN_RUN,    /* it begins, or an observer sees it for the first time */
    SKIVE_TRAIN_RESUME, /* it continues from a checkpoint */
    SKIVE_TRAIN_STEPS,  /* some steps are done: their means */
    SKIVE_TRAIN_EPOCH,  /* an epoch is done: its figures are in `row` */
    SKIVE_TRAIN_END     /* it ends, with `status` */
} skive_train_event_kind;

struct skive_train_event {
    size_t size; /* sizeof(skive_train_event) */
    skive_train_event_kind kind;
    const char *what;    /* "train", "distill", "fine-tune" */
    const char *run;     /* 16 hexadecimal digits made from all that decides the run's result but its length */
    int64_t step, steps; /* done, and of the whole run */
    double epoch;        /* done, with the fraction */
    int epochs, best_epoch;
    int64_t batch, parameters;   /* samples of a step; numbers that are trained */
    const char *data;            /* specification of the data set */
    int64_t samples, validation; /* numbers of samples */
    double loss, accuracy;       /* means over the steps or the epoch, in training; NaN when not measured */
    double learning_rate;        /* of the last step */
    double seconds, waited;      /* of training so far, earlier parts of a resumed run included; those of them in which
                                      training waited for data */
    double samples_per_second;   /* of the steps or the epoch */
    const skive_epoch_report *row; /* of SKIVE_TRAIN_EPOCH; else NULL */
    const skive_train_options *options;
    const char *settings; /* lines "name TAB value" of all that decides the result */
    skive_status status;  /* of SKIVE_TRAIN_END */
};

/* The losses of a ramp of learning rates. The search ends early where the smoothed loss is four times the lowest. */
typedef struct skive_rate_search {
    size_t n;
    double *rates, *losses; /* [n] */
    double *smoothed;       /* [n] exponential mean of the losses */
    double steepest;        /* rate at which the smoothed loss falls fastest; NaN: it does not fall */
    double below_minimum;   /* a tenth of the rate with the lowest smoothed loss; NaN the same */
} skive_rate_search;
SKIVE_API void skive_rate_search_free(skive_context *ctx, skive_rate_search *search);

typedef struct skive_train_report {
    size_t n_epochs;
    skive_epoch_report *epochs; /* freed by skive_train_report_free */
    int best_epoch;             /* 0: none was better than the model before the training (skive_quantize_aware) */
    double seconds;
    double samples_per_second;
    double waited;           /* seconds of this run in which training waited for data */
    const char *best_by;     /* the metric that selected best_epoch; NULL: it is the last epoch */
    skive_rate_search rates; /* of find_lr; freed by skive_train_report_free */
    /* The model before the training, where it may be the one that is kept: its epoch is 0, its training loss and
     * accuracy are NaN. Of a resumed run, and where it was not measured, the figures of validation are NaN too. */
    skive_epoch_report start;
} skive_train_report;
SKIVE_API void skive_train_report_free(skive_context *ctx, skive_train_report *report);

/* Keeps chosen weights at zero: for each masked parameter one byte per element, 0 = pruned. Borrowed during a run. */
typedef struct skive_mask {
    const char *parameter; /* value name */
    const uint8_t *keep;
    int64_t count;
} skive_mask;

/* Trains `graph` in place on `train`; float targets are standardised during training (raw_targets). A regression model
 * that is worse than the mean of the targets and has no last layer with a bias gets a Mul and an Add after its output,
 * which a note reports; nodes and values obtained from it before are invalid then. `validation` may be NULL. In a
 * codebook of shared weights, an entry that is zero stays zero (pruned weights have it), with or without a mask. On
 * failure the graph's parameters are unchanged, except for ERR_INTERRUPTED, after which they are those of the last
 * finished epoch. `report` may be NULL. Errors: DATA (set does not fit the graph's input or classes), NUMERIC (loss
 * became NaN), INTERRUPTED, UNSUPPORTED. */
SKIVE_API skive_status skive_train(skive_context *ctx, skive_graph *graph, skive_dataset *train,
                                   skive_dataset *validation, const skive_train_options *options,
                                   const skive_mask *masks, size_t n_masks, skive_train_report *report);

/* What a training would change. */
typedef struct skive_train_parameter {
    char *name;
    const char *role; /* "weight", "bias" ... (static) */
    int64_t count;
    bool trained, decays; /* decays: weight decay applies */
    const char *why;      /* it is not trained (static); NULL if it is */
} skive_train_parameter;
typedef struct skive_train_scope {
    size_t n_parameters;
    skive_train_parameter *parameters; /* of floating point, in the order of the graph; lone numbers only if trained */
    int64_t trained, kept;             /* numbers in those that are trained, and in the others */
} skive_train_scope;
SKIVE_API void skive_train_scope_free(skive_context *ctx, skive_train_scope *scope);
/* Lists the parameters that skive_train and skive_distill would train with these options, and why not the others;
 * nothing is changed. (skive_train with `epochs` 0 checks model, data and options in full and trains nothing.)
 * `options` may be NULL. Free *scope with skive_train_scope_free. Errors: NOT_FOUND (a pattern of `train` or `freeze`
 * that matches nothing), MEMORY. */
SKIVE_API skive_status skive_train_scope_of(skive_context *ctx, const skive_graph *graph,
                                            const skive_train_options *options, skive_train_scope *scope);

/* Gives the model another number of classes: the last Conv, Gemm or MatMul before the output (skive/output.h; of
 * several outputs the one that its metadata name, or the only softmax or sigmoid) gets new weights, drawn at random
 * from `seed`, and a bias of zeros. The layers before it are kept. A note reports the change. A model that already has
 * this number of classes is unchanged. Errors: UNSUPPORTED (the output does not come from such a layer; the message
 * names the node), SHAPE, ARGUMENT. */
SKIVE_API skive_status skive_model_set_classes(skive_graph *graph, int64_t classes, uint64_t seed);

#ifdef __cplusplus
}
#endif
#endif
