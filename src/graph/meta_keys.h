/* The keys under which a model's metadata says what its input and output mean. Every command reads them, and whatever
 * is written keeps them. */
#ifndef SKV_META_KEYS_H
#define SKV_META_KEYS_H

/* Of a model with several inputs, the keys of the input end in ":" and its name: "skive.input.mean:image". */
#define SKV_META_INPUT_MEAN   "skive.input.mean"   /* numbers separated by commas, one or one a channel; none */
#define SKV_META_INPUT_STD    "skive.input.std"    /* the same */
#define SKV_META_INPUT_LAYOUT "skive.input.layout" /* nchw: channels behind the batch; nhwc: last */
#define SKV_META_INPUT_SCALE \
    "skive.input.scale" /* what stored values are multiplied by first: a number, 1/255 or none */
/* How sounds become samples: "rate=16000,seconds=1,features=mfcc,..." with all settings (data/audio/features.c). */
#define SKV_META_INPUT_SOUND "skive.input.sound"
/* How tables and text become samples: columns, categories, vocabularies, labels (data/recipe.h). */
#define SKV_META_INPUT_TABLE "skive.input.table"
#define SKV_META_INPUT_TEXT  "skive.input.text"
#define SKV_META_OUTPUT_NAME "skive.output.name" /* of several outputs, the one that is the model's answer */
#define SKV_META_OUTPUT_KIND "skive.output.kind" /* a name of skive_output_kind_name */
/* Of sequences (ctc): the value [N] that says how many frames each sample has, and how many frames a step of the output
 * is. */
#define SKV_META_OUTPUT_LENGTHS       "skive.output.lengths"
#define SKV_META_OUTPUT_LENGTHS_EVERY "skive.output.lengths.every"
#define SKV_META_EXITS                "skive.exits" /* names of outputs that answer earlier, separated by commas */
#define SKV_META_EXITS_THRESHOLD \
    "skive.exits.threshold" /* a sample leaves at the first whose largest probability is at least this */
/* Names of the classes, in the order of the scores, one a line; "\n" is a line break and "\\" a backslash in a name. */
#define SKV_META_CLASSES "skive.classes"
/* Rules under which parameters are trained, "NAME=RULE:OPTIONS", one a line (train/rules/rule_text.c). */
#define SKV_META_RULES "skive.rules"
/* How integer nodes with 8-bit outputs multiply: "fixed", by an int32 and a shift; "float" or nothing, by a float32. */
#define SKV_META_MULTIPLIERS "skive.multipliers"
/* Followed by a domain: the version of its operators, if it is not 1 (onnx/domains.c). */
#define SKV_META_OPSET "skive.opset."
/* Names of parameters, one a line with the same escapes. They are read into the values and written from them
 * (graph/marks.h); a graph in memory does not hold these keys. */
#define SKV_META_PRUNED    "skive.pruned"    /* their zeros stay zeros under any later training */
#define SKV_META_TRAINED   "skive.trained"   /* trained, though their role does not say so */
#define SKV_META_CONSTANTS "skive.constants" /* not trained, though their role says so */

#endif
