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

void skv_settings_table(skv_text *t, const skv_table *table, const void *object, const char *const *without) {
    const skv_option *o;
    for (size_t i = 0; (o = skv_table_at(table, i)); i++) {
        const char *known = skv_option_known_as(o), *const *skip = without;
        char name[160];
        while (*skip && strcmp(*skip, known) != 0) skip++;
        if (*skip) continue;
        (void)snprintf(name, sizeof name, "--%s (%s)", known, table->name);
        if ((int)o->field == SKV_FIELD_TEXT)
            skv_settings_text(t, name, skv_option_field_text(o, object));
        else
            skv_settings_number(t, name, skv_option_field_number(o, object));
    }
}

uint64_t skv_settings_model(const skive_graph *g) {
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

skive_status skv_settings_samples(skive_context *ctx, const skive_dataset *set, size_t most, uint64_t *key) {
    float *x = NULL;
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < skv_dataset_input_count(set); i++) {
        const skive_dataset *one = skv_dataset_input(set, i);
        SKV_GO(status, done, skv_alloc_array(ctx, one->size, sizeof *x, &x));
        for (size_t k = 0; k < most && k < set->count; k++) {
            const size_t index = set->count > most ? k * (set->count / most) : k;
            SKV_GO(status, done, skive_dataset_read(ctx, one, index, x, NULL));
            *key = skv_hash64(x, one->size * sizeof *x, *key);
        }
        skv_free(ctx, x);
        x = NULL;
    }
done:
    skv_free(ctx, x);
    return status;
}

/* Of all samples of a small set in memory, of some of a large one, and of all classes and targets, which are in memory. */
static skive_status hash_of_data(skive_context *ctx, const skive_dataset *set, uint64_t *key) {
    enum { SOME = 256, SMALL = 1 << 26 }; /* numbers in memory: a fraction of a second */
    const bool small = !skv_dataset_loads(set) && set->count <= SMALL / (set->size + 1);
    skive_dataset_info info;
    float *y = NULL;
    skive_status status;
    skive_dataset_get_info(set, &info);
    SKV_GO(status, done, skv_settings_samples(ctx, set, small ? set->count : SOME, key));
    if (!info.labelled && info.target_size) SKV_GO(status, done, skv_alloc_array(ctx, info.target_size, sizeof *y, &y));
    for (size_t k = 0; k < set->count && (y || (info.labelled && !info.label_rank)); k++) {
        int64_t label = -1;
        if (y)
            SKV_GO(status, done, skive_dataset_read_target(ctx, set, k, y));
        else
            SKV_GO(status, done, skive_dataset_read(ctx, set, k, NULL, &label));
        *key = y ? skv_hash64(y, info.target_size * sizeof *y, *key) : skv_hash64(&label, sizeof label, *key);
    }
done:
    skv_free(ctx, y);
    return status;
}

skive_status skv_run_settings(skive_context *ctx, const skv_fit *fit, const skive_graph *model, skv_text *out) {
    const skive_train_options *o = fit->options;
    skive_dataset_info train, validation = {0};
    skive_dataset_get_info(fit->train, &train);
    if (fit->validation) skive_dataset_get_info(fit->validation, &validation);
    /* How far the run goes is asked separately, and where the file lies decides nothing. */
    static const char *const without[] = {"epochs", "checkpoint",  "checkpoint-every", "resume",  "recompute",
                                          "log",    "tensorboard", "log-every",        "find-lr", "find-lr-steps",
                                          NULL};
    skv_text_init(out, ctx);
    skv_settings_text(out, "kind of training", fit->what);
    skv_settings_text(out, "data set (--data)", train.spec);
    skv_settings_number(out, "number of training samples (--limit, --no-validation)", (double)train.count);
    skv_settings_number(out, "number of validation samples (--no-validation)", (double)validation.count);
    if (o->checkpoint || o->resume || o->log || o->tensorboard) { /* where runs are told apart */
        uint64_t key = 1;
        SKV_TRY(hash_of_data(ctx, fit->train, &key));
        if (fit->validation) SKV_TRY(hash_of_data(ctx, fit->validation, &key));
        skv_settings_hash(out, "contents of the data set", key);
    }
    skv_settings_table(out, &skv_train_table, o, without);
    skv_objective_settings(fit->objective, out);
    for (size_t i = 0; i < fit->n_watchers; i++) skv_settings_text(out, "watcher", fit->watchers[i].name);
    if (fit->settings) skv_text_add(out, "%s", fit->settings);
    skv_settings_hash(out, "model", skv_settings_model(model));
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
