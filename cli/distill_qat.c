/* skive distill --qat: a trained (and perhaps pruned) student becomes one of integers, taught while it is rounded. */
#include <stdlib.h>
#include <string.h>

#include "distill.h"

/* The options of skive quantize --qat, but what the run has of its own. */
static skive_status set_one(cli_job *j, const char *item) {
    static const char *const own[] = {"distill-alpha", "temperature"};
    distill_lesson *l = j->own;
    skive_qat_options *o = skive_options_qat(l->quantize);
    const char *equals = strchr(item, '=');
    if (!equals || equals == item || !equals[1])
        return cli_fail(j->a, SKIVE_ERR_ARGUMENT,
                        "--qat: '%s' is not KEY=VALUE; write auto, or such as weights=int4,activations=uint4", item);
    const size_t length = (size_t)(equals - item);
    if (length == 7 && memcmp(item, "weights", length) == 0) {
        o->weights = equals + 1;
        return SKIVE_OK;
    }
    if (length == 11 && memcmp(item, "activations", length) == 0) {
        o->activations = equals + 1;
        return SKIVE_OK;
    }
    for (size_t i = 0; i < CLI_COUNT(own); i++)
        if (strlen(own[i]) == length && memcmp(item, own[i], length) == 0)
            return cli_fail(j->a, SKIVE_ERR_ARGUMENT, "--qat: %s is that of the run: --alpha and -T", own[i]);
    skive_option_bounds bounds = {.size = sizeof bounds};
    char *qat = cli_format("qat.%.*s", (int)length, item), *plain = cli_format("quantize.%.*s", (int)length, item);
    skive_status status = !qat || !plain ? SKIVE_ERR_MEMORY : SKIVE_OK;
    if (status == SKIVE_OK) {
        const bool is_qat = skive_options_bounds(NULL, "quantize", qat, &bounds) == SKIVE_OK;
        status = skive_options_set(l->quantize, is_qat ? qat : plain, equals + 1);
    }
    free(qat);
    free(plain);
    return status;
}

skive_status distill_read_qat(cli_job *j) {
    static const char *const without[] = {"self", "assistant", "mutual", "exits", "find-lr", "student-init"};
    distill_lesson *l = j->own;
    cli_args *a = j->a;
    const char *text = cli_text(a, "qat", NULL);
    if (!text) return SKIVE_OK;
    for (size_t i = 0; i < CLI_COUNT(without); i++)
        if (cli_has(a, without[i]))
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s does not go with --qat; leave one of them out", without[i]);
    if (l->n_trials > 1)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--qat takes one value of -T and of --alpha; try them without it");
    if (!cli_is_file(cli_text(a, "student", "")))
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "--qat: the ranges of a network that nobody has trained say nothing; train the student first "
                        "(skive train, or distill without --qat) and name its file as --student");
    skive_status status = skive_options_create(a->ctx, "quantize", &l->quantize);
    if (status == SKIVE_OK && !(l->qat_text = strdup(text))) status = SKIVE_ERR_MEMORY;
    for (char *at = l->qat_text; at && status == SKIVE_OK && strcmp(text, "auto") != 0;) {
        char *end = strchr(at, ',');
        if (end) *end = 0;
        status = set_one(j, at); /* its values may point into the text */
        at = end ? end + 1 : NULL;
    }
    return status;
}

skive_status distill_qat(cli_job *j) {
    distill_lesson *l = j->own;
    skive_qat_options *o = skive_options_qat(l->quantize);
    skive_train_options how = *j->how;
    skive_dataset *test = NULL;
    const char *data = cli_text(j->a, "data", NULL);
    skive_status status = j->dry ? SKIVE_OK : cli_open_test(j->a, data, j->graph, j->train, &test);
    if (j->dry) how.epochs = 1; /* nothing is trained */
    o->teacher = l->teachers[0];
    o->distill = distill_options(j);
    o->train = &how;
    o->dry_run = j->dry;
    if (status == SKIVE_OK)
        status = skive_quantize_aware(j->a->ctx, j->graph, j->train, j->validation, test, o, &l->quantized);
    l->report = l->quantized.training;
    l->quantized.training = (skive_train_report){0};
    skive_dataset_free(test);
    return status;
}
