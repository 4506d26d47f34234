/* Options of records, as tables.
 *
 * A record (a criterion, a schedule, a loss, an optimizer, an observer, a transform, a network ...) states its options
 * as an array of skv_option. From that array come the parser of the text form, the checks of ranges, the help texts,
 * the generated tables of the documentation and the lines of a checkpoint's key. The text form is the record's name,
 * and after a colon what differs from the defaults:
 *
 *     taylor:batches=16,part=mean        the first option may stand without its name: crop:2, int4:32
 *     sgd:momentum=0.95,nesterov=no      a switch: "nesterov", "nesterov=yes", "nesterov=no"
 *     mlp:300,100                        a list continues with the values that have no name
 *
 * In a text value "\," is a comma and "\\" a backslash.
 *
 * An option may be a field of a public struct (`field`, `at`). The rows of a struct are a table (skv_table), from which
 * its ranges are checked; options of records that are fields belong to it under their `alias` ("momentum" of sgd).
 *
 * A new family of records: give its struct the members `options` and `n_options`, write SKV_FAMILY beside
 * SKV_LIST_ACCESS, and parse with skv_family_pick. In a record: SKV_OPTIONS(options). The function of the record gets
 * the skv_option_values and reads them by name, e.g. skv_option_integer(v, "batches"). */
#ifndef SKV_BASE_OPTION_H
#define SKV_BASE_OPTION_H

#include "base/base.h"

typedef enum skv_option_type {
    SKV_OPTION_SWITCH,  /* off unless it is named; the default may be on */
    SKV_OPTION_INTEGER, /* a whole number */
    SKV_OPTION_REAL,    /* a finite number */
    SKV_OPTION_TEXT,
    SKV_OPTION_CHOICE, /* one of the names that `choices` gives */
    SKV_OPTION_LIST,   /* texts separated by commas; where there are `choices`, each is one of them */
    SKV_OPTION_RECORD, /* a member of `family` with its options: "taylor:batches=16"; or one of `choices`, if any,
                          which then has the family's names too */
    SKV_OPTION_BUDGET, /* what remains: a number up to 1 or a percentage is a fraction of the original; with a unit
                          (k, M, G; KiB, MiB, GiB; us, ms, s) it is absolute */
} skv_option_type;

typedef struct skv_family skv_family;

typedef struct skv_option {
    const char *name; /* as it is written */
    skv_option_type type;
    double least, most; /* range of numbers, both ends included unless `above` or `below`; of a budget's fraction */
    double fallback;    /* default of a switch and of numbers */
    const char *text;   /* default of the other types; NULL: none */
    skv_name_at_fn choices;
    const char *what; /* a choice, as messages call it; NULL: by the option's name */
    const skv_family *family;
    const char *unit;  /* of a budget: "" (counts), "B" (bytes) or "s" (time); of numbers for help only, or NULL */
    bool above, below; /* the end of the range is not itself allowed */
    bool required;     /* has no default */
    /* Of options of a struct and of records that write into one: offset and type of the field. */
    enum {
        SKV_FIELD_NONE,
        SKV_FIELD_BOOL,
        SKV_FIELD_NOT, /* the field is the opposite of the switch */
        SKV_FIELD_INT,
        SKV_FIELD_INT64,
        SKV_FIELD_UINT64,
        SKV_FIELD_SIZE,
        SKV_FIELD_DOUBLE,
        SKV_FIELD_TEXT,
        SKV_FIELD_ENUM /* of a choice: the field is an enumeration, whose values number the choices */
    } field;
    size_t at;
    const char *alias; /* of a record's option: its name among the options of the struct */
    /* What it needs to have an effect (src/options/effect.c): options separated by '|' of which one must be set, more
     * such behind ','. "surgery", "train.epochs" (of another table of the method), "granularity=channel" (a record or
     * name that must be chosen), "!hash" (that must not be set). A record's option also needs that record. */
    const char *needs;
    const char *instead_of; /* of a record's option: the option of the struct that does not apply to this record */
    bool always;            /* does not need what the table needs */
    const char *brief;
} skv_option;

/* `.options = options, .n_options = ...` in a record. */
#define SKV_OPTIONS(array) .options = (array), .n_options = sizeof(array) / sizeof((array)[0])
/* `.field = ..., .at = ...` in an option that is a field of a struct. */
#define SKV_FIELD(kind, type, member) .field = SKV_FIELD_##kind, .at = offsetof(type, member)

/* ---- values ---- plain data: may be copied, needs no freeing ---- */

enum { SKV_MOST_OPTIONS = 24, SKV_OPTION_TEXT_ROOM = 640 };

typedef struct skv_option_value {
    double number;   /* of a switch 0 or 1; of a budget the fraction, or with `absolute` the count, bytes or seconds */
    int64_t integer; /* exact, of SKV_OPTION_INTEGER */
    uint16_t text;   /* place in skv_option_values.text */
    bool given;      /* by the text; otherwise the default */
    bool absolute;   /* of a budget */
    bool none;       /* of text, choice, list and budget: there is neither a value nor a default */
} skv_option_value;

typedef struct skv_option_values {
    const skv_option *options;
    size_t n;
    skv_option_value values[SKV_MOST_OPTIONS];
    char text[SKV_OPTION_TEXT_ROOM];
    size_t text_used;
} skv_option_values;

