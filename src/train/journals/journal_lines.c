/* The log of a run: a line of JSON for each event. All lines begin with the event, the run and the step, by which a
 * resumed run finds its own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "train/journal.h"
#include "train/train.h"

typedef struct lines {
    skive_context *ctx;
    skv_appender *file;
} lines;

static const char *const names[] = {"run", "resume", "steps", "epoch", "end"};

/* ---- JSON ---- */

static void add_string(skv_text *t, const char *text) {
    skv_text_add(t, "\"");
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\')
            skv_text_add(t, "\\%c", *at);
        else if (*at < ' ')
            skv_text_add(t, "\\u%04x", *at);
        else
            skv_text_add(t, "%c", *at);
    }
    skv_text_add(t, "\"");
}

static void add_text(skv_text *t, const char *key, const char *text) {
    skv_text_add(t, ",\"%s\":", key);
    if (text)
        add_string(t, text);
    else
        skv_text_add(t, "null");
}

/* Seven digits: figures are means of 32-bit floats, and times are read by people. */
static const char *number_text(double x, char *text, size_t size) {
    if (!isfinite(x)) return "null";
    (void)snprintf(text, size, fabs(x) < 1e15 && x == floor(x) ? "%.0f" : "%.7g", x);
    text[strcspn(text, ",")] = text[strcspn(text, ",")] ? '.' : '\0'; /* whatever the locale */
    return text;
}

static void add_number(skv_text *t, const char *key, double x) {
    char text[40];
    skv_text_add(t, ",\"%s\":%s", key, number_text(x, text, sizeof text));
}

/* What is not measured is left out. */
static void add_measured(skv_text *t, const char *key, double x) {
    if (!isnan(x)) add_number(t, key, x);
}

