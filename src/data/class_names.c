/* The names of a model's classes in its metadata: skive's own entry, and those written by other programs. */
#include <stdlib.h>
#include <string.h>

#include <skive/output.h>

#include "data/data.h"
#include "graph/graph.h"
#include "graph/meta_keys.h"

enum { NAMES_FILE_MOST = 1 << 24 };

typedef struct names {
    skive_context *ctx;
    char **list;
    int64_t n, capacity;
} names;

void skive_class_names_free(skive_context *ctx, char **list, int64_t n) {
    for (int64_t i = 0; list && i < n; i++) skv_free(ctx, list[i]);
    skv_free(ctx, list);
}

static void drop(names *l) {
    skive_class_names_free(l->ctx, l->list, l->n);
    *l = (names){.ctx = l->ctx};
}

/* `text` with the escapes of \\ and a character that `quote` asks for undone; quote 0: skive's own, \n and \\. */
static skive_status add(names *l, const char *text, size_t length, char quote) {
    char *copy = NULL;
    size_t at = 0;
    if (l->n >= SKV_MAX_CLASSES) return SKIVE_ERR_LIMIT;
    if (l->n == l->capacity) {
        const int64_t more = l->capacity ? 2 * l->capacity : 16;
        SKV_TRY(skv_grow(l->ctx, &l->list, (size_t)l->n, (size_t)more, sizeof *l->list));
        l->capacity = more;
    }
    SKV_TRY(skv_strdup_n(l->ctx, text, length, &copy));
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '\\' && i + 1 < length && (quote || text[i + 1] == 'n' || text[i + 1] == '\\')) {
            i++;
            c = text[i] == 'n' ? '\n' : text[i];
        }
        copy[at++] = c;
    }
    copy[at] = '\0';
    l->list[l->n++] = copy;
    return SKIVE_OK;
}

/* ---- forms ---- */

static skive_status read_lines(names *l, const char *text) {
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "\n");
        const char *next = at + n + (at[n] == '\n');
        if (n && at[n - 1] == '\r') n--;
        SKV_TRY(add(l, at, n, 0));
        at = next;
    }
    return SKIVE_OK;
}

static const char *blank(const char *c) { return c + strspn(c, " \t\r\n"); }

/* The end of a quoted string whose first quote is at c; NULL if it is not closed. */
static const char *end_of_quote(const char *c) {
    const char quote = *c;
    for (c++; *c && *c != quote; c++) {
        if (*c == '\\' && !*++c) return NULL;
    }
    return *c ? c : NULL;
}

/* ["cat", "dog"], ('cat', 'dog'), {0: 'cat', 1: 'dog'}, {"0": "cat", "1": "dog"}: numbers must ascend from 0. False:
 * another format. */
static skive_status read_table(names *l, const char *text, bool *good) {
    const char *c = blank(text);
    const bool table = *c == '{';
    const char close = table ? '}' : *c == '[' ? ']' : ')';
    *good = false;
    if (!table && *c != '[' && *c != '(') return SKIVE_OK;
    for (c = blank(c + 1); *c != close;) {
        if (table) {
            const bool quoted = *c == '"' || *c == '\'';
            char *end;
            if (quoted) c++;
            const long long key = strtoll(c, &end, 10);
            if (end == c || key != l->n || (quoted && *end != '"' && *end != '\'')) return SKIVE_OK;
            c = blank(end + quoted);
            if (*c != ':') return SKIVE_OK;
            c = blank(c + 1);
        }
        const char *end = *c == '"' || *c == '\'' ? end_of_quote(c) : NULL;
        if (!end) return SKIVE_OK;
        SKV_TRY(add(l, c + 1, (size_t)(end - c - 1), *c));
        c = blank(end + 1);
        if (*c == ',')
            c = blank(c + 1);
        else if (*c != close)
            return SKIVE_OK;
    }
    *good = !*blank(c + 1);
    return SKIVE_OK;
}

static skive_status read_commas(names *l, const char *text) {
    for (const char *at = text;;) {
        const char *from = blank(at);
        const size_t n = strcspn(at, ",");
        const char *end = at + n;
        const bool last = !*end;
        while (end > from && (end[-1] == ' ' || end[-1] == '\t')) end--;
        SKV_TRY(add(l, from, end > from ? (size_t)(end - from) : 0, 0));
        if (last) return SKIVE_OK;
        at += n + 1;
    }
}

