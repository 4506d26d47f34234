/* The command: records of subcommands, arguments, and what they share. */
#ifndef CLI_H
#define CLI_H

#include <jansson.h>
#include <stdio.h>

#include <skive/skive.h>

/* ---- options ---- */

typedef struct cli_option {
    const char *name; /* without dashes */
    char letter;      /* 0: none */
    const char *arg;  /* NULL: a switch */
    const char *help;
    bool many; /* may be given more than once */
} cli_option;

enum { CLI_MOST_HIDDEN = 4 };

typedef struct cli_args cli_args;

/* A subcommand: one file that ends in one record, and one line in commands.inc. */
typedef struct cli_command {
    const char *name, *brief;
    const char *positional;             /* "MODEL": the names of the arguments without dashes */
    int min_positional, max_positional; /* max -1: any number */
    const cli_option *options;
    size_t n_options;
    const char *details;  /* paragraphs for --help */
    const char *examples; /* lines */
    /* The options of this method of the library (skive/options.h) are options of the command; NULL: of none. */
    const char *method;
    bool finetunes;                      /* epochs are those of fine-tuning, --finetune */
    const char *hidden[CLI_MOST_HIDDEN]; /* options of the method that the command sets itself */
    bool saves;                          /* saves its progress when a signal interrupts it */
    skive_status (*run)(cli_args *a);
} cli_command;

size_t cli_command_count(void);
const cli_command *cli_command_at(size_t i);
const cli_command *cli_command_find(const char *name);

/* All options of the command but those of every command: its own, then its method's. Freed by cli_options_free. */
const cli_option *cli_options_of(const cli_command *c, size_t *n);
void cli_options_free(void);
/* The name that the library has for an option of the method: "train.clip-norm"; NULL for the command's own. */
const char *cli_full_name(const cli_command *c, const cli_option *o);
json_t *cli_command_json(const cli_command *c);

typedef struct cli_value {
    const cli_option *option;
    const char *text; /* NULL for a switch */
} cli_value;

struct cli_args {
    const cli_command *command;
    skive_context *ctx;
    const char **positional;
    int n_positional;
    cli_value *values;
    size_t n_values;
    bool quiet, json, verbose;
    struct cli_console *console;
    bool told;      /* an error in the arguments was already printed */
    size_t n_notes; /* notes of the context that were already printed */
};

/* The options of every subcommand: --threads --seed --quiet --verbose --json --help. */
extern const cli_option cli_common_options[];
extern const size_t cli_n_common_options;

