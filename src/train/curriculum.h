/* Curricula: the first epochs train on a part of the samples, which grows. A record gives the order in which the
 * samples join; how many there are at which epoch is the same for all. */
#ifndef SKV_CURRICULUM_H
#define SKV_CURRICULUM_H

#include <skive/data.h>
#include <skive/graph.h>

#include "base/option.h"
#include "train/states.h"

/* Options that every curriculum has. */
#define SKV_CURRICULUM_OPTIONS                                                          \
    {.name = "start",                                                                   \
     .type = SKV_OPTION_REAL,                                                           \
     .most = 1,                                                                         \
     .above = true,                                                                     \
     .fallback = 0.25,                                                                  \
     .brief = "part of the samples in the first epoch"},                                \
        {.name = "until",                                                               \
         .type = SKV_OPTION_REAL,                                                       \
         .most = 1,                                                                     \
         .fallback = 0.5,                                                               \
         .brief = "part of the epochs after which all samples are used"},               \
    {                                                                                   \
        .name = "steps", .type = SKV_OPTION_INTEGER, .most = 1000, .fallback = 0,       \
        .brief = "number of times that samples join, in equal parts; 0: in every epoch" \
    }

typedef struct skv_curriculum_site {
    skive_context *ctx;
    const skive_dataset *set;
    skive_dataset_info info;
    uint64_t seed;
    const skv_option_values *options;
} skv_curriculum_site;

typedef struct skv_curriculum {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    bool needs_classes; /* the samples have one class each */
    /* Fills order[info.count] with the numbers of the samples, those that join first in front. Of a kind that goes by
     * difficulty: until that is known. */
    skive_status (*order)(const skv_curriculum_site *at, uint32_t *order);
    /* How difficult a sample is, from the logarithms of the probabilities of its classes; NULL: not asked for. */
    double (*difficulty)(const double *log_p, int64_t classes, int64_t label);
    bool by_teacher; /* the probabilities are those of a teacher, otherwise those of the model as it is by then */
} skv_curriculum;
size_t skv_curriculum_count(void);
const skv_curriculum *skv_curriculum_at(size_t i);
const char *skv_curriculum_name(size_t i);
const skv_curriculum *skv_curriculum_find(const char *name);
extern const skv_family skv_curriculum_family;

/* The curriculum of a run. */
typedef struct skv_growth {
    skive_context *ctx;
    const skv_curriculum *kind; /* NULL: every epoch has all samples */
    skv_curriculum_site site;
    skv_option_values options;
    uint32_t *order; /* [count] */
    int64_t scored;  /* the order is that of the difficulties at the beginning of this epoch, from 1; 0: of none */
    size_t count, batch;
    int epochs;
    const skive_graph *teacher;
    skive_graph *loaded; /* the teacher, if it was read here */
} skv_growth;

typedef struct skv_growth_setup {
    const char *text; /* "random:start=0.2", or NULL */
    const skive_dataset *set;
    const skive_graph *teacher; /* the one that the run has anyway, or NULL; borrowed */
    uint64_t seed;
    int64_t batch;
    int epochs;
} skv_growth_setup;
/* Errors: ARGUMENT, DATA (there are no classes), those of reading a teacher. */
skive_status skv_growth_create(skive_context *ctx, const skv_growth_setup *setup, skv_growth *out);
void skv_growth_free(skv_growth *g);
/* Before an epoch, from 0: where samples join by difficulty, finds out how difficult they are for the model. */
skive_status skv_growth_begin(skv_growth *g, int epoch, const skive_graph *model);
skive_status skv_growth_states(skv_growth *g, skv_states *s);
/* Adds what decides the order besides the options. */
void skv_growth_settings(const skv_growth *g, skv_text *t);
/* Samples of an epoch, from 0: at least one batch of them. */
size_t skv_growth_samples(const skv_growth *g, int epoch);
/* Part of all samples that an epoch has by the options alone. */
double skv_growth_part(const skv_option_values *options, int epoch, int epochs);
/* Whole batches of an epoch. */
size_t skv_growth_batches(const skv_growth *g, int epoch);
/* Batches of all epochs before this one. */
int64_t skv_growth_before(const skv_growth *g, int epoch);
/* Notes how the set grows. */
void skv_growth_tell(const skv_growth *g);

/* Calls `each` with the logarithms of the probabilities of all samples' classes, in the set's order. Errors: DATA (the
 * model does not answer with classes). */
typedef void (*skv_log_p_fn)(void *user, size_t index, const double *log_p, int64_t classes, int64_t label);
skive_status skv_log_probabilities(skive_context *ctx, const skive_graph *model, const skive_dataset *set,
                                   skv_log_p_fn each, void *user);

/* The order of samples of growing difficulty, each class for itself: of every part of the set each class has the same
 * share. */
skive_status skv_curriculum_by_difficulty(const skv_curriculum_site *at, const float *difficulty, uint32_t *order);
/* A random order in which the classes take turns. */
skive_status skv_curriculum_take_turns(const skv_curriculum_site *at, uint32_t *order);
/* Puts 0 .. n-1 into a random order that depends on the seed only. */
void skv_curriculum_shuffle(const skv_curriculum_site *at, uint32_t *order);

#endif