static void add_time(skv_text *t) {
    const time_t now = time(NULL);
    struct tm utc;
    char text[32] = "";
    if (gmtime_r(&now, &utc)) (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    add_text(t, "time", text);
}

static void add_options(skv_text *t, const skive_train_options *options) {
    const skv_option *o;
    skv_text_add(t, ",\"options\":{\"seed\":%llu", (unsigned long long)options->seed);
    for (size_t i = 0; (o = skv_table_at(&skv_train_table, i)); i++) {
        const char *name = skv_option_known_as(o);
        if (strcmp(name, "seed") == 0) continue;
        if ((int)o->field == SKV_FIELD_TEXT)
            add_text(t, name, skv_option_field_text(o, options));
        else if (o->type == SKV_OPTION_SWITCH)
            skv_text_add(t, ",\"%s\":%s", name, skv_option_field_number(o, options) != 0 ? "true" : "false");
        else
            add_number(t, name, skv_option_field_number(o, options));
    }
    skv_text_add(t, "}");
}

/* Lines "name TAB value". */
static void add_settings(skv_text *t, const char *settings, skive_context *ctx) {
    const char *comma = "";
    skv_text_add(t, ",\"settings\":{");
    for (const char *at = settings, *end; (end = strchr(at, '\n')); at = end + 1) {
        char *name = NULL, *value = NULL;
        const char *tab = memchr(at, '\t', (size_t)(end - at));
        if (!tab) continue;
        if (t->status == SKIVE_OK) t->status = skv_strdup_n(ctx, at, (size_t)(tab - at), &name);
        if (t->status == SKIVE_OK) t->status = skv_strdup_n(ctx, tab + 1, (size_t)(end - tab) - 1, &value);
        if (t->status == SKIVE_OK) {
            skv_text_add(t, "%s", comma);
            add_string(t, name);
            skv_text_add(t, ":");
            add_string(t, value);
            comma = ",";
        }
        skv_free(ctx, name);
        skv_free(ctx, value);
    }
    skv_text_add(t, "}");
}

static void add_run(skv_text *t, const skive_train_event *e, skive_context *ctx) {
    add_time(t);
    add_text(t, "version", skive_version());
    add_text(t, "what", e->what);
    add_text(t, "data", e->data);
    skv_text_add(t,
                 ",\"samples\":%lld,\"validation_samples\":%lld,\"parameters\":%lld,\"batch\":%lld,\"epochs\":%d,"
                 "\"steps\":%lld,\"threads\":%d",
                 (long long)e->samples, (long long)e->validation, (long long)e->parameters, (long long)e->batch,
                 e->epochs, (long long)e->steps, skv_threads(ctx));
    add_text(t, "instructions", skive_cpu_isa_name());
    add_options(t, e->options);
    add_settings(t, e->settings, ctx);
}

/* Those that the run asked for by name; nothing where there are none. */
static void add_figures(skv_text *t, const skive_epoch_report *row, const skive_train_options *o) {
    const char *before = ",\"figures\":{";
    for (size_t i = 0; i < skv_metric_count() && i < SKIVE_EPOCH_FIGURES; i++) {
        if (isnan(row->figures[i]) || !skv_journal_tells(o, i)) continue;
        char number[40];
        skv_text_add(t, "%s\"%s\":%s", before, skv_metric_name(i), number_text(row->figures[i], number, sizeof number));
        before = ",";
    }
    if (*before && before[1] == '\0') skv_text_add(t, "}");
}

static void add_row(skv_text *t, const skive_epoch_report *row, const skive_train_options *o) {
    add_measured(t, "validation_loss", row->validation_loss);
    add_measured(t, "validation_accuracy", row->validation_accuracy);
    add_measured(t, "validation_f1", row->validation_f1);
    add_measured(t, "validation_rmse", row->validation_rmse);
    add_measured(t, "validation_r2", row->validation_r2);
    add_figures(t, row, o);
    add_number(t, "epoch_seconds", row->seconds);
}

static void add_event(skv_text *t, const skive_train_event *e, skive_context *ctx) {
    skv_text_add(t, "{\"event\":\"%s\",\"run\":\"%s\",\"step\":%lld", names[e->kind], e->run, (long long)e->step);
    add_number(t, "epoch", e->epoch);
    add_measured(t, "loss", e->loss);
    add_measured(t, "accuracy", e->accuracy);
    if (e->row) add_row(t, e->row, e->options);
    if (e->kind == SKIVE_TRAIN_STEPS || e->kind == SKIVE_TRAIN_EPOCH) {
        add_measured(t, "learning_rate", e->learning_rate);
        add_measured(t, "samples_per_second", e->samples_per_second);
    }
    if (e->kind == SKIVE_TRAIN_RUN) {
        add_run(t, e, ctx);
    } else {
        add_number(t, "seconds", e->seconds);
        add_number(t, "waited", e->waited);
    }
    if (e->kind == SKIVE_TRAIN_RESUME) {
        add_time(t);
        add_text(t, "version", skive_version());
        skv_text_add(t, ",\"threads\":%d,\"epochs\":%d,\"steps\":%lld", skv_threads(ctx), e->epochs,
                     (long long)e->steps);
    }
    if (e->kind == SKIVE_TRAIN_EPOCH || e->kind == SKIVE_TRAIN_END)
        skv_text_add(t, ",\"best_epoch\":%d", e->best_epoch);
    if (e->kind == SKIVE_TRAIN_END) {
        add_time(t);
        add_text(t, "status", skive_status_brief(e->status));
        add_text(t, "reason",
                 e->status != SKIVE_OK          ? skive_status_brief(e->status)
                 : e->epoch < (double)e->epochs ? "no better epoch for as long as patience allows"
                                                : "all epochs are done");
    }
    skv_text_add(t, "}\n");
}

static skive_status put(void *self, const skive_train_event *e) {
    lines *l = self;
    skv_text t;
    skv_text_init(&t, l->ctx);
    add_event(&t, e, l->ctx);
    if (t.data) skv_utf8_mend(t.data);
    skive_status status = t.status;
    if (status == SKIVE_OK) status = skv_append_write(l->file, t.data, strlen(t.data));
    skv_text_free(&t);
    return status;
}

/* ---- what the file holds already ---- */

typedef struct head {
    char event[8], run[17];
    long long step;
} head;

static bool read_head(const char *line, head *h) {
    int n = 0;
    return sscanf(line, "{\"event\":\"%7[a-z]\",\"run\":\"%16[0-9a-f]\",\"step\":%lld%n", h->event, h->run, &h->step,
                  &n) == 3 &&
           (line[n] == ',' || line[n] == '}');
}

static bool stays(const head *h, const skive_train_event *run, const skv_journal_limit *limit) {
    if (strcmp(h->run, run->run) != 0) return true;
    if (!limit->resumed || strcmp(h->event, "end") == 0) return false;
    return h->step <= (strcmp(h->event, "epoch") == 0 ? limit->epoch_step : limit->step);
}

/* Moves the lines that stay to the front of text[n], which ends with a NUL. A last line without its end was being
 * written when its run was killed. */
static skive_status filter(skive_context *ctx, const char *path, char *text, size_t *n, const skive_train_event *run,
                           const skv_journal_limit *limit, bool *begun) {
    size_t kept = 0, removed = 0;
    for (char *at = text, *end; *at; at = end + 1) {
        head h;
        end = strchr(at, '\n');
        if (at == text && !read_head(at, &h))
            return skv_fail_at(ctx, SKIVE_ERR_FORMAT, path,
                               "%s: not a log of skive, and not overwritten; give the name of a new file or a log",
                               path);
        if (!end) break;
        const bool known = read_head(at, &h);
        if (known && !stays(&h, run, limit)) {
            removed += strcmp(h.event, "end") != 0;
            continue;
        }
        *begun = *begun || (known && strcmp(h.run, run->run) == 0 && strcmp(h.event, "run") == 0);
        memmove(text + kept, at, (size_t)(end + 1 - at));
        kept += (size_t)(end + 1 - at);
    }
    if (removed && limit->resumed)
        skv_note(ctx, "%s: removed %zu line%s of this run from behind step %lld, at which it is resumed", path, removed,
                 removed == 1 ? "" : "s", (long long)limit->step);
    else if (removed)
        skv_note(ctx, "%s: replaced the %zu line%s of an earlier run with the same settings", path, removed,
                 removed == 1 ? "" : "s");
    *n = kept;
    return SKIVE_OK;
}

static void close_lines(void *self) {
    lines *l = self;
    if (!l) return;
    skv_append_close(l->file);
    skv_free(l->ctx, l);
}

static skive_status open_lines(skive_context *ctx, const char *path, const skive_train_event *run,
                               const skv_journal_limit *limit, void **self, bool *begun) {
    char *text = NULL;
    size_t n = 0;
    lines *l = NULL;
    skive_status status;
    SKV_TRY(skv_append_read(ctx, path, &text, &n));
    const size_t before = n;
    SKV_GO(status, done, skv_grow(ctx, &text, n, n + 1, 1)); /* a NUL behind it */
    SKV_GO(status, done, filter(ctx, path, text, &n, run, limit, begun));
    SKV_GO(status, done, skv_alloc_array(ctx, 1, sizeof *l, &l));
    l->ctx = ctx;
    SKV_GO(status, done, skv_append_open(ctx, path, n != before, text, n, &l->file));
    *self = l;
    l = NULL;
done:
    close_lines(l);
    skv_free(ctx, text);
    return status;
}

static skive_status sync_lines(void *self) { return skv_append_sync(((lines *)self)->file); }

static const char *path_of(const skive_train_options *o) { return o->log; }

const skv_journal_kind skv_journal_lines = {
    .name = "log",
    .path = path_of,
    .open = open_lines,
    .write = put,
    .sync = sync_lines,
    .close = close_lines,
};