/* Parses argv (without the subcommand's name); on an error prints one line and returns ERR_ARGUMENT. */
skive_status cli_parse(const cli_command *c, int argc, char **argv, cli_args *out);
void cli_args_free(cli_args *a);
bool cli_has(const cli_args *a, const char *name);
const char *cli_text(const cli_args *a, const char *name, const char *fallback); /* the last one given */
size_t cli_count(const cli_args *a, const char *name);
const char *cli_text_at(const cli_args *a, const char *name, size_t index);
/* Numeric options; the error names the option. *out keeps its value when the option is absent. */
skive_status cli_number(cli_args *a, const char *name, double *out);
skive_status cli_number_in(cli_args *a, const char *name, double low, double high, double *out);
skive_status cli_integer(cli_args *a, const char *name, int64_t low, int64_t high, int64_t *out);
/* "512M", "4G", "1.5KiB": bytes. */
skive_status cli_size(cli_args *a, const char *name, uint64_t *out);
skive_status cli_fail(cli_args *a, skive_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

void cli_print_help(FILE *f, const cli_command *c);
void cli_print_overview(FILE *f);
void cli_print_man(FILE *f);
void cli_print_bash(FILE *f); /* completions */
void cli_print_zsh(FILE *f);

/* Prints the notes of the context that were not printed yet: what led to an error stands before it. */
void cli_tell_notes(cli_args *a);

/* ---- console ---- */

typedef struct cli_console {
    bool quiet, verbose, terminal;
    bool muted; /* what the library tells is not shown for now */
    int width;  /* of the progress line on the screen */
    /* Where standard error is not a terminal: the current job, its lines so far and the time of the last one. */
    char job[64];
    int lines;
    double last;
    struct cli_live *live; /* curves above the progress line, and the number of their lines on the screen */
    int drawn;
} cli_console;
void cli_console_options(cli_console *c, skive_context_options *o);
void cli_console_clear(cli_console *c);
/* Curves of training above the progress line, on a terminal that is large enough. From the start on, events of training
 * are taken by cli_live_event, whose `user` is the console. */
typedef struct cli_live cli_live;
bool cli_live_start(cli_console *c); /* false: there are none */
void cli_live_event(void *user, const skive_train_event *e);
bool cli_live_draw(cli_console *c, const char *line); /* false: only the line is to be drawn */
void cli_live_free(cli_console *c);
/* Ctrl-C, SIGTERM and the loss of the terminal (SIGHUP, unless ignored: nohup) ask the running job to stop; a second
 * Ctrl-C ends the process. `saves`: an interrupted job has results to write, and is given the time it needs; other jobs
 * are ended a second after the signal. */
void cli_install_interrupt(bool saves);

/* ---- text ---- */
enum { CLI_COLUMNS = 80 };          /* width of help texts if the screen width is unknown */
size_t cli_columns(FILE *f);        /* COLUMNS, or the terminal's width; 0: unknown, lines are not broken */
size_t cli_width(const char *text); /* on the screen */
char *cli_skip(char *text, size_t characters);
/* As much of the text as has room in the buffer and in so many columns, whole characters only. Returns the buffer. */
const char *cli_copy(char *buffer, size_t size, const char *text, size_t columns);
/* "%.4f", or fewer digits of a number so large that they would break a column. */
const char *cli_fixed(double x, char *buffer, size_t size);
/* Breaks lines between words; the text starts at `column`, continuation lines are indented. */
void cli_print_text(FILE *f, const char *text, size_t column, size_t indent);
/* Prints a line to standard output, broken to fit the screen. No newline at the end of the format. */
void cli_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints the beginning of a line, which the next cli_printf or cli_end_line completes. */
void cli_part(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_end_line(void);
/* Like cli_printf, to standard error. */
void cli_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A formatted string, for free(); NULL when out of memory. */
char *cli_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- standard input and output as files ---- */
/* Replaces "-" among the arguments: a model or an --input is read from standard input, an --output is written to
 * standard output, where nothing else is printed then. A second "-" of a kind and terminals are refused. */
skive_status cli_streams_take(cli_args *a);
skive_status cli_streams_finish(cli_args *a,
                                skive_status status); /* writes the output if status is OK; returns the status */
void cli_streams_free(void);
/* The text with "standard input" and "standard output" in place of the files that represent them; for free(). */
char *cli_shown(const char *text);

/* ---- tables ---- columns are as wide as needed; numbers are right-aligned */
typedef struct cli_table cli_table;
cli_table *cli_table_new(const char *const *heads,
                         size_t n); /* a heading that starts with '<' makes its column left-aligned */
/* Text of more than 52 columns is shortened in the middle. */
void cli_table_cell(cli_table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_table_rule(cli_table *t);           /* a line before the next row */
void cli_table_print(cli_table *t, FILE *f); /* and frees it */

/* ---- shared ---- */

skive_status cli_load(cli_args *a, const char *path, skive_graph **out);
/* Is this the name of a file and not of a built-in network? */
bool cli_is_file(const char *model);
/* The same for a command that runs the model on data: unsupported operators are refused, naming all of them, and it is
 * made float32 (skive_graph_to_float32). */
skive_status cli_load_to_run(cli_args *a, const char *path, skive_graph **out);
/* For a command that only runs the model: the weights of a packed model stay coded, and its types as they are. */
skive_status cli_load_as_packed(cli_args *a, const char *path, skive_graph **out);
/* The same on data. */
skive_status cli_load_to_judge(cli_args *a, const char *path, skive_graph **out);
/* Prints a note if the model was exported in training mode: for commands that do not change that. */
/* Kernels that `skive tune` chose for the model: the file beside it, if there is one. One that is damaged or of another
 * machine is told and not used. */
#define CLI_CHOICES_SUFFIX ".tune"
void cli_use_choices(cli_args *a, const char *model);
char *cli_choices_path(const char *model); /* of malloc; NULL: no memory */
void cli_tell_training_mode(const cli_args *a, const skive_graph *g);
skive_status cli_save(cli_args *a, const skive_graph *g, const char *path);
/* Before long work: checks that a file of this name can be written, and is none that --data or --unlabelled reads. */
skive_status cli_check_output(cli_args *a, const char *path);
/* Does the text of a data set name this file, or a folder that has it among its samples? */
skive_status cli_is_in_spec(const char *spec, const char *path, bool *is);
/* Do both names refer to one file, or would they once it is written? "x" and "./x" do, and links to one file. */
bool cli_same_file(const char *x, const char *y);
/* The values of an option that may be repeated as one text, with ';' between; *out, freed by free, grows from NULL.
 * `what`: what is to be named, for the error where one is empty. */
skive_status cli_join(cli_args *a, const char *option, const char *what, char **out);
/* How much of "b.onnx:0.3" is the file: a number behind the last colon is a weight, unless there is such a file. */
size_t cli_teacher_length(const char *text, double *weight);
/* After long work: if the file cannot be written after all, saves the model to the temporary folder. */
skive_status cli_save_trained(cli_args *a, const skive_graph *g, const char *path);
/* Figures with options (--metrics). */
#define CLI_METRICS_OPTION \
    { "metrics", 0, "LIST", "figures with options: FIGURE:OPTIONS, more behind ';' (top-k:5;f-beta:beta=0.5)", false }
#define CLI_RESAMPLES_OPTION \
    { "resamples", 0, "N", "resamples for the intervals of figures that are no means (default 1000; 0: none)", false }
/* --split, "test" if it is not given. */
#define CLI_SPLIT_OPTION                                                                                              \
    {                                                                                                                 \
        "split", 0, "NAME",                                                                                           \
            "test (default), validation, train, or train-full (train and the samples held out of it for validation)", \
            false                                                                                                     \
    }
skive_status cli_split(cli_args *a, skive_split *out);
/* Opens the data set of --data, limited to the number of samples of --limit (training samples, not validation samples).
 * `model` is the model that will use it, which determines image size, channels and class numbers; NULL: not known
 * yet. */
skive_status cli_open_data(cli_args *a, const char *spec, skive_split split, skive_graph *model, skive_dataset **out);
/* The same without labels, even if the set has them. */
skive_status cli_open_samples(cli_args *a, const char *spec, skive_split split, skive_graph *model,
                              skive_dataset **out);
/* Training samples of the form of `like`, without labels; of the set of --data those that --limit leaves out. */
skive_status cli_open_unlabelled(cli_args *a, const char *spec, skive_graph *model, const skive_dataset *like,
                                 skive_dataset **out);
/* The training samples, and those held out for validation (NULL with --no-validation, which trains on all). */
skive_status cli_open_training(cli_args *a, const char *spec, skive_graph *model, skive_dataset **train,
                               skive_dataset **validation);
/* The whole test split, whatever --limit says of training samples. */
skive_status cli_open_test(cli_args *a, const char *spec, skive_graph *model, const skive_dataset *train,
                           skive_dataset **out);
/* How samples become a model's input: options of every command that reads a data set. */
#define CLI_DATA_OPTIONS                                                                                             \
    {"mean", 0, "A,B,C",                                                                                             \
     "subtracted from samples: a number, one per channel, imagenet, data (measured) or none (default: as the model " \
     "says)",                                                                                                        \
     false},                                                                                                         \
        {"std", 0, "A,B,C", "samples are then divided by this; same forms as --mean", false},                        \
        {"scale", 0, "S",                                                                                            \
         "samples are first multiplied by this: a number, 1/255 or none (default: 1/255 for 8-bit samples)", false}, \
        {"layout", 0, "NAME", "layout of the model's input: nchw or nhwc (default: read from the model)", false},    \
        {"resize", 0, "HxW",                                                                                         \
         "resize images to this, height first; N: NxN, or with --center-crop their shorter side (default: the "      \
         "model's input)",                                                                                           \
         false},                                                                                                     \
        {"center-crop", 0, "HxW", "then keep the centre of each image; N: NxN", false},                              \
        {"class-order", 0, NULL,                                                                                     \
         "number the classes by their order in the data set, not by the class names stored in the model", false},    \
    {                                                                                                                \
        "skip-bad", 0, NULL, "leave out image and sound files that cannot be read, and say how many", false          \
    }
/* What targets are: options of the commands that use them. */
#define CLI_TARGET_OPTIONS                                                                                             \
    {                                                                                                                  \
        "targets", 0, "TYPE",                                                                                          \
            "what label files contain: class numbers (class) or values (float) (default: from their type and values)", \
            false                                                                                                      \
    }
#define CLI_TEACHER_INPUT_OPTIONS                                      \
    {"teacher-mean", 0, "A,B,C", "--mean for the teacher", false},     \
        {"teacher-std", 0, "A,B,C", "--std for the teacher", false},   \
        {"teacher-scale", 0, "S", "--scale for the teacher", false}, { \
        "teacher-layout", 0, "NAME", "--layout for the teacher", false \
    }
/* Stores the values of these options in the model's metadata. set NULL: there is no data set, and none of the options
 * may be given. */
skive_status cli_set_input(cli_args *a, skive_graph *g, const skive_dataset *set);
/* The same, but a model's own metadata take precedence: for commands that take several models. */
skive_status cli_set_input_where_unsaid(cli_args *a, skive_graph *g, const char *model, const skive_dataset *set);
/* teacher may be NULL. */
skive_status cli_set_teacher_input(cli_args *a, skive_graph *teacher, const skive_dataset *set);
json_t *cli_input_json(const cli_args *a, const skive_graph *g, const skive_dataset *set);
/* Builds a built-in network for the set's samples; `classes` 0: the number of classes of the set. */
skive_status cli_build_network(cli_args *a, const char *spec, const skive_dataset *train, int64_t classes,
                               skive_graph **out);
/* For a new network: stores mean and standard deviation of the training samples, unless --mean or --std is given. */
skive_status cli_start_network(cli_args *a, const char *spec, const skive_dataset *train, int64_t classes,
                               skive_graph **out); /* both */
skive_status cli_normalize_by_data(cli_args *a, skive_graph *g, const skive_dataset *train);
/* Which output of a model is used, and what it contains: options of every command that measures or trains a model. */
#define CLI_OUTPUT_OPTIONS                                                                                            \
    {"use-output", 0, "NAME", "the output to use if a model has several; may be repeated, for several models", true}, \
        {"output-kind", 0, "KIND",                                                                                    \
         "what the output contains: logits, probabilities, log-probabilities, sigmoid, sigmoid-logits, values, "      \
         "embedding, ctc, ctc-last or detections (default: read from the model)",                                     \
         false},                                                                                                      \
    {                                                                                                                 \
        "lengths", 0, "NAME",                                                                                         \
            "of sequences (ctc), what says how many frames of a sample count: a value of the model or an input of "   \
            "the data; NAME/4: a step of the output is of 4 frames; none: all count (default: read from the model)",  \
            false                                                                                                     \
    }
/* Stores the values of these options in the models' metadata; NULL graphs are skipped. --output-kind applies to the
 * first model. A name that no model has, or that does not select an output of a model with several, is an error. */
skive_status cli_choose_outputs(cli_args *a, skive_graph *const *graphs, size_t n);
/* "output 'p' (probabilities, by its Softmax)"; of several outputs it says so. */
const char *cli_output_text(const skive_graph *g, const skive_output_info *o, char *buffer, size_t size);
json_t *cli_output_json(const skive_output_info *o);
/* The figures of an evaluation except the cross-entropy; the function `set` leaves out those that are not defined. */
/* How often the samples are drawn for intervals (--resamples). */
skive_status cli_resamples(cli_args *a, size_t *out);
/* "91.20" of a percentage, "0.8120", "12.5"; with a sign for differences; "-" where there is none. */
const char *cli_figure_text(skive_figure_form form, bool sign, double x, char *buffer, size_t size);
/* A line for each figure. */
void cli_print_figures(const skive_eval_report *r);
json_t *cli_figures_json(const skive_eval_report *r);
json_t *cli_pairs_json(const skive_figure_pair *pairs, size_t n);
/* A row of the table of figures: figure, model, value, difference to the first model (p NULL: "-"). */
void cli_figure_row(cli_table *t, const char *figure, const char *model, skive_figure_form form, double value,
                    const skive_figure_pair *p);
void cli_set_metrics(json_t *j, const skive_eval_report *r, void (*set)(json_t *j, const char *key, double x));
/* Shows what would be done, and does nothing: an option of every command that changes a model. */
#define CLI_DRY_RUN_OPTION \
    { "dry-run", 0, NULL, "show what would be done and why; train nothing and write nothing", false }
void cli_print_scope(const skive_train_scope *s, int64_t epochs, const skive_train_options *o);
json_t *cli_scope_json(const skive_train_scope *s, int64_t epochs, const skive_train_options *o);
void cli_print_dry_run(void); /* the last line of a dry run */
/* Sizes of a model file, external data included. Weights: the bytes of the parameters as stored; a file also contains
 * other things. */
typedef struct cli_sizes {
    int64_t file, weights;
} cli_sizes;
/* Options of every command that trains, besides those of its method. */
#define CLI_TRAIN_OPTIONS                                                                           \
    {"no-validation", 0, NULL, "train on all training samples and keep the last epoch", false},     \
        {"no-curves", 0, NULL, "on a terminal, show one line of progress without curves", false}, { \
        "limit", 0, "N", "use only N training samples", false                                       \
    }
/* The method's options as they were given. Freed by skive_options_free, after a failure too. */
skive_status cli_method_options(cli_args *a, skive_options **out);

/* Refuses options that were given and have no effect beside the others. To be called when the options are complete.
 * `o` NULL: the command has no method. */
skive_status cli_check_effects(cli_args *a, const skive_options *o);

/* ---- the skeleton of the commands that train ---- */

typedef struct cli_job cli_job;
/* What a command does; members may be NULL unless said otherwise. */
typedef struct cli_work {
    bool finetunes;                       /* trains only where it is asked for, and then needs --data */
    skive_status (*settings)(cli_job *j); /* further options, and checks of them, before any file is opened */
    skive_status (*open)(cli_job *j);     /* sets graph, train and validation; not NULL */
    skive_status (*run)(cli_job *j);      /* not NULL */
    skive_status (*plan)(cli_job *j);     /* prints a dry run; NULL: what would be trained */
    json_t *(*json)(const cli_job *j);    /* the report; NULL: that of training */
    void (*dry_json)(const cli_job *j, json_t *json); /* adds to that of a dry run; may be NULL */
    void (*print)(const cli_job *j);                  /* the report, before the lines on training and file */
    void (*advise)(const cli_job *j);                 /* after them */
} cli_work;
struct cli_job {
    cli_args *a;
    const cli_work *work;
    void *own; /* the command's */
    skive_options *options;
    skive_train_options *how; /* of `options` */
    const char *output;
    bool dry;
    skive_graph *graph, *teacher;
    skive_dataset *train, *validation;
    const skive_train_report *training; /* where the run's report will be; set by the caller */
    bool reached;                       /* an interrupted run has come to something */
    bool sized;                         /* `before` is known, and the file is compared with it */
    cli_sizes before, after;
};
skive_status cli_tell_training(const cli_job *j); /* a dry run: what would be trained, printed */
/* `own` and `training` are taken from *j; the rest is set, and freed at the end. */
skive_status cli_job_run(cli_args *a, const cli_work *w, cli_job *j);
/* The report of quantization-aware training, of which distill has one too. */
void cli_qat_print(const skive_qat_report *r);
json_t *cli_qat_json(const skive_qat_report *r, const skive_train_report *training);
/* Reads the model that the command names, and its size; `runs`: it must be one that can be run. */
skive_status cli_job_load(cli_job *j, bool runs);
/* What is opened beside the model: --teacher and --data, unless it is open, and what they say of inputs and outputs. */
skive_status cli_job_open_rest(cli_job *j);
/* Opens --data, if it is given, for the model. */
skive_status cli_job_open_data(cli_job *j, skive_graph *model);
/* What the learning-rate finder found; `output` is a picture to write, or NULL. */
skive_status cli_tell_rates(cli_args *a, const skive_rate_search *r, const char *output);
json_t *cli_train_json(const skive_train_report *r);
void cli_print_training(const cli_args *a, const skive_train_report *r);
const char *cli_bytes(double bytes, char *buffer, size_t size); /* "1.64 MiB" */
/* Names in tables: of a name that does not fit, the end is kept. */
enum { CLI_SHORT = 41 };
const char *cli_short(const char *name, char *buffer, size_t size);
/* Metadata that say how tables, texts and sounds become the numbers that a model takes. */
extern const char *const cli_recipe_keys[3];
const char *cli_thousands(int64_t n, char *buffer, size_t size); /* "431,080" */
const char *cli_seconds(double s, char *buffer, size_t size);    /* "1.23 ms" */
int64_t cli_file_bytes(const char *path);                  /* -1 if there is no such file; includes external data */
bool cli_loaded_weights(const char *path, int64_t *bytes); /* of the file as it was read last; false: it was not */
void cli_forget_files(void);                               /* at the end: what is known of files that were read */
/* `graph` is the model in the file, or NULL to read it. */
skive_status cli_sizes_of(cli_args *a, const char *path, const skive_graph *graph, cli_sizes *out);
/* The same of a file that was read: its weights as they are stored there, whatever the graph has become since. */
skive_status cli_sizes_as_loaded(cli_args *a, const char *path, const skive_graph *graph, cli_sizes *out);
/* "wrote FILE: weights 1.2 KiB, were 4.8 KiB (3.91x); file ..."; the ratio is that of the weights. */
void cli_print_sizes(const cli_sizes *before, const cli_sizes *after, const char *output);
void cli_set_sizes(json_t *j, const cli_sizes *before, const cli_sizes *after); /* before NULL: none */
json_t *cli_json_text(const char *text); /* a name from a file or folder: bytes that are not UTF-8 become '?' */
void cli_print_json(json_t *j);          /* to standard output, and frees it */
skive_status cli_write_json(cli_args *a, const json_t *j, const char *path); /* writes the whole file or none */
/* The result of quantization: warnings to standard error, the report, and the report as JSON. */
skive_status cli_quantize_aware(cli_args *a);       /* with --qat */
skive_status cli_quantize_check_plain(cli_args *a); /* without it: options that need it are refused */
void cli_quantize_warn(const skive_quantize_report *r);
void cli_quantize_print(const skive_quantize_report *r, bool table);
json_t *cli_quantize_json(const skive_quantize_report *r);
void cli_quantize_print_left(const skive_quantize_report *r);
/* The channel coupling of a model, as text or JSON; the graph is changed as pruning would. */
skive_status cli_inspect_coupling(cli_args *a, skive_graph *g);
void cli_quantize_print_plan(const skive_quantize_report *r, bool no_data); /* of a dry run */
void cli_quantize_print_control(const skive_quantize_control *c);
/* Under a budget: bits for each layer. */
bool cli_quantize_has_budget(const cli_args *a);
skive_status cli_quantize_bits(cli_args *a, skive_graph *g, const skive_bits_options *given,
                               const skive_quantize_options *how, skive_quantize_report *r, skive_bits_report *bits);
json_t *cli_quantize_bits_json(const skive_bits_report *r);
void cli_quantize_print_bits(const skive_bits_report *r);
void cli_quantize_tell_bits(const cli_args *a, const skive_bits_report *r); /* of a dry run */
json_t *cli_quantize_control_json(const skive_quantize_control *c);
/* The trials of a limit on the loss: how much was applied, as `what` (of so many parts; 0: a number), and the drops. */
void cli_print_trials(const skive_control_report *c, const char *what, int of);
/* A limit on the loss of accuracy, of methods that go a part of so many of their way; nothing without trials. */
void cli_print_control(const skive_control_report *c, int levels, const char *target);
json_t *cli_control_json(const skive_control_report *c, int levels);
/* A packed file's parameters, and its bytes by purpose. */
void cli_print_pack_rows(const skive_pack_report *r);
void cli_print_pack_purposes(const skive_pack_report *r);
json_t *cli_pack_json(const skive_pack_report *r);
/* A command's own options followed by another list. */
#define CLI_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* "NAME=FILE" or "FILE": the index of NAME among n values, or `position` without a name; -1: no such name. */
int64_t cli_which(const char *text, const char **file, size_t position, size_t n,
                  const char *(*name_of)(const void *, size_t), const void *of);
/* The error after cli_which returned -1: lists the valid names, or says that there is one too many. */
skive_status cli_fail_which(cli_args *a, const char *option, const char *text, size_t n,
                            const char *(*name_of)(const void *, size_t), const void *of);
/* Reads the files of --input into in[], which is zeroed and has one tensor per input of the graph; all must be
 * given. */
skive_status cli_load_inputs(cli_args *a, const skive_graph *g, skive_tensor *in);
/* Fills in[], which is zeroed, with random numbers for every input; --shape and `batch` give the dimensions that the
 * model leaves open. Freed by the caller, after a failure too. */
skive_status cli_random_inputs(cli_args *a, const skive_graph *g, int64_t batch, uint64_t seed, skive_tensor *in);
/* Creating a plan ended with `status`: can a session run the model (shapes or paths that depend on data)? If so, prints
 * a note on standard error. */
bool cli_needs_session(cli_args *a, skive_status status);
/* After a session has run: the nodes that are not part of a plan, with op and reason. */
json_t *cli_left_by_plans(const skive_session *session);
/* The same list, one line per node, each beginning with `what`; NULL is an empty list. */
void cli_print_left(json_t *list, const char *what);
/* The same for samples of any element type. */
skive_status cli_load_samples(cli_args *a, const skive_graph *g, skive_tensor *in);

/* "NAME=1,3,224,224" from --shape into bindings; *out and names are freed by cli_free_shapes. */
typedef struct cli_shapes {
    skive_shape_binding *items;
    size_t n;
} cli_shapes;
skive_status cli_parse_shapes(cli_args *a, cli_shapes *out);
void cli_free_shapes(cli_shapes *s);
skive_status cli_plan(cli_args *a, const skive_graph *g, int64_t batch, int threads, skive_plan **out);

#endif
