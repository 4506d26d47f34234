/* First-order Taylor expansion: w times its gradient is what the loss changes by, to first order, when w becomes 0
 * (Mozer & Smolensky 1988; Molchanov, Tyree, Karras, Aila & Kautz 2017, whose normalisation by layer this takes, and
 * Molchanov, Mallya, Tyree, Frosio & Kautz 2019 for the square). On a trained network the gradients of all data add up
 * to nearly nothing, so the size of the product is taken batch by batch, and its mean over the batches. */
#include <math.h>
#include <string.h>

#include "prune/prune.h"

static const char *measures(size_t i) {
    static const char *const names[] = {"square", "magnitude", "activation"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

static const skv_option options[] = {
    SKV_SCORE_BATCHES(100),
    SKV_SCORE_BATCH(64),
    {.name = "measure",
     .type = SKV_OPTION_CHOICE,
     .text = "square",
     .choices = measures,
     .brief = "of a batch: the square, whose mean's root is the score, or the magnitude; activation: of the output "
              "channel, sample by sample, where channels go"},
    SKV_SCORE_NORMALISE("layer"),
};

static const skv_data_need needs[] = {
    {.at = SKV_AT_WEIGHT, .of = SKV_OF_PRODUCT, .reducer = "squares", .option = "measure", .is = "square"},
    {.at = SKV_AT_WEIGHT, .of = SKV_OF_PRODUCT, .reducer = "magnitudes", .option = "measure", .is = "magnitude"},
    {.at = SKV_AT_OUTPUT, .of = SKV_OF_PRODUCT, .reducer = "sample-sums", .option = "measure", .is = "activation"},
};

/* Of the activation behind the layer: the sum of value times gradient over the positions, its magnitude, and the
 * mean of that over the samples (Molchanov et al. 2017). */
static void score_outputs(const skv_score_args *a) {
    for (int64_t i = 0; i < a->n; i++) {
        const double sum = skv_score_channel(a, &a->numbers[2], false, i);
        a->score[i] = (float)(isnan(sum) ? 0 : skv_score_share(a, sum / a->numbers[2].count));
    }
}

static skive_status score(const skv_score_args *a) {
    if (strcmp(skv_option_text(a->options, "measure"), "activation") == 0) {
        if (!a->channels)
            return skv_fail_at(
                a->ctx, SKIVE_ERR_ARGUMENT, "measure",
                "taylor:measure=activation scores whole channels; use it with the granularity 'channel'");
        score_outputs(a);
        skv_score_normalise_as_asked(a);
        return SKIVE_OK;
    }
    const bool square = a->numbers[0].n > 0;
    const skv_numbers *m = &a->numbers[square ? 0 : 1];
    for (int64_t i = 0; i < a->n; i++) {
        const double mean = m->x[i] / m->count;
        a->score[i] = (float)(square ? sqrt(mean) : mean);
    }
    skv_score_normalise_as_asked(a);
    return SKIVE_OK;
}

const skv_criterion skv_criterion_taylor = {
    .name = "taylor",
    .brief = "first-order change of the loss: weight times gradient, batch by batch",
    SKV_OPTIONS(options),
    SKV_NEEDS(needs),
    .score = score,
};
