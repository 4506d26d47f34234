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

typedef struct cli_args cli_args;

/* A subcommand: one file that ends in one record, and one line in commands.inc. */
typedef struct cli_command {
    const char *name, *brief;
    const char *positional;             /* "MODEL"; how the arguments without dashes are called */
    int min_positional, max_positional; /* max -1: any number */
    const cli_option *options;
    size_t n_options;
    const char *details;  /* paragraphs for --help */
    const char *examples; /* lines */
    bool saves;           /* what was reached when a signal comes is written */
    skive_status (*run)(cli_args *a);
} cli_command;

size_t cli_command_count(void);
const cli_command *cli_command_at(size_t i);
const cli_command *cli_command_find(const char *name);

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
    bool told; /* a mistake in the arguments was printed already */
};

/* Options every subcommand takes: --threads --seed --quiet --verbose --json --help. */
extern const cli_option cli_common_options[];
extern const size_t cli_n_common_options;

/* Parses; on a mistake prints one line and gives ERR_ARGUMENT. argv without the subcommand's name. */
skive_status cli_parse(const cli_command *c, int argc, char **argv, cli_args *out);
void cli_args_free(cli_args *a);
bool cli_has(const cli_args *a, const char *name);
const char *cli_text(const cli_args *a, const char *name, const char *fallback); /* the last one given */
size_t cli_count(const cli_args *a, const char *name);
const char *cli_text_at(const cli_args *a, const char *name, size_t index);
/* Numbers; a text that is not one fails and names the option. *out keeps its value when the option is absent. */
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

/* ---- console ---- */

typedef struct cli_console {
    bool quiet, verbose, terminal;
    int width; /* of the progress line that stands there */
    /* Where standard error is no terminal: the job at hand, its lines so far and when the last was printed. */
    char job[64];
    int lines;
    double last;
} cli_console;
void cli_console_options(cli_console *c, skive_context_options *o);
void cli_console_clear(cli_console *c);
/* Ctrl-C, SIGTERM and the end of the terminal (SIGHUP, unless ignored: nohup) ask the running job to stop; a second
 * Ctrl-C ends the process. `saves`: an interrupted job has results to write, however long it takes to notice; others
 * end a second after the signal. */
void cli_install_interrupt(bool saves);

