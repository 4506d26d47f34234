/* All that decides what a run of training comes to, as lines of a name and a value, by which a checkpoint knows its
 * run again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/meta_keys.h"
#include "train/train.h"

void skv_settings_text(skv_text *t, const char *name, const char *value) {
    char line[600];
    (void)snprintf(line, sizeof line, "%s", value ? value : "none");
    for (char *at = line; *at; at++) {
        if ((unsigned char)*at < ' ') *at = '?';
    }
    skv_text_add(t, "%s\t%s\n", name, line);
}

/* As short as gives the same number again. */
void skv_settings_number(skv_text *t, const char *name, double value) {
    char text[40];
    (void)snprintf(text, sizeof text, "%.6g", value);
    if (strtod(text, NULL) != value) (void)snprintf(text, sizeof text, "%.17g", value);
    skv_text_add(t, "%s\t%s\n", name, text);
}

/* A value that nobody could read: only that it differs is told. */
void skv_settings_hash(skv_text *t, const char *name, uint64_t hash) {
    skv_text_add(t, "%s\t#%016llx\n", name, (unsigned long long)hash);
}

static uint64_t hash_of_model(const skive_graph *g) {
    uint64_t key = 1;
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_tensor *t = skv_value_tensor(g->values[i]);
        if (t) key = skv_hash64(t->data, skive_tensor_bytes(t), key);
    }
    return key;
}

static uint64_t hash_of_meta(const skive_graph *g) {
    uint64_t key = 1;
    for (uint32_t i = 0; i < g->n_meta; i++) {
        key = skv_hash64(g->meta[i].key, strlen(g->meta[i].key), key);
        key = skv_hash64(g->meta[i].value, strlen(g->meta[i].value), key);
    }
    return key;
}

void skv_settings_input(skv_text *t, const char *who, const skive_graph *g) {
    static const char *const keys[][2] = {{SKV_META_INPUT_MEAN, "mean"},
                                          {SKV_META_INPUT_STD, "std"},
                                          {SKV_META_INPUT_SCALE, "scale"},
                                          {SKV_META_INPUT_LAYOUT, "layout"}};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s of the input (--%s%s)", keys[i][1], who, keys[i][1]);
        skv_settings_text(t, name, skive_graph_meta(g, keys[i][0]));
    }
}

/* The rules besides those that the graph asks for. */
static uint64_t hash_of_rules(const skv_fit *fit) {
    uint64_t key = 1;
    for (size_t i = 0; i < fit->n_rules; i++) {
        const skv_rule_use *use = &fit->rules[i];
        key = skv_hash64(use->rule->name, strlen(use->rule->name), key);
        key = skv_hash64(use->parameter, strlen(use->parameter), key);
        if (use->text) key = skv_hash64(use->text, strlen(use->text), key);
        const uint64_t given = use->rule->key ? use->rule->key(use) : 0;
        key = skv_hash64(&given, sizeof given, key);
    }
    return key;
}

skive_status skv_run_settings(skive_context *ctx, const skv_fit *fit, const skive_graph *model, skv_text *out) {
    const skive_train_options *o = fit->options;
    skive_dataset_info train, validation = {0};
    skive_dataset_get_info(fit->train, &train);
    if (fit->validation) skive_dataset_get_info(fit->validation, &validation);
    const struct {
        const char *name;
        double value;
    } numbers[] = {
        {"batch (--batch)", (double)o->batch},
        {"learning rate (--lr)", o->learning_rate},
        {"momentum (--momentum)", o->momentum},
        {"Nesterov's momentum (--no-nesterov)", o->nesterov},
        {"weight decay (--weight-decay)", o->weight_decay},
        {"decay of all parameters", o->decay_all},
        {"label smoothing (--label-smoothing)", o->label_smoothing},
        {"warm-up epochs (--warmup)", o->warmup_epochs},
        {"final rate", o->final_rate},
        {"step every", o->step_every},
        {"step factor", o->step_factor},
        {"clip norm (--clip-norm)", o->clip_norm},
        {"keeping of the best epoch", o->keep_best},
        {"raw targets (--raw-targets)", o->raw_targets},
        {"seed (--seed)", (double)o->seed},
        {"number of training samples (--limit, --no-validation)", (double)train.count},
        {"number of validation samples (--no-validation)", (double)validation.count},
    };
    const struct {
        const char *name, *value;
    } texts[] = {
        {"kind of training", fit->what},
        {"data set (--data)", train.spec},
        {"loss", o->loss},
        {"optimizer (--optimizer)", o->optimizer},
        {"schedule (--schedule)", o->schedule},
        {"augmentation (--augment)", o->augment},
        {"measure of the best epoch (--best)", o->best},
        {"class weights (--class-weights)", o->class_weights},
    };
    skv_text_init(out, ctx);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) skv_settings_text(out, texts[i].name, texts[i].value);
    /* Absent where nothing is asked for, as in the checkpoints of older versions. */
    if (o->train) skv_settings_text(out, "trained besides (--train)", o->train);
    if (o->freeze) skv_settings_text(out, "frozen (--freeze)", o->freeze);
    if (o->rules) skv_settings_text(out, "rules of parameters (--rule)", o->rules);
    if (o->keep_zeros) skv_settings_text(out, "zeros kept (--keep-zeros)", o->keep_zeros);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        skv_settings_number(out, numbers[i].name, numbers[i].value);
    skv_objective_settings(fit->objective, out);
    for (size_t i = 0; i < fit->n_watchers; i++) skv_settings_text(out, "watcher", fit->watchers[i].name);
    if (fit->settings) skv_text_add(out, "%s", fit->settings);
    skv_settings_hash(out, "model", hash_of_model(model));
    skv_settings_input(out, "", model);
    skv_settings_hash(out, "description of the model's input and output (its metadata)", hash_of_meta(model));
    skv_settings_hash(out, "set of pruned weights, or of other rules of parameters", hash_of_rules(fit));
    return out->status;
}

/* ---- comparison ---- */

/* The value of a name's line, and its length. */
static const char *find(const char *settings, size_t size, const char *name, size_t length, size_t *n) {
    for (size_t at = 0; at < size;) {
        const char *end = memchr(settings + at, '\n', size - at);
        const size_t line = end ? (size_t)(end - settings) - at : size - at;
        if (line > length && memcmp(settings + at, name, length) == 0 && settings[at + length] == '\t') {
            *n = line - length - 1;
            return settings + at + length + 1;
        }
        at += line + 1;
    }
    *n = 0;
    return NULL;
}

bool skv_settings_same(const char *mine, const char *theirs, size_t size, char *why, size_t room) {
    for (const char *at = mine; *at;) {
        const char *tab = strchr(at, '\t'), *end = strchr(at, '\n');
        if (!tab || !end) break;
        const size_t length = (size_t)(tab - at), n = (size_t)(end - tab) - 1;
        size_t there;
        const char *value = find(theirs, size, at, length, &there);
        if (!value || there != n || memcmp(value, tab + 1, n) != 0) {
            if (!value || *value == '#')
                (void)snprintf(why, room, "another %.*s", (int)length, at);
            else
                (void)snprintf(why, room, "another %.*s: %.*s, not %.*s", (int)length, at, (int)there, value, (int)n,
                               tab + 1);
            return false;
        }
        at = end + 1;
    }
    return true;
}
