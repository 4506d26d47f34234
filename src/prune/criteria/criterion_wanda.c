/* Weight and activation (Wanda, Sun, Liu, Bair & Kolter 2024): |w| times the norm of the input channel that it
 * multiplies, ranked among the weights of the same output. For a convolution the channel's norm is that over all
 * positions. A rank makes the outputs of all layers alike: the score is the part of its output's weights that do not
 * score more. A weight whose input cannot be looked at (the state of a recurrent cell) counts by its magnitude. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "prune/prune.h"

static const char *ranges(size_t i) {
    static const char *const names[] = {"output", "layer", "network"};
    return i < 3 ? names[i] : NULL;
}

static const skv_option options[] = {
    SKV_SCORE_BATCHES(16),
    SKV_SCORE_BATCH(64),
    {.name = "within",
     .type = SKV_OPTION_CHOICE,
     .text = "output",
     .choices = ranges,
     .brief = "what a weight is ranked among: those of its output, its layer, or not at all"},
};

static const skv_data_need needs[] = {{.at = SKV_AT_INPUT, .of = SKV_OF_VALUE, .reducer = "squares"}};

typedef struct entry {
    float score;
    int64_t output, index;
} entry;

static int by_output(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->output != y->output) return x->output < y->output ? -1 : 1;
    if (x->score < y->score || x->score > y->score) return x->score < y->score ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static skive_status rank(const skv_score_args *a, bool by_layer) {
    entry *sorted = NULL;
    SKV_TRY(skv_alloc_array(a->ctx, (size_t)a->n + 1, sizeof *sorted, &sorted));
    for (int64_t i = 0; i < a->n; i++) sorted[i] = (entry){a->score[i], by_layer ? 0 : skv_score_output(a, i), i};
    qsort(sorted, (size_t)a->n, sizeof *sorted, by_output);
    for (int64_t first = 0, last = 0; first < a->n; first = last) {
        while (last < a->n && sorted[last].output == sorted[first].output) last++;
        for (int64_t i = first; i < last; i++)
            a->score[sorted[i].index] = (float)((double)(i - first + 1) / (double)(last - first));
    }
    skv_free(a->ctx, sorted);
    return SKIVE_OK;
}

static skive_status score(const skv_score_args *a) {
    const skv_numbers *m = &a->numbers[0];
    const char *within = skv_option_text(a->options, "within");
    for (int64_t i = 0; i < a->n; i++) {
        const double squares = skv_score_channel(a, m, true, i);
        a->score[i] = (float)(fabs((double)a->weight[i]) * (isnan(squares) ? 1 : sqrt(squares / m->count)));
    }
    return strcmp(within, "network") == 0 ? SKIVE_OK : rank(a, strcmp(within, "layer") == 0);
}

const skv_criterion skv_criterion_wanda = {
    .name = "wanda",
    .brief = "magnitude times the norm of the input, ranked within each output",
    SKV_OPTIONS(options),
    SKV_NEEDS(needs),
    .score = score,
};
