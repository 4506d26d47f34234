/* Low-rank factorization: a layer becomes two or three smaller ones, whose product is close to it.
 *
 * A matrix or the kernel of a convolution is replaced by a product of smaller ones (factorizations.inc): by singular
 * values (Denil et al. 2013; Denton et al. 2014), a k x 1 and a 1 x k convolution (Jaderberg, Vedaldi & Zisserman
 * 2014), Tucker-2 (Kim et al., ICLR 2016), CP (Lebedev et al., ICLR 2015), tensor trains (Novikov et al. 2015) and
 * others. Where there is data, the factors keep the layer's outputs on it, not its weights (as in SVD-LLM, Wang et al.,
 * ICLR 2025; Zhang et al. 2015). Ranks follow from a budget, exactly allocated; from the share of energy; from
 * variational Bayes (Nakajima et al. 2013); or from a limit on the loss of accuracy. There is no non-linearity between
 * the factors, and the bias stays on the last one: the result is plain ONNX. */
#ifndef SKIVE_FACTORIZE_H
#define SKIVE_FACTORIZE_H

#include <skive/train.h>
#include <skive/tune.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_factorize_options {
    size_t size;
    const char *method; /* factorizations.inc: "svd", "tucker2" ..., or "auto" (default): the best for each layer */
    /* "auto" (default): what the budget asks for, without one "energy"; "vbmf"; "energy"; "search": by `max_drop`; or a
     * number, of each layer. */
    const char *rank;
    double energy; /* share of the sum of squares that "energy" keeps, in (0, 1]; default 0.95 */
    /* What remains of the model, as text, one of them; NULL: none. Up to 1 or with % a fraction ("0.5"), otherwise
     * absolute: multiply-accumulates ("200M"), parameters ("1.5M"), bytes of the parameters ("200k"), time of one run
     * with one sample, measured on this machine ("2ms"). */
    const char *macs, *params, *bytes, *latency;
    /* Percentage points that may be lost on the validation set: the smallest model within, or with a budget as many
     * parts of SKIVE_FACTORIZE_LEVELS of the way to it as stay within, found by bisection (skive_control_drop), before
     * any fine-tuning. Negative (default): no limit. A dry run tells the whole way. */
    double max_drop;
    const char *const *layers; /* "NAME=METHOD:RANK" or "NAME=keep": what this node gets, whatever the others do */
    size_t n_layers;
    /* What the factors keep: "auto" (default: "activations" where there is a data set, otherwise "plain"), "plain" (the
     * weights), "activations" (the layer's outputs on the data), "fisher" (the weights, by their gradients). */
    const char *weighting;
    int64_t samples; /* of the data set that are looked at, default 256 */
    /* Then the factors of each layer again, in the order of the graph: by least squares, so that behind the layers
     * before it, factorized and fitted already, it gives what it gave in the original. Biases take the difference of
     * the means. What would not have a smaller error on the samples stays, and a note says so. */
    bool refit;
    bool joint;   /* products with the same input (query, key and value) share their first factor */
    bool uniform; /* the budget by the same share of each layer, not by what each of them harms: a control */
    bool round;   /* ranks are rounded up to what is measured to take no longer; default true */
    bool measure; /* the times of layers and of the model, before and after; default true */
    bool merge;   /* instead of factorizing: products of two factors that are smaller than these become one again */
    uint64_t seed;
    const skive_train_options *finetune; /* NULL or epochs 0: none. Start from skive_factorize_finetune_default() */
    double distill_alpha; /* weight of the teacher's soft labels in fine-tuning; in [0, 1], default 0.5 */
    double temperature;   /* of its soft labels; default 4 */
    /* Only say what would be done: the report has for each layer the methods that would make it smaller, each at one
     * rank, with measured times; nothing is trained and the graph is not changed. With the method "auto" it has those
     * that "auto" never chooses too; of large layers without their errors and times. */
    bool dry_run;
    const skive_graph
        *teacher; /* in fine-tuning; borrowed; NULL: the model before. Its outputs are scores of classes */
    /* Further terms of the loss in fine-tuning, as those of skive_distill_options: "NAME:OPTIONS" with more behind ';',
     * such as "hint" or "attention"; NULL: none. Values inside the model keep their names but between factors. */
    const char *terms;
} skive_factorize_options;
enum { SKIVE_FACTORIZE_LEVELS = 24 };
SKIVE_API skive_factorize_options skive_factorize_options_default(void);
/* Training options for fine-tuning: epochs 0, learning rate 0.01, no warm-up, gradients clipped to a
 * norm of 5. */
SKIVE_API skive_train_options skive_factorize_finetune_default(void);

typedef struct skive_factorize_row {
    char *node, *op, *parameter;
    const char *method;    /* static; NULL: kept as it is */
    int64_t rank, rank_in; /* rank_in: of tucker2, between the first two factors; otherwise 0 */
    int64_t full;          /* the largest rank that changes nothing */
    double error;          /* of the weights: Frobenius norm of the difference, of that of the weight */
    double output_error;   /* of the layer's outputs on the data, the same way; NaN: not looked at */
    double plain_error;    /* the same with the factors that do not look at data; NaN as well */
    /* With `refit`: norm of the difference between the layer's outputs on the samples, behind the factorized layers
     * before it, and those in the original, of the norm of these; NaN: it was not fitted again. */
    double refit_before, refit_after;
    int64_t macs, macs_before, parameters, parameters_before;
    double seconds, seconds_before; /* of this layer; NaN: not measured */
    bool chosen;                    /* a dry run also lists methods that were not chosen */
    bool by_name;                   /* such a method that "auto" never chooses: only where it is asked for */
    const char *unknown;            /* static: why errors and times were not looked for; NULL: they were */
    char *kept;                     /* why the layer is as it was; NULL: it is factorized, or only listed */
} skive_factorize_row;
typedef struct skive_factorize_size {
    int64_t macs, parameters;
    double seconds; /* of one run; NaN: not measured */
} skive_factorize_size;
typedef struct skive_factorize_report {
    size_t n_rows;
    skive_factorize_row *rows; /* in the order of the nodes */
    size_t n_factorized, n_merged;
    skive_factorize_size before, after;
    skive_allocation allocation;  /* of a budget */
    skive_control_report control; /* of a limit on the loss of accuracy */
    skive_train_report training;
} skive_factorize_report;
SKIVE_API void skive_factorize_report_free(skive_context *ctx, skive_factorize_report *report);

/* Factorizes layers in place: products, convolutions, the input weights of recurrent layers, and embeddings. `train`
 * may be NULL where nothing looks at data; `validation` is needed by a limit on the loss. Pointers to nodes and values
 * of the graph are invalid afterwards. On failure the graph is unchanged, except for ERR_INTERRUPTED after an epoch of
 * fine-tuning: then graph and report are those of the last finished epoch. Errors: ARGUMENT (options that contradict
 * one another, an unknown method or node, a rank out of range), NUMERIC (weights that are NaN or infinite),
 * UNSUPPORTED (no layer can be factorized), GOAL (a budget below the smallest model that can be reached, which the
 * message names; not one layer within the limit on the loss), DATA (samples are missing), as skive_train. */
SKIVE_API skive_status skive_factorize(skive_context *ctx, skive_graph *graph, skive_dataset *train,
                                       skive_dataset *validation, const skive_factorize_options *options,
                                       skive_factorize_report *report);

/* The library that decomposes matrices, "LAPACKE"; NULL: skive's own code, which is slower. */
SKIVE_API const char *skive_factorize_library(void);

#ifdef __cplusplus
}
#endif
#endif
