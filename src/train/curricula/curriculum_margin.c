/* The samples join that a trained teacher tells most clearly from other classes: by its margin, the logarithm of the
 * probability of the right class minus the largest of the others (transfer scoring of Hacohen & Weinshall, On the
 * Power of Curriculum Learning in Training Deep Networks, ICML 2019). */
#include <math.h>

#include "train/curriculum.h"

static double difficulty(const double *log_p, int64_t classes, int64_t label) {
    double other = -INFINITY;
    for (int64_t c = 0; c < classes; c++)
        if (c != label) other = fmax(other, log_p[c]);
    return classes > 1 ? other - log_p[label] : 0;
}

static const skv_option options[] = {
    SKV_CURRICULUM_OPTIONS,
    {.name = "teacher",
     .type = SKV_OPTION_TEXT,
     .brief = "file of a trained model of the same classes (default: the teacher of a distillation)"},
};

const skv_curriculum skv_curriculum_margin = {.name = "margin",
                                              .brief = "samples join in the order of a teacher's margin",
                                              SKV_OPTIONS(options),
                                              .needs_classes = true,
                                              .order = skv_curriculum_take_turns,
                                              .difficulty = difficulty,
                                              .by_teacher = true};
