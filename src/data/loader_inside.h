/* What the files of the loader share: the ring of batches (loader.c), making it (loader_make.c) and filling a batch
 * (loader_fill.c). */
#ifndef SKV_LOADER_INSIDE_H
#define SKV_LOADER_INSIDE_H

#include <pthread.h>

#include "data/feed.h"
#include "data/transform.h"

typedef enum skv_loader_state { SLOT_FREE, SLOT_FILLING, SLOT_READY } skv_loader_state;

typedef struct skv_loader_slot {
    skv_loader_state state;
    size_t count;
    void **x;        /* [lanes]: [batch][sample] */
    void **y;        /* [answers]: int64 labels [batch][label], or float [batch][target], or shares of classes */
    size_t *indices; /* [batch] */
    skive_status status;
    char message[1024], subject[512];
} skv_loader_slot;

typedef struct skv_loader_worker {
    skive_loader *loader;
    skive_context *ctx;
    float *a, *b;   /* two samples, for transforms from one into the other */
    float *c;       /* a third, if an input is not float32; or NULL */
    void *d;        /* one in the type that it has on disk; or NULL */
    float *scratch; /* of the transforms; or NULL */
    pthread_t thread;
    int64_t *moved; /* labels of all positions, where transforms move them; or NULL */
} skv_loader_worker;

/* A sample seen as [outer][channels][inner], and the order in which it is written. */
typedef struct skv_arrangement {
    skv_feed_order order;
    size_t outer, channels, inner;
} skv_arrangement;

/* One input: from the samples of one part of the data set to what the model takes. */
typedef struct skv_lane {
    const skive_dataset *ds;       /* that part */
    skv_transform_list transforms; /* those that are for it */
    skv_content content;           /* what they take its samples for */
    int64_t content_dims[3];       /* [c][h][w] as they see them */
    float *deviation;              /* of the columns, for transforms that need it; or NULL */
    /* The layouts of a sample: as stored, and after transforms (channels first). */
    skv_arrangement plain, transformed;
    bool turn;         /* stored with channels last, but transforms need them first */
    bool changed;      /* scaled, normalised or reordered */
    float *scale;      /* [channels]: x * scale + shift, with x from skive_dataset_read */
    float *byte_scale; /* the same for a stored byte */
    float *shift;
    skive_dtype dtype; /* of a batch */
    size_t element;
    int rank; /* of a sample in it */
    int64_t dims[SKIVE_MAX_RANK];
} skv_lane;

struct skive_loader {
    skive_context *ctx;
    const skive_dataset *ds;
    size_t batch, depth, batches, samples; /* samples per epoch: fewer than those of the set with drop_last */
    bool shuffle, drop_last;
    const uint32_t *chosen; /* [n_chosen] the samples of the next epochs; NULL: all */
    size_t n_chosen;
    uint64_t seed, transform_seed;
    uint64_t repeat, shift; /* transforms draw for epoch % repeat + shift; repeat 0: for each epoch anew */
    double spare;           /* probability with which a transform is left out */
    skv_lane *lanes;        /* [n_lanes] inputs */
    size_t n_lanes, n_answers;
    bool mixes;          /* transforms mix the samples of a batch */
    int64_t shares;      /* labels are rows of so many shares of classes; 0: they are numbers of classes */
    skive_tensor *views; /* [n_lanes + n_answers] of the batch that the caller holds */

    skv_loader_slot *slots; /* [depth] */
    uint32_t *order;        /* [ds->count]; written only while no slot is being filled */
    skv_loader_worker *workers;
    int worker_count, started; /* started: threads that run; 0: the caller fills */

    pthread_mutex_t mutex;
    pthread_cond_t work, ready;
    bool has_mutex, has_work, has_ready;
    /* Under the mutex. */
    bool running, stop;
    uint64_t epoch;
    size_t next_fill, next_take, active;
    skv_loader_slot *held;
};

/* Fills batch number `sequence` of the epoch; a failure is kept in the slot. */
void skv_loader_fill(skv_loader_worker *w, size_t sequence, skv_loader_slot *s);
/* A thread that fills slots until the loader stops; `argument` is a skv_loader_worker. */
void *skv_loader_work(void *argument);

#endif
