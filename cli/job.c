/* The skeleton of the commands that train: options, checks, models and data, the work, and what it leaves: the file,
 * the report, the rule for an interrupted run. */
#include <string.h>

#include "cli.h"

static const char *checkpoint_of(const cli_job *j) { return j->how->resume ? j->how->resume : j->how->checkpoint; }

/* The learning-rate finder writes no model. */
static skive_status check_picture(cli_job *j) {
    const size_t length = j->output ? strlen(j->output) : 0;
    if (!j->output) return SKIVE_OK;
    if (length < 4 || strcmp(j->output + length - 4, ".svg") != 0)
        return cli_fail(j->a, SKIVE_ERR_ARGUMENT,
                        "%s: --find-lr writes no model; leave --output out, or name a picture that ends in .svg",
                        j->output);
    return cli_check_output(j->a, j->output);
}

static skive_status check(cli_job *j) {
    cli_args *a = j->a;
    skive_status status = SKIVE_OK;
    if (j->work->finetunes && j->how->epochs > 0 && !cli_has(a, "data"))
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--finetune needs --data");
    if (j->dry) return SKIVE_OK;
    if (j->how->find_lr) return check_picture(j);
    if (!j->output) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--output is missing; name the file to write");
    status = cli_check_output(a, j->output);
    if (status == SKIVE_OK && j->how->log) status = cli_check_output(a, j->how->log);
    if (status == SKIVE_OK && checkpoint_of(j)) status = cli_check_output(a, checkpoint_of(j));
    return status;
}

skive_status cli_job_open_data(cli_job *j, skive_graph *model) {
    const char *data = cli_text(j->a, "data", NULL);
    if (!data) return SKIVE_OK;
    return cli_open_training(j->a, data, model, &j->train, &j->validation);
}

skive_status cli_job_load(cli_job *j, bool runs) {
    const char *path = j->a->positional[0];
    skive_status status = (runs ? cli_load_to_run : cli_load)(j->a, path, &j->graph);
    if (status == SKIVE_OK) status = skive_graph_to_float32(j->graph);
    j->sized = true;
    return status == SKIVE_OK ? cli_sizes_as_loaded(j->a, path, j->graph, &j->before) : status;
}

skive_status cli_job_open_rest(cli_job *j) {
    cli_args *a = j->a;
    const char *teacher = cli_text(a, "teacher", NULL);
    skive_status status = teacher ? cli_load_to_run(a, teacher, &j->teacher) : SKIVE_OK;
    if (status == SKIVE_OK && !j->train) status = cli_job_open_data(j, j->graph);
    if (status == SKIVE_OK) status = cli_set_input(a, j->graph, j->train);
    if (status == SKIVE_OK) status = cli_set_teacher_input(a, j->teacher, j->train);
    return status == SKIVE_OK ? cli_choose_outputs(a, (skive_graph *const[]){j->graph, j->teacher}, 2) : status;
}

static skive_status work(cli_job *j) {
    const skive_train_options given = *j->how;
    if (j->dry) {
        j->how->checkpoint = j->how->resume = j->how->checkpoint_every = NULL;
        j->how->log = j->how->tensorboard = NULL;
    }
    if (!j->dry && !cli_has(j->a, "no-curves") && cli_live_start(j->a->console)) {
        j->how->observe = cli_live_event;
        j->how->observe_user = j->a->console;
    }
    if (j->dry) j->how->find_lr = false;
    if (j->dry && !j->work->finetunes) j->how->epochs = 0; /* everything is checked, and nothing is trained */
    const skive_status status = j->work->run(j);
    *j->how = given;
    return status;
}

static void tell_written(const cli_job *j, bool stopped) {
    char text[32];
    cli_print_training(j->a, j->training);
    if (j->sized) {
        cli_print_sizes(&j->before, &j->after, j->output);
    } else {
        cli_printf("wrote %s (%s)%s", j->output, cli_bytes((double)j->after.file, text, sizeof text),
                   stopped ? ", as it was after the last finished epoch" : "");
    }
}

static void tell_json(const cli_job *j) {
    json_t *json = j->work->json ? j->work->json(j) : cli_train_json(j->training);
    json_object_set_new(json, "output", cli_json_text(j->output));
    if (j->sized)
        cli_set_sizes(json, &j->before, &j->after);
    else
        json_object_set_new(json, "bytes", json_integer(j->after.file));
    cli_print_json(json);
}

static skive_status save(cli_job *j, bool stopped) {
    cli_args *a = j->a;
    const bool trained = j->how->epochs > 0 || !j->work->finetunes;
    const skive_status status = trained ? cli_save_trained(a, j->graph, j->output) : cli_save(a, j->graph, j->output);
    if (status != SKIVE_OK) return status;
    if (j->sized)
        (void)cli_sizes_of(a, j->output, j->graph, &j->after);
    else
        j->after.file = cli_file_bytes(j->output);
    if (a->json) {
        tell_json(j);
        return SKIVE_OK;
    }
    if (j->work->print) j->work->print(j);
    tell_written(j, stopped);
    if (j->work->advise) j->work->advise(j);
    return SKIVE_OK;
}

skive_status cli_job_run(cli_args *a, const cli_work *w, cli_job *j) {
    *j = (cli_job){.a = a,
                   .work = w,
                   .own = j->own,
                   .training = j->training,
                   .output = cli_text(a, "output", NULL),
                   .dry = cli_has(a, "dry-run")};
    skive_status status = cli_method_options(a, &j->options);
    if (status == SKIVE_OK) j->how = skive_options_train(j->options);
    if (status == SKIVE_OK && w->settings) status = w->settings(j);
    if (status == SKIVE_OK) status = cli_check_effects(a, j->options);
    if (status == SKIVE_OK) status = check(j);
    if (status == SKIVE_OK) status = w->open(j);
    if (status == SKIVE_OK) status = work(j);
    /* An interrupted run is saved too, so that its progress is not lost. */
    const bool stopped = status == SKIVE_ERR_INTERRUPTED,
               reached = stopped && (j->reached || j->training->n_epochs > 0);
    if (status == SKIVE_OK && j->dry) {
        status = w->plan ? w->plan(j) : cli_tell_training(j);
    } else if (status == SKIVE_OK && j->how->find_lr) {
        status = cli_tell_rates(a, &j->training->rates, j->output);
    } else if (status == SKIVE_OK || (reached && !j->dry)) {
        const skive_status saved = save(j, stopped);
        if (saved != SKIVE_OK) status = saved;
    }
    if (stopped && !reached && !j->dry && !j->how->find_lr)
        status = cli_fail(a, status, "interrupted before an epoch was finished; %s was not written%s%s", j->output,
                          checkpoint_of(j) ? "; the same command continues the run from " : "",
                          checkpoint_of(j) ? checkpoint_of(j) : "");
    skive_graph_free(j->graph);
    skive_graph_free(j->teacher);
    skive_dataset_free(j->validation);
    skive_dataset_free(j->train);
    skive_options_free(j->options);
    return status;
}
