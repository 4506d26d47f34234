/* Teachers of whom only scores are asked run in a plan of their own, before each step: with everything that inference
 * has (fusion, integer kernels where they are quantized), and with their answers on disk on request. The training graph
 * takes the answers as inputs. */
#ifndef SKV_ANSWERS_H
#define SKV_ANSWERS_H

#include "train/fit.h"

/* What the trainer is fed with. */
typedef struct skv_answers skv_answers;
typedef struct skv_answers_setup {
    const skv_apart *apart; /* must outlive the answers */
    const char *cache;      /* file that keeps the answers; NULL: none */
    const char *key;        /* settings that decide them (skv_answers_key); another file's are refused */
    size_t samples;         /* of the data set */
    uint64_t views;         /* different ones of each sample in the whole run, for what is told */
} skv_answers_setup;
/* Errors: ARGUMENT (the cache is of other answers), FORMAT (it is no cache), IO, as skive_plan_create. */
skive_status skv_answers_create(skive_context *ctx, const skv_answers_setup *setup, skv_answers **out);
/* Tells how often the cache was of use. */
void skv_answers_free(skv_answers *a);
/* Of the samples of a batch, seen in their view number `view`, into the inputs of the training graph. */
skive_status skv_answers_feed(skv_answers *a, const skive_batch *batch, uint64_t view, skv_trainer *t);

/* Lines of all that decides what the teachers answer: the teachers, the data, the student's input, the views. `text`
 * was initialised by skv_text_init. */
skive_status skv_answers_key(skive_context *ctx, const skv_fit *fit, skv_text *text);

/* ---- the file ---- */

typedef struct skv_answer_cache skv_answer_cache;
/* Opens or creates it, for rows of `bytes`. Errors: as skv_answers_create. */
skive_status skv_answer_cache_open(skive_context *ctx, const char *path, const char *key, size_t samples, size_t bytes,
                                   skv_answer_cache **out);
void skv_answer_cache_free(skv_answer_cache *c);
/* The row of sample `index` in this view; *found false where it is not there, damaged, or the answer to other numbers:
 * `sample` is a hash of those that the teacher sees. */
skive_status skv_answer_cache_get(skv_answer_cache *c, uint64_t view, size_t index, uint64_t sample, void *row,
                                  bool *found);
/* Keeps a row. A disk that is full ends the writing, with a note, and not the run. */
void skv_answer_cache_put(skv_answer_cache *c, uint64_t view, size_t index, uint64_t sample, const void *row);

#endif