/* Is each name present exactly once? */
static bool are_names(const names *l) {
    for (int64_t i = 0; i < l->n; i++) {
        if (!l->list[i][0]) return false;
    }
    return l->n > 0;
}

static skive_status read_foreign(names *l, const char *text, int64_t wanted) {
    bool good;
    skive_status status = read_table(l, text, &good);
    if (status != SKIVE_OK || (good && l->n == wanted && are_names(l))) return status;
    drop(l);
    if (wanted < 2 || strchr("[({", *blank(text))) return SKIVE_OK;
    status = read_lines(l, text);
    if (status != SKIVE_OK || (l->n == wanted && are_names(l))) return status;
    drop(l);
    status = read_commas(l, text);
    if (status == SKIVE_OK && (l->n != wanted || !are_names(l))) drop(l);
    return status;
}

/* ---- the model ---- */

int64_t skv_model_scores(skive_context *ctx, const skive_graph *g) {
    skive_output_info info;
    if (g->n_outputs != 1 && !skive_graph_meta(g, SKV_META_OUTPUT_NAME)) return -1;
    if (skive_model_output(g, NULL, &info) == SKIVE_OK) return info.scores;
    skive_context_clear(ctx);
    return -1;
}

skive_status skive_model_set_class_names(skive_graph *g, const char *const *list, int64_t n) {
    SKV_NEED(g ? g->ctx : NULL, "graph, names", g, list || n == 0);
    if (n < 0) return skv_fail_at(g->ctx, SKIVE_ERR_ARGUMENT, "classes", "%lld class names", (long long)n);
    skv_text t;
    if (n == 0) return skive_graph_set_meta(g, SKV_META_CLASSES, NULL);
    skv_text_init(&t, g->ctx);
    for (int64_t i = 0; i < n; i++) {
        skv_text_add_escaped(&t, list[i] ? list[i] : "");
        skv_text_add(&t, "\n");
    }
    const skive_status status = t.status == SKIVE_OK ? skive_graph_set_meta(g, SKV_META_CLASSES, t.data) : t.status;
    skv_text_free(&t);
    return status;
}

skive_status skive_model_class_names(skive_context *ctx, const skive_graph *g, char ***out, int64_t *n) {
    SKV_NEED(ctx, "ctx, graph, names, n", ctx, g, out, n);
    static const char *const keys[] = {"names", "classes", "class_names", "labels", "id2label"};
    names l = {.ctx = ctx};
    skive_status status = SKIVE_OK;
    if (out) *out = NULL;
    if (n) *n = 0;
    if (!ctx || !g || !out || !n)
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "skive_model_class_names: an argument is NULL");
    const char *own = skive_graph_meta(g, SKV_META_CLASSES);
    if (own) {
        status = read_lines(&l, own);
    } else {
        int64_t scores = -1;
        for (size_t i = 0; status == SKIVE_OK && !l.n && i < sizeof keys / sizeof keys[0]; i++) {
            const char *text = skive_graph_meta(g, keys[i]);
            if (text && scores < 0) scores = skv_model_scores(ctx, g);
            if (text && scores > 0) status = read_foreign(&l, text, scores);
        }
    }
    if (status != SKIVE_OK) {
        drop(&l);
        return status;
    }
    *out = l.list;
    *n = l.n;
    return SKIVE_OK;
}

skive_status skv_class_names_read(skive_context *ctx, const char *path, char ***out, int64_t *n) {
    names l = {.ctx = ctx};
    char *text = NULL;
    size_t size = 0;
    *out = NULL;
    *n = 0;
    SKV_TRY(skv_file_read(ctx, path, NAMES_FILE_MOST, (void **)&text, &size));
    skive_status status = memchr(text, 0, size) ? skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                                                              "%s: is no list of class names, one a line", path)
                                                : skv_grow(ctx, &text, size, size + 1, 1);
    if (status == SKIVE_OK) {
        text[size] = 0;
        status = read_lines(&l, text);
    }
    skv_free(ctx, text);
    if (status == SKIVE_OK && !l.n) status = skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: has no class names", path);
    if (status != SKIVE_OK) {
        drop(&l);
        return status;
    }
    *out = l.list;
    *n = l.n;
    return SKIVE_OK;
}
