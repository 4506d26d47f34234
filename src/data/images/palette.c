/* The values of masks and the classes that they mean: numbers as they are stored, or colours in the order of their
 * values or of a file that lists them. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/formats/segment.h"

enum { NAMES_LIMIT = 1 << 20 };

skive_status skv_mask_path(skive_context *ctx, const char *masks, const char *image, char **out) {
    const char *slash = strrchr(image, '/'), *base = slash ? slash + 1 : image, *dot = strrchr(base, '.');
    return skv_asprintf(ctx, out, "%s/%.*s.png", masks, (int)(dot ? dot - base : (ptrdiff_t)strlen(base)), base);
}

int64_t skv_palette_class(const skv_palette *p, uint32_t value) {
    if (p->has_ignore && value == p->ignore) return -1;
    if (!p->colour) return value < p->classes ? (int64_t)value : -2;
    for (int64_t c = 0; c < p->classes; c++) {
        if (p->colours[c] == value) return c;
    }
    return -2;
}

void skv_palette_free(skive_context *ctx, skv_palette *p) {
    for (int64_t c = 0; p->names && c < p->classes; c++) skv_free(ctx, p->names[c]);
    skv_free(ctx, p->names);
    skv_free(ctx, p->colours);
    *p = (skv_palette){0};
}

/* ---- the file of names: "name", or "#rrggbb name", one a line ---- */

typedef struct name_list {
    char **names; /* [n] */
    uint32_t *colours;
    size_t n, coloured;
} name_list;

static void free_names(skive_context *ctx, name_list *l) {
    for (size_t i = 0; i < l->n; i++) skv_free(ctx, l->names[i]);
    skv_free(ctx, l->names);
    skv_free(ctx, l->colours);
    *l = (name_list){0};
}

static bool parse_colour(const char *text, uint32_t *out) {
    if (text[0] != '#' || strspn(text + 1, "0123456789abcdefABCDEF") != 6) return false;
    *out = (uint32_t)strtoul(text + 1, NULL, 16);
    return true;
}

static skive_status add_name(skive_context *ctx, name_list *l, const char *line, size_t length) {
    char *text = NULL;
    SKV_TRY(skv_grow(ctx, &l->names, l->n, l->n + 1, sizeof *l->names));
    SKV_TRY(skv_grow(ctx, &l->colours, l->n, l->n + 1, sizeof *l->colours));
    SKV_TRY(skv_strdup_n(ctx, line, length, &text));
    if (parse_colour(text, &l->colours[l->n])) {
        const char *name = text + 7;
        while (isspace((unsigned char)*name)) name++;
        if (*name) memmove(text, name, strlen(name) + 1);
        l->coloured++;
    }
    l->names[l->n++] = text;
    return SKIVE_OK;
}

static skive_status read_names(skive_context *ctx, const char *path, name_list *l) {
    void *bytes = NULL;
    size_t n = 0;
    if (!skv_path_exists(path)) return SKIVE_OK;
    SKV_TRY(skv_file_read(ctx, path, NAMES_LIMIT, &bytes, &n));
    const char *at = bytes, *end = at + n;
    skive_status status = SKIVE_OK;
    while (status == SKIVE_OK && at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at)), *next = line ? line + 1 : end;
        const char *stop = line ? line : end;
        while (stop > at && isspace((unsigned char)stop[-1])) stop--;
        if (stop > at) status = add_name(ctx, l, at, (size_t)(stop - at));
        at = next;
    }
    skv_free(ctx, bytes);
    if (status == SKIVE_OK && l->coloured && l->coloured != l->n)
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                             "%s: some classes begin with a colour #rrggbb and others do not", path);
    return status;
}

/* ---- the masks of the training part ---- */

typedef struct mask_counts {
    size_t masks, ignored, pixels;
    bool colour;
    uint32_t largest;
    uint8_t seen[SKV_SEGMENT_MOST_CLASSES];
    char *has_largest;                          /* the first mask with this value */
    bool any;                                   /* a pixel that is not ignored */
    uint32_t colours[SKV_SEGMENT_MOST_COLOURS]; /* sorted */
    size_t n_colours;
    char *first; /* the first mask */
} mask_counts;

