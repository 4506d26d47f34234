/* Options by name.
 *
 * Every method has a set of named options. They can be listed with their types, ranges and defaults (to build a user
 * interface, a configuration file or a search), and set from text:
 *
 *     skive_options *o = NULL;
 *     skive_options_create(ctx, "prune", &o);
 *     skive_options_set(o, "prune.criterion", "lamp");
 *     skive_options_set(o, "prune.schedule", "cubic:steps=5");
 *     skive_options_set(o, "train.epochs", "4");              (fine-tuning after pruning)
 *     skive_prune(ctx, graph, train, validation, skive_options_prune(o), &report);
 *     skive_options_free(o);
 *
 * The option structs of the methods are the same options as fields: what is set here is in the struct that
 * skive_options_prune() and its like give, and may be changed there.
 *
 * Methods and their sections: "train" (train), "prune" (prune, train), "share" (share, train), "distill" (distill,
 * train), "quantize" (quantize, bits, qat, train; the last two are for quantization-aware training), "sensitivity"
 * (sensitivity), "factorize" (factorize, train), "pack" (pack), "simplify" (simplify), and "data" (data: how a data set
 * is opened). The section "train" of the methods that fine-tune has their defaults (skive_prune_finetune_default and so
 * on). A name without a section, such as "criterion", is looked for in the sections in this order.
 *
 * A value that names a record (a criterion, a schedule, an optimizer) may carry options of its own after a colon:
 * "sgd:momentum=0.8,nesterov=no". The first one may stand without its name: "percentile:99.9". In text values "\," is a
 * comma. */
#ifndef SKIVE_OPTIONS_H
#define SKIVE_OPTIONS_H

#include <skive/bits.h>
#include <skive/distill.h>
#include <skive/factorize.h>
#include <skive/pack.h>
#include <skive/prune.h>
#include <skive/qat.h>
#include <skive/quant.h>
#include <skive/sensitivity.h>
#include <skive/share.h>
#include <skive/simplify.h>
#include <skive/train.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum skive_option_type {
    SKIVE_OPTION_SWITCH,  /* "yes" or "no" (also on, off, true, false, 1, 0) */
    SKIVE_OPTION_INTEGER, /* a whole number */
    SKIVE_OPTION_REAL,    /* a finite number, with a decimal point whatever the locale */
    SKIVE_OPTION_TEXT,
    SKIVE_OPTION_CHOICE, /* one of a few names (skive_options_choice) */
    SKIVE_OPTION_LIST,   /* texts separated by commas */
    SKIVE_OPTION_RECORD, /* one of a few names, each with options of its own (skive_options_of_choice) */
    SKIVE_OPTION_BUDGET  /* what remains: up to 1 or with % a fraction of the original; with a unit (k, M, G; KiB,
                            MiB, GiB; us, ms, s) absolute */
} skive_option_type;

/* What an option is. The strings are static. */
typedef struct skive_option_bounds {
    size_t size;         /* set by the caller: sizeof(skive_option_bounds) */
    const char *section; /* "prune"; NULL for an option of a choice */
    const char *name;    /* "criterion" */
    const char *brief;   /* what it does, in a few words */
    skive_option_type type;
    double least, most;       /* range of a number; infinite where there is no end */
    bool above, below;        /* the end itself is not in the range */
    bool has_default;         /* otherwise it must be given, or is not set */
    double default_number;    /* of a switch (0 or 1) and of numbers */
    const char *default_text; /* of the other types */
    const char *unit;         /* of a budget: "" (a count), "B" (bytes) or "s" (a time); NULL: none */
} skive_option_bounds;

/* The methods that have options: "train", "prune" ...; NULL past the end. */
SKIVE_API const char *skive_options_method(size_t index);
/* Describes option `index` of a method, and sets *found to false past the end. Errors: NOT_FOUND (no such method),
 * ARGUMENT (out->size). */
SKIVE_API skive_status skive_options_at(skive_context *ctx, const char *method, size_t index, skive_option_bounds *out,
                                        bool *found);
