/* The samples join that are easiest for the model itself, by their loss, measured anew whenever some join (Kumar,
 * Packer & Koller, Self-Paced Learning for Latent Variable Models, NeurIPS 2010). An untrained model knows nothing:
 * the first epochs have samples in a random order. */
#include "train/curriculum.h"

static double difficulty(const double *log_p, int64_t classes, int64_t label) {
    (void)classes;
    return -log_p[label];
}

static const skv_option options[] = {SKV_CURRICULUM_OPTIONS};

const skv_curriculum skv_curriculum_loss = {.name = "loss",
                                            .brief = "samples join in the order of the model's own loss on them",
                                            SKV_OPTIONS(options),
                                            .needs_classes = true,
                                            .order = skv_curriculum_take_turns,
                                            .difficulty = difficulty};
