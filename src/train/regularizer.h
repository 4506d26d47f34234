/* What drives weights to zero while a model is trained (--regularize): a penalty, which acts as its proximal step
 * behind each update, gates, or a moving mask. Records of regularizers.inc; the callback `regularize` runs those that
 * the options name. */
#ifndef SKV_TRAIN_REGULARIZER_H
#define SKV_TRAIN_REGULARIZER_H

#include "train/train.h"
#include "train/units.h"

typedef struct skv_regularizer skv_regularizer;

/* One that is at work. */
typedef struct skv_regularizing {
    skive_context *ctx;
    const skv_regularizer *record;
    skv_option_values values;
    skv_trainer *trainer;
    const skv_units *units; /* what the record asks for; NULL: nothing */
    int64_t updates;        /* of the whole run; 0: not known */
    void *self;             /* of the record */
} skv_regularizing;

typedef enum skv_regularizer_units { SKV_UNITS_NONE, SKV_UNITS_CHANNELS, SKV_UNITS_BY_OPTION } skv_regularizer_units;

struct skv_regularizer {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    skv_regularizer_units units; /* by its option `of`: weights or channels */
    bool needs_length;           /* what it does depends on the length of the run */
    /* Any may be NULL. */
    skive_status (*start)(skv_regularizing *r);
    void (*end)(skv_regularizing *r);
    /* With the gradients, before the update, which it may change. */
    void (*gradient)(skv_regularizing *r, const skv_step *step);
    /* Behind the update. Parameters are shown anew after it. */
    skive_status (*applied)(skv_regularizing *r, const skv_step *step);
    /* What the graph sees of detached parameters: `on` while an epoch is validated and kept; behind each update, off.
     * */
    void (*show)(skv_regularizing *r, bool on, int64_t update);
    /* Are the weights after so many updates ones that may be kept? NULL: always. */
    bool (*settled)(const skv_regularizing *r, int64_t update);
    skive_status (*states)(skv_regularizing *r, skv_states *s);
    const char *example; /* options for the generated tests */
};
size_t skv_regularizer_count(void);
const skv_regularizer *skv_regularizer_at(size_t i);
const char *skv_regularizer_name(size_t i);
const skv_regularizer *skv_regularizer_find(const char *name);
extern const skv_family skv_regularizer_family;

/* The option `of`: "channel" (default of `text`) or "weight". */
const char *skv_unit_name(size_t i);
#define SKV_REGULARIZER_OF(text_)                                                                \
    {                                                                                            \
        .name = "of", .type = SKV_OPTION_CHOICE, .text = (text_), .choices = skv_unit_name,      \
        .brief = "what becomes zero at once: a channel with all that belongs to it, or a weight" \
    }

/* Moves x towards zero by `by`, and stops there: the proximal step of by * |x|. */
static inline float skv_soft_threshold(float x, float by) { return x > by ? x - by : x < -by ? x + by : 0.0f; }
/* How much of the run is done by this update, from 0 to 1; of a run of unknown length 0. */
static inline double skv_regularizing_progress(const skv_regularizing *r, int64_t update) {
    return r->updates > 0 ? (double)update / (double)r->updates : 0;
}

#endif