/* Describes an option by name ("prune.criterion" or "criterion"). ctx may be NULL: no message then. Errors: NOT_FOUND
 * (the message has the nearest name), ARGUMENT. */
SKIVE_API skive_status skive_options_bounds(skive_context *ctx, const char *method, const char *name,
                                            skive_option_bounds *out);
/* The names that a choice or a record allows, and what each is (NULL for plain choices); NULL past the end. */
SKIVE_API const char *skive_options_choice(const char *method, const char *name, size_t index, const char **brief);
/* Option `index` of a record: those of "sgd" of "optimizer". *found false past the end. Errors: NOT_FOUND. */
SKIVE_API skive_status skive_options_of_choice(skive_context *ctx, const char *method, const char *name,
                                               const char *choice, size_t index, skive_option_bounds *out, bool *found);

typedef struct skive_options skive_options;

/* The options of a method, all at their defaults. Freed by skive_options_free, before the context is. Errors:
 * NOT_FOUND (lists the methods), MEMORY. */
SKIVE_API skive_status skive_options_create(skive_context *ctx, const char *method, skive_options **out);
SKIVE_API void skive_options_free(skive_options *options); /* NULL accepted */

/* Sets an option. On failure it is unchanged. Errors: NOT_FOUND (no such option; the message has the nearest name),
 * ARGUMENT (the message says what the value must be, and the default), MEMORY. */
SKIVE_API skive_status skive_options_set(skive_options *options, const char *name, const char *value);
/* Writes the value as skive_options_set takes it; "" where it is not set. Errors: NOT_FOUND, ARGUMENT (the buffer has
 * no room). */
SKIVE_API skive_status skive_options_get(const skive_options *options, const char *name, char *buffer, size_t size);
/* Was it set by name? */
SKIVE_API bool skive_options_is_set(const skive_options *options, const char *name);

/* An option can be set and still change nothing: the momentum of sgd where the optimizer is adam, or a learning rate of
 * fine-tuning that has no epochs. Writes what the option lacks, as the others are now (the structs, too, so that fields
 * may have been changed): the options of which one must be set, "train.log|train.tensorboard"; "train.optimizer=sgd"
 * where something else is chosen; "!train.find-lr" for one that must not be set. "": it has an effect, or it shows only
 * on the data whether it has. Errors: NOT_FOUND, ARGUMENT (the buffer has no room). */
SKIVE_API skive_status skive_options_lacks(const skive_options *options, const char *name, char *buffer, size_t size);
/* Is it a switch that is off, by default or by request? Whatever it lacks, nobody misses it. */
SKIVE_API bool skive_options_is_off(const skive_options *options, const char *name);
/* Has each option that was set by name, or whose field in a struct was changed, an effect? Switches that are off are
 * not asked. Errors: ARGUMENT (one has none; the message names it and what it lacks). */
SKIVE_API skive_status skive_options_check(const skive_options *options);

/* The structs, which live as long as the options and may be changed: arrays, pointers and fields that have no name are
 * set there. NULL when the method has no such section. Those of prune, share, distill and qat point to that of train,
 * and that of qat to that of quantize. */
SKIVE_API skive_train_options *skive_options_train(skive_options *options);
SKIVE_API skive_prune_options *skive_options_prune(skive_options *options);
SKIVE_API skive_share_options *skive_options_share(skive_options *options);
SKIVE_API skive_distill_options *skive_options_distill(skive_options *options);
SKIVE_API skive_quantize_options *skive_options_quantize(skive_options *options);
SKIVE_API skive_bits_options *skive_options_bits(skive_options *options);
SKIVE_API skive_sensitivity_options *skive_options_sensitivity(skive_options *options);
SKIVE_API skive_pack_options *skive_options_pack(skive_options *options);
SKIVE_API skive_simplify_options *skive_options_simplify(skive_options *options);
SKIVE_API skive_dataset_options *skive_options_data(skive_options *options);
SKIVE_API skive_qat_options *skive_options_qat(skive_options *options);
SKIVE_API skive_factorize_options *skive_options_factorize(skive_options *options);

#ifdef __cplusplus
}
#endif
#endif
