/* Weight sharing: several weights use one stored value.
 *
 * - By k-means (Han, Mao & Dally, Deep Compression, ICLR 2016): the weights of a layer, or of several, become 2^bits
 * shared values and one index per weight; the values can be fine-tuned, each by the sum of its members' gradients. - By
 * hashing (Chen et al., Compressing Neural Networks with the Hashing Trick, ICML 2015): a hash of its position
 * determines which value a weight has, so that no index is stored; the values are trained. - By tying: two parameters
 * become one.
 *
 * Under a budget, or a limit on the loss of accuracy, each layer's codebook has a size of its own: that which harms
 * least (skive_allocate). */
#ifndef SKIVE_SHARE_H
#define SKIVE_SHARE_H

#include <skive/train.h>
#include <skive/tune.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SKIVE_SHARE_MAX_BITS = 8 };

typedef struct skive_share_options {
    size_t size;
    int bits;                /* of an index, 1 to 8: a codebook has at most 2^bits entries; default 4 */
    const char *init;        /* inits.inc: "linear" (default), "density", "random", "exact" (the optimum) */
    bool one_codebook;       /* for all layers together instead of one per layer */
    bool keep_zero;          /* weights that are zero stay exactly zero, through an entry for zero; default true */
    int max_iterations;      /* of Lloyd's algorithm; default 1,000 */
    uint64_t seed;           /* of "random" and of the hashes */
    const char *const *only; /* names of parameters to share; none: all weights and tables */
    size_t n_only;
    const char *const *skip; /* names of parameters that are not shared */
    size_t n_skip;
    bool plain;  /* produce dense weights instead of codebook, indices and Gather */
    double hash; /* above 0: hashing instead of k-means; number of weights per shared value (Gemm only) */
    const skive_train_options *finetune; /* NULL or epochs 0: none. Start from skive_share_finetune_default() */
    /* Only say what would be done: the report has the codebooks of the weights as they are; nothing is trained and the
     * graph is not changed. Default false */
    bool dry_run;
    /* With it each layer's codebook has bits of its own, from 1 to 8, and `bits` is not used: what remains of the bytes
     * of the weights that are shared, as indices of these bits and codebooks ("0.1", "40k"). The choice with the least
     * sum of harms is taken (skive_allocate, exact). Harm is, with a training set, the rise of the loss to second
     * order: half of each weight's squared error times the mean square of its gradient (the diagonal of the Fisher
     * matrix, over SKIVE_SHARE_SAMPLES samples, one by one); without one, the squared error of the layer's weights as a
     * fraction of their squares. NULL: no budget */
    const char *bytes;
    /* Percentage points (of R squared for VALUES) that may be lost on the validation set: of the way from 8 bits in
     * each layer to the budget, or without one to 1 bit in each, as many parts of SKIVE_SHARE_LEVELS as stay within,
     * found by bisection (skive_control_drop); each trial is the whole method, with fine-tuning. Negative, the default:
     * no limit. A dry run tells the whole way. */
    double max_drop;
} skive_share_options;
enum { SKIVE_SHARE_SAMPLES = 512, SKIVE_SHARE_LEVELS = 24 };
SKIVE_API skive_share_options skive_share_options_default(void);
/* Training options for fine-tuning shared values: epochs 0, Adam, learning rate 0.001, no warm-up. */
SKIVE_API skive_train_options skive_share_finetune_default(void);

typedef struct skive_share_layer {
    char *parameter, *node;
    int64_t count;     /* weights */
    int64_t distinct;  /* different values before */
    int64_t centroids; /* entries of the codebook, including the one for zero; hashing: shared values */
    int bits;          /* of an index at fixed width: ceil(log2(centroids)); hashing: 0, indices are computed */
    double mse;        /* of the shared weights, before fine-tuning */
    double entropy;    /* of the indices, in bits per weight; NaN when hashed */
    int64_t bytes;     /* indices of `bits` each and the codebook, which is counted with its first layer */
    char *refused;     /* reason if the layer was not shared, else NULL */
    double harm;       /* as chosen under a budget; NaN without one */
} skive_share_layer;
typedef struct skive_share_report {
    size_t n_layers;
    skive_share_layer *layers;
    int64_t count, bytes; /* over the shared layers */
    skive_train_report training;
    double budget;                /* bytes; NaN without one */
    skive_allocation allocation;  /* of bits to layers under the budget; zeros without one */
    skive_control_report control; /* with `max_drop`: the trials; otherwise there are none */
} skive_share_report;
SKIVE_API void skive_share_report_free(skive_context *ctx, skive_share_report *report);

/* Shares weights of layers in place: a parameter becomes Gather(codebook, Cast(indices)) under its name,
 * standard ONNX, which a plan turns into dense weights. `train` and `validation` may be NULL when nothing is trained.
 * On failure the graph is unchanged, except for ERR_INTERRUPTED after an epoch of fine-tuning: then graph and report
 * are those of the last finished epoch. Nodes and values obtained from the graph before are invalid afterwards. Errors:
 * ARGUMENT (bits, unknown init or parameter), NUMERIC (weights that are NaN or infinite), UNSUPPORTED (nothing to
 * share), GOAL (a budget below the smallest that can be reached, which the message names; nothing within `max_drop`,
 * and *report has the trials), as skive_train. */
SKIVE_API skive_status skive_share(skive_context *ctx, skive_graph *graph, skive_dataset *train,
                                   skive_dataset *validation, const skive_share_options *options,
                                   skive_share_report *report);

/* Removes parameter `second`; its consumers read `first` instead. Errors: NOT_FOUND (no parameter of that name), SHAPE
 * (types or shapes differ), ARGUMENT (both are the same parameter). */
SKIVE_API skive_status skive_share_tie(skive_context *ctx, skive_graph *graph, const char *first, const char *second);

#ifdef __cplusplus
}
#endif
#endif
