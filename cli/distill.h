/* What the parts of skive distill share. */
#ifndef CLI_DISTILL_H
#define CLI_DISTILL_H

#include "cli.h"

enum { MOST_TEACHERS = 16, MOST_TRIALS = 64, MOST_GENERATIONS = 16 };

/* A setting that is tried, and the best figure of validation so far. */
typedef struct distill_trial {
    double temperature, alpha, figure;
    int epochs; /* it was trained for */
    bool out;
} distill_trial;

typedef struct distill_lesson {
    skive_graph *teachers[MOST_TEACHERS];
    char *names[MOST_TEACHERS]; /* files */
    double weights[MOST_TEACHERS];
    size_t n_teachers;
    skive_dataset *unlabelled;
    char *terms;           /* separated by ';' */
    char *heads, *classes; /* of the teachers, the same */
    distill_trial trials[MOST_TRIALS];
    size_t n_trials;                      /* 1: there is nothing to try */
    skive_graph *kept;                    /* the best student of the trials so far, for a run that is interrupted; */
    const distill_trial *kept_trial;      /* its setting, */
    double kept_figure;                   /* figure */
    skive_train_report kept_report;       /* and report */
    int64_t generations;                  /* 0: not asked for */
    double figures[MOST_GENERATIONS + 2]; /* of the first model or teacher, each generation, and the ensemble */
    int best;                             /* generation; 0: not known */
    int64_t mutual;                       /* students that teach one another; 0: not asked for */
    skive_exits_report exits;             /* n 0: not measured */
    double assistant;                     /* its figure */
    const char *figure;                   /* what the figures are */
    skive_train_report report;
    /* Of several students, each with a task of the data: */
    char *tasks[MOST_TEACHERS], *specs[MOST_TEACHERS], *outputs[MOST_TEACHERS]; /* [n_tasks] */
    skive_graph *students[MOST_TEACHERS];                                       /* [n_tasks], the first elsewhere */
    size_t n_tasks;                                                             /* 0: there is one student */
    /* Of a student that becomes one of integers: */
    skive_options *quantize; /* NULL: it stays as it is */
    char *qat_text;          /* to which the options point */
    skive_qat_report quantized;
} distill_lesson;

/* Builds the student that --student (or another option) names for the data; it takes the teacher's input, if there is
 * one. A file is loaded. `classes`: 0: those of the data. */
skive_status distill_start(cli_job *j, const char *spec, const skive_graph *teacher, int64_t classes,
                           skive_graph **out);
/* The options of a run as they are now: with terms and teachers. */
const skive_distill_options *distill_options(cli_job *j);
/* One run, from the lesson's teachers to `student`. */
skive_status distill_once(cli_job *j, skive_graph *student, skive_train_report *report);
/* "2,4,8" and "0.5,0.9" as all pairs. */
skive_status distill_read_trials(cli_job *j);
/* Checks what excludes one another. */
skive_status distill_check_plan(cli_job *j);
/* The whole work: trials, assistant, generations. */
skive_status distill_plan(cli_job *j);
/* Are the model's classes, their order and its image size those of the training data? */
skive_status distill_fits_data(cli_job *j, const skive_graph *g, bool *fits);

/* ---- figures of validation (distill_plan.c) ---- */

/* The accuracy, or where there is none the loss with its sign turned; NaN without validation. */
skive_status distill_measure(cli_job *j, const skive_graph *g, double *out);
bool distill_beats(double a, double b); /* is a better? One that is not a number never is */
void distill_cell(cli_table *t, const distill_lesson *l, double figure);
const char *distill_head_of(const distill_lesson *l);
/* Another start: a built-in network with another seed, a file as it is. */
skive_status distill_fresh(cli_job *j, int64_t generation, const skive_graph *like, skive_graph **out);

/* ---- early exits and mutual learning (distill_more.c) ---- */

/* Reads --exits and --mutual, and refuses what does not go with them. */
skive_status distill_check_more(cli_job *j);
/* Puts the exits into the student, and their terms to the others. */
skive_status distill_add_exits(cli_job *j);
/* Behind the training. */
skive_status distill_measure_exits(cli_job *j);
skive_status distill_mutual(cli_job *j);
void distill_print_more(const cli_job *j);
/* The figures of n models of one run, and of their ensemble behind them; the first is number 0 or 1. */
void distill_print_models(const distill_lesson *l, const char *head, int64_t n, bool from_zero);
void distill_more_json(const cli_job *j, json_t *json);

/* ---- several students of a task each (distill_tasks.c) ---- */

/* Reads several --student, and refuses what does not go with them. */
skive_status distill_read_tasks(cli_job *j);
skive_status distill_start_tasks(cli_job *j);
skive_status distill_tasks(cli_job *j);
void distill_print_tasks(const distill_lesson *l);
json_t *distill_tasks_json(const distill_lesson *l, bool dry);
void distill_free_tasks(distill_lesson *l);

/* ---- into integers (distill_qat.c) ---- */

skive_status distill_read_qat(cli_job *j);
skive_status distill_qat(cli_job *j);

void distill_print_plan(const cli_job *j);
void distill_plan_json(const cli_job *j, json_t *json);
/* Of a dry run: who teaches what, by which terms, and the runs that there would be. */
void distill_dry_json(const cli_job *j, json_t *json);

#endif
