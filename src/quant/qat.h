/* Quantization-aware training: what is rounded (points), and how (methods). */
#ifndef SKV_QAT_H
#define SKV_QAT_H

#include <skive/qat.h>

#include "quant/quant.h"
#include "train/train.h"

typedef struct skv_qat_method skv_qat_method;
typedef struct skv_qat_plan skv_qat_plan;

/* A method with its options. */
typedef struct skv_qat_rule {
    const skv_qat_method *method;
    skv_option_values values;
} skv_qat_rule;

/* A weight, or a value, that is rounded. */
typedef struct skv_qat_point {
    skive_value *value;         /* of the plan's graph: a weight, or what is rounded for its readers */
    skive_node *node;           /* that reads the weight; NULL: a value */
    const skive_tensor *weight; /* its numbers */
    size_t shared; /* of values: 1 + the point whose rounded numbers this one rounds again for its readers; or 0 */
    size_t twin;   /* of weights: 1 + the point whose rounded numbers this reader reads too; or 0 */
    int bits;      /* of a number of a weight */
    bool low;      /* on the grid that the options name, not on 8 bits */
    skv_quantizer q;
    char grid[96];               /* its text form */
    int axis;                    /* of a weight's output channels; -1: one scale for all */
    skv_grid_params grid_params; /* of values */
    const skv_qat_rule *rule;
    int64_t features; /* of values: numbers of a sample */
    double before;
    char step[256]; /* name of the parameter that is the scale; "": none */
} skv_qat_point;

/* What is given to a method to insert its nodes. */
typedef struct skv_qat_site {
    skive_context *ctx;
    skv_builder *b;
    skive_value *x; /* of the graph that is built */
    skv_qat_point *point;
    const skv_option_values *values;
    bool trained;
} skv_qat_site;

struct skv_qat_method {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    bool weights, activations;
    bool any_bits; /* also for the points that have 8 bits whatever the options say; otherwise those get "fit", "ema" */
    bool one_scale; /* of a weight, whatever the grid says */
    /* Why it cannot take the grid; NULL: it can. */
    const char *(*refuses)(const skv_quantizer *q, bool weight);
    /* The rounded value, NULL with the builder's status set. NULL: there are no nodes for it, but `rule`. */
    skive_value *(*insert)(const skv_qat_site *s);
    /* Without training: rounds a weight that no nodes round. */
    void (*round)(const skv_option_values *values, float *x, int64_t n);
    const char *rule; /* of rules.inc, that the parameter is under, given a skv_incremental; NULL: none */
    skv_watcher (*watcher)(skv_qat_plan *p); /* of the run; NULL: none */
    bool codebook;                           /* weights come out as a codebook of their few values, in float32 */
    bool float_activations;                  /* activations cannot be rounded along with it */
};
size_t skv_qat_method_count(void);
const skv_qat_method *skv_qat_method_at(size_t i);
const char *skv_qat_method_name(size_t i);
const skv_qat_method *skv_qat_method_find(const char *name);
extern const skv_family skv_qat_method_family;
extern const skv_table skv_qat_table;

/* ---- parts of the methods ---- */

/* The scale of the point as a parameter that the training may change: of a weight one for each channel by `scale_of`
 * of its numbers, of a value that of its range. */
typedef skive_status (*skv_qat_scale_fn)(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n,
                                         float *scale);
skive_value *skv_qat_scale(const skv_qat_site *s, skv_qat_scale_fn scale_of, bool learned);
/* A parameter of n numbers that the training may change. */
skive_value *skv_qat_parameter(const skv_qat_site *s, const float *x, int64_t n, bool learned);
/* FakeQuantize of s->x with this scale (NULL: it finds its own) and `attrs` besides grid and axis. */
skive_value *skv_qat_fake(const skv_qat_site *s, skive_value *scale, skive_value *count, const skv_attr_init *attrs,
                          size_t n_attrs);
/* Numbers that share a scale, and the highest level. */
double skv_qat_share(const skv_qat_point *p);
double skv_qat_top(const skv_qat_point *p);

/* ---- the graph ---- */

/* A weight under the rule "inq", which is given this: levels are 0 and powers of two from 2^low to 2^high. */
typedef struct skv_incremental {
    int bits;
    int32_t low, high, phase;
    skv_param *param; /* while it is bound */
    uint8_t *fixed;   /* [n] it is a level and stays */
    float *value;     /* [n] which */
} skv_incremental;

struct skv_qat_plan {
    skive_context *ctx;
    const skive_qat_options *o;
    const skive_quantize_options *how;
    skive_graph *work; /* the float model, cleaned */
    bool *chosen;      /* by node id */
    skv_quantizer weights, activations;
    bool float_activations;
    char weight_grid[96], activation_grid[96];
    skv_qat_rule weight_rule, activation_rule, fit, ema, fixed;
    skv_qat_point *points; /* values first, those that others share before these */
    size_t n;
    skive_graph *dense;  /* the same with dense weights, to be read */
    skv_rule_use *rules; /* [n_rules] of parameters */
    size_t n_rules;
    skv_incremental *incremental; /* [n_incremental] */
    size_t n_incremental;
    skive_quantize_report told; /* what is left in float */
};
skive_status skv_qat_plan_make(skive_context *ctx, const skive_graph *g, const skive_qat_options *o,
                               const skive_quantize_options *how, skv_qat_plan *out);
void skv_qat_plan_free(skv_qat_plan *p);
/* The ranges of the values, from data. */
skive_status skv_qat_calibrate(skv_qat_plan *p, skive_dataset *set);
/* A copy of the model in which all points are rounded; `trained` false: with fixed scales, as without training. */
skive_status skv_qat_insert(skv_qat_plan *p, bool trained, skive_graph **out);
/* Weights of methods with a codebook, in a trained graph, become one. */
skive_status skv_qat_codebooks(const skv_qat_plan *p, skive_graph *g);
/* Steps of the points in the trained graph. */
double skv_qat_step(const skive_graph *g, const skv_qat_point *p);

#endif