static skive_status add_colour(skive_context *ctx, mask_counts *s, uint32_t value, const char *path) {
    size_t at = s->n_colours;
    while (at > 0 && s->colours[at - 1] >= value) at--;
    if (at < s->n_colours && s->colours[at] == value) return SKIVE_OK;
    if (s->n_colours == SKV_SEGMENT_MOST_COLOURS)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                           "%s: the masks have more than %d colours; a mask has one colour a class, without smoothed "
                           "edges",
                           path, (int)SKV_SEGMENT_MOST_COLOURS);
    memmove(s->colours + at + 1, s->colours + at, (s->n_colours - at) * sizeof *s->colours);
    s->colours[at] = value;
    s->n_colours++;
    return SKIVE_OK;
}

static skive_status add_number(skive_context *ctx, mask_counts *s, uint32_t value, const char *path) {
    s->seen[value] = 1;
    if (value <= s->largest && s->has_largest) return SKIVE_OK;
    s->largest = value;
    skv_free(ctx, s->has_largest);
    s->has_largest = NULL;
    return skv_strdup(ctx, path, &s->has_largest);
}

static skive_status count_mask(skive_context *ctx, mask_counts *s, const skv_palette *p, const skv_mask *m,
                               const char *path) {
    const size_t n = (size_t)m->width * (size_t)m->height;
    uint32_t before = 0;
    bool known = false;
    if (s->masks++ == 0) {
        s->colour = m->colour;
        SKV_TRY(skv_strdup(ctx, path, &s->first));
    } else if (s->colour != m->colour) {
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: this mask is in %s, but %s is in %s", path,
                           m->colour ? "colours" : "class numbers", s->first, s->colour ? "colours" : "class numbers");
    }
    for (size_t i = 0; i < n; i++) {
        const uint32_t v = m->values[i];
        s->pixels++;
        if (p->has_ignore && v == p->ignore) {
            s->ignored++;
            continue;
        }
        s->any = true;
        if (known && v == before) continue;
        known = true;
        before = v;
        if (m->colour)
            SKV_TRY(add_colour(ctx, s, v, path));
        else
            SKV_TRY(add_number(ctx, s, v, path));
    }
    return SKIVE_OK;
}

static skive_status count_masks(skive_context *ctx, const char *masks, const skv_name_list *files, bool skip_bad,
                                skv_palette *p, bool ignore_given, mask_counts *s) {
    skv_progress progress;
    skv_progress_start(&progress, ctx, "counting masks", (double)files->count);
    for (size_t i = 0; i < files->count; i++) {
        char *path = NULL;
        skv_mask mask = {0};
        SKV_TRY(skv_mask_path(ctx, masks, files->names[i], &path));
        skive_status status = skv_mask_read(ctx, path, &mask);
        const bool skipped = skip_bad && (status == SKIVE_ERR_DATA || status == SKIVE_ERR_IO);
        if (skipped)
            status = SKIVE_OK;
        else
            status = skv_folder_bad(ctx, status);
        /* The default is for class numbers. */
        if (status == SKIVE_OK && !skipped && mask.colour && !ignore_given) p->has_ignore = false;
        if (status == SKIVE_OK && !skipped) status = count_mask(ctx, s, p, &mask, path);
        skv_free(ctx, mask.values);
        skv_free(ctx, path);
        if (status == SKIVE_OK && i % 64 == 63)
            status = skv_progress_at(&progress, (double)(i + 1), "%zu masks", i + 1);
        if (status != SKIVE_OK) return status;
    }
    if (s->any) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_DATA, masks, "%s: no pixel of the masks is of a class", masks);
}

/* ---- classes ---- */

static skive_status take_ignore(skive_context *ctx, const skv_option_values *values, skv_palette *p) {
    const char *text = skv_option_text(values, "ignore");
    char *end = NULL;
    p->has_ignore = false;
    if (!text || strcmp(text, "none") == 0) return SKIVE_OK;
    p->has_ignore = true;
    if (parse_colour(text, &p->ignore) && text[7] == '\0') return SKIVE_OK;
    const unsigned long value = strtoul(text, &end, 10);
    p->ignore = (uint32_t)value;
    if (isdigit((unsigned char)text[0]) && *end == '\0' && value < SKV_SEGMENT_MOST_CLASSES) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "ignore",
                       "data set 'segment': ignore is %s; it must be a value of the masks from 0 to 65535, a colour "
                       "#rrggbb, or none",
                       text);
}