/* The defaults. Of a required option the value is 0 or none. */
void skv_options_default(const skv_option *options, size_t n, skv_option_values *out);
/* Parses what stands after the colon; NULL or "": the defaults. `owner` begins the messages and is their subject:
 * "criterion 'taylor'". Errors: ARGUMENT (an unknown option, with the nearest name and those that exist; a value that
 * is not of the type or out of the range, with range and default; given twice; a required one is missing). */
skive_status skv_options_parse(skive_context *ctx, const char *owner, const skv_option *options, size_t n,
                               const char *text, skv_option_values *out);
/* Sets one option from its value's text, as in NAME=VALUE. `owner` as above. */
skive_status skv_option_set(skive_context *ctx, const char *owner, skv_option_values *v, size_t index,
                            const char *value);
/* The place of an option by name; n if there is none. */
size_t skv_option_index(const skv_option *options, size_t n, const char *name);

/* By name, which must be one of the table's. */
const skv_option_value *skv_option_value_of(const skv_option_values *v, const char *name);
bool skv_option_on(const skv_option_values *v, const char *name);
int64_t skv_option_integer(const skv_option_values *v, const char *name);
double skv_option_real(const skv_option_values *v, const char *name);
const char *skv_option_text(const skv_option_values *v, const char *name); /* NULL: none */
bool skv_option_given(const skv_option_values *v, const char *name);
/* What of `original` remains by a budget. */
double skv_option_budget(const skv_option_values *v, const char *name, double original);

/* Writes the values that were given into the fields of a struct. Text fields point into *v. */
void skv_options_store(const skv_option_values *v, void *object);
/* Reads the field of an option from a struct: the number, or the text (NULL for numbers). */
double skv_option_field_number(const skv_option *o, const void *object);
const char *skv_option_field_text(const skv_option *o, const void *object);

/* ---- text ---- */

/* As short as gives the same number again, whatever the locale. */
void skv_text_add_number(skv_text *t, double value);
/* What a value may be: "a whole number between 1 and 64"; of a number without `kind`: "between 1 and 64". */
void skv_option_describe(const skv_option *o, bool kind, skv_text *out);
/* The default as it would be written; "" if there is none. */
void skv_option_default_text(const skv_option *o, skv_text *out);
/* "batches=16,part=mean": the values that differ from the defaults; `all`: every one. */
void skv_options_format(const skv_option_values *v, bool all, skv_text *out);
/* ":PIXELS" or "[:PROBABILITY]", ",name=VALUE" ...: how the options are written; "" if there are none. */
void skv_options_syntax(const skv_option *options, size_t n, skv_text *out);
/* A number in the C locale, all of the text, finite. */
bool skv_parse_number(const char *text, size_t length, double *out);

/* ---- families ---- */

/* One list of records, without their type. */
struct skv_family {
    const char *what;                 /* a member, as messages call it: "criterion" */
    const char *(*name_at)(size_t i); /* NULL past the end */
    const char *(*brief_at)(size_t i);
    const skv_option *(*options_at)(size_t i, size_t *n);
};

/* The member that a text form names; SIZE_MAX if there is none. */
size_t skv_family_find(const skv_family *family, const char *text);
/* Finds the record of a text form and parses its options; out may be NULL. `subject` is the option that named it
 * ("prune.criterion"). Errors: ARGUMENT ("no criterion 'nope'; there are: ..."; as skv_options_parse). */
skive_status skv_family_pick(skive_context *ctx, const skv_family *family, const char *subject, const char *text,
                             size_t *index, skv_option_values *out);

/* Defines skv_<kind>_family for the records of `list`, an array of pointers to records with name, brief, options and
 * n_options. */
#define SKV_FAMILY(kind, list, what_)                                                                       \
    static const char *kind##_brief_at(size_t i) { return i < SKV_LENGTH(list) ? (list)[i]->brief : NULL; } \
    static const char *kind##_name_at(size_t i) { return i < SKV_LENGTH(list) ? (list)[i]->name : NULL; }   \
    static const skv_option *kind##_options_at(size_t i, size_t *n) {                                       \
        *n = i < SKV_LENGTH(list) ? (list)[i]->n_options : 0;                                               \
        return i < SKV_LENGTH(list) ? (list)[i]->options : NULL;                                            \
    }                                                                                                       \
    const skv_family skv_##kind##_family = {                                                                \
        .what = (what_), .name_at = kind##_name_at, .brief_at = kind##_brief_at, .options_at = kind##_options_at};

/* ---- the options of a struct ---- */

typedef struct skv_table {
    const char *name; /* "train" */
    const skv_option *options;
    size_t n;
    const char *needs; /* of all options but those that say `always`; NULL: nothing */
} skv_table;

/* The rows, and after them the options of the records that rows can name, as far as they are fields of the struct, each
 * name once. NULL past the end. */
const skv_option *skv_table_at(const skv_table *t, size_t i);
/* By name or alias; NULL if there is none. */
const skv_option *skv_table_find(const skv_table *t, const char *name);
static inline const char *skv_option_known_as(const skv_option *o) { return o->alias ? o->alias : o->name; }
/* Sets the fields that options behind a record's name stand for ("sgd:momentum=0.8"), and checks all fields. The
 * record's own field keeps the bare name, or the whole text where it gives options that are no fields
 * ("adam:beta2=0.99"), for whoever picks the record from it. A default outside the range stands for "not set" and may
 * stay. Errors: ARGUMENT. */
skive_status skv_table_resolve(skive_context *ctx, const skv_table *t, void *object);

#define SKV_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#endif