/* ---- text ---- */
enum { CLI_COLUMNS = 80 };          /* of help texts where nothing says how wide the screen is */
size_t cli_columns(FILE *f);        /* COLUMNS, or the terminal's; 0: neither, and lines may be as long as they are */
size_t cli_width(const char *text); /* on the screen */
char *cli_skip(char *text, size_t characters);
/* Breaks lines between words; the text starts at `column`, its further lines are indented. */
void cli_print_text(FILE *f, const char *text, size_t column, size_t indent);
/* A line to standard output, broken where the screen asks for it. No newline at the end of the format. */
void cli_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The beginning of a line, which the next cli_printf or cli_end_line ends. */
void cli_part(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_end_line(void);
/* As cli_printf, to standard error. */
void cli_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A text of any length, for free(); NULL when memory has run out. */
char *cli_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- standard input and output as files ---- */
/* Replaces "-" among the arguments: a model or an --input read from standard input, an --output that goes to standard
 * output, where then nothing else is printed. Two of a kind, and terminals, are refused. */
skive_status cli_streams_take(cli_args *a);
skive_status cli_streams_finish(cli_args *a,
                                skive_status status); /* writes the output when status is OK; gives the status */
void cli_streams_free(void);
/* The text, with "standard input" and "standard output" for the files that stand for them; for free(). */
char *cli_shown(const char *text);

/* ---- tables ---- columns are as wide as they need; numbers to the right */
typedef struct cli_table cli_table;
cli_table *cli_table_new(const char *const *heads, size_t n); /* a head that starts with '<' is left-aligned */
/* Text of more than 52 columns loses its middle. */
void cli_table_cell(cli_table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_table_rule(cli_table *t);           /* a line before the next row */
void cli_table_print(cli_table *t, FILE *f); /* and frees it */

/* ---- shared ---- */

skive_status cli_load(cli_args *a, const char *path, skive_graph **out);
/* Is it the name of a file, not of a built-in network? */
bool cli_is_file(const char *model);
/* The same for a command that runs the model: one with operators skive lacks is refused, naming all of them. */
skive_status cli_load_to_run(cli_args *a, const char *path, skive_graph **out);
/* For a command that does nothing else with it: the weights of a packed model stay coded. */
skive_status cli_load_as_packed(cli_args *a, const char *path, skive_graph **out);
/* A note that a model exported in training mode stays so: for commands that leave its meaning alone. */
void cli_tell_training_mode(const cli_args *a, const skive_graph *g);
skive_status cli_save(cli_args *a, const skive_graph *g, const char *path);
/* Before long work: can a file of this name be written? */
skive_status cli_check_output(cli_args *a, const char *path);
/* Do both names stand, or would they stand, for one file? "x" and "./x" do, and links to one file. */
bool cli_same_file(const char *x, const char *y);
/* After long work: where the file cannot be written after all, the model goes to the folder for temporary files. */
skive_status cli_save_trained(cli_args *a, const skive_graph *g, const char *path);
/* --split, "test" where it is not given. */
#define CLI_SPLIT_OPTION                                                                                        \
    {                                                                                                           \
        "split", 0, "NAME",                                                                                     \
            "test (default), validation, train, or train-full (all of train and what is held out of it)", false \
    }
skive_status cli_split(cli_args *a, skive_split *out);
/* As many samples of the split as --limit says. What is trained on is limited, what it is validated on is not. `model`:
 * what the set is for, which decides sizes, channels and the numbers of classes; NULL: not known yet. */
skive_status cli_open_data(cli_args *a, const char *spec, skive_split split, skive_graph *model, skive_dataset **out);
/* The same without labels, whatever the set has. */
skive_status cli_open_samples(cli_args *a, const char *spec, skive_split split, skive_graph *model,
                              skive_dataset **out);
/* The training samples, and those held out for validation (NULL with --no-validation, which trains on all). */
skive_status cli_open_training(cli_args *a, const char *spec, skive_graph *model, skive_dataset **train,
                               skive_dataset **validation);
/* How samples become a model's input. Every command that reads a data set takes them. */
#define CLI_DATA_OPTIONS                                                                                               \
    {"mean", 0, "A,B,C",                                                                                               \
     "subtracted from samples: a number, one a channel, imagenet, data (measured) or none (default: as the model "     \
     "says)",                                                                                                          \
     false},                                                                                                           \
        {"std", 0, "A,B,C", "divides them after that; the same forms", false},                                         \
        {"scale", 0, "S", "multiplies samples first: a number, 1/255 or none (default: 8-bit samples by 1/255)",       \
         false},                                                                                                       \
        {"layout", 0, "NAME", "of the model's input: nchw or nhwc (default: read from the model)", false},             \
        {"resize", 0, "HxW",                                                                                           \
         "scale images to this, height first; N: NxN, or with --center-crop their shorter side (default: the model's " \
         "input)",                                                                                                     \
         false},                                                                                                       \
        {"center-crop", 0, "HxW", "then keep the middle of them; N: NxN", false}, {                                    \
        "class-order", 0, NULL, "number the set's classes by their order, not by the names that the model keeps",      \
            false                                                                                                      \
    }
/* What targets are: of the commands that use them. */
#define CLI_TARGET_OPTIONS                                                                                        \
    {                                                                                                             \
        "targets", 0, "TYPE",                                                                                     \
            "class or float: what the numbers in label files are (default: told by their type and values)", false \
    }
#define CLI_TEACHER_INPUT_OPTIONS                                      \
    {"teacher-mean", 0, "A,B,C", "--mean for the teacher", false},     \
        {"teacher-std", 0, "A,B,C", "--std for the teacher", false},   \
        {"teacher-scale", 0, "S", "--scale for the teacher", false}, { \
        "teacher-layout", 0, "NAME", "--layout for the teacher", false \
    }
/* Stores in the model's metadata what the options say. set NULL: there is no data set, so none of them may be given. */
skive_status cli_set_input(cli_args *a, skive_graph *g, const skive_dataset *set);
/* The same, leaving what a model's own metadata say: for commands of several models. */
skive_status cli_set_input_where_unsaid(cli_args *a, skive_graph *g, const skive_dataset *set);
/* teacher NULL: there is none. */
skive_status cli_set_teacher_input(cli_args *a, skive_graph *teacher, const skive_dataset *set);
json_t *cli_input_json(const cli_args *a, const skive_graph *g, const skive_dataset *set);
/* A built-in network for the set's samples; `classes` 0: those of the set. */
skive_status cli_build_network(cli_args *a, const char *spec, const skive_dataset *train, int64_t classes,
                               skive_graph **out);
/* For a fresh network: mean and deviation of the training samples, unless --mean or --std is given. */
skive_status cli_normalize_by_data(cli_args *a, skive_graph *g, const skive_dataset *train);
/* Which output of a model answers, and what it means. Every command that measures or trains a model takes them. */
#define CLI_OUTPUT_OPTIONS                                                                                           \
    {"use-output", 0, "NAME", "the output to use, of a model that has several; may be repeated, for several models", \
     true},                                                                                                          \
    {                                                                                                                \
        "output-kind", 0, "KIND",                                                                                    \
            "what the output is: logits, probabilities, log-probabilities, sigmoid, sigmoid-logits or values "       \
            "(default: read from the model)",                                                                        \
            false                                                                                                    \
    }
/* Stores what these options say in the models' metadata; NULL graphs are passed over. --output-kind is for the first
 * model. A name that no model has, or not the one with several outputs that needs it, is an error. */
skive_status cli_choose_outputs(cli_args *a, skive_graph *const *graphs, size_t n);
/* "output 'p' (probabilities, by its Softmax)"; of several outputs it says so. */
const char *cli_output_text(const skive_graph *g, const skive_output_info *o, char *buffer, size_t size);
json_t *cli_output_json(const skive_output_info *o);
/* The figures of an evaluation, but for the cross-entropy; `set` leaves out what is not defined. */
void cli_set_metrics(json_t *j, const skive_eval_report *r, void (*set)(json_t *j, const char *key, double x));
/* The options of training that train, distill, prune and share have in common, with the texts of the defaults that differ;
   cli_train_settings reads them. */
#define CLI_TRAIN_OPTIONS(rates, optimizers, warmup)                                                                \
    {"batch", 'b', "N", "samples in a step (default 128)", false},                                                  \
        {"lr", 0, "RATE", "learning rate (default " rates ")", false}, {"optimizer", 0, "NAME", optimizers, false}, \
        {"momentum", 0, "M", "of sgd (default 0.9)", false},                                                        \
        {"no-nesterov", 0, NULL, "plain momentum instead of Nesterov's", false},                                    \
        {"weight-decay", 0, "D", "pull of weights to zero (default 5e-4)", false},                                  \
        {"schedule", 0, "NAME", "of the rate: constant, step or cosine (default cosine)", false},                   \
        {"warmup", 0, "EPOCHS", "linear warm-up (default " warmup ")", false},                                      \
        {"label-smoothing", 0, "S", "share of the target spread over all classes (default 0)", false},              \
        {"clip-norm", 0, "NORM", "largest norm of the gradient (default: off)", false},                             \
        {"class-weights", 0, "LIST", "none (default), balanced, or a number a class: 1,2.5,1", false},              \
        {"best", 0, "FIGURE", "of the best epoch: accuracy (default; loss decides ties), loss or f1", false},       \
        {"no-validation", 0, NULL, "train on all training samples, keep the last epoch", false},                    \
        {"augment", 0, "LIST", "transforms of the training images, e.g. crop:2,flip", false}, {                     \
        "limit", 0, "N", "use only N training samples", false                                                       \
    }
skive_status cli_train_settings(cli_args *a, skive_train_options *o);
json_t *cli_train_json(const skive_train_report *r);
void cli_print_training(const cli_args *a, const skive_train_report *r);
const char *cli_bytes(double bytes, char *buffer, size_t size); /* "1.64 MiB" */
/* Names in tables: the end of one that does not fit. */
enum { CLI_SHORT = 41 };
const char *cli_short(const char *name, char *buffer, size_t size);
const char *cli_thousands(int64_t n, char *buffer, size_t size); /* "431,080" */
const char *cli_seconds(double s, char *buffer, size_t size);    /* "1.23 ms" */
int64_t cli_file_bytes(const char *path);                        /* -1 when there is none; counts external data */
/* Of a model file, with its external data. Weights: the parameters as they are stored; a file holds other things too.
 * */
typedef struct cli_sizes {
    int64_t file, weights;
} cli_sizes;
/* `graph` is what is in the file, or NULL: it is read. */
skive_status cli_sizes_of(cli_args *a, const char *path, const skive_graph *graph, cli_sizes *out);
/* "wrote FILE: weights 1.2 KiB, were 4.8 KiB (3.91x); file ..."; the ratio is that of the weights. */
void cli_print_sizes(const cli_sizes *before, const cli_sizes *after, const char *output);
void cli_set_sizes(json_t *j, const cli_sizes *before, const cli_sizes *after); /* before NULL: none */
json_t *cli_json_text(const char *text); /* a name from a file or folder: what is not UTF-8 becomes '?' */
void cli_print_json(json_t *j);          /* to standard output, and frees it */
skive_status cli_write_json(cli_args *a, const json_t *j, const char *path); /* the whole file or none */
/* What quantizing came to: warnings to standard error, the report, and the report as JSON. */
void cli_quantize_warn(const skive_quantize_report *r);
void cli_quantize_print(const skive_quantize_report *r, bool table);
json_t *cli_quantize_json(const skive_quantize_report *r);
/* A packed file's parameters, and its bytes by purpose. */
void cli_print_pack_rows(const skive_pack_report *r);
void cli_print_pack_purposes(const skive_pack_report *r);
json_t *cli_pack_json(const skive_pack_report *r);
/* All of a command's own options followed by another list. */
#define CLI_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* "NAME=FILE" or "FILE": the index of the named value of n, or `position`; -1: no such name. */
int64_t cli_which(const char *text, const char **file, size_t position, size_t n,
                  const char *(*name_of)(const void *, size_t), const void *of);
/* What cli_which refuses: the names there are, or that there are too few. */
skive_status cli_fail_which(cli_args *a, const char *option, const char *text, size_t n,
                            const char *(*name_of)(const void *, size_t), const void *of);
/* The files of --input into in[], zeroed, one for each input of the graph; all must be there. */
skive_status cli_load_inputs(cli_args *a, const skive_graph *g, skive_tensor *in);
/* Random numbers for every input into in[], zeroed; --shape and `batch` say what the model leaves open. Freed by the
 * caller on failure too. */
skive_status cli_random_inputs(cli_args *a, const skive_graph *g, int64_t batch, uint64_t seed, skive_tensor *in);
/* Making a plan has ended with `status`: is a session worth a try (shapes or paths that depend on data)? Then says so
 * on standard error. */
bool cli_needs_session(cli_args *a, skive_status status);
/* The nodes of a session that has run which stand in no plan: node, op, why. */
json_t *cli_left_by_plans(const skive_session *session);
/* The same list, a line each that begins with `what`; NULL is an empty one. */
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