static skive_status count_classes(skive_context *ctx, const char *masks, const mask_counts *s, const name_list *l,
                                  const skive_dataset_options *o, skv_palette *p) {
    const int64_t found = s->colour ? (int64_t)s->n_colours : (int64_t)s->largest + 1;
    p->colour = s->colour;
    p->classes = l->n ? (int64_t)l->n : o->classes && !s->colour ? o->classes : found;
    if (l->coloured && !s->colour)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, masks, "%s: the masks are class numbers, but the classes have colours",
                           masks);
    if (o->classes && p->classes != o->classes)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, masks, "%s: has %" PRId64 " classes, not %" PRId64, masks, p->classes,
                           o->classes);
    if (!(s->colour && l->coloured) && found > p->classes)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, masks,
                           "%s: the masks have classes up to %" PRId64 ", but there are %" PRId64
                           " classes, numbered from 0 (values of no class are named by ignore=VALUE)",
                           masks, found - 1, p->classes);
    return SKIVE_OK;
}

static skive_status take_colours(skive_context *ctx, const mask_counts *s, const name_list *l, skv_palette *p) {
    SKV_TRY(skv_alloc_array(ctx, (size_t)p->classes, sizeof *p->colours, &p->colours));
    const uint32_t *from = l->coloured ? l->colours : s->colours;
    const size_t n = l->coloured ? l->n : s->n_colours;
    memcpy(p->colours, from, n * sizeof *from);
    if (l->coloured) return SKIVE_OK;
    for (size_t c = n; c < (size_t)p->classes; c++) p->colours[c] = UINT32_MAX; /* named, but without a pixel */
    skv_text t;
    skv_text_init(&t, ctx);
    for (size_t c = 0; c < n && c < 8; c++) skv_text_add(&t, "%s#%06x", c ? ", " : "", p->colours[c]);
    if (n > 8) skv_text_add(&t, " and %zu more", n - 8);
    if (t.status == SKIVE_OK)
        skv_note(ctx, "the masks are in colours, which are classes in the order of their values: %s", t.data);
    const skive_status status = t.status;
    skv_text_free(&t);
    return status;
}

/* Numbers that nobody has counted or named: a stray value makes classes that do not occur. */
static skive_status tell_absent(skive_context *ctx, const char *masks, const mask_counts *s,
                                const skive_dataset_options *o, const skv_palette *p) {
    char more[600];
    if (p->colour || p->names || o->classes || o->model || o->split == SKIVE_SPLIT_TEST) return SKIVE_OK;
    (void)snprintf(more, sizeof more, ", and %" PRIu32 " is first in %.*s (ignore=VALUE names a value of no class)",
                   s->largest, skv_utf8_prefix(s->has_largest, 400), s->has_largest);
    return skv_classes_tell_absent(ctx, masks, s->seen, p->classes, more);
}

/* Names of the file, or of the colours: by them a model finds its classes in another set. */
static skive_status take_names(skive_context *ctx, const name_list *l, skv_palette *p) {
    if (!l->n && !p->colour) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(ctx, (size_t)p->classes, sizeof *p->names, &p->names));
    for (int64_t c = 0; c < p->classes; c++) {
        if (l->n)
            SKV_TRY(skv_strdup(ctx, l->names[c], &p->names[c]));
        else
            SKV_TRY(skv_asprintf(ctx, &p->names[c], "#%06x", p->colours[c]));
    }
    return SKIVE_OK;
}

skive_status skv_palette_find(skive_context *ctx, const char *masks, const skv_name_list *files, const char *names_file,
                              const skv_option_values *values, const skive_dataset_options *options, skv_palette *out) {
    mask_counts *s = NULL;
    name_list l = {0};
    skive_status status;
    *out = (skv_palette){0};
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *s, &s));
    SKV_GO(status, done, take_ignore(ctx, values, out));
    SKV_GO(status, done, read_names(ctx, names_file, &l));
    SKV_GO(status, done, count_masks(ctx, masks, files, options->skip_bad, out, skv_option_given(values, "ignore"), s));
    SKV_GO(status, done, count_classes(ctx, masks, s, &l, options, out));
    if (s->colour) SKV_GO(status, done, take_colours(ctx, s, &l, out));
    SKV_GO(status, done, take_names(ctx, &l, out));
    SKV_GO(status, done, tell_absent(ctx, masks, s, options, out));
    if (s->ignored) {
        char value[16];
        (void)snprintf(value, sizeof value, s->colour ? "#%06x" : "%u", out->ignore);
        skv_note(ctx, "%s: %.3g %% of the pixels have the value %s and are of no class (ignore)", masks,
                 100.0 * (double)s->ignored / (double)s->pixels, value);
    }
done:
    skv_free(ctx, s->first);
    skv_free(ctx, s->has_largest);
    skv_free(ctx, s);
    free_names(ctx, &l);
    if (status != SKIVE_OK) skv_palette_free(ctx, out);
    return status;
}
